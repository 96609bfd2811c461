// Package queue is a bounded FIFO whose workers start on demand and stop when there
// is nothing to do.
package queue

import (
	"sync"
	"time"
)

// linger is how long the last worker that runs out of work stays before it stops. What
// comes meanwhile is left for it: to start or wake a worker costs whoever puts the item
// more than everything else here, and a busy Queue would do it for each one. In a process
// that does nothing else the kernel makes a millisecond of it.
const linger = 100 * time.Microsecond

// Queue hands items to at most so many workers and keeps at most so many waiting.
// It is safe for concurrent use. An idle Queue has no goroutine.
//
// Every item that was accepted is queued, then running, then settled. Settling and the
// worker's return are two things: an item that is given up is settled at once, and its
// worker stays taken until it returns.
type Queue[T comparable] struct {
	run     func(T)
	workers int
	depth   int
	gate    func(full bool)

	mu        sync.Mutex
	ring      []T // grows up to depth, and one more for the worker that lingers
	head      int
	waiting   int
	busy      int  // workers
	lingering bool // one of them
	timer     *time.Timer
	running   int // items taken from the ring or started, not settled
	closed    bool
	closing   chan struct{} // closed when the Queue is
	idle      chan struct{} // closed when nothing waits or runs; nil if nobody waits for that
}

// Verdict is the answer of Put.
type Verdict int

// Full and Closed are the answers to an item that was not taken.
const (
	Accepted Verdict = iota
	Full
	Closed
)

// New returns a Queue that calls run for each item on one of at most so many workers,
// with at most depth items waiting. Run must have its item settled before it returns; it may
// exit its goroutine (runtime.Goexit). Gate is told that the Queue is full, when an item is
// refused, and that it is not, when a worker is free again; it is called under a lock and
// must be quick.
func New[T comparable](workers, depth int, run func(T), gate func(full bool)) *Queue[T] {
	return &Queue[T]{run: run, workers: workers, depth: depth, gate: gate, closing: make(chan struct{})}
}

// Put starts item, or lets it wait its turn, or refuses it. It never waits.
func (q *Queue[T]) Put(item T) Verdict {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return Closed
	case q.lingering && q.waiting <= q.depth:
		q.push(item)
	case q.busy < q.workers:
		q.busy++
		q.running++
		go q.work(item)
	case q.waiting >= q.depth:
		q.gate(true)
		return Full
	default:
		q.push(item)
	}
	return Accepted
}

func (q *Queue[T]) push(item T) {
	if q.waiting == len(q.ring) {
		ring := make([]T, min(max(2*len(q.ring), 8), q.depth+1))
		n := copy(ring, q.ring[q.head:])
		copy(ring[n:], q.ring[:q.head])
		q.ring, q.head = ring, 0
	}
	q.ring[(q.head+q.waiting)%len(q.ring)] = item
	q.waiting++
}

// work runs item and then what waits. A run that exits its goroutine takes this worker
// with it; another one goes on in its place.
func (q *Queue[T]) work(item T) {
	alive := true
	defer func() {
		if alive {
			return
		}
		if next, ok := q.next(); ok {
			go q.work(next)
		}
	}()
	for ok := true; ok; item, ok = q.next() {
		alive = false
		q.run(item)
		alive = true
	}
}

// next takes an item off the ring; where there is none the worker is done. Of several
// that wait the others get a worker too.
func (q *Queue[T]) next() (item T, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	defer q.gate(false)
	if q.waiting == 0 && !q.lingering {
		q.lingering = true
		q.gate(false)
		q.mu.Unlock()
		q.pause()
		q.mu.Lock()
		q.lingering = false
	}
	if q.waiting == 0 {
		q.busy--
		return item, false
	}
	if q.waiting > 1 && q.busy < q.workers {
		q.busy++
		go q.join()
	}
	var zero T
	item, q.ring[q.head] = q.ring[q.head], zero
	q.head = (q.head + 1) % len(q.ring)
	q.waiting--
	q.running++
	return item, true
}

// pause waits a little, and not while the Queue is being closed.
func (q *Queue[T]) pause() {
	if q.timer == nil { // there is one that lingers at a time
		q.timer = time.NewTimer(linger)
	} else {
		q.timer.Reset(linger)
	}
	defer q.timer.Stop()
	select {
	case <-q.timer.C:
	case <-q.closing:
	}
}

// join is the work of a worker that begins with what waits.
func (q *Queue[T]) join() {
	if item, ok := q.next(); ok {
		q.work(item)
	}
}

// Settle ends one running item. Count is called under the lock, so that nobody who reads finds
// the item both running and counted, or neither. It must be quick.
func (q *Queue[T]) Settle(count func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.running--
	count()
	q.signal()
}

func (q *Queue[T]) signal() {
	if q.idle != nil && q.waiting == 0 && q.running == 0 {
		close(q.idle)
		q.idle = nil
	}
}

// Counts returns how many items wait and run, at the instant at which it calls read. The item
// over depth that is left for the worker that lingers counts as running.
func (q *Queue[T]) Counts(read func()) (waiting, running int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	read()
	waiting = min(q.waiting, q.depth)
	return waiting, q.running + q.waiting - waiting
}

// Idle returns a channel that is closed once nothing waits or runs.
func (q *Queue[T]) Idle() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.await()
}

// await is Idle under the lock.
func (q *Queue[T]) await() <-chan struct{} {
	if q.idle == nil {
		q.idle = make(chan struct{})
	}
	idle := q.idle
	q.signal()
	return idle
}

// Close refuses items from now on. The channel is closed once every item accepted
// so far is settled.
func (q *Queue[T]) Close() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.closed = true
		close(q.closing)
	}
	return q.await()
}

// Remove takes item off the queue and settles it. It reports whether item waited. Count is called
// as by Settle.
func (q *Queue[T]) Remove(item T, count func()) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	at := func(i int) *T { return &q.ring[(q.head+i)%len(q.ring)] }
	i := 0
	for i < q.waiting && *at(i) != item {
		i++
	}
	if i == q.waiting {
		return false
	}
	for ; i+1 < q.waiting; i++ {
		*at(i) = *at(i + 1)
	}
	var zero T
	*at(i) = zero
	q.waiting--
	count()
	q.signal()
	return true
}

// Drop takes everything that waits off the queue and settles it. Count is called for each item, as
// by Settle.
func (q *Queue[T]) Drop(count func()) []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	items := make([]T, 0, q.waiting)
	for ; q.waiting > 0; q.waiting-- {
		items = append(items, q.ring[q.head])
		count()
		q.head = (q.head + 1) % len(q.ring)
	}
	q.ring, q.head = nil, 0
	q.gate(false)
	q.signal()
	return items
}
