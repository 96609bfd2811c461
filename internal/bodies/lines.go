package bodies

import (
	"bytes"
	"errors"
)

// So many lines are read, and one more for so many bytes.
const maxLines, bytesPerLine = 1 << 13, 8

var errNotText = errors.New("not text: it contains NUL")

// lines reads text by the line. The end of a line belongs to it, so that no byte is
// left out of the comparison. What contains NUL is not text, or UTF-16. Text of more and
// shorter lines than people read is one line: to align them takes over 100 bytes for each.
func (t *tape) lines(name int32, start, end int) error {
	if bytes.IndexByte(t.doc[start:end], 0) >= 0 {
		return errNotText
	}
	if bytes.Count(t.doc[start:end], []byte{'\n'}) > maxLines+(end-start)/bytesPerLine {
		t.leaf(name, plain, start, end, t.doc[start:end])
		return nil
	}
	n := t.open(name, rows, start)
	for at := start; at < end && t.room(); {
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
