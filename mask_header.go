package shadow

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/goshadow/shadow/internal/fields"
	"github.com/goshadow/shadow/internal/redact"
)

// MaskHeaders replaces every value of the named header and trailer fields, in any
// spelling, by "[masked]".
func MaskHeaders(names ...string) Masker { return newMaskHeaders("MaskHeaders", names) }

type maskHeaders struct {
	replacing
	given []string
	names *fields.Names
	err   error
}

func (m *maskHeaders) Rules() []RuleUse {
	return ruleUses("MaskHeaders", m.given, func(i int) uint64 { return m.names.Found(m.given[i]) })
}

func newMaskHeaders(where string, names []string) *maskHeaders {
	m := &maskHeaders{given: slices.Clone(names), names: fields.NewNames(names...)}
	for _, name := range names {
		if !fields.IsToken(name) {
			m.err = errors.Join(m.err, fmt.Errorf("%s: %q is not a header name", where, name))
		}
	}
	return m
}

func (m *maskHeaders) Fault() error { return m.err }

func (m *maskHeaders) with(r redact.Replacement) Masker {
	changed := *m
	changed.r = r
	return &changed
}

func (m *maskHeaders) Mask(msg *Message) error {
	if m.err != nil {
		return m.err
	}
	m.fields(msg.Header)
	m.fields(msg.Trailer)
	return nil
}

func (m *maskHeaders) fields(h http.Header) {
	for name, values := range h {
		if m.names.Has(name) {
			m.field(h, name, values)
		}
	}
}

func (m *maskHeaders) field(h http.Header, name string, values []string) {
	if m.r.Drops() {
		delete(h, name)
		return
	}
	masked := make([]string, len(values)) // values may be shared with another message
	for i, v := range values {
		masked[i] = m.r.Text(v)
	}
	h[name] = masked
}

// eachValue gives every header and trailer value of msg to edit, with the name of its
// field as it is spelled. A value that becomes empty goes.
func eachValue(msg *Message, edit func(name, value string) string) {
	for _, h := range [...]http.Header{msg.Header, msg.Trailer} {
		for name, values := range h {
			var changed []string // values may be shared with another message
			for i, v := range values {
				masked := edit(name, v)
				if changed == nil && masked != v {
					changed = append(make([]string, 0, len(values)), values[:i]...)
				}
				if changed != nil && (masked != "" || v == "") {
					changed = append(changed, masked)
				}
			}
			switch {
			case changed == nil:
			case len(changed) == 0:
				delete(h, name)
			default:
				h[name] = changed
			}
		}
	}
}

// MaskCookies replaces the values of the named cookies by "[masked]", in Cookie and in
// Set-Cookie fields. Names match in any case. The attributes of Set-Cookie stay.
//
// DropCredentials and the record mask hide both fields as a whole: MaskCookies is for a
// target that needs other cookies of them.
func MaskCookies(names ...string) Masker {
	m := &maskCookies{given: slices.Clone(names), names: redact.NewNames(names...)}
	for _, name := range names {
		if !fields.IsToken(name) {
			m.err = errors.Join(m.err, fmt.Errorf("MaskCookies: %q is not the name of a cookie", name))
		}
	}
	return m
}

type maskCookies struct {
	replacing
	given []string
	names redact.Names
	err   error
}

func (m *maskCookies) Rules() []RuleUse {
	return ruleUses("MaskCookies", m.given, func(i int) uint64 { return m.names.Found(m.given[i]) })
}

func (m *maskCookies) Fault() error { return m.err }

func (m *maskCookies) with(r redact.Replacement) Masker {
	changed := *m
	changed.r = r
	return &changed
}

func (m *maskCookies) Mask(msg *Message) error {
	if m.err != nil {
		return m.err
	}
	eachValue(msg, func(name, value string) string {
		switch {
		case strings.EqualFold(name, "Cookie"):
			return redact.Cookies(value, m.names, m.r)
		case strings.EqualFold(name, "Set-Cookie"):
			return redact.SetCookie(value, m.names, m.r)
		}
		return value
	})
	return nil
}

// DropCredentials removes the header and trailer fields that carry credentials, and the
// user information of URLs, also of those in queries and other fields: Authorization, cookies, API
// keys, session and CSRF tokens, client certificates, and what the usual gateways, clouds
// and services call theirs. It removes the parameters of queries and paths that carry them
// too, such as access_token, X-Amz-Signature and ;jsessionid, wherever MaskQuery looks. Names
// that it does not know are removed with MaskWith(Drop(), MaskHeaders(…), MaskQuery(…)).
//
// A copy without credentials may be refused: then Result.Note says which were left out.
// Give the copy its own with
//
//	MaskAll(DropCredentials(), SetHeader("Authorization", "Bearer …"))
func DropCredentials() Masker {
	headers := newMaskHeaders("DropCredentials", credentials[:])
	headers.r = redact.Drop()
	return &dropCredentials{headers, maskQuery{replacing: replacing{headers.r}, names: credentialParameters}}
}

type dropCredentials struct {
	headers *maskHeaders
	query   maskQuery
}

func (m *dropCredentials) Mask(msg *Message) error {
	return errors.Join(m.headers.credentials(msg), m.query.Mask(msg))
}

// hideCredentials is the part of the record mask that is always there.
type hideCredentials struct {
	headers *maskHeaders
	query   maskQuery
}

func maskCredentials() Masker {
	return &hideCredentials{newMaskHeaders("record mask", credentials[:]), maskQuery{names: credentialParameters}}
}

func (m *hideCredentials) Mask(msg *Message) error {
	return errors.Join(m.headers.credentials(msg), m.query.Mask(msg))
}

// credentials masks the fields of m, and removes user information from the URL of msg and
// from those in its query, its fragment and other fields.
func (m *maskHeaders) credentials(msg *Message) error {
	if u := msg.URL; u != nil {
		opaque, query := redact.WithoutUser(u.Opaque), redact.WithoutUserInQuery(u.RawQuery)
		if u.User != nil || opaque != u.Opaque || query != u.RawQuery || u.Fragment != "" {
			u := *u
			u.User, u.Opaque, u.RawQuery = nil, opaque, query
			maskFragment(&u, redact.WithoutUser)
			msg.URL = &u
		}
	}
	for _, h := range [...]http.Header{msg.Header, msg.Trailer} {
		for name, values := range h {
			if m.names.Has(name) {
				m.field(h, name, values)
				continue
			}
			for i, v := range values {
				if masked := redact.WithoutUser(v); masked != v {
					values = append([]string(nil), values...) // as above
					values[i], h[name] = masked, values
				}
			}
		}
	}
	return nil
}

// SetHeader gives a request the field name with the one value, in place of what it
// has. It leaves answers alone.
func SetHeader(name, value string) Masker { return &setHeader{name, &value} }

type setHeader struct {
	name  string
	value *string // a credential as a rule: printed as an address
}

func (m *setHeader) Fault() error {
	if !fields.Valid(http.Header{m.name: {*m.value}}) {
		return fmt.Errorf("SetHeader: %q is not a header name, or its value cannot be sent", m.name)
	}
	return nil
}

func (m *setHeader) Mask(msg *Message) error {
	if err := m.Fault(); err != nil {
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
	msg.Header[name] = []string{*m.value}
	return nil
}
