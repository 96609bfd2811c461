package shadow_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/baggage"
	"go.uber.org/goleak"

	"github.com/goshadow/shadow"
)

// A Mirror that has been shut down leaves no goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// silent is the address of a server that accepts connections, and reads and says
// nothing.
func silent(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		var conns []net.Conn
		for {
			c, err := l.Accept()
			if err != nil {
				break
			}
			conns = append(conns, c)
		}
		for _, c := range conns {
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return "http://" + l.Addr().String()
}

// A shadow that hangs, panics, floods or dies changes nothing.
func TestAShadowChangesNothing(t *testing.T) {
	flood := func(w http.ResponseWriter, r *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	}
	remote := func(h http.HandlerFunc) func(t *testing.T) shadow.Target {
		return func(t *testing.T) shadow.Target {
			srv, _ := server(t, h, false)
			return shadow.Remote("v2", srv.URL)
		}
	}
	local := func(h http.HandlerFunc) func(t *testing.T) shadow.Target {
		return func(t *testing.T) shadow.Target { return shadow.InProcess("v2", h) }
	}
	for name, target := range map[string]func(t *testing.T) shadow.Target{
		"hangs":                 func(t *testing.T) shadow.Target { return shadow.InProcess("v2", blocked(t)) },
		"panics":                local(func(http.ResponseWriter, *http.Request) { panic("shadow") }),
		"aborts":                local(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }),
		"exits":                 local(func(http.ResponseWriter, *http.Request) { runtime.Goexit() }),
		"floods":                local(flood),
		"does not read":         local(func(http.ResponseWriter, *http.Request) {}),
		"remote, aborts":        remote(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }),
		"remote, floods":        remote(flood),
		"remote, does not read": remote(func(http.ResponseWriter, *http.Request) {}),
		"remote, silent":        func(t *testing.T) shadow.Target { return shadow.Remote("v2", silent(t)) },
		"remote, not there":     func(t *testing.T) shadow.Target { return shadow.Remote("v2", "http://127.0.0.1:1") },
		"nil response": func(t *testing.T) shadow.Target {
			return shadow.Target{Name: "v2", Transport: roundTripper(func(*http.Request) (*http.Response, error) { return nil, nil })}
		},
		"panicking transport": func(t *testing.T) shadow.Target {
			return shadow.Target{Name: "v2", Transport: roundTripper(func(*http.Request) (*http.Response, error) { panic(1) })}
		},
		"panicking body": func(t *testing.T) shadow.Target {
			return shadow.Target{Name: "v2", Transport: roundTripper(func(*http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 200, Body: io.NopCloser(panicReader{})}, nil
			})}
		},
		"bare response": func(t *testing.T) shadow.Target {
			return shadow.Target{Name: "v2", Transport: roundTripper(func(*http.Request) (*http.Response, error) {
				return &http.Response{}, nil
			})}
		},
	} {
		t.Run(name, func(t *testing.T) {
			const limit = 1 << 20
			m, _ := mirror(t, target(t), allMethods, shadow.WithConcurrency(1), shadow.WithQueue(3, limit), shadow.WithMaxBody(64<<10))
			srv, handlers := server(t, m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				b, err := io.ReadAll(r.Body)
				assert.NoError(t, err)
				w.Header().Set("Trailer", "X-Sum")
				w.Write(b)
				w.(http.Flusher).Flush()
				w.Header().Set("X-Sum", "1")
			})), false)
			for i := range 20 {
				body := strings.Repeat(fmt.Sprint(i), 5000)
				resp, err := srv.Client().Post(srv.URL, "text/plain", strings.NewReader(body))
				require.NoError(t, err)
				got, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				resp.Body.Close()
				require.Equal(t, body, string(got))
				require.Equal(t, "1", resp.Trailer.Get("X-Sum"))
				require.LessOrEqual(t, m.Stats().QueuedBytes, int64(limit))
			}
			handlers.Wait()
			require.NoError(t, m.Close())
			ledger(t, m)
			require.EqualValues(t, 20, m.Stats().Requests)
			require.Zero(t, m.Stats().Match)
		})
	}
}

// Copies are bounded by number: past the caps they are dropped and nothing waits.
func TestCopiesAreBoundedByNumber(t *testing.T) {
	g := newGate()
	m, _ := mirror(t, shadow.InProcess("v2", g), shadow.WithConcurrency(2), shadow.WithQueue(3, 1<<20))
	h := m.Handler(text("ok"))
	before := runtime.NumGoroutine()
	for range 100 {
		require.Equal(t, "ok", getFrom(h, "/").Body.String())
	}
	<-g.Asked
	<-g.Asked
	require.LessOrEqual(t, runtime.NumGoroutine(), before+2)
	s := m.Stats()
	require.Equal(t, 2, s.Running)
	require.Equal(t, 3, s.Queued)
	require.Equal(t, map[shadow.Reason]uint64{shadow.ReasonQueueFull: 95}, s.Dropped)
	require.Positive(t, s.QueuedBytes)
	close(g.Open)
	require.NoError(t, m.Shutdown(t.Context()))
	require.Equal(t, map[string]uint64{match: 5, "queue-full": 95}, ledger(t, m))
	require.Zero(t, m.Stats().QueuedBytes)
}

// While there is no room a request costs what one that is not sampled does: nothing of it
// is recorded. It is counted for its route all the same, and copies go on when there is room.
func TestNothingIsRecordedWhileTheQueueIsFull(t *testing.T) {
	g := newGate()
	m, _ := mirror(t, shadow.InProcess("v2", g), shadow.WithConcurrency(1), shadow.WithQueue(1, 1<<20))
	recorded := 0
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if _, bare := w.(*httptest.ResponseRecorder); !bare {
			recorded++
		}
		io.WriteString(w, "ok")
	}))
	for range 10 {
		getFrom(h, "/orders")
	}
	require.Equal(t, 3, recorded, "one runs, one waits, one was refused")
	require.EqualValues(t, 8, m.Stats().Dropped[shadow.ReasonQueueFull])
	require.EqualValues(t, 8, covered(t, m.Coverage(), "GET /orders").Lost[shadow.ReasonQueueFull])

	close(g.Open)
	require.Eventually(t, func() bool { return m.Stats().Match == 2 }, time.Minute, time.Millisecond)
	getFrom(h, "/orders")
	require.Equal(t, 4, recorded)
	require.NoError(t, m.Shutdown(t.Context()))
	require.Equal(t, map[string]uint64{match: 3, "queue-full": 8}, ledger(t, m))
}

