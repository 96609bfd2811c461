package redact

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/goshadow/shadow/internal/detect"
	"github.com/goshadow/shadow/internal/jsonscan"
	"github.com/goshadow/shadow/internal/media"
	"github.com/goshadow/shadow/internal/message"
)

// MaskDetected masks what looks like one of the kinds, wherever it stands.
func MaskDetected(kinds ...string) *Rule {
	r := &Rule{Option: "MaskDetected", values: true, reads: true, covers: isTextual, texts: true}
	set, err := KindsOf("MaskDetected", kinds)
	r.Err = err
	r.mask = func(m *message.Message, with Replacement) error {
		return (&detected{r: with, kinds: set}).mask(m)
	}
	return r
}

// KindsOf returns the set of kinds, all where there are none.
func KindsOf(where string, kinds []string) (set detect.Kinds, err error) {
	if len(kinds) == 0 {
		return detect.All, nil
	}
	for _, kind := range kinds {
		k, ok := detect.Named(kind)
		if !ok {
			err = errors.Join(err, fmt.Errorf("%s: %q is no DetectorKind", where, kind))
			continue
		}
		set |= detect.Of(k)
	}
	return set, err
}

type detected struct {
	r     Replacement
	kinds detect.Kinds
}

func (m *detected) mask(msg *message.Message) error {
	if err := m.fields(msg.Header); err != nil {
		return err
	}
	if err := m.fields(msg.Trailer); err != nil {
		return err
	}
	if err := m.url(msg); err != nil {
		return err
	}
	return m.body(msg)
}

func (m *detected) fields(h http.Header) error {
	for name, values := range h {
		if framing[http.CanonicalHeaderKey(name)] {
			continue
		}
		var changed []string
		for i, v := range values {
			masked, err := m.text(v, fieldReading(name))
			if err != nil {
				return err
			}
			if masked != v {
				if changed == nil {
					changed = append(changed, values...)
				}
				changed[i] = masked
			}
		}
		if changed != nil {
			h[name] = changed
		}
	}
	return nil
}

func (m *detected) url(msg *message.Message) error {
	if msg.URL == nil {
		return nil
	}
	u := *msg.URL
	path, err := m.text(u.EscapedPath(), asPath)
	if err != nil {
		return err
	}
	if path != u.EscapedPath() {
		plain, err := url.PathUnescape(path)
		if err != nil {
			return err
		}
		u.Path, u.RawPath = plain, path
	}
	if u.RawQuery, err = m.text(u.RawQuery, asURL); err != nil {
		return err
	}
	if u.Opaque, err = m.text(u.Opaque, asPath); err != nil {
		return err
	}
	fragment, err := m.text(u.EscapedFragment(), asPath)
	if err != nil {
		return err
	}
	maskFragment(&u, func(string) string { return fragment })
	if u.User != nil {
		user, err := m.text(u.User.String(), asURL)
		if err != nil {
			return err
		}
		if user != u.User.String() {
			u.User = url.User(Masked)
		}
	}
	msg.URL = &u
	return nil
}

func (m *detected) body(msg *message.Message) error {
	var failed error
	walk := Walk{
		Looks: searched,
		Leaf:  func(l Leaf) ([]byte, error) { return m.rewrite(l.Text, leafReading(l)) },
		Text: func(text []byte) []byte {
			masked, err := m.rewrite(text, asText)
			failed = errors.Join(failed, err)
			return masked
		},
	}
	err := walk.message("MaskDetected", msg)
	return errors.Join(err, failed)
}

// text is rewrite for a string.
func (m *detected) text(s string, r reading) (string, error) {
	if s == "" {
		return s, nil
	}
	text := []byte(s)
	masked, err := m.rewrite(text, r)
	if err != nil {
		return "", &Error{"MaskDetected", err}
	}
	if bytes.Equal(masked, text) {
		return s, nil
	}
	return string(masked), nil
}

// rewrite replaces what is found until nothing is: what stood beside a finding may look
// like one once that is gone. Tokens look like what they stand for: they are made once.
//
// JSON that is a value in JSON or in a form is masked as what it is.
func (m *detected) rewrite(text []byte, r reading) ([]byte, error) {
	return m.within(text, r, 0)
}

