package bodies

import (
	"bytes"
	"cmp"
	"encoding/json"
	"hash/maphash"
	"slices"
	"strconv"

	"github.com/goshadow/shadow/internal/jsondiff"
	"github.com/goshadow/shadow/internal/pointer"
)

// comparison is the work on two tapes.
type comparison struct {
	set     *Set
	names   *names
	a, b    *tape
	path    []byte // of the nodes at hand
	flipped bool   // lists are aligned from B to A: the same pairs come out whichever body is A
	result  Result
	left    int  // how many more times the rules of JSON may be evaluated
	probing bool // only whether there is a difference is wanted,
	found   bool // and there is
}

// record adds a difference at the path and reports whether there is room for more.
func (c *comparison) record(kind jsondiff.Kind, a, b ref) bool {
	d := Diff{Kind: kind, Place: Place{a, b}}
	if kind == jsondiff.Changed && !c.probing && len(c.result.Diffs) < c.set.maxDiffs {
		d.Class = c.classify(c.a.shown(a), c.b.shown(b))
	}
	if kind == jsondiff.Reordered {
		d.Class = jsondiff.ClassReordered
	}
	return c.add(d)
}

// add is record for a difference that is classified. An empty Path is the current one.
func (c *comparison) add(d Diff) bool {
	switch {
	case c.probing:
		c.found = true
		return false
	case len(c.result.Diffs) == c.set.maxDiffs:
		c.result.More = true
		return false
	}
	if d.Path == "" {
		d.Path = pointer.Bounded(c.path)
	}
	c.result.Diffs = append(c.result.Diffs, d)
	return true
}

// maxClassified is the size of texts that are looked at for a class, in bytes.
const maxClassified = 1 << 10

// classify returns the class of two texts that differ.
func (c *comparison) classify(a, b shown) jsondiff.Class {
	if a.as != asText || b.as != asText || max(len(a.text), len(b.text)) > maxClassified {
		return jsondiff.ClassNone
	}
	x, _ := json.Marshal(string(a.text)) // a string is always JSON
	y, _ := json.Marshal(string(b.text))
	if r := c.set.exact.Compare(x, y, ""); len(r.Diffs) > 0 {
		return r.Diffs[0].Class
	}
	return jsondiff.ClassNone
}

// pair compares node x of A with node y of B. Like all that record, it reports whether
// to go on.
func (c *comparison) pair(x, y int32) bool {
	n, m := &c.a.nodes[x], &c.b.nodes[y]
	switch {
	case n.kind == plain && m.kind == rows || n.kind == rows && m.kind == plain: // one has too many lines
		return c.record(jsondiff.Changed, one(x), one(y))
	case n.kind != m.kind:
		return bytes.Equal(c.a.raw(x), c.b.raw(y)) || c.record(jsondiff.TypeChanged, one(x), one(y))
	case n.hash == m.hash:
		return true
	}
	switch n.kind {
	case jsonText, dataText:
		return c.texts(x, y)
	case list:
		return c.list(x, y)
	case rows:
		return c.rows(x, y)
	case fields, element:
		return c.groups(x, y)
	}
	return c.record(jsondiff.Changed, one(x), one(y))
}

// texts compares two leaves that are JSON, or may be.
func (c *comparison) texts(x, y int32) bool {
	a, b := c.a.decoded(x), c.b.decoded(y)
	if c.left -= 2; c.left < 0 {
		c.result.Err, c.found = errRules, true
		return false
	}
	if c.probing {
		c.found = c.found || !c.set.json.Equal(a, b)
		return !c.found
	}
	got := c.set.json.Compare(a, b, string(c.path))
	if got.Err != nil {
		c.result.Err = got.Err
		return false
	}
	if got.ErrA != nil && got.ErrB != nil || c.a.nodes[x].kind == dataText && (got.ErrA != nil || got.ErrB != nil) {
		return c.record(jsondiff.Changed, one(x), one(y))
	}
	for _, d := range got.Diffs {
		if !c.add(fromJSON(d, x, y)) {
			return false
		}
	}
	c.result.More = c.result.More || got.More
	return true
}

// same reports whether node x of A equals node y of B. Containers of containers are told
// apart by their hashes alone, or lists in lists would cost more on each level; such
// lists may be aligned less well where JSON is spelled differently.
func (c *comparison) same(x, y int32) bool {
	n, m := &c.a.nodes[x], &c.b.nodes[y]
	if n.kind != m.kind || n.hash == m.hash || !n.soft || !m.soft {
		return n.kind == m.kind && n.hash == m.hash
	}
	probing, found, at := c.probing, c.found, len(c.path)
	c.probing, c.found = true, false
	c.pair(x, y)
	same := !c.found
	c.probing, c.found, c.path = probing, found, c.path[:at]
	return same
}

