// Package stats says what a count proves: bounds for the share that stands behind k of n,
// and for the quantile behind a sorted sample, both for somebody who looks once and for
// somebody who looks as often as he likes.
//
// All of it starts from one function, a [Test]. That of [Exact] holds for one look, at a
// number of observations fixed beforehand. That of [Anytime] holds for all looks together,
// and costs a quarter to two fifths more observations.
//
// What is counted is taken for independent, or at least for such that the chance of each
// observation, given all before it, is not below (above) the share that is refuted.
package stats

import (
	"math"
	"sort"

	"gonum.org/v1/gonum/mathext"
)

// Test returns the p-value of "the share is p or more" where k of n observations had what
// is counted: small where that is hard to believe. It is 1 where nothing was observed, and
// never falls with k or grows with p. K over n counts as n.
type Test func(k, n uint64, p float64) float64

// Exact is the binomial test for one look: the probability of k or fewer of n. Its bounds
// are those of Clopper and Pearson, "The use of confidence or fiducial limits illustrated
// in the case of the binomial", Biometrika 26 (1934).
func Exact(k, n uint64, p float64) float64 {
	if trivial, value := edge(k, n, p); trivial {
		return value
	}
	a, b := floats(k, n)
	return incomplete(b, a+1, 1-p)
}

// Anytime is a test that may be looked at after each observation: with a share of p or
// more its value ever falls to alpha or below with a probability of at most alpha.
//
// It is one over the likelihood of what was seen, averaged over shares below p with the
// weights of a Beta(1/2, 1/2), to its likelihood at p. Under p or more that ratio is a
// nonnegative supermartingale that starts at 1, for which Ville's inequality (1939) gives
// the promise; the mixture is Robbins', "Statistical methods related to the law of the
// iterated logarithm", Ann. Math. Statist. 41 (1970). As a confidence sequence it is the
// one-sided beta-binomial mixture of Howard, Ramdas, McAuliffe and Sekhon, "Time-uniform,
// nonparametric, nonasymptotic confidence sequences", Ann. Statist. 49 (2021), with
// Jeffreys' weights: they lean to 0, where a good candidate is.
func Anytime(k, n uint64, p float64) float64 {
	if trivial, value := edge(k, n, p); trivial {
		return value
	}
	if float64(k) >= p*float64(n) { // no share below p explains k better than p does
		return 1
	}
	return math.Min(1, math.Exp(-evidence(k, n, p)))
}

// evidence is the logarithm of the ratio that Anytime speaks of.
func evidence(k, n uint64, p float64) float64 {
	const half = 0.5
	a, b := floats(k, n)
	average := mathext.Lbeta(a+half, b+half) + math.Log(incomplete(a+half, b+half, p)) -
		mathext.Lbeta(half, half) - math.Log(incomplete(half, half, p))
	at := a*math.Log(p) + b*math.Log1p(-p)
	return average - at
}

// incomplete is the regularized incomplete beta function, the distribution of a share. The
// library's fraction does not converge close to the middle of millions of observations;
// there, where no level is that anybody asks for, the normal distribution is close enough.
func incomplete(a, b, x float64) float64 {
	const millions, close = 1e6, 0.5
	if all := a + b; all > millions {
		mean := a / all
		z := (x - mean) / math.Sqrt(mean*(1-mean)/all)
		if math.Abs(z) < close {
			return math.Erfc(-z/math.Sqrt2) / 2
		}
	}
	return mathext.RegIncBeta(a, b, x)
}

// edge tells the cases in which there is nothing to compute.
func edge(k, n uint64, p float64) (trivial bool, value float64) {
	switch {
	case k >= n || p <= 0 || math.IsNaN(p):
		return true, 1
	case p >= 1:
		return true, 0
	}
	return false, 0
}

// floats returns the observations with and without what is counted. Where there are more
// than the logarithms of factorials can tell apart it takes fewer, in the same proportion.
func floats(k, n uint64) (with, without float64) {
	const most = 1e12
	with, without = float64(k), float64(n-k)
	if all := with + without; all > most {
		with, without = with*(most/all), without*(most/all)
	}
	return with, without
}

// Upper returns the least share that is refuted at level alpha: the share behind k of n is
// below it, with confidence 1-alpha. It is 1 where nothing can be said.
func (t Test) Upper(k, n uint64, alpha float64) float64 {
	if t(k, n, 1) > alpha {
		return 1
	}
	const close = 1e-9 // relative: high is on the safe side of what is refuted
	low, high := float64(k)/float64(n), 1.0
	for i := 0; i < 60 && high-low > close*high; i++ {
		middle := low + (high-low)/2
		if low < high/4 { // far from its order of magnitude yet
			middle = math.Sqrt(math.Max(low, high*1e-6) * high)
		}
		if t(k, n, middle) > alpha {
			low = middle
		} else {
			high = middle
		}
	}
	return high
}

// Lower returns the greatest share that is refuted from the other side: the share behind k
// of n is above it, with confidence 1-alpha. It is 0 where nothing can be said.
func (t Test) Lower(k, n uint64, alpha float64) float64 {
	return 1 - t.Upper(n-min(k, n), n, alpha)
}

// Needed returns how many more observations, none of them with what is counted, refute at
// level alpha that the share is p or more; 0 where k of n do. Ok is false where no number
// does that could ever be observed.
func (t Test) Needed(k, n uint64, p, alpha float64) (more uint64, ok bool) {
	const most = 1 << 40
	enough := func(more uint64) bool { return t(k, n+more, p) <= alpha }
	high := uint64(1)
	for !enough(high) {
		if high *= 2; high > most {
			return 0, false
		}
	}
	return uint64(sort.Search(int(high), func(more int) bool { return enough(uint64(more)) })), true
}

// Ranks returns where in a sorted sample of n the quantile q of what it was drawn from is
// to be found: not below the value at rank lower, counted from 1, and, independently, not
// above that at rank upper, each with confidence 1-alpha. Lower is 0 and upper is n+1 where
// nothing can be said. See Howard and Ramdas, "Sequential estimation of quantiles with
// applications to A/B testing and best-arm identification", Bernoulli 28 (2022).
func (t Test) Ranks(n uint64, q, alpha float64) (lower, upper uint64) {
	// Of n observations, so many may be at or below the quantile, or above it, at most and
	// still be too few: refuted says up to which number that holds.
	refuted := func(p float64) uint64 {
		return uint64(sort.Search(int(n), func(k int) bool { return t(uint64(k), n, p) > alpha }))
	}
	return refuted(q), n + 1 - refuted(1-q)
}

// Excess bounds by how much the share behind b of n is greater than that behind c of n, at
// level alpha. It is negative if it is shown to be less. Both may be of the same n
// observations.
func (t Test) Excess(b, c, n uint64, alpha float64) float64 {
	return t.Upper(b, n, alpha/2) - t.Lower(c, n, alpha/2)
}
