package mark

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
)

// NewID returns 128 random bits in hex, the form of a W3C trace ID.
func NewID() string {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], rand.Uint64())
	binary.LittleEndian.PutUint64(b[8:], rand.Uint64())
	var s [32]byte
	hex.Encode(s[:], b[:])
	return string(s[:])
}
