package shadow

import (
	"cmp"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/goshadow/shadow/internal/guard"
)

// Events about what is lost on the way.
const (
	EventQueueFull  EventKind = "queue-full"   // copies are dropped: WithQueue has no room for more copies or bytes
	EventQueueRoom  EventKind = "queue-room"   // none was dropped for ten seconds
	EventUnreported EventKind = "unreported"   // results are lost: a Reporter fails
	EventReported   EventKind = "reported"     // none was lost for ten seconds
	EventDropped    EventKind = "dropped"      // copies are dropped for their body, or after they waited too long
	EventDropsOver  EventKind = "dropped-over" // none was dropped so for ten seconds
)

// level is the level at which an event is logged. What is over is no warning.
func (k EventKind) level() slog.Level {
	switch k {
	case EventBreakerClosed, EventBreakerHalfOpen, EventOverloadOver, EventOverheadOver, EventBudgetRenewed,
		EventQueueRoom, EventReported, EventDropsOver:
		return slog.LevelInfo
	}
	return slog.LevelWarn
}

// about returns the kind that codes name as the one that reports their losses: of a time in
// which copies are lost, the one that began it.
func (k EventKind) about() EventKind {
	switch k {
	case EventBreakerHalfOpen, EventBreakerClosed:
		return EventBreakerOpen
	case EventOverloadOver:
		return EventOverload
	case EventOverheadOver:
		return EventOverhead
	case EventBudgetRenewed:
		return EventBudgetSpent
	case EventQueueRoom:
		return EventQueueFull
	case EventReported:
		return EventUnreported
	case EventDropsOver:
		return EventDropped
	}
	return k
}

// counted reports whether losses are counted for k.
func (k EventKind) counted() bool {
	k = k.about()
	for c := range codes {
		if codes[c].event == k {
			return true
		}
	}
	return false
}

// A kind of events is logged logBurst times, and then once in logEvery.
const (
	logBurst = 10
	logEvery = time.Minute
)

// eventLog bounds how often each kind of events is logged, by target.
type eventLog struct {
	mu    sync.Mutex
	kinds map[string]*kindLog
}

type kindLog struct {
	limit   *rate.Limiter
	skipped uint64 // since the last line
}

// take reports whether an event may be logged, and how many of its kind were not.
func (l *eventLog) take(kind EventKind, target string) (skipped uint64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kinds == nil {
		l.kinds = map[string]*kindLog{}
	}
	key := string(kind) + " " + target
	k := l.kinds[key]
	if k == nil {
		k = &kindLog{limit: rate.NewLimiter(rate.Every(logEvery), logBurst)}
		l.kinds[key] = k
	}
	if !k.limit.Allow() {
		k.skipped++
		return 0, false
	}
	skipped, k.skipped = k.skipped, 0
	return skipped, true
}

// log returns the logger: that of WithLogger, or slog.Default() at the time.
func (c *config) log() *slog.Logger {
	if c.logger != nil {
		return c.logger
	}
	return slog.Default()
}

// notify logs e and tells the reporters that care. It runs user code: never on the
// goroutine of a request.
func (m *Mirror) notify(e Event) {
	e.Mirror, e.Target, e.Time = m.name, cmp.Or(e.Target, m.target.Name), time.Now()
	e.Lost = m.lost(e.Kind)
	if skipped, ok := m.events.take(e.Kind, e.Target); ok {
		m.guard("Logger", func() error { //nolint:errcheck // logged where it can be
			m.log().LogAttrs(m.base, e.Kind.level(), "shadow: "+e.Text, e.attrs(skipped)...)
			return nil
		})
	}
	for _, listener := range m.listeners {
		if r, ok := listener.(EventReporter); ok {
			m.guard("Reporter", func() error { return r.ReportEvent(m.base, &e) }) //nolint:errcheck // as above
		}
	}
}

// attrs are the attributes of e in a log. Skipped is how many events like it were not logged
// before.
func (e *Event) attrs(skipped uint64) []slog.Attr {
	list := []slog.Attr{slog.String("event", string(e.Kind)), slog.String("mirror", e.Mirror), slog.String("target", e.Target)}
	if e.Route != "" {
		list = append(list, slog.String("route", e.Route))
	}
	if e.ID != "" {
		list = append(list, slog.String("id", e.ID))
	}
	if e.Lost > 0 || e.Kind.counted() {
		list = append(list, slog.Uint64("lost", e.Lost))
	}
	if skipped > 0 {
		list = append(list, slog.Uint64("skipped", skipped))
	}
	return list
}

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

// episode is a time in which copies, or results, are lost for one kind of reasons. It begins
// with the first one, and ends when none has been lost for calm.
type episode struct {
	began, over EventKind
	lost        uint64        // at the last look
	until       time.Duration // of the clock of limits; 0 where it is over
}

const calm = 10 * time.Second

// episodes are those that the watch looks for. The limits have events of their own.
func episodes() []episode {
	return []episode{
		{began: EventQueueFull, over: EventQueueRoom},
		{began: EventUnreported, over: EventReported},
		{began: EventDropped, over: EventDropsOver},
	}
}

// look returns the event of what has changed since the last look, if anything, and whether
// to look again soon.
func (e *episode) look(m *Mirror, now time.Duration) (event Event, open bool) {
	lost := m.lost(e.began)
	more := lost - e.lost
	e.lost = lost
	switch {
	case more > 0:
		if e.until == 0 {
			event = Event{Kind: e.began, Text: m.losing(e.began)}
		}
		e.until = now + calm
	case e.until > 0 && now >= e.until:
		e.until = 0
		event = Event{Kind: e.over, Text: map[EventKind]string{
			EventQueueRoom: "there is room for copies again",
			EventReported:  "results are reported again",
			EventDropsOver: "no copy was dropped for its body or its wait for some time",
		}[e.over]}
	}
	return event, e.until > 0
}

// losing says what is being lost and what to do about it.
func (m *Mirror) losing(k EventKind) string {
	switch k {
	case EventQueueFull:
		return fmt.Sprintf("copies are dropped: there is no room for more than %d that wait, or for more than %d bytes; sample less, or see WithConcurrency and WithQueue",
			m.config.queue, m.queueBytes)
	case EventUnreported:
		return "results are lost: a Reporter fails or panics; see Stats.Unreported"
	}
	return fmt.Sprintf("copies are dropped: request bodies are over %d bytes, were not read to their end or failed, or copies waited for longer than the timeout; see Stats.Dropped", m.maxBody)
}

// watchLosses looks for what is being lost. It returns what reports that, and whether
// something was lost lately. The watch of the limits calls it, never concurrently.
func (m *Mirror) watchLosses() (report func(), open bool) {
	var events []Event
	now := m.limits.Now()
	for i := range m.episodes {
		event, stillOpen := m.episodes[i].look(m, now)
		if event.Kind != "" {
			events = append(events, event)
		}
		open = open || stillOpen
	}
	return func() {
		for _, e := range events {
			m.notify(e)
		}
	}, open
}
