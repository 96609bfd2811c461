package shadow_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

// rootFiles are the files of the root package, in the order of a request, with what is in them.
var rootFiles = map[string]string{
	"shadow.go":  "messages, results, outcomes, errors, and how they print",
	"mirror.go":  "targets and the life of a Mirror",
	"options.go": "options, their defaults and their validation",
	"sampler.go": "samplers",
	"mask.go":    "masks",
	"diff.go":    "differences and comparators",
	"decide.go":  "the checks before the primary runs",
	"tee.go":     "Handler and Transport",
	"copy.go":    "the way of one copy",
	"limits.go":  "breaker, load shedding, overhead, budget",
	"report.go":  "events, reporters and alarms",
	"stats.go":   "reasons, counts, coverage, rules",
}

// laterFiles are files of the root package that need not exist yet.
var laterFiles = map[string]string{
	"do.go":      "the same for a function call",
	"session.go": "copies of one client in order",
}

const (
	maxFile = 620 // lines of a file of the root package

	// These two only get smaller. The aim is 5,000 lines and 175 identifiers.
	maxRoot = 5400 // lines of all files
	maxAPI  = 205  // exported identifiers
)

// sources returns the files of the root package beside tests, with their content.
func sources(t *testing.T) map[string][]byte {
	names, err := filepath.Glob("*.go")
	require.NoError(t, err)
	files := map[string][]byte{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		files[name], err = os.ReadFile(name)
		require.NoError(t, err)
	}
	return files
}

// The root is read in one sitting, each file for one thing. A new thing belongs in a file that is
// there, in a package of its own, or in an engine: see internal/README.md.
func TestTheRootHasTheseFiles(t *testing.T) {
	files, all := sources(t), 0
	for name, text := range files {
		lines := bytes.Count(text, []byte("\n"))
		all += lines
		if rootFiles[name] == "" && laterFiles[name] == "" {
			t.Errorf("%s: the root has no such file: see internal/README.md for where its content belongs", name)
		}
		assert.LessOrEqual(t, lines, maxFile, name)
	}
	for name := range rootFiles {
		assert.Contains(t, files, name)
	}
	assert.LessOrEqual(t, all, maxRoot, "lines of the root package")
}

// What users have to learn is bounded.
func TestTheRootExportsFewIdentifiers(t *testing.T) {
	var names []string
	for name, text := range sources(t) {
		file, err := parser.ParseFile(token.NewFileSet(), name, text, 0)
		require.NoError(t, err)
		for _, decl := range file.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil && d.Name.IsExported() {
					names = append(names, d.Name.Name)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch s := spec.(type) {
					case *ast.TypeSpec:
						if s.Name.IsExported() {
							names = append(names, s.Name.Name)
						}
					case *ast.ValueSpec:
						for _, n := range s.Names {
							if n.IsExported() {
								names = append(names, n.Name)
							}
						}
					}
				}
			}
		}
	}
	require.Contains(t, names, "New")
	require.Contains(t, names, "ReasonDisabled")
	assert.LessOrEqual(t, len(names), maxAPI)
}

// cmp.Equal works on data, and a user's test can make it.
func TestDataHasExportedFieldsOnly(t *testing.T) {
	for _, sample := range []any{
		shadow.Message{}, shadow.Exchange{}, shadow.Diff{}, shadow.Result{}, shadow.Comparison{}, shadow.Decision{},
		shadow.ControlDiffs{}, shadow.Event{}, shadow.Stats{}, shadow.TargetStats{}, shadow.RouteCoverage{}, shadow.RuleUse{},
	} {
		kind := reflect.TypeOf(sample)
		for i := range kind.NumField() {
			assert.True(t, kind.Field(i).IsExported(), "%s.%s", kind, kind.Field(i).Name)
		}
	}
}

var tellsWhat = regexp.MustCompile(`\btells? (whether|why|of|how)\b`)

// Comments say "reports whether" and "returns the reason".
func TestCommentsDoNotTell(t *testing.T) {
	read := 0
	require.NoError(t, filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, group := range file.Comments {
			read++
			if found := tellsWhat.FindString(group.Text()); found != "" {
				t.Errorf("%s: a comment says %q", path, found)
			}
		}
		return nil
	}))
	assert.Greater(t, read, 1000)
	assert.Regexp(t, tellsWhat, "tells whether")
}
