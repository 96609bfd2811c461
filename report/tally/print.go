package tally

import (
	"fmt"
	"log/slog"
)

// What was masked may still be more than a log should hold: fmt and slog show no value, no
// path of a request and no difference of a Snapshot. Who wants more reads the fields, or
// writes the Snapshot as JSON.

// LogValue describes s by what it is of and how much it holds.
func (s Snapshot) LogValue() slog.Value {
	var results uint64
	for i := range s.Routes {
		results += s.Routes[i].Results.All()
	}
	return slog.GroupValue(slog.Int("version", s.Version), slog.Time("since", s.Since), slog.Time("taken", s.Taken),
		slog.Uint64("results", results), slog.Int("routes", len(s.Routes)), slog.Int("groups", len(s.Groups)))
}

// Format writes LogValue for every verb.
func (s Snapshot) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.LogValue()) }

// LogValue describes g without its exemplars.
func (g Group) LogValue() slog.Value {
	return slog.GroupValue(slog.String("fingerprint", g.Fingerprint), slog.String("mirror", g.Mirror), slog.String("target", g.Target),
		slog.String("route", g.Route), slog.Uint64("count", g.Count), slog.String("summary", g.Summary),
		slog.String("stability", string(g.Stability)), slog.String("state", string(g.State)))
}

// Format writes LogValue for every verb.
func (g Group) Format(f fmt.State, _ rune) { fmt.Fprint(f, g.LogValue()) }

// LogValue describes e without its path and values.
func (e Exemplar) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", e.ID), slog.Time("time", e.Time), slog.String("method", e.Method), slog.Int("diffs", len(e.Diffs)))
}

// Format writes LogValue for every verb.
func (e Exemplar) Format(f fmt.State, _ rune) { fmt.Fprint(f, e.LogValue()) }

// LogValue describes d without its values.
func (d ExemplarDiff) LogValue() slog.Value {
	return slog.GroupValue(slog.String("path", d.Path), slog.String("kind", string(d.Kind)), slog.String("class", string(d.Class)))
}

// Format writes LogValue for every verb.
func (d ExemplarDiff) Format(f fmt.State, _ rune) { fmt.Fprint(f, d.LogValue()) }
