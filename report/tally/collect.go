package tally

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/internal/pointer"
)

// Snapshot returns what t knows. Nobody who reports waits for more than the copy of the
// numbers of one route: those of different routes may be of slightly different instants.
func (t *Tally) Snapshot() *Snapshot {
	now := time.Now()
	s := &Snapshot{
		Version: Version, Since: t.since, Taken: now.UTC().Round(0),
		MinRuns: t.options.MinRuns, FalseDiscovery: t.options.FalseDiscovery,
	}
	c := newCollector(t.options.Accuracy)
	for i := range t.shards {
		if known := t.shards[i].known.Load(); known != nil {
			for _, series := range *known {
				series.snapshot(s, c, now.Unix())
			}
		}
	}
	t.mu.Lock()
	for _, e := range t.events {
		s.Events = append(s.Events, *e)
	}
	s.Acknowledged = slices.Collect(maps.Values(t.acknowledged))
	watched := maps.Clone(t.watched)
	t.mu.Unlock()
	for name, stats := range watched {
		s.Mirrors = append(s.Mirrors, ledger(name, stats()))
	}
	s.finish()
	return s
}

func ledger(name string, stats shadow.Stats) Mirror {
	return Mirror{
		Name: name, Requests: stats.Requests, Skipped: stats.Skipped, Dropped: stats.Dropped, Unreported: stats.Unreported,
		Results: Counts{Match: stats.Match, Mismatch: stats.Mismatch, Failed: stats.Failed, Uncompared: stats.Uncompared},
	}
}

// snapshot adds what s knows to out. The results are read last, because they are counted
// first: there are never fewer of them than differences.
func (s *series) snapshot(out *Snapshot, c *collector, second int64) {
	s.mu.Lock()
	for _, f := range s.fields {
		out.Fields = append(out.Fields, f.snapshot(s.key))
	}
	for _, g := range s.groups {
		out.Groups = append(out.Groups, g.snapshot(s.key, second))
	}
	s.mu.Unlock()
	cells := *s.cells.Load()
	for _, cell := range cells {
		cell.Lock()
	}
	defer func() {
		for _, cell := range cells {
			cell.Unlock()
		}
	}()
	r := Route{Mirror: s.key.mirror, Target: s.key.target, Route: s.key.route}
	for _, cell := range cells {
		cell.addTo(&r, second)
	}
	for i, to := range r.distributions() {
		for _, cell := range cells {
			c.add(cell.sketches()[i])
		}
		*to = c.take()
	}
	out.Routes = append(out.Routes, r)
}

// addTo adds the counts of c to r.
func (c *cell) addTo(r *Route, second int64) {
	r.Results.add(c.results)
	r.Weighted.add(c.weighted)
	r.First, r.Last = span(r.First, r.Last, stamp(c.first), stamp(c.last))
	r.PrimaryErrors += c.primaryErrors
	r.ShadowErrors += c.shadowErrors
	for i, n := range c.failures {
		if n > 0 {
			if r.Failures == nil {
				r.Failures = map[Failure]uint64{}
			}
			r.Failures[failures[i]] += n
		}
	}
	r.Correlated += c.correlated
	r.Controlled += c.controlled
	for _, w := range [...]struct {
		to     *Slots
		ring   []numbered[slot]
		length int64
	}{
		{&r.Minute, c.windows.minutes[:], minuteSlot},
		{&r.Hour, c.windows.hours[:], hourSlot},
		{&r.Day, c.windows.days[:], daySlot},
	} {
		var list Slots
		recent(w.ring, w.length, second, func(start time.Time, s *slot) {
			list = append(list, Slot{
				Start: start,
				Counts: Counts{
					Match: uint64(s.results[0]), Mismatch: uint64(s.results[1]),
					Failed: uint64(s.results[2]), Uncompared: uint64(s.results[3]),
				},
				ShadowErrors: uint64(s.shadowErrors), Answered: uint64(s.answered),
				PrimaryTook: s.primaryTook, ShadowTook: s.shadowTook,
			})
		})
		*w.to = (*w.to).merge(list)
	}
}

func (f *field) snapshot(k seriesKey) Field {
	return Field{
		Mirror: k.mirror, Target: k.target, Route: k.route, Place: f.place,
		Count: f.count, First: stamp(f.first), Last: stamp(f.last), Classes: byClass(&f.classes),
		CandidateOnly: f.candidateOnly, ControlOnly: f.controlOnly, Both: f.both,
	}
}

