// Package gate turns the counts of a tally into a release decision: [Pass], [Fail], or
// [Insufficient] if the counts prove neither, each with reasons that a person can read.
//
//	g, err := gate.New(gate.Default(), source, gate.Options{OnVerdict: stopOnFail})
//	...
//	http.Handle("/gate/", http.StripPrefix("/gate", g)) // for pipelines
//	os.Exit(g.Decide(ctx).Verdict.ExitCode())           // or as the end of one
//
// [Criteria] are data. A limit of a share, such as the diff rate, is a claim about all requests,
// of which the copies are a sample: "under 0.1 %, with 95 % confidence". No difference in 200
// requests does not prove that, and the gate says how many requests it takes.
//
// A gate may be asked any number of times. With a bound that is made for one look, each further
// look is another chance of a false pass, so the bounds of a gate hold for all looks together: see
// [AnyTime].
//
// A tally must be about one candidate: start another with each deployment.
package gate

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/goshadow/shadow"
)

// Criteria are what a candidate has to show. They are plain data with a form in JSON,
// which is read strictly; every fault is reported at once. The zero value has no limits,
// which Validate refuses: start from Default. It is not changed by what it is given to.
type Criteria struct {
	// Mirror and Target select results by shadow.Result.Mirror and Target. They may be empty
	// where the snapshot has no others.
	Mirror string `json:"mirror,omitempty"`
	Target string `json:"target,omitempty"`

	// Confidence is the probability that a candidate which violates one of the limits does
	// not pass, and also that one which keeps all of them does not fail; 0 is 0.95.
	Confidence float64 `json:"confidence,omitempty"`
	// Looks is how often the gate is asked; empty is AnyTime.
	Looks Looks `json:"looks,omitempty"`

	// LeastProbability is the least with which the sampler copies any request that it may
	// copy: shadow.Result.Probability. It is needed where not all copies that a limit is about
	// were made with one probability, because a sampler prefers some or its rate was changed;
	// such a limit is Insufficient without it. With it shares are those of the requests, and
	// copies count the less the more probable they were, but for a route whose copies are
	// alike. It is declared, and not read off the copies, because those that are the least
	// probable may be still to come. Bounds of weighed copies are of AnyTime, whatever Looks
	// says. 0 is not declared, else it is from 0.000001 to 1.
	LeastProbability float64 `json:"leastProbability,omitempty"`

	// MinDuration is how long counting has to go on at least.
	MinDuration Duration `json:"minDuration,omitempty"`
	// Coverage is what has to be seen of the routes.
	Coverage Coverage `json:"coverage,omitzero"`
	// Exclude are routes that nothing is asked of, and that count nowhere but in the
	// DropShare, which is not known by route.
	Exclude []string `json:"exclude,omitempty"`

	Limits    Limits            `json:"limits,omitempty"`    // for all routes together
	EachRoute Limits            `json:"eachRoute,omitempty"` // for each route that is not excluded
	Routes    map[string]Limits `json:"routes,omitempty"`    // for these, instead of what EachRoute says of the same measure

	// Events are how often something may have happened at most, at the target, at its control or
	// in the mirror. What is not listed may happen, but for shadow.EventLoop: no candidate passes
	// after copies have come back to the mirror. There are no statistics about events: one leak
	// is one leak. Zero events prove nothing unless something looks for them.
	Events map[shadow.EventKind]uint64 `json:"events,omitempty"`
	// Figures are limits of what the tally does not know, such as the cost: see
	// Options.Figures. A figure that is not given is Insufficient.
	Figures map[string]Range `json:"figures,omitempty"`
}

// Default returns the criteria that shadow deployments are commonly held to: a diff rate
// under 0.1 %, a shadow error rate under 0.5 %, under 0.5 % of the answers not comparable, a
// p95 under twice the primary's, more than 99 % of the copies correlated, under 1 % of them
// dropped, a median lag under 5 minutes, no leak, no side effect and no loop.
func Default() Criteria {
	return Criteria{
		Limits: Limits{
			DiffRate:       0.001,
			ErrorRate:      0.005,
			UncomparedRate: 0.005,
			P95Ratio:       2,
			Correlation:    0.99,
			DropShare:      0.01,
			LagMedian:      300,
		},
		Events: map[shadow.EventKind]uint64{shadow.EventLeak: 0, shadow.EventSideEffect: 0, shadow.EventLoop: 0},
	}
}

// Looks is how often a gate is asked before it is believed.
type Looks string

