package shadow

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/trace"

	"github.com/goshadow/shadow/internal/capture"
	"github.com/goshadow/shadow/internal/fields"
	"github.com/goshadow/shadow/internal/mark"
	"github.com/goshadow/shadow/internal/queue"
	"github.com/goshadow/shadow/internal/telemetry"
)

// job is a request on its way from the moment it was sampled to its Result.
type job struct {
	// Before the primary ran.
	start      time.Time
	id         string
	minted     bool // the id was made here
	method     string
	scheme     string
	host       string
	proto      string
	remoteAddr string
	uri        string // RequestURI of a server's request
	url        url.URL
	header     fields.Snapshot
	values     []any // of config.contextKeys
	span       trace.SpanContext

	// While it ran, and after.
	body    capture.Buffer
	trailer fields.Snapshot
	resp    capture.Response
	ended   time.Time
	route   string

	claimed atomic.Bool // by the one who will report it
}

// snapshot keeps of r what the primary might change.
func (m *Mirror) snapshot(j *job, r *http.Request) {
	j.start = time.Now()
	j.method, j.host, j.proto, j.url = r.Method, r.Host, r.Proto, *r.URL
	if j.method == "" {
		j.method = http.MethodGet
	}
	j.header = fields.Take(r.Header)
	if m.requestID != "" {
		if v := r.Header[m.requestID]; len(v) > 0 {
			j.id = v[0][:min(len(v[0]), maxID)]
		}
		j.minted = j.id == ""
	}
	if j.id == "" {
		j.id = newID()
	}
	if m.telemetry.Traced() {
		j.span = trace.SpanContextFromContext(r.Context())
	}
	for _, key := range m.contextKeys {
		j.values = append(j.values, r.Context().Value(key))
	}
}

// maxID is how much of an inbound request ID serves as correlation ID.
const maxID = 128

// newID returns 128 random bits in hex, the form of a W3C trace ID.
func newID() string {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], rand.Uint64())
	binary.LittleEndian.PutUint64(b[8:], rand.Uint64())
	var s [32]byte
	hex.Encode(s[:], b[:])
	return string(s[:])
}

// release gives the bytes of j back.
func (j *job) release() {
	j.body.Release()
	j.resp.Body.Release()
}

// route names the endpoint of j, on the goroutine of the request.
func (m *Mirror) nameRoute(j *job, r *http.Request) {
	if m.config.route == nil {
		j.route = r.Pattern
		return
	}
	m.guard("WithRoute", func() error { //nolint:errcheck // the route stays empty
		j.route = m.config.route(r)
		return nil
	})
}

// put admits j to the queue, or drops it.
func (m *Mirror) put(j *job) {
	w := whyQueueFull
	switch m.queue.Put(j) {
	case queue.Accepted:
		return
	case queue.Closed:
		w = whyShutDown
	}
	j.release()
	m.tally.add(w)
}

