package shadow_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

// watched sends r to a remote candidate behind a leak check.
func watched(t *testing.T, o shadow.LeakCheckOptions, masker shadow.Masker, r *http.Request, opts ...shadow.Option) (*wire, *happenings, *shadow.Mirror) {
	t.Helper()
	seen, page := &wire{}, &happenings{}
	target := remoteTo(t, seen)
	target.Masker = masker
	m, err := shadow.New(isolated(target), append(opts, allMethods, shadow.WithLeakCheck(o), shadow.WithReporter(page))...)
	require.NoError(t, err)
	w := httptest.NewRecorder()
	m.Handler(reading).ServeHTTP(w, r)
	assert.Equal(t, `{}`, w.Body.String(), "the primary is untouched")
	require.NoError(t, m.Shutdown(t.Context()))
	require.Zero(t, m.Stats().QueuedBytes)
	return seen, page, m
}

var everyCopy = shadow.LeakCheckOptions{Rate: 1}

func TestTheLeakCheckStopsWhatAMaskHasMissed(t *testing.T) {
	with := func(name string, values ...string) *http.Request {
		r := get()
		r.Header[name] = values
		return r
	}
	for name, c := range map[string]struct {
		r    *http.Request
		want string // kind and place; empty: it is sent
	}{
		"ordinary":           {r: post("application/json", "", `{"id":7,"at":"2024-05-06T07:08:09Z"}`)},
		"header":             {with("X-Contact", "none", "ann@example.com"), "email at /header/X-Contact"},
		"path":               {httptest.NewRequest("GET", "/u/ann%40example.com", nil), "email at /path"},
		"query":              {httptest.NewRequest("GET", "/?a=1&to=ann%40example.com&b=2", nil), "email at /query/to"},
		"name in a query":    {httptest.NewRequest("GET", "/?ann%40example.com=1", nil), "email at /query"},
		"no name in a query": {httptest.NewRequest("GET", "/?ann%40example.com", nil), "email at /query"},
		"JSON":               {post("application/json", "", `{"user":{"a/b":[1,"ann@example.com"]}}`), "email at /body/user/a~1b/1"},
		"number":             {post("application/json", "", `[{"pan":4111111111111111}]`), "card at /body/0/pan"},
		"scalar":             {post("application/json", "", `"ann@example.com"`), "email at /body"},
		"member name":        {post("application/json", "", `{"a":{"x":1,"ann@example.com":{"b":2}}}`), "email at /body/a"},
		"below such a name":  {post("application/json", "", `{"x@y.example":{"b":"ann@example.com"}}`), "email at /body"},
		"records":            {post("application/x-ndjson", "", "{\"a\":1}\n\n{\"a\":\"ann@example.com\"}\n"), "email at /body/1/a"},
		"untyped JSON":       {post("", "", `{"a":"ann@example.com"}`), "email at /body/a"},
		"broken JSON":        {post("application/json", "", `{"a":"ann@example.com"`), "email at /body"},
		"form":               {post("application/x-www-form-urlencoded", "", "a=1&mail=ann%40example.com"), "email at /body/mail"},
		"text":               {post("text/plain", "", "see ann@example.com"), "email at /body"},
		"bytes":              {post("application/grpc", "", "\x00\x00\x00\x00\x11\x0a\x0fann@example.com"), "email at /body"},
		"image":              {post("image/png", "", "\x89PNG ann@example.com"), ""},
		"coded":              {post("application/json", "gzip", encode(t, `{"a":"ann@example.com"}`, "gzip")), "email at /body/a"},
		"deep":               {post("application/json", "", strings.Repeat(`{"a":`, 100)+`"ann@example.com"`+strings.Repeat("}", 100)), "email at /body" + strings.Repeat("/a", 32)},
		"long name":          {post("application/json", "", `{"`+strings.Repeat("s", 65)+`":"ann@example.com"}`), "email at /body/[masked]"},
		"user information":   {httptest.NewRequest("GET", "http://ann%40example.com:x@h/", nil), ""}, // DropCredentials has taken it
		"dropped":            {with("Authorization", "Bearer mF_9.B5f-4.1JqM"), ""},
		"of two the first":   {post("application/json", "", `{"a":4111111111111111,"b":"ann@example.com"}`), "card at /body/a"},
	} {
		t.Run(name, func(t *testing.T) {
			log := &logged{}
			seen, page, m := watched(t, everyCopy, shadow.DropCredentials(), c.r, shadow.WithLogger(slog.New(slog.NewTextHandler(log, nil))))
			if c.want == "" {
				assert.Len(t, seen.got, 1)
				assert.Empty(t, page.Events())
				assert.Equal(t, map[string]uint64{"match": 1}, ledger(t, m))
				return
			}
			assert.Empty(t, seen.got, "it was sent")
			assert.Empty(t, page.All())
			assert.Equal(t, map[string]uint64{"leak": 1}, ledger(t, m))
			assert.EqualValues(t, 1, m.Stats().Dropped[shadow.ReasonLeak])
			assert.Equal(t, []string{"a copy that was masked still holds what looks like " + c.want + ": it was stopped"}, page.Texts())
			e := page.Events()[0]
			assert.Equal(t, shadow.EventLeak, e.Kind)
			assert.Equal(t, "candidate", e.Target)
			assert.NotEmpty(t, e.ID)
			assert.NotEmpty(t, e.Route)
			for _, secret := range []string{"ann@", "ann%40", "4111111111111111", "x@y"} {
				assert.NotContains(t, fmt.Sprintf("%+v", e)+log.String(), secret)
			}
			assert.Contains(t, log.String(), "leak")
			assert.True(t, m.Stats().Requests == 1)
		})
	}
}

