package media

import (
	"bytes"
	"errors"
	"iter"
	"net/textproto"
	"strings"
)

// What is wrong with a body that is called multipart.
var (
	ErrBoundary = errors.New("multipart without a boundary")
	ErrPart     = errors.New("multipart with a part whose header does not end")
	ErrUnclosed = errors.New("multipart without its last boundary")
)

// Part is a part of a multipart body, as offsets.
type Part struct {
	Delimiter int // where the line before it begins
	Start     int // of its header
	Header    []PartField
	Content   int // where its content begins
	End       int // where its content ends
	Next      int // where the line after it begins
}

// PartField is a header field of a part, as offsets: its line is doc[Line:Next], its name
// doc[Line:Name], its value doc[Value:End]. A folded value has line breaks in it.
type PartField struct{ Line, Name, Value, End, Next int }

// Field returns the first field of a name, in any case.
func (p *Part) Field(doc []byte, name string) (f PartField, ok bool) {
	for _, f := range p.Header {
		if f.Is(doc, name) {
			return f, true
		}
	}
	return PartField{}, false
}

// Is reports whether a field has a name, in any case.
func (f PartField) Is(doc []byte, name string) bool {
	return strings.EqualFold(string(textproto.TrimBytes(doc[f.Line:f.Name])), name)
}

// Text returns the value of a field, "" where it is too long to be looked at.
func (f PartField) Text(doc []byte) string {
	if f.End-f.Value > MaxField {
		return ""
	}
	return string(doc[f.Value:f.End])
}

// Parts yields the parts of a multipart body (RFC 2046 section 5.1). A line may also end
// in a bare LF, as in package mime/multipart. It stops at what is wrong. A Part is valid
// until the next.
func Parts(doc []byte, delimited string) iter.Seq2[*Part, error] {
	return func(yield func(*Part, error) bool) {
		if delimited == "" {
			yield(nil, ErrBoundary)
			return
		}
		b := boundary{doc: doc, dashes: []byte("--" + delimited)}
		at, ok := b.next(0)
		if !ok {
			yield(nil, ErrBoundary)
			return
		}
		var p Part
		for !at.last {
			p = Part{Delimiter: at.start, Start: at.next, Header: p.Header[:0]}
			if at, ok = b.next(p.Start); !ok {
				yield(nil, ErrUnclosed)
				return
			}
			if !p.header(doc[:at.start]) {
				yield(nil, ErrPart)
				return
			}
			p.End, p.Next = max(p.Content, at.before), at.start
			if !yield(&p, nil) {
				return
			}
		}
	}
}

// header reads the fields of p. It returns false where no blank line ends them before
// the end of doc.
func (p *Part) header(doc []byte) bool {
	for at := p.Start; at < len(doc); {
		stop, next := len(doc), len(doc)
		if i := bytes.IndexByte(doc[at:], '\n'); i >= 0 {
			stop, next = at+i, at+i+1
		}
		if stop > at && doc[stop-1] == '\r' {
			stop--
		}
		line := doc[at:stop]
		switch {
		case len(line) == 0:
			p.Content = next
			return true
		case line[0] == ' ' || line[0] == '\t': // RFC 5322 section 2.2.3
			if last := len(p.Header) - 1; last >= 0 {
				p.Header[last].End, p.Header[last].Next = stop, next
			}
		default:
			name, value, _ := bytes.Cut(line, []byte(":"))
			value = bytes.TrimLeft(value, " \t")
			p.Header = append(p.Header, PartField{Line: at, Name: at + len(name), Value: stop - len(value), End: stop, Next: next})
		}
		at = next
	}
	return false
}

// boundary finds the delimiters in a body.
type boundary struct {
	doc    []byte
	dashes []byte
}

// delimiter is a line that ends a part.
type delimiter struct {
	before int // the end of the content before it
	start  int
	next   int // after the line
	last   bool
}

// next finds the next delimiter from at on, which is the beginning of a line.
func (b *boundary) next(at int) (d delimiter, ok bool) {
	for at < len(b.doc) {
		i := bytes.Index(b.doc[at:], b.dashes)
		if i < 0 {
			return d, false
		}
		start := at + i
		if start == 0 || b.doc[start-1] == '\n' {
			if d, ok = b.at(start); ok {
				return d, true
			}
		}
		i = bytes.IndexByte(b.doc[start:], '\n')
		if i < 0 {
			return d, false
		}
		at = start + i + 1
	}
	return d, false
}

// at reads the delimiter at start, which has its dashes.
func (b *boundary) at(start int) (d delimiter, ok bool) {
	d.start, d.before = start, start
	if d.before > 0 {
		d.before--
		if d.before > 0 && b.doc[d.before-1] == '\r' {
			d.before--
		}
	}
	d.next = start + len(b.dashes)
	if bytes.HasPrefix(b.doc[d.next:], []byte("--")) {
		d.next += 2
		d.last = true
	}
	rest := bytes.TrimLeft(b.doc[d.next:], " \t") // padding: RFC 2046 section 5.1.1
	switch {
	case len(rest) == 0:
		d.next = len(b.doc)
		return d, d.last
	case rest[0] == '\n':
		d.next = len(b.doc) - len(rest) + 1
	case bytes.HasPrefix(rest, []byte("\r\n")):
		d.next = len(b.doc) - len(rest) + 2
	default:
		return d, false
	}
	return d, true
}
