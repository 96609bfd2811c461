package middleware_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/internal/mark"
	"github.com/goshadow/shadow/middleware"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func everybody(*http.Request) bool { return true }
func nobody(*http.Request) bool    { return false }

// seen is what a handler inside Detect got to see.
type seen struct {
	Shadow  bool
	Marked  bool // by the header
	Header  http.Header
	Host    string
	Body    string
	Trailer http.Header
	Proto   string
}

func look(r *http.Request) seen {
	body, _ := io.ReadAll(r.Body)
	plain := *r
	plain.Host = ""
	_, marked := mark.Find(&plain)
	return seen{shadow.IsShadow(r.Context()), marked, r.Header.Clone(), r.Host, string(body), r.Trailer.Clone(), r.Proto}
}

// marks are all the ways in which a request says that it is a copy.
var marks = map[string]func(*http.Request){
	"own header":      func(r *http.Request) { r.Header.Set("Shadow-Request", "id-1") },
	"empty header":    func(r *http.Request) { r.Header.Set("Shadow-Request", "") },
	"own baggage":     func(r *http.Request) { r.Header.Set("Baggage", "shadow=true") },
	"among baggage":   func(r *http.Request) { r.Header.Set("Baggage", "tenant=7, shadow = true ;p=1") },
	"escaped baggage": func(r *http.Request) { r.Header.Set("Baggage", "shadow=%74rue") },
	"second baggage":  func(r *http.Request) { r.Header["Baggage"] = []string{"tenant=7", "shadow=true"} },
	"skipper":         func(r *http.Request) { r.Header.Set("X-Skipper-Shadow-Traffic", "a") },
	"skipper's loop":  func(r *http.Request) { r.Header.Set("X-Tee-Loopback-Key", "a") },
	"parapet":         func(r *http.Request) { r.Header.Set("X-Mirror", "1") },
	"mroki":           func(r *http.Request) { r.Header.Set("X-Mroki-Mode", "shadow") },
	"autumn":          func(r *http.Request) { r.Header.Set("X-Autumn-Shadow", "1") },
	"armada":          func(r *http.Request) { r.Header.Set("X-Mirrored-Request", "true") },
	"express":         func(r *http.Request) { r.Header.Set("X-Shadow-Traffic", "true") },
	"several of them": func(r *http.Request) { r.Header.Set("Shadow-Request", "id-1"); r.Header.Set("X-Mirror", "1") },
	"envoy and istio": func(r *http.Request) { r.Host = "orders-shadow:8080" },
}

// overBothProtocols runs test against a server for each version of HTTP.
func overBothProtocols(t *testing.T, h http.Handler, test func(t *testing.T, srv *httptest.Server)) {
	t.Run("HTTP/1.1", func(t *testing.T) {
		srv := httptest.NewServer(h)
		defer srv.Close()
		test(t, srv)
	})
	t.Run("HTTP/2.0", func(t *testing.T) {
		srv := httptest.NewUnstartedServer(h)
		srv.EnableHTTP2 = true
		srv.StartTLS()
		defer srv.Close()
		test(t, srv)
	})
}

// ask sends a request with a body, a trailer and a field of its own, and returns what
// the handler saw. A handler behind ask answers with look's result in JSON.
func ask(t *testing.T, srv *httptest.Server, prepare func(*http.Request)) seen {
	t.Helper()
	r, err := http.NewRequest("POST", srv.URL+"/orders", io.NopCloser(strings.NewReader("some text")))
	require.NoError(t, err)
	r.Trailer = http.Header{"Checksum": {"abc"}}
	r.Header.Set("Tenant", "7")
	prepare(r)
	resp, err := srv.Client().Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	var s seen
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&s))
	require.Equal(t, strings.TrimPrefix(t.Name()[strings.LastIndex(t.Name(), "HTTP"):], "/")[:8], s.Proto)
	return s
}

var answer = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	if err := json.NewEncoder(w).Encode(look(r)); err != nil {
		panic(err)
	}
})

