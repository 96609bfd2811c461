package shadow_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

// client returns a client of srv whose Transport is m's, and closes its connections.
func client(t *testing.T, srv *httptest.Server, m *shadow.Mirror) *http.Client {
	c := *srv.Client()
	c.Transport = m.Transport(c.Transport)
	t.Cleanup(c.CloseIdleConnections)
	return &c
}

// seen is what a caller sees of an answer, but for its date.
type seen struct {
	Status, Proto    string
	Length           int64
	Uncompressed     bool
	TransferEncoding []string
	Header, Trailer  http.Header
	Body             string
}

func see(t *testing.T, resp *http.Response) seen {
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	resp.Header.Del("Date")
	return seen{resp.Status, resp.Proto, resp.ContentLength, resp.Uncompressed, resp.TransferEncoding, resp.Header, resp.Trailer, string(b)}
}

// The primary is untouched: a caller gets the same answers with a Mirror around its
// Transport as without, and each exchange is recorded as it went.
func TestATransportIsUntouched(t *testing.T) {
	long := strings.Repeat("long ", 100<<10)
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	io.WriteString(z, long)
	z.Close()
	for _, s := range []shape{
		{name: "hello", serve: text("hello")},
		{name: "nothing", serve: func(http.ResponseWriter, *http.Request) {}},
		{name: "204", serve: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }},
		{name: "304", serve: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(304) }},
		{name: "404", handler: http.NotFoundHandler()},
		{name: "503", serve: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, want: "primary-refused"},
		{name: "HEAD", method: "HEAD", serve: text("hello")},
		{name: "HEAD with a length", method: "HEAD", serve: func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "7") }},
		{name: "long", serve: text(long)},
		{name: "over the limit", serve: text(strings.Repeat(long, 3))},
		{name: "post", method: "POST", body: "hello", serve: echo},
		{name: "post long", method: "POST", body: long, serve: echo},
		{name: "post over the limit", method: "POST", body: strings.Repeat(long, 3), serve: echo, want: "body-too-large"},
		{name: "get with a body", body: "hello", serve: echo},
		{name: "redirect", handler: http.RedirectHandler("/elsewhere", 302)},
		{name: "flushes", serve: func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "one")
			w.(http.Flusher).Flush()
			io.WriteString(w, "two")
		}},
		{name: "trailers", serve: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "X-Sum")
			io.WriteString(w, "body")
			w.Header().Set("X-Sum", "1")
			w.Header().Set(http.TrailerPrefix+"X-More", "2")
		}},
		{name: "gzip, transparent", serve: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
				w.Header().Set("Content-Encoding", "gzip")
				w.Write(zipped.Bytes())
				return
			}
			io.WriteString(w, long)
		}},
		{name: "gzip, asked for", header: []string{"Accept-Encoding: gzip"}, serve: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Header().Set("Content-Type", "text/plain")
			w.Write(zipped.Bytes())
		}},
	} {
		t.Run(s.name, func(t *testing.T) {
			bothProtocols(t, func(t *testing.T, h2 bool) {
				for _, kind := range []string{"in process", "remote"} {
					srv, _ := server(t, s.h(), h2)
					m, results := mirrorTo(t, kind, s.h())
					request := func() *http.Request {
						req, err := http.NewRequest(cmpOr(s.method, "GET"), srv.URL, strings.NewReader(s.body))
						require.NoError(t, err)
						for _, line := range s.header {
							name, value, _ := strings.Cut(line, ": ")
							req.Header.Add(name, value)
						}
						return req
					}
					var want seen
					var same bool
					for range 2 { // a connection that is there already is another matter
						req := request()
						resp, err := srv.Client().Transport.RoundTrip(req)
						require.NoError(t, err)
						same = resp.Request == req // not so with HTTP/2 and a body
						want = see(t, resp)
					}
					req := request()
					resp, err := client(t, srv, m).Transport.RoundTrip(req)
					require.NoError(t, err)
					assert.Equal(t, same, resp.Request == req)
					assert.Equal(t, want, see(t, resp))
					settled(t, m, cmpOr(s.want, match), results)
				}
			})
		})
	}
}

