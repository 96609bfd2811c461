package shadow_test

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/sampling"
)

// sampledOf returns how many of n requests s samples.
func sampledOf(s shadow.Sampler, n int) (sampled int) {
	r := get()
	for range n {
		if s.Sample(r).Sampled {
			sampled++
		}
	}
	return sampled
}

// deviations is how many standard deviations k of n is away from the expectation n*p.
func deviations(k, n int, p float64) float64 {
	return math.Abs(float64(k)-float64(n)*p) / math.Sqrt(float64(n)*p*(1-p))
}

// isFraction expects that s samples the share p within three standard deviations, as the
// Gateway API conformance test of request mirroring does. A sampler that is right is
// outside once in 370 times, and four times in a row once in 10^10 times. One that is a
// tenth of p off, for p >= 0.01, is never inside: of 1,000,000 draws that is ten standard
// deviations or more.
func isFraction(t *testing.T, s shadow.Sampler, p float64) {
	t.Helper()
	const n = 1_000_000
	for range 4 {
		if deviations(sampledOf(s, n), n, p) <= 3 {
			return
		}
	}
	t.Errorf("not the share %v of %d", p, n)
}

// noProbabilities are numbers that are not from 0 to 1.
var noProbabilities = []float64{
	math.Nextafter(1, 2), 2, 5, 100, math.MaxFloat64, math.Inf(1),
	-1, -math.SmallestNonzeroFloat64, -math.MaxFloat64, math.Inf(-1), math.NaN(),
}

func TestRateIsExactAtTheEnds(t *testing.T) {
	for p, want := range map[float64]int{1: 10_000, 0: 0, math.Copysign(0, -1): 0} {
		assert.Equal(t, want, sampledOf(shadow.Rate(p), 10_000))
		var v shadow.RateVar
		require.NoError(t, v.Set(p))
		assert.Equal(t, want, sampledOf(&v, 10_000))
		key := 0
		byKey := shadow.ByKey(p, func(*http.Request) string { key++; return strconv.Itoa(key) })
		assert.Equal(t, want, sampledOf(byKey, 10_000))
	}
}

// A number that is no probability never samples anything, and New refuses it.
func TestWhatIsNoProbabilitySamplesNothing(t *testing.T) {
	for _, p := range noProbabilities {
		key := 0
		for name, s := range map[string]shadow.Sampler{
			"Rate": shadow.Rate(p), "ByKey": shadow.ByKey(p, func(*http.Request) string { key++; return strconv.Itoa(key) }),
		} {
			assert.Zero(t, sampledOf(s, 1000), "%s %v", name, p)
			lines := faultsOf(t, candidate(), shadow.WithSampler(s))
			require.Len(t, lines, 1)
			assert.Contains(t, lines[0], fmt.Sprintf("%s: %v is not a probability from 0 to 1", name, p))
		}
	}
}

// At run time a number that is no probability is an error, and the rate stays as it was.
func TestARateThatIsSetToNoProbabilityStaysAsItWas(t *testing.T) {
	var v shadow.RateVar
	var routes shadow.RouteRates
	require.NoError(t, v.Set(1))
	require.NoError(t, routes.Set("/", 1))
	for _, p := range noProbabilities {
		assert.ErrorContains(t, v.Set(p), "is not a probability from 0 to 1")
		assert.ErrorContains(t, routes.Set("/", p), `"/": `)
		assert.ErrorContains(t, routes.Set("/new", p), "is not a probability from 0 to 1")
	}
	assert.Equal(t, 1.0, v.Get())
	assert.Equal(t, 1000, sampledOf(&v, 1000))
	assert.Equal(t, 1.0, routes.Get("/"))
	assert.Equal(t, 1000, sampledOf(&routes, 1000))
}

func TestRateSamplesAFraction(t *testing.T) {
	for _, p := range []float64{0.01, 0.1, 0.5, 0.9} {
		isFraction(t, shadow.Rate(p), p)
		var v shadow.RateVar
		v.Set(p)
		isFraction(t, &v, p)
	}
}

// What is next to 0 and 1 is not the same as 0 and 1, but hardly anybody sees that.
func TestRateNextToTheEnds(t *testing.T) {
	for p, want := range map[float64]int{1e-18: 0, math.SmallestNonzeroFloat64: 0, math.Nextafter(1, 0): 1000} {
		assert.Equal(t, want, sampledOf(shadow.Rate(p), 1000)) // wrong once in 10^12 times
	}
}

