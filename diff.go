package shadow

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/goshadow/shadow/internal/content"
	"github.com/goshadow/shadow/internal/fields"
	"github.com/goshadow/shadow/internal/jsondiff"
	"github.com/goshadow/shadow/internal/jsonpath"
	"github.com/goshadow/shadow/internal/jsonscan"
	"github.com/goshadow/shadow/internal/media"
	"github.com/goshadow/shadow/internal/redact"
)

// CompareOptions says what differs and what does not. The zero value compares the
// status, the default header fields and the body, exactly.
//
// Paths are JSONPath (RFC 9535), or gjson paths where they do not begin with "$". In
// NDJSON and JSON sequences they are applied to each record.
type CompareOptions struct {
	// Headers are the header fields compared; nil are Content-Type and Location, an
	// empty slice is none. Media types are compared by type and parameters; lists whose
	// order has no meaning (Vary, Allow, Cache-Control, Link and their like) as sets;
	// Set-Cookie by cookie, with differences at /header/Set-Cookie/<name>.
	Headers []string
	// Ignore selects values that are left out, wherever they are, and whose absence
	// does not matter.
	Ignore []string
	// Unordered selects arrays that are compared as multisets.
	Unordered []string
	// Keyed selects arrays whose elements are paired by the value of a member,
	// whatever their order: path -> name of the member.
	Keyed map[string]string
	// Tolerances lets numbers and times differ a little: path -> how much.
	Tolerances map[string]Tolerance
	// Bodies registers comparators of bodies by media type, in place of the built-in
	// one: "application/vnd.acme+json", a suffix "+xml", or all of a type "image/*". The
	// primary's Content-Type decides. Status, header fields and trailers are compared as
	// ever.
	Bodies map[string]Comparator
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

var defaultHeaders = []string{"Content-Type", "Location"}

const defaultMaxDiffs = 100

// NewComparator returns the comparator that o describes. JSON is compared by structure:
// numbers by value at any size and precision, strings by decoded value, objects in any
// order. Every other body is compared by its bytes, and one that was not kept as a whole
// by length and hash. The error names everything that is wrong with o.
func NewComparator(o CompareOptions) (Comparator, error) {
	c := &comparator{statusClass: o.StatusClass, maxDiffs: o.MaxDiffs}
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
		if o.Keyed[path] == "" {
			fail("Keyed: %q: empty member name", path)
		}
		rules.Keyed = append(rules.Keyed, jsondiff.Key{Path: parse("Keyed", path), Member: o.Keyed[path]})
	}
	for _, path := range slices.Sorted(maps.Keys(o.Tolerances)) {
		t := o.Tolerances[path]
		if !(t.Abs >= 0) || !(t.Rel >= 0) || t.Time < 0 {
			fail("Tolerances: %q: %+v has a bound that is negative or not a number", path, t)
		}
		rules.Tolerances = append(rules.Tolerances,
			jsondiff.Tolerance{Path: parse("Tolerances", path), Abs: t.Abs, Rel: t.Rel, Time: t.Time})
	}
	for _, name := range slices.Sorted(maps.Keys(o.Bodies)) {
		if err := c.register(name, o.Bodies[name]); err != nil {
			fail("Bodies: %w", err)
		}
	}
	if o.Headers == nil {
		o.Headers = defaultHeaders
	}
	for _, name := range o.Headers {
		if !fields.IsToken(name) {
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
	return c, nil
}

// RuleCounter is a Comparator that counts how often its rules take effect, as that of
// NewComparator does. A rule that stays at zero while answers differ matches nothing, or
// nothing that ever differs: it may be misspelt.
type RuleCounter interface {
	Comparator
	// Rules returns the rules in the order Ignore, Unordered, Keyed, Tolerances, and
	// their counts so far.
	Rules() []RuleUse
}

// RuleUse is one rule of CompareOptions and how often it took effect: on values that are
// not the same bytes on both sides. A value that is looked at twice counts twice.
type RuleUse struct {
	Option string // Ignore, Unordered, Keyed or Tolerances
	Path   string
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

// Rules counts how often the rules took effect.
func (c *comparator) Rules() []RuleUse {
	m := c.json.Matches()
	counts := slices.Concat(m.Ignore, m.Unordered, m.Keyed, m.Tolerances)
	rules := slices.Clone(c.rules)
	for i := range rules {
		rules[i].Count = counts[i]
	}
	return rules
}

// register makes own the comparator of bodies of a media type.
func (c *comparator) register(name string, own Comparator) error {
	if err := faultOf(fmt.Sprintf("%q", name), own); err != nil {
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
	c.own[strings.ToLower(name)] = own
	return nil
}

// registered returns the comparator that was registered for a Content-Type, or nil: the
// most specific one.
func (c *comparator) registered(contentType string) Comparator {
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

func (c *comparator) parts() []any {
	parts := make([]any, 0, len(c.own))
	for _, own := range c.own {
		parts = append(parts, own)
	}
	return parts
}

// comparator is the built-in Comparator.
type comparator struct {
	headers     []string // canonical, sorted
	statusClass bool
	maxDiffs    int
	json        *jsondiff.Comparer
	rules       []RuleUse
	own         map[string]Comparator // by media type, +suffix or type/*, in lower case
}

// Compare compares the two answers of x.
func (c *comparator) Compare(x *Exchange) []Diff {
	diffs, _, _ := c.compare(x)
	fill(c.json, diffs, x.Primary, x.Shadow, x.Primary.Body, x.Shadow.Body)
	for i := range diffs { // a caller may have compared other messages than those recorded
		diffs[i].primary, diffs[i].shadow = span{}, span{}
	}
	return diffs
}

// compare returns the differences without their values. More means that there are
// others; an error that the bodies could not be compared.
func (c *comparator) compare(x *Exchange) (diffs []Diff, more bool, err error) {
	p, s := x.Primary, x.Shadow
	switch own := c.registered(p.Header.Get("Content-Type")).(type) {
	case nil:
		diffs, more, err = c.bodies(p, s)
	case *comparator:
		diffs, more, err = own.bodies(p, s)
	default:
		diffs = slices.DeleteFunc(own.Compare(x), func(d Diff) bool { // those are ours
			return d.Path == "/status" || strings.HasPrefix(d.Path, "/header/") || strings.HasPrefix(d.Path, "/trailer/")
		})
	}
	rest := c.fieldDiffs("/header/", p.Header, s.Header, c.headers)
	if !c.sameStatus(p.StatusCode, s.StatusCode) {
		rest = append(rest, Diff{Path: "/status", Kind: Changed})
	}
	if len(p.Trailer)+len(s.Trailer) > 0 {
		rest = append(rest, c.fieldDiffs("/trailer/", p.Trailer, s.Trailer, slices.Sorted(maps.Keys(union(p.Trailer, s.Trailer))))...)
	}
	if len(rest) > c.maxDiffs {
		rest, more = rest[:c.maxDiffs], true
	}
	if room := c.maxDiffs - len(rest); len(diffs) > room { // a body does not crowd out the rest
		diffs, more = diffs[:room], true
	}
	return append(diffs, rest...), more, err
}

func (c *comparator) sameStatus(a, b int) bool {
	return a == b || c.statusClass && a/100 == b/100
}

// fieldDiffs compares the named fields of two headers.
func (c *comparator) fieldDiffs(prefix string, p, s http.Header, list []string) (diffs []Diff) {
	for _, name := range list {
		a, b := p.Values(name), s.Values(name)
		name = http.CanonicalHeaderKey(name)
		if slices.Equal(a, b) || sameField(name, a, b) {
			continue
		}
		if name == "Set-Cookie" {
			diffs = append(diffs, cookieDiffs(prefix+name+"/", a, b)...)
			continue
		}
		d := Diff{Path: prefix + name}
		switch {
		case len(b) == 0:
			d.Kind = Missing
		case len(a) == 0:
			d.Kind = Extra
		default:
			d.Kind = Changed
		}
		diffs = append(diffs, d)
	}
	return diffs
}

// sameField tells whether two lists of values of a field mean the same.
func sameField(name string, a, b []string) bool {
	if len(a) == 0 || len(b) == 0 {
		return false
	}
	switch name {
	case "Content-Type", "Content-Disposition":
		return len(a) == 1 && len(b) == 1 && sameMediaType(a[0], b[0])
	case "Accept-Ranges", "Allow", "Cache-Control", "Link", "Vary",
		"Access-Control-Allow-Headers", "Access-Control-Allow-Methods", "Access-Control-Expose-Headers":
		return slices.Equal(sortedList(name, a), sortedList(name, b)) // sets, as HTTP has it
	}
	return false
}

// cookieDiffs compares the cookies that two answers set: their values and attributes.
func cookieDiffs(prefix string, p, s []string) (diffs []Diff) {
	now := time.Now()
	a, b := cookies(p, now), cookies(s, now)
	for _, name := range slices.Sorted(maps.Keys(union(a, b))) {
		x, inA := a[name]
		y, inB := b[name]
		d := Diff{Path: prefix + redact.Escape(name)}
		switch {
		case maps.Equal(x, y):
			continue
		case !inB:
			d.Kind = Missing
		case !inA:
			d.Kind = Extra
		default:
			d.Kind = Changed
		}
		diffs = append(diffs, d)
	}
	return diffs
}

// scope is what tells cookies of one name apart (RFC 6265 section 5.3, step 11).
type scope struct{ domain, path string }

// cookies are the cookies that are set, by name: their values and attributes. Of several
// with one name and scope the last counts, as it does for a browser. A date counts as past
// or future.
func cookies(lines []string, now time.Time) map[string]map[scope]string {
	set := map[string]map[scope]string{}
	for _, line := range lines {
		pair, attributes, _ := strings.Cut(line, ";")
		name, value, _ := strings.Cut(pair, "=")
		name = textproto.TrimString(name)
		at := scope{}
		list := []string{textproto.TrimString(value)}
		for attribute := range strings.SplitSeq(attributes, ";") {
			key, v, _ := strings.Cut(attribute, "=")
			key, v = strings.ToLower(textproto.TrimString(key)), textproto.TrimString(v)
			switch key {
			case "":
				continue
			case "domain":
				at.domain = strings.ToLower(v)
			case "path":
				at.path = v
			case "expires":
				if t, err := http.ParseTime(v); err == nil {
					v = strconv.FormatBool(t.After(now))
				}
			}
			list = append(list, key+"="+v)
		}
		slices.Sort(list[1:])
		if set[name] == nil {
			set[name] = map[scope]string{}
		}
		set[name][at] = strings.Join(list, "; ")
	}
	return set
}

func union[K comparable, V any](a, b map[K]V) map[K]V {
	all := make(map[K]V, len(a)+len(b))
	maps.Copy(all, a)
	maps.Copy(all, b)
	return all
}

func sameMediaType(a, b string) bool {
	x, xp, err := mime.ParseMediaType(a)
	y, yp, err2 := mime.ParseMediaType(b)
	if err != nil || err2 != nil || x != y || len(xp) != len(yp) {
		return false
	}
	for name, v := range xp {
		w, ok := yp[name]
		if !ok || v != w && !(name == "charset" && strings.EqualFold(v, w)) {
			return false
		}
	}
	return true
}

// sortedList splits the values of a list field at commas that are not quoted.
func sortedList(name string, values []string) []string {
	var list []string
	for _, v := range values {
		quoted, from := false, 0
		for i := 0; i <= len(v); i++ {
			switch {
			case i < len(v) && v[i] == '"':
				quoted = !quoted
			case i < len(v) && v[i] == '\\' && quoted:
				i++
			case i == len(v) || v[i] == ',' && !quoted:
				if part := textproto.TrimString(v[from:i]); part != "" {
					list = append(list, part)
				}
				from = i + 1
			}
		}
	}
	if name != "Link" && name != "Allow" { // methods and URLs have a case
		for i := range list {
			list[i] = strings.ToLower(list[i])
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// bodies compares two bodies.
func (c *comparator) bodies(p, s *Message) (diffs []Diff, more bool, err error) {
	if p.Truncated || s.Truncated {
		return c.hashes(p, s)
	}
	kind := max(media.Of(p.Header.Get("Content-Type")), media.Of(s.Header.Get("Content-Type")))
	switch kind {
	case media.JSON:
		return c.jsonBodies(p.Body, s.Body, "/body", 0, 0)
	case media.Records:
		return c.recordBodies(p.Body, s.Body)
	}
	if bytes.Equal(p.Body, s.Body) {
		return nil, false, nil
	}
	return []Diff{{Path: "/body", Kind: bodyKind(p.Body, s.Body)}}, false, nil
}

func bodyKind(p, s []byte) DiffKind {
	switch {
	case len(s) == 0:
		return Missing
	case len(p) == 0:
		return Extra
	}
	return Changed
}

// hashes compares bodies of which not all was kept: their bytes, as far as is known.
func (c *comparator) hashes(p, s *Message) ([]Diff, bool, error) {
	different := []Diff{{Path: "/body", Kind: bodyKind(p.Body, s.Body)}}
	same := p.summed && s.summed && p.sum == s.sum && p.Size == s.Size
	codings := func(m *Message) []string { return content.Codings(m.Header["Content-Encoding"]) }
	if len(codings(p))+len(codings(s)) > 0 {
		switch {
		case same && slices.Equal(codings(p), codings(s)):
			return nil, false, nil
		case differ(p, s):
			return different, false, nil
		}
		return nil, false, fmt.Errorf("%w: one of them is coded and was not kept as a whole", ErrBody)
	}
	switch {
	case same:
		return nil, false, nil
	case p.Size != s.Size || p.summed && s.summed:
		return different, false, nil
	}
	return nil, false, fmt.Errorf("%w: one of them is over the limit and was not seen (sendfile)", ErrBody)
}

// differ tells whether what is known of two bodies cannot be of the same one.
func differ(p, s *Message) bool {
	n := min(len(p.Body), len(s.Body))
	return !bytes.Equal(p.Body[:n], s.Body[:n]) ||
		!p.Truncated && len(s.Body) > n || !s.Truncated && len(p.Body) > n
}

func (c *comparator) jsonBodies(p, s []byte, prefix string, pAt, sAt int) ([]Diff, bool, error) {
	if (len(p) == 0) != (len(s) == 0) {
		return []Diff{{Path: prefix, Kind: bodyKind(p, s)}}, false, nil
	}
	got := c.json.Compare(p, s, prefix)
	if got.ErrA != nil && got.ErrB != nil {
		if bytes.Equal(p, s) {
			return nil, false, nil
		}
		return []Diff{{Path: prefix, Kind: bodyKind(p, s)}}, false, nil
	}
	diffs := make([]Diff, len(got.Diffs))
	for i, d := range got.Diffs {
		diffs[i] = Diff{Path: d.Path, Kind: kinds[d.Kind], Class: classes[d.Class],
			primary: spanAt(d.A, pAt), shadow: spanAt(d.B, sAt)}
	}
	return diffs, got.More, nil
}

func spanAt(s jsondiff.Span, at int) span {
	if s.Start < 0 {
		return span{}
	}
	return span{s.Start + at, s.End + at}
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

type record struct {
	at   int
	text []byte
}

func split(body []byte) (list []record) {
	for at, text := range media.Each(body) {
		list = append(list, record{at, text})
	}
	return list
}

// recordBodies compares JSON texts one by one.
func (c *comparator) recordBodies(p, s []byte) (diffs []Diff, more bool, err error) {
	if bytes.Equal(p, s) {
		return nil, false, nil
	}
	a, b := split(p), split(s)
	for i := range max(len(a), len(b)) {
		path := "/body/" + strconv.Itoa(i)
		switch {
		case len(diffs) > c.maxDiffs:
			return diffs[:c.maxDiffs], true, nil
		case i >= len(b):
			diffs = append(diffs, Diff{Path: path, Kind: Missing, primary: span{a[i].at, a[i].at + len(a[i].text)}})
		case i >= len(a):
			diffs = append(diffs, Diff{Path: path, Kind: Extra, shadow: span{b[i].at, b[i].at + len(b[i].text)}})
		default:
			d, m, _ := c.jsonBodies(a[i].text, b[i].text, path, a[i].at, b[i].at)
			diffs, more = append(diffs, d...), more || m
		}
	}
	if len(diffs) > c.maxDiffs {
		diffs, more = diffs[:c.maxDiffs], true
	}
	return diffs, more, nil
}

// maxValue is how many bytes of a value a Diff holds.
const maxValue = 1 << 10

// fill gives diffs the values that stand at their places in the messages primary and
// shadow, which are masked. PrimaryBody and shadowBody are the bodies in which the
// places were found.
func fill(places *jsondiff.Comparer, diffs []Diff, primary, shadow *Message, primaryBody, shadowBody []byte) {
	if len(diffs) == 0 {
		return
	}
	p := newView(places, primary, primaryBody, diffs, func(d *Diff) span { return d.primary })
	s := newView(places, shadow, shadowBody, diffs, func(d *Diff) span { return d.shadow })
	for i := range diffs {
		d := &diffs[i]
		d.Primary, d.Shadow = nil, nil
		if d.Kind != Extra {
			d.Primary = p.value(i, d.Path, d.primary)
		}
		if d.Kind != Missing {
			d.Shadow = s.value(i, d.Path, d.shadow)
		}
	}
}

// hideKeys takes from the paths of diffs the keys of keyed arrays that the masked
// messages do not hold any more.
func hideKeys(diffs []Diff, masked ...*Message) {
	for i := range diffs {
		parts := strings.Split(diffs[i].Path, "/")
		for k, part := range parts {
			member, key, keyed := strings.Cut(part, "=")
			if keyed && !holdsKey(member, key, masked) {
				parts[k] = member + "=" + maskedText
			}
		}
		diffs[i].Path = strings.Join(parts, "/")
	}
}

// holdsKey tells whether a member with that name and value, both as tokens of a path, is
// in one of the messages.
func holdsKey(member, key string, messages []*Message) bool {
	name, _ := json.Marshal(redact.Unescape(member))
	path, err := jsonpath.Parse("$..[" + string(name) + "]")
	if err != nil {
		return false
	}
	want := redact.Unescape(key)
	for _, m := range messages {
		if m == nil {
			continue
		}
		for _, record := range records(m) {
			nodes, err := path.Select(record.text, 0)
			if err != nil {
				continue
			}
			for _, n := range nodes {
				if got := record.text[n.Start:n.End]; string(got) == want ||
					got[0] == '"' && string(jsonscan.AppendUnquote(nil, got)) == want {
					return true
				}
			}
		}
	}
	return false
}

// records are the JSON texts of a body.
func records(m *Message) []record {
	if media.Of(m.Header.Get("Content-Type")) == media.Records {
		return split(m.Body)
	}
	return []record{{0, m.Body}}
}

// view finds in a masked message what was at the places of diffs before.
type view struct {
	m     *Message
	found []span // in the masked body, for each diff; nil where no offset has moved
}

func newView(places *jsondiff.Comparer, m *Message, original []byte, diffs []Diff, side func(*Diff) span) *view {
	if m == nil {
		return &view{m: &Message{}}
	}
	v := &view{m: m}
	if bytes.Equal(m.Body, original) {
		return v
	}
	v.found = make([]span, len(diffs))
	masked := records(m)
	whole := records(&Message{Header: m.Header, Body: original})
	if len(whole) != len(masked) {
		return v
	}
	for r := range whole {
		v.resolve(places, whole[r], masked[r], diffs, side)
	}
	return v
}

// resolve finds the places that are in the record from.
func (v *view) resolve(places *jsondiff.Comparer, from, to record, diffs []Diff, side func(*Diff) span) {
	var spans []jsondiff.Span
	var which []int
	for i := range diffs {
		if at := side(&diffs[i]); at != (span{}) && at.start >= from.at && at.end <= from.at+len(from.text) {
			spans = append(spans, jsondiff.Span{Start: at.start - from.at, End: at.end - from.at})
			which = append(which, i)
		}
	}
	if len(spans) == 0 {
		return
	}
	found, err := places.Resolve(from.text, to.text, spans)
	if err != nil {
		return
	}
	for k, i := range which {
		v.found[i] = spanAt(found[k], to.at)
	}
}

// value is what stands where the i-th difference is.
func (v *view) value(i int, path string, at span) json.RawMessage {
	if path == "/status" {
		return strconv.AppendInt(nil, int64(v.m.StatusCode), 10)
	}
	if strings.HasPrefix(path, "/header/Set-Cookie/") {
		return maskedJSON // the value is a credential
	}
	if name, ok := strings.CutPrefix(path, "/header/"); ok {
		return fieldValue(v.m.Header.Values(name))
	}
	if name, ok := strings.CutPrefix(path, "/trailer/"); ok {
		return fieldValue(v.m.Trailer.Values(name))
	}
	rest, ok := strings.CutPrefix(path, "/body")
	switch {
	case !ok:
		return nil
	case at == span{} && rest == "":
		return bodyValue(v.m.Body)
	case at == span{}: // not a difference of ours
		return bodyValue(redact.Lookup(v.m.Body, rest))
	}
	if v.found != nil {
		if at = v.found[i]; at == (span{}) {
			return maskedJSON // it is gone, or nobody can tell where it went
		}
	}
	if at.end > len(v.m.Body) {
		return nil
	}
	return bodyValue(v.m.Body[at.start:at.end])
}

func fieldValue(values []string) json.RawMessage {
	var raw []byte
	switch len(values) {
	case 0:
		return nil
	case 1:
		raw, _ = json.Marshal(values[0])
	default:
		raw, _ = json.Marshal(values)
	}
	return bodyValue(raw)
}

// bodyValue is raw as JSON: itself, or a string of its beginning where it is long or no
// JSON text.
func bodyValue(raw []byte) json.RawMessage {
	if len(raw) == 0 {
		return nil
	}
	if len(raw) <= maxValue && json.Valid(raw) {
		return raw
	}
	text := raw
	if len(text) > maxValue {
		text = text[:maxValue]
		for len(text) > 0 && !utf8.RuneStart(raw[len(text)]) {
			text = text[:len(text)-1]
		}
	}
	out, _ := json.Marshal(string(text) + map[bool]string{true: "…"}[len(text) < len(raw)])
	return out
}
