package shadow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/goshadow/shadow/internal/capture"
	"github.com/goshadow/shadow/internal/content"
	"github.com/goshadow/shadow/internal/fields"
	"github.com/goshadow/shadow/internal/guard"
	"github.com/goshadow/shadow/internal/mark"
)

// request fills msg, and u for it, with the request of j, whose body was transferred as
// raw. Room is false where the decoded body had no room.
func (m *Mirror) request(msg *Message, u *url.URL, j *job, raw []byte) (room bool) {
	*u = j.url
	if u.Scheme == "" {
		u.Scheme = j.scheme
	}
	if u.Host == "" {
		u.Host = j.host
	}
	*msg = Message{
		Method: j.method, URL: u, Host: j.host, Proto: j.proto,
		Header: j.header.Header(mark.Fields), Size: int64(len(raw)),
	}
	if len(j.trailer) > 0 {
		msg.Trailer = j.trailer.Header(0)
	}
	err := m.decode(msg, raw, j.body)
	msg.Truncated = err != nil
	return !errors.Is(err, content.ErrNoRoom)
}

// primaryAnswer fills msg with the primary's answer in j.
func (m *Mirror) primaryAnswer(msg *Message, j *job) *Message {
	*msg = Message{
		Method: j.method, Host: j.host, Proto: j.proto, StatusCode: j.resp.Status,
		Header: j.resp.Sent(0),
		TTFB:   j.resp.First.Sub(j.start), Took: j.ended.Sub(j.start),
	}
	if len(j.resp.Trailer) > 0 {
		msg.Trailer = j.resp.Trailer.Header(0)
	}
	j.dropOuterCoding(msg.Header)
	m.content(msg, &j.resp.Body)
	return msg
}

// content gives msg the body that buf recorded. Where there is no room for what it decodes
// to, buf is starved.
func (m *Mirror) content(msg *Message, buf *capture.Buffer) {
	msg.Size = buf.Size()
	if buf.Cut() {
		msg.Digest, _ = buf.Sum()
		msg.Truncated = true
		return
	}
	raw := buf.Bytes()
	if err := m.decode(msg, raw, buf); err != nil {
		msg.Digest = m.pool.Sum(raw)
		msg.Truncated = true
	}
}

// maxDecoding is how long the decoding of one body may take: a hundred times of what a body
// of the usual limit does.
const maxDecoding = time.Second

// decode gives msg the content of raw, or as much of it as it can and an error. What the
// content takes is reserved in buf, of which raw is.
func (m *Mirror) decode(msg *Message, raw []byte, buf *capture.Buffer) error {
	codings := content.Codings(fields.Values(msg.Header, "Content-Encoding"))
	if len(raw) == 0 || len(codings) == 0 {
		msg.Body = raw
		return nil
	}
	select {
	case m.decoders <- struct{}{}:
		defer func() { <-m.decoders }()
	case <-m.base.Done():
		return m.base.Err()
	}
	ctx, cancel := context.WithTimeout(m.base, maxDecoding)
	defer cancel()
	body, err := content.Decode(ctx, codings, raw, m.maxBody, buf.Reserve)
	if body == nil {
		body = []byte{} // there is one: a Masker that takes it away sets nil
	}
	msg.Body = body
	return err
}

// held is about how many bytes a Clone of m takes.
func (m *Message) held() int64 {
	return int64(len(m.Body)) + fields.Size(m.Header) + fields.Size(m.Trailer)
}

// withoutBody is m without its body.
func (m *Message) withoutBody() *Message {
	without := *m
	if len(m.Body) > 0 {
		without.Body, without.Truncated = nil, true
	}
	return &without
}

// resultError is an error of a Result. Go-cmp can compare it, whatever it wraps.
type resultError struct{ error }

func resultErr(err error) error {
	if err == nil {
		return nil
	}
	return resultError{err}
}

// Equal reports whether both say the same.
func (e resultError) Equal(other resultError) bool { return e.Error() == other.Error() }

func (e resultError) Unwrap() error { return e.error }

// Format writes Error for every verb, and for %+v the stack of a panic.
func (e resultError) Format(s fmt.State, verb rune) {
	if panicked := (*guard.Panic)(nil); errors.As(e.error, &panicked) {
		panicked.Format(s, verb)
		return
	}
	io.WriteString(s, e.Error())
}
