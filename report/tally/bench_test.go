package tally_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/report/tally"
)

func newTally(t testing.TB, o tally.Options) *tally.Tally {
	t.Helper()
	made, err := tally.New(o)
	require.NoError(t, err)
	return made
}

// took draws a latency: log-normal around a millisecond, as latencies are.
func took(r *rand.Rand) time.Duration {
	return time.Duration(float64(time.Millisecond) * math.Exp(0.5*r.NormFloat64()))
}

// matches are results that match, with different latencies and sizes.
func matches(n int, route func(i int) string) []*shadow.Result {
	r := rand.New(rand.NewPCG(1, 2))
	list := make([]*shadow.Result, n)
	for i := range list {
		p, s := took(r), took(r)
		list[i] = &shadow.Result{
			Mirror: "orders", Target: "v2", Outcome: shadow.Match, Start: time.Now(), Probability: 0.1,
			Exchange: shadow.Exchange{
				ID: fmt.Sprint(i), Route: route(i),
				Request: &shadow.Message{Method: http.MethodGet, URL: &url.URL{Path: "/orders/1"}},
				Primary: &shadow.Message{StatusCode: 200, Size: int64(500 + r.IntN(1000)), TTFB: p / 2, Took: p},
				Shadow:  &shadow.Message{StatusCode: 200, Size: int64(500 + r.IntN(1000)), TTFB: s / 2, Took: s},
			},
		}
	}
	return list
}

// mismatches are matches with n differences each.
func mismatches(list []*shadow.Result, n int) []*shadow.Result {
	for i, r := range list {
		r.Outcome = shadow.Mismatch
		for k := range n {
			r.Diffs = append(r.Diffs, shadow.Diff{
				Path: fmt.Sprintf("/body/items/%d/attribute-%d", i%7, k), Kind: shadow.Changed,
				Primary: json.RawMessage(`"2024-01-01T00:00:00Z"`), Shadow: json.RawMessage(fmt.Sprintf("%d", i%100)),
			})
		}
	}
	return list
}

func oneRoute(int) string { return "GET /orders/{id}" }

func BenchmarkMatch(b *testing.B) {
	t, list := newTally(b, tally.Options{}), matches(1<<12, oneRoute)
	for i := 0; b.Loop(); i++ {
		t.Report(b.Context(), list[i%len(list)])
	}
}

func BenchmarkMatchOfManyRoutes(b *testing.B) {
	t, list := newTally(b, tally.Options{}), matches(1<<12, func(i int) string { return fmt.Sprint("GET /", i%500) })
	for i := 0; b.Loop(); i++ {
		t.Report(b.Context(), list[i%len(list)])
	}
}

func BenchmarkMismatchWithTenDiffs(b *testing.B) {
	t, list := newTally(b, tally.Options{}), mismatches(matches(1<<12, oneRoute), 10)
	for i := 0; b.Loop(); i++ {
		t.Report(b.Context(), list[i%len(list)])
	}
}

// BenchmarkGoroutines reports a fixed number of results from 1 goroutine, and from 8: the
// ratio of the two is how it scales. The results are few, so that it is not the memory
// that limits both.
func BenchmarkGoroutines(b *testing.B) {
	for name, list := range map[string][]*shadow.Result{
		"match":    matches(1<<8, oneRoute),
		"mismatch": mismatches(matches(1<<8, oneRoute), 10),
	} {
		for _, n := range []int{1, 8} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				t := newTally(b, tally.Options{})
				const each = 1 << 20
				for b.Loop() {
					var wg sync.WaitGroup
					for g := range n {
						wg.Go(func() {
							for i := range each / n {
								t.Report(b.Context(), list[(i+g*len(list)/n)%len(list)])
							}
						})
					}
					wg.Wait()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/each, "ns/result")
			})
		}
	}
}

func BenchmarkSnapshotOfAThousandRoutes(b *testing.B) {
	t := newTally(b, tally.Options{})
	for _, r := range matches(200_000, func(i int) string { return fmt.Sprint("GET /", i%1000) }) {
		t.Report(b.Context(), r)
	}
	runtime.GC()
	b.ReportAllocs()
	for b.Loop() {
		if s := t.Snapshot(); len(s.Routes) != 1000 {
			b.Fatal(len(s.Routes))
		}
	}
}
