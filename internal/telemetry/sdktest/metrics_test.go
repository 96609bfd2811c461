package sdktest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/goshadow/shadow"
)

// Names of attributes.
const (
	mirrorKey   = attribute.Key("shadow.mirror")
	targetKey   = attribute.Key("shadow.target")
	outcomeKey  = attribute.Key("shadow.outcome")
	reasonKey   = attribute.Key("shadow.reason")
	roleKey     = attribute.Key("shadow.role")
	resultKey   = attribute.Key("shadow.result")
	kindKey     = attribute.Key("shadow.kind")
	classKey    = attribute.Key("shadow.class")
	limitKey    = attribute.Key("shadow.limit")
	routeKey    = attribute.Key("http.route")
	statusKey   = attribute.Key("http.response.status_code")
	detectorKey = attribute.Key("shadow.detector")
)

// instrument is what a manual says of one.
type instrument struct {
	kind, unit string
	attributes []attribute.Key // sorted; those that are not on every point included
}

// instruments are all there are. Every one also has mirrorKey and targetKey.
var instruments = map[string]instrument{
	"shadow.requests":         {"counter", "{request}", []attribute.Key{outcomeKey, reasonKey}},
	"shadow.request.duration": {"histogram", "s", []attribute.Key{statusKey, routeKey, roleKey}},
	"shadow.comparisons":      {"counter", "{comparison}", []attribute.Key{routeKey, resultKey}},
	"shadow.differences":      {"counter", "{difference}", []attribute.Key{routeKey, classKey, kindKey}},
	"shadow.comparison.lag":   {"histogram", "s", []attribute.Key{routeKey}},
	"shadow.leaks":            {"counter", "{finding}", []attribute.Key{detectorKey}},
	"shadow.side_effects":     {"counter", "{call}", []attribute.Key{kindKey}},
	"shadow.inflight":         {"updowncounter", "{request}", nil},
	"shadow.queue.size":       {"updowncounter", "{request}", nil},
	"shadow.memory.reserved":  {"updowncounter", "By", nil},
	"shadow.unreported":       {"counter", "{result}", nil},
	"shadow.up":               {"gauge", "1", nil},

	"shadow.primary.overhead.duration": {"histogram", "s", nil},
	"shadow.concurrency.limit":         {"updowncounter", "{request}", nil},
	"shadow.breaker.state":             {"gauge", "1", nil},
	"shadow.usage.requests":            {"counter", "{request}", nil},
	"shadow.usage.io":                  {"counter", "By", nil},
	"shadow.usage.cpu.time":            {"counter", "s", nil},
	"shadow.budget.utilization":        {"gauge", "1", []attribute.Key{limitKey}},
}

// kind names the type of an instrument.
func kind(m metricdata.Metrics) string {
	switch data := m.Data.(type) {
	case metricdata.Sum[int64]:
		if data.IsMonotonic {
			return "counter"
		}
		return "updowncounter"
	case metricdata.Sum[float64]:
		if data.IsMonotonic {
			return "counter"
		}
	case metricdata.Gauge[int64], metricdata.Gauge[float64]:
		return "gauge"
	case metricdata.Histogram[float64]:
		return "histogram"
	}
	return fmt.Sprintf("%T", m.Data)
}

// traffic sends through r's mirror to orders requests of every sort: see services.
func (r *rig) traffic(t *testing.T, primary http.Handler) {
	service := serve(t, r.mirror.Handler(primary))
	for _, path := range []string{"/same/1", "/same/2", "/same/3", "/differs/1", "/differs/2", "/fails/1", "/broken/1", "/huge/1", "/refused/1"} {
		ask(t, http.DefaultClient, "GET", service.URL+path, "", nil)
	}
	ask(t, http.DefaultClient, "POST", service.URL+"/same/1", "x", nil)
	ask(t, http.DefaultClient, "GET", service.URL+"/same/1", strings.Repeat("x", 2000), nil)
	ask(t, http.DefaultClient, "GET", service.URL+"/same/1", "", http.Header{"Shadow-Request": {"1"}})
	r.mirror.SetEnabled(false)
	ask(t, http.DefaultClient, "GET", service.URL+"/same/1", "", nil)
	r.mirror.SetEnabled(true)
}

