package gate

import (
	"math"

	"github.com/goshadow/shadow/report/tally"
)

// A mismatch is taken for noise where the control differs too and nothing shows that the
// candidate differs more often. That is no proof: a candidate that is worse by little, or a
// control that is asked rarely, looks the same. So a diff rate under a limit is claimed only
// for the sum of two bounds: that of the mismatches that are not taken for noise, and that of
// how many of the others may be more than noise. The second is known from the results with a
// control alone, in either of two ways.
//
// Beyond: how often the candidate differs where the control, in the same request, does not.
// That is close to 0 for what always differs, such as the time.
//
// Excess: at each place, by how much the candidate differs more often than the control. Noise
// that comes and goes is as frequent on both sides. Places are not set off against each
// other: a candidate may have mended one and broken another.

// routeNoise is what a route with noise is judged by.
type routeNoise struct {
	compared, controlled, beyond uint64
	fields                       []tally.Pairs // places that are Noisy
}

// add keeps what r has of noise. Fields are those of the route.
func (s *scope) addNoise(r *tally.Route, fields []*tally.Field) {
	n := routeNoise{compared: r.Results.Compared(), controlled: r.Controlled, beyond: r.Beyond}
	for _, f := range fields {
		if f.ControlOnly+f.Both > 0 {
			s.tested++
		}
		if f.Stability == tally.Noisy {
			n.fields = append(n.fields, tally.Pairs{CandidateOnly: f.CandidateOnly, ControlOnly: f.ControlOnly, Both: f.Both})
		}
	}
	if r.Noisy > 0 {
		s.noise = append(s.noise, n)
	}
}

// certain leaves in the doubtful mismatches of each route only those that may turn out to be
// noise, because the control is asked there and has not said enough yet.
func certain(routes []*scope, hasControl bool) {
	var controlled, compared uint64
	for _, s := range routes {
		controlled += s.controlled
		compared += s.results.Compared()
	}
	for _, s := range routes {
		// Where the control should have been asked many times and was not, it never is: unsafe
		// methods, such as POST.
		const many = 10
		expected := float64(s.results.Compared()) * float64(controlled) / float64(max(compared, 1))
		if s.controlled == 0 && (!hasControl && controlled == 0 || expected >= many) {
			s.doubtful = 0
		}
	}
}

// noise returns the evidence e of differences, with what is known of noise.
func (j judge) noise(s *scope, e evidence) evidence {
	if e.weighed { // the counts of the control are not: noise is counted against the candidate, and fails nobody
		e.fail.bad -= min(up64(s.weighted.Noisy/s.greatest), e.fail.bad)
		if s.doubtful > 0 {
			e.fail.bad = 0
		}
		return e
	}
	e.fail.bad -= min(s.doubtful, e.fail.bad)
	if s.controlled == 0 {
		return e
	}
	e.alpha = j.alpha / 2 // the other half is for the bounds with noise, which a gate may turn to at any time
	if len(s.noise) > 0 {
		e.alpha = j.alpha / 4
		e.noise = j.realNoise(s, j.alpha/4)
	}
	return e
}

// realNoise returns the upper bound, at level alpha, of the share of the comparisons of s
// that are taken for noise and are more than that.
func (j judge) realNoise(s *scope, alpha float64) float64 {
	if len(s.noise) == 0 {
		return 0
	}
	var all routeNoise
	for _, r := range s.noise {
		all.compared += r.compared
		all.controlled += r.controlled
		all.beyond += r.beyond
	}
	// The shares of the routes among the results with a control need not be those among the
	// comparisons: skew is the most by which a route counts too little.
	skew, excess := 1.0, 0.0
	m := float64(max(s.tested, 1))
	level := alpha / 2 * 6 / (math.Pi * math.Pi * m * m) // valid while places turn up: see newJudge
	for _, r := range s.noise {
		if r.controlled == 0 {
			return 1
		}
		share := float64(r.compared) / float64(all.compared)
		skew = max(skew, share/(float64(r.controlled)/float64(all.controlled)))
		if len(r.fields) == 0 { // where, nobody knows
			excess++
		}
		for _, f := range r.fields {
			excess += share * max(j.test.Excess(f.CandidateOnly, f.ControlOnly, r.controlled, level), 0)
		}
	}
	beyond := skew * j.test.Upper(all.beyond, all.controlled, alpha/2)
	return min(beyond, excess, 1) * float64(all.compared) / float64(s.results.Compared())
}
