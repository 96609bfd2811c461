package bodies

import (
	"slices"

	"github.com/goshadow/shadow/internal/align"
)

// none is no element.
const none = align.None

// matching pairs the elements of two lists x and y. The cost is O(n log n). The methods
// of elements are called for an element a bounded number of times.
type matching struct {
	x, y  int // how many there are
	of    elements
	mates []int32 // for each of x the index in y, or none
	head  int     // so many at the beginning of both are the same,
	tail  int     // and so many at the end
}

// elements are those of two lists.
type elements interface {
	same(i, j int) bool // whether x[i] equals y[j]
	hashX(i int) uint64 // under which what equals x[i] is found, as a rule
	hashY(j int) uint64
	traitsX(i int) []uint64 // what makes x[i] what it is, in ascending order
	traitsY(j int) []uint64
}

// match pairs the elements that are the same: those before the first that are not,
// those after the last, and of what is between them the k-th of a hash with the k-th
// of that hash, where they are the same.
func match(x, y int, of elements) *matching {
	m := &matching{x: x, y: y, of: of, mates: make([]int32, x)}
	shorter := min(x, y)
	for m.head < shorter && of.same(m.head, m.head) {
		m.mates[m.head] = int32(m.head)
		m.head++
	}
	for m.tail < shorter-m.head && of.same(x-1-m.tail, y-1-m.tail) {
		m.tail++
		m.mates[x-m.tail] = int32(y - m.tail)
	}
	first := make(map[uint64]int32, y-m.head-m.tail) // the next of a hash in y
	after := make([]int32, y)                        // the one after it
	for j := y - m.tail - 1; j >= m.head; j-- {
		hash := of.hashY(j)
		next, ok := first[hash]
		if !ok {
			next = none
		}
		first[hash], after[j] = int32(j), next
	}
	for i := m.head; i < x-m.tail; i++ {
		m.mates[i] = none
		hash := of.hashX(i)
		if j, ok := first[hash]; ok && j != none && of.same(i, int(j)) {
			m.mates[i], first[hash] = j, after[j]
		}
	}
	return m
}

// permuted reports whether the lists hold the same elements in another order.
func (m *matching) permuted() bool {
	return m.x == m.y && !slices.Contains(m.mates, none) && !slices.IsSorted(m.mates)
}

// ascend drops pairs until all are in the same order on both sides, as few as can be,
// and adds those that fit between them.
func (m *matching) ascend() {
	new(align.Chain).Keep(m.mates)
	i, j := 0, 0
	for k := 0; k <= m.x; k++ {
		to := m.y
		if k < m.x {
			if m.mates[k] == none {
				continue
			}
			to = int(m.mates[k])
		}
		m.between(i, k, j, to)
		i, j = k+1, to+1
	}
}

// between pairs what is the same among x[i:iEnd] and y[j:jEnd], in order.
func (m *matching) between(i, iEnd, j, jEnd int) {
	for i < iEnd && j < jEnd && m.of.same(i, j) {
		m.mates[i] = int32(j)
		i, j = i+1, j+1
	}
	for i < iEnd && j < jEnd && m.of.same(iEnd-1, jEnd-1) {
		iEnd, jEnd = iEnd-1, jEnd-1
		m.mates[iEnd] = int32(jEnd)
	}
	if i < iEnd && j < jEnd && iEnd-i <= maxBetween && jEnd-j <= maxBetween {
		m.longest(i, iEnd, j, jEnd)
	}
}

// maxBetween is up to how many elements are compared each with each.
const maxBetween = 16

// longest pairs a longest common subsequence of x[i:iEnd] and y[j:jEnd].
func (m *matching) longest(i, iEnd, j, jEnd int) {
	var length [maxBetween + 1][maxBetween + 1]int8 // of that of the elements from here on
	var same [maxBetween][maxBetween]bool
	for p := iEnd - i - 1; p >= 0; p-- {
		for q := jEnd - j - 1; q >= 0; q-- {
			same[p][q] = m.of.same(i+p, j+q)
			if same[p][q] {
				length[p][q] = length[p+1][q+1] + 1
			} else {
				length[p][q] = max(length[p+1][q], length[p][q+1])
			}
		}
	}
	for p, q := 0, 0; p < iEnd-i && q < jEnd-j; {
		switch {
		case same[p][q]:
			m.mates[i+p] = int32(j + q)
			p, q = p+1, q+1
		case length[p+1][q] >= length[p][q+1]:
			p++
		default:
			q++
		}
	}
}

// face pairs what ascend left over: between two pairs, in order, and so that the pairs
// have as much in common as possible. A changed element thus faces what it was before,
// though others were inserted or removed beside it.
func (m *matching) face() {
	i, j := 0, 0
	for k := 0; k <= m.x; k++ {
		to := m.y
		if k < m.x {
			if m.mates[k] == none {
				continue
			}
			to = int(m.mates[k])
		}
		if k-i <= maxFacing && to-j <= maxFacing && k-i+to-j > 2 {
			m.likest(i, k, j, to)
		} else {
			for n := range min(k-i, to-j) {
				m.mates[i+n] = int32(j + n)
			}
		}
		i, j = k+1, to+1
	}
}

// maxFacing is up to how many elements are weighed against each other. More face each
// other by their position.
const maxFacing = 32

// likest pairs x[i:iEnd] and y[j:jEnd] by what they have in common.
func (m *matching) likest(i, iEnd, j, jEnd int) {
	if i == iEnd || j == jEnd {
		return
	}
	var y [maxFacing][]uint64
	for q := range jEnd - j {
		y[q] = m.of.traitsY(j + q)
	}
	// best is the most that the elements from here on can have in common, in pairs;
	// being a pair at all is worth a little.
	var best [maxFacing + 1][maxFacing + 1]int32
	var paired [maxFacing][maxFacing]int32
	for p := iEnd - i - 1; p >= 0; p-- {
		x := m.of.traitsX(i + p)
		for q := jEnd - j - 1; q >= 0; q-- {
			paired[p][q] = best[p+1][q+1] + 1 + maxFacing*align.Common(x, y[q])
			best[p][q] = max(paired[p][q], best[p+1][q], best[p][q+1])
		}
	}
	for p, q := 0, 0; p < iEnd-i && q < jEnd-j; {
		switch best[p][q] {
		case paired[p][q]:
			m.mates[i+p] = int32(j + q)
			p, q = p+1, q+1
		case best[p+1][q]:
			p++
		default:
			q++
		}
	}
}

// inverse returns for each of y the index in x, or none.
func (m *matching) inverse() []int32 {
	back := make([]int32, m.y)
	for j := range back {
		back[j] = none
	}
	for i, j := range m.mates {
		if j != none {
			back[j] = int32(i)
		}
	}
	return back
}
