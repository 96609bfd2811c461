package shadow_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/http/httputil"
	"net/textproto"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

// shape is a handler of some shape and a request to it. It is served bare, and behind
// a Mirror with each kind of target; the client must not see which is which, and the
// candidate, which is the same handler, must be found to match where it is asked.
type shape struct {
	name    string
	handler http.Handler
	serve   http.HandlerFunc // in place of handler

	method string   // GET
	path   string   // /
	header []string // lines
	body   string
	raw    string // in place of all that: what an HTTP/1 client sends

	// talk is an HTTP/1 client with a mind of its own, in place of raw. It returns
	// what it was answered.
	talk func(t *testing.T, c net.Conn) string

	want string // where the ledger has it: an Outcome or a Reason
	h2   string // the same over HTTP/2, if it is another one; "-" is not to be asked
}

func (s shape) h() http.Handler {
	if s.handler != nil {
		return s.handler
	}
	return s.serve
}

const (
	match    = string(shadow.Match)
	mismatch = string(shadow.Mismatch)
)

func text(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, s) }
}

// echo answers what it read of the body and how that ended.
func echo(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%d %.40q %v %v", len(b), b, err, r.Trailer)
}

// allMethods makes a Mirror copy everything.
var allMethods = shadow.WithMethods("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "QUERY")

func shapes(t *testing.T) []shape {
	dir := t.TempDir()
	file := func(name string, size int) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, bytes.Repeat([]byte("nothing but text"), size/16), 0o600))
		return path
	}
	small, large := file("small.txt", 8<<10), file("large.bin", 1<<20+1<<16)
	modified := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	content := strings.Repeat("content ", 700)
	serveContent := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"v1"`)
		http.ServeContent(w, r, "doc.txt", modified, strings.NewReader(content))
	}
	long := strings.Repeat("x", 100<<10)
	huge := strings.Repeat("h", 1<<20+1<<16)
	post := func(size int) string { return strings.Repeat("p", size) }
	openFile := func(path string) *os.File {
		f, err := os.Open(path)
		if err != nil {
			panic(err)
		}
		return f
	}

	return []shape{
		// The status line and the body.
		{name: "nothing", serve: func(http.ResponseWriter, *http.Request) {}, want: match},
		{name: "implicit 200", serve: text("hello"), want: match},
		{name: "explicit 201", serve: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/things/1")
			w.WriteHeader(http.StatusCreated)
			io.WriteString(w, "made")
		}, want: match},
		{name: "404", handler: http.NotFoundHandler(), want: match},
		{name: "redirect", handler: http.RedirectHandler("/elsewhere", http.StatusFound), want: match},
		{name: "500", serve: func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "broken", 500) }, want: match},
		{name: "unknown status 799", serve: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(799) }, want: match},
		{name: "429", serve: func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "slow down", 429) }, want: "primary-refused"},
		{name: "503", serve: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, want: "primary-refused"},
		{name: "status twice", serve: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(202)
			w.WriteHeader(404)
			io.WriteString(w, "x")
		}, want: match},
		{name: "status after body", serve: func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "x")
			w.WriteHeader(404)
		}, want: match},
		{name: "header after body", serve: func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "x")
			w.Header().Set("Content-Type", "too/late")
			w.Header().Set("X-Late", "1")
		}, want: match},
		{name: "204", serve: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, want: match},
		{name: "204 with a body", serve: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(204)
			if _, err := io.WriteString(w, "x"); !errors.Is(err, http.ErrBodyNotAllowed) {
				panic(err)
			}
		}, want: match},
		{name: "204 with Content-Length", serve: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5")
			w.WriteHeader(204)
		}, want: match, h2: "-"},
		{name: "304", serve: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("ETag", `"1"`)
			w.WriteHeader(304)
		}, want: match},
		{name: "304 with Content-Type", serve: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(304)
		}, want: match},
		{name: "empty write", serve: func(w http.ResponseWriter, _ *http.Request) { w.Write(nil) }, want: match},
		{name: "JSON", serve: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, `{"a":[1,2,{"b":null}]}`)
		}, want: match},

		// HEAD.
		{name: "HEAD without a type", method: "HEAD", serve: text("hello"), want: match},
		{name: "HEAD with everything", method: "HEAD", serve: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.Header().Set("Content-Length", "5")
			io.WriteString(w, "hello")
		}, want: match},
		{name: "HEAD length only", method: "HEAD", serve: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "500")
		}, want: match},
		{name: "HEAD long", method: "HEAD", serve: text(long), want: match},
		{name: "HEAD file", method: "HEAD", serve: func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, large) }, want: match},
		{name: "HEAD copy of a file", method: "HEAD", serve: func(w http.ResponseWriter, r *http.Request) {
			f := openFile(small)
			defer f.Close()
			io.Copy(w, f)
		}, want: match},

		// Content-Length.
		{name: "length", serve: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5")
			io.WriteString(w, "hello")
		}, want: match},
		{name: "length 0", serve: func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "0") }, want: match},
		{name: "length invalid", serve: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "five")
			io.WriteString(w, "hello")
		}, want: match, h2: "-"},
		{name: "length negative", serve: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "-5")
			io.WriteString(w, "hello")
		}, want: match, h2: "-"},
		{name: "length too long", serve: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "50")
			io.WriteString(w, "hello")
		}, want: "primary-incomplete"},
		{name: "length too short", serve: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "3")
			_, err := io.WriteString(w, "hello")
			if !errors.Is(err, http.ErrContentLength) {
				panic(err)
			}
		}, want: "primary-incomplete", h2: "-"},
		{name: "length too short in the middle", serve: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5")
			io.WriteString(w, "hel")
			_, err := w.Write([]byte("lo and more"))
			io.WriteString(w, fmt.Sprint(err))
		}, want: "primary-incomplete", h2: "-"},

		// Chunks and flushes.
		{name: "long", serve: text(long), want: match},
		{name: "over the limit", serve: text(huge), want: match},
		{name: "over the limit, declared", serve: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(len(huge)))
			io.WriteString(w, huge)
		}, want: match},
		{name: "flushes", serve: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for i := range 5 {
				fmt.Fprintf(w, "data: %d\n\n", i)
				w.(http.Flusher).Flush()
			}
		}, want: match},
		{name: "flush before anything", serve: func(w http.ResponseWriter, _ *http.Request) {
			w.(http.Flusher).Flush()
			io.WriteString(w, "later")
		}, want: match},
		{name: "flush within what is sniffed", serve: func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "<!DOC")
			w.(http.Flusher).Flush()
			io.WriteString(w, "TYPE html><html></html>")
		}, want: match},
		{name: "controller flush", serve: func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "one")
			if err := http.NewResponseController(w).Flush(); err != nil {
				panic(err)
			}
			io.WriteString(w, "two")
		}, want: match},
		{name: "transfer-encoding identity", serve: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Transfer-Encoding", "identity")
			io.WriteString(w, "hello")
		}, want: match, h2: "-"},
		{name: "many small writes", serve: func(w http.ResponseWriter, _ *http.Request) {
			for i := range 3000 {
				fmt.Fprintf(w, "%d,", i)
			}
		}, want: match},

		// 1xx.
		{name: "103", serve: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", "</style.css>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Set("Link", "</script.js>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Del("Link")
			w.WriteHeader(200)
			io.WriteString(w, "page")
		}, want: match},
		{name: "102 and no final status", serve: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusProcessing)
		}, want: match},

		// Trailers.
		{name: "declared trailers", serve: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "X-Sum, x-more")
			w.Header().Add("Trailer", "X-Never")
			io.WriteString(w, "body")
			w.Header().Set("X-Sum", "1")
			w.Header().Set("X-More", "2")
		}, want: match},
		{name: "trailer prefix", serve: func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "body")
			w.(http.Flusher).Flush()
			w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
		}, want: match},
		{name: "both kinds of trailers, long", serve: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "X-Sum")
			io.WriteString(w, long)
			w.Header().Set("X-Sum", "1")
			w.Header().Set(http.TrailerPrefix+"X-Other", "2")
		}, want: match},
		{name: "trailers without a body", serve: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "X-Sum")
			w.WriteHeader(200)
			w.Header().Set("X-Sum", "1")
		}, want: match},
		{name: "request trailers", raw: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n" +
			"5\r\nhello\r\n0\r\nX-Sum: 7\r\n\r\n", serve: echo, want: match, h2: "-"},
		{name: "undeclared request trailers", raw: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" +
			"5\r\nhello\r\n0\r\nX-Sum: 7\r\n\r\n", serve: echo, want: match, h2: "-"},
		{name: "request trailers without a body", raw: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n" +
			"0\r\nX-Sum: 7\r\n\r\n", serve: echo, want: match, h2: "-"},

		// Files.
		{name: "ServeContent", serve: serveContent, want: match},
		{name: "ServeContent range", header: []string{"Range: bytes=10-19"}, serve: serveContent, want: match},
		{name: "ServeContent ranges", header: []string{"Range: bytes=0-4,100-104"}, serve: serveContent, want: match}, // whatever the boundary
		{name: "ServeContent bad range", header: []string{"Range: bytes=100000-"}, serve: serveContent, want: match},
		{name: "ServeContent not modified", header: []string{`If-None-Match: "v1"`}, serve: serveContent, want: match},
		{name: "ServeContent not modified since", header: []string{"If-Modified-Since: Wed, 01 May 2024 12:00:00 GMT"}, serve: serveContent, want: match},
		{name: "ServeContent precondition", header: []string{`If-Match: "v2"`}, serve: serveContent, want: match},
		{name: "ServeContent if-range", header: []string{`If-Range: "v0"`, "Range: bytes=0-1"}, serve: serveContent, want: match},
		{name: "ServeFile", serve: func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, small) }, want: match},
		{name: "ServeFile over the limit", serve: func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, large) },
			want: "uncompared", h2: match}, // HTTP/2 has no sendfile: its bytes are seen
		{name: "ServeFile over the limit, range", header: []string{"Range: bytes=16-47"},
			serve: func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, large) }, want: match},
		{name: "copy of a file", serve: func(w http.ResponseWriter, r *http.Request) {
			f := openFile(small)
			defer f.Close()
			io.Copy(w, f)
		}, want: match},
		{name: "copy of a file over the limit, not declared", serve: func(w http.ResponseWriter, r *http.Request) {
			f := openFile(large)
			defer f.Close()
			io.Copy(w, f)
		}, want: match},
		{name: "copy of a file after a write", serve: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(4+(8<<10)))
			io.WriteString(w, "head")
			f := openFile(small)
			defer f.Close()
			io.Copy(w, f)
		}, want: match},
		{name: "copy of a part of a file", serve: func(w http.ResponseWriter, r *http.Request) {
			f := openFile(small)
			defer f.Close()
			w.Header().Set("Content-Length", "4096")
			io.CopyN(w, f, 4096)
		}, want: match},
		{name: "copy of nothing", serve: func(w http.ResponseWriter, r *http.Request) { io.Copy(w, onlyReader{strings.NewReader("")}) }, want: match},
		{name: "copy of a short reader", serve: func(w http.ResponseWriter, r *http.Request) { io.Copy(w, onlyReader{strings.NewReader("abc")}) }, want: match},
		{name: "copy of a reader that fails", serve: func(w http.ResponseWriter, r *http.Request) {
			_, err := io.Copy(w, io.MultiReader(onlyReader{strings.NewReader("abc")}, failingReader{}))
			fmt.Fprint(w, " then ", err)
		}, want: match},
		{name: "write string", serve: func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, long[:5000]) }, want: match},

		// The connection.
		{name: "hijack", h2: "-", serve: func(w http.ResponseWriter, r *http.Request) {
			c, rw, err := w.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			defer c.Close()
			rw.WriteString("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
			rw.Flush()
			if _, err := w.Write([]byte("x")); !errors.Is(err, http.ErrHijacked) {
				panic(err)
			}
		}, want: "hijacked"},
		{name: "hijack by controller", h2: "-", serve: func(w http.ResponseWriter, r *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			io.WriteString(c, "HTTP/1.0 204 No Content\r\n\r\n")
			c.Close()
		}, want: "hijacked"},
		{name: "hijack through a middleware that hides it", h2: "-", serve: func(w http.ResponseWriter, r *http.Request) {
			c, _, err := http.NewResponseController(unwrapper{w}).Hijack()
			if err != nil {
				panic(err)
			}
			io.WriteString(c, "HTTP/1.0 204 No Content\r\n\r\n")
			c.Close()
		}, want: "hijacked"},
		{name: "upgrade", h2: "-", header: []string{"Connection: Upgrade", "Upgrade: test"}, serve: func(w http.ResponseWriter, r *http.Request) {
			c, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: test\r\n\r\nbytes")
			c.Close()
		}, want: "upgrade"},
		{name: "client says close", header: []string{"Connection: close"}, serve: text("bye"), want: match, h2: "-"},
		{name: "handler says close", serve: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "close")
			io.WriteString(w, "bye")
		}, want: match},
		{name: "HTTP/1.0", raw: "GET / HTTP/1.0\r\n\r\n", serve: text("old"), want: match, h2: "-"},
		{name: "HTTP/1.0 keep-alive", raw: "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", serve: text("old"), want: match, h2: "-"},
		{name: "HTTP/1.0 post", raw: "POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello", serve: echo, want: match, h2: "-"},
		{name: "absolute form", raw: "GET http://other.test/path?q=1 HTTP/1.1\r\nHost: a\r\n\r\n", serve: func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, r.URL.RequestURI())
		}, want: match, h2: "-"},

		// Panics.
		{name: "panic", serve: func(http.ResponseWriter, *http.Request) { panic("boom") }, want: "primary-panicked"},
		{name: "panic after a write", serve: func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "half")
			panic("boom")
		}, want: "primary-panicked"},
		{name: "panic after a flush", serve: func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "half")
			w.(http.Flusher).Flush()
			panic(errors.New("boom"))
		}, want: "primary-panicked"},
		{name: "abort", serve: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, want: "primary-panicked"},
		{name: "abort after a flush", serve: func(w http.ResponseWriter, _ *http.Request) {
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, want: "primary-panicked"},
		{name: "goexit", serve: func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "half")
			runtime.Goexit()
		}, want: "primary-panicked"},
		{name: "invalid status", serve: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(0) }, want: "primary-panicked"},
		{name: "status too big", serve: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(1000) }, want: "primary-panicked"},
		{name: "invalid status, recovered", serve: func(w http.ResponseWriter, _ *http.Request) {
			defer func() {
				recover()
				http.Error(w, "sorry", 500)
			}()
			w.WriteHeader(1000)
		}, want: match},

		// Headers that are odd.
		{name: "nil date and type", serve: func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Date"] = nil
			w.Header()["Content-Type"] = nil
			io.WriteString(w, "<html>")
		}, want: match},
		{name: "header cleared", serve: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-A", "1")
			clear(w.Header())
			io.WriteString(w, "x")
		}, want: match},
		{name: "invalid header values", serve: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Lines", "a\r\nInjected: 1")
			w.Header()["lower-case"] = []string{"1"}
			w.Header().Set("X-Bytes", "caf\xe9")
			io.WriteString(w, "x")
		}, want: match, h2: "-"},
		{name: "invalid header names", serve: func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Bad Name"] = []string{"1"}
			w.Header()[""] = []string{"1"}
			io.WriteString(w, "x")
		}, want: match, h2: "-"},
		{name: "set-cookie twice", serve: func(w http.ResponseWriter, _ *http.Request) {
			http.SetCookie(w, &http.Cookie{Name: "a", Value: "1"})
			http.SetCookie(w, &http.Cookie{Name: "b", Value: "2"})
		}, want: match},

		// Request bodies.
		{name: "post", method: "POST", body: "hello", serve: echo, want: match},
		{name: "post 64K", method: "POST", body: post(64 << 10), serve: echo, want: match},
		{name: "post 1M", method: "POST", body: post(1 << 20), serve: echo, want: match},
		{name: "post over the limit", method: "POST", body: post(1<<20 + 1), serve: echo, want: "body-too-large"},
		{name: "post empty", method: "POST", header: []string{"Content-Length: 0"}, serve: echo, want: match, h2: "-"},
		{name: "get with a body", method: "GET", body: "unusual", serve: echo, want: match},
		{name: "chunked", raw: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", serve: echo, want: match, h2: "-"},
		{name: "chunked over the limit", raw: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" +
			fmt.Sprintf("%x\r\n", 1<<20+100) + post(1<<20+100) + "\r\n0\r\n\r\n", serve: echo, want: "body-too-large", h2: "-"},
		{name: "chunked malformed", raw: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nZZ\r\n", serve: echo, want: "body-failed", h2: "-"},
		{name: "body read twice", method: "POST", body: "hello", serve: func(w http.ResponseWriter, r *http.Request) {
			echo(w, r)
			echo(w, r)
			n, err := r.Body.Read(make([]byte, 8))
			fmt.Fprint(w, n, err)
		}, want: match},
		{name: "body read to its length only", method: "POST", body: "hello", serve: func(w http.ResponseWriter, r *http.Request) {
			b := make([]byte, r.ContentLength)
			_, err := io.ReadFull(r.Body, b)
			fmt.Fprintf(w, "%s %v", b, err)
		}, want: match},
		{name: "body after the response", method: "POST", body: "hello", serve: func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(200)
			echo(w, r)
		}, want: match},
		{name: "body after a flush", method: "POST", body: "hello", serve: func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush() // HTTP/1: the server takes the rest of the body now
			echo(w, r)
		}, want: "body-failed", h2: "-"},
		{name: "body closed early", method: "POST", body: post(1000), serve: func(w http.ResponseWriter, r *http.Request) {
			r.Body.Read(make([]byte, 10))
			err := r.Body.Close()
			_, err2 := r.Body.Read(make([]byte, 10))
			fmt.Fprint(w, err, err2)
		}, want: "body-unread"},
		{name: "body closed after", method: "POST", body: "hello", serve: func(w http.ResponseWriter, r *http.Request) {
			echo(w, r)
			r.Body.Close()
		}, want: match},
		{name: "chunked body not read", raw: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
			serve: text("no"), want: "body-unread", h2: "-"},
		{name: "big body not read", method: "POST", body: post(300 << 10), serve: text("no"), want: "body-unread"},
		{name: "256K body not read", method: "POST", body: post(256 << 10), serve: text("no"), want: "body-unread"},
		{name: "body not read, long answer", method: "POST", body: post(1000), serve: text(long), want: "body-unread"},
		{name: "head with a body not read, long answer", method: "HEAD", body: post(1000), serve: text(long), want: "body-unread", h2: "-"},
		{name: "body not read, handler says close", method: "POST", body: post(1000), serve: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "close")
			w.WriteHeader(401)
		}, want: match, h2: "body-unread"}, // all of it has arrived, so it is there to copy
		{name: "body not read, client says close", method: "POST", header: []string{"Connection: close"}, body: post(1000),
			serve: text("no"), want: match, h2: "-"},
		{name: "body not read", method: "POST", body: post(1000), serve: text("no"), want: match, h2: "body-unread"},
		{name: "body replaced", method: "POST", body: "hello", serve: func(w http.ResponseWriter, r *http.Request) {
			echo(w, r)
			r.Body = io.NopCloser(strings.NewReader("other"))
			echo(w, r)
		}, want: match},
		{name: "form", method: "POST", header: []string{"Content-Type: application/x-www-form-urlencoded"}, path: "/?q=1", body: "a=1&b=2",
			serve: func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.ParseForm(), r.Form, r.PostForm) }, want: match},
		{name: "header changed by the handler", header: []string{"X-A: 1"}, serve: func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, r.Header.Get("X-A"))
			r.Header.Set("X-A", "2")
			r.URL.Path = "/changed"
			r.Method = "DELETE"
		}, want: match},

		// net/http's own middleware.
		{name: "TimeoutHandler inside", handler: http.TimeoutHandler(http.HandlerFunc(echo), time.Minute, "late"), method: "POST", body: "hello", want: match},
		{name: "TimeoutHandler inside, late", handler: http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "lost")
			<-r.Context().Done()
		}), time.Millisecond, "late"), want: "primary-refused"},
		{name: "MaxBytesHandler inside", handler: http.MaxBytesHandler(http.HandlerFunc(echo), 100), method: "POST", body: "hello", want: match},
		{name: "StripPrefix inside", path: "/a/b", handler: http.StripPrefix("/a", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, r.URL.Path)
		})), want: match},
		{name: "ServeMux inside", path: "/items/7", handler: mux("GET /items/{id}", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, r.Pattern, r.PathValue("id"))
		}), want: match},
		{name: "ServeMux inside, method not allowed", method: "DELETE", path: "/items/7", handler: mux("GET /items/{id}", text("x")), want: match},
		{name: "ServeMux inside, path cleaned", path: "//items/../a", handler: mux("GET /items/{id}", text("x")), want: match},
		{name: "write deadline in the past", serve: func(w http.ResponseWriter, r *http.Request) {
			if err := http.NewResponseController(w).SetWriteDeadline(time.Unix(1, 0)); err != nil {
				panic(err)
			}
			io.WriteString(w, long)
		}, want: "client-gone", h2: "-"},
		{name: "deadlines", method: "POST", body: "hello", serve: func(w http.ResponseWriter, r *http.Request) {
			rc := http.NewResponseController(w)
			rc.SetReadDeadline(time.Now().Add(time.Hour)) // in process there is none
			rc.SetWriteDeadline(time.Now().Add(time.Hour))
			echo(w, r)
		}, want: match},

		// Conversations.
		{name: "pipelined", h2: "-", serve: text("hello"), raw: "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n", want: match},
		{name: "continue accepted", h2: "-", serve: echo, talk: func(t *testing.T, c net.Conn) string {
			r := bufio.NewReader(c)
			io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
			first := readHead(t, r)
			io.WriteString(c, "hello"+lastRequest)
			return first + readRest(t, r)
		}, want: match},
		{name: "continue refused", h2: "-", serve: func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(413) },
			talk: func(t *testing.T, c net.Conn) string {
				io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
				return readHead(t, bufio.NewReader(c))
			}, want: "body-unread"},
		{name: "continue refused with a flush", h2: "-", serve: func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(401)
			w.(http.Flusher).Flush()
		}, talk: func(t *testing.T, c net.Conn) string {
			io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n")
			return readUntil(t, bufio.NewReader(c), "\r\n0\r\n\r\n")
		}, want: "body-unread"},
		{name: "continue sent by hand", h2: "-", serve: func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(100)
			echo(w, r)
		}, talk: func(t *testing.T, c net.Conn) string {
			r := bufio.NewReader(c)
			io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
			first := readHead(t, r)
			io.WriteString(c, "hello"+lastRequest)
			return first + readRest(t, r)
		}, want: match},
		{name: "unknown expectation", h2: "-", serve: echo, header: []string{"Expect: 200-ok"}, want: ""},
		{name: "body truncated", h2: "-", serve: echo, talk: func(t *testing.T, c net.Conn) string {
			io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\nhello")
			c.(*net.TCPConn).CloseWrite()
			return readRest(t, bufio.NewReader(c))
		}, want: "client-gone"},
		{name: "body truncated, not read", h2: "-", serve: text("no"), talk: func(t *testing.T, c net.Conn) string {
			io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\nhello")
			c.(*net.TCPConn).CloseWrite()
			return readRest(t, bufio.NewReader(c))
		}, want: "body-unread"},
		{name: "chunks truncated", h2: "-", serve: echo, talk: func(t *testing.T, c net.Conn) string {
			io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nwor")
			c.(*net.TCPConn).CloseWrite()
			return readRest(t, bufio.NewReader(c))
		}, want: "client-gone"},
		{name: "full duplex", h2: "-", serve: func(w http.ResponseWriter, r *http.Request) {
			rc := http.NewResponseController(w)
			if err := rc.EnableFullDuplex(); err != nil {
				panic(err)
			}
			rc.Flush()
			for lines := bufio.NewScanner(r.Body); lines.Scan(); {
				fmt.Fprintf(w, "got %s\n", lines.Text())
				rc.Flush()
			}
		}, talk: func(t *testing.T, c net.Conn) string {
			r := bufio.NewReader(c)
			io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n")
			got := readHead(t, r)
			io.WriteString(c, "one\n")
			got += readUntil(t, r, "got one\n")
			io.WriteString(c, "two\n")
			got += readUntil(t, r, "got two\n")
			io.WriteString(c, lastRequest)
			return got + readRest(t, r)
		}, want: match},
		{name: "full duplex, body not read", h2: "-", serve: func(w http.ResponseWriter, r *http.Request) {
			if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
				panic(err)
			}
			io.WriteString(w, "first")
		}, talk: func(t *testing.T, c net.Conn) string {
			r := bufio.NewReader(c)
			io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
			got := readHead(t, r) // the answer comes before the body
			io.WriteString(c, "hello")
			return got + readUntil(t, r, "first")
		}, want: "body-unread"},
	}
}

// lastRequest comes after each request on its connection. Whether it is answered tells
// whether the connection was kept.
const lastRequest = "GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

// bytes1 is what an HTTP/1 client sends.
func (s shape) bytes1() string {
	if s.raw != "" {
		return s.raw + lastRequest
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: primary.test\r\n", cmpOr(s.method, "GET"), cmpOr(s.path, "/"))
	for _, line := range s.header {
		b.WriteString(line + "\r\n")
	}
	if s.body != "" {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(s.body))
	}
	b.WriteString("\r\n" + s.body + lastRequest)
	return b.String()
}

func cmpOr(s, otherwise string) string {
	if s != "" {
		return s
	}
	return otherwise
}

var (
	dateLine = regexp.MustCompile(`(?mi)^Date: .*\r\n`)
	boundary = regexp.MustCompile(`[0-9a-f]{60}`)
)

// inFlight counts handlers. Unlike a sync.WaitGroup it may be waited for by somebody who
// only knows over the network that they have begun.
type inFlight struct {
	mu   sync.Mutex
	n    int
	none *sync.Cond
}

func newInFlight(n int) *inFlight {
	f := &inFlight{n: n}
	f.none = sync.NewCond(&f.mu)
	return f
}

func (f *inFlight) Add(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n += n
	f.none.Broadcast()
}

func (f *inFlight) Done() { f.Add(-1) }

// Wait returns when all have returned.
func (f *inFlight) Wait() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.n > 0 {
		f.none.Wait()
	}
}

// server serves h, and /last on its own. Its handlers can be waited for.
func server(t *testing.T, h http.Handler, h2 bool) (*httptest.Server, *inFlight) {
	handlers := newInFlight(0)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/last" {
			w.Header()["Date"] = nil
			io.WriteString(w, "last")
			return
		}
		handlers.Add(1)
		defer handlers.Done()
		h.ServeHTTP(w, r)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	if h2 {
		s.EnableHTTP2 = true
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s, handlers
}

// overHTTP1 returns all bytes that a client of h is answered with, the date aside.
func (s shape) overHTTP1(t *testing.T, h http.Handler) string {
	srv, handlers := server(t, h, false)
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(30*time.Second))) // only ever reached by a bug
	var got string
	if s.talk != nil {
		got = s.talk(t, c)
	} else {
		go io.WriteString(c, s.bytes1())
		got = readRest(t, bufio.NewReader(c))
	}
	c.Close()
	handlers.Wait()
	srv.Close()
	return steady(got)
}

// steady takes out of an answer what is another each time. It is near the beginning.
func steady(s string) string {
	head := s[:min(len(s), 4<<10)]
	return boundary.ReplaceAllString(dateLine.ReplaceAllString(head, ""), "BOUNDARY") + s[len(head):]
}

// readRest reads what comes until the connection ends, in whatever way.
func readRest(t *testing.T, r *bufio.Reader) string {
	b, err := io.ReadAll(r)
	require.False(t, errors.Is(err, os.ErrDeadlineExceeded), "no answer: %q", b)
	return string(b)
}

// readHead reads up to the end of a header section.
func readHead(t *testing.T, r *bufio.Reader) string { return readUntil(t, r, "\r\n\r\n") }

func readUntil(t *testing.T, r *bufio.Reader, end string) string {
	var b strings.Builder
	for !strings.HasSuffix(b.String(), end) {
		c, err := r.ReadByte()
		require.NoError(t, err, "after %q", b.String())
		b.WriteByte(c)
	}
	return b.String()
}

// answer is all that an HTTP/2 client sees of a response.
type answer struct {
	Err, BodyErr string
	Status       string
	Proto        string
	Header       http.Header
	Length       int64
	Body         string
	Trailer      http.Header
	Hints        []string
}

func (s shape) overHTTP2(t *testing.T, h http.Handler) (a answer) {
	srv, handlers := server(t, h, true)
	defer srv.Close()
	defer handlers.Wait()
	var body io.Reader
	if s.body != "" {
		body = strings.NewReader(s.body)
	}
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
			a.Hints = append(a.Hints, fmt.Sprint(code, header))
			return nil
		}})
	req, err := http.NewRequestWithContext(ctx, cmpOr(s.method, "GET"), srv.URL+cmpOr(s.path, "/"), body)
	require.NoError(t, err)
	for _, line := range s.header {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Add(name, value)
	}
	resp, err := srv.Client().Transport.RoundTrip(req)
	if err != nil {
		a.Err = err.Error()
		return a
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	a.BodyErr = fmt.Sprint(err)
	a.Status, a.Proto, a.Header, a.Length, a.Trailer = resp.Status, resp.Proto, resp.Header, resp.ContentLength, resp.Trailer
	a.Body = steady(string(b))
	a.Header.Del("Date")
	if ct := a.Header.Get("Content-Type"); ct != "" {
		a.Header.Set("Content-Type", steady(ct))
	}
	return a
}

type onlyReader struct{ io.Reader }

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errors.New("disk on fire") }

// unwrapper hides all optional interfaces of a ResponseWriter, as many a middleware
// does, but for Unwrap.
type unwrapper struct{ w http.ResponseWriter }

func (u unwrapper) Header() http.Header         { return u.w.Header() }
func (u unwrapper) Write(p []byte) (int, error) { return u.w.Write(p) }
func (u unwrapper) WriteHeader(status int)      { u.w.WriteHeader(status) }
func (u unwrapper) Unwrap() http.ResponseWriter { return u.w }

func mux(pattern string, h http.HandlerFunc) *http.ServeMux {
	m := http.NewServeMux()
	m.HandleFunc(pattern, h)
	return m
}

// The primary is untouched: whatever a handler does, its client is sent the same bytes
// with a Mirror around it as without, and what was recorded of it is what was sent.
func TestThePrimaryIsUntouched(t *testing.T) {
	for _, s := range shapes(t) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			bare := s.overHTTP1(t, s.h())
			for _, target := range []string{"in process", "remote"} {
				m, results := mirrorTo(t, target, s.h())
				got := s.overHTTP1(t, m.Handler(s.h()))
				assert.Equal(t, bare, got, "HTTP/1.1, %s", target)
				settled(t, m, s.want, results)
			}
			if s.h2 == "-" {
				return
			}
			bare2 := s.overHTTP2(t, s.h())
			for _, target := range []string{"in process", "remote"} {
				m, results := mirrorTo(t, target, s.h())
				got := s.overHTTP2(t, m.Handler(s.h()))
				assert.Equal(t, bare2, got, "HTTP/2, %s", target)
				settled(t, m, cmpOr(s.h2, s.want), results)
			}
		})
	}
}

// mirrorTo returns a Mirror that copies everything to h, and what it reports.
func mirrorTo(t *testing.T, kind string, h http.Handler, opts ...shadow.Option) (*shadow.Mirror, *reports) {
	target := shadow.InProcess("candidate", h)
	if kind == "remote" {
		srv, _ := server(t, h, false)
		target = shadow.Remote("candidate", srv.URL)
	}
	return mirror(t, target, append([]shadow.Option{allMethods}, opts...)...)
}

// settled shuts m down and expects exactly one request in its ledger, under want, or
// none at all where want is "".
func settled(t *testing.T, m *shadow.Mirror, want string, results *reports) {
	t.Helper()
	require.NoError(t, m.Shutdown(t.Context()))
	counts := map[string]uint64{}
	if want != "" {
		counts[want] = 1
	}
	if !assert.Equal(t, counts, ledger(t, m)) {
		for _, r := range results.All() {
			t.Logf("%s: %v, error %v", r.Outcome, diffs(r.Diffs), r.Err)
		}
	}
}

func diffs(list []shadow.Diff) (s []string) {
	for _, d := range list {
		s = append(s, fmt.Sprintf("%s %s %s %s", d.Path, d.Kind, d.Primary, d.Shadow))
	}
	return s
}

// waitable is h, for whose return one can wait: http.TimeoutHandler does not.
func waitable(h http.Handler) (http.Handler, *inFlight) {
	running := newInFlight(1)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer running.Done()
		h.ServeHTTP(w, r)
	}), running
}

// Half of net/http's middleware needs the server's own ResponseWriter or Request below
// it, or hands on changed ones: it has to work around a Mirror too.
func TestAMirrorWorksInsideMiddleware(t *testing.T) {
	longAgo := time.Millisecond
	tests := []struct {
		shape
		outside func(http.Handler) http.Handler
	}{
		{shape{name: "TimeoutHandler", serve: echo, method: "POST", body: "hello", want: match},
			func(h http.Handler) http.Handler { return http.TimeoutHandler(h, time.Minute, "late") }},
		{shape{name: "TimeoutHandler, late", serve: func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			io.WriteString(w, "lost")
		}, want: "client-gone"},
			func(h http.Handler) http.Handler { return http.TimeoutHandler(h, longAgo, "late") }},
		{shape{name: "MaxBytesHandler", serve: echo, method: "POST", body: "hello", want: match},
			func(h http.Handler) http.Handler { return http.MaxBytesHandler(h, 100) }},
		{shape{name: "MaxBytesHandler, over", serve: echo, method: "POST", body: strings.Repeat("x", 5000), want: "body-failed"},
			func(h http.Handler) http.Handler { return http.MaxBytesHandler(h, 100) }},
		{shape{name: "MaxBytesHandler, over and not read", serve: text("no"), method: "POST", body: strings.Repeat("x", 5000), want: "body-unread"},
			func(h http.Handler) http.Handler { return http.MaxBytesHandler(h, 100) }},
		{shape{name: "ServeMux", path: "/items/7", method: "POST", body: "b", serve: func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, r.URL.Path)
		}, want: match, h2: "body-unread"},
			func(h http.Handler) http.Handler { return mux("POST /items/{id}", h.ServeHTTP) }},
		{shape{name: "StripPrefix", path: "/api/items", serve: func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, r.URL.Path)
		}, want: match},
			func(h http.Handler) http.Handler { return http.StripPrefix("/api", h) }},
		{shape{name: "a writer that hides everything", serve: func(w http.ResponseWriter, r *http.Request) {
			_, flusher := w.(http.Flusher)
			_, hijacker := w.(http.Hijacker)
			_, readerFrom := w.(io.ReaderFrom)
			fmt.Fprint(w, flusher, hijacker, readerFrom, http.NewResponseController(w).Flush())
		}, want: mismatch}, // in process a Flusher is there, remotely all are
			func(h http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(unwrapper{w}, r) })
			}},
		{shape{name: "a writer that hides everything, hijacked", h2: "-", serve: func(w http.ResponseWriter, r *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			io.WriteString(c, "HTTP/1.0 204 No Content\r\n\r\n")
			c.Close()
		}, want: "hijacked"},
			func(h http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(unwrapper{w}, r) })
			}},
		{shape{name: "a request with less in its context", serve: text("x"), want: match},
			func(h http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					h.ServeHTTP(w, r.WithContext(context.Background()))
				})
			}},
	}
	for _, s := range tests {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			bare := s.overHTTP1(t, s.outside(s.h()))
			for _, target := range []string{"in process", "remote"} {
				m, results := mirrorTo(t, target, s.h())
				inside, returned := waitable(m.Handler(s.h()))
				assert.Equal(t, bare, s.overHTTP1(t, s.outside(inside)), "HTTP/1.1, %s", target)
				returned.Wait()
				settled(t, m, s.want, results)
			}
			if s.h2 == "-" {
				return
			}
			bare2 := s.overHTTP2(t, s.outside(s.h()))
			m, results := mirrorTo(t, "remote", s.h())
			inside, returned := waitable(m.Handler(s.h()))
			assert.Equal(t, bare2, s.overHTTP2(t, s.outside(inside)), "HTTP/2")
			returned.Wait()
			settled(t, m, cmpOr(s.h2, s.want), results)
		})
	}
}

// blocked returns a candidate that does not answer before the test ends.
func blocked(t *testing.T) http.HandlerFunc {
	end := make(chan struct{})
	t.Cleanup(func() { close(end) })
	return func(http.ResponseWriter, *http.Request) { <-end }
}

// bothProtocols runs test over HTTP/1.1 and HTTP/2.
func bothProtocols(t *testing.T, test func(t *testing.T, h2 bool)) {
	t.Run("HTTP/1.1", func(t *testing.T) { test(t, false) })
	t.Run("HTTP/2", func(t *testing.T) { test(t, true) })
}

// A flush is at the client before the handler goes on: the client asks for the next
// event when it has read the last one.
func TestFlushesAreNotDelayed(t *testing.T) {
	bothProtocols(t, func(t *testing.T, h2 bool) {
		m, _ := mirror(t, shadow.InProcess("v2", blocked(t)))
		next := make(chan string)
		srv, _ := server(t, m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for event := range next {
				fmt.Fprintf(w, "data: %s\n\n", event)
				w.(http.Flusher).Flush()
			}
		})), h2)
		go func() { next <- "0" }()
		resp, err := srv.Client().Get(srv.URL)
		require.NoError(t, err)
		defer resp.Body.Close()
		events := bufio.NewReader(resp.Body)
		for i := range 5 {
			require.Equal(t, fmt.Sprintf("data: %d\n\n", i), readUntil(t, events, "\n\n"))
			if i < 4 {
				next <- strconv.Itoa(i + 1)
			}
		}
		close(next)
		rest, err := io.ReadAll(events)
		require.NoError(t, err)
		require.Empty(t, rest)
	})
}

// Both directions of an exchange go on at the same time, event by event.
func TestBidirectionalStreamsAreNotDelayed(t *testing.T) {
	m, results := mirror(t, shadow.InProcess("v2", http.HandlerFunc(echo)), allMethods)
	srv, handlers := server(t, m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		for in := bufio.NewScanner(r.Body); in.Scan(); {
			fmt.Fprintf(w, "got %s\n", in.Text())
			w.(http.Flusher).Flush()
		}
	})), true)
	body, up := io.Pipe()
	resp, err := srv.Client().Post(srv.URL, "text/plain", body)
	require.NoError(t, err)
	defer resp.Body.Close()
	down := bufio.NewReader(resp.Body)
	for i := range 5 {
		fmt.Fprintf(up, "%d\n", i)
		require.Equal(t, fmt.Sprintf("got %d\n", i), readUntil(t, down, "\n"))
	}
	up.Close()
	io.Copy(io.Discard, down)
	handlers.Wait()
	settled(t, m, mismatch, results)
	require.Equal(t, "0\n1\n2\n3\n4\n", string(results.All()[0].Request.Body))
}

// countingBody counts what has been read of it.
type countingBody struct {
	io.Reader
	read   int
	closed int
}

func (b *countingBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.read += n
	return n, err
}

func (b *countingBody) Close() error {
	b.closed++
	return nil
}

// A body is recorded when the primary reads it: not before, not more, and not after.
func TestABodyIsNeverReadAhead(t *testing.T) {
	m, results := mirror(t, shadow.InProcess("v2", text("x")), allMethods)
	body := &countingBody{Reader: strings.NewReader(strings.Repeat("b", 5000))}
	r := httptest.NewRequest("POST", "/", body)
	r.ContentLength = 5000
	m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Zero(t, body.read)
		for _, n := range []int{3, 0, 1000} {
			before := body.read
			io.ReadFull(r.Body, make([]byte, n))
			assert.Equal(t, n, body.read-before)
		}
		w.WriteHeader(200)
		assert.Equal(t, 1003, body.read)
	})).ServeHTTP(httptest.NewRecorder(), r)
	assert.Equal(t, 1003, body.read)
	assert.Zero(t, body.closed)
	settled(t, m, "body-unread", results)
}

// The end of a request does not wait for a body that the primary did not want: neither
// does the answer, where the server would send it at once, nor middleware around the
// Mirror.
func TestTheEndOfARequestDoesNotWaitForItsBody(t *testing.T) {
	const head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
	refuse := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) })
	t.Run("without keep-alive", func(t *testing.T) {
		m, results := mirror(t, shadow.InProcess("v2", refuse), allMethods)
		srv, handlers := server(t, m.Handler(refuse), false)
		srv.Config.SetKeepAlivesEnabled(false)
		c, err := net.Dial("tcp", srv.Listener.Addr().String())
		require.NoError(t, err)
		defer c.Close()
		io.WriteString(c, head+"bo")
		require.Contains(t, readHead(t, bufio.NewReader(c)), "401 Unauthorized")
		handlers.Wait()
		settled(t, m, "body-unread", results)
	})
	t.Run("inside middleware", func(t *testing.T) {
		m, results := mirror(t, shadow.InProcess("v2", refuse), allMethods)
		returned := make(chan struct{})
		h := m.Handler(refuse)
		srv, _ := server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h.ServeHTTP(w, r)
			close(returned)
		}), false)
		c, err := net.Dial("tcp", srv.Listener.Addr().String())
		require.NoError(t, err)
		defer c.Close()
		io.WriteString(c, head+"bo")
		<-returned
		io.WriteString(c, "dy!")
		require.Contains(t, readHead(t, bufio.NewReader(c)), "401 Unauthorized")
		settled(t, m, "body-unread", results)
	})
}

// http.MaxBytesReader asks the ResponseWriter for a method that nobody but net/http can
// have. That costs the connection's end, but neither the answer nor the ledger.
func TestMaxBytesReaderInsideThePrimary(t *testing.T) {
	s := shape{method: "POST", body: strings.Repeat("x", 5000), serve: func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 100))
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
	}}
	m, results := mirror(t, shadow.InProcess("v2", s.h()), allMethods)
	srv, handlers := server(t, m.Handler(s.h()), false)
	resp, err := srv.Client().Post(srv.URL, "", strings.NewReader(s.body))
	require.NoError(t, err)
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	require.Equal(t, http.StatusRequestEntityTooLarge, resp.StatusCode)
	require.Equal(t, "http: request body too large\n", string(b))
	handlers.Wait()
	settled(t, m, "body-unread", results)
}

// fileWriter is a ResponseWriter that sends files by itself, and notes what from.
type fileWriter struct {
	*httptest.ResponseRecorder
	sources []io.Reader
}

func (w *fileWriter) ReadFrom(src io.Reader) (int64, error) {
	w.sources = append(w.sources, src)
	return io.Copy(struct{ io.Writer }{w.ResponseRecorder}, struct{ io.Reader }{src})
}

// A file goes to the server's own ReadFrom, and as the file that it is where it is too
// large to be kept anyway: so it is still sent by sendfile.
func TestFilesKeepSendfile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, make([]byte, 3000), 0o600))
	for _, tt := range []struct {
		name     string
		limit    int64
		declared bool
		same     bool
	}{
		{"larger than the limit", 2999, true, true},
		{"within the limit", 3000, true, false},
		{"of unknown length", 2999, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, results := mirror(t, shadow.InProcess("v2", http.NotFoundHandler()), shadow.WithMaxBody(tt.limit))
			f, err := os.Open(path)
			require.NoError(t, err)
			defer f.Close()
			file := &io.LimitedReader{R: f, N: 3000}
			w := &fileWriter{ResponseRecorder: httptest.NewRecorder()}
			m.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if tt.declared {
					w.Header().Set("Content-Length", "3000")
				}
				n, err := io.Copy(w, file)
				assert.NoError(t, err)
				assert.EqualValues(t, 3000, n)
			})).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
			require.NotEmpty(t, w.sources)
			require.Equal(t, tt.same, w.sources[len(w.sources)-1] == io.Reader(file)) // the beginning may be sniffed
			require.Equal(t, 3000, w.Body.Len())
			settled(t, m, mismatch, results)
			primary := results.All()[0].Primary
			require.EqualValues(t, 3000, primary.Size)
			require.Equal(t, tt.limit < 3000, primary.Truncated)
		})
	}
}

// What a handler can ask of the ResponseWriter is what it can ask of the server's own.
func TestTheWriterHasTheInterfacesOfTheOriginal(t *testing.T) {
	inventory := func(w http.ResponseWriter) string {
		has := func(ok bool) string { return map[bool]string{true: "+", false: "-"}[ok] }
		_, flusher := w.(http.Flusher)
		_, flushError := w.(interface{ FlushError() error })
		_, hijacker := w.(http.Hijacker)
		_, readerFrom := w.(io.ReaderFrom)
		_, stringWriter := w.(io.StringWriter)
		_, notifier := w.(http.CloseNotifier) //nolint:staticcheck // deprecated, and in use
		_, pusher := w.(http.Pusher)
		_, deadlines := w.(interface{ SetWriteDeadline(time.Time) error })
		_, duplex := w.(interface{ EnableFullDuplex() error })
		return has(flusher) + has(flushError) + has(hijacker) + has(readerFrom) + has(stringWriter) +
			has(notifier) + has(pusher) + has(deadlines) + has(duplex)
	}
	serve := func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, inventory(w)) }
	bothProtocols(t, func(t *testing.T, h2 bool) {
		m, _ := mirror(t, shadow.InProcess("v2", text("")))
		s := shape{serve: serve}
		if h2 {
			require.Equal(t, s.overHTTP2(t, s.h()).Body, s.overHTTP2(t, m.Handler(s.h())).Body)
		} else {
			require.Equal(t, s.overHTTP1(t, s.h()), s.overHTTP1(t, m.Handler(s.h())))
		}
	})
}

// net/http removes the temporary files of a form when the handler has returned. The form
// is the primary's, who was given another Request.
func TestTemporaryFilesOfAFormAreRemoved(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	m, results := mirror(t, shadow.InProcess("v2", text("ok")), allMethods)
	var name string
	srv, _ := server(t, m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !assert.NoError(t, r.ParseMultipartForm(1)) {
			return
		}
		f, err := r.MultipartForm.File["f"][0].Open()
		if assert.NoError(t, err) {
			defer f.Close()
			name = f.(*os.File).Name()
			assert.FileExists(t, name)
		}
		io.WriteString(w, "ok")
	})), false)
	var form bytes.Buffer
	fields := multipart.NewWriter(&form)
	part, err := fields.CreateFormFile("f", "f.txt")
	require.NoError(t, err)
	io.WriteString(part, strings.Repeat("file ", 20000))
	fields.Close()

	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", fields.FormDataContentType(), form.Len())
	io.WriteString(c, form.String()+lastRequest)
	require.Contains(t, readRest(t, bufio.NewReader(c)), "last") // so the first request is wholly over
	require.NotEmpty(t, name)
	require.NoFileExists(t, name)
	settled(t, m, match, results)
}

// Middleware around a Mirror finds in its Request what the primary's router put there.
func TestMiddlewareAroundSeesTheRoute(t *testing.T) {
	for _, body := range []string{"", "hello"} {
		m, results := mirror(t, shadow.InProcess("v2", text("ok")), allMethods)
		h := m.Handler(mux("POST /items/{id}/{rest...}", func(w http.ResponseWriter, r *http.Request) {
			r.ParseForm()
			io.Copy(io.Discard, r.Body)
			io.WriteString(w, "ok")
		}))
		r := httptest.NewRequest("POST", "/items/7/a/b?q=1", strings.NewReader(body))
		h.ServeHTTP(httptest.NewRecorder(), r)
		assert.Equal(t, "POST /items/{id}/{rest...}", r.Pattern)
		assert.Equal(t, "7", r.PathValue("id"))
		assert.Equal(t, "a/b", r.PathValue("rest"))
		assert.Equal(t, "1", r.Form.Get("q"))
		settled(t, m, match, results)
		assert.Equal(t, "POST /items/{}/a/b", results.All()[0].Route, "a pattern that matches any rest names no endpoint")
	}
}

// Middleware around a Mirror may look at its Request while the primary runs, as
// http.ServeMux and net/http let it: only the race detector can fail this test.
func TestMiddlewareAroundMayReadItsRequestMeanwhile(t *testing.T) {
	m, results := mirror(t, shadow.InProcess("v2", text("ok")), allMethods)
	h := m.Handler(text("ok"))
	r := httptest.NewRequest("POST", "/items", strings.NewReader("body"))
	read := make(chan string)
	go func() { read <- fmt.Sprint(r.URL, r.Method, r.Host, r.Context().Err(), r.ContentLength, r.RemoteAddr) }()
	h.ServeHTTP(httptest.NewRecorder(), r)
	<-read
	settled(t, m, "body-unread", results)
}

// A goroutine of the primary that is still reading the body when the primary has
// returned does so in peace: http.TimeoutHandler leaves one behind.
func TestAPrimaryThatIsStillReadingWhenItReturns(t *testing.T) {
	m, results := mirror(t, shadow.InProcess("v2", text("")), allMethods)
	done := make(chan error)
	s := shape{
		handler: m.Handler(http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, err := io.ReadAll(r.Body)
			done <- err
		}), time.Millisecond, "late")),
		talk: func(t *testing.T, c net.Conn) string {
			io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n")
			go func() {
				for range 50 {
					io.WriteString(c, strings.Repeat("x", 1000))
				}
			}()
			return readHead(t, bufio.NewReader(c))
		},
	}
	require.Contains(t, s.overHTTP1(t, s.h()), "503 Service Unavailable")
	<-done
	settled(t, m, "primary-refused", results)
}

// What a handler writes after it has returned goes where it would go without a Mirror,
// and is no part of the record.
func TestWritesAfterTheReturnAreForwarded(t *testing.T) {
	m, results := mirror(t, shadow.InProcess("v2", text("before")))
	var late http.ResponseWriter
	rec := httptest.NewRecorder()
	m.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "before")
		late = w
	})).ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
	io.WriteString(late, " after")
	late.Write([]byte(" and"))
	late.(http.Flusher).Flush()
	late.WriteHeader(500)
	late.Header().Set("X-Late", "1")
	require.Equal(t, "before after and", rec.Body.String())
	settled(t, m, match, results)
	require.Equal(t, "before", string(results.All()[0].Primary.Body))
}

// A client that leaves is noticed by the primary as ever, and the copy is left out.
func TestAClientThatLeaves(t *testing.T) {
	bothProtocols(t, func(t *testing.T, h2 bool) {
		t.Run("during the answer", func(t *testing.T) {
			m, results := mirror(t, shadow.InProcess("v2", text("")))
			failed := make(chan error, 1)
			srv, handlers := server(t, m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				for {
					_, err := w.Write(make([]byte, 4096))
					if err == nil {
						err = http.NewResponseController(w).Flush()
					}
					if err != nil {
						failed <- err
						return
					}
				}
			})), h2)
			resp, err := srv.Client().Get(srv.URL)
			require.NoError(t, err)
			io.ReadFull(resp.Body, make([]byte, 10))
			resp.Body.Close()
			srv.CloseClientConnections()
			require.Error(t, <-failed)
			handlers.Wait()
			settled(t, m, "client-gone", results)
		})
		t.Run("during the upload", func(t *testing.T) {
			m, results := mirror(t, shadow.InProcess("v2", text("")), allMethods)
			failed := make(chan error, 1)
			begun := make(chan struct{})
			srv, handlers := server(t, m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				close(begun)
				_, err := io.ReadAll(r.Body)
				failed <- err
			})), h2)
			body, up := io.Pipe()
			ctx, leave := context.WithCancel(t.Context())
			req, err := http.NewRequestWithContext(ctx, "POST", srv.URL, body)
			require.NoError(t, err)
			answered := make(chan struct{})
			go func() {
				defer close(answered)
				resp, err := srv.Client().Do(req)
				if err == nil {
					resp.Body.Close()
				}
			}()
			<-begun
			io.WriteString(up, "half")
			leave()
			up.CloseWithError(context.Canceled)
			require.Error(t, <-failed)
			<-answered
			handlers.Wait()
			settled(t, m, "client-gone", results)
		})
		t.Run("while the primary thinks", func(t *testing.T) {
			m, results := mirror(t, shadow.InProcess("v2", text("")))
			begun := make(chan struct{})
			srv, handlers := server(t, m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				close(begun)
				<-r.Context().Done()
			})), h2)
			ctx, leave := context.WithCancel(t.Context())
			req, err := http.NewRequestWithContext(ctx, "GET", srv.URL, nil)
			require.NoError(t, err)
			go func() { <-begun; leave() }()
			_, err = srv.Client().Do(req) //nolint:bodyclose // there is no answer
			require.ErrorIs(t, err, context.Canceled)
			handlers.Wait()
			settled(t, m, "client-gone", results)
		})
	})
}

// Requests that come down a connection without waiting for answers are answered in
// order, and each is copied.
func TestPipelinedRequests(t *testing.T) {
	m, results := mirror(t, shadow.InProcess("v2", http.HandlerFunc(echo)), allMethods)
	var raw strings.Builder
	for i := range 20 {
		body := strings.Repeat(strconv.Itoa(i), 300)
		fmt.Fprintf(&raw, "POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", i, len(body), body)
	}
	s := shape{serve: echo, raw: raw.String()}
	require.Equal(t, s.overHTTP1(t, s.h()), s.overHTTP1(t, m.Handler(s.h())))
	require.NoError(t, m.Shutdown(t.Context()))
	require.Equal(t, map[string]uint64{match: 20}, ledger(t, m))
	require.Len(t, results.All(), 20)
}

// Bad callers get what they get without a Mirror: odd requests that no server makes.
func TestOddRequestsAreServedAsEver(t *testing.T) {
	odd := func(change func(*http.Request)) *http.Request {
		r := httptest.NewRequest("GET", "/", nil)
		change(r)
		return r
	}
	for _, tt := range []struct {
		name string
		r    *http.Request
		want string
	}{
		{"nil body", odd(func(r *http.Request) { r.Body = nil }), match},
		{"nil header", odd(func(r *http.Request) { r.Header = nil }), match},
		{"nil URL", odd(func(r *http.Request) { r.URL = nil }), "invalid"},
		{"empty method", odd(func(r *http.Request) { r.Method = "" }), match},
		{"empty host", odd(func(r *http.Request) { r.Host = "" }), match},
		{"invalid method", odd(func(r *http.Request) { r.Method = "NO GOOD" }), "method"},
		{"invalid header value", odd(func(r *http.Request) { r.Header["X"] = []string{"a\r\nb: c"} }), "invalid"},
		{"invalid header name", odd(func(r *http.Request) { r.Header["a b"] = []string{"x"} }), "invalid"},
		{"invalid ID", odd(func(r *http.Request) { r.Header.Set("X-Request-Id", "a\r\nb") }), "invalid"},
		{"asterisk", odd(func(r *http.Request) { r.Method, r.RequestURI, r.URL.Path = "OPTIONS", "*", "*" }), "invalid"},
		{"body shorter than its length", odd(func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader("abc")), 5
		}), "body-failed"},
		{"body longer than its length", odd(func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader("abcdefg")), 5
		}), "body-failed"},
		{"body that panics", odd(func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(panicReader{}), -1 }), "primary-panicked"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			serve := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Body != nil {
					io.Copy(io.Discard, r.Body)
				}
				io.WriteString(w, "ok")
			})
			m, results := mirror(t, shadow.InProcess("v2", serve))
			rec := httptest.NewRecorder()
			func() {
				defer func() { recover() }()
				m.Handler(serve).ServeHTTP(rec, tt.r)
				assert.Equal(t, "ok", rec.Body.String())
			}()
			settled(t, m, tt.want, results)
		})
	}
}

type panicReader struct{}

func (panicReader) Read([]byte) (int, error) { panic("reader") }

// A nil primary is a fault of the program, found when it starts.
func TestANilPrimaryPanics(t *testing.T) {
	m, _ := mirror(t, shadow.InProcess("v2", text("")))
	require.Panics(t, func() { m.Handler(nil) })
	require.Panics(t, func() { m.Handler(http.HandlerFunc(nil)) })
}

// Trailers of a request reach the primary, and its copy, over HTTP/2 too.
func TestRequestTrailersOverHTTP2(t *testing.T) {
	target := newNetwork(t)
	m, _ := mirror(t, shadow.Remote("v2", target.url), allMethods)
	srv, handlers := server(t, m.Handler(http.HandlerFunc(echo)), true)
	req, err := http.NewRequest("POST", srv.URL, io.MultiReader(strings.NewReader("hello")))
	require.NoError(t, err)
	req.Trailer = http.Header{"X-Sum": {"7"}}
	resp, err := srv.Client().Do(req)
	require.NoError(t, err)
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, `5 "hello" <nil> map[X-Sum:[7]]`, string(b))
	handlers.Wait()
	require.NoError(t, m.Shutdown(t.Context()))
	got, body := parse(t, <-target.raw)
	require.Equal(t, "hello", body)
	require.Equal(t, http.Header{"X-Sum": {"7"}}, got.Trailer)
}

// A body that the primary refused, but that has arrived with the head of its request, is
// there to be copied: the answer of a gatekeeper is worth comparing.
func TestARefusedBodyThatHasArrivedIsCopied(t *testing.T) {
	serve := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.ReadFull(r.Body, make([]byte, len(r.URL.Path)))
		w.WriteHeader(http.StatusUnauthorized)
	})
	m, results := mirror(t, shadow.InProcess("v2", serve), allMethods)
	s := shape{serve: serve, method: "POST", path: "/reads-some", body: strings.Repeat("0123456789", 100)}
	require.Equal(t, s.overHTTP1(t, s.h()), s.overHTTP1(t, m.Handler(s.h())))
	settled(t, m, match, results)
	require.Equal(t, s.body, string(results.All()[0].Request.Body))
}

// Every request of a connection is its own: nothing of one is found in the record of
// another, however buffers are recycled.
func TestRecordsAreNeverMixedUp(t *testing.T) {
	back := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Write(b)
	})
	m, results := mirror(t, shadow.InProcess("v2", back), allMethods, shadow.WithQueue(1000, 64<<20))
	srv, handlers := server(t, m.Handler(back), false)
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() {
			for n := range 30 {
				id := fmt.Sprintf("/%d/%d", i, n)
				body := strings.Repeat(id+" ", 1+n*n*5)
				resp, err := srv.Client().Post(srv.URL+id, "text/plain", strings.NewReader(body))
				if !assert.NoError(t, err) {
					return
				}
				b, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				assert.NoError(t, err)
				assert.True(t, body == string(b))
			}
		})
	}
	clients.Wait()
	handlers.Wait()
	require.NoError(t, m.Shutdown(t.Context()))
	ledger(t, m)
	require.NotEmpty(t, results.All())
	for _, r := range results.All() {
		require.Equal(t, shadow.Match, r.Outcome)
		want := strings.Repeat(r.Request.URL.Path+" ", len(r.Request.Body)/(len(r.Request.URL.Path)+1))
		require.True(t, want == string(r.Request.Body), r.Request.URL.Path)
		require.True(t, want == string(r.Primary.Body), r.Request.URL.Path)
		require.True(t, want == string(r.Shadow.Body), r.Request.URL.Path)
	}
}

// unchunked takes out where chunks begin: with a proxy that depends on what has arrived.
func unchunked(s string) string { return chunkLine.ReplaceAllString(s, "") }

var chunkLine = regexp.MustCompile(`\r\n[0-9a-f]+\r\n`)

// A reverse proxy is a primary, and a candidate, like any other: early hints, flushes and
// trailers of what is behind it pass through.
func TestAReverseProxyIsMirrored(t *testing.T) {
	backend, _ := server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("Trailer", "X-Sum")
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %d", r.Method, r.URL, len(b))
		w.(http.Flusher).Flush()
		io.WriteString(w, strings.Repeat(" more", 5000))
		w.Header().Set("X-Sum", "1")
		w.Header().Set(http.TrailerPrefix+"X-Late", "2")
	}), false)
	to, err := url.Parse(backend.URL)
	require.NoError(t, err)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(to) },
		Transport: transport,
	}
	for _, s := range []shape{
		{name: "GET", path: "/a?b=c"},
		{name: "POST", method: "POST", body: strings.Repeat("x", 100<<10)},
		{name: "HEAD", method: "HEAD"},
	} {
		t.Run(s.name, func(t *testing.T) {
			bare, bare2 := unchunked(s.overHTTP1(t, proxy)), s.overHTTP2(t, proxy)
			for _, kind := range []string{"in process", "remote"} {
				m, results := mirrorTo(t, kind, proxy)
				assert.Equal(t, bare, unchunked(s.overHTTP1(t, m.Handler(proxy))))
				settled(t, m, match, results)
				m, results = mirrorTo(t, kind, proxy)
				assert.Equal(t, bare2, s.overHTTP2(t, m.Handler(proxy)))
				settled(t, m, match, results)
			}
		})
	}
}

// A client that has the whole answer is not gone, though its stream or connection may
// be, and with it the context of a handler that is still busy.
func TestAClientThatLeavesWithTheWholeAnswer(t *testing.T) {
	const body = "the whole answer"
	bothProtocols(t, func(t *testing.T, h2 bool) {
		for _, method := range []string{"HEAD", "GET"} {
			if h2 && method == "GET" {
				continue // a stream is open until the handler has returned
			}
			t.Run(method, func(t *testing.T) {
				serve := func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Length", strconv.Itoa(len(body)))
					io.WriteString(w, body)
				}
				m, results := mirror(t, shadow.InProcess("v2", http.HandlerFunc(serve)))
				srv, handlers := server(t, m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					serve(w, r)
					w.(http.Flusher).Flush()
					<-r.Context().Done()
				})), h2)
				req, err := http.NewRequest(method, srv.URL, nil)
				require.NoError(t, err)
				resp, err := srv.Client().Do(req)
				require.NoError(t, err)
				b, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				require.Equal(t, map[string]string{"GET": body, "HEAD": ""}[method], string(b))
				resp.Body.Close()
				srv.Client().CloseIdleConnections()
				handlers.Wait()
				settled(t, m, match, results)
			})
		}
	})
}
