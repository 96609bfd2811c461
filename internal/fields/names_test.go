package fields_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow/internal/fields"
)

func TestNamesMatchInAnySpelling(t *testing.T) {
	n := fields.NewNames("authorization", "X-API-Key", "dpop", "A")
	for _, name := range []string{"Authorization", "AUTHORIZATION", "x-api-key", "X-Api-Key", "DPoP", "a"} {
		assert.True(t, n.Has(name), name)
	}
	for _, name := range []string{"", "Authorisation", "X-Api-Keys", "B", "X-Api_Key", "Authorizatio\u006e\u0301"} {
		assert.False(t, n.Has(name), name)
	}
	assert.False(t, fields.NewNames().Has(""))
}

// The filter never says no to what the map would say yes to.
func FuzzNamesAreThoseOfTheMap(f *testing.F) {
	f.Add("Authorization Cookie", "cookie")
	f.Add("X-A", "x_a")
	f.Add("\x00 \x20", "\x20")
	f.Fuzz(func(t *testing.T, names, name string) {
		list := strings.Fields(names)
		want := false
		for _, one := range list {
			want = want || http.CanonicalHeaderKey(one) == http.CanonicalHeaderKey(name)
		}
		require.Equal(t, want, fields.NewNames(list...).Has(name))
	})
}