// match pairs the elements of two lists, and settles what is not the same.
func (c *comparison) match(xs, ys []int32, settle func(*matching)) (m *matching) {
	pair := nodePair{c, xs, ys}
	if c.flipped {
		m = match(len(ys), len(xs), flippedPair{pair})
	} else {
		m = match(len(xs), len(ys), pair)
	}
	settle(m)
	if c.flipped {
		m.mates, m.x, m.y = m.inverse(), m.y, m.x
	}
	return m
}

// key returns a hash of node n under which what is the same is found: that of its JSON
// by the rules, or of the JSON right in it.
func (c *comparison) key(t *tape, n int32) uint64 {
	at := &t.nodes[n]
	switch {
	case !at.soft:
		return at.hash
	case at.kind < list:
		if c.left--; c.left < 0 {
			c.result.Err = errRules
			return at.hash
		}
		if hash, ok := c.set.json.Hash(t.decoded(n)); ok {
			return hash
		}
		return at.hash
	}
	var hash uint64
	for k := n + 1; k < at.next; k = t.nodes[k].next {
		child := t.nodes[k].hash
		if t.nodes[k].kind < list {
			child = c.key(t, k)
		}
		hash = maphash.Comparable(t.seed, [3]uint64{hash, uint64(t.nodes[k].name), child})
	}
	return hash
}

// nodePair is two lists of nodes that are matched.
type nodePair struct {
	c      *comparison
	xs, ys []int32
}

func (p nodePair) same(i, j int) bool     { return p.c.same(p.xs[i], p.ys[j]) }
func (p nodePair) hashX(i int) uint64     { return p.c.key(p.c.a, p.xs[i]) }
func (p nodePair) hashY(j int) uint64     { return p.c.key(p.c.b, p.ys[j]) }
func (p nodePair) traitsX(i int) []uint64 { return p.c.a.traits(p.xs[i]) }
func (p nodePair) traitsY(j int) []uint64 { return p.c.b.traits(p.ys[j]) }

// flippedPair is a nodePair with its sides changed.
type flippedPair struct{ of nodePair }

func (p flippedPair) same(i, j int) bool     { return p.of.same(j, i) }
func (p flippedPair) hashX(i int) uint64     { return p.of.hashY(i) }
func (p flippedPair) hashY(j int) uint64     { return p.of.hashX(j) }
func (p flippedPair) traitsX(i int) []uint64 { return p.of.traitsY(i) }
func (p flippedPair) traitsY(j int) []uint64 { return p.of.traitsX(j) }

// settle pairs all it can in a list that is not just in another order.
func settle(m *matching) {
	if !m.permuted() {
		m.ascend()
		m.face()
	}
}

// list compares two lists.
func (c *comparison) list(x, y int32) bool {
	xs, ys := c.a.children(x), c.b.children(y)
	m := c.match(xs, ys, settle)
	if m.permuted() {
		return c.record(jsondiff.Reordered, one(x), one(y)) && c.permuted(m, xs, ys)
	}
	return c.matched(m, xs, ys)
}

// permuted compares the elements of two lists that are the same in another order: there
// is nothing to record, but the rules count what they do.
func (c *comparison) permuted(m *matching, xs, ys []int32) bool {
	for i, j := range m.mates {
		if !c.pair(xs[i], ys[j]) {
			return false
		}
	}
	return true
}

// matched compares the elements of two lists that are paired in order.
func (c *comparison) matched(m *matching, xs, ys []int32) bool {
	extra := func(j, end int) (more bool) {
		for more = true; more && j < end; j++ {
			more = c.at(j, func() bool { return c.record(jsondiff.Extra, ref{}, one(ys[j])) })
		}
		return more
	}
	j := 0
	for i := range xs {
		var more bool
		if mate := int(m.mates[i]); mate < 0 {
			more = c.at(i, func() bool { return c.record(jsondiff.Missing, one(xs[i]), ref{}) })
		} else {
			more = extra(j, mate) && c.at(i, func() bool { return c.pair(xs[i], ys[mate]) })
			j = mate + 1
		}
		if !more {
			return false
		}
	}
	return extra(j, len(ys))
}

// at runs what compares the i-th element.
func (c *comparison) at(i int, compare func() bool) bool {
	end := len(c.path)
	c.path = strconv.AppendInt(append(c.path, '/'), int64(i), 10)
	more := compare()
	c.path = c.path[:end]
	return more
}

// rows compares two lists of lines. One run of lines that differ is one difference.
func (c *comparison) rows(x, y int32) bool {
	xs, ys := c.a.children(x), c.b.children(y)
	if len(xs) <= 1 && len(ys) <= 1 {
		return c.record(jsondiff.Changed, one(x), one(y))
	}
	m := c.match(xs, ys, (*matching).ascend)
	for i, j := m.head, m.head; i < len(xs)-m.tail || j < len(ys)-m.tail; {
		iEnd := i
		for iEnd < len(xs)-m.tail && m.mates[iEnd] == none {
			iEnd++
		}
		jEnd := len(ys) - m.tail
		if iEnd < len(xs)-m.tail {
			jEnd = int(m.mates[iEnd])
		}
		if !c.hunk(xs, i, iEnd, ys, j, jEnd) {
			return false
		}
		i, j = iEnd+1, jEnd+1
	}
	return true
}

