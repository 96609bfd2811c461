package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/internal/bench/measure"
	"github.com/goshadow/shadow/internal/fire"
)

// upload prints how long an upload of 8 MiB takes beside a shadow that never reads, as a
// share of what the bare handler takes in the same turn.
func upload(w io.Writer, turns int) error {
	const size = 8 << 20
	content := bytes.Repeat([]byte("y"), size)
	declared := func() io.Reader { return bytes.NewReader(content) }
	chunked := func() io.Reader { return io.LimitReader(declared(), size) } // a type that has no length
	never, err := fire.NeverReads().Start()
	if err != nil {
		return err
	}
	defer never.Close()

	handler := workload{method: "POST", size: size}.handler()
	type way struct {
		name   string
		bare   int // which way to compare with
		body   func() io.Reader
		opts   []shadow.Option
		client *http.Client
		url    string
		took   []float64
	}
	ways := []*way{
		{name: "bare", body: declared},
		{name: "bare, chunked", bare: 1, body: chunked},
		{name: "bare again", body: declared},
		{name: "default limits: larger than a copy may be", body: declared, opts: []shadow.Option{}},
		{name: "default limits, chunked: 1 MiB is kept, then given up", bare: 1, body: chunked, opts: []shadow.Option{}},
		{name: "bodies up to 16 MiB, the bytes of the queue in use", body: declared,
			opts: []shadow.Option{shadow.WithMaxBody(16 << 20), shadow.WithQueue(256, 16<<20)}},
		{name: "bodies up to 16 MiB, each one kept", body: declared,
			opts: []shadow.Option{shadow.WithMaxBody(16 << 20), shadow.WithQueue(256, 16<<30)}},
	}
	for _, way := range ways {
		h := handler
		if way.opts != nil {
			target := shadow.Remote("never reads", never.URL)
			target.Isolated = true
			m, err := shadow.New(target,
				append(way.opts, unlimited, shadow.WithMethods("POST"))...)
			if err != nil {
				return err
			}
			defer m.Close()
			h = m.Handler(handler)
		}
		srv := httptest.NewServer(h)
		defer srv.Close()
		way.url, way.client = srv.URL, &http.Client{Transport: &http.Transport{}}
		defer way.client.CloseIdleConnections()
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for turn := range turns + 2 {
		for _, i := range rng.Perm(len(ways)) { // so that nobody always comes after the same one
			way := ways[i]
			start := time.Now()
			if err := exchange(way.client, "POST", way.url, way.body()); err != nil {
				return fmt.Errorf("%s: %w", way.name, err)
			}
			if turn >= 2 { // connections are there, and the queue that is to be full is
				way.took = append(way.took, float64(time.Since(start)))
			}
		}
	}

	t := measure.Table{
		Title:   fmt.Sprintf("An upload of 8 MiB beside a shadow that never reads, medians of %d", turns),
		Columns: []string{"mirror", "ms", "/ bare"},
	}
	for _, way := range ways {
		var shares []float64
		for turn, took := range way.took {
			shares = append(shares, took/ways[way.bare].took[turn])
		}
		id := func(v float64) float64 { return v }
		t.Add(way.name, fmt.Sprintf("%.1f", measure.Median(way.took, id)/1e6), hundredths(measure.Median(shares, id)))
	}
	return t.Fprint(w)
}
