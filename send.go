package shadow

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/trace"

	"github.com/goshadow/shadow/internal/capture"
	"github.com/goshadow/shadow/internal/fields"
	"github.com/goshadow/shadow/internal/guard"
	"github.com/goshadow/shadow/internal/mark"
	"github.com/goshadow/shadow/internal/redact"
	"github.com/goshadow/shadow/internal/telemetry"
)

// errMask means that the target's Masker failed and nothing was sent; errInvalid may be why.
var (
	errMask    = errors.New("shadow: mask failed")
	errNoRoom  = errors.New("shadow: no room for what the Masker works on")
	errInvalid = errors.New("what it left of the request cannot be sent: the method, the URL or a header field is not valid")
)

// attempt is one copy to one target.
type attempt struct {
	m      *Mirror
	j      *job
	target *Target
	in     *Message // the request
	raw    []byte   // its body as transferred
	route  string

	lost []string // the fields with credentials that were not sent as they came

	span trace.SpanContext // of the copy, where spans are recorded

	got       *Message // what becomes the answer; nil where none is kept
	unchunked bool     // it came over HTTP/1 with its length: there is no room for trailers
	reply
	buf capture.Buffer // its body, until the copy is settled
}

// reply is what is known of every answer, also of one that is not kept.
type reply struct {
	status int   // 0 while there is none
	size   int64 // of the body, as far as it was read
	took   time.Duration
}

// send sends the copy and returns the answer, or ErrTimeout where it took too long.
func (a *attempt) send() (answer *Message, err error) {
	err = a.m.guard("Transport", func() (err error) {
		answer, err = a.try()
		return err
	})
	return answer, err
}

// try is send, and may panic.
func (a *attempt) try() (answer *Message, err error) {
	m, j, t := a.m, a.j, a.target
	out, id := a.in, j.id
	forwarded := a.forwarded()
	if t.Masker != nil {
		work := a.in.held()
		if !m.pool.Reserve(work) {
			return nil, errNoRoom
		}
		defer m.pool.Release(work)
		out = a.in.Clone()
		if out.Header == nil {
			out.Header = http.Header{}
		}
		maps.Copy(out.Header, forwarded) // so that it is masked like the rest
		err := m.guard("Masker", func() error { return t.Masker.Mask(out) })
		if err == nil && !valid(out) {
			err = &redact.Error{Option: "Masker", Err: errInvalid}
		}
		if err != nil {
			m.maskFailed(t.Name, &Exchange{ID: j.id, Route: a.route}, "a copy was not sent", err)
			return nil, errMask
		}
		if out.Host != a.in.Host && slices.Equal(out.Header[forwardedHost], forwarded[forwardedHost]) {
			delete(out.Header, forwardedHost) // it is what the Masker has taken away
		}
		if out.Method != a.in.Method || *out.URL != *a.in.URL || !sameFields(out.Header, a.in.Header, forwarded) {
			out.dropFields(fields.Signatures) // they may be of what has changed
		}
		if sent := a.in.Header[m.requestID]; len(sent) > 0 && !slices.Equal(sent, out.Header[m.requestID]) {
			mark.DropMembers(out.Header, sent[0])
			if strings.HasPrefix(sent[0], id) { // not replaced yet
				id = newID()
			}
		}
	}
	h := a.header(out)
	if t.Masker == nil {
		maps.Copy(h, forwarded)
	}
	body, length := a.body(out, h)
	a.credentials(h)
	switch err := m.checkCopy(t, j, a.route, a.in, out, h); {
	case errors.Is(err, errLeak):
		return nil, err
	case err != nil:
		m.maskFailed(t.Name, &Exchange{ID: j.id, Route: a.route}, "a copy was not sent", err)
		return nil, errMask
	}

	var c struct { // in one allocation
		context copyContext
		marks   [marks]string
	}
	c.context = copyContext{Context: j.primary.ctx, keys: m.contextKeys, values: j.values,
		mark: mark.Mark{Target: t.Name, ID: id},
		hold: holding{pool: m.pool, limit: a.limit(), most: &j.most, primary: j.primary, asked: a.asked(out)}}
	ctx, cancel := context.WithDeadlineCause(&c.context, j.deadline(t), ErrTimeout)
	defer cancel()
	if bag := mark.Set(h, id, m.nonce(t), &c.marks); bag.Len() > 1 {
		ctx = baggage.ContextWithBaggage(ctx, bag)
	}
	if m.telemetry.Traced() {
		var span trace.Span
		of := telemetry.Copy{Target: t.Name, ID: id, Method: out.Method, Route: a.route, Primary: *j.span}
		ctx, span = m.telemetry.Start(ctx, &of, h)
		a.span = of.Span
		defer func() {
			status := a.status
			if err != nil { // it came too late, or not as a whole
				status = 0
			}
			telemetry.End(span, a.late(), status, errorType(err))
		}()
	}

	start := time.Now()
	defer a.spend(start)
	resp, err := t.Transport.RoundTrip(outgoing(ctx, out, t.host(a.in.Host, out.Host), h, body, length))
	m.reportLoop()
	if panicked := (*guard.Panic)(nil); errors.As(err, &panicked) { // of a handler in this process
		m.logPanic(panicked)
	}
	switch {
	case err == nil && resp == nil:
		err = errors.New("shadow: the Transport returned neither a response nor an error")
	case err == nil:
		answer, err = a.read(ctx, resp, start)
	}
	if context.Cause(ctx) == ErrTimeout { // an answer that came with it is too late
		return nil, ErrTimeout
	}
	return answer, quiet(err)
}

