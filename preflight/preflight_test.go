package preflight_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/internal/mirrortest"
	"github.com/goshadow/shadow/middleware"
	"github.com/goshadow/shadow/preflight"
)

// knowing is a service on the network that knows copies and answers with the ID it was
// given. Change is what is wrong with it.
func knowing(t testing.TB, change func(w http.ResponseWriter, r *http.Request)) string {
	everybody := func(*http.Request) bool { return true }
	server := httptest.NewServer(middleware.Detect(everybody)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Request-Id", r.Header.Get("X-Request-Id"))
		if change != nil {
			change(w, r)
		}
	})))
	t.Cleanup(server.Close)
	return server.URL
}

// set sets, or removes, a field of the answer.
func set(name string, values ...string) func(w http.ResponseWriter, r *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) { w.Header()[name] = values }
}

// reaching is a client of the user's that sends all requests to base.
func reaching(t *testing.T, base string) http.RoundTripper {
	to, err := url.Parse(base)
	require.NoError(t, err)
	client := &http.Transport{DisableKeepAlives: true}
	return mirrortest.RoundTripper(func(r *http.Request) (*http.Response, error) {
		out := r.Clone(r.Context())
		out.URL.Scheme, out.URL.Host = to.Scheme, to.Host
		return client.RoundTrip(out)
	})
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCheckFindsWhatIsRightAndWhatIsNot(t *testing.T) {
	type statuses map[string]preflight.Status
	const pass, fail, unknown = preflight.Pass, preflight.Fail, preflight.Unknown
	remote := func(change func(w http.ResponseWriter, r *http.Request)) func(t *testing.T) shadow.Target {
		return func(t *testing.T) shadow.Target { return shadow.Remote("v2", knowing(t, change)) }
	}
	masked := func(masker shadow.Masker) func(t *testing.T) shadow.Target {
		return func(t *testing.T) shadow.Target {
			target := shadow.Remote("v2", knowing(t, nil))
			target.Masker = masker
			return target
		}
	}
	rate := shadow.WithSampler(shadow.Rate(0.01))
	all := new(shadow.RateVar)
	all.Set(1)
	for _, c := range []struct {
		name    string
		target  func(t *testing.T) shadow.Target
		options []shadow.Option
		want    statuses // that are no pass
		fix     string   // part of one of them
	}{
		{name: "all is well", target: remote(nil), options: []shadow.Option{rate}},
		{name: "in process", target: func(*testing.T) shadow.Target { return shadow.InProcess("v2", mirrortest.Fine) }, options: []shadow.Option{rate}},
		{name: "nobody there", target: func(*testing.T) shadow.Target { return shadow.Remote("v2", "http://127.0.0.1:1") }, options: []shadow.Option{rate},
			want: statuses{"reachable": fail, "loop": unknown, "correlation": unknown, "mark": unknown, "clocks": unknown}, fix: "See that it runs"},
		{name: "it fails", target: remote(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }), options: []shadow.Option{rate},
			want: statuses{"reachable": fail}, fix: "See its log"},
		{name: "it wants credentials", target: remote(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }), options: []shadow.Option{rate}},
		{name: "it hangs up", target: remote(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), options: []shadow.Option{rate},
			want: statuses{"reachable": fail, "loop": unknown, "correlation": unknown, "mark": unknown, "clocks": unknown}},
		{name: "it panics in process", options: []shadow.Option{rate},
			target: func(*testing.T) shadow.Target {
				return shadow.InProcess("v2", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("v2") }))
			},
			want: statuses{"reachable": fail, "loop": unknown, "correlation": unknown, "mark": unknown, "clocks": unknown}},

		{name: "it makes an ID of its own", target: remote(set("X-Request-Id", "7")), options: []shadow.Option{rate},
			want: statuses{"correlation": fail}, fix: "keep an ID that is there"},
		{name: "it says no ID", target: remote(set("X-Request-Id")), options: []shadow.Option{rate},
			want: statuses{"correlation": unknown}, fix: "look for "},
		{name: "another header", target: remote(func(w http.ResponseWriter, r *http.Request) { w.Header().Set("X-Trace", r.Header.Get("X-Trace")) }),
			options: []shadow.Option{rate, shadow.WithRequestID("X-Trace")}},
		{name: "no ID at all", target: remote(nil), options: []shadow.Option{rate, shadow.WithRequestID("")},
			want: statuses{"correlation": fail}, fix: "Leave WithRequestID out"},
		{name: "a mask takes the ID", target: masked(shadow.MaskAll(shadow.DropCredentials(), shadow.MaskHeaders("X-Request-Id"))), options: []shadow.Option{rate},
			want: statuses{"correlation": fail}, fix: "Have the Masker leave it"},

		{name: "a cache", target: remote(set("Shadow-Check", "of somebody else")), options: []shadow.Option{rate},
			want: statuses{"mark": fail}, fix: "let nothing cache"},
		{name: "it does not detect", target: remote(set("Shadow-Check")), options: []shadow.Option{rate},
			want: statuses{"mark": unknown}, fix: "Wrap the target in middleware.Detect"},

		{name: "no mask", target: masked(nil), options: []shadow.Option{rate}, want: statuses{"masking": fail}, fix: "DropCredentials"},
		{name: "a mask of something else", target: masked(shadow.MaskQuery("q")), options: []shadow.Option{rate}, want: statuses{"masking": fail}, fix: "SetHeader"},
		{name: "half a mask", target: masked(shadow.MaskHeaders("Authorization")), options: []shadow.Option{rate}, want: statuses{"masking": fail}},
		{name: "credentials of its own", target: masked(shadow.MaskAll(shadow.DropCredentials(), shadow.SetHeader("Authorization", "Bearer x"))), options: []shadow.Option{rate}},
		{name: "a mask that fails", target: masked(shadow.MaskerFunc(func(*shadow.Message) error { return errors.New("no") })), options: []shadow.Option{rate},
			want: statuses{"reachable": fail, "loop": unknown, "correlation": unknown, "mark": unknown, "masking": fail, "clocks": unknown}, fix: "correct the Masker"},
		{name: "a mask that panics", target: masked(shadow.MaskerFunc(func(*shadow.Message) error { panic("no") })), options: []shadow.Option{rate},
			want: statuses{"reachable": fail, "loop": unknown, "correlation": unknown, "mark": unknown, "masking": fail, "clocks": unknown}},
		{name: "a control without a mask", target: remote(nil),
			options: []shadow.Option{rate, shadow.WithControl(shadow.Target{Name: "v1", URL: "http://127.0.0.1:1"})},
			want:    statuses{"masking": fail}},
		{name: "a transport of its own", options: []shadow.Option{rate},
			target: func(t *testing.T) shadow.Target {
				return shadow.Target{Name: "v2", Transport: reaching(t, knowing(t, nil))}
			},
			want: statuses{"masking": unknown}, fix: "If it leaves the process"},

		{name: "everything is copied", target: remote(nil), want: statuses{"limits": fail}, fix: "Rate(0.01)"},
		{name: "rate 1", target: remote(nil), options: []shadow.Option{shadow.WithSampler(shadow.Rate(1))}, want: statuses{"limits": fail}},
		{name: "rate variable 1", target: remote(nil), options: []shadow.Option{shadow.WithSampler(all)}, want: statuses{"limits": fail}},
		{name: "everything, with a budget", target: remote(nil), options: []shadow.Option{shadow.WithBudget(shadow.Budget{Window: time.Hour, Requests: 1000})}},
		{name: "no breaker", target: remote(nil), options: []shadow.Option{rate, shadow.WithBreaker(shadow.BreakerOptions{Off: true})}, want: statuses{"limits": fail}, fix: "Leave them on"},
		{name: "no load shedding", target: remote(nil), options: []shadow.Option{rate, shadow.WithLoadShedding(shadow.LoadSheddingOptions{Off: true})}, want: statuses{"limits": fail}},
		{name: "no overhead", target: remote(nil), options: []shadow.Option{rate, shadow.WithOverhead(shadow.OverheadOptions{Off: true})}, want: statuses{"limits": fail}},

		{name: "a clock that is late", options: []shadow.Option{rate}, want: statuses{"clocks": fail}, fix: "Synchronise both",
			target: remote(set("Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)))},
		{name: "a clock that is early", options: []shadow.Option{rate}, want: statuses{"clocks": fail},
			target: remote(set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)))},
		{name: "no clock", target: remote(set("Date")), options: []shadow.Option{rate}, want: statuses{"clocks": unknown}, fix: "by hand"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := shadow.New(c.target(t), c.options...)
			require.NoError(t, err)
			defer m.Close()
			report, err := preflight.Check(t.Context(), m, preflight.Options{})
			require.NoError(t, err)
			got := statuses{}
			worst := pass
			var names []string
			for _, i := range report.Items {
				names = append(names, i.Name)
				assert.NotEmpty(t, i.Text, i.Name)
				assert.Equal(t, i.Status == pass, i.Fix == "", "%s: %s", i.Name, i.Fix)
				if i.Status != pass {
					got[i.Name] = i.Status
				}
				if i.Status == fail || worst == pass {
					worst = i.Status
				}
			}
			if c.want == nil {
				c.want = statuses{}
			}
			assert.Equal(t, c.want, got, report)
			assert.Equal(t, worst, report.Status())
			assert.Contains(t, report.String(), c.fix)
			assert.Equal(t, []string{"reachable", "loop", "correlation", "mark", "writes", "masking", "limits", "clocks"}, names)
			assert.Zero(t, m.Stats().Requests, "it is no request")
		})
	}
}

