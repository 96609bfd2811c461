// Package telemetry records spans and metrics of a mirror through OpenTelemetry
// providers that the user gave it. Without a provider it does nothing.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

const scope = "github.com/goshadow/shadow"

// Names of attributes. Those with an http prefix are from the HTTP semantic
// conventions.
const (
	keyMirror   = attribute.Key("shadow.mirror")
	keyTarget   = attribute.Key("shadow.target")
	keyRole     = attribute.Key("shadow.role") // primary, shadow
	keyOutcome  = attribute.Key("shadow.outcome")
	keyReason   = attribute.Key("shadow.reason")
	keyResult   = attribute.Key("shadow.result") // match, diff, noise
	keyKind     = attribute.Key("shadow.kind")
	keyClass    = attribute.Key("shadow.class")
	keyLimit    = attribute.Key("shadow.limit") // requests, bytes, cpu
	keyID       = attribute.Key("shadow.id")
	keyRoute    = attribute.Key("http.route")
	keyMethod   = attribute.Key("http.request.method")
	keyStatus   = attribute.Key("http.response.status_code")
	keyError    = attribute.Key("error.type")
	keyDetector = attribute.Key("shadow.detector")
)

// Config is what a Telemetry is made of. Nil providers record nothing.
type Config struct {
	Mirror     string
	Target     string
	Tracer     trace.TracerProvider
	Meter      metric.MeterProvider
	Propagator propagation.TextMapPropagator
	// Control is the name of the control, empty without one.
	Control string
	// Detectors are those of the leak check, none without one. SideEffects are the kinds there are.
	Detectors, SideEffects []string
	// Read reads the mirror's ledger, when metrics are collected.
	Read func() Reading
	// Panicked is told what a part of the user's code panicked with. It may be nil.
	Panicked func(part string, v any)
}

// Reading is the ledger at one instant.
type Reading struct {
	Requests        []Count
	Queued, Running int
	Bytes           int64
	Unreported      uint64
	Enabled         bool
	Concurrency     int
	Targets         []Target
	Budget          []Share
}

// Target is what is known about one target.
type Target struct {
	Name     string
	Breaker  int64 // 0 closed, 1 half-open, 2 open
	Requests uint64
	Bytes    int64
	CPU      time.Duration
}

// Share is how much of one limit of a budget is used.
type Share struct {
	Limit string // requests, bytes, cpu
	Used  float64
}

// Count is a number of requests under one outcome, or under an outcome "skipped" or
// "dropped" and its reason.
type Count struct {
	Outcome, Reason string
	N               uint64
}

// Telemetry records what a mirror does. It is safe for concurrent use.
type Telemetry struct {
	mirror     attribute.KeyValue
	tracer     trace.Tracer
	propagator propagation.TextMapPropagator
	stripped   []string // headers that carry the primary's trace
	panicked   func(part string, v any)
	provider   metric.MeterProvider
	routes     routes

	duration    metric.Float64Histogram
	comparisons metric.Int64Counter
	differences metric.Int64Counter
	lag         metric.Float64Histogram
	overhead    metric.Float64Histogram
	leaks       metric.Int64Counter
	sideEffects metric.Int64Counter
	observed    metric.Registration
}

// New returns the Telemetry of one mirror. It registers instruments, and starts nothing.
func New(c Config) (*Telemetry, error) {
	t := &Telemetry{mirror: keyMirror.String(valid(c.Mirror)), propagator: c.Propagator,
		stripped: traceHeaders[:], panicked: c.Panicked, provider: c.Meter, routes: routes{seen: map[string]bool{}}}
	if t.panicked == nil {
		t.panicked = func(string, any) {}
	}
	if c.Propagator != nil {
		t.stripped = slices.Clone(t.stripped)
		for _, name := range c.Propagator.Fields() {
			if name = http.CanonicalHeaderKey(name); name != "Baggage" {
				t.stripped = append(t.stripped, name)
			}
		}
	}
	if c.Tracer != nil {
		t.tracer = c.Tracer.Tracer(scope)
	}
	if c.Meter != nil {
		if err := t.register(c); err != nil {
			return nil, fmt.Errorf("shadow: MeterProvider: %w", err)
		}
	}
	return t, nil
}

