package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/goshadow/shadow"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// found is one line of the table of differences.
type found struct {
	Route, Path string
	Kind        shadow.DiffKind
	V1, V2      string
}

func TestRehearsalFindsEveryPlantedRegressionAndNothingElse(t *testing.T) {
	result, _, _ := rehearseSample(t)

	var got []found
	for _, name := range result.findings.routesByDiffering() {
		rt := result.findings.routes[name]
		require.Zero(t, rt.failed, name)
		for _, p := range rt.places() {
			d := rt.differences[p]
			got = append(got, found{name, p.path, p.kind, value(d.example.Primary), value(d.example.Shadow)})
		}
	}
	want := []found{
		{"GET /airports/{code}", "/body/latitude", shadow.Changed, "16.762118", "16.76"},
		{"GET /airports/{code}", "/body/longitude", shadow.Changed, "-99.755473", "-99.76"},
		{"GET /airports/{code}", "/status", shadow.Changed, "404", "400"},
		{"GET /airports/{code}", "/body/elevation_ft", shadow.TypeChanged, "null", "0"},
		{"GET /airports", "/body/airports/*/city", shadow.Missing, `"Edmonton"`, "(absent)"},
		{"GET /airports", "/body/airports/*/municipality", shadow.Extra, "(absent)", `"Edmonton"`},
		{"GET /countries/{code}", "/body/airports", shadow.Reordered, `["YEG","YHZ","YOW","YQB",…`, `["YXX","YYC","YEG","YHZ",…`},
		{"GET /distance/{from}/{to}", "/body/km", shadow.TypeChanged, "14272.7", `"14272.7"`},
	}
	require.Empty(t, cmp.Diff(want, got))
}

// The slow route is planted too. What makes it slow is counted here, so that the
// test does not depend on a clock.
func TestTheSlowRouteAsksTheStoreOncePerNeighbour(t *testing.T) {
	for name, tc := range map[string]struct {
		service func(*store) http.Handler
		queries int64
	}{
		"v1": {newV1, 2},
		"v2": {newV2, 12},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := openStore(data, 0)
			require.NoError(t, err)
			w := answer(tc.service(s), call{method: "GET", target: "/airports/LHR/nearby"})
			require.Equal(t, http.StatusOK, w.Code)
			require.Contains(t, w.Body.String(), `"origin":"LHR","airports":[{"code":"LGW"`)
			require.Equal(t, tc.queries, s.queries())
		})
	}
}

func TestLedgerSumsUpToTheRequestsPlayed(t *testing.T) {
	result, requests, _ := rehearseSample(t)

	var posts uint64
	for _, e := range requests {
		if e.Method == http.MethodPost {
			posts++
		}
	}
	require.NotZero(t, posts)
	st := result.stats
	assert.EqualValues(t, len(requests), st.Requests)
	assert.Equal(t, posts, st.Skipped[shadow.ReasonMethod])
	assert.EqualValues(t, len(requests), posts+st.Match+st.Mismatch, "%+v", st)
	assert.Zero(t, st.Unreported)

	var compared, differing int
	for _, rt := range result.findings.routes {
		compared += rt.answers
		differing += rt.differing
	}
	assert.EqualValues(t, st.Match+st.Mismatch, compared)
	assert.EqualValues(t, st.Mismatch, differing)
}

func TestReportIsPlainNarrowAndKeepsTheKeys(t *testing.T) {
	_, requests, out := rehearseSample(t)

	require.NotContains(t, out, "\x1b", "colours in a file")
	for _, line := range strings.Split(out, "\n") {
		require.LessOrEqual(t, utf8.RuneCountInString(line), 100, line)
	}
	keys := 0
	for _, e := range requests {
		target, err := url.Parse(e.Target)
		require.NoError(t, err)
		if key := target.Query().Get("key"); key != "" {
			keys++
			require.NotContains(t, out, key)
		}
	}
	require.NotZero(t, keys)
}

func TestReportIsTheSameEveryTimeApartFromTheTimes(t *testing.T) {
	_, _, first := rehearseSample(t)
	_, _, second := rehearseSample(t)

	untimed := func(out string) string {
		before, _, ok := strings.Cut(out, "LATENCY")
		require.True(t, ok)
		return before
	}
	require.Empty(t, cmp.Diff(untimed(first), untimed(second)))
}

