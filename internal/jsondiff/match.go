package jsondiff

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/goshadow/shadow/internal/jsonpath"
	"github.com/goshadow/shadow/internal/jsonscan"
)

// matcher pairs as many elements of two lists as are equal. Hashes do not do for
// that where there are rules: what is equal to two others need not make those
// equal, as 1 and 2 are both within 0.5 of 1.5, and a rule may select on one
// side only.
type matcher struct {
	s       *comparison
	x, y    side
	flipped bool    // x is of B: the same pairs come out whichever document is A
	mateX   []int32 // of x[i] the index in y, none without
	mateY   []int32
	groups  map[uint64][]int32 // indexes in y by hash, those that are nearly the same side by side
	seen    []int32            // of y[j]: the last search that came by it
	search  int32
}

// side is one of the arrays of a matcher.
type side struct {
	*tape
	array    int32
	elements []int32
	state    jsonpath.State // at the array
}

// matchWork is how much the matchers of one comparison may do: a unit is about what it
// takes to look at a pair of scalars. If that does not do the comparison ends with an error:
// another pairing might be equal.
func (s *comparison) matchWork() int { return 2*(len(s.a)+len(s.b)) + 1<<14 }

// The work of a matcher besides looking at values, and of maps and lists for containers.
const matcherWork, perElement, containerWork = 24, 4, 4

// match pairs the elements of two unordered arrays: all by their index if those
// are equal, else as many as can be. It begins with the pairs there are.
func (s *comparison) match(a, b int32, stA, stB jsonpath.State) {
	if s.left < 0 {
		return
	}
	m := s.matcher(a, b, stA, stB)
	if bytes.Compare(m.x.nodes[a].literal(s.a), m.y.nodes[b].literal(s.b)) > 0 {
		m.x, m.y, m.flipped = m.y, m.x, true
	}
	m.clear()
	at := make(map[int32]int32, len(m.y.elements))
	for j, n := range m.y.elements {
		at[n] = int32(j)
	}
	for i, n := range m.x.elements {
		if j, ok := at[m.x.nodes[n].mate]; ok {
			m.mate(int32(i), j)
		}
	}
	m.run()
	m.x.unpairChildren(m.x.array)
	m.y.unpairChildren(m.y.array)
	for i, j := range m.mateX {
		if j != none {
			mate(m.x.tape, m.y.tape, m.x.elements[i], m.y.elements[j])
		}
	}
}

func (s *comparison) matcher(a, b int32, stA, stB jsonpath.State) *matcher {
	s.hashTapes()
	t := &s.tree
	m := &matcher{s: s,
		x: side{&t.a, a, s.notIgnored(&t.a, t.a.children(a, nil)), stA},
		y: side{&t.b, b, s.notIgnored(&t.b, t.b.children(b, nil)), stB}}
	m.clear()
	s.left -= matcherWork + perElement*(len(m.x.elements)+len(m.y.elements))
	return m
}

func (m *matcher) clear() {
	m.mateX, m.mateY = slices.Repeat([]int32{none}, len(m.x.elements)), slices.Repeat([]int32{none}, len(m.y.elements))
}

func (d *side) hash(i int32) uint64 { return d.hashes[d.elements[i]] }

// at is where element i is among those that are nearly the same.
func (d *side) at(i int32) float64 {
	if !d.holdsNear(d.elements[i]) {
		return 0
	}
	return d.near[d.elements[i]]
}

// run reports whether all are paired.
func (m *matcher) run() bool {
	given := slices.Clone(m.mateX)
	m.clear()
	if m.byIndex() == max(len(m.mateX), len(m.mateY)) {
		return true
	}
	m.clear()
	for i, j := range given {
		if j != none {
			m.mate(int32(i), j)
		}
	}
	m.groups = map[uint64][]int32{}
	for j := range m.mateY {
		h := m.y.hash(int32(j))
		m.groups[h] = append(m.groups[h], int32(j))
	}
	for _, group := range m.groups {
		slices.SortStableFunc(group, func(j, k int32) int { return cmp.Compare(m.y.at(j), m.y.at(k)) })
	}
	// Of scalars, the least with the least is as good as any pairing can be.
	order := make([]int32, len(m.mateX))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortStableFunc(order, func(i, k int32) int { return cmp.Compare(m.x.at(i), m.x.at(k)) })
	next := map[uint64]int{}
	for _, i := range order {
		if m.mateX[i] != none {
			continue
		}
		h := m.x.hash(i)
		for group := m.groups[h]; next[h] < len(group); next[h]++ {
			j := group[next[h]]
			if m.mateY[j] == none && m.same(i, j) {
				m.mate(i, j)
				next[h]++
				break
			}
			if m.y.at(j) >= m.x.at(i) {
				break
			}
		}
	}
	m.byIndex()
	m.seen = make([]int32, len(m.mateY))
	left := 0
	for i := range m.mateX {
		if m.mateX[i] == none {
			if m.search++; !m.augment(int32(i)) {
				left++
			}
		}
	}
	return left == 0 && len(m.mateX) == len(m.mateY)
}

// byIndex pairs what is left and equal at the same index, and returns how many
// that are.
func (m *matcher) byIndex() (pairs int) {
	for i := range min(len(m.mateX), len(m.mateY)) {
		if m.mateX[i] == none && m.mateY[i] == none && m.same(int32(i), int32(i)) {
			m.mate(int32(i), int32(i))
			pairs++
		}
	}
	return pairs
}

func (m *matcher) mate(i, j int32) { m.mateX[i], m.mateY[j] = j, i }

