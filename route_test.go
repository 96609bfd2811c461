package shadow

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow/internal/route"
)

// routeSeen returns the route of the Result of r.
func routeSeen(t *testing.T, primary func(*Mirror) http.Handler, r *http.Request, opts ...Option) string {
	t.Helper()
	var routes []string
	m, err := New(Target{Name: "v2", Isolated: true, Transport: HandlerTransport(http.NotFoundHandler())}, append(opts,
		WithLoadShedding(LoadSheddingOptions{Off: true}), WithMethods("GET", "HEAD", "POST", "PROPFIND", "BREW-17"),
		WithReporter(ReporterFunc(func(_ context.Context, res *Result) error { routes = append(routes, res.Route); return nil })))...)
	require.NoError(t, err)
	primary(m).ServeHTTP(httptest.NewRecorder(), r)
	require.NoError(t, m.Shutdown(t.Context()))
	require.Len(t, routes, 1)
	list := m.Coverage()
	require.Len(t, list, 1)
	assert.Equal(t, routes[0], list[0].Route, "all that names routes agrees")
	return routes[0]
}

func TestRoutesAreMethodAndPattern(t *testing.T) {
	nothing := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	inner := func() *http.ServeMux {
		mux := http.NewServeMux()
		mux.Handle("GET /orders/{id}", nothing)
		mux.Handle("/orders", nothing)
		mux.Handle("/static/", nothing)
		return mux
	}
	around := func(m *Mirror) http.Handler { return m.Handler(inner()) }
	outer := func(m *Mirror) http.Handler { // the mirror stands behind a pattern that matches everything
		mux := http.NewServeMux()
		mux.Handle("/", m.Handler(nothing))
		return mux
	}
	clones := func(m *Mirror) http.Handler { // a middleware that hides the inner pattern
		mux := http.NewServeMux()
		mux.Handle("/", m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			inner().ServeHTTP(w, r.Clone(r.Context()))
		})))
		return mux
	}
	chi := func(m *Mirror) http.Handler { // a router that sets a pattern without a method
		return m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { r.Pattern = "/orders/{id}" }))
	}
	for _, c := range []struct {
		primary     func(*Mirror) http.Handler
		method, url string
		want        string
		opts        []Option
	}{
		{around, "GET", "/orders/7", "GET /orders/{id}", nil},
		{around, "HEAD", "/orders/7", "GET /orders/{id}", nil},
		{around, "GET", "/orders", "GET /orders", nil},
		{around, "POST", "/orders", "POST /orders", nil},
		{around, "GET", "/static/app.js", "GET /static/app.js", nil},
		{around, "GET", "/nowhere/7", "GET /nowhere/{}", nil},
		{outer, "GET", "/orders/7", "GET /orders/{}", nil},
		{outer, "POST", "/orders/7", "POST /orders/{}", nil},
		{clones, "GET", "/orders/7", "GET /orders/{}", nil},
		{chi, "GET", "/orders/7", "GET /orders/{id}", nil},
		{chi, "POST", "/orders/7", "POST /orders/{id}", nil},
		{around, "PROPFIND", "/orders", "PROPFIND /orders", nil},
		{around, "BREW-17", "/orders", "BREW-17 /orders", nil},
		{around, "GET", "/users/ada", "GET /users/{name}", []Option{WithMasker(MaskPath("/users/{name}"))}},
		{around, "GET", "/orders/7", "order", []Option{WithRoute(func(*http.Request) string { return "order" })}},
		{around, "GET", "/orders/7", "GET /orders/{}", []Option{WithRoute(func(*http.Request) string { return "" })}},
		{around, "GET", "/" + strings.Repeat("a/", 500), ("GET /" + strings.Repeat("a/", 500))[:route.MaxName], nil},
		{around, "GET", "/orders", strings.Repeat("x", route.MaxName), []Option{WithRoute(func(*http.Request) string { return strings.Repeat("x", 1000) })}},
	} {
		assert.Equal(t, c.want, routeSeen(t, c.primary, httptest.NewRequest(c.method, c.url, nil), c.opts...), "%s %s", c.method, c.url)
	}
}

// A client chooses the method: it makes no routes.
func TestAMethodOfAClientMakesNoRoutes(t *testing.T) {
	for i := range 100 {
		assert.Equal(t, route.OtherMethod, route.Method(fmt.Sprintf("BREW%d", i), defaultMethods[:]))
	}
}