// Errors are the primary's own, the very same values.
func TestATransportsErrorsAreUnchanged(t *testing.T) {
	refused := errors.New("refused")
	m, results := mirror(t, shadow.InProcess("v2", text("ok")), allMethods)
	body := &countingBody{Reader: strings.NewReader("body")}
	req := httptest.NewRequest("POST", "http://vendor.test/", body)
	resp, err := m.Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
		r.Body.Close()
		return nil, refused
	})).RoundTrip(req) //nolint:bodyclose // there is none
	require.Nil(t, resp)
	require.True(t, err == refused) //nolint:errorlint // the same value
	require.Equal(t, 1, body.closed)
	require.Zero(t, body.read)
	settled(t, m, "primary-failed", results)

	t.Run("while the body is read", func(t *testing.T) {
		broken := errors.New("connection reset")
		m, results := mirror(t, shadow.InProcess("v2", text("ok")))
		resp, err := m.Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, ContentLength: 10, Body: &failingBody{io.MultiReader(strings.NewReader("half"), errReader{broken}), broken}}, nil
		})).RoundTrip(httptest.NewRequest("GET", "/", nil))
		require.NoError(t, err)
		b, err := io.ReadAll(resp.Body)
		require.Equal(t, "half", string(b))
		require.True(t, err == broken) //nolint:errorlint // the same value
		require.True(t, resp.Body.Close() == broken)
		settled(t, m, "primary-incomplete", results)
	})
	t.Run("panics", func(t *testing.T) {
		m, results := mirror(t, shadow.InProcess("v2", text("ok")))
		require.PanicsWithValue(t, refused, func() {
			m.Transport(roundTripper(func(*http.Request) (*http.Response, error) { panic(refused) })).RoundTrip(httptest.NewRequest("GET", "/", nil)) //nolint
		})
		settled(t, m, "primary-panicked", results)
	})
	t.Run("neither answer nor error", func(t *testing.T) {
		m, results := mirror(t, shadow.InProcess("v2", text("ok")))
		resp, err := m.Transport(roundTripper(func(*http.Request) (*http.Response, error) { return nil, nil })).RoundTrip(httptest.NewRequest("GET", "/", nil)) //nolint
		require.Nil(t, resp)
		require.NoError(t, err)
		settled(t, m, "primary-failed", results)
	})
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

type failingBody struct {
	io.Reader
	err error
}

func (b *failingBody) Close() error { return b.err }

// A RoundTripper does not change its request, and neither does a Mirror around it.
func TestATransportDoesNotChangeTheRequest(t *testing.T) {
	m, results := mirror(t, shadow.InProcess("v2", http.HandlerFunc(echo)), allMethods)
	body := &countingBody{Reader: strings.NewReader("hello")}
	req := httptest.NewRequest("POST", "http://vendor.test/path", body)
	req.RequestURI = ""
	req.ContentLength = 5
	req.Header.Set("X-A", "1")
	before := *req
	header := req.Header.Clone()
	var given *http.Request
	resp, err := m.Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
		given = r
		require.Equal(t, header, r.Header, "nothing is added for the primary to send")
		require.Zero(t, body.read)
		return shadow.HandlerTransport(http.HandlerFunc(echo)).RoundTrip(r)
	})).RoundTrip(req)
	require.NoError(t, err)
	see(t, resp)
	require.Equal(t, before, *req)
	require.Equal(t, header, req.Header)
	require.Same(t, req, resp.Request)
	require.Positive(t, body.closed)
	require.Same(t, before.URL, given.URL)
	settled(t, m, match, results)

	// Without a body, and where it is not copied, the primary is given the same one.
	for _, method := range []string{"GET", "POST"} {
		m, _ := mirror(t, shadow.InProcess("v2", text("ok")))
		req := httptest.NewRequest(method, "http://vendor.test/path", nil)
		resp, err := m.Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
			require.Same(t, req, r)
			return shadow.HandlerTransport(text("ok")).RoundTrip(r)
		})).RoundTrip(req)
		require.NoError(t, err)
		see(t, resp)
	}
}

