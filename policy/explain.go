package policy

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/internal/pointer"
)

// Change says that a rule changed a value, and where, but not which value.
type Change struct {
	// Rule is the name of the rule.
	Rule string
	// Place is a JSON Pointer (RFC 6901) into the message, as in shadow.Diff:
	// /header/X-User, /header/Cookie/sid, /trailer/X-User, /userinfo, /path/2 (the second
	// segment), /query/email, /body/user/email. A name that a rule replaces, because it is
	// a value itself, is shown as "*", which ends the pointer.
	Place string
}

// Explain returns what the rules change in m, in the order of the rules. It does not change m.
// It masks a copy and compares the copy before and after each rule: so it says what the rules
// do, not what they are meant to do. A value that is replaced by an equal one is not changed.
// Names of members and fields that the rules let pass are shown.
//
// If Mask returns an error for m, so does Explain. It then returns the changes before that.
func (p *Policy) Explain(m *shadow.Message) ([]Change, error) {
	var list []Change
	var renamed []string
	masked := m.Clone()
	for _, r := range p.rules {
		before := masked.Clone()
		alone := shadow.MaskAll(r.masker, shadow.AllowBodies("*/*")) // other rules may look into the body
		if err := alone.Mask(masked); err != nil {
			return hide(list, renamed), fmt.Errorf("shadow: policy rule %q: %w", r.name, err)
		}
		changed, names := compare(before, masked)
		for _, place := range changed {
			list = append(list, Change{r.name, place})
		}
		renamed = append(renamed, names...)
	}
	return hide(list, renamed), p.Mask(m.Clone()) // an error if no rule looks into the body
}

// hide ends the places of changes at a name that was replaced.
func hide(list []Change, renamed []string) []Change {
	for i, c := range list {
		for _, name := range renamed {
			if c.Place == name || strings.HasPrefix(c.Place, name+"/") {
				list[i].Place = parent(name) + "/*"
			}
		}
	}
	return slices.Compact(list)
}

// ofName returns place without the index at its end, if there is one: that of a value among several
// with one name.
func ofName(place string) string {
	if i := strings.LastIndexByte(place, '/'); i > 0 && i+1 < len(place) && strings.Trim(place[i+1:], "0123456789") == "" {
		return place[:i]
	}
	return place
}

func parent(place string) string { return place[:strings.LastIndexByte(place, '/')] }

// compare returns the places where two states of a message differ, and those of them whose name
// was replaced: a name that is gone from a parent in which another one is new or has changed.
// If several values have one name, the name is above the last step of the place.
func compare(before, after *shadow.Message) (places, renamed []string) {
	diffs := differences(before, after)
	gone, come := map[string]bool{}, map[string]bool{} // by parent
	for _, d := range diffs {
		for _, name := range [...]string{d.Path, ofName(d.Path)} {
			gone[parent(name)] = gone[parent(name)] || d.Kind == shadow.Missing
			come[parent(name)] = come[parent(name)] || d.Kind != shadow.Missing
		}
	}
	for _, d := range diffs {
		name := ofName(d.Path)
		switch {
		case d.Kind == shadow.Extra && (gone[parent(d.Path)] || gone[parent(name)]):
			continue
		case d.Kind == shadow.Missing && come[parent(name)]:
			renamed = append(renamed, name)
		case d.Kind == shadow.Missing && come[parent(d.Path)]:
			renamed = append(renamed, d.Path)
		}
		places = append(places, d.Path)
	}
	return places, renamed
}

// differences returns where two states of a message differ.
func differences(before, after *shadow.Message) []shadow.Diff {
	diffs := inURL(before.URL, after.URL)
	diffs = append(diffs, inFields("/header", before.Header, after.Header)...)
	diffs = append(diffs, inFields("/trailer", before.Trailer, after.Trailer)...)
	return append(diffs, inBody(before, after)...)
}

// inURL returns where two URLs differ.
func inURL(before, after *url.URL) (diffs []shadow.Diff) {
	if before == nil || after == nil || before.String() == after.String() {
		return nil
	}
	if before.User.String() != after.User.String() {
		diffs = append(diffs, shadow.Diff{Path: "/userinfo", Kind: shadow.Changed})
	}
	a, b := strings.Split(before.EscapedPath(), "/"), strings.Split(after.EscapedPath(), "/")
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			diffs = append(diffs, shadow.Diff{Path: "/path/" + strconv.Itoa(i), Kind: shadow.Changed})
		}
	}
	diffs = append(diffs, inNames("/query", before.Query(), after.Query())...)
	if len(diffs) == 0 { // in a part that holds no values
		diffs = append(diffs, shadow.Diff{Path: "/url", Kind: shadow.Changed})
	}
	return diffs
}

// inFields returns where two headers differ. Cookies are compared one by one, unless all are gone.
func inFields(prefix string, before, after map[string][]string) (diffs []shadow.Diff) {
	for _, d := range inNames(prefix, before, after) {
		name := d.Path[len(prefix)+1:]
		single := inNames(d.Path, cookieValues(name, before[name]), cookieValues(name, after[name]))
		if len(single) == 0 || d.Kind != shadow.Changed {
			single = []shadow.Diff{d}
		}
		diffs = append(diffs, single...)
	}
	return diffs
}

// cookieValues returns the cookies of a field, by name (RFC 6265 sections 4.1.1 and 4.2.1).
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

// inNames returns where two sets of named values differ, by name.
func inNames(prefix string, before, after map[string][]string) (diffs []shadow.Diff) {
	all := maps.Clone(after)
	if all == nil {
		all = map[string][]string{}
	}
	maps.Copy(all, before)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		d := shadow.Diff{Path: prefix + "/" + pointer.Escape(name), Kind: shadow.Changed}
		a, had := before[name]
		b, has := after[name]
		switch {
		case slices.Equal(a, b):
			continue
		case !has:
			d.Kind = shadow.Missing
		case !had:
			d.Kind = shadow.Extra
		}
		diffs = append(diffs, d)
	}
	return diffs
}

// inBody returns where two bodies differ.
func inBody(before, after *shadow.Message) (diffs []shadow.Diff) {
	if bytes.Equal(before.Body, after.Body) {
		return nil
	}
	comparator, err := shadow.NewComparator(shadow.CompareOptions{Headers: []string{}, MaxDiffs: math.MaxInt})
	if err == nil {
		got := comparator.Compare(&shadow.Exchange{Primary: answer(before), Shadow: answer(after)})
		diffs, err = got.Diffs, got.Err
	}
	if err != nil || len(diffs) == 0 { // in a part of the body that is not compared
		return []shadow.Diff{{Path: "/body", Kind: shadow.Changed}}
	}
	return diffs
}

// answer returns an answer with the body of m.
func answer(m *shadow.Message) *shadow.Message {
	return &shadow.Message{StatusCode: http.StatusOK, Header: m.Header, Body: m.Body, Truncated: m.Truncated}
}
