package jsonscan

import (
	"bytes"
	"strconv"
)

func isDigit(b []byte, i int) bool { return i < len(b) && b[i]-'0' <= 9 }

func digits(b []byte, i int) int {
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	return i
}

// Number returns the offset one past the number that starts at b[i] (RFC 8259
// section 6).
func Number(b []byte, i int) (end int, err error) {
	start := i
	if i < len(b) && b[i] == '-' {
		i++
	}
	switch {
	case !isDigit(b, i):
		if i == start {
			return 0, Unexpected(b, i, "a value")
		}
		return 0, Unexpected(b, i, "a digit")
	case b[i] == '0':
		i++
		if isDigit(b, i) {
			return 0, &SyntaxError{i, "a digit after a leading zero"}
		}
	default:
		i = digits(b, i+1)
	}
	if i < len(b) && b[i] == '.' {
		if i++; !isDigit(b, i) {
			return 0, Unexpected(b, i, "a digit after the decimal point")
		}
		i = digits(b, i+1)
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if !isDigit(b, i) {
			return 0, Unexpected(b, i, "a digit of the exponent")
		}
		i = digits(b, i+1)
	}
	return i, nil
}

// decimal is a number read as ±0.DDD… × 10^(point+exponent), with neither a
// leading nor a trailing zero among its digits, so that equal numbers have
// equal digits. Zero has no digits, no sign and no exponent.
type decimal struct {
	negative    bool
	whole, frac []byte // the digits, in two pieces
	point       int
	expNegative bool
	exp         []byte // decimal digits without leading zeros, of any length
}

func parseNumber(lit []byte) (d decimal) {
	if lit[0] == '-' {
		d.negative = true
		lit = lit[1:]
	}
	n := digits(lit, 0)
	d.whole, lit = lit[:n], lit[n:]
	if len(lit) > 0 && lit[0] == '.' {
		n = digits(lit, 1)
		d.frac, lit = lit[1:n], lit[n:]
	}
	if len(lit) > 0 { // 'e'
		lit = lit[1:]
		d.expNegative = lit[0] == '-'
		if lit[0] == '-' || lit[0] == '+' {
			lit = lit[1:]
		}
		d.exp = trimLeft(lit)
	}
	d.point = len(d.whole)
	if d.whole[0] == '0' { // it is the only digit: "0.00123" is 0.123e-2
		frac := trimLeft(d.frac)
		d.point = len(frac) - len(d.frac)
		d.whole, d.frac = nil, frac
	}
	if d.frac = trimRight(d.frac); len(d.frac) == 0 {
		d.whole = trimRight(d.whole)
		if len(d.whole) == 0 {
			return decimal{}
		}
	}
	return d
}

func trimLeft(s []byte) []byte {
	for len(s) > 0 && s[0] == '0' {
		s = s[1:]
	}
	return s
}

func trimRight(s []byte) []byte {
	for len(s) > 0 && s[len(s)-1] == '0' {
		s = s[:len(s)-1]
	}
	return s
}

func (d *decimal) zero() bool { return len(d.whole)+len(d.frac) == 0 }

// EqualNumbers reports whether two valid number literals have the same value:
// 1, 1.0, 10e-1 and 100E-2 are equal, and so are 0 and -0. Numbers of any size
// and precision are told apart.
func EqualNumbers(a, b []byte) bool {
	if len(a) == len(b) && bytes.IndexByte(a, '.') == bytes.IndexByte(b, '.') && !hasExponent(a) && !hasExponent(b) {
		return bytes.Equal(a, b) // digits at the same places: they are the same ones, or the values are not
	}
	return CompareNumbers(a, b) == 0
}

func hasExponent(lit []byte) bool {
	for _, c := range lit {
		if c|0x20 == 'e' {
			return true
		}
	}
	return false
}

// CompareNumbers compares two valid number literals by value and returns -1, 0
// or +1. Its time is linear in the length of the literals: exponents are never
// expanded, whatever their size.
func CompareNumbers(a, b []byte) int {
	if bytes.Equal(a, b) {
		return 0
	}
	x, y := parseNumber(a), parseNumber(b)
	switch {
	case x.zero() && y.zero():
		return 0
	case x.zero():
		return -y.sign()
	case y.zero() || x.negative != y.negative:
		return x.sign()
	}
	c := compareExponents(&x, &y)
	if c == 0 {
		c = compareDigits(&x, &y)
	}
	return c * x.sign()
}

// sign returns the sign of a number that is not zero.
func (d *decimal) sign() int {
	if d.negative {
		return -1
	}
	return 1
}

func compareDigits(x, y *decimal) int {
	a, b := x.whole, y.whole
	aNext, bNext := x.frac, y.frac
	for {
		n := min(len(a), len(b))
		if c := bytes.Compare(a[:n], b[:n]); c != 0 {
			return c
		}
		if a = a[n:]; len(a) == 0 {
			a, aNext = aNext, nil
		}
		if b = b[n:]; len(b) == 0 {
			b, bNext = bNext, nil
		}
		if len(a) == 0 || len(b) == 0 {
			return min(len(a), 1) - min(len(b), 1)
		}
	}
}

// enough is more than the points of two numbers can differ by, and small
// enough for ten times its value to fit.
const enough = 1 << 58

// compareExponents compares point+exponent of two numbers: the difference of
// the exponents, which may have any number of digits, is added up from the
// front and given up as soon as the points can no longer make up for it.
func compareExponents(x, y *decimal) int {
	difference := int64(0)
	for k := max(len(x.exp), len(y.exp)); k > 0 && difference < enough && difference > -enough; k-- {
		difference = difference*10 + x.expDigit(k) - y.expDigit(k)
	}
	difference += int64(x.point - y.point)
	switch {
	case difference < 0:
		return -1
	case difference > 0:
		return 1
	}
	return 0
}

// expDigit returns the k-th digit of the exponent counted from its end, from
// 1, with the sign of the exponent.
func (d *decimal) expDigit(k int) int64 {
	if k > len(d.exp) {
		return 0
	}
	v := int64(d.exp[len(d.exp)-k] - '0')
	if d.expNegative {
		return -v
	}
	return v
}

// AppendNumberKey appends a text that is the same for two valid number
// literals exactly where EqualNumbers is true of them: sign, digits and
// exponent in one canonical spelling. Its length is at most some twenty bytes
// over the literal's.
func AppendNumberKey(dst, lit []byte) []byte {
	d := parseNumber(lit)
	if d.zero() {
		return append(dst, '0')
	}
	if d.negative {
		dst = append(dst, '-')
	}
	dst = append(dst, d.whole...)
	dst = append(dst, d.frac...)
	dst = append(dst, 'e')
	if len(d.exp) <= 18 {
		exp := int64(0)
		for k := len(d.exp); k > 0; k-- {
			exp = exp*10 + d.expDigit(k)
		}
		return strconv.AppendInt(dst, exp+int64(d.point), 10)
	}
	// The exponent is over 10^18: the point cannot change its sign, only
	// its last digits.
	point := d.point
	if d.expNegative {
		dst = append(dst, '-')
		point = -point
	}
	dst = append(dst, '0') // room for a carry
	first := len(dst) - 1
	dst = append(dst, d.exp...)
	for k := len(dst) - 1; point != 0; k-- {
		v := int(dst[k]-'0') + point
		point = v / 10
		if v %= 10; v < 0 {
			v += 10
			point--
		}
		dst[k] = '0' + byte(v)
	}
	return append(dst[:first], trimLeft(dst[first:])...)
}
