package shadow

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"

	"github.com/goshadow/shadow/internal/compare"
	"github.com/goshadow/shadow/internal/composite"
	"github.com/goshadow/shadow/internal/detect"
	"github.com/goshadow/shadow/internal/mark"
	"github.com/goshadow/shadow/internal/message"
	"github.com/goshadow/shadow/internal/redact"
	"github.com/goshadow/shadow/internal/route"
	"github.com/goshadow/shadow/internal/sampling"
)

// maskedText takes the place of a value that was masked.
const maskedText = redact.Masked

// masker is every Masker of this package: a rule of the engine, and the arguments of MaskAll.
type masker struct {
	rule *redact.Rule
	of   []Masker
}

// Mask applies the rule.
func (m *masker) Mask(msg *Message) error { return m.rule.Mask((*message.Message)(msg)) }

// Unwrap returns what m is made of.
func (m *masker) Unwrap() []Masker { return m.of }

// Rules returns the places that m was given.
func (m *masker) Rules() []RuleUse {
	if m.rule.Err != nil {
		return nil
	}
	rules := make([]RuleUse, len(m.rule.Given))
	for i, rule := range m.rule.Given {
		rules[i] = RuleUse{Option: m.rule.Option, Path: rule, Count: m.rule.Found(i)}
	}
	return rules
}

// Fault returns what is wrong with the arguments of m.
func (m *masker) Fault() error { return m.rule.Err }

// ruleOf returns m as a rule of the engine, or nil if m is nil. The rules in a Masker of the user
// count for that too.
func ruleOf(m Masker) *redact.Rule {
	if isNil(m) {
		return nil
	}
	if own, ok := m.(*masker); ok {
		return own.rule
	}
	if list, ok := m.(inTurn); ok {
		return redact.All("", nil, rulesOf(list.Unwrap())...)
	}
	var inner []*redact.Rule
	for part := range composite.All(m) {
		if own, ok := part.(*masker); ok && own.of == nil {
			inner = append(inner, own.rule)
		}
	}
	return redact.Wrap(m, func(msg *message.Message) error { return m.Mask((*Message)(msg)) }, inner...)
}

// inTurn is a Masker of another package that only calls its parts in turn.
type inTurn interface {
	composite.Composite[Masker]
	CallsInTurn()
}

func rulesOf(m []Masker) []*redact.Rule {
	rules := make([]*redact.Rule, len(m))
	for i, one := range m {
		rules[i] = ruleOf(one)
	}
	return rules
}

// newLabels returns what names routes, strata and correlation IDs, by the rules of maskers that
// are about them.
func newLabels(c *config, maskers []Masker) *route.Labels {
	l := &route.Labels{Methods: c.methods, Named: c.route != nil, RequestID: c.requestID, NewID: mark.NewID}
	l.Pattern, l.Texts, l.IDs = redact.All("", nil, rulesOf(maskers)...).Labels(c.requestID)
	return l
}

// newMaskAll returns a masker that applies all of m, which option was given.
func newMaskAll(option string, m []Masker) *masker {
	return &masker{redact.All(option, composite.Faults(option, m), rulesOf(m)...), append([]Masker{}, m...)}
}

// Replacement is what takes the place of a masked value: see Redact, Drop, Hash and Tokenize.
// MaskWith gives it to maskers. It is safe for concurrent use and prints nothing of a key.
type Replacement interface{ replacement() redact.Replacement }

type replacement struct{ redact.Replacement }

func (r replacement) replacement() redact.Replacement { return r.Replacement }

// Redact replaces a value by "[masked]", whatever it was; a JSON object or an XML element as a
// whole. Every masker does this by default. It is the right choice unless somebody has to tell
// values apart.
func Redact() Replacement { return replacement{} }

// Drop removes a value together with its name: the header field, the cookie, the parameter, the
// form field or part, the JSON member or element, the XML element or attribute, the segment of the
// path. Of a text in which a pattern was found it removes the match.
func Drop() Replacement { return replacement{redact.Drop()} }

// Hash replaces a value by 16 hexadecimal digits of an HMAC-SHA-256 (RFC 2104) under a random key
// that this call makes and that never leaves the process. Equal values have equal hashes wherever
// this one Replacement is used, and nowhere else: not after a restart, not on another replica, not
// under a second Hash(). Use Tokenize for that.
//
// JSON objects and XML elements keep their shape, and each value in them is replaced: null stays
// null, a boolean becomes false, a number becomes a string.
func Hash() Replacement { return replacement{redact.Hash()} }

