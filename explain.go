package shadow

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/goshadow/shadow/internal/limit"
	"github.com/goshadow/shadow/internal/mark"
	"github.com/goshadow/shadow/internal/methods"
)

// Verdict is what came of one step of an Explanation, or of one item of a CheckReport.
type Verdict string

// The verdicts.
const (
	VerdictPass    Verdict = "pass"
	VerdictFail    Verdict = "fail"
	VerdictUnknown Verdict = "unknown" // it cannot be told from here
)

// Explanation is what a Mirror decides about a request before the primary runs. It is plain
// data and holds no value of the request but its method, its length and names of routes.
type Explanation struct {
	// Verdict is VerdictPass where the request is going to be copied if nothing of Later
	// comes in between, VerdictFail where it is not, and VerdictUnknown where that is drawn
	// when it comes, or is for a Sampler to say that cannot be asked without being changed.
	Verdict Verdict `json:"verdict"`
	// Reason is that of the first step that fails. A step before it that is unknown may stop
	// the request under a reason of its own.
	Reason Reason `json:"reason,omitempty"`
	// Probability is that with which a request like this one is sampled; nil where it is not
	// known.
	Probability *float64 `json:"probability,omitempty"`
	// Steps are what is asked, in the order in which the first one that fails decides. The
	// steps after it are explained all the same.
	Steps []Step `json:"steps"`
	// Later is what can come in between while the primary runs and after it: what it does
	// with the request, what it answers, and what limits are reached by then.
	Later []Reason `json:"later,omitempty"`
}

// Step is one question of an Explanation.
type Step struct {
	Name    string  `json:"name"`
	Verdict Verdict `json:"verdict"`
	Reason  Reason  `json:"reason"` // under which a request is counted that fails here
	Text    string  `json:"text"`   // what was looked at
}

// String describes e in a line and one for each step.
func (e Explanation) String() string {
	var text strings.Builder
	switch e.Verdict {
	case VerdictPass:
		text.WriteString("copied")
	case VerdictFail:
		fmt.Fprintf(&text, "not copied: %s", e.Reason)
	default:
		text.WriteString("may be copied")
	}
	if e.Probability != nil && e.Verdict != VerdictFail {
		fmt.Fprintf(&text, " (sampled with probability %.4g)", *e.Probability)
	}
	for _, s := range e.Steps {
		fmt.Fprintf(&text, "\n%-7s  %s: %s", s.Verdict, s.Name, s.Text)
	}
	return text.String()
}

