package tally_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/report/tally"
)

// serve answers with a document.
func serve(contentType, doc string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		fmt.Fprint(w, doc)
	})
}

// mirrored reports to x what becomes of one request to path.
func mirrored(t *testing.T, x *tally.Tally, path, contentType, primary, candidate string, options ...shadow.Option) {
	t.Helper()
	m, err := shadow.New(shadow.InProcess("v2", serve(contentType, candidate)), append(options, shadow.WithReporter(x))...)
	require.NoError(t, err)
	m.Handler(serve(contentType, primary)).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
	require.NoError(t, m.Shutdown(context.Background()))
}

const (
	monday  = `"2024-01-01T00:00:00Z"`
	tuesday = `"2024-01-02T00:00:00Z"`
	uuid1   = `"6ba7b810-9dad-11d1-80b4-00c04fd430c8"`
	uuid2   = `"6ba7b811-9dad-11d1-80b4-00c04fd430c8"`
)

// A rule is suggested where it covers nothing but what is volatile, and refused with the
// reason everywhere else.
func TestARuleIsSuggestedOnlyWhereItCoversNothingElse(t *testing.T) {
	const json = "application/json"
	for name, tt := range map[string]struct {
		contentType        string
		primary, candidate string
		options            []shadow.Option
		others             [][3]string // path, primary, candidate of other requests
		rules              []string
		refused            []tally.RefusalReason
	}{
		"a timestamp":       {json, `{"at":` + monday + `,"v":1}`, `{"at":` + tuesday + `,"v":1}`, nil, nil, []string{"$.at"}, nil},
		"in an array":       {json, `{"items":[{"id":` + uuid1 + `},{"id":` + uuid1 + `}]}`, `{"items":[{"id":` + uuid2 + `},{"id":` + uuid1 + `}]}`, nil, nil, []string{"$.items[*].id"}, nil},
		"an odd name":       {json, `{"a b/c~'\"é":` + uuid1 + `}`, `{"a b/c~'\"é":` + uuid2 + `}`, nil, nil, []string{`$["a b/c~'\"é"]`}, nil},
		"two places":        {json, `{"at":` + monday + `,"id":` + uuid1 + `}`, `{"at":` + tuesday + `,"id":` + uuid2 + `}`, nil, nil, []string{"$.at", "$.id"}, nil},
		"one of two places": {json, `{"at":` + monday + `,"v":"a"}`, `{"at":` + tuesday + `,"v":"b"}`, nil, nil, []string{"$.at"}, []tally.RefusalReason{tally.RefusedValue}},
		"a value":           {json, `{"price":12}`, `{"price":13}`, nil, nil, nil, []tally.RefusalReason{tally.RefusedValue}},
		"a missing member":  {json, `{"at":` + monday + `}`, `{}`, nil, nil, nil, []tally.RefusalReason{tally.RefusedStructure}},
		"another type":      {json, `{"at":` + monday + `}`, `{"at":1}`, nil, nil, nil, []tally.RefusalReason{tally.RefusedStructure}},
		"a longer array":    {json, `[1]`, `[1,2]`, nil, nil, nil, []tally.RefusalReason{tally.RefusedLength}},
		"the root":          {json, monday, tuesday, nil, nil, nil, []tally.RefusalReason{tally.RefusedRoot}},
		"another order": {json, `[1,2,3]`, `[3,2,1]`, []shadow.Option{shadow.WithComparator(shadow.ComparatorFunc(func(*shadow.Exchange) []shadow.Diff {
			return []shadow.Diff{{Path: "/body/list", Kind: shadow.Reordered, Class: shadow.ClassOrder}}
		}))}, nil, nil, []tally.RefusalReason{tally.RefusedOrder}},
		"a member that looks like an index": {json, `{"2024":{"at":` + monday + `},"2025":{"at":` + monday + `}}`, `{"2024":{"at":` + tuesday + `},"2025":{"at":` + monday + `}}`,
			nil, nil, nil, []tally.RefusalReason{tally.RefusedBroad}},
		"missing elsewhere": {json, `{"at":` + monday + `}`, `{"at":` + tuesday + `}`, nil,
			[][3]string{{"/b", `{"at":` + monday + `}`, `{}`}}, nil, []tally.RefusalReason{tally.RefusedBroad}},
		"a container elsewhere": {json, `{"at":` + monday + `}`, `{"at":` + tuesday + `}`, nil,
			[][3]string{{"/b", `{"at":{"zone":1}}`, `{"at":{"zone":2}}`}}, nil, []tally.RefusalReason{tally.RefusedBroad}},
		"a value elsewhere": {json, `{"at":` + monday + `}`, `{"at":` + tuesday + `}`, nil,
			[][3]string{{"/b", `{"at":"noon"}`, `{"at":"midnight"}`}}, nil, []tally.RefusalReason{tally.RefusedValue}},
		"a timestamp elsewhere": {json, `{"at":` + monday + `}`, `{"at":` + tuesday + `}`, nil,
			[][3]string{{"/b", `{"at":` + monday + `}`, `{"at":` + tuesday + `}`}}, []string{"$.at"}, nil},
		"masked": {json, `{"at":` + monday + `}`, `{"at":` + tuesday + `}`, []shadow.Option{shadow.WithMasker(shadow.MaskJSON("$.at"))}, nil,
			nil, []tally.RefusalReason{tally.RefusedMasked}},
		"too large": {json, `{"at":` + monday + `,"v":"` + strings.Repeat("x", 200_000) + `"}`, `{"at":` + tuesday + `,"v":"` + strings.Repeat("x", 200_000) + `"}`, nil, nil,
			nil, []tally.RefusalReason{tally.RefusedUnverified}},
		"no JSON": {"application/x-www-form-urlencoded", "at=2024-01-01T00:00:00Z", "at=2024-01-02T00:00:00Z", nil, nil, nil, []tally.RefusalReason{tally.RefusedNotJSON}},
	} {
		t.Run(name, func(t *testing.T) {
			x := newTally(t, tally.Options{})
			options := append([]shadow.Option{shadow.WithRoute(func(r *http.Request) string { return r.URL.Path })}, tt.options...)
			mirrored(t, x, "/a", tt.contentType, tt.primary, tt.candidate, options...)
			for _, other := range tt.others {
				mirrored(t, x, other[0], tt.contentType, other[1], other[2], options...)
			}
			g := x.Snapshot().Groups[0]
			require.Equal(t, "/a", g.Route)
			s, err := x.Suggest(g.Fingerprint)
			require.NoError(t, err)
			var rules []string
			for _, r := range s.Rules {
				rules = append(rules, r.Ignore)
			}
			var refused []tally.RefusalReason
			for _, r := range s.Refused {
				refused = append(refused, r.Reason)
			}
			assert.Equal(t, tt.rules, rules)
			assert.Equal(t, tt.refused, refused)
			assert.Equal(t, len(tt.refused) == 0, s.Resolves)
			if s.Resolves { // it does what it says
				again := newTally(t, tally.Options{})
				mirrored(t, again, "/a", tt.contentType, tt.primary, tt.candidate, append(options, shadow.WithCompare(shadow.CompareOptions{Ignore: rules}))...)
				assert.EqualValues(t, 1, again.Snapshot().Routes[0].Results.Match)
			}
		})
	}
}

