package detect

import "strings"

// cardForms are the ways to write a payment card number: in one, or in the groups in which
// it is embossed, with spaces, hyphens or dots.
func cardForms() (list []form) {
	for n := 19; n >= 13; n-- {
		list = append(list, form{Card, strings.Repeat("9", n), isCard})
	}
	for _, groups := range []string{
		"9999 9999 9999 9999 999", // UnionPay, Maestro
		"9999 9999 9999 9999",
		"9999 999999 99999", // American Express
		"9999 999999 9999",  // Diners Club
		"999999 9999999999", "999999 9999999999999",
	} {
		for _, sign := range []string{" ", "-", "."} {
			list = append(list, form{Card, strings.ReplaceAll(groups, " ", sign), isCard})
		}
	}
	return list
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

// isCard tells whether c is a number of a network and passes Luhn. Thirteen digits are
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
