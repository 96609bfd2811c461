package shadow

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/goshadow/shadow/internal/composite"
	"github.com/goshadow/shadow/internal/fields"
	"github.com/goshadow/shadow/internal/redact"
	"github.com/goshadow/shadow/internal/token"
)

// The maskers, by where a value stands:
//
//	mask_header.go  MaskHeaders, MaskCookies, DropCredentials, SetHeader
//	mask_url.go     MaskQuery, MaskPath
//	mask_body.go    MaskJSON, MaskForm, MaskXML, and AllowBodies
//	mask_text.go    MaskPatterns, which looks everywhere
//
// Each finds values; what takes their place is a Replacement. The walks over encoded data
// are in internal/redact.

// maskedText stands in the place of a value that was masked.
const maskedText = redact.Masked

// Replacement is what takes the place of a masked value: see Redact, Drop, Hash and
// Tokenize. It is given to maskers by MaskWith, is safe for concurrent use, and prints
// nothing of a key.
type Replacement interface {
	replacement() (redact.Replacement, error)
}

// Redact replaces a value by "[masked]", whatever it was: a JSON object or an XML element
// goes as a whole. It is what every masker does by itself, and the right choice where
// nobody needs to tell values apart.
func Redact() Replacement { return replacement{name: "Redact"} }

// Drop removes a value together with what names it: the header field, the cookie, the
// parameter, the form field or part, the JSON member or element, the XML element or
// attribute, the segment of the path. Of a text in which a pattern was found it removes
// the match.
func Drop() Replacement { return replacement{name: "Drop", with: redact.Drop()} }

// Hash replaces a value by 16 hexadecimal digits of an HMAC-SHA-256 (RFC 2104) under a
// random key that this call makes and that never leaves the process. So equal values have
// equal hashes wherever this one Replacement is used, and nowhere else: not after a restart,
// not on another replica, and not under a second Hash(). Use Tokenize for that.
//
// Of JSON objects and XML elements each value in them is replaced, and their shape
// survives: null stays null, a boolean becomes false, a number becomes a string.
func Hash() Replacement { return replacement{name: "Hash", with: redact.Tokens(newHasher())} }

// Tokenize replaces a value by a token made of it and key, in all places and processes
// that use the same key: equal values get equal tokens, different values different ones,
// and a token looks like what it stands for. An e-mail address becomes one, digits become
// as many digits that pass Luhn's check where they did, a UUID a UUID, a date a date. So a
// shadow accepts what it is sent, and joins and comparisons survive. JSON and XML are
// replaced value by value, as by Hash, but numbers stay numbers.
//
// The key must be random and at least 16 bytes long; Tokenize keeps no reference to it.
// Who has it can undo or guess tokens: this is pseudonymisation, not anonymisation. A new
// key means new tokens everywhere, so give it to all replicas at once, and change it where
// nothing is to be joined any more, such as between two releases. Very short numbers have few
// values to hide among: redact those instead.
func Tokenize(key []byte) Replacement {
	t, err := token.New(key)
	if err != nil {
		return replacement{name: "Tokenize", err: fmt.Errorf("Tokenize: %w", err)}
	}
	return replacement{name: "Tokenize", with: redact.Tokens(t)}
}

type replacement struct {
	name string
	with redact.Replacement
	err  error
}

func (r replacement) replacement() (redact.Replacement, error) { return r.with, r.err }

// String names the Replacement.
func (r replacement) String() string { return r.name }

// replaceable is a Masker whose replacement can be chosen.
type replaceable interface {
	with(r redact.Replacement) Masker
}

// replacing is what each of them has in it.
type replacing struct{ r redact.Replacement }

// MaskWith masks what the maskers m find, with r in the place of "[masked]":
//
//	shadow.MaskWith(shadow.Tokenize(key), shadow.MaskJSON("$..email"), shadow.MaskQuery("email"))
//
// It takes the built-in maskers that find values. Others, and r itself where its key is no
// good, are an error of New.
func MaskWith(r Replacement, m ...Masker) Masker {
	all := newMaskAll("MaskWith", m)
	if isNil(r) {
		all.err = errors.Join(all.err, errors.New("MaskWith: nil Replacement"))
		return all
	}
	with, err := r.replacement()
	if err != nil {
		all.err = errors.Join(all.err, fmt.Errorf("MaskWith: %w", err))
	}
	for i, masker := range all.list {
		if one, ok := masker.(replaceable); ok {
			all.list[i] = one.with(with)
		} else if !isNil(masker) {
			all.err = errors.Join(all.err, fmt.Errorf("MaskWith: %T does not look for values that %v could replace", masker, r))
		}
	}
	return all
}

// MaskAll masks with each of m in turn. It stops at the first error. See AllowBodies for
// the bodies that none of them looks into.
func MaskAll(m ...Masker) Masker { return newMaskAll("MaskAll", m) }

// newMaskAll returns the maskers of m, with those of a MaskAll or a Policy among them in its
// place.
func newMaskAll(name string, m []Masker) *maskAll {
	return &maskAll{list: composite.Flat(m), err: composite.Faults(name, m)}
}

type maskAll struct {
	composite.InTurn
	list []Masker
	err  error
}

func (m *maskAll) Unwrap() []Masker { return m.list }
func (m *maskAll) Fault() error     { return m.err }

func (m *maskAll) Mask(msg *Message) error {
	if m.err != nil {
		return m.err
	}
	if err := m.uncovered(msg); err != nil {
		return err
	}
	return m.mask(msg)
}

// record masks a message that is to be reported. There a body that no rule looks into is
// no fault: the record does without.
func (m *maskAll) record(msg *Message) error {
	uncovered, body := m.uncovered(msg), msg.Body
	if err := m.mask(msg); err != nil {
		return err
	}
	if uncovered != nil {
		msg.Body, msg.Truncated = nil, true
	}
	if !bytes.Equal(body, msg.Body) {
		msg.Digest = 0
		eachValue(msg, func(name, value string) string {
			if name = http.CanonicalHeaderKey(name); name == "Etag" || slices.Contains(fields.Digests, name) {
				return maskedText
			}
			return value
		})
	}
	return nil
}

func (m *maskAll) mask(msg *Message) error {
	if m.err != nil {
		return m.err
	}
	for _, masker := range m.list {
		if err := masker.Mask(msg); err != nil {
			return err
		}
	}
	return nil
}

// renames tells whether one of the maskers of m may change the names in a body, and not
// only what they name.
func (m *maskAll) renames() bool {
	for _, masker := range m.list {
		switch masker.(type) {
		case *maskText:
			return true
		case replaceable, *allowBodies, *dropCredentials, *hideCredentials, *setHeader:
		default:
			return true
		}
	}
	return false
}
