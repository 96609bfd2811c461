// Package jsondiff compares two JSON documents straight from their bytes.
//
// A comparison has two tiers. The first (lockstep.go) walks both documents
// together and only scans; it decides everything that comes in the same order
// on both sides, which is nearly all traffic. Where the order differs, an
// array needs aligning or a rule pairs elements, the second (tree.go) takes
// that one container over: it lists the values of both sides on flat tapes
// (tape.go), pairs them (pair.go) and compares the pairs. For objects that
// turn out to differ in order only there is a short cut (alike.go).
//
// What is equal: numbers of the same mathematical value, at any size and
// precision; strings of the same code points after unescaping (bytes that are
// not UTF-8 and lone surrogates stand for themselves); objects with the same
// members in any order, where a name that occurs several times holds an
// ordered list; arrays with equal elements in the same order, unless a rule
// says otherwise. Nothing else is: null, absent, {}, [], "", "1" and 1 all
// differ.
//
// Bounds: the time is O(n log n) and the memory O(n) in the size of the
// documents, whatever they hold; nesting costs neither stack nor time. An
// equal verdict allocates nothing once the pooled scratch has grown to its
// size. The exceptions are rules that a forward walk cannot decide (see
// [jsonpath.Set.Locate]), tolerances at the very edge, and documents of over a
// quarter of a million values in another order, whose scratch is not kept.
package jsondiff

import (
	"bytes"
	"cmp"
	"errors"
	"hash/maphash"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/goshadow/shadow/internal/jsonpath"
	"github.com/goshadow/shadow/internal/jsonscan"
	"github.com/goshadow/shadow/internal/pointer"
)

// Options are the rules of a comparison. The zero value compares exactly.
//
// A rule applies to a pair of values where its path selects the one in A or the
// one in B. It is consulted only for values whose bytes differ.
type Options struct {
	// Ignore selects values that are left out, and members and elements
	// whose absence from one side does not matter.
	Ignore []*jsonpath.Path

	// Unordered selects arrays that are compared as multisets. Elements
	// without an equal are Missing and Extra; where one is left on each
	// side they are compared with each other.
	Unordered []*jsonpath.Path

	// Keyed selects arrays whose elements are paired by the value of a
	// member, whatever their order. It goes before Unordered.
	Keyed []Key

	// Tolerances select numbers and times that may differ a little. The
	// first that selects a value applies.
	Tolerances []Tolerance

	MaxDiffs int // at most so many are reported, with at most 1 MiB of paths; 0 or less is 100
	MaxDepth int // levels of nesting; 0 or less is jsonscan.DefaultMaxDepth
}

// Key identifies the elements of the arrays that Path selects by the string,
// number, boolean or null in their member of that name. Elements without such
// a member are paired in their order, and so are elements with the same key.
type Key struct {
	Path   *jsonpath.Path
	Member string
}

// Tolerance lets two values at Path pass as equal.
//
// Numbers are equal where they differ by at most Abs, or by at most Rel times
// the larger magnitude; both bounds are the decimal number that a float64
// prints as, and the difference is exact. Time is for RFC 3339 strings and for
// numbers that count seconds, milli-, micro- or nanoseconds since 1970, which
// their magnitude tells. A bound that is zero, negative or not a number is not
// applied.
type Tolerance struct {
	Path     *jsonpath.Path
	Abs, Rel float64
	Time     time.Duration
}

// Kind says in what way two values differ.
type Kind uint8

// The kinds.
const (
	Changed     Kind = iota // another value of the same type
	TypeChanged             // a value of another type
	Missing                 // only A has it
	Extra                   // only B has it
	Reordered               // an array with the same elements in another order
)

// Span is where a value is in its document. Start is negative where there is
// none.
type Span struct{ Start, End int }

var absent = Span{-1, -1}

// Of returns the bytes of the span in doc, nil where it is absent.
func (s Span) Of(doc []byte) []byte {
	if s.Start < 0 {
		return nil
	}
	return doc[s.Start:s.End:s.End]
}

// Diff is one difference.
type Diff struct {
	// Path is a JSON Pointer (RFC 6901) that begins with the prefix given
	// to Compare. Indexes are those of A, for Extra those of B; an element
	// of a keyed array reads "id=7" in their place.
	Path  string
	Kind  Kind
	Class Class
	A, B  Span
}

// Result is what a comparison found. It owns its memory.
type Result struct {
	// Diffs are in the order of their paths, numbers in paths by value.
	Diffs []Diff

	// More is true where there are differences besides Diffs.
	More bool

	// Err says that the rules need more work on the documents than a multiple
	// of their size. Nothing else is set then: they may be equal or differ.
	Err error

	// ErrA and ErrB say what keeps A and B from being read as JSON: a
	// *jsonscan.SyntaxError with the offset. Where only one is set, Diffs
	// holds one TypeChanged over both documents. Where both are, nothing
	// was compared, and the documents differ by their bytes.
	//
	// Where all bytes are the same, nothing is validated. Where they are
	// not, what follows the last values that differ is not validated if it
	// is the same bytes on both sides. Whatever is wrong there is wrong on
	// both sides.
	ErrA, ErrB error
}

