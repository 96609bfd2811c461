package capture

import (
	"bufio"
	"io"
	"net/http"
	"reflect"
	"sync"
	"sync/atomic"
)

// End is how the recording of a body ended.
type End int

// A recording is Complete when Content-Length bytes were read, or the body ended where
// there is none.
const (
	Complete End = iota
	Unread       // the reader stopped before the end
	Failed       // reading failed, or Content-Length is not what was read
	TooLarge     // more bytes than the limit, read or announced
	Starved      // more bytes than the Pool had room for
)

// Body passes a request body through to its reader and records what goes by.
// Bytes, errors and their timing are those of the body itself.
type Body struct {
	io.ReadCloser
	server, given *http.Request                     // see Trailers
	early         func(buf *Buffer, err error) bool // see Early
	answer        *Writer                           // see Answer

	mu   sync.Mutex
	want int64 // Content-Length, -1 if unknown
	read int64
	on   bool
	end  End
	buf  Buffer

	ended   bool // the reader was told so before Stop
	closed  bool // by the reader
	over    bool // stopped
	reading atomic.Int32
}

// Init makes b a tee of body, of which length bytes are announced (-1: unknown),
// that keeps at most limit bytes.
func (b *Body) Init(body io.ReadCloser, length int64, p *Pool, limit int64) {
	b.ReadCloser, b.want, b.on, b.end = body, length, true, Unread
	b.buf.Init(p, limit)
	switch {
	case length > limit:
		b.stop(TooLarge)
	case length == 0:
		b.end = Complete
	}
}

// Trailers gives the request given the trailers of server, of which it is a copy, when the
// body has ended before Stop: net/http sets them on its own request.
func (b *Body) Trailers(server, given *http.Request) { b.server, b.given = server, given }

// Answer has w drop its recording if that of b turns out to be of no use.
func (b *Body) Answer(w *Writer) { b.answer = w }

// Early has take asked with each read after which the recording is complete, also told the
// error of the read, until it takes the recording over: as if by Stop, but sooner. It must
// not wait for anything.
func (b *Body) Early(take func(buf *Buffer, err error) (taken bool)) { b.early = take }

func (b *Body) Read(p []byte) (int, error) {
	b.reading.Add(1)
	n, err := b.ReadCloser.Read(p)
	b.reading.Add(-1)
	b.note(p[:n], err)
	return n, err
}

// note records what a read has returned.
func (b *Body) note(p []byte, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == io.EOF && !b.over {
		b.ended = true
		if b.given != nil && b.given.Trailer == nil {
			b.given.Trailer = b.server.Trailer
		}
	}
	if b.on {
		b.record(p, err)
		if b.end == Complete && b.early != nil && b.early(&b.buf, err) {
			b.on, b.over = false, true
		}
	}
}

func (b *Body) record(p []byte, err error) {
	b.read += int64(len(p))
	b.buf.Write(p, b.want-b.read)
	switch {
	case b.buf.Starved():
		b.stop(Starved)
	case b.buf.Cut():
		b.stop(TooLarge)
	case b.read == b.want:
		b.end = Complete // whatever a read past the end says
	case b.want >= 0 && b.read > b.want:
		b.stop(Failed)
	case err == nil || b.end == Complete || b.closed:
	case err == io.EOF && b.want < 0:
		b.end = Complete
	default:
		b.stop(Failed)
	}
}

// stop ends a recording that is of no use, and with it that of the answer.
func (b *Body) stop(end End) {
	b.on, b.end = false, end
	b.buf.Release()
	if b.answer != nil {
		b.answer.Drop()
	}
}

// Finish reads what is left of the body where all of it has arrived already, so that
// nothing is waited for. It does so for the bodies of net/http's HTTP/1 server with a
// Content-Length, and for nothing else, and not while somebody reads.
func (b *Body) Finish() {
	b.mu.Lock()
	missing := b.want - b.read
	open := b.on && b.reading.Load() == 0 && b.end == Unread && !b.closed
	b.mu.Unlock()
	if open && missing > 0 && missing <= int64(arrived(b.ReadCloser)) {
		io.CopyN(io.Discard, b, missing) //nolint:errcheck // Stop says how it went
	}
}

// arrived is how many bytes of a server's request body wait in the buffer of its
// connection. Net/http does not tell; where its types are not those of Go 1.26 the answer
// is 0. The body of a request that waits for a 100 Continue is of another type, and so is
// one that somebody has wrapped.
//
// It is worth that dependency: of 300 POSTs each of 100, 1,000 and 3,000 bytes that a handler answers
// with a 401 unread, all are compared, and none would be without it.
func arrived(body io.ReadCloser) int {
	v := reflect.ValueOf(body)
	if v.Kind() != reflect.Pointer || v.Type().String() != "*http.body" {
		return 0
	}
	src := v.Elem().FieldByName("src")
	if !src.IsValid() || src.Kind() != reflect.Interface || src.Elem().Type() != reflect.TypeFor[*io.LimitedReader]() {
		return 0
	}
	conn := src.Elem().Elem().FieldByName("R")
	if conn.IsNil() || conn.Elem().Type() != reflect.TypeFor[*bufio.Reader]() {
		return 0
	}
	r, w := conn.Elem().Elem().FieldByName("r"), conn.Elem().Elem().FieldByName("w")
	if !r.IsValid() || !w.IsValid() || !r.CanInt() || !w.CanInt() {
		return 0
	}
	return int(w.Int() - r.Int())
}

// Close closes the body.
func (b *Body) Close() error {
	b.mu.Lock()
	b.closed = true
	if b.on && b.end == Unread {
		b.stop(Unread)
	}
	b.mu.Unlock()
	return b.ReadCloser.Close()
}

// Ended reports whether the end of the body was read before Stop. Else net/http may still
// be about to write the request's trailers.
func (b *Body) Ended() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ended
}

// Stop ends the recording and hands it over, empty unless Complete; a second call hands
// over an empty one. What is read later goes by unrecorded.
func (b *Body) Stop() (*Buffer, End) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over {
		return &Buffer{}, b.end
	}
	b.on, b.over = false, true // from here on buf is the caller's
	if b.end != Complete {
		b.buf.Release()
	}
	return &b.buf, b.end
}