// What a mask gives to the copy is not what the request brought.
func TestTheCopysOwnCredentialsAreNoLeak(t *testing.T) {
	r := get()
	r.Header.Set("Authorization", "Bearer mF_9.B5f-4.1JqM")
	own := shadow.MaskAll(shadow.SetHeader("Authorization", "Bearer 9.B5f-4.1JqMmF_"), shadow.SetHeader("X-Staging-Key", "AKIAIOSFODNN7EXAMPLE"))
	seen, page, m := watched(t, everyCopy, own, r.Clone(t.Context()))
	require.Len(t, seen.got, 1)
	assert.Equal(t, "AKIAIOSFODNN7EXAMPLE", seen.got[0].Header.Get("X-Staging-Key"))
	assert.Empty(t, page.Events())
	assert.Equal(t, map[string]uint64{"match": 1}, ledger(t, m))

	seen, page, m = watched(t, everyCopy, nil, r)
	assert.Empty(t, seen.got, "the request's own")
	require.Len(t, page.Events(), 1)
	assert.Contains(t, page.Events()[0].Text, "bearer at /header/Authorization")
	assert.Equal(t, map[string]uint64{"leak": 1}, ledger(t, m))
}

func TestTheLeakCheckLooksForItsKindsOnly(t *testing.T) {
	o := shadow.LeakCheckOptions{Rate: 1, Kinds: []shadow.DetectorKind{shadow.DetectCard}}
	_, page, m := watched(t, o, shadow.DropCredentials(), post("text/plain", "", "ann@example.com"))
	assert.Empty(t, page.Events())
	assert.Equal(t, map[string]uint64{"match": 1}, ledger(t, m))
	_, page, m = watched(t, o, shadow.DropCredentials(), post("text/plain", "", "ann@example.com 4111111111111111"))
	assert.Len(t, page.Events(), 1)
	assert.Equal(t, map[string]uint64{"leak": 1}, ledger(t, m))
}

func TestALeakCheckBehindWholeMasksIsSilent(t *testing.T) {
	seen, page, m := watched(t, everyCopy, shadow.MaskDetected(), post("application/json", "", `{"a":"ann@example.com","b":4111111111111111}`))
	assert.Len(t, seen.got, 1)
	assert.Empty(t, page.Events())
	assert.Equal(t, map[string]uint64{"match": 1}, ledger(t, m))
}

