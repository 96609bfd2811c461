package measure

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMedianIsTheMiddleOne(t *testing.T) {
	id := func(v float64) float64 { return v }
	assert.Equal(t, 2.0, Median([]float64{1000, 1, 2}, id))
	assert.Equal(t, 3.0, Median([]float64{4, 3, 1, 2}, id))
}

func TestCostsAreThoseOfEachBenchmark(t *testing.T) {
	kept := make([][]byte, 0, 8)
	costs, err := Costs(3,
		func(b *testing.B) { b.ReportMetric(7, "ns/op") },
		func(b *testing.B) {
			for range b.N {
				kept = append(kept[:0], make([]byte, 1024))
			}
		})
	require.NoError(t, err)
	assert.Equal(t, 7.0, costs[0].Nanoseconds)
	assert.InDelta(t, 1, costs[1].Allocations, 0.1)
	assert.InDelta(t, 1024, costs[1].Bytes, 100)
	assert.InDelta(t, 1, costs[1].Minus(costs[0]).Allocations, 0.1)
	assert.Len(t, kept, 1)
}

func TestAFailedBenchmarkIsAnError(t *testing.T) {
	_, err := Costs(1, func(b *testing.B) { b.FailNow() })
	assert.Error(t, err)
}

func TestTableIsMarkdown(t *testing.T) {
	table := Table{Title: "Costs", Columns: []string{"design", "ns"}}
	table.Add("a|b", 12.4)
	table.Add("µ", "–")
	var out strings.Builder
	require.NoError(t, table.Fprint(&out))
	assert.Equal(t, "### Costs\n\n"+
		"| design |  ns |\n"+
		"|--------|----:|\n"+
		"| a\\|b   |  12 |\n"+
		"| µ      |   – |\n\n", out.String())
}

func TestNumberHasTwoDigitsOrAll(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.004: "0", 0.123: "0.12", -0.5: "-0.50", 0.999: "1.0", 1.25: "1.2", 9.96: "10", 12345.6: "12346"} {
		assert.Equal(t, want, Number(v), "%v", v)
	}
}

func TestTablesAreReadAsTheyWerePrinted(t *testing.T) {
	one := &Table{Title: "One", Columns: []string{"who", "ns"}}
	one.Add("a | b", 12.3)
	one.Add("c", "0.50")
	two := &Table{Title: "Two", Columns: []string{"who"}}
	two.Add("d")
	var out strings.Builder
	out.WriteString("a machine\n\n")
	require.NoError(t, one.Fprint(&out))
	require.NoError(t, two.Fprint(&out))
	got := Read(out.String())
	require.Len(t, got, 2)
	assert.Equal(t, []string{"who", "ns"}, got[0].Columns)
	assert.Equal(t, [][]string{{`a | b`, "12"}, {"c", "0.50"}}, got[0].Rows())
	assert.Equal(t, "Two", got[1].Title)
	assert.Equal(t, [][]string{{"d"}}, got[1].Rows())
}
