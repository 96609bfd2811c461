package policy

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/internal/composite"
	"github.com/goshadow/shadow/internal/jsonscan"
)

// Parse reads a policy. Key is the key of shadow.Tokenize; it may be nil if no rule makes
// tokens. The key is never in the file: whoever may read the rules must not be able to undo
// them.
//
// The error names every fault of the file (errors.Join), one in a line, each after its place as
// line:column, counted from 1 in characters. An unknown member is a fault too: a misspelt one
// would mask nothing.
func Parse(file, key []byte) (*Policy, error) {
	r := reader{
		doc:   file,
		names: map[string]bool{credentialsRule: true},
		replacements: map[string]shadow.Replacement{
			"redact": shadow.Redact(), "drop": shadow.Drop(), "hash": shadow.Hash(), "tokenize": shadow.Tokenize(key),
		},
	}
	var p *Policy
	var syntax *jsonscan.SyntaxError
	if errors.As(jsonscan.Valid(file, maxDepth), &syntax) {
		r.fail(syntax.Offset, "%s", syntax.Msg)
	} else {
		p = r.policy(jsonscan.Space(file, 0))
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	return p, nil
}

// maxDepth is how deeply a file may be nested: deeper than any valid policy.
const maxDepth = 16

// reader turns a document that is valid JSON into a Policy.
type reader struct {
	doc          []byte
	replacements map[string]shadow.Replacement
	names        map[string]bool // of the rules so far
	faults       []fault
}

// fault is what is wrong at an offset of the document.
type fault struct {
	at   int
	text string
}

func (r *reader) fail(at int, format string, args ...any) {
	r.faults = append(r.faults, fault{at, fmt.Sprintf(format, args...)})
}

// err is all faults, in the order of the document.
func (r *reader) err() error {
	slices.SortStableFunc(r.faults, func(a, b fault) int { return a.at - b.at })
	var errs []error
	for _, f := range r.faults {
		before := r.doc[:f.at]
		line := 1 + strings.Count(string(before), "\n")
		column := 1 + utf8.RuneCount(before[strings.LastIndexByte(string(before), '\n')+1:])
		errs = append(errs, fmt.Errorf("shadow: policy:%d:%d: %s", line, column, f.text))
	}
	return errors.Join(errs...)
}

// members calls read for each member of the object at at, with its name and the offsets of name
// and value. It reports whether there is an object. If there is none, or a name comes twice,
// that is a fault.
func (r *reader) members(at int, what string, read func(name string, nameAt, at int)) (ok bool) {
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

// elements calls read with the offset of each element of the array at at.
func (r *reader) elements(at int, what string, read func(at int)) {
	if r.doc[at] != '[' {
		r.fail(at, "%s must be an array", what)
		return
	}
	for c := jsonscan.Open(r.doc, at); c.Next(r.doc); {
		read(c.Start)
	}
}

// text returns the string at at.
func (r *reader) text(at int, what string) (s string, ok bool) {
	if r.doc[at] != '"' {
		r.fail(at, "%s must be a string", what)
		return "", false
	}
	end, _, _ := jsonscan.String(r.doc, at) // the document is valid
	return string(jsonscan.AppendUnquote(nil, r.doc[at:end])), true
}

// choice returns the string at at, which must be in the list of.
func (r *reader) choice(at int, what string, of ...string) string {
	s, ok := r.text(at, what)
	if ok && !slices.Contains(of, s) {
		r.fail(at, "%s is %q: it must be one of %s", what, s, strings.Join(of, ", "))
	}
	return s
}

func (r *reader) policy(at int) *Policy {
	version, keep := false, false
	var rules []rule
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
		rules = slices.Insert(rules, 0, rule{credentialsRule, shadow.DropCredentials()})
	}
	return newPolicy(rules, allowed)
}

// bodies returns the media types that are allowed to pass unread.
func (r *reader) bodies(at int) (allowed []string) {
	r.members(at, "bodies", func(name string, nameAt, at int) {
		if name != "allow" {
			r.fail(nameAt, "bodies has no member %q: it has allow", name)
			return
		}
		allowed = r.entries(at, name, named(shadow.AllowBodies))
	})
	return allowed
}

// rule returns the rule at at.
func (r *reader) rule(at int) (one rule) {
	faults := len(r.faults)
	replace, replaceAt, hasName := "redact", at, false
	var maskers []shadow.Masker
	ok := r.members(at, "a rule", func(member string, memberAt, at int) {
		switch member {
		case "name":
			one.name, hasName = r.name(at), true
		case "note":
			r.text(at, member)
		case "replace":
			replace, replaceAt = r.choice(at, member, "redact", "drop", "hash", "tokenize"), at
		default:
			mask, ok := places[member]
			if !ok {
				r.fail(memberAt, "a rule has no member %q: it has name, note, replace and %s", member, placeNames())
				return
			}
			if entries := r.entries(at, member, mask); len(entries) > 0 {
				masker, _ := mask(entries) // each entry is valid
				maskers = append(maskers, masker)
			}
		}
	})
	if ok && !hasName {
		r.fail(at, "a rule has no name")
	}
	if len(maskers) == 0 && len(r.faults) == faults {
		r.fail(at, "rule %q is about nothing: give it one of %s", one.name, placeNames())
	}
	if with, ok := r.replacements[replace]; ok {
		one.masker = shadow.MaskWith(with, maskers...)
		if err := composite.Fault(fmt.Sprintf("rule %q", one.name), one.masker); err != nil {
			r.fail(replaceAt, "%v", err)
		}
	}
	return one
}

// name returns the name of a rule, which must differ from all before it.
func (r *reader) name(at int) string {
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

// entries returns the strings of the array at at. Mask must take each of them.
func (r *reader) entries(at int, member string, mask func([]string) (shadow.Masker, error)) (entries []string) {
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

// places maps the members of a rule that select values to constructors of their maskers.
var places = map[string]func([]string) (shadow.Masker, error){
	"headers":  named(shadow.MaskHeaders),
	"cookies":  named(shadow.MaskCookies),
	"query":    named(shadow.MaskQuery),
	"path":     named(shadow.MaskPath),
	"form":     named(shadow.MaskForm),
	"json":     named(shadow.MaskJSON),
	"xml":      named(shadow.MaskXML),
	"patterns": matching,
	"detect":   detecting,
}

func placeNames() string { return strings.Join(slices.Sorted(maps.Keys(places)), ", ") }

// named is a constructor whose faults the shadow.Masker tells.
func named(mask func(...string) shadow.Masker) func([]string) (shadow.Masker, error) {
	return func(entries []string) (shadow.Masker, error) { return mask(entries...), nil }
}

func matching(expressions []string) (shadow.Masker, error) {
	var patterns []*regexp.Regexp
	for _, e := range expressions {
		p, err := regexp.Compile(e)
		if err != nil {
			return nil, err
		}
		patterns = append(patterns, p)
	}
	return shadow.MaskPatterns(patterns...), nil
}

func detecting(kinds []string) (shadow.Masker, error) {
	var list []shadow.DetectorKind
	for _, kind := range kinds {
		list = append(list, shadow.DetectorKind(kind))
	}
	return shadow.MaskDetected(list...), nil
}