func (g *group) snapshot(k seriesKey, second int64) Group {
	out := Group{
		Fingerprint: formatted(g.fingerprint), Mirror: k.mirror, Target: k.target, Route: k.route,
		PrimaryStatus: g.primary, ShadowStatus: g.shadow, Places: g.places, MorePlaces: g.more,
		Count: g.count, Weight: g.weight, First: stamp(g.first), Last: stamp(g.last), Classes: byClass(&g.classes),
	}
	for _, w := range [...]struct {
		to     *Ticks
		ring   []numbered[uint32]
		length int64
	}{
		{&out.Minute, g.windows.minutes[:], minuteSlot},
		{&out.Hour, g.windows.hours[:], hourSlot},
		{&out.Day, g.windows.days[:], daySlot},
	} {
		recent(w.ring, w.length, second, func(start time.Time, n *uint32) {
			*w.to = append(*w.to, Tick{Start: start, Count: uint64(*n)})
		})
		slices.SortFunc(*w.to, func(a, b Tick) int { return a.Start.Compare(b.Start) })
	}
	for _, e := range g.exemplars {
		out.Exemplars = append(out.Exemplars, e.Exemplar)
	}
	return out
}

func byClass(counts *[numClasses]uint64) map[shadow.DiffClass]uint64 {
	var classified map[shadow.DiffClass]uint64
	for i, n := range counts {
		if n > 0 {
			if classified == nil {
				classified = map[shadow.DiffClass]uint64{}
			}
			classified[classes[i]] = n
		}
	}
	return classified
}

// stamp is t as it is shown.
func stamp(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC().Round(0)
}

// finish sorts s and fills in what follows from the counts.
func (s *Snapshot) finish() {
	slices.SortFunc(s.Mirrors, func(a, b Mirror) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Routes, func(a, b Route) int {
		return cmp.Or(cmp.Compare(a.Mirror, b.Mirror), cmp.Compare(a.Target, b.Target), cmp.Compare(a.Route, b.Route))
	})
	slices.SortFunc(s.Fields, func(a, b Field) int {
		return cmp.Or(cmp.Compare(a.Mirror, b.Mirror), cmp.Compare(a.Target, b.Target), cmp.Compare(a.Route, b.Route),
			pointer.Compare(a.Path, b.Path), cmp.Compare(a.Kind, b.Kind))
	})
	slices.SortFunc(s.Groups, func(a, b Group) int {
		return cmp.Or(cmp.Compare(a.Mirror, b.Mirror), cmp.Compare(a.Target, b.Target), cmp.Compare(a.Route, b.Route),
			cmp.Compare(a.Fingerprint, b.Fingerprint))
	})
	slices.SortFunc(s.Events, func(a, b Event) int {
		return cmp.Or(cmp.Compare(a.Mirror, b.Mirror), cmp.Compare(a.Target, b.Target), cmp.Compare(a.Kind, b.Kind))
	})
	slices.SortFunc(s.Acknowledged, func(a, b Acknowledgement) int { return cmp.Compare(a.Fingerprint, b.Fingerprint) })

	routes := make(map[seriesKey]*Route, len(s.Routes))
	for i := range s.Routes {
		r := &s.Routes[i]
		r.Noisy, r.Expected = 0, 0
		routes[seriesKey{r.Mirror, r.Target, r.Route}] = r
	}
	for i := range s.Fields {
		f := &s.Fields[i]
		f.Runs = 0
		if r := routes[seriesKey{f.Mirror, f.Target, f.Route}]; r != nil {
			f.Runs = r.Controlled
		}
	}
	s.judge()
	type fieldKey struct {
		seriesKey
		Place
	}
	verdicts := make(map[fieldKey]Verdict, len(s.Fields))
	for i := range s.Fields {
		f := &s.Fields[i]
		verdicts[fieldKey{seriesKey{f.Mirror, f.Target, f.Route}, f.Place}] = f.Verdict
	}
	states := make(map[string]State, len(s.Acknowledged))
	for _, a := range s.Acknowledged {
		states[a.Fingerprint] = Overdue
		if s.Taken.Before(a.Expires) {
			states[a.Fingerprint] = Expected
		}
	}
	for i := range s.Groups {
		g := &s.Groups[i]
		key := seriesKey{g.Mirror, g.Target, g.Route}
		of := func(p Place) Verdict {
			if v, ok := verdicts[fieldKey{key, p}]; ok {
				return v
			}
			return cmp.Or(verdicts[fieldKey{key, Place{Path: Other}}], Unproven)
		}
		list := make([]Verdict, 0, len(g.Places)+1)
		for _, p := range g.Places {
			list = append(list, of(p))
		}
		if g.MorePlaces {
			list = append(list, Unproven) // whatever they are
		}
		g.Verdict, g.Summary = gravest(list), summary(g.Classes)
		g.State = cmp.Or(states[g.Fingerprint], Open)
		g.Share = 0
		r := routes[key]
		if r == nil {
			continue
		}
		if all := r.Results.All(); all > 0 {
			g.Share = float64(g.Count) / float64(all)
		}
		switch {
		case g.State == Expected:
			r.Expected += g.Count
		case g.Verdict == Noisy:
			r.Noisy += g.Count
		}
	}
}
