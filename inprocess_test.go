package shadow_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/middleware"
)

// reporting returns a reporter that sends what it is told, and the channel.
func reporting() (shadow.Option, chan *shadow.Result) {
	results := make(chan *shadow.Result, 100)
	return shadow.WithReporter(shadow.ReporterFunc(func(_ context.Context, r *shadow.Result) error {
		results <- r
		return nil
	})), results
}

// within gives t a timeout.
func within(d time.Duration, t shadow.Target) shadow.Target {
	t.Timeout = d
	return t
}

// A candidate that ignores its context is reported at the deadline, and keeps its place
// until it returns.
func TestALateCandidateKeepsItsSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		option, results := reporting()
		g := newGate()
		m, _ := mirror(t, within(3*time.Second, shadow.InProcess("v2", g)), option, shadow.WithConcurrency(1))
		h := m.Handler(text("ok"))
		start := time.Now()
		getFrom(h, "/1")
		getFrom(h, "/2")
		r := <-results
		require.Equal(t, 3*time.Second, time.Since(start))
		require.Equal(t, shadow.Failed, r.Outcome)
		require.ErrorIs(t, r.Err, shadow.ErrTimeout)
		require.Equal(t, "/1", r.Request.URL.Path)
		require.Nil(t, r.Shadow)

		time.Sleep(time.Minute) // of the bubble
		s := m.Stats()
		require.Equal(t, 1, s.Queued, "there is no place for the second one")
		require.EqualValues(t, 1, s.Failed)
		require.Positive(t, s.QueuedBytes)
		require.Len(t, g.Asked, 1)

		close(g.Open)
		synctest.Wait()
		require.Equal(t, map[string]uint64{"failed": 1, "expired": 1}, ledger(t, m))
		require.Len(t, g.Asked, 1, "the second one is not sent: it waited too long")
		require.Zero(t, m.Stats().QueuedBytes)
		require.Empty(t, results)
	})
}

// Nor does a candidate that honours its context get more time, wherever it spends it.
func TestATimeoutCoversTheWholeAnswer(t *testing.T) {
	hang := func(r *http.Request) error {
		<-r.Context().Done()
		return r.Context().Err()
	}
	for name, rt := range map[string]roundTripper{
		"no answer": func(r *http.Request) (*http.Response, error) { return nil, hang(r) },
		"no body": func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, ContentLength: -1, Body: io.NopCloser(readerFunc(func([]byte) (int, error) { return 0, hang(r) }))}, nil
		},
		"another error": func(r *http.Request) (*http.Response, error) { hang(r); return nil, errors.New("lost") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				option, results := reporting()
				m, _ := mirror(t, shadow.Target{Name: "v2", Transport: rt}, option)
				start := time.Now()
				getFrom(m.Handler(text("ok")), "/")
				r := <-results
				require.Equal(t, 10*time.Second, time.Since(start), "the default")
				require.ErrorIs(t, r.Err, shadow.ErrTimeout)
				synctest.Wait()
				require.Equal(t, map[string]uint64{"failed": 1}, ledger(t, m))
				require.Zero(t, m.Stats().QueuedBytes)
			})
		})
	}
	t.Run("a mask that hangs", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			option, results := reporting()
			open := make(chan struct{})
			target := shadow.InProcess("v2", text("ok"))
			target.Masker = shadow.MaskerFunc(func(*shadow.Message) error { <-open; return nil })
			m, _ := mirror(t, target, option)
			getFrom(m.Handler(text("ok")), "/")
			require.ErrorIs(t, (<-results).Err, shadow.ErrTimeout)
			close(open)
			synctest.Wait()
			require.Equal(t, map[string]uint64{"failed": 1}, ledger(t, m))
		})
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// Shutdown waits for what is under way, and flushes when it is reported.
func TestShutdownDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		flushed := &flushing{}
		m, results := mirror(t, shadow.InProcess("v2", g), shadow.WithConcurrency(1), shadow.WithReporter(flushed))
		h := m.Handler(text("ok"))
		for range 3 {
			getFrom(h, "/")
		}
		done := make(chan error, 2)
		for range 2 {
			go func() { done <- m.Shutdown(t.Context()) }()
		}
		synctest.Wait()
		require.Empty(t, done)
		require.Empty(t, flushed.log())
		require.False(t, m.Enabled())
		require.Equal(t, "ok", getFrom(h, "/").Body.String(), "primaries go on being served")
		close(g.Open)
		require.NoError(t, <-done)
		require.NoError(t, <-done)
		require.Equal(t, "report report report flush flush", flushed.log())
		require.Equal(t, map[string]uint64{match: 3, "shut-down": 1}, ledger(t, m))
		require.Len(t, results.All(), 3)
		require.Zero(t, m.Stats().QueuedBytes)
		require.NoError(t, m.Shutdown(t.Context()))
		require.NoError(t, m.Close())
		m.SetEnabled(true)
		require.False(t, m.Enabled(), "shut down is shut down")
	})
}

