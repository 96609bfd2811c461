package redact

import (
	"net/url"

	"github.com/goshadow/shadow/internal/jsonscan"
	"github.com/goshadow/shadow/internal/media"
)

// maxEncodings is how many times a value is decoded in search of what is in it, and how many
// documents are looked into that are inside of each other's values.
const maxEncodings = 4

// holdsJSON reports whether a decoded value is an object or array of JSON, which every rule reads as
// that. Inside is how many documents the value is in.
func holdsJSON(value []byte, inside int) bool {
	return inside < maxEncodings && LooksLikeJSON(value) && jsonscan.Valid(value, 0) == nil
}

// nestedJSON calls mask for each object or array that is the value of a string of doc, and
// puts what it returns in its place: JSON inside of JSON stays JSON. At is where these strings
// are in what it returns.
func nestedJSON(doc []byte, mask func(inner []byte) ([]byte, error)) (masked []byte, at [][2]int, err error) {
	if err := jsonscan.Valid(doc, 0); err != nil {
		return nil, nil, err
	}
	n := nest{edit: edit{doc: doc}, mask: mask}
	for s := range scalars(doc, 0) {
		if doc[s.start] != '"' || !mayNest(doc[s.start+1:s.end-1]) {
			continue
		}
		if err := n.value(s.start, s.end, jsonscan.AppendUnquote(nil, doc[s.start:s.end]), quote); err != nil {
			return nil, nil, err
		}
	}
	return n.done(), n.at, nil
}

// nestedForm does so for the values of the fields of a form or query.
func nestedForm(text []byte, mask func(inner []byte) ([]byte, error)) (masked []byte, at [][2]int, err error) {
	n := nest{edit: edit{doc: text}, mask: mask}
	for f := range media.Fields(text) {
		if err := n.value(f.Value, f.End, media.Unescape(nil, text[f.Value:f.End]), url.QueryEscape); err != nil {
			return nil, nil, err
		}
	}
	return n.done(), n.at, nil
}

type nest struct {
	edit
	mask func(inner []byte) ([]byte, error)
	at   [][2]int
}

// value masks doc[start:end], whose value is inner, if that is JSON.
func (n *nest) value(start, end int, inner []byte, write func(string) string) error {
	if !holdsJSON(inner, 0) {
		return nil
	}
	masked, err := n.mask(inner)
	if err != nil {
		return err
	}
	from := len(n.out) + start - n.copied
	if string(masked) != string(inner) {
		n.replace(start, end, write(string(masked)))
		end = n.copied
	}
	n.at = append(n.at, [2]int{from, len(n.out) + end - n.copied})
	return nil
}
