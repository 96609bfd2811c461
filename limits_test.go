package shadow_test

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

// What opens a breaker, by default after 20 copies, and what does not.
func TestWhatOpensABreaker(t *testing.T) {
	inProcess := func(h http.HandlerFunc) shadow.Target { return shadow.InProcess("v2", h) }
	some := func(bad, of int64) http.HandlerFunc { // of each of so many, the first are bad
		var n atomic.Int64
		return func(w http.ResponseWriter, r *http.Request) {
			if (n.Add(1)-1)%of < bad {
				panic("bad")
			}
			fine(w, r)
		}
	}
	long := func(size int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, size)) }
	}
	for name, c := range map[string]struct {
		target  shadow.Target
		primary http.HandlerFunc
		opts    []shadow.Option
		copies  int
		want    shadow.BreakerState
	}{
		"errors":                                   {failingWith(errors.New("refused")), fine, nil, 20, shadow.BreakerOpen},
		"panics":                                   {inProcess(func(http.ResponseWriter, *http.Request) { panic("bad") }), fine, nil, 20, shadow.BreakerOpen},
		"exits":                                    {inProcess(func(http.ResponseWriter, *http.Request) { runtime.Goexit() }), fine, nil, 20, shadow.BreakerOpen},
		"every other one":                          {inProcess(some(1, 2)), fine, nil, 21, shadow.BreakerOpen},
		"less than every other":                    {inProcess(some(2, 5)), fine, nil, 100, shadow.BreakerClosed},
		"less, but more than is wanted":            {inProcess(some(2, 5)), fine, []shadow.Option{shadow.WithBreaker(shadow.BreakerOptions{Failures: 0.4})}, 21, shadow.BreakerOpen},
		"few, where few are enough":                {failingWith(io.EOF), fine, []shadow.Option{shadow.WithBreaker(shadow.BreakerOptions{Min: 2})}, 2, shadow.BreakerOpen},
		"server errors":                            {inProcess(broken), fine, nil, 20, shadow.BreakerOpen},
		"which the primary has too":                {inProcess(broken), broken, nil, 100, shadow.BreakerClosed},
		"which the primary has alone":              {inProcess(fine), broken, nil, 100, shadow.BreakerClosed},
		"server errors that nobody reads":          {shadow.Target{Name: "v2", Transport: shadow.HandlerTransport(broken), Discard: true}, fine, nil, 20, shadow.BreakerOpen},
		"client errors":                            {inProcess(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }), fine, nil, 100, shadow.BreakerClosed},
		"differences":                              {inProcess(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "other") }), fine, nil, 100, shadow.BreakerClosed},
		"answers without an end":                   {inProcess(long(1<<20 + 1)), fine, nil, 20, shadow.BreakerOpen},
		"answers without an end that nobody reads": {shadow.Target{Name: "v2", Transport: shadow.HandlerTransport(long(1<<20 + 1)), Discard: true}, fine, nil, 20, shadow.BreakerOpen},
		"long answers":                             {inProcess(long(1 << 20)), fine, nil, 100, shadow.BreakerClosed},
		"as long as the primary's":                 {inProcess(long(2 << 20)), long(2 << 20), nil, 100, shadow.BreakerClosed},
		"a Masker that fails": {shadow.Target{Name: "v2", Transport: shadow.HandlerTransport(fine),
			Masker: shadow.MaskerFunc(func(*shadow.Message) error { return io.EOF })}, fine, nil, 100, shadow.BreakerClosed},
		"switched off": {failingWith(io.EOF), fine, []shadow.Option{shadow.WithBreaker(shadow.BreakerOptions{Off: true})}, 100, shadow.BreakerClosed},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, c.primary, c.target, func(t *testing.T, m *limited) {
				m.Ask(c.copies - 1)
				assert.Equal(t, shadow.BreakerClosed, m.Breaker("v2"))
				m.Ask(1)
				assert.Equal(t, c.want, m.Breaker("v2"))
				assert.Zero(t, m.Stats().Dropped[shadow.ReasonBreakerOpen])
				m.Ask(1)
				if c.want == shadow.BreakerOpen {
					assert.EqualValues(t, 1, m.Stats().Dropped[shadow.ReasonBreakerOpen])
					assert.Equal(t, []shadow.EventKind{shadow.EventBreakerOpen}, m.Events.Kinds())
				} else {
					assert.Zero(t, m.Stats().Dropped[shadow.ReasonBreakerOpen])
					assert.NotContains(t, m.Events.Kinds(), shadow.EventBreakerOpen)
				}
			}, c.opts...)
		})
	}
}

