// The command soak serves mixed traffic at full load behind two mirrors, one with its
// default limits and one with hardly any, whose shadow fails in another way every second. It
// prints a table in Markdown and fails where an answer was wrong, a limit was exceeded, the
// ledger does not add up or anything is left behind.
//
//	go run -race ./soak            # 20 s
//	go run -race ./soak -for 5m
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync/atomic"
	"time"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/internal/bench/measure"
	"github.com/goshadow/shadow/internal/fire"
)

func main() {
	var length, each time.Duration
	flag.DurationVar(&length, "for", 20*time.Second, "how long")
	flag.DurationVar(&each, "each", time.Second, "how long the shadow fails in one way")
	flag.Parse()
	if err := run(os.Stdout, length, each); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// The limits of the mirror that has few.
const (
	concurrency = 8
	budget      = 16 << 20
	slack       = 16 << 20 // bytes of heap that nobody is to be blamed for
)

func run(w io.Writer, length, each time.Duration) error {
	fmt.Fprintf(w, "%s\n\n", measure.Machine())
	goroutines, heap := total(fire.Goroutines()), live()
	now := &current{}
	now.set(shadow.HandlerTransport(http.HandlerFunc(primary)))
	cautious, err := shadow.New(shadow.Target{Name: "cautious", Transport: now, Isolated: true}, shadow.WithMethods("GET", "POST"),
		shadow.WithConcurrency(concurrency), shadow.WithQueue(256, budget),
		shadow.WithBreaker(shadow.BreakerOptions{Pause: each / 4}))
	if err != nil {
		return err
	}
	eager, err := shadow.New(shadow.Target{Name: "eager", Transport: now, Isolated: true}, shadow.WithMethods("GET", "POST"),
		shadow.WithConcurrency(concurrency), shadow.WithQueue(256, budget),
		shadow.WithBreaker(shadow.BreakerOptions{Off: true}), shadow.WithLoadShedding(shadow.LoadSheddingOptions{Off: true}),
		shadow.WithOverhead(shadow.OverheadOptions{Off: true}))
	if err != nil {
		return err
	}
	mirrors := []*shadow.Mirror{cautious, eager}

	load := start(cautious.Handler(eager.Handler(http.HandlerFunc(primary))))
	for _, m := range mirrors {
		m.SetEnabled(false)
	}
	time.Sleep(each)
	loaded := live() // with what clients and servers hold
	for _, m := range mirrors {
		m.SetEnabled(true)
	}
	var faults []fire.Fault
	faults = append(faults, fire.Fault{Name: "answers"})
	faults = append(faults, fire.Faults()...)
	rows := make([]row, len(faults))
	var wrong []error
	for i, until := 0, time.Now().Add(length); time.Now().Before(until); i++ {
		f, r := faults[i%len(faults)], &rows[i%len(faults)]
		if err := r.endure(f, now, mirrors, loaded, each); err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", f.Name, err))
		}
	}
	requests, err := load.stop()
	wrong = append(wrong, err)

	for _, m := range mirrors {
		wrong = append(wrong, m.Shutdown(context.Background()), adds(m.Stats()))
		if s := m.Stats(); s.Queued+s.Running != 0 || s.QueuedBytes != 0 {
			wrong = append(wrong, fmt.Errorf("after Shutdown there are copies left: %+v", s))
		}
		if s := m.Stats(); s.Requests != uint64(requests) {
			wrong = append(wrong, fmt.Errorf("%d requests were served and %d counted", requests, s.Requests))
		}
	}
	left := total(fire.Goroutines())
	for deadline := time.Now().Add(10 * time.Second); left > goroutines && time.Now().Before(deadline); left = total(fire.Goroutines()) {
		time.Sleep(10 * time.Millisecond) // those of closed connections are on their way out
	}
	if left > goroutines {
		wrong = append(wrong, fmt.Errorf("%d goroutines are left: %v", left-goroutines, fire.Goroutines()))
	}
	added := live() - heap
	if added > slack {
		wrong = append(wrong, fmt.Errorf("%d bytes of heap are left", added))
	}

	t := measure.Table{
		Title: fmt.Sprintf("A soak of %v: %d requests, each behind two mirrors; afterwards %+d goroutines, %+.1f MiB",
			length, requests, left-goroutines, float64(added)/(1<<20)),
		Columns: []string{"shadow", "seconds", "requests", "copies that ended", "dropped", "most goroutines of the mirrors", "most MiB added"},
	}
	for i, r := range rows {
		t.Add(faults[i].Name, r.seconds, r.requests/2, r.ended, r.dropped, r.workers, float64(r.bytes)/(1<<20))
	}
	if err := t.Fprint(w); err != nil {
		return err
	}
	return errors.Join(wrong...)
}

