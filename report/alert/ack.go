package alert

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Feedback is what people said of an alert.
type Feedback string

// The kinds of feedback.
const (
	Unacked    Feedback = ""           // nobody said anything
	Actionable Feedback = "actionable" // there was something to do
	Dismissed  Feedback = "dismissed"  // there was not
)

// Stats counts what became of alerts.
type Stats struct {
	Alerts     uint64 // that people were told of, each once
	Sent       uint64 // delivered, repetitions included
	Suppressed uint64 // kept back, once each time
	Failed     uint64 // given up; a page each time that Options.GiveUp was over
	Dropped    uint64 // found no room
	Retries    uint64 // attempts that failed and were followed by another one

	// Of Alerts: what was said of them by Ack. Those that are neither are not acked.
	Actionable, Dismissed uint64

	LastError error // of an attempt to deliver; it does not hold the URL
}

// Actionability is the share of the alerts with feedback for which there was something to
// do. It is not known (ok is false) before the first Ack.
func (s Stats) Actionability() (share float64, ok bool) {
	acked := s.Actionable + s.Dismissed
	if acked == 0 {
		return 0, false
	}
	return float64(s.Actionable) / float64(acked), true
}

// Stats reads the counts.
func (r *Reporter) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats
}

// Figures returns what gate.Options.Figures takes: "alert-actionability", which is commonly
// asked to be over 0.5, and "alerts-unacked". The first is left out before the first Ack.
func (r *Reporter) Figures(context.Context) map[string]float64 {
	s := r.Stats()
	figures := map[string]float64{"alerts-unacked": float64(s.Alerts) - float64(s.Actionable+s.Dismissed)}
	if share, ok := s.Actionability(); ok {
		figures["alert-actionability"] = share
	}
	return figures
}

// ErrUnknown is the error of Ack for a fingerprint that no alert has which people were told
// of, or has any more.
var ErrUnknown = errors.New("alert: no such alert")

// Ack says whether there was something to do about the alert with that fingerprint, on all
// mirrors and targets. What is said later replaces it. An alert that has come back is a new
// one.
func (r *Reporter) Ack(fingerprint string, actionable bool) error {
	feedback := Dismissed
	if actionable {
		feedback = Actionable
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	found := false
	for _, k := range r.alerts {
		if k.Fingerprint != fingerprint || k.sent.IsZero() {
			continue
		}
		found = true
		if n := r.stats.of(k.Feedback); n != nil {
			*n--
		}
		k.Feedback = feedback
		*r.stats.of(feedback)++
	}
	if !found {
		return fmt.Errorf("%w with the fingerprint %.40q: see Alerts", ErrUnknown, fingerprint)
	}
	return nil
}

func (s *Stats) of(v Feedback) *uint64 {
	switch v {
	case Actionable:
		return &s.Actionable
	case Dismissed:
		return &s.Dismissed
	}
	return nil
}

// Suppression keeps tickets back for a time: a deployment, or a difference that is known.
// What still goes on when it ends is sent then. Pages are never kept back.
type Suppression struct {
	Fingerprint string    // empty: whatever it is
	Route       string    // empty: on all routes
	From        time.Time // zero: now
	Until       time.Time
	Reason      string // mandatory, as is who answers for it
	Owner       string
}

const (
	maxSuppressions = 1000
	maxReason       = 4 << 10 // bytes
)

// Suppress adds s to what is kept back.
func (r *Reporter) Suppress(s Suppression) error {
	now := time.Now()
	if s.From.IsZero() {
		s.From = now
	}
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf("alert: Suppress: "+format, args...)) }
	if _, err := strconv.ParseUint(s.Fingerprint, 16, 64); s.Fingerprint != "" && (err != nil || len(s.Fingerprint) != 16) {
		fail("%.40q is not a fingerprint of 16 hex digits", s.Fingerprint)
	}
	if !s.Until.After(now) || !s.Until.After(s.From) {
		fail("Until, %v, has to be to come, and after From", s.Until)
	}
	if strings.TrimSpace(s.Reason) == "" {
		fail("say the Reason")
	}
	if strings.TrimSpace(s.Owner) == "" {
		fail("name the Owner")
	}
	if len(s.Route) > maxName || len(s.Reason) > maxReason || len(s.Owner) > maxName {
		fail("Route and Owner have at most %d bytes, Reason %d", maxName, maxReason)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.suppressions = slices.DeleteFunc(r.suppressions, func(old Suppression) bool { return !old.Until.After(now) })
	if len(r.suppressions) >= maxSuppressions {
		fail("there are %d already", maxSuppressions)
	}
	if len(errs) == 0 {
		r.suppressions = append(r.suppressions, s)
	}
	return errors.Join(errs...)
}

// Suppressions returns those that have not ended, in the order in which they were added.
func (r *Reporter) Suppressions() []Suppression {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.suppressions), func(s Suppression) bool { return !s.Until.After(now) })
}

// suppressed tells until when a is kept back; zero is not at all. It runs under mu.
func (r *Reporter) suppressed(a *Alert, now time.Time) (until time.Time) {
	if a.Class == Page {
		return time.Time{}
	}
	for _, s := range r.suppressions {
		if (s.Fingerprint == "" || s.Fingerprint == a.Fingerprint) && (s.Route == "" || s.Route == a.Route) &&
			!now.Before(s.From) && now.Before(s.Until) && s.Until.After(until) {
			until = s.Until
		}
	}
	return until
}
