package shadow_test

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/goshadow/shadow"
)

// A Mirror that has been shut down leaves no goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// reports keeps what it is told.
type reports struct {
	mu   sync.Mutex
	list []*shadow.Result
}

func (r *reports) Report(_ context.Context, res *shadow.Result) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, res)
	return nil
}

func (r *reports) all() []*shadow.Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*shadow.Result(nil), r.list...)
}

// mirror returns a Mirror to target that is closed when the test ends, and what it
// reports.
func mirror(t testing.TB, target shadow.Target, opts ...shadow.Option) (*shadow.Mirror, *reports) {
	t.Helper()
	r := &reports{}
	m, err := shadow.New(target, append([]shadow.Option{shadow.WithReporter(r)}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(func() { m.Close() })
	return m, r
}

// ledger returns where the requests of m are counted, by name, and checks that they
// add up to their number.
func ledger(t testing.TB, m *shadow.Mirror) map[string]uint64 {
	t.Helper()
	s := m.Stats()
	counts := map[string]uint64{}
	for reason, n := range s.Skipped {
		counts[string(reason)] += n
	}
	for reason, n := range s.Dropped {
		counts[string(reason)] += n
	}
	for outcome, n := range map[shadow.Outcome]uint64{
		shadow.Match: s.Match, shadow.Mismatch: s.Mismatch, shadow.Failed: s.Failed, shadow.Uncompared: s.Uncompared,
	} {
		if n > 0 {
			counts[string(outcome)] += n
		}
	}
	sum := uint64(s.Queued + s.Running)
	for _, n := range counts {
		sum += n
	}
	require.Equal(t, s.Requests, sum, "%+v", s)
	return counts
}
