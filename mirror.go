package shadow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/baggage"

	"github.com/goshadow/shadow/internal/capture"
	"github.com/goshadow/shadow/internal/composite"
	"github.com/goshadow/shadow/internal/content"
	"github.com/goshadow/shadow/internal/guard"
	"github.com/goshadow/shadow/internal/handle"
	"github.com/goshadow/shadow/internal/handover"
	"github.com/goshadow/shadow/internal/ledger"
	"github.com/goshadow/shadow/internal/limit"
	"github.com/goshadow/shadow/internal/mark"
	"github.com/goshadow/shadow/internal/message"
	"github.com/goshadow/shadow/internal/notice"
	"github.com/goshadow/shadow/internal/queue"
	"github.com/goshadow/shadow/internal/redact"
	"github.com/goshadow/shadow/internal/render"
	"github.com/goshadow/shadow/internal/route"
	"github.com/goshadow/shadow/internal/sampling"
	"github.com/goshadow/shadow/internal/target"
	"github.com/goshadow/shadow/internal/telemetry"
)

// Target is where copies go: a candidate, or the control.
type Target struct {
	// Name identifies the target in results, spans and metrics. It must not be empty.
	Name string
	// URL is the base URL, http or https, of a target on the network. The path of a request
	// is appended to its path as it is. The Host of a copy is that of the URL, unless the
	// Masker sets another one in Message.Host. The original goes in X-Forwarded-Host, the
	// scheme in X-Forwarded-Proto, and the address of the client in X-Forwarded-For, unless
	// the request came with these fields.
	//
	// A copy is sent at most once. There is one exception, with HTTP/2: net/http repeats a
	// request once that the server rejects with PROTOCOL_ERROR.
	URL string
	// Transport performs the copy. With a URL it may be any client that reaches the host of
	// the URL, such as an http.Transport with a client certificate or one that dials a Unix
	// socket, and nil is a client of its own: see Remote. It should not decode content
	// (DisableCompression). The Mirror does not close its connections.
	//
	// Without a URL it must not be nil, and reaches the target by itself: a copy of a server
	// request has the scheme, host and path that the client asked for.
	Transport http.RoundTripper
	// Timeout limits a copy from when it was due (the primary has answered, or with Parallel
	// the request body is complete) to the last byte of the answer; 0 is 10 s. A copy that
	// waited in the queue for that long is not sent: ReasonExpired.
	Timeout time.Duration
	// Masker shapes what this target is sent, after the maskers of WithMasker: its own
	// credentials, tokens. It does not shape what is reported. After an error of it nothing is
	// sent.
	Masker Masker
	// Isolated is the user's word that what the target writes reaches nobody: it has a store of
	// its own, works for a test tenant, or its writes are stopped. Otherwise a candidate is
	// sent only requests with a safe method (RFC 9110 section 9.2.1), and New fails if
	// WithMethods names another one. A control is then not asked those.
	Isolated bool
	// Discard sends the copy, but neither keeps nor compares the answer: its outcome
	// is Uncompared.
	Discard bool
}

// InProcess returns a target in this process. Its Masker is nil, and WithMasker does not shape what
// it is sent, which has not left the trust domain. The context of a copy is fresh and has a
// deadline. A handler that ignores it keeps its place among the running copies until it returns.
func InProcess(name string, h http.Handler) Target {
	return Target{Name: name, Transport: HandlerTransport(h)}
}

// Remote returns a target on the network with URL baseURL and Masker DropCredentials. See
// Target.URL.
//
// Its connections are its own: HTTP/1.1 or HTTP/2, no proxy from the environment, no
// redirects followed, no content decoded on the way. A silent HTTP/2 connection is found by a
// ping. After a copy that got no answer within its Timeout no idle connection is used again.
func Remote(name, baseURL string) Target {
	return Target{Name: name, URL: baseURL, Masker: DropCredentials()}
}