// An exchange is over when the caller has read the body to its end, whether he closes it or
// not, or has closed it; and a body that was not read to its end is not compared.
func TestAnExchangeEndsWithTheBody(t *testing.T) {
	answer := func(length int64) roundTripper {
		return func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, ContentLength: length, Header: http.Header{"Content-Type": {"text/plain"}},
				Body: io.NopCloser(strings.NewReader("hello"))}, nil
		}
	}
	candidate := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, "hello")
	}
	for _, tt := range []struct {
		name   string
		length int64
		read   int
		want   string
	}{
		{"to its end", 5, 6, match},
		{"to its length", 5, 5, match},
		{"of unknown length, to its end", -1, 6, match},
		{"of unknown length, not to its end", -1, 5, "primary-incomplete"},
		{"in part", 5, 4, "primary-incomplete"},
		{"not at all", 5, 0, "primary-incomplete"},
		{"longer than announced", 3, 6, match},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, results := mirror(t, shadow.InProcess("v2", http.HandlerFunc(candidate)))
			resp, err := m.Transport(answer(tt.length)).RoundTrip(httptest.NewRequest("GET", "/", nil))
			require.NoError(t, err)
			n, _ := io.ReadFull(resp.Body, make([]byte, tt.read))
			require.Equal(t, min(tt.read, 5), n)
			require.EqualValues(t, tt.read/6, m.Stats().Requests, "it is over where its end was seen")
			require.NoError(t, resp.Body.Close())
			require.NoError(t, resp.Body.Close())
			require.EqualValues(t, 1, m.Stats().Requests)
			settled(t, m, tt.want, results)
			require.Zero(t, m.Stats().QueuedBytes)
		})
	}
}

// A Transport that sends a request again asks for its body again: the copy is what was
// sent last.
func TestARequestThatIsSentAgain(t *testing.T) {
	m, results := mirror(t, shadow.InProcess("v2", http.HandlerFunc(echo)), allMethods)
	req, err := http.NewRequest("POST", "http://vendor.test/", strings.NewReader("the whole body"))
	require.NoError(t, err)
	resp, err := m.Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
		io.ReadFull(r.Body, make([]byte, 5)) // then the connection turns out to be dead
		r.Body.Close()
		again := r.Clone(r.Context())
		again.Body, err = r.GetBody()
		require.NoError(t, err)
		return shadow.HandlerTransport(http.HandlerFunc(echo)).RoundTrip(again)
	})).RoundTrip(req)
	require.NoError(t, err)
	require.Contains(t, see(t, resp).Body, "the whole body")
	settled(t, m, match, results)
	require.Equal(t, "the whole body", string(results.All()[0].Request.Body))

	t.Run("by the caller, much later", func(t *testing.T) {
		m, results := mirror(t, shadow.InProcess("v2", http.HandlerFunc(echo)), allMethods)
		req, err := http.NewRequest("POST", "http://vendor.test/", strings.NewReader("the whole body"))
		require.NoError(t, err)
		resp, err := m.Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
			resp, err := shadow.HandlerTransport(http.HandlerFunc(echo)).RoundTrip(r)
			resp.Request = r.Clone(r.Context()) // as that of net/http does over HTTP/2
			return resp, err
		})).RoundTrip(req)
		require.NoError(t, err)
		see(t, resp)
		settled(t, m, match, results)
		body, err := resp.Request.GetBody()
		require.NoError(t, err)
		b, err := io.ReadAll(body)
		require.NoError(t, err)
		require.Equal(t, "the whole body", string(b))
		require.Zero(t, m.Stats().QueuedBytes, "nobody is recording any more")
	})
	t.Run("whose body cannot be had again", func(t *testing.T) {
		gone := errors.New("gone")
		m, results := mirror(t, shadow.InProcess("v2", http.HandlerFunc(echo)), allMethods)
		req := httptest.NewRequest("POST", "http://vendor.test/", strings.NewReader("x"))
		req.GetBody = func() (io.ReadCloser, error) { return nil, gone }
		_, err := m.Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
			body, err := r.GetBody()
			require.Nil(t, body)
			return nil, err
		})).RoundTrip(req) //nolint:bodyclose // there is none
		require.True(t, err == gone) //nolint:errorlint // the same value
		settled(t, m, "primary-failed", results)
	})
}

