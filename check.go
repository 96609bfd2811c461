package shadow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/baggage"

	"github.com/goshadow/shadow/internal/fields"
	"github.com/goshadow/shadow/internal/mark"
	"github.com/goshadow/shadow/internal/message"
	"github.com/goshadow/shadow/internal/target"
)

// CheckOptions say what Mirror.Check asks the target for. The zero value is HEAD /.
type CheckOptions struct {
	Method string // HEAD or GET; empty is HEAD
	Path   string // with a query, if need be; empty is "/"
	// Host is that which clients ask for. A Target made by Remote or InProcess does without.
	Host string
}

// CheckReport is what Mirror.Check found. It is plain data and holds nothing that the target
// answered but its status, its date, and whether it knew the probe again.
type CheckReport struct {
	Mirror string      `json:"mirror"`
	Target string      `json:"target"`
	Time   time.Time   `json:"time"`
	Items  []CheckItem `json:"items"` // in a fixed order
}

// CheckItem is one item of the checklist.
type CheckItem struct {
	Name    string  `json:"name"` // reachable, loop, correlation, mark, writes, masking, limits, clocks
	Verdict Verdict `json:"verdict"`
	Text    string  `json:"text"`          // what was found
	Fix     string  `json:"fix,omitempty"` // what to do where it is no pass
}

// Verdict is VerdictFail if any item is, else VerdictUnknown if any is.
func (r CheckReport) Verdict() Verdict {
	has := func(v Verdict) bool {
		return slices.ContainsFunc(r.Items, func(i CheckItem) bool { return i.Verdict == v })
	}
	switch {
	case has(VerdictFail):
		return VerdictFail
	case has(VerdictUnknown) || len(r.Items) == 0:
		return VerdictUnknown
	}
	return VerdictPass
}

// String describes r in a line for each item.
func (r CheckReport) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s of %s to %s", r.Verdict(), r.Mirror, r.Target)
	for _, i := range r.Items {
		fmt.Fprintf(&text, "\n%-7s  %s: %s", i.Verdict, i.Name, i.Text)
		if i.Fix != "" {
			fmt.Fprintf(&text, ". %s", i.Fix)
		}
	}
	return text.String()
}

// maxSkew is how far two clocks may be apart: a Date is in whole seconds (RFC 9110 section
// 5.6.7).
const maxSkew = 2 * time.Second

// Check goes through what should be right before traffic is copied:
//
//   - reachable: the target answers, and not with a status of 500 or more
//   - loop: the target is not the mirrored service itself; seen where a copy or the probe comes
//     back to this Mirror
//   - correlation: the request ID gets there; seen where the answer carries the same header
//   - mark: the target knows a copy; seen where it answers with the field Shadow-Check of
//     the probe, as middleware.Detect does
//   - writes: which targets are sent requests that are not safe, because they are Isolated
//   - masking: targets that are not in this process are sent no credentials as they came
//   - limits: breaker, load shedding and overhead are on, and not every request is copied without
//     a budget
//   - clocks: that of the target, by the Date of its answer, is within 2 s of this one
//
// For that it sends the target one request, marked and masked as a copy is, with no field
// but those that the Mirror adds. It is no copy of traffic: it is not counted, compared or
// reported. It goes out even while the Mirror is switched off, and takes at most
// Target.Timeout.
//
// The error says that o is wrong; nothing was sent then.
func (m *Mirror) Check(ctx context.Context, o CheckOptions) (CheckReport, error) {
	m.mustExist("Check")
	var errs []error
	o.Method, o.Path = cmp.Or(o.Method, http.MethodHead), cmp.Or(o.Path, "/")
	if o.Method != http.MethodHead && o.Method != http.MethodGet {
		errs = append(errs, fmt.Errorf("shadow: Check: method %.20q: a probe is HEAD or GET", o.Method))
	}
	u, err := url.ParseRequestURI(o.Path)
	if err != nil || !strings.HasPrefix(o.Path, "/") {
		errs = append(errs, fmt.Errorf("shadow: Check: path %.80q: it must begin with a slash", o.Path))
	}
	if len(errs) > 0 {
		return CheckReport{}, errors.Join(errs...)
	}
	u.Scheme, u.Host = "http", o.Host
	p := m.probe(ctx, &Message{Method: o.Method, URL: u, Host: o.Host, Proto: "HTTP/1.1", Header: http.Header{}})
	return CheckReport{
		Mirror: m.name, Target: m.target.Name, Time: time.Now(),
		Items: []CheckItem{p.reachable(), p.loop(), p.correlation(), p.mark(), m.checkWrites(), m.checkMasking(), m.checkLimits(), p.clocks()},
	}, nil
}

