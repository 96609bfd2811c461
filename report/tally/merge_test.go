package tally_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/report/tally"
)

// anyResult draws a result of whatever kind.
func anyResult(r *rand.Rand) *shadow.Result {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	diffs := func() (list []shadow.Diff) {
		for range r.IntN(4) {
			list = append(list, shadow.Diff{
				Path: pick("/status", "/header/Content-Type", fmt.Sprintf("/body/items/%d/at", r.IntN(9)), "/body/id", "/body/total"),
				Kind: shadow.DiffKind(pick("changed", "missing", "extra")), Class: shadow.DiffClass(pick("", "timestamp", "uuid", "of their own")),
				Primary: json.RawMessage(pick(`"a"`, `12`, `{"a":1}`, `null`)), Shadow: json.RawMessage(pick(`"abcdefgh"`, `12`, `[1]`)),
			})
		}
		return list
	}
	x := &shadow.Result{
		Mirror: pick("orders", "users"), Target: pick("v2", "v3"), Outcome: shadow.Outcome(pick("match", "mismatch", "failed", "uncompared")),
		Start: time.Now().Add(-time.Duration(r.IntN(1e9))), Probability: []float64{0, 1, .3, .01}[r.IntN(4)],
		Exchange: shadow.Exchange{
			ID: fmt.Sprintf("%x", r.Uint64()), Route: pick("GET /a", "GET /b", "POST /c", ""),
			Request: &shadow.Message{Method: pick("GET", "POST"), URL: &url.URL{Path: "/a"}},
			Primary: &shadow.Message{StatusCode: []int{200, 404, 503}[r.IntN(3)], Took: took(r), TTFB: took(r), Size: r.Int64N(5000)},
		},
	}
	switch x.Outcome {
	case shadow.Failed:
		x.Err = []error{shadow.ErrTimeout, fmt.Errorf("x: %w", shadow.ErrPanic), shadow.ErrExited, errors.New("refused")}[r.IntN(4)]
	default:
		x.Shadow = &shadow.Message{StatusCode: []int{200, 404, 503}[r.IntN(3)], Took: took(r), TTFB: took(r), Size: r.Int64N(5000)}
		if x.Outcome == shadow.Mismatch {
			x.Diffs = append(diffs(), shadow.Diff{Path: "/body/v", Kind: shadow.Changed})
		}
		x.Noise = diffs()
		if r.IntN(3) > 0 {
			x.Control = &shadow.ControlDiffs{Diffs: diffs()}
		}
	}
	return x
}

func same(t *testing.T, want, got *tally.Snapshot) {
	t.Helper()
	assert.Empty(t, cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(tally.Snapshot{}, "Sources")))
}

func merge(t *testing.T, s ...*tally.Snapshot) *tally.Snapshot {
	t.Helper()
	merged, err := tally.Merge(s...)
	require.NoError(t, err)
	return merged
}

// It does not matter which replica saw what: their snapshots merge to what one tally says
// that saw it all. In whatever order, and also over the wire.
func TestReplicasMergeToOneTallyThatSawItAll(t *testing.T) {
	for seed := range uint64(4) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			one := newTally(t, tally.Options{})
			replicas := make([]*tally.Tally, 1+r.IntN(5))
			for i := range replicas {
				replicas[i] = newTally(t, tally.Options{})
			}
			for i := range r.IntN(2000) {
				x, replica := anyResult(r), replicas[r.IntN(len(replicas))]
				require.NoError(t, one.Report(t.Context(), x))
				require.NoError(t, replica.Report(t.Context(), x))
				if i%100 == 0 {
					e := &shadow.Event{Kind: "side-effect", Mirror: x.Mirror, Target: x.Target, Time: time.Now()}
					require.NoError(t, one.ReportEvent(t.Context(), e))
					require.NoError(t, replica.ReportEvent(t.Context(), e))
				}
				time.Sleep(time.Duration(r.Int64N(int64(5 * time.Second)))) // of the bubble
			}
			snapshots := make([]*tally.Snapshot, len(replicas))
			for i := range replicas {
				snapshots[i] = replicas[i].Snapshot()
			}
			same(t, one.Snapshot(), merge(t, snapshots...))
			r.Shuffle(len(snapshots), func(i, k int) { snapshots[i], snapshots[k] = snapshots[k], snapshots[i] })
			for i := range snapshots {
				snapshots[i] = overTheWire(t, snapshots[i])
			}
			merged := snapshots[0]
			for _, s := range snapshots[1:] {
				merged = merge(t, merged, s)
			}
			same(t, one.Snapshot(), merged)
		})
	}
}

