package sdktest

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"github.com/goshadow/shadow"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is the SDK around one mirror.
type rig struct {
	spans  *tracetest.SpanRecorder
	tracer *sdktrace.TracerProvider
	meter  *sdkmetric.MeterProvider
	mirror *shadow.Mirror
	reader *sdkmetric.ManualReader // nil in a rig with another reader

	whenDrained func(context.Context) error // every copy is settled, the instruments are still there

	mu      sync.Mutex
	results []*shadow.Result
	drained metrics      // of the moment when the mirror had drained
	stats   shadow.Stats // of the same
}

// newRig returns a mirror to target that records both spans and metrics.
func newRig(t *testing.T, target shadow.Target, opts ...shadow.Option) *rig {
	reader := sdkmetric.NewManualReader()
	r := newRigOn(t, reader, target, opts...)
	r.reader = reader
	r.whenDrained = func(ctx context.Context) (err error) {
		r.stats = r.mirror.Stats()
		r.drained, err = read(ctx, reader)
		return err
	}
	return r
}

// newRigOn is newRig with another reader of the metrics.
func newRigOn(t *testing.T, reader sdkmetric.Reader, target shadow.Target, opts ...shadow.Option) *rig {
	r := &rig{spans: tracetest.NewSpanRecorder()}
	r.tracer = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(r.spans))
	r.meter = sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	opts = append(opts, shadow.WithTracerProvider(r.tracer), shadow.WithMeterProvider(r.meter),
		shadow.WithReporter(r))
	target.Isolated = true // what it writes reaches nobody
	mirror, err := shadow.New(target, opts...)
	require.NoError(t, err)
	r.mirror = mirror
	t.Cleanup(func() { assert.NoError(t, mirror.Close()) })
	return r
}

// Report makes rig a Reporter.
func (r *rig) Report(_ context.Context, res *shadow.Result) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.results = append(r.results, res)
	return nil
}

// Flush is called by Mirror.Shutdown.
func (r *rig) Flush(ctx context.Context) error { return r.whenDrained(ctx) }

// drain shuts the mirror down.
func (r *rig) drain(t *testing.T) {
	t.Helper()
	require.NoError(t, r.mirror.Shutdown(t.Context()))
}

// outcomes are those of the results so far.
func (r *rig) outcomes() (list []shadow.Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, res := range r.results {
		list = append(list, res.Outcome)
	}
	return list
}

// span returns the one ended span of that name.
func (r *rig) span(t *testing.T, name string) sdktrace.ReadOnlySpan {
	t.Helper()
	var found []sdktrace.ReadOnlySpan
	for _, span := range r.spans.Ended() {
		if span.Name() == name {
			found = append(found, span)
		}
	}
	require.Lenf(t, found, 1, "spans named %q", name)
	return found[0]
}

// trace returns the names of the ended spans in a trace.
func (r *rig) trace(id trace.TraceID) (names []string) {
	for _, span := range r.spans.Ended() {
		if span.SpanContext().TraceID() == id {
			names = append(names, span.Name())
		}
	}
	return names
}

// metrics are what a collection found, by name.
type metrics map[string]metricdata.Metrics

func read(ctx context.Context, reader sdkmetric.Reader) (metrics, error) {
	var rm metricdata.ResourceMetrics
	err := reader.Collect(ctx, &rm)
	return byName(&rm), err
}

func byName(rm *metricdata.ResourceMetrics) metrics {
	all := metrics{}
	for _, scope := range rm.ScopeMetrics {
		for _, m := range scope.Metrics {
			all[m.Name] = m
		}
	}
	return all
}

func (r *rig) collect(t *testing.T) metrics {
	t.Helper()
	all, err := read(t.Context(), r.reader)
	require.NoError(t, err)
	return all
}

// value is the sum, or for a histogram the count, over the points of an instrument
// that have all of attrs.
func (m metrics) value(t *testing.T, name string, attrs ...attribute.KeyValue) (sum int) {
	t.Helper()
	for _, p := range points(t, m[name]) {
		if has(p.attrs, attrs) {
			sum += int(p.value)
		}
	}
	return sum
}

// count is the number of points of an instrument that have all of attrs.
func (m metrics) count(t *testing.T, name string, attrs ...attribute.KeyValue) (n int) {
	t.Helper()
	for _, p := range points(t, m[name]) {
		if has(p.attrs, attrs) {
			n++
		}
	}
	return n
}

// point is a data point of any instrument; of a histogram value is the count.
type point struct {
	attrs attribute.Set
	value float64
}

func points(t *testing.T, m metricdata.Metrics) (list []point) {
	t.Helper()
	switch data := m.Data.(type) {
	case nil:
	case metricdata.Sum[int64]:
		list = values(data.DataPoints)
	case metricdata.Sum[float64]:
		list = values(data.DataPoints)
	case metricdata.Gauge[int64]:
		list = values(data.DataPoints)
	case metricdata.Gauge[float64]:
		list = values(data.DataPoints)
	case metricdata.Histogram[float64]:
		for _, p := range data.DataPoints {
			list = append(list, point{p.Attributes, float64(p.Count)})
		}
	default:
		t.Fatalf("%s: unexpected data %T", m.Name, data)
	}
	return list
}

func values[N int64 | float64](data []metricdata.DataPoint[N]) (list []point) {
	for _, p := range data {
		list = append(list, point{p.Attributes, float64(p.Value)})
	}
	return list
}

func has(set attribute.Set, attrs []attribute.KeyValue) bool {
	for _, kv := range attrs {
		if v, ok := set.Value(kv.Key); !ok || v != kv.Value {
			return false
		}
	}
	return true
}

// keep wraps h and keeps the headers of the requests it is asked.
type keep struct {
	h http.Handler

	mu      sync.Mutex
	headers []http.Header
}

func (k *keep) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	k.headers = append(k.headers, r.Header.Clone())
	k.mu.Unlock()
	k.h.ServeHTTP(w, r)
}

// only returns the headers of the one request.
func (k *keep) only(t *testing.T) http.Header {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	require.Len(t, k.headers, 1)
	return k.headers[0]
}

func serve(t *testing.T, h http.Handler) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // panics of handlers
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// remote returns a target on the network that is served by h.
func remote(t *testing.T, name string, h http.Handler) shadow.Target {
	return shadow.Remote(name, serve(t, h).URL)
}

// ask sends a request and returns the answer's status and body.
func ask(t *testing.T, client *http.Client, method, url, body string, header http.Header) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	if body == "" {
		req.Body, req.ContentLength = http.NoBody, 0
	}
	req.Header = header.Clone()
	if req.Header == nil {
		req.Header = http.Header{}
	}
	resp, err := client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(text)
}

func says(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) })
}
