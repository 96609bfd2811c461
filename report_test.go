package shadow_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

// lines returns the records that were logged to l as JSON.
func (l *logged) lines(t *testing.T) (list []map[string]any) {
	t.Helper()
	for line := range strings.Lines(l.String()) {
		var record map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &record), line)
		list = append(list, record)
	}
	return list
}

// logTo is a LogReporter that logs from level on.
func logTo(level slog.Level) (shadow.Reporter, *logged) {
	l := &logged{}
	return shadow.LogReporter(slog.New(slog.NewJSONHandler(l, &slog.HandlerOptions{Level: level}))), l
}

// result is one that has something in every field, secrets where values are.
func result(o shadow.Outcome) *shadow.Result {
	message := func(status int) *shadow.Message {
		return &shadow.Message{
			Method: "GET", URL: &url.URL{Scheme: "http", Host: "h", Path: "/secret", RawQuery: "q=secret"}, Host: "secret", StatusCode: status,
			Header: field("X-A", "secret"), Trailer: field("X-B", "secret"), Body: []byte(`{"a":"secret"}`), Took: 3 * time.Millisecond,
		}
	}
	r := &shadow.Result{
		Exchange: shadow.Exchange{ID: "id-1", Route: "GET /items/{id}", Request: message(0), Primary: message(200), Shadow: message(500)},
		Mirror:   "checkout", Target: "v2", Outcome: o,
	}
	if o == shadow.Mismatch {
		value := json.RawMessage(`"secret"`)
		r.Diffs = []shadow.Diff{{Path: "/body/a", Kind: shadow.Changed, Primary: value, Shadow: value}, {Path: "/status", Kind: shadow.Changed}}
		r.Noise = []shadow.Diff{{Path: "/body/at", Kind: shadow.Changed, Primary: value, Shadow: value}}
	}
	if o == shadow.Failed {
		r.Shadow, r.Err = nil, shadow.ErrTimeout
	}
	return r
}

func TestLogReporterLogsByOutcome(t *testing.T) {
	for outcome, level := range map[shadow.Outcome]string{
		shadow.Match: "DEBUG", shadow.Uncompared: "INFO", shadow.Mismatch: "WARN", shadow.Failed: "WARN",
	} {
		t.Run(string(outcome), func(t *testing.T) {
			reporter, log := logTo(slog.LevelDebug)
			require.NoError(t, reporter.Report(t.Context(), result(outcome)))
			require.Len(t, log.lines(t), 1)
			record := log.lines(t)[0]
			assert.Equal(t, level, record["level"])
			assert.NotEmpty(t, record["msg"])
			group, _ := record["shadow"].(map[string]any)
			require.NotNil(t, group)
			for key, want := range map[string]any{"mirror": "checkout", "target": "v2", "outcome": string(outcome), "id": "id-1", "route": "GET /items/{id}", "method": "GET"} {
				assert.Equal(t, want, group[key], key)
			}
			assert.Equal(t, map[string]any{"status": 200.0, "took": 3e6}, group["primary"])
			switch outcome {
			case shadow.Failed:
				assert.Equal(t, shadow.ErrTimeout.Error(), group["error"])
				assert.NotContains(t, group, "shadow")
			case shadow.Mismatch:
				assert.Equal(t, []any{"/body/a", "/status"}, group["paths"])
				assert.Equal(t, 2.0, group["diffs"])
				assert.Equal(t, 1.0, group["noise"])
				fallthrough
			default:
				assert.Equal(t, map[string]any{"status": 500.0, "took": 3e6}, group["shadow"])
				assert.NotContains(t, group, "error")
			}
			assert.NotRegexp(t, aSecret, log.String())
		})
	}
}

// Results that are alike are logged the 1st, 10th, 100th ... time, with their number;
// matches always, which the level keeps out.
func TestLogReporterIsLowNoise(t *testing.T) {
	reporter, log := logTo(slog.LevelInfo)
	for range 1234 {
		for _, outcome := range []shadow.Outcome{shadow.Match, shadow.Mismatch, shadow.Failed, shadow.Uncompared} {
			require.NoError(t, reporter.Report(t.Context(), result(outcome)))
		}
	}
	counts := map[string][]any{}
	for _, record := range log.lines(t) {
		outcome := record["shadow"].(map[string]any)["outcome"].(string)
		counts[outcome] = append(counts[outcome], record["count"])
	}
	want := []any{1.0, 10.0, 100.0, 1000.0}
	assert.Equal(t, map[string][]any{"mismatch": want, "failed": want, "uncompared": want}, counts)

	debug, log := logTo(slog.LevelDebug)
	for range 20 {
		require.NoError(t, debug.Report(t.Context(), result(shadow.Match)))
	}
	assert.Len(t, log.lines(t), 20)
}

