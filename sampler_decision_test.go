package shadow_test

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/sampling"
)

// secret is a key of Force.
var secret = []byte("0123456789abcdef0123456789abcdef")

func forced() *http.Request {
	r := get()
	r.Header.Set("Shadow-Force", sampling.ForceToken(secret, time.Now().Add(time.Hour)))
	return r
}

// newForce, newAdaptive and newWindowed are the constructors of package sampling, of arguments
// that are not wrong.
func newForce(keys ...[]byte) *sampling.Force { return must(sampling.NewForce(keys...)) }

func newAdaptive(o sampling.AdaptiveOptions) *sampling.Adaptive { return must(sampling.NewAdaptive(o)) }

func newWindowed(s shadow.Sampler, every, length time.Duration) *sampling.Windowed {
	return must(sampling.NewWindowed(s, every, length))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// unknown stands for a probability that cannot be told.
const unknown = -1

// A sampler that tells a probability samples that share of requests like this one: the
// first promise of an unbiased estimate.
func TestWhatIsToldIsTheShareThatIsSampled(t *testing.T) {
	yes := shadow.When(func(*http.Request) bool { return true })
	no := shadow.When(func(*http.Request) bool { return false })
	rate := func(p float64) shadow.Sampler { return shadow.Rate(p) }
	key := 0
	byKey := func(p float64) shadow.Sampler {
		return shadow.ByKey(p, func(*http.Request) string { key++; return strconv.Itoa(key) })
	}
	variable := new(shadow.RateVar)
	variable.Set(0.3)
	routes := new(shadow.RouteRates)
	require.NoError(t, routes.Set("GET /", 0.3))
	some := shadow.SamplerFunc(func(*http.Request) bool { key++; return key%2 == 0 })
	limited := shadow.PerSecond(math.MaxFloat64, math.MaxInt32)

	for name, c := range map[string]struct {
		s    shadow.Sampler
		r    *http.Request
		want float64
	}{
		"Rate":                          {rate(0.3), get(), 0.3},
		"RateVar":                       {variable, get(), 0.3},
		"RouteRates":                    {routes, get(), 0.3},
		"RouteRates, no such":           {routes, httptest.NewRequest("PUT", "/", nil), 0},
		"ByKey":                         {byKey(0.3), get(), 0.3},
		"ByKey without a key":           {shadow.ByKey(0.3, byHeader), get(), 0},
		"When":                          {yes, get(), 1},
		"When not":                      {no, get(), 0},
		"Force":                         {newForce(secret), forced(), 1},
		"Force without a token":         {newForce(secret), get(), 0},
		"ByRoute":                       {shadow.ByRoute(map[string]shadow.Sampler{"/": rate(0.3)}, nil), get(), 0.3},
		"ByRoute, otherwise":            {shadow.ByRoute(nil, rate(0.3)), get(), 0.3},
		"ByRoute, none":                 {shadow.ByRoute(nil, nil), get(), 0},
		"Windowed, outside":             {newWindowed(rate(0.3), time.Hour, time.Millisecond), get(), 0.3},
		"Windowed, within":              {newWindowed(rate(0.3), 1<<62, 1<<62-1), get(), 1},
		"All of none":                   {shadow.All(), get(), 1},
		"All":                           {shadow.All(rate(0.5), rate(0.6)), get(), 0.3},
		"All, with a key":               {shadow.All(byKey(0.5), rate(0.6)), get(), 0.3},
		"All, certain":                  {shadow.All(yes, rate(0.3), yes), get(), 0.3},
		"All, never":                    {shadow.All(no, rate(0.3)), get(), 0},
		"All, never after others":       {shadow.All(rate(0.3), no), get(), 0},
		"Any of none":                   {shadow.Any(), get(), 0},
		"Any":                           {shadow.Any(rate(0.2), rate(0.5)), get(), 0.6},
		"Any, with a key":               {shadow.Any(byKey(0.2), rate(0.5)), get(), 0.6},
		"Any, certain":                  {shadow.Any(yes, rate(0.3)), get(), 1},
		"Any, certain at the end":       {shadow.Any(rate(0.3), yes), get(), 1},
		"Any, forced":                   {shadow.Any(newForce(secret), rate(0.3)), forced(), 1},
		"Any, not forced":               {shadow.Any(newForce(secret), rate(0.3)), get(), 0.3},
		"All of Any":                    {shadow.All(shadow.Any(rate(0.2), rate(0.5)), rate(0.5)), get(), 0.3},
		"Any of All":                    {shadow.Any(shadow.All(yes, rate(0.2)), rate(0.5)), get(), 0.6},
		"Any of All, not first":         {shadow.Any(rate(0.5), shadow.All(yes, rate(0.2))), get(), 0.6},
		"Any of All that says no":       {shadow.Any(shadow.All(no, rate(0.2)), rate(0.6)), get(), 0.6},
		"one of the user's own":         {shadow.All(odds(0.5), rate(0.6)), get(), 0.3},
		"Any, one of the user's":        {shadow.Any(odds(0.2), rate(0.5)), get(), 0.6},
		"Any, one of the user's behind": {shadow.Any(rate(0.5), odds(0.2)), get(), 0.6},

		// A Sampler of the user's that says no with a probability of 0 does not know it, or is certain.
		"one of the user's that knows nothing":         {shadow.Any(told{}, rate(0.5)), get(), unknown},
		"one of the user's that knows nothing, behind": {shadow.Any(rate(0.5), told{}), get(), unknown},

		"SamplerFunc":                    {some, get(), unknown},
		"PerSecond":                      {limited, get(), unknown},
		"ByRoute of one that is unknown": {shadow.ByRoute(nil, some), get(), unknown},
		"Windowed of one":                {newWindowed(some, time.Hour, time.Millisecond), get(), unknown},
		"All with one":                   {shadow.All(rate(0.5), limited), get(), unknown},
		"All with one first":             {shadow.All(some, rate(0.5)), get(), unknown},
		"All with one, never":            {shadow.All(no, some), get(), 0},
		"Any with one":                   {shadow.Any(rate(0.5), some), get(), unknown},
		"Any with one first":             {shadow.Any(some, rate(0.5)), get(), unknown},
		"Any with one, certain":          {shadow.Any(some, yes), get(), 1},
		"Any with one, certain first":    {shadow.Any(yes, some), get(), 1},
		"All with two keys":              {shadow.All(byKey(0.5), byKey(0.5)), get(), unknown},
		"Any with two keys":              {shadow.Any(byKey(0.5), rate(0.1), shadow.All(byKey(0.5))), get(), unknown},
		// What All would have said of those behind a no is not known.
		"Any of All that draws twice": {shadow.Any(shadow.All(rate(0.5), rate(0.5)), rate(0.5)), get(), unknown},
	} {
		t.Run(name, func(t *testing.T) {
			for range 3 { // a share that is right is outside of its band once in 370 times
				const n = 20_000
				sampled := 0
				for range n {
					d := c.s.Sample(c.r)
					if d.Sampled {
						sampled++
					}
					if c.want == unknown {
						if d.Probability != 0 {
							t.Fatalf("%+v where nothing can be told", d)
						}
					} else if d.Sampled || c.want == 0 || c.want == 1 {
						if math.Abs(d.Probability-c.want) > 1e-12 {
							t.Fatalf("%+v where %v is right", d, c.want)
						}
					}
				}
				switch {
				case c.want == unknown:
					return
				case c.want == 0 || c.want == 1:
					assert.Equal(t, c.want, float64(sampled)/n)
					return
				case deviations(sampled, n, c.want) <= 3:
					return
				}
			}
			t.Errorf("not the share %v", c.want)
		})
	}
}

// odds is a Sampler of a user's own.
type odds float64

func (p odds) Sample(*http.Request) shadow.Decision {
	return shadow.Decision{Sampled: shadow.Rate(float64(p)).Sample(nil).Sampled, Probability: float64(p)}
}

// told is a Sampler that gives one answer.
type told shadow.Decision

func (d told) Sample(*http.Request) shadow.Decision { return shadow.Decision(d) }

func TestAResultCarriesTheProbabilityOfItsRequest(t *testing.T) {
	for name, c := range map[string]struct {
		options []shadow.Option
		want    float64
	}{
		"no sampler":     {nil, 1},
		"Rate":           {[]shadow.Option{shadow.WithSampler(shadow.Rate(1))}, 1},
		"RateVar":        {[]shadow.Option{shadow.WithSampler(rateVar(1))}, 1},
		"user's":         {[]shadow.Option{shadow.WithSampler(told{Sampled: true, Probability: 0.25})}, 0.25},
		"in a composite": {[]shadow.Option{shadow.WithSampler(shadow.All(shadow.Rate(1), told{Sampled: true, Probability: 0.25}))}, 0.25},
		"not known":      {[]shadow.Option{shadow.WithSampler(shadow.PerSecond(1, 2))}, 0},
		"NaN":            {[]shadow.Option{shadow.WithSampler(told{Sampled: true, Probability: math.NaN()})}, 0},
		"impossible":     {[]shadow.Option{shadow.WithSampler(told{Sampled: true})}, 0},
		"less than that": {[]shadow.Option{shadow.WithSampler(told{Sampled: true, Probability: -1})}, 0},
		"more than 1":    {[]shadow.Option{shadow.WithSampler(told{Sampled: true, Probability: 1.5})}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			for _, kind := range []string{"handler", "transport"} {
				m, results := mirror(t, candidate(), c.options...)
				if kind == "handler" {
					m.Handler(ok).ServeHTTP(httptest.NewRecorder(), get())
				} else {
					answer := &http.Response{StatusCode: 200, Body: http.NoBody}
					_, err := m.Transport(roundTripper(func(*http.Request) (*http.Response, error) { return answer, nil })).RoundTrip(get())
					require.NoError(t, err)
				}
				require.NoError(t, m.Shutdown(t.Context()))
				require.Len(t, results.All(), 1)
				assert.Equal(t, c.want, results.All()[0].Probability, kind)
			}
		})
	}
}

