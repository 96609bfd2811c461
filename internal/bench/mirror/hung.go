package main

import (
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/goshadow/shadow/internal/bench/measure"
)

// hung prints what 4,000 requests with 64 KiB bodies leave behind while no copy comes to
// an end. A design that makes them wait is stopped after most.
func hung(w io.Writer, most time.Duration) error {
	const calls = 4000
	load := workloads[2]
	t := measure.Table{
		Title:   fmt.Sprintf("%s: %d requests while the shadow hangs", load.name, calls),
		Columns: []string{"design", "served", "p50 / bare", "p99 / bare", "goroutines added", "MiB added"},
	}
	var unmirrored *hdrhistogram.Histogram
	for _, d := range designs {
		after, err := hang(d, load, calls, most)
		if err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
		if unmirrored == nil {
			unmirrored = after.times
		}
		share := func(percentile float64) float64 {
			return float64(after.times.ValueAtPercentile(percentile)) / float64(unmirrored.ValueAtPercentile(percentile))
		}
		t.Add(d.name, after.times.TotalCount(), share(50), share(99), after.goroutines, float64(after.bytes)/(1<<20))
	}
	return t.Fprint(w)
}

// aftermath is what a hung shadow leads to.
type aftermath struct {
	times      *hdrhistogram.Histogram
	goroutines int
	bytes      int64 // of heap and stacks
}

func hang(d design, l workload, calls int, most time.Duration) (*aftermath, error) {
	release := make(chan struct{})
	before, goroutines := memory(), runtime.NumGoroutine()
	g, err := newRig(d, l, &candidate{hung: release})
	if err != nil {
		return nil, err
	}
	defer g.end()
	defer close(release)
	c, a := l.call(), aftermath{times: newHistogram()}
	for start := time.Now(); calls > 0 && time.Since(start) < most; calls-- {
		c.renew()
		began := time.Now()
		g.handler.ServeHTTP(&c.w, c.r)
		if err := a.times.RecordValue(int64(time.Since(began))); err != nil {
			return nil, err
		}
	}
	a.goroutines, a.bytes = runtime.NumGoroutine()-goroutines, memory()-before
	return &a, nil
}

// memory returns the bytes that live objects and stacks occupy.
func memory() int64 {
	runtime.GC()
	runtime.GC() // what pools held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
