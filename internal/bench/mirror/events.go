package main

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/internal/bench/measure"
)

// events prints how late a client has the first byte of a stream of server-sent events, and
// each event, in microseconds.
func events(w io.Writer, rounds int) error {
	const streams, each = 20, 100 // in a round
	epoch := time.Now()
	// An event says when it was written.
	source := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for range each {
			fmt.Fprintf(w, "data: %d\n\n", time.Since(epoch))
			w.(http.Flusher).Flush()
			time.Sleep(500 * time.Microsecond)
		}
	})
	hung := make(chan struct{})
	defer close(hung)
	ways := []struct {
		name   string
		shadow http.Handler
	}{
		{"bare", nil},
		{"bare again", nil},
		{"a shadow that streams too", source},
		{"a shadow that hangs", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hung })},
	}
	first, late := make([]*hdrhistogram.Histogram, len(ways)), make([]*hdrhistogram.Histogram, len(ways))
	urls := make([]string, len(ways))
	client := &http.Client{Transport: &http.Transport{}}
	for i, way := range ways {
		h := http.Handler(source)
		if way.shadow != nil {
			m, err := shadow.New(shadow.InProcess("v2", way.shadow))
			if err != nil {
				return err
			}
			defer m.Close()
			h = m.Handler(source)
		}
		srv := httptest.NewServer(h)
		defer srv.Close()
		urls[i], first[i], late[i] = srv.URL, newHistogram(), newHistogram()
	}
	defer client.CloseIdleConnections()
	rng := rand.New(rand.NewPCG(1, 1))
	for range rounds * streams {
		for _, i := range rng.Perm(len(ways)) { // so that nobody always comes after the same one
			if err := follow(client, urls[i], epoch, first[i], late[i]); err != nil {
				return fmt.Errorf("%s: %w", ways[i].name, err)
			}
		}
	}
	t := measure.Table{
		Title: fmt.Sprintf("Server-sent events in microseconds, %d streams of %d events", rounds*streams, each),
		Columns: []string{"mirror", "first byte p50", "p50 / bare", "p99", "p99 / bare",
			"event p50", "event p50 / bare", "event p99", "event p99 / bare"},
	}
	for i, way := range ways {
		row := []any{way.name}
		for _, h := range [][]*hdrhistogram.Histogram{first, late} {
			for _, percentile := range []float64{50, 99} {
				row = append(row, microseconds(h[i], percentile), hundredths(share(h[i], h[0], percentile)))
			}
		}
		t.Add(row...)
	}
	return t.Fprint(w)
}

// follow reads a stream to its end.
func follow(client *http.Client, url string, epoch time.Time, first, late *hdrhistogram.Histogram) error {
	start := time.Now()
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	if _, err := lines.Peek(1); err != nil {
		return err
	}
	if err := first.RecordValue(int64(time.Since(start))); err != nil {
		return err
	}
	for {
		line, err := lines.ReadString('\n')
		now := time.Since(epoch)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		text, ok := strings.CutPrefix(strings.TrimSpace(line), "data: ")
		if !ok {
			continue
		}
		written, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return err
		}
		if err := late.RecordValue(int64(now) - written); err != nil {
			return err
		}
	}
}