// A copy is slow if it takes more than half of its timeout, or more than the options say.
func TestSlowCopiesOpenABreaker(t *testing.T) {
	for name, c := range map[string]struct {
		took time.Duration
		opts shadow.BreakerOptions
		want shadow.BreakerState
	}{
		"just fast enough":    {5 * time.Second, shadow.BreakerOptions{}, shadow.BreakerClosed},
		"just too slow":       {5*time.Second + 1, shadow.BreakerOptions{}, shadow.BreakerOpen},
		"fast, not very fast": {2 * time.Second, shadow.BreakerOptions{Slow: time.Second}, shadow.BreakerOpen},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, fine, shadow.InProcess("v2", sleeping(c.took)), func(t *testing.T, m *limited) {
				for range 20 {
					getFrom(m.Front, "/")
				}
				m.Pass(10 * time.Second)
				assert.Equal(t, c.want, m.Breaker("v2"))
			}, shadow.WithBreaker(c.opts), shadow.WithConcurrency(20))
		})
	}
}

// Copies are counted when they end. A target that hangs fails each of them a whole timeout
// after it began, which is more than a window ago.
func TestATargetThatHangsOpensTheBreaker(t *testing.T) {
	deaf := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(time.Hour) })
	for name, candidate := range map[string]http.HandlerFunc{"obeys its context": hung, "does not": deaf} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, fine, shadow.InProcess("v2", candidate), func(t *testing.T, m *limited) {
				for range 200 {
					getFrom(m.Front, "/")
				}
				m.Pass(10*time.Second - 1)
				assert.Equal(t, shadow.BreakerClosed, m.Breaker("v2"))
				m.Pass(1)
				assert.Equal(t, shadow.BreakerOpen, m.Breaker("v2"))
				s := m.Stats()
				assert.EqualValues(t, 64, s.Failed)
				if name == "obeys its context" {
					assert.EqualValues(t, 200-64-s.Running, s.Dropped[shadow.ReasonBreakerOpen]+s.Dropped[shadow.ReasonExpired], "those that waited have waited in vain")
					assert.Less(t, s.Running, 20, "some began before that was known")
				}
				m.Pass(2 * time.Hour)
			}, shadow.WithConcurrency(64), shadow.WithBreaker(shadow.BreakerOptions{Window: time.Second, Pause: time.Hour}))
		})
	}
}

func TestFailuresOfLongAgoOpenNoBreaker(t *testing.T) {
	inBubble(t, fine, failingWith(io.EOF), func(t *testing.T, m *limited) {
		m.Ask(19)
		m.Pass(10 * time.Second)
		m.Ask(19)
		assert.Equal(t, shadow.BreakerClosed, m.Breaker("v2"))
		m.Ask(1)
		assert.Equal(t, shadow.BreakerOpen, m.Breaker("v2"))
	})
}

func TestAnOpenBreakerTriesAgain(t *testing.T) {
	candidate := (&switched{}).To(broken)
	inBubble(t, fine, shadow.InProcess("v2", candidate), func(t *testing.T, m *limited) {
		m.Ask(20)
		require.Equal(t, shadow.BreakerOpen, m.Breaker("v2"))
		m.Pass(10*time.Second - 5*time.Millisecond)
		m.Ask(1)
		assert.EqualValues(t, 20, candidate.Asked.Load(), "it is open")
		m.Pass(10 * time.Millisecond)
		assert.Equal(t, shadow.BreakerHalfOpen, m.Breaker("v2"))
		m.Ask(1)
		assert.Equal(t, shadow.BreakerOpen, m.Breaker("v2"), "one failure is enough")
		assert.EqualValues(t, 21, candidate.Asked.Load())

		candidate.To(fine)
		m.Pass(10*time.Second + 5*time.Millisecond)
		m.Ask(2)
		assert.Equal(t, shadow.BreakerHalfOpen, m.Breaker("v2"))
		m.Ask(1)
		assert.Equal(t, shadow.BreakerClosed, m.Breaker("v2"))
		m.Ask(100)
		assert.EqualValues(t, 21+3+100, candidate.Asked.Load())
		assert.Equal(t, []shadow.EventKind{shadow.EventBreakerOpen, shadow.EventBreakerHalfOpen, shadow.EventBreakerClosed}, m.Events.Kinds())
		assert.Equal(t, "v2", m.Events.Events()[0].Target)
		assert.Contains(t, m.Events.Events()[0].Text, "10s")
	})
}

