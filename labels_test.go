package shadow_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

// The route is in metrics, spans and logs: a rule about text is about it too.
func TestARouteHoldsNothingThatIsMasked(t *testing.T) {
	name := shadow.MaskPatterns(regexp.MustCompile("secret"))
	for in, want := range map[string]string{
		"/users/secret":               "/users/[masked]",
		"/users/s%65cret/orders":      "/users/[masked]/orders",
		"/users/7/orders":             "/users/{}/orders",
		"/users/ann-at-example/secre": "/users/ann-at-example/secre",
	} {
		for who, options := range map[string][]shadow.Option{
			"record":   {shadow.WithMasker(name)},
			"tokens":   {shadow.WithMasker(shadow.MaskWith(shadow.Tokenize(key), name))},
			"control":  {shadow.WithControl(shadow.Target{Name: "v1", Transport: shadow.HandlerTransport(saidText("x")), Masker: name})},
			"detector": {shadow.WithMasker(shadow.MaskAll(shadow.MaskDetected(), name))},
		} {
			res := exchange(t, saidText("x"), shadow.InProcess("v2", saidText("x")), httptest.NewRequest("GET", in, nil), options...)
			assert.Equal(t, "GET "+want, res.Route, who)
		}
	}
	// What people write is no word of a program.
	for in, want := range map[string]string{"/users/Ada%20L": "/users/{}", "/users/Zo%C3%AB": "/users/{}", "/users/name=ada": "/users/{}", "/users/O'Neill": "/users/{}"} {
		res := exchange(t, saidText("x"), shadow.InProcess("v2", saidText("x")), httptest.NewRequest("GET", in, nil))
		assert.Equal(t, "GET "+want, res.Route)
	}
}

// The correlation ID goes with the copy, and is in the result and in spans. Where it is
// masked as a header field the copy has another one.
func TestACorrelationIDThatIsMaskedIsReplaced(t *testing.T) {
	const mail = "ann-secret@example.com"
	for name, masker := range map[string]shadow.Masker{
		"":             shadow.MaskHeaders("X-Other"),
		"MaskHeaders":  shadow.MaskHeaders("x-request-id"),
		"Drop":         shadow.MaskWith(shadow.Drop(), shadow.MaskHeaders("X-Request-Id")),
		"MaskPatterns": shadow.MaskPatterns(regexp.MustCompile("secret")),
		"MaskDetected": shadow.MaskDetected(shadow.DetectEmail),
	} {
		t.Run(name, func(t *testing.T) {
			for _, sends := range []bool{true, false} {
				var got bytes.Buffer
				target := shadow.InProcess("v2", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					r.Header.Write(&got)
					saidText("x").ServeHTTP(w, r)
				}))
				var options []shadow.Option
				if target.Masker = masker; !sends {
					target.Masker = nil
					options = append(options, shadow.WithMasker(masker))
				}
				r := get()
				r.Header.Set("X-Request-Id", mail)
				res := exchange(t, saidText("x"), target, r, options...)
				assert.Equal(t, name == "", res.ID == mail)
				assert.NotEmpty(t, res.ID)
				assert.Contains(t, got.String(), "Shadow-Request: "+res.ID)
				if name != "" && sends {
					assert.NotContains(t, got.String(), mail)
				}
			}
		})
	}
}

// What the control alone differs in is a place too.
func TestANameThatOnlyTheControlShowsIsHidden(t *testing.T) {
	res := exchange(t, saidJSON(`{"u":{"a":1}}`), shadow.InProcess("v2", saidJSON(`{"u":{"a":2}}`)), get(),
		shadow.WithControl(shadow.InProcess("v1", saidJSON(`{"u":{"a":1,"ann-secret@example.com":1}}`))),
		shadow.WithMasker(shadow.MaskPatterns(regexp.MustCompile("secret"), regexp.MustCompile("1"))))
	require.NotNil(t, res.Control)
	require.Len(t, res.Control.Diffs, 1)
	assert.Equal(t, "/body/u/[masked]", res.Control.Diffs[0].Path)
}

