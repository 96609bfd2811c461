package target

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/baggage"

	"github.com/goshadow/shadow/internal/fields"
	"github.com/goshadow/shadow/internal/handle"
	"github.com/goshadow/shadow/internal/mark"
	"github.com/goshadow/shadow/internal/message"
)

// Probe is a request to a target that is no copy of traffic.
type Probe struct {
	Target    string
	Transport http.RoundTripper
	Network   bool
	IDField   string // the header field of the correlation ID; empty for none
	Nonce     string // of the Mirror
	MaxBody   int64  // bytes of the answer that are read
	Timeout   time.Duration
	Late      error                          // after Timeout
	Mask      func(m *message.Message) error // nil if there is none
}

var errProbeMask = errors.New("the mask failed")

// Send sends m, marked and masked as a copy is. Call calls user code and turns its panic into an
// error.
func (p *Probe) Send(ctx context.Context, m *message.Message, call func(part string, f func() error) error) handle.Answer {
	a := handle.Answer{ID: mark.NewID()}
	if p.IDField != "" {
		m.Header[p.IDField] = []string{a.ID}
	}
	in := *m
	if p.Mask != nil {
		if err := p.Mask(m); err != nil || !Valid(m) {
			a.Err, a.MaskFailed = errProbeMask, true
			return a
		}
	}
	a.Sent = m.Header
	if a.Sent == nil {
		a.Sent = http.Header{}
	}
	fields.StripHopByHop(a.Sent)
	var store [mark.Fields]string
	bag := mark.Set(a.Sent, a.ID, p.Nonce, &store)
	a.Sent[mark.Check] = []string{a.ID}

	// The context is fresh, as that of a copy: it ends with ctx, and has none of its values.
	base := baggage.ContextWithBaggage(mark.With(context.Background(), &mark.Mark{Target: p.Target, ID: a.ID}), bag)
	own, cancel := context.WithTimeoutCause(base, p.Timeout, p.Late)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	c := Copy{Network: p.Network, In: &in, Out: *m}
	c.Out.Header = a.Sent
	a.At = time.Now()
	err := call("Transport", func() error {
		resp, err := Send(p.Transport, c.Request(own))
		if err != nil {
			return err
		}
		a.Took = time.Since(a.At)
		a.Status, a.Header = resp.StatusCode, resp.Header
		if resp.Body == nil {
			return nil
		}
		defer resp.Body.Close()
		_, _ = io.CopyN(io.Discard, resp.Body, p.MaxBody+1) // so that the connection can be used again
		return nil
	})
	switch {
	case err == nil:
	case ctx.Err() != nil:
		a.Err, a.Interrupted = ctx.Err(), true
	case context.Cause(own) == p.Late: //nolint:errorlint // the very cause
		a.Err = p.Late
	default:
		a.Err = Quiet(err)
	}
	return a
}
