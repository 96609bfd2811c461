// Package render prints values that may hold traffic by what their LogValue shows, and nothing
// else: for fmt, encoding/json, and for errors.
package render

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/goshadow/shadow/internal/guard"
)

// Text returns what slog writes of v as text.
func Text(v slog.LogValuer) string { return string(written(v, slog.NewTextHandler)) }

// JSON returns what slog writes of v as JSON. It never fails.
func JSON(v slog.LogValuer) ([]byte, error) { return written(v, slog.NewJSONHandler), nil }

// Format writes Text to s.
func Format(s fmt.State, v slog.LogValuer) { io.WriteString(s, Text(v)) }

func written[H slog.Handler](v slog.LogValuer, handler func(io.Writer, *slog.HandlerOptions) H) []byte {
	var out bytes.Buffer
	h := handler(&out, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.LevelKey || a.Key == slog.MessageKey) {
			return slog.Attr{}
		}
		return a
	}})
	record := slog.NewRecord(time.Time{}, 0, "", 0)
	record.AddAttrs(v.LogValue().Group()...)
	h.Handle(context.Background(), record) //nolint:errcheck // a Buffer takes all
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

// Attrs are the attributes of a value. The methods add to them.
type Attrs []slog.Attr

// If adds more if ok is true.
func (a Attrs) If(ok bool, more ...slog.Attr) Attrs {
	if ok {
		return append(a, more...)
	}
	return a
}

// Text adds a text that is not empty.
func (a Attrs) Text(key, value string) Attrs { return a.If(value != "", slog.String(key, value)) }

// maxPaths is how many paths of a list are shown.
const maxPaths = 8

// Paths adds the first of n paths, and "…" if there are more.
func (a Attrs) Paths(n int, path func(i int) string) Attrs {
	list := make([]string, 0, maxPaths+1)
	for i := range min(n, maxPaths) {
		list = append(list, path(i))
	}
	if n > maxPaths {
		list = append(list, "…")
	}
	return append(a, slog.Int("diffs", n), slog.Any("paths", list))
}

// First returns the first of n items, at most as many as shown, and how many more there are.
func First(n, shown int, item func(i int) string) string {
	list := make([]string, 0, shown+1)
	for i := range min(n, shown) {
		list = append(list, item(i))
	}
	if more := n - len(list); more > 0 {
		list = append(list, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(list, ", ")
}

// Err adds an error, if there is one, and the stack of a panic.
func (a Attrs) Err(err error) Attrs {
	if err == nil {
		return a
	}
	a = append(a, slog.String("error", err.Error()))
	if panicked := (*guard.Panic)(nil); errors.As(err, &panicked) {
		a = append(a, slog.String("stack", panicked.Stack()))
	}
	return a
}

// Error is an error that go-cmp can compare, whatever it wraps.
type Error struct{ error }

// NewError returns err as an Error, or nil.
func NewError(err error) error {
	if err == nil {
		return nil
	}
	return Error{err}
}

// Equal reports whether both say the same.
func (e Error) Equal(other Error) bool { return e.Error() == other.Error() }

// Unwrap returns the error that e was made of.
func (e Error) Unwrap() error { return e.error }

// Format writes Error for every verb, and for %+v the stack of a panic.
func (e Error) Format(s fmt.State, verb rune) {
	if panicked := (*guard.Panic)(nil); errors.As(e.error, &panicked) {
		panicked.Format(s, verb)
		return
	}
	io.WriteString(s, e.Error())
}
