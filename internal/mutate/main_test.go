package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const source = `package p

// Max is the larger one.
func Max(a, b int) int {
	if a > b {
		return a
	}
	return b
}
`

func TestEachChangeIsOneChange(t *testing.T) {
	list, err := mutants("p.go", []byte(source))
	require.NoError(t, err)
	var names []string
	for _, m := range list {
		names = append(names, m.Name)
		assert.NotEqual(t, source, string(m.src))
	}
	assert.Equal(t, []string{"p.go:5:2 condition negated", "p.go:5:7 > to >="}, names)
	assert.Contains(t, string(list[0].src), "if !(a > b)")
	assert.Contains(t, string(list[1].src), "if a >= b")
}

// A change that a test notices is killed, and one that means the same survives.
func TestAChangeThatNoTestNoticesSurvives(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":    "module p\n\ngo 1.26\n",
		"p.go":      source,
		"p_test.go": "package p\n\nimport \"testing\"\n\nfunc TestMax(t *testing.T) {\n\tif Max(1, 2) != 2 || Max(2, 1) != 2 {\n\t\tt.Fail()\n\t}\n}\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	state := filepath.Join(dir, "state.json")
	var out bytes.Buffer
	require.NoError(t, run([]string{"-dir", dir, "-state", state, "-n", "1"}, &out))
	assert.Contains(t, out.String(), "1 of 2 changes run")
	out.Reset()
	require.NoError(t, run([]string{"-dir", dir, "-state", state}, &out))
	assert.Contains(t, out.String(), "2 of 2 changes run: 1 killed, 1 survived, 0 do not compile")
	assert.Equal(t, 1, strings.Count(out.String(), "survived  ")+strings.Count(out.String(), "killed    "), "what has been run is not run again")
	assert.Contains(t, out.String(), "p.go:5:7 > to >=")

	assert.ErrorContains(t, run([]string{"-dir", dir, "-tests", "None"}, &out), "fail without a change")
}
