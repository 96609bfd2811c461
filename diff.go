package shadow

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/textproto"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/goshadow/shadow/internal/bodies"
	"github.com/goshadow/shadow/internal/composite"
	"github.com/goshadow/shadow/internal/content"
	"github.com/goshadow/shadow/internal/fields"
	"github.com/goshadow/shadow/internal/jsondiff"
	"github.com/goshadow/shadow/internal/jsonpath"
	"github.com/goshadow/shadow/internal/media"
)

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

const defaultMaxDiffs = 100

// NewComparator returns the comparator that o describes. JSON is compared by structure:
// numbers by value at any size and precision, strings by decoded value, objects in any
// order. NDJSON, JSON sequences and event streams are compared record by record, forms by
// field, multipart by part, XML by structure, text by line, and everything else by its
// bytes. A body that was not kept as a whole is compared by length and hash. The error
// names everything that is wrong with o.
func NewComparator(o CompareOptions) (*RuleComparator, error) {
	c := &RuleComparator{statusClass: o.StatusClass, maxDiffs: o.MaxDiffs, slots: make(chan struct{}, min(runtime.GOMAXPROCS(0), maxComparing))}
	var errs []error
	fail := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("shadow: CompareOptions."+format, args...))
	}
	parse := func(field string, path string) *jsonpath.Path {
		p, err := jsonpath.Parse(path)
		if err != nil {
			fail("%s: %w", field, err)
		}
		return p
	}
	rules := jsondiff.Options{}
	for _, path := range o.Ignore {
		rules.Ignore = append(rules.Ignore, parse("Ignore", path))
	}
	for _, path := range o.Unordered {
		rules.Unordered = append(rules.Unordered, parse("Unordered", path))
	}
	for _, path := range slices.Sorted(maps.Keys(o.Keyed)) {
		member, fault := memberName(o.Keyed[path])
		if fault != "" {
			fail("Keyed: %q: %s", path, fault)
		}
		if slices.Contains(o.Unordered, path) {
			fail("Keyed: %q is in Unordered too", path)
		}
		rules.Keyed = append(rules.Keyed, jsondiff.Key{Path: parse("Keyed", path), Member: member})
	}
	for _, path := range slices.Sorted(maps.Keys(o.Tolerances)) {
		t, p := o.Tolerances[path], parse("Tolerances", path)
		if !(t.Abs >= 0) || !(t.Rel >= 0) || t.Time < 0 {
			fail("Tolerances: %q: %+v has a bound that is negative or not a number", path, t)
		} else if p != nil && t == (Tolerance{}) {
			fail("Tolerances: %q: no bound is set", path)
		}
		rules.Tolerances = append(rules.Tolerances,
			jsondiff.Tolerance{Path: p, Abs: t.Abs, Rel: t.Rel, Time: t.Time})
	}
	types, err := formats(o.MediaTypes)
	if err != nil {
		fail("MediaTypes: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(o.Bodies)) {
		if err := c.register(name, o.Bodies[name], types); err != nil {
			fail("Bodies: %w", err)
		}
	}
	c.allHeaders = o.Headers == nil
	for _, name := range o.Headers {
		switch {
		case strings.Contains(name, "*"):
			fail("Headers: %q: there are no patterns; nil compares all that are not volatile", name)
		case !fields.IsToken(name):
			fail("Headers: %q is not a header name", name)
		}
		c.headers = append(c.headers, http.CanonicalHeaderKey(name))
	}
	slices.Sort(c.headers)
	c.headers = slices.Compact(c.headers)
	switch {
	case o.MaxDiffs < 0:
		fail("MaxDiffs: %d is negative", o.MaxDiffs)
	case o.MaxDiffs == 0:
		c.maxDiffs = defaultMaxDiffs
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	rules.MaxDiffs = c.maxDiffs
	c.rules = ruleNames(o)
	c.json = jsondiff.New(rules)
	c.set = bodies.NewSet(c.json, c.maxDiffs, types)
	c.types = types
	return c, nil
}

// RuleUse is one rule and how often it took effect. A rule of CompareOptions takes effect on
// pairs of values that are not the same bytes; what is only tried, to find out which elements
// of an array belong together, does not count. A rule of a mask takes effect on each value
// that it finds.
type RuleUse struct {
	Option string // Ignore, Unordered, Keyed or Tolerances; MaskJSON, MaskHeaders and their like
	Path   string // the rule as it was given: a path, a name or a pattern
	Count  uint64
}

// ruleNames are the rules of o, in the order in which they are compiled.
func ruleNames(o CompareOptions) (rules []RuleUse) {
	add := func(option string, paths []string) {
		for _, path := range paths {
			rules = append(rules, RuleUse{Option: option, Path: path})
		}
	}
	add("Ignore", o.Ignore)
	add("Unordered", o.Unordered)
	add("Keyed", slices.Sorted(maps.Keys(o.Keyed)))
	add("Tolerances", slices.Sorted(maps.Keys(o.Tolerances)))
	return rules
}

// Rules returns the rules in the order Ignore, Unordered, Keyed, Tolerances, then those of the
// built-in comparators of Bodies, and how often they have taken effect. A rule that stays at zero while answers differ matches nothing, or
// nothing that ever differs: it may be misspelt.
func (c *RuleComparator) Rules() []RuleUse {
	m := c.json.Matches()
	counts := slices.Concat(m.Ignore, m.Unordered, m.Keyed, m.Tolerances)
	rules := slices.Clone(c.rules)
	for i := range rules {
		rules[i].Count = counts[i]
	}
	for _, name := range slices.Sorted(maps.Keys(c.own)) {
		if builtIn, ok := c.own[name].(*RuleComparator); ok {
			rules = append(rules, builtIn.Rules()...)
		}
	}
	return rules
}

// register makes own the comparator of bodies of a media type.
func (c *RuleComparator) register(name string, own Comparator, types map[string]string) error {
	if err := composite.Fault(fmt.Sprintf("%q", name), own); err != nil {
		return err
	}
	suffix, isSuffix := strings.CutPrefix(name, "+")
	major, minor, isType := strings.Cut(name, "/")
	switch {
	case isSuffix && fields.IsToken(suffix):
	case isType && fields.IsToken(major) && fields.IsToken(minor) && major != "*":
	default:
		return fmt.Errorf("%q is neither a media type (RFC 9110 section 8.3.1) nor a suffix such as +json", name)
	}
	if c.own == nil {
		c.own = map[string]Comparator{}
	}
	if builtIn, ok := own.(*RuleComparator); ok {
		if len(builtIn.types) == 0 && len(types) > 0 {
			inherits := *builtIn
			inherits.types, inherits.set = types, bodies.NewSet(builtIn.json, builtIn.maxDiffs, types)
			builtIn, own = &inherits, &inherits
		}
		if err := builtIn.reads(name); err != nil {
			return err
		}
	}
	c.own[strings.ToLower(name)] = own
	return nil
}

// reads returns an error if c has rules, and bodies of a media type or suffix have nothing in
// them that rules are about.
func (c *RuleComparator) reads(name string) error {
	if len(c.rules) == 0 || strings.HasSuffix(name, "/*") {
		return nil
	}
	of := name
	if name[0] == '+' {
		of = "application/x" + name
	}
	switch c.set.Of(of).Kind {
	case media.JSON, media.Records, media.Events, media.Multipart:
		return nil
	}
	return fmt.Errorf("%q is not read as JSON, and the rules are about nothing else: MediaTypes says how it is read", name)
}

// formats checks CompareOptions.MediaTypes, and spells the types in lower case.
func formats(types map[string]string) (map[string]string, error) {
	lower := make(map[string]string, len(types))
	for _, name := range slices.Sorted(maps.Keys(types)) {
		major, minor, ok := strings.Cut(name, "/")
		if !ok || !fields.IsToken(major) || !fields.IsToken(minor) || strings.Contains(name, "*") {
			return nil, fmt.Errorf("%q is not a media type", name)
		}
		if media.Of(types[name]).Kind == media.Bytes {
			return nil, fmt.Errorf("%q: %q is not a media type that is built in", name, types[name])
		}
		lower[strings.ToLower(name)] = types[name]
	}
	return lower, nil
}

// memberName is the name of the member that identifies the elements of an array, and what
// is wrong with it.
func memberName(member string) (name, fault string) {
	switch name = strings.ReplaceAll(member, `\.`, "."); {
	case member == "":
		return "", "empty member name"
	case member[0] == '$', member[0] == '/', strings.HasPrefix(member, "@."), strings.ContainsAny(member, "[]"),
		strings.Contains(strings.ReplaceAll(member, `\.`, ""), "."):
		return "", fmt.Sprintf("%q is a path: the elements are told apart by a member of their own (a dot in its name is written \"\\.\")", member)
	}
	return name, ""
}

// registered returns the comparator that was registered for a Content-Type, or nil: the
// most specific one.
func (c *RuleComparator) registered(contentType string) Comparator {
	if len(c.own) == 0 {
		return nil
	}
	name, _, _ := strings.Cut(contentType, ";")
	name = strings.ToLower(textproto.TrimString(name))
	if own, ok := c.own[name]; ok {
		return own
	}
	if i := strings.LastIndexByte(name, '+'); i >= 0 {
		if own, ok := c.own[name[i:]]; ok {
			return own
		}
	}
	major, _, _ := strings.Cut(name, "/")
	return c.own[major+"/*"]
}

func (c *RuleComparator) parts() []any {
	parts := make([]any, 0, len(c.own))
	for _, own := range c.own {
		parts = append(parts, own)
	}
	return parts
}

// RuleComparator is the built-in Comparator: see NewComparator.
type RuleComparator struct {
	allHeaders  bool     // that are not volatile
	headers     []string // else these, canonical, sorted
	statusClass bool
	maxDiffs    int
	json        *jsondiff.Comparer
	set         *bodies.Set
	types       map[string]string // of CompareOptions.MediaTypes, in lower case
	rules       []RuleUse
	own         map[string]Comparator // by media type, +suffix or type/*, in lower case
	slots       chan struct{}         // one for each pair of bodies that is being compared
}

// maxComparing is how many pairs of bodies a RuleComparator compares at a time, if there are as
// many processors. Each takes memory besides the bodies: see docs/operations.md.
const maxComparing = 8

// Compare compares the two answers of x. Where the bodies cannot be compared and all else
// is the same there is a difference at /body besides the error.
func (c *RuleComparator) Compare(x *Exchange) Comparison {
	got := c.compare(x)
	if got.Err != nil && len(got.Diffs) == 0 {
		got.Diffs = append(got.Diffs, Diff{Path: "/body", Kind: Changed})
	}
	fill(got.Diffs, &got, x.Primary, x.Shadow, original(x.Primary), original(x.Shadow))
	return got
}

// compareBy returns what own finds in x: without values, and with places only where they are
// in the messages of x.
func compareBy(own Comparator, x *Exchange) Comparison {
	if builtIn, ok := own.(*RuleComparator); ok {
		return builtIn.compare(x)
	}
	got := own.Compare(x)
	got.Diffs = slices.Clone(got.Diffs) // they may be others' too
	if got.Err != nil {
		got.Diffs = slices.DeleteFunc(got.Diffs, func(d Diff) bool { return d.Path == "/body" })
	}
	if got.primary != x.Primary || got.shadow != x.Shadow {
		got.places = nil
	}
	return got
}

// compare returns the differences without their values.
func (c *RuleComparator) compare(x *Exchange) (got Comparison) {
	p, s := x.Primary, x.Shadow
	own := c.registered(p.Header.Get("Content-Type"))
	if p.Truncated || s.Truncated {
		own = nil // nobody can read a part
	}
	switch own := own.(type) {
	case nil:
		got = c.bodies(p, s)
	case *RuleComparator:
		got = own.bodies(p, s)
	default:
		got = compareBy(own, x)
		got.Diffs = slices.DeleteFunc(got.Diffs, func(d Diff) bool { // those are ours
			return d.Path == "/status" || strings.HasPrefix(d.Path, "/header/") || strings.HasPrefix(d.Path, "/trailer/")
		})
	}
	rest := c.fieldDiffs("/header/", p.Header, s.Header, c.headers, c.allHeaders)
	if !c.sameStatus(p.StatusCode, s.StatusCode) {
		rest = append(rest, Diff{Path: "/status", Kind: Changed})
	}
	if len(p.Trailer)+len(s.Trailer) > 0 {
		rest = append(rest, c.fieldDiffs("/trailer/", p.Trailer, s.Trailer, nil, true)...)
	}
	if len(rest) > c.maxDiffs {
		rest, got.More = rest[:c.maxDiffs], true
	}
	if room := c.maxDiffs - len(rest); len(got.Diffs) > room { // a body does not crowd out the rest
		got.Diffs, got.More = got.Diffs[:room], true
	}
	got.Diffs = append(got.Diffs, rest...)
	got.primary, got.shadow = p, s
	return got
}

func (c *RuleComparator) sameStatus(a, b int) bool {
	return a == b || c.statusClass && a/100 == b/100
}

// bodies compares two bodies.
func (c *RuleComparator) bodies(p, s *Message) (got Comparison) {
	if p.Truncated || s.Truncated {
		return c.hashes(p, s)
	}
	if bytes.Equal(p.Body, s.Body) {
		return got
	}
	if isProtobuf(p) && len(p.Body) > 0 && len(s.Body) > 0 {
		return Comparison{Err: errProtobuf}
	}
	c.slots <- struct{}{}
	defer func() { <-c.slots }()
	found := c.set.For(p.Header.Get("Content-Type"), s.Header.Get("Content-Type")).Compare(p.Body, s.Body, "/body")
	if found.Err != nil {
		return Comparison{Err: fmt.Errorf("%w: %w", ErrBody, found.Err)}
	}
	if len(found.Diffs) > 0 {
		got.Diffs, got.places = make([]Diff, len(found.Diffs)), make([]placed, len(found.Diffs))
	}
	for i, d := range found.Diffs {
		got.Diffs[i] = Diff{Path: d.Path, Kind: kinds[d.Kind], Class: classes[d.Class]}
		got.places[i] = placed{where{d.Path, kinds[d.Kind]}, d.Place}
	}
	got.More, got.set = found.More, c.set
	return got
}

// errProtobuf is the error for messages that are not the same bytes: a map may be written in
// any order, and a new one each time.
var errProtobuf = fmt.Errorf("%w: protobuf is compared by the comparator of package shadowgrpc; register it in CompareOptions.Bodies", ErrBody)

// isProtobuf reports whether m is binary protobuf, or gRPC, gRPC-Web or Connect with it.
func isProtobuf(m *Message) bool {
	switch name := media.Of(m.Header.Get("Content-Type")).Type; name {
	case "application/proto", "application/protobuf", "application/x-protobuf", "application/x-google-protobuf",
		"application/vnd.google.protobuf", "application/grpc", "application/grpc+proto", "application/grpc-web",
		"application/grpc-web+proto", "application/grpc-web-text", "application/grpc-web-text+proto", "application/connect+proto":
		return true
	default:
		return strings.HasSuffix(name, "+protobuf") || strings.HasSuffix(name, "+proto")
	}
}

// bodyKind is how two different bodies of so many bytes differ.
func bodyKind(p, s int64) DiffKind {
	switch {
	case s == 0:
		return Missing
	case p == 0:
		return Extra
	}
	return Changed
}

// hashes compares bodies of which not all was kept: their bytes, as far as is known.
func (c *RuleComparator) hashes(p, s *Message) Comparison {
	different := Comparison{Diffs: []Diff{{Path: "/body", Kind: bodyKind(p.Size, s.Size)}}}
	if isProtobuf(p) {
		different = Comparison{Err: errProtobuf}
	}
	summed := p.Digest != 0 && s.Digest != 0
	same := summed && p.Digest == s.Digest && p.Size == s.Size
	codings := func(m *Message) []string { return content.Codings(m.Header["Content-Encoding"]) }
	if len(codings(p))+len(codings(s)) > 0 {
		switch {
		case same && slices.Equal(codings(p), codings(s)):
			return Comparison{}
		case differ(p, s):
			return different
		}
		return Comparison{Err: fmt.Errorf("%w: one of them is coded and was not kept as a whole", ErrBody)}
	}
	switch {
	case same:
		return Comparison{}
	case p.Size != s.Size || summed:
		return different
	}
	return Comparison{Err: fmt.Errorf("%w: one of them is over the limit and was not seen (sendfile)", ErrBody)}
}

// differ tells whether what is known of two bodies cannot be of the same one.
func differ(p, s *Message) bool {
	n := min(len(p.Body), len(s.Body))
	return !bytes.Equal(p.Body[:n], s.Body[:n]) ||
		!p.Truncated && len(s.Body) > n || !s.Truncated && len(p.Body) > n
}

var kinds = [...]DiffKind{
	jsondiff.Changed:     Changed,
	jsondiff.TypeChanged: TypeChanged,
	jsondiff.Missing:     Missing,
	jsondiff.Extra:       Extra,
	jsondiff.Reordered:   Reordered,
}

var classes = [...]DiffClass{
	jsondiff.ClassNone:          ClassNone,
	jsondiff.ClassTimestamp:     ClassTimestamp,
	jsondiff.ClassUUID:          ClassUUID,
	jsondiff.ClassToken:         ClassToken,
	jsondiff.ClassNearNumber:    ClassRounding,
	jsondiff.ClassNumericString: ClassNumeric,
	jsondiff.ClassReordered:     ClassOrder,
	jsondiff.ClassCase:          ClassCase,
	jsondiff.ClassSpace:         ClassSpace,
	jsondiff.ClassURLHost:       ClassHost,
}
