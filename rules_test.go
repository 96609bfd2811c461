package shadow_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

// everyRule has each masker that names places, with one rule that is found in the message of
// the test and one that is misspelt.
func everyRule() map[string]shadow.Masker {
	return map[string]shadow.Masker{
		"MaskJSON":     shadow.MaskJSON("$..email", "$..emial", "$.list[?@.kind == 'a']"),
		"MaskHeaders":  shadow.MaskHeaders("x-user", "x-usr"),
		"MaskCookies":  shadow.MaskCookies("SID", "sdi"),
		"MaskQuery":    shadow.MaskQuery("token", "tokne"),
		"MaskPath":     shadow.MaskPath("/users/{email}", "GET /user/{email}"),
		"MaskPatterns": shadow.MaskPatterns(regexp.MustCompile(`ann@\S+`), regexp.MustCompile(`amn@\S+`)),
		"MaskForm":     shadow.MaskForm("pin", "pni"),
		"MaskXML":      shadow.MaskXML("Password", "Pasword"),
	}
}

func rulesMessage(t *testing.T, rule string) *shadow.Message {
	r, err := http.NewRequest("POST", "http://x.test/users/ann?token=1", nil)
	require.NoError(t, err)
	msg := &shadow.Message{Method: "POST", URL: r.URL, Header: http.Header{
		"X-User": {"1"}, "Cookie": {"sid=1; a=2"}, "X-Mail": {"ann@x.test"}, "Content-Type": {"application/json"},
	}, Body: []byte(`{"email":"x","list":[{"kind":"a"},{"kind":"b"}]}`)}
	switch rule {
	case "MaskForm":
		msg.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		msg.Body = []byte("a=1&PIN=2")
	case "MaskXML":
		msg.Header.Set("Content-Type", "application/xml")
		msg.Body = []byte("<a><Password>x</Password></a>")
	}
	return msg
}

// Every masker that names places says which of its rules took effect.
func TestEveryMaskRuleIsCounted(t *testing.T) {
	for name, masker := range everyRule() {
		for _, with := range []shadow.Masker{masker, shadow.MaskWith(shadow.Hash(), masker)} {
			mirror, err := shadow.New(shadow.InProcess("v2", http.NotFoundHandler()), shadow.WithMasker(with))
			require.NoError(t, err)
			before := mirror.Rules()
			require.NoError(t, with.Mask(rulesMessage(t, name)))
			after := mirror.Rules()
			require.NotEmpty(t, after, name)
			for i, rule := range after {
				assert.Equal(t, name, rule.Option)
				misspelt := i == 1
				assert.Equal(t, misspelt, rule.Count == before[i].Count, "%s: %+v", name, rule)
			}
		}
	}
}

// ruleWrapper is a user's Masker around others.
type ruleWrapper struct{ inner []shadow.Masker }

func (w ruleWrapper) Mask(m *shadow.Message) error { return shadow.MaskAll(w.inner...).Mask(m) }
func (w ruleWrapper) Unwrap() []shadow.Masker      { return w.inner }

// A masker that is given twice is counted once, and one in a user's wrapper is not lost.
func TestRulesAreThoseOfEveryPart(t *testing.T) {
	masker := shadow.MaskJSON("$..email")
	target := shadow.InProcess("v2", http.NotFoundHandler())
	target.Masker = ruleWrapper{[]shadow.Masker{masker, shadow.MaskHeaders("X-User")}}
	mirror, err := shadow.New(target, shadow.WithMasker(shadow.MaskAll(masker, shadow.DropCredentials())),
		shadow.WithCompare(shadow.CompareOptions{Ignore: []string{"$.at"}}))
	require.NoError(t, err)
	assert.Equal(t, []shadow.RuleUse{
		{Option: "Ignore", Path: "$.at"}, {Option: "MaskJSON", Path: "$..email"}, {Option: "MaskHeaders", Path: "X-User"},
	}, mirror.Rules())
}

// New finds the faults of what is in a user's wrapper.
func TestAFaultInAWrapperIsAnErrorOfNew(t *testing.T) {
	bad := ruleWrapper{[]shadow.Masker{shadow.DropCredentials(), shadow.MaskJSON("$[")}}
	for option, o := range map[string]shadow.Option{
		"WithMasker: argument 1": shadow.WithMasker(bad),
		"in a MaskAll":           shadow.WithRecordMasker(shadow.MaskAll(bad)),
	} {
		faults := faultsOf(t, candidate(), o)
		require.Len(t, faults, 1)
		assert.Contains(t, faults[0], `shadow_test.ruleWrapper: argument 2: MaskJSON: path "$[", column 3: `, option)
	}
}

// A rule that never matched is said once: a misspelt mask sends everything in clear.
func TestARuleThatNeverMatchedIsSaidOnce(t *testing.T) {
	answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(`{"email":"ann@x.test"}`)) //nolint:errcheck // recorded
	})
	told := &happenings{}
	mirror, err := shadow.New(shadow.InProcess("v2", answer), shadow.WithLoadShedding(shadow.LoadSheddingOptions{Off: true}),
		shadow.WithQueue(20_000, 64<<20),
		shadow.WithMasker(shadow.MaskJSON("$..email", "$..emial")), shadow.WithReporter(told))
	require.NoError(t, err)
	h := mirror.Handler(answer)
	for range 10_001 {
		h.ServeHTTP(httptest.NewRecorder(), get())
	}
	require.NoError(t, mirror.Shutdown(t.Context()))
	var texts []string
	for _, e := range told.Events() {
		if e.Kind == shadow.EventUnusedRules {
			texts = append(texts, e.Text)
		}
	}
	require.Len(t, texts, 1)
	assert.Contains(t, texts[0], `MaskJSON "$..emial"`)
	assert.False(t, strings.Contains(texts[0], `"$..email"`), "that one took effect")
}