// Equal reports whether no difference was found.
func (r *Result) Equal() bool {
	return len(r.Diffs) == 0 && r.Err == nil && r.ErrA == nil && r.ErrB == nil
}

// Matches counts, by the index of each rule in Options, the pairs of values
// whose bytes differ and on which a rule took effect: in the comparisons that
// Compare reported, and not in what was only tried on the way to them, to align
// an array or by Equal and Hash. A rule that stays at zero while documents
// differ selects nothing, or nothing that ever differs.
type Matches struct {
	Ignore, Unordered, Keyed, Tolerances []uint64
}

// Comparer compares documents by one set of rules. It is safe for concurrent
// use.
type Comparer struct {
	set        *jsonpath.Set // nil without rules
	paths      layout
	members    []string    // of the keyed rules
	tolerances []tolerance // of the tolerance rules
	matches    []atomic.Uint64
	maxDiffs   int
	maxDepth   int
	hash       hasher
	scratch    sync.Pool // of *comparison
}

// layout says which IDs of the set belong to which rules: those of a kind
// follow each other, and these are the first IDs past each kind.
type layout struct{ ignore, unordered, keyed, tolerances int }

// New compiles the rules.
func New(o Options) *Comparer {
	c := &Comparer{
		maxDiffs: cmp.Or(max(o.MaxDiffs, 0), 100),
		maxDepth: cmp.Or(max(o.MaxDepth, 0), jsonscan.DefaultMaxDepth),
		hash:     newHasher(maphash.MakeSeed()),
	}
	paths := slices.Concat(o.Ignore, o.Unordered)
	c.paths.ignore, c.paths.unordered = len(o.Ignore), len(paths)
	for _, k := range o.Keyed {
		paths = append(paths, k.Path)
		c.members = append(c.members, k.Member)
	}
	c.paths.keyed = len(paths)
	for _, t := range o.Tolerances {
		paths = append(paths, t.Path)
		c.tolerances = append(c.tolerances, newTolerance(t))
	}
	c.paths.tolerances = len(paths)
	if len(paths) > 0 {
		c.set = jsonpath.NewSet(paths...)
		c.matches = make([]atomic.Uint64, len(paths))
	}
	c.scratch.New = func() any { return &comparison{c: c} }
	return c
}

// Matches returns the counts so far.
func (c *Comparer) Matches() Matches {
	counts := make([]uint64, len(c.matches))
	for i := range c.matches {
		counts[i] = c.matches[i].Load()
	}
	p := c.paths
	return Matches{
		Ignore:     counts[:p.ignore:p.ignore],
		Unordered:  counts[p.ignore:p.unordered:p.unordered],
		Keyed:      counts[p.unordered:p.keyed:p.keyed],
		Tolerances: counts[p.keyed:],
	}
}

// Compare compares a and b. Paths begin with prefix, which is "" for a whole
// document. Neither document is modified or kept.
func (c *Comparer) Compare(a, b []byte, prefix string) Result {
	if bytes.Equal(a, b) {
		return Result{}
	}
	return c.compare(a, b, prefix)
}

// compare is apart from Compare so that the test for equal bytes is inlined.
func (c *Comparer) compare(a, b []byte, prefix string) Result {
	s := c.begin(a, b, prefix, c.maxDiffs)
	r := s.run()
	s.count()
	s.release()
	return r
}

// Equal reports whether a and b are equal, as Compare has it. It stops at the
// first difference and is not counted in Matches.
func (c *Comparer) Equal(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	s := c.begin(a, b, "", 0)
	errA, errB := s.find()
	equal := errA == nil && errB == nil && !s.result.More
	s.release()
	return equal
}

// Evaluations is in how many documents, of so many bytes together, the rules may be evaluated:
// for small ones that takes a multiple of the time of reading if they are filters, or pair
// elements.
func (c *Comparer) Evaluations(bytes int) int {
	if c.set == nil {
		return math.MaxInt
	}
	return freeEvaluations + bytes/bytesPerEvaluation
}

const freeEvaluations, bytesPerEvaluation = 1 << 14, 16