func TestLogReporterTellsSortsOfResultsApart(t *testing.T) {
	change := func(f func(r *shadow.Result)) *shadow.Result {
		r := result(shadow.Mismatch)
		f(r)
		return r
	}
	reporter, log := logTo(slog.LevelInfo)
	distinct := []*shadow.Result{
		result(shadow.Mismatch),
		result(shadow.Failed),
		result(shadow.Uncompared),
		change(func(r *shadow.Result) { r.Route = "GET /other" }),
		change(func(r *shadow.Result) { r.Mirror = "other" }),
		change(func(r *shadow.Result) { r.Target = "other" }),
		change(func(r *shadow.Result) { r.Diffs[0].Path = "/body/b" }),
		change(func(r *shadow.Result) { r.Diffs[0].Kind = shadow.Missing }),
		change(func(r *shadow.Result) { r.Diffs = r.Diffs[:1] }),
		change(func(r *shadow.Result) { r.Shadow.StatusCode = 404 }),
		change(func(r *shadow.Result) { r.Outcome, r.Err = shadow.Failed, shadow.ErrPanic }),
	}
	for i, r := range distinct {
		before := len(log.lines(t))
		require.NoError(t, reporter.Report(t.Context(), r))
		assert.Equal(t, before+1, len(log.lines(t)), "number %d is of a sort of its own", i)
	}
	before := len(log.lines(t))
	alike := []*shadow.Result{
		change(func(r *shadow.Result) { r.ID = "id-2" }),
		change(func(r *shadow.Result) { r.Noise = nil }),
		change(func(r *shadow.Result) { r.Start = time.Now() }),
		change(func(r *shadow.Result) { r.Primary.Took++ }),
		change(func(r *shadow.Result) { r.Diffs[0].Primary = json.RawMessage("1") }),
	}
	for _, r := range alike {
		require.NoError(t, reporter.Report(t.Context(), r))
	}
	assert.Equal(t, before, len(log.lines(t)))

	// Places in arrays are alike, by index and by key.
	reporter, log = logTo(slog.LevelInfo)
	for _, path := range []string{"/body/items/0/v", "/body/items/17/v", "/body/items/id=7/v", "/body/items/id=a~1b/v"} {
		require.NoError(t, reporter.Report(t.Context(), change(func(r *shadow.Result) { r.Diffs[0].Path = path })))
	}
	assert.Len(t, log.lines(t), 1)
}

// However many sorts of results there are, and however long the names in their paths,
// what is kept of them stays small.
func TestLogReporterIsBounded(t *testing.T) {
	reporter, log := logTo(slog.LevelInfo)
	heap := func() uint64 {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	r := result(shadow.Mismatch)
	before := heap()
	for i := range 1200 {
		r.Diffs[0].Path = fmt.Sprintf("/body/member-%d-%s", i, strings.Repeat("x", 20_000))
		require.NoError(t, reporter.Report(t.Context(), r))
		if i == 0 { // what a record holds is the handler's matter
			assert.Len(t, log.lines(t), 1)
		}
		log.buf.Reset()
	}
	assert.Less(t, int64(heap())-int64(before), int64(4<<20))
	runtime.KeepAlive(reporter)

	// The first thousand sorts are told apart, the others are one.
	reporter, log = logTo(slog.LevelInfo)
	for i := range 1500 {
		r.Diffs[0].Path = fmt.Sprintf("/body/member-%d-x", i)
		require.NoError(t, reporter.Report(t.Context(), r))
	}
	assert.Len(t, log.lines(t), 1000+len([]int{1, 10, 100}))
}

func TestLogReporterIsForManyGoroutines(t *testing.T) {
	reporter, log := logTo(slog.LevelInfo)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 250 {
				assert.NoError(t, reporter.Report(t.Context(), result(shadow.Mismatch)))
			}
		})
	}
	all.Wait()
	assert.Len(t, log.lines(t), 4)
}