// current is the transport that copies take at the moment.
type current struct {
	transport atomic.Pointer[http.RoundTripper]
}

func (c *current) set(t http.RoundTripper) { c.transport.Store(&t) }

func (c *current) RoundTrip(r *http.Request) (*http.Response, error) {
	return (*c.transport.Load()).RoundTrip(r)
}

// row is what happened while the shadow failed in one way, in both mirrors together.
type row struct {
	seconds                  float64
	requests, ended, dropped uint64
	workers                  int
	bytes                    int64
}

// endure has the shadow fail like f for as long as each says, and looks at what there is at
// the end of it.
func (r *row) endure(f fire.Fault, now *current, mirrors []*shadow.Mirror, heap int64, each time.Duration) error {
	before := sum(mirrors)
	began := time.Now()
	transport := shadow.HandlerTransport(http.HandlerFunc(primary))
	end := func() {}
	if f.Name != "answers" {
		s, err := f.Start()
		if err != nil {
			return err
		}
		end = s.Close
		transport = shadow.Remote(f.Name, s.URL).Transport
		if f.InProcess() {
			transport = shadow.HandlerTransport(s)
		}
	}
	now.set(transport)
	time.Sleep(each)

	workers := 0
	for creator, n := range fire.Goroutines() {
		if strings.HasPrefix(creator, "github.com/goshadow/shadow/internal/queue.") {
			workers += n
		}
	}
	bytes := live() - heap
	var wrong []error
	for _, m := range mirrors {
		wrong = append(wrong, adds(m.Stats()))
	}
	if workers > len(mirrors)*concurrency {
		wrong = append(wrong, fmt.Errorf("%d goroutines of the mirrors", workers))
	}
	if bytes > int64(len(mirrors))*budget+slack {
		wrong = append(wrong, fmt.Errorf("%d bytes of heap added", bytes))
	}
	end()
	if c, ok := transport.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
	after := sum(mirrors)
	r.seconds += time.Since(began).Seconds()
	r.requests += after.requests - before.requests
	r.ended += after.ended - before.ended
	r.dropped += after.dropped - before.dropped
	r.workers, r.bytes = max(r.workers, workers), max(r.bytes, bytes)
	return errors.Join(wrong...)
}

// sum adds up the ledgers.
func sum(mirrors []*shadow.Mirror) (r row) {
	for _, m := range mirrors {
		s := m.Stats()
		r.requests += s.Requests
		r.ended += s.Match + s.Mismatch + s.Failed + s.Uncompared
		for _, n := range s.Dropped {
			r.dropped += n
		}
	}
	return r
}

// adds checks that a ledger adds up.
func adds(s shadow.Stats) error {
	n := s.Match + s.Mismatch + s.Failed + s.Uncompared + uint64(s.Queued+s.Running)
	for _, of := range []map[shadow.Reason]uint64{s.Skipped, s.Dropped} {
		for _, k := range of {
			n += k
		}
	}
	switch {
	case n != s.Requests:
		return fmt.Errorf("the ledger has %d requests in places and %d in all: %+v", n, s.Requests, s)
	case s.QueuedBytes > budget:
		return fmt.Errorf("%d bytes are held", s.QueuedBytes)
	}
	return nil
}

func total(goroutines map[string]int) (n int) {
	for _, of := range goroutines {
		n += of
	}
	return n
}

// live returns the bytes of heap that a collection finds in use. What is in the pools of
// package sync is not: it takes two to be rid of that.
func live() int64 {
	runtime.GC()
	runtime.GC()
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}
