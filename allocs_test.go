//go:build !race

package shadow_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/goshadow/shadow"
)

// A sampled request costs one allocation on its goroutine, also where the primary's router
// leaves a route in it.
func TestASampledRequestIsOneAllocation(t *testing.T) {
	refuse := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Pattern = "POST /items/{id}"
		io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusServiceUnavailable) // recorded, and not copied
	})
	m, _ := mirror(t, shadow.InProcess("v2", text("ok")), allMethods)
	h := m.Handler(refuse)
	for _, l := range workloads[:2] {
		w := &nowhere{http.Header{}}
		r, reset := l.request()
		body := rereader{bytes.NewReader(nil)}
		content := bytes.Repeat([]byte("y"), l.size)
		ask := func(h http.Handler) float64 {
			return testing.AllocsPerRun(100, func() {
				r.Pattern = ""
				if l.method == "POST" {
					body.Reset(content)
					r.Body = body
				}
				h.ServeHTTP(w, r)
			})
		}
		reset()
		bare := ask(refuse)
		assert.LessOrEqual(t, ask(h)-bare, 1.0, l.name)
	}
}

// A call through Transport that is not sampled costs nothing. One that is costs one allocation,
// and two more where the answer has a body: its recording, and what is called at its end.
func TestACallOfATransportIsThreeAllocations(t *testing.T) {
	body := strings.NewReader("")
	for name, c := range map[string]struct {
		answer io.ReadCloser
		rate   float64
		most   float64
	}{
		"not sampled":    {io.NopCloser(body), 0, 0},
		"without a body": {http.NoBody, 1, 1},
		"with a body":    {io.NopCloser(body), 1, 3},
	} {
		resp := &http.Response{}
		primary := roundTripper(func(*http.Request) (*http.Response, error) {
			*resp = http.Response{StatusCode: http.StatusServiceUnavailable, ContentLength: 2, Body: c.answer} // recorded, and not copied
			return resp, nil
		})
		m, _ := mirror(t, shadow.InProcess("v2", text("ok")), shadow.WithSampler(shadow.Rate(c.rate)))
		r, _ := workloads[0].request()
		var buf [4]byte
		call := func(through http.RoundTripper) float64 {
			return testing.AllocsPerRun(100, func() {
				body.Reset("ok")
				resp, err := through.RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				for err == nil {
					_, err = resp.Body.Read(buf[:])
				}
				resp.Body.Close()
			})
		}
		bare := call(primary)
		got := call(m.Transport(primary)) - bare
		assert.LessOrEqual(t, got, c.most, name)
	}
}