func TestNothingIsSuggestedOutsideOfTheBody(t *testing.T) {
	x := newTally(t, tally.Options{})
	report(t, x, differing("GET /a", 200, 500, diff("/status", shadow.Changed, "", "200", "500"), diff("/header/Date", shadow.Changed, "timestamp", monday, tuesday)))
	s, err := x.Suggest(x.Snapshot().Groups[0].Fingerprint)
	require.NoError(t, err)
	assert.Empty(t, s.Rules)
	for _, r := range s.Refused {
		assert.Equal(t, tally.RefusedPlace, r.Reason)
	}
}

func TestASuggestionIsOfAGroupThatIsThere(t *testing.T) {
	x := newTally(t, tally.Options{})
	for _, fingerprint := range []string{"", "0123456789abcdef", tally.Other} {
		_, err := x.Suggest(fingerprint)
		assert.ErrorContains(t, err, "there is no group")
	}
}

// Suggest compares as the mirror does: a rule that the mirror has already is no news.
func TestSuggestComparesAsTheMirrorDoes(t *testing.T) {
	o := shadow.CompareOptions{Keyed: map[string]string{"$": "k"}}
	x := newTally(t, tally.Options{Compare: o})
	mirrored(t, x, "/", "application/json", `[{"k":1,"at":`+monday+`},{"k":2}]`, `[{"k":2},{"k":1,"at":`+tuesday+`}]`, shadow.WithCompare(o))
	s, err := x.Suggest(x.Snapshot().Groups[0].Fingerprint)
	require.NoError(t, err)
	require.Len(t, s.Rules, 1)
	assert.Equal(t, "$[*].at", s.Rules[0].Ignore)
	assert.True(t, s.Resolves)
}

// The answers that are kept have a bound; those of groups that lose an exemplar are freed.
func TestKeptAnswersAreBounded(t *testing.T) {
	x := newTally(t, tally.Options{ExemplarBytes: 8 << 10})
	for _, route := range []string{"/a", "/b", "/c", "/d"} {
		mirrored(t, x, route, "application/json", `{"at":`+monday+`}`, `{"at":`+tuesday+`}`, shadow.WithRoute(func(r *http.Request) string { return r.URL.Path }))
	}
	unverified := 0
	for _, g := range x.Snapshot().Groups {
		s, err := x.Suggest(g.Fingerprint)
		require.NoError(t, err)
		if len(s.Refused) > 0 {
			assert.Equal(t, tally.RefusedUnverified, s.Refused[0].Reason)
			unverified++
		}
	}
	assert.Equal(t, 1, unverified, "8 KiB are room for the answers of three")
}
