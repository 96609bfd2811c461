package shadow

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/goshadow/shadow/internal/fields"
	"github.com/goshadow/shadow/internal/jsonpath"
	"github.com/goshadow/shadow/internal/media"
	"github.com/goshadow/shadow/internal/redact"
)

// maskedText stands in the place of a value that was masked.
const maskedText = "[masked]"

// MaskHeaders replaces every value of the named header and trailer fields, in any
// spelling, by "[masked]".
func MaskHeaders(names ...string) Masker {
	m := &maskHeaders{names: map[string]bool{}}
	for _, name := range names {
		m.add("MaskHeaders", name)
	}
	return m
}

// DropCredentials removes the header and trailer fields that carry credentials, and
// the user information of the URL:
// Authorization, Proxy-Authorization, Cookie, Set-Cookie, X-Api-Key, Api-Key,
// X-Auth-Token, X-Access-Token, CSRF tokens, and the tokens and client certificates
// that the usual gateways and clouds add. Give the copy credentials of its own with
// MaskAll(DropCredentials(), SetHeader("Authorization", "Bearer …")).
func DropCredentials() Masker {
	m := &maskHeaders{names: map[string]bool{}, drop: true}
	for _, name := range credentials {
		m.add("DropCredentials", name)
	}
	return MaskAll(m, maskUserInfo{})
}

// maskCredentials is the part of the record mask that is always there.
func maskCredentials() Masker {
	return MaskAll(MaskHeaders(credentials[:]...), maskUserInfo{})
}

// maskUserInfo removes the user information of a URL.
type maskUserInfo struct{}

func (maskUserInfo) Mask(msg *Message) error {
	if msg.URL != nil && msg.URL.User != nil {
		u := *msg.URL
		u.User, msg.URL = nil, &u
	}
	return nil
}

type maskHeaders struct {
	names map[string]bool // canonical
	drop  bool
	err   error
}

func (m *maskHeaders) add(where, name string) {
	if !fields.IsToken(name) {
		m.err = errors.Join(m.err, fmt.Errorf("%s: %q is not a header name", where, name))
	}
	m.names[http.CanonicalHeaderKey(name)] = true
}

func (m *maskHeaders) fault() error { return m.err }

func (m *maskHeaders) Mask(msg *Message) error {
	if m.err != nil {
		return m.err
	}
	for _, h := range [...]http.Header{msg.Header, msg.Trailer} {
		for name, values := range h {
			if !m.names[http.CanonicalHeaderKey(name)] {
				continue
			}
			if m.drop {
				delete(h, name)
				continue
			}
			blank := make([]string, len(values))
			for i := range blank {
				blank[i] = maskedText
			}
			h[name] = blank
		}
	}
	return nil
}

// SetHeader gives a request the field name with the one value, in place of what it
// has. It leaves answers alone.
func SetHeader(name, value string) Masker { return &setHeader{name, value} }

type setHeader struct{ name, value string }

func (m *setHeader) fault() error {
	if !fields.Valid(http.Header{m.name: {m.value}}) {
		return fmt.Errorf("SetHeader: %q is not a header name, or its value cannot be sent", m.name)
	}
	return nil
}

func (m *setHeader) Mask(msg *Message) error {
	if err := m.fault(); err != nil {
		return err
	}
	if msg.StatusCode != 0 {
		return nil
	}
	if msg.Header == nil {
		msg.Header = http.Header{}
	}
	name := http.CanonicalHeaderKey(m.name)
	for key := range msg.Header {
		if http.CanonicalHeaderKey(key) == name {
			delete(msg.Header, key)
		}
	}
	msg.Header[name] = []string{m.value}
	return nil
}

// MaskQuery replaces the values of the named query parameters by "[masked]": every
// occurrence, whatever the spelling of its name, in the URL of a request and in the
// URLs of its Referer, Location and Content-Location fields. Everything else stays as
// it was, byte for byte.
func MaskQuery(names ...string) Masker {
	m := &maskQuery{names: map[string]bool{}}
	for _, name := range names {
		if name == "" {
			m.err = errors.Join(m.err, errors.New("MaskQuery: empty name"))
		}
		m.names[strings.ToLower(name)] = true
	}
	return m
}

type maskQuery struct {
	names map[string]bool // in lower case
	err   error
}

func (m *maskQuery) fault() error { return m.err }

func (m *maskQuery) Mask(msg *Message) error {
	if m.err != nil {
		return m.err
	}
	if msg.URL != nil && msg.URL.RawQuery != "" {
		u := *msg.URL
		u.RawQuery, msg.URL = m.query(u.RawQuery), &u
	}
	for name, values := range msg.Header {
		switch http.CanonicalHeaderKey(name) {
		case "Referer", "Location", "Content-Location":
			urls := make([]string, len(values))
			for i, v := range values {
				urls[i] = m.url(v)
			}
			msg.Header[name] = urls
		}
	}
	return nil
}

