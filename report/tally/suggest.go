package tally

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/internal/jsonpath"
	"github.com/goshadow/shadow/internal/pointer"
)

// Suggestion is what could be ignored so that a group does not come again: a rule for each
// place that can be ignored without anything else, and a reason for each other one.
type Suggestion struct {
	Fingerprint string    `json:"fingerprint"`
	Rules       []Rule    `json:"rules"`
	Refused     []Refusal `json:"refused"`
	// Resolves tells that the answers of all exemplars match with these rules.
	Resolves bool `json:"resolves"`
}

// Rule is a rule for CompareOptions.Ignore. It was tried on the answers of exemplars:
// with it they differ as before, but not at this place any more.
type Rule struct {
	Place
	Ignore string           `json:"ignore"` // JSONPath (RFC 9535)
	Class  shadow.DiffClass `json:"class"`  // of all differences at this place so far
}

// Refusal is why there is no rule for a place.
type Refusal struct {
	Place
	Reason RefusalReason `json:"reason"`
}

// RefusalReason is why there is no rule. It is a sentence.
type RefusalReason string

// The reasons.
const (
	RefusedPlace      RefusalReason = "it is not in the body: Ignore selects values of bodies"
	RefusedRoot       RefusalReason = "it is the whole body"
	RefusedStructure  RefusalReason = "a value is missing, extra or of another type: that is never only noise"
	RefusedLength     RefusalReason = "an array is longer or shorter"
	RefusedOrder      RefusalReason = "elements are reordered: see CompareOptions.Unordered and Keyed"
	RefusedValue      RefusalReason = "the values are not all timestamps, all UUIDs or all tokens: a rule would hide what they mean"
	RefusedBroad      RefusalReason = "a rule would cover other differences too"
	RefusedUnverified RefusalReason = "no exemplar has its answers kept as a whole: they were too large, cut, or there was no room"
	RefusedMasked     RefusalReason = "the kept answers do not show the difference: the record mask hides it"
	RefusedNotJSON    RefusalReason = "the answers are no JSON text"
	RefusedUnresolved RefusalReason = "the answers differ there even with the rule"
	RefusedOther      RefusalReason = "it stands for many places"
)

// maxKept is how many bytes of answers are kept of an exemplar.
const maxKept = 128 << 10

// suggester compares as the mirror does, but for some rules more.
type suggester struct{ options shadow.CompareOptions }

func newSuggester(o shadow.CompareOptions) (suggester, error) {
	if o.MaxDiffs == 0 {
		o.MaxDiffs = 10_000 // all of them, so that none hides behind another
	}
	o.Ignore = slices.Clone(o.Ignore)
	s := suggester{o}
	_, err := s.comparator()
	return s, err
}

func (s suggester) comparator(ignore ...string) (shadow.Comparator, error) {
	o := s.options
	o.Ignore = slices.Concat(o.Ignore, ignore)
	return shadow.NewComparator(o)
}

// keep makes r an exemplar, with its answers if there is room for them.
func (t *Tally) keep(shape uint64, route string, r *shadow.Result) *exemplar {
	e := &exemplar{shape: shape, Exemplar: newExemplar(shape, r)}
	if r.Primary == nil || r.Shadow == nil || r.Primary.Truncated || r.Shadow.Truncated {
		return e
	}
	size := weightOf(r.Primary) + weightOf(r.Shadow)
	if size > maxKept || !reserve(&t.kept, size, t.options.ExemplarBytes) {
		return e
	}
	e.size = size
	e.kept = &shadow.Exchange{ID: e.ID, Route: route, Primary: answer(r.Primary), Shadow: answer(r.Shadow)}
	e.kept.Request = &shadow.Message{Method: e.Method}
	return e
}

// drop gives the room of an exemplar back.
func (t *Tally) drop(e *exemplar) { t.kept.Add(-e.size) }

// weightOf is how many bytes the copy of an answer takes, about.
func weightOf(m *shadow.Message) int64 {
	const fixed = 1 << 10
	n := fixed + len(m.Body)
	for _, h := range [...]http.Header{m.Header, m.Trailer} {
		for name, values := range h {
			n += len(name) + len(strings.Join(values, ""))
		}
	}
	return int64(n)
}

