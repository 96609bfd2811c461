package shadow

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/trace"

	"github.com/goshadow/shadow/internal/capture"
	"github.com/goshadow/shadow/internal/fields"
	"github.com/goshadow/shadow/internal/guard"
	"github.com/goshadow/shadow/internal/mark"
	"github.com/goshadow/shadow/internal/message"
	"github.com/goshadow/shadow/internal/redact"
	"github.com/goshadow/shadow/internal/target"
	"github.com/goshadow/shadow/internal/telemetry"
)

var (
	// errMask means that the target's Masker failed, or its result could not be sent.
	errMask   = errors.New("shadow: mask failed")
	errNoRoom = errors.New("shadow: no room for what the Masker works on")
)

// attempt is one copy to one target.
type attempt struct {
	m      *Mirror
	j      *job
	target *Target
	in     *Message // the request
	raw    []byte   // its body as transferred
	route  string

	lost []string          // the fields with credentials that were not sent as they came
	span trace.SpanContext // of the copy, if spans are recorded

	got       *Message // becomes the answer; nil if none is kept
	unchunked bool     // the answer came over HTTP/1 with its length: it has no room for trailers
	reply
	buf capture.Buffer // the body of the answer, until the copy is settled
}

// reply is what is known of every answer, also of one that is not kept.
type reply struct {
	status int   // 0 while there is none
	size   int64 // of the body, as far as it was read
	took   time.Duration
}

// send sends the copy and returns the answer, or ErrTimeout if it took too long.
func (a *attempt) send() (answer *Message, err error) {
	err = a.m.guard("Transport", func() (err error) {
		answer, err = a.try()
		return err
	})
	return answer, err
}

// try is send without its guard: mask, leak check, header, send, read.
func (a *attempt) try() (answer *Message, err error) {
	m, j, t := a.m, a.j, a.target
	var c struct { // in one allocation
		target.Copy
		context target.Context
		marks   [mark.Fields]string
	}
	c.Copy = target.Copy{Target: t.Name, Network: t.URL != "", ID: j.id, IDField: m.requestID, Minted: j.minted,
		In: (*message.Message)(a.in), Out: message.Message(*a.in), Raw: a.raw}
	switch {
	case m.passthrough:
		c.Recorded = j.body
	case t.Masker == nil:
		c.Out.Header = j.header.Clone().Header(mark.Fields)
	default:
		work := a.in.held()
		if !m.pool.Reserve(work) {
			return nil, errNoRoom
		}
		defer m.pool.Release(work)
		c.Out = message.Message(*a.in.Clone())
	}
	out := (*Message)(&c.Out)
	c.Forward(j.host, j.scheme, j.remoteAddr)
	if t.Masker != nil {
		err := m.guard("Masker", func() error { return t.Masker.Mask(out) })
		if err == nil && c.Masked() != nil {
			err = &redact.Error{Option: "Masker", Err: target.ErrInvalid}
		}
		if err != nil {
			return nil, a.unsent(err)
		}
	}
	c.Finish(m.telemetry.Strip, a.rewrites())
	a.credentials(out.Header)
	if err := m.checkCopy(t, j, a.route, a.in, out, out.Header); err != nil {
		return nil, a.unsent(err)
	}

	c.context = target.Context{Context: j.primary.Context, Mark: mark.Mark{Target: t.Name, ID: c.ID},
		Limits: a.limits(), Asked: a.asked(out), Keys: m.contextKeys, Values: j.values}
	ctx, cancel := context.WithDeadlineCause(&c.context, j.deadline(t), ErrTimeout)
	defer cancel()
	if bag := mark.Set(out.Header, c.ID, m.loops.Nonce(t == m.control), &c.marks); bag.Len() > 1 {
		ctx = baggage.ContextWithBaggage(ctx, bag)
	}
	if m.telemetry.Traced() {
		var span trace.Span
		of := telemetry.Copy{Target: t.Name, ID: c.ID, Method: out.Method, Route: a.route, Primary: *j.span}
		ctx, span = m.telemetry.Start(ctx, &of, out.Header)
		a.span = of.Span
		defer func() {
			status := a.status
			if err != nil { // the answer came too late, or not as a whole
				status = 0
			}
			telemetry.End(span, a.late(), status, target.ErrorType(err))
		}()
	}

	start := time.Now()
	defer a.spend(start)
	resp, err := target.Send(t.Transport, c.Request(ctx))
	m.reportLoops()                                                 // copies come back before their answers do
	if panicked := (*guard.Panic)(nil); errors.As(err, &panicked) { // of a handler in this process
		m.logPanic(panicked)
	}
	if err == nil {
		answer, err = a.read(ctx, &c.context.Limits, resp, start)
	}
	if context.Cause(ctx) == ErrTimeout { // an answer that came with it is too late
		return nil, ErrTimeout
	}
	return answer, target.Quiet(err)
}

// unsent reports err, for which the copy is not sent, and returns what the copy ends with.
func (a *attempt) unsent(err error) error {
	if errors.Is(err, errLeak) {
		return err
	}
	a.m.maskFailed(a.target.Name, &Exchange{ID: a.j.id, Route: a.route}, "a copy was not sent", err)
	return errMask
}

// rewrites reports whether the decoded body is sent even if no rule has changed it.
func (a *attempt) rewrites() bool {
	return a.target.Masker != nil && ruleOf(a.target.Masker).ReadsBodies()
}

