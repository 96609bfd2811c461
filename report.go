package shadow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goshadow/shadow/internal/composite"
	"github.com/goshadow/shadow/internal/guard"
	"github.com/goshadow/shadow/internal/mark"
	"github.com/goshadow/shadow/internal/notice"
	"github.com/goshadow/shadow/internal/pointer"
	"github.com/goshadow/shadow/internal/redact"
	"github.com/goshadow/shadow/internal/render"
	"github.com/goshadow/shadow/internal/target"
	"github.com/goshadow/shadow/internal/telemetry"
)

// Event is something that happened to a Mirror and that somebody should know of, apart
// from the results of single requests.
type Event struct {
	Kind   EventKind
	Mirror string
	Target string
	// ID and Route are those of the request it happened at; empty where it was none.
	ID    string
	Route string
	Time  time.Time
	// Text says in a sentence what happened. It never holds a value of a request or answer.
	Text string
	// Lost is how many copies, or results, have been lost since New for what the event is
	// about: those of the Reasons that go with it.
	Lost uint64
}

// EventKind is what happened. It is a low-cardinality string, fit for a metric.
type EventKind string

// The kinds of events. For the first two page somebody.
const (
	// EventLeak says that something that looks like personal data or a credential was about to get
	// out although it was masked, and was stopped: a mask has a hole. See WithLeakCheck.
	EventLeak EventKind = "leak"

	// EventSideEffect says that a copy was about to write, or has written, where only real requests
	// may: the answer of the target, or of the control, has the header field Shadow-Side-Effect. The
	// next copy may not be stopped.
	//
	// middleware.ReadOnly sets the field to http on the requests that it refuses. A guard of your own
	// sets it to http for a request or sql for a statement:
	//
	//	w.Header().Set("Shadow-Side-Effect", "sql")
	//
	// A service that calls others passes on the field of their answers. Each such answer is one event,
	// and each value of the field one count of the metric shadow.side_effects. Zero proves nothing
	// unless a guard is installed.
	EventSideEffect EventKind = "side-effect"

	// EventLoop says that copies come back to the Mirror that sent them: its target is the mirrored
	// service itself, or passes the copies on to it. Matches with such a target prove nothing.
	// Stats.Loops counts those copies. The event is repeated once a minute as long as they come.
	//
	// A Mirror recognizes its copies by the header field Shadow-Mirror, which holds a random value. A
	// target that calls the mirrored service for another purpose must not pass this field on. The
	// copies to a control are marked differently: a control may be the mirrored service.
	EventLoop EventKind = "loop"

	// EventMaskFailed says that a copy was not sent, or the content of a result not reported, because
	// a mask could not do its work. It is reported once for each rule, with the cause if the rule is
	// built in; Stats count the rest.
	EventMaskFailed EventKind = "mask-failed"

	// EventCredentials says that a copy was sent, with the credentials of the request, to a Remote
	// target that has the host the request was for: as a rule that of the primary. It is reported once.
	EventCredentials EventKind = "credentials"

	// EventUnusedRules says that rules for masks or comparison took no effect in the first 10,000
	// results: they may be misspelt. Its text lists them.
	EventUnusedRules EventKind = "unused-rules"

	EventBreakerOpen     EventKind = "breaker-open"      // a breaker that was closed has opened
	EventBreakerHalfOpen EventKind = "breaker-half-open" // it lets probes through for the first time since then
	EventBreakerClosed   EventKind = "breaker-closed"    // its probes have succeeded
	EventOverload        EventKind = "overload"          // fewer copies run at a time
	EventOverloadOver    EventKind = "overload-over"     // as many copies run as ever
	EventOverhead        EventKind = "overhead"          // nothing is copied for OverheadOptions.Pause
	EventOverheadOver    EventKind = "overhead-over"     // the pause is over
	EventBudgetSpent     EventKind = "budget-spent"      // nothing is copied until the next window
	EventBudgetRenewed   EventKind = "budget-renewed"    // the next window has begun

	EventQueueFull  EventKind = "queue-full"   // copies are dropped: WithQueue has no room for more copies or bytes
	EventQueueRoom  EventKind = "queue-room"   // none was dropped for ten seconds
	EventUnreported EventKind = "unreported"   // results are lost: a Reporter fails, or a record could not be masked
	EventReported   EventKind = "reported"     // none was lost for ten seconds
	EventDropped    EventKind = "dropped"      // copies are dropped for their body, or after they waited too long
	EventDropsOver  EventKind = "dropped-over" // none was dropped so for ten seconds
)

