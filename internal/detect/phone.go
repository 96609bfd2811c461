package detect

import (
	"slices"
	"strings"
)

// phoneForms returns the national ways to write a number whose grouping nothing else has:
// North America, with an area code and an exchange that are given out; the ten digits of
// France; British mobiles. Seven or eleven digits with a hyphen somewhere are a product
// code as often as a phone number: those are for rules that name their place.
func phoneForms() []form {
	return slices.Concat(
		[]form{{Phone, "(999) 999-9999", isNANP}, {Phone, "(999)999-9999", isNANP}, {Phone, "(999) 999 9999", isNANP}},
		grouped(Phone, isNANP, " -.", "999 999 9999", "1 999 999 9999"),
		grouped(Phone, isFrench, " -.", "99 99 99 99 99"),
		grouped(Phone, isBritishMobile, " -", "99999 999999"),
	)
}

// isNANP: neither area code nor exchange begin with 0 or 1, or are like 911 (NANPA).
func isNANP(c code) bool { return isNANPNumber(c.b[c.n-10 : c.n]) }

func isNANPNumber(c []byte) bool {
	return c[0] >= '2' && !hasPrefix(c[1:], "11") && c[3] >= '2' && !hasPrefix(c[4:], "11")
}

func isFrench(c code) bool { return c.b[0] == '0' && c.b[1] != '0' }

// isBritishMobile leaves out pagers and personal numbers, 070 and 076 (Ofcom, National
// Telephone Numbering Plan).
func isBritishMobile(c code) bool {
	return c.b[0] == '0' && c.b[1] == '7' && c.b[2] != '0' && (c.b[2] != '6' || hasPrefix(c.bytes(), "07624"))
}

// callingCodes are the country calling codes (ITU-T E.164 list of assigned codes), each
// with the least and the most digits of the numbers behind it, as the national plans have
// them (ITU, National Numbering Plans): "49:7-11".
const callingCodes = "1:10-10 7:10-10 20:8-10 27:9-9 30:10-10 31:9-9 32:8-9 33:9-9 34:9-9 36:8-9 39:6-12 " +
	"40:9-9 41:9-9 43:7-13 44:9-10 45:8-8 46:7-10 47:8-8 48:9-9 49:7-11 51:8-9 52:10-11 53:8-8 54:10-11 55:10-11 " +
	"56:9-9 57:8-10 58:10-10 60:8-10 61:9-9 62:8-12 63:8-10 64:8-10 65:8-8 66:8-9 81:9-10 82:8-10 84:9-10 86:10-11 " +
	"90:10-10 91:10-10 92:9-10 93:9-9 94:9-9 95:7-10 98:10-10 " +
	"211:9-9 212:9-9 213:8-9 216:8-8 218:8-9 220:7-7 221:9-9 222:8-8 223:8-8 224:8-9 225:8-10 226:8-8 227:8-8 228:8-8 " +
	"229:8-10 230:7-8 231:7-9 232:8-8 233:9-9 234:8-10 235:8-8 236:8-8 237:8-9 238:7-7 239:7-7 240:9-9 241:7-8 242:9-9 " +
	"243:7-9 244:9-9 245:7-9 246:7-7 247:4-6 248:7-7 249:9-9 250:8-9 251:9-9 252:6-9 253:8-8 254:9-9 255:9-9 256:9-9 " +
	"257:8-8 258:8-9 260:9-9 261:9-9 262:9-9 263:5-10 264:8-9 265:7-9 266:8-8 267:7-8 268:8-9 269:7-7 290:4-5 291:7-7 " +
	"297:7-7 298:6-6 299:6-6 350:8-8 351:9-9 352:4-11 353:7-9 354:7-9 355:6-9 356:8-8 357:8-8 358:7-11 359:7-9 " +
	"370:8-8 371:8-8 372:7-8 373:8-8 374:8-8 375:9-9 376:6-9 377:8-9 378:6-10 379:6-11 380:9-9 381:7-10 382:8-9 383:8-9 " +
	"385:8-9 386:8-8 387:8-9 389:8-8 420:9-9 421:9-9 423:7-9 500:5-5 501:7-7 502:8-8 503:8-8 504:8-8 505:8-8 506:8-8 " +
	"507:7-8 508:6-9 509:8-8 590:9-9 591:8-8 592:7-7 593:8-9 594:9-9 595:9-9 596:9-9 597:6-7 598:8-8 599:7-8 670:7-8 " +
	"672:5-6 673:7-7 674:7-7 675:7-8 676:5-7 677:5-7 678:5-7 679:7-7 680:7-7 681:6-9 682:5-5 683:4-7 685:5-10 686:5-8 " +
	"687:6-6 688:5-7 689:6-9 690:4-7 691:7-7 692:7-7 800:8-8 808:8-8 850:8-10 852:8-8 853:8-8 855:8-9 856:8-10 870:9-12 " +
	"878:10-12 880:8-10 881:8-10 882:7-12 883:7-12 886:8-10 888:7-12 960:7-7 961:7-8 962:8-9 963:8-9 964:8-10 965:8-8 " +
	"966:8-9 967:7-9 968:7-8 970:8-9 971:8-9 972:8-9 973:8-8 974:8-8 975:7-8 976:8-8 977:8-10 979:9-9 992:9-9 993:8-8 " +
	"994:9-9 995:9-9 996:9-9 998:9-9"

