package middleware

import (
	"encoding/hex"
	"math/rand/v2"
	"net/http"

	"github.com/goshadow/shadow/internal/fields"
	"github.com/goshadow/shadow/internal/handback"
)

// RequestID returns a middleware that gives every request an ID: one without the header
// field of that name gets 128 random bits in hex, the form of a W3C trace ID. An ID that
// is there is kept. An empty name means X-Request-Id. RequestID panics if name is not a
// valid field name.
//
// A shadow.Mirror changes nothing of the primary's request: the ID that it makes for a
// request without one is on the copy and in its Result only. Put RequestID around the
// Mirror to have primary and shadow log the same ID. Give it the name that
// shadow.WithRequestID has, if any:
//
//	handler := middleware.RequestID("")(mirror.Handler(app))
//
// The ID is on a shallow copy of the server's Request, which has a header of its own and
// the same Body and ResponseWriter. What the handler inside changes there in place, the
// middleware around sees when it has returned.
func RequestID(name string) func(http.Handler) http.Handler {
	if name == "" {
		name = "X-Request-Id"
	}
	if !fields.IsToken(name) {
		panic("middleware: RequestID: " + name + " is not a header name")
	}
	name = http.CanonicalHeaderKey(name)
	return func(next http.Handler) http.Handler {
		if next == nil {
			panic("middleware: RequestID: nil handler")
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get(name) != "" {
				next.ServeHTTP(w, r)
				return
			}
			given := *r
			if given.Header = r.Header.Clone(); given.Header == nil {
				given.Header = http.Header{}
			}
			given.Header[name] = []string{newID()}
			handback.Serve(next, w, r, &given)
		})
	}
}

func newID() string {
	var b [16]byte
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return hex.EncodeToString(b[:])
}