// A primary that answers before it has read the body is no ground for comparison.
func TestARequestBodyThatIsNotSent(t *testing.T) {
	m, results := mirror(t, shadow.InProcess("v2", text("ok")), allMethods)
	srv, _ := server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		w.WriteHeader(413)
	}), false)
	req, err := http.NewRequest("POST", srv.URL, strings.NewReader("body"))
	require.NoError(t, err)
	req.Header.Set("Expect", "100-continue")
	tr := srv.Client().Transport.(*http.Transport).Clone()
	tr.ExpectContinueTimeout = 1 << 40
	defer tr.CloseIdleConnections()
	resp, err := m.Transport(tr).RoundTrip(req)
	require.NoError(t, err)
	require.Equal(t, 413, resp.StatusCode)
	see(t, resp)
	settled(t, m, "body-unread", results)
}

// A connection that changes protocols is the caller's: it can be written to.
func TestATransportSwitchesProtocols(t *testing.T) {
	for name, header := range map[string]string{"asked for": "echo", "of the server's own accord": ""} {
		t.Run(name, func(t *testing.T) {
			m, results := mirror(t, shadow.InProcess("v2", text("ok")))
			conn := &struct {
				io.ReadWriter
				io.Closer
			}{&bytes.Buffer{}, io.NopCloser(nil)}
			req := httptest.NewRequest("GET", "http://vendor.test/", io.NopCloser(iotest.OneByteReader(strings.NewReader("hi"))))
			if header != "" {
				req.Header.Set("Upgrade", header)
			}
			resp, err := m.Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 101, Body: conn, Request: r}, nil
			})).RoundTrip(req)
			require.NoError(t, err)
			require.Same(t, req, resp.Request)
			require.True(t, resp.Body == io.ReadCloser(conn))
			resp.Body.(io.Writer).Write([]byte("x"))
			require.NoError(t, resp.Body.Close())
			settled(t, m, "upgrade", results)
		})
	}
}

// idle is a RoundTripper that can be told to close its idle connections.
type idle struct {
	roundTripper
	closed int
}

func (i *idle) CloseIdleConnections() { i.closed++ }

func TestCloseIdleConnectionsReachesThePrimary(t *testing.T) {
	m, _ := mirror(t, shadow.InProcess("v2", text("ok")))
	primary := &idle{}
	(&http.Client{Transport: m.Transport(primary)}).CloseIdleConnections()
	require.Equal(t, 1, primary.closed)
	(&http.Client{Transport: m.Transport(roundTripper(nil))}).CloseIdleConnections()
}

// A nil primary is http.DefaultTransport.
func TestANilTransportIsTheDefault(t *testing.T) {
	m, results := mirror(t, shadow.InProcess("v2", text("ok")))
	srv, _ := server(t, text("ok"), false)
	resp, err := m.Transport(nil).RoundTrip(httptest.NewRequest("GET", srv.URL, nil))
	require.NoError(t, err)
	require.Equal(t, "ok", see(t, resp).Body)
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	settled(t, m, match, results)
}

