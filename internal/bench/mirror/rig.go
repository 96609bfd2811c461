package main

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"net/http"
)

// rig is a design at work on a workload.
type rig struct {
	design
	load      workload
	handler   http.Handler
	candidate *candidate
	end       func()
	served    atomic.Int64 // requests that batches are done with
}

func newRig(d design, l workload, c *candidate) (*rig, error) {
	h, end, err := d.mirror(l.handler(), c)
	return &rig{design: d, load: l, handler: h, candidate: c, end: end}, err
}

// batch is how many requests are served before the copies made of them are waited for,
// off the clock. Without that, a design that starts a goroutine for each copy would be
// measured by how it drowns, see the table of a hung shadow.
const batch = 16

var errLost = errors.New("copies do not arrive")

// settle waits for the copies of n more requests.
func (g *rig) settle(n int) error {
	want := g.served.Add(int64(n))
	if g.loses {
		return nil
	}
	for deadline := time.Now().Add(10 * time.Second); g.candidate.copies.Load() < want; {
		if time.Now().After(deadline) {
			return errLost
		}
		time.Sleep(20 * time.Microsecond)
	}
	return nil
}

// cost returns a benchmark that serves on so many goroutines. Its ns/op are the time in
// ServeHTTP divided by the number of goroutines; bytes and allocations are those of the
// whole process, the copies' too.
func (g *rig) cost(goroutines int) func(b *testing.B) {
	return func(b *testing.B) {
		var spent, left atomic.Int64
		left.Store(int64(b.N))
		ended := make(chan error, goroutines)
		work := func() error {
			c := g.load.call()
			for {
				n := min(left.Add(-batch)+batch, batch)
				if n <= 0 {
					return nil
				}
				start := time.Now()
				for range n {
					c.renew()
					g.handler.ServeHTTP(&c.w, c.r)
				}
				spent.Add(int64(time.Since(start)))
				if err := g.settle(int(n)); err != nil {
					return err
				}
			}
		}
		b.ReportAllocs()
		b.ResetTimer()
		for range goroutines {
			go func() { ended <- work() }()
		}
		for range goroutines {
			if err := <-ended; err != nil {
				b.Fatal(g.name, ": ", err)
			}
		}
		b.ReportMetric(float64(spent.Load())/float64(goroutines)/float64(b.N), "ns/op")
	}
}
