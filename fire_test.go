package shadow_test

import (
	"bytes"
	"io"
	"net/http"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/internal/fire"
)

// unlimited has no copy dropped but for the limits of WithQueue.
var unlimited = shadow.Options(calm,
	shadow.WithBreaker(shadow.BreakerOptions{Off: true}),
	shadow.WithOverhead(shadow.OverheadOptions{Off: true}))

// burning starts a shadow with a fault and returns the target that it is.
func burning(t *testing.T, f fire.Fault) (*fire.Shadow, shadow.Target) {
	t.Helper()
	s, err := f.Start()
	require.NoError(t, err)
	if f.InProcess() {
		return s, shadow.InProcess(f.Name, s)
	}
	return s, shadow.Remote(f.Name, s.URL)
}

// swap answers with the second half of the request's body and then the first, and leaves
// no garbage.
func swap(w http.ResponseWriter, r *http.Request) {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	n, err := io.ReadFull(r.Body, *buf)
	if err != io.ErrUnexpectedEOF && err != io.EOF {
		http.Error(w, "body too large or broken", http.StatusBadRequest)
		return
	}
	b := (*buf)[:n]
	w.Header().Set("Trailer", "X-First")
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Write(b[n/2:])
	w.Write(b[:n/2])
	w.Header().Set("X-First", string(b[:min(8, n)]))
}

// buffers hold a body of less than 128 KiB each.
var buffers = sync.Pool{New: func() any {
	b := make([]byte, 128<<10)
	return &b
}}

// content returns size bytes that are others for each n.
func content(n, size int) []byte {
	b := make([]byte, size)
	state := uint64(n)*0x9e3779b97f4a7c15 + 1
	for i := range b {
		state = state*6364136223846793005 + 1442695040888963407
		b[i] = 'a' + byte(state>>59)%26
	}
	return b
}

// caller is a client with a connection of its own, which it keeps.
type caller struct {
	http.Client
	buf [128 << 10]byte // for the bodies of its answers
}

type crowd []*caller

func newCrowd(t *testing.T, n int) crowd {
	c := make(crowd, n)
	for i := range c {
		tr := &http.Transport{}
		t.Cleanup(tr.CloseIdleConnections)
		c[i] = &caller{Client: http.Client{Transport: tr}}
	}
	return c
}

// each has every client call f, side by side, with the numbers from 0 to requests-1.
func (c crowd) each(requests int, f func(c *caller, n int)) {
	var clients sync.WaitGroup
	for i, one := range c {
		clients.Go(func() {
			for n := i; n < requests; n += len(c) {
				f(one, n)
			}
		})
	}
	clients.Wait()
}

// reply is an answer as a client reads it, without the date.
type reply struct {
	status  string
	header  http.Header
	body    []byte
	trailer http.Header
}

// post asks url with body. What went wrong is marked in the test, which may go on. The body
// of the reply is in buf.
func (c *caller) post(t *testing.T, url string, body []byte) (r reply) {
	resp, err := c.Post(url, "application/octet-stream", bytes.NewReader(body))
	if !assert.NoError(t, err) {
		return r
	}
	defer resp.Body.Close()
	n, err := io.ReadFull(resp.Body, c.buf[:])
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF) // at the end of the body, before that of buf
	resp.Header.Del("Date")
	return reply{resp.Status, resp.Header, c.buf[:n], resp.Trailer}
}

// peak is the most that was seen of goroutines and of bytes of live heap.
type peak struct{ workers, others, heap atomic.Int64 }

func (p *peak) see() {
	workers, others := goroutines()
	raise(&p.workers, workers)
	raise(&p.others, others)
	raise(&p.heap, live())
}

// goroutines returns how many there are of a Mirror's, and of others, those of a shadow on
// fire left out.
func goroutines() (workers, others int64) {
	for creator, n := range fire.Goroutines() {
		if strings.HasPrefix(creator, module+"/internal/queue.") {
			workers += int64(n)
		} else {
			others += int64(n)
		}
	}
	return workers, others
}

func raise(most *atomic.Int64, n int64) {
	for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
	}
}

// live returns the bytes of heap that the last collection found in use: what there is in
// garbage says nothing of what is held.
func live() int64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}

