// Package shadowtest checks a [shadow.Comparator], [shadow.Masker], [shadow.Sampler] or
// [shadow.Reporter] of your own against the contract of its interface, as
// [testing/slogtest] does for handlers of log/slog:
//
//	func TestOrdersComparator(t *testing.T) {
//		if err := shadowtest.TestComparator(orders, samples...); err != nil {
//			t.Error(err)
//		}
//	}
//
// Each function calls the part with inputs of its own and with the samples given, first alone
// and, if nothing is wrong so far, from many goroutines at a time. It returns nil, or an error
// that joins one error for each broken rule, with the first sample that showed it. The
// functions do not take a *testing.T, so that they work with any test framework, and so that
// tests can expect a failure.
//
// Run these tests with -race: only the race detector finds state that is kept without a lock.
// Some faults of that kind, such as a map that two goroutines write to, end the whole test
// program.
//
// The handling of bodies is checked only if the part knows their format: give samples like
// those of your traffic, complete as a Mirror would hand them out: an Exchange with its
// request and both answers. Samples are copied and never changed.
//
// A call that does not return within 10 seconds (of fake time, in a bubble of
// testing/synctest) is reported, and ends the checks.
package shadowtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/internal/pointer"
)

// TestComparator checks that c
//
//   - does not panic, whatever is nil, empty, broken or Truncated in the two answers;
//   - does not change the Exchange, nor write into or behind the bytes of a Body;
//   - finds no differences between identical answers, unless they are Truncated;
//   - finds the same differences each time, alone and among others, and does not change
//     those it has returned;
//   - returns differences with a Path (RFC 6901) into the answer, in path order: token by
//     token, array indexes by their value and before names;
//   - returns differences of one of the kinds, where a Missing has no shadow value and
//     an Extra no primary one, and where values are JSON.
//
// It does not ask that the differences of two answers are those of the same answers
// exchanged: a Comparator may allow the shadow what it does not allow the primary.
func TestComparator(c shadow.Comparator, samples ...*shadow.Exchange) error {
	r := &report{part: "Comparator"}
	list := exchanges(samples)
	earlier := make([]found, len(list))
	for i, s := range list {
		if earlier[i] = r.compare(c, s); r.hung.Load() {
			return r.err()
		}
		r.wellFormed(s.name, earlier[i].diffs)
	}
	for _, s := range list {
		same := *s.of
		same.Shadow = same.Primary.Clone()
		if got := r.compare(c, sample[*shadow.Exchange]{s.name, &same}); len(got.diffs) > 0 && !same.Primary.Truncated {
			r.broke("must find no differences between identical answers", s.name, "it found %s", lines(got.diffs))
		}
		if r.hung.Load() {
			return r.err()
		}
	}
	for i, s := range list {
		if again := r.compare(c, s); again.ok && earlier[i].ok && !sameDiffs(again.diffs, earlier[i].before) {
			r.broke("must find the same differences each time", s.name,
				"first %s, then %s", lines(earlier[i].before), lines(again.diffs))
		}
	}
	r.keptDiffs(list, earlier)
	if err := r.err(); err != nil {
		return err // among others it does no better
	}
	r.manyTimes(len(list), func(i int) {
		if now := r.compare(c, list[i]); now.ok && earlier[i].ok && !sameDiffs(now.diffs, earlier[i].before) {
			r.broke("must find the same differences while others compare", list[i].name,
				"alone %s, among others %s", lines(earlier[i].before), lines(now.diffs))
		}
	})
	r.keptDiffs(list, earlier)
	return r.err()
}

// keptDiffs checks that the differences found before are still what they were.
func (r *report) keptDiffs(list []sample[*shadow.Exchange], earlier []found) {
	for i, s := range list {
		if !sameDiffs(earlier[i].diffs, earlier[i].before) {
			r.broke("must not change differences that it has returned", s.name,
				"they were %s and are %s now", lines(earlier[i].before), lines(earlier[i].diffs))
		}
	}
}

// found is what a Comparator returned.
type found struct {
	diffs  []shadow.Diff
	before []shadow.Diff // a copy
	ok     bool          // it did return
}

// compare calls c with a copy of s.
func (r *report) compare(c shadow.Comparator, s sample[*shadow.Exchange]) (got found) {
	x, w := watchExchange(s.of)
	var diffs []shadow.Diff
	if got.ok = r.call(s.name, func() { diffs = c.Compare(x).Diffs }); !got.ok {
		return got
	}
	got.diffs = diffs
	if what := w.changed(); what != "" {
		r.broke("must not change the Exchange", s.name, "it changed %s", what)
	}
	for _, d := range got.diffs {
		d.Primary, d.Shadow = bytes.Clone(d.Primary), bytes.Clone(d.Shadow)
		got.before = append(got.before, d)
	}
	return got
}

func sameDiffs(a, b []shadow.Diff) bool {
	return slices.EqualFunc(a, b, func(a, b shadow.Diff) bool { return reflect.DeepEqual(a, b) })
}