// Explain says what the Mirror would decide about r now, step by step, and why. Nothing is
// sent or counted and r is not changed; its body is not read. It runs user code, that of
// ByKey, When and AdaptiveOptions.Route, and is made for people, not for every request.
//
// Samplers are asked only where that changes nothing: of one that draws Explain tells the
// probability, of PerSecond whether it has a token now, and SamplerFunc and Samplers of
// other packages are not asked at all.
func (m *Mirror) Explain(r *http.Request) Explanation {
	m.mustExist("Explain")
	var e Explanation
	step := func(name string, w code, v Verdict, format string, args ...any) {
		e.Steps = append(e.Steps, Step{name, v, codes[w].name, fmt.Sprintf(format, args...)})
	}
	// unless adds a step that fails if what is wrong is.
	unless := func(wrong bool, name string, w code, fine, fault string) {
		if wrong {
			step(name, w, VerdictFail, "%s", fault)
			return
		}
		step(name, w, VerdictPass, "%s", fine)
	}

	unless(m.loops.Own(r), "return", codeLoop, "it is no copy of this mirror", "this mirror sent it, as a copy: see EventLoop")
	stops := m.stops.Load()
	unless(stops&limit.Closed != 0, "running", codeShutDown, "neither Shutdown nor Close was called", "Shutdown or Close was called")
	unless(stops&limit.Disabled != 0, "enabled", codeDisabled, "on", "SetEnabled(false) was called")
	copied := strings.Join(m.methods, ", ")
	unless(!m.copies(r.Method), "method", codeMethod, fmt.Sprintf("%s is one of %s%s", methodOf(r), copied, m.isolation(r)),
		fmt.Sprintf("%.40q is not one of %s: see WithMethods", methodOf(r), copied))
	m.explainSampler(r, &e)
	unless(stops&limit.Budget != 0, "budget", codeBudget, "not used up", "used up until the next window: see Stats.Budget")
	unless(stops&limit.Breaker != 0, "breaker", codeBreakerOpen, "closed, or it wants probes",
		fmt.Sprintf("open: target %q fails or is slow", m.target.Name))
	unless(stops&limit.Overhead != 0, "overhead", codeOverhead, "within its limit", "over its limit: see Stats.Overhead and OverheadOptions")
	unless(stops&limit.Overload != 0, "overload", codeOverload, "none that stops all copies", "no copy runs until it is over: see LoadSheddingOptions")
	unless(stops&limit.QueueFull != 0, "queue", codeQueueFull, "it had room for the copy before", "full: see WithQueue and WithConcurrency")
	unless(m.overridden(r), "override", codeMethod, "it asks to be treated as no other method, or as one that is copied",
		fmt.Sprintf("it asks to be treated as another method, which is not one of %s", copied))
	unless(r.Method == http.MethodConnect || upgrades(r.Header["Upgrade"]), "upgrade", codeUpgrade,
		"it stays with HTTP", "it asks for another protocol")
	unless(r.URL == nil || r.RequestURI == "*", "resource", codeInvalid, "it has a URL", "it has no URL that could be sent")
	unless(mark.From(r.Context()) != nil || len(r.Header[mark.Header]) > 0 || mark.OnHost(r.Host), "loop", codeLoop,
		"it is no shadow copy", "it is a shadow copy itself, by its context, the header "+mark.Header+" or its host")
	m.explainBody(r, step)
	_, marked := mark.Find(r)
	unless(marked, "marks", codeLoop, "no other mark of a shadow copy", "it is marked as a shadow copy, by this or by another mirroring tool")

	e.Verdict = VerdictPass
	for _, s := range e.Steps {
		if s.Verdict == VerdictFail {
			e.Verdict, e.Reason = VerdictFail, s.Reason
			return e
		}
		if s.Verdict == VerdictUnknown {
			e.Verdict = VerdictUnknown
		}
	}
	e.Later = m.later(r)
	return e
}

// isolation says why the targets may be sent r, if it is not safe.
func (m *Mirror) isolation(r *http.Request) string {
	switch {
	case methods.OnlyReads(r):
		return ""
	case m.control != nil && !m.control.Isolated:
		return fmt.Sprintf("; it is not safe: target %q is Isolated, control %q is not and is not asked", m.target.Name, m.control.Name)
	}
	return fmt.Sprintf("; it is not safe: target %q is Isolated", m.target.Name)
}

func methodOf(r *http.Request) string {
	if r.Method == "" {
		return http.MethodGet
	}
	return r.Method
}

func hasBody(r *http.Request) bool { return r.Body != nil && r.Body != http.NoBody }

// explainBody adds what the length of the body says.
func (m *Mirror) explainBody(r *http.Request, step func(name string, w code, v Verdict, format string, args ...any)) {
	switch {
	case r.ContentLength > m.maxBody:
		step("body", codeBodyTooLarge, VerdictFail, "%d bytes are over the %d of WithMaxBody", r.ContentLength, m.maxBody)
	case r.ContentLength > m.pool.Room():
		step("body", codeBytesFull, VerdictFail, "there is room for %d bytes now, and it has %d: see WithQueue", m.pool.Room(), r.ContentLength)
	case !hasBody(r):
		step("body", codeBodyTooLarge, VerdictPass, "none")
	case r.ContentLength > 0:
		step("body", codeBodyTooLarge, VerdictPass, "%d bytes of at most %d", r.ContentLength, m.maxBody)
	default:
		step("body", codeBodyTooLarge, VerdictUnknown, "its length is not known; at most %d bytes are kept", m.maxBody)
	}
}

