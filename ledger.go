package shadow

import (
	"net/http"
	"reflect"
	"runtime"
	"sync/atomic"

	"github.com/goshadow/shadow/internal/telemetry"
)

// why is the position of a Reason in reasons; 0 is no reason.
type why uint8

const (
	whyCopied why = iota // none: the request is copied
	whyNotSampled
	whyDisabled
	whyMethod
	whySamplerFailed
	whyLoop
	whyUpgrade
	whyInvalid
	whyPrimaryPanicked
	whyPrimaryFailed
	whyPrimaryRefused
	whyPrimaryIncomplete
	whyHijacked
	whyClientGone

	whyBodyTooLarge // from here on: Stats.Dropped
	whyBodyUnread
	whyBodyFailed
	whyQueueFull
	whyBytesFull
	whyMaskFailed
	whyLeak
	whyShutDown
	whyBreakerOpen
	whyOverload
	whyOverhead
	whyBudget
	whyExpired
)

var reasons = [...]Reason{
	whyNotSampled:        ReasonNotSampled,
	whyDisabled:          ReasonDisabled,
	whyMethod:            ReasonMethod,
	whySamplerFailed:     ReasonSamplerFailed,
	whyLoop:              ReasonLoop,
	whyUpgrade:           ReasonUpgrade,
	whyInvalid:           ReasonInvalid,
	whyPrimaryPanicked:   ReasonPrimaryPanicked,
	whyPrimaryFailed:     ReasonPrimaryFailed,
	whyPrimaryRefused:    ReasonPrimaryRefused,
	whyPrimaryIncomplete: ReasonPrimaryIncomplete,
	whyHijacked:          ReasonHijacked,
	whyClientGone:        ReasonClientGone,
	whyBodyTooLarge:      ReasonBodyTooLarge,
	whyBodyUnread:        ReasonBodyUnread,
	whyBodyFailed:        ReasonBodyFailed,
	whyQueueFull:         ReasonQueueFull,
	whyBytesFull:         ReasonBytesFull,
	whyMaskFailed:        ReasonMaskFailed,
	whyLeak:              ReasonLeak,
	whyShutDown:          ReasonShutDown,
	whyBreakerOpen:       ReasonBreakerOpen,
	whyOverload:          ReasonOverload,
	whyOverhead:          ReasonOverhead,
	whyBudget:            ReasonBudget,
	whyExpired:           ReasonExpired,
}

func (w why) dropped() bool { return w >= whyBodyTooLarge }

var outcomes = [...]Outcome{Match, Mismatch, Failed, Uncompared}

// end is how a copy that was queued ended: the position of an Outcome in outcomes, or
// after those a why.
type end = int

// unknown is no end yet.
const unknown end = -1

const numEnds = len(outcomes) + len(reasons)

func outcomeEnd(o Outcome) end {
	for i, outcome := range outcomes {
		if outcome == o {
			return i
		}
	}
	panic("shadow: unknown outcome " + string(o))
}

func whyEnd(w why) end { return len(outcomes) + int(w) }

// tally counts the requests that were never queued. A request that is not sampled
// costs one addition to one of many stripes, picked by the address of the request, so that
// processors do not fight over a cache line.
type tally struct {
	stripes []stripe // a power of two of them
}

// lookEvery is a power of two, so that a request that is not looked at costs a mask.
const lookEvery = 64

type stripe struct {
	n [len(reasons)]atomic.Uint64
	_ [128 - len(reasons)*8%128]byte // two cache lines, which are fetched in pairs
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
func (t *tally) add(r *http.Request, w why) (weight uint64) {
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

func (t *tally) read(w why) (n uint64) {
	for i := range t.stripes {
		n += t.stripes[i].n[w].Load()
	}
	return n
}

// Stats reads the ledger at one instant.
func (m *Mirror) Stats() Stats {
	m.mustExist("Stats")
	ends, queued, running := m.queue.Counts(make([]uint64, 0, numEnds))
	s := Stats{
		Skipped:     map[Reason]uint64{},
		Dropped:     map[Reason]uint64{},
		Match:       ends[outcomeEnd(Match)],
		Mismatch:    ends[outcomeEnd(Mismatch)],
		Failed:      ends[outcomeEnd(Failed)],
		Uncompared:  ends[outcomeEnd(Uncompared)],
		Queued:      queued,
		Running:     running,
		QueuedBytes: m.pool.Held(),
		Unreported:  m.unreported.Load(),
		Loops:       m.loops.n.Load(),
	}
	m.limits.stats(&s)
	s.Requests = s.Match + s.Mismatch + s.Failed + s.Uncompared + uint64(queued) + uint64(running)
	for i, reason := range reasons[1:] {
		i++
		n := m.tally.read(why(i)) + ends[whyEnd(why(i))]
		if n == 0 {
			continue
		}
		s.Requests += n
		if why(i).dropped() {
			s.Dropped[reason] = n
		} else {
			s.Skipped[reason] = n
		}
	}
	return s
}

// read is Stats in the form in which it is observed as metrics.
func (m *Mirror) read() telemetry.Reading {
	s := m.Stats()
	r := telemetry.Reading{Queued: s.Queued, Running: s.Running, Bytes: s.QueuedBytes,
		Unreported: s.Unreported, Enabled: m.Enabled(), Concurrency: s.Concurrency, Budget: shares(s.Budget, m.config.budget)}
	for name, t := range s.Targets {
		r.Targets = append(r.Targets, telemetry.Target{Name: name, Breaker: t.Breaker.number(),
			Requests: t.Usage.Requests, Bytes: t.Usage.Bytes, CPU: t.Usage.CPU})
	}
	for _, c := range [...]struct {
		outcome Outcome
		n       uint64
	}{{Match, s.Match}, {Mismatch, s.Mismatch}, {Failed, s.Failed}, {Uncompared, s.Uncompared}} {
		r.Requests = append(r.Requests, telemetry.Count{Outcome: string(c.outcome), N: c.n})
	}
	for reason, n := range s.Skipped {
		r.Requests = append(r.Requests, telemetry.Count{Outcome: "skipped", Reason: string(reason), N: n})
	}
	for reason, n := range s.Dropped {
		r.Requests = append(r.Requests, telemetry.Count{Outcome: "dropped", Reason: string(reason), N: n})
	}
	return r
}
