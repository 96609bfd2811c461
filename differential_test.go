package shadow_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

var (
	differentialPrograms = flag.Int("differential", 60, "how many random handler programs are served with and without a Mirror, for each protocol")
	differentialSeed     = flag.Uint64("differential.seed", 0, "the seed of the first of them; 0 is a random one")
)

// step is one thing that a handler does. It reports whether the handler goes on.
type step struct {
	name string
	do   func(w http.ResponseWriter, r *http.Request) bool
}

// program is a random handler and the request that it is asked.
type program struct {
	seed            uint64
	steps           []step
	inside, outside bool // an http.TimeoutHandler in the mirror, or around it
	parallel        bool
	method          string
	body            string
	chunked         bool // with a trailer
	expect          bool // Expect: 100-continue
	old             bool // HTTP/1.0, with keep-alive
}

func (p *program) String() string {
	names := make([]string, len(p.steps))
	for i, s := range p.steps {
		names[i] = s.name
	}
	return fmt.Sprintf("-differential.seed=%d: %s, body of %d bytes, chunked %v, expect %v, HTTP/1.0 %v, parallel %v, TimeoutHandler inside %v outside %v:\n\t%s",
		p.seed, p.method, len(p.body), p.chunked, p.expect, p.old, p.parallel, p.inside, p.outside, strings.Join(names, "\n\t"))
}

func newProgram(seed uint64) *program {
	g := rand.New(rand.NewPCG(seed, 0))
	p := &program{seed: seed, method: []string{"GET", "POST", "PUT", "HEAD"}[g.IntN(4)],
		inside: g.IntN(8) == 0, outside: g.IntN(8) == 0, parallel: g.IntN(3) == 0}
	if p.method == "POST" || p.method == "PUT" || g.IntN(8) == 0 {
		p.body = strings.Repeat("body ", []int{1, 100, 700, 2000, 60_000}[g.IntN(5)])
		p.chunked, p.expect = g.IntN(3) == 0, g.IntN(6) == 0
	}
	p.old = !p.chunked && !p.expect && g.IntN(5) == 0
	for range 1 + g.IntN(8) {
		p.steps = append(p.steps, newStep(g))
	}
	return p
}

