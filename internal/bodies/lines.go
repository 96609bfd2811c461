package bodies

import (
	"bytes"
	"errors"
)

var errNotText = errors.New("not text: it contains NUL")

// lines reads text by the line. The end of a line belongs to it, so that no byte is
// left out of the comparison. What contains NUL is not text, or UTF-16.
func (t *tape) lines(name int32, start, end int) error {
	if bytes.IndexByte(t.doc[start:end], 0) >= 0 {
		return errNotText
	}
	n := t.open(name, rows, start)
	for at := start; at < end; {
		next := end
		if i := bytes.IndexByte(t.doc[at:end], '\n'); i >= 0 {
			next = at + i + 1
		}
		t.leaf(self, plain, at, next, t.doc[at:next])
		at = next
	}
	t.close(n, end)
	return nil
}