// run takes j to its Result. It is the queue's worker.
func (m *Mirror) run(j *job) {
	var all struct { // in one allocation
		Result
		url              url.URL
		request, primary Message
		shadow           reply
	}
	res := &all.Result
	*res = Result{
		Exchange: Exchange{ID: j.id, Route: j.route},
		Mirror:   m.name, Target: m.target.Name,
		Start: j.start, Queued: time.Since(j.ended),
	}
	// Whoever claims j settles it. What ends this goroutine half-way, a Goexit in user
	// code or a fault of our own, is settled on the way out.
	claimed, end := false, unknown
	defer func() {
		err := ErrExited
		if v := recover(); v != nil {
			m.panicked("Mirror", v)
			err = &panicError{part: "Mirror", value: v}
		}
		claimed = claimed || j.claim()
		if claimed && end == unknown && res.Outcome == "" {
			outcome := Failed
			if res.Shadow != nil {
				outcome = Uncompared
			}
			m.finish(j, res, outcome, err)
		}
		j.release()
		all.shadow.buf.Release()
		switch {
		case !claimed: // giveUp settles it
		case end == unknown:
			m.queue.Settle(outcomeEnd(res.Outcome))
		default:
			m.queue.Settle(end)
		}
	}()
	raw := j.body.Bytes()
	res.Request, res.Primary = m.request(&all.request, &all.url, j, raw), m.primaryAnswer(&all.primary, j)
	if res.Route == "" {
		res.Route = template(j.url.Path)
	}
	if !valid(res.Request) {
		claimed, end = j.claim(), whyEnd(whyInvalid)
		return
	}

	var control *second
	if m.control != nil {
		control = m.askControl(j, res, raw)
		defer control.release()
	}
	timer := time.AfterFunc(m.target.timeout(), func() { m.giveUp(j, res) })
	answer, err := m.send(&all.shadow, j, &m.target, res, res.Request, raw)
	timer.Stop()
	if claimed = j.claim(); !claimed {
		return
	}
	switch {
	case errors.Is(err, errMask):
		end = whyEnd(whyMaskFailed)
	case err != nil:
		m.finish(j, res, Failed, err)
	case m.target.Discard:
		m.finish(j, res, Uncompared, nil)
	default:
		res.Shadow = answer
		m.compare(j, res, control)
	}
}

func (j *job) claim() bool { return j.claimed.CompareAndSwap(false, true) }

// giveUp settles a copy that is late. Its worker stays taken until it returns.
func (m *Mirror) giveUp(j *job, res *Result) {
	if !j.claim() {
		return
	}
	defer m.queue.Settle(outcomeEnd(Failed))
	late := *res // the worker still reads res
	late.Request, late.Primary = res.Request.Clone(), res.Primary.Clone()
	m.finish(j, &late, Failed, ErrTimeout)
}

// reply is what a target answered. The Message is all that outlives the copy.
type reply struct {
	Message
	buf capture.Buffer
}

// second is the exchange of primary and control.
type second struct {
	done    chan struct{}
	expired <-chan time.Time
	reply   reply
	answer  *Message
	err     error
}

// release waits for the control's goroutine, which is part of the worker.
func (s *second) release() {
	<-s.done
	s.reply.buf.Release()
}

// askControl asks the control on a goroutine of its own.
func (m *Mirror) askControl(j *job, res *Result, raw []byte) *second {
	if m.control == nil {
		return nil
	}
	s := &second{done: make(chan struct{}), expired: time.After(m.control.timeout())}
	request := m.request(new(Message), new(url.URL), j, raw) // the candidate's is masked for the record one day
	go func() {
		defer close(s.done)
		s.err = ErrExited
		s.answer, s.err = m.send(&s.reply, j, m.control, res, request, raw)
	}()
	return s
}

// wait returns the answer, nil where there is none within the target's timeout.
func (s *second) wait() *Message {
	select {
	case <-s.done:
		if s.err == nil {
			return s.answer
		}
	case <-s.expired:
	}
	return nil
}

// compare compares the answers, takes the noise out and finishes j.
func (m *Mirror) compare(j *job, res *Result, control *second) {
	diffs, more, err := m.diff(&res.Exchange)
	if control != nil && len(diffs) > 0 {
		if answer := control.wait(); answer != nil {
			x := res.Exchange
			x.Shadow = answer
			noise, _, _ := m.diff(&x)
			diffs, res.Noise = subtract(diffs, noise)
		}
	}
	res.Diffs, res.More = diffs, more
	switch {
	case len(diffs) > 0:
		m.finish(j, res, Mismatch, nil)
	case err != nil:
		m.finish(j, res, Uncompared, err)
	default:
		m.finish(j, res, Match, nil)
	}
}

// diff calls the Comparator. The error says why the answers could not be compared.
func (m *Mirror) diff(x *Exchange) (diffs []Diff, more bool, err error) {
	failed := m.guard("Comparator", func() error {
		if own, ok := m.comparator.(*comparator); ok {
			diffs, more, err = own.compare(x)
		} else {
			diffs = m.comparator.Compare(x)
		}
		return nil
	})
	return diffs, more, errors.Join(failed, err)
}

