// Package align holds what alignments of two lists have in common. It knows indexes and numbers
// only: which elements are equal, and what they are, is up to its callers.
package align

import "slices"

// None stands for no index.
const None int32 = -1

// A Chain is the scratch of Keep. The zero value is ready for use.
type Chain struct {
	ends   []int32 // ends[n] is the place of the smallest number that ends an ascending subsequence of n+1
	before []int32 // of each place: the one that precedes it there
}

// Keep keeps of the numbers in v, which are distinct apart from None, a longest ascending
// subsequence, and sets the others to None. It takes O(n log n).
func (c *Chain) Keep(v []int32) {
	c.ends, c.before = c.ends[:0], slices.Grow(c.before[:0], len(v))[:len(v)]
	for i, f := range v {
		if f == None {
			continue
		}
		n, _ := slices.BinarySearchFunc(c.ends, f, func(k, f int32) int { return int(v[k] - f) })
		c.before[i] = None
		if n > 0 {
			c.before[i] = c.ends[n-1]
		}
		if n == len(c.ends) {
			c.ends = append(c.ends, int32(i))
		} else {
			c.ends[n] = int32(i)
		}
	}
	keep := None
	if len(c.ends) > 0 {
		keep = c.ends[len(c.ends)-1]
	}
	for i := int32(len(v)) - 1; i >= 0; i-- {
		if i == keep {
			keep = c.before[i]
		} else {
			v[i] = None
		}
	}
}

// Common counts the numbers that are in both of two ascending lists.
func Common(a, b []uint64) (n int32) {
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] < b[0]:
			a = a[1:]
		case a[0] > b[0]:
			b = b[1:]
		default:
			n++
			a, b = a[1:], b[1:]
		}
	}
	return n
}