func TestTheProbeOfCheckIsMarkedMaskedAndNoCopyOfTraffic(t *testing.T) {
	var got *http.Request
	var shadowed, deadline bool
	var value any
	type key struct{}
	h := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got, shadowed, value = r, shadow.IsShadow(r.Context()), r.Context().Value(key{})
		_, deadline = r.Context().Deadline()
	})
	target := shadow.InProcess("v2", h)
	target.Masker = shadow.SetHeader("Authorization", "Bearer of the shadow")
	m, told := mirrortest.New(t, target)
	m.SetEnabled(false) // which is when one checks
	ctx := context.WithValue(t.Context(), key{}, "of the caller")
	report, err := preflight.Check(ctx, m, preflight.Options{Method: "GET", Path: "/health?deep=1", Host: "orders.example"})
	require.NoError(t, err)

	assert.Equal(t, "GET /health?deep=1 orders.example", got.Method+" "+got.URL.RequestURI()+" "+got.Host)
	id := got.Header.Get("Shadow-Request")
	assert.Len(t, got.Header["Shadow-Mirror"], 1)
	delete(got.Header, "Shadow-Mirror")
	assert.Equal(t, http.Header{"Shadow-Request": {id}, "Shadow-Check": {id}, "X-Request-Id": {id}, "Baggage": {"shadow=true"}, "Authorization": {"Bearer of the shadow"}}, got.Header)
	assert.True(t, shadowed)
	assert.True(t, deadline)
	assert.Nil(t, value, "a shadow gets nothing of whoever asks")
	assert.Empty(t, told.All())
	assert.Equal(t, preflight.Pass, report.Items[0].Status)
}

