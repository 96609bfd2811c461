package tally

import (
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/DataDog/sketches-go/ddsketch/mapping"
)

// Distribution is how values are distributed, as a DDSketch (Masson, Rim and Lee, VLDB
// 2019): values are counted in bins that grow with the value, so that every quantile is
// off by no more than the relative Accuracy, whatever the values are. Two of them merge
// without further loss. The zero value has no values.
type Distribution struct {
	Accuracy float64  `json:"accuracy"` // greatest relative error of a quantile
	Min      float64  `json:"min"`      // exact
	Max      float64  `json:"max"`      // exact
	Zeros    uint64   `json:"zeros"`    // values that are 0
	First    int      `json:"first"`    // index of the first of Bins
	Bins     []uint64 `json:"bins"`     // values above 0 by bin, the outermost not empty
}

// Count is the number of values.
func (d *Distribution) Count() uint64 {
	n := d.Zeros
	for _, count := range d.Bins {
		n += count
	}
	return n
}

// Quantile is the smallest value such that a share q of all values is at or below it,
// within Accuracy: Quantile(0.95) is the 95th percentile. It is not a number where there
// are no values, or q is not within 0 and 1.
func (d *Distribution) Quantile(q float64) float64 {
	if !(q >= 0 && q <= 1) {
		return math.NaN()
	}
	return d.AtRank(max(uint64(math.Ceil(q*float64(d.Count()))), 1))
}

// AtRank is the value with that rank, within Accuracy: the smallest has rank 1, the largest
// rank Count. It is not a number where there is no such rank.
func (d *Distribution) AtRank(rank uint64) float64 {
	switch n := d.Count(); {
	case rank == 0 || rank > n:
		return math.NaN()
	case rank == 1:
		return d.Min
	case rank == n:
		return d.Max
	case rank <= d.Zeros:
		return 0
	}
	m, err := newMapping(d.Accuracy)
	if err != nil {
		return math.NaN()
	}
	i, seen := 0, d.Zeros
	for seen += d.Bins[i]; seen < rank; seen += d.Bins[i] {
		i++
	}
	return min(max(m.Value(d.First+i), d.Min), d.Max)
}

// Merge returns the distribution of the values of both. Those of different accuracies do
// not merge. D and o stay as they are, and may share their bins with the result.
func (d *Distribution) Merge(o *Distribution) (Distribution, error) {
	switch {
	case o.Count() == 0:
		return *d, nil
	case d.Count() == 0:
		return *o, nil
	case d.Accuracy != o.Accuracy:
		return Distribution{}, fmt.Errorf("tally: distributions of the accuracies %v and %v do not merge: give all replicas the same Options.Accuracy", d.Accuracy, o.Accuracy)
	}
	sum := Distribution{Accuracy: d.Accuracy, Min: min(d.Min, o.Min), Max: max(d.Max, o.Max), Zeros: d.Zeros + o.Zeros}
	switch {
	case len(o.Bins) == 0:
		sum.First, sum.Bins = d.First, d.Bins
	case len(d.Bins) == 0:
		sum.First, sum.Bins = o.First, o.Bins
	default:
		sum.First = min(d.First, o.First)
		sum.Bins = make([]uint64, max(d.First+len(d.Bins), o.First+len(o.Bins))-sum.First)
		for _, part := range [...]*Distribution{d, o} {
			for i, n := range part.Bins {
				sum.Bins[part.First-sum.First+i] += n
			}
		}
	}
	return sum, nil
}

// The bounds of what is counted: values beyond them are counted as the bound. They and the
// accuracy bound the number of bins.
const (
	minValue    = 1e-9
	maxValue    = 1e12
	minAccuracy = 0.001
	maxAccuracy = 0.1
	maxIndex    = 1 << 15 // of the bin of maxValue at minAccuracy, and more
)

func validAccuracy(a float64) bool { return a >= minAccuracy && a <= maxAccuracy }

// sketch is a Distribution that is added to: the mapping of a DDSketch, and a slice of
// counts that grows to where values are. It takes no memory for a value next to others.
type sketch struct {
	first    int            // index of the first bin: a multiple of page
	bins     []uint32       // modulo 2³²: half as much has to be fetched from memory
	wraps    map[int]uint64 // how often a bin got to 2³², by index
	zeros    uint64
	min, max float64
	any      bool
}

// page is by how many bins a sketch grows.
const page = 32

// add counts v. What is not above 0 counts as 0.
func (s *sketch) add(m *mapping.CubicallyInterpolatedMapping, v float64) {
	if !(v > 0) {
		v = 0
	}
	v = min(v, maxValue)
	if !s.any || v < s.min {
		s.min = v
	}
	if !s.any || v > s.max {
		s.max = v
	}
	s.any = true
	if v == 0 {
		s.zeros++
		return
	}
	index := m.Index(max(v, minValue))
	if uint(index-s.first) >= uint(len(s.bins)) {
		s.grow(index)
	}
	bin := &s.bins[index-s.first]
	if *bin++; *bin == 0 {
		s.wrap(index)
	}
}

