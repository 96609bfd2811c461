package bodies

import (
	"bytes"

	"github.com/goshadow/shadow/internal/media"
)

// events reads a stream of server-sent events as the HTML Standard does (section
// 9.2.6): comments, unknown fields, an id that contains NUL, a retry that is not a
// number and blocks that do nothing are left out; of several event, id and retry fields
// the last counts; the event type "message" is the default. Data lines are joined.
//
// Clients throw away a last block that no blank line ends. It is kept here, with a field
// "unterminated", because it tells a stream that broke off from one that ended.
func (t *tape) events(name int32, start, end int) {
	n := t.open(name, list, start)
	var e event
	for l := range media.EventLines(t.doc[start:end]) {
		if !t.room() {
			break
		}
		if l.Blank() {
			t.event(&e, start+l.Start)
		} else {
			e.line(t.doc, start, l)
		}
	}
	if e.any() {
		e.unterminated = extent{end, end, true}
		t.event(&e, end)
	}
	t.close(n, end)
}

// event is what a block has said so far.
type event struct {
	block                               extent
	kind, id, data, retry, unterminated extent
	text                                []byte // of data, decoded
}

// extent is where something is, if it is there.
type extent struct {
	start, end int
	ok         bool
}

func (e *event) any() bool { return e.data.ok || e.id.ok || e.retry.ok }

// line takes in a line that is not blank, of a stream that begins at start in doc.
func (e *event) line(doc []byte, start int, l media.EventLine) {
	if !e.block.ok {
		e.block = extent{start + l.Start, 0, true}
	}
	e.block.end = start + l.End
	at := extent{start + l.Value, start + l.End, true}
	value := doc[at.start:at.end]
	switch string(doc[start+l.Start : start+l.Name]) {
	case "event":
		e.kind = at
		e.kind.ok = len(value) > 0 && string(value) != "message"
	case "id":
		if bytes.IndexByte(value, 0) < 0 {
			e.id = at
		}
	case "retry":
		if len(value) > 0 && len(bytes.Trim(value, "0123456789")) == 0 {
			e.retry = at
		}
	case "data":
		if e.data.ok {
			at.start = e.data.start
			e.text = append(e.text, '\n')
		}
		e.data = at
		e.text = append(e.text, value...)
	}
}

// event adds the event of a block that ends at end, if it does anything, and clears e.
func (t *tape) event(e *event, end int) {
	if e.any() {
		n := t.open(self, fields, e.block.start)
		for _, f := range [...]struct {
			name string
			at   extent
		}{{"event", e.kind}, {"id", e.id}, {"retry", e.retry}, {"unterminated", e.unterminated}} {
			if f.at.ok {
				t.leaf(t.names.text(f.name), plain, f.at.start, f.at.end, t.doc[f.at.start:f.at.end])
			}
		}
		if e.data.ok {
			t.leaf(t.names.text("data"), dataText, e.data.start, e.data.end, e.text)
		}
		t.close(n, e.block.end)
	}
	*e = event{text: e.text[:0]}
}

// dataOf decodes what is between the beginning of the first and the end of the last
// data value of a block.
func dataOf(raw []byte) []byte {
	i := bytes.IndexAny(raw, "\r\n")
	if i < 0 {
		return raw
	}
	e := event{text: append([]byte(nil), raw[:i]...), data: extent{ok: true}}
	for l := range media.EventLines(raw[i:]) {
		if !l.Blank() { // the rest of the first line
			e.line(raw, i, l)
		}
	}
	return e.text
}
