package gate

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow/report/tally"
)

// copied is a route whose copies were made with one probability, or, where it is 0, with
// one that nobody knows.
func copied(route string, probability float64, match, mismatch uint64) tally.Route {
	r := tally.Route{Mirror: "orders", Target: "v2", Route: route,
		Results: tally.Counts{Match: match, Mismatch: mismatch}, Correlated: match + mismatch}
	weight := 1.0
	if probability > 0 {
		weight = 1 / probability
	} else {
		r.Weighted.Unknown = match + mismatch
	}
	w := &r.Weighted
	w.Match, w.Mismatch = weight*float64(match), weight*float64(mismatch)
	w.Correlated, w.Greatest, w.Squares = w.All(), weight, weight*w.All()
	return r
}

func copies(routes ...tally.Route) *tally.Snapshot {
	return &tally.Snapshot{Version: tally.Version, Since: start, Taken: start.Add(time.Hour), Elapsed: time.Hour, Routes: routes}
}

func TestCopiesOfDifferentProbabilityAreWeighedOrNotJudged(t *testing.T) {
	rare, often := copied("GET /rare", 1, 8000, 0), copied("GET /often", 0.01, 500, 5)
	unknown := copied("GET /unknown", 0, 8000, 0)
	for _, c := range []struct {
		name   string
		least  float64
		routes []tally.Route
		want   Verdict
		reason string
	}{
		{"one probability", 0, []tally.Route{often}, Insufficient,
			"5 differences in 505 (0.99 %); at least 931 more needed to claim under 1 % at 95 %"},
		{"no weights at all", 0, snapshot(counted{route: get, match: 8000, mismatch: 5}).Routes, Pass,
			"5 differences in 8,005 (0.0625 %): under 0.18 % at 95 %; the limit is 1 %"},
		{"all unknown", 0, []tally.Route{unknown}, Pass,
			"0 differences in 8,000: under 0.0474 % at 95 %; the limit is 1 %"},
		{"different", 0, []tally.Route{rare, often}, Insufficient,
			"copies were made with different probabilities, one of them 0.01, so that a share of the copies is none of the requests: declare leastProbability"},
		{"different and declared", 0.01, []tally.Route{rare, often}, Insufficient,
			"5 differences in 8,505 (0.855 % of the requests); at least 851 more needed to claim under 1 % at 95 %"},
		{"more to come", 0.001, []tally.Route{rare, often}, Insufficient,
			"5 differences in 8,505 (0.855 % of the requests); at least 604 more needed to claim under 1 % at 95 %"},
		{"less than declared", 0.02, []tally.Route{rare, often}, Insufficient,
			"a copy was made with the probability 0.01, which is less than leastProbability, 0.02: correct it"},
		{"some unknown", 0.01, []tally.Route{often, unknown}, Insufficient,
			"of 8,000 of 8,505 copies the probability is not known, so that they cannot be weighed: have all samplers tell it, or none"},
		{"unknown and declared", 0.01, []tally.Route{unknown}, Insufficient,
			"the probabilities of the copies are not known: leave leastProbability out if they are all the same"},
		{"enough", 0.01, []tally.Route{rare, copied("GET /often", 0.01, 5000, 5)}, Pass,
			"5 differences in 13,005 (0.0983 % of the requests): under 0.284 % at 95 %; the limit is 1 %"},
		{"bad", 0.01, []tally.Route{rare, copied("GET /often", 0.01, 5000, 500)}, Fail,
			"500 differences in 13,500 (8.96 % of the requests): over 7.52 % at 95 %; the limit is 1 %"},
	} {
		d := decide(t, Criteria{LeastProbability: c.least, Limits: Limits{DiffRate: 0.01}}, copies(c.routes...))
		assert.Equal(t, c.want, d.Verdict, c.name)
		assert.Equal(t, c.reason, d.Checks[0].Reason, c.name)
	}
	t.Run("a route by itself needs no weights if its copies are alike", func(t *testing.T) {
		for _, least := range []float64{0, 0.01, 0.001} {
			d := decide(t, Criteria{LeastProbability: least, EachRoute: Limits{DiffRate: 0.05}}, copies(rare, copied("GET /often", 0.01, 500, 0)))
			assert.Equal(t, Pass, d.Verdict, d.String())
		}
	})
	t.Run("copies that are alike so far need not stay so", func(t *testing.T) {
		alike := copies(copied("GET /often", 0.01, 2000, 0))
		limits := Limits{DiffRate: 0.01}
		assert.Equal(t, Pass, decide(t, Criteria{Limits: limits}, alike).Verdict)
		assert.Equal(t, Insufficient, decide(t, Criteria{LeastProbability: 0.001, Limits: limits}, alike).Verdict)
	})
	t.Run("no copies are not copies of a probability that is not known", func(t *testing.T) {
		d := decide(t, Criteria{LeastProbability: 0.01, Limits: Limits{DiffRate: 0.01}}, copies())
		assert.Contains(t, d.Checks[0].Reason, "0 differences in 0; ")
	})
	t.Run("more of what a sampler prefers do not bound a time", func(t *testing.T) {
		s := snapshot(good(2000))
		criteria := Criteria{Limits: Limits{LagMedian: 0.02}}
		assert.Contains(t, decide(t, criteria, s).Checks[0].Reason, "; more needed to tell it from 20ms")
		criteria.LeastProbability = 0.5
		s.Routes[0].Weighted = tally.Weights{Match: 2000, Correlated: 2000, Greatest: 1, Squares: 2000}
		assert.Contains(t, decide(t, criteria, s).Checks[0].Reason, "; copies of one probability needed to tell it from 20ms")
	})
	t.Run("what is counted is not weighed", func(t *testing.T) {
		d := decide(t, Criteria{Limits: Limits{Compared: 8000}}, copies(rare, often))
		assert.Equal(t, Pass, d.Verdict, d.String())
	})
	t.Run("weights that cannot be true are an error", func(t *testing.T) {
		for _, damage := range []func(w *tally.Weights){
			func(w *tally.Weights) { w.Noisy = w.Mismatch + 1 },
			func(w *tally.Weights) { w.Correlated = w.All() + 1 },
			func(w *tally.Weights) { w.Correlated = -1 },
			func(w *tally.Weights) { w.ShadowErrors = -1 },
			func(w *tally.Weights) { w.ShadowErrors = w.All() + 1 },
			func(w *tally.Weights) { w.Match = -1 },
			func(w *tally.Weights) { w.Failed = -1 },
			func(w *tally.Weights) { w.Uncompared = -1 },
			func(w *tally.Weights) { w.Noisy = -1 },
			func(w *tally.Weights) { w.Expected = -1 },
			func(w *tally.Weights) { w.ShadowErrors = math.NaN() },
			func(w *tally.Weights) { w.Match = math.Inf(1) },
			func(w *tally.Weights) { w.Greatest = -1 },
		} {
			r := copied("GET /often", 0.01, 500, 5)
			damage(&r.Weighted)
			_, err := Default().Decide(copies(r), nil)
			assert.ErrorContains(t, err, "the weights cannot be true")
		}
	})
}

