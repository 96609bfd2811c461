package limit

import (
	"math"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	bad     = reading{Wait: 3 * time.Millisecond}
	full    = reading{Heap: 0.9}
	between = reading{Wait: 700 * time.Microsecond}
	crowded = reading{Heap: 0.78}
	calm    = reading{}
)

// shutter notes what the gate was told last.
type shutter struct{ shut bool }

func valveOf(most int) (*valve, *shutter) {
	s := &shutter{}
	return newValve(valveOptions{Wait: time.Millisecond, Heap: 0.8, Most: most, Gate: func(shut bool) { s.shut = shut }}), s
}

func feed(v *valve, r reading, n int) (changes []change) {
	for range n {
		if c := v.Feed(r); c != none {
			changes = append(changes, c)
		}
	}
	return changes
}

func TestOnlyOverloadThatLastsClosesTheValve(t *testing.T) {
	for name, r := range map[string]reading{"waits": bad, "heap": full, "both": {Wait: bad.Wait, Heap: full.Heap}} {
		for name, relief := range map[string]reading{"calm": calm, "neither": between, "neither, by heap": crowded} {
			v, _ := valveOf(8)
			assert.Empty(t, feed(v, r, 2), name)
			assert.Empty(t, feed(v, relief, 1), name)
			assert.Empty(t, feed(v, r, 2), name)
			assert.Equal(t, 8, v.Limit(), name)
		}
		v, _ := valveOf(8)
		assert.Equal(t, []change{began}, feed(v, r, 3), name)
		assert.Equal(t, 4, v.Limit(), name)
	}
}

func TestOverloadClosesTheValveByHalvesAndAllTheWay(t *testing.T) {
	v, s := valveOf(8)
	feed(v, bad, 2)
	var limits []int
	for range 6 {
		v.Feed(bad)
		limits = append(limits, v.Limit())
	}
	assert.Equal(t, []int{4, 2, 1, 0, 0, 0}, limits)
	assert.True(t, s.shut)
	assert.False(t, v.Enter())
}

// Between its two thresholds a reading moves nothing, however often it comes.
func TestTheValveHasHysteresis(t *testing.T) {
	for name, r := range map[string]reading{"waits": between, "heap": crowded,
		"at the limit of waits": {Wait: time.Millisecond}, "at the limit of the heap": {Heap: 0.8},
		"at half the waits": {Wait: time.Millisecond / 2}, "near nine tenths of the heap": {Heap: 0.721}} {
		v, _ := valveOf(8)
		assert.Empty(t, feed(v, r, 1000), name)
		assert.Equal(t, 8, v.Limit(), name)
		feed(v, bad, 4)
		assert.Equal(t, 2, v.Limit(), name)
		assert.Empty(t, feed(v, r, 1000), name)
		assert.Equal(t, 2, v.Limit(), name)
	}
}

func TestCalmOpensTheValveStepByStep(t *testing.T) {
	for most, steps := range map[int]int{1: 1, 2: 2, 8: 8, 64: 8, 65: 9} {
		v, s := valveOf(most)
		feed(v, bad, 100)
		require.Equal(t, 0, v.Limit())
		assert.Empty(t, feed(v, calm, calmToOpen*steps-1), most)
		assert.Less(t, v.Limit(), most)
		assert.Equal(t, []change{ended}, feed(v, calm, 1), most)
		assert.Equal(t, most, v.Limit())
		assert.False(t, s.shut)
	}
}

// A process that bears one copy and not two is tried with two ever more seldom.
func TestTheValveTriesLessOftenWhatProvedTooMuch(t *testing.T) {
	v, _ := valveOf(8)
	tooMany := 0
	const readings = 10_000
	for range readings {
		if v.Limit() > 1 {
			tooMany++
			v.Feed(bad)
		} else {
			v.Feed(calm)
		}
	}
	assert.Less(t, tooMany, readings/200)
	assert.Greater(t, tooMany, readings/calmAtMost/2, "it goes on trying")

	feed(v, calm, 8*calmAtMost)
	require.Equal(t, 8, v.Limit())
	feed(v, bad, 3)
	feed(v, calm, calmToOpen)
	assert.Equal(t, 5, v.Limit(), "what is over is forgotten")
}

