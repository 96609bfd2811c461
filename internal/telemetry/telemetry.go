// Package telemetry records spans and metrics of a mirror through OpenTelemetry
// providers that the user gave it. Without a provider it does nothing.
package telemetry

import (
	"context"
	"net/http"
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
	keyMirror  = attribute.Key("shadow.mirror")
	keyTarget  = attribute.Key("shadow.target")
	keyRole    = attribute.Key("shadow.role") // primary, shadow
	keyOutcome = attribute.Key("shadow.outcome")
	keyReason  = attribute.Key("shadow.reason")
	keyResult  = attribute.Key("shadow.result") // match, diff, noise
	keyKind    = attribute.Key("shadow.kind")
	keyClass   = attribute.Key("shadow.class")
	keyID      = attribute.Key("shadow.id")
	keyRoute   = attribute.Key("http.route")
	keyMethod  = attribute.Key("http.request.method")
	keyStatus  = attribute.Key("http.response.status_code")
	keyError   = attribute.Key("error.type")
)

// Config is what a Telemetry is made of. Nil providers record nothing.
type Config struct {
	Mirror     string
	Target     string
	Tracer     trace.TracerProvider
	Meter      metric.MeterProvider
	Propagator propagation.TextMapPropagator
	// Read reads the mirror's ledger, when metrics are collected.
	Read func() Reading
}

// Reading is the ledger at one instant.
type Reading struct {
	Requests        []Count
	Queued, Running int
	Bytes           int64
	Unreported      uint64
	Enabled         bool
}

// Count is a number of requests under one outcome, or under an outcome "skipped" or
// "dropped" and its reason.
type Count struct {
	Outcome, Reason string
	N               uint64
}

// Telemetry records what a mirror does. The nil Telemetry records nothing.
type Telemetry struct {
	mirror     attribute.KeyValue
	tracer     trace.Tracer
	propagator propagation.TextMapPropagator

	metrics     bool
	duration    metric.Float64Histogram
	comparisons metric.Int64Counter
	differences metric.Int64Counter
	lag         metric.Float64Histogram
	observed    metric.Registration
}

// New returns the Telemetry of one mirror. It registers instruments, and starts nothing.
func New(c Config) (*Telemetry, error) {
	t := &Telemetry{mirror: keyMirror.String(c.Mirror), propagator: c.Propagator}
	if c.Tracer != nil {
		t.tracer = c.Tracer.Tracer(scope)
	}
	if c.Meter == nil {
		return t, nil
	}
	t.metrics = true
	return t, t.register(c)
}

// seconds are the bucket bounds that the HTTP semantic conventions advise.
var seconds = metric.WithExplicitBucketBoundaries(
	0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)

func (t *Telemetry) register(c Config) error {
	var first error
	must := func(err error) {
		if first == nil {
			first = err
		}
	}
	meter := c.Meter.Meter(scope)
	var err error
	t.duration, err = meter.Float64Histogram("shadow.request.duration", metric.WithUnit("s"), seconds,
		metric.WithDescription("Time from the start of a request to the last byte of its answer, on both sides."))
	must(err)
	t.lag, err = meter.Float64Histogram("shadow.comparison.lag", metric.WithUnit("s"), seconds,
		metric.WithDescription("Time from the end of the primary's answer to the result."))
	must(err)
	t.comparisons, err = meter.Int64Counter("shadow.comparisons", metric.WithUnit("{comparison}"),
		metric.WithDescription("Pairs of answers that were compared."))
	must(err)
	t.differences, err = meter.Int64Counter("shadow.differences", metric.WithUnit("{difference}"),
		metric.WithDescription("Differences found, noise left out."))
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
	if first != nil {
		return first
	}
	base := []attribute.KeyValue{t.mirror, keyTarget.String(c.Target)}
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
		return nil
	}, requests, running, queued, memory, unreported, up)
	return err
}

// Close stops the observation of the ledger.
func (t *Telemetry) Close() error {
	if t.observed == nil {
		return nil
	}
	return t.observed.Unregister()
}

// Traced tells whether spans are recorded.
func (t *Telemetry) Traced() bool { return t.tracer != nil }

