package sdktest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/internal/telemetry"
)

// brokenTracing is a TracerProvider of which one method panics, or one of its parts.
type brokenTracing struct {
	tracenoop.TracerProvider
	at string
}

func (b brokenTracing) Tracer(string, ...trace.TracerOption) trace.Tracer {
	return brokenTracer{at: b.at}
}

type brokenTracer struct {
	tracenoop.Tracer
	at string
}

func (b brokenTracer) Start(ctx context.Context, _ string, _ ...trace.SpanStartOption) (context.Context, trace.Span) {
	if b.at == "Start" {
		panic("sesame")
	}
	return ctx, brokenSpan{at: b.at}
}

type brokenSpan struct {
	tracenoop.Span
	at string
}

func (s brokenSpan) SetAttributes(...attribute.KeyValue) {
	if s.at == "SetAttributes" {
		panic("sesame")
	}
}

func (s brokenSpan) End(...trace.SpanEndOption) {
	if s.at == "End" {
		panic("sesame")
	}
}

type brokenPropagator struct{ propagation.TraceContext }

func (brokenPropagator) Inject(context.Context, propagation.TextMapCarrier) { panic("sesame") }

// meterOf is the MeterProvider of one Meter.
type meterOf struct {
	metricnoop.MeterProvider
	meter metric.Meter
}

func (p meterOf) Meter(string, ...metric.MeterOption) metric.Meter { return p.meter }

// brokenMeter is a Meter whose histograms panic.
type brokenMeter struct{ metricnoop.Meter }

func (brokenMeter) Float64Histogram(string, ...metric.Float64HistogramOption) (metric.Float64Histogram, error) {
	return brokenHistogram{}, nil
}

type brokenHistogram struct{ metricnoop.Float64Histogram }

func (brokenHistogram) Record(context.Context, float64, ...metric.RecordOption) { panic("sesame") }

func TestAProviderThatPanicsBreaksNeitherPrimaryNorCopy(t *testing.T) {
	for name, opt := range map[string]shadow.Option{
		"Tracer.Start":       shadow.WithTracerProvider(brokenTracing{at: "Start"}),
		"Span.SetAttributes": shadow.WithTracerProvider(brokenTracing{at: "SetAttributes"}),
		"Span.End":           shadow.WithTracerProvider(brokenTracing{at: "End"}),
		"Propagator.Inject": shadow.Options(shadow.WithTracerProvider(tracenoop.NewTracerProvider()),
			shadow.WithPropagator(brokenPropagator{})),
		"Histogram.Record": shadow.WithMeterProvider(meterOf{meter: brokenMeter{}}),
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			candidate := &keep{h: says("yes")}
			mirror, err := shadow.New(shadow.InProcess("v2", candidate), opt,
				shadow.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
			require.NoError(t, err)
			status, text := ask(t, http.DefaultClient, "GET", serve(t, mirror.Handler(says("yes"))).URL, "", inbound)
			require.NoError(t, mirror.Shutdown(t.Context()))

			assert.Equal(t, http.StatusOK, status)
			assert.Equal(t, "yes", text)
			assert.EqualValues(t, 1, mirror.Stats().Match, "the fault of a provider is none of the candidate's")
			assert.NotContains(t, candidate.only(t), "Traceparent")
			assert.NotContains(t, log.String(), "sesame")
		})
	}
}

func TestAPanicOfATracerIsToldOf(t *testing.T) {
	var told []string
	tel, err := telemetry.New(telemetry.Config{Tracer: brokenTracing{at: "Start"},
		Panicked: func(part string, v any) { told = append(told, fmt.Sprint(part, ": ", v)) }})
	require.NoError(t, err)
	ctx, span := tel.Start(t.Context(), &telemetry.Copy{Target: "v2"}, http.Header{})
	assert.Equal(t, t.Context(), ctx)
	assert.Nil(t, span)
	assert.Equal(t, []string{"TracerProvider: sesame"}, told)
}

// faultyMeter is a Meter that returns errors.
type faultyMeter struct {
	metricnoop.Meter
	register error
	create   map[string]error // by name of the instrument
}

func (f faultyMeter) Int64Counter(name string, _ ...metric.Int64CounterOption) (metric.Int64Counter, error) {
	return metricnoop.Int64Counter{}, f.create[name]
}

func (f faultyMeter) RegisterCallback(metric.Callback, ...metric.Observable) (metric.Registration, error) {
	return nil, f.register
}

func TestErrorsOfAMeterProviderAreErrorsOfNew(t *testing.T) {
	first, second := errors.New("no such view"), errors.New("too many instruments")
	for name, meter := range map[string]faultyMeter{
		"instruments": {create: map[string]error{"shadow.comparisons": first, "shadow.differences": second}},
		"callback":    {register: errors.Join(first, second)},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := shadow.New(shadow.InProcess("v2", says("yes")), shadow.WithMeterProvider(meterOf{meter: meter}))
			require.ErrorIs(t, err, first)
			require.ErrorIs(t, err, second)
			assert.ErrorContains(t, err, "shadow: MeterProvider: ")
		})
	}
}

// A provider may have been shut down before the mirror.
func TestProvidersThatAreShutDownAreNoFault(t *testing.T) {
	r := newRig(t, shadow.InProcess("v2", says("yes")))
	require.NoError(t, r.tracer.Shutdown(t.Context()))
	h := r.mirror.Handler(says("yes"))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	assert.Equal(t, "yes", w.Body.String())
	r.drain(t)
	assert.EqualValues(t, 1, r.mirror.Stats().Match)
}
