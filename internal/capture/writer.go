package capture

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
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
	Typed    bool            // the handler named a Content-Type, if only to have none
	First    time.Time       // when the status was written
	Hijacked bool            // the handler took the connection, or switched protocols
	Broken   bool            // a write failed: the client has less than was written
	Whole    bool            // all of Content-Length was written, or a flush sent all there was to send
	Duplex   bool            // the handler enabled full duplex
	Short    bool            // what was written is not what Content-Length says
	Early    bool            // the reader stopped before the end: Body may be a whole document all the same
	Body     Buffer

	head     []byte // of the body, as far as the Content-Type is sniffed from it; nil if Typed
	bodiless bool   // it never has a body, whatever its Content-Length
	declared bool   // it has a Content-Length
}

// Sent is the header as net/http's server sends it, but for Date, Connection and
// Content-Length, with room for extra names.
func (r *Response) Sent(extra int) http.Header {
	h := r.Header.Header(extra + 1)
	switch r.Status {
	case http.StatusNotModified:
		delete(h, "Content-Type")
		fallthrough
	case http.StatusNoContent:
		delete(h, "Content-Length")
		delete(h, "Transfer-Encoding")
		return h
	}
	if len(h["Content-Type"]) == 0 {
		if sniffed := r.Sniffed(h); sniffed != "" {
			h["Content-Type"] = []string{sniffed}
		}
	}
	return h
}

// Sniffed is the Content-Type that net/http's server makes of the body where h, which names
// none, is the header. It is empty where it makes none, and where the handler named one.
func (r *Response) Sniffed(h http.Header) string {
	coding := h["Content-Encoding"]
	if len(r.head) == 0 || r.Status == http.StatusNoContent || r.Status == http.StatusNotModified ||
		len(h["Transfer-Encoding"]) > 0 || len(coding) > 0 && coding[0] != "" {
		return ""
	}
	return http.DetectContentType(r.head)
}

// Trailerless reports whether net/http's server may have sent the response over HTTP/1
// without its trailers: there is no body, a length or another Transfer-Encoding was declared,
// or the body was so short that it was given a length before the trailers were known.
func (r *Response) Trailerless() bool {
	return r.bodiless || r.declared || names(r.Header, "Transfer-Encoding") || r.Body.Size() <= mostHeld && !names(r.Header, "Trailer")
}

// mostHeld is how much of a body net/http holds back over HTTP/1 until it knows the length.
const mostHeld = 2 << 10

// sniffLen is how many bytes http.DetectContentType looks at.
const sniffLen = 512

// Writer passes a response through to an http.ResponseWriter and records it: the header
// before it is forwarded, since a ResponseWriter may change it then, the body as far as
// it was accepted. It is safe for concurrent use as far as the ResponseWriter is.
type Writer struct {
	// Start is the time of the request, if set: what is measured from it costs half of
	// what the time of day does.
	Start time.Time
	// Outer is the header as it was before the handler was called. It is set before Init.
	Outer fields.Snapshot

	server, given *http.Request // see Request

	w    http.ResponseWriter
	pool *Pool
	head bool // a response to HEAD: its body is never sent

	mu      sync.Mutex
	on      bool
	sniffed bool  // the beginning of the body that the Content-Type depends on is over
	sent    bool  // a flush has sent the header
	length  int64 // Content-Length, -1 if not declared
	resp    Response
	room    [9]string // for the usual header: see fields.Take
}

// Init makes w record what is written to dst in answer to a request with the given
// method, at most limit bytes of body. Where that is Nothing the header is not recorded
// either. Wrap returns what the handler is to be given.
func (w *Writer) Init(dst http.ResponseWriter, method string, p *Pool, limit int64) {
	w.w, w.pool, w.head, w.on, w.length = dst, p, method == http.MethodHead, true, -1
	w.resp.Body.Init(p, limit)
	w.sniffed = limit == Nothing
}

// Request has a Body that the handler puts in the place of that of given put in the place
// of that of server too, of which given is a copy, before the header is sent: net/http looks
// then whether it is its own, to decide if the connection can be used again.
func (w *Writer) Request(server, given *http.Request) { w.server, w.given = server, given }

// showBody does what Request says.
func (w *Writer) showBody() {
	if w.given == nil || w.sent || w.resp.Body.Size() > mostUnsent {
		return
	}
	if _, own := w.given.Body.(*Body); !own {
		w.server.Body = w.given.Body
	}
}

