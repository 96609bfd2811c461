// Package shadow runs a candidate beside the service it is to replace, on a copy of
// live HTTP traffic, and says where the two answer differently.
//
// A [Mirror] wraps an [http.Handler] or an [http.RoundTripper], the primary, which
// answers as before. A sampled, masked copy of each request goes to a [Target], in
// the same process or over the network; both answers are compared, and what differs
// is reported:
//
//	mirror, err := shadow.New(shadow.Remote("v2", "http://orders-v2.internal"),
//		shadow.WithSampler(shadow.Rate(0.01)),
//		shadow.WithReporter(shadow.LogReporter(logger)))
//	...
//	http.ListenAndServe(addr, mirror.Handler(orders))
//
// # What the primary notices
//
// Nothing. Its status, headers, body, trailers, timing, panics and errors are those
// it has without a Mirror. A copy is made while the primary reads and writes, never
// ahead of it, and goes out when the primary has answered, or beside it where [WithTiming]
// says so. Goroutines and bytes are bounded, and what does not fit is dropped and counted:
// nothing ever waits for a shadow.
//
// # What the shadow sees
//
// By default only requests with a safe method (RFC 9110 section 9.2.1) are copied,
// because a copy that writes writes a second time. Every copy carries the header
// "Shadow-Request: <id>" and the W3C baggage member "shadow=true", so that services
// further down can tell it from real traffic: see [IsShadow] and package middleware.
// A request that carries such a mark is never copied again.
//
// # What is reported
//
// Each copied request ends as a [Result] with one [Outcome]. Every request, copied or
// not, is counted by [Mirror.Stats] under exactly one outcome or one [Reason]. Nothing
// is reported before the record mask has been over it: credentials always, and what
// [WithMasker] and [WithRecordMasker] add.
//
// # User code
//
// The request waits for a [Sampler] and for a [WithRoute] function, which must be fast. If
// they are user code they run on a goroutine of their own, so that runtime.Goexit loses no
// answer. Maskers, Comparators and Reporters run on the Mirror's own goroutines, many at a
// time. A panic in any of them, or in an in-process candidate, is recovered and counted.
package shadow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/goshadow/shadow/internal/compare"
	"github.com/goshadow/shadow/internal/guard"
	"github.com/goshadow/shadow/internal/mark"
	"github.com/goshadow/shadow/internal/message"
	"github.com/goshadow/shadow/internal/render"
	"github.com/goshadow/shadow/internal/target"
)

// Message is an HTTP request or response as plain data. It is owned by whoever holds
// it and never recycled. Two messages of one exchange may share the bytes of a Body:
// give a Message a new Body rather than change the bytes of the old one.
type Message struct {
	Method string
	URL    *url.URL // of a request
	Host   string
	Proto  string

	StatusCode int // 0 in a request

	Header  http.Header
	Trailer http.Header

	// Body is the content, decoded from its Content-Encoding: all of it, or where
	// Truncated is set a prefix, which is empty unless it was the decoding that stopped.
	Body      []byte
	Size      int64 // bytes of content as transferred
	Truncated bool

	TTFB time.Duration // of a response: from the start to its status line
	Took time.Duration // of a response: from the start to its last byte

	// Digest is a hash of the content as transferred, where Truncated is set and all of it
	// was seen; else it is 0. The key of the hash is a secret of the Mirror, so digests are
	// compared with those of the same Mirror only, and say nothing to anybody else.
	Digest uint64
}

// Clone returns a deep copy of m.
func (m *Message) Clone() *Message { return (*Message)((*message.Message)(m).Clone()) }

func (m *Message) withheld() *Message { return (*Message)((*message.Message)(m).Withheld()) }

// Exchange is a request and what primary and shadow answered to it. A Comparator
// sees the answers as they are; in a Result they are masked.
type Exchange struct {
	// ID is the correlation ID: the inbound request ID, else one that was made. Stacked
	// mirrors make one each: middleware.RequestID around them gives them the same.
	ID string
	// Route is a low-cardinality name of the endpoint: see WithRoute.
	Route string

	Request *Message
	Primary *Message
	Shadow  *Message // nil where the shadow did not answer, or its answer was discarded
}

