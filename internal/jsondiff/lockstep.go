package jsondiff

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/bits"
	"slices"

	"github.com/goshadow/shadow/internal/jsonpath"
	"github.com/goshadow/shadow/internal/jsonscan"
)

// lockstep is the stack of the first tier: the containers that are open on
// both sides. What precedes the place of the walk is equal, ignored or
// recorded.
type lockstep struct {
	frames []frame

	// The frames below checked have been looked at by the rules: their
	// state is known, and no rule ignores them or pairs their elements.
	checked int
}

// frame is a container that is open on both sides.
type frame struct {
	a, b          int // where it starts
	name, nameEnd int // of the current member of an object, in A
	index         int // of the current element of an array
	object        bool
	skipped       bool // an element of the array has been ignored
	array         int  // the outermost ordered array among this frame and those below it; none is -1
	hits          int  // of rules before it was entered
	state         jsonpath.State
}

// push returns a new frame, of which nothing is set.
func (w *lockstep) push() *frame {
	n := len(w.frames)
	if n == cap(w.frames) {
		w.frames = slices.Grow(w.frames, 1)
	}
	w.frames = w.frames[:n+1]
	return &w.frames[n]
}

// errEnough ends a walk: the rest of the documents is the same, or there are
// as many differences as wanted.
var errEnough = errors.New("enough")

// walk compares the documents from their roots. It returns what is wrong with
// the syntax of one of them, if that is what it came upon first.
func (s *comparison) walk() (errA, errB error) {
	s.lockstep.frames, s.lockstep.checked = s.lockstep.frames[:0], 0
	errA, errB = s.walkTogether()
	if errA == errEnough {
		errA = nil
	}
	return errA, errB
}