// Tokenize replaces a value by a token that is made of it and key. In all places and processes with
// the same key equal values get equal tokens, different values different ones, and a token looks
// like its value: an e-mail address becomes one, digits become as many digits that pass Luhn's
// check if they did, a UUID a UUID, a date a date. So a shadow accepts the copy, and joins and
// comparisons survive. JSON and XML are replaced value by value, as by Hash, but numbers stay
// numbers.
//
// The key must be random and at least 16 bytes long; Tokenize keeps no reference to it. Anybody who
// has it can undo or guess tokens: this is pseudonymisation, not anonymisation. A new key means new
// tokens everywhere: give it to all replicas at once, between two releases, when nothing is to be
// joined any more. Very short numbers have few values to hide among: redact those instead.
func Tokenize(key []byte) Replacement { return replacement{redact.Tokenize(key)} }

// MaskWith masks what the maskers m find, with r in the place of "[masked]":
//
//	shadow.MaskWith(shadow.Tokenize(key), shadow.MaskJSON("$..email"), shadow.MaskQuery("email"))
//
// It takes the built-in maskers that find values. Any other, and a bad key, are an error of New.
func MaskWith(r Replacement, m ...Masker) Masker {
	with := redact.Replacement{Err: errors.New("nil Replacement")}
	if !isNil(r) {
		with = r.replacement()
	}
	all := newMaskAll("MaskWith", m)
	return &masker{all.rule.With(with), all.of}
}

// MaskAll masks with each of m in turn. It stops at the first error. See AllowBodies for the bodies
// that none of them looks into.
func MaskAll(m ...Masker) Masker { return newMaskAll("MaskAll", m) }

// MaskHeaders replaces every value of the named header and trailer fields, in any spelling, by
// "[masked]".
func MaskHeaders(names ...string) Masker { return &masker{rule: redact.MaskHeaders(names...)} }

// MaskCookies replaces the values of the named cookies by "[masked]", in Cookie and in Set-Cookie
// fields. Names match in any case. The attributes of Set-Cookie stay.
//
// DropCredentials and the record mask hide both fields as a whole: MaskCookies is for a target that
// needs other cookies of them.
func MaskCookies(names ...string) Masker { return &masker{rule: redact.MaskCookies(names...)} }

// MaskQuery replaces the values of the named query parameters by "[masked]": every occurrence,
// however its name is spelled, and email[] and email[home] as email. It looks in the URL of a
// request and in URLs in header fields, such as Referer, Location, Link and X-Original-Url; in
// fragments that look like queries, in URLs inside of parameters, and in the parameters of path
// segments (;jsessionid=). Everything else stays as it was, byte for byte.
func MaskQuery(names ...string) Masker { return &masker{rule: redact.MaskQuery(names...)} }

// MaskPath replaces the segments of a path that are wildcards of a pattern by "[masked]":
// "/users/{email}" hides the address, "/files/{path...}" all segments behind files. The patterns
// are those of http.ServeMux without a host; their methods are ignored, so give it the routes of
// the service. It looks in the URL of a request and in URLs in header fields, such as Referer and
// Location.
//
// A pattern of a mask of the target, the control or the record that matches a request is its
// Result.Route too, unless WithRoute or Request.Pattern names one.
func MaskPath(patterns ...string) Masker { return &masker{rule: redact.MaskPath(patterns...)} }

// MaskForm replaces the named fields of forms by "[masked]": in urlencoded bodies, where names match
// as in MaskQuery, and the parts of multipart/form-data, with the files and file names in them.
// Names match in any case.
//
// A form that is Truncated, or whose parts cannot be told apart, is an error. Other bodies are left
// alone: see AllowBodies.
func MaskForm(names ...string) Masker { return &masker{rule: redact.MaskForm(names...)} }