// Nor is a body of which it is known from the start that there is no room for it.
func TestNothingIsRecordedOfABodyThatHasNoRoom(t *testing.T) {
	g := newGate()
	m, _ := mirror(t, shadow.InProcess("v2", g), allMethods, shadow.WithQueue(100, 64<<10))
	recorded := 0
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, bare := w.(*httptest.ResponseRecorder); !bare {
			recorded++
		}
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, "ok")
	}))
	for range 3 {
		postTo(h, "/orders", strings.Repeat("x", 40<<10))
	}
	require.Equal(t, 1, recorded)
	require.EqualValues(t, 2, covered(t, m.Coverage(), "POST /orders").Lost[shadow.ReasonBytesFull])
	postTo(h, "/orders", "small")
	require.Equal(t, 2, recorded)
	close(g.Open)
	require.NoError(t, m.Shutdown(t.Context()))
	require.Equal(t, map[string]uint64{match: 2, "bytes-full": 2}, ledger(t, m))
}

// Copies are bounded by the bytes that they hold, together and at any time.
func TestCopiesAreBoundedByBytes(t *testing.T) {
	const limit = 256 << 10
	g := newGate()
	m, _ := mirror(t, shadow.InProcess("v2", g), allMethods, shadow.WithConcurrency(4),
		shadow.WithQueue(1000, limit), shadow.WithMaxBody(limit))
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(w, r.Body)
	}))
	stop, watched := make(chan struct{}), make(chan int64)
	go func() {
		var most int64
		for {
			select {
			case <-stop:
				watched <- most
				return
			default:
				most = max(most, m.Stats().QueuedBytes)
			}
		}
	}()
	var requests sync.WaitGroup
	for i := range 8 {
		requests.Go(func() {
			for n := range 20 {
				body := strings.Repeat("x", (i*20+n)*500)
				assert.Equal(t, body, postTo(h, "/", body).Body.String())
			}
		})
	}
	requests.Wait()
	close(stop)
	require.LessOrEqual(t, <-watched, int64(limit))
	counts := ledger(t, m)
	require.Positive(t, counts["bytes-full"])
	close(g.Open)
	require.NoError(t, m.Shutdown(t.Context()))
	require.Zero(t, m.Stats().QueuedBytes)
	require.EqualValues(t, 160, m.Stats().Requests)
}

// A Mirror that nobody asks has no goroutine, and need not be closed.
func TestAnIdleMirrorHasNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 100 {
		_, err := shadow.New(shadow.Remote("v2", "http://candidate.test"))
		require.NoError(t, err)
	}
	require.LessOrEqual(t, runtime.NumGoroutine(), before)
}

