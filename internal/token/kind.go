package token

import (
	"net/netip"
	"strings"
	"time"
)

// kind is what a value looks like. The numbers are part of every token.
type kind byte

const (
	empty       kind = 0
	text        kind = 't'
	email       kind = 'e'
	digits      kind = 'd'
	iban        kind = 'b'
	hexadecimal kind = 'h'
	uuid        kind = 'u'
	ipv4        kind = '4'
	ipv6        kind = '6'
	date        kind = 'y'
	domain      kind = 'o' // of an e-mail address
	long        kind = 'l' // strings that are too long to be permuted
)

// kindOf tells what s looks like. Every value has one kind, and its token has the same:
// so two values of different kinds cannot have one token.
func kindOf(s string) kind {
	switch {
	case s == "":
		return empty
	case isDate(s):
		return date
	case isUUID(s):
		return uuid
	case isIPv4(s):
		return ipv4
	case isIPv6(s):
		return ipv6
	case isDigits(s):
		return digits
	case isIBAN(s):
		return iban
	case isHex(s):
		return hexadecimal
	case isEmail(s):
		return email
	}
	return text
}

// maxShort is more than a date, an address or an IBAN is ever long.
const maxShort = 80

// isDate recognises the dates and times of RFC 3339 section 5.6, and times without their
// offset or seconds, which ISO 8601 allows.
func isDate(s string) bool {
	if len(s) < len(time.DateOnly) || len(s) > maxShort || s[4] != '-' || s[7] != '-' {
		return false
	}
	day, rest := s[:len(time.DateOnly)], s[len(time.DateOnly):]
	if _, err := time.Parse(time.DateOnly, day); err != nil {
		return false
	}
	if rest == "" {
		return true
	}
	if !strings.Contains("Tt ", rest[:1]) {
		return false
	}
	clock := strings.ToUpper(rest[1:])
	for _, layout := range [...]string{"15:04:05Z07:00", "15:04:05", "15:04Z07:00", "15:04"} {
		if _, err := time.Parse(layout, clock); err == nil {
			return true
		}
	}
	return false
}

// isUUID recognises the text form of RFC 9562 section 4, in one case.
func isUUID(s string) bool {
	return len(s) == 36 && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-' &&
		strings.Count(s, "-") == 4 && !strings.Contains(s, ":") && isHex(s)
}

func isIPv4(s string) bool {
	if len(s) > len("255.255.255.255") || strings.Count(s, ".") != 3 {
		return false
	}
	a, err := netip.ParseAddr(s)
	return err == nil && a.Is4()
}

func isIPv6(s string) bool {
	if len(s) > maxShort || strings.Count(s, ":") < 2 {
		return false
	}
	a, err := netip.ParseAddr(s)
	return err == nil && a.Is6()
}

// separators stand between the digits of cards, phone numbers and the like.
const separators = " -./()+"

func isDigits(s string) bool {
	found := false
	for i := range len(s) {
		switch {
		case isDigit(s[i]):
			found = true
		case strings.IndexByte(separators, s[i]) < 0:
			return false
		}
	}
	return found
}

func isDigit(c byte) bool { return c-'0' <= 9 }
func isUpper(c byte) bool { return c-'A' <= 'Z'-'A' }

// isIBAN recognises an IBAN (ISO 13616-1) in upper case, in groups or not, with the check
// digits that its rule gives.
func isIBAN(s string) bool {
	if len(s) > maxShort {
		return false
	}
	plain := strings.ReplaceAll(s, " ", "")
	if len(plain) < 15 || len(plain) > 34 || s[0] == ' ' || s[len(s)-1] == ' ' || strings.Contains(s, "  ") {
		return false
	}
	for i := range len(plain) {
		c := plain[i]
		letter, digit := isUpper(c), isDigit(c)
		if !letter && !digit || i < 2 && !letter || (i == 2 || i == 3) && !digit {
			return false
		}
	}
	return plain[2:4] == ibanCheck(plain[:2], plain[4:])
}

// isHex recognises eight or more hexadecimal digits of one case, with the separators of
// MAC addresses between them or none. Shorter ones are more often words.
func isHex(s string) bool {
	found, upper, lower := 0, false, false
	for i := range len(s) {
		switch c := s[i]; {
		case c-'a' < 6:
			lower = true
		case c-'A' < 6:
			upper = true
		case isDigit(c):
		case (c == ':' || c == '-') && 0 < i && i < len(s)-1:
			continue
		default:
			return false
		}
		found++
	}
	return found >= 8 && !(upper && lower)
}

// isEmail recognises addr-spec of RFC 5322 section 3.4.1 without quotes and comments,
// below a domain with a dot; letters outside of ASCII are those of RFC 6531.
func isEmail(s string) bool {
	at := strings.LastIndexByte(s, '@')
	if at < 1 || len(s) > 254 {
		return false
	}
	local, host := s[:at], s[at+1:]
	if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }) ||
		strings.ContainsAny(local, `"(),:;<>[\]@`) || !strings.Contains(host, ".") {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || strings.ContainsFunc(label, func(r rune) bool {
			return r < 0x80 && r != '-' && !isDigit(byte(r)) && !isUpper(byte(r)&^0x20)
		}) {
			return false
		}
	}
	return true
}