// However many requests there are while it tries, no more than the probes are sent, and no
// more are even copied once these are under way.
func TestABreakerTriesWithItsProbesOnly(t *testing.T) {
	candidate := (&switched{}).To(broken)
	inBubble(t, fine, shadow.InProcess("v2", candidate), func(t *testing.T, m *limited) {
		m.Ask(20)
		m.Pass(10*time.Second + 5*time.Millisecond)
		candidate.To(hung)
		measured := m.Stats().Overhead.Requests
		m.Ask(50)
		assert.EqualValues(t, 23, candidate.Asked.Load())
		assert.EqualValues(t, measured+3, m.Stats().Overhead.Requests, "the other ones were not copied")
		assert.Equal(t, shadow.BreakerHalfOpen, m.Breaker("v2"))
		m.Pass(10 * time.Second)
		assert.Equal(t, shadow.BreakerOpen, m.Breaker("v2"))
	})
}

// A probe that was not sent after all leaves its place to another one.
func TestAProbeThatSaysNothingIsNoProbe(t *testing.T) {
	var unreadable atomic.Bool
	candidate := (&switched{}).To(broken)
	target := shadow.InProcess("v2", candidate)
	target.Masker = shadow.MaskerFunc(func(*shadow.Message) error {
		if unreadable.Load() {
			return io.EOF
		}
		return nil
	})
	inBubble(t, fine, target, func(t *testing.T, m *limited) {
		m.Ask(20)
		m.Pass(10*time.Second + 5*time.Millisecond)
		unreadable.Store(true)
		m.Ask(10)
		assert.EqualValues(t, 10, m.Stats().Dropped[shadow.ReasonMaskFailed])
		assert.Equal(t, shadow.BreakerHalfOpen, m.Breaker("v2"))
		unreadable.Store(false)
		candidate.To(fine)
		m.Ask(3)
		assert.Equal(t, shadow.BreakerClosed, m.Breaker("v2"))
	})
}

// What comes of a copy that began before a breaker opened says nothing about now.
func TestALateFailureDoesNotCountAgain(t *testing.T) {
	candidate := (&switched{}).To(sleeping(8 * time.Second)) // slow
	inBubble(t, fine, shadow.InProcess("v2", candidate), func(t *testing.T, m *limited) {
		m.Ask(10)
		candidate.To(broken)
		m.Ask(5)
		require.Equal(t, shadow.BreakerOpen, m.Breaker("v2"))
		m.Pass(2*time.Second + 1)
		candidate.To(fine)
		m.Ask(3)
		require.Equal(t, shadow.BreakerClosed, m.Breaker("v2"))
		m.Pass(10 * time.Second)
		assert.Equal(t, shadow.BreakerClosed, m.Breaker("v2"))
		assert.Zero(t, m.Stats().Running)
	}, shadow.WithBreaker(shadow.BreakerOptions{Min: 5, Pause: 2 * time.Second}), shadow.WithConcurrency(20))
}