func TestRateVar(t *testing.T) {
	var v shadow.RateVar
	assert.Zero(t, v.Get())
	assert.Zero(t, sampledOf(&v, 1000))
	for _, p := range []float64{1, 0.25, 0} {
		require.NoError(t, v.Set(p))
		assert.Equal(t, p, v.Get())
	}
}

func TestRateVarMayBeSetWhileItSamples(t *testing.T) {
	var v shadow.RateVar
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for n := range 1000 {
				switch i {
				case 0:
					v.Set(float64(n % 2))
				case 1:
					p := v.Get()
					assert.True(t, p == 0 || p == 1)
				default:
					v.Sample(nil)
				}
			}
		})
	}
	all.Wait()
	v.Set(1)
	assert.Equal(t, 1000, sampledOf(&v, 1000))
}

func TestPerSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := shadow.PerSecond(10, 5)
		assert.Equal(t, 5, sampledOf(s, 1000), "the burst")
		time.Sleep(99 * time.Millisecond)
		assert.Equal(t, 0, sampledOf(s, 1000))
		time.Sleep(time.Millisecond)
		assert.Equal(t, 1, sampledOf(s, 1000), "one every 100 ms")
		time.Sleep(300 * time.Millisecond)
		assert.Equal(t, 3, sampledOf(s, 1000))
		time.Sleep(time.Hour)
		assert.Equal(t, 5, sampledOf(s, 1000), "no more than the burst")

		// However often it is asked, it is n a second.
		total := 0
		for range 10_000 {
			time.Sleep(time.Millisecond)
			total += sampledOf(s, 3)
		}
		assert.InDelta(t, 100, total, 1)
	})
	for _, s := range []shadow.Sampler{
		shadow.PerSecond(0, 1), shadow.PerSecond(-1, 1), shadow.PerSecond(math.NaN(), 1), shadow.PerSecond(math.Inf(-1), 1),
		shadow.PerSecond(1, 0), shadow.PerSecond(1, -1), shadow.PerSecond(math.Inf(1), 0),
	} {
		assert.Zero(t, sampledOf(s, 1000))
	}
}

func TestPerSecondIsExactAmongManyGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the clock stands still
		s := shadow.PerSecond(1, 10_000)
		counts := make(chan int, 8)
		for range cap(counts) {
			go func() { counts <- sampledOf(s, 5_000) }()
		}
		total := 0
		for range cap(counts) {
			total += <-counts
		}
		assert.Equal(t, 10_000, total)
	})
}

// However many goroutines ask, and whenever, no time has more than the burst and what comes
// in it, and no less where they ask all the time.
func TestPerSecondNeverExceedsItsRate(t *testing.T) {
	for range 200 {
		n, burst := math.Exp(rand.Float64()*14-7), 1+rand.IntN(20)
		synctest.Test(t, func(t *testing.T) {
			s, start := shadow.PerSecond(n, burst), time.Now()
			var sampled []time.Duration // when, since the start
			var mu sync.Mutex
			var all sync.WaitGroup
			for range 4 {
				all.Go(func() {
					for range 100 {
						for range rand.IntN(2 * burst) {
							if s.Sample(nil).Sampled {
								mu.Lock()
								sampled = append(sampled, time.Since(start))
								mu.Unlock()
							}
						}
						time.Sleep(time.Duration(rand.Float64() * 3 / n * float64(time.Second)))
					}
				})
			}
			all.Wait()
			for i, from := range sampled {
				for j, to := range sampled[i:] {
					if most := float64(burst) + n*(to-from).Seconds(); float64(j+1) > most*(1+1e-9) {
						t.Fatalf("PerSecond(%v, %d): %d from %v to %v", n, burst, j+1, from, to)
					}
				}
			}
		})
	}
}

// Rates and bursts of any size keep their meaning.
func TestPerSecondOfAnySize(t *testing.T) {
	for _, c := range []struct {
		n     float64
		burst int
		pause time.Duration
		want  int // of 1,000 after the pause, when the burst is spent
	}{
		{n: 1e-9, burst: 5, pause: time.Hour, want: 0},
		{n: 1e-9, burst: 5, pause: 40 * 365 * 24 * time.Hour, want: 1},
		{n: math.SmallestNonzeroFloat64, burst: 3, pause: 100 * 365 * 24 * time.Hour, want: 0},
		{n: 1.0 / 3, burst: 2, pause: 4 * time.Second, want: 1},
		{n: 1e6, burst: 999, pause: 500 * time.Microsecond, want: 500},
		{n: 1e9, burst: 500, pause: 100, want: 100},
		{n: 1e300, burst: 500, pause: time.Second, want: 500},
		{n: 1, burst: math.MaxInt, pause: time.Second, want: 1000},
		{n: math.Inf(1), burst: 1, want: 1000},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := shadow.PerSecond(c.n, c.burst)
			want := c.burst
			if c.burst > 1000 || math.IsInf(c.n, 1) {
				want = 1000
			}
			assert.Equal(t, want, sampledOf(s, 1000), "%+v", c)
			time.Sleep(c.pause)
			assert.Equal(t, c.want, sampledOf(s, 1000), "%+v", c)
		})
	}
}

