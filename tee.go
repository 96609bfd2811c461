package shadow

import (
	"context"
	"io"
	"math"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/goshadow/shadow/internal/capture"
	"github.com/goshadow/shadow/internal/compare"
	"github.com/goshadow/shadow/internal/fields"
	"github.com/goshadow/shadow/internal/handback"
	"github.com/goshadow/shadow/internal/handover"
	"github.com/goshadow/shadow/internal/limit"
	"github.com/goshadow/shadow/internal/mark"
	"github.com/goshadow/shadow/internal/media"
	"github.com/goshadow/shadow/internal/methods"
	"github.com/goshadow/shadow/internal/target"
)

// Handler returns a handler that serves as primary does and copies what it is asked.
// The method value is a middleware: router.Use(mirror.Handler). It panics where m or primary
// is nil, and where primary is what Handler of the same Mirror returned.
// With middleware between the two a request that both would copy is copied and counted once, and a
// line in the log says so, if each http.ResponseWriter in between has Unwrap.
//
// The primary is given the server's ResponseWriter behind one that has the same
// optional interfaces and Unwrap, and the server's Request, or a shallow copy of it
// where the request has a body: what the primary changes there in place, its context and
// its path values included, the middleware around sees when the primary has returned.
// Nothing of the request is changed. Neither is touched where a request is not copied.
//
// A request body that the primary did not read to its end, as with a 401 or a 413, is
// completed after it has returned, but only from bytes that have arrived already (HTTP/1,
// with a Content-Length, in the server's buffer of 4 KiB). Else the copy is dropped as
// ReasonBodyUnread: nothing waits for a client. It is also where the primary has enabled
// full duplex.
//
// Two things in net/http do not look through a ResponseWriter. http.MaxBytesReader, called
// inside the primary, cannot have the connection closed after a body that is too large: wrap
// the Mirror's handler in http.MaxBytesHandler instead. And the line "superfluous
// response.WriteHeader call from …" that the server logs names this package, not the
// primary: net/http skips frames of its own only.
func (m *Mirror) Handler(primary http.Handler) http.Handler {
	m.mustExist("Handler")
	if isNil(primary) {
		panic("shadow: Mirror.Handler: nil primary")
	}
	if h, ok := primary.(*handler); ok && h.m == m {
		panic("shadow: Mirror.Handler: this Mirror wraps the primary already: every request would be copied twice")
	}
	return &handler{m, primary}
}

type handler struct {
	m       *Mirror
	primary http.Handler
}

func (h *handler) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	var d decision
	w := h.m.decide(r, &d)
	if w == 0 && capture.Records(rw, h.m.pool) { // this Mirror around it copies and counts r
		h.m.loops.Nested()
		h.primary.ServeHTTP(rw, r)
		return
	}
	if w == 0 {
		w = h.m.serve(h.primary, rw, r, d)
	}
	if w != 0 {
		if weight := h.m.skip(r, w); weight > 0 || codes[w].byRoute {
			defer h.m.pass(r, w, weight) // its route is known once the primary is done
		}
		h.primary.ServeHTTP(rw, r)
	}
}

// job is a request on its way from the moment it was sampled to its Result.
type job struct {
	// Before the primary ran.
	decision  Decision
	start     time.Time
	id        string
	minted    bool // the id was made here
	method    string
	reads     bool // it is safe by its method, and by what it asks to be treated as
	scheme    string
	host      string
	asked     target.Asked
	url       url.URL
	header    fields.Snapshot
	room      [27]string         // for the usual header: see fields.Take
	outer     fields.Snapshot    // what middleware around had set in the header of the answer
	outerRoom [9]string          // for the usual one
	values    []any              // of config.contextKeys
	span      *trace.SpanContext // of the primary, where spans are recorded; see copied

	// While it ran, and after.
	body    *capture.Buffer // of the request; nil where there is none
	trailer fields.Snapshot
	resp    *capture.Response // of the primary
	ended   time.Time
	route   string

	pool *capture.Pool
	held int64 // bytes of the pool for all but the bodies and the answer

	before   time.Duration       // from start until the primary was called
	overhead time.Duration       // of the Mirror on the request, where metrics are recorded
	found    compare.Differences // from compare to finish
	pass     *limit.Copy         // from run on

	copied trace.SpanContext // the span of the copy, where it is answered and spans are recorded

	due     time.Time      // when the copy could be sent
	primary *primaryResult // shared and complete with AfterPrimary
	most    atomic.Int64   // bytes of an answer after which there is no use in more
	claimed atomic.Bool    // by the one who will report it
}

