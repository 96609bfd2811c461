package redact

import (
	"net/url"
	"path"
	"strings"
	"sync/atomic"

	"github.com/goshadow/shadow/internal/media"
)

// URLs calls edit for every URL that a header field value holds, as it is written: the
// whole value, or what stands in angle brackets (RFC 8288).
func URLs(value string, edit func(u string) string) string {
	if !strings.Contains(value, "<") {
		return edit(value)
	}
	var out strings.Builder
	for {
		before, rest, ok := strings.Cut(value, "<")
		out.WriteString(before)
		if !ok {
			return out.String()
		}
		u, after, ok := strings.Cut(rest, ">")
		out.WriteString("<" + edit(u))
		if !ok {
			return out.String()
		}
		out.WriteByte('>')
		value = after
	}
}

// WithoutUser removes the user information from every URL in text (RFC 3986 section
// 3.2.1), also from those that are percent-encoded, up to four times, as values in other URLs are.
func WithoutUser(text string) string { return withoutUser(text, ends) }

// WithoutUserInQuery does so for what stands behind the ? of a URL.
func WithoutUserInQuery(query string) string { return withoutUser(query, ends+"&") }

// ends are what an authority ends with. In a query a & is one, too.
const ends = "/?#<>\" "

func withoutUser(text, stops string) string {
	if strings.IndexByte(text, '@') < 0 && (strings.IndexByte(text, '%') < 0 || !strings.Contains(text, "40")) {
		return text
	}
	e := edit{doc: []byte(text)}
	for at := 0; at < len(text); {
		slash, level, end := decoded(text, at)
		at = end
		if slash == '?' {
			stops = ends + "&"
		}
		next, deeper, end := decoded(text, at)
		if slash != '/' || next != '/' {
			continue
		}
		at = end
		if host := authority(text, at, max(level, deeper), stops); host > at {
			e.replace(at, host, "")
			at = host
		}
	}
	return string(e.done())
}

// authority returns where the host begins of an authority that begins at at, behind slashes
// that are encoded level times, and ends at one of stops. What is encoded more often than
// the slashes is part of it.
func authority(text string, at, level int, stops string) (host int) {
	host = at
	for at < len(text) {
		c, deeper, end := decoded(text, at)
		switch at = end; {
		case c == '@':
			host = at
		case deeper < level && c == '&', deeper <= level && strings.IndexByte(stops, c) >= 0:
			return host
		}
	}
	return host
}

// decoded returns the character that begins at at, how often it is percent-encoded, and
// where it ends. Behind the end of text it is 0.
func decoded(text string, at int) (c byte, level, end int) {
	if at >= len(text) {
		return 0, 0, at
	}
	if text[at] != '%' {
		return text[at], 0, at + 1
	}
	end = at + 1
	for level = 1; level < maxEncodings && strings.HasPrefix(text[end:], "25") && len(text) >= end+4; level++ {
		end += 2
	}
	if plain := media.Unescape(nil, []byte("%"+text[end:min(end+2, len(text))])); len(plain) == 1 && plain[0] != '%' {
		return plain[0], level, end + 2
	}
	return '%', 0, at + 1
}

// Path is a pattern of paths in the notation of http.ServeMux, whose wildcards are what
// is masked.
type Path struct {
	pattern  string
	segments []string // "" is a wildcard
	rest     bool     // the last wildcard is all that follows
	subtree  bool     // it ends in a slash: what follows stays
	found    atomic.Uint64
}

// Found returns how many paths p has matched.
func (p *Path) Found() uint64 { return p.found.Load() }

