package shadow

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/goshadow/shadow/internal/composite"
	"github.com/goshadow/shadow/internal/fields"
	"github.com/goshadow/shadow/internal/methods"
	"github.com/goshadow/shadow/internal/redact"
	"github.com/goshadow/shadow/internal/sampling"
)

// The table of defaults: what New uses where no option says otherwise. docs/operations.md shows
// it, and a test compares them.
const (
	defaultTimeout           = 10 * time.Second // of Target.Timeout
	defaultConcurrency       = 8                // of a target in process
	defaultRemoteConcurrency = 64               // of any other target
	defaultQueue             = 256
	defaultQueueBytes        = 64 << 20
	defaultMaxBody           = 1 << 20 // or defaultQueueBytes, if WithQueue sets less
	defaultControlRate       = sampling.Certain
	defaultRequestID         = "X-Request-Id"
	defaultTiming            = AfterPrimary
)

// The rest of the table. Zero fields of the options that users give have these values too.
var (
	defaultMethods  = [...]string{http.MethodGet, http.MethodHead, http.MethodOptions} // safe (RFC 9110 section 9.2.1), without TRACE
	defaultBreaker  = BreakerOptions{Failures: 0.5, Window: 10 * time.Second, Min: 20, Pause: 10 * time.Second, Probes: 3}
	defaultShedding = LoadSheddingOptions{Wait: 500 * time.Microsecond, Heap: 0.8}
	defaultOverhead = OverheadOptions{P99: time.Millisecond, Window: 10 * time.Second, Min: 1000, Pause: 30 * time.Second}
)

// Option configures a Mirror. Options are applied in order. The last one that sets a value
// wins, so that a preset can be overridden. WithMasker, WithRecordMasker, WithReporter and
// WithContextKeys add to what is there. An invalid value is an error of New, even if a later
// option overrides it.
type Option interface{ apply(*config) }

type optionFunc func(*config)

func (f optionFunc) apply(c *config) { f(c) }

// config is what the options of New add up to.
type config struct {
	target       Target
	control      *Target
	controlShare sampling.Chance // of the copies; 0 until WithControlRate or the default sets it

	maskers       []Masker // of everything that leaves
	recordMaskers []Masker // of reports alone

	name        string
	methods     []string
	sampler     Sampler
	comparator  Comparator
	reporters   []Reporter
	route       func(*http.Request) string
	timing      Timing
	concurrency int
	queue       int
	queueBytes  int64
	maxBody     int64
	contextKeys []any
	requestID   string
	logger      *slog.Logger
	tracer      trace.TracerProvider
	meter       metric.MeterProvider
	propagator  propagation.TextMapPropagator
	breaker     BreakerOptions
	shedding    LoadSheddingOptions
	overhead    OverheadOptions
	budget      Budget
	leakCheck   *leakCheck

	errs []error
}

func (c *config) fail(format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("shadow: "+format, args...))
}

// Options joins options into one, for presets that several mirrors share. Options that
// follow a preset override it.
func Options(o ...Option) Option {
	return optionFunc(func(c *config) {
		for _, option := range o {
			c.add(option)
		}
	})
}

func (c *config) add(o Option) {
	if o == nil {
		c.fail("nil Option")
		return
	}
	o.apply(c)
}

// WithName names the Mirror in results, spans and metrics. The default is the name of
// its target.
func WithName(name string) Option {
	return optionFunc(func(c *config) {
		if name == "" {
			c.fail("WithName: empty name")
		}
		c.name = name
	})
}

// WithControl adds a second primary that is asked the same as the candidate, side by
// side with it. Where it answers differently from the primary the primary does not
// agree with itself: a difference of the candidate at the same place, array indexes
// aside, becomes Result.Noise. In process the control may be the primary handler
// itself: without Target.Isolated it is asked requests with a safe method alone. Where the
// control fails, or is not asked, nothing is taken for noise.
func WithControl(t Target) Option {
	return optionFunc(func(c *config) {
		t.check(c, "WithControl")
		c.control = &t
	})
}

