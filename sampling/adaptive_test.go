package sampling_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/internal/mirrortest"
	"github.com/goshadow/shadow/sampling"
)

// simulation is traffic to a service with many routes, as an Adaptive sees it. It must run
// in a bubble, where the clock stands still: then a seed repeats a run.
type simulation struct {
	sampler *sampling.Adaptive
	random  *rand.Rand
	routes  []simulated

	requests, copies []int // by route
}

type simulated struct {
	request *http.Request
	traffic float64 // in relation to that of others
	differs float64 // the share of answers that differ
}

// simulate returns traffic to n routes; that of the k-th goes with 1/k^2.
func simulate(seed uint64, n int, o sampling.AdaptiveOptions) *simulation {
	o.Random = rand.NewPCG(seed, 1).Uint64
	s := &simulation{
		sampler: newAdaptive(o), random: rand.New(rand.NewPCG(seed, 2)),
		requests: make([]int, n), copies: make([]int, n),
	}
	for k := range n {
		r := httptest.NewRequest("GET", fmt.Sprintf("/route-%c%c/7", 'a'+k/26, 'a'+k%26), nil)
		s.routes = append(s.routes, simulated{request: r, traffic: 1 / float64((k+1)*(k+1))})
	}
	return s
}

// resultOf is what a Mirror would report of d.
func resultOf(d shadow.Decision, o shadow.Outcome) *shadow.Result {
	return &shadow.Result{Outcome: o, Probability: d.Probability, Stratum: d.Stratum,
		Exchange: shadow.Exchange{Primary: &shadow.Message{StatusCode: 200}}}
}

// run serves n requests and tells seen, which may be nil, of each.
func (s *simulation) run(n int, seen func(k int, d shadow.Decision, differs bool)) {
	sum := 0.0
	for _, r := range s.routes {
		sum += r.traffic
	}
	for range n {
		k, at := 0, sum*s.random.Float64()
		for ; k < len(s.routes)-1 && at >= s.routes[k].traffic; k++ {
			at -= s.routes[k].traffic
		}
		differs := s.random.Float64() < s.routes[k].differs
		d := s.sampler.Sample(s.routes[k].request)
		s.requests[k]++
		if d.Sampled {
			s.copies[k]++
			outcome := shadow.Match
			if differs {
				outcome = shadow.Mismatch
			}
			s.sampler.Report(context.Background(), resultOf(d, outcome))
		}
		if seen != nil {
			seen(k, d, differs)
		}
	}
}

func total(list []int) (sum int) {
	for _, n := range list {
		sum += n
	}
	return sum
}

// Of 50 routes the two with the least traffic regress: a request in 4,065 each, of which
// half differ. Rate(0.01) needs 1,000,000 requests to see both, in the median.
func TestAdaptiveFindsRareRegressionsInAFractionOfTheRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		needed := make([]int, 0, 7)
		for seed := range uint64(cap(needed)) {
			s := simulate(seed, 50, sampling.AdaptiveOptions{Share: 0.01})
			s.routes[48].differs, s.routes[49].differs = 0.5, 0.5
			found, at := map[int]bool{}, 0
			for len(found) < 2 {
				s.run(1, func(k int, d shadow.Decision, differs bool) {
					at++
					if d.Sampled && differs {
						found[k] = true
					}
				})
				if at > 100_000 {
					t.Fatalf("seed %d: only %v found", seed, found)
				}
			}
			needed = append(needed, at)
		}
		assert.Less(t, median(needed), 1_000_000/30)
	})
}

func median(list []int) int {
	return slices.Sorted(slices.Values(list))[len(list)/2]
}

