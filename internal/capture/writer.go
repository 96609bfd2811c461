package capture

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/goshadow/shadow/internal/fields"
)

//go:generate go run gen.go

// Response is what a Writer saw of a response.
type Response struct {
	Status   int             // the final status; 0 if nothing was answered
	Header   fields.Snapshot // as it was when the status was written
	Trailer  fields.Snapshot // declared trailers and those with http.TrailerPrefix
	Typed    bool            // the header named a Content-Type, if only to have none
	First    time.Time       // when the status was written
	Hijacked bool            // the handler took the connection, or switched protocols
	Broken   bool            // a write failed: the client has less than was written
	Short    bool            // what was written is not what Content-Length says
	Flushed  bool            // the handler flushed
	Duplex   bool            // the handler asked to read the request while it answers
	Body     Buffer
}

// Writer passes a response through to an http.ResponseWriter and records it. Every
// call is forwarded first and recorded then. It is safe for concurrent use as far
// as the ResponseWriter is.
type Writer struct {
	w    http.ResponseWriter
	head bool // a response to HEAD: its body is never sent

	mu     sync.Mutex
	on     bool
	length int64 // Content-Length, 0 if not declared
	resp   Response
}

// Init makes w record what is written to dst in answer to a request with the given
// method, at most limit bytes of body. Wrap returns what the handler is to be given.
func (w *Writer) Init(dst http.ResponseWriter, method string, p *Pool, limit int64) {
	w.w, w.head, w.on = dst, method == http.MethodHead, true
	w.resp.Body.Init(p, limit)
}

// Stop ends the recording and hands it over. A handler that writes after it has
// returned writes unrecorded. A response that was never begun is the 200 that
// net/http makes of it.
func (w *Writer) Stop() Response {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.on && !w.resp.Hijacked {
		w.begin(http.StatusOK)
		w.resp.Trailer = trailers(w.w.Header())
		w.resp.Short = w.resp.Short || !w.head && w.resp.Status != http.StatusNotModified && w.resp.Body.Size() < w.length
	}
	resp := w.resp
	w.resp, w.on = Response{}, false
	return resp
}

// Pending tells that a server that buffers at least n bytes of a response has sent
// nothing of this one yet, and that its handler did not ask for full duplex.
func (w *Writer) Pending(n int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := &w.resp
	return w.on && !r.Hijacked && !r.Duplex && !r.Flushed && !r.Broken && r.Body.Size() < n
}

// begin records the final status and the header sent with it.
func (w *Writer) begin(status int) {
	if w.resp.Status != 0 {
		return
	}
	h := w.w.Header()
	w.resp.Status, w.resp.First = status, time.Now()
	w.resp.Header = fields.Take(h)
	_, w.resp.Typed = h["Content-Type"]
	w.length, _ = declared(h)
	if w.length > w.resp.Body.limit {
		w.resp.Body.Limit(0) // it would only ever be a prefix: keep the hash alone
	}
}

func declared(h http.Header) (n int64, ok bool) {
	v := h["Content-Length"]
	if len(v) != 1 {
		return 0, false
	}
	n, err := strconv.ParseInt(v[0], 10, 64)
	return n, err == nil
}

// Header returns the header of the ResponseWriter.
func (w *Writer) Header() http.Header { return w.w.Header() }

// Unwrap returns the ResponseWriter, for http.ResponseController.
func (w *Writer) Unwrap() http.ResponseWriter { return w.w }

// WriteHeader forwards status; 1xx go by unrecorded.
func (w *Writer) WriteHeader(status int) {
	w.mu.Lock()
	switch {
	case !w.on:
	case status == http.StatusSwitchingProtocols:
		w.resp.Status, w.resp.Hijacked = status, true
	case status >= 200:
		w.begin(status)
	}
	w.mu.Unlock()
	w.w.WriteHeader(status)
}

// Write forwards p and records what was accepted of it.
func (w *Writer) Write(p []byte) (int, error) {
	w.beginImplicit()
	n, err := w.w.Write(p)
	w.wrote(p[:max(n, 0)], err)
	return n, err
}

func (w *Writer) flushed() {
	w.beginImplicit()
	w.mu.Lock()
	w.resp.Flushed = true
	w.mu.Unlock()
}

