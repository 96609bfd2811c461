package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/goshadow/shadow/report/gate"
)

// rule is a recording or an alerting rule.
type rule struct {
	Record, Alert, Expr string
	Labels, Annotations map[string]string
}

func read(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(text, into), file)
}

// allRules are those of a file in rules.
func allRules(t *testing.T, file string) (list []rule) {
	t.Helper()
	var groups struct{ Groups []struct{ Rules []rule } }
	read(t, filepath.Join("rules", file), &groups)
	for _, g := range groups.Groups {
		list = append(list, g.Rules...)
	}
	require.NotEmpty(t, list)
	return list
}

func alerts(t *testing.T) (list []rule) {
	for _, r := range allRules(t, "shadow.yml") {
		if r.Alert != "" {
			list = append(list, r)
		}
	}
	return list
}

func TestTheRulesDoWhatTheirTestsSay(t *testing.T) {
	promtool := program(t, "promtool", "prometheus")
	tests, err := filepath.Glob("rules/*_test.yml")
	require.NoError(t, err)
	require.NotEmpty(t, tests)
	for _, file := range tests {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			out, err := exec.CommandContext(within(t), promtool, "test", "rules", file).CombinedOutput()
			assert.NoError(t, err, string(out))
		})
	}
}

func TestEveryAlertIsTestedBothWays(t *testing.T) {
	fires, quiet := map[string]bool{}, map[string]bool{}
	for _, file := range []string{"rules/alerts_test.yml", "rules/burn_test.yml"} {
		var all struct {
			Tests []struct {
				Alerts []struct {
					Name string `yaml:"alertname"`
					Exp  []any  `yaml:"exp_alerts"`
				} `yaml:"alert_rule_test"`
			}
		}
		read(t, file, &all)
		for _, test := range all.Tests {
			for _, a := range test.Alerts {
				fires[a.Name] = fires[a.Name] || len(a.Exp) > 0
				quiet[a.Name] = quiet[a.Name] || len(a.Exp) == 0
			}
		}
	}
	for _, a := range alerts(t) {
		assert.True(t, fires[a.Alert], "%s: no test in which it fires", a.Alert)
		assert.True(t, quiet[a.Alert], "%s: no test in which it does not", a.Alert)
	}
}

// What gets somebody up is what cannot wait: leaks and side effects.
func TestEveryAlertSaysHowUrgentItIsWhoOwnsItAndWhatToDo(t *testing.T) {
	runbook, err := os.ReadFile("../../docs/runbook.md")
	require.NoError(t, err)
	var pages []string
	for _, a := range alerts(t) {
		switch a.Labels["severity"] {
		case "page":
			pages = append(pages, a.Alert)
		case "ticket":
		default:
			t.Errorf("%s: severity %q", a.Alert, a.Labels["severity"])
		}
		for _, name := range []string{"summary", "description", "owner"} {
			assert.NotEmpty(t, a.Annotations[name], "%s: %s", a.Alert, name)
		}
		anchor := "https://github.com/goshadow/shadow/blob/main/docs/runbook.md#" + strings.ToLower(a.Alert)
		assert.Equal(t, anchor, a.Annotations["runbook_url"])
		assert.Contains(t, string(runbook), "\n## "+a.Alert+"\n")
	}
	assert.Equal(t, []string{"ShadowLeak", "ShadowSideEffect"}, pages)
	assert.Len(t, regexp.MustCompile(`(?m)^## Shadow`).FindAll(runbook, -1), len(alerts(t)), "there is no alert for it")
}

