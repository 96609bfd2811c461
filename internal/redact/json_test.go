package redact_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/goshadow/shadow/internal/jsonpath"
	"github.com/goshadow/shadow/internal/jsonscan"
	"github.com/goshadow/shadow/internal/redact"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const mask = `"[masked]"`

func parse(t testing.TB, exprs ...string) (paths []*jsonpath.Path) {
	t.Helper()
	for _, expr := range exprs {
		p, err := jsonpath.Parse(expr)
		require.NoError(t, err)
		paths = append(paths, p)
	}
	return paths
}

func TestJSONMasksEveryOccurrenceAndNothingElse(t *testing.T) {
	for name, c := range map[string]struct {
		paths    []string
		doc, out string
	}{
		"a member":             {[]string{"$.a"}, `{"a":1,"b":2}`, `{"a":"[masked]","b":2}`},
		"of any type":          {[]string{"$[*]"}, `[1,"x",null,true,{"a":[]},[[]],-0.5e+10]`, `["[masked]","[masked]","[masked]","[masked]","[masked]","[masked]","[masked]"]`},
		"nested":               {[]string{"$.a.b[1].c"}, `{"a":{"b":[{"c":1},{"c":{"d":2}}]}}`, `{"a":{"b":[{"c":1},{"c":"[masked]"}]}}`},
		"duplicates":           {[]string{"$.a"}, `{"a":1,"b":2,"a":[3],"a":4}`, `{"a":"[masked]","b":2,"a":"[masked]","a":"[masked]"}`},
		"nested duplicates":    {[]string{"$.a.b"}, `{"a":{"b":1},"a":{"b":2,"b":3}}`, `{"a":{"b":"[masked]"},"a":{"b":"[masked]","b":"[masked]"}}`},
		"an escaped name":      {[]string{"$.a"}, `{"\u0061":1,"\u0041":2}`, `{"\u0061":"[masked]","\u0041":2}`},
		"an escaped path":      {[]string{`$["\u0061\"\\"]`}, `{"a\"\\":1}`, `{"a\"\\":"[masked]"}`},
		"beyond the BMP":       {[]string{`$['😀']`}, `{"\ud83d\ude00":1,"😀":2}`, `{"\ud83d\ude00":"[masked]","😀":"[masked]"}`},
		"descendants":          {[]string{"$..password"}, `{"password":1,"a":[{"password":{"password":2}}]}`, `{"password":"[masked]","a":[{"password":"[masked]"}]}`},
		"wildcard":             {[]string{"$.*.b"}, `{"a":{"b":1},"c":[{"b":2}],"d":{"b":3}}`, `{"a":{"b":"[masked]"},"c":[{"b":2}],"d":{"b":"[masked]"}}`},
		"slices":               {[]string{"$[1:4:2]"}, `[0,1,2,3,4]`, `[0,"[masked]",2,"[masked]",4]`},
		"from the end":         {[]string{"$[-1]"}, `[0,1,2]`, `[0,1,"[masked]"]`},
		"a filter":             {[]string{"$[?@.kind=='card'].number"}, `[{"kind":"card","number":1},{"kind":"cash","number":2}]`, `[{"kind":"card","number":"[masked]"},{"kind":"cash","number":2}]`},
		"a filter on all":      {[]string{"$..[?@>1]"}, `{"a":[1,2,{"b":3}],"c":0}`, `{"a":[1,"[masked]",{"b":"[masked]"}],"c":0}`},
		"filter and walk":      {[]string{"$.a", "$.b[?@=='x']"}, `{"a":1,"b":["x","y"]}`, `{"a":"[masked]","b":["[masked]","y"]}`},
		"one inside the other": {[]string{"$.a", "$.a.b", "$..c[?@>0]"}, `{"a":{"b":1},"c":[1]}`, `{"a":"[masked]","c":["[masked]"]}`},
		"everything":           {[]string{"$"}, " {\"a\":1}\n", " \"[masked]\"\n"},
		"everything, and more": {[]string{"$", "$.a", "$[?@]"}, `{"a":1}`, `"[masked]"`},
		"white space stays":    {[]string{"$.a"}, " {\t\"a\"\r\n: \n1 , \"b\" :2 } \n", " {\t\"a\"\r\n: \n\"[masked]\" , \"b\" :2 } \n"},
		"gjson's notation":     {[]string{"a.#.b"}, `{"a":[{"b":1},{"c":2}]}`, `{"a":[{"b":"[masked]"},{"c":2}]}`},
		"inside of a string":   {[]string{"$..pin", "$.a.b"}, `{"m":"{\"pin\":1,\"c\":[{\"\\u0070in\":\"x\"},2]}","a":"\n{\"b\":\"é\\\"\"}"}`, `{"m":"{\"pin\":\"[masked]\",\"c\":[{\"\\u0070in\":\"[masked]\"},2]}","a":"\u000a{\"b\":\"[masked]\"}"}`},
		"strings in strings":   {[]string{"$.a[0].b"}, `"{\"a\":\"[\\\"{\\\\\\\"b\\\\\\\":1}\\\"]\"}"`, `"{\"a\":\"[\\\"{\\\\\\\"b\\\\\\\":\\\\\\\"[masked]\\\\\\\"}\\\"]\"}"`},
		"a string is a string": {[]string{"$..pin", "$[0].b"}, `["b","{pin}","{\"pin\"","[\"x\"]","{\"x\":\"pin\"}","the \"pin\" is wrong","{pin} {\"a\":1}","{\"a\": 1};"]`, `["b","{pin}","{\"pin\"","[\"x\"]","{\"x\":\"pin\"}","the \"pin\" is wrong","{pin} {\"a\":1}","{\"a\": 1};"]`},
		"nothing is selected":  {[]string{"$.x", "$.a.b", "$[0]"}, `{"a":1, "\u0062": 1e400}`, `{"a":1, "\u0062": 1e400}`},
		"no paths":             {nil, `[1, 2]`, `[1, 2]`},
	} {
		t.Run(name, func(t *testing.T) {
			doc := []byte(c.doc)
			got, err := redact.JSON(doc, jsonpath.NewSet(parse(t, c.paths...)...), redact.Replacement{})
			require.NoError(t, err)
			assert.Equal(t, c.out, string(got))
			assert.Equal(t, c.doc, string(doc), "the document itself is not changed")
			if c.doc == c.out {
				assert.Same(t, &doc[0], &got[0], "nothing to copy")
			}
		})
	}
}

