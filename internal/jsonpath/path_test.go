package jsonpath_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/goshadow/shadow/internal/jsonpath"
	"github.com/goshadow/shadow/internal/jsonscan"
)

func mustParse(tb testing.TB, expr string) *jsonpath.Path {
	path, err := jsonpath.Parse(expr)
	require.NoError(tb, err)
	return path
}

// find returns the values a path selects, as they stand in the document.
func find(tb testing.TB, path *jsonpath.Path, doc string) []string {
	nodes, err := path.Select([]byte(doc), jsonscan.DefaultMaxDepth)
	require.NoError(tb, err, "%s", path)
	values := []string{}
	for _, n := range nodes {
		values = append(values, doc[n.Start:n.End])
	}
	return values
}

func TestSyntaxErrorNamesExpressionColumnAndFault(t *testing.T) {
	for _, c := range []struct{ expr, want string }{
		{``, `path "", column 1: expected '$' (RFC 9535) or a name (gjson)`},
		{`$.`, `path "$.", column 3: expected a name or '*'; write ['...'] for a name with other characters`},
		{`$.a `, `path "$.a ", column 4: white space after the expression`},
		{`$a`, `path "$a", column 2: expected '.', '..', '[' or the end`},
		{`$.['a']`, `path "$.['a']", column 3: expected a name or '*' after '.'; write [...] without the dot`},
		{`$.día[01]`, `path "$.día[01]", column 7: an integer has no leading zero and is not -0`},
		{`$[9007199254740992]`, `path "$[9007199254740992]", column 3: the integer is outside ±(2^53-1)`},
		{`$['a`, `path "$['a", column 3: the string is not closed`},
		{`$['\x']`, `path "$['\\x']", column 4: unknown escape in a string`},
		{`$['\ud800']`, `path "$['\\ud800']", column 4: a surrogate without its other half`},
		{`$[?@.a]]`, `path "$[?@.a]]", column 8: expected '.', '..', '[' or the end`},
		{`$[?@.a=1]`, `path "$[?@.a=1]", column 7: expected ',' or ']'`},
		{`$[?@.a==]`, `path "$[?@.a==]", column 9: expected '@', '$', a function, a string, a number, true, false or null`},
		{`$[?(@.a]`, `path "$[?(@.a]", column 8: expected '&&', '||' or ')'`},
		{`$[?@.*==1]`, `path "$[?@.*==1]", column 4: only a query for a single node (names and indexes) can be compared`},
		{`$[?1]`, `path "$[?1]", column 4: a literal alone is not a condition; compare it with something`},
		{`$[?count(@.*)]`, `path "$[?count(@.*)]", column 4: the result of count() must be compared with something`},
		{`$[?match(@,'a')==true]`, `path "$[?match(@,'a')==true]", column 4: the result of match() cannot be compared; use it alone`},
		{`$[?length(@.*)==1]`, `path "$[?length(@.*)==1]", column 11: argument 1 of length() must be a literal, a query for a single node (names and indexes) or a function with a value`},
		{`$[?count(1)==1]`, `path "$[?count(1)==1]", column 10: argument 1 of count() must be a query`},
		{`$[?match(@.a)]`, `path "$[?match(@.a)]", column 13: expected ',' and argument 2 of match()`},
		{`$[?value(@.a,1)==1]`, `path "$[?value(@.a,1)==1]", column 13: expected ')' after 1 argument(s) of value()`},
		{`$[?length==1]`, `path "$[?length==1]", column 10: expected '(' after length`},
		{`$[?size(@)==1]`, `path "$[?size(@)==1]", column 4: unknown function size(); there are length, count, match, search and value`},
		{`$[?search(@.a,'\\d')]`, `path "$[?search(@.a,'\\\\d')]", column 4: search(): the pattern "\\d" is not an I-Regexp (RFC 9485): at byte 0, unknown escape \d (I-Regexp has no \d, \w or \s; write [0-9] and the like)`},
		{"$.a\xff", `path "$.a\xff", column 4: the expression is not UTF-8`},
	} {
		_, err := jsonpath.Parse(c.expr)
		assert.EqualError(t, err, c.want)
	}
}

