package limit

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// lab is Limits in a bubble, with what they said.
type lab struct {
	*Limits
	stops Stops

	mu      sync.Mutex
	events  []Event
	looks   int
	again   bool
	reading reading // what every look reads
}

func (l *lab) kinds() (kinds []Kind) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.events {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

// event returns what was said as number i.
func (l *lab) event(i int) Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.events[i]
}

// looked returns how often the watch has looked.
func (l *lab) looked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.looks
}

// pass lets d go by.
func (l *lab) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// send admits a copy, and records r of it.
func (l *lab) send(r Result) Stop {
	var c Copy
	if stop := l.Admit(&c, 0, false); stop != 0 {
		return stop
	}
	defer l.Leave()
	l.Record(Candidate, &c, r)
	return 0
}

func (l *lab) sendAll(n int, r Result) {
	for range n {
		l.send(r)
	}
}

// inLab runs test with Limits of a candidate and a control, in a process at rest.
func inLab(t *testing.T, change func(o *Options), test func(t *testing.T, l *lab)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := &lab{}
		o := Options{Stops: &l.stops, Concurrency: 4, Timeouts: []time.Duration{10 * time.Second, 4 * time.Second},
			Breaker:  BreakerOptions{Failures: 0.5, Window: 10 * time.Second, Min: 4, Pause: 5 * time.Second, Probes: 2},
			Shedding: SheddingOptions{Wait: time.Millisecond, Heap: 0.8},
			Overhead: OverheadOptions{P99: time.Millisecond, Window: 10 * time.Second, Min: 10, Pause: 30 * time.Second},
			Notify: func(e Event) {
				l.mu.Lock()
				defer l.mu.Unlock()
				l.events = append(l.events, e)
			},
			Watch: func() (func(), bool) {
				l.mu.Lock()
				defer l.mu.Unlock()
				l.looks++
				return nil, l.again
			},
		}
		if change != nil {
			change(&o)
		}
		l.Limits = New(o)
		l.read = func() (reading, bool) {
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.reading, true
		}
		defer l.Close()
		test(t, l)
	})
}

var failed = Result{Err: errors.New("refused")}

func TestWhatAResultSaysOfATarget(t *testing.T) {
	const slow = time.Second
	for name, c := range map[string]struct {
		r    Result
		want error
	}{
		"success":                        {Result{Answered: true, Status: 200, PrimaryStatus: 200, Took: slow}, nil},
		"slow":                           {Result{Answered: true, Status: 200, PrimaryStatus: 200, Took: slow + 1}, errSlow},
		"an error":                       {failed, failed.Err},
		"an error that says nothing":     {Result{Void: true, Err: failed.Err}, errNothing},
		"a server error":                 {Result{Answered: true, Status: 500, PrimaryStatus: 499}, errServer},
		"which the primary has too":      {Result{Answered: true, Status: 500, PrimaryStatus: 500}, nil},
		"a primary that has not yet":     {Result{Status: 500}, errNothing},
		"a client error":                 {Result{Answered: true, Status: 499, PrimaryStatus: 200}, nil},
		"which the primary has alone":    {Result{Answered: true, Status: 200, PrimaryStatus: 500}, nil},
		"endless":                        {Result{Answered: true, Status: 200, PrimaryStatus: 200, Endless: true}, errEndless},
		"endless, and a server error":    {Result{Answered: true, Status: 503, PrimaryStatus: 200, Endless: true}, errServer},
		"no answer of the primary, slow": {Result{Status: 200, Took: slow + 1}, errSlow},
	} {
		assert.Equal(t, c.want, c.r.fault(slow), name)
	}
}

