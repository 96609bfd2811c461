package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/goshadow/shadow"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const printed = `200 differences were noise: v1 differs from itself there too
  100  /body/at
  100  /body/id
10 differences are real
   10  /body/cents, such as 2250 instead of 2500
100 requests: 90 alike but for noise, 10 different, 0 failed, 0 not compared
`

func TestNoiseIsToldFromTheOneRealDifferenceAndTheLedgerAddsUp(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), nil, &out))
	require.Empty(t, cmp.Diff(printed, out.String()))
}

// Without the control the candidate seems to differ in every answer.
func TestWithoutTheControlEveryAnswerDiffers(t *testing.T) {
	paths := func(opts ...shadow.Option) (diffs, noise []string) {
		v1 := newV1()
		results := make(chan *shadow.Result, 1)
		mirror, err := shadow.New(shadow.InProcess("v1 again", v1), append(opts,
			shadow.WithReporter(shadow.ReporterFunc(func(_ context.Context, r *shadow.Result) error {
				results <- r
				return nil
			})))...)
		require.NoError(t, err)
		mirror.Handler(v1).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/quotes?pieces=1", nil))
		require.NoError(t, mirror.Shutdown(t.Context()))
		r := <-results
		for _, d := range r.Diffs {
			diffs = append(diffs, d.Path)
		}
		for _, d := range r.Noise {
			noise = append(noise, d.Path)
		}
		return diffs, noise
	}
	diffs, noise := paths()
	require.Equal(t, []string{"/body/at", "/body/id"}, diffs)
	require.Empty(t, noise)

	diffs, noise = paths(shadow.WithControl(shadow.InProcess("control", newV1())))
	require.Empty(t, diffs)
	require.Equal(t, []string{"/body/at", "/body/id"}, noise)
}

func TestTheServiceRefusesWhatIsNoNumber(t *testing.T) {
	w := httptest.NewRecorder()
	newV1().ServeHTTP(w, httptest.NewRequest("GET", "/quotes?pieces=many", nil))
	require.Equal(t, http.StatusBadRequest, w.Code)
}

func TestAnArgumentIsAnError(t *testing.T) {
	require.ErrorContains(t, run(t.Context(), []string{"extra"}, io.Discard), "extra")
}
