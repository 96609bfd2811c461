package main

import (
	"fmt"
	"io"
	"runtime"
	"testing"

	"github.com/goshadow/shadow/internal/bench/measure"
)

// costs prints a table per workload: what each design adds over the bare handler, on one
// goroutine and on as many as there are processors.
func costs(w io.Writer, rounds int) error {
	for _, l := range workloads {
		if err := costsOf(w, l, rounds); err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
	}
	return nil
}

func costsOf(w io.Writer, l workload, rounds int) error {
	var all []func(b *testing.B)
	add := func(d design, l workload) (end func(), err error) {
		g, err := newRig(d, l, new(candidate))
		if err != nil {
			return nil, err
		}
		all = append(all, g.cost(1), g.cost(runtime.GOMAXPROCS(0)))
		return g.end, nil
	}
	// The yardstick comes first. It is taken with GET-1K whatever the workload: otelhttp
	// does the same for every size, and a small figure drowns in what a large body costs.
	for _, d := range []design{bare, telemetry} {
		end, err := add(d, workloads[0])
		if err != nil {
			return err
		}
		defer end()
	}
	for _, d := range designs {
		end, err := add(d, l)
		if err != nil {
			return err
		}
		defer end()
	}
	measured, err := measure.Costs(rounds, all...)
	if err != nil {
		return err
	}
	unit, unitInParallel := measured[2].Minus(measured[0]).Nanoseconds, measured[3].Minus(measured[1]).Nanoseconds
	measured = measured[4:]

	t := measure.Table{
		Title: fmt.Sprintf("%s: added over a bare handler (%s ns, in parallel %s ns)",
			l.name, measure.Number(measured[0].Nanoseconds), measure.Number(measured[1].Nanoseconds)),
		Columns: []string{"design", "ns", "in what otelhttp adds", "bytes", "allocations", "ns in parallel", "in what otelhttp adds"},
	}
	for i, d := range designs {
		if d.name == bare.name {
			continue
		}
		added, inParallel := measured[2*i].Minus(measured[0]), measured[2*i+1].Minus(measured[1])
		t.Add(d.name,
			added.Nanoseconds, added.Nanoseconds/unit, added.Bytes, added.Allocations,
			inParallel.Nanoseconds, inParallel.Nanoseconds/unitInParallel)
	}
	return t.Fprint(w)
}
