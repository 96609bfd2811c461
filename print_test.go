package shadow_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

// printable are the exported types of the package, but for functions, and what of each
// may be shown. All other fields are filled with secrets.
var printable = map[string]struct {
	sample any
	shown  []string // names of fields
}{
	"Message":             {shadow.Message{}, []string{"Method"}},
	"Exchange":            {shadow.Exchange{}, []string{"ID", "Route", "Method"}},
	"Diff":                {shadow.Diff{}, []string{"Path", "Kind", "Class"}},
	"Comparison":          {shadow.Comparison{}, []string{"Path", "Kind", "Class"}},
	"ControlDiffs":        {shadow.ControlDiffs{}, []string{"Path", "Kind", "Class"}},
	"RuleComparator":      {(*shadow.RuleComparator)(nil), nil}, // rules alone
	"Result":              {shadow.Result{}, []string{"ID", "Route", "Mirror", "Target", "Outcome", "Note", "Method", "Path", "Kind", "Class"}},
	"Target":              {shadow.Target{}, []string{"Name"}},
	"Event":               {shadow.Event{}, []string{"Kind", "Mirror", "Target", "ID", "Route", "Text"}}, // all of it is made to be shown
	"Stats":               {shadow.Stats{}, []string{"Skipped", "Dropped", "Targets", "Breaker"}},        // reasons, and names of targets
	"RuleUse":             {shadow.RuleUse{}, []string{"Option", "Path"}},                                // what the user configured
	"CompareOptions":      {shadow.CompareOptions{}, []string{"Headers", "Ignore", "Unordered", "Keyed", "Tolerances", "Bodies", "MediaTypes"}},
	"Tolerance":           {shadow.Tolerance{}, nil},
	"RateVar":             {&shadow.RateVar{}, nil},
	"BreakerOptions":      {shadow.BreakerOptions{}, nil},
	"LoadSheddingOptions": {shadow.LoadSheddingOptions{}, nil},
	"OverheadOptions":     {shadow.OverheadOptions{}, nil},
	"Overhead":            {shadow.Overhead{}, nil},
	"Budget":              {shadow.Budget{}, nil},
	"Usage":               {shadow.Usage{}, nil},
	"Tariff":              {shadow.Tariff{}, nil},
	"TargetStats":         {shadow.TargetStats{}, []string{"Breaker"}},
	"LeakCheckOptions":    {shadow.LeakCheckOptions{}, []string{"Kinds", "Scope", "Then"}},     // words of this package
	"Decision":            {shadow.Decision{}, []string{"Stratum"}},                            // as a route
	"Explanation":         {shadow.Explanation{}, []string{"Reason", "Name", "Text", "Later"}}, // made to be shown
	"Step":                {shadow.Step{}, []string{"Reason", "Name", "Text"}},
	"RouteCoverage":       {shadow.RouteCoverage{}, []string{"Route", "Lost", "Passed", "Why"}}, // made to be shown
	"RouteRates":          {&shadow.RouteRates{}, nil},
	"Mirror":              {(*shadow.Mirror)(nil), nil}, // see TestAMirrorPrintsNothingOfWhatItWasGiven
}

// words are exported string types, whose values are words of this package.
var words = []string{"DiffKind", "DiffClass", "Outcome", "Reason", "EventKind", "BreakerState", "LeakCheckScope", "LeakPolicy", "DetectorKind", "Timing"}

// exportedTypes are the names of the exported types of the package that hold data.
func exportedTypes(t *testing.T) (names []string) {
	files, err := os.ReadDir(".")
	require.NoError(t, err)
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), ".go") || strings.HasSuffix(file.Name(), "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file.Name(), nil, 0)
		require.NoError(t, err)
		ast.Inspect(parsed, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok || !spec.Name.IsExported() {
				return true
			}
			switch spec.Type.(type) {
			case *ast.FuncType, *ast.InterfaceType: // they hold no data of their own
			default:
				names = append(names, spec.Name.Name)
			}
			return true
		})
	}
	return names
}