// flushing notes when it is told and when it is flushed.
type flushing struct {
	mu  sync.Mutex
	seq []string
	err error
}

func (f *flushing) note(s string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seq = append(f.seq, s)
	return f.err
}

func (f *flushing) log() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.seq, " ")
}

func (f *flushing) Report(context.Context, *shadow.Result) error { return f.note("report") }
func (f *flushing) Flush(context.Context) error                  { return f.note("flush") }

// A Shutdown whose context ends drops what waits, cancels what runs, and says so.
func TestShutdownGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		option, results := reporting()
		m, _ := mirror(t, within(time.Hour, shadow.InProcess("v2", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			panic(http.ErrAbortHandler)
		}))), option, shadow.WithConcurrency(1))
		h := m.Handler(text("ok"))
		for range 3 {
			getFrom(h, "/")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		start := time.Now()
		require.ErrorIs(t, m.Shutdown(ctx), context.DeadlineExceeded)
		require.Equal(t, 5*time.Second, time.Since(start))
		r := <-results
		require.Equal(t, shadow.Failed, r.Outcome)
		require.Equal(t, 5*time.Second, time.Since(start), "it was cancelled")
		synctest.Wait()
		require.Equal(t, map[string]uint64{"failed": 1, "shut-down": 2}, ledger(t, m))
		require.Zero(t, m.Stats().QueuedBytes)
		require.Empty(t, results)
	})
}

// Close waits for nobody.
func TestCloseDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		m, _ := mirror(t, shadow.InProcess("v2", g), shadow.WithConcurrency(1), shadow.WithControl(shadow.InProcess("v1", g)))
		h := m.Handler(text("ok"))
		for range 3 {
			getFrom(h, "/")
		}
		start := time.Now()
		require.NoError(t, m.Close())
		require.NoError(t, m.Close())
		require.Zero(t, time.Since(start))
		require.EqualValues(t, 2, m.Stats().Dropped[shadow.ReasonShutDown])
		require.Equal(t, 1, m.Stats().Running)
		ledger(t, m)
		close(g.Open)
		synctest.Wait()
		require.Zero(t, m.Stats().Running)
		require.Zero(t, m.Stats().QueuedBytes)
		require.EqualValues(t, 3, m.Stats().Requests)
	})
}

// An ended context is no reason to complain where there is nothing to wait for.
func TestShutdownOfAnIdleMirror(t *testing.T) {
	for range 20 {
		m, results := mirror(t, shadow.InProcess("v2", text("ok")))
		getFrom(m.Handler(text("ok")), "/")
		require.NoError(t, m.Shutdown(t.Context()))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.NoError(t, m.Shutdown(ctx))
		require.Len(t, results.All(), 1)
	}
	failing := &flushing{err: errors.New("disk full")}
	m, _ := mirror(t, shadow.InProcess("v2", text("ok")), shadow.WithReporter(failing))
	require.ErrorIs(t, m.Shutdown(t.Context()), failing.err)
	require.ErrorIs(t, m.Close(), failing.err)
}

// The kill switch takes effect with the next request.
func TestTheKillSwitch(t *testing.T) {
	m, _ := mirror(t, shadow.InProcess("v2", text("ok")))
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/off" {
			m.SetEnabled(false) // this one is copied still
		}
		io.WriteString(w, "ok")
	}))
	require.True(t, m.Enabled())
	getFrom(h, "/off")
	require.False(t, m.Enabled())
	require.Equal(t, "ok", getFrom(h, "/").Body.String())
	m.SetEnabled(true)
	getFrom(h, "/")
	require.NoError(t, m.Shutdown(t.Context()))
	require.Equal(t, map[string]uint64{match: 2, "disabled": 1}, ledger(t, m))
}

