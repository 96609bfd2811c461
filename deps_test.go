package shadow_test

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const module = "github.com/goshadow/shadow"

// allowed are the packages outside of the standard library that everybody pays for who
// imports the root package, each with its reason. A name that ends in "/..." stands for
// what is below it, too.
var allowed = map[string]string{
	"github.com/andybalholm/brotli/...":        "decodes the content coding br (RFC 7932), which the standard library does not",
	"github.com/cespare/xxhash/v2":             "hashes attribute sets inside of go.opentelemetry.io/otel/attribute",
	"github.com/klauspost/compress/...":        "decodes the content coding zstd (RFC 8878), which the standard library does not; zstd and what it is made of",
	"github.com/sony/gobreaker/v2":             "WithBreaker: counts by window, states and probes; it imports nothing but the standard library",
	"go.opentelemetry.io/otel/attribute/...":   "OpenTelemetry API: what spans and metrics are labelled with",
	"go.opentelemetry.io/otel/baggage":         "OpenTelemetry API: the mark shadow=true in W3C baggage",
	"go.opentelemetry.io/otel/codes":           "OpenTelemetry API: the status of a span",
	"go.opentelemetry.io/otel/internal/...":    "OpenTelemetry API: inside of baggage and propagation",
	"go.opentelemetry.io/otel/metric/...":      "OpenTelemetry API: WithMeterProvider",
	"go.opentelemetry.io/otel/propagation/...": "OpenTelemetry API: WithPropagator",
	"go.opentelemetry.io/otel/semconv/...":     "OpenTelemetry API: constants inside of trace",
	"go.opentelemetry.io/otel/trace/...":       "OpenTelemetry API: WithTracerProvider",
	"golang.org/x/text/encoding/...":           "the tables of charsets with one byte for each character, which masks convert from and back to",
	"golang.org/x/text/transform":              "inside of encoding",
	"golang.org/x/time/rate":                   "the log: a line every so often",
}

// forbidden are packages that are kept out although it would be easy to allow them.
var forbidden = map[string]string{
	"go.opentelemetry.io/otel":         "the global providers: a library takes those it is given, and nothing when it is given none",
	"go.opentelemetry.io/otel/sdk/...": "the SDK is the program's choice",
	"github.com/google/go-cmp/...":     "it adds over 2 MB to a user's binary; for tests only",
	"github.com/stretchr/testify/...":  "for tests only",
	"html/template":                    "it adds over 2 MB to a user's binary; a page with results is for a package of its own",
	"testing":                          "for tests only",
	"expvar":                           "it registers a handler in http.DefaultServeMux",
	"net/http/pprof":                   "it registers handlers in http.DefaultServeMux",
	"net/http/httptest":                "for tests only; it registers a flag",
	"os/exec":                          "a mirror starts no programs",
	"plugin":                           "a mirror loads no code",
	module + "/internal/mirrortest":    "for tests only",
}

// covers reports whether a pattern of these lists is about the package path.
func covers(pattern, path string) bool {
	parent, below := strings.CutSuffix(pattern, "/...")
	return path == parent || below && strings.HasPrefix(path, parent+"/")
}

func reasonFor(list map[string]string, path string) (string, bool) {
	for pattern, reason := range list {
		if covers(pattern, path) {
			return reason, true
		}
	}
	return "", false
}

// goList returns the lines of go list.
func goList(t *testing.T, args ...string) []string {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list"}, args...)...).Output()
	if err != nil {
		if failed, ok := err.(*exec.ExitError); ok {
			t.Logf("%s", failed.Stderr)
		}
		require.NoError(t, err)
	}
	return strings.Fields(string(out))
}

func TestTheRootImportsOnlyWhatWasArguedFor(t *testing.T) {
	standard := map[string]bool{}
	for _, path := range goList(t, "std") {
		standard[path] = true
	}
	used := map[string]bool{}
	for _, path := range goList(t, "-deps", ".") {
		if reason, bad := reasonFor(forbidden, path); bad {
			t.Errorf("the root package imports %s, somehow: %s", path, reason)
			continue
		}
		if standard[path] || path == module || strings.HasPrefix(path, module+"/internal/") {
			continue
		}
		if _, ok := reasonFor(allowed, path); !ok {
			t.Errorf("the root package imports %s, somehow. Everybody who imports shadow pays for that: do without, or say here what for", path)
		}
		for pattern := range allowed {
			used[pattern] = used[pattern] || covers(pattern, path)
		}
	}
	for pattern := range allowed {
		if !used[pattern] {
			t.Errorf("%s is allowed and not imported any more: take it off the list", pattern)
		}
	}
}

