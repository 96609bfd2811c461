package capture

import (
	"io"
	"sync"
)

// End is how the recording of a body ended.
type End int

// A recording is Complete when the body ended or Content-Length bytes were read.
const (
	Complete End = iota
	Unread       // the reader stopped before the end
	Failed       // reading failed
	TooLarge     // more bytes than the limit
	Starved      // more bytes than the Pool had room for
)

// Body passes a request body through to its reader and records what goes by.
// Bytes, errors and their timing are those of the body itself.
type Body struct {
	io.ReadCloser
	// AtEOF, if set, runs on the reader's goroutine when the body has ended.
	AtEOF func()

	mu   sync.Mutex
	want int64 // Content-Length, -1 if unknown
	read int64
	on   bool
	end  End
	buf  Buffer
}

// Init makes b a tee of body, of which length bytes are announced (-1: unknown),
// that keeps at most limit bytes.
func (b *Body) Init(body io.ReadCloser, length int64, p *Pool, limit int64) {
	b.ReadCloser, b.want, b.on, b.end = body, length, true, Unread
	b.buf.Init(p, limit)
}

func (b *Body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF && b.AtEOF != nil {
		b.AtEOF()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.on {
		b.record(p[:n], err)
	}
	return n, err
}

func (b *Body) record(p []byte, err error) {
	b.read += int64(len(p))
	b.buf.Write(p, b.want-b.read)
	switch {
	case b.buf.Starved():
		b.stop(Starved)
	case b.buf.Cut():
		b.stop(TooLarge)
	case err == io.EOF:
		b.end = Complete
	case err != nil:
		b.stop(Failed)
	case b.read == b.want:
		b.end = Complete
	}
}

func (b *Body) stop(end End) {
	b.on, b.end = false, end
	b.buf.Release()
}

// Missing is the number of announced bytes that were not read so far, -1 where
// that is not known or the recording has ended.
func (b *Body) Missing() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.end == Complete:
		return 0
	case !b.on || b.want < 0:
		return -1
	}
	return b.want - b.read
}

// Stop ends the recording and hands it over, empty unless Complete. What is read
// later goes by unrecorded.
func (b *Body) Stop() (Buffer, End) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.end != Complete {
		b.buf.Release()
	}
	buf := b.buf
	b.buf, b.on = Buffer{}, false
	return buf, b.end
}