// watched has a mirror look at its results for e-mail addresses.
var watched = shadow.WithLeakCheck(shadow.LeakCheckOptions{Rate: 1, Scope: shadow.LeakCheckRecords,
	Kinds: []shadow.DetectorKind{shadow.DetectEmail, shadow.DetectCard}})

// leak sends a request whose result r, if it is watched, stops: for two addresses and a card.
func (r *rig) leak(t *testing.T, primary http.Handler) {
	service := serve(t, r.mirror.Handler(primary))
	ask(t, http.DefaultClient, "GET", service.URL+"/same/1?a=ann%40example.com&b=bob%40example.com&c=4111111111111111", "", nil)
}

func TestLeaksAreCountedByDetector(t *testing.T) {
	primary, candidate := services()
	r := newRig(t, shadow.InProcess("v2", candidate), watched)
	r.leak(t, primary)
	r.drain(t)
	assert.EqualValues(t, 1, r.stats.Unreported)
	assert.Equal(t, 3, r.drained.value(t, "shadow.leaks"))
	assert.Equal(t, 2, r.drained.value(t, "shadow.leaks", detectorKey.String("email")))
	assert.Equal(t, 1, r.drained.value(t, "shadow.leaks", detectorKey.String("card")))
}

func TestSideEffectsAreCountedByKind(t *testing.T) {
	kinds := []string{"http", "sql", "http", "a secret"}
	writes := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Shadow-Side-Effect"] = kinds
		w.WriteHeader(http.StatusForbidden)
	})
	r := newRig(t, remote(t, "v2", writes), shadow.WithControl(shadow.InProcess("v1", writes)))
	ask(t, http.DefaultClient, "GET", serve(t, r.mirror.Handler(says("yes"))).URL, "", nil)
	r.drain(t)
	for _, target := range []string{"v2", "v1"} {
		at := targetKey.String(target)
		assert.Equal(t, 2, r.drained.value(t, "shadow.side_effects", at, kindKey.String("http")), target)
		assert.Equal(t, 1, r.drained.value(t, "shadow.side_effects", at, kindKey.String("sql")), target)
		assert.Equal(t, 1, r.drained.value(t, "shadow.side_effects", at, kindKey.String("_OTHER")), target)
	}
}

// Prometheus sees no increase in a series that begins with its first event.
func TestWhatNobodyWantsBeginsAtZero(t *testing.T) {
	r := newRig(t, shadow.InProcess("v2", says("yes")), shadow.WithControl(shadow.InProcess("v1", says("yes"))), watched)
	m := r.collect(t)
	for _, target := range []string{"v2", "v1"} {
		at := targetKey.String(target)
		for name, kv := range map[string][]attribute.KeyValue{
			"shadow.leaks":        {detectorKey.String("email"), detectorKey.String("card")},
			"shadow.side_effects": {kindKey.String("http"), kindKey.String("sql")},
		} {
			for _, one := range kv {
				assert.Equal(t, 1, m.count(t, name, at, one), "%s %s %v", name, target, one)
			}
			assert.Zero(t, m.value(t, name))
		}
	}
	for _, outcome := range []string{"match", "mismatch", "failed", "uncompared"} {
		assert.Equal(t, 1, m.count(t, "shadow.requests", outcomeKey.String(outcome)), outcome)
	}

	ask(t, http.DefaultClient, "GET", serve(t, r.mirror.Handler(says("yes"))).URL, "", nil)
	r.drain(t)
	for result, n := range map[string]int{"match": 1, "diff": 0, "noise": 0} {
		assert.Equal(t, 1, r.drained.count(t, "shadow.comparisons", resultKey.String(result)), result)
		assert.Equal(t, n, r.drained.value(t, "shadow.comparisons", resultKey.String(result)), result)
	}
}

