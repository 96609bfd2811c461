package gate

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow/internal/stats"
	"github.com/goshadow/shadow/report/tally"
)

const manualFile = "../../docs/gate.md"

func manual(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(manualFile)
	require.NoError(t, err)
	return string(text)
}

// blocks are the pieces of the manual in that language.
func blocks(t *testing.T, language string) (list []string) {
	t.Helper()
	for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(manual(t), -1) {
		list = append(list, m[1])
	}
	require.NotEmpty(t, list)
	return list
}

func TestTheTableOfSamplesIsComputed(t *testing.T) {
	const begin, end = "<!-- samples: written by go test ./report/gate -update -->\n", "<!-- end of samples -->"
	text := manual(t)
	before, rest, ok := strings.Cut(text, begin)
	require.True(t, ok)
	table, after, ok := strings.Cut(rest, end)
	require.True(t, ok)
	want := samples(t)
	if *update {
		require.NoError(t, os.WriteFile(manualFile, []byte(before+begin+want+end+after), 0o644))
		return
	}
	assert.Equal(t, want, table, "-update rewrites it")
}

// samples is the table: how many comparisons pass at 95 %, by limit, looks and differences.
func samples(t *testing.T) string {
	differences := []uint64{0, 1, 2, 5, 10, 50}
	var b strings.Builder
	b.WriteString("\n| Limit | Looks |")
	for _, k := range differences {
		fmt.Fprintf(&b, " %s |", noun{"difference", "differences"}.count(k))
	}
	b.WriteString("\n|---|---|" + strings.Repeat("---:|", len(differences)) + "\n")
	for _, limit := range []float64{0.05, 0.01, 0.005, 0.001, 0.0001} {
		for _, looks := range []struct {
			name string
			test stats.Test
		}{{"any number", stats.Anytime}, {"one", stats.Exact}} {
			fmt.Fprintf(&b, "| %s | %s |", percent(limit, nearest), looks.name)
			for _, k := range differences {
				more, ok := looks.test.Needed(k, k, limit, 0.05)
				require.True(t, ok)
				fmt.Fprintf(&b, " %s |", thousands(k+more))
			}
			b.WriteString("\n")
		}
	}
	b.WriteString("\n")
	return b.String()
}

func TestTheCriteriaOfTheManualAreInOrder(t *testing.T) {
	for _, block := range blocks(t, "json") {
		var c Criteria
		require.NoError(t, json.Unmarshal([]byte(block), &c))
	}
}

