package main

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow/internal/bench/measure"
)

func table(t *testing.T, columns []string, rows ...[]any) []*measure.Table {
	one := &measure.Table{Title: "t", Columns: columns}
	for _, row := range rows {
		one.Add(row...)
	}
	return []*measure.Table{one}
}

// The page that is in the tree is what its own figures render to.
func TestThePageIsUpToDate(t *testing.T) {
	const docs = "../../../docs"
	want, err := os.ReadFile(filepath.Join(docs, "benchmarks.md"))
	require.NoError(t, err)
	outputs := map[string]string{}
	for _, p := range parts {
		outputs[p.name], err = kept(string(want), p.name)
		require.NoError(t, err)
	}
	page, plots, err := render(outputs)
	require.NoError(t, err)
	assert.Equal(t, string(want), page)
	for name, svg := range plots {
		have, err := os.ReadFile(filepath.Join(docs, name))
		require.NoError(t, err)
		assert.Equal(t, string(have), svg, name)
		assert.NoError(t, xml.Unmarshal(have, new(struct{})), name)
	}
}

func TestATargetIsJudgedByTheWorstRow(t *testing.T) {
	measured := table(t, []string{"who", "ratio"}, []any{"a", "1.00"}, []any{"b", "1.20"}, []any{"remote c", "0.50"})
	for _, c := range []struct {
		target target
		value  float64
		where  string
	}{
		{target{column: "ratio", most: 1}, 1.2, "b"},
		{target{column: "ratio", least: 1}, 0.5, "remote c"},
		{target{column: "ratio", most: 1, only: "remote"}, 0.5, "remote c"},
		{target{column: "ratio", least: 1, not: "remote"}, 1, "a"},
		{target{column: "ratio", most: 1, growth: true}, 0.5, "remote c"},
	} {
		value, where, err := c.target.measured(measured)
		require.NoError(t, err)
		assert.Equal(t, c.value, value, "%+v", c.target)
		assert.Equal(t, c.where, where)
	}
	for _, g := range []target{{column: "none"}, {column: "ratio", only: "nobody"}, {column: "who"}} {
		_, _, err := g.measured(measured)
		assert.Error(t, err, "%+v", g)
	}
	assert.Equal(t, 1.11, hundredth(1.1001))
}

func TestATargetThatIsMissedIsSaid(t *testing.T) {
	tables := map[string][]*measure.Table{}
	for _, g := range targets {
		missed := 1000.0
		if g.least > 0 {
			missed = 0.01
		}
		if tables[g.part] == nil {
			tables[g.part] = table(t, []string{"who"}, []any{"x"}, []any{"remote x"}, []any{"128 MiB x"})
		}
		rows := tables[g.part][0].Rows()
		tables[g.part][0].Columns = append(tables[g.part][0].Columns, g.column)
		for i := range rows {
			v := missed
			if i == 0 && g.growth {
				v = 1
			}
			rows[i] = append(rows[i], measure.Number(v))
		}
	}
	held, err := judge(tables)
	require.NoError(t, err)
	for _, row := range held.Rows() {
		assert.Equal(t, "**no**", row[4], row[0])
	}
}

func TestAPlotIsSVG(t *testing.T) {
	tables := table(t, []string{"who", "a<b", "c"}, []any{"R&D", "0", "10"}, []any{"x", "0.10", "1000"})
	for _, p := range []plot{{title: "<T>", limit: 5}, {title: "T", log: true, limit: 2}, {columns: []string{"c"}}} {
		svg, err := p.draw(tables)
		require.NoError(t, err)
		assert.NoError(t, xml.Unmarshal([]byte(svg), new(struct{})))
		assert.Contains(t, svg, "R&amp;D")
		assert.False(t, strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf"), svg)
	}
	_, err := plot{columns: []string{"nothing"}}.draw(tables)
	assert.ErrorContains(t, err, "nothing")
	_, err = plot{}.draw(table(t, []string{"who", "a"}, []any{"x", "wrong"}))
	assert.ErrorContains(t, err, "wrong")
}

func TestAPartThatWasNeverRunIsAskedFor(t *testing.T) {
	_, err := kept("nothing", "faults")
	assert.ErrorContains(t, err, "-run faults")
}
