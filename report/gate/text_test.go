package gate

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestNumbersAreShort(t *testing.T) {
	for _, c := range []struct {
		x    float64
		r    rounding
		want string
	}{
		{0, nearest, "0"},
		{0.1, nearest, "0.1"},
		{100 * 0.0007, nearest, "0.07"},
		{100 * 0.00012345, nearest, "0.0123"},
		{0.07512, up, "0.0752"},
		{0.07512, down, "0.0751"},
		{0.0751, up, "0.0751"},
		{99.5, nearest, "99.5"},
		{99.96, nearest, "100"},
		{99.96, down, "99.9"},
		{12345, nearest, "12300"},
		{1e-13, nearest, "0.0000000000001"},
		{-2.5, nearest, "-2.5"},
		{math.Inf(1), nearest, "+Inf"},
		{math.NaN(), nearest, "NaN"},
	} {
		assert.Equal(t, c.want, three(c.x, c.r), "%v %v", c.x, c.r)
	}
}

func TestCountsAreReadable(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", math.MaxUint64: "18,446,744,073,709,551,615"} {
		assert.Equal(t, want, thousands(n))
	}
	assert.Equal(t, "1 comparison", comparisons.count(1))
	assert.Equal(t, "0 comparisons", comparisons.count(0))
	assert.Equal(t, []string{"never", "once", "1,000 times"}, []string{times(0), times(1), times(1000)})
}

func TestDurationsAreShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                            "0s",
		1:                            "1ns",
		1234:                         "1.23µs",
		12_345_678:                   "12.3ms",
		1_234_567_890:                "1.23s",
		12_345 * time.Millisecond:    "12.3s",
		3_723_456 * time.Millisecond: "1h2m3s",
		-1234:                        "-1.23µs",
		math.MaxInt64:                "2562047h47m16.854775807s",
	} {
		assert.Equal(t, want, round(d).String())
	}
	assert.Equal(t, "20ms", latency(0.02))
	assert.Equal(t, "100000000000s", latency(1e11))
}
