package gate

import (
	"bytes"
	"compress/gzip"
	"flag"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/report/tally"
)

var scenarioRuns = flag.Int("runs", 60, "how often each scenario of the gate is simulated")

// The results that scenarios are made of. Reporters do not change them.
var (
	answered = shadow.Exchange{Route: "GET /orders/{id}",
		Primary: &shadow.Message{StatusCode: 200, Took: time.Millisecond}, Shadow: &shadow.Message{StatusCode: 200, Took: time.Millisecond}}
	clocks, total = []shadow.Diff{{Path: "/body/at", Kind: shadow.Changed}}, []shadow.Diff{{Path: "/body/total", Kind: shadow.Changed}}
	lost          = []shadow.Diff{{Path: "/body/at", Kind: shadow.Missing}}
	atTotal       = []shadow.Diff{clocks[0], total[0]}

	same          = answers(shadow.Match)
	differs       = with(answers(shadow.Mismatch), total)
	torn          = answers(shadow.Uncompared)
	withheld      = failed(answers(shadow.Mismatch), shadow.ErrWithheld) // its record could not be masked
	dead          = failed(noShadow(answers(shadow.Failed)), shadow.ErrTimeout)
	controlSame   = controlled(answers(shadow.Match), nil, nil)
	controlMissed = controlled(with(answers(shadow.Mismatch), total), nil, nil)
)

func answers(o shadow.Outcome) *shadow.Result {
	return &shadow.Result{Exchange: answered, Mirror: "orders", Target: "v2", Outcome: o}
}
func with(r *shadow.Result, diffs []shadow.Diff) *shadow.Result { r.Diffs = diffs; return r }
func failed(r *shadow.Result, err error) *shadow.Result         { r.Err = err; return r }
func noShadow(r *shadow.Result) *shadow.Result                  { r.Shadow = nil; return r }
func controlled(r *shadow.Result, noise, control []shadow.Diff) *shadow.Result {
	r.Noise, r.Control = noise, &shadow.ControlDiffs{Diffs: control}
	return r
}
func slow(r *shadow.Result, took time.Duration) *shadow.Result {
	r.Shadow = &shadow.Message{StatusCode: 200, Took: took}
	return r
}

// paired are the results at one place, by whether the control was asked, the candidate
// differs and the control does.
var paired = func() (list [2][2][2]*shadow.Result) {
	for candidate := range 2 {
		list[0][candidate] = [2]*shadow.Result{same, same}
		if candidate == 1 {
			list[0][1] = [2]*shadow.Result{differs, differs}
		}
	}
	list[1] = [2][2]*shadow.Result{
		{controlSame, controlled(answers(shadow.Match), nil, total)},
		{controlMissed, controlled(answers(shadow.Match), total, total)},
	}
	return list
}()

// noisy returns results at a place at which the control differs with probability noise, and
// the candidate by chance likewise and by fault besides, where the control is asked with
// probability asked.
func noisy(asked, noise, fault float64) func(*rand.Rand, int) *shadow.Result {
	bit := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	return func(r *rand.Rand, _ int) *shadow.Result {
		return paired[bit(r.Float64() < asked)][bit(r.Float64() < noise || r.Float64() < fault)][bit(r.Float64() < noise)]
	}
}

// either returns bad with probability p, else good.
func either(p float64, bad, good *shadow.Result) func(*rand.Rand, int) *shadow.Result {
	return func(r *rand.Rand, _ int) *shadow.Result {
		if r.Float64() < p {
			return bad
		}
		return good
	}
}

// always differs in the time at asked of the results; the rest, where nobody asked, cannot be
// told from a difference.
func clock(asked, fault float64, broken [2]*shadow.Result) func(*rand.Rand, int) *shadow.Result {
	known, unknown := controlled(answers(shadow.Match), clocks, clocks), with(answers(shadow.Mismatch), clocks)
	return func(r *rand.Rand, _ int) *shadow.Result {
		isBroken, isAsked := r.Float64() < fault, r.Float64() < asked
		switch {
		case isBroken && isAsked:
			return broken[0]
		case isBroken:
			return broken[1]
		case isAsked:
			return known
		}
		return unknown
	}
}

