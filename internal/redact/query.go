package redact

import (
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/goshadow/shadow/internal/message"
)

// MaskQuery masks the named parameters of URLs.
func MaskQuery(names ...string) *Rule {
	set := NewNames(names...)
	r := &Rule{Option: "MaskQuery", Given: slices.Clone(names), values: true}
	if set[""] != nil {
		r.Err = errors.New("MaskQuery: empty name")
	}
	r.Found = func(i int) uint64 { return set.Found(r.Given[i]) }
	r.mask = func(m *message.Message, with Replacement) error { maskQuery(m, set, with); return nil }
	return r
}

// maskQuery masks the named parameters of the URL of m, and of the URLs in its fields.
func maskQuery(m *message.Message, names Names, r Replacement) {
	form := func(text string) string {
		if text == "" {
			return ""
		}
		return string(Form([]byte(text), names, r))
	}
	inURL := func(u string) string { return URL(u, names, r) }
	if m.URL != nil {
		u := *m.URL
		u.RawQuery, u.Opaque = form(u.RawQuery), inURL(u.Opaque)
		if path := u.EscapedPath(); strings.IndexByte(path, ';') >= 0 {
			if masked := PathParameters(path, names, r); masked != path {
				setPath(&u, masked)
			}
		}
		if u.Fragment != "" {
			maskFragment(&u, form)
		}
		m.URL = &u
	}
	eachValue(m, func(name, value string) string {
		switch {
		case strings.ContainsAny(value, "?#"):
		case strings.IndexByte(value, ';') >= 0:
			return URLs(value, func(u string) string {
				start, end := PathOf(u)
				return u[:start] + PathParameters(u[start:end], names, r) + u[end:]
			})
		default:
			return value
		}
		if strings.EqualFold(name, "Cookie") || strings.EqualFold(name, "Set-Cookie") { // a URL in a cookie ends with it
			parts := strings.Split(value, ";")
			for i, part := range parts {
				parts[i] = inURL(part)
			}
			return strings.Join(parts, ";")
		}
		return URLs(value, inURL)
	})
}

// URL masks the query of a URL that is written as u, a fragment that looks like one, and the
// parameters of the segments of its path.
func URL(u string, names Names, r Replacement) string {
	start, end := PathOf(u)
	before, fragment, found := strings.Cut(u[end:], "#")
	masked := u[:start] + PathParameters(u[start:end], names, r)
	if query, ok := strings.CutPrefix(before, "?"); ok {
		if query = string(Form([]byte(query), names, r)); query != "" || before == "?" {
			masked += "?" + query
		}
	} else {
		masked += string(Form([]byte(before), names, r))
	}
	if found {
		masked += "#" + string(Form([]byte(fragment), names, r))
	}
	return masked
}

// PathParameters masks the values of the named parameters of path segments, which stand behind
// semicolons (RFC 3986 section 3.3), such as the jsessionid of servlets.
func PathParameters(escaped string, names Names, r Replacement) string {
	e := edit{doc: []byte(escaped)}
	for at := 0; at < len(escaped); {
		i := strings.IndexByte(escaped[at:], ';')
		if i < 0 {
			break
		}
		start := at + i
		end := len(escaped)
		if i := strings.IndexAny(escaped[start+1:], ";/"); i >= 0 {
			end = start + 1 + i
		}
		name, value, _ := strings.Cut(escaped[start+1:end], "=")
		if at = end; !names.HasField(unescaped(name)) {
			continue
		}
		if r.drop {
			e.replace(start, end, "")
		} else {
			e.replace(start, end, ";"+name+"="+url.PathEscape(r.Text(unescaped(value))))
		}
	}
	return string(e.done())
}
