package redact

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/goshadow/shadow/internal/fields"
	"github.com/goshadow/shadow/internal/message"
)

// MaskHeaders masks every value of the named header and trailer fields.
func MaskHeaders(names ...string) *Rule {
	set := fields.NewNames(names...)
	r := &Rule{Option: "MaskHeaders", Given: slices.Clone(names), values: true, field: func(name string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
	}}
	for _, name := range names {
		if !fields.IsToken(name) {
			r.Err = errors.Join(r.Err, fmt.Errorf("MaskHeaders: %q is not a header name", name))
		}
	}
	r.Found = func(i int) uint64 { return set.Found(r.Given[i]) }
	r.mask = func(m *message.Message, with Replacement) error {
		for _, h := range [...]http.Header{m.Header, m.Trailer} {
			for name, values := range h {
				if set.Has(name) {
					maskField(h, name, values, with)
				}
			}
		}
		return nil
	}
	return r
}

func maskField(h http.Header, name string, values []string, with Replacement) {
	if with.Drops() {
		delete(h, name)
		return
	}
	masked := make([]string, len(values)) // values may be shared with another message
	for i, v := range values {
		masked[i] = with.Text(v)
	}
	h[name] = masked
}

// SetHeader gives a request the field with the one value, in place of what it has.
func SetHeader(name, value string) *Rule {
	r := &Rule{Option: "SetHeader"}
	if !fields.Valid(http.Header{name: {value}}) {
		r.Err = fmt.Errorf("SetHeader: %q is not a header name, or its value cannot be sent", name)
	}
	r.mask = func(m *message.Message, _ Replacement) error {
		if m.StatusCode != 0 {
			return nil
		}
		if m.Header == nil {
			m.Header = http.Header{}
		}
		canonical := http.CanonicalHeaderKey(name)
		for key := range m.Header {
			if http.CanonicalHeaderKey(key) == canonical {
				delete(m.Header, key)
			}
		}
		m.Header[canonical] = []string{value}
		return nil
	}
	return r
}

// framing are the fields that say how a body is to be read. No rule about texts looks at them.
var framing = map[string]bool{
	"Content-Type": true, "Content-Length": true, "Content-Encoding": true, "Transfer-Encoding": true, "Trailer": true,
}

// eachValue gives every header and trailer value of m to edit, with the name of its
// field as it is spelled. A value that becomes empty goes.
func eachValue(m *message.Message, edit func(name, value string) string) {
	for _, h := range [...]http.Header{m.Header, m.Trailer} {
		for name := range h {
			editField(h, name, func(value string) string { return edit(name, value) })
		}
	}
}

// editField gives every value of a field to edit. A value that becomes empty goes.
func editField(h http.Header, name string, edit func(value string) string) {
	values := h[name]
	var changed []string // values may be shared with another message
	for i, v := range values {
		masked := edit(v)
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
