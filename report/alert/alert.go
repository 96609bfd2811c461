// Package alert sends alerts about the findings of a mirror to an Alertmanager or, by webhook, to
// Slack. It needs no other part of a monitoring stack.
//
//	alerts, err := alert.New(alert.Options{
//		Receiver: alert.Slack(os.Getenv("SLACK_WEBHOOK")),
//		Contact:  alert.Contact{Owner: "team-orders", Runbook: "https://runbooks.internal/shadow"},
//	})
//	...
//	mirror, err := shadow.New(target, shadow.WithReporter(alerts))
//	...
//	mirror.Shutdown(ctx)
//	alerts.Close()
//
// There are two classes. By default a [Page] is a leak or a side effect: one is enough, it is sent
// at once and cannot be suppressed. A [Ticket] is a route that differs or fails more often than it
// may, or another event of Options.Events. It has the fingerprint of its cause, waits for
// Options.Wait so that several are sent together, and can be suppressed by [Reporter.Suppress].
//
// All results with one cause are one alert. An alert ends when its cause has not been seen for
// Options.Window. People record by [Reporter.Ack] whether there was anything to do: an alert that
// people learn to ignore is worse than none.
//
// # Bounds
//
// A Reporter tells 1,000 routes apart, of all mirrors and targets together, and counts the others
// as [tally.Other], one for each mirror and target. From 2,000 of both on it no longer tells new
// mirrors and targets apart either. Routes that were first answered with 404 or 405 are at most 500
// of the 1,000, so that paths that clients make up leave room for those that exist. It keeps 64
// causes of a route, Options.Max alerts and 1,000 suppressions. Names and texts of results and
// events are cut after 256 bytes.
package alert

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/internal/flush"
	"github.com/goshadow/shadow/report/tally"
)

// Options say whom to tell what. Receiver and Contact have to be given.
type Options struct {
	Receiver Receiver
	Contact  Contact

	// DiffRate is the share of the comparisons of a route that may differ; 0 is 0.001. Noise
	// does not count: where there is a control, only the results that it was asked for are
	// judged, and from the differences in these are taken as many as the control alone shows.
	// With WithControlRate that takes longer. ErrorRate is the share of its copies that may get no answer; 0 is
	// 0.005. A rate of 1 is never exceeded.
	DiffRate  float64
	ErrorRate float64
	// Window is the time in which rates are measured, and after which an alert whose cause
	// has not been seen ends; 10 s or more, 0 is 5 minutes.
	Window time.Duration
	// Min is how many differences, or failures, of a route in a Window it takes at least: a
	// share of few results proves little. 0 is 10.
	Min int

	// Events is the class of each kind of event; what is not listed is no alert. Nil is
	// Page for EventLeak and EventSideEffect, and Ticket for EventCredentials,
	// EventMaskFailed, EventBreakerOpen, EventOverhead and EventLoop.
	Events map[shadow.EventKind]Class

	// Wait is how long a ticket waits for others to go with; 0 is 30 s.
	Wait time.Duration
	// Repeat is after what time an alert that goes on is sent again. 0 is 4 h with Slack and
	// half of Window with Alertmanager, which tells people once for all that. There it has to
	// be shorter than Window: the alert would end in between.
	Repeat time.Duration
	// GiveUp is how long it is tried to deliver a ticket; 0 is 15 minutes. A page is tried
	// until Close.
	GiveUp time.Duration

	// Max is how many alerts are known at a time; 0 is 1,000. A new one that finds no room is
	// dropped, and counted.
	Max int

	// Transport performs the posts; nil is a transport of the Reporter's own, with the proxy
	// of the environment. A post may take 10 s.
	Transport http.RoundTripper
}

// Contact is who acts on alerts, and how. Both are mandatory.
type Contact struct {
	Owner   string // a team or a person
	Runbook string // absolute http or https URL
}

// Class is how urgent an alert is: the label severity of an Alertmanager.
type Class string

// The classes.
const (
	Page   Class = "page"   // somebody has to look now
	Ticket Class = "ticket" // somebody has to look
)

// Alert is something that people are to know of. It holds names, numbers and places, no
// value of a request or answer.
type Alert struct {
	Name  string `json:"name"` // such as ShadowDifference, ShadowFailure, ShadowLeak
	Class Class  `json:"class"`

	Mirror string `json:"mirror"`
	Target string `json:"target"`
	Route  string `json:"route"`
	// Fingerprint is that of the tally.Group with the same cause, else of what the alert is
	// about: 16 hex digits, the same in every process.
	Fingerprint string `json:"fingerprint"`

	Starts  time.Time `json:"starts"`
	Ends    time.Time `json:"ends"`    // if nothing more happens
	Count   uint64    `json:"count"`   // of the results in the last Window, or the events, that it is about
	Summary string    `json:"summary"` // a sentence
	Text    string    `json:"text"`    // a few more

	Feedback Feedback `json:"feedback"`
}