// scenarios make each Reason happen once, with each timing.
func scenarios(timing shadow.Option) map[shadow.Reason]func(t *testing.T) *shadow.Mirror {
	mirror := func(t *testing.T, target shadow.Target, opts ...shadow.Option) (*shadow.Mirror, *reports) {
		return mirror(t, target, append(opts, timing)...)
	}
	ok := shadow.InProcess("v2", text("ok"))
	serve := func(h http.HandlerFunc, r *http.Request, target shadow.Target, opts ...shadow.Option) func(*testing.T) *shadow.Mirror {
		return func(t *testing.T) *shadow.Mirror {
			m, _ := mirror(t, target, opts...)
			func() {
				defer func() { recover() }()
				m.Handler(h).ServeHTTP(httptest.NewRecorder(), r)
			}()
			return m
		}
	}
	request := func(method, body string, header ...string) *http.Request {
		r := httptest.NewRequest(method, "/", strings.NewReader(body))
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		return r
	}
	call := func(rt roundTripper, read bool) func(*testing.T) *shadow.Mirror {
		return func(t *testing.T) *shadow.Mirror {
			m, _ := mirror(t, ok)
			resp, err := m.Transport(rt).RoundTrip(httptest.NewRequest("GET", "/", nil))
			if err == nil {
				if read {
					io.Copy(io.Discard, resp.Body)
				}
				resp.Body.Close()
			}
			return m
		}
	}
	full := func(requests, size int, opts ...shadow.Option) func(*testing.T) *shadow.Mirror {
		return func(t *testing.T) *shadow.Mirror {
			g := newGate()
			t.Cleanup(func() { close(g.Open) })
			m, _ := mirror(t, shadow.InProcess("v2", g), append(opts, allMethods, shadow.WithConcurrency(1))...)
			h := m.Handler(http.HandlerFunc(echo))
			for range requests {
				postTo(h, "/", strings.Repeat("x", size))
			}
			return m
		}
	}
	limit := func(reason shadow.Reason, target shadow.Target, opts ...shadow.Option) func(*testing.T) *shadow.Mirror {
		return func(t *testing.T) (m *shadow.Mirror) {
			defer debug.SetMemoryLimit(debug.SetMemoryLimit(-1))
			withMemoryLimit(1 << 40)
			inBubbleAsIs(t, text("ok"), target, func(t *testing.T, l *limited) {
				m = l.Mirror
				for n := 0; counted(m, reason) == 0 && n < 1000; n++ {
					l.Ask(1)
					l.Pass(time.Second)
				}
			}, append(opts, timing)...)
			return m
		}
	}
	gone, leave := context.WithCancel(context.Background())
	leave()
	return map[shadow.Reason]func(t *testing.T) *shadow.Mirror{
		shadow.ReasonDisabled: func(t *testing.T) *shadow.Mirror {
			m, _ := mirror(t, ok)
			m.SetEnabled(false)
			getFrom(m.Handler(text("ok")), "/")
			return m
		},
		shadow.ReasonMethod:     serve(text("ok"), request("POST", "x"), ok),
		shadow.ReasonNotSampled: serve(text("ok"), request("GET", ""), ok, shadow.WithSampler(shadow.Rate(0))),
		shadow.ReasonSamplerFailed: serve(text("ok"), request("GET", ""), ok,
			shadow.WithSampler(shadow.SamplerFunc(func(*http.Request) bool { panic("sampler") }))),
		shadow.ReasonLoop:            serve(text("ok"), request("GET", "", "Shadow-Request", "1"), ok),
		shadow.ReasonUpgrade:         serve(text("ok"), request("GET", "", "Upgrade", "websocket", "Connection", "upgrade"), ok),
		shadow.ReasonInvalid:         serve(text("ok"), request("GET", "", "X", "a\nb"), ok),
		shadow.ReasonPrimaryPanicked: serve(func(http.ResponseWriter, *http.Request) { panic(1) }, request("GET", ""), ok),
		shadow.ReasonPrimaryFailed: call(func(*http.Request) (*http.Response, error) {
			return nil, errors.New("refused")
		}, true),
		shadow.ReasonPrimaryRefused: serve(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) }, request("GET", ""), ok),
		shadow.ReasonPrimaryIncomplete: call(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, ContentLength: -1, Body: io.NopCloser(strings.NewReader("long"))}, nil
		}, false),
		shadow.ReasonHijacked: func(t *testing.T) *shadow.Mirror {
			m, _ := mirror(t, ok)
			s := shape{handler: m.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				c, _, err := w.(http.Hijacker).Hijack()
				if assert.NoError(t, err) {
					c.Close()
				}
			}))}
			s.overHTTP1(t, s.h())
			return m
		},
		shadow.ReasonClientGone:   serve(text("ok"), request("GET", "").WithContext(gone), ok),
		shadow.ReasonBodyTooLarge: serve(echo, request("POST", "12345678"), ok, allMethods, shadow.WithMaxBody(7)),
		shadow.ReasonBodyUnread:   serve(text("ok"), request("POST", "12345678"), ok, allMethods),
		shadow.ReasonBodyFailed: serve(echo, httptest.NewRequest("POST", "/", failingReader{}),
			ok, allMethods),
		shadow.ReasonQueueFull: full(3, 100, shadow.WithQueue(1, 1<<20)),
		shadow.ReasonBytesFull: full(2, 4<<10, shadow.WithQueue(10, 9<<10), shadow.WithMaxBody(8<<10)),
		shadow.ReasonMaskFailed: serve(text("ok"), request("GET", ""), shadow.Target{Name: "v2", Transport: ok.Transport,
			Masker: shadow.MaskerFunc(func(*shadow.Message) error { return errors.New("no") })}),
		shadow.ReasonBreakerOpen: limit(shadow.ReasonBreakerOpen, failingWith(io.EOF), shadow.WithBreaker(shadow.BreakerOptions{Min: 1})),
		shadow.ReasonOverload:    limit(shadow.ReasonOverload, ok, anyHeap),
		shadow.ReasonOverhead: limit(shadow.ReasonOverhead, ok, shadow.WithOverhead(shadow.OverheadOptions{Min: 1}),
			shadow.WithRoute(func(*http.Request) string { time.Sleep(time.Second); return "/" })),
		shadow.ReasonBudget: limit(shadow.ReasonBudget, ok, shadow.WithBudget(shadow.Budget{Window: time.Hour, Requests: 1})),
		shadow.ReasonExpired: func(t *testing.T) (m *shadow.Mirror) {
			synctest.Test(t, func(t *testing.T) {
				g := newGate()
				m, _ = mirror(t, within(time.Second, shadow.InProcess("v2", g)), shadow.WithConcurrency(1))
				h := m.Handler(text("ok"))
				getFrom(h, "/slow")
				getFrom(h, "/waits")
				time.Sleep(2 * time.Second)
				close(g.Open)
				rest()
			})
			return m
		},
		shadow.ReasonLeak: serve(text("ok"), request("GET", "", "X-Contact", "ann@example.com"), shadow.Target{Name: "v2", Transport: ok.Transport,
			Masker: shadow.DropCredentials()}, shadow.WithLeakCheck(shadow.LeakCheckOptions{Rate: 1})),
		shadow.ReasonShutDown: func(t *testing.T) *shadow.Mirror {
			m, _ := mirror(t, ok)
			require.NoError(t, m.Close())
			getFrom(m.Handler(text("ok")), "/")
			return m
		},
	}
}

// Nothing is silently lost: each Reason there is has a way to come about, and is then
// found in the ledger, once, and on the right side of it.
func TestEveryReasonIsCounted(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "shadow.go", nil, 0)
	require.NoError(t, err)
	dropped := map[shadow.Reason]bool{
		shadow.ReasonBodyTooLarge: true, shadow.ReasonBodyUnread: true, shadow.ReasonBodyFailed: true,
		shadow.ReasonQueueFull: true, shadow.ReasonBytesFull: true, shadow.ReasonMaskFailed: true, shadow.ReasonShutDown: true,
		shadow.ReasonBreakerOpen: true, shadow.ReasonOverload: true, shadow.ReasonOverhead: true, shadow.ReasonBudget: true,
		shadow.ReasonLeak: true, shadow.ReasonExpired: true,
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if of, ok := spec.Type.(*ast.Ident); !ok || of.Name != "Reason" {
			return true
		}
		reason := shadow.Reason(strings.Trim(spec.Values[0].(*ast.BasicLit).Value, `"`))
		for name, timing := range timings {
			t.Run(string(reason)+" "+name, func(t *testing.T) {
				scenario, ok := scenarios(shadow.WithTiming(timing))[reason]
				require.True(t, ok, "%s has no scenario", spec.Names[0].Name)
				m := scenario(t)
				ctx, cancel := context.WithCancel(t.Context())
				if reason == shadow.ReasonQueueFull || reason == shadow.ReasonBytesFull {
					cancel() // its candidate is still blocked
				}
				defer cancel()
				m.Shutdown(ctx)
				ledger(t, m)
				s := m.Stats()
				if dropped[reason] {
					require.EqualValues(t, 1, s.Dropped[reason], "%+v", s)
					require.Empty(t, s.Skipped)
				} else {
					require.EqualValues(t, 1, s.Skipped[reason], "%+v", s)
					require.Empty(t, s.Dropped)
				}
			})
		}
		return true
	})
}