// MaskJSON replaces what the paths select in JSON bodies by the string "[masked]". Paths are
// JSONPath (RFC 9535), or gjson paths if they do not begin with "$". Member names match in any case,
// and every one of several members with the same name is masked. NDJSON and JSON sequences are
// masked record by record, server-sent events by their data, and multipart bodies part by part. A
// string that holds an object or array is masked as that, except by paths with filters.
//
// A body that says it is JSON and is not, or is Truncated, is an error: nobody can tell what is in
// it. So is one in a coding or charset that cannot be read. A body that does not say so is masked if
// it is JSON, and otherwise left alone: see AllowBodies.
func MaskJSON(paths ...string) Masker { return &masker{rule: redact.MaskJSON(paths...)} }

// MaskXML replaces what is in the named elements, and the values of the named attributes, by
// "[masked]", in XML bodies and in the XML parts of multipart bodies. A name is that of an element or
// attribute without its prefix: MaskXML("Password") masks <wsse:Password Type="…">, its attributes
// included, and Password="…", wherever they stand. Names match in any case. XML in CDATA, in escaped
// text and in attributes is masked too; a comment or processing instruction that has one of the names
// in it goes as a whole.
//
// It is an error if a body says it is XML and is not, declares entities, or is Truncated, and if a
// text in it has one of the names and is not XML. HTML is not XML. Other bodies are left alone: see
// AllowBodies.
func MaskXML(names ...string) Masker { return &masker{rule: redact.MaskXML(names...)} }

// MaskPatterns replaces what the expressions match by "[masked]", wherever text is: in values of
// header and trailer fields, in the path, the query and the fragment of URLs, and in bodies. Text is
// decoded first: the strings, numbers and member names of JSON, the names and values of forms, the
// text and the attributes of XML, the parts of multipart bodies and their file names, the data of
// events. So a pattern is about one value, and never spans two. Other text is searched as it is.
// Content-Type, Content-Length and the like are left alone.
//
// Text that is broken, Truncated, or in a coding or charset that cannot be read is an error. Bodies
// that are not text, such as images, are left alone: see AllowBodies.
//
// Name values by their place if they have one, with MaskJSON and its like: a pattern finds only what
// it was written for.
func MaskPatterns(patterns ...*regexp.Regexp) Masker {
	return &masker{rule: redact.MaskPatterns(patterns...)}
}

// DetectorKind is a sort of value that can be recognised by its shape, wherever it stands. It is a
// low-cardinality string, fit for a metric. docs/detectors.md measures what each kind finds and
// misses on a labelled corpus.
type DetectorKind string

// The kinds of detectors.
const (
	DetectCard       DetectorKind = "card"        // payment card numbers: prefix of a network, length and check digit (ISO/IEC 7812)
	DetectEmail      DetectorKind = "email"       // e-mail addresses (RFC 5321)
	DetectPhone      DetectorKind = "phone"       // international phone numbers (ITU-T E.164), and national ones that cannot be anything else
	DetectIBAN       DetectorKind = "iban"        // bank account numbers (ISO 13616)
	DetectNationalID DetectorKind = "national-id" // numbers of persons in some twenty countries, if they have a check or a strict shape
	DetectJWT        DetectorKind = "jwt"         // JSON Web Tokens (RFC 7519)
	DetectBearer     DetectorKind = "bearer"      // credentials behind Bearer (RFC 6750) and Basic (RFC 7617)
	DetectAPIKey     DetectorKind = "api-key"     // keys of services that mark theirs by a prefix: AWS, GitHub, GitLab, Slack, Stripe, Google and others
	DetectPrivateKey DetectorKind = "private-key" // PEM blocks of private keys (RFC 7468)
	DetectIP         DetectorKind = "ip"          // public IP addresses; private ones name nobody
)

// MaskDetected replaces whatever looks like one of kinds, or of all kinds if none is given, by
// "[masked]": in the values of header and trailer fields, in the path and the query of URLs, and in
// bodies. It sees through percent-encoding, escapes of JSON and character references. JSON stays
// JSON: a number in which something is found becomes a string, or what MaskWith makes of it.
//
// A detector knows a value by its shape alone. It is a net below the rules that name places
// (MaskJSON, MaskHeaders, MaskQuery), not a substitute: a name, a street or a number without a check
// digit is not found, and now and then an ordinary number looks like one of a card.
//
// Multipart bodies are read part by part. It is an error if a body is Truncated, says it is JSON and
// is not, is in UTF-16, or has parts that are encoded or cannot be told apart, and if one that is no
// text holds a finding, since nothing in it can be replaced. Images, audio, video and fonts are left
// alone.
func MaskDetected(kinds ...DetectorKind) Masker {
	return &masker{rule: redact.MaskDetected(kindNames(kinds)...)}
}

