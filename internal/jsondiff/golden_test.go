package jsondiff

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the golden file")

const goldenFile = "testdata/diffs.txt"

var (
	kindNames  = []string{"Changed", "TypeChanged", "Missing", "Extra", "Reordered"}
	classNames = []string{"-", "timestamp", "uuid", "token", "near number", "numeric string", "reordering", "case", "white space", "url host"}
)

// TestGoldenDiffs runs the cases of the golden file. A case is a headline
// "=== name", the two documents and any rules as "key: value", a line "---",
// and what is reported: kind, class, path and the two values.
func TestGoldenDiffs(t *testing.T) {
	text, err := os.ReadFile(goldenFile)
	require.NoError(t, err)
	preamble, rest, _ := strings.Cut(string(text), "=== ")
	out := preamble
	cases := strings.Split(rest, "\n=== ")
	for _, c := range cases {
		name, body, _ := strings.Cut(c, "\n")
		in, want, ok := strings.Cut(body, "---\n")
		require.True(t, ok, name)
		var o Options
		var a, b string
		for _, line := range strings.Split(strings.TrimSpace(in), "\n") {
			key, v, _ := strings.Cut(line, ":")
			v = strings.TrimSpace(v)
			fields := strings.Fields(v)
			switch key {
			case "a":
				a = v
			case "b":
				b = v
			case "ignore":
				o.Ignore = append(o.Ignore, mustParse(t, v)...)
			case "unordered":
				o.Unordered = append(o.Unordered, mustParse(t, v)...)
			case "keyed":
				o.Keyed = append(o.Keyed, Key{mustParse(t, fields[0])[0], fields[1]})
			case "abs", "rel", "time":
				tol := Tolerance{Path: mustParse(t, fields[0])[0]}
				switch key {
				case "abs":
					tol.Abs, err = strconv.ParseFloat(fields[1], 64)
				case "rel":
					tol.Rel, err = strconv.ParseFloat(fields[1], 64)
				case "time":
					tol.Time, err = time.ParseDuration(fields[1])
				}
				require.NoError(t, err, name)
				o.Tolerances = append(o.Tolerances, tol)
			case "max":
				o.MaxDiffs, err = strconv.Atoi(v)
				require.NoError(t, err, name)
			default:
				t.Fatalf("%s: what is %q?", name, line)
			}
		}
		got := describe(New(o).Compare([]byte(a), []byte(b), "/body"), a, b)
		assert.Equal(t, strings.TrimSpace(want), strings.TrimSpace(got), name)
		out += "=== " + name + "\n" + in + "---\n" + got + "\n"
	}
	if *update {
		require.NoError(t, os.WriteFile(goldenFile, []byte(strings.TrimSpace(out)+"\n"), 0o644))
	}
}

func describe(r Result, a, b string) string {
	var out strings.Builder
	if r.ErrA != nil {
		fmt.Fprintf(&out, "a: %v\n", r.ErrA)
	}
	if r.ErrB != nil {
		fmt.Fprintf(&out, "b: %v\n", r.ErrB)
	}
	if r.Equal() {
		out.WriteString("equal\n")
	}
	for _, d := range r.Diffs {
		text := func(s Span, doc string) string {
			if s.Start < 0 {
				return "absent"
			}
			return string(s.Of([]byte(doc)))
		}
		fmt.Fprintf(&out, "%s (%s) %s: %s -> %s\n", kindNames[d.Kind], classNames[d.Class], d.Path, text(d.A, a), text(d.B, b))
	}
	if r.More {
		out.WriteString("more\n")
	}
	return out.String()
}
