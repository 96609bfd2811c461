package shadow_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/sampling"
)

// The benchmarks call ServeHTTP as a server does, with a ResponseWriter that throws
// away what it is given, and measure what a Mirror adds on the request goroutine: the
// primary answers 503, so that every exchange is recorded and none is copied.
// BenchmarkWholeWay measures the copy's way to its result as well.

// nowhere is a ResponseWriter.
type nowhere struct{ header http.Header }

func (w *nowhere) Header() http.Header         { return w.header }
func (w *nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (w *nowhere) WriteHeader(int)             {}
func (w *nowhere) Flush()                      {}

// rereader is a request body that starts anew for each request.
type rereader struct{ *bytes.Reader }

func (rereader) Close() error { return nil }

type workload struct {
	name   string
	method string
	size   int // of the request body, and of a GET's response
}

var workloads = []workload{
	{"GET-1K", "GET", 1 << 10},
	{"POST-1K", "POST", 1 << 10},
	{"POST-64K", "POST", 64 << 10},
	{"POST-1M", "POST", 1 << 20},
}

// handler reads the request body and answers: a GET with the body, a POST with 64 bytes.
func (l workload) handler() http.Handler {
	answer := bytes.Repeat([]byte("x"), l.size)
	if l.method == "POST" {
		answer = answer[:64]
	}
	length := []string{strconv.Itoa(len(answer))}
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
		w.Write(answer)
	})
}

var contentType = []string{"application/octet-stream"}

// request returns a request as a browser would send it, and what makes it new again.
func (l workload) request() (r *http.Request, reset func()) {
	r = &http.Request{
		Method: l.method, URL: &url.URL{Path: "/items/1", RawQuery: "q=1"}, Host: "example.com", RequestURI: "/items/1?q=1", Pattern: "GET /items/{id}",
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, RemoteAddr: "127.0.0.1:1", Body: http.NoBody,
		Header: http.Header{
			"Accept":          {"application/json"},
			"Accept-Encoding": {"gzip"},
			"Authorization":   {"Bearer x"},
			"User-Agent":      {"benchmark"},
			"X-Request-Id":    {"4bf92f3577b34da6a3ce929d0e0e4736"},
		},
	}
	if l.method == "GET" {
		return r, func() {}
	}
	content := bytes.Repeat([]byte("y"), l.size)
	body := rereader{bytes.NewReader(content)}
	r.ContentLength = int64(l.size)
	r.Header["Content-Length"] = []string{strconv.Itoa(l.size)}
	return r, func() { body.Reset(content); r.Body = body }
}

func (l workload) run(b *testing.B, h http.Handler) {
	b.ReportAllocs()
	b.Run("serial", func(b *testing.B) {
		b.ReportAllocs()
		w := &nowhere{http.Header{}}
		r, reset := l.request()
		for b.Loop() {
			reset()
			h.ServeHTTP(w, r)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			w := &nowhere{http.Header{}}
			r, reset := l.request()
			for pb.Next() {
				reset()
				h.ServeHTTP(w, r)
			}
		})
	})
}

// refusing has h answer with 503.
func refusing(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		h.ServeHTTP(w, r)
	})
}

func BenchmarkRequestGoroutine(b *testing.B) {
	for _, l := range workloads {
		b.Run("bare/"+l.name, func(b *testing.B) { l.run(b, l.handler()) })
	}
	b.Run("unsampled/GET-1K", func(b *testing.B) {
		m, err := shadow.New(shadow.InProcess("idle", http.NotFoundHandler()), shadow.WithSampler(shadow.Rate(1e-12)))
		if err != nil {
			b.Fatal(err)
		}
		workloads[0].run(b, m.Handler(workloads[0].handler()))
	})
	for _, l := range workloads {
		b.Run("sampled/"+l.name, func(b *testing.B) {
			m, err := shadow.New(isolated(shadow.InProcess("idle", http.NotFoundHandler())), shadow.WithMethods("GET", "POST"), shadow.WithMaxBody(4<<20))
			if err != nil {
				b.Fatal(err)
			}
			l.run(b, m.Handler(refusing(l.handler())))
		})
	}
}

