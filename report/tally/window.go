package tally

import "time"

// How time is divided: a series has so many slots of so many seconds.
const (
	minuteSlots, minuteSlot = 12, 5
	hourSlots, hourSlot     = 60, 60
	daySlots, daySlot       = 24, 3600
)

// windows are the last minute, hour and day of something that is counted.
type windows[T any] struct {
	minutes [minuteSlots]numbered[T]
	hours   [hourSlots]numbered[T]
	days    [daySlots]numbered[T]
}

// numbered is the count of the interval with that number since 1970.
type numbered[T any] struct {
	number int64
	count  T
}

func (w *windows[T]) minute(second int64) *T { return current(w.minutes[:], second/minuteSlot) }
func (w *windows[T]) hour(second int64) *T   { return current(w.hours[:], second/hourSlot) }
func (w *windows[T]) day(second int64) *T    { return current(w.days[:], second/daySlot) }

// current returns the count of the interval number. It takes the place of the one that is
// a whole round older. Where the clock was set back that stays which is there.
func current[T any](ring []numbered[T], number int64) *T {
	n := &ring[uint64(number)%uint64(len(ring))]
	if n.number < number {
		*n = numbered[T]{number: number}
	}
	return &n.count
}

// recent calls f with every interval of the ring that is not over at second, in any order.
func recent[T any](ring []numbered[T], length, second int64, f func(start time.Time, count *T)) {
	oldest := second/length - int64(len(ring))
	for i := range ring {
		if n := &ring[i]; n.number > max(oldest, 0) {
			f(time.Unix(n.number*length, 0).UTC(), &n.count)
		}
	}
}

// windowed is a sum, and what it was before the last window, which is the one that goes on and
// the one before that.
type windowed[T any] struct {
	now, before T
	mark        T // at the start of the window that goes on
	window      uint64
}

// turn begins the window with that number. A result that was delayed may name an older one.
func (r *windowed[T]) turn(window uint64) {
	if window <= r.window {
		return
	}
	r.before = r.mark
	if window > r.window+1 {
		r.before = r.now
	}
	r.mark, r.window = r.now, window
}
