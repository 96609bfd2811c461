package shadow_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/middleware"
)

// outside is what middleware around a handler finds in its request afterwards.
type outside struct {
	Method, URL, Host, RemoteAddr, RequestURI, Pattern string
	Header, Trailer                                    http.Header
	Form, PostForm                                     url.Values
	Multipart                                          bool
	Length                                             int64
	Value                                              any
	ID, Other, Body                                    string
}

type outerKey struct{}

// observe has h serve r and returns what r is then.
func observe(h http.Handler, r *http.Request) outside {
	func() {
		defer func() { _ = recover() }()
		h.ServeHTTP(httptest.NewRecorder(), r)
	}()
	body, _ := io.ReadAll(r.Body)
	return outside{
		r.Method, r.URL.String(), r.Host, r.RemoteAddr, r.RequestURI, r.Pattern,
		r.Header, r.Trailer, r.Form, r.PostForm, r.MultipartForm != nil, r.ContentLength,
		r.Context().Value(outerKey{}), r.PathValue("id"), r.PathValue("other"), string(body),
	}
}

// inPlace are changes that handlers make to the request that they were given.
var inPlace = map[string]func(r *http.Request){
	"nothing": func(*http.Request) {},
	"a context": func(r *http.Request) {
		ctx, cancel := context.WithCancel(context.WithValue(r.Context(), outerKey{}, "value"))
		defer cancel()
		*r = *r.WithContext(ctx)
	},
	"addresses":      func(r *http.Request) { r.RemoteAddr, r.Host = "192.0.2.1:7", "other.test" },
	"the method":     func(r *http.Request) { r.Method = "PUT" },
	"a URL":          func(r *http.Request) { r.URL, r.RequestURI = &url.URL{Path: "/other"}, "/other" },
	"in the URL":     func(r *http.Request) { r.URL.Path = "/other" },
	"a header":       func(r *http.Request) { r.Header = http.Header{"X-Other": {"1"}} },
	"in the header":  func(r *http.Request) { r.Header.Set("X-Other", "1"); r.Header.Del("X-A") },
	"a path value":   func(r *http.Request) { r.SetPathValue("other", "1") },
	"a form":         func(r *http.Request) { r.ParseForm() },
	"a body":         func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("another")); r.ContentLength = 7 },
	"a body wrapped": func(r *http.Request) { r.Body = io.NopCloser(io.LimitReader(r.Body, 3)) },
	"a body restored": func(r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(b))
	},
	"a trailer":     func(r *http.Request) { r.Trailer = http.Header{"X-Sum": {"1"}} },
	"and it panics": func(r *http.Request) { r.Host = "other.test"; panic(http.ErrAbortHandler) },
	"the whole of it": func(r *http.Request) {
		*r = *httptest.NewRequest("PATCH", "/whole", strings.NewReader("whole"))
	},
}

func inPlaceRequest(method, body string) *http.Request {
	r := httptest.NewRequest(method, "/items/7?q=1", strings.NewReader(body))
	if body == "" {
		r.Body = http.NoBody
	}
	r.Header = http.Header{"X-A": {"1"}, "Content-Type": {"application/x-www-form-urlencoded"}}
	return r
}

