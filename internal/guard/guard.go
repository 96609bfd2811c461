// Package guard calls user code and turns its panics into errors that quote no values.
package guard

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"runtime"
	"slices"
	"strings"
)

// ErrPanic matches every Panic.
var ErrPanic = errors.New("shadow: panic")

// Panic is a panic of user code. Its text names the type of what was panicked with, and not the
// value, which may hold anything. Formatted with %+v it has the stack.
type Panic struct {
	Part  string // the part of user code, such as "Masker"
	value any
	pcs   []uintptr // of the goroutine that panicked
}

// New returns the panic of part. The deferred function that has recovered v calls it. A Panic,
// which comes from a Func, is returned as it is.
func New(part string, v any) *Panic {
	if p, ok := v.(*Panic); ok {
		return p
	}
	var pcs [64]uintptr
	return &Panic{Part: part, value: v, pcs: slices.Clone(pcs[:runtime.Callers(2, pcs[:])])}
}

// Call returns the error of f. Where f panics it calls panicked with the Panic, if there is such
// a function, and returns it. A recovered nil is a panic too (GODEBUG=panicnil=1). Where f calls runtime.Goexit the
// goroutine ends all the same.
func Call(part string, f func() error, panicked func(*Panic)) (err error) {
	returned := false
	defer func() {
		if returned {
			return
		}
		p := New(part, recover())
		if panicked != nil {
			panicked(p)
		}
		err = p
	}()
	err = f()
	returned = true
	return err
}

// Error names the part and what was panicked with.
func (p *Panic) Error() string {
	return fmt.Sprintf("%v in %s: %s", ErrPanic, p.Part, p.Describe())
}

// Format writes Error for every verb, and for %+v the stack too.
func (p *Panic) Format(s fmt.State, verb rune) {
	io.WriteString(s, p.Error())
	if verb == 'v' && s.Flag('+') {
		io.WriteString(s, "\n\n"+p.Stack())
	}
}

// Is reports whether target is ErrPanic.
func (p *Panic) Is(target error) bool { return target == ErrPanic }

// Describe says what was panicked with, without a value that may hold anything.
func (p *Panic) Describe() string {
	if p.value == nil {
		return "panic(nil), or runtime.Goexit"
	}
	if err, ok := p.value.(runtime.Error); ok && ofRuntime(reflect.TypeOf(p.value)) {
		return err.Error()
	}
	if p.value == any(http.ErrAbortHandler) {
		return "http.ErrAbortHandler"
	}
	return fmt.Sprintf("a value of type %T", p.value)
}

// ofRuntime reports whether t is a type of package runtime, whose errors quote no values.
func ofRuntime(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.PkgPath() == "runtime"
}

// Stack lists the functions that were running, with their files and lines, and without their
// arguments, which debug.Stack shows.
func (p *Panic) Stack() string {
	frames := runtime.CallersFrames(p.pcs)
	var out strings.Builder
	for {
		frame, more := frames.Next()
		fmt.Fprintf(&out, "%s\n\t%s:%d\n", frame.Function, frame.File, frame.Line)
		if !more {
			return out.String()
		}
	}
}