// layers are the directions of imports, from top to bottom: a package imports packages of the
// layers that are named, and no others of this module. Leaf is every package under internal that
// no other layer names.
var layers = []struct {
	name    string
	of      []string // packages, relative to the module
	imports []string // layers
	reason  string
}{
	{"program", []string{"examples/...", "cmd/..."}, []string{"public", "root"}, "a program uses what a user can use"},
	{"public", []string{"sampling", "policy", "preflight", "typed", "middleware", "shadowtest", "report/...", "replay/...", "queue/..."},
		[]string{"public", "root", "leaf"}, "engines are reached through the root"},
	{"test", []string{"internal/mirrortest"}, []string{"root"}, "helpers of tests know the root alone"},
	{"root", []string{""}, []string{"engine", "leaf"}, "what is built on the root is no part of it"},
	{"engine", []string{"internal/limit", "internal/ledger", "internal/compare", "internal/redact", "internal/target", "internal/telemetry"},
		[]string{"leaf"}, "an engine gets values and callbacks: it sees neither a Mirror nor another engine"},
	{"leaf", []string{"internal/..."}, []string{"leaf"}, "a leaf is about bytes, names or numbers, and knows nothing of mirrors"},
}

// layerOf returns the index of the layer of a package of this module.
func layerOf(path string) int {
	path = strings.TrimPrefix(strings.TrimPrefix(path, module), "/")
	for i, l := range layers {
		if slices.ContainsFunc(l.of, func(pattern string) bool { return covers(pattern, path) }) {
			return i
		}
	}
	return -1
}

func TestImportsPointOneWay(t *testing.T) {
	packages := goList(t, "-f", "{{.ImportPath}}:{{join .Imports \",\"}}", "./...")
	seen := map[string]bool{}
	for _, line := range packages {
		path, imports, _ := strings.Cut(line, ":")
		at := layerOf(path)
		if at < 0 {
			t.Errorf("%s belongs to no layer: name it in one", path)
			continue
		}
		from := layers[at]
		seen[from.name] = true
		for one := range strings.SplitSeq(imports, ",") {
			if one != module && !strings.HasPrefix(one, module+"/") {
				continue
			}
			if to := layers[layerOf(one)]; !slices.Contains(from.imports, to.name) {
				t.Errorf("%s (%s) imports %s (%s): %s", path, from.name, one, to.name, from.reason)
			}
		}
	}
	assert.Len(t, seen, len(layers), "each layer has packages")
}

// The linter has the rules of the same table.
func TestTheLinterHasTheDirectionsOfImports(t *testing.T) {
	config, err := os.ReadFile(".golangci.yml")
	require.NoError(t, err)
	glob := func(pattern string) string {
		if pattern == "" {
			return "*.go"
		}
		return strings.TrimSuffix(pattern, "/...") + "/**"
	}
	var want strings.Builder
	want.WriteString("    depguard:\n      rules:\n")
	for i, from := range layers {
		fmt.Fprintf(&want, "        %s:\n          list-mode: lax\n          files:\n            - \"!$test\"\n            - \"!${config-path}/internal/bench/**\"\n            - \"!${config-path}/internal/telemetry/sdktest/**\"\n", from.name) // modules of their own
		if from.name == "leaf" {                                                                                                                                                                                                                   // all that no layer above names
			for _, l := range layers[:i] {
				for _, pattern := range l.of {
					if strings.HasPrefix(pattern, "internal/") {
						fmt.Fprintf(&want, "            - \"!${config-path}/%s\"\n", glob(pattern))
					}
				}
			}
		}
		for _, pattern := range from.of {
			if pattern == "" {
				want.WriteString("            - \"${config-path}/*.go\"\n")
			} else {
				fmt.Fprintf(&want, "            - \"${config-path}/%s\"\n", glob(pattern))
			}
		}
		want.WriteString("          deny:\n")
		for _, to := range layers {
			if slices.Contains(from.imports, to.name) {
				continue
			}
			for _, pattern := range to.of {
				pkg := strings.TrimSuffix(module+"/"+strings.TrimSuffix(pattern, "/..."), "/")
				if pattern == "" {
					pkg += "$"
				}
				if pattern != "internal/..." {
					fmt.Fprintf(&want, "            - pkg: %s\n              desc: %q\n", pkg, from.reason)
				}
			}
		}
	}
	assert.True(t, strings.Contains(string(config), want.String()), "depguard's rules should be\n%s", want.String())
	assert.True(t, strings.Contains(string(config), "    - depguard\n"))
}

// A list that is wrong about a package would let it pass.
func TestTheListsOfImportsDoNotOverlap(t *testing.T) {
	for pattern := range forbidden {
		_, both := reasonFor(allowed, strings.TrimSuffix(pattern, "/..."))
		assert.False(t, both, pattern)
	}
	assert.True(t, covers("a/b/...", "a/b"))
	assert.True(t, covers("a/b/...", "a/b/c/d"))
	assert.False(t, covers("a/b/...", "a/bc"))
	assert.False(t, covers("a/b", "a/b/c"))
}
