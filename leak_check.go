package shadow

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/goshadow/shadow/internal/detect"
	"github.com/goshadow/shadow/internal/jsonscan"
	"github.com/goshadow/shadow/internal/media"
	"github.com/goshadow/shadow/internal/pointer"
	"github.com/goshadow/shadow/internal/redact"
)

// LeakCheckOptions are what WithLeakCheck looks for, how often, and what follows.
type LeakCheckOptions struct {
	// Rate is the share of copies that are checked, more than 0 and at most 1. Each costs its
	// worker one pass over the message; the primary notices nothing.
	Rate float64
	// Kinds are what is looked for; none is all kinds. Leave out what your masks let pass
	// on purpose, such as DetectIP where X-Forwarded-For is sent.
	Kinds []DetectorKind
	// Scope is what is checked. The zero value is LeakCheckCopies.
	Scope LeakCheckScope
	// Then is what follows a finding, apart from what always does. The zero value is
	// LeakStopsCopy.
	Then LeakPolicy
}

// LeakCheckScope is what a leak check checks.
type LeakCheckScope string

// The scopes of a leak check.
const (
	// LeakCheckCopies checks copies before they are sent to another process, or in this one to
	// a target that has a Masker.
	LeakCheckCopies LeakCheckScope = ""
	// LeakCheckRecords checks those, and what is reported: the masked request and both
	// answers. A Result with a finding is told to no Reporter, and counts as Unreported.
	LeakCheckRecords LeakCheckScope = "records"
)

// LeakPolicy is what follows a finding of a leak check.
type LeakPolicy string

// The policies.
const (
	LeakStopsCopy      LeakPolicy = ""        // the one copy is not sent, the one Result not reported
	LeakDisablesMirror LeakPolicy = "disable" // and the Mirror is switched off, until SetEnabled(true)
)

// WithLeakCheck looks once more at copies that have been masked, and does not send those that
// still hold what looks like one of the Kinds: they are counted as ReasonLeak and in the
// metric shadow.leaks, and each EventReporter is told of an EventLeak, with the kind and
// the place but never the value. It is a test of the masks on live traffic: what it finds is to be
// fixed by a rule, not by the leak check.
//
// A header field that the request came without, and a field of credentials with another
// value than it came with, are the copy's own (see SetHeader) and not looked at. Nor can
// the leak check see into what is encoded in a way that the Mirror cannot decode: it is the
// masks that fail closed, and the leak check that looks for what they missed.
func WithLeakCheck(o LeakCheckOptions) Option {
	return optionFunc(func(c *config) {
		if !(o.Rate > 0 && o.Rate <= 1) { // NaN too
			c.fail("WithLeakCheck: Rate %v is not a share of the copies: 1 checks all of them", o.Rate)
		}
		switch o.Scope {
		case LeakCheckCopies, LeakCheckRecords:
		default:
			c.fail("WithLeakCheck: %q is no LeakCheckScope", o.Scope)
		}
		switch o.Then {
		case LeakStopsCopy, LeakDisablesMirror:
		default:
			c.fail("WithLeakCheck: %q is no LeakPolicy", o.Then)
		}
		kinds, err := kindsOf("WithLeakCheck", o.Kinds)
		if err != nil {
			c.errs = append(c.errs, fmt.Errorf("shadow: %w", err))
		}
		c.leakCheck = &leakCheck{kinds: kinds, share: newShare(o.Rate), LeakCheckOptions: o}
	})
}

// errLeak means that the leak check found something and nothing was sent.
var errLeak = errors.New("shadow: a masked copy still held what looks like personal data or a credential")

// leakCheck checks what was masked. A nil leakCheck looks at nothing.
type leakCheck struct {
	LeakCheckOptions
	kinds detect.Kinds
	share share
}

// watches tells whether the leak check checks copies to t.
func (c *leakCheck) watches(t *Target) bool {
	return c != nil && (t.Masker != nil || !t.local())
}

// detectors are the names of what the leak check looks for.
func (c *leakCheck) detectors() []string {
	if c == nil {
		return nil
	}
	return c.kinds.Names()
}

