package token

import (
	"fmt"
	"math/bits"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// The functions of this file make the tokens of one kind each. Where not all strings of a
// permutation are of the kind, or not all of the shape that is to be kept, they permute
// until one is: "cycle walking" (Black and Rogaway 2002, section 4). That is a permutation
// of those that are, and ends because it comes back to where it began.

// digits keeps all but digits where it is. Of the digits it keeps whether the first of
// several is 0, whether eight or more pass Luhn's test, and whether they fit in the
// integer types that programs keep such numbers in.
func (k *keys) digits(s string) string {
	old := take(s, decimal)
	leading := len(old) > 1 && old[0] == 0
	card := len(old) >= minLuhn && luhn(old) == 0
	small := fits(old)
	tweak := []byte{byte(digits), 0}
	from, to := 0, len(old)
	if leading {
		from, tweak[1] = 1, tweak[1]|1
	}
	if card {
		to, tweak[1] = len(old)-1, tweak[1]|2
	}
	for x := old; ; {
		k.permute(tweak, 10, x[from:to])
		if card {
			x[to] = 0
			x[to] = (10 - luhn(x)) % 10
		}
		switch {
		case len(x) > 1 && (x[0] == 0) != leading:
		case !card && len(x) >= minLuhn && luhn(x) == 0:
		case fits(x) != small:
		default:
			if token := put(s, decimal, x); kindOf(token) == digits {
				return token
			}
		}
	}
}

// minLuhn is the least length at which Luhn's sum is more likely there than by chance:
// that of the shortest number that ISO/IEC 7812-1 allows on a card.
const minLuhn = 8

// luhn is the sum of ISO/IEC 7812-1 annex B, modulo 10: 0 where the last digit is right.
func luhn(x []byte) byte {
	sum := 0
	for i := range x {
		d := int(x[len(x)-1-i])
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return byte(sum % 10)
}

// fits reports whether digits stay within the integers that are as long as they are: of 32
// bits, of a float64 (RFC 8259 section 6), of 64 bits.
func fits(x []byte) bool {
	most := ""
	switch len(x) {
	case 10:
		most = "2147483647"
	case 16:
		most = "9007199254740991"
	case 19:
		most = "9223372036854775807"
	}
	for i := range most {
		if d := most[i] - '0'; x[i] != d {
			return x[i] < d
		}
	}
	return true
}

// hex keeps length, case and separators.
func (k *keys) hex(s string) string {
	alphabet := hexOf(s)
	for x := take(s, alphabet); ; {
		k.permute([]byte{byte(hexadecimal)}, 16, x)
		if token := put(s, alphabet, x); kindOf(token) == hexadecimal && hexOf(token) == alphabet {
			return token
		}
	}
}

// hexOf is the alphabet that s is written in: that in lower case where it is in both.
func hexOf(s string) string {
	if strings.ContainsAny(s, "ABCDEF") {
		return upperHex
	}
	return lowerHex
}

// uuid keeps case, version and variant (RFC 9562 sections 4.1 and 4.2).
func (k *keys) uuid(s string) string {
	alphabet := hexOf(s)
	x := take(s, alphabet)
	const version, variant = 12, 16 // which digits they are in
	old := [...]byte{x[version], x[variant]}
	k.permute([]byte{byte(uuid)}, 16, x)
	x[version] = old[0]
	x[variant] = old[1]&0b1100 | x[variant]&0b0011
	return put(s, alphabet, x)
}

// ipv4 keeps whether the address is one of the public Internet.
func (k *keys) ipv4(s string) string {
	old := netip.MustParseAddr(s)
	bytes := old.As4()
	x := make([]byte, 8)
	symbols(16, number(256, bytes[:]), x)
	for {
		k.permute([]byte{byte(ipv4)}, 16, x)
		symbols(256, number(16, x), bytes[:])
		if a := netip.AddrFrom4(bytes); global(a) == global(old) {
			return a.String()
		}
	}
}

func global(a netip.Addr) bool { return a.IsGlobalUnicast() && !a.IsPrivate() }

// ipv6 is an address of the prefix that is reserved for documentation (RFC 3849): it is
// nobody's.
func (k *keys) ipv6(s string) string {
	sum := k.code(ipv6, []byte(s))
	a := [16]byte{0x20, 0x01, 0x0d, 0xb8}
	copy(a[4:], sum[:])
	return netip.AddrFrom16(a).String()
}

// email is an address below example.com, which is reserved (RFC 2606 section 3): no mail
// that a shadow sends by mistake finds a reader, and yet it has a top-level domain that
// checks of addresses know. The local part is that of the whole address, so that it does
// not tell who has one name at two domains.
func (k *keys) email(s string) string {
	host := s[strings.LastIndexByte(s, '@')+1:]
	return k.word(email, s, 26) + "@" + k.word(domain, host, 13) + ".example.com"
}

// iban keeps the country and where letters, digits and spaces stand, and gives the check
// digits that go with the rest.
func (k *keys) iban(s string) string {
	plain := strings.ReplaceAll(s, " ", "")
	country, account := plain[:2], plain[4:]
	account = k.within(account, decimal, country)
	account = k.within(account, upperCase, country)
	plain = country + ibanCheck(country, account) + account
	var b strings.Builder
	for i, at := 0, 0; i < len(s); i++ {
		if s[i] == ' ' {
			b.WriteByte(' ')
			continue
		}
		b.WriteByte(plain[at])
		at++
	}
	return b.String()
}

// within permutes the characters of an account that are in the alphabet, under a tweak of
// all the others.
func (k *keys) within(account, alphabet, country string) string {
	x := take(account, alphabet)
	others := k.code(iban, []byte(country+put(account, alphabet, make([]byte, len(x)))))
	k.permute(others[:6], uint64(len(alphabet)), x)
	return put(account, alphabet, x)
}

// ibanCheck is the two check digits of ISO 13616-1: 98 less the remainder modulo 97 of
// the account, the country and 00, with letters as 10 to 35.
func ibanCheck(country, account string) string {
	r := 0
	for _, c := range []byte(account + country + "00") {
		if isUpper(c) {
			r = (r*100 + int(c-'A') + 10) % 97
		} else {
			r = (r*10 + int(c-'0')) % 97
		}
	}
	return fmt.Sprintf("%02d", 98-r)
}

// date is another day, and another time of day where there is one, in the same years (see
// years). Separators, offset and precision stay. A date and a time are one value: what is
// known of times gives no dates away.
func (k *keys) date(s string) string {
	from, to := years(s)
	layout, unit := time.DateOnly, 24*time.Hour
	switch {
	case len(s) > len("2006-01-02T15:04") && s[16] == ':':
		layout, unit = "2006-01-02"+s[10:11]+"15:04:05", time.Second
	case len(s) > len(time.DateOnly):
		layout, unit = "2006-01-02"+s[10:11]+"15:04", time.Minute
	}
	value, rest := s[:len(layout)], s[len(layout):]
	old, _ := time.Parse(layout, value) // it is one: see isDate
	first := time.Date(from, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	seconds := int64(unit / time.Second)
	size := uint64(time.Date(to, 1, 1, 0, 0, 0, 0, time.UTC).Unix()-first) / uint64(seconds)
	tweak := []byte{byte(date), byte(len(layout)), byte(from >> 8), byte(from)}
	at := k.below(tweak, size, uint64((old.Unix()-first)/seconds))
	token := time.Unix(first+int64(at)*seconds, 0).UTC().Format(layout)

	fraction, offset := "", rest
	if strings.HasPrefix(rest, ".") || strings.HasPrefix(rest, ",") { // of a second
		offset = strings.TrimLeft(rest[1:], decimal)
		fraction = rest[:len(rest)-len(offset)]
	}
	x, code := take(fraction, decimal), k.code(date, []byte(value))
	k.permute(code[:6], 10, x)
	return token + put(fraction, decimal, x) + offset
}

// years are those among which dates like s are permuted, from up to and without to. Dates of
// birth hide among many: those of one's grandparents, of one's parents, of each decade then.
// Recent dates are those of events, which programs compare with the current one: they stay
// in their year.
func years(s string) (from, to int) {
	year, _ := strconv.Atoi(s[:4])
	switch {
	case year < 1900:
		return 0, 1900
	case year < 1930:
		return 1900, 1930
	case year < 2000:
		return 1930, 2000
	case year < 2020:
		return year / 10 * 10, year/10*10 + 10
	}
	return year, year + 1
}

// below permutes the numbers below size, which is at least 3, and returns the one in the
// place of n.
func (k *keys) below(tweak []byte, size, n uint64) uint64 {
	x := make([]byte, bits.Len64(size-1))
	for {
		symbols(2, n, x)
		k.permute(tweak, 2, x)
		if n = number(2, x); n < size {
			return n
		}
	}
}

// The alphabets that are permuted within: a character's symbol is its place.
const (
	decimal   = "0123456789"
	lowerHex  = "0123456789abcdef"
	upperHex  = "0123456789ABCDEF"
	upperCase = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

// take returns the symbols of the characters of s that are in the alphabet.
func take(s, alphabet string) []byte {
	x := make([]byte, 0, len(s))
	for i := range len(s) {
		if symbol := strings.IndexByte(alphabet, s[i]); symbol >= 0 {
			x = append(x, byte(symbol))
		}
	}
	return x
}

// put returns s with those characters replaced by the symbols x.
func put(s, alphabet string, x []byte) string {
	b := []byte(s)
	for i := range b {
		if strings.IndexByte(alphabet, b[i]) >= 0 {
			b[i], x = alphabet[x[0]], x[1:]
		}
	}
	return string(b)
}
