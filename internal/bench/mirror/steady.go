package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/internal/bench/measure"
)

// steady prints the requests per second over loopback where every request is copied to a
// handler in the process and compared, the time until the last copy has been reported
// included. Clients ask no faster than copies end, so that none is lost. What the shadow
// does itself is told by a handler that does the work of both, one after the other, without
// a mirror. A process whose heap is as small as here collects garbage every 4 MiB, which costs
// the more the more garbage there is: so there are rows with a heap as services have it.
func steady(w io.Writer, rounds, calls int) error {
	t := measure.Table{
		Title:   fmt.Sprintf("Steady state: requests per second over loopback with %d connections, every request copied and compared", connections),
		Columns: []string{"workload", "bare", "both handlers, no mirror", "mirrored", "mirrored / bare", "mirrored / both handlers"},
	}
	for _, l := range workloads[:3] {
		if err := addSteady(&t, l.name, l, rounds, calls); err != nil {
			return err
		}
	}
	ballast := make([]byte, 128<<20)
	for _, l := range workloads[:3] {
		if err := addSteady(&t, "128 MiB live: "+l.name, l, rounds, calls); err != nil {
			return err
		}
	}
	runtime.KeepAlive(ballast)
	return t.Fprint(w)
}

// addSteady adds the row of l.
func addSteady(t *measure.Table, name string, l workload, rounds, calls int) error {
	var all [][3]float64
	for range rounds {
		var rates [3]float64
		for i, rate := range []func(workload, int) (float64, error){rateBare, rateBoth, rateMirrored} {
			var err error
			if rates[i], err = rate(l, calls); err != nil {
				return fmt.Errorf("%s: %w", l.name, err)
			}
		}
		all = append(all, rates)
	}
	median := func(value func(r [3]float64) float64) float64 { return measure.Median(all, value) }
	t.Add(name,
		median(func(r [3]float64) float64 { return r[0] }),
		median(func(r [3]float64) float64 { return r[1] }),
		median(func(r [3]float64) float64 { return r[2] }),
		hundredths(median(func(r [3]float64) float64 { return r[2] / r[0] })),
		hundredths(median(func(r [3]float64) float64 { return r[2] / r[1] })))
	return nil
}

func rateBare(l workload, calls int) (float64, error) {
	return perSecond(l, l.handler(), calls, func() int64 { return 0 }, func() error { return nil })
}

// rateBoth has each request served twice: the second time from memory, for a writer that
// throws everything away.
func rateBoth(l workload, calls int) (float64, error) {
	h, content := l.handler(), bytes.Repeat([]byte("y"), l.size)
	return perSecond(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r)
		twin := *r
		twin.Body = rereader{bytes.NewReader(content)}
		h.ServeHTTP(&nowhere{http.Header{}}, &twin)
	}), calls, func() int64 { return 0 }, func() error { return nil })
}

func rateMirrored(l workload, calls int) (float64, error) {
	var served, reported atomic.Int64
	target := shadow.InProcess("candidate", l.handler())
	target.Isolated = true
	m, err := shadow.New(target, unlimited, shadow.WithMethods("GET", "POST"),
		shadow.WithReporter(shadow.ReporterFunc(func(context.Context, *shadow.Result) error {
			reported.Add(1)
			return nil
		})))
	if err != nil {
		return 0, err
	}
	mirrored := m.Handler(l.handler())
	rate, err := perSecond(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mirrored.ServeHTTP(w, r)
		served.Add(1)
	}), calls, func() int64 { return served.Load() - reported.Load() }, func() error { return m.Shutdown(context.Background()) })
	if s := m.Stats(); err == nil && s.Match != uint64(calls) {
		return 0, fmt.Errorf("%d of %d copies matched: %+v", s.Match, calls, s)
	}
	return rate, err
}

// backlog is how many copies there are under way when clients begin to wait for them: the
// queue has room for 256.
const backlog = 200

// perSecond returns the rate at which a server with h answers so many calls and settles.
// Clients wait while as many copies are under way as backlog says.
func perSecond(l workload, h http.Handler, calls int, under func() int64, settle func() error) (float64, error) {
	var serving sync.WaitGroup
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer serving.Done()
		h.ServeHTTP(w, r)
	}))
	defer srv.Close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}}
	defer client.CloseIdleConnections()
	content := bytes.Repeat([]byte("y"), l.size)
	serving.Add(calls)
	failures := make(chan error, connections)
	start := time.Now()
	for range connections {
		go func() {
			for range calls / connections {
				for under() > backlog {
					time.Sleep(20 * time.Microsecond)
				}
				var body io.Reader
				if l.method == "POST" {
					body = bytes.NewReader(content)
				}
				if err := exchange(client, l.method, srv.URL+"/items/1?q=1", body); err != nil {
					failures <- err
					return
				}
			}
			failures <- nil
		}()
	}
	for range connections {
		if err := <-failures; err != nil {
			return 0, err
		}
	}
	serving.Wait()
	if err := settle(); err != nil {
		return 0, err
	}
	return float64(calls) / time.Since(start).Seconds(), nil
}
