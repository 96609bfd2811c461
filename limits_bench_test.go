package shadow_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/goshadow/shadow"
)

// What a request costs that a limit keeps from being copied, beside one that is not
// sampled. The sampler is the same: it draws, and says yes or no.
func BenchmarkNotCopied(b *testing.B) {
	l := workloads[0]
	failing := shadow.Target{Name: "v2", Transport: roundTripper(func(*http.Request) (*http.Response, error) { return nil, io.EOF })}
	all := shadow.WithSampler(shadow.Rate(1 - 1e-12))
	for _, c := range []struct {
		name   string
		target shadow.Target
		opts   []shadow.Option
		end    func(s shadow.Stats) bool
	}{
		{"not-sampled", candidate(), []shadow.Option{shadow.WithSampler(shadow.Rate(1e-12))}, nil},
		{"breaker-open", failing, []shadow.Option{all, shadow.WithBreaker(shadow.BreakerOptions{Min: 1, Pause: time.Hour})},
			func(s shadow.Stats) bool { return s.Targets["v2"].Breaker == shadow.BreakerOpen }},
		{"budget", candidate(), []shadow.Option{all, shadow.WithBudget(shadow.Budget{Window: time.Hour, Requests: 1})},
			func(s shadow.Stats) bool { return s.Budget.Requests == 1 }},
	} {
		b.Run(c.name, func(b *testing.B) {
			m, _ := mirror(b, c.target, c.opts...)
			h := m.Handler(l.handler())
			for c.end != nil && !c.end(m.Stats()) {
				getFrom(h, "/")
				time.Sleep(time.Millisecond)
			}
			l.run(b, h)
		})
	}
}

// spin computes for d of the clock, as long as it has a processor.
func spin(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		for range 10_000 {
		}
	}
}

// A candidate in this process that does nothing but compute, and a primary that hardly
// does, over loopback: the times of the primary without a Mirror, with one whose limits are
// off, and with one as it is. The times are those of a steady state, after two seconds.
func BenchmarkStarvation(b *testing.B) {
	primary := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 1024)) })
	greedy := shadow.InProcess("v2", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		spin(50 * time.Millisecond)
		primary(w, r)
	}))
	for _, c := range []struct {
		name string
		opts []shadow.Option
	}{
		{"without", nil},
		{"unlimited", []shadow.Option{shadow.WithLoadShedding(shadow.LoadSheddingOptions{Off: true})}},
		{"default", []shadow.Option{shadow.WithLoadShedding(shadow.LoadSheddingOptions{})}},
	} {
		b.Run(c.name, func(b *testing.B) {
			h := http.Handler(primary)
			if c.opts != nil {
				m, err := shadow.New(greedy, c.opts...)
				if err != nil {
					b.Fatal(err)
				}
				defer m.Close()
				h = m.Handler(primary)
				defer func() { b.ReportMetric(float64(m.Stats().Match), "copies") }()
			}
			srv := httptest.NewServer(h)
			defer srv.Close()
			var took []time.Duration
			begin := time.Now()
			for now := begin; now.Sub(begin) < 10*time.Second; {
				resp, err := srv.Client().Get(srv.URL)
				if err != nil {
					b.Fatal(err)
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if d := time.Since(now); now.Sub(begin) > 2*time.Second {
					took = append(took, d)
				}
				time.Sleep(2 * time.Millisecond)
				now = time.Now()
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
			b.ReportMetric(0, "ns/op")
		})
	}
}
