// Package route names the endpoints of requests in few different words that hold no values.
package route

import (
	"net/http"
	"slices"
	"strings"

	"github.com/goshadow/shadow/internal/methods"
)

// MaxName is how many bytes of a name tell a route from others. The rest is cut off.
const MaxName = 256

// Other is the name of the route that stands for those beyond a limit. No method looks like it.
const Other = "(other)"

// OtherMethod stands in names of routes for a method that is neither usual nor known to the
// caller, as in the semantic conventions of OpenTelemetry: clients choose methods.
const OtherMethod = "_OTHER"

// Method returns a method as part of the name of a route.
func Method(method string, known []string) string {
	switch {
	case method == "":
		return http.MethodGet
	case methods.Usual(method), slices.Contains(known, method):
		return method
	}
	return OtherMethod
}

// AppendPattern appends the name of the route with that method and pattern to dst. A pattern
// that has a method keeps it. Nothing is appended for an empty or catch-all pattern.
func AppendPattern(dst []byte, method, pattern string) []byte {
	if pattern == "" || CatchAll(pattern) {
		return dst
	}
	if !strings.ContainsAny(pattern, " \t") {
		dst = append(append(dst, method...), ' ')
	}
	return append(dst, pattern...)
}

// CatchAll reports whether a pattern ends in a wildcard that matches any rest of a path:
// "/", "/api/", "/api/{path...}" of http.ServeMux, "/api/*" of chi, gin and echo. Such a
// pattern names no endpoint: there may be any number of them under it.
func CatchAll(pattern string) bool {
	last := pattern[strings.LastIndexByte(pattern, '/')+1:]
	return last == "" || strings.Contains(last, "*") || strings.HasSuffix(last, "...}")
}

// AppendTemplate appends path to dst, with "{}" in place of the segments that look like
// identifiers. It stops once dst is longer than MaxName.
func AppendTemplate(dst []byte, path string) []byte {
	service := false // the segment before is the name of a gRPC service
	for {
		segment, rest, more := strings.Cut(path, "/")
		if !(service && !more && isMethod(segment)) && isParameter(segment) {
			segment = "{}"
		}
		dst = append(dst, segment...)
		if !more || len(dst) > MaxName {
			return dst
		}
		service = isService(segment)
		dst, path = append(dst, '/'), rest
	}
}

// maxSegment is how long a path segment may be that is part of a route. Names of gRPC
// services have dots and may be longer.
const (
	maxSegment = 32
	maxService = 96
	maxDashes  = 4 // more words are the title of something
)

// masked stands in the place of a value that was masked.
const masked = "[masked]"

// isParameter reports whether a path segment looks like it names one of many things: a
// number, an identifier or token of any coding, an address, a title. In doubt it does: a
// route that lost a word is still a route, and a route that holds a value tells it.
func isParameter(s string) bool {
	if s == "" || s == masked || isVersion(s) {
		return false
	}
	if len(s) > maxSegment && !isService(s) || strings.Count(s, "-") > maxDashes {
		return true
	}
	s = strings.TrimPrefix(s, "$") // OData
	several := strings.ContainsAny(s, "-_")
	for s != "" {
		end := 0
		for end < len(s) && (letter(s[end]) || digit(s[end])) {
			end++
		}
		if part := s[:end]; !isVersion(part) && (isToken(part) || several && mixed(part)) {
			return true
		}
		if end == len(s) {
			return false
		}
		if c := s[end]; c != '.' && c != '-' && c != '_' {
			return true // written by people, or escaped
		}
		s = s[end+1:]
	}
	return false
}

func letter(c byte) bool { return lower(c) || upper(c) }
func lower(c byte) bool  { return 'a' <= c && c <= 'z' }
func upper(c byte) bool  { return 'A' <= c && c <= 'Z' }
func digit(c byte) bool  { return '0' <= c && c <= '9' }

