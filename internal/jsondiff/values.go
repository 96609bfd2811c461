package jsondiff

import (
	"bytes"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/goshadow/shadow/internal/jsonscan"
)

// typeOf returns a byte that stands for the type of a value by its first one.
func typeOf(lit []byte) byte {
	switch c := lit[0]; c {
	case '{', '[', '"', 'n':
		return c
	case 't', 'f':
		return 't'
	}
	return '0'
}

// compareValues compares two values that are not both objects or both arrays,
// with the tolerance that applies to them.
func (s *comparison) compareValues(a, b []byte, e *effect) (kind Kind, same bool) {
	switch {
	case typeOf(a) != typeOf(b):
		return TypeChanged, false
	case equalScalars(a, b):
		return Changed, true
	case e.tolerance >= 0 && s.c.tolerances[e.tolerance-s.c.paths.keyed].allows(a, b):
		s.took(e.tolerance)
		return Changed, true
	}
	return Changed, false
}

// equalScalars compares two strings, numbers or literals.
func equalScalars(a, b []byte) bool {
	switch t := typeOf(a); {
	case bytes.Equal(a, b):
		return true
	case t != typeOf(b):
		return false
	case t == '"':
		return jsonscan.EqualStrings(a, b)
	case t == '0':
		return jsonscan.EqualNumbers(a, b)
	}
	return false
}

// tolerance is a Tolerance with its bounds as the decimals that they print as.
type tolerance struct {
	abs, rel   float64
	bound      *big.Rat // abs, nil where it is 0
	proportion *big.Rat // rel, nil where it is 0
	time       time.Duration
}

func newTolerance(t Tolerance) tolerance {
	n := tolerance{time: max(t.Time, 0)}
	n.abs, n.bound = bound(t.Abs)
	n.rel, n.proportion = bound(t.Rel)
	return n
}

func bound(f float64) (float64, *big.Rat) {
	if !(f > 0) {
		return 0, nil
	}
	f = min(f, math.MaxFloat64)
	r, _ := new(big.Rat).SetString(strconv.FormatFloat(f, 'g', -1, 64))
	return f, r
}

// nearness says in what way a tolerance applies to a value.
type nearness uint8

const (
	exactly nearness = iota // it does not
	asNumber
	asTime
)

// kind says how the tolerance applies to a scalar, and where the value is on
// the line on which near ones are neighbours.
func (t *tolerance) kind(lit []byte) (nearness, float64) {
	switch typeOf(lit) {
	case '0':
		if t.bound != nil || t.proportion != nil || t.time > 0 {
			f, _ := strconv.ParseFloat(string(lit), 64)
			return asNumber, f
		}
	case '"':
		if at, ok := parseTime(lit); ok && t.time > 0 {
			return asTime, float64(at.UnixNano())
		}
	}
	return exactly, 0
}

// allows reports whether two scalars of the same type, which are not equal,
// are within the tolerance.
func (t *tolerance) allows(a, b []byte) bool {
	switch typeOf(a) {
	case '0':
		return t.allowsNumbers(a, b) || t.time > 0 && t.allowsEpochs(a, b)
	case '"':
		if t.time > 0 {
			x, ok := parseTime(a)
			y, also := parseTime(b)
			return ok && also && x.Sub(y).Abs() <= t.time
		}
	}
	return false
}

// parseTime reads an RFC 3339 string by its value: escapes, t and z in lower case
// and leap seconds are read too, the latter as the second after them.
func parseTime(lit []byte) (at time.Time, ok bool) {
	const least, most = len("2006-01-02T15:04:05Z"), 64
	if len(lit) < least+2 || len(lit) > 6*most {
		return at, false
	}
	var room [6 * most]byte
	text := jsonscan.AppendUnquote(room[:0], lit)
	if len(text) < least || len(text) > most || text[4] != '-' || text[16] != ':' {
		return at, false
	}
	for _, i := range [...]int{len("2006-01-02"), len(text) - 1} {
		if c := text[i]; c == 't' || c == 'z' {
			text[i] = c - 'a' + 'A'
		}
	}
	leap := text[17] == '6' && text[18] == '0'
	if leap {
		text[17], text[18] = '5', '9'
	}
	if at.UnmarshalText(text) != nil {
		return at, false
	}
	if leap {
		at = at.Add(time.Second)
	}
	return at, true
}

