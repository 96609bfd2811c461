package main

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/internal/bench/measure"
	"github.com/goshadow/shadow/sampling"
)

// everything copies and compares every request, whatever the rate, and sends no copy away.
var everything = design{name: "shadow, copied and compared", mirror: func(primary http.Handler, c *candidate) (http.Handler, func(), error) {
	return comparing(primary, c, unlimited)
}}

// rates prints what a copy costs as more of them are made in a second. Requests come at even
// distances, whatever becomes of those before them.
func rates(w io.Writer, rounds int, each time.Duration) error {
	load := workloads[0]
	t := measure.Table{
		Title:   fmt.Sprintf("%s: cost of a copy by requests per second, compared, over that of the bare handler", load.name),
		Columns: []string{"requests per second", "µs in ServeHTTP", "µs of processor time", "bytes", "allocations"},
	}
	for _, perSecond := range []int{10, 100, 1000, 10_000} {
		var all []pace
		for range rounds {
			bare, err := paced(bare, load, perSecond, each)
			if err != nil {
				return err
			}
			copied, err := paced(everything, load, perSecond, each)
			if err != nil {
				return err
			}
			all = append(all, copied.minus(bare))
		}
		t.Add(perSecond,
			measure.Median(all, func(p pace) float64 { return p.waited }),
			measure.Median(all, func(p pace) float64 { return p.processor }),
			measure.Median(all, func(p pace) float64 { return p.bytes }),
			measure.Median(all, func(p pace) float64 { return p.allocations }))
	}
	return t.Fprint(w)
}

// pace is what a request costs, in microseconds and by the process's count.
type pace struct{ waited, processor, bytes, allocations float64 }

func (p pace) minus(o pace) pace {
	return pace{p.waited - o.waited, p.processor - o.processor, p.bytes - o.bytes, p.allocations - o.allocations}
}

// paced serves so many requests a second, for as long as each says.
func paced(d design, l workload, perSecond int, each time.Duration) (pace, error) {
	g, err := newRig(d, l, new(candidate))
	if err != nil {
		return pace{}, err
	}
	defer g.end()
	c, waited := l.call(), newHistogram()
	calls := max(int(each.Seconds()*float64(perSecond)), 1)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	spent, begun := processorTime(), time.Now()
	for i := range calls {
		time.Sleep(time.Until(begun.Add(time.Second * time.Duration(i) / time.Duration(perSecond))))
		c.renew()
		start := time.Now()
		g.handler.ServeHTTP(&c.w, c.r)
		if err := waited.RecordValue(int64(time.Since(start))); err != nil {
			return pace{}, err
		}
	}
	if err := g.settle(calls); err != nil {
		return pace{}, err
	}
	spent = processorTime() - spent
	runtime.ReadMemStats(&after)
	per := func(v float64) float64 { return v / float64(calls) }
	return pace{
		waited:      microseconds(waited, 50),
		processor:   per(float64(spent) / 1e3),
		bytes:       per(float64(after.TotalAlloc - before.TotalAlloc)),
		allocations: per(float64(after.Mallocs - before.Mallocs)),
	}, nil
}

// processorTime returns what the process has had of processors.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// routes prints what a copy costs as the number of routes grows that requests spread over.
func routes(w io.Writer, rounds int) error {
	load := workloads[0]
	t := measure.Table{
		Title:   fmt.Sprintf("%s: cost of a copy by the number of routes, over that of the bare handler", load.name),
		Columns: []string{"routes", "ns", "bytes", "allocations", "Adaptive: ns", "Adaptive: bytes", "Adaptive: allocations"},
	}
	adaptive := design{name: "shadow, Adaptive", mirror: func(primary http.Handler, c *candidate) (http.Handler, func(), error) {
		s, err := sampling.NewAdaptive(sampling.AdaptiveOptions{
			Share: 1, Floor: 1, Burst: 1e6, Route: func(r *http.Request) string { return r.Pattern }})
		if err != nil {
			return nil, nil, err
		}
		return comparing(primary, c, unlimited, shadow.WithSampler(s))
	}}
	for _, n := range []int{1, 100, 10_000} {
		l := load
		for i := range n {
			l.routes = append(l.routes, fmt.Sprintf("GET /items%d/{id}", i))
		}
		var all []func(b *testing.B)
		for _, d := range []design{bare, everything, adaptive} {
			g, err := newRig(d, l, new(candidate))
			if err != nil {
				return err
			}
			defer g.end()
			for c, i := l.call(), 0; i < 2*n; i += batch { // every route has been there before
				for range batch {
					c.renew()
					g.handler.ServeHTTP(&c.w, c.r)
				}
				if err := g.settle(batch); err != nil {
					return fmt.Errorf("%d routes: %w", n, err)
				}
			}
			all = append(all, g.cost(1))
		}
		measured, err := measure.Costs(rounds, all...)
		if err != nil {
			return fmt.Errorf("%d routes: %w", n, err)
		}
		every, some := measured[1].Minus(measured[0]), measured[2].Minus(measured[0])
		t.Add(n, every.Nanoseconds, every.Bytes, every.Allocations, some.Nanoseconds, some.Bytes, some.Allocations)
	}
	return t.Fprint(w)
}
