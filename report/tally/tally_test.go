package tally_test

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/report/tally"
)

func TestOptionsThatMakeNoSenseAreRefusedAtOnce(t *testing.T) {
	_, err := tally.New(tally.Options{
		Routes: -1, Fields: -2, Groups: -3, ExemplarBytes: -4, Accuracy: .5, FalseDiscovery: math.NaN(),
		Compare: shadow.CompareOptions{Ignore: []string{"$.a["}},
	})
	require.Error(t, err)
	for _, want := range []string{
		"Options.Routes: -1", "Options.Fields: -2", "Options.Groups: -3", "Options.ExemplarBytes: -4",
		"Options.Accuracy: 0.5", "Options.FalseDiscovery: NaN", "Options.Compare: ",
	} {
		assert.ErrorContains(t, err, want)
	}
}

// answered is a result with two answers that took so long.
func answered(outcome shadow.Outcome, primary, candidate time.Duration) *shadow.Result {
	return &shadow.Result{
		Mirror: "orders", Target: "v2", Outcome: outcome, Start: time.Now(),
		Exchange: shadow.Exchange{
			ID: "1", Route: "GET /a",
			Request: &shadow.Message{Method: "GET", URL: &url.URL{Path: "/a", RawQuery: "token=x"}},
			Primary: &shadow.Message{StatusCode: 200, Took: primary, TTFB: primary / 2, Size: 100},
			Shadow:  &shadow.Message{StatusCode: 200, Took: candidate, TTFB: candidate / 2, Size: 200},
		},
	}
}

func report(t *testing.T, to *tally.Tally, list ...*shadow.Result) {
	t.Helper()
	for _, r := range list {
		require.NoError(t, to.Report(t.Context(), r))
	}
}

func TestARouteTellsWhatCameOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTally(t, tally.Options{})
		start := time.Now()
		match := answered(shadow.Match, time.Second, 2*time.Second)
		match.Start = start.Add(-4 * time.Second) // reported 3 s after the end of the primary's answer
		match.Probability = .5
		match.Control = &shadow.ControlDiffs{}
		mismatch := answered(shadow.Mismatch, time.Second, time.Second)
		mismatch.Shadow.StatusCode, mismatch.Probability = 500, .25
		mismatch.Diffs = []shadow.Diff{{Path: "/status", Kind: shadow.Changed}}
		late := answered(shadow.Failed, time.Second, 0)
		late.Shadow, late.Err = nil, fmt.Errorf("x: %w", shadow.ErrTimeout)
		lost := answered(shadow.Failed, time.Second, 0)
		lost.Shadow, lost.Err = nil, errors.New("connection refused")
		lost.Primary.StatusCode = 503
		discarded := answered(shadow.Uncompared, time.Second, 0)
		discarded.Shadow = nil
		odd := &shadow.Result{Mirror: "orders", Target: "v2", Outcome: shadow.Uncompared, Exchange: shadow.Exchange{Route: "GET /a"}, Probability: 7}
		report(t, x, match, mismatch, late, lost, discarded)
		time.Sleep(time.Minute)
		report(t, x, odd)

		s := x.Snapshot()
		require.Len(t, s.Routes, 1)
		r := s.Routes[0]
		assert.Equal(t, "orders v2 GET /a", r.Mirror+" "+r.Target+" "+r.Route)
		assert.Equal(t, tally.Counts{Match: 1, Mismatch: 1, Failed: 2, Uncompared: 2}, r.Results)
		assert.EqualValues(t, 6, r.Results.All())
		assert.EqualValues(t, 2, r.Compared())
		assert.Equal(t, tally.Weights{Match: 2, Mismatch: 4, Failed: 2, Uncompared: 2,
			ShadowErrors: 6, Correlated: 6, Greatest: 4, Squares: 4 + 16 + 4, Unknown: 4}, r.Weighted)
		assert.EqualValues(t, 10, r.Weighted.All())
		assert.InDelta(t, 4.0/6, r.Weighted.DiffRate(), 1e-12)
		assert.InDelta(t, 100.0/24, r.Weighted.Effective(), 1e-12)
		assert.EqualValues(t, 1, r.PrimaryErrors)
		assert.EqualValues(t, 3, r.ShadowErrors)
		assert.Equal(t, map[tally.Failure]uint64{tally.FailureTimeout: 1, tally.FailureTransport: 1}, r.Failures)
		assert.EqualValues(t, 2, r.Correlated)
		assert.EqualValues(t, 1, r.Controlled)
		assert.Equal(t, start.UTC().Round(0), r.First)
		assert.Equal(t, start.Add(time.Minute).UTC().Round(0), r.Last)
		assert.Equal(t, r.Last, s.Taken)
		for name, d := range map[string]struct {
			of       tally.Distribution
			count    uint64
			min, max float64
		}{
			"primary took":       {r.PrimaryTook, 5, 1, 1},
			"shadow took":        {r.ShadowTook, 2, 1, 2},
			"primary first byte": {r.PrimaryFirstByte, 5, .5, .5},
			"shadow first byte":  {r.ShadowFirstByte, 2, .5, 1},
			"primary size":       {r.PrimarySize, 5, 100, 100},
			"shadow size":        {r.ShadowSize, 2, 200, 200},
			"ratio":              {r.Ratio, 2, 1, 2},
			"lag":                {r.Lag, 5, 0, 3},
		} {
			assert.Equal(t, d.count, d.of.Count(), name)
			assert.InDelta(t, d.min, d.of.Min, 1e-9, name)
			assert.InDelta(t, d.max, d.of.Max, 1e-9, name)
		}
	})
}

