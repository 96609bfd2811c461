package shadow_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

// onTheWire is what a Remote is sent of raw, with a change to the target.
func onTheWire(t *testing.T, raw string, change func(*shadow.Target), opts ...shadow.Option) string {
	network := newNetwork(t)
	target := shadow.Remote("v2", network.url)
	if change != nil {
		change(&target)
	}
	m, _ := mirror(t, target, append([]shadow.Option{allMethods}, opts...)...)
	s := shape{raw: raw, handler: m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
	}))}
	s.overHTTP1(t, s.h())
	require.NoError(t, m.Shutdown(t.Context()))
	select {
	case raw := <-network.raw:
		return raw
	default:
		return ""
	}
}

// A header that the client did not send is not invented.
func TestACopyHasNoHeaderThatTheRequestHadNot(t *testing.T) {
	for _, request := range []string{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"} {
		r, _ := parse(t, onTheWire(t, request, nil))
		for _, name := range []string{"Shadow-Request", "Shadow-Mirror", "Baggage", "X-Request-Id",
			"X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-For"} {
			require.NotEmpty(t, r.Header[name], name)
			r.Header.Del(name)
		}
		r.Header.Del("Content-Length")
		require.Empty(t, r.Header)
	}
}

// The forwarded fields that came with a request are kept, and the others are set from it. All
// of them are masked like the rest.
func TestACopySaysWhatTheRequestWasFor(t *testing.T) {
	forwarded := func(raw string) [3]string {
		r, _ := parse(t, raw)
		for _, name := range []string{"X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-For"} {
			require.LessOrEqual(t, len(r.Header[name]), 1)
		}
		return [3]string{r.Header.Get("X-Forwarded-Host"), r.Header.Get("X-Forwarded-Proto"), r.Header.Get("X-Forwarded-For")}
	}
	const bare = "GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n"
	const behind = "GET / HTTP/1.1\r\nHost: shop.test\r\nX-Forwarded-Host: www.test\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: 192.0.2.1, 192.0.2.2\r\n\r\n"
	mask := func(m shadow.Masker) func(*shadow.Target) { return func(t *shadow.Target) { t.Masker = m } }
	for _, change := range []func(*shadow.Target){nil, mask(nil)} {
		require.Equal(t, [3]string{"shop.test", "http", "127.0.0.1"}, forwarded(onTheWire(t, bare, change)))
		require.Equal(t, [3]string{"www.test", "https", "192.0.2.1, 192.0.2.2"}, forwarded(onTheWire(t, behind, change)))
	}
	require.Equal(t, [3]string{"[masked]", "http", ""},
		forwarded(onTheWire(t, bare, mask(shadow.MaskAll(shadow.MaskHeaders("X-Forwarded-Host"), shadow.MaskWith(shadow.Drop(), shadow.MaskHeaders("X-Forwarded-For")))))))
	hide := mask(shadow.MaskerFunc(func(m *shadow.Message) error { m.Host = "tenant.test"; return nil }))
	raw := onTheWire(t, bare, hide)
	require.NotContains(t, raw, "shop.test", "what the Masker has taken away")
	r, _ := parse(t, raw)
	require.Equal(t, "tenant.test", r.Host, "the Host that a Masker sets is sent")
	require.Equal(t, [3]string{"www.test", "https", "192.0.2.1, 192.0.2.2"}, forwarded(onTheWire(t, behind, hide)))
}

// A request for something that is no path is not sent as something else.
func TestAnOpaqueTargetIsInvalid(t *testing.T) {
	for _, kind := range []string{"in process", "remote"} {
		m, results := mirrorTo(t, kind, text("ok"))
		s := shape{raw: "GET foo:bar HTTP/1.1\r\nHost: a\r\n\r\n", handler: m.Handler(text("ok"))}
		s.overHTTP1(t, s.h())
		settled(t, m, "invalid", results)
	}
	require.Empty(t, onTheWire(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", func(t *shadow.Target) {
		t.Masker = shadow.MaskerFunc(func(m *shadow.Message) error { m.URL.Opaque = "foo"; return nil })
	}), "nor what a Masker makes such")
}