// HandlerTransport serves requests by calling h on the caller's goroutine, and gives h what a
// server does: deadlines, full duplex and CloseNotify do nothing, the temporary files of a
// form are removed. The answer is held in memory until it is read; of a copy, no more than a
// Mirror keeps of one body. A panic of h becomes an error that is ErrPanic, also after h has
// begun to answer. An answer that contradicts its Content-Length becomes an error that is
// io.ErrUnexpectedEOF. 1xx answers, flushes and connections to hijack do not exist here.
func HandlerTransport(h http.Handler) http.RoundTripper {
	if isNil(h) {
		h = nil
	}
	return &target.Handler{H: h}
}

// local reports whether t is in this process: InProcess or HandlerTransport made it.
func (t *Target) local() bool {
	_, ok := t.Transport.(*target.Handler)
	return ok && t.URL == ""
}

func (t *Target) timeout() time.Duration { return cmp.Or(t.Timeout, defaultTimeout) }

// check reports the faults of t to c. Where is "target" or "control".
func (t *Target) check(c *config, where string) {
	if t.Name == "" {
		c.fail("%s: empty Name", where)
	}
	if t.Timeout < 0 {
		c.fail("%s %q: negative Timeout %v", where, t.Name, t.Timeout)
	}
	name := fmt.Sprintf("%s %q: Transport", where, t.Name)
	_, bare := t.Transport.(*http.Transport)
	switch {
	case t.URL == "" && bare && !isNil(t.Transport):
		c.fail("%s: an http.Transport would send the copies to the host that the client asked for, the primary: set URL", name)
	case t.URL == "" && t.Transport == nil:
		c.fail("%s: nil, and no URL", name)
	case t.URL == "" || t.Transport != nil:
		check(c, name, t.Transport)
	}
	if t.URL != "" {
		if _, err := target.ParseURL(t.URL); err != nil {
			c.errs = append(c.errs, fmt.Errorf("shadow: %s %q: %w", where, t.Name, err))
		}
	}
	if t.Masker != nil {
		check(c, fmt.Sprintf("%s %q: Masker", where, t.Name), t.Masker)
	}
}

// connect gives t the Transport that reaches its URL, which check has accepted.
func (t *Target) connect() {
	if t.URL != "" {
		base, _ := target.ParseURL(t.URL)
		t.Transport = target.NewRemote(base, t.Transport, defaultRemoteConcurrency)
	}
}

// Mirror copies the traffic of what it wraps to a target. It is made by New and safe
// for concurrent use; one Mirror may wrap many handlers and transports, which then
// share its limits. It has no goroutine while there is no copy under way.
//
// For several shadows stack mirrors: each wraps what the one before it returned.
type Mirror struct {
	*config
	stops         limit.Stops // why nothing is copied now
	ledger        *ledger.Ledger
	pool          *capture.Pool
	decoder       *content.Decoder
	queue         *queue.Queue[*job]
	base          context.Context // of every copy; ends with the Mirror
	answered      *primaryResult  // of every copy whose primary has answered before it
	cancel        context.CancelFunc
	mask          *masker // the record mask
	labels        *route.Labels
	ruleWords     map[string]bool                             // that masks name: no secrets
	replacers     struct{ candidate, control []*redact.Rule } // of the targets
	listeners     []Reporter                                  // the reporters, and all parts that are Reporters too
	unobserved    bool                                        // nobody looks at results
	passthrough   bool                                        // nor at requests: what was copied is what is sent
	responseLimit int64                                       // bytes kept of an answer of the primary
	telemetry     *telemetry.Telemetry
	limits        *limit.Limits
	episodes      [len(losses)]notice.Episode // of watchLosses
	quick         bool                        // the Sampler neither panics nor takes long
	loops         target.Loops

	finished atomic.Uint64 // results, up to which unused rules are not reported
	warned   atomic.Bool   // of EventCredentials
	told     sync.Map      // of EventMaskFailed: what and for which rule
	panics   sync.Map      // of user code that panicked already: its name
	events   notice.Limiter
}