// serving is a request to a primary handler that is going to be copied.
type serving struct {
	job
	writer capture.Writer
	server *http.Request   // as the server made it
	ctx    context.Context // of server: the primary may put another one in its place
	body   *capture.Body   // nil where there is none
	given  *http.Request   // what the primary gets: server, or a copy of it with body in it
	was    *http.Request   // given before the primary could change it; nil where it is server
}

// serve has primary serve r and copies it. Where r is not to be copied it says why, and
// has done nothing.
func (m *Mirror) serve(primary http.Handler, w http.ResponseWriter, r *http.Request, d decision) code {
	s := newServing(r)
	s.decision = d.Decision
	if w := m.snapshot(&s.job, r); w != 0 {
		return w
	}
	s.ctx = r.Context()
	s.scheme = "http"
	s.asked = target.Asked{URI: r.RequestURI, Proto: r.Proto, RemoteAddr: r.RemoteAddr, TLS: r.TLS, Chunked: len(r.TransferEncoding) > 0}
	if r.TLS != nil {
		s.scheme = "https"
	}
	s.outer = fields.Take(w.Header(), s.outerRoom[:])
	s.writer.Start, s.writer.Outer = s.start, s.outer
	s.writer.Init(w, r.Method, m.pool, m.responseLimit)
	if m.timing == Parallel {
		m.besidePrimary(&s.job, s.writer.Drop)
		if s.body == nil {
			if w := m.start(&s.job, r); w != 0 {
				return w
			}
		}
	}
	if s.body != nil {
		*s.given = *r
		s.given.Body = s.body
		*s.was = *s.given
		s.body.Init(r.Body, r.ContentLength, m.pool, m.maxBody)
		s.body.Trailers(r, s.given)
		s.body.Answer(&s.writer)
		s.writer.Request(r, s.given)
		if m.timing == Parallel {
			s.body.Early(m.startEarly(&s.job, r))
		}
	}
	verdict := codePrimaryPanicked
	defer func() { m.served(s, verdict) }() // no recover: the panic is the server's
	wrapped := s.writer.Wrap()
	s.before = d.took + time.Since(s.start)
	primary.ServeHTTP(wrapped, s.given)
	verdict = 0
	return 0
}

// newServing makes what r needs, in one allocation. Where it has a body the primary is given
// a request of its own, whose body is recorded: net/http looks at the type of the server's
// while it writes the response.
func newServing(r *http.Request) *serving {
	if r.Body == nil || r.Body == http.NoBody {
		return &serving{server: r, given: r}
	}
	var s struct {
		serving
		given, was http.Request
		body       capture.Body
	}
	s.server, s.serving.given, s.serving.was, s.serving.body = r, &s.given, &s.was, &s.body
	return &s.serving
}

// served runs when the primary has returned, or is being unwound by a panic.
func (m *Mirror) served(s *serving, w code) {
	s.ended = s.start.Add(time.Since(s.start))
	defer m.observe(s.before, s.ended)
	running, end := m.running(&s.job), capture.Complete
	if s.body != nil && running {
		s.body.Ended() // waits for the read that started the copy, which may still do so
	} else if s.body != nil {
		if w == 0 && !s.writer.Duplex() { // else net/http does not read the rest in time
			s.body.Finish()
		}
		s.job.body, end = s.body.Stop()
		if s.body.Ended() {
			s.trailer = fields.Take(s.server.Trailer, nil)
		}
	}
	if s.was != nil {
		handback.Changes(s.server, s.given, s.was)
	}
	s.resp = s.writer.Stop()
	if w == 0 {
		w = m.verdict(s, end)
	}
	m.primaryDone(&s.job, s.given, w)
}

// verdict returns the code of a request that was served and is not copied after all, or 0.
func (m *Mirror) verdict(s *serving, body capture.End) code {
	switch {
	case s.resp.Status == http.StatusSwitchingProtocols:
		return codeUpgrade
	case s.resp.Hijacked:
		return codeHijacked
	case s.resp.Broken || !s.resp.Whole && m.guard("Request.Context", s.ctx.Err) != nil:
		return codeClientGone
	case s.resp.Short:
		return codePrimaryIncomplete
	case refused(s.resp.Status):
		return codePrimaryRefused
	}
	return bodyVerdict(body)
}

