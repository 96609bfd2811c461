package tally

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"time"
)

// What Decode reads at most. A snapshot of the default Options is far below.
const (
	maxInput        = 64 << 20 // bytes: some 15,000 routes
	maxRoutes       = 20_000
	maxFields       = 100_000
	maxGroups       = 20_000
	maxMirrors      = 10_000
	maxSources      = 10_000
	maxAcknowledged = 10_000
	maxNote         = 4 << 10  // bytes
	maxCount        = 1 << 53  // above that JSON numbers are not exact everywhere
	slack           = 1 + 1e-9 // of sums of weights, which are rounded where they are very large
)

// Decode reads a snapshot that was written as JSON. It trusts nothing: what it reads is
// bounded, in bytes and in the length of every list, counts are checked against each
// other, and what follows from them is judged anew. The error says what is wrong, and
// where; a snapshot of another Version is an error that names both versions. What comes
// after the snapshot is an error too.
func Decode(r io.Reader) (*Snapshot, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxInput+1))
	if err != nil {
		return nil, fmt.Errorf("tally: Decode: %w", err)
	}
	if len(data) > maxInput {
		return nil, fmt.Errorf("tally: Decode: the snapshot is longer than %d bytes", maxInput)
	}
	var version struct {
		Version *int `json:"version"`
	}
	switch err := json.Unmarshal(data, &version); {
	case err != nil:
		return nil, fmt.Errorf("tally: Decode: no snapshot: %w", err)
	case version.Version == nil:
		return nil, errors.New("tally: Decode: no snapshot: it has no version")
	case *version.Version != Version:
		return nil, fmt.Errorf("tally: Decode: the snapshot has version %d; this program reads version %d", *version.Version, Version)
	}
	var s decoded
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("tally: Decode: %w", err)
	}
	snapshot := s.snapshot()
	if err := snapshot.check(); err != nil {
		return nil, fmt.Errorf("tally: Decode: %w", err)
	}
	once, err := Merge(snapshot)
	if err != nil {
		return nil, fmt.Errorf("tally: Decode: %w", err)
	}
	for name, lists := range map[string][2]int{
		"sources":          {len(snapshot.Sources), len(once.Sources)},
		"mirrors":          {len(snapshot.Mirrors), len(once.Mirrors)},
		"routes":           {len(snapshot.Routes), len(once.Routes)},
		"fields":           {len(snapshot.Fields), len(once.Fields)},
		"groups":           {len(snapshot.Groups), len(once.Groups)},
		"events":           {len(snapshot.Events), len(once.Events)},
		"acknowledgements": {len(snapshot.Acknowledged), len(once.Acknowledged)},
	} {
		if lists[0] != lists[1] {
			return nil, fmt.Errorf("tally: Decode: some of the %d %s are there twice", lists[0], name)
		}
	}
	return once, nil
}

// decoded is a Snapshot whose lists are bounded while they are read: a short text could
// ask for a lot of memory otherwise.
type decoded struct {
	Snapshot
	Sources      sources         `json:"sources"`
	Mirrors      mirrors         `json:"mirrors"`
	Routes       routes          `json:"routes"`
	Fields       fields          `json:"fields"`
	Groups       groups          `json:"groups"`
	Events       events          `json:"events"`
	Acknowledged acknowledgement `json:"acknowledged"`
}

type (
	sources         []Source
	mirrors         []Mirror
	routes          []Route
	fields          []Field
	groups          []Group
	events          []Event
	acknowledgement []Acknowledgement
)

func (d *decoded) snapshot() *Snapshot {
	s := d.Snapshot
	s.Sources = d.Sources
	s.Mirrors, s.Routes, s.Fields, s.Groups = d.Mirrors, d.Routes, d.Fields, d.Groups
	s.Events, s.Acknowledged = d.Events, d.Acknowledged
	return &s
}

func (l *sources) UnmarshalJSON(data []byte) error { return bounded(data, (*[]Source)(l), maxSources) }
func (l *mirrors) UnmarshalJSON(data []byte) error { return bounded(data, (*[]Mirror)(l), maxMirrors) }
func (l *routes) UnmarshalJSON(data []byte) error  { return bounded(data, (*[]Route)(l), maxRoutes) }
func (l *fields) UnmarshalJSON(data []byte) error  { return bounded(data, (*[]Field)(l), maxFields) }
func (l *groups) UnmarshalJSON(data []byte) error  { return bounded(data, (*[]Group)(l), maxGroups) }
func (l *events) UnmarshalJSON(data []byte) error  { return bounded(data, (*[]Event)(l), maxMirrors) }
func (l *acknowledgement) UnmarshalJSON(data []byte) error {
	return bounded(data, (*[]Acknowledgement)(l), maxAcknowledged)
}