// What the primary changes on its request in place is seen by the middleware around as if
// there were nothing between the two.
func TestMiddlewareAroundSeesWhatThePrimaryChanges(t *testing.T) {
	around := map[string]func(t *testing.T, next http.Handler) http.Handler{
		"the mirror": func(t *testing.T, next http.Handler) http.Handler {
			m, _ := mirror(t, shadow.InProcess("v2", text("ok")), allMethods)
			return m.Handler(next)
		},
		"a parallel mirror": func(t *testing.T, next http.Handler) http.Handler {
			m, _ := mirror(t, shadow.InProcess("v2", text("ok")), allMethods, shadow.WithTiming(shadow.Parallel))
			return m.Handler(next)
		},
		"Detect": func(_ *testing.T, next http.Handler) http.Handler { return middleware.Detect(nil)(next) },
		"Detect, trusting": func(_ *testing.T, next http.Handler) http.Handler {
			return middleware.Detect(func(*http.Request) bool { return true })(next)
		},
		"RequestID": func(_ *testing.T, next http.Handler) http.Handler { return middleware.RequestID("")(next) },
	}
	for name, wrap := range around {
		t.Run(name, func(t *testing.T) {
			for change, do := range inPlace {
				for _, routed := range []bool{false, true} {
					for _, method := range []string{"GET", "POST"} {
						body := map[string]string{"POST": "b=2&c=3"}[method]
						var h http.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { do(r) })
						if routed {
							h = mux(method+" /items/{id}", h.ServeHTTP)
						}
						ask := func() *http.Request {
							r := inPlaceRequest(method, body)
							if strings.HasPrefix(name, "Detect") {
								r.Header.Set("Shadow-Request", "1")
							}
							return r
						}
						assert.Equal(t, observe(h, ask()), observe(wrap(t, h), ask()), "%s %s, routed %v", method, change, routed)
					}
				}
			}
		})
	}
}

// A primary that puts a context in the place of the request's and ends it has not lost its
// client.
func TestAContextOfThePrimaryIsNotTheClients(t *testing.T) {
	for _, method := range []string{"GET", "POST"} {
		m, results := mirror(t, shadow.InProcess("v2", text("ok")), allMethods)
		h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithCancel(r.Context())
			defer cancel()
			*r = *r.WithContext(ctx)
			io.Copy(io.Discard, r.Body)
			io.WriteString(w, "ok")
		}))
		h.ServeHTTP(httptest.NewRecorder(), inPlaceRequest(method, map[string]string{"POST": "b"}[method]))
		settled(t, m, match, results)
	}
}

// Nothing of the primary's request is ever written: a page may call handlers side by side
// with one request. A map that is written while it is read ends the process.
func TestNothingOfThePrimarysRequestIsWritten(t *testing.T) {
	for _, timing := range []shadow.Timing{shadow.AfterPrimary, shadow.Parallel} {
		m, _ := mirror(t, shadow.InProcess("v2", text("ok")), allMethods, shadow.WithTiming(timing), shadow.WithQueue(1000, 64<<20))
		part := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, r.Header.Get("X-Request-Id"), len(r.Header))
		}))
		for _, method := range []string{"GET", "POST"} {
			for range 50 {
				r := inPlaceRequest(method, map[string]string{"POST": "b"}[method])
				want, before := r.Header.Clone(), *r
				var parts sync.WaitGroup
				for range 4 {
					parts.Go(func() {
						w := httptest.NewRecorder()
						part.ServeHTTP(w, r)
						assert.Equal(t, "2", w.Body.String())
					})
				}
				parts.Wait()
				assert.Equal(t, want, r.Header)
				assert.Equal(t, before.Body, r.Body)
			}
		}
		require.NoError(t, m.Shutdown(t.Context()))
	}
}

// eventStream is a primary that is still sending an event stream of size bytes when over is
// closed. It tells sent when it has sent them.
func eventStream(size int, sent *sync.WaitGroup, over <-chan struct{}) http.Handler {
	event := []byte("data: " + strings.Repeat("x", 1016) + "\n\n") // 1 KiB
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/events" {
			jsonDoc(`{"id":1,"took":`+r.URL.RawQuery+"}")(w, r)
			io.Copy(io.Discard, r.Body)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for range size >> 10 {
			w.Write(event)
		}
		sent.Done()
		<-over
	})
}

