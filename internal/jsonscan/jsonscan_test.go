package jsonscan_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"math/big"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow/internal/jsonscan"
)

// suite yields the cases of JSONTestSuite.
func suite(t testing.TB) map[string][]byte {
	t.Helper()
	f, err := os.Open("testdata/JSONTestSuite.txt")
	require.NoError(t, err)
	defer f.Close()
	cases := map[string][]byte{
		"n_structure_100000_opening_arrays": bytes.Repeat([]byte("["), 100_000),
		"n_structure_open_array_object":     append(bytes.Repeat([]byte(`[{"":`), 50_000), '\n'),
	}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		name, quoted, ok := strings.Cut(lines.Text(), "\t")
		require.True(t, ok, lines.Text())
		doc, err := strconv.Unquote(quoted)
		require.NoError(t, err, name)
		cases[name] = []byte(doc)
	}
	require.Len(t, cases, 318)
	return cases
}

func TestJSONTestSuite(t *testing.T) {
	for name, doc := range suite(t) {
		err := jsonscan.Valid(doc, 0)
		switch name[0] {
		case 'y':
			assert.NoError(t, err, name)
		case 'n':
			assert.Error(t, err, name)
		case 'i':
			// An implementation is free here; encoding/json draws the
			// same line.
			assert.Equal(t, json.Valid(doc), err == nil, "%s: %v", name, err)
		}
	}
}