// UnmarshalJSON reads slots, of which there are at most as many as an hour has.
func (s *Slots) UnmarshalJSON(data []byte) error { return bounded(data, (*[]Slot)(s), hourSlots) }

// UnmarshalJSON reads ticks, of which there are at most as many as an hour has.
func (t *Ticks) UnmarshalJSON(data []byte) error { return bounded(data, (*[]Tick)(t), hourSlots) }

// UnmarshalJSON reads at most as many places as a group has.
func (p *Places) UnmarshalJSON(data []byte) error { return bounded(data, (*[]Place)(p), maxPlaces) }

// UnmarshalJSON reads at most as many exemplars as a group has.
func (e *Exemplars) UnmarshalJSON(data []byte) error {
	return bounded(data, (*[]Exemplar)(e), maxExemplars)
}

// UnmarshalJSON reads at most as many differences as an exemplar has.
func (d *ExemplarDiffs) UnmarshalJSON(data []byte) error {
	return bounded(data, (*[]ExemplarDiff)(d), maxDiffs)
}

// bounded reads a list of at most so many elements, one after the other.
func bounded[T any](data []byte, list *[]T, most int) error {
	d := json.NewDecoder(bytes.NewReader(data))
	switch open, err := d.Token(); {
	case err != nil:
		return err
	case open == nil: // null
		*list = nil
		return nil
	case open != json.Delim('['):
		return fmt.Errorf("%v where a list belongs", open)
	}
	*list = nil
	for d.More() {
		if len(*list) == most {
			return fmt.Errorf("a list is longer than %d", most)
		}
		var one T
		if err := d.Decode(&one); err != nil {
			return err
		}
		*list = append(*list, one)
	}
	return nil
}

// tooLong tells which list of s is longer than Decode reads.
func (s *Snapshot) tooLong() error {
	var errs []error
	for _, list := range []struct {
		name      string
		long, max int
	}{
		{"sources", len(s.Sources), maxSources},
		{"mirrors", len(s.Mirrors), maxMirrors},
		{"routes", len(s.Routes), maxRoutes},
		{"fields", len(s.Fields), maxFields},
		{"groups", len(s.Groups), maxGroups},
		{"events", len(s.Events), maxMirrors},
		{"acknowledgements", len(s.Acknowledged), maxAcknowledged},
	} {
		if list.long > list.max {
			errs = append(errs, fmt.Errorf("tally: %d %s are more than %d", list.long, list.name, list.max))
		}
	}
	return errors.Join(errs...)
}

// check tells what in s cannot be.
func (s *Snapshot) check() error {
	if !(s.FalseDiscovery > 0 && s.FalseDiscovery < 1) {
		return fmt.Errorf("falseDiscovery: %v is not above 0 and below 1", s.FalseDiscovery)
	}
	counts := checker{}
	counts.below("minRuns", s.MinRuns)
	counts.sources(s.Sources, s.Elapsed)
	mismatches, weights := map[seriesKey]uint64{}, map[seriesKey]float64{}
	for i := range s.Mirrors {
		m := &s.Mirrors[i]
		counts.below("requests", m.Requests, m.Unreported, m.Loops, m.Results.Match, m.Results.Mismatch, m.Results.Failed, m.Results.Uncompared)
		counts.total("skipped", slices.Collect(maps.Values(m.Skipped)))
		counts.total("dropped", slices.Collect(maps.Values(m.Dropped)))
	}
	for i := range s.Routes {
		r := &s.Routes[i]
		counts.route(r)
		mismatches[r.key()] += r.Results.Mismatch
		weights[r.key()] += r.Weighted.Mismatch * slack
	}
	for i := range s.Fields {
		f := &s.Fields[i]
		counts.below("fields", f.Count, f.CandidateOnly, f.ControlOnly, f.Both)
		if f.Before.CandidateOnly > f.CandidateOnly || f.Before.ControlOnly > f.ControlOnly || f.Before.Both > f.Both {
			counts.fail("a field of route %.60q has more before its last window than at all", f.Route)
		}
		counts.total("classes of a field", slices.Collect(maps.Values(f.Classes)))
	}
	for i := range s.Groups {
		g := &s.Groups[i]
		counts.below("groups", g.Count)
		counts.weights("groups", g.Weight)
		counts.total("classes of a group", slices.Collect(maps.Values(g.Classes)))
		key := g.key()
		if g.Controlled > g.Count {
			counts.fail("a group of route %.60q has a control more often than it has results", g.Route)
		}
		if g.Count > mismatches[key] || g.Weight > weights[key] {
			counts.fail("the groups of route %q have more results than the route has mismatches", g.Route)
			break
		}
		mismatches[key] -= g.Count
		weights[key] -= g.Weight
	}
	for _, e := range s.Events {
		counts.below("events", e.Count)
	}
	return counts.err
}

