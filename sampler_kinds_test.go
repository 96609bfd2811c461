package shadow_test

import (
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/internal/mirrortest"
	descriptions "github.com/goshadow/shadow/internal/sampling"
	"github.com/goshadow/shadow/sampling"
)

// userWrapper is a wrapper of the user's that shows its parts.
type userWrapper struct{ parts []shadow.Sampler }

func (w userWrapper) Sample(r *http.Request) shadow.Decision { return w.parts[0].Sample(r) }
func (w userWrapper) Unwrap() []shadow.Sampler               { return w.parts }

// embedding is a Sampler of the user's that has the methods of a RateVar, and a Sample of its own.
type embedding struct {
	*shadow.RateVar
	sample func()
}

func (e embedding) Sample(r *http.Request) shadow.Decision {
	e.sample()
	return shadow.Decision{Sampled: true}
}

// Each wrong argument is an error of New, or of the constructor where that returns one, however
// deep the sampler is in others.
func TestEveryWrongArgumentOfASamplerIsAnError(t *testing.T) {
	user := func(*http.Request) string { return "" }
	var none *shadow.RateVar
	for want, s := range map[string]shadow.Sampler{
		"Rate: 5 is not a probability":                shadow.Rate(5),
		"ByKey: -1 is not a probability":              shadow.ByKey(-1, user),
		"ByKey: nil key function":                     shadow.ByKey(1, nil),
		"When: nil function":                          shadow.When(nil),
		"PerSecond: -1 requests a second":             shadow.PerSecond(-1, 1),
		"PerSecond: 1 requests a second, -1 at once":  shadow.PerSecond(1, -1),
		`ByRoute: parsing "GET":`:                     shadow.ByRoute(map[string]shadow.Sampler{"GET": shadow.Rate(1)}, nil),
		`ByRoute: "/": nil`:                           shadow.ByRoute(map[string]shadow.Sampler{"/": nil}, nil),
		"All: argument 2: nil":                        shadow.All(shadow.Rate(1), nil),
		"Any: argument 1: nil":                        shadow.Any(none),
		"sampling: the zero Adaptive samples nothing": new(sampling.Adaptive),
		"sampling: the zero Windowed samples nothing": new(sampling.Windowed),
		"sampling: the zero Force samples nothing":    new(sampling.Force),
		"nil": shadow.SamplerFunc(nil),
		"shadow_test.userWrapper: argument 2: When: nil fu": userWrapper{[]shadow.Sampler{shadow.Rate(1), shadow.When(nil)}},
	} {
		for in, deep := range map[string]shadow.Sampler{
			"alone": s, "All": shadow.All(s), "Any": shadow.Any(shadow.Rate(0), s), "a wrapper": userWrapper{[]shadow.Sampler{s}},
			"ByRoute": shadow.ByRoute(nil, shadow.All(s)), "a wrapper in All": shadow.All(userWrapper{[]shadow.Sampler{shadow.Any(s)}}),
		} {
			lines := mirrortest.Faults(t, mirrortest.Candidate(), shadow.WithSampler(deep))
			if assert.Len(t, lines, 1, "%s in %s", want, in) {
				assert.Contains(t, lines[0], want, in)
			}
			_, err := sampling.NewWindowed(deep, time.Hour, time.Minute)
			assert.ErrorContains(t, err, want, in)
		}
	}
}

// A Sampler of every kind decides for many goroutines at a time, with the probability that it says.
func TestSamplersOfEveryKindAreSafeForManyGoroutines(t *testing.T) {
	rates := new(shadow.RouteRates)
	require.NoError(t, rates.Set("/", 0.5))
	user := func(r *http.Request) string { return r.Host }
	yes := func(*http.Request) bool { return true }
	var all sync.WaitGroup
	for name, s := range map[string]shadow.Sampler{
		"Rate": shadow.Rate(0.5), "RateVar": rateVar(0.5), "RouteRates": rates, "PerSecond": shadow.PerSecond(1e6, 10),
		"ByKey": shadow.ByKey(1, user), "When": shadow.When(yes), "SamplerFunc": shadow.SamplerFunc(yes),
		"ByRoute": shadow.ByRoute(map[string]shadow.Sampler{"/": shadow.When(yes)}, nil),
		"All":     shadow.All(shadow.Rate(0.5), shadow.When(yes)), "Any": shadow.Any(odds(0.5), shadow.When(yes)),
		"Force": newForce(secret), "Windowed": newWindowed(shadow.When(yes), time.Hour, time.Minute),
		"Adaptive": newAdaptive(sampling.AdaptiveOptions{Share: 0.5, Route: user}),
	} {
		for range 4 {
			all.Go(func() {
				r := forced()
				for range 500 {
					d := s.Sample(r)
					assert.True(t, d.Probability >= 0 && d.Probability <= 1, name)
					assert.True(t, d.Sampled || d.Probability < 1, name)
				}
			})
		}
	}
	all.Wait()
}

