package target

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/goshadow/shadow/internal/fields"
)

// idempotency holds the fields by which a server recognizes a request that is sent again. A
// copy with the key of the primary's request would be answered from the primary's store, or
// the primary from that of the copy. Each name is documented by who reads the field:
var idempotency = fields.NewNames(
	"Idempotency-Key",              // draft-ietf-httpapi-idempotency-key-header
	"Repeatability-Request-Id",     // OASIS Repeatable Requests 1.0
	"X-Idempotency-Key",            // mercadopago.com/developers, docs.y.uno, docs.bvnk.com
	"Idempotence-Key",              // YooKassa: yookassa.ru/developers/using-api/interaction-format
	"Cko-Idempotency-Key",          // Checkout.com: its SDKs for PHP, Java and Go
	"Klarna-Idempotency-Key",       // docs.klarna.com/api/kn/integration-resilience
	"Paypal-Request-Id",            // developer.paypal.com/api/rest/requests
	"X-Amz-Pay-Idempotency-Key",    // developer.amazon.com/docs/amazon-pay-api-v2/idempotency.html
	"X-Payout-Idempotency",         // razorpay.com/docs/api/x/payout-idempotency
	"X-Idempotence-Uuid",           // Wise: docs.wise.com, API reference of balances
	"X-Qonto-Idempotency-Key",      // docs.qonto.com/get-started/general/idempotent-requests
	"X-Contentful-Idempotency-Key", // contentful.com/developers/changelog: webhooks
	"I-Twilio-Idempotency-Token",   // Twilio: webhooks that are sent again
)

// derivedKeys returns the keys that a copy to target has in place of values: the same for the
// same key, so that a retry stays one, and no key of the primary. A UUID becomes a UUID.
func derivedKeys(values []string, target string) []string {
	derived := make([]string, len(values))
	for i, v := range values {
		derived[i] = derivedKey(v, target)
	}
	return derived
}

func derivedKey(key, target string) string {
	if inner, ok := strings.CutPrefix(key, `"`); ok && len(inner) > 1 && strings.HasSuffix(inner, `"`) { // a string of RFC 8941
		return `"` + derivedKey(inner[:len(inner)-1], target) + `"`
	}
	if key == "" {
		return ""
	}
	sum := sha256.Sum256([]byte("shadow idempotency key\x00" + target + "\x00" + key))
	if !isUUID(key) {
		return hex.EncodeToString(sum[:16])
	}
	sum[6] = sum[6]&0x0f | 0x40 // version 4
	sum[8] = sum[8]&0x3f | 0x80 // of RFC 9562
	s := hex.EncodeToString(sum[:16])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// isUUID reports whether s has the form of a UUID (RFC 9562 section 4).
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case '0' <= c && c <= '9', 'a' <= c && c <= 'f', 'A' <= c && c <= 'F':
		default:
			return false
		}
	}
	return true
}