func rateVar(p float64) *shadow.RateVar {
	v := new(shadow.RateVar)
	v.Set(p)
	return v
}

// The stratum of a composite is that of the first of its samplers that has one.
func TestAResultCarriesItsStratum(t *testing.T) {
	a, b := told{Sampled: true, Probability: 0.5, Stratum: "a"}, told{Probability: 0.5, Stratum: "b"}
	always := shadow.Rate(1)
	for _, c := range []struct {
		s    shadow.Sampler
		want string
	}{
		{always, ""}, {a, "a"},
		{shadow.All(always, a), "a"}, {shadow.Any(b, a), "b"}, {shadow.Any(a, b), "a"},
		{shadow.Any(shadow.Rate(0), a, always), "a"},
		{newWindowed(a, time.Hour, time.Second), "a"}, {shadow.ByRoute(nil, a), "a"},
	} {
		m, results := mirror(t, candidate(), shadow.WithSampler(c.s))
		m.Handler(ok).ServeHTTP(httptest.NewRecorder(), get())
		require.NoError(t, m.Shutdown(t.Context()))
		require.Len(t, results.All(), 1)
		assert.Equal(t, c.want, results.All()[0].Stratum)
	}
}

// Those behind the first yes of an Any are asked for their probability, but never one that
// has none to tell: that would spend what it has.
func TestAnyAsksNobodyInVain(t *testing.T) {
	limited := shadow.PerSecond(1e-9, 1)
	first := rateVar(1)
	s := shadow.Any(shadow.Any(shadow.Rate(0), told{Sampled: true, Probability: 0.5}), shadow.All(shadow.When(func(*http.Request) bool { return true }), limited))
	for range 100 {
		assert.Equal(t, shadow.Decision{Sampled: true}, s.Sample(get()))
	}
	assert.True(t, limited.Sample(get()).Sampled, "its token is still there")

	asked := 0
	counts := shadow.When(func(*http.Request) bool { asked++; return false })
	assert.Equal(t, shadow.Decision{Sampled: true, Probability: 1}, shadow.Any(first, counts).Sample(get()))
	assert.Zero(t, asked, "certain already")
	first.Set(0.5)
	assert.Equal(t, 0.5, shadow.Any(first, counts).Sample(get()).Probability)
	assert.Equal(t, 1, asked)
	first.Set(0)
	assert.Equal(t, shadow.Decision{}, shadow.All(first, counts).Sample(get()))
	assert.Equal(t, 1, asked, "All stops")
}

