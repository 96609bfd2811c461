package shadow_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

// answering answers with JSON made of the body of the request, which is an e-mail address.
func answering(format string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, format, strings.TrimSuffix(strings.TrimPrefix(string(body), `{"email":"`), `"}`))
	}
}

// echoing sends {"email":"ann@example.com"} to primary and, masked, to candidate, and
// returns the result.
func echoing(t *testing.T, primary, candidate http.HandlerFunc, masker shadow.Masker, opts ...shadow.Option) *shadow.Result {
	t.Helper()
	target := shadow.InProcess("v2", candidate)
	target.Masker = masker
	m, results := mirror(t, target, append(opts, allMethods)...)
	r := httptest.NewRequest("POST", "/", strings.NewReader(`{"email":"ann@example.com"}`))
	r.Header.Set("Content-Type", "application/json")
	m.Handler(primary).ServeHTTP(httptest.NewRecorder(), r)
	require.NoError(t, m.Shutdown(t.Context()))
	require.Len(t, results.All(), 1)
	return results.All()[0]
}

var emails = shadow.MaskJSON("$..email")

// A candidate that answers with the token it was sent has answered right, and one that
// answers anything else has not. Nothing is gone without a trace.
func TestATokenThatComesBackIsNoMismatch(t *testing.T) {
	key := shadow.Tokenize([]byte("sixteen bytes or more"))
	const whole = `{"user":{"email":"%s"},"total":5}`
	for name, c := range map[string]struct {
		primary, candidate string
		masker             shadow.Masker
		diffs, noise       []string
	}{
		"the token":        {whole, whole, shadow.MaskWith(key, emails), nil, []string{"/body/user/email"}},
		"its hash":         {whole, whole, shadow.MaskWith(shadow.Hash(), emails), nil, []string{"/body/user/email"}},
		"beside a mistake": {whole, `{"user":{"email":"%s"},"total":6}`, shadow.MaskWith(key, emails), []string{"/body/total"}, []string{"/body/user/email"}},
		"of another value": {whole, `{"user":{"email":"%sx"},"total":5}`, shadow.MaskWith(key, emails), []string{"/body/user/email"}, nil},
		"lost":             {whole, `{"user":{"name":"%s"},"total":5}`, shadow.MaskWith(key, emails), []string{"/body/user/email", "/body/user/name"}, nil},
		"in a list": {`[{"email":"%[1]s"},{"email":"bob@example.com"}]`, `[{"email":"%[1]s"}]`, shadow.MaskWith(key, emails),
			[]string{"/body/1"}, []string{"/body/0/email"}},
		"lost from a list": {`[{"email":"bob@example.com"},{"email":"%[1]s"}]`, `[{"email":"%[1]s"}]`, shadow.MaskWith(key, emails),
			[]string{"/body/1"}, []string{"/body/0/email"}},
		"elsewhere":      {`{"to":"%s"}`, `{"to":"%s"}`, shadow.MaskWith(key, emails), []string{"/body/to"}, nil},
		"redacted":       {whole, whole, emails, nil, []string{"/body/user/email"}},
		"dropped":        {whole, `{"user":{},"total":5}%.0s`, shadow.MaskWith(shadow.Drop(), emails), nil, []string{"/body/user/email"}},
		"dropped of two": {whole, `{"user":{"email":"%s"}}`, shadow.MaskAll(shadow.MaskWith(key, emails), shadow.MaskWith(shadow.Drop(), shadow.MaskJSON("$.total"))), []string{"/body/total"}, []string{"/body/user/email"}},
		"not to be read": {`{"email":"%s",`, `{"email":"%s"`, shadow.MaskWith(key, emails), []string{"/body"}, nil},
		"redacted, and another known": {`{"email":"%[1]s","to":"%[1]s"}`, `{"email":"%[1]s","to":"ann@example.com"}`,
			shadow.MaskJSON("$.email", "$.to"), nil, []string{"/body/email"}},
		"redacted, and another wrong": {`{"email":"%[1]s","to":"%[1]s"}`, `{"email":"%[1]s","to":"x"}`,
			shadow.MaskJSON("$.email", "$.to"), []string{"/body/to"}, []string{"/body/email"}},
		"redacted by itself": {whole, `{"user":{"email":"[masked]"},"total":5}%.0s`, shadow.MaskJSON("$.user.email"), []string{"/body/user/email"}, nil},
		"no difference":      {`{"total":5}%.0s`, `{"total":5}%.0s`, shadow.MaskWith(key, emails), nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			res := echoing(t, answering(c.primary), answering(c.candidate), c.masker)
			outcome := shadow.Match
			if len(c.diffs) > 0 {
				outcome = shadow.Mismatch
			}
			assert.Equal(t, outcome, res.Outcome)
			assert.Equal(t, c.diffs, diffPaths(res.Diffs))
			assert.Equal(t, c.noise, diffPaths(res.Noise))
			assert.False(t, res.More)
			for _, d := range res.Noise {
				assert.Equal(t, shadow.ClassMasked, d.Class)
			}
		})
	}
}

// Where there are more differences than are kept, they may all be of tokens.
func TestManyTokensThatComeBackAreNoMismatch(t *testing.T) {
	key := shadow.Tokenize([]byte("sixteen bytes or more"))
	const two = `{"a":{"email":"%[1]s"},"b":{"email":"%[1]s"}}`
	for last, outcome := range map[string]shadow.Outcome{"5": shadow.Match, "6": shadow.Mismatch} {
		res := echoing(t, answering(two[:len(two)-1]+`,"z":5}`), answering(two[:len(two)-1]+`,"z":`+last+`}`),
			shadow.MaskWith(key, emails), shadow.WithCompare(shadow.CompareOptions{MaxDiffs: 1}))
		assert.Equal(t, outcome, res.Outcome, last)
		assert.Equal(t, outcome == shadow.Mismatch, res.More)
	}
}

// A control that is sent tokens does not make noise of what it answers, and so hides
// no mistake of the candidate in the same place.
func TestTokensOfTheControlAreNoNoise(t *testing.T) {
	masker := shadow.MaskWith(shadow.Tokenize([]byte("sixteen bytes or more")), emails)
	control := isolated(shadow.InProcess("v1", answering(`{"email":"%s"}`)))
	control.Masker = masker
	for format, c := range map[string]struct {
		diffs, noise []string
		control      []shadow.Diff
	}{
		`{"email":"%s"}`:  {nil, []string{"/body/email"}, []shadow.Diff{{Path: "/body/email", Kind: shadow.Changed, Class: shadow.ClassMasked}}},
		`{"email":"%sx"}`: {[]string{"/body/email"}, nil, nil},
	} {
		res := echoing(t, answering(`{"email":"%s"}`), answering(format), masker, shadow.WithControl(control))
		require.NotNil(t, res.Control)
		assert.Equal(t, c.diffs, diffPaths(res.Diffs))
		assert.Equal(t, c.noise, diffPaths(res.Noise))
		assert.Equal(t, c.control, res.Control.Diffs)
	}
}

func diffPaths(list []shadow.Diff) (paths []string) {
	for _, d := range list {
		paths = append(paths, d.Path)
	}
	return paths
}
