// Package sampling has three samplers: Adaptive learns on which routes copies find most, Windowed
// takes a census from time to time, and Force samples the requests that carry a token of somebody
// with a key. Each is a shadow.Sampler for shadow.WithSampler. Adaptive and Force may be combined
// with others by shadow.All and shadow.Any; a Windowed goes around them.
package sampling

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/internal/guard"
	"github.com/goshadow/shadow/internal/route"
	"github.com/goshadow/shadow/internal/sampling"
)

// AdaptiveOptions are the budget of an Adaptive and what it is spent on. Share or PerSecond must
// be set; if both are, both hold.
type AdaptiveOptions struct {
	// Share is the budget as a share of the requests that Adaptive is asked about, up to 1.
	// 0 is no such budget.
	Share float64
	// PerSecond is the budget in copies per second. 0 is no such budget. A rush after a quiet
	// time may exceed it for a second, until the number of requests is known.
	PerSecond float64
	// Burst is the largest number of copies that are saved up, so that some are left for a
	// rare route. With less than ten, part of the budget is not spent. 0 is 100.
	Burst int

	// Floor is the least rate of a route, as a share of the rate that all routes would have
	// if they were treated alike. It is more than 0, so that every route is seen some day and
	// weighted estimates have no bias, and at most 1, which treats all alike. 0 is 0.1.
	Floor float64
	// Ceiling is the largest rate of a route, up to 1 and not less than Share. 0 is 1.
	Ceiling float64
	// HalfLife is the time after which a result counts half. 0 is ten minutes.
	HalfLife time.Duration

	// Route names the route of a request, in few different words and without anything
	// private. The request waits for it, on a goroutine of its own. Nil is the method
	// and the path with "{}" for segments that look like identifiers: see shadow.WithRoute.
	Route func(*http.Request) string
	// MaxRoutes is the number of routes that have a rate of their own. All others share one,
	// until known ones have been quiet for long. 0 is 1000. The first request of a route
	// copies the table of routes, which takes some 10 µs with 1,000 of them.
	MaxRoutes int

	// Random returns numbers drawn from all 64-bit numbers, for many goroutines at a time.
	// Nil is rand.Uint64 of math/rand/v2. A seeded one repeats a run; the Mirror then asks
	// Adaptive on a goroutine of its own, since Random is user code.
	Random func() uint64
}

// withDefaults returns o with its defaults.
func (o AdaptiveOptions) withDefaults() AdaptiveOptions {
	if o.Burst == 0 {
		o.Burst = 100
	}
	if o.Floor == 0 {
		o.Floor = 0.1
	}
	if o.Ceiling == 0 {
		o.Ceiling = 1
	}
	if o.HalfLife == 0 {
		o.HalfLife = 10 * time.Minute
	}
	if o.MaxRoutes == 0 {
		o.MaxRoutes = 1000
	}
	return o
}

// faults returns the faults of o, defaults included.
func (o *AdaptiveOptions) faults() error {
	var errs []error
	refuse := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf("sampling: NewAdaptive: "+format, args...))
		}
	}
	refuse(o.Share == 0 && o.PerSecond == 0, "no budget: set Share or PerSecond; use shadow.Mirror.SetEnabled(false) to copy nothing")
	refuse(!(o.Share >= 0 && o.Share <= 1), "Share: %v is not a share from 0 to 1", o.Share)
	refuse(!(o.PerSecond >= 0 && o.PerSecond <= math.MaxFloat64), "PerSecond: %v is not a number of copies", o.PerSecond)
	refuse(o.Burst < 0, "Burst: %d is not a positive number", o.Burst)
	refuse(!(o.Floor > 0 && o.Floor <= 1), "Floor: %v is not a share above 0 and up to 1", o.Floor)
	refuse(!(o.Ceiling > 0 && o.Ceiling <= 1), "Ceiling: %v is not a share above 0 and up to 1", o.Ceiling)
	refuse(o.Ceiling < o.Share, "Ceiling: %v is less than Share, %v, which could not be spent", o.Ceiling, o.Share)
	refuse(o.HalfLife < 0, "HalfLife: %v is not a positive time", o.HalfLife)
	refuse(o.MaxRoutes < 0, "MaxRoutes: %d is not a positive number", o.MaxRoutes)
	return errors.Join(errs...)
}

