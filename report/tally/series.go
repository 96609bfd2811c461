package tally

import (
	"errors"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/DataDog/sketches-go/ddsketch/mapping"

	"github.com/goshadow/shadow"
)

// series is what is counted of one route of a mirror and target. Its numbers are the sum
// of those in its cells: there is one at first, and another whenever two goroutines meet.
type series struct {
	key   seriesKey
	first cell
	cells atomic.Pointer[[]*cell] // all of them; nil as long as there is only the first

	// What is counted in the cells: found without a lock, because the maps are replaced and
	// not changed.
	runs   atomic.Uint64                     // results with a control
	fields atomic.Pointer[map[string]*field] // by folded path and kind
	groups atomic.Pointer[map[uint64]*group] // by fingerprint

	mu sync.Mutex // of those who add a cell, a field, a group or an exemplar
}

func newSeries(k seriesKey) *series {
	s := &series{key: k}
	s.fields.Store(&map[string]*field{})
	s.groups.Store(&map[uint64]*group{})
	return s
}

// all are the cells of s.
func (s *series) all() []*cell {
	if cells := s.cells.Load(); cells != nil {
		return *cells
	}
	return []*cell{&s.first}
}

// window counts a result with a control, and returns the number of the window that goes on.
func (s *series) window(controlled bool, minRuns uint64) uint64 {
	runs := s.runs.Load()
	if controlled {
		runs = s.runs.Add(1)
	}
	return runs / max(minRuns, defaultMinRuns)
}

// count counts r in a cell.
func (s *series) count(t *Tally, w *writer, r *shadow.Result, now time.Time, window uint64) {
	c := s.lock(t, w)
	defer c.Unlock()
	c.add(t.mapping, r, now, window)
	if len(w.seen) > 0 {
		weight, _ := weigh(r.Probability)
		c.differ(w, r, weight, now, window)
	}
}

// lock locks a cell: the one that w had the last time, or where somebody else has that, the
// next one that is free, which will be w's from now on.
func (s *series) lock(t *Tally, w *writer) *cell {
	if s.cells.Load() == nil && s.first.TryLock() {
		return &s.first
	}
	for {
		cells := s.all()
		for range cells {
			if c := cells[w.ticket%uint32(len(cells))]; c.TryLock() {
				return c
			}
			w.ticket++
		}
		if len(cells) >= maxCells() || !s.grow(t, len(cells)) {
			c := cells[w.ticket%uint32(len(cells))]
			c.Lock()
			return c
		}
	}
}

// grow adds a cell unless somebody else did, or there is no room.
func (s *series) grow(t *Tally, from int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	cells := s.all()
	if len(cells) > from {
		return true
	}
	if !reserve(&t.spare, 1, maxSpare) {
		return false
	}
	cells = append(slices.Clone(cells), &cell{})
	s.cells.Store(&cells)
	return true
}

// cell are numbers that one goroutine at a time adds to. The latest wait until settle puts
// them where they belong: where many routes take turns, the bins and the intervals of a
// route are fetched from memory once for some results, and not for each of them.
type cell struct {
	sync.Mutex
	results       Counts
	weighted      Weights
	first, last   time.Time
	primaryErrors uint64
	shadowErrors  uint64
	failures      [len(failures)]uint64
	correlated    uint64
	controlled    windowed[uint64]

	latest  numbered[slot] // the 5 seconds that go on
	waits   int
	waiting [32]values

	sketches [numValues]sketch
	windows  windows[slot]

	fields []fieldCounts // by field.index
	groups []groupCounts // by group.index
}

// slot is a Slot before it is asked for.
type slot struct {
	results                 [4]uint32
	shadowErrors, answered  uint32
	primaryTook, shadowTook time.Duration
}

var failures = [...]Failure{FailureTimeout, FailurePanic, FailureExited, FailureTransport}

// values are what a result adds to the distributions of its route, in the order of
// Route.distributions; what it has not is not a number.
type values [numValues]float64

const (
	primaryTook = iota
	shadowTook
	primaryFirstByte
	shadowFirstByte
	primarySize
	shadowSize
	tookRatio
	lag
	numValues
)

