package sampling_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/goshadow/shadow/internal/sampling"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time { return noon.Add(time.Duration(seconds * float64(time.Second))) }

func TestABudgetEarnsAShareOfTheRequests(t *testing.T) {
	b := sampling.NewBudget(0.01, 0, 10, noon)
	assert.Equal(t, []float64{10, 0.01, 2}, []float64{b.Left(), b.Rate(), b.Urge()})
	b.Account(noon, 0, 10)
	assert.Equal(t, []float64{0, 0.01, 0}, []float64{b.Left(), b.Rate(), b.Urge()})
	b.Account(noon, 500, 0)
	assert.Equal(t, []float64{5, 0.01, 1}, []float64{b.Left(), b.Rate(), b.Urge()})
	b.Account(at(1e6), 0, 7)
	assert.Equal(t, []float64{-2, 0.01, 0}, []float64{b.Left(), b.Rate(), b.Urge()}, "time earns nothing")
	b.Account(noon, 1e9, 0)
	assert.Equal(t, 10.0, b.Left(), "no more is saved")
}

func TestABudgetEarnsCopiesASecond(t *testing.T) {
	b := sampling.NewBudget(0, 4, 10, noon)
	assert.Equal(t, []float64{10, 1, 2}, []float64{b.Left(), b.Rate(), b.Urge()})
	b.Account(noon, 400, 10)
	assert.Equal(t, []float64{0, 0.01, 0}, []float64{b.Left(), b.Rate(), b.Urge()}, "there are 400 a second at least")
	b.Account(at(0.5), 400, 0)
	assert.Equal(t, []float64{2, 0.005}, []float64{b.Left(), b.Rate()}, "and 800")
	b.Account(at(1), 0, 0)
	assert.Equal(t, []float64{4, 0.005}, []float64{b.Left(), b.Rate()})
	b.Account(at(3), 16, 0)
	assert.Equal(t, []float64{10, 0.5}, []float64{b.Left(), b.Rate()}, "8 a second")
	b.Account(at(1e6), 1, 0)
	assert.Equal(t, []float64{10, 1}, []float64{b.Left(), b.Rate()})
}

func TestBothBudgetsHold(t *testing.T) {
	b := sampling.NewBudget(0.1, 2, 10, noon)
	b.Account(at(1), 100, 10) // earns 10 by share and 2 by time
	assert.Equal(t, []float64{2, 0.02}, []float64{b.Left(), b.Rate()})
	b.Account(at(2), 10, 0)
	assert.Equal(t, []float64{4, 0.1}, []float64{b.Left(), b.Rate()})
	b.Account(at(100), 0, 4)
	assert.Equal(t, 6.0, b.Left(), "no requests, no share")
}

func TestAClockThatJumpsMakesNoBudget(t *testing.T) {
	b := sampling.NewBudget(0, 1, 10, noon)
	b.Account(noon, 0, 10)
	b.Account(at(-3600), 0, 0)
	assert.Zero(t, b.Left(), "back")
	b.Account(at(-3598), 0, 0)
	assert.Equal(t, 2.0, b.Left(), "and on from there")
	b.Account(at(1e9-3598), 50, 0)
	assert.Equal(t, 10.0, b.Left(), "far ahead")
	b.Account(at(-3600), 1000, 0)
	assert.Equal(t, 1e-3, b.Rate(), "the requests of the second that never ended count")
	b.Account(at(-3599), 10, 0)
	assert.Equal(t, 0.1, b.Rate())

	random := rand.New(rand.NewPCG(5, 6))
	made, passed, now := 10.0, time.Duration(0), at(-3599)
	for range 10_000 {
		left, before := b.Left(), now
		now = at(1e6 * random.NormFloat64())
		passed += max(now.Sub(before), 0)
		b.Account(now, float64(random.IntN(100)), math.Max(left, 0))
		made += math.Max(left, 0)
		if !(b.Left() <= 10 && b.Rate() > 0 && b.Rate() <= 1 && b.Urge() >= 0 && b.Urge() <= 2) {
			t.Fatalf("%v left, rate %v, urge %v", b.Left(), b.Rate(), b.Urge())
		}
	}
	assert.LessOrEqual(t, made, 20+passed.Seconds())
}

func TestWindowsAreTheEndsOfPeriods(t *testing.T) {
	w := sampling.Windows{Start: noon, Every: 10 * time.Minute, Length: 10 * time.Second}
	for seconds, open := range map[float64]bool{
		0: false, 1: false, 589.999: false, 590: true, 599.999: true, 600: false, 1189: false, 1190: true, 600e6 - 1: true, 600e6: false,
		-1: true, -10: true, -10.001: false, -600: false, -601: true, -600e6 - 5: true, -600e6: false, // the clock was set back
	} {
		assert.Equal(t, open, w.Open(at(seconds)), "after %v s", seconds)
	}
}

func TestWindowsThatAreNone(t *testing.T) {
	for _, c := range []struct {
		every, length time.Duration
		want          string
	}{
		{time.Minute, time.Millisecond, ""},
		{time.Millisecond + 1, time.Millisecond, ""},
		{time.Minute, time.Millisecond - 1, "a window of 999.999µs is shorter than 1ms"},
		{time.Minute, 0, "a window of 0s is shorter than 1ms"},
		{time.Minute, -time.Second, "a window of -1s is shorter than 1ms"},
		{time.Minute, time.Minute, "a window of 1m0s every 1m0s leaves nothing outside"},
		{0, time.Minute, "a window of 1m0s every 0s leaves nothing outside"},
		{-time.Hour, time.Minute, "a window of 1m0s every -1h0m0s leaves nothing outside"},
	} {
		w := sampling.Windows{Start: noon, Every: c.every, Length: c.length}
		if c.want == "" {
			assert.NoError(t, w.Check())
		} else {
			assert.EqualError(t, w.Check(), c.want)
		}
	}
}