func TestATrustedPeersMarkMakesTheRequestAShadow(t *testing.T) {
	for name, set := range marks {
		t.Run(name, func(t *testing.T) {
			overBothProtocols(t, middleware.Detect(everybody)(answer), func(t *testing.T, srv *httptest.Server) {
				bare := ask(t, srv, func(*http.Request) {})
				got := ask(t, srv, set)

				require.False(t, bare.Shadow)
				require.True(t, got.Shadow)
				require.Equal(t, "some text", got.Body)
				require.Equal(t, http.Header{"Checksum": {"abc"}}, got.Trailer)
				sent := &http.Request{Header: bare.Header.Clone(), Host: bare.Host}
				set(sent)
				require.Empty(t, cmp.Diff(sent.Header, got.Header), "the marks stay, to be passed on")
				require.Equal(t, sent.Host, got.Host)
			})
		})
	}
}

func TestAStrangersMarkIsRemovedAndMeansNothing(t *testing.T) {
	for trust, trusted := range map[string]func(*http.Request) bool{
		"nil": nil, "nobody": nobody, "panicking": func(*http.Request) bool { panic("no such peer") },
		"aborting": func(*http.Request) bool { panic(http.ErrAbortHandler) },
	} {
		for name, set := range marks {
			t.Run(trust+"/"+name, func(t *testing.T) {
				overBothProtocols(t, middleware.Detect(trusted)(answer), func(t *testing.T, srv *httptest.Server) {
					bare := ask(t, srv, func(*http.Request) {})
					got := ask(t, srv, set)

					require.False(t, got.Shadow)
					require.False(t, got.Marked)
					require.Equal(t, "some text", got.Body)
					require.Equal(t, http.Header{"Checksum": {"abc"}}, got.Trailer)
					rest := got.Header.Clone()
					delete(rest, "Baggage")
					require.Empty(t, cmp.Diff(bare.Header, rest), "everything else stays")
					if strings.Contains(name, "among") || strings.Contains(name, "second") {
						require.Equal(t, []string{"tenant=7"}, got.Header["Baggage"], "the other members stay")
					} else {
						require.NotContains(t, got.Header, "Baggage")
					}
				})
			})
		}
	}
}

func TestAHostThatEndsInShadowIsNeverChanged(t *testing.T) {
	for _, trusted := range []func(*http.Request) bool{everybody, nobody} {
		overBothProtocols(t, middleware.Detect(trusted)(answer), func(t *testing.T, srv *httptest.Server) {
			require.Equal(t, "orders-shadow:8080", ask(t, srv, marks["envoy and istio"]).Host)
		})
	}
}

func TestBaggageThatOnlyLooksLikeAMarkStays(t *testing.T) {
	overBothProtocols(t, middleware.Detect(everybody)(answer), func(t *testing.T, srv *httptest.Server) {
		for _, bag := range []string{"shadow=false", "eyeshadow=true", "shadow.of=true", "color=shadow", "Shadow=true"} {
			got := ask(t, srv, func(r *http.Request) { r.Header.Set("Baggage", bag) })
			assert.False(t, got.Shadow, bag)
			assert.Equal(t, []string{bag}, got.Header["Baggage"])
		}
	})
}

func TestOnlyMarkedRequestsAreAskedAbout(t *testing.T) {
	asked := 0
	h := middleware.Detect(func(*http.Request) bool { asked++; return true })(http.NotFoundHandler())

	r := httptest.NewRequest("GET", "/", nil)
	h.ServeHTTP(httptest.NewRecorder(), r)
	require.Zero(t, asked)

	r.Header.Set("Shadow-Request", "id-1")
	h.ServeHTTP(httptest.NewRecorder(), r)
	require.Equal(t, 1, asked)
}

func TestAnUnmarkedRequestGoesThroughAsItIs(t *testing.T) {
	var got *http.Request
	h := middleware.Detect(everybody)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r }))
	r := httptest.NewRequest("GET", "/", nil)
	w := httptest.NewRecorder()

	h.ServeHTTP(w, r)
	require.Same(t, r, got)
	require.Zero(t, testing.AllocsPerRun(100, func() { h.ServeHTTP(w, r) }))
}

// The marks that Detect takes from a stranger's request stay on the server's. What the
// handler changes in its header is seen around Detect, whoever is trusted.
func TestTheServersRequestKeepsItsHeaders(t *testing.T) {
	for _, trusted := range []func(*http.Request) bool{everybody, nobody} {
		for _, changed := range []bool{false, true} {
			h := middleware.Detect(trusted)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if changed {
					r.Header.Set("Tenant", "8")
				}
			}))
			r := httptest.NewRequest("GET", "/", nil)
			r.Header = http.Header{"Shadow-Request": {"id-1"}, "Tenant": {"7"}, "Baggage": {"tenant=7,shadow=true"}}
			want := r.Header.Clone()
			if changed {
				want.Set("Tenant", "8")
			}
			h.ServeHTTP(httptest.NewRecorder(), r)
			require.Empty(t, cmp.Diff(want, r.Header))
			require.False(t, shadow.IsShadow(r.Context()))
		}
	}
}

