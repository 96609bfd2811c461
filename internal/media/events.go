package media

import (
	"bytes"
	"iter"
)

// EventLine is a line of a stream of server-sent events, as offsets: its field is called
// doc[Start:Name], and its value is doc[Value:End]. A comment has an empty name. A line
// that ends a block is Blank.
type EventLine struct{ Start, Name, Value, End, Next int }

// Blank reports whether the line is empty, which ends a block.
func (l EventLine) Blank() bool { return l.Start == l.End }

// EventLines yields the lines of doc as the HTML Standard reads them (section 9.2.6): a
// byte order mark comes before them, CRLF, LF and CR end them, the first colon ends a
// name, and one space after it does not count.
func EventLines(doc []byte) iter.Seq[EventLine] {
	return func(yield func(EventLine) bool) {
		at := 0
		if bytes.HasPrefix(doc, byteOrderMark) {
			at = len(byteOrderMark)
		}
		for at < len(doc) {
			l := EventLine{Start: at}
			l.End, l.Next = lineEnd(doc, at)
			l.Name, l.Value = l.End, l.End
			if i := bytes.IndexByte(doc[at:l.End], ':'); i >= 0 {
				l.Name, l.Value = at+i, at+i+1
				if l.Value < l.End && doc[l.Value] == ' ' {
					l.Value++
				}
			}
			if !yield(l) {
				return
			}
			at = l.Next
		}
	}
}

var byteOrderMark = []byte("\ufeff")

// lineEnd returns where the line at at ends, and where the next begins.
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