// asked returns what the primary was asked, as far as a Masker left it in out.
func (a *attempt) asked(out *Message) asked {
	j := a.j
	was := asked{sent: out.URL, proto: j.proto, remoteAddr: j.remoteAddr, tls: j.tls, chunked: j.chunked, outerType: j.outerType()}
	if *out.URL == *a.in.URL {
		was.url, was.uri = &j.url, j.uri
	}
	if a.target.Masker != nil && j.tls != nil { // a client's certificate is a credential
		was.tls = &tls.ConnectionState{Version: j.tls.Version, HandshakeComplete: j.tls.HandshakeComplete, CipherSuite: j.tls.CipherSuite,
			NegotiatedProtocol: j.tls.NegotiatedProtocol, ServerName: j.tls.ServerName}
	}
	return was
}

// late is the route of a copy that began without one, where the primary has answered since.
func (a *attempt) late() string {
	if _, answered := a.j.primary.result(); a.route != "" || !answered {
		return ""
	}
	return a.m.labels.Route(a.j.route, a.j.method, &a.j.url)
}

// read reads what the target answered.
func (a *attempt) read(ctx context.Context, resp *http.Response, start time.Time) (*Message, error) {
	a.status = resp.StatusCode
	a.m.sideEffects(a.target, a.j, a.route, resp.Header)
	if resp.Body != nil {
		defer resp.Body.Close()
	}
	if a.target.Discard {
		n, err := drain(resp.Body, a.j.most.Load())
		if own, ok := resp.Body.(*served); ok {
			n = own.sink.size
		}
		a.size, a.took = n, time.Since(start)
		return nil, err
	}
	msg, buf := a.got, &a.buf
	*msg = Message{
		Host: a.target.Name, Proto: resp.Proto, StatusCode: resp.StatusCode, Header: resp.Header,
		TTFB: time.Since(start),
	}
	if resp.Request != nil {
		msg.Method, msg.Host = resp.Request.Method, resp.Request.Host
	}
	buf.Init(a.m.pool, a.m.maxBody)
	if resp.Body != nil {
		if own, ok := resp.Body.(*recorded); ok {
			*buf, msg.TTFB = own.take(), own.first.Sub(start)
		} else {
			body := &pacedBody{Reader: resp.Body, primary: a.j.primary, ctx: ctx, most: &a.j.most}
			if err := buf.Read(body, resp.ContentLength, &a.j.most); err != nil {
				var long *longBody
				if !errors.As(err, &long) {
					return nil, err
				}
				buf.Resume(long.buf)
			}
		}
	}
	msg.Took = time.Since(start)
	a.size, a.took = buf.Size(), msg.Took
	msg.Trailer = resp.Trailer
	_, local := resp.Body.(*recorded)
	a.unchunked = !local && resp.ProtoMajor == 1 && !slices.Contains(resp.TransferEncoding, "chunked")
	buf.Reserve(fields.Size(msg.Header) + fields.Size(msg.Trailer)) // else it is starved
	a.m.content(msg, buf)
	return msg, nil
}

