package capture_test

import (
	"bytes"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow/internal/capture"
)

const limit = 64 << 10

// seen is what a client got.
type seen struct {
	client   *http.Response
	received string
	err      error // of the request or of reading the body
	interim  []int
}

// exchange lets h answer one request on a real server.
func exchange(t *testing.T, proto, method string, h http.HandlerFunc) (s seen) {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	if proto == http2 {
		server.EnableHTTP2 = true
		server.StartTLS()
	} else {
		server.Start()
	}
	defer server.Close()

	req, err := http.NewRequest(method, server.URL, nil)
	require.NoError(t, err)
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
			s.interim = append(s.interim, code)
			return nil
		}}))
	if s.client, s.err = server.Client().Do(req); s.err != nil {
		return s
	}
	require.Equal(t, proto, s.client.Proto)
	defer s.client.Body.Close()
	b, err := io.ReadAll(s.client.Body)
	s.received, s.err = string(b), err
	return s
}

const http1, http2 = "HTTP/1.1", "HTTP/2.0"

// observed is what a Writer recorded of a response, and what the client got.
type observed struct {
	seen
	resp   capture.Response
	size   int64
	body   string
	sum    uint64
	summed bool
	pool   *capture.Pool
}

// observe lets h answer one request on a real server and records the response.
func observe(t *testing.T, proto, method string, h http.HandlerFunc) observed {
	t.Helper()
	o := observed{pool: capture.NewPool(1 << 20)}
	recorded := make(chan capture.Response, 1)
	o.seen = exchange(t, proto, method, func(rw http.ResponseWriter, r *http.Request) {
		var w capture.Writer
		w.Init(rw, r.Method, o.pool, limit)
		defer func() { recorded <- *w.Stop() }()
		h(w.Wrap(), r)
	})
	o.resp = <-recorded
	o.size = o.resp.Body.Size()
	o.sum, o.summed = o.resp.Body.Sum()
	o.body = string(o.resp.Body.Bytes())
	o.resp.Body.Release()
	assert.Zero(t, o.pool.Held())
	return o
}

