// Package limit says how many copies at a time a process can bear, by how long its
// goroutines wait for a processor and how much of its memory limit is live heap.
package limit

import (
	"sync"
	"time"
)

// Reading is how the process has been since the reading before.
type Reading struct {
	Wait time.Duration // mean time that goroutines waited for a processor
	Heap float64       // live heap as a share of the memory limit; 0 where there is none
}

// Options are the limits of a Valve.
type Options struct {
	Wait time.Duration // a longer mean wait is overload; one of less than half of it is calm
	Heap float64       // a larger share is overload; one of less than nine tenths of it is calm
	Most int           // copies at a time while there is no overload
	// Gate is told whether copies are to be refused before they are made. It is called
	// under a lock and must be quick.
	Gate func(shut bool)
}

// Change is what a reading changed.
type Change int

// The changes.
const (
	None Change = iota
	Began
	Ended
)

// How a Valve moves: it halves when readings are bad, and opens by a step after so many
// calm ones, which double each time that a step proves to have been one too many. So it
// settles just below what the process bears, and seldom tries more.
const (
	badToBegin  = 3 // readings in a row before it first closes
	calmToOpen  = 5
	calmAtMost  = 320
	stepsToOpen = 8
)

// Valve lets so many copies run at a time. It is safe for concurrent use.
type Valve struct {
	Options

	mu      sync.Mutex
	limit   int
	running int
	bad     int  // readings in a row
	calm    int  // readings in a row
	patient int  // calm readings that open it by a step
	tried   bool // its last move was such a step
}

// New returns a Valve that is open.
func New(o Options) *Valve {
	return &Valve{Options: o, limit: o.Most, patient: calmToOpen}
}

// Feed tells the Valve how the process is.
func (v *Valve) Feed(r Reading) Change {
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
	default: // neither: it stays as it is
		v.bad, v.calm = 0, 0
	}
	v.gate()
	switch {
	case before == v.Most && v.limit < v.Most:
		return Began
	case before < v.Most && v.limit == v.Most:
		v.patient, v.tried = calmToOpen, false
		return Ended
	}
	return None
}

// Enter tells whether one more copy may run. If so, Leave must follow.
func (v *Valve) Enter() bool {
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
func (v *Valve) Leave() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.running--
	v.gate()
}

// Limit returns how many copies may run at a time.
func (v *Valve) Limit() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.limit
}

func (v *Valve) gate() {
	v.Gate(v.limit < v.Most && v.running >= v.limit)
}
