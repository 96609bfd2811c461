// Package bounded has a table that keeps a bounded number of keys, the first to come, for keys
// that clients can make up.
package bounded

import (
	"hash/maphash"
	"iter"
	"sync"
	"sync/atomic"
)

// Table has an entry of its own for each of the first keys. It is safe for concurrent use, and
// a key that it has is found without a lock and without allocating.
//
// It is a hash table with linear probing. A slot is filled once, and an index that is half full
// is replaced by one of twice the size.
type Table[K comparable, V any] struct {
	create  func(K, *V) K
	total   int
	classes []int
	seed    maphash.Seed
	index   atomic.Pointer[index[K, V]]
	full    atomic.Uint32 // bit c: there is no room for a key of class c

	mu     sync.Mutex // of those who change it
	counts []int      // keys of each class
}

type index[K comparable, V any] []atomic.Pointer[entry[K, V]]

type entry[K comparable, V any] struct {
	key   K
	class int
	value V
}

// New returns a Table of at most total keys. Keys of class c are at most classes[c] of them;
// without classes there is one, 0. Create makes the value of a new key and returns the key to
// keep: a copy, if the given one is part of something larger.
func New[K comparable, V any](total int, create func(K, *V) K, classes ...int) *Table[K, V] {
	if len(classes) == 0 {
		classes = []int{total}
	}
	t := &Table[K, V]{create: create, total: total, classes: classes, seed: maphash.MakeSeed(), counts: make([]int, len(classes))}
	t.index.Store(&index[K, V]{{}, {}})
	t.note()
	return t
}

// Find returns the value of key, or nil if the Table does not have it.
func (t *Table[K, V]) Find(key K) *V {
	if e, _ := t.index.Load().find(t.seed, key); e != nil {
		return &e.value
	}
	return nil
}

// Add returns the value of key, which is of that class if it is new. It returns nil if there is
// no room for it.
func (t *Table[K, V]) Add(key K, class int) *V {
	if v := t.Find(key); v != nil || t.full.Load()&(1<<class) != 0 {
		return v
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	x := *t.index.Load()
	e, free := x.find(t.seed, key)
	if e != nil {
		return &e.value
	}
	if t.full.Load()&(1<<class) != 0 {
		return nil
	}
	t.counts[class]++
	t.note()
	if 2*t.len() > len(x) {
		x = t.copy(2 * len(x))
		t.index.Store(&x)
		_, free = x.find(t.seed, key)
	}
	e = &entry[K, V]{class: class}
	e.key = t.create(key, &e.value)
	x[free].Store(e)
	return &e.value
}

// All iterates over the keys and their values, in no order.
func (t *Table[K, V]) All() iter.Seq2[K, *V] {
	return func(yield func(K, *V) bool) {
		x := *t.index.Load()
		for i := range x {
			if e := x[i].Load(); e != nil && !yield(e.key, &e.value) {
				return
			}
		}
	}
}

func (t *Table[K, V]) len() (n int) {
	for _, count := range t.counts {
		n += count
	}
	return n
}

// note sets the bits of full.
func (t *Table[K, V]) note() {
	full, all := uint32(0), t.len() >= t.total
	for class, limit := range t.classes {
		if all || t.counts[class] >= limit {
			full |= 1 << class
		}
	}
	t.full.Store(full)
}

// copy returns an index of n slots with all entries.
func (t *Table[K, V]) copy(n int) index[K, V] {
	x := make(index[K, V], n)
	old := *t.index.Load()
	for i := range old {
		if e := old[i].Load(); e != nil {
			_, free := x.find(t.seed, e.key)
			x[free].Store(e)
		}
	}
	return x
}

// find returns the entry of key, or the slot where it belongs.
func (x index[K, V]) find(seed maphash.Seed, key K) (e *entry[K, V], free int) {
	i := int(maphash.Comparable(seed, key) % uint64(len(x)))
	for {
		if e = x[i].Load(); e == nil || e.key == key {
			return e, i
		}
		i = (i + 1) % len(x)
	}
}