// shapes are the ways in which handlers answer completely.
func shapes(t *testing.T) map[string]http.HandlerFunc {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, text(3*limit), 0o600))
	small := filepath.Join(t.TempDir(), "small.txt")
	require.NoError(t, os.WriteFile(small, bytes.Repeat([]byte("small "), 1000), 0o600))
	// Errors are the handler's to ignore: HTTP/1 has some for HEAD that mean nothing.
	send := func(w http.ResponseWriter, s string) { _, _ = io.WriteString(w, s) }
	copyTo := func(w http.ResponseWriter, src io.Reader) { _, _ = io.Copy(w, src) }
	return map[string]http.HandlerFunc{
		"nothing at all":  func(w http.ResponseWriter, r *http.Request) {},
		"header only":     func(w http.ResponseWriter, r *http.Request) { w.Header().Set("A", "b") },
		"implicit status": func(w http.ResponseWriter, r *http.Request) { send(w, "hello") },
		"bytes": func(w http.ResponseWriter, r *http.Request) {
			_, err := w.Write([]byte("hello"))
			assert.NoError(t, err)
		},
		"an empty write": func(w http.ResponseWriter, r *http.Request) {
			_, err := w.Write(nil)
			assert.NoError(t, err)
			w.WriteHeader(500) // too late
		},
		"status":      func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(201); send(w, "made") },
		"second one":  func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(404); w.WriteHeader(200); send(w, "no") },
		"status late": func(w http.ResponseWriter, r *http.Request) { send(w, "ok"); w.WriteHeader(500); send(w, "!") },
		"upgrade late": func(w http.ResponseWriter, r *http.Request) {
			send(w, "ok")
			if r.ProtoMajor == 1 { // HTTP/2 knows no 101 and would send it
				w.WriteHeader(101)
			}
			send(w, "!")
		},
		"header late": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Add("A", "1")
			w.Header().Add("A", "2")
			send(w, "ok")
			w.Header().Set("A", "3")
			w.Header().Set("B", "4")
		},
		"bad status": func(w http.ResponseWriter, r *http.Request) {
			for _, status := range []int{0, 99, 1000} {
				assert.Panics(t, func() { w.WriteHeader(status) })
			}
			w.WriteHeader(500)
		},
		"interim": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", "</a>; rel=preload")
			w.WriteHeader(103)
			w.WriteHeader(102)
			w.Header().Set("Link", "</b>")
			send(w, "hello")
		},
		"no content": func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) },
		"no content, written": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(204)
			_, err := w.Write([]byte("not sent"))
			assert.Equal(t, http.ErrBodyNotAllowed, err)
		},
		"not modified": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Etag", `"1"`)
			w.WriteHeader(304)
			send(w, "not sent")
		},
		"no content, with a length": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "5")
			w.WriteHeader(204)
		},
		"not modified, with a length": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "5")
			w.WriteHeader(304)
		},
		"length": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "5")
			send(w, "he")
			send(w, "llo")
		},
		"length that is none": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "99999999999999999999")
			send(w, "hello")
		},
		"negative length": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "-1")
			send(w, "hello")
		},
		"copied": func(w http.ResponseWriter, r *http.Request) { copyTo(w, strings.NewReader("hello")) },
		"copied blindly": func(w http.ResponseWriter, r *http.Request) {
			copyTo(w, io.LimitReader(zeros{}, 10_000))
		},
		"copied twice": func(w http.ResponseWriter, r *http.Request) {
			send(w, "first")
			copyTo(w, io.LimitReader(zeros{}, 5000))
			send(w, "last")
		},
		"an empty copy": func(w http.ResponseWriter, r *http.Request) {
			copyTo(w, io.LimitReader(zeros{}, 0))
			w.WriteHeader(404)
		},
		"small file": func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, small) },
		"large file": func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, file) },
		"large file, no type": func(w http.ResponseWriter, r *http.Request) {
			f, err := os.Open(file)
			assert.NoError(t, err)
			defer f.Close()
			w.Header().Set("Content-Length", strconv.Itoa(3*limit))
			if r.Method != "HEAD" {
				copyTo(w, f)
			}
		},
		"large file, no length": func(w http.ResponseWriter, r *http.Request) {
			f, err := os.Open(file)
			assert.NoError(t, err)
			defer f.Close()
			copyTo(w, f)
		},
		"large, written": func(w http.ResponseWriter, r *http.Request) {
			for part := range chunks(text(3*limit), 5000) {
				_, err := w.Write(part)
				assert.NoError(t, err)
			}
		},
		"flushed": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("A", "1")
			w.(http.Flusher).Flush()
			w.Header().Set("A", "2")
			for _, s := range []string{"a", "b", "c"} {
				send(w, s)
				assert.NoError(t, http.NewResponseController(w).Flush())
			}
		},
		"sniffed": func(w http.ResponseWriter, r *http.Request) { send(w, "<html><body>") },
		"untyped": func(w http.ResponseWriter, r *http.Request) { w.Header()["Content-Type"] = nil; send(w, "{}") },
		"trailers": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "sum, Other , Never")
			w.Header().Add("Trailer", "Many")
			send(w, "hello")
			w.Header().Set("Sum", "42")
			w.Header().Set("Other", "x")
			w.Header()["Many"] = []string{"1", "2"}
			w.Header().Set("Undeclared", "y")
		},
		"trailers declared too late": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(200)
			w.Header().Set("Trailer", "Sum")
			w.Header().Set("Sum", "42")
		},
		"prefixed trailers": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set(http.TrailerPrefix+"Early", "1")
			send(w, "hello")
			w.(http.Flusher).Flush() // else HTTP/1 sends a Content-Length in their place
			w.Header().Set(http.TrailerPrefix+"Sum", "42")
		},
		"both kinds of trailers": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "Sum, Other")
			send(w, "hello")
			w.Header().Set("Sum", "42")
			w.Header().Set("Other", "a")
			w.Header().Set(http.TrailerPrefix+"More", "b")
		},
	}
}

