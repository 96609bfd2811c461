package shadow_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strconv"
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

// clientProgram is a random client: calls, one after the other, through one Transport.
type clientProgram struct {
	seed     uint64
	calls    []*clientCall
	parallel bool
}

// clientCall is a request, how its server answers it, and what the client makes of that.
type clientCall struct {
	again  bool // the *http.Request of the call before
	client bool // through an http.Client, and not the Transport
	stale  int  // what the connections that are open have become: see staleConn
	method string
	body   string // a kind of bodies
	text   string
	length string // of the request: "right", "unknown", "short", "long"
	get    bool   // GetBody
	trailr bool
	expect bool
	close  bool   // Request.Close
	cancel string // "", "before", "meanwhile", "in the body", "after"
	read   string // "all", "half", "none", "json", "to its end, not closed"

	// The server.
	takes    string // of the body: "all", "half", "none"
	redirect int
	hints    bool
	status   int
	answer   string
	declared bool // a Content-Length
	flush    bool
	trailers bool
	json     bool
	ends     string // "", "at once", "half-way", "connection: close"
}

func (p *clientProgram) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "-differential.seed=%d, parallel %v", p.seed, p.parallel)
	for _, c := range p.calls {
		short := *c
		short.text, short.answer = strconv.Itoa(len(c.text)), strconv.Itoa(len(c.answer))
		fmt.Fprintf(&s, "\n\t%+v", short)
	}
	return s.String()
}

func pick[T any](g *rand.Rand, from ...T) T { return from[g.IntN(len(from))] }

func newClientProgram(seed uint64) *clientProgram {
	g := rand.New(rand.NewPCG(seed, 1))
	p := &clientProgram{seed: seed, parallel: g.IntN(3) == 0}
	for range 1 + g.IntN(4) {
		c := &clientCall{client: g.IntN(2) == 0, method: pick(g, "GET", "GET", "POST", "POST", "PUT", "HEAD"), length: "right",
			takes: "all", read: pick(g, "all", "all", "all", "half", "none", "json", "to its end, not closed"),
			status: pick(g, 200, 200, 200, 201, 204, 304, 404, 500, 503), hints: g.IntN(8) == 0, declared: g.IntN(2) == 0, flush: g.IntN(3) == 0,
			trailers: g.IntN(6) == 0, json: g.IntN(3) == 0, close: g.IntN(12) == 0}
		if c.method == "POST" || c.method == "PUT" || g.IntN(10) == 0 {
			c.body = pick(g, "strings.Reader", "bytes.Reader", "bytes.Buffer", "NoBody", "file", "pipe", "reader", "one byte", "io.WriterTo", "broken", "with its end")
			c.text = strings.Repeat("body ", pick(g, 0, 1, 20, 1000, 9000, 60_000))
			if c.body == "one byte" {
				c.text = c.text[:min(len(c.text), 500)]
			}
			c.length = pick(g, "right", "right", "right", "unknown", "unknown", "short", "long")
			c.get, c.trailr, c.expect = g.IntN(2) == 0, g.IntN(5) == 0, g.IntN(6) == 0
			c.takes = pick(g, "all", "all", "all", "half", "none")
		}
		if c.json {
			c.answer = `{"items":"` + strings.Repeat("x", pick(g, 0, 10, 3000, 50_000)) + `"}` + pick(g, "", "\n", "{}")
		} else {
			c.answer = strings.Repeat("answer ", pick(g, 0, 1, 100, 1000, 50_000))
		}
		if g.IntN(6) == 0 {
			c.cancel = pick(g, "before", "meanwhile", "in the body", "after")
		}
		if g.IntN(6) == 0 {
			c.ends = pick(g, "at once", "half-way", "connection: close")
		}
		if g.IntN(8) == 0 {
			c.redirect = pick(g, 301, 302, 303, 307, 308)
		}
		if i := len(p.calls); i > 0 {
			c.stale = pick(g, 0, 0, 0, 1, 2)
			if last := p.calls[i-1]; last.settles() && g.IntN(3) == 0 {
				request := *last
				c.again, c.method, c.body, c.text, c.length = true, request.method, request.body, request.text, request.length
				c.get, c.trailr, c.expect, c.close, c.cancel = request.get, request.trailr, request.expect, request.close, ""
			}
		}
		switch { // what would wait for ever without a Mirror, too
		case c.cancel != "":
			c.takes = "all"
		case c.expect && c.takes != "all":
			c.ends = ""
		}
		p.calls = append(p.calls, c)
	}
	return p
}

