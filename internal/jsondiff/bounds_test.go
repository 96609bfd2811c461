package jsondiff

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow/internal/pointer"
)

// join writes n items between brackets.
func join(brackets string, n int, item func(i int) string) []byte {
	var b strings.Builder
	b.WriteByte(brackets[0])
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(item(i))
	}
	b.WriteByte(brackets[1])
	return []byte(b.String())
}

// nest puts inner into n levels of "before inner after".
func nest(n int, before, inner, after string) []byte {
	return []byte(strings.Repeat(before, n) + inner + strings.Repeat(after, n))
}

// hostile makes pairs of documents, of a size that grows with n, that a naive
// comparison takes quadratic time for.
var hostile = map[string]func(n int) (a, b []byte){
	"duplicate names": func(n int) (a, b []byte) {
		return join("{}", n, func(i int) string { return fmt.Sprintf(`"a":%d`, i) }),
			join("{}", n, func(i int) string { return fmt.Sprintf(`"a":%d`, n-i) })
	},
	"duplicate names after another": func(n int) (a, b []byte) {
		return join("{}", n, func(i int) string { return `"a":1` }),
			append([]byte(`{"b":1,`), join("{}", n-1, func(i int) string { return `"a":1` })[1:]...)
	},
	"members in reverse": func(n int) (a, b []byte) {
		return join("{}", n, func(i int) string { return fmt.Sprintf(`"m%d":%d`, i, i) }),
			join("{}", n, func(i int) string { return fmt.Sprintf(`"m%d":%d`, n-1-i, n-1-i) })
	},
	"other members": func(n int) (a, b []byte) {
		return join("{}", n, func(i int) string { return fmt.Sprintf(`"m%d":%d`, i, i) }),
			join("{}", n, func(i int) string { return fmt.Sprintf(`"n%d":%d`, i, i) })
	},
	"array in reverse": func(n int) (a, b []byte) {
		return join("[]", n, func(i int) string { return fmt.Sprint(i) }),
			join("[]", n, func(i int) string { return fmt.Sprint(n - i) })
	},
	"array with a period": func(n int) (a, b []byte) {
		return join("[]", n, func(i int) string { return fmt.Sprint(i % 7) }),
			join("[]", n+1, func(i int) string { return fmt.Sprint((i * 3) % 11) })
	},
	"the same but for the last": func(n int) (a, b []byte) {
		return join("[]", n, func(i int) string { return "1" }),
			append(join("[]", n, func(i int) string { return "1" })[:2*n], []byte(",2]")...)
	},
	"deep arrays": func(n int) (a, b []byte) {
		n = min(n, 9000)
		return nest(n, "[1,", "1", "]"), nest(n, "[1,", "2", "]")
	},
	"deep arrays with more after": func(n int) (a, b []byte) {
		n = min(n, 9000)
		return nest(n, "[", "1", ",3]"), nest(n, "[", "2", ",4]")
	},
	"deep arrays with less after": func(n int) (a, b []byte) {
		n = min(n, 9000)
		return nest(n, "[", "1", ",3]"), nest(n, "[", "2", "]")
	},
	"deep objects, each in another order after": func(n int) (a, b []byte) {
		n = min(n, 9000)
		return nest(n, `{"n":`, "1", `,"x":1,"y":2}`), nest(n, `{"n":`, "1", `,"y":2,"x":1}`)
	},
	"deep objects, each in another order before": func(n int) (a, b []byte) {
		n = min(n, 9000)
		return nest(n, `{"x":1,"y":2,"n":`, "1", `}`), nest(n, `{"y":2,"x":1,"n":`, "1", `}`)
	},
	"deep, the same but for the innermost, which is long": func(n int) (a, b []byte) {
		n = min(n, 9000)
		long := strings.Repeat("x", n*10)
		return nest(n, `{"p":1,"q":2,"n":`, `"`+long+`1"`, `}`), nest(n, `{"p":1,"q":2,"n":`, `"`+long+`2"`, `}`)
	},
	"deep, in another order, the innermost long": func(n int) (a, b []byte) {
		n = min(n, 9000)
		long := strings.Repeat("x", n*10)
		return append([]byte(`{"b":1,"a":`), append(nest(n, `[1,`, `"`+long+`1"`, `]`), '}')...),
			append([]byte(`{"a":`), append(nest(n, `[1,`, `"`+long+`2"`, `]`), []byte(`,"b":1}`)...)...)
	},
	"arrays with a change each": func(n int) (a, b []byte) {
		return join("[]", n, func(i int) string { return fmt.Sprintf(`[[%d]]`, i) }),
			join("[]", n, func(i int) string { return fmt.Sprintf(`[[%d]]`, -i) })
	},
	"enormous exponents": func(n int) (a, b []byte) {
		return []byte("1e" + strings.Repeat("9", n)), []byte("1e" + strings.Repeat("9", n-1) + "8")
	},
	"escapes": func(n int) (a, b []byte) {
		return join("{}", n, func(i int) string { return fmt.Sprintf(`"\u0061%d":1`, i) }),
			join("{}", n, func(i int) string { return fmt.Sprintf(`"a%d":1`, n-1-i) })
	},
	"broken at the end": func(n int) (a, b []byte) {
		a, b = nest(min(n, 9000), "[1,", "1", "]"), nest(min(n, 9000), "[1,", "2", "]")
		return append(a, ']'), append(b, '}')
	},
}