// Weighted with the inverse of their probabilities the results of all routes together tell
// the number of requests and of differences, whatever the rates were. Unweighted they do not
// by far: Adaptive looks where it differs.
func TestWeightedByProbabilityWhatAdaptiveSamplesIsUnbiased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const seeds, n = 100, 5_000
		var off struct{ requests, differences, plain [seeds]float64 }
		for seed := range uint64(seeds) {
			s := simulate(seed, 20, sampling.AdaptiveOptions{Share: 0.05, Burst: 20})
			for k := range s.routes {
				s.routes[k].differs = float64(k%4) * 0.1
			}
			var requests, differences, truth, sampled, hits float64
			s.run(n, func(_ int, d shadow.Decision, differs bool) {
				require.Greater(t, d.Probability, 0.0)
				if differs {
					truth++
				}
				if !d.Sampled {
					return
				}
				sampled++
				requests += 1 / d.Probability
				if differs {
					hits++
					differences += 1 / d.Probability
				}
			})
			off.requests[seed] = requests/n - 1
			off.differences[seed] = differences/truth - 1
			off.plain[seed] = hits/sampled/(truth/n) - 1
		}
		for name, list := range map[string][seeds]float64{"requests": off.requests, "differences": off.differences} {
			mean, deviation := moments(list[:])
			assert.LessOrEqual(t, math.Abs(mean), 3*deviation/math.Sqrt(seeds), "%s: %v with deviation %v", name, mean, deviation)
			assert.Less(t, deviation/math.Sqrt(seeds), 0.04, "%s: the test sees a bias of a tenth", name)
		}
		mean, deviation := moments(off.plain[:])
		assert.Greater(t, mean, 10*deviation/math.Sqrt(seeds), "the weights do matter")
	})
}

func moments(list []float64) (mean, deviation float64) {
	for _, v := range list {
		mean += v / float64(len(list))
	}
	for _, v := range list {
		deviation += (v - mean) * (v - mean) / float64(len(list)-1)
	}
	return mean, math.Sqrt(deviation)
}

// withinBudget expects no more copies than the budget of n requests and the burst, and four
// standard deviations of what is drawn at the floor.
func withinBudget(t *testing.T, budget float64, burst, copies int) {
	t.Helper()
	assert.LessOrEqual(t, float64(copies), budget+float64(burst)+4*math.Sqrt(budget), "copies")
}

func TestAdaptiveKeepsItsShare(t *testing.T) {
	const n = 50_000
	for _, share := range []float64{0.001, 0.01, 0.2, 1} {
		for _, burst := range []int{10, 100, 1000} {
			t.Run(fmt.Sprintf("%v, %d saved", share, burst), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s := simulate(1, 50, sampling.AdaptiveOptions{Share: share, Burst: burst})
					s.routes[3].differs, s.routes[40].differs = 1, 1
					s.run(n, nil)
					withinBudget(t, share*n, burst, total(s.copies))
					assert.Greater(t, float64(total(s.copies)), 0.8*share*n, "and spends it")
				})
			})
		}
	}
}

func TestAdaptiveKeepsItsShareWhateverTrafficDoes(t *testing.T) {
	const n, share, burst = 50_000, 0.01, 100
	flood := func(path func(i int) string, report bool) func(t *testing.T) {
		return func(t *testing.T) {
			s := simulate(1, 50, sampling.AdaptiveOptions{Share: share, Burst: burst, MaxRoutes: 500})
			s.run(n, nil)
			copies := total(s.copies)
			for i := range n {
				if d := s.sampler.Sample(httptest.NewRequest("GET", path(i), nil)); d.Sampled {
					copies++
					if report {
						s.sampler.Report(t.Context(), resultOf(d, shadow.Mismatch))
					}
				}
			}
			withinBudget(t, 2*n*share, burst, copies)
		}
	}
	rare := func(int) string { return "/route-bx/7" }
	random := func(i int) string {
		return "/" + strings.Repeat("a", i%30) + "/" + strings.Repeat("b", i/30%30) + "/" + strings.Repeat("c", i/900)
	}
	for name, test := range map[string]func(t *testing.T){
		"a rare route is hot and broken":               flood(rare, true),
		"a rare route is hot and nothing is reported":  flood(rare, false),
		"every path is a new one":                      flood(random, true),
		"every path is a new one, nothing is reported": flood(random, false),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, test)
		})
	}
}

