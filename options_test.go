package shadow_test

import (
	"context"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/goshadow/shadow"
)

// Each bad input is a line of the error of New that says which option it is and what is
// wrong with it.
func TestNewReportsBadInput(t *testing.T) {
	with := func(change func(*shadow.Target)) shadow.Target {
		target := candidate()
		change(&target)
		return target
	}
	var (
		nilSampler  shadow.SamplerFunc
		nilVar      *shadow.RateVar
		nilReporter *reports
		nilRounds   *http.Transport
		nilTracer   *tracenoop.TracerProvider
		nilMeter    *metricnoop.MeterProvider
		nilLogger   *slog.Logger
	)
	for name, c := range map[string]struct {
		target shadow.Target // candidate() where it is empty
		opts   []shadow.Option
		want   []string // what each line of the error contains
	}{
		// Targets.
		"no target":         {target: shadow.Target{Timeout: 1}, want: []string{"target: empty Name", "Transport: nil"}},
		"no name":           {target: shadow.InProcess("", ok), want: []string{"target: empty Name"}},
		"nil handler":       {target: shadow.InProcess("v2", nil), want: []string{`target "v2": Transport: nil Handler`}},
		"nil HandlerFunc":   {target: shadow.InProcess("v2", http.HandlerFunc(nil)), want: []string{`target "v2": Transport: nil Handler`}},
		"nil transport":     {target: shadow.Target{Name: "v2"}, want: []string{`target "v2": Transport: nil`}},
		"nil *Transport":    {target: shadow.Target{Name: "v2", Transport: nilRounds}, want: []string{`target "v2": Transport: nil`}},
		"negative timeout":  {target: with(func(t *shadow.Target) { t.Timeout = -time.Second }), want: []string{`target "candidate": negative Timeout -1s`}},
		"nil MaskerFunc":    {target: with(func(t *shadow.Target) { t.Masker = shadow.MaskerFunc(nil) }), want: []string{`target "candidate": Masker: nil`}},
		"faulty masker":     {target: with(func(t *shadow.Target) { t.Masker = shadow.MaskHeaders("a b") }), want: []string{`target "candidate": Masker: MaskHeaders: "a b" is not a header name`}},
		"faulty control":    {opts: []shadow.Option{shadow.WithControl(shadow.InProcess("", nil))}, want: []string{"WithControl: empty Name", "WithControl \"\": Transport: nil Handler"}},
		"URL without host":  {target: shadow.Remote("v2", "http:///path"), want: []string{`target "v2": base URL "http:///path": no host`}},
		"URL of a file":     {target: shadow.Remote("v2", "file:///etc/hosts"), want: []string{`the scheme must be http or https`}},
		"no URL":            {target: shadow.Remote("v2", ""), want: []string{"Transport: nil, and no URL"}},
		"relative URL":      {target: shadow.Remote("v2", "host:80/path"), want: []string{`target "v2": base URL`}},
		"unreadable URL":    {target: shadow.Remote("v2", "http://[::1"), want: []string{`target "v2": base URL: `}},
		"port of a URL":     {target: shadow.Remote("v2", "http://host:http"), want: []string{`target "v2": base URL: `}},
		"URL with a query":  {target: shadow.Remote("v2", "http://h/?a=1"), want: []string{`a query or fragment has no meaning here`}},
		"URL with fragment": {target: shadow.Remote("v2", "http://h/#a"), want: []string{`a query or fragment has no meaning here`}},
		"URL with user":     {target: shadow.Remote("v2", "http://alice:secret@h/"), want: []string{`credentials belong in Target.Masker`}},
		"URL with user ...": {target: shadow.Remote("v2", "ftp://alice:secret@h/"), want: []string{`target "v2": base URL`}},
		"... and a query":   {target: shadow.Remote("v2", "http://alice:secret@h/?x"), want: []string{`target "v2": base URL`}},
		"... unreadable":    {target: shadow.Remote("v2", "http://alice:secret@h:x/"), want: []string{`target "v2": base URL`}},

		// Values.
		"nil option":            {opts: []shadow.Option{nil}, want: []string{"nil Option"}},
		"nil option in Options": {opts: []shadow.Option{shadow.Options(shadow.Options(nil, shadow.WithQueue(0, 1)))}, want: []string{"nil Option", "WithQueue: copies: 0 is not a positive number"}},
		"name":                  {opts: []shadow.Option{shadow.WithName("")}, want: []string{"WithName: empty name"}},
		"no methods":            {opts: []shadow.Option{shadow.WithMethods()}, want: []string{"WithMethods: no method"}},
		"methods":               {opts: []shadow.Option{shadow.WithMethods("GET", "", "A B", "CONNECT")}, want: []string{`WithMethods: "" is not a method`, `WithMethods: "A B" is not a method`, "WithMethods: CONNECT cannot be copied"}},
		"concurrency":           {opts: []shadow.Option{shadow.WithConcurrency(0)}, want: []string{"WithConcurrency: 0 is not a positive number"}},
		"negative concurrency":  {opts: []shadow.Option{shadow.WithConcurrency(-1)}, want: []string{"WithConcurrency: -1 is not a positive number"}},
		"queue":                 {opts: []shadow.Option{shadow.WithQueue(-1, -2)}, want: []string{"WithQueue: copies: -1 is not", "WithQueue: bytes: -2 is not"}},
		"body":                  {opts: []shadow.Option{shadow.WithMaxBody(-1)}, want: []string{"WithMaxBody: -1 is not a positive number"}},
		"request ID":            {opts: []shadow.Option{shadow.WithRequestID("X Request")}, want: []string{`WithRequestID: "X Request" is not a header name`}},
		"context keys":          {opts: []shadow.Option{shadow.WithContextKeys("fine", nil, []int{1})}, want: []string{"WithContextKeys: <nil> cannot", "WithContextKeys: []int cannot"}},
		"breaker": {opts: []shadow.Option{shadow.WithBreaker(shadow.BreakerOptions{Failures: 1.1, Slow: -1, Window: 1, Min: -1, Pause: -time.Second, Probes: -3})},
			want: []string{"WithBreaker: Failures: 1.1 is not between 0 and 1", "WithBreaker: Slow: -1ns is not between 0 and 8784h0m0s",
				"WithBreaker: Window: 1ns is not between 1s and 8784h0m0s", "WithBreaker: Min: -1 is negative",
				"WithBreaker: Pause: -1s is not between", "WithBreaker: Probes: -3 is negative"}},
		"breaker, negative":     {opts: []shadow.Option{shadow.WithBreaker(shadow.BreakerOptions{Failures: -0.1})}, want: []string{"WithBreaker: Failures: -0.1 is not between 0 and 1"}},
		"breaker, not a number": {opts: []shadow.Option{shadow.WithBreaker(shadow.BreakerOptions{Failures: math.NaN()})}, want: []string{"WithBreaker: Failures: NaN is not between 0 and 1"}},
		"breaker, for ever":     {opts: []shadow.Option{shadow.WithBreaker(shadow.BreakerOptions{Window: math.MaxInt64, Pause: math.MaxInt64})}, want: []string{"WithBreaker: Window: ", "WithBreaker: Pause: "}},
		"overload":              {opts: []shadow.Option{shadow.WithLoadShedding(shadow.LoadSheddingOptions{Wait: -1, Heap: 80})}, want: []string{"WithLoadShedding: Wait: -1ns is not", "WithLoadShedding: Heap: 80 is not between 0 and 1"}},
		"overhead": {opts: []shadow.Option{shadow.WithOverhead(shadow.OverheadOptions{P99: -1, Window: time.Second - 1, Min: -1, Pause: -1})},
			want: []string{"WithOverhead: P99: -1ns", "WithOverhead: Window: 999.999999ms is not between 1s", "WithOverhead: Min: -1 is negative", "WithOverhead: Pause: -1ns"}},
		"budget of zero":   {opts: []shadow.Option{shadow.WithBudget(shadow.Budget{Window: time.Hour})}, want: []string{"WithBudget: no limit"}},
		"no budget at all": {opts: []shadow.Option{shadow.WithBudget(shadow.Budget{})}, want: []string{"WithBudget: no Window", "WithBudget: no limit"}},
		"budget of a tick": {opts: []shadow.Option{shadow.WithBudget(shadow.Budget{Window: time.Millisecond, Requests: 1})}, want: []string{"WithBudget: Window: 1ms is not between 1s"}},
		"negative budget":  {opts: []shadow.Option{shadow.WithBudget(shadow.Budget{Window: -time.Hour, Requests: -1, Bytes: -2, CPU: -3})}, want: []string{"WithBudget: Window: -1h0m0s", "WithBudget: Requests: -1", "WithBudget: Bytes: -2", "WithBudget: CPU: -3ns"}},

		// Parts that are not there.
		"nil sampler":         {opts: []shadow.Option{shadow.WithSampler(nil)}, want: []string{"WithSampler: nil"}},
		"nil SamplerFunc":     {opts: []shadow.Option{shadow.WithSampler(nilSampler)}, want: []string{"WithSampler: nil"}},
		"nil *RateVar":        {opts: []shadow.Option{shadow.WithSampler(nilVar)}, want: []string{"WithSampler: nil"}},
		"nil masker":          {opts: []shadow.Option{shadow.WithMasker(nil)}, want: []string{"WithMasker: nil"}},
		"nil comparator":      {opts: []shadow.Option{shadow.WithComparator(nil)}, want: []string{"WithComparator: nil"}},
		"nil ComparatorFunc":  {opts: []shadow.Option{shadow.WithComparator(shadow.ComparatorFunc(nil))}, want: []string{"WithComparator: nil"}},
		"nil reporters":       {opts: []shadow.Option{shadow.WithReporter(nil, &reports{}, nilReporter, shadow.ReporterFunc(nil))}, want: []string{"WithReporter: nil", "WithReporter: nil", "WithReporter: nil"}},
		"nil route":           {opts: []shadow.Option{shadow.WithRoute(nil)}, want: []string{"WithRoute: nil"}},
		"nil logger":          {opts: []shadow.Option{shadow.WithLogger(nilLogger)}, want: []string{"WithLogger: nil"}},
		"nil tracer provider": {opts: []shadow.Option{shadow.WithTracerProvider(nil)}, want: []string{"WithTracerProvider: nil"}},
		"nil *TracerProvider": {opts: []shadow.Option{shadow.WithTracerProvider(nilTracer)}, want: []string{"WithTracerProvider: nil"}},
		"nil meter provider":  {opts: []shadow.Option{shadow.WithMeterProvider(nil)}, want: []string{"WithMeterProvider: nil"}},
		"nil *MeterProvider":  {opts: []shadow.Option{shadow.WithMeterProvider(nilMeter)}, want: []string{"WithMeterProvider: nil"}},
		"nil propagator":      {opts: []shadow.Option{shadow.WithPropagator(nil)}, want: []string{"WithPropagator: nil"}},

		// Inside of others.
		"nil deep in samplers": {
			opts: []shadow.Option{shadow.WithSampler(shadow.All(shadow.Rate(1), shadow.Any(nil, shadow.ByKey(1, nil)), shadow.ByRoute(map[string]shadow.Sampler{"/": nilVar}, nil)))},
			want: []string{"Any: argument 1: nil", "Any: argument 2: ByKey: nil key function", `ByRoute: "/": nil`}},
		"patterns": {
			opts: []shadow.Option{shadow.WithSampler(shadow.ByRoute(map[string]shadow.Sampler{"no slash": shadow.Rate(1), "/{id": shadow.Rate(1)}, nilSampler))},
			want: []string{`"no slash"`, `"/{id"`}},
		"patterns that conflict": {
			opts: []shadow.Option{shadow.WithSampler(shadow.ByRoute(map[string]shadow.Sampler{"/a/{x}/c": shadow.Rate(1), "/a/b/{y}": shadow.Rate(0)}, nil))},
			want: []string{"conflicts with"}},
		"nil deep in maskers": {
			opts: []shadow.Option{shadow.WithMasker(shadow.MaskAll(shadow.DropCredentials(), shadow.MaskAll(nil, shadow.MaskQuery("a", ""))))},
			want: []string{"MaskAll: argument 1: nil", "MaskQuery: empty name"}},
		"header names of maskers": {
			opts: []shadow.Option{shadow.WithMasker(shadow.MaskHeaders("", "X-A", "a:b")), shadow.WithMasker(shadow.SetHeader("a b", "x")), shadow.WithMasker(shadow.SetHeader("X-A", "a\nb"))},
			want: []string{`WithMasker: MaskHeaders: "" is not`, `MaskHeaders: "a:b" is not`, `WithMasker: SetHeader: "a b"`, `WithMasker: SetHeader: "X-A"`}},
		"paths of maskers": {
			opts: []shadow.Option{shadow.WithMasker(shadow.MaskJSON("$.fine", "$.a[", "a.#(b>1)"))},
			want: []string{`WithMasker: MaskJSON: `, `MaskJSON: `}},
		"nil deep in reporters": {
			opts: []shadow.Option{shadow.WithReporter(shadow.MultiReporter(&reports{}, shadow.MultiReporter(nilReporter)))},
			want: []string{"MultiReporter: argument 2: MultiReporter: argument 1: nil"}},
		"compare options": {
			opts: []shadow.Option{shadow.WithCompare(shadow.CompareOptions{Ignore: []string{"$.a["}, MaxDiffs: -1})},
			want: []string{"CompareOptions.Ignore: ", "CompareOptions.MaxDiffs: -1 is negative"}},

		// Numbers and names that cannot be meant.
		"a rate in percent":      {opts: []shadow.Option{shadow.WithSampler(shadow.Rate(5))}, want: []string{"WithSampler: Rate: 5 is not a probability from 0 to 1: 5 % is 0.05"}},
		"a negative rate":        {opts: []shadow.Option{shadow.WithSampler(shadow.Rate(-0.1))}, want: []string{"WithSampler: Rate: -0.1 is not a probability from 0 to 1"}},
		"a rate that is NaN":     {opts: []shadow.Option{shadow.WithSampler(shadow.Rate(math.NaN()))}, want: []string{"WithSampler: Rate: NaN is not"}},
		"rates deep in samplers": {opts: []shadow.Option{shadow.WithSampler(shadow.Any(shadow.All(shadow.Rate(2)), shadow.ByRoute(map[string]shadow.Sampler{"/": shadow.Rate(3)}, shadow.Rate(4))))}, want: []string{"Rate: 2", `ByRoute: otherwise: Rate: 4`, `"/": Rate: 3`}},
		"a share of keys":        {opts: []shadow.Option{shadow.WithSampler(shadow.ByKey(1.01, func(*http.Request) string { return "" }))}, want: []string{"ByKey: 1.01 is not"}},
		"a negative PerSecond":   {opts: []shadow.Option{shadow.WithSampler(shadow.PerSecond(-1, 1))}, want: []string{"PerSecond: -1 requests a second, 1 at once: neither can be negative"}},
		"PerSecond of NaN":       {opts: []shadow.Option{shadow.WithSampler(shadow.PerSecond(math.NaN(), 1))}, want: []string{"PerSecond: NaN"}},
		"a negative burst":       {opts: []shadow.Option{shadow.WithSampler(shadow.PerSecond(1, -1))}, want: []string{"PerSecond: 1 requests a second, -1 at once"}},
		"methods in lower case":  {opts: []shadow.Option{shadow.WithMethods("get", "Head")}, want: []string{`WithMethods: "get" is no method that clients use: write "GET"`, `"Head" is no method that clients use: write "HEAD"`}},
		"CONNECT in lower case":  {opts: []shadow.Option{shadow.WithMethods("connect")}, want: []string{`"connect" is no method`}},
		"overridden and wrong":   {opts: []shadow.Option{shadow.WithConcurrency(-1), shadow.WithConcurrency(1)}, want: []string{"WithConcurrency: -1 is not a positive number"}},

		// Contradictions.
		"control of the same name": {opts: []shadow.Option{shadow.WithControl(candidate())}, want: []string{`WithControl: "candidate" is the name of the target too`}},
		"control and Discard": {target: with(func(t *shadow.Target) { t.Discard = true }), opts: []shadow.Option{shadow.WithControl(shadow.InProcess("control", ok))},
			want: []string{`WithControl: target "candidate" has Discard set`}},
		"control with Discard": {opts: []shadow.Option{shadow.WithControl(shadow.Target{Name: "control", Transport: shadow.HandlerTransport(ok), Discard: true})},
			want: []string{`WithControl: control "control" has Discard set`}},
		"body over the queue": {opts: []shadow.Option{shadow.WithQueue(10, 1000), shadow.WithMaxBody(1001)}, want: []string{"WithMaxBody: 1001 bytes are more than the 1000 bytes of WithQueue"}},
		"body over the queue by default": {opts: []shadow.Option{shadow.WithMaxBody(64<<20 + 1)},
			want: []string{"WithMaxBody: 67108865 bytes are more than the 67108864 bytes of WithQueue"}},
	} {
		t.Run(name, func(t *testing.T) {
			target := c.target
			if target == (shadow.Target{}) {
				target = candidate()
			}
			var lines []string
			require.NotPanics(t, func() { lines = faultsOf(t, target, c.opts...) })
			all := strings.Join(lines, "\n")
			for _, want := range c.want {
				assert.Contains(t, all, want)
			}
			assert.GreaterOrEqual(t, len(lines), len(c.want), all)
			assert.True(t, strings.HasPrefix(all, "shadow: "), all)
			assert.NotRegexp(t, aSecret, all)
		})
	}
}