func overTheWire(t *testing.T, s *tally.Snapshot) *tally.Snapshot {
	t.Helper()
	text, err := json.Marshal(s)
	require.NoError(t, err)
	read, err := tally.Decode(bytes.NewReader(text))
	require.NoError(t, err)
	return read
}

func TestMergingLeavesTheSnapshotsAlone(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var snapshots []*tally.Snapshot
	var before [][]byte
	for range 3 {
		x := newTally(t, tally.Options{})
		for range 500 {
			x.Report(t.Context(), anyResult(r))
		}
		s := x.Snapshot()
		text, err := json.Marshal(s)
		require.NoError(t, err)
		snapshots, before = append(snapshots, s), append(before, text)
	}
	merge(t, merge(t, snapshots...), snapshots[0])
	for i, s := range snapshots {
		after, err := json.Marshal(s)
		require.NoError(t, err)
		assert.JSONEq(t, string(before[i]), string(after))
	}
}

// What is over a cap goes to Other; the sums stay right when snapshots merge that reached
// their caps by different routes.
func TestSumsStayRightPastTheCaps(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var snapshots []*tally.Snapshot
	for range 3 {
		x := newTally(t, tally.Options{Routes: 5, Fields: 20, Groups: 20})
		for range 300 {
			result := anyResult(r)
			result.Route = fmt.Sprint("GET /", r.IntN(20))
			x.Report(t.Context(), result)
		}
		snapshots = append(snapshots, x.Snapshot())
	}
	s := merge(t, snapshots...)
	var results tally.Counts
	groups := uint64(0)
	for _, route := range s.Routes {
		results.Match += route.Results.Match
		results.Mismatch += route.Results.Mismatch
		results.Failed += route.Results.Failed
		results.Uncompared += route.Results.Uncompared
	}
	for _, g := range s.Groups {
		groups += g.Count
	}
	assert.EqualValues(t, 900, results.All())
	assert.Equal(t, results.Mismatch, groups)
	assert.Contains(t, fmt.Sprint(s.Routes), tally.Other)
}

func TestWhatCannotBeMergedIsRefused(t *testing.T) {
	filled := func(o tally.Options) *tally.Snapshot {
		x := newTally(t, o)
		x.Report(t.Context(), matches(1, oneRoute)[0])
		return x.Snapshot()
	}
	fine, coarse, future := filled(tally.Options{}), filled(tally.Options{Accuracy: .05}), filled(tally.Options{})
	future.Version = 3
	_, err := tally.Merge(fine, nil, coarse, future)
	require.Error(t, err)
	for _, want := range []string{
		"snapshot 1 is nil",
		`snapshot 2: route "GET /orders/{id}": tally: distributions of the accuracies 0.01 and 0.05 do not merge`,
		"snapshot 3 has version 3; this program knows version 2",
	} {
		assert.ErrorContains(t, err, want)
	}
	nothing := merge(t)
	assert.Equal(t, tally.Version, nothing.Version)
	assert.Empty(t, nothing.Routes)
	same(t, fine, merge(t, fine))
}

func TestTheStrictestJudgementHolds(t *testing.T) {
	s := merge(t, newTally(t, tally.Options{MinRuns: 10, FalseDiscovery: .001}).Snapshot(), newTally(t, tally.Options{MinRuns: 20}).Snapshot())
	assert.EqualValues(t, 20, s.MinRuns)
	assert.Equal(t, .001, s.FalseDiscovery)
}