// WithControlRate asks the control on a share p of the copies, drawn at random, above 0
// and up to 1, which is the default. On the other copies nothing becomes Result.Noise:
// package report/tally tells noise from differences by all of them together.
func WithControlRate(p float64) Option {
	return optionFunc(func(c *config) {
		if !(p > 0 && p <= 1) {
			c.fail("WithControlRate: %v is not a probability above 0", p)
		}
		c.controlShare = sampling.NewChance(p)
	})
}

// WithMethods names the request methods that are copied, in place of GET, HEAD and
// OPTIONS. A copy of a request that writes writes a second time. So a method that is not safe
// (RFC 9110 section 9.2.1) needs Target.Isolated. A request that asks to be treated as one of
// another method, by X-HTTP-Method-Override, X-HTTP-Method, X-Method-Override or the query
// parameter _method, is copied only if that method is named too.
func WithMethods(names ...string) Option {
	return optionFunc(func(c *config) {
		if len(names) == 0 {
			c.fail("WithMethods: no method; use SetEnabled(false) to copy nothing")
		}
		for _, m := range names {
			if !fields.IsToken(m) {
				c.fail("WithMethods: %q is not a method (RFC 9110 section 9.1)", m)
			}
			switch upper := strings.ToUpper(m); {
			case m == http.MethodConnect:
				c.fail("WithMethods: CONNECT cannot be copied: remove it")
			case m != upper && methods.Usual(upper):
				c.fail("WithMethods: %q is no method that clients use: write %q (names are case-sensitive, RFC 9110 section 9.1)", m, upper)
			}
		}
		c.methods = slices.Clone(names)
	})
}

// WithSampler says which requests are copied. The default is all of them.
func WithSampler(s Sampler) Option {
	return optionFunc(func(c *config) {
		check(c, "WithSampler", s)
		c.sampler = contain(s)
	})
}

// WithMasker masks everything that leaves: the copies that are sent to targets outside this
// process, and all that is reported. It may be given several times; the maskers run in that
// order, before those of a Target.Masker and of WithRecordMasker. Credentials are masked in
// reports always, and in copies by the DropCredentials of Remote.
//
// A target that InProcess or HandlerTransport made is in this process: it is sent what the
// primary gets, unless its Target.Masker says otherwise. A Masker that is also in Target.Masker
// runs once.
//
// A copy that cannot be masked is not sent: ReasonMaskFailed. A result whose record cannot be
// masked is reported without its content: see ErrWithheld. A body that no rule looks into is
// not sent, and left out of the record: see AllowBodies.
func WithMasker(m Masker) Option {
	return optionFunc(func(c *config) {
		check(c, "WithMasker", m)
		c.maskers = append(c.maskers, m)
	})
}

// WithRecordMasker masks what is reported and nothing else, besides WithMasker: for values
// that the targets need and the readers of reports do not. It may be given several times.
func WithRecordMasker(m Masker) Option {
	return optionFunc(func(c *config) {
		check(c, "WithRecordMasker", m)
		c.recordMaskers = append(c.recordMaskers, m)
	})
}

// masksFor returns what masks the copies sent to t, or nil if nothing does. It is a list even of one
// rule: see AllowBodies.
func (c *config) masksFor(t *Target) Masker {
	var all []Masker
	if !t.local() {
		all = c.maskers
	}
	if t.Masker == nil && len(all) == 0 {
		return nil
	}
	return &masker{redact.Union("Masker", rulesOf(all), ruleOf(t.Masker)), append(slices.Clone(all), t.Masker)}
}

// reportsMore reports whether reports hold values that a target is not sent: its Masker hides
// them, and nobody has said what reports hide.
func (c *config) reportsMore() bool {
	if len(c.maskers) > 0 || len(c.recordMaskers) > 0 {
		return false
	}
	for _, t := range []*Target{&c.target, c.control} {
		if t != nil && t.Masker != nil && ruleOf(t.Masker).HidesValues() {
			return true
		}
	}
	return false
}

