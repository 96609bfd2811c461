// Package message has the plain data that engines share with the root: struct-identical types,
// so that a pointer converts without a copy.
package message

import (
	"bytes"
	"net/http"
	"net/url"
	"time"

	"github.com/goshadow/shadow/internal/fields"
)

// Message is shadow.Message, where the fields are explained.
type Message struct {
	Method string
	URL    *url.URL
	Host   string
	Proto  string

	StatusCode int

	Header  http.Header
	Trailer http.Header

	Body      []byte
	Size      int64
	Truncated bool

	TTFB time.Duration
	Took time.Duration

	Digest uint64
}

// Clone returns a deep copy of m.
func (m *Message) Clone() *Message {
	if m == nil {
		return nil
	}
	c := *m
	if m.URL != nil {
		u := *m.URL
		c.URL = &u
	}
	c.Header, c.Trailer = m.Header.Clone(), m.Trailer.Clone()
	c.Body = bytes.Clone(m.Body)
	return &c
}

// Held is about how many bytes a copy of m takes.
func (m *Message) Held() int64 {
	return int64(len(m.Body)) + fields.Size(m.Header) + fields.Size(m.Trailer)
}

// Withheld returns what is left of m if no value of it may be seen: status, size and times.
func (m *Message) Withheld() *Message {
	if m == nil {
		return nil
	}
	return &Message{StatusCode: m.StatusCode, Proto: m.Proto, Size: m.Size, Truncated: true, TTFB: m.TTFB, Took: m.Took}
}

// Bare returns m without its body.
func (m *Message) Bare() *Message {
	bare := *m
	if len(m.Body) > 0 {
		bare.Body, bare.Truncated = nil, true
	}
	return &bare
}
