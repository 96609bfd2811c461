package detect

// ibanLengths are the lengths of the account numbers of each country, as "CC" and a byte
// (SWIFT, IBAN Registry, ISO 13616).
const ibanLengths = "" +
	"AD\x18AE\x17AL\x1cAT\x14AZ\x1cBA\x14BE\x10BG\x16BH\x16BI\x1bBR\x1dBY\x1cCH\x15CR\x16CY\x1cCZ\x18DE\x16DJ\x1b" +
	"DK\x12DO\x1cEE\x14EG\x1dES\x18FI\x12FK\x12FO\x12FR\x1bGB\x16GE\x16GI\x17GL\x12GR\x1bGT\x1cHN\x1cHR\x15HU\x1c" +
	"IE\x16IL\x17IQ\x17IS\x1aIT\x1bJO\x1eKW\x1eKZ\x14LB\x1cLC\x20LI\x15LT\x14LU\x14LV\x15LY\x19MC\x1bMD\x18ME\x16" +
	"MK\x13MN\x14MR\x1bMT\x1fMU\x1eNI\x1cNL\x12NO\x0fOM\x17PK\x18PL\x1cPS\x1dPT\x19QA\x1dRO\x18RS\x16RU\x21SA\x18" +
	"SC\x1fSD\x12SE\x18SI\x13SK\x18SM\x1bSO\x17ST\x19SV\x1cTL\x17TN\x18TR\x1aUA\x1dVA\x16VG\x18XK\x14YE\x1e"

// iban returns where the account number at start ends, or 0: two letters of a country, its
// length, and a remainder of 1 modulo 97 (ISO 7064). It may be written in one, or in groups
// of four with spaces, hyphens or dots, in upper or in lower case. Its length is known, so
// that whatever follows one in upper case is not a part of it.
func (s *scanner) iban(start int) int {
	small := classes[s.text[start]] == lower
	country := [2]byte{s.text[start], s.text[start+1]}
	if small {
		country[0] -= 'a' - 'A'
		country[1] -= 'a' - 'A'
	}
	length := 0
	for rest := ibanLengths; rest != ""; rest = rest[3:] {
		if rest[0] == country[0] && rest[1] == country[1] {
			length = int(rest[2])
			break
		}
	}
	if length == 0 {
		return 0
	}
	var c [34]byte
	var between byte
	n, at := 0, start
	for ; n < length && at < len(s.text); at++ {
		b := s.text[at]
		switch {
		case isDigit(b) || isUpper(b) && !small:
		case classes[b] == lower && small:
			b -= 'a' - 'A'
		case (b == ' ' || b == '-' || b == '.' || b == '\t') && n%4 == 0 && n > 0 && (between == b || n == 4 && between == 0) && s.text[at-1] != b:
			between = b
			continue
		default:
			return 0
		}
		if between != 0 && n%4 == 0 && s.text[at-1] != between {
			return 0
		}
		c[n] = b
		n++
	}
	if n < length || !isDigit(c[2]) || !isDigit(c[3]) || s.before(start) == joined || small && at < len(s.text) && isWord(s.text[at]) {
		return 0
	}
	remainder := 0
	for i := range length {
		if b := c[(i+4)%length]; isDigit(b) {
			remainder = (remainder*10 + int(b-'0')) % 97
		} else {
			remainder = (remainder*100 + int(b-'A') + 10) % 97
		}
	}
	if remainder != 1 {
		return 0
	}
	return at
}
