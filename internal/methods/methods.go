// Package methods knows which requests only read.
package methods

import (
	"net/http"
	"net/url"
	"strings"
)

// Safe reports whether a method is safe (RFC 9110 section 9.2.1): whoever uses it asks for no
// change. A method that RFC 9110 does not define is not.
func Safe(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, "":
		return true
	}
	return false
}

// Usual reports whether a method is registered and common: those of net/http, and QUERY.
func Usual(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodConnect, http.MethodOptions, http.MethodTrace, "QUERY":
		return true
	}
	return false
}

// headers are the fields by which a request asks to be treated as one of another method:
// Google's, Microsoft's and IBM's, as Rack, Symfony, Laravel, Express's method-override, Echo
// and gorilla/handlers read them.
var headers = [...]string{"X-Http-Method-Override", "X-Http-Method", "X-Method-Override"}

// Overrides returns the methods that r asks to be treated as, besides its own, in upper case:
// in the header, and in the query parameter _method. A form body can have that parameter too,
// but only of a request that is not safe anyway.
func Overrides(r *http.Request) (list []string) {
	for _, name := range headers {
		for _, value := range r.Header[name] {
			list = appendMethod(list, value)
		}
	}
	if r.URL == nil || !strings.Contains(r.URL.RawQuery, "method") {
		return list
	}
	for pair := range strings.FieldsFuncSeq(r.URL.RawQuery, func(c rune) bool { return c == '&' || c == ';' }) {
		key, value, _ := strings.Cut(pair, "=")
		if key, err := url.QueryUnescape(key); err != nil || key != "_method" {
			continue
		}
		value, err := url.QueryUnescape(value)
		if err != nil {
			value = "?" // whatever somebody makes of it, it is not known to be safe
		}
		list = appendMethod(list, value)
	}
	return list
}

func appendMethod(list []string, value string) []string {
	if value = strings.ToUpper(strings.TrimSpace(value)); value != "" {
		list = append(list, value)
	}
	return list
}

// OnlyReads reports whether r is safe by its method and by all that it asks to be treated as.
func OnlyReads(r *http.Request) bool {
	if !Safe(r.Method) {
		return false
	}
	for _, method := range Overrides(r) {
		if !Safe(method) {
			return false
		}
	}
	return true
}

// Upgrades reports whether r asks for another protocol. An offer of h2c does not: clients make it
// with plain requests, and servers ignore it.
func Upgrades(r *http.Request) bool {
	protocols := r.Header["Upgrade"]
	return r.Method == http.MethodConnect || len(protocols) > 1 || len(protocols) == 1 && !strings.EqualFold(protocols[0], "h2c")
}