// A caller that gives up sees its own error, and the exchange is not compared.
func TestACallerThatGivesUp(t *testing.T) {
	m, results := mirror(t, shadow.InProcess("v2", text("ok")))
	srv, handlers := server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "begin")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}), false)
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", srv.URL, nil)
	require.NoError(t, err)
	resp, err := client(t, srv, m).Do(req)
	require.NoError(t, err)
	_, err = io.ReadFull(resp.Body, make([]byte, 5))
	require.NoError(t, err)
	cancel()
	_, err = resp.Body.Read(make([]byte, 1))
	require.ErrorIs(t, err, context.Canceled)
	resp.Body.Close()
	handlers.Wait()
	settled(t, m, "primary-incomplete", results)
}

// Events of a stream reach the caller as they come.
func TestATransportDoesNotDelayAStream(t *testing.T) {
	bothProtocols(t, func(t *testing.T, h2 bool) {
		next := make(chan string)
		m, results := mirror(t, shadow.InProcess("v2", text("ok")), allMethods)
		srv, _ := server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for event := range next {
				io.WriteString(w, event)
				w.(http.Flusher).Flush()
			}
		}), h2)
		go func() { next <- "0" }()
		resp, err := client(t, srv, m).Get(srv.URL)
		require.NoError(t, err)
		for _, event := range []string{"1", "2", "3"} {
			_, err := io.ReadFull(resp.Body, make([]byte, 1))
			require.NoError(t, err)
			next <- event
		}
		close(next)
		require.Equal(t, "3", see(t, resp).Body)
		settled(t, m, mismatch, results)
		require.Equal(t, "0123", string(results.All()[0].Primary.Body))
	})
}

// The shadow of a call is correlated by the ID that the call has, or by one of its own.
func TestTheShadowOfACall(t *testing.T) {
	for _, id := range []string{"", "call-1"} {
		target := newNetwork(t)
		m, results := mirror(t, shadow.Remote("v2", target.url))
		req := httptest.NewRequest("GET", "https://vendor.test/a?b=c", nil)
		if id != "" {
			req.Header.Set("X-Request-Id", id)
		}
		req.Header.Set("Authorization", "Bearer secret")
		resp, err := m.Transport(shadow.HandlerTransport(text("ok"))).RoundTrip(req)
		require.NoError(t, err)
		see(t, resp)
		require.NoError(t, m.Shutdown(t.Context()))
		raw := <-target.raw
		require.NotContains(t, raw, "secret")
		got, _ := parse(t, raw)
		require.Equal(t, "/a?b=c", got.RequestURI)
		require.Equal(t, target.host, got.Host)
		require.Equal(t, "vendor.test", got.Header.Get("X-Forwarded-Host"))
		require.Equal(t, results.All()[0].ID, got.Header.Get("Shadow-Request"))
		require.Equal(t, got.Header.Get("Shadow-Request"), got.Header.Get("X-Request-Id"))
		if id != "" {
			require.Equal(t, id, results.All()[0].ID)
		} else {
			require.NotContains(t, req.Header, "X-Request-Id")
		}
	}
}

// Many callers share a mirrored Transport.
func TestATransportIsSharedByManyCallers(t *testing.T) {
	m, _ := mirror(t, shadow.InProcess("v2", http.HandlerFunc(echo)), allMethods, shadow.WithQueue(1000, 64<<20))
	srv, _ := server(t, http.HandlerFunc(echo), false)
	c := client(t, srv, m)
	var callers sync.WaitGroup
	var calls atomic.Uint64
	for i := range 8 {
		callers.Go(func() {
			for n := range 25 {
				body := strings.Repeat("x", i*100+n)
				resp, err := c.Post(srv.URL, "text/plain", strings.NewReader(body))
				if !assert.NoError(t, err) {
					return
				}
				b, err := io.ReadAll(resp.Body)
				assert.NoError(t, err)
				assert.Contains(t, string(b), body[:min(len(body), 40)])
				resp.Body.Close()
				calls.Add(1)
			}
		})
	}
	callers.Wait()
	require.NoError(t, m.Shutdown(t.Context()))
	require.Equal(t, map[string]uint64{match: calls.Load()}, ledger(t, m))
}