// idle complains about a leak check that has nothing to check.
func (c *leakCheck) idle(config *config) {
	if c == nil || c.Scope == LeakCheckRecords || c.watches(&config.target) || config.control != nil && c.watches(config.control) {
		return
	}
	config.fail("WithLeakCheck: target %q runs in this process and has no Masker: nothing leaves. LeakCheckRecords checks what is reported", config.target.Name)
}

// checkCopy tells whether the copy that out describes, with the header h, may be sent to t.
// In is the request as it came.
func (m *Mirror) checkCopy(t *Target, j *job, route string, in, out *Message, h http.Header) error {
	c := m.leakCheck
	if !c.watches(t) || !c.share.drawn() {
		return nil
	}
	msg := *out
	msg.Header = make(http.Header, len(h))
	for name, values := range h {
		before, came := in.Header[name]
		own := !came || slices.Contains(credentials[:], http.CanonicalHeaderKey(name)) && !slices.Equal(before, values)
		if !own {
			msg.Header[name] = values
		}
	}
	return m.leaked(t.Name, j.id, route, "a copy that was masked", part{of: &msg})
}

// checkRecord tells whether res, which was masked, may be reported.
func (m *Mirror) checkRecord(res *Result) error {
	c := m.leakCheck
	if c == nil || c.Scope != LeakCheckRecords || !c.share.drawn() {
		return nil
	}
	return m.leaked(res.Target, res.ID, res.Route, "a result that was masked",
		reported(" of the request", res.Request), reported(" of the primary's answer", res.Primary), reported(" of the shadow's answer", res.Shadow))
}

// reported is the part of a record that msg is. Of a body that is not there as a whole no more
// is reported.
func reported(name string, msg *Message) part {
	if msg != nil && msg.Truncated {
		whole := *msg
		whole.Truncated = false
		msg = &whole
	}
	return part{name, msg}
}

// part is a message that is checked, and which of several it is.
type part struct {
	name string
	of   *Message
}

// leaked looks at parts and raises the alarm where there is something in them.
func (m *Mirror) leaked(target, id, route, what string, parts ...part) error {
	found := leaks{kinds: m.leakCheck.kinds}
	for _, p := range parts {
		if p.of != nil {
			found.search(p)
		}
	}
	switch {
	case len(found.counts) > 0:
	case found.unread != nil:
		return &maskError{"WithLeakCheck", found.unread}
	default:
		return nil
	}
	m.guard("MeterProvider", func() error { //nolint:errcheck // logged
		for kind, n := range found.counts {
			m.telemetry.Leak(m.base, target, kind.String(), n)
		}
		return nil
	})
	then := "it was stopped"
	if m.leakCheck.Then == LeakDisablesMirror {
		m.SetEnabled(false)
		then = "it was stopped, and the mirror is switched off"
	}
	m.notify(Event{Kind: EventLeak, Target: target, ID: id, Route: route,
		Text: fmt.Sprintf("%s still holds what looks like %s at %s: %s", what, found.first, found.place, then)})
	return errLeak
}

// leaks are what was found in messages.
type leaks struct {
	kinds  detect.Kinds
	counts map[detect.Kind]int
	first  detect.Kind
	place  string // of the first: a pointer as in Diff.Path, and the part it is in
	unread error  // why a body could not be looked into
}

// look looks into text, which is read as r says. Place is the pointer to its offset at.
func (l *leaks) look(part string, text []byte, r reading, place func(at int) string) {
	if r.find == nil || len(text) == 0 {
		return
	}
	found, err := r.find(nil, text, l.kinds)
	if err != nil { // it is not what it says it is
		found = findRaw(nil, text, l.kinds)
	}
	for _, f := range found {
		if l.counts == nil {
			l.counts, l.first, l.place = map[detect.Kind]int{}, f.Kind, place(f.Start)+part
		}
		l.counts[f.Kind]++
	}
}

