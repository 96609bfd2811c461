package guard_test

import (
	"errors"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/goshadow/shadow/internal/guard"
)

// call returns the result of f, and what Call panicked with.
func call(f *guard.Func[int, string], n int) (got string, panicked any) {
	defer func() { panicked = recover() }()
	return f.Call(n), nil
}

func TestTheEndOfUserCodeDoesNotEndItsCaller(t *testing.T) {
	f := guard.NewFunc("Sampler", func(n int) string {
		switch n {
		case 1:
			panic("secret")
		case 2:
			runtime.Goexit()
		case 3:
			panic(nil)
		}
		return strconv.Itoa(n)
	})
	for range 3 { // what is used again holds nothing of the call before
		for n, want := range []string{"0", "", "", "", "4"} {
			got, panicked := call(f, n)
			assert.Equal(t, want, got)
			if want != "" {
				assert.Nil(t, panicked)
				continue
			}
			p, ok := panicked.(*guard.Panic)
			if assert.True(t, ok, "%v", panicked) {
				assert.ErrorIs(t, p, guard.ErrPanic)
				assert.NotContains(t, p.Error(), "secret")
				assert.Contains(t, p.Stack(), "TestTheEndOfUserCode", "the stack is that of the user's code")
				assert.Same(t, p, guard.New("other", panicked), "it is recovered as it is")
			}
		}
	}
	assert.True(t, errors.Is(guard.New("x", "y"), guard.ErrPanic))
}

func TestManyCallAtATime(t *testing.T) {
	f := guard.NewFunc("Sampler", strconv.Itoa)
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for i := range 1000 {
				assert.Equal(t, strconv.Itoa(g*1000+i), f.Call(g*1000+i))
			}
		})
	}
	all.Wait()
}

func TestACallDoesNotAllocate(t *testing.T) {
	f := guard.NewFunc("Sampler", func(n int) bool { return n > 0 })
	f.Call(1)
	assert.Less(t, testing.AllocsPerRun(100, func() { f.Call(1) }), 1.0)
}

// A Func that is older than a bubble works in it, and its function may sleep there.
func TestAFuncWorksInEveryBubble(t *testing.T) {
	f := guard.NewFunc("Sampler", func(n int) string { time.Sleep(time.Hour); return strconv.Itoa(n) })
	for n := range 3 {
		synctest.Test(t, func(t *testing.T) { assert.Equal(t, strconv.Itoa(n), f.Call(n)) })
	}
}
