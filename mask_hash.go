package shadow

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
)

// hasher makes the tokens of Hash.
type hasher struct{ key [sha256.Size]byte }

func newHasher() *hasher {
	h := &hasher{}
	rand.Read(h.key[:]) // never fails
	return h
}

// Text hashes a text.
func (h *hasher) Text(s string) string {
	mac := hmac.New(sha256.New, h.key[:])
	mac.Write([]byte(s))
	return hex.EncodeToString(mac.Sum(nil)[:8])
}

// Number hashes a JSON number as it is written: a JSON string.
func (h *hasher) Number(raw string) string { return `"` + h.Text(raw) + `"` }
