package jsonpath

import (
	"fmt"
	"slices"

	"github.com/goshadow/shadow/internal/jsonscan"
)

// The work of one evaluation is bounded by freeVisits, plus visitsPerValue for
// each value of the document: stacked descendant segments ($..*..*..*) and
// filters that search whole subtrees ($..[?@..a]) multiply otherwise. A visit is
// one value looked at, or visitBytes of text compared.
const (
	freeVisits     = 1 << 20
	visitsPerValue = 32
	visitBytes     = 64
)

// Select evaluates the path on a document: the nodelist in the order of RFC 9535,
// members in document order, duplicates kept. maxDepth bounds the nesting of the
// document, as in jsonscan. The error is a *jsonscan.SyntaxError for broken JSON;
// any other says that the evaluation was given up because it visits many times
// more values than the document has.
func (p *Path) Select(doc []byte, maxDepth int) ([]Node, error) {
	t, err := newTape(doc, maxDepth)
	if err != nil {
		return nil, err
	}
	ev := newEvaluator(t, p)
	list := ev.list(p.segments, 0)
	if err := ev.err(); err != nil {
		return nil, err
	}
	nodes := make([]Node, len(list))
	for i, at := range list {
		e := t.entries[at]
		nodes[i] = Node{Start: int(e.start), End: int(e.end), tape: t, at: at}
	}
	return nodes, nil
}

// An evaluator evaluates one path on one document. Nodes are entries of the tape.
type evaluator struct {
	*tape
	path     *Path
	left     int                 // visits that remain; negative: given up
	absolute map[*query][]uint32 // results of absolute queries in filters
	patterns map[*call]*pattern  // the last pattern of match and search that is not a constant
	free     [][]uint32
	name     []byte
	folded   []byte
}

func newEvaluator(t *tape, p *Path) *evaluator {
	return &evaluator{
		tape:     t,
		path:     p,
		left:     freeVisits + visitsPerValue*len(t.entries),
		absolute: make(map[*query][]uint32),
		patterns: make(map[*call]*pattern),
	}
}

func (ev *evaluator) err() error {
	if ev.left >= 0 {
		return nil
	}
	return fmt.Errorf("path %q: evaluation given up after visiting %d values of a document of %d",
		ev.path, freeVisits+visitsPerValue*len(ev.entries), len(ev.entries))
}

// spendText accounts for looking at n bytes.
func (ev *evaluator) spendText(n int) { ev.left -= 1 + n/visitBytes }

// list applies segments to one node: the nodelist with order and duplicates.
func (ev *evaluator) list(segments []segment, from uint32) []uint32 {
	nodes := append(ev.buffer(), from)
	for i := range segments {
		next := ev.apply(&segments[i], nodes, ev.buffer())
		ev.release(nodes)
		nodes = next
	}
	return nodes
}

// set is list without order and duplicates, at a cost linear in the document for
// each segment.
func (ev *evaluator) set(segments []segment, from uint32) []uint32 {
	nodes := append(ev.buffer(), from)
	for i := range segments {
		if segments[i].descendant {
			nodes = ev.outermost(nodes)
		}
		next := ev.apply(&segments[i], nodes, ev.buffer())
		ev.release(nodes)
		slices.Sort(next)
		nodes = slices.Compact(next)
	}
	return nodes
}

// outermost drops the nodes that lie below others; nodes is in document order.
func (ev *evaluator) outermost(nodes []uint32) []uint32 {
	kept := nodes[:0]
	covered := uint32(0)
	for _, at := range nodes {
		if at >= covered {
			kept = append(kept, at)
			covered = ev.entries[at].next
		}
	}
	return kept
}

// apply appends what a segment makes of a nodelist.
func (ev *evaluator) apply(seg *segment, nodes, out []uint32) []uint32 {
	for _, at := range nodes {
		end := at + 1
		if seg.descendant {
			end = ev.entries[at].next
		}
		for ; at < end && ev.left >= 0; at++ {
			ev.left--
			for i := range seg.selectors {
				out = ev.pick(&seg.selectors[i], at, out)
			}
		}
	}
	return out
}

