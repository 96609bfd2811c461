package detect

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
)

// shipped reads a document that comes with the Go distribution as test data.
func shipped(t testing.TB, name string) []byte {
	t.Helper()
	f, err := os.Open(filepath.Join(runtime.GOROOT(), "src/encoding/json/internal/jsontest/testdata", name+".json.zst"))
	if err != nil {
		t.Logf("NOT MEASURED: this Go distribution does not ship %s: %v", name, err)
		return nil
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	require.NoError(t, err)
	defer z.Close()
	var doc bytes.Buffer
	_, err = doc.ReadFrom(z)
	require.NoError(t, err)
	return doc.Bytes()
}

// Benchmark measures all kinds together, on ordinary JSON.
func Benchmark(b *testing.B) {
	for _, s := range []struct {
		name string
		doc  []byte
	}{
		{"10KB", payload(43)},
		{"twitter", shipped(b, "twitter_status")},
		{"citm", shipped(b, "citm_catalog")},
		{"canada", shipped(b, "canada_geometry")},
	} {
		if s.doc == nil {
			continue
		}
		room := make([]Finding, 0, 1000)
		b.Run("JSON/"+s.name, func(b *testing.B) {
			b.SetBytes(int64(len(s.doc)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := JSON(room, s.doc, All); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("json.Valid/"+s.name, func(b *testing.B) { // for comparison
			b.SetBytes(int64(len(s.doc)))
			for b.Loop() {
				json.Valid(s.doc)
			}
		})
		b.Run("Scan/"+s.name, func(b *testing.B) {
			b.SetBytes(int64(len(s.doc)))
			b.ReportAllocs()
			for b.Loop() {
				Scan(room, s.doc, All)
			}
		})
	}
}
