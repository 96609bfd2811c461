package middleware_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/middleware"
)

// A predicate that panics, or ends its goroutine, trusts nobody and loses no answer.
func TestAPredicateThatDoesNotReturnTrustsNobody(t *testing.T) {
	for name, end := range map[string]func(){"panic": func() { panic("secret") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(middleware.Detect(func(*http.Request) bool { end(); return true })(
				http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if shadow.IsShadow(r.Context()) || len(r.Header["Shadow-Request"]) > 0 {
						io.WriteString(w, "marked")
					} else {
						io.WriteString(w, "real")
					}
				})))
			defer s.Close()
			r, err := http.NewRequest("GET", s.URL, nil)
			require.NoError(t, err)
			r.Header.Set("Shadow-Request", "1")
			resp, err := s.Client().Do(r)
			require.NoError(t, err)
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			resp.Body.Close()
			assert.Equal(t, "real", string(body))
		})
	}
}
