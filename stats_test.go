package shadow

import (
	"errors"
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
)

// byCode is what one view of the ledger says of each code that is counted exactly.
type byCode map[string]uint64

func ofStats(s Stats) byCode {
	n := byCode{"match": s.Match, "mismatch": s.Mismatch, "failed": s.Failed, "uncompared": s.Uncompared}
	for _, counts := range []map[Reason]uint64{s.Skipped, s.Dropped} {
		for reason, count := range counts {
			n[string(reason)] = count
		}
	}
	return n
}

func ofMetrics(m *Mirror) byCode {
	n := byCode{}
	for _, count := range m.read().Requests {
		name := count.Reason
		if name == "" {
			name = count.Outcome
		}
		n[name] = n[name] + count.N
	}
	return n
}

func ofRoutes(list []RouteCoverage) byCode {
	n := byCode{}
	for _, c := range list {
		for name, count := range map[string]uint64{"match": c.Match, "mismatch": c.Mismatch, "failed": c.Failed, "uncompared": c.Uncompared} {
			n[name] += count
		}
		for reason, count := range c.Lost {
			n[string(reason)] += count
		}
	}
	return n
}

// under fails where one view is ahead of another by more than slack.
func under(t *testing.T, what string, low, high byCode, slack uint64) {
	t.Helper()
	for name, n := range low {
		if n > high[name]+slack {
			t.Errorf("%s: %d %s, and then %d", what, n, name, high[name])
		}
	}
}

// Stats, Coverage and the metrics read one ledger: they say the same, while there is traffic up
// to the requests that are being counted, and afterwards exactly.
func TestStatsCoverageAndMetricsAgree(t *testing.T) {
	const clients, each = 8, 400
	for name, options := range map[string][]Option{
		"after the primary": {WithQueue(4, 1<<20), WithConcurrency(2)},
		"parallel":          {WithTiming(Parallel), WithQueue(4, 1<<20), WithConcurrency(2)},
		"nobody looks":      {WithQueue(4, 1<<20), WithConcurrency(2)},
	} {
		t.Run(name, func(t *testing.T) {
			target := InProcess("v2", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Query().Get("v2") {
				case "panics":
					panic("v2")
				case "differs":
					io.WriteString(w, "other")
				default:
					io.WriteString(w, "ok")
				}
			}))
			target.Isolated, target.Discard = true, name == "nobody looks"
			target.Masker = MaskerFunc(func(m *Message) error {
				if m.URL != nil && m.URL.Query().Get("v2") == "secret" {
					return errors.New("secret")
				}
				return nil
			})
			m, err := New(target, append(options, WithLoadShedding(LoadSheddingOptions{Off: true}), WithBreaker(BreakerOptions{Off: true}),
				WithMethods("GET", "POST"), WithMaxBody(10), WithSampler(SamplerFunc(func(r *http.Request) bool { return r.URL.Query().Get("sampled") == "" })))...)
			require.NoError(t, err)
			mux := http.NewServeMux()
			serve := func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Query().Get("unread") == "" {
					io.Copy(io.Discard, r.Body)
				}
				if r.URL.Query().Get("busy") != "" {
					w.WriteHeader(http.StatusServiceUnavailable)
				}
				io.WriteString(w, "ok")
			}
			for i := range 5 {
				mux.HandleFunc(fmt.Sprintf("/route%d/{id}", i), serve)
			}
			h := m.Handler(mux)
			request := func() *http.Request {
				method, query, body := "GET", "", ""
				switch rand.IntN(12) {
				case 0:
					query = "v2=panics"
				case 1:
					query = "v2=differs"
				case 2:
					query = "v2=secret"
				case 3:
					query = "sampled=no"
				case 4:
					query = "busy=1"
				case 5:
					method, body = "POST", "much too long"
				case 6:
					method, body, query = "POST", "short", "unread=1"
				case 7:
					method = "DELETE"
				case 8:
					method, body = "POST", "short"
				}
				var r *http.Request
				target := fmt.Sprintf("/route%d/%d?%s", rand.IntN(5), rand.IntN(100), query)
				if body == "" {
					r = httptest.NewRequest(method, target, nil)
				} else {
					r = httptest.NewRequest(method, target, io.MultiReader(strings.NewReader(body)))
				}
				switch rand.IntN(12) {
				case 0:
					r.Header.Set("Upgrade", "websocket")
				case 1:
					r.Header.Set("Shadow-Request", "1")
				}
				return r
			}
			exact := func(n byCode) byCode { // what is counted by each request's route
				for c := codeMatch; c < numCodes; c++ {
					switch name := string(codes[c].name); {
					case c == codeMethod, c == codeNotSampled:
						delete(n, name) // estimated by route
					case target.Discard && codes[c].group == outcome:
						delete(n, name) // nobody looks at them
					case n[name] == 0:
						delete(n, name)
					}
				}
				return n
			}

			var load, watch sync.WaitGroup
			stop := make(chan struct{})
			watch.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					const counting = clients + 2 // requests and workers that may have counted one half
					stats := ofStats(m.Stats())
					metrics, routes := ofMetrics(m), ofRoutes(m.Coverage())
					then := m.Stats()
					under(t, "Stats, then metrics", stats, metrics, 0)
					under(t, "metrics, then Stats", metrics, ofStats(then), 0)
					under(t, "Stats, then Coverage", exact(stats), routes, counting)
					under(t, "Coverage, then Stats", exact(routes), ofStats(then), counting)
				}
			})
			for range clients {
				load.Go(func() {
					for range each {
						h.ServeHTTP(httptest.NewRecorder(), request())
					}
				})
			}
			load.Wait()
			require.NoError(t, m.Shutdown(t.Context()))
			close(stop)
			watch.Wait()

			s := m.Stats()
			assert.EqualValues(t, clients*each, s.Requests)
			assert.Zero(t, s.Queued+s.Running)
			assert.Equal(t, exact(ofStats(s)), exact(ofMetrics(m)))
			assert.Equal(t, exact(ofStats(s)), exact(ofRoutes(m.Coverage())))
			for _, reason := range []string{"loop", "upgrade", "mask-failed", "primary-refused", "body-too-large", "body-unread"} {
				assert.Positive(t, ofStats(s)[reason], reason)
			}
		})
	}
}

// Each code has a name of its own and a group, and each event that a code names is about losses.
func TestTheTableOfCodesIsWhole(t *testing.T) {
	names := map[Reason]bool{}
	for c := codeMatch; c < numCodes; c++ {
		row := codes[c]
		assert.Contains(t, []group{outcome, skipped, dropped, aside}, row.group, "%d", c)
		if row.group == aside {
			assert.Empty(t, row.name)
			continue
		}
		assert.NotEmpty(t, row.name, "%d", c)
		assert.False(t, names[row.name], row.name)
		names[row.name] = true
		assert.Equal(t, row.group == outcome, c <= codeUncompared)
		if row.event != "" {
			assert.Equal(t, row.event, row.event.about(), "a loss is told of by the event that begins it")
		}
	}
	for _, o := range []Outcome{Match, Mismatch, Failed, Uncompared} {
		assert.Equal(t, Reason(o), codes[codeOf(o)].name)
	}
}
