package middleware

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/internal/mark"
	"github.com/goshadow/shadow/internal/methods"
)

// ReadOnly refuses shadow copies that may write: those whose method is not safe (RFC
// 9110 section 9.2.1: GET, HEAD, OPTIONS and TRACE are), and those that ask to be treated as one
// of such a method, by X-HTTP-Method-Override, X-HTTP-Method, X-Method-Override or the query
// parameter _method. The answer is 403 with a
// problem document (RFC 9457) that says why, and has the field "Shadow-Side-Effect: http", by
// which the mirror that sent the copy counts it: see shadow.EventSideEffect. Everything else
// goes to next untouched: copies with a safe method, and all real requests.
//
// A request is a copy if shadow.IsShadow says so of its context: in an in-process
// target always, else inside Detect. Where the copies are to write, into a store of
// their own, leave those routes outside:
//
//	mux.Handle("/orders/", middleware.ReadOnly(orders))
//	mux.Handle("/carts/", carts) // the shadow has carts of its own
//
// A GET that writes is not noticed.
func ReadOnly(next http.Handler) http.Handler {
	if next == nil {
		panic("middleware: ReadOnly: nil handler")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if shadow.IsShadow(r.Context()) && !methods.OnlyReads(r) {
			refuse(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// problem is a problem document (RFC 9457 section 3.1).
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

// unsafe returns the method of r that is not safe.
func unsafe(r *http.Request) string {
	if methods.Safe(r.Method) {
		return "the method that it asks for instead of " + r.Method
	}
	return r.Method
}

func refuse(w http.ResponseWriter, r *http.Request) {
	text, err := json.Marshal(problem{
		Type:   "https://pkg.go.dev/github.com/goshadow/shadow/middleware#ReadOnly",
		Title:  "A shadow copy may not write",
		Status: http.StatusForbidden,
		Detail: fmt.Sprintf("This request is a shadow copy, and %s is not a safe method "+
			"(RFC 9110 section 9.2.1): it was not executed. To let copies write here, "+
			"serve this route outside middleware.ReadOnly.", unsafe(r)),
	})
	if err != nil {
		panic(err) // strings and a number
	}
	w.Header().Set(mark.SideEffect, mark.SideEffectHTTP)
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(http.StatusForbidden)
	w.Write(text) //nolint:errcheck // the client has gone: nobody is left to tell
}