// Under random concurrent traffic of every kind the ledger adds up whenever it is read,
// no number in it but those of the queue ever falls, and in the end it has all requests.
func TestTheLedgerAddsUp(t *testing.T) {
	var all []shape
	for _, s := range shapes(t) {
		if s.talk == nil && s.raw == "" && s.want != "" && s.want != "hijacked" && s.want != "upgrade" && len(s.body) < 1<<20 {
			all = append(all, s)
		}
	}
	routes := http.NewServeMux()
	for i, s := range all {
		routes.Handle(fmt.Sprintf("/%d/", i), http.StripPrefix(fmt.Sprintf("/%d", i), s.h()))
	}
	var coin atomic.Uint64
	candidate := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch coin.Add(1) % 5 {
		case 0:
			panic("candidate")
		case 1:
			runtime.Goexit()
		case 2:
			io.WriteString(w, "something else")
		default:
			routes.ServeHTTP(w, r)
		}
	})
	m, _ := mirror(t, shadow.InProcess("v2", candidate), allMethods, shadow.WithConcurrency(2), shadow.WithQueue(8, 4<<20),
		shadow.WithSampler(shadow.Rate(0.9)), shadow.WithControl(shadow.InProcess("v1", candidate)))
	srv, handlers := server(t, m.Handler(routes), false)

	stop, read := make(chan struct{}), make(chan int)
	go func() {
		var last shadow.Stats
		for n := 0; ; n++ {
			select {
			case <-stop:
				read <- n
				return
			default:
			}
			ledger(t, m)
			s := m.Stats()
			assert.GreaterOrEqual(t, s.Requests, last.Requests)
			for reason, was := range last.Dropped {
				assert.GreaterOrEqual(t, s.Dropped[reason], was)
			}
			last = s
		}
	}()
	const clients, each = 8, 40
	var sent atomic.Uint64
	var traffic sync.WaitGroup
	for range clients {
		traffic.Go(func() {
			for range each {
				i := rand.IntN(len(all))
				s := all[i]
				req, err := http.NewRequest(cmpOr(s.method, "GET"), fmt.Sprintf("%s/%d/", srv.URL, i), strings.NewReader(s.body))
				assert.NoError(t, err)
				if s.method == "" {
					req.Body, req.GetBody, req.ContentLength = nil, nil, 0 // a GET may be sent again
				}
				sent.Add(1)
				resp, err := srv.Client().Transport.RoundTrip(req)
				if err == nil {
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
			}
		})
	}
	traffic.Wait()
	handlers.Wait()
	require.NoError(t, m.Shutdown(t.Context()))
	close(stop)
	require.Positive(t, <-read)
	ledger(t, m)
	s := m.Stats()
	require.GreaterOrEqual(t, s.Requests, sent.Load()) // net/http sends some again
	require.Zero(t, s.Queued)
	require.Zero(t, s.Running)
	require.Zero(t, s.QueuedBytes)
	require.Positive(t, s.Failed)
	require.Positive(t, s.Skipped[shadow.ReasonNotSampled])
}

// marks are the ways in which a request can say that it is a copy.
var marks = map[string]func(r *http.Request){
	"own":                   func(r *http.Request) { r.Header.Set("Shadow-Request", "id") },
	"own, empty":            func(r *http.Request) { r.Header.Set("Shadow-Request", "") },
	"baggage":               func(r *http.Request) { r.Header.Set("Baggage", "user=1, shadow = true;p=1 ,x=2") },
	"baggage, second line":  func(r *http.Request) { r.Header["Baggage"] = []string{"user=1", "shadow=true"} },
	"Envoy and Istio":       func(r *http.Request) { r.Host = "orders-shadow" },
	"Envoy, with a port":    func(r *http.Request) { r.Host = "orders-shadow:8080" },
	"skipper":               func(r *http.Request) { r.Header.Set("X-Skipper-Shadow-Traffic", "host") },
	"skipper's loopback":    func(r *http.Request) { r.Header.Set("x-tee-loopback-key", "1") },
	"parapet":               func(r *http.Request) { r.Header.Set("X-Mirror", "1") },
	"mroki":                 func(r *http.Request) { r.Header.Set("X-Mroki-Mode", "shadow") },
	"autumn":                func(r *http.Request) { r.Header.Set("x-autumn-shadow", "1") },
	"armada":                func(r *http.Request) { r.Header.Set("X-Mirrored-Request", "true") },
	"express-shadow-mirror": func(r *http.Request) { r.Header.Set("x-shadow-traffic", "true") },
}

