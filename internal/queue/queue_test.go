package queue_test

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/goshadow/shadow/internal/queue"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The kinds of ends in these tests.
const (
	done = iota
	failed
	dropped
	kinds
)

// rest lets everybody go as far as they can, and a worker that lingers go home.
func rest() {
	time.Sleep(time.Millisecond)
	synctest.Wait()
}

// open is the gate of a Queue whose tests do not ask it.
func open(bool) {}

// booked is a Queue with the numbers of items that were settled, by kind.
type booked[T comparable] struct {
	*queue.Queue[T]
	settled [kinds]uint64
}

func newBooked[T comparable](workers, depth int, run func(T), gate func(bool)) *booked[T] {
	return &booked[T]{Queue: queue.New(workers, depth, run, gate)}
}

func (b *booked[T]) Settle(kind int) { b.Queue.Settle(func() { b.settled[kind]++ }) }
func (b *booked[T]) Remove(item T, kind int) bool {
	return b.Queue.Remove(item, func() { b.settled[kind]++ })
}
func (b *booked[T]) Drop(kind int) []T { return b.Queue.Drop(func() { b.settled[kind]++ }) }

func (b *booked[T]) Counts(dst []uint64) (settled []uint64, waiting, running int) {
	waiting, running = b.Queue.Counts(func() { settled = append(dst, b.settled[:]...) })
	return settled, waiting, running
}

// bench is a Queue of numbers whose workers wait for a word.
type bench struct {
	*booked[int]
	word    chan struct{}
	full    atomic.Bool // as the gate was told
	started []int
	mu      sync.Mutex
}

func newBench(workers, depth int) *bench {
	b := &bench{word: make(chan struct{})}
	b.booked = newBooked(workers, depth, func(i int) {
		b.mu.Lock()
		b.started = append(b.started, i)
		b.mu.Unlock()
		<-b.word
		b.Settle(done)
	}, b.full.Store)
	return b
}

func (b *bench) put(t *testing.T, want queue.Verdict, items ...int) {
	t.Helper()
	for _, i := range items {
		require.Equal(t, want, b.Put(i), "item %d", i)
	}
	rest()
}

func (b *bench) expect(t *testing.T, waiting, running int, settled ...uint64) {
	t.Helper()
	rest()
	got, w, r := b.Counts(nil)
	assert.Equal(t, []any{waiting, running, settled}, []any{w, r, got}, "waiting, running, settled")
}

func TestNeverMoreThanWorkersRunNorMoreThanDepthWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(2, 3)
		b.expect(t, 0, 0, 0, 0, 0)
		b.put(t, queue.Accepted, 0, 1)
		b.expect(t, 0, 2, 0, 0, 0)
		b.put(t, queue.Accepted, 2, 3, 4)
		b.expect(t, 3, 2, 0, 0, 0)
		b.put(t, queue.Full, 5, 6)
		b.expect(t, 3, 2, 0, 0, 0)
		b.word <- struct{}{}
		b.expect(t, 2, 2, 1, 0, 0)
		b.put(t, queue.Accepted, 7)
		b.put(t, queue.Full, 8)
		close(b.word)
		b.expect(t, 0, 0, 6, 0, 0)
	})
}

// While a worker lingers what comes is left for it, and it takes as much as a worker
// that is free would: nothing is refused because of it, and nothing waits for one of
// several workers.
func TestWhatComesWhileAWorkerLingersLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(3, 1)
		b.put(t, queue.Accepted, 0)
		b.word <- struct{}{}
		synctest.Wait() // no time passes: it lingers
		for i, want := range []queue.Verdict{queue.Accepted, queue.Accepted, queue.Accepted, queue.Accepted, queue.Full} {
			require.Equal(t, want, b.Put(1+i), "item %d", i)
		}
		_, waiting, running := b.Counts(nil) // before the worker has taken its item
		assert.Equal(t, []int{1, 3}, []int{waiting, running})
		b.expect(t, 1, 3, 1, 0, 0)
		close(b.word)
		b.expect(t, 0, 0, 5, 0, 0)
	})
}

