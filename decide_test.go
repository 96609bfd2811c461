package shadow_test

import (
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/internal/mark"
	"github.com/goshadow/shadow/internal/mirrortest"
	"github.com/goshadow/shadow/sampling"
)

// became serves r and returns the reason it was counted under, empty for a copy.
func became(t testing.TB, m *shadow.Mirror, r *http.Request) shadow.Reason {
	t.Helper()
	before := m.Stats()
	m.Handler(text("ok")).ServeHTTP(httptest.NewRecorder(), r)
	after := m.Stats()
	require.Equal(t, before.Requests+1, after.Requests)
	for reason, n := range after.Skipped {
		if n > before.Skipped[reason] {
			return reason
		}
	}
	for reason, n := range after.Dropped {
		if n > before.Dropped[reason] {
			return reason
		}
	}
	return ""
}

// willCopy reports whether e says that the request is copied.
func willCopy(e shadow.Explanation) bool { return e.Reason == "" && !e.Unknown }

// verdict is what e says: pass, fail or unknown.
func verdict(e shadow.Explanation) string {
	switch {
	case willCopy(e):
		return "pass"
	case e.Unknown:
		return "unknown"
	}
	return "fail"
}

// asked makes a request of a method, with the headers.
func asked(method string, header ...string) *http.Request {
	r := httptest.NewRequest(method, "/orders/1", nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

// What Explain says is what becomes of the request, for every reason that is found before
// the primary runs.
func TestExplainAgreesWithWhatHappens(t *testing.T) {
	seen := map[shadow.Reason]bool{}
	synctest.Test(t, func(t *testing.T) { agrees(t, seen) })
	for reason := range atTheLimits(t) {
		seen[reason] = true
	}
	m, _ := mirror(t, shadow.Target{Name: "v2", Transport: shadow.HandlerTransport(text("ok")), Masker: shadow.DropCredentials()},
		shadow.WithLeakCheck(shadow.LeakCheckOptions{Rate: 1}), allMethods)
	for _, reason := range m.Explain(httptest.NewRequest("POST", "/", io.MultiReader(strings.NewReader("x")))).Later {
		seen[reason] = true
	}
	for reason := range scenarios(shadow.WithTiming(shadow.AfterPrimary)) {
		assert.True(t, seen[reason], "%s: Explain never says it, not even as one that may come later", reason)
	}
}

// agrees runs what is decided by the request and the options, and notes the reasons.
func agrees(t *testing.T, seen map[shadow.Reason]bool) {
	option := func(o ...shadow.Option) shadow.Option { return shadow.Options(o...) }
	sampler := func(s shadow.Sampler) shadow.Option { return shadow.WithSampler(s) }
	with := func(change func(r *http.Request), r *http.Request) *http.Request {
		change(r)
		return r
	}
	key := func(r *http.Request) string { return r.Header.Get("X-User") }
	panics := func(*http.Request) bool { panic("sampler") }
	token := []byte("0123456789abcdef0123456789abcdef")
	for _, c := range []struct {
		name   string
		option shadow.Option
		set    func(m *shadow.Mirror)
		r      *http.Request
		want   shadow.Reason
	}{
		{name: "copied", r: asked("GET")},
		{name: "no method is GET", r: with(func(r *http.Request) { r.Method = "" }, asked("GET"))},
		{name: "switched off", set: func(m *shadow.Mirror) { m.SetEnabled(false) }, r: asked("POST"), want: shadow.ReasonDisabled},
		{name: "closed", set: func(m *shadow.Mirror) { m.SetEnabled(false); m.Close() }, r: asked("GET"), want: shadow.ReasonShutDown},
		{name: "method", r: asked("POST"), want: shadow.ReasonMethod},
		{name: "another method", option: shadow.WithMethods("POST"), r: asked("GET"), want: shadow.ReasonMethod},
		{name: "rate 0", option: sampler(shadow.Rate(0)), r: asked("GET"), want: shadow.ReasonNotSampled},
		{name: "rate 1", option: sampler(shadow.Rate(1)), r: asked("GET")},
		{name: "rate variable 0", option: sampler(new(shadow.RateVar)), r: asked("GET"), want: shadow.ReasonNotSampled},
		{name: "no token for a second", option: sampler(shadow.PerSecond(0, 1)), r: asked("GET"), want: shadow.ReasonNotSampled},
		{name: "a token", option: sampler(shadow.PerSecond(1e-9, 1)), r: asked("GET")},
		{name: "key", option: sampler(shadow.ByKey(1, key)), r: asked("GET", "X-User", "ann")},
		{name: "no key", option: sampler(shadow.ByKey(1, key)), r: asked("GET"), want: shadow.ReasonNotSampled},
		{name: "key outside", option: sampler(shadow.ByKey(1e-9, key)), r: asked("GET", "X-User", "ann"), want: shadow.ReasonNotSampled},
		{name: "key panics", option: sampler(shadow.ByKey(1, func(*http.Request) string { panic("key") })), r: asked("GET"), want: shadow.ReasonSamplerFailed},
		{name: "when", option: sampler(shadow.When(func(*http.Request) bool { return true })), r: asked("GET")},
		{name: "when not", option: sampler(shadow.When(func(*http.Request) bool { return false })), r: asked("GET"), want: shadow.ReasonNotSampled},
		{name: "when panics", option: sampler(shadow.When(panics)), r: asked("GET"), want: shadow.ReasonSamplerFailed},
		{name: "forced", option: sampler(newForce(token)), r: asked("GET", "Shadow-Force", sampling.ForceToken(token, time.Now().Add(time.Hour)))},
		{name: "not forced", option: sampler(newForce(token)), r: asked("GET", "Shadow-Force", "1.1"), want: shadow.ReasonNotSampled},
		{name: "route", option: sampler(shadow.ByRoute(map[string]shadow.Sampler{"GET /orders/{id}": shadow.Rate(1)}, nil)), r: asked("GET")},
		{name: "another route", option: sampler(shadow.ByRoute(map[string]shadow.Sampler{"GET /items": shadow.Rate(1)}, nil)), r: asked("GET"), want: shadow.ReasonNotSampled},
		{name: "no rate of a route", option: sampler(new(shadow.RouteRates)), r: asked("GET"), want: shadow.ReasonNotSampled},
		{name: "all of none", option: sampler(shadow.All()), r: asked("GET")},
		{name: "all", option: sampler(shadow.All(shadow.Rate(1), shadow.ByKey(1, key))), r: asked("GET", "X-User", "ann")},
		{name: "not all", option: sampler(shadow.All(shadow.Rate(1), shadow.Rate(0), shadow.When(panics))), r: asked("GET"), want: shadow.ReasonNotSampled},
		{name: "all and a panic", option: sampler(shadow.All(shadow.Rate(1), shadow.When(panics))), r: asked("GET"), want: shadow.ReasonSamplerFailed},
		{name: "any of none", option: sampler(shadow.Any()), r: asked("GET"), want: shadow.ReasonNotSampled},
		{name: "any", option: sampler(shadow.Any(shadow.Rate(0), shadow.Rate(1), shadow.When(panics))), r: asked("GET")},
		{name: "any of a token and a panic", option: sampler(shadow.Any(shadow.PerSecond(1e-9, 1), shadow.When(panics))), r: asked("GET"), want: shadow.ReasonSamplerFailed},
		{name: "not any", option: sampler(shadow.Any(shadow.Rate(0), shadow.ByKey(1, key))), r: asked("GET"), want: shadow.ReasonNotSampled},
		{name: "in a window", option: sampler(newWindowed(shadow.Rate(0), time.Hour, time.Hour-time.Millisecond)), r: asked("GET"), set: func(*shadow.Mirror) { time.Sleep(time.Millisecond) }},
		{name: "before a window", option: sampler(newWindowed(shadow.Rate(0), time.Hour, time.Minute)), r: asked("GET"), want: shadow.ReasonNotSampled},
		{name: "adaptive, new route", option: sampler(newAdaptive(sampling.AdaptiveOptions{Share: 1})), r: asked("GET")},
		{name: "connect", r: asked("CONNECT"), want: shadow.ReasonMethod},
		{name: "upgrade", r: asked("GET", "Upgrade", "websocket"), want: shadow.ReasonUpgrade},
		{name: "h2c", r: asked("GET", "Upgrade", "h2c")},
		{name: "no URL", r: with(func(r *http.Request) { r.URL = nil }, asked("GET")), want: shadow.ReasonInvalid},
		{name: "asterisk", r: with(func(r *http.Request) { r.RequestURI = "*" }, asked("OPTIONS")), want: shadow.ReasonInvalid},
		{name: "own mark", r: asked("GET", "Shadow-Request", "1"), want: shadow.ReasonLoop},
		{name: "host", r: with(func(r *http.Request) { r.Host = "orders-shadow:80" }, asked("GET")), want: shadow.ReasonLoop},
		{name: "baggage", r: asked("GET", "Baggage", "a=b, shadow=true"), want: shadow.ReasonLoop},
		{name: "another tool", r: asked("GET", "X-Shadow-Traffic", "1"), want: shadow.ReasonLoop},
		{name: "too large", option: option(shadow.WithMaxBody(7), allMethods), r: httptest.NewRequest("POST", "/", strings.NewReader("12345678")), want: shadow.ReasonBodyTooLarge},
		{name: "too large, and from another tool", option: option(shadow.WithMaxBody(7), allMethods), want: shadow.ReasonBodyTooLarge,
			r: with(func(r *http.Request) { r.Header.Set("X-Mirror", "1") }, httptest.NewRequest("POST", "/", strings.NewReader("12345678")))},
		{name: "too large, and a copy", option: option(shadow.WithMaxBody(7), allMethods), want: shadow.ReasonLoop,
			r: with(func(r *http.Request) { r.Header.Set("Shadow-Request", "1") }, httptest.NewRequest("POST", "/", strings.NewReader("12345678")))},
	} {
		if c.option == nil {
			c.option = shadow.Options()
		}
		m, _ := mirror(t, shadow.InProcess("v2", text("ok")), c.option)
		if c.set != nil {
			c.set(m)
		}
		e := m.Explain(c.r)
		assert.Equal(t, c.want, e.Reason, "%s: %v", c.name, e)
		assert.Equal(t, c.want == "", willCopy(e), "%s: %v", c.name, e)
		assert.Zero(t, m.Stats().Requests, "nothing is counted")
		assert.Equal(t, c.want, became(t, m, c.r), "%s: %v", c.name, e)
		seen[c.want] = true
	}
}

// atTheLimits has mirrors stopped by each of their limits and returns those that Explain
// named as the counters did.
func atTheLimits(t *testing.T) map[shadow.Reason]bool {
	agreed := map[shadow.Reason]bool{}
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(-1))
	withMemoryLimit(1 << 40)
	ok := shadow.InProcess("v2", text("ok"))
	for reason, c := range map[shadow.Reason]struct {
		target shadow.Target
		option shadow.Option
	}{
		shadow.ReasonBudget:      {ok, shadow.WithBudget(shadow.Budget{Window: time.Hour, Requests: 1})},
		shadow.ReasonBreakerOpen: {failingWith(io.EOF), shadow.WithBreaker(shadow.BreakerOptions{Min: 1})},
		shadow.ReasonOverload:    {ok, anyHeap},
		shadow.ReasonOverhead: {ok, shadow.Options(shadow.WithOverhead(shadow.OverheadOptions{Min: 1}),
			shadow.WithRoute(func(*http.Request) string { time.Sleep(time.Second); return "/" }))},
	} {
		inBubbleAsIs(t, text("ok"), c.target, func(t *testing.T, l *limited) {
			for n := 0; counted(l.Mirror, reason) == 0 && n < 1000; n++ {
				assert.Empty(t, l.Explain(asked("GET")).Reason, "%s: not yet", reason)
				l.Ask(1)
				if counted(l.Mirror, reason) == 0 {
					l.Pass(100 * time.Millisecond)
				}
				if e := l.Explain(asked("GET")); e.Reason != "" {
					assert.Equal(t, reason, e.Reason)
					assert.Equal(t, reason, became(t, l.Mirror, asked("GET")))
					agreed[reason] = true
					return
				}
			}
			t.Errorf("%s never happened", reason)
		}, c.option)
	}
	return agreed
}

func TestExplainTellsThatThereIsNoRoom(t *testing.T) {
	post := func() *http.Request {
		return httptest.NewRequest("POST", "/", strings.NewReader(strings.Repeat("x", 40<<10)))
	}
	for reason, c := range map[shadow.Reason]struct {
		queue int
		r     func() *http.Request
	}{
		shadow.ReasonQueueFull: {1, func() *http.Request { return asked("GET") }},
		shadow.ReasonBytesFull: {100, post},
	} {
		g := newGate()
		m, _ := mirror(t, shadow.InProcess("v2", g), allMethods, shadow.WithConcurrency(1), shadow.WithQueue(c.queue, 64<<10))
		for n := 0; willCopy(m.Explain(c.r())) && n < 10; n++ {
			m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
			})).ServeHTTP(httptest.NewRecorder(), c.r())
		}
		assert.Equal(t, reason, m.Explain(c.r()).Reason)
		assert.Equal(t, reason, became(t, m, c.r()))
		close(g.Open)
	}
}