func TestWhatIsNoSnapshotIsRefused(t *testing.T) {
	x := newTally(t, tally.Options{})
	x.Report(t.Context(), mismatches(matches(1, oneRoute), 2)[0])
	x.Acknowledge(tally.Acknowledgement{Fingerprint: x.Snapshot().Groups[0].Fingerprint, Note: "n", Owner: "o", Expires: time.Now().Add(time.Hour)})
	whole, err := json.Marshal(x.Snapshot())
	require.NoError(t, err)
	edit := func(old, replacement string) string {
		require.Contains(t, string(whole), old)
		return strings.Replace(string(whole), old, replacement, 1)
	}
	twice := func(list string) string { // the first element of a list twice
		var s map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(whole, &s))
		var elements []json.RawMessage
		require.NoError(t, json.Unmarshal(s[list], &elements))
		s[list], _ = json.Marshal(append(elements, elements[0]))
		text, _ := json.Marshal(s)
		return string(text)
	}
	for name, tt := range map[string]struct{ text, want string }{
		"nothing":              {"", "no snapshot"},
		"no JSON":              {"<html>", "no snapshot"},
		"a truncated one":      {string(whole[:len(whole)/2]), "no snapshot"},
		"one and a half":       {string(whole) + string(whole[:9]), "no snapshot"},
		"something else":       {`{"a":1}`, "it has no version"},
		"a list":               {`[1]`, "no snapshot"},
		"nobody's":             {edit(`"sources":[{`, `"sources":[],"ignored":[{`), "is not the longest of the sources"},
		"a negative time":      {edit(`"sequence":2,"elapsed":`, `"sequence":2,"elapsed":-`), "negative time"},
		"a longer time":        {edit(`"elapsed":`, `"elapsed":9`), "is not the longest of the sources"},
		"another version":      {edit(`"version":2`, `"version":1`), "the snapshot has version 1; this program reads version 2"},
		"a version in text":    {edit(`"version":2`, `"version":"2"`), "no snapshot"},
		"a negative count":     {edit(`"mismatch":1`, `"mismatch":-1`), "cannot unmarshal"},
		"a fraction":           {edit(`"mismatch":1`, `"mismatch":0.5`), "cannot unmarshal"},
		"a huge count":         {edit(`"mismatch":1`, `"mismatch":18446744073709551615`), "more than can be counted"},
		"a huge weight":        {edit(`"weighted":{"match":0`, `"weighted":{"match":1e308`), "is no weight"},
		"a negative weight":    {edit(`"weighted":{"match":0`, `"weighted":{"match":-1`), "is no weight"},
		"a weight under 1":     {edit(`"greatest":10`, `"greatest":0.1`), "is no weight of 1 results that weigh 1 to 0.1"},
		"a weight too great":   {edit(`"weighted":{"match":0,"mismatch":10`, `"weighted":{"match":0,"mismatch":11`), "11 is no weight of 1 results that weigh 1 to 10"},
		"a group of too much":  {edit(`"count":1,"weight":10`, `"count":1,"weight":11`), "have more results than the route has mismatches"},
		"values of nothing":    {edit(`"bins":[1]`, `"bins":[2]`), "it has 2 values of 1 results"},
		"more of a part":       {edit(`"correlated":1,"controlled"`, `"correlated":2,"controlled"`), `it counts more of something than its 1 results`},
		"an accuracy":          {edit(`"accuracy":0.01`, `"accuracy":1e-9`), "accuracy 1e-09 is not within"},
		"an order":             {edit(`"min":0.00`, `"min":9.00`), "are not in order"},
		"a bin far away":       {edit(`"zeros":0,"first":-`, `"zeros":0,"first":-9`), "are not within those of"},
		"an empty bin":         {edit(`"bins":[1]`, `"bins":[1,0]`), "the outermost bins are empty"},
		"many values":          {edit(`"bins":[1]`, `"bins":[9007199254740992,1]`), "more than 9007199254740992 values"},
		"no judgement":         {edit(`"falseDiscovery":0.01`, `"falseDiscovery":2`), "falseDiscovery: 2 is not above 0 and below 1"},
		"a group of too many":  {edit(`"count":1,"weight"`, `"count":2,"weight"`), "have more results than the route has mismatches"},
		"a slot too many":      {edit(`"minute":[`, `"minute":[`+strings.Repeat(`{},`, 60)), "a list is longer than 60"},
		"a place too many":     {edit(`"places":[`, `"places":[`+strings.Repeat(`{},`, 100)), "a list is longer than 100"},
		"an exemplar too many": {edit(`"exemplars":[`, `"exemplars":[`+strings.Repeat(`{},`, 4)), "a list is longer than 4"},
		"a diff too many":      {edit(`"diffs":[`, `"diffs":[`+strings.Repeat(`{},`, 10)), "a list is longer than 10"},
		"a list that is none":  {edit(`"minute":[`, `"minute":7,"x":[`), "7 where a list belongs"},
		"routes twice":         {twice("routes"), "some of the 2 routes are there twice"},
		"groups twice":         {twice("groups"), "the groups of route"},
		"fields twice":         {twice("fields"), "some of the 3 fields are there twice"},
		"acknowledgment twice": {twice("acknowledged"), "some of the 2 acknowledgements are there twice"},
		"short and greedy":     {`{"version":2,"falseDiscovery":0.5,"routes":[` + strings.Repeat(`{},`, 20_000) + `{}]}`, "a list is longer than 20000"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := tally.Decode(strings.NewReader(tt.text))
			require.ErrorContains(t, err, tt.want)
			assert.ErrorContains(t, err, "tally: Decode: ")
			assert.Nil(t, s)
		})
	}
	_, err = tally.Decode(brokenReader{})
	assert.ErrorContains(t, err, "broken")
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("broken") }

