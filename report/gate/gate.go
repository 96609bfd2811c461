package gate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/goshadow/shadow/report/tally"
)

// Source takes a snapshot: that of a Tally, or the merged ones of all replicas. It is
// called by one goroutine at a time. With an error the gate says Insufficient.
type Source func(ctx context.Context) (*tally.Snapshot, error)

// Options are what a Gate can do besides. The zero value does nothing.
type Options struct {
	// Figures returns what Criteria.Figures limit, by name; a figure that is not known is
	// left out. It is called for each decision, by one goroutine at a time.
	Figures func(ctx context.Context) map[string]float64
	// OnVerdict is told of a decision whose verdict is another than that before it, once for
	// each change; before the first one a gate is Insufficient. It is where a mirror is
	// stopped, or a deployment rolled back. It is called by one goroutine at a time, in the
	// order of the decisions, and nothing else is decided until it returns: it must not ask
	// the gate. Its ctx has the values of the caller's, and never ends.
	OnVerdict func(ctx context.Context, d Decision)
	// Logger is told of each change of the verdict, and of panics of Source, Figures and
	// OnVerdict, which are recovered. Nil logs nothing.
	Logger *slog.Logger
}

// Gate asks for a snapshot and decides, as often as it is asked. It is safe for concurrent
// use, and an http.Handler: see ServeHTTP.
type Gate struct {
	criteria Criteria
	source   Source
	options  Options
	logger   *slog.Logger

	mu   sync.Mutex
	last Verdict
}

// New returns a Gate. All faults of the criteria are reported at once. It starts nothing:
// a gate decides when it is asked, by Decide, by HTTP, or by Watch.
func New(c Criteria, source Source, o Options) (*Gate, error) {
	faults := []error{c.Validate()}
	if c.Looks == Once {
		faults = append(faults, fmt.Errorf("gate: criteria: looks: a Gate can be asked again, which %q does not stand: use %q, or call Criteria.Decide once", Once, AnyTime))
	}
	if source == nil {
		faults = append(faults, errors.New("gate: no Source"))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return &Gate{
		criteria: c,
		source:   source,
		options:  o,
		logger:   cmp.Or(o.Logger, slog.New(slog.DiscardHandler)),
		last:     Insufficient,
	}, nil
}

// Decide takes a snapshot and judges it. Where there is no snapshot, or none that can be
// judged, the decision is Insufficient and its summary says why; for OnVerdict that is no
// change.
func (g *Gate) Decide(ctx context.Context) Decision {
	g.mu.Lock()
	defer g.mu.Unlock()
	d, err := g.decide(ctx)
	if err != nil {
		return Decision{Version: Version, Verdict: Insufficient, Summary: err.Error(), Checks: []Check{},
			Mirror: g.criteria.Mirror, Target: g.criteria.Target,
			Confidence: g.criteria.confidence(), Looks: AnyTime}
	}
	if d.Verdict != g.last {
		g.changed(context.WithoutCancel(ctx), d)
	}
	return d
}

func (g *Gate) decide(ctx context.Context) (Decision, error) {
	var s *tally.Snapshot
	var figures map[string]float64
	err := errors.New("gate: no snapshot: the Source panicked")
	g.guard(ctx, "Source", func() { s, err = g.source(ctx) })
	if err != nil {
		return Decision{}, err
	}
	if g.options.Figures != nil {
		g.guard(ctx, "Figures", func() { figures = g.options.Figures(ctx) })
	}
	return g.criteria.Decide(s, figures)
}

// changed reports a verdict that differs from the last one.
func (g *Gate) changed(ctx context.Context, d Decision) {
	level := slog.LevelInfo
	if d.Verdict == Fail {
		level = slog.LevelWarn
	}
	g.logger.Log(ctx, level, "shadow: the verdict of the gate changed",
		slog.String("verdict", string(d.Verdict)), slog.String("before", string(g.last)), slog.String("summary", d.Summary))
	g.last = d.Verdict
	if g.options.OnVerdict != nil {
		g.guard(ctx, "OnVerdict", func() { g.options.OnVerdict(ctx, d) })
	}
}

// guard calls what is not ours, and recovers from its panic.
func (g *Gate) guard(ctx context.Context, part string, f func()) {
	returned := false
	defer func() {
		if v := recover(); !returned {
			g.logger.ErrorContext(ctx, "shadow: recovered a panic", slog.String("part", part), slog.String("panic", fmt.Sprintf("%T", v)))
		}
	}()
	f()
	returned = true
}

// Watch decides at once, and then at each interval until ctx ends: for a gate that is to
// act by itself, through OnVerdict. It blocks. An interval that is not positive is an
// error, as is the end of ctx.
func (g *Gate) Watch(ctx context.Context, interval time.Duration) error {
	if interval <= 0 {
		return fmt.Errorf("gate: an interval of %v: choose one such as a minute", interval)
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		g.Decide(ctx)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}
