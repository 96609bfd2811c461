package shadow

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/goshadow/shadow/internal/mark"
)

// EventLoop says that copies come back to the Mirror that sent them: its target is the
// mirrored service itself, or passes the copies on to it. Matches with such a target prove
// nothing. Stats.Loops counts those copies. The event is repeated once a minute as long as
// they come.
//
// A Mirror knows its copies by the header field Shadow-Mirror, which holds a random value of
// its own. A target that calls the mirrored service for another purpose must not pass this
// field on. The copies to a control are marked differently: a control may be the
// mirrored service.
const EventLoop EventKind = "loop"

// loops recognises the copies of a Mirror that come back to it.
type loops struct {
	candidate, control string // the values of mark.Mirror on the copies to each

	n     atomic.Uint64 // copies to the candidate that came back
	fresh atomic.Bool   // one of them since the last event
	told  atomic.Int64  // when that was, on the clock of limits; 0 is never
}

// loopsEvery is how often EventLoop is repeated.
const loopsEvery = time.Minute

func newLoops() loops {
	id := newID()
	return loops{candidate: id, control: id + "-control"}
}

// nonce returns the value of mark.Mirror on the copies to t.
func (m *Mirror) nonce(t *Target) string {
	if t == m.control {
		return m.loops.control
	}
	return m.loops.candidate
}

// own reports whether r is a copy that this Mirror sent.
func (m *Mirror) own(r *http.Request) bool {
	nonce := r.Header[mark.Mirror]
	return len(nonce) > 0 && (nonce[0] == m.loops.candidate || nonce[0] == m.loops.control)
}

// returned is own, and counts the copies to the candidate.
func (m *Mirror) returned(r *http.Request) bool {
	if !m.own(r) {
		return false
	}
	if r.Header[mark.Mirror][0] == m.loops.candidate {
		m.loops.n.Add(1)
		if !m.loops.fresh.Load() {
			m.loops.fresh.Store(true)
		}
	}
	return true
}

// reportLoop sends EventLoop if copies came back. A copy comes back before its worker has the
// answer, so the worker calls this then.
func (m *Mirror) reportLoop() {
	if !m.loops.fresh.Load() {
		return
	}
	told, now := m.loops.told.Load(), int64(m.limits.Now())+1
	if told != 0 && now-told < int64(loopsEvery) || !m.loops.told.CompareAndSwap(told, now) {
		return
	}
	m.loops.fresh.Store(false)
	m.notify(Event{Kind: EventLoop, Text: fmt.Sprintf(
		"copies come back to the mirror that sent them, %d so far: the target is the mirrored service itself, or passes copies on to it", m.loops.n.Load())})
}
