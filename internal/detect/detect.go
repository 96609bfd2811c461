// Package detect finds values in text that look like personal data or credentials, for
// whatever no rule names: payment cards, e-mail addresses, phone numbers, bank accounts,
// national identifiers, tokens, keys and public IP addresses.
//
// Scan looks for all kinds in one pass. A table of byte classes cuts the text into words;
// what a word may be the beginning of follows from its length, its first byte and whether
// it has digits, and a verifier for that one candidate decides: a check digit, a strict
// shape, a table of assigned prefixes. What has neither, such as a name, a nine-digit
// number or a street, is not looked for: that is for rules that name a place.
//
// Every verifier looks at a bounded part of the text, or at a part that no other
// candidate of its kind looks at again, so that the time is linear in the length of the
// text, whatever it holds.
//
// JSON and Text (text.go) also look through what a value is wrapped in: escapes of JSON
// strings, percent-encoding, character references.
//
// All functions are safe for concurrent use, and keep nothing.
package detect

import "unicode/utf8"

// Kind is what a finding looks like.
type Kind uint8

// The kinds. What each of them covers is said where it is verified.
const (
	Card       Kind = iota // payment card number
	Email                  // e-mail address
	Phone                  // phone number
	IBAN                   // international bank account number
	NationalID             // number that a state gives to a person
	JWT                    // JSON Web Token, signed or encrypted
	Bearer                 // credentials after Bearer or Basic
	APIKey                 // key or token of a service that marks its own by a prefix
	PrivateKey             // PEM block of a private key
	IP                     // public IP address
	numKinds
)

var kindNames = [numKinds]string{"card", "email", "phone", "iban", "national-id", "jwt", "bearer", "api-key", "private-key", "ip"}

// String is a name of low cardinality, such as "national-id".
func (k Kind) String() string { return kindNames[k] }

// Kinds is a set of kinds.
type Kinds uint16

// All are all kinds.
const All Kinds = 1<<numKinds - 1

// Of is the set of kinds.
func Of(kinds ...Kind) (set Kinds) {
	for _, k := range kinds {
		set |= 1 << k
	}
	return set
}

// Has reports whether k is in the set.
func (s Kinds) Has(k Kind) bool { return s>>k&1 != 0 }

// Names are those of the kinds in the set.
func (s Kinds) Names() (names []string) {
	for k, name := range kindNames {
		if s.Has(Kind(k)) {
			names = append(names, name)
		}
	}
	return names
}

// Named returns the kind whose String is name.
func Named(name string) (k Kind, ok bool) {
	for k, n := range kindNames {
		if n == name {
			return Kind(k), true
		}
	}
	return 0, false
}

// Finding says that the bytes from Start up to End look like Kind.
type Finding struct {
	Kind       Kind
	Start, End int
	Number     bool // they are a number of JSON, and not inside of a string
}

// Scan appends to dst what it finds in text of the kinds: in the order of the text, none
// overlapping another. It allocates nothing but room in dst.
func Scan(dst []Finding, text []byte, kinds Kinds) []Finding {
	dst, _ = scan(dst, text, kinds)
	return dst
}

// scan is Scan, and reports whether there are signs in text that something may be encoded
// with.
func scan(dst []Finding, text []byte, kinds Kinds) (found []Finding, encoded bool) {
	s := scanner{text: text, kinds: kinds, found: dst, earlier: len(dst)}
	for i := 0; i < len(text); {
		c := classes[text[i]]
		if c&wordy == 0 {
			if c == other {
				i++
				continue
			}
			i = s.sign(i)
			continue
		}
		start, seen := i, c
		for i++; i < len(text); i++ {
			c := classes[text[i]]
			if c&wordy == 0 {
				break
			}
			seen |= c
		}
		i = s.word(start, i, seen)
	}
	return s.found, s.encoded
}

// class is what a byte is to the scanner. Those of the bytes of a word are or-ed.
type class uint8

const (
	other class = 0
	digit class = 1 << iota
	upper
	lower
	sign // a candidate may begin with it, or is around it, or is encoded with it

	wordy = digit | upper | lower
)