func refused(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable
}

func bodyVerdict(end capture.End) code {
	switch end {
	case capture.Unread:
		return codeBodyUnread
	case capture.Failed:
		return codeBodyFailed
	case capture.TooLarge:
		return codeBodyTooLarge
	case capture.Starved:
		return codeBytesFull
	}
	return 0
}

// Transport returns a RoundTripper that does what primary does and copies what it is
// asked; nil is http.DefaultTransport. Timing and errors are those of primary, and the
// request is not changed.
//
// A request whose body is in memory (those of http.NewRequest, and what net/http itself
// recognises) reaches primary as it is. Any other body is recorded as primary reads it,
// through a reader that is a file or an io.WriterTo where the body is one.
//
// GetBody is called when primary calls it, and otherwise only for a body in memory that was
// read before. Clients exist whose GetBody rewinds the body that is still being sent, such as
// aws-sdk-go version 1, and reading a body twice would delay the caller.
//
// An exchange is complete when the caller has read the body of the response to its end. A
// body that was closed before its end is complete if Content-Length bytes of it were read,
// or if a JSON document was read as a whole, as json.Decoder does. Otherwise the exchange is
// ReasonPrimaryIncomplete. So is a call that was cancelled, also if nobody closes its body.
//
// Transport panics where m is nil, and where primary is what Transport of the same Mirror
// returned. With a RoundTripper between the two the same holds as for Handler, if it passes on
// the body of the response and the response has one, but not with Parallel.
func (m *Mirror) Transport(primary http.RoundTripper) http.RoundTripper {
	m.mustExist("Transport")
	if isNil(primary) {
		primary = http.DefaultTransport
	}
	if t, ok := primary.(*transport); ok && t.m == m {
		panic("shadow: Mirror.Transport: this Mirror wraps the primary already: every request would be copied twice")
	}
	return &transport{m, primary}
}

type transport struct {
	m       *Mirror
	primary http.RoundTripper
}

// CloseIdleConnections does so for the primary: http.Client asks for it.
func (t *transport) CloseIdleConnections() {
	if c, ok := t.primary.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	var d decision
	if w := t.m.decide(r, &d); w != 0 {
		t.m.pass(r, w, t.m.skip(r, w))
		return t.primary.RoundTrip(r)
	}
	return t.m.call(t.primary, r, d)
}

// calling is a request through a primary RoundTripper that is going to be copied.
type calling struct {
	job
	answer   capture.Response
	request  *http.Request                  // the caller's
	attempts capture.Attempts               // of the primary, if the body has to be recorded
	kept     atomic.Pointer[capture.Answer] // what records the answer's body
}