const (
	// AnyTime bounds hold for all looks together, however many and whenever: a gate that is
	// asked every minute until it passes lets a bad candidate pass no more often than
	// 1-Confidence. They are beta-binomial mixtures (Robbins 1970; Howard, Ramdas, McAuliffe
	// and Sekhon 2021), and take a fifth to two fifths more requests than one look would.
	AnyTime Looks = "any-time"
	// Once bounds are those of Clopper and Pearson (1934), for one look at a time that was
	// fixed before. A Gate, which can be asked again, refuses them: call Criteria.Decide.
	Once Looks = "once"
)

// Measure is what a limit is about.
type Measure string

// The measures. Each is strict: a rate at its limit does not pass.
const (
	// DiffRate is the share of the comparisons with a difference that is neither noise nor
	// expected (acknowledged); the limit is the share that it stays under. What may be more
	// than noise counts against the candidate until the control has shown that it is not.
	DiffRate Measure = "diffRate"
	// RawDiffRate is the share of the comparisons with a difference that the control did not show in
	// the same request.
	RawDiffRate Measure = "rawDiffRate"
	// ErrorRate is the share of the copies that the shadow did not answer, or answered with
	// a status of 500 or more.
	ErrorRate Measure = "errorRate"
	// UncomparedRate is the share of the copies whose answers could not be compared: one was torn,
	// could not be decoded, or was too long.
	UncomparedRate Measure = "uncomparedRate"
	// P95Ratio is the 95th percentile of the shadow's latency divided by that of the
	// primary's; the limit is what it stays under. A copy that the shadow did not answer has
	// no latency: that is what ErrorRate is for.
	P95Ratio Measure = "p95Ratio"
	// Correlation is the share of the copies in which both answers were brought together;
	// the limit is the share that it stays over.
	Correlation Measure = "correlation"
	// DropShare is the share of the requests to be copied that were lost to a limit. It is
	// known for all routes together, and where the tally watches the mirror.
	DropShare Measure = "dropShare"
	// LagMedian is the median of the time from the primary's answer to the result, in
	// seconds; the limit is what it stays under.
	LagMedian Measure = "lagMedian"
	// Compared is the number of comparisons, the least that will do.
	Compared Measure = "compared"
)

// Limits are limits by measure. What is not listed is not limited.
type Limits map[Measure]float64

// Coverage is what has to be seen of the routes. The zero value asks for nothing.
type Coverage struct {
	// Share is the least share of the routes with results that have at least Compared
	// comparisons, from 0 to 1.
	Share    float64 `json:"share,omitempty"`
	Compared uint64  `json:"compared,omitempty"` // 0 is 1
	// Routes have to be there, with at least Compared comparisons each.
	Routes []string `json:"routes,omitempty"`
}

// enough is Compared with its default.
func (c Coverage) enough() uint64 { return max(c.Compared, 1) }

// Range is where a figure has to be, both ends included. Nil is no limit.
type Range struct {
	Min *float64 `json:"min,omitempty"`
	Max *float64 `json:"max,omitempty"`
}

// Duration is a time.Duration that is written as in "1h30m".
type Duration time.Duration

// MarshalText writes d as time.Duration does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}

func (c Criteria) confidence() float64 {
	if c.Confidence == 0 {
		return 0.95
	}
	return c.Confidence
}

// Validate returns all that is wrong with c, joined (errors.Join): what is out of range,
// what can never be shown by a sample, and what contradicts something else.
func (c Criteria) Validate() error {
	faults := c.faults()
	if c.empty() {
		faults.add("limits", "there is nothing to decide: everything would pass. See gate.Default")
	}
	return faults.join()
}

func (c Criteria) faults() (f faults) {
	if p := c.confidence(); !(p > 0.5 && p < 1) {
		hint := ""
		if p > 1 && p < 100 {
			hint = fmt.Sprintf(" (write %v for %v %%)", p/100, p)
		}
		f.add("confidence", "%v is not between 0.5 and 1%s", p, hint)
	}
	if c.Looks != "" && c.Looks != AnyTime && c.Looks != Once {
		f.add("looks", "%q is neither %q nor %q", c.Looks, AnyTime, Once)
	}
	if p := c.LeastProbability; p != 0 && !(p >= leastOfAll && p <= 1) {
		f.add("leastProbability", "%v is not between %v and 1", p, leastOfAll)
	}
	if c.MinDuration < 0 {
		f.add("minDuration", "%v is negative", time.Duration(c.MinDuration))
	}
	if share := c.Coverage.Share; !(share >= 0 && share <= 1) {
		f.add("coverage.share", "%v is not between 0 and 1", share)
	}
	if c.Coverage.Compared > 0 && c.Coverage.Share == 0 && len(c.Coverage.Routes) == 0 {
		f.add("coverage.compared", "has no effect without share or routes")
	}
	c.validateNames(&f)
	c.Limits.validate(&f, "limits", wholeMirror)
	c.EachRoute.validate(&f, "eachRoute", oneRoute)
	for _, route := range slices.Sorted(maps.Keys(c.Routes)) {
		c.Routes[route].validate(&f, place("routes", route), oneRoute)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Figures)) {
		c.Figures[name].validate(&f, place("figures", name))
	}
	return f
}