// rehearseSample runs the main job on a part of the log and returns what it found,
// the requests it played, and what it printed.
func rehearseSample(t *testing.T) (*rehearsal, []entry, string) {
	t.Helper()
	accessLog, err := data.Open("data/access.log")
	require.NoError(t, err)
	all, err := parseAccessLog(accessLog)
	require.NoError(t, err)

	// Fewer than the mirror's queue holds, so that none can be lost on a slow machine.
	var sample []entry
	for i, e := range all {
		if i%12 == 0 || strings.HasPrefix(e.Target, "/airports/WNZ") {
			sample = append(sample, e)
		}
	}
	require.Less(t, len(sample), 256)

	airports, err := openStore(data, 0)
	require.NoError(t, err)
	var out bytes.Buffer
	screen := newScreen(&out)
	result, err := rehearse(t.Context(), airports, sample, screen)
	require.NoError(t, err)
	screen.show(result)
	return result, sample, out.String()
}

func TestRunStaysUpForCurlUntilInterrupted(t *testing.T) {
	// The deadline only ends a test that has failed: nothing is printed any more.
	ctx, interrupt := context.WithTimeout(t.Context(), time.Minute)
	defer interrupt()
	read, write := io.Pipe()
	defer read.Close()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, []string{"-listen", "127.0.0.1:0"}, write)
		write.Close()
		ended <- err
	}()
	lines := bufio.NewScanner(read)
	waitFor := func(text string) string {
		t.Helper()
		for lines.Scan() {
			if strings.Contains(lines.Text(), text) {
				return lines.Text()
			}
		}
		require.Failf(t, "not printed", "%q", text)
		return ""
	}

	waitFor("v2 is not ready: 8 differences")
	_, target, _ := strings.Cut(waitFor("curl -i "), "curl -i ")
	waitFor("/nearby")

	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get(target + "?key=classified")
	require.NoError(t, err)
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Contains(t, string(body), `"latitude":51.4706,`, "v1 answers the caller")
	require.NotContains(t, waitFor("GET /airports/LHR?key="), "classified")
	waitFor("/body/latitude")

	interrupt()
	_, err = io.Copy(io.Discard, read)
	require.NoError(t, err)
	require.NoError(t, <-ended)
}

func TestRunSaysWhatIsWrongWithItsArguments(t *testing.T) {
	require.ErrorContains(t, run(t.Context(), []string{"-listen", "nowhere"}, io.Discard), "nowhere")
	require.ErrorContains(t, run(t.Context(), []string{"more"}, io.Discard), "more")
}

func TestPlayEndsAtAnAnswerThatWasNotRecorded(t *testing.T) {
	airports, err := openStore(data, 0)
	require.NoError(t, err)
	service, err := serveLoopback(newV1(airports))
	require.NoError(t, err)
	defer service.stop()

	log := []entry{{"GET", "/airports/LHR", 200}, {"GET", "/airports/LHR", 204}, {"GET", "/countries", 200}}
	_, err = play(t.Context(), log, service.url, service.url, func(int) {})

	require.EqualError(t, err, "GET /airports/LHR: answered 200, the log says 204")
}