// TestWorkGrowsWithTheSizeOnly counts the work instead of timing it: ten times
// the document may cost ten times as much, not a hundred times.
func TestWorkGrowsWithTheSizeOnly(t *testing.T) {
	rules := map[string]Options{
		"exact":       {MaxDiffs: math.MaxInt},
		"few wanted":  {MaxDiffs: 3},
		"ignored":     {MaxDiffs: math.MaxInt, Ignore: mustParse(t, "$..z", "$.q", "$[0][0]")},
		"everywhere":  {MaxDiffs: math.MaxInt, Ignore: mustParse(t, "$..[2]"), Unordered: mustParse(t, "$..*", "$")},
		"keyed":       {MaxDiffs: math.MaxInt, Keyed: []Key{{mustParse(t, "$..*")[0], "id"}, {mustParse(t, "$")[0], "id"}}},
		"all ignored": {Ignore: mustParse(t, "$..*")},
		"tolerant":    {MaxDiffs: math.MaxInt, Tolerances: []Tolerance{{Path: mustParse(t, "$..*")[0], Abs: 0.5}}, Unordered: mustParse(t, "$")},
	}
	for name, o := range rules {
		c := New(o)
		for kind, make := range hostile {
			work := func(n int) (size, work int) {
				a, b := make(n)
				s := c.begin(a, b, "", c.maxDiffs)
				s.run()
				return len(a) + len(b), s.work
			}
			size, small := work(200)
			sizeLarge, large := work(2000)
			factor := float64(sizeLarge) / float64(size)
			assert.LessOrEqual(t, float64(large), 1.6*factor*float64(small)+1000, "%s, %s: %d for %d bytes, %d for %d", name, kind, small, size, large, sizeLarge)
			assert.LessOrEqual(t, small, 40*size+1000, "%s, %s", name, kind)
		}
	}
}

func TestHostileDocumentsAreDecided(t *testing.T) {
	c := New(Options{})
	for kind, make := range hostile {
		a, b := make(300)
		assert.NoError(t, check(c, a, b), kind)
	}
}

func TestNestingIsBounded(t *testing.T) {
	c := New(Options{})
	a, b := nest(10_000, "[", "1", "]"), nest(10_000, "[", "2", "]")
	r := c.Compare(a, b, "")
	require.Len(t, r.Diffs, 1)
	assert.Equal(t, pointer.Bounded(bytes.Repeat([]byte("/0"), 10_000)), r.Diffs[0].Path)

	deep := nest(10_001, "[", "1", "]")
	r = c.Compare(a, deep, "/body")
	assert.NoError(t, r.ErrA)
	assert.EqualError(t, r.ErrB, "invalid JSON at offset 10000: nested deeper than 10000 levels")
	assert.Equal(t, []Diff{{Path: "/body", Kind: TypeChanged, A: Span{0, len(a)}, B: Span{0, len(deep)}}}, r.Diffs)

	r = c.Compare(bytes.Repeat([]byte("["), 8<<20), bytes.Repeat([]byte("["), 8<<20+1), "")
	assert.Error(t, r.ErrA)
	assert.Error(t, r.ErrB)

	// The second tier counts the levels of the first.
	for _, depth := range []int{5, 6, 7} {
		c := New(Options{MaxDepth: depth})
		r := c.Compare([]byte(`[[[{"a":[[1]],"b":2}]]]`), []byte(`[[[{"b":2,"a":[[1]]}]]]`), "")
		assert.Equal(t, depth >= 6, r.Equal(), depth)
		assert.Equal(t, depth < 6, r.ErrA != nil && r.ErrB != nil, depth)
	}
}

// A name may be as long as the document, and every difference has a path.
func TestPathsTakeBoundedMemory(t *testing.T) {
	long := strings.Repeat("n", 500_000)
	doc := func(v int) []byte {
		return fmt.Appendf(nil, `{"%s":%s,"%s2":0}`, long, join("{}", 100, func(i int) string { return fmt.Sprintf(`"%d":%d`, i, v) }), long)
	}
	r := New(Options{}).Compare(doc(1), doc(2), "")
	require.Len(t, r.Diffs, 100)
	assert.False(t, r.More)
	for i, d := range r.Diffs {
		assert.Equal(t, fmt.Sprintf("/%s…%08x/%d", long[:128], crc32.ChecksumIEEE([]byte(long)), i), d.Path)
	}
	// The same notation in keyed arrays, whose keys may be as long.
	r = New(Options{Keyed: []Key{{mustParse(t, "$")[0], "id"}}}).Compare(
		fmt.Appendf(nil, `[{"id":"%s","v":1}]`, long), fmt.Appendf(nil, `[{"id":"%s","v":2}]`, long), "")
	require.Len(t, r.Diffs, 1)
	assert.Equal(t, fmt.Sprintf("/id=%s…%08x/v", long[:128], crc32.ChecksumIEEE([]byte(long))), r.Diffs[0].Path)

	// Deep nesting makes a long path, of which the middle is left out.
	deep := func(name string, v int) []byte { return nest(5000, `{"`+name+`":`, fmt.Sprint(v), "}") }
	r = New(Options{}).Compare(deep("abc", 1), deep("abc", 2), "")
	require.Len(t, r.Diffs, 1)
	assert.Less(t, len(r.Diffs[0].Path), 5<<10)
	assert.True(t, strings.HasPrefix(r.Diffs[0].Path, "/abc/abc/") && strings.HasSuffix(r.Diffs[0].Path, "/abc/abc"))
}

// Arrays of more values than their size allows are paired by index. In all others an element
// that was inserted is one difference.
func TestVeryDenseArraysArePairedByIndex(t *testing.T) {
	c := New(Options{MaxDiffs: 10})
	compare := func(n int) []Diff {
		list := strings.Repeat("1,2,", n/2)
		return c.Compare([]byte("["+list+"0]"), []byte("[7,"+list+"0]"), "").Diffs
	}
	few := compare(8_000)
	require.Len(t, few, 1)
	assert.Equal(t, Extra, few[0].Kind)
	assert.Len(t, compare(20_000), 10)
}