// walkTogether is the loop of the first tier. i and j are the places in A and
// B. Where same is over i, a[i:same] equals b[j:j+same-i]: up to there both
// sides advance together and only A needs scanning. Nothing else is ever
// skipped on one side alone, so what is left of same never misleads.
func (s *comparison) walkTogether() (errA, errB error) {
	a, b := s.a, s.b
	i, j := jsonscan.Space(a, 0), jsonscan.Space(b, 0)
	same := i
	var top *frame
	var end int
	var err error

value: // Values start at i and j.
	s.work++
	if i >= len(a) {
		_, err = jsonscan.Scalar(a, i)
		return err, nil
	}
	if c := a[i]; c == '{' || c == '[' {
		if j >= len(b) || b[j] != c {
			goto different
		}
		if len(s.lockstep.frames) == s.c.maxDepth {
			return jsonscan.TooDeep(i, s.c.maxDepth), jsonscan.TooDeep(j, s.c.maxDepth)
		}
		top = s.lockstep.push()
		top.a, top.b, top.index, top.object, top.skipped = i, j, 0, c == '{', false
		i, j = i+1, j+1
		if i >= same || a[i] <= ' ' {
			i, j = spaces(a, b, i, j, same)
		}
		if i < len(a) && a[i] == c+2 || j < len(b) && b[j] == c+2 {
			if i < len(a) && j < len(b) && a[i] == b[j] {
				goto closed
			}
			goto order
		}
		if c == '{' {
			goto name
		}
		goto value
	} else if c == '"' {
		end, _, err = jsonscan.String(a, i)
	} else {
		end, err = jsonscan.Scalar(a, i)
	}
	if err != nil {
		return err, nil
	}
	if end >= same { // at least one byte past the value must be the same
		same = run(a, b, max(i, same), j-i)
		if s.parted && same == len(a) && len(a)-i == len(b)-j {
			return errEnough, nil
		}
	}
	if end > same || end == same && !delimited(b, j+end-i) {
		goto different
	}
	i, j = end, j+end-i

after: // Values end at i and j.
	if len(s.lockstep.frames) == 0 {
		return jsonscan.End(a, i), jsonscan.End(b, j)
	}
	if i >= same || a[i] <= ' ' {
		i, j = spaces(a, b, i, j, same)
	}
	if i >= len(a) || j >= len(b) || a[i] != b[j] {
		goto uneven
	}
	if a[i] == ',' {
		i, j = i+1, j+1
		if i >= same || a[i] <= ' ' {
			i, j = spaces(a, b, i, j, same)
		}
		if top.object {
			goto name
		}
		top.index++
		if i >= len(a) || a[i] == ']' || j >= len(b) || b[j] == ']' {
			_, errA = jsonscan.Value(a, i, s.c.maxDepth)
			_, errB = jsonscan.Value(b, j, s.c.maxDepth)
			return errA, errB
		}
		goto value
	}
	if a[i] != a[top.a]+2 {
		return s.wantClosing(a, i), s.wantClosing(b, j)
	}

closed: // The innermost container ends at i and j.
	i, j = i+1, j+1
	s.lockstep.frames = s.lockstep.frames[:len(s.lockstep.frames)-1]
	goto ended

name: // A member's name should start at i and j.
	if i >= len(a) || a[i] != '"' {
		return jsonscan.Unexpected(a, i, "a member name"), nil
	}
	if end, _, err = jsonscan.String(a, i); err != nil {
		return err, nil
	}
	if end > same {
		same = run(a, b, max(i, same), j-i)
		if s.parted && same == len(a) && len(a)-i == len(b)-j {
			return errEnough, nil
		}
	}
	top.name, top.nameEnd = i, end
	if end <= same {
		i, j = end, j+end-i
	} else {
		if j >= len(b) || b[j] != '"' {
			return nil, jsonscan.Unexpected(b, j, "a member name")
		}
		endB, _, err := jsonscan.String(b, j)
		if err != nil {
			return nil, err
		}
		if !jsonscan.EqualStrings(a[i:end], b[j:endB]) {
			goto order
		}
		i, j = end, endB
	}
	if i >= same || a[i] <= ' ' {
		i, j = spaces(a, b, i, j, same)
	}
	if i >= len(a) || a[i] != ':' {
		return jsonscan.Unexpected(a, i, `":"`), nil
	}
	if j >= len(b) || b[j] != ':' {
		return nil, jsonscan.Unexpected(b, j, `":"`)
	}
	i, j = i+1, j+1
	if i >= same || a[i] <= ' ' {
		i, j = spaces(a, b, i, j, same)
	}
	goto value

different: // The values at i and j are not the same bytes.
	if i, j, errA, errB = s.differ(i, j); errA != nil || errB != nil {
		return errA, errB
	}
	goto ended

uneven: // One container goes on where the other ends, or there is a syntax error.
	if i, j, errA, errB = s.stepOver(i, j); errA != nil || errB != nil {
		return errA, errB
	}

order: // The rest of the innermost container, from i and j, does not match in order.
	if i, j, errA, errB = s.settle(i, j); errA != nil || errB != nil {
		return errA, errB
	}

ended: // Values end at i and j, and frames may have been left.
	if n := len(s.lockstep.frames); n > 0 {
		top = &s.lockstep.frames[n-1]
		s.lockstep.checked = min(s.lockstep.checked, n)
	} else {
		s.lockstep.checked = 0
	}
	goto after
}

// spaces skips white space on both sides; up to same it is the same on both.
func spaces(a, b []byte, i, j, same int) (ni, nj int) {
	ni = jsonscan.Space(a, i)
	if ni < same {
		return ni, j + ni - i
	}
	return ni, jsonscan.Space(b, j)
}

// run returns the offset in a up to which a[i:] equals b[i+shift:].
func run(a, b []byte, i, shift int) int {
	n := min(len(a), len(b)-shift)
	for i+8 <= n {
		if x := binary.LittleEndian.Uint64(a[i:]) ^ binary.LittleEndian.Uint64(b[i+shift:]); x != 0 {
			return i + bits.TrailingZeros64(x)>>3
		}
		i += 8
	}
	for i < n && a[i] == b[i+shift] {
		i++
	}
	return i
}

// delimited reports whether no number goes on at b[i].
func delimited(b []byte, i int) bool {
	if i >= len(b) {
		return true
	}
	switch c := b[i]; {
	case '0' <= c && c <= '9', c == '.', c == 'e', c == 'E', c == '+', c == '-':
		return false
	}
	return true
}