// plantSecrets fills what v holds, but for the fields shown.
func plantSecrets(v reflect.Value, shown []string) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		plantSecrets(v.Elem(), shown)
	case reflect.Struct:
		for i := range v.NumField() {
			field, value := v.Type().Field(i), v.Field(i)
			hidden := true
			for _, name := range shown {
				hidden = hidden && name != field.Name
			}
			if field.IsExported() && hidden {
				plantSecrets(value, shown)
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte(`"secret"`))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		plantSecrets(v.Index(0), shown)
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		plantSecrets(key, shown)
		plantSecrets(value, shown)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString("secret")
	case reflect.Interface:
		for _, value := range []any{&quoting{"secret"}, shadow.SetHeader("Authorization", "secret"), http.RoundTripper(telling{"secret"})} {
			if reflect.TypeOf(value).Implements(v.Type()) {
				v.Set(reflect.ValueOf(value))
				return
			}
		}
	}
}

// quoting is an error that tells nothing in its text, but holds a secret.
type quoting struct{ Secret string }

func (*quoting) Error() string { return "an error" }

type telling struct{ Secret string }

func (telling) RoundTrip(*http.Request) (*http.Response, error) { return nil, errors.New("no") }

// secrets are spellings of "secret" in what fmt and encoding/json write.
var secrets = regexp.MustCompile(`(?i:s3cret)|` + spellings("secret").String())

func TestNothingPrintsWhatItHolds(t *testing.T) {
	names := exportedTypes(t)
	require.Greater(t, len(names), 10)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			for _, word := range words {
				if name == word {
					return
				}
			}
			c, ok := printable[name]
			require.True(t, ok, "say in printable what of type %s may be shown", name)
			v := reflect.New(reflect.TypeOf(c.sample))
			if v.Elem().Kind() != reflect.Pointer {
				plantSecrets(v.Elem(), c.shown)
			} else {
				return
			}
			for how, value := range map[string]any{"value": v.Elem().Interface(), "pointer": v.Interface()} {
				assert.NotRegexp(t, secrets, printed(t, value), how)
			}
		})
	}
	// The test can fail.
	assert.Regexp(t, secrets, printed(t, struct{ A []byte }{[]byte("secret")}))
	assert.Regexp(t, secrets, printed(t, &quoting{"secret"}))
	for before := range 3 {
		text, err := json.Marshal([]byte("xyz"[:before] + "hunter2 and more"))
		require.NoError(t, err)
		assert.Regexp(t, spellings("hunter2"), string(text))
	}
}

// What is shown is there.
func TestWhatMessagesAndResultsPrint(t *testing.T) {
	r := &shadow.Result{
		Exchange: shadow.Exchange{ID: "7", Route: "/a", Request: &shadow.Message{Method: "GET"}, Primary: &shadow.Message{StatusCode: 200}, Shadow: &shadow.Message{StatusCode: 500}},
		Mirror:   "m", Target: "v2", Outcome: shadow.Mismatch, Err: errors.New("e"), Note: "n",
		Diffs: []shadow.Diff{{Path: "/status", Kind: shadow.Changed, Class: shadow.ClassCase, Primary: json.RawMessage("200")}}, Noise: make([]shadow.Diff, 1),
	}
	const text = `mirror=m target=v2 outcome=mismatch id=7 route=/a method=GET primary.status=200 primary.took=0s shadow.status=500 shadow.took=0s diffs=1 paths=[/status] noise=1 error=e note=n`
	assert.Equal(t, text, fmt.Sprint(r))
	assert.Equal(t, text, fmt.Sprintf("%#v", *r))
	got, err := json.Marshal(r)
	require.NoError(t, err)
	assert.JSONEq(t, `{"mirror":"m","target":"v2","outcome":"mismatch","id":"7","route":"/a","method":"GET","primary":{"status":200,"took":0},"shadow":{"status":500,"took":0},"diffs":1,"paths":["/status"],"noise":1,"error":"e","note":"n"}`, string(got))
	assert.Equal(t, `id=7 route=/a method=GET primary.status=200 primary.took=0s shadow.status=500 shadow.took=0s`, r.Exchange.String())
	assert.Equal(t, `path=/status kind=changed class=case`, r.Diffs[0].String())
	assert.Equal(t, `method=GET size=3 truncated=true`, shadow.Message{Method: "GET", Size: 3, Truncated: true}.String())
	assert.Equal(t, `name=v2 timeout=10s discard=false`, shadow.InProcess("v2", nil).String())
	assert.Equal(t, "<nil>", fmt.Sprint((*shadow.Message)(nil)))
}

