package jsondiff

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow/internal/jsonpath"
)

// ruled is the reference for comparisons with rules: it knows by the offsets
// of values which rules select them.
type ruled struct {
	ignored, unordered, keyed map[*value]bool
	member                    string
}

func (r *ruled) mark(t *testing.T, marks map[*value]bool, root *value, doc []byte, paths []*jsonpath.Path) {
	at := map[int]bool{}
	for _, p := range paths {
		nodes, err := p.Select(doc, 0)
		require.NoError(t, err)
		for _, n := range nodes {
			at[n.Start] = true
		}
	}
	var walk func(v *value)
	walk = func(v *value) {
		if at[v.start] {
			marks[v] = true
		}
		for _, c := range v.children {
			walk(c)
		}
	}
	walk(root)
}

func (r *ruled) equal(x, y *value) bool {
	switch {
	case r.ignored[x] || r.ignored[y]:
		return true
	case x.kind != y.kind:
		return false
	case x.kind == '{':
		theirs := y.members()
		for name, mine := range x.members() {
			if !r.inOrder(mine, theirs[name]) {
				return false
			}
			delete(theirs, name)
		}
		for _, extra := range theirs {
			if !r.inOrder(nil, extra) {
				return false
			}
		}
		return true
	case x.kind == '[' && (r.keyed[x] || r.keyed[y]):
		mine, theirs := r.byKey(x.children), r.byKey(y.children)
		for key, list := range mine {
			if !r.inOrder(list, theirs[key]) {
				return false
			}
			delete(theirs, key)
		}
		for _, extra := range theirs {
			if !r.inOrder(nil, extra) {
				return false
			}
		}
		return true
	case x.kind == '[' && (r.unordered[x] || r.unordered[y]):
		return r.anyOrder(r.left(x.children), r.left(y.children))
	case x.kind == '[':
		if r.inOrder(x.children, y.children) {
			return true
		}
		mine, theirs := r.left(x.children), r.left(y.children)
		return len(mine) == len(theirs) && r.inOrder(mine, theirs)
	}
	return x.equals(y)
}

// inOrder compares pairwise; what has no partner must be ignored.
func (r *ruled) inOrder(x, y []*value) bool {
	for i := range max(len(x), len(y)) {
		switch {
		case i >= len(x):
			if !r.ignored[y[i]] {
				return false
			}
		case i >= len(y):
			if !r.ignored[x[i]] {
				return false
			}
		case !r.equal(x[i], y[i]):
			return false
		}
	}
	return true
}

func (r *ruled) anyOrder(x, y []*value) bool {
	if len(x) != len(y) {
		return false
	}
	if len(x) == 0 {
		return true
	}
	for i := range y {
		if r.equal(x[0], y[i]) {
			rest := append(append([]*value(nil), y[:i]...), y[i+1:]...)
			return r.anyOrder(x[1:], rest)
		}
	}
	return false
}

func (r *ruled) left(list []*value) (left []*value) {
	for _, v := range list {
		if !r.ignored[v] {
			left = append(left, v)
		}
	}
	return left
}

func (r *ruled) byKey(list []*value) map[string][]*value {
	m := map[string][]*value{}
	for _, v := range list {
		key := "none"
		for i, name := range v.names {
			if name == r.member {
				switch k := v.children[i]; k.kind {
				case '{', '[':
				case '0':
					key = "number " + k.number.String()
				default:
					key = string(k.kind) + k.text
				}
				break
			}
		}
		m[key] = append(m[key], v)
	}
	return m
}

