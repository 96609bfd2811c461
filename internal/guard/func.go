package guard

import "sync"

// Func is a function of the user's that runs on a goroutine of its own, since runtime.Goexit
// would end that of its caller. It is safe for concurrent use.
type Func[A, R any] struct {
	part string
	f    func(A) R
	idle sync.Pool // of *call[A, R]
}

// NewFunc returns the Func of f. Part is the part of user code that f belongs to.
func NewFunc[A, R any](part string, f func(A) R) *Func[A, R] { return &Func[A, R]{part: part, f: f} }

// call is one call of a Func. It is used again and again. It has no channel, because one that is
// made in a bubble of testing/synctest cannot be used in another.
type call[A, R any] struct {
	run func()

	mu       sync.Mutex // over all below
	ended    sync.Cond
	done     bool
	arg      A
	result   R
	panicked *Panic
}

// newCall returns a call of f.
func newCall[A, R any](f *Func[A, R]) *call[A, R] {
	c := &call[A, R]{}
	c.ended.L = &c.mu
	c.run = func() {
		var result R
		var panicked *Panic
		returned := false
		defer func() {
			if !returned {
				panicked = New(f.part, recover())
			}
			c.mu.Lock()
			c.result, c.panicked, c.done = result, panicked, true
			c.ended.Signal()
			c.mu.Unlock()
		}()
		result = f.f(c.arg)
		returned = true
	}
	return c
}

// Call returns f(arg). If f panics or ends its goroutine, Call panics with a *Panic that has the
// stack of that goroutine.
func (f *Func[A, R]) Call(arg A) R {
	c, _ := f.idle.Get().(*call[A, R])
	if c == nil {
		c = newCall(f)
	}
	c.arg = arg
	go c.run()
	c.mu.Lock()
	for !c.done {
		c.ended.Wait()
	}
	result, panicked := c.result, c.panicked
	var noArg A
	var noResult R
	c.arg, c.result, c.panicked, c.done = noArg, noResult, nil, false
	c.mu.Unlock()
	f.idle.Put(c)
	if panicked != nil {
		panic(panicked)
	}
	return result
}
