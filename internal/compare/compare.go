// Package compare finds the differences between two answers.
//
//	compare.go  the rules of a comparison; status, header fields and bodies of one exchange
//	header.go   header and trailer fields by what they mean, cookies one by one
//	values.go   the values of differences, read from the masked answers; names that may be values
//	tokens.go   what to leave out: noise of the control, and replacements that came back
//	outer.go    the primary's header fields that middleware around the mirror has set
//
// Bodies are compared by package bodies, JSON by package jsondiff.
package compare

import (
	"bytes"
	"encoding/json"
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
	"github.com/goshadow/shadow/internal/content"
	"github.com/goshadow/shadow/internal/fields"
	"github.com/goshadow/shadow/internal/jsondiff"
	"github.com/goshadow/shadow/internal/jsonpath"
	"github.com/goshadow/shadow/internal/media"
	"github.com/goshadow/shadow/internal/message"
)

// Options are shadow.CompareOptions, where they are explained. Bodies are the media types that
// have a comparator of their own.
type Options struct {
	Headers     []string
	Ignore      []string
	Unordered   []string
	Keyed       map[string]string
	Tolerances  map[string]Tolerance
	Bodies      []string
	MediaTypes  map[string]string
	StatusClass bool
	MaxDiffs    int
}

// Tolerance is shadow.Tolerance.
type Tolerance struct {
	Abs, Rel float64
	Time     time.Duration
}

// Diff is one difference, with the values that shadow.Diff has.
type Diff struct {
	Path            string
	Kind            string // shadow.DiffKind
	Class           string // shadow.DiffClass
	Primary, Shadow json.RawMessage

	place bodies.Place // of the two values in the compared bodies
	in    *bodies.Set  // which found the place; nil if the values are looked up by Path
}

// The kinds of differences that are made here.
const (
	changed   = "changed"
	missing   = "missing"
	extra     = "extra"
	reordered = "reordered"
)

// Found is what a comparison found: see shadow.Comparison.
type Found struct {
	Diffs []Diff
	More  bool
	Err   error
}

// Comparer compares by one set of rules. It is safe for concurrent use.
type Comparer struct {
	allHeaders  bool     // that are not volatile
	headers     []string // else these, canonical, sorted
	statusClass bool
	maxDiffs    int
	json        *jsondiff.Comparer
	set         *bodies.Set
	locating    *bodies.Set       // compares as set does, without counting the effect of rules
	types       map[string]string // of Options.MediaTypes, in lower case
	own         map[string]bool   // of Options.Bodies, in lower case
	rules       []Rule
	slots       chan struct{} // one for each pair of bodies that is being compared
}

// maxComparing is how many pairs of bodies a Comparer compares at a time, if there are as many
// processors. Each takes memory besides the bodies: see docs/operations.md. Two mirrors that
// share a Comparer share its slots, and two Comparers of one mirror have slots each.
const maxComparing = 8

// DefaultMaxDiffs is Options.MaxDiffs if it is 0.
const DefaultMaxDiffs = 100

// ErrBody is shadow.ErrBody, which the errors of comparisons wrap.
var ErrBody = errors.New("shadow: body cannot be compared")