func TestAdaptiveKeepsItsCopiesPerSecond(t *testing.T) {
	for name, o := range map[string]sampling.AdaptiveOptions{
		"alone":        {PerSecond: 10, Burst: 20},
		"with a share": {PerSecond: 10, Burst: 20, Share: 0.5},
		"all alike":    {PerSecond: 10, Burst: 20, Floor: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := simulate(1, 50, o)
				copies := 0
				serve := func(seconds, perSecond int) int {
					before := total(s.copies)
					for range seconds * 100 {
						time.Sleep(10 * time.Millisecond)
						s.run(perSecond/100, nil)
					}
					copies = total(s.copies) - before
					return copies
				}
				withinBudget(t, 100, 20, serve(10, 1000))
				assert.Greater(t, copies, 70, "and spends them")
				withinBudget(t, 100, 20, serve(10, 20_000))
				assert.Greater(t, copies, 70)
				time.Sleep(24 * time.Hour)
				// The first requests after a quiet night do not know yet how many there will be: the
				// floor is that of as many as have come.
				rush := 10 * max(o.Floor, 0.1) * math.Log(20_000)
				withinBudget(t, 10+rush, 20, serve(1, 20_000))
				withinBudget(t, 100, 20, serve(10, 20_000))
			})
		})
	}
}

func TestAdaptiveHasAFloorAndACeiling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := simulate(1, 50, sampling.AdaptiveOptions{Share: 0.01, Floor: 0.5, Ceiling: 0.25})
		s.routes[0].differs = 1
		least, most := 1.0, 0.0
		s.run(100_000, func(_ int, d shadow.Decision, _ bool) {
			least, most = min(least, d.Probability), max(most, d.Probability)
		})
		assert.InDelta(t, 0.005, least, 1e-12)
		assert.InDelta(t, 0.25, most, 1e-12)
		for route, rate := range s.sampler.Rates() {
			assert.True(t, 0.005 <= rate && rate <= 0.25, "%s: %v", route, rate)
		}

		alike := simulate(1, 50, sampling.AdaptiveOptions{Share: 0.01, Floor: 1, Ceiling: 0.01})
		alike.run(1000, func(_ int, d shadow.Decision, _ bool) { assert.InDelta(t, 0.01, d.Probability, 1e-12) })
	})
}

// risky runs traffic to two routes alike, of which the second does what change says, and
// returns how many times more it is copied.
func risky(change func(s *simulation)) float64 {
	s := simulate(1, 2, sampling.AdaptiveOptions{Share: 0.05})
	s.routes[1].traffic = s.routes[0].traffic
	s.run(20_000, nil)
	change(s)
	rates := s.sampler.Rates()
	return rates["GET /route-ab/{}"] / rates["GET /route-aa/{}"]
}

