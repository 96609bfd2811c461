package shadow

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/goshadow/shadow/internal/jsonpath"
	"github.com/goshadow/shadow/internal/media"
	"github.com/goshadow/shadow/internal/redact"
)

// bodyRule is a Masker that looks into bodies.
type bodyRule interface {
	Masker
	// covers tells whether the rule looks into a piece of body, or at what stands around
	// it in a form. A piece without text is one of which nobody knows what it holds.
	covers(l redact.Leaf) bool
}

var (
	errWhole = errors.New("the body is not there as a whole")
	errTypes = errors.New("several Content-Type fields that differ")
	errStray = errors.New("a stream of events with a line that is no field of an event")
)

// maskBody masks the body of msg, if it is of a kind that the rule is about. Every rule that
// looks at bodies does so here: what it would look into, and cannot read, is an error.
func maskBody(name string, msg *Message, rule bodyRule, walk redact.Rule) error {
	if walk.Looks == nil {
		walk.Looks = rule.covers
	}
	body, err := openBody(msg, &walk)
	if err != nil {
		return &maskError{name, err}
	}
	msg.Body = body
	return nil
}

// openBody walks through the body of msg and returns what walk makes of it.
func openBody(msg *Message, walk *redact.Rule) ([]byte, error) {
	if len(msg.Body) == 0 && !msg.Truncated {
		return msg.Body, nil
	}
	f, err := formatOf(msg)
	if err != nil {
		return nil, err
	}
	if msg.Truncated {
		if f.Kind != media.Multipart && !walk.Looks(redact.Leaf{Format: f, Text: msg.Body}) {
			return msg.Body, nil
		}
		return nil, errWhole
	}
	return walk.Body(f, msg.Body)
}

// maskError is why a built-in rule failed. It quotes no more of a body than a character.
type maskError struct {
	rule string
	err  error
}

func (e *maskError) Error() string { return "shadow: " + e.rule + ": " + e.err.Error() }
func (e *maskError) Unwrap() error { return e.err }

// formatOf reads the Content-Type of msg.
func formatOf(msg *Message) (media.Format, error) {
	value, found := "", false
	for name, values := range msg.Header {
		if http.CanonicalHeaderKey(name) != "Content-Type" {
			continue
		}
		for _, v := range values {
			if found && v != value {
				return media.Format{}, errTypes
			}
			value, found = v, true
		}
	}
	return media.Of(value), nil
}

// MaskJSON replaces what the paths select in JSON bodies by the string "[masked]".
// Paths are JSONPath (RFC 9535), or gjson paths where they do not begin with "$".
// Member names match in any case, and every one of several members with the same name
// is masked. NDJSON and JSON sequences are masked record by record, server-sent events by
// their data, and multipart bodies part by part. A string that holds an object or array is
// looked into as if it were that, except by paths with filters.
//
// A body that says it is JSON and is not, or is Truncated, is an error: nobody can tell
// what is in it. So is one in a coding or charset that cannot be read. A body that does
// not say so is masked if it is JSON, and else left alone: see AllowBodies.
func MaskJSON(paths ...string) Masker {
	m := &maskJSON{paths: slices.Clone(paths)}
	parsed := make([]*jsonpath.Path, 0, len(paths))
	for _, path := range paths {
		p, err := jsonpath.Parse(path)
		if err != nil {
			m.err = errors.Join(m.err, fmt.Errorf("MaskJSON: %w", err))
			continue
		}
		parsed = append(parsed, p.Fold())
	}
	m.set = jsonpath.NewSet(parsed...)
	return m
}

type maskJSON struct {
	replacing
	paths []string
	set   *jsonpath.Set
	err   error
}

func (m *maskJSON) Rules() []RuleUse {
	if m.err != nil {
		return nil
	}
	return ruleUses("MaskJSON", m.paths, func(i int) uint64 { return m.set.Found(i) })
}

var maskedJSON = []byte(`"` + maskedText + `"`)

func (m *maskJSON) Fault() error { return m.err }

func (m *maskJSON) with(r redact.Replacement) Masker {
	changed := *m
	changed.r = r
	return &changed
}

func (m *maskJSON) covers(l redact.Leaf) bool {
	switch l.Kind {
	case media.JSON, media.Records, media.Events:
		return true
	}
	return len(l.Text) == 0 && l.Kind <= media.Lines || redact.LooksLikeJSON(l.Text) ||
		l.Coding != "" && l.Kind == media.Lines
}

