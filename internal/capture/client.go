package capture

import (
	"bytes"
	"io"
	"os"
	"reflect"
	"strings"
)

// Memory returns a reader of what is left in body, and how much that is, without reading
// from body itself. It is nil unless body is one of the types that net/http knows to be in
// memory, as it is or in io.NopCloser.
func Memory(body io.Reader) (left io.ReadCloser, length int64) {
	switch r := body.(type) {
	case *bytes.Buffer:
		return io.NopCloser(bytes.NewReader(r.Bytes())), int64(r.Len())
	case *bytes.Reader:
		own := *r
		return io.NopCloser(&own), int64(r.Len())
	case *strings.Reader:
		own := *r
		return io.NopCloser(&own), int64(r.Len())
	}
	switch v := reflect.ValueOf(body); v.Type() { // as net/http does
	case nopCloser, nopCloserWriterTo:
		if inner, ok := v.Field(0).Interface().(io.Reader); ok {
			return Memory(inner)
		}
	}
	return nil, 0
}

var (
	nopCloser         = reflect.TypeOf(io.NopCloser(nil))
	nopCloserWriterTo = reflect.TypeOf(io.NopCloser(struct {
		io.Reader
		io.WriterTo
	}{}))
)

// ReadBody records body to its end and closes it. It reads a byte more than limit at most.
func ReadBody(body io.ReadCloser, length int64, p *Pool, limit int64) (*Buffer, End) {
	b := &Body{}
	b.Init(body, length, p, limit)
	io.CopyN(io.Discard, b, limit+1) //nolint:errcheck // Stop says how it went
	b.Close()                        //nolint:errcheck // what was read stays
	return b.Stop()
}

// Client returns what stands in for the body in the request of a client: a reader that
// records, and is an io.WriterTo or a file where the body is one. Net/http copies a file to a
// connection without reading it: a file is read once more, from beside, when it is closed.
func (b *Body) Client() io.ReadCloser {
	switch body := b.ReadCloser.(type) {
	case *os.File:
		if start, err := body.Seek(0, io.SeekCurrent); err == nil {
			return &fileBody{File: body, b: b, start: start}
		}
	case io.WriterTo:
		return &writerToBody{Body: b, from: body}
	}
	return b
}

type writerToBody struct {
	*Body
	from io.WriterTo
}

// WriteTo has the body write itself to w, and records what it wrote.
func (b *writerToBody) WriteTo(w io.Writer) (int64, error) {
	b.reading.Add(1)
	n, err := b.from.WriteTo(&noted{w, b.Body})
	b.reading.Add(-1)
	if err == nil {
		b.note(nil, io.EOF)
	} else {
		b.note(nil, err)
	}
	return n, err
}

type noted struct {
	io.Writer
	b *Body
}

func (w *noted) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	w.b.note(p[:max(n, 0)], err)
	return n, err
}

type fileBody struct {
	*os.File
	b     *Body
	start int64
}

// Close records what was read of the file, and closes it.
func (f *fileBody) Close() error {
	if end, err := f.Seek(0, io.SeekCurrent); err == nil {
		f.b.copyFrom(io.NewSectionReader(f.File, f.start, end-f.start), f.atEnd(end))
	}
	return f.b.Close()
}

// atEnd reports whether nothing stands in the file after offset.
func (f *fileBody) atEnd(offset int64) bool {
	info, err := f.Stat()
	return err == nil && info.Size() <= offset
}

// copyFrom records r in place of what the reader has read of the body. Whole says that it
// is all there was.
func (b *Body) copyFrom(r io.Reader, whole bool) {
	buf := make([]byte, 32<<10)
	for {
		b.mu.Lock()
		on := b.on
		b.mu.Unlock()
		if !on {
			return
		}
		n, err := r.Read(buf)
		if err == io.EOF && !whole {
			b.note(buf[:n], nil)
			return
		}
		b.note(buf[:n], err)
		if err != nil {
			return
		}
	}
}
