package shadow_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math/rand/v2"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

var nolog = log.New(io.Discard, "", 0)

// sight is what a handler can see of its request.
type sight struct {
	Method, URL, RawPath, Host, RequestURI, Proto, RemoteAddr, Body string
	Major, Minor                                                    int
	TLS, Server                                                     bool
	Length                                                          int64
	Encoding                                                        []string
	Trailer                                                         http.Header
}

func look(r *http.Request) sight {
	body, err := io.ReadAll(r.Body)
	_, served := r.Context().Value(http.ServerContextKey).(*http.Server)
	return sight{
		r.Method, r.URL.Scheme + "|" + r.URL.Host + "|" + r.URL.Path + "|" + r.URL.RawQuery + "|" + strconv.FormatBool(r.URL.ForceQuery), r.URL.RawPath,
		r.Host, r.RequestURI, r.Proto, r.RemoteAddr, fmt.Sprint(string(body), err),
		r.ProtoMajor, r.ProtoMinor, r.TLS != nil, served, r.ContentLength, r.TransferEncoding, r.Trailer,
	}
}

// asksBoth serves a primary and its in-process candidate, which look at what they are asked.
// The second channel has what the candidate saw.
func asksBoth(t *testing.T, inside func(http.Handler) http.Handler, masker shadow.Masker) (h http.Handler, primary, candidate chan sight, m *shadow.Mirror) {
	primary, candidate = make(chan sight, 1), make(chan sight, 1)
	target := shadow.InProcess("v2", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { candidate <- look(r) }))
	target.Masker = masker
	m, _ = mirror(t, target, allMethods)
	return inside(m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { primary <- look(r) }))), primary, candidate, m
}

// In process a candidate is asked what the primary was, however odd.
func TestAnInProcessCandidateSeesTheRequestOfThePrimary(t *testing.T) {
	strip := func(h http.Handler) http.Handler { return http.StripPrefix("/api", h) }
	for name, c := range map[string]struct {
		raw    string
		inside func(http.Handler) http.Handler
	}{
		"origin":            {raw: "GET /a/b?c=d HTTP/1.1\r\nHost: shop\r\n\r\n"},
		"raw bytes":         {raw: "GET /a|b/[c]\"?q=a|b HTTP/1.1\r\nHost: shop\r\n\r\n"},
		"escapes":           {raw: "GET /a%2Fb%7C/%41?q=%zz;a HTTP/1.1\r\nHost: shop\r\n\r\n"},
		"two slashes":       {raw: "GET //a//b/../c HTTP/1.1\r\nHost: shop\r\n\r\n"},
		"an empty query":    {raw: "GET /a? HTTP/1.1\r\nHost: shop\r\n\r\n"},
		"absolute":          {raw: "GET http://other.example:81/a?b HTTP/1.1\r\nHost: shop\r\n\r\n"},
		"absolute, bare":    {raw: "GET http://other.example HTTP/1.1\r\nHost: shop\r\n\r\n"},
		"HTTP/1.0":          {raw: "GET /a HTTP/1.0\r\n\r\n"},
		"a length":          {raw: "POST /a HTTP/1.1\r\nHost: shop\r\nContent-Length: 3\r\n\r\nabc"},
		"chunks":            {raw: "POST /a HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"},
		"trailers":          {raw: "POST /a HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"},
		"inside a prefix":   {raw: "GET /api/a|b?c HTTP/1.1\r\nHost: shop\r\n\r\n", inside: strip},
		"in another prefix": {raw: "GET http://shop/api/a%2Fb HTTP/1.1\r\nHost: shop\r\n\r\n", inside: strip},
	} {
		for masked, masker := range map[string]shadow.Masker{"": nil, " masked": shadow.DropCredentials()} {
			t.Run(name+masked, func(t *testing.T) {
				if c.inside == nil {
					c.inside = bare
				}
				h, primary, candidate, _ := asksBoth(t, c.inside, masker)
				srv := httptest.NewServer(h)
				defer srv.Close()
				conn, err := net.Dial("tcp", srv.Listener.Addr().String())
				require.NoError(t, err)
				defer conn.Close()
				_, err = io.WriteString(conn, c.raw)
				require.NoError(t, err)
				want, got := <-primary, <-candidate
				assert.Equal(t, want, got)
			})
		}
	}
}

