package shadow

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"

	"github.com/goshadow/shadow/internal/composite"
	"github.com/goshadow/shadow/internal/guard"
	"github.com/goshadow/shadow/internal/patterns"
	"github.com/goshadow/shadow/internal/sampling"
)

// Sampler decides which requests are copied. The request waits for Sample before the primary runs: it
// must be fast, must not read the body and must not change r. It is called by many goroutines at a
// time, and decides independently of all other samplers.
//
// A user's Sampler runs on a goroutine of its own, which takes about 2 µs: a panic or runtime.Goexit
// in it counts the request as ReasonSamplerFailed. Put it behind a Rate with All to pay for fewer.
//
// A Sampler that is made of others returns them from Unwrap() []Sampler. Then New finds what is wrong
// with them, those that are Reporters get the results, and composites know what a probability of 0 means.
type Sampler interface {
	Sample(r *http.Request) Decision
}

// Decision is a Sampler's decision about one request.
type Decision struct {
	// Sampled reports whether the request is copied.
	Sampled bool
	// Probability is that of sampling this request, from 0 to 1. It must not depend on the outcome.
	// It is 0 if the Sampler does not know it, and for a request that it never samples.
	Probability float64
	// Stratum names the group of the request, if the Sampler treats groups differently. The set of
	// names must be small.
	Stratum string
}

// SamplerFunc samples with a probability that is not known. See When for a rule, whose probability is.
type SamplerFunc func(r *http.Request) bool

// Sample calls f.
func (f SamplerFunc) Sample(r *http.Request) Decision { return Decision{Sampled: f(r)} }

// Describe describes f to the Mirror.
func (f SamplerFunc) Describe() sampling.Description {
	d := sampling.User(f)
	d.Unknown = true
	return d
}

// draw samples with the Chance c.
func draw(c sampling.Chance) Decision {
	return Decision{Sampled: c.Draw(), Probability: c.Probability()}
}

// Rate samples each request with probability p, from 0 (none) to 1 (all), independently of all others.
// Any other p samples nothing and is an error of New.
func Rate(p float64) Sampler {
	if err := sampling.CheckProbability("Rate", p); err != nil {
		return faultySampler{err}
	}
	return fixedRate(sampling.NewChance(p))
}

// faultySampler stands for a Sampler with a wrong argument. It samples nothing.
type faultySampler struct{ err error }

func (s faultySampler) Sample(*http.Request) Decision { return Decision{} }

func (s faultySampler) Describe() sampling.Description {
	return sampling.Description{Of: s, Foresee: sampling.Chance(0).Foreseen("a faulty Sampler")}
}

func (s faultySampler) Fault() error { return s.err }

type fixedRate sampling.Chance

func (s fixedRate) Sample(*http.Request) Decision { return draw(sampling.Chance(s)) }

func (s fixedRate) Describe() sampling.Description {
	c := sampling.Chance(s)
	return sampling.Description{Of: s, Quick: true, Settled: c == 0 || c == sampling.Certain, Foresee: c.Foreseen("Rate")}
}

// RateVar is a Rate that can be changed while requests are served. The zero value samples nothing. It
// is safe for concurrent use and must not be copied.
type RateVar struct {
	p      atomic.Uint64 // bits of a float64
	chance atomic.Uint64 // of p
}

// Set changes the probability from the next request on. A p not from 0 to 1 changes nothing: an error.
func (v *RateVar) Set(p float64) error {
	if err := sampling.CheckProbability("RateVar", p); err != nil {
		return fmt.Errorf("shadow: %w", err)
	}
	v.p.Store(math.Float64bits(p))
	v.chance.Store(uint64(sampling.NewChance(p)))
	return nil
}

// Get returns the probability that was set last, 0 at first.
func (v *RateVar) Get() float64 { return math.Float64frombits(v.p.Load()) }

// Sample samples a request with the probability that was set last.
func (v *RateVar) Sample(*http.Request) Decision { return draw(sampling.Chance(v.chance.Load())) }

