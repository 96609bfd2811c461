package patterns_test

import (
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow/internal/patterns"
)

func pick(list ...string) string { return list[rand.IntN(len(list))] }

func randomPattern() string {
	var b strings.Builder
	b.WriteString(pick("", "", "GET ", "POST ", "HEAD ", "PUT \t", "CONNECT "))
	b.WriteString(pick("", "", "", "a.example", "b.example"))
	for i := range rand.IntN(4) {
		b.WriteString("/" + pick("a", "b", "c", "%61", "x%2Fy", "{"+string(rune('k'+i))+"}", ".", "ü", "100%25", ""))
	}
	b.WriteString(pick("", "/", "/{$}", "/{rest...}", "/a"))
	return b.String()
}

func randomPath() string {
	var b strings.Builder
	for range rand.IntN(5) {
		b.WriteString("/" + pick("a", "b", "c", "d", "a", "b", "%61", "x%2Fy", "%2e", "..", ".", "", "ü", "100%25", "a%20b", "(", "%28"))
	}
	b.WriteString(pick("", "/", "/"))
	return b.String()
}

// What ServeMux finds is found, for any patterns that fit together and for any request.
func TestMatchIsThatOfServeMux(t *testing.T) {
	hits := 0
	for range 3000 {
		var table patterns.Table
		mux := http.NewServeMux()
		var list []string
		for range 1 + rand.IntN(12) {
			p := randomPattern()
			var want any
			func() {
				defer func() { want = recover() }()
				mux.Handle(p, http.NotFoundHandler())
			}()
			if err := table.Add(p); want == nil {
				require.NoError(t, err, p)
				list = append(list, p)
			} else {
				require.Error(t, err, p)
			}
		}
		for range 20 {
			u, err := url.ParseRequestURI("http://h" + randomPath())
			require.NoError(t, err)
			r := &http.Request{Method: pick("GET", "HEAD", "POST", "PUT", "CONNECT", ""), URL: u,
				Host: pick("", "a.example", "a.example:80", "b.example", "c.example", "[::1]:80", "[::1]", ":::")}
			if rand.IntN(5) == 0 {
				r.URL.RawPath = "" // as a rewriting middleware leaves it
			}
			_, want := mux.Handler(r)
			if want != "" {
				hits++
			}
			require.Equal(t, want, table.Match(r), "%s %s%s (%q) of %q", r.Method, r.Host, r.URL.Path, r.URL.RawPath, list)
		}
	}
	assert.Greater(t, hits, 5000, "hardly any request matched: the test proves little")
}

func TestMatchDoesNotAllocate(t *testing.T) {
	var table patterns.Table
	for _, p := range []string{"GET /orders/{id}", "/files/{path...}", "/a/{x}/b/{y}", "POST /only", "/dir/", "h.example/x/{any}/"} {
		require.NoError(t, table.Add(p))
	}
	for path, want := range map[string]string{
		"/orders/7": "GET /orders/{id}", "/files/a/b/c": "/files/{path...}", "/a/1/b/2": "/a/{x}/b/{y}", "/only": "", "/dir": "/dir/",
		"/none/of/them": "", "/x/y/z": "h.example/x/{any}/", "/x/y/" + strings.Repeat("long/", 1000): "h.example/x/{any}/", "/orders/a%20b": "GET /orders/{id}",
	} {
		r := httptest.NewRequest("GET", path, nil)
		r.Host = "h.example:8080"
		got := ""
		assert.Zero(t, testing.AllocsPerRun(100, func() { got = table.Match(r) }), path)
		assert.Equal(t, want, got, path)
	}
}
