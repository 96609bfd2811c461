package shadow_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

// covered finds one route.
func covered(t testing.TB, list []shadow.RouteCoverage, route string) shadow.RouteCoverage {
	t.Helper()
	for _, c := range list {
		if c.Route == route {
			return c
		}
	}
	t.Fatalf("%q is not in %+v", route, list)
	return shadow.RouteCoverage{}
}

func TestCoverageTellsWhichRoutesWereNeverComparedAndWhy(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /same/{id}", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })
	mux.HandleFunc("GET /other/{id}", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "primary") })
	mux.HandleFunc("GET /fails", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })
	mux.HandleFunc("PUT /large", echo)
	mux.HandleFunc("GET /refused", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
	mux.HandleFunc("GET /loop", func(http.ResponseWriter, *http.Request) {})
	target := shadow.InProcess("v2", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/fails" {
			panic("v2")
		}
		io.WriteString(w, "ok")
	}))
	m, _ := mirror(t, target, shadow.WithMethods("GET", "PUT"), shadow.WithMaxBody(7),
		shadow.WithSampler(shadow.ByRoute(map[string]shadow.Sampler{"GET /internal/": shadow.Rate(0), "GET /rare": shadow.Rate(0.01)}, shadow.Rate(1))))
	h := m.Handler(mux)
	for i := range 3 {
		getFrom(h, fmt.Sprint("/same/", i))
		getFrom(h, fmt.Sprint("/other/", i))
		getFrom(h, "/fails")
		getFrom(h, "/refused")
		getFrom(h, "/internal/stats")
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("DELETE", "/same/1", nil))
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("PUT", "/large", strings.NewReader("12345678")))
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("PUT", "/large", io.MultiReader(strings.NewReader("12345678"))))
		r := httptest.NewRequest("GET", "/loop", nil)
		r.Header.Set("Shadow-Request", "1")
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	require.NoError(t, m.Shutdown(t.Context()))
	getFrom(h, "/same/late")

	list := m.Coverage()
	assert.Equal(t, shadow.RouteCoverage{Route: "GET /same/{id}", Match: 3, Passed: map[shadow.Reason]uint64{shadow.ReasonShutDown: 1}}, covered(t, list, "GET /same/{id}"))
	assert.Equal(t, shadow.RouteCoverage{Route: "GET /other/{id}", Mismatch: 3}, covered(t, list, "GET /other/{id}"))
	assert.Equal(t, shadow.RouteCoverage{Route: "GET /fails", Failed: 3,
		Why: "3 without an answer of the shadow"}, covered(t, list, "GET /fails"))
	assert.Equal(t, shadow.RouteCoverage{Route: "PUT /large", Lost: map[shadow.Reason]uint64{shadow.ReasonBodyTooLarge: 6},
		Why: "6 body-too-large"}, covered(t, list, "PUT /large"))
	assert.Equal(t, "3 primary-refused", covered(t, list, "GET /refused").Why)
	assert.Equal(t, "3 loop", covered(t, list, "GET /loop").Why)
	assert.Equal(t, shadow.RouteCoverage{Route: "GET /internal/stats", Passed: map[shadow.Reason]uint64{shadow.ReasonNotSampled: 3},
		Why: "3 not-sampled"}, covered(t, list, "GET /internal/stats"), "a route that is never sampled is known")
	assert.Equal(t, shadow.RouteCoverage{Route: "DELETE /same/{}", Passed: map[shadow.Reason]uint64{shadow.ReasonMethod: 3},
		Why: "3 method, before it could be sampled"}, covered(t, list, "DELETE /same/{}"))
	assert.Len(t, list, 8)
}

// Of what is not sampled the first requests are looked at, and then one in 64: all routes
// with traffic are known, and the numbers are about right.
func TestCoverageEstimatesWhatIsNotSampled(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /a/{id}", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /b/{id}", func(http.ResponseWriter, *http.Request) {})
	m, _ := mirror(t, shadow.InProcess("v2", text("ok")), shadow.WithSampler(shadow.Rate(0)))
	h := m.Handler(mux)
	const n = 20_000
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for range n / 4 {
				path := "/a/1"
				if rand.IntN(10) == 0 {
					path = "/b/1"
				}
				h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
			}
		})
	}
	clients.Wait()
	list := m.Coverage()
	require.Len(t, list, 2)
	a, b := covered(t, list, "GET /a/{id}").Passed[shadow.ReasonNotSampled], covered(t, list, "GET /b/{id}").Passed[shadow.ReasonNotSampled]
	assert.InDelta(t, n, a+b, 64*float64(4*runtime.GOMAXPROCS(0)), "each counter is short of 64 at most")
	assert.Greater(t, a, 4*b, "%d and %d", a, b)
	assert.Positive(t, b)
}