// An in-process candidate may have Detect around it, as it has in production. What the
// mirror put in its context is not doubted.
func TestAnInProcessCopyStaysOne(t *testing.T) {
	targets := make(chan string, 1)
	candidate := middleware.Detect(nobody)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		name, _ := shadow.TargetFrom(r.Context())
		targets <- fmt.Sprintf("%s %t %t", name, shadow.IsShadow(r.Context()), r.Header.Get("Shadow-Request") != "")
	}))
	m, err := shadow.New(shadow.InProcess("v2", candidate))
	require.NoError(t, err)
	m.Handler(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	require.NoError(t, m.Shutdown(context.Background()))
	require.Equal(t, "v2 true true", <-targets)
}

// From mirror to mirror: the copy of a request is not copied again by the service
// that it reaches, while a stranger's request with a mark is copied like any other.
func TestOnlyTrustedMarksStopTheNextMirror(t *testing.T) {
	for name, tc := range map[string]struct {
		trusted func(*http.Request) bool
		want    shadow.Stats
	}{
		"trusted":   {everybody, shadow.Stats{Requests: 1, Skipped: map[shadow.Reason]uint64{shadow.ReasonLoop: 1}, Dropped: map[shadow.Reason]uint64{}}},
		"untrusted": {nobody, shadow.Stats{Requests: 1, Match: 1, Skipped: map[shadow.Reason]uint64{}, Dropped: map[shadow.Reason]uint64{}}},
	} {
		t.Run(name, func(t *testing.T) {
			second, err := shadow.New(shadow.InProcess("v3", http.NotFoundHandler()))
			require.NoError(t, err)
			service := httptest.NewServer(middleware.Detect(tc.trusted)(second.Handler(http.NotFoundHandler())))
			defer service.Close()

			first, err := shadow.New(shadow.Remote("v2", service.URL))
			require.NoError(t, err)
			first.Handler(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
			require.NoError(t, first.Shutdown(context.Background()))
			require.Equal(t, uint64(1), first.Stats().Match)

			service.Close()
			require.NoError(t, second.Shutdown(context.Background()))
			got := second.Stats()
			require.Empty(t, cmp.Diff(tc.want, shadow.Stats{Requests: got.Requests, Match: got.Match, Mismatch: got.Mismatch,
				Failed: got.Failed, Uncompared: got.Uncompared, Skipped: got.Skipped, Dropped: got.Dropped}))
		})
	}
}

func TestRouteAndFormAreHandedBackToTheServer(t *testing.T) {
	for _, trusted := range []func(*http.Request) bool{everybody, nobody} {
		for _, end := range []string{"return", "panic"} {
			mux := http.NewServeMux()
			mux.HandleFunc("POST /orders/{id}", func(_ http.ResponseWriter, r *http.Request) {
				if err := r.ParseForm(); err != nil {
					panic(err)
				}
				if end == "panic" {
					panic(http.ErrAbortHandler)
				}
			})
			r := httptest.NewRequest("POST", "/orders/7?a=1", strings.NewReader("b=2"))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Shadow-Request", "id-1")
			func() {
				defer func() { require.Equal(t, end == "panic", recover() != nil) }()
				middleware.Detect(trusted)(mux).ServeHTTP(httptest.NewRecorder(), r)
			}()
			require.Equal(t, "POST /orders/{id}", r.Pattern)
			require.Equal(t, "1", r.Form.Get("a"))
			require.Equal(t, "2", r.PostForm.Get("b"))
		}
	}
}

func TestTheServerRemovesTheTemporaryFilesOfAForm(t *testing.T) {
	for _, trusted := range []func(*http.Request) bool{everybody, nobody} {
		t.Setenv("TMPDIR", t.TempDir())
		uploaded := make(chan string, 1)
		overBothProtocols(t, middleware.Detect(trusted)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if err := r.ParseMultipartForm(0); err != nil {
				panic(err)
			}
			f, err := r.MultipartForm.File["upload"][0].Open()
			if err != nil {
				panic(err)
			}
			defer f.Close()
			uploaded <- f.(*os.File).Name()
		})), func(t *testing.T, srv *httptest.Server) {
			var body bytes.Buffer
			form := multipart.NewWriter(&body)
			file, err := form.CreateFormFile("upload", "big.bin")
			require.NoError(t, err)
			_, err = file.Write(make([]byte, 11<<20)) // more than net/http keeps in memory
			require.NoError(t, err)
			require.NoError(t, form.Close())

			r, err := http.NewRequest("POST", srv.URL, &body)
			require.NoError(t, err)
			r.Header.Set("Content-Type", form.FormDataContentType())
			r.Header.Set("Shadow-Request", "id-1")
			resp, err := srv.Client().Do(r)
			require.NoError(t, err)
			resp.Body.Close()
			require.Equal(t, http.StatusOK, resp.StatusCode)
			srv.Close() // waits until the server is done with the request

			require.NoFileExists(t, <-uploaded)
		})
	}
}