func kindNames(kinds []DetectorKind) (names []string) {
	for _, kind := range kinds {
		names = append(names, string(kind))
	}
	return names
}

// AllowBodies lets bodies of the named media types pass although no rule looks into them:
// "image/png", all of a type as "image/*", or "*/*" for everything.
//
// Once a Target.Masker has a rule about bodies (MaskJSON, MaskForm, MaskXML, MaskPatterns,
// MaskDetected or AllowBodies), a request is not sent if its body, or a part of it, is of a type that
// none of its rules looks into: it counts as ReasonMaskFailed. Who masks a card number in JSON does
// not want the same number to leave the day somebody uploads it as CSV. Without any such rule all
// bodies are sent as they came: methods with bodies are copied only if WithMethods says so, to a
// target that was chosen for it, and a shadow that gets no bodies shows nothing. If that is not
// good enough, a single AllowBodies() sends no bodies at all, AllowBodies("application/json") sends
// JSON alone, and AllowBodies("*/*") sends everything again. The bodies that a Masker of your own
// looks into have to be allowed too, unless it has a method Unwrap() []Masker with a rule that does.
//
// The record mask follows the same rule, but does not lose a result for it: such a body is left out
// of the record, and values of differences in it are "[masked]".
func AllowBodies(mediaTypes ...string) Masker {
	return &masker{rule: redact.AllowBodies(mediaTypes...)}
}

// DropCredentials removes the header and trailer fields that carry credentials, and the user
// information of URLs, also of URLs in queries and other fields: Authorization, cookies, API keys,
// session and CSRF tokens, client certificates, and what the usual gateways, clouds and services call
// theirs. It also removes the parameters of queries and paths that carry them, such as access_token,
// X-Amz-Signature and ;jsessionid, wherever MaskQuery looks. Remove names that it does not know with
// MaskWith(Drop(), MaskHeaders(…), MaskQuery(…)).
//
// A copy without credentials may be refused: then Result.Note says which were left out.
// Give the copy its own with
//
//	MaskAll(DropCredentials(), SetHeader("Authorization", "Bearer …"))
func DropCredentials() Masker { return &masker{rule: redact.DropCredentials()} }

// SetHeader gives a request the field name with the one value, in place of what it has. It leaves
// answers alone.
func SetHeader(name, value string) Masker { return &masker{rule: redact.SetHeader(name, value)} }

// LeakCheckOptions say what WithLeakCheck looks for, how often, and what follows.
type LeakCheckOptions struct {
	// Rate is the share of copies that are checked, more than 0 and at most 1. Each check costs its
	// worker one pass over the message; the primary notices nothing.
	Rate float64
	// Kinds are what is looked for; none is all kinds. Leave out what your masks let pass on
	// purpose, such as DetectIP if X-Forwarded-For is sent.
	Kinds []DetectorKind
	// Scope is what is checked. The zero value is LeakCheckCopies.
	Scope LeakCheckScope
	// Then is what follows a finding, besides what always does. The zero value is LeakStopsCopy.
	Then LeakPolicy
}

// LeakCheckScope is what a leak check looks at.
type LeakCheckScope string

// The scopes of a leak check.
const (
	// LeakCheckCopies checks copies before they are sent to another process, or in this one to a
	// target that has a Masker.
	LeakCheckCopies LeakCheckScope = ""
	// LeakCheckRecords checks those, and what is reported: the masked request and both answers. A
	// Result with a finding is reported without its content, see ErrWithheld, and counts as Unreported.
	LeakCheckRecords LeakCheckScope = "records"
)

// LeakPolicy is what follows a finding of a leak check.
type LeakPolicy string

// The policies.
const (
	LeakStopsCopy      LeakPolicy = ""        // the one copy is not sent, the one Result has no content
	LeakDisablesMirror LeakPolicy = "disable" // and the Mirror is switched off, until SetEnabled(true)
)