func TestCloseSendsTheLingeringWorkerHome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which fails if one is left when it returns
		b := newBench(1, 1)
		b.put(t, queue.Accepted, 0)
		b.word <- struct{}{}
		synctest.Wait()
		<-b.Close()
	})
}

func TestItemsRunInTheOrderTheyCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(1, 20)
		var want []int
		for i := 0; i < 200; { // round the ring, which grows on the way
			for range 1 + i%7 {
				if b.Put(i) == queue.Accepted {
					want = append(want, i)
					i++
				}
				rest()
			}
			for range 1 + i%5 {
				select {
				case b.word <- struct{}{}:
				default:
				}
				rest()
			}
		}
		close(b.word)
		rest()
		assert.Equal(t, want, b.started)
	})
}

func TestTheOrderHoldsWhereTheRingGrowsInTheMiddle(t *testing.T) {
	for pops := range 8 {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(1, 100)
			var want []int
			put := func(n int) {
				for range n {
					b.put(t, queue.Accepted, len(want))
					want = append(want, len(want))
				}
			}
			put(9)
			for range pops {
				b.word <- struct{}{}
				rest()
			}
			put(90)
			close(b.word)
			rest()
			assert.Equal(t, want, b.started)
		})
	}
}

// Nothing waits where a worker is free, and without room to wait a free worker still
// takes an item.
// The gate is shut from the first item that is refused until there is room.
func TestTheGateTellsWhetherThereIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(1, 1)
		b.put(t, queue.Accepted, 0, 1)
		assert.False(t, b.full.Load(), "nothing was refused")
		b.put(t, queue.Full, 2)
		assert.True(t, b.full.Load())
		b.word <- struct{}{} // 1 is taken
		rest()
		assert.False(t, b.full.Load())

		b.put(t, queue.Accepted, 3)
		b.put(t, queue.Full, 4)
		assert.Equal(t, []int{3}, b.Drop(dropped))
		assert.False(t, b.full.Load(), "of what is dropped the place is free")

		b.put(t, queue.Accepted, 5)
		b.put(t, queue.Full, 6)
		b.word <- struct{}{}
		b.word <- struct{}{} // 5 is done too
		synctest.Wait()
		assert.False(t, b.full.Load(), "the worker lingers")
		for i, want := range []queue.Verdict{queue.Accepted, queue.Accepted, queue.Full} {
			require.Equal(t, want, b.Put(7+i))
		}
		assert.True(t, b.full.Load())
		rest() // it takes 7
		assert.False(t, b.full.Load())
		close(b.word)
		rest()
	})
}

func TestDepthZeroIsNoRoomToWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(1, 0)
		b.put(t, queue.Accepted, 1)
		b.put(t, queue.Full, 2)
		b.word <- struct{}{}
		rest()
		b.put(t, queue.Accepted, 3)
		close(b.word)
		b.expect(t, 0, 0, 2, 0, 0)
	})
}

func TestAnIdleQueueHasNoGoroutine(t *testing.T) {
	before := goleak.IgnoreCurrent()
	q := queue.New(8, 100, func(int) {}, open)
	goleak.VerifyNone(t, before)
	synctest.Test(t, func(t *testing.T) { // which also fails if one is left
		b := newBench(8, 100)
		for i := range 50 {
			b.put(t, queue.Accepted, i)
		}
		close(b.word)
		b.expect(t, 0, 0, 50, 0, 0)
	})
	goleak.VerifyNone(t, before)
	runtime.KeepAlive(q)
}

func TestARunThatExitsItsGoroutineIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q *booked[int]
		var ran []int
		hold := make(chan struct{})
		q = newBooked(1, 100, func(i int) {
			if i == 0 {
				<-hold
			}
			ran = append(ran, i) // one worker at a time: no lock
			q.Settle(failed)
			if i%2 == 0 {
				runtime.Goexit()
			}
		}, open)
		want := []int{}
		for i := range 10 {
			require.Equal(t, queue.Accepted, q.Put(i))
			want = append(want, i)
		}
		close(hold)
		rest()
		assert.Equal(t, want, ran)
		settled, waiting, running := q.Counts(nil)
		assert.Equal(t, []uint64{0, 10, 0}, settled)
		assert.Zero(t, waiting+running)

		// Its place is free again, and only one.
		require.Equal(t, queue.Accepted, q.Put(11))
		rest()
		assert.Equal(t, append(want, 11), ran)
	})
}

func TestARunThatRecoversItsPanicGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q *booked[int]
		q = newBooked(1, 10, func(int) {
			defer func() {
				if recover() != nil {
					q.Settle(failed)
				}
			}()
			panic("user code")
		}, open)
		for i := range 5 {
			require.Equal(t, queue.Accepted, q.Put(i))
		}
		rest()
		settled, _, _ := q.Counts(nil)
		assert.Equal(t, []uint64{0, 5, 0}, settled)
	})
}

// An item may be settled long before its worker returns: it is counted, but its worker
// is taken.
func TestASettledItemKeepsItsWorkerUntilItReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q *booked[int]
		hold := make(chan struct{})
		q = newBooked(1, 1, func(int) {
			q.Settle(failed) // given up: its timeout
			<-hold
		}, open)
		require.Equal(t, queue.Accepted, q.Put(1))
		rest()
		settled, waiting, running := q.Counts(nil)
		assert.Equal(t, []uint64{0, 1, 0}, settled)
		assert.Zero(t, waiting+running)

		require.Equal(t, queue.Accepted, q.Put(2))
		require.Equal(t, queue.Full, q.Put(3))
		rest()
		_, waiting, running = q.Counts(nil)
		assert.Equal(t, []int{1, 0}, []int{waiting, running}, "no second worker")

		q.Drop(dropped)
		select {
		case <-q.Close():
		default:
			t.Error("everything is settled")
		}
		close(hold)
	})
}

func TestCloseRefusesAndTellsWhenAllIsSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(1, 10)
		b.put(t, queue.Accepted, 1, 2)
		first := b.Close()
		second := b.Close()
		b.put(t, queue.Closed, 3)
		for range 2 {
			assert.False(t, isClosed(first))
			assert.False(t, isClosed(second))
			b.word <- struct{}{}
			rest()
		}
		assert.True(t, isClosed(first))
		assert.True(t, isClosed(second))
		assert.True(t, isClosed(b.Close()), "also for those who ask later")
		b.put(t, queue.Closed, 4)
		b.expect(t, 0, 0, 2, 0, 0)
	})
	assert.True(t, isClosed(newBench(1, 1).Close()), "there never was anything")
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestIdleTellsWhenNothingWaitsOrRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(1, 4)
		<-b.Idle()
		for range 2 { // and goes on
			b.put(t, queue.Accepted, 1, 2)
			idle, also := b.Idle(), b.Idle()
			b.word <- struct{}{}
			synctest.Wait()
			select {
			case <-idle:
				t.Fatal("one still runs")
			default:
			}
			b.word <- struct{}{}
			<-idle
			<-also
		}
		rest()
	})
}

func TestDropSettlesWhatWaitsAndReturnsItInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(1, 10)
		for i := range 8 {
			b.put(t, queue.Accepted, i)
		}
		b.word <- struct{}{} // so that the ring does not begin at its beginning
		b.put(t, queue.Accepted, 8, 9)
		assert.Equal(t, []int{2, 3, 4, 5, 6, 7, 8, 9}, b.Drop(dropped))
		b.expect(t, 0, 1, 1, 0, 8)
		assert.Empty(t, b.Drop(dropped))
		b.expect(t, 0, 1, 1, 0, 8)

		b.put(t, queue.Accepted, 10, 11) // it goes on
		idle := b.Close()
		assert.Equal(t, []int{10, 11}, b.Drop(dropped))
		assert.False(t, isClosed(idle), "one is still running")
		close(b.word)
		rest()
		assert.True(t, isClosed(idle))
		b.expect(t, 0, 0, 2, 0, 10)
	})
	b := newBench(1, 1)
	idle := b.Close()
	b.Drop(dropped)
	assert.True(t, isClosed(idle))
}