// Copies are never copied again, whoever made them.
func TestCopiesAreNeverCopiedAgain(t *testing.T) {
	for name, mark := range marks {
		t.Run(name, func(t *testing.T) {
			m, results := mirror(t, shadow.InProcess("v2", text("ok")))
			r := httptest.NewRequest("GET", "/", nil)
			mark(r)
			before := r.Header.Clone()
			w := httptest.NewRecorder()
			m.Handler(text("ok")).ServeHTTP(w, r)
			require.Equal(t, "ok", w.Body.String())
			require.Equal(t, before, r.Header) // the mark is for the primary to see, and nothing is added
			settled(t, m, "loop", results)
		})
	}
	for name, change := range map[string]func(r *http.Request){
		"baggage without it":   func(r *http.Request) { r.Header.Set("Baggage", "shadow=false,x=shadow,myshadow=true") },
		"a host that has it":   func(r *http.Request) { r.Host = "shadow-orders.test" },
		"a header that has it": func(r *http.Request) { r.Header.Set("X-Shadow", "1") },
	} {
		t.Run("not by "+name, func(t *testing.T) {
			m, results := mirror(t, shadow.InProcess("v2", text("ok")))
			r := httptest.NewRequest("GET", "/", nil)
			change(r)
			m.Handler(text("ok")).ServeHTTP(httptest.NewRecorder(), r)
			settled(t, m, match, results)
		})
	}
}

// A copy stops at every Mirror that it meets: one around the candidate itself, in this
// process or another, and one around the client that the candidate asks others with.
func TestACopyStopsAtTheNextMirror(t *testing.T) {
	for _, kind := range []string{"in process", "remote"} {
		t.Run(kind, func(t *testing.T) {
			beyond := newGate()
			close(beyond.Open)
			backend := httptest.NewServer(text("data"))
			defer backend.Close()
			client, clientResults := mirror(t, shadow.InProcess("beyond", beyond))
			around, aroundResults := mirror(t, shadow.InProcess("beyond", beyond))
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			ask := func(w http.ResponseWriter, r *http.Request) {
				req, err := http.NewRequestWithContext(r.Context(), "GET", backend.URL, nil)
				if !assert.NoError(t, err) {
					return
				}
				// In another process it is the baggage that carries the mark on.
				req.Header["Baggage"] = r.Header["Baggage"]
				resp, err := client.Transport(transport).RoundTrip(req)
				if !assert.NoError(t, err) {
					return
				}
				defer resp.Body.Close()
				io.Copy(w, resp.Body)
			}
			m, results := mirrorTo(t, kind, around.Handler(http.HandlerFunc(ask)))
			require.Equal(t, "data", getFrom(m.Handler(text("data")), "/").Body.String())
			settled(t, m, match, results)
			settled(t, around, "loop", aroundResults)
			settled(t, client, "loop", clientResults)
			require.Empty(t, beyond.Asked)
		})
	}
}

// network is a server on the network that keeps what it is sent, byte for byte.
type network struct {
	url  string
	host string
	raw  chan string
}

func newNetwork(t *testing.T) *network {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	w := &network{url: "http://" + l.Addr().String(), host: l.Addr().String(), raw: make(chan string, 100)}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer c.Close()
				var raw bytes.Buffer
				for r := bufio.NewReader(io.TeeReader(c, &raw)); ; {
					req, err := http.ReadRequest(r)
					if err != nil {
						return
					}
					io.Copy(io.Discard, req.Body)
					w.raw <- raw.String()
					raw.Reset()
					io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); conns.Wait() })
	return w
}

// parse reads a request as it was sent.
func parse(t *testing.T, raw string) (*http.Request, string) {
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
	require.NoError(t, err, "%q", raw)
	b, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return r, string(b)
}

// copied sends raw to a mirrored server, and returns what the target was sent, and what
// the primary found in its Request.
func copied(t *testing.T, raw string, opts ...shadow.Option) (sent string, primary http.Header) {
	target := newNetwork(t)
	m, results := mirror(t, shadow.Remote("v2", target.url), append([]shadow.Option{allMethods}, opts...)...)
	s := shape{raw: raw, handler: m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		primary = r.Header.Clone()
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, "ok")
	}))}
	s.overHTTP1(t, s.h())
	require.NoError(t, m.Shutdown(t.Context()))
	ledger(t, m)
	require.Len(t, results.All(), 1)
	require.NoError(t, results.All()[0].Err)
	return <-target.raw, primary
}

// A copy carries the marks and nothing that concerns one connection, one trace or one
// user; all else is as it came.
func TestACopyIsCleanOnTheWire(t *testing.T) {
	raw, primary := copied(t, "GET /a%2Fb//c?q=%20&r;=1 HTTP/1.1\r\n"+
		"Host: shop.test\r\n"+
		"Connection: keep-alive, X-Hop\r\n"+
		"Connection: x-other-hop\r\n"+
		"X-Hop: 1\r\n"+
		"X-Other-Hop: 1\r\n"+
		"Keep-Alive: timeout=5\r\n"+
		"Proxy-Connection: keep-alive\r\n"+
		"Te: trailers, deflate\r\n"+
		"Proxy-Authorization: Basic c2VjcmV0\r\n"+
		"Authorization: Bearer secret\r\n"+
		"Cookie: session=secret\r\n"+
		"X-Api-Key: secret\r\n"+
		"Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"+
		"Tracestate: a=b\r\n"+
		"Baggage: userId=alice;meta=1,serverNode=DF%2028\r\n"+
		"Baggage: third=3\r\n"+
		"X-Forwarded-Host: www.shop.test\r\n"+
		"X-Request-Id: req-1\r\n"+
		"Accept-Encoding: br\r\n"+
		"User-Agent: tester\r\n"+
		"X-Many: 1\r\nX-Many: 2\r\n\r\n")
	assert.True(t, strings.HasPrefix(raw, "GET /a%2Fb//c?q=%20&r;=1 HTTP/1.1\r\n"), raw)
	r, body := parse(t, raw)
	assert.Empty(t, body)
	assert.NotContains(t, raw, "secret")
	assert.NotEqual(t, "shop.test", r.Host)
	assert.Equal(t, []string{"req-1"}, r.Header["Shadow-Request"])
	bag, err := baggage.Parse(r.Header.Get("Baggage"))
	require.NoError(t, err)
	assert.Equal(t, 4, bag.Len(), bag)
	assert.Equal(t, "true", bag.Member("shadow").Value())
	assert.Equal(t, "alice", bag.Member("userId").Value())
	assert.Equal(t, "DF 28", bag.Member("serverNode").Value())
	assert.Equal(t, "3", bag.Member("third").Value())
	delete(r.Header, "Baggage")
	assert.Len(t, r.Header["Shadow-Mirror"], 1)
	delete(r.Header, "Shadow-Mirror")
	assert.Equal(t, http.Header{
		"Shadow-Request":    {"req-1"},
		"X-Request-Id":      {"req-1"},
		"X-Forwarded-Host":  {"www.shop.test"},
		"X-Forwarded-Proto": {"http"},
		"X-Forwarded-For":   {"127.0.0.1"},
		"Accept-Encoding":   {"br"},
		"User-Agent":        {"tester"},
		"Te":                {"trailers"},
		"X-Many":            {"1", "2"},
	}, r.Header)
	for name := range primary {
		assert.NotContains(t, name, "Shadow", "the primary's request carries no mark")
	}
	assert.Equal(t, []string{"userId=alice;meta=1,serverNode=DF%2028", "third=3"}, primary["Baggage"])
	assert.Equal(t, []string{"Bearer secret"}, primary["Authorization"])
}

