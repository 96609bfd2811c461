package shadow

import (
	"context"
	"errors"
	"hash/maphash"
	"log/slog"
	"reflect"
	"slices"
	"strconv"
	"sync"

	"github.com/goshadow/shadow/internal/composite"
	"github.com/goshadow/shadow/internal/guard"
	"github.com/goshadow/shadow/internal/pointer"
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
