package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"testing"

	"github.com/goshadow/shadow/internal/bench/measure"
)

// speed prints, for every document and case, how long the comparison of two documents
// takes in units of one pass of json.Valid over one of them. Where all bytes are the same
// the unit is bytes.Equal.
func speed(w io.Writer, rounds int) error {
	documents, err := documents()
	if err != nil {
		return err
	}
	t := measure.Table{
		Title:   "Time to compare two documents, json.Valid of one = 1 (identical bytes: bytes.Equal = 1)",
		Columns: []string{"document: case"},
	}
	for _, p := range peers {
		t.Columns = append(t.Columns, p.name)
		if p.name == peers[0].name {
			t.Columns = append(t.Columns, "its bytes", "its allocations")
		}
	}
	t.Columns = append(t.Columns, "fastest other / "+peers[0].name)
	for _, d := range documents {
		pairs, err := d.pairs()
		if err != nil {
			return err
		}
		for _, p := range pairs {
			if err := addRow(&t, d.name, p, rounds); err != nil {
				return fmt.Errorf("%s, %s: %w", d.name, p.name, err)
			}
		}
	}
	keyed, err := keyedPair()
	if err != nil {
		return err
	}
	if err := addRow(&t, fmt.Sprintf("%.1f MB", float64(len(keyed.a))/1e6), keyed, rounds); err != nil {
		return err
	}
	return t.Fprint(w)
}

// addRow measures one case. A peer that has no such rules is left out, and one that gives
// the wrong answer is named wrong instead of fast.
func addRow(t *measure.Table, document string, p pair, rounds int) error {
	benchmarks := []func(b *testing.B){p.benchmark(p.unit())}
	column := make([]int, len(peers)) // of benchmarks, 0 where there is none
	cells := make([]any, len(peers))
	for i, peer := range peers {
		compare, err := peer.prepare(p.rules, p.a)
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", peer.name, err)
		case compare == nil:
			cells[i] = "–"
			continue
		}
		if equal, err := compare(p.a, p.b); err != nil || equal != p.equal {
			cells[i] = "wrong"
			continue
		}
		column[i] = len(benchmarks)
		benchmarks = append(benchmarks, p.benchmark(compare))
	}
	if column[0] == 0 {
		return fmt.Errorf("%s is wrong", peers[0].name)
	}
	costs, err := measure.Costs(rounds, benchmarks...)
	if err != nil {
		return err
	}
	row, own, fastest := []any{document + ": " + p.name}, costs[column[0]], 0.0
	for i := range peers {
		if column[i] == 0 {
			row = append(row, cells[i])
			continue
		}
		cost := costs[column[i]]
		row = append(row, cost.Nanoseconds/costs[0].Nanoseconds)
		if i == 0 {
			row = append(row, cost.Bytes, cost.Allocations)
		} else if fastest == 0 || cost.Nanoseconds < fastest {
			fastest = cost.Nanoseconds
		}
	}
	t.Add(append(row, fastest/own.Nanoseconds)...)
	return nil
}

// unit returns the yardstick of p.
func (p pair) unit() verdict {
	if bytes.Equal(p.a, p.b) {
		return func(a, b []byte) (bool, error) { return bytes.Equal(a, b), nil }
	}
	return func(a, _ []byte) (bool, error) { return json.Valid(a) == p.equal, nil }
}

// benchmark returns a benchmark of compare in its steady state.
func (p pair) benchmark(compare verdict) func(b *testing.B) {
	return func(b *testing.B) {
		b.ReportAllocs()
		check := func() {
			if equal, err := compare(p.a, p.b); err != nil || equal != p.equal {
				b.Fatal(equal, err)
			}
		}
		check() // the garbage collection before a benchmark has emptied all pools
		for b.Loop() {
			check()
		}
	}
}