// Whatever a shadow does, the primary answers as ever, goroutines and bytes stay within
// their limits, and every request is in the ledger.
func TestThePrimaryDoesNotNoticeAShadowOnFire(t *testing.T) {
	besideFire(t, 1200, func(t *testing.T, m *shadow.Mirror, _ crowd) (string, *inFlight) {
		srv, handlers := server(t, m.Handler(http.HandlerFunc(swap)), false)
		return srv.URL, handlers
	})
}

// Nor does a caller whose transport is mirrored.
func TestTheCallerDoesNotNoticeAShadowOnFire(t *testing.T) {
	besideFire(t, 600, func(t *testing.T, m *shadow.Mirror, callers crowd) (string, *inFlight) {
		for _, c := range callers {
			c.Transport = m.Transport(c.Transport)
		}
		srv, handlers := server(t, http.HandlerFunc(swap), false)
		return srv.URL, handlers
	})
}

// besideFire has a crowd make so many requests for each fault of a shadow. Wrap puts the Mirror
// into their way and tells where they are served.
func besideFire(t *testing.T, requests int, wrap func(*testing.T, *shadow.Mirror, crowd) (string, *inFlight)) {
	const (
		bare        = 200 // without the mirror
		size        = 64 << 10
		clients     = 16
		concurrency = 8
		budget      = 16 << 20
	)
	for _, f := range fire.Faults() {
		t.Run(f.Name, func(t *testing.T) {
			s, target := burning(t, f)
			m, err := shadow.New(isolated(target), allMethods, unlimited, shadow.WithConcurrency(concurrency),
				shadow.WithQueue(256, budget), shadow.WithMaxBody(2*size))
			require.NoError(t, err)
			crowd := newCrowd(t, clients)
			url, handlers := wrap(t, m, crowd)
			var bodies, answers [clients][]byte
			for i := range bodies {
				bodies[i] = content(i, size)
				answers[i] = slices.Concat(bodies[i][size/2:], bodies[i][:size/2])
			}

			// What it is without the mirror, over the same connections.
			m.SetEnabled(false)
			want := crowd[0].post(t, url, bodies[0])
			want.body = nil
			round := func(requests int, most *peak) {
				crowd.each(requests, func(c *caller, n int) {
					got := c.post(t, url, bodies[n%clients])
					assert.True(t, bytes.Equal(answers[n%clients], got.body), "request %d: %d bytes of body", n, len(got.body))
					assert.Equal(t, bodies[n%clients][:8], []byte(got.trailer.Get("X-First")))
					got.body, got.trailer = nil, want.trailer
					assert.Equal(t, want, got)
					assert.LessOrEqual(t, m.Stats().QueuedBytes, int64(budget))
					if n%50 == 0 {
						most.see()
					}
				})
				handlers.Wait()
				runtime.GC()
				most.see()
			}
			var before, after peak
			round(bare, &before)
			m.SetEnabled(true)
			round(requests, &after)

			connections := int64(0)
			if !f.InProcess() {
				connections = 3 * concurrency // http.Transport has one to dial, and two for each connection
			}
			// One that exits starts the next while it is still on its way out.
			assert.LessOrEqual(t, after.workers.Load(), int64(concurrency+8), "goroutines of the Mirror")
			assert.LessOrEqual(t, after.others.Load()-before.others.Load(), connections+clients, "other goroutines")
			assert.LessOrEqual(t, after.heap.Load()-before.heap.Load(), int64(budget+16<<20), "bytes of heap")
			t.Logf("goroutines: %d workers, %+d others; heap %+.1f MiB", after.workers.Load(), after.others.Load()-before.others.Load(),
				float64(after.heap.Load()-before.heap.Load())/(1<<20))

			s.Close()
			require.NoError(t, m.Shutdown(t.Context()))
			counts := ledger(t, m)
			stats := m.Stats()
			assert.EqualValues(t, 1+bare+requests, stats.Requests)
			assert.Zero(t, stats.Queued)
			assert.Zero(t, stats.Running)
			assert.Zero(t, stats.QueuedBytes)
			assert.EqualValues(t, 1+bare, counts["disabled"])
			var known uint64
			// An answer for which the bytes had no room is not compared, and what waited behind a
			// target that hangs is not sent.
			for _, name := range []string{"disabled", "queue-full", "bytes-full", "expired", string(shadow.Failed), mismatch, string(shadow.Uncompared)} {
				known += counts[name]
			}
			assert.Equal(t, stats.Requests, known, "%v", counts)
			t.Log(counts)
		})
	}
}