// services are a primary and a candidate for traffic.
func services() (primary, candidate http.Handler) {
	side := func(differs, letter string, broken int, fails func()) http.Handler {
		mux := http.NewServeMux()
		json := func(text string) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				w.Header().Set("Content-Type", "application/json")
				io.WriteString(w, text)
			}
		}
		mux.Handle("/same/{id}", json(`{"total":1}`))
		mux.Handle("GET /differs/{id}", json(differs))
		mux.Handle("GET /huge/{id}", json(`{"a":"`+strings.Repeat(letter, 2000)+`"}`))
		mux.HandleFunc("GET /fails/{id}", func(http.ResponseWriter, *http.Request) { fails() })
		mux.HandleFunc("GET /broken/{id}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(broken) })
		mux.HandleFunc("GET /refused/{id}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
		return mux
	}
	return side(`{"a":1,"b":"late","c":1}`, "x", 200, func() {}),
		side(`{"a":2,"b":"LATE","c":2}`, "y", 500, func() { panic("no") })
}

// budget is more than the traffic uses.
var budget = shadow.WithBudget(shadow.Budget{Window: time.Hour, Requests: 16, Bytes: 1 << 20})

func TestEveryMetricIsThereAndWellNamed(t *testing.T) {
	primary, candidate := services()
	r := newRig(t, shadow.InProcess("v2", candidate), shadow.WithName("orders"), shadow.WithMaxBody(1000), budget, watched)
	r.traffic(t, primary)
	r.leak(t, primary)
	r.drain(t)

	name := regexp.MustCompile(`^[a-z]+(\.[a-z]+(_[a-z]+)*)+$`)
	assert.Equal(t, slices.Sorted(maps.Keys(instruments)), slices.Sorted(maps.Keys(r.drained)))
	for _, m := range r.drained {
		want := instruments[m.Name]
		assert.Regexp(t, name, m.Name)
		assert.NotContains(t, m.Name, "total")
		assert.Equal(t, want.kind, kind(m), m.Name)
		assert.Equal(t, want.unit, m.Unit, m.Name)
		assert.Regexp(t, `^[A-Z1].*\.$`, m.Description, m.Name)

		seen := map[attribute.Key]bool{}
		for _, p := range points(t, m) {
			assert.True(t, has(p.attrs, []attribute.KeyValue{mirrorKey.String("orders"), targetKey.String("v2")}), m.Name)
			for _, kv := range p.attrs.ToSlice() {
				assert.Regexp(t, name, string(kv.Key))
				seen[kv.Key] = true
			}
		}
		delete(seen, mirrorKey)
		delete(seen, targetKey)
		assert.Equal(t, append([]attribute.Key{}, want.attributes...), append([]attribute.Key{}, slices.Sorted(maps.Keys(seen))...), m.Name)
	}
}