// scenario is a candidate and what is asked of it.
type scenario struct {
	name     string
	result   func(random *rand.Rand, i int) *shadow.Result
	criteria Criteria
	n        int // results
	looks    int // at geometrically growing numbers of results
}

func limited(m Measure, limit float64) Criteria { return Criteria{Limits: Limits{m: limit}} }

// passes is the share of the runs in which any look is a pass, and that of those in which any
// is a fail.
func (s scenario) verdicts(t *testing.T, runs int) (passed, failed float64) {
	t.Helper()
	var passes, fails atomic.Int64
	var wg sync.WaitGroup
	var next atomic.Int64
	for range 2 {
		wg.Go(func() {
			for run := next.Add(1); run <= int64(runs); run = next.Add(1) {
				p, f := s.run(t, uint64(run))
				if p {
					passes.Add(1)
				}
				if f {
					fails.Add(1)
				}
			}
		})
	}
	wg.Wait()
	return float64(passes.Load()) / float64(runs), float64(fails.Load()) / float64(runs)
}

func (s scenario) run(t *testing.T, seed uint64) (passed, failed bool) {
	counts, err := tally.New(tally.Options{})
	if err != nil {
		t.Error(err)
		return
	}
	counts.Watch("orders", func() shadow.Stats { return shadow.Stats{} })
	random := rand.New(rand.NewPCG(seed, 54))
	look := float64(s.n) / math.Pow(2, float64(s.looks-1))
	for i := range s.n {
		if err := counts.Report(t.Context(), s.result(random, i)); err != nil {
			t.Error(err)
		}
		if float64(i+1) < look {
			continue
		}
		look *= 2
		d, err := s.criteria.Decide(counts.Snapshot(), nil)
		if err != nil {
			t.Error(err)
			return
		}
		passed, failed = passed || d.Verdict == Pass, failed || d.Verdict == Fail
	}
	return passed, failed
}

// Each candidate is as bad as must not pass, or worse. Whatever it does to look better, and
// however often one looks, it passes in at most 5 % of the runs.
func TestNoBadCandidatePasses(t *testing.T) {
	const limit = 0.02
	diff := limited(DiffRate, limit)
	lostAt := [2]*shadow.Result{controlled(with(answers(shadow.Mismatch), lost), nil, clocks), with(answers(shadow.Mismatch), lost)}
	wrong := [2]*shadow.Result{controlled(with(answers(shadow.Mismatch), total), clocks, clocks), with(answers(shadow.Mismatch), atTotal)}
	for _, s := range []scenario{
		{"wrong", either(limit, differs, same), diff, 2000, 6},
		{"torn", either(limit, torn, same), limited(UncomparedRate, limit), 2000, 6},
		{"unreadable: its record cannot be masked", either(limit, withheld, same), diff, 2000, 6},
		{"no answer", either(limit, dead, same), limited(ErrorRate, limit), 2000, 6},
		{"slow", func(r *rand.Rand, i int) *shadow.Result {
			return slowly[r.IntN(len(slowly))]
		}, limited(P95Ratio, 2), 2000, 4},
		{"drifting: better at first", func(r *rand.Rand, i int) *shadow.Result {
			return either(limit*(1+math.Cos(math.Pi*float64(i)/1000)), differs, same)(r, i)
		}, diff, 2000, 6},

		{"wrong 5 %, noise 1 %, the control asked 2 %", noisy(.02, .01, .05), diff, 4000, 6},
		{"wrong 2 % beyond noise of 1 %, the control always asked", noisy(1, .01, limit/.99), diff, 4000, 6},
		{"wrong 2 % beyond noise of 20 %, the control asked half the time", noisy(.5, .2, limit/.8), diff, 4000, 6},
		{"wrong 2 %, no noise, the control asked 10 %", noisy(.1, 0, limit), diff, 4000, 6},
		{"a field is missing that is noise in the control", clock(1, limit, lostAt), diff, 4000, 6},
		{"the same, the control asked 20 %", clock(.2, limit, lostAt), diff, 4000, 6},
		{"wrong next to a field that is noise", clock(.2, limit, wrong), diff, 4000, 6},
		{"one place mended, another broken", mendedAndBroken(limit), diff, 4000, 6},
		{"noise once, a fault since", func(r *rand.Rand, i int) *shadow.Result {
			if i < 2000 {
				return noisy(1, .5, 0)(r, i)
			}
			return controlMissed
		}, diff, 4000, 6},
	} {
		t.Run(s.name, func(t *testing.T) {
			passed, failed := s.verdicts(t, *scenarioRuns)
			t.Logf("passed %.3f, failed %.3f", passed, failed)
			assert.LessOrEqual(t, passed, .05+2*math.Sqrt(.05*.95/float64(*scenarioRuns))) // two standard errors
		})
	}
}

