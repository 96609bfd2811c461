package shadow_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

// A shadow that refuses a copy whose credentials were left out is not at fault.
func TestARefusalForWantOfCredentialsSaysSo(t *testing.T) {
	guarded := func(status int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer x" {
				w.WriteHeader(status)
			}
		})
	}
	const note = "credentials were not forwarded: Authorization, Cookie; give the copy its own with SetHeader"
	for _, c := range []struct {
		name            string
		masker          shadow.Masker
		primary, shadow int
		want            string
	}{
		{"dropped", shadow.DropCredentials(), 401, 401, note},
		{"forbidden", shadow.DropCredentials(), 401, 403, note},
		{"masked", shadow.MaskHeaders("authorization", "Cookie"), 401, 401, note},
		{"another status", shadow.DropCredentials(), 401, 404, ""},
		{"its own", shadow.MaskAll(shadow.DropCredentials(), shadow.SetHeader("Authorization", "Bearer x")), 401, 401, ""},
		{"forwarded", nil, 401, 401, ""},
		{"one of them", shadow.MaskAll(shadow.MaskHeaders("Authorization")), 401, 401, "credentials were not forwarded: Authorization; give the copy its own with SetHeader"},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachWay(t, guarded(c.shadow), func(t *testing.T, target shadow.Target) {
				target.Masker = c.masker
				r := get()
				r.Header = http.Header{"Authorization": {"Bearer x"}, "Cookie": {"a=secret"}, "X-A": {"1"}}
				log := &logged{}
				res := exchange(t, guarded(c.primary), target, r, shadow.WithReporter(shadow.LogReporter(slog.New(slog.NewTextHandler(log, nil)))))
				assert.Equal(t, c.want, res.Note)
				assert.Equal(t, c.want != "", strings.Contains(log.String(), c.want) && c.want != "")
			})
		})
	}
	// Proxy-Authorization is not forwarded (RFC 9110 section 11.7.1), and without a mask none is at fault.
	eachWay(t, guarded(401), func(t *testing.T, target shadow.Target) {
		target.Masker = nil
		r := get()
		r.Header = http.Header{"Proxy-Authorization": {"Basic secret"}}
		primary := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
		res := exchange(t, primary, target, r)
		assert.Equal(t, 401, res.Shadow.StatusCode)
		assert.Empty(t, res.Note)
	})
	// Where the primary refuses as well there is nothing to explain.
	target := shadow.InProcess("v2", guarded(401))
	target.Masker = shadow.DropCredentials()
	r := get()
	r.Header.Set("Authorization", "Bearer y")
	assert.Empty(t, exchange(t, guarded(401), target, r).Note)
}

// A target that is where the requests were for gets them a second time, as the same user.
func TestCredentialsSentToThePrimarysHostAreNoticedOnce(t *testing.T) {
	for _, c := range []struct {
		name   string
		masker shadow.Masker
		header http.Header
		same   bool // as the host of the target
		told   int
	}{
		{"forwarded", nil, field("Authorization", "Bearer secret"), true, 1},
		{"with another Masker", shadow.MaskQuery("q"), field("Cookie", "a=secret"), true, 1},
		{"dropped", shadow.DropCredentials(), field("Authorization", "Bearer secret"), true, 0},
		{"its own", shadow.SetHeader("Authorization", "Bearer its own"), field("Authorization", "Bearer secret"), true, 0},
		{"none", nil, field("X-A", "1"), true, 0},
		{"another host", nil, field("Authorization", "Bearer secret"), false, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := httptest.NewServer(saidText("x"))
			defer srv.Close()
			target := shadow.Remote("v2", srv.URL)
			target.Masker = c.masker
			log, told := &logged{}, &happenings{}
			m, err := shadow.New(target, shadow.WithReporter(told), shadow.WithLogger(slog.New(slog.NewTextHandler(log, nil))))
			require.NoError(t, err)
			for range 3 {
				r := httptest.NewRequest("GET", "http://example.com/", nil)
				if c.same {
					r.Host = strings.ToUpper(strings.TrimPrefix(srv.URL, "http://"))
				}
				r.Header = c.header.Clone()
				m.Handler(saidText("x")).ServeHTTP(httptest.NewRecorder(), r)
			}
			require.NoError(t, m.Shutdown(t.Context()))
			require.Len(t, told.Events(), c.told)
			assert.Equal(t, c.told, strings.Count(log.String(), "is target"))
			if c.told > 0 {
				assert.Equal(t, shadow.EventCredentials, told.Events()[0].Kind)
				assert.Contains(t, told.Events()[0].Text, `their credentials (`)
				assert.Contains(t, told.Events()[0].Text, `is target "v2" the primary?`)
			}
			assert.NotRegexp(t, aSecret, log.String())
		})
	}
}

