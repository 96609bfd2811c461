package main

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "record data/access.log again")

func TestParserReadsCommonAndCombinedLogFormat(t *testing.T) {
	log := strings.Join([]string{
		`192.0.2.7 - - [14/Mar/2026:09:00:01 +0000] "GET /airports/LHR HTTP/1.1" 200 142`,
		`2001:db8::7 - ann [14/Mar/2026:09:00:01 +0000] "HEAD /airports?country=DE&limit=5 HTTP/2.0" 200 -`,
		``,
		`192.0.2.7 - - [14/Mar/2026:09:00:02 +0000] "GET /search?q=%22 HTTP/1.1" 304 0 "https://example.org/" "a \"quoted\" agent"`,
	}, "\n")

	got, err := parseAccessLog(strings.NewReader(log))

	require.NoError(t, err)
	want := []entry{
		{Method: "GET", Target: "/airports/LHR", Status: 200},
		{Method: "HEAD", Target: "/airports?country=DE&limit=5", Status: 200},
		{Method: "GET", Target: "/search?q=%22", Status: 304},
	}
	require.Empty(t, cmp.Diff(want, got))
}

func TestParserNamesTheLineItCannotRead(t *testing.T) {
	const good = `192.0.2.7 - - [14/Mar/2026:09:00:01 +0000] "GET / HTTP/1.1" 200 142`
	for name, bad := range map[string]string{
		"not a log":        `hello`,
		"no status":        `192.0.2.7 - - [14/Mar/2026:09:00:01 +0000] "GET / HTTP/1.1" - 142`,
		"handshake":        `192.0.2.7 - - [14/Mar/2026:09:00:01 +0000] "\x16\x03\x01" 400 -`,
		"proxy request":    `192.0.2.7 - - [14/Mar/2026:09:00:01 +0000] "GET http://example.org/ HTTP/1.1" 400 -`,
		"something behind": good + ` x`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseAccessLog(strings.NewReader(good + "\n" + bad + "\n"))
			require.ErrorContains(t, err, "line 2")
		})
	}
}

// The log in the repository is what v1 answered to the traffic below.
// "go test ./examples/quickstart -run Log -update" records it again.
func TestLogHoldsWhatV1Answers(t *testing.T) {
	s, err := openStore(data, 0)
	require.NoError(t, err)
	service := newV1(s)

	if *update {
		require.NoError(t, os.WriteFile("data/access.log", record(service, traffic(s, 3000)), 0o644))
	}
	log, err := os.ReadFile("data/access.log")
	require.NoError(t, err)
	require.Less(t, len(log), 300<<10)

	entries, err := parseAccessLog(bytes.NewReader(log))
	require.NoError(t, err)
	require.Len(t, entries, 3000)
	for _, e := range entries {
		w := answer(service, call{e.Method, e.Target, e.Status == http.StatusNotModified})
		require.Equal(t, e.Status, w.Code, "%s %s", e.Method, e.Target)
	}
}

// call is a request to be recorded.
type call struct {
	method, target string
	cached         bool // the caller asks whether the answer has changed
}

// traffic makes up n calls, always the same: few airports are asked for often and
// most of them seldom, as on any site.
func traffic(s *store, n int) []call {
	random := rand.New(rand.NewPCG(7, 7))

	popular := slices.Clone(s.airports)
	random.Shuffle(len(popular), func(i, j int) { popular[i], popular[j] = popular[j], popular[i] })
	slices.SortStableFunc(popular, func(a, b airport) int { return boost(b.Code) - boost(a.Code) })
	zipf := rand.NewZipf(random, 1.2, 6, uint64(len(popular)-1))
	some := func() airport { return popular[zipf.Uint64()] }

	small := []string{"LCY", "XNA", "TXL", "QQQ", "BBB"} // not in the data
	words := []string{"london", "berlin", "saint", "new york", "king", "o'hare", "münchen", "são paulo", "inter", "atlantis"}
	keys := []string{"demo-4f1c", "demo-77ab", "demo-e012"} // the callers' API keys

	kinds := []struct {
		weight int
		call   func() call
	}{
		{380, func() call { return call{method: "GET", target: "/airports/" + some().Code} }},
		{120, func() call { return call{method: "GET", target: "/airports/" + some().Code + "/nearby"} }},
		{130, func() call { return call{method: "GET", target: "/airports?country=" + some().Country} }},
		{10, func() call {
			return call{method: "GET", target: fmt.Sprintf("/airports?limit=50&offset=%d", 50*random.IntN(8))}
		}},
		{140, func() call {
			return call{method: "GET", target: "/search?q=" + url.QueryEscape(words[random.IntN(len(words))])}
		}},
		{70, func() call { return call{method: "GET", target: "/countries/" + some().Country} }},
		{15, func() call { return call{method: "GET", target: "/countries"} }},
		{70, func() call { return call{method: "GET", target: "/distance/" + some().Code + "/" + some().Code} }},
		{20, func() call { return call{method: "HEAD", target: "/airports/" + some().Code} }},
		{30, func() call { return call{method: "GET", target: "/airports/" + some().Code, cached: true} }},
		{30, func() call { return call{method: "POST", target: "/feedback"} }},
		{25, func() call { return call{method: "GET", target: "/airports/" + small[random.IntN(len(small))]} }},
		{2, func() call { return call{method: "GET", target: "/airports/WNZ"} }}, // of unknown elevation
		{5, func() call { return call{method: "GET", target: "/countries/UK"} }}, // it is GB
		{5, func() call { return call{method: "GET", target: "/search"} }},
		{10, func() call { return call{method: "GET", target: "/robots.txt"} }},
	}
	total := 0
	for _, k := range kinds {
		total += k.weight
	}

	calls := make([]call, n)
	for i := range calls {
		ticket := random.IntN(total)
		for _, k := range kinds {
			if ticket -= k.weight; ticket < 0 {
				calls[i] = k.call()
				break
			}
		}
		if random.IntN(5) == 0 && calls[i].target != "/robots.txt" {
			separator := "?"
			if strings.Contains(calls[i].target, "?") {
				separator = "&"
			}
			calls[i].target += separator + "key=" + keys[random.IntN(len(keys))]
		}
	}
	return calls
}

// boost puts the airports everybody knows in front.
func boost(code string) int {
	known := []string{"MUC", "SIN", "HND", "AMS", "DXB", "CDG", "FRA", "JFK", "LHR"}
	return slices.Index(known, code)
}

// record has h answer the calls, one after the other, and returns the access log.
func record(h http.Handler, calls []call) []byte {
	var log bytes.Buffer
	random := rand.New(rand.NewPCG(7, 8))
	clock := time.Date(2026, time.March, 14, 9, 0, 0, 0, time.UTC)
	for _, c := range calls {
		clock = clock.Add(time.Duration(random.ExpFloat64() * float64(200*time.Millisecond)))
		w := answer(h, c)
		size := w.Body.Len()
		if c.method == http.MethodHead {
			size = 0 // the recorder keeps what a server would not send
		}
		// 203.0.113.0/24 is for documentation (RFC 5737): nobody's address.
		fmt.Fprintf(&log, "203.0.113.%d - - [%s] \"%s %s HTTP/1.1\" %d %d\n",
			1+random.IntN(40), clock.Format("02/Jan/2006:15:04:05 -0700"), c.method, c.target, w.Code, size)
	}
	return log.Bytes()
}

func answer(h http.Handler, c call) *httptest.ResponseRecorder {
	r := httptest.NewRequest(c.method, c.target, nil)
	if c.cached {
		r.Header.Set("If-None-Match", "*")
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}
