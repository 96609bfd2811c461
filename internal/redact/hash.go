package redact

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
)

// Hash puts hashes in the places of values, under a key that this call makes.
func Hash() Replacement {
	h := &hasher{}
	rand.Read(h.key[:]) // never fails
	return Replacement{Name: "Hash", token: h}
}

// hasher makes the tokens of Hash.
type hasher struct{ key [sha256.Size]byte }

// Text hashes a text.
func (h *hasher) Text(s string) string {
	mac := hmac.New(sha256.New, h.key[:])
	mac.Write([]byte(s))
	return hex.EncodeToString(mac.Sum(nil)[:8])
}

// Number hashes a JSON number as it is written: a JSON string.
func (h *hasher) Number(raw string) string { return `"` + h.Text(raw) + `"` }
