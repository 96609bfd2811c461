package shadow_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

var timings = map[string]shadow.Timing{"after the primary": shadow.AfterPrimary, "parallel": shadow.Parallel}

var parallel = shadow.WithTiming(shadow.Parallel)

// clocked is a candidate that notes when it was asked and what, and then does what
// handler does.
type clocked struct {
	handler http.Handler
	mu      sync.Mutex
	asked   []string // at which time, the body, the trailers
}

func (c *clocked) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	at := time.Since(bubbleStart)
	body, _ := io.ReadAll(r.Body)
	c.mu.Lock()
	c.asked = append(c.asked, strings.TrimSpace(fmt.Sprintf("%v %s %s", at, body, r.Trailer.Get("T"))))
	c.mu.Unlock()
	c.handler.ServeHTTP(w, r)
}

func (c *clocked) All() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.asked...)
}

// bubbleStart is when the clock of a bubble begins.
var bubbleStart = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// dripping is a body of one byte a second.
type dripping struct {
	text  string
	read  atomic.Int64
	atEnd func()
}

func (d *dripping) Read(p []byte) (int, error) {
	n := d.read.Load()
	if int(n) == len(d.text) {
		if d.atEnd != nil {
			d.atEnd()
		}
		return 0, io.EOF
	}
	time.Sleep(time.Second)
	p[0] = d.text[n]
	d.read.Add(1)
	return 1, nil
}

func (d *dripping) Close() error { return nil }

// A copy starts when the timing says so: when the primary has answered, or as soon as
// the primary has read the body, which nobody else reads and nothing delays.
func TestWhenACopyStarts(t *testing.T) {
	// Reading "abc" to its length takes 3s, and then it takes 5s to answer.
	primary := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		time.Sleep(5 * time.Second)
		io.WriteString(w, "ok")
	})
	partly := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.ReadFull(r.Body, make([]byte, 3))
		time.Sleep(5 * time.Second)
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, "ok")
	})
	for name, c := range map[string]struct {
		primary         http.Handler
		body, length    string // how much of abc
		trailer         bool
		after, parallel string
	}{
		"no body":                     {primary: primary, after: "5s", parallel: "0s"},
		"a body":                      {primary: primary, body: "abc", length: "abc", after: "8s abc", parallel: "3s abc"},
		"of unknown length":           {primary: primary, body: "abc", after: "8s abc", parallel: "3s abc"},
		"not read to its end at once": {primary: partly, body: "abc", after: "8s abc", parallel: "8s abc"},
		"read to its length at once":  {primary: partly, body: "abc", length: "abc", after: "8s abc", parallel: "3s abc"},
		"with a trailer":              {primary: partly, body: "abc", length: "abc", trailer: true, after: "8s abc t", parallel: "8s abc t"},
	} {
		for timing, want := range map[shadow.Timing]string{shadow.AfterPrimary: c.after, shadow.Parallel: c.parallel} {
			for _, side := range []string{"handler", "transport"} {
				t.Run(fmt.Sprintf("%s/%s %s", name, side, timing), func(t *testing.T) {
					candidate := &clocked{handler: fine}
					target := shadow.InProcess("v2", candidate)
					inBubble(t, c.primary, target, func(t *testing.T, m *limited) {
						r := httptest.NewRequest("POST", "http://h/", nil)
						if r.Body = http.NoBody; c.body != "" {
							r.Body = &dripping{text: c.body}
							if r.ContentLength = -1; c.length != "" {
								r.ContentLength = int64(len(c.length))
							}
						}
						if c.trailer {
							r.Trailer = http.Header{"T": nil}
							r.Body.(*dripping).atEnd = func() { r.Trailer["T"] = []string{"t"} }
						}
						started := time.Now()
						if side == "handler" {
							m.Front.ServeHTTP(httptest.NewRecorder(), r)
						} else {
							resp, err := m.Transport(shadow.HandlerTransport(c.primary)).RoundTrip(r)
							require.NoError(t, err)
							io.Copy(io.Discard, resp.Body)
							resp.Body.Close()
						}
						assert.Equal(t, time.Duration(5+len(c.body))*time.Second, time.Since(started), "it takes what it takes without us")
						m.Pass(time.Minute)
						assert.Equal(t, []string{want}, candidate.All())
						assert.Equal(t, map[string]uint64{"match": 1}, ledger(t, m.Mirror))
						assert.Zero(t, m.Stats().QueuedBytes)
					}, allMethods, shadow.WithTiming(timing))
				})
			}
		}
	}
}