func TestRatesOfNothingAreZero(t *testing.T) {
	var w tally.Weights
	assert.Zero(t, w.DiffRate())
	assert.Zero(t, w.Effective())
	assert.Empty(t, newTally(t, tally.Options{}).Snapshot().Routes)
}

// The last minute, hour and day: what is older goes, what is there adds up.
func TestSeriesInTimeForgetWhatIsOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTally(t, tally.Options{})
		differs := answered(shadow.Mismatch, time.Second, 2*time.Second)
		differs.Diffs = []shadow.Diff{{Path: "/status", Kind: shadow.Changed}}
		total := func(slots tally.Slots) (n uint64) {
			require.True(t, slices.IsSortedFunc(slots, func(a, b tally.Slot) int { return a.Start.Compare(b.Start) }))
			for _, s := range slots {
				n += s.Mismatch
				assert.Equal(t, s.Answered, s.All())
				assert.Equal(t, time.Duration(s.Answered)*time.Second, s.PrimaryTook)
				assert.Equal(t, time.Duration(s.Answered)*2*time.Second, s.ShadowTook)
			}
			return n
		}
		ticks := func(list tally.Ticks) (n uint64) {
			for _, tick := range list {
				n += tick.Count
			}
			return n
		}
		for range 3 * 24 * 60 { // one a minute for three days
			report(t, x, differs)
			time.Sleep(time.Minute)
		}
		s := x.Snapshot()
		r, g := s.Routes[0], s.Groups[0]
		assert.EqualValues(t, 3*24*60, r.Results.Mismatch)
		assert.LessOrEqual(t, total(r.Minute), uint64(1))
		assert.InDelta(t, 60, total(r.Hour), 1)
		assert.InDelta(t, 24*60, total(r.Day), 60)
		assert.LessOrEqual(t, len(r.Minute), 12)
		assert.LessOrEqual(t, len(r.Hour), 60)
		assert.LessOrEqual(t, len(r.Day), 24)
		assert.Equal(t, total(r.Hour), ticks(g.Hour))
		assert.Equal(t, total(r.Day), ticks(g.Day))
		assert.Zero(t, r.Hour[0].Start.Second())

		time.Sleep(25 * time.Hour)
		s = x.Snapshot()
		r, g = s.Routes[0], s.Groups[0]
		assert.Empty(t, slices.Concat(r.Minute, r.Hour, r.Day))
		assert.Empty(t, slices.Concat(g.Minute, g.Hour, g.Day))
		assert.EqualValues(t, 3*24*60, r.Results.Mismatch)
	})
}

func differing(route string, primary, candidate int, diffs ...shadow.Diff) *shadow.Result {
	r := answered(shadow.Mismatch, time.Millisecond, time.Millisecond)
	r.Route, r.Primary.StatusCode, r.Shadow.StatusCode, r.Diffs = route, primary, candidate, diffs
	return r
}

func diff(path string, kind shadow.DiffKind, class shadow.DiffClass, primary, candidate string) shadow.Diff {
	return shadow.Diff{Path: path, Kind: kind, Class: class, Primary: []byte(primary), Shadow: []byte(candidate)}
}

