// Package limit holds what stops the copies of a mirror: the breaker of each target, load
// shedding, the limit on the time that the mirror adds to requests, and the budget.
//
// Limits is their one surface. It gets values and callbacks and knows nothing of requests.
// It starts no goroutine, and has a timer only while there is something to wait for.
package limit

import (
	"cmp"
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

// Stop is a set of reasons for which no request is copied, one bit each.
type Stop uint32

// The stops, in the order in which they are reported. Limits sets Budget to Overload, and
// its caller the other ones.
const (
	Closed Stop = 1 << iota
	Disabled
	Budget
	Breaker
	Overhead
	Overload
	QueueFull
)

// Index returns the position of the first stop in s, which is not empty: 0 for Closed.
func (s Stop) Index() int { return bits.TrailingZeros32(uint32(s)) }

// Stops is the Stop of a mirror. Every request reads it, with one atomic load. The zero value
// is empty. It is safe for concurrent use.
type Stops struct{ set atomic.Uint32 }

// Load returns all stops that are set.
func (s *Stops) Load() Stop { return Stop(s.set.Load()) }

// Set sets or clears stop. It skips redundant writes, because every request reads the word.
func (s *Stops) Set(stop Stop, on bool) {
	switch is := s.Load()&stop != 0; {
	case on && !is:
		s.set.Or(uint32(stop))
	case !on && is:
		s.set.And(^uint32(stop))
	}
}

// Target is one of the targets of a mirror.
type Target int

// The targets.
const (
	Candidate Target = iota
	Control
)

// Options are all values and callbacks of Limits. Every value is used as it is; see each
// field for what zero means.
type Options struct {
	Stops       *Stops
	Concurrency int             // copies that run at a time while the process is not overloaded
	Timeouts    []time.Duration // of the Candidate, and of the Control if there is one

	Breaker  BreakerOptions
	Shedding SheddingOptions
	Overhead OverheadOptions
	Budget   BudgetOptions

	// Notify reports an event. It may block. It is never called by Observe.
	Notify func(Event)
	// Watch is called about ten times a second after Observe or Wake, never concurrently. It
	// must not block. It returns a function that reports what it saw, which may block, or nil,
	// and whether it is to be called again although nothing is observed.
	Watch func() (report func(), again bool)
}

// OverheadOptions limit the time that a mirror adds to a request.
type OverheadOptions struct {
	Off    bool // measured, without consequence
	P99    time.Duration
	Window time.Duration
	Min    int
	Pause  time.Duration
}

// Kind is the kind of an Event.
type Kind int

// The kinds of events.
const (
	BreakerOpened     Kind = iota // a breaker that was closed has opened
	BreakerHalfOpened             // it lets probes through for the first time since then
	BreakerClosed                 // its probes have succeeded
	OverloadBegan                 // fewer copies run at a time
	OverloadEnded                 // as many as ever
	OverheadExceeded              // nothing is copied for OverheadOptions.Pause
	OverheadForgiven              // the pause is over
	BudgetSpent                   // nothing is copied until the next window
	BudgetRenewed                 // the next window has begun
)

// Event is a change that people want to know of.
type Event struct {
	Kind   Kind
	Target Target // of a breaker
	Text   string
}

// Usage is what copies have used.
type Usage struct {
	Requests uint64
	Bytes    int64
	CPU      time.Duration
}

// Stats is the state of Limits.
type Stats struct {
	Concurrency int // copies that may run at a time
	Overhead    struct {
		Requests uint64
		P50, P99 time.Duration
	}
	Budget  Usage // in the current window; zero without a budget
	Targets []TargetStats
}

// TargetStats is the state of a target.
type TargetStats struct {
	Breaker State
	Usage   Usage
}

// Limits are the limits of one mirror. It is safe for concurrent use.
type Limits struct {
	o       Options
	began   time.Time
	targets []*target
	valve   *valve
	added   *histogram
	budget  *budget

	// The watch is a timer that fires a watchEvery after something was observed.
	watching atomic.Bool
	watch    alarm
	read     func() (reading, bool) // for look alone

	mu    sync.Mutex
	judge judge // under mu

	pause alarm // until the overhead is forgiven
	renew alarm // until the next window of the budget
}

// target is what is limited and counted by target.
type target struct {
	breaker    *breaker
	requests   atomic.Uint64
	bytes, cpu atomic.Int64
}

// watchEvery is how often a busy mirror looks at load and overhead.
const watchEvery = 100 * time.Millisecond

// New returns Limits that have stopped nothing.
func New(o Options) *Limits {
	l := &Limits{o: o, began: time.Now(), read: readRuntime(),
		added: newHistogram(o.Overhead.P99),
		judge: judge{Window: o.Overhead.Window, Min: uint64(o.Overhead.Min)},
		valve: newValve(valveOptions{Wait: o.Shedding.Wait, Heap: o.Shedding.Heap, Most: o.Concurrency,
			Gate: func(shut bool) { o.Stops.Set(Overload, shut) }}),
	}
	for i, timeout := range o.Timeouts {
		gate := func(shut bool) { o.Stops.Set(Breaker, shut) }
		if Target(i) != Candidate {
			gate = func(bool) {} // without a control the copy is still worth sending
		}
		l.targets = append(l.targets, &target{breaker: newBreaker(o.Breaker, timeout, gate, func() { l.halfOpened(Target(i)) })})
	}
	l.budget = newBudget(cmp.Or(o.Budget.Window, time.Hour),
		Usage{Requests: uint64(o.Budget.Requests), Bytes: o.Budget.Bytes, CPU: o.Budget.CPU},
		l.Now, func(shut bool) { o.Stops.Set(Budget, shut) })
	return l
}

// Now returns the time since New. It is monotonic: the wall clock may jump.
func (l *Limits) Now() time.Duration { return time.Since(l.began) }

// Close stops all timers for good.
func (l *Limits) Close() {
	for _, a := range [...]*alarm{&l.watch, &l.pause, &l.renew} {
		a.stop()
	}
	for _, t := range l.targets {
		t.breaker.retry.stop()
	}
}

// Copy is one copy on its way through Limits. The zero value has not been admitted.
type Copy struct {
	Control bool // the control is asked too
	permits [2]permit
}

// Admit returns the limit that keeps a copy from being sent, or 0: a limit may have been
// reached while the copy waited. Size is that of its request body, and control asks for the
// control too, which is left out while its breaker is open. It sets c. After 0, Record and
// Leave must follow.
func (l *Limits) Admit(c *Copy, size int64, control bool) Stop {
	if !l.valve.Enter() {
		return Overload
	}
	stop := l.admit(c, size, control)
	if stop != 0 {
		l.valve.Leave()
	}
	return stop
}

func (l *Limits) admit(c *Copy, size int64, control bool) Stop {
	var ok bool
	if c.permits[Candidate], ok = l.targets[Candidate].breaker.enter(); !ok {
		return Breaker
	}
	if control {
		c.permits[Control], c.Control = l.targets[Control].breaker.enter()
	}
	asked := l.targets[:1]
	if c.Control {
		asked = l.targets
	}
	taken, spent := l.budget.Take(uint64(len(asked)), int64(len(asked))*size)
	if spent {
		l.exhausted()
	}
	for i, t := range asked {
		if taken {
			t.requests.Add(1)
			t.bytes.Add(size)
		} else {
			t.breaker.leave(&c.permits[i], errNothing)
		}
	}
	if !taken {
		return Budget
	}
	return 0
}

// Leave ends an admitted copy.
func (l *Limits) Leave() { l.valve.Leave() }

// Record tells the breaker of t what became of c. The first Result counts.
func (l *Limits) Record(t Target, c *Copy, r Result) {
	b := l.targets[t].breaker
	switch from, to := b.leave(&c.permits[t], r.fault(b.slow)); {
	case from == gobreaker.StateClosed && to == gobreaker.StateOpen:
		l.o.Notify(Event{Kind: BreakerOpened, Target: t, Text: fmt.Sprintf(
			"the breaker is open: too many copies fail or are slow; no more are sent for %v", b.pause)})
	case from == gobreaker.StateHalfOpen && to == gobreaker.StateClosed:
		l.o.Notify(Event{Kind: BreakerClosed, Target: t, Text: "the breaker is closed: copies are sent again"})
	}
}

func (l *Limits) halfOpened(t Target) {
	l.o.Notify(Event{Kind: BreakerHalfOpened, Target: t, Text: fmt.Sprintf(
		"the breaker is half-open: %d copies try the target", l.targets[t].breaker.most)})
}

// Spend counts what a copy to t has used besides what Admit counted.
func (l *Limits) Spend(t Target, bytes int64, cpu time.Duration) {
	l.targets[t].bytes.Add(bytes)
	l.targets[t].cpu.Add(int64(cpu))
	if l.budget.Add(bytes, cpu) {
		l.exhausted()
	}
}

// exhausted waits for the next window of the budget.
func (l *Limits) exhausted() {
	_, after := l.budget.Open()
	l.renew.set(after, l.renewed)
	l.o.Notify(Event{Kind: BudgetSpent, Text: fmt.Sprintf("the budget is used up: nothing is copied for %v", after.Round(time.Millisecond))})
}

func (l *Limits) renewed() {
	if open, _ := l.budget.Open(); !open {
		return // used up again already, and waiting for the window after this one
	}
	l.o.Notify(Event{Kind: BudgetRenewed, Text: "a new budget: requests are copied again"})
}

// Observe records the latency that the mirror added to a request. It calls no callback.
func (l *Limits) Observe(added time.Duration) {
	l.added.Add(added)
	l.Wake()
}

// Wake starts the watch if it is asleep.
func (l *Limits) Wake() {
	if !l.watching.Load() && l.watching.CompareAndSwap(false, true) {
		l.watch.set(watchEvery, l.look)
	}
}

// look is the watch. Whatever may block comes after the watch is free to start again.
func (l *Limits) look() {
	counts := l.added.Counts()
	exceeded := !l.o.Overhead.Off && l.exceeded(counts)
	change := none
	if r, ok := l.read(); ok && !l.o.Shedding.Off {
		change = l.valve.Feed(r)
	}
	report, again := l.o.Watch()
	shedding := l.valve.Limit() < l.o.Concurrency
	l.watching.Store(false)
	if again || shedding || l.added.Counts().Total != counts.Total {
		l.Wake()
	}
	if report != nil {
		report()
	}
	if exceeded {
		l.o.Notify(Event{Kind: OverheadExceeded, Text: fmt.Sprintf(
			"the mirror itself takes too long: nothing is copied for %v", l.o.Overhead.Pause)})
	}
	switch change {
	case began:
		l.o.Notify(Event{Kind: OverloadBegan, Text: "the process is overloaded: fewer copies run, the others are dropped"})
	case ended:
		l.o.Notify(Event{Kind: OverloadEnded, Text: "the overload is over: as many copies run as ever"})
	}
}

// exceeded reports whether the overhead was over its limit in a window that has ended. If so
// it stops the mirror for a while.
func (l *Limits) exceeded(counts *counts) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.judge.Exceeded(l.Now(), counts) {
		return false
	}
	l.o.Stops.Set(Overhead, true)
	l.pause.set(l.o.Overhead.Pause, l.forgive)
	return true
}

