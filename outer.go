package shadow

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/goshadow/shadow/internal/fields"
)

// primary returns the primary's answer p as it is compared with that of the target. What
// middleware around the Mirror had set before the primary was called, and the primary left,
// is a part of it only where the target's has such a field too: it may run behind the same
// middleware, or behind none.
func (a *attempt) primary(p *Message) *Message {
	j := a.j
	late := a.unchunked && len(p.Trailer) > 0 && j.resp.Trailerless()
	if len(j.outer) == 0 && !late {
		return p
	}
	own, outer := *p, j.outer.Header(0)
	own.Header = withoutOuter(p.Header, outer, a.got.Header, j.resp.Sniffed(p.Header))
	switch {
	case late:
		own.Trailer = nil // HTTP/1 could not carry them
	case len(p.Trailer) > 0:
		own.Trailer = withoutOuter(p.Trailer, outerTrailers(outer), a.got.Trailer, "")
		for _, list := range outer["Trailer"] { // a handler that did not announce them sends none
			for name := range fields.Tokens(list) {
				if name = http.CanonicalHeaderKey(name); len(a.got.Trailer[name]) == 0 {
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

// dropOuterCoding removes from the header of the primary's answer the codings that
// middleware around had set, and applies to what the primary writes.
func (j *job) dropOuterCoding(h http.Header) {
	for name, before := range j.outer.All() {
		if (name == "Content-Encoding" || name == "Transfer-Encoding") && slices.Equal(h[name], before) {
			delete(h, name)
		}
	}
}

// outerType is the Content-Type that middleware around had set.
func (j *job) outerType() string {
	for name, before := range j.outer.All() {
		if name == "Content-Type" {
			return before[0]
		}
	}
	return ""
}
