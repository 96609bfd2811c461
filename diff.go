package shadow

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/goshadow/shadow/internal/compare"
	"github.com/goshadow/shadow/internal/composite"
	"github.com/goshadow/shadow/internal/message"
	"github.com/goshadow/shadow/internal/redact"
	"github.com/goshadow/shadow/internal/render"
)

// DiffKind is how two values differ.
type DiffKind string

// The kinds of differences.
const (
	Changed     DiffKind = "changed"      // both are there, of one type
	TypeChanged DiffKind = "type-changed" // both are there, of different types
	Missing     DiffKind = "missing"      // only the primary has it
	Extra       DiffKind = "extra"        // only the shadow has it
	Reordered   DiffKind = "reordered"    // the same elements in another order
)

// DiffClass is what the two values of a difference look like, and so a likely cause.
// It is a hint: it never hides a difference.
type DiffClass string

// The classes of differences.
const (
	ClassNone      DiffClass = ""           // nothing in particular
	ClassTimestamp DiffClass = "timestamp"  // both are points in time
	ClassUUID      DiffClass = "uuid"       // both are UUIDs
	ClassToken     DiffClass = "token"      // both are hex or base64 tokens
	ClassRounding  DiffClass = "rounding"   // numbers within 1e-9 of each other
	ClassNumeric   DiffClass = "numeric"    // a number and the same number in a string
	ClassOrder     DiffClass = "reordering" // the same elements in another order
	ClassCase      DiffClass = "case"       // equal but for upper and lower case
	ClassSpace     DiffClass = "whitespace" // equal but for white space
	ClassHost      DiffClass = "url-host"   // URLs that differ in scheme and host alone
	ClassMasked    DiffClass = "masked"     // the shadow answered with what it was sent in place of a masked value
)

// Diff is one difference between the primary's answer and the shadow's.
type Diff struct {
	// Path is an RFC 6901 pointer into the answer: /status, /header/Content-Type,
	// /trailer/Grpc-Status, /body, /body/items/0/id.
	Path  string
	Kind  DiffKind
	Class DiffClass
	// Primary and Shadow are the two values as JSON, nil where there is none. In a
	// Result they are read from the masked answers.
	Primary, Shadow json.RawMessage
}

// Comparator says how the shadow's answer differs from the primary's. It must not
// change x. Both x.Primary and x.Shadow are there. Compare is called by many goroutines
// at a time; a panic counts the request as Uncompared.
//
// A Comparator that hands on to others has a method Unwrap() []Comparator that returns them.
// It may return some of the differences that a RuleComparator has found, and loses nothing: the
// rules are counted and reported, and the values of elements that have moved are found.
type Comparator interface {
	Compare(x *Exchange) Comparison
}

// Comparison is what a Comparator found. The answers match if it is empty.
//
// The values of its Diffs are replaced by what the masked answers hold at their paths, and
// by nothing where those have no such path.
type Comparison struct {
	Diffs []Diff // in path order
	More  bool   // there are more differences than Diffs holds
	// Err says why the bodies could not be compared. Without other Diffs the outcome is
	// Uncompared. A Diff whose path is /body is not counted then: it stands for the error.
	Err error
}

// ComparatorFunc is a function that compares. It cannot return all of a Comparison: what
// calls another Comparator implements Comparator instead.
type ComparatorFunc func(x *Exchange) []Diff

// Compare calls f.
func (f ComparatorFunc) Compare(x *Exchange) Comparison { return Comparison{Diffs: f(x)} }

