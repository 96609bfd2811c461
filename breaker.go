package shadow

import (
	"cmp"
	"context"
	"errors"
	"math"
	"net/http"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"
)

// BreakerOptions say when a Mirror stops to send copies to a target that does not cope.
// There is one breaker for the target and one for the control, alike. The zero value is
// the default.
//
// A copy counts as failed where the outcome is Failed for whatever reason, a timeout and a
// panic included; where it took longer than Slow; where its answer was longer than the
// primary's and than WithMaxBody, so that it was not read to its end; and where it was
// answered with a 5xx and the primary's was none: that is what a service does that is down
// or drowning, and what the first Min of them have shown, the next ones need not. Copies
// that a Masker or Shutdown stopped count as nothing.
//
// While the breaker is open, requests are counted as ReasonBreakerOpen and cost what those
// cost that are not sampled. After Pause it lets Probes copies try: if all of them succeed
// it closes, if one fails it is open for another Pause. While that of the control is open
// the control is not asked, and nothing is taken for noise.
type BreakerOptions struct {
	Off      bool          // never opens
	Failures float64       // share of failed copies at which it opens: over 0, at most 1; 0 is 0.5
	Slow     time.Duration // longest time that a copy may take; 0 is half of Target.Timeout
	Window   time.Duration // the copies of this time are looked at, 1 s or more; 0 is 10 s
	Min      int           // copies that ended in the Window, below which it never opens; 0 is 20
	Pause    time.Duration // how long it is open before it tries again; 0 is 10 s
	Probes   int           // copies that try; 0 is 3
}

// BreakerState is what a breaker lets through.
type BreakerState string

// The states of a breaker.
const (
	BreakerClosed   BreakerState = "closed"    // all copies
	BreakerHalfOpen BreakerState = "half-open" // BreakerOptions.Probes copies, to see how they fare
	BreakerOpen     BreakerState = "open"      // nothing
)

// number is s as a metric.
func (s BreakerState) number() int64 {
	switch s {
	case BreakerHalfOpen:
		return 1
	case BreakerOpen:
		return 2
	}
	return 0
}

// WithBreaker replaces the defaults of BreakerOptions.
func WithBreaker(o BreakerOptions) Option {
	return optionFunc(func(c *config) {
		c.share("WithBreaker: Failures", o.Failures)
		c.span("WithBreaker: Slow", o.Slow)
		c.window("WithBreaker: Window", o.Window)
		c.notNegative("WithBreaker: Min", int64(o.Min))
		c.span("WithBreaker: Pause", o.Pause)
		c.notNegative("WithBreaker: Probes", int64(o.Probes))
		c.breaker = o
	})
}

// breaker is the breaker of one target.
type breaker struct {
	slow  time.Duration
	pause time.Duration
	most  uint32          // probes
	gate  func(shut bool) // told whether copies are to be refused before they are made
	tries func()          // called when it is half-open for the first time since it was closed
	retry alarm

	mu    sync.Mutex // over each change of state and what is published of it
	cb    *gobreaker.TwoStepCircuitBreaker[any]
	state gobreaker.State
	epoch uint64 // counts the changes, from 1
	tried bool   // since it was closed
}

// permit is the leave of one copy to be sent. The zero value is none: what it reports is
// not counted.
type permit struct {
	epoch uint64
	probe func(err error) // reports a probe; nil where it is none
	used  bool
}

func newBreaker(o BreakerOptions, timeout time.Duration, gate func(shut bool), tries func()) *breaker {
	b := &breaker{slow: cmp.Or(o.Slow, timeout/2), pause: cmp.Or(o.Pause, defaultBreakerPause),
		most: uint32(min(int64(cmp.Or(o.Probes, defaultBreakerProbes)), math.MaxUint32)), gate: gate, tries: tries, epoch: 1}
	share, enough := cmp.Or(o.Failures, defaultBreakerFailures), cmp.Or(o.Min, defaultBreakerMin)
	window := cmp.Or(o.Window, defaultBreakerWindow)
	b.cb = gobreaker.NewTwoStepCircuitBreaker[any](gobreaker.Settings{
		MaxRequests: b.most, Interval: window, BucketPeriod: window / breakerBuckets, Timeout: b.pause,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			all := c.TotalFailures + c.TotalSuccesses
			return !o.Off && int64(all) >= int64(enough) && float64(c.TotalFailures) >= share*float64(all)
		},
		IsExcluded:    func(err error) bool { return err == errNothing },
		OnStateChange: func(_ string, _, to gobreaker.State) { b.changed(to) },
	})
	return b
}

const breakerBuckets = 10 // steps in which a window moves on

// What a breaker is told of a copy that is no error of a Transport.
var (
	errNothing = errors.New("shadow: says nothing about the target")
	errSlow    = errors.New("shadow: slow")
	errServer  = errors.New("shadow: server error")
	errEndless = errors.New("shadow: endless answer")
)

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

// enter tells whether a copy may be sent. If so, leave must follow.
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

// leave reports what became of a copy and returns the states before and after. It may be
// called again for the same permit, which does nothing.
//
// A copy that began while the breaker was closed is counted when it ends: cb counts it in
// the window in which it began, and does not see what takes longer than a window.
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

func (b *breaker) now() BreakerState {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch b.state {
	case gobreaker.StateOpen:
		return BreakerOpen
	case gobreaker.StateHalfOpen:
		return BreakerHalfOpen
	}
	return BreakerClosed
}

// judge returns what the breaker is told of a copy that came to this. Base ends with the
// Mirror.
func (b *breaker) judge(base context.Context, j *job, r reply, err error) error {
	w, answered := j.verdict()
	switch {
	case errors.Is(err, errMask), errors.Is(err, errNoRoom), errors.Is(err, errLeak), err != nil && base.Err() != nil, w != 0:
		return errNothing
	case err != nil:
		return err
	case r.status >= http.StatusInternalServerError && !answered:
		return errNothing
	case r.status >= http.StatusInternalServerError && j.resp.Status < http.StatusInternalServerError:
		return errServer
	case answered && r.size > j.most.Load():
		return errEndless
	case r.took > b.slow:
		return errSlow
	}
	return nil
}
