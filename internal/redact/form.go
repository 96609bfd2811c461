package redact

import (
	"bytes"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/goshadow/shadow/internal/media"
)

// Names are names of fields, parameters, cookies or elements, in any case, each with the
// number of times that it was found.
type Names map[string]*atomic.Uint64

// NewNames returns the set of names.
func NewNames(names ...string) Names {
	n := make(Names, len(names))
	for _, name := range names {
		n[strings.ToLower(name)] = new(atomic.Uint64)
	}
	return n
}

// Has reports whether name is one of n, and counts that it was found.
func (n Names) Has(name string) bool {
	found, ok := n[strings.ToLower(name)]
	if ok {
		found.Add(1)
	}
	return ok
}

// Found returns how often name was found.
func (n Names) Found(name string) uint64 { return n[strings.ToLower(name)].Load() }

// HasField reports whether the name of a field is one of n, or has one of them in front of a
// bracket, as email[] and email[home] have: PHP, Rails and qs read these as values of email.
func (n Names) HasField(name string) bool {
	base, _, bracketed := strings.Cut(name, "[")
	return n.Has(name) || bracketed && n.Has(base)
}

// URL masks the query of a URL that is written as u, a fragment that looks like one, and the
// parameters of the segments of its path.
func URL(u string, names Names, r Replacement) string {
	start, end := PathOf(u)
	before, fragment, found := strings.Cut(u[end:], "#")
	masked := u[:start] + PathParameters(u[start:end], names, r)
	if query, ok := strings.CutPrefix(before, "?"); ok {
		if query = string(Form([]byte(query), names, r)); query != "" || before == "?" {
			masked += "?" + query
		}
	} else {
		masked += string(Form([]byte(before), names, r))
	}
	if found {
		masked += "#" + string(Form([]byte(fragment), names, r))
	}
	return masked
}

// PathParameters masks the values of the named parameters of path segments, which stand behind
// semicolons (RFC 3986 section 3.3), such as the jsessionid of servlets.
func PathParameters(escaped string, names Names, r Replacement) string {
	e := edit{doc: []byte(escaped)}
	for at := 0; at < len(escaped); {
		i := strings.IndexByte(escaped[at:], ';')
		if i < 0 {
			break
		}
		start := at + i
		end := len(escaped)
		if i := strings.IndexAny(escaped[start+1:], ";/"); i >= 0 {
			end = start + 1 + i
		}
		name, value, _ := strings.Cut(escaped[start+1:end], "=")
		if at = end; !names.HasField(unescaped(name)) {
			continue
		}
		if r.drop {
			e.replace(start, end, "")
		} else {
			e.replace(start, end, ";"+name+"="+url.PathEscape(r.Text(unescaped(value))))
		}
	}
	return string(e.done())
}

// Form masks the values of the named fields of a query, or of an urlencoded form: every
// occurrence, whatever the spelling of its name.
//
// Some servers take ';' for '&', and to others it is part of a value: a name is looked
// for behind both, and what begins behind '&' ends there too. A name is also looked for
// behind a '?' or '#', where a value is a URL with parameters of its own, and in a value
// that is such a URL, or a form, encoded once more.
func Form(text []byte, names Names, r Replacement) []byte {
	return form(text, names, r, 0)
}

// maxEncodings is how many times a value is decoded in search of parameters.
const maxEncodings = 4

func form(text []byte, names Names, r Replacement, level int) []byte {
	e := edit{doc: text}
	first := true // all fields so far were dropped
	for f := range media.Fields(text) {
		for from := f.Start; from <= f.End; {
			p, ok := names.find(text, f, from)
			if !ok {
				break
			}
			switch {
			case !r.drop:
				value := media.Unescape(nil, text[min(p.name+1, p.stop):p.stop])
				e.replace(p.name, p.stop, "="+url.QueryEscape(r.Text(string(value))))
			case p.start == f.Start && first: // with the separator behind it
				e.replace(p.start, min(p.stop+1, len(text)), "")
			default: // with the separator before it
				e.replace(p.start-1, p.stop, "")
			}
			from = p.stop + 1
		}
		if e.copied <= f.Start && level < maxEncodings && bytes.IndexByte(text[f.Value:f.End], '%') >= 0 {
			inner := media.Unescape(nil, text[f.Value:f.End])
			if masked := form(inner, names, r, level+1); !bytes.Equal(masked, inner) {
				e.replace(f.Value, f.End, url.QueryEscape(string(masked)))
			}
		}
		first = first && e.copied >= f.End
	}
	return e.done()
}

// parameter is text[start:stop], whose name ends at name.
type parameter struct{ start, name, stop int }

// find returns the first parameter in a field, from there on, that has one of the names.
func (n Names) find(text []byte, f media.Field, from int) (p parameter, ok bool) {
	for {
		p = parameter{start: from, name: f.End, stop: f.End}
		if i := bytes.IndexAny(text[from:f.End], "=;?#"); i >= 0 {
			p.name = from + i
		}
		if from > f.Start && text[from-1] == ';' {
			if i := bytes.IndexByte(text[from:f.End], ';'); i >= 0 {
				p.stop = from + i
			}
		}
		if n.HasField(string(media.Unescape(nil, text[p.start:p.name]))) {
			return p, true
		}
		i := bytes.IndexAny(text[from:f.End], ";?#")
		if i < 0 {
			return p, false
		}
		from += i + 1
	}
}
