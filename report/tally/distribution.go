package tally

import (
	"math"

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
