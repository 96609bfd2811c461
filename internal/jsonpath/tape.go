package jsonpath

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/goshadow/shadow/internal/jsonscan"
)

// A tape is an index of a document: one entry of 16 bytes per value, in document
// order, so what lies below a value are the entries after it up to its next one.
// It is built in one pass and makes every later step independent of the size of
// what is stepped over.
type tape struct {
	doc     []byte
	entries []entry
}

type entry struct {
	start, end uint32 // of the value in the document
	name       uint32 // where the name literal of a member starts; 0: not a member
	next       uint32 // the first entry that is not below this one
}

// newTape validates doc, with at most maxDepth levels of nesting (see jsonscan),
// and indexes it. The error is that of jsonscan.Valid, or says that doc is larger
// than 4 GiB.
func newTape(doc []byte, maxDepth int) (*tape, error) {
	if uint64(len(doc)) > math.MaxUint32 {
		return nil, errors.New("the document is larger than 4 GiB")
	}
	if err := jsonscan.Valid(doc, maxDepth); err != nil {
		return nil, err
	}
	const usual = 16 // bytes of a document per value
	t := &tape{doc: doc, entries: make([]entry, 0, len(doc)/usual+1)}
	var open []uint32 // the containers around the current position
	var name uint32   // of the member whose value comes next
	for i := 0; i < len(doc); {
		switch doc[i] {
		case ' ', '\t', '\n', '\r', ',', ':':
			i++
			continue
		case '}', ']':
			i++
			top := &t.entries[open[len(open)-1]]
			top.end, top.next = uint32(i), uint32(len(t.entries))
			open = open[:len(open)-1]
			continue
		case '"':
			if len(open) > 0 && name == 0 && doc[t.entries[open[len(open)-1]].start] == '{' {
				name = uint32(i)
				i = stringEnd(doc, i)
				continue
			}
		}
		at := uint32(len(t.entries))
		t.entries = append(t.entries, entry{start: uint32(i), name: name, next: at + 1})
		name = 0
		switch doc[i] {
		case '{', '[':
			open = append(open, at)
			i++
			continue
		case '"':
			i = stringEnd(doc, i)
		default:
			for i < len(doc) && !delimits(doc[i]) {
				i++
			}
		}
		t.entries[at].end = uint32(i)
	}
	return t, nil
}

// stringEnd is the end of a string literal known to be valid.
func stringEnd(doc []byte, i int) int {
	end, _, _ := jsonscan.String(doc, i)
	return end
}

// delimits reports whether c ends a number or a word.
func delimits(c byte) bool {
	switch c {
	case ' ', '\t', '\n', '\r', ',', ']', '}':
		return true
	}
	return false
}

func (t *tape) raw(at uint32) []byte {
	e := t.entries[at]
	return t.doc[e.start:e.end]
}

// nameLiteral is the quoted name of the member at.
func (t *tape) nameLiteral(at uint32) []byte {
	start := int(t.entries[at].name)
	return t.doc[start:stringEnd(t.doc, start)]
}

// children appends the entries one level below at, which is an array or object.
func (t *tape) children(at uint32, dst []uint32) []uint32 {
	for c := at + 1; c < t.entries[at].next; c = t.entries[c].next {
		dst = append(dst, c)
	}
	return dst
}

// A Node is a place in a document.
type Node struct {
	Start, End int // the value is doc[Start:End]
	tape       *tape
	at         uint32
}

// Path returns the normalized path of the node (RFC 9535 section 2.7), computed
// on each call in time linear in the document. A lone surrogate in a name is
// written as its \u escape, a byte that is not UTF-8 as U+FFFD.
func (n Node) Path() string {
	path := []byte{'$'}
	for at := uint32(0); at != n.at; {
		array := n.tape.doc[n.tape.entries[at].start] == '['
		child := at + 1
		index := 0
		for n.tape.entries[child].next <= n.at {
			child = n.tape.entries[child].next
			index++
		}
		if array {
			path = append(path, '[')
			path = strconv.AppendInt(path, int64(index), 10)
			path = append(path, ']')
		} else {
			path = append(path, '[', '\'')
			path = appendNormalized(path, jsonscan.AppendUnquote(nil, n.tape.nameLiteral(child)))
			path = append(path, '\'', ']')
		}
		at = child
	}
	return string(path)
}

// appendNormalized appends a decoded name in the spelling of normalized paths.
func appendNormalized(dst, name []byte) []byte {
	for i := 0; i < len(name); {
		r, size := decodeRune(name[i:])
		i += size
		switch {
		case r == '\'' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == '\b':
			dst = append(dst, `\b`...)
		case r == '\f':
			dst = append(dst, `\f`...)
		case r == '\n':
			dst = append(dst, `\n`...)
		case r == '\r':
			dst = append(dst, `\r`...)
		case r == '\t':
			dst = append(dst, `\t`...)
		case r < ' ' || isSurrogate(r):
			dst = fmt.Appendf(dst, `\u%04x`, r)
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return dst
}

func isSurrogate(r rune) bool { return 0xD800 <= r && r <= 0xDFFF }

// decodeRune is utf8.DecodeRune that also decodes a lone surrogate, as
// jsonscan.AppendUnquote encodes it.
func decodeRune(b []byte) (rune, int) {
	if len(b) >= 3 && b[0] == 0xED && 0xA0 <= b[1] && b[1] <= 0xBF && 0x80 <= b[2] && b[2] <= 0xBF {
		return 0xD000 | rune(b[1]&0x3F)<<6 | rune(b[2]&0x3F), 3
	}
	return utf8.DecodeRune(b)
}
