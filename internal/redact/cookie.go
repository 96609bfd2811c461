package redact

import (
	"errors"
	"fmt"
	"net/textproto"
	"slices"
	"strings"

	"github.com/goshadow/shadow/internal/fields"
	"github.com/goshadow/shadow/internal/message"
)

// MaskCookies masks the named cookies, in Cookie and in Set-Cookie fields.
func MaskCookies(names ...string) *Rule {
	set := NewNames(names...)
	r := &Rule{Option: "MaskCookies", Given: slices.Clone(names), values: true}
	for _, name := range names {
		if !fields.IsToken(name) {
			r.Err = errors.Join(r.Err, fmt.Errorf("MaskCookies: %q is not the name of a cookie", name))
		}
	}
	r.Found = func(i int) uint64 { return set.Found(r.Given[i]) }
	r.mask = func(m *message.Message, with Replacement) error {
		eachValue(m, func(name, value string) string {
			switch {
			case strings.EqualFold(name, "Cookie"):
				return Cookies(value, set, with)
			case strings.EqualFold(name, "Set-Cookie"):
				return SetCookie(value, set, with)
			}
			return value
		})
		return nil
	}
	return r
}

// Cookies masks the named cookies in a Cookie field value, "" where none is left.
func Cookies(value string, names Names, r Replacement) string {
	var kept []string
	for pair := range pairs(value) {
		if pair, ok := cookie(pair, names, r); ok {
			kept = append(kept, pair)
		}
	}
	return strings.TrimSpace(strings.Join(kept, ";"))
}

// SetCookie masks the cookie that a Set-Cookie field value sets, if it is one of the
// named. Its attributes stay. It returns "" where nothing is left.
func SetCookie(value string, names Names, r Replacement) string {
	var kept []string
	for pair := range pairs(value) {
		if len(kept) == 0 {
			masked, ok := cookie(pair, names, r)
			if !ok {
				return ""
			}
			kept = append(kept, masked)
			continue
		}
		attribute, more, found := strings.Cut(pair, ",")
		if found { // another cookie, or the date of Expires
			if masked, ok := cookie(more, names, r); ok {
				attribute += "," + masked
			}
		}
		kept = append(kept, attribute)
	}
	return strings.Join(kept, ";")
}

// cookie masks one name=value, with the white space around it. Ok is false where it goes.
//
// A comma ends a cookie for some (RFC 2965), and proxies join Set-Cookie fields with it;
// a semicolon inside of quotes ends one for others: a name is looked for behind both.
func cookie(pair string, names Names, r Replacement) (masked string, ok bool) {
	for from := 0; ; {
		next := strings.IndexAny(pair[from:], ",;") // no name has one of these
		segment := pair[from:]
		if next >= 0 {
			segment = segment[:next]
		}
		name, _, found := strings.Cut(segment, "=")
		if found && names.Has(textproto.TrimString(name)) {
			if !r.drop {
				value := pair[from+len(name)+1:]
				return pair[:from] + name + "=" + cookieText(r.Text(strings.Trim(textproto.TrimString(value), `"`))), true
			}
			return strings.TrimRight(pair[:from], ",;"), from > 0
		}
		if next < 0 {
			return pair, true
		}
		from += next + 1
	}
}

// cookieText makes of s what can be the value of a cookie (RFC 6265 section 4.1.1).
func cookieText(s string) string {
	return strings.Map(func(c rune) rune {
		if c <= ' ' || c >= 0x7f || strings.ContainsRune(`",;\`, c) {
			return '_'
		}
		return c
	}, s)
}

// pairs splits at ';', but not inside of a quoted value: there some read on. It looks at each
// byte a constant number of times.
func pairs(value string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		at, open := 0, -1 // open is where the next quoted value begins
		for {
			if open < at {
				open = after(value, at, `="`)
			}
			end := after(value, at, ";")
			if open < end {
				if shut := after(value, open+len(`="`), `"`); shut < len(value) && shut > end {
					end = after(value, shut, ";")
				}
			}
			if !yield(value[at:end]) || end == len(value) {
				return
			}
			at = end + 1
		}
	}
}

// after is where part is in s at or after from, len(s) where it is not.
func after(s string, from int, part string) int {
	if i := strings.Index(s[from:], part); i >= 0 {
		return from + i
	}
	return len(s)
}
