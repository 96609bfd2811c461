package shadow_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

// slow is a candidate that takes a second.
func slow(w http.ResponseWriter, r *http.Request) {
	time.Sleep(time.Second)
	fine(w, r)
}

// Drain returns when the last copy is reported, and the Mirror goes on.
func TestDrainWaitsForWhatWaitsAndRuns(t *testing.T) {
	for name, timing := range timings {
		t.Run(name, func(t *testing.T) {
			inBubble(t, fine, shadow.InProcess("v2", http.HandlerFunc(slow)), func(t *testing.T, m *limited) {
				require.NoError(t, m.Drain(t.Context()), "there is nothing to wait for")
				for round := 1; round <= 2; round++ {
					began := time.Now()
					for range 3 {
						getFrom(m.Front, "/")
					}
					require.NoError(t, m.Drain(t.Context()))
					assert.Equal(t, 3*time.Second, time.Since(began).Round(time.Millisecond), "but for a worker that lingers")
					assert.Equal(t, map[string]uint64{"match": uint64(3 * round)}, ledger(t, m.Mirror))
				}
			}, shadow.WithTiming(timing), shadow.WithConcurrency(1))
		})
	}
}

// A Drain that is not waited for any longer cancels and drops nothing, and others may wait
// at the same time.
func TestDrainEndsWithItsContext(t *testing.T) {
	inBubble(t, fine, shadow.InProcess("v2", http.HandlerFunc(slow)), func(t *testing.T, m *limited) {
		getFrom(m.Front, "/")
		getFrom(m.Front, "/")
		both := make(chan error, 2)
		for range cap(both) {
			go func() { both <- m.Drain(t.Context()) }()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		assert.ErrorIs(t, m.Drain(ctx), context.DeadlineExceeded)
		assert.ErrorIs(t, m.Drain(ctx), context.DeadlineExceeded)
		assert.NoError(t, <-both)
		assert.NoError(t, <-both)
		assert.NoError(t, m.Drain(ctx), "nothing is left to wait for")
		assert.Equal(t, map[string]uint64{"match": 2}, ledger(t, m.Mirror))
	}, shadow.WithConcurrency(1))
}

// Drain and Shutdown may wait side by side, and what Close drops is not waited for.
func TestDrainBesideShutdown(t *testing.T) {
	inBubble(t, fine, shadow.InProcess("v2", http.HandlerFunc(slow)), func(t *testing.T, m *limited) {
		getFrom(m.Front, "/")
		getFrom(m.Front, "/")
		drained := make(chan error)
		go func() { drained <- m.Drain(t.Context()) }()
		go func() { drained <- m.Shutdown(t.Context()) }()
		m.Pass(0)
		require.NoError(t, m.Close())
		assert.NoError(t, <-drained)
		assert.NoError(t, <-drained)
		assert.Equal(t, map[string]uint64{"shut-down": 1, "match": 1}, ledger(t, m.Mirror))
		require.NoError(t, m.Drain(t.Context()))
	}, shadow.WithConcurrency(1))
}

// Who runs on a worker does not wait for himself: not at all with the context that he was
// given, and with another one until that ends.
func TestShutdownWithinACopyDoesNotWaitForItself(t *testing.T) {
	type wait func(*shadow.Mirror, context.Context) error
	drain := func(m *shadow.Mirror, ctx context.Context) error { return m.Drain(ctx) }
	shutdown := func(m *shadow.Mirror, ctx context.Context) error { return m.Shutdown(ctx) }
	closed := func(m *shadow.Mirror, _ context.Context) error { return m.Close() }
	own := func(ctx context.Context) context.Context { return ctx }
	bounded := func(context.Context) context.Context {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		context.AfterFunc(ctx, cancel)
		return ctx
	}
	for name, c := range map[string]struct {
		call  wait
		ctx   func(context.Context) context.Context
		takes time.Duration
		err   string
		want  map[string]uint64
	}{
		"Drain":                          {drain, own, 0, "which cannot wait for itself", map[string]uint64{"match": 3}},
		"Drain, with another context":    {drain, bounded, time.Second, "deadline exceeded", map[string]uint64{"match": 3}},
		"Shutdown":                       {shutdown, own, 0, "which cannot wait for itself", map[string]uint64{"match": 1, "shut-down": 2}},
		"Shutdown, with another context": {shutdown, bounded, time.Second, "deadline exceeded", map[string]uint64{"match": 1, "shut-down": 2}},
		"Close":                          {closed, own, 0, "", map[string]uint64{"match": 1, "shut-down": 2}},
	} {
		for _, where := range []string{"Reporter", "candidate"} {
			t.Run(name+" in the "+where, func(t *testing.T) {
				var m *limited
				var once sync.Once
				call := func(ctx context.Context) {
					once.Do(func() {
						began := time.Now()
						err := c.call(m.Mirror, c.ctx(ctx))
						assert.Equal(t, c.takes, time.Since(began))
						if c.err == "" {
							assert.NoError(t, err)
						} else {
							assert.ErrorContains(t, err, c.err)
						}
					})
				}
				candidate := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if where == "candidate" {
						call(r.Context())
					}
					fine(w, r)
				})
				inBubble(t, fine, shadow.InProcess("v2", candidate), func(t *testing.T, l *limited) {
					m = l
					for range 3 {
						getFrom(m.Front, "/")
					}
					m.Pass(time.Minute)
					assert.Equal(t, c.want, ledger(t, m.Mirror))
					assert.Zero(t, m.Stats().Running)
					require.NoError(t, m.Drain(t.Context()))
				}, shadow.WithConcurrency(1), shadow.WithReporter(shadow.ReporterFunc(func(ctx context.Context, _ *shadow.Result) error {
					if where == "Reporter" {
						call(ctx)
					}
					return nil
				})))
			})
		}
	}
}

