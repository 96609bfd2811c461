//go:build !race

// Under the race detector sync.Pool drops what it is given at random, so that
// allocations cannot be counted.

package bodies

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestEqualBodiesCostNoAllocation(t *testing.T) {
	set := newSet()
	for _, contentType := range mediaTypes {
		a := []byte(sample(contentType, 20, "one"))
		b := slices.Clone(a)
		c := set.For(contentType, contentType)
		assert.Zero(t, testing.AllocsPerRun(100, func() { c.Compare(a, b, "/body") }), contentType)
	}
	a, b := []byte(`{"a":1,"b":[1,2]}`), []byte(`{ "a":1, "b":[1,2.0] }`)
	c := set.For("application/json", "application/json")
	c.Compare(a, b, "/body")
	assert.Zero(t, testing.AllocsPerRun(100, func() { c.Compare(a, b, "/body") }))
}
