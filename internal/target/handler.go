package target

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/goshadow/shadow/internal/capture"
	"github.com/goshadow/shadow/internal/fields"
	"github.com/goshadow/shadow/internal/guard"
)

// maxResponseHeader is how many bytes the header of an answer may have.
const maxResponseHeader = 256 << 10

// Handler serves requests by calling H on the caller's goroutine. The answer is held in memory
// until it is read. It is safe for concurrent use.
type Handler struct {
	H      http.Handler
	server http.Server // for handlers that look for http.ServerContextKey, as ReverseProxy does
}

// Fault returns an error if there is no handler.
func (t *Handler) Fault() error {
	if t.H == nil {
		return errors.New("nil Handler")
	}
	return nil
}

// RoundTrip implements http.RoundTripper. A panic of H becomes an error that is guard.ErrPanic, an
// answer that contradicts its Content-Length one that is io.ErrUnexpectedEOF.
func (t *Handler) RoundTrip(req *http.Request) (resp *http.Response, err error) {
	if req.Body != nil {
		defer req.Body.Close()
	}
	if err := t.Fault(); err != nil {
		return nil, fmt.Errorf("shadow: HandlerTransport: %w", err)
	}
	if req.URL == nil {
		return nil, errors.New("shadow: HandlerTransport: nil URL")
	}
	header := req.Header
	c, _ := req.Context().Value(contextKey{}).(*Context)
	if c != nil && c.taken.CompareAndSwap(false, true) {
		defer c.taken.Store(false) // and the header was made for this copy
	} else {
		header = header.Clone()
		c = &Context{Limits: unlimited()}
	}
	if c.Keep == capture.Nothing {
		s := &served{}
		s.request(req, header, c, &t.server)
		if err := t.serve(&s.sink, s); err != nil {
			return nil, err
		}
		return s.response(req, s.sink.status), nil
	}
	rec := &recorded{}
	rec.request(req, header, c, &t.server)
	rec.writer.Init(&rec.sink, rec.in.Method, c.Pool, c.Keep)
	defer func() {
		if resp == nil { // the handler panicked, exited its goroutine, or broke off its answer
			stopped := rec.writer.Stop()
			stopped.Body.Release()
		}
	}()
	if err := t.serve(rec.writer.Wrap(), &rec.served); err != nil {
		return nil, err
	}
	if n := fields.Size(rec.sink.header); c.Keep < math.MaxInt64 && n > maxResponseHeader {
		return nil, fmt.Errorf("shadow: the header of the answer has about %d bytes, more than %d", n, maxResponseHeader)
	}
	return rec.answer(req), nil
}

// unlimited returns the limits of a request that is no copy.
func unlimited() Limits {
	most := new(atomic.Int64)
	most.Store(math.MaxInt64)
	return Limits{Pool: capture.NewPool(math.MaxInt64), Keep: math.MaxInt64, Most: most}
}

// serve calls the handler.
func (t *Handler) serve(w http.ResponseWriter, s *served) error {
	defer func() {
		if form := s.in.MultipartForm; form != nil {
			form.RemoveAll() //nolint:errcheck // a server ignores it too
		}
	}()
	return guard.Call("Handler", func() error {
		t.H.ServeHTTP(w, &s.in)
		return s.complete()
	}, nil)
}

// served is a request to a handler in this process and its answer, without the answer's body. It
// is that body too, which is empty.
type served struct {
	in      http.Request
	url     url.URL
	context serverContext
	sink    sink
	resp    http.Response

	outerType string // the Content-Type by middleware around, for a handler that names none
}

// serverContext is the context of a request with the http.Server that serves it.
type serverContext struct {
	context.Context
	server *http.Server
}

func (c *serverContext) Value(key any) any {
	if key == http.ServerContextKey {
		return c.server
	}
	return c.Context.Value(key)
}

// request makes of a client's request what a server would make of it. The server's side of a copy
// is what the server of the primary had.
func (s *served) request(req *http.Request, header http.Header, c *Context, server *http.Server) {
	s.sink = sink{header: http.Header{}, limits: &c.Limits, ctx: req.Context(), length: -1}
	s.context = serverContext{req.Context(), server}
	s.in, s.url = *req.WithContext(&s.context), *req.URL
	in := &s.in
	s.url.Scheme, s.url.Host = "", ""
	in.URL = &s.url
	if in.Header = header; header == nil {
		in.Header = http.Header{}
	}
	if in.Host == "" {
		in.Host = req.URL.Host
	}
	if in.Method == "" {
		in.Method = http.MethodGet
	}
	if in.Body == nil {
		in.Body = http.NoBody
	}
	in.Proto, in.ProtoMajor, in.ProtoMinor = "HTTP/1.1", 1, 1
	in.GetBody, in.Response, in.TLS = nil, nil, nil
	in.RequestURI = req.URL.RequestURI()
	was := &c.Asked
	if was.Sent == nil {
		return
	}
	s.outerType = was.OuterType
	in.RemoteAddr, in.TLS = was.RemoteAddr, was.TLS
	if major, minor, ok := http.ParseHTTPVersion(was.Proto); ok {
		in.Proto, in.ProtoMajor, in.ProtoMinor = was.Proto, major, minor
	}
	if was.Chunked && in.Body != http.NoBody {
		in.ContentLength, in.TransferEncoding = -1, []string{"chunked"}
	}
	if was.URI != "" && *req.URL == *was.Sent {
		s.url, in.RequestURI = *was.URL, was.URI
	}
}

// complete ends the answer. It returns an error if the answer contradicts its Content-Length.
func (s *served) complete() error {
	k := &s.sink
	k.WriteHeader(http.StatusOK)
	if s.in.Method == http.MethodHead || k.bodiless() || k.cut {
		return nil
	}
	if k.long || k.length >= 0 && k.length != k.size {
		return &lengthError{k.length, k.size, k.long}
	}
	return nil
}

