package main

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// dashboard is what matters here of a dashboard of Grafana.
type dashboard struct {
	UID, Title string
	Templating struct {
		List []struct {
			Name, Type, Definition string
			Query                  any
		}
	}
	Panels []struct {
		ID          int
		Type, Title string
		FieldConfig struct{ Defaults struct{ Unit string } }
		Targets     []struct {
			Expr, RefID string
			Datasource  struct{ UID string }
		}
		GridPos struct{ X, Y, W, H int }
	}
}

func dashboards(t *testing.T) map[string]dashboard {
	t.Helper()
	files, err := filepath.Glob("dashboards/*.json")
	require.NoError(t, err)
	all := map[string]dashboard{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var d dashboard
		require.NoError(t, json.Unmarshal(text, &d), file)
		all[strings.TrimSuffix(filepath.Base(file), ".json")] = d
	}
	return all
}

// filled is an expression with the values that Grafana puts for its variables.
func (d dashboard) filled(t *testing.T, expression string) string {
	t.Helper()
	values := map[string]string{"__rate_interval": "1m", "__all": ".*"}
	for _, v := range d.Templating.List {
		switch v.Type {
		case "query": // all of them
			values[v.Name] = ".+"
		case "textbox":
			values[v.Name] = v.Query.(string)
		}
	}
	return os.Expand(expression, func(name string) string {
		value, ok := values[name]
		assert.True(t, ok, "%s: no variable $%s", d.Title, name)
		return value
	})
}

func TestThereIsADashboardForEveryReader(t *testing.T) {
	all := dashboards(t)
	assert.Equal(t, []string{"debug", "executive", "oncall"}, slices.Sorted(maps.Keys(all)))
	seen := map[string]bool{}
	for name, d := range all {
		assert.NotEmpty(t, d.Title, name)
		assert.False(t, seen[d.UID], "%s: the uid of another one", name)
		seen[d.UID] = true
		ids, taken := map[int]bool{}, map[[2]int]string{}
		for _, p := range d.Panels {
			require.NotEmpty(t, p.Title, name)
			assert.Contains(t, []string{"bargauge", "heatmap", "stat", "table", "timeseries"}, p.Type, p.Title)
			assert.Contains(t, []string{"none", "short", "s", "percentunit", "reqps", "bytes", "Bps"}, p.FieldConfig.Defaults.Unit, p.Title)
			assert.False(t, ids[p.ID], "%s: %s has the id of another one", name, p.Title)
			ids[p.ID] = true
			require.NotEmpty(t, p.Targets, p.Title)
			for i, target := range p.Targets {
				assert.Equal(t, string(rune('A'+i)), target.RefID, p.Title)
				assert.Equal(t, "${datasource}", target.Datasource.UID, p.Title)
			}
			assert.LessOrEqual(t, p.GridPos.X+p.GridPos.W, 24, p.Title)
			for x := range p.GridPos.W {
				for y := range p.GridPos.H {
					at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
					require.Empty(t, taken[at], "%s lies on it", p.Title)
					taken[at] = p.Title
				}
			}
		}
	}
}

var labelValues = regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)

// An expression that compares, and so has no result while all is well, has one of 0 and 1
// this way.
var comparison = regexp.MustCompile(` (==|!=|>=|<=|>|<) (bool )?`)

