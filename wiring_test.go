package shadow_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
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

// A Mirror around middleware around the same Mirror copies and counts a request once, and says so
// once.
func TestAMirrorThatIsWrappedTwiceCopiesOnce(t *testing.T) {
	wrappers := map[string]func(http.Handler) http.Handler{
		"a mux": func(h http.Handler) http.Handler { mux := http.NewServeMux(); mux.Handle("/", h); return mux },
		"a writer that unwraps": func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(unwrapping{unwrapping{w}}, r) })
		},
		"a context of its own": func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), unwrapping{}, 1)))
			})
		},
		"another Mirror": func(h http.Handler) http.Handler {
			other, err := shadow.New(candidate())
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, other.Close()) })
			return other.Handler(h)
		},
	}
	for name, wrap := range wrappers {
		for timing, option := range map[string]shadow.Timing{"after": shadow.AfterPrimary, "parallel": shadow.Parallel} {
			t.Run(name+" "+timing, func(t *testing.T) {
				var log bytes.Buffer
				m, results := mirror(t, candidate(), shadow.WithTiming(option), shadow.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
				h := m.Handler(wrap(m.Handler(ok)))
				for range 3 {
					h.ServeHTTP(httptest.NewRecorder(), get())
				}
				require.NoError(t, m.Shutdown(t.Context()))
				assert.Equal(t, map[string]uint64{"match": 3}, ledger(t, m))
				assert.Len(t, results.All(), 3)
				assert.Equal(t, 1, strings.Count(log.String(), "passed this mirror twice"), log.String())
			})
		}
	}
	t.Run("Transport", func(t *testing.T) {
		var log bytes.Buffer
		m, _ := mirror(t, candidate(), shadow.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		around := m.Transport(roundTripper(m.Transport(shadow.HandlerTransport(text("ok"))).RoundTrip))
		for range 3 {
			resp, err := around.RoundTrip(get())
			require.NoError(t, err)
			_, err = io.Copy(io.Discard, resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
		}
		require.NoError(t, m.Shutdown(t.Context()))
		assert.EqualValues(t, 3, m.Stats().Requests)
		assert.Zero(t, m.Stats().QueuedBytes)
		assert.Equal(t, 1, strings.Count(log.String(), "passed this mirror twice"), log.String())
	})
	t.Run("no: two primaries, one after the other", func(t *testing.T) {
		var log bytes.Buffer
		m, _ := mirror(t, candidate(), shadow.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			m.Handler(ok).ServeHTTP(w, r)
			m.Handler(ok).ServeHTTP(w, r)
		})
		page.ServeHTTP(httptest.NewRecorder(), get())
		m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { // a part of the page, rendered apart
			m.Handler(ok).ServeHTTP(httptest.NewRecorder(), r)
		})).ServeHTTP(httptest.NewRecorder(), get())
		require.NoError(t, m.Shutdown(t.Context()))
		assert.EqualValues(t, 4, m.Stats().Requests)
		assert.Empty(t, log.String())
	})
}

// unwrapping is the ResponseWriter of a middleware, as chi's and others'.
type unwrapping struct{ http.ResponseWriter }

func (w unwrapping) Unwrap() http.ResponseWriter { return w.ResponseWriter }