// The primary is untouched: net/http decides by the type of a body how it sends it, and
// whether it sends it again.
func TestATransportSendsWhatNetHTTPSends(t *testing.T) {
	t.Run("a request a second time", func(t *testing.T) {
		srv, _ := server(t, http.HandlerFunc(echo), false)
		m, results := mirror(t, shadow.InProcess("v2", http.HandlerFunc(echo)), allMethods)
		req, err := http.NewRequest("POST", srv.URL, strings.NewReader("hello"))
		require.NoError(t, err)
		for range 3 { // the body is at its end by now; net/http asks for another one
			resp, err := client(t, srv, m).Transport.RoundTrip(req)
			require.NoError(t, err)
			require.Contains(t, see(t, resp).Body, "hello")
		}
		require.NoError(t, m.Shutdown(t.Context()))
		require.Equal(t, map[string]uint64{match: 3}, ledger(t, m))
		for _, r := range results.All() {
			require.Equal(t, "hello", string(r.Request.Body))
		}
	})
	t.Run("in one write", func(t *testing.T) {
		for name, body := range map[string]func() io.ReadCloser{
			"strings.Reader": func() io.ReadCloser { return io.NopCloser(strings.NewReader("hello")) },
			"bytes.Reader":   func() io.ReadCloser { return io.NopCloser(bytes.NewReader([]byte("hello"))) },
			"bytes.Buffer":   func() io.ReadCloser { return io.NopCloser(bytes.NewBufferString("hello")) },
		} {
			for _, again := range []bool{false, true} {
				target := newNetwork(t)
				m, _ := mirror(t, shadow.InProcess("v2", text("ok")), allMethods)
				var writes atomic.Int32
				tr := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
					conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
					return &countedWrites{conn, &writes}, err
				}}
				defer tr.CloseIdleConnections()
				req, err := http.NewRequest("POST", target.url, nil)
				require.NoError(t, err)
				req.Body, req.ContentLength = body(), 5
				if again {
					req.GetBody = func() (io.ReadCloser, error) { return body(), nil }
				}
				resp, err := m.Transport(tr).RoundTrip(req)
				require.NoError(t, err)
				see(t, resp)
				require.EqualValues(t, 1, writes.Load(), "%s, GetBody: %v", name, again)
				require.NoError(t, m.Shutdown(t.Context()))
				require.Equal(t, map[string]uint64{mismatch: 1}, ledger(t, m), "it is copied")
			}
		}
	})
	t.Run("a file, without reading it", func(t *testing.T) {
		for _, tr := range []*http.Transport{{}, {DisableKeepAlives: true}} {
			target := newNetwork(t)
			m, results := mirror(t, shadow.InProcess("v2", text("ok")), allMethods)
			name := filepath.Join(t.TempDir(), "upload")
			require.NoError(t, os.WriteFile(name, []byte("before"+strings.Repeat("x", 100<<10)), 0o600))
			f, err := os.Open(name)
			require.NoError(t, err)
			_, err = f.Seek(6, io.SeekStart)
			require.NoError(t, err)
			req, err := http.NewRequest("POST", target.url, f)
			require.NoError(t, err)
			req.ContentLength = 100 << 10
			if tr.DisableKeepAlives {
				req.ContentLength = 0 // in chunks
			}
			var given io.ReadCloser
			resp, err := m.Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
				given = r.Body
				return tr.RoundTrip(r)
			})).RoundTrip(req)
			require.NoError(t, err)
			see(t, resp)
			tr.CloseIdleConnections()
			require.Implements(t, (*syscall.Conn)(nil), given, "sendfile needs it")
			_, sent := parse(t, <-target.raw)
			require.Equal(t, strings.Repeat("x", 100<<10), sent)
			require.NoError(t, m.Shutdown(t.Context()))
			require.Equal(t, map[string]uint64{mismatch: 1}, ledger(t, m))
			require.Equal(t, sent, string(results.All()[0].Request.Body))
			require.ErrorIs(t, f.Close(), os.ErrClosed)
		}
	})
	t.Run("an io.WriterTo, as it writes itself", func(t *testing.T) {
		target := newNetwork(t)
		m, results := mirror(t, shadow.InProcess("v2", text("ok")), allMethods)
		req, err := http.NewRequest("POST", target.url, &writesItself{strings.NewReader("one two")})
		require.NoError(t, err)
		tr := &http.Transport{}
		defer tr.CloseIdleConnections()
		resp, err := m.Transport(tr).RoundTrip(req)
		require.NoError(t, err)
		see(t, resp)
		require.Contains(t, <-target.raw, "\r\n\r\n4\r\none \r\n3\r\ntwo\r\n0\r\n\r\n")
		require.NoError(t, m.Shutdown(t.Context()))
		require.Equal(t, "one two", string(results.All()[0].Request.Body))
	})
}

