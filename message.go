package shadow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/goshadow/shadow/internal/capture"
	"github.com/goshadow/shadow/internal/content"
	"github.com/goshadow/shadow/internal/fields"
	"github.com/goshadow/shadow/internal/jsonscan"
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
		Header: j.header.Header(marks), Size: int64(len(raw)),
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
	codings := content.Codings(spelled(msg.Header, "Content-Encoding"))
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

// isDocument reports whether the body of msg is one whole JSON text that ends by itself: what
// could follow it is no part of it.
func isDocument(msg *Message) bool {
	if msg.Truncated {
		return false
	}
	start := jsonscan.Space(msg.Body, 0)
	if start == len(msg.Body) || strings.IndexByte(`{["tfn`, msg.Body[start]) < 0 {
		return false // a number could go on
	}
	return jsonscan.Valid(msg.Body, 0) == nil
}

// spelled are the values of a field in all spellings of its name: a program may have put
// them into the header by itself.
func spelled(h http.Header, name string) []string {
	all := slices.Clip(h[name]) // the values are the header's
	for key, values := range h {
		if key != name && strings.EqualFold(key, name) {
			all = append(all, values...)
		}
	}
	return all
}

// valid tells whether a request can be sent.
func valid(msg *Message) bool {
	return fields.IsToken(msg.Method) && msg.URL != nil && msg.URL.Opaque == "" && fields.Valid(msg.Header) && fields.Valid(msg.Trailer)
}

// isIdentifier reports whether a name in a body looks like it names one of many things:
// it has a digit (but is no version such as v2), an @ or %, or is long.
func isIdentifier(s string) bool {
	if len(s) > 1 && s[0] == 'v' && strings.Trim(s[1:], "0123456789") == "" {
		return false
	}
	return len(s) > 32 || strings.ContainsAny(s, "0123456789@%:")
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
	if panicked := (*panicError)(nil); errors.As(e.error, &panicked) {
		panicked.Format(s, verb)
		return
	}
	io.WriteString(s, e.Error())
}

// panicError is a panic of the user's code. Where it is formatted with %+v it has the stack.
type panicError struct {
	part  string
	value any
	pcs   []uintptr // of the goroutine that panicked
}

// newPanic is called by the deferred function that has recovered v.
func newPanic(part string, v any) *panicError {
	var pcs [64]uintptr
	return &panicError{part: part, value: v, pcs: slices.Clone(pcs[:runtime.Callers(2, pcs[:])])}
}

func (e *panicError) Error() string {
	return fmt.Sprintf("%v in %s: %s", ErrPanic, e.part, describe(e.value))
}

func (e *panicError) Format(s fmt.State, verb rune) {
	io.WriteString(s, e.Error())
	if verb == 'v' && s.Flag('+') {
		io.WriteString(s, "\n\n"+e.stack())
	}
}

func (e *panicError) Is(target error) bool { return target == ErrPanic }

// describe says what was panicked with, without a value that may hold anything.
func describe(v any) string {
	if v == nil {
		return "panic(nil), or runtime.Goexit"
	}
	if err, ok := v.(runtime.Error); ok && ofRuntime(reflect.TypeOf(v)) {
		return err.Error()
	}
	if v == any(http.ErrAbortHandler) {
		return "http.ErrAbortHandler"
	}
	return fmt.Sprintf("a value of type %T", v)
}

// ofRuntime tells whether a type is of package runtime, whose errors quote no values.
func ofRuntime(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.PkgPath() == "runtime"
}

// stack lists the functions that were running, with their files and lines, and without their
// arguments, which debug.Stack shows.
func (e *panicError) stack() string {
	frames := runtime.CallersFrames(e.pcs)
	var out strings.Builder
	for {
		frame, more := frames.Next()
		fmt.Fprintf(&out, "%s\n\t%s:%d\n", frame.Function, frame.File, frame.Line)
		if !more {
			return out.String()
		}
	}
}