// Outcome is how the copy of a request ended.
type Outcome string

// The outcomes. Each copied request has exactly one.
const (
	Match      Outcome = "match"      // the answers are the same, noise left out
	Mismatch   Outcome = "mismatch"   // the answers differ
	Failed     Outcome = "failed"     // the shadow gave no answer; Result.Err says why
	Uncompared Outcome = "uncompared" // the shadow answered, the answers could not be compared or were not to be
)

// Result is what became of one copy. It is owned by its reporters together: they
// must not change it, and may keep it.
type Result struct {
	Exchange

	Mirror string // name of the Mirror
	Target string // name of its target

	Outcome Outcome
	Diffs   []Diff // in path order
	More    bool   // there are more differences than Diffs holds
	// Noise are differences that the control shows too, and those that are there only because
	// the copy was masked and the shadow answered with the replacements: see ClassMasked.
	Noise []Diff
	// Control lists where primary and control differ. It is nil if the control was not asked,
	// failed, or either comparison was cut short.
	Control *ControlDiffs

	Err  error  // why the outcome is Failed or Uncompared, or ErrWithheld
	Note string // what may explain the outcome, such as credentials the copy was sent without

	Start  time.Time     // when the primary was given the request
	Queued time.Duration // from the primary's answer, or with Parallel from when the copy was due, to its start

	// Probability is that with which a request like this one is copied, as its Sampler
	// tells it: 1/Probability requests stand behind this result. It is 0 where the Sampler
	// cannot tell.
	Probability float64
	// Stratum is the group of requests that this one was sampled from, as its Sampler names
	// it. It is empty where all are treated alike.
	Stratum string
}

// ControlDiffs are the differences between primary and control: each place and kind once, array
// indexes and the keys of array elements replaced by "*", no values. Those of ClassMasked are
// among them: they too say nothing about the candidate.
type ControlDiffs struct{ Diffs []Diff }

// Errors of a Result. Match them with errors.Is.
var (
	ErrTimeout = target.ErrTimeout
	ErrPanic   = guard.ErrPanic
	ErrExited  = errors.New("shadow: goroutine exited without an answer")
	ErrBody    = compare.ErrBody // a body cannot be compared
	// ErrWithheld says that the record could not be masked. The Result has its outcome, route,
	// target, statuses, times and sizes, and nothing else: no header, body, path or difference.
	ErrWithheld = errors.New("shadow: the record could not be masked: its content is withheld")
	// ErrTransport stands for an error of the Transport whose text might quote the answer.
	// Errors.Is and errors.As see the Transport's own behind it.
	ErrTransport = target.ErrTransport
)

// Masker removes what must not be seen from a Message, request or response. It owns m
// while it runs and may change all of it, but gives m.Body new bytes instead of
// writing into those that are there. An error or a panic means that m is not sent,
// and that its Result is reported without its content. Mask is called by many goroutines at a time.
//
// A body that a Masker has to look into and that is Truncated must be an error.
type Masker interface {
	Mask(m *Message) error
}

// Reporter is told of every Result. Report runs on a worker of the Mirror, many at a
// time; while it runs the worker does nothing else. Ctx ends when the Mirror is
// closed. The Result is shared and must not be changed. An error or a panic counts
// the result as Unreported.
//
// A Sampler, Masker or Comparator that is also a Reporter is told too. A Reporter
// that has a method Flush(context.Context) error is flushed by Mirror.Shutdown.
//
// A Reporter of your own that wraps others shows them by a method Unwrap() []Reporter. It reports
// to them itself. New finds their faults, and they hear of events and are flushed as if they were
// not wrapped, unless the wrapper has the method ReportEvent or Flush itself.
type Reporter interface {
	Report(ctx context.Context, r *Result) error
}

// MaskerFunc is a function that masks.
type MaskerFunc func(m *Message) error

// Mask calls f.
func (f MaskerFunc) Mask(m *Message) error { return f(m) }

// ReporterFunc is a function that reports.
type ReporterFunc func(ctx context.Context, r *Result) error