// later lists the reasons that only the primary, and what comes after it, can bring about.
func (m *Mirror) later(r *http.Request) []Reason {
	list := []Reason{
		ReasonPrimaryPanicked, ReasonPrimaryFailed, ReasonPrimaryRefused, ReasonPrimaryIncomplete, ReasonUpgrade,
		ReasonHijacked, ReasonClientGone, ReasonInvalid,
		ReasonQueueFull, ReasonBytesFull, ReasonShutDown, ReasonBreakerOpen, ReasonOverload, ReasonOverhead, ReasonExpired,
	}
	if m.config.budget != (Budget{}) {
		list = append(list, ReasonBudget)
	}
	if hasBody(r) {
		list = append(list, ReasonBodyUnread, ReasonBodyFailed)
		if r.ContentLength <= 0 {
			list = append(list, ReasonBodyTooLarge)
		}
	}
	if m.target.Masker != nil {
		list = append(list, ReasonMaskFailed)
	}
	if m.leakCheck != nil {
		list = append(list, ReasonLeak)
	}
	slices.Sort(list)
	return list
}

// explainSampler adds what the Sampler would say.
func (m *Mirror) explainSampler(r *http.Request, e *Explanation) {
	s := Step{Name: "sampler", Verdict: VerdictFail, Reason: ReasonSamplerFailed, Text: "the Sampler panics"}
	defer func() {
		_ = recover() // it would be counted as ReasonSamplerFailed
		e.Steps = append(e.Steps, s)
	}()
	f := foresee(m.sampler, r)
	s.Verdict, s.Reason, s.Text = f.verdict, ReasonNotSampled, f.text
	if !math.IsNaN(f.probability) {
		e.Probability = &f.probability
	}
}

// foresight is what a Sampler would say of a request.
type foresight struct {
	verdict     Verdict
	probability float64 // NaN where it is not known
	text        string
}

func decided(yes bool, probability float64, text string) foresight {
	if yes {
		return foresight{VerdictPass, probability, text}
	}
	return foresight{VerdictFail, probability, text}
}

// drawing is what a Sampler would say that draws.
func drawing(s share, name string) foresight {
	f := foresight{VerdictUnknown, s.probability(), fmt.Sprintf("%s draws with probability %.4g", name, s.probability())}
	switch s {
	case 0:
		f.verdict = VerdictFail
	case whole:
		f.verdict = VerdictPass
	}
	return f
}