// A slow upload is read by the primary at its own pace, whatever the shadow does, and the
// shadow sees nothing of it before it is complete.
func TestASlowBodyIsNeverDelayed(t *testing.T) {
	for name, candidate := range map[string]http.Handler{"fine": fine, "hung": hung, "panics": http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(1) })} {
		t.Run(name, func(t *testing.T) {
			asked := &clocked{handler: candidate}
			body := &dripping{text: "abcde"}
			primary := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				for i := range 5 {
					time.Sleep(time.Second)
					assert.EqualValues(t, i, body.read.Load(), "nobody has read ahead")
					n, err := r.Body.Read(make([]byte, 10))
					assert.Equal(t, 1, n)
					assert.NoError(t, err)
					assert.Equal(t, time.Duration(2*i+2)*time.Second, time.Since(bubbleStart))
					assert.Empty(t, asked.All())
				}
				_, err := r.Body.Read(make([]byte, 10))
				assert.Equal(t, io.EOF, err)
				io.WriteString(w, "ok")
				assert.Equal(t, 10*time.Second, time.Since(bubbleStart))
			})
			inBubble(t, primary, shadow.InProcess("v2", asked), func(t *testing.T, m *limited) {
				r := httptest.NewRequest("POST", "/", nil)
				r.Body, r.ContentLength = body, -1
				m.Front.ServeHTTP(httptest.NewRecorder(), r)
				m.Pass(time.Minute)
				assert.Equal(t, []string{"10s abcde"}, asked.All())
			}, allMethods, parallel)
		})
	}
}

// hijackable can be taken over.
type hijackable struct{ *httptest.ResponseRecorder }

func (hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	here, there := net.Pipe()
	there.Close()
	return here, bufio.NewReadWriter(bufio.NewReader(here), bufio.NewWriter(here)), nil
}

// endings are the ways in which a primary that has taken its time turns out to be, or not
// to be, for comparing.
var endings = map[string]func(w http.ResponseWriter, r *http.Request, leave func()){
	"match":            func(w http.ResponseWriter, _ *http.Request, _ func()) { io.WriteString(w, "ok") },
	"mismatch":         func(w http.ResponseWriter, _ *http.Request, _ func()) { io.WriteString(w, "other") },
	"primary-panicked": func(http.ResponseWriter, *http.Request, func()) { panic(http.ErrAbortHandler) },
	"primary-refused":  func(w http.ResponseWriter, _ *http.Request, _ func()) { w.WriteHeader(503) },
	"upgrade":          func(w http.ResponseWriter, _ *http.Request, _ func()) { w.WriteHeader(101) },
	"client-gone":      func(_ http.ResponseWriter, _ *http.Request, leave func()) { leave() },
	"primary-incomplete": func(w http.ResponseWriter, _ *http.Request, _ func()) {
		w.Header().Set("Content-Length", "5")
		io.WriteString(w, "ok")
	},
	"hijacked": func(w http.ResponseWriter, _ *http.Request, _ func()) {
		c, _, _ := w.(http.Hijacker).Hijack()
		c.Close()
	},
}

// serveEnding serves one request whose primary takes a second and ends like this.
func serveEnding(t *testing.T, m *limited, ending func(w http.ResponseWriter, r *http.Request, leave func()), body string) {
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		time.Sleep(time.Second)
		ending(w, r, leave)
	}))
	defer func() { recover() }()
	h.ServeHTTP(hijackable{httptest.NewRecorder()}, httptest.NewRequest("POST", "/", strings.NewReader(body)).WithContext(ctx))
}

