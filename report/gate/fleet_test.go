package gate

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/report/tally"
)

// result is the i-th of a fleet's results.
func result(random *rand.Rand, i int) *shadow.Result {
	path := fmt.Sprintf("/%d", random.IntN(5))
	took := time.Duration(random.ExpFloat64() * float64(20*time.Millisecond))
	r := &shadow.Result{
		Exchange: shadow.Exchange{
			ID: fmt.Sprint(i), Route: "GET " + path,
			Request: &shadow.Message{Method: "GET", URL: &url.URL{Path: path}},
			Primary: &shadow.Message{StatusCode: http.StatusOK, Took: took},
			Shadow:  &shadow.Message{StatusCode: http.StatusOK, Took: took * 3 / 2},
		},
		Mirror: "orders", Target: "v2", Outcome: shadow.Match,
		Start: time.Now().Add(-took),
	}
	switch n := random.IntN(1000); {
	case n < 2:
		r.Outcome, r.Shadow, r.Err = shadow.Failed, nil, shadow.ErrTimeout
	case n < 10:
		r.Outcome = shadow.Mismatch
		r.Diffs = []shadow.Diff{{Path: "/body/total", Kind: shadow.Changed, Primary: []byte("1"), Shadow: []byte("2")}}
	}
	return r
}

func TestAGateOverTheMergedSnapshotsOfAFleetAgreesWithOneThatSawItAll(t *testing.T) {
	t.Run("of one probability", func(t *testing.T) { agree(t, 0, Fail) })
	t.Run("of many", func(t *testing.T) { agree(t, 0.1, Insufficient) })
}

// agree tests that with copies of as many probabilities as there are from least on; 0 is none.
func agree(t *testing.T, least float64, want Verdict) {
	t.Helper()
	newTally := func() *tally.Tally {
		one, err := tally.New(tally.Options{})
		require.NoError(t, err)
		return one
	}
	all := newTally()
	replicas := []*tally.Tally{newTally(), newTally(), newTally()}
	random := rand.New(rand.NewPCG(3, 4))
	for i := range 5000 {
		r := result(random, i)
		if least > 0 {
			r.Probability = max(least, random.Float64())
		}
		require.NoError(t, all.Report(t.Context(), r))
		require.NoError(t, replicas[random.IntN(len(replicas))].Report(t.Context(), r))
	}
	event := &shadow.Event{Kind: "breaker-open", Mirror: "orders", Target: "v2", Time: time.Now()}
	require.NoError(t, all.ReportEvent(t.Context(), event))
	require.NoError(t, replicas[1].ReportEvent(t.Context(), event))

	fleet := func(context.Context) (*tally.Snapshot, error) {
		var snapshots []*tally.Snapshot
		for _, one := range replicas { // as they come over the network
			data, err := json.Marshal(one.Snapshot())
			if err != nil {
				return nil, err
			}
			s, err := tally.Decode(bytes.NewReader(data))
			if err != nil {
				return nil, err
			}
			snapshots = append(snapshots, s)
		}
		return tally.Merge(snapshots...)
	}
	criteria := Default()
	criteria.LeastProbability = least
	delete(criteria.Limits, DropShare)
	delete(criteria.Limits, LagMedian) // the two were not told of a result at the same instant
	criteria.EachRoute = Limits{DiffRate: 0.1, RawDiffRate: 0.1, ErrorRate: 0.1, P95Ratio: 2}
	criteria.Events["breaker-open"] = 3
	overFleet, err := New(criteria, fleet, Options{})
	require.NoError(t, err)
	overOne, err := New(criteria, func(context.Context) (*tally.Snapshot, error) { return all.Snapshot(), nil }, Options{})
	require.NoError(t, err)

	one, merged := overOne.Decide(t.Context()), overFleet.Decide(t.Context())
	assert.Equal(t, want, one.Verdict, one.String())
	assert.Empty(t, cmp.Diff(one, merged, cmpopts.IgnoreFields(Decision{}, "Since", "Taken")))
}

// From the sampler to the verdict: a mirror that copies one route at a lower rate.
func TestAGateWeighsWhatASamplerPrefers(t *testing.T) {
	counts, err := tally.New(tally.Options{})
	require.NoError(t, err)
	orders := http.NewServeMux()
	for _, route := range []string{"GET /hot", "GET /rare"} {
		orders.HandleFunc(route, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "same") })
	}
	mirror, err := shadow.New(shadow.InProcess("v2", orders), shadow.WithName("orders"), shadow.WithReporter(counts),
		shadow.WithSampler(shadow.ByRoute(map[string]shadow.Sampler{"GET /hot": shadow.Rate(0.25)}, shadow.Rate(1))))
	require.NoError(t, err)
	for i := range 400 {
		for _, path := range []string{"/hot", "/rare"} {
			mirror.Handler(orders).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, nil))
		}
		if i%50 == 0 { // or the queue is full
			require.Eventually(t, func() bool { s := mirror.Stats(); return s.Queued+s.Running == 0 }, time.Minute, time.Millisecond)
		}
	}
	require.NoError(t, mirror.Shutdown(t.Context()))
	s := counts.Snapshot()
	require.Len(t, s.Routes, 2)
	assert.EqualValues(t, 4, s.Routes[0].Weighted.Greatest)

	d := decide(t, Criteria{Limits: Limits{DiffRate: 0.1}, EachRoute: Limits{DiffRate: 0.1}}, s)
	require.Len(t, d.Checks, 3)
	assert.Equal(t, Insufficient, d.Checks[0].Verdict)
	assert.Contains(t, d.Checks[0].Reason, "copies were made with different probabilities, one of them 0.25")
	assert.Equal(t, Pass, d.Checks[1].Verdict, "each route by itself")
	assert.Equal(t, Pass, d.Checks[2].Verdict, "each route by itself")

	d = decide(t, Criteria{LeastProbability: 0.25, Limits: Limits{DiffRate: 0.1}}, s)
	assert.Equal(t, Pass, d.Verdict, d.String())
	assert.Contains(t, d.Checks[0].Reason, "0 differences in ")
}