// The control has a breaker of its own. While it is open the control is not asked.
func TestTheControlHasItsOwnBreaker(t *testing.T) {
	for name, failing := range map[string]http.HandlerFunc{
		"panics": func(http.ResponseWriter, *http.Request) { panic("control") },
		"exits":  func(http.ResponseWriter, *http.Request) { runtime.Goexit() },
		"broken": broken,
	} {
		t.Run(name, func(t *testing.T) {
			control := (&switched{}).To(failing)
			differs := shadow.InProcess("v2", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "other") }))
			inBubble(t, fine, differs, func(t *testing.T, m *limited) {
				m.Ask(100)
				assert.Equal(t, shadow.BreakerClosed, m.Breaker("v2"))
				assert.Equal(t, shadow.BreakerOpen, m.Breaker("v1"))
				assert.EqualValues(t, 20, control.Asked.Load())
				assert.EqualValues(t, 100, m.Stats().Mismatch+m.Stats().Match)
				assert.Equal(t, "v1", m.Events.Events()[0].Target)
				control.To(fine)
				m.Pass(10*time.Second + 5*time.Millisecond)
				m.Ask(3)
				assert.Equal(t, shadow.BreakerClosed, m.Breaker("v1"))
				assert.Equal(t, []shadow.EventKind{shadow.EventBreakerOpen, shadow.EventBreakerHalfOpen, shadow.EventBreakerClosed}, m.Events.Kinds())
			}, shadow.WithControl(shadow.InProcess("v1", control)))
		})
	}
}

func TestAControlThatHangsOpensItsBreaker(t *testing.T) {
	deaf := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(time.Minute) })
	differs := shadow.InProcess("v2", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "other") }))
	inBubble(t, fine, differs, func(t *testing.T, m *limited) {
		for range 20 {
			getFrom(m.Front, "/")
		}
		m.Pass(10 * time.Second)
		assert.Equal(t, shadow.BreakerOpen, m.Breaker("v1"))
		assert.Equal(t, shadow.BreakerClosed, m.Breaker("v2"))
		m.Pass(time.Minute)
	}, shadow.WithControl(shadow.InProcess("v1", deaf)), shadow.WithConcurrency(20))
}

// withMemoryLimit has the process overloaded, or not: of a limit of a terabyte, more
// than a billionth is live.
func withMemoryLimit(limit int64) {
	debug.SetMemoryLimit(limit)
	runtime.GC()
}

var anyHeap = shadow.WithLoadShedding(shadow.LoadSheddingOptions{Heap: 1e-9, Wait: time.Hour})

// readings has requests copied for at least n readings of the load.
func readings(m *limited, n int) {
	for range 10 * n { // a process at rest tells less often
		m.Ask(1)
		m.Pass(100 * time.Millisecond)
	}
}

func TestUnderOverloadCopiesAreDropped(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(-1))
	inBubbleAsIs(t, fine, shadow.InProcess("v2", fine), func(t *testing.T, m *limited) {
		readings(m, 4)
		assert.Equal(t, 8, m.Stats().Concurrency)

		withMemoryLimit(1 << 40)
		readings(m, 8)
		s := m.Stats()
		assert.Zero(t, s.Concurrency)
		dropped := s.Dropped[shadow.ReasonOverload]
		require.Positive(t, dropped)
		m.Ask(10)
		assert.Equal(t, dropped+10, m.Stats().Dropped[shadow.ReasonOverload])
		assert.Equal(t, []shadow.EventKind{shadow.EventOverload}, m.Events.Kinds())

		withMemoryLimit(math.MaxInt64)
		m.Pass(2 * time.Minute) // without a request
		assert.Equal(t, 8, m.Stats().Concurrency)
		assert.Equal(t, []shadow.EventKind{shadow.EventOverload, shadow.EventOverloadOver}, m.Events.Kinds())
		dropped = m.Stats().Dropped[shadow.ReasonOverload]
		m.Ask(10)
		assert.Equal(t, dropped, m.Stats().Dropped[shadow.ReasonOverload])
	}, anyHeap)
}

// By default it is overload when over four fifths of the memory limit are live.
func TestTheOverloadOfTheHeapIsThatOfTheMemoryLimit(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(-1))
	ballast := make([]byte, 128<<20) // beside it, what else is live is little
	runtime.GC()
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	live := float64(sample[0].Value.Uint64())
	for name, c := range map[string]struct {
		share float64
		want  int
	}{"under it": {0.75, 8}, "over it": {0.85, 0}} {
		t.Run(name, func(t *testing.T) {
			inBubbleAsIs(t, fine, shadow.InProcess("v2", fine), func(t *testing.T, m *limited) {
				withMemoryLimit(int64(live / c.share))
				readings(m, 8)
				assert.Equal(t, c.want, m.Stats().Concurrency)
			}, shadow.WithLoadShedding(shadow.LoadSheddingOptions{Wait: time.Hour}))
		})
	}
	runtime.KeepAlive(ballast)
}

