package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
)

// path leads from the root of a document: a string is the name of a member, an int the
// index of an element, and each all elements.
type path []any

type each struct{}

// String spells p as JSONPath (RFC 9535).
func (p path) String() string {
	var s strings.Builder
	s.WriteByte('$')
	for _, step := range p {
		switch step := step.(type) {
		case string:
			fmt.Fprintf(&s, "['%s']", step)
		case int:
			fmt.Fprintf(&s, "[%d]", step)
		case each:
			s.WriteString("[*]")
		}
	}
	return s.String()
}

// rules are what a comparison is told. The zero value is none.
type rules struct {
	ignore    path   // nil ignores nothing
	unordered path   // an array
	keyed     path   // an array, whose elements are paired
	key       string // by this member
}

// pair is two documents to compare, and the right answer.
type pair struct {
	name  string
	rules rules
	a, b  []byte
	equal bool
}

// pairs makes the cases of d.
func (d *document) pairs() ([]pair, error) {
	root, err := parse(d.text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.name, err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	compact := root.write(nil, nil)
	plain := d.layOut(compact)
	with := func(changes map[*node]*node) []byte { return d.layOut(root.write(nil, changes)) }

	leaves := root.leaves(nil)
	middle := leaves[len(leaves)/2]
	one := with(map[*node]*node{middle.node: middle.changed()})
	all := []pair{
		{"identical bytes", rules{}, plain, bytes.Clone(plain), true},
		{"white space differs", rules{}, plain, d.otherLayout(compact), true},
		{"members shuffled everywhere", rules{}, plain, d.layOut(root.shuffled(random).write(nil, nil)), true},
		{"one leaf differs", rules{}, plain, one, false},
		{"one exactly ignored path differs", rules{ignore: middle.at}, plain, one, true},
	}
	if d.array == "" {
		return all, nil
	}

	array, noise := root.member(d.array), map[*node]*node{}
	for _, element := range array.children {
		if n := element.member(d.noisy); n != nil {
			noise[n] = n.changed()
		}
	}
	all = append(all, pair{"a wildcard-ignored member differs", rules{ignore: path{d.array, each{}, d.noisy}}, plain, with(noise), true})
	if len(array.children) > 1 {
		reordered := with(map[*node]*node{array: array.reordered(random)})
		all = append(all, pair{"unordered array, reordered", rules{unordered: path{d.array}}, plain, reordered, true})
	}
	return all, nil
}

// keyedPair is an array of 10,000 objects in two orders.
func keyedPair() (pair, error) {
	d := document{text: payload(10_000)}
	root, err := parse(d.text)
	if err != nil {
		return pair{}, err
	}
	items, random := root.member("items"), rand.New(rand.NewPCG(3, 4))
	return pair{
		"keyed array of 10,000 objects, reordered", rules{keyed: path{"items"}, key: "id"},
		d.text, root.write(nil, map[*node]*node{items: items.reordered(random)}), true,
	}, nil
}