// CompareOptions says what differs and what does not. The zero value compares the
// status, the header fields that clients act on and the body, exactly.
//
// Paths are JSONPath (RFC 9535), or gjson paths where they do not begin with "$". In
// NDJSON and JSON sequences they are applied to each record.
type CompareOptions struct {
	// Headers narrows the header fields that are compared to those named; an empty slice is
	// none. Nil is all but those that differ between two right answers (Date, Age, the
	// value of an ETag, request IDs, what is left of a quota) or that no client acts on (Server, Via,
	// how the content is coded): docs/comparison.md lists them. By default cookies are
	// compared without their values, and policies and challenges without their nonces.
	//
	// Values are compared by what they mean: media types by type and parameters, dates by
	// time, Cache-Control, Link, Vary and their like as sets, tokens and quoted strings
	// alike, Set-Cookie by cookie, with differences at /header/Set-Cookie/<name>.
	Headers []string
	// Ignore selects values that are left out, wherever they are, and whose absence
	// does not matter.
	Ignore []string
	// Unordered selects arrays that are compared as multisets.
	Unordered []string
	// Keyed selects arrays whose elements are paired by the value of a member,
	// whatever their order: path -> name of the member. A dot in the name is written "\.".
	Keyed map[string]string
	// Tolerances lets numbers and times differ a little: path -> how much, which is not 0.
	Tolerances map[string]Tolerance
	// Bodies registers comparators of bodies by media type, in place of the built-in
	// one: "application/vnd.acme+json", a suffix "+xml", or all of a type "image/*". The
	// primary's Content-Type decides. Status, header fields and trailers are compared as
	// ever, and so are bodies that were not kept as a whole.
	Bodies map[string]Comparator
	// MediaTypes are media types whose bodies are read as those of another, which is built
	// in: "application/vnd.acme": "application/json". In the bodies of a Bodies that has none
	// of its own it applies too.
	MediaTypes map[string]string
	// StatusClass compares only the class of the status: 200 equals 201.
	StatusClass bool
	// MaxDiffs is how many differences are reported of one exchange; 0 is 100. Where
	// there are more, Result.More is set.
	MaxDiffs int
}

// Tolerance is how far two values may be apart and still be equal: numbers by Abs, or
// by Rel times the larger of the two; RFC 3339 times, and numbers that count time since
// 1970 in s, ms, µs or ns, by Time. A bound that is 0 does not apply.
type Tolerance struct {
	Abs, Rel float64
	Time     time.Duration
}

// RuleComparator is the built-in Comparator: see NewComparator.
type RuleComparator struct {
	rules *compare.Comparer
	own   map[string]Comparator // of CompareOptions.Bodies, by media type, +suffix or type/*, in lower case
}

// NewComparator returns the comparator that o describes. JSON is compared by structure:
// numbers by value at any size and precision, strings by decoded value, objects in any
// order. NDJSON, JSON sequences and event streams are compared record by record, forms by
// field, multipart by part, XML by structure, text by line, and everything else by its
// bytes. A body that was not kept as a whole is compared by length and hash. The error
// names everything that is wrong with o.
func NewComparator(o CompareOptions) (*RuleComparator, error) {
	tolerances := make(map[string]compare.Tolerance, len(o.Tolerances))
	for path, t := range o.Tolerances {
		tolerances[path] = compare.Tolerance(t)
	}
	names := slices.Sorted(maps.Keys(o.Bodies))
	rules, err := compare.New(compare.Options{
		Headers: o.Headers, Ignore: o.Ignore, Unordered: o.Unordered, Keyed: o.Keyed, Tolerances: tolerances,
		Bodies: names, MediaTypes: o.MediaTypes, StatusClass: o.StatusClass, MaxDiffs: o.MaxDiffs,
	})
	errs := []error{err}
	c := &RuleComparator{rules: rules, own: make(map[string]Comparator, len(names))}
	for _, name := range names {
		own := o.Bodies[name]
		err := composite.Fault(fmt.Sprintf("%q", name), own)
		if builtIn, ok := own.(*RuleComparator); ok && err == nil {
			inherits := *builtIn
			inherits.rules, err = builtIn.rules.Inherit(o.MediaTypes, name)
			own = &inherits
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("shadow: CompareOptions.Bodies: %w", err))
		}
		c.own[strings.ToLower(name)] = own
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return c, nil
}

// Rules returns the rules in the order Ignore, Unordered, Keyed, Tolerances, then those of the
// built-in comparators of Bodies, and how often they have taken effect. A rule that stays at zero while answers differ matches nothing, or
// nothing that ever differs: it may be misspelt.
func (c *RuleComparator) Rules() []RuleUse {
	var rules []RuleUse
	for _, r := range c.rules.Rules() {
		rules = append(rules, RuleUse(r))
	}
	for _, name := range slices.Sorted(maps.Keys(c.own)) {
		if builtIn, ok := c.own[name].(*RuleComparator); ok {
			rules = append(rules, builtIn.Rules()...)
		}
	}
	return rules
}

