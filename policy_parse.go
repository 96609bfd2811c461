package shadow

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goshadow/shadow/internal/composite"
	"github.com/goshadow/shadow/internal/jsonscan"
)

// ParsePolicy reads a policy. Key is that of Tokenize, and may be nil where no rule makes
// tokens. It never stands in the file: who may read the rules must not be able to undo them.
//
// The error names everything that is wrong with the file (errors.Join), one fault a line,
// each behind its place as line:column, counted from 1 in characters. What is not known is a
// fault too: a member that is spelt wrong would mask nothing.
func ParsePolicy(file, key []byte) (*Policy, error) {
	r := policyReader{
		doc:   file,
		names: map[string]bool{credentialsRule: true},
		replacements: map[string]Replacement{
			"redact": Redact(), "drop": Drop(), "hash": Hash(), "tokenize": Tokenize(key),
		},
	}
	var p *Policy
	var syntax *jsonscan.SyntaxError
	if errors.As(jsonscan.Valid(file, maxPolicyDepth), &syntax) {
		r.fail(syntax.Offset, "%s", syntax.Msg)
	} else {
		p = r.policy(jsonscan.Space(file, 0))
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	return p, nil
}

// maxPolicyDepth is more levels than a policy has.
const maxPolicyDepth = 16

// policyReader turns a document that is known to be JSON into a Policy.
type policyReader struct {
	doc          []byte
	replacements map[string]Replacement
	names        map[string]bool // of the rules so far
	faults       []policyFault
}

// policyFault is what is wrong at an offset.
type policyFault struct {
	at   int
	text string
}

func (r *policyReader) fail(at int, format string, args ...any) {
	r.faults = append(r.faults, policyFault{at, fmt.Sprintf(format, args...)})
}

// err is all faults, in the order of the document.
func (r *policyReader) err() error {
	slices.SortStableFunc(r.faults, func(a, b policyFault) int { return a.at - b.at })
	var errs []error
	for _, f := range r.faults {
		before := r.doc[:f.at]
		line := 1 + strings.Count(string(before), "\n")
		column := 1 + utf8.RuneCount(before[strings.LastIndexByte(string(before), '\n')+1:])
		errs = append(errs, fmt.Errorf("shadow: policy:%d:%d: %s", line, column, f.text))
	}
	return errors.Join(errs...)
}

// members calls read for each member of the object at at: its name, and where name and
// value are. Ok is false where there is no object. That, and a name that comes twice, is
// a fault.
func (r *policyReader) members(at int, what string, read func(name string, nameAt, at int)) (ok bool) {
	if r.doc[at] != '{' {
		r.fail(at, "%s must be an object", what)
		return false
	}
	seen := map[string]bool{}
	for c := jsonscan.Open(r.doc, at); c.Next(r.doc); {
		name := string(jsonscan.AppendUnquote(nil, r.doc[c.Name:c.NameEnd]))
		if seen[name] {
			r.fail(c.Name, "%s has the member %q twice", what, name)
			continue
		}
		seen[name] = true
		read(name, c.Name, c.Start)
	}
	return true
}

// elements calls read with where each element of the array at at is.
func (r *policyReader) elements(at int, what string, read func(at int)) {
	if r.doc[at] != '[' {
		r.fail(at, "%s must be an array", what)
		return
	}
	for c := jsonscan.Open(r.doc, at); c.Next(r.doc); {
		read(c.Start)
	}
}

// text returns the string at at.
func (r *policyReader) text(at int, what string) (s string, ok bool) {
	if r.doc[at] != '"' {
		r.fail(at, "%s must be a string", what)
		return "", false
	}
	end, _, _ := jsonscan.String(r.doc, at) // the document is valid
	return string(jsonscan.AppendUnquote(nil, r.doc[at:end])), true
}

// choice returns the string at at, which must be one of some.
func (r *policyReader) choice(at int, what string, of ...string) string {
	s, ok := r.text(at, what)
	if ok && !slices.Contains(of, s) {
		r.fail(at, "%s is %q: it must be one of %s", what, s, strings.Join(of, ", "))
	}
	return s
}

func (r *policyReader) policy(at int) *Policy {
	p := &Policy{}
	version, keep := false, false
	var rules []policyRule
	var allowed []string
	ok := r.members(at, "a policy", func(name string, nameAt, at int) {
		switch name {
		case "version":
			version = true
			if end, err := jsonscan.Number(r.doc, at); err != nil || string(r.doc[at:end]) != "1" {
				r.fail(at, "version must be the number 1")
			}
		case "credentials":
			keep = r.choice(at, "credentials", "drop", "keep") == "keep"
		case "rules":
			r.elements(at, "rules", func(at int) { rules = append(rules, r.rule(at)) })
		case "bodies":
			allowed = r.bodies(at)
		default:
			r.fail(nameAt, "a policy has no member %q: it has version, credentials, rules and bodies", name)
		}
	})
	if ok && !version {
		r.fail(at, "version is missing: it must be 1")
	}
	if !keep {
		p.add(credentialsRule, DropCredentials())
	}
	for _, rule := range rules {
		p.add(rule.name, rule.maskers...)
	}
	var all []Masker
	for _, rule := range p.rules {
		all = append(all, rule.maskers...)
	}
	all = append(all, AllowBodies(allowed...))
	p.masker = newMaskAll("policy", all)
	return p
}

// bodies returns the media types that are allowed to pass.
func (r *policyReader) bodies(at int) (allowed []string) {
	r.members(at, "bodies", func(name string, nameAt, at int) {
		if name != "allow" {
			r.fail(nameAt, "bodies has no member %q: it has allow", name)
			return
		}
		allowed = r.entries(at, name, named(AllowBodies))
	})
	return allowed
}

// rule returns the rule at at.
func (r *policyReader) rule(at int) (rule policyRule) {
	faults := len(r.faults)
	replace, replaceAt, hasName := "redact", at, false
	var maskers []Masker
	ok := r.members(at, "a rule", func(member string, memberAt, at int) {
		switch member {
		case "name":
			rule.name, hasName = r.name(at), true
		case "note":
			r.text(at, member)
		case "replace":
			replace, replaceAt = r.choice(at, member, "redact", "drop", "hash", "tokenize"), at
		default:
			mask, ok := policyPlaces[member]
			if !ok {
				r.fail(memberAt, "a rule has no member %q: it has name, note, replace and %s", member, placeNames())
				return
			}
			if entries := r.entries(at, member, mask); len(entries) > 0 {
				one, _ := mask(entries) // each of them is right
				maskers = append(maskers, one)
			}
		}
	})
	if ok && !hasName {
		r.fail(at, "a rule has no name")
	}
	if len(maskers) == 0 && len(r.faults) == faults {
		r.fail(at, "rule %q is about nothing: give it one of %s", rule.name, placeNames())
	}
	if with, ok := r.replacements[replace]; ok {
		all := MaskWith(with, maskers...)
		if err := composite.Fault(fmt.Sprintf("rule %q", rule.name), all); err != nil {
			r.fail(replaceAt, "%v", err)
		}
		rule.maskers = []Masker{all}
	}
	return rule
}

// name returns the name of a rule, which none before it may have.
func (r *policyReader) name(at int) string {
	name, ok := r.text(at, "name")
	switch {
	case !ok:
	case strings.TrimSpace(name) == "":
		r.fail(at, "name is empty")
	case r.names[name]:
		r.fail(at, "there is a rule %q already: give this one a name of its own", name)
	}
	r.names[name] = true
	return name
}

// entries returns the strings of the array at at, each of which must be one that mask takes.
func (r *policyReader) entries(at int, member string, mask func([]string) (Masker, error)) (entries []string) {
	r.elements(at, member, func(at int) {
		entry, ok := r.text(at, "an entry of "+member)
		if !ok {
			return
		}
		m, err := mask([]string{entry})
		if err == nil {
			err = composite.Fault(member, m)
		} else {
			err = fmt.Errorf("%s: %w", member, err)
		}
		switch {
		case err != nil:
			r.fail(at, "%v", err)
		case slices.Contains(entries, entry):
			r.fail(at, "%s has %q twice", member, entry)
		default:
			entries = append(entries, entry)
		}
	})
	return entries
}

// policyPlaces are the members of a rule that say where values are, or what they look like.
var policyPlaces = map[string]func([]string) (Masker, error){
	"headers":  named(MaskHeaders),
	"cookies":  named(MaskCookies),
	"query":    named(MaskQuery),
	"path":     named(MaskPath),
	"form":     named(MaskForm),
	"json":     named(MaskJSON),
	"xml":      named(MaskXML),
	"patterns": matching,
	"detect":   detecting,
}

func placeNames() string { return strings.Join(slices.Sorted(maps.Keys(policyPlaces)), ", ") }

// named is a constructor whose faults the Masker tells.
func named(mask func(...string) Masker) func([]string) (Masker, error) {
	return func(entries []string) (Masker, error) { return mask(entries...), nil }
}

func matching(expressions []string) (Masker, error) {
	var patterns []*regexp.Regexp
	for _, e := range expressions {
		p, err := regexp.Compile(e)
		if err != nil {
			return nil, err
		}
		patterns = append(patterns, p)
	}
	return MaskPatterns(patterns...), nil
}

func detecting(kinds []string) (Masker, error) {
	var list []DetectorKind
	for _, kind := range kinds {
		list = append(list, DetectorKind(kind))
	}
	return MaskDetected(list...), nil
}