func TestLoadSheddingCanBeSwitchedOff(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(-1))
	withMemoryLimit(1 << 40)
	inBubbleAsIs(t, fine, shadow.InProcess("v2", fine), func(t *testing.T, m *limited) {
		readings(m, 8)
		assert.Equal(t, 8, m.Stats().Concurrency)
		assert.Empty(t, m.Stats().Dropped)
	}, shadow.WithLoadShedding(shadow.LoadSheddingOptions{Off: true, Heap: 1e-9}))
}

// Copies that run when the overload comes go on; those that wait are dropped.
func TestOverloadDropsWhatWaits(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(-1))
	inBubbleAsIs(t, fine, shadow.InProcess("v2", sleeping(9*time.Second)), func(t *testing.T, m *limited) {
		withMemoryLimit(1 << 40)
		for range 10 {
			getFrom(m.Front, "/")
		}
		readings(m, 8)
		s := m.Stats()
		assert.Zero(t, s.Concurrency)
		assert.EqualValues(t, 2, s.Running)
		m.Pass(time.Minute)
		s = m.Stats()
		assert.EqualValues(t, 2, s.Match)
		assert.Equal(t, s.Requests-2, s.Dropped[shadow.ReasonOverload])
	}, anyHeap, shadow.WithConcurrency(2), shadow.WithBreaker(shadow.BreakerOptions{Off: true}))
}

// ponderous is a Mirror that takes its time to name routes.
func ponderous(took *atomic.Int64) shadow.Option {
	return shadow.WithRoute(func(*http.Request) string {
		time.Sleep(time.Duration(took.Load()))
		return "/"
	})
}

func TestTheOverheadIsMeasured(t *testing.T) {
	var took atomic.Int64
	took.Store(int64(3 * time.Millisecond))
	inBubble(t, sleeping(time.Second), shadow.InProcess("v2", fine), func(t *testing.T, m *limited) {
		assert.Zero(t, m.Stats().Overhead)
		m.Ask(99)
		took.Store(int64(100 * time.Millisecond))
		m.Ask(2)
		o := m.Stats().Overhead
		assert.EqualValues(t, 101, o.Requests)
		assert.InEpsilon(t, 3*time.Millisecond, o.P50, 0.25)
		assert.InEpsilon(t, 100*time.Millisecond, o.P99, 0.25)

		rt := m.Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			return &http.Response{StatusCode: 200, Body: http.NoBody, Request: r}, nil
		}))
		for range 1000 {
			_, err := rt.RoundTrip(httptest.NewRequest("GET", "/", nil))
			require.NoError(t, err)
		}
		assert.InEpsilon(t, 100*time.Millisecond, m.Stats().Overhead.P50, 0.25, "of Transport too")
		assert.EqualValues(t, 1101, m.Stats().Overhead.Requests)
	}, ponderous(&took), shadow.WithOverhead(shadow.OverheadOptions{Off: true}))
}

func TestRequestsThatAreNotCopiedAreNotMeasured(t *testing.T) {
	inBubble(t, fine, shadow.InProcess("v2", fine), func(t *testing.T, m *limited) {
		m.Ask(100)
		assert.Zero(t, m.Stats().Overhead)
	}, shadow.WithSampler(shadow.Rate(0)))
}

func TestAMirrorThatTakesTooLongSwitchesItselfOff(t *testing.T) {
	var took atomic.Int64
	took.Store(int64(2 * time.Millisecond))
	inBubble(t, sleeping(time.Millisecond), shadow.InProcess("v2", fine), func(t *testing.T, m *limited) {
		m.Ask(1500)
		assert.Empty(t, m.Stats().Dropped, "the window is not over")
		m.Pass(10 * time.Second)
		m.Ask(1)
		m.Pass(time.Second)
		m.Ask(100)
		assert.EqualValues(t, 100, m.Stats().Dropped[shadow.ReasonOverhead])
		assert.EqualValues(t, 1501, m.Stats().Overhead.Requests)
		assert.Equal(t, []shadow.EventKind{shadow.EventOverhead}, m.Events.Kinds())

		took.Store(0)
		m.Pass(30 * time.Second)
		m.Ask(1500)
		m.Pass(10 * time.Second)
		m.Ask(1)
		m.Pass(time.Second)
		m.Ask(1)
		assert.EqualValues(t, 100, m.Stats().Dropped[shadow.ReasonOverhead], "the Mirror has got over it")
		assert.Equal(t, []shadow.EventKind{shadow.EventOverhead, shadow.EventOverheadOver}, m.Events.Kinds())
	}, ponderous(&took))
}

