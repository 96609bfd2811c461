package gate

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/DataDog/sketches-go/ddsketch/mapping"
	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/report/tally"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "rewrite the golden files, and the table of docs/gate.md")

var start = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

// counted is what a test says of a route; the rest follows.
type counted struct {
	route             string
	match, mismatch   uint64
	noisy, expected   uint64
	controlled        uint64 // of them the control always differs where there is noise
	failed            uint64
	errors            uint64 // answers with a status of 500 or more
	dropped           uint64
	unwatched         bool // no ledger
	primary, shadowed time.Duration
}

// snapshot is one of an hour of orders and v2.
func snapshot(routes ...counted) *tally.Snapshot {
	s := &tally.Snapshot{Version: tally.Version, Since: start, Taken: start.Add(time.Hour), Elapsed: time.Hour}
	ledger, watched := tally.Mirror{Name: "orders"}, true
	for _, c := range routes {
		compared := c.match + c.mismatch
		s.Routes = append(s.Routes, tally.Route{
			Mirror: "orders", Target: "v2", Route: c.route,
			Results: tally.Counts{Match: c.match, Mismatch: c.mismatch, Failed: c.failed},
			Noisy:   c.noisy, Expected: c.expected, Controlled: c.controlled,
			ShadowErrors: c.failed + c.errors,
			Correlated:   compared,
			PrimaryTook:  spread(compared+c.failed, c.primary),
			ShadowTook:   spread(compared, c.shadowed),
			Lag:          spread(compared, 20*time.Millisecond),
		})
		if c.noisy > 0 {
			s.Fields = append(s.Fields, tally.Field{Mirror: "orders", Target: "v2", Route: c.route, Stability: tally.Noisy,
				Place: tally.Place{Path: "/body/at", Kind: shadow.Changed}, Both: c.controlled})
		}
		ledger.Results.Match += c.match
		ledger.Results.Mismatch += c.mismatch
		ledger.Results.Failed += c.failed
		if c.dropped > 0 {
			ledger.Dropped = map[shadow.Reason]uint64{shadow.ReasonQueueFull: c.dropped}
		}
		watched = watched && !c.unwatched
	}
	if watched {
		s.Mirrors = []tally.Mirror{ledger}
	}
	return s
}

// spread is a distribution of n latencies between half of the middle and one and a half,
// evenly.
func spread(n uint64, middle time.Duration) tally.Distribution {
	if n == 0 {
		return tally.Distribution{}
	}
	values := make([]float64, n)
	for i := range values {
		values[i] = middle.Seconds() * (0.5 + (float64(i)+0.5)/float64(n))
	}
	return distribution(values...)
}

func distribution(values ...float64) tally.Distribution {
	const accuracy = 0.01
	m, err := mapping.NewCubicallyInterpolatedMapping(accuracy)
	if err != nil {
		panic(err)
	}
	d := tally.Distribution{Accuracy: accuracy, Min: math.Inf(1), Max: math.Inf(-1)}
	bins := map[int]uint64{}
	first, last := math.MaxInt, math.MinInt
	for _, v := range values {
		d.Min, d.Max = min(d.Min, v), max(d.Max, v)
		if v == 0 {
			d.Zeros++
			continue
		}
		i := m.Index(v)
		bins[i]++
		first, last = min(first, i), max(last, i)
	}
	if len(bins) > 0 {
		d.First, d.Bins = first, make([]uint64, last-first+1)
		for i, n := range bins {
			d.Bins[i-first] = n
		}
	}
	return d
}

const get = "GET /orders/{id}"

func good(n uint64) counted {
	return counted{route: get, match: n, primary: 40 * time.Millisecond, shadowed: 42 * time.Millisecond}
}

func decide(t *testing.T, c Criteria, s *tally.Snapshot) Decision {
	t.Helper()
	d, err := c.Decide(s, nil)
	require.NoError(t, err)
	return d
}

