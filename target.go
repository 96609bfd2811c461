package shadow

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

// Target is where copies go: a candidate, or the control.
type Target struct {
	// Name is how results, spans and metrics call the target. It must not be empty.
	Name string
	// URL is the base URL, http or https, of a target on the network. The path of a request
	// is appended to its path as it is. The Host of a copy is that of the URL, unless the
	// Masker sets another one in Message.Host. The original goes in X-Forwarded-Host, the
	// scheme in X-Forwarded-Proto, and the address of the client in X-Forwarded-For, unless
	// the request came with these fields.
	//
	// A copy is sent at most once. There is one exception, with HTTP/2: a server that rejects
	// a request with PROTOCOL_ERROR is sent it once more.
	URL string
	// Transport performs the copy. With a URL it may be any client that reaches the host of
	// the URL, such as an http.Transport with a client certificate or one that dials a Unix
	// socket, and nil is a client of its own: see Remote. It should not decode content
	// (DisableCompression). It stays the user's: the Mirror does not close its connections.
	//
	// Without a URL it must not be nil, and reaches the target by itself: a copy of a server
	// request has the scheme, host and path that the client asked for.
	Transport http.RoundTripper
	// Timeout is how long a copy may take from when it was due (the primary has answered, or
	// with Parallel the request body is complete) to the last byte of the answer; 0 is 10 s.
	// A copy that waited in the queue for that long is not sent: ReasonExpired.
	Timeout time.Duration
	// Masker shapes what this target is sent, after the maskers of WithMasker: its own
	// credentials, tokens. It does not shape what is reported. Its error means that nothing
	// is sent.
	Masker Masker
	// Isolated is the user's word that what the target writes reaches nobody: it has a store of
	// its own, works for a test tenant, or its writes are stopped. Without it a candidate is
	// sent requests with a safe method alone (RFC 9110 section 9.2.1): New fails where
	// WithMethods names another one. A control without it is not asked those.
	Isolated bool
	// Discard sends the copy, but neither keeps nor compares the answer: its outcome
	// is Uncompared.
	Discard bool
}

// InProcess is a target in this process. Its Masker is nil, and WithMasker does not shape what
// it is sent, which has not left the trust domain. The copy's context is fresh and has a deadline. A handler
// that ignores it keeps its place among the running copies until it returns.
func InProcess(name string, h http.Handler) Target {
	return Target{Name: name, Transport: HandlerTransport(h)}
}

// local reports whether t is in this process: InProcess or HandlerTransport made it.
func (t *Target) local() bool {
	_, ok := t.Transport.(*handlerTransport)
	return ok && t.URL == ""
}

func (t *Target) timeout() time.Duration {
	if t.Timeout == 0 {
		return defaultTimeout
	}
	return t.Timeout
}

func (t *Target) check(c *config, where string) {
	if t.Name == "" {
		c.fail("%s: empty Name", where)
	}
	if t.Timeout < 0 {
		c.fail("%s %q: negative Timeout %v", where, t.Name, t.Timeout)
	}
	name := fmt.Sprintf("%s %q: Transport", where, t.Name)
	_, bare := t.Transport.(*http.Transport)
	switch {
	case t.URL == "" && bare && !isNil(t.Transport):
		c.fail("%s: an http.Transport would send the copies to the host that the client asked for, the primary: set URL", name)
	case t.URL == "" && t.Transport == nil:
		c.fail("%s: nil, and no URL", name)
	case t.URL == "" || t.Transport != nil:
		check(c, name, t.Transport)
	}
	if t.URL != "" {
		if _, err := t.base(); err != nil {
			c.errs = append(c.errs, fmt.Errorf("shadow: %s %q: %w", where, t.Name, err))
		}
	}
	if t.Masker != nil {
		check(c, fmt.Sprintf("%s %q: Masker", where, t.Name), t.Masker)
	}
}

// maxResponseHeader is how many bytes the header of an answer may have.
const maxResponseHeader = 256 << 10

// HandlerTransport serves requests by calling h on the caller's goroutine, and h finds what a
// server gives it: deadlines, full duplex and CloseNotify do nothing, the temporary files of a
// form are removed. The answer is held in memory until it is read; of a copy, no more than a
// Mirror keeps of one body. A panic of h becomes an error that is ErrPanic, also after h has
// begun to answer; an answer that is not as long as its Content-Length says becomes an error
// that is io.ErrUnexpectedEOF. 1xx answers, flushes and connections to hijack do not exist here.
func HandlerTransport(h http.Handler) http.RoundTripper { return &handlerTransport{h: h} }

type handlerTransport struct {
	h      http.Handler
	server http.Server // for who looks for http.ServerContextKey, as ReverseProxy does
}

func (t *handlerTransport) Fault() error {
	if isNil(t.h) {
		return errors.New("nil Handler")
	}
	return nil
}