// WithComparator replaces the comparator, as WithCompare does. The default is that of
// CompareOptions{}.
func WithComparator(cmp Comparator) Option {
	return optionFunc(func(c *config) {
		check(c, "WithComparator", cmp)
		c.comparator = cmp
	})
}

// WithCompare compares as NewComparator(o) does. What is wrong with o is an error of
// New.
func WithCompare(o CompareOptions) Option {
	return optionFunc(func(c *config) {
		cmp, err := NewComparator(o)
		if err != nil {
			c.errs = append(c.errs, err)
			return
		}
		c.comparator = cmp
	})
}

// WithReporter adds reporters, which are told of every result in the order given.
func WithReporter(r ...Reporter) Option {
	return optionFunc(func(c *config) {
		for _, reporter := range r {
			check(c, "WithReporter", reporter)
			c.reporters = append(c.reporters, reporter)
		}
	})
}

// WithRoute names the endpoint of a request for results and metrics, in few different
// words; the first 256 bytes count. Route runs after the primary, inside the same middleware
// chain: a router's own context is still valid. The request waits for it, on a goroutine of its
// own. If route returns nothing, the route is the default.
//
// The default is the method and the pattern, as in "GET /orders/{id}", with every router
// that sets Request.Pattern. A pattern that has a method keeps it: a HEAD of that pattern is
// counted with GET. A pattern that matches any rest of a path, such as "/", "/api/" or
// "/api/{path...}", names no endpoint and counts as none. Without a pattern it is the method
// and the path with "{}" in place of the segments that look like identifiers: numbers,
// UUIDs, tokens, addresses and titles. Methods that are neither usual nor named by
// WithMethods are "_OTHER".
func WithRoute(route func(*http.Request) string) Option {
	return optionFunc(func(c *config) {
		check(c, "WithRoute", route)
		c.route = route
	})
}

// Timing is when copies are sent. The zero value is AfterPrimary.
type Timing string

const (
	// AfterPrimary sends a copy when the primary has answered. The two never compete for
	// what they share, and what is not to be compared is never sent.
	AfterPrimary Timing = ""

	// Parallel sends a copy as soon as the request body is complete, which it is when the
	// primary has read it, and at once where there is none: a candidate in the same time and
	// under the same conditions, at the price of a higher peak load. Nothing is read ahead
	// of the primary, and it does not wait. Where it does not read the body to its end the
	// copy is sent after it has answered, if at all.
	//
	// A copy is counted in Stats from its start, and its worker stays taken until the
	// primary has answered too, at most for the Timeout of the Target: then, as with a
	// stream of events that does not end, the copy is ReasonPrimaryIncomplete. Where
	// the primary turns out to be not for comparing, such as after a panic or with a 503,
	// the copy is cancelled and counted under that reason. By then the candidate may have
	// seen it. An answer of the candidate that is longer than WithMaxBody is read on when the
	// primary has answered. The span of a copy has the route where the primary has answered before the
	// copy ends.
	Parallel Timing = "parallel"
)

// WithTiming says when copies are sent. The default is AfterPrimary.
func WithTiming(t Timing) Option {
	return optionFunc(func(c *config) {
		if t != AfterPrimary && t != Parallel {
			c.fail("WithTiming: %q is neither AfterPrimary nor Parallel", string(t))
		}
		c.timing = t
	})
}

// WithConcurrency caps the copies that run at a time. The default is 8 where the
// target was made by InProcess, else 64. A control runs side by side with its copy and
// is not counted.
func WithConcurrency(n int) Option {
	return optionFunc(func(c *config) {
		c.positive("WithConcurrency", int64(n))
		c.concurrency = n
	})
}