func (m *maskJSON) Mask(msg *Message) error {
	if m.err != nil {
		return m.err
	}
	return maskBody("MaskJSON", msg, m, redact.Rule{
		Looks: func(l redact.Leaf) bool { return l.Type == eventStream || m.covers(l) },
		Leaf: func(l redact.Leaf) ([]byte, error) {
			switch {
			case l.Kind != media.Lines || redact.LooksLikeJSON(l.Text):
			case l.Stray:
				return nil, errStray
			default: // of a stream, as a rule a word
				return l.Text, redact.Unread(l.Text, m.set)
			}
			return redact.JSON(l.Text, m.set, m.r)
		},
	})
}

// MaskForm replaces the named fields of forms by "[masked]": in urlencoded bodies, where
// names are matched as MaskQuery does, and the parts of multipart/form-data, with the
// files and file names in them. Names match in any case.
//
// A form that is Truncated, or whose parts cannot be told apart, is an error. Other bodies
// are left alone: see AllowBodies.
func MaskForm(names ...string) Masker {
	m := &maskForm{given: slices.Clone(names), names: redact.NewNames(names...)}
	if m.names[""] != nil {
		m.err = errors.New("MaskForm: empty name")
	}
	return m
}

type maskForm struct {
	replacing
	given []string
	names redact.Names
	err   error
}

func (m *maskForm) Rules() []RuleUse {
	return ruleUses("MaskForm", m.given, func(i int) uint64 { return m.names.Found(m.given[i]) })
}

func (m *maskForm) Fault() error { return m.err }

func (m *maskForm) with(r redact.Replacement) Masker {
	changed := *m
	changed.r = r
	return &changed
}

// covers is about forms, and the fields of forms that come as parts. Files and documents in
// such parts, and what only says that it is a form, are for other rules to look into.
func (m *maskForm) covers(l redact.Leaf) bool {
	return l.Plain || l.Kind == media.Form && redact.LooksLikeForm(l.Text)
}

func (m *maskForm) Mask(msg *Message) error {
	if m.err != nil {
		return m.err
	}
	return maskBody("MaskForm", msg, m, redact.Rule{
		Leaf: func(l redact.Leaf) ([]byte, error) { return redact.Form(l.Text, m.names, m.r), nil },
		Part: func(name string) (redact.Replacement, bool) { return m.r, m.names.HasField(name) },
	})
}

// MaskXML replaces what is in the named elements, and the values of the named attributes,
// by "[masked]", in XML bodies and in the XML parts of multipart bodies. A name is that of
// an element or attribute without its prefix: MaskXML("Password") masks
// <wsse:Password Type="…">, its attributes included, and Password="…", wherever they
// stand. Names match in any case. XML in CDATA, in escaped text and in attributes is looked
// into; a comment or processing instruction that has one of the names in it goes as a whole.
//
// A body that says it is XML and is not, that declares entities, or is Truncated, is an error,
// and so is one in whose text there is one of the names in something that is not XML. HTML is not XML. Other bodies are left alone: see AllowBodies.
func MaskXML(names ...string) Masker {
	m := &maskXML{given: slices.Clone(names), names: redact.NewNames(names...)}
	for _, name := range names {
		if name == "" || strings.ContainsAny(name, " :/@<>") {
			m.err = errors.Join(m.err, fmt.Errorf("MaskXML: %q is not the name of an element or attribute without prefix", name))
		}
	}
	return m
}

type maskXML struct {
	replacing
	given []string
	names redact.Names
	err   error
}

func (m *maskXML) Rules() []RuleUse {
	return ruleUses("MaskXML", m.given, func(i int) uint64 { return m.names.Found(m.given[i]) })
}

func (m *maskXML) Fault() error { return m.err }

func (m *maskXML) with(r redact.Replacement) Masker {
	changed := *m
	changed.r = r
	return &changed
}

func (m *maskXML) covers(l redact.Leaf) bool {
	if l.Kind == media.XML || l.Kind <= media.Lines && len(l.Text) == 0 {
		return true
	}
	return (l.Kind <= media.Lines || l.Kind == media.Form) && redact.LooksLikeXML(l.Text)
}

func (m *maskXML) Mask(msg *Message) error {
	if m.err != nil {
		return m.err
	}
	return maskBody("MaskXML", msg, m, redact.Rule{Leaf: func(l redact.Leaf) ([]byte, error) {
		return redact.XML(l.Text, m.names, m.r)
	}})
}

const eventStream = "text/event-stream"