func TestAMirrorPrintsNothingOfWhatItWasGiven(t *testing.T) {
	target := shadow.Remote("v2", "http://v2.example")
	target.Masker = shadow.MaskAll(shadow.SetHeader("Authorization", "secret"), shadow.MaskWith(shadow.Tokenize([]byte("secret secret secret")), shadow.MaskQuery("q")))
	m, err := shadow.New(target)
	require.NoError(t, err)
	assert.NotRegexp(t, secrets, printed(t, m))
	assert.Equal(t, "mirror=v2 target=v2", fmt.Sprint(m))
	assert.NotRegexp(t, secrets, printed(t, target))
}

// Built-in maskers and replacements may hold credentials and keys.
func TestMaskersPrintNoSecret(t *testing.T) {
	secret := []byte("secret secret secret")
	for _, v := range []any{
		shadow.SetHeader("Authorization", "secret"), shadow.Tokenize(secret), shadow.Hash(),
		shadow.MaskWith(shadow.Tokenize(secret), shadow.MaskJSON("$.a"), shadow.MaskHeaders("X-A")),
		shadow.MaskAll(shadow.SetHeader("Authorization", "secret")),
		shadow.Tokenize([]byte("secret")),
	} {
		assert.NotRegexp(t, secrets, printed(t, v), "%T", v)
	}
}

// Errors of Results say nothing of the answer or the URL, also with %#v.
func TestErrorsQuoteNeitherURLsNorAnswers(t *testing.T) {
	for name, err := range map[string]error{
		"url.Error":           &url.Error{Op: "Get", URL: "https://h/?token=secret", Err: errors.New("secret")},
		"wrapped":             fmt.Errorf("asking https://h/?token=secret: %w", os.ErrDeadlineExceeded),
		"joined":              errors.Join(errors.New("secret"), os.ErrDeadlineExceeded),
		"one that is a value": byValue{"secret"},
		"a timeout":           timeout{"secret"},
	} {
		t.Run(name, func(t *testing.T) {
			target := shadow.Target{Name: "v2", Transport: roundTripper(func(*http.Request) (*http.Response, error) { return nil, err })}
			res := exchange(t, saidText("x"), target, get())
			assert.Equal(t, shadow.Failed, res.Outcome)
			require.ErrorIs(t, res.Err, shadow.ErrTransport)
			require.ErrorIs(t, res.Err, err)
			assert.NotRegexp(t, secrets, printed(t, res.Err))
			assert.NotRegexp(t, secrets, printed(t, res))
		})
	}
	target := shadow.Target{Name: "v2", Transport: roundTripper(func(*http.Request) (*http.Response, error) { panic("secret") })}
	res := exchange(t, saidText("x"), target, get())
	require.ErrorIs(t, res.Err, shadow.ErrPanic)
	assert.NotRegexp(t, secrets, printed(t, res.Err))
	res = exchange(t, saidText("x"), shadow.InProcess("v2", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(disguised{"secret"}) })), get())
	assert.NotRegexp(t, secrets, printed(t, res.Err), "not every runtime.Error is of the runtime")
}

type byValue struct{ text string }

func (e byValue) Error() string { return e.text }

type timeout struct{ text string }

func (e timeout) Error() string { return e.text }
func (timeout) Timeout() bool   { return true }
func (timeout) Temporary() bool { return true }

type disguised struct{ text string }

func (e disguised) Error() string { return e.text }
func (disguised) RuntimeError()   {}