// Where the primary turns out to be not for comparing, a copy beside it is cancelled if
// it still runs, and counted once, under the reason that it has with either timing.
func TestHowThePrimaryEndsDecides(t *testing.T) {
	for name, ending := range endings {
		for timing, of := range timings {
			for kind, candidate := range map[string]http.HandlerFunc{
				"done before it": fine,
				"done after it":  sleeping(2 * time.Second), // and does not look at its context
				"until it is cancelled": func(w http.ResponseWriter, r *http.Request) {
					select {
					case <-r.Context().Done():
					case <-time.After(3 * time.Second):
					}
					io.WriteString(w, "ok")
				},
			} {
				for _, body := range []string{"", "body"} {
					t.Run(fmt.Sprintf("%s/%s/%s/%s", name, timing, kind, body), func(t *testing.T) {
						var took atomic.Int64
						target := shadow.InProcess("v2", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
							began := time.Now()
							candidate(w, r)
							took.Store(int64(time.Since(began)))
						}))
						compared := name == "match" || name == "mismatch"
						inBubble(t, fine, target, func(t *testing.T, m *limited) {
							serveEnding(t, m, ending, body)
							m.Pass(time.Minute)
							assert.Equal(t, map[string]uint64{name: 1}, ledger(t, m.Mirror))
							assert.Len(t, m.Events.All(), map[bool]int{true: 1}[compared])
							assert.Zero(t, m.Stats().QueuedBytes)
							if kind == "until it is cancelled" && of == shadow.Parallel {
								assert.Equal(t, compared, took.Load() == int64(3*time.Second))
								assert.Equal(t, !compared, took.Load() == int64(time.Second))
							}
						}, allMethods, shadow.WithTiming(of))
					})
				}
			}
		}
	}
}

// The same where the copy waits for its turn all the while: it is never sent.
func TestACopyThatWaitedTooLongIsNotSent(t *testing.T) {
	for name, ending := range endings {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int64
			target := shadow.InProcess("v2", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				time.Sleep(5 * time.Second)
				io.WriteString(w, "ok")
			}))
			inBubble(t, fine, target, func(t *testing.T, m *limited) {
				getFrom(m.Front, "/")
				rest()
				serveEnding(t, m, ending, "body")
				compared := name == "match" || name == "mismatch"
				assert.Equal(t, map[bool]int{true: 1}[compared], m.Stats().Queued, "one that is not for comparing waits no longer")
				m.Pass(time.Minute)
				want := map[string]uint64{"match": 1}
				want[name]++
				assert.Equal(t, want, ledger(t, m.Mirror))
				assert.EqualValues(t, 1+map[bool]int{true: 1}[compared], asked.Load())
				assert.Zero(t, m.Stats().QueuedBytes)
			}, allMethods, parallel, shadow.WithConcurrency(1))
		})
	}
}

// Nor is the copy of a body that the primary does not read, as long as it may yet.
func TestABodyThatIsNotReadIsNotSentEither(t *testing.T) {
	for name, c := range map[string]struct {
		primary http.HandlerFunc
		want    string
	}{
		"not read":         {text("ok"), "body-unread"},
		"read in part":     {func(w http.ResponseWriter, r *http.Request) { r.Body.Read(make([]byte, 2)) }, "body-unread"},
		"read, then fails": {func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }, "body-failed"},
	} {
		t.Run(name, func(t *testing.T) {
			candidate := &clocked{handler: fine}
			inBubble(t, c.primary, shadow.InProcess("v2", candidate), func(t *testing.T, m *limited) {
				r := httptest.NewRequest("POST", "/", io.MultiReader(strings.NewReader("body"), failingReader{}))
				m.Front.ServeHTTP(httptest.NewRecorder(), r)
				m.Pass(time.Minute)
				assert.Empty(t, candidate.All())
				assert.Equal(t, map[string]uint64{c.want: 1}, ledger(t, m.Mirror))
				assert.Zero(t, m.Stats().QueuedBytes)
			}, allMethods, parallel)
		})
	}
}