// One cause is one group, whatever the values, and whatever elements of an array.
func TestDifferencesOfOneCauseAreOneGroup(t *testing.T) {
	changed := func(path string) shadow.Diff { return diff(path, shadow.Changed, "", "1", "2") }
	base := differing("GET /a", 200, 200, changed("/body/items/0/price"), changed("/body/total"))
	for name, tt := range map[string]struct {
		other *shadow.Result
		same  bool
	}{
		"other values":   {differing("GET /a", 200, 200, diff("/body/items/0/price", shadow.Changed, "rounding", "7", "7.1"), changed("/body/total")), true},
		"other elements": {differing("GET /a", 200, 200, changed("/body/items/3/price"), changed("/body/items/id=9/price"), changed("/body/total")), true},
		"another order":  {differing("GET /a", 200, 200, changed("/body/total"), changed("/body/items/7/price")), true},
		"another route":  {differing("GET /b", 200, 200, base.Diffs...), false},
		"another status": {differing("GET /a", 200, 500, base.Diffs...), false},
		"the same two statuses the other way round": {differing("GET /a", 500, 200, base.Diffs...), false},
		"one place less": {differing("GET /a", 200, 200, changed("/body/total")), false},
		"one place more": {differing("GET /a", 200, 200, append(slices.Clone(base.Diffs), changed("/body/x"))...), false},
		"another kind":   {differing("GET /a", 200, 200, diff("/body/items/0/price", shadow.Missing, "", "1", ""), changed("/body/total")), false},
	} {
		t.Run(name, func(t *testing.T) {
			x := newTally(t, tally.Options{})
			report(t, x, base, base, tt.other)
			s := x.Snapshot()
			if !tt.same {
				require.Len(t, s.Groups, 2)
				assert.NotEqual(t, s.Groups[0].Fingerprint, s.Groups[1].Fingerprint)
				return
			}
			require.Len(t, s.Groups, 1)
			assert.EqualValues(t, 3, s.Groups[0].Count)
			assert.Equal(t, tally.Places{{Path: "/body/items/*/price", Kind: shadow.Changed}, {Path: "/body/total", Kind: shadow.Changed}}, s.Groups[0].Places)
		})
	}
}

// Fingerprints are kept by people, in acknowledgements and tickets.
func TestAFingerprintIsTheSameInEveryProcess(t *testing.T) {
	x := newTally(t, tally.Options{})
	report(t, x, differing("GET /a", 200, 500, diff("/body/items/4/at", shadow.Changed, "timestamp", "1", "2"), diff("/status", shadow.Changed, "", "200", "500")))
	assert.Equal(t, "54db80695781e944", x.Snapshot().Groups[0].Fingerprint)
}

func TestAGroupSaysWhatItsDifferencesAre(t *testing.T) {
	at := func(path string, class shadow.DiffClass) shadow.Diff {
		return diff(path, shadow.Changed, class, "1", "2")
	}
	for want, diffs := range map[string][]shadow.Diff{
		"all are timestamps":                        {at("/body/a", shadow.ClassTimestamp), at("/body/b", shadow.ClassTimestamp)},
		"all are different values":                  {at("/body/a", "")},
		"75 % are UUIDs, 25 % are different values": {at("/body/a", ""), at("/body/b/0", shadow.ClassUUID), at("/body/b/1", shadow.ClassUUID), at("/body/b/2", shadow.ClassUUID)},
		"all are of classes of their own":           {at("/body/a", "acme")},
	} {
		x := newTally(t, tally.Options{})
		report(t, x, differing("GET /a", 200, 200, diffs...))
		assert.Equal(t, want, x.Snapshot().Groups[0].Summary)
	}
}

