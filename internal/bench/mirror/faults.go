package main

import (
	"bytes"
	"context"
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
	shadow.WithPressure(shadow.PressureOptions{Off: true}),
	shadow.WithOverhead(shadow.OverheadOptions{Off: true}))

// faults prints what a client on loopback notices of each way to fail of a shadow, and what
// the mirror holds meanwhile. Each run has a bare one before it; ratios are of these two.
func faults(w io.Writer, title string, rounds, calls int, opts ...shadow.Option) error {
	load := workloads[2]
	t := measure.Table{
		Title: fmt.Sprintf("%s: %d requests while the shadow is on fire, %s", load.name, calls, title),
		Columns: []string{"shadow", "p50 / bare", "p99 / bare", "goroutines added", "MiB added",
			"copies that ended", "dropped"},
	}
	for _, f := range fire.Faults() {
		var all []*burn
		for range rounds {
			b, err := set(f, load, calls, opts)
			if err != nil {
				return fmt.Errorf("%s: %w", f.Name, err)
			}
			all = append(all, b)
		}
		t.Add(f.Name,
			hundredths(measure.Median(all, func(b *burn) float64 { return b.p50 })),
			hundredths(measure.Median(all, func(b *burn) float64 { return b.p99 })),
			measure.Median(all, func(b *burn) int { return b.goroutines }),
			measure.Median(all, func(b *burn) float64 { return b.mib }),
			measure.Median(all, func(b *burn) uint64 { return b.ended }),
			measure.Median(all, func(b *burn) uint64 { return b.dropped }))
	}
	return t.Fprint(w)
}

// hundredths prints a ratio that is close to 1.
func hundredths(v float64) string { return fmt.Sprintf("%.2f", v) }

// burn is what a shadow on fire leads to.
type burn struct {
	p50, p99       float64 // as shares of bare
	goroutines     int
	mib            float64
	ended, dropped uint64
}

// set measures a bare handler, and then the same with a shadow on fire.
func set(f fire.Fault, l workload, calls int, opts []shadow.Option) (*burn, error) {
	bare := newHistogram()
	if err := overLoopback(l, l.handler(), calls, bare, func() {}); err != nil {
		return nil, err
	}
	s, err := f.Start()
	if err != nil {
		return nil, err
	}
	defer s.Close()
	target := shadow.Remote(f.Name, s.URL)
	if f.InProcess() {
		target = shadow.InProcess(f.Name, s)
	}
	m, err := shadow.New(target, append(opts, shadow.WithMethods("GET", "POST"))...)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	var b burn
	heap, before := memory(), goroutinesNow()
	burning := newHistogram()
	if err := overLoopback(l, m.Handler(l.handler()), calls, burning, func() {
		b.mib = float64(memory()-heap) / (1 << 20)
		b.goroutines = goroutinesNow() - before - loopbackGoroutines
		stats := m.Stats()
		b.ended = stats.Match + stats.Mismatch + stats.Failed + stats.Uncompared
		for _, n := range stats.Dropped {
			b.dropped += n
		}
	}); err != nil {
		return nil, err
	}
	b.p50, b.p99 = share(burning, bare, 50), share(burning, bare, 99)
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

// loopbackGoroutines is how many goroutines a server and a client with one connection have.
const loopbackGoroutines = 4

// overLoopback serves calls one after the other to a client with one connection, notes how
// long it waits for each, and calls then while the server still runs.
func overLoopback(l workload, h http.Handler, calls int, into *hdrhistogram.Histogram, then func()) error {
	srv := httptest.NewServer(h)
	defer srv.Close()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	content := bytes.Repeat([]byte("y"), l.size)
	for range calls {
		start := time.Now()
		if err := exchange(client, l.method, srv.URL, bytes.NewReader(content)); err != nil {
			return err
		}
		if err := into.RecordValue(int64(time.Since(start))); err != nil {
			return err
		}
	}
	then()
	return nil
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
