package sampling_test

import (
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/internal/mirrortest"
	"github.com/goshadow/shadow/sampling"
)

func TestWindowedSamplesEverythingAtTheEndOfEachPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newWindowed(shadow.Rate(0), 10*time.Minute, 10*time.Second)
		for range 3 {
			for second := range 600 {
				assert.Equal(t, second >= 590, s.Sample(get()).Sampled, second)
				time.Sleep(time.Second)
			}
		}
		short := newWindowed(shadow.Rate(0), time.Second, time.Millisecond)
		require.Empty(t, mirrortest.Faults(t, mirrortest.Candidate(), shadow.WithSampler(short)))
		time.Sleep(999*time.Millisecond - 1)
		assert.False(t, short.Sample(get()).Sampled)
		time.Sleep(1)
		assert.True(t, short.Sample(get()).Sampled)
		time.Sleep(time.Millisecond)
		assert.False(t, short.Sample(get()).Sampled)
	})
}

func TestWindowedOutsideOfWindowsIsTheOtherSampler(t *testing.T) {
	isFraction(t, newWindowed(shadow.Rate(0.1), time.Hour, time.Second), 0.1)
}

// halfBad differs for every second path.
func halfBad(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/bad" {
		w.WriteHeader(http.StatusTeapot)
	}
}

// traffic serves n requests, one every 10 ms, of which every second one is bad.
func traffic(h http.Handler, n int) {
	for i := range n {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", []string{"/good", "/bad"}[i%2], nil))
		synctest.Wait()
		time.Sleep(10 * time.Millisecond)
	}
}

// dice is a Rate that draws the same in every run: an interval of 95 % would be wrong in some.
type dice struct {
	p      float64
	random *rand.Rand
}

func newDice(p float64) dice { return dice{p, rand.New(rand.NewPCG(7, 8))} }

func (d dice) Sample(*http.Request) shadow.Decision {
	return shadow.Decision{Sampled: d.random.Float64() < d.p, Probability: d.p}
}

func TestBiasIsWhatTheSamplerGetsWrong(t *testing.T) {
	blind := shadow.When(func(r *http.Request) bool { return r.URL.Path != "/bad" })
	eager := shadow.Any(shadow.When(func(r *http.Request) bool { return r.URL.Path == "/bad" }), newDice(0.1))
	for name, c := range map[string]struct {
		s      shadow.Sampler
		biased bool
		share  float64
	}{
		"looks everywhere":              {newDice(0.1), false, 0.5},
		"looks away":                    {blind, true, 0},
		"looks closer and says so":      {eager, false, 0.5},
		"looks closer and does not say": {shadow.SamplerFunc(func(r *http.Request) bool { return eager.Sample(r).Sampled }), true, 10.0 / 11},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newWindowed(c.s, 10*time.Second, time.Second)
				m, _ := mirrortest.New(t, shadow.InProcess("candidate", http.HandlerFunc(halfBad)), shadow.WithSampler(s))
				traffic(m.Handler(mirrortest.OK), 10_000)
				require.NoError(t, m.Shutdown(t.Context()))
				b := s.Bias()
				assert.Equal(t, uint64(1000), b.Inside.Results)
				assert.InDelta(t, 1000, b.Inside.Requests, 1e-9)
				assert.InDelta(t, 0.5, b.Inside.Share, 1e-9)
				assert.InDelta(t, c.share, b.Outside.Share, 0.08)
				assert.InDelta(t, b.Outside.Share-b.Inside.Share, b.Bias, 1e-12)
				assert.Equal(t, c.biased, b.Low > 0 || b.High < 0, "%v", b)
				assert.Zero(t, b.Lost)
			})
		})
	}
}

func TestBiasKnowsWhatItDoesNotKnow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newWindowed(shadow.Rate(1), time.Minute, time.Second)
		nothing := sampling.Share{High: 1}
		assert.Equal(t, sampling.Bias{Inside: nothing, Outside: nothing, Low: -1, High: 1}, s.Bias())
		assert.Equal(t, "0 % (0 to 100, 0 results) of requests differ in windows, 0 % (0 to 100, 0 results) outside: "+
			"bias +0 points, with 95 % confidence -100 to +100; 0 lost", s.Bias().String())

		m, _ := mirrortest.New(t, shadow.InProcess("candidate", http.HandlerFunc(halfBad)), shadow.WithSampler(s))
		h := m.Handler(mirrortest.OK)
		traffic(h, 100)
		b := s.Bias()
		assert.Equal(t, uint64(100), b.Outside.Results)
		assert.Equal(t, []float64{0, -1, 1}, []float64{b.Bias, b.Low, b.High}, "nothing to compare with")

		time.Sleep(58*time.Second + 500*time.Millisecond)
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/bad", nil))
		upgrade := get()
		upgrade.Header.Set("Upgrade", "websocket")
		h.ServeHTTP(httptest.NewRecorder(), upgrade)
		require.NoError(t, m.Shutdown(t.Context()))
		b = s.Bias()
		assert.Equal(t, uint64(1), b.Inside.Results)
		assert.Equal(t, uint64(1), b.Lost, "what is not copied has no result")
	})
}

// What cannot be compared says nothing about shares, but is not lost.
func TestUncomparedResultsHaveNoShareInTheBias(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := mirrortest.Candidate()
		target.Discard = true
		s := newWindowed(shadow.Rate(1), 2*time.Second, time.Second)
		m, _ := mirrortest.New(t, target, shadow.WithSampler(s))
		traffic(m.Handler(mirrortest.OK), 400)
		require.NoError(t, m.Shutdown(t.Context()))
		assert.Zero(t, s.Bias().Inside.Results)
		assert.Zero(t, s.Bias().Outside.Results)
		assert.Zero(t, s.Bias().Lost)
	})
}

func TestWindowsThatAreNoneAreErrors(t *testing.T) {
	for _, c := range []struct {
		s             shadow.Sampler
		every, length time.Duration
		want          []string
	}{
		{shadow.Rate(1), time.Minute, time.Microsecond, []string{"sampling: NewWindowed: a window of 1µs is shorter than 1ms"}},
		{shadow.Rate(1), time.Minute, time.Minute, []string{"sampling: NewWindowed: a window of 1m0s every 1m0s leaves nothing outside"}},
		{shadow.Rate(1), 0, 0, []string{"sampling: NewWindowed: a window of 0s is shorter than 1ms"}},
		{nil, time.Minute, -1, []string{"a window of -1ns is shorter than 1ms", "sampling: NewWindowed: argument 1: nil"}},
		{shadow.When(nil), time.Minute, time.Second, []string{"sampling: NewWindowed: argument 1: When: nil function"}},
		{shadow.All(shadow.Rate(1), shadow.Rate(1.5)), time.Minute, time.Second, []string{"argument 1: All: argument 2: Rate: 1.5 is not a probability"}},
		{new(sampling.Adaptive), time.Minute, time.Second, []string{"argument 1: sampling: the zero Adaptive"}},
	} {
		_, err := sampling.NewWindowed(c.s, c.every, c.length)
		lines := linesOf(err)
		if assert.Len(t, lines, len(c.want), "%q", lines) {
			for i, want := range c.want {
				assert.Contains(t, lines[i], want)
			}
		}
	}
	assert.NotPanics(t, func() { newWindowed(shadow.Rate(1), math.MaxInt64, math.MaxInt64-1).Sample(get()) })
}
