// Package handback lets a handler work on a copy of its request as if there were none:
// what it changes there in place is carried back to the request itself, where the
// middleware around it and the server look.
package handback

import (
	"maps"
	"net/http"
	"reflect"
	"slices"
	"unsafe"
)

// Serve has next serve given, a shallow copy of r, and then carries its changes back to r.
// If given has a header of its own, the fields that next changed are carried back one by
// one: what sets the two headers apart stays.
func Serve(next http.Handler, w http.ResponseWriter, r, given *http.Request) {
	was := *given
	var fields http.Header // of given, before next could change them
	if !same(&given.Header, &r.Header) {
		fields = given.Header.Clone()
	}
	defer func() { // also when next panics: the server cleans up then too
		if fields != nil && same(&given.Header, &was.Header) {
			header(r, given.Header, fields)
		}
		Changes(r, given, &was)
	}()
	next.ServeHTTP(w, given)
}

// Changes writes to r each field of given that is not as it was. It does not write, or
// read in r, any other field: somebody else may be using it. Fields that net/http keeps to
// itself, such as the context and the path values, are carried back like the others. None
// of the three is kept.
func Changes(r, given, was *http.Request) {
	to, from, before := reflect.ValueOf(r).Elem(), reflect.ValueOf(given).Elem(), reflect.ValueOf(was).Elem()
	for i := range from.NumField() {
		size := from.Field(i).Type().Size()
		now := memory(from.Field(i), size)
		if now == memory(before.Field(i), size) || now == memory(to.Field(i), size) {
			continue
		}
		typ := to.Field(i).Type()
		reflect.NewAt(typ, to.Field(i).Addr().UnsafePointer()).Elem().Set(
			reflect.NewAt(typ, from.Field(i).Addr().UnsafePointer()).Elem())
	}
}

// memory is what a field consists of in memory. Comparing that is comparing identities, as
// == cannot: maps have no ==, and that of an interface may panic.
func memory(field reflect.Value, size uintptr) string {
	return unsafe.String((*byte)(field.Addr().UnsafePointer()), size)
}

func same[T any](a, b *T) bool {
	return memory(reflect.ValueOf(a).Elem(), unsafe.Sizeof(*a)) == memory(reflect.ValueOf(b).Elem(), unsafe.Sizeof(*b))
}

// header carries what is not in now as it was back to the header of r.
func header(r *http.Request, now, was http.Header) {
	if maps.EqualFunc(now, was, slices.Equal) {
		return
	}
	if r.Header == nil {
		r.Header = http.Header{}
	}
	for name := range was {
		if _, kept := now[name]; !kept {
			delete(r.Header, name)
		}
	}
	for name, values := range now {
		if old, had := was[name]; !had || !slices.Equal(values, old) {
			r.Header[name] = values
		}
	}
}
