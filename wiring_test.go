package shadow_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

// Who drops the error of New hears of it when the program is wired, in a sentence, and not
// with each request.
func TestANilMirrorPanicsWhenItIsWired(t *testing.T) {
	m, err := shadow.New(shadow.Target{})
	require.Error(t, err)
	for method, call := range map[string]func(){
		"Handler":    func() { m.Handler(ok) },
		"Transport":  func() { m.Transport(nil) },
		"SetEnabled": func() { m.SetEnabled(true) },
		"Enabled":    func() { m.Enabled() },
		"Stats":      func() { m.Stats() },
		"Coverage":   func() { m.Coverage() },
		"Explain":    func() { m.Explain(get()) },
		"Check":      func() { m.Check(t.Context(), shadow.CheckOptions{}) },
		"Shutdown":   func() { m.Shutdown(t.Context()) },
		"Close":      func() { m.Close() },
	} {
		assert.PanicsWithValue(t, "shadow: Mirror."+method+": nil *Mirror: handle the error of New", call)
	}
}

func TestAMirrorThatIsWrappedTwiceAroundOnePrimaryPanicsWhenItIsWired(t *testing.T) {
	m, _ := mirror(t, candidate())
	other, _ := mirror(t, shadow.InProcess("v3", ok))
	assert.PanicsWithValue(t, "shadow: Mirror.Handler: this Mirror wraps the primary already: every request would be copied twice",
		func() { m.Handler(m.Handler(ok)) })
	assert.PanicsWithValue(t, "shadow: Mirror.Transport: this Mirror wraps the primary already: every request would be copied twice",
		func() { m.Transport(m.Transport(nil)) })

	h := other.Handler(m.Handler(ok)) // a mirror for each of two targets
	h.ServeHTTP(httptest.NewRecorder(), get())
	m.Handler(ok).ServeHTTP(httptest.NewRecorder(), get()) // many primaries
	assert.NotNil(t, other.Transport(m.Transport(http.DefaultTransport)))
	require.NoError(t, m.Shutdown(t.Context()))
	require.NoError(t, other.Shutdown(t.Context()))
	assert.Equal(t, map[string]uint64{"match": 2}, ledger(t, m))
	assert.Equal(t, map[string]uint64{"match": 1}, ledger(t, other))
}