// byHeader is a key function.
func byHeader(r *http.Request) string { return r.Header.Get("X-Key") }

func keyed(key string) *http.Request {
	r := get()
	r.Header.Set("X-Key", key)
	return r
}

// The least share at which a key is sampled, in units of 2^-63, computed by another
// implementation of xxHash64, with seed 0, halved. Every replica of
// every release must come to the same: a change splits the samples of a fleet while it
// is rolled out.
var goldenKeys = map[string]uint64{
	"a":                                    0x69276278d4c6372d,
	"b":                                    0x3c2295508d79cfcd,
	"user-1":                               0x50b9ba3588a635f4,
	"user-2":                               0x39caeecca1d5aaf4,
	"user-3":                               0x5732a525f9c9beef,
	"42":                                   0x36f37ae83b6ba15c,
	"alice@example.com":                    0x610f5c23664b608f,
	"0198c0de-0000-7000-8000-000000000001": 0x1841c6784e28ac95,
	"tenant-7/köln":                        0x407ff97d630573d5,
	" ":                                    0x3ce7ae75b3431c6,
}

func TestByKeyDecidesAlikeEverywhere(t *testing.T) {
	for key, at := range goldenKeys {
		below := float64(at) / (1 << 63) * (1 - 1e-12)
		above := float64(at) / (1 << 63) * (1 + 1e-12)
		for range 3 { // instances
			assert.False(t, shadow.ByKey(below, byHeader).Sample(keyed(key)).Sampled, key)
			assert.True(t, shadow.ByKey(above, byHeader).Sample(keyed(key)).Sampled, key)
		}
	}
}

func TestByKeySharesAreNested(t *testing.T) {
	shares := []float64{0, 0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.99, 1}
	var samplers []shadow.Sampler
	for _, p := range shares {
		samplers = append(samplers, shadow.ByKey(p, byHeader))
	}
	for i := range 10_000 {
		r, before := keyed("user-"+strconv.Itoa(i)), false
		for k, s := range samplers {
			now := s.Sample(r).Sampled
			if before && !now {
				t.Fatalf("%s is sampled at %v and not at %v", r.Header, shares[k-1], shares[k])
			}
			before = now
		}
		assert.True(t, before)
	}
}

// Keys are never as random as a hash would like them. The decisions are the same in
// every run: with 36 of them the band is four standard deviations.
func TestByKeyIsUniform(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for name, key := range map[string]func(i int) string{
		"numbers":   strconv.Itoa,
		"padded":    func(i int) string { return fmt.Sprintf("%012d", i) },
		"prefixed":  func(i int) string { return "tenant-7/user-" + strconv.Itoa(i) },
		"suffixed":  func(i int) string { return strconv.Itoa(i) + "@example.com" },
		"addresses": func(i int) string { return fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255) },
		"random UUIDs": func(int) string {
			return fmt.Sprintf("%08x-0000-4000-8000-%012x", random.Uint32(), random.Uint64()>>16)
		},
		"ordered UUIDs": func(i int) string { return fmt.Sprintf("0198c0de-%04x-7000-8000-%012x", i>>16, i) },
		"even numbers":  func(i int) string { return strconv.Itoa(2 * i) },
		"binary":        func(i int) string { return string([]byte{byte(i), byte(i >> 8), byte(i >> 16)}) + "\x00" },
	} {
		t.Run(name, func(t *testing.T) {
			const n = 50_000
			keys := make([]string, n)
			for i := range keys {
				keys[i] = key(i)
			}
			for _, p := range []float64{0.01, 0.1, 0.5, 0.9} {
				i := 0
				s := shadow.ByKey(p, func(*http.Request) string { i++; return keys[i-1] })
				k := sampledOf(s, n)
				assert.LessOrEqual(t, deviations(k, n, p), 4.0, "%d of %d at %v", k, n, p)
			}
		})
	}
}