// AllowBodies lets bodies of the named media types pass although no rule looks into them:
// "image/png", all of a type as "image/*", or "*/*" for everything.
//
// Once a Target.Masker has a rule about bodies (MaskJSON, MaskForm, MaskXML, MaskPatterns
// or AllowBodies), a request whose body, or a part of it, is of a type that none of its
// rules looks into is not sent: it counts as ReasonMaskFailed. Who masks a card number in
// JSON does not want the same number to leave the day somebody uploads it as CSV.
// Without any such rule all bodies are sent as they came: methods with bodies are copied
// only where WithMethods says so, to a target that was chosen for it, and a shadow that
// gets no bodies shows nothing. Where that is not good enough a single AllowBodies()
// sends no bodies at all, AllowBodies("application/json") sends JSON alone, and
// AllowBodies("*/*") sends everything again. What a Masker of one's own looks into has to
// be allowed too.
//
// The record mask follows the same rule, but does not lose a result for it: such a body
// is left out of the record, and values of differences in it are "[masked]".
func AllowBodies(mediaTypes ...string) Masker {
	m := &allowBodies{}
	for _, t := range mediaTypes {
		kind, sub, ok := strings.Cut(t, "/")
		if !ok || kind == "" || sub == "" || strings.ContainsAny(t, "; ,") || kind == "*" && sub != "*" {
			m.err = errors.Join(m.err, fmt.Errorf(`AllowBodies: %q is not a media type like "image/png", "image/*" or "*/*"`, t))
		}
		m.types = append(m.types, strings.ToLower(t))
	}
	return m
}

type allowBodies struct {
	types []string
	err   error
}

func (m *allowBodies) Fault() error { return m.err }

func (m *allowBodies) Mask(*Message) error { return m.err }

func (m *allowBodies) covers(l redact.Leaf) bool {
	kind, _, _ := strings.Cut(l.Type, "/")
	for _, t := range m.types {
		if t == "*/*" || t == l.Type || t == kind+"/*" {
			return true
		}
	}
	return false
}

// uncovered is an error where the rules of m are about bodies, but none of them looks into
// that of msg.
func (m *maskAll) uncovered(msg *Message) error {
	if len(msg.Body) == 0 && !msg.Truncated {
		return nil
	}
	if !m.looks() {
		return nil
	}
	f, err := formatOf(msg)
	if err != nil {
		return &maskError{"AllowBodies", err}
	}
	whole := redact.Leaf{Format: f, Text: msg.Body}
	if m.covers(whole) {
		return nil
	}
	if f.Kind != media.Multipart || msg.Truncated {
		return uncovered(f)
	}
	var other error
	walk := redact.Rule{
		Looks: func(l redact.Leaf) bool {
			if other == nil && !m.covers(l) {
				other = uncovered(l.Format)
			}
			return false
		},
		Part: func(name string) (redact.Replacement, bool) { return redact.Replacement{}, m.hides(name) },
	}
	if _, err = walk.Body(f, msg.Body); err != nil {
		return &maskError{"AllowBodies", err}
	}
	return other
}

// hides reports whether one of the rules of m hides the part of a form with that name,
// whatever is in it.
func (m *maskAll) hides(name string) bool {
	return slices.ContainsFunc(m.list, func(masker Masker) bool {
		form, ok := masker.(*maskForm)
		return ok && form.names.HasField(name)
	})
}

// looks tells whether one of the rules of m is about bodies.
func (m *maskAll) looks() bool {
	for _, masker := range m.list {
		if _, ok := masker.(bodyRule); ok {
			return true
		}
	}
	return false
}

// reads reports whether one of the maskers of m may look at what is in bodies.
func (m *maskAll) reads() bool {
	return m.renames() || slices.ContainsFunc(m.list, func(masker Masker) bool {
		_, rule := masker.(bodyRule)
		_, list := masker.(*allowBodies)
		return rule && !list
	})
}

// covers tells whether one of the rules of m looks into a piece of body.
func (m *maskAll) covers(l redact.Leaf) bool {
	for _, masker := range m.list {
		if rule, ok := masker.(bodyRule); ok && rule.covers(l) {
			return true
		}
	}
	return false
}

func uncovered(f media.Format) error {
	return &maskError{"AllowBodies", fmt.Errorf("no rule looks into a body of type %.100q", f.Type)}
}

// EventMaskFailed is that a copy was not sent, or the content of a result not reported, because
// a mask could not do its work. It is told once for each rule, and says why where the rule is
// built in; Stats count the rest.
const EventMaskFailed EventKind = "mask-failed"

// maskFailed tells of err, for which something, what, was not done.
func (m *Mirror) maskFailed(target string, x *Exchange, what string, err error) {
	if errors.Is(err, errLeak) || errors.Is(err, errNoRoom) { // reported already; no fault of a mask
		return
	}
	rule, why := "a Masker", "a Masker of the program's own failed" // whose error may say anything
	var built *maskError
	if errors.As(err, &built) {
		rule, why = built.rule, built.rule+": "+built.err.Error()
	}
	if _, again := m.told.LoadOrStore(target+" "+what+" "+rule, true); !again {
		m.notify(Event{Kind: EventMaskFailed, Target: target, ID: x.ID, Route: x.Route, Text: what + ": " + why + "; further ones are counted only"})
	}
}