// Exemplars differ from each other: a rare sort of difference is not lost among thousands
// that look alike.
func TestExemplarsAreDiverse(t *testing.T) {
	x := newTally(t, tally.Options{})
	var list []*shadow.Result
	for i := range 3000 {
		d := diff("/body/v", shadow.Changed, "", `"abc"`, `"xyz"`)
		if i == 1700 {
			d = diff("/body/v", shadow.Changed, "", `"abc"`, `null`)
		}
		r := differing("GET /a", 200, 200, d)
		r.ID = fmt.Sprint("id-", i)
		list = append(list, r)
	}
	report(t, x, list...)
	exemplars := x.Snapshot().Groups[0].Exemplars
	require.Len(t, exemplars, 2)
	shown := []string{exemplars[0].Diffs[0].Shadow, exemplars[1].Diffs[0].Shadow}
	slices.Sort(shown)
	assert.Equal(t, []string{`"xyz"`, `null`}, shown)
	assert.Equal(t, "GET /a", exemplars[0].Method+" "+exemplars[0].Path, "without the query")

	slices.Reverse(list)
	y := newTally(t, tally.Options{})
	report(t, y, list...)
	for i, e := range y.Snapshot().Groups[0].Exemplars {
		assert.Equal(t, exemplars[i].ID, e.ID, "the order of the results has no part in it")
	}
}

func TestAnExemplarIsBounded(t *testing.T) {
	x := newTally(t, tally.Options{})
	r := mismatches(matches(1, oneRoute), 30)[0]
	long := strings.Repeat("é", 100_000)
	r.ID, r.Request.URL.Path, r.Request.Method = long, "/"+long, long
	r.Diffs[0].Path, r.Diffs[0].Primary = "/body/"+long, []byte(`"`+long+`"`)
	report(t, x, r)
	g := x.Snapshot().Groups[0]
	e := g.Exemplars[0]
	assert.Len(t, e.Diffs, 10)
	assert.True(t, e.More)
	for _, s := range []string{e.ID, e.Path, e.Method, e.Diffs[0].Path, e.Diffs[0].Primary, g.Places[0].Path} {
		assert.LessOrEqual(t, len(s), 520)
		assert.True(t, strings.ToValidUTF8(s, "?") == s, "cut between two characters")
	}
}

func acknowledge(t *testing.T, x *tally.Tally, fingerprint string, expires time.Time) {
	t.Helper()
	require.NoError(t, x.Acknowledge(tally.Acknowledgement{Fingerprint: fingerprint, Note: "SHOP-12: prices in cents", Owner: "checkout", Expires: expires}))
}

// An expected change does not count until its date, and counts again from then on.
func TestAnExpectedChangeTurnsRedAgainAfterItsDate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTally(t, tally.Options{})
		expected, other := differing("GET /a", 200, 200, diff("/body/price", shadow.Changed, "", "1", "100")), differing("GET /a", 200, 500, diff("/status", shadow.Changed, "", "200", "500"))
		report(t, x, expected, expected, other)
		fingerprint := ""
		for _, g := range x.Snapshot().Groups {
			assert.Equal(t, tally.Open, g.State)
			if g.Count == 2 {
				fingerprint = g.Fingerprint
			}
		}
		state := func() tally.State {
			s := x.Snapshot()
			i := slices.IndexFunc(s.Groups, func(g tally.Group) bool { return g.Fingerprint == fingerprint })
			assert.Equal(t, s.Groups[i].State == tally.Expected, s.Routes[0].Expected == 2)
			assert.Equal(t, 3-s.Routes[0].Expected, s.Routes[0].Unexplained())
			return s.Groups[i].State
		}
		acknowledge(t, x, fingerprint, time.Now().Add(24*time.Hour))
		assert.Equal(t, tally.Expected, state())
		time.Sleep(24*time.Hour - 1)
		assert.Equal(t, tally.Expected, state())
		time.Sleep(1)
		assert.Equal(t, tally.Overdue, state())
		acknowledge(t, x, fingerprint, time.Now().Add(time.Hour))
		assert.Equal(t, tally.Expected, state())
		require.Len(t, x.Snapshot().Acknowledged, 1)
		assert.Equal(t, "checkout", x.Snapshot().Acknowledged[0].Owner)
	})
}