func TestABreakerOpensTriesAndCloses(t *testing.T) {
	inLab(t, nil, func(t *testing.T, l *lab) {
		l.sendAll(3, failed)
		assert.Zero(t, l.stops.Load(), "Min are wanted")
		l.sendAll(1, failed)
		assert.Equal(t, Breaker, l.stops.Load())
		assert.Equal(t, Breaker, l.send(Result{}), "those that waited are not sent")
		assert.Equal(t, StateOpen, l.Stats().Targets[Candidate].Breaker)
		l.pass(5 * time.Second)
		assert.Equal(t, Breaker, l.stops.Load())
		l.pass(1)
		assert.Zero(t, l.stops.Load())
		assert.Equal(t, StateHalfOpen, l.Stats().Targets[Candidate].Breaker)
		l.send(failed)
		assert.Equal(t, Breaker, l.stops.Load(), "one probe is enough to fail")

		l.pass(5*time.Second + 1)
		var one, two, three Copy
		require.Zero(t, l.Admit(&one, 0, false))
		assert.Zero(t, l.stops.Load())
		require.Zero(t, l.Admit(&two, 0, false))
		assert.Equal(t, Breaker, l.stops.Load(), "all probes are under way")
		assert.Equal(t, Breaker, l.Admit(&three, 0, false))
		l.Record(Candidate, &one, Result{Void: true})
		assert.Zero(t, l.stops.Load(), "one that says nothing gives its place back")
		require.Zero(t, l.Admit(&three, 0, false))
		l.Record(Candidate, &three, Result{})
		assert.Equal(t, StateHalfOpen, l.Stats().Targets[Candidate].Breaker)
		l.Record(Candidate, &two, Result{})
		assert.Equal(t, StateClosed, l.Stats().Targets[Candidate].Breaker)
		assert.Zero(t, l.stops.Load())
		assert.Equal(t, []Kind{BreakerOpened, BreakerHalfOpened, BreakerClosed}, l.kinds())

		l.sendAll(4, failed) // it has forgotten the time before
		l.pass(5*time.Second + 1)
		assert.Equal(t, []Kind{BreakerOpened, BreakerHalfOpened, BreakerClosed, BreakerOpened, BreakerHalfOpened}, l.kinds())
	})
}

// A copy is counted once, with its first Result, and only in the state in which it began.
func TestTheFirstResultOfACopyCounts(t *testing.T) {
	inLab(t, nil, func(t *testing.T, l *lab) {
		var c Copy
		require.Zero(t, l.Admit(&c, 0, false))
		for range 10 {
			l.Record(Candidate, &c, failed)
		}
		assert.Zero(t, l.stops.Load())
		late := make([]Copy, 4)
		for i := range late {
			require.Zero(t, l.Admit(&late[i], 0, false))
		}
		l.sendAll(3, failed)
		require.Equal(t, Breaker, l.stops.Load())
		l.pass(5*time.Second + 1)
		l.sendAll(2, Result{})
		require.Zero(t, l.stops.Load())
		for i := range late {
			l.Record(Candidate, &late[i], failed)
		}
		assert.Zero(t, l.stops.Load())
		l.Record(Control, &Copy{}, failed) // was not asked
		assert.Equal(t, StateClosed, l.Stats().Targets[Control].Breaker)
	})
}

func TestABreakerThatIsOffNeverOpens(t *testing.T) {
	inLab(t, func(o *Options) { o.Breaker.Off = true }, func(t *testing.T, l *lab) {
		l.sendAll(100, failed)
		assert.Zero(t, l.stops.Load())
		assert.Empty(t, l.kinds())
	})
}

// A copy is slow after half of the timeout of its target, or after what the options say.
func TestTheLimitOfSlowCopies(t *testing.T) {
	for slow, limits := range map[time.Duration][2]time.Duration{0: {5 * time.Second, 2 * time.Second}, time.Second: {time.Second, time.Second}} {
		for target, limit := range limits {
			for took, state := range map[time.Duration]State{limit: StateClosed, limit + 1: StateOpen} {
				inLab(t, func(o *Options) { o.Breaker.Slow = slow }, func(t *testing.T, l *lab) {
					for range 4 {
						var c Copy
						require.Zero(t, l.Admit(&c, 0, true))
						l.Record(Target(target), &c, Result{Answered: true, Status: 200, PrimaryStatus: 200, Took: took})
						l.Leave()
					}
					assert.Equal(t, state, l.Stats().Targets[target].Breaker)
				})
			}
		}
	}
}

// The control has a breaker of its own, which stops nothing but itself.
func TestTheBreakerOfTheControlLeavesItOut(t *testing.T) {
	inLab(t, nil, func(t *testing.T, l *lab) {
		asked := func() bool {
			var c Copy
			require.Zero(t, l.Admit(&c, 10, true))
			l.Record(Candidate, &c, Result{})
			l.Record(Control, &c, failed)
			l.Leave()
			return c.Control
		}
		for range 4 {
			assert.True(t, asked())
		}
		assert.False(t, asked())
		assert.Zero(t, l.stops.Load())
		assert.Equal(t, []TargetStats{{StateClosed, Usage{Requests: 5, Bytes: 50}}, {StateOpen, Usage{Requests: 4, Bytes: 40}}}, l.Stats().Targets)
		l.pass(5*time.Second + 1)
		require.Equal(t, []Kind{BreakerOpened, BreakerHalfOpened}, l.kinds())
		assert.Equal(t, Control, l.event(0).Target)
		assert.Equal(t, Control, l.event(1).Target)
	})
}

