// Package sampling is the arithmetic of samplers: how sure a share is, how a budget is
// spread over groups of requests, and what a sample of unequal probabilities says about all
// that it was drawn from.
package sampling

import "math"

// Z95 is the quantile of the standard normal distribution that leaves 2.5 % above it.
const Z95 = 1.959963984540054

// Wilson returns the score interval of a share of which hits in n trials are known:
// E. B. Wilson, Probable Inference, the Law of Succession, and Statistical Inference, JASA
// 22 (1927). Without trials it is everything from 0 to 1. Trials and hits need not be whole
// numbers: those of long ago may count for less.
func Wilson(hits, n, z float64) (low, high float64) {
	if !(n > 0) {
		return 0, 1
	}
	p := min(max(hits/n, 0), 1)
	middle := p + z*z/(2*n)
	half := z * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	whole := 1 + z*z/n
	return max((middle-half)/whole, 0), min((middle+half)/whole, 1)
}

// Share is a share that was estimated from a sample.
type Share struct {
	Results   uint64  // the size of the sample
	Stands    float64 // the number of requests that it stands for
	Value     float64 // 0 without results
	Low, High float64 // the bounds of Wilson's interval at 95 %
}

// Estimator estimates a share from a sample of unequal probabilities. The zero value has
// seen nothing.
type Estimator struct {
	n            uint64
	sum, squares float64 // of the weights
	hits         float64 // the sum of the weights of hits
}

// Add adds one of the sample, which stands for weight requests.
func (e *Estimator) Add(hit bool, weight float64) {
	e.n++
	e.sum += weight
	e.squares += weight * weight
	if hit {
		e.hits += weight
	}
}

// Share returns the estimate: hits per request, each weighted with the inverse of its
// inclusion probability (J. Hájek, Comment on an essay of D. Basu, 1971). The interval
// counts as many trials as a sample of equal weights would need to be as exact (L. Kish,
// Survey Sampling, 1965, section 11.7).
func (e *Estimator) Share() Share {
	s := Share{Results: e.n, Stands: e.sum, Low: 0, High: 1}
	if e.n == 0 {
		return s
	}
	s.Value = e.hits / e.sum
	trials := e.sum * e.sum / e.squares
	s.Low, s.High = Wilson(s.Value*trials, trials, Z95)
	return s
}

// Difference returns a less b and its interval at 95 %, made of those of both: R. G.
// Newcombe, Interval Estimation for the Difference Between Independent Proportions,
// Statistics in Medicine 17 (1998), method 10. Where one has no results the difference is
// 0, and anything from -1 to 1.
func Difference(a, b Share) (value, low, high float64) {
	if a.Results == 0 || b.Results == 0 {
		return 0, -1, 1
	}
	value = a.Value - b.Value
	return value, value - math.Hypot(a.Value-a.Low, b.High-b.Value), value + math.Hypot(a.High-a.Value, b.Value-b.Low)
}