// The ID of a request that a Masker removes, whatever it is made of, is in none of the marks.
func TestAnIDThatAMaskerRemovesIsGone(t *testing.T) {
	for name, masker := range map[string]shadow.Masker{
		"removed":  shadow.MaskerFunc(func(m *shadow.Message) error { m.Header.Del("X-Request-Id"); return nil }),
		"replaced": shadow.MaskerFunc(func(m *shadow.Message) error { m.Header.Set("X-Request-Id", "other"); return nil }),
		"dropped":  shadow.MaskWith(shadow.Drop(), shadow.MaskHeaders("X-Request-Id")),
	} {
		raw := onTheWire(t, "GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: ada-1815\r\nBaggage: request=ada%2D1815,kept=1\r\n\r\n",
			func(t *shadow.Target) { t.Masker = masker })
		require.NotContains(t, raw, "1815", name)
		r, _ := parse(t, raw)
		require.Len(t, r.Header.Get("Shadow-Request"), 32)
		require.Contains(t, r.Header.Get("Baggage"), "kept=1")
	}
	raw := onTheWire(t, "GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: ada-1815\r\n\r\n", nil)
	require.Equal(t, 2, strings.Count(raw, "ada-1815"))
}

// A store of idempotency keys takes no copy for the primary's request, and a retry for one.
func TestIdempotencyKeysAreDerived(t *testing.T) {
	const uuid, other = "8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9325"
	send := func(name, key string) string {
		r, _ := parse(t, onTheWire(t, "POST / HTTP/1.1\r\nHost: a\r\n"+name+": "+key+"\r\nContent-Length: 2\r\n\r\nhi", nil))
		require.Len(t, r.Header[http.CanonicalHeaderKey(name)], 1)
		return r.Header.Get(name)
	}
	for _, name := range []string{"Idempotency-Key", "x-idempotency-key", "PayPal-Request-Id", "Repeatability-Request-ID", "Idempotence-Key",
		"Cko-Idempotency-Key", "Klarna-Idempotency-Key", "x-amz-pay-idempotency-key", "X-Payout-Idempotency", "X-idempotence-uuid",
		"X-Qonto-Idempotency-Key", "X-Contentful-Idempotency-Key", "I-Twilio-Idempotency-Token"} {
		got := send(name, uuid)
		require.NotEqual(t, uuid, got)
		require.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, got)
		require.Equal(t, got, send(name, uuid), "by any Mirror")
		require.NotEqual(t, got, send(name, other))
	}
	require.Regexp(t, `^"[0-9a-f]{32}"$`, send("Idempotency-Key", `"order-1"`))
	require.Regexp(t, `^[0-9a-f]{32}$`, send("Idempotency-Key", "17"))
	require.Equal(t, uuid, send("X-Order", uuid))

	// No two targets have one.
	keys := make(chan string, 2)
	note := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { keys <- r.Header.Get("Idempotency-Key") })
	m, _ := mirror(t, shadow.InProcess("v2", note), shadow.WithControl(shadow.InProcess("v1", note)))
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Idempotency-Key", uuid)
	m.Handler(text("ok")).ServeHTTP(httptest.NewRecorder(), r)
	require.NoError(t, m.Shutdown(t.Context()))
	a, b := <-keys, <-keys
	require.NotEqual(t, a, b)
	require.NotContains(t, []string{a, b}, uuid)
	require.Equal(t, uuid, r.Header.Get("Idempotency-Key"))
}

// flaky answers the first request of each connection, and closes the connection as soon as
// drop says so of the next one, before or after it was read.
type flaky struct {
	net.Listener
	asked atomic.Int32
	conns sync.WaitGroup
}

func newFlaky(t *testing.T) *flaky {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	f := &flaky{Listener: l}
	f.conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f.conns.Go(func() {
				defer c.Close()
				for r := bufio.NewReader(c); ; {
					req, err := http.ReadRequest(r)
					if err != nil {
						return
					}
					io.Copy(io.Discard, req.Body)
					f.asked.Add(1)
					if req.URL.Path == "/drop" {
						return
					}
					io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n")
					if req.Method != "HEAD" {
						io.WriteString(c, "ok")
					}
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); f.conns.Wait() })
	return f
}