func TestAnAcknowledgementHasAReasonAnOwnerAndADate(t *testing.T) {
	x := newTally(t, tally.Options{})
	err := x.Acknowledge(tally.Acknowledgement{Fingerprint: "xyz", Note: " ", Expires: time.Now()})
	for _, want := range []string{`"xyz" is not a fingerprint`, "the note has to say why", "the owner has to be named", "has to be to come"} {
		assert.ErrorContains(t, err, want)
	}
	fine := tally.Acknowledgement{Fingerprint: "0123456789abcdef", Note: "n", Owner: "o", Expires: time.Now().Add(time.Hour)}
	for _, fingerprint := range []string{"", "0000000000000000", "0123456789ABCDEF", "123456789abcdef", tally.Other} {
		a := fine
		a.Fingerprint = fingerprint
		assert.ErrorContains(t, x.Acknowledge(a), "is not a fingerprint", fingerprint)
	}
	assert.Empty(t, x.Snapshot().Acknowledged)
	require.NoError(t, x.Acknowledge(fine))
	for i := range 10_000 {
		a := fine
		a.Fingerprint = fmt.Sprintf("%016x", i+1)
		err = cmp.Or(err, x.Acknowledge(a))
	}
	assert.ErrorContains(t, x.Acknowledge(tally.Acknowledgement{Fingerprint: "fffffffffffffff0", Note: "n", Owner: "o", Expires: fine.Expires}), "there are 10000 already")
	assert.NoError(t, x.Acknowledge(fine), "those that are there can be replaced")
}

func TestEventsAreCountedByKind(t *testing.T) {
	x := newTally(t, tally.Options{})
	at := time.Now().UTC().Round(0)
	for i := range 1000 {
		require.NoError(t, x.ReportEvent(t.Context(), &shadow.Event{Kind: "side-effect", Mirror: "orders", Target: "v2", Time: at.Add(-time.Duration(i))}))
		require.NoError(t, x.ReportEvent(t.Context(), &shadow.Event{Kind: shadow.EventKind(fmt.Sprint("leak-", i)), Mirror: "orders", Target: "v2", Time: at}))
	}
	events := x.Snapshot().Events
	assert.LessOrEqual(t, len(events), 257)
	sum := uint64(0)
	for _, e := range events {
		sum += e.Count
		if e.Kind == "side-effect" {
			assert.Equal(t, tally.Event{Mirror: "orders", Target: "v2", Kind: "side-effect", Count: 1000, Last: at}, e)
		}
	}
	assert.EqualValues(t, 2000, sum)
}

func TestLedgersOfMirrorsAreInTheSnapshot(t *testing.T) {
	x := newTally(t, tally.Options{})
	stats := shadow.Stats{
		Requests: 10, Skipped: map[shadow.Reason]uint64{shadow.ReasonMethod: 3}, Dropped: map[shadow.Reason]uint64{shadow.ReasonQueueFull: 2},
		Match: 1, Mismatch: 1, Failed: 1, Uncompared: 1, Queued: 1, Unreported: 1,
	}
	x.Watch("orders", func() shadow.Stats { return stats })
	want := []tally.Mirror{{
		Name: "orders", Requests: 10, Skipped: stats.Skipped, Dropped: stats.Dropped, Unreported: 1,
		Results: tally.Counts{Match: 1, Mismatch: 1, Failed: 1, Uncompared: 1},
	}}
	assert.Equal(t, want, x.Snapshot().Mirrors)
}

// Quantiles are within the accuracy of the exact ones, whatever the values are.
func TestQuantilesAreWithinTheAccuracy(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for name, draw := range map[string]func() time.Duration{
		"log-normal": func() time.Duration { return time.Duration(1e6 * math.Exp(2*r.NormFloat64())) },
		"uniform":    func() time.Duration { return time.Duration(1 + r.Int64N(1e9)) },
		"two peaks":  func() time.Duration { return []time.Duration{time.Millisecond, 10 * time.Second}[r.IntN(2)] },
		"all equal":  func() time.Duration { return 42 * time.Millisecond },
		"tiny":       func() time.Duration { return time.Duration(r.IntN(3)) },
	} {
		for _, accuracy := range []float64{.001, .01, .1} {
			for _, n := range []int{1, 2, 10, 10_000} {
				x := newTally(t, tally.Options{Accuracy: accuracy})
				var exact []float64
				for range n {
					d := draw()
					exact = append(exact, float64(d)*1e-9)
					report(t, x, answered(shadow.Match, d, d))
				}
				slices.Sort(exact)
				got := x.Snapshot().Routes[0].ShadowTook
				require.EqualValues(t, n, got.Count())
				for _, q := range []float64{0, .001, .25, .5, .9, .95, .99, 1} {
					want := exact[max(int(math.Ceil(q*float64(n))), 1)-1]
					require.Equal(t, got.Quantile(q), got.AtRank(max(uint64(math.Ceil(q*float64(n))), 1)))
					require.InDelta(t, want, got.Quantile(q), accuracy*want*1.0001+1e-12, "%s: %v of %d", name, q, n)
				}
			}
		}
	}
}

