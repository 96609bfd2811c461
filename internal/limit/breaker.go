package limit

import (
	"cmp"
	"errors"
	"math"
	"net/http"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"
)

// BreakerOptions say when the breaker of a target opens.
type BreakerOptions struct {
	Off      bool          // never opens
	Failures float64       // share of failed copies at which it opens
	Slow     time.Duration // longest time that a copy may take; 0 is half of the target's timeout
	Window   time.Duration // the copies of this time count
	Min      int           // copies in the Window, below which it never opens
	Pause    time.Duration // how long it is open before it lets probes through
	Probes   int           // copies that try the target
}

// State is the state of a breaker.
type State int

// The states of a breaker.
const (
	StateClosed State = iota
	StateHalfOpen
	StateOpen
)

// Result is what became of a copy.
type Result struct {
	Void          bool // says nothing about the target
	Err           error
	Status        int  // of the answer
	Answered      bool // the primary has answered
	PrimaryStatus int  // with this
	Endless       bool // the answer was not read to its end, as it is longer than is of use
	Took          time.Duration
}

// fault returns what r says about the target: nil for success, errNothing for nothing.
func (r *Result) fault(slow time.Duration) error {
	switch {
	case r.Void:
		return errNothing
	case r.Err != nil:
		return r.Err
	case r.Status >= http.StatusInternalServerError && !r.Answered:
		return errNothing
	case r.Status >= http.StatusInternalServerError && r.PrimaryStatus < http.StatusInternalServerError:
		return errServer
	case r.Endless:
		return errEndless
	case r.Took > slow:
		return errSlow
	}
	return nil
}

// The faults of copies that are no errors of a transport.
var (
	errNothing = errors.New("shadow: says nothing about the target")
	errSlow    = errors.New("shadow: slow")
	errServer  = errors.New("shadow: server error")
	errEndless = errors.New("shadow: endless answer")
)

// breaker is the breaker of one target.
type breaker struct {
	slow  time.Duration
	pause time.Duration
	most  uint32          // probes
	gate  func(shut bool) // sets whether copies are refused before they are made
	tries func()          // called when it is half-open for the first time since it was closed
	retry alarm

	mu    sync.Mutex // over each change of state and what is published of it
	cb    *gobreaker.TwoStepCircuitBreaker[any]
	state gobreaker.State
	epoch uint64 // counts the changes, from 1
	tried bool   // since it was closed
}

// permit allows one copy to be sent. The zero value allows none: what it reports is not
// counted.
type permit struct {
	epoch uint64
	probe func(err error) // reports a probe; nil where the copy is none
	used  bool
}

func newBreaker(o BreakerOptions, timeout time.Duration, gate func(shut bool), tries func()) *breaker {
	b := &breaker{slow: cmp.Or(o.Slow, timeout/2), pause: o.Pause,
		most: uint32(min(int64(o.Probes), math.MaxUint32)), gate: gate, tries: tries, epoch: 1}
	b.cb = gobreaker.NewTwoStepCircuitBreaker[any](gobreaker.Settings{
		MaxRequests: b.most, Interval: o.Window, BucketPeriod: o.Window / breakerBuckets, Timeout: b.pause,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			all := c.TotalFailures + c.TotalSuccesses
			return !o.Off && int64(all) >= int64(o.Min) && float64(c.TotalFailures) >= o.Failures*float64(all)
		},
		IsExcluded:    func(err error) bool { return err == errNothing },
		OnStateChange: func(_ string, _, to gobreaker.State) { b.changed(to) },
	})
	return b
}

const breakerBuckets = 10 // steps in which a window moves on

// changed is called by cb, under mu.
func (b *breaker) changed(to gobreaker.State) {
	b.state = to
	b.epoch++
	b.tried = b.tried && to != gobreaker.StateClosed
	if to == gobreaker.StateOpen {
		b.retry.set(b.pause+1, func() { // for cb the pause is not over in its last nanosecond
			b.mu.Lock()
			b.cb.State() // becomes half-open
			b.publish()
			first := b.state == gobreaker.StateHalfOpen && !b.tried
			b.tried = true
			b.mu.Unlock()
			if first {
				b.tries()
			}
		})
	}
}

func (b *breaker) publish() {
	counts := b.cb.Counts()
	b.gate(b.state == gobreaker.StateOpen ||
		b.state == gobreaker.StateHalfOpen && counts.Requests-counts.TotalExclusions >= b.most)
}

// enter reports whether a copy may be sent. If so, leave must follow.
func (b *breaker) enter() (p permit, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.publish()
	p.epoch = b.epoch
	switch b.state {
	case gobreaker.StateOpen:
		return p, false
	case gobreaker.StateHalfOpen:
		probe, err := b.cb.Allow()
		p.probe = probe
		return p, err == nil
	}
	return p, true
}

// leave records what became of a copy and returns the states before and after. Only the first
// call for a permit counts.
//
// A copy that began while the breaker was closed is counted when it ends: cb would count it in
// the window in which it began, and miss what takes longer than a window.
func (b *breaker) leave(p *permit, err error) (from, to gobreaker.State) {
	b.mu.Lock()
	defer b.mu.Unlock()
	from = b.state
	switch {
	case p.used:
	case p.probe != nil:
		p.probe(err)
	case p.epoch == b.epoch:
		if done, refused := b.cb.Allow(); refused == nil {
			done(err)
		}
	}
	p.used = true
	b.publish()
	return from, b.state
}

func (b *breaker) now() State {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch b.state {
	case gobreaker.StateOpen:
		return StateOpen
	case gobreaker.StateHalfOpen:
		return StateHalfOpen
	}
	return StateClosed
}
