package guard

import (
	"reflect"
	"runtime"
	"slices"
)

// Running reports whether one of functions is running on the caller's goroutine. It walks the
// stack: it is not for every request.
func Running(functions ...any) bool {
	names := make([]string, len(functions))
	for i, f := range functions {
		names[i] = runtime.FuncForPC(reflect.ValueOf(f).Pointer()).Name()
	}
	pcs := make([]uintptr, 64)
	for skip := 2; ; skip += len(pcs) {
		n := runtime.Callers(skip, pcs)
		if n == 0 {
			return false
		}
		for frames := runtime.CallersFrames(pcs[:n]); ; {
			frame, more := frames.Next()
			if slices.Contains(names, frame.Function) {
				return true
			}
			if !more {
				break
			}
		}
	}
}
