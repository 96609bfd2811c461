package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/goshadow/shadow/internal/bench/measure"
)

// target is what a column of a part is to be.
type target struct {
	says   string
	part   string
	column string
	only   string  // the first cells of the rows that count begin so; empty is all
	not    string  // but not with that, where it is not empty
	most   float64 // 0 is none
	least  float64 // 0 is none
	growth bool    // the last row over the first is what counts
}

var targets = []target{
	{says: "p50 beside a shadow on fire / bare", part: "faults", column: "p50 / bare", not: "bare", most: 1.10},
	{says: "p99 beside a shadow on fire / bare", part: "faults", column: "p99 / bare", not: "bare", most: 1.10},
	{says: "the same without breaker, load shedding and overhead: p50", part: "unlimited", column: "p50 / bare", not: "bare", most: 1.10},
	{says: "the same without breaker, load shedding and overhead: p99", part: "unlimited", column: "p99 / bare", not: "bare", most: 1.10},
	{says: "goroutines added, in process: 8 copies at a time", part: "unlimited", column: "goroutines added", not: "remote", most: 8 + 4},
	{says: "goroutines added, remote: 64 copies at a time, and two of net/http each", part: "unlimited", column: "goroutines added", only: "remote", most: 3*64 + 4},
	{says: "MiB added: the 64 of the queue and 16", part: "unlimited", column: "MiB added", most: 64 + 16},
	{says: "an upload of 8 MiB / bare", part: "upload", column: "/ bare", not: "bare", most: 1.05},
	{says: "first byte of a stream / bare", part: "events", column: "p50 / bare", not: "bare", most: 1.05},
	{says: "an event of a stream / bare", part: "events", column: "event p50 / bare", not: "bare", most: 1.05},
	{says: "steady state / the work of both handlers", part: "steady", column: "mirrored / both handlers", not: "128 MiB", least: 0.70},
	{says: "the same with 128 MiB of live heap", part: "steady", column: "mirrored / both handlers", only: "128 MiB", least: 0.70},
	{says: "processor time of a copy, 10,000 requests per second / 10", part: "rates", column: "µs of processor time", most: 1.10, growth: true},
	{says: "bytes of a copy, 10,000 requests per second / 10", part: "rates", column: "bytes", most: 1.10, growth: true},
	{says: "ns of a copy, 10,000 routes / 1", part: "routes", column: "ns", most: 1.10, growth: true},
	{says: "ns of a copy, 10,000 routes / 1, Adaptive", part: "routes", column: "Adaptive: ns", most: 1.10, growth: true},
	{says: "requests until both regressions are seen, Adaptive / Rate", part: "sampling", column: "median", most: 0.5, growth: true},
}

// judge compares what was measured with the targets.
func judge(tables map[string][]*measure.Table) (*measure.Table, error) {
	t := &measure.Table{Columns: []string{"what", "target", "measured", "worst where", "held"}}
	for _, g := range targets {
		value, where, err := g.measured(tables[g.part])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", g.part, err)
		}
		limit, held := fmt.Sprintf("≤ %v", g.most), value <= g.most
		if g.least > 0 {
			limit, held = fmt.Sprintf("≥ %v", g.least), value >= g.least
		}
		verdict := "yes"
		if !held {
			verdict = "**no**"
		}
		t.Add(fmt.Sprintf("%s ([%s](#%s))", g.says, g.part, g.part), limit, strconv.FormatFloat(value, 'f', -1, 64), where, verdict)
	}
	return t, nil
}

// measured returns the value that is farthest to the wrong side.
func (g target) measured(tables []*measure.Table) (value float64, where string, err error) {
	if len(tables) == 0 {
		return 0, "", fmt.Errorf("no table")
	}
	table := tables[0]
	at := slices.Index(table.Columns, g.column)
	if at < 0 {
		return 0, "", fmt.Errorf("no column %q", g.column)
	}
	var values []float64
	var rows []string
	for _, row := range table.Rows() {
		if !strings.HasPrefix(row[0], g.only) || g.not != "" && strings.HasPrefix(row[0], g.not) {
			continue
		}
		v, err := strconv.ParseFloat(row[at], 64)
		if err != nil {
			return 0, "", err
		}
		values, rows = append(values, v), append(rows, row[0])
	}
	if len(values) == 0 {
		return 0, "", fmt.Errorf("no row")
	}
	if g.growth {
		return hundredth(values[len(values)-1] / values[0]), rows[len(rows)-1], nil
	}
	worst := slices.Index(values, slices.Max(values))
	if g.least > 0 {
		worst = slices.Index(values, slices.Min(values))
	}
	return values[worst], rows[worst], nil
}

// hundredth rounds up: a target is not reached by rounding.
func hundredth(v float64) float64 {
	return float64(int(v*100+0.999999)) / 100
}