// Event streams that go on for hours leave the memory of the Mirror to others.
func TestOpenStreamsLeaveRoomForOthers(t *testing.T) {
	for _, size := range []int{1 << 20, 1<<20 + 1<<10} {
		var open, sent sync.WaitGroup
		over := make(chan struct{})
		candidate := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			jsonDoc(`{"id":1,"took":0}`)(w, r)
			io.Copy(io.Discard, r.Body)
		})
		m, _ := mirror(t, shadow.InProcess("v2", candidate), allMethods,
			shadow.WithCompare(shadow.CompareOptions{Ignore: []string{"$.took"}}))
		h := m.Handler(eventStream(size, &sent, over))
		for range 64 {
			sent.Add(1)
			open.Go(func() { h.ServeHTTP(&nowhere{http.Header{}}, httptest.NewRequest("GET", "/events", nil)) })
		}
		sent.Wait()
		if size > 1<<20 {
			assert.Zero(t, m.Stats().QueuedBytes, "none of them can be complete any more")
		}
		for range 20 {
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/?1", strings.NewReader(`{"a":1}`)))
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/?1", nil))
		}
		close(over)
		open.Wait()
		require.NoError(t, m.Shutdown(t.Context()))
		s := m.Stats()
		assert.EqualValues(t, 40, s.Match, "%v", s.Dropped)
	}
}

// An answer that was not kept because memory was short is not compared: what its hash says
// may be what is ignored. Status and header are.
func TestAnAnswerThatMemoryWasShortForIsUncompared(t *testing.T) {
	doc := func(took, status int, pad string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"took":%d,"pad":%q}`, took, pad)
		})
	}
	large := strings.Repeat("x", 3<<10)
	for name, c := range map[string]struct {
		candidate http.Handler
		want      shadow.Outcome
	}{
		"the same":        {doc(1, 200, large), shadow.Match},
		"what is ignored": {doc(2, 200, large), shadow.Uncompared},
		"another length":  {doc(10, 200, large), shadow.Uncompared},
		"a short body":    {doc(1, 200, "y"), shadow.Uncompared},
		"another status":  {doc(2, 201, large), shadow.Mismatch},
	} {
		for _, kind := range []string{"in process", "remote"} {
			t.Run(name+", "+kind, func(t *testing.T) {
				m, results := mirrorTo(t, kind, c.candidate, shadow.WithQueue(10, 8<<10), shadow.WithMaxBody(8<<10),
					shadow.WithCompare(shadow.CompareOptions{Ignore: []string{"$.took"}}))
				var open, sent sync.WaitGroup
				over := make(chan struct{})
				sent.Add(1)
				open.Go(func() {
					m.Handler(eventStream(6<<10, &sent, over)).ServeHTTP(&nowhere{http.Header{}}, httptest.NewRequest("GET", "/events", nil))
				})
				sent.Wait()
				m.Handler(doc(1, 200, large)).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
				require.NoError(t, m.Shutdown(t.Context()))
				close(over)
				open.Wait()
				r := results.All()[0]
				assert.Equal(t, c.want, r.Outcome, "%v %v", r.Diffs, r.Err)
				if c.want == shadow.Uncompared {
					assert.ErrorIs(t, r.Err, shadow.ErrBody)
				}
			})
		}
	}
}

// A Parallel copy that waits no longer for its primary has no use for its answer.
func TestTheAnswerThatNobodyWaitsForIsNotKept(t *testing.T) {
	var open, sent sync.WaitGroup
	over := make(chan struct{})
	target := shadow.InProcess("v2", text("ok"))
	target.Timeout = time.Millisecond
	m, _ := mirror(t, target, shadow.WithTiming(shadow.Parallel))
	sent.Add(1)
	open.Go(func() {
		m.Handler(eventStream(64<<10, &sent, over)).ServeHTTP(&nowhere{http.Header{}}, httptest.NewRequest("GET", "/events", nil))
	})
	sent.Wait()
	require.NoError(t, m.Shutdown(t.Context()))
	assert.Zero(t, m.Stats().QueuedBytes)
	close(over)
	open.Wait()
}
