package bodies

import "bytes"

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
	at := start
	if bytes.HasPrefix(t.doc[start:end], []byte("\ufeff")) {
		at += len("\ufeff")
	}
	for at < end {
		stop, next := lineEnd(t.doc[:end], at)
		if stop == at {
			t.event(&e, at)
		} else {
			e.line(t.doc, at, stop)
		}
		at = next
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

// line takes the line doc[start:end] in.
func (e *event) line(doc []byte, start, end int) {
	if !e.block.ok {
		e.block = extent{start, end, true}
	}
	e.block.end = end
	name, value, _ := bytes.Cut(doc[start:end], []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	at := extent{end - len(value), end, true}
	switch string(name) {
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
	stop, next := lineEnd(raw, 0)
	if next == len(raw) && stop == next {
		return raw
	}
	e := event{text: append([]byte(nil), raw[:stop]...), data: extent{ok: true}}
	for at := next; at < len(raw); at = next {
		stop, next = lineEnd(raw, at)
		e.line(raw, at, stop)
	}
	return e.text
}

// lineEnd returns where the line at at ends, and where the next begins. CRLF, LF and CR
// end lines.
func lineEnd(doc []byte, at int) (stop, next int) {
	i := bytes.IndexAny(doc[at:], "\r\n")
	if i < 0 {
		return len(doc), len(doc)
	}
	stop, next = at+i, at+i+1
	if doc[stop] == '\r' && next < len(doc) && doc[next] == '\n' {
		next++
	}
	return stop, next
}
