package shadow

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/goshadow/shadow/internal/guard"
	"github.com/goshadow/shadow/internal/limit"
	"github.com/goshadow/shadow/internal/mark"
	"github.com/goshadow/shadow/internal/methods"
	"github.com/goshadow/shadow/internal/render"
	"github.com/goshadow/shadow/internal/sampling"
)

// decision is the Sampler's decision about a request, and the time that it took. The time of a
// Rate is not measured: reading the clock takes longer.
type decision struct {
	Decision
	took time.Duration
}

// decide returns the reason not to mirror r, or 0. It asks the checks in order, the cheap ones
// first; the last one follows in snapshot, where the header is copied. It stores the decision of
// the Sampler in d. A Sampler that neither panics nor takes long is asked without guard and clock.
func (m *Mirror) decide(r *http.Request, d *decision) code {
	stops := m.stops.Load()
	if failed := m.early(r, stops); failed != 0 {
		return m.stopped(r, failed)
	}
	if !m.quick {
		if c := m.ask(r, d); c != 0 {
			return c
		}
	} else if d.Decision = m.sampler.Sample(r); !d.Sampled {
		return codeNotSampled
	}
	for i := range then {
		if c := then[i].check(m, r, stops); c != 0 {
			return c
		}
	}
	return 0
}

// early returns the codes of first that stop r, one bit each. It is straight code without a call
// through first, because every request runs it.
func (m *Mirror) early(r *http.Request, stops limit.Stop) (failed uint64) {
	if m.loops.Own(r) {
		failed |= 1 << codeLoop
	}
	if stops&limit.Closed != 0 {
		failed |= 1 << codeShutDown
	}
	if stops&limit.Disabled != 0 {
		failed |= 1 << codeDisabled
	}
	if !m.copies(r.Method) {
		failed |= 1 << codeMethod
	}
	return failed
}

// stopped returns the code of the first check that failed.
func (m *Mirror) stopped(r *http.Request, failed uint64) code {
	for i := range first {
		if c := first[i].code; failed&(1<<c) != 0 {
			if c == codeLoop {
				m.loops.Returned(r)
			}
			return c
		}
	}
	return 0
}

// question is a check about a request before the primary runs.
type question struct {
	name string
	code code       // of a request that it stops
	stop limit.Stop // it stops every request while this is set; 0 if ask answers
	ask  func(m *Mirror, r *http.Request) bool
	text func(m *Mirror, r *http.Request, stops bool) string
}

// check returns the code under which c stops r, or 0. It is codeInvalid if the context of r panics.
func (c *question) check(m *Mirror, r *http.Request, stops limit.Stop) (found code) {
	if c.stop != 0 {
		if stops&c.stop != 0 {
			found = c.code
		}
		return found
	}
	returned := false
	defer func() {
		if !returned {
			found = codeInvalid
			m.logPanic(guard.New("Request.Context", recover()))
		}
	}()
	if c.ask(m, r) {
		found = c.code
	}
	returned = true
	return found
}

// says returns a text that does not depend on the request.
func says(pass, stop string) func(*Mirror, *http.Request, bool) string {
	return func(_ *Mirror, _ *http.Request, stops bool) string {
		if stops {
			return stop
		}
		return pass
	}
}

// first are the checks before the Sampler is asked, which early makes.
var first = [...]question{
	{name: "return", code: codeLoop, text: says("it is no copy of this mirror", "this mirror sent it, as a copy: see EventLoop")},
	{name: "running", code: codeShutDown, text: says("neither Shutdown nor Close was called", "Shutdown or Close was called")},
	{name: "enabled", code: codeDisabled, text: says("on", "SetEnabled(false) was called")},
	{name: "method", code: codeMethod, text: (*Mirror).methodText},
}

