package gate

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/goshadow/shadow/report/tally"
)

// claim is how the limit of a measure is meant.
type claim int

const (
	under   claim = iota // a share of what was counted stays under it
	over                 // a share of what was counted stays over it
	ratio                // two latencies have a ratio under it
	seconds              // a time stays under it
	atLeast              // so many were counted
)

// scopeKind is what limits are about.
type scopeKind int

const (
	wholeMirror scopeKind = iota
	oneRoute
)

// measure is what there is to know about a Measure.
type measure struct {
	name  Measure
	claim claim
	whole bool // not known by route

	// Of a share: bad are the observations that speak against the candidate, count says how
	// many of how many there are, and weigh how many requests stand behind them.
	bad   noun
	count func(*scope) (bad, of uint64)
	weigh func(*tally.Weights) (bad, of float64)
	noise func(judge, *scope, evidence) evidence // nil where there is none
}

// measures are in the order in which they are judged and printed.
var measures = []measure{
	{name: Compared, claim: atLeast},
	{name: DiffRate, claim: under, bad: noun{"difference", "differences"},
		count: func(s *scope) (uint64, uint64) { return s.unexplained, s.results.Compared() },
		weigh: func(w *tally.Weights) (float64, float64) { // noise is counted, and not weighed
			return w.Mismatch - w.Expected, w.Match + w.Mismatch
		},
		noise: judge.noise},
	{name: RawDiffRate, claim: under, bad: noun{"difference, noise included,", "differences, noise included,"},
		count: func(s *scope) (uint64, uint64) { return s.results.Mismatch, s.results.Compared() },
		weigh: func(w *tally.Weights) (float64, float64) { return w.Mismatch, w.Match + w.Mismatch }},
	{name: ErrorRate, claim: under, bad: noun{"error of the shadow", "errors of the shadow"},
		count: func(s *scope) (uint64, uint64) { return s.errors, s.results.All() },
		weigh: func(w *tally.Weights) (float64, float64) { return w.ShadowErrors, w.All() }},
	{name: UncomparedRate, claim: under, bad: noun{"answer not compared", "answers not compared"},
		count: func(s *scope) (uint64, uint64) { return s.results.Uncompared, s.results.All() },
		weigh: func(w *tally.Weights) (float64, float64) { return w.Uncompared, w.All() }},
	{name: P95Ratio, claim: ratio},
	{name: Correlation, claim: over, bad: noun{"copy not correlated", "copies not correlated"},
		count: func(s *scope) (uint64, uint64) { return s.results.All() - s.correlated, s.results.All() },
		weigh: func(w *tally.Weights) (float64, float64) { return w.All() - w.Correlated, w.All() }},
	{name: DropShare, claim: under, whole: true, bad: noun{"copy dropped", "copies dropped"},
		count: func(s *scope) (uint64, uint64) { return s.dropped, s.dropped + s.copied }},
	{name: LagMedian, claim: seconds},
}

func find(name Measure) (measure, bool) {
	i := slices.IndexFunc(measures, func(m measure) bool { return m.name == name })
	if i < 0 {
		return measure{}, false
	}
	return measures[i], true
}

// scope is what was counted for one route, or for all of them together.
type scope struct {
	route string // empty: all

	results                         tally.Counts
	unexplained, errors, correlated uint64
	controlled                      uint64             // results with a control
	doubtful                        uint64             // of unexplained: they may turn out to be noise
	noise                           []routeNoise       // of the routes where mismatches are taken for noise
	tested                          int                // places at which the control differs
	primary, shadow, lag            tally.Distribution // seconds

	weighted tally.Weights
	greatest float64 // the greatest weight that there may be; 0 where copies count alike
	problem  string  // why they cannot be weighed; empty if they can

	ledger          bool // whether the ledger of the mirror is there, which has:
	dropped, copied uint64
}

// most is the greatest count that is believed. Sums of such counts do not overflow.
const most = 1 << 40

// believe refuses counts that cannot be true: a snapshot may come from anywhere.
func believe(what string, counts ...uint64) error {
	for _, n := range counts {
		if n > most {
			return fmt.Errorf("gate: snapshot: %s: %d is no count that could be true", what, n)
		}
	}
	return nil
}