type contextKey string

// A shadow's context has a deadline of its own, the mark, what WithContextKeys names,
// and nothing else of its request's: neither values nor cancellation.
func TestAShadowsContextIsFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var primary, candidate, control context.Context
		keep := func(to *context.Context) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) { *to = r.Context() }
		}
		var alive error
		m, _ := mirror(t, within(7*time.Second, shadow.InProcess("v2", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			candidate, alive = r.Context(), r.Context().Err()
		}))),
			shadow.WithControl(shadow.InProcess("v1", keep(&control))),
			shadow.WithContextKeys(contextKey("tenant"), contextKey("none")))
		ctx, leave := context.WithCancel(t.Context())
		ctx = context.WithValue(ctx, contextKey("tenant"), "acme")
		ctx = context.WithValue(ctx, contextKey("router"), "pooled")
		server := &http.Server{}
		ctx = context.WithValue(ctx, http.ServerContextKey, server)
		start := time.Now()
		m.Handler(keep(&primary)).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil).WithContext(ctx))
		leave()
		require.NoError(t, m.Shutdown(t.Context()))

		require.NoError(t, alive)
		require.NotNil(t, candidate.Done())
		deadline, ok := candidate.Deadline()
		require.True(t, ok)
		require.Equal(t, start.Add(7*time.Second), deadline)
		require.Equal(t, "acme", candidate.Value(contextKey("tenant")))
		require.Nil(t, candidate.Value(contextKey("none")))
		require.Nil(t, candidate.Value(contextKey("router")))
		require.NotSame(t, server, candidate.Value(http.ServerContextKey), "there is one, as a handler expects")
		require.True(t, shadow.IsShadow(candidate))
		require.Error(t, candidate.Err(), "it ends with the copy")

		name, ok := shadow.TargetFrom(candidate)
		require.True(t, ok)
		require.Equal(t, "v2", name)
		name, _ = shadow.TargetFrom(control)
		require.Equal(t, "v1", name)
		_, ok = shadow.TargetFrom(primary)
		require.False(t, ok)
		require.False(t, shadow.IsShadow(primary))
		require.Equal(t, "pooled", primary.Value(contextKey("router")))
	})
}

// What an in-process candidate is asked is what the primary was asked, but for what concerns
// one connection, and the marks.
func TestWhatAnInProcessCandidateIsAsked(t *testing.T) {
	var got, primary *http.Request
	var body string
	m, results := mirror(t, shadow.InProcess("v2", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		got, body = r, string(b)
		r.Header.Set("X-A", "changed by the shadow")
		r.URL.Path = "/changed"
	})), allMethods)
	r := httptest.NewRequest("POST", "http://shop.test/a%2fb?q=1", strings.NewReader("hello"))
	r.Header.Set("X-A", "1")
	r.Header.Set("Connection", "x-hop")
	r.Header.Set("X-Hop", "1")
	r.RemoteAddr = "192.0.2.7:1234"
	m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		primary = r
		io.Copy(io.Discard, r.Body)
	})).ServeHTTP(httptest.NewRecorder(), r)
	settled(t, m, match, results)
	assert.Equal(t, "POST", got.Method)
	assert.Equal(t, r.RequestURI, got.RequestURI)
	assert.Equal(t, "shop.test", got.Host)
	assert.Equal(t, "192.0.2.7:1234", got.RemoteAddr)
	assert.EqualValues(t, 5, got.ContentLength)
	assert.Equal(t, "hello", body)
	assert.Equal(t, 1, got.ProtoMajor)
	assert.Nil(t, got.GetBody)
	assert.NotContains(t, got.Header, "X-Hop")
	assert.NotEmpty(t, got.Header.Get("Shadow-Request"))
	assert.Equal(t, "1", primary.Header.Get("X-A"))
	assert.Equal(t, "/a/b", primary.URL.Path)
	assert.NotContains(t, primary.Header, "Shadow-Request")
	assert.NotContains(t, primary.Header, "Baggage")
	assert.NotContains(t, primary.Header, "X-Request-Id")
	assert.Equal(t, results.All()[0].ID, got.Header.Get("X-Request-Id"))
	assert.Equal(t, "1", results.All()[0].Request.Header.Get("X-A"))
}