// WithQueue caps the copies that wait for their turn, 256 by default, and the bytes of
// bodies that the Mirror holds at any time, 64 MiB by default. Past a cap a copy is
// dropped as ReasonQueueFull or ReasonBytesFull. Where that is known when a request comes
// it is not recorded: its Content-Length is more than there is room for, or the copy before it
// found the queue full and no worker has become free since.
func WithQueue(n int, bytes int64) Option {
	return optionFunc(func(c *config) {
		c.positive("WithQueue: copies", int64(n))
		c.positive("WithQueue: bytes", bytes)
		c.queue, c.queueBytes = n, bytes
	})
}

// WithMaxBody caps the bytes that are kept of one body: 1 MiB by default, or all the bytes
// of WithQueue where those are fewer. A request
// with a larger body is not copied. Larger answers are compared by length and hash, and no
// byte of them is kept.
func WithMaxBody(bytes int64) Option {
	return optionFunc(func(c *config) {
		c.positive("WithMaxBody", bytes)
		c.maxBody = bytes
	})
}

// WithContextKeys names the context values that a copy inherits from its request. By
// default there is none: a value may be recycled by the time the copy runs.
func WithContextKeys(keys ...any) Option {
	return optionFunc(func(c *config) {
		for _, key := range keys {
			if key == nil || !reflect.ValueOf(key).Comparable() {
				c.fail("WithContextKeys: %T cannot be a context key", key)
				continue
			}
			c.contextKeys = append(c.contextKeys, key)
		}
	})
}

// WithRequestID names the header that carries the correlation ID, X-Request-Id by
// default. An inbound ID is kept, unless a mask hides that field of it: then the copy and its
// Result have another one. Where there is none, one is made for the copy and its Result
// only: nothing of the primary's request is changed. To give every request an ID, the
// primary's too, put middleware.RequestID around the Mirror. With an empty name copies
// carry no ID.
func WithRequestID(header string) Option {
	return optionFunc(func(c *config) {
		if header != "" && !fields.IsToken(header) {
			c.fail("WithRequestID: %q is not a header name", header)
		}
		c.requestID = http.CanonicalHeaderKey(header)
	})
}

// WithLogger logs to l what happens to the Mirror itself: each Event, with how many copies it
// has cost so far, and the first panic of each part of user code. Ten events of a kind are
// logged, and then one a minute; no line holds a value of a request or an answer. The
// default is slog.Default() at the time; slog.New(slog.DiscardHandler) logs nothing.
func WithLogger(l *slog.Logger) Option {
	return optionFunc(func(c *config) {
		check(c, "WithLogger", l)
		c.logger = l
	})
}

// WithTracerProvider records a span for each copy: a new root that is linked to the
// span of the primary. The default is no spans.
func WithTracerProvider(tp trace.TracerProvider) Option {
	return optionFunc(func(c *config) {
		check(c, "WithTracerProvider", tp)
		c.tracer = tp
	})
}

// WithMeterProvider records metrics. The default is none. See docs/telemetry.md.
func WithMeterProvider(mp metric.MeterProvider) Option {
	return optionFunc(func(c *config) {
		check(c, "WithMeterProvider", mp)
		c.meter = mp
	})
}

// WithPropagator says how the span of a copy is written to its headers. The default is
// W3C Trace Context where WithTracerProvider is given, else nothing. The primary's own
// trace headers are never sent to a shadow: its spans are not part of that trace.
func WithPropagator(p propagation.TextMapPropagator) Option {
	return optionFunc(func(c *config) {
		check(c, "WithPropagator", p)
		c.propagator = p
	})
}

// The faults of numbers. A fault is not an error of its own: New reports all of them at once.

func (c *config) positive(name string, n int64) {
	c.want(n > 0, name, n, "not a positive number")
}

func (c *config) notNegative(name string, n int64) {
	c.want(n >= 0, name, n, "negative")
}

// share checks a share; 0 is the default.
func (c *config) share(name string, p float64) {
	c.want(p >= 0 && p <= 1, name, p, "not between 0 and 1") // nor is NaN
}

// The longest time that an option can name, and the shortest window: clocks and timers do not
// keep one that is shorter than their ticks.
const (
	shortestWindow = time.Second
	longestSpan    = 366 * 24 * time.Hour
)

