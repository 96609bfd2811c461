package limit

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// bench is a budget with a clock and a gate to look at.
type bench struct {
	*budget
	now  time.Duration
	shut bool
}

func newBench(window time.Duration, limit Usage) *bench {
	b := &bench{}
	b.budget = newBudget(window, limit, func() time.Duration { return b.now }, func(shut bool) { b.shut = shut })
	return b
}

func TestABudgetTakesExactlySoManyRequests(t *testing.T) {
	b := newBench(time.Minute, Usage{Requests: 3})
	for i := range 10 {
		taken, shut := b.Take(1, 1000)
		assert.Equal(t, i < 3, taken)
		assert.Equal(t, i == 2, shut, "the last one, once")
		assert.Equal(t, i >= 2, b.shut)
	}
	assert.Equal(t, Usage{Requests: 3, Bytes: 3000}, b.Spent())
}

// A copy that comes with one to the control is two: they go together or not at all.
func TestRequestsThatBelongTogetherAreTakenTogether(t *testing.T) {
	b := newBench(time.Minute, Usage{Requests: 3})
	taken, shut := b.Take(2, 0)
	assert.True(t, taken)
	assert.False(t, shut)
	taken, shut = b.Take(2, 0)
	assert.False(t, taken)
	assert.True(t, shut, "one is left, which is of no use")
	taken, shut = b.Take(2, 0)
	assert.False(t, taken)
	assert.False(t, shut)
	assert.Equal(t, Usage{Requests: 2}, b.Spent())
}

func TestEachLimitCloses(t *testing.T) {
	for name, c := range map[string]struct {
		limit Usage
		bytes int64
		cpu   time.Duration
		want  bool
	}{
		"bytes":             {Usage{Bytes: 100}, 100, 0, true},
		"bytes, nearly":     {Usage{Bytes: 100}, 99, time.Hour, false},
		"bytes, over":       {Usage{Bytes: 100}, 1 << 40, 0, true},
		"CPU":               {Usage{CPU: time.Second}, 0, time.Second, true},
		"CPU, nearly":       {Usage{CPU: time.Second}, 1 << 40, time.Second - 1, false},
		"requests only":     {Usage{Requests: 2}, 1 << 40, time.Hour, false},
		"whichever, bytes":  {Usage{Requests: 2, Bytes: 1, CPU: time.Hour}, 1, 0, true},
		"whichever, CPU":    {Usage{Requests: 2, Bytes: 1 << 30, CPU: 1}, 0, 1, true},
		"no limit whatever": {Usage{}, 1 << 40, time.Hour, false},
	} {
		b := newBench(time.Minute, c.limit)
		taken, shut := b.Take(1, 0)
		assert.True(t, taken, name)
		assert.False(t, shut, name)
		assert.Equal(t, c.want, b.Add(c.bytes, c.cpu), name)
		taken, _ = b.Take(1, 0)
		assert.Equal(t, !c.want, taken, name)
		if c.want {
			assert.False(t, b.Add(c.bytes, c.cpu), "%s: it is news once", name)
		}
	}
}

func TestEachWindowHasTheBudgetAnew(t *testing.T) {
	b := newBench(time.Minute, Usage{Requests: 1})
	b.now = 10 * time.Second
	b.Take(1, 7)
	open, after := b.Open()
	assert.False(t, open)
	assert.Equal(t, 50*time.Second, after)
	b.now = time.Minute - 1
	taken, _ := b.Take(1, 0)
	assert.False(t, taken)
	b.now = time.Minute
	open, after = b.Open()
	assert.True(t, open)
	assert.Equal(t, time.Minute, after)
	assert.False(t, b.shut)
	assert.Zero(t, b.Spent())
	taken, shut := b.Take(1, 0)
	assert.True(t, taken && shut && b.shut)
}

// What ends in a later window is spent in that one.
func TestWhatIsLateIsSpentWhenItCame(t *testing.T) {
	b := newBench(time.Minute, Usage{CPU: time.Second})
	b.Take(1, 0)
	b.now = 61 * time.Second
	assert.True(t, b.Add(0, time.Second))
	assert.Equal(t, Usage{CPU: time.Second}, b.Spent())
	assert.True(t, b.shut)
}

func TestAClockThatJumps(t *testing.T) {
	b := newBench(time.Minute, Usage{Requests: 1})
	b.now = time.Hour
	b.Take(1, 0)
	b.now = 0 // backwards: what is spent stays spent
	taken, _ := b.Take(1, 0)
	assert.False(t, taken)
	open, after := b.Open()
	assert.False(t, open)
	assert.Equal(t, 61*time.Minute, after)
	b.now = time.Hour + time.Minute
	taken, _ = b.Take(1, 0)
	assert.True(t, taken)
	b.now = 1000 * time.Hour // forwards over many windows: one budget, not many
	taken, shut := b.Take(1, 0)
	assert.True(t, taken && shut)
}

// A window that is shorter than the steps of the clock is a new one at each step.
func TestAWindowShorterThanATick(t *testing.T) {
	b := newBench(1, Usage{Requests: 1})
	for range 100 {
		b.now += 15 * time.Millisecond
		taken, _ := b.Take(1, 0)
		assert.True(t, taken)
		taken, _ = b.Take(1, 0)
		assert.False(t, taken)
	}
}

func TestABudgetIsExactAmongManyGoroutines(t *testing.T) {
	var shut atomic.Bool
	b := newBudget(time.Hour, Usage{Requests: 1000}, func() time.Duration { return 0 }, shut.Store)
	var taken, last atomic.Uint64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 500 {
				ok, end := b.Take(1, 1)
				if ok {
					taken.Add(1)
				}
				if end {
					last.Add(1)
				}
				b.Add(1, 1)
			}
		})
	}
	all.Wait()
	assert.EqualValues(t, 1000, taken.Load())
	assert.EqualValues(t, 1, last.Load())
	assert.True(t, shut.Load())
	assert.Equal(t, Usage{Requests: 1000, Bytes: 5000, CPU: 4000}, b.Spent())
}
