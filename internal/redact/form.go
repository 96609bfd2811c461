package redact

import (
	"bytes"
	"errors"
	"net/url"
	"slices"

	"github.com/goshadow/shadow/internal/media"
	"github.com/goshadow/shadow/internal/message"
)

// MaskForm masks the named fields of forms.
func MaskForm(names ...string) *Rule {
	set := NewNames(names...)
	r := &Rule{Option: "MaskForm", Given: slices.Clone(names), values: true, reads: true, covers: isForm, hides: set.HasField}
	if set[""] != nil {
		r.Err = errors.New("MaskForm: empty name")
	}
	r.Found = func(i int) uint64 { return set.Found(r.Given[i]) }
	r.mask = func(m *message.Message, with Replacement) error {
		walk := Walk{
			Looks: isForm,
			Leaf:  func(l Leaf) ([]byte, error) { return Form(l.Text, set, with), nil },
			Part:  func(name string) (Replacement, bool) { return with, set.HasField(name) },
		}
		return walk.message(r.Option, m)
	}
	return r
}

// isForm reports whether MaskForm looks into a piece of a body: a form, or the field of a form that
// comes as a part. Files and documents in such parts, and what only says that it is a form, are for
// other rules.
func isForm(l Leaf) bool { return l.Plain || l.Kind == media.Form && LooksLikeForm(l.Text) }

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