// What a Writer records of a complete response is what the client got, whatever the
// handler did to write it.
func TestRecordedIsWhatTheClientGot(t *testing.T) {
	for name, h := range shapes(t) {
		for _, proto := range []string{http1, http2} {
			for _, method := range []string{"GET", "HEAD"} {
				t.Run(name+"/"+proto+"/"+method, func(t *testing.T) {
					bare, o := exchange(t, proto, method, h), observe(t, proto, method, h)
					if bare.err != nil {
						require.Error(t, o.err)
						return // not even net/http can
					}
					require.NoError(t, o.err)
					assert.Equal(t, bare.interim, o.interim)
					assert.Equal(t, bare.client.StatusCode, o.client.StatusCode)
					assert.True(t, bare.received == o.received, "the client gets the body that it got without a Writer")
					assert.Equal(t, bare.client.ContentLength, o.client.ContentLength)
					assert.Equal(t, bare.client.Trailer, o.client.Trailer)
					bare.client.Header.Del("Date")
					o.client.Header.Del("Date")
					assert.Equal(t, bare.client.Header, o.client.Header)

					assert.Equal(t, o.client.StatusCode, o.resp.Status)
					assert.False(t, o.resp.Short)
					assert.False(t, o.resp.Broken)
					assert.False(t, o.resp.Hijacked)
					assert.False(t, o.resp.First.IsZero())
					sameBody(t, &o)
					sameFields(t, &o)
				})
			}
		}
	}
}

func sameBody(t *testing.T, o *observed) {
	size := len(o.received)
	assert.EqualValues(t, size, o.size)
	assert.True(t, strings.HasPrefix(o.received, o.body), "the bytes kept")
	if o.summed {
		assert.Equal(t, o.pool.Sum([]byte(o.received)), o.sum)
	}
	if size <= limit {
		assert.Len(t, o.body, size)
	}
}

func sameFields(t *testing.T, o *observed) {
	got := o.client.Header.Clone()
	sent := o.resp.Sent(3)
	for _, name := range []string{"Date", "Content-Length", "Connection", "Trailer"} { // net/http's to say
		delete(got, name)
		delete(sent, name)
	}
	for name, values := range sent {
		if len(values) == 0 {
			delete(sent, name)
		}
	}
	assert.Equal(t, got, sent)
	if o.client.Request.Method == "HEAD" {
		return // it has no trailers
	}
	sent = http.Header{}
	for k, v := range o.client.Trailer {
		if v != nil { // else announced and never sent
			sent[k] = v
		}
	}
	assert.Equal(t, sent, o.resp.Trailer.Header(0))
}

// A response that is not what its Content-Length says is not whole, whichever way it was
// written, and however the protocol words it.
func TestAnotherLengthThanDeclaredIsShort(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"less": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "5")
			_, _ = io.WriteString(w, "hell")
		},
		"none": func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Content-Length", "5") },
		"more at once": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "5")
			_, _ = w.Write([]byte("hello!"))
		},
		"more in the end": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "5")
			_, err := io.WriteString(w, "hello")
			assert.NoError(t, err)
			_, _ = io.WriteString(w, "!")
		},
		"more, copied": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "5")
			_, _ = io.Copy(w, io.LimitReader(zeros{}, 6))
		},
		"more than nothing": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "0")
			_, _ = io.WriteString(w, "hello")
		},
		"less of a large one": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(2*limit))
			_, _ = io.Copy(w, io.LimitReader(zeros{}, limit))
		},
		"more of a large one": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(2*limit))
			_, _ = io.Copy(w, io.LimitReader(zeros{}, 3*limit))
		},
	} {
		for _, proto := range []string{http1, http2} {
			t.Run(name+"/"+proto, func(t *testing.T) {
				o := observe(t, proto, "GET", h)
				assert.True(t, o.resp.Short)
				assert.False(t, o.resp.Broken)
			})
			t.Run(name+"/"+proto+"/HEAD", func(t *testing.T) {
				o := observe(t, proto, "HEAD", h)
				assert.NoError(t, o.err)
				assert.False(t, o.resp.Short, "it has no body that could be short")
				assert.False(t, o.resp.Broken)
			})
		}
	}
}

