package shadow

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"
	"golang.org/x/time/rate"
)

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

// Rate samples each request with probability p, on its own: none where p is 0, less or
// NaN, all where p is 1 or more.
func Rate(p float64) Sampler { return fixedRate(newShare(p)) }

type fixedRate share

func (r fixedRate) Sample(*http.Request) bool { return share(r).drawn() }

// RateVar is a Rate that can be changed while requests are served. The zero value
// samples nothing. It is safe for concurrent use and must not be copied.
type RateVar struct {
	p atomic.Uint64 // bits of a float64
	s atomic.Uint64 // the share of it
}

// Set changes the probability, with effect on the next request.
func (v *RateVar) Set(p float64) {
	v.p.Store(math.Float64bits(p))
	v.s.Store(uint64(newShare(p)))
}

// Get returns what Set was given last, 0 at first.
func (v *RateVar) Get() float64 { return math.Float64frombits(v.p.Load()) }

// Sample draws.
func (v *RateVar) Sample(*http.Request) bool { return v.share().drawn() }

func (v *RateVar) share() share { return share(v.s.Load()) }

// PerSecond samples at most n requests a second, and up to burst at once after a quiet
// time (a token bucket). It samples none where n or burst is 0 or less.
func PerSecond(n float64, burst int) Sampler {
	if !(n > 0) || burst <= 0 {
		return Rate(0)
	}
	return &perSecond{rate.NewLimiter(rate.Limit(n), burst)}
}

type perSecond struct{ *rate.Limiter }

func (s *perSecond) Sample(*http.Request) bool { return s.Allow() }

// ByKey samples the share p of all keys: a request is sampled if its key is. The same
// key decides alike in every process and at every time, and keys that are sampled at
// one p are sampled at every larger one. A request whose key is empty is not sampled.
//
// A key is placed by the xxHash64 of its bytes, with seed 0.
func ByKey(p float64, key func(*http.Request) string) Sampler {
	return &byKey{newShare(p), key}
}

type byKey struct {
	share share
	key   func(*http.Request) string
}

func (s *byKey) fault() error {
	if s.key == nil {
		return errors.New("ByKey: nil key function")
	}
	return nil
}

func (s *byKey) Sample(r *http.Request) bool {
	key := s.key(r)
	return key != "" && s.share.has(xxhash.Sum64String(key))
}

// ByRoute samples a request as the rule whose pattern it matches says. Patterns are
// those of http.ServeMux, the most specific one wins. A request that matches none is
// sampled as otherwise says, and not at all where otherwise is nil.
func ByRoute(rules map[string]Sampler, otherwise Sampler) Sampler {
	s := &byRoute{mux: http.NewServeMux(), rules: make(map[string]Sampler, len(rules)), otherwise: otherwise}
	if isNil(otherwise) {
		s.otherwise = Rate(0)
	}
	s.errs = append(s.errs, faultOf("otherwise", s.otherwise))
	for pattern, rule := range rules {
		s.rules[pattern] = rule
		s.errs = append(s.errs, s.add(pattern), faultOf(fmt.Sprintf("%q", pattern), rule))
	}
	return s
}

type byRoute struct {
	mux       *http.ServeMux
	rules     map[string]Sampler
	otherwise Sampler
	errs      []error
}

func (s *byRoute) add(pattern string) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%v", v)
		}
	}()
	s.mux.Handle(pattern, http.NotFoundHandler())
	return nil
}

func (s *byRoute) fault() error {
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

func (s *byRoute) Sample(r *http.Request) bool {
	_, pattern := s.mux.Handler(r)
	rule, ok := s.rules[pattern]
	if !ok {
		rule = s.otherwise
	}
	return rule.Sample(r)
}

// All samples what every one of s samples. It asks in order and stops at the first
// that says no, so that a PerSecond at the end is only asked for requests that the
// others let through. With no samplers it samples everything.
func All(s ...Sampler) Sampler { return append(allOf{}, s...) }

type allOf []Sampler

func (s allOf) fault() error { return faults("All", s) }
func (s allOf) parts() []any { return anys(s) }

func (s allOf) Sample(r *http.Request) bool {
	for _, one := range s {
		if !one.Sample(r) {
			return false
		}
	}
	return true
}

// Any samples what at least one of s samples. It asks in order and stops at the first
// that says yes. With no samplers it samples nothing.
func Any(s ...Sampler) Sampler { return append(anyOf{}, s...) }

type anyOf []Sampler

func (s anyOf) fault() error { return faults("Any", s) }
func (s anyOf) parts() []any { return anys(s) }

func (s anyOf) Sample(r *http.Request) bool {
	for _, one := range s {
		if one.Sample(r) {
			return true
		}
	}
	return false
}

func anys[T any](list []T) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = v
	}
	return out
}

// faults reports every part of a composite that is nil or faulty.
func faults[T any](name string, parts []T) error {
	var errs []error
	for i, part := range parts {
		errs = append(errs, faultOf(fmt.Sprintf("%s: argument %d", name, i+1), part))
	}
	return errors.Join(errs...)
}

// faultOf reports a part that is nil or faulty.
func faultOf(name string, part any) error {
	if isNil(part) {
		return fmt.Errorf("%s: nil", name)
	}
	if f, ok := part.(faulty); ok {
		if err := f.fault(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}
