package stats

import (
	"fmt"
	"math"
	"math/big"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var tests = map[string]Test{"exact": Exact, "anytime": Anytime}

func TestExactBoundsAreThoseOfPublishedTables(t *testing.T) {
	for _, c := range []struct {
		k, n         uint64
		lower, upper float64 // of the two-sided interval at 95 %, to four places
	}{
		// Newcombe, "Two-sided confidence intervals for the single proportion: comparison
		// of seven methods", Statistics in Medicine 17 (1998), table I, method 5.
		{81, 263, 0.2527, 0.3676},
		{15, 148, 0.0578, 0.1617},
		{0, 20, 0, 0.1684},
		{1, 29, 0.0009, 0.1776},
		// Documenta Geigy, Scientific Tables, exact limits of the binomial.
		{0, 1, 0, 0.9750},
		{1, 1, 0.0250, 1},
		{0, 10, 0, 0.3085},
		{1, 10, 0.0025, 0.4450},
		{2, 10, 0.0252, 0.5561},
		{5, 10, 0.1871, 0.8129},
		{10, 10, 0.6915, 1},
		{0, 100, 0, 0.0362},
		{5, 100, 0.0164, 0.1128},
		{50, 100, 0.3983, 0.6017},
		{100, 100, 0.9638, 1},
	} {
		t.Run(fmt.Sprintf("%d of %d", c.k, c.n), func(t *testing.T) {
			assert.InDelta(t, c.lower, Test(Exact).Lower(c.k, c.n, 0.025), 0.00005)
			assert.InDelta(t, c.upper, Test(Exact).Upper(c.k, c.n, 0.025), 0.00005)
		})
	}
}

// The exact p-value is a finite sum, here of fractions.
func TestTheExactTestIsTheSumOfTheBinomial(t *testing.T) {
	for _, n := range []int64{1, 2, 7, 40, 150} {
		for _, p := range []*big.Rat{big.NewRat(1, 1000), big.NewRat(1, 20), big.NewRat(1, 2), big.NewRat(97, 100)} {
			sum := new(big.Rat)
			for k := range n {
				sum.Add(sum, term(n, k, p))
				want, _ := sum.Float64()
				at, _ := p.Float64()
				assert.InEpsilon(t, want, Exact(uint64(k), uint64(n), at), 1e-9, "%d of %d at %v", k, n, at)
			}
		}
	}
}

func term(n, k int64, p *big.Rat) *big.Rat {
	r := new(big.Rat).SetInt(new(big.Int).Binomial(n, k))
	q := new(big.Rat).Sub(big.NewRat(1, 1), p)
	return r.Mul(r, power(p, k)).Mul(r, power(q, n-k))
}

func power(r *big.Rat, n int64) *big.Rat {
	e := big.NewInt(n)
	return new(big.Rat).SetFrac(new(big.Int).Exp(r.Num(), e, nil), new(big.Int).Exp(r.Denom(), e, nil))
}

// The mixture is an integral, here added up in small steps: with share = p*u*u the weights
// of Jeffreys have no pole at 0.
func TestTheAnytimeTestIsTheMixture(t *testing.T) {
	mixture := func(k, n uint64, p float64) float64 {
		const steps = 20_000
		var likelihood, weights float64
		for i := range steps {
			u := (float64(i) + 0.5) / steps
			share := p * u * u
			weight := 1 / math.Sqrt(1-share)
			weights += weight
			likelihood += weight * math.Exp(float64(k)*math.Log(share/p)+float64(n-k)*(math.Log1p(-share)-math.Log1p(-p)))
		}
		return likelihood / weights
	}
	for _, p := range []float64{0.0001, 0.001, 0.05, 0.5, 0.9} {
		for _, n := range []uint64{1, 2, 30, 1000, 20_000} {
			for _, k := range []uint64{0, 1, 3, n / 1000, n / 20} {
				if k < n {
					want := math.Min(1, 1/mixture(k, n, p))
					assert.InEpsilon(t, want+1e-300, Anytime(k, n, p)+1e-300, 1e-4, "%d of %d at %v", k, n, p)
				}
			}
		}
	}
}

// Each look is a martingale's step: whatever was seen, the expected evidence does not grow
// under the share that is to be refuted, nor under a greater one.
func TestTheEvidenceIsASupermartingale(t *testing.T) {
	ratio := func(k, n uint64, p float64) float64 { return math.Exp(evidence(k, n, p)) }
	assert.InDelta(t, 1, ratio(0, 0, 0.01), 1e-9)
	for _, limit := range []float64{0.001, 0.01, 0.3} {
		for n := uint64(0); n < 200; n++ {
			for k := uint64(0); k <= n && k < 20; k++ {
				now := ratio(k, n, limit)
				for _, share := range []float64{limit, limit * 1.5, limit * 3} {
					next := share*ratio(k+1, n+1, limit) + (1-share)*ratio(k, n+1, limit)
					assert.LessOrEqual(t, next, now*(1+1e-9), "%d of %d, limit %v, share %v", k, n, limit, share)
				}
			}
		}
	}
}

func TestNothingSeenProvesNothing(t *testing.T) {
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, 1.0, test(0, 0, 0.1))
			assert.Equal(t, 1.0, test.Upper(0, 0, 0.05))
			assert.Equal(t, 0.0, test.Lower(0, 0, 0.05))
			lower, upper := test.Ranks(0, 0.95, 0.05)
			assert.Equal(t, [2]uint64{0, 1}, [2]uint64{lower, upper})
		})
	}
}