// Where a Sampler draws, Explain tells with which probability, and cannot tell more.
func TestExplainTellsTheProbabilityOfASampler(t *testing.T) {
	user := func(r *http.Request) string { return r.Header.Get("X-User") }
	rates := new(shadow.RouteRates)
	require.NoError(t, rates.Set("/orders/", 0.25))
	for _, c := range []struct {
		sampler shadow.Sampler
		verdict string
		p       float64
	}{
		{shadow.Rate(0.5), "unknown", 0.5},
		{rates, "unknown", 0.25},
		{shadow.All(shadow.Rate(0.5), shadow.Rate(0.5)), "unknown", 0.25},
		{shadow.All(shadow.Rate(0.5), shadow.Rate(0)), "fail", 0},
		{shadow.All(shadow.Rate(0.5), shadow.PerSecond(1e-9, 1)), "unknown", 0},
		{shadow.All(shadow.Rate(0.5), shadow.ByKey(1, user)), "unknown", 0.5},
		{shadow.All(shadow.ByKey(1, user), shadow.ByKey(1, user)), "pass", 0},
		{shadow.Any(shadow.Rate(0.5), shadow.Rate(0.5)), "unknown", 0.75},
		{shadow.Any(shadow.ByKey(1, user), shadow.ByKey(1, user)), "pass", 1},
		{shadow.Any(shadow.Rate(0.5), shadow.When(func(*http.Request) bool { return true })), "pass", 1},
		{shadow.Any(shadow.PerSecond(1e-9, 1), shadow.Rate(0.5)), "pass", 0},
		{newWindowed(shadow.Rate(0.5), time.Hour, time.Minute), "unknown", 0.5},
		{newAdaptive(sampling.AdaptiveOptions{Share: 0.1, Ceiling: 0.5}), "unknown", 0.5},
		{shadow.SamplerFunc(func(*http.Request) bool { return true }), "unknown", 0},
	} {
		m, _ := mirror(t, shadow.InProcess("v2", text("ok")), shadow.WithSampler(c.sampler))
		e := m.Explain(asked("GET", "X-User", "ann"))
		assert.Equal(t, c.verdict, verdict(e), e)
		assert.InDelta(t, c.p, e.Probability, 1e-12, e)
		_, err := json.Marshal(e)
		assert.NoError(t, err)
	}
}