func TestParseIsWellTyped(t *testing.T) {
	for expr, ok := range map[string]bool{
		// RFC 9535 section 2.4.3, table 12.
		`$[?length(@) < 3]`:                          true,
		`$[?length(@.*) < 3]`:                        false,
		`$[?count(@.*) == 1]`:                        true,
		`$[?count(1) == 1]`:                          false,
		`$[?count(foo(@.*)) == 1]`:                   false,
		`$[?match(@.timezone, 'Europe/.*')]`:         true,
		`$[?match(@.timezone, 'Europe/.*') == true]`: false,
		`$[?value(@..color) == "red"]`:               true,
		`$[?value(@..color)]`:                        false,
		// And around it.
		`$[?!count(@.*) == 1]`:            false,
		`$[?!@.a == 1]`:                   false,
		`$[?!(@.a == 1)]`:                 true,
		`$[?!!@.a]`:                       false,
		`$[?(@.a) == 1]`:                  false,
		`$[?@.a == 1 == 2]`:               false,
		`$[?match((@.a), 'a')]`:           false,
		`$[?length(@.a == @.b) > 2]`:      false,
		`$[?length(!@.a) > 2]`:            false,
		`$[?length(value(@..a)) > 2]`:     true,
		`$[?length(match(@.a, 'a')) > 2]`: false,
		`$[?count(value(@.a)) > 2]`:       false,
		`$[?@[?@.a == 1]]`:                true,
		`$[?@.a == 'x', 1, *]`:            true,
	} {
		_, err := jsonpath.Parse(expr)
		assert.Equal(t, ok, err == nil, "%s: %v", expr, err)
	}
}

func TestParseBoundsNesting(t *testing.T) {
	for _, expr := range []string{
		"$[?" + strings.Repeat("(", 100_000) + "@",
		"$" + strings.Repeat("[?@", 100_000),
		"$[?" + strings.Repeat("length(", 100_000),
		"$[?!" + strings.Repeat("(!", 100_000),
	} {
		_, err := jsonpath.Parse(expr)
		assert.ErrorContains(t, err, "nested more than")
	}
	mustParse(t, "$[?"+strings.Repeat("(", 100)+"@.a"+strings.Repeat(")", 100)+"]")
	mustParse(t, "$"+strings.Repeat("[?@", 90)+".a"+strings.Repeat("]", 90))
	mustParse(t, "$"+strings.Repeat(".a", 10_000))
}

const friends = `{
	"name": {"first": "Tom", "last": "Anderson"},
	"age": 37,
	"children": ["Sara", "Alex", "Jack"],
	"fav.movie": "Deer Hunter",
	"0": "zero",
	"a*b": "star", "a|b": "pipe", "@type": "at", "/x": "slash", " y": "space", "[z]": "bracket", "#": "hash", "é": "acute",
	"friends": [
		{"first": "Dale", "nets": ["ig", "fb"]},
		{"first": "Roger", "nets": ["tw"]}
	]
}`