func TestHijackedAndUpgradedResponsesAreNotRecorded(t *testing.T) {
	t.Run("hijacked", func(t *testing.T) {
		o := observe(t, http1, "GET", func(w http.ResponseWriter, r *http.Request) {
			conn, rw, err := w.(http.Hijacker).Hijack()
			if !assert.NoError(t, err) {
				return
			}
			defer conn.Close()
			_, _ = io.WriteString(rw, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
			_ = rw.Flush()
			_, err = w.Write([]byte("late"))
			assert.ErrorIs(t, err, http.ErrHijacked)
		})
		assert.Equal(t, "hello", o.received)
		assert.True(t, o.resp.Hijacked)
		assert.Zero(t, o.resp.Status)
		assert.Empty(t, o.body)
	})
	t.Run("switching protocols", func(t *testing.T) {
		o := observe(t, http1, "GET", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Upgrade", "own")
			w.WriteHeader(http.StatusSwitchingProtocols)
			conn, _, err := w.(http.Hijacker).Hijack()
			if assert.NoError(t, err) {
				_ = conn.Close()
			}
		})
		assert.Equal(t, http.StatusSwitchingProtocols, o.client.StatusCode)
		assert.True(t, o.resp.Hijacked)
		assert.Equal(t, http.StatusSwitchingProtocols, o.resp.Status)
	})
	t.Run("a refused hijack changes nothing", func(t *testing.T) {
		o := observe(t, http2, "GET", func(w http.ResponseWriter, r *http.Request) {
			_, _, err := http.NewResponseController(w).Hijack()
			assert.ErrorIs(t, err, http.ErrNotSupported)
			_, _ = io.WriteString(w, "hello")
		})
		assert.False(t, o.resp.Hijacked)
		assert.Equal(t, "hello", o.body)
	})
}

func TestAnErrorOfTheConnectionMeansBroken(t *testing.T) {
	everything := func(f *fake) http.ResponseWriter { return fakes[0xff](f) }
	for name, write := range map[string]func(http.ResponseWriter) error{
		"Write": func(w http.ResponseWriter) error { _, err := w.Write([]byte("a")); return err },
		"ReadFrom": func(w http.ResponseWriter) error {
			_, err := w.(io.ReaderFrom).ReadFrom(strings.NewReader("a"))
			return err
		},
		"ReadFrom unseen": func(w http.ResponseWriter) error {
			w.Header().Set("Content-Length", "1000")
			_, err := w.(io.ReaderFrom).ReadFrom(strings.NewReader("a"))
			return err
		},
		"FlushError": func(w http.ResponseWriter) error { return w.(interface{ FlushError() error }).FlushError() },
	} {
		// What is written in answer to HEAD nobody misses, and when its header is flushed the
		// client may be gone already, with all there is.
		for method, broken := range map[string]bool{"GET": true, "HEAD": false} {
			f := newFake()
			f.err = errBroken
			var w capture.Writer
			w.Init(everything(f), method, capture.NewPool(1<<20), 100)
			assert.Error(t, write(w.Wrap()), name)
			resp := w.Stop()
			assert.Equal(t, broken, resp.Broken, "%s %s", method, name)
			resp.Body.Release()
		}
	}
}

// Net/http sends the header of an answer that is read from a file before the handler
// returns: who asked for it with HEAD has all of it then, and may be gone.
func TestAnAnswerToHEADIsWholeOnceItsHeaderIsSent(t *testing.T) {
	whole := make(chan bool, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		var w capture.Writer
		w.Init(rw, r.Method, capture.NewPool(1<<20), 1<<20)
		_, err := w.Wrap().(io.ReaderFrom).ReadFrom(bytes.NewReader(text(4 << 10)))
		assert.NoError(t, err)
		<-r.Context().Done()
		whole <- w.Stop().Whole
	}))
	defer srv.Close()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // which closes when it has the header
	resp, err := client.Head(srv.URL)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.True(t, <-whole)
}

