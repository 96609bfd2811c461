package capture_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow/internal/capture"
)

// text is n bytes that are different everywhere.
func text(n int) []byte {
	b := make([]byte, n)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// A recording does not depend on how its stream is cut, and agrees with what a plain
// bytes.Buffer has of it.
func FuzzBufferKeepsThePrefixAndTheSumHoweverTheStreamIsCut(f *testing.F) {
	f.Add([]byte("hello, world"), uint32(5), uint32(1<<20), []byte{1, 2, 3})
	f.Add(text(700), uint32(1<<20), uint32(1<<20), []byte{255, 0, 7})
	f.Add(text(700), uint32(100_000), uint32(40_000), []byte{200})
	f.Add(text(700), uint32(150_000), uint32(1<<20), []byte{255, 255, 1})
	f.Add(text(300), uint32(0), uint32(0), []byte{9})
	f.Add([]byte{}, uint32(10), uint32(10), []byte{})
	f.Add(text(700), uint32(2048), uint32(2048), []byte{128, 64, 0, 1})
	f.Fuzz(func(t *testing.T, seed []byte, limit, room uint32, cuts []byte) {
		limit, room = limit%(1<<19), room%(1<<20)
		data := bytes.Repeat(seed[:min(len(seed), 1000)], 300)
		pool := capture.NewPool(int64(room))
		var b capture.Buffer
		b.Init(pool, int64(limit))
		for i, rest := 0, data; len(rest) > 0; i++ {
			n, more := len(rest), 0
			if i < 300 && len(cuts) > 0 {
				cut := int(cuts[i%len(cuts)])
				n, more = min(len(rest), cut*cut/4), (cut-100)*1000 // announced honestly or not
			}
			b.Write(rest[:n], int64(more))
			rest = rest[n:]
			if held := pool.Held(); held > int64(room) {
				t.Fatalf("%d bytes are held", held)
			}
			if seen := len(data) - len(rest); b.Size() != int64(seen) {
				t.Fatalf("the size is %d after %d bytes", b.Size(), seen)
			}
		}

		require.Equal(t, b.Cut() && len(data) <= int(limit), b.Starved() && len(data) <= int(limit),
			"what is within the limit is cut only where there is no room")
		if len(data) > int(limit) {
			require.True(t, b.Cut())
		}
		sum, ok := b.Sum()
		require.Equal(t, b.Cut(), ok)
		if ok {
			require.Equal(t, pool.Sum(data), sum)
		}
		kept := b.Bytes()
		want := data
		if b.Cut() {
			want = nil
			require.Zero(t, pool.Held(), "what cannot be complete is given back at once")
		}
		require.True(t, bytes.Equal(want, kept), "kept %d bytes of %d, expected %d", len(kept), len(data), len(want))
		require.GreaterOrEqual(t, pool.Held(), int64(len(kept)), "the bytes handed out count until Release")
		b.Release()
		require.Zero(t, pool.Held())
	})
}

func TestBufferWithoutRoomStillKnowsTheSum(t *testing.T) {
	data := text(100_000)
	for _, room := range []int64{-1, 0, 1, 2 << 10, 20 << 10} {
		pool := capture.NewPool(room)
		var b capture.Buffer
		b.Init(pool, 1<<20)
		for part := range chunks(data, 700) {
			b.Write(part, 0)
		}
		assert.True(t, b.Starved())
		sum, ok := b.Sum()
		assert.True(t, ok)
		assert.Equal(t, pool.Sum(data), sum)
		assert.Zero(t, pool.Held(), "what cannot be complete is given back at once")
		assert.Nil(t, b.Bytes())
		b.Release()
		assert.Zero(t, pool.Held())
	}
}

// Recordings that are large already and go on leave the last eighth of the Pool to others.
func TestLargeRecordingsLeaveRoomForSmallOnes(t *testing.T) {
	pool := capture.NewPool(8 << 20)
	var large [8]capture.Buffer
	starved := 0
	for i := range large {
		large[i].Init(pool, 1<<20)
		large[i].Write(make([]byte, 1<<20), -1)
		if large[i].Starved() {
			starved++
		}
	}
	assert.Equal(t, 1, starved)
	assert.EqualValues(t, 1<<20, pool.Room())
	for range 16 {
		var b capture.Buffer
		b.Init(pool, 1<<20)
		b.Write(make([]byte, 64<<10), -1)
		assert.False(t, b.Starved())
	}
	assert.Zero(t, pool.Room())

	large[0].Release()
	large[0].Init(pool, 1<<20)
	large[0].Write(make([]byte, 1<<20), 0)
	assert.False(t, large[0].Starved(), "one whose end is known has a share in it")

	alone := capture.NewPool(1 << 20)
	var b capture.Buffer
	b.Init(alone, 1<<20)
	b.Write(make([]byte, 1<<20), -1)
	assert.False(t, b.Starved(), "one that is alone may have all of it")
}

func TestADroppedRecordingCountsOnly(t *testing.T) {
	pool := capture.NewPool(1 << 20)
	var b capture.Buffer
	b.Init(pool, 100)
	b.Write([]byte("abc"), 0)
	b.Drop()
	assert.Zero(t, pool.Held())
	b.Write([]byte("abc"), 0)
	assert.Zero(t, pool.Held())
	assert.EqualValues(t, 6, b.Size())
	_, ok := b.Sum()
	assert.False(t, ok)
	assert.Nil(t, b.Bytes())
}

func chunks(b []byte, n int) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(b) > 0 {
			k := min(n, len(b))
			if !yield(b[:k]) {
				return
			}
			b = b[k:]
		}
	}
}