func TestWhatIsNotTooMuchOverhead(t *testing.T) {
	for name, c := range map[string]struct {
		took     time.Duration
		requests int
		opts     shadow.OverheadOptions
	}{
		"exactly the limit":  {time.Millisecond, 2000, shadow.OverheadOptions{}},
		"too few requests":   {time.Second, 999, shadow.OverheadOptions{}},
		"a limit of its own": {time.Second, 2000, shadow.OverheadOptions{P99: time.Second}},
		"switched off":       {time.Second, 2000, shadow.OverheadOptions{Off: true}},
	} {
		t.Run(name, func(t *testing.T) {
			var took atomic.Int64
			took.Store(int64(c.took))
			inBubble(t, fine, shadow.InProcess("v2", fine), func(t *testing.T, m *limited) {
				m.Ask(c.requests)
				m.Pass(time.Minute)
				assert.Empty(t, m.Stats().Dropped)
				assert.Empty(t, m.Events.Kinds())
			}, ponderous(&took), shadow.WithOverhead(c.opts))
		})
	}
}

func TestABudgetOfRequests(t *testing.T) {
	candidate := (&switched{}).To(fine)
	inBubble(t, fine, shadow.InProcess("v2", candidate), func(t *testing.T, m *limited) {
		for window := range 3 {
			m.Ask(25)
			s := m.Stats()
			assert.EqualValues(t, 10*(window+1), candidate.Asked.Load())
			assert.EqualValues(t, 15*(window+1), s.Dropped[shadow.ReasonBudget])
			assert.EqualValues(t, 10, s.Budget.Requests)
			assert.EqualValues(t, 10*(window+1), s.Targets["v2"].Usage.Requests)
			assert.EqualValues(t, 10*(window+1), s.Overhead.Requests, "once it is used up nothing is copied")
			m.Pass(time.Minute)
			assert.Zero(t, m.Stats().Budget)
		}
		assert.Equal(t, []shadow.EventKind{shadow.EventBudgetSpent, shadow.EventBudgetRenewed, shadow.EventBudgetSpent,
			shadow.EventBudgetRenewed, shadow.EventBudgetSpent, shadow.EventBudgetRenewed}, m.Events.Kinds())
		assert.Contains(t, m.Events.Events()[0].Text, "59.999s")
	}, shadow.WithBudget(shadow.Budget{Window: time.Minute, Requests: 10}))
}

// As many copies as the budget has are sent, however many come at once.
func TestABudgetIsExactUnderLoad(t *testing.T) {
	candidate := (&switched{}).To(sleeping(time.Second))
	inBubble(t, fine, shadow.InProcess("v2", candidate), func(t *testing.T, m *limited) {
		for range 200 {
			getFrom(m.Front, "/")
		}
		m.Pass(time.Minute - 1)
		assert.EqualValues(t, 50, candidate.Asked.Load())
		assert.EqualValues(t, 150, m.Stats().Dropped[shadow.ReasonBudget])
	}, shadow.WithBudget(shadow.Budget{Window: time.Minute, Requests: 50}))
}

// Bytes are those of both bodies.
func TestABudgetOfBytes(t *testing.T) {
	large := strings.Repeat("x", 900)
	candidate := (&switched{}).To(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, large) })
	inBubble(t, http.HandlerFunc(echo), shadow.InProcess("v2", candidate), func(t *testing.T, m *limited) {
		for range 100 {
			postTo(m.Front, "/", large[:100])
			rest()
		}
		assert.EqualValues(t, 5, candidate.Asked.Load())
		assert.Equal(t, int64(5000), m.Stats().Budget.Bytes)
		assert.Equal(t, int64(5000), m.Stats().Targets["v2"].Usage.Bytes)
		assert.EqualValues(t, 95, m.Stats().Dropped[shadow.ReasonBudget])
	}, shadow.WithBudget(shadow.Budget{Window: time.Hour, Bytes: 4500}), allMethods)
}

