package main

import (
	"fmt"
	"io"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/goshadow/shadow/internal/bench/measure"
)

// latencies prints the percentiles of ServeHTTP on one goroutine.
func latencies(w io.Writer, rounds int) error {
	for _, of := range []struct {
		load  workload
		calls int
	}{{workloads[0], 200_000}, {workloads[2], 50_000}} {
		t := measure.Table{
			Title:   fmt.Sprintf("%s: ServeHTTP in microseconds, %d calls", of.load.name, of.calls),
			Columns: []string{"design", "p50", "p99", "p99.9"},
		}
		rigs, times := make([]*rig, len(designs)), make([]*hdrhistogram.Histogram, len(designs))
		for i, d := range designs {
			g, err := newRig(d, of.load, new(candidate))
			if err != nil {
				return err
			}
			defer g.end()
			rigs[i], times[i] = g, newHistogram()
		}
		for range rounds {
			for i, g := range rigs {
				if err := g.time(of.calls/rounds, times[i]); err != nil {
					return fmt.Errorf("%s: %s: %w", of.load.name, g.name, err)
				}
			}
		}
		for i, d := range designs {
			t.Add(d.name, microseconds(times[i], 50), microseconds(times[i], 99), microseconds(times[i], 99.9))
		}
		if err := t.Fprint(w); err != nil {
			return err
		}
	}
	return nil
}

// time serves so many requests and records how long each took.
func (g *rig) time(calls int, into *hdrhistogram.Histogram) error {
	c := g.load.call()
	for i := 0; i < calls; i += batch {
		for range batch {
			c.renew()
			start := time.Now()
			g.handler.ServeHTTP(&c.w, c.r)
			if err := into.RecordValue(int64(time.Since(start))); err != nil {
				return err
			}
		}
		if err := g.settle(batch); err != nil {
			return err
		}
	}
	return nil
}

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, int64(time.Minute), 3)
}

func microseconds(h *hdrhistogram.Histogram, percentile float64) float64 {
	return float64(h.ValueAtPercentile(percentile)) / 1e3
}