// A recording reserves little more than its stream has bytes.
func TestBufferReservesInProportion(t *testing.T) {
	for size, most := range map[int]int{1: 2 << 10, 1 << 10: 2 << 10, 64 << 10: 80 << 10, 100_000: 112 << 10, 1 << 20: 1152 << 10} {
		for name, announced := range map[string]bool{"announced": true, "unannounced": false} {
			pool := capture.NewPool(1 << 30)
			var b capture.Buffer
			b.Init(pool, 1<<20)
			left := size
			for part := range chunks(make([]byte, size), 4096) {
				left -= len(part)
				more := 0
				if announced {
					more = left
				}
				b.Write(part, int64(more))
			}
			assert.LessOrEqual(t, pool.Held(), int64(most), "%d bytes, %s", size, name)
			assert.GreaterOrEqual(t, pool.Held(), int64(size))
			b.Release()
		}
	}
}

func TestBufferLimitIsOnlyLowered(t *testing.T) {
	pool := capture.NewPool(1 << 20)
	var b capture.Buffer
	b.Init(pool, 100)
	b.Limit(4)
	b.Limit(50)
	b.Write([]byte("0123"), 0)
	assert.False(t, b.Cut())
	b.Write([]byte("x"), 0)
	assert.True(t, b.Cut())
	assert.False(t, b.Starved())
	sum, ok := b.Sum()
	assert.True(t, ok)
	assert.Equal(t, pool.Sum([]byte("0123x")), sum)
	assert.Zero(t, pool.Held())
	assert.Nil(t, b.Bytes())
}

func TestBufferSkipMeansNoSum(t *testing.T) {
	pool := capture.NewPool(1 << 20)
	for name, play := range map[string]func(b *capture.Buffer){
		"before":       func(b *capture.Buffer) { b.Skip(5); b.Write([]byte("abc"), 0) },
		"after":        func(b *capture.Buffer) { b.Write([]byte("abc"), 0); b.Skip(5) },
		"past a limit": func(b *capture.Buffer) { b.Limit(2); b.Write([]byte("abc"), 0); b.Skip(5) },
		"between":      func(b *capture.Buffer) { b.Write([]byte("a"), 0); b.Skip(5); b.Write([]byte("bc"), 0) },
	} {
		t.Run(name, func(t *testing.T) {
			var b capture.Buffer
			b.Init(pool, 100)
			play(&b)
			assert.EqualValues(t, 8, b.Size())
			assert.True(t, b.Cut())
			assert.False(t, b.Starved())
			_, ok := b.Sum()
			assert.False(t, ok)
			assert.Zero(t, pool.Held())
			assert.Nil(t, b.Bytes())
			b.Release()
			assert.Zero(t, pool.Held())
		})
	}
	var b capture.Buffer
	b.Init(pool, 100)
	b.Skip(0)
	assert.False(t, b.Cut(), "nothing went by unseen")
}

func TestBufferResumeTakesTheWordOfAnother(t *testing.T) {
	pool := capture.NewPool(1 << 20)
	var b, seen, hungry capture.Buffer
	b.Init(pool, 100)
	b.Write([]byte("abc"), 0)
	seen.Init(pool, 2)
	seen.Write([]byte("abcdef"), 0)
	b.Resume(&seen)
	sum, ok := b.Sum()
	assert.True(t, ok)
	assert.Equal(t, pool.Sum([]byte("abcdef")), sum)
	assert.EqualValues(t, 6, b.Size())
	assert.True(t, b.Cut())
	assert.False(t, b.Starved())
	assert.Nil(t, b.Bytes())
	assert.Zero(t, pool.Held())

	hungry.Init(capture.NewPool(1), 100)
	hungry.Write([]byte("abc"), 0)
	b.Resume(&hungry)
	assert.True(t, b.Starved())
	b.Release()
}