// then are the checks of a request that is sampled.
var then = [...]question{
	{name: "budget", code: codeBudget, stop: limit.Budget,
		text: says("not used up", "used up until the next window: see Stats.Budget")},
	{name: "breaker", code: codeBreakerOpen, stop: limit.Breaker, text: func(m *Mirror, r *http.Request, stops bool) string {
		return says("closed or half-open", fmt.Sprintf("open: target %q fails or is slow", m.target.Name))(m, r, stops)
	}},
	{name: "overhead", code: codeOverhead, stop: limit.Overhead,
		text: says("within its limit", "over its limit: see Stats.Overhead and OverheadOptions")},
	{name: "overload", code: codeOverload, stop: limit.Overload,
		text: says("none that stops all copies", "no copy runs until it is over: see LoadSheddingOptions")},
	{name: "queue", code: codeQueueFull, stop: limit.QueueFull,
		text: says("it had room for the copy before", "full: see WithQueue and WithConcurrency")},
	{name: "override", code: codeMethod, ask: (*Mirror).overridden, text: func(m *Mirror, r *http.Request, stops bool) string {
		return says("it asks to be treated as no other method, or as one that is copied",
			"it asks to be treated as another method, which is not one of "+strings.Join(m.methods, ", "))(m, r, stops)
	}},
	{name: "upgrade", code: codeUpgrade, ask: func(_ *Mirror, r *http.Request) bool { return methods.Upgrades(r) },
		text: says("it stays with HTTP", "it asks for another protocol")},
	{name: "resource", code: codeInvalid, ask: func(_ *Mirror, r *http.Request) bool {
		return r.URL == nil || r.URL.Opaque != "" || r.RequestURI == "*"
	}, text: says("it has a URL", "it has no URL that could be sent")},
	{name: "loop", code: codeLoop, ask: func(_ *Mirror, r *http.Request) bool {
		return mark.From(r.Context()) != nil || len(r.Header[mark.Header]) > 0 || mark.OnHost(r.Host)
	}, text: says("it is no shadow copy", "it is a shadow copy itself, by its context, the header "+mark.Header+" or its host")},
	{name: "body", code: codeBodyTooLarge, ask: func(m *Mirror, r *http.Request) bool { return r.ContentLength > m.maxBody },
		text: func(m *Mirror, r *http.Request, stops bool) string { return render.Body(r, m.maxBody, stops) }},
	{name: "room", code: codeBytesFull, ask: func(m *Mirror, r *http.Request) bool { return r.ContentLength > m.pool.Room() },
		text: func(m *Mirror, r *http.Request, _ bool) string {
			return fmt.Sprintf("there is room for %d bytes now: see WithQueue", m.pool.Room())
		}},
}

// marked is the check that snapshot makes while it copies the header.
var marked = question{name: "marks", code: codeLoop, ask: func(_ *Mirror, r *http.Request) bool {
	_, is := mark.Find(r)
	return is
}, text: says("no other mark of a shadow copy", "it is marked as a shadow copy, by this or by another mirroring tool")}

func (m *Mirror) methodText(r *http.Request, stops bool) string {
	blocking := "" // the control that is not asked, if r is not safe
	if m.control != nil && !m.control.Isolated {
		blocking = m.control.Name
	}
	return render.Method(r, m.methods, stops, m.target.Name, blocking)
}

func hasBody(r *http.Request) bool { return r.Body != nil && r.Body != http.NoBody }

// copies reports whether requests with the method are copied.
func (m *Mirror) copies(method string) bool {
	for _, name := range m.methods {
		if name == method {
			return true
		}
	}
	return method == "" && m.copies(http.MethodGet)
}

// overridden reports whether r asks to be treated as one of a method that is not copied.
func (m *Mirror) overridden(r *http.Request) bool {
	for _, method := range methods.Overrides(r) {
		if !m.copies(method) {
			return true
		}
	}
	return false
}

// ask asks the Sampler, and returns codeSamplerFailed if it panics. User code in it runs on
// goroutines of its own: see contain.
func (m *Mirror) ask(r *http.Request, d *decision) (c code) {
	c = codeSamplerFailed
	asked := time.Now()
	defer func() {
		if c == codeSamplerFailed {
			m.logPanic(guard.New("Sampler", recover()))
		}
	}()
	if d.Decision = m.sampler.Sample(r); !d.Sampled {
		return codeNotSampled
	}
	d.took = time.Since(asked)
	return 0
}