// drain reads an answer that nobody will see to its end, or until more than most bytes
// have come, and tells how many did.
func drain(body io.Reader, most int64) (n int64, err error) {
	if body == nil {
		return 0, nil
	}
	return io.Copy(io.Discard, io.LimitReader(body, most+1))
}

// limit is how many bytes of the answer are kept.
func (a *attempt) limit() int64 {
	if a.target.Discard {
		return capture.Nothing
	}
	return a.m.maxBody
}

// marks is how many header fields a copy has more than what it is a copy of.
const marks = mark.Fields

// header is the header of the copy that out describes.
func (a *attempt) header(out *Message) http.Header {
	h := out.Header // a clone, where a mask has been over it
	if a.target.Masker == nil && !a.m.through {
		h = a.j.header.Clone().Header(marks)
	}
	if h == nil {
		h = http.Header{}
	}
	fields.StripHopByHop(h)
	delete(h, "Expect")
	a.m.telemetry.Strip(h)
	if a.m.requestID != "" && a.j.minted {
		h[a.m.requestID] = []string{a.j.id}
	}
	for name, values := range h {
		if idempotency.Has(name) {
			h[name] = derivedKeys(values, a.target.Name)
		}
	}
	if a.target.URL != "" && len(fields.Values(h, "User-Agent")) == 0 {
		h["User-Agent"] = nil // net/http invents none then
	}
	return h
}

const forwardedHost = "X-Forwarded-Host"

// forwarded returns the fields by which a target on the network knows what the request was
// for, as far as the request did not come with them.
func (a *attempt) forwarded() http.Header {
	if a.target.URL == "" {
		return nil
	}
	h := make(http.Header, 3)
	add := func(name, value string) {
		if value != "" && len(fields.Values(a.in.Header, name)) == 0 {
			h[name] = []string{value}
		}
	}
	client, _, _ := net.SplitHostPort(a.j.remoteAddr)
	add(forwardedHost, a.j.host)
	add("X-Forwarded-Proto", a.j.scheme)
	add("X-Forwarded-For", client)
	return h
}

// sameFields reports whether h has the fields of in and those of added, and no others.
func sameFields(h, in, added http.Header) bool {
	n := len(h)
	for name, values := range added {
		if slices.Equal(h[name], values) {
			n--
		}
	}
	if n != len(in) {
		return false
	}
	for name, values := range in {
		if !slices.Equal(h[name], values) {
			return false
		}
	}
	return true
}

// body opens the body of the copy that out describes, nil where there is none, and says its
// length. H is its header.
func (a *attempt) body(out *Message, h http.Header) (open func() io.ReadCloser, length int64) {
	if a.m.through {
		if a.j.body == nil || a.j.body.Size() == 0 {
			return nil, 0
		}
		return func() io.ReadCloser { return a.j.body.Reader() }, a.j.body.Size()
	}
	raw := a.raw
	changed := !bytes.Equal(a.in.Body, out.Body) || a.in.Body != nil && out.Body == nil
	if changed || a.rewrites() && !out.Truncated && !bytes.Equal(raw, out.Body) {
		raw = out.Body
		out.dropFields(fields.Digests)
		fixHeader(h, len(raw))
	}
	if len(raw) == 0 {
		return nil, 0
	}
	return func() io.ReadCloser { return io.NopCloser(bytes.NewReader(raw)) }, int64(len(raw))
}

