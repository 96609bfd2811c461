package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os/exec"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/report/gate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// program returns the path of a program of a Debian package, or skips the test.
func program(t *testing.T, name, debian string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("NOT TESTED: there is no %s here. apt-get install %s", name, debian)
	}
	return path
}

// within is a context for what waits for other processes, on a machine that may be busy.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// start starts a fleet and the Prometheus that scrapes it.
func start(t *testing.T, candidate http.Handler) (*fleet, *prometheus, gate.Criteria) {
	t.Helper()
	path := program(t, "prometheus", "prometheus")
	criteria, err := readCriteria()
	require.NoError(t, err)
	f, err := newFleet(candidate)
	require.NoError(t, err)
	t.Cleanup(f.close)
	p, err := startPrometheus(within(t), path, f, criteria)
	require.NoError(t, err)
	t.Cleanup(p.close)
	return f, p, criteria
}

const requests = 1500

func TestTheGateOverAFleetAgreesWithPrometheus(t *testing.T) {
	for name, c := range map[string]struct {
		price pricing
		want  gate.Verdict
	}{
		"a good candidate": {byThePiece, gate.Pass},
		"a bad candidate":  {withDiscounts, gate.Fail},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, p, criteria := start(t, newService(c.price))
			d, err := f.decide(within(t), criteria, requests, p)
			require.NoError(t, err)
			assert.Equal(t, c.want, d.Verdict, d.String())
			verdict, err := p.verdict(within(t))
			require.NoError(t, err)
			assert.Equal(t, c.want, verdict)
			value := func(expression string) float64 {
				t.Helper()
				v, err := p.value(within(t), expression)
				require.NoError(t, err)
				return v
			}

			s, err := f.snapshot(within(t))
			require.NoError(t, err)
			var ledgers, mismatch, matched, errors, copies uint64
			for _, r := range f.replicas {
				stats := r.mirror.Stats()
				assert.NotZero(t, stats.Match, "every replica has its share")
				ledgers += stats.Match + stats.Mismatch + stats.Failed + stats.Uncompared
			}
			for _, r := range s.Routes {
				mismatch += r.Results.Mismatch
				matched += r.Results.Match
				errors += r.ShadowErrors
				copies += r.Results.All()
			}
			assert.EqualValues(t, requests, copies)
			assert.Equal(t, ledgers, copies, "the merged tallies and the ledgers of the processes")

			// Counters are exact.
			for expression, want := range map[string]uint64{
				`sum(shadow_requests_total{shadow_outcome="mismatch"})`:                                    mismatch,
				`sum(shadow_requests_total{shadow_outcome="match"})`:                                       matched,
				`sum(shadow_requests_total{shadow_outcome=~"match|mismatch|failed|uncompared"})`:           copies,
				`sum(shadow_comparisons_total)`:                                                            matched + mismatch,
				`sum(shadow_comparisons_total{shadow_result="diff"})`:                                      mismatch,
				`sum(shadow_request_duration_seconds_count{shadow_role="shadow"})`:                         copies,
				`sum(shadow_request_duration_seconds_count{http_response_status_code="500"}) or vector(0)`: errors,
			} {
				assert.EqualValues(t, want, value(expression), expression)
			}

			// Increases are extrapolated by half a scrape or so, of the 20 at least that there are.
			assert.InEpsilon(t, copies, value(`shadow:all{measure="diffRate"}`), 0.1)
			seen := map[string]bool{}
			for _, check := range d.Checks {
				query, known := asRules[check.Name]
				if !known {
					continue
				}
				seen[check.Name] = true
				delta := 0.1 * *check.Observed
				switch check.Name {
				case "errorRate": // the series of 500 begins with the first of them, which is no increase
					delta = 0.3 * *check.Observed
				case "p95Ratio", "lagMedian": // as exact as the buckets: from 10 to 25 ms, and so on
					delta = 2 * *check.Observed
				}
				assert.InDelta(t, *check.Observed, value(query), delta, check.Name)
			}
			assert.Len(t, seen, len(asRules))
			rate := float64(mismatch) / float64(copies)
			assert.GreaterOrEqual(t, value(`shadow:upper{measure="diffRate"}`), rate)
			assert.LessOrEqual(t, value(`shadow:lower{measure="diffRate"}`), rate)

			// One price in 23 is in another bin with discounts, and one is missing.
			if psi := value("quotes:price_psi"); c.want == gate.Pass {
				assert.InDelta(t, 0, psi, 1e-9)
			} else {
				assert.InDelta(t, 0.064, psi, 0.02)
			}
		})
	}
}