func TestCheckEndsWithItsContextAndTheTimeout(t *testing.T) {
	hangs := make(chan struct{})
	target := shadow.Remote("v2", knowing(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hangs:
		case <-r.Context().Done():
		}
	}))
	defer close(hangs)
	m, _ := mirrortest.New(t, target)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	report, err := preflight.Check(ctx, m, preflight.Options{})
	require.NoError(t, err)
	assert.Equal(t, preflight.Unknown, report.Items[0].Status, report)
	assert.Contains(t, report.Items[0].Text, "had not answered")

	target.Timeout = time.Millisecond
	m, _ = mirrortest.New(t, target)
	report, err = preflight.Check(t.Context(), m, preflight.Options{})
	require.NoError(t, err)
	assert.Equal(t, preflight.Fail, report.Items[0].Status, report)
	assert.Equal(t, shadow.ErrTimeout.Error(), report.Items[0].Text)
}

func TestCheckRefusesWhatIsNoProbe(t *testing.T) {
	var asked atomic.Int64
	m, _ := mirrortest.New(t, shadow.InProcess("v2", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) })))
	for _, o := range []preflight.Options{{Method: "POST"}, {Path: "health"}, {Path: "http://elsewhere/"}, {Path: "//%zz"}} {
		_, err := preflight.Check(t.Context(), m, o)
		assert.Error(t, err, "%+v", o)
	}
	_, err := preflight.Check(t.Context(), m, preflight.Options{Method: "DELETE", Path: "orders"})
	assert.EqualError(t, err, "shadow: Check: method \"DELETE\": a probe is HEAD or GET\nshadow: Check: path \"orders\": it must begin with a slash")
	assert.Zero(t, asked.Load())
}

// A nil Mirror is one of whose New nobody looked at the error.
func TestCheckOfANilMirrorPanics(t *testing.T) {
	assert.PanicsWithValue(t, "shadow: preflight.Check: nil *Mirror: handle the error of New",
		func() { preflight.Check(t.Context(), nil, preflight.Options{}) })
}

// What the target answers is nobody's business: it may be a page of errors with anything in it.
func TestACheckReportHoldsNothingOfTheAnswer(t *testing.T) {
	target := shadow.Remote("v2", knowing(t, func(w http.ResponseWriter, _ *http.Request) {
		for _, name := range []string{"X-Request-Id", "Shadow-Check", "Date", "X-Other"} {
			w.Header().Set(name, "hush")
		}
		w.WriteHeader(500)
		io.WriteString(w, "hush")
	}))
	m, _ := mirrortest.New(t, target)
	report, err := preflight.Check(t.Context(), m, preflight.Options{Method: "GET"})
	require.NoError(t, err)
	whole, err := json.Marshal(report)
	require.NoError(t, err)
	assert.NotContains(t, string(whole)+report.String(), "hush")
	assert.Equal(t, 9, len(strings.Split(report.String(), "\n")))
}
