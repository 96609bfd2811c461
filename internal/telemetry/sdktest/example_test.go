package sdktest

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	promexport "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/middleware"
)

// What the manual shows is code of this file, word for word: TestTheManualShowsRealCode.

func mirrored(api, candidate http.Handler, exporter sdktrace.SpanExporter) (http.Handler, func(context.Context) error, error) {
	tracer := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter))
	scrapes, err := promexport.New() // go.opentelemetry.io/otel/exporters/prometheus
	if err != nil {
		return nil, nil, err
	}
	meter := sdkmetric.NewMeterProvider(sdkmetric.WithReader(scrapes))

	mirror, err := shadow.New(shadow.InProcess("v2", candidate),
		shadow.WithName("orders"),
		shadow.WithTracerProvider(tracer),
		shadow.WithMeterProvider(meter))
	if err != nil {
		return nil, nil, err
	}
	// The mirror goes inside otelhttp: the span of the primary is in the request's context.
	handler := otelhttp.NewHandler(mirror.Handler(api), "orders",
		otelhttp.WithTracerProvider(tracer),
		otelhttp.WithPropagators(propagation.TraceContext{}))

	stop := func(ctx context.Context) error { // the mirror first: it has something to say
		return errors.Join(mirror.Shutdown(ctx), tracer.Shutdown(ctx), meter.Shutdown(ctx))
	}
	return handler, stop, nil
}

// asPrimary keeps the spans of a shadow where those of its primary are kept.
type asPrimary struct{ sdktrace.Sampler }

func (s asPrimary) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	if !strings.HasPrefix(p.Name, "shadow ") || len(p.Links) != 1 {
		return s.Sampler.ShouldSample(p)
	}
	if p.Links[0].SpanContext.IsSampled() {
		return sdktrace.AlwaysSample().ShouldSample(p)
	}
	return sdktrace.NeverSample().ShouldSample(p)
}

func sampled() sdktrace.TracerProviderOption {
	return sdktrace.WithSampler(sdktrace.ParentBased(asPrimary{sdktrace.TraceIDRatioBased(0.01)}))
}

func unmeasured(candidate http.Handler, opts ...otelhttp.Option) http.Handler {
	return otelhttp.NewHandler(candidate, "orders", append(opts,
		otelhttp.WithFilter(func(r *http.Request) bool { return !shadow.IsShadow(r.Context()) }))...)
}

func labelled(candidate http.Handler, opts ...otelhttp.Option) http.Handler {
	return otelhttp.NewHandler(candidate, "orders", append(opts,
		otelhttp.WithMetricAttributesFn(func(r *http.Request) []attribute.KeyValue {
			return []attribute.KeyValue{attribute.Bool("shadow", shadow.IsShadow(r.Context()))}
		}))...)
}

func TestTheSetUpOfTheManualRecordsBothSides(t *testing.T) {
	registry := prometheus.NewRegistry()
	before := prometheus.DefaultRegisterer
	prometheus.DefaultRegisterer = registry
	t.Cleanup(func() { prometheus.DefaultRegisterer = before })
	spans := &kept{InMemoryExporter: tracetest.NewInMemoryExporter()}

	handler, stop, err := mirrored(orders(), orders(), spans)
	require.NoError(t, err)
	ask(t, http.DefaultClient, "GET", serve(t, handler).URL+"/orders/7", "", nil)
	require.NoError(t, stop(t.Context()))
	require.Len(t, spans.all, 2)
	names := []string{spans.all[0].Name, spans.all[1].Name}
	assert.ElementsMatch(t, []string{"GET /orders/{id}", "shadow v2"}, names)
}

// kept keeps what an InMemoryExporter forgets when it is shut down.
type kept struct {
	*tracetest.InMemoryExporter
	all tracetest.SpanStubs
}

func (k *kept) Shutdown(ctx context.Context) error {
	k.all = k.GetSpans()
	return k.InMemoryExporter.Shutdown(ctx)
}

func TestTheSamplerOfTheManualKeepsShadowAndPrimaryTogether(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	tracer := sdktrace.NewTracerProvider(sampled(), sdktrace.WithSpanProcessor(spans))
	mirror, err := shadow.New(shadow.InProcess("v2", orders()), shadow.WithTracerProvider(tracer))
	require.NoError(t, err)
	service := serve(t, otelhttp.NewHandler(mirror.Handler(orders()), "orders",
		otelhttp.WithTracerProvider(tracer), otelhttp.WithPropagators(propagation.TraceContext{})))
	for range 10 {
		for _, flag := range []string{"00", "01"} {
			ask(t, http.DefaultClient, "GET", service.URL+"/orders/7", "", http.Header{
				"Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-" + flag}})
		}
	}
	require.NoError(t, mirror.Shutdown(t.Context()))

	primaries, shadows := map[trace.SpanID]bool{}, 0
	for _, span := range spans.Ended() {
		if span.Parent().IsValid() {
			primaries[span.SpanContext().SpanID()] = true
		}
	}
	for _, span := range spans.Ended() {
		if !span.Parent().IsValid() {
			shadows++
			assert.True(t, primaries[span.Links()[0].SpanContext.SpanID()])
		}
	}
	assert.Len(t, primaries, 10)
	assert.Equal(t, 10, shadows)
}

func everybody(*http.Request) bool { return true }

func TestTheManualKeepsShadowLoadOutOfHTTPMetrics(t *testing.T) {
	const requests = "http.server.request.duration"
	for name, c := range map[string]struct {
		instrumented func(candidate http.Handler, opts ...otelhttp.Option) http.Handler
		shadows      int // requests that are recorded as the shadow's
	}{
		"unmeasured": {unmeasured, 0},
		"labelled":   {labelled, 3},
		"unmeasured behind Detect": {func(h http.Handler, opts ...otelhttp.Option) http.Handler {
			return middleware.Detect(everybody)(unmeasured(h, opts...))
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			reader := sdkmetric.NewManualReader()
			meter := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
			candidate := c.instrumented(orders(), otelhttp.WithMeterProvider(meter))
			target := shadow.InProcess("v2", candidate)
			if strings.HasSuffix(name, "Detect") {
				target = remote(t, "v2", candidate)
			}
			mirror, err := shadow.New(target)
			require.NoError(t, err)
			service := serve(t, labelled(mirror.Handler(orders()), otelhttp.WithMeterProvider(meter)))
			for range 3 {
				ask(t, http.DefaultClient, "GET", service.URL+"/orders/7", "", nil)
			}
			require.NoError(t, mirror.Shutdown(t.Context()))
			m, err := read(t.Context(), reader)
			require.NoError(t, err)
			assert.Equal(t, c.shadows, m.value(t, requests, attribute.Bool("shadow", true)))
			assert.Equal(t, c.shadows+3, m.value(t, requests))
		})
	}
}
