package shadow_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/middleware"
	"github.com/goshadow/shadow/preflight"
)

// toItself returns a service whose Mirror copies to that service, and what it tells.
func toItself(t *testing.T, around func(http.Handler) http.Handler, opts ...shadow.Option) (url string, asked *atomic.Int64, m *shadow.Mirror, events *happenings) {
	asked, events = &atomic.Int64{}, &happenings{}
	var mirrored http.Handler
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { mirrored.ServeHTTP(w, r) }))
	t.Cleanup(srv.Close)
	m, _ = mirror(t, shadow.Remote("v2", srv.URL), append(opts, shadow.WithReporter(events))...)
	mirrored = around(m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		text("ok")(w, r)
	})))
	return srv.URL, asked, m, events
}

func bare(h http.Handler) http.Handler { return h }

// A candidate that is the primary itself is found, wherever the marks of its copies go, and
// told once.
func TestAMirrorKnowsItsOwnCopies(t *testing.T) {
	for name, around := range map[string]func(http.Handler) http.Handler{
		"bare":                       bare,
		"behind Detect that trusts":  middleware.Detect(middleware.FromNetworks(netip.MustParsePrefix("127.0.0.0/8"))),
		"behind Detect without peer": middleware.Detect(nil),
		"behind what removes marks": func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.Header.Del("Shadow-Request")
				r.Header.Del("Baggage")
				h.ServeHTTP(w, r)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			url, asked, m, events := toItself(t, around)
			const n = 50
			for range n {
				resp, err := http.Get(url)
				require.NoError(t, err)
				resp.Body.Close()
			}
			require.NoError(t, m.Shutdown(t.Context()))
			assert.Equal(t, []shadow.EventKind{shadow.EventLoop}, events.Kinds())
			assert.EqualValues(t, n, m.Stats().Loops)
			assert.Equal(t, map[string]uint64{match: n, "loop": n}, ledger(t, m))
			assert.EqualValues(t, 2*n, asked.Load(), "a copy is not copied again")
		})
	}
}

func TestAMirrorThatIsNotAskedForItsOwnCopiesSaysNothing(t *testing.T) {
	// Marked by another mirror, of the same name and to the same target, and by strangers.
	url, _, m, events := toItself(t, bare, shadow.WithSampler(shadow.When(func(r *http.Request) bool { return r.URL.Path == "/" })))
	other, _ := mirror(t, shadow.Remote("v2", url))
	getFrom(other.Handler(text("ok")), "/from-another")
	require.NoError(t, other.Shutdown(t.Context()))
	for _, header := range []http.Header{{"Shadow-Request": {"1"}}, {"Shadow-Mirror": {""}}, {"Shadow-Mirror": {"guessed"}}} {
		r, err := http.NewRequest("GET", url+"/other", nil)
		require.NoError(t, err)
		r.Header = header
		resp, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		resp.Body.Close()
	}
	require.NoError(t, m.Shutdown(t.Context()))
	assert.Empty(t, events.Kinds())
	assert.Zero(t, m.Stats().Loops)
}

// A control may be the mirrored service: its copies are not copied again, which is all.
func TestAControlMayBeTheMirroredService(t *testing.T) {
	events := &happenings{}
	var mirrored http.Handler
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { mirrored.ServeHTTP(w, r) }))
	t.Cleanup(srv.Close)
	m, _ := mirror(t, shadow.InProcess("v2", text("ok")), shadow.WithControl(shadow.Remote("v1", srv.URL)), shadow.WithReporter(events))
	mirrored = middleware.Detect(nil)(m.Handler(text("ok")))
	resp, err := http.Get(srv.URL)
	require.NoError(t, err)
	resp.Body.Close()
	require.NoError(t, m.Shutdown(t.Context()))
	assert.Empty(t, events.Kinds())
	assert.Equal(t, map[string]uint64{match: 1, "loop": 1}, ledger(t, m))
}

// An in-process candidate that hands a copy to its own mirror is one too.
func TestAnInProcessCandidateMayBeThePrimaryByAccident(t *testing.T) {
	events := &happenings{}
	mux := http.NewServeMux()
	m, _ := mirror(t, shadow.InProcess("v2", mux), shadow.WithReporter(events))
	mux.Handle("/", m.Handler(text("ok")))
	getFrom(mux, "/")
	require.NoError(t, m.Shutdown(t.Context()))
	assert.Equal(t, []shadow.EventKind{shadow.EventLoop}, events.Kinds())
}

// The event is repeated while it happens, once a minute.
func TestALoopIsToldOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := &happenings{}
		mux := http.NewServeMux()
		m, _ := mirror(t, shadow.InProcess("v2", mux), shadow.WithReporter(events))
		mux.Handle("/", m.Handler(text("ok")))
		for range 180 {
			getFrom(mux, "/")
			time.Sleep(time.Second)
		}
		require.NoError(t, m.Shutdown(t.Context()))
		assert.Len(t, events.Kinds(), 3)
	})
}

func TestCheckFindsALoop(t *testing.T) {
	for name, enabled := range map[string]bool{"on": true, "off": false} {
		t.Run(name, func(t *testing.T) {
			_, _, m, _ := toItself(t, bare)
			m.SetEnabled(enabled)
			report, err := preflight.Check(t.Context(), m, preflight.Options{})
			require.NoError(t, err)
			assert.Equal(t, preflight.Fail, report.Status())
			assert.Equal(t, "loop", report.Items[1].Name)
			assert.Equal(t, preflight.Fail, report.Items[1].Status)
		})
	}
}

func TestExplainKnowsACopyOfTheMirrorItself(t *testing.T) {
	var got *http.Request
	m, _ := mirror(t, shadow.InProcess("v2", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got = httptest.NewRequest("GET", "/", nil)
		got.Header.Set("Shadow-Mirror", r.Header.Get("Shadow-Mirror"))
	})))
	getFrom(m.Handler(text("")), "/")
	require.NoError(t, m.Shutdown(t.Context()))
	e := m.Explain(got)
	assert.Equal(t, "return", e.Steps[0].Name)
	assert.Equal(t, shadow.ReasonLoop, e.Reason)
	assert.True(t, strings.HasPrefix(e.String(), "not copied: loop"), e)
}
