package composite_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow/internal/composite"
)

type part interface{ name() string }

type leaf struct{ id string }

func (l *leaf) name() string { return l.id }

type broken struct{ leaf }

func (broken) Fault() error { return errors.New("broken") }

type wrapper struct {
	leaf
	parts []part
}

func (w *wrapper) Unwrap() []part { return w.parts }

type all struct {
	composite.InTurn
	wrapper
}

func names(parts []part) (list []string) {
	for _, p := range parts {
		if p == nil {
			list = append(list, "nil")
		} else {
			list = append(list, p.name())
		}
	}
	return list
}

func wrap(id string, parts ...part) part { return &wrapper{leaf{id}, parts} }

func inTurn(id string, parts ...part) part { return &all{wrapper: wrapper{leaf{id}, parts}} }

func TestEveryPartIsFound(t *testing.T) {
	a, b, c := &leaf{"a"}, &leaf{"b"}, &leaf{"c"}
	var missing *leaf
	whole := wrap("whole", a, wrap("inner", b, nil, missing), c)
	assert.Equal(t, []string{"whole", "a", "inner", "b", "c"}, names(slices.Collect(composite.All(whole))))
	for p := range composite.All(whole) {
		if p.name() == "b" {
			break
		}
	}
	assert.Empty(t, slices.Collect(composite.All(part(nil))))
}

// Only a composite that says that it does nothing but call its parts is replaced by them.
func TestFlatKeepsWrappers(t *testing.T) {
	var none *all
	flat := composite.Flat([]part{
		&leaf{"a"}, inTurn("x", &leaf{"b"}, inTurn("y", &leaf{"c"}), wrap("w", &leaf{"d"})), nil,
	})
	assert.Equal(t, []string{"a", "b", "c", "w", "nil"}, names(flat))
	assert.Len(t, composite.Flat([]part{none}), 1, "New reports it")
}

func TestAFaultIsFoundInAWrapperOfTheUser(t *testing.T) {
	bad := part(&broken{leaf{"bad"}})
	require.NoError(t, composite.Fault("x", part(&leaf{"a"})))
	require.NoError(t, composite.Fault("x", wrap("w", &leaf{"a"})))
	require.EqualError(t, composite.Fault("x", bad), "x: broken")
	require.EqualError(t, composite.Fault[part]("x", nil), "x: nil")
	require.EqualError(t, composite.Fault("x", wrap("w", &leaf{"a"}, bad, nil)),
		"x: *composite_test.wrapper: argument 2: broken\nx: *composite_test.wrapper: argument 3: nil")
	require.EqualError(t, composite.Faults("All", []part{bad, &leaf{"a"}, bad}), "All: argument 1: broken\nAll: argument 3: broken")
}

// What a composite contains is not walked for ever.
func TestACompositeThatContainsItselfEnds(t *testing.T) {
	w := &wrapper{leaf: leaf{"w"}}
	w.parts = []part{w, w}
	assert.Len(t, slices.Collect(composite.All(part(w))), 10_000)
	w.parts = []part{&leaf{"a"}, w}
	assert.ErrorContains(t, composite.Fault("x", part(w)), "contains itself")
}

func TestIsNilLooksIntoInterfaces(t *testing.T) {
	var (
		pointer *leaf
		fn      func()
		channel chan int
		list    []int
		set     map[string]int
	)
	for _, v := range []any{nil, pointer, fn, channel, list, set} {
		assert.True(t, composite.IsNil(v), "%T", v)
	}
	for _, v := range []any{0, "", leaf{}, &leaf{}, []int{}} {
		assert.False(t, composite.IsNil(v), "%T", v)
	}
}

// listener is a part that a wrapper without the method hides.
type listener interface{ listen() }

type ears struct{ leaf }

func (*ears) listen() {}

type wrappedEars struct{ wrapper }

func (*wrappedEars) listen() {}

// A part that listens is found in wrappers that do not, and a wrapper that does is in its place.
func TestFindLooksIntoWrappersThatLack(t *testing.T) {
	a, b, c, d := &ears{leaf{"a"}}, &ears{leaf{"b"}}, &ears{leaf{"c"}}, &ears{leaf{"d"}}
	own := &wrappedEars{wrapper{leaf{"own"}, []part{b}}}
	var missing *ears
	found := composite.Find[listener]([]part{
		a, &leaf{"deaf"}, nil, missing, wrap("w", own, wrap("x", c), a), inTurn("y", d, a),
	})
	var list []part
	for _, l := range found {
		list = append(list, l.(part))
	}
	assert.Equal(t, []string{"a", "own", "c", "d"}, names(list))

	w := &wrapper{leaf: leaf{"w"}}
	w.parts = []part{w, w, a}
	assert.Empty(t, composite.Find[listener]([]part{w}), "the search ends")
}
