package content_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/goshadow/shadow/internal/content"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// encoders write what is written to them to w in a format.
var encoders = map[string]func(w io.Writer) io.WriteCloser{
	"gzip":   func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
	"x-gzip": func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
	"zlib":   func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) },
	"raw":    func(w io.Writer) io.WriteCloser { return must(flate.NewWriter(w, flate.BestCompression)) },
	"stored": func(w io.Writer) io.WriteCloser { return must(flate.NewWriter(w, flate.NoCompression)) },
	"br":     func(w io.Writer) io.WriteCloser { return brotli.NewWriter(w) },
	"zstd":   func(w io.Writer) io.WriteCloser { return must(zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))) },
}

// coding is the coding under which HTTP knows a format.
func coding(format string) string {
	switch format {
	case "zlib", "raw", "stored":
		return "deflate"
	}
	return format
}

// decode is Decode without a context that ends, and with room for everything.
func decode(codings []string, raw []byte, limit int64) ([]byte, error) {
	return content.Decode(context.Background(), codings, raw, limit, func(int64) bool { return true })
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func encode(t testing.TB, format string, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := encoders[format](&b)
	_, err := w.Write(data)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

// samples are some data to compress: none, little, well and badly compressible.
func samples() map[string][]byte {
	noise := make([]byte, 100_000)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	return map[string][]byte{
		"nothing": {},
		"a byte":  {'x'},
		"text":    []byte(strings.Repeat(`{"id":1,"name":"a name"},`, 5000)),
		"noise":   noise,
	}
}

func TestDecodeUndoesEveryCoding(t *testing.T) {
	for name, data := range samples() {
		for format := range encoders {
			got, err := decode([]string{coding(format)}, encode(t, format, data), 1<<20)
			require.NoError(t, err, "%s, %s", format, name)
			assert.True(t, bytes.Equal(data, got), "%s, %s", format, name)
		}
	}
}

func TestDecodeUndoesStackedCodingsFromTheLastToTheFirst(t *testing.T) {
	data := samples()["text"]
	for first := range encoders {
		for second := range encoders {
			raw := encode(t, second, encode(t, first, data))
			got, err := decode([]string{coding(first), coding(second)}, raw, 1<<20)
			require.NoError(t, err, "%s, %s", first, second)
			assert.True(t, bytes.Equal(data, got), "%s, %s", first, second)
		}
	}
	three := encode(t, "br", encode(t, "zstd", encode(t, "gzip", data)))
	got, err := decode([]string{"gzip", "zstd", "br"}, three, 1<<20)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(data, got))
}

func TestDecodeRefusesMoreCodingsThanAnybodyStacks(t *testing.T) {
	raw := []byte("x")
	var codings []string
	for range 4 {
		raw = encode(t, "gzip", raw)
		codings = append(codings, "gzip")
	}
	_, err := decode(codings, raw, 1<<20)
	assert.ErrorContains(t, err, "4 content codings")
}

func TestDecodeWithoutCodingsIsTheContentItself(t *testing.T) {
	got, err := decode(nil, []byte("plain"), 5)
	require.NoError(t, err)
	assert.Equal(t, "plain", string(got))
	got, err = decode(nil, []byte("plain"), 4)
	assert.ErrorIs(t, err, content.ErrTooLarge)
	assert.Equal(t, "plai", string(got))
}

func TestDecodeRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, codings := range [][]string{{"compress"}, {"aws-chunked"}, {"gzip", "exi"}, {""}, {"GZIP"}} {
		_, err := decode(codings, encode(t, "gzip", nil), 1<<20)
		assert.ErrorContains(t, err, "not supported", "%q", codings)
	}
}

func TestCodings(t *testing.T) {
	for _, c := range []struct{ values, codings []string }{
		{nil, nil},
		{[]string{""}, nil},
		{[]string{"identity"}, nil},
		{[]string{"gzip"}, []string{"gzip"}},
		{[]string{" GZip\t,, Identity ,BR "}, []string{"gzip", "br"}},
		{[]string{"deflate", "gzip, zstd"}, []string{"deflate", "gzip", "zstd"}},
	} {
		assert.Equal(t, c.codings, content.Codings(c.values), "%q", c.values)
	}
}