func (m *Mirror) call(primary http.RoundTripper, r *http.Request, d decision) (resp *http.Response, err error) {
	c := &calling{request: r}
	c.decision = d.Decision
	c.resp = &c.answer
	c.answer.Body.Init(m.pool, m.responseLimit)
	if w := m.snapshot(&c.job, r); w != 0 {
		m.drop(r, w)
		return primary.RoundTrip(r)
	}
	c.scheme = r.URL.Scheme
	if m.timing == Parallel {
		m.besidePrimary(&c.job, func() { c.kept.Load().Drop() })
	}
	body, known := capture.Own(r)
	out := r
	if !known {
		c.attempts.Init(m.pool, m.maxBody)
		if m.timing == Parallel {
			c.attempts.Early = m.startEarly(&c.job, r)
		}
		out = c.attempts.Request(r)
	} else if m.timing == Parallel {
		if w := m.startCall(&c.job, r, body); w != 0 {
			m.drop(r, w)
			return primary.RoundTrip(r)
		}
	}

	verdict := codePrimaryPanicked
	defer func() {
		if verdict != 0 {
			m.called(c, verdict)
		}
	}()
	c.before = d.took + time.Since(c.start)
	resp, err = primary.RoundTrip(out)

	c.resp.First = time.Now()
	if resp != nil && resp.Request == out {
		resp.Request = r
	}
	switch {
	case err != nil || resp == nil:
		verdict = codePrimaryFailed
		return resp, err
	case resp.StatusCode == http.StatusSwitchingProtocols:
		verdict = codeUpgrade
		return resp, nil
	case m.timing == AfterPrimary && capture.RecordsAnswer(resp.Body, m.pool): // by this Mirror around primary
		verdict = 0
		m.loops.Nested()
		if body := c.attempts.Stop(); body != nil {
			body.Discard()
		}
		c.discard()
		return resp, nil
	}
	c.resp.Status = resp.StatusCode
	if known && m.timing == AfterPrimary && !refused(resp.StatusCode) {
		if verdict = m.takeBody(&c.job, r, body); verdict != 0 {
			return resp, nil
		}
	}
	verdict = 0
	if !m.unobserved {
		c.resp.Header = fields.Take(resp.Header, nil)
	}
	if resp.Body == nil || resp.Body == http.NoBody {
		m.called(c, 0)
		return resp, nil
	}
	given := resp // resp itself would be moved to the heap
	answer := capture.NewAnswer(resp.Body, resp.ContentLength, m.pool, m.responseLimit, func(buf capture.Buffer, end capture.End, eof bool) {
		c.resp.Body = buf
		if eof {
			c.resp.Trailer = fields.Take(given.Trailer, nil)
		}
		c.resp.Early = end == capture.Unread && media.Of(c.resp.Header.First("Content-Type")).Kind == media.JSON && buf.Size() > 0 && !buf.Cut()
		if end == capture.Complete || c.resp.Early {
			m.called(c, 0)
		} else {
			m.called(c, codePrimaryIncomplete)
		}
	})
	resp.Body = answer
	if c.kept.Store(answer); c.primary.Unwanted() {
		answer.Drop()
	}
	m.guard("Request.Context", func() error { answer.EndWith(r.Context()); return nil }) //nolint:errcheck // it ends when it is closed
	return resp, nil
}

// takeBody gives j a copy of the body of r, nil where there is none.
func (m *Mirror) takeBody(j *job, r *http.Request, open func() (io.ReadCloser, error)) code {
	if open == nil {
		return 0
	}
	end := capture.Failed
	m.guard("GetBody", func() error { //nolint:errcheck // it is Failed
		body, err := open()
		if err != nil || body == nil {
			return err
		}
		j.body, end = capture.ReadBody(body, capture.Announced(r), m.pool, m.maxBody)
		return nil
	})
	return bodyVerdict(end)
}

// startCall starts the copy of r beside the primary, with a body of its own.
func (m *Mirror) startCall(j *job, r *http.Request, open func() (io.ReadCloser, error)) code {
	if w := m.takeBody(j, r, open); w != 0 {
		j.primary.Cancel()
		return w
	}
	return m.start(j, r)
}

// called runs when the exchange is complete, or has come to nothing.
func (m *Mirror) called(c *calling, w code) {
	c.ended = time.Now()
	defer m.observe(c.before, c.ended)
	end := capture.Complete
	if body := c.attempts.Stop(); body == nil {
		m.running(&c.job)
	} else if m.running(&c.job) {
		body.Discard()
	} else {
		c.body, end = body.Stop()
		c.trailer = fields.Take(c.request.Trailer, nil)
	}
	switch {
	case w != 0:
	case refused(c.resp.Status):
		w = codePrimaryRefused
	default:
		w = bodyVerdict(end)
	}
	r := c.request
	c.request = nil // it holds a body, and the copy may wait
	m.primaryDone(&c.job, r, w)
}

// snapshot keeps of r what the primary might change. It returns the code if r is not to be copied
// after all, or 0.
func (m *Mirror) snapshot(j *job, r *http.Request) code {
	j.start, j.primary = time.Now(), m.answered
	j.header = fields.Take(r.Header, j.room[:])
	for name, values := range j.header.All() {
		switch {
		case name == m.requestID && j.id == "":
			j.id = values[0][:min(len(values[0]), maxID)]
		case mark.In(name, values):
			return codeLoop
		}
	}
	if j.id == "" {
		j.id, j.minted = mark.NewID(), m.requestID != ""
	}
	j.method, j.host, j.asked.Proto, j.url = r.Method, r.Host, r.Proto, *r.URL
	if j.method == "" {
		j.method = http.MethodGet
	}
	j.reads = methods.OnlyReads(r)
	if !m.telemetry.Traced() && len(m.contextKeys) == 0 {
		return 0
	}
	if err := m.guard("Request.Context", func() error { m.readContext(r.Context(), j); return nil }); err != nil {
		return codeInvalid
	}
	return 0
}

