package shadow_test

import (
	"compress/gzip"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

// sets is middleware that sets fields before the handler runs.
func sets(pairs ...string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for i := 0; i < len(pairs); i += 2 {
				w.Header().Add(pairs[i], pairs[i+1])
			}
			next.ServeHTTP(w, r)
		})
	}
}

// zips is middleware that compresses what the handler writes and says so before it runs.
func zips(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		defer z.Close()
		next.ServeHTTP(zipped{w, z}, r)
	})
}

type zipped struct {
	http.ResponseWriter
	z io.Writer
}

func (w zipped) Write(p []byte) (int, error) { return w.z.Write(p) }

// does is a handler that changes its header and answers.
func does(change func(h http.Header)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		change(w.Header())
		io.WriteString(w, `{"a":1}`)
	})
}

// What middleware around the Mirror sets before the primary runs is not the primary's: a
// candidate may do without it, and one that runs behind the same middleware may have it.
func TestWhatMiddlewareAroundSetsIsNoDifference(t *testing.T) {
	security := sets("Strict-Transport-Security", "max-age=9", "X-Content-Type-Options", "nosniff", "Vary", "Origin",
		"Access-Control-Allow-Origin", "https://a.example", "X-Frame-Options", "DENY", "Set-Cookie", "csrf=1; Path=/", "X-Tenant", "7")
	typed := sets("Content-Type", "application/json")
	none := does(func(http.Header) {})
	adds := does(func(h http.Header) {
		h.Add("Vary", "Accept")
		h.Add("Set-Cookie", "a=2")
		h.Add("X-Tenant", "8")
		h.Set("Content-Type", "application/json")
	})
	for name, c := range map[string]struct {
		around             func(http.Handler) http.Handler
		primary, candidate http.Handler // the candidate is the primary unless set
		want               string
		diffs              []string
		full               string // where the candidate runs behind the middleware too; want unless set
	}{
		"nothing":                {around: bare, primary: none, want: match},
		"set":                    {around: security, primary: none, want: match},
		"added to":               {around: security, primary: adds, want: match},
		"deleted":                {around: security, primary: does(func(h http.Header) { h.Del("Vary"); h.Del("X-Tenant") }), want: match},
		"changed":                {around: security, primary: does(func(h http.Header) { h.Set("Vary", "Accept"); h.Set("X-Tenant", "9") }), want: match},
		"set to the same":        {around: security, primary: does(func(h http.Header) { h.Set("Vary", "Origin"); h.Set("X-Tenant", "7") }), want: match},
		"type":                   {around: typed, primary: none, want: match},
		"type, changed":          {around: typed, primary: does(func(h http.Header) { h.Set("Content-Type", "text/csv") }), want: match},
		"coding":                 {around: zips, primary: none, want: match},
		"coding, typed":          {around: zips, primary: adds, want: match},
		"trailers":               {around: sets("Trailer", "X-Sum", "Trailer:X-Late", "1"), primary: none, want: match},
		"a field of the primary": {around: security, primary: adds, candidate: none, want: mismatch},
		"another value": {around: security, primary: adds, candidate: does(func(h http.Header) {
			h.Add("Vary", "Accept")
			h.Add("Set-Cookie", "a=2")
			h.Set("X-Tenant", "9")
			h.Set("Content-Type", "application/json")
		}), want: mismatch, diffs: []string{"/header/X-Tenant changed"}},
		"another value of what was set": {around: security, primary: none, candidate: does(func(h http.Header) { h.Set("X-Tenant", "9") }),
			want: mismatch, diffs: []string{"/header/X-Tenant changed"}},
		"more": {around: security, primary: none, candidate: does(func(h http.Header) { h.Set("X-More", "9") }),
			want: mismatch, diffs: []string{"/header/X-More extra"}},
	} {
		t.Run(name, func(t *testing.T) {
			if c.candidate == nil {
				c.candidate = c.primary
			}
			test := func(t *testing.T, target shadow.Target) {
				for _, timing := range []shadow.Timing{shadow.AfterPrimary, shadow.Parallel} {
					m, results := mirror(t, target, shadow.WithTiming(timing))
					bareAnswer := overSocket(t, c.around(c.primary))
					assert.Equal(t, bareAnswer, overSocket(t, c.around(m.Handler(c.primary))), "the client's answer")
					settled(t, m, c.want, results)
					if c.diffs != nil {
						var got []string
						for _, d := range results.All()[0].Diffs {
							got = append(got, d.Path+" "+string(d.Kind))
						}
						assert.Equal(t, c.diffs, got)
					}
				}
			}
			eachWay(t, c.candidate, test)
			t.Run("behind the middleware", func(t *testing.T) { eachWay(t, c.around(c.candidate), test) })
		})
	}
}

// overSocket is what a client gets over a socket.
func overSocket(t *testing.T, h http.Handler) *got {
	srv := httptest.NewServer(h)
	defer srv.Close()
	tr := &http.Transport{DisableCompression: true}
	defer tr.CloseIdleConnections()
	r, err := http.NewRequest("GET", srv.URL+"/a", strings.NewReader(""))
	require.NoError(t, err)
	return received(tr.RoundTrip(r))
}

var (
	identicalPrograms = flag.Int("identical", 200, "how many random handlers are their own candidate")
	identicalSeed     = flag.Uint64("identical.seed", 0, "the seed of the first of them; 0 is a random one")
)