func TestByKeyNeedsAKey(t *testing.T) {
	assert.False(t, shadow.ByKey(1, byHeader).Sample(get()).Sampled)
	assert.True(t, shadow.ByKey(1, byHeader).Sample(keyed(" ")).Sampled)
}

// tells is a Sampler that says whether it was asked.
type tells struct {
	answer bool
	asked  int
}

func (s *tells) Sample(*http.Request) shadow.Decision {
	s.asked++
	return shadow.Decision{Sampled: s.answer}
}

func TestByRoute(t *testing.T) {
	names := map[*tells]string{}
	rule := func(name string) *tells {
		s := &tells{answer: true}
		names[s] = name
		return s
	}
	rules := map[string]shadow.Sampler{}
	for _, pattern := range []string{
		"/", "/api/", "/api/v1/", "GET /api/v1/users", "/api/v1/users", "/api/v1/users/{id}", "GET /api/v1/users/{id}", "GET /api/v1/users/me",
		"/files/{path...}", "/exact/{$}", "static.example.com/", "POST static.example.com/upload", "/a/b/",
	} {
		rules[pattern] = rule(pattern)
	}
	delete(rules, "/") // what matches none is otherwise's
	s := shadow.ByRoute(rules, rule("otherwise"))
	require.Empty(t, faultsOf(t, candidate(), shadow.WithSampler(s)))
	request := func(method, host, path, pattern string) *http.Request {
		r := httptest.NewRequest(method, path, nil)
		r.Host, r.Pattern = host, pattern
		return r
	}
	for _, c := range []struct{ method, host, path, pattern, want string }{
		{method: "GET", path: "/api/v1/users", want: "GET /api/v1/users"},
		{method: "HEAD", path: "/api/v1/users", want: "GET /api/v1/users"},
		{method: "POST", path: "/api/v1/users", want: "/api/v1/users"},
		{method: "GET", path: "/api/v1/users?x=/", want: "GET /api/v1/users"},
		{method: "GET", path: "/api/v1/users/7", want: "GET /api/v1/users/{id}"},
		{method: "PUT", path: "/api/v1/users/7", want: "/api/v1/users/{id}"},
		{method: "GET", path: "/api/v1/users/me", want: "GET /api/v1/users/me"},
		{method: "PUT", path: "/api/v1/users/me", want: "/api/v1/users/{id}"},
		{method: "GET", path: "/api/v1/users/7/cart", want: "/api/v1/"},
		{method: "GET", path: "/api/v2", want: "/api/"},
		{method: "GET", path: "/other", want: "otherwise"},
		{method: "GET", path: "/", want: "otherwise"},
		{method: "GET", path: "/files/a/b/c", want: "/files/{path...}"},
		{method: "GET", path: "/exact/", want: "/exact/{$}"},
		{method: "GET", path: "/exact/more", want: "otherwise"},
		{method: "GET", host: "static.example.com", path: "/other", want: "static.example.com/"},
		{method: "GET", host: "static.example.com:8080", path: "/api/v1/users", want: "static.example.com/"},
		{method: "POST", host: "static.example.com", path: "/upload", want: "POST static.example.com/upload"},
		{method: "DELETE", host: "static.example.com", path: "/upload", want: "static.example.com/"},
		{method: "GET", path: "/files/a%2Fb", want: "/files/{path...}"},

		// Whatever a router outside has matched, the rules decide.
		{method: "GET", path: "/a/b/c", pattern: "/", want: "/a/b/"},
		{method: "GET", path: "/api/v1/users/me", pattern: "GET /{path...}", want: "GET /api/v1/users/me"},
		{method: "GET", path: "/api/v1/x", pattern: "/api/", want: "/api/v1/"},
		{method: "GET", path: "/api/v1/users/me", pattern: "/api/v1/users/{id}", want: "GET /api/v1/users/me"},
	} {
		t.Run(c.method+" "+c.host+c.path+" "+c.pattern, func(t *testing.T) {
			r := request(c.method, c.host, c.path, c.pattern)
			before := *r
			assert.True(t, s.Sample(r).Sampled)
			for one, name := range names {
				if name == c.want && (c.want == "otherwise" || rules[name] == shadow.Sampler(one)) {
					assert.Equal(t, 1, one.asked, name)
				} else {
					assert.Zero(t, one.asked, name)
				}
				one.asked = 0
			}
			assert.Equal(t, before.Pattern, r.Pattern)
			assert.Equal(t, before.URL, r.URL)
		})
	}
}