// slowly has a 95th percentile of the shadow of twice the primary's.
var slowly = func() (list []*shadow.Result) {
	for i := range 1000 {
		primary := time.Duration(i+1) * 100 * time.Microsecond
		r := slow(answers(shadow.Match), 2*primary+time.Microsecond)
		r.Primary = &shadow.Message{StatusCode: 200, Took: primary}
		list = append(list, r)
	}
	return list
}()

// mendedAndBroken is a candidate that is wrong at one place, and never differs at another,
// at which the control does far more often.
func mendedAndBroken(fault float64) func(*rand.Rand, int) *shadow.Result {
	mended := [2]*shadow.Result{controlSame, controlled(answers(shadow.Match), nil, clocks)}
	broken := [2]*shadow.Result{controlMissed, controlled(with(answers(shadow.Mismatch), total), nil, atTotal)}
	return func(r *rand.Rand, _ int) *shadow.Result {
		kind := mended
		if r.Float64() < fault {
			kind = broken
			if r.Float64() < .9 {
				return kind[0]
			}
			return kind[1]
		}
		if r.Float64() < .1 {
			return kind[1]
		}
		return kind[0]
	}
}

// Each of these is good. It passes at the size that its evidence takes, and does not fail.
func TestGoodCandidatesPass(t *testing.T) {
	const limit = 0.02
	diff := limited(DiffRate, limit)
	broken := [2]*shadow.Result{controlMissed, differs}
	for _, s := range []scenario{
		{"right", either(0, differs, same), diff, 400, 3},
		{"nearly right", either(limit/10, differs, same), diff, 2000, 3},
		{"hardly torn", either(limit/10, torn, same), limited(UncomparedRate, limit), 2000, 3},
		{"hardly ever without an answer", either(limit/10, dead, same), limited(ErrorRate, limit), 2000, 3},
		{"as fast", either(0, differs, same), limited(P95Ratio, 2), 400, 3},
		{"right, the control always asked", noisy(1, 0, 0), diff, 500, 3},
		{"right, and always the time, the control always asked", clock(1, 0, broken), diff, 500, 3},
		{"right, and always the time, the control asked 20 %", clock(.2, 0, broken), diff, 5000, 3},
		{"right, and noise of 1 %, the control always asked", noisy(1, .01, 0), diff, 10_000, 3},
		{"nearly right, and noise of 0.5 %, the control asked half the time", noisy(.5, .005, limit/20), diff, 20_000, 3},
	} {
		t.Run(s.name, func(t *testing.T) {
			runs := min(*scenarioRuns/5, 200)
			passed, failed := s.verdicts(t, runs)
			t.Logf("passed %.3f, failed %.3f", passed, failed)
			assert.GreaterOrEqual(t, passed, .9)
			assert.LessOrEqual(t, failed, .05)
		})
	}
	require.NotNil(t, broken)
}

