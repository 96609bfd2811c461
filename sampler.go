package shadow

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"

	"github.com/goshadow/shadow/internal/composite"
	"github.com/goshadow/shadow/internal/patterns"
)

// Decision is a Sampler's decision about one request.
type Decision struct {
	// Sampled reports whether the request is copied.
	Sampled bool
	// Probability is the probability with which this request was to be sampled, from 0 to 1,
	// whether it was sampled or not: it must not depend on the outcome. It is 0 if the
	// Sampler does not know it, and for a request that it never samples.
	Probability float64
	// Stratum names the group of requests that this one belongs to, if the Sampler treats
	// groups differently. The set of names must be small.
	Stratum string
}

// builtin is a Sampler that runs no code of the user's, apart from that of its parts.
type builtin interface{ builtin() }

func (fixedRate) builtin()   {}
func (*RateVar) builtin()    {}
func (*perSecond) builtin()  {}
func (*byRoute) builtin()    {}
func (*RouteRates) builtin() {}
func (*allOf) builtin()      {}
func (*anyOf) builtin()      {}

// foreign reports whether s runs code of the user's.
func foreign(s Sampler) bool {
	_, ours := s.(builtin)
	return !ours || slices.ContainsFunc(samplersIn(s), foreign)
}

// share is a probability in units of 2⁻⁶³, exact at 0 and at 1.
type share uint64

const whole share = 1 << 63

func newShare(p float64) share {
	switch {
	case p >= 1:
		return whole
	case p > 0:
		return share(p * float64(whole))
	}
	return 0 // NaN too
}

// has tells whether a number drawn from all 64-bit numbers falls into the share.
func (s share) has(draw uint64) bool { return share(draw>>1) < s }

// drawn draws a number and tells whether it falls into the share.
func (s share) drawn() bool { return s != 0 && s.has(rand.Uint64()) }

func (s share) probability() float64 { return float64(s) / float64(whole) }

// decide draws.
func (s share) decide() Decision { return Decision{Sampled: s.drawn(), Probability: s.probability()} }

// sampled is the Decision about a request that was drawn.
func (s share) sampled() Decision { return Decision{Sampled: true, Probability: s.probability()} }

// Rate samples each request with probability p, from 0 (none) to 1 (all), independently of
// all others. Any other p samples nothing and is an error of New.
func Rate(p float64) Sampler {
	if err := checkProbability("Rate", p); err != nil {
		return faultySampler{err}
	}
	return fixedRate(newShare(p))
}

// checkProbability returns an error if p is not a number from 0 to 1.
func checkProbability(name string, p float64) error {
	if p >= 0 && p <= 1 {
		return nil
	}
	if p > 1 && p <= 100 {
		return fmt.Errorf("%s: %v is not a probability from 0 to 1: %v %% is %v", name, p, p, p/100)
	}
	return fmt.Errorf("%s: %v is not a probability from 0 to 1", name, p)
}

// faultySampler stands for a Sampler that could not be made. It samples nothing.
type faultySampler struct{ err error }

func (s faultySampler) Sample(*http.Request) Decision { return Decision{} }
func (s faultySampler) Fault() error                  { return s.err }

type fixedRate share

func (r fixedRate) Sample(*http.Request) Decision { return share(r).decide() }
func (r fixedRate) all() bool                     { return share(r) == whole }

// RateVar is a Rate that can be changed while requests are served. The zero value
// samples nothing. It is safe for concurrent use and must not be copied.
type RateVar struct {
	p atomic.Uint64 // bits of a float64
	s atomic.Uint64 // the share of it
}

// Set changes the probability, with effect on the next request. A p that is not from 0 to 1
// is an error, and changes nothing.
func (v *RateVar) Set(p float64) error {
	if err := checkProbability("RateVar", p); err != nil {
		return fmt.Errorf("shadow: %w", err)
	}
	v.p.Store(math.Float64bits(p))
	v.s.Store(uint64(newShare(p)))
	return nil
}

// Get returns the probability that was set last, 0 at first.
func (v *RateVar) Get() float64 { return math.Float64frombits(v.p.Load()) }

// Sample samples a request with the probability that was set last.
func (v *RateVar) Sample(*http.Request) Decision { return v.share().decide() }

func (v *RateVar) share() share { return share(v.s.Load()) }
func (v *RateVar) all() bool    { return v.share() == whole }

// ByKey samples the share p of all keys: a request is sampled if its key is. The same
// key decides alike in every process and at every time, and keys that are sampled at
// one p are sampled at every larger one. A request whose key is empty is not sampled.
//
// A p that is not from 0 to 1 samples nothing and is an error of New.
//
// A key is placed by the xxHash64 of its bytes, with seed 0. The probability of a request
// is p, taken over the keys: requests with one key come together or not at all, so that
// estimates are as exact as the number of keys allows, not that of requests.
func ByKey(p float64, key func(*http.Request) string) Sampler {
	s := &byKey{share: newShare(p), key: key, err: checkProbability("ByKey", p)}
	if key == nil {
		s.err = errors.Join(s.err, errors.New("ByKey: nil key function"))
	}
	if s.err != nil {
		s.share = 0
	}
	return s
}

