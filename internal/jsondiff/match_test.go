package jsondiff

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What no unordered pairing can improve is all that is reported: the reference tries every
// pairing.
func TestUnorderedArraysUnderTolerancesArePairedAsWellAsCanBe(t *testing.T) {
	// Elements are lists of numbers of halves, equal where each is within a half.
	within := func(x, y []int) bool {
		for k := range x {
			if d := x[k] - y[k]; d < -1 || d > 1 {
				return false
			}
		}
		return true
	}
	var most func(as, bs [][]int) int
	most = func(as, bs [][]int) int {
		if len(as) == 0 {
			return 0
		}
		best := most(as[1:], bs)
		for j := range bs {
			if within(as[0], bs[j]) {
				rest := append(append([][]int(nil), bs[:j]...), bs[j+1:]...)
				best = max(best, 1+most(as[1:], rest))
			}
		}
		return best
	}
	shapes := map[string]func([]int) string{
		"scalars": func(v []int) string { return fmt.Sprint(float64(v[0]) / 2) },
		"objects": func(v []int) string {
			return fmt.Sprintf(`{"id":"x","a":%v,"b":{"c":[%v]}}`, float64(v[0])/2, float64(v[1])/2)
		},
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for name, shape := range shapes {
		unordered := New(Options{MaxDiffs: math.MaxInt, Unordered: mustParse(t, "$"), Tolerances: []Tolerance{{Path: mustParse(t, "$..*")[0], Abs: 0.5}}})
		ordered := New(Options{MaxDiffs: math.MaxInt, Tolerances: []Tolerance{{Path: mustParse(t, "$..*")[0], Abs: 0.5}}})
		for range 3000 {
			width := 1
			if name == "objects" {
				width = 2
			}
			side := func(n int) (list [][]int, doc []byte) {
				for range n {
					v := make([]int, width)
					for k := range v {
						v[k] = rng.IntN(7)
					}
					list = append(list, v)
				}
				return list, join("[]", n, func(i int) string { return shape(list[i]) })
			}
			n := rng.IntN(6)
			as, a := side(n)
			bs, b := side(max(0, n+rng.IntN(3)-1))
			got := unordered.Compare(a, b, "")
			left := len(as) + len(bs) - 2*most(as, bs)
			want := left
			if left == 2 && len(as) == len(bs) { // the two that are left are compared
				want = 1
			}
			if want == 1 && left == 2 {
				require.NotEmpty(t, got.Diffs, "%s %s", a, b)
				for _, d := range got.Diffs {
					require.Equal(t, Changed, d.Kind, "%s %s", a, b)
				}
			} else {
				require.Len(t, got.Diffs, want, "%s %s", a, b)
			}
			if len(ordered.Compare(a, b, "").Diffs) == 0 {
				require.Empty(t, got.Diffs, "equal by their index: %s %s", a, b)
			}
			require.NoError(t, mirrored(got, unordered.Compare(b, a, "")))
		}
	}
}

func TestUnorderedArraysUnderTolerances(t *testing.T) {
	for _, c := range []struct {
		a, b  string
		o     Options
		equal bool
	}{
		{`[0.5,1]`, `[1,1.5]`, Options{Tolerances: []Tolerance{{Path: mustParse(t, "$[*]")[0], Abs: 0.5}}}, true},
		{`[1,2]`, `[1.5,1]`, Options{Tolerances: []Tolerance{{Path: mustParse(t, "$[*]")[0], Abs: 0.5}}}, true},
		{`[1,3]`, `[1.5,1]`, Options{Tolerances: []Tolerance{{Path: mustParse(t, "$[*]")[0], Abs: 0.5}}}, false},
		{`[{"a":[1,2]},{"a":[2,3]}]`, `[{"a":[3.5,2.5]},{"a":[1.5,2.5]}]`, Options{Unordered: mustParse(t, "$[*].a"), Tolerances: []Tolerance{{Path: mustParse(t, "$..a[*]")[0], Abs: 0.5}}}, true},
		{`[{"k":[{"id":1,"v":1},{"id":2,"v":5}]},{"k":[{"id":1,"v":2}]}]`, `[{"k":[{"id":1,"v":1.5}]},{"k":[{"id":2,"v":5.5},{"id":1,"v":1.5}]}]`,
			Options{Keyed: []Key{{mustParse(t, "$[*].k")[0], "id"}}, Tolerances: []Tolerance{{Path: mustParse(t, "$..v")[0], Abs: 0.5}}}, true},
		{`["2026-01-01T00:00:00Z","2026-01-01T00:00:01Z"]`, `["2026-01-01T00:00:01Z","2026-01-01T00:00:02Z"]`,
			Options{Tolerances: []Tolerance{{Path: mustParse(t, "$[*]")[0], Time: 1e9}}}, true},
		{`[{"x":1,"t":1},{"x":1,"t":2}]`, `[{"x":9,"t":1},{"x":1,"t":2}]`, Options{Ignore: mustParse(t, "$[0].x")}, true}, // equal by their index
	} {
		c.o.Unordered = append(c.o.Unordered, mustParse(t, "$")...)
		cmp := New(c.o)
		got := cmp.Compare([]byte(c.a), []byte(c.b), "")
		assert.Equal(t, c.equal, got.Equal(), "%s %s %v", c.a, c.b, got.Diffs)
		got = cmp.Compare([]byte(c.b), []byte(c.a), "")
		assert.Equal(t, c.equal, got.Equal(), "%s %s", c.b, c.a)
	}
}

// Pairing stays within its bound whatever the arrays hold.
func TestTheWorkOfPairingIsBounded(t *testing.T) {
	for name, item := range map[string]func(i int) string{
		"all near each other": func(i int) string { return fmt.Sprint(float64(i%7) / 100) },
		"objects":             func(i int) string { return fmt.Sprintf(`{"a":%d,"b":%d}`, i%5, i%3) },
		"nested":              func(i int) string { return fmt.Sprintf(`[[%d],[%d]]`, i%5, i%3) },
	} {
		c := New(Options{Unordered: mustParse(t, "$", "$[*]"), Tolerances: []Tolerance{{Path: mustParse(t, "$..*")[0], Abs: 0.5}}})
		work := func(n int) (size, work int) {
			a := join("[]", n, item)
			b := []byte(strings.Replace(string(join("[]", n, func(i int) string { return item(i + 2) })), "[", "[99,", 1))
			s := c.begin(a, b, "", c.maxDiffs)
			s.run()
			return len(a) + len(b), s.work
		}
		for _, n := range []int{300, 3000, 30000} {
			size, work := work(n)
			assert.LessOrEqual(t, work, 12*size, "%s: %d for %d bytes", name, work, size)
		}
	}
}

// Work that is not done is never a verdict: what differs by its hashes alone is an error.
func TestTooMuchPairingIsAnError(t *testing.T) {
	c := New(Options{Unordered: mustParse(t, "$", "$[*]"), Tolerances: []Tolerance{{Path: mustParse(t, "$..*")[0], Abs: 1}}})
	rng := rand.New(rand.NewPCG(1, 2))
	lists := func(n int) []byte {
		return join("[]", n, func(int) string { return fmt.Sprintf("[[%d],[%d]]", rng.IntN(100), rng.IntN(100)) })
	}
	a, b := lists(20000), lists(20000)
	got := c.Compare(a, b, "")
	require.Error(t, got.Err)
	assert.Empty(t, got.Diffs)
	assert.False(t, got.Equal())
	assert.False(t, c.Equal(a, b))
	assert.True(t, c.Equal([]byte("[[1,2],[3,4]]"), []byte("[[4,3],[1,1]]")))
	got = c.Compare([]byte("[1,2,30]"), []byte("[2,1,40]"), "")
	require.NoError(t, got.Err)
	assert.Len(t, got.Diffs, 1)

	stacked := New(Options{Ignore: mustParse(t, "$..*..*..*..[?@.none]")})
	deep := func(v string) []byte { return []byte(strings.Repeat(`{"a":`, 400) + v + strings.Repeat("}", 400)) }
	if got = stacked.Compare(deep("1"), deep("2"), ""); got.Err != nil {
		assert.Empty(t, got.Diffs)
	} else {
		assert.NotEmpty(t, got.Diffs)
	}
}
