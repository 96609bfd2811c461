package tally

import (
	"time"

	"github.com/goshadow/shadow"
)

// Version is the version of the form of a Snapshot. Decode and Merge take no other.
const Version = 2

// Other is the name of what is counted together because a cap of Options was reached: as
// a route, as the path of a field, and as the fingerprint of a group.
const Other = "(other)"

// Snapshot is what a Tally knew at one instant: plain data that nothing changes any more.
// It can be written as JSON, read back by Decode, and joined with those of other replicas
// by Merge. Lists are sorted: two snapshots of the same results are equal.
type Snapshot struct {
	Version int       `json:"version"`
	Since   time.Time `json:"since"` // when counting began
	Taken   time.Time `json:"taken"`
	// Elapsed is how long the tally has counted by its own monotonic clock, and of merged
	// snapshots the longest. Since and Taken depend on how clocks are set.
	Elapsed time.Duration `json:"elapsed"`
	// Sources are the tallies whose counts this is, each once. By them Merge recognises what it
	// has already.
	Sources []Source `json:"sources"` // by tally

	// MinRuns and FalseDiscovery are those of Options: by them fields are judged.
	MinRuns        uint64  `json:"minRuns"`
	FalseDiscovery float64 `json:"falseDiscovery"`

	Mirrors      []Mirror          `json:"mirrors"` // the ledgers of the mirrors that are watched, by name
	Routes       []Route           `json:"routes"`  // by mirror, target and route
	Fields       []Field           `json:"fields"`  // by mirror, target, route, path and kind
	Groups       []Group           `json:"groups"`  // by mirror, target, route and fingerprint
	Events       []Event           `json:"events"`  // by mirror, target and kind
	Acknowledged []Acknowledgement `json:"acknowledged"`
}

// Source identifies the snapshot of one tally.
type Source struct {
	Tally    string        `json:"tally"`    // random, made by New
	Sequence uint64        `json:"sequence"` // grows with each snapshot of the tally
	Elapsed  time.Duration `json:"elapsed"`  // as in Snapshot, of this tally
}

// Mirror is the ledger of a mirror: shadow.Stats without what is only momentary.
type Mirror struct {
	Name       string                   `json:"name"`
	Requests   uint64                   `json:"requests"`
	Skipped    map[shadow.Reason]uint64 `json:"skipped,omitempty"`
	Dropped    map[shadow.Reason]uint64 `json:"dropped,omitempty"`
	Results    Counts                   `json:"results"`
	Unreported uint64                   `json:"unreported"`
	Control    bool                     `json:"control"` // it has a control
	Loops      uint64                   `json:"loops"`   // copies that came back to it
}

// Counts are results by outcome.
type Counts struct {
	Match      uint64 `json:"match"`
	Mismatch   uint64 `json:"mismatch"`
	Failed     uint64 `json:"failed"`
	Uncompared uint64 `json:"uncompared"`
}

// All is the number of results.
func (c Counts) All() uint64 { return c.Match + c.Mismatch + c.Failed + c.Uncompared }

// Compared is the number of results whose answers were compared.
func (c Counts) Compared() uint64 { return c.Match + c.Mismatch }

// Weights are requests by outcome, estimated: each result stands for the requests that
// were not copied too, 1/Result.Probability of them (Horvitz and Thompson 1952).
type Weights struct {
	Match      float64 `json:"match"`
	Mismatch   float64 `json:"mismatch"`
	Failed     float64 `json:"failed"`
	Uncompared float64 `json:"uncompared"`

	// Those of Route, weighted.
	Noisy        float64 `json:"noisy"`
	Expected     float64 `json:"expected"`
	ShadowErrors float64 `json:"shadowErrors"`
	Correlated   float64 `json:"correlated"`

	// Greatest is the greatest weight of a result. If All is Greatest times the number of
	// results they all weigh the same.
	Greatest float64 `json:"greatest"`
	// Squares is the sum of the squared weights. All()²/Squares is the effective number of
	// results (Kish 1965): a bound on a weighted rate goes by it, and not by the results.
	Squares float64 `json:"squares"`
	// Unknown is the number of results whose probability was not known. They weigh 1: where
	// there are some next to others the weighted rates lean towards the others.
	Unknown uint64 `json:"unknown"`
}

// All is the estimated number of requests.
func (w Weights) All() float64 { return w.Match + w.Mismatch + w.Failed + w.Uncompared }

// DiffRate is the estimated share of Mismatch among all requests that could be compared;
// 0 where there are none.
func (w Weights) DiffRate() float64 {
	if compared := w.Match + w.Mismatch; compared > 0 {
		return w.Mismatch / compared
	}
	return 0
}

// Effective is the number of results that would tell as much if all weighed the same; 0
// where there are none.
func (w Weights) Effective() float64 {
	if w.Squares == 0 {
		return 0
	}
	return w.All() * w.All() / w.Squares
}