// settles reports whether nothing of c is still going on when the client has its answer, so
// that its request may be sent again, and the bytes on the wire are the same each time.
func (c *clientCall) settles() bool {
	return c.takes == "all" && c.cancel == "" && (c.ends == "" || c.ends == "connection: close") &&
		(c.read == "all" || c.read == "to its end, not closed") && c.length == "right" && c.body != "broken"
}

// clientBody is a body of a request, and what became of it.
type clientBody struct {
	io.Reader
	reads  atomic.Int64
	closed atomic.Int64
	end    chan struct{}
}

func (b *clientBody) Read(p []byte) (int, error) {
	b.reads.Add(1)
	return b.Reader.Read(p)
}

func (b *clientBody) Close() error {
	if b.closed.Add(1) == 1 {
		close(b.end)
	}
	return nil
}

// selfWriting is a body that is an io.WriterTo.
type selfWriting struct{ *clientBody }

func (b selfWriting) WriteTo(w io.Writer) (n int64, err error) {
	text, err := io.ReadAll(b.Reader)
	if err != nil {
		return 0, err
	}
	for len(text) > 0 {
		k, err := w.Write(text[:min(len(text), 700)])
		if n += int64(k); err != nil {
			return n, err
		}
		text = text[k:]
	}
	return n, nil
}

// clientRun is one run of a clientProgram.
type clientRun struct {
	t      *testing.T
	p      *clientProgram
	dir    string
	h2     bool
	mu     sync.Mutex
	got    strings.Builder // what the client saw
	server []string        // what the server saw, by the number of the call
	conns  []*staleConn
	calls  atomic.Uint64    // of the Transport
	bodies map[int][]string // that reached the server as a whole, by the call
	begun  []chan struct{}  // the handler of a call waits for the client to give up
}

func (r *clientRun) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(&r.got, format+"\n", args...)
}

func (r *clientRun) open(c *clientCall) (io.ReadCloser, *clientBody) {
	own := &clientBody{end: make(chan struct{}), Reader: strings.NewReader(c.text)}
	switch c.body {
	case "":
		return nil, nil
	case "NoBody":
		return http.NoBody, nil
	case "strings.Reader":
		return io.NopCloser(strings.NewReader(c.text)), nil
	case "bytes.Reader":
		return io.NopCloser(bytes.NewReader([]byte(c.text))), nil
	case "bytes.Buffer":
		return io.NopCloser(bytes.NewBufferString(c.text)), nil
	case "file":
		f, err := os.Open(r.file(c.text))
		require.NoError(r.t, err)
		return f, nil
	case "pipe":
		pr, pw := io.Pipe()
		go func() {
			for text := c.text; text != ""; text = text[min(len(text), 3000):] {
				if _, err := io.WriteString(pw, text[:min(len(text), 3000)]); err != nil {
					return
				}
			}
			pw.Close()
		}()
		return pr, nil
	case "one byte":
		own.Reader = iotest.OneByteReader(own.Reader)
	case "with its end":
		own.Reader = iotest.DataErrReader(own.Reader)
	case "broken":
		own.Reader = io.MultiReader(strings.NewReader(c.text[:len(c.text)/2]), errReader{errors.New("disk on fire")})
	case "io.WriterTo":
		return selfWriting{own}, own
	}
	return own, own
}

func (r *clientRun) file(text string) string {
	name := filepath.Join(r.dir, strconv.Itoa(len(text)))
	if _, err := os.Stat(name); err != nil {
		require.NoError(r.t, os.WriteFile(name, []byte(text), 0o600))
	}
	return name
}