// lengthError is an answer that contradicts its Content-Length.
type lengthError struct {
	declared, size int64
	long           bool
}

func (e *lengthError) Error() string {
	if e.long {
		return fmt.Sprintf("shadow: the answer is longer than the %d bytes of its Content-Length", e.declared)
	}
	return fmt.Sprintf("shadow: the answer has %d of the %d bytes of its Content-Length", e.size, e.declared)
}

func (e *lengthError) Unwrap() error { return io.ErrUnexpectedEOF }

// response returns the answer to req, without its body.
func (s *served) response(req *http.Request, status int) *http.Response {
	s.resp = http.Response{
		Status:     statusLine(status),
		StatusCode: status,
		Proto:      "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: s.sink.header, Body: s, ContentLength: s.sink.size, Request: req,
	}
	return &s.resp
}

func (s *served) Read([]byte) (int, error) { return 0, io.EOF }
func (s *served) Close() error             { return nil }

// statusLine returns the text of http.Response.Status. The commonest one does not allocate.
func statusLine(status int) string {
	if status == http.StatusOK {
		return "200 OK"
	}
	return strconv.Itoa(status) + " " + http.StatusText(status)
}

// recorded is a request to a handler in this process, its answer, and the body of the
// http.Response made of it.
type recorded struct {
	served
	writer capture.Writer
	first  time.Time // when the status was written
	buf    capture.Buffer
	body   *bytes.Reader
}

func (r *recorded) answer(req *http.Request) *http.Response {
	got := r.writer.Stop()
	r.buf, r.first = got.Body, got.First
	resp := r.response(req, got.Status)
	resp.Header, resp.ContentLength, resp.Body = got.Sent(0), r.buf.Size(), r
	if r.outerType != "" && got.Sniffed(resp.Header) != "" {
		resp.Header["Content-Type"] = []string{r.outerType}
	}
	if length := resp.Header.Get("Content-Length"); req.Method == http.MethodHead && length != "" {
		resp.ContentLength, _ = strconv.ParseInt(length, 10, 64)
	}
	if len(got.Trailer) > 0 {
		resp.Trailer = got.Trailer.Header(0)
	}
	return resp
}

// take hands the recording over.
func (r *recorded) take() capture.Buffer {
	buf := r.buf
	r.buf = capture.Buffer{}
	return buf
}

// Read reads what was kept. It ends with a *longBody if not all of the body was kept.
func (r *recorded) Read(p []byte) (int, error) {
	if r.body == nil {
		r.body = bytes.NewReader(r.buf.Bytes())
	}
	n, err := r.body.Read(p)
	if err == io.EOF && r.buf.Cut() {
		err = &longBody{&r.buf}
	}
	return n, err
}

func (r *recorded) Close() error {
	r.buf.Release()
	return nil
}

// longBody ends the body of an in-process answer that was not kept.
type longBody struct{ buf *capture.Buffer }

func (e *longBody) Error() string {
	return fmt.Sprintf("shadow: the answer of %d bytes is larger than the Mirror keeps", e.buf.Size())
}

// sink is the last ResponseWriter of an in-process answer. It refuses bytes beyond its limits, and
// what a server refuses.
type sink struct {
	header http.Header
	limits *Limits
	ctx    context.Context
	size   int64
	length int64 // Content-Length, -1 if not declared
	status int
	long   bool // more was written than declared
	cut    bool // bytes beyond the limits were refused

	notify sync.Once
	gone   chan bool
}

func (s *sink) Header() http.Header { return s.header }

func (s *sink) WriteHeader(status int) {
	if status < 100 || status > 999 {
		panic(fmt.Sprintf("invalid WriteHeader code %v", status))
	}
	if s.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		s.status, s.length = status, capture.Declared(s.header)
	}
}

func (s *sink) Write(p []byte) (int, error) {
	s.WriteHeader(http.StatusOK)
	switch n := int64(len(p)); {
	case s.bodiless():
		return 0, http.ErrBodyNotAllowed
	case s.long || s.length >= 0 && s.size+n > s.length: // after one that is too long net/http takes no more
		s.long = true
		return 0, http.ErrContentLength
	}
	if err := s.limits.pace(s.ctx, s.size); err != nil {
		s.cut = true
		return 0, err
	}
	if s.size > s.limits.Most.Load() {
		s.cut = true
		return 0, errEnough
	}
	s.size += int64(len(p))
	return len(p), nil
}

// bodiless reports whether an answer with this status never has a body.
func (s *sink) bodiless() bool {
	return s.status == http.StatusNoContent || s.status == http.StatusNotModified || s.status == http.StatusSwitchingProtocols
}

// The other methods of a server's ResponseWriter have no effect on an answer in memory.

func (s *sink) Flush()                           { s.WriteHeader(http.StatusOK) }
func (s *sink) FlushError() error                { s.Flush(); return nil }
func (s *sink) SetReadDeadline(time.Time) error  { return nil }
func (s *sink) SetWriteDeadline(time.Time) error { return nil }
func (s *sink) EnableFullDuplex() error          { return nil }

// WriteString is Write.
func (s *sink) WriteString(p string) (int, error) { return s.Write([]byte(p)) }

// CloseNotify returns a channel that receives a value when the copy is given up.
func (s *sink) CloseNotify() <-chan bool {
	s.notify.Do(func() {
		s.gone = make(chan bool, 1)
		context.AfterFunc(s.ctx, func() { s.gone <- true })
	})
	return s.gone
}

var errEnough = errors.New("shadow: the answer is longer than the primary's and more than the Mirror keeps")