// A line for each case: what is asked, what was counted, and what the gate says of it.
func TestTheReasonsAreSentences(t *testing.T) {
	type change func(*counted)
	none := func(*counted) {}
	var text strings.Builder
	for _, c := range []struct {
		name    string
		looks   Looks
		measure Measure
		limit   float64
		n       uint64 // of matches
		change  change
		verdict Verdict
	}{
		{"one look, too few", Once, DiffRate, 0.001, 1200, none, Insufficient},
		{"one look, one too few", Once, DiffRate, 0.001, 2994, none, Insufficient},
		{"one look, enough", Once, DiffRate, 0.001, 2995, none, Pass},
		{"too few", AnyTime, DiffRate, 0.001, 1200, none, Insufficient},
		{"one too few", AnyTime, DiffRate, 0.001, 3786, none, Insufficient},
		{"enough", AnyTime, DiffRate, 0.001, 3787, none, Pass},
		{"nothing", AnyTime, DiffRate, 0.001, 0, none, Insufficient},
		{"one", AnyTime, DiffRate, 0.001, 1, none, Insufficient},
		{"one, different", AnyTime, DiffRate, 0.001, 0, func(c *counted) { c.mismatch = 1 }, Fail},
		{"all different", AnyTime, DiffRate, 0.001, 0, func(c *counted) { c.mismatch = 1200 }, Fail},
		{"one difference", AnyTime, DiffRate, 0.001, 1199, func(c *counted) { c.mismatch = 1 }, Insufficient},
		{"many differences", AnyTime, DiffRate, 0.001, 1169, func(c *counted) { c.mismatch = 31 }, Fail},
		{"as many as must not be", AnyTime, DiffRate, 0.01, 990_000, func(c *counted) { c.mismatch = 10_000 }, Insufficient},
		{"under a millionth", AnyTime, DiffRate, 1e-6, 5000, none, Insufficient},
		{"what nobody can show", AnyTime, DiffRate, 1e-15, 5000, none, Insufficient},
		{"noise and expected changes are no differences", AnyTime, DiffRate, 0.001, 59_960, func(c *counted) { c.mismatch, c.noisy, c.expected, c.controlled = 40, 30, 10, 20_000 }, Pass},
		{"noise that the control has not proven", AnyTime, DiffRate, 0.001, 59_960, func(c *counted) { c.mismatch, c.noisy, c.expected, c.controlled = 40, 30, 10, 200 }, Insufficient},
		{"noise and expected changes are raw differences", AnyTime, RawDiffRate, 0.001, 4960, func(c *counted) { c.mismatch, c.noisy, c.expected = 40, 30, 10 }, Fail},
		{"no raw differences", AnyTime, RawDiffRate, 0.001, 4000, none, Pass},
		{"no answers and answers of 500", AnyTime, ErrorRate, 0.005, 1190, func(c *counted) { c.failed, c.errors = 10, 21 }, Fail},
		{"few errors", AnyTime, ErrorRate, 0.005, 5000, func(c *counted) { c.errors = 3 }, Pass},
		{"correlated", AnyTime, Correlation, 0.99, 1200, none, Pass},
		{"perhaps correlated", AnyTime, Correlation, 0.99, 299, func(c *counted) { c.failed = 1 }, Insufficient},
		{"not correlated", AnyTime, Correlation, 0.99, 300, func(c *counted) { c.failed = 60 }, Fail},
		{"nothing dropped", AnyTime, DropShare, 0.01, 1200, none, Pass},
		{"much dropped", AnyTime, DropShare, 0.01, 1200, func(c *counted) { c.dropped = 300 }, Fail},
		{"no ledger", AnyTime, DropShare, 0.01, 1200, func(c *counted) { c.unwatched = true }, Insufficient},
		{"as fast", AnyTime, P95Ratio, 2, 1200, none, Pass},
		{"slow", AnyTime, P95Ratio, 2, 1200, func(c *counted) { c.shadowed = 150 * time.Millisecond }, Fail},
		{"about twice as slow", AnyTime, P95Ratio, 2, 1200, func(c *counted) { c.shadowed = 80 * time.Millisecond }, Insufficient},
		{"latencies of few", AnyTime, P95Ratio, 2, 20, none, Insufficient},
		{"latencies of none", AnyTime, P95Ratio, 2, 0, none, Insufficient},
		{"no time at all", AnyTime, P95Ratio, 2, 1200, func(c *counted) { c.primary = 0 }, Insufficient},
		{"little lag", AnyTime, LagMedian, 300, 1200, none, Pass},
		{"much lag", AnyTime, LagMedian, 0.001, 1200, none, Fail},
		{"about as much lag", AnyTime, LagMedian, 0.02, 1200, none, Insufficient},
		{"lag of none", AnyTime, LagMedian, 0.02, 0, none, Insufficient},
		{"many compared", AnyTime, Compared, 1000, 1200, none, Pass},
		{"few compared", AnyTime, Compared, 10_000, 1200, none, Insufficient},
	} {
		route := good(c.n)
		c.change(&route)
		d := decide(t, Criteria{Looks: c.looks, Limits: Limits{c.measure: c.limit}}, snapshot(route))
		require.Len(t, d.Checks, 1)
		check := d.Checks[0]
		assert.Equal(t, c.verdict, d.Verdict, c.name)
		assert.Equal(t, c.verdict, check.Verdict, c.name)
		assert.Equal(t, string(c.measure), check.Name, c.name)
		assert.Equal(t, c.limit, check.Limit, c.name)
		fmt.Fprintf(&text, "# %s\n%-12s %s: %s\n", c.name, check.Verdict, check.Name, check.Reason)
	}
	golden(t, "reasons.txt", text.String())
}

