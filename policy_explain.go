package shadow

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/goshadow/shadow/internal/bodies"
	"github.com/goshadow/shadow/internal/jsondiff"
	"github.com/goshadow/shadow/internal/message"
	"github.com/goshadow/shadow/internal/pointer"
)

// Touch says that a rule changed a value, and where, but not which value.
type Touch struct {
	// Rule is the name of the rule.
	Rule string
	// Place is a JSON Pointer (RFC 6901) into the message, as that of a Diff:
	// /header/X-User, /header/Cookie/sid, /trailer/X-User, /userinfo, /path/2 (the second
	// segment), /query/email, /body/user/email. A name that is a value itself, since a rule
	// replaces it, is "*", and ends the pointer.
	Place string
}

// Explain says which rules touch m, and where, in the order of the rules. It leaves m as it
// is. It masks a copy and compares that before and after each rule: so it says what the
// rules do, not what they are meant to do. What a rule replaces by the same again is not
// touched. A name of a member or field that the rules let pass is shown.
//
// Where Mask fails Explain does too. It returns what was touched before that as well.
func (p *Policy) Explain(m *Message) ([]Touch, error) {
	var touches []Touch
	var renamed []string
	uncovered := p.rule.Uncovered((*message.Message)(m))
	masked := m.Clone()
	for _, rule := range p.rules {
		before := masked.Clone()
		if err := newMaskAll(rule.name, rule.maskers).rule.Apply((*message.Message)(masked)); err != nil {
			return hide(touches, renamed), fmt.Errorf("shadow: policy rule %q: %w", rule.name, err)
		}
		places, names := touched(before, masked)
		for _, place := range places {
			touches = append(touches, Touch{rule.name, place})
		}
		renamed = append(renamed, names...)
	}
	return hide(touches, renamed), uncovered
}

// hide ends the places of touches where they lead through a name that was replaced.
func hide(touches []Touch, renamed []string) []Touch {
	for i, t := range touches {
		for _, name := range renamed {
			if t.Place == name || strings.HasPrefix(t.Place, name+"/") {
				touches[i].Place = parent(name) + "/*"
			}
		}
	}
	return slices.Compact(touches)
}

// ofName is place without the index of a value at its end: several fields have one name.
func ofName(place string) string {
	if i := strings.LastIndexByte(place, '/'); i > 0 && i+1 < len(place) && strings.Trim(place[i+1:], "0123456789") == "" {
		return place[:i]
	}
	return place
}

func parent(place string) string { return place[:strings.LastIndexByte(place, '/')] }

// touched are the places where two states of a message differ, and those of them whose
// name was replaced: a name that is gone from where another one has come, or has changed
// since there it was already. Where several fields have one name that is above the last step.
func touched(before, after *Message) (places, renamed []string) {
	diffs := changes(before, after)
	gone, come := map[string]bool{}, map[string]bool{} // by what the name is in
	for _, d := range diffs {
		for _, name := range [...]string{d.Path, ofName(d.Path)} {
			gone[parent(name)] = gone[parent(name)] || d.Kind == Missing
			come[parent(name)] = come[parent(name)] || d.Kind != Missing
		}
	}
	for _, d := range diffs {
		name := ofName(d.Path)
		switch {
		case d.Kind == Extra && (gone[parent(d.Path)] || gone[parent(name)]):
			continue
		case d.Kind == Missing && come[parent(name)]:
			renamed = append(renamed, name)
		case d.Kind == Missing && come[parent(d.Path)]:
			renamed = append(renamed, d.Path)
		}
		places = append(places, d.Path)
	}
	return places, renamed
}

// changes are the differences of two states of a message.
func changes(before, after *Message) []Diff {
	diffs := inURL(before.URL, after.URL)
	diffs = append(diffs, inFields("/header", before.Header, after.Header)...)
	diffs = append(diffs, inFields("/trailer", before.Trailer, after.Trailer)...)
	return append(diffs, inBody(before, after)...)
}

// inURL are the differences of two URLs.
func inURL(before, after *url.URL) (diffs []Diff) {
	if before == nil || after == nil || before.String() == after.String() {
		return nil
	}
	if before.User.String() != after.User.String() {
		diffs = append(diffs, Diff{Path: "/userinfo", Kind: Changed})
	}
	a, b := strings.Split(before.EscapedPath(), "/"), strings.Split(after.EscapedPath(), "/")
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			diffs = append(diffs, Diff{Path: "/path/" + strconv.Itoa(i), Kind: Changed})
		}
	}
	diffs = append(diffs, inNames("/query", before.Query(), after.Query())...)
	if len(diffs) == 0 { // it is where nobody looks for a value
		diffs = append(diffs, Diff{Path: "/url", Kind: Changed})
	}
	return diffs
}

// inFields are the differences of two headers. Cookies are told apart, unless all are gone.
func inFields(prefix string, before, after map[string][]string) (diffs []Diff) {
	for _, d := range inNames(prefix, before, after) {
		name := d.Path[len(prefix)+1:]
		single := inNames(d.Path, cookieValues(name, before[name]), cookieValues(name, after[name]))
		if len(single) == 0 || d.Kind != Changed {
			single = []Diff{d}
		}
		diffs = append(diffs, single...)
	}
	return diffs
}

// cookieValues are the cookies of a field, by name (RFC 6265 sections 4.1.1 and 4.2.1).
func cookieValues(field string, values []string) map[string][]string {
	set := map[string][]string{}
	for _, value := range values {
		var pairs []string
		switch field {
		case "Cookie":
			pairs = strings.Split(value, ";")
		case "Set-Cookie":
			pairs = []string{value}
		}
		for _, pair := range pairs {
			name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
			set[name] = append(set[name], value)
		}
	}
	return set
}

// inNames are the differences of two sets of named values, by name.
func inNames(prefix string, before, after map[string][]string) (diffs []Diff) {
	for _, name := range slices.Sorted(maps.Keys(union(before, after))) {
		d := Diff{Path: prefix + "/" + pointer.Escape(name), Kind: Changed}
		a, had := before[name]
		b, has := after[name]
		switch {
		case slices.Equal(a, b):
			continue
		case !has:
			d.Kind = Missing
		case !had:
			d.Kind = Extra
		}
		diffs = append(diffs, d)
	}
	return diffs
}

// inBody are the differences of two bodies.
func inBody(before, after *Message) []Diff {
	if bytes.Equal(before.Body, after.Body) {
		return nil
	}
	whole := &RuleComparator{set: bodies.NewSet(jsondiff.New(jsondiff.Options{MaxDiffs: math.MaxInt}), math.MaxInt, nil), slots: make(chan struct{}, 1)}
	got := whole.bodies(before, after)
	if got.Err != nil || len(got.Diffs) == 0 { // it is in what is not compared
		return []Diff{{Path: "/body", Kind: Changed}}
	}
	return got.Diffs
}