// augment finds a mate for x[i]: one that has none, or whose mate can have
// another (Kuhn's algorithm, with a stack of its own).
func (m *matcher) augment(i int32) bool {
	type step struct {
		i    int32
		at   int   // in its group
		from int32 // the j that led here
	}
	steps := []step{{i: i, from: none}}
	for len(steps) > 0 {
		top := &steps[len(steps)-1]
		group := m.groups[m.x.hash(top.i)]
		if top.at == len(group) || m.s.left < 0 {
			steps = steps[:len(steps)-1]
			continue
		}
		j := group[top.at]
		top.at++
		if m.s.left--; m.seen[j] == m.search || !m.same(top.i, j) {
			continue
		}
		m.seen[j] = m.search
		if owner := m.mateY[j]; owner != none {
			steps = append(steps, step{i: owner, from: j})
			continue
		}
		for k := len(steps) - 1; k >= 0; k-- {
			m.mate(steps[k].i, j)
			j = steps[k].from
		}
		return true
	}
	return false
}

// same reports whether x[i] equals y[j].
func (m *matcher) same(i, j int32) bool {
	s, hits := m.s, len(m.s.hits)
	a, b := &m.x, &m.y
	if m.flipped {
		a, b, i, j = b, a, j, i
	}
	x, y := a.elements[i], b.elements[j]
	same := s.same(x, y, s.stateOf(a.tape, a.array, x, a.state), s.stateOf(b.tape, b.array, y, b.state))
	s.hits = s.hits[:hits]
	return same
}

// same reports whether two values are equal under the rules, with arrays in
// their order. It counts what it looks at; what it cannot afford is not equal.
func (s *comparison) same(x, y int32, stA, stB jsonpath.State) bool {
	t := &s.tree
	n, m := &t.a.nodes[x], &t.b.nodes[y]
	litA, litB := n.literal(s.a), m.literal(s.b)
	s.work++
	if s.left--; s.left < 0 {
		return false
	}
	if t.a.hashes[x] == t.b.hashes[y] && !t.a.holdsNear(x) && !t.b.holdsNear(y) {
		return true // what is paired is compared
	}
	e := noEffect
	if s.ruled(stA, stB) {
		if e = s.effect(stA, stB, int(n.start), int(m.start)); e.ignore >= 0 {
			return true
		}
	}
	if !isContainer(litA[0]) || litA[0] != litB[0] {
		_, same := s.compareValues(litA, litB, &e)
		return same
	}
	childA := func(c int32) jsonpath.State { return s.stateOf(&t.a, x, c, stA) }
	childB := func(c int32) jsonpath.State { return s.stateOf(&t.b, y, c, stB) }
	as, bs := t.a.children(x, nil), t.b.children(y, nil)
	s.left -= containerWork + len(as) + len(bs)
	var key func(t *tape, c int32) string
	switch {
	case litA[0] == '{':
		key = func(t *tape, c int32) string { return string(s.nameOf(t.nodes[c].nameLiteral(t.doc))) }
	case e.keyed >= 0:
		member := s.c.members[e.keyed-s.c.paths.unordered]
		key = func(t *tape, c int32) string {
			if c = s.key(t, c, member); c == none {
				return ""
			}
			s.number = s.appendKey(s.number[:0], t.nodes[c].literal(t.doc))
			return string(s.number)
		}
	case e.unordered >= 0:
		return s.matcher(x, y, stA, stB).run()
	default:
		as = slices.DeleteFunc(as, func(c int32) bool { return s.skips(&t.a, c, childA(c), true) })
		bs = slices.DeleteFunc(bs, func(c int32) bool { return s.skips(&t.b, c, childB(c), false) })
		if len(as) != len(bs) {
			return false
		}
		for k := range as {
			if !s.same(as[k], bs[k], childA(as[k]), childB(bs[k])) {
				return false
			}
		}
		return true
	}
	byKey := make(map[string][]int32, len(bs))
	for _, c := range bs {
		k := key(&t.b, c)
		byKey[k] = append(byKey[k], c)
	}
	for _, c := range as {
		k := key(&t.a, c)
		list := byKey[k]
		if len(list) == 0 {
			if !s.skips(&t.a, c, childA(c), true) {
				return false
			}
			continue
		}
		byKey[k] = list[1:]
		if !s.same(c, list[0], childA(c), childB(list[0])) {
			return false
		}
	}
	for _, list := range byKey {
		for _, c := range list {
			if !s.skips(&t.b, c, childB(c), false) {
				return false
			}
		}
	}
	return true
}

// stateOf is nodeState, where any rule can select a value below st.
func (s *comparison) stateOf(t *tape, container, child int32, st jsonpath.State) jsonpath.State {
	if !s.ruled(st, st) {
		return jsonpath.State{}
	}
	return s.nodeState(t, container, child, st)
}

// skips reports whether a value that only one side has is ignored.
func (s *comparison) skips(t *tape, n int32, st jsonpath.State, inA bool) bool {
	s.left--
	if !s.ruled(st, st) {
		return false
	}
	at := int(t.nodes[n].start)
	if inA {
		return s.effect(st, jsonpath.State{}, at, absent.Start).ignore >= 0
	}
	return s.effect(jsonpath.State{}, st, absent.Start, at).ignore >= 0
}

// appendKey appends what tells the value of a key from others.
func (s *comparison) appendKey(dst, lit []byte) []byte {
	switch lit[0] {
	case '"':
		return append(append(dst, '"'), s.nameOf(lit)...)
	case 't', 'f', 'n':
		return append(dst, lit[0])
	}
	return jsonscan.AppendNumberKey(append(dst, '0'), lit)
}

// unpairChildren forgets the mates of the children of n.
func (t *tape) unpairChildren(n int32) {
	for end, c := t.nodes[n].next, n+1; c < end; c = t.nodes[c].next {
		t.nodes[c].mate = none
	}
}