// Report calls f.
func (f ReporterFunc) Report(ctx context.Context, r *Result) error { return f(ctx, r) }

// EventReporter is a Reporter that is told of events too, under the same terms.
type EventReporter interface {
	Reporter
	ReportEvent(ctx context.Context, e *Event) error
}

// IsShadow reports whether ctx belongs to a shadow copy: an in-process target is
// serving it, or middleware.Detect found the mark of a trusted peer on the request.
func IsShadow(ctx context.Context) bool { return mark.From(ctx) != nil }

// TargetFrom returns the name of the target whose copy ctx belongs to. Ok is false
// where ctx belongs to no copy, or to one that another process made.
func TargetFrom(ctx context.Context) (name string, ok bool) {
	m := mark.From(ctx)
	if m == nil || m.Target == "" {
		return "", false
	}
	return m.Target, true
}

// Fmt (but for its verb %p), slog and encoding/json print a Message, or something that holds one,
// as its LogValue: no body, no field value, no URL and no value of a difference. Traffic gets into
// logs by accident, in a %+v that was left behind or an error that quotes its cause, and by then
// nobody asks whether it was masked. A Reporter that is to show more reads the fields of the Result.

// LogValue describes m by its method, status, size and times.
func (m Message) LogValue() slog.Value {
	return slog.GroupValue(render.Attrs{slog.String("method", m.Method), slog.Int64("size", m.Size)}.
		If(m.StatusCode != 0, slog.Int("status", m.StatusCode), slog.Duration("ttfb", m.TTFB), slog.Duration("took", m.Took)).
		If(m.Truncated, slog.Bool("truncated", true))...)
}

// LogValue describes x by its ID and route and what LogValue shows of its messages.
func (x Exchange) LogValue() slog.Value { return slog.GroupValue(x.attrs(nil)...) }

func (x Exchange) attrs(attrs render.Attrs) render.Attrs {
	attrs = append(attrs, slog.String("id", x.ID), slog.String("route", x.Route))
	if x.Request != nil {
		attrs = append(attrs, slog.String("method", x.Request.Method))
	}
	if p := x.Primary; p != nil {
		attrs = append(attrs, slog.Group("primary", slog.Int("status", p.StatusCode), slog.Duration("took", p.Took)))
	}
	if s := x.Shadow; s != nil {
		attrs = append(attrs, slog.Group("shadow", slog.Int("status", s.StatusCode), slog.Duration("took", s.Took)))
	}
	return attrs
}

// LogValue describes r without bodies, headers, URLs or values.
func (r Result) LogValue() slog.Value {
	attrs := r.attrs(append(make(render.Attrs, 0, 12),
		slog.String("mirror", r.Mirror), slog.String("target", r.Target), slog.String("outcome", string(r.Outcome))))
	if len(r.Diffs) > 0 {
		attrs = attrs.Paths(len(r.Diffs), func(i int) string { return r.Diffs[i].Path })
	}
	return slog.GroupValue(attrs.If(len(r.Noise) > 0, slog.Int("noise", len(r.Noise))).Err(r.Err).Text("note", r.Note)...)
}

// Format writes LogValue as text, for every verb.
func (m Message) Format(s fmt.State, _ rune) { render.Format(s, m) }

// MarshalJSON returns LogValue as JSON.
func (m Message) MarshalJSON() ([]byte, error) { return render.JSON(m) }
func (m Message) String() string               { return render.Text(m) }

// Format writes LogValue as text, for every verb.
func (x Exchange) Format(s fmt.State, _ rune) { render.Format(s, x) }

// MarshalJSON returns LogValue as JSON.
func (x Exchange) MarshalJSON() ([]byte, error) { return render.JSON(x) }
func (x Exchange) String() string               { return render.Text(x) }

// Format writes LogValue as text, for every verb.
func (r Result) Format(s fmt.State, _ rune) { render.Format(s, r) }

// MarshalJSON returns LogValue as JSON.
func (r Result) MarshalJSON() ([]byte, error) { return render.JSON(r) }
func (r Result) String() string               { return render.Text(r) }
