package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// trip is how long a caller waited for the same answer, from v1 alone and from v1
// with the mirror around it.
type trip struct{ alone, mirrored time.Duration }

// callers is how many are served at a time.
const callers = 4

// play sends every entry of the log to both base URLs, one right after the other,
// and returns what each pair of requests took. Every second pair goes to the
// mirrored service first, so that neither side has the warmer caches. Play tells
// progress how many pairs are done, from one goroutine. An answer that is not the
// recorded one ends it with an error.
func play(ctx context.Context, log []entry, alone, mirrored string, progress func(done int)) ([]trip, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	client := &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: callers},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()

	trips := make([]trip, len(log))
	next := make(chan int)
	done := make(chan struct{})
	var busy sync.WaitGroup
	for range callers {
		busy.Go(func() {
			for i := range next {
				var err error
				if i%2 == 0 {
					trips[i].alone, err = log[i].send(ctx, client, alone)
				}
				if err == nil {
					trips[i].mirrored, err = log[i].send(ctx, client, mirrored)
				}
				if i%2 == 1 && err == nil {
					trips[i].alone, err = log[i].send(ctx, client, alone)
				}
				if err != nil {
					cancel(err)
					return
				}
				done <- struct{}{}
			}
		})
	}
	go func() {
		defer close(done)
		defer busy.Wait()
		defer close(next)
		for i := range log {
			select {
			case next <- i:
			case <-ctx.Done():
				return
			}
		}
	}()

	n := 0
	for range done {
		n++
		progress(n)
	}
	return trips, context.Cause(ctx)
}

// send makes the request again and returns how long the answer took, to its last
// byte.
func (e entry) send(ctx context.Context, client *http.Client, base string) (time.Duration, error) {
	var body io.Reader
	if e.Method == http.MethodPost {
		body = strings.NewReader(`{"text":"a log keeps no bodies"}`)
	}
	r, err := http.NewRequestWithContext(ctx, e.Method, base+e.Target, body)
	if err != nil {
		return 0, err
	}
	if e.Status == http.StatusNotModified {
		r.Header.Set("If-None-Match", "*") // any copy will do (RFC 9110 section 13.1.2)
	}

	start := time.Now()
	answer, err := client.Do(r)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return 0, err
	}
	took := time.Since(start)

	if answer.StatusCode != e.Status {
		return 0, fmt.Errorf("%s %s: answered %d, the log says %d", e.Method, e.Target, answer.StatusCode, e.Status)
	}
	return took, nil
}
