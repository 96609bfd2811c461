package gate

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow/report/tally"
)

// stages is a Source that goes through snapshots, and stays with the last one.
type stages struct {
	list []*tally.Snapshot
	at   int
}

func (s *stages) next(context.Context) (*tally.Snapshot, error) {
	one := s.list[min(s.at, len(s.list)-1)]
	s.at++
	if one == nil {
		return nil, errors.New("the replica does not answer")
	}
	return one, nil
}

func always(s *tally.Snapshot) Source {
	return func(context.Context) (*tally.Snapshot, error) { return s, nil }
}

func newGate(t *testing.T, source Source, o Options) *Gate {
	t.Helper()
	g, err := New(Criteria{Limits: Limits{DiffRate: 0.001}}, source, o)
	require.NoError(t, err)
	return g
}

func few() *tally.Snapshot  { return snapshot(good(100)) }
func many() *tally.Snapshot { return snapshot(good(5000)) }
func bad() *tally.Snapshot {
	route := good(100)
	route.mismatch = 50
	return snapshot(route)
}

func TestAChangeOfTheVerdictIsToldOnce(t *testing.T) {
	source := &stages{list: []*tally.Snapshot{few(), few(), many(), many(), nil, many(), bad(), bad(), nil, few(), bad()}}
	var told []Verdict
	g := newGate(t, source.next, Options{OnVerdict: func(_ context.Context, d Decision) { told = append(told, d.Verdict) }})
	var decided []Verdict
	for range source.list {
		decided = append(decided, g.Decide(t.Context()).Verdict)
	}
	assert.Equal(t, []Verdict{Insufficient, Insufficient, Pass, Pass, Insufficient, Pass, Fail, Fail, Insufficient, Insufficient, Fail}, decided)
	assert.Equal(t, []Verdict{Pass, Fail, Insufficient, Fail}, told, "a gate starts as Insufficient, and a snapshot that is not there changes nothing")
}

func TestTheHookIsToldEvenWhenTheAskerIsGone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var err error
	g := newGate(t, always(bad()), Options{OnVerdict: func(ctx context.Context, _ Decision) { err = ctx.Err() }})
	assert.Equal(t, Fail, g.Decide(ctx).Verdict)
	assert.NoError(t, err, "a rollback must not be cut short")
}

func TestWithoutASnapshotThereIsNoPass(t *testing.T) {
	for name, c := range map[string]struct {
		source Source
		want   string
	}{
		"error":   {func(context.Context) (*tally.Snapshot, error) { return nil, errors.New("no such host") }, "no such host"},
		"nil":     {always(nil), "gate: there is no snapshot"},
		"panic":   {func(context.Context) (*tally.Snapshot, error) { panic("secret") }, "gate: no snapshot: the Source panicked"},
		"version": {always(&tally.Snapshot{}), "gate: the snapshot has version 0, and this gate reads version 2: build both from one release"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGate(t, c.source, Options{})
			d := g.Decide(t.Context())
			assert.Equal(t, Insufficient, d.Verdict)
			assert.Equal(t, c.want, d.Summary)
			assert.NotNil(t, d.Checks, "a list in JSON, not null")
		})
	}
}

func TestUserCodeCannotBreakTheGate(t *testing.T) {
	var log bytes.Buffer
	g, err := New(Criteria{Figures: map[string]Range{"cost": {Max: new(1.0)}}, Limits: Limits{DiffRate: 0.001}}, always(bad()), Options{
		Figures:   func(context.Context) map[string]float64 { panic("secret") },
		OnVerdict: func(context.Context, Decision) { panic("secret") },
		Logger:    slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: noTime})),
	})
	require.NoError(t, err)
	assert.Equal(t, Fail, g.Decide(t.Context()).Verdict)
	assert.Equal(t, Fail, g.Decide(t.Context()).Verdict, "the lock is free again")
	assert.Equal(t, `level=ERROR msg="shadow: recovered a panic" part=Figures panic=string
level=WARN msg="shadow: the verdict of the gate changed" verdict=fail before=insufficient summary="1 of 2 checks failed: diffRate"
level=ERROR msg="shadow: recovered a panic" part=OnVerdict panic=string
level=ERROR msg="shadow: recovered a panic" part=Figures panic=string
`, log.String())
}

func noTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

