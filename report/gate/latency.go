package gate

import (
	"fmt"
	"math"

	"github.com/goshadow/shadow/report/tally"
)

// maxBins is how many bins a distribution may have: at an accuracy of 1 % they reach from a
// nanosecond to many years a dozen times over.
const maxBins = 1 << 16

// checkDistribution refuses what no tally counts: a snapshot may come from anywhere.
func checkDistribution(what string, d *tally.Distribution) error {
	const reach = maxBins
	if len(d.Bins) > maxBins || d.First < -reach || d.First > reach {
		return fmt.Errorf("gate: snapshot: %s: %d bins from %d on are too many to be true", what, len(d.Bins), d.First)
	}
	if err := believe(what, append([]uint64{d.Zeros}, d.Bins...)...); err != nil || d.Count() == 0 {
		return err
	}
	if !(d.Accuracy > 0 && d.Accuracy < 1) || !(0 <= d.Min && d.Min <= d.Max) || math.IsInf(d.Max, 1) {
		return fmt.Errorf("gate: snapshot: %s: no latencies: from %v to %v with an accuracy of %v", what, d.Min, d.Max, d.Accuracy)
	}
	return nil
}

// bounds are where a quantile is to be found. Lower is 0 and upper infinite where nothing
// can be said.
type bounds struct{ lower, observed, upper float64 }

// quantile bounds the quantile q behind a distribution of s, each side at level alpha: by
// the ranks between which it lies, and by how inexact the values at those ranks are. Values
// that are worth fewer observations are as many at most on either side as those would be.
func (j judge) quantile(s *scope, d *tally.Distribution, q, alpha float64) bounds {
	n, worth := d.Count(), s.observations(d)
	lower, upper := j.test.Ranks(worth, q, alpha)
	upper += n - worth
	b := bounds{lower: 0, observed: d.Quantile(q), upper: math.Inf(1)}
	if lower >= 1 {
		b.lower = max(d.AtRank(lower)/(1+d.Accuracy), d.Min)
	}
	if upper <= n {
		b.upper = min(d.AtRank(upper)/(1-d.Accuracy), d.Max)
	}
	return b
}