// never is a Comparator, a Handler and a RoundTripper.
type never struct{}

func (never) Compare(*shadow.Exchange) shadow.Comparison      { return shadow.Comparison{} }
func (never) ServeHTTP(http.ResponseWriter, *http.Request)    {}
func (never) RoundTrip(*http.Request) (*http.Response, error) { return nil, http.ErrUseLastResponse }

func TestNewReportsEveryFaultAtOnce(t *testing.T) {
	lines := faultsOf(t, shadow.Remote("", "ftp://h"),
		shadow.WithName(""), shadow.WithConcurrency(-1), nil, shadow.WithSampler(nil),
		shadow.Options(shadow.WithMasker(shadow.MaskJSON("$[", "$..")), shadow.WithQueue(0, 0)),
		shadow.WithName("a"), shadow.WithCompare(shadow.CompareOptions{Headers: []string{"a b"}}))
	for i, want := range []string{"target: empty Name", "the scheme must be", "WithName: empty", "WithConcurrency", "nil Option", "WithSampler", "MaskJSON", "MaskJSON",
		"WithQueue: copies", "WithQueue: bytes", "CompareOptions.Headers"} {
		require.Greater(t, len(lines), i, "%q", lines)
		assert.Contains(t, lines[i], want)
	}
	assert.Len(t, lines, 11)
}

