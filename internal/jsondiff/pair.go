package jsondiff

import (
	"bytes"
	"slices"

	"github.com/goshadow/shadow/internal/align"
	"github.com/goshadow/shadow/internal/jsonpath"
	"github.com/goshadow/shadow/internal/jsonscan"
)

// pairing is the scratch of pairing the children of two containers.
type pairing struct {
	a, b   []int32 // nodes still without a mate
	index  index
	chain  align.Chain
	anchor []int32
	sorted []hashed
	traits []uint64 // of elements that may face each other, see addTraits
	ends   []int32  // of each one's traits
	best   []int32  // see face
}

// mate pairs node x of A with node y of B.
func (t *tree) mate(x, y int32) { mate(&t.a, &t.b, x, y) }

// pairMembers pairs the members of two objects by name, the k-th of a name
// with the k-th of that name, and returns how many of B are left.
func (s *comparison) pairMembers(a, b int32) (left int) {
	t := &s.tree
	x, y := a+1, b+1
	endA, endB := t.a.nodes[a].next, t.b.nodes[b].next
	for x < endA && y < endB && s.sameName(x, y) {
		t.mate(x, y)
		x, y = t.a.nodes[x].next, t.b.nodes[y].next
	}
	for n := y; n < endB; n = t.b.nodes[n].next {
		left++
	}
	if left > fewMembers {
		return s.pairManyMembers(x, endA, y, endB, left)
	}
	for ; x < endA && left > 0; x = t.a.nodes[x].next {
		for n := y; n < endB; n = t.b.nodes[n].next {
			s.work++
			if t.b.nodes[n].mate != none || !s.sameName(x, n) {
				continue
			}
			t.mate(x, n)
			left--
			if n == y { // begin after it from now on
				y = t.b.nodes[y].next
			}
			break
		}
	}
	return left
}

// pairManyMembers pairs the members of A from x on with those of B from y on,
// of which there are left, by an index.
func (s *comparison) pairManyMembers(x, endA, y, endB int32, left int) int {
	t := &s.tree
	p := &t.pairing
	p.b = p.b[:0]
	p.index.reset(left)
	for ; y < endB; y = t.b.nodes[y].next {
		p.index.add(s.hashString(t.b.nodes[y].nameLiteral(s.b)), int32(len(p.b)))
		p.b = append(p.b, y)
	}
	for ; x < endA; x = t.a.nodes[x].next {
		h := s.hashString(t.a.nodes[x].nameLiteral(s.a))
		for k := p.index.first(h); k != none; k = p.index.after(k) {
			s.work++
			if y := p.b[k]; t.b.nodes[y].mate == none && s.sameName(x, y) {
				t.mate(x, y)
				p.index.remove(h, k)
				left--
				break
			}
		}
	}
	return left
}

// fewMembers is up to how many members looking at each is faster than an index.
const fewMembers = 12

// sameName reports whether two members have the same name.
func (s *comparison) sameName(x, y int32) bool {
	t := &s.tree
	n, m := &t.a.nodes[x], &t.b.nodes[y]
	if n.tag == m.tag && bytes.Equal(n.nameLiteral(s.a), m.nameLiteral(s.b)) {
		return true
	}
	return (t.a.escaped || t.b.escaped) && jsonscan.EqualStrings(n.nameLiteral(s.a), m.nameLiteral(s.b))
}

// pairInOrder pairs the elements of two arrays by index and returns how many
// of B are left.
func (s *comparison) pairInOrder(a, b int32) (left int) {
	t := &s.tree
	x, y := a+1, b+1
	endA, endB := t.a.nodes[a].next, t.b.nodes[b].next
	for x < endA && y < endB {
		t.mate(x, y)
		x, y = t.a.nodes[x].next, t.b.nodes[y].next
	}
	for ; y < endB; y = t.b.nodes[y].next {
		left++
	}
	return left
}

// list fills the pairing's lists with the elements of two arrays.
func (s *comparison) list(a, b int32) (elementsA, elementsB []int32) {
	p := &s.tree.pairing
	p.a = s.tree.a.children(a, p.a[:0])
	p.b = s.tree.b.children(b, p.b[:0])
	return p.a, p.b
}

func (t *tape) children(n int32, dst []int32) []int32 {
	for end, c := t.nodes[n].next, n+1; c < end; c = t.nodes[c].next {
		dst = append(dst, c)
	}
	return dst
}

