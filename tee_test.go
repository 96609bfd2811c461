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

// A sampled request costs one allocation on its goroutine, also where the primary's router
// leaves a route in it.
func TestASampledRequestIsOneAllocation(t *testing.T) {
	refuse := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Pattern = "POST /items/{id}"
		io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusServiceUnavailable) // recorded, and not copied
	})
	m, _ := mirror(t, shadow.InProcess("v2", text("ok")), allMethods)
	h := m.Handler(refuse)
	for _, l := range workloads[:2] {
		w := &nowhere{http.Header{}}
		r, reset := l.request()
		body := rereader{bytes.NewReader(nil)}
		content := bytes.Repeat([]byte("y"), l.size)
		ask := func(h http.Handler) float64 {
			return testing.AllocsPerRun(100, func() {
				r.Pattern = ""
				if l.method == "POST" {
					body.Reset(content)
					r.Body = body
				}
				h.ServeHTTP(w, r)
			})
		}
		reset()
		bare := ask(refuse)
		assert.LessOrEqual(t, ask(h)-bare, 1.0, l.name)
	}
}