// Data that breaks off anywhere is an error; what was decoded before is handed out with it.
func TestTruncatedDataIsAnError(t *testing.T) {
	for name, data := range samples() {
		for format := range encoders {
			whole := encode(t, format, data)
			for _, n := range cuts(len(whole)) {
				if n == 0 && format == "zstd" {
					continue // some encoders write no frame where there is no data
				}
				got, err := decode([]string{coding(format)}, whole[:n], 1<<20)
				require.Error(t, err, "%s, %s: %d of %d bytes", format, name, n, len(whole))
				require.NotErrorIs(t, err, content.ErrTooLarge)
				require.True(t, bytes.HasPrefix(data, got), "%s, %s: what is decoded is the beginning", format, name)
			}
		}
	}
}

// cuts are the lengths below n that are worth a try.
func cuts(n int) []int {
	var list []int
	for i := range n {
		if i < 30 || n-i < 30 || i%5003 == 0 {
			list = append(list, i)
		}
	}
	return list
}

// What follows the end of the data is not passed over, but for deflate, where nothing
// says where it ends.
func TestTrailingDataIsAnError(t *testing.T) {
	for format := range encoders {
		if coding(format) == "deflate" {
			continue
		}
		_, err := decode([]string{coding(format)}, append(encode(t, format, []byte("data")), "and more"...), 1<<20)
		assert.Error(t, err, format)
	}
}

func TestDamagedDataIsAnError(t *testing.T) {
	for _, format := range []string{"gzip", "zlib", "zstd"} { // the others have no check sum
		whole := encode(t, format, samples()["text"])
		whole[len(whole)-2] ^= 1
		got, err := decode([]string{coding(format)}, whole, 1<<20)
		assert.Error(t, err, format)
		assert.True(t, bytes.HasPrefix(samples()["text"], got), format)
	}
	for _, format := range []string{"gzip", "br", "zstd", "deflate"} {
		_, err := decode([]string{format}, []byte("this was never compressed"), 1<<20)
		assert.Error(t, err, format)
	}
}

func TestTheLimitIsExact(t *testing.T) {
	data := samples()["text"]
	for format := range encoders {
		raw := encode(t, format, data)
		codings := []string{coding(format)}
		for _, limit := range []int{0, 1, 1000, len(data) - 1} {
			got, err := decode(codings, raw, int64(limit))
			require.ErrorIs(t, err, content.ErrTooLarge, format)
			assert.True(t, bytes.Equal(data[:limit], got), "%s: the first %d bytes", format, limit)
		}
		for _, limit := range []int64{int64(len(data)), int64(len(data)) + 1, math.MaxInt64} {
			got, err := decode(codings, raw, limit)
			require.NoError(t, err, format)
			assert.True(t, bytes.Equal(data, got), format)
		}
	}
}

// A few KB that would be 16 MB stop at the limit, and so does the memory they take.
func TestABombStopsAtTheLimit(t *testing.T) {
	const limit = 64 << 10
	zeros := make([]byte, 16<<20)
	var br bytes.Buffer
	w := brotli.NewWriterLevel(&br, 1)
	_, err := w.Write(zeros)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	gzipped := bytes.Repeat(encode(t, "gzip", zeros[:1<<20]), 16)

	for name, c := range map[string]struct {
		codings []string
		raw     []byte
	}{
		"gzip":         {[]string{"gzip"}, gzipped},
		"gzip twice":   {[]string{"gzip", "gzip"}, encode(t, "gzip", gzipped)},
		"zlib":         {[]string{"deflate"}, encode(t, "zlib", zeros)},
		"br":           {[]string{"br"}, br.Bytes()},
		"zstd":         {[]string{"zstd"}, bytes.Repeat(encode(t, "zstd", zeros[:1<<20]), 16)},
		"zstd in gzip": {[]string{"zstd", "gzip"}, encode(t, "gzip", encode(t, "zstd", zeros))},
	} {
		require.Less(t, len(c.raw), 100<<10, name)
		before := allocated()
		got, err := decode(c.codings, c.raw, limit)
		used := allocated() - before
		require.ErrorIs(t, err, content.ErrTooLarge, name)
		assert.True(t, bytes.Equal(zeros[:limit], got), "%s: the first bytes", name)
		assert.Less(t, used, uint64(3<<20), "%s: bytes allocated", name)
		t.Logf("%s: %d bytes, %d allocated", name, len(c.raw), used)
	}
}