func TestAdaptiveGoesWhereTheRiskIs(t *testing.T) {
	report := func(n int, r shadow.Result) func(*simulation) {
		return func(s *simulation) {
			for range n {
				r.Stratum = "GET /route-ab/{}"
				s.sampler.Report(context.Background(), &r)
			}
		}
	}
	answer := func(status int, contentType, body string) shadow.Result {
		return shadow.Result{Outcome: shadow.Match, Exchange: shadow.Exchange{Primary: &shadow.Message{
			StatusCode: status, Header: http.Header{"Content-Type": {contentType}}, Body: []byte(body)}}}
	}
	const plain = "application/json; charset=utf-8"
	for name, c := range map[string]struct {
		change func(*simulation)
		risky  bool
	}{
		"nothing":    {func(*simulation) {}, false},
		"matches":    {report(50, shadow.Result{Outcome: shadow.Match}), false},
		"uncompared": {report(50, shadow.Result{Outcome: shadow.Uncompared}), false},
		"mismatches": {report(50, shadow.Result{Outcome: shadow.Mismatch}), true},
		"failures":   {report(50, shadow.Result{Outcome: shadow.Failed}), true},
		"of no stratum, or of another's": {func(s *simulation) {
			for range 50 {
				s.sampler.Report(context.Background(), &shadow.Result{Outcome: shadow.Failed})
				s.sampler.Report(context.Background(), &shadow.Result{Outcome: shadow.Failed, Stratum: "tenant 7"})
			}
		}, false},
		"statuses": {func(s *simulation) {
			for status := 201; status < 220; status++ {
				report(1, answer(status, "", ""))(s)
			}
		}, true},
		"the same status": {report(20, answer(204, "", "")), false},
		"media types": {func(s *simulation) {
			for i := range 20 {
				report(1, answer(200, fmt.Sprint("text/", i), ""))(s)
			}
		}, true},
		"the same with parameters": {func(s *simulation) {
			for i := range 20 {
				report(1, answer(200, fmt.Sprint("multipart/mixed; boundary=", i), ""))(s)
			}
		}, false},
		"new members": {func(s *simulation) {
			for i := range 20 {
				report(1, answer(200, plain, fmt.Sprintf(` {"a": {"b": [{"%c": 1}]}}`, 'a'+i)))(s)
			}
		}, true},
		"new types": {func(s *simulation) {
			for _, v := range []string{"1", `"1"`, "true", "null", "[]", "{}"} {
				for _, list := range []string{v, "[" + v + "]", `{"x":` + v + "}"} {
					report(1, answer(200, plain, list))(s)
				}
			}
		}, true},
		"new values": {func(s *simulation) {
			for i := range 20 {
				report(1, answer(200, plain, fmt.Sprintf(`{"a": %d, "b": %t, "id-%d": "%d", "l": [%s]}`, i-5, i%2 == 0, i, i, strings.Repeat("0,", i)+"0")))(s)
			}
		}, false},
		"too deep to be seen": {func(s *simulation) {
			for i := range 20 {
				report(1, answer(200, plain, fmt.Sprintf(`[[[[[{"%c": 1}]]]]]`, 'a'+i)))(s)
			}
		}, false},
		"broken JSON": {report(20, answer(200, plain, `{"a": [1, {"b`)), false},
		"no JSON":     {report(20, answer(200, plain, ` `)), false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if more := risky(c.change); c.risky {
					assert.Greater(t, more, 2.0)
				} else {
					assert.InDelta(t, 1, more, 0.4)
				}
			})
		})
	}
}

func TestWhatAdaptiveRemembersOfOneRouteIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		more := risky(func(s *simulation) {
			for i := range 5000 { // every one of them is new, and after some time old
				s.sampler.Report(t.Context(), &shadow.Result{Outcome: shadow.Match, Stratum: "GET /route-ab/{}",
					Exchange: shadow.Exchange{Primary: &shadow.Message{StatusCode: i}}})
			}
		})
		assert.Less(t, more, 5.0, "if all of them counted it would be 100")
	})
}

func TestAdaptiveForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := simulate(1, 2, sampling.AdaptiveOptions{Share: 0.05, HalfLife: time.Minute})
		s.routes[1].traffic, s.routes[1].differs = s.routes[0].traffic, 1
		more := func() float64 {
			for range 60 {
				time.Sleep(time.Second)
				s.run(100, nil)
			}
			rates := s.sampler.Rates()
			return rates["GET /route-ab/{}"] / rates["GET /route-aa/{}"]
		}
		assert.Greater(t, more(), 5.0)
		s.routes[1].differs = 0
		more()
		assert.Greater(t, more(), 1.5, "after two minutes it counts a quarter")
		for range 10 {
			more()
		}
		assert.InDelta(t, 1, more(), 0.3, "after a while it is over")

		s.routes = s.routes[:1]
		for range 30 {
			more()
		}
		assert.Len(t, s.sampler.Rates(), 1, "nor does a route stay that nobody asks for")
		time.Sleep(100 * 365 * 24 * time.Hour)
		s.run(1000, func(_ int, d shadow.Decision, _ bool) {
			assert.True(t, d.Probability > 0 && d.Probability <= 1, "after a leap of the clock: %v", d.Probability)
		})
	})
}