// A body that cannot be read to its end may hide anything: it is an error, also where
// all that was selected came before.
func TestWhatIsNotJSONIsAnError(t *testing.T) {
	for _, doc := range []string{"", " ", "{", "[1", `{"a":1`, `{"a":1}}`, `{"a":1} x`, `{"a":1,}`, `{"a":1,"b":tru}`,
		`{"a":1,"b":"\x"}`, `{"a":1,"b":01}`, `{"a" 1}`, `{a:1}`, "{\"a\":\"\n\"}", `{"a":{"b":}}`, `{"b":[1,],"a":1}`, `["a"`,
		"\ufeff{}", "NaN", `{"a":1}{"a":2}`, `{"a":[1}`} {
		for _, expr := range []string{"$.a", "$", "$.c.d", "$[?@.a]", "$..a"} {
			got, err := redact.JSON([]byte(doc), jsonpath.NewSet(parse(t, expr)...), redact.Replacement{})
			assert.Error(t, err, "%s in %q", expr, doc)
			assert.Nil(t, got)
		}
	}
}

// Nesting is refused past a depth, wherever the paths lead, and takes no time to speak of
// before that.
func TestHostileNestingIsAnError(t *testing.T) {
	const most = jsonscan.DefaultMaxDepth
	arrays := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	objects := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	for _, expr := range []string{"$.a", "$..b", "$.x", "$..*", "$[?@.b]", "$..[?@.b==1]", "$[0]", "$"} {
		set := jsonpath.NewSet(parse(t, expr)...)
		for name, doc := range map[string]func(int) string{"arrays": arrays, "objects": objects} {
			_, err := redact.JSON([]byte(doc(most+1)), set, redact.Replacement{})
			assert.ErrorContains(t, err, "nested deeper", "%s in %s", expr, name)
			_, err = redact.JSON([]byte(doc(100*most)), set, redact.Replacement{})
			assert.ErrorContains(t, err, "nested deeper", "%s in %s", expr, name)
			got, err := redact.JSON([]byte(doc(most)), set, redact.Replacement{})
			if assert.NoError(t, err, "%s in %s", expr, name) {
				assert.True(t, json.Valid(got))
			}
		}
	}
	// What is masked is read as carefully as the rest, at any depth.
	set := jsonpath.NewSet(parse(t, "$..a")...)
	deep := strings.Repeat("[", most-1) + `{"a":%s}` + strings.Repeat("]", most-1)
	got, err := redact.JSON(fmt.Appendf(nil, deep, "1"), set, redact.Replacement{})
	require.NoError(t, err)
	assert.Equal(t, fmt.Sprintf(deep, mask), string(got))
	_, err = redact.JSON(fmt.Appendf(nil, deep, "[]"), set, redact.Replacement{})
	assert.ErrorContains(t, err, "nested deeper")
}