// checker keeps the first thing that it finds wrong.
type checker struct{ err error }

func (c *checker) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
}

func (c *checker) below(where string, counts ...uint64) {
	for _, n := range counts {
		if n > maxCount {
			c.fail("%s: %d is more than can be counted", where, n)
		}
	}
}

func (c *checker) total(where string, counts []uint64) {
	c.below(where, counts...)
	if len(counts) > maxEvents {
		c.fail("%s: there are %d of them", where, len(counts))
	}
}

func (c *checker) weights(where string, weights ...float64) {
	for _, w := range weights {
		if !(w >= 0 && w < math.MaxFloat64/maxRoutes) {
			c.fail("%s: %v is no weight", where, w)
		}
	}
}

func (c *checker) sources(list []Source, elapsed time.Duration) {
	longest, seen := time.Duration(0), map[string]bool{}
	for _, s := range list {
		c.below("sources", s.Sequence)
		longest = max(longest, s.Elapsed)
		if s.Tally == "" || len(s.Tally) > maxName || seen[s.Tally] || s.Elapsed < 0 {
			c.fail("sources: %.40q is no tally, is there twice, or has counted for a negative time", s.Tally)
		}
		seen[s.Tally] = true
	}
	if elapsed != longest {
		c.fail("elapsed: %v is not the longest of the sources, %v", elapsed, longest)
	}
}

func (c *checker) route(r *Route) {
	where := fmt.Sprintf("route %.60q", r.Route)
	c.below(where, r.Results.Match, r.Results.Mismatch, r.Results.Failed, r.Results.Uncompared,
		r.PrimaryErrors, r.ShadowErrors, r.Correlated, r.Controlled, r.Weighted.Unknown)
	c.total(where+": failures", slices.Collect(maps.Values(r.Failures)))
	if all := r.Results.All(); max(r.PrimaryErrors, r.ShadowErrors, r.Correlated, r.Controlled, r.Weighted.Unknown) > all {
		c.fail("%s: it counts more of something than its %d results", where, all)
	}
	if r.ControlledBefore > r.Controlled {
		c.fail("%s: it has more results with a control before its last window than at all", where)
	}
	w := &r.Weighted
	c.weights(where, w.Match, w.Mismatch, w.Failed, w.Uncompared, w.ShadowErrors, w.Correlated, w.Greatest, w.Squares)
	for _, of := range []struct {
		weight  float64
		results uint64
	}{
		{w.Match, r.Results.Match}, {w.Mismatch, r.Results.Mismatch}, {w.Failed, r.Results.Failed}, {w.Uncompared, r.Results.Uncompared},
		{w.ShadowErrors, r.ShadowErrors}, {w.Correlated, r.Correlated},
	} {
		if n := float64(of.results); of.weight*slack < n || of.weight > n*w.Greatest*slack {
			c.fail("%s: %v is no weight of %d results that weigh 1 to %v", where, of.weight, of.results, w.Greatest)
		}
	}
	for _, d := range r.distributions() {
		n := d.Count()
		if n == 0 {
			continue
		}
		if err := d.check(); err != nil {
			c.fail("%s: %w", where, err)
		}
		if all := r.Results.All(); n > all {
			c.fail("%s: it has %d values of %d results", where, n, all)
		}
	}
	for _, list := range []Slots{r.Minute, r.Hour, r.Day} {
		for _, s := range list {
			c.below(where, s.Match, s.Mismatch, s.Failed, s.Uncompared, s.ShadowErrors, s.Answered)
		}
	}
}
