package capture

import (
	"io"
	"net/http"
	"sync/atomic"
)

// Own returns a reader of what the body of r holds where the body need not be recorded,
// because it is in memory or there is none. Net/http sends a body in memory together with
// the header, and sends it again on a new connection, but only if it knows its type: the
// primary must get it as it is. What Expect holds back may never be sent, so it is recorded.
func Own(r *http.Request) (body func() (io.ReadCloser, error), known bool) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, true
	}
	memory, length := Memory(r.Body)
	if memory == nil || len(r.Header["Expect"]) > 0 {
		return nil, false
	}
	if length < r.ContentLength && r.GetBody != nil { // it has been sent before
		return r.GetBody, true
	}
	return func() (io.ReadCloser, error) { return memory, nil }, true
}

// Announced is the length of the body of a client's request, -1 if unknown, for which r has 0.
func Announced(r *http.Request) int64 {
	if r.ContentLength == 0 {
		return -1
	}
	return r.ContentLength
}

// Attempts records the body of a client's request each time that a RoundTripper sends it. The
// latest attempt counts.
type Attempts struct {
	// Early is that of Body; nil if nothing is to start early.
	Early func(buf *Buffer, err error) (taken bool)

	pool  *Pool
	limit int64
	body  atomic.Pointer[Body] // of the latest attempt; nil if nothing was recorded
	over  atomic.Bool          // no attempt is recorded any more
}

// Init makes a keep at most limit bytes of a body, in p.
func (a *Attempts) Init(p *Pool, limit int64) { a.pool, a.limit = p, limit }

// Request returns the request to send: r with its body recorded, also by way of GetBody.
func (a *Attempts) Request(r *http.Request) *http.Request {
	length := Announced(r)
	out := *r
	out.Body = a.record(r.Body, length)
	if get := r.GetBody; get != nil {
		out.GetBody = func() (io.ReadCloser, error) {
			body, err := get()
			if err != nil {
				return body, err
			}
			return a.record(body, length), nil
		}
	}
	return &out
}

func (a *Attempts) record(body io.ReadCloser, length int64) io.ReadCloser {
	if a.over.Load() {
		return body
	}
	b := &Body{}
	b.Init(body, length, a.pool, a.limit)
	if a.Early != nil {
		b.Early(a.Early)
	}
	if before := a.body.Swap(b); before != nil {
		before.Discard()
	}
	if a.over.Load() {
		b.Discard()
	}
	return b.Client()
}

// Stop ends the recording of attempts and returns the latest, or nil if there was none.
func (a *Attempts) Stop() *Body {
	a.over.Store(true)
	return a.body.Swap(nil)
}

// Discard ends a recording that is of no use.
func (b *Body) Discard() {
	buf, _ := b.Stop()
	buf.Release()
}