// comparison is the work on two documents. It is pooled: everything in it is
// used by one goroutine at a time, and nothing of it is in a Result.
type comparison struct {
	c        *Comparer
	a, b     []byte
	prefix   string
	result   Result
	locatedA jsonpath.Located
	locatedB jsonpath.Located
	hits     []int32 // the rules that took effect, without those of what was only tried
	most     int     // so many differences are wanted
	paths    int     // bytes of the paths of those found
	parted   bool    // they differ in more than white space
	work     int     // values and bytes looked at again after the first scan, for the tests of the time bound
	left     int     // of the work of matchers; negative where it did not do
	lockstep lockstep
	tree     tree

	// Scratch.
	path, name   []byte
	textA, textB []byte
	text, number []byte
}

// begin returns scratch for the work on a and b.
func (c *Comparer) begin(a, b []byte, prefix string, most int) *comparison {
	s := c.scratch.Get().(*comparison)
	s.a, s.b, s.prefix, s.most, s.paths, s.parted, s.work = a, b, prefix, most, 0, false, 0
	s.tree.spare = 8 * (len(a) + len(b))
	s.left = s.matchWork()
	return s
}

// find compares the documents and puts the differences into s.result.
func (s *comparison) find() (errA, errB error) {
	if max(len(s.a), len(s.b)) > math.MaxInt32 {
		return errTooLarge, errTooLarge
	}
	if errA, errB = s.locate(); errA != nil || errB != nil {
		return errA, errB
	}
	return s.walk()
}

// run compares the documents and returns the result.
func (s *comparison) run() Result {
	errA, errB := s.find()
	if errA == errTooLarge {
		return Result{ErrA: errA, ErrB: errB}
	}
	if err := cmp.Or(workErr(errA), workErr(errB)); err != nil {
		return Result{Err: err}
	}
	if s.left < 0 {
		return Result{Err: errWork}
	}
	// One side is broken, or the walk stopped early at the limit of
	// differences: the verdict is about whole documents.
	if errA != nil || errB != nil || s.result.More {
		errA = cmp.Or(jsonscan.Valid(s.a, s.c.maxDepth), errA)
		errB = cmp.Or(jsonscan.Valid(s.b, s.c.maxDepth), errB)
	}
	switch {
	case errA != nil && errB != nil:
		return Result{ErrA: errA, ErrB: errB}
	case errA != nil || errB != nil:
		whole := Diff{Path: s.prefix, Kind: TypeChanged, A: Span{0, len(s.a)}, B: Span{0, len(s.b)}}
		return Result{Diffs: []Diff{whole}, ErrA: errA, ErrB: errB}
	}
	slices.SortStableFunc(s.result.Diffs, func(x, y Diff) int { return pointer.Compare(x.Path, y.Path) })
	return s.result
}

var errWork = errors.New("the rules for arrays in any order need too much work on the documents")

// workErr returns err if it is not about the syntax of a document.
func workErr(err error) error {
	if err == nil || err == errEnough {
		return nil
	}
	if syntax := (*jsonscan.SyntaxError)(nil); errors.As(err, &syntax) {
		return nil
	}
	return err
}

var errTooLarge error = &jsonscan.SyntaxError{Offset: math.MaxInt32, Msg: "documents over 2 GiB are not read"}

// locate finds the places of the rules that the walk cannot decide.
func (s *comparison) locate() (errA, errB error) {
	if s.c.set == nil || !s.c.set.Deferred() {
		return nil, nil
	}
	s.locatedA, errA = s.c.set.Locate(s.a, s.c.maxDepth)
	s.locatedB, errB = s.c.set.Locate(s.b, s.c.maxDepth)
	return errA, errB
}

// count adds what the rules have done to the counts of the Comparer, which all
// comparisons share: once for each rule.
func (s *comparison) count() {
	slices.Sort(s.hits)
	for hits := s.hits; len(hits) > 0; {
		rule := hits[0]
		n, _ := slices.BinarySearch(hits, rule+1)
		s.c.matches[rule].Add(uint64(n))
		hits = hits[n:]
	}
}

// release hands the scratch back, unless it has grown too large to keep.
func (s *comparison) release() {
	if s.tree.large() || cap(s.hits) > 1<<20 {
		return
	}
	s.a, s.b, s.prefix, s.result, s.hits = nil, nil, "", Result{}, s.hits[:0]
	s.tree.a.doc, s.tree.b.doc = nil, nil
	s.locatedA, s.locatedB = jsonpath.Located{}, jsonpath.Located{}
	s.c.scratch.Put(s)
}

// record adds the difference of the current values and reports whether there is
// room for more.
func (s *comparison) record(kind Kind, a, b Span) bool {
	if len(s.result.Diffs) == s.most || s.paths > maxPaths {
		s.result.More = true
		return false
	}
	d := Diff{Path: s.pathTo(kind), Kind: kind, A: a, B: b}
	d.Class = s.classify(&d)
	s.paths += len(d.Path)
	s.result.Diffs = append(s.result.Diffs, d)
	return true
}

// maxPaths is after how many bytes of paths no more differences are wanted.
const maxPaths = 1 << 20
