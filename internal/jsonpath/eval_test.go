package jsonpath_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow/internal/jsonpath"
	"github.com/goshadow/shadow/internal/jsonscan"
)

// mixed and grouped have the same 50 members of each of two names, in their order.
var mixed, grouped = func() (string, string) {
	var as, bs, both []string
	for i := range 50 {
		as = append(as, fmt.Sprintf(`"a":%d`, i))
		bs = append(bs, fmt.Sprintf(`"b":%d`, i))
		both = append(both, bs[i], as[i])
	}
	return strings.Join(both, ","), strings.Join(append(bs, as...), ",")
}()

func TestFilterSelects(t *testing.T) {
	for _, c := range []struct {
		name, expr, doc string
		want            []string
	}{
		// Numbers are exact at any size.
		{"large integers", `$[?@==9007199254740993]`, `[9007199254740992,9007199254740993,9007199254740993.0]`, []string{"9007199254740993", "9007199254740993.0"}},
		{"spelling of numbers", `$[?@==100]`, `[100,1e2,100.0,1000e-1,"100"]`, []string{"100", "1e2", "100.0", "1000e-1"}},
		{"order of huge numbers", `$[?@>1e999999998]`, `[1e999999999,1e999999998,-1e999999999]`, []string{"1e999999999"}},
		{"minus zero", `$[?@==-0]`, `[0,-0,0.0,1]`, []string{"0", "-0", "0.0"}},
		// Strings by code point.
		{"escapes in strings", `$[?@=='a\u00e9']`, `["aé","a\u00e9","\u0061é","ae"]`, []string{`"aé"`, `"a\u00e9"`, `"\u0061é"`}},
		{"order by code point, not UTF-16", `$[?@>'\uFFFF']`, `["\ud83d\ude00","z"]`, []string{`"\ud83d\ude00"`}},
		{"quotes in literals", `$[?@=='"\'\\']`, `["\"'\\","x"]`, []string{`"\"'\\"`}},
		{"length in characters", `$[?length(@)==2]`, `["é😀","\ud83d\ude00a","\ud800a","abc",[1,2],{"a":1,"b":2},2]`, []string{`"é😀"`, `"\ud83d\ude00a"`, `"\ud800a"`, `[1,2]`, `{"a":1,"b":2}`}},
		// Kinds never mix.
		{"no order between kinds", `$[?@<2]`, `[1,"1",true,null,[1],{}]`, []string{"1"}},
		{"inequality across kinds", `$[?@!=1]`, `[1,"1",true]`, []string{`"1"`, "true"}},
		{"at most, of equal kinds without order", `$[?@<=true]`, `[true,false,1]`, []string{"true"}},
		{"null is not absent", `$[?@.a==null]`, `[{"a":null},{}]`, []string{`{"a":null}`}},
		{"absent equals absent", `$[?@.a==@.b]`, `[{},{"a":1},{"a":1,"b":1}]`, []string{`{}`, `{"a":1,"b":1}`}},
		// Deep equality.
		{"member order", `$[?@.x==@.y]`, `[{"x":{"a":1,"b":[1,{"c":2,"d":3}]},"y":{"b":[1.0,{"d":3,"c":2}],"a":1}}]`, []string{`{"x":{"a":1,"b":[1,{"c":2,"d":3}]},"y":{"b":[1.0,{"d":3,"c":2}],"a":1}}`}},
		{"escaped member names", `$[?@.x==@.y]`, `[{"x":{"a":1},"y":{"\u0061":1}},{"x":{"a":1},"y":{"b":1}}]`, []string{`{"x":{"a":1},"y":{"\u0061":1}}`}},
		{"duplicate names in their order", `$[?@.x==@.y]`, `[{"x":{"a":1,"a":2,"b":0},"y":{"b":0,"a":1,"a":2}},{"x":{"a":1,"a":2},"y":{"a":2,"a":1}}]`, []string{`{"x":{"a":1,"a":2,"b":0},"y":{"b":0,"a":1,"a":2}}`}},
		{"many duplicate names in their order", `$[?@.x==@.y]`, `[{"x":{` + mixed + `},"y":{` + grouped + `}}]`, []string{`{"x":{` + mixed + `},"y":{` + grouped + `}}`}},
		{"an array is not an object", `$[?@.x==@.y]`, `[{"x":[],"y":{}}]`, []string{}},
		// Duplicate names.
		{"last of several in comparisons", `$[?@.a==2]`, `[{"a":1,"a":2},{"a":2,"a":1}]`, []string{`{"a":1,"a":2}`}},
		{"any of several for existence", `$[?@.a.b]`, `[{"a":{"b":1},"a":{}}]`, []string{`{"a":{"b":1},"a":{}}`}},
		{"value() needs exactly one", `$[?value(@.a)==1]`, `[{"a":1,"a":1},{"a":1}]`, []string{`{"a":1}`}},
		{"count() counts duplicates", `$[?count(@['a','a'])==2]`, `[{"a":1}]`, []string{`{"a":1}`}},
		// Queries in filters.
		{"absolute query", `$.items[?@.id==$.wanted]`, `{"wanted":2,"items":[{"id":1},{"id":2}]}`, []string{`{"id":2}`}},
		{"absolute existence", `$.items[?$.all]`, `{"all":null,"items":[1]}`, []string{"1"}},
		{"nested filter", `$[?@[?@.a==1]]`, `[[{"a":1}],[{"a":2}],{"x":{"a":1}}]`, []string{`[{"a":1}]`, `{"x":{"a":1}}`}},
		{"descendants", `$[?@..z]`, `[{"a":{"z":1}},{"a":1}]`, []string{`{"a":{"z":1}}`}},
		{"negative index", `$[?@[-1]==3]`, `[[1,2,3],[3,4]]`, []string{"[1,2,3]"}},
		{"filter on members", `$[?@.type=='card']['number']`, `{"x":{"type":"card","number":1},"y":{"type":"iban","number":2}}`, []string{"1"}},
		{"precedence", `$[?@==1||@==2&&@==3]`, `[1,2,3]`, []string{"1"}},
		{"parentheses", `$[?(@==1||@==2)&&!(@==2)]`, `[1,2,3]`, []string{"1"}},
		// Patterns that are not constants.
		{"pattern from the node", `$[?match(@.a,@.p)]`, `[{"a":"xay","p":".a."},{"a":"x","p":"["},{"a":"x","p":1},{"a":"x","p":"x"}]`, []string{`{"a":"xay","p":".a."}`, `{"a":"x","p":"x"}`}},
		{"search in escapes", `$[?search(@,'\n')]`, `["a\nb","ab"]`, []string{`"a\nb"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			assert.Equal(t, c.want, find(t, mustParse(t, c.expr), c.doc))
		})
	}
}

func TestEveryMemberOfADuplicateNameIsSelected(t *testing.T) {
	const doc = `{"a":1,"\u0061":{"b":2,"b":3},"A":4}`
	assert.Equal(t, []string{"1", `{"b":2,"b":3}`}, find(t, mustParse(t, "$.a"), doc))
	assert.Equal(t, []string{"2", "3"}, find(t, mustParse(t, "a.b"), doc))
}

func TestFoldIgnoresCaseOfNamesOnly(t *testing.T) {
	const doc = `{"Password":1,"PASSWORD":2,"pass\u0057ord":3,"paſſword":4,"passwörd":5,"PASSWÖRD":6,"x":{"KIND":"A","v":7},"y":{"kind":"a","v":8}}`
	for _, c := range []struct {
		expr          string
		exact, folded []string
	}{
		{"$.password", []string{}, []string{"1", "2", "3", "4"}},
		{"$.passwörd", []string{"5"}, []string{"5", "6"}},
		{"PASS*", []string{"2", "6"}, []string{"1", "2", "3", "4", "5", "6"}},
		{"$[?@.Kind=='a'].v", []string{}, []string{"8"}},
	} {
		path := mustParse(t, c.expr)
		assert.Equal(t, c.folded, find(t, path.Fold(), doc), c.expr)
		assert.Equal(t, c.exact, find(t, path, doc), "Fold leaves %s itself alone", c.expr)
	}
}

func TestNodeTellsItsNormalizedPath(t *testing.T) {
	const doc = `{"a":[{"b c":[10,20]}], "it's \\ \b\f\n\r\t\u000b\u00e9\ud800 \"": [[true]]}`
	nodes, err := mustParse(t, "$..*").Select([]byte(doc), 0)
	require.NoError(t, err)
	var paths []string
	for _, n := range nodes {
		paths = append(paths, n.Path())
	}
	assert.Equal(t, []string{
		`$['a']`,
		`$['it\'s \\ \b\f\n\r\t\u000bé\ud800 "']`,
		`$['a'][0]`,
		`$['a'][0]['b c']`,
		`$['a'][0]['b c'][0]`,
		`$['a'][0]['b c'][1]`,
		`$['it\'s \\ \b\f\n\r\t\u000bé\ud800 "'][0]`,
		`$['it\'s \\ \b\f\n\r\t\u000bé\ud800 "'][0][0]`,
	}, paths)
}

func TestScalarsMayBeTheRoot(t *testing.T) {
	for _, doc := range []string{`1`, ` "x" `, `null`, "\ttrue\n"} {
		assert.Equal(t, []string{strings.TrimSpace(doc)}, find(t, mustParse(t, "$"), doc))
		assert.Empty(t, find(t, mustParse(t, "$..*"), doc))
	}
}

func TestBrokenDocumentsAreErrors(t *testing.T) {
	for _, doc := range []string{``, ` `, `{`, `[1,]`, `{"a":1}}`, `"a`, `01`, `nul`, `[1 2]`, `{"a"}`} {
		_, err := mustParse(t, "$..a").Select([]byte(doc), 0)
		var syntax *jsonscan.SyntaxError
		assert.ErrorAs(t, err, &syntax, doc)
	}
}

func TestDepthIsBounded(t *testing.T) {
	nested := func(n int) []byte { return []byte(strings.Repeat("[", n) + strings.Repeat("]", n)) }
	path := mustParse(t, "$..[0]")
	nodes, err := path.Select(nested(100), 100)
	require.NoError(t, err)
	assert.Len(t, nodes, 99)
	_, err = path.Select(nested(101), 100)
	assert.Error(t, err)
	_, err = path.Select(nested(10_000_000), jsonscan.DefaultMaxDepth)
	assert.Error(t, err)
}

// Each of these visits a multiple of the document for every level of nesting or
// element; without a bound they would run for minutes or exhaust the memory.
func TestHostileDocumentsAreGivenUpNotWorkedThrough(t *testing.T) {
	const depth = 10_000
	deep := strings.Repeat(`{"a":`, depth-1) + "1" + strings.Repeat("}", depth-1)
	flat := "[" + strings.Repeat("1,", 200_000) + "1]"
	long := fmt.Sprintf(`{"big":"%s","items":%s}`, strings.Repeat("a", 1<<20), flat)
	var patterns []string
	for i := range 100 {
		patterns = append(patterns, fmt.Sprintf(`"%s%d"`, strings.Repeat("a{1000}", 90), i))
	}
	for _, c := range []struct{ name, expr, doc string }{
		{"stacked descendants", "$..*..*..*..*", deep},
		{"filters that search subtrees", "$..[?@..zz]", deep},
		{"deep equality at each level", "$..[?@.a==$.b]", `{"a":` + deep[5:len(deep)-1] + `,"b":` + deep[5:len(deep)-1] + `}`},
		{"a long subject for each", "$.items[?match($.big,'b*c')]", long},
		{"a long name for each", "$..*..*.x", strings.Repeat(`{"`+strings.Repeat("x", 1000)+`":`, 600) + "1" + strings.Repeat("}", 600)},
		{"many large patterns", "$[?match('a',@)]", "[" + strings.Join(patterns, ",") + "]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := mustParse(t, c.expr).Select([]byte(c.doc), depth)
			assert.ErrorContains(t, err, "given up")
		})
	}
}

func TestAbsoluteQueriesInFiltersAreEvaluatedOnce(t *testing.T) {
	doc := "[" + strings.Repeat("1,", 100_000) + "0]"
	assert.Equal(t, []string{"0"}, find(t, mustParse(t, "$[?count($.*) == 100001 && @ == $[100000] && $[?@==0]]"), doc))
}

func TestStackedDescendantsAreCheapForASet(t *testing.T) {
	const n = 10_000
	doc := []byte(strings.Repeat(`[`, n) + strings.Repeat("]", n))
	// The nodelist has billions of entries, the set of places n.
	path := mustParse(t, "$..*..*..*[-1]")
	_, err := path.Select(doc, n)
	assert.ErrorContains(t, err, "given up")
	located, err := jsonpath.NewSet(path).Locate(doc, n)
	require.NoError(t, err)
	assert.Empty(t, located.IDs(3))
	assert.Equal(t, []int{0}, located.IDs(4))
	assert.Equal(t, []int{0}, located.IDs(n-1))
}

func TestPatternsAreIRegexps(t *testing.T) {
	matches := func(pattern, text string) bool {
		quoted := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(pattern)
		return len(find(t, mustParse(t, "$[?match(@,'"+quoted+"')]"), `["`+text+`"]`)) == 1
	}
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"a|bc", "bc", true},
		{"a|bc", "abc", false},
		{"", "", true},
		{"(a|b)*c", "abac", true},
		{"a{2}", "aa", true},
		{"a{2,}", "a", false},
		{"a{1,2}", "aaa", false},
		{".", "é", true},
		{".", `\n`, false},
		{".", `\r`, false},
		{".", `\u2028`, true},
		{`a\.b`, "a.b", true},
		{`a\.b`, "axb", false},
		{`[a-c]+`, "abc", true},
		{`[^a-c]`, "d", true},
		{`[-a]`, "-", true},
		{`[a-]`, "-", true},
		{`[.]`, "a", false},
		{`[a^]`, "^", true},
		{`[\]\[]+`, "[]", true},
		{`[\p{Lu}0-9]+`, "A7", true},
		{`[:alpha:]`, "a", true},
		{`[:alpha:]`, "b", false}, // a set of characters, not a POSIX class
		{`\p{L}`, "é", true},
		{`\P{Nd}`, "1", false},
		{`\p{Cn}`, "a", false},
		{`\n\t\r`, `\n\t\r`, true},
		{`\^\{\}\|\-\\`, `^{}|-\\`, true},
		{"/~`#%&", "/~`#%&", true},
		{"^a$", "a", true},
		{`\p{Lu}{1,999}`, "AB", true},
	} {
		assert.Equal(t, c.want, matches(c.pattern, c.text), "%s on %s", c.pattern, c.text)
	}
	for _, pattern := range []string{
		`[`, `(`, `)`, `a)`, `]`, `}`, `{`, `*`, `a**`, `a+?`, `(*a)`, `|*`, `a{`, `a{x}`, `a{1`, `a{1,2`, `a{,2}`, `[]`, `[^]`,
		`[a`, `[b-a]`, `[a-b-c]`, `[[]`, `[a-[b]]`, `[a-\p{L}]`, `\`, `\d`, `\w`, `\s`, `\b`, `\A`, `\Q`, `\x41`, `\p`, `\p{`, `\p{}`, `\p{Greek}`,
		`\p{Cs}`, `((a{1000}){1000}){9}`, strings.Repeat(`a{1000}`, 101), strings.Repeat(`\p{L}`, 400), `(?i)a`, `(?:a)`, `(?=a)`, `\1`, `[\d]`, `a{1001}`,
	} {
		quoted := strings.NewReplacer(`\`, `\\`).Replace(pattern)
		_, err := jsonpath.Parse("$[?match(@,'" + quoted + "')]")
		assert.Error(t, err, "%s", pattern)
		assert.Empty(t, find(t, mustParse(t, "$[?match('a',@)]"), fmt.Sprintf("[%q]", pattern)), "%s in a document matches nothing", pattern)
	}
}
