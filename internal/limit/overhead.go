package limit

import (
	"math/bits"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"time"
)

// The buckets: four for each power of two from 128 ns to about a second, one for what is
// less and one for what is more.
const (
	first   = 7  // the lowest bucket ends at 2^first ns
	last    = 30 // the highest bounded one ends at 2^last ns
	parts   = 2  // bits: each power of two is cut into 2^parts
	buckets = (last-first)<<parts + 2
)

// histogram counts short durations of which there are many. It is safe for concurrent use:
// goroutines seldom write the same cache line.
type histogram struct {
	limit   time.Duration
	stripes []stripe // a power of two of them
}

type stripe struct {
	n    [buckets]atomic.Uint64
	over atomic.Uint64 // those longer than the limit
	_    [64]byte
}

// newHistogram returns a histogram that counts the durations over limit apart.
func newHistogram(limit time.Duration) *histogram {
	n := 1
	for n < 2*runtime.GOMAXPROCS(0) {
		n *= 2
	}
	return &histogram{limit: limit, stripes: make([]stripe, n)}
}

// Add counts d. It allocates nothing.
func (h *histogram) Add(d time.Duration) {
	s := &h.stripes[rand.Uint64()&uint64(len(h.stripes)-1)]
	s.n[bucket(d)].Add(1)
	if d > h.limit {
		s.over.Add(1)
	}
}

// bucket returns the position of the bucket of d.
func bucket(d time.Duration) int {
	if d < 1<<first {
		return 0
	}
	if d >= 1<<last {
		return buckets - 1
	}
	power := bits.Len64(uint64(d)) - 1
	part := uint64(d) >> (power - parts) & (1<<parts - 1)
	return 1 + (power-first)<<parts + int(part)
}

// bound returns the end of bucket i, which is not in it; that of the last one is its start.
func bound(i int) time.Duration {
	if i == buckets-1 {
		return 1 << last
	}
	power, part := first+i>>parts, i&(1<<parts-1)
	return time.Duration(1)<<power + time.Duration(part)<<(power-parts)
}

// counts is about what a histogram held at one instant.
type counts struct {
	Total uint64
	Over  uint64 // those longer than the limit
	n     [buckets]uint64
}

// Counts reads h.
func (h *histogram) Counts() *counts {
	c := &counts{}
	for i := range h.stripes {
		s := &h.stripes[i]
		c.Over += s.over.Load() // first, so that it is not more than the total
		for j := range s.n {
			n := s.n[j].Load()
			c.n[j] += n
			c.Total += n
		}
	}
	return c
}

// Quantile returns the upper bound of the bucket of the q-quantile: at most a quarter too
// long, and one second for all longer times. It is 0 if nothing was counted.
func (c *counts) Quantile(q float64) time.Duration {
	if c.Total == 0 {
		return 0
	}
	var n uint64
	for i := range c.n {
		if n += c.n[i]; n > 0 && float64(n) >= q*float64(c.Total) {
			return bound(i)
		}
	}
	return bound(buckets - 1)
}

// judge finds the windows in which more than one in a hundred times is over the limit.
// It is not safe for concurrent use.
type judge struct {
	Window time.Duration // at the least
	Min    uint64        // times, at the least

	start       time.Duration
	total, over uint64 // at the start
}

// Reset begins a window.
func (j *judge) Reset(now time.Duration, c *counts) {
	j.start, j.total, j.over = now, c.Total, c.Over
}

// Exceeded reports whether a window ends now whose 99th percentile is over the limit. A window
// with too few times goes on. Now comes from any clock; one that goes backwards makes the
// window longer.
func (j *judge) Exceeded(now time.Duration, c *counts) bool {
	total, over := c.Total-j.total, c.Over-j.over
	if now-j.start < j.Window || total < j.Min {
		return false
	}
	j.Reset(now, c)
	return over > total/100
}
