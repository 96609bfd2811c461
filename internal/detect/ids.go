package detect

import (
	"slices"
	"strings"
)

// idForms returns the numbers that states give to persons, as far as a check digit, a date or a
// strict shape sets them apart from the numbers that every payload is full of. Those with
// neither (a US number without hyphens, a Dutch BSN) are for rules that name their place.
func idForms() []form {
	of := func(check func(code) bool, separators string, shapes ...string) []form {
		return grouped(NationalID, check, separators, shapes...)
	}
	const one, weak, strong = " ", " -", " -." // a point is in ordinary numbers, too
	return slices.Concat(
		of(isUS, weak, "999 99 9999"),                               // US: SSN, ITIN
		of(isCA, weak, "999 999 999"),                               // CA: SIN
		of(isGB, one, "AA999999A"), of(isGB, weak, "AA 99 99 99 A"), // GB: NINO
		of(isElevenDigits, one, "99999999999"), of(isDE, strong, "99 999 999 999"), // DE: Steuer-ID; BE, BR, NO
		of(isFR, one, "999999x99999999"), of(isFR, strong, "9 99 99 9x 999 999 99"), // FR: NIR
		of(isES, one, "99999999a", "99.999.999-a"), of(isES, strong, "99999999 a"), // ES: DNI
		of(isES, one, "a9999999a"), of(isES, strong, "a 9999999 a"), // ES: NIE
		of(isIT, one, "aaaaaaxxaxxaxxxa"), of(isIT, weak, "aaaaaa xxaxx axxxa"), // IT: codice fiscale
		of(isBR, one, "999.999.999-99", "999999999-99"), of(isBR, strong, "999 999 999 99"), // BR: CPF
		of(isCL, one, "99.999.999-x", "9.999.999-x", "99999999-x", "9999999-x"), // CL: RUT
		of(isMX, one, "aaaa999999aaaaaax9"),                                     // MX: CURP
		of(isIN, strong, "9999 9999 9999"), of(nil, one, "AAAPA9999A"),          // IN: Aadhaar, PAN of a person
		of(isCN, one, "99999999999999999x"), of(isCN, weak, "999999 99999999 999x"), // CN: resident identity number
		of(isKR, weak, "999999 9999999"),                                     // KR: RRN
		of(isSE, one, "999999-9999", "99999999-9999", "999999+9999"),         // SE: personnummer
		of(isFI, one, "999999-999x", "999999+999x", "999999a999x"),           // FI: henkilötunnus
		of(isCH, one, "7569999999999"), of(isCH, strong, "756 9999 9999 99"), // CH: AHV
		of(isBE, one, "99.99.99-999.99"), of(isBE, strong, "99 99 99 999 99"), // BE: Rijksregister
		of(isNO, weak, "999999 99999"), // NO: fødselsnummer
	)
}

// isElevenDigits takes the numbers of eleven digits that are written in one. Each of the
// checks lets one number in a hundred pass, or fewer.
func isElevenDigits(c code) bool { return isDE(c) || isBE(c) || isBR(c) || isNO(c) }

// isUS knows what is never given out (SSA, POMS RM 10201.035), and the groups of an ITIN
// (IRS, Publication 1915).
func isUS(code code) bool {
	c := code.bytes()
	area, group := number(c[:3]), number(c[3:5])
	if area >= 900 {
		return 50 <= group && group <= 65 || 70 <= group && group <= 88 || 90 <= group && group != 93
	}
	return area != 0 && area != 666 && group != 0 && number(c[5:]) != 0
}

// isCA: no number begins with 0 or 8.
func isCA(code code) bool {
	c := code.bytes()
	return c[0] != '0' && c[0] != '8' && luhn(c)
}