type byKey struct {
	share share
	key   func(*http.Request) string
	err   error
}

func (s *byKey) Fault() error { return s.err }

func (s *byKey) Sample(r *http.Request) Decision {
	key := s.key(r)
	if key == "" {
		return Decision{}
	}
	return Decision{Sampled: s.share.has(xxhash.Sum64String(key)), Probability: s.share.probability()}
}

// When samples exactly the requests for which is returns true. The result must depend only on
// the request, which is must not change. The request waits for it, on a goroutine of its own,
// so is must be fast. If is panics or ends its goroutine, the request is counted as
// ReasonSamplerFailed.
//
// A header that a trusted peer sets is a case of it; see Force for one that anybody may
// send.
func When(is func(*http.Request) bool) Sampler { return when(is) }

type when func(*http.Request) bool

func (is when) Fault() error {
	if is == nil {
		return errors.New("When: nil function")
	}
	return nil
}

func (is when) Sample(r *http.Request) Decision {
	if is(r) {
		return Decision{Sampled: true, Probability: 1}
	}
	return Decision{}
}

// ByRoute samples a request as the rule whose pattern it matches says. Patterns are
// those of http.ServeMux, the most specific one wins. A request that matches none is
// sampled as otherwise says, and not at all where otherwise is nil.
//
// The primary has not run yet, so Request.Pattern is not known: the method, host and path of
// the request are matched. "GET /orders/{id}" is both the name of a route in results and the
// key of its rule here. Names that a Mirror made of a path, with "{}" in them, are no keys.
//
// Finding the rule costs no allocation, but for a path that ServeMux would redirect, such as
// //a, and one with an escaped slash.
func ByRoute(rules map[string]Sampler, otherwise Sampler) Sampler {
	return newByRoute(rules, otherwise)
}

