package bodies

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow/internal/jsondiff"
)

// FuzzCompare looks for panics, for bodies that differ from themselves, for verdicts
// that depend on the order of the sides and for values that are not JSON.
func FuzzCompare(f *testing.F) {
	for kind, contentType := range mediaTypes {
		f.Add(uint8(kind), []byte(sample(contentType, 3, "one")), []byte(sample(contentType, 4, "two")))
	}
	for kind, contentType := range mediaTypes {
		for _, h := range hostile {
			if h.contentType == contentType {
				a, b := h.make(100)
				f.Add(uint8(kind), a, b)
			}
		}
	}
	set := NewSet(jsondiff.New(jsondiff.Options{MaxDiffs: 1 << 20}), 1<<20, nil)
	f.Fuzz(func(t *testing.T, kind uint8, a, b []byte) {
		contentType := mediaTypes[int(kind)%len(mediaTypes)]
		c := set.For(contentType, contentType)
		require.Empty(t, c.Compare(a, a, "").Diffs)

		there, back := c.Compare(a, b, ""), c.Compare(b, a, "")
		count := func(r Result, kind jsondiff.Kind) (n int) {
			for _, d := range r.Diffs {
				if d.Kind == kind {
					n++
				}
			}
			return n
		}
		for _, kinds := range [][2]jsondiff.Kind{
			{jsondiff.Changed, jsondiff.Changed}, {jsondiff.TypeChanged, jsondiff.TypeChanged},
			{jsondiff.Missing, jsondiff.Extra}, {jsondiff.Extra, jsondiff.Missing}, {jsondiff.Reordered, jsondiff.Reordered},
		} {
			require.Equal(t, count(there, kinds[0]), count(back, kinds[1]))
		}

		places := make([]Place, len(there.Diffs))
		for i, d := range there.Diffs {
			places[i] = d.Place
		}
		for i, v := range c.Show(places, a, b, a, b) { // nothing was masked: everything is found
			d := there.Diffs[i]
			require.Equal(t, d.Kind != jsondiff.Extra, v.A != nil, "%+v", d)
			require.Equal(t, d.Kind != jsondiff.Missing, v.B != nil, "%+v", d)
			require.True(t, v.A == nil || json.Valid(v.A), "%s", v.A)
			require.True(t, v.B == nil || json.Valid(v.B), "%s", v.B)
		}
		c.Show(places, a, b, b, a) // any bodies may come out of a mask
	})
}

// FuzzText checks the verdicts where bytes decide: lines of text are the same text only
// if they are the same bytes.
func FuzzText(f *testing.F) {
	f.Add([]byte("a\nb\n"), []byte("a\r\nb"))
	f.Add([]byte("\n\n\n"), []byte("\n\n"))
	set := newSet()
	f.Fuzz(func(t *testing.T, a, b []byte) {
		for _, contentType := range []string{"text/plain", "image/png"} {
			r := set.For(contentType, contentType).Compare(a, b, "")
			require.Equal(t, string(a) == string(b), len(r.Diffs) == 0)
		}
	})
}