// wantClosing returns the error of a document that has neither a comma nor the
// bracket that closes the innermost container at offset i, nil if it has.
func (s *comparison) wantClosing(doc []byte, i int) error {
	closing := s.a[s.lockstep.frames[len(s.lockstep.frames)-1].a] + 2
	if i < len(doc) && (doc[i] == ',' || doc[i] == closing) {
		return nil
	}
	return jsonscan.Unexpected(doc, i, "\",\" or \""+string(closing)+"\"")
}

// stepOver moves the side that goes on over its comma, to the start of its
// next member or element. The other stays at its closing bracket.
func (s *comparison) stepOver(i, j int) (ni, nj int, errA, errB error) {
	top := &s.lockstep.frames[len(s.lockstep.frames)-1]
	if errA, errB = s.wantClosing(s.a, i), s.wantClosing(s.b, j); errA != nil || errB != nil {
		return i, j, errA, errB
	}
	step := func(doc []byte, i int) (int, error) {
		if doc[i] != ',' {
			return i, nil
		}
		if i = jsonscan.Space(doc, i+1); i < len(doc) && doc[i] != s.a[top.a]+2 {
			return i, nil
		}
		if top.object {
			_, _, _, err := jsonscan.Name(doc, i)
			return i, err
		}
		_, err := jsonscan.Scalar(doc, i) // a bracket: says what is missing
		return i, err
	}
	top.index++
	ni, errA = step(s.a, i)
	nj, errB = step(s.b, j)
	return ni, nj, errA, errB
}

// differ settles the values at i and j, whose bytes are not the same, and
// returns where the walk goes on: after them, or after the container that had
// to be left with them.
func (s *comparison) differ(i, j int) (ni, nj int, errA, errB error) {
	if k, e := s.inspect(); k != none {
		return s.govern(k, e, i, j)
	}
	ni, errA = s.skip(s.a, i)
	nj, errB = s.skip(s.b, j)
	if errA != nil || errB != nil {
		return ni, nj, errA, errB
	}
	s.work += ni - i + nj - j
	array := none
	st := s.startState()
	if n := len(s.lockstep.frames); n > 0 {
		array = s.lockstep.frames[n-1].array
		st = s.childState(n - 1)
	}
	e := s.effect(st, st, i, j)
	if e.ignore >= 0 {
		s.ignored(e.ignore)
		return ni, nj, nil, nil
	}
	kind, same := s.compareValues(s.a[i:ni], s.b[j:nj], &e)
	switch {
	case same:
	case array != none && !s.sameTail(ni, nj):
		return s.takeOver(array, i, j, noEffect, aligned)
	case !s.record(kind, Span{i, ni}, Span{j, nj}):
		errA = errEnough
	}
	return ni, nj, errA, nil
}

// skip returns the end of the value at i, inside the open frames.
func (s *comparison) skip(doc []byte, i int) (end int, err error) {
	levels := s.c.maxDepth - len(s.lockstep.frames)
	if levels == 0 { // which jsonscan takes for the default
		return jsonscan.Scalar(doc, i)
	}
	return jsonscan.Value(doc, i, levels)
}

// settle settles the rest of the innermost container, which begins at i and j:
// at a member or element, or at the closing bracket.
func (s *comparison) settle(i, j int) (ni, nj int, errA, errB error) {
	if k, e := s.inspect(); k != none {
		return s.govern(k, e, i, j)
	}
	return s.takeOver(len(s.lockstep.frames)-1, i, j, noEffect, inOrder)
}

// inspect applies the rules to the open containers, outermost first, and
// returns the first that they ignore or whose elements they pair; none if they
// leave all alone.
func (s *comparison) inspect() (int, effect) {
	s.parted = true
	w := &s.lockstep
	for ; w.checked < len(w.frames); w.checked++ {
		k := w.checked
		f := &w.frames[k]
		f.array, f.hits = none, len(s.hits)
		if k > 0 {
			f.state = s.childState(k - 1)
			f.array = w.frames[k-1].array
		} else {
			f.state = s.startState()
		}
		if e := s.effect(f.state, f.state, f.a, f.b); e.ignore >= 0 || e.paired() && !f.object {
			return k, e
		}
		if f.array == none && !f.object {
			f.array = k
		}
	}
	return none, noEffect
}

