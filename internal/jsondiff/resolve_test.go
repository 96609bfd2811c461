package jsondiff

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestResolveFollowsNamesAndIndexes(t *testing.T) {
	const doc = `{"a":1,"secret":{"pin":[1,2,{"x":3}],"user":"bob"},"a":2,"list":[10,[20,30],{"k/":"v"}],"\u006e":5}`
	spanOf := func(text, within string) Span {
		for i := 0; i+len(text) <= len(within); i++ {
			if within[i:i+len(text)] == text {
				return Span{i, i + len(text)}
			}
		}
		t.Fatalf("no %s in %s", text, within)
		return absent
	}
	for _, c := range []struct{ name, value, masked, want string }{
		{"itself", doc, `{"a":1}`, `{"a":1}`},
		{"scalar", `"bob"`, `{"secret":{"user":"***","pin":0}}`, `"***"`},
		{"the second of a name", `2,"list"`, `{"a":"first","a":"second"}`, `"second"`},
		{"the second of a name where one is left", `2,"list"`, `{"a":"first"}`, ``},
		{"element", `30`, `{"list":["x", ["y" , "z"]]}`, `"z"`},
		{"element that is gone", `30`, `{"list":["x",["y"]]}`, ``},
		{"inside what became a string", `3}`, `{"secret":"***"}`, `"***"`},
		{"deep inside what became null", `3}`, `{"secret":{"pin":null}}`, `null`},
		{"inside what became another container", `3}`, `{"secret":[1]}`, `[1]`},
		{"inside what is gone", `3}`, `{"a":1}`, ``},
		{"the document became a scalar", `30`, ` "***" `, `"***"`},
		{"a name with escapes", `5}`, `{"n":"five"}`, `"five"`},
		{"a name with a slash", `"v"`, `{"list":[0,0,{"k\/":true}]}`, `true`},
		{"a container", `[20,30]`, `{"list":[0,[ 1 ]]}`, `[ 1 ]`},
	} {
		span := spanOf(c.value, doc)
		if c.value[0] >= '0' && c.value[0] <= '9' && len(c.value) > 1 && (c.value[1] < '0' || c.value[1] > '9') {
			span.End = span.Start + 1
		}
		found, err := New(Options{}).Resolve([]byte(doc), []byte(c.masked), []Span{span, absent, {2, 3}})
		require.NoError(t, err, c.name)
		assert.Equal(t, c.want, string(found[0].Of([]byte(c.masked))), c.name)
		assert.Equal(t, []Span{absent, absent}, found[1:], c.name)
	}
	for _, broken := range []string{``, `{"a":1`, `{"a":1} x`, `nul`} {
		_, err := New(Options{}).Resolve([]byte(doc), []byte(broken), []Span{{0, len(doc)}})
		assert.Error(t, err, broken)
		_, err = New(Options{}).Resolve([]byte(broken), []byte(doc), nil)
		assert.Error(t, err, broken)
	}
}

// TestResolveFindsEveryValueOfAnotherSpelling holds Resolve to the reference
// for all values of random documents at once.
func TestResolveFindsEveryValueOfAnotherSpelling(t *testing.T) {
	c := New(Options{})
	for seed := range uint64(300) {
		g := &generator{Rand: rand.New(rand.NewPCG(seed, 0))}
		one := g.term(4)
		doc, masked := g.render(one), g.render(one)
		a, b := decode(doc), decode(masked)
		var spans, want []Span
		var pair func(x, y *value)
		pair = func(x, y *value) {
			spans, want = append(spans, Span{x.start, x.end}), append(want, Span{y.start, y.end})
			if x.kind == '[' {
				for i := range x.children {
					pair(x.children[i], y.children[i])
				}
				return
			}
			theirs := y.members()
			for i, name := range x.names {
				pair(x.children[i], theirs[name][0])
				theirs[name] = theirs[name][1:]
			}
		}
		pair(a, b)
		g.Shuffle(len(spans), func(i, j int) {
			spans[i], spans[j] = spans[j], spans[i]
			want[i], want[j] = want[j], want[i]
		})
		found, err := c.Resolve(doc, masked, spans)
		require.NoError(t, err)
		require.Equal(t, want, found, "%s\n%s", doc, masked)
	}
}