func newByRoute(rules map[string]Sampler, otherwise Sampler) *byRoute {
	s := &byRoute{patterns: new(patterns.Table), rules: make(map[string]Sampler, len(rules)), otherwise: otherwise}
	if isNil(otherwise) {
		s.otherwise = Rate(0)
	}
	s.errs = append(s.errs, composite.Fault("otherwise", s.otherwise))
	for pattern, rule := range rules {
		s.rules[pattern] = rule
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

func (s *byRoute) parts() []any {
	parts := []any{s.otherwise}
	for _, rule := range s.rules {
		parts = append(parts, rule)
	}
	return parts
}

func (s *byRoute) Sample(r *http.Request) Decision {
	rule, ok := s.rules[s.patterns.Match(r)]
	if !ok {
		rule = s.otherwise
	}
	return rule.Sample(r)
}

// RouteRates is a rate for each route that can be changed while requests are served.
// Routes are patterns of http.ServeMux, of which the most specific one counts: "/" is the
// rate of all that no other matches. The zero value samples nothing. It is safe for
// concurrent use and must not be copied; no request ever waits for a Set.
type RouteRates struct {
	setting sync.Mutex
	table   atomic.Pointer[byRoute] // its rules are all RateVars
}

// Set changes the probability of what matches pattern, with effect on the next request.
// The error says what is wrong with the pattern, or which other one it conflicts with;
// nothing has changed then. So does a p that is not from 0 to 1.
func (v *RouteRates) Set(pattern string, p float64) error {
	if err := checkProbability(fmt.Sprintf("RouteRates: %q", pattern), p); err != nil {
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
	if err := rate.Set(p); err != nil {
		return err
	}
	rules[pattern] = rate
	table := newByRoute(rules, nil)
	if err := errors.Join(table.errs...); err != nil {
		return fmt.Errorf("shadow: RouteRates: %w", err)
	}
	v.table.Store(table)
	return nil
}

// Get returns what Set was given last for this very pattern, 0 at first.
func (v *RouteRates) Get(pattern string) float64 {
	if table := v.table.Load(); table != nil {
		if rate, ok := table.rules[pattern]; ok {
			return rate.(*RateVar).Get()
		}
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

// All samples what every one of s samples. It asks in order and stops at the first
// that says no, so that a PerSecond or Adaptive at the end is only asked for requests that
// the others let through. With no samplers it samples everything.
//
// The probability is the product of theirs, as they draw independently. It is not known
// where that of one is not, nor where more than one of s has a ByKey in it: two that look
// at the same key agree.
func All(s ...Sampler) Sampler { return &allOf{newSamplers("All", s)} }

type allOf struct{ samplers }

func (s *allOf) Sample(r *http.Request) Decision {
	all := Decision{Sampled: true, Probability: 1}
	for i, one := range s.list {
		d := one.Sample(r)
		all.Probability *= s.probability(i, d)
		all.Stratum = cmp.Or(all.Stratum, d.Stratum)
		if all.Sampled = d.Sampled; !d.Sampled {
			if i < len(s.list)-1 && all.Probability != 0 {
				all.Probability = math.NaN() // those that were not asked did not say
			}
			break
		}
	}
	return s.untie(all)
}

// Any samples what at least one of s samples. It asks in order and stops at the first
// that says yes. With no samplers it samples nothing.
//
// The probability is that not all of them say no, as they draw independently. For that
// those behind the first yes are asked too, unless one is certain to say yes or cannot
// always tell. Then the probability is 1, or is not known; it is not known either where more
// than one of s has a ByKey in it.
func Any(s ...Sampler) Sampler { return &anyOf{newSamplers("Any", s)} }

type anyOf struct{ samplers }

func (s *anyOf) Sample(r *http.Request) Decision {
	var sum Decision
	none := 1.0 // the probability that all say no
	for i, one := range s.list {
		if sum.Sampled && (s.tell[i] == tellsNot || s.tell[i] == tellsUnless && math.IsNaN(none)) {
			none = math.NaN()
			continue
		}
		d := one.Sample(r)
		p := s.probability(i, d)
		if s.tell[i] == tellsNot && p != 1 {
			p = math.NaN() // whether it is known must not depend on the outcome
		}
		none *= 1 - p
		sum.Sampled = sum.Sampled || d.Sampled
		sum.Stratum = cmp.Or(sum.Stratum, d.Stratum)
		if p == 1 {
			sum.Probability = 1
			return sum
		}
	}
	sum.Probability = 1 - none
	return s.untie(sum)
}

// samplers is a list of samplers that are asked one after another.
type samplers struct {
	name string
	list []Sampler
	tell []telling // what the probabilities of each mean
	tied bool      // more than one of them has a ByKey in it
}

func newSamplers(name string, list []Sampler) samplers {
	c := samplers{name: name, list: slices.Clone(list), tell: make([]telling, len(list))}
	keyed := 0
	for i, one := range list {
		c.tell[i] = tells(one)
		if hasKey(one) {
			keyed++
		}
	}
	c.tied = keyed > 1
	return c
}

func (s *samplers) Fault() error { return composite.Faults(s.name, s.list) }
func (s *samplers) parts() []any { return anys(s.list) }

// probability returns the probability that sampler i says d has, NaN if it is not known.
func (s *samplers) probability(i int, d Decision) float64 {
	p := d.Probability
	if !(p >= 0 && p <= 1) || p == 0 && (d.Sampled || s.tell[i] != tellsAlways) {
		return math.NaN()
	}
	return p
}

// untie returns d with a probability of 0 if that is not known, or rests on samplers that are
// not independent.
func (s *samplers) untie(d Decision) Decision {
	if s.tied || math.IsNaN(d.Probability) {
		d.Probability = 0
	}
	return d
}

// telling is what the probabilities of a Sampler mean.
type telling int

const (
	tellsAlways telling = iota // it knows the probability: 0 is never
	tellsNot                   // it does not, or not whatever it decides
	tellsUnless                // 0 is either: a Sampler of the user's
)

// tells returns what the probabilities of s mean.
func tells(s Sampler) telling {
	switch s := s.(type) {
	case *perSecond, SamplerFunc:
		return tellsNot
	case *allOf: // it stops at a no: only its last one may draw
		if s.tied {
			return tellsNot
		}
		for i, one := range s.list {
			if i < len(s.list)-1 && !settled(one) {
				return tellsNot
			}
			if t := tells(one); t != tellsAlways {
				return t
			}
		}
		return tellsAlways
	case *anyOf:
		if s.tied {
			return tellsNot
		}
	}
	parts := samplersIn(s)
	for _, one := range parts {
		if t := tells(one); t != tellsAlways {
			return t
		}
	}
	if _, ours := s.(interface{ parts() []any }); len(parts) > 0 || ours || !foreign(s) || keeps(s) {
		return tellsAlways
	}
	return tellsUnless
}

// keeps reports whether s is one of the samplers that run code of the user's and know their
// probability all the same.
func keeps(s Sampler) bool {
	switch s.(type) {
	case *byKey, when, *force, *AdaptiveSampler, faultySampler:
		return true
	}
	return false
}

// settled tells whether s never draws: its probability is 0 or 1.
func settled(s Sampler) bool {
	switch s.(type) {
	case when, *force:
		return true
	}
	return false
}

// hasKey tells whether s is a ByKey or has one in it.
func hasKey(s Sampler) bool {
	_, ok := s.(*byKey)
	return ok || slices.ContainsFunc(samplersIn(s), hasKey)
}

// samplersIn lists the samplers that s is made of.
func samplersIn(s Sampler) (list []Sampler) {
	if whole, ok := s.(interface{ parts() []any }); ok && !isNil(s) {
		for _, part := range whole.parts() {
			if one, ok := part.(Sampler); ok {
				list = append(list, one)
			}
		}
	}
	return list
}

func anys[T any](list []T) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = v
	}
	return out
}
