package shadow_test

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

// fieldsDiffer are the paths of the differences of two answers with one field each; "-" is none.
func fieldsDiffer(t *testing.T, o shadow.CompareOptions, name, p, s string) (paths []string) {
	t.Helper()
	c, err := shadow.NewComparator(o)
	require.NoError(t, err)
	message := func(value string) *shadow.Message {
		m := &shadow.Message{StatusCode: 200, Header: http.Header{}}
		if value != "-" {
			m.Header[name] = strings.Split(value, "|")
		}
		return m
	}
	for _, d := range c.Compare(&shadow.Exchange{Primary: message(p), Shadow: message(s)}).Diffs {
		paths = append(paths, d.Path+" "+string(d.Kind))
	}
	return paths
}

// A field is compared by what its grammar says it means, not by how it is spelled.
func TestHeaderFieldsAreComparedByValue(t *testing.T) {
	for _, c := range []struct {
		name, a, b string
		same       bool
	}{
		{"Cache-Control", `max-age="60"`, `max-age=60`, true},
		{"Cache-Control", `max-age=60, Public`, `public,MAX-AGE=060`, true},
		{"Cache-Control", `max-age=60`, `max-age=61`, false},
		{"Cache-Control", `max-age=60`, `s-maxage=60`, false},
		{"Cache-Control", `private="X-A, X-B"`, `private="x-a,x-b"`, true},
		{"Cache-Control", `private="a"`, `private`, false},
		{"Cache-Control", "no-store|no-cache", "no-cache, no-store", true},
		{"Link", `</a>; rel=next`, `</a>;rel="next"`, true},
		{"Link", `</a>; rel="next prev"; title="x"`, `</a>; title=x; REL="prev  next"`, true},
		{"Link", `</a,b;c>; rel=next, </d>; rel=prev`, `</d>; rel=prev, </a,b;c>; rel=next`, true},
		{"Link", `</a>; rel=next`, `</a>; rel=prev`, false},
		{"Link", `</a>; rel=next`, `</b>; rel=next`, false},
		{"Link", `</a>; title="x"`, `</a>; title="X"`, false},
		{"Link", `</a>; title="a;b"`, `</a>; title=a; b`, false},
		{"Content-Type", `text/html; charset="UTF-8"`, `text/html;charset=utf-8`, true},
		{"Content-Type", `text/html; a=b`, `text/html; a=c`, false},
		{"Content-Disposition", `attachment; filename="a.csv"`, `attachment;filename=a.csv`, true},
		{"Content-Disposition", `attachment; filename="a.csv"`, `inline; filename="a.csv"`, false},
		{"Vary", "Accept, Origin", "origin,accept", true},
		{"Vary", "Accept", "Accept, Origin", false},
		{"Strict-Transport-Security", `max-age="31536000"; includeSubDomains`, `includesubdomains; max-age=31536000`, true},
		{"Strict-Transport-Security", `max-age=31536000; includeSubDomains`, `max-age=31536000`, false},
		{"Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", true},
		{"Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:38 GMT", false},
		{"Retry-After", "060", "60", true},
		{"Retry-After", "60", "61", false},
		{"Allow", "GET, PUT", "PUT,GET", true},
		{"Allow", "GET", "get", false},
		{"X-Frame-Options", "deny", "DENY", true},
		{"X-Other", "a,b", "b,a", false},
		{"X-Other", "a|b", "a, b", true},
		{"Content-Language", "de, en", "DE,en", true},
		{"Content-Language", "de, en", "en, de", false},
		// Attributes of cookies: RFC 6265 section 5.
		{"Set-Cookie", "a=1; Expires=Wed, 09 Jun 2100 10:18:14 GMT", "a=1; expires=Wed, 09-Jun-2100 10:18:14 GMT", true},
		{"Set-Cookie", "a=1; Expires=Wed, 09-Jun-2100 10:18:14 GMT", "a=1; Expires=Thu, 01-Jan-1970 00:00:00 GMT", false},
		{"Set-Cookie", "a=1; Expires=Thu Jun  9 10:18:14 2100", "a=1; Expires=9 jun 2100 10:18:14", true},
		{"Set-Cookie", "a=1; Expires=01-Jan-70 0:0:0 GMT", "a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT", true},
		{"Set-Cookie", "a=1; Expires=Wed, 31 Feb 2100 10:18:14 GMT", "a=1; Expires=Wed, 09 Jun 2100 10:18:14 GMT", false},
		{"Set-Cookie", "a=1; Max-Age=060; HttpOnly=x; Secure", "a=1; secure; httponly; max-age=60", true},
		{"Set-Cookie", "a=1; Path=/", "a=1; Path=/x", false},
	} {
		for name, o := range map[string]shadow.CompareOptions{"by default": {}, "named": {Headers: []string{c.name}}} {
			for _, pair := range [][2]string{{c.a, c.b}, {c.b, c.a}} {
				assert.Equal(t, c.same, len(fieldsDiffer(t, o, c.name, pair[0], pair[1])) == 0, "%s %s: %q", name, c.name, pair)
			}
		}
	}
}

