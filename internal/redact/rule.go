package redact

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"

	"github.com/goshadow/shadow/internal/fields"
	"github.com/goshadow/shadow/internal/message"
)

// Rule is a mask for messages: what it does, and what a Mirror has to know of it. It is safe for
// concurrent use and does not change once it is made.
type Rule struct {
	// Option is the constructor of the rule, such as "MaskJSON".
	Option string
	// Err is what is wrong with its arguments. Such a rule fails on every message.
	Err error
	// Given are the places that it was given. Found returns how often Given[i] took effect.
	Given []string
	Found func(i int) uint64

	mask func(m *message.Message, with Replacement) error
	with Replacement

	values bool                   // it looks for values, which any Replacement can replace
	reads  bool                   // it may look at what is in a body
	covers func(l Leaf) bool      // reports whether it looks into a piece of a body; nil if it is not about bodies
	hides  func(part string) bool // reports whether it replaces the part of a form with that name, whatever is in it
	field  func(name string) bool // reports whether it masks a header field as a whole
	texts  bool                   // it looks at every text
	paths  Paths                  // they name routes

	units  []*Rule // of All: what runs, in order
	leaves []*Rule // of All and Wrap: every rule in it
	user   any     // of Wrap: the mask
}

// Mask masks m in place.
func (r *Rule) Mask(m *message.Message) error {
	if r.Err != nil {
		return r.Err
	}
	return r.mask(m, r.with)
}

// All returns a rule that applies rules in order and stops at the first error. Rules that All has
// made are replaced by what is in them; nil ones are left out. Option names it, and err is what is
// wrong with its arguments.
func All(option string, err error, rules ...*Rule) *Rule {
	all := &Rule{Option: option, Err: err, units: []*Rule{}, leaves: []*Rule{}}
	for _, r := range rules {
		if r != nil {
			all.units = append(all.units, r.Units()...)
			all.leaves = append(all.leaves, r.parts()...)
		}
	}
	all.mask = func(m *message.Message, _ Replacement) error {
		if err := all.Uncovered(m); err != nil {
			return err
		}
		return all.Apply(m)
	}
	return all
}

// Union returns a rule that applies rules and then own, which may be nil. A part of own that is one of
// rules too runs once: a token of a token is none of the value.
func Union(option string, rules []*Rule, own *Rule) *Rule {
	all := All(option, nil, rules...)
	if own == nil {
		return all
	}
	before := all.units
	for _, unit := range own.Units() {
		if !slices.ContainsFunc(before, unit.Same) {
			all.units = append(all.units, unit)
			all.leaves = append(all.leaves, unit.parts()...)
		}
	}
	return all
}

// Wrap returns the rule of a user's mask that is made of inner, as far as that is known. What
// these say of themselves holds for it too.
func Wrap(user any, mask func(m *message.Message) error, inner ...*Rule) *Rule {
	r := &Rule{Option: fmt.Sprintf("%T", user), user: user, reads: true}
	r.mask = func(m *message.Message, _ Replacement) error { return mask(m) }
	r.leaves = []*Rule{r}
	for _, one := range inner {
		r.leaves = append(r.leaves, one.parts()...)
	}
	return r
}

// With returns what All made with another Replacement. A rule that looks for no values is an error,
// and so is a user's mask.
func (r *Rule) With(with Replacement) *Rule {
	err := r.Err
	if with.Err != nil {
		err = errors.Join(err, fmt.Errorf("%s: %w", r.Option, with.Err))
	}
	var changed []*Rule
	for _, unit := range r.units {
		if !unit.values {
			err = errors.Join(err, fmt.Errorf("%s: %s does not look for values that %v could replace", r.Option, unit.Option, with))
			continue
		}
		changed = append(changed, unit.replacing(with))
	}
	return All(r.Option, err, changed...)
}

// replacing returns r with another Replacement.
func (r *Rule) replacing(with Replacement) *Rule {
	changed := *r
	changed.with = with
	return &changed
}

// Units returns the rules that run one after the other: those of All, else r.
func (r *Rule) Units() []*Rule {
	if r.units != nil {
		return r.units
	}
	return []*Rule{r}
}

// parts returns every rule in r.
func (r *Rule) parts() []*Rule {
	if r.leaves != nil {
		return r.leaves
	}
	return []*Rule{r}
}

// Same reports whether both are one rule, or of one mask of a user.
func (r *Rule) Same(other *Rule) bool {
	if r == other {
		return true
	}
	return r.user != nil && reflect.TypeOf(r.user).Comparable() && r.user == other.user
}

// HidesValues reports whether r looks for values of traffic, which reports should hide too.
func (r *Rule) HidesValues() bool {
	return slices.ContainsFunc(r.parts(), func(p *Rule) bool { return p.values })
}

// ReadsBodies reports whether r may look at what is in bodies.
func (r *Rule) ReadsBodies() bool {
	return slices.ContainsFunc(r.parts(), func(p *Rule) bool { return p.reads })
}

// Labels returns what r has to say about the names of a copy. Pattern returns the pattern of a
// masked path, which names its route; it is nil if no rule has one. Texts mask every text, and ids
// also the field with the correlation ID.
func (r *Rule) Labels(requestID string) (pattern func(path string) string, texts, ids []func(*message.Message) error) {
	var paths Paths
	for _, p := range r.parts() {
		paths = append(paths, p.paths...)
		if p.field != nil && p.field(requestID) {
			ids = append(ids, p.Mask)
		}
		if p.texts {
			texts = append(texts, p.replacing(Replacement{}).Mask)
		}
	}
	if len(paths) > 0 {
		pattern = func(path string) string {
			_, pattern := paths.Mask(path, Replacement{})
			return pattern
		}
	}
	return pattern, texts, append(ids, texts...)
}

// Apply masks m with each unit of r. It looks at no coverage.
func (r *Rule) Apply(m *message.Message) error {
	if r.Err != nil {
		return r.Err
	}
	for _, unit := range r.Units() {
		if err := unit.Mask(m); err != nil {
			return err
		}
	}
	return nil
}

// Covered masks m, but for a body into which no rule looks: that stays as it is, and covered is
// false.
func (r *Rule) Covered(m *message.Message) (covered bool, err error) {
	if r.Uncovered(m) == nil {
		return true, r.Apply(m)
	}
	body, truncated := m.Body, m.Truncated
	m.Body, m.Truncated = nil, false
	err = r.Apply(m)
	m.Body, m.Truncated = body, truncated
	return false, err
}

// Record masks m, which is to be reported. There a body into which no rule looks is no error: the
// record does without. Digests of a body that has changed are masked.
func (r *Rule) Record(m *message.Message) error {
	body := m.Body
	covered, err := r.Covered(m)
	if err != nil {
		return err
	}
	if !covered {
		m.Body, m.Truncated = nil, true
	}
	if bytes.Equal(body, m.Body) {
		return nil
	}
	m.Digest = 0
	eachValue(m, func(name, value string) string {
		if name = http.CanonicalHeaderKey(name); name == "Etag" || slices.Contains(fields.Digests, name) {
			return Masked
		}
		return value
	})
	return nil
}

// Error is why a rule failed. It quotes no more of a body than a character.
type Error struct {
	Option string // of the rule
	Err    error
}

func (e *Error) Error() string { return "shadow: " + e.Option + ": " + e.Err.Error() }

// Unwrap returns the error without the rule.
func (e *Error) Unwrap() error { return e.Err }
