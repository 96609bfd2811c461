package gate

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/report/tally"
)

// Verdict is what a gate says of a candidate, or of one criterion.
type Verdict string

// The verdicts.
const (
	Pass         Verdict = "pass"         // all that was asked for is shown
	Fail         Verdict = "fail"         // the opposite of something that was asked for is shown
	Insufficient Verdict = "insufficient" // neither yet
)

// ExitCode is the exit code of a program that ends with v: 0 for Pass, 1 for Fail, 2 for
// Insufficient and everything else.
func (v Verdict) ExitCode() int {
	switch v {
	case Pass:
		return 0
	case Fail:
		return 1
	}
	return 2
}

// Version is the version of the form of a Decision as JSON.
const Version = 1

// Decision is a verdict with its reasons. It is plain data and belongs to the caller. It
// holds names and numbers alone, no value of a request or answer.
type Decision struct {
	Version int     `json:"version"`
	Verdict Verdict `json:"verdict"` // Fail if any check fails, else Insufficient if any is
	Summary string  `json:"summary"` // in a sentence

	Mirror     string    `json:"mirror,omitempty"`
	Target     string    `json:"target,omitempty"`
	Since      time.Time `json:"since,omitzero"` // when counting began
	Taken      time.Time `json:"taken,omitzero"` // until when was counted
	Confidence float64   `json:"confidence"`
	Looks      Looks     `json:"looks"`

	Checks []Check `json:"checks"` // in a fixed order: for all routes together, then by route
}

// Check is what came of one criterion.
type Check struct {
	Name    string  `json:"name"`            // a Measure, "minDuration", "coverage", "event:" or "figure:" and a name
	Route   string  `json:"route,omitempty"` // empty: all of them together
	Verdict Verdict `json:"verdict"`
	Reason  string  `json:"reason"` // in words

	Limit float64 `json:"limit"`
	// Observed is the measure in the sample, and Lower and Upper bound what stands behind it;
	// nil where nothing can be said, or where it takes no statistics.
	Observed *float64 `json:"observed,omitempty"`
	Lower    *float64 `json:"lower,omitempty"`
	Upper    *float64 `json:"upper,omitempty"`
	// Needed is how many more requests it takes at least, if there is no further one that
	// speaks against the candidate; 0 where that is not known, or not the point.
	Needed uint64 `json:"needed,omitempty"`
}

// Decide judges a snapshot by c. Figures are what Criteria.Figures limit; nil is none. The
// error says what is wrong with the criteria or the snapshot; there is no decision then.
func (c Criteria) Decide(s *tally.Snapshot, figures map[string]float64) (Decision, error) {
	if err := c.Validate(); err != nil {
		return Decision{}, err
	}
	if s == nil {
		return Decision{}, errors.New("gate: there is no snapshot")
	}
	if s.Version != tally.Version {
		return Decision{}, fmt.Errorf("gate: the snapshot has version %d, and this gate reads version %d: build both from one release", s.Version, tally.Version)
	}
	mirror, target, err := c.choose(s)
	if err != nil {
		return Decision{}, err
	}
	routes, all, err := c.scopes(s, mirror, target)
	if err != nil {
		return Decision{}, err
	}
	events, err := c.events(s, mirror, target)
	if err != nil {
		return Decision{}, err
	}
	d := Decision{Version: Version, Mirror: mirror, Target: target, Since: s.Since, Taken: s.Taken,
		Confidence: c.confidence(), Looks: cmp.Or(c.Looks, AnyTime)}
	d.Checks = append(d.Checks, c.duration(s)...)
	d.Checks = append(d.Checks, c.coverage(routes)...)
	d.Checks = append(d.Checks, c.limits(all, routes)...)
	d.Checks = append(d.Checks, events...)
	d.Checks = append(d.Checks, c.figures(figures)...)
	d.conclude()
	return d, nil
}

// choose returns the one mirror and target that are selected.
func (c Criteria) choose(s *tally.Snapshot) (mirror, target string, err error) {
	type pair struct{ mirror, target string }
	var there, chosen []string
	found := map[pair]bool{}
	for i := range s.Routes {
		p := pair{s.Routes[i].Mirror, s.Routes[i].Target}
		if found[p] {
			continue
		}
		found[p] = true
		name := fmt.Sprintf("mirror %q, target %q", p.mirror, p.target)
		there = append(there, name)
		if (c.Mirror == "" || c.Mirror == p.mirror) && (c.Target == "" || c.Target == p.target) {
			mirror, target = p.mirror, p.target
			chosen = append(chosen, name)
		}
	}
	switch {
	case len(chosen) > 1:
		return "", "", fmt.Errorf("gate: the snapshot has the results of several: %s; name one in the criteria", strings.Join(chosen, "; "))
	case len(chosen) == 0 && len(there) > 0:
		return "", "", fmt.Errorf("gate: the snapshot has no results of mirror %q, target %q, but of %s", c.Mirror, c.Target, strings.Join(there, "; "))
	case len(chosen) == 0:
		return c.Mirror, c.Target, nil // no results at all yet
	}
	return mirror, target, nil
}

