package gate

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// noun is a word for one and for many.
type noun struct{ one, many string }

var comparisons = noun{"comparison", "comparisons"}

func (n noun) count(k uint64) string {
	if k == 1 {
		return "1 " + n.one
	}
	return thousands(k) + " " + n.many
}

func times(n uint64) string {
	switch n {
	case 0:
		return "never"
	case 1:
		return "once"
	}
	return thousands(n) + " times"
}

// thousands writes 1234567 as 1,234,567.
func thousands(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// rounding is where to a number is rounded: a bound never to the wrong side.
type rounding int

const (
	down    rounding = -1
	nearest rounding = 0
	up      rounding = 1
)

// three writes x with three significant digits.
func three(x float64, r rounding) string {
	if x == 0 || math.IsInf(x, 0) || math.IsNaN(x) {
		return strconv.FormatFloat(x, 'f', -1, 64)
	}
	unit := math.Pow(10, math.Floor(math.Log10(math.Abs(x)))-2)
	n := x / unit
	switch {
	case math.Abs(n-math.Round(n)) < 1e-6: // as it is, but for the last bits
		n = math.Round(n)
	case r == up:
		n = math.Ceil(n)
	case r == down:
		n = math.Floor(n)
	default:
		n = math.Round(n)
	}
	// The product may have a digit too many at its end: go by the decimal digits.
	short, _ := strconv.ParseFloat(strconv.FormatFloat(n*unit, 'g', 10, 64), 64)
	return strconv.FormatFloat(short, 'f', -1, 64)
}

// percent writes a share.
func percent(share float64, r rounding) string { return three(100*share, r) + " %" }

// latency writes seconds as a duration.
func latency(s float64) string {
	if s >= math.MaxInt64/1e9 {
		return three(s, nearest) + "s"
	}
	return round(time.Duration(s * 1e9)).String()
}

// round leaves d about three digits.
func round(d time.Duration) time.Duration {
	switch size := d.Abs(); {
	case size >= time.Minute:
		return d.Round(time.Second)
	case size >= 10*time.Second:
		return d.Round(100 * time.Millisecond)
	}
	unit := time.Duration(1)
	for d.Abs()/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit)
}

// String describes d for a person: the summary, and a line for each check.
func (d Decision) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", strings.ToUpper(string(d.Verdict)), d.Summary)
	width := 0
	for _, c := range d.Checks {
		width = max(width, len([]rune(c.title())))
	}
	for _, c := range d.Checks {
		title := c.title()
		fmt.Fprintf(&b, "  %-12s  %s%s  %s\n", c.Verdict, title, strings.Repeat(" ", width-len([]rune(title))), c.Reason)
	}
	return b.String()
}
