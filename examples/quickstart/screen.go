package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/goshadow/shadow"
)

// screen prints for people: at most 100 columns, colours and a moving progress bar
// on a terminal, plain text anywhere else.
type screen struct {
	out      io.Writer
	terminal bool
}

func newScreen(out io.Writer) *screen {
	s := &screen{out: out}
	if f, ok := out.(*os.File); ok {
		info, err := f.Stat()
		s.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return s
}

// progress announces the play and returns what draws the bar. The bar moves on a
// terminal; elsewhere it is printed once, when it is full.
func (s *screen) progress(total int) func(done int) {
	s.printf("Playing %s recorded requests to v1; a mirror sends copies to v2.\n\n", number(total))
	const width = 60
	drawn := -1
	return func(done int) {
		cells := width * done / total
		if cells == drawn || done < total && !s.terminal {
			return
		}
		drawn = cells
		if s.terminal {
			s.printf("\r")
		}
		s.printf("  %s%s %s of %s", strings.Repeat("█", cells), strings.Repeat("░", width-cells), number(done), number(total))
		if done == total {
			s.printf("\n")
		}
	}
}

func (s *screen) show(r *rehearsal) {
	s.ledger(r.stats)
	s.differences(r.findings)
	s.speed(r.findings)
	s.overhead(r.trips)
	s.verdict(r)
}

// ledger says what became of every request.
func (s *screen) ledger(st shadow.Stats) {
	s.title("Requests", "each is counted exactly once")
	s.count(st.Requests, "reached v1, which answered them all")
	for _, reason := range slices.Sorted(maps.Keys(st.Skipped)) {
		s.count(st.Skipped[reason], "not copied: "+explain(reason))
	}
	for _, reason := range slices.Sorted(maps.Keys(st.Dropped)) {
		s.count(st.Dropped[reason], "copy lost: "+explain(reason))
	}
	if len(st.Dropped) == 0 {
		s.count(0, "lost to a limit of the mirror")
	}
	if st.Uncompared > 0 {
		s.count(st.Uncompared, "copied, not compared")
	}
	if st.Failed > 0 {
		s.count(st.Failed, "copied, but v2 gave no answer")
	}
	s.count(st.Match, "copied and compared: the same answer")
	s.count(st.Mismatch, s.red("copied and compared: a different answer"))
}

func explain(reason shadow.Reason) string {
	if reason == shadow.ReasonMethod {
		return "the method may change data (POST); GET, HEAD and OPTIONS are copied"
	}
	return string(reason)
}

// differences lists, route by route, the places where the answers differ.
func (s *screen) differences(f *findings) {
	s.title("Differences", "v1's answer → v2's answer, by route and place in the answer")
	width := 0
	for _, rt := range f.routes {
		for p := range rt.differences {
			width = max(width, len(p.path))
		}
	}
	for i, name := range f.routesByDiffering() {
		rt := f.routes[name]
		if rt.differing == 0 {
			break
		}
		if i > 0 {
			s.printf("\n")
		}
		share := fmt.Sprintf("%s of %s answers differ", number(rt.differing), number(rt.answers))
		s.printf("  %s%*s\n", s.bold(name), 96-utf8.RuneCountInString(name), share)
		for _, p := range rt.places() {
			d := rt.differences[p]
			s.printf("  %7s  %-*s  %s → %s\n", number(d.answers), width, p.path,
				s.bold(value(d.example.Primary)), s.red(value(d.example.Shadow)))
			s.printf("  %7s  %s\n", "", s.dim(fmt.Sprintf("%-*s  e.g. %s", width, what(d.example), clip(d.request, 50))))
		}
	}
	if f.unlisted > 0 {
		s.printf("\n  %7s  more, for which the list has no room\n", number(f.unlisted))
	}
}

// what names the kind of a difference, and what its values look like where that
// says more: "type-changed (numeric)".
func what(d shadow.Diff) string {
	if d.Class == shadow.ClassNone || d.Kind == shadow.Reordered {
		return string(d.Kind)
	}
	return fmt.Sprintf("%s (%s)", d.Kind, d.Class)
}

// value shows a JSON value in one short piece.
func value(v json.RawMessage) string {
	if v == nil {
		return "(absent)"
	}
	var line bytes.Buffer
	if json.Compact(&line, v) != nil {
		return "(not JSON)"
	}
	return clip(line.String(), 26)
}

// speed compares how long both sides took.
func (s *screen) speed(f *findings) {
	s.title("Latency", "in milliseconds; v2's includes the way over the network, v1's does not")
	s.printf("  %-32s%22s%25s\n", "", "v1 (primary)", "v2 (shadow)")
	s.printf("  %-32s%8s%7s%7s%11s%7s%7s\n", "", "p50", "p95", "p99", "p50", "p95", "p99")
	row := func(name string, rt *route) {
		s.printf("  %-32s%8s%7s%7s%11s%7s%7s", clip(name, 32),
			ms(rt.primary.quantile(.50)), ms(rt.primary.quantile(.95)), ms(rt.primary.quantile(.99)),
			ms(rt.shadow.quantile(.50)), ms(rt.shadow.quantile(.95)), ms(rt.shadow.quantile(.99)))
		if rt.slow() {
			s.printf("  %s", s.red(fmt.Sprintf("%.0f x slower", rt.slowdown())))
		}
		s.printf("\n")
	}
	all := &route{}
	for _, name := range f.routesByAnswers() {
		rt := f.routes[name]
		all.primary.merge(&rt.primary)
		all.shadow.merge(&rt.shadow)
		row(name, rt)
	}
	row("all", all)
}

// overhead says what the mirror costs the callers of v1.
func (s *screen) overhead(trips []trip) {
	s.title("What the mirror costs a caller of v1", "milliseconds until the last byte of the answer")
	var alone, mirrored latencies
	added := make([]time.Duration, len(trips))
	for i, t := range trips {
		alone.add(t.alone)
		mirrored.add(t.mirrored)
		added[i] = t.mirrored - t.alone
	}
	s.printf("  %-32s%8s%7s%7s\n", "", "p50", "p95", "p99")
	for _, side := range []struct {
		name string
		l    *latencies
	}{{"v1 alone", &alone}, {"v1 with the mirror", &mirrored}} {
		s.printf("  %-32s%8s%7s%7s\n", side.name,
			ms(side.l.quantile(.50)), ms(side.l.quantile(.95)), ms(side.l.quantile(.99)))
	}
	median, low, high := medianInterval(added)
	s.printf("\n  Each request was sent to both, in turn. Added, by the median pair: %+.3f ms", median.Seconds()*1e3)
	if low <= 0 && high >= 0 {
		s.printf(", within the noise")
	}
	s.printf("\n  (95 %% confidence: %+.3f to %+.3f ms). v2 works on the same cores here.\n", low.Seconds()*1e3, high.Seconds()*1e3)
}

// verdict sums up in one line.
func (s *screen) verdict(r *rehearsal) {
	var differences, slow, failed int
	for _, rt := range r.findings.routes {
		differences += len(rt.differences)
		failed += rt.failed
		if rt.slow() {
			slow++
		}
	}
	if differences+slow+failed == 0 {
		s.printf("\n%s v2 answers as v1 does.\n", s.bold("No difference found:"))
		return
	}
	s.printf("\n%s %s, %s, %s. No caller saw any of it.\n", s.bold("v2 is not ready:"),
		plural(differences, "difference"), plural(slow, "slow route"), plural(failed, "failed request"))
}

// describe puts one result into a few lines.
func describe(r *shadow.Result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s %s  ", r.Request.Method, clip(r.Request.URL.RequestURI(), 60))
	if r.Shadow == nil {
		fmt.Fprintf(&b, "v2 failed: %v", r.Err)
		return b.String()
	}
	fmt.Fprintf(&b, "%v: v1 took %s ms, v2 %s ms", r.Outcome, ms(r.Primary.Took), ms(r.Shadow.Took))
	for _, d := range r.Diffs {
		fmt.Fprintf(&b, "\n  %-32s  %s → %s", d.Path, value(d.Primary), value(d.Shadow))
	}
	return b.String()
}

// slowdown is how many times longer the shadow took, by the median.
func (rt *route) slowdown() float64 {
	return float64(rt.shadow.quantile(.50)) / float64(rt.primary.quantile(.50))
}

// slow leaves out what a trip over the network explains.
func (rt *route) slow() bool {
	return rt.slowdown() >= 2 && rt.shadow.quantile(.50)-rt.primary.quantile(.50) > 2*time.Millisecond
}

// places returns the most frequent differences first.
func (rt *route) places() []place {
	return slices.SortedFunc(maps.Keys(rt.differences), func(a, b place) int {
		return cmp.Or(
			cmp.Compare(rt.differences[b].answers, rt.differences[a].answers),
			cmp.Compare(a.path, b.path),
			cmp.Compare(a.kind, b.kind),
		)
	})
}

func (f *findings) routesByDiffering() []string {
	return slices.SortedFunc(maps.Keys(f.routes), func(a, b string) int {
		return cmp.Or(cmp.Compare(f.routes[b].differing, f.routes[a].differing), cmp.Compare(a, b))
	})
}

func (f *findings) routesByAnswers() []string {
	return slices.SortedFunc(maps.Keys(f.routes), func(a, b string) int {
		return cmp.Or(cmp.Compare(f.routes[b].answers, f.routes[a].answers), cmp.Compare(a, b))
	})
}

func (s *screen) printf(format string, args ...any) { fmt.Fprintf(s.out, format, args...) }

func (s *screen) title(title, explanation string) {
	s.printf("\n%s  %s\n\n", s.bold(strings.ToUpper(title)), s.dim(explanation))
}

func (s *screen) count(n uint64, what string) { s.printf("  %7s  %s\n", number(n), what) }

func (s *screen) bold(text string) string { return s.paint("1", text) }
func (s *screen) dim(text string) string  { return s.paint("2", text) }
func (s *screen) red(text string) string  { return s.paint("31", text) }

func (s *screen) paint(code, text string) string {
	if !s.terminal {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// number writes 3000 as 3,000.
func number[N int | uint64](n N) string {
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return number(n) + " " + noun + "s"
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f", d.Seconds()*1e3) }

// clip shortens text to at most n characters.
func clip(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	return string([]rune(text)[:n-1]) + "…"
}
