//go:build !race

// The race detector makes this many times slower, and finds nothing in it.

package tally_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow/report/tally"
)

// A text does not ask for much more memory than it has bytes itself.
func TestAShortTextTakesLittleMemory(t *testing.T) {
	const size = 4 << 20
	for name, parts := range map[string][3]string{
		"routes":    {`{"version":2,"falseDiscovery":0.5,"routes":[`, `{}`, `]}`},
		"fields":    {`{"version":2,"falseDiscovery":0.5,"fields":[`, `{}`, `]}`},
		"groups":    {`{"version":2,"falseDiscovery":0.5,"groups":[`, `{}`, `]}`},
		"slots":     {`{"version":2,"falseDiscovery":0.5,"routes":[{"day":[`, `{}`, `]}]}`},
		"exemplars": {`{"version":2,"falseDiscovery":0.5,"groups":[{"exemplars":[`, `{}`, `]}]}`},
		"bins":      {`{"version":2,"falseDiscovery":0.5,"routes":[{"lag":{"bins":[`, `1`, `]}}]}`},
		"brackets":  {``, `[`, ``},
	} {
		t.Run(name, func(t *testing.T) {
			text := parts[0] + strings.Repeat(parts[1]+",", size/(len(parts[1])+1)) + parts[1] + parts[2]
			if name == "brackets" {
				text = strings.Repeat("[", size)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := tally.Decode(strings.NewReader(text))
			runtime.ReadMemStats(&after)
			require.Error(t, err)
			assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(200<<20), "allocated on the way, all in all")
		})
	}
}