// golden compares with a file of testdata, or writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; -update rewrites it):\n%s", file, diff)
	}
}

func TestNeededIsWhatItTakesToPass(t *testing.T) {
	for _, m := range []struct {
		measure Measure
		limit   float64
	}{{DiffRate, 0.01}, {ErrorRate, 0.005}, {Correlation, 0.99}, {DropShare, 0.02}, {Compared, 700}, {P95Ratio, 20}, {LagMedian, 20}} {
		for _, looks := range []Looks{AnyTime, Once} {
			criteria := Criteria{Looks: looks, Limits: Limits{m.measure: m.limit}}
			first := decide(t, criteria, snapshot(good(3)))
			needed := first.Checks[0].Needed
			require.Positive(t, needed, m.measure)
			assert.Equal(t, Insufficient, decide(t, criteria, snapshot(good(3+needed-1))).Verdict, "%s: %d are not enough", m.measure, needed-1)
			assert.Equal(t, Pass, decide(t, criteria, snapshot(good(3+needed))).Verdict, "%s: %d are enough", m.measure, needed)
		}
	}
}

// What is observed lies within the bounds, and the limit decides by them.
func TestTheBoundsOfACheckAgreeWithItsVerdict(t *testing.T) {
	for _, mismatch := range []uint64{0, 1, 5, 20, 100, 1000} {
		for _, n := range []uint64{1, 100, 1000, 20_000} {
			route := good(n)
			route.mismatch, route.failed = mismatch, mismatch/2
			d := decide(t, Criteria{Limits: Limits{DiffRate: 0.01, ErrorRate: 0.005, Correlation: 0.99, P95Ratio: 1.5, LagMedian: 0.02}}, snapshot(route))
			for _, c := range d.Checks {
				if c.Lower != nil {
					assert.LessOrEqual(t, *c.Lower, *c.Observed*1.02, "%+v", c)
				}
				if c.Upper != nil && c.Observed != nil {
					assert.GreaterOrEqual(t, *c.Upper, *c.Observed*0.98, "%+v", c)
				}
				good, bad := c.Upper != nil && *c.Upper <= c.Limit, c.Lower != nil && *c.Lower >= c.Limit
				if c.Name == string(Correlation) {
					good, bad = c.Lower != nil && *c.Lower >= c.Limit, c.Upper != nil && *c.Upper <= c.Limit
				}
				assert.Equal(t, c.Verdict == Pass, good, "%+v", c)
				assert.Equal(t, c.Verdict == Fail, bad, "%+v", c)
			}
		}
	}
}

// A time that is shown to be the limit or more fails, and one that may be the limit does not pass.
func TestALimitIsToBeStayedUnder(t *testing.T) {
	s := snapshot(good(20_000))
	for _, m := range []Measure{P95Ratio, LagMedian} {
		check := decide(t, Criteria{Limits: Limits{m: 1.1}}, s).Checks[0]
		assert.Equal(t, Fail, decide(t, Criteria{Limits: Limits{m: *check.Lower}}, s).Verdict, m)
		assert.Equal(t, Insufficient, decide(t, Criteria{Limits: Limits{m: *check.Upper}}, s).Verdict, m)
	}
}