// over lists the events that are good news, which are logged at level info, with the event that
// began what they end. Codes name that one as what reports their losses.
var over = map[EventKind]EventKind{
	EventBreakerHalfOpen: EventBreakerOpen, EventBreakerClosed: EventBreakerOpen,
	EventOverloadOver: EventOverload, EventOverheadOver: EventOverhead, EventBudgetRenewed: EventBudgetSpent,
	EventQueueRoom: EventQueueFull, EventReported: EventUnreported, EventDropsOver: EventDropped,
}

// about returns the kind that codes name for losses that k is about.
func (k EventKind) about() EventKind { return cmp.Or(over[k], k) }

// LogReporter logs results to l; nil is slog.Default() at the time. It is made to be
// left on: a Match is logged at level debug; a Mismatch and a Failed at level warn, an
// Uncompared at info, but of those that are alike (route, outcome, places and kinds of
// the differences) only the 1st, 10th, 100th ..., with their number as "count". The
// attributes are those of Result.LogValue, in a group "shadow". Bodies, headers and
// values are never logged.
func LogReporter(l *slog.Logger) Reporter { return &logReporter{logger: l} }

type logReporter struct {
	logger *slog.Logger
	sorts  notice.Sorts // of results that are no Match
}

func (l *logReporter) Report(ctx context.Context, r *Result) error {
	logger := cmp.Or(l.logger, slog.Default())
	level, message := slog.LevelWarn, "shadow answer differs"
	switch r.Outcome {
	case Match:
		level, message = slog.LevelDebug, "shadow answer matches"
	case Failed:
		message = "shadow gave no answer"
	case Uncompared:
		level, message = slog.LevelInfo, "shadow answer not compared"
	}
	if !logger.Enabled(ctx, level) {
		return nil
	}
	attrs := []slog.Attr{slog.Any("shadow", r)}
	if r.Outcome != Match {
		n, round := l.sorts.Add(r.sort())
		if !round {
			return nil
		}
		attrs = append(attrs, slog.Uint64("count", n))
	}
	logger.LogAttrs(ctx, level, message, attrs...)
	return nil
}

// sort returns what results that are alike have in common.
func (r *Result) sort() []string {
	parts := []string{r.Mirror, r.Target, r.Route, string(r.Outcome), target.ErrorType(r.Err)}
	if r.Shadow != nil && r.Primary != nil && r.Shadow.StatusCode != r.Primary.StatusCode {
		parts = append(parts, strconv.Itoa(r.Primary.StatusCode), strconv.Itoa(r.Shadow.StatusCode))
	}
	for _, d := range r.Diffs {
		if place := pointer.Fold(d.Path) + " " + string(d.Kind); place != parts[len(parts)-1] {
			parts = append(parts, place)
		}
	}
	return parts
}

// MultiReporter reports to each of r in turn. All of them are told, whatever the
// others return or panic with; the errors are joined.
func MultiReporter(r ...Reporter) Reporter { return &multiReporter{of: slices.Clone(r)} }

type multiReporter struct {
	composite.InTurn
	of []Reporter
}

func (m *multiReporter) Fault() error       { return composite.Faults("MultiReporter", m.of) }
func (m *multiReporter) Unwrap() []Reporter { return m.of }