func TestABudgetStopsUntilItsNextWindow(t *testing.T) {
	inLab(t, func(o *Options) { o.Budget = BudgetOptions{Window: time.Minute, Requests: 3, Bytes: 1000} }, func(t *testing.T, l *lab) {
		l.pass(time.Second)
		var c Copy
		require.Zero(t, l.Admit(&c, 10, true), "two requests")
		assert.Zero(t, l.stops.Load())
		assert.Equal(t, Budget, l.Admit(&Copy{}, 10, true), "they go together or not at all")
		assert.Equal(t, Budget, l.stops.Load())
		assert.Equal(t, Usage{Requests: 2, Bytes: 20}, l.Stats().Budget)
		require.Equal(t, []Kind{BudgetSpent}, l.kinds())
		assert.Contains(t, l.event(0).Text, "59s")
		l.pass(59*time.Second - 1)
		assert.Equal(t, Budget, l.stops.Load())
		l.pass(1)
		assert.Zero(t, l.stops.Load())
		assert.Equal(t, []Kind{BudgetSpent, BudgetRenewed}, l.kinds())
		assert.Zero(t, l.Stats().Budget)

		l.Spend(Control, 1000, time.Second)
		assert.Equal(t, Budget, l.stops.Load())
		assert.Equal(t, []Kind{BudgetSpent, BudgetRenewed, BudgetSpent}, l.kinds())
		assert.Equal(t, Usage{Requests: 1, Bytes: 1010, CPU: time.Second}, l.Stats().Targets[Control].Usage)
	})
}

// A budget that refuses a copy gives its places at the breakers and among those that run back.
func TestACopyThatTheBudgetRefusesHoldsNothing(t *testing.T) {
	inLab(t, func(o *Options) { o.Budget = BudgetOptions{Window: time.Hour, CPU: 1} }, func(t *testing.T, l *lab) {
		for range 4 {
			var c Copy
			require.Zero(t, l.Admit(&c, 0, true))
			l.Record(Candidate, &c, failed)
			l.Record(Control, &c, failed)
			l.Leave()
		}
		l.pass(5*time.Second + 1)
		l.Spend(Candidate, 0, 1)
		for range 10 {
			require.Equal(t, Budget, l.Admit(&Copy{}, 0, true), "the breakers have probes left")
		}
		assert.Zero(t, l.stops.Load()&Breaker)
		assert.Zero(t, l.valve.running)
		_, ok := l.targets[Control].breaker.enter()
		assert.True(t, ok)
	})
}

func TestWithoutABudgetNothingIsSpent(t *testing.T) {
	inLab(t, nil, func(t *testing.T, l *lab) {
		require.Zero(t, l.Admit(&Copy{}, 1<<40, true))
		l.Spend(Candidate, 1<<40, time.Hour)
		assert.Zero(t, l.Stats().Budget)
		assert.Zero(t, l.stops.Load())
	})
}

func TestOverheadStopsForAPause(t *testing.T) {
	inLab(t, nil, func(t *testing.T, l *lab) {
		for range 10 {
			l.Observe(2 * time.Millisecond)
		}
		l.pass(10 * time.Second)
		assert.Zero(t, l.stops.Load(), "the watch sleeps since the window is not over")
		l.Observe(2 * time.Millisecond)
		l.pass(100 * time.Millisecond)
		assert.Equal(t, Overhead, l.stops.Load())
		s := l.Stats().Overhead
		assert.EqualValues(t, 11, s.Requests)
		assert.InEpsilon(t, 2*time.Millisecond, s.P50, 0.25)
		assert.InEpsilon(t, 2*time.Millisecond, s.P99, 0.25)
		for range 10 {
			l.Observe(2 * time.Millisecond) // under way already
		}
		l.pass(30*time.Second - 1)
		assert.Equal(t, Overhead, l.stops.Load())
		l.pass(1)
		assert.Zero(t, l.stops.Load())
		require.Equal(t, []Kind{OverheadExceeded, OverheadForgiven}, l.kinds())
		assert.Contains(t, l.event(0).Text, "30s")
		l.pass(10 * time.Second)
		l.Observe(0)
		l.pass(time.Second)
		assert.Zero(t, l.stops.Load(), "what was before the pause is forgiven")
	})
	inLab(t, func(o *Options) { o.Overhead.Off = true }, func(t *testing.T, l *lab) {
		for range 200 {
			l.Observe(time.Second)
			l.pass(100 * time.Millisecond)
		}
		assert.Zero(t, l.stops.Load())
		assert.EqualValues(t, 200, l.Stats().Overhead.Requests)
	})
}