// readContext keeps what the copy of j needs of ctx, which is user code.
func (m *Mirror) readContext(ctx context.Context, j *job) {
	if m.telemetry.Traced() {
		span := trace.SpanContextFromContext(ctx)
		j.span = &span
	}
	for _, key := range m.contextKeys {
		j.values = append(j.values, ctx.Value(key))
	}
}

// maxID is how much of an inbound request ID serves as correlation ID.
const maxID = 128

// besidePrimary lets the copy of j run beside its primary. Drop ends the recording of the
// primary's response.
func (m *Mirror) besidePrimary(j *job, drop func()) {
	ahead := m.maxBody
	j.most.Store(math.MaxInt64) // nobody knows yet what the primary will answer
	if m.target.Discard {
		ahead = math.MaxInt64
		j.most.Store(m.maxBody)
	}
	j.primary = handover.Beside[code](m.base, ahead, drop)
}

// startEarly returns what starts the copy of r when its body is complete. Announced trailers
// come with the end of the body.
func (m *Mirror) startEarly(j *job, r *http.Request) func(body *capture.Buffer, err error) (taken bool) {
	p := j.primary
	return func(body *capture.Buffer, err error) bool {
		if len(r.Trailer) > 0 && err != io.EOF || !p.Start() {
			return false
		}
		j.body = body
		if c := m.start(j, r); c != 0 {
			m.skip(r, c)
			p.Refuse(c) // its route is known once the primary is done
		}
		return true
	}
}

// start queues j, the copy of r, while the primary runs. A non-zero code says why it does not.
func (m *Mirror) start(j *job, r *http.Request) code {
	j.primary.Start()
	j.due = time.Now()
	j.trailer = fields.Take(r.Trailer, nil)
	return m.enqueue(j)
}

// running reports whether the copy of j was started beside the primary, which is done now. If
// it was not, it goes the way of AfterPrimary.
func (m *Mirror) running(j *job) bool {
	if j.primary.Start() {
		j.primary.Cancel()
		j.primary = m.answered
	}
	return j.primary != m.answered
}

// primaryDone runs when the primary has finished. It queues the copy, or hands the response to
// one already running. A non-zero code drops it. Given is the request that the primary got.
func (m *Mirror) primaryDone(j *job, given *http.Request, c code) {
	if c == 0 || j.primary != m.answered { // a copy that runs is counted by it whatever the primary answered
		j.route = m.routeName(given)
	}
	if c == 0 {
		j.most.Store(max(m.maxBody, j.resp.Body.Size())) // a longer answer cannot equal the primary's
		if !j.resp.Body.Reserve(j.resp.Header.Size() + j.resp.Trailer.Size()) {
			c = codeBytesFull
		}
		if m.meter != nil {
			j.overhead = j.before + time.Since(j.ended)
		}
	}
	if j.primary != m.answered {
		if refused := j.primary.Refused(); refused != 0 {
			m.miss(given, refused)
		}
		if !j.primary.Hand(c) {
			j.resp.Body.Release()
		}
		if c != 0 && m.queue.Remove(j, func() { m.ledger.Record(c) }) { // it need not wait for its turn
			j.discard()
			m.routeOfJob(j).Record(c)
		}
		return
	}
	j.due = j.ended
	if c != 0 {
		j.discard()
		m.drop(given, c)
	} else if c = m.enqueue(j); c != 0 {
		m.skip(given, c)
		m.routeOfJob(j).Record(c)
	}
}

// routeName returns what names the endpoint of r, on its goroutine and without allocating:
// the answer of WithRoute, else the router's pattern. See route.Labels.
func (m *Mirror) routeName(r *http.Request) (route string) {
	if m.config.route == nil {
		return r.Pattern
	}
	done := make(chan string, 1) // a goroutine of its own: runtime.Goexit would end that of the request
	go func() {
		var route string
		defer func() { done <- route }()
		m.guard("WithRoute", func() error { //nolint:errcheck // the route stays empty
			route = m.config.route(r)
			return nil
		})
	}()
	return <-done
}