// What was accepted of a write that failed is all that counts.
func TestShortWritesCountAsFarAsTheyWent(t *testing.T) {
	var w capture.Writer
	w.Init(&halfWriter{newFake()}, "GET", capture.NewPool(1<<20), 100)
	n, err := w.Wrap().Write([]byte("hello!"))
	assert.Equal(t, 3, n)
	assert.Equal(t, io.ErrShortWrite, err)
	n, err = w.Wrap().Write(nil)
	assert.Equal(t, -1, n, "even that is passed on")
	assert.Equal(t, io.ErrShortWrite, err)
	resp := w.Stop()
	assert.True(t, resp.Broken)
	assert.EqualValues(t, 3, resp.Body.Size())
	assert.Nil(t, resp.Body.Bytes(), "nobody will want them")
	resp.Body.Release()
}

// halfWriter accepts half of what it is given, and less than nothing of nothing.
type halfWriter struct{ *fake }

func (w *halfWriter) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return -1, io.ErrShortWrite
	}
	return len(p) / 2, io.ErrShortWrite
}

// Sendfile needs the source itself: net/http looks at its type.
func TestReadFromHandsOnTheSourceItselfWhereTheBodyIsNotKept(t *testing.T) {
	for name, c := range map[string]struct {
		method, length string
		typed, stopped bool
		same           bool
	}{
		"declared over the limit":       {method: "GET", length: "1000", same: true},
		"the same, typed":               {method: "GET", length: "1000", typed: true, same: true},
		"declared within":               {method: "GET", length: "10"},
		"not declared":                  {method: "GET"},
		"HEAD":                          {method: "HEAD"}, // sent nowhere, so no sendfile
		"HEAD, over the limit":          {method: "HEAD", length: "1000", typed: true},
		"after the recording has ended": {method: "GET", stopped: true, same: true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake()
			if c.length != "" {
				f.header.Set("Content-Length", c.length)
			}
			if c.typed {
				f.header.Set("Content-Type", "text/plain")
			}
			pool := capture.NewPool(1 << 20)
			var w capture.Writer
			w.Init(fakes[0xff](f), c.method, pool, 10)
			wrapped := w.Wrap()
			if c.stopped {
				w.Stop()
			}
			src := bytes.NewReader(text(1000))
			n, err := wrapped.(io.ReaderFrom).ReadFrom(src)
			assert.NoError(t, err)
			assert.EqualValues(t, 1000, n)
			assert.Equal(t, c.same, f.src == io.Reader(src))
			assert.Equal(t, text(1000), f.body)
			resp := w.Stop()
			resp.Body.Release()
			assert.Zero(t, pool.Held())
		})
	}
}

func TestALargeFileGoesByUnseen(t *testing.T) {
	o := observe(t, http1, "GET", shapes(t)["large file"])
	assert.EqualValues(t, 3*limit, o.size)
	assert.Empty(t, o.body)
	assert.False(t, o.summed, "nobody looked at the bytes")
	assert.Equal(t, 200, o.resp.Status)
}

// A response that is declared to be over the limit keeps no prefix, only its hash.
func TestADeclaredLargeBodyIsNotKept(t *testing.T) {
	pool := capture.NewPool(1 << 20)
	var w capture.Writer
	f := newFake()
	f.header.Set("Content-Length", "11")
	w.Init(f, "GET", pool, 10)
	_, err := w.Wrap().Write([]byte("0123456789A"))
	require.NoError(t, err)
	assert.Zero(t, pool.Held())
	resp := w.Stop()
	sum, ok := resp.Body.Sum()
	assert.True(t, ok)
	assert.Equal(t, pool.Sum([]byte("0123456789A")), sum)
	assert.False(t, resp.Short)
	resp.Body.Release()
}

