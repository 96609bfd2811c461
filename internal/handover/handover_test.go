package handover

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

type code uint8

func beside(drop func()) *Result[code] { return Beside[code](context.Background(), 1, drop) }

func TestACopyWaitsForThePrimary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := beside(nil)
		go func() {
			time.Sleep(time.Second)
			r.Hand(3)
		}()
		c, err := r.Await(time.Now().Add(time.Minute))
		assert.NoError(t, err)
		assert.EqualValues(t, 3, c)
		assert.Error(t, r.Context.Err(), "what is not to be compared is cancelled")
	})
}

func TestACopyDoesNotWaitPastItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := beside(nil)
		_, err := r.Await(time.Now().Add(time.Second))
		assert.ErrorIs(t, err, ErrLate)
		r.Cancel()
		_, err = r.Await(time.Now().Add(time.Second))
		assert.ErrorIs(t, err, ErrEnded)
	})
}

// A primary that cancels the copy with its code is not taken for the end of the Mirror, whichever
// of the two the copy sees first.
func TestTheCodeOfThePrimaryCountsBeforeItsCancellation(t *testing.T) {
	for range 1000 {
		r := beside(nil)
		go r.Hand(7)
		c, err := r.Await(time.Now().Add(time.Minute))
		assert.NoError(t, err)
		assert.EqualValues(t, 7, c)
	}
}

// Exactly one of the primary and the copy releases the response.
func TestAResponseIsReleasedOnce(t *testing.T) {
	for range 1000 {
		var dropped, released atomic.Int32
		r := beside(func() { dropped.Add(1) })
		var all sync.WaitGroup
		all.Go(func() {
			if !r.Hand(0) {
				released.Add(1)
			}
		})
		all.Go(func() {
			if r.Release() {
				released.Add(1)
			}
		})
		all.Wait()
		assert.EqualValues(t, 1, released.Load())
		assert.Equal(t, dropped.Load() == 1, r.Unwanted() && !isAnswered(r))
	}
}

func isAnswered(r *Result[code]) bool {
	_, answered := r.Get()
	return answered
}

func TestACompleteResultIsShared(t *testing.T) {
	r := Complete[code](context.Background())
	c, err := r.Await(time.Now())
	assert.NoError(t, err)
	assert.Zero(t, c)
	assert.False(t, r.Start())
	assert.True(t, r.Release())
	assert.True(t, r.Release(), "each copy releases a response of its own")
	assert.False(t, r.Unwanted())
}
