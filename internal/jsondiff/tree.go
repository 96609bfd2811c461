package jsondiff

import (
	"bytes"
	"slices"

	"github.com/goshadow/shadow/internal/jsonpath"
)

// tree is the second tier: it compares the rest of one container, of which
// both sides are on tapes. The values of a container are paired first
// (pair.go); then the pairs are compared in the order of A.
type tree struct {
	a, b    tape
	visits  []visit
	places  []place // see alike
	mode    mode
	root    jsonpath.State // at the container that was taken over
	spare   int            // bytes that may still be compared on the off chance that they are the same
	pairing pairing
}

// visit is a pair of containers on the stack of the second tier.
type visit struct {
	a, b         int32 // nodes
	nextA, nextB int32 // the children to compare next
	curA, curB   int32 // the children that are being compared; none is -1
	unpaired     int   // children of b without a mate that have not come up
	keyed        int   // the rule that pairs the elements; none is -1
	hits         int   // of rules before it
	ordered      bool  // an array without a rule
	stA, stB     jsonpath.State
}

// mode is what is wanted of the second tier.
type mode uint8

const (
	verdict        mode = iota // stop at the first difference and record none
	verdictAligned             // the same, with ordered arrays aligned
	inOrder                    // pair ordered arrays by index; on a difference inside one, align it
	aligned                    // align ordered arrays
)

// outcome is what the second tier found.
type outcome uint8

const (
	equal outcome = iota
	different
	full // as many differences as wanted
)

// large reports whether the scratch is too big to keep.
func (t *tree) large() bool { return cap(t.a.nodes)+cap(t.b.nodes) > 1<<19 } // 14 MiB of nodes

// compareTrees compares the containers on the tapes. State and e are what the
// rules say about them.
func (s *comparison) compareTrees(state jsonpath.State, e effect, how mode) outcome {
	t := &s.tree
	t.mode, t.root = how, state
	t.visits = t.visits[:0]
	found := s.visit(0, 0, state, state, &e)
	for len(t.visits) > 0 && found != full && s.left >= 0 {
		v := &t.visits[len(t.visits)-1]
		var o outcome
		switch {
		case v.nextA < t.a.nodes[v.a].next:
			v.curA = v.nextA
			v.nextA = t.a.nodes[v.curA].next
			v.curB = t.a.nodes[v.curA].mate
			if v.curB == none {
				o = s.missing(v)
			} else {
				o = s.pair(v)
			}
		case v.unpaired > 0:
			v.curA, v.curB = none, v.nextB
			n := &t.b.nodes[v.curB]
			v.nextB = n.next
			if n.mate != none {
				continue
			}
			v.unpaired--
			o = s.extra(v)
		default:
			t.visits = t.visits[:len(t.visits)-1]
		}
		if o == equal {
			continue
		}
		found = o
		if how <= verdictAligned {
			break
		}
	}
	t.visits = t.visits[:0]
	if s.left < 0 { // see matchWork
		s.result.More = true
		return full
	}
	return found
}

// visit pairs the children of two containers of the same type and puts them on
// the stack.
func (s *comparison) visit(a, b int32, stA, stB jsonpath.State, e *effect) outcome {
	t := &s.tree
	n := len(t.visits)
	if n == cap(t.visits) {
		t.visits = slices.Grow(t.visits, 1)
	}
	v := &t.visits[:n+1][n]
	v.a, v.nextA, v.curA, v.stA = a, a+1, none, stA
	v.b, v.nextB, v.curB, v.stB = b, b+1, none, stB
	v.keyed, v.ordered, v.hits = none, false, len(s.hits)
	found := equal
	switch {
	case t.a.kind(a) == '{':
		v.unpaired = s.pairMembers(a, b)
	case e.keyed >= 0:
		v.keyed = e.keyed - s.c.paths.unordered
		var found bool
		if v.unpaired, found = s.pairKeyed(a, b, s.c.members[v.keyed]); found {
			s.took(e.keyed)
		}
	case e.unordered >= 0:
		s.took(e.unordered)
		v.unpaired = s.pairUnordered(a, b, stA, stB)
	case (t.mode == aligned || t.mode == verdictAligned) && !s.dense():
		v.ordered = true
		var reordered bool
		if v.unpaired, reordered = s.align(a, b); reordered {
			found = s.report(Reordered, a, b)
		}
	default:
		v.ordered = true
		v.unpaired = s.pairInOrder(a, b)
	}
	t.visits = t.visits[:n+1]
	return found
}

// maxAligned is how many values ordered arrays are aligned in, and one more for each
// bytesPerValue of the documents. Elements of what holds more are paired by their index: to
// align them takes a multiple of the time and memory that reading takes.
const maxAligned, bytesPerValue = 1 << 14, 5

