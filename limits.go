package shadow

import (
	"errors"
	"time"

	"github.com/goshadow/shadow/internal/limit"
	"github.com/goshadow/shadow/internal/telemetry"
)

// BreakerOptions say when a Mirror stops to send copies to a target that does not cope.
// There is one breaker for the target and one for the control, alike. The zero value is
// the default.
//
// A copy counts as failed where the outcome is Failed for whatever reason, a timeout and a
// panic included; where it took longer than Slow; where its answer was longer than the
// primary's and than WithMaxBody, so that it was not read to its end; and where it was
// answered with a 5xx and the primary's was none: that is what a service does that is down
// or drowning, and what the first Min of them have shown, the next ones need not. Copies
// that a Masker or Shutdown stopped count as nothing.
//
// While the breaker is open, requests are counted as ReasonBreakerOpen and cost what those
// cost that are not sampled. After Pause it lets Probes copies try: if all of them succeed
// it closes, if one fails it is open for another Pause. While that of the control is open
// the control is not asked, and nothing is taken for noise.
type BreakerOptions struct {
	Off      bool          // never opens
	Failures float64       // share of failed copies at which it opens: over 0, at most 1; 0 is 0.5
	Slow     time.Duration // longest time that a copy may take; 0 is half of Target.Timeout
	Window   time.Duration // the copies of this time are looked at, 1 s or more; 0 is 10 s
	Min      int           // copies that ended in the Window, below which it never opens; 0 is 20
	Pause    time.Duration // how long it is open before it tries again; 0 is 10 s
	Probes   int           // copies that try; 0 is 3
}

// WithBreaker replaces the defaults of BreakerOptions.
func WithBreaker(o BreakerOptions) Option {
	return optionFunc(func(c *config) {
		c.share("WithBreaker: Failures", o.Failures)
		c.span("WithBreaker: Slow", o.Slow)
		c.window("WithBreaker: Window", o.Window)
		c.notNegative("WithBreaker: Min", int64(o.Min))
		c.span("WithBreaker: Pause", o.Pause)
		c.notNegative("WithBreaker: Probes", int64(o.Probes))
		c.breaker = o
	})
}

// BreakerState is the state of a breaker.
type BreakerState string

// The states of a breaker.
const (
	BreakerClosed   BreakerState = "closed"    // all copies pass
	BreakerHalfOpen BreakerState = "half-open" // BreakerOptions.Probes copies try the target
	BreakerOpen     BreakerState = "open"      // no copy passes
)

// breakerStates is in the order of the metric shadow.breaker.state.
var breakerStates = [...]BreakerState{limit.StateClosed: BreakerClosed, limit.StateHalfOpen: BreakerHalfOpen, limit.StateOpen: BreakerOpen}

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

var limitEvents = [...]EventKind{
	limit.BreakerOpened: EventBreakerOpen, limit.BreakerHalfOpened: EventBreakerHalfOpen, limit.BreakerClosed: EventBreakerClosed,
	limit.OverloadBegan: EventOverload, limit.OverloadEnded: EventOverloadOver,
	limit.OverheadExceeded: EventOverhead, limit.OverheadForgiven: EventOverheadOver,
	limit.BudgetSpent: EventBudgetSpent, limit.BudgetRenewed: EventBudgetRenewed,
}

// stopCodes are the reasons of the stops, by Stop.Index.
var stopCodes = [...]code{codeShutDown, codeDisabled, codeBudget, codeBreakerOpen, codeOverhead, codeOverload, codeQueueFull}

// newLimits returns the limits of m.
func (m *Mirror) newLimits() *limit.Limits {
	c := m.config
	targets := []*Target{&c.target}
	if c.control != nil {
		targets = append(targets, c.control)
	}
	o := limit.Options{
		Stops: &m.stops, Concurrency: c.concurrency,
		Breaker: limit.BreakerOptions(c.breaker), Shedding: limit.SheddingOptions(c.shedding),
		Overhead: limit.OverheadOptions(c.overhead), Budget: limit.BudgetOptions(c.budget),
		Notify: func(e limit.Event) {
			m.notify(Event{Kind: limitEvents[e.Kind], Target: targets[e.Target].Name, Text: e.Text})
		},
		Watch: m.watchLosses,
	}
	for _, t := range targets {
		o.Timeouts = append(o.Timeouts, t.timeout())
	}
	return limit.New(o)
}

// limited returns which target t is for the limits.
func (m *Mirror) limited(t *Target) limit.Target {
	if t == m.control {
		return limit.Control
	}
	return limit.Candidate
}

// admit returns the reason not to send j, whose turn it is, or 0. After 0, limits.Leave must
// follow.
func (m *Mirror) admit(j *job) code {
	size := int64(0)
	if j.body != nil {
		size = j.body.Size()
	}
	control := m.control != nil && (j.reads || m.control.Isolated) && m.controlShare.Draw()
	if stop := m.limits.Admit(j.pass, size, control); stop != 0 {
		return stopCodes[stop.Index()]
	}
	return 0
}

// recordResult tells the breaker of t what became of j's copy to it. The first call counts.
func (m *Mirror) recordResult(t *Target, j *job, r reply, err error) {
	w, answered := j.primary.Get()
	res := limit.Result{
		Void: errors.Is(err, errMask) || errors.Is(err, errNoRoom) || errors.Is(err, errLeak) ||
			err != nil && m.base.Err() != nil || w != 0,
		Err: err, Status: r.status, Answered: answered, Took: r.took,
	}
	if answered && w == 0 {
		res.PrimaryStatus, res.Endless = j.resp.Status, r.size > j.most.Load()
	}
	m.limits.Record(m.limited(t), j.pass, res)
}

// spend counts what the copy of a has used since it was sent.
func (a *attempt) spend(sent time.Time) {
	var cpu time.Duration
	if a.target.local() {
		cpu = time.Since(sent)
	}
	a.m.limits.Spend(a.m.limited(a.target), a.size, cpu)
}

// compared counts the time since answers began to be compared.
func (m *Mirror) compared(began time.Time) {
	m.limits.Spend(limit.Candidate, 0, time.Since(began))
}

// observe records the latency that the Mirror added to a request: before the primary, and
// since the primary was done. It is the last thing that happens on the request's goroutine.
func (m *Mirror) observe(before time.Duration, done time.Time) {
	m.limits.Observe(before + time.Since(done))
}

// limitStats adds what the limits know to s.
func (m *Mirror) limitStats(s *Stats) {
	l := m.limits.Stats()
	s.Concurrency, s.Overhead, s.Budget = l.Concurrency, Overhead(l.Overhead), Usage(l.Budget)
	s.Targets = map[string]TargetStats{}
	for i, t := range []*Target{&m.target, m.control}[:len(l.Targets)] {
		s.Targets[t.Name] = TargetStats{Breaker: breakerStates[l.Targets[i].Breaker], Usage: Usage(l.Targets[i].Usage)}
	}
}

// shares returns how much of each limit of b is used.
func shares(used Usage, b Budget) (list []telemetry.Share) {
	for _, l := range [...]struct {
		name      string
		used, all float64
	}{
		{"requests", float64(used.Requests), float64(b.Requests)},
		{"bytes", float64(used.Bytes), float64(b.Bytes)},
		{"cpu", float64(used.CPU), float64(b.CPU)},
	} {
		if l.all > 0 {
			list = append(list, telemetry.Share{Limit: l.name, Used: l.used / l.all})
		}
	}
	return list
}
