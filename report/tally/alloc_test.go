//go:build !race

package tally_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/report/tally"
)

// What is reported costs no memory once its route and groups are known. (With the race
// detector a sync.Pool forgets at random what it is given.)
func TestReportingAllocatesNothing(t *testing.T) {
	for name, list := range map[string][]*shadow.Result{
		"a match":    matches(1000, oneRoute),
		"a mismatch": mismatches(matches(1000, oneRoute), 10),
	} {
		x := newTally(t, tally.Options{})
		for range 20 {
			report(t, x, list...)
		}
		i := 0
		assert.Zero(t, testing.AllocsPerRun(5000, func() {
			x.Report(t.Context(), list[i%len(list)])
			i++
		}), name)
	}
}