func TestAdaptiveTellsSoManyRoutesApartAndNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newAdaptive(sampling.AdaptiveOptions{Share: 1, MaxRoutes: 3, HalfLife: time.Minute})
		at := func(path string) string { return s.Sample(httptest.NewRequest("GET", path, nil)).Stratum }
		for i, name := range []string{"a", "b", "c"} {
			assert.Equal(t, "GET /"+name, at("/"+name))
			assert.Len(t, s.Rates(), i+1+i/2, "and the rest, once there may be one")
		}
		assert.Equal(t, "(other)", at("/d"))
		assert.Equal(t, "(other)", at("/e"))
		assert.Equal(t, "GET /a", at("/a"))
		assert.Equal(t, map[string]float64{"GET /a": 1, "GET /b": 1, "GET /c": 1, "(other)": 1}, s.Rates())
		require.NoError(t, s.Report(t.Context(), resultOf(shadow.Decision{Stratum: "(other)"}, shadow.Mismatch)))

		time.Sleep(12 * time.Minute)
		at("/a")
		require.NoError(t, s.Report(t.Context(), resultOf(shadow.Decision{Stratum: "GET /a"}, shadow.Match)))
		assert.Equal(t, "GET /d", at("/d"), "others were quiet for long")

		long := at("/" + strings.Repeat("x/", 10_000))
		assert.Len(t, long, 256)
	})
}

func TestAdaptiveNamesRoutes(t *testing.T) {
	s := newAdaptive(sampling.AdaptiveOptions{Share: 1})
	own := newAdaptive(sampling.AdaptiveOptions{Share: 1, Route: func(r *http.Request) string { return r.Host }})
	for path, want := range map[string]string{
		"/": "/", "/a/b": "/a/b", "/users/17": "/users/{}", "/users/17/": "/users/{}/", "/v2/a@b/x": "/v2/{}/x", "//": "//",
		"/" + strings.Repeat("x", 33): "/{}", "/" + strings.Repeat("/y", 300): ("/" + strings.Repeat("/y", 300))[:252],
	} {
		r := httptest.NewRequest("PUT", "http://example.com"+path, nil)
		assert.Equal(t, "PUT "+want, s.Sample(r).Stratum)
		assert.Equal(t, "example.com", own.Sample(r).Stratum)
	}
	assert.Equal(t, "GET ", s.Sample(&http.Request{Method: "GET"}).Stratum)
}

// What the Mirror reports comes home, through composites too.
func TestAdaptiveLearnsFromTheMirror(t *testing.T) {
	for name, with := range map[string]func(shadow.Sampler) shadow.Sampler{
		"itself":   func(s shadow.Sampler) shadow.Sampler { return s },
		"All":      func(s shadow.Sampler) shadow.Sampler { return shadow.All(shadow.Rate(1), s) },
		"Any":      func(s shadow.Sampler) shadow.Sampler { return shadow.Any(newForce(secret), s) },
		"Windowed": func(s shadow.Sampler) shadow.Sampler { return newWindowed(s, time.Hour, time.Second) },
		"ByRoute":  func(s shadow.Sampler) shadow.Sampler { return shadow.ByRoute(map[string]shadow.Sampler{"/": s}, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newAdaptive(sampling.AdaptiveOptions{Share: 0.2})
				bad := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/bad" {
						w.WriteHeader(500)
					}
				})
				m, _ := mirrortest.New(t, shadow.InProcess("candidate", bad), shadow.WithSampler(with(s)),
					shadow.WithBreaker(shadow.BreakerOptions{Off: true}))
				h := m.Handler(mirrortest.OK)
				for range 2000 {
					mirrortest.Get(h, "/bad")
					mirrortest.Get(h, "/good")
					mirrortest.Rest()
				}
				require.NoError(t, m.Shutdown(t.Context()))
				rates := s.Rates()
				assert.Greater(t, rates["GET /bad"], 3*rates["GET /good"], "%v", rates)
			})
		})
	}
}