// answer is a copy of what is compared of an answer.
func answer(m *shadow.Message) *shadow.Message {
	return &shadow.Message{
		StatusCode: m.StatusCode, Header: m.Header.Clone(), Trailer: m.Trailer.Clone(),
		Body: bytes.Clone(m.Body), Size: m.Size,
	}
}

// Suggest tells what could be ignored so that the group does not come again. It is
// careful: a rule is only suggested for scalar values whose differences are all
// timestamps, all UUIDs or all tokens, if no other difference that t has seen of the same
// mirror, on any route, would be covered by it, and if comparing the kept answers of the
// exemplars again with the rule shows that it takes away these differences and nothing
// else. It is never applied by itself, and a place that is ignored is not compared at
// all: its absence goes unnoticed too.
//
// Answers are kept as the record mask left them, within Options.ExemplarBytes. Suggest
// needs Options.Compare to be what the mirror compares by. The error is that t knows no
// such group.
func (t *Tally) Suggest(fingerprint string) (*Suggestion, error) {
	var of []*series
	var places []Place
	var exchanges []*shadow.Exchange
	all := t.all()
	for _, s := range all {
		for _, g := range *s.groups.Load() {
			if g.fingerprint == 0 || formatted(g.fingerprint) != fingerprint {
				continue
			}
			of, places = append(of, s), g.places
			for _, e := range *g.exemplars.Load() {
				if e.kept != nil {
					exchanges = append(exchanges, e.kept)
				}
			}
		}
	}
	if of == nil {
		return nil, fmt.Errorf("tally: Suggest: there is no group %.40q", fingerprint)
	}
	s := &Suggestion{Fingerprint: fingerprint}
	for _, p := range places {
		rule, reason := t.suggest(p, of, all, exchanges)
		if reason != "" {
			s.Refused = append(s.Refused, Refusal{p, reason})
			continue
		}
		s.Rules = append(s.Rules, *rule)
	}
	s.Resolves = len(s.Refused) == 0 && t.resolves(s.Rules, exchanges)
	return s, nil
}

// suggest returns a rule for a place of the series of, or the reason why there is none.
func (t *Tally) suggest(p Place, of, all []*series, exchanges []*shadow.Exchange) (*Rule, RefusalReason) {
	if reason := unfit(p); reason != "" {
		return nil, reason
	}
	class, reason := classAt(p, of, all)
	if reason != "" {
		return nil, reason
	}
	rule := &Rule{Place: p, Ignore: jsonPath(p.Path), Class: class}
	return rule, t.try(rule, exchanges)
}

// unfit is the reason why a place is nothing that can be ignored; empty if it is.
func unfit(p Place) RefusalReason {
	switch {
	case p.Path == Other:
		return RefusedOther
	case p.Path == "/body":
		return RefusedRoot
	case !strings.HasPrefix(p.Path, "/body/"):
		return RefusedPlace
	case p.Kind == shadow.Reordered:
		return RefusedOrder
	case p.Kind != shadow.Changed && strings.HasSuffix(p.Path, "/*"):
		return RefusedLength
	case p.Kind != shadow.Changed:
		return RefusedStructure
	}
	return ""
}

// classAt is the class of all differences at a place, if they are all of one class that
// is volatile, and no others are at the same place or below it, on any route of the
// mirrors: a rule holds for all routes.
func classAt(p Place, of, all []*series) (shadow.DiffClass, RefusalReason) {
	var counts [numClasses]uint64
	broad := false
	for _, s := range all {
		if !slices.ContainsFunc(of, func(o *series) bool { return o.key.mirror == s.key.mirror }) {
			continue
		}
		for _, f := range *s.fields.Load() {
			switch {
			case f.place == p:
				addTo(&counts, s, f)
			case f.place.Path == p.Path || strings.HasPrefix(f.place.Path, p.Path+"/"):
				var others [numClasses]uint64
				addTo(&others, s, f)
				broad = broad || others != [numClasses]uint64{}
			}
		}
	}
	if broad {
		return "", RefusedBroad
	}
	for _, class := range [...]shadow.DiffClass{shadow.ClassTimestamp, shadow.ClassUUID, shadow.ClassToken} {
		only := [numClasses]uint64{}
		only[classOf(class)] = counts[classOf(class)]
		if counts == only {
			return class, ""
		}
	}
	return "", RefusedValue
}