func TestCountsAppendsToWhatItIsGiven(t *testing.T) {
	q := newBooked(1, 1, func(int) {}, open)
	room := make([]uint64, 0, kinds)
	settled, _, _ := q.Counts(room)
	assert.Same(t, &room[:1][0], &settled[0])
	assert.Len(t, settled, kinds)
	assert.Zero(t, testing.AllocsPerRun(100, func() { q.Counts(room) }))
}

// At every instant, whatever runs, what was accepted is waiting, running or settled, the
// bounds hold, and in the end all of it is settled exactly once.
func TestTheLedgerAlwaysSumsUpUnderLoad(t *testing.T) {
	const workers, depth, putters, each = 4, 16, 4, 2000
	var q *booked[int]
	var busy atomic.Int64
	var shut atomic.Bool
	var ends [putters * each]atomic.Int32
	q = newBooked(workers, depth, func(i int) {
		if n := busy.Add(1); n > workers {
			t.Errorf("%d run at a time", n)
		}
		defer busy.Add(-1)
		for range i % 50 {
			runtime.Gosched()
		}
		ends[i].Add(1)
		if i%5 == 0 {
			q.Settle(failed)
			runtime.Goexit()
		}
		q.Settle(done)
	}, shut.Store)

	var accepted, full atomic.Uint64
	var load, watch sync.WaitGroup
	stop := make(chan struct{})
	watch.Go(func() {
		for !isClosed(stop) {
			low := accepted.Load()
			settled, waiting, running := q.Counts(nil)
			got := sum(settled) + uint64(waiting) + uint64(running)
			if high := accepted.Load() + putters; got < low || got > high {
				t.Errorf("%d in the ledger, %d to %d accepted", got, low, high)
			}
			if waiting > depth || running > workers {
				t.Errorf("%d waiting, %d running", waiting, running)
			}
		}
	})
	for p := range putters {
		load.Go(func() {
			rng := rand.New(rand.NewPCG(7, uint64(p)))
			for i := range each {
				switch q.Put(p*each + i) {
				case queue.Accepted:
					accepted.Add(1)
				case queue.Full:
					full.Add(1)
					runtime.Gosched()
				}
				if rng.IntN(500) == 0 {
					for _, i := range q.Drop(dropped) {
						ends[i].Add(1)
					}
				}
			}
		})
	}
	load.Wait()
	<-q.Close()
	close(stop)
	watch.Wait()

	settled, waiting, running := q.Counts(nil)
	assert.Zero(t, waiting)
	assert.Zero(t, running)
	assert.Equal(t, accepted.Load(), sum(settled))
	assert.EqualValues(t, putters*each, accepted.Load()+full.Load())
	assert.False(t, shut.Load(), "there is room")
	for _, n := range settled {
		assert.Positive(t, n, "every kind of end was played")
	}
	total := uint64(0)
	for i := range ends {
		n := ends[i].Load()
		require.LessOrEqual(t, n, int32(1), "item %d", i)
		total += uint64(n)
	}
	assert.Equal(t, accepted.Load(), total)
}

func sum(n []uint64) (total uint64) {
	for v := range slices.Values(n) {
		total += v
	}
	return total
}

func BenchmarkPut(b *testing.B) {
	var q *booked[*int]
	q = newBooked(2, 256, func(*int) { q.Settle(done) }, open)
	item := new(int)
	b.ReportAllocs()
	for b.Loop() {
		q.Put(item)
	}
	<-q.Close()
}
