package fields

// Digests are the fields with a digest or signature of a body: RFC 1864, RFC 9530, and what clouds
// and webhooks use. Beside a masked body they do not hold, and by them one could check guesses of
// what was masked.
var Digests = []string{
	"Content-Md5", "Digest", "Content-Digest", "Repr-Digest", "X-Amz-Content-Sha256", "X-Goog-Hash",
	"X-Signature", "X-Hub-Signature", "X-Hub-Signature-256", "Stripe-Signature", "X-Slack-Signature",
	"X-Shopify-Hmac-Sha256", "Webhook-Signature", "Svix-Signature", "Signature", "Signature-Input", "X-Twilio-Signature",
}

// Signatures are those of Digests that may be of the URL and of fields too: RFC 9421, and Twilio's.
var Signatures = Digests[len(Digests)-3:]
