package shadow_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/internal/handle"
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
		"Inspect":    func() { m.Inspect(handle.Preflight{}) },
		"Drain":      func() { m.Drain(t.Context()) },
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

// Whatever the Mirror runs on the goroutine of a request is part of its overhead.
func TestOverheadHasTheSamplerAndTheRouteInIt(t *testing.T) {
	const long = 3 * time.Millisecond
	slow := shadow.SamplerFunc(func(*http.Request) bool { time.Sleep(long); return true })
	for name, option := range map[string]shadow.Option{
		"Sampler":        shadow.WithSampler(slow),
		"deep in others": shadow.WithSampler(shadow.All(shadow.Rate(1), slow)),
		"ByKey":          shadow.WithSampler(shadow.ByKey(1, func(*http.Request) string { time.Sleep(long); return "7" })),
		"WithRoute":      shadow.WithRoute(func(*http.Request) string { time.Sleep(long); return "x" }),
	} {
		for kind, ask := range map[string]func(m *shadow.Mirror){
			"Handler": func(m *shadow.Mirror) { m.Handler(ok).ServeHTTP(httptest.NewRecorder(), get()) },
			"Transport": func(m *shadow.Mirror) {
				resp, err := m.Transport(roundTripper(func(*http.Request) (*http.Response, error) {
					return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
				})).RoundTrip(get())
				if assert.NoError(t, err) {
					resp.Body.Close()
				}
			},
		} {
			synctest.Test(t, func(t *testing.T) {
				m, err := shadow.New(candidate(), option, calm)
				require.NoError(t, err)
				ask(m)
				require.NoError(t, m.Shutdown(t.Context()))
				o := m.Stats().Overhead
				assert.Equal(t, uint64(1), o.Requests)
				assert.GreaterOrEqual(t, o.P50, long, "%s of a %s", name, kind)
			})
		}
	}
	synctest.Test(t, func(t *testing.T) { // and what is not the Mirror's is not
		m, err := shadow.New(candidate(), calm)
		require.NoError(t, err)
		m.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(long) })).ServeHTTP(httptest.NewRecorder(), get())
		require.NoError(t, m.Shutdown(t.Context()))
		assert.Less(t, m.Stats().Overhead.P50, long)
	})
}
