package file

import (
	"fmt"
	"log/slog"
)

// What was masked may still be more than a log should hold: fmt and slog show of a Record
// what they show of a shadow.Result. Who wants more reads the fields, or the file.

// LogValue describes r without messages and values.
func (r Record) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", r.ID), slog.String("mirror", r.Mirror), slog.String("target", r.Target),
		slog.String("route", r.Route), slog.String("outcome", r.Outcome), slog.Int("diffs", len(r.Diffs)))
}

// Format writes LogValue for every verb.
func (r Record) Format(s fmt.State, _ rune) { fmt.Fprint(s, r.LogValue()) }

// LogValue describes d without its values.
func (d Diff) LogValue() slog.Value {
	return slog.GroupValue(slog.String("path", d.Path), slog.String("kind", d.Kind))
}

// Format writes LogValue for every verb.
func (d Diff) Format(s fmt.State, _ rune) { fmt.Fprint(s, d.LogValue()) }

// LogValue describes m by its status and size.
func (m Message) LogValue() slog.Value {
	return slog.GroupValue(slog.Int("status", m.Status), slog.Int64("size", m.Size))
}

// Format writes LogValue for every verb.
func (m Message) Format(s fmt.State, _ rune) { fmt.Fprint(s, m.LogValue()) }