// Unwrap returns the comparators of CompareOptions.Bodies that are not built in. Rules and
// Compare include the others.
func (c *RuleComparator) Unwrap() []Comparator {
	var list []Comparator
	for _, name := range slices.Sorted(maps.Keys(c.own)) {
		if _, builtIn := c.own[name].(*RuleComparator); !builtIn {
			list = append(list, c.own[name])
		}
	}
	return list
}

// Compare compares the two answers of x. Where the bodies cannot be compared and all else
// is the same there is a difference at /body besides the error.
func (c *RuleComparator) Compare(x *Exchange) Comparison {
	got := c.find(x)
	if got.Err != nil && len(got.Diffs) == 0 {
		got.Diffs = append(got.Diffs, compare.Diff{Path: "/body", Kind: string(Changed)})
	}
	compare.Fill(got.Diffs, (*message.Message)(x.Primary), (*message.Message)(x.Shadow))
	return Comparison{Diffs: plainDiffs(got.Diffs), More: got.More, Err: got.Err}
}

// find returns the differences of x without their values.
func (c *RuleComparator) find(x *Exchange) compare.Found {
	p, s := (*message.Message)(x.Primary), (*message.Message)(x.Shadow)
	var body compare.Found
	switch own := c.own[c.rules.Registered(p, s)].(type) {
	case nil:
		body = c.rules.Bodies(p, s)
	case *RuleComparator:
		body = own.rules.Bodies(p, s)
	default:
		body = find(own, x)
	}
	return c.rules.Answers(p, s, body)
}

// find returns what c finds in x, without values. The places of values that have moved come from
// the built-in comparators inside c.
func find(c Comparator, x *Exchange) compare.Found {
	if builtIn, ok := c.(*RuleComparator); ok {
		return builtIn.find(x)
	}
	got := c.Compare(x)
	found := compare.Found{More: got.More, Err: got.Err}
	inBody := false
	for _, d := range got.Diffs {
		if got.Err == nil || d.Path != "/body" {
			found.Diffs = append(found.Diffs, compare.Diff{Path: d.Path, Kind: string(d.Kind), Class: string(d.Class)})
			inBody = inBody || strings.HasPrefix(d.Path, "/body")
		}
	}
	if inBody {
		compare.Locate(found.Diffs, locate(c, x))
	}
	return found
}

// locate returns the differences of the bodies of x that the built-in comparators inside c find.
func locate(c Comparator, x *Exchange) (found []compare.Diff) {
	p, s := (*message.Message)(x.Primary), (*message.Message)(x.Shadow)
	for part := range composite.All(c) {
		builtIn, ok := part.(*RuleComparator)
		if !ok {
			continue
		}
		switch own := builtIn.own[builtIn.rules.Registered(p, s)].(type) {
		case nil:
			found = append(found, builtIn.rules.Locate(p, s)...)
		case *RuleComparator:
			found = append(found, own.rules.Locate(p, s)...)
		}
	}
	return found
}

// plainDiffs returns what users see of list.
func plainDiffs(list []compare.Diff) []Diff {
	if list == nil {
		return nil
	}
	diffs := make([]Diff, len(list))
	for i, d := range list {
		diffs[i] = Diff{Path: d.Path, Kind: DiffKind(d.Kind), Class: DiffClass(d.Class), Primary: d.Primary, Shadow: d.Shadow}
	}
	return diffs
}

// compare compares the answers, takes the noise out and finishes j.
func (m *Mirror) compare(j *job, res *Result, raw []byte, candidate *attempt, control *controlAttempt) {
	starved := candidate.buf.Starved() || j.resp.Body.Starved()
	primary := res.Primary
	res.Primary = candidate.primary(primary)
	got := m.diff(&res.Exchange, starved)
	err := got.Err
	request := func() *message.Message { // as it was before it was masked
		msg := new(Message)
		if !m.request(msg, new(url.URL), j, raw) {
			return nil
		}
		return (*message.Message)(msg)
	}
	diffs, tokens, more := m.subtractTokens(&res.Exchange, m.replacers.candidate, request, got)
	if control != nil && control.wait() && control.err == nil {
		x := res.Exchange
		x.Shadow = control.answer
		x.Primary = control.primary(primary)
		again := m.diff(&x, j.resp.Body.Starved() || control.buf.Starved())
		noise, _, others := m.subtractTokens(&x, m.replacers.control, request, again)
		if err == nil && again.Err == nil && !more && !others { // all of both is known
			res.Control = new(ControlDiffs)
			j.found.Control = append(slices.Clip(noise), tokens...)
		}
		diffs, j.found.Noise = compare.Subtract(diffs, noise)
	}
	j.found.Diffs, j.found.Noise = diffs, append(j.found.Noise, tokens...)
	res.Diffs, res.Noise, res.More = plainDiffs(diffs), plainDiffs(j.found.Noise), more
	if len(diffs) == 0 && more {
		err = errors.Join(err, errMore)
	}
	switch {
	case len(diffs) > 0:
		m.finish(j, res, Mismatch, nil)
	case err != nil:
		m.finish(j, res, Uncompared, err)
	default:
		m.finish(j, res, Match, nil)
	}
}