// Adaptive is a Sampler that spends a budget of copies where they find most. Each
// route has a rate of its own, such that the copies of the routes are in proportion to
// their risk, however much traffic they have: a rare route is copied at a higher rate, a
// new one at first at Ceiling. The risk is the share of results, from 0 to 1, that were a
// find: a Mismatch, a Failed, or an answer of the primary with a status, media type or
// place in a JSON body that the route did not have before. As few results prove little, it
// is the upper bound of Wilson's score interval at 95 % (JASA 22, 1927), which is 1 for a
// new route and falls as results come in.
//
// The Mirror reports every result to it, because it is a shadow.Reporter. Result.Stratum is the
// name of the route.
//
// NewAdaptive makes one; the zero value samples nothing and is an error of shadow.New. It is safe
// for concurrent use. Mirrors that share one share its budget.
type Adaptive struct {
	options AdaptiveOptions
	name    func(*http.Request) string // AdaptiveOptions.Route, contained; nil without one
	random  func() uint64
	seed    maphash.Seed // of the hashes of features

	routes atomic.Pointer[map[string]*group] // copied when one is added
	other  group                             // all that do not fit into routes
	floor  atomic.Uint64                     // the least rate, the bits of a float64

	// Copies that may be made until the next account, and those made and requests seen since
	// the last one.
	allowance, spent, asked atomic.Int64

	mu      sync.Mutex // over all from here on and the plan of each route
	budget  *sampling.Budget
	planned time.Time // when the rates were planned
	fresh   int       // results since then
	due     bool      // the budget ran out: plan with the next result, and not while a request waits
}

// NewAdaptive returns an Adaptive with the options o, or an error that lists their faults.
func NewAdaptive(o AdaptiveOptions) (*Adaptive, error) {
	o = o.withDefaults()
	if err := o.faults(); err != nil {
		return nil, err
	}
	s := &Adaptive{options: o, random: o.Random, seed: maphash.MakeSeed()}
	if o.Random == nil {
		s.random = rand.Uint64
	}
	if o.Route != nil {
		s.name = guard.NewFunc("Sampler", o.Route).Call
	}
	s.planned = time.Now()
	s.budget = sampling.NewBudget(o.Share, o.PerSecond, o.Burst, s.planned)
	s.other.name = route.Other
	s.other.plan.features = features{}
	s.other.setRate(o.Ceiling)
	s.routes.Store(&map[string]*group{})
	s.account(s.planned)
	return s, nil
}

// group is a group of requests that are sampled at one rate.
type group struct {
	name string
	seen atomic.Uint64 // requests since the plan
	rate atomic.Uint64 // the bits of a float64

	plan struct { // guarded by the mutex of the sampler
		traffic, results, finds float64 // those of long ago count less
		features                features
	}
}

func (r *group) setRate(p float64) { r.rate.Store(math.Float64bits(p)) }

// account counts what is left of the budget.
func (s *Adaptive) account(now time.Time) {
	s.budget.Account(now, float64(s.asked.Swap(0)), float64(s.spent.Swap(0)))
	s.allowance.Store(int64(s.budget.Left()))
	s.floor.Store(math.Float64bits(min(s.options.Floor*s.budget.Rate(), s.options.Ceiling)))
}

// Fault returns an error for the zero value.
func (s *Adaptive) Fault() error {
	if s.budget == nil {
		return errors.New("sampling: the zero Adaptive samples nothing: use NewAdaptive")
	}
	return nil
}

// Describe describes s to the Mirror.
func (s *Adaptive) Describe() sampling.Description {
	return sampling.Description{Of: s, UserCode: s.options.Random != nil, Foresee: s.foresee}
}

// foresee returns the rate that the route of r has, or would have if it were new.
func (s *Adaptive) foresee(r *http.Request) sampling.Foresight {
	if s.budget == nil {
		return sampling.Chance(0).Foresee("the zero Adaptive")
	}
	name, rate := string(s.appendRoute(nil, r)), s.options.Ceiling
	routes := *s.routes.Load()
	switch at, ok := routes[name]; {
	case ok:
		rate = math.Float64frombits(at.rate.Load())
	case len(routes) >= s.options.MaxRoutes:
		name, rate = s.other.name, math.Float64frombits(s.other.rate.Load())
	}
	return s.chance(rate).Foresee(fmt.Sprintf("Adaptive, route %q,", name))
}

// chance returns the Chance of a request to a route with that rate: the least of all if the
// budget is used up.
func (s *Adaptive) chance(rate float64) sampling.Chance {
	p := math.Float64frombits(s.floor.Load())
	if s.spent.Load() < s.allowance.Load() {
		p = max(p, rate)
	}
	return sampling.NewChance(p)
}

// Sample samples a request with the rate of its route, or with the least rate of all if the
// budget is used up.
func (s *Adaptive) Sample(r *http.Request) shadow.Decision {
	if s.budget == nil {
		return shadow.Decision{}
	}
	at := s.routeOf(r)
	at.seen.Add(1)
	s.asked.Add(1)
	c := s.chance(math.Float64frombits(at.rate.Load()))
	d := shadow.Decision{Probability: c.Probability(), Stratum: at.name}
	if d.Sampled = c.Has(s.random()); d.Sampled && s.spent.Add(1) >= s.allowance.Load() && s.mu.TryLock() {
		s.account(time.Now())
		s.due = true
		s.mu.Unlock()
	}
	return d
}