// forgive ends the pause.
func (l *Limits) forgive() {
	l.mu.Lock()
	l.judge.Reset(l.Now(), l.added.Counts())
	l.o.Stops.Set(Overhead, false)
	l.mu.Unlock()
	l.o.Notify(Event{Kind: OverheadForgiven, Text: "the pause is over: requests are copied again"})
}

// Stats returns the state of l.
func (l *Limits) Stats() Stats {
	counts := l.added.Counts()
	s := Stats{Concurrency: l.valve.Limit()}
	s.Overhead.Requests, s.Overhead.P50, s.Overhead.P99 = counts.Total, counts.Quantile(0.5), counts.Quantile(0.99)
	if l.o.Budget.Window > 0 {
		s.Budget = l.budget.Spent()
	}
	for _, t := range l.targets {
		s.Targets = append(s.Targets, TargetStats{Breaker: t.breaker.now(),
			Usage: Usage{t.requests.Load(), t.bytes.Load(), time.Duration(t.cpu.Load())}})
	}
	return s
}

// alarm is a timer that can be set again and, once and for all, stopped.
type alarm struct {
	mu    sync.Mutex
	timer *time.Timer
	done  bool
}

func (a *alarm) set(after time.Duration, f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.done {
		return
	}
	if a.timer != nil {
		a.timer.Stop()
	}
	a.timer = time.AfterFunc(after, f)
}

func (a *alarm) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.done = true
	if a.timer != nil {
		a.timer.Stop()
		a.timer = nil
	}
}
