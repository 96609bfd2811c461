package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/internal/bench/measure"
	"github.com/goshadow/shadow/internal/fire"
)

// unlimited switches off the limits that look at how the shadow and the machine do.
var unlimited = shadow.Options(
	shadow.WithBreaker(shadow.BreakerOptions{Off: true}),
	shadow.WithLoadShedding(shadow.LoadSheddingOptions{Off: true}),
	shadow.WithOverhead(shadow.OverheadOptions{Off: true}))

// faults prints what a client on loopback notices of each way to fail of a shadow, and what
// the mirror holds meanwhile. Requests to it and to a bare server take turns; ratios are of
// these two.
func faults(w io.Writer, title string, rounds, calls int, opts ...shadow.Option) error {
	load := workloads[2]
	t := measure.Table{
		Title: fmt.Sprintf("%s: %d requests while the shadow is on fire, %s", load.name, calls, title),
		Columns: []string{"shadow", "p50 / bare", "p99 / bare", "goroutines added", "MiB added",
			"copies that ended", "dropped"},
	}
	again, err := set(load, calls, rounds, func() (*kindling, error) { return &kindling{Handler: load.handler(), end: func() {}}, nil })
	if err != nil {
		return err
	}
	again.add(&t, "bare again")
	for _, f := range fire.Faults() {
		b, err := set(load, calls, rounds, func() (*kindling, error) { return light(f, load, opts) })
		if err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		b.add(&t, f.Name)
	}
	return t.Fprint(w)
}

// hundredths prints a ratio that is close to 1.
func hundredths(v float64) string { return fmt.Sprintf("%.2f", v) }

// kindling is a handler whose shadow is on fire.
type kindling struct {
	http.Handler
	mirror *shadow.Mirror // nil where there is no shadow
	end    func()
}

func light(f fire.Fault, l workload, opts []shadow.Option) (*kindling, error) {
	s, err := f.Start()
	if err != nil {
		return nil, err
	}
	target := shadow.Remote(f.Name, s.URL)
	if f.InProcess() {
		target = shadow.InProcess(f.Name, s)
	}
	target.Isolated = true
	m, err := shadow.New(target, append(opts, shadow.WithMethods("GET", "POST"))...)
	if err != nil {
		s.Close()
		return nil, err
	}
	return &kindling{m.Handler(l.handler()), m, func() {
		m.Close()
		s.Close()
	}}, nil
}

// pause has requests go to the primary alone until resume is called.
func (k *kindling) pause() (resume func()) {
	if k.mirror == nil {
		return func() {}
	}
	k.mirror.SetEnabled(false)
	return func() { k.mirror.SetEnabled(true) }
}

// counts returns how many copies came to an end, and how many were dropped.
func (k *kindling) counts() (ended, dropped uint64) {
	if k.mirror == nil {
		return 0, 0
	}
	s := k.mirror.Stats()
	for _, n := range s.Dropped {
		dropped += n
	}
	return s.Match + s.Mismatch + s.Failed + s.Uncompared, dropped
}

// rest waits until no more copies come to an end, if any has since there were so many: what
// they do is not to be a burden on whoever is measured next.
func (k *kindling) rest(before uint64) {
	for now, _ := k.counts(); now != before; now, _ = k.counts() {
		before = now
		time.Sleep(20 * time.Millisecond)
	}
}

// burns is what shadows on fire lead to, by round.
type burns []burn

type burn struct {
	p50, p99       float64 // as shares of bare
	goroutines     int
	mib            float64
	ended, dropped uint64
}

// add adds a row of medians.
func (all burns) add(t *measure.Table, name string) {
	t.Add(name,
		hundredths(measure.Median(all, func(b burn) float64 { return b.p50 })),
		hundredths(measure.Median(all, func(b burn) float64 { return b.p99 })),
		measure.Median(all, func(b burn) int { return b.goroutines }),
		measure.Median(all, func(b burn) float64 { return b.mib }),
		measure.Median(all, func(b burn) uint64 { return b.ended }),
		measure.Median(all, func(b burn) uint64 { return b.dropped }))
}

// turn is how many requests go to one of two servers before the other has its turn.
const turn = 100

func set(l workload, calls, rounds int, fresh func() (*kindling, error)) (all burns, err error) {
	for range rounds {
		k, err := fresh()
		if err != nil {
			return nil, err
		}
		b, err := k.measure(l, calls)
		k.end()
		if err != nil {
			return nil, err
		}
		all = append(all, *b)
	}
	return all, nil
}

func (k *kindling) measure(l workload, calls int) (*burn, error) {
	bare, burning := newVisit(l, l.handler()), newVisit(l, k)
	defer bare.end()
	defer burning.end()
	resume := k.pause()
	if err := errors.Join(bare.ask(1), burning.ask(1)); err != nil { // connections are there
		return nil, err
	}
	resume()
	heap, goroutines := memory(), goroutinesNow()
	for served := 0; served < calls; served += turn {
		before, _ := k.counts()
		if err := burning.ask(turn); err != nil {
			return nil, err
		}
		k.rest(before)
		if err := bare.ask(turn); err != nil {
			return nil, err
		}
	}
	b := burn{
		p50: share(burning.times, bare.times, 50), p99: share(burning.times, bare.times, 99),
		mib: float64(memory()-heap) / (1 << 20), goroutines: goroutinesNow() - goroutines,
	}
	b.ended, b.dropped = k.counts()
	return &b, nil
}

// goroutinesNow counts goroutines, those of the shadow on fire left out.
func goroutinesNow() (n int) {
	for _, of := range fire.Goroutines() {
		n += of
	}
	return n
}

func share(of, in *hdrhistogram.Histogram, percentile float64) float64 {
	return float64(of.ValueAtPercentile(percentile)) / float64(in.ValueAtPercentile(percentile))
}

// visit is a client with one connection to a server of its own.
type visit struct {
	load    workload
	content []byte
	server  *httptest.Server
	client  *http.Client
	times   *hdrhistogram.Histogram
}

func newVisit(l workload, h http.Handler) *visit {
	return &visit{l, bytes.Repeat([]byte("y"), l.size), httptest.NewServer(h),
		&http.Client{Transport: &http.Transport{}}, newHistogram()}
}

// ask asks n times, one after the other, and notes how long it waits for each answer.
func (v *visit) ask(n int) error {
	for range n {
		start := time.Now()
		if err := exchange(v.client, v.load.method, v.server.URL, bytes.NewReader(v.content)); err != nil {
			return err
		}
		if err := v.times.RecordValue(int64(time.Since(start))); err != nil {
			return err
		}
	}
	return nil
}

func (v *visit) end() {
	v.client.CloseIdleConnections()
	v.server.Close()
}

// exchange asks and reads the answer to its end.
func exchange(client *http.Client, method, url string, body io.Reader) error {
	r, err := http.NewRequestWithContext(context.Background(), method, url, body)
	if err != nil {
		return err
	}
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
