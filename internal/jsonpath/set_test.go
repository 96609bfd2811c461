package jsonpath_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow/internal/jsonpath"
	"github.com/goshadow/shadow/internal/jsonscan"
)

func newSet(tb testing.TB, exprs ...string) *jsonpath.Set {
	paths := make([]*jsonpath.Path, len(exprs))
	for i, expr := range exprs {
		paths[i] = mustParse(tb, expr)
	}
	return jsonpath.NewSet(paths...)
}

// descend goes down from the root: strings are members, ints elements.
func descend(set *jsonpath.Set, steps ...any) jsonpath.State {
	st := set.Start()
	for _, step := range steps {
		switch step := step.(type) {
		case string:
			st = set.Member(st, []byte(step))
		case int:
			st = set.Element(st, step)
		}
	}
	return st
}

func TestSetTellsWhichPathsMatchAtEachStep(t *testing.T) {
	set := newSet(t, "$", "$.a", "$.a.b", "$..b", "$.*", "$[1]", "$[1:4:2].b", "a.#.b", "$.a[*].b", "$..[2:]")
	for _, c := range []struct {
		steps []any
		want  []int
	}{
		{nil, []int{0}},
		{[]any{"a"}, []int{1, 4}},
		{[]any{"b"}, []int{3, 4}},
		{[]any{"a", "b"}, []int{2, 3}},
		{[]any{0}, []int{4}},
		{[]any{1}, []int{4, 5}},
		{[]any{2}, []int{4, 9}},
		{[]any{1_000_000}, []int{4, 9}},
		{[]any{1, "b"}, []int{3, 6}},
		{[]any{2, "b"}, []int{3}},
		{[]any{3, "b"}, []int{3, 6}},
		{[]any{5, "b"}, []int{3}},
		{[]any{"a", 7, "b"}, []int{3, 7, 8}},
		{[]any{"a", "x", "b"}, []int{3, 8}}, // * is a member too, # is not
		{[]any{"x", "y"}, nil},
		{[]any{"x", "y", 0, "b"}, []int{3}},
	} {
		for range 2 { // computed, then remembered
			assert.Equal(t, c.want, descend(set, c.steps...).IDs(), "%v", c.steps)
		}
	}
}

func TestDeadStatesStayDead(t *testing.T) {
	var zero jsonpath.State
	assert.True(t, zero.Dead())
	assert.Nil(t, zero.IDs())

	set := newSet(t, "$.a.b", "$.c[0]")
	assert.False(t, set.Start().Dead())
	assert.False(t, descend(set, "a", "b").Dead(), "a match is not dead")
	for _, steps := range [][]any{{"x"}, {0}, {"a", "x"}, {"a", 0}, {"c", "0"}, {"c", 1}, {"a", "b", "c"}, {"a", "b", 0}, {"x", "a", "b"}} {
		assert.Equal(t, zero, descend(set, steps...), "%v", steps)
		assert.True(t, descend(set, steps...).Dead(), "%v", steps)
	}

	assert.True(t, jsonpath.NewSet().Start().Dead())
	assert.True(t, newSet(t, "$[?@.a]", "$[-1]").Start().Dead(), "deferred paths are not walked")
}

func TestDeferredAreThePathsAWalkCannotDecide(t *testing.T) {
	for expr, deferred := range map[string]bool{
		"$":                 false,
		"$.a..b[*]":         false,
		"$[0,'a',*]":        false,
		"$[1:]":             false,
		"$[:3:2]":           false,
		"$[::0]":            false,
		"$[::64]":           false,
		"a.0.#.*":           false,
		"$[?@.a]":           true,
		"$.a[?@.a].b":       true,
		"$['a',?@.a]":       true,
		"$[-1]":             true,
		"$[-2:]":            true,
		"$[:-1]":            true,
		"$[::-1]":           true,
		"$[::65]":           true,
		"a*.b":              true,
		"$..a[?@.b == 'c']": true,
	} {
		assert.Equal(t, deferred, newSet(t, expr).Deferred(), expr)
	}
	// Steps whose common period is too long cannot all be walked.
	assert.False(t, newSet(t, "$[::7]", "$[::9]").Deferred())
	set := newSet(t, "$[::7]", "$[::9]", "$[::11]")
	assert.True(t, set.Deferred())
	doc := []byte("[" + strings.Repeat("0,", 2000) + "0]")
	got := matched(t, set, 3, doc)
	for id, expr := range []string{"$[::7]", "$[::9]", "$[::11]"} {
		assert.Equal(t, selected(t, mustParse(t, expr), doc), got[id])
	}
}

