package alert

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/internal/pointer"
	"github.com/goshadow/shadow/report/tally"
)

const (
	maxRoutes = 1000 // that are told apart; the others are counted as tally.Other
	maxCauses = 64   // of a route; the others are counted as many causes
	maxShown  = 5    // places in the text of an alert
	few       = 10   // a cause with at most one in few of the differences is one of many
)

type routeKey struct{ mirror, target, route string }

// route is what a route came to lately.
type route struct {
	all, failed window
	plain       sample // of all comparisons
	controlled  sample // of those with a control: empty where there is none
}

// sample is what the differences of comparisons came to lately.
type sample struct {
	compared, different window
	noise               window             // the control differs where the candidate does not
	causes              map[string]*window // of the differences, by fingerprint
}

// differences returns the sample that differences are judged by. Without a control every
// difference counts. With one only results that it was asked for do, because noise is known
// in these alone: the control differs in them as often for no reason as the candidate does.
func (at *route) differences(slot int64) *sample {
	if at.controlled.compared.sum(slot) > 0 {
		return &at.controlled
	}
	return &at.plain
}

// excess is how many comparisons differ beyond noise.
func (s *sample) excess(slot int64) uint64 {
	n := s.different.sum(slot)
	return n - min(s.noise.sum(slot), n)
}

// window counts what happened in the last Options.Window, up to a tenth of it.
type window struct {
	counts [slots]uint32
	slot   int64 // of the last count
}

const slots = 10

// slide forgets what is not in the window that ends with slot.
func (w *window) slide(slot int64) {
	for ; w.slot < slot; w.slot++ {
		if slot-w.slot > slots { // all of it
			w.slot = slot - slots
		}
		w.counts[(w.slot+1)%slots] = 0
	}
}

func (w *window) add(slot int64) {
	w.slide(slot)
	w.counts[slot%slots]++
}

func (w *window) sum(slot int64) (n uint64) {
	w.slide(slot)
	for _, count := range w.counts {
		n += uint64(count)
	}
	return n
}

// count counts res, whose differences have that fingerprint, and raises an alert where its
// route has too many that should not be. It runs under mu.
func (r *Reporter) count(res *shadow.Result, fingerprint string, now time.Time) {
	at := r.route(routeKey{cut(res.Mirror), cut(res.Target), cut(res.Route)}, unmatched(res))
	slot := r.slot(now)
	at.all.add(slot)
	if res.Outcome == shadow.Match || res.Outcome == shadow.Mismatch {
		at.plain.compared.add(slot)
		if res.Control != nil {
			at.controlled.compared.add(slot)
			if noise(res) {
				at.controlled.noise.add(slot)
			}
		}
	}
	a := Alert{Class: Ticket, Mirror: cut(res.Mirror), Target: cut(res.Target), Route: cut(res.Route)}
	switch res.Outcome {
	case shadow.Mismatch:
		at.plain.count(fingerprint, slot)
		if res.Control != nil {
			at.controlled.count(fingerprint, slot)
		}
		judged := at.differences(slot)
		if res.Control != nil || judged == &at.plain {
			r.judgeDifferent(a, res, fingerprint, judged, now, slot)
		}
	case shadow.Failed:
		at.failed.add(slot)
		r.judgeFailed(a, res, at, now, slot)
	}
}

// tooMany reports whether n of all are.
func (r *Reporter) tooMany(n, all uint64, limit float64) bool {
	return n >= uint64(r.o.Min) && float64(n) > limit*float64(all)
}

// judgeDifferent raises an alert about the cause that has that fingerprint, or where it is
// one of many causes that are too much together, about the route.
func (r *Reporter) judgeDifferent(a Alert, res *shadow.Result, fingerprint string, at *sample, now time.Time, slot int64) {
	own := at.own(fingerprint, slot)
	n, all := at.excess(slot), at.compared.sum(slot)
	if !r.tooMany(n, all, r.o.DiffRate) {
		return
	}
	a.Name, a.Fingerprint, a.Count = "ShadowDifference", fingerprint, own
	a.Summary = fmt.Sprintf("%s: %d of the last %d comparisons differ, %d of them like this", a.where(), n, all, own)
	if own*few <= n {
		n = at.scattered(n, slot)
		if !r.tooMany(n, all, r.o.DiffRate) {
			return
		}
		a.Name, a.Fingerprint, a.Count = "ShadowDifferences", fingerprintOf("differences", res.Route), n
		a.Summary = fmt.Sprintf("%s: %d of the last %d comparisons differ, with many causes", a.where(), n, all)
	}
	a.Text = places(res) + "." + example(res.ID)
	if k := r.raise(a, now); k != nil {
		k.provisional = res.Control == nil
	}
}

// noise reports whether the control differs in res where the candidate does not.
func noise(res *shadow.Result) bool {
	return res.Control != nil && slices.ContainsFunc(res.Control.Diffs, func(c shadow.Diff) bool {
		same := func(d shadow.Diff) bool { return d.Kind == c.Kind && pointer.Fold(d.Path) == c.Path }
		return !slices.ContainsFunc(res.Diffs, same) && !slices.ContainsFunc(res.Noise, same)
	})
}

// stands reports whether k may be sent. An alert about differences that was raised before the
// control had been asked waits for what that says, as long as tickets wait.
func (r *Reporter) stands(k *known, now time.Time) bool {
	at := r.routes[routeKey{k.Mirror, k.Target, k.Route}]
	if !k.provisional || at == nil {
		return true
	}
	slot := r.slot(now)
	judged := at.differences(slot)
	return judged == &at.plain || r.tooMany(judged.excess(slot), judged.compared.sum(slot), r.o.DiffRate)
}

