package redact

import (
	"fmt"

	"github.com/goshadow/shadow/internal/media"
)

// Rule is what a masker does with a body.
type Rule struct {
	// Leaf masks a piece of a body that is in one format. It returns l.Text itself where
	// nothing changes.
	Leaf func(l Leaf) ([]byte, error)
	// Part tells what takes the place of the part of a form with a name, if anything. Nil
	// is nothing, ever.
	Part func(name string) (r Replacement, ok bool)
	// Text masks the header fields of a part. Nil leaves them alone.
	Text func(text []byte) []byte
	// Looks reports whether the rule looks into a piece: Leaf is called for no other. A body
	// of pieces that cannot be read is an error where it reports true for all of it. Nil looks
	// into everything.
	Looks func(l Leaf) bool
}

func (r *Rule) looks(l Leaf) bool { return r.Looks == nil || r.Looks(l) }

// Leaf is a piece of a body that is in one format: the body itself, or the content of a
// part, a record, the data of an event.
type Leaf struct {
	media.Format
	Text   []byte
	Coding string // that Text is still in, of a part; empty as a rule
	Stray  bool   // a line of a stream of events that is no field of an event
	Plain  bool   // a part of a form that is a field, and neither a file nor a document
}

var errNesting = fmt.Errorf("multipart nested deeper than %d levels", media.MaxNesting)

// Body masks a body of the given format. It returns body itself where nothing changes.
// What is broken is an error.
func (r *Rule) Body(f media.Format, body []byte) ([]byte, error) { return r.body(f, body, 0) }

func (r *Rule) body(f media.Format, body []byte, level int) ([]byte, error) {
	switch f.Kind {
	case media.Multipart:
		if level == media.MaxNesting {
			return nil, errNesting
		}
		return r.multipart(f, body, level)
	case media.Events, media.Records:
		whole := Leaf{Format: f, Text: body}
		if r.looks(whole) {
			if _, err := whole.readable(); err != nil {
				return nil, err
			}
		}
		if f.Kind == media.Events {
			return r.events(f, body)
		}
		return r.records(f, body)
	}
	return r.leaf(Leaf{Format: f, Text: body})
}

// leaf masks a piece that the rule looks into, through the gate.
func (r *Rule) leaf(l Leaf) ([]byte, error) {
	if len(l.Text) == 0 || !r.looks(l) {
		return l.Text, nil
	}
	return l.Open(r.Leaf)
}

// records masks JSON texts that are separated as in NDJSON or RFC 7464.
func (r *Rule) records(f media.Format, body []byte) ([]byte, error) {
	e := edit{doc: body}
	f.Kind = media.JSON
	for at, record := range media.Each(body) {
		masked, err := r.leaf(Leaf{Format: f, Text: record})
		if err != nil {
			return nil, fmt.Errorf("record at offset %d: %w", at, err)
		}
		e.change(at, at+len(record), masked)
	}
	return e.done(), nil
}

// change puts masked in the place of doc[start:end], unless it is that.
func (e *edit) change(start, end int, masked []byte) {
	if string(masked) != string(e.doc[start:end]) {
		e.replace(start, end, string(masked))
	}
}