// Route is what is known of one route of a mirror and target. Route.Route is Other where
// the cap of routes was reached.
type Route struct {
	Mirror string `json:"mirror"`
	Target string `json:"target"`
	Route  string `json:"route"`

	Results  Counts    `json:"results"`
	Weighted Weights   `json:"weighted"`
	First    time.Time `json:"first"` // result
	Last     time.Time `json:"last"`  // result

	// Noisy are the mismatches of groups that are Noisy, Unproven of those that are Unproven, and
	// Expected of those that are acknowledged and not overdue. All are part of Results.Mismatch,
	// and no result is in two of them.
	Noisy    uint64 `json:"noisy"`
	Unproven uint64 `json:"unproven"`
	Expected uint64 `json:"expected"`

	PrimaryErrors uint64 `json:"primaryErrors"` // answers of the primary with a status of 500 or more
	ShadowErrors  uint64 `json:"shadowErrors"`  // no answer of the shadow, or one with a status of 500 or more
	// Failures are the failed results by cause.
	Failures map[Failure]uint64 `json:"failures,omitempty"`
	// Correlated are the results in which both answers were brought together. Their share
	// of all results is the correlation success.
	Correlated uint64 `json:"correlated"`
	Controlled uint64 `json:"controlled"` // results with a control: Result.Control
	// ControlledBefore are those of Controlled before the last window: see Field.
	ControlledBefore uint64 `json:"controlledBefore"`
	// Beyond are the mismatches among Controlled that are not Expected: the candidate differs
	// where the control, in the same request, does not.
	Beyond uint64 `json:"beyond"`

	// Latencies are in seconds, from the start to the last byte (Took) or the status line
	// (FirstByte), sizes in bytes as transferred. Of the shadow there are only those of
	// results with an answer.
	PrimaryTook      Distribution `json:"primaryTook"`
	ShadowTook       Distribution `json:"shadowTook"`
	PrimaryFirstByte Distribution `json:"primaryFirstByte"`
	ShadowFirstByte  Distribution `json:"shadowFirstByte"`
	PrimarySize      Distribution `json:"primarySize"`
	ShadowSize       Distribution `json:"shadowSize"`
	Ratio            Distribution `json:"ratio"` // the shadow's Took divided by the primary's, request by request
	Lag              Distribution `json:"lag"`   // seconds from the end of the primary's answer to the report

	Minute Slots `json:"minute"` // the last minute, in slots of 5 seconds
	Hour   Slots `json:"hour"`   // the last hour, in slots of a minute
	Day    Slots `json:"day"`    // the last day, in slots of an hour
}

// Failure is why a result is shadow.Failed.
type Failure string

// The failures.
const (
	FailureTimeout   Failure = "timeout"   // shadow.ErrTimeout
	FailurePanic     Failure = "panic"     // shadow.ErrPanic
	FailureExited    Failure = "exited"    // shadow.ErrExited
	FailureTransport Failure = "transport" // everything else
)

// Slots are a series in time, oldest first. What has no result has no slot.
type Slots []Slot

// Slot is what happened in one interval of time.
type Slot struct {
	Start time.Time `json:"start"` // a multiple of the slot's length
	Counts
	ShadowErrors uint64 `json:"shadowErrors"`
	// Answered are the results with two answers; PrimaryTook and ShadowTook are the sums of
	// their latencies, in nanoseconds.
	Answered    uint64        `json:"answered"`
	PrimaryTook time.Duration `json:"primaryTook"`
	ShadowTook  time.Duration `json:"shadowTook"`
}

// Place is where and how answers differ: a path of shadow.Diff in which array indexes and
// the keys of array elements are "*".
type Place struct {
	Path string          `json:"path"`
	Kind shadow.DiffKind `json:"kind"`
}

// Field is one place of a route at which answers differ, and what the control says of it.
// A result counts at most once in each field.
//
// Stability is about the last window: the last one to two times MinRuns, or 3,000 if that
// is more, of the route's results with a control. What a field was before does not excuse
// what it is now.
type Field struct {
	Mirror string `json:"mirror"`
	Target string `json:"target"`
	Route  string `json:"route"`
	Place

	Count   uint64                      `json:"count"` // results in which the candidate differs, noise included
	First   time.Time                   `json:"first"`
	Last    time.Time                   `json:"last"`
	Classes map[shadow.DiffClass]uint64 `json:"classes,omitempty"` // of the candidate's differences

	// Of the results with a control: CandidateOnly are those in which only the candidate
	// differs from the primary, ControlOnly those in which only the control does.
	CandidateOnly uint64 `json:"candidateOnly"`
	ControlOnly   uint64 `json:"controlOnly"`
	Both          uint64 `json:"both"`
	Before        Pairs  `json:"before"` // of these, those before the last window

	Runs      uint64    `json:"runs"`   // results of the route with a control
	Recent    uint64    `json:"recent"` // of these, those of the last window
	Stability Stability `json:"stability"`
	// P is the p-value of the one-sided exact McNemar test that the candidate differs no
	// more often than the control; Q is P adjusted for the number of fields of the mirror
	// and target (Benjamini and Hochberg 1995). Both are 1 where there is nothing to test.
	P float64 `json:"p"`
	Q float64 `json:"q"`
}

