package main

import (
	"bytes"
	"go/parser"
	"go/token"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const larger = `package p

// Max is the larger one.
func Max(a, b int) int {
	if a > b {
		return a
	}
	return b
}
`

func TestTheChangesOfASource(t *testing.T) {
	for _, c := range []struct {
		body, changed string
		names         []string
	}{
		{"if a > b {\n}", "if ((((a > b || m(3) && (a) == (b))) && !m(2)) || m(1)) {\n}",
			[]string{"4:4 true", "4:4 false", "4:4 bound included"}},
		{"for x && !y {\n}", "", []string{"4:5 false", "4:5 true", "4:10 true"}},
		{"ok = x || y", "", []string{"4:1 left out", "4:6 false", "4:11 false"}},
		{"ok = a <= b", "", []string{"4:1 left out", "4:6 true", "4:6 false", "4:6 bound excluded"}},
		{"switch {\ncase x: // never\ni++\n}", "", []string{"5:6 true", "5:6 false", "6:1 left out"}},
		{"switch a {\ncase 1:\ndefer f()\nbreak\n}", "", []string{"6:1 left out", "7:1 left out"}},
		{"select {\ncase <-c:\nc <- true\n}", "", []string{"6:1 left out", "6:6 true is false"}},
		{"b := 1\npanic(b)", "b := 1\npanic(b)", nil},
		{"x = false // \"\"", "if !m(1) { x = (false || m(2)) } // \"\"", []string{"4:1 left out", "4:5 false is true"}},
	} {
		t.Run(c.body, func(t *testing.T) {
			id := 0
			head := "package p\n\nfunc F() {\n"
			s, err := find("p.go", []byte(head+c.body+"\n}\n"), &id)
			require.NoError(t, err)
			var names []string
			for _, m := range s.mutants {
				place, what, _ := strings.Cut(strings.TrimPrefix(m.name, "p.go:"), " ")
				what, _, _ = strings.Cut(what, ":")
				names = append(names, place+" "+what)
			}
			assert.Equal(t, c.names, names)
			changed := string(s.changed())
			_, err = parser.ParseFile(token.NewFileSet(), "p.go", changed, 0)
			require.NoError(t, err, changed)
			assert.Equal(t, strings.Count(head+c.body, "\n")+2, strings.Count(changed, "\n"), "each line stays where it is")
			if c.changed != "" {
				assert.Equal(t, head+c.changed+"\n}\n", strings.ReplaceAll(changed, "mutant_(", "m("))
			}
		})
	}
}

// What does not compile is left out and said.
func TestAChangeThatDoesNotCompileIsNoKill(t *testing.T) {
	dir := module(t, "package p\n\ntype yes bool\n\nfunc Is(x yes) yes {\n\tif x {\n\t\treturn x\n\t}\n\treturn 1 == 2\n}\n", "!Is(true)")
	var out bytes.Buffer
	require.NoError(t, run([]string{"-dir", dir}, &out))
	assert.Zero(t, verdicts(out.String()))
	assert.Contains(t, out.String(), "4 changes do not compile")
}

// A change that a test notices is killed, and one that means the same survives.
func TestAChangeThatNoTestNoticesSurvives(t *testing.T) {
	dir := module(t, larger, "Max(1, 2) != 2 || Max(2, 1) != 2")
	state := filepath.Join(dir, "state.json")
	var out bytes.Buffer
	require.NoError(t, run([]string{"-dir", dir, "-state", state, "-n", "1"}, &out))
	assert.Contains(t, out.String(), "1 of 3 changes run")
	out.Reset()
	require.NoError(t, run([]string{"-dir", dir, "-state", state}, &out))
	assert.Contains(t, out.String(), "3 of 3 changes run: 2 killed, 1 survived")
	assert.Equal(t, 2, verdicts(out.String()), "what has been run is not run again")
	assert.Contains(t, out.String(), "p.go:5:5 bound included")
	out.Reset()
	require.NoError(t, run([]string{"-dir", dir, "-state", state}, &out))
	assert.Zero(t, verdicts(out.String()), "all has been run")
	out.Reset()
	require.NoError(t, run([]string{"-dir", dir, "-state", state, "-only", "bound included"}, &out))
	assert.Contains(t, out.String(), "1 of 1 changes run: 0 killed, 1 survived")
	assert.Equal(t, 1, verdicts(out.String()), "what is named is run again")
	write(t, dir, "p.go", larger+"\n// More.\n")
	out.Reset()
	require.NoError(t, run([]string{"-dir", dir, "-state", state, "-n", "1"}, &out))
	assert.Contains(t, out.String(), "1 of 3 changes run", "the source is another one")
}

// A change whose tests do not end is killed.
func TestAChangeThatNeverEndsIsKilled(t *testing.T) {
	dir := module(t, "package p\n\nfunc Stop(i int) bool {\n\tfor {\n\t\tif i > 0 {\n\t\t\treturn true\n\t\t}\n\t}\n}\n", "Stop(1) == false")
	var out bytes.Buffer
	require.NoError(t, run([]string{"-dir", dir, "-timeout", "2s", "-only", "true|false"}, &out))
	assert.Contains(t, out.String(), "killed    "+filepath.Join(dir, "p.go")+":5:6 false")
	assert.Contains(t, out.String(), "survived  "+filepath.Join(dir, "p.go")+":5:6 true")
}

// Nothing is said about changes when the tests do not pass, or do not run, without one.
func TestNothingIsRunWhenTheTestsFailWithoutAChange(t *testing.T) {
	for name, args := range map[string][]string{
		"failing": {"-dir", module(t, larger, "Max(1, 2) == 2")},
		"no test": {"-dir", module(t, larger, "Max(1, 2) != 2"), "-tests", "None"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			require.ErrorContains(t, run(args, &out), "fail without a change")
			assert.Empty(t, out.String())
		})
	}
	assert.ErrorContains(t, run([]string{"-dir", module(t, larger, "Max(1) != 2")}, io.Discard), "do not compile")
}

// module writes a module whose only test fails if the condition holds.
func module(t *testing.T, source, fails string) string {
	dir := t.TempDir()
	write(t, dir, "go.mod", "module p\n\ngo 1.26\n")
	write(t, dir, "p.go", source)
	write(t, dir, "p_test.go", "package p\n\nimport \"testing\"\n\nfunc TestP(t *testing.T) {\n\tif "+fails+" {\n\t\tt.Fail()\n\t}\n}\n")
	return dir
}

func write(t *testing.T, dir, name, text string) {
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
}

// verdicts counts the changes that were run.
func verdicts(out string) int {
	return strings.Count(out, "survived  ") + strings.Count(out, "killed    ")
}
