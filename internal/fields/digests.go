package fields

// Digests are the fields with digests and signatures of a body: RFC 1864, RFC 9530, and those of
// clouds and webhooks. They do not match a masked body, and guesses at what was masked could be
// checked with them.
var Digests = []string{
	"Content-Md5", "Digest", "Content-Digest", "Repr-Digest", "X-Amz-Content-Sha256", "X-Goog-Hash",
	"X-Signature", "X-Hub-Signature", "X-Hub-Signature-256", "Stripe-Signature", "X-Slack-Signature",
	"X-Shopify-Hmac-Sha256", "Webhook-Signature", "Svix-Signature", "Signature", "Signature-Input", "X-Twilio-Signature",
}

// Signatures are the Digests that may cover the URL and other fields too: RFC 9421, and Twilio's.
var Signatures = Digests[len(Digests)-3:]