// url masks the query of a URL.
func (m *maskQuery) url(u string) string {
	head, rest, ok := strings.Cut(u, "?")
	if !ok {
		return u
	}
	query, fragment, ok := strings.Cut(rest, "#")
	u = head + "?" + m.query(query)
	if ok {
		u += "#" + fragment
	}
	return u
}

// query masks one query. Some servers take ';' for '&', to others it is part of a value:
// a name is looked for behind both, and what begins behind '&' ends there too.
func (m *maskQuery) query(q string) string {
	parts := strings.Split(q, "&")
	for i, part := range parts {
		if m.names[queryName(part)] {
			parts[i] = blankQuery(part)
			continue
		}
		inner := strings.Split(part, ";")
		for k, p := range inner {
			if m.names[queryName(p)] {
				inner[k] = blankQuery(p)
			}
		}
		parts[i] = strings.Join(inner, ";")
	}
	return strings.Join(parts, "&")
}

// queryName is the name of a parameter, in lower case.
func queryName(part string) string {
	name, _, _ := strings.Cut(part, ";")
	name, _, _ = strings.Cut(name, "=")
	if plain, err := url.QueryUnescape(name); err == nil {
		name = plain
	}
	return strings.ToLower(name)
}

func blankQuery(part string) string {
	name, _, _ := strings.Cut(part, ";")
	name, _, _ = strings.Cut(name, "=")
	return name + "=" + url.QueryEscape(maskedText)
}

// MaskJSON replaces what the paths select in JSON bodies by the string "[masked]".
// Paths are JSONPath (RFC 9535), or gjson paths where they do not begin with "$".
// Member names match in any case, and every one of several members with the same name
// is masked. NDJSON and JSON sequences are masked record by record.
//
// A body that says it is JSON and is not, or is Truncated, is an error: nobody can tell
// what is in it. A body that does not say so is masked if it is JSON, and else left
// alone.
func MaskJSON(paths ...string) Masker {
	m := &maskJSON{}
	parsed := make([]*jsonpath.Path, 0, len(paths))
	for _, path := range paths {
		p, err := jsonpath.Parse(path)
		if err != nil {
			m.err = errors.Join(m.err, fmt.Errorf("MaskJSON: %w", err))
			continue
		}
		parsed = append(parsed, p.Fold())
	}
	m.set = jsonpath.NewSet(parsed...)
	return m
}

type maskJSON struct {
	set *jsonpath.Set
	err error
}

var maskedJSON = []byte(`"` + maskedText + `"`)

func (m *maskJSON) fault() error { return m.err }

func (m *maskJSON) Mask(msg *Message) error {
	if m.err != nil {
		return m.err
	}
	kind := media.Of(msg.Header.Get("Content-Type")).Kind
	if msg.Truncated {
		if kind <= media.Lines && len(msg.Body) > 0 && !looksLikeJSON(msg.Body) {
			return nil
		}
		return errors.New("shadow: MaskJSON: the body is not there as a whole")
	}
	if len(msg.Body) == 0 {
		return nil
	}
	if kind == media.Records {
		return m.records(msg)
	}
	body, err := redact.JSON(msg.Body, m.set, maskedJSON)
	if err != nil {
		if kind <= media.Lines && !looksLikeJSON(msg.Body) {
			return nil
		}
		return fmt.Errorf("shadow: MaskJSON: %w", err)
	}
	msg.Body = body
	return nil
}

func (m *maskJSON) records(msg *Message) error {
	var out []byte
	copied := 0
	for at, record := range media.Each(msg.Body) {
		got, err := redact.JSON(record, m.set, maskedJSON)
		if err != nil {
			return fmt.Errorf("shadow: MaskJSON: record at offset %d: %w", at, err)
		}
		out = append(append(out, msg.Body[copied:at]...), got...)
		copied = at + len(record)
	}
	msg.Body = append(out, msg.Body[copied:]...)
	return nil
}

// looksLikeJSON tells whether a body that is called something else may hold members
// that a rule is about.
func looksLikeJSON(body []byte) bool {
	text := bytes.TrimLeft(body, " \t\r\n\x1e\xef\xbb\xbf") // white space, RS, a byte order mark
	return len(text) > 0 && (text[0] == '{' || text[0] == '[')
}

// MaskAll masks with each of m in turn. It stops at the first error.
func MaskAll(m ...Masker) Masker { return append(maskAll{}, m...) }

type maskAll []Masker

func (m maskAll) fault() error { return faults("MaskAll", m) }
func (m maskAll) parts() []any { return anys(m) }

func (m maskAll) Mask(msg *Message) error {
	for _, masker := range m {
		if err := masker.Mask(msg); err != nil {
			return err
		}
	}
	return nil
}