// Explanation is what a Mirror decides about a request before the primary runs. It is plain
// data and holds no value of the request but its method, its length and names of routes.
type Explanation struct {
	// Reason is that of the first step that stops the request, and empty if none does. A
	// step before it that is unknown may stop the request under a reason of its own.
	Reason Reason `json:"reason,omitempty"`
	// Unknown: no step stops the request, and one is unknown. If it is false and Reason is empty, the
	// request is copied unless one of Later comes in between.
	Unknown bool `json:"unknown,omitempty"`
	// Probability is that of sampling such a request: 0 if it is not known, or never sampled.
	Probability float64 `json:"probability,omitempty"`
	// Steps are all checks, in order, also those after the first that stops the request.
	Steps []Step `json:"steps"`
	// Later are the reasons that can come in between while the primary runs and after it.
	Later []Reason `json:"later,omitempty"`
}

// Step is one check of an Explanation.
type Step struct {
	Name    string `json:"name"`
	Stops   bool   `json:"stops,omitempty"`   // the request is not copied
	Unknown bool   `json:"unknown,omitempty"` // it is drawn, found later, or the decision of a Sampler that cannot be asked
	Reason  Reason `json:"reason"`            // of requests that the check stops
	Text    string `json:"text"`              // what was looked at
}

// String describes e in a line and one for each step.
func (e Explanation) String() string {
	var text strings.Builder
	render.Verdict(&text, string(e.Reason), e.Unknown, e.Probability)
	for _, s := range e.Steps {
		render.Step(&text, s.Name, s.Stops, s.Unknown, s.Text)
	}
	return text.String()
}

// Explain returns what the Mirror would decide about r now, step by step, and why. Nothing is
// sent or counted and r is not changed; its body is not read. It runs user code, such as that of
// ByKey and When, and is made for people, not for every request.
//
// Samplers are asked only if that changes nothing: of one that draws Explain knows the
// probability, of PerSecond the number of tokens. SamplerFunc and Samplers of users are not asked.
func (m *Mirror) Explain(r *http.Request) Explanation {
	m.mustExist("Explain")
	var e Explanation
	stops := m.stops.Load()
	explain := func(c *question, found code) {
		s := Step{Name: c.name, Stops: found != 0, Reason: codes[c.code].name}
		if found == 0 || found == c.code {
			s.Text = c.text(m, r, s.Stops)
		} else {
			s.Reason, s.Text = codes[found].name, "its context panics"
		}
		s.Unknown = c.code == codeBodyTooLarge && !s.Stops && hasBody(r) && r.ContentLength <= 0
		e.Steps = append(e.Steps, s)
	}
	failed := m.early(r, stops)
	for i := range first {
		c := &first[i]
		explain(c, c.code*code(failed>>c.code&1))
	}
	m.explainSampler(r, &e)
	for i := range then {
		explain(&then[i], then[i].check(m, r, stops))
	}
	explain(&marked, marked.check(m, r, stops))
	for _, s := range e.Steps {
		if s.Stops {
			e.Reason, e.Unknown = s.Reason, false
			return e
		}
		e.Unknown = e.Unknown || s.Unknown
	}
	e.Later = m.later(r)
	return e
}

// explainSampler adds the step of the Sampler.
func (m *Mirror) explainSampler(r *http.Request, e *Explanation) {
	s := Step{Name: "sampler", Stops: true, Reason: ReasonSamplerFailed, Text: "the Sampler panics"}
	defer func() {
		_ = recover() // it would be counted as ReasonSamplerFailed
		e.Steps = append(e.Steps, s)
	}()
	f := sampling.Describe(m.sampler).Foresee(r)
	s.Stops, s.Unknown, s.Reason, s.Text = f.Sampled == sampling.No, f.Sampled == sampling.Maybe, ReasonNotSampled, f.Text
	if !math.IsNaN(f.Probability) {
		e.Probability = f.Probability
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
