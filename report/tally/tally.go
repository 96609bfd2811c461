// Package tally counts results as they arrive: by route, by place of the differences, and by cause.
//
// A [Tally] is a [shadow.Reporter] that keeps counts, distributions and a few exemplars in
// bounded memory, and returns them at any time as a Snapshot:
//
//	t, err := tally.New(tally.Options{})
//	...
//	mirror, err := shadow.New(target, shadow.WithReporter(t))
//	...
//	s := t.Snapshot()
//
// A [Snapshot] is plain data. [Merge] merges those of several replicas: counts exactly, quantiles
// within their accuracy. It does not matter which replica saw which results.
//
// # Bounds
//
// With the default Options a Tally holds at most 1,000 routes, 10,000 fields and 1,000
// groups; later ones are counted as [Other]. A route of usual latencies takes 12 KB, any other at
// most 90 KB; docs/insight.md has the figures.
package tally

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"
	"unique"

	"github.com/DataDog/sketches-go/ddsketch/mapping"

	"github.com/goshadow/shadow"
)

// Options are the bounds of a Tally and how it judges. The zero value is the default.
type Options struct {
	// Routes, Fields and Groups are how many there may be, of all mirrors and targets
	// together; 0 are 1,000 routes, 10,000 fields and 1,000 groups. One route takes at most
	// a sixteenth of the fields and groups, or 16 of them where that is more. What does not
	// fit is counted as Other: the first to come stay. Routes that were first answered with
	// 404 or 405 take at most half of Routes, so that paths that clients make up leave room for
	// those that exist. Names are cut after 256 bytes, paths
	// after 512.
	Routes int
	Fields int
	Groups int

	// ExemplarBytes is how many bytes of masked answers are kept for Suggest; 0 is 16 MiB.
	ExemplarBytes int64

	// Accuracy is the greatest relative error of quantiles, from 0.001 to 0.1; 0 is 0.01.
	// Snapshots of different accuracies do not merge.
	Accuracy float64

	// MinRuns is how often the control has to agree with the primary before a field is
	// Deterministic; 0 is 3,000: as many agreements in a row show that it differs in less
	// than 0.1 % of the runs, at 95 % (the rule of three).
	MinRuns uint64
	// FalseDiscovery is the share of false ones that is allowed among the fields that are
	// found to be Worse, above 0 and below 1; 0 is 0.01.
	FalseDiscovery float64

	// Compare is how the mirror compares: Suggest tries its rules on it.
	Compare shadow.CompareOptions
}

const (
	defaultRoutes         = 1_000
	defaultFields         = 10_000
	defaultGroups         = 1_000
	defaultExemplarBytes  = 16 << 20
	defaultAccuracy       = 0.01
	defaultMinRuns        = 3_000
	defaultFalseDiscovery = 0.01
)

// What is bounded without an option.
const (
	maxName   = 256 // bytes of a name: of a route, a mirror, a method
	maxPath   = 512 // bytes of the path of a field
	maxOthers = 64  // routes named Other, one for each mirror and target
	maxEvents = 256 // kinds of events, of all mirrors and targets
	maxSpare  = 64  // cells of routes that several goroutines report to
)

// Tally counts the results that it is told of. It is made by New, is safe for concurrent
// use and needs not be closed. It is a shadow.Reporter and a shadow.EventReporter; one
// Tally may serve many mirrors.
type Tally struct {
	options  Options
	mapping  *mapping.CubicallyInterpolatedMapping
	suggests suggester
	since    time.Time
	began    time.Time // since, with the monotonic clock
	id       string
	taken    atomic.Uint64 // snapshots

	seed  maphash.Seed
	known atomic.Pointer[index] // of the series
	grows sync.Mutex            // of those who add one

	routes, fields, groups atomic.Int64 // how many there are
	unmatched              atomic.Int64 // routes that were new with an unmatched result
	spare                  atomic.Int64 // cells beyond one for each series
	kept                   atomic.Int64 // bytes of exemplars

	writers sync.Pool // of *writer
	tickets atomic.Uint32

	mu           sync.Mutex // of what follows
	watched      map[string]func() shadow.Stats
	events       map[eventKey]*Event
	acknowledged map[string]Acknowledgement
}

// index is a hash table of series with linear probing. Readers take no lock: a slot is filled
// once, and an index that is half full gives way to a larger one.
type index []atomic.Pointer[series]

// find returns the series of k, or the slot where it belongs.
func (x index) find(seed maphash.Seed, k seriesKey) (s *series, free int) {
	i := int(maphash.String(seed, k.route) % uint64(len(x)))
	for {
		if s = x[i].Load(); s == nil || s.key == k {
			return s, i
		}
		i = (i + 1) % len(x)
	}
}