func TestAnOverloadedProcessShedsCopies(t *testing.T) {
	for name, off := range map[string]bool{"on": false, "off": true} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(o *Options) { o.Shedding.Off = off }, func(t *testing.T, l *lab) {
				var c Copy
				require.Zero(t, l.Admit(&c, 0, false))
				l.mu.Lock()
				l.reading = bad
				l.mu.Unlock()
				l.Wake()
				for range 4 {
					l.Wake()
					l.pass(watchEvery)
				}
				if off {
					assert.Zero(t, l.stops.Load())
					assert.Equal(t, 4, l.Stats().Concurrency)
					assert.Empty(t, l.kinds())
					return
				}
				assert.Equal(t, Overload, l.stops.Load())
				assert.Equal(t, 1, l.Stats().Concurrency)
				assert.Equal(t, Overload, l.Admit(&Copy{}, 0, false))
				l.Leave()
				assert.Zero(t, l.stops.Load())
				l.mu.Lock()
				l.reading = calm
				l.mu.Unlock()
				l.pass(time.Minute) // the watch goes on by itself
				assert.Equal(t, 4, l.Stats().Concurrency)
				assert.Equal(t, []Kind{OverloadBegan, OverloadEnded}, l.kinds())
			})
		})
	}
}

// The watch looks ten times a second while something is observed or is going on, and sleeps
// otherwise.
func TestTheWatchSleepsWhenNothingHappens(t *testing.T) {
	inLab(t, nil, func(t *testing.T, l *lab) {
		l.pass(time.Hour)
		assert.Zero(t, l.looked())
		l.Observe(0)
		l.Observe(0)
		l.pass(watchEvery - 1)
		assert.Zero(t, l.looked())
		l.pass(1)
		assert.Equal(t, 1, l.looked())
		l.pass(time.Hour)
		assert.Equal(t, 1, l.looked())
		l.mu.Lock()
		l.again = true
		l.mu.Unlock()
		l.Wake()
		l.pass(time.Second)
		assert.Equal(t, 11, l.looked())
	})
}

// What reports may block. The watch goes on, and so do the limits.
func TestAReportThatBlocksHoldsNothingUp(t *testing.T) {
	var release chan struct{} // of the bubble
	var watched, reported atomic.Int64
	inLab(t, func(o *Options) {
		release = make(chan struct{})
		o.Watch = func() (func(), bool) {
			watched.Add(1)
			return func() { reported.Add(1); <-release }, true
		}
	}, func(t *testing.T, l *lab) {
		l.Wake()
		l.pass(time.Second)
		assert.EqualValues(t, 10, watched.Load())
		assert.EqualValues(t, 10, reported.Load())
		l.Close()
		close(release)
		synctest.Wait()
	})
}

// After Close no timer fires.
func TestNothingHappensAfterClose(t *testing.T) {
	inLab(t, func(o *Options) { o.Budget = BudgetOptions{Window: time.Minute, Requests: 4} }, func(t *testing.T, l *lab) {
		for range 20 {
			l.Observe(time.Second)
		}
		l.sendAll(4, failed)
		l.pass(watchEvery)
		l.Observe(0)
		l.Close()
		before, looks, stops := slices.Clone(l.kinds()), l.looked(), l.stops.Load()
		require.Equal(t, []Kind{BudgetSpent, BreakerOpened}, before)
		l.pass(24 * time.Hour)
		l.Observe(0)
		l.pass(24 * time.Hour)
		assert.Equal(t, before, l.kinds())
		assert.Equal(t, looks, l.looked())
		assert.Equal(t, stops, l.stops.Load())
	})
}

func TestClosedLimitsSetNoTimer(t *testing.T) {
	inLab(t, nil, func(t *testing.T, l *lab) {
		l.Close()
		l.Wake()
		l.pass(time.Hour)
		assert.Zero(t, l.looked())
	})
}

func TestStopsAreSetAndReportedInOrder(t *testing.T) {
	var s Stops
	all := []Stop{Closed, Disabled, Budget, Breaker, Overhead, Overload, QueueFull}
	for i := range all {
		s.Set(all[len(all)-1-i], true)
		s.Set(all[len(all)-1-i], true)
		assert.Equal(t, len(all)-1-i, s.Load().Index())
	}
	for i, stop := range all {
		assert.Equal(t, i, s.Load().Index())
		s.Set(stop, false)
		s.Set(stop, false)
		assert.Zero(t, s.Load()&stop)
	}
	assert.Zero(t, s.Load())
}

func TestObservingAllocatesNothing(t *testing.T) {
	l := New(Options{Stops: &Stops{}, Concurrency: 1, Timeouts: []time.Duration{time.Second},
		Watch: func() (func(), bool) { return nil, false }, Notify: func(Event) {}})
	defer l.Close()
	l.Wake()
	var c Copy
	assert.Zero(t, testing.AllocsPerRun(100, func() { l.Observe(time.Microsecond) }))
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		c = Copy{}
		l.Admit(&c, 1, false)
		l.Leave()
	}))
}