func TestGjsonPathsSelectWhatTheyName(t *testing.T) {
	for expr, want := range map[string][]string{
		`name.last`:        {`"Anderson"`},
		`age`:              {`37`},
		`children.0`:       {`"Sara"`},
		`children.3`:       {},
		`children.#`:       {`"Sara"`, `"Alex"`, `"Jack"`},
		`0`:                {`"zero"`},
		`children.01`:      {`"Alex"`},
		`#`:                {`"hash"`}, // or the member of that name
		`friends.1.first`:  {`"Roger"`},
		`friends.#.first`:  {`"Dale"`, `"Roger"`},
		`friends.#.nets.0`: {`"ig"`, `"tw"`},
		`name.#`:           {}, // not an array
		`child*.2`:         {`"Jack"`},
		`c?ildren.0`:       {`"Sara"`},
		`name.*`:           {`"Tom"`, `"Anderson"`},
		`children.*`:       {}, // names only
		`?`:                {`"zero"`, `"hash"`, `"acute"`},
		`fav\.movie`:       {`"Deer Hunter"`},
		`a\*b`:             {`"star"`},
		`a\|b`:             {`"pipe"`},
		`\@type`:           {`"at"`},
		`\/x`:              {`"slash"`},
		`\ y`:              {`"space"`},
		`\[z]`:             {`"bracket"`},
		`\#`:               {`"hash"`},
		`\é`:               {`"acute"`},
		`\0`:               {`"zero"`},
		`children.\0`:      {}, // escaped: a name only
	} {
		if diff := cmp.Diff(want, find(t, mustParse(t, expr), friends)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", expr, diff)
		}
	}
}

// The library itself is the judge wherever both find one place.
func TestGjsonPathsAgreeWithGjson(t *testing.T) {
	for _, expr := range []string{
		`name`, `name.last`, `age`, `age.x`, `children`, `children.0`, `children.2`, `children.3`, `children.01`, `children.+1`,
		`children.1e0`, `children.x`, `children.*`, `children.?`, `0`, `00`, `friends.1.first`, `friends.1.nets.0`, `friends.first`,
		`fav\.movie`, `fav.movie`, `fa*e`, `fa*.x`, `n?me.l*t`, `a\*b`, `a*b`, `a\|b`, `\@type`, `/x`, `\/x`, `\#`, `#`, `é`, `\é`, `?`, `name.f*`,
	} {
		path, err := jsonpath.Parse(expr)
		if err != nil {
			assert.Equal(t, "/x", expr, "only what looks like a JSON pointer is refused: %v", err)
			continue
		}
		want := []string{}
		if r := gjson.Get(friends, expr); r.Exists() {
			want = append(want, r.Raw)
		}
		got := find(t, path, friends)
		assert.Equal(t, want, got[:min(1, len(got))], expr)
	}
}

func TestGjsonPathsWithoutMeaningShowTheStandardSpelling(t *testing.T) {
	for _, c := range []struct {
		expr, hint string
		column     int
	}{
		{`friends.#(age>45)#.last`, `$.friends[?@.age > 45].name`, 9},
		{`friends.#[age>45]`, `$.friends[?@.age > 45].name`, 9},
		{`children.@reverse`, `$['@name']`, 10},
		{`@this`, `\@name`, 1},
		{`!"literal"`, `\!name`, 1},
		{`{a,b}`, `$['a','b']`, 1},
		{`a.[0,1]`, `$[0,1]`, 3},
		{`..#.name`, `$..name`, 1},
		{`a..b`, `$.a..b`, 3},
		{`a.`, `$['a']['']`, 3},
		{`a|b`, `write '.' instead of '|'`, 2},
		{`items[*].id`, `begin with '$.'`, 6},
		{`/items/0/id`, `$.items[0].id`, 1},
		{` $.a`, `white space`, 1},
		{`a `, `white space`, 2},
		{`#x`, `\#`, 1},
		{`a\`, `expected a character`, 2},
	} {
		_, err := jsonpath.Parse(c.expr)
		var syntax *jsonpath.SyntaxError
		if assert.ErrorAs(t, err, &syntax, c.expr) {
			assert.Contains(t, syntax.Msg, c.hint, c.expr)
			assert.Equal(t, c.column, syntax.Offset+1, c.expr)
		}
	}
}

func TestGlobsAreMatchedWithoutBlowUp(t *testing.T) {
	name := strings.Repeat("a", 20_000)
	assert.Empty(t, find(t, mustParse(t, strings.Repeat("a*", 30)+"b"), `{"`+name+`":1}`))
	assert.Equal(t, []string{"1"}, find(t, mustParse(t, strings.Repeat("a*", 30)+"a"), `{"`+name+`":1}`))
}