// WithLeakCheck looks once more at copies that have been masked, and does not send those that still
// hold what looks like one of the Kinds. They are counted as ReasonLeak and in the metric
// shadow.leaks, and each EventReporter is told of an EventLeak, with the kind and the place but never
// the value. It is a test of the masks on live traffic: fix what it finds by a rule.
//
// A header field that the request came without, and a field of credentials with another value than it
// came with, are the copy's own (see SetHeader) and not looked at. The check cannot see into what the
// Mirror cannot decode: masks fail closed, and the leak check looks for what they missed.
func WithLeakCheck(o LeakCheckOptions) Option {
	return optionFunc(func(c *config) {
		if !(o.Rate > 0 && o.Rate <= 1) { // NaN too
			c.fail("WithLeakCheck: Rate %v is not a share of the copies: 1 checks all of them", o.Rate)
		}
		if o.Scope != LeakCheckCopies && o.Scope != LeakCheckRecords {
			c.fail("WithLeakCheck: %q is no LeakCheckScope", o.Scope)
		}
		if o.Then != LeakStopsCopy && o.Then != LeakDisablesMirror {
			c.fail("WithLeakCheck: %q is no LeakPolicy", o.Then)
		}
		kinds, err := redact.KindsOf("WithLeakCheck", kindNames(o.Kinds))
		if err != nil {
			c.errs = append(c.errs, fmt.Errorf("shadow: %w", err))
		}
		c.leakCheck = &leakCheck{kinds: kinds, share: sampling.NewChance(o.Rate), LeakCheckOptions: o}
	})
}

// leakCheck checks what was masked. A nil leakCheck checks nothing.
type leakCheck struct {
	LeakCheckOptions
	kinds detect.Kinds
	share sampling.Chance
}

// watches reports whether copies to t are checked.
func (c *leakCheck) watches(t *Target) bool { return c != nil && (t.Masker != nil || !t.local()) }

// detectors returns the names of what is looked for.
func (c *leakCheck) detectors() []string {
	if c == nil {
		return nil
	}
	return c.kinds.Names()
}

// idle complains about a leak check that has nothing to look at.
func (c *leakCheck) idle(config *config) {
	if c == nil || c.Scope == LeakCheckRecords || c.watches(&config.target) || config.control != nil && c.watches(config.control) {
		return
	}
	config.fail("WithLeakCheck: target %q runs in this process and has no Masker: nothing leaves. LeakCheckRecords checks what is reported", config.target.Name)
}

// replacers returns the parts of m that put something else in the place of values.
func replacers(m Masker) []*redact.Rule {
	if m == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(ruleOf(m).Units()), func(r *redact.Rule) bool { return !r.HidesValues() })
}

// replace applies a rule to msg.
func (m *Mirror) replace(rule *redact.Rule, msg *Message) error {
	return m.guard("Masker", func() error {
		_, err := rule.Covered((*message.Message)(msg))
		return err
	})
}

// masksFor returns what masks the copies sent to t, or nil if nothing does. It is a list even of
// one rule: see AllowBodies.
func (c *config) masksFor(t *Target) Masker {
	var all []Masker
	if !t.local() {
		all = c.maskers
	}
	if t.Masker == nil && len(all) == 0 {
		return nil
	}
	return &masker{redact.Union("Masker", rulesOf(all), ruleOf(t.Masker)), append(slices.Clone(all), t.Masker)}
}

// reportsMore reports whether reports hold values that a target is not sent: its Masker hides
// them, and nobody has said what reports hide.
func (c *config) reportsMore() bool {
	if len(c.maskers) > 0 || len(c.recordMaskers) > 0 {
		return false
	}
	for _, t := range []*Target{&c.target, c.control} {
		if t != nil && t.Masker != nil && ruleOf(t.Masker).HidesValues() {
			return true
		}
	}
	return false
}

var (
	// errMask means that the target's Masker failed, or its result could not be sent.
	errMask   = errors.New("shadow: mask failed")
	errNoRoom = errors.New("shadow: no room for what the Masker works on")
)