func TestLogReporterDefaultsToTheDefaultLoggerOfTheTime(t *testing.T) {
	reporter := shadow.LogReporter(nil)
	before := slog.Default()
	defer slog.SetDefault(before)
	log := &logged{}
	slog.SetDefault(slog.New(slog.NewJSONHandler(log, nil)))
	require.NoError(t, reporter.Report(t.Context(), result(shadow.Mismatch)))
	assert.Len(t, log.lines(t), 1)
}

// Nothing of a Result but what LogValue names is in a log, also where a logger is handed
// the Result itself.
func TestAResultLogsNoValues(t *testing.T) {
	log := &logged{}
	for _, r := range []*shadow.Result{result(shadow.Mismatch), result(shadow.Failed), result(shadow.Match), {}} {
		slog.New(slog.NewJSONHandler(log, nil)).Info("m", "r", r)
		slog.New(slog.NewTextHandler(log, nil)).Info("m", "r", r)
	}
	assert.NotRegexp(t, aSecret, log.String())

	long := result(shadow.Mismatch)
	for i := range 100 {
		long.Diffs = append(long.Diffs, shadow.Diff{Path: fmt.Sprintf("/body/%d", i)})
	}
	for _, a := range long.LogValue().Group() {
		if a.Key == "paths" {
			assert.Len(t, a.Value.Any(), 9, "the first eight, and that there are more")
		}
	}
}

// ears is a Reporter that says how often it was told and flushed.
type ears struct {
	mu            sync.Mutex
	told, flushed int
	fail          func() error
}

func (e *ears) Report(context.Context, *shadow.Result) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.told++
	if e.fail != nil {
		return e.fail()
	}
	return nil
}

func (e *ears) Flush(context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.flushed++
	if e.fail != nil {
		return e.fail()
	}
	return nil
}

var errTold = errors.New("disk full")

func failing() error   { return errTold }
func panicking() error { panic("secret") }

func TestMultiReporterTellsAll(t *testing.T) {
	list := []*ears{{}, {fail: failing}, {}, {fail: panicking}, {}}
	m := shadow.MultiReporter(list[0], list[1], shadow.MultiReporter(list[2], list[3]), shadow.ReporterFunc(func(context.Context, *shadow.Result) error { return nil }), list[4])
	err := m.Report(t.Context(), result(shadow.Match))
	assert.ErrorIs(t, err, errTold)
	assert.ErrorIs(t, err, shadow.ErrPanic)
	assert.NotContains(t, err.Error(), "secret")

	flusher, _ := m.(interface{ Flush(context.Context) error })
	require.NotNil(t, flusher)
	assert.NotPanics(t, func() { err = flusher.Flush(t.Context()) })
	assert.ErrorIs(t, err, errTold)
	assert.ErrorIs(t, err, shadow.ErrPanic)
	for i, one := range list {
		assert.Equal(t, 1, one.told, i)
		assert.Equal(t, 1, one.flushed, i)
	}
	assert.NoError(t, shadow.MultiReporter().Report(t.Context(), result(shadow.Match)))
}

func TestReportersThatFailAreCounted(t *testing.T) {
	for name, c := range map[string]struct {
		fail func() error
		want uint64
	}{"none": {nil, 0}, "an error": {failing, 1}, "a panic": {panicking, 1}} {
		for _, where := range []string{"before", "behind", "both", "in a MultiReporter"} {
			t.Run(name+" "+where, func(t *testing.T) {
				bad, fine := &ears{fail: c.fail}, &ears{}
				opts := map[string][]shadow.Option{
					"before":             {shadow.WithReporter(bad, fine)},
					"behind":             {shadow.WithReporter(fine), shadow.WithReporter(bad)},
					"both":               {shadow.WithReporter(bad, fine, &ears{fail: c.fail})},
					"in a MultiReporter": {shadow.WithReporter(shadow.MultiReporter(bad, fine))},
				}[where]
				m, results := mirror(t, candidate(), opts...)
				m.Handler(ok).ServeHTTP(httptest.NewRecorder(), get())
				err := m.Shutdown(t.Context())
				assert.Equal(t, c.want > 0, err != nil, "a flush that fails is an error of Shutdown: %v", err)
				assert.Equal(t, c.want, m.Stats().Unreported)
				assert.Equal(t, map[string]uint64{"match": 1}, ledger(t, m))
				assert.Len(t, results.All(), 1)
				for _, one := range []*ears{bad, fine} {
					assert.Equal(t, 1, one.told)
					assert.GreaterOrEqual(t, one.flushed, 1)
				}
			})
		}
	}
}