func TestTheMetricsSumUpToStats(t *testing.T) {
	primary, candidate := services()
	failing := errors.New("the disk is full")
	r := newRig(t, shadow.InProcess("v2", candidate), shadow.WithMaxBody(1000), budget, shadow.WithReporter(
		shadow.ReporterFunc(func(_ context.Context, res *shadow.Result) error {
			if res.Outcome == shadow.Mismatch {
				return failing
			}
			return nil
		})))
	r.traffic(t, primary)
	r.drain(t)

	s, m := r.stats, r.drained
	require.Equal(t, shadow.Stats{
		Requests: 13, Match: 3, Mismatch: 4, Failed: 1, Unreported: 4,
		Skipped: map[shadow.Reason]uint64{shadow.ReasonMethod: 1, shadow.ReasonLoop: 1,
			shadow.ReasonDisabled: 1, shadow.ReasonPrimaryRefused: 1},
		Dropped:     map[shadow.Reason]uint64{shadow.ReasonBodyTooLarge: 1},
		Concurrency: s.Concurrency, Overhead: s.Overhead, Targets: s.Targets, Budget: s.Budget,
	}, s, "the traffic is not what this test is about")

	assert.EqualValues(t, s.Requests, m.value(t, "shadow.requests"))
	for outcome, n := range map[shadow.Outcome]uint64{shadow.Match: s.Match, shadow.Mismatch: s.Mismatch,
		shadow.Failed: s.Failed, shadow.Uncompared: s.Uncompared} {
		assert.EqualValues(t, n, m.value(t, "shadow.requests", outcomeKey.String(string(outcome))), outcome)
	}
	for outcome, reasons := range map[string]map[shadow.Reason]uint64{"skipped": s.Skipped, "dropped": s.Dropped} {
		for reason, n := range reasons {
			assert.EqualValues(t, n, m.value(t, "shadow.requests", outcomeKey.String(outcome), reasonKey.String(string(reason))), reason)
		}
	}
	assert.EqualValues(t, s.Unreported, m.value(t, "shadow.unreported"))
	assert.EqualValues(t, s.Match+s.Mismatch, m.value(t, "shadow.comparisons"))
	assert.EqualValues(t, s.Match, m.value(t, "shadow.comparisons", resultKey.String("match")))
	assert.EqualValues(t, s.Mismatch, m.value(t, "shadow.comparisons", resultKey.String("diff")))
	assert.EqualValues(t, s.Match+s.Mismatch, m.value(t, "shadow.comparison.lag"))
	assert.Zero(t, m.value(t, "shadow.inflight"))
	assert.Zero(t, m.value(t, "shadow.queue.size"))
	assert.Zero(t, m.value(t, "shadow.memory.reserved"))

	usage := s.Targets["v2"].Usage
	assert.EqualValues(t, s.Match+s.Mismatch+s.Failed, usage.Requests)
	assert.EqualValues(t, usage.Requests, m.value(t, "shadow.usage.requests"))
	assert.EqualValues(t, usage.Bytes, m.value(t, "shadow.usage.io"))
	assert.Positive(t, usage.Bytes)
	assert.Zero(t, m.value(t, "shadow.breaker.state"))
	assert.EqualValues(t, s.Concurrency, m.value(t, "shadow.concurrency.limit"))
	assert.EqualValues(t, usage.Requests, m.value(t, "shadow.primary.overhead.duration"))

	// Each result has a time of the primary; those with an answer one of the shadow.
	results := int(s.Match + s.Mismatch + s.Failed + s.Uncompared)
	assert.Equal(t, results, m.value(t, "shadow.request.duration", roleKey.String("primary")))
	assert.Equal(t, results-1, m.value(t, "shadow.request.duration", roleKey.String("shadow")))
	assert.Equal(t, 1, m.value(t, "shadow.request.duration", roleKey.String("shadow"), statusKey.Int(500)))
	assert.Zero(t, m.value(t, "shadow.request.duration", roleKey.String("primary"), statusKey.Int(500)))
	assert.Equal(t, 3, m.value(t, "shadow.request.duration", roleKey.String("primary"), routeKey.String("GET /same/{id}")))

	differs := routeKey.String("GET /differs/{id}")
	assert.Equal(t, 2, m.value(t, "shadow.comparisons", differs))
	assert.Equal(t, 6, m.value(t, "shadow.differences", differs, kindKey.String("changed")))
	assert.Equal(t, 2, m.value(t, "shadow.differences", differs, classKey.String("case")))
	assert.Equal(t, 8, m.value(t, "shadow.differences"), "one more for the status, one for the huge body")
	total := 0
	for _, res := range r.results {
		total += len(res.Diffs)
	}
	assert.Equal(t, total, m.value(t, "shadow.differences"))
}

func TestWhatIsUnderWayIsObserved(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	r := newRig(t, shadow.InProcess("v2", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		started <- struct{}{}
		<-release
	})), shadow.WithConcurrency(1), shadow.WithQueue(3, 1<<20))
	service := serve(t, r.mirror.Handler(says(strings.Repeat("x", 3000))))
	ask(t, http.DefaultClient, "GET", service.URL, "", nil)
	<-started
	for range 5 {
		ask(t, http.DefaultClient, "GET", service.URL, "", nil)
	}

	m, s := r.collect(t), r.mirror.Stats()
	assert.Equal(t, 1, m.value(t, "shadow.inflight"))
	assert.Equal(t, 3, m.value(t, "shadow.queue.size"))
	assert.Equal(t, 2, m.value(t, "shadow.requests", reasonKey.String("queue-full")))
	assert.GreaterOrEqual(t, m.value(t, "shadow.memory.reserved"), 4*3000)
	assert.EqualValues(t, s.QueuedBytes, m.value(t, "shadow.memory.reserved"))
	assert.EqualValues(t, s.Requests, m.value(t, "shadow.requests")+m.value(t, "shadow.inflight")+m.value(t, "shadow.queue.size"))

	assert.Equal(t, 1, m.value(t, "shadow.up"))
	r.mirror.SetEnabled(false)
	m = r.collect(t)
	assert.Len(t, points(t, m["shadow.up"]), 1)
	assert.Zero(t, m.value(t, "shadow.up"))

	go func() {
		for range 3 {
			<-started
		}
	}()
	close(release)
	r.drain(t)
}

func TestDurationsAndLagAreSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lasting := func(first, last time.Duration) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				time.Sleep(first)
				io.WriteString(w, "a")
				time.Sleep(last)
				io.WriteString(w, "b")
			})
		}
		r := newRig(t, shadow.InProcess("v2", lasting(20*time.Millisecond, 200*time.Millisecond)))
		h := r.mirror.Handler(lasting(10*time.Millisecond, 30*time.Millisecond))
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		r.drain(t)

		sums := map[string]float64{}
		advised := []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}
		for name, bounds := range map[string][]float64{
			"shadow.request.duration": advised,
			"shadow.comparison.lag":   append(slices.Clip(advised), 30, 60, 300, 900), // the limit of the lag, and one above it
		} {
			for _, p := range r.drained[name].Data.(metricdata.Histogram[float64]).DataPoints {
				role, _ := p.Attributes.Value(roleKey)
				sums[name+" "+role.AsString()] = p.Sum
				assert.Equal(t, bounds, p.Bounds)
			}
		}
		assert.Equal(t, map[string]float64{
			"shadow.request.duration primary": 0.04,
			"shadow.request.duration shadow":  0.22,
			"shadow.comparison.lag ":          0.22,
		}, sums)
	})
}

func TestNoiseIsToldFromDifferences(t *testing.T) {
	var mu sync.Mutex
	n := 0
	noisy := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		n++
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"n":%d}`, n)
	})
	r := newRig(t, shadow.InProcess("v2", noisy), shadow.WithControl(shadow.InProcess("v1", noisy)))
	ask(t, http.DefaultClient, "GET", serve(t, r.mirror.Handler(noisy)).URL, "", nil)
	r.drain(t)
	require.Equal(t, []shadow.Outcome{shadow.Match}, r.outcomes())
	assert.Equal(t, 1, r.drained.value(t, "shadow.comparisons", resultKey.String("noise")))
	assert.Equal(t, 1, r.drained.value(t, "shadow.comparisons"))
	assert.Zero(t, r.drained.value(t, "shadow.differences"))
	assert.Equal(t, 2, r.drained.value(t, "shadow.request.duration"), "the control is not measured")
}

func TestAfterShutdownNothingIsObserved(t *testing.T) {
	r := newRig(t, shadow.InProcess("v2", says("yes")))
	ask(t, http.DefaultClient, "GET", serve(t, r.mirror.Handler(says("yes"))).URL, "", nil)
	before := r.collect(t)
	require.Contains(t, before, "shadow.up")
	r.drain(t)

	after := r.collect(t)
	for _, name := range []string{"shadow.requests", "shadow.inflight", "shadow.queue.size",
		"shadow.memory.reserved", "shadow.unreported", "shadow.up"} {
		assert.Empty(t, points(t, after[name]), name)
	}
	assert.Equal(t, 1, after.value(t, "shadow.comparisons"), "what was added stays")
	require.NoError(t, r.mirror.Shutdown(t.Context()), "a second time")
	require.NoError(t, r.mirror.Close())
}

// sent is an exporter that keeps what it was given last.
type sent struct {
	sdkmetric.Exporter
	last metrics
}

func (s *sent) Temporality(sdkmetric.InstrumentKind) metricdata.Temporality {
	return metricdata.CumulativeTemporality
}

func (s *sent) Aggregation(k sdkmetric.InstrumentKind) sdkmetric.Aggregation {
	return sdkmetric.DefaultAggregationSelector(k)
}

func (s *sent) Export(_ context.Context, rm *metricdata.ResourceMetrics) error {
	s.last = byName(rm)
	return nil
}

func (s *sent) ForceFlush(context.Context) error { return nil }
func (s *sent) Shutdown(context.Context) error   { return nil }

// A job that is over before the reader's first interval still has its counts exported.
func TestShutdownExportsTheLastCounts(t *testing.T) {
	exporter := &sent{}
	meter := sdkmetric.NewMeterProvider(sdkmetric.WithReader(
		sdkmetric.NewPeriodicReader(exporter, sdkmetric.WithInterval(time.Hour))))
	defer func() { assert.NoError(t, meter.Shutdown(context.Background())) }()
	mirror, err := shadow.New(shadow.InProcess("v2", says("yes")), shadow.WithMeterProvider(meter))
	require.NoError(t, err)
	service := serve(t, mirror.Handler(says("yes")))
	for range 7 {
		ask(t, http.DefaultClient, "GET", service.URL, "", nil)
	}
	require.NoError(t, mirror.Shutdown(t.Context()))
	assert.Equal(t, 7, exporter.last.value(t, "shadow.requests"))
}

func TestTwoMirrorsShareAProvider(t *testing.T) {
	a := newRig(t, shadow.InProcess("v2", says("yes")))
	b, err := shadow.New(shadow.InProcess("v3", says("no")), shadow.WithMeterProvider(a.meter))
	require.NoError(t, err)
	service := serve(t, b.Handler(a.mirror.Handler(says("yes"))))
	for range 3 {
		ask(t, http.DefaultClient, "GET", service.URL, "", nil)
	}
	require.NoError(t, b.Shutdown(t.Context()))
	assert.Equal(t, 1, a.collect(t).value(t, "shadow.up"), "that of the one which is still there")
	a.drain(t)
	assert.Equal(t, 3, a.drained.value(t, "shadow.comparisons", targetKey.String("v2"), resultKey.String("match")))
	assert.Equal(t, 3, a.drained.value(t, "shadow.comparisons", targetKey.String("v3"), resultKey.String("diff")))
}

func TestRoutesAreFew(t *testing.T) {
	for name, c := range map[string]struct {
		opts    []shadow.Option
		primary http.Handler
		want    []string
	}{
		"pattern":  {nil, orders(), []string{"GET /orders/{id}"}},
		"template": {nil, says(`{"total":1}`), []string{"GET /orders/{}"}},
		"WithRoute": {[]shadow.Option{shadow.WithRoute(func(*http.Request) string { return "orders" })},
			orders(), []string{"orders"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, shadow.InProcess("v2", says(`{"total":2}`)), c.opts...)
			h := r.mirror.Handler(c.primary)
			for i := range 100 {
				req := httptest.NewRequest("GET", fmt.Sprintf("/orders/%d?q=%d", rand.Uint64(), i), nil)
				h.ServeHTTP(httptest.NewRecorder(), req)
			}
			r.drain(t)
			assert.Equal(t, c.want, r.routes(t))
		})
	}
}

// routes are those of all metrics and spans.
func (r *rig) routes(t *testing.T) []string {
	all := map[string]bool{}
	for _, m := range r.drained {
		for _, p := range points(t, m) {
			if route, ok := p.attrs.Value(routeKey); ok {
				all[route.AsString()] = true
			}
		}
	}
	for _, span := range r.spans.Ended() {
		if route, ok := value(span.Attributes(), routeKey); ok {
			all[route.AsString()] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// A scanner asks for paths that no pattern names and no template tames.
func TestAClientCannotMakeRoutesWithoutEnd(t *testing.T) {
	r := newRig(t, shadow.InProcess("v2", http.NotFoundHandler()), shadow.WithQueue(2000, 1<<30))
	h := r.mirror.Handler(http.NotFoundHandler())
	get := func(path string) { h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil)) }
	get("/" + strings.Repeat("long/", 100))
	word := make([]byte, 8)
	for range 1500 {
		for i := range word {
			word[i] = byte('a' + rand.IntN(26))
		}
		get("/" + string(word))
	}
	r.drain(t)
	require.EqualValues(t, 1501, r.stats.Match)

	seen := map[string]int{}
	for _, p := range points(t, r.drained["shadow.comparisons"]) {
		route, _ := p.attrs.Value(routeKey)
		seen[route.AsString()] += int(p.value)
	}
	assert.Len(t, seen, 501)
	assert.Positive(t, seen["_OTHER"]) // a template makes one name of some of the words
}