// within is rewrite for text that is inside of so many other documents.
func (m *detected) within(text []byte, r reading, inside int) (_ []byte, err error) {
	var nested [][2]int // where there are values that were masked by themselves
	if r.nested != nil && inside < MaxNesting {
		text, nested, err = r.nested(text, func(inner []byte) ([]byte, error) { return m.within(inner, asJSON, inside+1) })
		if err != nil {
			return nil, err
		}
	}
	const rounds = 8
	for range rounds {
		found, err := r.find(nil, text, m.kinds)
		if m.r.Tokens() { // which are not tokenised once more
			found = slices.DeleteFunc(found, func(f detect.Finding) bool {
				return slices.ContainsFunc(nested, func(at [2]int) bool { return at[0] <= f.Start && f.Start < at[1] })
			})
		}
		if err != nil || len(found) == 0 {
			return text, err
		}
		out := make([]byte, 0, len(text)+len(found)*len(`""`+Masked))
		copied := 0
		number, other := m.r.Number(""), r.write(m.r.Text(""))
		for _, f := range found {
			if raw := text[f.Start:f.End]; m.r.Tokens() { // which are not the same for all
				number, other = m.r.Number(string(raw)), r.write(m.r.Text(r.read(raw)))
			}
			with := other
			if f.Number {
				with = number
			}
			out = append(append(out, text[copied:f.Start]...), with...)
			copied = f.End
		}
		if text = append(out, text[copied:]...); m.r.Tokens() {
			return text, nil
		}
	}
	return nil, errors.New("something is found however often it is masked")
}

// reading is how a text is read: what is found in it, and how values are written there.
type reading struct {
	structure structure
	read      func(raw []byte) string
	write     func(value string) string
	find      func(dst []detect.Finding, text []byte, kinds detect.Kinds) ([]detect.Finding, error)
	nested    func(text []byte, mask func(inner []byte) ([]byte, error)) (masked []byte, at [][2]int, err error) // nil: nothing
}

// structure is what is known of a text.
type structure uint8

const (
	anyText structure = iota
	formText
	jsonText
)

var (
	asJSON  = reading{jsonText, readJSON, writeJSON, detect.JSON, NestedJSON}
	asText  = reading{anyText, readText, writeText, findText, nil}
	asURL   = reading{formText, readForm, url.QueryEscape, findForm, NestedForm} // a form too
	asPath  = reading{anyText, readPath, url.PathEscape, findForm, nil}
	asBytes = reading{anyText, nil, nil, findNone, nil} // which is an error, not a finding
)

// readJSON and writeJSON are about what is inside of the quotes.
func readJSON(raw []byte) string {
	return string(jsonscan.AppendUnquote(nil, slices.Concat([]byte{'"'}, raw, []byte{'"'})))
}

func writeJSON(value string) string {
	literal, _ := json.Marshal(value) // of a string there is no error
	return string(literal[1 : len(literal)-1])
}

func readText(raw []byte) string    { return string(raw) }
func writeText(value string) string { return value }
func readForm(raw []byte) string    { return string(media.Unescape(nil, raw)) }

func readPath(raw []byte) string {
	if plain, err := url.PathUnescape(string(raw)); err == nil {
		return plain
	}
	return string(raw)
}

// fieldReading is how the value of a header field is read.
func fieldReading(name string) reading {
	switch http.CanonicalHeaderKey(name) {
	case "Referer", "Location", "Content-Location", "Cookie", "Set-Cookie":
		return asURL
	}
	return asText
}

// searched reports whether detectors look into a piece of a body: all but pictures, sound and
// fonts.
func searched(l Leaf) bool {
	major, _, _ := strings.Cut(l.Type, "/")
	return major != "image" && major != "audio" && major != "video" && major != "font" || l.Kind == media.XML
}

// leafReading is how a piece of a body is read that the gate has let pass.
func leafReading(l Leaf) reading {
	switch {
	case l.Kind == media.JSON || LooksLikeJSON(l.Text) && jsonscan.Valid(l.Text, 0) == nil:
		return asJSON
	case l.Kind == media.Form:
		return asURL
	case l.Kind > media.Bytes || IsText(l.Text):
		return asText
	}
	return asBytes
}

func findText(dst []detect.Finding, text []byte, kinds detect.Kinds) ([]detect.Finding, error) {
	return detect.Text(dst, text, kinds), nil
}

func findForm(dst []detect.Finding, text []byte, kinds detect.Kinds) ([]detect.Finding, error) {
	return detect.Form(dst, text, kinds), nil
}

// findNone is for bytes that are no text: what is found there cannot be replaced.
func findNone(dst []detect.Finding, text []byte, kinds detect.Kinds) ([]detect.Finding, error) {
	if found := findRaw(nil, text, kinds); len(found) > 0 {
		return nil, fmt.Errorf("there is what looks like %s in a body that is no text", found[0].Kind)
	}
	return dst, nil
}

// findRaw looks into bytes of which nobody knows what they are, as they are and as UTF-16.
func findRaw(dst []detect.Finding, text []byte, kinds detect.Kinds) []detect.Finding {
	n := len(dst)
	if dst = detect.Text(dst, text, kinds); len(dst) == n && bytes.IndexByte(text, 0) >= 0 {
		dst = detect.Text(dst, bytes.ReplaceAll(text, []byte{0}, nil), kinds)
	}
	return dst
}