// Describe describes v to the Mirror.
func (v *RateVar) Describe() sampling.Description {
	return sampling.Description{Of: v, Quick: true, Foresee: func(*http.Request) sampling.Foresight {
		return sampling.Chance(v.chance.Load()).Foresee("RateVar")
	}}
}

// RouteRates is a rate for each route that can be changed while requests are served. Routes are
// patterns of http.ServeMux, of which the most specific one counts: "/" is for all others. The zero
// value samples nothing. It is safe for concurrent use and must not be copied; no request ever waits
// for a Set. See ByRoute for the paths that cost an allocation.
type RouteRates struct {
	setting sync.Mutex
	table   atomic.Pointer[byRoute] // its rules are all RateVars
}

// Set changes the probability of the requests that match pattern, with effect on the next request.
// A p that is not from 0 to 1, and a pattern that is wrong or conflicts with another one, are errors
// and change nothing.
func (v *RouteRates) Set(pattern string, p float64) error {
	if err := sampling.CheckProbability(fmt.Sprintf("RouteRates: %q", pattern), p); err != nil {
		return fmt.Errorf("shadow: %w", err)
	}
	v.setting.Lock()
	defer v.setting.Unlock()
	rules := map[string]Sampler{}
	if table := v.table.Load(); table != nil {
		if rate, ok := table.rules[pattern]; ok {
			return rate.(*RateVar).Set(p)
		}
		maps.Copy(rules, table.rules)
	}
	rate := new(RateVar)
	rate.Set(p) //nolint:errcheck // p was checked
	rules[pattern] = rate
	table := newByRoute(rules, nil)
	if err := errors.Join(table.errs...); err != nil {
		return fmt.Errorf("shadow: RouteRates: %w", err)
	}
	v.table.Store(table)
	return nil
}

// Get returns the probability that Set was given last for this very pattern, 0 at first.
func (v *RouteRates) Get(pattern string) float64 {
	if table := v.table.Load(); table != nil && table.rules[pattern] != nil {
		return table.rules[pattern].(*RateVar).Get()
	}
	return 0
}

// Sample samples a request with the probability of its route.
func (v *RouteRates) Sample(r *http.Request) Decision {
	if table := v.table.Load(); table != nil {
		return table.Sample(r)
	}
	return Decision{}
}

// Describe describes v to the Mirror.
func (v *RouteRates) Describe() sampling.Description {
	return sampling.Description{Of: v, Foresee: func(r *http.Request) sampling.Foresight {
		if table := v.table.Load(); table != nil {
			return table.foresee(r)
		}
		return sampling.Settle(false, 0, "RouteRates has no route")
	}}
}

// PerSecond samples at most n requests a second, and up to burst at once after a quiet time (a token
// bucket). It samples none if n or burst is 0. A negative one, or NaN, is an error of New. An infinite
// n is no limit. A request that is not sampled costs one atomic read.
// Its probability is not known: the first request after a pause is sampled, and in a crowd hardly any,
// so weights made of the share that was sampled would be biased. Adaptive in package sampling bounds
// copies per second with a known probability.
func PerSecond(n float64, burst int) Sampler {
	if !(n >= 0) || burst < 0 { // NaN too
		return faultySampler{fmt.Errorf("PerSecond: %v requests a second, %d at once: neither can be negative", n, burst)}
	}
	if n == 0 || burst == 0 {
		return Rate(0)
	}
	return &perSecond{tokens: sampling.NewBucket(n, burst)}
}

type perSecond struct{ tokens *sampling.Bucket }

func (s *perSecond) Sample(*http.Request) Decision { return Decision{Sampled: s.tokens.Take()} }

func (s *perSecond) Describe() sampling.Description {
	return sampling.Description{Of: s, Unknown: true, Foresee: s.tokens.Foresee}
}