// hunk records that ys[j:jEnd] stands in the place of xs[i:iEnd].
func (c *comparison) hunk(xs []int32, i, iEnd int, ys []int32, j, jEnd int) bool {
	a, b := run(xs[i:iEnd]), run(ys[j:jEnd])
	switch {
	case i == iEnd && j == jEnd:
		return true
	case i == iEnd:
		return c.at(j, func() bool { return c.record(jsondiff.Extra, a, b) })
	case j == jEnd:
		return c.at(i, func() bool { return c.record(jsondiff.Missing, a, b) })
	}
	return c.at(i, func() bool { return c.record(jsondiff.Changed, a, b) })
}

// run is the place of leaves that follow each other, and what is between them.
func run(nodes []int32) ref {
	if len(nodes) == 0 {
		return ref{}
	}
	return ref{first: nodes[0], end: nodes[len(nodes)-1] + 1}
}

// groups compares two containers whose children have names: those of one name as a
// list, and in an element also the order of all of them.
func (c *comparison) groups(x, y int32) bool {
	xs, ys := c.a.byName(x), c.b.byName(y)
	ordered := c.a.nodes[x].kind == element
	if ordered {
		switch ownX, ownY := c.a.ownText(xs), c.b.ownText(ys); {
		case ownX == ownY:
		case ownX && c.a.blank(xs[0]): // against elements: white space around none
			xs = xs[1:]
		case ownY && c.b.blank(ys[0]):
			ys = ys[1:]
		default:
			return c.record(jsondiff.TypeChanged, one(x), one(y))
		}
	}
	var mates [][2]int32
	for len(xs) > 0 || len(ys) > 0 {
		name, i, j := nextGroup(c.a, xs, c.b, ys)
		end := len(c.path)
		if name != self {
			c.path = append(append(c.path, '/'), c.names.tokens[name]...)
		}
		var more bool
		if i <= 1 && j <= 1 {
			more = c.single(xs[:i], ys[:j])
			if ordered && i == j {
				mates = append(mates, [2]int32{xs[0], ys[0]})
			}
		} else {
			m := c.match(xs[:i], ys[:j], settle)
			if ordered {
				mates = m.appendMates(mates, xs, ys)
			}
			switch {
			case !m.permuted():
				more = c.matched(m, xs[:i], ys[:j])
			case ordered: // which is seen below
				more = c.permuted(m, xs[:i], ys[:j])
			default:
				more = c.record(jsondiff.Reordered, run(xs[:i]), run(ys[:j])) && c.permuted(m, xs[:i], ys[:j])
			}
		}
		c.path = c.path[:end]
		if !more {
			return false
		}
		xs, ys = xs[i:], ys[j:]
	}
	slices.SortFunc(mates, func(p, q [2]int32) int { return cmp.Compare(p[0], q[0]) })
	if !slices.IsSortedFunc(mates, func(p, q [2]int32) int { return cmp.Compare(p[1], q[1]) }) {
		return c.record(jsondiff.Reordered, one(x), one(y))
	}
	return true
}

// single compares two lists of at most one child.
func (c *comparison) single(xs, ys []int32) bool {
	switch {
	case len(ys) == 0:
		return c.record(jsondiff.Missing, one(xs[0]), ref{})
	case len(xs) == 0:
		return c.record(jsondiff.Extra, ref{}, one(ys[0]))
	}
	return c.pair(xs[0], ys[0])
}

// appendMates appends the nodes that are paired.
func (m *matching) appendMates(mates [][2]int32, xs, ys []int32) [][2]int32 {
	for i, j := range m.mates {
		if j != none {
			mates = append(mates, [2]int32{xs[i], ys[j]})
		}
	}
	return mates
}

// byName lists the children of n in groups of one name, each in their order.
func (t *tape) byName(n int32) []int32 {
	nodes := t.children(n)
	slices.SortStableFunc(nodes, func(x, y int32) int { return cmp.Compare(t.nodes[x].name, t.nodes[y].name) })
	return nodes
}

// nextGroup returns the first name in two lists that are ordered by name, and how many
// of each list have it.
func nextGroup(a *tape, xs []int32, b *tape, ys []int32) (name int32, i, j int) {
	switch {
	case len(xs) == 0:
		name = b.nodes[ys[0]].name
	case len(ys) == 0:
		name = a.nodes[xs[0]].name
	default:
		name = min(a.nodes[xs[0]].name, b.nodes[ys[0]].name)
	}
	for i < len(xs) && a.nodes[xs[i]].name == name {
		i++
	}
	for j < len(ys) && b.nodes[ys[j]].name == name {
		j++
	}
	return name, i, j
}
