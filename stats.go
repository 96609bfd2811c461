package shadow

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"github.com/goshadow/shadow/internal/composite"
)

// code says how a request ended: 0 while it goes on, else the position in codes of its
// Outcome or Reason.
type code uint8

const (
	codeMatch code = iota + 1
	codeMismatch
	codeFailed
	codeUncompared

	codeNotSampled
	codeDisabled
	codeMethod
	codeSamplerFailed
	codeLoop
	codeUpgrade
	codeInvalid
	codePrimaryPanicked
	codePrimaryFailed
	codePrimaryRefused
	codePrimaryIncomplete
	codeHijacked
	codeClientGone

	codeBodyTooLarge
	codeBodyUnread
	codeBodyFailed
	codeQueueFull
	codeBytesFull
	codeMaskFailed
	codeLeak
	codeShutDown
	codeBreakerOpen
	codeOverload
	codeOverhead
	codeBudget
	codeExpired

	numCodes
)

// group is the part of Stats that a code is counted in, and its outcome in metrics.
type group string

const (
	outcome group = ""        // its own name is the outcome
	skipped group = "skipped" // Stats.Skipped
	dropped group = "dropped" // Stats.Dropped
)

// codes describes each code.
var codes = [numCodes]struct {
	name  Reason // or Outcome
	group group
	// byRoute is set where the code is about the request itself, or there was no room for its
	// copy: requests that end so before the primary runs are counted by route. Other codes of
	// that time stop all requests, whatever their routes.
	byRoute bool
	event   EventKind // that reports such losses; empty if none does
}{
	codeMatch:      {name: Reason(Match), group: outcome},
	codeMismatch:   {name: Reason(Mismatch), group: outcome},
	codeFailed:     {name: Reason(Failed), group: outcome},
	codeUncompared: {name: Reason(Uncompared), group: outcome},

	codeNotSampled:        {name: ReasonNotSampled, group: skipped},
	codeDisabled:          {name: ReasonDisabled, group: skipped},
	codeMethod:            {name: ReasonMethod, group: skipped},
	codeSamplerFailed:     {name: ReasonSamplerFailed, group: skipped},
	codeLoop:              {name: ReasonLoop, group: skipped, byRoute: true, event: EventLoop},
	codeUpgrade:           {name: ReasonUpgrade, group: skipped, byRoute: true},
	codeInvalid:           {name: ReasonInvalid, group: skipped, byRoute: true},
	codePrimaryPanicked:   {name: ReasonPrimaryPanicked, group: skipped},
	codePrimaryFailed:     {name: ReasonPrimaryFailed, group: skipped},
	codePrimaryRefused:    {name: ReasonPrimaryRefused, group: skipped},
	codePrimaryIncomplete: {name: ReasonPrimaryIncomplete, group: skipped},
	codeHijacked:          {name: ReasonHijacked, group: skipped},
	codeClientGone:        {name: ReasonClientGone, group: skipped},

	codeBodyTooLarge: {name: ReasonBodyTooLarge, group: dropped, byRoute: true, event: EventDropped},
	codeBodyUnread:   {name: ReasonBodyUnread, group: dropped, event: EventDropped},
	codeBodyFailed:   {name: ReasonBodyFailed, group: dropped, event: EventDropped},
	codeQueueFull:    {name: ReasonQueueFull, group: dropped, byRoute: true, event: EventQueueFull},
	codeBytesFull:    {name: ReasonBytesFull, group: dropped, byRoute: true, event: EventQueueFull},
	codeMaskFailed:   {name: ReasonMaskFailed, group: dropped, event: EventMaskFailed},
	codeLeak:         {name: ReasonLeak, group: dropped, event: EventLeak},
	codeShutDown:     {name: ReasonShutDown, group: dropped},
	codeBreakerOpen:  {name: ReasonBreakerOpen, group: dropped, event: EventBreakerOpen},
	codeOverload:     {name: ReasonOverload, group: dropped, event: EventOverload},
	codeOverhead:     {name: ReasonOverhead, group: dropped, event: EventOverhead},
	codeBudget:       {name: ReasonBudget, group: dropped, event: EventBudgetSpent},
	codeExpired:      {name: ReasonExpired, group: dropped, event: EventDropped},
}

// codeOf returns the code of an outcome.
func codeOf(o Outcome) code {
	for c := codeMatch; codes[c].group == outcome; c++ {
		if codes[c].name == Reason(o) {
			return c
		}
	}
	panic("shadow: unknown outcome " + string(o))
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
	maskers := []Masker{m.mask, m.target.Masker}
	if m.control != nil {
		maskers = append(maskers, m.control.Masker)
	}
	var rules []RuleUse
	seen := map[any]bool{}
	add := func(part any) {
		if reflect.ValueOf(part).Comparable() {
			if seen[part] {
				return
			}
			seen[part] = true
		}
		if r, ok := part.(ruler); ok {
			rules = append(rules, r.Rules()...)
		}
	}
	for part := range composite.All(m.comparator) {
		add(part)
	}
	for _, masker := range maskers {
		for part := range composite.All(masker) {
			add(part)
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