// jsonDoc answers with doc.
func jsonDoc(doc string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, doc)
	}
}

// What the control shows at the same place and of the same kind is noise, array indexes aside;
// all else is a difference.
func TestNoiseIsSubtracted(t *testing.T) {
	const primary = `{"at":1,"items":[{"t":1},{"t":2}],"v":1}`
	for _, tt := range []struct {
		name               string
		candidate, control string
		want               shadow.Outcome
		diffs, noise       []string
	}{
		{"all of it", `{"at":2,"items":[{"t":1},{"t":2}],"v":1}`, `{"at":3,"items":[{"t":1},{"t":2}],"v":1}`, shadow.Match, nil, []string{"/body/at"}},
		{"none of it", `{"at":1,"items":[{"t":1},{"t":2}],"v":2}`, `{"at":3,"items":[{"t":1},{"t":2}],"v":1}`, shadow.Mismatch, []string{"/body/v"}, nil},
		{"some of it", `{"at":2,"items":[{"t":1},{"t":2}],"v":2}`, `{"at":3,"items":[{"t":1},{"t":2}],"v":1}`, shadow.Mismatch, []string{"/body/v"}, []string{"/body/at"}},
		{"another element", `{"at":1,"items":[{"t":9},{"t":2}],"v":1}`, `{"at":1,"items":[{"t":1},{"t":8}],"v":1}`, shadow.Match, nil, []string{"/body/items/0/t"}},
		{"no difference", primary, `{"at":3}`, shadow.Match, nil, nil},
		{"missing where it changes", `{"items":[{"t":1},{"t":2}],"v":1}`, `{"at":3,"items":[{"t":1},{"t":2}],"v":1}`, shadow.Mismatch, []string{"/body/at"}, nil},
		{"of another type where it changes", `{"at":"2","items":[{"t":1},{"t":2}],"v":1}`, `{"at":3,"items":[{"t":1},{"t":2}],"v":1}`, shadow.Mismatch, []string{"/body/at"}, nil},
		{"changed where it is missing", `{"at":2,"items":[{"t":1},{"t":2}],"v":1}`, `{"items":[{"t":1},{"t":2}],"v":1}`, shadow.Mismatch, []string{"/body/at"}, nil},
		{"missing in another element", `{"at":1,"items":[{},{"t":2}],"v":1}`, `{"at":1,"items":[{"t":1},{}],"v":1}`, shadow.Match, nil, []string{"/body/items/0/t"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, results := mirror(t, shadow.InProcess("v2", jsonDoc(tt.candidate)), shadow.WithControl(shadow.InProcess("v1", jsonDoc(tt.control))))
			getFrom(m.Handler(jsonDoc(primary)), "/")
			require.NoError(t, m.Shutdown(t.Context()))
			ledger(t, m)
			r := results.All()[0]
			require.Equal(t, tt.want, r.Outcome)
			require.Equal(t, tt.diffs, paths(r.Diffs))
			require.Equal(t, tt.noise, paths(r.Noise))
			require.Equal(t, "v2", r.Target)
			require.JSONEq(t, tt.candidate, string(r.Shadow.Body))
		})
	}
}

func paths(list []shadow.Diff) (s []string) {
	for _, d := range list {
		s = append(s, d.Path)
	}
	return s
}