// New returns the Comparer that o describes. The error names everything that is wrong with o.
func New(o Options) (*Comparer, error) {
	c := &Comparer{
		statusClass: o.StatusClass, maxDiffs: o.MaxDiffs,
		slots: make(chan struct{}, min(runtime.GOMAXPROCS(0), maxComparing)),
	}
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
	c.own = make(map[string]bool, len(o.Bodies))
	for _, name := range o.Bodies {
		if !isTypeOrSuffix(name) {
			fail("Bodies: %q is neither a media type (RFC 9110 section 8.3.1) nor a suffix such as +json", name)
		}
		c.own[strings.ToLower(name)] = true
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
		c.maxDiffs = DefaultMaxDiffs
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	rules.MaxDiffs = c.maxDiffs
	c.rules = ruleNames(o)
	c.json = jsondiff.New(rules)
	c.set = bodies.NewSet(c.json, c.maxDiffs, types)
	c.locating = bodies.NewSet(jsondiff.New(rules), c.maxDiffs, types)
	c.types = types
	return c, nil
}

// Inherit returns c with the MediaTypes of outer, if c has none of its own. It is for a Comparer
// of Options.Bodies of outer, and counts the effect of its rules together with c. The error says
// that c has rules, and that the bodies of a media type or suffix hold nothing that rules are
// about.
func (c *Comparer) Inherit(outer map[string]string, name string) (*Comparer, error) {
	types, err := formats(outer)
	if err == nil && len(c.types) == 0 && len(types) > 0 {
		own := *c
		own.types = types
		own.set, own.locating = c.set.WithTypes(types), c.locating.WithTypes(types)
		c = &own
	}
	if len(c.rules) == 0 || strings.HasSuffix(name, "/*") || !isTypeOrSuffix(name) {
		return c, nil
	}
	of := name
	if name[0] == '+' {
		of = "application/x" + name
	}
	switch c.set.Of(of).Kind {
	case media.JSON, media.Records, media.Events, media.Multipart:
		return c, nil
	}
	return c, fmt.Errorf("%q is not read as JSON, and the rules are about nothing else: MediaTypes says how it is read", name)
}

// isTypeOrSuffix reports whether name is a media type, all of a type, or a suffix such as +json.
func isTypeOrSuffix(name string) bool {
	if suffix, ok := strings.CutPrefix(name, "+"); ok {
		return fields.IsToken(suffix)
	}
	major, minor, ok := strings.Cut(name, "/")
	return ok && fields.IsToken(major) && fields.IsToken(minor) && major != "*"
}

// formats checks Options.MediaTypes, and spells the types in lower case.
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

// Rule is one rule and how often it took effect: see shadow.RuleUse.
type Rule struct {
	Option string
	Path   string
	Count  uint64
}

// ruleNames are the rules of o, in the order in which they are compiled.
func ruleNames(o Options) (rules []Rule) {
	add := func(option string, paths []string) {
		for _, path := range paths {
			rules = append(rules, Rule{Option: option, Path: path})
		}
	}
	add("Ignore", o.Ignore)
	add("Unordered", o.Unordered)
	add("Keyed", slices.Sorted(maps.Keys(o.Keyed)))
	add("Tolerances", slices.Sorted(maps.Keys(o.Tolerances)))
	return rules
}

// Rules returns the rules in the order Ignore, Unordered, Keyed, Tolerances.
func (c *Comparer) Rules() []Rule {
	m := c.json.Matches()
	counts := slices.Concat(m.Ignore, m.Unordered, m.Keyed, m.Tolerances)
	rules := slices.Clone(c.rules)
	for i := range rules {
		rules[i].Count = counts[i]
	}
	return rules
}

// Registered returns the name in Options.Bodies, in lower case, under which the bodies of p and
// s are compared: the most specific one. It is empty if there is none, or if one of the bodies
// was not kept as a whole: nobody can read a part.
func (c *Comparer) Registered(p, s *message.Message) string {
	if len(c.own) == 0 || p.Truncated || s.Truncated {
		return ""
	}
	name, _, _ := strings.Cut(p.Header.Get("Content-Type"), ";")
	name = strings.ToLower(textproto.TrimString(name))
	if c.own[name] {
		return name
	}
	if i := strings.LastIndexByte(name, '+'); i >= 0 && c.own[name[i:]] {
		return name[i:]
	}
	if major, _, _ := strings.Cut(name, "/"); c.own[major+"/*"] {
		return major + "/*"
	}
	return ""
}

// Answers compares p and s, whose bodies differ as body says. The differences have no values.
func (c *Comparer) Answers(p, s *message.Message, body Found) Found {
	body.Diffs = slices.DeleteFunc(body.Diffs, func(d Diff) bool { // those are found here
		return d.Path == "/status" || strings.HasPrefix(d.Path, "/header/") || strings.HasPrefix(d.Path, "/trailer/")
	})
	rest := c.fieldDiffs("/header/", p.Header, s.Header, c.headers, c.allHeaders)
	if !c.sameStatus(p.StatusCode, s.StatusCode) {
		rest = append(rest, Diff{Path: "/status", Kind: changed})
	}
	if len(p.Trailer)+len(s.Trailer) > 0 {
		rest = append(rest, c.fieldDiffs("/trailer/", p.Trailer, s.Trailer, nil, true)...)
	}
	if len(rest) > c.maxDiffs {
		rest, body.More = rest[:c.maxDiffs], true
	}
	if room := c.maxDiffs - len(rest); len(body.Diffs) > room { // a body does not crowd out the rest
		body.Diffs, body.More = body.Diffs[:room], true
	}
	body.Diffs = append(body.Diffs, rest...)
	return body
}

func (c *Comparer) sameStatus(a, b int) bool {
	return a == b || c.statusClass && a/100 == b/100
}

// Bodies compares the bodies of p and s. The differences have no values.
func (c *Comparer) Bodies(p, s *message.Message) Found { return c.bodies(p, s, c.set) }

// Locate returns the differences that Bodies finds, and does not count the effect of rules.
func (c *Comparer) Locate(p, s *message.Message) []Diff { return c.bodies(p, s, c.locating).Diffs }

func (c *Comparer) bodies(p, s *message.Message, set *bodies.Set) (got Found) {
	if p.Truncated || s.Truncated {
		return c.hashes(p, s)
	}
	if bytes.Equal(p.Body, s.Body) {
		return got
	}
	if isProtobuf(p) && len(p.Body) > 0 && len(s.Body) > 0 {
		return Found{Err: errProtobuf}
	}
	c.slots <- struct{}{}
	defer func() { <-c.slots }()
	found := set.For(p.Header.Get("Content-Type"), s.Header.Get("Content-Type")).Compare(p.Body, s.Body, "/body")
	if found.Err != nil {
		return Found{Err: fmt.Errorf("%w: %w", ErrBody, found.Err)}
	}
	if len(found.Diffs) > 0 {
		got.Diffs = make([]Diff, len(found.Diffs))
	}
	for i, d := range found.Diffs {
		got.Diffs[i] = Diff{Path: d.Path, Kind: kinds[d.Kind], Class: classes[d.Class], place: d.Place, in: set}
		if d.Place == (bodies.Place{}) {
			got.Diffs[i].in = nil
		}
	}
	got.More = found.More
	return got
}

// errProtobuf is the error for messages that are not the same bytes: a map may be written in
// any order, and a new one each time.
var errProtobuf = fmt.Errorf("%w: protobuf is compared by the comparator of package shadowgrpc; register it in CompareOptions.Bodies", ErrBody)

// isProtobuf reports whether m is binary protobuf, or gRPC, gRPC-Web or Connect with it.
func isProtobuf(m *message.Message) bool {
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
func bodyKind(p, s int64) string {
	switch {
	case s == 0:
		return missing
	case p == 0:
		return extra
	}
	return changed
}

// hashes compares bodies of which not all was kept: their bytes, as far as is known.
func (c *Comparer) hashes(p, s *message.Message) Found {
	different := Found{Diffs: []Diff{{Path: "/body", Kind: bodyKind(p.Size, s.Size)}}}
	if isProtobuf(p) {
		different = Found{Err: errProtobuf}
	}
	summed := p.Digest != 0 && s.Digest != 0
	same := summed && p.Digest == s.Digest && p.Size == s.Size
	codings := func(m *message.Message) []string { return content.Codings(m.Header["Content-Encoding"]) }
	if len(codings(p))+len(codings(s)) > 0 {
		switch {
		case same && slices.Equal(codings(p), codings(s)):
			return Found{}
		case differ(p, s):
			return different
		}
		return Found{Err: fmt.Errorf("%w: one of them is coded and was not kept as a whole", ErrBody)}
	}
	switch {
	case same:
		return Found{}
	case p.Size != s.Size || summed:
		return different
	}
	return Found{Err: fmt.Errorf("%w: one of them is over the limit and was not seen (sendfile)", ErrBody)}
}

// differ reports whether what is known of two bodies cannot be of the same one.
func differ(p, s *message.Message) bool {
	n := min(len(p.Body), len(s.Body))
	return !bytes.Equal(p.Body[:n], s.Body[:n]) ||
		!p.Truncated && len(s.Body) > n || !s.Truncated && len(p.Body) > n
}

var kinds = [...]string{
	jsondiff.Changed:     changed,
	jsondiff.TypeChanged: "type-changed",
	jsondiff.Missing:     missing,
	jsondiff.Extra:       extra,
	jsondiff.Reordered:   reordered,
}

var classes = [...]string{
	jsondiff.ClassNone:          "",
	jsondiff.ClassTimestamp:     "timestamp",
	jsondiff.ClassUUID:          "uuid",
	jsondiff.ClassToken:         "token",
	jsondiff.ClassNearNumber:    "rounding",
	jsondiff.ClassNumericString: "numeric",
	jsondiff.ClassReordered:     "reordering",
	jsondiff.ClassCase:          "case",
	jsondiff.ClassSpace:         "whitespace",
	jsondiff.ClassURLHost:       "url-host",
}