func (t *handlerTransport) RoundTrip(req *http.Request) (resp *http.Response, err error) {
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
	hold, _ := req.Context().Value(holdingKey{}).(*holding)
	if hold != nil && hold.taken.CompareAndSwap(false, true) {
		defer hold.taken.Store(false) // and the header was made for this copy
	} else {
		header = header.Clone()
		hold = &holding{pool: capture.NewPool(math.MaxInt64), limit: math.MaxInt64, most: new(atomic.Int64)}
		hold.most.Store(math.MaxInt64)
	}
	if hold.limit == capture.Nothing {
		s := &served{}
		s.request(req, header, hold, &t.server)
		if err := t.serve(&s.sink, s); err != nil {
			return nil, err
		}
		return s.response(req, s.sink.status), nil
	}
	rec := &recorded{}
	rec.request(req, header, hold, &t.server)
	rec.writer.Init(&rec.sink, rec.in.Method, hold.pool, hold.limit)
	defer func() {
		if resp == nil { // it panicked, exited its goroutine, or did not answer as a whole
			stopped := rec.writer.Stop()
			stopped.Body.Release()
		}
	}()
	if err := t.serve(rec.writer.Wrap(), &rec.served); err != nil {
		return nil, err
	}
	if n := fields.Size(rec.sink.header); hold.limit < math.MaxInt64 && n > maxResponseHeader {
		return nil, fmt.Errorf("shadow: the header of the answer has about %d bytes, more than %d", n, maxResponseHeader)
	}
	return rec.answer(req), nil
}

// serve calls the handler.
func (t *handlerTransport) serve(w http.ResponseWriter, s *served) (err error) {
	defer func() {
		if form := s.in.MultipartForm; form != nil {
			form.RemoveAll() //nolint:errcheck // a server ignores it too
		}
	}()
	returned := false
	defer func() {
		if !returned { // whatever recover returns: GODEBUG=panicnil=1
			err = guard.New("Handler", recover())
		}
	}()
	t.h.ServeHTTP(w, &s.in)
	returned = true
	return s.complete()
}

// served is a request to a handler in process, its answer, of which the body is not kept,
// and that body, which is empty.
type served struct {
	in      http.Request
	url     url.URL
	context serverContext
	sink    sink
	resp    http.Response

	outerType string // what middleware around named for where the handler names no Content-Type
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

// request makes of a client's request what a server makes of it: of a copy, what the server of
// the primary made of that.
func (s *served) request(req *http.Request, header http.Header, hold *holding, server *http.Server) {
	s.sink = sink{header: http.Header{}, most: hold.most, primary: hold.primary, ctx: req.Context(), length: -1}
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
	was := &hold.asked
	if was.sent == nil {
		return
	}
	s.outerType = was.outerType
	in.RemoteAddr, in.TLS = was.remoteAddr, was.tls
	if major, minor, ok := http.ParseHTTPVersion(was.proto); ok {
		in.Proto, in.ProtoMajor, in.ProtoMinor = was.proto, major, minor
	}
	if was.chunked && in.Body != http.NoBody {
		in.ContentLength, in.TransferEncoding = -1, []string{"chunked"}
	}
	if was.uri != "" && *req.URL == *was.sent {
		s.url, in.RequestURI = *was.url, was.uri
	}
}

// complete ends the answer. The error says that it is not what its Content-Length says.
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

// lengthError is an answer that is not what its Content-Length says.
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

// response is the answer to req, without its body.
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

// statusLine is what http.Response.Status holds; the commonest costs nothing.
func statusLine(status int) string {
	if status == http.StatusOK {
		return "200 OK"
	}
	return strconv.Itoa(status) + " " + http.StatusText(status)
}

// recorded is a request to a handler in process, its answer, and the body of the
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

// Read reads what was kept. Where that is not all it ends with a *longBody.
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

// sink is the ResponseWriter at the end of an in-process answer. It refuses what
// cannot be of use any more, and what a server refuses.
type sink struct {
	header  http.Header
	most    *atomic.Int64
	primary *primaryResult // see holding
	ctx     context.Context
	size    int64
	length  int64 // Content-Length, -1 if not declared
	status  int
	long    bool // more was written than declared
	cut     bool // bytes that could not be of use were refused

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
	case s.long || s.length >= 0 && s.size+n > s.length: // once too long, net/http takes no more
		s.long = true
		return 0, http.ErrContentLength
	}
	if err := s.primary.pace(s.ctx, s.size); err != nil {
		s.cut = true
		return 0, err
	}
	if s.size > s.most.Load() {
		s.cut = true
		return 0, errEnough
	}
	s.size += int64(len(p))
	return len(p), nil
}

// bodiless reports whether an answer of this status never has a body.
func (s *sink) bodiless() bool {
	return s.status == http.StatusNoContent || s.status == http.StatusNotModified || s.status == http.StatusSwitchingProtocols
}

// What else a server's ResponseWriter does has no effect on an answer in memory.

func (s *sink) Flush()                           { s.WriteHeader(http.StatusOK) }
func (s *sink) FlushError() error                { s.Flush(); return nil }
func (s *sink) SetReadDeadline(time.Time) error  { return nil }
func (s *sink) SetWriteDeadline(time.Time) error { return nil }
func (s *sink) EnableFullDuplex() error          { return nil }

// WriteString is Write.
func (s *sink) WriteString(p string) (int, error) { return s.Write([]byte(p)) }

// CloseNotify returns a channel that gets a value when there is no use in the answer any more.
func (s *sink) CloseNotify() <-chan bool {
	s.notify.Do(func() {
		s.gone = make(chan bool, 1)
		context.AfterFunc(s.ctx, func() { s.gone <- true })
	})
	return s.gone
}

var errEnough = errors.New("shadow: the answer is longer than the primary's and more than the Mirror keeps")
