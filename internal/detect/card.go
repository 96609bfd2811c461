package detect

import (
	"bytes"
	"strconv"
	"strings"
)

// cardForms returns the ways to write a payment card number: in one, or in the groups in
// which it is embossed, with spaces, hyphens or dots.
func cardForms() (list []form) {
	for n := 19; n >= 13; n-- {
		list = append(list, form{Card, strings.Repeat("9", n), isCard})
	}
	return append(list, grouped(Card, isCard, " -.",
		"9999 9999 9999 9999 999", // UnionPay, Maestro
		"9999 9999 9999 9999",
		"9999 999999 99999", // American Express
		"9999 999999 9999",  // Diners Club
		"999999 9999999999", "999999 9999999999999")...)
}

// run returns the place of a card number whose digits stand between letters in the word from
// start to end, as on a magnetic stripe: "B4111111111111111". End is 0 where there is none.
func (s *scanner) run(start, end int) (from, to int) {
	for from = start; from < end; from = to + 1 {
		for to = from; to < end && isDigit(s.text[to]); to++ {
		}
		if n := to - from; n < 14 || n > 19 || from == start && s.before(start) == joined { // 13 digits have too weak a check
			continue
		}
		c := code{n: to - from}
		copy(c.b[:], s.text[from:to])
		if isCard(c) {
			return from, to
		}
	}
	return 0, 0
}

// scientific returns where the number that starts at start ends, if it has an exponent and
// its value is a card number, as spreadsheets write one: "4.111111111111111E+15".
func (s *scanner) scientific(start int) int {
	const longest = len("0.0000000000000000004111111111111111E+34")
	end, point, exponent := start, false, false
scan:
	for ; end < len(s.text) && end-start < longest; end++ {
		switch c := s.text[end]; {
		case isDigit(c):
		case c == '.' && !point && !exponent:
			point = true
		case c|0x20 == 'e' && !exponent:
			exponent = true
		case (c == '+' || c == '-') && s.text[end-1]|0x20 == 'e':
		default:
			break scan
		}
	}
	var c code
	if !exponent || s.before(start) == joined || s.behind(end) == joined || !c.value(s.text[start:end]) || c.n < 13 || !isCard(c) {
		return 0
	}
	return end
}

// value sets c to the digits of a number of JSON, if its value is whole and has maxForm
// digits at most.
func (c *code) value(number []byte) bool {
	c.n = 0
	zeros, scale := 0, 0 // zeros that may be the last ones; powers of ten
	point := false
	number = bytes.TrimPrefix(number, []byte("-"))
	for i, b := range number {
		switch {
		case b == '.':
			point = true
			continue
		case b|0x20 == 'e':
			exponent, err := strconv.Atoi(string(number[i+1:]))
			if err != nil || max(exponent, -exponent) > 1<<20 {
				return false
			}
			scale += exponent
			return c.scale(zeros + scale)
		case b == '0' && c.n == 0:
		case b == '0':
			zeros++
		case c.n+zeros >= maxForm:
			return false
		default:
			for ; zeros > 0; zeros-- {
				c.b[c.n] = '0'
				c.n++
			}
			c.b[c.n] = b
			c.n++
		}
		if point {
			scale--
		}
	}
	return c.scale(zeros + scale)
}

// scale appends as many zeros as c has powers of ten.
func (c *code) scale(zeros int) bool {
	if zeros < 0 || c.n+zeros > maxForm {
		return false
	}
	for range zeros {
		c.b[c.n] = '0'
		c.n++
	}
	return true
}

// issuers are the first four digits of the networks' numbers, and how long those are (ISO/IEC 7812;
// the networks' published ranges). Of the lengths that a network allows, those that are
// not in use are left out, because identifiers of 17 and 18 digits are common.
var issuers = [...]struct {
	from, to int
	lengths  string
}{
	{2200, 2204, "\x10"},         // Mir
	{2221, 2720, "\x10"},         // Mastercard
	{3000, 3059, "\x0e\x10"},     // Diners Club
	{3095, 3095, "\x0e\x10"},     //
	{3400, 3499, "\x0f"},         // American Express
	{3528, 3589, "\x10"},         // JCB
	{3600, 3699, "\x0e\x10"},     // Diners Club
	{3700, 3799, "\x0f"},         // American Express
	{3800, 3999, "\x0e\x10"},     // Diners Club
	{4000, 4999, "\x0d\x10\x13"}, // Visa
	{5018, 5020, "\x10\x12\x13"}, // Maestro, Dankort
	{5038, 5038, "\x10\x12\x13"}, // Maestro
	{5081, 5089, "\x10"},         // RuPay
	{5100, 5599, "\x10"},         // Mastercard
	{5893, 5893, "\x10\x12\x13"}, // Maestro
	{6011, 6011, "\x10\x13"},     // Discover
	{6062, 6062, "\x10"},         // Hipercard
	{6200, 6299, "\x10\x13"},     // UnionPay
	{6304, 6304, "\x10\x12\x13"}, // Maestro
	{6440, 6599, "\x10\x13"},     // Discover, RuPay, Troy
	{6759, 6759, "\x10\x12\x13"}, // Maestro
	{6761, 6763, "\x10\x12\x13"}, // Maestro
	{6767, 6767, "\x10\x12\x13"}, // Maestro
	{8100, 8171, "\x10"},         // UnionPay, RuPay
	{9792, 9792, "\x10"},         // Troy
}

// isCard reports whether c is a number of a network and passes Luhn. Thirteen digits are
// those of an old Visa card and of an EAN-13, of which the ones that begin with 4 are on
// goods from Germany and Japan: a valid EAN is taken for one.
func isCard(code code) bool {
	c := code.bytes()
	prefix := int(number(c[:4]))
	for _, issuer := range issuers {
		if issuer.from <= prefix && prefix <= issuer.to {
			return strings.IndexByte(issuer.lengths, byte(len(c))) >= 0 && luhn(c) &&
				(len(c) != 13 || !gs1(c))
		}
	}
	return false
}
