//go:build !race

// The race detector makes these many times slower, and finds nothing in them.

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

// What a comparison allocates is at most a multiple of the bodies and of the nodes that are always
// read: docs/operations.md says which.
func TestEveryFormatTakesMemoryInProportion(t *testing.T) {
	const size, most, always = 1 << 17, 64, 4 << 20
	for name, f := range costFormats {
		for spelling := range f.spellings {
			for _, shape := range []string{"all different", "reversed", "in turns"} {
				a, b := f.bodies(spelling, costShapes[shape], size)
				c := NewSet(jsondiff.New(jsondiff.Options{}), 100, nil).For(f.contentType, f.contentType)
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				c.Compare(a, b, "/body")
				runtime.ReadMemStats(&after)
				took := after.TotalAlloc - before.TotalAlloc
				assert.LessOrEqual(t, took, uint64(most*(len(a)+len(b))+always), "%s %s, %s: %.1f bytes for each", name, spelling, shape, float64(took)/float64(len(a)+len(b)))
			}
		}
	}
}