// Parts of a Mirror that are Reporters too.
type (
	hearingSampler    struct{ ears }
	hearingMasker     struct{ ears }
	hearingComparator struct{ ears }
)

func (*hearingSampler) Sample(*http.Request) shadow.Decision {
	return shadow.Decision{Sampled: true}
}
func (*hearingMasker) Mask(*shadow.Message) error                     { return nil }
func (*hearingComparator) Compare(*shadow.Exchange) shadow.Comparison { return shadow.Comparison{} }

func TestPartsThatAreReportersAreToldOnce(t *testing.T) {
	// Each place is a set of options with ears in them, which are told once a request.
	for name, place := range map[string]func(t *testing.T) (target shadow.Target, e []*ears, opts []shadow.Option){
		"a sampler": func(*testing.T) (shadow.Target, []*ears, []shadow.Option) {
			s := &hearingSampler{}
			return candidate(), []*ears{&s.ears}, []shadow.Option{shadow.WithSampler(s)}
		},
		"samplers in samplers": func(*testing.T) (shadow.Target, []*ears, []shadow.Option) {
			a, b, c := &hearingSampler{}, &hearingSampler{}, &hearingSampler{}
			return candidate(), []*ears{&a.ears, &b.ears, &c.ears}, []shadow.Option{shadow.WithSampler(
				shadow.All(a, a, shadow.Any(a, shadow.ByRoute(map[string]shadow.Sampler{"/": b, "/b": a}, c))))}
		},
		"maskers": func(*testing.T) (shadow.Target, []*ears, []shadow.Option) {
			a, b, c := &hearingMasker{}, &hearingMasker{}, &hearingMasker{}
			target := candidate()
			target.Masker = shadow.MaskAll(a, shadow.MaskAll(b))
			return target, []*ears{&a.ears, &b.ears, &c.ears}, []shadow.Option{shadow.WithMasker(a), shadow.WithMasker(shadow.MaskAll(c, shadow.DropCredentials()))}
		},
		"a masker of the control": func(*testing.T) (shadow.Target, []*ears, []shadow.Option) {
			a := &hearingMasker{}
			control := shadow.InProcess("control", ok)
			control.Masker = a
			return candidate(), []*ears{&a.ears}, []shadow.Option{shadow.WithControl(control)}
		},
		"a comparator": func(*testing.T) (shadow.Target, []*ears, []shadow.Option) {
			a := &hearingComparator{}
			return candidate(), []*ears{&a.ears}, []shadow.Option{shadow.WithComparator(a)}
		},
		"a part that is a reporter by option": func(*testing.T) (shadow.Target, []*ears, []shadow.Option) {
			a := &hearingSampler{}
			return candidate(), []*ears{&a.ears}, []shadow.Option{shadow.WithReporter(a, a), shadow.WithSampler(a), shadow.WithReporter(a)}
		},
		"a part that is in a MultiReporter": func(*testing.T) (shadow.Target, []*ears, []shadow.Option) {
			a, b := &hearingSampler{}, &ears{}
			return candidate(), []*ears{&a.ears, b}, []shadow.Option{shadow.WithReporter(shadow.MultiReporter(a, b), b), shadow.WithSampler(a)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			target, list, opts := place(t)
			m, results := mirror(t, target, opts...)
			for range 3 {
				m.Handler(ok).ServeHTTP(httptest.NewRecorder(), get())
			}
			require.NoError(t, m.Shutdown(t.Context()))
			assert.Len(t, results.All(), 3)
			for i, e := range list {
				assert.Equal(t, 3, e.told, i)
				assert.Equal(t, 1, e.flushed, i)
			}
			assert.Zero(t, m.Stats().Unreported)
		})
	}
}

