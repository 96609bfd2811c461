package shadow

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/goshadow/shadow/internal/redact"
)

// MaskQuery replaces the values of the named query parameters by "[masked]": every
// occurrence, whatever the spelling of its name, and email[] and email[home] as email. It
// looks in the URL of a request and in URLs that header fields hold, such as Referer,
// Location, Link and X-Original-Url; in fragments that look like queries, in URLs inside of
// parameters, and in the parameters of path segments (;jsessionid=). Everything else stays as
// it was, byte for byte.
func MaskQuery(names ...string) Masker {
	m := &maskQuery{given: slices.Clone(names), names: redact.NewNames(names...)}
	if m.names[""] != nil {
		m.err = errors.New("MaskQuery: empty name")
	}
	return m
}

type maskQuery struct {
	replacing
	given []string
	names redact.Names
	err   error
}

func (m *maskQuery) Rules() []RuleUse {
	return ruleUses("MaskQuery", m.given, func(i int) uint64 { return m.names.Found(m.given[i]) })
}

func (m *maskQuery) Fault() error { return m.err }

func (m *maskQuery) with(r redact.Replacement) Masker {
	changed := *m
	changed.r = r
	return &changed
}

func (m *maskQuery) Mask(msg *Message) error {
	if m.err != nil {
		return m.err
	}
	if msg.URL != nil {
		u := *msg.URL
		u.RawQuery = m.form(u.RawQuery)
		u.Opaque = m.url(u.Opaque)
		if path := u.EscapedPath(); strings.IndexByte(path, ';') >= 0 {
			if masked := redact.PathParameters(path, m.names, m.r); masked != path {
				setPath(&u, masked)
			}
		}
		if u.Fragment != "" {
			maskFragment(&u, m.form)
		}
		msg.URL = &u
	}
	eachValue(msg, func(name, value string) string {
		switch {
		case strings.ContainsAny(value, "?#"):
		case strings.IndexByte(value, ';') >= 0:
			return redact.URLs(value, func(u string) string {
				start, end := redact.PathOf(u)
				return u[:start] + redact.PathParameters(u[start:end], m.names, m.r) + u[end:]
			})
		default:
			return value
		}
		if strings.EqualFold(name, "Cookie") || strings.EqualFold(name, "Set-Cookie") { // a URL in a cookie ends with it
			parts := strings.Split(value, ";")
			for i, part := range parts {
				parts[i] = m.url(part)
			}
			return strings.Join(parts, ";")
		}
		return redact.URLs(value, m.url)
	})
	return nil
}

// maskFragment gives u the fragment that mask makes of its own.
func maskFragment(u *url.URL, mask func(string) string) {
	masked := mask(u.EscapedFragment())
	if masked == u.EscapedFragment() {
		return
	}
	u.Fragment, u.RawFragment = masked, masked
	if plain, err := url.PathUnescape(masked); err == nil {
		u.Fragment = plain
	}
}

func (m *maskQuery) url(u string) string { return redact.URL(u, m.names, m.r) }

func (m *maskQuery) form(text string) string {
	if text == "" {
		return ""
	}
	return string(redact.Form([]byte(text), m.names, m.r))
}

// MaskPath replaces the segments of a path that are wildcards of a pattern by "[masked]":
// "/users/{email}" hides the address, "/files/{path...}" all segments behind files. The
// patterns are those of http.ServeMux without a host; their methods are not looked at: give it
// the routes of the service. The URL of a request is masked, and the URLs that header
// fields hold, such as Referer and Location.
//
// A pattern of a mask of the target, the control or the record that matches a request is
// its Result.Route too, where neither WithRoute nor Request.Pattern names one.
func MaskPath(patterns ...string) Masker {
	m := &maskPath{given: slices.Clone(patterns)}
	for _, pattern := range patterns {
		if err := checkPattern(pattern); err != nil {
			m.err = errors.Join(m.err, fmt.Errorf("MaskPath: %w", err))
			continue
		}
		if route := strings.TrimLeft(pattern[strings.IndexAny(pattern, " \t")+1:], " \t"); route[0] != '/' {
			m.err = errors.Join(m.err, fmt.Errorf("MaskPath: %q begins with a host: write the path alone, with its leading slash", pattern))
		}
		path, ok := redact.ParsePath(pattern)
		if !ok {
			m.err = errors.Join(m.err, fmt.Errorf("MaskPath: %q has no wildcard, so there is nothing to mask", pattern))
		}
		m.paths = append(m.paths, path)
	}
	return m
}

// checkPattern tells what http.ServeMux has against a pattern.
func checkPattern(pattern string) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%v", v)
		}
	}()
	http.NewServeMux().Handle(pattern, http.NotFoundHandler())
	return nil
}

type maskPath struct {
	replacing
	given []string
	paths redact.Paths
	err   error
}

func (m *maskPath) Rules() []RuleUse {
	if m.err != nil {
		return nil
	}
	return ruleUses("MaskPath", m.given, func(i int) uint64 { return m.paths[i].Found() })
}

func (m *maskPath) Fault() error { return m.err }

func (m *maskPath) with(r redact.Replacement) Masker {
	changed := *m
	changed.r = r
	return &changed
}

func (m *maskPath) Mask(msg *Message) error {
	if m.err != nil {
		return m.err
	}
	if msg.URL != nil {
		if msg.URL.Opaque != "" {
			return errors.New("shadow: MaskPath: the URL has no path")
		}
		msg.URL = m.url(msg.URL)
	}
	eachValue(msg, func(name, value string) string {
		if strings.IndexByte(value, '/') < 0 {
			return value
		}
		return redact.URLs(value, func(u string) string {
			start, end := redact.PathOf(u)
			masked, _ := m.paths.Mask(u[start:end], m.r)
			return u[:start] + masked + u[end:]
		})
	})
	return nil
}

// url masks the path of u.
func (m *maskPath) url(u *url.URL) *url.URL {
	masked, pattern := m.paths.Mask(u.EscapedPath(), m.r)
	if pattern == "" {
		return u
	}
	out := *u
	setPath(&out, masked)
	return &out
}

// setPath gives u the path that is escaped like that.
func setPath(u *url.URL, escaped string) {
	plain, err := url.PathUnescape(escaped)
	if err != nil {
		plain = escaped
	}
	u.Path, u.RawPath = plain, ""
	if u.EscapedPath() != escaped {
		u.RawPath = escaped
	}
}