// mixed reports whether a word has capitals behind its first letter, and is not of capitals
// alone. Names of several words that are separated have none.
func mixed(s string) bool {
	return strings.ContainsAny(s, "abcdefghijklmnopqrstuvwxyz") && strings.ContainsAny(s[min(1, len(s)):], "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
}

// vowel reports whether c is a vowel letter, y included.
func vowel(c byte) bool { return strings.IndexByte("aeiouyAEIOUY", c) >= 0 }

// isVersion reports whether s is the version of an API: v2, v1beta1, v2.1.
func isVersion(s string) bool {
	if s == "" || s[0] != 'v' && s[0] != 'V' {
		return false
	}
	rest := strings.TrimLeft(s[1:], "0123456789")
	if numbers := len(s) - 1 - len(rest); numbers == 0 || numbers > 3 {
		return false
	}
	if rest == "" {
		return true
	}
	if rest[0] == '.' {
		return len(rest) <= 3 && strings.Trim(rest[1:], "0123456789") == "" && rest != "."
	}
	for _, stage := range [...]string{"alpha", "beta", "rc", "preview", "p"} {
		if number, ok := strings.CutPrefix(rest, stage); ok {
			return len(number) <= 2 && strings.Trim(number, "0123456789") == ""
		}
	}
	return false
}

// isService reports whether s is the full name of a gRPC service, as in pay.v1.Refunds: a
// package in lower case and a name that begins with a capital.
func isService(s string) bool {
	dot := strings.LastIndexByte(s, '.')
	if dot <= 0 || len(s) > maxService || !isMethod(s[dot+1:]) || isToken(s[dot+1:]) {
		return false
	}
	for part := range strings.SplitSeq(s[:dot], ".") {
		for i := range len(part) {
			if c := part[i]; !lower(c) && !digit(c) && c != '_' {
				return false
			}
		}
		if part == "" || len(part) > maxSegment || !isVersion(part) && isToken(part) {
			return false
		}
	}
	return true
}

// isMethod reports whether s may be the name of a gRPC service or method: a capital, and
// letters.
func isMethod(s string) bool {
	if s == "" || len(s) > maxSegment || !upper(s[0]) {
		return false
	}
	for i := range len(s) {
		if !letter(s[i]) {
			return false
		}
	}
	return true
}

// isToken reports whether s, of ASCII letters and digits, looks like a number, or like drawn
// by chance: digits in any place but the end of a word, capitals in any place, letters that
// nobody can pronounce.
func isToken(s string) bool {
	digits, capitals, hex := 0, 0, 0
	unspoken, run := 0, 0 // the longest run of consonants
	for i := range len(s) {
		c := s[i]
		switch {
		case digit(c):
			digits++
		case upper(c):
			// An abbreviation at one end counts as one capital: HTTPServer, RefundsAPI.
			inside := i > 0 && lower(s[i-1]) || i > 0 && i+1 < len(s) && lower(s[i+1])
			if i == 0 || inside || strings.ContainsAny(s[:i], "abcdefghijklmnopqrstuvwxyz") && strings.ContainsAny(s[i:], "abcdefghijklmnopqrstuvwxyz") {
				capitals++
			}
		}
		if 'a' <= c|0x20 && c|0x20 <= 'f' || digit(c) {
			hex++
		}
		if vowel(c) || digit(c) || upper(c) && i > 0 && lower(s[i-1]) {
			run = 0
		}
		if letter(c) && !vowel(c) {
			run++
		}
		unspoken = max(unspoken, run)
	}
	switch {
	case digits > 0:
		return !isNumbered(s)
	case hex == len(s) && len(s) >= 8:
		return true
	case strings.IndexFunc(s, func(c rune) bool { return c >= 'a' }) < 0:
		return len(s) > 12 // all capitals
	case len(s) >= 12 && unspoken >= 5, len(s) >= 8 && unspoken >= 6, len(s) > 20 && capitals == 0:
		return true
	case len(s) < 12:
		return capitals > max(2, len(s)/3)
	case len(s) < 20:
		return capitals > len(s)/4
	}
	return capitals > len(s)/5
}

// isNumbered reports whether s is a word with one digit, as in oauth2, or one of the usual
// names that have one elsewhere.
func isNumbered(s string) bool {
	switch strings.ToLower(s) {
	case "2fa", "3ds", "b2b", "b2c", "e2e", "i18n", "k8s", "l10n", "m2m", "p2p", "s3":
		return true
	}
	last := len(s) - 1
	if last < 2 || last > 10 || !digit(s[last]) {
		return false
	}
	word := s[:last]
	small := strings.TrimLeft(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
	if capitals := len(word) - len(small); capitals > 2 {
		return false
	}
	run := 0
	for i := range len(small) {
		if !lower(small[i]) {
			return false
		}
		if run++; vowel(small[i]) {
			run = 0
		}
		if run >= 5 {
			return false
		}
	}
	return !(len(s) >= 8 && isHex(s))
}

func isHex(s string) bool { return strings.Trim(s, "0123456789abcdefABCDEF") == "" }
