package redact

import (
	"bytes"

	"github.com/goshadow/shadow/internal/media"
)

// events masks a stream of server-sent events. The data of an event is one piece, the
// value of every other line another.
func (r *Rule) events(f media.Format, body []byte) ([]byte, error) {
	e := edit{doc: body}
	f.Kind = media.Lines
	var block []media.EventLine
	for l := range media.EventLines(body) {
		if !l.Blank() {
			block = append(block, l)
			continue
		}
		if err := r.event(f, &e, block); err != nil {
			return nil, err
		}
		block = block[:0]
	}
	if err := r.event(f, &e, block); err != nil {
		return nil, err
	}
	return e.done(), nil
}

// event masks the lines of a block. The lines of masked data take the places of the
// lines they were made of; there may be fewer of them, where a value of several lines was
// masked.
func (r *Rule) event(f media.Format, e *edit, block []media.EventLine) error {
	isData := func(l media.EventLine) bool { return string(e.doc[l.Start:l.Name]) == "data" }
	var data [][]byte
	for _, l := range block {
		if isData(l) {
			data = append(data, e.doc[l.Value:l.End])
		}
	}
	text := bytes.Join(data, []byte("\n"))
	masked, err := r.Leaf(Leaf{Format: f, Text: text})
	if err != nil {
		return err
	}
	changed, left := !bytes.Equal(masked, text), len(data)
	for _, l := range block {
		if !isData(l) {
			value, err := r.Leaf(Leaf{Format: f, Text: e.doc[l.Value:l.End]})
			if err != nil {
				return err
			}
			e.change(l.Value, l.End, bytes.ReplaceAll(value, []byte("\n"), []byte(" ")))
			continue
		}
		left--
		if !changed {
			continue
		}
		line, rest, more := bytes.Cut(masked, []byte("\n"))
		switch {
		case masked == nil:
			e.replace(l.Start, l.Next, "")
		case left == 0 && more:
			e.change(l.Value, l.End, bytes.ReplaceAll(masked, []byte("\n"), []byte("\ndata: ")))
		default:
			e.change(l.Value, l.End, line)
		}
		if masked = rest; !more {
			masked = nil
		}
	}
	return nil
}