func TestAQuantileOfNothingIsNotANumber(t *testing.T) {
	var d tally.Distribution
	assert.True(t, math.IsNaN(d.Quantile(.5)))
	d = tally.Distribution{Accuracy: .01, Zeros: 3}
	assert.Zero(t, d.Quantile(.5))
	for rank, want := range []bool{false, true, true, true, false} {
		assert.Equal(t, want, !math.IsNaN(d.AtRank(uint64(rank))), rank)
	}
	for _, q := range []float64{-.1, 1.1, math.NaN()} {
		assert.True(t, math.IsNaN(d.Quantile(q)))
	}
}

// Nothing is lost or counted twice while many report and snapshots are taken.
func TestManyGoroutinesCountEverythingOnce(t *testing.T) {
	x := newTally(t, tally.Options{})
	const goroutines, each = 8, 2000
	var wg, readers sync.WaitGroup
	stop := make(chan struct{})
	readers.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			for _, r := range x.Snapshot().Routes {
				if r.Noisy+r.Expected > r.Results.Mismatch {
					t.Error("there are more differences than results")
				}
			}
		}
	})
	for g := range goroutines {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 7))
			for range each {
				result := anyResult(r)
				result.Mirror, result.Target = "orders", "v2"
				if err := x.Report(t.Context(), result); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	readers.Wait()
	s := x.Snapshot()
	var all, mismatch, groups, taken uint64
	for _, r := range s.Routes {
		all += r.Results.All()
		mismatch += r.Results.Mismatch
		taken += r.PrimaryTook.Count()
		day := uint64(0)
		for _, slot := range r.Day {
			day += slot.All()
		}
		assert.Equal(t, r.Results.All(), day)
	}
	for _, g := range s.Groups {
		groups += g.Count
	}
	assert.EqualValues(t, goroutines*each, all)
	assert.EqualValues(t, goroutines*each, taken)
	assert.Equal(t, mismatch, groups)
}

// heap is the live heap.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// The figure of docs/insight.md: 10,000 routes, 100,000 places and long names thrown at a
// Tally of the default Options.
func TestMemoryIsBounded(t *testing.T) {
	before := heap()
	x := newTally(t, tally.Options{})
	r := rand.New(rand.NewPCG(1, 2))
	throw := func(n int) {
		for i := range n {
			result := answered(shadow.Mismatch, took(r), took(r))
			result.ID = fmt.Sprint(i)
			result.Route = fmt.Sprintf("GET /%d/%s", i%10_000, strings.Repeat("x", 100+i%1000))
			result.Primary.Body = []byte(strings.Repeat("x", 1000))
			result.Shadow.Body = result.Primary.Body
			for k := range 5 {
				result.Diffs = append(result.Diffs, diff(fmt.Sprintf("/body/%d/%s/k%d", k, strings.Repeat("y", 100), (5*i+k)%100_000), shadow.Changed, "", `"a"`, `"b"`))
			}
			report(t, x, result)
		}
	}
	throw(20_000)
	after := heap()
	t.Logf("%.1f MB", float64(after-before)/1e6)
	assert.Less(t, after-before, uint64(40<<20))
	throw(20_000)
	assert.Less(t, heap()-after, uint64(8<<20), "it does not grow any more")

	s := x.Snapshot()
	assert.LessOrEqual(t, len(s.Routes), 1064)
	assert.LessOrEqual(t, len(s.Fields), 10_000+len(s.Routes))
	assert.LessOrEqual(t, len(s.Groups), 1000+len(s.Routes))
	runtime.KeepAlive(x)
}

// Paths that do not exist may each be a route. They leave room for those that exist.
func TestPathsThatDoNotExistLeaveRoomForRoutes(t *testing.T) {
	x := newTally(t, tally.Options{Routes: 100})
	list := matches(1000, func(i int) string { return fmt.Sprint("GET /missing/", i) })
	for i, r := range list {
		r.Primary.StatusCode = 404 + i%2
	}
	report(t, x, list...)
	report(t, x, matches(50, func(i int) string { return fmt.Sprint("GET /orders/", i) })...)
	existing, missing, others := 0, 0, uint64(0)
	for _, r := range x.Snapshot().Routes {
		switch {
		case strings.HasPrefix(r.Route, "GET /orders/"):
			existing++
		case strings.HasPrefix(r.Route, "GET /missing/"):
			missing++
		default:
			others = r.Results.All()
		}
	}
	// One place is that of the others.
	assert.Equal(t, 49, existing)
	assert.Equal(t, 50, missing)
	assert.EqualValues(t, 951, others)
}

