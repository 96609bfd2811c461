package gate

import (
	"fmt"
	"math"

	"github.com/goshadow/shadow/internal/stats"
)

// judge checks limits with statistics.
type judge struct {
	test       stats.Test
	confidence string
	alpha      float64 // of a false pass, for each check: a candidate has to get past all of them
	spent      float64 // of a false fail, for each check: it takes only one of them
}

// newJudge shares out the level of a false fail among the checks: 6/(pi m)^2 of it to each
// where there are m. That is valid even while m grows with the routes that turn up. The
// i-th of them is never judged while there are fewer than i, so that all together spend no
// more than the sum of 6/(pi i)^2 over all i, which is 1.
func newJudge(c Criteria, checks int) judge {
	j := judge{test: stats.Anytime, confidence: percent(c.confidence(), nearest), alpha: 1 - c.confidence()}
	if c.Looks == Once {
		j.test = stats.Exact
	}
	m := float64(max(checks, 1))
	j.spent = j.alpha * 6 / (math.Pi * math.Pi * m * m)
	return j
}

func (j judge) check(m measure, s *scope, limit float64) Check {
	if s.problem != "" && !m.whole && m.claim != atLeast {
		return Check{Name: string(m.name), Route: s.route, Limit: limit, Verdict: Insufficient, Reason: s.problem}
	}
	if s.greatest > 0 && !m.whole {
		j.test = stats.Anytime // that for one look is exact for counts alone
	}
	var check Check
	switch m.claim {
	case under, over:
		check = j.share(m, s, limit)
	case ratio:
		check = j.ratio(s, limit)
	case seconds:
		check = j.seconds(s, limit)
	case atLeast:
		check = atLeastCompared(s, limit)
	}
	check.Name, check.Route, check.Limit = string(m.name), s.route, limit
	return check
}

// share judges a share of observations that speak against the candidate. Of a measure whose
// limit is a share to stay over, that is the rest.
func (j judge) share(m measure, s *scope, limit float64) Check {
	if m.whole && !s.ledger {
		return Check{Verdict: Insufficient, Reason: "the ledger of the mirror is not in the snapshot: have the tally watch the mirror"}
	}
	e := j.evidence(m, s)
	worst, better, worse := limit, "under", "over"
	say := percent
	if m.claim == over {
		worst, better, worse = 1-limit, "over", "under"
		say = func(share float64, r rounding) string { return percent(1-share, -r) }
	}
	lower, upper := j.test.Lower(e.fail.bad, e.fail.of, j.spent), min(j.test.Upper(e.pass.bad, e.pass.of, e.alpha)+e.noise, 1)

	check := Check{}
	seen := fmt.Sprintf("%s in %s", m.bad.count(e.copies.bad), thousands(e.copies.of))
	if e.copies.of > 0 {
		of := ""
		if e.weighed {
			of = " of the requests"
		}
		if e.copies.bad > 0 {
			seen += fmt.Sprintf(" (%s%s)", percent(e.share, nearest), of)
		}
		check.Observed, check.Lower, check.Upper = &e.share, &lower, &upper
		if m.claim == over {
			check.Observed, check.Lower, check.Upper = new(1-e.share), new(1-upper), new(1-lower)
		}
	}
	switch {
	case j.test(e.pass.bad, e.pass.of, worst-e.noise) <= e.alpha:
		check.Verdict = Pass
		check.Reason = fmt.Sprintf("%s: %s %s at %s; the limit is %s",
			seen, better, say(upper, up), j.confidence, percent(limit, nearest))
	case j.test(e.fail.of-e.fail.bad, e.fail.of, 1-worst) <= j.spent:
		check.Verdict = Fail
		check.Reason = fmt.Sprintf("%s: %s %s at %s; the limit is %s",
			seen, worse, say(lower, down), j.confidence, percent(limit, nearest))
	default:
		check.Verdict = Insufficient
		if e.noise >= worst {
			check.Reason = fmt.Sprintf("%s; up to %s may be more than noise: results with a control are needed to claim %s %s at %s",
				seen, percent(e.noise, up), better, percent(limit, nearest), j.confidence)
			break
		}
		more, ok := j.test.Needed(e.pass.bad, e.pass.of, worst-e.noise, e.alpha)
		if !ok {
			check.Reason = fmt.Sprintf("%s; no number of requests will show %s %s at %s",
				seen, better, percent(limit, nearest), j.confidence)
			break
		}
		check.Needed = more
		atLeast := "at least "
		if e.copies.bad == 0 && !e.weighed {
			atLeast = ""
		}
		check.Reason = fmt.Sprintf("%s; %s%s more needed to claim %s %s at %s",
			seen, atLeast, thousands(more), better, percent(limit, nearest), j.confidence)
	}
	return check
}