// traceHeaders carry the trace context of the tracing systems in use.
var traceHeaders = [...]string{
	"Traceparent", "Tracestate", // W3C Trace Context
	"B3", "X-B3-Traceid", "X-B3-Spanid", "X-B3-Parentspanid", "X-B3-Sampled", "X-B3-Flags",
	"Uber-Trace-Id", "X-Amzn-Trace-Id", "X-Cloud-Trace-Context", "Sentry-Trace",
	"X-Datadog-Trace-Id", "X-Datadog-Parent-Id", "X-Datadog-Sampling-Priority", "X-Datadog-Tags",
}

// Strip removes the trace context of the primary from the header of a copy: what the
// shadow does is no part of that trace.
func (t *Telemetry) Strip(h http.Header) {
	for _, name := range traceHeaders {
		delete(h, name)
	}
	if t.propagator == nil {
		return
	}
	for _, name := range t.propagator.Fields() {
		if name = http.CanonicalHeaderKey(name); name != "Baggage" {
			delete(h, name)
		}
	}
}

// Copy identifies one copy to one target.
type Copy struct {
	Target, ID, Method, Route string
	Primary                   trace.SpanContext // of the request that was copied
}

// Start begins the span of a copy, a new root that is linked to the primary's, and
// writes it to the header of the copy. End it with End.
func (t *Telemetry) Start(ctx context.Context, c *Copy, h http.Header) (context.Context, trace.Span) {
	if t.tracer == nil {
		return ctx, nil
	}
	opts := []trace.SpanStartOption{
		trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(t.mirror, keyTarget.String(c.Target), keyID.String(c.ID),
			keyMethod.String(c.Method), keyRoute.String(c.Route), keyRole.String("shadow")),
	}
	if c.Primary.IsValid() {
		opts = append(opts, trace.WithLinks(trace.Link{SpanContext: c.Primary}))
	}
	ctx, span := t.tracer.Start(ctx, "shadow "+c.Target, opts...)
	if t.propagator != nil {
		t.propagator.Inject(ctx, propagation.HeaderCarrier(h))
	}
	return ctx, span
}

// End ends a span of Start with what came of the copy: a status, or the type of an error.
func End(span trace.Span, status int, errType string) {
	if span == nil {
		return
	}
	if status != 0 {
		span.SetAttributes(keyStatus.Int(status))
	}
	if errType != "" {
		span.SetAttributes(keyError.String(errType))
		span.SetStatus(codes.Error, errType)
	}
	span.End()
}

// Outcome is what became of one copy.
type Outcome struct {
	Target, Route           string
	Result                  string // match, diff, noise; empty where nothing was compared
	PrimaryStatus           int
	ShadowStatus            int // 0 where the shadow did not answer
	PrimaryTook, ShadowTook time.Duration
	Lag                     time.Duration
	Differences             map[Difference]int
}

// Difference is what differences are counted by.
type Difference struct{ Kind, Class string }

// Record counts o.
func (t *Telemetry) Record(ctx context.Context, o *Outcome) {
	if !t.metrics {
		return
	}
	base := []attribute.KeyValue{t.mirror, keyTarget.String(o.Target), keyRoute.String(o.Route)}
	with := func(kv ...attribute.KeyValue) metric.MeasurementOption {
		return metric.WithAttributeSet(attribute.NewSet(append(kv, base...)...))
	}
	t.duration.Record(ctx, o.PrimaryTook.Seconds(), with(keyRole.String("primary"), keyStatus.Int(o.PrimaryStatus)))
	if o.ShadowStatus != 0 {
		t.duration.Record(ctx, o.ShadowTook.Seconds(), with(keyRole.String("shadow"), keyStatus.Int(o.ShadowStatus)))
	}
	if o.Result == "" {
		return
	}
	t.lag.Record(ctx, o.Lag.Seconds(), with())
	t.comparisons.Add(ctx, 1, with(keyResult.String(o.Result)))
	for d, n := range o.Differences {
		t.differences.Add(ctx, int64(n), with(keyKind.String(d.Kind), keyClass.String(d.Class)))
	}
}
