package handback_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow/internal/handback"
)

// odd is a context, and a body, that == panics at.
type odd struct {
	context.Context
	io.ReadCloser
	list []int
}

func request() *http.Request {
	r := httptest.NewRequest("POST", "/a?b=c", strings.NewReader("body"))
	return r.WithContext(odd{Context: r.Context()})
}

// Every field that net/http gives to everybody is carried back if it has changed, and no
// other is written.
func TestEveryFieldIsCarriedBack(t *testing.T) {
	typ := reflect.TypeFor[http.Request]()
	for i := range typ.NumField() {
		if !typ.Field(i).IsExported() {
			continue
		}
		t.Run(typ.Field(i).Name, func(t *testing.T) {
			r := request()
			given, was := *r, *r
			other := reflect.ValueOf(&given).Elem().Field(i)
			other.Set(different(t, other))
			want := given
			handback.Changes(r, &given, &was)
			assert.Equal(t, want.GetBody == nil, r.GetBody == nil)
			want.GetBody, r.GetBody = nil, nil // Equal finds no two functions equal
			assert.Equal(t, want, *r)
		})
	}
}

// different is a value that v does not have.
func different(t *testing.T, v reflect.Value) reflect.Value {
	n := reflect.New(v.Type()).Elem()
	switch {
	case v.Type() == reflect.TypeFor[io.ReadCloser]():
		n.Set(reflect.ValueOf(odd{list: []int{1}}))
	case v.Kind() == reflect.String:
		n.SetString("another")
	case v.CanInt():
		n.SetInt(v.Int() + 1)
	case v.Kind() == reflect.Bool:
		n.SetBool(!v.Bool())
	case v.Kind() == reflect.Map:
		n.Set(reflect.MakeMap(v.Type()))
	case v.Kind() == reflect.Slice:
		n.Set(reflect.MakeSlice(v.Type(), 1, 1))
	case v.Kind() == reflect.Pointer:
		n.Set(reflect.New(v.Type().Elem()))
	case v.Kind() == reflect.Chan:
		n.Set(reflect.ValueOf(make(<-chan struct{})))
	case v.Kind() == reflect.Func:
		n.Set(reflect.ValueOf(func() (io.ReadCloser, error) { return nil, io.EOF }))
	default:
		t.Fatalf("no value of %v", v.Type())
	}
	return n
}

type key struct{}

func TestWhatNetHTTPKeepsToItselfIsCarriedBack(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{name}", func(_ http.ResponseWriter, r *http.Request) {
		r.SetPathValue("other", "2")
		*r = *r.WithContext(context.WithValue(r.Context(), key{}, "3"))
	})
	r := request()
	given := *r
	handback.Serve(mux, nil, r, &given)
	assert.Equal(t, "POST /{name}", r.Pattern)
	assert.Equal(t, "a", r.PathValue("name"))
	assert.Equal(t, "2", r.PathValue("other"))
	assert.Equal(t, "3", r.Context().Value(key{}))
	assert.Equal(t, r, &given)
}

// What did not change is not written: only the race detector can fail this test.
func TestOnlyChangesAreWritten(t *testing.T) {
	r := request()
	given := *r
	given.Header = http.Header{"Own": {"1"}}
	reading, read := make(chan bool), make(chan bool)
	go func() {
		close(reading)
		_, _, _, _, _ = r.Method, r.Header, r.Body, r.Trailer, r.PathValue("a")
		_ = r.Header["X-A"]
		close(read)
	}()
	<-reading
	handback.Serve(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		r.Pattern, r.Host, r.URL = "/a", "b", &url.URL{}
	}), nil, r, &given)
	<-read
	assert.Equal(t, "/a", r.Pattern)
}

// A copy may have a header of its own. What sets the two apart is not a change.
func TestAHeaderOfItsOwn(t *testing.T) {
	serve := func(change func(*http.Request)) http.Header {
		r := request()
		r.Header = http.Header{"Mark": {"1"}, "X-A": {"1"}, "X-B": {"1"}, "X-C": {"1"}}
		given := *r
		given.Header = http.Header{"Own": {"1"}, "X-A": {"1"}, "X-B": {"1"}, "X-C": {"1"}}
		assert.Panics(t, func() {
			handback.Serve(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { change(r); panic("") }), nil, r, &given)
		})
		return r.Header
	}
	require.Equal(t, http.Header{"Mark": {"1"}, "X-A": {"1"}, "X-B": {"1"}, "X-C": {"1"}}, serve(func(*http.Request) {}))
	require.Equal(t, http.Header{"Mark": {"1"}, "X-A": {"2"}, "X-B": {"1", "2"}, "X-D": {"1"}}, serve(func(r *http.Request) {
		r.Header["X-A"][0] = "2"
		r.Header.Add("X-B", "2")
		r.Header.Del("X-C")
		r.Header.Set("X-D", "1")
	}))
	require.Equal(t, http.Header{"X": {"1"}}, serve(func(r *http.Request) { r.Header = http.Header{"X": {"1"}} }))
}