// A primary that goes on for ever keeps no worker for longer than the Timeout of the target,
// and none of its answer when it ends after all.
func TestAnEndlessPrimaryHoldsNoWorker(t *testing.T) {
	for name, c := range map[string]struct {
		candidate http.HandlerFunc
		breaker   shadow.BreakerState
	}{
		"fine":                 {fine, shadow.BreakerClosed},
		"hung":                 {hung, shadow.BreakerOpen},
		"hung for good":        {func(http.ResponseWriter, *http.Request) { time.Sleep(time.Hour) }, shadow.BreakerOpen},
		"panics":               {func(http.ResponseWriter, *http.Request) { panic(1) }, shadow.BreakerOpen},
		"exits its goroutine":  {func(http.ResponseWriter, *http.Request) { runtime.Goexit() }, shadow.BreakerOpen},
		"broken, for all that": {broken, shadow.BreakerClosed},
	} {
		t.Run(name, func(t *testing.T) {
			target := shadow.InProcess("v2", c.candidate)
			target.Timeout = 10 * time.Second
			events := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				for range 60 * 60 {
					fmt.Fprintln(w, "data: x")
					time.Sleep(time.Second)
				}
			})
			inBubble(t, events, target, func(t *testing.T, m *limited) {
				done := make(chan struct{})
				go func() {
					defer close(done)
					getFrom(m.Front, "/")
				}()
				m.Pass(10*time.Second - 1)
				s := m.Stats()
				assert.EqualValues(t, 1, s.Requests, "it is counted while the primary answers")
				assert.Equal(t, 1, s.Running)
				ledger(t, m.Mirror)
				m.Pass(1)
				assert.Equal(t, map[string]uint64{"primary-incomplete": 1}, ledger(t, m.Mirror))
				assert.Zero(t, m.Stats().Running)
				assert.Equal(t, c.breaker, m.Breaker("v2"))
				<-done
				m.Pass(time.Hour)
				assert.Equal(t, map[string]uint64{"primary-incomplete": 1}, ledger(t, m.Mirror))
				assert.Zero(t, m.Stats().QueuedBytes)
				assert.Empty(t, m.Events.All())
			}, parallel, shadow.WithConcurrency(1), shadow.WithBreaker(shadow.BreakerOptions{Min: 1, Pause: 10 * time.Hour}))
		})
	}
}

// A copy that fails while the primary still answers is reported when it has, with its
// answer, and so is one that is late.
func TestAFailureWaitsForThePrimary(t *testing.T) {
	for name, c := range map[string]struct {
		candidate http.HandlerFunc
		err       error
	}{
		"panics":        {func(http.ResponseWriter, *http.Request) { panic(1) }, shadow.ErrPanic},
		"exits":         {func(http.ResponseWriter, *http.Request) { runtime.Goexit() }, shadow.ErrExited},
		"hung":          {hung, shadow.ErrTimeout},
		"hung for good": {func(http.ResponseWriter, *http.Request) { time.Sleep(time.Hour) }, shadow.ErrTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			target := shadow.InProcess("v2", c.candidate)
			target.Timeout = 10 * time.Second
			inBubble(t, sleeping(9*time.Second), target, func(t *testing.T, m *limited) {
				getFrom(m.Front, "/some/thing/1")
				m.Pass(time.Second)
				results := m.Events.All()
				require.Len(t, results, 1)
				assert.Equal(t, shadow.Failed, results[0].Outcome)
				require.ErrorIs(t, results[0].Err, c.err)
				assert.Equal(t, "ok", string(results[0].Primary.Body))
				assert.Equal(t, 9*time.Second, results[0].Primary.Took)
				assert.Equal(t, "GET /some/thing/{}", results[0].Route)
				m.Pass(time.Hour)
				assert.Equal(t, map[string]uint64{"failed": 1}, ledger(t, m.Mirror))
				assert.Zero(t, m.Stats().QueuedBytes)
			}, parallel)
		})
	}
}

// Both sides are timed fairly: the shadow's time begins when its copy is sent, whichever
// of the two was first, and what it waited for its turn is not in it.
func TestParallelCopiesAreTimedFairly(t *testing.T) {
	inBubble(t, sleeping(2*time.Second), shadow.InProcess("v2", sleeping(3*time.Second)), func(t *testing.T, m *limited) {
		var clients sync.WaitGroup
		for range 3 {
			clients.Go(func() { getFrom(m.Front, "/") })
		}
		clients.Wait()
		m.Pass(time.Minute)
		results := m.Events.All()
		require.Len(t, results, 3)
		for i, res := range results {
			assert.Equal(t, 2*time.Second, res.Primary.Took)
			assert.Equal(t, 3*time.Second, res.Shadow.Took)
			assert.Equal(t, time.Duration(3*i)*time.Second, res.Queued)
		}
	}, parallel, shadow.WithConcurrency(1))
}

