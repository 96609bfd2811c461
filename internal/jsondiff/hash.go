package jsondiff

import (
	"bytes"
	"cmp"
	"hash/maphash"
	"math"
	"math/bits"
	"slices"

	"github.com/goshadow/shadow/internal/jsonpath"
	"github.com/goshadow/shadow/internal/jsonscan"
)

// hasher makes 64-bit hashes under a secret key. Equal values have equal
// hashes. Different ones collide once in 2^64 and nobody can arrange it; even
// then no difference is lost, because pairs found by hash are compared.
type hasher struct {
	seed   maphash.Seed
	k0, k1 uint64
}

func newHasher(seed maphash.Seed) hasher {
	return hasher{seed, maphash.String(seed, "0"), maphash.String(seed, "1")}
}

func (h *hasher) bytes(b []byte) uint64 { return maphash.Bytes(h.seed, b) }

// mix returns a hash of the sequence that has the hash x and goes on with y.
func (h *hasher) mix(x, y uint64) uint64 {
	hi, lo := bits.Mul64(x^h.k0, y^h.k1)
	return hi ^ lo ^ x
}

// Beginnings of hashes, by type.
const (
	hashedString uint64 = iota + 1
	hashedNumber
	hashedLiteral
	hashedObject
	hashedArray
	hashedSet
	hashedNear // a number or time under a tolerance
)

// ignoredHash is the hash of a value that a rule ignores.
const ignoredHash = 0

// hashed is a child of a container: what it is sorted by, and its hash.
type hashed struct{ by, hash uint64 }

// hashString hashes the value of a string literal.
func (s *comparison) hashString(lit []byte) uint64 {
	if bytes.IndexByte(lit, '\\') < 0 {
		return s.c.hash.bytes(lit[1 : len(lit)-1])
	}
	s.text = jsonscan.AppendUnquote(s.text[:0], lit)
	return s.c.hash.bytes(s.text)
}

func (s *comparison) hashScalar(lit []byte) uint64 {
	h := &s.c.hash
	switch lit[0] {
	case '"':
		return h.mix(hashedString, s.hashString(lit))
	case 't', 'f', 'n':
		return h.mix(hashedLiteral, uint64(lit[0]))
	}
	s.number = jsonscan.AppendNumberKey(s.number[:0], lit)
	return h.mix(hashedNumber, h.bytes(s.number))
}

// Hash returns a hash under which to look for documents that may be Equal: those
// that are have the same one, unless a rule selects on one side only, as a
// filter may, or an index after an element was inserted. Documents that are not
// Equal have different ones as a rule, but for what is within a tolerance. Two
// Comparers have different hashes. Ok is false for what is not JSON.
func (c *Comparer) Hash(doc []byte) (hash uint64, ok bool) {
	if len(doc) > math.MaxInt32 {
		return 0, false
	}
	s := c.begin(doc, nil, "", 0)
	defer s.release()
	t := &s.tree
	if t.a.readAll(doc, c.maxDepth) != nil {
		return 0, false
	}
	t.root = s.startState()
	if s.c.set != nil && s.c.set.Deferred() {
		var err error
		if s.locatedA, err = s.c.set.Locate(doc, c.maxDepth); err != nil {
			return 0, false
		}
	}
	s.hashTape(&t.a, &s.locatedA)
	return t.a.hashes[0], true
}

// hashTapes computes the hashes of all values on both tapes, once.
func (s *comparison) hashTapes() {
	t := &s.tree
	if len(t.a.hashes) > 0 {
		return
	}
	s.hashTape(&t.a, &s.locatedA)
	s.hashTape(&t.b, &s.locatedB)
}

