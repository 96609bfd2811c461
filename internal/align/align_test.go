package align

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// longest is the length of a longest ascending subsequence, by trying all.
func longest(v []int32, above int32) int {
	if len(v) == 0 {
		return 0
	}
	without := longest(v[1:], above)
	if v[0] == None || v[0] <= above {
		return without
	}
	return max(without, 1+longest(v[1:], v[0]))
}

func TestKeepKeepsALongestAscendingChain(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var c Chain
	for range 2000 {
		v := make([]int32, rng.IntN(10))
		for i, f := range rng.Perm(len(v)) {
			if v[i] = int32(f); rng.IntN(4) == 0 {
				v[i] = None
			}
		}
		was := slices.Clone(v)
		c.Keep(v)
		var kept []int32
		for i, f := range v {
			if f != None {
				require.Equal(t, was[i], f)
				kept = append(kept, f)
			}
		}
		require.True(t, slices.IsSorted(kept), "%v of %v", v, was)
		require.Len(t, kept, longest(was, -1), "%v of %v", v, was)
	}
}

func TestCommonCountsWhatIsInBoth(t *testing.T) {
	assert.EqualValues(t, 0, Common(nil, []uint64{1}))
	assert.EqualValues(t, 0, Common([]uint64{1, 3}, []uint64{2, 4}))
	assert.EqualValues(t, 3, Common([]uint64{1, 2, 2, 5}, []uint64{2, 2, 3, 5}))
}