func TestReportersAreToldInOrder(t *testing.T) {
	var order []int
	step := func(n int) shadow.Reporter {
		return shadow.ReporterFunc(func(context.Context, *shadow.Result) error { order = append(order, n); return nil })
	}
	exchange(t, ok, candidate(), get(), shadow.WithReporter(step(1), shadow.MultiReporter(step(2), step(3))), shadow.WithReporter(step(4)))
	assert.Equal(t, []int{1, 2, 3, 4}, order)
}

// What is logged about the Mirror itself, the first panic of a part, shows where it was
// and not with what.
func TestAPanicIsLoggedOnceWithoutItsValue(t *testing.T) {
	log := &logged{}
	m, _ := mirror(t, candidate(), shadow.WithLogger(slog.New(slog.NewJSONHandler(log, nil))),
		shadow.WithReporter(shadow.ReporterFunc(func(context.Context, *shadow.Result) error { panic("secret") })))
	for range 5 {
		m.Handler(ok).ServeHTTP(httptest.NewRecorder(), get())
	}
	require.NoError(t, m.Shutdown(t.Context()))
	require.Len(t, log.lines(t), 1)
	record := log.lines(t)[0]
	assert.Equal(t, "Reporter", record["part"])
	assert.Contains(t, record["stack"], "TestAPanicIsLoggedOnceWithoutItsValue")
	assert.NotContains(t, log.String(), `secret"`)
	assert.Equal(t, uint64(5), m.Stats().Unreported)
}

// filter is a wrapper of the user's that reports mismatches only, and knows nothing of events.
type filter struct{ of []shadow.Reporter }

func (f *filter) Unwrap() []shadow.Reporter { return f.of }
func (f *filter) Report(ctx context.Context, r *shadow.Result) error {
	if r.Outcome != shadow.Mismatch {
		return nil
	}
	return f.of[0].Report(ctx, r)
}

// alert is a Reporter that hears of events.
type alert struct {
	ears
	events int
}

func (a *alert) ReportEvent(context.Context, *shadow.Event) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.events++
	return nil
}

// A wrapper of the user's decides which results its parts get. What it knows nothing of, they hear
// of all the same.
func TestAWrappedReporterHearsOfEventsAndIsFlushed(t *testing.T) {
	for name, wrap := range map[string]func(shadow.Reporter) shadow.Reporter{
		"a wrapper": func(r shadow.Reporter) shadow.Reporter { return &filter{[]shadow.Reporter{r}} },
		"a wrapper twice": func(r shadow.Reporter) shadow.Reporter {
			return &filter{[]shadow.Reporter{&filter{[]shadow.Reporter{r}}}}
		},
		"a MultiReporter in it":      func(r shadow.Reporter) shadow.Reporter { return &filter{[]shadow.Reporter{shadow.MultiReporter(r)}} },
		"a wrapper in MultiReporter": func(r shadow.Reporter) shadow.Reporter { return shadow.MultiReporter(&filter{[]shadow.Reporter{r}}) },
	} {
		t.Run(name, func(t *testing.T) {
			heard := &alert{}
			target := candidate()
			target.Masker = shadow.MaskerFunc(func(*shadow.Message) error { return errors.New("no") })
			m, _ := mirror(t, target, shadow.WithReporter(wrap(heard)))
			m.Handler(ok).ServeHTTP(httptest.NewRecorder(), get())
			require.NoError(t, m.Shutdown(t.Context()))
			assert.Equal(t, []int{0, 1, 1}, []int{heard.told, heard.events, heard.flushed})
		})
	}
	_, err := shadow.New(candidate(), shadow.WithReporter(&filter{[]shadow.Reporter{shadow.MultiReporter(nil)}}))
	assert.ErrorContains(t, err, "MultiReporter: argument 1: nil", "New finds the faults of a wrapped Reporter")
}

// wrappedComparator is a wrapper of the user's around a Comparator.
type wrappedComparator struct{ shadow.Comparator }

func (w wrappedComparator) Unwrap() []shadow.Comparator { return []shadow.Comparator{w.Comparator} }

func TestAWrappedComparatorThatIsAReporterIsTold(t *testing.T) {
	inner := &hearingComparator{}
	m, _ := mirror(t, candidate(), shadow.WithComparator(wrappedComparator{inner}))
	m.Handler(ok).ServeHTTP(httptest.NewRecorder(), get())
	require.NoError(t, m.Shutdown(t.Context()))
	assert.Equal(t, 1, inner.told)
}