// rewrites reports whether the copy is sent without its content coding although nothing in it
// was masked: the rules have looked into what is decoded, and not at what else the coding
// may hold, such as names and comments of gzip, or bytes behind its end.
func (a *attempt) rewrites() bool {
	return a.target.Masker != nil && ruleOf(a.target.Masker).ReadsBodies()
}

// fixHeader removes from h what no longer holds of a body that was masked, and gives it
// its new length.
func fixHeader(h http.Header, length int) {
	dropFields(h, []string{"Content-Encoding"})
	if len(h["Content-Length"]) > 0 {
		h["Content-Length"] = []string{strconv.Itoa(length)}
	}
}

// dropFields removes the named header and trailer fields from m.
func (m *Message) dropFields(names []string) {
	dropFields(m.Header, names)
	dropFields(m.Trailer, names)
}

func dropFields(h http.Header, names []string) {
	for key := range h {
		if slices.Contains(names, http.CanonicalHeaderKey(key)) {
			delete(h, key)
		}
	}
}

// outgoing is the copy as a client sends it.
func outgoing(ctx context.Context, out *Message, host string, h http.Header, body func() io.ReadCloser, length int64) *http.Request {
	plain := http.Request{
		Method: out.Method, URL: out.URL, Host: host, Header: h,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, ContentLength: length,
	}
	if len(out.Trailer) > 0 { // they need chunks
		plain.Trailer, plain.ContentLength = out.Trailer.Clone(), -1
		if body == nil {
			body = func() io.ReadCloser { return io.NopCloser(bytes.NewReader(nil)) }
		}
	}
	if body != nil {
		plain.Body = body()
		// A connection may go away before anything is processed.
		plain.GetBody = func() (io.ReadCloser, error) { return body(), nil }
	}
	return plain.WithContext(ctx)
}

// errorType is a low-cardinality name of err.
func errorType(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, ErrTimeout):
		return "timeout"
	case errors.Is(err, ErrPanic):
		return "panic"
	case errors.Is(err, errMask):
		return "mask-failed"
	case errors.Is(err, context.Canceled):
		return "cancelled"
	}
	return "transport"
}

// copyContext is the context of a copy: the mark, the values the user asked for, and
// nothing else of the request it is a copy of.
type copyContext struct {
	context.Context
	mark   mark.Mark
	hold   holding
	keys   []any
	values []any
}

func (c *copyContext) Value(key any) any {
	switch key {
	case mark.Key:
		return &c.mark
	case holdingKey{}:
		return &c.hold
	}
	for i, k := range c.keys {
		if k == key {
			return c.values[i]
		}
	}
	return c.Context.Value(key)
}

// holding tells an in-process target where, and how much of, its answer is kept.
type holding struct {
	pool    *capture.Pool
	limit   int64          // bytes kept
	most    *atomic.Int64  // bytes after which there is no use in more
	primary *primaryResult // sets the pace
	taken   atomic.Bool    // by the handler that is running: not for what it calls itself
	asked   asked
}

// asked is what a primary handler was asked. An in-process target is asked the same.
type asked struct {
	sent       *url.URL // what its copy was sent with; nil if there is none
	url        *url.URL // nil if a Masker changed it
	uri        string   // empty if it was no server's request
	proto      string
	remoteAddr string
	tls        *tls.ConnectionState
	chunked    bool
	outerType  string // the Content-Type that middleware around had set
}

type holdingKey struct{}

// pacedBody is the body of an answer, read at the pace of the primary.
type pacedBody struct {
	io.Reader
	primary *primaryResult
	ctx     context.Context
	most    *atomic.Int64
	size    int64
}

func (p *pacedBody) Read(buf []byte) (int, error) {
	if err := p.primary.pace(p.ctx, p.size); err != nil {
		return 0, err
	}
	if p.size > p.most.Load() {
		return 0, io.EOF // as if the rest had not been asked for
	}
	n, err := p.Reader.Read(buf)
	p.size += int64(n)
	return n, err
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
	base, err := a.target.base()
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
