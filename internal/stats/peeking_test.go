package stats

import (
	"math"
	"math/rand/v2"
	"sort"
	"testing"

	"github.com/stretchr/testify/assert"
)

// How the simulations look: after every 10th observation, 3,000 times.
const (
	looks = 3000
	every = 10
	runs  = 2000
	alpha = 0.05
)

// draw returns how many of the observations at each look have what is counted, where the
// share of those is p.
func draw(random *rand.Rand, p float64) []uint64 {
	if p > 0.5 { // count the others, which are fewer
		counts := draw(random, 1-p)
		for i, others := range counts {
			counts[i] = uint64(i+1)*every - others
		}
		return counts
	}
	counts := make([]uint64, looks)
	at := 0
	for {
		at += 1 + int(math.Log(1-random.Float64())/math.Log1p(-p)) // geometric: the next one
		if at > looks*every {
			break
		}
		counts[(at-1)/every]++
	}
	for i := 1; i < looks; i++ {
		counts[i] += counts[i-1]
	}
	return counts
}

// refutes returns, for each look, below which count the test refutes that the share is p.
func refutes(test Test, p float64) []uint64 {
	below := make([]uint64, looks)
	for i := range below {
		n := uint64(i+1) * every
		below[i] = uint64(sort.Search(int(n), func(k int) bool { return test(uint64(k), n, p) > alpha }))
	}
	return below
}

// everBelow returns the share of the runs in which some look, among those that count,
// refutes what is true.
func everBelow(test Test, p float64, count func(look int) bool) float64 {
	below := refutes(test, p)
	wrong := 0
	for run := range uint64(runs) {
		for look, k := range draw(rand.New(rand.NewPCG(run, 1)), p) {
			if k < below[look] && count(look) {
				wrong++
				break
			}
		}
	}
	return float64(wrong) / runs
}

// The candidate is exactly as bad as must not pass. Each pass is a false one.
func TestLookingOftenDoesNotMakeABadCandidatePass(t *testing.T) {
	always := func(int) bool { return true }
	last := func(look int) bool { return look == looks-1 }
	for _, p := range []float64{0.01, 0.05} {
		once, naive, anytime := everBelow(Exact, p, last), everBelow(Exact, p, always), everBelow(Anytime, p, always)
		t.Logf("share %v: one look %.4f, %d looks with the test for one %.4f, with the anytime test %.4f",
			p, once, looks, naive, anytime)
		assert.LessOrEqual(t, once, alpha+0.01, "one look keeps its promise")
		assert.Greater(t, naive, 4*alpha, "that many do not, or this test proves nothing")
		assert.LessOrEqual(t, anytime, alpha)
		assert.Greater(t, anytime, alpha/5, "the anytime test is not just too timid to say anything")
	}
}

// A candidate that is just good enough does not fail either: the lower bound is the upper
// one of what is not counted.
func TestLookingOftenDoesNotMakeAGoodCandidateFail(t *testing.T) {
	const p = 0.99 // of requests without a difference
	naive := everBelow(Exact, p, func(int) bool { return true })
	anytime := everBelow(Anytime, p, func(int) bool { return true })
	t.Logf("the test for one look %.4f, the anytime test %.4f", naive, anytime)
	assert.Greater(t, naive, 4*alpha)
	assert.LessOrEqual(t, anytime, alpha)
}

// Where the true quantile lies in the sorted sample is again a count: of the observations
// at or below it.
func TestLookingOftenDoesNotMoveAQuantileOutOfItsRanks(t *testing.T) {
	const q = 0.95
	outside := func(test Test) float64 {
		lowers, uppers := make([]uint64, looks), make([]uint64, looks)
		for i := range looks {
			lowers[i], uppers[i] = test.Ranks(uint64(i+1)*every, q, alpha/2)
		}
		wrong := 0
		for run := range uint64(runs) {
			for look, below := range draw(rand.New(rand.NewPCG(run, 2)), q) {
				if below < lowers[look] || below >= uppers[look] {
					wrong++
					break
				}
			}
		}
		return float64(wrong) / runs
	}
	naive, anytime := outside(Exact), outside(Anytime)
	t.Logf("the ranks for one look %.4f, the anytime ranks %.4f", naive, anytime)
	assert.Greater(t, naive, 4*alpha)
	assert.LessOrEqual(t, anytime, alpha)
}

// What is gained by looking often: a candidate that is much better than the limit passes
// long before the end, in nearly all runs.
func TestAGoodCandidatePassesEarly(t *testing.T) {
	const limit, share = 0.01, 0.002
	below := refutes(Anytime, limit)
	var passed []int
	for run := range uint64(runs) {
		for look, k := range draw(rand.New(rand.NewPCG(run, 3)), share) {
			if k < below[look] {
				passed = append(passed, (look+1)*every)
				break
			}
		}
	}
	sort.Ints(passed)
	t.Logf("%d of %d passed, half of them within %d observations", len(passed), runs, passed[len(passed)/2])
	assert.Equal(t, runs, len(passed))
	assert.Less(t, passed[len(passed)/2], 1000)
}
