package shadow

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/goshadow/shadow/internal/composite"
	"github.com/goshadow/shadow/internal/fields"
	"github.com/goshadow/shadow/internal/methods"
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
	defaultRate              = 1       // of the Sampler
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
			if option == nil {
				c.fail("nil Option")
				continue
			}
			option.apply(c)
		}
	})
}

// part returns the option that sets a part, which must be neither nil nor faulty.
func part[T any](name string, part T, set func(c *config)) Option {
	return optionFunc(func(c *config) {
		check(c, name, part)
		set(c)
	})
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

// WithControl adds a second primary, which gets the same requests as the candidate, side by
// side with it. Where the control and the primary differ, the primary does not agree with
// itself: a difference of the candidate at the same place, array indexes aside, becomes
// Result.Noise. In process the control may be the primary handler itself. Without
// Target.Isolated it gets only requests with a safe method. If the control fails or is not
// asked, nothing becomes noise.
func WithControl(t Target) Option {
	return optionFunc(func(c *config) {
		t.check(c, "WithControl")
		c.control = &t
	})
}

// WithControlRate asks the control with probability p, above 0 and at most 1, for each copy. The
// default is 1. Of the other copies nothing becomes Result.Noise; package report/tally
// separates noise from differences over all copies.
func WithControlRate(p float64) Option {
	return optionFunc(func(c *config) {
		c.want(p > 0 && p <= 1, "WithControlRate", p, "not a probability above 0")
		c.controlShare = sampling.NewChance(p)
	})
}

// WithMethods sets the request methods that are copied. The default is GET, HEAD and OPTIONS.
// The copy of a request that writes writes a second time, so a method that is not safe
// (RFC 9110 section 9.2.1) needs Target.Isolated. A request can ask to be treated as one of
// another method, by X-HTTP-Method-Override, X-HTTP-Method, X-Method-Override or the query
// parameter _method. It is copied only if that method is named too.
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

// WithSampler sets the Sampler, which decides which requests are copied. The default is all.
func WithSampler(s Sampler) Option {
	return part("WithSampler", s, func(c *config) { c.sampler = contain(s) })
}

// WithMasker masks everything that leaves: the copies sent to targets outside this process, and
// all that is reported. It may be given several times. The maskers run in that order, before
// Target.Masker and those of WithRecordMasker. A Masker that is also in Target.Masker runs
// once. Credentials are masked in reports always, and in copies by the DropCredentials of
// Remote.
//
// A target that InProcess or HandlerTransport made is in this process: it gets what the primary
// gets, unless it has a Target.Masker.
//
// A copy that cannot be masked is not sent: ReasonMaskFailed. A result whose record cannot be
// masked is reported without its content: see ErrWithheld. Once a rule is about bodies, a body
// that no rule looks into is not sent, and not recorded: see AllowBodies.
func WithMasker(m Masker) Option {
	return part("WithMasker", m, func(c *config) { c.maskers = append(c.maskers, m) })
}

// WithRecordMasker masks only what is reported, after the maskers of WithMasker: for values that
// the targets need and the readers of reports do not. It may be given several times.
func WithRecordMasker(m Masker) Option {
	return part("WithRecordMasker", m, func(c *config) { c.recordMaskers = append(c.recordMaskers, m) })
}

// WithComparator replaces the comparator, as WithCompare does. The default is that of
// CompareOptions{}.
func WithComparator(cmp Comparator) Option {
	return part("WithComparator", cmp, func(c *config) { c.comparator = cmp })
}

// WithCompare compares as NewComparator(o) does, and reports its error.
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

// WithReporter adds reporters. Each gets every result, in the order given.
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
	return part("WithRoute", route, func(c *config) { c.route = route })
}

// Timing is when copies are sent. The zero value is AfterPrimary.
type Timing string

const (
	// AfterPrimary sends a copy when the primary has answered. The two never compete for
	// resources, and a copy that is not to be compared is never sent.
	AfterPrimary Timing = ""

	// Parallel sends a copy as soon as the primary has read the request body, and at once if
	// there is none: the candidate runs at the same time and under the same conditions, at the
	// price of a higher peak load. Nothing is read ahead of the primary, and it does not wait.
	// If it does not read the body to its end, the copy is sent after it has answered, if at
	// all.
	//
	// A copy is counted in Stats from its start. Its worker waits for the primary, at most
	// for the Timeout of the Target. After that, as with a stream of events that does not end,
	// the copy is ReasonPrimaryIncomplete. If the primary's answer is not to be compared, such
	// as after a panic or with a 503, the copy is cancelled and counted under that reason. By
	// then the candidate may have seen it. The rest of an answer of the candidate that is longer
	// than WithMaxBody is read when the primary has answered. The span of a copy has the route
	// if the primary has answered before the copy ends.
	Parallel Timing = "parallel"
)