// add counts r.
func (c *cell) add(m *mapping.CubicallyInterpolatedMapping, r *shadow.Result, now time.Time, window uint64) {
	if c.first.IsZero() {
		c.first = now
	}
	c.last = now
	number := now.Unix() / minuteSlot
	if c.waits == len(c.waiting) || number > c.latest.number {
		c.settle(m)
		c.latest.number = max(number, c.latest.number)
	}

	weight, known := weigh(r.Probability)
	if !known {
		c.weighted.Unknown++
	}
	c.weighted.Squares += round(weight * weight)
	c.weighted.Greatest = max(c.weighted.Greatest, weight)
	s := &c.latest.count
	switch r.Outcome {
	case shadow.Match:
		c.results.Match++
		c.weighted.Match += weight
		s.results[0]++
	case shadow.Mismatch:
		c.results.Mismatch++
		c.weighted.Mismatch += weight
		s.results[1]++
	case shadow.Failed:
		c.results.Failed++
		c.weighted.Failed += weight
		s.results[2]++
		c.failures[failure(r.Err)]++
	default:
		c.results.Uncompared++
		c.weighted.Uncompared += weight
		s.results[3]++
	}
	if r.Control != nil {
		c.controlled.turn(window)
		c.controlled.now++
	}
	if r.Outcome == shadow.Failed || r.Shadow != nil && r.Shadow.StatusCode >= 500 {
		c.shadowErrors++
		c.weighted.ShadowErrors += weight
		s.shadowErrors++
	}
	if r.Primary != nil && r.Primary.StatusCode >= 500 {
		c.primaryErrors++
	}
	if r.Primary != nil && r.Shadow != nil {
		c.correlated++
		c.weighted.Correlated += weight
		s.answered++
		s.primaryTook += r.Primary.Took
		s.shadowTook += r.Shadow.Took
	}
	c.waiting[c.waits].set(r, now)
	c.waits++
}

// set takes the values of r.
func (v *values) set(r *shadow.Result, now time.Time) {
	for i := range v {
		v[i] = math.NaN()
	}
	if p := r.Primary; p != nil {
		v[primaryTook], v[primaryFirstByte], v[primarySize] = seconds(p.Took), seconds(p.TTFB), float64(p.Size)
		if !r.Start.IsZero() {
			v[lag] = seconds(now.Sub(r.Start) - p.Took)
		}
	}
	if s := r.Shadow; s != nil {
		v[shadowTook], v[shadowFirstByte], v[shadowSize] = seconds(s.Took), seconds(s.TTFB), float64(s.Size)
		if p := r.Primary; p != nil && p.Took > 0 {
			v[tookRatio] = float64(s.Took) / float64(p.Took)
		}
	}
}

// settle puts what waits where it belongs.
func (c *cell) settle(m *mapping.CubicallyInterpolatedMapping) {
	for i := range c.sketches {
		for k := range c.waiting[:c.waits] {
			if v := c.waiting[k][i]; !math.IsNaN(v) {
				c.sketches[i].add(m, v)
			}
		}
	}
	c.waits = 0
	second := c.latest.number * minuteSlot
	for _, s := range [...]*slot{c.windows.minute(second), c.windows.hour(second), c.windows.day(second)} {
		s.add(&c.latest.count)
	}
	c.latest.count = slot{}
}

func (s *slot) add(o *slot) {
	for i, n := range o.results {
		s.results[i] += n
	}
	s.shadowErrors += o.shadowErrors
	s.answered += o.answered
	s.primaryTook += o.primaryTook
	s.shadowTook += o.shadowTook
}

// seconds is d in seconds. Duration.Seconds is exact to the last bit, and slower.
func seconds(d time.Duration) float64 { return float64(d) * 1e-9 }

// failure is the position in failures of what err stands for.
func failure(err error) int {
	for i, sort := range [...]error{shadow.ErrTimeout, shadow.ErrPanic, shadow.ErrExited} {
		if errors.Is(err, sort) {
			return i
		}
	}
	return len(failures) - 1
}

const maxWeight = 1e9

// weigh returns how many requests stand behind a result that was copied with probability
// p. It is 1 where p is not known, or no probability.
func weigh(p float64) (weight float64, known bool) {
	if !(p > 0 && p <= 1) {
		return 1, false
	}
	return round(min(1/p, maxWeight)), true
}

// round rounds to multiples of 2⁻¹⁶: their sums are exact, in whatever order they are added,
// as long as they stay below 2³⁷.
func round(weight float64) float64 {
	const unit = 1 << 16
	return float64(uint64(weight*unit+0.5)) / unit
}