// mostUnsent is more than net/http keeps back of a response (2 KiB over HTTP/1).
const mostUnsent = 4 << 10

// Stop ends the recording and hands it over; a second call returns an empty one. A handler
// that writes after it has returned writes unrecorded. A response that was never begun is
// the 200 that net/http makes of it.
func (w *Writer) Stop() *Response {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.on {
		return &Response{}
	}
	w.on = false // from here on resp is the caller's
	r := &w.resp
	if !r.Hijacked {
		w.begin(http.StatusOK)
		r.bodiless, r.declared = w.bodiless(), w.length >= 0
		if r.Body.limit != Nothing {
			r.Trailer = trailers(r.Header, w.w.Header())
		}
		r.Whole = w.sent && w.bodiless() || w.length >= 0 && w.length == r.Body.Size()
		r.Short = r.Short || w.length >= 0 && w.length != r.Body.Size() && !w.bodiless()
	}
	return r
}

// Duplex reports whether the handler has enabled full duplex.
func (w *Writer) Duplex() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.resp.Duplex
}

// Drop gives the bytes of the recording back, as nobody will want them. What else is known
// of the response is recorded on.
func (w *Writer) Drop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.on {
		w.resp.Body.Drop()
	}
}

// bodiless tells that a response never has a body, whatever its Content-Length.
func (w *Writer) bodiless() bool {
	return w.head || w.resp.Status == http.StatusNoContent || w.resp.Status == http.StatusNotModified
}

// begin records the final status and the header sent with it.
func (w *Writer) begin(status int) {
	if w.resp.Status != 0 {
		return
	}
	h := w.w.Header()
	w.resp.Status, w.resp.First = status, w.now()
	if w.resp.Body.limit != Nothing {
		w.resp.Header = fields.Take(h, w.room[:]).Without(http.TrailerPrefix) // those are sent after the body
	}
	w.resp.Typed = w.typed(h)
	w.length = Declared(h)
	if w.length > w.resp.Body.limit {
		w.resp.Body.Limit(0) // it would only ever be a prefix: keep the hash alone
	}
}

// typed reports whether the handler named a Content-Type in h.
func (w *Writer) typed(h http.Header) bool {
	values, typed := h["Content-Type"]
	for name, before := range w.Outer.All() {
		if name == "Content-Type" && slices.Equal(values, before) {
			return false
		}
	}
	return typed
}

func (w *Writer) now() time.Time {
	if w.Start.IsZero() {
		return time.Now()
	}
	return w.Start.Add(time.Since(w.Start))
}

