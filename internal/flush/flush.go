// Package flush has a goroutine that works for others finish what it was given.
package flush

import "context"

// Requests is how it is asked to: it receives a channel, finishes what waits, and closes
// what it received. Make one without a buffer.
type Requests chan chan struct{}

// Wait asks the goroutine, and waits until it has finished, or ctx ends, whose error it
// returns. Done is closed when the goroutine has ended, which leaves nothing to wait for; nil
// is one that has not begun.
func (r Requests) Wait(ctx context.Context, done <-chan struct{}) error {
	if done == nil {
		return nil
	}
	finished := make(chan struct{})
	select {
	case r <- finished:
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-finished:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
