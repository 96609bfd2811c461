package gate

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
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
	delete(criteria.Limits, DropShare)
	delete(criteria.Limits, LagMedian) // the two were not told of a result at the same instant
	criteria.EachRoute = Limits{DiffRate: 0.1, RawDiffRate: 0.1, ErrorRate: 0.1, P95Ratio: 2}
	criteria.Events["breaker-open"] = 3
	overFleet, err := New(criteria, fleet, Options{})
	require.NoError(t, err)
	overOne, err := New(criteria, func(context.Context) (*tally.Snapshot, error) { return all.Snapshot(), nil }, Options{})
	require.NoError(t, err)

	one, merged := overOne.Decide(t.Context()), overFleet.Decide(t.Context())
	assert.Equal(t, Fail, one.Verdict, one.String())
	assert.Empty(t, cmp.Diff(one, merged, cmpopts.IgnoreFields(Decision{}, "Since", "Taken")))
}