// lines writes differences on one line.
func lines(diffs []shadow.Diff) string {
	list := make([]string, len(diffs))
	for i, d := range diffs {
		list[i] = fmt.Sprintf("%s %s (%s, %s)", d.Path, d.Kind, d.Primary, d.Shadow)
	}
	return fmt.Sprintf("%d: [%s]", len(diffs), strings.Join(list, "; "))
}

// wellFormed checks the differences themselves.
func (r *report) wellFormed(name string, diffs []shadow.Diff) {
	for i, d := range diffs {
		if !isPath(d.Path) {
			r.broke("must return paths that are RFC 6901 pointers to /status, or into /header, /trailer or /body", name, "it returned %q", d.Path)
		}
		switch d.Kind {
		case shadow.Changed, shadow.TypeChanged, shadow.Reordered:
		case shadow.Missing:
			if d.Shadow != nil {
				r.broke("must return no shadow value of what is Missing", name, "it returned %s", lines(diffs[i:i+1]))
			}
		case shadow.Extra:
			if d.Primary != nil {
				r.broke("must return no primary value of what is Extra", name, "it returned %s", lines(diffs[i:i+1]))
			}
		default:
			r.broke("must return one of the kinds of differences", name, "it returned %q at %s", d.Kind, d.Path)
		}
		for _, value := range []json.RawMessage{d.Primary, d.Shadow} {
			if value != nil && !json.Valid(value) {
				r.broke("must return values that are JSON", name, "it returned %q at %s", value, d.Path)
			}
		}
		if i > 0 && pointer.Compare(diffs[i-1].Path, d.Path) > 0 {
			r.broke("must return differences in path order", name, "it returned %s before %s", diffs[i-1].Path, d.Path)
		}
	}
}

// isPath reports whether a path leads into an answer.
func isPath(path string) bool {
	head, rest, below := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if !strings.HasPrefix(path, "/") {
		return false
	}
	for i := range len(path) {
		if path[i] == '~' && (i+1 == len(path) || path[i+1] != '0' && path[i+1] != '1') {
			return false
		}
	}
	switch head {
	case "status":
		return !below
	case "header", "trailer":
		return below && rest != ""
	}
	return head == "body"
}

// TestMasker checks that m
//
//   - does not panic, whatever is nil, empty, broken or Truncated in the message;
//   - does not write into or behind the bytes of the Body that it was given: they are the
//     primary's too;
//   - does not change a Body that it has returned, as one that comes out of a pool does;
//   - fails where it has to look into a Body that is Truncated. That it has to is seen
//     where it changes the Body of a sample that is whole: it must then return an error,
//     take the Body away or put there what it puts in place of the whole Body. Give
//     samples that m changes;
//   - does with a message among others what it does alone, if it does the same each time.
//
// An error on a sample is not a fault: it means that nothing is sent or reported.
func TestMasker(m shadow.Masker, samples ...*shadow.Message) error {
	r := &report{part: "Masker"}
	list := messages(samples)
	earlier := make([]masked, len(list))
	for i, s := range list {
		if earlier[i] = r.mask(m, s); r.hung.Load() {
			return r.err()
		}
		r.failsClosed(m, s, earlier[i])
	}
	steady := make([]bool, len(list))
	for i, s := range list {
		steady[i] = r.mask(m, s).same(earlier[i])
	}
	r.keptBodies(list, earlier)
	if err := r.err(); err != nil {
		return err
	}
	r.manyTimes(len(list), func(i int) {
		if now := r.mask(m, list[i]); now.ok && steady[i] && !now.same(earlier[i]) {
			r.broke("must do the same while others mask", list[i].name,
				"alone %s, among others %s", earlier[i], now)
		}
	})
	r.keptBodies(list, earlier)
	return r.err()
}

// keptBodies checks that the bodies returned before are still what they were.
func (r *report) keptBodies(list []sample[*shadow.Message], earlier []masked) {
	for i, s := range list {
		if !bytes.Equal(earlier[i].of.Body, earlier[i].body) {
			r.broke("must not change a Body that it has returned", s.name,
				"it was %q and is %q now", earlier[i].body, earlier[i].of.Body)
		}
	}
}

// masked is what became of a message.
type masked struct {
	of   *shadow.Message
	then *shadow.Message // a copy
	body []byte          // that of then
	err  error
	ok   bool // the Masker did return
}

func (m masked) same(n masked) bool {
	return m.ok == n.ok && (m.err == nil) == (n.err == nil) && (m.err != nil || reflect.DeepEqual(m.then, n.then))
}

func (m masked) String() string {
	if m.err != nil {
		return fmt.Sprintf("the error %q", m.err)
	}
	return fmt.Sprintf("%d %s %v %v %q", m.then.StatusCode, m.then.URL, m.then.Header, m.then.Trailer, m.body)
}

// mask calls m with a copy of s.
func (r *report) mask(m shadow.Masker, s sample[*shadow.Message]) (got masked) {
	msg, w := watchMessage(s.of)
	var err error
	if got.ok = r.call(s.name, func() { err = m.Mask(msg) }); !got.ok {
		got.of, got.then = &shadow.Message{}, &shadow.Message{}
		return got
	}
	if w.written() {
		r.broke("must not write into the bytes of the Body, nor behind them", s.name, "give the Message a new Body")
	}
	got.of, got.then, got.err = msg, msg.Clone(), err
	got.body = got.then.Body
	return got
}