func (w *Writer) beginImplicit() {
	w.mu.Lock()
	if w.on && !w.resp.Hijacked {
		w.begin(http.StatusOK)
	}
	w.mu.Unlock()
}

// wrote records bytes that the ResponseWriter accepted, and its error.
func (w *Writer) wrote(p []byte, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.on {
		return
	}
	switch err {
	case nil, http.ErrBodyNotAllowed:
	case http.ErrContentLength:
		w.resp.Short = true // more than declared: the client was sent a part of it
	default:
		w.resp.Broken = true
	}
	if !w.head {
		w.resp.Body.Write(p, max(w.length-w.resp.Body.Size()-int64(len(p)), 0))
	}
}

func trailers(h http.Header) fields.Snapshot {
	var f fields.Snapshot
	for _, list := range h["Trailer"] {
		for name := range fields.Tokens(list) {
			name = http.CanonicalHeaderKey(name)
			for _, v := range h[name] {
				f = append(f, name, v)
			}
		}
	}
	for name, values := range h {
		if len(name) > len(http.TrailerPrefix) && name[:len(http.TrailerPrefix)] == http.TrailerPrefix {
			for _, v := range values {
				f = append(f, http.CanonicalHeaderKey(name[len(http.TrailerPrefix):]), v)
			}
		}
	}
	return f
}

// The optional methods of a ResponseWriter. Wrap gives the handler those that the
// ResponseWriter has, no more and no fewer.

func (w *Writer) flush() {
	w.flushed()
	w.w.(http.Flusher).Flush()
}

func (w *Writer) flushError() error {
	w.flushed()
	err := w.w.(flushErrorer).FlushError()
	if err != nil {
		w.wrote(nil, err)
	}
	return err
}

func (w *Writer) hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := w.w.(http.Hijacker).Hijack()
	if err == nil {
		w.mu.Lock()
		w.resp.Hijacked = true
		w.mu.Unlock()
	}
	return conn, rw, err
}

// readFrom lets the ResponseWriter read from src, and records what it reads on the
// way. A response declared to be larger than the limit goes by unseen, so that a
// file still goes out by sendfile.
func (w *Writer) readFrom(src io.Reader) (int64, error) {
	rf := w.w.(io.ReaderFrom)
	if n, ok := declared(w.w.Header()); ok && w.exceeds(n) {
		n, err := rf.ReadFrom(src)
		w.passed(n, err)
		return n, err
	}
	n, err := rf.ReadFrom(&watched{w, src})
	if err != nil {
		w.wrote(nil, err)
	}
	return n, err
}

// exceeds tells that a body of n bytes is not going to be kept.
func (w *Writer) exceeds(n int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.on || w.head || n > w.resp.Body.limit
}

// passed records n bytes of body that nobody looked at.
func (w *Writer) passed(n int64, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.on {
		return
	}
	if n > 0 {
		w.begin(http.StatusOK)
	}
	w.resp.Broken = w.resp.Broken || err != nil
	if !w.head {
		w.resp.Body.Skip(n)
	}
}

// watched is the source of a ReadFrom: it records what is read from it.
type watched struct {
	w   *Writer
	src io.Reader
}

func (r *watched) Read(p []byte) (int, error) {
	n, err := r.src.Read(p)
	if n > 0 {
		r.w.beginImplicit()
		r.w.wrote(p[:n], nil)
	}
	return n, err
}

func (w *Writer) writeString(str string) (int, error) {
	w.beginImplicit()
	n, err := w.w.(io.StringWriter).WriteString(str)
	var part [512]byte
	for rest := str[:max(n, 0)]; rest != ""; {
		k := copy(part[:], rest)
		w.wrote(part[:k], nil)
		rest = rest[k:]
	}
	if err != nil {
		w.wrote(nil, err)
	}
	return n, err
}

func (w *Writer) enableFullDuplex() error {
	w.mu.Lock()
	w.resp.Duplex = true
	w.mu.Unlock()
	return w.w.(connection).EnableFullDuplex()
}

// flushErrorer and connection are what http.ResponseController asks of a server's
// ResponseWriter.
type flushErrorer interface{ FlushError() error }

type connection interface {
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
	EnableFullDuplex() error
}
