package shadow

import (
	"cmp"
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/goshadow/shadow/internal/budget"
	"github.com/goshadow/shadow/internal/limit"
	"github.com/goshadow/shadow/internal/overhead"
	"github.com/goshadow/shadow/internal/telemetry"
)

// LoadSheddingOptions say when the process has no room for copies. The zero value is the
// default.
//
// The process is overloaded if three readings in a row find that goroutines wait for a
// processor, or that the memory limit is near. There are ten readings a second while requests
// are copied. Each reading under overload halves the concurrency, down to zero. It recovers
// one step at a time once both have fallen well below their limits, and backs off after a
// failed step. Copies beyond the concurrency are dropped as ReasonOverload. A candidate in
// this process that only computes ends up with the processors that the primary leaves.
//
// It is on by default because a copy is the least important thing that a process does, and
// because it takes nothing where nothing is scarce. A test that counts copies switches it
// off: the machine that runs it may be busy.
type LoadSheddingOptions struct {
	Off bool // copies are never dropped for overload
	// Wait is the mean time for which a goroutine that could run waits for a processor
	// (/sched/latencies:seconds of runtime/metrics); 0 is 0.5 ms. Calm is half of it.
	Wait time.Duration
	// Heap is the share of the memory limit (GOMEMLIMIT) that is live heap: over 0, at most
	// 1; 0 is 0.8. Calm is nine tenths of it. Without a memory limit the heap never
	// is an overload.
	Heap float64
}

// WithLoadShedding replaces the defaults of LoadSheddingOptions.
func WithLoadShedding(o LoadSheddingOptions) Option {
	return optionFunc(func(c *config) {
		c.span("WithLoadShedding: Wait", o.Wait)
		c.share("WithLoadShedding: Heap", o.Heap)
		c.shedding = o
	})
}

// OverheadOptions limit the time that the Mirror itself adds to a request. The zero value
// is the default.
//
// What is measured of each request that is sampled is the time on its goroutine that the
// Sampler takes, that from the decision to copy it until the primary is called, and from the primary's return until the
// copy is handed over or given up; of a Transport, until it is called and from the end of
// the answer. WithRoute and the snapshot of the header are part of it; the time of a Rate or RateVar,
// some nanoseconds, is not. The bytes that are kept while the primary reads and writes are not measured:
// that would cost more than it does. Requests that are not sampled are not measured.
//
// Where more than one in a hundred requests of a Window are over P99, nothing is copied for
// a Pause: requests are dropped as ReasonOverhead.
type OverheadOptions struct {
	Off    bool          // measured, without consequence
	P99    time.Duration // 0 is 1 ms
	Window time.Duration // 1 s or more; 0 is 10 s. One that has fewer than Min requests goes on
	Min    int           // requests; 0 is 1000
	Pause  time.Duration // 0 is 30 s
}

// WithOverhead replaces the defaults of OverheadOptions.
func WithOverhead(o OverheadOptions) Option {
	return optionFunc(func(c *config) {
		c.span("WithOverhead: P99", o.P99)
		c.window("WithOverhead: Window", o.Window)
		c.notNegative("WithOverhead: Min", int64(o.Min))
		c.span("WithOverhead: Pause", o.Pause)
		c.overhead = o
	})
}

// Budget is what the copies of a Mirror may use in each of a row of windows: those to its
// target, and those to its control, which count as much. Several mirrors, one for each of
// several targets, have a budget each. A limit that is 0 is none.
//
// What is used up is not copied until the next window: ReasonBudget. Of requests exactly as
// many are copied as the limit says. Bytes and CPU are known when a copy ends: they can
// exceed their limits by the copies that were running then.
type Budget struct {
	Window   time.Duration // 1 s or more. The first begins with New
	Requests int           // copies sent
	Bytes    int64         // of bodies, sent and received, as transferred, in process too
	CPU      time.Duration // of this process: see Usage
}

// WithBudget sets a Budget. The default is none.
func WithBudget(b Budget) Option {
	return optionFunc(func(c *config) {
		if b.Window == 0 {
			c.fail("WithBudget: no Window")
		}
		c.window("WithBudget: Window", b.Window)
		c.notNegative("WithBudget: Requests", int64(b.Requests))
		c.notNegative("WithBudget: Bytes", b.Bytes)
		c.span("WithBudget: CPU", b.CPU)
		if b.Requests == 0 && b.Bytes == 0 && b.CPU == 0 {
			c.fail("WithBudget: no limit; use SetEnabled(false) to copy nothing")
		}
		c.budget = b
	})
}