func TestTheManualHasEveryMeasureWithItsDefault(t *testing.T) {
	defaults := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-zA-Z0-9]+)` \\| ([^|]*?) ?\\|").FindAllStringSubmatch(manual(t), -1) {
		defaults[m[1]] = m[2]
	}
	for _, m := range measures {
		want := ""
		if limit, ok := Default().Limits[m.name]; ok {
			want = map[claim]string{
				under: "under " + percent(limit, nearest), over: "over " + percent(limit, nearest),
				ratio: fmt.Sprintf("under %v", limit), seconds: fmt.Sprintf("under %v s", limit),
			}[m.claim]
		}
		is, ok := defaults[string(m.name)]
		assert.True(t, ok, "%s is not in the manual", m.name)
		assert.Equal(t, want, is, m.name)
	}
}

func TestTheManualShowsRealCode(t *testing.T) {
	source, err := os.ReadFile("example_test.go")
	require.NoError(t, err)
	plain := func(text string) string { return strings.Join(strings.Fields(text), " ") }
	for _, block := range blocks(t, "go") {
		assert.Contains(t, plain(string(source)), plain(block))
	}
}

// What Argo Rollouts and Flagger are told to ask is there, and answers as they are told.
func TestThePipelinesOfTheManualAskWhatTheGateAnswers(t *testing.T) {
	ask := func(s *tally.Snapshot, method, target string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		http.StripPrefix("/gate", newGate(t, always(s), Options{})).ServeHTTP(w, httptest.NewRequest(method, target, strings.NewReader(`{"name":"orders"}`)))
		return w
	}
	snapshots := map[Verdict]*tally.Snapshot{Pass: many(), Fail: bad(), Insufficient: few()}
	yaml := blocks(t, "yaml")
	require.Len(t, yaml, 2)
	first := func(text, pattern string) string {
		m := regexp.MustCompile(pattern).FindStringSubmatch(text)
		require.NotNil(t, m, pattern)
		return m[1]
	}

	argo := yaml[0]
	member := first(argo, `jsonPath: "{\$\.(\w+)}"`)
	conditions := map[Verdict]string{
		Pass: first(argo, `successCondition: result == "(\w+)"`),
		Fail: first(argo, `failureCondition: result == "(\w+)"`),
	}
	for verdict, s := range snapshots {
		w := ask(s, http.MethodGet, first(argo, `url: (\S+)`))
		assert.Equal(t, 200, w.Code)
		var answer map[string]any
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
		for wanted, result := range conditions {
			assert.Equal(t, verdict == wanted, answer[member] == result, "%s: the condition of %s", verdict, wanted)
		}
	}
	for _, hook := range regexp.MustCompile(`type: (\S+)\n\s+url: (\S+)`).FindAllStringSubmatch(yaml[1], -1) {
		wanted, ok := map[string]Verdict{"confirm-promotion": Pass, "rollback": Fail}[hook[1]]
		require.True(t, ok, hook[1])
		for verdict, s := range snapshots {
			assert.Equal(t, verdict == wanted, ask(s, http.MethodPost, hook[2]).Code == 200, "%s: %s", hook[1], verdict)
		}
	}
}

// The names of the metrics and labels are those of docs/telemetry.md.
func TestTheQueriesOfTheManualAreAboutMetricsThatThereAre(t *testing.T) {
	telemetry, err := os.ReadFile("../../docs/telemetry.md")
	require.NoError(t, err)
	quoted := regexp.MustCompile("`[a-z_.]+`")
	known := map[string]bool{}
	for _, name := range quoted.FindAllString(string(telemetry), -1) {
		known[strings.ReplaceAll(strings.Trim(name, "`"), ".", "_")] = true
	}
	known["shadow_mirror"], known["le"] = true, true
	suffix := regexp.MustCompile(`(_seconds)?(_total|_bucket|_count)?$`)
	for _, query := range blocks(t, "promql") {
		for _, name := range regexp.MustCompile(`\b(?:shadow|http)_\w+`).FindAllString(query, -1) {
			assert.True(t, known[suffix.ReplaceAllString(name, "")], "%s of %s", name, query)
		}
		for _, value := range regexp.MustCompile(`\w+(?:=~?|!=)"([a-z|]+)"`).FindAllStringSubmatch(query, -1) {
			for one := range strings.SplitSeq(value[1], "|") {
				assert.Contains(t, string(telemetry), "`"+one+"`", query)
			}
		}
	}
}

// The bound that Prometheus can compute is close to the exact one, for each of the numbers of
// looks that the manual has a z for.
func TestTheBoundOfTheManualIsNearlyExact(t *testing.T) {
	bound := func(k, n uint64, z float64) float64 { // as in the query
		bad := float64(k) + 1
		return bad * math.Pow(1-1/(9*bad)+z/(3*math.Sqrt(bad)), 3) / float64(n)
	}
	text := manual(t)
	for _, c := range []struct {
		looks, z string
		alpha    float64
	}{
		{"1", "1.645", 0.05}, {"24", "2.865", 0.05 / 24}, {"96", "3.279", 0.05 / 96}, {"1,440", "3.977", 0.05 / 1440},
	} {
		require.Contains(t, text, c.z)
		var z float64
		_, err := fmt.Sscan(c.z, &z)
		require.NoError(t, err)
		assert.InDelta(t, c.alpha, math.Erfc(z/math.Sqrt2)/2, c.alpha/100, "the z of %s looks", c.looks)
		for _, k := range []uint64{0, 1, 2, 5, 20, 100, 1000} {
			n := max(100*k, 5000)
			exact := stats.Test(stats.Exact).Upper(k, n, c.alpha)
			if c.looks == "1" {
				assert.InEpsilon(t, exact, bound(k, n, z), 0.01, "%d of %d", k, n)
			} else {
				assert.GreaterOrEqual(t, bound(k, n, z), exact, "%d of %d", k, n)
				assert.Less(t, bound(k, n, z), exact*1.06, "%d of %d", k, n)
			}
		}
	}
}