// A copy that is refused while its primary runs is one copy lost, of the route that the
// primary's router names.
func TestCoverageCountsARefusedParallelCopyOnce(t *testing.T) {
	for name, request := range map[string]func() *http.Request{
		"without a body": func() *http.Request { return httptest.NewRequest("GET", "/orders/7", nil) },
		"with a body":    func() *http.Request { return httptest.NewRequest("GET", "/orders/7", strings.NewReader("body")) },
	} {
		t.Run(name, func(t *testing.T) {
			hang := make(chan struct{})
			entered := make(chan struct{}, 10)
			m, _ := mirror(t, shadow.InProcess("v2", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { entered <- struct{}{}; <-hang })),
				shadow.WithTiming(shadow.Parallel), shadow.WithConcurrency(1), shadow.WithQueue(1, 1<<20))
			mux := http.NewServeMux()
			mux.HandleFunc("GET /orders/{id}", func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
			h := m.Handler(mux)
			h.ServeHTTP(httptest.NewRecorder(), request())
			<-entered
			for range 9 {
				h.ServeHTTP(httptest.NewRecorder(), request())
			}
			lost := m.Stats().Dropped[shadow.ReasonQueueFull]
			assert.Equal(t, uint64(8), lost)
			list := m.Coverage()
			require.Len(t, list, 1, "%+v", list)
			assert.Equal(t, lost, covered(t, list, "GET /orders/{id}").Lost[shadow.ReasonQueueFull])
			close(hang)
			require.NoError(t, m.Shutdown(t.Context()))
			assert.Equal(t, uint64(2), func() uint64 { c := covered(t, m.Coverage(), "GET /orders/{id}"); return c.Compared() }())
		})
	}
}

// What is counted by route is what the ledger counts, less what is not sampled.
func TestCoverageAddsUpToTheLedger(t *testing.T) {
	for _, timing := range []shadow.Timing{shadow.AfterPrimary, shadow.Parallel} {
		t.Run(string(timing), func(t *testing.T) { coverageAddsUp(t, shadow.WithTiming(timing)) })
	}
}

func coverageAddsUp(t *testing.T, timing shadow.Option) {
	for reason, scenario := range scenarios(timing) {
		t.Run(string(reason), func(t *testing.T) {
			m := scenario(t)
			if err := m.Close(); err != nil {
				t.Log(err)
			}
			if reason != shadow.ReasonQueueFull && reason != shadow.ReasonBytesFull { // there a candidate hangs
				require.Eventually(t, func() bool { s := m.Stats(); return s.Queued+s.Running == 0 }, time.Minute, time.Millisecond)
			}
			s := m.Stats()
			want := map[shadow.Reason]uint64{}
			for _, counts := range []map[shadow.Reason]uint64{s.Skipped, s.Dropped} {
				for r, n := range counts {
					want[r] += n
				}
			}
			for _, r := range []shadow.Reason{
				shadow.ReasonDisabled, shadow.ReasonMethod, shadow.ReasonNotSampled, shadow.ReasonSamplerFailed, // not sampled
				shadow.ReasonBreakerOpen, shadow.ReasonBudget, shadow.ReasonOverload, shadow.ReasonOverhead, shadow.ReasonShutDown, // all routes
			} {
				delete(want, r)
			}
			got := map[shadow.Reason]uint64{}
			defer func() { assert.Equal(t, want, got) }()
			var match, mismatch, failed, uncompared uint64
			for _, c := range m.Coverage() {
				for r, n := range c.Lost {
					got[r] += n
				}
				delete(got, shadow.ReasonBreakerOpen) // of copies that waited
				delete(got, shadow.ReasonBudget)
				delete(got, shadow.ReasonOverload)
				delete(got, shadow.ReasonOverhead)
				delete(got, shadow.ReasonShutDown)
				match, mismatch, failed, uncompared = match+c.Match, mismatch+c.Mismatch, failed+c.Failed, uncompared+c.Uncompared
			}
			assert.Equal(t, []uint64{s.Match, s.Mismatch, s.Failed, s.Uncompared}, []uint64{match, mismatch, failed, uncompared})
		})
	}
}