// limits returns how much of the answer is taken, and when.
func (a *attempt) limits() target.Limits {
	p := a.j.primary
	l := target.Limits{Pool: a.m.pool, Keep: a.m.maxBody, Most: &a.j.most, Ahead: p.Ahead, Answered: p.Answered}
	if a.target.Discard {
		l.Keep = capture.Nothing
	}
	return l
}

// asked returns what the primary was asked, as far as a Masker left it in out.
func (a *attempt) asked(out *Message) target.Asked {
	j := a.j
	was := target.Asked{Sent: out.URL, Proto: j.proto, RemoteAddr: j.remoteAddr, TLS: j.tls, Chunked: j.chunked, OuterType: j.outerType()}
	if *out.URL == *a.in.URL {
		was.URL, was.URI = &j.url, j.uri
	}
	if a.target.Masker != nil && j.tls != nil { // a client's certificate is a credential
		was.TLS = &tls.ConnectionState{Version: j.tls.Version, HandshakeComplete: j.tls.HandshakeComplete, CipherSuite: j.tls.CipherSuite,
			NegotiatedProtocol: j.tls.NegotiatedProtocol, ServerName: j.tls.ServerName}
	}
	return was
}

// late returns the route of a copy that began without one, if the primary has answered since.
func (a *attempt) late() string {
	if _, answered := a.j.primary.Get(); a.route != "" || !answered {
		return ""
	}
	return a.m.labels.Route(a.j.route, a.j.method, &a.j.url)
}

// read reads resp, what the target answered.
func (a *attempt) read(ctx context.Context, l *target.Limits, resp *http.Response, start time.Time) (msg *Message, err error) {
	a.status = resp.StatusCode
	a.m.sideEffects(a.target, a.j, a.route, resp.Header)
	if resp.Body != nil {
		defer resp.Body.Close()
	}
	if a.target.Discard {
		a.size, err = l.Drain(resp)
		a.took = time.Since(start)
		return nil, err
	}
	msg = a.got
	msg.Host = a.target.Name
	if err := l.Read(ctx, resp, start, (*message.Message)(msg), &a.buf); err != nil {
		return nil, err
	}
	a.size, a.took, a.unchunked = a.buf.Size(), msg.Took, target.Trailerless(resp)
	a.buf.Reserve(fields.Size(msg.Header) + fields.Size(msg.Trailer)) // else it is starved
	a.m.content(msg, &a.buf)
	return msg, nil
}

// reportLoops reports copies that came back, and once that the Mirror is wrapped twice. It runs
// user code: never on the goroutine of a request.
func (m *Mirror) reportLoops() {
	if text := m.loops.Report(m.limits.Now()); text != "" {
		m.notify(Event{Kind: EventLoop, Text: text})
	}
	if m.loops.ReportNested() {
		m.guard("Logger", func() error { //nolint:errcheck // logged where it can be
			m.log().Warn("shadow: a request passed this mirror twice: it wraps the primary in two places. Such a request is copied once; remove one of them", slog.String("mirror", m.name))
			return nil
		})
	}
}

// sideEffects raises the alarm if the header of an answer of t says so.
func (m *Mirror) sideEffects(t *Target, j *job, route string, h http.Header) {
	kinds := mark.SideEffectsOf(h)
	if len(kinds) == 0 {
		return
	}
	m.guard("MeterProvider", func() error { //nolint:errcheck // logged
		for _, kind := range kinds {
			m.telemetry.SideEffect(m.base, t.Name, kind, 1)
		}
		return nil
	})
	m.notify(Event{Kind: EventSideEffect, Target: t.Name, ID: j.id, Route: route, Text: fmt.Sprintf(
		"a copy was about to write, or has written: its answer has %s: %s", mark.SideEffect, strings.Join(kinds, ", "))})
}

// credentials looks at what is sent as h: it notes which fields with credentials the
// target does not get as they came, and complains once where it gets them although it may
// be the primary itself. What host the primary has is known from its requests only.
func (a *attempt) credentials(h http.Header) {
	if a.target.URL == "" && a.target.Masker == nil {
		return
	}
	var kept []string
	for name, values := range a.in.Header {
		switch {
		case len(values) == 0 || !redact.IsCredential(name):
		case slices.Equal(values, h[name]):
			kept = append(kept, name)
		case a.target.Masker != nil:
			a.lost = append(a.lost, name)
		}
	}
	if a.target.URL == "" || len(kept) == 0 || a.m.warned.Load() {
		return
	}
	base, err := target.ParseURL(a.target.URL)
	if err != nil || !strings.EqualFold(base.Host, a.in.Host) || !a.m.warned.CompareAndSwap(false, true) {
		return
	}
	slices.Sort(kept)
	a.m.notify(Event{Kind: EventCredentials, ID: a.j.id, Route: a.route, Text: fmt.Sprintf(
		"copies go to the host that the requests were for, with their credentials (%s): is target %q the primary? Its Masker should begin with DropCredentials",
		strings.Join(kept, ", "), a.target.Name)})
}

// note says of an answer that refuses the copy for want of credentials which it was not
// given.
func (a *attempt) note(answer *Message, primary int) string {
	status := answer.StatusCode
	if len(a.lost) == 0 || status == primary || status != http.StatusUnauthorized && status != http.StatusForbidden {
		return ""
	}
	slices.Sort(a.lost)
	return fmt.Sprintf("credentials were not forwarded: %s; give the copy its own with SetHeader", strings.Join(a.lost, ", "))
}