// What finds no place when it could start is dropped then, and its primary served as if
// there were no Mirror.
func TestAFullQueueDropsAtTheStart(t *testing.T) {
	for _, body := range []string{"", "body"} {
		t.Run(body, func(t *testing.T) {
			inBubble(t, fine, shadow.InProcess("v2", sleeping(time.Second)), func(t *testing.T, m *limited) {
				checked := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					io.Copy(io.Discard, r.Body)
					assert.Equal(t, map[string]uint64{"queue-full": 1}, ledger(t, m.Mirror))
					if body == "" {
						assert.IsType(t, &httptest.ResponseRecorder{}, w)
					}
					io.WriteString(w, "ok")
				}))
				for range 2 {
					getFrom(m.Front, "/")
					synctest.Wait()
				}
				if body == "" {
					assert.Equal(t, "ok", getFrom(checked, "/").Body.String())
				} else {
					assert.Equal(t, "ok", postTo(checked, "/", body).Body.String())
				}
				m.Pass(time.Minute)
				assert.Equal(t, map[string]uint64{"match": 2, "queue-full": 1}, ledger(t, m.Mirror))
				assert.Zero(t, m.Stats().QueuedBytes)
			}, allMethods, parallel, shadow.WithConcurrency(1), shadow.WithQueue(1, 1<<20))
		})
	}
}

// Shutdown waits for the primaries that copies run beside; Close does not.
func TestShutdownBesideThePrimary(t *testing.T) {
	for name, c := range map[string]struct {
		stop func(m *shadow.Mirror) error
		took time.Duration
		want map[string]uint64
	}{
		"Shutdown": {func(m *shadow.Mirror) error { return m.Shutdown(context.Background()) }, 4 * time.Second, map[string]uint64{"match": 1, "shut-down": 1}},
		"Close":    {(*shadow.Mirror).Close, 0, map[string]uint64{"shut-down": 2}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, sleeping(5*time.Second), shadow.InProcess("v2", fine), func(t *testing.T, m *limited) {
				var clients sync.WaitGroup
				clients.Go(func() { getFrom(m.Front, "/") })
				m.Pass(time.Second)
				before := time.Now()
				stopped := make(chan struct{})
				go func() {
					defer close(stopped)
					assert.NoError(t, c.stop(m.Mirror))
				}()
				synctest.Wait()
				clients.Go(func() { getFrom(m.Front, "/") })
				<-stopped
				assert.Equal(t, c.took, time.Since(before))
				clients.Wait()
				m.Pass(time.Minute)
				assert.Equal(t, c.want, ledger(t, m.Mirror))
				assert.Zero(t, m.Stats().QueuedBytes)
			}, parallel)
		})
	}
	t.Run("Close drops what waits", func(t *testing.T) {
		primary := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			time.Sleep(5 * time.Second)
		})
		inBubble(t, primary, shadow.InProcess("v2", hung), func(t *testing.T, m *limited) {
			var clients sync.WaitGroup
			for range 3 {
				clients.Go(func() { postTo(m.Front, "/", "body") })
			}
			m.Pass(time.Second)
			require.NoError(t, m.Close())
			clients.Wait()
			m.Pass(time.Minute)
			assert.Equal(t, map[string]uint64{"shut-down": 3}, ledger(t, m.Mirror))
			assert.Zero(t, m.Stats().QueuedBytes)
		}, allMethods, parallel, shadow.WithConcurrency(1))
	})
}

// Answers over WithMaxBody are compared as ever, though nobody knows at first how long the
// primary's will be; and when that is known there is an end to a flood.
func TestLongAnswersBesideThePrimary(t *testing.T) {
	long := func(n int, after time.Duration) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(after)
			for range n {
				w.Write(make([]byte, 1000))
			}
		}
	}
	var floods atomic.Int64
	flood := func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 1000)); err != nil {
				return
			}
			floods.Add(1)
			time.Sleep(time.Millisecond)
		}
	}
	for name, c := range map[string]struct {
		primary, candidate http.HandlerFunc
		want               string
	}{
		"equal, the shadow first":       {long(50, time.Second), long(50, 0), "match"},
		"equal, the primary first":      {long(50, 0), long(50, time.Second), "match"},
		"longer":                        {long(50, time.Second), long(51, 0), "mismatch"},
		"shorter":                       {long(50, time.Second), long(49, 0), "mismatch"},
		"a flood":                       {long(50, time.Second), flood, "mismatch"},
		"a flood that the primary sees": {long(50, 0), flood, "mismatch"},
	} {
		t.Run(name, func(t *testing.T) {
			floods.Store(0)
			inBubble(t, c.primary, shadow.InProcess("v2", c.candidate), func(t *testing.T, m *limited) {
				m.Ask(1)
				m.Pass(5 * time.Second)
				assert.Equal(t, map[string]uint64{c.want: 1}, ledger(t, m.Mirror))
				assert.LessOrEqual(t, floods.Load(), int64(1100), "and not for the 10 s of the timeout")
			}, parallel, shadow.WithMaxBody(10_000))
		})
	}
}

