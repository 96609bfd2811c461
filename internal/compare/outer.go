package compare

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/goshadow/shadow/internal/fields"
	"github.com/goshadow/shadow/internal/message"
)

// Outer is what middleware around the Mirror has set in the header of the primary's answer
// before the primary was called.
type Outer struct {
	Header  http.Header
	Sniffed string // the Content-Type that the handler alone would have got
	// NoTrailer says that the trailers of the primary's answer are not compared: HTTP/1 could
	// not carry them.
	NoTrailer bool
}

// Own returns the primary's answer p as it is compared with the shadow's. What middleware around
// had set, and the primary left, is a part of it only where the shadow's answer has such a field
// too: the shadow may run behind the same middleware, or behind none.
func (o Outer) Own(p, answer *message.Message) *message.Message {
	own := *p
	own.Header = withoutOuter(p.Header, o.Header, answer.Header, o.Sniffed)
	switch {
	case o.NoTrailer:
		own.Trailer = nil
	case len(p.Trailer) > 0:
		own.Trailer = withoutOuter(p.Trailer, outerTrailers(o.Header), answer.Trailer, "")
		for _, list := range o.Header["Trailer"] { // a handler that did not announce them sends none
			for name := range fields.Tokens(list) {
				if name = http.CanonicalHeaderKey(name); len(answer.Trailer[name]) == 0 {
					delete(own.Trailer, name)
				}
			}
		}
	}
	return &own
}

// withoutOuter returns whole without the fields of outer that answer does not have. Sniffed is
// the Content-Type that the handler alone would have got.
func withoutOuter(whole, outer, answer http.Header, sniffed string) http.Header {
	h := maps.Clone(whole)
	for name, before := range outer {
		n := len(before)
		if values := whole[name]; len(values) < n || !slices.Equal(values[:n], before) {
			continue // the primary has changed it, or taken it away
		}
		own := whole[name][n:]
		if name == "Content-Type" && sniffed != "" {
			own = []string{sniffed}
		}
		switch theirs := answer[name]; {
		case len(theirs) > 0 && (len(own) == 0 || holdsAll(name, theirs, before)):
		case len(own) == 0:
			delete(h, name)
		default:
			h[name] = own
		}
	}
	if len(whole["Content-Type"]) == 0 && sniffed != "" && len(answer["Content-Type"]) > 0 {
		h["Content-Type"] = []string{sniffed} // a coding of the middleware has kept net/http from it
	}
	return h
}

// holdsAll reports whether each of before is among values: as one of them or in a list. A
// cookie is if another value of it is.
func holdsAll(name string, values, before []string) bool {
	among := func(v string) bool {
		return slices.ContainsFunc(values, func(value string) bool {
			if name == "Set-Cookie" {
				was, _, _ := strings.Cut(v, "=")
				is, _, _ := strings.Cut(value, "=")
				return was == is
			}
			for member := range fields.Tokens(value) {
				if strings.EqualFold(member, v) {
					return true
				}
			}
			return value == v
		})
	}
	for _, v := range before {
		if !among(v) {
			return false
		}
	}
	return true
}

// outerTrailers are the fields of outer that are sent after the body.
func outerTrailers(outer http.Header) http.Header {
	t := maps.Clone(outer)
	for name, values := range outer {
		if name, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			t[http.CanonicalHeaderKey(name)] = values
		}
	}
	return t
}
