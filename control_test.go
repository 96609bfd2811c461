package shadow_test

import (
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

// What a place is counted by: how often the candidate differs there, and how often the
// control does, in the same results.
func TestAResultTellsHowTheControlDiffers(t *testing.T) {
	const primary = `{"at":1,"items":[{"t":1},{"t":2}],"v":1}`
	at := func(path string, kind shadow.DiffKind) shadow.Diff { return shadow.Diff{Path: path, Kind: kind} }
	for name, tt := range map[string]struct {
		candidate, control string
		want               []shadow.Diff
	}{
		"nowhere":                     {`{"at":2,"items":[],"v":1}`, primary, nil},
		"where the candidate matches": {primary, `{"at":3,"items":[{"t":1},{"t":2}],"v":1}`, []shadow.Diff{at("/body/at", shadow.Changed)}},
		"in several elements": {primary, `{"at":1,"items":[{"t":7},{"t":8}],"v":"1"}`,
			[]shadow.Diff{at("/body/items/*/t", shadow.Changed), at("/body/v", shadow.TypeChanged)}},
	} {
		t.Run(name, func(t *testing.T) {
			m, results := mirror(t, shadow.InProcess("v2", jsonDoc(tt.candidate)), shadow.WithControl(shadow.InProcess("v1", jsonDoc(tt.control))))
			getFrom(m.Handler(jsonDoc(primary)), "/")
			require.NoError(t, m.Shutdown(t.Context()))
			r := results.All()[0]
			require.NotNil(t, r.Control)
			for i := range r.Control.Diffs {
				r.Control.Diffs[i].Class = ""
			}
			assert.Empty(t, cmp.Diff(tt.want, r.Control.Diffs, cmp.Comparer(func(a, b shadow.Diff) bool {
				return a.Path == b.Path && a.Kind == b.Kind && a.Primary == nil && b.Primary == nil && a.Shadow == nil && b.Shadow == nil
			})))
		})
	}
}

// Where not all is known of both answers a pair of counts would lean to one side.
func TestAResultIsNotControlledWhereNotAllIsKnown(t *testing.T) {
	broken := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("control") })
	for name, options := range map[string][]shadow.Option{
		"no control":            nil,
		"a control that fails":  {shadow.WithControl(shadow.InProcess("v1", broken))},
		"more of the control":   {shadow.WithControl(shadow.InProcess("v1", jsonDoc(`[2,3,4]`))), shadow.WithCompare(shadow.CompareOptions{MaxDiffs: 1})},
		"more of the candidate": {shadow.WithControl(shadow.InProcess("v1", jsonDoc(`[0,0,0]`))), shadow.WithCompare(shadow.CompareOptions{MaxDiffs: 1})},
	} {
		t.Run(name, func(t *testing.T) {
			candidate := `[9,0,0]`
			if name == "more of the candidate" {
				candidate = `[9,9,9]`
			}
			m, results := mirror(t, shadow.InProcess("v2", jsonDoc(candidate)), options...)
			getFrom(m.Handler(jsonDoc(`[0,0,0]`)), "/")
			require.NoError(t, m.Shutdown(t.Context()))
			r := results.All()[0]
			assert.Nil(t, r.Control)
		})
	}
}

// A control shows nothing of what the record mask hides, keys of elements included.
func TestAControlTellsNoValues(t *testing.T) {
	const secret = "4111-1111"
	doc := func(price string) http.HandlerFunc {
		return jsonDoc(`[{"card":"` + secret + `","price":` + price + `}]`)
	}
	m, results := mirror(t, shadow.InProcess("v2", doc("2")), shadow.WithControl(shadow.InProcess("v1", doc("3"))),
		shadow.WithMasker(shadow.MaskJSON("$..card")), shadow.WithCompare(shadow.CompareOptions{Keyed: map[string]string{"$": "card"}}))
	getFrom(m.Handler(doc("1")), "/")
	require.NoError(t, m.Shutdown(t.Context()))
	r := results.All()[0]
	require.NotNil(t, r.Control)
	require.Len(t, r.Control.Diffs, 1)
	assert.Equal(t, "/body/*/price", r.Control.Diffs[0].Path)
	assert.Empty(t, r.Control.Diffs[0].Primary)
	assert.Empty(t, r.Control.Diffs[0].Shadow)
}

func TestTheControlIsAskedOnAShareOfTheCopies(t *testing.T) {
	const copies = 2000
	for _, p := range []float64{1, 0.25} {
		m, results := mirror(t, shadow.InProcess("v2", jsonDoc(`1`)), shadow.WithControl(shadow.InProcess("v1", jsonDoc(`1`))),
			shadow.WithControlRate(p), shadow.WithQueue(copies, 64<<20))
		h := m.Handler(jsonDoc(`1`))
		for range copies {
			getFrom(h, "/")
		}
		require.NoError(t, m.Shutdown(t.Context()))
		require.Len(t, results.All(), copies)
		controlled := 0
		for _, r := range results.All() {
			if r.Control != nil {
				controlled++
			}
		}
		sigma := math.Sqrt(copies * p * (1 - p)) // of a binomial distribution
		assert.InDelta(t, copies*p, controlled, 6*sigma)
	}
}

func TestAControlRateThatMakesNoSenseIsRefused(t *testing.T) {
	control := shadow.WithControl(shadow.InProcess("v1", jsonDoc(`1`)))
	for _, p := range []float64{0, -1, 1.5, math.NaN()} {
		assert.Contains(t, strings.Join(faultsOf(t, candidate(), control, shadow.WithControlRate(p)), "\n"), "WithControlRate: ")
	}
	assert.Contains(t, strings.Join(faultsOf(t, candidate(), shadow.WithControlRate(0.5)), "\n"), "there is no control")
}
