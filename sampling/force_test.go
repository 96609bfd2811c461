package sampling_test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/internal/mirrortest"
	"github.com/goshadow/shadow/sampling"
)

func withToken(tokens ...string) *http.Request {
	r := get()
	r.Header["Shadow-Force"] = tokens
	return r
}

func TestOnlyWhoHasAKeyForcesASample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		other := []byte(strings.Repeat("x", 32))
		s := newForce(secret, []byte(strings.Repeat("y", 40)))
		good := sampling.ForceToken(secret, time.Now().Add(time.Minute))
		expiry, signature, _ := strings.Cut(good, ".")
		later := strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10)
		assert.Len(t, signature, 43)
		for name, c := range map[string]struct {
			r    *http.Request
			want bool
		}{
			"a token":                   {withToken(good), true},
			"of the other key":          {withToken(sampling.ForceToken([]byte(strings.Repeat("y", 40)), time.Now().Add(time.Minute))), true},
			"of far away":               {withToken(sampling.ForceToken(secret, time.Unix(1<<55, 0))), true},
			"none":                      {get(), false},
			"empty":                     {withToken(""), false},
			"no header at all":          {&http.Request{}, false},
			"two":                       {withToken(good, good), false},
			"of another key":            {withToken(sampling.ForceToken(other, time.Now().Add(time.Minute))), false},
			"prolonged":                 {withToken(later + "." + signature), false},
			"spelled in another way":    {withToken("+" + good), false},
			"with zeros":                {withToken("0" + good), false},
			"without signature":         {withToken(expiry), false},
			"with an empty signature":   {withToken(expiry + "."), false},
			"cut off":                   {withToken(good[:len(good)-2]), false},
			"continued":                 {withToken(good + "AA"), false},
			"padded":                    {withToken(good + "="), false},
			"one bit off":               {withToken(expiry + "." + flip(signature)), false},
			"no base64":                 {withToken(expiry + ".!"), false},
			"just so":                   {withToken("1"), false},
			"expired":                   {withToken(sampling.ForceToken(secret, time.Now())), false},
			"long expired":              {withToken(sampling.ForceToken(secret, time.Unix(0, 0))), false},
			"of before there was time":  {withToken(sampling.ForceToken(secret, time.Unix(-1, 0))), false},
			"more than a number":        {withToken("99999999999999999999." + signature), false},
			"in a header of other name": {inHeader("X-Key", good), false},
		} {
			assert.Equal(t, c.want, s.Sample(c.r).Sampled, name)
		}

		time.Sleep(59 * time.Second)
		assert.True(t, s.Sample(withToken(good)).Sampled)
		time.Sleep(time.Second)
		assert.False(t, s.Sample(withToken(good)).Sampled, "a minute later")
	})
}

func inHeader(name, value string) *http.Request {
	r := get()
	r.Header.Set(name, value)
	return r
}

// flip changes the first character.
func flip(s string) string {
	if s[0] == 'A' {
		return "B" + s[1:]
	}
	return "A" + s[1:]
}

func TestForceKeepsItsKeys(t *testing.T) {
	key := []byte(strings.Repeat("k", 32))
	s := newForce(key)
	token := sampling.ForceToken(key, time.Now().Add(time.Hour))
	clear(key)
	assert.True(t, s.Sample(withToken(token)).Sampled)
}

func TestForceNeedsKeysThatCannotBeGuessed(t *testing.T) {
	for _, c := range []struct {
		keys [][]byte
		want string
	}{
		{nil, "sampling: NewForce: no key"},
		{[][]byte{nil}, "sampling: NewForce: key 1 has 0 bytes"},
		{[][]byte{secret, []byte("short")}, "sampling: NewForce: key 2 has 5 bytes; make 32 random ones (RFC 2104 section 3)"},
	} {
		_, err := sampling.NewForce(c.keys...)
		require.Len(t, linesOf(err), 1)
		assert.ErrorContains(t, err, c.want)
	}
}

// A token is a credential: neither the candidate over the network nor a report gets it, and
// the primary gets what it always got.
func TestATokenOfForceStaysWhereItIs(t *testing.T) {
	var sent http.Header
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { sent = r.Header }))
	defer server.Close()
	m, results := mirrortest.New(t, shadow.Remote("v2", server.URL), shadow.WithSampler(shadow.Any(newForce(secret), shadow.Rate(0))))
	r := forced()
	token := r.Header.Get("Shadow-Force")
	m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		assert.Equal(t, token, r.Header.Get("Shadow-Force"))
	})).ServeHTTP(httptest.NewRecorder(), r)
	require.NoError(t, m.Shutdown(t.Context()))
	require.Len(t, results.All(), 1)
	assert.NotEmpty(t, sent.Get("Shadow-Request"))
	assert.NotContains(t, sent, "Shadow-Force")
	assert.NotContains(t, results.All()[0].Request.Header.Get("Shadow-Force"), token)
	assert.Equal(t, 1.0, results.All()[0].Probability)
}

func FuzzForce(f *testing.F) {
	until := time.Unix(1<<40, 0)
	good := sampling.ForceToken(secret, until)
	for _, seed := range []string{good, "", ".", "1.", good[:20], "-1." + good, " " + good} {
		f.Add(seed)
	}
	s := newForce(secret)
	f.Fuzz(func(t *testing.T, token string) {
		expiry, _, _ := strings.Cut(token, ".")
		seconds, err := strconv.ParseInt(expiry, 10, 64)
		genuine := err == nil && token == sampling.ForceToken(secret, time.Unix(seconds, 0))
		if s.Sample(withToken(token)).Sampled && !genuine {
			t.Fatalf("%q forces a sample and nobody made it", token)
		}
	})
}
