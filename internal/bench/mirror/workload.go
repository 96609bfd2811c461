package main

import (
	"bytes"
	"net/http"
	"net/url"
	"strconv"
	"sync"
)

// workload is a kind of request and how it is answered, as in the benchmarks of the
// root package.
type workload struct {
	name   string
	method string
	size   int      // of the request body, and of a GET's response
	routes []string // taken in turn; nil is one
}

var workloads = []workload{
	{name: "GET-1K", method: "GET", size: 1 << 10},
	{name: "POST-1K", method: "POST", size: 1 << 10},
	{name: "POST-64K", method: "POST", size: 64 << 10},
	{name: "POST-1M", method: "POST", size: 1 << 20},
}

// handler reads the request body and answers: a GET with size bytes, a POST with 64.
// It allocates nothing.
func (l workload) handler() http.Handler {
	answer := bytes.Repeat([]byte("x"), l.size)
	if l.method == "POST" {
		answer = answer[:64]
	}
	contentType, length := []string{"application/octet-stream"}, []string{strconv.Itoa(len(answer))}
	buffers := sync.Pool{New: func() any { return new([32 << 10]byte) }}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		buf := buffers.Get().(*[32 << 10]byte)
		defer buffers.Put(buf)
		for {
			if _, err := r.Body.Read(buf[:]); err != nil {
				break
			}
		}
		h := w.Header()
		h["Content-Type"] = contentType
		h["Content-Length"] = length
		w.Write(answer) //nolint:errcheck // as handlers do
	})
}

// call is a request that is made again and again, without a server.
type call struct {
	w       nowhere
	r       *http.Request
	content []byte
	body    rereader
	routes  []string
	made    int
}

func (l workload) call() *call {
	c := &call{
		w:      nowhere{http.Header{}},
		routes: l.routes,
		r: &http.Request{
			Method: l.method, URL: &url.URL{Path: "/items/1", RawQuery: "q=1"}, Host: "example.com",
			RequestURI: "/items/1?q=1", Pattern: l.method + " /items/{id}",
			Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, RemoteAddr: "127.0.0.1:1", Body: http.NoBody,
			Header: http.Header{
				"Accept":          {"application/json"},
				"Accept-Encoding": {"gzip"},
				"Authorization":   {"Bearer x"},
				"User-Agent":      {"benchmark"},
				"X-Request-Id":    {"4bf92f3577b34da6a3ce929d0e0e4736"},
			},
		},
	}
	if l.method == "POST" {
		c.content = bytes.Repeat([]byte("y"), l.size)
		c.body = rereader{bytes.NewReader(c.content)}
		c.r.ContentLength = int64(l.size)
		c.r.Header["Content-Length"] = []string{strconv.Itoa(l.size)}
	}
	return c
}

// renew makes the request as it was before it was served.
func (c *call) renew() {
	if c.routes != nil {
		c.r.Pattern = c.routes[c.made%len(c.routes)]
		c.made++
	}
	if c.content == nil {
		return
	}
	c.body.Reset(c.content)
	c.r.Body = c.body
}

// nowhere is a ResponseWriter that throws away what it is given.
type nowhere struct{ header http.Header }

func (w *nowhere) Header() http.Header         { return w.header }
func (w *nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (w *nowhere) WriteHeader(int)             {}
func (w *nowhere) Flush()                      {}

// rereader is a request body that can start anew.
type rereader struct{ *bytes.Reader }

func (rereader) Close() error { return nil }
