package detect

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the tables of the manual")

// labelled is a line of the corpus: a text, what is in it in the order of the text, and
// for those that are not easy or hold nothing, what they are.
type labelled struct {
	Text  string
	Spans []struct{ Kind, Text string }
	What  string
}

// findings are the labels of l.
func (l *labelled) findings(t testing.TB) (list []Finding) {
	at := 0
	for _, span := range l.Spans {
		k, ok := Named(span.Kind)
		require.True(t, ok, "%q is no kind", span.Kind)
		i := strings.Index(l.Text[at:], span.Text)
		require.GreaterOrEqual(t, i, 0, "%q is not in %q", span.Text, l.Text)
		at += i
		list = append(list, Finding{Kind: k, Start: at, End: at + len(span.Text)})
		at += len(span.Text)
	}
	return list
}

func corpus(t testing.TB) (list []labelled) {
	f, err := os.Open("testdata/corpus.jsonl")
	require.NoError(t, err)
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var l labelled
		require.NoError(t, json.Unmarshal(lines.Bytes(), &l))
		list = append(list, l)
	}
	return list
}

// score is how a kind does on the corpus.
type score struct{ right, missed, wrong int }

func (s score) precision() float64 { return share(s.right, s.right+s.wrong) }
func (s score) recall() float64    { return share(s.right, s.right+s.missed) }

func share(n, of int) float64 {
	if of == 0 {
		return 1
	}
	return float64(n) / float64(of)
}

// floors are what each kind must reach. Precision counts the lines that look ordinary and
// by chance pass a check; recall those that are missed on purpose.
var floors = [numKinds]struct{ precision, recall float64 }{
	Card:       {0.95, 0.95},
	Email:      {0.98, 0.93},
	Phone:      {0.94, 0.91},
	IBAN:       {1, 1},
	NationalID: {0.95, 0.92},
	JWT:        {1, 0.96},
	Bearer:     {1, 0.90},
	APIKey:     {1, 0.93},
	PrivateKey: {1, 0.93},
	IP:         {0.95, 0.95},
}

// A finding is right where it is of the kind and at the place of the label: one that is
// too short leaves something behind.
func TestEachKindIsFoundAndNothingElse(t *testing.T) {
	var scores [numKinds]score
	missed, wrong := map[string]int{}, map[string]int{} // by what they are
	lines := map[string]int{}
	for _, l := range corpus(t) {
		want, got := l.findings(t), Text(nil, []byte(l.Text), All)
		if len(want) == 0 {
			lines[l.What]++
		}
		for _, f := range want {
			if slices.Contains(got, f) {
				scores[f.Kind].right++
				continue
			}
			scores[f.Kind].missed++
			missed[fmt.Sprintf("%s: %s", f.Kind, cmp.Or(l.What, "a plain one"))]++
			t.Logf("missed %s in %q (%s): found %v", f.Kind, l.Text, l.What, got)
		}
		for _, f := range got {
			if slices.Contains(want, f) {
				continue
			}
			scores[f.Kind].wrong++
			if len(want) == 0 {
				wrong[l.What]++
			}
			t.Logf("wrong %s %q in %q (%s)", f.Kind, l.Text[f.Start:f.End], l.Text, l.What)
		}
	}
	var out strings.Builder
	out.WriteString("| Kind | Labelled | Found | Missed | Wrong | Precision | Recall |\n|---|---|---|---|---|---|---|\n")
	for k, s := range scores {
		fmt.Fprintf(&out, "| `%s` | %d | %d | %d | %d | %.3f | %.3f |\n",
			Kind(k), s.right+s.missed, s.right, s.missed, s.wrong, s.precision(), s.recall())
		assert.GreaterOrEqual(t, s.precision(), floors[k].precision, "precision of %s", Kind(k))
		assert.GreaterOrEqual(t, s.recall(), floors[k].recall, "recall of %s", Kind(k))
	}
	out.WriteString("\nOrdinary lines, and those of them in which something was found:\n\n| What | Lines | Wrong |\n|---|---|---|\n")
	sum, sumWrong := 0, 0
	for _, what := range sortedKeys(lines) {
		fmt.Fprintf(&out, "| %s | %d | %d |\n", what, lines[what], wrong[what])
		sum, sumWrong = sum+lines[what], sumWrong+wrong[what]
	}
	fmt.Fprintf(&out, "| all | %d | %d |\n", sum, sumWrong)
	out.WriteString("\nMissed:\n\n| What | Missed |\n|---|---|\n")
	for _, what := range sortedKeys(missed) {
		fmt.Fprintf(&out, "| %s | %d |\n", what, missed[what])
	}
	t.Log("\n" + out.String())
	manual(t, out.String())
}

func sortedKeys(m map[string]int) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// manual compares the tables with those of the manual.
func manual(t *testing.T, tables string) {
	const file = "../../docs/detectors.md"
	const begin, end = "<!-- measured: go test ./internal/detect -update -->\n", "<!-- end -->"
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	head, rest, ok := bytes.Cut(text, []byte(begin))
	require.True(t, ok, "%s lacks %q", file, begin)
	old, tail, ok := bytes.Cut(rest, []byte(end))
	require.True(t, ok, "%s lacks %q", file, end)
	if *update {
		require.NoError(t, os.WriteFile(file, slices.Concat(head, []byte(begin), []byte(tables), []byte(end), tail), 0o644))
		return
	}
	assert.Equal(t, string(old), tables, "the tables of %s are not what is measured: run with -update", file)
}