// A copy that the leak check stops was not sent: the one warning is kept for one that is.
func TestCredentialsOfACopyThatIsStoppedAreNotReported(t *testing.T) {
	srv := httptest.NewServer(saidText("x"))
	defer srv.Close()
	target := shadow.Remote("v2", srv.URL)
	target.Masker = shadow.MaskQuery("q")
	told := &happenings{}
	m, err := shadow.New(target, shadow.WithReporter(told),
		shadow.WithLeakCheck(shadow.LeakCheckOptions{Rate: 1, Kinds: []shadow.DetectorKind{shadow.DetectCard}}))
	require.NoError(t, err)
	defer m.Close()
	for _, c := range []struct {
		path string
		want shadow.EventKind
	}{{"/?card=4111111111111111", shadow.EventLeak}, {"/", shadow.EventCredentials}} {
		r := httptest.NewRequest("GET", c.path, nil)
		r.Host = strings.TrimPrefix(srv.URL, "http://")
		r.Header = field("Authorization", "Bearer secret")
		m.Handler(saidText("x")).ServeHTTP(httptest.NewRecorder(), r)
		require.NoError(t, m.Drain(t.Context()))
		require.NotEmpty(t, told.Events())
		assert.Equal(t, c.want, told.Events()[len(told.Events())-1].Kind)
	}
	assert.Len(t, told.Events(), 2)
}

// New says what it can see of a target that is sent more than it should be.
func TestNewAdvises(t *testing.T) {
	const all, bodies = "has no Masker", "is sent bodies as they came"
	remote := shadow.Remote("v2", "http://v2.example")
	bare, json, allowed := remote, remote, remote
	bare.Masker = nil
	json.Masker = shadow.MaskAll(shadow.DropCredentials(), shadow.MaskJSON("$.pin"))
	allowed.Masker = shadow.MaskAll(shadow.DropCredentials(), shadow.AllowBodies("*/*"))
	for _, c := range []struct {
		name   string
		target shadow.Target
		opts   []shadow.Option
		want   string
	}{
		{"the default", remote, nil, ""},
		{"with bodies", remote, []shadow.Option{shadow.WithMethods("GET", "POST")}, bodies},
		{"with a rule", json, []shadow.Option{shadow.WithMethods("PUT")}, ""},
		{"allowed", allowed, []shadow.Option{shadow.WithMethods("PATCH")}, ""},
		{"no Masker", bare, nil, all},
		{"in process", shadow.InProcess("v2", saidText("")), []shadow.Option{shadow.WithMethods("POST")}, ""},
		{"a control", shadow.InProcess("v2", saidText("")), []shadow.Option{shadow.WithControl(shadow.Target{Name: "v1", URL: bare.URL})}, all},
	} {
		t.Run(c.name, func(t *testing.T) {
			log := &logged{}
			m, err := shadow.New(isolated(c.target), append(c.opts, shadow.WithLogger(slog.New(slog.NewTextHandler(log, nil))))...)
			require.NoError(t, err)
			defer m.Close()
			if c.want == "" {
				assert.Empty(t, log.String())
			} else {
				assert.Contains(t, log.String(), c.want)
			}
		})
	}
}

// User information is in URLs wherever they are.
func TestUserInformationIsNowhere(t *testing.T) {
	const with = "https://ada:secret@h/p?u=https://ada:secret@i/&v=https%3A%2F%2Fada%3Asecret%40i"
	u, err := url.Parse(with + "#https%3A%2F%2Fada%3Asecret%40i")
	require.NoError(t, err)
	m := &shadow.Message{Method: "GET", URL: u, Header: http.Header{
		"Referer": {"x", with}, "Location": {"//secret@h/"}, "Link": {"<" + with + ">, <" + with + ">"}, "From": {"ada@example.org"},
	}, Trailer: field("X-Url", with)}
	values := m.Header["Referer"]
	require.NoError(t, shadow.DropCredentials().Mask(m))
	const without = "https://h/p?u=https://i/&v=https%3A%2F%2Fi"
	assert.Equal(t, without+"#https%3A%2F%2Fi", m.URL.String())
	assert.Equal(t, http.Header{"Referer": {"x", without}, "Location": {"//h/"}, "Link": {"<" + without + ">, <" + without + ">"}, "From": {"ada@example.org"}}, m.Header)
	assert.Equal(t, field("X-Url", without), m.Trailer)
	assert.Equal(t, with, values[1], "values may be shared with another message")
}

// The stack that is logged of a panic has no arguments in it.
func TestAPanicIsLoggedWithoutArguments(t *testing.T) {
	log := &logged{}
	exchange(t, saidText("x"), shadow.InProcess("v2", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "x") })), get(),
		shadow.WithLogger(slog.New(slog.NewTextHandler(log, nil))),
		shadow.WithComparator(shadow.ComparatorFunc(func(*shadow.Exchange) []shadow.Diff { return panics("secret", 4111111111111111) })))
	assert.Contains(t, log.String(), "shadow_test.panics")
	assert.NotRegexp(t, `0x[0-9a-f]+|secret`, log.String())
}

//go:noinline
func panics(text string, number int64) []shadow.Diff { panic([]any{text, number}) }

// The list is searched in halves.
func TestEveryCredentialIsFound(t *testing.T) {
	for _, name := range credentialFields {
		m := &shadow.Message{Header: http.Header{name: {"secret"}, strings.ToUpper(name): {"secret"}}}
		require.NoError(t, shadow.DropCredentials().Mask(m))
		assert.Empty(t, m.Header, name)
		if name == "Set-Cookie" || name == "Proxy-Authorization" { // not of a request, hop-by-hop
			continue
		}
		target := shadow.InProcess("v2", said{status: 401})
		target.Masker = shadow.DropCredentials()
		r := get()
		r.Header.Set(name, "secret")
		assert.Contains(t, exchange(t, saidText("x"), target, r).Note, name)
	}
}
