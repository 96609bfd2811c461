package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"time"

	"github.com/goshadow/shadow/internal/bench/measure"
)

// connections is how many clients ask at the same time, each as soon as it has its answer.
const connections = 16

// loopback prints how many requests per second each design serves over real connections,
// as a share of what the bare handler serves in the same round. Client, server and shadow
// share the machine.
func loopback(w io.Writer, rounds int, each time.Duration) error {
	loads := workloads[:3]
	t := measure.Table{
		Title:   fmt.Sprintf("Requests per second over loopback with %d connections, bare = 1", connections),
		Columns: []string{"design"},
	}
	rates := make([][][]float64, len(loads)) // by workload, design and round
	for i, l := range loads {
		var err error
		if rates[i], err = ratesOf(l, rounds, each); err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
		perSecond := measure.Median(rates[i][0], func(v float64) float64 { return v })
		t.Columns = append(t.Columns, fmt.Sprintf("%s (bare: %.0f/s)", l.name, perSecond))
	}
	for d := 1; d < len(designs); d++ {
		row := []any{designs[d].name}
		for i := range loads {
			var shares []float64
			for round, bare := range rates[i][0] {
				shares = append(shares, rates[i][d][round]/bare)
			}
			row = append(row, measure.Median(shares, func(v float64) float64 { return v }))
		}
		t.Add(row...)
	}
	return t.Fprint(w)
}

func ratesOf(l workload, rounds int, each time.Duration) ([][]float64, error) {
	rates := make([][]float64, len(designs))
	for range rounds {
		for i, d := range designs {
			g, err := newRig(d, l, new(candidate))
			if err != nil {
				return nil, err
			}
			rate, err := g.rate(each)
			g.end()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", d.name, err)
			}
			rates[i] = append(rates[i], rate)
		}
	}
	return rates, nil
}

// rate returns the requests per second of a server with g's handler.
func (g *rig) rate(each time.Duration) (float64, error) {
	srv := httptest.NewServer(g.handler)
	defer srv.Close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}}
	defer client.CloseIdleConnections()
	content := bytes.Repeat([]byte("y"), g.load.size)
	ask := func() error {
		var body io.Reader
		if g.load.method == "POST" {
			body = bytes.NewReader(content)
		}
		return exchange(client, g.load.method, srv.URL+"/items/1?q=1", body)
	}
	var answered atomic.Int64
	var clients sync.WaitGroup
	failures := make(chan error, connections)
	start := time.Now()
	for range connections {
		clients.Go(func() {
			for time.Since(start) < each {
				if err := ask(); err != nil {
					failures <- err
					return
				}
				answered.Add(1)
			}
		})
	}
	clients.Wait()
	took := time.Since(start)
	close(failures)
	return float64(answered.Load()) / took.Seconds(), <-failures
}