func TestAPredicateThatPanicsSamplesNothing(t *testing.T) {
	panics := func(*http.Request) bool { panic("secret") }
	for name, s := range map[string]shadow.Sampler{
		"When":           shadow.When(panics),
		"in a composite": shadow.All(shadow.Rate(1), shadow.Any(shadow.Rate(0), shadow.When(panics))),
		"behind a yes":   shadow.Any(told{Sampled: true, Probability: 0.5}, shadow.When(panics)),
		"in a window":    newWindowed(shadow.When(panics), 1<<62, 1<<62-1),
		"route": newAdaptive(sampling.AdaptiveOptions{Share: 1,
			Route: func(r *http.Request) string { panic("secret") }}),
	} {
		m, results := mirror(t, candidate(), shadow.WithSampler(s))
		m.Handler(ok).ServeHTTP(httptest.NewRecorder(), get())
		require.NoError(t, m.Shutdown(t.Context()))
		assert.Equal(t, map[string]uint64{"sampler-failed": 1}, ledger(t, m), name)
		assert.Empty(t, results.All())
	}
}

func TestRouteRates(t *testing.T) {
	var v shadow.RouteRates
	at := func(method, path string) bool { return v.Sample(httptest.NewRequest(method, path, nil)).Sampled }
	assert.False(t, at("GET", "/"), "nothing, at first")
	assert.Zero(t, v.Get("/"))

	require.NoError(t, v.Set("/", 0))
	require.NoError(t, v.Set("/orders/{id}", 1))
	require.NoError(t, v.Set("GET /orders/7", 0))
	assert.False(t, at("GET", "/health"))
	assert.True(t, at("GET", "/orders/8"))
	assert.False(t, at("GET", "/orders/7"))
	assert.True(t, at("PUT", "/orders/7"))

	require.NoError(t, v.Set("/", 1))
	require.NoError(t, v.Set("/orders/{id}", 0))
	assert.True(t, at("GET", "/health"))
	assert.False(t, at("GET", "/orders/8"))
	assert.Equal(t, 1.0, v.Get("/"))
	assert.Zero(t, v.Get("/orders/{id}"))
	assert.Zero(t, v.Get("/orders/8"), "that is no pattern")

	for pattern, want := range map[string]string{
		"":          "invalid pattern",
		"orders":    "host/path missing /",
		"/orders/{": "bad wildcard segment",
		"/{x}/7":    "conflicts with",
	} {
		err := v.Set(pattern, 1)
		assert.ErrorContains(t, err, "shadow: RouteRates: ", pattern)
		assert.ErrorContains(t, err, want, pattern)
	}
	assert.True(t, at("GET", "/health"), "what is wrong has changed nothing")
	assert.False(t, at("GET", "/orders/8"))
	require.NoError(t, v.Set("/new", 0.25))
	isFractionOf(t, &v, httptest.NewRequest("GET", "/new", nil), 0.25)
}

// isFractionOf is isFraction for requests like r.
func isFractionOf(t *testing.T, s shadow.Sampler, r *http.Request, p float64) {
	t.Helper()
	isFraction(t, shadow.SamplerFunc(func(*http.Request) bool { return s.Sample(r).Sampled }), p)
}

func TestRouteRatesMayBeSetWhileTheySample(t *testing.T) {
	var v shadow.RouteRates
	require.NoError(t, v.Set("/", 1))
	done := make(chan error)
	go func() {
		var errs []error
		for i := range 200 {
			errs = append(errs, v.Set(fmt.Sprintf("/%d", i%50), 0))
		}
		done <- errors.Join(errs...)
	}()
	r := httptest.NewRequest("GET", "/other", nil)
	for {
		select {
		case err := <-done:
			require.NoError(t, err)
			assert.False(t, v.Sample(httptest.NewRequest("GET", "/49", nil)).Sampled)
			return
		default:
			if !v.Sample(r).Sampled {
				t.Fatal("the rate of another route has changed")
			}
		}
	}
}