func TestAFaultyPathIsReportedWithItsPosition(t *testing.T) {
	for path, column := range map[string]string{"$.items[": "9", "$.a.": "5", "$[?@.x ==]": ""} {
		for name, option := range map[string]shadow.Option{
			"MaskJSON":   shadow.WithMasker(shadow.MaskJSON(path)),
			"Ignore":     shadow.WithCompare(shadow.CompareOptions{Ignore: []string{path}}),
			"Unordered":  shadow.WithCompare(shadow.CompareOptions{Unordered: []string{path}}),
			"Keyed":      shadow.WithCompare(shadow.CompareOptions{Keyed: map[string]string{path: "id"}}),
			"Tolerances": shadow.WithCompare(shadow.CompareOptions{Tolerances: map[string]shadow.Tolerance{path: {}}}),
		} {
			lines := faultsOf(t, candidate(), option)
			require.Len(t, lines, 1)
			assert.Contains(t, lines[0], name)
			assert.Contains(t, lines[0], path)
			assert.Regexp(t, regexp.MustCompile(`\b(position|column|offset) `+column), lines[0])
		}
	}
}

func TestGoodInputIsAccepted(t *testing.T) {
	for _, target := range []shadow.Target{
		shadow.Remote("v2", "http://h"), shadow.Remote("v2", "HTTPS://h:8443/base/"), shadow.Remote("v2", "http://[::1]:80/a%2Fb"),
		{Name: "v2", Transport: never{}, Timeout: time.Nanosecond, Masker: shadow.DropCredentials()},
	} {
		assert.Empty(t, faultsOf(t, target, shadow.WithControl(shadow.InProcess("v1", ok))))
	}
	for name, option := range map[string]shadow.Option{
		"no samplers in All":     shadow.WithSampler(shadow.All()),
		"no samplers in Any":     shadow.WithSampler(shadow.Any()),
		"no samplers in any All": shadow.WithSampler(shadow.Any(shadow.All())),
		"no rules":               shadow.WithSampler(shadow.ByRoute(nil, nil)),
		"no maskers":             shadow.WithMasker(shadow.MaskAll()),
		"no reporters":           shadow.WithReporter(shadow.MultiReporter()),
		"no reporter":            shadow.WithReporter(),
		"no context key":         shadow.WithContextKeys(),
		"a bare Comparator":      shadow.WithComparator(never{}),
		"rates at the ends":      shadow.WithSampler(shadow.All(shadow.Rate(0), shadow.Rate(1), shadow.Rate(math.Copysign(0, -1)), shadow.ByKey(1, func(*http.Request) string { return "" }))),
		"no PerSecond":           shadow.WithSampler(shadow.Any(shadow.PerSecond(0, 0), shadow.PerSecond(math.Inf(1), 1))),
		"methods of their own":   shadow.WithMethods("GET", "QUERY", "PROPFIND", "purge", "M-SEARCH"),
	} {
		assert.Empty(t, faultsOf(t, isolated(candidate()), option), name)
	}
}