// ByKey samples the share p of all keys: a request is sampled if its key is. The same key decides
// alike in every process and at every time, and keys that are sampled at one p are sampled at every
// larger one. A request whose key is empty is not sampled. A p that is not from 0 to 1 samples nothing
// and is an error of New.
// A key is placed by the xxHash64 of its bytes, with seed 0. The probability of a request is p, taken
// over the keys: estimates are as exact as the number of keys allows, not that of requests. See When
// for what key must not do.
func ByKey(p float64, key func(*http.Request) string) Sampler {
	s := &byKey{chance: sampling.NewChance(p), key: guard.NewFunc("Sampler", key), err: sampling.CheckProbability("ByKey", p)}
	if key == nil {
		s.err = errors.Join(s.err, errors.New("ByKey: nil key function"))
	}
	if s.err != nil {
		s.chance = 0
	}
	return s
}

type byKey struct {
	chance sampling.Chance
	key    *guard.Func[*http.Request, string]
	err    error
}

func (s *byKey) Sample(r *http.Request) Decision {
	key := s.key.Call(r)
	if key == "" {
		return Decision{}
	}
	return Decision{Sampled: s.chance.Has(xxhash.Sum64String(key)), Probability: s.chance.Probability()}
}

func (s *byKey) Describe() sampling.Description {
	return sampling.Description{Of: s, Keyed: true, Foresee: func(r *http.Request) sampling.Foresight {
		key := s.key.Call(r)
		return s.chance.ForeseeKey(key, s.chance.Has(xxhash.Sum64String(key)))
	}}
}

func (s *byKey) Fault() error { return s.err }

// When samples exactly the requests for which match returns true. The result must depend only on
// the request, which match must not change. The request waits while match runs on a goroutine of its
// own, so match must be fast. If it panics or ends its goroutine, the request is counted as
// ReasonSamplerFailed. It may look for a header that a trusted peer sets: see Force in package sampling
// for one that anybody may send.
func When(match func(*http.Request) bool) Sampler {
	if match == nil {
		return faultySampler{errors.New("When: nil function")}
	}
	return &when{guard.NewFunc("Sampler", match)}
}

type when struct {
	match *guard.Func[*http.Request, bool]
}

func (s *when) Sample(r *http.Request) Decision {
	if s.match.Call(r) {
		return Decision{Sampled: true, Probability: 1}
	}
	return Decision{}
}

func (s *when) Describe() sampling.Description {
	return sampling.Description{Of: s, Settled: true, Foresee: func(r *http.Request) sampling.Foresight {
		return sampling.Rule("When", s.match.Call(r))
	}}
}

// ByRoute samples a request by the rule whose pattern it matches. Patterns are those of http.ServeMux,
// the most specific one wins. A request that matches none is sampled by otherwise, and not at all if
// otherwise is nil. A wrong pattern is an error of New.
// Request.Pattern is not known yet: the method, host and path of the request are matched.
// "GET /orders/{id}" is both the name of a route in results and the key of its rule here. Names that a
// Mirror made of a path, with "{}" in them, are no keys.
//
// Finding the rule does not allocate, except for CONNECT, a path that ServeMux would redirect, such as
// //a, and one with an escaped slash: there http.ServeMux finds it, with 3 to 9 allocations.
func ByRoute(rules map[string]Sampler, otherwise Sampler) Sampler {
	return newByRoute(rules, otherwise)
}

func newByRoute(rules map[string]Sampler, otherwise Sampler) *byRoute {
	if isNil(otherwise) {
		otherwise = Rate(0)
	}
	s := &byRoute{patterns: new(patterns.Table), rules: make(map[string]Sampler, len(rules)), otherwise: contain(otherwise)}
	s.errs = append(s.errs, composite.Fault("otherwise", otherwise))
	for pattern, rule := range rules {
		s.rules[pattern] = contain(rule)
		s.errs = append(s.errs, s.patterns.Add(pattern), composite.Fault(fmt.Sprintf("%q", pattern), rule))
	}
	return s
}

type byRoute struct {
	patterns  *patterns.Table
	rules     map[string]Sampler
	otherwise Sampler
	errs      []error
}

func (s *byRoute) Fault() error {
	if err := errors.Join(s.errs...); err != nil {
		return fmt.Errorf("ByRoute: %w", err)
	}
	return nil
}

// Unwrap returns all rules and otherwise.
func (s *byRoute) Unwrap() []Sampler {
	return append(slices.Collect(maps.Values(s.rules)), s.otherwise)
}