// probe is a request to the target and what came of it.
type probe struct {
	m           *Mirror
	id          string
	sent        http.Header
	at          time.Time     // when it was sent
	took        time.Duration // until the answer began
	status      int
	header      http.Header // of the answer
	err         error
	here        bool // the target is in this process
	interrupted bool // by the caller
}

// probe sends msg, marked and masked.
func (m *Mirror) probe(ctx context.Context, msg *Message) *probe {
	t := &m.target
	p := &probe{m: m, id: mark.NewID(), here: t.local()}
	if m.requestID != "" {
		msg.Header[m.requestID] = []string{p.id}
	}
	in := *msg
	if t.Masker != nil {
		if err := m.guard("Masker", func() error { return t.Masker.Mask(msg) }); err != nil || !target.Valid((*message.Message)(msg)) {
			p.err = errMask
			return p
		}
	}
	p.sent = msg.Header
	if p.sent == nil {
		p.sent = http.Header{}
	}
	fields.StripHopByHop(p.sent)
	var store [mark.Fields]string
	bag := mark.Set(p.sent, p.id, m.loops.Nonce(false), &store)
	p.sent[mark.Check] = []string{p.id}

	// The context is fresh, as that of a copy: of ctx it has the end alone.
	base := baggage.ContextWithBaggage(mark.With(context.Background(), &mark.Mark{Target: t.Name, ID: p.id}), bag)
	own, cancel := context.WithTimeoutCause(base, t.timeout(), ErrTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	probe := target.Copy{Network: t.URL != "", In: (*message.Message)(&in), Out: message.Message(*msg)}
	probe.Out.Header = p.sent
	p.at = time.Now()
	p.err = m.guard("Transport", func() error {
		resp, err := target.Send(t.Transport, probe.Request(own))
		if err != nil {
			return err
		}
		p.took = time.Since(p.at)
		p.status, p.header = resp.StatusCode, resp.Header
		if resp.Body == nil {
			return nil
		}
		defer resp.Body.Close()
		_, _ = io.CopyN(io.Discard, resp.Body, m.maxBody+1) // so that the connection can be used again
		return nil
	})
	switch {
	case p.err == nil:
	case ctx.Err() != nil:
		p.err, p.interrupted = ctx.Err(), true
	case context.Cause(own) == ErrTimeout:
		p.err = ErrTimeout
	}
	return p
}

// item is an item that depends on an answer, which there may not be.
func (p *probe) item(name string, judge func(i *CheckItem)) CheckItem {
	i := CheckItem{Name: name, Verdict: VerdictUnknown, Text: "there is no answer", Fix: "See to it that the target is reachable"}
	if p.err == nil {
		i = CheckItem{Name: name, Verdict: VerdictPass}
		judge(&i)
	}
	return i
}

func (i *CheckItem) set(v Verdict, text, fix string) { i.Verdict, i.Text, i.Fix = v, text, fix }

func (p *probe) reachable() CheckItem {
	i := CheckItem{Name: "reachable", Verdict: VerdictPass, Text: fmt.Sprintf("it answered %d", p.status)}
	switch {
	case p.interrupted:
		i.set(VerdictUnknown, "it had not answered when the check was ended", "Give the check more time")
	case errors.Is(p.err, errMask):
		i.set(VerdictFail, "Target.Masker failed on a request without a body", "Every copy would be lost as "+string(ReasonMaskFailed)+": correct the Masker")
	case p.err != nil:
		i.set(VerdictFail, target.Quiet(p.err).Error(), "See that it runs, and that name, port, TLS and network policy let this process in")
	case p.status >= http.StatusInternalServerError:
		i.set(VerdictFail, i.Text, "See its log, or check another path")
	}
	return i
}

func (p *probe) loop() CheckItem {
	i := p.item("loop", func(i *CheckItem) { i.Text = "the probe did not come back to this mirror, and no copy did" })
	if n := p.m.loops.Count(); n > 0 {
		i.set(VerdictFail, fmt.Sprintf("%d copies came back to this mirror, probes included: the target is the mirrored service itself, or passes copies on to it", n),
			"Point the target at the candidate; a candidate that calls this service must not pass on "+mark.Mirror)
	}
	return i
}

func (p *probe) correlation() CheckItem {
	name := p.m.requestID
	off := CheckItem{Name: "correlation", Verdict: VerdictFail, Text: "copies carry no request ID: WithRequestID(\"\")",
		Fix: "Leave WithRequestID out, so that what primary and shadow log can be brought together"}
	if name == "" {
		return off
	}
	if p.sent != nil && p.sent.Get(name) != p.id {
		off.Text, off.Fix = "Target.Masker changes the header "+name, "Have the Masker leave it as it is"
		return off
	}
	return p.item("correlation", func(i *CheckItem) {
		switch got := p.header.Values(name); {
		case p.here:
			i.Text = "in this process: the handler gets the header " + name
		case len(got) == 1 && got[0] == p.id:
			i.Text = "it answers with the " + name + " of the probe"
		case len(got) > 0:
			i.set(VerdictFail, "it answers with another "+name+" than that of the probe",
				"Have the target, and what is in front of it, keep an ID that is there")
		default:
			i.set(VerdictUnknown, "it does not answer with "+name, "Have the target answer with the ID it was given, or look for "+p.id+" in its log")
		}
	})
}

func (p *probe) mark() CheckItem {
	return p.item("mark", func(i *CheckItem) {
		switch got := p.header.Values(mark.Check); {
		case p.here:
			i.Text = "in this process: IsShadow is true for its context"
		case len(got) == 1 && got[0] == p.id:
			i.Text = "it answers as to a copy"
		case len(got) > 0:
			i.set(VerdictFail, "it answers as to another probe", "A cache answers in its place: let nothing cache on the way to the target")
		default:
			i.set(VerdictUnknown, "it does not say whether it saw the mark",
				"Wrap the target in middleware.Detect and have it trust this process: without that it mails, charges and counts for copies too")
		}
	})
}

func (p *probe) clocks() CheckItem {
	return p.item("clocks", func(i *CheckItem) {
		date, err := http.ParseTime(p.header.Get("Date"))
		skew := date.Sub(p.at.Add(p.took / 2))
		switch off := skew.Abs(); {
		case p.here:
			i.Text = "in this process: it is the same clock"
		case err != nil:
			i.set(VerdictUnknown, "it answers without a Date", "Compare the clocks by hand: timestamps and the expiry of tokens depend on them")
		case off > maxSkew+p.took/2:
			i.set(VerdictFail, fmt.Sprintf("the clocks are %v apart", off.Round(time.Second)), "Synchronise both: else timestamps differ, and tokens are valid on one side alone")
		default:
			i.Text = fmt.Sprintf("they are within %v", (maxSkew + p.took/2).Round(100*time.Millisecond))
		}
	})
}

// checkWrites says where copies write. That what they write reaches nobody cannot be seen from
// here: New has the user's word.
func (m *Mirror) checkWrites() CheckItem {
	i := CheckItem{Name: "writes", Verdict: VerdictPass, Text: "only requests with a safe method are copied"}
	unsafe := strings.Join(m.config.unsafe(), ", ")
	switch {
	case unsafe == "":
	case m.control != nil && !m.control.Isolated:
		i.Text = fmt.Sprintf("%s: sent to %q, which is Isolated, and not to control %q, which is not", unsafe, m.target.Name, m.control.Name)
	case m.control != nil:
		i.Text = fmt.Sprintf("%s: sent to %q and to control %q, which are Isolated", unsafe, m.target.Name, m.control.Name)
	default:
		i.Text = fmt.Sprintf("%s: sent to %q, which is Isolated", unsafe, m.target.Name)
	}
	return i
}

// checkMasking has the maskers go over a request with credentials that are none.
func (m *Mirror) checkMasking() CheckItem {
	i := CheckItem{Name: "masking", Verdict: VerdictPass}
	var masked, here []string
	targets := []*Target{&m.target}
	if m.control != nil {
		targets = append(targets, m.control)
	}
	for _, t := range targets {
		local := t.local()
		remote := t.URL != ""
		switch {
		case local && t.Masker == nil:
			here = append(here, fmt.Sprintf("%q", t.Name))
			continue
		case t.Masker == nil && remote:
			i.set(VerdictFail, fmt.Sprintf("target %q has no Masker: what users send leaves the process as it is", t.Name),
				"Begin its Masker with DropCredentials, and add what is private in your data: see docs/privacy.md")
			return i
		case t.Masker == nil:
			i.set(VerdictUnknown, fmt.Sprintf("target %q has a Transport of its own and no Masker", t.Name),
				"If it leaves the process, begin its Masker with DropCredentials")
			continue
		}
		kept, err := m.maskedCredentials(t)
		if err != nil {
			i.set(VerdictFail, fmt.Sprintf("the Masker of target %q failed on a request without a body", t.Name),
				"Every copy would be lost as "+string(ReasonMaskFailed)+": correct the Masker")
			return i
		}
		if len(kept) > 0 && !local {
			i.set(VerdictFail, fmt.Sprintf("target %q is sent %s as they came", t.Name, strings.Join(kept, ", ")),
				"Begin its Masker with DropCredentials, and give it credentials of its own with SetHeader")
			return i
		}
		masked = append(masked, fmt.Sprintf("%q", t.Name))
	}
	if i.Verdict == VerdictPass {
		i.Text = "credentials do not reach " + strings.Join(masked, " and ")
		if len(masked) == 0 {
			i.Text = strings.Join(here, " and ") + " in this process: nothing leaves it"
		}
	}
	return i
}

// maskedCredentials returns the usual credentials that the Masker of t leaves as they are.
func (m *Mirror) maskedCredentials(t *Target) (kept []string, err error) {
	const value = "Bearer c2hhZG93LWNoZWNr" // of nobody
	usual := [...]string{"Authorization", "Cookie", "X-Api-Key"}
	msg := &Message{Method: http.MethodGet, URL: &url.URL{Scheme: "http", Path: "/"}, Proto: "HTTP/1.1", Header: http.Header{}}
	for _, name := range usual {
		msg.Header.Set(name, value)
	}
	if err := m.guard("Masker", func() error { return t.Masker.Mask(msg) }); err != nil {
		return nil, err
	}
	for _, name := range usual {
		if msg.Header.Get(name) == value {
			kept = append(kept, name)
		}
	}
	return kept, nil
}

func (m *Mirror) checkLimits() CheckItem {
	i := CheckItem{Name: "limits", Verdict: VerdictPass, Text: fmt.Sprintf("at most %d copies at a time, %d waiting, %d MiB",
		m.concurrency, m.config.queue, m.queueBytes>>20)}
	var off []string
	for name, is := range map[string]bool{"WithBreaker": m.config.breaker.Off, "WithLoadShedding": m.config.shedding.Off, "WithOverhead": m.config.overhead.Off} {
		if is {
			off = append(off, name)
		}
	}
	slices.Sort(off)
	switch {
	case len(off) > 0:
		i.set(VerdictFail, "switched off: "+strings.Join(off, ", "), "Leave them on in production: they cost nothing while all is well")
	case m.copiesAll() && m.config.budget == (Budget{}):
		i.set(VerdictFail, "every request is copied, and there is no budget", "Begin with WithSampler(Rate(0.01)), or say with WithBudget what copies may use")
	}
	return i
}

// copiesAll tells whether the Sampler is known to sample every request.
func (m *Mirror) copiesAll() bool {
	switch s := m.sampler.(type) {
	case nil:
		return true
	case fixedRate:
		return share(s) == whole
	case *RateVar:
		return s.share() == whole
	}
	return false
}
