package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/goshadow/shadow"
)

// candidate is the shadow that copies go to: it reads the copy and answers nothing.
type candidate struct {
	hung   <-chan struct{} // holds every copy until it is closed; nil holds none
	copies atomic.Int64    // read to their end
	bytes  atomic.Int64    // of their bodies
}

func (c *candidate) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	if c.hung != nil {
		<-c.hung
	}
	n, _ := io.Copy(io.Discard, r.Body)
	c.bytes.Add(n)
	c.copies.Add(1)
}

// design is a way to mirror a handler.
type design struct {
	name string
	// mirror returns primary with copies going to c, and what ends that. The copies
	// that run have ended when end returns, if c lets them.
	mirror func(primary http.Handler, c *candidate) (h http.Handler, end func(), err error)
	// loses says that no copy reaches the candidate.
	loses bool
}

// The designs that tables and tests refer to.
var (
	bare = design{"bare", func(primary http.Handler, _ *candidate) (http.Handler, func(), error) {
		return primary, func() {}, nil
	}, true}
	telemetry = design{"otelhttp, noop providers", instrument, true}
	refused   = design{"shadow, recorded", recorded, true}
)

// designs are the rows of the tables.
var designs = []design{
	bare,
	telemetry,
	{"shadow, not sampled", unsampled, true},
	refused,
	{"shadow, queue full", full, true},
	{"shadow, copied", copied, false},
	{"shadow, copied and compared", compared, false},
	{"stand-in: a goroutine per request", goroutine, false},
	{"stand-in: worker pool, queue full", fullPool, true},
	{"stand-in: worker pool", pool, false},
	{"skipper tee", tee, false},
}

func instrument(primary http.Handler, _ *candidate) (http.Handler, func(), error) {
	return otelhttp.NewHandler(primary, "primary",
		otelhttp.WithTracerProvider(tracenoop.NewTracerProvider()),
		otelhttp.WithMeterProvider(metricnoop.NewMeterProvider())), func() {}, nil
}

// The library. Its limits are the defaults, but for what the workloads need: POST is
// mirrored, and bodies up to 4 MiB.

func mirrored(primary http.Handler, t shadow.Target, opts ...shadow.Option) (http.Handler, func(), error) {
	t.Isolated = true
	m, err := shadow.New(t, append(opts, shadow.WithMethods("GET", "POST"), shadow.WithMaxBody(4<<20))...)
	if err != nil {
		return nil, nil, err
	}
	return m.Handler(primary), func() { m.Shutdown(context.Background()) }, nil //nolint:errcheck // never expires
}

func unsampled(primary http.Handler, c *candidate) (http.Handler, func(), error) {
	return mirrored(primary, shadow.InProcess("candidate", c), shadow.WithSampler(shadow.Rate(1e-12)))
}

// recorded has the primary answer 503, whose exchanges are recorded and then not copied: that
// is what the library does on the goroutine of the request.
func recorded(primary http.Handler, c *candidate) (http.Handler, func(), error) {
	return mirrored(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		primary.ServeHTTP(w, r)
	}), shadow.InProcess("candidate", c))
}

// full has a candidate that is taken and a queue that is full: nothing is recorded.
func full(primary http.Handler, _ *candidate) (http.Handler, func(), error) {
	started, held := make(chan struct{}, 2), make(chan struct{})
	holding := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		started <- struct{}{}
		<-held
	})
	target := shadow.InProcess("held", holding)
	target.Isolated = true
	m, err := shadow.New(target, shadow.WithConcurrency(1), shadow.WithQueue(1, 64<<20),
		shadow.WithMethods("GET", "POST"), shadow.WithMaxBody(4<<20))
	if err != nil {
		return nil, nil, err
	}
	first := m.Handler(http.NotFoundHandler())
	for range 2 { // one runs, one waits
		first.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	}
	<-started
	return m.Handler(primary), func() {
		close(held)
		m.Shutdown(context.Background()) //nolint:errcheck // never expires
	}, nil
}

func copied(primary http.Handler, c *candidate) (http.Handler, func(), error) {
	return mirrored(primary, shadow.Target{Name: "candidate", Transport: shadow.HandlerTransport(c), Discard: true})
}

// compared has a candidate that is the primary itself.
func compared(primary http.Handler, c *candidate) (http.Handler, func(), error) {
	return comparing(primary, c)
}

func comparing(primary http.Handler, c *candidate, opts ...shadow.Option) (http.Handler, func(), error) {
	target := shadow.InProcess("candidate", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.hung != nil {
			<-c.hung
		}
		primary.ServeHTTP(w, r)
		c.bytes.Add(max(r.ContentLength, 0))
	}))
	return mirrored(primary, target, append(opts, shadow.WithReporter(shadow.ReporterFunc(func(context.Context, *shadow.Result) error {
		c.copies.Add(1)
		return nil
	})))...)
}

// The stand-ins are what mirror middlewares commonly do, at its most frugal: no marks, no
// hop-by-hop hygiene, no deadline, no limit on the body, the primary's answer not kept.

// goroutine reads the body before the primary runs and starts a goroutine for each copy.
func goroutine(primary http.Handler, c *candidate) (http.Handler, func(), error) {
	var running sync.WaitGroup
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		twin, err := duplicate(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		running.Go(func() { c.ServeHTTP(&recorder{header: http.Header{}}, twin) })
		primary.ServeHTTP(w, r)
	})
	return h, running.Wait, nil
}

// pool reads the body before the primary runs and leaves the copy to eight workers.
func pool(primary http.Handler, c *candidate) (http.Handler, func(), error) {
	jobs, ended := make(chan *http.Request, 256), make(chan struct{})
	const workers = 8
	for range workers {
		go func() {
			for twin := range jobs {
				c.ServeHTTP(&recorder{header: http.Header{}}, twin)
			}
			ended <- struct{}{}
		}()
	}
	return feed(primary, jobs), func() {
		close(jobs)
		for range workers {
			<-ended
		}
	}, nil
}

// fullPool is pool with all its workers busy and its queue full.
func fullPool(primary http.Handler, _ *candidate) (http.Handler, func(), error) {
	return feed(primary, make(chan *http.Request)), func() {}, nil
}

func feed(primary http.Handler, jobs chan<- *http.Request) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		twin, err := duplicate(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		primary.ServeHTTP(w, r)
		select {
		case jobs <- twin:
		default:
		}
	})
}

// duplicate reads the body of r and gives it to r and to a copy of r.
func duplicate(r *http.Request) (*http.Request, error) {
	twin := r.Clone(context.WithoutCancel(r.Context()))
	if r.Body == nil || r.Body == http.NoBody {
		return twin, nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body, twin.Body = io.NopCloser(bytes.NewReader(body)), io.NopCloser(bytes.NewReader(body))
	return twin, nil
}

// recorder keeps the answer to a copy.
type recorder struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

func (w *recorder) Header() http.Header         { return w.header }
func (w *recorder) Write(p []byte) (int, error) { return w.body.Write(p) }
func (w *recorder) WriteHeader(code int)        { w.code = code }
