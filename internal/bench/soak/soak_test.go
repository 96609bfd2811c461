package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

func TestAShortSoakGoesThroughFaults(t *testing.T) {
	var out strings.Builder
	require.NoError(t, run(&out, 300*time.Millisecond, 20*time.Millisecond))
	assert.Contains(t, out.String(), "| answers ")
	assert.Contains(t, out.String(), "| remote, floods ")
}

// A check that finds nothing wrong is worth as much as it can find.
func TestALedgerThatDoesNotAddUpIsFound(t *testing.T) {
	good := shadow.Stats{Requests: 6, Match: 1, Failed: 1, Queued: 1, Running: 1,
		Skipped: map[shadow.Reason]uint64{shadow.ReasonMethod: 1}, Dropped: map[shadow.Reason]uint64{shadow.ReasonQueueFull: 1}}
	assert.NoError(t, adds(good))
	lost := good
	lost.Requests++
	assert.ErrorContains(t, adds(lost), "7 in all")
	greedy := good
	greedy.QueuedBytes = budget + 1
	assert.ErrorContains(t, adds(greedy), "held")
}
