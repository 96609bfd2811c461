package shadowtest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// report collects the rules that a part breaks.
type report struct {
	part string

	hung atomic.Bool // a call did not come back

	mu     sync.Mutex
	broken map[string]bool
	errs   []error
}

// broke reports a rule that the part broke, once.
func (r *report) broke(rule, sample, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken[rule] {
		return
	}
	if r.broken == nil {
		r.broken = map[string]bool{}
	}
	r.broken[rule] = true
	r.errs = append(r.errs, fmt.Errorf("shadowtest: a %s %s: %s (sample %q)", r.part, rule, fmt.Sprintf(format, args...), sample))
}

func (r *report) err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return errors.Join(r.errs...)
}

// patience is how long a call may take.
const patience = 10 * time.Second

// call calls user code and reports it where it does not return as it should.
func (r *report) call(sample string, f func()) (returned bool) {
	done := make(chan string, 1)
	go func() {
		how := "it ended its goroutine, as testing.T.FailNow does"
		defer func() { done <- how }()
		defer func() {
			if v := recover(); v != nil {
				how = fmt.Sprintf("panic: %v", v)
			}
		}()
		f()
		how = ""
	}()
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case how := <-done:
		if how != "" {
			r.broke("must return", sample, "%s", how)
		}
		return how == ""
	case <-late.C:
		r.broke("must return", sample, "it has not, after %v", patience)
		r.hung.Store(true)
		return false
	}
}

const (
	goroutines = 8 // at a time
	rounds     = 4 // of each
)

// manyTimes calls f with each of n samples from many goroutines, each of which begins with
// another one.
func (r *report) manyTimes(n int, f func(i int)) {
	var all sync.WaitGroup
	for g := range goroutines {
		all.Go(func() {
			for k := range n * rounds {
				if r.hung.Load() {
					return
				}
				f((g*n/goroutines + k) % n)
			}
		})
	}
	all.Wait()
}

// atOnce calls user code from many goroutines at a time.
func (r *report) atOnce(sample string, f func()) {
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() { r.call(sample, f) })
	}
	all.Wait()
}