func TestABoundThatIsNotKnownIsNotReported(t *testing.T) {
	d := decide(t, Criteria{Limits: Limits{P95Ratio: 1.1, LagMedian: 0.1}}, snapshot(good(3)))
	for _, check := range d.Checks {
		assert.Equal(t, Insufficient, check.Verdict)
		assert.Nil(t, check.Upper, check.Name)
		assert.Positive(t, check.Needed, check.Name)
		assert.Contains(t, check.Reason, "more needed to bound it")
	}
	for _, check := range decide(t, Criteria{Limits: Limits{P95Ratio: 1.1, LagMedian: 0.1}}, snapshot(good(2000))).Checks {
		assert.NotNil(t, check.Upper, check.Name)
		assert.NotNil(t, check.Observed, check.Name)
	}
}

func TestRoutesAreJudgedInTheOrderOfTheirNames(t *testing.T) {
	d := decide(t, Criteria{EachRoute: Limits{Compared: 1}}, snapshot(counted{route: "GET /b", match: 1}, counted{route: "GET /c", match: 1}, counted{route: "GET /a", match: 1}))
	var routes []string
	for _, check := range d.Checks {
		routes = append(routes, check.Route)
	}
	assert.Equal(t, []string{"GET /a", "GET /b", "GET /c"}, routes)
}

func TestDefaultsAreM1ToM10AsFarAsATallyKnowsThem(t *testing.T) {
	s := snapshot(good(5000), counted{route: "GET /carts/{id}", match: 100, primary: 5 * time.Millisecond, shadowed: 5 * time.Millisecond})
	golden(t, "default-pass.txt", decide(t, Default(), s).String())

	s.Events = []tally.Event{{Mirror: "orders", Target: "v2", Kind: "leak", Count: 1}}
	d := decide(t, Default(), s)
	assert.Equal(t, Fail, d.Verdict, "one leak is one too many")
	golden(t, "default-leak.txt", d.String())

	d = decide(t, Default(), snapshot(good(200)))
	assert.Equal(t, Insufficient, d.Verdict, "no green light after 200 requests")
	golden(t, "default-200.txt", d.String())
}

func TestAFailureIsToldWhateverElseIsMissing(t *testing.T) {
	criteria := Default()
	criteria.MinDuration = Duration(24 * time.Hour)
	criteria.Coverage = Coverage{Routes: []string{"GET /never"}}
	route := good(100)
	route.mismatch = 50
	d := decide(t, criteria, snapshot(route))
	assert.Equal(t, Fail, d.Verdict)
}

func TestCountingTakesAtLeastTheMinimum(t *testing.T) {
	criteria := Criteria{MinDuration: Duration(time.Hour), Limits: Limits{Compared: 10}}
	s := snapshot(good(100))
	assert.Equal(t, Pass, decide(t, criteria, s).Verdict)
	s.Taken = s.Taken.Add(2 * time.Hour) // a clock that is wrong adds nothing
	s.Elapsed -= time.Minute
	d := decide(t, criteria, s)
	assert.Equal(t, Insufficient, d.Verdict)
	assert.Equal(t, "counted for 59m0s; 1m0s more to go until 1h0m0s", d.Checks[0].Reason)
}