func (c Criteria) empty() bool {
	n := len(c.Limits) + len(c.EachRoute) + len(c.Events) + len(c.Figures) + len(c.Coverage.Routes)
	for _, limits := range c.Routes {
		n += len(limits)
	}
	return n == 0 && c.Coverage.Share == 0
}

// validateNames finds routes that are excluded and limited at the same time, or listed twice.
func (c Criteria) validateNames(faults *faults) {
	excluded := map[string]bool{}
	for i, route := range c.Exclude {
		if excluded[route] {
			faults.add(at("exclude", i), "%q is listed twice", route)
		}
		excluded[route] = true
	}
	named := map[string]bool{}
	for i, route := range c.Coverage.Routes {
		if named[route] {
			faults.add(at("coverage.routes", i), "%q is listed twice", route)
		}
		named[route] = true
		if excluded[route] {
			faults.add(at("coverage.routes", i), "%q has to be covered and is excluded", route)
		}
	}
	for _, route := range slices.Sorted(maps.Keys(c.Routes)) {
		if excluded[route] {
			faults.add(place("routes", route), "the route has limits and is excluded")
		}
		if len(c.Routes[route]) == 0 {
			faults.add(place("routes", route), "has no limits: list the route in exclude, or leave it out")
		}
	}
	for kind := range c.Events {
		if kind == "" {
			faults.add("events", "a kind of event has no name")
		}
		if kind == shadow.EventLoop && c.Events[kind] > 0 {
			faults.add("events."+string(kind), "copies that come back to the mirror were compared with the primary itself: the limit can only be 0")
		}
	}
}

// validate checks limits that are about one route, or the whole mirror.
func (l Limits) validate(faults *faults, where string, about scopeKind) {
	for _, name := range slices.Sorted(maps.Keys(l)) {
		limit, where := l[name], where+"."+string(name)
		m, ok := find(name)
		switch {
		case !ok:
			faults.add(where, "there is no such measure; there are %s", known())
		case m.whole && about == oneRoute:
			faults.add(where, "is not known by route: move it to limits")
		case math.IsNaN(limit) || math.IsInf(limit, 0):
			faults.add(where, "%v is no limit", limit)
		case m.claim == under && limit <= 0:
			faults.add(where, "no sample shows that a rate is under %v: choose a limit over 0", limit)
		case m.claim == under && limit >= 1:
			faults.add(where, "%v is no limit for a share of 1: 0.1 %% is 0.001", limit)
		case m.claim == over && limit >= 1:
			faults.add(where, "no sample shows that a share is over %v: choose a limit under 1", limit)
		case m.claim == over && limit <= 0:
			faults.add(where, "%v is no limit for a share of 1: 99 %% is 0.99", limit)
		case limit <= 0:
			faults.add(where, "%v is not over 0", limit)
		case m.claim == atLeast && (limit != math.Trunc(limit) || limit > most):
			faults.add(where, "%v is not a whole number that could be counted", limit)
		}
	}
	if diff, raw := l[DiffRate], l[RawDiffRate]; raw > 0 && diff > raw {
		faults.add(where, "%s under %v contradicts %s under %v: the first is never the greater one",
			DiffRate, diff, RawDiffRate, raw)
	}
}

func (r Range) validate(faults *faults, where string) {
	for _, end := range []*float64{r.Min, r.Max} {
		if end != nil && (math.IsNaN(*end) || math.IsInf(*end, 0)) {
			faults.add(where, "%v is no limit", *end)
		}
	}
	switch {
	case r.Min == nil && r.Max == nil:
		faults.add(where, "has neither min nor max")
	case r.Min != nil && r.Max != nil && *r.Min > *r.Max:
		faults.add(where, "min (%v) is over max (%v): no figure is between", *r.Min, *r.Max)
	}
}

// faults collects what is wrong, each with its place in the JSON.
type faults []error

func (f *faults) add(where, format string, args ...any) {
	if where != "" {
		where += ": "
	}
	*f = append(*f, fmt.Errorf("gate: criteria: %s%s", where, fmt.Sprintf(format, args...)))
}

func (f faults) join() error { return errors.Join(f...) }

func at(list string, i int) string { return fmt.Sprintf("%s[%d]", list, i) }

func place(object, member string) string {
	if object == "" {
		return member
	}
	return fmt.Sprintf("%s[%q]", object, member)
}

// known lists the measures.
func known() string {
	names := make([]string, len(measures))
	for i, m := range measures {
		names[i] = string(m.name)
	}
	return strings.Join(names, ", ")
}