// net/http looks at the type of the request's Body to refuse an upload that the client
// has announced with Expect: 100-continue. What goes over the wire must be what it is
// without the middleware, to the byte.
func TestAnExpectedUploadIsRefusedAndTakenAsWithoutTheMiddleware(t *testing.T) {
	refuses := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Date"] = nil
		w.WriteHeader(http.StatusForbidden)
	})
	takes := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Date"] = nil
		io.Copy(w, r.Body) //nolint:errcheck // the answer tells
	})
	for name, h := range map[string]http.Handler{"refuses": refuses, "takes": takes} {
		t.Run(name, func(t *testing.T) {
			bare := dialogue(t, h)
			require.Equal(t, name == "takes", strings.HasPrefix(bare, "HTTP/1.1 100 Continue"))
			require.Equal(t, bare, dialogue(t, middleware.Detect(everybody)(h)))
			require.Equal(t, bare, dialogue(t, middleware.Detect(nobody)(h)))
		})
	}

	refusal := dialogue(t, middleware.Detect(everybody)(middleware.ReadOnly(takes)))
	require.Contains(t, refusal, "HTTP/1.1 403 Forbidden\r\n")
	require.Contains(t, refusal, "Connection: close\r\n")
	require.NotContains(t, refusal, "100 Continue")
}

// dialogue sends a marked upload that waits for the server's word, and returns all
// that the server says until it closes the connection.
func dialogue(t *testing.T, h http.Handler) string {
	t.Helper()
	srv := httptest.NewServer(h)
	defer srv.Close()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()

	_, err = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nShadow-Request: id-1\r\n"+
		"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
	require.NoError(t, err)
	said := bufio.NewReader(conn)
	first, err := said.ReadString('\n')
	require.NoError(t, err)
	if strings.Contains(first, " 100 ") {
		_, err = io.WriteString(conn, "hello")
		require.NoError(t, err)
	}
	require.NoError(t, conn.(*net.TCPConn).CloseWrite()) // the server waits for more otherwise
	rest, err := io.ReadAll(said)
	require.NoError(t, err)
	return first + string(rest)
}

func TestReadOnlyRefusesUnsafeMethodsOfCopiesOnly(t *testing.T) {
	served := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) //nolint:errcheck // not looked at
		w.Header().Set("Served", r.Method)
		w.WriteHeader(http.StatusAccepted)
	})
	overBothProtocols(t, middleware.Detect(everybody)(middleware.ReadOnly(served)), func(t *testing.T, srv *httptest.Server) {
		for method, safe := range map[string]bool{
			"GET": true, "HEAD": true, "OPTIONS": true, "TRACE": true,
			"POST": false, "PUT": false, "PATCH": false, "DELETE": false, "PROPFIND": false, "get": false, "X": false,
		} {
			for _, copied := range []bool{false, true} {
				r, err := http.NewRequest(method, srv.URL+"/orders", nil)
				require.NoError(t, err)
				if copied {
					r.Header.Set("Shadow-Request", "id-1")
				}
				resp, err := srv.Client().Do(r)
				require.NoError(t, err)
				text, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				require.NoError(t, resp.Body.Close())

				if !copied || safe {
					assert.Empty(t, resp.Header["Shadow-Side-Effect"])
					assert.Equal(t, http.StatusAccepted, resp.StatusCode, "%s, copied: %t", method, copied)
					assert.Equal(t, method, resp.Header.Get("Served"))
					continue
				}
				assert.Equal(t, http.StatusForbidden, resp.StatusCode, method)
				assert.Empty(t, resp.Header.Get("Served"), "the handler ran for %s", method)
				assert.Equal(t, "application/problem+json", resp.Header.Get("Content-Type"))
				assert.Equal(t, []string{"http"}, resp.Header["Shadow-Side-Effect"])
				assert.Equal(t, int64(len(text)), resp.ContentLength)
				var problem struct {
					Type, Title, Detail string
					Status              int
				}
				assert.NoError(t, json.Unmarshal(text, &problem))
				assert.Equal(t, http.StatusForbidden, problem.Status)
				assert.NotEmpty(t, problem.Title)
				assert.Contains(t, problem.Type, "middleware#ReadOnly")
				assert.Contains(t, problem.Detail, method+" is not a safe method", "says why")
				assert.Contains(t, problem.Detail, "outside middleware.ReadOnly", "says how to allow it")
			}
		}
	})
}

