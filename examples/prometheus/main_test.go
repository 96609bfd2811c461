package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

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

// within is a context for what waits for other processes.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// start starts a fleet and, at a faster pace than the program, the Prometheus that scrapes it.
func start(t *testing.T, price pricing) (*fleet, *prometheus, gate.Criteria) {
	t.Helper()
	path := program(t, "prometheus", "prometheus")
	criteria, err := readCriteria()
	require.NoError(t, err)
	f, err := newFleet(price)
	require.NoError(t, err)
	t.Cleanup(f.close)
	p, err := startPrometheus(within(t), path, 250*time.Millisecond, f, criteria)
	require.NoError(t, err)
	t.Cleanup(func() {
		p.close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections() // of the load test
	})
	return f, p, criteria
}

// value is the sum over the series of an expression.
func (p *prometheus) value(t *testing.T, expression string) (sum float64) {
	t.Helper()
	v, err := p.query(within(t), expression)
	require.NoError(t, err)
	require.NotEmpty(t, v, expression)
	for _, sample := range v {
		sum += float64(sample.Value)
	}
	return sum
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
			f, p, criteria := start(t, c.price)
			d, err := f.decide(within(t), criteria, requests, p)
			require.NoError(t, err)
			assert.Equal(t, c.want, d.Verdict, d.String())
			verdict, err := p.verdict(within(t))
			require.NoError(t, err)
			assert.Equal(t, c.want, verdict)

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
			assert.Equal(t, ledgers, copies, "the merged tallies and the ledgers of the processes")

			// Counters are exact.
			outcome := func(name string) float64 { return p.value(t, `sum(shadow_requests_total{shadow_outcome="`+name+`"})`) }
			assert.EqualValues(t, mismatch, outcome("mismatch"))
			assert.EqualValues(t, matched, outcome("match"))
			assert.EqualValues(t, copies, p.value(t, `sum(shadow_requests_total{shadow_outcome=~"match|mismatch|failed|uncompared"})`))
			assert.EqualValues(t, mismatch+matched, p.value(t, "sum(shadow_comparisons_total)"))
			assert.EqualValues(t, mismatch, p.value(t, `sum(shadow_comparisons_total{shadow_result="diff"})`))

			// Increases are extrapolated: by half an interval between scrapes on either side.
			near := func(want float64, measure, expression string) {
				t.Helper()
				assert.InDelta(t, want, p.value(t, expression), 0.15*want, measure)
			}
			near(float64(copies), "copies", `shadow:all{measure="errorRate"}`)
			near(float64(mismatch), "differences", `shadow:bad{measure="diffRate"}`)
			near(float64(errors), "errors", `shadow:bad{measure="errorRate"}`)
			for _, check := range d.Checks {
				if check.Name == "diffRate" {
					near(*check.Observed, "the share", `shadow:bad{measure="diffRate"} / shadow:all{measure="diffRate"}`)
					assert.GreaterOrEqual(t, p.value(t, `shadow:upper{measure="diffRate"}`), *check.Observed)
					assert.LessOrEqual(t, p.value(t, `shadow:lower{measure="diffRate"}`), *check.Observed)
				}
			}
			// Quantiles are as exact as the buckets: these reach from 10 to 25 ms, and so on.
			for _, check := range d.Checks {
				if check.Name == "p95Ratio" {
					ratio := p.value(t, `shadow:figure{measure="p95Ratio"}`) / *check.Observed
					assert.True(t, ratio > 0.3 && ratio < 3, "%v is not near the %v of the tallies", ratio**check.Observed, *check.Observed)
				}
			}
		})
	}
}

func TestWithoutAPrometheusThereIsAGateToo(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"good":    {nil, 0, "PASS: "},
		"bad":     {[]string{"-candidate", "discounts"}, 1, "checks failed: diffRate"},
		"too few": {[]string{"-requests", "30"}, 2, "INSUFFICIENT: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			code, err := run(within(t), c.args, &out)
			require.NoError(t, err)
			assert.Equal(t, c.code, code, out.String())
			assert.Contains(t, out.String(), c.says)
		})
	}
}

func TestArgumentsThatAreNoneAreErrors(t *testing.T) {
	for _, args := range [][]string{{"extra"}, {"-candidate", "v9"}, {"-requests", "x"}, {"-prometheus", "/no/such/program"}} {
		code, err := run(t.Context(), args, io.Discard)
		assert.Error(t, err, args)
		assert.Equal(t, broken, code, args)
	}
}