// ratio judges the p95 of the shadow by that of the primary. A pass takes the bounds of
// both, so each has half of the level.
func (j judge) ratio(s *scope, limit float64) Check {
	const q = 0.95
	primary, candidate := j.quantile(s, &s.primary, q, j.alpha/2), j.quantile(s, &s.shadow, q, j.alpha/2)
	upper := math.Inf(1)
	if primary.lower > 0 {
		upper = candidate.upper / primary.lower
	}
	primaryStrict, candidateStrict := j.quantile(s, &s.primary, q, j.spent/2), j.quantile(s, &s.shadow, q, j.spent/2)
	lower := 0.0
	if primaryStrict.upper > 0 {
		lower = candidateStrict.lower / primaryStrict.upper // 0 where that is infinite
	}

	check := Check{Verdict: Insufficient}
	answers := noun{"answer", "answers"}.count(s.shadow.Count())
	if s.shadow.Count() > 0 && s.primary.Count() > 0 && primary.observed > 0 {
		check.Observed = new(candidate.observed / primary.observed)
		check.Lower = new(lower)
		answers += fmt.Sprintf(": p95 of %s, %s times the primary's %s",
			latency(candidate.observed), three(*check.Observed, nearest), latency(primary.observed))
	}
	if !math.IsInf(upper, 1) {
		check.Upper = new(upper)
	}
	switch {
	case upper < limit:
		check.Verdict = Pass
		check.Reason = fmt.Sprintf("%s, at most %s times at %s; the limit is %s", answers, three(upper, up), j.confidence, three(limit, nearest))
	case lower >= limit:
		check.Verdict = Fail
		check.Reason = fmt.Sprintf("%s, at least %s times at %s; the limit is %s", answers, three(lower, down), j.confidence, three(limit, nearest))
	case math.IsInf(upper, 1):
		check.Reason = answers + "; " + j.toBound(q, j.alpha/2, min(s.observations(&s.shadow), s.observations(&s.primary)), &check)
	default:
		check.Reason = fmt.Sprintf("%s, between %s and %s times at %s; %s needed to tell it from %s",
			answers, three(lower, down), three(upper, up), j.confidence, s.more(), three(limit, nearest))
	}
	return check
}

// seconds judges the median of the lag.
func (j judge) seconds(s *scope, limit float64) Check {
	const q = 0.5
	b, strict := j.quantile(s, &s.lag, q, j.alpha), j.quantile(s, &s.lag, q, j.spent)
	check := Check{Verdict: Insufficient}
	results := noun{"result", "results"}.count(s.lag.Count())
	if s.lag.Count() > 0 {
		check.Observed, check.Lower = new(b.observed), new(strict.lower)
		results += fmt.Sprintf(": median of %s", latency(b.observed))
	}
	if !math.IsInf(b.upper, 1) {
		check.Upper = new(b.upper)
	}
	switch {
	case b.upper < limit:
		check.Verdict = Pass
		check.Reason = fmt.Sprintf("%s, at most %s at %s; the limit is %s", results, latency(b.upper), j.confidence, latency(limit))
	case strict.lower >= limit:
		check.Verdict = Fail
		check.Reason = fmt.Sprintf("%s, at least %s at %s; the limit is %s", results, latency(strict.lower), j.confidence, latency(limit))
	case math.IsInf(b.upper, 1):
		check.Reason = results + "; " + j.toBound(q, j.alpha, s.observations(&s.lag), &check)
	default:
		check.Reason = fmt.Sprintf("%s, between %s and %s at %s; %s needed to tell it from %s",
			results, latency(strict.lower), latency(b.upper), j.confidence, s.more(), latency(limit))
	}
	return check
}

// toBound says how many more observations it takes for the quantile q to have an upper
// bound at level alpha.
func (j judge) toBound(q, alpha float64, n uint64, check *Check) string {
	more, _ := j.test.Needed(0, n, 1-q, alpha)
	if more == 0 { // the primary's may be 0, of which nothing is a multiple
		return "the primary's latencies are too short to be compared with"
	}
	check.Needed = more
	return fmt.Sprintf("at least %s more needed to bound it at %s", thousands(more), j.confidence)
}

func atLeastCompared(s *scope, limit float64) Check {
	n := s.results.Compared()
	check := Check{Verdict: Pass, Observed: new(float64(n)),
		Reason: fmt.Sprintf("%s; the minimum is %s", comparisons.count(n), thousands(uint64(limit)))}
	if float64(n) < limit {
		check.Verdict = Insufficient
		check.Needed = uint64(limit) - n
		check.Reason = fmt.Sprintf("%s; %s more needed", comparisons.count(n), thousands(check.Needed))
	}
	return check
}