const (
	defaultDiffRate  = 0.001
	defaultErrorRate = 0.005
	defaultWindow    = 5 * time.Minute
	minWindow        = 10 * time.Second
	defaultMin       = 10
	defaultWait      = 30 * time.Second
	defaultRepeat    = 4 * time.Hour
	defaultGiveUp    = 15 * time.Minute
	defaultMax       = 1000

	maxName = 256 // bytes of a name, or of a text of others
)

// key is what makes two occurrences one alert.
type key struct{ name, mirror, target, fingerprint string }

// known is an Alert and where it is on its way.
type known struct {
	Alert
	due  time.Time // when it is to be sent; zero: not before it is seen again
	sent time.Time // last; zero: not yet
	held bool      // it has been counted as suppressed

	provisional bool // raised without what the control says: see stands
}

// Reporter is a shadow.Reporter and EventReporter that sends alerts. It is safe for
// concurrent use, and never keeps a worker waiting: it has one goroutine, from the first
// alert to Close, that delivers.
type Reporter struct {
	o      Options
	client *http.Client

	mu           sync.Mutex
	routes       map[routeKey]*route
	unmatched    int // routes that were new with an unmatched result
	alerts       map[key]*known
	suppressions []Suppression
	stats        Stats
	closed       bool
	done         chan struct{} // nil before the first alert

	wake    chan struct{} // has one element where something is due earlier than it was
	flush   flush.Requests
	closing context.Context // ends with Close
	stop    context.CancelFunc
}

// ErrClosed is the error of a Reporter that is closed.
var ErrClosed = errors.New("alert: the Reporter is closed")

// New returns a Reporter. It reports everything that is wrong with o at once. It starts
// nothing and connects to nobody.
func New(o Options) (*Reporter, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	o.DiffRate = cmp.Or(o.DiffRate, defaultDiffRate)
	o.ErrorRate = cmp.Or(o.ErrorRate, defaultErrorRate)
	o.Window = cmp.Or(o.Window, defaultWindow)
	o.Min = cmp.Or(o.Min, defaultMin)
	o.Wait = cmp.Or(o.Wait, defaultWait)
	if o.Repeat == 0 {
		o.Repeat = defaultRepeat
		if o.Receiver.ends {
			o.Repeat = o.Window / 2
		}
	}
	o.GiveUp = cmp.Or(o.GiveUp, defaultGiveUp)
	o.Max = cmp.Or(o.Max, defaultMax)
	if o.Events == nil {
		o.Events = map[shadow.EventKind]Class{
			shadow.EventLeak: Page, shadow.EventSideEffect: Page, shadow.EventCredentials: Ticket,
			shadow.EventMaskFailed: Ticket, shadow.EventBreakerOpen: Ticket, shadow.EventOverhead: Ticket,
			shadow.EventLoop: Ticket,
		}
	}
	o.Events = maps.Clone(o.Events)
	if o.Transport == nil {
		o.Transport = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
			TLSHandshakeTimeout: postTimeout, IdleConnTimeout: time.Minute}
	}
	r := &Reporter{
		o: o, routes: map[routeKey]*route{}, alerts: map[key]*known{},
		client: &http.Client{Transport: o.Transport, Timeout: postTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		wake: make(chan struct{}, 1), flush: make(flush.Requests),
	}
	r.closing, r.stop = context.WithCancel(context.Background())
	return r, nil
}

