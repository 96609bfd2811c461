package bodies

import (
	"bytes"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/goshadow/shadow/internal/jsondiff"
)

// The memory that lines take is a multiple of the bodies, whatever the lines are.
func TestLinesTakeMemoryInProportion(t *testing.T) {
	const size = 1 << 20
	c := NewSet(jsondiff.New(jsondiff.Options{}), 100, nil).For("text/plain", "text/plain")
	for name, line := range map[string]string{"empty": "\n", "of a byte": "a\n", "short": "1234567\n", "usual": "a line as people read them\n"} {
		a := bytes.Repeat([]byte(line), size/len(line))
		b := append([]byte("x"), append(bytes.Clone(a), "y"...)...)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got := c.Compare(a, b, "")
		runtime.ReadMemStats(&after)
		assert.NotEmpty(t, got.Diffs, name)
		for _, d := range c.Compare(a, []byte("another\n"), "").Diffs {
			assert.Equal(t, jsondiff.Changed, d.Kind, name)
		}
		assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64*size), name)
	}
}
