package gate

import (
	"math"
	"testing"
	"time"

	"github.com/DataDog/sketches-go/ddsketch/mapping"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/report/tally"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var start = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

// counted is what a test says of a route; the rest follows.
type counted struct {
	route             string
	match, mismatch   uint64
	noisy, expected   uint64
	failed            uint64
	errors            uint64 // of answers, those of failed not included
	primary, shadowed time.Duration
}

// snapshot is one of an hour of orders and v2.
func snapshot(routes ...counted) *tally.Snapshot {
	s := &tally.Snapshot{Version: tally.Version, Since: start, Taken: start.Add(time.Hour)}
	ledger := tally.Mirror{Name: "orders"}
	for _, c := range routes {
		compared := c.match + c.mismatch
		s.Routes = append(s.Routes, tally.Route{
			Mirror: "orders", Target: "v2", Route: c.route,
			Results: tally.Counts{Match: c.match, Mismatch: c.mismatch, Failed: c.failed},
			Noisy:   c.noisy, Expected: c.expected,
			ShadowErrors: c.failed + c.errors,
			Correlated:   compared,
			PrimaryTook:  spread(compared+c.failed, c.primary),
			ShadowTook:   spread(compared, c.shadowed),
			Lag:          spread(compared, 20*time.Millisecond),
		})
		ledger.Results.Match += c.match
		ledger.Results.Mismatch += c.mismatch
		ledger.Results.Failed += c.failed
	}
	s.Mirrors = []tally.Mirror{ledger}
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

// only is the one check of criteria with one limit.
func only(t *testing.T, m Measure, limit float64, s *tally.Snapshot) Check {
	t.Helper()
	d := decide(t, Criteria{Limits: Limits{m: limit}}, s)
	require.Len(t, d.Checks, 1)
	assert.Equal(t, d.Verdict, d.Checks[0].Verdict)
	return d.Checks[0]
}

func TestTheReasonsAreSentences(t *testing.T) {
	once := func(m Measure, limit float64) Criteria {
		return Criteria{Looks: Once, Limits: Limits{m: limit}}
	}
	anyTime := func(m Measure, limit float64) Criteria { return Criteria{Limits: Limits{m: limit}} }
	with := func(c counted, change func(*counted)) counted {
		change(&c)
		return c
	}
	for _, c := range []struct {
		name     string
		criteria Criteria
		route    counted
		verdict  Verdict
		reason   string
	}{
		{"one look, too few", once(DiffRate, 0.001), good(1200), Insufficient,
			"0 differences in 1,200; 1,795 more needed to claim under 0.1 % at 95 %"},
		{"one look, enough", once(DiffRate, 0.001), good(2995), Pass, ""},
		{"too few", anyTime(DiffRate, 0.001), good(1200), Insufficient, ""},
		{"enough", anyTime(DiffRate, 0.001), good(3787), Pass, ""},
		{"none at all", anyTime(DiffRate, 0.001), counted{route: get}, Insufficient, ""},
		{"few differences", anyTime(DiffRate, 0.001), with(good(1200), func(c *counted) { c.mismatch = 1 }), Insufficient, ""},
		{"many differences", anyTime(DiffRate, 0.001), with(good(1200), func(c *counted) { c.mismatch = 31 }), Fail, ""},
		{"noise is no difference", anyTime(DiffRate, 0.001), with(good(5000), func(c *counted) { c.mismatch, c.noisy, c.expected = 40, 30, 10 }), Pass, ""},
		{"noise is a raw difference", anyTime(RawDiffRate, 0.001), with(good(5000), func(c *counted) { c.mismatch, c.noisy, c.expected = 40, 30, 10 }), Fail, ""},
		{"errors", anyTime(ErrorRate, 0.005), with(good(1200), func(c *counted) { c.failed, c.errors = 10, 21 }), Fail, ""},
		{"few errors", anyTime(ErrorRate, 0.005), with(good(5000), func(c *counted) { c.errors = 3 }), Pass, ""},
		{"correlated", anyTime(Correlation, 0.99), good(1200), Pass, ""},
		{"correlated, too few", anyTime(Correlation, 0.99), with(good(300), func(c *counted) { c.failed = 1 }), Insufficient, ""},
		{"not correlated", anyTime(Correlation, 0.99), with(good(300), func(c *counted) { c.failed = 60 }), Fail, ""},
		{"nothing dropped", anyTime(DropShare, 0.01), good(1200), Pass, ""},
		{"fast", anyTime(P95Ratio, 2), good(1200), Pass, ""},
		{"slow", anyTime(P95Ratio, 2), with(good(1200), func(c *counted) { c.shadowed = 150 * time.Millisecond }), Fail, ""},
		{"about twice as slow", anyTime(P95Ratio, 2), with(good(1200), func(c *counted) { c.shadowed = 80 * time.Millisecond }), Insufficient, ""},
		{"fast, too few", anyTime(P95Ratio, 2), good(20), Insufficient, ""},
		{"no latency", anyTime(P95Ratio, 2), counted{route: get}, Insufficient, ""},
		{"quick", anyTime(LagMedian, 300), good(1200), Pass, ""},
		{"lagging", anyTime(LagMedian, 0.001), good(1200), Fail, ""},
		{"as quick as wanted", anyTime(LagMedian, 0.02), good(1200), Insufficient, ""},
		{"no lag", anyTime(LagMedian, 0.02), counted{route: get}, Insufficient, ""},
		{"many compared", anyTime(Compared, 1000), good(1200), Pass, ""},
		{"few compared", anyTime(Compared, 10_000), good(1200), Insufficient, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := decide(t, c.criteria, snapshot(c.route))
			t.Log(d)
			assert.Equal(t, c.verdict, d.Verdict)
			if c.reason != "" {
				assert.Equal(t, c.reason, d.Checks[0].Reason)
			}
		})
	}
}

func TestDefault(t *testing.T) {
	s := snapshot(good(5000), counted{route: "GET /carts/{id}", match: 100, primary: 5 * time.Millisecond, shadowed: 5 * time.Millisecond})
	d := decide(t, Default(), s)
	t.Log(d)
	s.Events = []tally.Event{{Mirror: "orders", Target: "v2", Kind: shadow.EventKind("leak"), Count: 1}}
	t.Log(decide(t, Default(), s))
}
