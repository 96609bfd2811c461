package jsonpath

import (
	"cmp"
	"encoding/binary"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"unicode/utf8"
)

// What a Set remembers of the automaton is bounded by the rules, not by the
// documents: at most maxEdges edges in all; states past that are computed anew on
// each step. Elements are told apart modulo the steps of slices, up to maxPeriod;
// a slice that would exceed it is deferred.
const (
	maxEdges  = 1 << 16
	maxPeriod = 64
)

// A Set matches several paths at once while a document is walked: [Set.Start] at
// the root, then [Set.Member] or [Set.Element] with each step down, and
// [State.IDs] tells which paths match there. Paths that cannot be decided that
// way are left out of the walk and evaluated by [Set.Locate].
//
// The paths become a nondeterministic automaton whose deterministic form is built
// lazily and kept, so a step is one look-up. Only names and indexes that occur in
// the paths are told apart. A Set is safe for concurrent use.
type Set struct {
	positions []position
	deferred  []deferredPath
	start     State
	nowhere   *state // where edges to the dead state lead
	hint      func() *regexp.Regexp
	unnamed   bool // a path ends in anything but names
	found     []atomic.Uint64

	mu     sync.Mutex
	room   int // edges that may still be remembered
	states map[string]*state
	cores  map[string]*core
}

// A position is a segment of a walked path that remains to be matched; the one
// after it in Set.positions follows unless it is the last.
type position struct {
	id      int
	path    *Path
	segment *segment
	last    bool
}

type deferredPath struct {
	id   int
	path *Path
}

// A State is what the walk knows at one place of the document. The zero State is
// dead: nothing matches there or below. States may be kept and compared: equal
// ones behave alike (the reverse may not hold).
type State struct{ s *state }

type state struct {
	ids  []int
	core *core // nil: nothing matches below
}

// A core is what matters for going down: the active positions and the edges.
// Several states share one if they differ only in what matches right there.
type core struct {
	positions []int32

	// Absent past maxEdges.
	exact    map[string]*edge // names spelled in the paths
	folded   map[string]*edge // the same for paths that ignore case, in folded form
	longest  int              // of the names that can have such a form
	sketch   sketch           // of both
	other    *edge            // every other name
	bounds   []int64          // where the sets of matching elements change
	period   int64            // of the steps of slices
	elements []edge           // by interval between bounds, then modulo period
}

// An edge leads to the next state, nil until somebody has gone there.
type edge = atomic.Pointer[state]

// NewSet returns the set of the paths, which it numbers from 0 in their order.
func NewSet(paths ...*Path) *Set {
	s := &Set{
		nowhere: new(state),
		room:    maxEdges,
		states:  make(map[string]*state),
		cores:   make(map[string]*core),
		found:   make([]atomic.Uint64, len(paths)),
	}
	expression, unnamed := hintsOf(paths)
	s.unnamed = unnamed
	s.hint = sync.OnceValue(func() *regexp.Regexp {
		if expression == "" {
			return nil
		}
		return regexp.MustCompile(expression)
	})
	period := int64(1)
	var start []int32
	var ids []int
	for id, p := range paths {
		walked, ok := p.walkPeriod(period)
		if !ok {
			s.deferred = append(s.deferred, deferredPath{id, p})
			continue
		}
		period = walked
		if len(p.segments) == 0 {
			ids = append(ids, id)
			continue
		}
		start = append(start, int32(len(s.positions)))
		for i := range p.segments {
			s.positions = append(s.positions, position{id, p, &p.segments[i], i == len(p.segments)-1})
		}
	}
	s.start = s.remember(start, ids)
	return s
}