// pairKeyed pairs the elements of two arrays by the value of a member, the
// k-th of a value with the k-th of that value. It returns how many of B are
// left, and whether any element has such a member: without, elements are paired
// by their index.
func (s *comparison) pairKeyed(a, b int32, member string) (left int, found bool) {
	t := &s.tree
	as, bs := s.list(a, b)
	left = len(bs)
	found = slices.ContainsFunc(as, func(n int32) bool { return s.key(&t.a, n, member) != none }) ||
		slices.ContainsFunc(bs, func(n int32) bool { return s.key(&t.b, n, member) != none })
	for len(as) > 0 && len(bs) > 0 && s.sameKey(as[0], bs[0], member) {
		t.mate(as[0], bs[0])
		as, bs = as[1:], bs[1:]
		left--
	}
	ix := &t.pairing.index
	ix.reset(len(bs))
	for k, y := range bs {
		ix.add(s.hashKey(&t.b, y, member), int32(k))
	}
	for _, x := range as {
		h := s.hashKey(&t.a, x, member)
		for k := ix.first(h); k != none; k = ix.after(k) {
			s.work++
			if y := bs[k]; t.b.nodes[y].mate == none && s.sameKey(x, y, member) {
				t.mate(x, y)
				ix.remove(h, k)
				left--
				break
			}
		}
	}
	return left, found
}

// key returns the node of the scalar that identifies element n; none if it has
// none.
func (s *comparison) key(t *tape, n int32, member string) int32 {
	if t.kind(n) != '{' {
		return none
	}
	for end, c := t.nodes[n].next, n+1; c < end; c = t.nodes[c].next {
		lit := t.nodes[c].nameLiteral(t.doc)
		if string(lit[1:len(lit)-1]) == member || t.escaped && string(s.nameOf(lit)) == member {
			if isContainer(t.kind(c)) {
				return none
			}
			return c
		}
	}
	return none
}

// sameKey reports whether two elements have the same identity, or both none.
func (s *comparison) sameKey(x, y int32, member string) bool {
	t := &s.tree
	x, y = s.key(&t.a, x, member), s.key(&t.b, y, member)
	if x == none || y == none {
		return x == y
	}
	return equalScalars(t.a.nodes[x].literal(s.a), t.b.nodes[y].literal(s.b))
}

func (s *comparison) hashKey(t *tape, n int32, member string) uint64 {
	if n = s.key(t, n, member); n == none {
		return 0
	}
	return s.hashScalar(t.nodes[n].literal(t.doc))
}

// pairUnordered pairs the elements of two arrays that are equal, first those of
// the same bytes, and returns how many of B are left. If one is left on each
// side they are paired too.
func (s *comparison) pairUnordered(a, b int32, stA, stB jsonpath.State) (left int) {
	t := &s.tree
	as, bs := s.list(a, b)
	for len(as) > 0 && len(bs) > 0 && t.sameBytes(as[0], bs[0]) {
		t.mate(as[0], bs[0])
		as, bs = as[1:], bs[1:]
	}
	ix := &t.pairing.index
	ix.reset(len(bs))
	for k, y := range bs {
		ix.add(s.c.hash.bytes(t.b.nodes[y].literal(s.b)), int32(k))
	}
	for _, x := range as {
		h := s.c.hash.bytes(t.a.nodes[x].literal(s.a))
		if k := ix.first(h); k != none && t.sameBytes(x, bs[k]) {
			t.mate(x, bs[k])
			ix.remove(h, k)
		}
	}
	as, bs = t.a.single(as), t.b.single(bs)
	if len(as)+len(bs) == 0 {
		return 0
	}
	if len(as) == 1 && len(bs) == 1 && t.a.nodes[as[0]].next == t.a.nodes[a].next && as[0] == a+1 && t.b.nodes[bs[0]].next == t.b.nodes[b].next && bs[0] == b+1 {
		s.hashTapes()
		if as, bs = s.notIgnored(&t.a, as), s.notIgnored(&t.b, bs); len(as) == 1 && len(bs) == 1 {
			t.mate(as[0], bs[0]) // the only elements
		}
		return t.b.unpaired(b)
	}
	s.hashTapes()
	if t.a.holdsNear(a) || t.b.holdsNear(b) {
		t.a.unpairChildren(a)
		t.b.unpairChildren(b)
		s.match(a, b, stA, stB)
		as, bs = t.a.single(t.a.children(a, as[:0])), t.b.single(t.b.children(b, bs[:0]))
		if s.left >= 0 { // what is left is not equal to anything
			as, bs = s.notIgnored(&t.a, as), s.notIgnored(&t.b, bs)
			if len(as) == 1 && len(bs) == 1 {
				t.mate(as[0], bs[0])
			}
			return t.b.unpaired(b)
		}
	}
	as, bs = s.notIgnored(&t.a, as), s.notIgnored(&t.b, bs)
	ix.reset(len(bs))
	for k, y := range bs {
		ix.add(t.b.hashes[y], int32(k))
	}
	for _, x := range as {
		h := t.a.hashes[x]
		if k := ix.first(h); k != none {
			t.mate(x, bs[k])
			ix.remove(h, k)
		}
	}
	as, bs = t.a.single(as), t.b.single(bs)
	if len(as) == 1 && len(bs) == 1 {
		t.mate(as[0], bs[0])
	} else if len(as)+len(bs) > 0 && s.ruled(stA, stB) && s.left > 0 {
		s.match(a, b, stA, stB) // a rule may select on one side only
	}
	return t.b.unpaired(b)
}

