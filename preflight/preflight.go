// Package preflight is the checklist before production: Check checks the configuration of a Mirror
// and its target before traffic is copied.
package preflight

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/internal/handle"
	"github.com/goshadow/shadow/internal/mark"
	"github.com/goshadow/shadow/internal/message"
)

// Options say what Check asks the target for. The zero value is HEAD /.
type Options struct {
	Method string // HEAD or GET; empty is HEAD
	Path   string // with a query, if needed; empty is "/"
	// Host is the host that clients ask for. A Target made by Remote or InProcess needs none.
	Host string
}

// Status is the result of an Item or of a Report.
type Status string

// The statuses. They print as "pass", "fail" and "unknown".
const (
	Pass    Status = "pass"
	Fail    Status = "fail"
	Unknown Status = "unknown" // it cannot be seen from here
)

// Report is what Check found. It is plain data and holds nothing of the target's answer but its
// status and its date, and whether it recognised the probe.
type Report struct {
	Mirror string    `json:"mirror"`
	Target string    `json:"target"`
	Time   time.Time `json:"time"`
	Items  []Item    `json:"items"` // in a fixed order
}

// Item is one item of the checklist.
type Item struct {
	Name   string `json:"name"` // reachable, loop, correlation, mark, writes, masking, limits, clocks
	Status Status `json:"status"`
	Text   string `json:"text"`          // what was found
	Fix    string `json:"fix,omitempty"` // what to do, unless Status is Pass
}

// Status is Fail if any item is Fail, else Unknown if any item is Unknown or there is none.
func (r Report) Status() Status {
	has := func(s Status) bool {
		return slices.ContainsFunc(r.Items, func(i Item) bool { return i.Status == s })
	}
	switch {
	case has(Fail):
		return Fail
	case has(Unknown) || len(r.Items) == 0:
		return Unknown
	}
	return Pass
}

// String describes r in one line for each item.
func (r Report) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s of %s to %s", r.Status(), r.Mirror, r.Target)
	for _, i := range r.Items {
		fmt.Fprintf(&text, "\n%-7s  %s: %s", i.Status, i.Name, i.Text)
		if i.Fix != "" {
			fmt.Fprintf(&text, ". %s", i.Fix)
		}
	}
	return text.String()
}

// maxSkew is how far apart two clocks may be: a Date is in whole seconds (RFC 9110 section
// 5.6.7).
const maxSkew = 2 * time.Second

// Check goes through what should be right before traffic is copied:
//
//   - reachable: the target answers, and with a status below 500
//   - loop: the target is not the mirrored service itself; seen if a copy or the probe comes
//     back to the Mirror
//   - correlation: the request ID arrives; seen if the answer carries the same header
//   - mark: the target recognises a copy; seen if it answers with the field Shadow-Check of
//     the probe, as middleware.Detect does
//   - writes: which targets are sent requests that are not safe, because they are Isolated
//   - masking: targets that are not in this process are sent no credentials as they came
//   - limits: breaker, load shedding and overhead limit are on, and not every request is copied
//     without a budget
//   - clocks: the target's clock, by the Date of its answer, is within 2 s of this one
//
// It sends the target one request, marked and masked as a copy is, with only the fields that
// the Mirror adds. The request is no copy of traffic: it is not counted, compared or reported.
// It is sent even while the Mirror is switched off, and takes at most Target.Timeout.
//
// The error says that o is invalid; nothing was sent then. Check panics if m is nil.
func Check(ctx context.Context, m *shadow.Mirror, o Options) (Report, error) {
	if m == nil {
		panic("shadow: preflight.Check: nil *Mirror: handle the error of New")
	}
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
		return Report{}, errors.Join(errs...)
	}
	u.Scheme, u.Host = "http", o.Host
	c := checker{Mirror: m.Inspect(handle.Preflight{})}
	c.candidate = c.Targets[0]
	c.answer = c.Probe(ctx, &message.Message{Method: o.Method, URL: u, Host: o.Host, Proto: "HTTP/1.1", Header: http.Header{}})
	return Report{
		Mirror: c.Name, Target: c.candidate.Name, Time: time.Now(),
		Items: []Item{c.reachable(), c.loop(), c.correlation(), c.mark(), c.writes(), c.masking(), c.limits(), c.clocks()},
	}, nil
}