// newStep returns a random step. All that is random in it is drawn here.
func newStep(g *rand.Rand) step {
	size := []int{0, 1, 100, 511, 513, 3000, 5000, 40_000}[g.IntN(8)]
	part := strings.Repeat(string(rune('a'+g.IntN(26))), size)
	run := func(name string, do func(w http.ResponseWriter, r *http.Request)) step {
		return step{name, func(w http.ResponseWriter, r *http.Request) bool { do(w, r); return true }}
	}
	controlled := func(name string, do func(*http.ResponseController) error) step {
		return run(name, func(w http.ResponseWriter, _ *http.Request) {
			if err := do(http.NewResponseController(w)); err != nil {
				io.WriteString(w, err.Error())
			}
		})
	}
	switch n := g.IntN(24); n {
	case 0:
		status := []int{200, 201, 204, 304, 404, 500, 503, 429}[g.IntN(8)]
		return run(fmt.Sprint("status ", status), func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
	case 1:
		return run("early hints", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", "</a>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
		})
	case 2, 3, 4:
		return run(fmt.Sprint("write ", size), func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(part)) })
	case 5:
		return run(fmt.Sprint("write string ", size), func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, part) })
	case 6:
		return controlled("flush", (*http.ResponseController).Flush)
	case 7:
		return run("flush by hand", func(w http.ResponseWriter, _ *http.Request) {
			if f, ok := w.(http.Flusher); ok {
				f.Flush()
			}
		})
	case 8, 9:
		sources := []func() io.Reader{
			func() io.Reader { return strings.NewReader(part) },
			func() io.Reader { return struct{ io.Reader }{strings.NewReader(part)} },
			func() io.Reader { return io.MultiReader(strings.NewReader(part), failingReader{}) },
			func() io.Reader { return bytes.NewBufferString(part) },
		}
		kind := g.IntN(len(sources))
		return run(fmt.Sprintf("read from %d, %d", kind, size), func(w http.ResponseWriter, _ *http.Request) {
			if f, ok := w.(io.ReaderFrom); ok {
				f.ReadFrom(sources[kind]())
			} else {
				io.Copy(w, sources[kind]())
			}
		})
	case 10:
		return run("declare a trailer", func(w http.ResponseWriter, _ *http.Request) { w.Header().Add("Trailer", "X-End") })
	case 11:
		return run("set trailers", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-End", "1")
			w.Header().Set(http.TrailerPrefix+"X-Late", "2")
		})
	case 12:
		length := []string{"0", "1", "100", "3000", "x"}[g.IntN(5)]
		return run("content length "+length, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", length) })
	case 13:
		field := [][2]string{{"Connection", "close"}, {"Content-Type", "text/html"}, {"Transfer-Encoding", "identity"}, {"Content-Encoding", "x"}, {"X-A", "b"}}[g.IntN(5)]
		return run("header "+field[0], func(w http.ResponseWriter, _ *http.Request) { w.Header().Set(field[0], field[1]) })
	case 14, 15:
		return run(fmt.Sprint("read ", size), func(w http.ResponseWriter, r *http.Request) {
			n, err := io.CopyN(io.Discard, r.Body, int64(size))
			fmt.Fprint(w, n, err)
		})
	case 16:
		return run("read all", func(w http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			fmt.Fprint(w, len(b), err, r.Trailer)
		})
	case 17:
		return run("close the body", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Body.Close()) })
	case 18:
		return controlled("deadlines", func(c *http.ResponseController) error {
			if err := c.SetReadDeadline(time.Now().Add(time.Hour)); err != nil {
				return err
			}
			return c.SetWriteDeadline(time.Now().Add(time.Hour))
		})
	case 19:
		return controlled("full duplex", (*http.ResponseController).EnableFullDuplex)
	case 20:
		return step{"panic", func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }}
	case 21:
		return step{"hijack", func(w http.ResponseWriter, r *http.Request) bool {
			c, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return true
			}
			defer c.Close()
			rw.WriteString("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
			rw.Flush()
			return false
		}}
	case 22:
		if g.IntN(2) == 0 {
			return run("a route", func(w http.ResponseWriter, r *http.Request) {
				mux("/{id}/", func(http.ResponseWriter, *http.Request) {}).ServeHTTP(w, r)
			})
		}
		return run("parse a form", func(w http.ResponseWriter, r *http.Request) { r.ParseForm(); fmt.Fprint(w, len(r.Form)) })
	default:
		names := slices.Sorted(keys(inPlace))
		names = slices.DeleteFunc(names, func(name string) bool { return name == "and it panics" || name == "the whole of it" })
		name := names[g.IntN(len(names))]
		return run("change "+name, func(_ http.ResponseWriter, r *http.Request) { inPlace[name](r) })
	}
}

func keys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func (p *program) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header()["Date"] = nil
	for _, s := range p.steps {
		if !s.do(w, r) {
			return
		}
	}
}

// handler is p between the middleware that looks at the request afterwards, which tells
// seen, and the server. Mirror is what is tried.
func (p *program) handler(mirror func(http.Handler) http.Handler, seen func(string)) http.Handler {
	var h http.Handler = p
	if p.inside {
		h = http.TimeoutHandler(h, time.Hour, "late")
	}
	h = mirror(h)
	if p.outside {
		h = http.TimeoutHandler(h, time.Hour, "late")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			seen(fmt.Sprint(r.Method, r.URL, r.Host, r.RequestURI, r.Pattern, r.PathValue("id"), r.PathValue("other"), r.Header, r.Trailer,
				r.Form, r.PostForm, r.ContentLength, r.Context().Value(outerKey{}), r.Close, r.TransferEncoding))
		}()
		h.ServeHTTP(w, r)
	})
}

// protocol serves h to the client of p and returns what that got, connection reuse
// included.
type protocol struct {
	name string
	talk func(t *testing.T, p *program, h http.Handler) string
}

var protocols = []protocol{{"HTTP/1", talkHTTP1}, {"HTTP/2", talkTLS}, {"h2c", talkH2C}}

func listen(t *testing.T, h http.Handler, start func(*httptest.Server)) *httptest.Server {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/last" {
			w.Header()["Date"] = nil
			io.WriteString(w, "last")
			return
		}
		h.ServeHTTP(w, r)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	start(s)
	return s
}

