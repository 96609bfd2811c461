package main

import (
	"bytes"
	"math/rand/v2"

	"github.com/go-json-experiment/json/jsontext"
)

// node is a value of a document that keeps the spelling and the order of what it holds.
type node struct {
	raw      []byte // of a scalar
	kind     byte   // '{', '[', or 0 for a scalar
	names    [][]byte
	children []*node
}

func parse(doc []byte) (*node, error) {
	return read(jsontext.NewDecoder(bytes.NewReader(doc)))
}

func read(d *jsontext.Decoder) (*node, error) {
	kind := d.PeekKind()
	if kind != '{' && kind != '[' {
		raw, err := d.ReadValue()
		return &node{raw: bytes.Clone(raw)}, err
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	n := &node{kind: byte(kind)}
	for d.PeekKind() != kind+2 {
		if kind == '{' {
			name, err := d.ReadValue()
			if err != nil {
				return nil, err
			}
			n.names = append(n.names, bytes.Clone(name))
		}
		child, err := read(d)
		if err != nil {
			return nil, err
		}
		n.children = append(n.children, child)
	}
	_, err := d.ReadToken()
	return n, err
}

// write appends n to dst without white space. What changes holds is written instead.
func (n *node) write(dst []byte, changes map[*node]*node) []byte {
	if other := changes[n]; other != nil {
		n = other
	}
	if n.kind == 0 {
		return append(dst, n.raw...)
	}
	dst = append(dst, n.kind)
	for i, child := range n.children {
		if i > 0 {
			dst = append(dst, ',')
		}
		if n.names != nil {
			dst = append(append(dst, n.names[i]...), ':')
		}
		dst = child.write(dst, changes)
	}
	return append(dst, n.kind+2)
}

// shuffled returns n with the members of all its objects in another order.
func (n *node) shuffled(r *rand.Rand) *node {
	if n.kind == 0 {
		return n
	}
	other := &node{kind: n.kind}
	order := make([]int, len(n.children))
	for i := range order {
		order[i] = i
	}
	if n.kind == '{' {
		r.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	}
	for _, i := range order {
		if n.kind == '{' {
			other.names = append(other.names, n.names[i])
		}
		other.children = append(other.children, n.children[i].shuffled(r))
	}
	return other
}

// reordered returns the array n with its elements in another order.
func (n *node) reordered(r *rand.Rand) *node {
	other := &node{kind: n.kind}
	for _, i := range r.Perm(len(n.children)) {
		other.children = append(other.children, n.children[i])
	}
	return other
}

// changed returns another scalar of the same kind and length, where there is one.
func (n *node) changed() *node {
	raw := bytes.Clone(n.raw)
	middle := len(raw) / 2
	switch {
	case raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9':
		last := &raw[len(raw)-1]
		*last = '1' + (*last-'0')%9
	case raw[0] == '"' && len(raw) > 2 && !bytes.ContainsRune(raw, '\\') && raw[middle] < 0x80:
		raw[middle] = 'a' + (raw[middle]+1)%26
		if raw[middle] == n.raw[middle] {
			raw[middle] = '_'
		}
	default:
		raw = []byte(`"changed"`)
	}
	return &node{raw: raw}
}

// member returns the value of a member, nil where there is none.
func (n *node) member(name string) *node {
	for i := range n.names {
		if string(n.names[i]) == `"`+name+`"` {
			return n.children[i]
		}
	}
	return nil
}

// leaf is a scalar and where it is.
type leaf struct {
	*node
	at path
}

// leaves returns the scalars in n in their order. The names on the way to them must not
// hold escapes.
func (n *node) leaves(at path) (all []leaf) {
	if n.kind == 0 {
		return []leaf{{n, at}}
	}
	for i, child := range n.children {
		var step any = i
		if n.kind == '{' {
			name := n.names[i]
			step = string(name[1 : len(name)-1])
		}
		all = append(all, child.leaves(append(at[:len(at):len(at)], step))...)
	}
	return all
}
