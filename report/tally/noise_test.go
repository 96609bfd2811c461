package tally

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

// The table of the binomial test in Siegel, Nonparametric Statistics (1956), table D: the
// one-tailed probability of x or fewer of n.
func TestMcNemarAgreesWithThePublishedTable(t *testing.T) {
	for _, row := range []struct {
		n, x uint64
		want float64
	}{
		{5, 0, .031}, {6, 1, .109}, {7, 0, .008}, {8, 1, .035}, {9, 2, .090}, {10, 1, .011}, {10, 2, .055},
		{12, 2, .019}, {15, 3, .018}, {15, 4, .059}, {18, 5, .048}, {20, 5, .021}, {22, 6, .026}, {25, 7, .022}, {25, 12, .5},
	} {
		assert.InDelta(t, row.want, mcnemar(row.n-row.x, row.x), .0006, "%d of %d", row.x, row.n)
	}
}

func TestMcNemarIsDefinedEverywhere(t *testing.T) {
	assert.Equal(t, 1.0, mcnemar(0, 0), "no pair")
	assert.Equal(t, 1.0, mcnemar(0, 1), "one pair")
	assert.InDelta(t, 0.5, mcnemar(1, 0), 1e-15, "one pair")
	assert.Equal(t, 1.0, mcnemar(0, 1e6), "all for the control")
	assert.InDelta(t, math.Exp2(-50), mcnemar(50, 0), 1e-25, "all for the candidate")
	assert.Zero(t, mcnemar(1e6, 0))
	for n, p := 1.0, 1.0; n < 1e16; n *= 10 {
		next := mcnemar(uint64(n), uint64(n))
		assert.True(t, next >= .5 && next < p || next == .5, "as many on both sides, %v: %v", n, next)
		p = next
	}
	for _, b := range []uint64{499_000, 500_000, 500_500, 501_000, 502_000} { // where the one way of computing ends
		p, next := mcnemar(b, 1e6-b), mcnemar(b+1, 1e6-b)
		assert.InEpsilon(t, p, next, .02, "%d", b)
	}
	for b := range uint64(60) { // the sum that it stands for
		for c := range uint64(60) {
			sum, term := 0.0, math.Exp2(-float64(b+c)) // of k = 0
			for k := range b + c + 1 {
				if k >= b {
					sum += term
				}
				term *= float64(b+c-k) / float64(k+1)
			}
			require.InDelta(t, sum, mcnemar(b, c), 1e-12, "%d %d", b, c)
		}
	}
}

// The example of Benjamini and Hochberg (1995), section 3.3: of these 15 the first four
// are significant at 0.05, where Bonferroni finds three.
func TestAdjustAgreesWithThePublishedExample(t *testing.T) {
	p := []float64{.0001, .0004, .0019, .0095, .0201, .0278, .0298, .0344, .0459, .3240, .4262, .5719, .6528, .7590, 1}
	want := []float64{.0015, .003, .0095, .035625, .0603}
	q := adjust(p)
	for i, w := range want {
		assert.InDelta(t, w, q[i], 1e-9)
	}
	significant := 0
	for _, v := range q {
		if v <= .05 {
			significant++
		}
	}
	assert.Equal(t, 4, significant)
	assert.True(t, slices.IsSorted(q))
	assert.Equal(t, 1.0, q[14])

	assert.Empty(t, adjust(nil))
	assert.Equal(t, []float64{.3}, adjust([]float64{.3}))
	assert.InDeltaSlice(t, []float64{.2, .2, .2}, adjust([]float64{.2, .2, .2}), 1e-15, "all equal")
	assert.InDeltaSlice(t, []float64{1, .03, .75}, adjust([]float64{1, .01, .5}), 1e-15, "in any order")
}

// run is a field in n results with a control: both sides differ with probability noise,
// and the candidate with probability regression besides.
func run(r *rand.Rand, n int, noise, regression float64) (b, c, both uint64) {
	for range n {
		candidate := r.Float64() < noise || r.Float64() < regression
		control := r.Float64() < noise
		switch {
		case candidate && control:
			both++
		case candidate:
			b++
		case control:
			c++
		}
	}
	return b, c, both
}

// byThreshold is the rule that most tools use (Diffy, with its defaults): raw differences
// more than noise, by more than 20 % of their sum and 0.03 % of all.
func byThreshold(raw, noise, n uint64) bool {
	excess := float64(raw) - float64(noise)
	return raw > noise && 100*excess/float64(raw+noise) > 20 && 100*excess/float64(n) > .03
}

