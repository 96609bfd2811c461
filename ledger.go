package shadow

import (
	"net/http"
	"reflect"
	"runtime"
	"slices"
	"sync/atomic"

	"github.com/goshadow/shadow/internal/telemetry"
)

// tally counts the requests that were never queued. A request that is not sampled
// costs one addition to one of many stripes, picked by the address of the request, so that
// processors do not fight over a cache line.
type tally struct {
	stripes []stripe // a power of two of them
}

// lookEvery is a power of two, so that a request that is not looked at costs a mask.
const lookEvery = 64

type stripe struct {
	n [numCodes]atomic.Uint64
	_ [128 - numCodes*8%128]byte // two cache lines, which are fetched in pairs
}

func newTally() tally {
	n := 1
	for n < 2*runtime.GOMAXPROCS(0) {
		n *= 2
	}
	return tally{stripes: make([]stripe, n)}
}

// add counts r under w. Of the requests that are not copied it asks to look at the first
// ones, and then at one in lookEvery: weight is how many requests r stands for, 0 for none.
func (t *tally) add(r *http.Request, w code) (weight uint64) {
	at := uint64(reflect.ValueOf(r).Pointer()) * 0x9e3779b97f4a7c15 >> 32 // Fibonacci hashing
	n := t.stripes[at&uint64(len(t.stripes)-1)].n[w].Add(1)
	switch {
	case n <= lookEvery:
		return 1
	case n%lookEvery == 0:
		return lookEvery
	}
	return 0
}

func (t *tally) read(w code) (n uint64) {
	for i := range t.stripes {
		n += t.stripes[i].n[w].Load()
	}
	return n
}

// Stats reads the ledger at one instant.
func (m *Mirror) Stats() Stats {
	m.mustExist("Stats")
	s := Stats{
		Skipped:     map[Reason]uint64{},
		Dropped:     map[Reason]uint64{},
		QueuedBytes: m.pool.Held(),
		Unreported:  m.unreported.Load(),
		Loops:       m.loops.Count(),
	}
	var ended []uint64
	ended, s.Queued, s.Running = m.queue.Counts(make([]uint64, 0, numCodes))
	s.Requests = uint64(s.Queued) + uint64(s.Running)
	outcomes := [...]*uint64{codeMatch: &s.Match, codeMismatch: &s.Mismatch, codeFailed: &s.Failed, codeUncompared: &s.Uncompared}
	for c := codeMatch; c < numCodes; c++ {
		n := m.tally.read(c) + ended[c]
		s.Requests += n
		switch codes[c].group {
		case outcome:
			*outcomes[c] = n
		case skipped:
			put(&s.Skipped, codes[c].name, n)
		case dropped:
			put(&s.Dropped, codes[c].name, n)
		}
	}
	m.limitStats(&s)
	return s
}

// read is Stats in the form in which it is observed as metrics.
func (m *Mirror) read() telemetry.Reading {
	s := m.Stats()
	r := telemetry.Reading{Queued: s.Queued, Running: s.Running, Bytes: s.QueuedBytes,
		Unreported: s.Unreported, Enabled: m.Enabled(), Concurrency: s.Concurrency, Budget: shares(s.Budget, m.config.budget)}
	for name, t := range s.Targets {
		r.Targets = append(r.Targets, telemetry.Target{Name: name, Breaker: int64(slices.Index(breakerStates[:], t.Breaker)),
			Requests: t.Usage.Requests, Bytes: t.Usage.Bytes, CPU: t.Usage.CPU})
	}
	outcomes := [...]uint64{codeMatch: s.Match, codeMismatch: s.Mismatch, codeFailed: s.Failed, codeUncompared: s.Uncompared}
	for c := codeMatch; c < numCodes; c++ {
		switch name := codes[c].name; codes[c].group {
		case outcome:
			r.Requests = append(r.Requests, telemetry.Count{Outcome: string(name), N: outcomes[c]})
		case skipped:
			if n := s.Skipped[name]; n > 0 {
				r.Requests = append(r.Requests, telemetry.Count{Outcome: string(skipped), Reason: string(name), N: n})
			}
		case dropped:
			if n := s.Dropped[name]; n > 0 {
				r.Requests = append(r.Requests, telemetry.Count{Outcome: string(dropped), Reason: string(name), N: n})
			}
		}
	}
	return r
}