// allocated is how many bytes were ever allocated: an upper bound of what is held.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// A header may announce any size or window: it is not believed.
func TestAnAnnouncedSizeIsNotAllocated(t *testing.T) {
	magic := []byte{0x28, 0xb5, 0x2f, 0xfd}
	size := func(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }
	for name, raw := range map[string][]byte{
		"zstd, single segment of 2^62 bytes": slices.Concat(magic, []byte{0xe0}, size(1<<62), []byte{1, 0, 0}),
		"zstd, a window of 3.75 TB":          slices.Concat(magic, []byte{0x00, 0xff}, []byte{1, 0, 0}),
		"zstd, a frame to skip of 4 GB":      {0x50, 0x2a, 0x4d, 0x18, 0xff, 0xff, 0xff, 0xff},
		"zstd, a window of 8 MB":             slices.Concat(magic, []byte{0x00, 13 << 3}, []byte{0, 0, 0}),
		"zstd, the same in the second frame": slices.Concat(magic, []byte{0x00, 0, 1, 0, 0}, magic, []byte{0x00, 13 << 3}, []byte{0, 0, 0}),
		"zstd, single segment of 8 MB":       slices.Concat(magic, []byte{0xa0, 0, 0, 128, 0}, []byte{0, 0, 0}),
		"br, a large window":                 {0x11, 0x3f, 0x00, 0x00},
		"br, a window of 16 MB":              announced16MB(t),
	} {
		before := allocated()
		format, _, _ := strings.Cut(name, ",")
		_, err := decode([]string{format}, raw, 1<<20)
		assert.Error(t, err, name)
		assert.Less(t, allocated()-before, uint64(4<<20), name)
	}
}

// RFC 9659: windows of up to 8 MB are decoded, larger ones need not be.
func TestZstdWindowsOfEightMegabytesAreDecoded(t *testing.T) {
	for window, ok := range map[int]bool{8 << 20: true, 16 << 20: false} {
		var b bytes.Buffer
		w, err := zstd.NewWriter(&b, zstd.WithWindowSize(window), zstd.WithEncoderConcurrency(1))
		require.NoError(t, err)
		for range 20 { // a stream: its size is not known
			_, err := w.Write(make([]byte, 1<<20))
			require.NoError(t, err)
			require.NoError(t, w.Flush())
		}
		require.NoError(t, w.Close())
		got, err := decode([]string{"zstd"}, b.Bytes(), 1<<20)
		if ok {
			assert.ErrorIs(t, err, content.ErrTooLarge)
			assert.Len(t, got, 1<<20)
		} else {
			assert.Error(t, err)
			assert.NotErrorIs(t, err, content.ErrTooLarge)
		}
	}
}

// Whatever comes in, Decode does not panic, keeps to the limit and answers alike with any
// limit; and what it decodes it decodes whole.
func FuzzDecode(f *testing.F) {
	for format := range encoders {
		f.Add(coding(format), encode(f, format, []byte(strings.Repeat("hello, world ", 50))), uint16(100))
		f.Add(coding(format)+",gzip", encode(f, "gzip", encode(f, format, []byte("hello"))), uint16(100))
	}
	f.Add("identity", []byte("x"), uint16(0))
	f.Fuzz(func(t *testing.T, list string, raw []byte, limit uint16) {
		codings := content.Codings([]string{list})
		got, err := decode(codings, raw, int64(limit))
		switch {
		case errors.Is(err, content.ErrTooLarge):
			require.Len(t, got, int(limit))
		case err != nil:
			require.LessOrEqual(t, len(got), int(limit))
		default:
			require.LessOrEqual(t, len(got), int(limit))
			again, err := decode(codings, raw, 1<<20)
			require.NoError(t, err)
			require.True(t, bytes.Equal(got, again))
		}
	})
}

// announced16MB is the beginning of a brotli stream with the largest window, whose first
// block is announced to have 16 MB.
func announced16MB(t *testing.T) []byte {
	raw := []byte{0x0f | 0<<4 | 2<<5, 0xff, 0xff, 0xff, 0x03} // WBITS 24, not the last, six nibbles of length
	raw = append(raw, make([]byte, 21)...)
	require.Len(t, raw, 26)
	return raw
}

// What an inner coding yields is limited too: a bomb of three layers does not make more work
// than three bodies of the limit.
func TestEveryLayerOfABombIsLimited(t *testing.T) {
	bomb := innerBomb(t)
	require.Less(t, len(bomb), 4<<10)
	var held int64
	got, err := content.Decode(context.Background(), []string{"gzip", "br", "br"}, bomb, 1<<20, func(n int64) bool { held += n; return true })
	require.Error(t, err)
	assert.LessOrEqual(t, len(got), 1<<20)
	assert.Less(t, held, int64(2<<20))

	// Nothing that comes after the limit of the layer has been looked at.
	z := encode(t, "gzip", nil)
	for name, c := range map[string]struct {
		size int
		ok   bool
	}{"at the limit": {2<<10 + 64<<10, true}, "over it": {2<<10 + 64<<10 + len(z), false}} {
		inner := bytes.Repeat(z, c.size/len(z))
		_, err := decode([]string{"gzip", "br"}, encode(t, "br", inner), 1<<10)
		if c.ok {
			assert.NoError(t, err, name)
		} else {
			assert.ErrorContains(t, err, "inner coding", name)
		}
	}
}