// routeOf returns the route of r, which may be a new one.
func (s *Adaptive) routeOf(r *http.Request) *group {
	var buf [route.MaxName]byte
	name := s.appendRoute(buf[:0], r)
	if at, ok := (*s.routes.Load())[string(name)]; ok {
		return at
	}
	return s.add(string(name))
}

// appendRoute appends the name of the route of r.
func (s *Adaptive) appendRoute(name []byte, r *http.Request) []byte {
	if s.name != nil {
		name = append(name, s.name(r)...)
		return name[:min(len(name), route.MaxName)]
	}
	name = append(name, route.Method(r.Method, nil)...)
	name = append(name, ' ')
	if r.URL != nil {
		name = route.AppendTemplate(name, r.URL.Path)
	}
	return name[:min(len(name), route.MaxName)]
}

func (s *Adaptive) add(name string) *group {
	if len(*s.routes.Load()) >= s.options.MaxRoutes {
		return &s.other
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	routes := *s.routes.Load()
	if at, ok := routes[name]; ok {
		return at
	}
	if len(routes) >= s.options.MaxRoutes {
		return &s.other
	}
	at := &group{name: name}
	at.plan.features = features{}
	at.setRate(s.options.Ceiling)
	routes = maps.Clone(routes)
	routes[name] = at
	s.routes.Store(&routes)
	return at
}

// Rates returns the rate that each route has now. The routes over MaxRoutes are "(other)". The
// names are those of AdaptiveOptions.Route or of the paths, unmasked: masks belong to a Mirror.
// A result is ignored if masks have changed its Stratum.
func (s *Adaptive) Rates() map[string]float64 {
	if s.budget == nil {
		return nil
	}
	routes := *s.routes.Load()
	rates := make(map[string]float64, len(routes)+1)
	for name, at := range routes {
		rates[name] = math.Float64frombits(at.rate.Load())
	}
	if len(routes) >= s.options.MaxRoutes {
		rates[route.Other] = math.Float64frombits(s.other.rate.Load())
	}
	return rates
}

// Report learns from r. It ignores results of other samplers, whose Stratum it does not know.
func (s *Adaptive) Report(_ context.Context, r *shadow.Result) error {
	if s.budget == nil {
		return nil
	}
	at, ok := (*s.routes.Load())[r.Stratum]
	if !ok {
		if r.Stratum != route.Other {
			return nil
		}
		at = &s.other
	}
	features := s.featuresOf(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	at.plan.results++
	if at.plan.features.take(features) || r.Outcome == shadow.Mismatch || r.Outcome == shadow.Failed {
		at.plan.finds++
	}
	// With many routes one result changes little.
	if s.fresh++; s.due || s.fresh*8 >= len(*s.routes.Load()) || time.Since(s.planned) >= time.Second {
		s.planRates(time.Now())
	}
	return nil
}

// planRates gives each route its rate, in proportion to its risk, such that the budget is spent.
func (s *Adaptive) planRates(now time.Time) {
	keep := math.Exp2(-float64(max(now.Sub(s.planned), 0)) / float64(s.options.HalfLife))
	s.planned, s.fresh, s.due = now, 0, false
	s.account(now)

	list := s.known()
	traffic := 0.0
	groups := make([]sampling.Group, len(list))
	for i, at := range list {
		p := &at.plan
		p.traffic, p.results, p.finds = p.traffic*keep+float64(at.seen.Swap(0)), p.results*keep, p.finds*keep
		traffic += p.traffic
		_, risk := sampling.Wilson(p.finds, p.results, sampling.Z95)
		groups[i] = sampling.Group{Traffic: p.traffic, Weight: risk}
	}
	floor := math.Float64frombits(s.floor.Load())
	sampling.Allocate(groups, sampling.Bounds{Floor: floor, Ceiling: s.options.Ceiling}, s.budget.Urge()*s.budget.Rate()*traffic)
	for i, at := range list {
		at.setRate(groups[i].Rate)
	}
	s.forget()
}

// known lists all routes.
func (s *Adaptive) known() []*group {
	routes := *s.routes.Load()
	list := make([]*group, 0, len(routes)+1)
	for _, at := range routes {
		list = append(list, at)
	}
	return append(list, &s.other)
}

// leastTraffic is that below which a route is forgotten: one request ten half-lives ago.
const leastTraffic = 1.0 / 1024

// forget removes the routes that have been quiet for long.
func (s *Adaptive) forget() {
	routes := *s.routes.Load()
	quiet := func(_ string, at *group) bool { return at.plan.traffic < leastTraffic && at.seen.Load() == 0 }
	for name, at := range routes {
		if quiet(name, at) {
			kept := maps.Clone(routes)
			maps.DeleteFunc(kept, quiet)
			s.routes.Store(&kept)
			return
		}
	}
}