// A control that fails, in whatever way, makes nothing noise and delays the result by
// no more than its own timeout.
func TestAControlThatFails(t *testing.T) {
	for name, control := range map[string]shadow.Target{
		"panics": shadow.InProcess("v1", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("control") })),
		"exits":  shadow.InProcess("v1", http.HandlerFunc(badlyExits)),
		"hangs": within(3*time.Second, shadow.InProcess("v1", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
		}))),
		"ignores its context": within(3*time.Second, shadow.InProcess("v1", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			time.Sleep(time.Hour) // of the bubble
		}))),
		"fails":         {Name: "v1", Transport: roundTripper(func(*http.Request) (*http.Response, error) { return nil, errors.New("no") })},
		"is not masked": {Name: "v1", Transport: shadow.HandlerTransport(jsonDoc(`{"v":3}`)), Masker: shadow.MaskerFunc(func(*shadow.Message) error { return errors.New("no") })},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				option, results := reporting()
				m, _ := mirror(t, shadow.InProcess("v2", jsonDoc(`{"v":2}`)), option, shadow.WithControl(control))
				start := time.Now()
				w := getFrom(m.Handler(jsonDoc(`{"v":1}`)), "/")
				require.Equal(t, `{"v":1}`, w.Body.String())
				r := <-results
				require.Equal(t, shadow.Mismatch, r.Outcome)
				require.Empty(t, r.Noise)
				require.LessOrEqual(t, time.Since(start), 3*time.Second)
				require.NoError(t, m.Shutdown(t.Context()))
				require.Equal(t, map[string]uint64{mismatch: 1}, ledger(t, m))
				synctest.Wait()
				time.Sleep(2 * time.Hour)
				require.Zero(t, m.Stats().QueuedBytes)
			})
		})
	}
}

func badlyExits(http.ResponseWriter, *http.Request) { badly["exits"]() }

// A candidate that is lost while the control still runs takes nothing with it.
func TestACandidateThatExitsBesideAControl(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		m, results := mirror(t, shadow.InProcess("v2", http.HandlerFunc(badlyExits)), shadow.WithControl(shadow.InProcess("v1", g)))
		getFrom(m.Handler(text("ok")), "/")
		synctest.Wait()
		close(g.Open)
		require.NoError(t, m.Shutdown(t.Context()))
		synctest.Wait()
		require.ErrorIs(t, results.All()[0].Err, shadow.ErrExited)
		require.Equal(t, map[string]uint64{"failed": 1}, ledger(t, m))
		require.Zero(t, m.Stats().QueuedBytes)
	})
}

// Mirrors stack: each copies to its own target, and all speak of one request by one ID.
func TestMirrorsStack(t *testing.T) {
	const depth = 3
	var asked atomic.Int32
	h := http.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		echo(w, r)
	}))
	var mirrors []*shadow.Mirror
	var all []*reports
	for i := range depth {
		kind := []string{"in process", "remote"}[i%2]
		m, results := mirrorTo(t, kind, http.HandlerFunc(echo), shadow.WithName(fmt.Sprint("mirror ", i)))
		mirrors, all, h = append(mirrors, m), append(all, results), m.Handler(h)
	}
	h = middleware.RequestID("")(h) // by which the results belong together
	s := shape{serve: h.ServeHTTP, method: "POST", body: strings.Repeat("stacked ", 5000)}
	bare := shape{serve: echo, method: s.method, body: s.body}
	require.Equal(t, bare.overHTTP1(t, bare.h()), s.overHTTP1(t, s.h()))
	require.EqualValues(t, 1, asked.Load())
	ids := map[string]bool{}
	for i, m := range mirrors {
		settled(t, m, match, all[i])
		r := all[i].All()[0]
		ids[r.ID] = true
		require.Equal(t, s.body, string(r.Request.Body))
		require.Equal(t, fmt.Sprint("mirror ", i), r.Mirror)
	}
	require.Len(t, ids, 1)
}

// A target that discards its answer is asked all the same.
func TestADiscardedAnswer(t *testing.T) {
	for _, kind := range []string{"in process", "remote"} {
		var asked atomic.Int32
		candidate := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			io.WriteString(w, strings.Repeat("x", 100<<10))
		})
		target := shadow.InProcess("v2", candidate)
		if kind == "remote" {
			srv, _ := server(t, candidate, false)
			target = shadow.Remote("v2", srv.URL)
		}
		target.Discard = true
		m, results := mirror(t, target)
		getFrom(m.Handler(text("ok")), "/")
		settled(t, m, "uncompared", results)
		require.EqualValues(t, 1, asked.Load())
		require.Nil(t, results.All()[0].Shadow)
		require.NoError(t, results.All()[0].Err)
		require.Zero(t, m.Stats().QueuedBytes)
	}
}