func TestFiguresAreAskedForEachDecision(t *testing.T) {
	cost := 0.01
	g, err := New(Criteria{Figures: map[string]Range{"cost": {Max: new(0.05)}}}, always(few()), Options{
		Figures: func(context.Context) map[string]float64 { return map[string]float64{"cost": cost} }})
	require.NoError(t, err)
	assert.Equal(t, Pass, g.Decide(t.Context()).Verdict)
	cost = 0.06
	assert.Equal(t, Fail, g.Decide(t.Context()).Verdict)
}

func TestNewReportsEveryFault(t *testing.T) {
	_, err := New(Criteria{Confidence: 2, Looks: Once}, nil, Options{})
	for _, fault := range []string{
		"confidence: 2 is not between 0.5 and 1",
		"there is nothing to decide",
		`a Gate can be asked again, which "once" does not stand: use "any-time", or call Criteria.Decide once`,
		"gate: no Source",
	} {
		assert.ErrorContains(t, err, fault)
	}
}

func TestWatchDecidesAtOnceAndAtEachInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var at []time.Duration
		g := newGate(t, func(context.Context) (*tally.Snapshot, error) {
			at = append(at, time.Since(began))
			return few(), nil
		}, Options{})
		ctx, cancel := context.WithTimeout(t.Context(), 150*time.Second)
		defer cancel()
		assert.ErrorIs(t, g.Watch(ctx, time.Minute), context.DeadlineExceeded)
		assert.Equal(t, []time.Duration{0, time.Minute, 2 * time.Minute}, at)
		assert.Equal(t, 150*time.Second, time.Since(began))
	})
	assert.ErrorContains(t, newGate(t, always(few()), Options{}).Watch(t.Context(), 0), "an interval of 0s")
}

func TestAGateIsAskedByManyAtATime(t *testing.T) {
	var told, asking atomic.Int32
	g := newGate(t, func(context.Context) (*tally.Snapshot, error) {
		assert.Equal(t, int32(1), asking.Add(1), "one at a time")
		defer asking.Add(-1)
		return bad(), nil
	}, Options{OnVerdict: func(context.Context, Decision) { told.Add(1) }})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10 {
				assert.Equal(t, Fail, g.Decide(t.Context()).Verdict)
			}
		})
	}
	wg.Wait()
	assert.Equal(t, int32(1), told.Load())
}

// Each run is a gate that watches a candidate for two hours, minute by minute. If that is
// exactly at the limit, whatever the gate says is wrong: no pass is deserved, and no fail.
// That bounds for one look are wrong many times as often there is
// TestAskingOftenDoesNotMakeABadCandidatePass.
func TestAGateThatLooksEveryMinuteIsWrongNoMoreOftenThanItSays(t *testing.T) {
	const limit, minutes, perMinute = 0.02, 120, 60
	said := func(runs int, share float64) map[Verdict]float64 {
		looks, said := 0, map[Verdict]float64{}
		for run := range uint64(runs) {
			synctest.Test(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(run, 17))
				var match, mismatch uint64
				source := func(context.Context) (*tally.Snapshot, error) {
					looks++
					for range perMinute {
						if random.Float64() < share {
							mismatch++
						} else {
							match++
						}
					}
					return copies(copied(get, 0, match, mismatch)), nil
				}
				told := map[Verdict]float64{}
				g, err := New(Criteria{Limits: Limits{DiffRate: limit}}, source, Options{
					OnVerdict: func(_ context.Context, d Decision) { told[d.Verdict] = 1 / float64(runs) },
				})
				require.NoError(t, err)
				ctx, cancel := context.WithTimeout(t.Context(), minutes*time.Minute-time.Second)
				defer cancel()
				assert.ErrorIs(t, g.Watch(ctx, time.Minute), context.DeadlineExceeded)
				said[Pass] += told[Pass]
				said[Fail] += told[Fail]
			})
		}
		t.Logf("a diff rate of %v, %d looks in %d runs: passed at some time %.3f, failed %.3f", share, looks, runs, said[Pass], said[Fail])
		assert.Equal(t, runs*minutes, looks, "each minute")
		return said
	}
	at := said(300, limit)
	assert.LessOrEqual(t, at[Pass], 0.05, "the level that is asked for")
	assert.LessOrEqual(t, at[Fail], 0.05, "the level that is asked for")

	good, bad := said(30, limit/3), said(30, 2*limit)
	assert.Greater(t, good[Pass], 0.99, "it is not just too timid to say anything")
	assert.Zero(t, good[Fail])
	assert.Greater(t, bad[Fail], 0.99)
	assert.Zero(t, bad[Pass])
}
