// Package patterns finds the pattern of http.ServeMux that a request matches, without a
// handler and, for a path as servers parse it, without allocating.
package patterns

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
)

// Table is a set of patterns. It must not be copied. Match is safe for concurrent use, Add is not.
type Table struct {
	mux  http.ServeMux // says what is a pattern, and which ones conflict
	root node
}

// node is what patterns have in common up to a position: host, method, and then one segment
// of the path after another.
type node struct {
	pattern  string // that ends here; empty if none does
	segments int    // of pattern
	many     bool   // pattern ends in a wildcard for the rest of a path
	literal  map[string]*node
	any      *node // a host or method that is not given, a wildcard for one segment
	rest     *node // a wildcard for the rest of a path
}

// Add adds a pattern. The error is that of http.ServeMux.
func (t *Table) Add(pattern string) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%v", v)
		}
	}()
	t.mux.Handle(pattern, http.NotFoundHandler())
	method, rest := "", pattern
	if i := strings.IndexAny(pattern, " \t"); i >= 0 {
		method, rest = pattern[:i], strings.TrimLeft(pattern[i+1:], " \t")
	}
	slash := strings.IndexByte(rest, '/')
	n := t.root.child(rest[:slash]).child(method)
	segments, many := 0, false
	for rest = rest[slash:]; rest != ""; segments++ {
		segment, after, _ := strings.Cut(rest[1:], "/")
		rest = rest[1+len(segment):]
		switch {
		case segment == "" && after == "" && rest == "", strings.HasSuffix(segment, "...}"):
			if n.rest == nil {
				n.rest = new(node)
			}
			n, many = n.rest, true
		case segment == "{$}":
			n = n.child("/")
		case strings.HasPrefix(segment, "{"):
			n = n.child("")
		default:
			n = n.child(unescape(segment))
		}
	}
	n.pattern, n.segments, n.many = pattern, segments, many
	return nil
}

// child returns the node below n for a literal, or for anything if that is empty.
func (n *node) child(literal string) *node {
	if literal == "" {
		if n.any == nil {
			n.any = new(node)
		}
		return n.any
	}
	if n.literal[literal] == nil {
		if n.literal == nil {
			n.literal = map[string]*node{}
		}
		n.literal[literal] = new(node)
	}
	return n.literal[literal]
}

// Match returns the pattern that ServeMux.Handler finds for r, empty if there is none.
func (t *Table) Match(r *http.Request) string {
	p := r.URL.Path
	if r.Method == http.MethodConnect || r.URL.RawPath != "" || !clean(p) {
		_, pattern := t.mux.Handler(r) // it allocates
		return pattern
	}
	host := r.Host
	if strings.IndexByte(host, ':') >= 0 {
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
	}
	n := t.find(host, r.Method, position{p, false})
	if strings.HasSuffix(p, "/") || n != nil && !n.many {
		return n.name()
	}
	// ServeMux sends the client of /a to a pattern for /a/, if there is one.
	if slashed := t.find(host, r.Method, position{p, true}); slashed != nil &&
		(!slashed.many || slashed.segments == strings.Count(p, "/")+1) {
		return slashed.pattern
	}
	return n.name()
}

// clean reports whether ServeMux matches p as it is.
func clean(p string) bool {
	if p == "" || p[0] != '/' {
		return false
	}
	c := path.Clean(p)
	return c == p || c != "/" && len(p) == len(c)+1 && strings.HasPrefix(p, c) && p[len(p)-1] == '/'
}

func (n *node) name() string {
	if n == nil {
		return ""
	}
	return n.pattern
}

// position is what is left of a path, to which a slash may be appended.
type position struct {
	path  string
	slash bool
}

// next returns the first segment, which is "/" for a slash at the end, and what is behind it.
func (p position) next() (segment string, rest position) {
	if p.path == "" || p.path == "/" {
		return "/", position{}
	}
	end := strings.IndexByte(p.path[1:], '/') + 1
	if end == 0 {
		end = len(p.path)
	}
	return p.path[1:end], position{p.path[end:], p.slash}
}

// find looks for the most specific pattern: one with the host comes before one without, then one
// with the method, then one with a literal segment before one with a wildcard.
func (t *Table) find(host, method string, p position) *node {
	if host != "" {
		if n := t.root.literal[host].method(method, p); n != nil {
			return n
		}
	}
	return t.root.any.method(method, p)
}

func (n *node) method(method string, p position) *node {
	if n == nil {
		return nil
	}
	if found := n.literal[method].find(p); found != nil {
		return found
	}
	if method == http.MethodHead {
		if found := n.literal[http.MethodGet].find(p); found != nil {
			return found
		}
	}
	return n.any.find(p)
}

// find visits each node below n once at most.
func (n *node) find(p position) *node {
	if n == nil {
		return nil
	}
	if p == (position{}) {
		if n.pattern == "" {
			return nil
		}
		return n
	}
	segment, rest := p.next()
	if found := n.literal[segment].find(rest); found != nil {
		return found
	}
	if segment != "/" {
		if found := n.any.find(rest); found != nil {
			return found
		}
	}
	return n.rest
}

func unescape(segment string) string {
	if s, err := url.PathUnescape(segment); err == nil {
		return s
	}
	return segment
}