// HandlerTransport is a RoundTripper like any other.
func TestHandlerTransport(t *testing.T) {
	ask := func(t *testing.T, h http.HandlerFunc, method, body string) (*http.Response, string) {
		req, err := http.NewRequestWithContext(t.Context(), method, "http://in.process/path?q=1", strings.NewReader(body))
		require.NoError(t, err)
		sent := &countingBody{Reader: strings.NewReader(body)}
		req.Body = sent
		resp, err := shadow.HandlerTransport(h).RoundTrip(req)
		require.NoError(t, err)
		require.Positive(t, sent.closed)
		b, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Same(t, req, resp.Request)
		return resp, string(b)
	}
	t.Run("answers", func(t *testing.T) {
		resp, body := ask(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "X-Sum")
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusCreated)
			echo(w, r)
			fmt.Fprint(w, " ", r.Host, " ", r.RequestURI)
			w.Header().Set("X-Sum", "1")
		}, "POST", "hello")
		require.Equal(t, "201 Created", resp.Status)
		require.Equal(t, 201, resp.StatusCode)
		require.Equal(t, `5 "hello" <nil> map[] in.process /path?q=1`, body)
		require.EqualValues(t, len(body), resp.ContentLength)
		require.Equal(t, http.Header{"X-Sum": {"1"}}, resp.Trailer)
		require.Equal(t, "text/plain; charset=utf-8", resp.Header.Get("Content-Type"))
	})
	t.Run("HEAD", func(t *testing.T) {
		resp, body := ask(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "500")
			io.WriteString(w, strings.Repeat("x", 500))
		}, "HEAD", "")
		require.Empty(t, body)
		require.EqualValues(t, 500, resp.ContentLength)
	})
	t.Run("long", func(t *testing.T) {
		long := strings.Repeat("long ", 1<<20)
		_, body := ask(t, text(long), "GET", "")
		require.Equal(t, long, body)
	})
	t.Run("panics", func(t *testing.T) {
		boom := errors.New("boom")
		resp, err := shadow.HandlerTransport(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "half")
			panic(boom)
		})).RoundTrip(httptest.NewRequest("GET", "/", nil)) //nolint:bodyclose // there is none
		require.Nil(t, resp)
		require.ErrorIs(t, err, shadow.ErrPanic)
	})
	t.Run("faults close the body", func(t *testing.T) {
		body := &countingBody{Reader: strings.NewReader("x")}
		_, err := shadow.HandlerTransport(nil).RoundTrip(&http.Request{Body: body}) //nolint:bodyclose // there is none
		require.Error(t, err)
		_, err = shadow.HandlerTransport(text("x")).RoundTrip(&http.Request{Body: body}) //nolint:bodyclose // there is none
		require.Error(t, err)
		require.Equal(t, 2, body.closed)
	})
}

// An in-process candidate may itself call handlers through a HandlerTransport: the limits
// of the Mirror are not theirs.
func TestTheLimitsEndAtTheCandidate(t *testing.T) {
	long := strings.Repeat("long ", 10000)
	inner := shadow.HandlerTransport(text(long))
	m, results := mirror(t, shadow.InProcess("v2", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req, _ := http.NewRequestWithContext(r.Context(), "GET", "http://inner/", nil)
		resp, err := inner.RoundTrip(req) //nolint:bodyclose // as careless code does
		if !assert.NoError(t, err) {
			return
		}
		b, err := io.ReadAll(resp.Body)
		assert.NoError(t, err)
		assert.Len(t, b, len(long))
		io.WriteString(w, "ok")
	})), shadow.WithMaxBody(100), shadow.WithQueue(10, 100<<10))
	getFrom(m.Handler(text("ok")), "/")
	settled(t, m, match, results)
	require.Zero(t, m.Stats().QueuedBytes)
}

