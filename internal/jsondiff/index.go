package jsondiff

import "slices"

// index finds the entries of a list by hash, those with the same hash in the
// order in which they were added. The hashes are keyed, so no document can be
// made to collide.
type index struct {
	slots []slot
	next  []int32 // of each entry: the one after it with the same hash
	mask  uint64
}

type slot struct {
	hash       uint64
	head, tail int32 // entries, plus one; a slot with a tail is in use
}

// reset empties the index and makes room for entries 0 to n-1.
func (x *index) reset(n int) {
	size := 8
	for size < 2*n {
		size *= 2
	}
	x.slots = slices.Grow(x.slots[:0], size)[:size]
	clear(x.slots)
	x.next = slices.Grow(x.next[:0], n)[:n]
	x.mask = uint64(size - 1)
}

// slot returns the slot of a hash, which may not be in use.
func (x *index) slot(hash uint64) *slot {
	for i := hash; ; i++ {
		if s := &x.slots[i&x.mask]; s.tail == 0 || s.hash == hash {
			return s
		}
	}
}

// add adds an entry.
func (x *index) add(hash uint64, entry int32) {
	s := x.slot(hash)
	x.next[entry] = none
	if s.head == 0 {
		s.head = entry + 1
	} else {
		x.next[s.tail-1] = entry
	}
	s.hash, s.tail = hash, entry+1
}

// first returns the first entry with a hash that has not been removed; none is
// -1.
func (x *index) first(hash uint64) int32 { return x.slot(hash).head - 1 }

// after returns the next entry with the same hash.
func (x *index) after(entry int32) int32 { return x.next[entry] }

// remove drops an entry if it is the first with its hash; the others can be
// passed over.
func (x *index) remove(hash uint64, entry int32) {
	if s := x.slot(hash); s.head == entry+1 {
		s.head = x.next[entry] + 1
	}
}
