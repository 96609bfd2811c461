package shadow_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

// A panic with nil, which GODEBUG=panicnil=1 allows, is a panic: what did not return has
// not succeeded.
func TestAPanicWithNilIsAPanic(t *testing.T) {
	t.Setenv("GODEBUG", "panicnil=1")
	throw := func() { panic(nil) } //nolint:govet // it is what is tested
	func() {
		defer func() { require.Nil(t, recover(), "the setting has no effect: the test would prove nothing") }()
		throw()
	}()
	masked := shadow.InProcess("v2", text("ok"))
	masked.Masker = shadow.MaskerFunc(func(*shadow.Message) error { throw(); return nil })
	outside := shadow.Target{Name: "v2", Transport: roundTripper(func(*http.Request) (*http.Response, error) { throw(); return nil, nil })}
	for name, c := range map[string]struct {
		target  shadow.Target
		options []shadow.Option
		want    func(s shadow.Stats) uint64
	}{
		"Sampler": {shadow.InProcess("v2", text("ok")), []shadow.Option{shadow.WithSampler(shadow.SamplerFunc(func(*http.Request) bool { throw(); return true }))},
			func(s shadow.Stats) uint64 { return s.Skipped[shadow.ReasonSamplerFailed] }},
		"Masker": {masked, nil, func(s shadow.Stats) uint64 { return s.Dropped[shadow.ReasonMaskFailed] }},
		"Handler": {shadow.InProcess("v2", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { throw() })), nil,
			func(s shadow.Stats) uint64 { return s.Failed }},
		"Transport": {outside, nil, func(s shadow.Stats) uint64 { return s.Failed }},
		"Comparator": {shadow.InProcess("v2", text("ok")), []shadow.Option{shadow.WithComparator(shadow.ComparatorFunc(func(*shadow.Exchange) []shadow.Diff { throw(); return nil }))},
			func(s shadow.Stats) uint64 { return s.Uncompared }},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := shadow.New(c.target, c.options...)
			require.NoError(t, err)
			w := httptest.NewRecorder()
			m.Handler(text("ok")).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
			assert.Equal(t, "ok", w.Body.String())
			require.NoError(t, m.Shutdown(t.Context()))
			assert.EqualValues(t, 1, c.want(m.Stats()), "%+v", m.Stats())
		})
	}
}