// scopes returns what was counted by route, in the order of their names, and together.
func (c Criteria) scopes(s *tally.Snapshot, mirror, target string) (routes []*scope, all *scope, err error) {
	fields := map[string][]*tally.Field{}
	for i := range s.Fields {
		if f := &s.Fields[i]; f.Mirror == mirror && f.Target == target {
			fields[f.Route] = append(fields[f.Route], f)
		}
	}
	seen := map[string]bool{}
	for i := range s.Routes {
		r := &s.Routes[i]
		if r.Mirror != mirror || r.Target != target || slices.Contains(c.Exclude, r.Route) {
			continue
		}
		if seen[r.Route] {
			return nil, nil, fmt.Errorf("gate: snapshot: route %q is listed twice", r.Route)
		}
		seen[r.Route] = true
		one, err := newScope(r, fields[r.Route])
		if err != nil {
			return nil, nil, err
		}
		routes = append(routes, one)
	}
	slices.SortFunc(routes, func(a, b *scope) int { return strings.Compare(a.route, b.route) })
	hasControl := slices.ContainsFunc(s.Mirrors, func(m tally.Mirror) bool { return m.Name == mirror && m.Control })
	certain(routes, hasControl)
	all, err = join(routes)
	if err != nil {
		return nil, nil, err
	}
	all.weigh(c.LeastProbability)
	for _, one := range routes {
		one.weigh(c.LeastProbability)
	}
	for i := range s.Mirrors {
		if s.Mirrors[i].Name == mirror {
			if err := all.addLedger(&s.Mirrors[i]); err != nil {
				return nil, nil, err
			}
		}
	}
	return routes, all, nil
}

func (c Criteria) duration(s *tally.Snapshot) []Check {
	if c.MinDuration == 0 {
		return nil
	}
	least, took := time.Duration(c.MinDuration), s.Elapsed
	check := Check{Name: "minDuration", Verdict: Pass, Limit: least.Seconds(), Observed: new(took.Seconds()),
		Reason: fmt.Sprintf("counted for %v; the minimum is %v", round(took), least)}
	if took < least {
		check.Verdict = Insufficient
		check.Reason = fmt.Sprintf("counted for %v; %v more to go until %v", round(took), round(least-took), least)
	}
	return []Check{check}
}

func (c Criteria) coverage(routes []*scope) []Check {
	enough := c.Coverage.enough()
	covered := map[string]uint64{}
	n := 0
	for _, s := range routes {
		covered[s.route] = s.results.Compared()
		if s.results.Compared() >= enough {
			n++
		}
	}
	var checks []Check
	if share := c.Coverage.Share; share > 0 {
		check := Check{Name: "coverage", Verdict: Pass, Limit: share,
			Reason: fmt.Sprintf("%d of %s with %s or more; the minimum is %s",
				n, noun{"route", "routes"}.count(uint64(len(routes))), comparisons.count(enough), percent(share, nearest))}
		if len(routes) > 0 {
			check.Observed = new(float64(n) / float64(len(routes)))
		}
		if check.Observed == nil || *check.Observed < share {
			check.Verdict = Insufficient
		}
		checks = append(checks, check)
	}
	for _, route := range c.Coverage.Routes {
		check := Check{Name: "coverage", Route: route, Verdict: Pass, Limit: float64(enough),
			Observed: new(float64(covered[route])), Reason: comparisons.count(covered[route])}
		if covered[route] < enough {
			check.Verdict = Insufficient
			check.Needed = enough - covered[route]
			check.Reason += fmt.Sprintf("; %s more needed", thousands(check.Needed))
		}
		checks = append(checks, check)
	}
	return checks
}

// limits judges all that has a measure.
func (c Criteria) limits(all *scope, routes []*scope) []Check {
	type item struct {
		measure measure
		scope   *scope
		limit   float64
	}
	var items []item
	add := func(s *scope, limits Limits) {
		for _, m := range measures {
			if limit, ok := limits[m.name]; ok {
				items = append(items, item{m, s, limit})
			}
		}
	}
	add(all, c.Limits)
	missing := maps.Clone(c.Routes)
	for _, s := range routes {
		delete(missing, s.route)
	}
	for _, route := range slices.Sorted(maps.Keys(missing)) {
		routes = append(routes, &scope{route: route}) // without any result yet
	}
	for _, s := range routes {
		limits := Limits{}
		maps.Copy(limits, c.EachRoute)
		maps.Copy(limits, c.Routes[s.route])
		add(s, limits)
	}

	j := newJudge(c, len(items))
	checks := make([]Check, len(items))
	for i, it := range items {
		checks[i] = j.check(it.measure, it.scope, it.limit)
	}
	return checks
}

