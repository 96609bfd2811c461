package shadow_test

import (
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

// A function of the user that ends its goroutine, as t.FailNow does, does not take the
// client's answer with it.
func TestGoexitLosesNoAnswer(t *testing.T) {
	exit := func(*http.Request) bool { runtime.Goexit(); return true }
	key := func(*http.Request) string { runtime.Goexit(); return "" }
	failed := func(s shadow.Stats) uint64 { return s.Skipped[shadow.ReasonSamplerFailed] }
	copied := func(s shadow.Stats) uint64 { return s.Match }
	for name, c := range map[string]struct {
		option shadow.Option
		want   func(shadow.Stats) uint64
	}{
		"SamplerFunc": {shadow.WithSampler(shadow.SamplerFunc(exit)), failed},
		"When":        {shadow.WithSampler(shadow.When(exit)), failed},
		"ByKey":       {shadow.WithSampler(shadow.ByKey(1, key)), failed},
		"All":         {shadow.WithSampler(shadow.All(shadow.Rate(1), shadow.When(exit))), failed},
		"ByRoute":     {shadow.WithSampler(shadow.ByRoute(map[string]shadow.Sampler{"/": shadow.When(exit)}, nil)), failed},
		"WithRoute":   {shadow.WithRoute(key), copied},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := shadow.New(shadow.InProcess("v2", text("ok")), c.option)
			require.NoError(t, err)
			s := httptest.NewServer(m.Handler(text("ok")))
			defer s.Close()
			resp, err := s.Client().Get(s.URL)
			require.NoError(t, err)
			see(t, resp)
			require.NoError(t, m.Shutdown(t.Context()))
			assert.EqualValues(t, 1, c.want(m.Stats()), "%+v", m.Stats())
		})
	}
}
