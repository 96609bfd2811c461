package bodies

import (
	"bytes"
	"errors"
	"mime"
	"net/textproto"
	"strings"
)

var (
	errBoundary = errors.New("multipart without a boundary")
	errPart     = errors.New("multipart with a part whose header does not end")
	errUnclosed = errors.New("multipart without its last boundary")
)

// The fields of a part that are looked at, and how they are called in a path.
const (
	contentType = iota
	contentRange
	disposition
	partFields
)

var (
	fieldNames   = [partFields]string{"Content-Type", "Content-Range", "Content-Disposition"}
	fieldsInPath = [partFields]string{"@content-type", "@content-range", "@filename"}
)

// multipart reads parts (RFC 2046 section 5.1). A line may also end in a bare LF, as in
// package mime/multipart.
func (t *tape) multipart(f format, name int32, start, end, level int) error {
	if f.boundary == "" {
		return errBoundary
	}
	b := boundary{doc: t.doc[:end], first: start, dashes: []byte("--" + f.boundary)}
	k := list
	if f.named {
		k = fields
	}
	n := t.open(name, k, start)
	at, ok := b.next(start)
	if !ok {
		return errBoundary
	}
	for !at.last {
		part := at.next
		if at, ok = b.next(part); !ok {
			return errUnclosed
		}
		if err := t.part(f, part, at, level); err != nil {
			return err
		}
	}
	t.close(n, end)
	return nil
}

// part adds the part that begins at start and ends before a delimiter.
func (t *tape) part(f format, start int, end delimiter, level int) error {
	header, content, ok := t.header(start, end.start)
	if !ok {
		return errPart
	}
	stop := max(content, end.before)
	name := self
	if f.named {
		_, params, _ := mime.ParseMediaType(header.of(t.doc, disposition))
		name = t.names.text(params["name"])
	}
	n := t.open(name, fields, start)
	as := format{kind: formatLines} // text/plain, unless it says another: RFC 2046 section 5.1
	for field, at := range header {
		if !at.ok {
			continue
		}
		value := string(t.doc[at.start:at.end])
		k := plain
		switch field {
		case contentType:
			as, value = formatOf(value), normalType(value)
		case disposition:
			if k, value = fileName, fileNameOf([]byte(value)); value == "" {
				continue
			}
		}
		t.leaf(t.names.text(fieldsInPath[field]), k, at.start, at.end, []byte(value))
	}
	t.content(as, content, stop, level+1)
	t.close(n, stop)
	return nil
}

// content adds the content of a part: by its media type, or as bytes if it is something
// else.
func (t *tape) content(f format, start, end, level int) {
	first := len(t.nodes)
	if t.read(f, self, start, end, level) != nil {
		t.nodes = t.nodes[:first]
		t.leaf(self, opaque, start, end, t.doc[start:end])
	}
}

// normalType spells a media type in one way, without its boundary.
func normalType(contentType string) string {
	if len(contentType) > maxField {
		return contentType
	}
	name, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return contentType
	}
	delete(params, "boundary")
	if charset, ok := params["charset"]; ok {
		params["charset"] = strings.ToLower(charset)
	}
	return mime.FormatMediaType(name, params)
}

// fileNameOf returns the file name in a Content-Disposition field value, "" where there
// is none.
func fileNameOf(disposition []byte) string {
	if len(disposition) > maxField {
		return ""
	}
	_, params, _ := mime.ParseMediaType(string(disposition))
	return params["filename"]
}

// header is where the values of the fields of a part are, the first of each.
type header [partFields]extent

func (h *header) of(doc []byte, field int) string {
	if h[field].end-h[field].start > maxField {
		return ""
	}
	return string(doc[h[field].start:h[field].end])
}

// header reads the fields from start on. Ok is false where no blank line ends them
// before end.
func (t *tape) header(start, end int) (h header, content int, ok bool) {
	last := -1 // the field that a folded line continues
	for at := start; at < end; {
		stop, next := end, end
		if i := bytes.IndexByte(t.doc[at:end], '\n'); i >= 0 {
			stop, next = at+i, at+i+1
		}
		if stop > at && t.doc[stop-1] == '\r' {
			stop--
		}
		line := t.doc[at:stop]
		switch {
		case len(line) == 0:
			return h, next, true
		case line[0] == ' ' || line[0] == '\t': // RFC 5322 section 2.2.3
			if last >= 0 {
				h[last].end = stop
			}
		default:
			name, value, _ := bytes.Cut(line, []byte(":"))
			value = bytes.TrimLeft(value, " \t")
			if last = partField(name); last >= 0 {
				if h[last].ok {
					last = -1
				} else {
					h[last] = extent{stop - len(value), stop, true}
				}
			}
		}
		at = next
	}
	return h, 0, false
}

// partField is the field with a name, -1 where it is none that is looked at.
func partField(name []byte) int {
	name = textproto.TrimBytes(name)
	for field, known := range fieldNames {
		if strings.EqualFold(string(name), known) {
			return field
		}
	}
	return -1
}

// boundary finds the delimiters in a body.
type boundary struct {
	doc    []byte
	first  int // where the body begins
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
		if start == b.first || b.doc[start-1] == '\n' {
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
	if d.before > b.first {
		d.before--
		if d.before > b.first && b.doc[d.before-1] == '\r' {
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