// byTally asks a snapshot.
func byTally(b, c, both, n uint64) bool {
	s := &Snapshot{
		MinRuns: defaultMinRuns, FalseDiscovery: defaultFalseDiscovery,
		Routes: []Route{{Results: Counts{Mismatch: n}, Controlled: n}},
		Fields: []Field{{Count: b + both, CandidateOnly: b, ControlOnly: c, Both: both}},
	}
	s.finish()
	f := s.Fields[0]
	return f.Stability == Worse || f.Stability == Deterministic && f.Count > 0
}

// A rule by thresholds takes noise for differences where there are few results, and never
// finds a field worse that is noisy most of the time. The seed is fixed, so that the
// figures are too. The test of a Tally is exact: that its false alarms are at most 1 % is
// computed below; of a sample 1 % and three standard errors is asked.
func TestNoiseIsToldFromDifferencesWhereThresholdsFail(t *testing.T) {
	const trials = 2000
	for _, row := range []struct {
		n                 int
		noise, regression float64
		threshold         [2]float64 // what the thresholds find: between
		found             [2]float64 // what a Tally finds: between
	}{
		// Nothing to find.
		{30, .01, 0, [2]float64{.15, .30}, [2]float64{0, .01}},
		{100, .01, 0, [2]float64{.28, .40}, [2]float64{0, .01}},
		{1000, .005, 0, [2]float64{.22, .33}, [2]float64{0, .01}},
		{1000, .3, 0, [2]float64{0, 1}, [2]float64{0, .017}},
		{1000, .7, 0, [2]float64{0, 1}, [2]float64{0, .017}},
		{3000, .01, 0, [2]float64{0, 1}, [2]float64{0, .017}},
		// Something to find.
		{1000, .05, .10, [2]float64{.99, 1}, [2]float64{.99, 1}},
		{1000, .7, .3, [2]float64{0, .01}, [2]float64{.98, 1}},
		{1000, .99, 1, [2]float64{0, 0}, [2]float64{.8, 1}},
		{100, 0, .15, [2]float64{.99, 1}, [2]float64{.95, 1}},
		// A field that is never noise: the test alone is blind to it, every difference counts.
		{3000, 0, .002, [2]float64{.95, 1}, [2]float64{.99, 1}},
	} {
		t.Run(fmt.Sprintf("n=%d noise=%v regression=%v", row.n, row.noise, row.regression), func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(row.n), math.Float64bits(row.noise)))
			thresholds, found := 0, 0
			for range trials {
				b, c, both := run(r, row.n, row.noise, row.regression)
				if byThreshold(b+both, c+both, uint64(row.n)) {
					thresholds++
				}
				if byTally(b, c, both, uint64(row.n)) {
					found++
				}
			}
			share := func(n int) float64 { return float64(n) / trials }
			t.Logf("thresholds %.1f %%, tally %.1f %%", 100*share(thresholds), 100*share(found))
			assert.GreaterOrEqual(t, share(thresholds), row.threshold[0])
			assert.LessOrEqual(t, share(thresholds), row.threshold[1])
			assert.GreaterOrEqual(t, share(found), row.found[0])
			assert.LessOrEqual(t, share(found), row.found[1])
		})
	}
}

// falseAlarm is the probability that a field is found although both sides differ at random
// with probability noise, in n results with a control.
func falseAlarm(n uint64, noise float64) (p float64) {
	binomial := func(n, k uint64, p float64) float64 {
		a, _ := math.Lgamma(float64(n) + 1)
		b, _ := math.Lgamma(float64(k) + 1)
		c, _ := math.Lgamma(float64(n-k) + 1)
		return math.Exp(a - b - c + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p))
	}
	for m := range n + 1 { // pairs that disagree
		for b := range m + 1 { // of which so many are the candidate's
			if byTally(b, m-b, 0, n) {
				p += binomial(n, m, 2*noise*(1-noise)) * binomial(m, b, .5)
			}
		}
	}
	return p
}

// A field is found because of noise in at most 1 % of the cases, whatever the noise.
func TestNoNoiseIsMistakenInMoreThanOnePercentOfTheCases(t *testing.T) {
	for _, n := range []uint64{1, 10, 30, 100, 300} {
		for _, noise := range []float64{.0001, .001, .003, .01, .03, .1, .3, .5, .7, .9, .99} {
			assert.LessOrEqual(t, falseAlarm(n, noise), .01, "%d results, noise %v", n, noise)
		}
	}
	assert.Greater(t, falseAlarm(300, .5), .005, "it is not because nothing is ever found")
}