func TestAllOrNoneSeenBoundsOneSideOnly(t *testing.T) {
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for _, n := range []uint64{1, 2, 10, 1000, 1e6, 1e9, 1e12, math.MaxUint64} {
				assert.Equal(t, 0.0, test.Lower(0, n, 0.05))
				assert.Equal(t, 1.0, test.Upper(n, n, 0.05))
				assert.Less(t, test.Upper(0, n, 0.05), 1.0)
				assert.Greater(t, test.Lower(n, n, 0.05), 0.0)
			}
		})
	}
	// None of n: the bound has a closed form, alpha = (1-p)^n.
	for _, n := range []uint64{1, 2, 10, 1000, 1e6, 1e9} {
		assert.InEpsilon(t, -math.Expm1(math.Log(0.05)/float64(n)), Test(Exact).Upper(0, n, 0.05), 1e-6, "%d", n)
	}
}

func TestMoreThanAllCountsAsAll(t *testing.T) {
	for name, test := range tests {
		assert.Equal(t, 1.0, test.Upper(11, 10, 0.05), name)
		assert.Equal(t, test.Lower(10, 10, 0.05), test.Lower(11, 10, 0.05), name)
	}
}

func TestSharesThatAreNoneRefuteNothing(t *testing.T) {
	for name, test := range tests {
		for _, p := range []float64{math.Inf(-1), -1, 0, math.NaN()} {
			assert.Equal(t, 1.0, test(1, 10, p), "%s %v", name, p)
		}
		for _, p := range []float64{1, 2, math.Inf(1)} {
			assert.Equal(t, 0.0, test(1, 10, p), "%s %v", name, p)
		}
	}
}

func TestATestNeverFallsWithKNorGrowsWithPNorWithNAtTheSameK(t *testing.T) {
	const rounding = 1 + 1e-9
	shares := []float64{1e-6, 1e-4, 0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.99}
	for name, test := range tests {
		for _, n := range []uint64{1, 5, 100, 3000, 1e6, 1e9} {
			for _, k := range []uint64{0, 1, n / 1000, n / 100, n / 2, n - 1} {
				for i, p := range shares {
					at := test(k, n, p)
					assert.LessOrEqual(t, at, test(k+1, n, p)*rounding, "%s: k %d of %d at %v", name, k, n, p)
					assert.LessOrEqual(t, test(k, n+1, p), at*rounding, "%s: n %d of %d at %v", name, k, n, p)
					if i > 0 {
						assert.LessOrEqual(t, at, test(k, n, shares[i-1])*rounding, "%s: p %d of %d at %v", name, k, n, p)
					}
				}
			}
		}
	}
}

func TestTheBoundIsWhereTheTestTurns(t *testing.T) {
	for name, test := range tests {
		for _, alpha := range []float64{0.2, 0.05, 1e-4} {
			for _, n := range []uint64{10, 1000, 1e6} {
				for _, k := range []uint64{0, 1, n / 100, n / 2, n - 1} {
					bound := test.Upper(k, n, alpha)
					assert.LessOrEqual(t, test(k, n, bound), alpha, "%s %d of %d", name, k, n)
					assert.Greater(t, test(k, n, bound*(1-1e-6)), alpha, "%s %d of %d", name, k, n)
					assert.Less(t, test.Lower(k, n, alpha), bound)
				}
			}
		}
	}
}

