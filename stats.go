package shadow

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"time"

	"github.com/goshadow/shadow/internal/composite"
	"github.com/goshadow/shadow/internal/ledger"
	"github.com/goshadow/shadow/internal/render"
	"github.com/goshadow/shadow/internal/route"
	"github.com/goshadow/shadow/internal/telemetry"
)

// Reason is why a request was not copied, or why its copy was given up. It is one of the
// constants, so it fits a metric.
type Reason string

// Reasons of Stats.Skipped: the request was never meant to be copied.
const (
	ReasonDisabled          Reason = "disabled"           // SetEnabled(false)
	ReasonMethod            Reason = "method"             // not one of WithMethods
	ReasonNotSampled        Reason = "not-sampled"        // the Sampler said no
	ReasonSamplerFailed     Reason = "sampler-failed"     // the Sampler panicked
	ReasonLoop              Reason = "loop"               // it is a shadow copy itself, by its mark or a host that ends in "-shadow" (Envoy, Istio)
	ReasonUpgrade           Reason = "upgrade"            // CONNECT, Upgrade or a 101 answer
	ReasonInvalid           Reason = "invalid"            // no valid HTTP request: it cannot be sent
	ReasonPrimaryPanicked   Reason = "primary-panicked"   // the primary panicked or exited its goroutine
	ReasonPrimaryFailed     Reason = "primary-failed"     // the primary RoundTripper returned an error
	ReasonPrimaryRefused    Reason = "primary-refused"    // the primary answered 429 or 503
	ReasonPrimaryIncomplete Reason = "primary-incomplete" // its answer was cut short, not read to the end, or not there in time for a Parallel copy
	ReasonHijacked          Reason = "hijacked"           // the primary took over the connection
	ReasonClientGone        Reason = "client-gone"        // the client left before the answer was complete
)

// Reasons of Stats.Dropped: the request was meant to be copied and lost to a limit.
const (
	ReasonBodyTooLarge Reason = "body-too-large" // the request body is over WithMaxBody
	ReasonBodyUnread   Reason = "body-unread"    // the primary did not read the request body to its end
	ReasonBodyFailed   Reason = "body-failed"    // the request body ended in an error
	ReasonQueueFull    Reason = "queue-full"     // as many copies wait as WithQueue allows
	ReasonBytesFull    Reason = "bytes-full"     // as many bytes are held as WithQueue allows
	ReasonMaskFailed   Reason = "mask-failed"    // the target's Masker failed: nothing was sent
	ReasonLeak         Reason = "leak"           // the leak check found something in the masked copy: nothing was sent
	ReasonShutDown     Reason = "shut-down"      // Shutdown or Close
	ReasonBreakerOpen  Reason = "breaker-open"   // the target does not cope: see BreakerOptions
	ReasonOverload     Reason = "overload"       // the process is overloaded: see LoadSheddingOptions
	ReasonOverhead     Reason = "overhead"       // the Mirror takes too long itself: see OverheadOptions
	ReasonBudget       Reason = "budget"         // all that copies may use is used: see Budget
	ReasonExpired      Reason = "expired"        // the copy waited in the queue for longer than Target.Timeout: nothing was sent
)

// code says how a request ended: 0 while it goes on, else the position in codes of its
// Outcome or Reason.
type code = ledger.Code

const (
	codeMatch code = iota + 1
	codeMismatch
	codeFailed
	codeUncompared

	codeNotSampled
	codeDisabled
	codeMethod
	codeSamplerFailed
	codeLoop
	codeUpgrade
	codeInvalid
	codePrimaryPanicked
	codePrimaryFailed
	codePrimaryRefused
	codePrimaryIncomplete
	codeHijacked
	codeClientGone

	codeBodyTooLarge
	codeBodyUnread
	codeBodyFailed
	codeQueueFull
	codeBytesFull
	codeMaskFailed
	codeLeak
	codeShutDown
	codeBreakerOpen
	codeOverload
	codeOverhead
	codeBudget
	codeExpired

	codeUnreported

	numCodes
)

