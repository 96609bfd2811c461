// Package handover hands a primary's response to a copy that may run at the same time.
package handover

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"time"
)

// Result is what a primary came to: its response, which is kept elsewhere, or a Code that says
// why there is none to compare with. It is safe for concurrent use.
type Result[Code ~uint8] struct {
	Context context.Context // parent of every context of the copy; ends when the copy is of no use
	cancel  context.CancelFunc

	Answered chan struct{} // closed when the primary has answered and the copy still waits
	code     Code          // written before Answered is closed

	Ahead int64 // bytes of the copy's answer up to which it does not wait for the primary's

	started  atomic.Bool   // by the copy, or by the primary that has answered before the copy could start
	refused  atomic.Uint32 // the Code under which the copy was refused while the primary ran
	released atomic.Bool   // by the primary with its response, or by the copy that no longer wants it
	drop     func()        // ends the recording of the response; nil if the primary has answered
}

// Errors of Await.
var (
	ErrLate  = errors.New("handover: no answer in time")
	ErrEnded = errors.New("handover: the copy has been cancelled")
)

// Beside returns the Result of a primary that is about to run beside its copy. Drop ends the
// recording of its response.
func Beside[Code ~uint8](base context.Context, ahead int64, drop func()) *Result[Code] {
	r := &Result[Code]{Answered: make(chan struct{}), Ahead: ahead, drop: drop}
	r.Context, r.cancel = context.WithCancel(base)
	return r
}

// Complete returns a Result for all copies whose primary has answered before they start.
func Complete[Code ~uint8](base context.Context) *Result[Code] {
	r := &Result[Code]{Context: base, cancel: func() {}, Answered: make(chan struct{}), Ahead: math.MaxInt64}
	r.started.Store(true)
	r.released.Store(true)
	close(r.Answered)
	return r
}

// Start reports whether the copy, or the primary that calls it when it is done, is the first to.
func (r *Result[Code]) Start() bool {
	return !r.started.Load() && r.started.CompareAndSwap(false, true)
}

// Refuse notes the code under which the copy was refused while the primary ran.
func (r *Result[Code]) Refuse(c Code) { r.refused.Store(uint32(c)) }

// Refused returns the code of Refuse, or 0.
func (r *Result[Code]) Refused() Code { return Code(r.refused.Load()) }

// Get returns the code that the primary ended with. Answered is false while it runs.
func (r *Result[Code]) Get() (c Code, answered bool) {
	select {
	case <-r.Answered:
		return r.code, true
	default:
		return 0, false
	}
}

// Await waits until the primary has answered, and returns the code that it ended with. The error
// is ErrLate or ErrEnded.
func (r *Result[Code]) Await(until time.Time) (Code, error) {
	if c, answered := r.Get(); answered {
		return c, nil
	}
	late := time.NewTimer(time.Until(until))
	defer late.Stop()
	select {
	case <-r.Answered:
		return r.code, nil
	case <-late.C:
		return 0, ErrLate
	case <-r.Context.Done():
		if c, answered := r.Get(); answered { // which has cancelled the copy
			return c, nil
		}
		return 0, ErrEnded
	}
}

// Hand hands the response to the copy. It reports false if the copy has ended: then the caller
// releases the response. A code says why the two are not to be compared, and cancels the copy.
func (r *Result[Code]) Hand(c Code) bool {
	if !r.released.CompareAndSwap(false, true) {
		return false
	}
	r.code = c
	close(r.Answered)
	if c != 0 {
		r.cancel()
	}
	return true
}

// Release is called once, by the copy at its end. It reports whether the response is the copy's
// to release. If the primary still runs its response is no longer recorded.
func (r *Result[Code]) Release() bool {
	if r.released.Load() || !r.released.CompareAndSwap(false, true) {
		return true
	}
	r.drop()
	return false
}

// Unwanted reports whether the copy has ended before the primary, whose response nobody needs.
func (r *Result[Code]) Unwanted() bool { return r.drop != nil && r.released.Load() }

// Cancel ends the copy's contexts.
func (r *Result[Code]) Cancel() { r.cancel() }
