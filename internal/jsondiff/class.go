package jsondiff

import (
	"bytes"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goshadow/shadow/internal/jsonscan"
)

// Class says what two different values look like, which often shows why they
// differ. It is a guess for people; nothing is decided by it.
type Class uint8

// The classes.
const (
	ClassNone          Class = iota // nothing in particular, or one side has no value
	ClassTimestamp                  // two dates, times, or recent and close counts since 1970
	ClassUUID                       // two UUIDs
	ClassToken                      // two hexadecimal or base64 strings without a pattern
	ClassNearNumber                 // two numbers within 1e-9 of each other, relatively
	ClassNumericString              // the same number, on one side or both as a string
	ClassReordered                  // an array with the same elements in another order
	ClassCase                       // strings that differ in upper and lower case only
	ClassSpace                      // strings that differ in white space only
	ClassURLHost                    // two URLs that differ in scheme, host or port only
)

// classify returns the class of a difference.
func (s *comparison) classify(d *Diff) Class {
	a, b := d.A.Of(s.a), d.B.Of(s.b)
	switch {
	case a == nil || b == nil:
		return ClassNone
	case d.Kind == Reordered:
		return ClassReordered
	}
	switch typeOf(a) {
	case '"':
		s.textA = jsonscan.AppendUnquote(s.textA[:0], a)
		switch typeOf(b) {
		case '"':
			s.textB = jsonscan.AppendUnquote(s.textB[:0], b)
			return classifyStrings(s.textA, s.textB)
		case '0':
			return classifyNumeric(s.textA, b)
		}
	case '0':
		switch typeOf(b) {
		case '"':
			s.textB = jsonscan.AppendUnquote(s.textB[:0], b)
			return classifyNumeric(a, s.textB)
		case '0':
			return classifyNumbers(a, b)
		}
	}
	return ClassNone
}

// classifyNumeric is for two numbers of which one at least is the text of a
// string.
func classifyNumeric(a, b []byte) Class {
	if isNumber(a) && isNumber(b) && jsonscan.EqualNumbers(a, b) {
		return ClassNumericString
	}
	return ClassNone
}

func isNumber(text []byte) bool {
	for _, c := range text {
		if !isDigit(c) && strings.IndexByte("-.+eE", c) < 0 {
			return false
		}
	}
	end, err := jsonscan.Number(text, 0)
	return err == nil && end == len(text)
}

func classifyNumbers(a, b []byte) Class {
	if max(len(a), len(b)) < 9 { // too few digits to be that near, or a time
		return ClassNone
	}
	x, errX := strconv.ParseFloat(string(a), 64)
	y, errY := strconv.ParseFloat(string(b), 64)
	if errX != nil || errY != nil {
		return ClassNone
	}
	difference := math.Abs(x - y)
	unit := epochUnit(x)
	switch {
	case unit != 0 && unit == epochUnit(y) && recent(x/perSecond(unit)) && difference/perSecond(unit) <= 24*60*60:
		return ClassTimestamp
	case difference <= 1e-9*max(math.Abs(x), math.Abs(y)):
		return ClassNearNumber
	}
	return ClassNone
}

// recent reports whether a number of seconds since 1970 is from 2001 to 2100:
// smaller and larger numbers are more often something else.
func recent(seconds float64) bool { return 1e9 <= seconds && seconds < 4.2e9 }

func classifyStrings(a, b []byte) Class {
	switch {
	case bytes.EqualFold(a, b) && utf8.Valid(a) && utf8.Valid(b): // what is not UTF-8 is all the same to it
		return ClassCase
	case equalButSpace(a, b):
		return ClassSpace
	case isUUID(a) && isUUID(b):
		return ClassUUID
	case isTime(a) && isTime(b):
		return ClassTimestamp
	case differInHost(a, b):
		return ClassURLHost
	case isHex(a) && isHex(b), isBase64(a) && isBase64(b):
		return ClassToken
	case isEpoch(a) && isEpoch(b) && classifyNumbers(a, b) == ClassTimestamp:
		return ClassTimestamp
	}
	return classifyNumeric(a, b)
}

// equalButSpace reports whether two texts are the same without white space.
func equalButSpace(a, b []byte) bool {
	for {
		a, b = trimSpace(a), trimSpace(b)
		if len(a) == 0 || len(b) == 0 {
			return len(a) == len(b)
		}
		if a[0] != b[0] {
			return false
		}
		a, b = a[1:], b[1:]
	}
}

