package shadow

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/goshadow/shadow/internal/guard"
)

// Whatever prints a Message, or something that holds one, prints no body, no field value,
// no URL and no value of a difference: fmt (but for its verb %p), slog and encoding/json
// see what LogValue shows. Traffic gets into logs by accident, in a %+v that was left behind or an
// error that quotes its cause, and by then nobody asks whether it was masked. A Reporter
// that is to show more reads the fields of the Result, which are masked, and so says what
// it shows.

// LogValue describes m by its method, status, size and times.
func (m Message) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("method", m.Method), slog.Int64("size", m.Size)}
	if m.StatusCode != 0 {
		attrs = append(attrs, slog.Int("status", m.StatusCode), slog.Duration("ttfb", m.TTFB), slog.Duration("took", m.Took))
	}
	if m.Truncated {
		attrs = append(attrs, slog.Bool("truncated", true))
	}
	return slog.GroupValue(attrs...)
}

// String is LogValue as text.
func (m Message) String() string { return text(m) }

// Format writes String for every verb.
func (m Message) Format(s fmt.State, _ rune) { io.WriteString(s, text(m)) }

// MarshalJSON returns LogValue as JSON.
func (m Message) MarshalJSON() ([]byte, error) { return object(m) }

// LogValue describes x by its ID and route and what LogValue shows of its messages.
func (x Exchange) LogValue() slog.Value { return slog.GroupValue(x.attrs()...) }

func (x Exchange) attrs() []slog.Attr {
	attrs := []slog.Attr{slog.String("id", x.ID), slog.String("route", x.Route)}
	if x.Request != nil {
		attrs = append(attrs, slog.String("method", x.Request.Method))
	}
	if x.Primary != nil {
		attrs = append(attrs, answerAttr("primary", x.Primary))
	}
	if x.Shadow != nil {
		attrs = append(attrs, answerAttr("shadow", x.Shadow))
	}
	return attrs
}

func answerAttr(name string, m *Message) slog.Attr {
	return slog.Group(name, slog.Int("status", m.StatusCode), slog.Duration("took", m.Took))
}

// String is LogValue as text.
func (x Exchange) String() string { return text(x) }

// Format writes String for every verb.
func (x Exchange) Format(s fmt.State, _ rune) { io.WriteString(s, text(x)) }

// MarshalJSON returns LogValue as JSON.
func (x Exchange) MarshalJSON() ([]byte, error) { return object(x) }

// LogValue describes r without bodies, headers, URLs or values.
func (r Result) LogValue() slog.Value {
	attrs := append(make([]slog.Attr, 0, 12),
		slog.String("mirror", r.Mirror), slog.String("target", r.Target), slog.String("outcome", string(r.Outcome)))
	attrs = append(attrs, r.attrs()...)
	if len(r.Diffs) > 0 {
		attrs = append(attrs, slog.Int("diffs", len(r.Diffs)), slog.Any("paths", paths(r.Diffs)))
	}
	if len(r.Noise) > 0 {
		attrs = append(attrs, slog.Int("noise", len(r.Noise)))
	}
	if r.Err != nil {
		attrs = append(attrs, slog.String("error", r.Err.Error()))
		if panicked := (*guard.Panic)(nil); errors.As(r.Err, &panicked) {
			attrs = append(attrs, slog.String("stack", panicked.Stack()))
		}
	}
	if r.Note != "" {
		attrs = append(attrs, slog.String("note", r.Note))
	}
	return slog.GroupValue(attrs...)
}

// paths lists where the diffs are, the first few of them.
func paths(diffs []Diff) []string {
	const most = 8
	list := make([]string, 0, most+1)
	for i, d := range diffs {
		if i == most {
			list = append(list, "…")
			break
		}
		list = append(list, d.Path)
	}
	return list
}

// String is LogValue as text.
func (r Result) String() string { return text(r) }

// Format writes String for every verb.
func (r Result) Format(s fmt.State, _ rune) { io.WriteString(s, text(r)) }

// MarshalJSON returns LogValue as JSON.
func (r Result) MarshalJSON() ([]byte, error) { return object(r) }

// LogValue describes c without values.
func (c Comparison) LogValue() slog.Value {
	attrs := []slog.Attr{slog.Int("diffs", len(c.Diffs)), slog.Any("paths", paths(c.Diffs)), slog.Bool("more", c.More)}
	if c.Err != nil {
		attrs = append(attrs, slog.String("error", c.Err.Error()))
	}
	return slog.GroupValue(attrs...)
}

// String is LogValue as text.
func (c Comparison) String() string { return text(c) }

// Format writes String for every verb.
func (c Comparison) Format(s fmt.State, _ rune) { io.WriteString(s, text(c)) }

// MarshalJSON returns LogValue as JSON.
func (c Comparison) MarshalJSON() ([]byte, error) { return object(c) }

// LogValue describes d without its values.
func (d Diff) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("path", d.Path), slog.String("kind", string(d.Kind))}
	if d.Class != ClassNone {
		attrs = append(attrs, slog.String("class", string(d.Class)))
	}
	return slog.GroupValue(attrs...)
}

// String is LogValue as text.
func (d Diff) String() string { return text(d) }

// Format writes String for every verb.
func (d Diff) Format(s fmt.State, _ rune) { io.WriteString(s, text(d)) }

// MarshalJSON returns LogValue as JSON.
func (d Diff) MarshalJSON() ([]byte, error) { return object(d) }

// LogValue describes t without its Transport and Masker, which may hold credentials.
func (t Target) LogValue() slog.Value {
	return slog.GroupValue(slog.String("name", t.Name), slog.Duration("timeout", t.timeout()), slog.Bool("discard", t.Discard))
}

// String is LogValue as text.
func (t Target) String() string { return text(t) }

// Format writes String for every verb.
func (t Target) Format(s fmt.State, _ rune) { io.WriteString(s, text(t)) }

// MarshalJSON returns LogValue as JSON.
func (t Target) MarshalJSON() ([]byte, error) { return object(t) }

// LogValue names m and its target.
func (m *Mirror) LogValue() slog.Value {
	return slog.GroupValue(slog.String("mirror", m.name), slog.String("target", m.target.Name))
}

// String is LogValue as text.
func (m *Mirror) String() string { return text(m) }

// Format writes String for every verb.
func (m *Mirror) Format(s fmt.State, _ rune) { io.WriteString(s, text(m)) }

// MarshalJSON returns LogValue as JSON.
func (m *Mirror) MarshalJSON() ([]byte, error) { return object(m) }

// text is what slog writes of v as text.
func text(v slog.LogValuer) string {
	return string(written(v, slog.NewTextHandler))
}

// object is what slog writes of v as JSON.
func object(v slog.LogValuer) ([]byte, error) {
	return written(v, slog.NewJSONHandler), nil
}

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