// group is the part of Stats that a code is counted in, and its outcome in metrics.
type group string

const (
	outcome group = ""        // its own name is the outcome
	skipped group = "skipped" // Stats.Skipped
	dropped group = "dropped" // Stats.Dropped
	aside   group = "aside"   // a field of Stats of its own: these are results
)

// codes describes each code.
var codes = [numCodes]struct {
	name  Reason // or Outcome
	group group
	// byRoute: each request that ends so before the primary runs is counted by its route. The other
	// codes of that time stop all requests, so routes are estimated.
	byRoute bool
	event   EventKind // reports such losses; empty if none does
}{
	codeMatch:      {name: Reason(Match), group: outcome},
	codeMismatch:   {name: Reason(Mismatch), group: outcome},
	codeFailed:     {name: Reason(Failed), group: outcome},
	codeUncompared: {name: Reason(Uncompared), group: outcome},

	codeNotSampled:        {name: ReasonNotSampled, group: skipped},
	codeDisabled:          {name: ReasonDisabled, group: skipped},
	codeMethod:            {name: ReasonMethod, group: skipped},
	codeSamplerFailed:     {name: ReasonSamplerFailed, group: skipped},
	codeLoop:              {name: ReasonLoop, group: skipped, byRoute: true, event: EventLoop},
	codeUpgrade:           {name: ReasonUpgrade, group: skipped, byRoute: true},
	codeInvalid:           {name: ReasonInvalid, group: skipped, byRoute: true},
	codePrimaryPanicked:   {name: ReasonPrimaryPanicked, group: skipped},
	codePrimaryFailed:     {name: ReasonPrimaryFailed, group: skipped},
	codePrimaryRefused:    {name: ReasonPrimaryRefused, group: skipped},
	codePrimaryIncomplete: {name: ReasonPrimaryIncomplete, group: skipped},
	codeHijacked:          {name: ReasonHijacked, group: skipped},
	codeClientGone:        {name: ReasonClientGone, group: skipped},

	codeBodyTooLarge: {name: ReasonBodyTooLarge, group: dropped, byRoute: true, event: EventDropped},
	codeBodyUnread:   {name: ReasonBodyUnread, group: dropped, event: EventDropped},
	codeBodyFailed:   {name: ReasonBodyFailed, group: dropped, event: EventDropped},
	codeQueueFull:    {name: ReasonQueueFull, group: dropped, byRoute: true, event: EventQueueFull},
	codeBytesFull:    {name: ReasonBytesFull, group: dropped, byRoute: true, event: EventQueueFull},
	codeMaskFailed:   {name: ReasonMaskFailed, group: dropped, event: EventMaskFailed},
	codeLeak:         {name: ReasonLeak, group: dropped, event: EventLeak},
	codeShutDown:     {name: ReasonShutDown, group: dropped},
	codeBreakerOpen:  {name: ReasonBreakerOpen, group: dropped, event: EventBreakerOpen},
	codeOverload:     {name: ReasonOverload, group: dropped, event: EventOverload},
	codeOverhead:     {name: ReasonOverhead, group: dropped, event: EventOverhead},
	codeBudget:       {name: ReasonBudget, group: dropped, event: EventBudgetSpent},
	codeExpired:      {name: ReasonExpired, group: dropped, event: EventDropped},

	codeUnreported: {group: aside, event: EventUnreported},
}

// codeOf returns the code of an outcome.
func codeOf(o Outcome) code {
	for c := codeMatch; codes[c].group == outcome; c++ {
		if codes[c].name == Reason(o) {
			return c
		}
	}
	panic("shadow: unknown outcome " + string(o))
}

