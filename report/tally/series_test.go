package tally

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

// While a snapshot copies the numbers of a route, results of that and of other routes are
// reported, and are in the next one.
func TestASnapshotStopsNobodyWhoReports(t *testing.T) {
	x, err := New(Options{})
	require.NoError(t, err)
	report := func(route string) {
		require.NoError(t, x.Report(t.Context(), &shadow.Result{
			Mirror: "orders", Target: "v2", Outcome: shadow.Match, Start: time.Now(),
			Exchange: shadow.Exchange{Route: route, Primary: &shadow.Message{Took: 1}, Shadow: &shadow.Message{Took: 1}},
		}))
	}
	report("GET /a")
	cells := x.all()[0].lockAll() // as a snapshot does
	report("GET /a")
	report("GET /b")
	unlock(cells)

	s := x.Snapshot()
	require.Len(t, s.Routes, 2)
	assert.EqualValues(t, 2, s.Routes[0].Results.Match)
	assert.EqualValues(t, 2, s.Routes[0].ShadowTook.Count())
	assert.EqualValues(t, 1, s.Routes[1].Results.Match)
}