// An answer to HEAD has the length of a body, and no body.
func TestALengthWithoutABodyIsNotUsed(t *testing.T) {
	target := shadow.Target{Name: "v2", Discard: true, Transport: roundTripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, ContentLength: 2 << 20, Body: http.NoBody}, nil
	})}
	inBubble(t, fine, target, func(t *testing.T, m *limited) {
		m.Front.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("HEAD", "/", nil))
		rest()
		assert.Equal(t, shadow.Usage{Requests: 1}, m.Stats().Targets["v2"].Usage)
		assert.Equal(t, shadow.BreakerClosed, m.Breaker("v2"), "nor is it endless")
	}, shadow.WithBreaker(shadow.BreakerOptions{Min: 1, Pause: time.Hour}))
}

// The CPU of a handler in process is the time it runs; of others, nothing is known.
func TestABudgetOfCPU(t *testing.T) {
	busy := (&switched{}).To(sleeping(time.Second))
	for name, c := range map[string]struct {
		target shadow.Target
		asked  int64
		used   time.Duration
	}{
		"in process": {shadow.InProcess("v2", busy), 3, 3 * time.Second},
		"elsewhere":  {shadow.Target{Name: "v2", Transport: elsewhere{shadow.HandlerTransport(busy)}}, 10, 0},
	} {
		t.Run(name, func(t *testing.T) {
			busy.Asked.Store(0)
			inBubble(t, fine, c.target, func(t *testing.T, m *limited) {
				for range 10 {
					m.Ask(1)
					m.Pass(time.Second)
				}
				assert.Equal(t, c.asked, busy.Asked.Load())
				assert.Equal(t, c.used, m.Stats().Targets["v2"].Usage.CPU)
				assert.Equal(t, c.used, m.Stats().Budget.CPU)
			}, shadow.WithBudget(shadow.Budget{Window: time.Hour, CPU: 3 * time.Second}))
		})
	}
}

func TestComparingIsPartOfTheCPU(t *testing.T) {
	slow := shadow.WithComparator(shadow.ComparatorFunc(func(*shadow.Exchange) []shadow.Diff { time.Sleep(time.Second); return nil }))
	inBubble(t, fine, shadow.Target{Name: "v2", Transport: elsewhere{shadow.HandlerTransport(fine)}}, func(t *testing.T, m *limited) {
		m.Ask(1)
		m.Pass(time.Second)
		assert.Equal(t, time.Second, m.Stats().Targets["v2"].Usage.CPU)
	}, slow)
}

// The copy to the control counts as much as that to the target, and is told apart.
func TestTheBudgetIsThatOfTargetAndControl(t *testing.T) {
	inBubble(t, fine, shadow.InProcess("v2", fine), func(t *testing.T, m *limited) {
		m.Ask(10)
		s := m.Stats()
		assert.EqualValues(t, 3, s.Match, "seven are three and a half pairs")
		assert.EqualValues(t, 6, s.Budget.Requests)
		assert.EqualValues(t, 3, s.Targets["v2"].Usage.Requests)
		assert.EqualValues(t, 3, s.Targets["v1"].Usage.Requests)
		assert.EqualValues(t, 6, s.Targets["v1"].Usage.Bytes)
		assert.Equal(t, shadow.BreakerClosed, s.Targets["v1"].Breaker)
	}, shadow.WithControl(shadow.InProcess("v1", fine)), shadow.WithBudget(shadow.Budget{Window: time.Hour, Requests: 7}))
}

func TestATariffMakesACostOfUsage(t *testing.T) {
	u := shadow.Usage{Requests: 1_000_000, Bytes: 2_000_000_000, CPU: 90 * time.Minute}
	assert.InDelta(t, 0.2+2*0.09+1.5*0.04, u.Cost(shadow.Tariff{Request: 2e-7, GB: 0.09, CPUHour: 0.04}), 1e-9)
	assert.Zero(t, u.Cost(shadow.Tariff{}))
	assert.Zero(t, shadow.Usage{}.Cost(shadow.Tariff{Request: 1, GB: 1, CPUHour: 1}))
}