// Stats is the ledger of a Mirror at one instant. Every request that reached a wrapped handler or
// transport is in exactly one place, once its primary has answered or its Parallel copy is under way:
//
//	Requests = sum(Skipped) + sum(Dropped) + Match + Mismatch + Failed + Uncompared + Queued + Running
type Stats struct {
	Requests uint64            // all that reached a wrapped handler or transport
	Skipped  map[Reason]uint64 // never meant to be copied; only reasons that occurred
	Dropped  map[Reason]uint64 // meant to be copied, lost to a limit; only reasons that occurred

	Match, Mismatch, Failed, Uncompared uint64 // by Outcome

	Queued      int   // copies that wait for a worker
	Running     int   // copies on their way to a Result
	QueuedBytes int64 // bytes held for copies, those of requests that are still being answered included

	Unreported uint64 // results that a Reporter failed on, or that were reported without content: see ErrWithheld
	Loops      uint64 // copies that came back to this Mirror, also counted under ReasonLoop: see EventLoop

	Concurrency int                    // copies that may run at a time: WithConcurrency, less under overload
	Overhead    Overhead               // of the Mirror on the requests that it copied
	Targets     map[string]TargetStats // the target and the control, by Target.Name
	Budget      Usage                  // in the current window of WithBudget, by all targets; empty without a Budget
}

// Overhead is what a Mirror added to the requests since New: see OverheadOptions.
type Overhead struct {
	Requests uint64
	P50, P99 time.Duration // at most a quarter too long; what is over a second is a second
}

// TargetStats is what a Mirror knows about one target.
type TargetStats struct {
	Breaker BreakerState
	Usage   Usage // since New
}

// Stats reads the ledger at one instant.
func (m *Mirror) Stats() Stats {
	m.mustExist("Stats")
	s, _ := m.stats()
	return s
}

// stats returns the Stats, and the counters by code that they were made of.
func (m *Mirror) stats() (s Stats, counts [numCodes]uint64) {
	s = Stats{Skipped: map[Reason]uint64{}, Dropped: map[Reason]uint64{}, QueuedBytes: m.pool.Held(), Loops: m.loops.Count()}
	s.Queued, s.Running = m.queue.Counts(func() { m.ledger.Recorded(counts[:0]) })
	s.Requests = uint64(s.Queued) + uint64(s.Running)
	fields := [numCodes]*uint64{
		codeMatch: &s.Match, codeMismatch: &s.Mismatch, codeFailed: &s.Failed, codeUncompared: &s.Uncompared,
		codeUnreported: &s.Unreported,
	}
	for c := codeMatch; c < numCodes; c++ {
		counts[c] += m.ledger.Skipped(c)
		switch codes[c].group {
		case skipped:
			ledger.Put(&s.Skipped, codes[c].name, counts[c])
		case dropped:
			ledger.Put(&s.Dropped, codes[c].name, counts[c])
		default:
			*fields[c] = counts[c]
		}
		if codes[c].group != aside {
			s.Requests += counts[c]
		}
	}
	m.limitStats(&s)
	return s, counts
}

// read returns the Stats for metrics.
func (m *Mirror) read() telemetry.Reading {
	s, counts := m.stats()
	r := telemetry.Reading{Queued: s.Queued, Running: s.Running, Bytes: s.QueuedBytes,
		Unreported: s.Unreported, Enabled: m.Enabled(), Concurrency: s.Concurrency, Budget: shares(s.Budget, m.config.budget)}
	for name, t := range s.Targets {
		r.Targets = append(r.Targets, telemetry.Target{Name: name, Breaker: int64(slices.Index(breakerStates[:], t.Breaker)),
			Requests: t.Usage.Requests, Bytes: t.Usage.Bytes, CPU: t.Usage.CPU})
	}
	for c := codeMatch; c < numCodes; c++ {
		switch name, group := string(codes[c].name), string(codes[c].group); {
		case codes[c].group == outcome:
			r.Requests = append(r.Requests, telemetry.Count{Outcome: name, N: counts[c]})
		case codes[c].group != aside && counts[c] > 0:
			r.Requests = append(r.Requests, telemetry.Count{Outcome: group, Reason: name, N: counts[c]})
		}
	}
	return r
}