func TestAnInProcessCandidateSeesTLSAndHTTP2(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		for _, masker := range []shadow.Masker{nil, shadow.DropCredentials()} {
			h, primary, candidate, _ := asksBoth(t, bare, masker)
			srv := httptest.NewUnstartedServer(h)
			srv.EnableHTTP2 = h2
			srv.StartTLS()
			resp, err := srv.Client().Post(srv.URL+"/a?b", "text/plain", strings.NewReader("abc"))
			require.NoError(t, err)
			resp.Body.Close()
			want, got := <-primary, <-candidate
			assert.True(t, want.TLS)
			assert.Equal(t, map[bool]int{true: 2, false: 1}[h2], want.Major)
			assert.Equal(t, want, got)
			srv.Close()
		}
	}
}

// A mask shapes what is sent in process too: where it changed the URL nothing of the old one is
// left, and a client's certificate is a credential.
func TestAMaskedInProcessCandidateSeesNothingOfWhatWasMasked(t *testing.T) {
	var got string
	var state *tls.ConnectionState
	target := shadow.InProcess("v2", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got, state = fmt.Sprintf("%+v %+v", *r.URL, r.RequestURI), r.TLS
	}))
	r := httptest.NewRequest("GET", "/a|b?token=secret", nil)
	r.TLS = &tls.ConnectionState{Version: tls.VersionTLS13, HandshakeComplete: true, PeerCertificates: []*x509.Certificate{{}}}
	for _, masker := range []shadow.Masker{nil, shadow.MaskQuery("token")} {
		target.Masker = masker
		m, _ := mirror(t, target)
		m.Handler(ok).ServeHTTP(httptest.NewRecorder(), r)
		require.NoError(t, m.Shutdown(t.Context()))
		assert.Equal(t, masker == nil, strings.Contains(got, "secret"))
		assert.Equal(t, uint16(tls.VersionTLS13), state.Version)
		assert.Equal(t, masker == nil, len(state.PeerCertificates) == 1)
	}
}

// script is a handler, of which net/http and a HandlerTransport have to make the same answer.
type script []func(w http.ResponseWriter, r *http.Request)

func (p script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for _, step := range p {
		step(w, r)
	}
}

// randomScript returns a script and its text.
func randomScript(rnd *rand.Rand) (p script, text string) {
	p = script{}
	note := func(step func(w http.ResponseWriter, r *http.Request), format string, args ...any) {
		p = append(p, step)
		text += fmt.Sprintf(format, args...) + "; "
	}
	for range 1 + rnd.IntN(7) {
		size := []int{0, 1, 5, 300, 3000, 9000}[rnd.IntN(6)]
		chunk := bytes.Repeat([]byte("x"), size)
		switch rnd.IntN(14) {
		case 0:
			status := []int{200, 201, 204, 304, 404, 500, 103}[rnd.IntN(7)]
			note(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }, "status %d", status)
		case 1, 2, 3:
			note(func(w http.ResponseWriter, _ *http.Request) { w.Write(chunk) }, "write %d", size)
		case 4:
			note(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, string(chunk)) }, "string %d", size)
		case 5:
			note(func(w http.ResponseWriter, _ *http.Request) { io.Copy(w, bytes.NewReader(chunk)) }, "copy %d", size)
		case 6:
			note(func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() }, "flush")
		case 7:
			note(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", strconv.Itoa(size)) }, "length %d", size)
		case 8:
			note(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-A", "1"); w.Header().Add("X-B", "2") }, "fields")
		case 9:
			note(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "text/csv") }, "type")
		case 10:
			note(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set(http.TrailerPrefix+"X-Sum", "1") }, "trailer")
		case 11:
			if len(p) == 0 { // a server may drop the body once the answer has begun
				note(func(w http.ResponseWriter, r *http.Request) { b, _ := io.ReadAll(r.Body); fmt.Fprintf(w, "%d", len(b)) }, "read")
			}
		case 12:
			note(func(w http.ResponseWriter, _ *http.Request) {
				c := http.NewResponseController(w)
				fmt.Fprint(w, c.SetReadDeadline(time.Now().Add(time.Hour)), c.SetWriteDeadline(time.Now().Add(time.Hour)), c.EnableFullDuplex())
				select {
				case <-w.(http.CloseNotifier).CloseNotify(): //nolint:staticcheck // gin does
					fmt.Fprint(w, "gone")
				default:
				}
			}, "controller")
		case 13:
			if rnd.IntN(3) == 0 {
				note(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "abort")
			}
		}
	}
	return p, text
}