// The copy of a request without an ID is given one. The primary is not: nothing of its
// request is changed.
func TestACorrelationIDIsMade(t *testing.T) {
	for _, header := range []string{"", "X-Request-Id: \r\n"} {
		raw, primary := copied(t, "GET / HTTP/1.1\r\nHost: a\r\n"+header+"\r\n")
		r, _ := parse(t, raw)
		require.Empty(t, primary.Get("X-Request-Id"))
		id := r.Header.Get("X-Request-Id")
		require.Len(t, id, 32)
		require.Equal(t, []string{id}, r.Header["X-Request-Id"])
		require.Equal(t, []string{id}, r.Header["Shadow-Request"])
	}
	raw, primary := copied(t, "GET / HTTP/1.1\r\nHost: a\r\nCorrelation: 7\r\n\r\n", shadow.WithRequestID("correlation"))
	r, _ := parse(t, raw)
	require.Equal(t, "7", r.Header.Get("Shadow-Request"))
	require.Equal(t, "7", primary.Get("Correlation"))
	require.NotContains(t, primary, "X-Request-Id")
	raw, primary = copied(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", shadow.WithRequestID(""))
	r, _ = parse(t, raw)
	require.Len(t, r.Header.Get("Shadow-Request"), 32)
	require.Empty(t, primary)
}

// The content of a copy is the content of the request, transferred as a client does.
func TestTheContentOfACopy(t *testing.T) {
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	io.WriteString(z, strings.Repeat("zip ", 100))
	z.Close()
	for _, tt := range []struct {
		name, raw, body string
		chunked         bool
		trailer         http.Header
		encoding        string
	}{
		{name: "length", raw: "Content-Length: 5\r\n\r\nhello", body: "hello"},
		{name: "expected", raw: "Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello", body: "hello"},
		{name: "none", raw: "Content-Length: 0\r\n\r\n"},
		{name: "chunked", raw: "Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", body: "hello"},
		{name: "trailers", raw: "Transfer-Encoding: chunked\r\nTrailer: X-Sum, X-None\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-Sum: 2\r\n\r\n",
			body: "hello", chunked: true, trailer: http.Header{"X-Sum": {"1", "2"}}},
		{name: "trailers alone", raw: "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n0\r\nX-Sum: 1\r\n\r\n",
			chunked: true, trailer: http.Header{"X-Sum": {"1"}}},
		{name: "gzip", raw: fmt.Sprintf("Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", zipped.Len(), zipped.String()),
			body: zipped.String(), encoding: "gzip"},
		{name: "said to be gzip", raw: "Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello", body: "hello", encoding: "gzip"},
		{name: "unknown coding", raw: "Content-Encoding: rot13\r\nContent-Length: 5\r\n\r\nuryyb", body: "uryyb", encoding: "rot13"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			raw, _ := copied(t, "POST / HTTP/1.1\r\nHost: a\r\n"+tt.raw)
			r, body := parse(t, raw)
			assert.Equal(t, tt.body, body)
			assert.Equal(t, tt.encoding, r.Header.Get("Content-Encoding"))
			assert.Empty(t, r.Header["Expect"])
			if tt.chunked {
				assert.Equal(t, []string{"chunked"}, r.TransferEncoding)
				assert.Equal(t, tt.trailer, r.Trailer)
			} else {
				assert.Empty(t, r.TransferEncoding)
				assert.EqualValues(t, len(tt.body), r.ContentLength)
				assert.Contains(t, raw, fmt.Sprintf("\r\nContent-Length: %d\r\n", len(tt.body)))
			}
		})
	}
}

// The path of a copy is the path of the request, below that of the base URL.
func TestThePathOfACopy(t *testing.T) {
	for base, want := range map[string]string{
		"":        "/a%2fb/c?x=1",
		"/":       "/a%2fb/c?x=1",
		"/v2":     "/v2/a%2fb/c?x=1",
		"/v2/":    "/v2/a%2fb/c?x=1",
		"/v%2f2/": "/v%2f2/a%2fb/c?x=1",
	} {
		target := newNetwork(t)
		m, _ := mirror(t, shadow.Remote("v2", target.url+base))
		getFrom(m.Handler(text("ok")), "/a%2fb/c?x=1")
		require.NoError(t, m.Shutdown(t.Context()))
		r, _ := parse(t, <-target.raw)
		assert.Equal(t, want, r.RequestURI, base)
	}
}