// subtract takes from diffs those whose place, array indexes aside, is in noise too.
func subtract(diffs, noise []Diff) (rest, noisy []Diff) {
	at := make(map[string]bool, len(noise))
	for _, d := range noise {
		at[fold(d.Path)] = true
	}
	for _, d := range diffs {
		if at[fold(d.Path)] {
			noisy = append(noisy, d)
		} else {
			rest = append(rest, d)
		}
	}
	return rest, noisy
}

// fold replaces what picks one element of an array: indexes, and the name=value of
// keyed arrays.
func fold(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if part != "" && strings.Trim(part, "0123456789") == "" || strings.Contains(part, "=") {
			parts[i] = "*"
		}
	}
	return strings.Join(parts, "/")
}

// finish masks and reports res. It is called once for each job, by the one who claimed
// it, who settles the job then.
func (m *Mirror) finish(j *job, res *Result, o Outcome, err error) {
	res.Outcome, res.Err = o, err
	m.guard("MeterProvider", func() error { m.record(j, res); return nil }) //nolint:errcheck // logged
	if len(m.listeners) == 0 {
		return
	}
	told := 0
	defer func() {
		if told < len(m.listeners) {
			m.unreported.Add(1)
		}
	}()
	if m.guard("Masker", func() error { return m.maskRecord(res) }) == nil {
		m.tell(m.listeners, res, &told)
	}
}

// tell reports res to each of list, even where one of them exits the goroutine, and
// counts those that succeed.
func (m *Mirror) tell(list []Reporter, res *Result, told *int) {
	if len(list) == 0 {
		return
	}
	defer m.tell(list[1:], res, told)
	if m.guard("Reporter", func() error { return list[0].Report(m.base, res) }) == nil {
		*told++
	}
}

// record counts res in the metrics.
func (m *Mirror) record(j *job, res *Result) {
	if m.meter == nil {
		return
	}
	o := telemetry.Outcome{
		Target: res.Target, Route: res.Route,
		PrimaryStatus: res.Primary.StatusCode, PrimaryTook: res.Primary.Took,
		Lag: time.Since(j.ended), Differences: map[telemetry.Difference]int{},
	}
	if res.Shadow != nil {
		o.ShadowStatus, o.ShadowTook = res.Shadow.StatusCode, res.Shadow.Took
	}
	switch {
	case res.Outcome == Mismatch:
		o.Result = "diff"
	case res.Outcome == Match && len(res.Noise) > 0:
		o.Result = "noise"
	case res.Outcome == Match:
		o.Result = "match"
	}
	for _, d := range res.Diffs {
		o.Differences[telemetry.Difference{Kind: string(d.Kind), Class: string(d.Class)}]++
	}
	m.telemetry.Record(m.base, &o)
}

// maskRecord turns res into what may be reported: its messages masked in place, and
// the values of its differences read from them.
func (m *Mirror) maskRecord(res *Result) error {
	primary, shadow := body(res.Primary), body(res.Shadow)
	for _, msg := range []*Message{res.Request, res.Primary, res.Shadow} {
		if msg == nil {
			continue
		}
		if err := m.mask.Mask(msg); err != nil {
			return err
		}
	}
	fill(m.places, res.Diffs, res.Primary, res.Shadow, primary, shadow)
	fill(m.places, res.Noise, res.Primary, res.Shadow, primary, shadow)
	return nil
}

func body(m *Message) []byte {
	if m == nil {
		return nil
	}
	return m.Body
}

// errMask means that the target's Masker failed and nothing was sent.
var errMask = errors.New("shadow: mask failed")