// got is what a client has of an answer.
type got struct {
	Status  int
	Header  http.Header
	Trailer http.Header
	Body    string
}

// received reads an answer to its end. It is nothing where that is not to be had as a whole.
func received(resp *http.Response, err error) *got {
	if err != nil {
		return nil
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil
	}
	header := resp.Header.Clone()
	for _, name := range []string{"Date", "Connection", "Content-Length"} {
		header.Del(name)
	}
	if len(resp.Trailer) == 0 {
		resp.Trailer = nil
	}
	return &got{resp.StatusCode, header, resp.Trailer, string(body)}
}

// The same handler, asked over a socket and in process, gives the same answer, or none.
func TestAHandlerAnswersInProcessAsOverASocket(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	var current sync.Map
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := current.Load("script")
		p.(script).ServeHTTP(w, r)
	}))
	srv.Config.ErrorLog = nolog
	srv.Start()
	defer srv.Close()
	fresh := &http.Transport{DisableKeepAlives: true}
	whole, none := 0, 0
	for range 1000 {
		p, text := randomScript(rnd)
		current.Store("script", p)
		method := []string{"GET", "HEAD", "POST"}[rnd.IntN(3)]
		ask := func(rt http.RoundTripper) *got {
			r, err := http.NewRequest(method, srv.URL+"/a", strings.NewReader("hello"))
			require.NoError(t, err)
			return received(rt.RoundTrip(r))
		}
		over, in := ask(fresh), ask(shadow.HandlerTransport(p))
		if over == nil {
			none++
		} else {
			whole++
		}
		if in == nil && over != nil && (strings.Contains(text, "length") || strings.Contains(text, "abort")) {
			continue // the client had all of it before it went wrong, or all that it was to have
		}
		if over != nil && in != nil && over.Trailer == nil {
			in.Trailer = nil // HTTP/1 sends trailers after chunks only
		}
		require.Equal(t, over, in, "%s %s", method, text)
	}
	assert.Greater(t, whole, 300)
	assert.Greater(t, none, 30)
}

// What a client is not sent as a whole is Failed in process too.
func TestAnAnswerThatBreaksItsLengthIsFailed(t *testing.T) {
	for name, c := range map[string]struct {
		candidate http.HandlerFunc
		method    string
		want      string
		discard   bool
	}{
		"short":            {candidate: lengths("5", "abc"), want: "failed"},
		"none":             {candidate: lengths("5"), want: "failed"},
		"long":             {candidate: lengths("5", "abc", "def"), want: "failed"},
		"long at the end":  {candidate: lengths("3", "abc", "def"), want: "failed"},
		"right":            {candidate: lengths("6", "abc", "def"), want: match},
		"short, discarded": {candidate: lengths("5", "abc"), want: "failed", discard: true},
		"right, discarded": {candidate: lengths("6", "abc", "def"), want: "uncompared", discard: true},
		"HEAD":             {candidate: lengths("9", "abc", "def"), method: "HEAD", want: match},
		"304": {candidate: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5")
			w.WriteHeader(304)
		}, want: mismatch},
		"no number": {candidate: lengths("x", "abc", "def"), want: match},
	} {
		t.Run(name, func(t *testing.T) {
			target := shadow.InProcess("v2", c.candidate)
			target.Discard = c.discard
			m, results := mirror(t, target)
			w := httptest.NewRecorder()
			m.Handler(lengths("6", "abc", "def")).ServeHTTP(w, httptest.NewRequest(cmpOr(c.method, "GET"), "/", nil))
			settled(t, m, c.want, results)
			if c.want == "failed" {
				assert.ErrorIs(t, results.All()[0].Err, io.ErrUnexpectedEOF)
				assert.Contains(t, results.All()[0].Err.Error(), "Content-Length")
			}
		})
	}
}

