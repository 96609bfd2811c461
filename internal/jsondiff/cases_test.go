package jsondiff

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// hardCases are pairs that JSON comparisons get wrong.
var hardCases = []struct {
	name, a, b string
	equal      bool
}{
	// Numbers.
	{"integers over 2^53", `9007199254740993`, `9007199254740992`, false},
	{"an ID in the 64th bit", `{"id":18446744073709551615}`, `{"id":18446744073709551614}`, false},
	{"integers over 2^64", `18446744073709551616`, `18446744073709551617`, false},
	{"negative integers over 2^53", `-9007199254740993`, `-9007199254740992`, false},
	{"many digits", `0.1000000000000000000000000000000000000001`, `0.1`, false},
	{"1 and 1.0", `1`, `1.0`, true},
	{"1 and 1e0", `1`, `1e0`, true},
	{"100 and 1E2", `100`, `1E2`, true},
	{"1e-2 and 0.01", `1e-2`, `0.01`, true},
	{"trailing zeros", `1.50`, `1.5000`, true},
	{"minus zero", `-0`, `0`, true},
	{"minus zero with a fraction", `-0.0e5`, `0`, true},
	{"beyond float64", `1e400`, `1e401`, false},
	{"beyond float64, the same", `1e400`, `10e399`, true},
	{"below float64", `1e-400`, `0`, false},
	{"an exponent that fills memory", `1e999999999`, `1e999999998`, false},
	{"an exponent that fills memory, the same", `1e999999999`, `10e999999998`, true},
	{"an exponent over 64 bits", `1e99999999999999999999`, `1e99999999999999999998`, false},
	{"an exponent over 64 bits, the same", `1e99999999999999999999`, `0.1e100000000000000000000`, true},
	{"a prefix of a number", `[1]`, `[12]`, false},
	{"a prefix with a fraction", `[1]`, `[1.5]`, false},
	{"a prefix with an exponent", `[1,2]`, `[1e1,2]`, false},
	{"the same number before other text", `{"a":1 }`, `{"a":1}`, true},

	// Strings.
	{"an escaped letter", `"a"`, `"\u0061"`, true},
	{"an escaped slash", `"a/b"`, `"a\/b"`, true},
	{"a surrogate pair", `"\ud83d\ude00"`, `"😀"`, true},
	{"hexadecimal case", `"\u00E9"`, `"\u00e9"`, true},
	{"two lone surrogates", `"\ud83d"`, `"\ud83e"`, false},
	{"a lone surrogate and the replacement character", `"\ud83d"`, `"\ufffd"`, false},
	{"a lone surrogate and its bytes", `"\ud800"`, "\"\xed\xa0\x80\"", false},
	{"surrogates in the wrong order", `"\ude00\ud83d"`, `"\ud83d\ude00"`, false},
	{"two invalid bytes", "\"\xff\"", "\"\xfe\"", false},
	{"an invalid byte and the replacement character", "\"\xff\"", "\"\ufffd\"", false},
	{"the same invalid bytes", "[\"\xff\"]", "[ \"\xff\"]", true},
	{"composed and decomposed", `"é"`, `"e\u0301"`, false},
	{"a zero byte", `"a\u0000"`, `"a"`, false},
	{"case", `"A"`, `"a"`, false},
	{"trailing space", `"a "`, `"a"`, false},
	{"control characters", `"\n"`, `"\u000a"`, true},

	// Objects.
	{"members in another order", `{"a":1,"b":2}`, `{"b":2,"a":1}`, true},
	{"an escaped name", `{"a":1}`, `{"\u0061":1}`, true},
	{"an escaped name in another order", `{"a":1,"b":2}`, `{"b":2,"\u0061":1}`, true},
	{"duplicate names in the same order", `{"a":1,"a":2}`, `{"a":1, "a":2}`, true},
	{"duplicate names in another order", `{"a":1,"a":2}`, `{"a":2,"a":1}`, false},
	{"duplicate names in another order and spelling", `{"b":0,"\u0061":1,"a":2}`, `{"a":2,"b":0,"\u0061":1}`, false},
	{"duplicate names in another spelling", `{"b":0,"\u0061":1,"a":2}`, `{"a":1,"b":0,"\u0061":2}`, true},
	{"duplicate names between others", `{"a":1,"b":0,"a":2}`, `{"b":0,"a":1,"a":2}`, true},
	{"a duplicate and none", `{"a":1,"a":1}`, `{"a":1}`, false},
	{"a duplicate on one side of an object in another order", `{"b":1,"a":2,"b":1}`, `{"a":2,"b":1}`, false},
	{"the last duplicate wins elsewhere", `{"a":1,"a":2}`, `{"a":2}`, false},
	{"null and absent", `{"a":null}`, `{}`, false},
	{"the empty name", `{"":1}`, `{}`, false},
	{"names that differ in case", `{"a":1}`, `{"A":1}`, false},
	{"names with lone surrogates", `{"\ud83d":1}`, `{"\ud83e":1}`, false},
	{"nested in another order", `{"a":{"x":[{"p":1,"q":2}],"y":2}}`, `{"a":{"y":2,"x":[{"q":2,"p":1}]}}`, true},

	// Types.
	{"null and false", `null`, `false`, false},
	{"null and an empty object", `null`, `{}`, false},
	{"an empty object and an empty array", `{}`, `[]`, false},
	{"an empty string and null", `""`, `null`, false},
	{"a number and its text", `1`, `"1"`, false},
	{"true and its text", `true`, `"true"`, false},
	{"true and 1", `true`, `1`, false},
	{"a value and an array of it", `1`, `[1]`, false},
	{"0 and false", `0`, `false`, false},

	// Arrays and layout.
	{"another order", `[1,2]`, `[2,1]`, false},
	{"one more null", `[null]`, `[null,null]`, false},
	{"an empty array in an array", `[[]]`, `[]`, false},
	{"white space", "{\"a\":[1,2]}", "\t{ \"a\" :\r\n[ 1 , 2 ] }\n", true},
	{"a scalar with white space", `1`, " 1\n", true},
}

