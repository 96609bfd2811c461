package shadow_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/preflight"
)

// named are the values of the constants of the package that have one of the types.
func named(t *testing.T, typ string) (values []string) {
	t.Helper()
	files, err := os.ReadDir(".")
	require.NoError(t, err)
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), ".go") || strings.HasSuffix(file.Name(), "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file.Name(), nil, 0)
		require.NoError(t, err)
		ast.Inspect(parsed, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			name, isName := spec.Type.(*ast.Ident)
			value, isText := spec.Values[0].(*ast.BasicLit)
			if isName && isText && name.Name == typ {
				text, err := strconv.Unquote(value.Value)
				require.NoError(t, err)
				values = append(values, text)
			}
			return true
		})
	}
	require.NotEmpty(t, values)
	return values
}

// rows are the names in the first column of the tables of a section of docs/operations.md.
func rows(t *testing.T, section string) (names []string) {
	t.Helper()
	manual, err := os.ReadFile("docs/operations.md")
	require.NoError(t, err)
	_, after, found := strings.Cut(string(manual), "\n## "+section+"\n")
	require.True(t, found, section)
	text, _, _ := strings.Cut(after, "\n## ")
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(text, -1) {
		names = append(names, row[1])
	}
	return names
}

func TestTheManualOfOperationsHasEveryReasonEventAndItem(t *testing.T) {
	assert.ElementsMatch(t, named(t, "Reason"), rows(t, "Reasons"))
	assert.ElementsMatch(t, named(t, "EventKind"), rows(t, "Events"))
	m, _ := mirror(t, shadow.InProcess("v2", text("ok")))
	report, err := preflight.Check(t.Context(), m, preflight.Options{})
	require.NoError(t, err)
	var items []string
	for _, i := range report.Items {
		items = append(items, i.Name)
	}
	assert.Equal(t, items, rows(t, "Before traffic is copied"))
}