func (m *multiReporter) Report(ctx context.Context, r *Result) error {
	return each(m.of, func(one Reporter) error { return one.Report(ctx, r) })
}

func (m *multiReporter) ReportEvent(ctx context.Context, e *Event) error {
	return each(composite.Find[EventReporter](m.of), func(one EventReporter) error { return one.ReportEvent(ctx, e) })
}

func (m *multiReporter) Flush(ctx context.Context) error {
	return each(composite.Find[flusher](m.of), func(one flusher) error { return one.Flush(ctx) })
}

// flusher is a Reporter that keeps something back until it is flushed.
type flusher interface {
	Flush(ctx context.Context) error
}

// each calls f with every part, whatever the others return or panic with.
func each[T any](parts []T, f func(T) error) error {
	errs := make([]error, len(parts))
	for i, part := range parts {
		errs[i] = guard.Call("Reporter", func() error { return f(part) }, nil)
	}
	return errors.Join(errs...)
}

// listeners returns the reporters of c, and every other part that is a Reporter too, each once.
func listeners(c *config) []Reporter {
	list := slices.Concat(c.reporters, reportersIn(c.sampler), reportersIn(c.comparator))
	maskers := slices.Concat([]Masker{c.target.Masker}, c.maskers, c.recordMaskers)
	if c.control != nil {
		maskers = append(maskers, c.control.Masker)
	}
	for _, masker := range maskers {
		list = append(list, reportersIn(masker)...)
	}
	return composite.Find[Reporter](list)
}

func reportersIn[T any](whole T) (list []Reporter) {
	for part := range composite.All(whole) {
		if r, ok := any(part).(Reporter); ok {
			list = append(list, r)
		}
	}
	return list
}

// finish masks and reports res. It is called once for each job, by the one who claimed
// it. If the record cannot be masked, the result is reported without its content: a reporter
// that counts must hear of it.
func (m *Mirror) finish(j *job, res *Result, o Outcome, err error) {
	defer m.checkRules()
	res.Outcome, res.Err = o, render.NewError(err)
	m.guard("MeterProvider", func() error { m.record(j, res); return nil }) //nolint:errcheck // logged
	if len(m.listeners) == 0 {
		return
	}
	told, masked := 0, false
	defer func() {
		if !masked || told < len(m.listeners) {
			m.ledger.Record(codeUnreported)
		}
	}()
	defer func() { // runs too if a Masker exits the goroutine
		if !masked {
			m.reportTo(m.listeners, m.withhold(j, res), &told)
		}
	}()
	if err := m.guard("Masker", func() error { return m.maskRecord(j, res) }); err != nil {
		m.maskFailed(res.Target, &res.Exchange, "a result was reported without its content", err)
		return
	}
	masked = true
	m.reportTo(m.listeners, res, &told)
}

// record counts res in the metrics.
func (m *Mirror) record(j *job, res *Result) {
	if m.meter == nil {
		return
	}
	o := telemetry.Outcome{
		Target: res.Target, Route: res.Route,
		PrimaryStatus: res.Primary.StatusCode, PrimaryTook: res.Primary.Took,
		Lag: time.Since(j.ended), Overhead: j.overhead, Differences: map[telemetry.Difference]int{},
		Shadow: j.copied,
	}
	if j.span != nil {
		o.Primary = *j.span
	}
	if res.Shadow != nil {
		o.ShadowStatus, o.ShadowTook = res.Shadow.StatusCode, res.Shadow.Took
	}
	switch {
	case res.Outcome == Mismatch:
		o.Result = "diff"
	case res.Outcome == Match && len(res.Noise) > 0:
		o.Result = "noise"
	case res.Outcome == Match:
		o.Result = "match"
	}
	for _, d := range res.Diffs {
		o.Differences[telemetry.Difference{Kind: string(d.Kind), Class: string(d.Class)}]++
	}
	m.telemetry.Record(m.base, &o)
}