func TestALeakCanSwitchTheMirrorOff(t *testing.T) {
	for policy, enabled := range map[shadow.LeakPolicy]bool{shadow.LeakStopsCopy: true, shadow.LeakDisablesMirror: false} {
		told := make(chan string, 1)
		m, err := shadow.New(remoteTo(t, &wire{}), shadow.WithLeakCheck(shadow.LeakCheckOptions{Rate: 1, Then: policy}),
			shadow.WithReporter(eventFunc(func(e *shadow.Event) { told <- e.Text })))
		require.NoError(t, err)
		h := m.Handler(reading)
		assert.True(t, m.Enabled())
		getFrom(h, "/?a=ann%40example.com")
		text := <-told
		assert.Equal(t, enabled, m.Enabled())
		assert.Equal(t, enabled, !strings.Contains(text, "switched off"), text)
		getFrom(h, "/?a=1")
		require.NoError(t, m.Shutdown(t.Context()))
		if enabled {
			assert.Equal(t, map[string]uint64{"leak": 1, "match": 1}, ledger(t, m))
		} else {
			assert.Equal(t, map[string]uint64{"leak": 1, "disabled": 1}, ledger(t, m))
		}
	}
}

// eventFunc is a reporter of events alone.
type eventFunc func(*shadow.Event)

func (f eventFunc) Report(context.Context, *shadow.Result) error { return nil }
func (f eventFunc) ReportEvent(_ context.Context, e *shadow.Event) error {
	f(e)
	return nil
}

// A result that still holds something is told to nobody.
func TestTheLeakCheckChecksRecords(t *testing.T) {
	leaky := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"to":"ann@example.com"}`)
	})
	harmless := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"to":"nobody"}`)
	})
	request := get()
	request.Header.Set("X-Contact", "ann@example.com")
	for name, c := range map[string]struct {
		primary, candidate http.Handler
		r                  *http.Request
		masker             shadow.Masker
		want               string
	}{
		"primary":  {leaky, harmless, get(), shadow.MaskHeaders(), "email at /body/to of the primary's answer"},
		"shadow":   {harmless, leaky, get(), shadow.MaskHeaders(), "email at /body/to of the shadow's answer"},
		"request":  {harmless, harmless, request, shadow.MaskHeaders(), "email at /header/X-Contact of the request"},
		"masked":   {leaky, leaky, request, shadow.MaskDetected(), ""},
		"harmless": {harmless, harmless, get(), shadow.MaskHeaders(), ""},
	} {
		t.Run(name, func(t *testing.T) {
			page := &happenings{}
			results, m := exchanged(t, c.primary, shadow.InProcess("candidate", c.candidate), c.r, shadow.WithMasker(c.masker), shadow.WithReporter(page),
				shadow.WithLeakCheck(shadow.LeakCheckOptions{Rate: 1, Scope: shadow.LeakCheckRecords}))
			if c.want == "" {
				assert.Len(t, results, 1)
				assert.Empty(t, page.Events())
				assert.Zero(t, m.Stats().Unreported)
				return
			}
			require.Len(t, results, 1)
			requireWithheld(t, results[0])
			require.Len(t, page.All(), 1)
			assert.EqualValues(t, 1, m.Stats().Unreported)
			assert.Equal(t, []string{"a result that was masked still holds what looks like " + c.want + ": it was stopped"}, page.Texts())
			assert.Empty(t, m.Stats().Dropped)
		})
	}
}

// The control is a target like the other; what it is not sent makes no noise.
func TestTheLeakCheckWatchesTheControl(t *testing.T) {
	seen, page := &wire{}, &happenings{}
	candidate := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "other") })
	control := remoteTo(t, seen)
	control.Name = "control"
	_, m := exchanged(t, reading, shadow.InProcess("candidate", candidate), httptest.NewRequest("GET", "/?a=ann%40example.com", nil),
		shadow.WithControl(control), shadow.WithLeakCheck(everyCopy), shadow.WithReporter(page))
	assert.Empty(t, seen.got)
	require.Len(t, page.Events(), 1)
	assert.Equal(t, shadow.EventLeak, page.Events()[0].Kind)
	assert.Equal(t, "control", page.Events()[0].Target)
	assert.Equal(t, map[string]uint64{"mismatch": 1}, ledger(t, m))
}

