package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/goshadow/shadow/report/gate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheExitCodeIsTheVerdict(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		code int
		says []string
	}{
		"a good candidate passes": {nil, 0,
			[]string{"The verdict is now pass.\n", "PASS: 12 checks passed\n", "diffRate", "0 differences in "}},
		"a bad one fails": {[]string{"discounts"}, 1,
			[]string{"The verdict is now fail.\n", "FAIL: 1 of 12 checks failed: diffRate\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			code, err := run(t.Context(), c.args, &out)
			require.NoError(t, err)
			assert.Equal(t, c.code, code, out.String())
			for _, words := range c.says {
				assert.Contains(t, out.String(), words)
			}
		})
	}
}

func TestTooFewRequestsAreNoVerdict(t *testing.T) {
	d, err := decide(t.Context(), byThePiece, 500, io.Discard)
	require.NoError(t, err)
	assert.Equal(t, gate.Insufficient, d.Verdict)
	assert.Contains(t, d.String(), "0 differences in 450; 3,337 more needed to claim under 0.1 % at 95 %")
}

// A mirror that goes on after the candidate has failed costs, and shows nothing new.
func TestACandidateThatFailsIsNotAskedAgain(t *testing.T) {
	candidate := httptest.NewServer(newService(withDiscounts))
	defer candidate.Close()
	r, err := newRelease(candidate.URL, io.Discard)
	require.NoError(t, err)
	defer r.mirror.Close()
	service := httptest.NewServer(r.mirror.Handler(newService(byThePiece)))
	defer service.Close()
	require.True(t, r.mirror.Enabled())
	for done := 0; r.gate.Decide(t.Context()).Verdict != gate.Fail; done += 100 {
		require.Less(t, done, 5000)
		require.NoError(t, use(t.Context(), service, done, 100))
	}
	assert.False(t, r.mirror.Enabled())
}

func TestTheCriteriaAreInOrder(t *testing.T) {
	var c gate.Criteria
	require.NoError(t, json.Unmarshal(criteriaFile, &c))
}

func TestTheServiceRefusesWhatIsNoNumber(t *testing.T) {
	w := httptest.NewRecorder()
	newService(byThePiece).ServeHTTP(w, httptest.NewRequest("GET", "/quotes/many", nil))
	require.Equal(t, http.StatusBadRequest, w.Code)
}

func TestArgumentsThatAreNoneAreErrors(t *testing.T) {
	for _, args := range [][]string{{"v9"}, {"-candidate"}, {"rewrite", "discounts"}} {
		code, err := run(t.Context(), args, io.Discard)
		assert.Error(t, err, args)
		assert.Equal(t, broken, code, args)
	}
}