// By default all fields count that a client can act on.
func TestFieldsThatClientsActOnAreComparedByDefault(t *testing.T) {
	for _, c := range []struct {
		name, a, b string
		differ     bool
	}{
		{"Strict-Transport-Security", "max-age=1", "-", true},
		{"X-Anything", "a", "-", true},
		{"X-Anything", "-", "a", true},
		{"Access-Control-Allow-Origin", "*", "https://a.example", true},
		{"Content-Security-Policy", "default-src 'self'", "-", true},
		{"Content-Security-Policy", "script-src 'nonce-abc'", "script-src 'nonce-xyz'", false},
		{"Content-Security-Policy", "script-src 'nonce-abc' 'self'", "script-src 'nonce-xyz'", true},
		{"Www-Authenticate", `Digest realm="r", nonce="a"`, `Digest realm="r", nonce="b"`, false},
		{"Www-Authenticate", `Digest realm="r", nonce="a"`, `Digest realm="s", nonce="b"`, true},
		{"Etag", `"a"`, `"b"`, false},
		{"X-Lines", "a\r\nInjected: 1", "a  Injected: 1", false}, // as net/http sends it
		{"Bad Name", "1", "-", false},                            // which it does not send
		{"Etag", `W/"a"`, `W/"b"`, false},
		{"Etag", `W/"a"`, `"a"`, true},
		{"Etag", `W/"a"`, "-", true},
		{"Set-Cookie", "sid=1; Path=/", "sid=2; Path=/", false},
		{"Set-Cookie", "sid=1; Path=/", "sid=; Path=/", true},
		{"Set-Cookie", "sid=1; Path=/", "-", true},
		{"Set-Cookie", "sid=1; Path=/; Secure", "sid=2; Path=/", true},
		{"x-lower", "a", "b", true}, // put there by a program, not canonical
		{"Date", "a", "b", false},
		{"Date", "a", "-", false},
		{"X-Request-Id", "a", "b", false},
		{"X-Ratelimit-Remaining", "1", "2", false},
		{"X-Ratelimit-Limit", "1", "2", true},
	} {
		assert.Equal(t, c.differ, len(fieldsDiffer(t, shadow.CompareOptions{}, c.name, c.a, c.b)) > 0, "%+v", c)
		assert.Empty(t, fieldsDiffer(t, shadow.CompareOptions{}, c.name, c.a, c.a))
		assert.Empty(t, fieldsDiffer(t, shadow.CompareOptions{Headers: []string{}}, c.name, c.a, c.b))
	}
	// Who names a field has it compared exactly.
	assert.NotEmpty(t, fieldsDiffer(t, shadow.CompareOptions{Headers: []string{"date"}}, "Date", "a", "b"))
	assert.NotEmpty(t, fieldsDiffer(t, shadow.CompareOptions{Headers: []string{"ETag"}}, "Etag", `W/"a"`, `W/"b"`))
	assert.NotEmpty(t, fieldsDiffer(t, shadow.CompareOptions{Headers: []string{"Set-Cookie"}}, "Set-Cookie", "sid=1", "sid=2"))
}

// The list of what is not compared by default is in the docs, and all of it.
func TestTheDocsListTheVolatileFields(t *testing.T) {
	docs, err := os.ReadFile("docs/comparison.md")
	require.NoError(t, err)
	text := string(docs)
	_, text, ok := strings.Cut(text, "<!-- volatile -->")
	require.True(t, ok)
	text, _, ok = strings.Cut(text, "<!-- /volatile -->")
	require.True(t, ok)
	listed := 0
	for i, name := range strings.Split(text, "`") {
		if i%2 == 1 {
			assert.Empty(t, fieldsDiffer(t, shadow.CompareOptions{}, http.CanonicalHeaderKey(name), "a", "b"), name)
			listed++
		}
	}
	source, err := os.ReadFile("internal/compare/header.go")
	require.NoError(t, err)
	_, list, _ := strings.Cut(string(source), "var volatileFields")
	list, _, _ = strings.Cut(list, "\n}\n")
	assert.Equal(t, strings.Count(list, ": true"), listed)
}

func TestPatternsOfHeadersAreAnError(t *testing.T) {
	for _, name := range []string{"*", "X-*"} {
		_, err := shadow.NewComparator(shadow.CompareOptions{Headers: []string{name}})
		assert.ErrorContains(t, err, "CompareOptions.Headers: \""+name+"\"")
	}
}