func TestEachRouteIsJudgedByItself(t *testing.T) {
	bad := counted{route: "POST /search", match: 100, mismatch: 100, primary: time.Millisecond, shadowed: time.Millisecond}
	s := snapshot(good(200_000), bad)

	d := decide(t, Criteria{Limits: Limits{DiffRate: 0.001}}, s)
	assert.Equal(t, Pass, d.Verdict, "the route is lost among the others")

	d = decide(t, Criteria{EachRoute: Limits{DiffRate: 0.001}}, s)
	assert.Equal(t, Fail, d.Verdict)
	assert.Equal(t, "1 of 2 checks failed: diffRate of POST /search", d.Summary)

	t.Run("a route may have limits of its own", func(t *testing.T) {
		criteria := Criteria{EachRoute: Limits{DiffRate: 0.001, Compared: 10}, Routes: map[string]Limits{bad.route: {DiffRate: 0.9}}}
		d := decide(t, criteria, s)
		assert.Equal(t, Pass, d.Verdict, d.String())
		assert.Len(t, d.Checks, 4, "what its own limits do not say is taken from eachRoute")
	})
	t.Run("a route with limits has to be there", func(t *testing.T) {
		d := decide(t, Criteria{Routes: map[string]Limits{"GET /typo": {DiffRate: 0.9}}}, s)
		assert.Equal(t, Insufficient, d.Verdict)
		assert.Equal(t, "0 differences in 0; 2 more needed to claim under 90 % at 95 %", d.Checks[0].Reason)
	})
	t.Run("an excluded route counts nowhere", func(t *testing.T) {
		criteria := Criteria{Exclude: []string{bad.route}, Limits: Limits{RawDiffRate: 0.0001}, EachRoute: Limits{DiffRate: 0.001}}
		d := decide(t, criteria, s)
		assert.Equal(t, Pass, d.Verdict)
		assert.Equal(t, "0 differences, noise included, in 200,000: under 0.0019 % at 95 %; the limit is 0.01 %", d.Checks[0].Reason)
		assert.Len(t, d.Checks, 2)
	})
}

func TestCoverage(t *testing.T) {
	few := counted{route: "GET /few", match: 4}
	s := snapshot(good(100), few, counted{route: "GET /failing", failed: 9})
	for _, c := range []struct {
		coverage Coverage
		want     Verdict
		reasons  []string
	}{
		{Coverage{Share: 0.6}, Pass, []string{"2 of 3 routes with 1 comparison or more; the minimum is 60 %"}},
		{Coverage{Share: 0.6, Compared: 5}, Insufficient, []string{"1 of 3 routes with 5 comparisons or more; the minimum is 60 %"}},
		{Coverage{Share: 1}, Insufficient, []string{"2 of 3 routes with 1 comparison or more; the minimum is 100 %"}},
		{Coverage{Routes: []string{get, "GET /few"}}, Pass, []string{"100 comparisons", "4 comparisons"}},
		{Coverage{Routes: []string{"GET /few"}, Compared: 50}, Insufficient, []string{"4 comparisons; 46 more needed"}},
		{Coverage{Routes: []string{"GET /failing"}}, Insufficient, []string{"0 comparisons; 1 more needed"}},
		{Coverage{Routes: []string{"GET /never"}}, Insufficient, []string{"0 comparisons; 1 more needed"}},
	} {
		d := decide(t, Criteria{Coverage: c.coverage}, s)
		var reasons []string
		for _, check := range d.Checks {
			reasons = append(reasons, check.Reason)
		}
		assert.Equal(t, c.want, d.Verdict, "%+v", c.coverage)
		assert.Equal(t, c.reasons, reasons, "%+v", c.coverage)
	}
	d := decide(t, Criteria{Coverage: Coverage{Share: 0.1}}, snapshot())
	assert.Equal(t, Insufficient, d.Verdict, "no route is no coverage")
}

// What the control writes or leaks is written and leaked by the mirror.
func TestEventsOfTheControlCount(t *testing.T) {
	for _, kind := range []shadow.EventKind{shadow.EventLeak, shadow.EventSideEffect, shadow.EventLoop} {
		s := snapshot(good(5100))
		s.Events = []tally.Event{{Mirror: "orders", Target: "control", Kind: kind, Count: 1}}
		d := decide(t, Default(), s)
		assert.Equal(t, Fail, d.Verdict)
		assert.Equal(t, "1 of 10 checks failed: event:"+string(kind), d.Summary)
	}
	s := snapshot(good(5100))
	s.Events = []tally.Event{{Mirror: tally.Other, Target: tally.Other, Kind: tally.Other, Count: 1}}
	d := decide(t, Default(), s)
	assert.Equal(t, Insufficient, d.Verdict, "nobody knows what it was")
	assert.Equal(t, "3 of 10 checks cannot be decided yet: event:leak, event:loop, event:side-effect", d.Summary)
}