// addTo adds the differences at a field to counts, by class.
func addTo(counts *[numClasses]uint64, s *series, f *field) {
	cells := s.lockAll()
	defer unlock(cells)
	for _, c := range cells {
		if f.index < len(c.fields) {
			for class, n := range c.fields[f.index].classes {
				counts[class] += n
			}
		}
	}
}

// try tries a rule on the answers of exemplars.
func (t *Tally) try(rule *Rule, exchanges []*shadow.Exchange) RefusalReason {
	if len(exchanges) == 0 {
		return RefusedUnverified
	}
	plain, err := t.suggests.comparator()
	if err != nil {
		return RefusedUnresolved
	}
	with, err := t.suggests.comparator(rule.Ignore)
	if err != nil {
		return RefusedUnresolved
	}
	shown := false
	for _, x := range exchanges {
		if !json.Valid(x.Primary.Body) || !json.Valid(x.Shadow.Body) {
			return RefusedNotJSON
		}
		if !scalars(rule.Path, x.Primary.Body) || !scalars(rule.Path, x.Shadow.Body) {
			return RefusedBroad
		}
		before, after := differences(plain, x), differences(with, x)
		there := func(p place) bool { return p.Place == rule.Place }
		shown = shown || slices.ContainsFunc(before, there)
		if slices.ContainsFunc(after, there) {
			return RefusedUnresolved
		}
		if !slices.Equal(slices.DeleteFunc(before, there), after) {
			return RefusedBroad
		}
	}
	if !shown {
		return RefusedMasked
	}
	return ""
}

// resolves reports whether the answers of all exemplars match with the rules.
func (t *Tally) resolves(rules []Rule, exchanges []*shadow.Exchange) bool {
	ignore := make([]string, len(rules))
	for i, r := range rules {
		ignore[i] = r.Ignore
	}
	c, err := t.suggests.comparator(ignore...)
	return err == nil && len(exchanges) > 0 &&
		!slices.ContainsFunc(exchanges, func(x *shadow.Exchange) bool { return len(differences(c, x)) > 0 })
}

// place is a difference and where exactly it is.
type place struct {
	Place
	path string
}

func differences(c shadow.Comparator, x *shadow.Exchange) (list []place) {
	for _, d := range c.Compare(x).Diffs {
		list = append(list, place{Place{pointer.Fold(d.Path), d.Kind}, d.Path})
	}
	return list
}

// scalars reports whether a folded path stands for scalar values only, each of them reached
// through an array where it says "*": the name of a member may look like an index.
func scalars(path string, doc []byte) bool {
	tokens := strings.Split(path, "/")
	for i := 2; i <= len(tokens); i++ { // the first two are empty and "body"
		p, err := jsonpath.Parse(jsonPath(strings.Join(tokens[:i], "/")))
		if err != nil {
			return false
		}
		nodes, err := p.Select(doc, 0)
		if err != nil {
			return false
		}
		for _, n := range nodes {
			array, object := doc[n.Start] == '[', doc[n.Start] == '{'
			if i == len(tokens) && (array || object) || i < len(tokens) && tokens[i] == "*" && object {
				return false
			}
		}
	}
	return true
}

// jsonPath is the JSONPath of a folded path at or below /body.
func jsonPath(path string) string {
	text := []byte{'$'}
	for _, token := range strings.Split(path, "/")[2:] {
		switch name := pointer.Unescape(token); {
		case token == "*":
			text = append(text, "[*]"...)
		case isName(name):
			text = append(append(text, '.'), name...)
		default:
			quoted, _ := json.Marshal(name)
			text = append(append(append(text, '['), quoted...), ']')
		}
	}
	return string(text)
}

// isName reports whether a name can stand behind a dot (RFC 9535 section 2.5.1.1), in ASCII.
func isName(s string) bool {
	for i, c := range s {
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}
