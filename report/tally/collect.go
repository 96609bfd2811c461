package tally

import (
	"cmp"
	"maps"
	"slices"
	"sort"
	"time"

	"github.com/DataDog/sketches-go/ddsketch/mapping"

	"github.com/goshadow/shadow"
)

// Snapshot returns what t knows. Nobody who reports waits for more than the copy of the
// numbers of one route: those of different routes may be of slightly different instants.
func (t *Tally) Snapshot() *Snapshot {
	now := time.Now()
	s := &Snapshot{
		Version: Version, Since: t.since, Taken: now.UTC().Round(0), Elapsed: now.Sub(t.began),
		Sources: []Source{{Tally: t.id, Sequence: t.taken.Add(1), Elapsed: now.Sub(t.began)}},
		MinRuns: t.options.MinRuns, FalseDiscovery: t.options.FalseDiscovery,
	}
	all := t.all()
	s.Routes = make([]Route, len(all))
	c := newCollector(t.options.Accuracy)
	for i, series := range all {
		series.snapshot(s, &s.Routes[i], t.mapping, c, now.Unix(), series.window(false, t.options.MinRuns))
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

// all are the series of t, sorted.
func (t *Tally) all() (list []*series) {
	known := *t.known.Load()
	for i := range known {
		if s := known[i].Load(); s != nil {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(a, b *series) int { return a.key.compare(b.key) })
	return list
}

func ledger(name string, stats shadow.Stats) Mirror {
	return Mirror{
		Control: len(stats.Targets) > 1, Loops: stats.Loops,
		Name: name, Requests: stats.Requests, Skipped: stats.Skipped, Dropped: stats.Dropped, Unreported: stats.Unreported,
		Results: Counts{Match: stats.Match, Mismatch: stats.Mismatch, Failed: stats.Failed, Uncompared: stats.Uncompared},
	}
}

// snapshot writes the results of s to r, and adds its fields and groups to out. No result
// is counted in one place and not in another.
func (s *series) snapshot(out *Snapshot, r *Route, bins *mapping.CubicallyInterpolatedMapping, c *collector, second int64, window uint64) {
	r.Mirror, r.Target, r.Route = s.key.mirror, s.key.target, s.key.route
	cells := s.lockAll()
	defer unlock(cells)
	for _, cell := range cells {
		cell.settle(bins)
		cell.controlled.turn(window)
		cell.addTo(r, second)
	}
	for i, to := range r.distributions() {
		for _, cell := range cells {
			c.add(&cell.sketches[i])
		}
		*to = c.take()
	}
	for _, f := range *s.fields.Load() {
		sum := Field{Mirror: s.key.mirror, Target: s.key.target, Route: s.key.route, Place: f.place}
		for _, cell := range cells {
			if f.index < len(cell.fields) {
				cell.fields[f.index].pairs.turn(window)
				cell.fields[f.index].addTo(&sum)
			}
		}
		if sum.Count+sum.ControlOnly > 0 { // else it is about to be counted
			out.Fields = append(out.Fields, sum)
		}
	}
	for _, g := range *s.groups.Load() {
		sum := Group{
			Fingerprint: formatted(g.fingerprint), Mirror: s.key.mirror, Target: s.key.target, Route: s.key.route,
			PrimaryStatus: g.primary, ShadowStatus: g.shadow, Places: g.places, MorePlaces: g.more,
		}
		for _, cell := range cells {
			if g.index < len(cell.groups) {
				cell.groups[g.index].addTo(&sum, second)
			}
		}
		if sum.Count == 0 {
			continue
		}
		for _, e := range *g.exemplars.Load() {
			sum.Exemplars = append(sum.Exemplars, e.Exemplar)
		}
		out.Groups = append(out.Groups, sum)
	}
}

// lockAll locks all cells of s and returns them.
func (s *series) lockAll() []*cell {
	cells := s.all()
	for _, c := range cells {
		c.Lock()
	}
	return cells
}

func unlock(cells []*cell) {
	for _, c := range cells {
		c.Unlock()
	}
}

// addTo adds the counts of c to r.
func (c *cell) addTo(r *Route, second int64) {
	r.Results.Add(c.results)
	r.Weighted.Add(c.weighted)
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
	r.Controlled += c.controlled.now
	r.ControlledBefore += c.controlled.before
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

// addTo adds the counts of f to sum.
func (f *fieldCounts) addTo(sum *Field) {
	sum.Count += f.results
	sum.First, sum.Last = span(sum.First, sum.Last, stamp(f.first), stamp(f.last))
	sum.Classes = byClass(sum.Classes, &f.classes)
	sum.CandidateOnly += f.pairs.now.CandidateOnly
	sum.ControlOnly += f.pairs.now.ControlOnly
	sum.Both += f.pairs.now.Both
	sum.Before.add(f.pairs.before)
}

// addTo adds the counts of g to sum.
func (g *groupCounts) addTo(sum *Group, second int64) {
	sum.Count += g.results
	sum.Controlled += g.controlled
	sum.Weight += g.weight
	sum.First, sum.Last = span(sum.First, sum.Last, stamp(g.first), stamp(g.last))
	sum.Classes = byClass(sum.Classes, &g.classes)
	for _, w := range [...]struct {
		to     *Ticks
		ring   []numbered[uint32]
		length int64
	}{
		{&sum.Minute, g.windows.minutes[:], minuteSlot},
		{&sum.Hour, g.windows.hours[:], hourSlot},
		{&sum.Day, g.windows.days[:], daySlot},
	} {
		var list Ticks
		recent(w.ring, w.length, second, func(start time.Time, n *uint32) {
			list = append(list, Tick{Start: start, Count: uint64(*n)})
		})
		*w.to = (*w.to).merge(list)
	}
}

// byClass adds counts to sum.
func byClass(sum map[shadow.DiffClass]uint64, counts *[numClasses]uint64) map[shadow.DiffClass]uint64 {
	for i, n := range counts {
		if n > 0 {
			if sum == nil {
				sum = map[shadow.DiffClass]uint64{}
			}
			sum[classes[i]] += n
		}
	}
	return sum
}

// stamp is t as it is shown.
func stamp(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC().Round(0)
}

// order sorts a list of what is too large to be passed around.
func order[T any](list []T, compare func(a, b *T) int) {
	less := func(i, j int) bool { return compare(&list[i], &list[j]) < 0 }
	if !sort.SliceIsSorted(list, less) {
		sort.Slice(list, less)
	}
}

// finish sorts s and fills in what follows from the counts.
func (s *Snapshot) finish() {
	order(s.Sources, func(a, b *Source) int { return cmp.Compare(a.Tally, b.Tally) })
	order(s.Mirrors, func(a, b *Mirror) int { return cmp.Compare(a.Name, b.Name) })
	order(s.Routes, func(a, b *Route) int { return a.key().compare(b.key()) })
	order(s.Fields, func(a, b *Field) int {
		return cmp.Or(a.key().compare(b.key()), a.Place.compare(b.Place))
	})
	order(s.Groups, func(a, b *Group) int {
		return cmp.Or(a.key().compare(b.key()), cmp.Compare(a.Fingerprint, b.Fingerprint))
	})
	order(s.Events, func(a, b *Event) int {
		return cmp.Or(cmp.Compare(a.Mirror, b.Mirror), cmp.Compare(a.Target, b.Target), cmp.Compare(a.Kind, b.Kind))
	})
	order(s.Acknowledged, func(a, b *Acknowledgement) int { return cmp.Compare(a.Fingerprint, b.Fingerprint) })

	routes := make(map[seriesKey]*Route, len(s.Routes))
	for i := range s.Routes {
		r := &s.Routes[i]
		r.Noisy, r.Unproven, r.Expected, r.Beyond = 0, 0, 0, 0
		r.Weighted.Noisy, r.Weighted.Expected = 0, 0
		routes[r.key()] = r
	}
	for i := range s.Fields {
		f := &s.Fields[i]
		f.Runs, f.Recent = 0, 0
		if r := routes[f.key()]; r != nil {
			f.Runs, f.Recent = r.Controlled, r.Controlled-r.ControlledBefore
		}
	}
	s.judge()
	stabilities := make(map[placeKey]Stability, len(s.Fields))
	for i := range s.Fields {
		f := &s.Fields[i]
		stabilities[placeKey{f.key(), f.Place}] = f.Stability
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
		key := g.key()
		of := func(p Place) Stability {
			if v, ok := stabilities[placeKey{key, p}]; ok && p.Path != Other {
				return v
			}
			return Unproven // what is counted together as Other says nothing of one place
		}
		list := make([]Stability, 0, len(g.Places)+1)
		for _, p := range g.Places {
			list = append(list, of(p))
		}
		if g.MorePlaces {
			list = append(list, Unproven) // whatever they are
		}
		g.Stability, g.Summary = gravest(list), summary(g.Classes)
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
			r.Weighted.Expected += g.Weight
			continue
		case g.Stability == Noisy:
			r.Noisy += g.Count
			r.Weighted.Noisy += g.Weight
		case g.Stability == Unproven:
			r.Unproven += g.Count
		}
		r.Beyond += g.Controlled
	}
}