// sharing is a body that all that GetBody returns read from, as that of a client whose GetBody
// rewinds one file: it can be asked for only when the body before is out of use.
type sharing struct{ *countingBody }

// A body is asked for again only when the primary does so: GetBody may disturb the body that is
// still being sent, may be slow, and may have effects.
func TestATransportDoesNotAskForABodyAgain(t *testing.T) {
	bothProtocols(t, func(t *testing.T, h2 bool) {
		for _, timing := range []shadow.Timing{shadow.AfterPrimary, shadow.Parallel} {
			srv, _ := server(t, http.HandlerFunc(echo), h2)
			m, results := mirror(t, shadow.InProcess("v2", http.HandlerFunc(echo)), allMethods, shadow.WithTiming(timing))
			content := strings.Repeat("upload ", 10_000)
			file := strings.NewReader(content)
			body := sharing{&countingBody{Reader: file}}
			req, err := http.NewRequest("POST", srv.URL, body)
			require.NoError(t, err)
			req.ContentLength = int64(len(content))
			asked := 0
			req.GetBody = func() (io.ReadCloser, error) {
				asked++
				file.Reset(content)
				return body, nil
			}
			resp, err := client(t, srv, m).Transport.RoundTrip(req)
			require.NoError(t, err)
			require.Contains(t, see(t, resp).Body, "upload")
			settled(t, m, match, results)
			require.Zero(t, asked)
			require.Equal(t, content, string(results.All()[0].Request.Body))
		}
	})
}

type countedWrites struct {
	net.Conn
	n *atomic.Int32
}

func (c *countedWrites) Write(p []byte) (int, error) {
	c.n.Add(1)
	return c.Conn.Write(p)
}

// writesItself is a body that writes itself word by word.
type writesItself struct{ *strings.Reader }

func (*writesItself) Close() error { return nil }

func (b *writesItself) WriteTo(w io.Writer) (n int64, err error) {
	all, _ := io.ReadAll(b.Reader)
	for word := range bytes.SplitAfterSeq(all, []byte(" ")) {
		k, err := w.Write(word)
		if n += int64(k); err != nil {
			return n, err
		}
	}
	return n, nil
}

// A call that is cancelled is counted, and holds nothing, though nobody closes its body.
func TestACallThatIsCancelledIsOver(t *testing.T) {
	bothProtocols(t, func(t *testing.T, h2 bool) {
		srv, handlers := server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, strings.Repeat("x", 10_000))
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}), h2)
		m, _ := mirror(t, shadow.InProcess("v2", text("ok")))
		ctx, cancel := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, "GET", srv.URL, nil)
		require.NoError(t, err)
		resp, err := client(t, srv, m).Do(req)
		require.NoError(t, err)
		_, err = io.ReadFull(resp.Body, make([]byte, 5000))
		require.NoError(t, err)
		require.Positive(t, m.Stats().QueuedBytes)
		cancel()
		handlers.Wait()
		require.Eventually(t, func() bool { return m.Stats().Requests == 1 }, time.Minute, time.Millisecond)
		require.Zero(t, m.Stats().QueuedBytes)
		require.Equal(t, map[string]uint64{"primary-incomplete": 1}, ledger(t, m))
		resp.Body.Close()
		settled(t, m, "primary-incomplete", nil)
	})
	t.Run("or whose body breaks", func(t *testing.T) {
		m, results := mirror(t, shadow.InProcess("v2", text("ok")))
		resp, err := m.Transport(roundTripper(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, ContentLength: -1, Body: io.NopCloser(io.MultiReader(strings.NewReader("half"), errReader{io.ErrUnexpectedEOF}))}, nil
		})).RoundTrip(httptest.NewRequest("GET", "/", nil)) //nolint:bodyclose // on purpose
		require.NoError(t, err)
		_, err = io.ReadAll(resp.Body)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		require.Zero(t, m.Stats().QueuedBytes)
		settled(t, m, "primary-incomplete", results)
	})
}

