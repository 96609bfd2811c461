// Package media knows what the body of a message is, from its Content-Type.
package media

import (
	"bytes"
	"iter"
	"strings"
)

// Kind is how a body is read.
type Kind int

// Kinds of bodies.
const (
	Bytes   Kind = iota // anything else
	JSON                // one JSON text
	Records             // JSON texts on lines of their own (NDJSON), or after RS (RFC 7464)
)

// Of is the Kind that a Content-Type field value names.
func Of(contentType string) Kind {
	t, _, _ := strings.Cut(contentType, ";")
	t = strings.ToLower(strings.TrimSpace(t))
	switch t {
	case "application/json", "text/json":
		return JSON
	case "application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines", "application/json-seq":
		return Records
	}
	if strings.HasSuffix(t, "+json-seq") {
		return Records
	}
	if strings.HasSuffix(t, "+json") {
		return JSON
	}
	return Bytes
}

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