// innerBomb is 64 MB of empty gzip members, in br, in br.
func innerBomb(t *testing.T) []byte {
	inner := bytes.Repeat(encode(t, "gzip", nil), 64<<20/23)
	var b bytes.Buffer
	w := brotli.NewWriterLevel(&b, 1)
	_, err := w.Write(inner)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return encode(t, "br", b.Bytes())
}

func TestDecodeStopsWhenItsContextEnds(t *testing.T) {
	for _, codings := range [][]string{nil, {"gzip"}, {"br"}, {"zstd"}, {"deflate"}, {"gzip", "zstd"}} {
		raw := samples()["noise"]
		for _, coding := range codings {
			raw = encode(t, map[string]string{"deflate": "zlib"}[coding]+map[bool]string{false: coding}[coding == "deflate"], raw)
		}
		ctx, cancel := context.WithCancel(context.Background())
		grown := 0
		_, err := content.Decode(ctx, codings, raw, 1<<20, func(int64) bool {
			if grown++; grown == 2 {
				cancel()
			}
			return true
		})
		assert.ErrorIs(t, err, context.Canceled, "%q", codings)
		assert.Equal(t, 2, grown, "%q", codings)
	}
}

// What is reserved is what the result takes; where there is no room the result is short.
func TestDecodeReservesWhatItAllocates(t *testing.T) {
	data := samples()["text"]
	for format := range encoders {
		raw := encode(t, format, data)
		var held int64
		got, err := content.Decode(context.Background(), []string{coding(format)}, raw, 1<<20, func(n int64) bool { held += n; return true })
		require.NoError(t, err)
		assert.EqualValues(t, cap(got), held, format)

		held = 0
		got, err = content.Decode(context.Background(), []string{coding(format)}, raw, 1<<20, func(n int64) bool {
			if held+n > int64(len(data))/2 {
				return false
			}
			held += n
			return true
		})
		require.ErrorIs(t, err, content.ErrNoRoom, format)
		assert.NotErrorIs(t, err, content.ErrTooLarge)
		assert.EqualValues(t, cap(got), held, format)
		assert.True(t, bytes.HasPrefix(data, got))
	}
}

// A window that is announced smaller than it was means the same for all that is within the
// limit.
func TestSmallerWindowsDecodeTheSame(t *testing.T) {
	noise := make([]byte, 300<<10)
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	data := slices.Concat(noise, noise, noise[:50<<10], noise) // repeats from afar, up to 650 KB
	for limit := int64(len(data)); limit < 40<<20; limit *= 6 {
		for _, bits := range []int{10, 16, 17, 18, 20, 22, 24} {
			var b bytes.Buffer
			w := brotli.NewWriterOptions(&b, brotli.WriterOptions{Quality: 5, LGWin: bits})
			must(w.Write(data))
			require.NoError(t, w.Close())
			got, err := decode([]string{"br"}, b.Bytes(), limit)
			require.NoError(t, err, bits)
			require.True(t, bytes.Equal(data, got), bits)
		}
		for _, window := range []int{1 << 10, 128 << 10, 1 << 20, 8 << 20} {
			for _, single := range []bool{true, false} {
				for _, sum := range []bool{true, false} {
					frame := must(zstd.NewWriter(nil, zstd.WithWindowSize(window), zstd.WithEncoderConcurrency(1), zstd.WithSingleSegment(single), zstd.WithEncoderCRC(sum))).EncodeAll(data, nil)
					var b bytes.Buffer
					w := must(zstd.NewWriter(&b, zstd.WithWindowSize(window), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(sum)))
					must(w.Write(data))
					require.NoError(t, w.Close())
					skip := []byte{0x5f, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3}
					for _, raw := range [][]byte{frame, b.Bytes(), slices.Concat(skip, encode(t, "zstd", nil), frame), slices.Concat(frame[:0:0], skip, b.Bytes(), skip)} {
						was := slices.Clone(raw)
						got, err := decode([]string{"zstd"}, raw, limit)
						require.NoError(t, err, window)
						require.True(t, bytes.Equal(data, got), window)
						require.True(t, bytes.Equal(was, raw), "the data is not changed")
					}
				}
			}
		}
	}
}