// search looks into all of a message.
func (l *leaks) search(p part) {
	msg := p.of
	l.fields(p.name, "/header/", msg.Header)
	l.fields(p.name, "/trailer/", msg.Trailer)
	if u := msg.URL; u != nil {
		whole := func(name string) func(int) string { return func(int) string { return name } }
		if u.User != nil {
			l.look(p.name, []byte(u.User.String()), asURL, whole("/user"))
		}
		l.look(p.name, []byte(u.EscapedPath()), asURL, whole("/path"))
		l.look(p.name, []byte(u.Opaque), asURL, whole("/path"))
		l.look(p.name, []byte(u.EscapedFragment()), asURL, whole("/fragment"))
		l.look(p.name, []byte(u.RawQuery), asURL, func(at int) string { return "/query" + l.field(u.RawQuery, at) })
	}
	l.body(p)
}

// body looks into the body of a message, through the gate of the masks.
func (l *leaks) body(p part) {
	kind, record := media.Of(p.of.Header.Get("Content-Type")).Kind, 0
	_, err := openBody(p.of, &redact.Rule{
		Looks: searched,
		Leaf: func(leaf redact.Leaf) ([]byte, error) {
			r, prefix := leafReading(leaf), "/body"
			switch kind {
			case media.Records:
				prefix += "/" + strconv.Itoa(record)
				record++
			case media.Multipart, media.Events: // whose names are in no pointer
				r.structure = anyText
			}
			l.look(p.name, leaf.Text, r, func(at int) string { return prefix + l.inText(leaf.Text, r, at) })
			return leaf.Text, nil
		},
		Text: func(text []byte) []byte {
			l.look(p.name, text, asText, func(int) string { return "/body" })
			return text
		},
	})
	if err != nil {
		l.unread = err
		l.look(p.name, p.of.Body, asBytes, func(int) string { return "/body" })
	}
}

func (l *leaks) fields(part, prefix string, h http.Header) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if framing[http.CanonicalHeaderKey(name)] {
			continue
		}
		for _, v := range h[name] {
			l.look(part, []byte(v), fieldReading(name), func(int) string { return prefix + l.token(name) })
		}
	}
}

// inText is the pointer to what stands at offset at of a piece of a body, as far as that has
// names in it.
func (l *leaks) inText(text []byte, r reading, at int) string {
	switch r.structure {
	case jsonText:
		return l.inJSON(text, at)
	case formText:
		return l.field(string(text), at)
	}
	return ""
}

// inJSON is the pointer to the value around offset at of doc, or to the object of which a
// member has its name there. It goes so many levels deep and no further.
func (l *leaks) inJSON(doc []byte, at int) string {
	const levels = 32
	if jsonscan.Valid(doc, 0) != nil {
		return ""
	}
	var path strings.Builder
	i := jsonscan.Space(doc, 0)
	for range levels {
		if doc[i] != '{' && doc[i] != '[' {
			break
		}
		c := jsonscan.Open(doc, i)
		for c.Next(doc) {
			if c.End, _ = jsonscan.Value(doc, c.Start, 0); at < c.End {
				break
			}
		}
		if at < c.Start {
			break
		}
		name := strconv.Itoa(c.Index)
		if c.Object() {
			name = l.token(string(jsonscan.AppendUnquote(nil, doc[c.Name:c.NameEnd])))
		}
		path.WriteString("/" + name)
		i = c.Start
	}
	return path.String()
}

// field is the token of the field of a form around offset at, empty where the name itself
// is found.
func (l *leaks) field(form string, at int) string {
	start := strings.LastIndexByte(form[:at], '&') + 1
	name, _, _ := strings.Cut(form[start:], "&")
	name, _, ok := strings.Cut(name, "=")
	if !ok || at < start+len(name) {
		return ""
	}
	if plain, err := url.QueryUnescape(name); err == nil {
		name = plain
	}
	return "/" + l.token(name)
}

// token makes of a name a token of a pointer that can be shown. One that is long, or looks
// like what is looked for, is a value itself.
func (l *leaks) token(name string) string {
	const longest = 64
	if len(name) > longest || len(detect.Text(nil, []byte(name), l.kinds)) > 0 {
		return maskedText
	}
	return pointer.Escape(strings.ToValidUTF8(name, "\uFFFD"))
}