var classes = func() (t [256]class) {
	for c := range t {
		switch {
		case '0' <= c && c <= '9':
			t[c] = digit
		case 'A' <= c && c <= 'Z':
			t[c] = upper
		case 'a' <= c && c <= 'z':
			t[c] = lower
		}
	}
	for _, c := range "@+(-%&\\" {
		t[c] = sign
	}
	for _, c := range []byte(foldable) {
		t[c] = sign
	}
	return t
}()

func isDigit(c byte) bool { return c-'0' <= 9 }
func isUpper(c byte) bool { return c-'A' <= 'Z'-'A' }
func isWord(c byte) bool  { return classes[c]&wordy != 0 }

type scanner struct {
	text    []byte
	kinds   Kinds
	found   []Finding
	earlier int // findings that are not of this text
	first   int // where the first part of what looked like a JWT ends
	tried   int // how often one was looked for in that part
	encoded bool
}

func (s *scanner) add(k Kind, start, end int) int {
	s.found = append(s.found, Finding{Kind: k, Start: start, End: end})
	return end
}

// word looks at the word from start to end, and what follows it. It returns where to go on.
func (s *scanner) word(start, end int, seen class) int {
	first := s.text[start]
	for i := range tokensBy[first] {
		t := &tokensBy[first][i]
		if s.kinds.Has(t.kind) && t.begins(s.text[start:]) {
			if from, to := t.match(s.text, start, start+len(t.prefix)); to > 0 {
				return s.add(t.kind, from, to)
			}
		}
	}
	if first == 'e' && s.kinds.Has(JWT) && hasPrefix(s.text[start:], "eyJ") {
		if to := s.jwt(start); to > 0 {
			return s.add(JWT, start, to)
		}
	}
	n := end - start
	if seen&digit == 0 && (n > maxForm || !lettersFirst[n]) {
		return end
	}
	if n <= maxForm {
		if k, to := s.form(start, end); to > 0 {
			return s.add(k, start, to)
		}
	}
	if isDigit(first) && s.kinds.Has(Card) && n <= maxForm && end < len(s.text) && (s.text[end] == '.' || seen != digit) {
		if to := s.scientific(start); to > 0 {
			return s.add(Card, start, to)
		}
	}
	switch {
	case isDigit(first) && s.kinds.Has(IP) && end < len(s.text):
		if to := s.ip(start, end); to > 0 {
			return s.add(IP, start, to)
		}
	case !isDigit(first) && n >= 4 && isDigit(s.text[start+2]) && isDigit(s.text[start+3]) && s.kinds.Has(IBAN):
		if to := s.iban(start); to > 0 {
			return s.add(IBAN, start, to)
		}
	}
	if n > 13 && seen != digit && s.kinds.Has(Card) {
		if from, to := s.run(start, end); to > 0 {
			return s.add(Card, from, to)
		}
	}
	return end
}

// sign looks at what begins with, or is around, the sign at i.
func (s *scanner) sign(i int) int {
	switch s.text[i] {
	case '@':
		if s.kinds.Has(Email) {
			return s.email(i)
		}
	case '+':
		if s.kinds.Has(Phone) {
			if to := s.phone(i); to > 0 {
				return s.add(Phone, i, to)
			}
		}
	case '(':
		if k, to := s.form(i, i); to > 0 {
			return s.add(k, i, to)
		}
	case '-':
		if s.kinds.Has(PrivateKey) && hasPrefix(s.text[i:], pemBegin) {
			if to := pem(s.text[i:]); to > 0 {
				return s.add(PrivateKey, i, i+to)
			}
		}
	case '%', '&', '\\':
		s.encoded = true
	default:
		if r, _ := utf8.DecodeRune(s.text[i:]); fold(r) != r {
			s.encoded = true
		}
	}
	return i + 1
}

func hasPrefix(text []byte, prefix string) bool {
	return len(text) >= len(prefix) && string(text[:len(prefix)]) == prefix
}
