package jsonpath

import (
	"regexp"
	"strings"
)

// Hints reports whether text that could not be read as JSON may hold what a path of s selects:
// whether it has a member, at any level of escaping, with a name that is the last of a path,
// or with a name in escapes. Of a path that ends in anything but names every member is one.
func (s *Set) Hints(text []byte) bool {
	hint := s.hint()
	return hint != nil && hint.Match(text)
}

// Selects reports whether a path of s can select an element or member whatever it is called.
func (s *Set) Selects() bool { return s.unnamed }

// hintsOf returns an expression for the members that paths may be about, nil where there is
// none, and whether a path ends in anything but names.
func hintsOf(paths []*Path) (expression string, unnamed bool) {
	var names []string
	for _, p := range paths {
		if len(p.segments) == 0 { // it is about a document as a whole
			continue
		}
		for _, s := range p.segments[len(p.segments)-1].selectors {
			if s.kind != kindName || strings.ContainsFunc(s.name, func(c rune) bool { return c < ' ' || strings.ContainsRune(`"\/`, c) }) {
				unnamed = true
			}
			names = append(names, regexp.QuoteMeta(s.name))
		}
	}
	switch {
	case unnamed:
		return `"[\t\n\r ]*:`, true
	case len(names) == 0:
		return "", false
	}
	// Quotes and what is in them may be escaped once more for each level.
	return `(?i)"(?:[^"]*\\u[^"]*|` + strings.Join(names, "|") + `)\\*"[\t\n\r ]*:`, false
}