// Declared is the Content-Length of h as net/http reads it, -1 if there is none.
func Declared(h http.Header) int64 {
	v := h["Content-Length"]
	if len(v) == 0 {
		return -1
	}
	n, err := strconv.ParseInt(v[0], 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// Header returns the header of the ResponseWriter.
func (w *Writer) Header() http.Header { return w.w.Header() }

// Unwrap returns the ResponseWriter, for http.ResponseController. Where that one wraps
// another it is put behind a window, lest a controller flush or hijack further down
// unseen.
func (w *Writer) Unwrap() http.ResponseWriter {
	if _, ok := w.w.(unwrapper); ok {
		return window{w}
	}
	return w.w
}

type unwrapper interface{ Unwrap() http.ResponseWriter }

// Records reports whether w records to p, or a ResponseWriter below w does.
func Records(w http.ResponseWriter, p *Pool) bool {
	for range mostWrappers {
		if r, ok := w.(interface{ records() *Pool }); ok && r.records() == p {
			return true
		}
		wrapper, ok := w.(unwrapper)
		if !ok {
			return false
		}
		w = wrapper.Unwrap()
	}
	return false
}

// mostWrappers is how many ResponseWriters Records looks at: one may unwrap to itself.
const mostWrappers = 32

func (w *Writer) records() *Pool { return w.pool }

// window does what an http.ResponseController does with the ResponseWriter of a Writer.
type window struct{ *Writer }

func (v window) Unwrap() http.ResponseWriter { return v.w }

func (v window) FlushError() error {
	err := http.NewResponseController(v.w).Flush()
	if !errors.Is(err, http.ErrNotSupported) {
		v.flushing()
		v.flushed(err)
	}
	return err
}

func (v window) EnableFullDuplex() error {
	return v.duplex(http.NewResponseController(v.w).EnableFullDuplex())
}

func (v window) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return v.hijacked(http.NewResponseController(v.w).Hijack())
}

// WriteHeader forwards status. 1xx go by unrecorded, and so does what net/http panics at.
func (w *Writer) WriteHeader(status int) {
	w.mu.Lock()
	switch {
	case !w.on || w.resp.Status != 0:
	case status == http.StatusSwitchingProtocols:
		w.resp.Status, w.resp.Hijacked = status, true
	case status >= 200 && status <= 999:
		w.begin(status)
	}
	w.mu.Unlock()
	w.w.WriteHeader(status)
}

// Write forwards p and records what was accepted of it.
func (w *Writer) Write(p []byte) (int, error) {
	w.beginImplicit()
	n, err := w.w.Write(p)
	accepted := p[:max(n, 0)]
	w.wrote(accepted)
	w.failed(len(p)-len(accepted), err)
	return n, err
}

func (w *Writer) beginImplicit() {
	w.mu.Lock()
	if w.on && !w.resp.Hijacked {
		w.begin(http.StatusOK)
		w.showBody()
	}
	w.mu.Unlock()
}

// wrote records bytes that the ResponseWriter accepted.
func (w *Writer) wrote(p []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.on {
		return
	}
	if room := sniffLen - len(w.resp.head); !w.resp.Typed && !w.sniffed && room > 0 {
		w.resp.head = append(w.resp.head, p[:min(room, len(p))]...)
	}
	if !w.head {
		w.resp.Body.Write(p, w.length-w.resp.Body.Size()-int64(len(p)))
	}
}

// failed records an error of writing the body, and how many bytes were not accepted.
// What a response to HEAD is written nobody misses.
func (w *Writer) failed(refused int, err error) {
	if err == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case !w.on, err == http.ErrBodyNotAllowed, w.head:
	case w.length >= 0 && w.resp.Body.Size()+int64(refused) > w.length:
		w.resp.Short = true // more than declared: the client was sent a part of it
		w.resp.Body.Drop()
	default:
		w.broken()
	}
}

// flushing records that what was written so far is sent now, and flushed how that went.
func (w *Writer) flushing() {
	w.beginImplicit()
	w.mu.Lock()
	w.sniffed = true
	w.mu.Unlock()
}

func (w *Writer) flushed(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case !w.on:
	case err == nil, w.bodiless():
		w.sent = true // and where there is no body the client may be gone already, with all of it
	default:
		w.broken()
	}
}

// broken records that the client has less than was written. Nobody will want the rest.
func (w *Writer) broken() {
	w.resp.Broken = true
	w.resp.Body.Drop()
}

// trailers are the fields of h that are sent after the body: those that the header sent
// before it announced, and those with http.TrailerPrefix.
func trailers(sent fields.Snapshot, h http.Header) fields.Snapshot {
	if names(sent, "Trailer") || prefixed(h) {
		return collect(sent, h)
	}
	return nil
}

func collect(sent fields.Snapshot, h http.Header) fields.Snapshot {
	t := http.Header{}
	for name, values := range h {
		if name, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			t[http.CanonicalHeaderKey(name)] = values
		}
	}
	for name, lists := range sent.All() {
		if name != "Trailer" {
			continue
		}
		for _, list := range lists {
			for name := range fields.Tokens(list) {
				name = http.CanonicalHeaderKey(name)
				t[name] = append(slices.Clip(t[name]), h[name]...)
			}
		}
	}
	return fields.Take(t, nil)
}

// names reports whether a header that was sent has the field.
func names(sent fields.Snapshot, field string) bool {
	for name := range sent.All() {
		if name == field {
			return true
		}
	}
	return false
}

// prefixed reports whether h has a field with http.TrailerPrefix.
func prefixed(h http.Header) bool {
	for name := range h {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			return true
		}
	}
	return false
}

// The optional methods of a ResponseWriter. Wrap gives the handler those that the
// ResponseWriter has, no more and no fewer.

func (w *Writer) flush() {
	w.flushing()
	w.w.(http.Flusher).Flush()
	w.flushed(nil)
}

func (w *Writer) flushError() error {
	w.flushing()
	err := w.w.(flushErrorer).FlushError()
	w.flushed(err)
	return err
}

func (w *Writer) hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.hijacked(w.w.(http.Hijacker).Hijack())
}

func (w *Writer) enableFullDuplex() error { return w.duplex(w.w.(connection).EnableFullDuplex()) }

