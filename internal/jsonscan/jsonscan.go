// Package jsonscan is the one JSON tokenizer of the module: strict RFC 8259
// syntax, straight from the bytes, without a tree and without allocation.
//
// Every function takes the whole document and an offset and returns offsets
// into that document, so an error can always say where it is. Nothing is
// modified and nothing is kept: all functions are safe for concurrent use.
//
// Bytes that are not UTF-8 are accepted inside strings and stand for
// themselves: RFC 8259 section 8.1 forbids them, but two answers that carry
// them can still be compared. A byte order mark is not white space (RFC 8259
// section 8.1) and is an error.
package jsonscan

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"strings"
)

// DefaultMaxDepth is how many objects and arrays may be open at once where a
// maxDepth parameter is 0 or less.
const DefaultMaxDepth = 10_000

// SyntaxError says that a document is not JSON, or is nested deeper than
// allowed. Errors of this package are of type *SyntaxError.
type SyntaxError struct {
	Offset int    // of the offending byte; the length of the document where it ends too early
	Msg    string // what was wrong, without the offset
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("invalid JSON at offset %d: %s", e.Offset, e.Msg)
}

// Unexpected returns the error for a document that has something else at offset
// i, or ends there, where want should be.
func Unexpected(b []byte, i int, want string) error {
	if i >= len(b) {
		return &SyntaxError{len(b), "the document ends where " + want + " should be"}
	}
	return &SyntaxError{i, fmt.Sprintf("%q where %s should be", b[i:i+1], want)}
}

// TooDeep returns the error for the container that opens at offset i.
func TooDeep(i, maxDepth int) error {
	return &SyntaxError{i, fmt.Sprintf("nested deeper than %d levels", maxDepth)}
}

// Valid reports whether b is one JSON text: a value with nothing but white
// space around it.
func Valid(b []byte, maxDepth int) error {
	end, err := Value(b, Space(b, 0), maxDepth)
	if err != nil {
		return err
	}
	return End(b, end)
}

// End reports whether nothing but white space follows offset i.
func End(b []byte, i int) error {
	if i = Space(b, i); i < len(b) {
		return Unexpected(b, i, "the end of the document")
	}
	return nil
}

// Space returns the offset of the first byte at or after i that is not JSON
// white space (RFC 8259 section 2), or len(b).
func Space(b []byte, i int) int {
	for i < len(b) {
		switch c := b[i]; {
		case c > ' ':
			return i
		case c == '\n':
			i = columns(b, i+1)
		case c == ' ' || c == '\t' || c == '\r':
			i++
		default:
			return i
		}
	}
	return i
}

// columns skips the spaces of an indentation, eight at a time.
func columns(b []byte, i int) int {
	for {
		rest := b[i:]
		if len(rest) < 8 {
			return i
		}
		others := binary.LittleEndian.Uint64(rest) ^ ' '*ones
		if others != 0 {
			return i + bits.TrailingZeros64(others)>>3
		}
		i += 8
	}
}

// Value returns the offset one past the value that starts at b[i] (no white
// space is skipped), which is validated to its last byte.
//
// Which brackets are open is remembered in the bits of one word. A container
// on the 65th level is left to a call of its own, so the stack grows by one
// small frame for every 64 levels, at most maxDepth/64 of them.
func Value(b []byte, i, maxDepth int) (end int, err error) {
	if maxDepth <= 0 {
		maxDepth = DefaultMaxDepth
	}
	return value(b, i, 0, maxDepth)
}

const wordLevels = 64

func value(b []byte, i, outer, maxDepth int) (int, error) {
	var objects uint64 // a bit per open container, the innermost lowest: 1 is an object
	depth := 0
	var err error
	for {
		// A value starts at i.
		if i >= len(b) {
			return 0, Unexpected(b, i, "a value")
		}
		switch c := b[i]; c {
		case '"':
			i, _, err = String(b, i)
		case '{', '[':
			if outer+depth == maxDepth {
				return 0, TooDeep(i, maxDepth)
			}
			if depth == wordLevels {
				i, err = value(b, i, outer+depth, maxDepth)
				break
			}
			depth++
			objects <<= 1
			i = Space(b, i+1)
			if i < len(b) && b[i] == c+2 { // '}' is '{'+2, ']' is '['+2
				i++
				depth--
				objects >>= 1
				break
			}
			if c == '[' {
				continue
			}
			objects |= 1
			if _, i, _, err = Name(b, i); err != nil {
				return 0, err
			}
			continue
		case 't', 'f', 'n':
			i, err = literal(b, i)
		default:
			i, err = Number(b, i)
		}
		if err != nil {
			return 0, err
		}
		// A value ended at i.
		for {
			if depth == 0 {
				return i, nil
			}
			if i < len(b) && b[i] <= ' ' {
				i = Space(b, i)
			}
			if i >= len(b) {
				return 0, Unexpected(b, i, `"," or a closing bracket`)
			}
			c := b[i]
			if c == ',' {
				i = Space(b, i+1)
				if objects&1 != 0 {
					if _, i, _, err = Name(b, i); err != nil {
						return 0, err
					}
				}
				break
			}
			if c != closing(objects) {
				return 0, Unexpected(b, i, "\",\" or \""+string(closing(objects))+"\"")
			}
			i++
			depth--
			objects >>= 1
		}
	}
}

// closing returns the bracket that closes the innermost container.
func closing(objects uint64) byte { return ']' + byte(objects&1)*('}'-']') }

// Scalar returns the offset one past the string, number or literal that starts
// at b[i].
func Scalar(b []byte, i int) (end int, err error) {
	if i >= len(b) {
		return 0, Unexpected(b, i, "a value")
	}
	switch b[i] {
	case '"':
		end, _, err = String(b, i)
		return end, err
	case 't', 'f', 'n':
		return literal(b, i)
	}
	return Number(b, i)
}

// literal scans true, false or null.
func literal(b []byte, i int) (end int, err error) {
	word := "null"
	switch b[i] {
	case 't':
		word = "true"
	case 'f':
		word = "false"
	}
	for k := range len(word) {
		if i+k >= len(b) || b[i+k] != word[k] {
			return 0, Unexpected(b, i+k, "the rest of "+word)
		}
	}
	return i + len(word), nil
}

// Name scans what stands before a member's value: a string, which starts at
// b[i], and a colon. It returns the offset one past the string's closing quote
// and the offset at which the value should start. Where simple is true the
// name has no escapes.
func Name(b []byte, i int) (end, value int, simple bool, err error) {
	if i >= len(b) || b[i] != '"' {
		return 0, 0, false, Unexpected(b, i, "a member name")
	}
	end, simple, err = String(b, i)
	if err != nil {
		return 0, 0, false, err
	}
	i = end
	if i < len(b) && b[i] <= ' ' {
		i = Space(b, i)
	}
	if i >= len(b) || b[i] != ':' {
		return 0, 0, false, Unexpected(b, i, `":"`)
	}
	i++
	if i < len(b) && b[i] <= ' ' {
		i = Space(b, i)
	}
	return end, i, simple, nil
}

// IsDocument reports whether doc is one whole JSON text that ends by itself: what could follow it
// is no part of it. A number is not one.
func IsDocument(doc []byte) bool {
	start := Space(doc, 0)
	if start == len(doc) || strings.IndexByte(`{["tfn`, doc[start]) < 0 {
		return false // a number could go on
	}
	return Valid(doc, 0) == nil
}
