package jsondiff

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// mirrored holds the result for (a, b) to that for (b, a).
func mirrored(r, m Result) error {
	if len(r.Diffs) != len(m.Diffs) || r.More != m.More || (r.ErrA == nil) != (m.ErrB == nil) || (r.ErrB == nil) != (m.ErrA == nil) {
		return fmt.Errorf("not symmetric: %d and %d differences, %v, %v and %v, %v", len(r.Diffs), len(m.Diffs), r.ErrA, r.ErrB, m.ErrA, m.ErrB)
	}
	if r.More {
		return nil // not the same ones may have been left out
	}
	count := map[string]int{}
	for _, d := range r.Diffs {
		count[fmt.Sprintln(d.Kind, d.Class, d.A, d.B)]++
	}
	for _, d := range m.Diffs {
		switch d.Kind {
		case Missing:
			d.Kind = Extra
		case Extra:
			d.Kind = Missing
		}
		count[fmt.Sprintln(d.Kind, d.Class, d.B, d.A)]--
	}
	for d, n := range count {
		if n != 0 {
			return fmt.Errorf("not symmetric in %s", d)
		}
	}
	return nil
}

// truthful holds every difference to the reference.
func truthful(a, b *value, r Result) error {
	for _, d := range r.Diffs {
		var x, y *value
		var path string
		if d.B.Start >= 0 {
			y, path = b.at(d.B, "/body")
		}
		if d.A.Start >= 0 {
			x, path = a.at(d.A, "/body")
		}
		if path != d.Path {
			return fmt.Errorf("%+v is at %q", d, path)
		}
		ok := false
		switch d.Kind {
		case Changed:
			ok = kindOf(x) == kindOf(y) && !x.equals(y) && len(x.children)+len(y.children) == 0
		case TypeChanged:
			ok = kindOf(x) != kindOf(y)
		case Missing:
			ok = x != nil && y == nil
		case Extra:
			ok = x == nil && y != nil
		case Reordered:
			ok = x.kind == '[' && y.kind == '[' && !x.equals(y) && x.permutes(y)
		}
		if !ok {
			return fmt.Errorf("%+v is not true", d)
		}
	}
	return nil
}

func kindOf(v *value) byte {
	if v.kind == 'f' {
		return 't'
	}
	return v.kind
}

// check compares two documents and holds the result to everything that must
// be true of it.
func check(c *Comparer, a, b []byte) error {
	keptA, keptB := bytes.Clone(a), bytes.Clone(b)
	for _, doc := range [][]byte{a, b} {
		if r := c.Compare(doc, bytes.Clone(doc), "/body"); !r.Equal() {
			return fmt.Errorf("%s differs from itself: %+v", doc, r)
		}
		// The same with the bytes moved, so that they are looked at.
		if r := c.Compare(doc, append([]byte(" "), doc...), "/body"); json.Valid(doc) != r.Equal() {
			return fmt.Errorf("%s differs from itself: %+v", doc, r)
		}
	}
	r := c.Compare(a, b, "/body")
	if err := mirrored(r, c.Compare(b, a, "/body")); err != nil {
		return err
	}
	if !bytes.Equal(a, keptA) || !bytes.Equal(b, keptB) {
		return fmt.Errorf("a document was modified")
	}
	hashA, okA := c.Hash(a)
	hashB, okB := c.Hash(b)
	validA, validB := json.Valid(a), json.Valid(b)
	switch {
	case c.Equal(a, b) != r.Equal() || c.Equal(b, a) != r.Equal():
		return fmt.Errorf("Equal is not Equal of %+v", r)
	case validA != okA || validB != okB || r.Equal() && hashA != hashB:
		return fmt.Errorf("hashes %x %v and %x %v", hashA, okA, hashB, okB)
	case validA && validB && (r.ErrA != nil || r.ErrB != nil), validA && r.ErrA != nil, validB && r.ErrB != nil:
		return fmt.Errorf("valid JSON refused: %+v", r)
	case validA != validB && (len(r.Diffs) != 1 || (r.ErrA != nil) != validB || r.Diffs[0].Path != "/body"):
		return fmt.Errorf("broken JSON not noticed: %+v", r)
	case !validA && !validB && r.Equal() != bytes.Equal(a, b):
		return fmt.Errorf("broken JSON compared: %+v", r)
	}
	if x, y := decode(a), decode(b); x != nil && y != nil {
		if x.equals(y) != r.Equal() {
			return fmt.Errorf("equal is %v, want %v: %+v", r.Equal(), x.equals(y), r)
		}
		return truthful(x, y, r)
	}
	return nil
}

