package tally_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/report/tally"
)

// random answers with three fields, each of which is "x" with a probability and 0 else.
type random struct {
	noisy, worse, steady float64

	mu   sync.Mutex
	rand *rand.Rand
}

func (s *random) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	draw := func(p float64) int {
		if s.rand.Float64() < p {
			return s.rand.IntN(1e9)
		}
		return 0
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"noisy":%d,"worse":%d,"steady":%d}`, draw(s.noisy), draw(s.worse), draw(s.steady))
}

// From the mirror to the verdict: one field is as noisy as ever, one was noisy and got
// worse, one was never noise and differs rarely. The control runs on half of the copies.
func TestAMirrorWithAControlTellsNoiseFromDifferences(t *testing.T) {
	const requests = 4000
	x := newTally(t, tally.Options{MinRuns: 1500})
	service := func(seed uint64, worse, steady float64) http.Handler {
		return &random{noisy: .1, worse: worse, steady: steady, rand: rand.New(rand.NewPCG(seed, 1))}
	}
	m, err := shadow.New(shadow.InProcess("v2", service(1, .5, .01)), shadow.WithReporter(x),
		shadow.WithQueue(requests, 64<<20), // nothing is dropped
		shadow.WithLoadShedding(shadow.LoadSheddingOptions{Off: true}), shadow.WithOverhead(shadow.OverheadOptions{Off: true}),
		shadow.WithControl(shadow.InProcess("v1", service(2, .3, 0))), shadow.WithControlRate(.5))
	require.NoError(t, err)
	h := m.Handler(service(3, .3, 0))
	for range requests {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	}
	require.NoError(t, m.Shutdown(context.Background()))

	s := x.Snapshot()
	require.Len(t, s.Routes, 1)
	r := s.Routes[0]
	assert.InDelta(t, requests/2, r.Controlled, 200)
	stabilities := map[string]tally.Stability{}
	for _, f := range s.Fields {
		stabilities[f.Path] = f.Stability
		assert.LessOrEqual(t, f.CandidateOnly+f.Both, f.Count)
	}
	assert.Equal(t, map[string]tally.Stability{
		"/body/noisy": tally.Noisy, "/body/worse": tally.Worse, "/body/steady": tally.Deterministic,
	}, stabilities)
	noisy := uint64(0)
	for _, g := range s.Groups {
		want := tally.Noisy
		for _, p := range g.Places {
			switch {
			case p.Path == "/body/worse":
				want = tally.Worse
			case p.Path == "/body/steady" && want == tally.Noisy:
				want = tally.Deterministic
			}
		}
		assert.Equal(t, want, g.Stability, "%v", g.Places)
		if want == tally.Noisy {
			noisy += g.Count
		}
	}
	assert.NotZero(t, noisy)
	assert.Equal(t, noisy, r.Noisy)
	assert.Equal(t, r.Results.Mismatch-noisy, r.Unexplained())
}