// The figures of docs/insight.md: what a route takes, usually and at most.
func TestARouteTakesTwelveKilobytesAndNinetyAtMost(t *testing.T) {
	const routes = 200
	r := rand.New(rand.NewPCG(1, 2))
	anything := func() time.Duration { return time.Duration(math.Exp(43 * r.Float64())) } // to a century
	for name, c := range map[string]struct {
		spread func(*shadow.Result)
		limit  uint64
	}{
		"usual": {func(*shadow.Result) {}, 13 << 10},
		"spread": {func(r *shadow.Result) {
			for _, m := range []*shadow.Message{r.Primary, r.Shadow} {
				m.Took, m.TTFB, m.Size = anything(), anything(), int64(anything())
			}
			r.Start = time.Now().Add(-anything())
		}, 90 << 10},
	} {
		x, list := newTally(t, tally.Options{}), matches(400, oneRoute)
		before := heap()
		for i := range routes {
			for _, result := range list {
				result.Route = fmt.Sprint("GET /", i)
				c.spread(result)
				report(t, x, result)
			}
		}
		took := (heap() - before) / routes
		t.Logf("%s: %d bytes", name, took)
		assert.Less(t, took, c.limit, name)
		runtime.KeepAlive(x)
	}
}

// One route with endless places leaves room for the others.
func TestOneRouteDoesNotTakeAllTheRoom(t *testing.T) {
	x := newTally(t, tally.Options{})
	for i := range 5000 {
		report(t, x, differing("GET /greedy", 200, 200, diff(fmt.Sprint("/body/k", i), shadow.Changed, "", "1", "2")))
	}
	report(t, x, differing("GET /a", 200, 200, diff("/body/v", shadow.Changed, "", "1", "2")))
	s := x.Snapshot()
	counts := map[string]uint64{}
	for _, f := range s.Fields {
		counts[f.Route+" "+f.Path] += f.Count
	}
	assert.EqualValues(t, 1, counts["GET /a /body/v"])
	assert.EqualValues(t, 5000-625, counts["GET /greedy "+tally.Other])
	groups := map[string]uint64{}
	for _, g := range s.Groups {
		groups[g.Route+" "+g.Fingerprint] += g.Count
		assert.True(t, g.Fingerprint != tally.Other || g.Stability == tally.Unproven && g.MorePlaces && len(g.Exemplars) == 0)
	}
	assert.EqualValues(t, 5000-62, groups["GET /greedy "+tally.Other])
}

// What is kept of names does not grow with them, nor with what they are a part of.
func TestLongNamesAreNotKept(t *testing.T) {
	const long = 1 << 20
	x := newTally(t, tally.Options{})
	heap := func() int64 {
		var s runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&s)
		return int64(s.HeapAlloc)
	}
	before := heap()
	for i := range 50 {
		whole := strings.Repeat(string(rune('a'+i%26)), long) + fmt.Sprint(i)
		part := whole[long-10:]
		require.NoError(t, x.Report(t.Context(), &shadow.Result{
			Exchange: shadow.Exchange{ID: part, Route: part, Request: &shadow.Message{Method: part, URL: &url.URL{Path: "/" + whole}},
				Primary: &shadow.Message{StatusCode: 200}, Shadow: &shadow.Message{StatusCode: 200}},
			Mirror: part, Target: part, Outcome: shadow.Mismatch,
			Diffs: []shadow.Diff{{Path: "/body/" + whole, Kind: shadow.DiffKind(whole), Class: shadow.DiffClass(whole)}},
		}))
		require.NoError(t, x.ReportEvent(t.Context(), &shadow.Event{Mirror: part, Target: whole, Kind: shadow.EventKind(whole), Route: whole, Text: whole}))
	}
	assert.Less(t, heap()-before, int64(8<<20))
	s := x.Snapshot()
	require.Len(t, s.Routes, 50)
	for _, g := range s.Groups {
		for _, d := range g.Exemplars[0].Diffs {
			assert.LessOrEqual(t, len(d.Kind), 256)
			assert.LessOrEqual(t, len(d.Class), 256)
		}
	}
}