// digitsBehind are the least and the most digits behind each calling code; none where the
// most is 0.
var digitsBehind = func() (by [1000][2]uint8) {
	for _, entry := range strings.Fields(callingCodes) {
		code, counts, _ := strings.Cut(entry, ":")
		least, most, _ := strings.Cut(counts, "-")
		by[number([]byte(code))] = [2]uint8{uint8(number([]byte(least))), uint8(number([]byte(most)))}
	}
	return by
}()

// phone returns where the international number (ITU-T E.123) that begins with the '+' at
// start ends, or 0. Between its digits may stand a space, tab, hyphen, dot or slash, of the last
// three always the same, and parentheses; a "(0)" does not count. Of digits that go on
// after a space as many groups are taken as make a number.
func (s *scanner) phone(start int) int {
	if start > 0 && (isWord(s.text[start-1]) || s.text[start-1] == '.') {
		return 0
	}
	var digits [15]byte // the most that E.164 allows
	var groups [len(digits)]struct{ digits, end int }
	n, last, between := 0, -1, 2
	var sign byte
scan:
	for at := start + 1; at < len(s.text); at++ {
		c := s.text[at]
		switch {
		case isDigit(c):
			if n == len(digits) {
				break scan
			}
			if between > 0 {
				last++
			}
			digits[n] = c
			n++
			groups[last].digits, groups[last].end, between = n, at+1, 0
			continue
		case hasPrefix(s.text[at:], "(0)") && last == 0:
			at += len("(0)") - 1
			continue
		case c == '-' || c == '.' || c == '/':
			if sign != 0 && sign != c {
				break scan
			}
			sign = c
		case c != ' ' && c != '\t' && c != '(' && c != ')':
			break scan
		}
		if between++; between > 2 {
			break
		}
	}
	for ; last >= 0; last-- {
		if g := groups[last]; isInternational(digits[:g.digits]) && s.ends(g.end) {
			return g.end
		}
	}
	return 0
}

// ends reports whether a phone number may end there: not in the middle of digits, before the
// fraction of a number, or as a term of a sum.
func (s *scanner) ends(end int) bool {
	if end == len(s.text) {
		return true
	}
	c := s.text[end]
	return !isDigit(c) && c != '+' && (c != '.' || s.behind(end) != joined)
}

// isInternational reports whether a number has a calling code, and as many digits behind it
// as that country has.
func isInternational(digits []byte) bool {
	if digits[0] == '0' {
		return false
	}
	for n := min(len(digits), 3); n > 0; n-- {
		if counts := digitsBehind[number(digits[:n])]; counts[1] > 0 {
			behind := digits[n:]
			return int(counts[0]) <= len(behind) && len(behind) <= int(counts[1]) && !uniform(behind) &&
				(digits[0] != '1' || isNANPNumber(behind))
		}
	}
	return false
}
