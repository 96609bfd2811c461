// Package pointer orders JSON Pointers (RFC 6901), as the differences of an exchange are
// ordered.
package pointer

import "strings"

// Compare orders pointers token by token, those that are array indexes by their value
// and before the others.
func Compare(a, b string) int {
	for {
		tokenA, restA, moreA := strings.Cut(a, "/")
		tokenB, restB, moreB := strings.Cut(b, "/")
		if tokenA != tokenB {
			return compareTokens(tokenA, tokenB)
		}
		switch {
		case !moreA && !moreB:
			return 0
		case !moreA:
			return -1
		case !moreB:
			return 1
		}
		a, b = restA, restB
	}
}

// compareTokens puts indexes, by their value, before names.
func compareTokens(a, b string) int {
	switch isA, isB := isIndex(a), isIndex(b); {
	case isA && isB && len(a) != len(b):
		return len(a) - len(b)
	case isA && !isB:
		return -1
	case isB && !isA:
		return 1
	}
	return strings.Compare(a, b)
}

// isIndex reports whether a token is the index of an element.
func isIndex(token string) bool {
	if token == "" || token[0] == '0' && len(token) > 1 {
		return false
	}
	for i := range len(token) {
		if token[i]-'0' > 9 {
			return false
		}
	}
	return true
}
