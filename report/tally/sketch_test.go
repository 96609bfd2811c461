package tally

import (
	"math"
	"testing"

	"github.com/DataDog/sketches-go/ddsketch/mapping"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A bin counts on past 2³², which is where the number that it is kept in ends.
func TestABinHasNoEnd(t *testing.T) {
	bins, err := mapping.NewCubicallyInterpolatedMapping(defaultAccuracy)
	require.NoError(t, err)
	var s sketch
	s.add(bins, 3)
	s.bins[bins.Index(3)-s.first] = math.MaxUint32
	for range 3 {
		s.add(bins, 3)
	}
	s.add(bins, 5)
	c := newCollector(defaultAccuracy)
	c.add(&s)
	d := c.take()
	assert.EqualValues(t, uint64(math.MaxUint32+4), d.Count())
	assert.InEpsilon(t, 3, d.Quantile(0.5), defaultAccuracy)
	assert.EqualValues(t, 5, d.Max)
}
