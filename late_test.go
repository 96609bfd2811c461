package shadow_test

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

// The reports of late copies run under WithConcurrency like everything else of a copy, and
// what they hold is under WithQueue: a reporter that blocks gathers neither goroutines nor
// bytes.
func TestLateReportsAreBounded(t *testing.T) {
	const concurrency, asked, size = 2, 100, 64 << 10
	large := make([]byte, size)
	for name, candidate := range map[string]http.HandlerFunc{
		"hung":                 hung,
		"ignores its context":  func(http.ResponseWriter, *http.Request) { time.Sleep(90 * time.Second) },
		"exits its goroutine":  func(w http.ResponseWriter, r *http.Request) { hung(w, r); runtime.Goexit() },
		"panics when it ended": func(w http.ResponseWriter, r *http.Request) { hung(w, r); panic(1) },
	} {
		for _, timing := range timings {
			t.Run(fmt.Sprintf("%s %s", name, timing), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					open := make(chan struct{})
					var reporting, most, reported atomic.Int64
					blocking := shadow.ReporterFunc(func(_ context.Context, r *shadow.Result) error {
						most.Store(max(most.Load(), reporting.Add(1)))
						defer reporting.Add(-1)
						<-open
						reported.Add(1)
						assert.ErrorIs(t, r.Err, shadow.ErrTimeout)
						return nil
					})
					target := shadow.InProcess("v2", candidate)
					target.Timeout = time.Minute
					m, err := shadow.New(isolated(target), shadow.WithReporter(blocking), calm, shadow.WithTiming(timing),
						shadow.WithConcurrency(concurrency), shadow.WithQueue(8, 4<<20), shadow.WithBreaker(shadow.BreakerOptions{Off: true}))
					require.NoError(t, err)
					h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(large) }))
					before := runtime.NumGoroutine()
					for range asked {
						getFrom(h, "/")
						time.Sleep(time.Minute)
						synctest.Wait()
					}
					assert.LessOrEqual(t, runtime.NumGoroutine()-before, 3*concurrency, "a worker and its timer, and the Mirror's own")
					assert.EqualValues(t, concurrency, most.Load())
					assert.LessOrEqual(t, m.Stats().QueuedBytes, int64(4<<20))
					assert.Equal(t, concurrency, m.Stats().Running, "what is not reported is not settled")
					close(open)
					require.NoError(t, m.Drain(t.Context()))
					counts := ledger(t, m)
					assert.EqualValues(t, asked, m.Stats().Requests)
					assert.EqualValues(t, counts["failed"], reported.Load())
					assert.EqualValues(t, asked, counts["failed"]+counts["queue-full"]+counts["expired"])
					assert.NotZero(t, counts["queue-full"])
					require.NoError(t, m.Shutdown(t.Context()))
					synctest.Wait() // for the workers
					assert.Zero(t, m.Stats().QueuedBytes)
				})
			})
		}
	}
}