// Only user code runs on a goroutine of its own: what is in front of it decides whether.
func TestOnlyUserCodeRunsOnAGoroutineOfItsOwn(t *testing.T) {
	var calls atomic.Int64
	counts := func(*http.Request) bool { calls.Add(1); return true }
	no, yes := rateVar(0), rateVar(1)
	for name, behind := range map[string]shadow.Sampler{
		"When": shadow.When(counts), "SamplerFunc": shadow.SamplerFunc(counts),
		"a Sampler": embedding{sample: func() { calls.Add(1) }},
	} {
		calls.Store(0)
		shadow.All(no, behind).Sample(get())
		assert.Zero(t, calls.Load(), name)
		shadow.All(yes, behind).Sample(get())
		assert.Equal(t, int64(1), calls.Load(), name)
	}

	// What runs no user code of its own needs no goroutine: composites and the Mirror go by this.
	for name, c := range map[string]struct {
		s    shadow.Sampler
		want bool
	}{
		"Rate": {shadow.Rate(0.5), false}, "RateVar": {no, false}, "RouteRates": {new(shadow.RouteRates), false},
		"PerSecond": {shadow.PerSecond(1, 1), false}, "When": {shadow.When(counts), false}, "ByKey": {shadow.ByKey(1, byHeader), false},
		"All": {shadow.All(shadow.SamplerFunc(counts)), false}, "Any": {shadow.Any(told{}), false}, "ByRoute": {shadow.ByRoute(nil, told{}), false},
		"Force": {newForce(secret), false}, "Windowed": {newWindowed(told{}, time.Hour, time.Minute), false},
		"Adaptive":                {newAdaptive(sampling.AdaptiveOptions{Share: 1, Route: byHeader}), false},
		"Adaptive with a Random":  {newAdaptive(sampling.AdaptiveOptions{Share: 1, Random: rand.Uint64}), true},
		"SamplerFunc":             {shadow.SamplerFunc(counts), true},
		"a Sampler of the user's": {told{}, true}, "one that embeds": {embedding{no, nil}, true}, "a wrapper": {userWrapper{[]shadow.Sampler{no}}, true},
	} {
		assert.Equal(t, c.want, descriptions.Describe(c.s).UserCode, name)
	}
}

// Goexit of a user's Sampler loses no answer, whatever the Sampler embeds or is inside of.
func TestASamplerThatEmbedsABuiltInIsUserCode(t *testing.T) {
	exits := embedding{rateVar(1), runtime.Goexit}
	for name, s := range map[string]shadow.Sampler{
		"alone": exits, "pointer": &exits, "All": shadow.All(shadow.Rate(1), exits), "Any": shadow.Any(shadow.Rate(0), exits),
		"ByRoute": shadow.ByRoute(nil, exits), "Windowed": newWindowed(exits, time.Hour, time.Minute), "userWrapper": userWrapper{[]shadow.Sampler{exits}},
	} {
		m, _ := mirrortest.New(t, mirrortest.Candidate(), shadow.WithSampler(s))
		served := false
		done := make(chan bool)
		go func() {
			defer close(done)
			m.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served = true })).ServeHTTP(httptest.NewRecorder(), get())
		}()
		<-done
		assert.True(t, served, name)
		assert.Equal(t, map[string]uint64{"sampler-failed": 1}, mirrortest.Counts(t, m), name)
	}
}

// A wrapper of the user's loses nothing of what it wraps: neither the meaning of probabilities nor
// the ties of keys, and what is no wrapper may not know that 0 is never.
func TestAWrapperKeepsTheProbabilityOfWhatItWraps(t *testing.T) {
	no := shadow.When(func(*http.Request) bool { return false })
	wrap := func(s ...shadow.Sampler) shadow.Sampler { return userWrapper{s} }
	key := shadow.ByKey(0.5, func(*http.Request) string { return "a" })
	for name, c := range map[string]struct {
		s    shadow.Sampler
		want float64
	}{
		"never":               {shadow.Any(wrap(no), shadow.Rate(0.5)), 0.5},
		"never, in wrappers":  {shadow.Any(wrap(wrap(no)), shadow.Rate(0.5)), 0.5},
		"never, of a Force":   {shadow.Any(wrap(newForce(secret)), shadow.Rate(0.5)), 0.5},
		"not known":           {shadow.Any(wrap(shadow.PerSecond(1e-9, 1)), shadow.Rate(0.5)), 0},
		"keys are tied":       {shadow.All(wrap(key), key), 0},
		"a key is not":        {shadow.All(wrap(key), shadow.Rate(1)), 0.5},
		"no wrapper":          {shadow.Any(told{}, shadow.Rate(0.5)), 0},
		"settled in an All":   {shadow.Any(shadow.All(wrap(no), shadow.Rate(0.5)), shadow.Rate(0.5)), 0.5},
		"a Windowed in a row": {shadow.Any(newWindowed(wrap(no), time.Hour, time.Millisecond), shadow.Rate(0.5)), 0.5},
	} {
		for range 20 {
			d := c.s.Sample(get())
			assert.True(t, d.Probability == c.want || !d.Sampled && strings.HasPrefix(name, "a key"), "%s: %v", name, d)
		}
	}
}
