// Package handle is what package preflight sees of a Mirror and its users do not.
package handle

import (
	"context"
	"net/http"
	"time"

	"github.com/goshadow/shadow/internal/message"
)

// Preflight is asked for by Mirror.Inspect, so that only packages of this module can call it.
type Preflight struct{}

// Mirror describes a Mirror.
type Mirror struct {
	Name        string
	RequestID   string        // the header field of the correlation ID; empty for none
	Unsafe      []string      // the methods that are copied and are not safe
	Targets     []Target      // the candidate, then the control if there is one
	Looped      func() uint64 // copies that came back to the Mirror
	Concurrency int
	Queue       int
	QueueBytes  int64
	LimitsOff   []string // options that switch a limit off
	SamplesAll  bool     // every request is known to be sampled
	HasBudget   bool

	// Probe sends a request, marked and masked as a copy is, to the candidate.
	Probe func(ctx context.Context, m *message.Message) Answer
}

// Target describes a target.
type Target struct {
	Name      string
	InProcess bool
	Network   bool // it has a URL
	Isolated  bool

	// Mask calls Target.Masker; nil if there is none. A panic is an error.
	Mask func(m *message.Message) error
}

// Answer is what came of a probe.
type Answer struct {
	ID     string      // the correlation ID of the probe
	Sent   http.Header // nil if the mask failed
	At     time.Time   // when it was sent
	Took   time.Duration
	Status int
	Header http.Header

	Err         error // quotes nothing of the answer
	MaskFailed  bool
	Interrupted bool // by the end of the caller's context
}