// failsClosed checks what m does with a part of a body that it has to look into.
func (r *report) failsClosed(m shadow.Masker, s sample[*shadow.Message], whole masked) {
	if !whole.ok || whole.err != nil || s.of.Truncated || bytes.Equal(whole.body, s.of.Body) {
		return
	}
	for _, n := range []int{0, len(s.of.Body) / 2, max(0, len(s.of.Body)-1)} {
		cut := s.of.Clone()
		cut.Body, cut.Truncated = cut.Body[:n], true
		got := r.mask(m, sample[*shadow.Message]{s.name + ", truncated", cut})
		switch {
		case r.hung.Load():
			return
		case !got.ok, got.err != nil, got.then.Body == nil, n > 0 && len(got.body) == 0:
		case len(got.body) > 0 && bytes.Equal(got.body, whole.body):
		default:
			r.broke("must fail on a Truncated body that it has to look into", s.name,
				"of %d of %d bytes it made %q and no error", n, len(s.of.Body), got.body)
		}
	}
}

// TestSampler checks that s
//
//   - does not panic at a request that a server or a client may have;
//   - does not change the request, of which parsing a form is a case;
//   - neither reads nor closes the body;
//   - returns a Decision with a Probability from 0 to 1, and samples the request if that is 1.
//
// It does not ask that s decides the same each time: a share of the requests is chosen
// by chance.
func TestSampler(s shadow.Sampler, samples ...*http.Request) error {
	r := &report{part: "Sampler"}
	list := requests(samples)
	check := func(i int) {
		req, w := watchRequest(list[i].of)
		var d shadow.Decision
		if !r.call(list[i].name, func() { d = s.Sample(req) }) {
			return
		}
		if !(d.Probability >= 0 && d.Probability <= 1) {
			r.broke("must return a probability from 0 to 1", list[i].name, "it returned %v", d.Probability)
		}
		if d.Probability == 1 && !d.Sampled {
			r.broke("must sample a request whose probability is 1", list[i].name, "it did not")
		}
		if what := w.changed(); what != "" {
			r.broke("must not change the request", list[i].name, "it changed %s", what)
		}
		if what := w.body.touched(); what != "" {
			r.broke("must leave the body alone", list[i].name, "it %s it", what)
		}
	}
	for i := range list {
		if check(i); r.hung.Load() {
			return r.err()
		}
	}
	if err := r.err(); err != nil {
		return err
	}
	r.manyTimes(len(list), check)
	return r.err()
}

// TestReporter checks that p
//
//   - does not panic, whatever is nil or empty in a Result, and whatever its outcome;
//   - reports each without an error, while its context lives;
//   - does not change the Result, which other reporters and goroutines read;
//   - comes back where its context has ended, with an error or without;
//   - where it has a method Flush(context.Context) error: can be flushed before anything
//     was reported and twice in a row, without an error while the context lives, comes back
//     where it has ended, and does not panic at a Result that comes later.
//
// It reports for real: give p a place to report to that is made for the test.
func TestReporter(p shadow.Reporter, samples ...*shadow.Result) error {
	r := &report{part: "Reporter"}
	list := results(samples)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r.flush(ctx, p, "nothing yet")
	for _, s := range list {
		if r.tell(ctx, p, s); r.hung.Load() {
			return r.err()
		}
	}
	if err := r.err(); err != nil {
		return err
	}
	for _, s := range list {
		copied, _ := watchResult(s.of) // one for all
		r.atOnce(s.name, func() { r.must(p.Report(ctx, copied), s.name) })
		if r.hung.Load() {
			return r.err()
		}
	}
	r.flush(ctx, p, "all")
	r.flush(ctx, p, "all, a second time")
	cancel()
	for _, s := range list {
		if r.tell(ctx, p, s); r.hung.Load() {
			return r.err()
		}
	}
	r.flush(ctx, p, "all, after the end of the context")
	return r.err()
}

// tell calls p with a copy of s.
func (r *report) tell(ctx context.Context, p shadow.Reporter, s sample[*shadow.Result]) {
	copied, w := watchResult(s.of)
	returned := r.call(s.name, func() {
		if err := p.Report(ctx, copied); ctx.Err() == nil {
			r.must(err, s.name)
		}
	})
	if !returned {
		return
	}
	if what := w.changed(); what != "" {
		r.broke("must not change the Result", s.name, "it changed %s", what)
	}
}

func (r *report) must(err error, name string) {
	if err != nil {
		r.broke("must report without an error while its context lives", name, "it returned %q", err)
	}
}

// flush flushes p if it can be.
func (r *report) flush(ctx context.Context, p shadow.Reporter, name string) {
	f, ok := p.(interface{ Flush(context.Context) error })
	if !ok || r.hung.Load() {
		return
	}
	r.call("Flush of "+name, func() {
		if err := f.Flush(ctx); err != nil && ctx.Err() == nil {
			r.broke("must flush without an error while its context lives", "Flush of "+name, "it returned %q", err)
		}
	})
}
