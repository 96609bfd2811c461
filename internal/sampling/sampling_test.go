package sampling_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/goshadow/shadow/internal/sampling"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The intervals are those of R. G. Newcombe, Two-Sided Confidence Intervals for the Single
// Proportion, Statistics in Medicine 17 (1998), table I, method 3.
func TestWilsonIsThePublishedInterval(t *testing.T) {
	for _, c := range []struct{ hits, n, low, high float64 }{
		{81, 263, 0.2553, 0.3662},
		{15, 148, 0.0624, 0.1605},
		{0, 20, 0, 0.1611},
		{1, 29, 0.0061, 0.1718},
	} {
		low, high := sampling.Wilson(c.hits, c.n, sampling.Z95)
		assert.InDelta(t, c.low, low, 0.00005, "%v of %v", c.hits, c.n)
		assert.InDelta(t, c.high, high, 0.00005, "%v of %v", c.hits, c.n)
	}
}

func TestWilsonOfNothingIsEverything(t *testing.T) {
	for _, n := range []float64{0, -1, math.NaN()} {
		low, high := sampling.Wilson(0, n, sampling.Z95)
		assert.Equal(t, []float64{0, 1}, []float64{low, high}, "%v", n)
	}
	low, high := sampling.Wilson(1e-300, 1e-300, sampling.Z95)
	assert.Equal(t, []float64{0, 1}, []float64{math.Round(low), high}, "what has all but been forgotten")
}

func TestWilsonStaysAShareAndHoldsTheEstimate(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		n := math.Exp(20*random.Float64() - 5)
		hits := n * random.Float64()
		low, high := sampling.Wilson(hits, n, sampling.Z95)
		if !(0 <= low && low <= hits/n && hits/n <= high && high <= 1) {
			t.Fatalf("%v of %v: %v to %v", hits, n, low, high)
		}
		if _, less := sampling.Wilson(hits*2, n*2, sampling.Z95); less > high+1e-12 {
			t.Fatalf("%v of %v: twice as much evidence has the upper bound %v after %v", hits, n, less, high)
		}
	}
}

// The intervals are those of R. G. Newcombe, Interval Estimation for the Difference Between
// Independent Proportions, Statistics in Medicine 17 (1998), table II, method 10.
func TestDifferenceIsThePublishedInterval(t *testing.T) {
	of := func(hits, n int) sampling.Share {
		var e sampling.Estimator
		for i := range n {
			e.Add(i < hits, 1)
		}
		return e.Share()
	}
	for _, c := range []struct {
		a, n, b, m int
		low, high  float64
	}{
		{56, 70, 48, 80, 0.0524, 0.3339},
		{9, 10, 3, 10, 0.1705, 0.8090},
		{5, 56, 0, 29, -0.0381, 0.1926},
		{0, 10, 0, 20, -0.1611, 0.2775},
		{10, 10, 0, 20, 0.6791, 1},
	} {
		value, low, high := sampling.Difference(of(c.a, c.n), of(c.b, c.m))
		assert.InDelta(t, float64(c.a)/float64(c.n)-float64(c.b)/float64(c.m), value, 1e-12)
		assert.InDelta(t, c.low, low, 0.00005, "%+v", c)
		assert.InDelta(t, c.high, high, 0.00005, "%+v", c)
	}
	for _, pair := range [][2]sampling.Share{{of(0, 0), of(1, 2)}, {of(1, 2), of(0, 0)}, {of(0, 0), of(0, 0)}} {
		value, low, high := sampling.Difference(pair[0], pair[1])
		assert.Equal(t, []float64{0, -1, 1}, []float64{value, low, high})
	}
}

func TestEstimatorOfEqualWeightsIsTheShareItself(t *testing.T) {
	var e sampling.Estimator
	assert.Equal(t, sampling.Share{High: 1}, e.Share())
	for i := range 263 {
		e.Add(i < 81, 100)
	}
	s := e.Share()
	assert.Equal(t, uint64(263), s.Results)
	assert.InDelta(t, 26300, s.Stands, 1e-6)
	assert.InDelta(t, 81.0/263, s.Value, 1e-12)
	assert.InDelta(t, 0.2553, s.Low, 0.00005)
	assert.InDelta(t, 0.3662, s.High, 0.00005)
}

