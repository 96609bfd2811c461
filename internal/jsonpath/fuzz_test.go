package jsonpath_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow/internal/jsonpath"
)

func FuzzParseNeverPanics(f *testing.F) {
	for _, c := range complianceSuite(f) {
		f.Add(c.Selector)
	}
	for _, expr := range []string{`a.#.b`, `a*?\..0`, `friends.#(a>1)`, `$[?match(@,'[^a-\\]]\\p{Lu}{1,2}')]`} {
		f.Add(expr)
	}
	f.Fuzz(func(t *testing.T, expr string) {
		path, err := jsonpath.Parse(expr)
		if err != nil {
			require.Nil(t, path)
			var syntax *jsonpath.SyntaxError
			require.ErrorAs(t, err, &syntax)
			require.Equal(t, expr, syntax.Expr)
			require.True(t, 0 <= syntax.Offset && syntax.Offset <= len(expr))
			require.NotEmpty(t, syntax.Error())
			return
		}
		require.Equal(t, expr, path.String())
		_, err = path.Fold().Select([]byte(`{"a":[{"b":1},"x",null],"c":{"a":[2]}}`), 0)
		require.NoError(t, err)
	})
}

func FuzzSelectAgreesWithTheWalkOnAnyBytes(f *testing.F) {
	for _, c := range complianceSuite(f) {
		if !c.Invalid {
			f.Add(c.Selector, []byte(c.Document))
		}
	}
	f.Add(`$..["\u0061"][?length(@)>1]`, []byte(`{"\ud800":["\udc00",{"a":1,"a":{}}],"`+"\xff"+`":[[[]]]}`))
	f.Add(`$[?@.a==@.b]`, []byte(`[{"a":{"x":1,"y":[{}]},"b":{"y":[{}],"x":1.0}}]`))
	f.Add(`$..*..*`, []byte(strings.Repeat("[", 300)))
	f.Fuzz(func(t *testing.T, expr string, doc []byte) {
		path, err := jsonpath.Parse(expr)
		if err != nil {
			return
		}
		nodes, err := path.Select(doc, 1000)
		if err != nil {
			return
		}
		require.True(t, json.Valid(doc), "what Select takes is JSON")
		for _, n := range nodes[:min(len(nodes), 10)] {
			require.True(t, json.Valid(doc[n.Start:n.End]))
		}
		assert.Equal(t, selected(t, path, doc), matched(t, jsonpath.NewSet(path), 1, doc)[0])
	})
}

// A normalized path is itself an expression, which selects the one node it names
// (where names are unique).
func FuzzNormalizedPathsFindTheirNode(f *testing.F) {
	f.Add([]byte(`{"a":[{"b c":[10,20]}],"it's \\ \b\f\n\r\t\u000b\u00e9":[[true]]}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		nodes, err := mustParse(t, "$..*").Select(doc, 100)
		if err != nil || len(nodes) > 100 || !unique(doc) {
			return
		}
		for _, n := range nodes {
			if strings.Contains(n.Path(), `\ud`) || strings.Contains(n.Path(), "\uFFFD") {
				continue // not a character, so not to be named by any expression
			}
			found, err := mustParse(t, n.Path()).Select(doc, 100)
			require.NoError(t, err)
			require.Len(t, found, 1, n.Path())
			require.Equal(t, n.Start, found[0].Start)
			require.Equal(t, n.Path(), found[0].Path())
		}
	})
}

// unique reports whether no object of doc has a name twice: then decoding and
// encoding keeps the number of values.
func unique(doc []byte) bool {
	var v any
	if json.Unmarshal(doc, &v) != nil {
		return false
	}
	count := func(v any) int {
		n := 0
		for pending := []any{v}; len(pending) > 0; n++ {
			last := len(pending) - 1
			v, pending = pending[last], pending[:last]
			switch v := v.(type) {
			case map[string]any:
				for _, x := range v {
					pending = append(pending, x)
				}
			case []any:
				pending = append(pending, v...)
			}
		}
		return n
	}
	p, err := jsonpath.Parse("$..*")
	if err != nil {
		return false
	}
	nodes, err := p.Select(doc, 100)
	return err == nil && count(v) == len(nodes)+1
}

// Random sets of random paths on random documents, with a small alphabet so that
// things match.
func TestWalkAgreesWithSelectOnRandomSets(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	hits := 0
	for range 2000 {
		paths := make([]*jsonpath.Path, 1+rng.IntN(8))
		for i := range paths {
			paths[i] = mustParse(t, randomExpr(rng))
			if rng.IntN(3) == 0 {
				paths[i] = paths[i].Fold()
			}
		}
		set := jsonpath.NewSet(paths...)
		for range 3 {
			doc := randomDocument(rng, 4)
			got := matched(t, set, len(paths), doc)
			for id, path := range paths {
				want := selected(t, path, doc)
				hits += len(want)
				require.Equal(t, want, got[id], "%s among %v on %s", path, paths, doc)
			}
		}
	}
	assert.Greater(t, hits, 10_000)
}

func randomExpr(rng *rand.Rand) string {
	pick := func(of ...string) string { return of[rng.IntN(len(of))] }
	if rng.IntN(6) == 0 { // gjson
		parts := make([]string, 1+rng.IntN(4))
		for i := range parts {
			parts[i] = pick("a", "b", "B", "#", "*", "0", "1", "?", "a*")
		}
		return strings.Join(parts, ".")
	}
	expr := "$"
	for range rng.IntN(5) {
		expr += pick("", "", "", "..")
		selectors := make([]string, 1+rng.IntN(2))
		for i := range selectors {
			selectors[i] = pick("'a'", "'b'", `"B"`, "'\\u0061'", "*", "0", "1", "2", "-1", "1:", ":2", "::2", "1:5:3", "::-1", "-2:",
				"?@.a", "?@.a==1", "?@==@", "?length(@)>1", "?@.a<@.b", "?!@..b", "?count(@.*)==2", "?match(@,'x.*')", "?value(@..a)==$.a")
		}
		expr += "[" + strings.Join(selectors, ",") + "]"
	}
	return expr
}

func randomDocument(rng *rand.Rand, depth int) []byte {
	var b []byte
	var value func(depth int)
	value = func(depth int) {
		kind := rng.IntN(5)
		if depth == 0 {
			kind = rng.IntN(2)
		}
		switch kind {
		case 0:
			b = fmt.Appendf(b, "%d", rng.IntN(3))
		case 1:
			b = append(b, []string{`"x"`, `"xy"`, `"\u0078"`, "null", "true", "1.0"}[rng.IntN(6)]...)
		case 2:
			b = append(b, '[')
			for i := range rng.IntN(6) {
				if i > 0 {
					b = append(b, ',', ' ')
				}
				value(depth - 1)
			}
			b = append(b, ']')
		default:
			b = append(b, '{')
			for i := range rng.IntN(6) {
				if i > 0 {
					b = append(b, ',')
				}
				b = append(b, []string{`"a"`, `"b"`, `"A"`, `"B"`, `"\u0061"`, `"c"`, `"0"`, `"ab"`, `"#"`}[rng.IntN(9)]...)
				b = append(b, ':')
				value(depth - 1)
			}
			b = append(b, '}')
		}
	}
	value(depth)
	return b
}