// ParsePath reads the path of a pattern, whose syntax is known to be right. Ok is false
// where it has no wildcard.
func ParsePath(pattern string) (p *Path, ok bool) {
	at := strings.IndexByte(pattern, '/')
	p = &Path{pattern: pattern[at:]}
	for segment := range strings.SplitSeq(pattern[at+1:], "/") {
		switch {
		case segment == "{$}":
			continue
		case strings.HasPrefix(segment, "{"):
			p.rest = strings.HasSuffix(segment, "...}")
			segment, ok = "", true
		case segment == "": // the last one
			p.subtree = true
			continue
		default:
			segment = unescaped(segment)
		}
		p.segments = append(p.segments, segment)
	}
	return p, ok
}

// match marks the segments of a path that p masks. It returns false where p is not about
// that path. What is behind a ';' is a parameter to some (RFC 3986 section 3.3).
func (p *Path) match(segments []string, masked []bool) bool {
	n := len(p.segments)
	if len(segments) < n || len(segments) > n && !p.rest && !p.subtree {
		return false
	}
	for i, literal := range p.segments {
		segment := unescaped(segments[i])
		plain, _, _ := strings.Cut(segment, ";")
		if literal != "" && !strings.EqualFold(segment, literal) && !strings.EqualFold(plain, literal) {
			return false
		}
	}
	for i := range segments {
		masked[i] = masked[i] || i < n && p.segments[i] == "" || i >= n && p.rest
	}
	p.found.Add(1)
	return true
}

func unescaped(segment string) string {
	if plain, err := url.PathUnescape(segment); err == nil {
		return plain
	}
	return segment
}

// Paths are patterns that are applied together.
type Paths []*Path

// Mask masks an escaped path by all patterns that are about it, and returns the first of
// these, "" where none is. Letters match in any case, dot segments and doubled slashes
// are taken away first (as http.ServeMux does), and a slash at the end does not count: a
// router of another kind may be as lenient. One that decodes a path before it looks at its
// slashes sees another path: where no pattern is about that which is written, they are
// applied to that one.
func (p Paths) Mask(escaped string, r Replacement) (masked, pattern string) {
	if !strings.HasPrefix(escaped, "/") {
		return escaped, ""
	}
	if masked, pattern = p.mask(escaped, r); pattern != "" {
		return masked, pattern
	}
	if masked, pattern = p.mask(separators.Replace(escaped), r); pattern != "" {
		return masked, pattern
	}
	return escaped, ""
}

// separators are spellings of what paths are cut and cleaned by.
var separators = strings.NewReplacer("%2f", "/", "%2F", "/", "%5c", "/", "%5C", "/", `\`, "/", "%2e", ".", "%2E", ".")

func (p Paths) mask(escaped string, r Replacement) (masked, pattern string) {
	segments := strings.Split(path.Clean(escaped)[1:], "/")
	hidden := make([]bool, len(segments))
	for _, one := range p {
		if one.match(segments, hidden) && pattern == "" {
			pattern = one.pattern
		}
	}
	if pattern == "" {
		return escaped, ""
	}
	out := make([]string, 0, len(segments))
	for i, segment := range segments {
		switch {
		case !hidden[i] || segment == "":
			out = append(out, segment)
		case !r.drop:
			out = append(out, url.PathEscape(r.Text(unescaped(segment))))
		}
	}
	masked = "/" + strings.Join(out, "/")
	if strings.HasSuffix(escaped, "/") && masked != "/" {
		masked += "/"
	}
	return masked, pattern
}

// PathOf finds the path of a URL as it is written in a header field value: behind the
// host, or behind "url=" (Refresh). What has neither a host nor a slash at its beginning
// is no URL.
func PathOf(u string) (start, end int) {
	start = strings.IndexByte(u, '/')
	switch i := strings.Index(u, "//"); {
	case i >= 0 && (i == 0 || u[i-1] == ':'):
		i += len("//")
		start = i + strings.IndexAny(u[i:]+"/", "/?#")
	case start > 0 && !strings.HasSuffix(strings.ToLower(strings.Trim(u[:start], `'"`)), "url="):
		return 0, 0
	case start < 0:
		return 0, 0
	}
	return start, start + strings.IndexAny(u[start:]+"?", "?#")
}