// send sends a copy of the request in, whose body was transferred as raw, to t. It
// returns the answer, or ErrTimeout where t took too long. What it keeps of the answer
// is in to.
func (m *Mirror) send(to *reply, j *job, t *Target, res *Result, in *Message, raw []byte) (answer *Message, err error) {
	defer func() {
		if v := recover(); v != nil {
			m.panicked("Transport", v)
			answer, err = nil, &panicError{part: "Transport", value: v}
		}
	}()
	out := in
	uri := j.uri
	if t.Masker != nil {
		uri, out = "", in.Clone()
		if err := m.guard("Masker", func() error { return t.Masker.Mask(out) }); err != nil {
			return nil, errMask
		}
		if !valid(out) {
			return nil, errMask
		}
	}

	// An answer that is longer than this cannot equal the primary's.
	most := max(m.maxBody, res.Primary.Size)
	var copied struct { // in one allocation
		copyContext
		http.Request
		marks [2]string
	}
	c := &copied.copyContext
	*c = copyContext{Context: m.base, keys: m.contextKeys, values: j.values,
		mark: mark.Mark{Target: t.Name, ID: j.id, RemoteAddr: j.remoteAddr, RequestURI: uri},
		hold: holding{pool: m.pool, limit: m.maxBody, most: most}}
	ctx, cancel := context.WithTimeoutCause(c, t.timeout(), ErrTimeout)
	defer cancel()

	h := m.header(j, t, out)
	if !bytes.Equal(in.Body, out.Body) {
		fixHeader(h, len(out.Body))
		raw = out.Body
	}
	if bag := mark.Set(h, j.id, &copied.marks); bag.Len() > 1 {
		ctx = baggage.ContextWithBaggage(ctx, bag)
	}
	if m.telemetry.Traced() {
		var span trace.Span
		ctx, span = m.telemetry.Start(ctx, &telemetry.Copy{
			Target: t.Name, ID: j.id, Method: out.Method, Route: res.Route, Primary: j.span}, h)
		defer func() { telemetry.End(span, status(answer), errorType(err)) }()
	}
	start := time.Now()
	outgoing(&copied.Request, ctx, out, h, raw)
	resp, err := t.Transport.RoundTrip(&copied.Request)
	switch {
	case err == nil && resp == nil:
		err = errors.New("shadow: the Transport returned neither a response nor an error")
	case err == nil:
		answer, err = m.answer(to, resp, t, start, most)
	}
	if err != nil && context.Cause(ctx) == ErrTimeout {
		return nil, ErrTimeout
	}
	return answer, err
}

// header is the header of the copy that out describes.
func (m *Mirror) header(j *job, t *Target, out *Message) http.Header {
	h := out.Header // a clone, where a mask has been over it
	if t.Masker == nil {
		h = j.header.Clone().Header(2)
	}
	fields.StripHopByHop(h)
	delete(h, "Expect")
	m.telemetry.Strip(h)
	if m.requestID != "" && j.minted {
		h[m.requestID] = []string{j.id}
	}
	return h
}

// fixHeader removes from h what no longer holds of a body that was masked, and gives it
// its new length.
func fixHeader(h http.Header, length int) {
	for _, name := range [...]string{"Content-Encoding", "Content-Md5", "Digest", "Content-Digest",
		"Repr-Digest", "Signature", "Signature-Input"} {
		delete(h, name)
	}
	if len(h["Content-Length"]) > 0 {
		h["Content-Length"] = []string{strconv.Itoa(length)}
	}
}

// outgoing fills r with the copy as a client sends it.
func outgoing(r *http.Request, ctx context.Context, out *Message, h http.Header, body []byte) {
	*r = http.Request{
		Method: out.Method, URL: out.URL, Host: out.Host, Header: h,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	*r = *r.WithContext(ctx)
	if len(body) > 0 {
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	if len(out.Trailer) > 0 { // they need chunks
		r.Trailer = out.Trailer.Clone()
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), -1
	}
}

func status(m *Message) int {
	if m == nil {
		return 0
	}
	return m.StatusCode
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
	pool  *capture.Pool
	limit int64       // bytes kept
	most  int64       // bytes after which there is no use in more
	taken atomic.Bool // by the handler that is running: not for what it calls itself
}

type holdingKey struct{}