// reportTo reports res to each of list, even if one of them exits the goroutine, and counts those
// that succeed.
func (m *Mirror) reportTo(list []Reporter, res *Result, told *int) {
	if len(list) == 0 {
		return
	}
	defer m.reportTo(list[1:], res, told)
	if m.guard("Reporter", func() error { return list[0].Report(m.base, res) }) == nil {
		*told++
	}
}

// withhold returns res without anything that a record mask might hide: no header, body, path
// or difference, no ID that the client chose, and of its error only what is known by name.
func (m *Mirror) withhold(j *job, res *Result) *Result {
	w := &Result{
		Exchange: Exchange{Route: res.Route, Request: res.Request.withheld(), Primary: res.Primary.withheld(), Shadow: res.Shadow.withheld()},
		Mirror:   res.Mirror, Target: res.Target, Outcome: res.Outcome, More: len(res.Diffs) > 0 || res.More,
		Start: res.Start, Queued: res.Queued, Probability: res.Probability,
	}
	if j.minted || m.requestID == "" { // the client did not choose it
		w.ID = res.ID
	}
	if w.Request != nil {
		w.Request.Method, w.Request.URL = j.method, &url.URL{Path: "/" + maskedText}
	}
	err := ErrWithheld
	for _, known := range [...]error{ErrTimeout, ErrPanic, ErrExited, ErrBody, ErrTransport} {
		if errors.Is(res.Err, known) {
			err = fmt.Errorf("%w; %w", ErrWithheld, known)
			break
		}
	}
	w.Err = render.NewError(err)
	return w
}

// log returns the logger: that of WithLogger, or slog.Default() at the time.
func (c *config) log() *slog.Logger { return cmp.Or(c.logger, slog.Default()) }

// logPanic logs where a panic was, but not its value, which may hold anything.
func (m *Mirror) logPanic(p *guard.Panic) {
	if _, again := m.panics.LoadOrStore(p.Part, true); again {
		return
	}
	defer func() { _ = recover() }() // the logger is user code too
	m.log().Error("shadow: recovered a panic; further ones are counted only",
		slog.String("mirror", m.name), slog.String("part", p.Part),
		slog.String("panic", p.Describe()), slog.String("stack", p.Stack()))
}

// notify logs e and reports it to the reporters that hear of events. It runs user code: never on
// the goroutine of a request.
func (m *Mirror) notify(e Event) {
	e.Mirror, e.Target, e.Time = m.name, cmp.Or(e.Target, m.target.Name), time.Now()
	e.Lost = m.lost(e.Kind)
	if skipped, ok := m.events.Take(string(e.Kind) + " " + e.Target); ok {
		level := slog.LevelWarn
		if _, good := over[e.Kind]; good {
			level = slog.LevelInfo
		}
		m.guard("Logger", func() error { //nolint:errcheck // logged where it can be
			m.log().LogAttrs(m.base, level, "shadow: "+e.Text, e.attrs(skipped)...)
			return nil
		})
	}
	for _, r := range composite.Find[EventReporter](m.listeners) {
		m.guard("Reporter", func() error { return r.ReportEvent(m.base, &e) }) //nolint:errcheck // as above
	}
}

// attrs returns the attributes of e in a log. Skipped is how many events like it were not logged
// before.
func (e *Event) attrs(skipped uint64) []slog.Attr {
	counted := false // losses are, for what e is about
	for _, c := range codes {
		counted = counted || c.event == e.Kind.about()
	}
	return render.Attrs{slog.String("event", string(e.Kind)), slog.String("mirror", e.Mirror), slog.String("target", e.Target)}.
		Text("route", e.Route).Text("id", e.ID).
		If(counted, slog.Uint64("lost", e.Lost)).If(skipped > 0, slog.Uint64("skipped", skipped))
}

