package limit

import (
	"sync"
	"time"
)

// BudgetOptions limit what copies use in each of a row of windows. A limit of 0 is none, and a
// Window of 0 is no budget.
type BudgetOptions struct {
	Window   time.Duration
	Requests int
	Bytes    int64
	CPU      time.Duration
}

// budget counts what is spent in each window. It is safe for concurrent use.
type budget struct {
	window time.Duration
	limit  Usage // 0: no limit
	now    func() time.Duration
	gate   func(shut bool)

	mu    sync.Mutex
	index int64 // of the window
	spent Usage // in it
	shut  bool  // everything is
}

// newBudget returns a budget of limit for each window; a 0 in limit is no limit. Windows begin
// when now, which is any clock, is a multiple of window; while now goes backwards the window
// stays. Gate gets whether everything is spent; it is called under a lock and must be quick.
func newBudget(window time.Duration, limit Usage, now func() time.Duration, gate func(shut bool)) *budget {
	return &budget{window: window, limit: limit, now: now, gate: gate}
}

// Take spends requests with bytes in all, unless fewer requests are left or everything is
// spent. Shut is true for the one call after which everything is spent.
func (b *budget) Take(requests uint64, bytes int64) (taken, shut bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.roll()
	if b.shut {
		return false, false
	}
	if b.limit.Requests > 0 && b.spent.Requests+requests > b.limit.Requests {
		return false, b.close()
	}
	return true, b.spend(Usage{Requests: requests, Bytes: bytes})
}

// Add spends what requests have used beyond what was taken. The requests under way can
// therefore exceed the limits of bytes and CPU. Shut is as for Take.
func (b *budget) Add(bytes int64, cpu time.Duration) (shut bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.roll()
	return b.spend(Usage{Bytes: bytes, CPU: cpu})
}

// Spent returns what is spent in the current window.
func (b *budget) Spent() Usage {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.roll()
	return b.spent
}

// Open reports whether something is left, and when the next window begins.
func (b *budget) Open() (open bool, after time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.roll()
	return !b.shut, time.Duration(b.index+1)*b.window - b.now()
}

func (b *budget) roll() {
	if index := int64(b.now() / b.window); index > b.index {
		b.index, b.spent, b.shut = index, Usage{}, false
		b.gate(false)
	}
}

func (b *budget) spend(u Usage) (shut bool) {
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

// close ends the window early. It reports whether it was open.
func (b *budget) close() bool {
	if b.shut {
		return false
	}
	b.shut = true
	b.gate(true)
	return true
}