// isGB knows the prefixes that are given out (HMRC, NIM39110).
func isGB(code code) bool {
	c := code.bytes()
	if strings.IndexByte("DFIQUV", c[0]) >= 0 || strings.IndexByte("DFIQUVO", c[1]) >= 0 || c[8] > 'D' {
		return false
	}
	switch string(c[:2]) {
	case "BG", "GB", "KN", "NK", "NT", "TN", "ZZ":
		return false
	}
	return true
}

// isDE: of the first ten digits exactly one comes twice or three times, and the last
// is that of ISO 7064 MOD 11,10 (section 139b AO).
func isDE(code code) bool {
	c := code.bytes()
	var times [10]int
	for _, d := range c[:10] {
		times[d-'0']++
	}
	repeated := 0
	for _, n := range times {
		if n > 3 {
			return false
		}
		if n > 1 {
			repeated++
		}
	}
	if c[0] == '0' || repeated != 1 {
		return false
	}
	product := 10
	for _, d := range c[:10] {
		sum := (int(d-'0') + product) % 10
		if sum == 0 {
			sum = 10
		}
		product = sum * 2 % 11
	}
	return (11-product)%10 == int(c[10]-'0')
}

// isFR: sex, year, month, and a key modulo 97; Corsica is 2A and 2B.
func isFR(code code) bool {
	c := code.bytes()
	var plain [15]byte
	copy(plain[:], c)
	switch string(c[5:7]) {
	case "2A":
		plain[5], plain[6] = '1', '9'
	case "2B":
		plain[5], plain[6] = '1', '8'
	}
	for _, d := range plain {
		if !isDigit(d) {
			return false
		}
	}
	month := number(plain[3:5])
	return (c[0] == '1' || c[0] == '2') && (1 <= month && month <= 12 || month == 20) &&
		97-number(plain[:13])%97 == number(plain[13:])
}

// isES: the last letter is the number modulo 23; the first of a foreigner is a digit.
func isES(code code) bool {
	c := code.bytes()
	n := number(c[:8])
	if !isDigit(c[0]) {
		first := strings.IndexByte("XYZ", c[0])
		if first < 0 {
			return false
		}
		n = int64(first)*1e7 + number(c[1:8])
	}
	return "TRWAGMYFPDXBNJZSQVHLCKE"[n%23] == c[8]
}

// isIT: birth month, and a check letter (D.M. 12 March 1974). Where two persons would have
// the same code, letters stand for some of the digits.
func isIT(code code) bool {
	c := code.bytes()
	const odd = "\x01\x00\x05\x07\x09\x0d\x0f\x11\x13\x15\x02\x04\x12\x14\x0b\x03\x06\x08\x0c\x0e\x10\x0a\x16\x19\x18\x17"
	if strings.IndexByte("ABCDEHLMPRST", c[8]) < 0 {
		return false
	}
	sum := 0
	for i, b := range c[:15] {
		switch i {
		case 6, 7, 9, 10, 12, 13, 14:
			if !isDigit(b) && strings.IndexByte("LMNPQRSTUV", b) < 0 {
				return false
			}
		}
		n := int(b - 'A')
		if isDigit(b) {
			n = int(b - '0')
		}
		if i%2 == 0 {
			n = int(odd[n])
		}
		sum += n
	}
	return byte('A'+sum%26) == c[15]
}

// isBR: two check digits modulo 11.
func isBR(code code) bool {
	c := code.bytes()
	first := weighted(c, 10, 9, 8, 7, 6, 5, 4, 3, 2) * 10 % 11 % 10
	second := weighted(c, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2) * 10 % 11 % 10
	return first == int(c[9]-'0') && second == int(c[10]-'0') && !uniform(c)
}

// isCL: a check digit modulo 11, of which 10 is K.
func isCL(code code) bool {
	c := code.bytes()
	sum, weight := 0, 2
	for i := len(c) - 2; i >= 0; i-- {
		sum += weight * int(c[i]-'0')
		if weight++; weight > 7 {
			weight = 2
		}
	}
	return "0K987654321"[sum%11] == c[len(c)-1]
}