func TestByRouteAsItsRulesSay(t *testing.T) {
	rules := map[string]shadow.Sampler{"/none": shadow.Rate(0), "/all": shadow.Rate(1)}
	at := func(path string) *http.Request { return httptest.NewRequest("GET", path, nil) }
	s := shadow.ByRoute(rules, nil)
	rules["/none"], rules["/new"] = shadow.Rate(1), shadow.Rate(1)
	assert.False(t, s.Sample(at("/none")).Sampled, "the rules are those it was made with")
	assert.False(t, s.Sample(at("/new")).Sampled)
	assert.True(t, s.Sample(at("/all")).Sampled)
	assert.False(t, s.Sample(at("/other")).Sampled)
	assert.True(t, shadow.ByRoute(nil, shadow.Rate(1)).Sample(at("/other")).Sampled)
	assert.False(t, shadow.ByRoute(nil, nil).Sample(at("/other")).Sampled)
}

func TestAllAndAnyAskInOrderAndStop(t *testing.T) {
	for _, c := range []struct {
		name    string
		of      func(...shadow.Sampler) shadow.Sampler
		answers []bool
		want    bool
		asked   int
	}{
		{"all of none", shadow.All, nil, true, 0},
		{"all yes", shadow.All, []bool{true, true, true}, true, 3},
		{"all but the first", shadow.All, []bool{false, true, true}, false, 1},
		{"all but the second", shadow.All, []bool{true, false, true}, false, 2},
		{"any of none", shadow.Any, nil, false, 0},
		{"any no", shadow.Any, []bool{false, false, false}, false, 3},
		{"any, the first", shadow.Any, []bool{true, false, false}, true, 1},
		{"any, the second", shadow.Any, []bool{false, true, false}, true, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			var parts []*tells
			var list []shadow.Sampler
			for _, answer := range c.answers {
				parts = append(parts, &tells{answer: answer})
				list = append(list, parts[len(parts)-1])
			}
			assert.Equal(t, c.want, c.of(list...).Sample(get()).Sampled)
			for i, part := range parts {
				assert.Equal(t, i < c.asked, part.asked == 1, "number %d", i)
			}
		})
	}
}

// The tokens of a PerSecond behind others are kept for what the others let through.
func TestAPerSecondAtTheEndIsSpentOnWhatTheOthersSample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var gate shadow.RateVar
		s := shadow.All(&gate, shadow.PerSecond(1, 3))
		assert.Zero(t, sampledOf(s, 1000))
		gate.Set(1)
		assert.Equal(t, 3, sampledOf(s, 1000))

		always := shadow.Any(&gate, shadow.PerSecond(1, 3))
		assert.Equal(t, 1000, sampledOf(always, 1000))
		gate.Set(0)
		assert.Equal(t, 3, sampledOf(always, 1000))
	})
}

func TestCompositesKeepTheirOwnList(t *testing.T) {
	list := []shadow.Sampler{shadow.Rate(1), shadow.Rate(1)}
	all, anyOf := shadow.All(list...), shadow.Any(list...)
	list[0], list[1] = shadow.Rate(0), shadow.Rate(0)
	assert.True(t, all.Sample(get()).Sampled)
	assert.True(t, anyOf.Sample(get()).Sampled)
}

func TestSamplersDoNotAllocate(t *testing.T) {
	var v shadow.RateVar
	v.Set(0.5)
	key := shadow.ByKey(0.5, func(r *http.Request) string { return r.RemoteAddr })
	routes := new(shadow.RouteRates)
	require.NoError(t, routes.Set("/a/b", 0.5))
	r := httptest.NewRequest("GET", "/a/b", nil)
	for name, s := range map[string]shadow.Sampler{
		"Rate":      shadow.Rate(0.5),
		"RateVar":   &v,
		"PerSecond": shadow.PerSecond(1000, 1000),
		"ByKey":     key,
		"ByRoute":   shadow.ByRoute(map[string]shadow.Sampler{"/a/": shadow.Rate(1), "GET /a/b": shadow.Rate(0)}, key),
		"All":       shadow.All(shadow.Rate(1), &v, key),
		"Any":       shadow.Any(shadow.Rate(0), &v, key),

		"When":       shadow.When(func(r *http.Request) bool { return r.Host != "" }),
		"Force":      shadow.Any(newForce(secret), shadow.Rate(0)),
		"RouteRates": routes,
		"Windowed":   newWindowed(&v, time.Hour, time.Second),
		"Adaptive":   newAdaptive(sampling.AdaptiveOptions{Share: 1e-9}),
		"Adaptive, with routes of one's own": newAdaptive(sampling.AdaptiveOptions{PerSecond: 1e-9,
			Route: func(r *http.Request) string { return r.Host }}),
	} {
		for range 200 {
			s.Sample(r) // what Adaptive has saved up
		}
		assert.Zero(t, testing.AllocsPerRun(100, func() { s.Sample(r) }), name)
	}
}

