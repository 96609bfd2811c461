package gate

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow/report/tally"
)

func ask(g *Gate, method, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	g.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(`{"name":"orders","namespace":"prod","phase":"Progressing"}`)))
	return w
}

// mixed passes in one check, fails in another, and cannot decide a third.
func mixed(t *testing.T) *Gate {
	g, err := New(Criteria{
		MinDuration: Duration(2 * time.Hour),
		Limits:      Limits{DiffRate: 0.001, ErrorRate: 0.1, P95Ratio: 1.01},
		Routes:      map[string]Limits{"GET /<&\"é\x00>": {DiffRate: 0.1}},
	}, always(bad()), Options{})
	require.NoError(t, err)
	return g
}

func TestHooksAreAnsweredByTheirStatus(t *testing.T) {
	for _, c := range []struct {
		snapshot       *tally.Snapshot
		passed, failed int
	}{
		{many(), http.StatusOK, http.StatusConflict},
		{few(), http.StatusServiceUnavailable, http.StatusServiceUnavailable},
		{bad(), http.StatusConflict, http.StatusOK},
		{nil, http.StatusServiceUnavailable, http.StatusServiceUnavailable},
	} {
		g := newGate(t, always(c.snapshot), Options{})
		for _, method := range []string{"GET", "HEAD", "POST"} {
			assert.Equal(t, c.passed, ask(g, method, "/passed").Code)
			assert.Equal(t, c.failed, ask(g, method, "/failed").Code)
		}
		assert.Equal(t, ask(g, "GET", "/verdict.txt").Body.String(), ask(g, "POST", "/passed").Body.String(),
			"Flagger shows the body in its events")
		for _, path := range []string{"/verdict.json", "/verdict.txt", "/junit.xml"} {
			assert.Equal(t, http.StatusOK, ask(g, "GET", path).Code, "whatever the verdict is")
		}
	}
}

func TestTheFormsOfADecision(t *testing.T) {
	g := mixed(t)
	for path, contentType := range map[string]string{
		"/verdict.json": "application/json",
		"/verdict.txt":  "text/plain; charset=utf-8",
		"/junit.xml":    "application/xml",
	} {
		w := ask(g, "GET", path)
		golden(t, "mixed-"+path[1:], w.Body.String())
		assert.Equal(t, contentType, w.Header().Get("Content-Type"))
		assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	}
}

// A client may ask for any path, and where there are no patterns that is the route.
func TestANameCannotForgeALine(t *testing.T) {
	s := snapshot(counted{route: "GET /x\n  pass  diffRate\x1b[2J", match: 1})
	g, err := New(Criteria{EachRoute: Limits{DiffRate: 0.1}}, always(s), Options{})
	require.NoError(t, err)
	for _, path := range []string{"/verdict.txt", "/junit.xml"} {
		body := ask(g, "GET", path).Body.String()
		assert.NotContains(t, body, "\x1b")
		assert.NotContains(t, body, "\n  pass")
		assert.Contains(t, body, "diffRate of GET /x\ufffd  pass  diffRate\ufffd[2J")
	}
}

// Argo Rollouts picks the verdict with {$.verdict}.
func TestTheJSONIsTheDecision(t *testing.T) {
	g := mixed(t)
	var d Decision
	require.NoError(t, json.Unmarshal(ask(g, "GET", "/verdict.json").Body.Bytes(), &d))
	assert.Equal(t, Fail, d.Verdict)
	want := g.Decide(t.Context())
	for i := range want.Checks {
		want.Checks[i].Route = strings.ToValidUTF8(want.Checks[i].Route, "\ufffd")
	}
	assert.Empty(t, cmp.Diff(want, d))
}

// The rules are those of the schema of Jenkins' xUnit plugin, which others follow: which
// elements there are, their mandatory attributes, and counts that add up.
func TestJUnitReportsHaveTheUsualShape(t *testing.T) {
	for _, c := range []struct {
		name                    string
		snapshot                *tally.Snapshot
		tests, failures, errors int
	}{
		{"pass", many(), 1, 0, 0},
		{"fail", bad(), 1, 1, 0},
		{"insufficient", few(), 1, 0, 1},
		{"no decision", nil, 1, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			checkJUnit(t, ask(newGate(t, always(c.snapshot), Options{}), "GET", "/junit.xml").Body.Bytes(), c.tests, c.failures, c.errors)
		})
	}
	checkJUnit(t, ask(mixed(t), "GET", "/junit.xml").Body.Bytes(), 5, 1, 3)
}

