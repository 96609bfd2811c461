package capture

import (
	"io"
	"sync"
)

// Answer passes a response body through to its reader and records what goes by.
type Answer struct {
	body io.ReadCloser
	done func(buf Buffer, complete bool)

	mu     sync.Mutex
	on     bool
	want   int64 // Content-Length, -1 if unknown
	failed bool
	buf    Buffer
}

// NewAnswer returns a tee of body, of which length bytes are announced (-1: unknown),
// that keeps at most limit bytes. Done is called once, on the reader's goroutine, when
// the body has been read to its end or closed; complete means that every byte of it was read.
func NewAnswer(body io.ReadCloser, length int64, p *Pool, limit int64, done func(Buffer, bool)) *Answer {
	a := &Answer{body: body, done: done, on: true, want: length}
	a.buf.Init(p, limit)
	if length > limit {
		a.buf.Limit(0) // it would only ever be a prefix: keep the hash alone
	}
	return a
}

func (a *Answer) Read(p []byte) (int, error) {
	n, err := a.body.Read(p)
	a.mu.Lock()
	if a.on {
		a.buf.Write(p[:n], a.want-a.buf.Size()-int64(n))
		a.failed = a.failed || err != nil && err != io.EOF
	}
	a.mu.Unlock()
	if err == io.EOF {
		a.end(true)
	}
	return n, err
}

// Close closes the body and ends the recording.
func (a *Answer) Close() error {
	err := a.body.Close()
	a.end(false)
	return err
}

// end ends the recording, at the end of the body or before.
func (a *Answer) end(reached bool) {
	a.mu.Lock()
	was, buf := a.on, a.buf
	complete := !a.failed && (reached || a.want == buf.Size())
	a.on, a.buf = false, Buffer{}
	a.mu.Unlock()
	if was {
		a.done(buf, complete)
	}
}