// seconds are the bucket bounds that the HTTP semantic conventions advise.
var seconds = metric.WithExplicitBucketBoundaries(
	0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)

// longSeconds are the bucket bounds of what may take minutes: a lag is to be under 300 s.
var longSeconds = metric.WithExplicitBucketBoundaries(
	0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60, 300, 900)

// shortSeconds are the bucket bounds of what takes microseconds.
var shortSeconds = metric.WithExplicitBucketBoundaries(
	1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 0.1)

func (t *Telemetry) register(c Config) error {
	var errs []error
	must := func(err error) { errs = append(errs, err) }
	meter := c.Meter.Meter(scope)
	var err error
	t.duration, err = meter.Float64Histogram("shadow.request.duration", metric.WithUnit("s"), seconds,
		metric.WithDescription("Time from the start of a request to the last byte of its answer, on both sides."))
	must(err)
	t.lag, err = meter.Float64Histogram("shadow.comparison.lag", metric.WithUnit("s"), longSeconds,
		metric.WithDescription("Time from the end of the primary's answer to the result."))
	must(err)
	t.overhead, err = meter.Float64Histogram("shadow.primary.overhead.duration", metric.WithUnit("s"), shortSeconds,
		metric.WithDescription("Time that the mirror added to a request that it copied, on its goroutine."))
	must(err)
	t.comparisons, err = meter.Int64Counter("shadow.comparisons", metric.WithUnit("{comparison}"),
		metric.WithDescription("Pairs of answers that were compared."))
	must(err)
	t.differences, err = meter.Int64Counter("shadow.differences", metric.WithUnit("{difference}"),
		metric.WithDescription("Differences found, noise left out."))
	must(err)
	t.leaks, err = meter.Int64Counter("shadow.leaks", metric.WithUnit("{finding}"),
		metric.WithDescription("What the leak check found in masked copies and results, which were then stopped."))
	must(err)

	t.sideEffects, err = meter.Int64Counter("shadow.side_effects", metric.WithUnit("{call}"),
		metric.WithDescription("Writes of copies that a guard behind the target noticed."))
	must(err)

	requests, err := meter.Int64ObservableCounter("shadow.requests", metric.WithUnit("{request}"),
		metric.WithDescription("Requests that reached the mirror, each under one outcome or reason."))
	must(err)
	running, err := meter.Int64ObservableUpDownCounter("shadow.inflight", metric.WithUnit("{request}"),
		metric.WithDescription("Copies that are on their way."))
	must(err)
	queued, err := meter.Int64ObservableUpDownCounter("shadow.queue.size", metric.WithUnit("{request}"),
		metric.WithDescription("Copies that wait for a worker."))
	must(err)
	memory, err := meter.Int64ObservableUpDownCounter("shadow.memory.reserved", metric.WithUnit("By"),
		metric.WithDescription("Bytes of bodies that are held for copies."))
	must(err)
	unreported, err := meter.Int64ObservableCounter("shadow.unreported", metric.WithUnit("{result}"),
		metric.WithDescription("Results that a reporter or the record mask failed on."))
	must(err)
	up, err := meter.Int64ObservableGauge("shadow.up", metric.WithUnit("1"),
		metric.WithDescription("1 while requests are copied, 0 while the mirror is switched off."))
	must(err)
	concurrency, err := meter.Int64ObservableUpDownCounter("shadow.concurrency.limit", metric.WithUnit("{request}"),
		metric.WithDescription("Copies that may be on their way at a time, fewer under overload."))
	must(err)
	breaker, err := meter.Int64ObservableGauge("shadow.breaker.state", metric.WithUnit("1"),
		metric.WithDescription("The breaker of a target: 0 while it is closed, 1 while it is half-open, 2 while it is open."))
	must(err)
	sent, err := meter.Int64ObservableCounter("shadow.usage.requests", metric.WithUnit("{request}"),
		metric.WithDescription("Copies that were sent."))
	must(err)
	transferred, err := meter.Int64ObservableCounter("shadow.usage.io", metric.WithUnit("By"),
		metric.WithDescription("Bytes of bodies that were sent and received for copies."))
	must(err)
	cpu, err := meter.Float64ObservableCounter("shadow.usage.cpu.time", metric.WithUnit("s"),
		metric.WithDescription("Time in which handlers of in-process targets ran and answers were compared: at most so much CPU time."))
	must(err)
	used, err := meter.Float64ObservableGauge("shadow.budget.utilization", metric.WithUnit("1"),
		metric.WithDescription("Share of a limit of the budget that is used in the current window."))
	must(err)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	base := []attribute.KeyValue{t.mirror, keyTarget.String(valid(c.Target))}
	with := func(kv ...attribute.KeyValue) metric.MeasurementOption {
		return metric.WithAttributeSet(attribute.NewSet(append(kv, base...)...))
	}
	t.observed, err = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		r := c.Read()
		for _, n := range r.Requests {
			kv := []attribute.KeyValue{keyOutcome.String(n.Outcome)}
			if n.Reason != "" {
				kv = append(kv, keyReason.String(n.Reason))
			}
			o.ObserveInt64(requests, int64(n.N), with(kv...))
		}
		o.ObserveInt64(running, int64(r.Running), with())
		o.ObserveInt64(queued, int64(r.Queued), with())
		o.ObserveInt64(memory, r.Bytes, with())
		o.ObserveInt64(unreported, int64(r.Unreported), with())
		enabled := int64(0)
		if r.Enabled {
			enabled = 1
		}
		o.ObserveInt64(up, enabled, with())
		o.ObserveInt64(concurrency, int64(r.Concurrency), with())
		for _, target := range r.Targets {
			of := metric.WithAttributeSet(attribute.NewSet(t.mirror, keyTarget.String(valid(target.Name))))
			o.ObserveInt64(breaker, target.Breaker, of)
			o.ObserveInt64(sent, int64(target.Requests), of)
			o.ObserveInt64(transferred, target.Bytes, of)
			o.ObserveFloat64(cpu, target.CPU.Seconds(), of)
		}
		for _, share := range r.Budget {
			o.ObserveFloat64(used, share.Used, with(keyLimit.String(share.Limit)))
		}
		return nil
	}, requests, running, queued, memory, unreported, up, concurrency, breaker, sent, transferred, cpu, used)
	if err == nil {
		t.begin(c)
	}
	return err
}

