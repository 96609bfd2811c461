// Package measure repeats measurements and prints them.
//
// What is compared with one another is measured in turn, a round of short runs after
// another, so that whatever else the machine does falls on everything alike; the median
// of the rounds stands for each.
package measure

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// Cost is what one operation takes.
type Cost struct{ Nanoseconds, Bytes, Allocations float64 }

// Minus returns what c takes more than other.
func (c Cost) Minus(other Cost) Cost {
	return Cost{c.Nanoseconds - other.Nanoseconds, c.Bytes - other.Bytes, c.Allocations - other.Allocations}
}

// Costs runs each of the benchmarks once a round, for the time that -test.benchtime says,
// and returns their median costs. A benchmark that reports "ns/op" itself is believed.
func Costs(rounds int, benchmarks ...func(b *testing.B)) ([]Cost, error) {
	runs := make([][]Cost, len(benchmarks))
	for range rounds {
		for i, f := range benchmarks {
			r := testing.Benchmark(f)
			if r.N == 0 {
				return nil, fmt.Errorf("benchmark %d of %d failed", i+1, len(benchmarks))
			}
			c := Cost{
				Nanoseconds: float64(r.T) / float64(r.N),
				Bytes:       float64(r.MemBytes) / float64(r.N),
				Allocations: float64(r.MemAllocs) / float64(r.N),
			}
			if own, ok := r.Extra["ns/op"]; ok {
				c.Nanoseconds = own
			}
			runs[i] = append(runs[i], c)
		}
	}
	medians := make([]Cost, len(runs))
	for i, r := range runs {
		medians[i] = Cost{
			Nanoseconds: Median(r, func(c Cost) float64 { return c.Nanoseconds }),
			Bytes:       Median(r, func(c Cost) float64 { return c.Bytes }),
			Allocations: Median(r, func(c Cost) float64 { return c.Allocations }),
		}
	}
	return medians, nil
}

// Median returns the median of what value says of all, the upper one of an even number.
// All must not be empty.
func Median[T any, N cmp.Ordered](all []T, value func(T) N) N {
	values := make([]N, len(all))
	for i, v := range all {
		values[i] = value(v)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// Table is printed as Markdown. The first column is aligned to the left, the others to
// the right.
type Table struct {
	Title   string
	Columns []string
	rows    [][]string
}

// Add adds a row; a cell that is a float64 is printed with two significant digits, or
// all of its integer ones.
func (t *Table) Add(cells ...any) {
	row := make([]string, len(cells))
	for i, c := range cells {
		if v, ok := c.(float64); ok {
			c = Number(v)
		}
		row[i] = fmt.Sprint(c)
	}
	t.rows = append(t.rows, row)
}

// Rows returns the cells, a slice of them for each row.
func (t *Table) Rows() [][]string { return t.rows }

// Read returns the tables that text has, as Fprint printed them, with their titles.
func Read(text string) (tables []*Table) {
	title := ""
	var t *Table
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "### "):
			title, t = strings.TrimPrefix(line, "### "), nil
		case !strings.HasPrefix(line, "|"):
			t = nil
		case t == nil:
			t = &Table{Title: title, Columns: cells(line)}
			tables = append(tables, t)
		case !strings.HasPrefix(line, "|--"):
			t.rows = append(t.rows, cells(line))
		}
	}
	return tables
}

// cells takes a line of a table apart.
func cells(line string) []string {
	line = strings.ReplaceAll(strings.Trim(line, "|"), `\|`, "\x00")
	list := strings.Split(line, "|")
	for i, cell := range list {
		list[i] = strings.ReplaceAll(strings.TrimSpace(cell), "\x00", "|")
	}
	return list
}

// Number prints v with two significant digits, or all of its integer ones.
func Number(v float64) string {
	switch abs := max(v, -v); {
	case abs >= 9.95:
		return fmt.Sprintf("%.0f", v)
	case abs >= 0.995:
		return fmt.Sprintf("%.1f", v)
	case abs < 0.005:
		return "0"
	}
	return fmt.Sprintf("%.2f", v)
}

// Fprint prints t.
func (t *Table) Fprint(w io.Writer) error {
	widths := make([]int, len(t.Columns))
	rows := make([][]string, 0, 1+len(t.rows))
	for _, row := range append([][]string{t.Columns}, t.rows...) {
		row = slices.Clone(row)
		for i, cell := range row {
			row[i] = strings.ReplaceAll(cell, "|", `\|`)
		}
		rows = append(rows, row)
	}
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell), 3)
		}
	}
	var out strings.Builder
	if t.Title != "" {
		fmt.Fprintf(&out, "### %s\n\n", t.Title)
	}
	line := func(row []string) {
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i > 0 {
				cell, pad = pad+cell, ""
			}
			out.WriteString("| " + cell + pad + " ")
		}
		out.WriteString("|\n")
	}
	line(rows[0])
	for i, width := range widths {
		if i == 0 {
			out.WriteString("|" + strings.Repeat("-", width+2))
		} else {
			out.WriteString("|" + strings.Repeat("-", width+1) + ":")
		}
	}
	out.WriteString("|\n")
	for _, row := range rows[1:] {
		line(row)
	}
	out.WriteString("\n")
	_, err := io.WriteString(w, out.String())
	return err
}
