package shadow

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/goshadow/shadow/internal/composite"
	"github.com/goshadow/shadow/internal/guard"
	"github.com/goshadow/shadow/internal/mark"
	"github.com/goshadow/shadow/internal/pointer"
	"github.com/goshadow/shadow/internal/redact"
	"github.com/goshadow/shadow/internal/target"
)

// LogReporter logs results to l; nil is slog.Default() at the time. It is made to be
// left on: a Match is logged at level debug; a Mismatch and a Failed at level warn, an
// Uncompared at info, but of those that are alike (route, outcome, places and kinds of
// the differences) only the 1st, 10th, 100th ..., with their number as "count". The
// attributes are those of Result.LogValue, in a group "shadow". Bodies, headers and
// values are never logged.
func LogReporter(l *slog.Logger) Reporter {
	return &logReporter{logger: l, seed: maphash.MakeSeed(), seen: map[uint64]uint64{}}
}

type logReporter struct {
	logger *slog.Logger
	seed   maphash.Seed

	mu   sync.Mutex
	seen map[uint64]uint64 // by the hash of what is alike
}

// maxSeen is how many sorts of results a LogReporter tells apart; what is new after
// that is counted together.
const maxSeen = 1000

func (l *logReporter) Report(ctx context.Context, r *Result) error {
	logger := l.logger
	if logger == nil {
		logger = slog.Default()
	}
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
	if r.Outcome == Match {
		logger.LogAttrs(ctx, level, message, slog.Any("shadow", r))
		return nil
	}
	if n := l.count(r); powerOfTen(n) {
		logger.LogAttrs(ctx, level, message, slog.Any("shadow", r), slog.Uint64("count", n))
	}
	return nil
}

// count counts r among its like.
func (l *logReporter) count(r *Result) uint64 {
	var h maphash.Hash
	h.SetSeed(l.seed)
	write := func(parts ...string) {
		for _, part := range parts {
			h.WriteString(part)
			h.WriteByte(0)
		}
	}
	write(r.Mirror, r.Target, r.Route, string(r.Outcome), target.ErrorType(r.Err))
	if r.Shadow != nil && r.Primary != nil && r.Shadow.StatusCode != r.Primary.StatusCode {
		write(strconv.Itoa(r.Primary.StatusCode), strconv.Itoa(r.Shadow.StatusCode))
	}
	last := ""
	for _, d := range r.Diffs {
		if place := pointer.Fold(d.Path) + " " + string(d.Kind); place != last {
			write(place)
			last = place
		}
	}
	key := h.Sum64()
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.seen[key]; !ok && len(l.seen) >= maxSeen {
		key = 0
	}
	l.seen[key]++
	return l.seen[key]
}

func powerOfTen(n uint64) bool {
	for n >= 10 && n%10 == 0 {
		n /= 10
	}
	return n == 1
}

// MultiReporter reports to each of r in turn. All of them are told, whatever the
// others return or panic with; the errors are joined.
func MultiReporter(r ...Reporter) Reporter { return append(multiReporter{}, r...) }

type multiReporter []Reporter

func (m multiReporter) Fault() error { return composite.Faults("MultiReporter", m) }
func (m multiReporter) parts() []any {
	list := make([]any, len(m))
	for i, r := range m {
		list[i] = r
	}
	return list
}

func (m multiReporter) Report(ctx context.Context, r *Result) error {
	return m.each(func(reporter Reporter) error { return reporter.Report(ctx, r) })
}

// ReportEvent tells those of m that care of events.
func (m multiReporter) ReportEvent(ctx context.Context, e *Event) error {
	return m.each(func(reporter Reporter) error {
		if r, ok := reporter.(EventReporter); ok {
			return r.ReportEvent(ctx, e)
		}
		return nil
	})
}

// Flush flushes those of m that can be flushed.
func (m multiReporter) Flush(ctx context.Context) error {
	return m.each(func(reporter Reporter) error {
		if f, ok := reporter.(flusher); ok {
			return f.Flush(ctx)
		}
		return nil
	})
}

// flusher is a Reporter that keeps something back until it is flushed.
type flusher interface {
	Flush(ctx context.Context) error
}

// each calls f with every reporter, whatever the others make of it.
func (m multiReporter) each(f func(Reporter) error) error {
	errs := make([]error, len(m))
	for i, reporter := range m {
		func() {
			returned := false
			defer func() {
				if !returned { // whatever recover returns: GODEBUG=panicnil=1
					errs[i] = guard.New("Reporter", recover())
				}
			}()
			errs[i] = f(reporter)
			returned = true
		}()
	}
	return errors.Join(errs...)
}

// listeners are the reporters of c, and every other part that is a Reporter too, each
// once.
func listeners(c *config) []Reporter {
	var list []Reporter
	told := map[Reporter]bool{}
	var visit func(part any)
	visit = func(part any) {
		if p, ok := part.(interface{ Unwrap() []Masker }); ok && !isNil(part) {
			for _, one := range p.Unwrap() {
				visit(one)
			}
		}
		if p, ok := part.(interface{ parts() []any }); ok {
			for _, one := range p.parts() {
				visit(one)
			}
			return
		}
		r, ok := part.(Reporter)
		if !ok || isNil(r) {
			return
		}
		if reflect.ValueOf(r).Comparable() {
			if told[r] {
				return
			}
			told[r] = true
		}
		list = append(list, r)
	}
	for _, r := range c.reporters {
		visit(r)
	}
	for s := range composite.All(c.sampler) {
		visit(s)
	}
	visit(c.comparator)
	visit(c.target.Masker)
	for _, m := range slices.Concat(c.maskers, c.recordMaskers) {
		visit(m)
	}
	if c.control != nil {
		visit(c.control.Masker)
	}
	return list
}

