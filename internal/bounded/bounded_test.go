package bounded

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func counters(total int, classes ...int) *Table[string, atomic.Int64] {
	return New(total, func(k string, _ *atomic.Int64) string { return strings.Clone(k) }, classes...)
}

// size returns how many keys there are.
func size(table *Table[string, atomic.Int64]) (n int) {
	for range table.All() {
		n++
	}
	return n
}

// A table does what a map does that is not filled beyond its limits.
func TestATableIsABoundedMap(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		total := random.IntN(40)
		classes := []int{random.IntN(30), random.IntN(30), random.IntN(30)}
		table, want, class := counters(total, classes...), map[string]*atomic.Int64{}, map[string]int{}
		for range 200 {
			key, c := fmt.Sprint(random.IntN(60)), random.IntN(3)
			used := 0
			for _, of := range class {
				if of == c {
					used++
				}
			}
			got := table.Add(key, c)
			switch {
			case want[key] != nil:
				require.Same(t, want[key], got)
			case len(want) >= total || used >= classes[c]:
				require.Nil(t, got)
				require.Nil(t, table.Find(key))
			default:
				require.NotNil(t, got)
				want[key], class[key] = got, c
			}
			require.Equal(t, len(want), size(table))
		}
		all := map[string]*atomic.Int64{}
		for k, v := range table.All() {
			all[k] = v
			require.Same(t, v, table.Find(k))
		}
		require.Equal(t, want, all)
	}
}

// Whoever adds a key at the same time gets the same entry.
func TestATableIsSafeForConcurrentUse(t *testing.T) {
	table := counters(100)
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for i := range 2000 {
				if v := table.Add(fmt.Sprint(i%150), 0); v != nil {
					v.Add(1)
				}
			}
		})
	}
	clients.Wait()
	assert.Equal(t, 100, size(table))
	sums := map[int64]int{}
	for _, v := range table.All() {
		sums[v.Load()]++
	}
	for n := range sums { // 2000 is 13 times 150 and 50 more
		assert.Contains(t, []int64{8 * 13, 8 * 14}, n)
	}
}

// A key that is known, or has no room, costs no memory, and no key keeps what it was part of.
func TestFindAllocatesNothing(t *testing.T) {
	table := counters(1)
	long := []byte(strings.Repeat("x", 100))
	text := func(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
	require.NotNil(t, table.Add(text(long), 0))
	other := []byte(strings.Repeat("y", 100))
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		var buf [100]byte
		copy(buf[:], long)
		if table.Find(text(buf[:])) == nil || table.Add(text(long), 0) == nil || table.Add(text(other), 0) != nil {
			panic("wrong")
		}
	}))
	clear(long)
	assert.NotNil(t, table.Find(strings.Repeat("x", 100)))
}
