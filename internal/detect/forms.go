package detect

import "strings"

// form is one way to write a number: a shape, and a check of what is in it.
type form struct {
	kind Kind
	// shape is what the text looks like: '9' stands for a digit, 'A' for an upper case
	// letter, 'X' for either, and everything else for itself.
	shape string
	// check decides by the digits and letters alone. Nil takes everything.
	check func(code) bool
}

// code is the digits and letters of a candidate. It is passed by value, so that it stays on
// the stack.
type code struct {
	b [maxForm]byte
	n int
}

func (c *code) bytes() []byte { return c.b[:c.n] }

// maxForm is how many digits and letters a form has at most.
const maxForm = 20

// formsBy are the forms by the length of the word that they begin with, which is 0 for
// those that begin with a sign. Cards come first: theirs are the strongest checks.
var formsBy = func() (by [maxForm + 1][]form) {
	for _, list := range [][]form{cardForms(), idForms, phoneForms} {
		for _, f := range list {
			n := 0
			for n < len(f.shape) && isWord(f.shape[n]) {
				n++
			}
			by[n] = append(by[n], f)
		}
	}
	return by
}()

// form returns which of the forms the text at i has, and where it ends, or 0.
func (s *scanner) form(forms []form, i int) (k Kind, end int) {
	for n := range forms {
		f := &forms[n]
		if !s.kinds.Has(f.kind) {
			continue
		}
		if c, ok := fit(s.text[i:], f.shape); ok && (f.check == nil || f.check(c)) {
			if end := i + len(f.shape); s.apart(f, i, end) {
				return f.kind, end
			}
		}
	}
	return 0, 0
}

// fit returns the digits and letters at the start of text, if it has the shape.
func fit(text []byte, shape string) (c code, ok bool) {
	if len(text) < len(shape) {
		return c, false
	}
	for i, b := range text[:len(shape)] {
		switch want := shape[i]; want {
		case '9':
			ok = isDigit(b)
		case 'A':
			ok = isUpper(b)
		case 'X':
			ok = isDigit(b) || isUpper(b)
		default:
			ok = b == want
		}
		if !ok {
			return c, false
		}
		if isWord(b) {
			c.b[c.n] = b
			c.n++
		}
	}
	return c, true
}

// apart tells whether the text from start to end stands by itself, and is no part of a
// longer code, a decimal number or a row of numbers. A card number has a check of its own
// that is strong enough to find it inside of a code, such as "card_4111111111111111".
func (s *scanner) apart(f *form, start, end int) bool {
	part := isWord
	if f.kind == Card {
		part = isDigit
	}
	row := f.kind != Card && strings.Contains(f.shape, " ")
	if start > 0 {
		var before byte
		if start > 1 {
			before = s.text[start-2]
		}
		switch c := s.text[start-1]; c {
		case '-', '_':
			if part(before) {
				return false
			}
		case '.':
			if isDigit(before) {
				return false
			}
		case ' ':
			if row && isDigit(before) {
				return false
			}
		case '+':
			return false
		default:
			if isWord(c) {
				return false
			}
		}
	}
	if end < len(s.text) {
		var after byte
		if end+1 < len(s.text) {
			after = s.text[end+1]
		}
		switch c := s.text[end]; c {
		case '-', '_':
			return !part(after)
		case '.':
			return !isDigit(after)
		case ' ':
			return !row || !isDigit(after)
		default:
			return !isWord(c)
		}
	}
	return true
}

// number is the value of digits, of which there are 18 at most.
func number(c []byte) (n int) {
	for _, d := range c {
		n = n*10 + int(d-'0')
	}
	return n
}

// weighted is the sum of the digits, each times its weight.
func weighted(c []byte, weights ...int) (sum int) {
	for i, w := range weights {
		sum += w * int(c[i]-'0')
	}
	return sum
}

// luhn checks the last digit (ISO/IEC 7812-1 annex B).
func luhn(c []byte) bool {
	sum := 0
	for i, d := range c {
		n := int(d - '0')
		if (len(c)-i)%2 == 0 {
			if n *= 2; n > 9 {
				n -= 9
			}
		}
		sum += n
	}
	return sum%10 == 0
}

// gs1 checks the last digit of an EAN or GTIN (GS1 General Specifications section 7.9).
func gs1(c []byte) bool {
	sum := 0
	for i, d := range c {
		n := int(d - '0')
		if (len(c)-i)%2 == 0 {
			n *= 3
		}
		sum += n
	}
	return sum%10 == 0
}

// uniform tells whether all digits are the same, as placeholders have it.
func uniform(c []byte) bool {
	for _, d := range c {
		if d != c[0] {
			return false
		}
	}
	return true
}

// monthDay tells whether c is MMDD.
func monthDay(c []byte) bool {
	month, day := number(c[:2]), number(c[2:4])
	return 1 <= month && month <= 12 && 1 <= day && day <= 31
}

// dayMonth tells whether c is DDMM.
func dayMonth(c []byte) bool { return monthDay([]byte{c[2], c[3], c[0], c[1]}) }