// begin has the counters of what nobody wants to happen begin at 0. A series that begins
// with its first event has no increase then, and an alert would miss it.
func (t *Telemetry) begin(c Config) {
	targets := []string{c.Target}
	if c.Control != "" {
		targets = append(targets, c.Control)
	}
	for _, target := range targets {
		for _, detector := range c.Detectors {
			t.Leak(context.Background(), target, detector, 0)
		}
		for _, kind := range c.SideEffects {
			t.SideEffect(context.Background(), target, kind, 0)
		}
	}
}

// Flush has the provider collect and export the ledger now, if it can: after Close it
// is not seen any more.
func (t *Telemetry) Flush(ctx context.Context) error {
	if f, ok := t.provider.(interface{ ForceFlush(context.Context) error }); ok {
		return f.ForceFlush(ctx)
	}
	return nil
}

// Close stops the observation of the ledger. It may be called again.
func (t *Telemetry) Close() error {
	if t.observed == nil {
		return nil
	}
	return t.observed.Unregister()
}

// Traced reports whether spans are recorded.
func (t *Telemetry) Traced() bool { return t.tracer != nil }

// traceHeaders carry the trace context of the tracing systems in use: W3C; OpenCensus
// and Google Cloud; Zipkin; Jaeger, AWS X-Ray; OpenTracing; and those of the vendors.
var traceHeaders = [...]string{
	"Traceparent", "Tracestate",
	"Grpc-Trace-Bin", "X-Cloud-Trace-Context",
	"B3", "X-B3-Traceid", "X-B3-Spanid", "X-B3-Parentspanid", "X-B3-Sampled", "X-B3-Flags",
	"Uber-Trace-Id", "X-Amzn-Trace-Id",
	"Ot-Tracer-Traceid", "Ot-Tracer-Spanid", "Ot-Tracer-Sampled", "X-Ot-Span-Context",
	"X-Datadog-Trace-Id", "X-Datadog-Parent-Id", "X-Datadog-Sampling-Priority", "X-Datadog-Origin", "X-Datadog-Tags",
	"Elastic-Apm-Traceparent", "Newrelic", "Sentry-Trace", "Sw8",
	"X-Instana-T", "X-Instana-S", "X-Instana-L",
}