// What no statistics can excuse fails both gates, and gets somebody up: once, for all replicas.
func TestASideEffectFailsBothGatesAndPages(t *testing.T) {
	t.Parallel()
	quotes := newService(byThePiece)
	f, p, criteria := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/quotes/7" && shadow.IsShadow(r.Context()) {
			w.Header().Set("Shadow-Side-Effect", "sql") // a guard of the candidate's database stopped it
		}
		quotes.ServeHTTP(w, r)
	}))
	d, err := f.decide(within(t), criteria, requests, p)
	require.NoError(t, err)
	for _, check := range d.Checks {
		assert.Equal(t, check.Name == "event:side-effect", check.Verdict == gate.Fail, "%s: %s", check.Name, check.Reason)
	}
	verdict, err := p.verdict(within(t))
	require.NoError(t, err)
	assert.Equal(t, gate.Fail, verdict)

	require.NoError(t, p.until(within(t), `ALERTS{alertname="ShadowSideEffect", alertstate="firing"}`))
	all, err := p.api.Alerts(within(t))
	require.NoError(t, err)
	var pages []model.LabelSet
	for _, a := range all.Alerts {
		if a.Labels["severity"] == "page" {
			pages = append(pages, a.Labels)
		}
	}
	assert.Equal(t, []model.LabelSet{{"alertname": "ShadowSideEffect", "severity": "page",
		"shadow_mirror": "quotes", "shadow_target": "v2", "shadow_kind": "sql"}}, pages)
}

func TestTheProgramEndsWithTheVerdict(t *testing.T) {
	program(t, "prometheus", "prometheus")
	for candidate, c := range map[string]struct {
		code    int
		verdict string
	}{
		"rewrite":   {0, "pass"},
		"discounts": {1, "fail"},
	} {
		t.Run(candidate, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			code, err := run(within(t), []string{candidate}, &out)
			require.NoError(t, err)
			assert.Equal(t, c.code, code, out.String())
			assert.Contains(t, out.String(), "Prometheus is at http://127.0.0.1:")
			assert.Regexp(t, `(?m)^  verdict +`+c.verdict+` +`+c.verdict+`$`, out.String())
		})
	}
}

func TestWithoutAPrometheusTheTalliesDecide(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for candidate, c := range map[string]struct {
		code int
		says string
	}{
		"rewrite":   {0, "PASS: "},
		"discounts": {1, "checks failed: diffRate"},
	} {
		t.Run(candidate, func(t *testing.T) {
			var out bytes.Buffer
			code, err := run(within(t), []string{candidate}, &out)
			require.NoError(t, err)
			assert.Equal(t, c.code, code, out.String())
			assert.Contains(t, out.String(), c.says)
			assert.Contains(t, out.String(), "There is no prometheus in $PATH")
		})
	}
}

func TestTooFewRequestsAreNoVerdict(t *testing.T) {
	criteria, err := readCriteria()
	require.NoError(t, err)
	f, err := newFleet(newService(byThePiece))
	require.NoError(t, err)
	defer f.close()
	d, err := f.decide(within(t), criteria, 30, nil)
	require.NoError(t, err)
	assert.Equal(t, gate.Insufficient, d.Verdict, d.String())
}

func TestArgumentsThatAreNoneAreErrors(t *testing.T) {
	for _, args := range [][]string{{"v9"}, {"-candidate"}, {"rewrite", "discounts"}} {
		code, err := run(t.Context(), args, io.Discard)
		assert.Error(t, err, args)
		assert.Equal(t, broken, code, args)
	}
}

func TestAProgramThatIsNoPrometheusIsAnError(t *testing.T) {
	f, err := newFleet(newService(byThePiece))
	require.NoError(t, err)
	defer f.close()
	_, err = startPrometheus(within(t), "false", f, gate.Default())
	assert.Error(t, err)
}