// Usage is what copies have used.
type Usage struct {
	Requests uint64
	Bytes    int64 // of bodies, sent and received, as transferred
	// CPU is the time in which the handler of an in-process target ran, from its call to
	// its return, and in which answers were compared. It is an upper bound of the CPU time
	// of these goroutines, and so of computing alone about exact: what a handler waits is
	// in it, what other goroutines do for it is not. Go cannot tell the CPU time of a
	// goroutine. What a target on the network uses cannot be seen from here.
	CPU time.Duration
}

// Tariff is what a Usage costs, in any currency.
type Tariff struct {
	Request float64 // one copy
	GB      float64 // 10⁹ bytes
	CPUHour float64
}

// Cost returns what u costs. What shadowing adds to the cost of a service is, in percent,
//
//	100 * stats.Targets["v2"].Usage.Cost(tariff) / costOfThePrimary
//
// where the cost of the primary in the same time is for the user to say.
func (u Usage) Cost(t Tariff) float64 {
	return float64(u.Requests)*t.Request + float64(u.Bytes)/1e9*t.GB + u.CPU.Hours()*t.CPUHour
}

// Events of the limits of a Mirror.
const (
	EventBreakerOpen     EventKind = "breaker-open"      // a breaker that was closed has opened
	EventBreakerHalfOpen EventKind = "breaker-half-open" // it tries for the first time since it has opened
	EventBreakerClosed   EventKind = "breaker-closed"    // its probes have succeeded
	EventOverload        EventKind = "overload"          // fewer copies run at a time
	EventOverloadOver    EventKind = "overload-over"     // as many as ever
	EventOverhead        EventKind = "overhead"          // nothing is copied for OverheadOptions.Pause
	EventOverheadOver    EventKind = "overhead-over"     // which is over
	EventBudgetSpent     EventKind = "budget-spent"      // nothing is copied until the next window
	EventBudgetRenewed   EventKind = "budget-renewed"    // which has begun
)

// stops are bits of Mirror.stops: why no request is copied now. None is set while all is
// well, so that to know that takes one atomic load.
const (
	stopClosed uint32 = 1 << iota // by Shutdown or Close
	stopOff                       // by SetEnabled
	stopBudget
	stopBreaker
	stopOverhead
	stopOverload
	stopFull // since the queue had no room for a copy, until it has
)

// codeStopped returns the reason of the first of the limits that are reached.
func codeStopped(stops uint32) code {
	return [...]code{codeShutDown, codeDisabled, codeBudget, codeBreakerOpen, codeOverhead, codeOverload, codeQueueFull}[bits.TrailingZeros32(stops)]
}

// gate returns what sets and clears a stop. A stop that stays as it is is not written:
// every request reads them.
func (m *Mirror) gate(stop uint32) func(shut bool) {
	return func(shut bool) {
		switch is := m.stops.Load()&stop != 0; {
		case shut && !is:
			m.stops.Or(stop)
		case !shut && is:
			m.stops.And(^stop)
		}
	}
}

// limits watch what copies cost the process and their target, and say stop. Requests read
// the stops and add to the overhead; the rest happens on workers and timers.
type limits struct {
	m     *Mirror
	began time.Time

	candidate perTarget
	control   perTarget
	valve     *limit.Valve
	overhead  *overhead.Histogram
	budget    *budget.Budget

	// The watch is a timer that goes off a watchEvery after something was copied.
	watching atomic.Bool
	watch    alarm
	read     func() (limit.Reading, bool) // for look alone

	mu       sync.Mutex
	judge    overhead.Judge // of the overhead, under mu
	episodes []episode      // under mu

	pause alarm // until the overhead is forgiven
	renew alarm // until there is a budget again
}

// perTarget is what is limited and counted by target.
type perTarget struct {
	name    string
	breaker *breaker

	requests   atomic.Uint64
	bytes, cpu atomic.Int64
}

func (p *perTarget) usage() Usage {
	return Usage{p.requests.Load(), p.bytes.Load(), time.Duration(p.cpu.Load())}
}

// pass is what a copy has of the breakers.
type pass struct {
	candidate, control permit
	doubted            bool // the control is asked too
}

// watchEvery is how often a busy Mirror looks at load and overhead.
const watchEvery = 100 * time.Millisecond

