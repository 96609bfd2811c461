package redact

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/goshadow/shadow/internal/detect"
	"github.com/goshadow/shadow/internal/jsonscan"
	"github.com/goshadow/shadow/internal/media"
	"github.com/goshadow/shadow/internal/message"
	"github.com/goshadow/shadow/internal/pointer"
)

// Part is a message in which leaks are looked for, and what it is called: " of the request".
type Part struct {
	Name string
	Of   *message.Message // nil: there is none
}

// Reported returns the part of a record that m is. If its body is not there as a whole, no more of
// it is reported.
func Reported(name string, m *message.Message) Part {
	if m != nil && m.Truncated {
		whole := *m
		whole.Truncated = false
		m = &whole
	}
	return Part{name, m}
}

// Sent returns the part of a copy that came from the request in: out, with the header h. A field
// that the request came without, and a credential with another value, are the copy's own.
func Sent(in, out *message.Message, h http.Header) Part {
	m := *out
	m.Header = make(http.Header, len(h))
	for name, values := range h {
		before, came := in.Header[name]
		own := !came || IsCredential(http.CanonicalHeaderKey(name)) && !slices.Equal(before, values)
		if !own {
			m.Header[name] = values
		}
	}
	return Part{Of: &m}
}

// Leaks are what was found in messages that had been masked.
type Leaks struct {
	Counts map[detect.Kind]int
	First  detect.Kind
	Place  string // of the first: a pointer as in Diff.Path, and the part it is in

	kinds  detect.Kinds
	unread error // why a body could not be looked into
}

// FindLeaks looks for kinds in parts. It returns nil if nothing was found, and then an error if it
// could not look into a body.
func FindLeaks(kinds detect.Kinds, parts ...Part) (*Leaks, error) {
	l := &Leaks{kinds: kinds}
	for _, p := range parts {
		if p.Of != nil {
			l.search(p)
		}
	}
	switch {
	case len(l.Counts) > 0:
		return l, nil
	case l.unread != nil:
		return nil, l.unread
	}
	return nil, nil
}

// look looks into raw, which is read as r says. Place returns the pointer to an offset in it.
func (l *Leaks) look(part string, raw []byte, r reading, place func(at int) string) {
	if len(raw) == 0 {
		return
	}
	found, err := r.find(nil, raw, l.kinds)
	if err != nil { // it is not what it says it is
		found = findRaw(nil, raw, l.kinds)
	}
	for _, f := range found {
		if l.Counts == nil {
			l.Counts, l.First, l.Place = map[detect.Kind]int{}, f.Kind, place(f.Start)+part
		}
		l.Counts[f.Kind]++
	}
}

// search looks into all of a message, through the gate of the masks.
func (l *Leaks) search(p Part) {
	kind, record := media.Of(p.Of.Header.Get("Content-Type")).Kind, 0
	m := *p.Of // whose URL is set anew
	err := eachText("WithLeakCheck", &m, searched, func(t piece) ([]byte, error) {
		where := t.where
		if t.name != "" {
			where += l.token(t.name)
		}
		if t.leaf != nil {
			switch kind {
			case media.Records:
				where += "/" + strconv.Itoa(record)
				record++
			case media.Multipart, media.Events: // whose names are in no pointer
				t.reading.structure = anyText
			}
		}
		l.look(p.Name, t.raw, t.reading, func(at int) string {
			if t.leaf == nil && t.where != "/query" {
				return where
			}
			return where + l.inText(t.raw, t.reading, at)
		})
		return t.raw, nil
	})
	if err != nil {
		l.unread = err
		l.look(p.Name, p.Of.Body, asBytes, func(int) string { return "/body" })
	}
}

// inText is the pointer to what stands at offset at of a piece of a body, as far as that has
// names in it.
func (l *Leaks) inText(text []byte, r reading, at int) string {
	switch r.structure {
	case jsonText:
		return l.inJSON(text, at)
	case formText:
		return l.field(string(text), at)
	}
	return ""
}

// inJSON is the pointer to the value around offset at of doc, or to the object of which a
// member has its name there. It goes so many levels deep and no further.
func (l *Leaks) inJSON(doc []byte, at int) string {
	const levels = 32
	if jsonscan.Valid(doc, 0) != nil {
		return ""
	}
	var path strings.Builder
	i := jsonscan.Space(doc, 0)
	for range levels {
		if doc[i] != '{' && doc[i] != '[' {
			break
		}
		c := jsonscan.Open(doc, i)
		for c.Next(doc) {
			if c.End, _ = jsonscan.Value(doc, c.Start, 0); at < c.End {
				break
			}
		}
		if at < c.Start {
			break
		}
		name := strconv.Itoa(c.Index)
		if c.Object() {
			name = l.token(string(jsonscan.AppendUnquote(nil, doc[c.Name:c.NameEnd])))
		}
		path.WriteString("/" + name)
		i = c.Start
	}
	return path.String()
}

// field is the token of the field of a form around offset at, empty where the name itself
// is found.
func (l *Leaks) field(form string, at int) string {
	start := strings.LastIndexByte(form[:at], '&') + 1
	name, _, _ := strings.Cut(form[start:], "&")
	name, _, ok := strings.Cut(name, "=")
	if !ok || at < start+len(name) {
		return ""
	}
	if plain, err := url.QueryUnescape(name); err == nil {
		name = plain
	}
	return "/" + l.token(name)
}

// token makes of a name a token of a pointer that can be shown. One that is long, or looks
// like what is looked for, is a value itself.
func (l *Leaks) token(name string) string {
	const longest = 64
	if len(name) > longest || len(detect.Text(nil, []byte(name), l.kinds)) > 0 {
		return Masked
	}
	return pointer.Escape(strings.ToValidUTF8(name, "\uFFFD"))
}