// dense reports whether the containers on the tapes hold too many values to align arrays in.
func (s *comparison) dense() bool {
	return len(s.tree.a.nodes)+len(s.tree.b.nodes) > maxAligned+(len(s.a)+len(s.b))/bytesPerValue
}

// pair compares the two current children of v, which may push them on the
// stack: v is not to be used afterwards.
func (s *comparison) pair(v *visit) outcome {
	s.work++
	t := &s.tree
	x, y := &t.a.nodes[v.curA], &t.b.nodes[v.curB]
	litA, litB := x.literal(s.a), y.literal(s.b)
	kind := litA[0]
	container := isContainer(kind)
	if !container || len(litA) == len(litB) && t.spare > 0 {
		if bytes.Equal(litA, litB) {
			return equal
		}
		if container {
			t.spare -= len(litA)
			s.work += len(litA)
		}
	}
	var stA, stB jsonpath.State
	e := noEffect
	if s.ruled(v.stA, v.stB) {
		stA, stB = s.childStates(v)
		e = s.effect(stA, stB, int(x.start), int(y.start))
		if e.ignore >= 0 {
			s.took(e.ignore)
			return equal
		}
	}
	if container && kind == litB[0] {
		return s.visit(v.curA, v.curB, stA, stB, &e)
	}
	if kind, same := s.compareValues(litA, litB, &e); !same {
		return s.report(kind, v.curA, v.curB)
	}
	return equal
}

// missing settles the current child of v that only A has.
func (s *comparison) missing(v *visit) outcome {
	s.work++
	if s.ruled(v.stA, v.stB) {
		stA, _ := s.childStates(v)
		if e := s.effect(stA, jsonpath.State{}, int(s.tree.a.nodes[v.curA].start), absent.Start); e.ignore >= 0 {
			s.took(e.ignore)
			return equal
		}
	}
	return s.report(Missing, v.curA, none)
}

// extra settles the current child of v that only B has.
func (s *comparison) extra(v *visit) outcome {
	s.work++
	if s.ruled(v.stA, v.stB) {
		_, stB := s.childStates(v)
		if e := s.effect(jsonpath.State{}, stB, absent.Start, int(s.tree.b.nodes[v.curB].start)); e.ignore >= 0 {
			s.took(e.ignore)
			return equal
		}
	}
	return s.report(Extra, none, v.curB)
}

// childStates returns the states at the current children of v. A child that
// only one side has is in the same state on both.
func (s *comparison) childStates(v *visit) (stA, stB jsonpath.State) {
	t := &s.tree
	if v.curA != none {
		stA = s.nodeState(&t.a, v.a, v.curA, v.stA)
		if v.curB == none || v.stA == v.stB && s.sameStep(v) {
			return stA, stA
		}
	}
	stB = s.nodeState(&t.b, v.b, v.curB, v.stB)
	if v.curA == none {
		stA = stB
	}
	return stA, stB
}

// sameStep reports whether the current children of v are at the same place of
// their containers.
func (s *comparison) sameStep(v *visit) bool {
	t := &s.tree
	return t.a.kind(v.a) == '{' || t.a.nodes[v.curA].name == t.b.nodes[v.curB].name
}

// nodeState returns the state at a child of a container in the given state.
func (s *comparison) nodeState(t *tape, container, child int32, st jsonpath.State) jsonpath.State {
	n := &t.nodes[child]
	switch {
	case st.Dead():
		return st
	case t.kind(container) == '{':
		return s.c.set.Member(st, s.nameOf(n.nameLiteral(t.doc)))
	}
	return s.c.set.Element(st, int(n.name))
}

// report settles a difference between node a and node b, either of which may
// be none.
func (s *comparison) report(kind Kind, a, b int32) outcome {
	t := &s.tree
	switch t.mode {
	case verdict, verdictAligned:
		return different
	case inOrder:
		for k := range t.visits {
			if t.visits[k].ordered {
				return s.realign(k)
			}
		}
	}
	if !s.record(kind, t.a.span(a), t.b.span(b)) {
		return full
	}
	return different
}

// realign begins again with the array of visit k, and aligns it and whatever
// comes after it.
func (s *comparison) realign(k int) outcome {
	t := &s.tree
	t.mode = aligned
	v, e := t.visits[k], noEffect
	t.visits = t.visits[:k]
	s.hits = s.hits[:v.hits]
	t.a.unpair(v.a)
	t.b.unpair(v.b)
	return s.visit(v.a, v.b, v.stA, v.stB, &e)
}