// pick appends the children of a node that a selector picks.
func (ev *evaluator) pick(s *selector, at uint32, out []uint32) []uint32 {
	e := ev.entries[at]
	switch ev.doc[e.start] {
	case '{':
		for c := at + 1; c < e.next && ev.left >= 0; c = ev.entries[c].next {
			ev.left--
			if ev.member(s, c) {
				out = append(out, c)
			}
		}
	case '[':
		switch s.kind {
		case kindIndex, kindSlice:
			return ev.elements(s, at, out)
		case kindWildcard, kindFilter:
			for c := at + 1; c < e.next && ev.left >= 0; c = ev.entries[c].next {
				ev.left--
				if s.kind == kindWildcard || s.filter.holds(ev, c) {
					out = append(out, c)
				}
			}
		}
	}
	return out
}

func (ev *evaluator) member(s *selector, at uint32) bool {
	switch s.kind {
	case kindFilter:
		return s.filter.holds(ev, at)
	case kindName, kindGlob:
		if ev.startsOtherwise(s, at) {
			return false
		}
		name := ev.memberName(at)
		if ev.path.fold {
			ev.folded = appendFold(ev.folded[:0], name)
		}
		return ev.path.matchesName(s, name, ev.folded)
	}
	return ev.path.matchesName(s, nil, nil)
}

// startsOtherwise tells most names that s does not select from their first byte,
// which stands for itself unless it is a backslash.
func (ev *evaluator) startsOtherwise(s *selector, at uint32) bool {
	if s.kind == kindGlob || ev.path.fold {
		return false
	}
	first := byte('"')
	if s.name != "" {
		first = s.name[0]
	}
	c := ev.doc[ev.entries[at].name+1]
	return c != first && c != '\\'
}

// memberName is the decoded name, valid until the next call.
func (ev *evaluator) memberName(at uint32) []byte {
	start := int(ev.entries[at].name)
	end, simple, _ := jsonscan.String(ev.doc, start)
	ev.spendText(end - start)
	if simple {
		return ev.doc[start+1 : end-1]
	}
	ev.name = jsonscan.AppendUnquote(ev.name[:0], ev.doc[start:end])
	return ev.name
}

// elements is the index selector (RFC 9535 section 2.3.3.2) and the array slice
// selector (section 2.3.4.2.2).
func (ev *evaluator) elements(s *selector, at uint32, out []uint32) []uint32 {
	all := ev.children(at, ev.buffer())
	defer ev.release(all)
	ev.left -= len(all)
	size := int64(len(all))
	normal := func(i int64) int64 {
		if i < 0 {
			i += size
		}
		return i
	}
	if s.kind == kindIndex {
		if i := normal(s.index); i >= 0 && i < size {
			out = append(out, all[i])
		}
		return out
	}
	switch {
	case s.step > 0:
		lower, upper := int64(0), size
		if s.start.set {
			lower = max(normal(s.start.at), 0)
		}
		if s.end.set {
			upper = min(normal(s.end.at), size)
		}
		for i := lower; i < upper; i += s.step {
			out = append(out, all[i])
		}
	case s.step < 0:
		upper, lower := size-1, int64(-1)
		if s.start.set {
			upper = min(normal(s.start.at), size-1)
		}
		if s.end.set {
			lower = max(normal(s.end.at), -1)
		}
		for i := upper; i > lower; i += s.step {
			out = append(out, all[i])
		}
	}
	return out
}

// buffer returns an empty list to be filled, release takes one back.
func (ev *evaluator) buffer() []uint32 {
	if len(ev.free) == 0 {
		return nil
	}
	last := len(ev.free) - 1
	b := ev.free[last]
	ev.free = ev.free[:last]
	return b[:0]
}

func (ev *evaluator) release(b []uint32) {
	if b != nil {
		ev.free = append(ev.free, b)
	}
}