// talkHTTP1 pipelines a second request, which is answered if the connection is used again.
func talkHTTP1(t *testing.T, p *program, h http.Handler) string {
	s := listen(t, h, (*httptest.Server).Start)
	defer s.Close()
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(30*time.Second))) // only ever reached by a bug
	var req strings.Builder
	version := "1.1"
	if p.old {
		version = "1.0"
	}
	fmt.Fprintf(&req, "%s /items/7?q=1 HTTP/%s\r\nHost: a\r\nX-A: 1\r\n", p.method, version)
	if p.old {
		req.WriteString("Connection: keep-alive\r\n")
	}
	if p.expect {
		req.WriteString("Expect: 100-continue\r\n")
	}
	switch {
	case p.chunked:
		fmt.Fprintf(&req, "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n%x\r\n%s\r\n0\r\nX-Sum: 1\r\n\r\n", len(p.body), p.body)
	case p.body != "":
		fmt.Fprintf(&req, "Content-Length: %d\r\n\r\n%s", len(p.body), p.body)
	default:
		req.WriteString("\r\n")
	}
	req.WriteString("GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	go io.WriteString(c, req.String())
	got, err := io.ReadAll(c)
	if err != nil {
		return string(got) + "\n(reset)"
	}
	return string(got)
}

func talkTLS(t *testing.T, p *program, h http.Handler) string {
	s := listen(t, h, func(s *httptest.Server) { s.EnableHTTP2 = true; s.StartTLS() })
	defer s.Close()
	tr := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableCompression: true}
	return talkHTTP2(t, p, s.URL, tr)
}

func talkH2C(t *testing.T, p *program, h http.Handler) string {
	var plain http.Protocols
	plain.SetUnencryptedHTTP2(true)
	s := listen(t, h, func(s *httptest.Server) { s.Config.Protocols = &plain; s.Start() })
	defer s.Close()
	return talkHTTP2(t, p, s.URL, &http.Transport{Protocols: &plain, DisableCompression: true})
}

func talkHTTP2(t *testing.T, p *program, url string, tr *http.Transport) string {
	defer tr.CloseIdleConnections()
	var got strings.Builder
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		fmt.Fprintln(&got, code, h)
		return nil
	}})
	var body io.Reader
	if p.body != "" {
		body = strings.NewReader(p.body)
		if p.chunked {
			body = struct{ io.Reader }{body}
		}
	}
	r, err := http.NewRequestWithContext(ctx, p.method, url+"/items/7?q=1", body)
	require.NoError(t, err)
	r.Host = "a"
	r.Header.Set("X-A", "1")
	if p.chunked {
		r.Trailer = http.Header{"X-Sum": {"1"}}
	}
	if resp, err := tr.RoundTrip(r); err != nil {
		fmt.Fprintln(&got, "error:", err)
	} else {
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		fmt.Fprintln(&got, resp.Status, resp.Header, resp.ContentLength, string(b), err, resp.Trailer)
	}
	if resp, err := tr.RoundTrip(httptest.NewRequestWithContext(ctx, "GET", url+"/last", nil)); err == nil {
		resp.Body.Close()
		fmt.Fprintln(&got, resp.Status)
	}
	return ports.ReplaceAllString(got.String(), ":port")
}

var ports = regexp.MustCompile(`:\d{4,5}`)

// What a client gets, and what the middleware around sees of the request, is the same with
// a Mirror and without, whatever the handler does.
//
// What is not the same each time without one, as when a connection is reset, is tried
// again: the Mirror must not add anything to what may happen.
func TestRandomHandlersAreUntouched(t *testing.T) {
	first := *differentialSeed
	if first == 0 {
		first = rand.Uint64() >> 16
	}
	t.Logf("-differential.seed=%d", first)
	for _, proto := range protocols {
		t.Run(proto.name, func(t *testing.T) {
			t.Parallel()
			for i := range uint64(*differentialPrograms) {
				p := newProgram(first + i)
				timing := shadow.AfterPrimary
				if p.parallel {
					timing = shadow.Parallel
				}
				m, _ := mirror(t, shadow.InProcess("v2", text("ok")), shadow.WithMethods("GET", "POST", "PUT", "HEAD"), shadow.WithTiming(timing))
				serve := func(mirror func(http.Handler) http.Handler) string {
					var mu sync.Mutex
					seen := ""
					got := proto.talk(t, p, p.handler(mirror, func(s string) { mu.Lock(); defer mu.Unlock(); seen = s }))
					mu.Lock()
					defer mu.Unlock()
					return got + "\n" + ports.ReplaceAllString(seen, ":port")
				}
				same := func(h http.Handler) http.Handler { return h }
				bare := map[string]bool{serve(same): true}
				for try := 0; ; try++ {
					got := serve(m.Handler)
					if bare[got] {
						break
					}
					if try == 5 {
						t.Fatalf("%v\nwith a Mirror: %q\nwithout one: %q", p, got, slices.Sorted(keys(bare)))
					}
					for range 3 {
						bare[serve(same)] = true
					}
				}
				require.NoError(t, m.Shutdown(t.Context()))
			}
		})
	}
}