// grown returns an index of twice the size.
func (x index) grown(seed maphash.Seed) index {
	grown := make(index, 2*len(x))
	for i := range x {
		if s := x[i].Load(); s != nil {
			_, free := grown.find(seed, s.key)
			grown[free].Store(s)
		}
	}
	return grown
}

type seriesKey struct{ mirror, target, route string }

func (k seriesKey) compare(o seriesKey) int {
	return cmp.Or(cmp.Compare(k.mirror, o.mirror), cmp.Compare(k.target, o.target), cmp.Compare(k.route, o.route))
}

type eventKey struct {
	mirror, target string
	kind           shadow.EventKind
}

// writer is what a goroutine needs while it reports. A pool keeps it near its processor.
type writer struct {
	ticket uint32  // which of the cells of a series it uses
	last   *series // that it reported to
	folded []byte
	hashes []uint64
	seen   []seen // the differences of the result, those of Result.Diffs first
	group  *group // of the result; nil where it has no differences
}

// New returns a Tally. What is wrong with o is reported at once, in one error. So is a
// platform whose int has 32 bits, where distributions would be wrong.
func New(o Options) (*Tally, error) {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf("tally: Options."+format, args...)) }
	for _, limit := range []struct {
		name     string
		value    *int
		fallback int
	}{
		{"Routes", &o.Routes, defaultRoutes},
		{"Fields", &o.Fields, defaultFields},
		{"Groups", &o.Groups, defaultGroups},
	} {
		switch {
		case *limit.value < 0:
			fail("%s: %d is negative", limit.name, *limit.value)
		case *limit.value == 0:
			*limit.value = limit.fallback
		}
	}
	if o.ExemplarBytes < 0 {
		fail("ExemplarBytes: %d is negative", o.ExemplarBytes)
	}
	if o.ExemplarBytes == 0 {
		o.ExemplarBytes = defaultExemplarBytes
	}
	if o.Accuracy == 0 {
		o.Accuracy = defaultAccuracy
	}
	if !validAccuracy(o.Accuracy) {
		fail("Accuracy: %v is not within %v and %v", o.Accuracy, minAccuracy, maxAccuracy)
	}
	if o.MinRuns == 0 {
		o.MinRuns = defaultMinRuns
	}
	if o.FalseDiscovery == 0 {
		o.FalseDiscovery = defaultFalseDiscovery
	}
	if !(o.FalseDiscovery > 0 && o.FalseDiscovery < 1) {
		fail("FalseDiscovery: %v is not above 0 and below 1", o.FalseDiscovery)
	}
	suggests, err := newSuggester(o.Compare)
	if err != nil {
		fail("Compare: %w", err)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	bins, err := newMapping(o.Accuracy)
	if err != nil {
		return nil, fmt.Errorf("tally: %w", err)
	}
	began := time.Now()
	t := &Tally{
		options: o, mapping: bins, suggests: suggests, since: began.UTC().Round(0), began: began, id: rand.Text(),
		seed:    maphash.MakeSeed(),
		watched: map[string]func() shadow.Stats{}, events: map[eventKey]*Event{}, acknowledged: map[string]Acknowledgement{},
	}
	t.known.Store(&index{{}, {}})
	t.writers.New = func() any { return &writer{ticket: t.tickets.Add(1)} }
	return t, nil
}

// Report counts r. It never fails.
func (t *Tally) Report(_ context.Context, r *shadow.Result) error {
	now := time.Now()
	w := t.writers.Get().(*writer)
	defer t.writers.Put(w)
	s := w.last
	if k := (seriesKey{name(r.Mirror), name(r.Target), name(r.Route)}); s == nil || s.key != k {
		s = t.series(k, unmatched(r))
		w.last = s
	}
	w.look(t, s, r)
	s.count(t, w, r, now, s.window(r.Control != nil, t.options.MinRuns))
	if g := w.group; g != nil && g.fingerprint != 0 {
		g.show(t, s, w.shape(r.Diffs), r)
	}
	return nil
}

// ReportEvent counts e by its kind.
func (t *Tally) ReportEvent(_ context.Context, e *shadow.Event) error {
	k := eventKey{name(e.Mirror), name(e.Target), shadow.EventKind(name(string(e.Kind)))}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.events[k] == nil && len(t.events) >= maxEvents {
		k = eventKey{Other, Other, Other}
	}
	if t.events[k] == nil {
		k = eventKey{strings.Clone(k.mirror), strings.Clone(k.target), shadow.EventKind(strings.Clone(string(k.kind)))}
		t.events[k] = &Event{Mirror: k.mirror, Target: k.target, Kind: k.kind}
	}
	counted := t.events[k]
	counted.Count++
	if at := e.Time.UTC().Round(0); at.After(counted.Last) {
		counted.Last = at
	}
	return nil
}

