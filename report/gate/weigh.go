package gate

import (
	"fmt"
	"math"

	"github.com/goshadow/shadow/report/tally"
)

// Copies that were not made with one probability stand for different numbers of requests,
// their weights 1/probability, and their shares are not those of the requests. They are
// judged as if there were fewer of them: each counts as its weight divided by the greatest
// that there may be, 1/Criteria.LeastProbability, and the tests of internal/stats take the
// sums as their counts. That holds for any number of looks, too. To see why, let w be the
// weight of a copy of at most W, x whether it has what is counted, p the share that is
// refuted, and b from 0 to 1/(1-p). The product over all copies of
//
//	1 + b (w/W) (p - x)
//
// is a nonnegative supermartingale if the share among the requests is p or more: a request
// is copied with probability 1/w, and 1/w times w is 1 whatever w is. This is the betting
// of Waudby-Smith and Ramdas (J. R. Statist. Soc. B 86, 2024) with the weights of Horvitz
// and Thompson (JASA 47, 1952). Since the logarithm is concave, each factor is at least
// that of w = W to the power of w/W: the product is at least that of n copies of weight W
// with k of what is counted, n and k the sums of w/W. Their mixture is stats.Anytime.

// leastOfAll is how improbable the copies may be that are judged: below, a tally cuts weights.
const leastOfAll = 1e-6

// sample is how many of how many observations speak against the candidate.
type sample struct{ bad, of uint64 }

// evidence is what a share is judged by.
type evidence struct {
	copies     sample
	share      float64 // among the requests, as far as is known; not a number without copies
	pass, fail sample  // what a pass and a fail have to be shown by, and rounded against it
	weighed    bool
	alpha      float64 // of a false pass
	noise      float64 // upper bound of the share that is taken for noise and is more than that
}

func (j judge) evidence(m measure, s *scope) evidence {
	bad, of := m.count(s)
	e := evidence{alpha: j.alpha, copies: sample{bad, of}, share: float64(bad) / float64(of), pass: sample{bad, of}, fail: sample{bad, of}}
	if m.whole || s.greatest == 0 {
		return m.withNoise(j, s, e)
	}
	weight, all := m.weigh(&s.weighted)
	k, rest := weight/s.greatest, (all-weight)/s.greatest
	e.share, e.weighed = weight/all, true
	e.pass = sample{up64(k), up64(k) + uint64(rest)}
	e.fail = sample{uint64(k), uint64(k) + up64(rest)}
	return m.withNoise(j, s, e)
}

func (m measure) withNoise(j judge, s *scope, e evidence) evidence {
	if m.noise == nil {
		return e
	}
	return m.noise(j, s, e)
}

func up64(x float64) uint64 { return uint64(math.Ceil(x)) }

// observations is how many copies of one weight the values of d are worth: see evidence. All
// of them are of copies that were correlated, or of more.
func (s *scope) observations(d *tally.Distribution) uint64 {
	if s.greatest == 0 {
		return d.Count()
	}
	return min(uint64(s.weighted.Correlated/s.greatest), d.Count())
}

// more is what it takes to bound a quantile more closely.
func (s *scope) more() string {
	if s.greatest > 0 {
		return "copies of one probability"
	}
	return "more"
}

// weigh finds out how the copies of s are to be weighed, where the least probability of a
// copy is declared; 0 is not declared. Those of a route that are alike count alike in any
// case, and those of all routes where nothing is declared.
func (s *scope) weigh(least float64) {
	const rounded = 1.0 / (1 << 16) // as a tally rounds weights
	n, w := s.results.All(), &s.weighted
	alike := w.All() >= float64(n)*w.Greatest*(1-1e-9) // but for rounding of the sum
	switch {
	case n == 0:
	case w.Unknown == n || *w == tally.Weights{}:
		if least > 0 {
			s.problem = "the probabilities of the copies are not known: leave leastProbability out if they are all the same"
		}
	case w.Unknown > 0:
		s.problem = fmt.Sprintf("of %s of %s the probability is not known, so that they cannot be weighed: have all samplers tell it, or none",
			thousands(w.Unknown), noun{"copy", "copies"}.count(n))
	case least > 0 && w.Greatest > 1/least+rounded:
		s.problem = fmt.Sprintf("a copy was made with the probability %s, which is less than leastProbability, %v: correct it",
			three(1/w.Greatest, nearest), least)
	case alike && (least == 0 || s.route != ""):
	case least > 0:
		s.greatest = max(1/least, w.Greatest)
	default:
		s.problem = fmt.Sprintf("copies were made with different probabilities, one of them %s, so that a share of the copies is none of the requests: declare leastProbability",
			three(1/w.Greatest, nearest))
	}
}