// losses are the times of losses that watchLosses looks for. The limits have events of their own.
var losses = [...]struct {
	began, ended EventKind
	text         func(c *config) string // what is being lost and what to do about it
	endText      string
}{
	{EventQueueFull, EventQueueRoom, func(c *config) string {
		return fmt.Sprintf("copies are dropped: there is no room for more than %d that wait, or for more than %d bytes; sample less, or see WithConcurrency and WithQueue", c.queue, c.queueBytes)
	}, "there is room for copies again"},
	{EventUnreported, EventReported, func(*config) string {
		return "results are lost: a Reporter fails or panics; see Stats.Unreported"
	}, "results are reported again"},
	{EventDropped, EventDropsOver, func(c *config) string {
		return fmt.Sprintf("copies are dropped: request bodies are over %d bytes, were not read to their end or failed, or copies waited for longer than the timeout; see Stats.Dropped", c.maxBody)
	}, "no copy was dropped for its body or its wait for some time"},
}

// watchLosses looks for what is being lost. It returns what reports that, and whether
// something was lost lately. The watch of the limits calls it, never concurrently.
func (m *Mirror) watchLosses() (report func(), open bool) {
	var events []Event
	now := m.limits.Now()
	for i, l := range losses {
		began, ended := m.episodes[i].Update(m.lost(l.began), now)
		if began {
			events = append(events, Event{Kind: l.began, Text: l.text(m.config)})
		}
		if ended {
			events = append(events, Event{Kind: l.ended, Text: l.endText})
		}
		open = open || m.episodes[i].Open()
	}
	return func() {
		for _, e := range events {
			m.notify(e)
		}
	}, open
}

// reportLoops reports copies that came back, and once that the Mirror is wrapped twice. It runs
// user code: never on the goroutine of a request.
func (m *Mirror) reportLoops() {
	if text := m.loops.Report(m.limits.Now()); text != "" {
		m.notify(Event{Kind: EventLoop, Text: text})
	}
	if m.loops.ReportNested() {
		m.guard("Logger", func() error { //nolint:errcheck // logged where it can be
			m.log().Warn("shadow: a request passed this mirror twice: it wraps the primary in two places. Such a request is copied once; remove one of them", slog.String("mirror", m.name))
			return nil
		})
	}
}

// sideEffects raises the alarm if the header of an answer of t says so.
func (m *Mirror) sideEffects(t *Target, j *job, route string, h http.Header) {
	kinds := mark.SideEffectsOf(h)
	if len(kinds) == 0 {
		return
	}
	m.guard("MeterProvider", func() error { //nolint:errcheck // logged
		for _, kind := range kinds {
			m.telemetry.SideEffect(m.base, t.Name, kind, 1)
		}
		return nil
	})
	m.notify(Event{Kind: EventSideEffect, Target: t.Name, ID: j.id, Route: route, Text: fmt.Sprintf(
		"a copy was about to write, or has written: its answer has %s: %s", mark.SideEffect, strings.Join(kinds, ", "))})
}

// credentials looks at the header h of the copy: it notes which fields with credentials the
// target does not get as they came, and complains once where it gets them although it may
// be the primary itself. What host the primary has is known from its requests only.
func (a *attempt) credentials(h http.Header) {
	t := a.target
	if t.URL == "" && t.Masker == nil {
		return
	}
	kept, lost := redact.Forwarded(a.in.Header, h)
	if t.Masker != nil {
		a.lost = lost
	}
	if t.URL == "" || len(kept) == 0 || a.m.warned.Load() || !target.HasHost(t.URL, a.in.Host) || !a.m.warned.CompareAndSwap(false, true) {
		return
	}
	a.m.notify(Event{Kind: EventCredentials, ID: a.j.id, Route: a.route, Text: fmt.Sprintf(
		"copies go to the host that the requests were for, with their credentials (%s): is target %q the primary? Its Masker should begin with DropCredentials",
		strings.Join(kept, ", "), t.Name)})
}