// spliced is the document with the outermost of the values that Select finds replaced.
func spliced(t testing.TB, doc []byte, paths []*jsonpath.Path) (out []byte, ok bool) {
	t.Helper()
	var nodes []jsonpath.Node
	for _, p := range paths {
		found, err := p.Select(doc, 0)
		if err != nil {
			return nil, false
		}
		nodes = append(nodes, found...)
	}
	slices.SortFunc(nodes, func(a, b jsonpath.Node) int { // outer ones first
		if a.Start != b.Start {
			return a.Start - b.Start
		}
		return b.End - a.End
	})
	at := 0
	for _, n := range nodes {
		if n.Start >= at {
			out = append(append(out, doc[at:n.Start]...), mask...)
			at = n.End
		}
	}
	return append(out, doc[at:]...), true
}

// For any document and path: exactly what Select finds is replaced, and every other byte
// stays.
func FuzzJSONReplacesWhatSelectFinds(f *testing.F) {
	for _, expr := range []string{"$.a", "$..a", "$..*", "$[1:]", "$[-1]", "$[?@.a==1]", "$..[?@>1]", "$", "a.#.b", `$["\u0061"]`} {
		f.Add(expr, "$..b", []byte(`{"a":[{"a":1,"b":[2,{"a":"x"}]},3],"\u0061":{"b":null},"b":-1e2}`))
	}
	f.Add("$.a", "$.b", []byte(` [ { "a" : 1 , "a":{"a":[]}}, "\ud800" ] `))
	f.Fuzz(func(t *testing.T, first, second string, doc []byte) {
		var paths []*jsonpath.Path
		for _, expr := range []string{first, second} {
			if p, err := jsonpath.Parse(expr); err == nil {
				paths = append(paths, p)
			}
		}
		before := bytes.Clone(doc)
		got, err := redact.JSON(doc, jsonpath.NewSet(paths...), redact.Replacement{})
		require.Equal(t, before, doc)
		if jsonscan.Valid(doc, 0) != nil {
			require.Error(t, err)
			return
		}
		want, ok := spliced(t, doc, paths)
		if !ok || err != nil {
			return // given up as too much work, which either may do first
		}
		require.Equal(t, string(want), string(got))
		require.True(t, json.Valid(got), "JSON stays JSON")
	})
}

// No selected value survives: what the paths find in the masked document is the mask, or
// had been something that the mask does not have either.
func TestNoSelectedValueSurvives(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	pick := func(of ...string) string { return of[rng.IntN(len(of))] }
	secrets := 0
	var value func(depth int) string
	value = func(depth int) string {
		if depth == 0 || rng.IntN(3) == 0 {
			secrets++
			return fmt.Sprintf(`"secret-%d-"`, secrets)
		}
		open, name, end := "[", func() string { return "" }, "]"
		if rng.IntN(2) == 0 {
			open, name, end = "{", func() string { return pick(`"a"`, `"b"`, `"\u0061"`, `"c"`, `"A"`) + ":" }, "}"
		}
		var members []string
		for range rng.IntN(5) {
			members = append(members, name()+value(depth-1))
		}
		return open + strings.Join(members, pick(",", " , ")) + end
	}
	masked := 0
	for range 2000 {
		var exprs []string
		for range 1 + rng.IntN(3) {
			expr := "$"
			for range 1 + rng.IntN(3) {
				expr += pick(".a", "..a", ".*", "[0]", "[1:]", "[-1]", "['b','c']", "[?@.a]", "..[?@.b]", "[::2]")
			}
			exprs = append(exprs, expr)
		}
		paths, doc := parse(t, exprs...), []byte(value(5))
		if rng.IntN(3) == 0 {
			for i := range paths {
				paths[i] = paths[i].Fold()
			}
		}
		got, err := redact.JSON(doc, jsonpath.NewSet(paths...), redact.Replacement{})
		require.NoError(t, err)
		want, ok := spliced(t, doc, paths)
		require.True(t, ok)
		require.Equal(t, string(want), string(got), "%v in %s", exprs, doc)
		for _, p := range paths {
			nodes, err := p.Select(doc, 0)
			require.NoError(t, err)
			for _, n := range nodes {
				for secret := range strings.SplitSeq(string(doc[n.Start:n.End]), `"`) {
					if strings.HasPrefix(secret, "secret-") {
						masked++
						require.NotContains(t, string(got), secret, "%v in %s", exprs, doc)
					}
				}
			}
		}
	}
	assert.Greater(t, masked, 5000, "there was something to mask")
}

