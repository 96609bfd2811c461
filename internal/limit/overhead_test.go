package limit

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Each duration is in one bucket, whose bounds it lies between, and the bounds rise.
func TestTheBucketsCoverEverything(t *testing.T) {
	require.Equal(t, time.Duration(128), bound(0))
	require.Equal(t, time.Duration(1<<30), bound(buckets-2))
	for i := 1; i < buckets-1; i++ {
		require.Greater(t, bound(i), bound(i-1))
		require.Equal(t, i-1, bucket(bound(i-1)-1), "the end of a bucket is not in it")
		require.Equal(t, i, bucket(bound(i-1)))
		require.Equal(t, i, bucket(bound(i)-1))
	}
	for _, d := range []time.Duration{math.MinInt64, -1, 0, 127} {
		assert.Equal(t, 0, bucket(d), "%d", d)
	}
	for _, d := range []time.Duration{1 << 30, time.Hour, math.MaxInt64} {
		assert.Equal(t, buckets-1, bucket(d), "%d", d)
	}
}

func TestAQuantileIsAtMostAQuarterTooLong(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		h := newHistogram(time.Millisecond)
		all := make([]time.Duration, 1+random.IntN(2000))
		for i := range all {
			all[i] = time.Duration(128 * math.Exp(random.Float64()*15)) // up to 0.4 s
			h.Add(all[i])
		}
		slices.Sort(all)
		c := h.Counts()
		require.EqualValues(t, len(all), c.Total)
		for _, q := range []float64{0, 0.01, 0.5, 0.99, 1} {
			exact := all[max(0, int(math.Ceil(q*float64(len(all))))-1)]
			got := c.Quantile(q)
			assert.GreaterOrEqual(t, got, exact, q)
			assert.LessOrEqual(t, float64(got), 1.25*float64(exact)+1, q)
		}
	}
}

func TestTheEndsOfTheHistogram(t *testing.T) {
	h := newHistogram(time.Millisecond)
	assert.Zero(t, h.Counts().Quantile(0.5), "nothing was added")
	h.Add(time.Hour)
	assert.Equal(t, time.Duration(1<<30), h.Counts().Quantile(0.5))
	h.Add(-time.Hour)
	assert.Equal(t, time.Duration(128), h.Counts().Quantile(0.5))
}

// The limit is exact: it does not depend on buckets.
func TestWhatIsOverTheLimitIsCountedExactly(t *testing.T) {
	h := newHistogram(time.Millisecond)
	for _, d := range []time.Duration{0, time.Millisecond - 1, time.Millisecond, time.Millisecond + 1, time.Second} {
		h.Add(d)
	}
	assert.EqualValues(t, 2, h.Counts().Over)
	assert.EqualValues(t, 5, h.Counts().Total)
}

func TestNothingIsLostAmongManyGoroutines(t *testing.T) {
	h := newHistogram(time.Microsecond)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 1000 {
				h.Add(time.Duration(i*1000 + j))
			}
			c := h.Counts()
			assert.LessOrEqual(t, c.Over, c.Total)
		})
	}
	all.Wait()
	assert.EqualValues(t, 8000, h.Counts().Total)
	assert.EqualValues(t, 6999, h.Counts().Over)
}

func TestTheJudgeWantsAWholeWindowAndEnoughTimes(t *testing.T) {
	h := newHistogram(time.Millisecond)
	j := judge{Window: 10 * time.Second, Min: 100}
	add := func(short, long int) {
		for range short {
			h.Add(time.Microsecond)
		}
		for range long {
			h.Add(time.Second)
		}
	}
	add(0, 99)
	assert.False(t, j.Exceeded(time.Hour, h.Counts()), "too few")
	add(0, 1)
	assert.False(t, j.Exceeded(10*time.Second-1, h.Counts()), "too early")
	assert.True(t, j.Exceeded(10*time.Second, h.Counts()))

	add(99, 1)
	assert.False(t, j.Exceeded(20*time.Second-1, h.Counts()))
	assert.False(t, j.Exceeded(20*time.Second, h.Counts()), "one in a hundred is what is allowed")
	add(98, 2)
	assert.True(t, j.Exceeded(30*time.Second, h.Counts()), "two are not")

	add(0, 100)
	j.Reset(40*time.Second, h.Counts())
	add(100, 0)
	assert.False(t, j.Exceeded(50*time.Second, h.Counts()), "what was before does not count")
}

func TestAClockThatGoesBackwardsMakesAWindowLonger(t *testing.T) {
	h := newHistogram(0)
	j := judge{Window: time.Second, Min: 1}
	j.Reset(time.Minute, h.Counts())
	h.Add(1)
	assert.False(t, j.Exceeded(0, h.Counts()))
	assert.True(t, j.Exceeded(time.Minute+time.Second, h.Counts()))
}

func TestAddingAllocatesNothing(t *testing.T) {
	h := newHistogram(time.Millisecond)
	assert.Zero(t, testing.AllocsPerRun(100, func() { h.Add(time.Microsecond) }))
}

func BenchmarkHistogram(b *testing.B) {
	h := newHistogram(time.Millisecond)
	b.Run("serial", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			h.Add(time.Microsecond)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				h.Add(time.Microsecond)
			}
		})
	})
}
