package target

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/goshadow/shadow/internal/capture"
	"github.com/goshadow/shadow/internal/message"
)

// Limits bound what is taken of an answer.
type Limits struct {
	Pool     *capture.Pool
	Keep     int64           // bytes of the body that are kept; capture.Nothing keeps no answer
	Most     *atomic.Int64   // bytes after which more is of no use
	Ahead    int64           // bytes that are taken before the primary has answered
	Answered <-chan struct{} // closed when the primary has answered; nil if there is none
}

// pace is called before more is taken of an answer of which size bytes have come. An answer that
// is beyond Ahead waits for the primary: then Most is known. It returns an error if ctx ends first.
func (l *Limits) pace(ctx context.Context, size int64) error {
	if l.Answered == nil || size <= l.Ahead {
		return nil
	}
	select {
	case <-l.Answered:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// pacedBody is the body of an answer, read at the pace of its limits.
type pacedBody struct {
	io.Reader
	limits *Limits
	ctx    context.Context
	size   int64
}

func (p *pacedBody) Read(buf []byte) (int, error) {
	if err := p.limits.pace(p.ctx, p.size); err != nil {
		return 0, err
	}
	if p.size > p.limits.Most.Load() {
		return 0, io.EOF // as if the rest had not been asked for
	}
	n, err := p.Reader.Read(buf)
	p.size += int64(n)
	return n, err
}

// Read records resp, the answer to a copy that was sent at start: its body as transferred in buf,
// everything else in msg. The caller closes the body of resp.
func (l *Limits) Read(ctx context.Context, resp *http.Response, start time.Time, msg *message.Message, buf *capture.Buffer) error {
	*msg = message.Message{
		Host: msg.Host, Proto: resp.Proto, StatusCode: resp.StatusCode, Header: resp.Header,
		TTFB: time.Since(start),
	}
	if resp.Request != nil {
		msg.Method, msg.Host = resp.Request.Method, resp.Request.Host
	}
	buf.Init(l.Pool, l.Keep)
	if own, ok := resp.Body.(*recorded); ok {
		*buf, msg.TTFB = own.take(), own.first.Sub(start)
	} else if resp.Body != nil {
		body := &pacedBody{Reader: resp.Body, limits: l, ctx: ctx}
		if err := buf.Read(body, resp.ContentLength, l.Most); err != nil {
			var long *longBody
			if !errors.As(err, &long) {
				return err
			}
			buf.Resume(long.buf)
		}
	}
	msg.Took, msg.Trailer, msg.Size = time.Since(start), resp.Trailer, buf.Size()
	return nil
}

// Drain reads the body of resp, which nobody looks at, to its end or until it is of no use. It
// returns the number of bytes that the target has sent.
func (l *Limits) Drain(resp *http.Response) (n int64, err error) {
	switch body := resp.Body.(type) {
	case nil:
		return 0, nil
	case *served:
		return body.sink.size, nil
	}
	return io.Copy(io.Discard, io.LimitReader(resp.Body, l.Most.Load()+1))
}

// Trailerless reports whether resp came over HTTP/1 with its length: it has no room for trailers.
func Trailerless(resp *http.Response) bool {
	_, local := resp.Body.(*recorded)
	return !local && resp.ProtoMajor == 1 && !slices.Contains(resp.TransferEncoding, "chunked")
}
