package fields

import (
	"net/http"
	"sync/atomic"
)

// Names are names of header fields, in any spelling. Most fields of a message are none of
// them: a Bloom filter of their length and ends says so at a fraction of the cost of a
// map.
type Names struct {
	filter    [16]uint64
	canonical map[string]*atomic.Uint64 // how often each was found
}

// NewNames returns the set of names.
func NewNames(names ...string) *Names {
	n := &Names{canonical: make(map[string]*atomic.Uint64, len(names))}
	for _, name := range names {
		word, bit := slot(name)
		n.filter[word] |= bit
		n.canonical[http.CanonicalHeaderKey(name)] = new(atomic.Uint64)
	}
	return n
}

// Has reports whether name is one of n, and counts that it was found.
func (n *Names) Has(name string) bool {
	word, bit := slot(name)
	if n.filter[word]&bit == 0 {
		return false
	}
	found, ok := n.canonical[http.CanonicalHeaderKey(name)]
	if ok {
		found.Add(1)
	}
	return ok
}

// Found returns how often name was found.
func (n *Names) Found(name string) uint64 { return n.canonical[http.CanonicalHeaderKey(name)].Load() }

// slot is the place of a name in the filter, the same for all its spellings.
func slot(name string) (word int, bit uint64) {
	h := uint(len(name)) * 37
	if len(name) > 0 {
		h += uint(name[0]|0x20)*5 + uint(name[len(name)/2]|0x20)*101 + uint(name[len(name)-1]|0x20)*11
	}
	return int(h >> 6 & 15), 1 << (h & 63)
}