// randomHeader is what a handler does to its header, and its text.
func randomHeader(rnd *rand.Rand) (func(w http.ResponseWriter, r *http.Request), string) {
	fields := [][2]string{
		{"Content-Type", "text/html"}, {"Content-Type", "application/json"}, {"Content-Type", ""}, {"Connection", "close"}, {"Connection", "keep-alive"},
		{"Keep-Alive", "timeout=5"}, {"Trailer", "X-End"}, {"Trailer", "X-End, X-Other"}, {"Vary", "Accept"}, {"Vary", "Accept, Origin"}, {"Etag", `"1"`},
		{"Set-Cookie", "a=1; Path=/"}, {"X-A", " spaced "}, {"X-A", "two\r\nlines"}, {"x-lower", "1"}, {"Date", "now"}, {"Transfer-Encoding", "chunked"},
		{"Transfer-Encoding", "identity"}, {"Content-Encoding", "identity"}, {"Content-Encoding", "gzip"}, {"X-Empty", ""}, {"Upgrade", "h2c"}, {"Link", "</a>; rel=preload"},
		{"Cache-Control", "no-cache"}, {"Content-Length", "3"}, {"Content-Length", "0"}, {"Content-Disposition", "attachment"}, {"X-Content-Type-Options", "nosniff"}, {"bad name", "1"},
	}
	field := fields[rnd.IntN(len(fields))]
	switch rnd.IntN(8) {
	case 0:
		return func(w http.ResponseWriter, _ *http.Request) { w.Header()[field[0]] = nil }, fmt.Sprintf("%s nil; ", field[0])
	case 1:
		return func(w http.ResponseWriter, _ *http.Request) { w.Header().Del(field[0]) }, fmt.Sprintf("%s deleted; ", field[0])
	case 2:
		return func(w http.ResponseWriter, _ *http.Request) { w.Header().Add(field[0], field[1]) }, fmt.Sprintf("%s added %q; ", field[0], field[1])
	case 3:
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-End", "1")
			w.Header().Set("X-Other", "2")
		}, "trailers; "
	}
	return func(w http.ResponseWriter, _ *http.Request) { w.Header()[field[0]] = []string{field[1]} }, fmt.Sprintf("%s %q; ", field[0], field[1])
}

// randomIdentical is a random handler, middleware inside of the Mirror around it, if any, and
// middleware outside.
func randomIdentical(rnd *rand.Rand) (h http.Handler, outside func(http.Handler) http.Handler, text string) {
	body, text := randomScript(rnd)
	p := script{}
	for range rnd.IntN(4) {
		step, name := randomHeader(rnd)
		p, text = append(p, step), name+text
	}
	p = append(p, body...)
	for range rnd.IntN(2) {
		step, name := randomHeader(rnd)
		p, text = append(p, step), text+name
	}
	h, outside = p, bare
	if rnd.IntN(6) == 0 {
		h, text = zips(h), "zipped: "+text
	}
	if rnd.IntN(3) == 0 {
		step, name := randomHeader(rnd)
		for strings.HasPrefix(name, "Content-Length") || strings.HasPrefix(name, "Content-Encoding") || strings.HasPrefix(name, "Content-Type nil") {
			// They are about a body, which this middleware leaves as it is.
			step, name = randomHeader(rnd)
		}
		text = "outside " + name + text
		outside = func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { step(w, r); next.ServeHTTP(w, r) })
		}
	}
	return h, outside, text
}

// The promise on which all others rest: a candidate that is the primary never differs from
// it, whatever it does, in process and over the network.
func TestAnIdenticalCandidateNeverDiffers(t *testing.T) {
	first := *identicalSeed
	if first == 0 {
		first = rand.Uint64() >> 16
	}
	t.Logf("-identical.seed=%d", first)
	compared := 0
	for i := range uint64(*identicalPrograms) {
		rnd := rand.New(rand.NewPCG(first+i, 0))
		h, outside, text := randomIdentical(rnd)
		method := []string{"GET", "HEAD", "POST"}[rnd.IntN(3)]
		http2, closes := rnd.IntN(3) == 0, rnd.IntN(6) == 0
		candidate := httptest.NewUnstartedServer(h)
		candidate.Config.ErrorLog = nolog
		candidate.Start()
		for name, target := range map[string]shadow.Target{"in process": shadow.InProcess("v2", h), "remote": shadow.Remote("v2", candidate.URL)} {
			m, results := mirror(t, target, allMethods)
			var asked sync.WaitGroup
			around := outside(m.Handler(h))
			primary := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer asked.Done()
				around.ServeHTTP(w, r)
			}))
			primary.Config.ErrorLog, primary.EnableHTTP2 = nolog, http2
			primary.StartTLS()
			client := primary.Client().Transport.(*http.Transport)
			client.DisableCompression = true
			r, err := http.NewRequest(method, primary.URL+"/a", strings.NewReader("hello"))
			require.NoError(t, err)
			r.Close = closes
			asked.Add(1)
			received(client.RoundTrip(r))
			asked.Wait()
			primary.Close()
			require.NoError(t, m.Shutdown(t.Context()))
			s := m.Stats()
			compared += int(s.Match)
			if s.Mismatch+s.Failed+s.Uncompared > 0 {
				for _, r := range results.All() {
					t.Errorf("-identical.seed=%d -identical=1: %s, HTTP/2 %v, %s %s:\n\t%s: %v, error %v", first+i, name, http2, method, text, r.Outcome, diffs(r.Diffs), r.Err)
				}
			}
		}
		candidate.Close()
	}
	assert.Greater(t, compared, *identicalPrograms/3)
}