// checker judges a Mirror and the answer to a probe.
type checker struct {
	handle.Mirror
	candidate handle.Target
	answer    handle.Answer
}

// item returns an item that judge decides if there is an answer.
func (c *checker) item(name string, judge func(i *Item)) Item {
	i := Item{Name: name, Status: Unknown, Text: "there is no answer", Fix: "See to it that the target is reachable"}
	if c.answer.Err == nil {
		i = Item{Name: name, Status: Pass}
		judge(&i)
	}
	return i
}

func (i *Item) set(s Status, text, fix string) { i.Status, i.Text, i.Fix = s, text, fix }

func (c *checker) reachable() Item {
	i := Item{Name: "reachable", Status: Pass, Text: fmt.Sprintf("it answered %d", c.answer.Status)}
	switch {
	case c.answer.Interrupted:
		i.set(Unknown, "it had not answered when the check was ended", "Give the check more time")
	case c.answer.MaskFailed:
		i.set(Fail, "Target.Masker failed on a request without a body", "Every copy would be lost as "+string(shadow.ReasonMaskFailed)+": correct the Masker")
	case c.answer.Err != nil:
		i.set(Fail, c.answer.Err.Error(), "See that it runs, and that name, port, TLS and network policy let this process in")
	case c.answer.Status >= http.StatusInternalServerError:
		i.set(Fail, i.Text, "See its log, or check another path")
	}
	return i
}

func (c *checker) loop() Item {
	i := c.item("loop", func(i *Item) { i.Text = "the probe did not come back to this mirror, and no copy did" })
	if n := c.Looped(); n > 0 {
		i.set(Fail, fmt.Sprintf("%d copies came back to this mirror, probes included: the target is the mirrored service itself, or passes copies on to it", n),
			"Point the target at the candidate; a candidate that calls this service must not pass on "+mark.Mirror)
	}
	return i
}

func (c *checker) correlation() Item {
	name := c.RequestID
	off := Item{Name: "correlation", Status: Fail, Text: "copies carry no request ID: WithRequestID(\"\")",
		Fix: "Leave WithRequestID out, so that what primary and shadow log can be brought together"}
	if name == "" {
		return off
	}
	if c.answer.Sent != nil && c.answer.Sent.Get(name) != c.answer.ID {
		off.Text, off.Fix = "Target.Masker changes the header "+name, "Have the Masker leave it as it is"
		return off
	}
	return c.item("correlation", func(i *Item) {
		switch got := c.answer.Header.Values(name); {
		case c.candidate.InProcess:
			i.Text = "in this process: the handler gets the header " + name
		case len(got) == 1 && got[0] == c.answer.ID:
			i.Text = "it answers with the " + name + " of the probe"
		case len(got) > 0:
			i.set(Fail, "it answers with another "+name+" than that of the probe",
				"Have the target, and what is in front of it, keep an ID that is there")
		default:
			i.set(Unknown, "it does not answer with "+name, "Have the target answer with the ID it was given, or look for "+c.answer.ID+" in its log")
		}
	})
}

func (c *checker) mark() Item {
	return c.item("mark", func(i *Item) {
		switch got := c.answer.Header.Values(mark.Check); {
		case c.candidate.InProcess:
			i.Text = "in this process: IsShadow is true for its context"
		case len(got) == 1 && got[0] == c.answer.ID:
			i.Text = "it answers as to a copy"
		case len(got) > 0:
			i.set(Fail, "it answers as to another probe", "A cache answers in its place: let nothing cache on the way to the target")
		default:
			i.set(Unknown, "it does not say whether it saw the mark",
				"Wrap the target in middleware.Detect and have it trust this process: without that it mails, charges and counts for copies too")
		}
	})
}

func (c *checker) clocks() Item {
	return c.item("clocks", func(i *Item) {
		date, err := http.ParseTime(c.answer.Header.Get("Date"))
		skew := date.Sub(c.answer.At.Add(c.answer.Took / 2))
		switch off := skew.Abs(); {
		case c.candidate.InProcess:
			i.Text = "in this process: it is the same clock"
		case err != nil:
			i.set(Unknown, "it answers without a Date", "Compare the clocks by hand: timestamps and the expiry of tokens depend on them")
		case off > maxSkew+c.answer.Took/2:
			i.set(Fail, fmt.Sprintf("the clocks are %v apart", off.Round(time.Second)), "Synchronise both: else timestamps differ, and tokens are valid on one side alone")
		default:
			i.Text = fmt.Sprintf("they are within %v", (maxSkew + c.answer.Took/2).Round(100*time.Millisecond))
		}
	})
}