// A candidate that is the primary agrees with it always. That is no reason to pass, whatever
// the criteria ask for.
func TestNoCandidatePassesAfterCopiesCameBack(t *testing.T) {
	for name, damage := range map[string]func(*tally.Snapshot){
		"event": func(s *tally.Snapshot) {
			s.Events = []tally.Event{{Mirror: "orders", Target: "v2", Kind: shadow.EventLoop, Count: 1}}
		},
		"ledger": func(s *tally.Snapshot) { s.Mirrors[0].Loops = 1 },
	} {
		for asked, criteria := range map[string]Criteria{"default": Default(), "little": {Limits: Limits{DiffRate: 0.001}}} {
			s := snapshot(good(5100))
			require.Equal(t, Pass, decide(t, criteria, s).Verdict)
			damage(s)
			d := decide(t, criteria, s)
			assert.Equal(t, Fail, d.Verdict, "%s, %s", name, asked)
			assert.Contains(t, d.Summary, "failed: event:loop")
		}
		s := snapshot(good(5100))
		damage(s)
		s.Events, s.Mirrors[0].Name = nil, "carts"
		assert.Equal(t, Pass, decide(t, Criteria{Limits: Limits{DiffRate: 0.001}}, s).Verdict, "another mirror's")
	}
	require.ErrorContains(t, Criteria{Events: map[shadow.EventKind]uint64{shadow.EventLoop: 1}}.Validate(), "the limit can only be 0")
}

func TestEventsAreCountedAndNotEstimated(t *testing.T) {
	criteria := Criteria{Events: map[shadow.EventKind]uint64{"leak": 0, "side-effect": 0, "breaker-open": 3}}
	s := snapshot(good(1))
	assert.Equal(t, Pass, decide(t, criteria, s).Verdict)

	s.Events = []tally.Event{
		{Mirror: "orders", Target: "v2", Kind: "breaker-open", Count: 3},
		{Mirror: "orders", Target: "v3", Kind: "leak", Count: 1},
		{Mirror: "carts", Target: "v2", Kind: "leak", Count: 1},
	}
	criteria.Target = "v2"
	s.Routes = append(s.Routes, tally.Route{Mirror: "orders", Target: "v3"})
	assert.Equal(t, Pass, decide(t, criteria, s).Verdict, "those of others are not this candidate's")

	s.Events = append(s.Events, tally.Event{Mirror: "orders", Target: "v2", Kind: "side-effect", Count: 2})
	d := decide(t, criteria, s)
	assert.Equal(t, Fail, d.Verdict)
	assert.Equal(t, "1 of 3 checks failed: event:side-effect", d.Summary)
	assert.Equal(t, "2 events; the limit is 0", d.Checks[2].Reason)

	t.Run("even without any result", func(t *testing.T) {
		s.Routes = nil
		assert.Equal(t, Fail, decide(t, Criteria{Events: criteria.Events}, s).Verdict)
	})
}

func TestFigures(t *testing.T) {
	criteria := Criteria{Figures: map[string]Range{
		"cost":    {Max: new(0.05)},
		"spans":   {Min: new(0.99)},
		"between": {Min: new(1.0), Max: new(2.0)},
	}}
	for _, c := range []struct {
		name    string
		figures map[string]float64
		want    Verdict
	}{
		{"all good", map[string]float64{"cost": 0.05, "spans": 0.99, "between": 1.5}, Pass},
		{"none given", nil, Insufficient},
		{"one missing", map[string]float64{"cost": 0.01, "spans": 1}, Insufficient},
		{"no number", map[string]float64{"cost": math.NaN(), "spans": 1, "between": 1}, Insufficient},
		{"infinite", map[string]float64{"cost": math.Inf(1), "spans": 1, "between": 1}, Insufficient},
		{"too great", map[string]float64{"cost": 0.051, "spans": 1, "between": 1}, Fail},
		{"too small", map[string]float64{"cost": 0, "spans": 0.9, "between": 1}, Fail},
	} {
		d, err := criteria.Decide(snapshot(good(1)), c.figures)
		require.NoError(t, err)
		assert.Equal(t, c.want, d.Verdict, c.name)
		assert.Len(t, d.Checks, 4)
	}
}

