// Package fields works on HTTP header fields: snapshots, lists, hop-by-hop hygiene.
package fields

import (
	"iter"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
)

// Snapshot is a copy of a header, in one allocation at most: for each name the name, a
// string as long as there are values (up to most), and the values.
type Snapshot []string

// most is how many values stand behind one name; where there are more the name comes
// again.
const most = 32

var counts = strings.Repeat("#", most)

// Take copies h, into room if it is large enough. Names without a value are left out.
func Take(h http.Header, room []string) Snapshot {
	if len(h) == 0 {
		return nil
	}
	s := Snapshot(room[:0])
	if cap(s) < 3*len(h) { // which is enough where no name has several values
		s = make(Snapshot, 0, 3*len(h))
	}
	for name, values := range h {
		if len(values) == 1 { // as nearly always
			s = append(s, name, counts[:1], values[0])
			continue
		}
		for part := range slices.Chunk(values, most) {
			s = append(append(s, name, counts[:len(part)]), part...)
		}
	}
	return s
}

// All yields the names and the values of each.
func (s Snapshot) All() iter.Seq2[string, []string] {
	return func(yield func(string, []string) bool) {
		for i := 0; i < len(s); {
			from, to := i+2, i+2+len(s[i+1])
			if !yield(s[i], s[from:to:to]) {
				return
			}
			i = to
		}
	}
}

// First returns the first value of the field name, in its usual spelling, or "".
func (s Snapshot) First(name string) string {
	for field, values := range s.All() {
		if field == name {
			return values[0]
		}
	}
	return ""
}

// Header returns s as a header with room for extra names. The values are those of s: of
// all headers made so one may be changed, and s not be used any more then.
func (s Snapshot) Header(extra int) http.Header {
	names := 0
	for range s.All() {
		names++
	}
	h := make(http.Header, names+extra)
	for name, values := range s.All() {
		if more, ok := h[name]; ok {
			values = append(more, values...)
		}
		h[name] = values
	}
	return h
}

// Without removes the names that begin with prefix from s, in place.
func (s Snapshot) Without(prefix string) Snapshot {
	kept := s[:0]
	for i := 0; i < len(s); {
		end := i + 2 + len(s[i+1])
		if !strings.HasPrefix(s[i], prefix) {
			kept = append(kept, s[i:end]...)
		}
		i = end
	}
	return kept
}

// perValue is about how many bytes a field takes besides its text: in a Snapshot, in the
// header it was taken from, and in the three headers that are made of it on its way.
const perValue = 256

// Size is about how many bytes s, and the headers made of it, hold.
func (s Snapshot) Size() int64 {
	size := int64(len(s)) * perValue / 2 // a name, a count, and a value as a rule
	for _, text := range s {
		size += int64(len(text))
	}
	return size
}

// Size is about how many bytes h holds.
func Size(h http.Header) (size int64) {
	for name, values := range h {
		size += perValue + int64(len(name))
		for _, v := range values {
			size += perValue/2 + int64(len(v))
		}
	}
	return size
}

// Clone returns a copy of s, in one allocation.
func (s Snapshot) Clone() Snapshot { return slices.Clone(s) }

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

// hopByHop reports whether a field concerns one connection only (RFC 9110 section 7.6.1), or
// customarily does.
func hopByHop(name string) bool {
	switch name {
	case "Connection", "Proxy-Connection", "Keep-Alive", "Te", "Transfer-Encoding", "Upgrade",
		"Trailer", "Proxy-Authenticate", "Proxy-Authorization":
		return true
	}
	return false
}

// StripHopByHop removes from h what must not be forwarded: the fields that are hop-by-hop
// by definition and those that Connection names, in any spelling, also of h's own keys.
// "TE: trailers" stays: it says that the client takes trailers, and a proxy that forwards
// trailers sends it on (RFC 9110 section 10.1.4, RFC 9113 section 8.2.2).
func StripHopByHop(h http.Header) {
	var named map[string]bool
	trailers := false
	for key, lists := range h {
		name := http.CanonicalHeaderKey(key)
		switch name {
		case "Connection":
			for _, list := range lists {
				for name := range Tokens(list) {
					if named == nil {
						named = map[string]bool{}
					}
					named[http.CanonicalHeaderKey(name)] = true
				}
			}
		case "Te":
			trailers = trailers || takesTrailers(lists)
		}
		if hopByHop(name) {
			delete(h, key)
		}
	}
	if len(named) > 0 {
		for key := range h {
			if named[http.CanonicalHeaderKey(key)] {
				delete(h, key)
			}
		}
	}
	if trailers {
		h["Te"] = []string{"trailers"}
	}
}

// takesTrailers reports whether one of the values of TE is "trailers".
func takesTrailers(lists []string) bool {
	for _, list := range lists {
		for coding := range Tokens(list) {
			if strings.EqualFold(coding, "trailers") {
				return true
			}
		}
	}
	return false
}

// IsToken reports whether s is a token (RFC 9110 section 5.6.2), as the names of methods
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

// Valid reports whether names and values of h can be sent (RFC 9110 section 5.5).
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

// Values returns the values of a field in all spellings of its name: a program may have put them
// into the header by itself.
func Values(h http.Header, name string) []string {
	all := slices.Clip(h[name]) // the values are the header's
	for key, values := range h {
		if key != name && strings.EqualFold(key, name) {
			all = append(all, values...)
		}
	}
	return all
}
