package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/goshadow/shadow/internal/bench/measure"
)

// expectation is which answers to a hard case are right.
type expectation string

const (
	equal    expectation = "equal"
	differ   expectation = "differ"
	notEqual expectation = "not equal" // refused, or different
)

// met says whether an answer is right.
func (e expectation) met(answer string) bool {
	switch e {
	case equal:
		return answer == "equal"
	case differ:
		return answer == "differ"
	default:
		return answer == "differ" || answer == "refused"
	}
}

// hardCase is a pair of documents that comparisons get wrong. What is right is what RFC
// 8259 and the mathematics of numbers say, and where RFC 8259 leaves it open what loses
// nothing: strings that are not Unicode and names that occur twice are what they are.
type hardCase struct {
	name string
	a, b string
	want expectation
}

var hardCases = []hardCase{
	{"2^53+1 and 2^53", `{"id":9007199254740993}`, `{"id":9007199254740992}`, differ},
	{"-(2^53+1) and -2^53", `[-9007199254740993]`, `[-9007199254740992]`, differ},
	{"the last 64-bit integers", `18446744073709551615`, `18446744073709551614`, differ},
	{"beyond 64 bits", `36893488147419103232`, `36893488147419103233`, differ},
	{"forty digits", `0.1000000000000000000000000000000000000001`, `0.1`, differ},
	{"1 and 1.0", `{"n":1}`, `{"n":1.0}`, equal},
	{"1 and 1e0", `[1]`, `[1e0]`, equal},
	{"100 and 1E+2", `100`, `1E+2`, equal},
	{"0.01 and 1e-2", `0.01`, `1e-2`, equal},
	{"0 and -0", `0`, `-0`, equal},
	{"0 and 0e5", `0`, `0e5`, equal},
	{"1e400 and 1e401", `1e400`, `1e401`, differ},
	{"1e400 and 10e399", `1e400`, `10e399`, equal},
	{"1e400, other white space", `[1e400]`, `[ 1e400 ]`, equal},
	{"1e-400 and 0", `1e-400`, `0`, differ},
	{"1e999999999 and 1e999999998", `1e999999999`, `1e999999998`, differ},
	{"1e999999999 and 10e999999998", `1e999999999`, `10e999999998`, equal},
	{"an exponent beyond 64 bits", `1e99999999999999999999`, `1e99999999999999999998`, differ},

	{"an escaped letter", `"a"`, `"\u0061"`, equal},
	{"an escaped slash", `"a/b"`, `"a\/b"`, equal},
	{"an escaped pair of surrogates", `"\ud83d\ude00"`, `"😀"`, equal},
	{"hexadecimal digits in capitals", `"\u00E9"`, `"\u00e9"`, equal},
	{"two lone surrogates", `"\ud83d"`, `"\ud83e"`, differ},
	{"a lone surrogate, other white space", `["\ud83d"]`, `[ "\ud83d"]`, equal},
	{"a lone surrogate and U+FFFD", `"\ud83d"`, `"\ufffd"`, differ},
	{"surrogates the wrong way round", `"\ude00\ud83d"`, `"\ud83d\ude00"`, differ},
	{"bytes that are not UTF-8", "\"\xff\"", "\"\xfe\"", notEqual},
	{"a byte that is not UTF-8 and U+FFFD", "\"\xff\"", "\"\ufffd\"", notEqual},
	{"composed and decomposed", `"é"`, `"e\u0301"`, differ},
	{"U+0000 at the end", `"a\u0000"`, `"a"`, differ},
	{"HTML in strings", `"<"`, `"\u003c"`, equal},

	{"members in another order", `{"a":1,"b":2}`, `{"b":2,"a":1}`, equal},
	{"an escaped name", `{"a":1}`, `{"\u0061":1}`, equal},
	{"a name twice and once", `{"a":1,"a":1}`, `{"a":1}`, differ},
	{"the last of a name is the same", `{"a":1,"a":2}`, `{"a":2}`, differ},
	{"the first of a name is the same", `{"a":1,"a":2}`, `{"a":1}`, differ},
	{"a name twice, in another order", `{"a":1,"a":2}`, `{"a":2,"a":1}`, differ},
	{"a name twice, other white space", `{"a":1,"a":2}`, `{"a":1, "a":2}`, equal},
	{"null and absent", `{"a":null}`, `{}`, differ},
	{"the empty name", `{"":1}`, `{}`, differ},
	{"names in capitals", `{"a":1}`, `{"A":1}`, differ},
	{"names with lone surrogates", `{"\ud83d":1}`, `{"\ud83e":1}`, differ},
	{"names that look like paths", `{"a/b":1}`, `{"a":{"b":1}}`, differ},
	{"the name __proto__", `{"__proto__":1}`, `{}`, differ},

	{"null and false", `null`, `false`, differ},
	{"null and an empty array", `{"a":null}`, `{"a":[]}`, differ},
	{"an empty object and an empty array", `{}`, `[]`, differ},
	{"a number and its text", `1`, `"1"`, differ},
	{"true and 1", `true`, `1`, differ},
	{"an array of null and an empty one", `[null]`, `[]`, differ},
	{"elements in another order", `[1,2]`, `[2,1]`, differ},
	{"a scalar, other white space", `1`, "\t1\r\n", equal},

	{"a leading zero", `[1]`, `[01]`, notEqual},
	{"a plus sign", `[1]`, `[+1]`, notEqual},
	{"a bare fraction", `[1]`, `[1.]`, notEqual},
	{"NaN", `[1]`, `[NaN]`, notEqual},
	{"a trailing comma", `[1]`, `[1,]`, notEqual},
	{"a comment", `[1]`, `[1]//`, notEqual},
	{"a second value", `[1]`, `[1][1]`, notEqual},
	{"a second value, cut short", `[1]`, `[1] [`, notEqual},
	{"a raw line feed in a string", `"\n"`, "\"\n\"", notEqual},
	{"a byte order mark", `[1]`, "\ufeff[1]", notEqual},
	{"cut short", `{"a":1}`, `{"a":1`, notEqual},
	{"empty", `null`, ``, notEqual},

	{"5,000 levels, other white space", strings.Repeat("[", 5000) + strings.Repeat("]", 5000), strings.Repeat("[", 5000) + " " + strings.Repeat("]", 5000), equal},
	{"8 MB of [ and of {", strings.Repeat("[", 8<<20), strings.Repeat(`{"":`, 2<<20), notEqual},
	{"50,000 members, reversed", manyMembers(50_000, 1), manyMembers(50_000, -1), equal},
	{"20,000 times one name, the last differs", "{" + strings.Repeat(`"a":1,`, 20_000) + `"a":1}`,
		"{" + strings.Repeat(`"a":1,`, 20_000) + `"a":2}`, differ},
}