func TestFindingsGroupByRoutePlaceAndKind(t *testing.T) {
	result := func(path string, diffs ...shadow.Diff) *shadow.Result {
		outcome := shadow.Match
		if len(diffs) > 0 {
			outcome = shadow.Mismatch
		}
		return &shadow.Result{
			Outcome: outcome,
			Diffs:   diffs,
			Exchange: shadow.Exchange{
				Route:   "GET /lists/{id}",
				Request: &shadow.Message{Method: "GET", URL: &url.URL{Path: path}},
				Primary: &shadow.Message{Took: time.Millisecond},
				Shadow:  &shadow.Message{Took: 8 * time.Millisecond},
			},
		}
	}
	changed := func(path, v1, v2 string) shadow.Diff {
		return shadow.Diff{Path: path, Kind: shadow.Changed, Primary: []byte(v1), Shadow: []byte(v2)}
	}
	missing := shadow.Diff{Path: "/body/items/0/name", Kind: shadow.Missing, Primary: []byte(`"a"`)}

	var f findings
	for _, r := range []*shadow.Result{
		result("/lists/22", changed("/body/items/0/price", "1", "2"), changed("/body/items/10/price", "3", "4")),
		result("/lists/1", changed("/body/items/7/price", "5", "6"), missing),
		result("/lists/3"),
	} {
		require.NoError(t, f.Report(t.Context(), r))
	}

	require.Len(t, f.routes, 1)
	rt := f.routes["GET /lists/{id}"]
	assert.Equal(t, 3, rt.answers)
	assert.Equal(t, 2, rt.differing)
	assert.True(t, rt.slow())
	prices := place{"/body/items/*/price", shadow.Changed}
	names := place{"/body/items/*/name", shadow.Missing}
	assert.Equal(t, []place{prices, names}, rt.places())
	assert.Equal(t, 2, rt.differences[prices].answers, "answers are counted, not elements")
	assert.Equal(t, "GET /lists/1", rt.differences[prices].request, "the simplest example")
	assert.Equal(t, "5", string(rt.differences[prices].example.Primary))

	var out bytes.Buffer
	newScreen(&out).speed(&f)
	require.Contains(t, out.String(), "8 x slower")
}

func TestFindingsStayBoundedAndCountWhatTheyLeaveOut(t *testing.T) {
	result := func(route, path string) *shadow.Result {
		return &shadow.Result{
			Outcome: shadow.Mismatch,
			Diffs:   []shadow.Diff{{Path: path, Kind: shadow.Extra, Shadow: []byte("1")}},
			Exchange: shadow.Exchange{
				Route:   route,
				Request: &shadow.Message{Method: "GET", URL: &url.URL{Path: "/"}},
				Primary: &shadow.Message{},
				Shadow:  &shadow.Message{},
			},
		}
	}
	var f findings
	for i := range 3 * maxPlaces {
		require.NoError(t, f.Report(t.Context(), result("/", strings.Repeat("/x", i))))
	}
	require.Len(t, f.routes["/"].differences, maxPlaces)
	require.Equal(t, 2*maxPlaces, f.unlisted)

	f = findings{}
	for i := range 3 * maxRoutes {
		require.NoError(t, f.Report(t.Context(), result(strings.Repeat("/x", i), "/body")))
	}
	require.Len(t, f.routes, maxRoutes)
	require.Equal(t, 2*maxRoutes, f.unlisted)
}

func TestFoldIndexes(t *testing.T) {
	for pointer, want := range map[string]string{
		"":                      "",
		"/status":               "/status",
		"/header/Content-Type":  "/header/Content-Type",
		"/body":                 "/body",
		"/body/0":               "/body/*",
		"/body/items/12/tags/3": "/body/items/*/tags/*",
		"/body/x1/2y":           "/body/x1/2y",
		"/body//7":              "/body//*",
	} {
		assert.Equal(t, want, foldIndexes(pointer))
	}
}

func TestLatenciesNameQuantilesToWithinTwoPercent(t *testing.T) {
	var l latencies
	assert.Zero(t, l.quantile(.5), "of nothing")
	for i := range 1000 {
		l.add(time.Duration(i+1) * time.Millisecond)
	}
	for p, want := range map[float64]time.Duration{
		0.50: 500 * time.Millisecond,
		0.95: 950 * time.Millisecond,
		0.99: 990 * time.Millisecond,
		1.00: time.Second,
	} {
		assert.InEpsilon(t, want, l.quantile(p), 0.02, "p%.0f", 100*p)
	}
	l.add(-time.Second)
	l.add(1000 * time.Hour)
	assert.Equal(t, 1002, l.n, "what is out of range is counted at the end")
}

func TestMedianIntervalHoldsTheMedian(t *testing.T) {
	median, low, high := medianInterval(nil)
	assert.Zero(t, median+low+high, "of nothing")

	median, low, high = medianInterval([]time.Duration{7})
	assert.Equal(t, [3]time.Duration{7, 7, 7}, [3]time.Duration{median, low, high})

	values := make([]time.Duration, 101)
	for i := range values {
		values[i] = time.Duration((i * 37) % 101) // 0 to 100, out of order
	}
	median, low, high = medianInterval(values)
	assert.Equal(t, [3]time.Duration{50, 40, 60}, [3]time.Duration{median, low, high}, "0.98 √101 is 9.8 ranks")
}
