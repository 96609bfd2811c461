package shadow_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

// What people hold in their tests is plain data: go-cmp panics at a field that is not
// exported.
func TestMessagesExchangesDiffsAndResultsArePlainData(t *testing.T) {
	seen := map[reflect.Type]bool{}
	var walk func(at string, of reflect.Type)
	walk = func(at string, of reflect.Type) {
		if seen[of] {
			return
		}
		seen[of] = true
		if _, comparable := of.MethodByName("Equal"); comparable {
			return
		}
		if of.Kind() == reflect.Interface {
			return
		}
		switch of.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array:
			walk(at, of.Elem())
		case reflect.Map:
			walk(at+" key", of.Key())
			walk(at, of.Elem())
		case reflect.Struct:
			if !strings.HasPrefix(of.PkgPath(), module) {
				return // net/url.URL, whose Userinfo is never that of a copy of ours
			}
			for i := range of.NumField() {
				f := of.Field(i)
				assert.True(t, f.IsExported() || f.Anonymous, "%s.%s", at, f.Name)
				walk(at+"."+f.Name, f.Type)
			}
		case reflect.Func, reflect.Chan:
			t.Errorf("%s is a %s", at, of)
		}
	}
	for _, v := range []any{
		shadow.Message{}, shadow.Exchange{}, shadow.Diff{}, shadow.Comparison{}, shadow.ControlDiffs{}, shadow.Result{}, shadow.RuleUse{},
		shadow.CompareOptions{}, shadow.Event{}, shadow.Stats{}, shadow.RouteCoverage{}, shadow.Explanation{},
	} {
		of := reflect.TypeOf(v)
		walk(of.Name(), of)
	}
	assert.True(t, seen[reflect.TypeFor[shadow.Message]()])
}

func TestGoCmpComparesResults(t *testing.T) {
	results := func(candidate http.Handler, opts ...shadow.Option) (list []*shadow.Result) {
		m, err := shadow.New(shadow.InProcess("candidate", candidate), append(opts,
			shadow.WithReporter(shadow.ReporterFunc(func(_ context.Context, r *shadow.Result) error {
				r2 := *r
				list = append(list, &r2)
				return nil
			})))...)
		require.NoError(t, err)
		m.Handler(saidJSON(`{"items":[{"id":1},{"id":2,"n":1}]}`)).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/x?a=b", nil))
		require.NoError(t, m.Shutdown(context.Background()))
		return list
	}
	for name, candidate := range map[string]http.Handler{
		"mismatch":   saidJSON(`{"items":[{"id":2,"n":2}]}`),
		"failed":     http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("x") }),
		"uncompared": said{header: http.Header{"Content-Encoding": {"none"}}, body: "x"},
	} {
		t.Run(name, func(t *testing.T) {
			got := results(candidate)
			require.Len(t, got, 1)
			other := *got[0]
			other.Primary, other.Shadow = other.Primary.Clone(), other.Shadow.Clone()
			if other.Err != nil {
				assert.NotPanics(t, func() { assert.False(t, cmp.Equal(got[0].Err, errors.New("another"))) })
			}
			assert.True(t, cmp.Equal(got[0], &other), cmp.Diff(got[0], &other))
			other.Start = other.Start.Add(time.Second)
			assert.False(t, cmp.Equal(got[0], &other))
			other.Start = got[0].Start
			other.Primary.Digest++
			assert.NotEmpty(t, cmp.Diff(got[0], &other))
		})
	}
}
