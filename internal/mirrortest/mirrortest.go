// Package mirrortest helps to test a Mirror from outside: it makes one, collects what it
// reports, and checks its counts. Only tests import it.
package mirrortest

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

// New returns a Mirror to target and what it reports. The target is Isolated, and the load of
// the machine drops no copy. The Mirror is closed when the test ends.
func New(t testing.TB, target shadow.Target, opts ...shadow.Option) (*shadow.Mirror, *Results) {
	t.Helper()
	r := &Results{}
	m, err := shadow.New(Isolated(target), append([]shadow.Option{shadow.WithReporter(r), Calm}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(func() { m.Close() })
	return m, r
}

// Calm keeps the load of the machine that runs the tests from dropping copies.
var Calm = shadow.WithLoadShedding(shadow.LoadSheddingOptions{Off: true})

// Isolated returns t with Isolated set, as for all targets of tests.
func Isolated(t shadow.Target) shadow.Target {
	t.Isolated = true
	return t
}

// OK is a handler that answers 200 without a body.
var OK = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

// Candidate returns a target in this process that answers as OK does.
func Candidate() shadow.Target { return shadow.InProcess("candidate", OK) }

// Faults returns the lines of the error of New. It is empty if New returns a Mirror.
func Faults(t testing.TB, target shadow.Target, opts ...shadow.Option) []string {
	t.Helper()
	m, err := shadow.New(target, opts...)
	if err == nil {
		require.NoError(t, m.Close())
		return nil
	}
	assert.Nil(t, m)
	return strings.Split(err.Error(), "\n")
}

// Counts returns the outcomes and reasons under which m counted its requests, by name. It
// checks that they add up to the number of requests.
func Counts(t testing.TB, m *shadow.Mirror) map[string]uint64 {
	t.Helper()
	s := m.Stats()
	counts := map[string]uint64{}
	for reason, n := range s.Skipped {
		counts[string(reason)] += n
	}
	for reason, n := range s.Dropped {
		counts[string(reason)] += n
	}
	for outcome, n := range map[shadow.Outcome]uint64{
		shadow.Match: s.Match, shadow.Mismatch: s.Mismatch, shadow.Failed: s.Failed, shadow.Uncompared: s.Uncompared,
	} {
		if n > 0 {
			counts[string(outcome)] += n
		}
	}
	sum := uint64(s.Queued + s.Running)
	for _, n := range counts {
		sum += n
	}
	assert.Equal(t, s.Requests, sum, "%+v", s)
	return counts
}

// Results is a Reporter that keeps the results. The zero value is ready for use.
type Results struct {
	mu   sync.Mutex
	list []*shadow.Result
}

// Report implements shadow.Reporter.
func (r *Results) Report(_ context.Context, res *shadow.Result) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, res)
	return nil
}

// All returns the results so far, in order.
func (r *Results) All() []*shadow.Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.list)
}

// Events is a Reporter that keeps the results and the events. The zero value is ready for use.
type Events struct {
	Results
	mu   sync.Mutex
	list []shadow.Event
}

// ReportEvent implements shadow.EventReporter.
func (e *Events) ReportEvent(_ context.Context, one *shadow.Event) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, *one)
	return nil
}

// Events returns the events so far, in order.
func (e *Events) Events() []shadow.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.list)
}

// Kinds returns the kinds of the events so far, in order.
func (e *Events) Kinds() (list []shadow.EventKind) {
	for _, one := range e.Events() {
		list = append(list, one.Kind)
	}
	return list
}

// Texts returns the texts of the events so far, in order.
func (e *Events) Texts() (list []string) {
	for _, one := range e.Events() {
		list = append(list, one.Text)
	}
	return list
}

// RoundTripper is a function as an http.RoundTripper.
type RoundTripper func(*http.Request) (*http.Response, error)

// RoundTrip calls f.
func (f RoundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Get asks h for path and returns its answer.
func Get(h http.Handler, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w
}

// Post posts body to path of h and returns its answer.
func Post(h http.Handler, path, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("POST", path, strings.NewReader(body)))
	return w
}

// Gate is a handler that sends each request on Asked and answers "ok" once Open is closed.
type Gate struct {
	Asked chan *http.Request
	Open  chan struct{}
}

// NewGate returns a Gate that is shut.
func NewGate() *Gate { return &Gate{make(chan *http.Request, 1000), make(chan struct{})} }

func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.Asked <- r
	<-g.Open
	io.WriteString(w, "ok")
}

// Encode applies content codings to body, in order. "bare deflate" is deflate without the
// zlib header that RFC 9110 asks for.
func Encode(t testing.TB, body string, codings ...string) string {
	t.Helper()
	for _, coding := range codings {
		var b bytes.Buffer
		var w io.WriteCloser
		var err error
		switch coding {
		case "gzip", "x-gzip":
			w = gzip.NewWriter(&b)
		case "deflate":
			w = zlib.NewWriter(&b)
		case "bare deflate":
			w, err = flate.NewWriter(&b, 9)
		case "br":
			w = brotli.NewWriter(&b)
		case "zstd":
			w, err = zstd.NewWriter(&b)
		default:
			t.Fatalf("no content coding %q", coding)
		}
		require.NoError(t, err)
		io.WriteString(w, body)
		require.NoError(t, w.Close())
		body = b.String()
	}
	return body
}