// What is certain is certain: whatever tree of samplers there is, a pass is a copy, a fail is
// none, and a probability is that which the sampler tells.
func TestExplainIsNeverWrongAboutATreeOfSamplers(t *testing.T) {
	synctest.Test(t, neverWrong)
}

func neverWrong(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var tree func(depth int) shadow.Sampler
	tree = func(depth int) shadow.Sampler {
		kinds := 8
		if depth == 0 {
			kinds = 5
		}
		list := func() (s []shadow.Sampler) {
			for range rnd.IntN(4) {
				s = append(s, tree(depth-1))
			}
			return s
		}
		user := func(r *http.Request) string { return r.Header.Get("X-User") }
		is := rnd.IntN(2) == 0
		switch rnd.IntN(kinds) {
		case 0:
			return shadow.Rate([]float64{0, 0.5, 1}[rnd.IntN(3)])
		case 1:
			return shadow.When(func(*http.Request) bool { return is })
		case 2:
			return shadow.ByKey(rnd.Float64(), user)
		case 3:
			return shadow.PerSecond(1e-9, rnd.IntN(2))
		case 4:
			return newWindowed(shadow.Rate(0.5), time.Hour, []time.Duration{time.Minute, time.Hour - time.Millisecond}[rnd.IntN(2)])
		case 5:
			return shadow.All(list()...)
		case 6:
			return shadow.Any(list()...)
		default:
			return shadow.ByRoute(map[string]shadow.Sampler{"/orders/": tree(depth - 1), "POST /items": tree(depth - 1)}, tree(depth-1))
		}
	}
	verdicts := map[string]int{}
	for range 3000 {
		s := tree(3)
		time.Sleep(30 * time.Minute) // in the long windows, out of the short ones
		m, _ := mirror(t, shadow.InProcess("v2", text("ok")), shadow.WithSampler(s))
		r := asked("GET", "X-User", "ann")
		e := m.Explain(r)
		again := m.Explain(r)
		require.Equal(t, e, again, "it changed something")
		verdicts[verdict(e)]++
		drawn := s.Sample(r)
		switch verdict(e) {
		case "pass":
			require.True(t, drawn.Sampled, e)
		case "fail":
			require.False(t, drawn.Sampled, e)
		}
		if e.Probability != 0 && drawn.Probability != 0 {
			require.InDelta(t, drawn.Probability, e.Probability, 1e-12, e)
		}
	}
	for _, v := range []string{"pass", "fail", "unknown"} {
		assert.Greater(t, verdicts[v], 100, v)
	}
}