// A mask that fails for the control is an event of the control, and one for the candidate an
// event of the candidate.
func TestAFailedMaskNamesItsTarget(t *testing.T) {
	failing := shadow.MaskerFunc(func(*shadow.Message) error { return errors.New("no") })
	for _, failed := range []string{"candidate", "control"} {
		page := &happenings{}
		candidate, control := remoteTo(t, &wire{}), remoteTo(t, &wire{})
		candidate.Name, control.Name = "candidate", "control"
		if failed == "control" {
			control.Masker = failing
		} else {
			candidate.Masker = failing
		}
		m, err := shadow.New(candidate, shadow.WithControl(control), shadow.WithReporter(page), calm)
		require.NoError(t, err)
		getFrom(m.Handler(ok), "/")
		getFrom(m.Handler(ok), "/")
		require.NoError(t, m.Shutdown(t.Context()))
		require.Len(t, page.Events(), 1, "the first time")
		assert.Equal(t, shadow.EventMaskFailed, page.Events()[0].Kind)
		assert.Equal(t, failed, page.Events()[0].Target)
	}
}

// The share that is checked is the rate.
func TestTheLeakCheckChecksAShare(t *testing.T) {
	var mu sync.Mutex
	events := 0
	m, err := shadow.New(remoteTo(t, &wire{}), shadow.WithLeakCheck(shadow.LeakCheckOptions{Rate: 0.5}), shadow.WithQueue(2000, 64<<20), calm,
		shadow.WithReporter(eventFunc(func(*shadow.Event) {
			mu.Lock()
			defer mu.Unlock()
			events++
		})))
	require.NoError(t, err)
	h := m.Handler(reading)
	const n = 1000
	for range n {
		getFrom(h, "/?a=ann%40example.com")
	}
	require.NoError(t, m.Shutdown(t.Context()))
	counts := ledger(t, m)
	assert.EqualValues(t, events, counts["leak"])
	assert.EqualValues(t, n, counts["leak"]+counts["match"])
	assert.InDelta(t, n/2, counts["leak"], 150, "nine standard deviations")
}

func TestALeakCheckThatWatchesNothingIsAnError(t *testing.T) {
	for name, c := range map[string]struct {
		target shadow.Target
		o      shadow.LeakCheckOptions
		want   []string
	}{
		"rate":            {remoteTo(t, ok), shadow.LeakCheckOptions{}, []string{"WithLeakCheck: Rate 0 is not a share"}},
		"negative rate":   {remoteTo(t, ok), shadow.LeakCheckOptions{Rate: -1}, []string{"WithLeakCheck: Rate -1 is not a share"}},
		"rate over 1":     {remoteTo(t, ok), shadow.LeakCheckOptions{Rate: 1.5}, []string{"WithLeakCheck: Rate 1.5 is not a share"}},
		"no number":       {remoteTo(t, ok), shadow.LeakCheckOptions{Rate: math.NaN()}, []string{"WithLeakCheck: Rate NaN is not a share"}},
		"everything else": {remoteTo(t, ok), shadow.LeakCheckOptions{Rate: 1, Kinds: []shadow.DetectorKind{"ssn"}, Scope: "all", Then: "panic"}, []string{`"all" is no LeakCheckScope`, `"panic" is no LeakPolicy`, `WithLeakCheck: "ssn" is no DetectorKind`}},
		"in process":      {candidate(), shadow.LeakCheckOptions{Rate: 1}, []string{`WithLeakCheck: target "candidate" runs in this process and has no Masker`}},
	} {
		t.Run(name, func(t *testing.T) {
			faults := faultsOf(t, c.target, shadow.WithLeakCheck(c.o))
			require.Len(t, faults, len(c.want), "%q", faults)
			for i, want := range c.want {
				assert.Contains(t, faults[i], want)
			}
		})
	}
	masked := candidate()
	masked.Masker = shadow.DropCredentials()
	assert.Empty(t, faultsOf(t, masked, shadow.WithLeakCheck(everyCopy)))
	assert.Empty(t, faultsOf(t, candidate(), shadow.WithLeakCheck(shadow.LeakCheckOptions{Rate: 1, Scope: shadow.LeakCheckRecords})))
	assert.Empty(t, faultsOf(t, remoteTo(t, ok), shadow.WithLeakCheck(everyCopy), shadow.WithLeakCheck(shadow.LeakCheckOptions{Rate: 0.5})), "the last one wins")
}