func trimSpace(s []byte) []byte {
	for len(s) > 0 {
		r, n := utf8.DecodeRune(s)
		if !unicode.IsSpace(r) {
			break
		}
		s = s[n:]
	}
	return s
}

// matches reports whether text begins like pattern, in which 0 stands for a
// digit, A for a letter, f for a hexadecimal digit, and anything else for
// itself.
func matches(text []byte, pattern string) bool {
	if len(text) < len(pattern) {
		return false
	}
	for i := range len(pattern) {
		c := text[i]
		switch p := pattern[i]; p {
		case '0':
			if !isDigit(c) {
				return false
			}
		case 'A':
			if !isLetter(c) {
				return false
			}
		case 'f':
			if !isHexDigit(c) {
				return false
			}
		default:
			if c != p {
				return false
			}
		}
	}
	return true
}

func isDigit(c byte) bool    { return c-'0' <= 9 }
func isLetter(c byte) bool   { return c|0x20-'a' < 26 }
func isHexDigit(c byte) bool { return isDigit(c) || c|0x20-'a' < 6 }

func isUUID(text []byte) bool {
	const pattern = "ffffffff-ffff-ffff-ffff-ffffffffffff"
	text = bytes.TrimPrefix(text, []byte("urn:uuid:"))
	return len(text) == len(pattern) && matches(text, pattern)
}

// isTime recognises ISO 8601 dates and times (RFC 3339, and with a space or
// without an offset), and those of RFC 9110 section 5.6.7 and RFC 5322.
func isTime(text []byte) bool {
	switch {
	case matches(text, "0000-00-00"):
		rest := text[10:]
		return len(rest) == 0 || len(rest) <= 25 && (matches(rest, "T00:00") || matches(rest, " 00:00"))
	case matches(text, "AAA, 00 AAA 0000 00:00:00"):
		return len(text) <= 31
	case matches(text, "AAA AAA 00 00:00:00"), matches(text, "AAA AAA  0 00:00:00"):
		return len(text) <= 30
	}
	return false
}

// isEpoch reports whether text is as long as a count of seconds or milliseconds
// since 1970. Longer ones are more often something else.
func isEpoch(text []byte) bool {
	return (len(text) == 10 || len(text) == 13) && isNumber(text)
}

// differInHost reports whether two URLs are the same but for what comes before
// the path.
func differInHost(a, b []byte) bool {
	restA, okA := afterHost(a)
	restB, okB := afterHost(b)
	return okA && okB && bytes.Equal(restA, restB)
}

// afterHost returns what follows the authority of an absolute URL.
func afterHost(url []byte) (rest []byte, ok bool) {
	scheme, rest, ok := bytes.Cut(url, []byte("://"))
	if !ok || len(scheme) < 2 || bytes.ContainsFunc(scheme, func(r rune) bool {
		return r >= utf8.RuneSelf || !isLetter(byte(r)) && !isDigit(byte(r)) && !strings.ContainsRune("+-.", r)
	}) {
		return nil, false
	}
	if end := bytes.IndexAny(rest, "/?#"); end >= 0 {
		return rest[end:], end > 0
	}
	return nil, len(rest) > 0
}

// tokenLength is the least length of what is taken for a token.
const tokenLength = 16

func isHex(text []byte) bool {
	if len(text) < tokenLength {
		return false
	}
	digits := 0
	for _, c := range text {
		if !isHexDigit(c) {
			return false
		}
		if isDigit(c) {
			digits++
		}
	}
	return 0 < digits && digits < len(text)
}

// isBase64 recognises base64 and base64url, also in parts joined by dots as in
// a JSON Web Token, by how often upper case, lower case and digits take turns:
// in words and slugs they rarely do.
func isBase64(text []byte) bool {
	if len(text) < tokenLength {
		return false
	}
	turns := 0
	var before byte
	for _, c := range bytes.TrimRight(text, "=") {
		var class byte
		switch {
		case isDigit(c):
			class = '0'
		case 'a' <= c && c <= 'z':
			class = 'a'
		case 'A' <= c && c <= 'Z':
			class = 'A'
		case c == '+' || c == '/' || c == '-' || c == '_' || c == '.':
			class = '-'
		default:
			return false
		}
		if class != before {
			turns++
		}
		before = class
	}
	return turns*3 > len(text)
}
