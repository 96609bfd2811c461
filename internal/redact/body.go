package redact

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/goshadow/shadow/internal/media"
	"github.com/goshadow/shadow/internal/message"
)

// Walk is what a rule does with the pieces of a body.
type Walk struct {
	// Leaf masks a piece of a body that is in one format. It returns l.Text itself where
	// nothing changes.
	Leaf func(l Leaf) ([]byte, error)
	// Part returns what takes the place of the part of a form with a name, if anything. Nil
	// is nothing, ever.
	Part func(name string) (r Replacement, ok bool)
	// Text masks the header fields of a part. Nil leaves them alone.
	Text func(text []byte) []byte
	// Looks reports whether the rule looks into a piece: Leaf is called for no other. A body
	// of pieces that cannot be read is an error where it reports true for all of it. Nil looks
	// into everything.
	Looks func(l Leaf) bool
}

func (w *Walk) looks(l Leaf) bool { return w.Looks == nil || w.Looks(l) }

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

var (
	errWhole = errors.New("the body is not there as a whole")
	errTypes = errors.New("several Content-Type fields that differ")
)

// message masks the body of m. Every rule that looks at bodies does so here: a body that it would
// look into, and cannot read, is an error.
func (w *Walk) message(option string, m *message.Message) error {
	body, err := w.open(m)
	if err != nil {
		return &Error{option, err}
	}
	m.Body = body
	return nil
}

// open returns what w makes of the body of m.
func (w *Walk) open(m *message.Message) ([]byte, error) {
	if len(m.Body) == 0 && !m.Truncated {
		return m.Body, nil
	}
	f, err := formatOf(m)
	if err != nil {
		return nil, err
	}
	if m.Truncated {
		if f.Kind != media.Multipart && !w.looks(Leaf{Format: f, Text: m.Body}) {
			return m.Body, nil
		}
		return nil, errWhole
	}
	return w.Body(f, m.Body)
}

// formatOf reads the Content-Type of m.
func formatOf(m *message.Message) (media.Format, error) {
	value, found := "", false
	for name, values := range m.Header {
		if http.CanonicalHeaderKey(name) != "Content-Type" {
			continue
		}
		for _, v := range values {
			if found && v != value {
				return media.Format{}, errTypes
			}
			value, found = v, true
		}
	}
	return media.Of(value), nil
}

// Body masks a body of the given format. It returns body itself where nothing changes.
// What is broken is an error.
func (w *Walk) Body(f media.Format, body []byte) ([]byte, error) { return w.body(f, body, 0) }

func (w *Walk) body(f media.Format, body []byte, level int) ([]byte, error) {
	switch f.Kind {
	case media.Multipart:
		if level == media.MaxNesting {
			return nil, errNesting
		}
		return w.multipart(f, body, level)
	case media.Events, media.Records:
		whole := Leaf{Format: f, Text: body}
		if w.looks(whole) {
			if _, err := whole.readable(); err != nil {
				return nil, err
			}
		}
		if f.Kind == media.Events {
			return w.events(f, body)
		}
		return w.records(f, body)
	}
	return w.leaf(Leaf{Format: f, Text: body})
}

// leaf masks a piece that the rule looks into, through the gate.
func (w *Walk) leaf(l Leaf) ([]byte, error) {
	if len(l.Text) == 0 || !w.looks(l) {
		return l.Text, nil
	}
	return l.Open(w.Leaf)
}

// records masks JSON texts that are separated as in NDJSON or RFC 7464.
func (w *Walk) records(f media.Format, body []byte) ([]byte, error) {
	e := edit{doc: body}
	f.Kind = media.JSON
	for at, record := range media.Each(body) {
		masked, err := w.leaf(Leaf{Format: f, Text: record})
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
