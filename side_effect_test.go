package shadow_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

func TestACopyThatIsKeptFromWritingIsAnEvent(t *testing.T) {
	guarded := func(kinds ...string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if len(kinds) > 0 {
				w.Header()["Shadow-Side-Effect"] = kinds
			}
			w.WriteHeader(http.StatusForbidden)
		})
	}
	discarding := shadow.InProcess("v2", guarded("http"))
	discarding.Discard = true
	for name, c := range map[string]struct {
		target shadow.Target
		opts   []shadow.Option
		texts  map[string]string // by target
	}{
		"refused":        {shadow.InProcess("v2", guarded("http")), nil, map[string]string{"v2": "Shadow-Side-Effect: http"}},
		"two of them":    {shadow.InProcess("v2", guarded("sql", "http")), nil, map[string]string{"v2": "Shadow-Side-Effect: sql, http"}},
		"a foreign word": {shadow.InProcess("v2", guarded("4111111111111111")), nil, map[string]string{"v2": "Shadow-Side-Effect: _OTHER"}},
		"discarded":      {discarding, nil, map[string]string{"v2": "Shadow-Side-Effect: http"}},
		"by the control": {shadow.InProcess("v2", guarded()), []shadow.Option{shadow.WithControl(shadow.InProcess("v1", guarded("http")))},
			map[string]string{"v1": "Shadow-Side-Effect: http"}},
		"not at all": {shadow.InProcess("v2", guarded()), nil, map[string]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			var told happenings
			m, err := shadow.New(c.target, append(c.opts, shadow.WithName("orders"), shadow.WithReporter(&told))...)
			require.NoError(t, err)
			r := httptest.NewRequest("GET", "/orders/7", nil)
			r.Header.Set("X-Request-Id", "id-1")
			m.Handler(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), r)
			require.NoError(t, m.Shutdown(t.Context()))

			got := map[string]string{}
			for _, e := range told.Events() {
				assert.Equal(t, shadow.EventSideEffect, e.Kind)
				assert.Equal(t, "orders", e.Mirror)
				assert.Equal(t, "id-1", e.ID)
				assert.Equal(t, "GET /orders/{}", e.Route)
				assert.False(t, e.Time.IsZero())
				_, said, _ := strings.Cut(e.Text, "its answer has ")
				got[e.Target] = said
			}
			assert.Equal(t, c.texts, got)
			assert.Len(t, told.Events(), len(c.texts))
		})
	}
}
