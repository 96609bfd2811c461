package guard

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

type worker struct{}

func (*worker) run(f func()) { f() }

//go:noinline
func deep(n int, f func()) {
	if n == 0 {
		f()
		return
	}
	deep(n-1, f)
}

// A function is found however deep the stack is, and only on the goroutine that runs it.
func TestRunningLooksAtTheWholeStackOfOneGoroutine(t *testing.T) {
	own := func() bool { return Running(deep, (*worker).run) }
	assert.False(t, own())
	for _, depth := range []int{0, 1, 60, 61, 62, 63, 64, 65, 128, 1000} {
		found, elsewhere := false, make(chan bool, 1)
		new(worker).run(func() {
			deep(depth, func() {
				found = Running((*worker).run)
				go func() { elsewhere <- own() }()
			})
		})
		assert.True(t, found, depth)
		assert.False(t, <-elsewhere, depth)
	}
}