func results(c tally.Counts) []uint64 {
	return []uint64{c.Match, c.Mismatch, c.Failed, c.Uncompared}
}

// newScope checks what a snapshot says of a route, and takes what is needed of it.
func newScope(r *tally.Route, fields []*tally.Field) (*scope, error) {
	what := fmt.Sprintf("route %q", r.Route)
	err := errors.Join(
		believe(what, append(results(r.Results), r.Noisy, r.Unproven, r.Expected, r.ShadowErrors, r.Correlated, r.Controlled, r.Beyond)...),
		checkDistribution(what+": primaryTook", &r.PrimaryTook),
		checkDistribution(what+": shadowTook", &r.ShadowTook),
		checkDistribution(what+": lag", &r.Lag))
	if err != nil {
		return nil, err
	}
	switch w := &r.Weighted; {
	case !(w.Match >= 0 && w.Failed >= 0 && w.Uncompared >= 0 && w.Noisy >= 0 && w.Expected >= 0 && w.Noisy+w.Expected <= w.Mismatch &&
		0 <= w.ShadowErrors && w.ShadowErrors <= w.All() && 0 <= w.Correlated && w.Correlated <= w.All() &&
		w.All() <= most*most && w.Greatest >= 0):
		return nil, fmt.Errorf("gate: snapshot: route %q: the weights cannot be true", r.Route)
	case r.Noisy+r.Expected+r.Unproven > r.Results.Mismatch:
		return nil, fmt.Errorf("gate: snapshot: route %q: more mismatches are explained or unproven than there are", r.Route)
	case r.Beyond > r.Controlled || r.Controlled > r.Results.All():
		return nil, fmt.Errorf("gate: snapshot: route %q: more results have a control than there are", r.Route)
	case r.ShadowErrors > r.Results.All():
		return nil, fmt.Errorf("gate: snapshot: route %q: more errors than results", r.Route)
	case r.Correlated > r.Results.All():
		return nil, fmt.Errorf("gate: snapshot: route %q: more results are correlated than there are", r.Route)
	}
	for _, f := range fields {
		if max(f.CandidateOnly, f.ControlOnly, f.Both) > r.Controlled {
			return nil, fmt.Errorf("gate: snapshot: route %q: a field differs more often than there is a control", r.Route)
		}
	}
	s := &scope{
		route:       r.Route,
		results:     r.Results,
		weighted:    r.Weighted,
		unexplained: r.Unexplained(),
		errors:      r.ShadowErrors,
		correlated:  r.Correlated,
		primary:     r.PrimaryTook,
		shadow:      r.ShadowTook,
		lag:         r.Lag,
		controlled:  r.Controlled,
		doubtful:    r.Unproven,
	}
	s.addNoise(r, fields)
	return s, nil
}

// join returns the scope of all routes together.
func join(routes []*scope) (*scope, error) {
	all := &scope{}
	for _, s := range routes {
		all.results.Add(s.results)
		all.weighted.Add(s.weighted)
		all.unexplained += s.unexplained
		all.errors += s.errors
		all.correlated += s.correlated
		all.controlled += s.controlled
		all.doubtful += s.doubtful
		all.noise = append(all.noise, s.noise...)
		all.tested += s.tested
		var errs [3]error
		all.primary, errs[0] = all.primary.Merge(&s.primary)
		all.shadow, errs[1] = all.shadow.Merge(&s.shadow)
		all.lag, errs[2] = all.lag.Merge(&s.lag)
		if err := errors.Join(errs[:]...); err != nil {
			return nil, fmt.Errorf("gate: snapshot: route %q: %w", s.route, err)
		}
	}
	return all, nil
}

// addLedger adds what the mirror itself counted.
func (s *scope) addLedger(m *tally.Mirror) error {
	counts := append(results(m.Results), slices.Collect(maps.Values(m.Dropped))...)
	if err := believe(fmt.Sprintf("mirror %q", m.Name), counts...); err != nil {
		return err
	}
	s.ledger, s.copied = true, m.Results.All()
	for _, n := range m.Dropped {
		s.dropped += n
	}
	return nil
}