func TestExplainChangesNothing(t *testing.T) {
	limiter := shadow.PerSecond(1e-9, 1)
	adaptive := newAdaptive(sampling.AdaptiveOptions{Share: 0.5, Ceiling: 0.5})
	var calls atomic.Int64
	own := shadow.SamplerFunc(func(*http.Request) bool { calls.Add(1); return true })
	for _, s := range []shadow.Sampler{limiter, adaptive, own} {
		m, _ := mirror(t, shadow.InProcess("v2", text("ok")), shadow.WithSampler(s), allMethods)
		body := strings.NewReader("12345678")
		r := httptest.NewRequest("POST", "/orders/1", body)
		header := r.Header.Clone()
		for range 100 {
			m.Explain(r)
		}
		assert.Equal(t, 8, body.Len(), "the body is not read")
		assert.Equal(t, header, r.Header)
		assert.Zero(t, m.Stats().Requests)
	}
	assert.True(t, limiter.Sample(asked("GET")).Sampled, "the token is still there")
	assert.Empty(t, adaptive.Rates(), "no route became known")
	assert.Zero(t, calls.Load(), "a Sampler of the user's own is not asked")
}

func TestAnExplanationIsReadable(t *testing.T) {
	m, _ := mirror(t, shadow.InProcess("v2", text("ok")), shadow.WithSampler(shadow.All(
		shadow.ByRoute(map[string]shadow.Sampler{"GET /orders/": shadow.Rate(0.5)}, nil), shadow.PerSecond(1e-9, 5))))
	assert.Equal(t, `may be copied
pass     return: it is no copy of this mirror
pass     running: neither Shutdown nor Close was called
pass     enabled: on
pass     method: GET is one of GET, HEAD, OPTIONS
unknown  sampler: All(the rule for "GET /orders/": Rate draws with probability 0.5; PerSecond has 5 tokens now)
pass     budget: not used up
pass     breaker: closed or half-open
pass     overhead: within its limit
pass     overload: none that stops all copies
pass     queue: it had room for the copy before
pass     override: it asks to be treated as no other method, or as one that is copied
pass     upgrade: it stays with HTTP
pass     resource: it has a URL
pass     loop: it is no shadow copy
pass     body: none
pass     room: there is room for 67108864 bytes now: see WithQueue
pass     marks: no other mark of a shadow copy`, m.Explain(asked("GET")).String())

	e := m.Explain(httptest.NewRequest("POST", "/", failingReader{}))
	assert.Equal(t, "not copied: method", strings.SplitN(e.String(), "\n", 2)[0])
	assert.Contains(t, e.String(), "unknown  body: its length is not known; at most 1048576 bytes are kept")
	assert.Empty(t, e.Later, "nothing comes later")
}