// allowsNumbers decides in float64 where rounding cannot change the verdict,
// and exactly where it can.
func (t *tolerance) allowsNumbers(a, b []byte) bool {
	if t.bound == nil && t.proportion == nil {
		return false
	}
	x, errX := strconv.ParseFloat(string(a), 64)
	y, errY := strconv.ParseFloat(string(b), 64)
	if errX != nil || errY != nil {
		return t.allowsExact(a, b)
	}
	size := max(math.Abs(x), math.Abs(y))
	limit := max(t.abs, t.rel*size)
	difference := math.Abs(x - y)
	const ulps = 8 * 0x1p-53
	doubt := ulps*(size+difference+limit) + 0x1p-1070
	switch {
	case difference+doubt < limit:
		return true
	case difference-doubt > limit:
		return false
	}
	return t.allowsExact(a, b)
}

// maxExpand is the most digits that a number is expanded to. Two numbers that
// need more are far apart, or agree in thousands of digits and are not near but
// for the last: they count as not within a tolerance.
const maxExpand = 5000

func (t *tolerance) allowsExact(a, b []byte) bool {
	// Numbers beyond float64 are brought down together, which a relative
	// bound does not mind; an absolute one cannot reach between them unless
	// they are that close.
	x, y, ok := expand(a, b)
	if !ok {
		return false
	}
	difference := new(big.Rat).Sub(x, y)
	difference.Abs(difference)
	if t.bound != nil && difference.Cmp(t.bound) <= 0 {
		return true
	}
	if t.proportion == nil {
		return false
	}
	size := x.Abs(x)
	if y.Abs(y).Cmp(size) > 0 {
		size = y
	}
	return difference.Cmp(size.Mul(size, t.proportion)) <= 0
}

// expand returns the exact values of two number literals that are short
// enough.
func expand(a, b []byte) (x, y *big.Rat, ok bool) {
	if len(a) > maxExpand || len(b) > maxExpand || !smallExponent(a) || !smallExponent(b) {
		return nil, nil, false
	}
	x, okX := new(big.Rat).SetString(string(a))
	y, okY := new(big.Rat).SetString(string(b))
	return x, y, okX && okY
}

// smallExponent reports whether a number literal has an exponent of at most
// maxExpand either way.
func smallExponent(lit []byte) bool {
	_, exp, found := strings.Cut(strings.ToLower(string(lit)), "e")
	if !found {
		return true
	}
	n, err := strconv.Atoi(exp)
	return err == nil && -maxExpand <= n && n <= maxExpand
}

// allowsEpochs compares two numbers that count the same unit since 1970.
func (t *tolerance) allowsEpochs(a, b []byte) bool {
	x, errX := strconv.ParseFloat(string(a), 64)
	y, errY := strconv.ParseFloat(string(b), 64)
	unit := epochUnit(x)
	if errX != nil || errY != nil || unit == 0 || unit != epochUnit(y) {
		return false
	}
	exact := tolerance{bound: big.NewRat(int64(t.time), int64(unit))}
	return exact.allowsExact(a, b)
}

// epochUnit returns what a number of that magnitude counts if it is a time
// after April 1970 and before the year 5138; 0 if it is too small or too large
// for one.
func epochUnit(x float64) time.Duration {
	switch x = math.Abs(x); {
	case x < 1e7:
		return 0
	case x < 1e11:
		return time.Second
	case x < 1e14:
		return time.Millisecond
	case x < 1e17:
		return time.Microsecond
	case x < 1e20:
		return time.Nanosecond
	}
	return 0
}

// perSecond returns how many of a unit are in a second.
func perSecond(unit time.Duration) float64 { return float64(time.Second / unit) }
