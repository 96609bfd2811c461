//go:build !race

package shadow_test

import (
	"bytes"
	"io"
	"net/http"
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
