package detect

import (
	"net/netip"
	"strings"
)

// ip returns where the address ends whose first word is start to end, or 0. Only public
// addresses are personal data: private, shared (RFC 6598), loopback, link-local,
// multicast and unspecified ones name a place in somebody's own network.
func (s *scanner) ip(start, end int) int {
	switch c := s.text[end]; {
	case c == '.' && end-start <= 3:
		return s.ipv4(start)
	case c == ':' && end-start == 4 && (s.text[start] == '2' || s.text[start] == '3'):
		return s.ipv6(start)
	}
	return 0
}

// ipv4 looks at four numbers with dots between them.
//
// Version numbers have that shape too. What follows a letter, or a name and a slash
// ("v1.2.3.4", "Chrome/131.0.1.9"; RFC 9110 section 10.1.5), is one; so is what ends in
// ".0.0", which is a network and no host; and so is where all four numbers are below 32,
// which holds for one in 4096 addresses and nearly all versions.
func (s *scanner) ipv4(start int) int {
	var a [4]byte
	at := start
	small := true
	for k := range a {
		if k > 0 {
			if at >= len(s.text) || s.text[at] != '.' {
				return 0
			}
			at++
		}
		n, from := 0, at
		for at < len(s.text) && isDigit(s.text[at]) && at-from < 4 {
			n = n*10 + int(s.text[at]-'0')
			at++
		}
		if at == from || n > 255 || s.text[from] == '0' && at-from > 1 {
			return 0
		}
		a[k] = byte(n)
		small = small && n < 32
	}
	if small || a[2] == 0 && a[3] == 0 || !s.whole(start, at) || !public(netip.AddrFrom4(a)) {
		return 0
	}
	return at
}

// whole reports whether an address is not a part of something longer, nor a version. It may
// be one end of a range, or a part of a name: "203.0.113.9-203.0.113.20", "203.0.113.9.example".
func (s *scanner) whole(start, end int) bool {
	if start > 0 {
		switch c := s.text[start-1]; {
		case c == '.' || isWord(c):
			return false
		case c == '-' && start > 1 && isWord(s.text[start-2]) && !s.isRange(start-1):
			return false
		case c == '/' && s.product(start-1):
			return false
		case c == ' ' && start > 7 && string(s.text[start-8:start-1]) == "version":
			return false
		}
	}
	if end+1 < len(s.text) {
		switch c, after := s.text[end], s.text[end+1]; c {
		case '.':
			return !isDigit(after)
		case '-':
			return !isWord(after) || s.isRange(end)
		case '+':
			return !isWord(after)
		default:
			return !isWord(c)
		}
	}
	return end == len(s.text) || !isWord(s.text[end])
}

// isRange reports whether an address of either version stands on both sides of the hyphen at i.
func (s *scanner) isRange(i int) bool {
	const longest = len("2001:0db8:85a3:0000:0000:8a2e:0370:7334")
	from, to := i, i+1
	for from > 0 && i-from < longest && isAddress[s.text[from-1]] {
		from--
	}
	for to < len(s.text) && to-i <= longest && isAddress[s.text[to]] {
		to++
	}
	_, left := netip.ParseAddr(string(s.text[from:i]))
	_, right := netip.ParseAddr(strings.TrimRight(string(s.text[i+1:to]), ".:"))
	return left == nil && right == nil
}

// isAddress has the bytes of which addresses are written.
var isAddress = func() (t [256]bool) {
	for c := range t {
		t[c] = isHex(byte(c)) || c == '.' || c == ':'
	}
	return t
}()

// product reports whether the slash at i stands between the name of a product and its
// version, and not in a path or a URL.
func (s *scanner) product(i int) bool {
	const longest = 32
	from := i
	for from > 0 && i-from <= longest && (base64url[s.text[from-1]] || s.text[from-1] == '.') {
		from--
	}
	return from < i && (from == 0 || s.text[from-1] != '/')
}

// ipv6 looks at an address that is written in full or with "::" (RFC 4291 section 2.2),
// of which all public ones begin with 2 or 3.
func (s *scanner) ipv6(start int) int {
	const longest = len("2001:0db8:85a3:0000:0000:8a2e:0370:7334")
	at := start
	for at < len(s.text) && at-start <= longest && (s.text[at] == ':' || isHex(s.text[at])) {
		at++
	}
	if s.text[at-1] == ':' && s.text[at-2] != ':' { // what comes next is something else
		at--
	}
	groups, gaps, digits := 1, 0, 0
	for i := start; i < at; i++ {
		if s.text[i] != ':' {
			if digits++; digits > 4 {
				return 0
			}
			continue
		}
		digits = 0
		groups++
		if s.text[i-1] == ':' {
			gaps++
		}
	}
	if at-start > longest || gaps > 1 || gaps == 0 && groups != 8 || groups > 8 || !s.whole(start, at) {
		return 0
	}
	a, err := netip.ParseAddr(string(s.text[start:at]))
	if err != nil || !public(a) {
		return 0
	}
	return at
}

func isHex(c byte) bool { return isDigit(c) || c|0x20-'a' <= 'f'-'a' }

// shared is the space of carrier-grade NAT.
var shared = netip.MustParsePrefix("100.64.0.0/10")

func public(a netip.Addr) bool {
	if a.Is4() && (a.As4()[0] == 0 || a.As4()[0] >= 240) || shared.Contains(a) {
		return false
	}
	return a.IsGlobalUnicast() && !a.IsPrivate()
}
