package shadow

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// ruler is a Masker or Comparator that has rules. A value that several parts of a Mirror share
// counts for all of them.
type ruler interface{ Rules() []RuleUse }

// ruleUses returns the uses of the rules that an option was given.
func ruleUses(option string, given []string, found func(i int) uint64) []RuleUse {
	rules := make([]RuleUse, 0, len(given))
	for i, rule := range given {
		rules = append(rules, RuleUse{Option: option, Path: rule, Count: found(i)})
	}
	return rules
}

// Rules returns every rule of the Mirror's comparator and of its maskers, and how often it took
// effect: CompareOptions.Ignore, Unordered, Keyed and Tolerances, MaskJSON, MaskHeaders and
// the other maskers that name places. A rule that stays at zero may be misspelt: a mask then
// hides nothing. The Mirror says so once, as EventUnusedRules, after 10,000 results.
//
// Rules of a user's Masker or Comparator are included if it has a method Rules() []RuleUse, or
// an Unwrap that returns what it is made of: []Masker or []Comparator.
func (m *Mirror) Rules() []RuleUse {
	m.mustExist("Rules")
	var rules []RuleUse
	seen := map[any]bool{}
	var walk func(part any)
	walk = func(part any) {
		if isNil(part) {
			return
		}
		if reflect.ValueOf(part).Comparable() {
			if seen[part] {
				return
			}
			seen[part] = true
		}
		if r, ok := part.(ruler); ok {
			rules = append(rules, r.Rules()...)
		}
		switch p := part.(type) {
		case interface{ Unwrap() []Masker }:
			for _, inner := range p.Unwrap() {
				walk(inner)
			}
		case interface{ Unwrap() []Comparator }:
			for _, inner := range p.Unwrap() {
				walk(inner)
			}
		case interface{ parts() []any }:
			for _, inner := range p.parts() {
				walk(inner)
			}
		}
	}
	walk(m.comparator)
	walk(m.mask)
	for _, t := range []*Target{&m.target, m.control} {
		if t != nil {
			walk(t.Masker)
		}
	}
	return rules
}

// ruleWords returns the words in the rules of masks, in lower case.
func ruleWords(rules []RuleUse) map[string]bool {
	words := map[string]bool{}
	for _, rule := range rules {
		if rule.Option == "MaskPatterns" || !strings.HasPrefix(rule.Option, "Mask") {
			continue
		}
		for _, word := range strings.FieldsFunc(strings.ToLower(rule.Path), func(c rune) bool {
			return !unicode.IsLetter(c) && !unicode.IsDigit(c) && c != '_' && c != '-'
		}) {
			words[word] = true
		}
	}
	return words
}

// EventUnusedRules says that rules for masks or comparison took no effect in the first 10,000
// results: they may be misspelt. Its text lists them.
const EventUnusedRules EventKind = "unused-rules"

const (
	rulesAfter = 10_000 // results, before unused rules are reported
	rulesShown = 20
)

// checkRules reports the rules that took no effect, once.
func (m *Mirror) checkRules() {
	if m.finished.Add(1) != rulesAfter {
		return
	}
	unused := slices.DeleteFunc(m.Rules(), func(r RuleUse) bool { return r.Count > 0 })
	if len(unused) == 0 {
		return
	}
	list := make([]string, 0, rulesShown)
	for _, r := range unused[:min(len(unused), rulesShown)] {
		list = append(list, fmt.Sprintf("%s %q", r.Option, r.Path))
	}
	if more := len(unused) - len(list); more > 0 {
		list = append(list, fmt.Sprintf("and %d more", more))
	}
	m.notify(Event{Kind: EventUnusedRules, Text: fmt.Sprintf(
		"%d rules took no effect in %d results, and may be misspelt: %s", len(unused), rulesAfter, strings.Join(list, ", "))})
}