// slot is the number of the tenth of a window in which now is.
func (r *Reporter) slot(now time.Time) int64 { return now.UnixNano() / int64(r.o.Window/slots) }

// judgeFailed raises an alert about a route whose copies get no answer.
func (r *Reporter) judgeFailed(a Alert, res *shadow.Result, at *route, now time.Time, slot int64) {
	n, all := at.failed.sum(slot), at.all.sum(slot)
	if !r.tooMany(n, all, r.o.ErrorRate) {
		return
	}
	a.Name, a.Fingerprint, a.Count = "ShadowFailure", fingerprintOf("failure", res.Route), n
	a.Summary = fmt.Sprintf("%s: %d of the last %d copies got no answer", a.where(), n, all)
	if res.Err != nil {
		a.Text = "The last error: " + cut(res.Err.Error()) + "."
	}
	a.Text += example(res.ID)
	r.raise(a, now)
}

// unmatched reports whether the primary may not serve the path of res: clients make up such
// paths, and each may be a route.
func unmatched(res *shadow.Result) bool {
	return res.Primary != nil && (res.Primary.StatusCode == http.StatusNotFound || res.Primary.StatusCode == http.StatusMethodNotAllowed)
}

// route returns the route of k, or one of tally.Other where there is no room for it. Routes
// that are new with an unmatched result take at most half of the room.
func (r *Reporter) route(k routeKey, unmatched bool) *route {
	if r.routes[k] == nil && (len(r.routes) >= maxRoutes || unmatched && r.unmatched >= maxRoutes/2) {
		k.route, unmatched = tally.Other, false
	}
	if r.routes[k] == nil && len(r.routes) >= 2*maxRoutes {
		k = routeKey{tally.Other, tally.Other, tally.Other}
	}
	at := r.routes[k]
	if at == nil {
		at = &route{}
		if unmatched {
			r.unmatched++
		}
		r.routes[routeKey{strings.Clone(k.mirror), strings.Clone(k.target), strings.Clone(k.route)}] = at
	}
	return at
}

// count counts a difference of that fingerprint, as long as there is room for it.
func (s *sample) count(fingerprint string, slot int64) {
	s.different.add(slot)
	own := s.causes[fingerprint]
	if own == nil && len(s.causes) >= maxCauses {
		for old, w := range s.causes {
			if w.sum(slot) == 0 {
				delete(s.causes, old)
			}
		}
	}
	if own == nil && len(s.causes) >= maxCauses {
		return
	}
	if own == nil {
		if s.causes == nil {
			s.causes = map[string]*window{}
		}
		own = &window{}
		s.causes[fingerprint] = own
	}
	own.add(slot)
}

// own is how many differences have that fingerprint, 0 where there was no room for it.
func (s *sample) own(fingerprint string, slot int64) uint64 {
	if w := s.causes[fingerprint]; w != nil {
		return w.sum(slot)
	}
	return 0
}

// scattered is how many of the n differences have a cause that is one of many.
func (s *sample) scattered(n uint64, slot int64) uint64 {
	rest := n
	for _, w := range s.causes {
		if own := w.sum(slot); own*few > n {
			rest -= min(own, rest)
		}
	}
	return rest
}

// places says where and how the answers of res differ, without values.
func places(res *shadow.Result) string {
	var text strings.Builder
	if p, s := res.Primary, res.Shadow; p != nil && s != nil {
		fmt.Fprintf(&text, "Status %d became %d; ", p.StatusCode, s.StatusCode)
	}
	for i, d := range res.Diffs[:min(len(res.Diffs), maxShown)] {
		if i > 0 {
			text.WriteString(", ")
		}
		fmt.Fprintf(&text, "%s %s", cut(d.Path), d.Kind)
	}
	if more := len(res.Diffs) - maxShown; more > 0 || res.More {
		text.WriteString(" and more")
	}
	return text.String()
}

// example names a request to look at.
func example(id string) string {
	if id == "" {
		return ""
	}
	return " Example: " + cut(id) + "."
}

// fingerprintOf is the fingerprint of what is no difference.
func fingerprintOf(parts ...string) string {
	return fmt.Sprintf("%016x", max(xxhash.Sum64String(strings.Join(parts, "\x00")), 1))
}

// camel makes SideEffect of side-effect.
func camel(kind string) string {
	var out strings.Builder
	for word := range strings.FieldsFuncSeq(cut(kind), func(c rune) bool { return c == '-' || c == '_' || c == '.' || c == ' ' }) {
		c, n := utf8.DecodeRuneInString(word)
		out.WriteString(strings.ToUpper(string(c)) + word[n:])
	}
	return out.String()
}

// cut bounds the text of others, between two characters.
func cut(s string) string {
	if len(s) <= maxName {
		return s
	}
	n := maxName
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return strings.Clone(s[:n]) // not what was cut off
}

// order puts pages first, and what is about one thing together.
func order(alerts []Alert) {
	slices.SortFunc(alerts, func(a, b Alert) int {
		return cmp.Or(cmp.Compare(a.Class, b.Class), cmp.Compare(a.Mirror, b.Mirror), cmp.Compare(a.Target, b.Target),
			cmp.Compare(a.Route, b.Route), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Fingerprint, b.Fingerprint))
	})
}
