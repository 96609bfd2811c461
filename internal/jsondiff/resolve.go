package jsondiff

import (
	"cmp"
	"math"
	"slices"

	"github.com/goshadow/shadow/internal/jsonscan"
)

// Resolve finds in masked what stands there in place of the values at the
// spans of doc, and returns a span of masked for each of them, in their order.
//
// Masked is doc after values were replaced, so that offsets have moved. A value
// is followed by the names of its members, the k-th of a name to the k-th, and
// by the indexes of its elements. Where something around it was replaced by a
// value of another type, that value stands in its place; where it is gone, or
// the span is absent or not of a value, the result is absent. Each document is
// read once, whatever the number of spans.
//
// The error is of type *jsonscan.SyntaxError and says that one of the documents
// is not JSON; then nothing may be shown.
func (c *Comparer) Resolve(doc, masked []byte, spans []Span) ([]Span, error) {
	if max(len(doc), len(masked)) > math.MaxInt32 {
		return nil, errTooLarge
	}
	s := c.begin(doc, masked, "", 0)
	defer s.release()

	found := make([]Span, len(spans))
	order := make([]int, 0, len(spans))
	for i, span := range spans {
		found[i] = absent
		if span.Start >= 0 {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(x, y int) int { return cmp.Compare(spans[x].Start, spans[y].Start) })
	t := &s.tree
	if err := t.a.readAll(doc, c.maxDepth); err != nil {
		return nil, err
	}
	if err := t.b.readAll(masked, c.maxDepth); err != nil {
		return nil, err
	}
	wanted := make([]wantedAt, 0, len(order))
	for _, i := range order {
		n, ok := slices.BinarySearchFunc(t.a.nodes, spans[i].Start, func(n node, start int) int { return int(n.start) - start })
		if ok {
			wanted = append(wanted, wantedAt{int32(n), i})
		}
	}
	s.resolve(wanted, found)
	return found, nil
}

// wantedAt is a node of doc whose place in masked is wanted, and which span it
// is for.
type wantedAt struct {
	node int32
	span int
}

// resolve fills in what is found of the wanted nodes, which are in order.
func (s *comparison) resolve(wanted []wantedAt, found []Span) {
	t := &s.tree
	type containers struct {
		a, b   int32 // of the same type
		inside []wantedAt
	}
	var open []containers
	// settle finds what is wanted at or inside node a, in whose place b is.
	settle := func(a, b int32, wanted []wantedAt) {
		place := t.b.span(b)
		for len(wanted) > 0 && wanted[0].node == a {
			found[wanted[0].span] = place
			wanted = wanted[1:]
		}
		if len(wanted) == 0 {
			return
		}
		if b != none && t.a.kind(a) == t.b.kind(b) {
			open = append(open, containers{a, b, wanted})
			return
		}
		for _, w := range wanted {
			found[w.span] = place
		}
	}
	settle(0, 0, wanted)
	for len(open) > 0 {
		c := open[len(open)-1]
		open = open[:len(open)-1]
		if t.a.kind(c.a) == '{' {
			s.pairMembers(c.a, c.b)
		} else {
			s.pairInOrder(c.a, c.b)
		}
		for child := c.a + 1; len(c.inside) > 0; child = t.a.nodes[child].next {
			n := 0
			for n < len(c.inside) && c.inside[n].node < t.a.nodes[child].next {
				n++
			}
			settle(child, t.a.nodes[child].mate, c.inside[:n])
			c.inside = c.inside[n:]
		}
	}
}

// readAll fills the tape with a whole document.
func (t *tape) readAll(doc []byte, maxDepth int) error {
	i := jsonscan.Space(doc, 0)
	if i < len(doc) && (doc[i] == '{' || doc[i] == '[') {
		end, err := t.read(doc, position{start: i, at: jsonscan.Space(doc, i+1)}, 1, maxDepth)
		if err != nil {
			return err
		}
		return jsonscan.End(doc, end)
	}
	end, err := jsonscan.Scalar(doc, i)
	if err != nil {
		return err
	}
	t.doc = doc
	t.nodes = append(t.nodes[:0], node{start: int32(i), end: int32(end), next: 1, mate: none})
	return jsonscan.End(doc, end)
}