// foresee returns what s would say, and leaves it as it is.
func foresee(s Sampler, r *http.Request) foresight {
	switch s := s.(type) {
	case nil:
		return decided(true, 1, "no Sampler: all are")
	case fixedRate:
		return drawing(share(s), "Rate")
	case *RateVar:
		return drawing(s.share(), "RateVar")
	case when, *force:
		d := s.Sample(r)
		name := "When"
		if _, ok := s.(*force); ok {
			name = "Force"
		}
		return decided(d.Sampled, d.Probability, fmt.Sprintf("%s says %s", name, yes(d.Sampled)))
	case *byKey:
		return s.foresee(r)
	case *perSecond:
		n := s.left()
		return decided(n >= 1, math.NaN(), fmt.Sprintf("PerSecond has %.4g tokens now", n))
	case *byRoute:
		return s.foresee(r)
	case *RouteRates:
		if table := s.table.Load(); table != nil {
			return table.foresee(r)
		}
		return decided(false, 0, "RouteRates has no route")
	case *allOf:
		return s.foresee(r)
	case *anyOf:
		return s.foresee(r)
	case *AdaptiveSampler:
		return s.foresee(r)
	case *WindowedSampler:
		if s.seen.windows.Open(time.Now()) {
			return decided(true, 1, "a window of Windowed is open")
		}
		f := foresee(s.otherwise, r)
		f.text = "no window of Windowed is open; " + f.text
		return f
	}
	return foresight{VerdictUnknown, math.NaN(), fmt.Sprintf("%T is not asked: that might change what it says next", s)}
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func (s *byKey) foresee(r *http.Request) foresight {
	key := s.key(r)
	if key == "" {
		return decided(false, 0, "the key of ByKey is empty")
	}
	in := s.share.has(xxhash.Sum64String(key))
	place := map[bool]string{true: "within", false: "outside of"}[in]
	return decided(in, s.share.probability(), fmt.Sprintf("the key of ByKey is %s the share of %.4g", place, s.share.probability()))
}

func (s *byRoute) foresee(r *http.Request) foresight {
	pattern := s.patterns.Match(r)
	rule, ok := s.rules[pattern]
	name := fmt.Sprintf("the rule for %q", pattern)
	if !ok {
		rule, name = s.otherwise, "no rule of a route"
	}
	f := foresee(rule, r)
	f.text = name + ": " + f.text
	return f
}

// foresee asks in order up to the first that is certain to say no, as Sample does.
func (s *allOf) foresee(r *http.Request) (all foresight) {
	all = foresight{verdict: VerdictPass, probability: 1}
	var texts []string
	defer func() { all.text = "All(" + strings.Join(texts, "; ") + ")" }()
	for _, one := range s.list {
		f := foresee(one, r)
		texts = append(texts, f.text)
		all.probability *= f.probability
		if f.verdict == VerdictFail {
			all.verdict, all.probability = VerdictFail, math.NaN()
			if f.probability == 0 {
				all.probability = 0
			}
			break
		}
		if f.verdict == VerdictUnknown {
			all.verdict = VerdictUnknown
		}
	}
	if s.tied && all.probability != 0 {
		all.probability = math.NaN()
	}
	return all
}

// foresee asks in order up to the first that is certain to say yes, as Sample does.
func (s *anyOf) foresee(r *http.Request) (sum foresight) {
	sum.verdict = VerdictFail
	none := 1.0 // the probability that all say no
	var texts []string
	defer func() { sum.text = "Any(" + strings.Join(texts, "; ") + ")" }()
	for i, one := range s.list {
		if sum.verdict == VerdictPass && (s.tell[i] == tellsNot || s.tell[i] == tellsUnless && math.IsNaN(none)) { // it is not asked
			none = math.NaN()
			continue
		}
		f := foresee(one, r)
		texts = append(texts, f.text)
		switch {
		case f.verdict == VerdictPass:
			sum.verdict = VerdictPass
		case f.verdict == VerdictUnknown && sum.verdict == VerdictFail:
			sum.verdict = VerdictUnknown
		}
		if f.probability == 1 {
			sum.probability = 1
			return sum
		}
		none *= 1 - f.probability
	}
	if sum.probability = 1 - none; s.tied && sum.probability != 0 {
		sum.probability = math.NaN()
	}
	return sum
}

// foresee tells the rate that the route of r has, or would have if it were new.
func (s *AdaptiveSampler) foresee(r *http.Request) foresight {
	name, rate := string(s.appendRoute(nil, r)), s.options.Ceiling
	routes := *s.routes.Load()
	switch at, ok := routes[name]; {
	case ok:
		rate = math.Float64frombits(at.rate.Load())
	case len(routes) >= s.options.MaxRoutes:
		name, rate = s.other.name, math.Float64frombits(s.other.rate.Load())
	}
	p := math.Float64frombits(s.floor.Load())
	if s.spent.Load() < s.allowance.Load() {
		p = max(p, rate)
	}
	return drawing(newShare(p), fmt.Sprintf("Adaptive, route %q,", name))
}