func (c Criteria) events(s *tally.Snapshot, mirror, target string) ([]Check, error) {
	others := map[string]bool{} // candidates that the mirror had besides
	for i := range s.Routes {
		if r := &s.Routes[i]; r.Mirror == mirror && r.Target != target {
			others[r.Target] = true
		}
	}
	happened, unknown := map[shadow.EventKind]uint64{}, uint64(0)
	for _, e := range s.Events {
		if err := believe("event "+string(e.Kind), e.Count); err != nil {
			return nil, err
		}
		switch {
		case e.Kind == tally.Other || e.Mirror == tally.Other:
			unknown += e.Count
		case (e.Mirror == mirror || mirror == "") && !others[e.Target]: // the control's are the mirror's too
			happened[e.Kind] += e.Count
		}
	}
	for _, m := range s.Mirrors {
		if err := believe("loops", m.Loops); err != nil {
			return nil, err
		}
		if m.Name == mirror {
			happened[shadow.EventLoop] = max(happened[shadow.EventLoop], m.Loops)
		}
	}
	limits := maps.Clone(c.Events)
	if happened[shadow.EventLoop] > 0 {
		if limits == nil {
			limits = map[shadow.EventKind]uint64{}
		}
		limits[shadow.EventLoop] = 0
	}
	var checks []Check
	for _, kind := range slices.Sorted(maps.Keys(limits)) {
		n, limit := happened[kind], limits[kind]
		check := Check{Name: "event:" + string(kind), Verdict: Pass, Limit: float64(limit), Observed: new(float64(n)),
			Reason: fmt.Sprintf("%s; the limit is %s", noun{"event", "events"}.count(n), thousands(limit))}
		switch {
		case n > limit:
			check.Verdict = Fail
		case n+unknown > limit:
			check.Verdict = Insufficient
			check.Reason += fmt.Sprintf(", and of %s more the tally did not keep the kind", thousands(unknown))
		case n == 0 && watched[kind] != "":
			check.Reason += ". Zero proves nothing unless " + watched[kind]
		}
		checks = append(checks, check)
	}
	return checks, nil
}

// watched says what has to look for an event, so that there are any.
var watched = map[shadow.EventKind]string{
	shadow.EventLeak:       "the leak check is on",
	shadow.EventSideEffect: "a guard is installed",
}

func (c Criteria) figures(given map[string]float64) []Check {
	var checks []Check
	for _, name := range slices.Sorted(maps.Keys(c.Figures)) {
		limits := c.Figures[name]
		value, ok := given[name]
		for _, end := range []struct {
			limit *float64
			what  string
			bad   func(limit float64) bool
		}{
			{limits.Min, "minimum", func(limit float64) bool { return value < limit }},
			{limits.Max, "maximum", func(limit float64) bool { return value > limit }},
		} {
			if end.limit == nil {
				continue
			}
			check := Check{Name: "figure:" + name, Verdict: Pass, Limit: *end.limit}
			switch {
			case !ok || math.IsNaN(value) || math.IsInf(value, 0):
				check.Verdict = Insufficient
				check.Reason = fmt.Sprintf("not measured; the %s is %v", end.what, *end.limit)
			default:
				check.Observed = new(value)
				check.Reason = fmt.Sprintf("%v; the %s is %v", value, end.what, *end.limit)
				if end.bad(*end.limit) {
					check.Verdict = Fail
				}
			}
			checks = append(checks, check)
		}
	}
	return checks
}

// conclude sums up the checks.
func (d *Decision) conclude() {
	n := map[Verdict]uint64{}
	for _, c := range d.Checks {
		n[c.Verdict]++
	}
	all := noun{"check", "checks"}.count(uint64(len(d.Checks)))
	switch {
	case n[Fail] > 0:
		d.Verdict = Fail
		d.Summary = fmt.Sprintf("%s of %s failed: %s", thousands(n[Fail]), all, d.names(Fail))
	case n[Insufficient] > 0:
		d.Verdict = Insufficient
		d.Summary = fmt.Sprintf("%s of %s cannot be decided yet: %s", thousands(n[Insufficient]), all, d.names(Insufficient))
	default:
		d.Verdict = Pass
		d.Summary = fmt.Sprintf("%s passed", all)
	}
}

// names lists the checks with a verdict, the first few of them.
func (d *Decision) names(v Verdict) string {
	const few = 5
	var names []string
	for _, c := range d.Checks {
		switch {
		case c.Verdict != v:
		case len(names) == few:
			return strings.Join(names, ", ") + ", …"
		default:
			names = append(names, c.title())
		}
	}
	return strings.Join(names, ", ")
}

// title is the name of a check with its route, in one line: a route may come from the path
// of a request, and so hold anything.
func (c *Check) title() string {
	title := c.Name
	if c.Route != "" {
		title += " of " + c.Route
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, title)
}