func TestAFigureIsToldWithItsLimit(t *testing.T) {
	criteria := Criteria{Figures: map[string]Range{"cost": {Min: new(0.01), Max: new(0.05)}}}
	d, err := criteria.Decide(snapshot(good(1)), map[string]float64{"cost": 0.03})
	require.NoError(t, err)
	assert.Equal(t, []Check{
		{Name: "figure:cost", Verdict: Pass, Limit: 0.01, Observed: new(0.03), Reason: "0.03; the minimum is 0.01"},
		{Name: "figure:cost", Verdict: Pass, Limit: 0.05, Observed: new(0.03), Reason: "0.03; the maximum is 0.05"},
	}, d.Checks)
	d, err = criteria.Decide(snapshot(good(1)), nil)
	require.NoError(t, err)
	assert.Equal(t, Check{Name: "figure:cost", Verdict: Insufficient, Limit: 0.01, Reason: "not measured; the minimum is 0.01"}, d.Checks[0])
}

func TestOneCandidateIsJudgedAtATime(t *testing.T) {
	s := snapshot(good(20_000))
	other := s.Routes[0]
	other.Target, other.Results = "v3", tally.Counts{Mismatch: 1000}
	other.Correlated = 1000
	s.Routes = append(s.Routes, other)

	_, err := Default().Decide(s, nil)
	assert.ErrorContains(t, err, `the snapshot has the results of several: mirror "orders", target "v2"; mirror "orders", target "v3"; name one in the criteria`)

	criteria := Default()
	criteria.Target = "v3"
	assert.Equal(t, Fail, decide(t, criteria, s).Verdict)
	criteria.Target = "v2"
	d := decide(t, criteria, s)
	assert.Equal(t, Pass, d.Verdict)
	assert.Equal(t, [2]string{"orders", "v2"}, [2]string{d.Mirror, d.Target})

	criteria.Target = "v4"
	_, err = criteria.Decide(s, nil)
	assert.ErrorContains(t, err, `the snapshot has no results of mirror "", target "v4", but of`)

	assert.Equal(t, Insufficient, decide(t, criteria, snapshot()).Verdict, "no results at all yet are no mistake")
}

func TestASnapshotThatCannotBeTrueIsAnError(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(*tally.Snapshot)
		want   string
	}{
		{"version", func(s *tally.Snapshot) { s.Version = 7 }, "the snapshot has version 7, and this gate reads version 2"},
		{"twice", func(s *tally.Snapshot) { s.Routes = append(s.Routes, s.Routes[0]) }, "is listed twice"},
		{"count", func(s *tally.Snapshot) { s.Routes[0].Results.Match = math.MaxUint64 }, "18446744073709551615 is no count"},
		{"explained", func(s *tally.Snapshot) { s.Routes[0].Noisy = 1 }, "more mismatches are explained or unproven than there are"},
		{"unproven", func(s *tally.Snapshot) { s.Routes[0].Unproven = 1 }, "more mismatches are explained or unproven than there are"},
		{"controlled", func(s *tally.Snapshot) { s.Routes[0].Controlled = 101 }, "more results have a control than there are"},
		{"beyond", func(s *tally.Snapshot) { s.Routes[0].Controlled, s.Routes[0].Beyond = 10, 11 }, "more results have a control than there are"},
		{"pairs", func(s *tally.Snapshot) {
			s.Routes[0].Controlled = 10
			s.Fields = []tally.Field{{Mirror: "orders", Target: "v2", Route: s.Routes[0].Route, ControlOnly: 11}}
		}, "a field differs more often than there is a control"},
		{"loops", func(s *tally.Snapshot) { s.Mirrors[0].Loops = math.MaxUint64 }, "is no count"},
		{"errors", func(s *tally.Snapshot) { s.Routes[0].ShadowErrors = 101 }, "more errors than results"},
		{"correlated", func(s *tally.Snapshot) { s.Routes[0].Correlated = 101 }, "more results are correlated than there are"},
		{"bins", func(s *tally.Snapshot) { s.Routes[0].PrimaryTook.First = math.MinInt }, "too many to be true"},
		{"bin", func(s *tally.Snapshot) { s.Routes[0].ShadowTook.Bins[0] = math.MaxUint64 }, "is no count"},
		{"accuracy", func(s *tally.Snapshot) { s.Routes[0].Lag.Accuracy = 0 }, "no latencies"},
		{"order", func(s *tally.Snapshot) { s.Routes[0].Lag.Min = 1e6 }, "no latencies"},
		{"not a number", func(s *tally.Snapshot) { s.Routes[0].Lag.Max = math.NaN() }, "no latencies"},
		{"accuracies", func(s *tally.Snapshot) {
			other := snapshot(counted{route: "GET /other", match: 10, primary: 1, shadowed: 1}).Routes[0]
			other.PrimaryTook.Accuracy = 0.02
			s.Routes = append(s.Routes, other)
		}, "do not merge"},
		{"ledger", func(s *tally.Snapshot) { s.Mirrors[0].Dropped = map[shadow.Reason]uint64{"x": math.MaxUint64} }, "is no count"},
		{"event", func(s *tally.Snapshot) {
			s.Events = []tally.Event{{Mirror: "orders", Target: "v2", Kind: "leak", Count: math.MaxUint64}}
		}, "is no count"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := snapshot(good(100))
			c.damage(s)
			d, err := Default().Decide(s, nil)
			require.ErrorContains(t, err, c.want)
			assert.Empty(t, d)
		})
	}
	_, err := Default().Decide(nil, nil)
	assert.ErrorContains(t, err, "there is no snapshot")
	_, err = Criteria{}.Decide(snapshot(), nil)
	assert.ErrorContains(t, err, "there is nothing to decide")
}