// A request is asked for its rate, and never waits until those of all routes are planned.
func TestAdaptivePlansNothingWhileARequestWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := simulate(1, 2, sampling.AdaptiveOptions{Share: 0.01, Burst: 10})
		var last shadow.Decision
		for range 5000 { // which uses the budget up, many times over
			for _, r := range s.routes {
				if d := s.sampler.Sample(r.request); d.Sampled {
					last = d
				}
			}
		}
		unplanned := map[string]float64{"GET /route-aa/{}": 1, "GET /route-ab/{}": 1}
		assert.Equal(t, unplanned, s.sampler.Rates())
		s.sampler.Report(t.Context(), resultOf(last, shadow.Match))
		assert.NotEqual(t, unplanned, s.sampler.Rates())
	})
}

func TestAdaptiveIsSafeForManyGoroutines(t *testing.T) {
	s := newAdaptive(sampling.AdaptiveOptions{Share: 0.1, PerSecond: 1e6, MaxRoutes: 20})
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for i := range 5000 {
				r := httptest.NewRequest("GET", "/"+string(rune('a'+(i*g)%26)), nil)
				if d := s.Sample(r); d.Sampled {
					assert.NoError(t, s.Report(context.Background(), resultOf(d, shadow.Mismatch)))
				}
				if i%1000 == 0 {
					assert.LessOrEqual(t, len(s.Rates()), 21)
				}
			}
		})
	}
	all.Wait()
}

func TestAdaptiveOptionsThatAreWrong(t *testing.T) {
	for _, c := range []struct {
		o    sampling.AdaptiveOptions
		want []string
	}{
		{sampling.AdaptiveOptions{}, []string{"no budget: set Share or PerSecond"}},
		{sampling.AdaptiveOptions{Share: -0.1}, []string{"Share: -0.1 is not a share from 0 to 1"}},
		{sampling.AdaptiveOptions{Share: math.NaN(), PerSecond: math.NaN()}, []string{"Share: NaN", "PerSecond: NaN is not a number of copies"}},
		{sampling.AdaptiveOptions{Share: 1.1}, []string{"Share: 1.1", "Ceiling: 1 is less than Share"}},
		{sampling.AdaptiveOptions{PerSecond: -1}, []string{"PerSecond: -1"}},
		{sampling.AdaptiveOptions{PerSecond: math.Inf(1)}, []string{"PerSecond: +Inf"}},
		{sampling.AdaptiveOptions{Share: 0.1, Ceiling: 0.05}, []string{"Ceiling: 0.05 is less than Share, 0.1, which could not be spent"}},
		{sampling.AdaptiveOptions{Share: 0.1, Burst: -1, Floor: -1, Ceiling: 2, HalfLife: -1, MaxRoutes: -1},
			[]string{"Burst: -1", "Floor: -1", "Ceiling: 2", "HalfLife: -1ns", "MaxRoutes: -1"}},
		{sampling.AdaptiveOptions{Share: 0.1, Floor: math.NaN(), Ceiling: math.NaN()}, []string{"Floor: NaN", "Ceiling: NaN"}},
		{sampling.AdaptiveOptions{Share: 0.1, Floor: 1.5}, []string{"Floor: 1.5"}},
		{sampling.AdaptiveOptions{Share: 1, PerSecond: 1, Burst: 1, Floor: 1, Ceiling: 1, HalfLife: 1, MaxRoutes: 1}, nil},
	} {
		_, err := sampling.NewAdaptive(c.o)
		lines := linesOf(err)
		if assert.Len(t, lines, len(c.want), "%+v: %q", c.o, lines) {
			for i, want := range c.want {
				assert.Contains(t, lines[i], "sampling: NewAdaptive: "+want)
			}
		}
	}
}

// A client chooses the method: it makes no routes.
func TestAMethodOfAClientMakesNoRoutes(t *testing.T) {
	s := newAdaptive(sampling.AdaptiveOptions{Share: 1})
	for i := range 100 {
		r := get()
		r.Method = fmt.Sprintf("BREW%d", i)
		s.Sample(r)
	}
	assert.Len(t, s.Rates(), 1)
}