// TestRulesAgreeWithTheReference compares random documents under random rules.
func TestRulesAgreeWithTheReference(t *testing.T) {
	places := []string{
		"$", "$.*", "$..*", "$[*]", "$..a", "$..b", "$.a", "$.id", "$.list", "$..list", "$..list[*]", "$..price", "$[*].a", "$.a.*",
		"$..id", "$.b[*].list", "$.*[*]", "$['a/b']", "$..['']", "$..list[?@.a]", "$..[?@ == 1]",
	}
	equal, different := 0, 0
	for seed := range uint64(4000) {
		g := &generator{Rand: rand.New(rand.NewPCG(seed, 1))}
		some := func() (exprs []string) {
			for range g.IntN(3) {
				exprs = append(exprs, places[g.IntN(len(places))])
			}
			return exprs
		}
		ignore, unordered, keyed := some(), some(), some()
		o := Options{Ignore: mustParse(t, ignore...), Unordered: mustParse(t, unordered...), MaxDiffs: 1000}
		for _, p := range mustParse(t, keyed...) {
			o.Keyed = append(o.Keyed, Key{p, "id"})
		}
		one := g.term(4)
		two := one.clone()
		for range g.IntN(3) {
			g.mutate(two)
		}
		a, b := g.render(one), g.render(two)
		if g.IntN(2) == 0 {
			a, b = g.plain(one), g.plain(two)
		}
		x, y := decode(a), decode(b)
		ref := &ruled{map[*value]bool{}, map[*value]bool{}, map[*value]bool{}, "id"}
		for _, side := range []struct {
			root *value
			doc  []byte
		}{{x, a}, {y, b}} {
			ref.mark(t, ref.ignored, side.root, side.doc, o.Ignore)
			ref.mark(t, ref.unordered, side.root, side.doc, o.Unordered)
			for _, k := range o.Keyed {
				ref.mark(t, ref.keyed, side.root, side.doc, []*jsonpath.Path{k.Path})
			}
		}
		c := New(o)
		r := c.Compare(a, b, "/body")
		want := ref.equal(x, y)
		require.Equal(t, want, r.Equal(), "seed %d, ignore %v, unordered %v, keyed %v\n%s\n%s\n%+v", seed, ignore, unordered, keyed, a, b, r)
		require.Equal(t, want, c.Equal(a, b))
		hashA, _ := c.Hash(a)
		hashB, _ := c.Hash(b)
		if want && !strings.Contains(fmt.Sprint(ignore, unordered, keyed), "?") {
			require.Equal(t, hashA, hashB, "seed %d, ignore %v, unordered %v, keyed %v\n%s\n%s", seed, ignore, unordered, keyed, a, b)
		}
		require.NoError(t, mirrored(r, c.Compare(b, a, "/body")), "seed %d, ignore %v, unordered %v, keyed %v\n%s\n%s", seed, ignore, unordered, keyed, a, b)
		if want && !x.equals(y) {
			equal++
		} else if !want {
			different++
		}
	}
	t.Logf("%d pairs equal by a rule, %d different", equal, different)
	assert.Greater(t, equal, 150)
	assert.Greater(t, different, 200)
}

func TestMatchesTellLiveRulesFromDeadOnes(t *testing.T) {
	c := New(Options{
		Ignore:     mustParse(t, "$.at", "$.never", "$..deep"),
		Unordered:  mustParse(t, "$.tags", "$.nowhere"),
		Keyed:      []Key{{mustParse(t, "$.none")[0], "id"}, {mustParse(t, "$.items")[0], "id"}},
		Tolerances: []Tolerance{{Path: mustParse(t, "$.price")[0], Abs: 1}, {Path: mustParse(t, "$.other")[0], Abs: 1}},
	})
	a := []byte(`{"at":1,"tags":[1,2],"items":[{"id":1,"deep":1},{"id":2,"deep":1}],"price":1,"other":1}`)
	b := []byte(`{"at":2,"tags":[2,1],"items":[{"id":2,"deep":2},{"id":1,"deep":2}],"price":2,"other":1}`)
	for range 3 {
		r := c.Compare(a, b, "")
		require.True(t, r.Equal(), "%+v", r)
	}
	assert.Equal(t, Matches{
		Ignore:     []uint64{3, 0, 6},
		Unordered:  []uint64{3, 0},
		Keyed:      []uint64{0, 3},
		Tolerances: []uint64{3, 0},
	}, c.Matches())
	c.Compare(a, a, "")
	assert.Equal(t, []uint64{3, 0, 6}, c.Matches().Ignore, "identical documents need no rule")
	assert.Equal(t, Matches{[]uint64{}, []uint64{}, []uint64{}, []uint64{}}, New(Options{}).Matches())
}