func TestCoverageIsBounded(t *testing.T) {
	m, _ := mirror(t, shadow.InProcess("v2", text("ok")), shadow.WithQueue(5000, 1<<20),
		shadow.WithRoute(func(r *http.Request) string { return r.URL.Path }))
	h := m.Handler(text("ok"))
	var clients sync.WaitGroup
	for c := range 4 {
		clients.Go(func() {
			for i := range 500 {
				getFrom(h, fmt.Sprintf("/%d/%d", c, i))
			}
		})
	}
	clients.Wait()
	require.NoError(t, m.Shutdown(t.Context()))
	list := m.Coverage()
	assert.Len(t, list, 1001)
	other := covered(t, list, "(other)")
	all := other.Match + other.Uncompared
	for _, n := range other.Lost {
		all += n
	}
	assert.Equal(t, uint64(1000), all, other)
}

// A scanner asks for thousands of paths that do not exist. The routes that do exist have an
// entry of their own all the same.
func TestCoverageKeepsPlacesForRoutesThatExist(t *testing.T) {
	scan := func(h http.Handler, n int) {
		for i := range n {
			h.ServeHTTP(discardWriter{http.Header{}}, httptest.NewRequest("GET", "/scan/"+letters(i), nil))
		}
	}
	mux := http.NewServeMux()
	mux.Handle("GET /orders/{id}", text("ok"))
	mux.HandleFunc("GET /refused/{id}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
	serves := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // without patterns
		if strings.HasPrefix(r.URL.Path, "/orders/") {
			io.WriteString(w, "ok")
			return
		}
		http.NotFound(w, r)
	})
	all := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") })
	for name, c := range map[string]struct {
		primary http.Handler
		route   string
		options []shadow.Option
	}{
		"a pattern, sampled":         {mux, "GET /orders/{id}", nil},
		"a pattern, not sampled":     {mux, "GET /orders/{id}", []shadow.Option{shadow.WithSampler(shadow.Rate(0))}},
		"a pattern, refused":         {mux, "GET /refused/{id}", nil},
		"a template that is served":  {serves, "GET /orders/{}", nil},
		"beside paths that all work": {http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { r.Pattern = pattern(r); all(w, r) }), "GET /orders/{id}", nil},
	} {
		for _, timing := range []shadow.Timing{shadow.AfterPrimary, shadow.Parallel} {
			t.Run(name+" "+string(timing), func(t *testing.T) {
				m, err := shadow.New(shadow.InProcess("v2", http.NotFoundHandler()), append(c.options, calm, shadow.WithTiming(timing),
					shadow.WithQueue(3000, 64<<20), shadow.WithReporter(shadow.ReporterFunc(func(context.Context, *shadow.Result) error { return nil })))...)
				require.NoError(t, err)
				h := m.Handler(c.primary)
				one := 1 // of so many requests is looked at
				if strings.HasSuffix(name, "not sampled") {
					one = 64
				}
				scan(h, 1200*one)
				require.Eventually(t, func() bool { s := m.Stats(); return s.Queued+s.Running == 0 }, time.Minute, time.Millisecond)
				for range 20 * one {
					getFrom(h, "/"+strings.SplitN(c.route, "/", 3)[1]+"/17")
				}
				require.NoError(t, m.Shutdown(t.Context()))
				list := m.Coverage()
				known := map[string]bool{}
				for _, c := range list {
					known[c.Route] = true
				}
				assert.True(t, known[c.route], c.route)
				assert.True(t, known["(other)"], "the others")
				assert.LessOrEqual(t, len(list), 1002, "what does not exist is bounded as ever")
			})
		}
	}
}

// pattern is what a router would say of r that knows one route.
func pattern(r *http.Request) string {
	if strings.HasPrefix(r.URL.Path, "/orders/") {
		return "/orders/{id}"
	}
	return ""
}