// BenchmarkMask masks five values of a document of 10 KB, beside encoding/json, which only
// reports whether the document is JSON.
func BenchmarkMask(b *testing.B) {
	var doc bytes.Buffer
	doc.WriteString(`{"id":"ord_8812","customer":{"name":"Ada","email":"ada@example.org","phone":"+44 20 7946 0000"},"card":{"number":"4111111111111111","cvc":"123"},"items":[`)
	for i := 0; doc.Len() < 10<<10; i++ {
		fmt.Fprintf(&doc, `{"sku":"SKU-%d","name":"a thing with a name","quantity":%d,"price":%d.5,"tags":["new","sale"],"gift":false},`, i, i, i)
	}
	doc.Truncate(doc.Len() - 1)
	doc.WriteString(`],"total":1234.5}`)
	b.Run("json.Valid", func(b *testing.B) {
		b.SetBytes(int64(doc.Len()))
		for b.Loop() {
			json.Valid(doc.Bytes())
		}
	})
	for name, exprs := range map[string][]string{
		"paths":       {"$.customer.name", "$.customer.email", "$.customer.phone", "$.card.number", "$.card.cvc"},
		"in elements": {"$.customer.email", "$.card.number", "$.items[*].name", "$.items[*].sku", "$.items[*].price"},
		"descendants": {"$..name", "$..email", "$..phone", "$..number", "$..cvc"},
		"filter":      {"$.items[?@.sku=='SKU-1'].name"},
		"nothing":     {"$.x"},
	} {
		b.Run(name, func(b *testing.B) {
			var paths []*jsonpath.Path
			for _, p := range parse(b, exprs...) {
				paths = append(paths, p.Fold())
			}
			set := jsonpath.NewSet(paths...)
			b.SetBytes(int64(doc.Len()))
			b.ReportAllocs()
			for b.Loop() {
				_, _ = redact.JSON(doc.Bytes(), set, redact.Replacement{})
			}
		})
	}
}

// JSON in a string that cannot be read, and has a member that a path may be about, may not go
// out: nobody has looked into it.
func TestAStringOfJSONThatCannotBeReadIsAnError(t *testing.T) {
	nest := func(doc string, levels int) string {
		for range levels {
			quoted, err := json.Marshal(map[string]string{"m": doc})
			require.NoError(t, err)
			doc = string(quoted)
		}
		return doc
	}
	for name, c := range map[string]struct{ path, inner string }{
		"a semicolon behind":   {"$..pin", `{"pin":"1"};`},
		"two documents":        {"$..pin", "{\"a\":1}\n{\"PIN\" : 1}"},
		"a byte order mark":    {"$..pin", "\ufeff{\"pin\":1}"},
		"cut off":              {"$..pin", `{"pin":"411`},
		"behind other text":    {"$..pin", `user {"pin":1}`},
		"behind a guard":       {"$..pin", ")]}',\n{\"pin\":1}"},
		"an escaped name":      {"$..pin", `{"p\u0069n":1};`},
		"another case":         {"$..sKin", "{\"S\u212aIN\":1};"},
		"a deeper string":      {"$..pin", `x {"m":"{\"pin\":1}"}`},
		"in a broken document": {"$..pin", `{"m":"{\"pin\":1}",}`},
		"any member":           {"$.m.*", `x {"a":1}`},
		"any element":          {"$..[0]", `[1];`},
		"over four levels":     {"$..pin", nest(`{"pin":1}`, 4)},
	} {
		set := jsonpath.NewSet(parse(t, c.path)[0].Fold())
		_, err := redact.JSON([]byte(nest(c.inner, 1)), set, redact.Replacement{})
		assert.Error(t, err, name)
		_, err = redact.JSON([]byte(nest("nothing", 6)), jsonpath.NewSet(parse(t, "$..pin")...), redact.Replacement{})
		assert.NoError(t, err)
	}
	got, err := redact.JSON([]byte(nest(`{"pin":1}`, 4)), jsonpath.NewSet(parse(t, "$..pin")...), redact.Replacement{})
	require.NoError(t, err)
	assert.Equal(t, nest(`{"pin":"[masked]"}`, 4), string(got))
}
