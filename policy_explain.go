package shadow

import (
	"bytes"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/goshadow/shadow/internal/bodies"
	"github.com/goshadow/shadow/internal/jsondiff"
	"github.com/goshadow/shadow/internal/redact"
)

// Touch says that a rule changed a value, and where, but not which value.
type Touch struct {
	// Rule is the name of the rule.
	Rule string
	// Place is a JSON Pointer (RFC 6901) into the message, as that of a Diff:
	// /header/X-User, /header/Cookie/sid, /trailer/X-User, /userinfo, /path/2 (the second
	// segment), /query/email, /body/user/email. A name that was a value itself, since a
	// rule replaced it, is "*", and ends the pointer.
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
	uncovered := p.uncovered(m)
	masked := m.Clone()
	for _, rule := range p.rules {
		before := masked.Clone()
		one := maskAll{list: rule.maskers}
		if err := one.mask(masked); err != nil {
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

func parent(place string) string { return place[:strings.LastIndexByte(place, '/')] }

// touched are the places where two states of a message differ, and those of them whose
// name was replaced.
func touched(before, after *Message) (places, renamed []string) {
	places = append(places, inURL(before.URL, after.URL)...)
	places = append(places, inFields("/header/", before.Header, after.Header)...)
	places = append(places, inFields("/trailer/", before.Trailer, after.Trailer)...)
	if bytes.Equal(before.Body, after.Body) {
		return places, nil
	}
	diffs := inBody(before, after)
	gone, come := map[string]bool{}, map[string]bool{} // containers that lost a member, or got one
	for _, d := range diffs {
		gone[parent(d.Path)] = gone[parent(d.Path)] || d.Kind == Missing
		come[parent(d.Path)] = come[parent(d.Path)] || d.Kind == Extra
	}
	for _, d := range diffs {
		in := parent(d.Path)
		switch {
		case d.Kind == Extra && gone[in]: // the other name of one that is gone
			continue
		case d.Kind == Missing && come[in]:
			renamed = append(renamed, d.Path)
		}
		places = append(places, d.Path)
	}
	return places, renamed
}

// inBody are the differences of two bodies, at least one.
func inBody(before, after *Message) []Diff {
	whole := &comparator{set: bodies.NewSet(jsondiff.New(jsondiff.Options{MaxDiffs: math.MaxInt}), math.MaxInt)}
	diffs, _, err := whole.bodies(before, after)
	if err != nil || len(diffs) == 0 {
		return []Diff{{Path: "/body", Kind: Changed}}
	}
	return diffs
}

// inURL are the places where two URLs differ.
func inURL(before, after *url.URL) (places []string) {
	if before == nil || after == nil {
		return nil
	}
	if before.User.String() != after.User.String() {
		places = append(places, "/userinfo")
	}
	a, b := strings.Split(before.EscapedPath(), "/"), strings.Split(after.EscapedPath(), "/")
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			places = append(places, "/path/"+strconv.Itoa(i))
		}
	}
	if before.RawQuery != after.RawQuery {
		names := different(before.Query(), after.Query())
		if len(names) == 0 { // they are where nobody would read them
			return append(places, "/query")
		}
		for _, name := range names {
			places = append(places, "/query/"+redact.Escape(name))
		}
	}
	return places
}

// inFields are the places where two headers differ. Where both have cookies these are
// told apart.
func inFields(prefix string, before, after map[string][]string) (places []string) {
	for _, name := range different(before, after) {
		a, b := cookieValues(name, before[name]), cookieValues(name, after[name])
		if len(a) == 0 || len(b) == 0 {
			places = append(places, prefix+name)
			continue
		}
		for _, cookie := range different(a, b) {
			places = append(places, prefix+name+"/"+redact.Escape(cookie))
		}
	}
	return places
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

// different are the names whose values differ, sorted.
func different(a, b map[string][]string) []string {
	var names []string
	for name := range a {
		if !slices.Equal(a[name], b[name]) {
			names = append(names, name)
		}
	}
	for name := range b {
		if _, both := a[name]; !both {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