// What Explain says and what becomes of a request never differ: both ask the same checks in the
// same order.
func TestExplainAgreesAboutRandomRequests(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	one := func(list ...string) string { return list[rnd.IntN(len(list))] }
	seen := map[shadow.Reason]int{}
	for _, s := range []shadow.Sampler{shadow.Rate(1), shadow.Rate(0), shadow.When(func(r *http.Request) bool { return r.Header.Get("X-User") != "" })} {
		m, _ := mirrortest.New(t, mirrortest.Candidate(), shadow.WithSampler(s), shadow.WithMaxBody(7), shadow.WithMethods("GET", "POST", "OPTIONS"))
		for range 3000 {
			r := httptest.NewRequest("GET", "/orders/1", strings.NewReader("12345678"[:rnd.IntN(9)]))
			r.Method = one("", "GET", "POST", "OPTIONS", "PUT", "CONNECT")
			for _, field := range []string{"Upgrade: h2c", "Upgrade: websocket", "Shadow-Request: 1", "Baggage: shadow=true", "X-Mirror: 1", "X-Shadow-Traffic: 1",
				"X-Http-Method-Override: PUT", "X-Http-Method-Override: GET", "X-User: ann", "X-User: ann"} {
				if name, value, _ := strings.Cut(field, ": "); rnd.IntN(12) == 0 {
					r.Header.Add(name, value)
				}
			}
			switch rnd.IntN(20) {
			case 0:
				r.URL = nil
			case 1:
				r.URL.Opaque = "orders"
			case 2:
				r.RequestURI = "*"
			case 3:
				r.Host = "orders-shadow"
			case 4:
				r.ContentLength = -1
			}
			e := m.Explain(r)
			got := became(t, m, r)
			if e.Reason != "" || got == "" {
				require.Equal(t, e.Reason, got, "%v", e)
			} else {
				require.Contains(t, e.Later, got, "%v", e)
			}
			seen[e.Reason]++
		}
	}
	for _, reason := range []shadow.Reason{"", shadow.ReasonMethod, shadow.ReasonNotSampled, shadow.ReasonUpgrade, shadow.ReasonInvalid, shadow.ReasonLoop, shadow.ReasonBodyTooLarge} {
		assert.Greater(t, seen[reason], 20, reason)
	}
}

