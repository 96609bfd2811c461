package shadow

import (
	"bytes"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/goshadow/shadow/internal/message"
	"github.com/goshadow/shadow/internal/pointer"
	"github.com/goshadow/shadow/internal/redact"
)

// replacers returns the parts of m that put something else in the place of values.
func replacers(m Masker) []*redact.Rule {
	if m == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(ruleOf(m).Units()), func(r *redact.Rule) bool { return !r.HidesValues() })
}

// effective returns those of rules that changed the request of the copy. Request makes it anew, or
// returns nil if there is no room for it.
func (m *Mirror) effective(rules []*redact.Rule, request func() *Message) (list []*redact.Rule) {
	if len(rules) == 0 {
		return nil
	}
	was := request()
	if was == nil {
		return nil
	}
	for _, rule := range rules {
		now := was.Clone()
		if m.replace(rule, now) == nil && !sameRequest(was, now) {
			list = append(list, rule)
		}
	}
	return list
}

// replace applies a rule to msg.
func (m *Mirror) replace(rule *redact.Rule, msg *Message) error {
	return m.guard("Masker", func() error {
		_, err := rule.Covered((*message.Message)(msg))
		return err
	})
}

func sameRequest(a, b *Message) bool {
	same := func(x, y map[string][]string) bool { return maps.EqualFunc(x, y, slices.Equal) }
	return bytes.Equal(a.Body, b.Body) && spelledURL(a.URL) == spelledURL(b.URL) && same(a.Header, b.Header) && same(a.Trailer, b.Trailer)
}

func spelledURL(u *url.URL) string {
	if u == nil {
		return ""
	}
	return u.String()
}

// echoes returns which of diffs, those of x, are there only because the copy was masked: the
// shadow was sent replacements in the place of values, and has answered with them. Those
// vanish when the same maskers have been over the primary's answer. The shadow's is compared
// as it is: the replacement of another value, or no value at all, remains a difference, and
// so does what a masker replaces that found nothing in the request.
func (m *Mirror) echoes(x *Exchange, rules []*redact.Rule, request func() *Message, diffs []Diff, more bool) (rest, echoed []Diff, others bool) {
	if len(diffs) == 0 {
		return diffs, nil, more
	}
	rules = m.effective(rules, request)
	if len(rules) == 0 {
		return diffs, nil, more
	}
	y := *x
	y.Primary = x.Primary.Clone()
	for _, rule := range rules {
		if m.replace(rule, y.Primary) != nil { // it cannot be read
			return diffs, nil, more
		}
	}
	again := m.diff(&y, false)
	if again.Err != nil || again.More {
		return diffs, nil, more
	}
	vanished, _ := subtract(diffs, again.Diffs)
	// Others that differ now are values that the shadow knew by itself, or a list that is
	// aligned in another way.
	appeared, _ := subtract(again.Diffs, diffs)
	doubtful := near(appeared)
	gone := make(map[string]bool, len(vanished))
	for _, d := range vanished {
		gone[d.Path] = !doubtful.has(d.Path)
	}
	for _, d := range diffs {
		if gone[d.Path] {
			d.Class = ClassMasked
			echoed = append(echoed, d)
		} else {
			rest = append(rest, d)
		}
	}
	if more && len(rest) == 0 && len(again.Diffs) > 0 { // it is another difference, of which we know too little
		return diffs, nil, more
	}
	return rest, echoed, more && len(rest) > 0
}

// nearby are places in an answer at which something differs: they, what they are in and what
// is in them. Of two places in one array nobody knows whether they are of the same element.
type nearby struct{ at, above map[string]bool }

func near(diffs []Diff) nearby {
	n := nearby{map[string]bool{}, map[string]bool{}}
	for _, d := range diffs {
		place := arrayOf(d.Path)
		n.at[place] = true
		for i := range len(place) {
			if place[i] == '/' {
				n.above[place[:i]] = true
			}
		}
	}
	return n
}

func (n nearby) has(path string) bool {
	place := arrayOf(path)
	if n.at[place] || n.above[place] {
		return true
	}
	for i := range len(place) {
		if place[i] == '/' && n.at[place[:i]] {
			return true
		}
	}
	return false
}

// maxNear is how many tokens of a path are looked at.
const maxNear = 32

// arrayOf is a path as far as the first element of an array, or where it is long its
// beginning.
func arrayOf(path string) string {
	path = pointer.Fold(path)
	at := 0
	for range maxNear {
		next := strings.IndexByte(path[min(at+1, len(path)):], '/')
		end := len(path)
		if next >= 0 {
			end = at + 1 + next
		}
		if at < len(path) && path[at:end] == "/*" || next < 0 {
			return path[:end]
		}
		at = end
	}
	return path[:at]
}