// request returns the request of c, the i-th call, and its body where that keeps count.
func (r *clientRun) request(url string, i int, c *clientCall) (*http.Request, *clientBody) {
	req, err := http.NewRequest(c.method, url+"/"+strconv.Itoa(i), nil)
	require.NoError(r.t, err)
	body, own := r.open(c)
	req.Body = body
	if body != nil && c.body != "NoBody" {
		req.ContentLength = map[string]int64{"right": int64(len(c.text)), "unknown": -1, "short": int64(len(c.text)) / 2, "long": int64(len(c.text)) + 3}[c.length]
		if c.get {
			req.GetBody = func() (io.ReadCloser, error) {
				body, _ := r.open(c)
				return body, nil
			}
		}
	}
	if c.trailr && !(r.h2 && c.body == "NoBody") { // which net/http never ends in HTTP/2
		req.Trailer = http.Header{"X-Sum": {"1"}}
	}
	if c.expect {
		req.Header.Set("Expect", "100-continue")
	}
	req.Close = c.close
	return req, own
}

// staleConn is a connection of the client. It notes what is written. In era 1 it fails before it
// writes anything, in era 2 after it did.
type staleConn struct {
	net.Conn
	era    atomic.Int32
	mu     sync.Mutex
	writes []string
}

func (c *staleConn) Write(p []byte) (int, error) {
	if c.era.Load() != 0 {
		c.Conn.Close()
		if c.era.Load() == 1 {
			return 0, syscall.EPIPE
		}
		return len(p), nil
	}
	c.mu.Lock()
	c.writes = append(c.writes, string(p))
	c.mu.Unlock()
	return c.Conn.Write(p)
}

func (c *staleConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil && c.era.Load() != 0 {
		return n, io.EOF
	}
	return n, err
}

// ServeHTTP is the server of all calls.
func (r *clientRun) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	where := strings.Split(req.URL.Path, "/")
	i, _ := strconv.Atoi(where[1])
	c := r.p.calls[i]
	w.Header()["Date"] = nil
	var body []byte
	var err error
	switch c.takes {
	case "all":
		body, err = io.ReadAll(req.Body)
	case "half":
		body = make([]byte, len(c.text)/2)
		n, _ := io.ReadFull(req.Body, body)
		body = body[:n]
	}
	r.mu.Lock()
	r.server[i] += fmt.Sprintln(req.Method, req.URL, req.Proto, req.Header, req.ContentLength, req.TransferEncoding, req.Close, summed(body), errors.Is(err, io.EOF), err != nil, req.Trailer)
	if c.takes == "all" && err == nil {
		r.bodies[i] = append(r.bodies[i], string(body))
	}
	r.mu.Unlock()
	if c.cancel == "meanwhile" {
		r.begun[i] <- struct{}{}
		<-req.Context().Done()
		return
	}
	if c.hints {
		w.Header().Set("Link", "</a>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
	}
	switch c.ends {
	case "at once":
		panic(http.ErrAbortHandler)
	case "connection: close":
		w.Header().Set("Connection", "close")
	}
	if c.redirect != 0 && len(where) == 2 {
		w.Header().Set("Location", req.URL.Path+"/next")
		w.WriteHeader(c.redirect)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	if c.json {
		w.Header().Set("Content-Type", "application/json")
	}
	if c.declared {
		w.Header().Set("Content-Length", strconv.Itoa(len(c.answer)))
	} else if c.trailers {
		w.Header().Set("Trailer", "X-End")
	}
	w.WriteHeader(c.status)
	io.WriteString(w, c.answer[:len(c.answer)/2])
	if c.flush || c.ends == "half-way" || c.cancel == "in the body" {
		w.(http.Flusher).Flush()
	}
	if c.ends == "half-way" {
		panic(http.ErrAbortHandler)
	}
	hasBody := req.Method != "HEAD" && c.status != http.StatusNoContent && c.status != http.StatusNotModified && c.answer != ""
	if c.cancel == "in the body" && hasBody { // else the client has its answer
		<-req.Context().Done()
		return
	}
	io.WriteString(w, c.answer[len(c.answer)/2:])
	if c.trailers {
		w.Header().Set("X-End", "1")
		w.Header().Set(http.TrailerPrefix+"X-Late", "2")
	}
}

// summed is text, shortened without hiding a difference in length, beginning or end.
func summed(text []byte) string {
	if len(text) < 100 {
		return strconv.Quote(string(text))
	}
	sum := uint64(14695981039346656037) // FNV-1a
	for _, b := range text {
		sum = (sum ^ uint64(b)) * 1099511628211
	}
	return fmt.Sprintf("%d bytes, %x", len(text), sum)
}

// class is all of an error that is the same each time.
func class(err error) string {
	if err == nil {
		return "nil"
	}
	var s strings.Builder
	for _, is := range []error{context.Canceled, io.EOF, io.ErrUnexpectedEOF, http.ErrBodyReadAfterClose, syscall.EPIPE} {
		if errors.Is(err, is) {
			fmt.Fprintf(&s, "(%v)", is)
		}
	}
	return fmt.Sprintf("%T%s %s", err, s.String(), ports.ReplaceAllString(err.Error(), ":port"))
}

// run runs p against a server of its own. Mirror is what is tried: nil is none.
func (p *clientProgram) run(t *testing.T, dir string, h2 bool, mirror func(http.RoundTripper) http.RoundTripper) *clientRun {
	r := &clientRun{t: t, p: p, dir: dir, h2: h2, server: make([]string, len(p.calls)), bodies: map[int][]string{}}
	for range p.calls {
		r.begun = append(r.begun, make(chan struct{}, 10))
	}
	srv, handlers := server(t, r, h2)
	tr := &http.Transport{DisableCompression: true, ForceAttemptHTTP2: h2, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ExpectContinueTimeout: time.Hour,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			c := &staleConn{Conn: conn}
			r.mu.Lock()
			r.conns = append(r.conns, c)
			r.mu.Unlock()
			return c, nil
		}}
	var through http.RoundTripper = tr
	if mirror != nil {
		through = mirror(tr)
	}
	counted := roundTripper(func(req *http.Request) (*http.Response, error) {
		r.calls.Add(1)
		before := *req
		resp, err := through.RoundTrip(req)
		if req.Body != before.Body || req.URL != before.URL || req.ContentLength != before.ContentLength || req.Context() != before.Context() {
			r.note("the request was changed")
		}
		return resp, err
	})
	var last *http.Request
	var bodies []*clientBody
	for i, c := range p.calls {
		if c.stale != 0 {
			r.mu.Lock()
			for _, conn := range r.conns {
				conn.era.CompareAndSwap(0, int32(c.stale))
			}
			r.mu.Unlock()
		}
		req := last
		if !c.again {
			var own *clientBody
			if req, own = r.request(srv.URL, i, c); own != nil {
				bodies = append(bodies, own)
			}
		} else {
			req.URL.Path = "/" + strconv.Itoa(i)
		}
		last = req
		r.call(counted, req, i, c)
	}
	tr.CloseIdleConnections()
	handlers.Wait()
	srv.Close()
	for _, b := range bodies { // a Transport always closes it, though perhaps later
		select {
		case <-b.end:
			r.note("closed")
		case <-time.After(30 * time.Second):
			r.note("never closed")
		}
	}
	return r
}

