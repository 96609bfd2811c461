package middleware_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/middleware"
)

func TestRequestID(t *testing.T) {
	for _, tc := range []struct{ name, inbound, field string }{
		{"", "", "X-Request-Id"}, {"", "7", "X-Request-Id"}, {"x-trace", "", "X-Trace"}, {"x-trace", "7", "X-Trace"},
	} {
		var primary, copied string
		look := func(id *string) http.Handler {
			return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { *id = strings.Join(r.Header[tc.field], " ") })
		}
		m, err := shadow.New(shadow.InProcess("v2", look(&copied)), shadow.WithRequestID(tc.field))
		require.NoError(t, err)
		r := httptest.NewRequest("GET", "/", nil)
		if tc.inbound != "" {
			r.Header.Set(tc.field, tc.inbound)
		}
		before := r.Header.Clone()
		middleware.RequestID(tc.name)(m.Handler(look(&primary))).ServeHTTP(httptest.NewRecorder(), r)
		require.NoError(t, m.Shutdown(t.Context()))
		if tc.inbound != "" {
			assert.Equal(t, tc.inbound, primary)
		} else {
			assert.Regexp(t, "^[0-9a-f]{32}$", primary)
		}
		assert.Equal(t, primary, copied, "primary and shadow have the same ID")
		assert.Equal(t, before, r.Header, "the server's request is not changed")
	}
	assert.Panics(t, func() { middleware.RequestID("")(nil) })
	assert.Panics(t, func() { middleware.RequestID("a b") })
}

// Handlers that serve one request side by side do not write to what they share.
func TestRequestIDSharesARequest(t *testing.T) {
	r := &http.Request{Method: "GET"} // without a header at all
	var ids sync.Map
	h := middleware.RequestID("")(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		ids.Store(r.Header.Get("X-Request-Id"), true)
	}))
	var handlers sync.WaitGroup
	for range 8 {
		handlers.Go(func() { h.ServeHTTP(httptest.NewRecorder(), r) })
	}
	handlers.Wait()
	n := 0
	ids.Range(func(any, any) bool { n++; return true })
	assert.Equal(t, 8, n)
}