// wrap notes that the bin with that index got to 2³².
func (s *sketch) wrap(index int) {
	if s.wraps == nil {
		s.wraps = map[int]uint64{}
	}
	s.wraps[index]++
}

// grow makes room for the bin with that index.
func (s *sketch) grow(index int) {
	first := index &^ (page - 1)
	if len(s.bins) == 0 {
		s.first, s.bins = first, make([]uint32, page)
		return
	}
	last := max(first+page, s.first+len(s.bins))
	first = min(first, s.first)
	bins := make([]uint32, last-first)
	copy(bins[s.first-first:], s.bins)
	s.first, s.bins = first, bins
}

// collector adds up sketches to a Distribution. It is used again and again.
type collector struct {
	accuracy    float64
	bins        []uint64 // by index, from -maxIndex
	first, last int      // the bins from first to before last are in use
	room        []uint64 // for the bins of distributions
	sum         Distribution
	any         bool
}

func newCollector(accuracy float64) *collector {
	return &collector{accuracy: accuracy, bins: make([]uint64, 2*maxIndex), first: maxIndex, last: -maxIndex}
}

func (c *collector) add(s *sketch) {
	if !s.any {
		return
	}
	if !c.any || s.min < c.sum.Min {
		c.sum.Min = s.min
	}
	if !c.any || s.max > c.sum.Max {
		c.sum.Max = s.max
	}
	c.any = true
	c.sum.Zeros += s.zeros
	if len(s.bins) == 0 {
		return
	}
	c.first, c.last = min(c.first, s.first), max(c.last, s.first+len(s.bins))
	sum := c.bins[s.first+maxIndex:][:len(s.bins)]
	for i, n := range s.bins {
		sum[i] += uint64(n)
	}
	for index, n := range s.wraps {
		c.bins[index+maxIndex] += n << 32
	}
}

// take returns what was added, and begins again.
func (c *collector) take() Distribution {
	d := c.sum
	d.Accuracy = c.accuracy
	if c.first < c.last {
		used := c.bins[c.first+maxIndex : c.last+maxIndex]
		from, to := 0, len(used)
		for used[from] == 0 {
			from++
		}
		for used[to-1] == 0 {
			to--
		}
		d.First, d.Bins = c.first+from, c.keep(used[from:to])
		clear(used)
	}
	c.first, c.last, c.sum, c.any = maxIndex, -maxIndex, Distribution{}, false
	return d
}

// keep copies counts to a place that they share with others.
func (c *collector) keep(counts []uint64) []uint64 {
	const room = 1 << 14
	if len(counts) > len(c.room) {
		c.room = make([]uint64, max(room, len(counts)))
	}
	kept := c.room[:len(counts):len(counts)]
	c.room = c.room[len(counts):]
	copy(kept, counts)
	return kept
}

// newMapping returns the bins of an accuracy. Those of sketches-go have wrong values where an
// int has 32 bits.
func newMapping(accuracy float64) (*mapping.CubicallyInterpolatedMapping, error) {
	if strconv.IntSize < 64 {
		return nil, errors.New("distributions need an int of 64 bits: build for another platform")
	}
	return mapping.NewCubicallyInterpolatedMapping(accuracy)
}

// check tells what is wrong with a distribution that comes from elsewhere.
func (d *Distribution) check() error {
	if !validAccuracy(d.Accuracy) {
		return fmt.Errorf("accuracy %v is not within %v and %v", d.Accuracy, minAccuracy, maxAccuracy)
	}
	m, err := newMapping(d.Accuracy)
	if err != nil {
		return err
	}
	switch {
	case !(d.Min >= 0 && d.Min <= d.Max && d.Max <= maxValue):
		return fmt.Errorf("min %v and max %v are not in order within 0 and %v", d.Min, d.Max, float64(maxValue))
	case d.First < m.Index(minValue) || d.First > maxIndex || d.First+len(d.Bins)-1 > m.Index(maxValue):
		return fmt.Errorf("the %d bins from %d on are not within those of %v and %v", len(d.Bins), d.First, minValue, float64(maxValue))
	case len(d.Bins) > 0 && (d.Bins[0] == 0 || d.Bins[len(d.Bins)-1] == 0):
		return fmt.Errorf("the outermost bins are empty")
	}
	n := d.Zeros
	for _, count := range d.Bins {
		if n += min(count, maxCount+1); n > maxCount {
			break
		}
	}
	if n > maxCount {
		return fmt.Errorf("there are more than %d values", uint64(maxCount))
	}
	return nil
}