// A copy is sent at most once, though net/http would send it again.
func TestACopyIsSentAtMostOnce(t *testing.T) {
	for name, own := range map[string]bool{"its own client": true, "another client": false} {
		for _, method := range []string{"GET", "HEAD", "OPTIONS", "POST with a key"} {
			t.Run(name+" "+method, func(t *testing.T) {
				f := newFlaky(t)
				var client http.RoundTripper
				if !own {
					shared := &http.Transport{}
					t.Cleanup(shared.CloseIdleConnections)
					client = shared
				}
				m, results := mirror(t, shadow.Target{Name: "v2", URL: "http://" + f.Addr().String(), Transport: client}, allMethods)
				h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					io.Copy(io.Discard, r.Body)
					w.Header().Set("Content-Type", "text/plain; charset=utf-8")
					io.WriteString(w, "ok")
				}))
				ask := func(path string) {
					before := len(results.All())
					r := httptest.NewRequest(strings.Fields(method)[0], path, nil)
					if r.Method == "POST" {
						r = httptest.NewRequest("POST", path, strings.NewReader("body"))
						r.Header.Set("Idempotency-Key", "1")
					}
					h.ServeHTTP(httptest.NewRecorder(), r)
					require.Eventually(t, func() bool { return len(results.All()) > before }, time.Minute, time.Millisecond)
				}
				ask("/") // a connection that was used before
				ask("/drop")
				require.EqualValues(t, 2, f.asked.Load())
				last := results.All()[1]
				require.Equal(t, shadow.Failed, last.Outcome)
				if method != "HEAD" {
					require.Equal(t, shadow.Match, results.All()[0].Outcome)
				}
				ask("/")
				require.NotEqual(t, shadow.Failed, results.All()[2].Outcome, "the next copy is not concerned")
			})
		}
	}
}

// HTTP/2 servers that go away lose no copy: what they have not processed is sent again, with
// its body.
func TestACopyOutlivesAServerThatGoesAway(t *testing.T) {
	const copies = 60
	var posted atomic.Int32
	candidate := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil && string(body) == "the body" {
			posted.Add(1)
		}
		if posted.Load()%5 == 0 {
			w.Header().Set("Connection", "close") // a GOAWAY
		}
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, "ok")
	}))
	candidate.EnableHTTP2 = true
	candidate.StartTLS()
	defer candidate.Close()
	m, _ := mirror(t, shadow.Target{Name: "v2", URL: candidate.URL, Transport: candidate.Client().Transport}, allMethods,
		shadow.WithQueue(copies, 1<<20), shadow.WithConcurrency(8))
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, "ok")
	}))
	for range copies {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/", strings.NewReader("the body")))
	}
	require.NoError(t, m.Shutdown(t.Context()))
	require.Equal(t, map[string]uint64{match: copies}, ledger(t, m))
	require.EqualValues(t, copies, posted.Load())
}

// A Mirror that is closed leaves the connections of others alone.
func TestCloseLeavesConnectionsOfOthers(t *testing.T) {
	for _, target := range []shadow.Target{
		{Name: "v2", Transport: &idle{roundTripper: func(*http.Request) (*http.Response, error) { return nil, io.EOF }}},
		{Name: "v2", URL: "http://v2.test", Transport: &idle{roundTripper: func(*http.Request) (*http.Response, error) { return nil, io.EOF }}},
	} {
		control := target
		control.Name = "v1"
		m, _ := mirror(t, target, shadow.WithControl(control))
		getFrom(m.Handler(text("ok")), "/")
		require.NoError(t, m.Shutdown(t.Context()))
		require.NoError(t, m.Close())
		require.Zero(t, target.Transport.(*idle).closed)
	}
	target := newNetwork(t) // waits for its connections to end, and so for ours
	m, _ := mirror(t, shadow.Remote("v2", target.url))
	getFrom(m.Handler(text("ok")), "/")
	require.NoError(t, m.Shutdown(t.Context()))
}

