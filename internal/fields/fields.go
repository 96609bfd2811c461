// Package fields works on HTTP header fields: snapshots, lists, hop-by-hop hygiene.
package fields

import (
	"iter"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
)

// Snapshot is a copy of a header in one allocation: name, value, name, value ...,
// the values of a name side by side.
type Snapshot []string

// Take copies h. Names without a value are left out.
func Take(h http.Header) Snapshot {
	n := 0
	for _, values := range h {
		n += len(values)
	}
	if n == 0 {
		return nil
	}
	f := make(Snapshot, 0, 2*n)
	for name, values := range h {
		for _, v := range values {
			f = append(f, name, v)
		}
	}
	return f
}

// Header returns f as a header that the caller owns, with room for extra names.
func (f Snapshot) Header(extra int) http.Header {
	h := make(http.Header, len(f)/2+extra)
	values := make([]string, 0, len(f)/2)
	for i := 0; i < len(f); {
		name, from := f[i], len(values)
		for ; i < len(f) && f[i] == name; i += 2 {
			values = append(values, f[i+1])
		}
		h[name] = values[from:len(values):len(values)]
	}
	return h
}

// Tokens yields the members of a comma-separated list (RFC 9110 section 5.6.1).
func Tokens(list string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for part := range strings.SplitSeq(list, ",") {
			if part = textproto.TrimString(part); part != "" && !yield(part) {
				return
			}
		}
	}
}

// hopByHop are the fields that concern one connection only (RFC 9110 section 7.6.1),
// and those that customarily do.
var hopByHop = [...]string{
	"Connection", "Proxy-Connection", "Keep-Alive", "Te", "Transfer-Encoding", "Upgrade",
	"Trailer", "Proxy-Authenticate", "Proxy-Authorization",
}

// StripHopByHop removes from h what must not be forwarded: the fields that are hop-by-hop
// by definition and those that Connection names, in any spelling, also of h's own keys.
func StripHopByHop(h http.Header) {
	drop := slices.Clip(hopByHop[:])
	for key, lists := range h {
		if http.CanonicalHeaderKey(key) != "Connection" {
			continue
		}
		for _, list := range lists {
			for name := range Tokens(list) {
				drop = append(drop, http.CanonicalHeaderKey(name))
			}
		}
	}
	for key := range h {
		if slices.Contains(drop, http.CanonicalHeaderKey(key)) {
			delete(h, key)
		}
	}
}

// IsToken tells whether s is a token (RFC 9110 section 5.6.2), as the names of methods
// and fields are.
func IsToken(s string) bool {
	for i := range len(s) {
		if !isTokenByte(s[i]) {
			return false
		}
	}
	return s != ""
}

func isTokenByte(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// Valid tells whether names and values of h can be sent (RFC 9110 section 5.5).
func Valid(h http.Header) bool {
	for name, values := range h {
		if !IsToken(name) {
			return false
		}
		for _, v := range values {
			for i := range len(v) {
				if c := v[i]; c < ' ' && c != '\t' || c == 0x7f {
					return false
				}
			}
		}
	}
	return true
}