func (r *clientRun) call(through http.RoundTripper, last *http.Request, i int, c *clientCall) {
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute) // only ever reached by a bug
	defer cancel()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:        func(info httptrace.GotConnInfo) { r.note("connection reused: %v", info.Reused) },
		Got100Continue: func() { r.note("100") },
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			r.note("%d %v", code, h)
			return nil
		},
	})
	switch c.cancel {
	case "before":
		cancel()
	case "meanwhile":
		given := make(chan struct{})
		defer func() { <-given }()
		go func() {
			defer close(given)
			select {
			case <-r.begun[i]:
				cancel()
			case <-ctx.Done():
			}
		}()
		defer cancel()
	}
	req := last.WithContext(ctx)
	r.note("call %d", i)
	var resp *http.Response
	var err error
	if c.client {
		resp, err = (&http.Client{Transport: through}).Do(req)
	} else {
		resp, err = through.RoundTrip(req)
	}
	if err != nil {
		r.note("error: %s", class(err))
		return
	}
	r.note("%s %s %v %v %d %v %v %v %s", resp.Proto, resp.Status, resp.Header, resp.Uncompressed, resp.ContentLength, resp.TransferEncoding, resp.Close,
		resp.Request == req, resp.Request.Method+" "+resp.Request.URL.Path)
	var body []byte
	switch {
	case c.cancel == "in the body":
		body = make([]byte, len(c.answer)/2)
		if resp.Body != http.NoBody {
			io.ReadFull(resp.Body, body)
		}
		cancel()
		_, err = io.Copy(io.Discard, resp.Body)
	case c.read == "half":
		body = make([]byte, len(c.answer)/2)
		_, err = io.ReadFull(resp.Body, body)
	case c.read == "json":
		var v any
		err = json.NewDecoder(resp.Body).Decode(&v)
		body = fmt.Append(nil, v)
	case c.read != "none":
		body, err = io.ReadAll(resp.Body)
	}
	r.note("%s %s", summed(body), class(err))
	if c.read == "all" || c.read == "to its end, not closed" {
		r.note("trailer %v", resp.Trailer)
	}
	if c.read != "to its end, not closed" || err != nil {
		r.note("close: %s", class(resp.Body.Close()))
		_, err := resp.Body.Read(make([]byte, 1))
		r.note("read on: %s", class(err))
	}
}

