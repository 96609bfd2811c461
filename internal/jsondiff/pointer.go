package jsondiff

import (
	"bytes"
	"strconv"

	"github.com/goshadow/shadow/internal/jsonscan"
	"github.com/goshadow/shadow/internal/pointer"
)

// nameOf returns the decoded name of a member. It may be scratch that the next
// call overwrites.
func (s *comparison) nameOf(lit []byte) []byte {
	if bytes.IndexByte(lit, '\\') >= 0 {
		s.name = jsonscan.AppendUnquote(s.name[:0], lit)
		return s.name
	}
	return lit[1 : len(lit)-1]
}

// pathTo returns the JSON Pointer (RFC 6901) of the current value: through the
// current children of the frames of the first tier and of the visits of the
// second. It leads through B to what is Extra, else through A. Long names and a
// long path are cut.
func (s *comparison) pathTo(kind Kind) string {
	p := append(s.path[:0], s.prefix...)
	for k := range s.lockstep.frames {
		f := &s.lockstep.frames[k]
		if f.object {
			p = pointer.AppendToken(append(p, '/'), s.nameOf(s.a[f.name:f.nameEnd]))
		} else {
			p = strconv.AppendInt(append(p, '/'), int64(f.index), 10)
		}
	}
	t := &s.tree
	for k := range t.visits {
		v := &t.visits[k]
		side, parent, child := &t.a, v.a, v.curA
		if kind == Extra {
			side, parent, child = &t.b, v.b, v.curB
		}
		n := &side.nodes[child]
		p = append(p, '/')
		if side.kind(parent) == '{' {
			p = pointer.AppendToken(p, s.nameOf(n.nameLiteral(side.doc)))
			continue
		}
		if v.keyed != none {
			member := s.c.members[v.keyed]
			if key := s.key(side, child, member); key != none {
				p = append(pointer.AppendToken(p, []byte(member)), '=')
				lit := side.nodes[key].literal(side.doc)
				if lit[0] == '"' {
					lit = s.nameOf(lit)
				}
				p = pointer.AppendToken(p, lit)
				continue
			}
		}
		p = strconv.AppendInt(p, int64(n.name), 10)
	}
	s.path = p
	return pointer.Bounded(p)
}
