package jsondiff

import (
	"bytes"

	"github.com/goshadow/shadow/internal/jsonscan"
)

// place is a container of B that is open while A is walked. Its children are
// taken off a list: after a child comes its mate, if that is set, or else its
// next.
type place struct {
	next, end int32 // the first child on the list; the node after them all
	closing   byte  // the closing bracket
}

// maxProbes is how many members are looked at for one of that name. In larger
// objects in another order the index of the second tier is faster.
const maxProbes = 48

// alike reports whether what is left of a container in A, from the member or
// element at i, is equal to what tape b holds of it, where no rule applies and
// no name on the tape has an escape: names are compared by their bytes. It
// is the short way to the verdict where members come in another order and
// nothing differs: A is only scanned, and needs no tape. end is one past the
// container in A.
//
// False means that a closer look is needed: there is a difference, broken
// syntax, a name that is spelled with escapes, or large objects in another
// order. The mates on tape b are no pairs then.
func (s *comparison) alike(i int) (end int, ok bool) {
	a, t := s.a, &s.tree.b
	nodes := t.nodes
	open := s.tree.places[:0]
	p := place{next: 1, end: nodes[0].next, closing: t.kind(0) + 2}
	defer func() { s.tree.places = open }()
	var n, before int32
	if i < len(a) && a[i] == p.closing {
		goto closed
	}

value: // A member or element of A starts at i.
	s.work++
	n, before = p.next, none
	if p.closing == '}' {
		if i >= len(a) || a[i] != '"' {
			return 0, false
		}
		for probes := 0; ; probes++ {
			if n >= p.end || probes > maxProbes {
				return 0, false
			}
			// What is the same bytes as a whole literal is one too.
			name := nodes[n].nameLiteral(t.doc)
			end := i + len(name)
			if end <= len(a) && a[end-1] == '"' && a[i+1] == name[1] && bytes.Equal(a[i:end], name) {
				i = end
				break
			}
			before, n = n, nodes[n].listed()
		}
		if i < len(a) && a[i] <= ' ' {
			i = jsonscan.Space(a, i)
		}
		if i >= len(a) || a[i] != ':' {
			return 0, false
		}
		if i++; i < len(a) && a[i] <= ' ' {
			i = jsonscan.Space(a, i)
		}
	}
	if n >= p.end || i >= len(a) {
		return 0, false
	}
	if after := nodes[n].listed(); before == none {
		p.next = after
	} else {
		nodes[before].mate = after
	}
	{
		lit := nodes[n].literal(t.doc)
		switch c := a[i]; c {
		case '{', '[':
			if c != lit[0] {
				return 0, false
			}
			if s.tree.spare > 0 && i+len(lit) <= len(a) {
				if bytes.Equal(a[i:i+len(lit)], lit) {
					i += len(lit) // it is what has been read on the other side
					goto after
				}
				s.tree.spare -= len(lit)
			}
			open = append(open, p)
			p = place{next: n + 1, end: nodes[n].next, closing: c + 2}
			if i++; i < len(a) && a[i] <= ' ' {
				i = jsonscan.Space(a, i)
			}
			if i < len(a) && a[i] == p.closing {
				goto closed
			}
			goto value
		default:
			end := i + len(lit)
			if end > len(a) || !bytes.Equal(a[i:end], lit) || !delimited(a, end) {
				var err error
				if end, err = jsonscan.Scalar(a, i); err != nil || !equalScalars(a[i:end], lit) {
					return 0, false
				}
			}
			i = end
		}
	}

after: // A value of A ended at i.
	if i < len(a) && a[i] <= ' ' {
		i = jsonscan.Space(a, i)
	}
	if i < len(a) && a[i] == ',' {
		if i++; i < len(a) && a[i] <= ' ' {
			i = jsonscan.Space(a, i)
		}
		goto value
	}
	if i >= len(a) || a[i] != p.closing {
		return 0, false
	}

closed: // The innermost container of A ends at i.
	if p.next < p.end {
		return 0, false
	}
	i++
	if len(open) == 0 {
		return i, true
	}
	p = open[len(open)-1]
	open = open[:len(open)-1]
	goto after
}

// listed returns what comes after a node on the list of a place.
func (n *node) listed() int32 {
	if n.mate != none {
		return n.mate
	}
	return n.next
}