func TestAlertmanagerRoutesByLabelsThatAlertsHave(t *testing.T) {
	var config struct {
		Route struct {
			Routes []struct {
				Matchers []string
				GroupBy  []string `yaml:"group_by"`
			}
		}
		InhibitRules []struct {
			Source []string `yaml:"source_matchers"`
			Target []string `yaml:"target_matchers"`
			Equal  []string
		} `yaml:"inhibit_rules"`
	}
	read(t, "alertmanager.yml", &config)
	matcher := regexp.MustCompile(`^(\w+)(=~?)"(.*)"$`)
	matching := func(matchers []string) (list []rule) {
		for _, a := range alerts(t) {
			a.Labels["alertname"] = a.Alert
			all := true
			for _, m := range matchers {
				parts := matcher.FindStringSubmatch(m)
				require.NotNil(t, parts, m)
				pattern := parts[3]
				if parts[2] == "=" {
					pattern = regexp.QuoteMeta(pattern)
				}
				all = all && regexp.MustCompile("^(?:"+pattern+")$").MatchString(a.Labels[parts[1]])
			}
			if all {
				list = append(list, a)
			}
		}
		return list
	}
	has := func(a rule, label string) {
		t.Helper()
		_, fixed := a.Labels[label]
		assert.True(t, fixed || label == "shadow_mirror" || label == "shadow_target", "%s has no label %s", a.Alert, label)
	}
	routed := 0
	for _, r := range config.Route.Routes {
		for _, a := range matching(r.Matchers) {
			routed++
			for _, label := range r.GroupBy {
				has(a, label)
			}
		}
	}
	assert.Equal(t, len(alerts(t)), routed, "each alert has one route")
	require.NotEmpty(t, config.InhibitRules)
	for _, r := range config.InhibitRules {
		require.NotEmpty(t, matching(r.Source))
		require.NotEmpty(t, matching(r.Target))
		for _, a := range append(matching(r.Source), matching(r.Target)...) {
			assert.NotEqual(t, "page", a.Labels["severity"], "%s is never suppressed, and suppresses nothing", a.Alert)
			for _, label := range r.Equal {
				has(a, label)
			}
		}
	}
}

func TestAlertmanagerTakesItsConfiguration(t *testing.T) {
	amtool := program(t, "amtool", "prometheus-alertmanager")
	out, err := exec.CommandContext(within(t), amtool, "check-config", "alertmanager.yml").CombinedOutput()
	assert.NoError(t, err, string(out))
}

// Where all replicas are added up, one alert is about all of them.
func TestAlertsAreAboutAFleet(t *testing.T) {
	for _, a := range alerts(t) {
		assert.Regexp(t, `by \(shadow_mirror, shadow_target|shadow:`, a.Expr, a.Alert)
		assert.NotContains(t, a.Expr, "instance", a.Alert)
	}
}

func TestTheLimitsAreThoseOfTheGate(t *testing.T) {
	shipped := map[string]string{}
	for _, r := range allRules(t, "limits.yml") {
		shipped[r.Labels["measure"]] = r.Expr
	}
	var defaults struct{ Groups []struct{ Rules []rule } }
	require.NoError(t, yaml.Unmarshal([]byte(limits(gate.Default())), &defaults))
	require.Len(t, defaults.Groups, 1)
	require.Len(t, defaults.Groups[0].Rules, len(shipped))
	require.Len(t, shipped, len(gate.Default().Limits), "every limit of the gate has its rule")
	for _, r := range defaults.Groups[0].Rules {
		assert.Equal(t, r.Expr, shipped[r.Labels["measure"]], r.Labels["measure"])
	}
	for _, r := range alerts(t) {
		for kind, limit := range map[string]float64{"diff": gate.Default().Limits[gate.DiffRate], "error": gate.Default().Limits[gate.ErrorRate]} {
			if r.Labels["budget"] == kind {
				assert.Contains(t, r.Expr, "* "+strconv.FormatFloat(limit, 'g', -1, 64), r.Alert)
			}
		}
	}
}

// The queries of the manual of the gate are those of the rules.
func TestTheManualOfTheGateShowsTheRules(t *testing.T) {
	manual, err := os.ReadFile("../../docs/gate.md")
	require.NoError(t, err)
	plain := func(text string) string { return strings.Join(strings.Fields(text), " ") }
	var all []string
	for _, r := range allRules(t, "gate.yml") {
		all = append(all, plain(r.Expr))
	}
	blocks := regexp.MustCompile("(?s)```promql\n(.*?)```").FindAllStringSubmatch(string(manual), -1)
	require.NotEmpty(t, blocks)
	for _, block := range blocks {
		for query := range strings.SplitSeq(block[1], "\n\n") {
			assert.Contains(t, all, plain(query))
		}
	}
}
