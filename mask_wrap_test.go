package shadow_test

import (
	"context"
	"net/http/httptest"
	"regexp"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

// audited is a user's Masker around others: it counts its calls.
type audited struct {
	inner []shadow.Masker
	calls atomic.Int64
}

func (a *audited) Mask(m *shadow.Message) error {
	a.calls.Add(1)
	for _, one := range a.inner {
		if err := one.Mask(m); err != nil {
			return err
		}
	}
	return nil
}

func (a *audited) Unwrap() []shadow.Masker { return a.inner }

// opaque is one that does not say what it is made of.
type opaque struct{ inner shadow.Masker }

func (o opaque) Mask(m *shadow.Message) error { return o.inner.Mask(m) }

// plain is one that cannot be compared.
type plain struct {
	opaque
	_ []int
}

func (p plain) Unwrap() []shadow.Masker { return []shadow.Masker{p.inner} }

func around(m ...shadow.Masker) shadow.Masker { return &audited{inner: m} }

// eachWrapping runs a test with a masker as it is, and within maskers of a user.
func eachWrapping(t *testing.T, test func(t *testing.T, wrap func(shadow.Masker) shadow.Masker)) {
	for name, wrap := range map[string]func(shadow.Masker) shadow.Masker{
		"as it is":           func(m shadow.Masker) shadow.Masker { return m },
		"in a wrapper":       func(m shadow.Masker) shadow.Masker { return around(m) },
		"in a value":         func(m shadow.Masker) shadow.Masker { return plain{opaque: opaque{m}} },
		"in two":             func(m shadow.Masker) shadow.Masker { return around(plain{opaque: opaque{m}}) },
		"in a list in one":   func(m shadow.Masker) shadow.Masker { return around(shadow.MaskAll(m)) },
		"in one in a list":   func(m shadow.Masker) shadow.Masker { return shadow.MaskAll(around(m)) },
		"beside another one": func(m shadow.Masker) shadow.Masker { return around(shadow.MaskHeaders("X-Other"), m) },
	} {
		t.Run(name, func(t *testing.T) { test(t, wrap) })
	}
}

// A rule about bodies keeps those from leaving that no rule looks into, wherever it is.
func TestAWrappedMaskFailsClosed(t *testing.T) {
	eachWrapping(t, func(t *testing.T, wrap func(shadow.Masker) shadow.Masker) {
		card := wrap(shadow.MaskJSON("$.card"))
		for _, c := range []struct {
			ctype, body, sent string
			rules             shadow.Masker
		}{
			{"application/json", `{"card":1}`, `{"card":"[masked]"}`, card},
			{"text/csv", "card\n1", "", card},
			{"text/csv", "card\n1", "card\n1", shadow.MaskAll(wrap(shadow.AllowBodies("text/csv")), shadow.MaskJSON("$.card"))},
			{"image/png", "\x89PNG", "", wrap(shadow.AllowBodies("text/csv"))},
			{"application/x-www-form-urlencoded", "card=1", "card=%5Bmasked%5D", wrap(shadow.MaskForm("card"))},
			{"application/xml", "<card>1</card>", "<card>[masked]</card>", wrap(shadow.MaskXML("card"))},
			{"text/plain", "card 1", "[masked] 1", wrap(shadow.MaskPatterns(regexp.MustCompile("card")))},
			{"text/plain", "ann@example.com", "[masked]", wrap(shadow.MaskDetected())},
			{"image/png", "\x89PNG\x00", "", wrap(shadow.MaskDetected())},
			// The other side of a form's part: it is replaced as a whole, so what is in it does not matter.
			{"multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"pic\"; filename=\"a\"\r\nContent-Type: image/png\r\n\r\n\x89PNG\r\n--b--\r\n",
				"--b\r\nContent-Disposition: form-data; filename=\"[masked]\"; name=pic\r\nContent-Type: image/png\r\n\r\n[masked]\r\n--b--\r\n", wrap(shadow.MaskForm("pic"))},
		} {
			candidate := &wire{}
			target := remoteTo(t, candidate)
			target.Masker = c.rules
			_, m := exchanged(t, reading, isolated(target), post(c.ctype, "", c.body), posts)
			if c.sent == "" {
				assert.Empty(t, candidate.body, c.ctype)
				assert.Equal(t, map[string]uint64{"mask-failed": 1}, ledger(t, m), c.ctype)
			} else {
				assert.Equal(t, []string{c.sent}, candidate.body, c.ctype)
			}
		}
	})
	// What does not say that there is a rule in it has none.
	candidate := &wire{}
	target := remoteTo(t, candidate)
	target.Masker = opaque{shadow.MaskJSON("$.card")}
	exchange(t, reading, isolated(target), post("text/csv", "", "card\n1"), posts)
	assert.Equal(t, []string{"card\n1"}, candidate.body)
}

// A record does without a body that no rule looks into; nothing else of it is lost.
func TestARecordBehindAWrappedMaskKeepsAllButTheBody(t *testing.T) {
	eachWrapping(t, func(t *testing.T, wrap func(shadow.Masker) shadow.Masker) {
		r := post("text/csv", "", "card\n1")
		r.Header.Set("X-Other-Than-Masked", "kept")
		res := exchange(t, reading, shadow.InProcess("v2", &wire{}), r, allMethods, shadow.WithRecordMasker(wrap(shadow.MaskJSON("$.card"))))
		require.NoError(t, res.Err)
		assert.Nil(t, res.Request.Body)
		assert.True(t, res.Request.Truncated)
		assert.Equal(t, "kept", res.Request.Header.Get("X-Other-Than-Masked"))
		assert.JSONEq(t, `{}`, string(res.Primary.Body))

		res = exchange(t, reading, shadow.InProcess("v2", &wire{}), post("application/json", "", `{"card":1}`), allMethods, shadow.WithRecordMasker(wrap(shadow.MaskJSON("$.card"))))
		require.NoError(t, res.Err)
		assert.Equal(t, `{"card":"[masked]"}`, string(res.Request.Body))
	})
}

// A token that comes back is no difference, whoever called the mask that made it.
func TestATokenOfAWrappedMaskThatComesBackIsNoMismatch(t *testing.T) {
	eachWrapping(t, func(t *testing.T, wrap func(shadow.Masker) shadow.Masker) {
		tokens := wrap(shadow.MaskWith(shadow.Tokenize(key), emails))
		res := echoing(t, answering(`{"user":{"email":"%s"},"total":5}`), answering(`{"user":{"email":"%s"},"total":6}`), tokens)
		assert.Equal(t, []string{"/body/total"}, paths(res.Diffs))
		assert.Equal(t, []string{"/body/user/email"}, paths(res.Noise))
	})
}

// Each place is counted once, in the order in which it was given.
func TestTheRulesOfAWrappedMaskAreCounted(t *testing.T) {
	eachWrapping(t, func(t *testing.T, wrap func(shadow.Masker) shadow.Masker) {
		r := post("application/json", "", `{"card":1}`)
		_, m := exchanged(t, reading, shadow.InProcess("v2", &wire{}), r, allMethods, shadow.WithMasker(wrap(shadow.MaskJSON("$.card", "$.misspelt"))))
		var found []shadow.RuleUse
		for _, rule := range m.Rules() {
			if rule.Option == "MaskJSON" {
				found = append(found, rule)
			}
		}
		assert.Equal(t, []shadow.RuleUse{{Option: "MaskJSON", Path: "$.card", Count: 1}, {Option: "MaskJSON", Path: "$.misspelt"}}, found)
	})
}

// What a copy is called by is masked too.
func TestAWrappedMaskIsAboutTheNamesOfACopy(t *testing.T) {
	eachWrapping(t, func(t *testing.T, wrap func(shadow.Masker) shadow.Masker) {
		call := func(masker shadow.Masker) *shadow.Result {
			r := httptest.NewRequest("GET", "/users/secret", nil)
			r.Header.Set("X-Request-Id", "secret")
			return exchange(t, reading, shadow.InProcess("v2", &wire{}), r, shadow.WithMasker(masker))
		}
		res := call(wrap(shadow.MaskPath("/users/{name}")))
		assert.Equal(t, "GET /users/{name}", res.Route)
		assert.Equal(t, "secret", res.ID)
		res = call(wrap(shadow.MaskPatterns(regexp.MustCompile("secret"))))
		assert.Equal(t, "GET /users/[masked]", res.Route)
		assert.NotEqual(t, "secret", res.ID)
		res = call(wrap(shadow.MaskHeaders("x-request-id")))
		assert.Equal(t, "GET /users/secret", res.Route)
		assert.NotEqual(t, "secret", res.ID)
	})
}

// What is wrong with a rule is an error of New, wherever the rule is.
func TestTheFaultsOfAWrappedMaskAreErrorsOfNew(t *testing.T) {
	eachWrapping(t, func(t *testing.T, wrap func(shadow.Masker) shadow.Masker) {
		for text, bad := range map[string]shadow.Masker{
			"MaskJSON":      shadow.MaskJSON("$["),
			"nil":           shadow.MaskAll(nil),
			"is no Detecto": shadow.MaskDetected("nobody"),
			"sixteen":       nil, // a key that is too short
		} {
			if bad == nil {
				bad, text = shadow.MaskWith(shadow.Tokenize([]byte("short")), emails), "Tokenize"
			}
			masker := wrap(bad)
			target := shadow.InProcess("v2", reading)
			target.Masker = masker
			for where, err := range map[string]error{
				"WithMasker":       newErr(shadow.InProcess("v2", reading), shadow.WithMasker(masker)),
				"WithRecordMasker": newErr(shadow.InProcess("v2", reading), shadow.WithRecordMasker(masker)),
				"Target.Masker":    newErr(target),
				"WithControl":      newErr(shadow.InProcess("v3", reading), shadow.WithControl(target)),
			} {
				assert.ErrorContains(t, err, text, where)
			}
		}
		assert.NoError(t, newErr(shadow.InProcess("v2", reading), shadow.WithMasker(wrap(emails))))
	})
}

func newErr(target shadow.Target, opts ...shadow.Option) error {
	_, err := shadow.New(target, opts...)
	return err
}

// A replacement cannot be chosen for what a user's Masker does by itself.
func TestTheReplacementOfAUsersMaskCannotBeChosen(t *testing.T) {
	err := newErr(shadow.InProcess("v2", reading), shadow.WithMasker(shadow.MaskWith(shadow.Drop(), around(emails))))
	assert.ErrorContains(t, err, "*shadow_test.audited does not look for values that Drop could replace")
}

// A Masker that is made of itself is an error, and no endless loop.
func TestAMaskThatIsMadeOfItselfIsAnError(t *testing.T) {
	loop := &audited{}
	loop.inner = []shadow.Masker{loop, emails, loop}
	assert.Error(t, newErr(shadow.InProcess("v2", reading), shadow.WithMasker(loop)))
	assert.Error(t, newErr(shadow.InProcess("v2", reading), shadow.WithMasker(shadow.MaskAll(loop))))
}

// A Masker runs once for each message, however deep it is, and a Reporter in it is told.
func TestAWrappedMaskRunsOnceAndItsReporterIsTold(t *testing.T) {
	told := &toldMasker{}
	outer := &audited{inner: []shadow.Masker{told, emails}}
	candidate := &wire{}
	target := remoteTo(t, candidate)
	target.Masker = outer
	_, m := exchanged(t, reading, isolated(target), post("application/json", "", `{"email":"a@b.example"}`), posts, shadow.WithMasker(outer))
	assert.Equal(t, map[string]uint64{"match": 1}, ledger(t, m))
	assert.Equal(t, int64(4), outer.calls.Load(), "the copy, and the three messages of the record")
	assert.Equal(t, outer.calls.Load(), told.masked.Load())
	assert.Equal(t, int64(1), told.reported.Load())
	assert.Equal(t, []string{`{"email":"[masked]"}`}, candidate.body)
}

// toldMasker is a Masker that is a Reporter too.
type toldMasker struct{ masked, reported atomic.Int64 }

func (m *toldMasker) Mask(*shadow.Message) error { m.masked.Add(1); return nil }
func (m *toldMasker) Report(context.Context, *shadow.Result) error {
	m.reported.Add(1)
	return nil
}