// A copy goes where it is sent and nowhere else: through no proxy of the environment,
// and after no redirect.
func TestACopyGoesNowhereElse(t *testing.T) {
	elsewhere := newNetwork(t)
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"} {
		t.Setenv(name, elsewhere.url)
	}
	redirect := http.RedirectHandler(elsewhere.url+"/away", http.StatusFound)
	m, results := mirrorTo(t, "remote", redirect)
	getFrom(m.Handler(redirect), "/")
	settled(t, m, match, results)
	require.Equal(t, http.StatusFound, results.All()[0].Shadow.StatusCode)
	require.Empty(t, elsewhere.raw)
}

// What the primary does to its request is its own affair: the copy is what came in.
func TestACopyIsWhatCameIn(t *testing.T) {
	target := newNetwork(t)
	m, _ := mirror(t, shadow.Remote("v2", target.url), allMethods)
	r := httptest.NewRequest("POST", "http://shop.test/path?q=1", strings.NewReader("body"))
	r.Header["X-A"] = []string{"1", "2"}
	m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		r.Method, r.Host = "PUT", "other.test"
		r.URL.Path, r.URL.RawQuery = "/other", "q=2"
		r.Header["X-A"][0] = "changed"
		r.Header.Del("X-A")
		r.Header.Set("X-B", "new")
	})).ServeHTTP(httptest.NewRecorder(), r)
	require.NoError(t, m.Shutdown(t.Context()))
	got, body := parse(t, <-target.raw)
	assert.Equal(t, "POST", got.Method)
	assert.Equal(t, "/path?q=1", got.RequestURI)
	assert.Equal(t, "body", body)
	assert.Equal(t, []string{"1", "2"}, got.Header["X-A"])
	assert.Equal(t, "shop.test", got.Header.Get("X-Forwarded-Host"))
	assert.NotContains(t, got.Header, "X-B")
}

// badly misbehaves in each way that user code can on a goroutine of the Mirror.
var badly = map[string]func(){
	"panics":               func() { panic("user") },
	"faults":               func() { var m map[string]int; m["x"] = 1 },
	"aborts":               func() { panic(http.ErrAbortHandler) },
	"exits":                runtime.Goexit,
	"panics with an error": func() { panic(fmt.Errorf("wrapped: %w", errors.New("user"))) },
}

// Nothing is lost where user code ends the goroutine once more on its way out.
func TestACopyThatIsEndedTwiceIsCountedOnce(t *testing.T) {
	for _, timing := range []shadow.Timing{shadow.AfterPrimary, shadow.Parallel} {
		exits := shadow.MaskerFunc(func(*shadow.Message) error { runtime.Goexit(); return nil })
		m, results := mirror(t, shadow.Target{Name: "v2", Transport: shadow.HandlerTransport(text("ok")), Masker: exits},
			shadow.WithTiming(timing), shadow.WithMasker(exits), shadow.WithControl(shadow.InProcess("v1", text("ok"))))
		h := m.Handler(text("ok"))
		for range 3 {
			require.Equal(t, "ok", getFrom(h, "/").Body.String())
		}
		require.NoError(t, m.Shutdown(t.Context()))
		require.Equal(t, map[string]uint64{"failed": 3}, ledger(t, m))
		require.EqualValues(t, 3, m.Stats().Unreported)
		require.Zero(t, m.Stats().QueuedBytes)
		require.Len(t, results.All(), 3)
		for _, r := range results.All() {
			requireWithheld(t, r)
		}
	}
}

// requireWithheld checks that r has the numbers of a result and nothing of its content.
func requireWithheld(t testing.TB, r *shadow.Result) {
	t.Helper()
	require.ErrorIs(t, r.Err, shadow.ErrWithheld)
	require.Empty(t, slices.Concat(r.Diffs, r.Noise))
	require.Nil(t, r.Control)
	require.Empty(t, r.Stratum)
	require.Equal(t, "/[masked]", r.Request.URL.Path)
	for _, m := range []*shadow.Message{r.Request, r.Primary, r.Shadow} {
		if m != nil {
			require.Empty(t, m.Header)
			require.Empty(t, m.Trailer)
			require.Empty(t, m.Host)
			require.Empty(t, m.Body)
			require.True(t, m.Truncated)
		}
	}
}

// A result whose record cannot be masked is reported without its content, whatever its
// outcome is: a candidate whose answers cannot be read must not look better for it.
func TestAResultThatCannotBeMaskedIsReportedWithoutItsContent(t *testing.T) {
	const secret = "4111-1111"
	json := func(status int, doc string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("X-Secret", secret)
			w.WriteHeader(status)
			io.WriteString(w, doc)
		}
	}
	good, torn := json(200, `{"card":"`+secret+`"}`), json(201, `{"card":"`+secret)
	for name, tt := range map[string]struct {
		primary, candidate http.Handler
		outcome            shadow.Outcome
		statuses           []int
		is                 error
	}{
		"mismatch":   {good, torn, shadow.Mismatch, []int{200, 201}, nil},
		"match":      {torn, torn, shadow.Match, []int{201, 201}, nil},
		"failed":     {torn, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(secret) }), shadow.Failed, []int{201}, shadow.ErrPanic},
		"uncompared": {torn, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Encoding", "gzip"); torn(w, nil) }), shadow.Uncompared, []int{201, 201}, shadow.ErrBody},
	} {
		t.Run(name, func(t *testing.T) {
			m, results := mirror(t, shadow.InProcess("v2", tt.candidate), shadow.WithMasker(shadow.MaskJSON("$.card")),
				shadow.WithName("orders"), shadow.WithSampler(shadow.Rate(1)), shadow.WithRoute(func(*http.Request) string { return "GET /cards" }))
			r := httptest.NewRequest("GET", "/cards/"+secret, nil)
			r.Header.Set("X-Request-Id", secret)
			m.Handler(tt.primary).ServeHTTP(httptest.NewRecorder(), r)
			require.NoError(t, m.Shutdown(t.Context()))
			require.Equal(t, map[string]uint64{string(tt.outcome): 1}, ledger(t, m))
			require.EqualValues(t, 1, m.Stats().Unreported)
			require.Len(t, results.All(), 1)
			got := results.All()[0]
			requireWithheld(t, got)
			require.Equal(t, tt.outcome, got.Outcome)
			require.Equal(t, []string{"orders", "v2", "GET /cards", "GET"}, []string{got.Mirror, got.Target, got.Route, got.Request.Method})
			require.EqualValues(t, 1, got.Probability)
			require.False(t, got.Start.IsZero())
			var statuses []int
			for _, msg := range []*shadow.Message{got.Primary, got.Shadow} {
				if msg != nil {
					statuses = append(statuses, msg.StatusCode)
					require.Positive(t, msg.Took)
					require.Positive(t, msg.Size)
				}
			}
			require.Equal(t, tt.statuses, statuses)
			if tt.is != nil {
				require.ErrorIs(t, got.Err, tt.is)
			}
			all := fmt.Sprintf("%+v %+v %+v %+v %v", got, got.Request, got.Primary, got.Shadow, got.Request.URL)
			require.NotContains(t, all, secret)
		})
	}
}

