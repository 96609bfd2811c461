package gate

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"strings"
	"time"
)

// ServeHTTP decides anew for each request and serves the decision in the form that the
// path asks for. Mount it below a prefix with http.StripPrefix, and behind what keeps
// strangers out: it tells the names of routes, and each request costs a snapshot.
//
//	GET  /verdict.json  the Decision; for Argo Rollouts' web metric: jsonPath "{$.verdict}"
//	GET  /verdict.txt   Decision.String
//	GET  /junit.xml     a test suite with a test case for each check
//	any  /passed        200 if the verdict is Pass; for Flagger's hook confirm-promotion
//	any  /failed        200 if the verdict is Fail; for Flagger's hook rollback
//
// The first three are 200 whatever the verdict is. Where /passed and /failed are not, they
// are 409 Conflict for the opposite verdict and 503 Service Unavailable while it is
// Insufficient; their body is Decision.String. The body of a request is not read.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	hook := path == "/passed" || path == "/failed"
	switch {
	case !hook && path != "/verdict.json" && path != "/verdict.txt" && path != "/junit.xml":
		http.Error(w, "gate: there are /verdict.json, /verdict.txt, /junit.xml, /passed and /failed", http.StatusNotFound)
		return
	case !hook && r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "gate: only GET and HEAD", http.StatusMethodNotAllowed)
		return
	}
	d := g.Decide(r.Context())
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	switch path {
	case "/verdict.json":
		w.Header().Set("Content-Type", "application/json")
		_ = d.writeJSON(w) // an error is the client's, who is gone
	case "/junit.xml":
		w.Header().Set("Content-Type", "application/xml")
		_ = d.WriteJUnit(w) // as above
	case "/verdict.txt":
		text(w, http.StatusOK, d)
	case "/passed":
		text(w, status(d.Verdict, Pass), d)
	case "/failed":
		text(w, status(d.Verdict, Fail), d)
	}
}

// status answers a hook that waits for a verdict.
func status(is, wanted Verdict) int {
	switch is {
	case wanted:
		return http.StatusOK
	case Insufficient:
		return http.StatusServiceUnavailable
	}
	return http.StatusConflict
}

func text(w http.ResponseWriter, status int, d Decision) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, d.String()) // an error is the client's, who is gone
}

func (d Decision) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(d)
}

// WriteJUnit writes d as a JUnit report, for a pipeline that shows tests: a test case for
// each check, a failure for each Fail, and an error for each Insufficient, which must not
// look like a pass. A decision without checks is one error.
func (d Decision) WriteJUnit(w io.Writer) error {
	suite := junitSuite{Name: strings.TrimSpace("shadow gate " + d.Mirror + " " + d.Target)}
	if !d.Taken.IsZero() {
		suite.Timestamp = d.Taken.UTC().Format("2006-01-02T15:04:05")
		suite.Time = d.Taken.Sub(d.Since).Round(time.Millisecond).Seconds()
	}
	checks := d.Checks
	if len(checks) == 0 {
		checks = []Check{{Name: "decision", Verdict: d.Verdict, Reason: d.Summary}}
	}
	for _, c := range checks {
		one := junitCase{Name: c.title(), Class: "shadow.gate"}
		switch c.Verdict {
		case Pass:
			one.Out = c.Reason
		case Fail:
			one.Failure = &junitProblem{Message: c.Reason, Type: string(c.Verdict), Text: c.Reason}
			suite.Failures++
		default:
			one.Error = &junitProblem{Message: c.Reason, Type: string(c.Verdict), Text: c.Reason}
			suite.Errors++
		}
		suite.Tests++
		suite.Cases = append(suite.Cases, one)
	}
	all := junit{Name: suite.Name, Tests: suite.Tests, Failures: suite.Failures, Errors: suite.Errors, Time: suite.Time,
		Suites: []junitSuite{suite}}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// The elements of a JUnit report that every reader of such reports knows.
type (
	junit struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Time     float64      `xml:"time,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name      string      `xml:"name,attr"`
		Tests     int         `xml:"tests,attr"`
		Failures  int         `xml:"failures,attr"`
		Errors    int         `xml:"errors,attr"`
		Skipped   int         `xml:"skipped,attr"`
		Time      float64     `xml:"time,attr"`
		Timestamp string      `xml:"timestamp,attr,omitempty"`
		Cases     []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name    string        `xml:"name,attr"`
		Class   string        `xml:"classname,attr"`
		Time    float64       `xml:"time,attr"`
		Error   *junitProblem `xml:"error"`
		Failure *junitProblem `xml:"failure"`
		Out     string        `xml:"system-out,omitempty"`
	}
	junitProblem struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
)