// New returns a Mirror that copies to target. What is wrong with target and options
// is reported at once, in one error (errors.Join). New starts nothing: a Mirror that is
// not used need not be closed.
func New(target Target, opts ...Option) (*Mirror, error) {
	c, err := newConfig(target, opts)
	if err != nil {
		return nil, err
	}
	if c.control != nil {
		own := *c.control // the option may be given to another Mirror
		c.control = &own
	}
	alone := c.reportsMore()
	for _, t := range []*Target{&c.target, c.control} {
		if t != nil {
			t.Masker = c.masksFor(t)
			t.connect()
		}
	}
	m := &Mirror{config: c, pool: capture.NewPool(c.queueBytes), ledger: newLedger(), ruleWords: map[string]bool{}}
	m.loops.Init()
	m.base, m.cancel = context.WithCancel(context.WithValue(baggage.ContextWithBaggage(context.Background(), mark.Only), within{m}, true))
	m.decoder = content.NewDecoder(m.base, m.pool, c.maxBody)
	m.answered = handover.Complete[code](m.base)
	m.queue = queue.New(c.concurrency, c.queue, m.run, func(full bool) { m.stops.Set(limit.QueueFull, full) })
	records := slices.Concat([]Masker{&masker{rule: redact.MaskCredentials()}}, c.maskers, c.recordMaskers)
	m.mask = newMaskAll("WithMasker", records)
	masks := []Masker{c.target.Masker}
	m.replacers.candidate = replacers(c.target.Masker)
	if c.control != nil {
		masks = append(masks, c.control.Masker)
		m.replacers.control = replacers(c.control.Masker)
	}
	m.labels = newLabels(c, slices.Concat(masks, c.maskers, c.recordMaskers))
	for _, rule := range m.Rules() {
		redact.AddWords(m.ruleWords, rule.Option, rule.Path)
	}
	m.listeners = listeners(c)
	m.quick = sampling.Describe(c.sampler).Quick
	m.unobserved = c.target.Discard && len(m.listeners) == 0 && c.meter == nil && c.tracer == nil
	m.passthrough = m.unobserved && c.target.Masker == nil && c.leakCheck == nil && c.target.URL == ""
	m.responseLimit = m.maxBody
	if m.unobserved {
		m.responseLimit = capture.Nothing
	}
	m.limits = m.newLimits()
	control := ""
	if c.control != nil {
		control = c.control.Name
	}
	m.telemetry, err = telemetry.New(telemetry.Config{
		Mirror: c.name, Target: c.target.Name, Control: control, Detectors: c.leakCheck.detectors(), SideEffects: mark.SideEffects[:],
		Tracer: c.tracer, Meter: c.meter, Propagator: c.propagator, Read: m.read, Panicked: func(part string, v any) { m.logPanic(guard.New(part, v)) },
	})
	if err != nil {
		return nil, err
	}
	m.advise(alone)
	return m, nil
}

// mustExist panics where m is nil: New has returned an error that nobody looked at. It panics
// when the program is wired, and not with the first request.
func (m *Mirror) mustExist(method string) {
	if m == nil {
		panic("shadow: Mirror." + method + ": nil *Mirror: handle the error of New")
	}
}

// SetEnabled is the kill switch: while it is off requests go to the primary alone,
// counted as ReasonDisabled. It takes effect with the next request; copies under way
// go on. A new Mirror is enabled. After Shutdown it has no effect.
func (m *Mirror) SetEnabled(on bool) {
	m.mustExist("SetEnabled")
	m.stops.Set(limit.Disabled, !on)
}

// Enabled reports whether requests are copied, as far as SetEnabled and Shutdown go.
func (m *Mirror) Enabled() bool {
	m.mustExist("Enabled")
	return m.stops.Load()&(limit.Disabled|limit.Closed) == 0
}