// The header is recorded as the handler left it, not as a ResponseWriter in between
// makes it when it learns of the status.
func TestTheHeaderIsRecordedBeforeItIsForwarded(t *testing.T) {
	var w capture.Writer
	w.Init(&compressor{newFake()}, "GET", capture.NewPool(1<<20), 100)
	wrapped := w.Wrap()
	wrapped.Header().Set("Content-Length", "5")
	wrapped.WriteHeader(200)
	_, err := wrapped.Write([]byte("hello"))
	require.NoError(t, err)
	resp := w.Stop()
	assert.Equal(t, http.Header{"Content-Length": {"5"}}, resp.Header.Header(0))
	assert.False(t, resp.Short)
	resp.Body.Release()
}

// compressor does what compressing middleware does to a header.
type compressor struct{ *fake }

func (c *compressor) WriteHeader(status int) {
	c.header.Del("Content-Length")
	c.header.Set("Content-Encoding", "gzip")
	c.fake.WriteHeader(status)
}

// A handler that looks behind the Writer finds what is there, but cannot get past the
// recording with what an http.ResponseController does.
func TestUnwrapLeadsThroughMiddlewareWithoutLosingSight(t *testing.T) {
	newWriter := func(w *capture.Writer, set int) (f *fake, wrapped http.ResponseWriter) {
		f = newFake()
		w.Init(&middleware{f, fakes[set](f)}, "GET", capture.NewPool(1<<20), 100)
		return f, w.Wrap()
	}
	t.Run("flush", func(t *testing.T) {
		var w capture.Writer
		f, wrapped := newWriter(&w, 0x1)
		assert.False(t, has[http.Flusher](wrapped))
		assert.NoError(t, http.NewResponseController(wrapped).Flush())
		assert.Equal(t, []string{"Flush"}, f.calls)
		wrapped.Header().Set("A", "too late")
		wrapped.WriteHeader(404)
		resp := w.Stop()
		assert.Equal(t, 200, resp.Status)
		assert.Empty(t, resp.Header)
	})
	t.Run("flush with an error", func(t *testing.T) {
		var w capture.Writer
		_, wrapped := newWriter(&w, 0x3)
		assert.Same(t, errFlush, http.NewResponseController(wrapped).Flush())
		resp := w.Stop()
		assert.True(t, resp.Broken)
	})
	t.Run("flush unsupported", func(t *testing.T) {
		var w capture.Writer
		_, wrapped := newWriter(&w, 0)
		assert.ErrorIs(t, http.NewResponseController(wrapped).Flush(), http.ErrNotSupported)
		wrapped.WriteHeader(404)
		resp := w.Stop()
		assert.Equal(t, 404, resp.Status, "nothing had been sent")
		assert.False(t, resp.Broken)
	})
	t.Run("hijack", func(t *testing.T) {
		o := observe(t, http1, "GET", func(w http.ResponseWriter, r *http.Request) {
			var inner capture.Writer
			inner.Init(&middleware{w, w}, "GET", capture.NewPool(1<<20), 100)
			conn, _, err := http.NewResponseController(inner.Wrap()).Hijack()
			if assert.NoError(t, err) {
				_ = conn.Close()
			}
			resp := inner.Stop()
			assert.True(t, resp.Hijacked)
		})
		assert.True(t, o.resp.Hijacked)
	})
	t.Run("deadlines", func(t *testing.T) {
		var w capture.Writer
		f, wrapped := newWriter(&w, 0x7)
		controller := http.NewResponseController(wrapped)
		assert.Same(t, errRead, controller.SetReadDeadline(time.Unix(1, 0)))
		assert.Same(t, errWrite, controller.SetWriteDeadline(time.Unix(2, 0)))
		assert.Same(t, errDuplex, controller.EnableFullDuplex())
		assert.Equal(t, []string{"SetReadDeadline 1", "SetWriteDeadline 2", "EnableFullDuplex"}, f.calls)
		w.Stop()
	})
	t.Run("the original is found", func(t *testing.T) {
		var w capture.Writer
		f, wrapped := newWriter(&w, 0)
		for range 3 { // the Writer's, the middleware's, the server's
			u, ok := wrapped.(interface{ Unwrap() http.ResponseWriter })
			if !assert.True(t, ok) {
				return
			}
			wrapped = u.Unwrap()
		}
		assert.Equal(t, fakes[0](f), wrapped)
		w.Stop()
	})
}