// duplex records that the server leaves the rest of the request body to the handler.
func (w *Writer) duplex(err error) error {
	if err == nil {
		w.mu.Lock()
		if w.on {
			w.resp.Duplex = true
		}
		w.mu.Unlock()
	}
	return err
}

// hijacked records that the handler took the connection.
func (w *Writer) hijacked(conn net.Conn, rw *bufio.ReadWriter, err error) (net.Conn, *bufio.ReadWriter, error) {
	if err == nil {
		w.mu.Lock()
		if w.on {
			w.resp.Hijacked = true
			w.resp.Body.Drop()
		}
		w.mu.Unlock()
	}
	return conn, rw, err
}

// readFrom lets the ResponseWriter read from src, and records what it reads on the
// way. A response declared to be larger than the limit goes by unseen, so that a
// file still goes out by sendfile; all but the beginning from which net/http, as we do,
// sniffs a Content-Type that is missing.
func (w *Writer) readFrom(src io.Reader) (n int64, err error) {
	h := w.w.Header()
	if !w.unkept(Declared(h)) {
		return w.readWatched(src)
	}
	if _, typed := h["Content-Type"]; !typed {
		n, err = w.readWatched(io.LimitReader(src, sniffLen))
		if n < sniffLen || err != nil {
			return n, err
		}
	}
	w.beginImplicit()
	more, err := w.w.(io.ReaderFrom).ReadFrom(src)
	w.passed(more)
	w.failed(0, err)
	return n + more, err
}

// unkept tells that a body of n bytes is sent and is not going to be kept.
func (w *Writer) unkept(n int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.on || !w.head && n > w.resp.Body.limit
}

func (w *Writer) readWatched(src io.Reader) (n int64, err error) {
	from := &watched{w: w, src: src}
	if _, ok := src.(io.WriterTo); ok { // what is in memory goes out in one piece
		n, err = w.w.(io.ReaderFrom).ReadFrom(watchedWriterTo{from})
	} else {
		n, err = w.w.(io.ReaderFrom).ReadFrom(from)
	}
	if !from.failed { // else it is the source's error, not the connection's
		w.failed(0, err)
	}
	if w.head && n >= sniffLen { // net/http has sent the header
		w.flushed(nil)
	}
	return n, err
}

// passed records n bytes of body that nobody looked at.
func (w *Writer) passed(n int64) {
	if n <= 0 {
		return
	}
	w.beginImplicit()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.on {
		w.resp.Body.Skip(n)
	}
}

// watched is the source of a ReadFrom: it records what is read from it.
type watched struct {
	w      *Writer
	src    io.Reader
	failed bool
}

func (r *watched) Read(p []byte) (int, error) {
	n, err := r.src.Read(p)
	if n > 0 {
		r.w.beginImplicit()
		r.w.wrote(p[:n])
	}
	r.failed = err != nil && err != io.EOF
	return n, err
}

// watchedWriterTo is a source that writes by itself, with pieces as large as it likes.
type watchedWriterTo struct{ *watched }

func (r watchedWriterTo) WriteTo(dst io.Writer) (int64, error) {
	to := &watchedWriter{w: r.w, dst: dst}
	n, err := r.src.(io.WriterTo).WriteTo(to)
	r.failed = err != nil && !to.failed
	return n, err
}

// watchedWriter is where it writes to: it records what is accepted.
type watchedWriter struct {
	w      *Writer
	dst    io.Writer
	failed bool
}

func (d *watchedWriter) Write(p []byte) (int, error) {
	if len(p) > 0 {
		d.w.beginImplicit()
	}
	n, err := d.dst.Write(p)
	d.w.wrote(p[:max(n, 0)])
	d.failed = d.failed || err != nil || n < len(p)
	return n, err
}

func (w *Writer) writeString(str string) (int, error) {
	w.beginImplicit()
	n, err := w.w.(io.StringWriter).WriteString(str)
	var part [512]byte
	for rest := str[:max(n, 0)]; rest != ""; {
		k := copy(part[:], rest)
		w.wrote(part[:k])
		rest = rest[k:]
	}
	w.failed(len(str)-max(n, 0), err)
	return n, err
}

// flushErrorer and connection are what http.ResponseController asks of a server's
// ResponseWriter.
type flushErrorer interface{ FlushError() error }

type connection interface {
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
	EnableFullDuplex() error
}
