package fields

import "net/http"

// Names are names of header fields, in any spelling. Most fields of a message are none of
// them: a Bloom filter of their length and ends says so at a fraction of the cost of a
// map.
type Names struct {
	filter    [16]uint64
	canonical map[string]bool
}

// NewNames returns the set of names.
func NewNames(names ...string) *Names {
	n := &Names{canonical: make(map[string]bool, len(names))}
	for _, name := range names {
		word, bit := slot(name)
		n.filter[word] |= bit
		n.canonical[http.CanonicalHeaderKey(name)] = true
	}
	return n
}

// Has tells whether name is one of n.
func (n *Names) Has(name string) bool {
	word, bit := slot(name)
	return n.filter[word]&bit != 0 && n.canonical[http.CanonicalHeaderKey(name)]
}

// slot is the place of a name in the filter, the same for all its spellings.
func slot(name string) (word int, bit uint64) {
	h := uint(len(name)) * 37
	if len(name) > 0 {
		h += uint(name[0]|0x20)*5 + uint(name[len(name)/2]|0x20)*101 + uint(name[len(name)-1]|0x20)*11
	}
	return int(h >> 6 & 15), 1 << (h & 63)
}
