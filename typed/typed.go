// Package typed compares bodies as values of a Go type, with go-cmp.
//
// The built-in comparator knows JSON, but not the meaning of an order. A service that has the type
// can say more: which fields do not matter, when two prices are equal, that tags are a set. All
// options of go-cmp serve for that:
//
//	shadow.WithCompare(shadow.CompareOptions{Bodies: map[string]shadow.Comparator{
//		"application/json": typed.Comparator[Order](
//			cmpopts.IgnoreFields(Order{}, "TraceID"),
//			cmpopts.EquateApproxTime(time.Second)),
//	}})
//
// Only bodies are compared here: registered like this, status, header fields and trailers are
// compared as without it. Members that T does not declare are not decoded, and so not compared.
//
// # Differences
//
// Every difference that go-cmp reports is a [shadow.Diff] whose path leads to the JSON it
// was decoded from: struct fields by the names of their members, maps by their keys,
// slices by their indexes. If a value has no place of its own in the JSON, because a
// Transformer or an UnmarshalJSON made it, the path ends at the value it was made from.
// An element that go-cmp pairs with one at another index is Missing at its own index and
// Extra at the other. There are at most 10,000 differences, in path order.
//
// # Failures
//
// A failure never counts as a match, and never stops the rest of the answer from being compared.
// It is a difference
//
//   - of [ClassUndecodable] at /body, if a body does not decode into T, or is Truncated;
//   - of [ClassPanic], if go-cmp panics, as it does at unexported fields without an option
//     for them, or if a function or an Equal method of yours panics: at the place of the
//     panic, besides the differences that were found before;
//   - of [ClassUnfinished] at /body, if the comparison was given up, after a number of steps
//     that is linear in the size of the bodies: the time of go-cmp is exponential in the
//     depth of slices in slices, as a T with an interface in it allows.
//
// As Compare returns it, such a difference has the text of the panic or of the errors in
// place of the values, for tests to show. A [shadow.Result] holds only values of the masked
// answers, so there only the class remains.
//
// Bodies with the same bytes match without being decoded, unless they are Truncated.
package typed

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/go-cmp/cmp"

	"github.com/goshadow/shadow"
)

// The classes of differences that are not about two values.
const (
	ClassUndecodable shadow.DiffClass = "undecodable" // a body does not decode, or is not there as a whole
	ClassPanic       shadow.DiffClass = "panic"       // go-cmp, an option, a method or the decoder panicked
	ClassUnfinished  shadow.DiffClass = "unfinished"  // more work than a comparison may be
)

// Comparator returns a comparator of JSON bodies that decodes both into a T, as
// json.Unmarshal does, and compares them with the options. Where T has an interface in
// it, numbers in there are float64, which 2^53+1 does not fit into: see [Decoded].
//
// The options are used by many goroutines at a time. They must not hold a cmp.Reporter
// that is not made for that.
func Comparator[T any](opts ...cmp.Option) shadow.Comparator {
	return Decoded(func(body []byte) (value T, err error) {
		err = json.Unmarshal(body, &value)
		return value, err
	}, opts...)
}

// Decoded returns a comparator of what decode makes of two bodies: a stricter JSON, or
// another format. Decode is called by many goroutines at a time and must not write into
// body. Decoded panics if decode is nil.
//
// Paths are those of the JSON where both bodies are JSON. Else they are what the paths
// would be if encoding/json had written the values.
func Decoded[T any](decode func(body []byte) (T, error), opts ...cmp.Option) shadow.Comparator {
	if decode == nil {
		panic("typed: Decoded: nil function")
	}
	untyped, err := shadow.NewComparator(shadow.CompareOptions{Headers: []string{}})
	if err != nil {
		panic(err) // there is nothing in it that could be wrong
	}
	return &comparator[T]{decode: decode, options: append(cmp.Options{}, opts...), untyped: untyped}
}

type comparator[T any] struct {
	decode  func([]byte) (T, error)
	options cmp.Options
	untyped shadow.Comparator // names the kind and the class of two values
}

// Compare compares the bodies of x.
func (c *comparator[T]) Compare(x *shadow.Exchange) shadow.Comparison {
	p, s := x.Primary, x.Shadow
	if p.Truncated || s.Truncated {
		return shadow.Comparison{Diffs: []shadow.Diff{undecodable(p, s, wholeness(p), wholeness(s))}}
	}
	if bytes.Equal(p.Body, s.Body) {
		return shadow.Comparison{}
	}
	f := &finder{untyped: c.untyped, primary: p.Body, shadow: s.Body, steps: maxSteps(p.Body, s.Body)}
	f.guard(func() {
		a, errA := c.decode(p.Body)
		b, errB := c.decode(s.Body)
		if errA != nil || errB != nil {
			f.diffs = append(f.diffs, undecodable(p, s, errA, errB))
			return
		}
		cmp.Equal(a, b, cmp.Reporter(f), cmp.FilterPath(f.visit, cmp.Ignore()), c.options)
	})
	return shadow.Comparison{Diffs: f.sorted(), More: f.more}
}

// wholeness is why a body cannot be decoded before it was tried.
func wholeness(m *shadow.Message) error {
	if m.Truncated {
		return errors.New("the body is not there as a whole")
	}
	return nil
}

// undecodable is the difference between two bodies of which at least one has an error.
func undecodable(p, s *shadow.Message, errP, errS error) shadow.Diff {
	d := shadow.Diff{Path: root, Kind: shadow.Changed, Class: ClassUndecodable}
	switch {
	case len(s.Body) == 0 && !s.Truncated:
		d.Kind = shadow.Missing
	case len(p.Body) == 0 && !p.Truncated:
		d.Kind = shadow.Extra
	}
	if errP != nil && d.Kind != shadow.Extra {
		d.Primary = text("error: %v", errP)
	}
	if errS != nil && d.Kind != shadow.Missing {
		d.Shadow = text("error: %v", errS)
	}
	return d
}

// text is a JSON string.
func text(format string, value any) json.RawMessage {
	raw, _ := json.Marshal(fmt.Sprintf(format, value)) // strings always have a JSON text
	return raw
}