// middleware is a ResponseWriter without optional interfaces but Unwrap.
type middleware struct {
	http.ResponseWriter
	inner http.ResponseWriter
}

func (m *middleware) Unwrap() http.ResponseWriter { return m.inner }

// A source that fails has nothing to do with the client, even with an error that cannot
// be compared.
func TestAnErrorOfTheSourceIsNotTheConnections(t *testing.T) {
	var w capture.Writer
	w.Init(fakes[0xff](newFake()), "GET", capture.NewPool(1<<20), 100)
	_, err := w.Wrap().(io.ReaderFrom).ReadFrom(io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(incomparable{"a"})))
	assert.ErrorContains(t, err, "incomparable")
	resp := w.Stop()
	assert.False(t, resp.Broken)
	assert.Equal(t, "abc", string(resp.Body.Bytes()))
	resp.Body.Release()
}

type incomparable []string

func (incomparable) Error() string { return "incomparable" }

// A handler may leave a goroutine behind that writes on. What comes after Stop goes by
// unrecorded and touches nothing.
func TestWritesAfterStopGoByUnrecorded(t *testing.T) {
	pool := capture.NewPool(1 << 20)
	var sink countingWriter
	for range 20 {
		var w capture.Writer
		w.Init(&sink, "GET", pool, limit)
		wrapped := w.Wrap()
		wrapped.Header() // made before anybody reads it
		stop := make(chan struct{})
		var writers, started sync.WaitGroup
		for _, write := range []func(){
			func() { _, _ = wrapped.Write([]byte("0123456789")) },
			func() { _, _ = wrapped.(io.StringWriter).WriteString("0123456789") },
			func() { _, _ = wrapped.(io.ReaderFrom).ReadFrom(strings.NewReader("0123456789")) },
			func() { wrapped.(http.Flusher).Flush() },
			func() { wrapped.WriteHeader(200) },
		} {
			started.Add(1)
			writers.Go(func() {
				for first := true; ; first = false {
					write()
					if first {
						started.Done()
					}
					select {
					case <-stop:
						return
					default:
					}
				}
			})
		}
		started.Wait()
		resp := w.Stop()
		size, body := resp.Body.Size(), resp.Body.Bytes()
		before := sink.n.Load()
		for sink.n.Load() < before+1000 {
			runtime.Gosched() // the writers write on
		}
		close(stop)
		writers.Wait()
		assert.Equal(t, 200, resp.Status)
		assert.Equal(t, size, resp.Body.Size())
		if !resp.Body.Cut() { // it was not too long already
			assert.GreaterOrEqual(t, len(body), 30)
			assert.Equal(t, bytes.Repeat([]byte("0123456789"), len(body)/10), body[:len(body)/10*10])
		}
		resp.Body.Release()
		assert.Zero(t, pool.Held())
		assert.Zero(t, *w.Stop(), "the recording was handed over")
	}
}

// countingWriter is a ResponseWriter for many goroutines.
type countingWriter struct{ n atomic.Int64 }

func (w *countingWriter) Header() http.Header { return http.Header{} }
func (w *countingWriter) WriteHeader(int)     {}
func (w *countingWriter) Flush()              {}
func (w *countingWriter) Write(p []byte) (int, error) {
	w.n.Add(int64(len(p)))
	return len(p), nil
}
func (w *countingWriter) WriteString(s string) (int, error) { return w.Write([]byte(s)) }
func (w *countingWriter) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{w}, r)
}

// A pool without room costs the client nothing.
func TestAStarvedRecordingStillServes(t *testing.T) {
	pool := capture.NewPool(0)
	rec := httptest.NewRecorder()
	var w capture.Writer
	w.Init(rec, "GET", pool, limit)
	_, err := io.WriteString(w.Wrap(), "hello")
	require.NoError(t, err)
	resp := w.Stop()
	assert.Equal(t, "hello", rec.Body.String())
	assert.True(t, resp.Body.Starved())
	assert.EqualValues(t, 5, resp.Body.Size())
	resp.Body.Release()
	assert.Zero(t, pool.Held())
}