func TestSyntaxErrorsSayWhere(t *testing.T) {
	for _, c := range []struct {
		doc    string
		offset int
		msg    string
	}{
		{"", 0, "the document ends where a value should be"},
		{" \n", 2, "the document ends where a value should be"},
		{"{} x", 3, `"x" where the end of the document should be`},
		{`{"a" 1}`, 5, `"1" where ":" should be`},
		{`{"a":1,}`, 7, `"}" where a member name should be`},
		{`{"a":1]`, 6, `"]" where "," or "}" should be`},
		{`[1 2]`, 3, `"2" where "," or "]" should be`},
		{`[1,]`, 3, `"]" where a value should be`},
		{`[1`, 2, `the document ends where "," or a closing bracket should be`},
		{`["a`, 3, "the document ends inside a string"},
		{`["a\`, 4, "the document ends inside a string"},
		{`["\x"]`, 3, `"x" where an escape character should be`},
		{`["\u12G4"]`, 6, `"G" where a hexadecimal digit should be`},
		{"[\"a\x01\"]", 3, "a control character inside the string at offset 1"},
		{`[01]`, 2, "a digit after a leading zero"},
		{`[-]`, 2, `"]" where a digit should be`},
		{`[1.]`, 3, `"]" where a digit after the decimal point should be`},
		{`[1e+]`, 4, `"]" where a digit of the exponent should be`},
		{`[nul]`, 4, `"]" where the rest of null should be`},
		{"\ufeff{}", 0, `"\xef" where a value should be`},
	} {
		err := jsonscan.Valid([]byte(c.doc), 0)
		var syntax *jsonscan.SyntaxError
		if assert.ErrorAs(t, err, &syntax, c.doc) {
			assert.Equal(t, jsonscan.SyntaxError{Offset: c.offset, Msg: c.msg}, *syntax, c.doc)
		}
	}
	assert.EqualError(t, jsonscan.Valid([]byte("[1,]"), 0), `invalid JSON at offset 3: "]" where a value should be`)
}

func TestDepthIsBounded(t *testing.T) {
	nested := func(n int) []byte {
		return []byte(strings.Repeat(`[{"a":`, n/2) + "1" + strings.Repeat("}]", n/2))
	}
	for _, depth := range []int{2, 62, 64, 66, 128, 130, 1000} {
		assert.NoError(t, jsonscan.Valid(nested(depth), depth))
		assert.ErrorContains(t, jsonscan.Valid(nested(depth), depth-1), "nested deeper than")
	}
	assert.NoError(t, jsonscan.Valid(nested(jsonscan.DefaultMaxDepth), 0))
	assert.ErrorContains(t, jsonscan.Valid(nested(jsonscan.DefaultMaxDepth+2), 0), "at offset 30000: nested deeper than 10000 levels")
	assert.Error(t, jsonscan.Valid(bytes.Repeat([]byte("["), 8<<20), 1<<30), "8 MB of [ overflow no stack")
	assert.NoError(t, jsonscan.Valid([]byte(strings.Repeat("[", 1<<20)+strings.Repeat("]", 1<<20)), 1<<20))
}

func TestStringsCompareByDecodedValue(t *testing.T) {
	for _, c := range []struct {
		a, b  string
		equal bool
	}{
		{`""`, `""`, true},
		{`"a"`, `"b"`, false},
		{`"a"`, `"ab"`, false},
		{`"a"`, `"\u0061"`, true},
		{`"\n"`, `"\u000A"`, true},
		{`"\/"`, `"/"`, true},
		{`"\u00e9"`, `"é"`, true},
		{`"\u00e9"`, `"e\u0301"`, false}, // composed and decomposed are different code points
		{`"\ud83d\ude00"`, `"😀"`, true},
		{`"\ud83d"`, `"\ud83e"`, false},
		{`"\ud83d"`, `"\uD83D"`, true},
		{`"\ud83d"`, `"\ufffd"`, false},
		{`"\ude00\ud83d"`, `"😀"`, false},
		{`"\ud83d\u0041"`, `"\ud83dA"`, true},
		{`"\ud800"`, "\"\xed\xa0\x80\"", false}, // an escape is not three stray bytes
		{"\"\xff\"", "\"\xfe\"", false},
		{"\"\xff\"", "\"\xff\"", true},
		{"\"\xff\\n\"", "\"\xff\\u000a\"", true},
		{"\"\xff\"", `"\ufffd"`, false},
		{"\"\xff\"", `"\u00ff"`, false},
		{`"\u0000"`, `""`, false},
		{`"a\u0000"`, `"a"`, false},
	} {
		assert.Equal(t, c.equal, jsonscan.EqualStrings([]byte(c.a), []byte(c.b)), "%s %s", c.a, c.b)
		assert.Equal(t, c.equal, jsonscan.EqualStrings([]byte(c.b), []byte(c.a)), "%s %s", c.b, c.a)
	}
}

func TestUnquoteKeepsEveryDistinction(t *testing.T) {
	for lit, want := range map[string]string{
		`""`:                        "",
		`"plain"`:                   "plain",
		`"\"\\\/\b\f\n\r\t"`:        "\"\\/\b\f\n\r\t",
		`"x\u00e9y\ud83d\ude00z"`:   "xéy😀z",
		`"\ud800"`:                  "\xed\xa0\x80",
		`"\udfff!"`:                 "\xed\xbf\xbf!",
		`"\ud83d\ud83d\ude00"`:      "\xed\xa0\xbd😀",
		"\"\xff\\u0041\"":           "\xffA",
		`"\u0000"`:                  "\x00",
		`"\uD834\uDD1E and \u20ac"`: "𝄞 and €",
	} {
		assert.Equal(t, want, string(jsonscan.AppendUnquote(nil, []byte(lit))), lit)
	}
	assert.Equal(t, "keptnew", string(jsonscan.AppendUnquote([]byte("kept"), []byte(`"new"`))))
}

func TestNumbersCompareByValue(t *testing.T) {
	// Each line is one value in several spellings; the lines ascend.
	ladder := [][]string{
		{"-1e99999999999999999999999999", "-10e99999999999999999999999998", "-0.1e100000000000000000000000000"},
		{"-1e999999999"},
		{"-9007199254740993"},
		{"-9007199254740992", "-9007199254740992.0"},
		{"-10", "-1e1", "-10.000"},
		{"-1.5"},
		{"-1", "-1.0", "-10e-1", "-0.1E+1", "-0.01e2"},
		{"-1e-999999999"},
		{"0", "-0", "0.0", "-0.00", "0e5", "0E999999999999999999999", "-0e-1"},
		{"1e-99999999999999999999999999"},
		{"1e-400"},
		{"2e-400"},
		{"0.00123", "1.23e-3", "123e-5", "0.0000123E+2"},
		{"0.1", "1e-1", "0.10"},
		{"0.1000000000000000055511151231257827"},
		{"1", "1.0", "1e0", "1e-0", "10e-1", "0.001e3", "1e000"},
		{"1.0000000000000000000000000000000001"},
		{"10", "1e1", "1e+1", "1E01", "0.1e2", "100e-1"},
		{"9007199254740992", "9007199254740992.00", "9.007199254740992e15"},
		{"9007199254740993", "9.007199254740993e15", "9007199254740993e0"},
		{"18446744073709551615"},
		{"18446744073709551616"},
		{"1e400", "10e399", "1000E+397"},
		{"1.0000001e400"},
		{"1e999999999", "10e999999998", "0.001e1000000002"},
		{"2e999999999"},
		{"1e1000000000"},
		{"1e999999999999999999", "1000e999999999999999996"},
		{"1e1000000000000000000", "0.1e1000000000000000001", "100e999999999999999998"},
		{"1e99999999999999999999999999", "10e99999999999999999999999998", "0.01e100000000000000000000000001"},
		{"2e99999999999999999999999999"},
	}
	for i, as := range ladder {
		for _, a := range as {
			end, err := jsonscan.Number([]byte(a), 0)
			require.NoError(t, err, a)
			require.Equal(t, len(a), end, a)
			for j, bs := range ladder {
				for _, b := range bs {
					want := min(1, max(-1, i-j))
					assert.Equal(t, want, jsonscan.CompareNumbers([]byte(a), []byte(b)), "%s ? %s", a, b)
					keyA := string(jsonscan.AppendNumberKey(nil, []byte(a)))
					keyB := string(jsonscan.AppendNumberKey(nil, []byte(b)))
					assert.Equal(t, i == j, keyA == keyB, "%s %s: %s %s", a, b, keyA, keyB)
				}
			}
		}
	}
}

func TestNumberKeysCarryThroughHugeExponents(t *testing.T) {
	for lit, want := range map[string]string{
		"0":                            "0",
		"-12.50":                       "-125e2",
		"0.00125":                      "125e-2",
		"1e999999999999999999999":      "1e1000000000000000000000",
		"0.001e1000000000000000000000": "1e999999999999999999998",
		"1e-1000000000000000000000":    "1e-999999999999999999999",
		"0.001e-999999999999999999998": "1e-1000000000000000000000",
	} {
		assert.Equal(t, want, string(jsonscan.AppendNumberKey(nil, []byte(lit))), lit)
	}
}

func TestCursorWalksOneLevel(t *testing.T) {
	doc := []byte(` { "a" : 1 , "b\n":[ 2,{"x":[]} ] , "a" : "s" } `)
	var seen []string
	c := jsonscan.Open(doc, 1)
	for c.Next(doc) {
		end, err := jsonscan.Value(doc, c.Start, 0)
		require.NoError(t, err)
		if c.Index > 0 {
			c.End = end // or left to Next
		}
		seen = append(seen, string(doc[c.Name:c.NameEnd])+"="+string(doc[c.Start:end]))
	}
	require.NoError(t, c.Err)
	assert.True(t, c.Object())
	assert.Equal(t, []string{`"a"=1`, `"b\n"=[ 2,{"x":[]} ]`, `"a"="s"`}, seen)
	assert.Equal(t, len(doc)-1, c.Close)
	assert.False(t, c.Next(doc))

	for _, bad := range []string{`{`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `[1,]`, `[1}`, `[1 1]`, `{1:1}`, `["a`, `[[1,]]`} {
		c := jsonscan.Open([]byte(bad), 0)
		for c.Next([]byte(bad)) {
		}
		assert.Error(t, c.Err, bad)
		assert.Zero(t, c.Close, bad)
	}
	for _, empty := range []string{"[]", "{ }"} {
		c := jsonscan.Open([]byte(empty), 0)
		assert.False(t, c.Next([]byte(empty)))
		assert.NoError(t, c.Err)
		assert.Equal(t, len(empty), c.Close)
	}
}

func TestScanningDoesNotAllocate(t *testing.T) {
	doc := []byte(strings.Repeat(`{"name":[1.5e3,"text \u00e9",null,`, 500) + "0" + strings.Repeat(`]}`, 500))
	assert.Zero(t, testing.AllocsPerRun(20, func() {
		if jsonscan.Valid(doc, 0) != nil {
			t.Error("not valid")
		}
	}))
	a, b := []byte(`"x\u00e9y"`), []byte(`"xé\u0079"`)
	m, n := []byte("100.0e99999999999999999999"), []byte("1e100000000000000000001")
	assert.Zero(t, testing.AllocsPerRun(20, func() {
		if !jsonscan.EqualStrings(a, b) || !jsonscan.EqualNumbers(m, n) {
			t.Error("not equal")
		}
	}))
}

// FuzzValid holds the scanner to encoding/json, which accepts the same
// language (invalid UTF-8 included) to the same depth.
func FuzzValid(f *testing.F) {
	for _, doc := range suite(f) {
		if len(doc) < 1000 {
			f.Add(doc)
		}
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		err := jsonscan.Valid(doc, 0)
		if json.Valid(doc) != (err == nil) {
			t.Fatalf("json.Valid says %v, got %v", json.Valid(doc), err)
		}
		if err != nil {
			var syntax *jsonscan.SyntaxError
			if !errors.As(err, &syntax) || syntax.Offset < 0 || syntax.Offset > len(doc) {
				t.Fatalf("%#v", err)
			}
			// Where the error is, the text before it was a proper
			// beginning and is not complete; the offending byte
			// cannot be mended by what follows.
			if json.Valid(doc[:min(syntax.Offset+1, len(doc))]) {
				t.Fatalf("%v, but the document is valid up to there", err)
			}
			return
		}
		var s string
		if i := jsonscan.Space(doc, 0); doc[i] == '"' && json.Unmarshal(doc, &s) == nil && !strings.ContainsRune(s, '\ufffd') {
			end, _, _ := jsonscan.String(doc, i)
			if got := jsonscan.AppendUnquote(nil, doc[i:end]); string(got) != s {
				t.Fatalf("%q, want %q", got, s)
			}
		}
	})
}

// FuzzNumbers holds the comparison to math/big.
func FuzzNumbers(f *testing.F) {
	for _, seed := range [][2]string{{"1", "1.0"}, {"9007199254740993", "9007199254740992"}, {"1e3", "1000"}, {"-0", "0"}, {"0.10", "1e-1"}, {"123.45e-2", "1.2345"}, {"1e-400", "1e-401"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		x, y := exact(a), exact(b)
		if x == nil || y == nil {
			return
		}
		if got := jsonscan.CompareNumbers([]byte(a), []byte(b)); got != x.Cmp(y) {
			t.Fatalf("%s ? %s: %d, want %d", a, b, got, x.Cmp(y))
		}
		keyA, keyB := jsonscan.AppendNumberKey(nil, []byte(a)), jsonscan.AppendNumberKey(nil, []byte(b))
		if bytes.Equal(keyA, keyB) != (x.Cmp(y) == 0) {
			t.Fatalf("%s %s: %s %s", a, b, keyA, keyB)
		}
	})
}

// exact returns the value of a number literal small enough to expand.
func exact(lit string) *big.Rat {
	if end, err := jsonscan.Number([]byte(lit), 0); err != nil || end != len(lit) {
		return nil
	}
	if _, exp, ok := strings.Cut(strings.ToLower(lit), "e"); ok {
		if n, err := strconv.Atoi(exp); err != nil || n < -2000 || n > 2000 {
			return nil
		}
	}
	r, _ := new(big.Rat).SetString(lit)
	return r
}
