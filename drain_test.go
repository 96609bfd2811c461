package shadow_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

// slow is a candidate that takes a second.
func slow(w http.ResponseWriter, r *http.Request) {
	time.Sleep(time.Second)
	fine(w, r)
}

// Drain returns when the last copy is reported, and the Mirror goes on.
func TestDrainWaitsForWhatWaitsAndRuns(t *testing.T) {
	for name, timing := range timings {
		t.Run(name, func(t *testing.T) {
			inBubble(t, fine, shadow.InProcess("v2", http.HandlerFunc(slow)), func(t *testing.T, m *limited) {
				require.NoError(t, m.Drain(t.Context()), "there is nothing to wait for")
				for round := 1; round <= 2; round++ {
					began := time.Now()
					for range 3 {
						getFrom(m.h, "/")
					}
					require.NoError(t, m.Drain(t.Context()))
					assert.Equal(t, 3*time.Second, time.Since(began).Round(time.Millisecond), "but for a worker that lingers")
					assert.Equal(t, map[string]uint64{"match": uint64(3 * round)}, ledger(t, m.Mirror))
				}
			}, shadow.WithTiming(timing), shadow.WithConcurrency(1))
		})
	}
}

// A Drain that is not waited for any longer cancels and drops nothing, and others may wait
// at the same time.
func TestDrainEndsWithItsContext(t *testing.T) {
	inBubble(t, fine, shadow.InProcess("v2", http.HandlerFunc(slow)), func(t *testing.T, m *limited) {
		getFrom(m.h, "/")
		getFrom(m.h, "/")
		both := make(chan error, 2)
		for range cap(both) {
			go func() { both <- m.Drain(t.Context()) }()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		assert.ErrorIs(t, m.Drain(ctx), context.DeadlineExceeded)
		assert.ErrorIs(t, m.Drain(ctx), context.DeadlineExceeded)
		assert.NoError(t, <-both)
		assert.NoError(t, <-both)
		assert.NoError(t, m.Drain(ctx), "nothing is left to wait for")
		assert.Equal(t, map[string]uint64{"match": 2}, ledger(t, m.Mirror))
	}, shadow.WithConcurrency(1))
}

// Drain and Shutdown may wait side by side, and what Close drops is not waited for.
func TestDrainBesideShutdown(t *testing.T) {
	inBubble(t, fine, shadow.InProcess("v2", http.HandlerFunc(slow)), func(t *testing.T, m *limited) {
		getFrom(m.h, "/")
		getFrom(m.h, "/")
		drained := make(chan error)
		go func() { drained <- m.Drain(t.Context()) }()
		go func() { drained <- m.Shutdown(t.Context()) }()
		m.pass(0)
		require.NoError(t, m.Close())
		assert.NoError(t, <-drained)
		assert.NoError(t, <-drained)
		assert.Equal(t, map[string]uint64{"shut-down": 1, "match": 1}, ledger(t, m.Mirror))
		require.NoError(t, m.Drain(t.Context()))
	}, shadow.WithConcurrency(1))
}