func FuzzCompare(f *testing.F) {
	for _, c := range hardCases {
		f.Add([]byte(c.a), []byte(c.b))
	}
	for _, g := range []string{`{"a":[1,{"b":2}],"c":"d"}`, `[[],{},[[1]],"\ud83d\ude00"]`, "\xff", `{"a":1,"a":2}`} {
		f.Add([]byte(g), []byte(g+" "))
	}
	c := New(Options{})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if err := check(c, a, b); err != nil {
			t.Fatalf("%s\n%s\n%v", a, b, err)
		}
	})
}

// FuzzGenerated compares documents made from a seed: one rendered in two ways,
// and after a few changes.
func FuzzGenerated(f *testing.F) {
	for seed := range uint64(200) {
		f.Add(seed, seed)
	}
	c := New(Options{MaxDiffs: 1000})
	f.Fuzz(func(t *testing.T, x, y uint64) {
		g := &generator{Rand: rand.New(rand.NewPCG(x, y))}
		one := g.term(4)
		a, b := g.render(one), g.render(one)
		if r := c.Compare(a, b, "/body"); !r.Equal() {
			t.Fatalf("%s\n%s\nare the same: %+v", a, b, r)
		}
		two := one.clone()
		for range 1 + g.IntN(4) {
			g.mutate(two)
		}
		b = g.render(two)
		if err := check(c, a, b); err != nil {
			t.Fatalf("%s\n%s\n%v", a, b, err)
		}
		a, b = g.plain(one), g.plain(two)
		if err := check(c, a, b); err != nil {
			t.Fatalf("%s\n%s\n%v", a, b, err)
		}
	})
}

// FuzzRules compares any bytes under every kind of rule.
func FuzzRules(f *testing.F) {
	for _, c := range hardCases {
		f.Add([]byte(c.a), []byte(c.b))
	}
	f.Add([]byte(`{"a":[1,{"id":1,"v":2}],"l":[{"id":1},{"id":2}],"u":[1,[2]],"t":1}`), []byte(`{"a":[2,{"id":1}],"l":[{"id":2},{"id":1,"x":0}],"u":[[2],1],"t":1.05}`))
	c := New(Options{
		Ignore:     mustParse(f, "$..v", "$.a[0]", "$..[?@.id == 3]", "$.a[-1].x"),
		Unordered:  mustParse(f, "$.u", "$.u[*]", "$..[?@[0] == 1]"),
		Keyed:      []Key{{mustParse(f, "$.l")[0], "id"}, {mustParse(f, "$..k")[0], "id"}},
		Tolerances: []Tolerance{{Path: mustParse(f, "$.t")[0], Abs: 0.1}, {Path: mustParse(f, "$.u[*]")[0], Rel: 0.5, Time: time.Hour}},
	})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		r := c.Compare(a, b, "")
		if same := c.Compare(a, append([]byte("\n"), a...), ""); same.Equal() != json.Valid(a) {
			t.Fatalf("%s differs from itself: %+v", a, same)
		}
		if err := mirrored(r, c.Compare(b, a, "")); err != nil {
			t.Fatalf("%s\n%s\n%v", a, b, err)
		}
		for _, d := range r.Diffs {
			if r.ErrA == nil && r.ErrB == nil && (d.A.Start >= 0 && !json.Valid(d.A.Of(a)) || d.B.Start >= 0 && !json.Valid(d.B.Of(b))) {
				t.Fatalf("%s\n%s\n%+v is not a value", a, b, d)
			}
		}
	})
}
