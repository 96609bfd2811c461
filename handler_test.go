package shadow_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
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

	want   string // where the ledger has it: an Outcome or a Reason
	remote string // the same with a remote target, if it is another one
	h2     string // the same over HTTP/2, if it is another one; "-" is not to be asked
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
	small, large := file("small.txt", 8<<10), file("large.bin", 2<<20)
	modified := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	content := strings.Repeat("content ", 700)
	serveContent := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"v1"`)
		http.ServeContent(w, r, "doc.txt", modified, strings.NewReader(content))
	}
	long := strings.Repeat("x", 100<<10)
	huge := strings.Repeat("h", 3<<20)
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
		{name: "ServeContent ranges", header: []string{"Range: bytes=0-4,100-104"}, serve: serveContent, want: mismatch}, // random boundary
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
			fmt.Sprintf("%x\r\n", 2<<20) + post(2<<20) + "\r\n0\r\n\r\n", serve: echo, want: "body-too-large", h2: "-"},
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
		}, want: "failed", remote: match}, // in process there is no full duplex to enable
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

// server serves h, and /last on its own, and waits for its handlers when it is closed.
func server(t *testing.T, h http.Handler, h2 bool) (*httptest.Server, *sync.WaitGroup) {
	var handlers sync.WaitGroup
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
	return s, &handlers
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
				want := s.want
				if target == "remote" {
					want = cmpOr(s.remote, want)
				}
				settled(t, m, want, results)
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
		for _, r := range results.all() {
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
				assert.Equal(t, bare, s.overHTTP1(t, s.outside(m.Handler(s.h()))), "HTTP/1.1, %s", target)
				settled(t, m, s.want, results)
			}
			if s.h2 == "-" {
				return
			}
			bare2 := s.overHTTP2(t, s.outside(s.h()))
			m, results := mirrorTo(t, "remote", s.h())
			assert.Equal(t, bare2, s.overHTTP2(t, s.outside(m.Handler(s.h()))), "HTTP/2")
			settled(t, m, cmpOr(s.h2, s.want), results)
		})
	}
}

var _ = tls.VersionTLS13
var _ = multipart.ErrMessageTooLarge
var _ = slices.Contains[[]int]