// Strip removes the trace context of the primary from the header of a copy: what the
// shadow does is no part of that trace.
func (t *Telemetry) Strip(h http.Header) {
	for _, name := range t.stripped {
		delete(h, name)
	}
}

// Copy identifies one copy to one target.
type Copy struct {
	Target, ID, Method, Route string
	Primary                   trace.SpanContext // of the request that was copied
	Span                      trace.SpanContext // of the copy: Start sets it
}

// Start begins the span of a copy, a new root that is linked to the primary's, and
// writes it to the header of the copy. End it with End. Where the provider panics the
// copy goes on without a span.
func (t *Telemetry) Start(ctx context.Context, c *Copy, h http.Header) (with context.Context, span trace.Span) {
	if t.tracer == nil {
		return ctx, nil
	}
	started := false
	defer func() {
		if !started {
			t.panicked("TracerProvider", recover())
			with, span = ctx, nil
		}
	}()
	opts := []trace.SpanStartOption{
		trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(t.mirror, keyTarget.String(valid(c.Target)), keyID.String(valid(c.ID)),
			keyMethod.String(c.Method), keyRole.String("shadow")),
	}
	if c.Route != "" {
		opts = append(opts, trace.WithAttributes(keyRoute.String(valid(c.Route))))
	}
	if c.Primary.IsValid() {
		opts = append(opts, trace.WithLinks(trace.Link{SpanContext: c.Primary}))
	}
	with, span = t.tracer.Start(ctx, "shadow "+valid(c.Target), opts...)
	c.Span = span.SpanContext()
	if t.propagator != nil {
		t.propagator.Inject(with, propagation.HeaderCarrier(h))
	}
	started = true
	return with, span
}

// End ends a span of Start with what came of the copy: a status, or the type of an
// error. With neither, a panic or an exit of the goroutine is under way. Route is empty
// where Start knew it, and where nobody does yet. What the provider panics with is dropped.
func End(span trace.Span, route string, status int, errType string) {
	if span == nil {
		return
	}
	defer func() { _ = recover() }()
	defer span.End()
	switch {
	case errType != "":
		fail(span, errType, errType)
	case status == 0:
		fail(span, "panic", "panic")
	case status >= http.StatusInternalServerError:
		fail(span, strconv.Itoa(status), "") // the code says it all
	}
	if status != 0 {
		span.SetAttributes(keyStatus.Int(status))
	}
	if route != "" {
		span.SetAttributes(keyRoute.String(valid(route)))
	}
}

func fail(span trace.Span, errType, description string) {
	span.SetAttributes(keyError.String(errType))
	span.SetStatus(codes.Error, description)
}

// Outcome is what became of one copy.
type Outcome struct {
	Target, Route           string
	Result                  string // match, diff, noise; empty where nothing was compared
	PrimaryStatus           int
	ShadowStatus            int // 0 where the shadow did not answer
	PrimaryTook, ShadowTook time.Duration
	Lag                     time.Duration
	Overhead                time.Duration // on the goroutine of the request
	Differences             map[Difference]int
	// Primary and Shadow are the spans of the two sides, where they are known: measurements
	// are recorded in the one that they are about, so that their exemplars lead to it.
	Primary, Shadow trace.SpanContext
}