// A reporter of events that blocks holds up no request.
func TestEventsAreNotToldOnTheGoroutineOfARequest(t *testing.T) {
	for name, c := range map[string]struct {
		target shadow.Target
		opt    shadow.Option
	}{
		"breaker": {failingWith(io.EOF), shadow.WithBreaker(shadow.BreakerOptions{Min: 1})},
		"budget":  {shadow.InProcess("v2", fine), shadow.WithBudget(shadow.Budget{Window: time.Hour, Requests: 1})},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &blocking{release: make(chan struct{})}
				m, err := shadow.New(c.target, c.opt, shadow.WithReporter(b))
				require.NoError(t, err)
				h := m.Handler(fine)
				for range 100 {
					getFrom(h, "/")
					rest()
				}
				assert.EqualValues(t, 1, b.told.Load())
				close(b.release)
				require.NoError(t, m.Shutdown(t.Context()))
				ledger(t, m)
			})
		})
	}
}

// blocking blocks where it is told of an event.
type blocking struct {
	reports
	told    atomic.Int64
	release chan struct{}
}

func (b *blocking) ReportEvent(context.Context, *shadow.Event) error {
	b.told.Add(1)
	<-b.release
	return nil
}

// After Shutdown no timer of a limit goes off.
func TestNothingHappensAfterShutdown(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(-1))
	withMemoryLimit(1 << 40)
	inBubbleAsIs(t, fine, failingWith(io.EOF), func(t *testing.T, m *limited) {
		readings(m, 4)
		m.Ask(5)
		require.NoError(t, m.Shutdown(t.Context()))
		before, state := m.Events.Kinds(), m.Breaker("v2")
		require.Contains(t, before, shadow.EventBudgetSpent)
		require.Contains(t, before, shadow.EventBreakerOpen)
		withMemoryLimit(math.MaxInt64)
		m.Pass(24 * time.Hour)
		m.Ask(5)
		assert.Equal(t, before, m.Events.Kinds())
		assert.Equal(t, state, m.Breaker("v2"))
	}, anyHeap, shadow.WithBreaker(shadow.BreakerOptions{Min: 5, Pause: time.Hour}), shadow.WithBudget(shadow.Budget{Window: 2 * time.Hour, Requests: 5}))
}

// Both sides are timed fairly: what a copy waits for its turn is not its shadow's time.
func TestWaitingForATurnIsNotTheShadowsTime(t *testing.T) {
	inBubble(t, sleeping(time.Second), shadow.InProcess("v2", sleeping(3*time.Second)), func(t *testing.T, m *limited) {
		for range 4 {
			getFrom(m.Front, "/")
		}
		m.Pass(time.Minute)
		results := m.Events.All()
		require.Len(t, results, 4)
		for i, res := range results {
			assert.Equal(t, time.Second, res.Primary.Took)
			assert.Equal(t, 3*time.Second, res.Shadow.Took)
			assert.Equal(t, time.Duration(2*i)*time.Second, res.Queued, "they come a second apart and take three")
		}
	}, shadow.WithConcurrency(1))
}

// The kill switch and the limits do not undo each other.
func TestTheKillSwitchIsNoLimit(t *testing.T) {
	inBubble(t, fine, shadow.InProcess("v2", fine), func(t *testing.T, m *limited) {
		m.SetEnabled(false)
		m.SetEnabled(false)
		m.Ask(1)
		m.SetEnabled(true)
		m.Ask(2)
		m.SetEnabled(false)
		m.Ask(1)
		assert.False(t, m.Enabled())
		m.SetEnabled(true)
		assert.True(t, m.Enabled(), "the budget is used up, which is another thing")
		m.Ask(1)
		assert.Equal(t, map[string]uint64{"disabled": 2, "match": 1, "budget": 2}, ledger(t, m.Mirror))
	}, shadow.WithBudget(shadow.Budget{Window: time.Hour, Requests: 1}))
}
