// Package redact replaces values in messages and leaves every other byte as it is. It is the engine
// behind the maskers of the root and the leak check.
//
//	rule.go          Rule, a mask for messages: its parts, and what is known of it
//	coverage.go      which bodies the rules look into: others fail closed
//	gate.go, body.go the one gate to bodies, and the walk through bodies inside of bodies
//	encoded.go       the one walk through the texts of a message; nested.go: documents in values
//	json.go, form.go, xml.go, multipart.go, events.go  one format each
//	header.go, cookie.go, query.go, path.go, url.go, credentials.go  header fields and URLs
//	patterns.go, text.go, detected.go, leak.go  what is found by its looks
//	replacement.go, hash.go  what takes the place of a value
//
// Values are found where package media and package jsonscan find them, which the comparisons use
// too. What cannot be read to its end is an error: it may hold anything.
package redact

import (
	"cmp"
	"fmt"

	"github.com/goshadow/shadow/internal/token"
)

// Masked stands in the place of a value that was redacted.
const Masked = "[masked]"

// Replacement is what takes the place of a value. The zero value is Masked.
type Replacement struct {
	Name string // of the constructor in the root; empty for the zero value, which is Redact
	Err  error  // what is wrong with its arguments

	drop  bool
	token Tokenizer
}

// String names the constructor.
func (r Replacement) String() string { return cmp.Or(r.Name, "Redact") }

// Drop leaves nothing: a member goes with its name, a field with its separator.
func Drop() Replacement { return Replacement{Name: "Drop", drop: true} }

// Tokens puts in the place of a value what t makes of it.
func Tokens(t Tokenizer) Replacement { return Replacement{token: t} }

// Tokenize puts tokens under a key in the places of values. It keeps no reference to the key.
func Tokenize(key []byte) Replacement {
	t, err := token.New(key)
	if err != nil {
		return Replacement{Name: "Tokenize", Err: fmt.Errorf("Tokenize: %w", err)}
	}
	return Replacement{Name: "Tokenize", token: t}
}

// Tokenizer makes tokens, equal ones of equal values. It is safe for concurrent use.
type Tokenizer interface {
	Text(s string) string     // of a decoded text
	Number(raw string) string // of a JSON number: a JSON text
}

// Drops reports whether r leaves nothing.
func (r Replacement) Drops() bool { return r.drop }

// Tokens reports whether what takes the place of a value may look like it.
func (r Replacement) Tokens() bool { return r.token != nil }

// Number is what takes the place of a JSON number: a JSON text.
func (r Replacement) Number(raw string) string {
	if r.token != nil {
		return r.token.Number(raw)
	}
	return quote(r.Text(raw))
}

// Text is what takes the place of a decoded text.
func (r Replacement) Text(s string) string {
	switch {
	case r.drop:
		return ""
	case r.token != nil:
		return r.token.Text(s)
	}
	return Masked
}

// edit copies a document with parts of it replaced.
type edit struct {
	doc    []byte
	out    []byte // doc up to copied, with replacements; nil while there are none
	copied int
}

// replace puts with in the place of doc[start:end], which comes after what was replaced
// before.
func (e *edit) replace(start, end int, with string) {
	e.keep(start)
	e.out = append(e.out, with...)
	e.copied = end
}

// keep copies what comes before start.
func (e *edit) keep(start int) {
	if e.out == nil {
		e.out = make([]byte, 0, len(e.doc)+len(e.doc)/8+64) // as a rule enough for all
	}
	e.out = append(e.out, e.doc[e.copied:start]...)
}

// done returns the document, doc itself where nothing was replaced.
func (e *edit) done() []byte {
	if e.out == nil {
		return e.doc
	}
	return append(e.out, e.doc[e.copied:]...)
}

// quote returns a JSON string whose value, by jsonscan.AppendUnquote, is s.
func quote(s string) string {
	out := append(make([]byte, 0, len(s)+2), '"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		case c < ' ':
			out = fmt.Appendf(out, "\\u%04x", c)
		case c == 0xed && i+2 < len(s) && s[i+1] >= 0xa0: // a surrogate without its partner
			out = fmt.Appendf(out, "\\u%04x", 0xd000|uint(s[i+1]&0x3f)<<6|uint(s[i+2]&0x3f))
			i += 2
		default:
			out = append(out, c)
		}
	}
	return string(append(out, '"'))
}