// world is traffic of some routes, each sampled at a rate of its own.
type world []struct{ share, rate, differs float64 }

// ask runs traffic and asks the gate after every so many requests. It returns the share of
// the runs in which it passed at some time: by criteria, and by copies alone.
func (w world) ask(t *testing.T, criteria Criteria, requests, every, runs int) (weighed, unweighed float64) {
	plain := criteria
	plain.LeastProbability = 0
	for run := range uint64(runs) {
		random := rand.New(rand.NewPCG(run, 11))
		counts := make([]struct{ match, mismatch uint64 }, len(w))
		var passed, passedUnweighed bool
		for at := 1; at <= requests && !(passed && passedUnweighed); at++ {
			i, u := 0, random.Float64()
			for ; i < len(w)-1 && u >= w[i].share; i++ {
				u -= w[i].share
			}
			if random.Float64() < w[i].rate {
				if random.Float64() < w[i].differs {
					counts[i].mismatch++
				} else {
					counts[i].match++
				}
			}
			if at%every != 0 {
				continue
			}
			var routes, alike []tally.Route
			for i, n := range counts {
				if n.match+n.mismatch > 0 {
					routes = append(routes, copied(string(rune('a'+i)), w[i].rate, n.match, n.mismatch))
					alike = append(alike, copied(string(rune('a'+i)), 1, n.match, n.mismatch))
				}
			}
			passed = passed || decide(t, criteria, copies(routes...)).Verdict == Pass
			passedUnweighed = passedUnweighed || decide(t, plain, copies(alike...)).Verdict == Pass
		}
		if passed {
			weighed += 1 / float64(runs)
		}
		if passedUnweighed {
			unweighed += 1 / float64(runs)
		}
	}
	return weighed, unweighed
}