// What is only tried is not counted: arrays are compared in order before they are
// aligned, and aligned from their beginning.
func TestMatchesCountTheVerdictOnce(t *testing.T) {
	for _, test := range []struct {
		name, a, b string
		ignored    uint64
		diffs      int
	}{
		{"in order", `[{"at":1,"v":1},{"at":1,"v":2}]`, `[{"at":2,"v":1},{"at":2,"v":2}]`, 2, 0},
		{"and a change", `[{"at":1,"v":1},{"at":1,"v":2},0]`, `[{"at":2,"v":1},{"at":2,"v":3},1]`, 2, 2},
		{"inserted before", `[{"at":1,"v":1},{"at":1,"v":2}]`, `[{"at":0,"v":0},{"at":2,"v":1},{"at":2,"v":2}]`, 2, 1},
		{"in another order", `[{"at":1,"v":1},{"at":1,"v":2},{"at":1,"v":3}]`, `[{"at":2,"v":3},{"v":2,"at":2},{"at":2,"v":1}]`, 3, 1},
		{"an array in an array", `[[{"at":1},1],[{"at":1},2],3]`, `[[{"at":2},1],[{"at":2},3],4]`, 2, 2},
		{"an array in an object in another order", `{"x":1,"l":[{"at":1,"v":1},5,6]}`, `{"l":[{"at":2,"v":1},6,7],"x":1}`, 1, 2},
		{"values that are ignored in an array", `[1,{"at":1},{"at":1,"v":2}]`, `[2,{"at":2},{"at":2,"v":3}]`, 2, 2},
	} {
		c := New(Options{Ignore: mustParse(t, "$..at")})
		c.Equal([]byte(test.a), []byte(test.b))
		c.Hash([]byte(test.a))
		assert.Zero(t, c.Matches().Ignore[0], test.name)
		r := c.Compare([]byte(test.a), []byte(test.b), "")
		assert.Len(t, r.Diffs, test.diffs, test.name)
		assert.Equal(t, test.ignored, c.Matches().Ignore[0], test.name)
	}
	c := New(Options{Ignore: mustParse(t, "$..at"), Unordered: mustParse(t, "$[*].u"), Tolerances: []Tolerance{{Path: mustParse(t, "$..n")[0], Abs: 1}}})
	r := c.Compare([]byte(`[{"at":1,"n":1,"u":[1,2],"v":1}]`), []byte(`[{"at":2,"n":2,"u":[2,1],"v":2}]`), "")
	assert.Len(t, r.Diffs, 1)
	assert.Equal(t, Matches{[]uint64{1}, []uint64{1}, []uint64{}, []uint64{1}}, c.Matches())
}

// TestConcurrentComparisonsShareNothing compares many documents at once with
// one Comparer and holds each result to the one found alone.
func TestConcurrentComparisonsShareNothing(t *testing.T) {
	c := New(Options{Ignore: mustParse(t, "$..price", "$..[?@.id == 1]"), Unordered: mustParse(t, "$..list")})
	type job struct {
		a, b []byte
		want string
	}
	var jobs []job
	for seed := range uint64(100) {
		g := &generator{Rand: rand.New(rand.NewPCG(seed, 2))}
		one := g.term(4)
		two := one.clone()
		g.mutate(two)
		a, b := g.render(one), g.render(two)
		jobs = append(jobs, job{a, b, fmt.Sprint(c.Compare(a, b, "/body"))})
	}
	alone := c.Matches()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for _, j := range jobs {
				if got := fmt.Sprint(c.Compare(j.a, j.b, "/body")); got != j.want {
					t.Errorf("%s\n%s\n%s, want %s", j.a, j.b, got, j.want)
				}
			}
		})
	}
	all.Wait()
	for i, n := range alone.Ignore {
		assert.Equal(t, 5*n, c.Matches().Ignore[i])
	}
}

func TestResultsOutliveTheComparison(t *testing.T) {
	c := New(Options{})
	a, b := []byte(`{"name":"Ann"}`), []byte(`{"name":"Bob"}`)
	r := c.Compare(a, b, "/body")
	want := fmt.Sprint(r)
	for range 100 {
		c.Compare([]byte(`{"other":[1,2,3]}`), []byte(`{"other":[4,5,6]}`), "/x")
	}
	copy(a, `{"xxxx":"yyy"}`)
	assert.Equal(t, want, fmt.Sprint(r))
}