// Drain waits until no copy waits or runs: each is counted then, and reported. The Mirror
// goes on mirroring, so on a busy one that may take long. If ctx ends first, the error is
// that of ctx. A copy counts from the moment at which the handler of its request has
// returned, or, with Parallel, at which its request was read: a client may have the answer
// of a long response a little before.
//
// A Reporter, Comparator, Masker or in-process handler that calls Drain would wait for itself. It
// gets an error at once if it passes the context that the Mirror gave to it, or one without a
// deadline; with a deadline it waits until then. A goroutine that it has started and waits for is
// not recognized: pass it the context of the Mirror.
func (m *Mirror) Drain(ctx context.Context) error {
	m.mustExist("Drain")
	return m.await(ctx, m.queue.Idle())
}

// await waits for idle, or returns why it does not. Where ctx has no deadline it looks at the stack:
// a copy that waited for itself would keep its worker for ever.
func (m *Mirror) await(ctx context.Context, idle <-chan struct{}) error {
	select {
	case <-idle:
		return nil
	default:
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	_, ends := ctx.Deadline()
	if ctx.Value(within{m}) != nil || !ends && guard.Running((*Mirror).run, (*copyRun).giveUp, (*controlAttempt).run) {
		return errWithin
	}
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// within is the key of a value in every context that m gives to user code.
type within struct{ m *Mirror }

var errWithin = errors.New("shadow: called by a copy under way, which cannot wait for itself")

// Shutdown stops copying, waits until every copy under way has been reported, and
// flushes the reporters that can be flushed. Primaries go on being served. If ctx ends
// first, copies that wait are dropped as ReasonShutDown, those that run are cancelled,
// and the error is that of ctx. It may be called again.
//
// A Reporter, Comparator, Masker or in-process handler that calls Shutdown would wait for itself:
// see Drain. Where Drain returns an error at once, Shutdown drops and cancels at once too.
func (m *Mirror) Shutdown(ctx context.Context) error {
	m.mustExist("Shutdown")
	m.stops.Set(limit.Closed, true)
	m.limits.Close()
	settled := m.queue.Close()
	err := m.await(ctx, settled)
	if err != nil {
		for _, j := range m.queue.Drop(func() { m.ledger.Record(codeShutDown) }) {
			j.discard()
			m.routeOfJob(j).Record(codeShutDown)
		}
	}
	err = errors.Join(err, m.flush(ctx), m.telemetry.Flush(ctx))
	m.cancel()
	m.closeIdle()
	return errors.Join(err, m.telemetry.Close())
}

// Close is Shutdown without waiting: copies that wait are dropped, those that run are
// cancelled. It may be called again.
func (m *Mirror) Close() error {
	m.mustExist("Close")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := m.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func (m *Mirror) flush(ctx context.Context) error {
	var errs []error
	for _, f := range composite.Find[flusher](m.listeners) {
		errs = append(errs, m.guard("Reporter", func() error { return f.Flush(ctx) }))
	}
	return errors.Join(errs...)
}

// closeIdle closes the connections that the library has made.
func (m *Mirror) closeIdle() {
	for _, t := range []*Target{&m.target, m.control} {
		if t == nil || t.URL == "" {
			continue
		}
		if c, ok := t.Transport.(interface{ CloseIdleConnections() }); ok {
			c.CloseIdleConnections()
		}
	}
}

// guard calls user code and turns its panic into an error.
func (m *Mirror) guard(part string, f func() error) error { return guard.Call(part, f, m.logPanic) }

// advise logs what New can see of targets on the network that are sent more than they
// should be, and of reports: alone is that a Target.Masker hides values and nothing else does.
func (m *Mirror) advise(alone bool) {
	if alone && len(m.listeners) > 0 {
		m.log().Warn(fmt.Sprintf("shadow: what the Masker of target %q hides from it is reported in full: give these rules to WithMasker, which is for all that leaves, or to WithRecordMasker", m.target.Name))
	}
	for _, t := range []*Target{&m.target, m.control} {
		if t == nil || t.URL == "" {
			continue
		}
		switch {
		case t.Masker == nil:
			m.log().Warn(fmt.Sprintf("shadow: target %q is on the network and has no Masker: it is sent everything as it came, credentials included", t.Name))
		case m.copiesBodies() && !ruleOf(t.Masker).AboutBodies():
			m.log().Warn(fmt.Sprintf("shadow: target %q is sent bodies as they came: no rule of its Masker is about bodies. Name what is sensitive with MaskJSON and its like, or say AllowBodies(\"*/*\")", t.Name))
		}
	}
}

// copiesBodies reports whether requests are copied that have a body as a rule.
func (m *Mirror) copiesBodies() bool {
	return m.copies(http.MethodPost) || m.copies(http.MethodPut) || m.copies(http.MethodPatch)
}

// Inspect returns what package preflight checks. It is for that package alone.
func (m *Mirror) Inspect(handle.Preflight) handle.Mirror {
	m.mustExist("Inspect")
	c := m.config
	inspected := handle.Mirror{
		Name: m.name, RequestID: m.requestID, Unsafe: c.unsafe(), Looped: m.loops.Count,
		Concurrency: m.concurrency, Queue: c.queue, QueueBytes: m.queueBytes,
		SamplesAll: m.samplesAll(), HasBudget: c.budget != (Budget{}),
	}
	for _, t := range []*Target{&m.target, m.control} {
		if t == nil {
			continue
		}
		one := handle.Target{Name: t.Name, InProcess: t.local(), Network: t.URL != "", Isolated: t.Isolated}
		if t.Masker != nil {
			one.Mask = func(msg *message.Message) error {
				return m.guard("Masker", func() error { return t.Masker.Mask((*Message)(msg)) })
			}
		}
		inspected.Targets = append(inspected.Targets, one)
	}
	for _, limit := range []struct {
		option string
		off    bool
	}{{"WithBreaker", c.breaker.Off}, {"WithLoadShedding", c.shedding.Off}, {"WithOverhead", c.overhead.Off}} {
		if limit.off {
			inspected.LimitsOff = append(inspected.LimitsOff, limit.option)
		}
	}
	slices.Sort(inspected.LimitsOff)
	probe := target.Probe{
		Target: m.target.Name, Transport: m.target.Transport, Network: m.target.URL != "", IDField: m.requestID, Nonce: m.loops.Nonce(false),
		MaxBody: m.maxBody, Timeout: m.target.timeout(), Late: ErrTimeout, Mask: inspected.Targets[0].Mask,
	}
	inspected.Probe = func(ctx context.Context, msg *message.Message) handle.Answer { return probe.Send(ctx, msg, m.guard) }
	return inspected
}

// samplesAll reports whether the Sampler is known to sample every request.
func (m *Mirror) samplesAll() bool { return m.quick && m.sampler.Sample(nil).Probability == 1 }

// LogValue describes t without its Transport and Masker, which may hold credentials.
func (t Target) LogValue() slog.Value {
	return slog.GroupValue(slog.String("name", t.Name), slog.Duration("timeout", t.timeout()), slog.Bool("discard", t.Discard))
}

// Format writes LogValue as text, for every verb.
func (t Target) Format(s fmt.State, _ rune) { render.Format(s, t) }

// MarshalJSON returns LogValue as JSON.
func (t Target) MarshalJSON() ([]byte, error) { return render.JSON(t) }
func (t Target) String() string               { return render.Text(t) }

// LogValue names m and its target.
func (m *Mirror) LogValue() slog.Value {
	return slog.GroupValue(slog.String("mirror", m.name), slog.String("target", m.target.Name))
}

// Format writes LogValue as text, for every verb.
func (m *Mirror) Format(s fmt.State, _ rune) { render.Format(s, m) }

// MarshalJSON returns LogValue as JSON.
func (m *Mirror) MarshalJSON() ([]byte, error) { return render.JSON(m) }
func (m *Mirror) String() string               { return render.Text(m) }