func TestReadOnlyRefusesCopiesThatAskForAnUnsafeMethod(t *testing.T) {
	served := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusAccepted) })
	h := middleware.Detect(everybody)(middleware.ReadOnly(served))
	for _, c := range []struct {
		header, value, query string
		want                 int
	}{
		{"X-HTTP-Method-Override", "DELETE", "", http.StatusForbidden},
		{"X-HTTP-Method", "put", "", http.StatusForbidden},
		{"X-Method-Override", "PATCH", "", http.StatusForbidden},
		{"X-Other", "DELETE", "?_method=delete", http.StatusForbidden},
		{"X-Other", "DELETE", "?method=delete", http.StatusAccepted},
		{"X-HTTP-Method-Override", "HEAD", "", http.StatusAccepted},
	} {
		for copied, want := range map[bool]int{true: c.want, false: http.StatusAccepted} {
			r := httptest.NewRequest("GET", "/orders"+c.query, nil)
			r.Header.Set(c.header, c.value)
			if copied {
				r.Header.Set("Shadow-Request", "1")
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			assert.Equal(t, want, w.Code, "%+v, a copy: %v", c, copied)
			if want == http.StatusForbidden {
				assert.Equal(t, "http", w.Header().Get("Shadow-Side-Effect"))
				assert.Contains(t, w.Body.String(), "instead of GET is not a safe method")
			}
		}
	}
}

func TestReadOnlyKeepsAnInProcessCandidateFromWriting(t *testing.T) {
	wrote := make(chan string, 2)
	orders := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		wrote <- fmt.Sprint("shadow: ", shadow.IsShadow(r.Context()))
		w.WriteHeader(http.StatusCreated)
	})
	statuses := make(chan int, 1)
	target := shadow.InProcess("v2", middleware.ReadOnly(orders))
	target.Isolated = true // by ReadOnly
	m, err := shadow.New(target,
		shadow.WithMethods("POST"),
		shadow.WithReporter(shadow.ReporterFunc(func(_ context.Context, r *shadow.Result) error {
			statuses <- r.Shadow.StatusCode
			return nil
		})))
	require.NoError(t, err)
	w := httptest.NewRecorder()
	m.Handler(middleware.ReadOnly(orders)).ServeHTTP(w, httptest.NewRequest("POST", "/", nil))
	require.NoError(t, m.Shutdown(context.Background()))

	require.Equal(t, http.StatusCreated, w.Code)
	require.Equal(t, http.StatusForbidden, <-statuses)
	require.Equal(t, "shadow: false", <-wrote)
	require.Empty(t, wrote)
}