// BenchmarkWholeWay waits for the result of each copy.
func BenchmarkWholeWay(b *testing.B) {
	for _, l := range workloads[:2] {
		b.Run(l.name, func(b *testing.B) {
			done := make(chan struct{})
			m, err := shadow.New(isolated(shadow.InProcess("candidate", l.handler())), shadow.WithMethods("GET", "POST"),
				shadow.WithReporter(shadow.ReporterFunc(func(_ context.Context, r *shadow.Result) error {
					if r.Outcome != shadow.Match {
						return fmt.Errorf("%v: %v", r.Outcome, r.Diffs)
					}
					done <- struct{}{}
					return nil
				})))
			if err != nil {
				b.Fatal(err)
			}
			h := m.Handler(l.handler())
			w := &nowhere{http.Header{}}
			r, reset := l.request()
			b.ReportAllocs()
			for b.Loop() {
				reset()
				h.ServeHTTP(w, r)
				<-done
			}
			m.Shutdown(context.Background())
		})
	}
}

// BenchmarkLoopback serves over real connections, at full mirroring, with a shadow
// that does nothing: compare the requests per second with those of bare.
func BenchmarkLoopback(b *testing.B) {
	nothing := shadow.Target{Name: "nothing", Discard: true, Transport: shadow.HandlerTransport(
		http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))}
	for _, l := range workloads[:3] {
		serve := func(b *testing.B, h http.Handler) {
			srv := httptest.NewServer(h)
			defer srv.Close()
			content := bytes.Repeat([]byte("y"), l.size)
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
			b.SetParallelism(8) // on two cores: 16 connections
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					var body io.Reader
					if l.method == "POST" {
						body = bytes.NewReader(content)
					}
					r, _ := http.NewRequest(l.method, srv.URL+"/items/1", body)
					resp, err := client.Do(r)
					if err != nil {
						b.Error(err)
						return
					}
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
			client.CloseIdleConnections()
		}
		b.Run("bare/"+l.name, func(b *testing.B) { serve(b, l.handler()) })
		b.Run("mirrored/"+l.name, func(b *testing.B) {
			m, err := shadow.New(isolated(nothing), shadow.WithMethods("GET", "POST"))
			if err != nil {
				b.Fatal(err)
			}
			serve(b, m.Handler(l.handler()))
			m.Shutdown(context.Background())
		})
	}
}

// BenchmarkSample is what a Sampler costs a request that it does not sample, but for a share
// that does not matter.
func BenchmarkSample(b *testing.B) {
	variable := new(shadow.RateVar)
	variable.Set(1e-6)
	routes := new(shadow.RouteRates)
	if err := routes.Set("/items/1", 1e-6); err != nil {
		b.Fatal(err)
	}
	rate := shadow.Rate(1e-6)
	for _, c := range []struct {
		name    string
		sampler shadow.Sampler
	}{
		{"Rate", rate},
		{"RateVar", variable},
		{"RouteRates", routes},
		{"Force", newForce(secret)},
		{"All", shadow.All(shadow.Rate(1), rate)},
		{"Any", shadow.Any(newForce(secret), rate)},
		{"Windowed", newWindowed(rate, 1<<62, 1<<20)},
		{"Adaptive", newAdaptive(sampling.AdaptiveOptions{Share: 1e-6, Burst: 1})},
	} {
		r, _ := workloads[0].request()
		b.Run(c.name+"/serial", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.sampler.Sample(r)
			}
		})
		b.Run(c.name+"/parallel", func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					c.sampler.Sample(r)
				}
			})
		})
	}
}

// BenchmarkMaskDetected masks a JSON body of 10 KB that holds nothing, and one with an
// address in each of its items.
func BenchmarkMaskDetected(b *testing.B) {
	for name, note := range map[string]string{"nothing": "fine", "findings": "ann@example.com"} {
		var items []string
		for i := range 70 {
			items = append(items, fmt.Sprintf(`{"id":%d,"sku":"AB-%05d","created_at":"2024-05-06T07:08:%02dZ","price":%d.95,"tags":["a","b"],"note":"%s"}`, 1000+i, i, i%60, i, note))
		}
		body := []byte(`{"items":[` + strings.Join(items, ",") + `]}`)
		b.Run(name, func(b *testing.B) {
			masker := shadow.MaskDetected()
			header := http.Header{"Content-Type": {"application/json"}}
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if err := masker.Mask(&shadow.Message{Header: header, Body: body}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