func (s *comparison) startState() jsonpath.State {
	if s.c.set == nil {
		return jsonpath.State{}
	}
	return s.c.set.Start()
}

// childState returns the state at the current member or element of frame k.
func (s *comparison) childState(k int) jsonpath.State {
	f := &s.lockstep.frames[k]
	switch {
	case s.c.set == nil || f.state.Dead():
		return jsonpath.State{}
	case f.object:
		return s.c.set.Member(f.state, s.nameOf(s.a[f.name:f.nameEnd]))
	}
	return s.c.set.Element(f.state, f.index)
}

// govern does what a rule says about the open container of frame k.
func (s *comparison) govern(k int, e effect, i, j int) (ni, nj int, errA, errB error) {
	if e.ignore < 0 {
		return s.takeOver(k, i, j, e, inOrder)
	}
	f := s.lockstep.frames[k]
	s.lockstep.frames = s.lockstep.frames[:k]
	s.ignored(e.ignore)
	ni, errA = s.skip(s.a, f.a)
	nj, errB = s.skip(s.b, f.b)
	s.work += ni - f.a + nj - f.b
	return ni, nj, errA, errB
}

// ignored notes that the current value of the innermost container is ignored.
func (s *comparison) ignored(rule int) {
	s.took(rule)
	if n := len(s.lockstep.frames); n > 0 {
		s.lockstep.frames[n-1].skipped = true
	}
}

// takeOver gives the rest of the container of frame k to the second tier: from
// the element that holds i and j where it is an outer array.
//
// Inside an ordered array only the verdict is wanted at first. If the values
// differ, and that is not all that differs, it is the outermost such array
// that needs to be aligned, from its beginning.
func (s *comparison) takeOver(k, i, j int, e effect, how mode) (ni, nj int, errA, errB error) {
	frames := s.lockstep.frames
	f := &frames[k]
	index := f.index
	switch {
	case how == aligned: // what has been found in it is found again
		i, j, index = jsonscan.Space(s.a, f.a+1), jsonscan.Space(s.b, f.b+1), 0
		s.hits = s.hits[:f.hits]
	case e.unordered >= 0 && e.keyed < 0 && len(s.c.tolerances) > 0: // what is equal at the same index may have to be paired in another way
		i, j, index = jsonscan.Space(s.a, f.a+1), jsonscan.Space(s.b, f.b+1), 0
	case k+1 < len(frames):
		i, j = frames[k+1].a, frames[k+1].b
	}
	if nj, errB = s.tree.b.read(s.b, position{f.b, j, index}, k+1, s.c.maxDepth); errB != nil {
		return ni, nj, nil, errB
	}
	if f.object && !s.tree.b.escaped && !s.ruled(f.state, f.state) {
		if ni, ok := s.alike(i); ok {
			s.lockstep.frames = frames[:k]
			return ni, nj, nil, nil
		}
		s.tree.b.unpair(0)
	}
	if ni, errA = s.tree.a.read(s.a, position{f.a, i, index}, k+1, s.c.maxDepth); errA != nil {
		return ni, nj, errA, nil
	}
	s.work += ni - i + nj - j
	array := none
	if k > 0 {
		array = frames[k-1].array
	}
	s.lockstep.frames = frames[:k]
	if array != none || f.skipped {
		first, hits := verdict, len(s.hits)
		if how == aligned {
			first = verdictAligned
		}
		if s.compareTrees(f.state, e, first) == equal {
			return ni, nj, nil, nil
		}
		s.tree.a.unpair(0)
		s.tree.b.unpair(0)
		s.hits = s.hits[:hits]
		switch {
		case f.skipped && !f.object && !e.paired() && how != aligned:
			// What was ignored may not have been opposite each other.
			s.lockstep.frames = frames
			return s.takeOver(k, i, j, e, aligned)
		case array != none && !s.sameTail(ni, nj):
			s.lockstep.frames = frames
			return s.takeOver(array, i, j, noEffect, aligned)
		}
	}
	if s.compareTrees(f.state, e, how) == full {
		errA = errEnough
	}
	return ni, nj, errA, nil
}

// sameTail reports whether the documents are the same from i and j to their ends.
func (s *comparison) sameTail(i, j int) bool { return bytes.Equal(s.a[i:], s.b[j:]) }
