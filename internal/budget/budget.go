// Package budget counts what is spent in each of a row of windows of time, and says when
// that is as much as may be.
package budget

import (
	"sync"
	"time"
)

// Use is something spent, or the most that may be.
type Use struct {
	Requests uint64
	Bytes    int64
	CPU      time.Duration
}

// Budget is what may be spent in each window. It is safe for concurrent use.
type Budget struct {
	window time.Duration
	limit  Use // 0: no limit
	now    func() time.Duration
	gate   func(shut bool)

	mu    sync.Mutex
	index int64 // of the window
	spent Use   // in it
	shut  bool  // everything is
}

// New returns a Budget of limit for each window; a 0 in limit is no limit. Windows begin
// when now, which is any clock, is a multiple of window; while now goes backwards the
// window stays. Gate is told whether everything is spent; it is called under a lock and
// must be quick.
func New(window time.Duration, limit Use, now func() time.Duration, gate func(shut bool)) *Budget {
	return &Budget{window: window, limit: limit, now: now, gate: gate}
}

// Take spends so many requests, which have so many bytes together, unless there is less
// left of the requests or nothing of the rest. Shut is true for the one call after which
// everything is spent.
func (b *Budget) Take(requests uint64, bytes int64) (taken, shut bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.roll()
	if b.shut {
		return false, false
	}
	if b.limit.Requests > 0 && b.spent.Requests+requests > b.limit.Requests {
		return false, b.close()
	}
	return true, b.spend(Use{Requests: requests, Bytes: bytes})
}

// Add spends what requests turn out to have used beyond what was taken: so the limits of
// bytes and CPU can be exceeded, by the requests that are under way. Shut is as for Take.
func (b *Budget) Add(bytes int64, cpu time.Duration) (shut bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.roll()
	return b.spend(Use{Bytes: bytes, CPU: cpu})
}

// Spent returns what is spent in the window that is now.
func (b *Budget) Spent() Use {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.roll()
	return b.spent
}

// Open tells whether something is left, and if not, after what time there will be.
func (b *Budget) Open() (open bool, after time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.roll()
	return !b.shut, time.Duration(b.index+1)*b.window - b.now()
}

func (b *Budget) roll() {
	if index := int64(b.now() / b.window); index > b.index {
		b.index, b.spent, b.shut = index, Use{}, false
		b.gate(false)
	}
}

func (b *Budget) spend(u Use) (shut bool) {
	b.spent.Requests += u.Requests
	b.spent.Bytes += u.Bytes
	b.spent.CPU += u.CPU
	if b.limit.Requests > 0 && b.spent.Requests >= b.limit.Requests ||
		b.limit.Bytes > 0 && b.spent.Bytes >= b.limit.Bytes ||
		b.limit.CPU > 0 && b.spent.CPU >= b.limit.CPU {
		return b.close()
	}
	return false
}

// close ends the window early, and tells whether that is news.
func (b *Budget) close() bool {
	if b.shut {
		return false
	}
	b.shut = true
	b.gate(true)
	return true
}