// User code on the goroutine of a copy does not wait for itself with a context that never ends,
// wherever it is called from. Other goroutines wait.
func TestAWaitWithoutEndWithinACopyReturns(t *testing.T) {
	endless := map[string]func() context.Context{
		"Background":     context.Background,
		"never canceled": func() context.Context { return context.WithoutCancel(t.Context()) },
		"cancelable": func() context.Context {
			ctx, cancel := context.WithCancel(context.Background())
			t.Cleanup(cancel)
			return ctx
		},
	}
	for name, ctx := range endless {
		for _, where := range []string{"Reporter", "late Reporter", "Comparator", "Masker", "candidate", "control", "ReportEvent"} {
			for call, wait := range map[string]func(*shadow.Mirror, context.Context) error{"Drain": (*shadow.Mirror).Drain, "Shutdown": (*shadow.Mirror).Shutdown} {
				t.Run(call+" in a "+where+", "+name, func(t *testing.T) {
					var m *limited
					var once sync.Once
					called := false
					at := func(place string) {
						if place == where {
							once.Do(func() { called = true; assert.ErrorContains(t, wait(m.Mirror, ctx()), "which cannot wait for itself") })
						}
					}
					handler := func(place string) shadow.Target {
						return shadow.InProcess(place, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
							at(place)
							if where == "late Reporter" {
								time.Sleep(time.Minute)
							}
							if where == "ReportEvent" {
								w.Header().Set("Shadow-Side-Effect", "http")
							}
							fine(w, r)
						}))
					}
					candidate := handler("candidate")
					candidate.Masker = shadow.MaskerFunc(func(*shadow.Message) error { at("Masker"); return nil })
					inBubble(t, fine, candidate, func(t *testing.T, l *limited) {
						m = l
						getFrom(m.Front, "/")
						m.Pass(2 * time.Minute)
						assert.True(t, called)
						assert.Zero(t, m.Stats().Running)
					}, shadow.WithControl(handler("control")),
						shadow.WithComparator(shadow.ComparatorFunc(func(*shadow.Exchange) []shadow.Diff { at("Comparator"); return nil })),
						shadow.WithReporter(reporterOf{func() { at("Reporter"); at("late Reporter") }, func() { at("ReportEvent") }}))
				})
			}
		}
	}
	inBubble(t, fine, shadow.InProcess("v2", http.HandlerFunc(slow)), func(t *testing.T, m *limited) {
		getFrom(m.Front, "/")
		began := time.Now()
		m.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { // on the goroutine of another request
			assert.NoError(t, m.Drain(context.Background()))
		})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		assert.Equal(t, time.Second, time.Since(began))
		assert.NoError(t, m.Shutdown(context.Background()))
		assert.Equal(t, 2*time.Second, time.Since(began))
	})
}

// reporterOf calls functions.
type reporterOf struct{ report, event func() }

func (r reporterOf) Report(context.Context, *shadow.Result) error { r.report(); return nil }

func (r reporterOf) ReportEvent(context.Context, *shadow.Event) error { r.event(); return nil }