// writes says where copies write. Whether that reaches nobody cannot be seen from here: New has
// the user's word.
func (c *checker) writes() Item {
	i := Item{Name: "writes", Status: Pass, Text: "only requests with a safe method are copied"}
	unsafe, controls := strings.Join(c.Unsafe, ", "), c.Targets[1:]
	switch {
	case unsafe == "":
	case len(controls) == 0:
		i.Text = fmt.Sprintf("%s: sent to %q, which is Isolated", unsafe, c.candidate.Name)
	case controls[0].Isolated:
		i.Text = fmt.Sprintf("%s: sent to %q and to control %q, which are Isolated", unsafe, c.candidate.Name, controls[0].Name)
	default:
		i.Text = fmt.Sprintf("%s: sent to %q, which is Isolated, and not to control %q, which is not", unsafe, c.candidate.Name, controls[0].Name)
	}
	return i
}

// masking applies the maskers to a request with credentials of nobody.
func (c *checker) masking() Item {
	i := Item{Name: "masking", Status: Pass}
	var masked, here []string
	for _, t := range c.Targets {
		switch {
		case t.InProcess && t.Mask == nil:
			here = append(here, fmt.Sprintf("%q", t.Name))
			continue
		case t.Mask == nil && t.Network:
			i.set(Fail, fmt.Sprintf("target %q has no Masker: what users send leaves the process as it is", t.Name),
				"Begin its Masker with DropCredentials, and add what is private in your data: see docs/privacy.md")
			return i
		case t.Mask == nil:
			i.set(Unknown, fmt.Sprintf("target %q has a Transport of its own and no Masker", t.Name),
				"If it leaves the process, begin its Masker with DropCredentials")
			continue
		}
		kept, err := keptCredentials(t.Mask)
		if err != nil {
			i.set(Fail, fmt.Sprintf("the Masker of target %q failed on a request without a body", t.Name),
				"Every copy would be lost as "+string(shadow.ReasonMaskFailed)+": correct the Masker")
			return i
		}
		if len(kept) > 0 && !t.InProcess {
			i.set(Fail, fmt.Sprintf("target %q is sent %s as they came", t.Name, strings.Join(kept, ", ")),
				"Begin its Masker with DropCredentials, and give it credentials of its own with SetHeader")
			return i
		}
		masked = append(masked, fmt.Sprintf("%q", t.Name))
	}
	if i.Status == Pass {
		i.Text = "credentials do not reach " + strings.Join(masked, " and ")
		if len(masked) == 0 {
			i.Text = strings.Join(here, " and ") + " in this process: nothing leaves it"
		}
	}
	return i
}

// keptCredentials returns the usual credentials that mask leaves as they are.
func keptCredentials(mask func(*message.Message) error) (kept []string, err error) {
	const value = "Bearer c2hhZG93LWNoZWNr" // of nobody
	usual := [...]string{"Authorization", "Cookie", "X-Api-Key"}
	msg := &message.Message{Method: http.MethodGet, URL: &url.URL{Scheme: "http", Path: "/"}, Proto: "HTTP/1.1", Header: http.Header{}}
	for _, name := range usual {
		msg.Header.Set(name, value)
	}
	if err := mask(msg); err != nil {
		return nil, err
	}
	for _, name := range usual {
		if msg.Header.Get(name) == value {
			kept = append(kept, name)
		}
	}
	return kept, nil
}

func (c *checker) limits() Item {
	i := Item{Name: "limits", Status: Pass, Text: fmt.Sprintf("at most %d copies at a time, %d waiting, %d MiB",
		c.Concurrency, c.Queue, c.QueueBytes>>20)}
	switch {
	case len(c.LimitsOff) > 0:
		i.set(Fail, "switched off: "+strings.Join(c.LimitsOff, ", "), "Leave them on in production: they cost nothing while all is well")
	case c.SamplesAll && !c.HasBudget:
		i.set(Fail, "every request is copied, and there is no budget", "Begin with WithSampler(Rate(0.01)), or say with WithBudget what copies may use")
	}
	return i
}
