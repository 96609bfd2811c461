//go:build !race

// Under the race detector sync.Pool drops what it is given at random, so that
// allocations cannot be counted.

package jsondiff

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEqualVerdictsDoNotAllocate(t *testing.T) {
	filter := mustParse(t, "$.items[*].updated_at", "$..email", "$.items[0]['name']")
	for _, n := range []int{1, 5, 50} {
		for _, m := range measures(t, sample{"", payload(n), "/items", []string{"updated_at"}}) {
			want := 0.0
			if m.diffs > 0 {
				want = 2 * float64(m.diffs)
			}
			m.c.Compare(m.a, m.b, "/body")
			assert.LessOrEqual(t, testing.AllocsPerRun(50, func() { m.c.Compare(m.a, m.b, "/body") }), want, m.name)
		}
	}
	c := New(Options{
		Ignore:     filter,
		Keyed:      []Key{{mustParse(t, "$.items")[0], "id"}},
		Tolerances: []Tolerance{{Path: mustParse(t, "$.p")[0], Abs: 0.1}},
	})
	a := []byte(`{"p":1.05,"items":[{"id":1,"updated_at":"x","email":[1]},{"id":2,"n\u0061me":"y"}]}`)
	b := []byte(`{"items":[{"name":"z","id":2},{"email":{},"id":1,"updated_at":"y"}],"p":1.1}`)
	require.True(t, func() bool { r := c.Compare(a, b, ""); return r.Equal() }())
	assert.Zero(t, testing.AllocsPerRun(50, func() { c.Compare(a, b, "") }))
}

func TestFewAllocationsPerDifference(t *testing.T) {
	a := join("[]", 100, func(i int) string { return fmt.Sprintf(`{"id":%d,"v":"a%d"}`, i, i) })
	b := join("[]", 100, func(i int) string { return fmt.Sprintf(`{"id":%d,"v":"b%d"}`, i, i) })
	c := New(Options{})
	require.Len(t, c.Compare(a, b, "/body").Diffs, 100)
	assert.LessOrEqual(t, testing.AllocsPerRun(20, func() { c.Compare(a, b, "/body") }), 200.0)
}