// isMX: birth date, sex, and a check digit (RENAPO, rules of the CURP). The
// alphabet has an N with a tilde between N and O.
func isMX(code code) bool {
	c := code.bytes()
	if !monthDay(c[6:10]) || strings.IndexByte("HMX", c[10]) < 0 {
		return false
	}
	sum := 0
	for i, b := range c[:17] {
		n := int(b - '0')
		if !isDigit(b) {
			if n = int(b-'A') + 10; b > 'N' {
				n++
			}
		}
		sum += (18 - i) * n
	}
	return (10-sum%10)%10 == int(c[17]-'0')
}

// isIN: a check digit after Verhoeff, and no number begins with 0 or 1 (UIDAI).
func isIN(code code) bool {
	c := code.bytes()
	if c[0] < '2' {
		return false
	}
	check := 0
	for i := range c {
		n := int(c[len(c)-1-i] - '0')
		for range i % 8 {
			n = int("1576283094"[n] - '0')
		}
		check = dihedral(check, n)
	}
	return check == 0
}

// dihedral is the product of two elements of the dihedral group of order 10.
func dihedral(a, b int) int {
	switch {
	case a < 5 && b < 5:
		return (a + b) % 5
	case a < 5:
		return 5 + (a+b)%5
	case b < 5:
		return 5 + (a-b)%5
	}
	return (a - b + 5) % 5
}

// isCN: birth date, and a check character (GB 11643, ISO 7064 MOD 11-2).
func isCN(code code) bool {
	c := code.bytes()
	year := number(c[6:10])
	return c[0] != '0' && 1900 <= year && year < 2100 && monthDay(c[10:14]) &&
		"10X98765432"[weighted(c, 7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)%11] == c[17]
}

// isKR: birth date, and a digit for century and sex. There is no check digit since
// October 2020.
func isKR(code code) bool {
	c := code.bytes()
	return monthDay(c[2:6]) && '1' <= c[6] && c[6] <= '8'
}

// isSE: birth date, to whose day a coordination number adds 60, and Luhn (SFS 1967:822).
func isSE(code code) bool {
	c := code.bytes()
	if len(c) == 12 {
		if century := number(c[:2]); century != 19 && century != 20 {
			return false
		}
		c = c[2:]
	}
	date := [4]byte(c[2:6])
	if date[2] >= '6' {
		date[2] -= 6
	}
	return monthDay(date[:]) && luhn(c)
}

// isFI: birth date, a sign for the century, and a check character modulo 31.
func isFI(code code) bool {
	c := code.bytes()
	var digits [9]byte
	copy(digits[:6], c)
	copy(digits[6:], c[len(c)-4:])
	century := len(c) == 10 || strings.IndexByte("ABCDEFUVWXY", c[6]) >= 0
	return century && dayMonth(c[:4]) && "0123456789ABCDEFHJKLMNPRSTUVWXY"[number(digits[:])%31] == c[len(c)-1]
}

// isCH: an EAN-13.
func isCH(code code) bool { return gs1(code.bytes()) }

// isBE: birth date, and a check number modulo 97, for which a 2 stands in front since
// 2000.
func isBE(code code) bool {
	c := code.bytes()
	n, check := number(c[:9]), number(c[9:])
	month := number(c[2:4])
	return month <= 12 && number(c[4:6]) <= 31 && (97-n%97 == check || 97-(2e9+n)%97 == check)
}

// isNO: birth date, to whose day a D-number adds 40, and two check digits modulo 11.
func isNO(code code) bool {
	c := code.bytes()
	date := [4]byte(c[:4])
	if date[0] >= '4' {
		date[0] -= 4
	}
	return dayMonth(date[:]) && weighted(c, 3, 7, 6, 1, 8, 9, 4, 5, 2, 1)%11 == 0 &&
		weighted(c, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)%11 == 0
}
