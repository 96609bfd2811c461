// Package pointer reads, writes, orders and folds JSON Pointers (RFC 6901). Differences are
// ordered and counted by them.
package pointer

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"strings"
	"unicode/utf8"
)

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

// maxName is how many bytes of a name a path shows: a path is made for each difference, and
// a name may be as long as the body.
const maxName = 128

// AppendToken appends name to dst as a reference token, escaped as by RFC 6901 section 3. A
// long one is cut and ends in a checksum, which tells it from others that begin alike.
func AppendToken(dst, name []byte) []byte {
	if len(name) <= maxName {
		return appendEscaped(dst, name)
	}
	cut := maxName
	for cut > maxName-utf8.UTFMax && !utf8.RuneStart(name[cut]) {
		cut--
	}
	return fmt.Appendf(appendEscaped(dst, name[:cut]), "…%08x", crc32.ChecksumIEEE(name))
}

// Escape returns name as a reference token, however long it is.
func Escape(name string) string { return string(appendEscaped(nil, name)) }

// Unescape returns the name that a reference token stands for.
func Unescape(token string) string {
	return strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
}

func appendEscaped[T string | []byte](dst []byte, name T) []byte {
	for i := range len(name) {
		switch c := name[i]; c {
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

// maxPath is how many bytes a path has at most, but for a token.
const maxPath = 4 << 10

// Bounded returns path as it is shown: of a long one, whose tokens AppendToken has made, the
// first and the last tokens, and between them a checksum of all of it.
func Bounded(path []byte) string {
	if len(path) <= maxPath {
		return string(path)
	}
	head := bytes.LastIndexByte(path[:maxPath/2], '/')
	tail := len(path) - maxPath/2
	next := bytes.IndexByte(path[tail:], '/')
	if head < 0 || next < 0 { // of tokens that were made otherwise
		return fmt.Sprintf("/…%08x", crc32.ChecksumIEEE(path))
	}
	return fmt.Sprintf("%s/…%08x%s", path[:head], crc32.ChecksumIEEE(path), path[tail+next:])
}