// single keeps those of the nodes that have no mate.
func (t *tape) single(nodes []int32) []int32 {
	return slices.DeleteFunc(nodes, func(n int32) bool { return t.nodes[n].mate != none })
}

// unpaired returns how many children of n have no mate.
func (t *tape) unpaired(n int32) (count int) {
	for end, c := t.nodes[n].next, n+1; c < end; c = t.nodes[c].next {
		if t.nodes[c].mate == none {
			count++
		}
	}
	return count
}

// notIgnored keeps those of the nodes that no rule ignores; hashes must have
// been computed.
func (s *comparison) notIgnored(t *tape, nodes []int32) []int32 {
	return slices.DeleteFunc(nodes, func(n int32) bool { return t.hashes[n] == ignoredHash })
}

func (t *tree) sameBytes(x, y int32) bool {
	return bytes.Equal(t.a.nodes[x].literal(t.a.doc), t.b.nodes[y].literal(t.b.doc))
}

// align pairs the elements of two arrays so that an inserted or removed element
// does not shift those after it: equal elements that come in the same order
// are paired, and between them those that face each other. It returns how many
// of B are left, and whether the arrays hold the same elements in another
// order.
//
// The cost is O(n log n): equal elements are matched occurrence by occurrence,
// and the longest chain of matches that ascends on both sides is kept. What is
// between the matches is weighed up to a fixed number of possible pairs.
func (s *comparison) align(a, b int32) (left int, reordered bool) {
	t := &s.tree
	s.hashTapes()
	as, bs := s.list(a, b)
	as, bs = s.notIgnored(&t.a, as), s.notIgnored(&t.b, bs)
	for len(as) > 0 && len(bs) > 0 && t.a.hashes[as[0]] == t.b.hashes[bs[0]] {
		t.mate(as[0], bs[0])
		as, bs = as[1:], bs[1:]
	}
	for len(as) > 0 && len(bs) > 0 && t.a.hashes[as[len(as)-1]] == t.b.hashes[bs[len(bs)-1]] {
		t.mate(as[len(as)-1], bs[len(bs)-1])
		as, bs = as[:len(as)-1], bs[:len(bs)-1]
	}
	if len(as) > 0 && len(bs) > 0 {
		// The same pairs come out whichever document is A.
		if len(as) < len(bs) || len(as) == len(bs) && bytes.Compare(t.a.nodes[a].literal(s.a), t.b.nodes[b].literal(s.b)) < 0 {
			reordered = s.alignBetween(&t.a, &t.b, as, bs)
		} else {
			reordered = s.alignBetween(&t.b, &t.a, bs, as)
		}
	}
	return t.b.unpaired(b), reordered
}

// alignBetween aligns xs of tape x with ys of tape y, neither of which is
// empty. It reports whether they are the same in another order, in which case
// it pairs those that are equal.
func (s *comparison) alignBetween(x, y *tape, xs, ys []int32) (reordered bool) {
	p := &s.tree.pairing
	p.index.reset(len(ys))
	for k, n := range ys {
		p.index.add(y.hashes[n], int32(k))
	}
	// facing[i] is the index in ys of what equals xs[i].
	facing := p.anchor[:0]
	matches := 0
	for _, n := range xs {
		h := x.hashes[n]
		k := p.index.first(h)
		if k != none {
			p.index.remove(h, k)
			matches++
		}
		facing = append(facing, k)
	}
	p.anchor = facing
	if matches == len(xs) && matches == len(ys) {
		for k, f := range facing {
			mate(x, y, xs[k], ys[f])
		}
		return true
	}
	p.chain.Keep(facing)
	if matches > 0 && costOfGaps(x, y, xs, ys, facing) >= costByIndex(x, y, xs, ys) {
		for k := range min(len(xs), len(ys)) {
			mate(x, y, xs[k], ys[k])
		}
		return false
	}
	i, j := 0, 0
	for k, f := range facing {
		if f == none {
			continue
		}
		s.face(x, y, xs[i:k], ys[j:f])
		mate(x, y, xs[k], ys[f])
		i, j = k+1, int(f)+1
	}
	s.face(x, y, xs[i:], ys[j:])
	return false
}