// brokenContext is a context of the user's that panics in the method of that name, and in Value only
// for the keys of which broken is true.
type brokenContext struct {
	context.Context
	method string
	broken func(key any) bool
}

func (c brokenContext) breaks(method string) {
	if c.method == method {
		panic("secret")
	}
}

func (c brokenContext) Value(key any) any {
	if c.broken(key) {
		c.breaks("Value")
	}
	return c.Context.Value(key)
}

func (c brokenContext) Err() error            { c.breaks("Err"); return c.Context.Err() }
func (c brokenContext) Done() <-chan struct{} { c.breaks("Done"); return c.Context.Done() }

// A request whose context panics is served as if there was no Mirror. It is not copied where what
// the context would have said is needed for that.
func TestAContextThatPanicsDoesNotBreakTheRequest(t *testing.T) {
	type key struct{}
	ofMark := func(key any) bool { return key == mark.Key }
	noMark := func(key any) bool { return key != mark.Key }
	keyed := shadow.WithContextKeys(key{})
	partly := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "3")
		w.WriteHeader(200)
		io.WriteString(w, "ok")
	})
	for name, c := range map[string]struct {
		ctx       brokenContext
		opt       shadow.Option
		served    shadow.Reason // by a handler that does not answer to the end
		called    shadow.Reason // by a RoundTripper
		explained bool
	}{
		"mark":    {brokenContext{nil, "Value", ofMark}, shadow.WithName("m"), shadow.ReasonInvalid, shadow.ReasonInvalid, true},
		"key":     {brokenContext{nil, "Value", noMark}, keyed, shadow.ReasonInvalid, shadow.ReasonInvalid, false},
		"span":    {brokenContext{nil, "Value", noMark}, shadow.WithTracerProvider(noop.NewTracerProvider()), shadow.ReasonInvalid, shadow.ReasonInvalid, false},
		"err":     {brokenContext{nil, "Err", noMark}, keyed, shadow.ReasonClientGone, "", false},
		"done":    {brokenContext{nil, "Done", noMark}, keyed, shadow.ReasonPrimaryIncomplete, "", false},
		"nothing": {brokenContext{nil, "", noMark}, keyed, shadow.ReasonPrimaryIncomplete, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, 1))
			defer cancel()
			c.ctx.Context = ctx
			m, _ := mirror(t, candidate(), c.opt)
			r := asked("GET").WithContext(c.ctx)
			e := m.Explain(r)
			assert.Equal(t, c.explained, e.Reason == shadow.ReasonInvalid, e)
			assert.Equal(t, c.explained, strings.Contains(e.String(), "its context panics"), e)
			assert.NotContains(t, e.String(), "secret")

			w := httptest.NewRecorder()
			assert.NotPanics(t, func() { m.Handler(partly).ServeHTTP(w, r) })
			assert.Equal(t, "ok", w.Body.String())
			assert.EqualValues(t, 1, m.Stats().Skipped[c.served], m.Stats().Skipped)

			skipped := m.Stats().Skipped[c.called]
			rt := m.Transport(roundTripper(func(*http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("ok"))}, nil
			}))
			assert.NotPanics(t, func() {
				resp, err := rt.RoundTrip(r)
				require.NoError(t, err)
				body, err := io.ReadAll(resp.Body)
				assert.NoError(t, err)
				assert.NoError(t, resp.Body.Close())
				assert.Equal(t, "ok", string(body))
			})
			if c.called != "" {
				assert.Equal(t, skipped+1, m.Stats().Skipped[c.called])
			} else {
				assert.Empty(t, m.Stats().Skipped[shadow.ReasonInvalid])
			}
			assert.EqualValues(t, 2, m.Stats().Requests)
		})
	}
}