// primary returns the primary's answer p as it is compared with that of the target: without
// what middleware around the Mirror has set.
func (a *attempt) primary(p *Message) *Message {
	j := a.j
	late := a.unchunked && len(p.Trailer) > 0 && j.resp.Trailerless()
	if len(j.outer) == 0 && !late {
		return p
	}
	outer := compare.Outer{Header: j.outer.Header(0), Sniffed: j.resp.Sniffed(p.Header), NoTrailer: late}
	return (*Message)(outer.Own((*message.Message)(p), (*message.Message)(a.got)))
}

var errMore = fmt.Errorf("%w: all of the first CompareOptions.MaxDiffs differences are noise or left out, and there are more", ErrBody)

var errStarved = fmt.Errorf("%w: one of them was not kept, because all bytes of WithQueue were held", ErrBody)

// diff calls the Comparator. Starved says that memory was short for one of the bodies: its
// hash alone does not show a difference, as parts of it may be ignored.
func (m *Mirror) diff(x *Exchange, starved bool) (got compare.Found) {
	defer m.compared(time.Now())
	if failed := m.guard("Comparator", func() error {
		got = find(m.comparator, x)
		return nil
	}); failed != nil {
		return compare.Found{Err: failed}
	}
	if starved && (x.Primary.Digest == 0 || x.Primary.Digest != x.Shadow.Digest) {
		got.Diffs = slices.DeleteFunc(got.Diffs, func(d compare.Diff) bool {
			return d.Path == "/body" || strings.HasPrefix(d.Path, "/body/")
		})
		got.Err = errors.Join(got.Err, errStarved)
	}
	return got
}

// subtractTokens splits what was found in x into the rest and the tokens that came back: see
// compare.Masking. The rules are those of the target's Masker that put something in the place of
// values.
func (m *Mirror) subtractTokens(x *Exchange, rules []*redact.Rule, request func() *message.Message, got compare.Found) (rest, tokens []compare.Diff, more bool) {
	masking := compare.Masking{Request: request, Compare: func(primary *message.Message) compare.Found {
		y := *x
		y.Primary = (*Message)(primary)
		return m.diff(&y, false)
	}}
	for _, rule := range rules {
		masking.Maskers = append(masking.Maskers, func(msg *message.Message) error { return m.replace(rule, (*Message)(msg)) })
	}
	return masking.SubtractTokens((*message.Message)(x.Primary), got.Diffs, got.More)
}

// LogValue describes c without values.
func (c Comparison) LogValue() slog.Value {
	attrs := render.Attrs{}.Paths(len(c.Diffs), func(i int) string { return c.Diffs[i].Path })
	return slog.GroupValue(append(attrs, slog.Bool("more", c.More)).Err(c.Err)...)
}

// Format writes LogValue as text, for every verb.
func (c Comparison) Format(s fmt.State, _ rune) { render.Format(s, c) }

// MarshalJSON returns LogValue as JSON.
func (c Comparison) MarshalJSON() ([]byte, error) { return render.JSON(c) }
func (c Comparison) String() string               { return render.Text(c) }

// LogValue describes d without its values.
func (d Diff) LogValue() slog.Value {
	return slog.GroupValue(render.Attrs{slog.String("path", d.Path), slog.String("kind", string(d.Kind))}.Text("class", string(d.Class))...)
}

// Format writes LogValue as text, for every verb.
func (d Diff) Format(s fmt.State, _ rune) { render.Format(s, d) }

// MarshalJSON returns LogValue as JSON.
func (d Diff) MarshalJSON() ([]byte, error) { return render.JSON(d) }
func (d Diff) String() string               { return render.Text(d) }
