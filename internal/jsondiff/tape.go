package jsondiff

import (
	"slices"

	"github.com/goshadow/shadow/internal/jsonpath"
	"github.com/goshadow/shadow/internal/jsonscan"
)

// A tape lists the values of one container in the order of the document, each
// before its children: the children of node i begin at i+1, and a value's next
// sibling is its next.
type tape struct {
	doc     []byte
	nodes   []node
	escaped bool // some member name has an escape

	// Of each node, where hash.go has computed them.
	hashes []uint64
	states []jsonpath.State
	near   []float64 // the sum of what it holds under tolerances
}

// node is one value. Offsets are 32 bits wide to keep it small; Compare refuses
// larger documents.
type node struct {
	start, end    int32  // the value in the document
	name, nameEnd int32  // a member's name with its quotes; an element's index, and 0
	next          int32  // the node after this one and all it contains
	mate          int32  // what it is paired with on the other tape; none is -1
	tag           uint32 // of the name, see tagOf; 0 for an element
}

const none = -1

func (n *node) literal(doc []byte) []byte     { return doc[n.start:n.end] }
func (n *node) nameLiteral(doc []byte) []byte { return doc[n.name:n.nameEnd] }

// span returns where node n is, which may be none.
func (t *tape) span(n int32) Span {
	if n == none {
		return absent
	}
	return Span{int(t.nodes[n].start), int(t.nodes[n].end)}
}

// kind returns the byte that tells the type of a value.
func (t *tape) kind(n int32) byte { return t.doc[t.nodes[n].start] }

// tagOf returns a number that tells most names apart, by their length and three
// of their bytes. The name is the literal doc[start:end], with its quotes.
func tagOf(doc []byte, start, end int) uint32 {
	lit := doc[start:end]
	n := len(lit)
	return uint32(n)<<24 ^ uint32(lit[1])<<16 ^ uint32(lit[n/2])<<8 ^ uint32(lit[n-2])
}

// position is a place inside an open container: before a member or element, or
// at the closing bracket.
type position struct {
	start int // of the container
	at    int // the member, element or closing bracket
	index int // of the element at
}

// read fills the tape with what is left of a container from p on; the
// container itself becomes node 0. It returns the offset one past the closing
// bracket. The container is open on the given level, the root's being 1.
//
// While a container is open its node keeps the parent in end and, while one of
// its elements is open, the index of the next element in next.
func (t *tape) read(doc []byte, p position, level, maxDepth int) (end int, err error) {
	nodes := append(t.nodes[:0], node{start: int32(p.start), end: none, mate: none})
	t.doc, t.escaped, t.hashes, t.near = doc, false, t.hashes[:0], t.near[:0]
	open := int32(0)            // the innermost container
	closing := doc[p.start] + 2 // its closing bracket: '}' is '{'+2, ']' is '['+2
	index := int32(p.index)     // of its next element
	simple := false
	i := p.at
	if i < len(doc) && doc[i] == closing {
		goto closed
	}

value: // A member or element starts at i.
	{
		// The node is written in place: it is hot, and a copy of six
		// half-words that were just stored stalls.
		self := len(nodes)
		if self == cap(nodes) {
			nodes = slices.Grow(nodes, moreNodes(self, i-p.start, len(doc)-i))
		}
		nodes = nodes[:self+1]
		n := &nodes[self]
		n.mate = none
		if closing == '}' {
			if i >= len(doc) || doc[i] != '"' {
				return 0, jsonscan.Unexpected(doc, i, "a member name")
			}
			first := i
			if i, simple, err = jsonscan.String(doc, i); err != nil {
				return 0, err
			}
			if !simple {
				t.escaped = true
			}
			n.name, n.nameEnd, n.tag = int32(first), int32(i), tagOf(doc, first, i)
			if i < len(doc) && doc[i] <= ' ' {
				i = jsonscan.Space(doc, i)
			}
			if i >= len(doc) || doc[i] != ':' {
				return 0, jsonscan.Unexpected(doc, i, `":"`)
			}
			if i++; i < len(doc) && doc[i] <= ' ' {
				i = jsonscan.Space(doc, i)
			}
		} else {
			n.name, n.nameEnd, n.tag = index, 0, 0
			index++
		}
		if i >= len(doc) {
			return 0, jsonscan.Unexpected(doc, i, "a value")
		}
		n.start = int32(i)
		switch c := doc[i]; c {
		case '{', '[':
			if level++; level > maxDepth {
				return 0, jsonscan.TooDeep(i, maxDepth)
			}
			n.end = open
			nodes[open].next = index
			open, closing, index = int32(self), c+2, 0
			if i++; i < len(doc) && doc[i] <= ' ' {
				i = jsonscan.Space(doc, i)
			}
			if i < len(doc) && doc[i] == closing {
				goto closed
			}
			goto value
		case '"':
			i, _, err = jsonscan.String(doc, i)
		default:
			i, err = jsonscan.Scalar(doc, i)
		}
		if err != nil {
			return 0, err
		}
		n.end, n.next = int32(i), int32(self+1)
	}

after: // A value ended at i.
	if i < len(doc) && doc[i] <= ' ' {
		i = jsonscan.Space(doc, i)
	}
	if i < len(doc) && doc[i] == ',' {
		if i++; i < len(doc) && doc[i] <= ' ' {
			i = jsonscan.Space(doc, i)
		}
		goto value
	}
	if i >= len(doc) || doc[i] != closing {
		return 0, jsonscan.Unexpected(doc, i, "\",\" or \""+string(closing)+"\"")
	}

closed: // The innermost container ends at i.
	i++
	level--
	container := &nodes[open]
	open = container.end
	container.end, container.next = int32(i), int32(len(nodes))
	if open == none {
		t.nodes = nodes
		return i, nil
	}
	closing, index = doc[nodes[open].start]+2, nodes[open].next
	goto after
}

// moreNodes is how many nodes to make room for where n have come in so many bytes and so
// many bytes are left: all, if they come as densely as so far.
func moreNodes(n, bytes, left int) int {
	return max(n/4, min(int(int64(n)*int64(left)/int64(max(bytes, 1))), left/2)) + 1
}

// unpair forgets the mates of everything in container n.
func (t *tape) unpair(n int32) {
	inside := t.nodes[n+1 : t.nodes[n].next]
	for i := range inside {
		inside[i].mate = none
	}
}