// The times in a result are those of the two answers: to the status line, and to the last
// byte.
func TestAResultHasTheTimesOfBothAnswers(t *testing.T) {
	answer := func(first, rest time.Duration) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(first) // of the bubble
			io.WriteString(w, "first ")
			w.(http.Flusher).Flush()
			time.Sleep(rest)
			io.WriteString(w, "rest")
		}
	}
	synctest.Test(t, func(t *testing.T) {
		m, results := mirror(t, shadow.InProcess("v2", answer(time.Second, 2*time.Second)))
		start := time.Now()
		getFrom(m.Handler(answer(3*time.Second, 4*time.Second)), "/")
		require.Equal(t, 7*time.Second, time.Since(start))
		require.NoError(t, m.Shutdown(t.Context()))
		r := results.All()[0]
		assert.Equal(t, shadow.Match, r.Outcome)
		assert.Equal(t, start, r.Start)
		assert.Zero(t, r.Queued)
		assert.Equal(t, 3*time.Second, r.Primary.TTFB)
		assert.Equal(t, 7*time.Second, r.Primary.Took)
		assert.Equal(t, time.Second, r.Shadow.TTFB)
		assert.Equal(t, 3*time.Second, r.Shadow.Took)
	})
}

// Shutdown waits for the control too: nothing of a Mirror goes on afterwards.
func TestShutdownWaitsForTheControl(t *testing.T) {
	for name, candidate := range map[string]http.HandlerFunc{
		"match":    text("ok"),
		"mismatch": text("other"),
		"failed":   func(http.ResponseWriter, *http.Request) { panic("candidate") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				done := false
				m, _ := mirror(t, shadow.InProcess("v2", candidate),
					shadow.WithControl(shadow.InProcess("v1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						io.WriteString(w, "ok")
						select {
						case <-time.After(time.Second):
							done = true
						case <-r.Context().Done():
						}
					}))))
				getFrom(m.Handler(text("ok")), "/")
				require.NoError(t, m.Shutdown(t.Context()))
				require.Equal(t, map[string]uint64{name: 1}, ledger(t, m))
				require.True(t, done)
				require.Zero(t, m.Stats().QueuedBytes)
			})
		})
	}
}

// A Shutdown in the middle of traffic loses nobody.
func TestShutdownUnderTraffic(t *testing.T) {
	for range 20 {
		m, _ := mirror(t, shadow.InProcess("v2", text("ok")), shadow.WithConcurrency(2), shadow.WithQueue(4, 1<<20))
		h := m.Handler(text("ok"))
		var traffic sync.WaitGroup
		begun := make(chan struct{}, 1000)
		for range 4 {
			traffic.Go(func() {
				for range 50 {
					begun <- struct{}{}
					assert.Equal(t, "ok", getFrom(h, "/").Body.String())
				}
			})
		}
		for range 60 {
			<-begun
		}
		require.NoError(t, m.Shutdown(t.Context()))
		traffic.Wait()
		ledger(t, m)
		s := m.Stats()
		require.EqualValues(t, 200, s.Requests)
		require.Zero(t, s.Queued)
		require.Zero(t, s.Running)
		require.Zero(t, s.QueuedBytes)
	}
}

// A HandlerTransport keeps its word where the user wraps it, and for answers over the
// limit.
func TestAWrappedHandlerTransport(t *testing.T) {
	long := strings.Repeat("long ", 1000)
	for name, candidate := range map[string]string{match: long, mismatch: long[:4999] + "!"} {
		inner := shadow.HandlerTransport(text(candidate))
		m, results := mirror(t, shadow.Target{Name: "v2", Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			resp, err := inner.RoundTrip(r)
			if err == nil {
				resp.Body = struct{ io.ReadCloser }{resp.Body}
			}
			return resp, err
		})}, shadow.WithMaxBody(100))
		require.Equal(t, long, getFrom(m.Handler(text(long)), "/").Body.String())
		settled(t, m, name, results)
		require.EqualValues(t, 5000, results.All()[0].Shadow.Size)
		require.Zero(t, m.Stats().QueuedBytes)
	}
}

// What Stats returns is the caller's: a map that is written to is nobody else's.
func TestStatsAreASnapshot(t *testing.T) {
	m, _ := mirror(t, shadow.InProcess("v2", text("ok")))
	m.SetEnabled(false)
	getFrom(m.Handler(text("ok")), "/")
	m.Stats().Skipped[shadow.ReasonDisabled] = 7
	require.EqualValues(t, 1, m.Stats().Skipped[shadow.ReasonDisabled])
}