func (l *limits) init(m *Mirror) {
	c := m.config
	l.m, l.began, l.episodes = m, time.Now(), episodes()
	l.candidate.name = c.target.Name
	l.candidate.breaker = newBreaker(c.breaker, c.target.timeout(), m.gate(stopBreaker), func() { l.halfOpen(&l.candidate) })
	if c.control != nil {
		l.control.name = c.control.Name
		l.control.breaker = newBreaker(c.breaker, c.control.timeout(), func(bool) {}, func() { l.halfOpen(&l.control) })
	}
	l.valve = limit.New(limit.Options{
		Wait: cmp.Or(c.shedding.Wait, defaultSheddingWait), Heap: cmp.Or(c.shedding.Heap, defaultSheddingHeap),
		Most: c.concurrency, Gate: m.gate(stopOverload)})
	l.read = limit.Runtime()
	l.overhead = overhead.New(cmp.Or(c.overhead.P99, defaultOverhead))
	l.judge = overhead.Judge{Window: cmp.Or(c.overhead.Window, defaultOverheadWindow),
		Min: uint64(cmp.Or(c.overhead.Min, defaultOverheadMin))}
	l.budget = budget.New(cmp.Or(c.budget.Window, time.Hour),
		budget.Use{Requests: uint64(c.budget.Requests), Bytes: c.budget.Bytes, CPU: c.budget.CPU},
		l.clock, m.gate(stopBudget))
}

// clock is the time since New. It is monotonic: the wall clock may jump.
func (l *limits) clock() time.Duration { return time.Since(l.began) }

// stop stops all timers for good.
func (l *limits) stop() {
	for _, a := range [...]*alarm{&l.watch, &l.pause, &l.renew, &l.candidate.breaker.retry} {
		a.stop()
	}
	if l.control.breaker != nil {
		l.control.breaker.retry.stop()
	}
}

// of returns what is counted for t.
func (l *limits) of(t *Target) *perTarget {
	if t == l.m.control {
		return &l.control
	}
	return &l.candidate
}

// begin tells why j, whose turn it is, is not to be sent after all: a limit may have been
// reached while it waited. If it is to be sent, end must follow.
func (l *limits) begin(j *job) code {
	if !l.valve.Enter() {
		return codeOverload
	}
	w := l.admit(j)
	if w != 0 {
		l.valve.Leave()
	}
	return w
}

func (l *limits) admit(j *job) code {
	p, ok := j.pass, false
	if p.candidate, ok = l.candidate.breaker.enter(); !ok {
		return codeBreakerOpen
	}
	if l.control.breaker != nil && (j.reads || l.m.control.Isolated) && l.m.controlShare.drawn() {
		p.control, p.doubted = l.control.breaker.enter()
	}
	requests, size := uint64(1), int64(0)
	if p.doubted {
		requests = 2
	}
	if j.body != nil {
		size = j.body.Size()
	}
	taken, spent := l.budget.Take(requests, int64(requests)*size)
	if spent {
		l.exhausted()
	}
	if !taken {
		l.candidate.breaker.leave(&p.candidate, errNothing)
		if p.doubted {
			l.control.breaker.leave(&p.control, errNothing)
		}
		return codeBudget
	}
	l.candidate.requests.Add(1)
	l.candidate.bytes.Add(size)
	if p.doubted {
		l.control.requests.Add(1)
		l.control.bytes.Add(size)
	}
	return 0
}

// end is called when the worker is done with a copy.
func (l *limits) end() { l.valve.Leave() }

// learn tells the breaker of t what became of j's copy to it. What it is told first counts.
func (l *limits) learn(t *Target, j *job, r reply, err error) {
	of, p := l.of(t), &j.pass.candidate
	if of == &l.control {
		p = &j.pass.control
	}
	switch from, to := of.breaker.leave(p, of.breaker.judge(l.m.base, j, r, err)); {
	case from == gobreaker.StateClosed && to == gobreaker.StateOpen:
		l.m.notify(Event{Kind: EventBreakerOpen, Target: of.name, Text: fmt.Sprintf(
			"the breaker is open: too many copies fail or are slow; no more are sent for %v", of.breaker.pause)})
	case from == gobreaker.StateHalfOpen && to == gobreaker.StateClosed:
		l.m.notify(Event{Kind: EventBreakerClosed, Target: of.name, Text: "the breaker is closed: copies are sent again"})
	}
}

// halfOpen reports that the breaker of a target tries for the first time since it has opened.
func (l *limits) halfOpen(of *perTarget) {
	l.m.notify(Event{Kind: EventBreakerHalfOpen, Target: of.name, Text: fmt.Sprintf("the breaker is half-open: %d copies try the target", of.breaker.most)})
}

// spend counts what the copy of a has used since, when it was sent.
func (a *attempt) spend(since time.Time) {
	var cpu time.Duration
	if _, ok := a.target.Transport.(*handlerTransport); ok {
		cpu = time.Since(since)
	}
	a.m.limits.add(a.target, a.size, cpu)
}