// A program that is a client may spell a field as it likes.
func TestAFieldThatSaysHowABodyIsCodedMayBeSpelledAnyhow(t *testing.T) {
	var sent bytes.Buffer
	target := shadow.Target{Name: "v2", Masker: shadow.MaskForm("pin"), Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		r.Write(&sent)
		return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
	})}
	m, _ := mirror(t, target, posts)
	r, err := http.NewRequest("POST", "http://h/", strings.NewReader(encode(t, "pin=secret&a=1", "gzip")))
	require.NoError(t, err)
	r.Header = http.Header{"content-type": {"application/x-www-form-urlencoded"}, "content-encoding": {"gzip"}, "digest": {"secret"}}
	resp, err := m.Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
		defer r.Body.Close()
		_, err := new(bytes.Buffer).ReadFrom(r.Body)
		return &http.Response{StatusCode: 200, Body: http.NoBody}, err
	})).RoundTrip(r)
	require.NoError(t, err)
	resp.Body.Close()
	require.NoError(t, m.Shutdown(t.Context()))
	assert.Contains(t, sent.String(), "\r\n\r\npin=%5Bmasked%5D&a=1")
	assert.NotContains(t, strings.ToLower(sent.String()), "encoding")
	assert.NotContains(t, sent.String(), "digest")
}

// strata is a Sampler that takes everything, and names strata by the header X-Stratum.
type strata struct{}

func (strata) Sample(r *http.Request) shadow.Decision {
	return shadow.Decision{Sampled: true, Probability: 1, Stratum: r.Header.Get("X-Stratum")}
}

// A Sampler names its strata by routes, and so by paths that a rule may be about.
func TestAStratumHoldsNothingThatAMaskHides(t *testing.T) {
	for _, c := range []struct {
		rule       shadow.Masker
		name, want string
	}{
		{shadow.MaskPath("/users/{name}"), "GET /users/ada", "GET /users/{name}"},
		{shadow.MaskPath("/users/{name}"), "/users/ada", "/users/{name}"},
		{shadow.MaskPath("/users/{name}"), "GET /orders/{id}", "GET /orders/{id}"},
		{shadow.MaskPatterns(regexp.MustCompile("ada")), "GET /users/ada", "GET /users/[masked]"},
		{shadow.MaskDetected(), "GET /users/ada@example.org/x", "GET /users/[masked]/x"},
		{shadow.MaskDetected(), "customer ada@example.org", "[masked]"},
		{shadow.MaskDetected(), "customers in Europe", "customers in Europe"},
		{shadow.MaskHeaders("X-A"), "GET /users/ada", "GET /users/ada"},
		{shadow.MaskDetected(), "", ""},
	} {
		r := get()
		r.Header.Set("X-Stratum", c.name)
		for which, option := range map[string]shadow.Option{"all": shadow.WithMasker(c.rule), "records": shadow.WithRecordMasker(c.rule)} {
			res := exchange(t, saidText("x"), shadow.InProcess("v2", saidText("x")), r, shadow.WithSampler(strata{}), option)
			assert.Equal(t, c.want, res.Stratum, "%s, %s", c.name, which)
		}
	}
}

// Samplers of users may name a stratum by anything. A Result holds as much of it as of a route.
func TestAStratumIsBounded(t *testing.T) {
	for name, opts := range map[string][]shadow.Option{
		"without masks": nil,
		"with masks":    {shadow.WithMasker(shadow.MaskDetected())},
	} {
		for length, want := range map[int]int{256: 256, 1 << 20: 256} {
			m, results := mirror(t, shadow.InProcess("v2", text("ok")), append(opts, shadow.WithSampler(strata{}))...)
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("X-Stratum", strings.Repeat("x ", length/2))
			m.Handler(text("ok")).ServeHTTP(httptest.NewRecorder(), r)
			require.NoError(t, m.Shutdown(t.Context()))
			assert.Len(t, results.All()[0].Stratum, want, name)
		}
	}
}