// hashTape computes the hash of every value on a tape: children before their
// parents, which is backwards.
func (s *comparison) hashTape(t *tape, located *jsonpath.Located) {
	n := len(t.nodes)
	s.work += n
	t.hashes = slices.Grow(t.hashes[:0], n)[:n]
	ruled := s.ruled(s.tree.root, s.tree.root)
	if ruled {
		s.spread(t)
	}
	if len(s.c.tolerances) > 0 {
		t.near = slices.Grow(t.near[:0], n)[:n]
		for i := range t.near {
			t.near[i] = math.NaN() // holds nothing under a tolerance
		}
	}
	for i := n - 1; i >= 0; i-- {
		e := noEffect
		if ruled {
			s.c.paths.add(&e, t.states[i].IDs())
			if s.c.set.Deferred() {
				s.c.paths.add(&e, located.IDs(int(t.nodes[i].start)))
			}
		}
		t.hashes[i] = s.hashNode(t, int32(i), &e)
	}
}

// spread computes the state of every value on a tape, parents before their
// children.
func (s *comparison) spread(t *tape) {
	n := len(t.nodes)
	t.states = slices.Grow(t.states[:0], n)[:n]
	t.states[0] = s.tree.root
	for i := range int32(n) {
		for end, c := t.nodes[i].next, i+1; c < end; c = t.nodes[c].next {
			t.states[c] = s.nodeState(t, i, c, t.states[i])
		}
	}
}

// hashNode computes the hash of a value whose children have theirs.
func (s *comparison) hashNode(t *tape, n int32, e *effect) uint64 {
	if e.ignore >= 0 {
		return ignoredHash
	}
	switch t.kind(n) {
	case '{':
		return s.hashObject(t, n)
	case '[':
		return s.hashArray(t, n, e.paired())
	}
	lit := t.nodes[n].literal(t.doc)
	if e.tolerance >= 0 {
		if kind, near := s.c.tolerances[e.tolerance-s.c.paths.keyed].kind(lit); kind != exactly {
			t.near[n] = near
			return s.c.hash.mix(hashedNear, uint64(kind))
		}
	}
	return s.hashScalar(lit)
}

// hashObject hashes an object: its members in the order of the hashes of their
// names, those of one name in their own.
func (s *comparison) hashObject(t *tape, n int32) uint64 {
	members := s.tree.pairing.sorted[:0]
	for end, c := t.nodes[n].next, n+1; c < end; c = t.nodes[c].next {
		t.nearer(n, c)
		if t.hashes[c] != ignoredHash {
			members = append(members, hashed{s.hashString(t.nodes[c].nameLiteral(t.doc)), t.hashes[c]})
		}
	}
	s.tree.pairing.sorted = members
	slices.SortStableFunc(members, func(x, y hashed) int { return cmp.Compare(x.by, y.by) })
	h := hashedObject
	for _, m := range members {
		h = s.c.hash.mix(s.c.hash.mix(h, m.by), m.hash)
	}
	return h
}

// hashArray hashes an array: its elements in order, or sorted by their hashes
// where a rule pairs them in any order.
func (s *comparison) hashArray(t *tape, n int32, paired bool) uint64 {
	elements := s.tree.pairing.sorted[:0]
	for end, c := t.nodes[n].next, n+1; c < end; c = t.nodes[c].next {
		t.nearer(n, c)
		if t.hashes[c] != ignoredHash {
			elements = append(elements, hashed{0, t.hashes[c]})
		}
	}
	s.tree.pairing.sorted = elements
	h := hashedArray
	if paired {
		slices.SortFunc(elements, func(x, y hashed) int { return cmp.Compare(x.hash, y.hash) })
		h = hashedSet
	}
	for _, e := range elements {
		h = s.c.hash.mix(h, e.hash)
	}
	return h
}

// holdsNear reports whether node n, which has its hash, holds anything under a
// tolerance that is not ignored.
func (t *tape) holdsNear(n int32) bool { return len(t.near) > 0 && !math.IsNaN(t.near[n]) }

// nearer adds what child c holds under tolerances to container n.
func (t *tape) nearer(n, c int32) {
	switch {
	case len(t.near) == 0 || math.IsNaN(t.near[c]):
	case math.IsNaN(t.near[n]):
		t.near[n] = t.near[c]
	default:
		t.near[n] += t.near[c]
	}
}