// compared counts the time since, when answers began to be compared.
func (l *limits) compared(since time.Time) { l.add(&l.m.target, 0, time.Since(since)) }

func (l *limits) add(t *Target, bytes int64, cpu time.Duration) {
	of := l.of(t)
	of.bytes.Add(bytes)
	of.cpu.Add(int64(cpu))
	if l.budget.Add(bytes, cpu) {
		l.exhausted()
	}
}

// exhausted waits for the next window of the budget.
func (l *limits) exhausted() {
	_, after := l.budget.Open()
	l.renew.set(after, l.renewed)
	l.m.notify(Event{Kind: EventBudgetSpent, Text: fmt.Sprintf("the budget is used up: nothing is copied for %v", after.Round(time.Millisecond))})
}

func (l *limits) renewed() {
	if open, after := l.budget.Open(); !open { // used up again already
		l.renew.set(after, l.renewed)
		return
	}
	l.m.notify(Event{Kind: EventBudgetRenewed, Text: "a new budget: requests are copied again"})
}

// added counts what the Mirror has added to a request: before the primary, and since it
// was done. It is the last thing that happens on the request's goroutine.
func (l *limits) added(before time.Duration, since time.Time) {
	l.overhead.Add(before + time.Since(since))
	l.wake()
}

func (l *limits) wake() {
	if !l.watching.Load() && l.watching.CompareAndSwap(false, true) {
		l.watch.set(watchEvery, l.look)
	}
}

// look is the watch.
func (l *limits) look() {
	counts := l.overhead.Counts()
	tooMuch := !l.m.config.overhead.Off && l.tooMuch(counts)
	change := limit.None
	if r, ok := l.read(); ok && !l.m.config.shedding.Off {
		change = l.valve.Feed(r)
	}
	events, losing := l.lookForLosses()
	atMost := l.valve.Limit()
	l.watching.Store(false)
	if losing || atMost < l.m.concurrency || l.overhead.Counts().Total != counts.Total {
		l.wake()
	}
	for _, e := range events {
		l.m.notify(e)
	}

	if tooMuch {
		l.m.notify(Event{Kind: EventOverhead, Text: fmt.Sprintf(
			"the mirror itself takes too long: nothing is copied for %v", l.patience())})
	}
	switch change {
	case limit.Began:
		l.m.notify(Event{Kind: EventOverload, Text: "the process is overloaded: fewer copies run, the others are dropped"})
	case limit.Ended:
		l.m.notify(Event{Kind: EventOverloadOver, Text: "the overload is over: as many copies run as ever"})
	}
}

// tooMuch stops the Mirror for a while if its overhead is over the limit.
func (l *limits) tooMuch(counts *overhead.Counts) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.judge.Tell(l.clock(), counts) {
		return false
	}
	l.m.gate(stopOverhead)(true)
	l.pause.set(l.patience(), l.forgive)
	return true
}

func (l *limits) patience() time.Duration {
	return cmp.Or(l.m.config.overhead.Pause, defaultOverheadPause)
}

// forgive goes on after a pause.
func (l *limits) forgive() {
	l.mu.Lock()
	l.judge.Reset(l.clock(), l.overhead.Counts())
	l.m.gate(stopOverhead)(false)
	l.mu.Unlock()
	l.m.notify(Event{Kind: EventOverheadOver, Text: "the pause is over: requests are copied again"})
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

// stats adds what the limits know to s.
func (l *limits) stats(s *Stats) {
	counts := l.overhead.Counts()
	s.Concurrency = l.valve.Limit()
	s.Overhead = Overhead{counts.Total, counts.Quantile(0.5), counts.Quantile(0.99)}
	s.Targets = map[string]TargetStats{l.candidate.name: l.candidate.stats()}
	if l.control.breaker != nil {
		s.Targets[l.control.name] = l.control.stats()
	}
	if l.m.config.budget.Window > 0 {
		s.Budget = Usage(l.budget.Spent())
	}
}

// shares returns how much of each limit of b is used.
func shares(used Usage, b Budget) (list []telemetry.Share) {
	for _, limit := range [...]struct {
		name      string
		used, all float64
	}{
		{"requests", float64(used.Requests), float64(b.Requests)},
		{"bytes", float64(used.Bytes), float64(b.Bytes)},
		{"cpu", float64(used.CPU), float64(b.CPU)},
	} {
		if limit.all > 0 {
			list = append(list, telemetry.Share{Limit: limit.name, Used: limit.used / limit.all})
		}
	}
	return list
}

func (p *perTarget) stats() TargetStats { return TargetStats{p.breaker.now(), p.usage()} }