// Whatever the reason for which a request is not copied, once it is known that costs
// nothing, and the primary gets the very request and writer.
func TestNotCopiedCostsNoAllocation(t *testing.T) {
	var off shadow.RateVar
	m, _ := mirror(t, candidate(), shadow.WithSampler(shadow.All(&off, shadow.ByKey(1, byHeader))))
	disabled, _ := mirror(t, candidate())
	disabled.SetEnabled(false)
	closed, _ := mirror(t, candidate())
	require.NoError(t, closed.Close())
	all, _ := mirror(t, candidate())
	open, _ := mirror(t, failingWith(io.EOF), shadow.WithBreaker(shadow.BreakerOptions{Min: 1}))
	spent, _ := mirror(t, candidate(), shadow.WithBudget(shadow.Budget{Window: time.Hour, Requests: 1}))
	for _, m := range []*shadow.Mirror{open, spent} {
		getFrom(m.Handler(ok), "/")
		require.Eventually(t, func() bool { return m.Stats().Match+m.Stats().Failed == 1 }, time.Minute, time.Millisecond)
	}

	marked, putting := get(), httptest.NewRequest("PUT", "/", nil)
	marked.Header.Set("Shadow-Request", "1")
	upgrade := get()
	upgrade.Header.Set("Upgrade", "websocket")
	for name, c := range map[string]struct {
		m      *shadow.Mirror
		r      *http.Request
		reason shadow.Reason
	}{
		"not sampled": {m, get(), shadow.ReasonNotSampled},
		"disabled":    {disabled, get(), shadow.ReasonDisabled},
		"method":      {all, putting, shadow.ReasonMethod},
		"loop":        {all, marked, shadow.ReasonLoop},
		"upgrade":     {all, upgrade, shadow.ReasonUpgrade},
		"shut down":   {closed, get(), shadow.ReasonShutDown},
		"breaker":     {open, get(), shadow.ReasonBreakerOpen},
		"budget":      {spent, get(), shadow.ReasonBudget},
	} {
		t.Run(name, func(t *testing.T) {
			var w http.ResponseWriter = noWriter{}
			same := true
			h := c.m.Handler(http.HandlerFunc(func(gotW http.ResponseWriter, gotR *http.Request) { same = same && gotW == w && gotR == c.r }))
			resp := &http.Response{StatusCode: 200, Body: http.NoBody}
			rt := c.m.Transport(roundTripper(func(gotR *http.Request) (*http.Response, error) { same = same && gotR == c.r; return resp, nil }))
			before := counted(c.m, c.reason)
			assert.Zero(t, testing.AllocsPerRun(100, func() { h.ServeHTTP(w, c.r) }))
			assert.Zero(t, testing.AllocsPerRun(100, func() {
				if got, err := rt.RoundTrip(c.r); got != resp || err != nil {
					same = false
				}
			}))
			assert.True(t, same)
			assert.Equal(t, before+202, counted(c.m, c.reason), "AllocsPerRun runs once more")
		})
	}
}

// noWriter is a ResponseWriter that can be compared and allocates nothing.
type noWriter struct{}

func (noWriter) Header() http.Header         { return nil }
func (noWriter) Write(p []byte) (int, error) { return len(p), nil }
func (noWriter) WriteHeader(int)             {}

func counted(m *shadow.Mirror, reason shadow.Reason) uint64 {
	s := m.Stats()
	return s.Skipped[reason] + s.Dropped[reason]
}

func TestASamplerThatPanicsSamplesNothing(t *testing.T) {
	m, results := mirror(t, candidate(), shadow.WithSampler(shadow.Any(shadow.Rate(0), shadow.SamplerFunc(func(*http.Request) bool { panic("secret") }))))
	m.Handler(ok).ServeHTTP(httptest.NewRecorder(), get())
	require.NoError(t, m.Shutdown(t.Context()))
	assert.Equal(t, map[string]uint64{"sampler-failed": 1}, ledger(t, m))
	assert.Empty(t, results.All())
}
