package render

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/goshadow/shadow/internal/methods"
)

// Verdict writes the first line of an explanation. The reason is empty if nothing stops the request.
func Verdict(w io.Writer, reason string, unknown bool, probability float64) {
	switch {
	case reason != "":
		fmt.Fprintf(w, "not copied: %s", reason)
		return
	case unknown:
		io.WriteString(w, "may be copied")
	default:
		io.WriteString(w, "copied")
	}
	if probability > 0 {
		fmt.Fprintf(w, " (sampled with probability %.4g)", probability)
	}
}

// Step writes the line of one check.
func Step(w io.Writer, name string, stops, unknown bool, text string) {
	result := "pass"
	switch {
	case stops:
		result = "stop"
	case unknown:
		result = "unknown"
	}
	fmt.Fprintf(w, "\n%-7s  %s: %s", result, name, text)
}

// Method explains the check of the method of r, of which those of the list are copied to target.
// A control with a name is not asked if r is not safe.
func Method(r *http.Request, list []string, stops bool, target, control string) string {
	copied, method := strings.Join(list, ", "), r.Method
	if method == "" {
		method = http.MethodGet
	}
	switch {
	case stops:
		return fmt.Sprintf("%.40q is not one of %s: see WithMethods", method, copied)
	case methods.OnlyReads(r):
		return fmt.Sprintf("%s is one of %s", method, copied)
	case control != "":
		return fmt.Sprintf("%s is one of %s; it is not safe: target %q is Isolated, control %q is not and is not asked", method, copied, target, control)
	}
	return fmt.Sprintf("%s is one of %s; it is not safe: target %q is Isolated", method, copied, target)
}

// Body explains the check of the length of the body of r, which is at most limit.
func Body(r *http.Request, limit int64, stops bool) string {
	switch {
	case stops:
		return fmt.Sprintf("%d bytes are over the %d of WithMaxBody", r.ContentLength, limit)
	case r.Body == nil || r.Body == http.NoBody:
		return "none"
	case r.ContentLength > 0:
		return fmt.Sprintf("%d bytes of at most %d", r.ContentLength, limit)
	}
	return fmt.Sprintf("its length is not known; at most %d bytes are kept", limit)
}