// lengths declares a length and writes parts.
func lengths(length string, parts ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", length)
		for _, part := range parts {
			io.WriteString(w, part)
		}
	}
}

// A ReverseProxy whose upstream dies half-way gives no answer, in process too.
func TestAReverseProxyWhoseUpstreamDiesIsFailed(t *testing.T) {
	upstream := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "half")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}))
	upstream.Config.ErrorLog = nolog
	upstream.Start()
	defer upstream.Close()
	u, err := url.Parse(upstream.URL)
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(u)
	proxy.ErrorLog = nolog
	m, results := mirror(t, shadow.InProcess("v2", proxy))
	getFrom(m.Handler(text("half")), "/")
	settled(t, m, "failed", results)
	require.ErrorIs(t, results.All()[0].Err, shadow.ErrPanic)
	require.Contains(t, results.All()[0].Err.Error(), "http.ErrAbortHandler")
}

// The temporary files of a form are removed, also where the candidate panics.
func TestTheTemporaryFilesOfAnInProcessCandidateAreRemoved(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	for name, end := range map[string]func(){"returns": func() {}, "panics": func() { panic("candidate") }} {
		for _, discard := range []bool{false, true} {
			t.Run(fmt.Sprint(name, discard), func(t *testing.T) {
				var body bytes.Buffer
				form := multipart.NewWriter(&body)
				part, err := form.CreateFormFile("f", "f.txt")
				require.NoError(t, err)
				part.Write(make([]byte, 64<<10))
				form.Close()
				kept := 0
				target := shadow.InProcess("v2", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					assert.NoError(t, r.ParseMultipartForm(1<<10))
					list, _ := os.ReadDir(os.TempDir())
					kept = len(list)
					end()
				}))
				target.Discard = discard
				m, _ := mirror(t, target, allMethods)
				r := httptest.NewRequest("POST", "/", &body)
				r.Header.Set("Content-Type", form.FormDataContentType())
				m.Handler(http.HandlerFunc(echo)).ServeHTTP(httptest.NewRecorder(), r)
				require.NoError(t, m.Shutdown(t.Context()))
				assert.Equal(t, 1, kept)
				list, err := os.ReadDir(os.TempDir())
				require.NoError(t, err)
				assert.Empty(t, list)
			})
		}
	}
}

// CloseNotify says at the deadline that nobody waits any more, so that a stream ends.
func TestAnInProcessStreamHearsThatNobodyWaits(t *testing.T) {
	ended := false
	inBubble(t, text("ok"), within(time.Second, shadow.InProcess("v2", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		ended = <-w.(http.CloseNotifier).CloseNotify() //nolint:staticcheck // gin does
	}))), func(t *testing.T, m *limited) {
		getFrom(m.Front, "/")
		m.Pass(time.Second)
		assert.True(t, ended)
		assert.EqualValues(t, 1, m.Stats().Failed)
	})
}

// A panic of a candidate is told with its stack, and without its value.
func TestAPanicOfACandidateIsToldWithItsStack(t *testing.T) {
	logs := &logged{}
	reporter, lines := logTo(0)
	m, results := mirror(t, shadow.InProcess("v2", http.HandlerFunc(panicsDeepDown)), shadow.WithLogger(slog.New(slog.NewTextHandler(logs, nil))), shadow.WithReporter(reporter))
	getFrom(m.Handler(text("ok")), "/")
	require.NoError(t, m.Shutdown(context.Background()))
	err := results.All()[0].Err
	for what, told := range map[string]string{"error": fmt.Sprintf("%+v", err), "log": logs.String(), "report": fmt.Sprint(lines.lines(t))} {
		assert.Contains(t, told, "panicsDeepDown", what)
		assert.Contains(t, told, "same_test.go:", what)
		assert.NotContains(t, told, "hush", what)
	}
	assert.NotContains(t, err.Error(), "same_test.go")
	assert.Equal(t, 1, strings.Count(logs.String(), "recovered a panic"))
}

func panicsDeepDown(http.ResponseWriter, *http.Request) { panic("hush") }