func TestTheValveLetsInAsManyAsItsLimit(t *testing.T) {
	v, s := valveOf(8)
	for range 100 {
		require.True(t, v.Enter(), "without overload it counts, and refuses nobody")
	}
	assert.False(t, s.shut)
	feed(v, bad, 4)
	assert.True(t, s.shut)
	for range 98 {
		assert.False(t, v.Enter())
		v.Leave()
	}
	assert.True(t, s.shut)
	v.Leave()
	assert.False(t, s.shut, "one runs, two may")
	assert.True(t, v.Enter())
	assert.True(t, s.shut)
	assert.False(t, v.Enter())
}

// Whatever the readings, the limit stays between none and all, a bad one never raises it
// and a calm one never lowers it, and the gate is shut exactly while there is no place.
func TestTheValveUnderAnyReadings(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		most := 1 + random.IntN(70)
		v, s := valveOf(most)
		running := 0
		for range 500 {
			before := v.Limit()
			switch random.IntN(6) {
			case 0, 1:
				v.Feed(bad)
				assert.LessOrEqual(t, v.Limit(), before)
			case 2:
				v.Feed(between)
				assert.Equal(t, before, v.Limit())
			case 3:
				for range random.IntN(50) {
					before = v.Limit()
					v.Feed(calm)
					assert.GreaterOrEqual(t, v.Limit(), before)
				}
			case 4:
				if running < most && v.Enter() {
					running++
				}
			case 5:
				if running > 0 {
					v.Leave()
					running--
				}
			}
			assert.LessOrEqual(t, v.Limit(), most)
			assert.GreaterOrEqual(t, v.Limit(), 0)
			assert.Equal(t, v.Limit() < most && running >= v.Limit(), s.shut)
		}
	}
}

func TestTheValveIsSafeForConcurrentUse(t *testing.T) {
	v, s := valveOf(4)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 1000 {
				if v.Enter() {
					v.Leave()
				}
				if i == 0 {
					v.Feed([]reading{bad, calm}[j/10%2])
				}
			}
		})
	}
	all.Wait()
	feed(v, calm, 10*calmAtMost)
	assert.Equal(t, 4, v.Limit())
	assert.False(t, s.shut)
	assert.Zero(t, v.running)
}

func latencies(counts ...uint64) *metrics.Float64Histogram {
	return &metrics.Float64Histogram{Counts: counts, Buckets: []float64{math.Inf(-1), 0, 0.001, 0.002, math.Inf(1)}}
}

func TestTheMeanIsOfWhatIsNew(t *testing.T) {
	n, sum := since(latencies(5, 1, 2, 3), make([]uint64, 4))
	assert.EqualValues(t, 11, n)
	assert.InDelta(t, 0.008, sum, 1e-9)
	n, sum = since(latencies(5, 1, 2, 3), []uint64{5, 1, 1, 3})
	assert.EqualValues(t, 1, n)
	assert.InDelta(t, 0.001, sum, 1e-9)
}

// spin has goroutines change hands until the runtime has measured some waits.
func spin() {
	ping, pong := make(chan int), make(chan int)
	go func() {
		for i := range ping {
			pong <- i
		}
		close(pong)
	}()
	for i := range 1000 {
		ping <- i
		<-pong
	}
	close(ping)
	<-pong
}

func TestTheRuntimeIsRead(t *testing.T) {
	read := readRuntime()
	spin()
	r, ok := read()
	require.True(t, ok)
	assert.Positive(t, r.Wait)
	assert.Zero(t, r.Heap, "there is no limit")

	old := debug.SetMemoryLimit(1 << 40)
	defer debug.SetMemoryLimit(old)
	runtime.GC()
	spin()
	r, ok = read()
	require.True(t, ok)
	assert.Positive(t, r.Heap)
	assert.Less(t, r.Heap, 0.01)
}

// A process at rest has no waits to speak of; it is calm, but only after a while.
func TestAProcessAtRestIsCalm(t *testing.T) {
	read := readRuntime()
	spin()
	_, ok := read()
	require.True(t, ok)
	told := 0
	for range 5 * restful {
		if r, ok := read(); ok {
			told++
			assert.Less(t, r.Wait, 100*time.Millisecond)
		}
	}
	assert.Positive(t, told)
	assert.Less(t, told, 5*restful, "so few waits say nothing")
}

func BenchmarkRuntime(b *testing.B) {
	read := readRuntime()
	b.ReportAllocs()
	for b.Loop() {
		read()
	}
}