// Watch adds the ledger of a mirror to the snapshots: name is that of the mirror, stats is
// its method Stats. A second call with the same name replaces the first.
func (t *Tally) Watch(name string, stats func() shadow.Stats) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.watched[name] = stats
}

// Acknowledge says that the group a.Fingerprint is an expected change: until a.Expires it
// is Expected, from then on it is Overdue. It replaces what was said of that group before.
// Note, owner and a date to come are mandatory; a.At is set. The group need not be there
// yet: those that were acknowledged before a restart may be so again.
func (t *Tally) Acknowledge(a Acknowledgement) error {
	now := time.Now()
	var errs []error
	if !validFingerprint(a.Fingerprint) {
		errs = append(errs, fmt.Errorf("tally: Acknowledge: %.40q is not a fingerprint of 16 hex digits", a.Fingerprint))
	}
	if strings.TrimSpace(a.Note) == "" || len(a.Note) > maxNote {
		errs = append(errs, fmt.Errorf("tally: Acknowledge: the note has to say why, in at most %d bytes", maxNote))
	}
	if strings.TrimSpace(a.Owner) == "" || len(a.Owner) > maxName {
		errs = append(errs, fmt.Errorf("tally: Acknowledge: the owner has to be named, in at most %d bytes", maxName))
	}
	if !a.Expires.After(now) {
		errs = append(errs, fmt.Errorf("tally: Acknowledge: the date %v has to be to come", a.Expires))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, again := t.acknowledged[a.Fingerprint]; !again && len(t.acknowledged) >= maxAcknowledged {
		errs = append(errs, fmt.Errorf("tally: Acknowledge: there are %d already", maxAcknowledged))
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	a.At, a.Expires = now.UTC().Round(0), a.Expires.UTC().Round(0)
	t.acknowledged[a.Fingerprint] = a
	return nil
}

// name bounds a name.
func name(s string) string { return cut(s, maxName) }

// cut cuts s after n bytes at most, between two characters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// unmatched reports whether the primary may not serve the path of r: clients make up such
// paths, and each may be a route.
func unmatched(r *shadow.Result) bool {
	return r.Primary != nil && (r.Primary.StatusCode == http.StatusNotFound || r.Primary.StatusCode == http.StatusMethodNotAllowed)
}

// series returns that of k, or one of Other where there is no room for it. Routes that are
// new with an unmatched result take at most half of the room.
func (t *Tally) series(k seriesKey, unmatched bool) *series {
	limit := int64(t.options.Routes)
	if s := t.find(k, limit, unmatched); s != nil {
		return s
	}
	if s := t.find(seriesKey{k.mirror, k.target, Other}, limit+maxOthers, false); s != nil {
		return s
	}
	return t.find(seriesKey{Other, Other, Other}, math.MaxInt64, false)
}

// find returns the series of k, which is made unless there are limit of them already.
func (t *Tally) find(k seriesKey, limit int64, unmatched bool) *series {
	if s, _ := t.known.Load().find(t.seed, k); s != nil {
		return s
	}
	full := func() bool {
		return t.routes.Load() >= limit || unmatched && t.unmatched.Load() >= limit/2
	}
	if full() {
		return nil
	}
	t.grows.Lock()
	defer t.grows.Unlock()
	known := *t.known.Load()
	s, free := known.find(t.seed, k)
	if s != nil || full() {
		return s
	}
	if unmatched {
		t.unmatched.Add(1)
	}
	if 2*t.routes.Add(1) > int64(len(known)) {
		known = known.grown(t.seed)
		_, free = known.find(t.seed, k)
		t.known.Store(&known)
	}
	s = newSeries(seriesKey{unique.Make(k.mirror).Value(), unique.Make(k.target).Value(), strings.Clone(k.route)})
	known[free].Store(s)
	return s
}

// reserve adds n to a counter unless that would be over the limit.
func reserve(counter *atomic.Int64, n, limit int64) bool {
	if counter.Add(n) > limit {
		counter.Add(-n)
		return false
	}
	return true
}

// maxCells is how many goroutines can report to one series without waiting for each other:
// more than there are processors, because one that is preempted keeps its cell.
func maxCells() int { return min(4*runtime.GOMAXPROCS(0), 32) }
