package media

import (
	"bytes"
	"iter"
)

// Each yields the offset and the bytes of every record in body, without the white
// space and the separators around it. Records are lines, unless there is an RS (RFC
// 7464): then they are what RS separates, over as many lines as they take.
func Each(body []byte) iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		separator := byte('\n')
		if bytes.IndexByte(body, rs) >= 0 {
			separator = rs
		}
		for at := 0; at < len(body); {
			end := bytes.IndexByte(body[at:], separator)
			if end < 0 {
				end = len(body) - at
			}
			line := body[at : at+end]
			text := bytes.TrimLeft(line, space)
			from := at + len(line) - len(text)
			text = bytes.TrimRight(text, space)
			if len(text) > 0 && !yield(from, text) {
				return
			}
			at += end + 1
		}
	}
}

const (
	rs    = 0x1e      // the record separator, which no JSON text contains
	space = " \t\r\n" // RFC 8259 section 2
)