func TestHardCases(t *testing.T) {
	require.GreaterOrEqual(t, len(hardCases), 54)
	c := New(Options{})
	for _, h := range hardCases {
		r := c.Compare([]byte(h.a), []byte(h.b), "/body")
		assert.NoError(t, r.ErrA, h.name)
		assert.NoError(t, r.ErrB, h.name)
		assert.Equal(t, h.equal, r.Equal(), "%s: %+v", h.name, r)
		assert.NoError(t, check(c, []byte(h.a), []byte(h.b)), h.name)
		// The same inside other containers, where other code decides.
		for _, around := range [][2]string{{`[0,%]`, `[0,%]`}, {`{"x":%,"y":1}`, `{"y":1,"x":%}`}, {`[{"p":[%],"q":0}]`, ` [{"q":0,"p":[%]}]`}} {
			a := strings.Replace(around[0], "%", h.a, 1)
			b := strings.Replace(around[1], "%", h.b, 1)
			r := c.Compare([]byte(a), []byte(b), "")
			assert.Equal(t, h.equal, r.Equal(), "%s in %s: %+v", h.name, around[0], r)
		}
	}
}

func TestBrokenOnOneSideIsOneDifference(t *testing.T) {
	c := New(Options{})
	for _, broken := range []struct {
		doc    string
		offset int
	}{
		{``, 0}, {`{`, 1}, {`{"a":1,}`, 7}, {`{"a":[1,2}`, 9}, {`{"a":01}`, 6}, {`{"a":tru}`, 8},
		{`{"a":1} {`, 8}, {`{"a" 1}`, 5}, {`{"a":"\x"}`, 7}, {`{'a':1}`, 1}, {`{"a":1]`, 6},
		{"{\"a\":\"\n\"}", 6}, {`{"a":NaN}`, 5}, {`<html>`, 0}, {`{"b":1,"a":[}`, 12},
	} {
		for _, valid := range []string{`{"a":1}`, `[]`, `{"a":[1,2],"b":1}`, `1`} {
			r := c.Compare([]byte(broken.doc), []byte(valid), "/body")
			require.Equal(t, []Diff{{Path: "/body", Kind: TypeChanged, A: Span{0, len(broken.doc)}, B: Span{0, len(valid)}}}, r.Diffs, broken.doc)
			assert.NoError(t, r.ErrB)
			assert.ErrorContains(t, r.ErrA, "offset "+itoa(broken.offset), broken.doc)
			assert.NoError(t, mirrored(r, c.Compare([]byte(valid), []byte(broken.doc), "/body")))
		}
	}
}

func TestBrokenOnBothSidesIsLeftToTheCaller(t *testing.T) {
	c := New(Options{})
	for _, p := range [][2]string{{`{`, `[`}, {`[1,]`, ` [1,]`}, {``, ` `}, {`[1,2`, `[1,3`}, {`{"a":1]`, `{"b":1]`}, {`nul`, `null x`}} {
		r := c.Compare([]byte(p[0]), []byte(p[1]), "/body")
		assert.Error(t, r.ErrA, p)
		assert.Error(t, r.ErrB, p)
		assert.Empty(t, r.Diffs, p)
		assert.False(t, r.Equal(), p)
	}
}

func TestAtMostMaxDiffsAreReported(t *testing.T) {
	a, b := []byte(`{"a":1,"b":1,"c":1}`), []byte(`{"a":2,"b":2,"c":2}`)
	for limit, want := range map[int]int{1: 1, 2: 2, 3: 3, 4: 3, 0: 3, -1: 3} {
		r := New(Options{MaxDiffs: limit}).Compare(a, b, "")
		assert.Len(t, r.Diffs, want)
		assert.Equal(t, want < 3, r.More)
	}
	list := func(item string) []byte { return []byte("[" + strings.Repeat(item+",", 150) + "0]") }
	r := New(Options{}).Compare(list("1"), list("2"), "")
	assert.Len(t, r.Diffs, 100)
	assert.True(t, r.More)

	// The limit does not hide that a document is broken after it.
	r = New(Options{MaxDiffs: 1}).Compare(a, append(b, '}'), "")
	assert.Error(t, r.ErrB)
	assert.NoError(t, r.ErrA)
	assert.Equal(t, TypeChanged, r.Diffs[0].Kind)
}

func itoa(n int) string { return strconv.Itoa(n) }

// TestJSONTestSuite compares every document of the suite with itself and with
// others: broken ones are noticed on whichever side they are, valid ones are
// compared as the reference does.
func TestJSONTestSuite(t *testing.T) {
	f, err := os.Open("../jsonscan/testdata/JSONTestSuite.txt")
	require.NoError(t, err)
	defer f.Close()
	c := New(Options{})
	count := 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, quoted, ok := strings.Cut(lines.Text(), "\t")
		if !ok {
			continue
		}
		doc, err := strconv.Unquote(quoted)
		require.NoError(t, err, name)
		count++
		for _, other := range []string{`[1]`, `{"a":"b"}`, doc + " ", "[" + doc + "]", `[1`} {
			assert.NoError(t, check(c, []byte(doc), []byte(other)), name)
		}
	}
	assert.Equal(t, 316, count)
}
