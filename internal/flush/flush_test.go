package flush_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"go.uber.org/goleak"

	"github.com/goshadow/shadow/internal/flush"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestItWaitsUntilAllIsFinished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, finish := make(flush.Requests), make(chan struct{})
		go func() {
			asked := <-r
			<-finish
			close(asked)
		}()
		var flushed bool
		go func() {
			assert.NoError(t, r.Wait(t.Context(), make(chan struct{})))
			flushed = true
		}()
		synctest.Wait()
		assert.False(t, flushed)
		close(finish)
		synctest.Wait()
		assert.True(t, flushed)
	})
}

func TestItWaitsForNobodyWhoIsNotThere(t *testing.T) {
	r, ended := make(flush.Requests), make(chan struct{})
	assert.NoError(t, r.Wait(t.Context(), nil))
	close(ended)
	assert.NoError(t, r.Wait(t.Context(), ended))
}

func TestItWaitsNoLongerThanItMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy, end := make(flush.Requests), make(chan struct{})
		taken := make(flush.Requests)
		go func() { <-taken }()
		for name, r := range map[string]flush.Requests{"before it is asked": busy, "after it was asked": taken} {
			ctx, cancel := context.WithCancel(t.Context())
			var err error
			go func() { err = r.Wait(ctx, end) }()
			synctest.Wait()
			assert.NoError(t, err, name)
			cancel()
			synctest.Wait()
			assert.ErrorIs(t, err, context.Canceled, name)
		}
	})
}