// costOfGaps guesses how many differences remain between the matches, of which
// facing[i] is that of xs[i].
func costOfGaps(x, y *tape, xs, ys []int32, facing []int32) (cost int) {
	i, j := 0, 0
	for k, f := range facing {
		if f != none {
			cost += costOfPairs(x, y, xs[i:k], ys[j:f])
			i, j = k+1, int(f)+1
		}
	}
	return cost + costOfPairs(x, y, xs[i:], ys[j:])
}

// costByIndex guesses how many differences there are if elements are paired by
// their index.
func costByIndex(x, y *tape, xs, ys []int32) (cost int) {
	for k := range min(len(xs), len(ys)) {
		if x.hashes[xs[k]] != y.hashes[ys[k]] {
			cost += costOfPairs(x, y, xs[k:k+1], ys[k:k+1])
		}
	}
	return cost + max(len(xs), len(ys)) - min(len(xs), len(ys))
}

// costOfPairs guesses how many differences there are between elements that are
// paired one by one: one where there is no other, one for a pair of scalars,
// and more than one where both are containers.
func costOfPairs(x, y *tape, xs, ys []int32) int {
	cost := max(len(xs), len(ys))
	for k := range min(len(xs), len(ys)) {
		if isContainer(x.kind(xs[k])) && isContainer(y.kind(ys[k])) {
			cost++
		}
	}
	return cost
}

func isContainer(kind byte) bool { return kind == '{' || kind == '[' }

// face pairs the elements between two matches: in order, and so that the pairs
// have as much in common as possible. A changed element thus faces what it was
// before, though others were inserted or removed beside it.
func (s *comparison) face(x, y *tape, xs, ys []int32) {
	if len(xs) == 0 || len(ys) == 0 {
		return
	}
	if len(xs)*len(ys) == 1 || len(xs)*len(ys) > maxFacing {
		for k := range min(len(xs), len(ys)) {
			mate(x, y, xs[k], ys[k])
		}
		return
	}
	p := &s.tree.pairing
	p.traits = p.traits[:0]
	p.ends = p.ends[:0]
	for _, n := range xs {
		s.addTraits(x, n)
	}
	for _, n := range ys {
		s.addTraits(y, n)
	}
	// best[i*wide+j] is the most that the elements from xs[i] and ys[j] on
	// can have in common, in pairs.
	wide := len(ys) + 1
	size := (len(xs) + 1) * wide
	p.best = slices.Grow(p.best[:0], size)[:size]
	clear(p.best)
	for i := len(xs) - 1; i >= 0; i-- {
		for j := len(ys) - 1; j >= 0; j-- {
			at := i*wide + j
			paired := p.best[at+wide+1] + p.common(i, len(xs)+j)
			p.best[at] = max(paired, p.best[at+1], p.best[at+wide])
			s.work++
		}
	}
	for i, j := 0, 0; i < len(xs) && j < len(ys); {
		switch at := i*wide + j; p.best[at] {
		case p.best[at+wide+1] + p.common(i, len(xs)+j):
			mate(x, y, xs[i], ys[j])
			i, j = i+1, j+1
		case p.best[at+wide]:
			i++
		default:
			j++
		}
	}
}

// maxFacing is up to how many possible pairs are weighed. More elements face
// each other by their index.
const maxFacing = 4096

// maxTraits is how many children of an element are weighed.
const maxTraits = 32

// addTraits lists the hashes of what makes element n what it is: its members
// with their names, or its elements.
func (s *comparison) addTraits(t *tape, n int32) {
	p := &s.tree.pairing
	first := len(p.traits)
	object := t.kind(n) == '{'
	for end, c := t.nodes[n].next, n+1; c < end && len(p.traits) < first+maxTraits; c = t.nodes[c].next {
		h := t.hashes[c]
		if object {
			h = s.c.hash.mix(h, s.hashString(t.nodes[c].nameLiteral(t.doc)))
		}
		p.traits = append(p.traits, h)
	}
	slices.Sort(p.traits[first:])
	p.ends = append(p.ends, int32(len(p.traits)))
}

// common returns how much the i-th and the j-th element with traits have in
// common: a lot for each trait, and a little for being a pair at all.
func (p *pairing) common(i, j int) int32 {
	const pair, trait = 1, 1024
	return pair + trait*align.Common(p.traitsOf(i), p.traitsOf(j))
}

func (p *pairing) traitsOf(i int) []uint64 {
	first := int32(0)
	if i > 0 {
		first = p.ends[i-1]
	}
	return p.traits[first:p.ends[i]]
}

// mate pairs node i of tape x with node j of tape y.
func mate(x, y *tape, i, j int32) { x.nodes[i].mate, y.nodes[j].mate = j, i }
