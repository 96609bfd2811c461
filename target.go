package shadow

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/goshadow/shadow/internal/capture"
	"github.com/goshadow/shadow/internal/fields"
	"github.com/goshadow/shadow/internal/mark"
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
		c.check(name, t.Transport)
	}
	if t.URL != "" {
		if _, err := t.base(); err != nil {
			c.errs = append(c.errs, fmt.Errorf("shadow: %s %q: %w", where, t.Name, err))
		}
	}
	if t.Masker != nil {
		c.check(fmt.Sprintf("%s %q: Masker", where, t.Name), t.Masker)
	}
}

// maxResponseHeader is how many bytes the header of an answer may have.
const maxResponseHeader = 256 << 10

// HandlerTransport serves requests by calling h on the caller's goroutine. The answer
// is held in memory until it is read; of a copy, no more than a Mirror keeps of one
// body. A panic of h becomes an error that is ErrPanic, also after h has begun to
// answer. 1xx answers, flushes and connections to hijack do not exist here.
func HandlerTransport(h http.Handler) http.RoundTripper { return &handlerTransport{h} }

type handlerTransport struct{ h http.Handler }

func (t *handlerTransport) fault() error {
	if isNil(t.h) {
		return errors.New("nil Handler")
	}
	return nil
}

func (t *handlerTransport) RoundTrip(req *http.Request) (resp *http.Response, err error) {
	if req.Body != nil {
		defer req.Body.Close()
	}
	if err := t.fault(); err != nil {
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
		s.request(req, header, hold.most)
		if err := t.serve(&s.sink, &s.in); err != nil {
			return nil, err
		}
		return s.response(req, max(s.sink.status, http.StatusOK)), nil
	}
	rec := &recorded{}
	rec.request(req, header, hold.most)
	rec.writer.Init(&rec.sink, rec.in.Method, hold.pool, hold.limit)
	defer func() {
		if resp == nil { // it panicked, or exited its goroutine
			stopped := rec.writer.Stop()
			stopped.Body.Release()
		}
	}()
	if err := t.serve(rec.writer.Wrap(), &rec.in); err != nil {
		return nil, err
	}
	if n := fields.Size(rec.sink.header); hold.limit < math.MaxInt64 && n > maxResponseHeader {
		return nil, fmt.Errorf("shadow: the header of the answer has about %d bytes, more than %d", n, maxResponseHeader)
	}
	return rec.answer(req), nil
}

// serve calls the handler.
func (t *handlerTransport) serve(w http.ResponseWriter, r *http.Request) (err error) {
	returned := false
	defer func() {
		if !returned { // whatever recover returns: GODEBUG=panicnil=1
			err = &panicError{part: "Handler", value: recover()}
		}
	}()
	t.h.ServeHTTP(w, r)
	returned = true
	return nil
}

// served is a request to a handler in process, its answer, of which the body is not kept,
// and that body, which is empty.
type served struct {
	in   http.Request
	url  url.URL
	sink sink
	resp http.Response
}

// request makes of a client's request what a server makes of it.
func (s *served) request(req *http.Request, header http.Header, most *atomic.Int64) {
	s.sink = sink{header: http.Header{}, most: most}
	s.in, s.url = *req, *req.URL
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
	in.GetBody, in.Response = nil, nil
	if m := mark.From(req.Context()); m != nil {
		in.RemoteAddr, in.RequestURI = m.RemoteAddr, m.RequestURI
	}
	if !leadsTo(in.RequestURI, req.URL) {
		in.RequestURI = req.URL.RequestURI()
	}
}

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

// leadsTo tells whether uri is the request target of u.
func leadsTo(uri string, u *url.URL) bool {
	query, ok := strings.CutPrefix(uri, u.EscapedPath())
	if u.RawQuery == "" && !u.ForceQuery {
		return ok && query == "" && uri != ""
	}
	return ok && query != "" && query[0] == '?' && query[1:] == u.RawQuery
}

func (r *recorded) answer(req *http.Request) *http.Response {
	got := r.writer.Stop()
	r.buf, r.first = got.Body, got.First
	resp := r.response(req, got.Status)
	resp.Header, resp.ContentLength, resp.Body = got.Sent(0), r.buf.Size(), r
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
// cannot be of use any more.
type sink struct {
	header http.Header
	most   *atomic.Int64
	size   int64
	status int
}

func (s *sink) Header() http.Header { return s.header }
func (s *sink) Flush()              {}

func (s *sink) WriteHeader(status int) {
	if status < 100 || status > 999 {
		panic(fmt.Sprintf("invalid WriteHeader code %v", status))
	}
	if s.status == 0 && status >= 200 {
		s.status = status
	}
}

func (s *sink) Write(p []byte) (int, error) {
	if s.status == 0 {
		s.status = http.StatusOK
	}
	switch {
	case s.status == http.StatusNoContent || s.status == http.StatusNotModified:
		return 0, http.ErrBodyNotAllowed
	case s.size > s.most.Load():
		return 0, errEnough
	}
	s.size += int64(len(p))
	return len(p), nil
}

var errEnough = errors.New("shadow: the answer is longer than the primary's and more than the Mirror keeps")