// What a json.Decoder reads is an answer that can be compared, though it stops before the
// end of the body.
func TestAnAnswerReadByADecoderIsComplete(t *testing.T) {
	type list struct{ Items []string }
	body := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(list{make([]string, 20_000)})
	}
	bothProtocols(t, func(t *testing.T, h2 bool) {
		srv, handlers := server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body(w, r)
			w.(http.Flusher).Flush()
			<-r.Context().Done() // the end of the body does not come before the caller has closed it
		}), h2)
		m, results := mirror(t, shadow.InProcess("v2", http.HandlerFunc(body)))
		resp, err := client(t, srv, m).Get(srv.URL)
		require.NoError(t, err)
		var got list
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&got))
		require.Len(t, got.Items, 20_000)
		require.NoError(t, resp.Body.Close())
		handlers.Wait()
		settled(t, m, match, results)
	})
	for _, tt := range []struct{ name, contentType, read, want string }{
		{"an object", "application/json", `{"a":1}` + "\n", match},
		{"an array", "application/problem+json", ` ["a"]`, match},
		{"a string", "application/json", `"a"`, match},
		{"null", "application/json", `null`, match},
		{"a number, which may go on", "application/json", `12`, "primary-incomplete"},
		{"half an object", "application/json", `{"a":1`, "primary-incomplete"},
		{"an object and more", "application/json", `{"a":1}{"a"`, "primary-incomplete"},
		{"two objects", "application/json", `{"a":1}{"a":2}`, "primary-incomplete"},
		{"nothing", "application/json", ``, "primary-incomplete"},
		{"white space", "application/json", ` `, "primary-incomplete"},
		{"lines", "application/x-ndjson", `{"a":1}` + "\n", "primary-incomplete"},
		{"text", "text/plain", `{"a":1}`, "primary-incomplete"},
		{"more than is kept", "application/json", `"` + strings.Repeat("x", 200) + `"`, "primary-incomplete"},
	} {
		for _, timing := range []shadow.Timing{shadow.AfterPrimary, shadow.Parallel} {
			t.Run(tt.name, func(t *testing.T) {
				serve := func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", tt.contentType)
					io.WriteString(w, tt.read)
				}
				m, results := mirror(t, shadow.InProcess("v2", http.HandlerFunc(serve)), shadow.WithMaxBody(100), shadow.WithTiming(timing))
				resp, err := m.Transport(roundTripper(func(*http.Request) (*http.Response, error) {
					return &http.Response{StatusCode: 200, ContentLength: -1, Header: http.Header{"Content-Type": {tt.contentType}},
						Body: io.NopCloser(strings.NewReader(tt.read + "more"))}, nil
				})).RoundTrip(httptest.NewRequest("GET", "/", nil))
				require.NoError(t, err)
				_, err = io.ReadFull(resp.Body, make([]byte, len(tt.read)))
				require.NoError(t, err)
				require.NoError(t, resp.Body.Close())
				settled(t, m, tt.want, results)
				require.Zero(t, m.Stats().QueuedBytes)
			})
		}
	}
}