func TestFromNetworksTrustsByTheConnectionsAddress(t *testing.T) {
	networks := []netip.Prefix{
		netip.MustParsePrefix("10.20.0.0/16"), netip.MustParsePrefix("192.0.2.7/32"),
		netip.MustParsePrefix("fd00:20::/32"), netip.MustParsePrefix("fe80::/10"), {},
	}
	peers := middleware.FromNetworks(networks...)
	for addr, want := range map[string]bool{
		"10.20.0.1:80":              true,
		"10.20.255.255:80":          true,
		"10.21.0.1:80":              false,
		"192.0.2.7:80":              true,
		"192.0.2.8:80":              false,
		"[::ffff:10.20.0.1]:80":     true,
		"[::ffff:10.21.0.1]:80":     false,
		"[fd00:20:1::1]:80":         true,
		"[fd00:21::1]:80":           false,
		"[fe80::1%eth0]:80":         true,
		"[fe80::1]:80":              true,
		"[::1]:80":                  false,
		"10.20.0.1":                 false,
		"10.20.0.1:80, 10.20.0.1:1": false,
		"orders.internal:80":        false,
		"@":                         false,
		"":                          false,
	} {
		assert.Equal(t, want, peers(&http.Request{RemoteAddr: addr}), "%q", addr)
	}

	forwarded := &http.Request{RemoteAddr: "203.0.113.9:80", Header: http.Header{
		"X-Forwarded-For": {"10.20.0.1"}, "Forwarded": {"for=10.20.0.1"}, "X-Real-Ip": {"10.20.0.1"}}}
	assert.False(t, peers(forwarded), "headers are for everybody to write")
	assert.False(t, middleware.FromNetworks()(&http.Request{RemoteAddr: "10.20.0.1:80"}))

	networks[0] = netip.MustParsePrefix("0.0.0.0/0")
	assert.False(t, peers(&http.Request{RemoteAddr: "10.21.0.1:80"}), "the list is the caller's to change")
}

func TestANilHandlerIsNoticedAtOnce(t *testing.T) {
	require.Panics(t, func() { middleware.Detect(everybody)(nil) })
	require.Panics(t, func() { middleware.ReadOnly(nil) })
}

// Whatever a stranger sends, no mark gets through, and nothing else gets lost.
func FuzzAStrangerCannotMark(f *testing.F) {
	f.Add("id", "tenant=7,shadow=true;p=1", "x=y")
	f.Add("", "shadow=true,shadow=true", ",,shadow = true")
	f.Add("", "shadow", "=true")
	f.Add("", "a=\"shadow=true\"", "shadow=true=true")
	f.Fuzz(func(t *testing.T, id, first, second string) {
		r := &http.Request{Method: "GET", Header: http.Header{
			"Shadow-Request": {id}, "Baggage": {first, second}, "Tenant": {"7"}}}
		before := r.Header.Clone()
		middleware.Detect(nil)(http.HandlerFunc(func(_ http.ResponseWriter, got *http.Request) {
			_, marked := mark.Find(got)
			require.False(t, marked)
			require.False(t, shadow.IsShadow(got.Context()))
			require.Equal(t, []string{"7"}, got.Header["Tenant"])
			others := func(lines []string) (members []string) {
				for member := range strings.SplitSeq(strings.Join(lines, ","), ",") {
					member = strings.Trim(member, " \t\r\n")
					if _, is := mark.Find(&http.Request{Header: http.Header{"Baggage": {member}}}); member != "" && !is {
						members = append(members, member)
					}
				}
				return members
			}
			require.Equal(t, others(before["Baggage"]), others(got.Header["Baggage"]))
		})).ServeHTTP(httptest.NewRecorder(), r)
		require.Equal(t, before, r.Header)
	})
}

// preflight.Check sees by it that its marks get through. Nobody else's answer is touched.
func TestTheProbeOfACheckIsAnsweredWhereThePeerIsTrusted(t *testing.T) {
	for _, c := range []struct {
		name    string
		trusted func(*http.Request) bool
		header  http.Header
		want    http.Header
	}{
		{"probe", everybody, http.Header{"Shadow-Request": {"1"}, "Shadow-Check": {"1"}}, http.Header{"Shadow-Check": {"1"}}},
		{"probe with two", everybody, http.Header{"Shadow-Request": {"1"}, "Shadow-Check": {"1", "2"}}, http.Header{"Shadow-Check": {"1"}}},
		{"copy", everybody, http.Header{"Shadow-Request": {"1"}}, http.Header{}},
		{"not marked", everybody, http.Header{"Shadow-Check": {"1"}}, http.Header{}},
		{"stranger", nobody, http.Header{"Shadow-Request": {"1"}, "Shadow-Check": {"1"}}, http.Header{}},
	} {
		r := httptest.NewRequest("HEAD", "/", nil)
		r.Header = c.header
		w := httptest.NewRecorder()
		middleware.Detect(c.trusted)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, r)
		assert.Equal(t, c.want, w.Header(), c.name)
	}
}