// holds is a Reporter of a type that can be compared, with a value that can not.
type holds struct{ any }

func (holds) Report(context.Context, *shadow.Result) error { return nil }

func TestAReporterNeedNotBeComparable(t *testing.T) {
	assert.NotPanics(t, func() {
		assert.Empty(t, faultsOf(t, candidate(), shadow.WithReporter(holds{[]int{1}}, holds{[]int{1}})))
	})
}

// The table of defaults, by what they do.
func TestDefaults(t *testing.T) {
	t.Run("methods GET HEAD OPTIONS", func(t *testing.T) {
		m, results := mirror(t, candidate())
		for _, method := range []string{"GET", "HEAD", "OPTIONS", "", "TRACE", "POST", "PUT", "PATCH", "DELETE", "get", "QUERY"} {
			r := httptest.NewRequest("GET", "/", nil)
			r.Method = method
			m.Handler(ok).ServeHTTP(httptest.NewRecorder(), r)
		}
		require.NoError(t, m.Shutdown(t.Context()))
		assert.Equal(t, map[string]uint64{"match": 4, "method": 7}, ledger(t, m))
		assert.Len(t, results.All(), 4)
	})
	t.Run("all are sampled, and the name is the target's", func(t *testing.T) {
		m, results := mirror(t, candidate())
		assert.True(t, m.Enabled())
		for range 100 {
			m.Handler(ok).ServeHTTP(httptest.NewRecorder(), get())
		}
		require.NoError(t, m.Shutdown(t.Context()))
		assert.Len(t, results.All(), 100)
		assert.Equal(t, "candidate", results.All()[0].Mirror)
		assert.Equal(t, "candidate", results.All()[0].Target)
	})
	for name, c := range map[string]struct {
		target func(http.Handler) shadow.Target
		want   int
	}{
		"concurrency 8 in process": {func(h http.Handler) shadow.Target { return shadow.InProcess("v2", h) }, 8},
		"concurrency 64 elsewhere": {func(h http.Handler) shadow.Target {
			return shadow.Target{Name: "v2", Transport: elsewhere{shadow.HandlerTransport(h)}}
		}, 64},
	} {
		t.Run(name+", queue 256 copies", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				m, err := shadow.New(c.target(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release })))
				require.NoError(t, err)
				for range 1000 {
					m.Handler(ok).ServeHTTP(httptest.NewRecorder(), get())
				}
				synctest.Wait()
				s := m.Stats()
				assert.Equal(t, c.want, s.Running)
				assert.Equal(t, 256, s.Queued)
				assert.Equal(t, uint64(1000-256-c.want), s.Dropped[shadow.ReasonQueueFull])
				close(release)
				require.NoError(t, m.Shutdown(t.Context()))
				ledger(t, m)
			})
		})
	}
	t.Run("body 1 MiB, bytes 64 MiB", func(t *testing.T) {
		const limit = 1 << 20
		release := make(chan struct{})
		m, _ := mirror(t, shadow.InProcess("v2", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release })), posts)
		for range 68 {
			m.Handler(reading).ServeHTTP(httptest.NewRecorder(), post("text/plain", "", strings.Repeat("x", limit)))
		}
		m.Handler(reading).ServeHTTP(httptest.NewRecorder(), post("text/plain", "", strings.Repeat("x", limit+1)))
		s := m.Stats()
		assert.Equal(t, uint64(1), s.Dropped[shadow.ReasonBodyTooLarge])
		assert.LessOrEqual(t, s.QueuedBytes, int64(64<<20))
		assert.InDelta(t, 68-64, s.Dropped[shadow.ReasonBytesFull], 1, "besides, there are the answers")
		close(release)
		require.NoError(t, m.Shutdown(t.Context()))
		ledger(t, m)
	})
	t.Run("timeout 10 s", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var deadline, late time.Time
			begin := time.Now()
			m, err := shadow.New(shadow.InProcess("v2", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				deadline, _ = r.Context().Deadline()
				<-r.Context().Done()
			})), shadow.WithReporter(shadow.ReporterFunc(func(_ context.Context, r *shadow.Result) error {
				late = time.Now()
				assert.ErrorIs(t, r.Err, shadow.ErrTimeout)
				return nil
			})))
			require.NoError(t, err)
			m.Handler(ok).ServeHTTP(httptest.NewRecorder(), get())
			require.NoError(t, m.Shutdown(t.Context()))
			assert.Equal(t, 10*time.Second, deadline.Sub(begin))
			assert.Equal(t, 10*time.Second, late.Sub(begin))
		})
	})
	t.Run("request ID X-Request-Id", func(t *testing.T) {
		var seen string
		look := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r.Header.Get("X-Request-Id") })
		res := exchange(t, text(""), shadow.InProcess("v2", look), get())
		assert.Len(t, seen, 32)
		assert.Equal(t, seen, res.ID)
	})
	t.Run("status, header and body are compared, 100 differences are kept", func(t *testing.T) {
		answer := func(v string) said {
			return said{header: http.Header{"Content-Type": {"application/json"}, "Location": {"/" + v}, "X-A": {v}}, body: "[" + strings.Repeat(v+",", 199) + v + "]"}
		}
		res := exchange(t, answer("1"), shadow.InProcess("v2", answer("2")), get())
		assert.Len(t, res.Diffs, 100)
		assert.True(t, res.More)
		assert.Equal(t, "/header/Location", res.Diffs[98].Path)
		assert.Equal(t, "/header/X-A", res.Diffs[99].Path)
	})
	t.Run("the record mask is the credentials", func(t *testing.T) {
		r := get()
		r.Header.Set("Authorization", "Bearer x")
		r.Header.Set("X-A", "x")
		res := exchange(t, ok, candidate(), r)
		assert.Equal(t, "[masked]", res.Request.Header.Get("Authorization"))
		assert.Equal(t, "x", res.Request.Header.Get("X-A"))
	})
	t.Run("the mask of Remote is DropCredentials, of InProcess none", func(t *testing.T) {
		assert.Nil(t, shadow.InProcess("v2", ok).Masker)
		msg := &shadow.Message{Header: http.Header{"Authorization": {"Bearer x"}, "X-A": {"x"}}}
		require.NoError(t, shadow.Remote("v2", "http://h").Masker.Mask(msg))
		assert.Equal(t, http.Header{"X-A": {"x"}}, msg.Header)
	})
}

