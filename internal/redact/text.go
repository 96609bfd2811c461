package redact

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goshadow/shadow/internal/jsonscan"
	"github.com/goshadow/shadow/internal/media"
)

// Finder finds what is to be hidden in a text.
type Finder interface {
	// Find appends where it is, as offsets, in any order.
	Find(spans [][2]int, text []byte) [][2]int
}

// Texts replaces what a Finder finds, wherever text is. It is for one goroutine.
type Texts struct {
	Finder      Finder
	Replacement Replacement
	spans       [][2]int // scratch
	plain       []byte   // scratch
}

// Text masks plain text. It returns text itself where nothing was found.
func (t *Texts) Text(text []byte) []byte { return t.replace(text, t.Replacement.Text) }

func (t *Texts) replace(text []byte, with func(string) string) []byte {
	t.spans = t.Finder.Find(t.spans[:0], text)
	if len(t.spans) == 0 {
		return text
	}
	slices.SortFunc(t.spans, func(a, b [2]int) int { return a[0] - b[0] })
	e := edit{doc: text}
	for i := 0; i < len(t.spans); {
		start, end := t.spans[i][0], t.spans[i][1]
		for i++; i < len(t.spans) && t.spans[i][0] < end; i++ { // overlapping ones are one
			end = max(end, t.spans[i][1])
		}
		if start < end {
			e.replace(start, end, with(string(text[start:end])))
		}
	}
	return e.done()
}

// String masks plain text.
func (t *Texts) String(s string) string {
	t.plain = append(t.plain[:0], s...)
	masked := t.Text(t.plain)
	if string(masked) == s {
		return s
	}
	return string(masked)
}

// JSON masks the strings, numbers and member names of a JSON text, each decoded. A number
// in which something was found becomes a string, unless it is a number again.
//
// A string that holds an object or an array is masked as that: it stays JSON.
func (t *Texts) JSON(doc []byte) ([]byte, error) {
	if err := jsonscan.Valid(doc, 0); err != nil {
		return nil, err
	}
	return t.json(doc, 0), nil
}

// json masks doc, which is inside of so many other documents.
func (t *Texts) json(doc []byte, inside int) []byte {
	e := edit{doc: doc}
	var decoded []byte
	for s := range scalars(doc, 0) {
		raw := doc[s.start:s.end]
		switch raw[0] {
		case 't', 'f', 'n':
		case '"':
			value := raw[1 : len(raw)-1]
			if escaped(value) {
				decoded = jsonscan.AppendUnquote(decoded[:0], raw)
				value = decoded
			}
			if mayNest(raw[1:len(raw)-1]) && holdsJSON(value, inside) {
				if masked := t.json(value, inside+1); string(masked) != string(value) {
					e.replace(s.start, s.end, quote(string(masked)))
				}
				break
			}
			if masked := t.Text(value); len(masked) != len(value) || string(masked) != string(value) {
				e.replace(s.start, s.end, quote(string(masked)))
			}
		default:
			masked := t.Text(raw)
			if string(masked) == string(raw) {
				break
			}
			with := quote(string(masked))
			if t.Replacement.token != nil && len(t.spans) == 1 && t.spans[0] == [2]int{0, len(raw)} {
				with = t.Replacement.token.Number(string(raw))
			} else if end, err := jsonscan.Scalar(masked, 0); err == nil && end == len(masked) && t.Replacement.token != nil {
				with = string(masked)
			}
			e.replace(s.start, s.end, with)
		}
	}
	return e.done()
}

var errNotText = errors.New("text in an encoding that does not contain ASCII")

// Lines masks text that says nothing of its structure: the values of a JSON text, or all
// of it. What contains NUL is not text, or UTF-16.
func (t *Texts) Lines(text []byte) ([]byte, error) {
	if holdsJSON(text, 0) {
		return t.json(text, 0), nil
	}
	if slices.Contains(text, 0) {
		return nil, errNotText
	}
	return t.Text(text), nil
}

// IsText reports whether bytes of which nothing is known are text: UTF-8 without NUL.
func IsText(body []byte) bool { return utf8.Valid(body) && !slices.Contains(body, 0) }

// URL masks the segments of the path of a URL, as it is written, and the names and values
// of its query and fragment, each decoded, and then the URL as a whole.
func (t *Texts) URL(u string) string {
	var out strings.Builder
	for rest, separator := u, byte('/'); ; {
		i := strings.IndexAny(rest, "/?#&=;")
		piece := rest
		if i >= 0 {
			piece = rest[:i]
		}
		switch plain := unescaped(piece); separator {
		case '/':
			if masked := t.String(plain); masked != plain {
				piece = url.PathEscape(masked)
			}
		default:
			value := media.Unescape(nil, []byte(piece))
			if holdsJSON(value, 0) {
				if masked := t.json(value, 1); string(masked) != string(value) {
					piece = url.QueryEscape(string(masked))
				}
				break
			}
			if masked := t.String(string(value)); masked != string(value) {
				piece = url.QueryEscape(masked)
			}
		}
		out.WriteString(piece)
		if i < 0 {
			return string(t.replace([]byte(out.String()), func(s string) string { return url.QueryEscape(t.Replacement.Text(s)) }))
		}
		if rest[i] != '/' || separator == '/' { // a slash in a query begins no path
			separator = rest[i]
		}
		out.WriteByte(rest[i])
		rest = rest[i+1:]
	}
}

// mask masks t, each of its pieces decoded.
func (t *Texts) mask(of piece) ([]byte, error) {
	switch s := string(of.raw); {
	case of.leaf != nil:
		return t.leaf(*of.leaf)
	case of.where == "/path":
		masked := t.URL(s)
		plain := unescaped(masked)
		if whole := t.String(plain); whole != plain { // over several segments
			return []byte((&url.URL{Path: whole}).EscapedPath()), nil
		}
		return []byte(masked), nil
	case of.where == "/query":
		return t.form(of.raw), nil
	case of.where == "/fragment" || of.where == "/user" || strings.IndexByte(s, '%') >= 0:
		return []byte(t.URL(s)), nil
	}
	return t.Text(of.raw), nil
}

// leaf masks a piece of a body.
func (t *Texts) leaf(l Leaf) ([]byte, error) {
	switch {
	case l.Kind == media.JSON:
		return t.JSON(l.Text)
	case l.Kind == media.XML:
		return t.XML(l.Text)
	case l.Kind == media.Form && !LooksLikeJSON(l.Text):
		return t.form(l.Text), nil
	}
	return t.Lines(l.Text)
}

// form masks the names and values of a form, or of a query.
func (t *Texts) form(raw []byte) []byte {
	return []byte(strings.TrimPrefix(t.URL("?"+string(raw)), "?"))
}
