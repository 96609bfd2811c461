package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/goshadow/shadow/middleware"
	"github.com/goshadow/shadow/report/tally"
)

// fleet is the replicas, their load balancer, and the candidate that they share.
type fleet struct {
	replicas  []*replica
	candidate *httptest.Server
	balancer  *httptest.Server
	through   http.Transport // of the balancer
}

const size = 3

func newFleet(candidate http.Handler) (*fleet, error) {
	// The candidate knows copies by their mark, and keeps them from writing.
	peers := middleware.FromNetworks(netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"))
	f := &fleet{through: http.Transport{MaxIdleConnsPerHost: clients},
		candidate: httptest.NewServer(middleware.Detect(peers)(middleware.ReadOnly(candidate)))}
	var backends []*url.URL
	for range size {
		r, err := newReplica(f.candidate.URL)
		if err != nil {
			f.close()
			return nil, err
		}
		f.replicas = append(f.replicas, r)
		backends = append(backends, &url.URL{Scheme: "http", Host: r.service.Listener.Addr().String()})
	}
	var n atomic.Uint64
	f.balancer = httptest.NewServer(&httputil.ReverseProxy{
		Transport: &f.through,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(backends[n.Add(1)%size])
		},
	})
	return f, nil
}

func (f *fleet) close() {
	if f.balancer != nil {
		f.balancer.Close()
	}
	f.through.CloseIdleConnections()
	for _, r := range f.replicas {
		r.close()
	}
	f.candidate.Close()
}

// snapshot fetches the tallies of all replicas and merges them. It is the gate's Source.
func (f *fleet) snapshot(ctx context.Context) (*tally.Snapshot, error) {
	snapshots := make([]*tally.Snapshot, len(f.replicas))
	for i, r := range f.replicas {
		err := get(ctx, r.admin, "/tally", func(body io.Reader) (err error) {
			snapshots[i], err = tally.Decode(body)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("replica %d: %w", i, err)
		}
	}
	return tally.Merge(snapshots...)
}

const clients = 4

// use sends the requests from one number to another to the load balancer.
func (f *fleet) use(ctx context.Context, from, to int) error {
	var wg sync.WaitGroup
	errs := make([]error, clients)
	for one := range clients {
		wg.Go(func() {
			for i := from + one; i < to && errs[one] == nil; i += clients {
				errs[one] = get(ctx, f.balancer, path(i), func(body io.Reader) error {
					_, err := io.Copy(io.Discard, body)
					return err
				})
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// path is what the i-th request asks for.
func path(i int) string {
	if i%3 == 0 {
		return "/stock"
	}
	return fmt.Sprintf("/quotes/%d", 1+i%23)
}

// settle waits until no copy is under way.
func (f *fleet) settle(ctx context.Context) error {
	return poll(ctx, func() (bool, error) {
		for _, r := range f.replicas {
			if s := r.mirror.Stats(); s.Queued+s.Running > 0 {
				return false, nil
			}
		}
		return true, nil
	})
}

// poll asks again and again, until the answer is yes or ctx ends. The error then says why
// it was not.
func poll(ctx context.Context, ask func() (yes bool, err error)) error {
	every := time.NewTicker(50 * time.Millisecond)
	defer every.Stop()
	for {
		yes, err := ask()
		if yes {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-every.C:
		}
	}
}

// get asks a server and hands the body of its answer to read.
func get(ctx context.Context, from *httptest.Server, path string, read func(io.Reader) error) error {
	r, err := http.NewRequestWithContext(ctx, "GET", from.URL+path, nil)
	if err != nil {
		return err
	}
	resp, err := from.Client().Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, resp.Status)
	}
	return read(resp.Body)
}