// WithTiming sets when copies are sent. The default is AfterPrimary.
func WithTiming(t Timing) Option {
	return optionFunc(func(c *config) {
		c.want(t == AfterPrimary || t == Parallel, "WithTiming", strconv.Quote(string(t)), "neither AfterPrimary nor Parallel")
		c.timing = t
	})
}

// WithConcurrency caps the copies that run at a time. The default is 8 for a target of
// InProcess, else 64. A control runs side by side with its copy and is not counted.
func WithConcurrency(n int) Option {
	return optionFunc(func(c *config) {
		c.positive("WithConcurrency", int64(n))
		c.concurrency = n
	})
}

// WithQueue caps the copies that wait for their turn, 256 by default, and the bytes that the
// Mirror holds for copies at any time, 64 MiB by default. Past a cap a copy is dropped as
// ReasonQueueFull or ReasonBytesFull. A request is not even recorded if its Content-Length is
// over what is left, or if the copy before it found the queue full and no worker has become
// free since.
func WithQueue(n int, bytes int64) Option {
	return optionFunc(func(c *config) {
		c.positive("WithQueue: copies", int64(n))
		c.positive("WithQueue: bytes", bytes)
		c.queue, c.queueBytes = n, bytes
	})
}

// WithMaxBody caps the bytes that are kept of one body: 1 MiB by default, or the bytes of
// WithQueue if those are fewer. A request with a larger body is not copied. Larger answers are
// compared by length and hash, and not kept.
func WithMaxBody(bytes int64) Option {
	return optionFunc(func(c *config) {
		c.positive("WithMaxBody", bytes)
		c.maxBody = bytes
	})
}

// WithContextKeys adds keys of context values that a copy inherits from its request. There are
// none by default: a value may be recycled by the time the copy runs.
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

// WithRequestID sets the header that carries the correlation ID. The default is X-Request-Id. An
// inbound ID is kept. If there is none, or a mask hides that header, the copy and its Result
// get an ID of their own; the primary's request is not changed. To give every request an ID,
// put middleware.RequestID around the Mirror. With an empty name copies carry no ID.
func WithRequestID(header string) Option {
	return optionFunc(func(c *config) {
		c.want(header == "" || fields.IsToken(header), "WithRequestID", strconv.Quote(header), "not a header name")
		c.requestID = http.CanonicalHeaderKey(header)
	})
}

// WithLogger sets the logger of what happens to the Mirror itself: each Event, with how many
// copies it has cost so far, and the first panic of each part of user code. Of each kind ten
// events are logged, and then one a minute. No line holds a value of a request or an answer.
// The default is slog.Default() at the time of the event; slog.New(slog.DiscardHandler) logs
// nothing.
func WithLogger(l *slog.Logger) Option {
	return part("WithLogger", l, func(c *config) { c.logger = l })
}

// WithTracerProvider records a span for each copy: a new root that is linked to the
// span of the primary. The default is no spans.
func WithTracerProvider(tp trace.TracerProvider) Option {
	return part("WithTracerProvider", tp, func(c *config) { c.tracer = tp })
}

// WithMeterProvider records metrics. The default is none. See docs/telemetry.md.
func WithMeterProvider(mp metric.MeterProvider) Option {
	return part("WithMeterProvider", mp, func(c *config) { c.meter = mp })
}

// WithPropagator sets how the span of a copy is written to its headers. The default is W3C Trace
// Context with WithTracerProvider, else nothing. The primary's own trace headers are never
// sent to a shadow: its spans are not part of that trace.
func WithPropagator(p propagation.TextMapPropagator) Option {
	return part("WithPropagator", p, func(c *config) { c.propagator = p })
}

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

// newConfig applies the options to the defaults and returns all faults in one error.
func newConfig(target Target, opts []Option) (*config, error) {
	c := &config{
		target:     target,
		methods:    defaultMethods[:],
		sampler:    Rate(defaultRate),
		timing:     defaultTiming,
		queue:      defaultQueue,
		queueBytes: defaultQueueBytes,
		requestID:  defaultRequestID,
	}
	target.check(c, "target")
	Options(opts...).apply(c)
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
	c.name = cmp.Or(c.name, target.Name)
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