// What follows from the counts is judged anew: a snapshot cannot claim it.
func TestASnapshotCannotClaimAVerdict(t *testing.T) {
	x := newTally(t, tally.Options{})
	x.Report(t.Context(), mismatches(matches(1, oneRoute), 1)[0])
	honest := x.Snapshot()
	claim := *honest
	claim.Routes = []tally.Route{honest.Routes[0]}
	claim.Routes[0].Noisy = 1
	claim.Fields = []tally.Field{honest.Fields[0]}
	claim.Fields[0].Stability, claim.Fields[0].Runs = tally.Noisy, 99
	claim.Groups = []tally.Group{honest.Groups[0]}
	claim.Groups[0].Stability, claim.Groups[0].State, claim.Groups[0].Summary = tally.Noisy, tally.Expected, "nothing"
	same(t, honest, overTheWire(t, &claim))
}

func FuzzDecode(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 3 {
		x := newTally(f, tally.Options{})
		for range r.IntN(5) {
			x.Report(f.Context(), anyResult(r))
		}
		text, err := json.Marshal(x.Snapshot())
		require.NoError(f, err)
		f.Add(text)
	}
	f.Add([]byte(`{"version":2,"falseDiscovery":0.5,"groups":[{"places":[{}],"exemplars":[{"diffs":[{}]}],"minute":[{}]}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := tally.Decode(bytes.NewReader(text))
		if err != nil {
			assert.Nil(t, s)
			return
		}
		for i := range s.Routes { // nothing of it panics, and nothing is below zero
			route := &s.Routes[i]
			route.PrimaryTook.Quantile(.95)
			assert.LessOrEqual(t, route.Unexplained(), route.Results.Mismatch)
		}
		same(t, s, merge(t, s))
		same(t, s, overTheWire(t, s))
	})
}

// Evidence is counted once: a snapshot that comes again adds nothing, and a later one of the
// same tally takes the place of the earlier one.
func TestASnapshotCountsOnceHoweverOftenItIsMerged(t *testing.T) {
	one, other := newTally(t, tally.Options{}), newTally(t, tally.Options{})
	report := func(x *tally.Tally, n int) *tally.Snapshot {
		for _, r := range matches(n, oneRoute) {
			require.NoError(t, x.Report(t.Context(), r))
		}
		return x.Snapshot()
	}
	early, late, theirs := report(one, 10), report(one, 5), report(other, 100)
	both := merge(t, late, theirs)
	for name, c := range map[string]struct {
		merged []*tally.Snapshot
		want   uint64
		tell   string
	}{
		"twice":                             {[]*tally.Snapshot{early, early}, 10, ""},
		"three times, and over the wire":    {[]*tally.Snapshot{late, overTheWire(t, late), late}, 15, ""},
		"a later one":                       {[]*tally.Snapshot{early, late}, 15, ""},
		"an earlier one":                    {[]*tally.Snapshot{late, early}, 15, ""},
		"two tallies":                       {[]*tally.Snapshot{early, theirs, late}, 115, ""},
		"merged, and one of its parts":      {[]*tally.Snapshot{both, early, theirs}, 115, ""},
		"parts, and merged":                 {[]*tally.Snapshot{early, theirs, both}, 115, ""},
		"merged twice":                      {[]*tally.Snapshot{both, both}, 115, ""},
		"merged, and a later part":          {[]*tally.Snapshot{both, report(other, 1)}, 0, "merge the snapshots of single tallies"},
		"one whose tally nobody knows":      {[]*tally.Snapshot{{Version: tally.Version}}, 0, "names no tally that took it"},
		"two merged ones that share a part": {[]*tally.Snapshot{both, merge(t, late, report(newTally(t, tally.Options{}), 1))}, 0, "merge the snapshots of single tallies"},
	} {
		t.Run(name, func(t *testing.T) {
			merged, err := tally.Merge(c.merged...)
			if c.tell != "" {
				require.ErrorContains(t, err, c.tell)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, c.want, merged.Routes[0].Results.Match)
		})
	}
}

// How long was counted is measured, by each tally for itself: clocks that differ add nothing.
func TestHowLongWasCountedIsNotReadOffClocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one := newTally(t, tally.Options{})
		time.Sleep(10 * time.Minute)
		other := newTally(t, tally.Options{})
		time.Sleep(time.Minute)
		behind, now := one.Snapshot(), other.Snapshot()
		behind.Since, behind.Taken = behind.Since.Add(-2*time.Hour), behind.Taken.Add(-2*time.Hour)
		merged := merge(t, behind, now)
		assert.Equal(t, 11*time.Minute, merged.Elapsed)
		assert.Equal(t, 2*time.Hour+11*time.Minute, merged.Taken.Sub(merged.Since), "or this shows nothing")
	})
}