// lost returns how many copies, or results, were lost since New to what events of kind k report.
func (m *Mirror) lost(k EventKind) (n uint64) {
	k = k.about()
	for c := codeMatch; c < numCodes; c++ {
		if codes[c].event == k {
			n += m.ledger.Total(c)
		}
	}
	return n
}

// RouteCoverage is what became of the requests of one route. It is plain data.
type RouteCoverage struct {
	Route      string `json:"route"`
	Match      uint64 `json:"match"`
	Mismatch   uint64 `json:"mismatch"`
	Failed     uint64 `json:"failed"`
	Uncompared uint64 `json:"uncompared"`
	// Lost are the requests that were sampled and not copied, or whose copy was given up.
	Lost map[Reason]uint64 `json:"lost,omitempty"`
	// Passed estimates how many went by before that, because of their method, the Sampler, or a
	// limit that stopped all. Each of up to four times GOMAXPROCS counters looks at the first 64 requests
	// of each Reason, and then at one in 64.
	Passed map[Reason]uint64 `json:"passed,omitempty"`
	// Why lists why no answers were compared, the main reason first. It is empty if some were.
	Why string `json:"why,omitempty"`
}

// Compared is the number of results whose answers were compared.
func (c *RouteCoverage) Compared() uint64 { return c.Match + c.Mismatch }

// newLedger returns an empty ledger with room for 1,000 routes of each origin. Names are cut to
// route.MaxName bytes, so all takes 3 MB at most.
func newLedger() *ledger.Ledger {
	return ledger.New(int(numCodes), route.Other, slices.Repeat([]int{1000}, int(route.Origins))...)
}

// Coverage returns what became of the requests of each route since New, copied or not, sorted by
// route. An entry each have the first 1,000 patterns (and names of WithRoute), templates of paths that
// the primary serves, and templates of paths that it answered with 404 or 405 or that were not sampled.
// Later ones are counted as "(other)". Outcomes and Lost are exact. A route whose requests are never
// sampled may be missing until it has had some hundreds of them. A Mirror whose answers nobody looks
// at (Target.Discard and no Reporter) compares nothing, and counts by route only what is lost or
// passes by.
func (m *Mirror) Coverage() []RouteCoverage {
	m.mustExist("Coverage")
	var list []RouteCoverage
	for r := range m.ledger.Routes() {
		c := RouteCoverage{Route: r.Name, Match: r.Ended(codeMatch), Mismatch: r.Ended(codeMismatch),
			Failed: r.Ended(codeFailed), Uncompared: r.Ended(codeUncompared)}
		for e := codeUncompared + 1; e < numCodes; e++ {
			ledger.Put(&c.Lost, codes[e].name, r.Ended(e))
			ledger.Put(&c.Passed, codes[e].name, r.Passed(e))
		}
		if c.Compared() == 0 {
			c.Why = ledger.Why(c.Failed, c.Uncompared, c.Lost, c.Passed, ReasonNotSampled)
		}
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b RouteCoverage) int { return cmp.Compare(a.Route, b.Route) })
	return list
}

// skip counts r, which is not copied, under c. Pass counts its route: see ledger.Skip for weight.
func (m *Mirror) skip(r *http.Request, c code) (weight uint64) {
	return m.ledger.Skip(reflect.ValueOf(r).Pointer(), c)
}

// pass counts r, which skip has counted, by its route.
func (m *Mirror) pass(r *http.Request, c code, weight uint64) {
	if codes[c].byRoute {
		m.miss(r, c)
	} else if weight > 0 {
		m.routeOf(r).Pass(c, weight)
	}
}

// miss counts r by its route, which was sampled, or could have been, and is not copied.
func (m *Mirror) miss(r *http.Request, c code) {
	m.routeOf(r).Record(c)
	m.limits.Wake() // the watch reports losses
}

// drop counts r, which was sampled and is not copied, under c and by its route.
func (m *Mirror) drop(r *http.Request, c code) {
	m.skip(r, c)
	m.miss(r, c)
}