// A copy that is cancelled for what its primary did says nothing about the candidate.
func TestACancelledCopyOpensNoBreaker(t *testing.T) {
	inBubble(t, fine, shadow.InProcess("v2", hung), func(t *testing.T, m *limited) {
		for range 20 {
			serveEnding(t, m, endings["primary-refused"], "")
			m.Pass(0)
		}
		assert.Equal(t, shadow.BreakerClosed, m.Breaker("v2"))
		assert.Equal(t, shadow.BreakerClosed, m.Breaker("v1"))
		serveEnding(t, m, endings["match"], "")
		m.Pass(time.Minute)
		assert.Equal(t, shadow.BreakerOpen, m.Breaker("v2"), "one that is not says enough")
	}, allMethods, parallel, shadow.WithControl(shadow.InProcess("v1", hung)), shadow.WithBreaker(shadow.BreakerOptions{Min: 1, Pause: time.Hour}))
}

// A server error is one only where the primary has none, which is known when it answers.
func TestServerErrorsBesideThePrimary(t *testing.T) {
	for status, state := range map[int]shadow.BreakerState{200: shadow.BreakerOpen, 500: shadow.BreakerClosed} {
		primary := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(time.Second)
			w.WriteHeader(status)
		})
		inBubble(t, primary, shadow.InProcess("v2", broken), func(t *testing.T, m *limited) {
			m.Ask(1)
			assert.Equal(t, state, m.Breaker("v2"), status)
			assert.Equal(t, state, m.Breaker("v1"), status)
		}, parallel, shadow.WithControl(shadow.InProcess("v1", broken)), shadow.WithBreaker(shadow.BreakerOptions{Min: 1, Pause: time.Hour}))
	}
}

// An answer is without an end only beside a shorter one of the primary, which is known when
// that has answered.
func TestLongAnswersThatNobodyReadsBesideThePrimary(t *testing.T) {
	for size, state := range map[int]shadow.BreakerState{1: shadow.BreakerOpen, 2 << 20: shadow.BreakerClosed} {
		primary := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(time.Second)
			w.Write(make([]byte, size))
		})
		for name, target := range map[string]shadow.Target{
			"in process": shadow.InProcess("v2", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 2<<20)) })),
			"elsewhere": {Name: "v2", Transport: roundTripper(func(*http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 200, Body: io.NopCloser(bytes.NewReader(make([]byte, 2<<20)))}, nil
			})},
		} {
			target.Discard = true
			inBubble(t, primary, target, func(t *testing.T, m *limited) {
				m.Ask(1)
				assert.Equal(t, state, m.Breaker("v2"), "%s, %d bytes", name, size)
			}, parallel, shadow.WithBreaker(shadow.BreakerOptions{Min: 1, Pause: time.Hour}))
		}
	}
}