// Evidence is not made by counting it again, nor time by a clock that is wrong.
func TestNothingIsGainedByMergingASnapshotTwiceOrByAClock(t *testing.T) {
	counts, err := tally.New(tally.Options{})
	require.NoError(t, err)
	for range 1300 {
		require.NoError(t, counts.Report(t.Context(), same))
	}
	s := counts.Snapshot()
	s.Since, s.Taken = s.Since.Add(-2*time.Hour), s.Taken.Add(2*time.Hour)
	merged, err := tally.Merge(s, counts.Snapshot(), s)
	require.NoError(t, err)
	for _, c := range []Criteria{limited(DiffRate, .001), {MinDuration: Duration(time.Hour), Limits: Limits{Compared: 1000}}} {
		d, err := c.Decide(merged, nil)
		require.NoError(t, err)
		assert.Equal(t, Insufficient, d.Verdict, d)
	}
}

// A tally is in memory: a process that restarts starts another. Counts of both are merged,
// and a bad candidate does not pass by being counted in parts.
func TestABadCandidateDoesNotPassByRestarts(t *testing.T) {
	const limit, parts = 0.02, 4
	passes := 0
	for run := range *scenarioRuns {
		random, bad := rand.New(rand.NewPCG(uint64(run), 55)), either(limit, differs, same)
		var snapshots []*tally.Snapshot
		passed := false
		for range parts {
			counts, err := tally.New(tally.Options{})
			require.NoError(t, err)
			for i := range 400 {
				require.NoError(t, counts.Report(t.Context(), bad(random, i)))
			}
			snapshots = append(snapshots, counts.Snapshot())
			merged, err := tally.Merge(snapshots...)
			require.NoError(t, err)
			d, err := limited(DiffRate, limit).Decide(merged, nil)
			require.NoError(t, err)
			passed = passed || d.Verdict == Pass
		}
		if passed {
			passes++
		}
	}
	t.Logf("passed %.3f", float64(passes)/float64(*scenarioRuns))
	assert.LessOrEqual(t, float64(passes)/float64(*scenarioRuns), .05+2*math.Sqrt(.05*.95/float64(*scenarioRuns)))
}

// From real answers to the verdict: what cannot be read counts, however it is masked.
func TestACandidateWhoseAnswersCannotBeReadDoesNotPass(t *testing.T) {
	const answer = `{"card":"4111","total":7}`
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	_, err := io.WriteString(zip, answer)
	require.NoError(t, err)
	require.NoError(t, zip.Close())
	one := func(coding string, body []byte) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if coding != "" {
				w.Header().Set("Content-Encoding", coding)
			}
			_, _ = w.Write(body)
		})
	}
	plain, zipped := one("", []byte(answer)), one("gzip", packed.Bytes())
	for name, tt := range map[string]struct {
		primary, candidate http.Handler // the candidate in one answer of five
		want               Verdict
	}{
		"good":        {plain, plain, Pass},
		"good, gzip":  {zipped, zipped, Pass},
		"broken JSON": {plain, one("", []byte(answer[:10])), Fail},
		"torn gzip":   {zipped, one("gzip", packed.Bytes()[:packed.Len()-12]), Fail},
	} {
		for masked, options := range map[string][]shadow.Option{"masked": {shadow.WithMasker(shadow.MaskJSON("$.card"))}, "as it is": nil} {
			t.Run(name+", "+masked, func(t *testing.T) {
				counts, err := tally.New(tally.Options{})
				require.NoError(t, err)
				n := atomic.Int64{}
				m, err := shadow.New(shadow.InProcess("v2", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if n.Add(1)%5 == 0 {
						tt.candidate.ServeHTTP(w, r)
						return
					}
					tt.primary.ServeHTTP(w, r)
				})), append(options, shadow.WithReporter(counts), shadow.WithLoadShedding(shadow.LoadSheddingOptions{Off: true}),
					shadow.WithLogger(slog.New(slog.DiscardHandler)))...)
				require.NoError(t, err)
				h := m.Handler(tt.primary)
				for range 200 {
					h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
				}
				require.NoError(t, m.Shutdown(t.Context()))
				d, err := Criteria{Limits: Limits{DiffRate: .05, UncomparedRate: .05, ErrorRate: .05}}.Decide(counts.Snapshot(), nil)
				require.NoError(t, err)
				assert.Equal(t, tt.want, d.Verdict, d)
			})
		}
	}
}