// From MinRuns on every difference counts at which the control never differed. What is
// noise far more rarely than once in MinRuns runs cannot be told from that.
func TestOnlyTheRarestNoiseLooksLikeADifference(t *testing.T) {
	mistaken := func(noise float64) float64 { // the control never differs, and the candidate does
		never := math.Pow(1-noise, defaultMinRuns)
		return never * (1 - never)
	}
	assert.LessOrEqual(t, mistaken(.0016), .01)
	assert.InDelta(t, .25, mistaken(math.Ln2/defaultMinRuns), .001, "the worst case")
}

// Many fields are tested at a time: among those that are found there are no more false
// ones than allowed, and hardly ever one where there is nothing to find.
func TestManyNoisyFieldsRaiseNoFalseAlarm(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	const trials, noisy = 300, 100
	alarms, falsely, found := 0, 0.0, 0
	for trial := range trials {
		s := &Snapshot{MinRuns: defaultMinRuns, FalseDiscovery: defaultFalseDiscovery, Routes: []Route{{Results: Counts{Mismatch: 1000}, Controlled: 1000}}}
		worse := 0
		if trial%2 == 1 { // in every other one five fields got worse
			worse = 5
		}
		for i := range noisy + worse {
			regression := 0.0
			if i >= noisy {
				regression = .2
			}
			b, c, both := run(r, 1000, .1, regression)
			s.Fields = append(s.Fields, Field{Place: Place{Path: fmt.Sprintf("/body/f%03d", i)}, Count: b + both, CandidateOnly: b, ControlOnly: c, Both: both})
		}
		s.finish()
		truly, wrongly := 0, 0
		for i, f := range s.Fields {
			switch {
			case f.Stability != Worse:
				assert.Equal(t, Noisy, f.Stability)
			case i >= noisy:
				truly++
			default:
				wrongly++
			}
		}
		if worse == 0 && wrongly > 0 {
			alarms++
		}
		if worse > 0 {
			found += truly
			falsely += float64(wrongly) / float64(max(truly+wrongly, 1))
		}
	}
	t.Logf("false alarms %d of %d; false share %.4f; found %d of %d", alarms, trials/2, falsely/(trials/2), found, 5*trials/2)
	assert.LessOrEqual(t, float64(alarms)/(trials/2), .03, "1 % is allowed, and this is a sample of 150")
	assert.LessOrEqual(t, falsely/(trials/2), .02, "likewise: the standard error is .0036")
	assert.Equal(t, 5*trials/2, found)
}

func TestAVerdictFollowsFromTheControl(t *testing.T) {
	for name, tt := range map[string]struct {
		field Field
		runs  uint64
		want  Stability
	}{
		"no control":               {Field{Count: 9}, 0, Unproven},
		"too few runs":             {Field{CandidateOnly: 3}, 2999, Unproven},
		"as many runs as it takes": {Field{CandidateOnly: 3}, 3000, Deterministic},
		"the control never differed, nor candidate": {Field{}, 3000, Deterministic},
		"few runs, and the candidate always":        {Field{CandidateOnly: 20}, 20, Worse},
		"the control differed once":                 {Field{CandidateOnly: 3, ControlOnly: 1}, 3000, Noisy},
		"the control differed at the same time":     {Field{Both: 3}, 3000, Noisy},
		"the control differed, in few runs":         {Field{CandidateOnly: 1, ControlOnly: 1}, 29, Unproven},
		"the control differed, in enough runs":      {Field{CandidateOnly: 1, ControlOnly: 1}, 30, Noisy},
		"the candidate is better":                   {Field{CandidateOnly: 1, ControlOnly: 100}, 3000, Noisy},
		"the candidate is worse":                    {Field{CandidateOnly: 30, ControlOnly: 5, Both: 2000}, 3000, Worse},
	} {
		t.Run(name, func(t *testing.T) {
			s := &Snapshot{MinRuns: 3000, FalseDiscovery: .01, Routes: []Route{{Controlled: tt.runs}}, Fields: []Field{tt.field}}
			s.finish()
			assert.Equal(t, tt.want, s.Fields[0].Stability)
			assert.Equal(t, tt.runs, s.Fields[0].Runs)
		})
	}
}

