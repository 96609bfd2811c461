package redact

import (
	"bytes"
	"net/url"
	"strings"

	"github.com/goshadow/shadow/internal/media"
)

// Names are names of fields, parameters, cookies or elements, in any case.
type Names map[string]bool

// NewNames returns the set of names.
func NewNames(names ...string) Names {
	n := make(Names, len(names))
	for _, name := range names {
		n[strings.ToLower(name)] = true
	}
	return n
}

// Has tells whether name is one of n.
func (n Names) Has(name string) bool { return n[strings.ToLower(name)] }

// URL masks the query of a URL that is written as u, and a fragment that looks like one.
func URL(u string, names Names, r Replacement) string {
	before, fragment, found := strings.Cut(u, "#")
	masked := string(Form([]byte(before), names, r))
	if found {
		masked += "#" + string(Form([]byte(fragment), names, r))
	}
	return masked
}

// Form masks the values of the named fields of a query, or of an urlencoded form: every
// occurrence, whatever the spelling of its name.
//
// Some servers take ';' for '&', and to others it is part of a value: a name is looked
// for behind both, and what begins behind '&' ends there too. A name is also looked for
// behind a '?', where a value is a URL with parameters of its own, and in a value that is
// such a URL, or a form, encoded once more.
func Form(text []byte, names Names, r Replacement) []byte {
	return form(text, names, r, 0)
}

// maxEncodings is how many times a value is decoded in search of parameters.
const maxEncodings = 4

func form(text []byte, names Names, r Replacement, level int) []byte {
	e := edit{doc: text}
	gap := true // nothing stands before: the separator behind goes with a field that is dropped
	for f := range media.Fields(text) {
		from := f.Start
		for from <= f.End {
			stop, separator := f.End, byte('&')
			if from > f.Start {
				separator = text[from-1]
			}
			if i := bytes.IndexByte(text[from:f.End], ';'); i >= 0 && separator == ';' {
				stop = from + i
			}
			name := text[from:stop]
			if i := bytes.IndexAny(name, "=;?"); i >= 0 {
				name = name[:i]
			}
			if !names.Has(string(media.Unescape(nil, name))) {
				i := bytes.IndexAny(text[from:f.End], ";?")
				if i < 0 {
					break
				}
				from += i + 1
				continue
			}
			value := min(from+len(name)+1, stop)
			switch {
			case !r.drop:
				e.replace(from+len(name), stop, "="+url.QueryEscape(r.Text(string(media.Unescape(nil, text[value:stop])))))
			case from > f.Start: // with the separator before it
				e.replace(from-1, stop, "")
			case gap && stop < len(text):
				e.replace(from, stop+1, "")
			case gap:
				e.replace(from, stop, "")
			default:
				e.replace(from-1, stop, "")
			}
			from = stop + 1
		}
		if e.copied <= f.Start && level < maxEncodings && bytes.IndexByte(text[f.Value:f.End], '%') >= 0 {
			inner := media.Unescape(nil, text[f.Value:f.End])
			if masked := form(inner, names, r, level+1); !bytes.Equal(masked, inner) {
				e.replace(f.Value, f.End, url.QueryEscape(string(masked)))
			}
		}
		gap = gap && e.copied >= f.End
	}
	return e.done()
}
