// Package composite asks samplers, masks, comparators and reporters, of whatever package,
// what they are made of and what was wrong with it.
package composite

import (
	"errors"
	"fmt"
	"iter"
	"reflect"
)

// Composite is a T that is made of others, such as what All and MaskAll return, or a wrapper
// of the user's.
type Composite[T any] interface{ Unwrap() []T }

// InTurn marks a Composite that calls its parts in turn and does nothing else, so that its
// parts may stand in its place. It is embedded.
type InTurn struct{}

// CallsInTurn has no effect.
func (InTurn) CallsInTurn() {}

// Flat returns the parts with those of each Composite that is marked InTurn in its place.
func Flat[T any](parts []T) []T {
	var flat []T
	for _, part := range parts {
		c, ok := any(part).(interface {
			Composite[T]
			CallsInTurn()
		})
		if ok && !IsNil(part) {
			flat = append(flat, Flat(c.Unwrap())...)
		} else {
			flat = append(flat, part)
		}
	}
	return flat
}

// Find returns, of each part that is a T, the part, and of another one those that it is made of, at
// any depth. Parts that are marked InTurn are always replaced by what they are made of. Each T is
// returned once, and nil parts are left out.
func Find[T, P any](parts []P) (found []T) {
	left, seen := maxParts, map[any]bool{}
	var visit func(parts []P)
	visit = func(parts []P) {
		for _, part := range parts {
			if left--; left < 0 {
				return
			}
			if IsNil(part) {
				continue
			}
			t, is := any(part).(T)
			_, inTurn := any(part).(interface{ CallsInTurn() })
			if c, ok := any(part).(Composite[P]); ok && (inTurn || !is) {
				visit(c.Unwrap())
				continue
			}
			if !is {
				continue
			}
			if reflect.ValueOf(part).Comparable() {
				if seen[part] {
					continue
				}
				seen[part] = true
			}
			found = append(found, t)
		}
	}
	visit(parts)
	return found
}

// maxParts ends the search in a Composite that contains itself.
const maxParts = 10_000

// All yields part and then, at any depth, what it is made of. Nil parts are left out.
func All[T any](part T) iter.Seq[T] {
	return func(yield func(T) bool) {
		left := maxParts
		walk(part, &left, yield)
	}
}

func walk[T any](part T, left *int, yield func(T) bool) bool {
	if IsNil(part) {
		return true
	}
	if *left--; *left < 0 || !yield(part) {
		return false
	}
	if c, ok := any(part).(Composite[T]); ok {
		for _, inner := range c.Unwrap() {
			if !walk(inner, left, yield) {
				return false
			}
		}
	}
	return true
}

// Faulty is something whose constructor returns no error. Fault returns what is wrong with its
// arguments, parts included, or nil.
type Faulty interface{ Fault() error }

// maxWrappers ends the search for faults in a Composite that contains itself.
const maxWrappers = 100

// Fault returns an error that begins with name if part is nil or faulty, or a part of it is.
func Fault[T any](name string, part T) error {
	left := maxWrappers
	return fault(name, part, &left)
}

// Faults returns the faults of all parts, which are the arguments of name.
func Faults[T any](name string, parts []T) error {
	var errs []error
	for i, part := range parts {
		errs = append(errs, Fault(argument(name, i), part))
	}
	return errors.Join(errs...)
}

func argument(name string, i int) string { return fmt.Sprintf("%s: argument %d", name, i+1) }

func fault[T any](name string, part T, left *int) error {
	if IsNil(part) {
		return fmt.Errorf("%s: nil", name)
	}
	if f, ok := any(part).(Faulty); ok {
		if err := f.Fault(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	}
	c, ok := any(part).(Composite[T])
	if !ok {
		return nil
	}
	if *left--; *left < 0 {
		return fmt.Errorf("more than %d wrappers, or one that contains itself", maxWrappers)
	}
	var errs []error
	for i, inner := range c.Unwrap() {
		if err := fault(argument(fmt.Sprintf("%s: %T", name, part), i), inner, left); err != nil {
			errs = append(errs, err)
		}
		if *left < 0 {
			break
		}
	}
	return errors.Join(errs...)
}

// IsNil reports whether v is nil, or an interface that holds a nil pointer, function, map,
// channel or slice.
func IsNil(v any) bool {
	if v == nil {
		return true
	}
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Pointer, reflect.Func, reflect.Map, reflect.Chan, reflect.Slice:
		return r.IsNil()
	}
	return false
}

// Distinct returns the parts of s that are a P, s included. A part that is in seen is left out; the others
// are added to it, as far as they can be compared.
func Distinct[P, S any](s S, seen map[any]bool) iter.Seq[P] {
	return func(yield func(P) bool) {
		for part := range All(s) {
			if reflect.ValueOf(part).Comparable() {
				if seen[part] {
					continue
				}
				seen[part] = true
			}
			if p, ok := any(part).(P); ok && !yield(p) {
				return
			}
		}
	}
}