// settle counts the copy of j, which was queued, under c. Name is that of its route if the Result
// has one. An outcome that nobody sees is not counted by route.
func (m *Mirror) settle(j *job, name string, c code) {
	switch {
	case !m.unobserved && name != "":
		m.ledger.Route(name, int(m.labels.Origin(j.route, j.resp.Status))).Record(c)
	case !m.unobserved || codes[c].group != outcome:
		m.routeOfJob(j).Record(c)
	}
	m.queue.Settle(func() { m.ledger.Record(c) })
}

// routeOf returns the route of r. It does not allocate if the route is known.
func (m *Mirror) routeOf(r *http.Request) *ledger.Route {
	u := r.URL
	if u == nil {
		u = &url.URL{}
	}
	return m.routeNamed(m.routeName(r), r.Method, u, 0)
}

// routeOfJob returns the route of j, as far as the primary has answered.
func (m *Mirror) routeOfJob(j *job) *ledger.Route {
	if _, answered := j.primary.Get(); !answered {
		return m.routeNamed("", j.method, &j.url, 0)
	}
	return m.routeNamed(j.route, j.method, &j.url, j.resp.Status)
}

func (m *Mirror) routeNamed(found, method string, u *url.URL, status int) *ledger.Route {
	var buf [route.MaxName]byte
	if name, ok := m.labels.Append(buf[:0], found, method, u); ok {
		if known := m.ledger.Find(name); known != nil {
			return known
		}
	}
	return m.ledger.Route(m.labels.Route(found, method, u), int(m.labels.Origin(found, status)))
}

// RuleUse is one rule and how often it took effect. A rule of CompareOptions takes effect on pairs
// of values that differ in bytes, but not while the elements of arrays are paired. A rule of a mask
// takes effect on each value that it finds.
type RuleUse struct {
	Option string // Ignore, Unordered, Keyed or Tolerances; MaskJSON, MaskHeaders and their like
	Path   string // the rule as it was given: a path, a name or a pattern
	Count  uint64
}

// ruler is a Masker or Comparator that has rules. A value that several parts of a Mirror share
// counts for all of them.
type ruler interface{ Rules() []RuleUse }

// Rules returns every rule of the Mirror's comparator and of its maskers, and how often it took
// effect: CompareOptions.Ignore, Unordered, Keyed and Tolerances, MaskJSON, MaskHeaders and
// the other maskers that name places. A rule that stays at zero may be misspelt: a mask then
// hides nothing. The Mirror says so once, as EventUnusedRules, after 10,000 results.
//
// Rules of a user's Masker or Comparator are included if it has a method Rules() []RuleUse, or
// an Unwrap that returns what it is made of: []Masker or []Comparator.
func (m *Mirror) Rules() []RuleUse {
	m.mustExist("Rules")
	var rules []RuleUse
	seen := map[any]bool{}
	for r := range composite.Distinct[ruler](m.comparator, seen) {
		rules = append(rules, r.Rules()...)
	}
	maskers := []Masker{m.mask, m.target.Masker}
	if m.control != nil {
		maskers = append(maskers, m.control.Masker)
	}
	for _, masker := range maskers {
		for r := range composite.Distinct[ruler](masker, seen) {
			rules = append(rules, r.Rules()...)
		}
	}
	return rules
}

// checkRules reports the rules that took no effect, once.
func (m *Mirror) checkRules() {
	const rulesAfter, rulesShown = 10_000, 20 // results, rules
	if m.finished.Add(1) != rulesAfter {
		return
	}
	unused := slices.DeleteFunc(m.Rules(), func(r RuleUse) bool { return r.Count > 0 })
	if n := len(unused); n > 0 {
		m.notify(Event{Kind: EventUnusedRules, Text: fmt.Sprintf("%d rules took no effect in %d results, and may be misspelt: %s",
			n, rulesAfter, render.First(n, rulesShown, func(i int) string { return fmt.Sprintf("%s %q", unused[i].Option, unused[i].Path) }))})
	}
}