// Pairs are results with a control, by who differs from the primary.
type Pairs struct {
	CandidateOnly uint64 `json:"candidateOnly"`
	ControlOnly   uint64 `json:"controlOnly"`
	Both          uint64 `json:"both"`
}

// Stability is how a field behaves by the control, or all fields of a group together.
type Stability string

// The stabilities.
const (
	// Unproven: the control ran too rarely to say anything.
	Unproven Stability = "unproven"
	// Deterministic: the control never differed in Options.MinRuns runs or more. Every
	// difference is real.
	Deterministic Stability = "deterministic"
	// Noisy: the control differs too, and nothing shows that the candidate differs more often.
	// That is a description and no proof: package gate bounds how much more often it may be.
	Noisy Stability = "noisy"
	// Worse: the candidate differs significantly more often than the control.
	Worse Stability = "worse"
)

// Group is the mismatches that have one cause, as far as can be told: those of one route
// with the same pair of statuses and the same set of places. No value has a part in it.
type Group struct {
	Fingerprint   string `json:"fingerprint"` // 16 hex digits, or Other; the same in every process
	Mirror        string `json:"mirror"`
	Target        string `json:"target"`
	Route         string `json:"route"`
	PrimaryStatus int    `json:"primaryStatus"`
	ShadowStatus  int    `json:"shadowStatus"`
	Places        Places `json:"places"`     // sorted; the first 100 of them
	MorePlaces    bool   `json:"morePlaces"` // there are others

	Count  uint64  `json:"count"`
	Weight float64 `json:"weight"` // the requests that stand behind Count: see Weights
	// Controlled are those of Count with a control.
	Controlled uint64    `json:"controlled"`
	First      time.Time `json:"first"`
	Last       time.Time `json:"last"`
	Share      float64   `json:"share"` // of the results of the route

	Minute Ticks `json:"minute"` // as in Route
	Hour   Ticks `json:"hour"`
	Day    Ticks `json:"day"`

	Classes   map[shadow.DiffClass]uint64 `json:"classes,omitempty"` // of the differences
	Summary   string                      `json:"summary"`           // Classes in a sentence: "all are timestamps"
	Stability Stability                   `json:"stability"`         // Noisy only if all its fields are; else the gravest
	State     State                       `json:"state"`

	Exemplars Exemplars `json:"exemplars"` // at most 4, that differ from each other
}

// Places is a list of places.
type Places []Place

// Exemplars is a list of exemplars.
type Exemplars []Exemplar

// State is whether a group is an expected change.
type State string

// The states.
const (
	Open     State = "open"     // nobody acknowledged it
	Expected State = "expected" // it is acknowledged
	Overdue  State = "overdue"  // it was acknowledged, and the date is over
)

// Ticks are counts in time, oldest first. What is zero has no tick.
type Ticks []Tick

// Tick is how often something happened in one interval of time.
type Tick struct {
	Start time.Time `json:"start"`
	Count uint64    `json:"count"`
}

// Exemplar is one result of a group, as the record mask left it.
type Exemplar struct {
	// Shape is a hash of what the values look like. The exemplars of a group differ in it.
	Shape  string        `json:"shape"`
	ID     string        `json:"id"`
	Time   time.Time     `json:"time"`
	Method string        `json:"method"`
	Path   string        `json:"path"`  // of the URL, without the query
	Diffs  ExemplarDiffs `json:"diffs"` // the first 10 of them
	More   bool          `json:"more"`  // there are other differences
}

// ExemplarDiffs is a list of differences.
type ExemplarDiffs []ExemplarDiff

// ExemplarDiff is a difference of an Exemplar. Long values are cut.
type ExemplarDiff struct {
	Path    string           `json:"path"`
	Kind    shadow.DiffKind  `json:"kind"`
	Class   shadow.DiffClass `json:"class,omitempty"`
	Primary string           `json:"primary,omitempty"` // as JSON
	Shadow  string           `json:"shadow,omitempty"`  // as JSON
}

// Event is how often something happened: shadow.Event by kind.
type Event struct {
	Mirror string           `json:"mirror"`
	Target string           `json:"target"`
	Kind   shadow.EventKind `json:"kind"`
	Count  uint64           `json:"count"`
	Last   time.Time        `json:"last"`
}

// Acknowledgement says that a group is an expected change until a date.
type Acknowledgement struct {
	Fingerprint string    `json:"fingerprint"`
	Note        string    `json:"note"`
	Owner       string    `json:"owner"`
	Expires     time.Time `json:"expires"`
	At          time.Time `json:"at"` // when it was acknowledged
}

// Compared is the number of results whose answers were compared.
func (r *Route) Compared() uint64 { return r.Results.Compared() }

// Unexplained is the number of mismatches that are neither expected nor of groups that are
// Noisy.
func (r *Route) Unexplained() uint64 { return r.Results.Mismatch - r.Noisy - r.Expected }

func (r *Route) key() seriesKey { return seriesKey{r.Mirror, r.Target, r.Route} }
func (f *Field) key() seriesKey { return seriesKey{f.Mirror, f.Target, f.Route} }
func (g *Group) key() seriesKey { return seriesKey{g.Mirror, g.Target, g.Route} }
