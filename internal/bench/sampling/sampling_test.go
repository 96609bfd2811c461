package main

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

func TestTrafficIsAsItsShares(t *testing.T) {
	s := newService(3, 1, 1, 1) // 6/11, 3/11, 2/11
	random := rand.New(rand.NewPCG(1, 1))
	var n [3]int
	for range 110_000 {
		n[s.pick(random)]++
	}
	assert.InDeltaSlice(t, []int{60_000, 30_000, 20_000}, n[:], 1000)
}

// sampler samples everything.
func sampler() shadow.Sampler { return shadow.Rate(1) }

func TestASearchEndsWhenEachBrokenRouteWasSeen(t *testing.T) {
	h, err := newService(1, 1, 1, 1).search(sampler(), rand.New(rand.NewPCG(1, 1)), 10)
	require.NoError(t, err)
	assert.Equal(t, hunt{requests: 1, copies: 1}, h)
	_, err = newService(2, 1, 2, 0).search(sampler(), rand.New(rand.NewPCG(1, 1)), 100)
	assert.EqualError(t, err, "0 of 2 broken routes found among 100 requests")
}

func TestTheTableHasBothSamplers(t *testing.T) {
	var out strings.Builder
	require.NoError(t, run(&out, options{routes: 5, broken: 1, seeds: 3, skew: 1, differs: 1, budget: 0.1}))
	assert.Contains(t, out.String(), "| Rate(0.1) |")
	assert.Contains(t, out.String(), "| Adaptive ")
	for _, o := range []options{{}, {routes: 1000, broken: 1, seeds: 1}, {routes: 2, broken: 3, seeds: 1}, {routes: 2, broken: 1}} {
		assert.Error(t, run(&out, o))
	}
}
