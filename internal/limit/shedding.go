package limit

import (
	"sync"
	"time"
)

// reading is the state of the process since the reading before.
type reading struct {
	Wait time.Duration // mean time that goroutines waited for a processor
	Heap float64       // live heap as a share of the memory limit; 0 where there is none
}

// SheddingOptions say when the process is overloaded.
type SheddingOptions struct {
	Off  bool
	Wait time.Duration // a longer mean wait for a processor is overload
	Heap float64       // a larger share of the memory limit that is live heap is overload
}

// valveOptions are the limits of a valve.
type valveOptions struct {
	Wait time.Duration // a longer mean wait is overload; one of less than half of it is calm
	Heap float64       // a larger share is overload; one of less than nine tenths of it is calm
	Most int           // copies at a time while there is no overload
	// Gate gets whether copies are refused before they are made. It is called under a lock
	// and must be quick.
	Gate func(shut bool)
}

// change is what a reading changed.
type change int

// The changes.
const (
	none change = iota
	began
	ended
)

// A valve halves its limit at each bad reading, and opens by a step after a number of calm
// ones. That number doubles with each step after which readings are bad again. So the valve
// settles just below what the process can bear, and seldom tries more.
const (
	badToBegin  = 3 // readings in a row before it first closes
	calmToOpen  = 5
	calmAtMost  = 320
	stepsToOpen = 8
)

// valve limits the copies that run at a time. It is safe for concurrent use.
type valve struct {
	valveOptions

	mu      sync.Mutex
	limit   int
	running int
	bad     int  // readings in a row
	calm    int  // readings in a row
	patient int  // calm readings that open it by a step
	tried   bool // its last move was such a step
}

// newValve returns a valve that is open.
func newValve(o valveOptions) *valve {
	return &valve{valveOptions: o, limit: o.Most, patient: calmToOpen}
}

// Feed moves the valve by one reading.
func (v *valve) Feed(r reading) change {
	v.mu.Lock()
	defer v.mu.Unlock()
	before := v.limit
	switch {
	case r.Wait > v.Wait || r.Heap > v.Heap:
		v.bad, v.calm = v.bad+1, 0
		if v.limit == v.Most && v.bad < badToBegin {
			break
		}
		if v.tried {
			v.patient, v.tried = min(2*v.patient, calmAtMost), false
		}
		v.limit /= 2
	case r.Wait < v.Wait/2 && r.Heap < v.Heap*0.9:
		v.bad, v.calm = 0, v.calm+1
		if v.limit < v.Most && v.calm >= v.patient {
			v.limit, v.calm, v.tried = min(v.limit+max(1, v.Most/stepsToOpen), v.Most), 0, true
		}
	default: // neither bad nor calm
		v.bad, v.calm = 0, 0
	}
	v.gate()
	switch {
	case before == v.Most && v.limit < v.Most:
		return began
	case before < v.Most && v.limit == v.Most:
		v.patient, v.tried = calmToOpen, false
		return ended
	}
	return none
}

// Enter reports whether one more copy may run. If so, Leave must follow.
func (v *valve) Enter() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.limit < v.Most && v.running >= v.limit {
		return false
	}
	v.running++
	v.gate()
	return true
}

// Leave ends a copy that was let in.
func (v *valve) Leave() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.running--
	v.gate()
}

// Limit returns how many copies may run at a time.
func (v *valve) Limit() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.limit
}

func (v *valve) gate() {
	v.Gate(v.limit < v.Most && v.running >= v.limit)
}