func TestToleranceBounds(t *testing.T) {
	for _, c := range []struct {
		tolerance Tolerance
		a, b      string
		allowed   bool
	}{
		{Tolerance{Abs: 0.1}, `0.3`, `0.4`, true}, // which float64 takes for 0.10000000000000003
		{Tolerance{Abs: 0.1}, `0.3`, `0.40000000000000000001`, false},
		{Tolerance{Abs: 0.1}, `-0.05`, `0.05`, true},
		{Tolerance{Abs: 1}, `9007199254740992`, `9007199254740993`, true},
		{Tolerance{Abs: 1}, `9007199254740992`, `9007199254740994`, false},
		{Tolerance{Abs: 1}, `1e400`, `1.1e400`, false},
		{Tolerance{Abs: 1}, `1e99999`, `1.1e99999`, false},
		{Tolerance{Abs: 1}, `1e400000000`, `2e400000000`, false}, // not expanded
		{Tolerance{Rel: 0.5}, `1e400`, `1.1e400`, true},
		{Tolerance{Rel: 0.01}, `100`, `101`, true},
		{Tolerance{Rel: 0.01}, `100`, `101.0102`, false},
		{Tolerance{Rel: 0.01}, `0`, `0.0000001`, false},
		{Tolerance{Abs: -1, Rel: -1, Time: -1}, `1`, `1.0000001`, false},
		{Tolerance{Abs: nan()}, `1`, `2`, false},
		{Tolerance{Time: time.Second}, `1714979289`, `1714979290`, true},
		{Tolerance{Time: time.Second}, `1714979289`, `1714979290.5`, false},
		{Tolerance{Time: time.Millisecond}, `1714979289000000`, `1714979289001000`, true},
		{Tolerance{Time: time.Second}, `1714979289000000000`, `1714979290000000001`, false},
		{Tolerance{Time: time.Second}, `1`, `2`, false},
		{Tolerance{Time: time.Second}, `1714979289`, `1714979289000`, false}, // seconds and milliseconds
		{Tolerance{Time: time.Second}, `"2024-05-06T07:08:09Z"`, `"2024-05-06T07:08:10Z"`, true},
		{Tolerance{Time: time.Second}, `"2024-05-06T07:08:09Z"`, `"2024-05-06T07:08:10.1Z"`, false},
		{Tolerance{Time: time.Second}, `"2024-05-06T07:08:09Z"`, `"2024-05-06T09:08:09+02:00"`, true},
		{Tolerance{Time: time.Second}, `"2024-05-06T07:08:09Z"`, `"2024-05-06"`, false},
		{Tolerance{Time: time.Second}, `"a"`, `"b"`, false},
		{Tolerance{Abs: 1}, `"2024-05-06T07:08:09Z"`, `"2024-05-06T07:08:10Z"`, false},
		{Tolerance{Abs: 1}, `true`, `false`, false},
		{Tolerance{Abs: 1}, `1`, `"1"`, false},
		{Tolerance{Abs: 1}, `[1]`, `[2]`, false},
	} {
		c.tolerance.Path = mustParse(t, "$.v")[0]
		cmp := New(Options{Tolerances: []Tolerance{c.tolerance}})
		for _, pair := range [][2]string{{c.a, c.b}, {c.b, c.a}} {
			r := cmp.Compare([]byte(`{"x":0,"v":`+pair[0]+`}`), []byte(`{"v":`+pair[1]+`,"x":0}`), "")
			assert.Equal(t, c.allowed, r.Equal(), "%+v: %s %s", c.tolerance, pair[0], pair[1])
			r = cmp.Compare([]byte(`{"v":`+pair[0]+`}`), []byte(`{"v":`+pair[1]+`}`), "")
			assert.Equal(t, c.allowed, r.Equal(), "%+v: %s %s", c.tolerance, pair[0], pair[1])
		}
	}
}

func nan() float64 { zero := 0.0; return zero / zero }
