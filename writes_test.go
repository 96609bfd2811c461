package shadow_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/preflight"
)

func TestAMethodThatWritesNeedsATargetThatIsIsolated(t *testing.T) {
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "QUERY", "PROPFIND"} {
		_, err := shadow.New(shadow.InProcess("v2", ok), shadow.WithMethods("GET", method))
		require.ErrorContains(t, err, "WithMethods: "+method+": a copy of such a request writes again")
		require.ErrorContains(t, err, `set Isolated on target "v2"`)
	}
	_, err := shadow.New(shadow.InProcess("v2", ok), shadow.WithMethods("POST"), shadow.WithControl(isolated(shadow.InProcess("v1", ok))))
	require.Error(t, err, "that of the control is not that of the candidate")
	for _, methods := range [][]string{nil, {"GET", "HEAD", "OPTIONS", "TRACE"}} {
		_, err := shadow.New(shadow.InProcess("v2", ok), shadow.WithMethods(append(methods, "GET")...))
		require.NoError(t, err)
	}
}

// writing counts the requests that a handler executes, by their method.
type writing struct{ reads, writes atomic.Int64 }

func (w *writing) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	if r.Method == "GET" && r.Header.Get("X-Http-Method-Override") == "" {
		w.reads.Add(1)
	} else {
		w.writes.Add(1)
	}
	io.WriteString(rw, "ok")
}

// The primary is never executed a second time for an unsafe request, also where it is its own
// control.
func TestAControlThatIsNotIsolatedIsNeverAskedAnUnsafeRequest(t *testing.T) {
	for name, c := range map[string]struct {
		control bool // is isolated
		want    []int64
	}{"not isolated": {false, []int64{2, 2}}, "isolated": {true, []int64{2, 4}}} {
		t.Run(name, func(t *testing.T) {
			orders, candidate := &writing{}, &writing{}
			control := shadow.InProcess("control", orders)
			control.Isolated = c.control
			m, results := mirror(t, shadow.InProcess("v2", candidate), shadow.WithMethods("GET", "POST", "PUT"), shadow.WithControl(control))
			h := m.Handler(orders)
			getFrom(h, "/")
			postTo(h, "/", "x")
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("X-Http-Method-Override", "PUT")
			h.ServeHTTP(httptest.NewRecorder(), r)
			require.NoError(t, m.Shutdown(t.Context()))
			assert.Equal(t, c.want, []int64{orders.reads.Load(), orders.writes.Load()}, "the primary's and the control's together")
			assert.Equal(t, []int64{1, 2}, []int64{candidate.reads.Load(), candidate.writes.Load()})
			require.Equal(t, map[string]uint64{match: 3}, ledger(t, m))
			for _, res := range results.All() {
				assert.Equal(t, res.Request.Method == "GET" && len(res.Request.Header["X-Http-Method-Override"]) == 0 || c.control, res.Control != nil, res.Request.Method)
			}
		})
	}
}

// A request is copied only if all the methods are that it can be taken for.
func TestARequestThatAsksForAnotherMethodIsTakenForOneOfThatMethod(t *testing.T) {
	for _, c := range []struct{ method, header, value, query, want string }{
		{"GET", "X-HTTP-Method-Override", "DELETE", "", "method"},
		{"GET", "X-HTTP-Method", "MERGE", "", "method"},
		{"GET", "X-Method-Override", "patch", "", "method"},
		{"GET", "X-Other", "DELETE", "?_method=delete", "method"},
		{"POST", "X-HTTP-Method-Override", "DELETE", "", "method"},
		{"POST", "X-HTTP-Method-Override", "GET", "", match},
		{"GET", "X-HTTP-Method-Override", "POST", "", match},
		{"GET", "X-Other", "DELETE", "?method=DELETE", match},
	} {
		m, _ := mirror(t, shadow.InProcess("v2", ok), shadow.WithMethods("GET", "POST"))
		r := httptest.NewRequest(c.method, "/orders"+c.query, strings.NewReader(""))
		r.Header.Set(c.header, c.value)
		e := m.Explain(r)
		m.Handler(ok).ServeHTTP(httptest.NewRecorder(), r)
		require.NoError(t, m.Shutdown(t.Context()))
		assert.Equal(t, map[string]uint64{c.want: 1}, ledger(t, m), "%+v", c)
		if c.want == "method" {
			assert.Equal(t, shadow.ReasonMethod, e.Reason, "%+v", c)
		} else {
			assert.Empty(t, e.Reason, "%+v", c)
		}
	}
}

func TestExplainAndCheckSayWhereCopiesWrite(t *testing.T) {
	ask := func(opts ...shadow.Option) (explained, checked string) {
		m, _ := mirror(t, shadow.InProcess("v2", ok), opts...)
		report, err := preflight.Check(t.Context(), m, preflight.Options{})
		require.NoError(t, err)
		for _, i := range report.Items {
			if i.Name == "writes" {
				checked = i.Text
			}
		}
		for _, s := range m.Explain(httptest.NewRequest("POST", "/", nil)).Steps {
			if s.Name == "method" {
				explained = s.Text
			}
		}
		return explained, checked
	}
	posts := shadow.WithMethods("GET", "POST")
	explained, checked := ask()
	assert.Equal(t, `"POST" is not one of GET, HEAD, OPTIONS: see WithMethods`, explained)
	assert.Equal(t, "only requests with a safe method are copied", checked)
	explained, checked = ask(posts)
	assert.Equal(t, `POST is one of GET, POST; it is not safe: target "v2" is Isolated`, explained)
	assert.Equal(t, `POST: sent to "v2", which is Isolated`, checked)
	explained, checked = ask(posts, shadow.WithControl(shadow.InProcess("v1", ok)))
	assert.Equal(t, `POST is one of GET, POST; it is not safe: target "v2" is Isolated, control "v1" is not and is not asked`, explained)
	assert.Equal(t, `POST: sent to "v2", which is Isolated, and not to control "v1", which is not`, checked)
	_, checked = ask(posts, shadow.WithControl(isolated(shadow.InProcess("v1", ok))))
	assert.Equal(t, `POST: sent to "v2" and to control "v1", which are Isolated`, checked)
}
