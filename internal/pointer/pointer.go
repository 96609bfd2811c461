// Package pointer orders and folds JSON Pointers (RFC 6901), as the differences of an
// exchange are ordered and counted.
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

// AppendFold appends path to dst with "*" in place of each token that picks one element of
// an array: indexes, and the name=value of keyed arrays.
func AppendFold(dst []byte, path string) []byte {
	for i := 0; ; i++ {
		token, rest, more := strings.Cut(path, "/")
		if i > 0 {
			dst = append(dst, '/')
		}
		if picks(token) {
			dst = append(dst, '*')
		} else {
			dst = append(dst, token...)
		}
		if !more {
			return dst
		}
		path = rest
	}
}

// Fold returns path as AppendFold appends it.
func Fold(path string) string { return string(AppendFold(make([]byte, 0, len(path)), path)) }

// picks reports whether a token picks one element of an array.
func picks(token string) bool {
	digits := token != ""
	for i := range len(token) {
		if token[i] == '=' {
			return true
		}
		digits = digits && token[i]-'0' <= 9
	}
	return digits
}

// AppendToken appends name to dst as a reference token, escaped as by RFC 6901 section 3.
func AppendToken(dst, name []byte) []byte {
	for _, c := range name {
		switch c {
		case '~':
			dst = append(dst, "~0"...)
		case '/':
			dst = append(dst, "~1"...)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
