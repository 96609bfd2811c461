package detect

import (
	"slices"
	"strings"
)

// form is one way to write a number: a shape, and a check of what is in it.
type form struct {
	kind Kind
	// shape is what the text looks like: '9' stands for a digit, 'A' for an upper case
	// letter, 'a' for a letter, 'x' for a letter or a digit, ' ' for a space or a tab, and
	// everything else for itself.
	shape string
	// check decides by the digits and letters alone, in upper case. Nil takes everything.
	check func(code) bool
}

// grouped returns a form of each shape for each separator, which stands in place of the
// spaces in the shapes.
func grouped(kind Kind, check func(code) bool, separators string, shapes ...string) (list []form) {
	for _, shape := range shapes {
		for _, separator := range separators {
			list = append(list, form{kind, strings.ReplaceAll(shape, " ", string(separator)), check})
		}
	}
	return list
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
// those that begin with a sign, and by the sign behind it. Cards come first: theirs are the
// strongest checks.
var formsBy = func() (by [maxForm + 1][6][]form) {
	for _, f := range slices.Concat(cardForms(), idForms(), phoneForms()) {
		n := firstWord(f.shape)
		sign := alone
		if n < len(f.shape) {
			sign = signs[f.shape[n]]
		}
		by[n][sign] = append(by[n][sign], f)
	}
	return by
}()

func firstWord(shape string) (n int) {
	for n < len(shape) && isWord(shape[n]) {
		n++
	}
	return n
}

// lettersFirst has the lengths of the first words that are letters alone.
var lettersFirst = func() (by [maxForm + 1]bool) {
	for _, f := range idForms() {
		n := firstWord(f.shape)
		by[n] = by[n] || !strings.ContainsAny(f.shape[:n], "9x")
	}
	return by
}()

// alone stands in formsBy for no sign, since the form is one word.
const alone uint8 = 0

// signs are those behind the first word of a form, as they count in formsBy.
var signs = [256]uint8{' ': 1, '\t': 1, '-': 2, '.': 3, '(': 4, '+': 5}

// form returns which form the text at start has, whose first word ends at next, and where
// it ends, or 0.
func (s *scanner) form(start, next int) (k Kind, end int) {
	before := s.before(start)
	if before == joined {
		return 0, 0
	}
	by := &formsBy[next-start]
	if k, end = s.oneOf(by[alone], start, before); end == 0 && next < len(s.text) && signs[s.text[next]] != alone {
		k, end = s.oneOf(by[signs[s.text[next]]], start, before)
	}
	return k, end
}

func (s *scanner) oneOf(forms []form, start int, before beside) (k Kind, end int) {
	for i := range forms {
		f := &forms[i]
		if !s.kinds.Has(f.kind) || !f.fits(before) {
			continue
		}
		c, ok := fit(s.text[start:], f.shape)
		if !ok || f.check != nil && !f.check(c) {
			continue
		}
		if end = start + len(f.shape); f.fits(s.behind(end)) {
			return f.kind, end
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
		case 'a':
			ok = isWord(b) && !isDigit(b)
		case 'x':
			ok = isWord(b)
		case ' ':
			ok = b == ' ' || b == '\t'
		default:
			ok = b == want
		}
		if !ok {
			return c, false
		}
		if isWord(b) {
			if classes[b] == lower {
				b -= 'a' - 'A'
			}
			c.b[c.n] = b
			c.n++
		}
	}
	return c, true
}

// beside is what a candidate stands beside.
type beside uint8

const (
	nothing  beside = iota
	inRow           // a number, behind a space
	inCode          // letters behind a hyphen
	inNumber        // digits behind a hyphen
	joined          // a letter or a digit with nothing between, or digits behind a point: it is a part of that
)

func (s *scanner) before(start int) beside {
	switch {
	case start == 0:
		return nothing
	case s.text[start-1] == '+': // it is no phone number, but wants to be one
		return joined
	case start == 1:
		return neighbour(s.text[0], 0)
	}
	return neighbour(s.text[start-1], s.text[start-2])
}

func (s *scanner) behind(end int) beside {
	switch len(s.text) - end {
	case 0:
		return nothing
	case 1:
		return neighbour(s.text[end], 0)
	}
	return neighbour(s.text[end], s.text[end+1])
}

// neighbour looks at the byte beside a candidate, and the one beyond it.
func neighbour(c, beyond byte) beside {
	switch c {
	case '_': // it separates, in names of files and of fields
	case '-':
		switch {
		case isDigit(beyond):
			return inNumber
		case isWord(beyond):
			return inCode
		}
	case '.':
		if isDigit(beyond) {
			return joined
		}
	case ' ', '\t':
		if isDigit(beyond) {
			return inRow
		}
	default:
		if isWord(c) {
			return joined
		}
	}
	return nothing
}

// fits reports whether f may stand there. The check of a card number is strong enough to find
// it inside of a code, such as "card-4111111111111111", and beside other numbers. Any other
// form stands beside letters if more than its digits tell it.
func (f *form) fits(where beside) bool {
	switch where {
	case inRow:
		return f.kind == Card || strings.IndexByte(f.shape, ' ') < 0
	case inCode:
		return f.kind == Card || f.kind == NationalID && f.check != nil && strings.Trim(f.shape, "9") != ""
	case inNumber:
		return f.kind == Card
	case joined:
		return false
	}
	return true
}

// number is the value of digits, of which there are 18 at most.
func number(c []byte) (n int64) {
	for _, d := range c {
		n = n*10 + int64(d-'0')
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

// uniform reports whether all digits are the same, as placeholders have it.
func uniform(c []byte) bool {
	for _, d := range c {
		if d != c[0] {
			return false
		}
	}
	return true
}

// monthDay reports whether c is MMDD.
func monthDay(c []byte) bool {
	month, day := number(c[:2]), number(c[2:4])
	return 1 <= month && month <= 12 && 1 <= day && day <= 31
}

// dayMonth reports whether c is DDMM.
func dayMonth(c []byte) bool { return monthDay([]byte{c[2], c[3], c[0], c[1]}) }