// Each candidate is exactly as bad as must not pass, and the sampler looks away from where
// it is bad. Somebody asks again and again.
func TestASamplerThatLooksAwayMakesNoBadCandidatePass(t *testing.T) {
	const limit, requests, every, runs = 0.05, 30_000, 500, 100
	for name, w := range map[string]world{
		"half of the traffic is bad and hardly copied": {{0.5, 0.02, 2 * limit}, {0.5, 1, 0}},
		"what is bad is rare and hardly copied":        {{limit, 0.02, 1}, {1 - limit, 1, 0}},
		"three rates":                                  {{0.3, 0.02, limit}, {0.3, 0.1, 2 * limit}, {0.4, 1, limit / 4}},
	} {
		rate := 0.0
		for _, route := range w {
			rate += route.share * route.differs
		}
		require.InDelta(t, limit, rate, 1e-9, name)
		declared := Criteria{LeastProbability: 0.02, Limits: Limits{DiffRate: limit}}
		weighed, unweighed := w.ask(t, declared, requests, every, runs)
		t.Logf("%s: false passes %.3f, by copies alone %.3f", name, weighed, unweighed)
		assert.LessOrEqual(t, weighed, 0.05, name)
		assert.Greater(t, unweighed, 0.5, "%s: copies alone mislead, or this test proves nothing", name)
	}
	t.Run("without the least probability nothing passes", func(t *testing.T) {
		w := world{{0.5, 0.02, 2 * limit}, {0.5, 1, 0}}
		passed, _ := w.ask(t, Criteria{Limits: Limits{DiffRate: limit}}, requests, 5000, 20)
		assert.Zero(t, passed)
	})
	t.Run("a good candidate passes", func(t *testing.T) {
		w := world{{0.5, 0.02, limit / 10}, {0.5, 1, 0}}
		passed, _ := w.ask(t, Criteria{LeastProbability: 0.02, Limits: Limits{DiffRate: limit}}, requests, 5000, 20)
		assert.Greater(t, passed, 0.9)
	})
}

// A quarter of the traffic is slow and hardly copied: the p95 of the copies is far from that
// of the requests, and its bounds hold all the same.
func TestASamplerThatLooksAwayDoesNotMakeTheShadowFast(t *testing.T) {
	const slow, rate, requests, every, runs = 0.0625, 0.05, 40_000, 500, 100
	truth := math.Log(slow / 0.05) // of slow ones, exponential with mean 1: exp(-x) = 0.05/slow
	wrong, naive, judged := 0, 0, 0
	for run := range uint64(runs) {
		random := rand.New(rand.NewPCG(run, 13))
		var values []float64
		var weight float64
		wasWrong, wasNaive := false, false
		for at := 1; at <= requests; at++ {
			switch {
			case random.Float64() >= slow:
				values, weight = append(values, 1e-6), weight+1
			case random.Float64() < rate:
				values, weight = append(values, random.ExpFloat64()), weight+1/rate
			}
			if at%every != 0 {
				continue
			}
			d := distribution(values...)
			j := newJudge(Criteria{}, 1)
			s := &scope{greatest: 1 / rate, weighted: tally.Weights{Correlated: weight}}
			b := j.quantile(s, &d, 0.95, j.alpha)
			judged++
			wasWrong = wasWrong || b.upper < truth
			wasNaive = wasNaive || j.quantile(&scope{}, &d, 0.95, j.alpha).upper < truth
		}
		if wasWrong {
			wrong++
		}
		if wasNaive {
			naive++
		}
	}
	t.Logf("%d of %d runs had a bound below the truth at some time, %d by copies alone", wrong, runs, naive)
	assert.LessOrEqual(t, wrong, runs/20)
	assert.Greater(t, naive, runs/2)
}
