package sdktest

import (
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/trace"

	"github.com/goshadow/shadow"
)

// exemplars are the spans that the exemplars of an instrument lead to, of the points that
// have all of attrs.
func (m metrics) exemplars(t *testing.T, name string, attrs ...attribute.KeyValue) (list []trace.SpanID) {
	t.Helper()
	switch data := m[name].Data.(type) {
	case metricdata.Sum[int64]:
		for _, p := range data.DataPoints {
			list = append(list, spans(p.Attributes, p.Exemplars, attrs)...)
		}
	case metricdata.Histogram[float64]:
		for _, p := range data.DataPoints {
			list = append(list, spans(p.Attributes, p.Exemplars, attrs)...)
		}
	default:
		t.Fatalf("%s: unexpected data %T", name, data)
	}
	return list
}

func spans[N int64 | float64](set attribute.Set, exemplars []metricdata.Exemplar[N], attrs []attribute.KeyValue) (list []trace.SpanID) {
	for _, e := range exemplars {
		if has(set, attrs) {
			list = append(list, trace.SpanID(e.SpanID))
		}
	}
	return list
}

func TestAnExemplarOfADifferenceLeadsToBothTraces(t *testing.T) {
	for name, target := range map[string]func(*testing.T) shadow.Target{
		"in process": func(*testing.T) shadow.Target { return shadow.InProcess("v2", says("no")) },
		"remote":     func(t *testing.T) shadow.Target { return remote(t, "v2", says("no")) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, target(t))
			tracer := r.tracer.Tracer("test")
			mirrored := r.mirror.Handler(says("yes"))
			ask(t, http.DefaultClient, "GET", serve(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
				ctx, span := tracer.Start(q.Context(), "primary")
				defer span.End()
				mirrored.ServeHTTP(w, q.WithContext(ctx))
			})).URL, "", nil)
			r.drain(t)
			require.Equal(t, []shadow.Outcome{shadow.Mismatch}, r.outcomes())

			primary, copied := r.span(t, "primary").SpanContext(), r.span(t, "shadow v2")
			require.Len(t, copied.Links(), 1)
			require.Equal(t, primary.TraceID(), copied.Links()[0].SpanContext.TraceID(), "from the copy's span to the primary's")
			ofPrimary, ofShadow := []trace.SpanID{primary.SpanID()}, []trace.SpanID{copied.SpanContext().SpanID()}
			for name, want := range map[string][]trace.SpanID{
				"shadow.differences": ofShadow, "shadow.comparisons": ofShadow, "shadow.comparison.lag": ofShadow,
				"shadow.primary.overhead.duration": ofPrimary,
			} {
				assert.Equal(t, want, slices.Compact(r.drained.exemplars(t, name)), name)
			}
			for role, want := range map[string][]trace.SpanID{"primary": ofPrimary, "shadow": ofShadow} {
				assert.Equal(t, want, r.drained.exemplars(t, "shadow.request.duration", roleKey.String(role)), role)
			}
		})
	}
}

// A trace that nobody keeps is no place to go to.
func TestASpanThatIsNotSampledIsNoExemplar(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	meter := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	mirror, err := shadow.New(shadow.InProcess("v2", says("no")), shadow.WithMeterProvider(meter))
	require.NoError(t, err)
	ask(t, http.DefaultClient, "GET", serve(t, mirror.Handler(says("yes"))).URL, "", nil)
	require.NoError(t, mirror.Shutdown(t.Context()))
	all, err := read(t.Context(), reader)
	require.NoError(t, err)
	require.Equal(t, 1, all.value(t, "shadow.comparisons"))
	for _, name := range []string{"shadow.differences", "shadow.request.duration"} {
		assert.Empty(t, all.exemplars(t, name), name)
	}
}