func TestLocateTellsPlacesByStartOffset(t *testing.T) {
	set := newSet(t, "$[?@.a==1]", "$.x", "$[-1]", "$..a", "$[?@.a]")
	doc := []byte(` [{"a":1},{"a":2},{"b":1}]`)
	located, err := set.Locate(doc, 0)
	require.NoError(t, err)
	assert.Equal(t, []int{0, 4}, located.IDs(2))
	assert.Equal(t, []int{4}, located.IDs(10))
	assert.Equal(t, []int{2}, located.IDs(18))
	assert.Nil(t, located.IDs(0))

	_, err = set.Locate([]byte(`[`), 0)
	assert.Error(t, err)
	_, err = set.Locate([]byte(`[[[]]]`), 2)
	assert.Error(t, err)

	located, err = newSet(t, "$.a").Locate([]byte("not JSON, and not looked at"), 0)
	require.NoError(t, err)
	assert.Nil(t, located.IDs(0))
	assert.Nil(t, jsonpath.Located{}.IDs(0))
}

func TestFoldingAndExactPathsMixInOneSet(t *testing.T) {
	set := jsonpath.NewSet(
		mustParse(t, "$..password").Fold(),
		mustParse(t, "$.Password"),
		mustParse(t, "$.straße").Fold(),
		mustParse(t, "$..kind").Fold(),
		mustParse(t, "$.*"),
	)
	for name, want := range map[string][]int{
		"password":               {0, 4},
		"Password":               {0, 1, 4},
		"PASSWORD":               {0, 4},
		"pa\u017f\u017fword":     {0, 4}, // long s
		"STRAẞE":                 {2, 4}, // capital sharp s
		"STRASSE":                {4},    // full folding is not simple folding
		"\u212aIND":              {3, 4}, // Kelvin sign
		"passwor":                {4},
		"passwor\xff":            {4},
		strings.Repeat("p", 999): {4},
	} {
		for range 2 {
			assert.Equal(t, want, descend(set, name).IDs(), name)
		}
	}
	assert.Equal(t, []int{0}, descend(set, 0, "x", "pAssWord").IDs())
}

// Rules as people write them: a few headers of a page, ids and times at any
// depth, masks without regard to case.
func realisticSet(tb testing.TB) *jsonpath.Set {
	var paths []*jsonpath.Path
	for _, expr := range []string{
		"$.meta.requestId", "$.meta.took", "$..updatedAt", "$..createdAt", "$.items[*].etag", "$.items[*].links.self",
		"$.items[0].cursor", "$.items[10:].score", "$.debug", "data.user.lastSeen", "data.list.#.rank", "$..['_id','_rev']",
	} {
		paths = append(paths, mustParse(tb, expr))
	}
	for _, name := range []string{"password", "token", "secret", "authorization", "ssn", "iban", "cardNumber", "cvv", "email", "phone"} {
		paths = append(paths, mustParse(tb, "$.."+name).Fold())
	}
	return jsonpath.NewSet(paths...)
}

var steps = [][]any{
	{"meta", "requestId"}, {"meta", "other"}, {"items", 0, "cursor"}, {"items", 11, "score"}, {"items", 3, "links", "self"},
	{"items", 3, "owner", "Password"}, {"items", 3, "owner", "CARDNUMBER"}, {"items", 5, "a rather long name that no rule knows"},
	{"data", "list", 7, "rank"}, {"data", "user", "lastSeen"}, {"x", "y", "z", 1, 2, 3, "updatedAt"}, {"é", "ÉMAIL"},
}

func TestStepsDoNotAllocate(t *testing.T) {
	set := realisticSet(t)
	names := make([][][]byte, len(steps)) // converted beforehand
	for i, way := range steps {
		for _, step := range way {
			name, _ := step.(string)
			names[i] = append(names[i], []byte(name))
		}
	}
	matches := 0
	walk := func() {
		for i, way := range steps {
			st := set.Start()
			for k, step := range way {
				if index, ok := step.(int); ok {
					st = set.Element(st, index)
				} else {
					st = set.Member(st, names[i][k])
				}
				matches += len(st.IDs())
			}
		}
	}
	walk()
	assert.NotZero(t, matches)
	assert.Zero(t, testing.AllocsPerRun(100, walk))
}

