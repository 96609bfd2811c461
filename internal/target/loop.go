package target

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/goshadow/shadow/internal/mark"
)

// Loops recognizes the copies of one Mirror that come back to it, and counts those to the
// candidate. The copies to a control are marked differently: a control may be the mirrored
// service. It is safe for concurrent use.
type Loops struct {
	candidate, control string // the values of mark.Mirror on the copies to each

	n     atomic.Uint64 // copies to the candidate that came back
	fresh atomic.Bool   // one came back since the last report
	told  atomic.Int64  // when that report was, plus 1 ns; 0 if there was none

	nested atomic.Uint32 // 1 if a request passed the Mirror twice, 2 after that was reported
}

// loopsEvery is how often a loop is reported.
const loopsEvery = time.Minute

// Init makes l recognize copies with a new random value.
func (l *Loops) Init() {
	id := mark.NewID()
	l.candidate, l.control = id, id+"-control"
}

// Nonce returns the value of mark.Mirror on the copies to the control, or to the candidate.
func (l *Loops) Nonce(control bool) string {
	if control {
		return l.control
	}
	return l.candidate
}

// Own reports whether r is a copy that this Mirror sent.
func (l *Loops) Own(r *http.Request) bool {
	nonce := r.Header[mark.Mirror]
	return len(nonce) > 0 && (nonce[0] == l.candidate || nonce[0] == l.control)
}

// Returned is Own, and counts r if it is a copy to the candidate.
func (l *Loops) Returned(r *http.Request) bool {
	if !l.Own(r) {
		return false
	}
	if r.Header[mark.Mirror][0] == l.candidate {
		l.n.Add(1)
		if !l.fresh.Load() {
			l.fresh.Store(true)
		}
	}
	return true
}

// Count returns how many copies to the candidate came back.
func (l *Loops) Count() uint64 { return l.n.Load() }

// Report returns what to report at the time now, if copies came back and none was reported
// within a minute; else it returns an empty text.
func (l *Loops) Report(now time.Duration) string {
	if !l.fresh.Load() {
		return ""
	}
	told, at := l.told.Load(), int64(now)+1
	if told != 0 && at-told < int64(loopsEvery) || !l.told.CompareAndSwap(told, at) {
		return ""
	}
	l.fresh.Store(false)
	return fmt.Sprintf("copies come back to the mirror that sent them, %d so far: the target is the mirrored service itself, or passes copies on to it", l.Count())
}

// Nested records that one request passed the Mirror twice: it is wrapped around its own handler.
func (l *Loops) Nested() {
	if l.nested.Load() == 0 {
		l.nested.CompareAndSwap(0, 1)
	}
}

// ReportNested returns true once, after Nested was called.
func (l *Loops) ReportNested() bool {
	return l.nested.Load() == 1 && l.nested.CompareAndSwap(1, 2)
}