// walkPeriod reports whether a forward walk can decide p, and the period of p's
// slices together with a given one.
func (p *Path) walkPeriod(period int64) (int64, bool) {
	for _, seg := range p.segments {
		for i := range seg.selectors {
			s := &seg.selectors[i]
			if !s.forward() {
				return 0, false
			}
			if s.kind == kindSlice && s.step > 1 {
				if s.step > maxPeriod {
					return 0, false
				}
				period = period / gcd(period, s.step) * s.step
				if period > maxPeriod {
					return 0, false
				}
			}
		}
	}
	return period, true
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// Start returns the state at the root of a document.
func (s *Set) Start() State { return s.start }

// Dead reports whether nothing matches here or below, so that the walker need not
// ask again. It says nothing of deferred paths.
func (st State) Dead() bool { return st.s == nil }

// IDs returns the paths that match here, ascending. The slice is shared and must
// not be modified.
func (st State) IDs() []int {
	if st.s == nil {
		return nil
	}
	return st.s.ids
}

// Member returns the state at the member of that decoded name (as by
// jsonscan.AppendUnquote) of the object at st. A step that somebody has made
// before does not allocate, unless it lies past what the Set remembers.
func (s *Set) Member(st State, name []byte) State {
	if st.s == nil || st.s.core == nil {
		return State{}
	}
	c := st.s.core
	e := c.member(name)
	if e != nil {
		if next := e.Load(); next != nil {
			return s.known(next)
		}
	}
	return s.goMember(c, e, name)
}

// Element returns the state at the element with that index, from 0, of the array
// at st. It allocates as little as Member.
func (s *Set) Element(st State, index int) State {
	if st.s == nil || st.s.core == nil {
		return State{}
	}
	c := st.s.core
	e := c.element(int64(index))
	if e != nil {
		if next := e.Load(); next != nil {
			return s.known(next)
		}
	}
	return s.goElement(c, e, int64(index))
}

// known is the State an edge remembers.
func (s *Set) known(target *state) State {
	if target == s.nowhere {
		return State{}
	}
	return State{target}
}

// member returns the edge of a name, nil if the core remembers none.
func (c *core) member(name []byte) *edge {
	if !c.sketch.has(name) && (len(c.folded) == 0 || isASCII(name)) {
		return c.other
	}
	if e, ok := c.exact[string(name)]; ok {
		return e
	}
	if len(c.folded) > 0 && len(name) <= c.longest {
		var buf [128]byte
		if e, ok := c.folded[string(appendFold(buf[:0], name))]; ok {
			return e
		}
	}
	return c.other
}

// A sketch is a Bloom filter of names by their length and ends, without regard to
// ASCII case. Most members of a document have names that no path spells; it tells
// them at a fraction of the cost of a map.
type sketch [4]uint64

func (s *sketch) bit(name []byte) (word *uint64, mask uint64) {
	h := uint(len(name)) * 37
	if len(name) > 0 {
		h += uint(name[0]|0x20)*5 + uint(name[len(name)-1]|0x20)*11
	}
	return &s[h>>6&3], 1 << (h & 63)
}

func (s *sketch) add(name string) {
	word, mask := s.bit([]byte(name))
	*word |= mask
}

func (s *sketch) has(name []byte) bool {
	word, mask := s.bit(name)
	return *word&mask != 0
}

func isASCII(name []byte) bool {
	for len(name) >= 8 {
		if binary.NativeEndian.Uint64(name)&0x8080808080808080 != 0 {
			return false
		}
		name = name[8:]
	}
	for _, c := range name {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// element returns the edge of an index, nil if the core remembers none.
func (c *core) element(index int64) *edge {
	switch len(c.elements) {
	case 0:
		return nil
	case 1:
		return &c.elements[0]
	}
	interval, _ := slices.BinarySearch(c.bounds, index+1) // how many are <= index
	return &c.elements[int64(interval)*c.period+index%c.period]
}

func (s *Set) goMember(c *core, e *edge, name []byte) State {
	folded := appendFold(nil, name)
	return s.follow(c, e, func(pos *position, sel *selector) bool {
		return pos.path.matchesName(sel, name, folded)
	})
}

func (s *Set) goElement(c *core, e *edge, index int64) State {
	return s.follow(c, e, func(_ *position, sel *selector) bool {
		return sel.matchesIndex(index)
	})
}

// follow computes the step of the nondeterministic automaton for a child that
// matches tells the selectors of, and remembers it in e unless that is nil.
func (s *Set) follow(c *core, e *edge, matches func(*position, *selector) bool) State {
	var next []int32
	var ids []int
	for _, i := range c.positions {
		pos := &s.positions[i]
		// A position adds itself or the one after it: next stays in order, and
		// what occurs twice occurs in a row.
		if pos.segment.descendant && (len(next) == 0 || next[len(next)-1] != i) {
			next = append(next, i)
		}
		if !slices.ContainsFunc(pos.segment.selectors, func(sel selector) bool { return matches(pos, &sel) }) {
			continue
		}
		if pos.last {
			ids = append(ids, pos.id)
		} else {
			next = append(next, i+1)
		}
	}
	st := s.remember(next, ids)
	if e != nil {
		e.Store(cmp.Or(st.s, s.nowhere))
	}
	return st
}

// remember returns the state of these positions and matches: the one made
// earlier, or a new one, kept if there is room.
func (s *Set) remember(positions []int32, ids []int) State {
	if len(positions) == 0 && len(ids) == 0 {
		return State{}
	}
	key := appendKey(nil, positions)
	coreKey := string(key)
	for _, id := range ids {
		key = binary.AppendUvarint(key, uint64(id))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if st, ok := s.states[string(key)]; ok {
		return State{st}
	}
	st := &state{ids: ids}
	if len(positions) > 0 {
		st.core = s.coreOf(coreKey, positions)
	}
	if s.room > 0 {
		s.room--
		s.states[string(key)] = st
	}
	return State{st}
}

func appendKey(dst []byte, positions []int32) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(positions)))
	for _, i := range positions {
		dst = binary.AppendUvarint(dst, uint64(i))
	}
	return dst
}

// coreOf returns the core of the positions, with edges if there is room for them.
func (s *Set) coreOf(key string, positions []int32) *core {
	if c, ok := s.cores[key]; ok {
		return c
	}
	c := &core{positions: positions, period: 1}
	names, folded := make(map[string]*edge), make(map[string]*edge)
	for _, i := range positions {
		pos := &s.positions[i]
		for j := range pos.segment.selectors {
			switch sel := &pos.segment.selectors[j]; sel.kind {
			case kindName:
				if pos.path.fold {
					folded[sel.folded] = new(edge)
					c.sketch.add(sel.folded)
					// No character has more than four bytes.
					c.longest = max(c.longest, 4*len(sel.folded))
				} else {
					names[sel.name] = new(edge)
					c.sketch.add(sel.name)
				}
			case kindIndex:
				c.bounds = append(c.bounds, sel.index, sel.index+1)
			case kindSlice:
				c.bounds = append(c.bounds, sel.start.at)
				if sel.end.set {
					c.bounds = append(c.bounds, sel.end.at)
				}
				if sel.step > 1 {
					c.period = c.period / gcd(c.period, sel.step) * sel.step
				}
			}
		}
	}
	slices.Sort(c.bounds)
	c.bounds = slices.Compact(c.bounds)
	classes := (len(c.bounds) + 1) * int(c.period)
	cost := len(names) + len(folded) + classes + 1
	if cost > s.room {
		return &core{positions: positions}
	}
	s.room -= cost
	c.exact, c.folded, c.other, c.elements = names, folded, new(edge), make([]edge, classes)
	s.cores[key] = c
	return c
}

// Count counts that the paths with these numbers were found.
func (s *Set) Count(ids []int) {
	for _, id := range ids {
		s.found[id].Add(1)
	}
}

// Found returns how often the path with that number was counted.
func (s *Set) Found(id int) uint64 { return s.found[id].Load() }

// Deferred reports whether some path needs Locate: one with a filter, a negative
// index, a slice with a negative bound or step or a long period, or a gjson
// wildcard within a name.
func (s *Set) Deferred() bool { return len(s.deferred) > 0 }

// Locate evaluates the deferred paths on one document; with none of them it does
// not look at it. maxDepth and the errors are those of [Path.Select], but without
// the cost of duplicates: each segment takes time linear in the document, filters
// aside.
func (s *Set) Locate(doc []byte, maxDepth int) (Located, error) {
	if len(s.deferred) == 0 {
		return Located{}, nil
	}
	t, err := newTape(doc, maxDepth)
	if err != nil {
		return Located{}, err
	}
	located := Located{at: make(map[int][]int)}
	for _, d := range s.deferred {
		ev := newEvaluator(t, d.path)
		nodes := ev.set(d.path.segments, 0)
		if err := ev.err(); err != nil {
			return Located{}, err
		}
		alone := []int{d.id} // shared by all the places where nothing else matches; its capacity is 1
		for _, at := range nodes {
			start := int(t.entries[at].start)
			if ids := located.at[start]; ids != nil {
				located.at[start] = append(ids, d.id)
			} else {
				located.at[start] = alone
			}
		}
	}
	return located, nil
}

// Located tells where the deferred paths of a Set match in one document. The zero
// value matches nowhere. It is safe for concurrent use.
type Located struct{ at map[int][]int }

// IDs returns the deferred paths that match the value that starts at an offset of
// the document, ascending. The slice is shared and must not be modified.
func (l Located) IDs(start int) []int { return l.at[start] }