func TestLookingOftenCostsAtMostHalfMoreObservations(t *testing.T) {
	for _, p := range []float64{0.0001, 0.001, 0.01, 0.1} {
		for _, k := range []uint64{0, 1, 2, 5, 20, 100} {
			once, ok := Test(Exact).Needed(k, k, p, 0.05)
			require.True(t, ok)
			often, ok := Test(Anytime).Needed(k, k, p, 0.05)
			require.True(t, ok)
			assert.Greater(t, often, once)
			assert.Less(t, float64(often), 1.5*float64(once), "%d at %v", k, p)
		}
	}
}

func TestNeededIsTheLeastNumber(t *testing.T) {
	for name, test := range tests {
		for _, k := range []uint64{0, 1, 7} {
			more, ok := test.Needed(k, 1200, 0.001, 0.05)
			require.True(t, ok)
			assert.LessOrEqual(t, test(k, 1200+more, 0.001), 0.05, name)
			assert.Greater(t, test(k, 1200+more-1, 0.001), 0.05, name)
		}
		more, ok := test.Needed(0, 100_000, 0.001, 0.05)
		assert.True(t, ok)
		assert.Zero(t, more)
		for _, impossible := range []float64{0, -1, math.NaN(), 1e-300} {
			_, ok = test.Needed(0, 1200, impossible, 0.05)
			assert.False(t, ok, "%s %v", name, impossible)
		}
	}
	// The rule of three, to the last request: 2,995 without a difference show that fewer
	// than 1 in 1,000 differ.
	more, _ := Test(Exact).Needed(0, 1200, 0.001, 0.05)
	assert.Equal(t, uint64(1795), more)
}

func TestRanksAreThoseOfPublishedTables(t *testing.T) {
	// Wilks, "Determination of sample sizes for setting tolerance limits" (1941): 59
	// observations for the greatest to be above the quantile 0.95 with 95 %, 299 for 0.99.
	for _, c := range []struct {
		n uint64
		q float64
	}{{59, 0.95}, {299, 0.99}, {29, 0.90}} {
		_, upper := Test(Exact).Ranks(c.n, c.q, 0.05)
		assert.Equal(t, c.n, upper)
		_, upper = Test(Exact).Ranks(c.n-1, c.q, 0.05)
		assert.Equal(t, c.n, upper, "one less has no bound: n+1")
	}
	// Conover, Practical Nonparametric Statistics: the sign test's interval of a median.
	lower, upper := Test(Exact).Ranks(10, 0.5, 0.025)
	assert.Equal(t, [2]uint64{2, 9}, [2]uint64{lower, upper})
	lower, upper = Test(Exact).Ranks(20, 0.5, 0.025)
	assert.Equal(t, [2]uint64{6, 15}, [2]uint64{lower, upper})
}

func TestRanksLieAroundTheQuantile(t *testing.T) {
	for name, test := range tests {
		for _, q := range []float64{0.05, 0.5, 0.95, 0.999} {
			for _, n := range []uint64{1, 10, 1000, 1e6} {
				lower, upper := test.Ranks(n, q, 0.025)
				assert.LessOrEqual(t, float64(lower), math.Ceil(q*float64(n)), "%s %v of %d", name, q, n)
				assert.GreaterOrEqual(t, float64(upper), math.Floor(q*float64(n)), "%s %v of %d", name, q, n)
			}
		}
	}
}

func FuzzBoundsAreAlwaysAnInterval(f *testing.F) {
	f.Add(uint64(0), uint64(0), 0.05)
	f.Add(uint64(3), uint64(1200), 0.001)
	f.Add(uint64(math.MaxUint64), uint64(math.MaxUint64), 1e-12)
	f.Add(uint64(7), uint64(1<<40), 0.5)
	f.Fuzz(func(t *testing.T, k, n uint64, alpha float64) {
		if !(alpha >= 1e-12 && alpha <= 0.5) {
			alpha = 0.05 // nobody asks for such a level
		}
		for name, test := range tests {
			lower, upper := test.Lower(k, n, alpha), test.Upper(k, n, alpha)
			if !(0 <= lower && lower <= upper && upper <= 1) {
				t.Errorf("%s: %d of %d at %v: %v to %v", name, k, n, alpha, lower, upper)
			}
			if n > 0 {
				share := float64(min(k, n)) / float64(n)
				if lower > share*(1+1e-9)+1e-12 || upper < share*(1-1e-9) {
					t.Errorf("%s: %d of %d at %v: %v is not within %v to %v", name, k, n, alpha, share, lower, upper)
				}
			}
		}
	})
}
