package redact

import (
	"net/url"
	"strings"

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
