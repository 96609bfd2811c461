// Package jsonpath finds places in JSON documents: all of RFC 9535 (JSONPath:
// Query Expressions for JSON), and plain gjson paths as a second spelling.
//
// A [Path] is one compiled expression; [Path.Select] evaluates it on its own.
// A [Set] matches many paths together while somebody else walks a document,
// which is how ignore rules and masks are applied: names, wildcards,
// non-negative indexes, forward slices and descendants are followed by an
// automaton, one step per member or element, without looking ahead. What a
// forward walk cannot decide (filters, negative indexes and the like) is
// evaluated beforehand by [Set.Locate].
//
// Two rules go beyond RFC 9535, which assumes unique member names: a name
// selects every member that bears it, and a singular query in a comparison
// takes the last of several. Member names are compared decoded, so "a" and
// "\u0061" are the same name.
package jsonpath

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A SyntaxError tells where and why an expression was refused.
type SyntaxError struct {
	Expr   string // the whole expression
	Offset int    // of the offending byte in Expr, 0-based
	Msg    string // what is wrong, or what was expected
}

// Error names the expression, the 1-based column (in characters) and the fault.
func (e *SyntaxError) Error() string {
	column := utf8.RuneCountInString(e.Expr[:e.Offset]) + 1
	return fmt.Sprintf("path %q, column %d: %s", e.Expr, column, e.Msg)
}

// A Path is a compiled expression. It is immutable and safe for concurrent use;
// make one with [Parse].
type Path struct {
	expr     string
	segments []segment
	fold     bool
}

// Parse compiles an expression. The error is a *[SyntaxError].
//
// With a leading '$' it is RFC 9535, and both well-formedness and well-typedness
// (section 2.4.3) are checked. Beyond that, a constant pattern of match() or
// search() that is not an I-Regexp (RFC 9485) is refused: the RFC would let such
// a filter silently select nothing.
//
// Without '$' it is a path in the notation of github.com/tidwall/gjson: names
// joined by '.', '\' before a character that shall stand for itself, '*' and '?'
// as wildcards in names, digits for an index (or the member of that name), '#'
// for every element of an array (or the member of that name). A path finds
// places, not values, so there are differences: a wildcard matches every such
// member, not the first, and a trailing '#' means the elements, not their number.
// Queries, modifiers, multipaths, pipes and JSON lines have no meaning here or a
// standard spelling; they are refused with a hint at it.
func Parse(expr string) (*Path, error) {
	parse := parseGjson
	if strings.HasPrefix(expr, "$") {
		parse = parseQuery
	}
	segments, err := parse(expr)
	if err != nil {
		return nil, err
	}
	return &Path{expr: expr, segments: segments}, nil
}

// String returns the expression as it was given to [Parse].
func (p *Path) String() string { return p.expr }

// Fold returns a copy of p whose names, also those inside filters, match
// without regard to case (Unicode simple folding). String values in comparisons
// stay exact.
func (p *Path) Fold() *Path {
	folded := *p
	folded.fold = true
	return &folded
}

// A segment takes every node of a list to some of its children or, if
// descendant, to some of the children of it and of all nodes below it
// (RFC 9535 section 2.5).
type segment struct {
	descendant bool
	selectors  []selector
}

type kind uint8

const (
	kindName     kind = iota // members with the name
	kindGlob                 // members whose name matches a pattern: gjson only
	kindMembers              // members, whatever their name: gjson only
	kindWildcard             // members and elements
	kindIndex                // the element at an index, negative from the end
	kindSlice                // elements start:end:step
	kindFilter               // members and elements that pass a test
)

// A selector picks children of one node (RFC 9535 section 2.3).
type selector struct {
	kind       kind
	name       string // kindName: decoded; kindGlob: the pattern
	folded     string // name in its folded form
	index      int64
	start, end bound
	step       int64
	filter     test
}

// A bound of a slice; the zero value is an absent one.
type bound struct {
	at  int64
	set bool
}

func nameSelector(name string) selector {
	return selector{kind: kindName, name: name, folded: foldName(name)}
}

func globSelector(pattern string) selector {
	return selector{kind: kindGlob, name: pattern, folded: foldName(pattern)}
}

// everyElement is the slice [:], for gjson's '#'.
func everyElement() selector { return selector{kind: kindSlice, step: 1} }

// matchesName reports whether s picks a member by its name alone; folded is the
// name's folded form, used when fold is the rule of the path.
func (p *Path) matchesName(s *selector, name, folded []byte) bool {
	switch s.kind {
	case kindWildcard, kindMembers:
		return true
	case kindName:
		if p.fold {
			return s.folded == string(folded)
		}
		return s.name == string(name)
	case kindGlob:
		if p.fold {
			return matchGlob(s.folded, folded)
		}
		return matchGlob(s.name, name)
	}
	return false
}

// matchesIndex reports whether a forward s picks the element at index i,
// whatever the length of the array.
func (s *selector) matchesIndex(i int64) bool {
	switch s.kind {
	case kindWildcard:
		return true
	case kindIndex:
		return s.index == i
	case kindSlice:
		return s.step > 0 && i >= s.start.at && (!s.end.set || i < s.end.at) && (i-s.start.at)%s.step == 0
	}
	return false
}

// forward reports whether s can be decided for a child by its name or index
// alone, in a finite alphabet.
func (s *selector) forward() bool {
	switch s.kind {
	case kindGlob, kindFilter:
		return false
	case kindIndex:
		return s.index >= 0
	case kindSlice:
		return s.start.at >= 0 && s.end.at >= 0 && s.step >= 0
	}
	return true
}

// appendFold appends the folded form of name: each character is replaced by the
// smallest of those it is equivalent to under Unicode simple folding, so two
// names differ only in case exactly if their folded forms are equal. Bytes that
// are not UTF-8 stay as they are.
func appendFold(dst, name []byte) []byte {
	for i := 0; i < len(name); {
		c := name[i]
		if c < utf8.RuneSelf {
			if 'a' <= c && c <= 'z' {
				c -= 'a' - 'A'
			}
			dst = append(dst, c)
			i++
			continue
		}
		r, size := utf8.DecodeRune(name[i:])
		if r == utf8.RuneError && size == 1 {
			dst = append(dst, c)
			i++
			continue
		}
		least := r
		for o := unicode.SimpleFold(r); o != r; o = unicode.SimpleFold(o) {
			least = min(least, o)
		}
		dst = utf8.AppendRune(dst, least)
		i += size
	}
	return dst
}

func foldName(name string) string { return string(appendFold(nil, []byte(name))) }
