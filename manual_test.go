package shadow

import (
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// defaultsOf returns the rows of the manual's table of defaults, made of what New uses without
// an option.
func defaultsOf(t *testing.T) map[string]string {
	with := func(target Target, opts ...Option) *config {
		c, err := newConfig(target, opts)
		require.NoError(t, err)
		return c
	}
	c, remote := with(InProcess("v2", nowhere)), with(Remote("v2", "http://h"))
	control := with(InProcess("v2", nowhere), WithControl(InProcess("v1", nowhere)))
	traced := with(InProcess("v2", nowhere), WithTracerProvider(tracenoop.NewTracerProvider()))
	none := func(unset bool) string {
		require.True(t, unset)
		return "none"
	}
	b, s, o := c.breaker, c.shedding, c.overhead
	require.False(t, b.Off || s.Off || o.Off)
	require.Zero(t, b.Slow)
	require.Equal(t, "v2", c.name)
	require.Equal(t, Rate(1), c.sampler)
	require.Nil(t, c.route)
	require.Equal(t, AfterPrimary, c.timing)
	require.Nil(t, c.propagator)
	require.Nil(t, c.logger)
	require.IsType(t, &RuleComparator{}, c.comparator)
	numbers := func(n string) *Message {
		return &Message{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte("[" + strings.Repeat(n+",", 500) + n + "]")}
	}
	found := c.comparator.Compare(&Exchange{Primary: numbers("1"), Shadow: numbers("2")})
	require.True(t, found.More)
	return map[string]string{
		"WithName":           "the name of the target",
		"WithMethods":        strings.Join(c.methods, ", "),
		"WithSampler":        "every request",
		"WithTiming":         "`AfterPrimary`",
		"WithConcurrency":    fmt.Sprintf("%d in process, %d elsewhere", c.concurrency, remote.concurrency),
		"WithQueue":          fmt.Sprintf("%d copies, %d MiB", c.queue, c.queueBytes>>20),
		"WithMaxBody":        fmt.Sprintf("%d MiB, or the bytes of `WithQueue` if those are fewer", c.maxBody>>20),
		"WithControl":        none(c.control == nil),
		"WithControlRate":    fmt.Sprint(control.controlShare.Probability()),
		"WithMasker":         none(c.maskers == nil),
		"WithRecordMasker":   none(c.recordMaskers == nil) + "; credentials are masked in reports always",
		"WithLeakCheck":      none(c.leakCheck == nil),
		"WithComparator":     "that of `WithCompare`",
		"WithCompare":        fmt.Sprintf("`CompareOptions{}`: at most %d differences", len(found.Diffs)),
		"WithReporter":       none(c.reporters == nil),
		"WithRoute":          "method and pattern, else method and a template of the path",
		"WithContextKeys":    none(c.contextKeys == nil),
		"WithRequestID":      "`" + c.requestID + "`",
		"WithLogger":         "`slog.Default()` at the time of an event",
		"WithTracerProvider": none(c.tracer == nil),
		"WithMeterProvider":  none(c.meter == nil),
		"WithPropagator":     fmt.Sprintf("none, or `%T` with `WithTracerProvider`", traced.propagator),
		"WithBreaker": fmt.Sprintf("on: Failures %v, Slow half of `Target.Timeout`, Window %v, Min %d, Pause %v, Probes %d",
			b.Failures, b.Window, b.Min, b.Pause, b.Probes),
		"WithLoadShedding": fmt.Sprintf("on: Wait %v, Heap %v", s.Wait, s.Heap),
		"WithOverhead":     fmt.Sprintf("on: P99 %v, Window %v, Min %d, Pause %v", o.P99, o.Window, o.Min, o.Pause),
		"WithBudget":       none(c.budget == Budget{}),
	}
}

// section is a section of docs/operations.md.
func section(t *testing.T, title string) string {
	t.Helper()
	manual, err := os.ReadFile("docs/operations.md")
	require.NoError(t, err)
	_, after, found := strings.Cut(string(manual), "\n## "+title+"\n")
	require.True(t, found, title)
	text, _, _ := strings.Cut(after, "\n## ")
	return text
}

// The manual lists the default of every option, and each is what New uses.
func TestTheManualListsTheDefaultsThatNewUses(t *testing.T) {
	want := defaultsOf(t)
	text := section(t, "Defaults")
	got := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(With\\w+)` \\| (.+) \\|$").FindAllStringSubmatch(text, -1) {
		got[row[1]] = row[2]
	}
	assert.Equal(t, want, got)
	for name := range optionNames(t) {
		assert.Contains(t, got, name)
	}
	target := InProcess("v2", nowhere)
	assert.Contains(t, text, fmt.Sprintf("without a `Timeout` has %v", target.timeout()))
}

// The zero fields of a struct that an option takes have their defaults; the other ones win.
func TestZeroFieldsOfOptionsHaveTheirDefaults(t *testing.T) {
	c, err := newConfig(InProcess("v2", nowhere), []Option{WithBreaker(BreakerOptions{Min: 7, Slow: time.Second}),
		WithLoadShedding(LoadSheddingOptions{Off: true, Heap: 0.5}), WithOverhead(OverheadOptions{Pause: time.Hour})})
	require.NoError(t, err)
	breaker, shedding, overhead := defaultBreaker, defaultShedding, defaultOverhead
	breaker.Min, breaker.Slow = 7, time.Second
	shedding.Off, shedding.Heap = true, 0.5
	overhead.Pause = time.Hour
	assert.Equal(t, breaker, c.breaker)
	assert.Equal(t, shedding, c.shedding)
	assert.Equal(t, overhead, c.overhead)
}

// Each row of the manual's table of bounds names the tests that hold it.
func TestEveryBoundOfTheManualHasATest(t *testing.T) {
	known := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)
	require.NoError(t, filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, m := range declared.FindAllStringSubmatch(string(source), -1) {
			known[m[1]] = true
		}
		return err
	}))
	rows := strings.Split(strings.TrimSpace(section(t, "What is bounded")), "\n| ")[2:]
	require.Greater(t, len(rows), 20)
	for _, row := range rows {
		cells := strings.Split(strings.TrimSuffix(strings.TrimSpace(row), "|"), "|")
		require.Len(t, cells, 5, row)
		names := regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(cells[4], -1)
		assert.NotEmpty(t, names, row)
		for _, name := range names {
			assert.True(t, known[name[1]], "%s is no test: %s", name[1], cells[0])
		}
	}
}
