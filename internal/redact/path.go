package redact

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/goshadow/shadow/internal/message"
)

// MaskPath masks the segments of paths that are wildcards of the patterns.
func MaskPath(patterns ...string) *Rule {
	r := &Rule{Option: "MaskPath", Given: slices.Clone(patterns), values: true}
	for _, pattern := range patterns {
		if err := checkPattern(pattern); err != nil {
			r.Err = errors.Join(r.Err, fmt.Errorf("MaskPath: %w", err))
			continue
		}
		if route := strings.TrimLeft(pattern[strings.IndexAny(pattern, " \t")+1:], " \t"); route[0] != '/' {
			r.Err = errors.Join(r.Err, fmt.Errorf("MaskPath: %q begins with a host: write the path alone, with its leading slash", pattern))
		}
		p, ok := ParsePath(pattern)
		if !ok {
			r.Err = errors.Join(r.Err, fmt.Errorf("MaskPath: %q has no wildcard, so there is nothing to mask", pattern))
		}
		r.paths = append(r.paths, p)
	}
	paths := r.paths
	r.Found = func(i int) uint64 { return paths[i].Found() }
	r.mask = func(m *message.Message, with Replacement) error {
		if m.URL != nil && m.URL.Opaque != "" {
			return &Error{"MaskPath", errors.New("the URL has no path")}
		}
		if m.URL != nil {
			if masked, pattern := paths.Mask(m.URL.EscapedPath(), with); pattern != "" {
				u := *m.URL
				setPath(&u, masked)
				m.URL = &u
			}
		}
		eachValue(m, func(_, value string) string {
			if strings.IndexByte(value, '/') < 0 {
				return value
			}
			return URLs(value, func(u string) string {
				start, end := PathOf(u)
				masked, _ := paths.Mask(u[start:end], with)
				return u[:start] + masked + u[end:]
			})
		})
		return nil
	}
	return r
}

// checkPattern returns what http.ServeMux has against a pattern.
func checkPattern(pattern string) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%v", v)
		}
	}()
	http.NewServeMux().Handle(pattern, http.NotFoundHandler())
	return nil
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