func TestUnequalWeightsAreLessExact(t *testing.T) {
	var e sampling.Estimator
	for range 100 { // 10,100 requests, of which the few that count most decide
		e.Add(false, 1)
		e.Add(true, 100)
	}
	s := e.Share()
	assert.InDelta(t, 100.0/101, s.Value, 1e-12)
	trials := 10100.0 * 10100 / (100 + 100*10000)
	low, high := sampling.Wilson(s.Value*trials, trials, sampling.Z95)
	assert.InDelta(t, low, s.Low, 1e-12)
	assert.InDelta(t, high, s.High, 1e-12)
	assert.Less(t, trials, 200.0)
}

// copies is how many copies the rates make.
func copies(groups []sampling.Group) (sum float64) {
	for _, g := range groups {
		sum += g.Traffic * g.Rate
	}
	return sum
}

func rates(groups []sampling.Group) (list []float64) {
	for _, g := range groups {
		list = append(list, g.Rate)
	}
	return list
}

func TestAllocate(t *testing.T) {
	b := sampling.Bounds{Floor: 0.01, Ceiling: 0.5}
	for name, c := range map[string]struct {
		groups []sampling.Group
		copies float64
		want   []float64
	}{
		"none":                              {nil, 10, nil},
		"alike":                             {[]sampling.Group{{Traffic: 100, Weight: 1}, {Traffic: 100, Weight: 1}}, 20, []float64{0.1, 0.1}},
		"the rare one has as many copies":   {[]sampling.Group{{Traffic: 400, Weight: 1}, {Traffic: 100, Weight: 1}}, 80, []float64{0.1, 0.4}},
		"risk has more copies":              {[]sampling.Group{{Traffic: 100, Weight: 3}, {Traffic: 100, Weight: 1}}, 20, []float64{0.15, 0.05}},
		"what the ceiling saves others get": {[]sampling.Group{{Traffic: 1000, Weight: 1}, {Traffic: 10, Weight: 1}}, 105, []float64{0.1, 0.5}},
		"the floor comes first":             {[]sampling.Group{{Traffic: 1000, Weight: 1}, {Traffic: 1000, Weight: 1000}}, 110, []float64{0.01, 0.1}},
		"no more than the ceiling":          {[]sampling.Group{{Traffic: 1000, Weight: 1}, {Traffic: 1, Weight: 9}}, 1e9, []float64{0.5, 0.5}},
		"no less than the floor":            {[]sampling.Group{{Traffic: 1000, Weight: 1}, {Traffic: 1, Weight: 9}}, 0, []float64{0.01, 0.01}},
		"a debt":                            {[]sampling.Group{{Traffic: 1000, Weight: 1}}, -5, []float64{0.01}},
		"no traffic":                        {[]sampling.Group{{Weight: 1}, {Traffic: 100, Weight: 1}}, 20, []float64{0.5, 0.2}},
		"no traffic at all":                 {[]sampling.Group{{Weight: 1}}, 20, []float64{0.5}},
	} {
		t.Run(name, func(t *testing.T) {
			sampling.Allocate(c.groups, b, c.copies)
			assert.InDeltaSlice(t, c.want, rates(c.groups), 1e-9)
		})
	}
}

func TestAllocateSpendsTheBudgetInProportionToRisk(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 1000 {
		b := sampling.Bounds{Floor: 0.1 * random.Float64()}
		b.Ceiling = b.Floor + (1-b.Floor)*random.Float64()
		groups := make([]sampling.Group, 1+random.IntN(60))
		traffic := 0.0
		for i := range groups {
			groups[i] = sampling.Group{Traffic: math.Exp(15 * random.Float64()), Weight: 1e-4 + random.Float64()}
			traffic += groups[i].Traffic
		}
		budget := traffic * (b.Floor + (b.Ceiling-b.Floor)*random.Float64())
		sampling.Allocate(groups, b, budget)
		require.InEpsilon(t, budget, copies(groups), 1e-6)
		level := 0.0 // copies per weight of all that are not at a bound
		for _, g := range groups {
			require.True(t, b.Floor <= g.Rate && g.Rate <= b.Ceiling, "%+v in %+v", g, b)
			if g.Rate == b.Floor || g.Rate == b.Ceiling {
				continue
			}
			if level == 0 {
				level = g.Rate * g.Traffic / g.Weight
			}
			require.InEpsilon(t, level, g.Rate*g.Traffic/g.Weight, 1e-9)
		}
	}
}