func TestEveryQueryFindsWhatTheExampleExports(t *testing.T) {
	t.Parallel()
	f, p, criteria := start(t, newService(withDiscounts))
	spans := tracetest.NewSpanRecorder()
	for _, r := range f.replicas {
		r.tracer.RegisterSpanProcessor(spans)
	}
	_, err := f.decide(within(t), criteria, requests, p)
	require.NoError(t, err)
	finds := func(t *testing.T, where, expression string) {
		t.Helper()
		v, err := p.query(within(t), expression)
		assert.NoError(t, err, where)
		assert.NotEmpty(t, v, "%s: %s finds nothing", where, expression)
	}

	queries := ""
	for name, d := range dashboards(t) {
		t.Run(name, func(t *testing.T) {
			for _, panel := range d.Panels {
				for _, target := range panel.Targets {
					finds(t, panel.Title, d.filled(t, target.Expr))
					queries += target.Expr + "\n"
				}
			}
			for _, v := range d.Templating.List {
				if v.Type != "query" {
					continue
				}
				m := labelValues.FindStringSubmatch(v.Definition)
				require.NotNil(t, m, v.Definition)
				values, _, _, err := p.api.LabelValues(within(t), m[2], []string{d.filled(t, m[1])}, time.Now().Add(-time.Hour), time.Now())
				require.NoError(t, err)
				assert.NotEmpty(t, values, v.Definition)
			}
		})
	}
	t.Run("every metric is on a dashboard", func(t *testing.T) {
		names, _, _, err := p.api.LabelValues(within(t), model.MetricNameLabel, []string{`{__name__=~"shadow_.+"}`}, time.Now().Add(-time.Hour), time.Now())
		require.NoError(t, err)
		require.Greater(t, len(names), 15)
		for _, name := range names {
			base := regexp.MustCompile(`_(bucket|count|sum)$`).ReplaceAllString(string(name), "")
			assert.Contains(t, queries, base)
		}
	})

	t.Run("rules", func(t *testing.T) {
		for _, file := range []string{"shadow.yml", "gate.yml", "drift.yml", "limits.yml"} {
			for _, r := range allRules(t, file) {
				if r.Alert == "ShadowGone" {
					continue // see below
				}
				expression := r.Expr
				if r.Alert != "" {
					expression = comparison.ReplaceAllString(expression, " $1 bool ")
				}
				finds(t, r.Record+r.Alert, expression)
				if r.Record != "" {
					require.NoError(t, p.until(within(t), r.Record), "recorded")
				}
			}
		}
		all, err := p.api.Rules(within(t), nil)
		require.NoError(t, err)
		require.Len(t, all.Groups, 7)
	})

	t.Run("an exemplar of a difference leads to both traces", func(t *testing.T) {
		primaries, copies := map[string]bool{}, map[string]sdktrace.ReadOnlySpan{}
		for _, span := range spans.Ended() {
			if span.Name() == "shadow v2" {
				copies[span.SpanContext().TraceID().String()] = span
			} else {
				primaries[span.SpanContext().TraceID().String()] = true
			}
		}
		for _, metric := range []string{"shadow_differences_total", `shadow_comparisons_total{shadow_result="diff"}`, `shadow_request_duration_seconds_bucket{shadow_role="shadow"}`} {
			results, err := p.api.QueryExemplars(within(t), metric, time.Now().Add(-time.Hour), time.Now())
			require.NoError(t, err)
			require.NotEmpty(t, results, metric)
			for _, r := range results {
				for _, e := range r.Exemplars {
					span := copies[string(e.Labels["trace_id"])]
					require.NotNil(t, span, "%s: %v is no trace of a copy", metric, e.Labels)
					assert.EqualValues(t, span.SpanContext().SpanID().String(), e.Labels["span_id"])
					require.Len(t, span.Links(), 1)
					assert.True(t, primaries[span.Links()[0].SpanContext.TraceID().String()], "the link leads to no trace of a primary")
				}
			}
		}
	})

	t.Run("the manual", func(t *testing.T) {
		resp, err := f.balancer.Client().Post(f.balancer.URL+"/stock", "", nil) // this is not copied
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.NoError(t, p.until(within(t), `rate(shadow_requests_total{shadow_outcome="skipped"}[5m])`))
		text, err := os.ReadFile("../../docs/telemetry.md")
		require.NoError(t, err)
		blocks := regexp.MustCompile("(?s)```promql\n(.*?)```").FindAllStringSubmatch(string(text), -1)
		require.NotEmpty(t, blocks)
		for _, block := range blocks {
			if strings.Contains(block[1], "traces_span_metrics_") {
				continue // of a collector, which is not here
			}
			finds(t, "docs/telemetry.md", comparison.ReplaceAllString(block[1], " $1 bool "))
		}
	})

	t.Run("a fleet that has gone", func(t *testing.T) {
		for _, r := range f.replicas {
			require.NoError(t, r.mirror.Shutdown(within(t)))
		}
		for _, r := range alerts(t) {
			if r.Alert == "ShadowGone" {
				require.NoError(t, p.until(within(t), r.Expr))
			}
		}
	})
}
