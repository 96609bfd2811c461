package gate

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/goshadow/shadow/report/tally"
)

func TestOnlyWhatTheControlMaySettleIsDoubtful(t *testing.T) {
	for _, c := range []struct {
		name                 string
		compared, controlled uint64 // of the route
		others, asked        uint64 // of the other routes
		hasControl           bool
		doubtful             uint64
	}{
		{"without a control", 1000, 0, 9000, 0, false, 0},
		{"a control that was not asked yet", 1000, 0, 9000, 0, true, 7},
		{"a control of another instance, which is asked elsewhere", 10, 0, 9000, 100, false, 7},
		{"not asked here yet", 990, 0, 9010, 100, true, 7},
		{"never asked here", 1000, 0, 9000, 100, true, 0},
		{"asked here, and more rarely than elsewhere", 1000, 1, 9000, 1000, true, 7},
	} {
		s := &scope{results: tally.Counts{Match: c.compared}, controlled: c.controlled, doubtful: 7}
		certain([]*scope{s, {results: tally.Counts{Match: c.others}, controlled: c.asked}}, c.hasControl)
		assert.Equal(t, c.doubtful, s.doubtful, c.name)
	}
}

func TestNoiseIsProvenOrCountedAgainstTheCandidate(t *testing.T) {
	const alpha = 0.05
	j := newJudge(Criteria{}, 1)
	bound := func(compared uint64, tested int, noise ...routeNoise) float64 {
		return j.realNoise(&scope{results: tally.Counts{Match: compared}, tested: tested, noise: noise}, alpha)
	}
	both := []tally.Pairs{{Both: 500}}
	t.Run("no noise", func(t *testing.T) { assert.Zero(t, bound(1000, 1)) })
	t.Run("a route without a control is not known", func(t *testing.T) {
		assert.Equal(t, 1.0, bound(1000, 1, routeNoise{compared: 1000, fields: both}))
	})
	t.Run("what always differs is bounded by what the candidate has beyond it", func(t *testing.T) {
		assert.InDelta(t, j.test.Upper(0, 1000, alpha/2), bound(1000, 1, routeNoise{compared: 1000, controlled: 1000,
			fields: []tally.Pairs{{Both: 500, CandidateOnly: 300}}}), 1e-12)
	})
	t.Run("what comes and goes is bounded by place", func(t *testing.T) {
		comes := routeNoise{compared: 10_000, controlled: 10_000, beyond: 2000, fields: []tally.Pairs{{CandidateOnly: 2000, ControlOnly: 2000}}}
		assert.Less(t, bound(10_000, 1, comes), 0.1)
		assert.Greater(t, bound(10_000, 1000, comes), bound(10_000, 1, comes), "more places are more chances")
	})
	t.Run("without a place only by what is beyond", func(t *testing.T) {
		assert.InDelta(t, j.test.Upper(200, 1000, alpha/2), bound(1000, 0, routeNoise{compared: 1000, controlled: 1000, beyond: 200}), 1e-12)
	})
	t.Run("a place is not set off against another", func(t *testing.T) {
		assert.Greater(t, bound(1000, 2, routeNoise{compared: 1000, controlled: 1000, beyond: 300,
			fields: []tally.Pairs{{CandidateOnly: 300}, {ControlOnly: 300}}}), 0.3)
	})
	t.Run("a route whose control is rarely asked counts for all its comparisons", func(t *testing.T) {
		assert.Greater(t, bound(1000, 0, routeNoise{compared: 900, controlled: 10, beyond: 1}, routeNoise{compared: 100, controlled: 90}), 0.09)
	})
	t.Run("it is a share of all comparisons", func(t *testing.T) {
		r := routeNoise{compared: 1000, controlled: 1000, fields: both}
		assert.InDelta(t, bound(1000, 1, r)/4, bound(4000, 1, r), 1e-12)
	})
}

// A pass with a control has several bounds to get past, which share the level.
func TestTheLevelIsSharedWithTheBoundOfNoise(t *testing.T) {
	j := newJudge(Criteria{}, 1)
	e := evidence{alpha: j.alpha, fail: sample{bad: 10, of: 1000}}
	s := &scope{results: tally.Counts{Match: 1000}}
	assert.Equal(t, j.alpha, j.noise(s, e).alpha)
	s.controlled = 500
	assert.Equal(t, j.alpha/2, j.noise(s, e).alpha)
	assert.Zero(t, j.noise(s, e).noise)
	s.noise = []routeNoise{{compared: 1000, controlled: 500}}
	assert.Equal(t, j.alpha/4, j.noise(s, e).alpha)
	assert.Positive(t, j.noise(s, e).noise)
	s.doubtful = 4
	assert.Equal(t, sample{6, 1000}, j.noise(s, e).fail, "what may be noise fails nobody")

	s = &scope{weighted: tally.Weights{Noisy: 25}, greatest: 10}
	e.weighed = true
	assert.Equal(t, evidence{weighed: true, alpha: j.alpha, fail: sample{7, 1000}}, j.noise(s, e), "noise is no difference that fails, rounded for the candidate")
	s.doubtful = 1
	assert.Zero(t, j.noise(s, e).fail.bad, "weights of what may be noise are not known")
}

func TestPlacesAtWhichTheControlDiffersAreTested(t *testing.T) {
	s := &scope{}
	s.addNoise(&tally.Route{Results: tally.Counts{Match: 90, Failed: 10}, Noisy: 3, Controlled: 50, Beyond: 2}, []*tally.Field{
		{Stability: tally.Noisy, CandidateOnly: 1, ControlOnly: 2, Both: 3},
		{Stability: tally.Worse, CandidateOnly: 9},
		{Stability: tally.Worse, CandidateOnly: 9, ControlOnly: 1},
		{Stability: tally.Worse, CandidateOnly: 9, Both: 1},
	})
	assert.Equal(t, 3, s.tested)
	assert.Equal(t, []routeNoise{{compared: 90, controlled: 50, beyond: 2, fields: []tally.Pairs{{CandidateOnly: 1, ControlOnly: 2, Both: 3}}}}, s.noise)
	s.addNoise(&tally.Route{Controlled: 50}, nil)
	assert.Len(t, s.noise, 1, "no mismatch of the route is taken for noise")
}