// A group is noise only if all of it is.
func TestAGroupIsAsGraveAsItsGravestField(t *testing.T) {
	field := func(path string, f Field) Field { f.Path, f.Kind = path, shadow.Changed; return f }
	fields := []Field{
		field("/body/worse", Field{CandidateOnly: 30, ControlOnly: 1}),
		field("/body/steady", Field{CandidateOnly: 1}),
		field("/body/noisy", Field{CandidateOnly: 1, ControlOnly: 1}),
		field(Other, Field{CandidateOnly: 1, ControlOnly: 1}),
	}
	fields[3].Kind = ""
	for name, tt := range map[string]struct {
		places []string
		more   bool
		want   Stability
		noisy  uint64
	}{
		"noise":                    {places: []string{"noisy"}, want: Noisy, noisy: 7},
		"noise, and nobody knows":  {places: []string{"noisy"}, more: true, want: Unproven},
		"noise and steady":         {places: []string{"noisy", "steady"}, want: Deterministic},
		"all":                      {places: []string{"noisy", "steady", "worse"}, want: Worse},
		"a field without room":     {places: []string{"new"}, want: Unproven}, // Other is many places: one may be noise, another not
		"that nothing is known of": {want: Unproven},
	} {
		t.Run(name, func(t *testing.T) {
			g := Group{Fingerprint: "a", Count: 7, MorePlaces: tt.more}
			for _, p := range tt.places {
				g.Places = append(g.Places, Place{"/body/" + p, shadow.Changed})
			}
			s := &Snapshot{
				MinRuns: 3000, FalseDiscovery: .01, Fields: slices.Clone(fields), Groups: []Group{g},
				Routes: []Route{{Results: Counts{Match: 4000 - 7, Mismatch: 7}, Controlled: 4000}},
			}
			s.finish()
			assert.Equal(t, tt.want, s.Groups[0].Stability)
			assert.Equal(t, tt.noisy, s.Routes[0].Noisy)
			assert.Equal(t, 7-tt.noisy, s.Routes[0].Unexplained())
			assert.InDelta(t, 7.0/4000, s.Groups[0].Share, 1e-12)
		})
	}
}

// Evidence decays: what a field was for long does not excuse what it is now, and what it
// once was is not held against it for ever.
func TestAFieldIsJudgedByItsLastWindow(t *testing.T) {
	at := func(differs bool) []shadow.Diff {
		if !differs {
			return nil
		}
		return []shadow.Diff{{Path: "/body/at", Kind: shadow.Changed}}
	}
	for name, tt := range map[string]struct {
		phases []phase
		want   Stability
	}{
		"noise":                          {[]phase{{100_000, .5, .5}}, Noisy},
		"regressions after noise":        {[]phase{{100_000, .5, .5}, {500, 1, 0}}, Worse},
		"regressions, the noise goes on": {[]phase{{100_000, .5, .5}, {2000, 1, .5}}, Worse},
		"steady after noise":             {[]phase{{10_000, .5, .5}, {7000, 0, 0}, {1, 1, 0}}, Deterministic},
		"noise after regressions":        {[]phase{{500, 1, 0}, {7000, .5, .5}}, Noisy},
		"regressions in the last window": {[]phase{{500, 1, 0}, {2000, .01, .01}}, Worse},
	} {
		t.Run(name, func(t *testing.T) {
			tally, err := New(Options{})
			require.NoError(t, err)
			r := rand.New(rand.NewPCG(1, 2))
			for _, p := range tt.phases {
				for range p.n {
					x := &shadow.Result{Outcome: shadow.Match, Diffs: at(r.Float64() < p.candidate), Control: &shadow.ControlDiffs{Diffs: at(r.Float64() < p.control)}}
					if x.Diffs != nil {
						x.Outcome = shadow.Mismatch
						if x.Control.Diffs != nil {
							x.Outcome, x.Diffs, x.Noise = shadow.Match, nil, x.Diffs
						}
					}
					require.NoError(t, tally.Report(t.Context(), x))
				}
			}
			s := tally.Snapshot()
			assert.Equal(t, tt.want, s.Fields[0].Stability, "%+v", s.Fields[0])
		})
	}
}

type phase struct {
	n                  int
	candidate, control float64 // how often they differ
}

// Where not all differences are known a group may have others than noise.
func TestAGroupWithUnknownDifferencesIsNotNoise(t *testing.T) {
	tally, err := New(Options{})
	require.NoError(t, err)
	at := []shadow.Diff{{Path: "/body/at", Kind: shadow.Changed}}
	for range 1000 {
		require.NoError(t, tally.Report(t.Context(), &shadow.Result{Outcome: shadow.Match, Noise: at, Control: &shadow.ControlDiffs{Diffs: at}}))
		require.NoError(t, tally.Report(t.Context(), &shadow.Result{Outcome: shadow.Mismatch, Diffs: at}))
		require.NoError(t, tally.Report(t.Context(), &shadow.Result{Outcome: shadow.Mismatch, Diffs: at, More: true}))
	}
	s := tally.Snapshot()
	require.Len(t, s.Groups, 2)
	assert.EqualValues(t, 1000, s.Routes[0].Noisy)
	assert.EqualValues(t, 1000, s.Routes[0].Unproven)
	assert.EqualValues(t, 1000, s.Routes[0].Unexplained())
}
