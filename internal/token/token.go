// Package token replaces values by keyed tokens: equal values get equal tokens,
// different values different ones, in every process that has the key, and a token looks
// like what it stands for. So what is masked with it can still be joined, grouped and
// compared, and is still accepted where the value was.
//
//	value                    token
//	text                     26 letters and digits that begin with t
//	e-mail address           an address below example.com, equal domains under equal ones
//	digits, card, phone      digits; separators, leading zero and Luhn's sum as they were
//	IBAN                     the country, right check digits, letters and digits in place
//	hex, MAC address         hex of that length and case; separators as they were
//	UUID                     a UUID of that version
//	IPv4 address             an IPv4 address; global or not as it was
//	IPv6 address             an IPv6 address of the documentation prefix 2001:db8::/32
//	date, date and time      a date, and a time, in the same years; separators and offset as they were
//	JSON number              a number of as many digits; sign, point and exponent as they were
//
// # What a token protects
//
// A token is made of the key by HMAC-SHA-256 (RFC 2104), or where there is no room for
// that by FF1 (NIST SP 800-38G), a cipher on strings of digits. Without the key it tells
// nothing but what the table above says it keeps, and that two values are equal. This is
// pseudonymisation, not anonymisation: who has the key can compute the token of a guess,
// and read digits back.
//
// A short value has few values to hide among. The tokens of one to three digits are a
// table of at most 1000 lines: it takes the key to compute it, but who sees many tokens
// together with their values, or knows how often each value occurs, can write it down
// without. NIST is about to ask of FF1 that there be a million values at least (the drafts
// of SP 800-38G Rev. 1). Remove what is shorter and sensitive, rather than tokenise it. As
// in every permutation a value can be its own token: a single digit is, one time in ten.
//
// Dates are permuted, each by itself, among those of the same years: before 1900, up to
// 1930, up to 2000, then of each decade, and since 2020 of each year. So a known date gives
// away no other, and the years are what a token tells. What lies between two dates does not
// survive, nor which is the earlier one, and the token of a date of this year may lie in the
// future. Times of day are permuted with the date, in a permutation of their own: who knows
// when records were created has not learnt the token of a day.
//
// Equal domains of e-mail addresses have equal tokens: who knows one address at a domain, and
// its token, knows who else has one there.
//
// # Keys
//
// Tokens of two keys have nothing to do with each other. A change of the key is a change
// of all tokens: make it at the boundary of what is joined, a release or a day, and give
// it to all replicas at once. Tokens do not name their key, since there is no room for
// that in sixteen digits: keep the time of the change with the results.
package token

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"hash"
	"io"
	"strings"
	"sync"

	"github.com/goshadow/shadow/internal/jsonscan"
)

// MinKey is the least number of bytes of a key.
const MinKey = 16

// Tokenizer makes tokens. It is safe for concurrent use. Formatting it shows nothing of
// its key.
type Tokenizer struct{ keys *keys }

// keys is what is derived from the key of a Tokenizer.
type keys struct {
	block cipher.Block // of FF1
	macs  sync.Pool    // of hash.Hash
}

// New returns a Tokenizer for a key of at least MinKey bytes, which should be random. It
// keeps no reference to key.
func New(key []byte) (*Tokenizer, error) {
	if len(key) < MinKey {
		return nil, fmt.Errorf("a key of %d bytes is too short for tokens: give %d random bytes or more", len(key), MinKey)
	}
	derive := func(purpose string) ([]byte, error) {
		return hkdf.Key(sha256.New, key, nil, "github.com/goshadow/shadow token "+purpose, 32)
	}
	permutation, err := derive("permutation")
	if err != nil {
		return nil, fmt.Errorf("key for tokens: %w", err)
	}
	code, err := derive("code")
	if err != nil {
		return nil, fmt.Errorf("key for tokens: %w", err)
	}
	k := &keys{}
	if k.block, err = aes.NewCipher(permutation); err != nil {
		return nil, fmt.Errorf("key for tokens: %w", err)
	}
	k.macs.New = func() any { return hmac.New(sha256.New, code) }
	return &Tokenizer{k}, nil
}

// Format writes the name of the type, whatever the verb.
func (t Tokenizer) Format(f fmt.State, _ rune) {
	io.WriteString(f, "token.Tokenizer")
}

// Text returns the token of s, text as it is meant: unquoted and decoded. The token is of
// the same kind as s. That of "" is "".
func (t *Tokenizer) Text(s string) string {
	k := t.keys
	switch kindOf(s) {
	case empty:
		return ""
	case date:
		return k.date(s)
	case uuid:
		return k.uuid(s)
	case ipv4:
		return k.ipv4(s)
	case ipv6:
		return k.ipv6(s)
	case email:
		return k.email(s)
	case iban:
		return k.iban(s)
	case digits:
		return k.digits(s)
	case hexadecimal:
		return k.hex(s)
	default:
		return k.word(text, s, 26)
	}
}

// Number returns the token of the JSON number raw: a number with the same sign, number of
// digits, decimal point and exponent. That of an integer has the digits that Text gives
// it, so that a number here and text there can be joined. Numbers are told apart by how
// they are written: 1 and 1.0 have different tokens. What is no number becomes 0.
func (t *Tokenizer) Number(raw string) string {
	if end, err := jsonscan.Number([]byte(raw), 0); err != nil || end != len(raw) {
		return "0"
	}
	mantissa, exponent := raw, ""
	if e := strings.IndexAny(raw, "eE"); e >= 0 {
		mantissa, exponent = raw[:e], raw[e:]
	}
	return t.keys.digits(mantissa) + exponent
}

// code is the authentication code of a value of a kind.
func (k *keys) code(of kind, value []byte) (sum [sha256.Size]byte) {
	h := k.macs.Get().(hash.Hash)
	defer k.macs.Put(h)
	h.Reset()
	h.Write(append([]byte{byte(of)}, value...))
	h.Sum(sum[:0])
	return sum
}

// word is n letters and digits, at most 27, with five bits of the code each but for the
// first. That is never a hexadecimal digit: a word is of no other kind than text.
func (k *keys) word(of kind, s string, n int) string {
	sum := k.code(of, []byte(s))
	return "t" + letters.EncodeToString(sum[:])[:n-1]
}

var letters = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