func checkJUnit(t *testing.T, report []byte, tests, failures, errors int) {
	t.Helper()
	children := map[string]string{
		"":           "testsuites",
		"testsuites": "testsuite",
		"testsuite":  "testcase",
		"testcase":   "error failure system-out",
	}
	attributes := map[string]string{
		"testsuites": "name tests failures errors time",
		"testsuite":  "name tests failures errors skipped time",
		"testcase":   "name classname time",
		"error":      "message type",
		"failure":    "message type",
	}
	count := map[string]int{}
	sums := map[string]string{}
	parents := []string{""}
	d := xml.NewDecoder(bytes.NewReader(report))
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		switch element := token.(type) {
		case xml.StartElement:
			name, parent := element.Name.Local, parents[len(parents)-1]
			assert.Contains(t, strings.Fields(children[parent]), name, "in "+parent)
			has := map[string]string{}
			for _, a := range element.Attr {
				has[a.Name.Local] = a.Value
			}
			for _, mandatory := range strings.Fields(attributes[name]) {
				assert.Contains(t, has, mandatory, name)
			}
			if name == "testsuite" || name == "testsuites" {
				sums[name] = has["tests"] + " " + has["failures"] + " " + has["errors"]
			}
			count[name]++
			parents = append(parents, name)
		case xml.EndElement:
			parents = parents[:len(parents)-1]
		}
	}
	assert.Equal(t, [3]int{tests, failures, errors}, [3]int{count["testcase"], count["failure"], count["error"]})
	assert.Equal(t, sums["testsuite"], sums["testsuites"])
	assert.Equal(t, [3]byte{byte('0' + tests), byte('0' + failures), byte('0' + errors)},
		[3]byte{sums["testsuite"][0], sums["testsuite"][2], sums["testsuite"][4]})
}

func TestWhatIsNotThereIsNotFound(t *testing.T) {
	source := &stages{list: []*tally.Snapshot{few()}}
	g := newGate(t, source.next, Options{})
	for _, path := range []string{"/", "/verdict", "/verdict.json/", "/../passed"} {
		assert.Equal(t, http.StatusNotFound, ask(g, "GET", path).Code, path)
	}
	for _, path := range []string{"/verdict.json", "/verdict.txt", "/junit.xml"} {
		w := ask(g, "POST", path)
		assert.Equal(t, http.StatusMethodNotAllowed, w.Code)
		assert.Equal(t, "GET, HEAD", w.Header().Get("Allow"))
	}
	assert.Zero(t, source.at, "a mistake costs no snapshot")
}

func TestAGateIsMountedBelowAPrefix(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("/gate/", http.StripPrefix("/gate", newGate(t, always(many()), Options{})))
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("POST", "/gate/passed", nil))
	assert.Equal(t, http.StatusOK, w.Code)
}

func FuzzWhateverIsAskedOfItAGateAnswersInForm(f *testing.F) {
	f.Add("GET", "/verdict.json", "GET /orders", uint64(5000), uint64(0))
	f.Add("GET", "/junit.xml", "\x00\xff<![CDATA[", uint64(1), uint64(1))
	f.Add("POST", "/passed", "", uint64(0), uint64(1<<63))
	f.Add("BREW", "/junit.xml", "]]>", uint64(10), uint64(3))
	f.Fuzz(func(t *testing.T, method, path, route string, match, mismatch uint64) {
		s := snapshot()
		s.Routes = []tally.Route{{Mirror: route, Target: route, Route: route, Results: tally.Counts{Match: match, Mismatch: mismatch}}}
		g, err := New(Criteria{Limits: Limits{DiffRate: 0.01, P95Ratio: 2}, EachRoute: Limits{RawDiffRate: 0.1, LagMedian: 1}}, always(s), Options{})
		require.NoError(t, err)
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/", nil)
		r.Method, r.URL.Path = method, path
		g.ServeHTTP(w, r)
		switch body := w.Body.Bytes(); {
		case w.Code == http.StatusNotFound || w.Code == http.StatusMethodNotAllowed:
		case path == "/verdict.json":
			var d Decision
			require.NoError(t, json.Unmarshal(body, &d))
			require.Contains(t, []Verdict{Pass, Fail, Insufficient}, d.Verdict)
		case path == "/junit.xml":
			require.NoError(t, xml.Unmarshal(body, new(junit)), "%s", body)
		default:
			require.Contains(t, []int{200, 409, 503}, w.Code)
			require.NotEmpty(t, body)
		}
	})
}