// maskRecord turns res into what may be reported: its messages masked in place, and
// the values of its differences read from them. An error means that it may not be.
func (m *Mirror) maskRecord(j *job, res *Result) error {
	primary, shadow := (*message.Message)(res.Primary), (*message.Message)(res.Shadow)
	p, s := compare.BodyOf(primary), compare.BodyOf(shadow)
	for _, msg := range []*Message{res.Request, res.Primary, res.Shadow} {
		if msg == nil {
			continue
		}
		if err := m.maskMessage(j, msg); err != nil {
			return err
		}
	}
	j.found.Mask(primary, shadow, p, s, m.ruleWords)
	res.Diffs, res.Noise = plainDiffs(j.found.Diffs), plainDiffs(j.found.Noise)
	if !j.hold(sizeOf(res.Diffs) + sizeOf(res.Noise)) {
		return errNoRoom
	}
	if res.Control != nil {
		res.Control = &ControlDiffs{plainDiffs(j.found.Control)}
	}
	return m.checkRecord(res)
}

// maskMessage masks msg, which is part of the record of j. What the user's maskers may write
// counts against the budget until j is released.
func (m *Mirror) maskMessage(j *job, msg *Message) error {
	if len(m.maskers)+len(m.recordMaskers) == 0 { // the mask of credentials writes no body
		return m.mask.rule.Record((*message.Message)(msg))
	}
	room := int64(len(msg.Body))
	if !j.hold(room) {
		return errNoRoom
	}
	if err := m.mask.rule.Record((*message.Message)(msg)); err != nil {
		return err
	}
	if more := int64(len(msg.Body)) - room; more > 0 && !j.hold(more) {
		return errNoRoom
	}
	return nil
}

// hold reserves n bytes until j is released, and reports whether there was room.
func (j *job) hold(n int64) bool {
	if !j.pool.Reserve(n) {
		return false
	}
	j.held += n
	return true
}

// sizeOf returns the bytes of the values of diffs.
func sizeOf(diffs []Diff) (n int64) {
	for i := range diffs {
		n += int64(len(diffs[i].Primary) + len(diffs[i].Shadow))
	}
	return n
}

// errLeak says that the leak check found something and nothing was sent.
var errLeak = errors.New("shadow: a masked copy still held what looks like personal data or a credential")

// checkCopy returns an error if the copy that out describes, with the header h, may not be sent to
// t. In is the request as it came.
func (m *Mirror) checkCopy(t *Target, j *job, route string, in, out *Message, h http.Header) error {
	if c := m.leakCheck; !c.watches(t) || !c.share.Draw() {
		return nil
	}
	return m.leaked(t.Name, j.id, route, "a copy that was masked",
		redact.Sent((*message.Message)(in), (*message.Message)(out), h))
}

// checkRecord returns an error if res, which was masked, may not be reported.
func (m *Mirror) checkRecord(res *Result) error {
	if c := m.leakCheck; c == nil || c.Scope != LeakCheckRecords || !c.share.Draw() {
		return nil
	}
	return m.leaked(res.Target, res.ID, res.Route, "a result that was masked",
		redact.Reported(" of the request", (*message.Message)(res.Request)),
		redact.Reported(" of the primary's answer", (*message.Message)(res.Primary)),
		redact.Reported(" of the shadow's answer", (*message.Message)(res.Shadow)))
}

// leaked looks for leaks in parts and raises the alarm if there is one.
func (m *Mirror) leaked(target, id, route, what string, parts ...redact.Part) error {
	found, err := redact.FindLeaks(m.leakCheck.kinds, parts...)
	if found == nil {
		return err
	}
	m.guard("MeterProvider", func() error { //nolint:errcheck // logged
		for kind, n := range found.Counts {
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
		Text: fmt.Sprintf("%s still holds what looks like %s at %s: %s", what, found.First, found.Place, then)})
	return errLeak
}

// maskFailed reports err once for each rule. What says which consequence it had.
func (m *Mirror) maskFailed(target string, x *Exchange, what string, err error) {
	if errors.Is(err, errLeak) || errors.Is(err, errNoRoom) { // reported already; no fault of a mask
		return
	}
	rule, cause := "a Masker", "a Masker of the program's own failed" // whose error may say anything
	var built *redact.Error
	if errors.As(err, &built) {
		rule, cause = built.Option, built.Option+": "+built.Err.Error()
	}
	if _, again := m.told.LoadOrStore(target+" "+what+" "+rule, true); !again {
		m.notify(Event{Kind: EventMaskFailed, Target: target, ID: x.ID, Route: x.Route, Text: what + ": " + cause + "; further ones are counted only"})
	}
}
