package redact

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/goshadow/shadow/internal/detect"
	"github.com/goshadow/shadow/internal/jsonscan"
	"github.com/goshadow/shadow/internal/media"
	"github.com/goshadow/shadow/internal/message"
)

// piece is a text in a message, as it is encoded there.
type piece struct {
	raw     []byte
	reading reading
	where   string // a JSON Pointer to it, or with name to what it is in: "/body", "/header/"
	name    string // of its field
	leaf    *Leaf  // of a body
}

// eachText gives every text of m to edit and puts what it returns in its place: the values of fields,
// the parts of the URL, and the pieces of the body into which looks says to look. A value of a field
// that becomes empty goes. It is the one walk through a message that masks, detectors and the leak
// check share.
func eachText(option string, m *message.Message, looks func(Leaf) bool, edit func(t piece) ([]byte, error)) error {
	var failed error
	change := func(s string, t piece) string {
		if s == "" || failed != nil {
			return s
		}
		t.raw = []byte(s)
		changed, err := edit(t)
		if err != nil {
			failed = &Error{option, err}
		}
		if err != nil || string(changed) == s {
			return s
		}
		return string(changed)
	}
	fields := func(h http.Header, where string) {
		for _, name := range slices.Sorted(maps.Keys(h)) { // so that the same leak is found first
			if !framing[http.CanonicalHeaderKey(name)] {
				of := piece{reading: fieldReading(name), where: where, name: name}
				editField(h, name, func(value string) string { return change(value, of) })
			}
		}
	}
	fields(m.Header, "/header/")
	fields(m.Trailer, "/trailer/")
	if m.URL != nil {
		u := *m.URL
		if u.User != nil && change(u.User.String(), piece{reading: asURL, where: "/user"}) != u.User.String() {
			u.User = url.User(Masked)
		}
		if path := change(u.EscapedPath(), piece{reading: asPath, where: "/path"}); path != u.EscapedPath() {
			setPath(&u, path)
		}
		u.Opaque = change(u.Opaque, piece{reading: asPath, where: "/path"})
		u.RawQuery = change(u.RawQuery, piece{reading: asURL, where: "/query"})
		maskFragment(&u, func(fragment string) string { return change(fragment, piece{reading: asPath, where: "/fragment"}) })
		m.URL = &u
	}
	walk := Walk{
		Looks: looks,
		Leaf: func(l Leaf) ([]byte, error) {
			return edit(piece{raw: l.Text, reading: leafReading(l), where: "/body", leaf: &l})
		},
		Text: func(raw []byte) []byte {
			return []byte(change(string(raw), piece{reading: asText, where: "/body"}))
		},
	}
	if failed != nil {
		return failed
	}
	err := walk.message(option, m)
	return errors.Join(err, failed)
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
	asJSON  = reading{jsonText, readJSON, writeJSON, detect.JSON, nestedJSON}
	asText  = reading{anyText, readText, writeText, findText, nil}
	asURL   = reading{formText, readForm, url.QueryEscape, findForm, nestedForm} // a form too
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
	case l.Kind == media.JSON || holdsJSON(l.Text, 0):
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
