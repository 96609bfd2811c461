package detect

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzScan looks for panics, findings out of bounds or order, and those that come and go.
func FuzzScan(f *testing.F) {
	for _, l := range corpus(f) {
		f.Add([]byte(l.Text), uint16(All))
	}
	for _, part := range hostile {
		f.Add([]byte(strings.Repeat(part, 20)), uint16(All))
	}
	f.Fuzz(func(t *testing.T, text []byte, set uint16) {
		kinds := Kinds(set) & All
		before := slices.Clone(text)
		for _, scan := range []func([]Finding, []byte, Kinds) []Finding{Scan, Text, Form} {
			found := scan(nil, text, kinds)
			inBounds(t, text, found)
			require.Equal(t, found, scan(nil, text, kinds))
			for _, f := range found {
				require.True(t, kinds.Has(f.Kind))
			}
		}
		require.Equal(t, before, text)
	})
}

// FuzzJSON also checks that what is found in a document can be replaced: it stays one.
func FuzzJSON(f *testing.F) {
	for _, l := range corpus(f) {
		doc, err := json.Marshal(map[string]any{"v": l.Text, l.Text: int64(4111111111111111)})
		require.NoError(f, err)
		f.Add(doc)
	}
	f.Add([]byte(`["\u0040\ud83d\ude00\\ann\u0040example.com\/\"",-4111111111111111]`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		found, err := JSON(nil, doc, All)
		if !json.Valid(doc) {
			require.Empty(t, found)
			return
		}
		if err != nil { // nested deeper than is read
			return
		}
		inBounds(t, doc, found)
		var out []byte
		copied := 0
		for _, f := range found {
			replacement := "[masked]"
			if f.Number {
				replacement = `"[masked]"`
			}
			out = append(append(out, doc[copied:f.Start]...), replacement...)
			copied = f.End
		}
		out = append(out, doc[copied:]...)
		require.True(t, json.Valid(out), "%s became %s", doc, out)
	})
}
