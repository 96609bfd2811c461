package tally

import (
	"fmt"
	"math"

	"github.com/DataDog/sketches-go/ddsketch/mapping"
	"github.com/DataDog/sketches-go/ddsketch/store"
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
	n := d.Count()
	if n == 0 || !(q >= 0 && q <= 1) {
		return math.NaN()
	}
	rank := max(uint64(math.Ceil(q*float64(n))), 1)
	switch {
	case rank == 1:
		return d.Min
	case rank >= n:
		return d.Max
	case rank <= d.Zeros:
		return 0
	}
	m, err := mapping.NewCubicallyInterpolatedMapping(d.Accuracy)
	if err != nil {
		return math.NaN()
	}
	seen := d.Zeros
	for i, count := range d.Bins {
		if seen += count; seen >= rank {
			return min(max(m.Value(d.First+i), d.Min), d.Max)
		}
	}
	return d.Max
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

// sketch is a Distribution that is added to. Its store creates pages of bins where there
// are values, and finds a place for a value without allocating once they are there.
type sketch struct {
	bins     *store.BufferedPaginatedStore
	zeros    uint64
	min, max float64
	any      bool
}

func newSketch() sketch { return sketch{bins: store.NewBufferedPaginatedStore()} }

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
	s.bins.Add(m.Index(max(v, minValue)))
}

// collector adds up sketches to a Distribution. It is used again and again.
type collector struct {
	accuracy    float64
	bins        []uint64 // by index, from -maxIndex
	first, last int      // of the bins that are not empty
	room        []uint64 // for the bins of distributions
	sum         Distribution
	any         bool
}

func newCollector(accuracy float64) *collector {
	return &collector{accuracy: accuracy, bins: make([]uint64, 2*maxIndex), first: maxIndex, last: -maxIndex}
}

func (c *collector) bin(index int, count float64) (stop bool) {
	c.first, c.last = min(c.first, index), max(c.last, index)
	c.bins[index+maxIndex] += uint64(count)
	return false
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
	s.bins.ForEach(c.bin)
}

// take returns what was added, and begins again.
func (c *collector) take() Distribution {
	d := c.sum
	d.Accuracy = c.accuracy
	if c.first <= c.last {
		counts := c.bins[c.first+maxIndex : c.last+maxIndex+1]
		d.First, d.Bins = c.first, c.keep(counts)
		clear(counts)
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

// merged returns the distribution of the values of both.
func merged(a, b Distribution) (Distribution, error) {
	switch {
	case b.Count() == 0:
		return a, nil
	case a.Count() == 0:
		return b, nil
	case a.Accuracy != b.Accuracy:
		return a, fmt.Errorf("distributions of the accuracies %v and %v do not merge: give all replicas the same Options.Accuracy", a.Accuracy, b.Accuracy)
	}
	sum := Distribution{Accuracy: a.Accuracy, Min: min(a.Min, b.Min), Max: max(a.Max, b.Max), Zeros: a.Zeros + b.Zeros}
	if len(a.Bins) == 0 || len(b.Bins) > 0 && b.First < a.First {
		a, b = b, a
	}
	if len(a.Bins) == 0 {
		return sum, nil
	}
	sum.First = a.First
	length := len(a.Bins)
	if len(b.Bins) > 0 {
		length = max(length, b.First-a.First+len(b.Bins))
	}
	sum.Bins = make([]uint64, length)
	copy(sum.Bins, a.Bins)
	for i, count := range b.Bins {
		sum.Bins[b.First-a.First+i] += count
	}
	return sum, nil
}

// check tells what is wrong with a distribution that comes from elsewhere.
func (d *Distribution) check() error {
	if !validAccuracy(d.Accuracy) {
		return fmt.Errorf("accuracy %v is not within %v and %v", d.Accuracy, minAccuracy, maxAccuracy)
	}
	m, err := mapping.NewCubicallyInterpolatedMapping(d.Accuracy)
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
