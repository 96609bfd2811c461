package redact

import (
	"bytes"

	"github.com/goshadow/shadow/internal/media"
)

// events masks a stream of server-sent events. The data of an event is one piece, the
// value of every other line another.
func (w *Walk) events(f media.Format, body []byte) ([]byte, error) {
	e := edit{doc: body}
	f.Kind = media.Lines
	var block []media.EventLine
	for l := range media.EventLines(body) {
		if !l.Blank() {
			block = append(block, l)
			continue
		}
		if err := w.event(f, &e, block); err != nil {
			return nil, err
		}
		block = block[:0]
	}
	if err := w.event(f, &e, block); err != nil {
		return nil, err
	}
	return e.done(), nil
}

// event masks the lines of a block. The lines of masked data take the places of the
// lines they were made of; there may be fewer of them, where a value of several lines was
// masked.
func (w *Walk) event(f media.Format, e *edit, block []media.EventLine) error {
	isData := func(l media.EventLine) bool { return string(e.doc[l.Start:l.Name]) == "data" }
	var data [][]byte
	for _, l := range block {
		if isData(l) {
			data = append(data, e.doc[l.Value:l.End])
		}
	}
	text := bytes.Join(data, []byte("\n"))
	masked, err := w.leaf(Leaf{Format: f, Text: text})
	if err != nil {
		return err
	}
	changed, left := !bytes.Equal(masked, text), len(data)
	for _, l := range block {
		if !isData(l) {
			if err := w.eventLine(f, e, l); err != nil {
				return err
			}
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

// eventLine masks a line that is no data: its value, and the name of what is no field of an
// event. A line that begins like JSON is one piece: it is of an answer that only says that it
// is a stream.
func (w *Walk) eventLine(f media.Format, e *edit, l media.EventLine) error {
	switch string(e.doc[l.Start:l.Name]) {
	case "", "event", "id", "retry":
		return w.line(f, e, l.Value, l.End, false)
	}
	if LooksLikeJSON(e.doc[l.Start:l.End]) {
		return w.line(f, e, l.Start, l.End, true)
	}
	if err := w.line(f, e, l.Start, l.Value, true); err != nil {
		return err
	}
	return w.line(f, e, l.Value, l.End, true)
}

// line masks doc[start:end], which is in one line, and stays so.
func (w *Walk) line(f media.Format, e *edit, start, end int, stray bool) error {
	masked, err := w.leaf(Leaf{Format: f, Text: e.doc[start:end], Stray: stray})
	if err == nil {
		e.change(start, end, bytes.ReplaceAll(masked, []byte("\n"), []byte(" ")))
	}
	return err
}
