package jsonpath_test

import (
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow/internal/jsonpath"
	"github.com/goshadow/shadow/internal/jsonscan"
)

// A complianceCase is one test of the official JSONPath Compliance Test Suite;
// see testdata/cts/README.md.
type complianceCase struct {
	Name         string
	Selector     string
	Document     json.RawMessage
	Result       []json.RawMessage
	Results      [][]json.RawMessage // several orders are right
	ResultPaths  []string            `json:"result_paths"`
	ResultsPaths [][]string          `json:"results_paths"`
	Invalid      bool                `json:"invalid_selector"`
}

// alternatives returns the acceptable results, values and paths side by side.
func (c complianceCase) alternatives() ([][]json.RawMessage, [][]string) {
	if c.Results != nil {
		return c.Results, c.ResultsPaths
	}
	return [][]json.RawMessage{c.Result}, [][]string{c.ResultPaths}
}

func complianceSuite(tb testing.TB) []complianceCase {
	data, err := os.ReadFile("testdata/cts/cts.json")
	require.NoError(tb, err)
	var suite struct{ Tests []complianceCase }
	require.NoError(tb, json.Unmarshal(data, &suite))
	require.Len(tb, suite.Tests, 687, "the vendored suite is complete")
	return suite.Tests
}

func TestComplianceSuiteInvalidSelectorsAreRefused(t *testing.T) {
	refused := 0
	for _, c := range complianceSuite(t) {
		if !c.Invalid {
			continue
		}
		refused++
		_, err := jsonpath.Parse(c.Selector)
		var syntax *jsonpath.SyntaxError
		if assert.ErrorAs(t, err, &syntax, "%s: %s", c.Name, c.Selector) {
			assert.Equal(t, c.Selector, syntax.Expr)
			assert.LessOrEqual(t, syntax.Offset, len(c.Selector))
		}
	}
	assert.Equal(t, 245, refused)
}

func TestComplianceSuiteSelectsExactlyTheExpectedNodes(t *testing.T) {
	for _, c := range complianceSuite(t) {
		if c.Invalid {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			path, err := jsonpath.Parse(c.Selector)
			require.NoError(t, err)
			assert.Equal(t, c.Selector, path.String())
			nodes, err := path.Select(c.Document, jsonscan.DefaultMaxDepth)
			require.NoError(t, err)

			paths := []string{}
			for _, n := range nodes {
				paths = append(paths, n.Path())
			}
			values, wanted := c.alternatives()
			i := slices.IndexFunc(wanted, func(w []string) bool { return slices.Equal(w, paths) })
			require.GreaterOrEqual(t, i, 0, "%s selects %q, want one of %q", c.Selector, paths, wanted)
			for k, n := range nodes {
				assert.JSONEq(t, string(values[i][k]), string(c.Document[n.Start:n.End]))
			}
		})
	}
}

func TestComplianceSuiteHoldsWhileWalking(t *testing.T) {
	walked, located := 0, 0
	for _, c := range complianceSuite(t) {
		if c.Invalid {
			continue
		}
		path, err := jsonpath.Parse(c.Selector)
		require.NoError(t, err, c.Name)
		set := jsonpath.NewSet(path)
		if set.Deferred() {
			located++
		} else {
			walked++
		}
		assert.Equal(t, selected(t, path, c.Document), matched(t, set, 1, c.Document)[0], "%s: %s", c.Name, c.Selector)
	}
	assert.Positive(t, walked)
	assert.Positive(t, located)
	t.Logf("%d paths matched by the walk, %d deferred", walked, located)
}

// All paths of the suite in one Set: hundreds of them at once must not get into
// each other's way.
func TestComplianceSuitePathsKeepApartInOneSet(t *testing.T) {
	var paths []*jsonpath.Path
	var docs []json.RawMessage
	for _, c := range complianceSuite(t) {
		if c.Invalid {
			continue
		}
		path, err := jsonpath.Parse(c.Selector)
		require.NoError(t, err, c.Name)
		paths = append(paths, path)
		if !slices.ContainsFunc(docs, func(d json.RawMessage) bool { return string(d) == string(c.Document) }) {
			docs = append(docs, c.Document)
		}
	}
	set := jsonpath.NewSet(paths...)
	for _, doc := range docs {
		got := matched(t, set, len(paths), doc)
		for id, path := range paths {
			if !assert.Equal(t, selected(t, path, doc), got[id], "%s on %s", path, doc) {
				return
			}
		}
	}
}

// selected is the set of places, by start offset, that Select finds.
func selected(tb testing.TB, path *jsonpath.Path, doc []byte) map[int]bool {
	nodes, err := path.Select(doc, jsonscan.DefaultMaxDepth)
	require.NoError(tb, err)
	places := map[int]bool{}
	for _, n := range nodes {
		places[n.Start] = true
	}
	return places
}

// matched walks doc as a comparator or masker does and returns the places where
// each of the n paths of the set matches.
func matched(tb testing.TB, set *jsonpath.Set, n int, doc []byte) []map[int]bool {
	located, err := set.Locate(doc, jsonscan.DefaultMaxDepth)
	require.NoError(tb, err)
	places := make([]map[int]bool, n)
	for id := range places {
		places[id] = map[int]bool{}
	}
	visit := func(start int, ids []int) {
		require.True(tb, slices.IsSorted(ids))
		for _, id := range ids {
			require.False(tb, places[id][start], "path %d is told once per place", id)
			places[id][start] = true
		}
	}
	var walk func(start int, st jsonpath.State) (end int)
	walk = func(start int, st jsonpath.State) int {
		if st.Dead() {
			require.Empty(tb, st.IDs())
		}
		visit(start, st.IDs())
		visit(start, located.IDs(start))
		if doc[start] != '{' && doc[start] != '[' {
			end, err := jsonscan.Scalar(doc, start)
			require.NoError(tb, err)
			return end
		}
		c := jsonscan.Open(doc, start)
		for c.Next(doc) {
			below := set.Element(st, c.Index)
			if c.Object() {
				below = set.Member(st, jsonscan.AppendUnquote(nil, doc[c.Name:c.NameEnd]))
			}
			c.End = walk(c.Start, below)
		}
		require.NoError(tb, c.Err)
		return c.Close
	}
	walk(jsonscan.Space(doc, 0), set.Start())
	return places
}