// User code cannot break production: whatever part of it misbehaves the primary answers,
// the request is counted, and the next one is served as ever.
func TestUserCodeCannotBreakProduction(t *testing.T) {
	for how, misbehave := range badly {
		for part, tt := range map[string]struct {
			target     shadow.Target
			opts       []shadow.Option
			want       string
			unreported bool
			request    bool // runs on the goroutine of the request, which may not be ended
		}{
			"Sampler": {opts: []shadow.Option{shadow.WithSampler(shadow.SamplerFunc(func(*http.Request) bool { misbehave(); return true }))},
				want: "sampler-failed", request: true},
			"WithRoute": {opts: []shadow.Option{shadow.WithRoute(func(*http.Request) string { misbehave(); return "" })}, want: match, request: true},
			"Comparator": {opts: []shadow.Option{shadow.WithComparator(shadow.ComparatorFunc(func(*shadow.Exchange) []shadow.Diff { misbehave(); return nil }))},
				want: "uncompared"},
			"record mask": {opts: []shadow.Option{shadow.WithMasker(shadow.MaskerFunc(func(*shadow.Message) error { misbehave(); return nil }))},
				want: match, unreported: true},
			"Reporter": {opts: []shadow.Option{shadow.WithReporter(shadow.ReporterFunc(func(context.Context, *shadow.Result) error { misbehave(); return nil }))},
				want: match, unreported: true},
			"target mask": {target: shadow.Target{Masker: shadow.MaskerFunc(func(*shadow.Message) error { misbehave(); return nil })}, want: "mask-failed"},
			"Transport": {target: shadow.Target{Transport: roundTripper(func(*http.Request) (*http.Response, error) { misbehave(); return nil, nil })},
				want: "failed"},
			"candidate": {target: shadow.Target{Transport: shadow.HandlerTransport(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { misbehave() }))},
				want: "failed"},
			"control": {opts: []shadow.Option{shadow.WithControl(shadow.InProcess("v1", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { misbehave() })))},
				want: match},
		} {
			if tt.request && how == "exits" {
				continue
			}
			t.Run(part+" "+how, func(t *testing.T) {
				target := tt.target
				target.Name = "v2"
				if target.Transport == nil {
					target.Transport = shadow.HandlerTransport(text("ok"))
				}
				m, results := mirror(t, target, append(tt.opts, shadow.WithLogger(slog.New(slog.DiscardHandler)))...)
				h := m.Handler(text("ok"))
				for range 3 {
					require.Equal(t, "ok", getFrom(h, "/").Body.String())
				}
				require.NoError(t, m.Shutdown(t.Context()))
				want := tt.want
				if part == "target mask" && how == "exits" {
					want = "failed" // nobody knows what it did
				}
				require.Equal(t, map[string]uint64{want: 3}, ledger(t, m))
				if tt.unreported {
					require.EqualValues(t, 3, m.Stats().Unreported)
				} else {
					require.Zero(t, m.Stats().Unreported)
				}
				require.Zero(t, m.Stats().QueuedBytes)
				for _, r := range results.All() {
					if part == "record mask" {
						requireWithheld(t, r)
						continue
					}
					if r.Outcome != shadow.Failed && r.Outcome != shadow.Uncompared {
						require.NoError(t, r.Err)
						continue
					}
					if how == "exits" {
						require.ErrorIs(t, r.Err, shadow.ErrExited)
					} else {
						require.ErrorIs(t, r.Err, shadow.ErrPanic)
					}
					require.NotContains(t, r.Err.Error(), "user", "a panic's value may hold anything")
				}
			})
		}
	}
}

// A panic of user code is logged once for each part, and without its value.
func TestPanicsAreLoggedOnce(t *testing.T) {
	var log bytes.Buffer
	m, _ := mirror(t, shadow.InProcess("v2", text("ok")), shadow.WithConcurrency(1),
		shadow.WithLogger(slog.New(slog.NewTextHandler(&log, nil))),
		shadow.WithReporter(shadow.ReporterFunc(func(context.Context, *shadow.Result) error { panic("secret") })))
	h := m.Handler(text("ok"))
	for range 5 {
		getFrom(h, "/")
	}
	require.NoError(t, m.Shutdown(t.Context()))
	require.Equal(t, 1, strings.Count(log.String(), "\n"), log.String())
	require.Contains(t, log.String(), "Reporter")
	require.NotContains(t, log.String(), "secret")
	require.EqualValues(t, 5, m.Stats().Unreported)
}

// Only safe methods are copied unless others are named.
func TestOnlySafeMethodsAreCopied(t *testing.T) {
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "QUERY", "get"} {
		m, results := mirror(t, shadow.InProcess("v2", text("ok")))
		m.Handler(text("ok")).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(method, "/", nil))
		want := "method"
		if method == "GET" || method == "HEAD" || method == "OPTIONS" {
			want = match
		}
		settled(t, m, want, results)
	}
}