// elsewhere is a RoundTripper that is not the one of InProcess.
type elsewhere struct{ http.RoundTripper }

// What is not used need not be closed: in a bubble a goroutine that was left would be a
// deadlock.
func TestNewStartsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, target := range []shadow.Target{candidate(), shadow.Remote("v2", "http://h")} {
			m, err := shadow.New(target, shadow.WithSampler(shadow.PerSecond(1, 1)), shadow.WithReporter(shadow.LogReporter(nil)))
			require.NoError(t, err)
			m.Handler(ok)
			m.Transport(nil)
			s := m.Stats()
			assert.Equal(t, map[string]shadow.TargetStats{target.Name: {Breaker: shadow.BreakerClosed}}, s.Targets)
			s.Targets, s.Concurrency = nil, 0
			assert.Equal(t, shadow.Stats{Skipped: map[shadow.Reason]uint64{}, Dropped: map[shadow.Reason]uint64{}}, s)
		}
	})
}

func TestAnOptionTakesACopy(t *testing.T) {
	methods := []string{"PUT"}
	compare := shadow.CompareOptions{Headers: []string{"X-A"}, Ignore: []string{"$.a"}}
	m, results := mirror(t, shadow.InProcess("v2", said{header: field("X-A", "2")}), shadow.WithMethods(methods...), shadow.WithCompare(compare))
	methods[0], compare.Headers[0], compare.Ignore[0] = "GET", "X-B", "$.b"
	m.Handler(said{header: field("X-A", "1")}).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("PUT", "/", nil))
	require.NoError(t, m.Shutdown(t.Context()))
	require.Len(t, results.All(), 1)
	assert.Equal(t, []string{`/header/X-A changed "1" "2"`}, written(results.All()[0].Diffs))
}

// One set of options makes any number of Mirrors, which have nothing to do with each
// other.
func TestOptionsAreAPreset(t *testing.T) {
	preset := shadow.Options(shadow.WithMethods("GET"), shadow.Options(shadow.WithName("checkout"), shadow.WithMasker(shadow.MaskHeaders("X-Pin"))))
	for _, name := range []string{"v2", "v3"} {
		r := get()
		r.Header.Set("X-Pin", "1234")
		res := exchange(t, ok, shadow.InProcess(name, ok), r, preset)
		assert.Equal(t, "checkout", res.Mirror)
		assert.Equal(t, name, res.Target)
		assert.Equal(t, "[masked]", res.Request.Header.Get("X-Pin"))
	}
}