func TestBufferZeroValueIsEmpty(t *testing.T) {
	var b capture.Buffer
	assert.Zero(t, b.Size())
	assert.False(t, b.Cut())
	assert.False(t, b.Starved())
	assert.Nil(t, b.Bytes())
	_, ok := b.Sum()
	assert.False(t, ok)
	b.Release()
	b.Release()
}

func TestBufferReadReadsToTheEndOrTheMost(t *testing.T) {
	data := text(50_000)
	errBroken := errors.New("broken")
	for name, c := range map[string]struct {
		r    io.Reader
		most int64
		size int64 // at least
		err  error
	}{
		"whole":            {bytes.NewReader(data), math.MaxInt64, 50_000, nil},
		"end with data":    {iotest.DataErrReader(bytes.NewReader(data)), math.MaxInt64, 50_000, nil},
		"byte by byte":     {iotest.OneByteReader(bytes.NewReader(data)), math.MaxInt64, 50_000, nil},
		"exactly the most": {iotest.OneByteReader(bytes.NewReader(data)), 50_000, 50_000, nil},
		"less than all":    {iotest.OneByteReader(bytes.NewReader(data)), 100, 101, nil},
		"empty":            {bytes.NewReader(nil), 100, 0, nil},
		"error":            {io.MultiReader(bytes.NewReader(data[:10]), iotest.ErrReader(errBroken)), 100, 10, errBroken},
		"error with data":  {&lastWords{data[:10], errBroken}, 100, 10, errBroken},
	} {
		for length := range map[int64]bool{-1: true, 50_000: true, 7: true} {
			pool := capture.NewPool(1 << 20)
			var b capture.Buffer
			b.Init(pool, 1<<20)
			var most atomic.Int64
			most.Store(c.most)
			err := b.Read(c.r, length, &most)
			assert.Equal(t, c.err, err, name)
			assert.Equal(t, c.size, b.Size(), name)
			assert.True(t, bytes.Equal(data[:c.size], b.Bytes()), name)
			b.Release()
			assert.Zero(t, pool.Held(), name)
			if s, ok := c.r.(io.Seeker); ok {
				_, err := s.Seek(0, io.SeekStart)
				require.NoError(t, err)
				continue
			}
			break // the reader is used up
		}
	}
}

// lastWords returns its bytes together with its error.
type lastWords struct {
	data []byte
	err  error
}

func (r *lastWords) Read(p []byte) (int, error) { return copy(p, r.data), r.err }

// Held is exact at every moment: never over the limit, nothing left at the end.
func TestPoolIsNeverOverItsLimitAndEndsEmpty(t *testing.T) {
	const limit = 100 << 10
	pool := capture.NewPool(limit)
	data := text(60 << 10)
	stop := make(chan struct{})
	var watcher, writers sync.WaitGroup
	watcher.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if held := pool.Held(); held < 0 || held > limit {
					t.Errorf("%d bytes are held", held)
					return
				}
			}
		}
	})
	var whole, starved [8]int
	for g := range 8 {
		writers.Go(func() {
			rng := rand.New(rand.NewPCG(3, uint64(g)))
			for range 300 {
				size := rng.IntN(len(data))
				var b capture.Buffer
				b.Init(pool, limit)
				for part := range chunks(data[:size], 1+rng.IntN(20_000)) {
					b.Write(part, int64(rng.IntN(2)*size))
				}
				if b.Starved() {
					starved[g]++
				} else {
					whole[g]++
					if !bytes.Equal(data[:size], b.Bytes()) {
						t.Error("another recording's bytes")
					}
				}
				b.Release()
			}
		})
	}
	writers.Wait()
	close(stop)
	watcher.Wait()
	assert.Zero(t, pool.Held())
	total := func(counts [8]int) (n int) {
		for _, c := range counts {
			n += c
		}
		return n
	}
	assert.Positive(t, total(whole), "some found room")
	assert.Positive(t, total(starved), "some did not")
}

// What Bytes returns belongs to the caller: no later recording writes into it.
func TestBytesAreTheCallersOwn(t *testing.T) {
	pool := capture.NewPool(1 << 20)
	record := func(fill byte) []byte {
		var b capture.Buffer
		b.Init(pool, 1<<20)
		b.Write(bytes.Repeat([]byte{fill}, 10_000), 0)
		defer b.Release()
		return b.Bytes()
	}
	first := record('a')
	second := record('b')
	assert.Equal(t, bytes.Repeat([]byte{'a'}, 10_000), first)
	assert.Equal(t, bytes.Repeat([]byte{'b'}, 10_000), second)
	assert.Equal(t, len(first), cap(first), "appending cannot reach anything else")
}
