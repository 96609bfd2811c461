package sdktest

import (
	"context"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	promexport "go.opentelemetry.io/otel/exporters/prometheus"

	"github.com/goshadow/shadow"
)

// manual is docs/telemetry.md.
func manual(t *testing.T) string {
	text, err := os.ReadFile("../../../docs/telemetry.md")
	require.NoError(t, err)
	return string(text)
}

// blocks are the pieces of code in that language.
func blocks(t *testing.T, language string) (list []string) {
	for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(manual(t), -1) {
		list = append(list, m[1])
	}
	require.NotEmpty(t, list)
	return list
}

func TestTheManualShowsRealCode(t *testing.T) {
	source, err := os.ReadFile("example_test.go")
	require.NoError(t, err)
	plain := func(text string) string { return strings.Join(strings.Fields(text), " ") }
	for _, block := range blocks(t, "go") {
		assert.Contains(t, plain(string(source)), plain(block))
	}
}

func TestTheManualHasEveryInstrument(t *testing.T) {
	documented := map[string]instrument{}
	row := regexp.MustCompile("(?m)^\\| `(shadow\\.[a-z_.]+)` \\| ([a-z]+) \\| `([^`]+)` \\|([^|]*)\\| ([^|]+) \\|$")
	for _, m := range row.FindAllStringSubmatch(manual(t), -1) {
		i := instrument{kind: m[2], unit: m[3]}
		for _, key := range strings.Split(m[4], ",") {
			if key = strings.Trim(key, " `"); key != "" {
				i.attributes = append(i.attributes, attribute.Key(key))
			}
		}
		documented[m[1]] = i
	}
	assert.Equal(t, instruments, documented)
}

// scraped is what Prometheus gets of a mirror that had traffic of every sort.
func scraped(t *testing.T) map[string]*dto.MetricFamily {
	registry := prometheus.NewRegistry()
	exporter, err := promexport.New(promexport.WithRegisterer(registry))
	require.NoError(t, err)
	primary, candidate := services()
	r := newRigOn(t, exporter, shadow.InProcess("v2", candidate), shadow.WithMaxBody(1000), budget, watched)
	var families []*dto.MetricFamily
	r.whenDrained = func(context.Context) (err error) {
		families, err = registry.Gather()
		return err
	}
	r.traffic(t, primary)
	r.leak(t, primary)
	r.drain(t)
	byName := map[string]*dto.MetricFamily{}
	for _, f := range families {
		byName[f.GetName()] = f
	}
	return byName
}

func TestTheQueriesOfTheManualFindTheirSeries(t *testing.T) {
	families := scraped(t)
	selector := regexp.MustCompile(`\b(shadow_\w+?)(_bucket|_count|_sum)?(?:\{([^}]*)\})?(?:\[5m\]|\s)`)
	grouping := regexp.MustCompile(`by \(([^)]*)\)`)
	matcher := regexp.MustCompile(`(\w+)(=~|!=|=)"([^"]*)"`)
	used := map[string]bool{}
	for _, query := range blocks(t, "promql") {
		bare := grouping.ReplaceAllString(query, "")
		for _, m := range selector.FindAllStringSubmatch(bare, -1) {
			name, suffix := m[1], m[2]
			family := families[name]
			if !assert.NotNilf(t, family, "%s in %s", name, query) {
				continue
			}
			used[name] = true
			assert.Equal(t, suffix != "", family.GetType() == dto.MetricType_HISTOGRAM, name)
			counter := family.GetType() == dto.MetricType_COUNTER
			assert.Equal(t, counter, strings.HasSuffix(name, "_total"), name)
			assert.Equal(t, counter || suffix != "", strings.Contains(query, "rate("+m[0]), m[0])

			values := labels(family)
			for _, l := range matcher.FindAllStringSubmatch(m[3], -1) {
				label, op, want := l[1], l[2], l[3]
				if !assert.Contains(t, values, label, m[0]) {
					continue
				}
				alternatives := []string{want}
				if op == "=~" {
					alternatives = strings.Split(want, "|")
				}
				for _, a := range alternatives {
					pattern := regexp.MustCompile("^(?:" + a + ")$")
					assert.Truef(t, slices.ContainsFunc(slices.Collect(maps.Keys(values[label])), pattern.MatchString),
						"%s: no %s=%q among %v", query, label, a, values[label])
				}
			}
			for _, g := range grouping.FindAllStringSubmatch(query, -1) {
				for _, label := range strings.Split(g[1], ", ") {
					if label == "le" {
						assert.Equal(t, "_bucket", suffix)
						continue
					}
					assert.Contains(t, values, label, query)
				}
			}
		}
	}
	var ours []string
	for name := range families {
		if name != "target_info" {
			ours = append(ours, name)
		}
	}
	assert.ElementsMatch(t, ours, slices.Collect(maps.Keys(used)), "every metric has its query")
}

// labels are the labels of a family and their values.
func labels(f *dto.MetricFamily) map[string]map[string]bool {
	all := map[string]map[string]bool{}
	for _, m := range f.GetMetric() {
		for _, l := range m.GetLabel() {
			if all[l.GetName()] == nil {
				all[l.GetName()] = map[string]bool{}
			}
			all[l.GetName()][l.GetValue()] = true
		}
	}
	return all
}