// manyMembers returns an object of n members in the order that step says.
func manyMembers(n, step int) string {
	var b strings.Builder
	for i := range n {
		b.WriteByte(",{"[max(0, 1-i)])
		fmt.Fprintf(&b, `"member-%d":%d`, (step*i+n-1)%n, (step*i+n-1)%n)
	}
	return b.String() + "}"
}

// exact prints who answers the hard cases how. Each question is asked in a process of its
// own, so that one that dies or hangs of it says so.
func exact(w io.Writer) error {
	t := measure.Table{Title: fmt.Sprintf("Answers to %d hard cases (✓ is right)", len(hardCases)), Columns: []string{"case", "right is"}}
	for _, p := range exactPeers {
		t.Columns = append(t.Columns, p.name)
	}
	wrong := make([]map[string]int, len(exactPeers)) // answers
	for p := range wrong {
		wrong[p] = map[string]int{}
	}
	for c, of := range hardCases {
		row := []any{of.name, string(of.want)}
		for p := range exactPeers {
			answer, err := ask(p, c)
			if err != nil {
				return err
			}
			if of.want.met(answer) {
				answer = "✓"
			} else {
				wrong[p][answer]++
			}
			row = append(row, answer)
		}
		t.Add(row...)
	}
	addSum := func(name string, of func(answer string) bool) {
		row := []any{name, ""}
		for _, answers := range wrong {
			n := 0
			for answer, times := range answers {
				if of(answer) {
					n += times
				}
			}
			row = append(row, n)
		}
		t.Add(row...)
	}
	addSum("differences overlooked", func(answer string) bool { return answer == "equal" })
	addSum("false alarms", func(answer string) bool { return answer == "differ" })
	addSum("no answer", func(answer string) bool { return answer != "equal" && answer != "differ" })
	return t.Fprint(w)
}

// patience is how long an answer may take.
const patience = 10 * time.Second

// ask returns the answer of a peer to a case, from a process of its own.
func ask(p, c int) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	answer, err := exec.CommandContext(ctx, self, "-answer", fmt.Sprintf("%d,%d", p, c)).Output()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return "hangs", nil
	case errors.As(err, &exit):
		return "dies", nil
	}
	return string(answer), err
}

// answer prints the answer that ask wants.
func answer(w io.Writer, question string) error {
	first, second, _ := strings.Cut(question, ",")
	p, err := strconv.Atoi(first)
	if err != nil || p < 0 || p >= len(exactPeers) {
		return fmt.Errorf("no peer %q", first)
	}
	c, err := strconv.Atoi(second)
	if err != nil || c < 0 || c >= len(hardCases) {
		return fmt.Errorf("no case %q", second)
	}
	_, err = io.WriteString(w, exactPeers[p].answer(hardCases[c]))
	return err
}

// answer says what p makes of c.
func (p peer) answer(c hardCase) string {
	a, b := []byte(c.a), []byte(c.b)
	compare, err := p.prepare(rules{}, a)
	if err != nil {
		return err.Error()
	}
	same, err := compare(a, b)
	back, backErr := compare(b, a)
	switch {
	case !bytes.Equal(a, []byte(c.a)) || !bytes.Equal(b, []byte(c.b)):
		return "writes into its input"
	case same != back || (err == nil) != (backErr == nil):
		return "depends on the side"
	case err != nil:
		return "refused"
	case same:
		return "equal"
	}
	return "differ"
}