func TestNamesThatNoPathKnowsLeaveNothingBehind(t *testing.T) {
	set := realisticSet(t)
	visit := func(from, n int) {
		for i := range n {
			name := fmt.Appendf(nil, "name %d", from+i)
			st := set.Member(set.Start(), name)
			st = set.Member(st, name)
			set.Element(st, from+i)
		}
	}
	visit(0, 100)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	visit(100, 100_000)
	runtime.GC()
	runtime.ReadMemStats(&after)
	assert.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(1<<20))
	runtime.KeepAlive(set)
}

// The deterministic automaton of this set has more than a million states. The
// set keeps a part of them and stays right beyond.
func TestStatesPastTheBoundAreComputedAnew(t *testing.T) {
	set := newSet(t, "$..a"+strings.Repeat(".*", 20), "$..b", "$.c[3:17:5].d")
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	rng := rand.New(rand.NewPCG(1, 2))
	history := make([]byte, 0, 1000)
	for range 300 {
		st := set.Start()
		history = history[:0]
		for range 300 {
			name := "abx"[rng.IntN(3)]
			history = append(history, name)
			st = set.Member(st, []byte{name})
			var want []int
			if len(history) > 20 && history[len(history)-21] == 'a' {
				want = append(want, 0)
			}
			if name == 'b' {
				want = append(want, 1)
			}
			require.Equal(t, want, st.IDs(), "%s", history)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	assert.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(16<<20))
	// What was not remembered has no edges, neither for names nor for elements.
	assert.Equal(t, []int{2}, descend(set, "c", 8, "d").IDs())
	runtime.KeepAlive(set)
}

func TestThousandsOfPathsAreMatchedTogether(t *testing.T) {
	var paths []*jsonpath.Path
	for i := range 5000 {
		paths = append(paths, mustParse(t, fmt.Sprintf("$.a%d.b%d[%d]", i, i, i)), mustParse(t, fmt.Sprintf("$..z%d", i)))
	}
	set := jsonpath.NewSet(paths...)
	for _, i := range []int{0, 1, 2500, 4999} {
		a, b, z := fmt.Sprintf("a%d", i), fmt.Sprintf("b%d", i), fmt.Sprintf("z%d", i)
		assert.Equal(t, []int{2 * i}, descend(set, a, b, i).IDs())
		assert.Nil(t, descend(set, a, b, i+1).IDs())
		assert.Equal(t, []int{2*i + 1}, descend(set, a, b, i, z).IDs())
	}
}

func TestSetIsSafeForConcurrentUse(t *testing.T) {
	set := jsonpath.NewSet(
		mustParse(t, "$..a.*.b"), mustParse(t, "$..B").Fold(), mustParse(t, "$.x[1:9:3]"), mustParse(t, "$..[?@.a==1].b"), mustParse(t, "$[-1]"),
	)
	docs := make([][]byte, 16)
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range docs {
		docs[i] = randomDocument(rng, 6)
	}
	want := make([][]map[int]bool, len(docs))
	for i, doc := range docs {
		fresh := jsonpath.NewSet(
			mustParse(t, "$..a.*.b"), mustParse(t, "$..B").Fold(), mustParse(t, "$.x[1:9:3]"), mustParse(t, "$..[?@.a==1].b"), mustParse(t, "$[-1]"),
		)
		want[i] = matched(t, fresh, 5, doc)
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range docs {
				i = (i + g) % len(docs)
				assert.Equal(t, want[i], matched(t, set, 5, docs[i]))
			}
		})
	}
	wg.Wait()
}

func TestSelectIsSafeForConcurrentUse(t *testing.T) {
	path := mustParse(t, "$..[?match(@.a,'x.*') && @.b == $.b]")
	doc := []byte(`{"b":1,"l":[{"a":"xy","b":1},{"a":"xy","b":2}]}`)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			nodes, err := path.Select(doc, jsonscan.DefaultMaxDepth)
			assert.NoError(t, err)
			assert.Len(t, nodes, 1)
		})
	}
	wg.Wait()
}