func (s *byRoute) Sample(r *http.Request) Decision {
	if rule, ok := s.rules[s.patterns.Match(r)]; ok {
		return rule.Sample(r)
	}
	return s.otherwise.Sample(r)
}

func (s *byRoute) Describe() sampling.Description {
	d := sampling.NewParts(s.Unwrap()).Description
	d.Of, d.Foresee = s, s.foresee
	return d
}

func (s *byRoute) foresee(r *http.Request) sampling.Foresight {
	pattern := s.patterns.Match(r)
	if rule, ok := s.rules[pattern]; ok {
		return sampling.Describe(rule).Foresee(r).Of(fmt.Sprintf("the rule for %q", pattern))
	}
	return sampling.Describe(s.otherwise).Foresee(r).Of("no rule of a route")
}

// All samples what every one of s samples. It asks in order and stops at the first that says no, so
// that a PerSecond or Adaptive at the end is only asked for requests that the others let through. With
// no samplers it samples everything. The probability is the product of theirs, as they decide
// independently. It is not known if that of one is not, or if more than one of s has a ByKey in it: two
// that look at the same key agree.
func All(s ...Sampler) Sampler {
	all := &allOf{newSamplers("All", s)}
	all.parts.StopAtNo()
	return all
}

type allOf struct{ samplers }

func (s *allOf) Sample(r *http.Request) Decision {
	return Decision(s.parts.All(func(i int) sampling.Decision { return sampling.Decision(s.list[i].Sample(r)) }))
}

func (s *allOf) Describe() sampling.Description { return s.describe(s, s.parts.ForeseeAll) }

// Any samples what at least one of s samples. It asks in order. With no samplers it samples nothing.
//
// The probability is that not all of them say no, as they decide independently. To know it Any asks
// those behind the first yes too, unless that is certain, but none that does not know its probability,
// such as a PerSecond. Then the probability is not known, nor is it if more than one of s has a ByKey
// in it. A user's Sampler that says no with a probability of 0 may not know it: use When for a rule.
func Any(s ...Sampler) Sampler { return &anyOf{newSamplers("Any", s)} }

type anyOf struct{ samplers }

func (s *anyOf) Sample(r *http.Request) Decision {
	return Decision(s.parts.Any(func(i int) sampling.Decision { return sampling.Decision(s.list[i].Sample(r)) }))
}

func (s *anyOf) Describe() sampling.Description { return s.describe(s, s.parts.ForeseeAny) }

// samplers is a list of samplers that are asked one after another.
type samplers struct {
	list  []Sampler
	parts *sampling.Parts
	err   error
}

func newSamplers(name string, list []Sampler) samplers {
	s := samplers{list: make([]Sampler, len(list)), err: composite.Faults(name, list)}
	for i, part := range list {
		s.list[i] = contain(part)
	}
	s.parts = sampling.NewParts(s.list)
	return s
}

// Unwrap returns the list.
func (s *samplers) Unwrap() []Sampler { return slices.Clone(s.list) }

func (s *samplers) Fault() error { return s.err }

func (s *samplers) describe(of Sampler, foresee func(*http.Request) sampling.Foresight) sampling.Description {
	d := s.parts.Description
	d.Of, d.Foresee = of, foresee
	return d
}

// contained is a user's Sampler that is asked on a goroutine of its own.
type contained struct {
	user   Sampler
	sample *guard.Func[*http.Request, Decision]
}

// contain returns s, or a Sampler that contains it if it runs user code.
func contain(s Sampler) Sampler {
	if isNil(s) || !sampling.Describe(s).UserCode {
		return s
	}
	return &contained{s, guard.NewFunc("Sampler", s.Sample)}
}

func (s *contained) Sample(r *http.Request) Decision { return s.sample.Call(r) }

// Unwrap returns the user's Sampler.
func (s *contained) Unwrap() []Sampler { return []Sampler{s.user} }

func (s *contained) Describe() sampling.Description {
	d := sampling.Describe(s.user)
	d.Of, d.UserCode = s, false
	return d
}