func (o *Options) check() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf("alert: Options."+format, args...)) }
	switch {
	case o.Receiver.name == "":
		fail("Receiver: none; use Alertmanager or Slack")
	case o.Receiver.url == nil: // which may be a secret: it is not quoted
		fail("Receiver: the URL of %v is not an absolute http or https URL", o.Receiver)
	}
	if strings.TrimSpace(o.Contact.Owner) == "" {
		fail("Contact.Owner: empty; an alert that nobody owns is nobody's: name a team")
	}
	if u, err := url.Parse(o.Contact.Runbook); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		fail("Contact.Runbook: %q is not an absolute http or https URL; say where it is written what to do", o.Contact.Runbook)
	}
	for name, rate := range map[string]float64{"DiffRate": o.DiffRate, "ErrorRate": o.ErrorRate} {
		if math.IsNaN(rate) || rate < 0 || rate > 1 {
			fail("%s: %v is not a share from 0 to 1", name, rate)
		}
	}
	if o.Window != 0 && o.Window < minWindow {
		fail("Window: %v is less than %v", o.Window, minWindow)
	}
	for name, n := range map[string]int64{"Min": int64(o.Min), "Wait": int64(o.Wait), "Repeat": int64(o.Repeat),
		"GiveUp": int64(o.GiveUp), "Max": int64(o.Max)} {
		if n < 0 {
			fail("%s is negative", name)
		}
	}
	if window := cmp.Or(o.Window, defaultWindow); o.Receiver.ends && o.Repeat >= window {
		fail("Repeat: %v is not shorter than Window, %v: the alert would end in between", o.Repeat, window)
	}
	for kind, class := range o.Events {
		if class != Page && class != Ticket {
			fail("Events[%q]: %q is no class; there are Page and Ticket", kind, class)
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

// Report counts r and, where its route differs or fails too often, raises an alert. It
// never waits; its only error is ErrClosed.
func (r *Reporter) Report(_ context.Context, res *shadow.Result) error {
	fingerprint := ""
	if res.Outcome == shadow.Mismatch {
		fingerprint = tally.Fingerprint(res)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return ErrClosed
	}
	r.count(res, fingerprint, time.Now())
	return nil
}

// ReportEvent raises an alert if e is of a kind that has a class. It never waits; its only
// error is ErrClosed.
func (r *Reporter) ReportEvent(_ context.Context, e *shadow.Event) error {
	class, ok := r.o.Events[e.Kind]
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return ErrClosed
	}
	if !ok {
		return nil
	}
	a := Alert{
		Name: "Shadow" + camel(string(e.Kind)), Class: class,
		Mirror: cut(e.Mirror), Target: cut(e.Target), Route: cut(e.Route),
		Fingerprint: fingerprintOf(string(e.Kind), e.Route),
	}
	now := time.Now()
	a.Count = 1
	if before := r.alerts[a.key()]; before != nil && !r.over(before, now) {
		a.Count = before.Count + 1
	}
	a.Summary = fmt.Sprintf("%s in %s", e.Kind, a.where())
	a.Text = fmt.Sprintf("%s. Seen so far: %d.%s", cut(e.Text), a.Count, example(e.ID))
	r.raise(a, now)
	return nil
}

func (a *Alert) key() key { return key{a.Name, a.Mirror, a.Target, a.Fingerprint} }

// where says what a is about.
func (a *Alert) where() string {
	where := a.Mirror
	if a.Target != a.Mirror {
		where += " → " + a.Target
	}
	if a.Route != "" {
		where += ", " + a.Route
	}
	return where
}

// raise notes that the cause of a has been seen. It returns the alert, nil if there was no
// room for it. It runs under mu.
func (r *Reporter) raise(a Alert, now time.Time) *known {
	k := r.alerts[a.key()]
	switch {
	case k == nil && len(r.alerts) >= r.o.Max && !r.forget(now):
		r.stats.Dropped++
		return nil
	case k == nil || r.over(k, now):
		a.Starts = now
		a.Mirror, a.Target, a.Route = strings.Clone(a.Mirror), strings.Clone(a.Target), strings.Clone(a.Route)
		k = &known{Alert: a, due: now}
		if a.Class == Ticket {
			k.due = now.Add(r.o.Wait)
		}
		r.alerts[a.key()] = k
		r.hasten()
	default:
		a.Starts, a.Feedback = k.Starts, k.Feedback
		a.Mirror, a.Target, a.Route = k.Mirror, k.Target, k.Route
		k.Alert = a
		if k.due.IsZero() {
			k.due = k.sent.Add(r.o.Repeat)
			r.hasten()
		}
	}
	k.Ends = now.Add(r.o.Window)
	return k
}

// hasten tells the goroutine that something is due, or starts it.
func (r *Reporter) hasten() {
	if r.done == nil {
		r.done = make(chan struct{})
		go r.run()
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// over reports whether k is a thing of the past, so that the same cause is another alert. A
// ticket that comes back before it would have been repeated is still the old one.
func (r *Reporter) over(k *known, now time.Time) bool {
	until := k.Ends
	if again := k.sent.Add(r.o.Repeat); k.Class == Ticket && again.After(until) {
		until = again
	}
	return !k.sent.IsZero() && !now.Before(until)
}

// forget forgets what has ended and is not on its way any more, and reports whether there is
// room now.
func (r *Reporter) forget(now time.Time) bool {
	for key, k := range r.alerts {
		if r.over(k, now) {
			delete(r.alerts, key)
		}
	}
	return len(r.alerts) < r.o.Max
}

// Alerts returns the alerts that are known: those that go on, and of those that have ended
// as many as there was room for. The latest come first.
func (r *Reporter) Alerts() []Alert {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]Alert, 0, len(r.alerts))
	for _, k := range r.alerts {
		list = append(list, k.Alert)
	}
	slices.SortFunc(list, func(a, b Alert) int {
		return cmp.Or(b.Starts.Compare(a.Starts), cmp.Compare(a.Fingerprint, b.Fingerprint), cmp.Compare(a.Mirror, b.Mirror), cmp.Compare(a.Target, b.Target))
	})
	return list
}
