package bodies

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow/internal/jsondiff"
	"github.com/goshadow/shadow/internal/jsonpath"
)

var update = flag.Bool("update", false, "rewrite the golden file")

const goldenFile = "testdata/diffs.txt"

var (
	kindNames  = []string{"Changed", "TypeChanged", "Missing", "Extra", "Reordered"}
	classNames = []string{"", " timestamp", " uuid", " token", " near number", " numeric string", " reordering", " case", " white space", " url host"}
)

// TestGoldenDiffs runs the cases of the golden file. A case is a headline "=== name",
// settings as "key: value", the bodies after "--- a" and "--- b", and after "--- diffs"
// what is reported: kind, class, path and the two values. Bodies end before the line end
// in front of the next section. The settings are
//
//	type, type b  the Content-Type of both, or of B
//	quoted        the bodies are the contents of Go string literals, one per line, joined
//	ignore        a JSONPath that is ignored
//	mask          old=new: what is replaced before the values are shown
//	max           the limit of differences
func TestGoldenDiffs(t *testing.T) {
	text, err := os.ReadFile(goldenFile)
	require.NoError(t, err)
	preamble, rest, _ := strings.Cut(string(text), "=== ")
	var out strings.Builder
	out.WriteString(preamble)
	for _, c := range strings.Split(rest, "\n=== ") {
		in, want, ok := strings.Cut(c, "\n--- diffs\n")
		require.True(t, ok, c)
		got := golden(t, in+"\n")
		if !*update {
			name, _, _ := strings.Cut(in, "\n")
			assert.Equal(t, strings.TrimSpace(want), strings.TrimSpace(got), name)
		}
		fmt.Fprintf(&out, "=== %s\n--- diffs\n%s\n", in, got)
	}
	if *update {
		require.NoError(t, os.WriteFile(goldenFile, []byte(strings.TrimSpace(out.String())+"\n"), 0o644))
	}
}

func golden(t *testing.T, in string) string {
	name, in, _ := strings.Cut(in, "\n")
	settings, both, ok := strings.Cut(in, "--- a\n")
	require.True(t, ok, name)
	a, b, ok := strings.Cut(both, "--- b\n")
	require.True(t, ok, name)
	a, b = strings.TrimSuffix(a, "\n"), strings.TrimSuffix(b, "\n")
	var typeA, typeB, old, replacement string
	var rules jsondiff.Options
	most := 0
	for _, line := range strings.Split(strings.TrimSpace(settings), "\n") {
		key, v, _ := strings.Cut(line, ": ")
		switch key {
		case "type":
			typeA, typeB = v, v
		case "type b":
			typeB = v
		case "quoted":
			a, b = unquote(t, a), unquote(t, b)
		case "ignore":
			p, err := jsonpath.Parse(v)
			require.NoError(t, err, name)
			rules.Ignore = append(rules.Ignore, p)
		case "mask":
			old, replacement, _ = strings.Cut(strings.ReplaceAll(v, `\n`, "\n"), "=")
		case "max":
			var err error
			most, err = strconv.Atoi(v)
			require.NoError(t, err, name)
		default:
			t.Fatalf("%s: what is %q?", name, line)
		}
	}
	c := NewSet(jsondiff.New(rules), most, nil).For(typeA, typeB)
	maskedA, maskedB := a, b
	if old != "" {
		maskedA, maskedB = strings.ReplaceAll(a, old, replacement), strings.ReplaceAll(b, old, replacement)
	}
	return describeResult(c, a, b, maskedA, maskedB)
}

func unquote(t *testing.T, text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		part, err := strconv.Unquote(`"` + strings.TrimSuffix(line, "\n") + `"`)
		require.NoError(t, err, line)
		out.WriteString(part)
	}
	return out.String()
}

func describeResult(c Comparer, a, b, maskedA, maskedB string) string {
	r := c.Compare([]byte(a), []byte(b), "/body")
	var out strings.Builder
	for _, side := range []struct {
		name string
		err  error
	}{{"a", r.ErrA}, {"b", r.ErrB}} {
		if side.err != nil {
			fmt.Fprintf(&out, "%s: %v\n", side.name, side.err)
		}
	}
	if len(r.Diffs) == 0 {
		out.WriteString("equal\n")
	}
	places := make([]Place, len(r.Diffs))
	for i, d := range r.Diffs {
		places[i] = d.Place
	}
	values := c.Show(places, []byte(a), []byte(b), []byte(maskedA), []byte(maskedB))
	for i, d := range r.Diffs {
		fmt.Fprintf(&out, "%s%s %s\n", kindNames[d.Kind], classNames[d.Class], d.Path)
		if d.Kind != jsondiff.Extra {
			fmt.Fprintf(&out, "  - %s\n", orHidden(values[i].A))
		}
		if d.Kind != jsondiff.Missing {
			fmt.Fprintf(&out, "  + %s\n", orHidden(values[i].B))
		}
	}
	if r.More {
		out.WriteString("more\n")
	}
	return out.String()
}

func orHidden(value []byte) string {
	if value == nil {
		return "(hidden)"
	}
	return string(value)
}