// span checks a duration; 0 is the default.
func (c *config) span(name string, d time.Duration) {
	c.want(d >= 0 && d <= longestSpan, name, d, fmt.Sprintf("not between 0 and %v", longestSpan))
}

// window checks a window of time; 0 is the default.
func (c *config) window(name string, d time.Duration) {
	c.want(d == 0 || d >= shortestWindow && d <= longestSpan, name, d, fmt.Sprintf("not between %v and %v", shortestWindow, longestSpan))
}

// want records a fault of v unless ok.
func (c *config) want(ok bool, name string, v any, fault string) {
	if !ok {
		c.fail("%s: %v is %s", name, v, fault)
	}
}

// check records a fault if part is nil or faulty.
func check[T any](c *config, name string, part T) {
	if err := composite.Fault(name, part); err != nil {
		c.errs = append(c.errs, fmt.Errorf("shadow: %w", err))
	}
}

func isNil(v any) bool { return composite.IsNil(v) }

// unsafe returns the methods that are copied and are not safe.
func (c *config) unsafe() []string {
	return slices.DeleteFunc(slices.Clone(c.methods), methods.Safe)
}

// newConfig adds up options over the defaults and reports everything that is wrong.
func newConfig(target Target, opts []Option) (*config, error) {
	c := &config{
		target:     target,
		methods:    defaultMethods[:],
		timing:     defaultTiming,
		queue:      defaultQueue,
		queueBytes: defaultQueueBytes,
		requestID:  defaultRequestID,
	}
	target.check(c, "target")
	for _, o := range opts {
		c.add(o)
	}
	if c.control != nil && c.control.Name == target.Name {
		c.fail("WithControl: %q is the name of the target too", target.Name)
	}
	if c.control == nil && c.controlShare != 0 {
		c.fail("WithControlRate: there is no control; add WithControl")
	}
	if unsafe := c.unsafe(); len(unsafe) > 0 && !target.Isolated {
		c.fail("WithMethods: %s: a copy of such a request writes again (RFC 9110 section 9.2.1): set Isolated on target %q if what it writes reaches nobody",
			strings.Join(unsafe, ", "), target.Name)
	}
	if c.control != nil && target.Discard {
		c.fail("WithControl: target %q has Discard set, so there is nothing to compare", target.Name)
	}
	if c.control != nil && c.control.Discard {
		c.fail("WithControl: control %q has Discard set, so there is nothing to compare", c.control.Name)
	}
	if c.maxBody > c.queueBytes && c.queueBytes > 0 {
		c.fail("WithMaxBody: %d bytes are more than the %d bytes of WithQueue: raise those", c.maxBody, c.queueBytes)
	}
	c.leakCheck.idle(c)
	if len(c.errs) > 0 {
		return nil, errors.Join(c.errs...)
	}
	if c.name == "" {
		c.name = target.Name
	}
	if c.sampler == nil {
		c.sampler = Rate(1)
	}
	c.controlShare = cmp.Or(c.controlShare, defaultControlRate)
	orDefaults(&c.breaker, defaultBreaker)
	orDefaults(&c.shedding, defaultShedding)
	orDefaults(&c.overhead, defaultOverhead)
	c.maxBody = cmp.Or(c.maxBody, min(defaultMaxBody, c.queueBytes))
	if c.comparator == nil {
		c.comparator, _ = NewComparator(CompareOptions{})
	}
	if c.concurrency == 0 {
		c.concurrency = defaultRemoteConcurrency
		if target.local() {
			c.concurrency = defaultConcurrency
		}
	}
	if c.propagator == nil && c.tracer != nil {
		c.propagator = propagation.TraceContext{}
	}
	return c, nil
}

// orDefaults gives the zero fields of options their default.
func orDefaults[T any](options *T, defaults T) {
	to, from := reflect.ValueOf(options).Elem(), reflect.ValueOf(defaults)
	for i := range to.NumField() {
		if to.Field(i).IsZero() {
			to.Field(i).Set(from.Field(i))
		}
	}
}