// The control is asked beside the two, and its noise is noise.
func TestTheControlBesideThePrimary(t *testing.T) {
	var n atomic.Int64
	counting := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(time.Second)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"n":%d}`, n.Add(1))
	})
	inBubble(t, counting, shadow.InProcess("v2", counting), func(t *testing.T, m *limited) {
		m.Ask(1)
		require.Len(t, m.Events.All(), 1)
		res := m.Events.All()[0]
		assert.Equal(t, shadow.Match, res.Outcome)
		assert.Equal(t, []string{"/body/n"}, diffPaths(res.Noise))
	}, parallel, shadow.WithControl(shadow.InProcess("v1", counting)))
}

// A mask that fails is known before anything is sent, and nobody waits for the primary.
func TestAFailedMaskDoesNotWaitForThePrimary(t *testing.T) {
	target := shadow.InProcess("v2", fine)
	target.Masker = shadow.MaskerFunc(func(*shadow.Message) error { return errors.New("no") })
	inBubble(t, sleeping(time.Minute), target, func(t *testing.T, m *limited) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			getFrom(m.Front, "/")
		}()
		m.Pass(time.Second)
		assert.Equal(t, map[string]uint64{"mask-failed": 1}, ledger(t, m.Mirror))
		<-done
		assert.Equal(t, map[string]uint64{"mask-failed": 1}, ledger(t, m.Mirror))
		assert.Zero(t, m.Stats().QueuedBytes)
	}, parallel)
}

// wrapped is a body of a type that nobody knows.
type wrapped struct{ io.ReadCloser }

// answered is an answer of text.
func answered(status int, text string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"text/plain; charset=utf-8"}},
		Body: io.NopCloser(strings.NewReader(text)), ContentLength: int64(len(text))}
}

// A request that is sent again is copied once, from the first attempt that was complete; a
// body in memory is complete from the start.
func TestARequestThatIsSentAgainIsCopiedOnce(t *testing.T) {
	candidate := &clocked{handler: fine}
	inBubble(t, fine, shadow.InProcess("v2", candidate), func(t *testing.T, m *limited) {
		rt := m.Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
			for read := range 4 { // the first attempts do not get far, the third does
				body, err := r.GetBody()
				require.NoError(t, err)
				io.CopyN(io.Discard, body, int64(2*read))
				time.Sleep(time.Second)
				body.Close()
			}
			return answered(200, "ok"), nil
		}))
		for range 2 {
			r, err := http.NewRequest("POST", "http://h/", strings.NewReader("body"))
			require.NoError(t, err)
			if len(candidate.All()) == 0 {
				get := r.GetBody
				r.GetBody = func() (io.ReadCloser, error) { body, err := get(); return wrapped{body}, err }
				r.Body, _ = r.GetBody()
			}
			resp, err := rt.RoundTrip(r)
			require.NoError(t, err)
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			m.Pass(time.Minute)
		}
		assert.Equal(t, []string{"2s body", "1m4s body"}, candidate.All())
		assert.Equal(t, map[string]uint64{"match": 2}, ledger(t, m.Mirror))
		assert.Zero(t, m.Stats().QueuedBytes)
	}, allMethods, parallel)
}

// A call that comes to nothing, or whose answer is not read, takes its copy with it.
func TestHowACallEndsDecides(t *testing.T) {
	for want, c := range map[string]struct {
		call roundTripper
		read bool
	}{
		"match":              {func(*http.Request) (*http.Response, error) { return answered(200, "ok"), nil }, true},
		"primary-incomplete": {func(*http.Request) (*http.Response, error) { return answered(200, "ok"), nil }, false},
		"primary-failed":     {func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }, false},
		"primary-panicked":   {func(*http.Request) (*http.Response, error) { panic(1) }, false},
		"primary-refused":    {func(*http.Request) (*http.Response, error) { return answered(429, ""), nil }, true},
		"upgrade":            {func(*http.Request) (*http.Response, error) { return answered(101, ""), nil }, true},
	} {
		for _, candidate := range []http.HandlerFunc{fine, sleeping(5 * time.Second)} {
			for _, body := range []string{"", "body"} {
				t.Run(want+"/"+body, func(t *testing.T) {
					inBubble(t, fine, shadow.InProcess("v2", candidate), func(t *testing.T, m *limited) {
						rt := m.Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
							if r.Body != nil {
								io.Copy(io.Discard, r.Body)
							}
							time.Sleep(time.Second)
							return c.call(r)
						}))
						func() {
							defer func() { recover() }()
							r, err := http.NewRequest("POST", "http://h/", strings.NewReader(body))
							require.NoError(t, err)
							resp, err := rt.RoundTrip(r)
							if err != nil {
								return
							}
							if c.read {
								io.Copy(io.Discard, resp.Body)
							}
							resp.Body.Close()
						}()
						m.Pass(time.Minute)
						assert.Equal(t, map[string]uint64{want: 1}, ledger(t, m.Mirror))
						assert.Zero(t, m.Stats().QueuedBytes)
					}, allMethods, parallel)
				})
			}
		}
	}
}

// A goroutine of the primary may read the body to its end just when the primary has
// answered: either the copy began then or it did not.
func TestABodyThatIsCompleteAsThePrimaryEnds(t *testing.T) {
	for range 200 {
		m, _ := mirror(t, shadow.InProcess("v2", text("ok")), allMethods, parallel)
		var readers sync.WaitGroup
		postTo(m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			readers.Go(func() { io.Copy(io.Discard, r.Body) })
			runtime.Gosched()
			w.WriteHeader(503)
		})), "/", "body")
		readers.Wait()
		require.NoError(t, m.Shutdown(t.Context()))
		assert.Equal(t, map[string]uint64{"primary-refused": 1}, ledger(t, m))
		assert.Zero(t, m.Stats().QueuedBytes)
	}
}

// The primary is untouched beside its copy too.
func TestThePrimaryIsUntouchedBesideItsCopy(t *testing.T) {
	for _, s := range shapes(t) {
		t.Run(s.name, func(t *testing.T) {
			m, _ := mirror(t, shadow.InProcess("v2", text("something else")), allMethods, parallel)
			assert.Equal(t, steady(s.overHTTP1(t, s.h())), steady(s.overHTTP1(t, m.Handler(s.h()))))
			require.NoError(t, m.Shutdown(t.Context()))
			ledger(t, m)
		})
	}
}

// Under traffic of every kind, with copies that end before their primaries, after them and
// together with them, the ledger adds up whenever it is read, and every byte is given back.
func TestTheLedgerAddsUpBesideThePrimary(t *testing.T) {
	pause := func() {
		if n := rand.IntN(4); n > 0 {
			time.Sleep(time.Duration(n) * time.Second)
		}
	}
	turns := []func(w http.ResponseWriter, r *http.Request, leave func()){
		func(http.ResponseWriter, *http.Request, func()) { runtime.Goexit() },
		func(w http.ResponseWriter, _ *http.Request, _ func()) { time.Sleep(20 * time.Second) },
	}
	for _, ending := range endings {
		turns = append(turns, ending)
	}
	candidate := func(w http.ResponseWriter, r *http.Request) {
		pause()
		switch rand.IntN(6) {
		case 0:
			panic(1)
		case 1:
			runtime.Goexit()
		case 2:
			<-r.Context().Done()
		case 3:
			time.Sleep(15 * time.Second)
		}
		io.WriteString(w, "ok")
	}
	synctest.Test(t, func(t *testing.T) {
		m, err := shadow.New(isolated(shadow.InProcess("v2", http.HandlerFunc(candidate))), allMethods, parallel, calm,
			shadow.WithConcurrency(4), shadow.WithQueue(8, 1<<20), shadow.WithBreaker(shadow.BreakerOptions{Off: true}),
			shadow.WithControl(shadow.InProcess("v1", http.HandlerFunc(candidate))))
		require.NoError(t, err)
		l := &limited{Mirror: m}
		var clients sync.WaitGroup
		const each, all = 40, 16
		for range all {
			clients.Go(func() {
				for range each {
					served := make(chan struct{})
					go func() {
						defer close(served)
						serveEnding(t, l, turns[rand.IntN(len(turns))], strings.Repeat("x", rand.IntN(3)*1000))
					}()
					<-served
					ledger(t, m)
					pause()
				}
			})
		}
		clients.Wait()
		require.NoError(t, m.Shutdown(t.Context()))
		time.Sleep(time.Hour)
		synctest.Wait()
		counts := ledger(t, m)
		s := m.Stats()
		assert.EqualValues(t, all*each, s.Requests)
		assert.Zero(t, s.Queued+s.Running)
		assert.Zero(t, s.QueuedBytes)
		for _, name := range []string{"match", "mismatch", "failed", "primary-panicked", "primary-refused", "client-gone", "hijacked", "upgrade", "queue-full"} {
			assert.Positive(t, counts[name], name)
		}
	})
}

func TestATimingThatIsNoneIsRefused(t *testing.T) {
	_, err := shadow.New(shadow.InProcess("v2", fine), shadow.WithTiming("later"))
	require.ErrorContains(t, err, `WithTiming: "later" is neither AfterPrimary nor Parallel`)
}
