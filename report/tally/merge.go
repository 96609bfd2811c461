package tally

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"
)

// Merge returns the snapshot of one Tally that saw what the tallies of all snapshots saw
// together: counts are sums, distributions are within their accuracy, and what follows
// from them is judged anew, by the strictest MinRuns and FalseDiscovery among them. The
// snapshots stay as they are. Of several snapshots of one tally the latest counts, and one that
// is given twice counts once. Series in time end when the last snapshot was taken. Where a tally reached a cap, the results that it counted as
// Other stay there.
//
// The error says which snapshots cannot be merged: they are of another Version or have
// another Accuracy, or are themselves merged of tallies that others hold too, so that they cannot be
// told apart any more. Snapshots whose lists would be longer together than Decode reads are
// refused too.
func Merge(snapshots ...*Snapshot) (*Snapshot, error) {
	sum := &Snapshot{Version: Version}
	var m merger
	var errs []error
	var chosen []int // of snapshots
	for i, s := range snapshots {
		if s == nil {
			errs = append(errs, fmt.Errorf("tally: Merge: snapshot %d is nil", i))
			continue
		}
		if s.Version != Version {
			errs = append(errs, fmt.Errorf("tally: Merge: snapshot %d has version %d; this program knows version %d", i, s.Version, Version))
			continue
		}
		var err error
		if chosen, err = choose(snapshots, chosen, i); err != nil {
			errs = append(errs, fmt.Errorf("tally: Merge: snapshot %d %w", i, err))
		}
	}
	for _, i := range chosen {
		if err := m.add(sum, snapshots[i]); err != nil {
			errs = append(errs, fmt.Errorf("tally: Merge: snapshot %d: %w", i, err))
		}
	}
	if len(errs) == 0 {
		errs = append(errs, sum.tooLong())
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	sum.trim()
	sum.finish()
	return sum, nil
}

// choose adds i to the snapshots whose counts are added up. Every tally is in one of them.
func choose(snapshots []*Snapshot, chosen []int, i int) ([]int, error) {
	s := snapshots[i]
	if len(s.Sources) == 0 {
		return chosen, errors.New("names no tally that took it: merging it twice could not be told from two")
	}
	if slices.ContainsFunc(chosen, func(c int) bool { return snapshots[c].covers(s) }) {
		return chosen, nil
	}
	chosen = slices.DeleteFunc(chosen, func(c int) bool { return s.covers(snapshots[c]) })
	for _, c := range chosen {
		for _, source := range s.Sources {
			if snapshots[c].source(source.Tally) != nil {
				return chosen, fmt.Errorf("has counts of tally %.40q that another snapshot has too, next to those of others: merge the snapshots of single tallies", source.Tally)
			}
		}
	}
	return append(chosen, i), nil
}

// covers reports whether s has all that o has, or later snapshots of the same tallies.
func (s *Snapshot) covers(o *Snapshot) bool {
	for _, theirs := range o.Sources {
		if own := s.source(theirs.Tally); own == nil || own.Sequence < theirs.Sequence {
			return false
		}
	}
	return true
}

func (s *Snapshot) source(tally string) *Source {
	if i := slices.IndexFunc(s.Sources, func(one Source) bool { return one.Tally == tally }); i >= 0 {
		return &s.Sources[i]
	}
	return nil
}

// merger finds in the sum what is there already.
type merger struct {
	mirrors      map[string]int
	routes       map[seriesKey]int
	fields       map[placeKey]int
	groups       map[groupKey]int
	events       map[eventKey]int
	acknowledged map[string]int
}

type placeKey struct {
	seriesKey
	Place
}

type groupKey struct {
	seriesKey
	fingerprint string
}

// entry returns the entry of list that has that key; it is added where there is none.
func entry[K comparable, V any](index *map[K]int, list *[]V, key K, add V) *V {
	at, ok := (*index)[key]
	if !ok {
		if *index == nil {
			*index = map[K]int{}
		}
		at = len(*list)
		(*index)[key] = at
		*list = append(*list, add)
	}
	return &(*list)[at]
}

func (m *merger) add(sum, s *Snapshot) error {
	if sum.Since.IsZero() || s.Since.Before(sum.Since) {
		sum.Since = s.Since
	}
	if s.Taken.After(sum.Taken) {
		sum.Taken = s.Taken
	}
	sum.Elapsed = max(sum.Elapsed, s.Elapsed)
	sum.Sources = append(sum.Sources, s.Sources...)
	sum.MinRuns = max(sum.MinRuns, s.MinRuns)
	if sum.FalseDiscovery == 0 || s.FalseDiscovery < sum.FalseDiscovery {
		sum.FalseDiscovery = s.FalseDiscovery
	}
	for i := range s.Mirrors {
		from := &s.Mirrors[i]
		entry(&m.mirrors, &sum.Mirrors, from.Name, Mirror{Name: from.Name}).merge(from)
	}
	for i := range s.Routes {
		from := &s.Routes[i]
		to := entry(&m.routes, &sum.Routes, from.key(),
			Route{Mirror: from.Mirror, Target: from.Target, Route: from.Route})
		if err := to.merge(from); err != nil {
			return fmt.Errorf("route %q: %w", from.Route, err)
		}
	}
	for i := range s.Fields {
		from := &s.Fields[i]
		entry(&m.fields, &sum.Fields, placeKey{from.key(), from.Place},
			Field{Mirror: from.Mirror, Target: from.Target, Route: from.Route, Place: from.Place}).merge(from)
	}
	for i := range s.Groups {
		from := &s.Groups[i]
		entry(&m.groups, &sum.Groups, groupKey{from.key(), from.Fingerprint},
			Group{
				Fingerprint: from.Fingerprint, Mirror: from.Mirror, Target: from.Target, Route: from.Route,
				PrimaryStatus: from.PrimaryStatus, ShadowStatus: from.ShadowStatus,
				Places: slices.Clone(from.Places), MorePlaces: from.MorePlaces,
			}).merge(from)
	}
	for _, from := range s.Events {
		to := entry(&m.events, &sum.Events, eventKey{from.Mirror, from.Target, from.Kind},
			Event{Mirror: from.Mirror, Target: from.Target, Kind: from.Kind})
		to.Count += from.Count
		_, to.Last = span(to.Last, to.Last, from.Last, from.Last)
	}
	for _, from := range s.Acknowledged {
		to := entry(&m.acknowledged, &sum.Acknowledged, from.Fingerprint, from)
		if cmp.Or(from.At.Compare(to.At), from.Expires.Compare(to.Expires), cmp.Compare(from.Owner, to.Owner), cmp.Compare(from.Note, to.Note)) > 0 {
			*to = from // the latest holds
		}
	}
	return nil
}

func (m *Mirror) merge(o *Mirror) {
	m.Requests += o.Requests
	m.Unreported += o.Unreported
	m.Control = m.Control || o.Control
	m.Loops += o.Loops
	m.Results.Add(o.Results)
	m.Skipped = sums(m.Skipped, o.Skipped)
	m.Dropped = sums(m.Dropped, o.Dropped)
}

// Add adds o to c.
func (c *Counts) Add(o Counts) {
	c.Match += o.Match
	c.Mismatch += o.Mismatch
	c.Failed += o.Failed
	c.Uncompared += o.Uncompared
}

// Add adds o to w: what it comes to if both are of one Tally.
func (w *Weights) Add(o Weights) {
	w.Match += o.Match
	w.Mismatch += o.Mismatch
	w.Failed += o.Failed
	w.Uncompared += o.Uncompared
	w.Noisy += o.Noisy
	w.Expected += o.Expected
	w.ShadowErrors += o.ShadowErrors
	w.Correlated += o.Correlated
	w.Greatest = max(w.Greatest, o.Greatest)
	w.Squares += o.Squares
	w.Unknown += o.Unknown
}

// sums returns the sums of both, key by key.
func sums[K comparable](a, b map[K]uint64) map[K]uint64 {
	if len(b) == 0 {
		return a
	}
	sum := maps.Clone(a)
	if sum == nil {
		sum = make(map[K]uint64, len(b))
	}
	for k, n := range b {
		sum[k] += n
	}
	return sum
}

// span returns the span of time that covers both; zero times are none.
func span(first, last, otherFirst, otherLast time.Time) (time.Time, time.Time) {
	if first.IsZero() || !otherFirst.IsZero() && otherFirst.Before(first) {
		first = otherFirst
	}
	if otherLast.After(last) {
		last = otherLast
	}
	return first, last
}

func (r *Route) merge(o *Route) error {
	r.Results.Add(o.Results)
	r.Weighted.Add(o.Weighted)
	r.First, r.Last = span(r.First, r.Last, o.First, o.Last)
	r.PrimaryErrors += o.PrimaryErrors
	r.ShadowErrors += o.ShadowErrors
	r.Failures = sums(r.Failures, o.Failures)
	r.Correlated += o.Correlated
	r.Controlled += o.Controlled
	r.ControlledBefore += o.ControlledBefore
	r.Minute = r.Minute.merge(o.Minute)
	r.Hour = r.Hour.merge(o.Hour)
	r.Day = r.Day.merge(o.Day)
	to, from := r.distributions(), o.distributions()
	for i := range to {
		sum, err := to[i].Merge(from[i])
		if err != nil {
			return err
		}
		*to[i] = sum
	}
	return nil
}

// distributions are all distributions of r.
func (r *Route) distributions() [8]*Distribution {
	return [...]*Distribution{
		&r.PrimaryTook, &r.ShadowTook, &r.PrimaryFirstByte, &r.ShadowFirstByte,
		&r.PrimarySize, &r.ShadowSize, &r.Ratio, &r.Lag,
	}
}

func (f *Field) merge(o *Field) {
	f.Count += o.Count
	f.First, f.Last = span(f.First, f.Last, o.First, o.Last)
	f.Classes = sums(f.Classes, o.Classes)
	f.CandidateOnly += o.CandidateOnly
	f.ControlOnly += o.ControlOnly
	f.Both += o.Both
	f.Before.add(o.Before)
}

func (p *Pairs) add(o Pairs) {
	p.CandidateOnly += o.CandidateOnly
	p.ControlOnly += o.ControlOnly
	p.Both += o.Both
}

func (g *Group) merge(o *Group) {
	g.Count += o.Count
	g.Controlled += o.Controlled
	g.Weight += o.Weight
	g.First, g.Last = span(g.First, g.Last, o.First, o.Last)
	g.Classes = sums(g.Classes, o.Classes)
	g.Minute = g.Minute.merge(o.Minute)
	g.Hour = g.Hour.merge(o.Hour)
	g.Day = g.Day.merge(o.Day)
	g.Exemplars = fewest(slices.Concat(g.Exemplars, o.Exemplars))
}

// fewest returns the exemplars that a group keeps of a list: see exemplar.
func fewest(list []Exemplar) []Exemplar {
	slices.SortFunc(list, func(a, b Exemplar) int {
		return cmp.Or(cmp.Compare(a.Shape, b.Shape), cmp.Compare(xxhash.Sum64String(a.ID), xxhash.Sum64String(b.ID)),
			cmp.Compare(a.ID, b.ID), a.Time.Compare(b.Time))
	})
	list = slices.CompactFunc(list, func(a, b Exemplar) bool { return a.Shape == b.Shape })
	return slices.Clip(list[:min(len(list), maxExemplars)])
}

func (s Slots) merge(o Slots) Slots {
	return joined(s, o, func(s *Slot) time.Time { return s.Start }, func(to *Slot, from Slot) {
		to.Counts.Add(from.Counts)
		to.ShadowErrors += from.ShadowErrors
		to.Answered += from.Answered
		to.PrimaryTook += from.PrimaryTook
		to.ShadowTook += from.ShadowTook
	})
}

func (t Ticks) merge(o Ticks) Ticks {
	return joined(t, o, func(t *Tick) time.Time { return t.Start }, func(to *Tick, from Tick) { to.Count += from.Count })
}

// joined returns the intervals of both lists by start; those of the same start are added.
func joined[T any](a, b []T, start func(*T) time.Time, add func(to *T, from T)) []T {
	if len(a)+len(b) == 0 {
		return nil
	}
	all := slices.Concat(a, b)
	order(all, func(a, b *T) int { return start(a).Compare(start(b)) })
	kept := all[:0]
	for _, one := range all {
		if n := len(kept); n > 0 && start(&kept[n-1]).Equal(start(&one)) {
			add(&kept[n-1], one)
			continue
		}
		kept = append(kept, one)
	}
	return kept
}

// trim takes from the series of s what is too old.
func (s *Snapshot) trim() {
	for i := range s.Routes {
		r := &s.Routes[i]
		r.Minute = since(r.Minute, s.oldest(minuteSlots, minuteSlot), func(s *Slot) time.Time { return s.Start })
		r.Hour = since(r.Hour, s.oldest(hourSlots, hourSlot), func(s *Slot) time.Time { return s.Start })
		r.Day = since(r.Day, s.oldest(daySlots, daySlot), func(s *Slot) time.Time { return s.Start })
	}
	for i := range s.Groups {
		g := &s.Groups[i]
		g.Minute = since(g.Minute, s.oldest(minuteSlots, minuteSlot), func(t *Tick) time.Time { return t.Start })
		g.Hour = since(g.Hour, s.oldest(hourSlots, hourSlot), func(t *Tick) time.Time { return t.Start })
		g.Day = since(g.Day, s.oldest(daySlots, daySlot), func(t *Tick) time.Time { return t.Start })
	}
}

// oldest is the start of the oldest of so many slots of so many seconds.
func (s *Snapshot) oldest(slots, length int64) time.Time {
	return time.Unix((s.Taken.Unix()/length-slots+1)*length, 0)
}

func since[T any](list []T, oldest time.Time, start func(*T) time.Time) []T {
	i := slices.IndexFunc(list, func(one T) bool { return !start(&one).Before(oldest) })
	if i < 0 {
		return nil
	}
	return list[i:]
}
