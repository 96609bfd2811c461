package tally

import (
	"cmp"
	"math"
	"slices"

	"gonum.org/v1/gonum/mathext"
)

// minPairs is how many runs of the control it takes at least to call a field Noisy: with
// fewer the test misses all but gross differences, and nothing should be hidden by it.
const minPairs = 30

// mcnemar is the p-value of the one-sided exact test of McNemar (Psychometrika 12, 1947):
// of b+c pairs that disagree b or more are of the one side, if either side is as likely.
// It is 1 where no pair disagrees. Above a million such pairs the incomplete beta function
// is not computed well any more, and the normal distribution is as good.
func mcnemar(b, c uint64) float64 {
	const many = 1e6
	n := float64(b) + float64(c)
	switch {
	case b == 0:
		return 1
	case n > many:
		return math.Erfc((float64(b)-0.5-n/2)/math.Sqrt(n/2)) / 2
	}
	return mathext.RegIncBeta(float64(b), float64(c)+1, 0.5)
}

// adjust returns the p-values adjusted by the step-up procedure of Benjamini and Hochberg
// (Journal of the Royal Statistical Society B 57, 1995): the share of false ones among
// those whose adjusted value is at most q is at most q. It holds for tests that are
// independent, or depend on each other positively, as the fields of one answer do.
func adjust(p []float64) []float64 {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Compare(p[i], p[j]) })
	adjusted := make([]float64, len(p))
	least := 1.0
	for rank := len(order); rank > 0; rank-- {
		i := order[rank-1]
		least = min(least, p[i]*float64(len(p))/float64(rank))
		adjusted[i] = least
	}
	return adjusted
}

// judge says of each field what the control tells. Fields are tested together that are of
// one mirror and target; those of which no pair disagrees are no tests: they could not
// turn out either way.
func (s *Snapshot) judge() {
	type tested struct{ mirror, target string }
	families := map[tested][]*Field{}
	for i := range s.Fields {
		f := &s.Fields[i]
		recent := f.recent()
		f.P, f.Q = mcnemar(recent.CandidateOnly, recent.ControlOnly), 1
		if recent.CandidateOnly+recent.ControlOnly > 0 {
			family := tested{f.Mirror, f.Target}
			families[family] = append(families[family], f)
		}
	}
	for _, fields := range families {
		p := make([]float64, len(fields))
		for i, f := range fields {
			p[i] = f.P
		}
		for i, q := range adjust(p) {
			fields[i].Q = q
		}
	}
	for i := range s.Fields {
		s.Fields[i].Stability = s.Fields[i].stability(s.MinRuns, s.FalseDiscovery)
	}
}

// recent are the pairs of the last window.
func (f *Field) recent() Pairs {
	return Pairs{
		CandidateOnly: f.CandidateOnly - f.Before.CandidateOnly,
		ControlOnly:   f.ControlOnly - f.Before.ControlOnly,
		Both:          f.Both - f.Before.Both,
	}
}

func (f *Field) stability(minRuns uint64, falseDiscovery float64) Stability {
	recent := f.recent()
	quiet := recent.ControlOnly+recent.Both == 0
	switch {
	case quiet && f.Recent >= minRuns:
		return Deterministic
	case f.Q <= falseDiscovery:
		return Worse
	case !quiet && f.Recent >= minPairs:
		return Noisy
	}
	return Unproven
}

// gravest returns the stability of a group from those of its fields.
func gravest(list []Stability) Stability {
	for _, v := range [...]Stability{Worse, Deterministic, Unproven, Noisy} {
		if slices.Contains(list, v) {
			return v
		}
	}
	return Unproven
}