// outcome is all that a run did, the same each time but for what is a race without a Mirror.
func (r *clientRun) outcome(h2 bool) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	wire := ""
	if !h2 && !slices.ContainsFunc(r.p.calls, func(c *clientCall) bool { return !c.settles() }) {
		for _, c := range r.conns {
			for _, w := range c.writes {
				wire += "wrote " + summed([]byte(ports.ReplaceAllString(w, ":port"))) + "\n"
			}
		}
	}
	return fmt.Sprintf("%s\n%s\ncalls %d\n%s", r.got.String(), ports.ReplaceAllString(strings.Join(r.server, "\n"), ":port"), r.calls.Load(), wire)
}

// A server is sent the same bytes in the same writes, and a client gets the same, with a Mirror
// around the Transport and without, whatever the client does. Each call is counted once, and
// what was compared is what was sent and answered.
//
// What is not the same each time without a Mirror is tried again, as in
// TestRandomHandlersAreUntouched.
func TestRandomClientsAreUntouched(t *testing.T) {
	first := *differentialSeed
	if first == 0 {
		first = rand.Uint64() >> 16
	}
	t.Logf("-differential.seed=%d", first)
	bothProtocols(t, func(t *testing.T, h2 bool) {
		dir := t.TempDir() // its name is in errors
		for i := range uint64(*differentialPrograms) {
			p := newClientProgram(first + i)
			timing := shadow.AfterPrimary
			if p.parallel {
				timing = shadow.Parallel
			}
			bare := map[string]bool{}
			alone := func() { bare[p.run(t, dir, h2, nil).outcome(h2)] = true }
			alone()
			for try := 0; ; try++ {
				m, results := mirror(t, shadow.InProcess("v2", text("ok")), allMethods, shadow.WithTiming(timing), shadow.WithQueue(1000, 64<<20))
				r := p.run(t, dir, h2, m.Transport)
				require.NoError(t, m.Shutdown(t.Context()))
				require.Zero(t, m.Stats().QueuedBytes, "%v", p)
				ledger(t, m)
				require.Equal(t, r.calls.Load(), m.Stats().Requests, "%v", p)
				r.compared(results.All())
				got := r.outcome(h2)
				if bare[got] {
					break
				}
				if try == 5 {
					t.Fatalf("%v\nwith a Mirror: %s\nwithout one: %s", p, got, strings.Join(slices.Sorted(keys(bare)), "\n----\n"))
				}
				for range 3 {
					alone()
				}
			}
		}
	})
}

// compared expects the requests of results to be what the server was sent.
func (r *clientRun) compared(results []*shadow.Result) {
	for _, res := range results {
		i, err := strconv.Atoi(strings.Split(res.Request.URL.Path, "/")[1])
		require.NoError(r.t, err)
		c := r.p.calls[i]
		if c.takes == "all" && c.stale == 0 && c.length != "long" && c.ends == "" && c.cancel == "" && len(r.bodies[i]) > 0 {
			assert.Contains(r.t, r.bodies[i], string(res.Request.Body), "%v", r.p)
		}
		if res.Primary != nil && c.status != http.StatusNoContent && c.status != http.StatusNotModified && c.method != "HEAD" && c.redirect == 0 && c.ends == "" {
			want := c.answer
			if c.read == "json" {
				assert.True(r.t, strings.HasPrefix(want, string(res.Primary.Body)), "%v", r.p)
			} else {
				assert.Equal(r.t, want, string(res.Primary.Body), "%v", r.p)
			}
		}
	}
}