// A client that goes where the request was for is told of by New.
func TestATargetIsReachedByItsURL(t *testing.T) {
	ok := shadow.HandlerTransport(text("ok"))
	for _, target := range []shadow.Target{
		{Name: "v2", Transport: http.DefaultTransport},
		{Name: "v2", Transport: &http.Transport{}},
	} {
		for _, opts := range [][]shadow.Option{nil, {shadow.WithControl(target)}} {
			candidate := target
			if opts != nil {
				candidate = shadow.InProcess("v2", text("ok"))
			}
			_, err := shadow.New(candidate, opts...)
			require.ErrorContains(t, err, "set URL")
		}
	}
	_, err := shadow.New(shadow.Target{Name: "v2", Transport: ok})
	require.NoError(t, err)

	var asked string
	m, results := mirror(t, shadow.Target{Name: "v2", URL: "http://v2.test/base/", Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		asked = r.URL.String() + " " + r.Host
		return ok.RoundTrip(r)
	})})
	getFrom(m.Handler(text("ok")), "/a%2Fb?q")
	settled(t, m, match, results)
	require.Equal(t, "http://v2.test/base/a%2Fb?q v2.test", asked)
}

// A copy goes through no proxy of the environment. Net/http reads that once, and exempts
// loopback: the Mirror is in a process of its own, and its target elsewhere.
func TestACopyGoesThroughNoProxy(t *testing.T) {
	if os.Getenv("SHADOW_TEST_PROXIED") != "" {
		target := shadow.Remote("v2", "http://192.0.2.1:9") // of RFC 5737: nobody is there
		target.Timeout = time.Second
		m, results := mirror(t, target)
		getFrom(m.Handler(text("ok")), "/")
		settled(t, m, "failed", results)
		return
	}
	proxy := newNetwork(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestACopyGoesThroughNoProxy$")
	cmd.Env = append(os.Environ(), "SHADOW_TEST_PROXIED=1", "HTTP_PROXY="+proxy.url, "http_proxy="+proxy.url, "NO_PROXY=", "no_proxy=")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "PASS")
	require.Empty(t, proxy.raw)
}

// The header of an answer is bounded.
func TestTheHeaderOfAnAnswerIsBounded(t *testing.T) {
	for size, want := range map[int]string{200 << 10: match, 300 << 10: "failed"} {
		m, results := mirrorTo(t, "remote", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("x", size))
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			io.WriteString(w, "ok")
		}), shadow.WithCompare(shadow.CompareOptions{Headers: []string{"Content-Type"}}))
		getFrom(m.Handler(text("ok")), "/")
		settled(t, m, want, results)
	}
}

// mute is a server whose connections can be made silent: those that there are then stay open,
// and nothing is answered on them any more.
type mute struct {
	net.Listener
	era atomic.Int32 // a connection of an earlier one is silent
}

type silentConn struct {
	net.Conn
	s    *mute
	born int32
}

func (s *mute) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	return &silentConn{c, s, s.era.Load()}, err
}

func (c *silentConn) Write(p []byte) (int, error) {
	if c.born < c.s.era.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// Idle connections that went silent cost one copy, and not one each.
func TestSilentConnectionsCostOneCopy(t *testing.T) {
	const conns = 4
	var first sync.WaitGroup
	first.Add(conns)
	candidate := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/first" { // all at the same time
			first.Done()
			first.Wait()
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		io.WriteString(w, "ok")
	}))
	s := &mute{Listener: candidate.Listener}
	candidate.Listener = s
	candidate.Start()
	defer candidate.Close()
	target := shadow.Remote("v2", candidate.URL)
	target.Timeout = 2 * time.Second
	m, results := mirror(t, target)
	h := m.Handler(text("ok"))
	ask := func(path string, n int) {
		before := len(results.All())
		for range n {
			getFrom(h, path)
		}
		require.Eventually(t, func() bool { return len(results.All()) == before+n }, time.Minute, time.Millisecond)
	}
	ask("/first", conns)
	s.era.Add(1)
	for range conns + 2 {
		ask("/", 1)
	}
	require.NoError(t, m.Shutdown(t.Context()))
	require.Equal(t, map[string]uint64{match: 2*conns + 1, "failed": 1}, ledger(t, m))
}