// Difference is what differences are counted by.
type Difference struct{ Kind, Class string }

// Record counts o. A span of the shadow is linked to that of the primary: from an exemplar
// of a difference one gets to both traces.
func (t *Telemetry) Record(ctx context.Context, o *Outcome) {
	if t.provider == nil {
		return
	}
	route, first := t.routes.name(o.Route)
	base := []attribute.KeyValue{t.mirror, keyTarget.String(valid(o.Target)), keyRoute.String(route)}
	with := func(kv ...attribute.KeyValue) metric.MeasurementOption {
		return metric.WithAttributeSet(attribute.NewSet(append(kv, base...)...))
	}
	primary, shadow := trace.ContextWithSpanContext(ctx, o.Primary), trace.ContextWithSpanContext(ctx, o.Shadow)
	t.overhead.Record(primary, o.Overhead.Seconds(), metric.WithAttributeSet(
		attribute.NewSet(t.mirror, keyTarget.String(valid(o.Target)))))
	t.duration.Record(primary, o.PrimaryTook.Seconds(), with(keyRole.String("primary"), keyStatus.Int(o.PrimaryStatus)))
	if o.ShadowStatus != 0 {
		t.duration.Record(shadow, o.ShadowTook.Seconds(), with(keyRole.String("shadow"), keyStatus.Int(o.ShadowStatus)))
	}
	if first { // its first difference is an increase: see begin
		for _, result := range [...]string{"match", "diff", "noise"} {
			t.comparisons.Add(ctx, 0, with(keyResult.String(result)))
		}
	}
	if o.Result == "" {
		return
	}
	t.lag.Record(shadow, o.Lag.Seconds(), with())
	t.comparisons.Add(shadow, 1, with(keyResult.String(o.Result)))
	for d, n := range o.Differences {
		kv := []attribute.KeyValue{keyKind.String(valid(d.Kind))}
		if d.Class != "" {
			kv = append(kv, keyClass.String(valid(d.Class)))
		}
		t.differences.Add(shadow, int64(n), with(kv...))
	}
}

// SideEffect counts n side effects of that kind.
func (t *Telemetry) SideEffect(ctx context.Context, target, kind string, n int) {
	if t.provider == nil {
		return
	}
	t.sideEffects.Add(ctx, int64(n), t.alarm(target, keyKind.String(kind)))
}

// alarm are the attributes of what nobody wants to happen.
func (t *Telemetry) alarm(target string, kv attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(t.mirror, keyTarget.String(valid(target)), kv))
}

// Leak counts n findings of a detector in what was about to get out.
func (t *Telemetry) Leak(ctx context.Context, target, detector string, n int) {
	if t.provider == nil {
		return
	}
	t.leaks.Add(ctx, int64(n), t.alarm(target, keyDetector.String(detector)))
}

// routes are the routes that metrics tell apart. A path without a pattern is named by a
// template of itself, and any client can ask for any path.
type routes struct {
	mu     sync.Mutex
	seen   map[string]bool
	others bool // there are some beyond these
}

// Routes beyond maxRoutes, and those longer than maxRoute bytes, are counted together.
const (
	maxRoutes   = 500
	maxRoute    = 256
	otherRoutes = "_OTHER" // as the semantic conventions call what is not known
)

// name returns route, or otherRoutes, and whether it does so for the first time.
func (r *routes) name(route string) (name string, first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen[route] {
		return valid(route), false
	}
	if len(route) > maxRoute || len(r.seen) == maxRoutes {
		first = !r.others
		r.others = true
		return otherRoutes, first
	}
	r.seen[route] = true
	return valid(route), true
}

// valid makes s fit for an exporter: one attribute that is not UTF-8 makes OTLP refuse
// the batch and Prometheus the scrape.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
