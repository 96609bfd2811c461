package jsondiff

import "github.com/goshadow/shadow/internal/jsonpath"

// effect is what the rules say about a pair of values: the lowest ID of each
// kind of rule that selects one of them, -1 where there is none.
type effect struct{ ignore, unordered, keyed, tolerance int }

var noEffect = effect{-1, -1, -1, -1}

// paired reports whether an array's elements are paired by a rule.
func (e *effect) paired() bool { return e.keyed >= 0 || e.unordered >= 0 }

// add takes the IDs of the rules that select a value, in ascending order.
func (p *layout) add(e *effect, ids []int) {
	for _, id := range ids {
		var kind *int
		switch {
		case id < p.ignore:
			kind = &e.ignore
		case id < p.unordered:
			kind = &e.unordered
		case id < p.keyed:
			kind = &e.keyed
		default:
			kind = &e.tolerance
		}
		if *kind < 0 || id < *kind {
			*kind = id
		}
	}
}

// effect returns what the rules say about the value at offset a of A, where
// the automaton is in state stA, and the value at offset b of B in state stB.
// Where a side has no value its offset is negative.
func (s *comparison) effect(stA, stB jsonpath.State, a, b int) effect {
	e := noEffect
	if s.c.set == nil {
		return e
	}
	p := &s.c.paths
	if a >= 0 {
		p.add(&e, stA.IDs())
	}
	if b >= 0 && stB != stA || a < 0 {
		p.add(&e, stB.IDs())
	}
	if s.c.set.Deferred() {
		if a >= 0 {
			p.add(&e, s.locatedA.IDs(a))
		}
		if b >= 0 {
			p.add(&e, s.locatedB.IDs(b))
		}
	}
	return e
}

// took notes that a rule took effect.
func (s *comparison) took(id int) { s.hits = append(s.hits, int32(id)) }

// ruled reports whether any rule can select a value at or below state.
func (s *comparison) ruled(stA, stB jsonpath.State) bool {
	return s.c.set != nil && (s.c.set.Deferred() || !stA.Dead() || !stB.Dead())
}
