package capture

import (
	"context"
	"io"
	"sync"
)

// Answer passes a response body through to its reader and records what goes by.
type Answer struct {
	body io.ReadCloser
	pool *Pool
	done func(buf Buffer, end End, eof bool)

	mu     sync.Mutex
	on     bool
	want   int64 // Content-Length, -1 if unknown
	failed bool
	buf    Buffer
	forget func() bool // ends the watch over a context
}

// NewAnswer returns a tee of body, of which length bytes are announced (-1: unknown),
// that keeps at most limit bytes. Done is called once, when the body has been read to its
// end (eof) or closed, on the goroutine that did so, or when the context of EndWith ends.
func NewAnswer(body io.ReadCloser, length int64, p *Pool, limit int64, done func(buf Buffer, end End, eof bool)) *Answer {
	a := &Answer{body: body, pool: p, done: done, on: true, want: length}
	a.buf.Init(p, limit)
	if length > limit {
		a.buf.Limit(0) // it would only ever be a prefix: keep the hash alone
	}
	return a
}

// RecordsAnswer reports whether body is an Answer that records to p.
func RecordsAnswer(body io.ReadCloser, p *Pool) bool {
	a, ok := body.(*Answer)
	return ok && a.pool == p
}

// EndWith ends the recording when ctx ends: a caller that cancels need not close the body.
// Then done is called on a goroutine of its own.
func (a *Answer) EndWith(ctx context.Context) {
	if ctx.Done() == nil {
		return
	}
	forget := context.AfterFunc(ctx, func() { a.end(Failed, false) })
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.on {
		a.forget = forget
	} else {
		forget()
	}
}

func (a *Answer) Read(p []byte) (int, error) {
	n, err := a.body.Read(p)
	a.mu.Lock()
	if a.on {
		a.buf.Write(p[:n], a.want-a.buf.Size()-int64(n))
		a.failed = a.failed || err != nil && err != io.EOF
	}
	a.mu.Unlock()
	if err != nil { // nobody need close a body that has ended
		a.end(Complete, err == io.EOF)
	}
	return n, err
}

// Drop gives the bytes of the recording back, as nobody will want them. The end is still
// waited for. A nil Answer has none.
func (a *Answer) Drop() {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.on {
		a.buf.Drop()
	}
}

// Close closes the body and ends the recording.
func (a *Answer) Close() error {
	err := a.body.Close()
	a.end(Unread, false)
	return err
}

// end ends the recording, at the end of the body or before.
func (a *Answer) end(end End, eof bool) {
	a.mu.Lock()
	was, buf, forget := a.on, a.buf, a.forget
	switch {
	case a.failed:
		end = Failed
	case a.want == buf.Size():
		end = Complete
	}
	a.on, a.buf, a.forget = false, Buffer{}, nil
	a.mu.Unlock()
	if !was {
		return
	}
	if forget != nil {
		forget()
	}
	a.done(buf, end, eof)
}