// The same from one tally that saw all and from the routes together.
func TestRoutesTogetherAreOneDistribution(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var all []float64
	var parts []*scope
	for n := range 5 {
		var some []float64
		for range n * 100 {
			some = append(some, math.Exp(random.NormFloat64()*3))
		}
		if n == 2 {
			some = append(some, 0, 0)
		}
		all = append(all, some...)
		if len(some) > 0 {
			parts = append(parts, &scope{primary: distribution(some...)})
		} else {
			parts = append(parts, &scope{})
		}
	}
	together, err := join(parts)
	require.NoError(t, err)
	assert.Empty(t, cmp.Diff(distribution(all...), together.primary))
}

// A check spends its part of the level. All that ever turn up spend no more than 1.
func TestAsManyChecksAsThereMayBeFailWronglyNoMoreOftenThanOne(t *testing.T) {
	sum, greatest := 0.0, 0.0
	for m := 1; m < 10_000; m++ {
		j := newJudge(Criteria{}, m)
		sum += j.spent / j.alpha
		greatest = max(greatest, float64(m)*j.spent/j.alpha)
	}
	assert.Less(t, greatest, 1.0, "m at a time")
	assert.Less(t, sum, 1.0, "all that ever turn up")
	assert.Greater(t, sum, 0.999)
}

// Each run is a candidate with exactly the diff rate that must not pass, and somebody who
// asks after every 100 comparisons until it does.
func TestAskingOftenDoesNotMakeABadCandidatePass(t *testing.T) {
	const limit, runs, looks, every = 0.02, 300, 80, 100
	passes := func(looking Looks) float64 {
		type counts struct{ k, n uint64 }
		verdicts := map[counts]Verdict{}
		criteria := Criteria{Looks: looking, Limits: Limits{DiffRate: limit}}
		passed := 0
		for run := range uint64(runs) {
			random := rand.New(rand.NewPCG(run, 7))
			var seen counts
			for range looks {
				for range every {
					if seen.n++; random.Float64() < limit {
						seen.k++
					}
				}
				verdict, known := verdicts[seen]
				if !known {
					s := &tally.Snapshot{Version: tally.Version, Routes: []tally.Route{{Mirror: "orders", Target: "v2",
						Results: tally.Counts{Match: seen.n - seen.k, Mismatch: seen.k}}}}
					verdict = decide(t, criteria, s).Verdict
					verdicts[seen] = verdict
				}
				if verdict == Pass {
					passed++
					break
				}
			}
		}
		return float64(passed) / runs
	}
	naive, anyTime := passes(Once), passes(AnyTime)
	t.Logf("false passes: %.3f with bounds for one look, %.3f with those for any number", naive, anyTime)
	assert.Greater(t, naive, 0.15)
	assert.LessOrEqual(t, anyTime, 0.05)
}

func TestExitCodes(t *testing.T) {
	assert.Equal(t, 0, Pass.ExitCode())
	assert.Equal(t, 1, Fail.ExitCode())
	assert.Equal(t, 2, Insufficient.ExitCode())
	assert.Equal(t, 2, Verdict("").ExitCode(), "what is no verdict is no pass")
}