// finish masks and reports res. It is called once for each job, by the one who claimed
// it, who settles the job then. If the record cannot be masked, the result is reported
// without its content: a reporter that counts must hear of it.
func (m *Mirror) finish(j *job, res *Result, o Outcome, err error) {
	defer m.checkRules()
	res.Outcome, res.Err = o, resultErr(err)
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
			m.tell(m.listeners, m.withhold(j, res), &told)
		}
	}()
	if err := m.guard("Masker", func() error { return m.maskRecord(j, res) }); err != nil {
		m.maskFailed(res.Target, &res.Exchange, "a result was reported without its content", err)
		return
	}
	masked = true
	m.tell(m.listeners, res, &told)
}

// tell reports res to each of list, even where one of them exits the goroutine, and
// counts those that succeed.
func (m *Mirror) tell(list []Reporter, res *Result, told *int) {
	if len(list) == 0 {
		return
	}
	defer m.tell(list[1:], res, told)
	if m.guard("Reporter", func() error { return list[0].Report(m.base, res) }) == nil {
		*told++
	}
}

// withhold returns res without anything that a record mask might hide: no header, body, path
// or difference, no ID that the client chose, and of its error only what is known by name.
func (m *Mirror) withhold(j *job, res *Result) *Result {
	message := func(m *Message) *Message {
		if m == nil {
			return nil
		}
		return &Message{StatusCode: m.StatusCode, Proto: m.Proto, Size: m.Size, Truncated: true, TTFB: m.TTFB, Took: m.Took}
	}
	w := &Result{
		Exchange: Exchange{Route: res.Route, Request: message(res.Request), Primary: message(res.Primary), Shadow: message(res.Shadow)},
		Mirror:   res.Mirror, Target: res.Target,
		Outcome: res.Outcome, More: len(res.Diffs) > 0 || res.More,
		Err:   resultErr(ErrWithheld),
		Start: res.Start, Queued: res.Queued,
		Probability: res.Probability,
	}
	if j.minted || m.requestID == "" { // the client did not choose it
		w.ID = res.ID
	}
	if w.Request != nil {
		w.Request.Method, w.Request.URL = j.method, &url.URL{Path: "/" + maskedText}
	}
	for _, known := range [...]error{ErrTimeout, ErrPanic, ErrExited, ErrBody, ErrTransport} {
		if errors.Is(res.Err, known) {
			w.Err = resultErr(fmt.Errorf("%w; %w", ErrWithheld, known))
			break
		}
	}
	return w
}

// resultError is an error of a Result. Go-cmp can compare it, whatever it wraps.
type resultError struct{ error }

func resultErr(err error) error {
	if err == nil {
		return nil
	}
	return resultError{err}
}

// Equal reports whether both say the same.
func (e resultError) Equal(other resultError) bool { return e.Error() == other.Error() }

func (e resultError) Unwrap() error { return e.error }

// Format writes Error for every verb, and for %+v the stack of a panic.
func (e resultError) Format(s fmt.State, verb rune) {
	if panicked := (*guard.Panic)(nil); errors.As(e.error, &panicked) {
		panicked.Format(s, verb)
		return
	}
	io.WriteString(s, e.Error())
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

// credentials looks at what is sent as h: it notes which fields with credentials the
// target does not get as they came, and complains once where it gets them although it may
// be the primary itself. What host the primary has is known from its requests only.
func (a *attempt) credentials(h http.Header) {
	if a.target.URL == "" && a.target.Masker == nil {
		return
	}
	var kept []string
	for name, values := range a.in.Header {
		switch {
		case len(values) == 0 || !redact.IsCredential(name):
		case slices.Equal(values, h[name]):
			kept = append(kept, name)
		case a.target.Masker != nil:
			a.lost = append(a.lost, name)
		}
	}
	if a.target.URL == "" || len(kept) == 0 || a.m.warned.Load() {
		return
	}
	base, err := target.ParseURL(a.target.URL)
	if err != nil || !strings.EqualFold(base.Host, a.in.Host) || !a.m.warned.CompareAndSwap(false, true) {
		return
	}
	slices.Sort(kept)
	a.m.notify(Event{Kind: EventCredentials, ID: a.j.id, Route: a.route, Text: fmt.Sprintf(
		"copies go to the host that the requests were for, with their credentials (%s): is target %q the primary? Its Masker should begin with DropCredentials",
		strings.Join(kept, ", "), a.target.Name)})
}

// note says of an answer that refuses the copy for want of credentials which it was not
// given.
func (a *attempt) note(answer *Message, primary int) string {
	status := answer.StatusCode
	if len(a.lost) == 0 || status == primary || status != http.StatusUnauthorized && status != http.StatusForbidden {
		return ""
	}
	slices.Sort(a.lost)
	return fmt.Sprintf("credentials were not forwarded: %s; give the copy its own with SetHeader", strings.Join(a.lost, ", "))
}
