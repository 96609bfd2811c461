package content

import (
	"context"
	"runtime"
	"time"

	"github.com/goshadow/shadow/internal/capture"
	"github.com/goshadow/shadow/internal/fields"
	"github.com/goshadow/shadow/internal/message"
)

// Decoder decodes the bodies of messages, a few at a time. It is safe for concurrent use.
type Decoder struct {
	base  context.Context // ends what is being decoded
	pool  *capture.Pool
	limit int64
	slots chan struct{} // one for each body that is being decoded
}

// maxDecoders is how many bodies are decoded at a time, if there are as many processors: each
// decoder has tables and a window of its own.
const maxDecoders = 4

// maxDecoding is how long the decoding of one body may take: a hundred times as long as that of
// a body of the usual limit does.
const maxDecoding = time.Second

// NewDecoder returns a Decoder of bodies with at most limit bytes, until base ends.
func NewDecoder(base context.Context, p *capture.Pool, limit int64) *Decoder {
	return &Decoder{base: base, pool: p, limit: limit, slots: make(chan struct{}, min(runtime.GOMAXPROCS(0), maxDecoders))}
}

// Fill gives m the body that buf recorded, decoded. If that is not possible m is Truncated and has
// a Digest; if there is no room for it, buf is starved.
func (d *Decoder) Fill(m *message.Message, buf *capture.Buffer) {
	m.Size = buf.Size()
	if buf.Cut() {
		m.Digest, _ = buf.Sum()
		m.Truncated = true
		return
	}
	raw := buf.Bytes()
	if err := d.Decode(m, raw, buf); err != nil {
		m.Digest = d.pool.Sum(raw)
		m.Truncated = true
	}
}

// Decode gives m the content of raw, or as much of it as it can and an error. What the content
// takes is reserved in buf, which recorded raw.
func (d *Decoder) Decode(m *message.Message, raw []byte, buf *capture.Buffer) error {
	codings := Codings(fields.Values(m.Header, "Content-Encoding"))
	if len(raw) == 0 || len(codings) == 0 {
		m.Body = raw
		return nil
	}
	select {
	case d.slots <- struct{}{}:
		defer func() { <-d.slots }()
	case <-d.base.Done():
		return d.base.Err()
	}
	ctx, cancel := context.WithTimeout(d.base, maxDecoding)
	defer cancel()
	body, err := Decode(ctx, codings, raw, d.limit, buf.Reserve)
	if body == nil {
		body = []byte{} // there is one: a Masker that takes it away sets nil
	}
	m.Body = body
	return err
}
