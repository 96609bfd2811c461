package shadow_test

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

// said is an answer, as a handler that gives it and as the Message it makes.
type said struct {
	status  int // 200
	header  http.Header
	body    string
	trailer http.Header
}

func (s said) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	for name, values := range s.header {
		w.Header()[name] = values
	}
	for name, values := range s.trailer {
		w.Header()[http.TrailerPrefix+name] = values
	}
	w.WriteHeader(cmp.Or(s.status, http.StatusOK))
	io.WriteString(w, s.body)
}

func (s said) message() *shadow.Message {
	return &shadow.Message{StatusCode: cmp.Or(s.status, http.StatusOK), Header: s.header, Trailer: s.trailer,
		Body: []byte(s.body), Size: int64(len(s.body))}
}

// field is a header of one field.
func field(name string, values ...string) http.Header { return http.Header{name: values} }

func saidJSON(body string) said {
	return said{header: field("Content-Type", "application/json"), body: body}
}

func saidLines(body string) said {
	return said{header: field("Content-Type", "application/x-ndjson"), body: body}
}

func saidText(body string) said {
	return said{header: field("Content-Type", "text/plain"), body: body}
}

// zipped is s with its body compressed.
func (s said) zipped(level int) said {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, level)
	if err != nil {
		panic(err)
	}
	io.WriteString(w, s.body)
	w.Close()
	h := s.header.Clone()
	h.Set("Content-Encoding", "gzip")
	return said{status: s.status, header: h, body: b.String(), trailer: s.trailer}
}

// written is one line for each difference.
func written(list []shadow.Diff) []string {
	lines := []string{}
	for _, d := range list {
		line := fmt.Sprintf("%s %s %s %s", d.Path, d.Kind, cmp.Or(string(d.Primary), "-"), cmp.Or(string(d.Shadow), "-"))
		if d.Class != shadow.ClassNone {
			line += " (" + string(d.Class) + ")"
		}
		lines = append(lines, line)
	}
	return lines
}

// remoteTo is a target that asks h over the network.
func remoteTo(t testing.TB, h http.Handler) shadow.Target {
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return shadow.Remote("candidate", srv.URL)
}

// eachWay tests with a target of each kind that leads to h.
func eachWay(t *testing.T, h http.Handler, test func(t *testing.T, target shadow.Target)) {
	t.Run("in process", func(t *testing.T) { test(t, shadow.InProcess("candidate", h)) })
	t.Run("remote", func(t *testing.T) { test(t, remoteTo(t, h)) })
}

// exchange sends r through a Mirror in front of primary and returns what was reported,
// which must be one result.
func exchange(t *testing.T, primary http.Handler, target shadow.Target, r *http.Request, opts ...shadow.Option) *shadow.Result {
	t.Helper()
	results, m := exchanged(t, primary, target, r, opts...)
	require.Len(t, results, 1, "%+v", m.Stats())
	return results[0]
}

// exchanged sends r through a Mirror in front of primary and returns what was reported
// until it was shut down.
func exchanged(t *testing.T, primary http.Handler, target shadow.Target, r *http.Request, opts ...shadow.Option) ([]*shadow.Result, *shadow.Mirror) {
	t.Helper()
	m, results := mirror(t, target, opts...)
	m.Handler(primary).ServeHTTP(httptest.NewRecorder(), r)
	require.NoError(t, m.Shutdown(t.Context()))
	ledger(t, m)
	require.Zero(t, m.Stats().QueuedBytes)
	return results.All(), m
}

func get() *http.Request { return httptest.NewRequest("GET", "/", nil) }

// The comparator gives the same verdict on two messages, in process and over the
// network.
func TestAnswersAreCompared(t *testing.T) {
	ok := saidJSON(`{"a":1}`)
	for _, c := range []struct {
		name            string
		o               shadow.CompareOptions
		primary, shadow said
		want            []string // none: they match
	}{
		// Status.
		{name: "status", primary: ok, shadow: said{status: 500, header: ok.header, body: ok.body},
			want: []string{"/status changed 200 500"}},
		{name: "status of one class", primary: said{status: 200}, shadow: said{status: 201},
			want: []string{"/status changed 200 201"}},
		{name: "status class", o: shadow.CompareOptions{StatusClass: true}, primary: said{status: 200}, shadow: said{status: 201}},
		{name: "status of another class", o: shadow.CompareOptions{StatusClass: true}, primary: said{status: 404}, shadow: said{status: 500},
			want: []string{"/status changed 404 500"}},

		// Header fields.
		{name: "default header fields",
			primary: said{header: http.Header{"Content-Type": {"text/a"}, "Location": {"/a"}, "X-Other": {"a"}}},
			shadow:  said{header: http.Header{"Content-Type": {"text/b"}, "Location": {"/b"}, "X-Other": {"b"}}},
			want:    []string{`/header/Content-Type changed "text/a" "text/b"`, `/header/Location changed "/a" "/b"`, `/header/X-Other changed "a" "b"`}},
		{name: "no header fields", o: shadow.CompareOptions{Headers: []string{}},
			primary: said{header: http.Header{"Content-Type": {"text/a"}, "Location": {"/a"}}},
			shadow:  said{header: http.Header{"Content-Type": {"text/b"}, "Location": {"/b"}}}},
		{name: "named header fields, in any spelling", o: shadow.CompareOptions{Headers: []string{"x-VERSION"}},
			primary: said{header: http.Header{"X-Version": {"1"}, "Location": {"/a"}}},
			shadow:  said{header: http.Header{"X-Version": {"2"}, "Location": {"/b"}}},
			want:    []string{`/header/X-Version changed "1" "2"`}},
		{name: "header fields in path order", o: shadow.CompareOptions{Headers: []string{"X-B", "X-A"}},
			primary: said{header: http.Header{"X-A": {"1"}, "X-B": {"1"}}},
			shadow:  said{header: http.Header{"X-A": {"2"}, "X-B": {"2"}}},
			want:    []string{`/header/X-A changed "1" "2"`, `/header/X-B changed "1" "2"`}},
		{name: "a header field that is named twice", o: shadow.CompareOptions{Headers: []string{"X-A", "x-a"}},
			primary: said{header: field("X-A", "1")}, shadow: said{header: field("X-A", "2")},
			want: []string{`/header/X-A changed "1" "2"`}},
		{name: "missing header field", primary: said{header: field("Location", "/a")}, shadow: said{},
			want: []string{`/header/Location missing "/a" -`}},
		{name: "extra header field", primary: said{}, shadow: said{header: field("Location", "/a")},
			want: []string{`/header/Location extra - "/a"`}},
		{name: "several values", o: shadow.CompareOptions{Headers: []string{"X-List"}},
			primary: said{header: field("X-List", "a", "b")}, shadow: said{header: field("X-List", "b", "a")},
			want: []string{`/header/X-List changed ["a","b"] ["b","a"]`}},
		{name: "several values on one line", o: shadow.CompareOptions{Headers: []string{"X-List", "Set-Cookie"}}, // RFC 9110 section 5.3
			primary: said{header: http.Header{"X-List": {"a", "b"}, "Set-Cookie": {"a=1, b=2"}}}, shadow: said{header: http.Header{"X-List": {"a, b"}, "Set-Cookie": {"a=1", "b=2"}}},
			want: []string{`/header/Set-Cookie/a changed "[masked]" "[masked]"`, `/header/Set-Cookie/b extra - "[masked]"`}},
		{name: "one value less", o: shadow.CompareOptions{Headers: []string{"X-List"}},
			primary: said{header: field("X-List", "a", "b")}, shadow: said{header: field("X-List", "a")},
			want: []string{`/header/X-List changed ["a","b"] "a"`}},
		{name: "media type in another spelling",
			primary: said{header: field("Content-Type", "application/json; charset=utf-8")},
			shadow:  said{header: field("Content-Type", `Application/JSON;Charset="UTF-8"`)}},
		{name: "media type with another charset",
			primary: said{header: field("Content-Type", "text/html; charset=utf-8")},
			shadow:  said{header: field("Content-Type", "text/html; charset=latin1")},
			want:    []string{`/header/Content-Type changed "text/html; charset=utf-8" "text/html; charset=latin1"`}},
		{name: "media type without its charset",
			primary: said{header: field("Content-Type", "text/html; charset=utf-8")},
			shadow:  said{header: field("Content-Type", "text/html")},
			want:    []string{`/header/Content-Type changed "text/html; charset=utf-8" "text/html"`}},
		{name: "media type whose parameter has a case",
			primary: said{header: field("Content-Type", "text/plain; format=a")},
			shadow:  said{header: field("Content-Type", "text/plain; format=A")},
			want:    []string{`/header/Content-Type changed "text/plain; format=a" "text/plain; format=A"`}},
		{name: "multipart with another boundary",
			primary: said{header: field("Content-Type", "multipart/mixed; boundary=a"), body: "--a\r\n\r\none\r\n--a--"},
			shadow:  said{header: field("Content-Type", "multipart/mixed; boundary=b"), body: "--b\r\n\r\none\r\n--b--"}},
		{name: "multipart with another part",
			primary: said{header: field("Content-Type", "multipart/mixed; boundary=a"), body: "--a\r\n\r\none\r\n--a--"},
			shadow:  said{header: field("Content-Type", "multipart/mixed; boundary=b"), body: "--b\r\n\r\ntwo\r\n--b--"},
			want:    []string{`/body/0 changed "one" "two"`}},
		{name: "forms", primary: said{header: field("Content-Type", "application/x-www-form-urlencoded"), body: "a=1&b=%32"},
			shadow: said{header: field("Content-Type", "application/x-www-form-urlencoded"), body: "b=2&a=3"},
			want:   []string{`/body/a changed "1" "3"`}},
		{name: "XML", primary: said{header: field("Content-Type", "application/xml"), body: `<a b="1" c="2"><d>x</d></a>`},
			shadow: said{header: field("Content-Type", "application/xml"), body: `<a c="2" b="1"> <d>y</d> </a>`},
			want:   []string{`/body/a/d changed "x" "y"`}},
		{name: "events", primary: said{header: field("Content-Type", "text/event-stream"), body: "data: {\"a\":1}\n\n"},
			shadow: said{header: field("Content-Type", "text/event-stream"), body: ": hello\ndata: {\"a\":2}\n\n"},
			want:   []string{`/body/0/data/a changed 1 2`}},
		{name: "text", primary: saidText("one\ntwo\nthree\n"), shadow: saidText("one\nTWO\nthree\n"),
			want: []string{`/body/1 changed "two\n" "TWO\n" (case)`}},
		{name: "sets in another order, case and number of lines", o: shadow.CompareOptions{Headers: []string{"Vary", "Cache-Control", "Allow"}},
			primary: said{header: http.Header{"Vary": {"Accept, Origin"}, "Cache-Control": {`private="a,b", max-age=1`}, "Allow": {"GET, PUT"}}},
			shadow:  said{header: http.Header{"Vary": {"origin", "Accept"}, "Cache-Control": {`Max-Age=1,private="a,b"`}, "Allow": {"PUT,GET"}}}},
		{name: "sets with another member", o: shadow.CompareOptions{Headers: []string{"Allow", "Cache-Control", "Link", "Vary"}},
			primary: said{header: http.Header{"Vary": {"Accept"}, "Cache-Control": {`private="a,b"`}, "Allow": {"GET"}, "Link": {"</A>"}}},
			shadow:  said{header: http.Header{"Vary": {"Accept, Origin"}, "Cache-Control": {`private="b,a"`}, "Allow": {"get"}, "Link": {"</a>"}}},
			want: []string{`/header/Allow changed "GET" "get"`, `/header/Cache-Control changed "private=\"a,b\"" "private=\"b,a\""`,
				`/header/Link changed "\u003c/A\u003e" "\u003c/a\u003e"`, `/header/Vary changed "Accept" "Accept, Origin"`}},
		{name: "links in another order", o: shadow.CompareOptions{Headers: []string{"Link"}},
			primary: said{header: field("Link", `</a,1>; rel="x", </b,2>; rel="y"`)}, shadow: said{header: field("Link", `</b,2>; rel="y"`, `</a,1>; rel="x"`)}},
		{name: "links to URIs that hold commas", o: shadow.CompareOptions{Headers: []string{"Link"}},
			primary: said{header: field("Link", "</a,1>; rel=x, </b,2>; rel=y")}, shadow: said{header: field("Link", "</a,2>; rel=y, </b,1>; rel=x")},
			want: []string{`/header/Link changed "\u003c/a,1\u003e; rel=x, \u003c/b,2\u003e; rel=y" "\u003c/a,2\u003e; rel=y, \u003c/b,1\u003e; rel=x"`}},
		{name: "methods have a case", o: shadow.CompareOptions{Headers: []string{"Access-Control-Allow-Methods", "Access-Control-Allow-Headers"}},
			primary: said{header: http.Header{"Access-Control-Allow-Methods": {"GET, patch"}, "Access-Control-Allow-Headers": {"X-A, X-B"}}},
			shadow:  said{header: http.Header{"Access-Control-Allow-Methods": {"PATCH, GET"}, "Access-Control-Allow-Headers": {"x-b,x-a"}}},
			want:    []string{`/header/Access-Control-Allow-Methods changed "GET, patch" "PATCH, GET"`}},
		{name: "cookies in another order", o: shadow.CompareOptions{Headers: []string{"Set-Cookie"}},
			primary: said{header: field("Set-Cookie", "a=1", "b=2")}, shadow: said{header: field("Set-Cookie", "b=2", "a=1")}},
		{name: "cookies with attributes in another order, and at another time", o: shadow.CompareOptions{Headers: []string{"Set-Cookie"}},
			primary: said{header: field("Set-Cookie", "a=1; Path=/; HttpOnly; Domain=.A.example; SameSite=Lax; Expires=Wed, 01 Jan 2098 00:00:00 GMT")},
			shadow:  said{header: field("Set-Cookie", "a=1;httponly; expires=Wed, 01 Jan 2098 00:00:01 GMT;samesite=lax;path=/; domain=a.example")}},
		{name: "cookies, by name and without values", o: shadow.CompareOptions{Headers: []string{"Set-Cookie"}},
			primary: said{header: field("Set-Cookie", "a=1", "b=1; Secure", "c/~=1", "d=1", "e=1; Path=/a")},
			shadow:  said{header: field("Set-Cookie", "a=2", "b=1", "d=1", "e=1; Path=/A", "f=1")},
			want: []string{`/header/Set-Cookie/a changed "[masked]" "[masked]"`, `/header/Set-Cookie/b changed "[masked]" "[masked]"`,
				`/header/Set-Cookie/c~1~0 missing "[masked]" -`, `/header/Set-Cookie/e changed "[masked]" "[masked]"`, `/header/Set-Cookie/f extra - "[masked]"`}},
		{name: "cookies of one name on two paths", o: shadow.CompareOptions{Headers: []string{"Set-Cookie"}}, // RFC 6265 section 5.3, step 11
			primary: said{header: field("Set-Cookie", "a=1; Path=/x", "a=2; Path=/y")}, shadow: said{header: field("Set-Cookie", "a=2; Path=/y")},
			want: []string{`/header/Set-Cookie/a changed "[masked]" "[masked]"`}},
		{name: "a cookie that is set and one that is removed", o: shadow.CompareOptions{Headers: []string{"Set-Cookie"}},
			primary: said{header: field("Set-Cookie", "a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT")}, shadow: said{header: field("Set-Cookie", "a=; Expires=Wed, 01 Jan 2098 00:00:00 GMT")},
			want: []string{`/header/Set-Cookie/a changed "[masked]" "[masked]"`}},

		// Trailers.
		{name: "trailers", primary: said{body: "x", trailer: field("Grpc-Status", "0")}, shadow: said{body: "x", trailer: field("Grpc-Status", "0")}},
		{name: "another trailer", primary: said{body: "x", trailer: field("Grpc-Status", "0")}, shadow: said{body: "x", trailer: field("Grpc-Status", "13")},
			want: []string{`/trailer/Grpc-Status changed "0" "13"`}},
		{name: "missing and extra trailers", primary: said{body: "x", trailer: field("X-A", "1")}, shadow: said{body: "x", trailer: field("X-B", "2")},
			want: []string{`/trailer/X-A missing "1" -`, `/trailer/X-B extra - "2"`}},

		// JSON.
		{name: "members in another order", primary: saidJSON(`{"a":1,"b":[true,null]}`), shadow: saidJSON(` {"b" : [true, null], "a":1.0e0}` + "\n")},
		{name: "numbers by value", primary: saidJSON(`[1, 100, 0.1, 1e400, -0]`), shadow: saidJSON(`[1.0, 1e2, 1e-1, 10e399, 0]`)},
		{name: "numbers at full precision", primary: saidJSON(`{"a":9007199254740992,"b":1e400}`), shadow: saidJSON(`{"a":9007199254740993,"b":1e401}`),
			want: []string{`/body/a changed 9007199254740992 9007199254740993 (rounding)`, `/body/b changed 1e400 1e401`}},
		{name: "strings by decoded value", primary: saidJSON(`{"\u0061":"\u00e9\/"}`), shadow: saidJSON(`{"a":"é/"}`)},
		{name: "kinds", primary: saidJSON(`{"a":1,"b":1,"d":"x"}`), shadow: saidJSON(`{"b":[],"c":null,"d":"y"}`),
			want: []string{"/body/a missing 1 -", "/body/b type-changed 1 []", "/body/c extra - null", `/body/d changed "x" "y"`}},
		{name: "null and absent", primary: saidJSON(`{"a":null}`), shadow: saidJSON(`{}`), want: []string{"/body/a missing null -"}},
		{name: "duplicate names are lists", primary: saidJSON(`{"a":1,"a":2}`), shadow: saidJSON(`{"a":2,"a":1}`),
			want: []string{"/body/a changed 1 2", "/body/a changed 2 1"}},
		{name: "names that need escapes", primary: saidJSON(`{"a/b":{"~":1}}`), shadow: saidJSON(`{"a/b":{"~":2}}`),
			want: []string{"/body/a~1b/~0 changed 1 2"}},
		{name: "order of indexes", primary: saidJSON(`{"l":[0,0,0,0,0,0,0,0,0,0,0]}`), shadow: saidJSON(`{"l":[0,0,1,0,0,0,0,0,0,0,1]}`),
			want: []string{"/body/l/2 changed 0 1", "/body/l/10 changed 0 1"}},
		{name: "a suffix of json", primary: said{header: field("Content-Type", "application/problem+json"), body: `{"a":1}`},
			shadow: said{header: field("Content-Type", "application/problem+json"), body: `{"a": 1}`}},
		{name: "json on one side only", primary: saidJSON(`{"a":1}`), shadow: saidText(`{"a": 2}`),
			want: []string{"/body/a changed 1 2", `/header/Content-Type changed "application/json" "text/plain"`}},
		{name: "ignored", o: shadow.CompareOptions{Ignore: []string{"$.at", "items.#.id"}},
			primary: saidJSON(`{"at":1,"items":[{"id":1,"v":1}],"b":1}`), shadow: saidJSON(`{"items":[{"id":2,"v":2}],"b":2}`),
			want: []string{"/body/b changed 1 2", "/body/items/0/v changed 1 2"}},
		{name: "unordered", o: shadow.CompareOptions{Unordered: []string{"$.l"}}, primary: saidJSON(`{"l":[1,2,2,3]}`), shadow: saidJSON(`{"l":[3,2,1,2]}`)},
		{name: "unordered, and another element", o: shadow.CompareOptions{Unordered: []string{"$.l"}}, primary: saidJSON(`{"l":[1,2,3]}`), shadow: saidJSON(`{"l":[3,4,1]}`),
			want: []string{"/body/l/1 changed 2 4"}},
		{name: "not unordered", primary: saidJSON(`{"l":[1,2]}`), shadow: saidJSON(`{"l":[2,1]}`),
			want: []string{"/body/l reordered [1,2] [2,1] (reordering)"}},
		{name: "keyed", o: shadow.CompareOptions{Keyed: map[string]string{"$": "id"}},
			primary: saidJSON(`[{"id":1,"v":1},{"id":2,"v":2}]`), shadow: saidJSON(`[{"id":2,"v":2},{"id":1,"v":1}]`)},
		{name: "keyed, and another value", o: shadow.CompareOptions{Keyed: map[string]string{"$": "id"}},
			primary: saidJSON(`[{"id":1,"v":1},{"id":2,"v":2}]`), shadow: saidJSON(`[{"id":2,"v":3},{"id":1,"v":1}]`),
			want: []string{"/body/id=2/v changed 2 3"}},
		{name: "tolerances", o: shadow.CompareOptions{Tolerances: map[string]shadow.Tolerance{"$.a": {Abs: 0.01}, "$.r": {Rel: 0.1}, "$.t": {Time: time.Second}}},
			primary: saidJSON(`{"a":1.00,"r":100,"t":"2026-01-01T00:00:00Z"}`), shadow: saidJSON(`{"a":1.01,"r":109,"t":"2026-01-01T01:00:01+01:00"}`)},
		{name: "beyond tolerances", o: shadow.CompareOptions{Tolerances: map[string]shadow.Tolerance{"$.a": {Abs: 0.01}, "$.r": {Rel: 0.1}, "$.t": {Time: time.Second}}},
			primary: saidJSON(`{"a":1.00,"r":100,"t":"2026-01-01T00:00:00Z"}`), shadow: saidJSON(`{"a":1.011,"r":112,"t":"2026-01-01T00:00:02Z"}`),
			want: []string{"/body/a changed 1.00 1.011", "/body/r changed 100 112",
				`/body/t changed "2026-01-01T00:00:00Z" "2026-01-01T00:00:02Z" (timestamp)`}},
		{name: "broken on one side", primary: saidJSON(`{"a":1}`), shadow: saidJSON(`{"a":1`),
			want: []string{`/body type-changed {"a":1} "{\"a\":1"`}},
		{name: "broken on the other side", primary: saidJSON(`oops`), shadow: saidJSON(`[]`),
			want: []string{`/body type-changed "oops" []`}},
		{name: "broken on both sides alike", primary: saidJSON(`{"a":`), shadow: saidJSON(`{"a":`)},
		{name: "broken on both sides", primary: saidJSON(`{"a":`), shadow: saidJSON(`{"a" :`),
			want: []string{`/body changed "{\"a\":" "{\"a\" :"`}},
		{name: "too deep on one side", primary: saidJSON(`1`), shadow: saidJSON(strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)),
			want: []string{`/body type-changed 1 "` + strings.Repeat("[", 1<<10) + `…"`}},
		{name: "too deep on both sides", primary: saidJSON(strings.Repeat("[", 100_000)), shadow: saidJSON(strings.Repeat("[", 100_001)),
			want: []string{`/body changed "…` + strings.Repeat("[", 1<<10) + `" "…` + strings.Repeat("[", 1<<10) + `"`}},
		{name: "an empty body for JSON", primary: saidJSON(`{"a":1}`), shadow: saidJSON(``),
			want: []string{`/body missing {"a":1} -`}},
		{name: "JSON for an empty body", primary: saidJSON(``), shadow: saidJSON(`{"a":1}`),
			want: []string{`/body extra - {"a":1}`}},
		{name: "empty bodies", primary: saidJSON(``), shadow: saidJSON(``)},
		{name: "a long value", primary: saidJSON(`{"a":"` + strings.Repeat("é", 1000) + `"}`), shadow: saidJSON(`{"a":1}`),
			want: []string{`/body/a type-changed "\"` + strings.Repeat("é", 511) + `…" 1`}},

		// JSON texts.
		{name: "records", primary: saidLines("{\"a\":1,\"b\":2}\n[1]\n"), shadow: saidLines("{\"b\":2, \"a\":1}\r\n\r\n[1.0]")},
		{name: "another record", primary: saidLines("{\"a\":1}\n{\"a\":2}\n"), shadow: saidLines("{\"a\":1}\n{\"a\":3}\n"),
			want: []string{"/body/1/a changed 2 3"}},
		{name: "missing records", primary: saidLines("1\n2\n3\n"), shadow: saidLines("1\n"),
			want: []string{"/body/1 missing 2 -", "/body/2 missing 3 -"}},
		{name: "extra records", primary: saidLines("1\n"), shadow: saidLines("1\n{}\n"),
			want: []string{"/body/1 extra - {}"}},
		{name: "rules apply to each record", o: shadow.CompareOptions{Ignore: []string{"$.t"}},
			primary: saidLines("{\"t\":1}\n{\"t\":1}\n"), shadow: saidLines("{\"t\":2}\n{\"t\":3}\n")},
		{name: "a broken record", primary: saidLines("1\n{}\n3"), shadow: saidLines("1\n{\n4"),
			want: []string{`/body/1 type-changed {} "{"`, "/body/2 changed 3 4"}},
		{name: "json-seq", primary: said{header: field("Content-Type", "application/json-seq"), body: "\x1e{\"a\":\n1}\n\x1e2\n"},
			shadow: said{header: field("Content-Type", "application/json-seq"), body: "\x1e{\"a\":2}\n\x1e2\n"},
			want:   []string{"/body/0/a changed 1 2"}},

		// Anything else.
		{name: "bytes", primary: saidText("abc"), shadow: saidText("abc")},
		{name: "other bytes", primary: saidText("abc"), shadow: saidText("abd"), want: []string{`/body changed "abc" "abd"`}},
		{name: "no bytes", primary: saidText("abc"), shadow: saidText(""), want: []string{`/body missing "abc" -`}},
		{name: "more than no bytes", primary: saidText(""), shadow: saidText("abc"), want: []string{`/body extra - "abc"`}},
		{name: "bytes that look like JSON", primary: saidText(`{"a":1}`), shadow: saidText(`{"a": 1}`), want: []string{`/body changed "{\"a\":1}" "{\"a\": 1}" (whitespace)`}},
		{name: "long and binary bytes", primary: saidText("\xff" + strings.Repeat("x", 2000)), shadow: saidText("y"),
			want: []string{`/body changed "2001 bytes, at 0: ff` + strings.Repeat(" 78", 15) + ` …" "1 bytes, at 0: 79"`}},

		// All at once, in path order.
		{name: "order", primary: said{status: 200, header: field("Content-Type", "application/json"), body: `{"z":1,"a":1}`, trailer: field("X-T", "1")},
			shadow: said{status: 500, header: field("Content-Type", "text/json"), body: `{"z":2,"a":2}`, trailer: field("X-T", "2")},
			want: []string{"/body/a changed 1 2", "/body/z changed 1 2", `/header/Content-Type changed "application/json" "text/json"`,
				"/status changed 200 500", `/trailer/X-T changed "1" "2"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := append([]string{}, c.want...)
			compare, err := shadow.NewComparator(c.o)
			require.NoError(t, err)
			assert.Equal(t, want, written(compare.Compare(&shadow.Exchange{Primary: c.primary.message(), Shadow: c.shadow.message()}).Diffs))
			eachWay(t, typed(c.shadow), func(t *testing.T, target shadow.Target) {
				res := exchange(t, typed(c.primary), target, get(), shadow.WithCompare(c.o))
				assert.Equal(t, want, written(res.Diffs))
				assert.False(t, res.More)
				assert.NoError(t, res.Err)
				if len(want) == 0 {
					assert.Equal(t, shadow.Match, res.Outcome)
				} else {
					assert.Equal(t, shadow.Mismatch, res.Outcome)
				}
			})
		})
	}
}

// typed is s without the Content-Type that net/http gives to a body that has none.
func typed(s said) said {
	if _, ok := s.header["Content-Type"]; !ok {
		h := http.Header{"Content-Type": nil}
		for name, values := range s.header {
			h[name] = values
		}
		s.header = h
	}
	return s
}

func TestDifferencesAreCapped(t *testing.T) {
	numbers := func(n int, value string) string { return "[" + strings.Repeat(value+",", n-1) + value + "]" }
	for _, c := range []struct {
		name            string
		max             int
		primary, shadow said
		want            int
		more            bool
	}{
		{"100 by default", 0, saidJSON(numbers(101, "0")), saidJSON(numbers(101, "1")), 100, true},
		{"as many as there are", 0, saidJSON(numbers(100, "0")), saidJSON(numbers(100, "1")), 100, false},
		{"as many as wanted", 200, saidJSON(numbers(200, "0")), saidJSON(numbers(200, "1")), 200, false},
		{"records", 2, saidLines("1\n1\n1\n"), saidLines("2\n2\n2\n"), 2, true},
		{"records, of which the rest are equal", 1, saidLines("1\n1\n1\n"), saidLines("2\n1\n1\n"), 1, false},
		{"records of several differences", 2, saidLines("[1]\n[1,1]\n"), saidLines("[2]\n[2,2]\n"), 2, true},
		{"the body does not crowd out the rest", 2, saidJSON(numbers(9, "0")), said{status: 500, header: saidJSON("").header, body: numbers(9, "1")}, 2, true},
		{"status and header fields", 1, said{status: 200, header: field("Location", "/a")}, said{status: 201, header: field("Location", "/b")}, 1, true},
		{"trailers", 3, said{}, said{trailer: http.Header{"X-A": {"1"}, "X-B": {"1"}, "X-C": {"1"}, "X-D": {"1"}}}, 3, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := exchange(t, typed(c.primary), shadow.InProcess("candidate", typed(c.shadow)), get(),
				shadow.WithCompare(shadow.CompareOptions{MaxDiffs: c.max}))
			assert.Equal(t, shadow.Mismatch, res.Outcome)
			assert.Len(t, res.Diffs, c.want)
			assert.Equal(t, c.more, res.More)
			if c.shadow.status != 0 && c.max > 1 {
				assert.Equal(t, "/status", res.Diffs[len(res.Diffs)-1].Path)
			}
		})
	}
}

func TestBodiesAreComparedDecoded(t *testing.T) {
	coded := func(s said, codings ...string) said {
		h := s.header.Clone()
		h.Set("Content-Encoding", strings.ReplaceAll(strings.Join(codings, ", "), "bare ", ""))
		return said{header: h, body: encode(t, s.body, codings...)}
	}
	doc := saidJSON(`{"a":1,"text":"` + strings.Repeat("x", 500) + `"}`)
	other := saidJSON(strings.Replace(doc.body, `"a":1`, `"a":2`, 1))
	for _, c := range []struct {
		name            string
		primary, shadow said
		want            []string
	}{
		{"gzip and identity", doc.zipped(9), doc, nil},
		{"identity and gzip", doc, doc.zipped(9), nil},
		{"gzip at two levels", doc.zipped(9), doc.zipped(gzip.NoCompression), nil},
		{"another gzip", doc.zipped(9), other.zipped(1), []string{"/body/a changed 1 2"}},
		{"another identity", doc.zipped(9), other, []string{"/body/a changed 1 2"}},
		{"brotli and zstd", coded(doc, "br"), coded(doc, "zstd"), nil},
		{"two kinds of deflate", coded(doc, "deflate"), coded(doc, "bare deflate"), nil},
		{"one over the other", coded(doc, "gzip", "br"), coded(other, "zstd", "deflate"), []string{"/body/a changed 1 2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachWay(t, c.shadow, func(t *testing.T, target shadow.Target) {
				masked := exchange(t, c.primary, target, get(), shadow.WithMasker(shadow.MaskJSON("$.text")))
				assert.Equal(t, append([]string{}, c.want...), written(masked.Diffs))
				assert.Equal(t, `{"a":1,"text":"[masked]"}`, string(masked.Primary.Body))
				res := exchange(t, c.primary, target, get())
				assert.Equal(t, append([]string{}, c.want...), written(res.Diffs))
				assert.Equal(t, int64(len(c.primary.body)), res.Primary.Size)
				assert.Equal(t, int64(len(c.shadow.body)), res.Shadow.Size)
				assert.Equal(t, doc.body, string(res.Primary.Body))
				assert.NoError(t, res.Err)
			})
		})
	}
}

// Bodies over the limit are compared by length and hash, and never taken for different
// where only their compressed forms are known to be.
func TestBodiesOverTheLimit(t *testing.T) {
	const limit = 1 << 10
	long := saidText(strings.Repeat("long ", limit))
	turned := saidText(long.body[:len(long.body)-1] + "!")
	longer := saidText(long.body + "!")
	bomb := saidText(strings.Repeat("\x00", 256<<10))
	random := saidJSON(`"` + strings.Repeat("0123456789abcdef", 40) + `"`)
	cut := said{header: random.zipped(9).header, body: random.zipped(9).body[:40]}
	for _, c := range []struct {
		name            string
		primary, shadow said
		want            shadow.Outcome
	}{
		{"equal", long, long, shadow.Match},
		{"equal JSON", saidJSON(long.body), saidJSON(long.body), shadow.Match},
		{"another last byte", long, turned, shadow.Mismatch},
		{"longer", long, longer, shadow.Mismatch},
		{"shorter", longer, long, shadow.Mismatch},
		{"the shadow's fits", long, saidText("x"), shadow.Mismatch},
		{"the primary's fits", saidText("x"), long, shadow.Mismatch},
		{"exactly the limit", saidText(long.body[:limit]), saidText(long.body[:limit]), shadow.Match},
		{"one byte over it", saidText(long.body[:limit]), saidText(long.body[:limit+1]), shadow.Mismatch},
		{"a decompression bomb each", bomb.zipped(9), bomb.zipped(9), shadow.Match},
		{"a decompression bomb for a small answer", saidText("x"), bomb.zipped(9), shadow.Mismatch},
		{"decompression bombs at two levels", bomb.zipped(9), bomb.zipped(1), shadow.Uncompared},
		{"a decompression bomb and its content", bomb.zipped(9), bomb, shadow.Uncompared},
		{"long when decoded and when not", long.zipped(9), long.zipped(gzip.NoCompression), shadow.Uncompared},
		{"broken content alike", cut, cut, shadow.Match},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachWay(t, c.shadow, func(t *testing.T, target shadow.Target) {
				res := exchange(t, c.primary, target, get(), shadow.WithMaxBody(limit))
				require.Equal(t, c.want, res.Outcome, "%s %v", written(res.Diffs), res.Err)
				switch c.want {
				case shadow.Mismatch:
					require.Len(t, res.Diffs, 1)
					assert.Equal(t, "/body", res.Diffs[0].Path)
				case shadow.Uncompared:
					assert.ErrorIs(t, res.Err, shadow.ErrBody)
					assert.Empty(t, res.Diffs)
				}
				for _, m := range []*shadow.Message{res.Primary, res.Shadow} {
					assert.LessOrEqual(t, len(m.Body), limit)
				}
				assert.Equal(t, int64(len(c.primary.body)), res.Primary.Size)
			})
		})
	}
}

func TestTheRestIsComparedWhereBodiesCannotBe(t *testing.T) {
	bomb := saidText(strings.Repeat("\x00", 256<<10))
	other := bomb.zipped(1)
	other.status = 500
	res := exchange(t, bomb.zipped(9), shadow.InProcess("candidate", other), get(), shadow.WithMaxBody(1<<10))
	assert.Equal(t, shadow.Mismatch, res.Outcome)
	assert.Equal(t, []string{"/status changed 200 500"}, written(res.Diffs))
}

// A shadow that never stops to answer is read no further than it can matter.
func TestAFloodIsADifference(t *testing.T) {
	flood := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		block := bytes.Repeat([]byte("flood "), 1000)
		for {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	})
	eachWay(t, flood, func(t *testing.T, target shadow.Target) {
		res := exchange(t, saidText("calm"), target, get(), shadow.WithMaxBody(1<<10))
		require.Equal(t, shadow.Mismatch, res.Outcome, "%v", res.Err)
		require.Len(t, res.Diffs, 1)
		assert.Equal(t, "/body", res.Diffs[0].Path)
	})
}

// A mask never hides a difference, and a difference never shows what is masked. What is
// not masked keeps its value, wherever the masks have moved it.
func TestValuesOfADiffComeFromTheMaskedRecord(t *testing.T) {
	const m = `"[masked]"`
	for _, c := range []struct {
		name            string
		o               shadow.CompareOptions
		mask            shadow.Masker
		primary, shadow said
		want            []string
	}{
		{"values before others", shadow.CompareOptions{}, shadow.MaskJSON("$..email"),
			saidJSON(`{"email":"alice-secret@example.com","n":1,"l":[{"email":"s3cret","v":1}],"z":"same"}`),
			saidJSON(`{"email":"bob-secret@example.com","n":2,"l":[{"email":"secret","v":2}],"z":"same"}`),
			[]string{"/body/email changed " + m + " " + m, "/body/l/0/email changed " + m + " " + m, "/body/l/0/v changed 1 2", "/body/n changed 1 2"}},
		{"of different types", shadow.CompareOptions{}, shadow.MaskJSON("$.a"),
			saidJSON(`{"a":"secret","b":[1]}`), saidJSON(`{"a":["secret"],"b":{}}`),
			[]string{"/body/a type-changed " + m + " " + m, "/body/b type-changed [1] {}"}},
		{"inside of what is masked", shadow.CompareOptions{}, shadow.MaskJSON("$.user"),
			saidJSON(`{"user":{"name":"secret1","l":[1]},"v":1}`), saidJSON(`{"user":{"name":"secret2","l":[1,2]},"v":2}`),
			[]string{"/body/user/[masked]/1 extra - " + m, "/body/user/[masked] changed " + m + " " + m, "/body/v changed 1 2"}},
		{"around what is masked", shadow.CompareOptions{}, shadow.MaskJSON("$.user.pin"),
			saidJSON(`{"x":"","user":{"pin":"secret","n":1}}`), saidJSON(`{"x":"","user":[]}`),
			[]string{`/body/user type-changed {"pin":"[masked]","n":1} []`}},
		{"missing and extra", shadow.CompareOptions{}, shadow.MaskJSON("$..pin"),
			saidJSON(`{"a":{"pin":"secret"},"c":1}`), saidJSON(`{"b":{"pin":"secret"},"c":1}`),
			[]string{`/body/a missing {"pin":"[masked]"} -`, `/body/b extra - {"pin":"[masked]"}`}},
		{"every occurrence of a name", shadow.CompareOptions{}, shadow.MaskJSON("$.a"),
			saidJSON(`{"a":"secret1","a":"secret2","b":1}`), saidJSON(`{"a":"secret1","a":"secret3","b":2}`),
			[]string{"/body/a changed " + m + " " + m, "/body/b changed 1 2"}},
		{"one of several occurrences", shadow.CompareOptions{}, shadow.MaskJSON("$.p"),
			saidJSON(`{"p":"long secret","b":1,"b":2}`), saidJSON(`{"p":"secret","b":1,"b":3}`),
			[]string{"/body/b changed 2 3", "/body/p changed " + m + " " + m}},
		{"elements that moved", shadow.CompareOptions{}, shadow.MaskJSON("$[*].pin"),
			saidJSON(`[{"pin":"secret","id":1},{"pin":"secret","id":2},{"pin":"secret","id":3}]`),
			saidJSON(`[{"pin":"secret","id":2},{"pin":"secret","id":3}]`),
			[]string{`/body/0 missing {"pin":"[masked]","id":1} -`}},
		{"elements in another order", shadow.CompareOptions{Keyed: map[string]string{"$": "id"}}, shadow.MaskJSON("$[*].pin"),
			saidJSON(`[{"id":1,"pin":"secret","v":1},{"id":2,"pin":"s","v":2}]`),
			saidJSON(`[{"id":2,"pin":"secret!","v":9},{"id":1,"pin":"secret","v":1}]`),
			[]string{"/body/id=2/pin changed " + m + " " + m, "/body/id=2/v changed 2 9"}},
		{"records", shadow.CompareOptions{}, shadow.MaskJSON("$.pin"),
			saidLines("{\"pin\":\"secret\",\"v\":1}\n{\"pin\":\"sec\",\"v\":1}\n"), saidLines("{\"pin\":\"secret\",\"v\":2}\n\n{\"pin\":\"ret\",\"v\":2}\n3"),
			[]string{"/body/0/v changed 1 2", "/body/1/pin changed " + m + " " + m, "/body/1/v changed 1 2", "/body/2 extra - 3"}},
		{"a difference in a body that is masked alike", shadow.CompareOptions{}, shadow.MaskJSON("$"),
			saidJSON(`"secret 1"`), saidJSON(`"secret 2"`), []string{"/body changed " + m + " " + m}},
		{"header fields and trailers", shadow.CompareOptions{Headers: []string{"Set-Cookie", "X-Pin"}}, shadow.MaskHeaders("x-pin", "x-Trailer"),
			said{header: http.Header{"X-Pin": {"secret"}, "Set-Cookie": {"a=secret"}}, body: "x", trailer: field("X-Trailer", "secret")},
			said{header: http.Header{"X-Pin": {"secret", "2"}, "Set-Cookie": {"a=secret2"}}, body: "x", trailer: field("X-Trailer", "secret2")},
			[]string{"/header/Set-Cookie/a changed " + m + " " + m, `/header/X-Pin changed "[masked]" ["[masked]","[masked]"]`, "/trailer/X-Trailer changed " + m + " " + m}},
		{"the query of a Location", shadow.CompareOptions{}, shadow.MaskQuery("code"),
			said{status: 302, header: field("Location", "/cb?code=secret&v=1")}, said{status: 302, header: field("Location", "/cb?code=secret2&v=2")},
			[]string{`/header/Location changed "/cb?code=%5Bmasked%5D\u0026v=1" "/cb?code=%5Bmasked%5D\u0026v=2"`}},
		{"a body of another kind", shadow.CompareOptions{}, shadow.MaskerFunc(func(m *shadow.Message) error {
			m.Body = bytes.ReplaceAll(m.Body, []byte("secret"), []byte("******"))
			return nil
		}), saidText("a secret 1"), saidText("a secret 2"), []string{`/body changed "a ****** 1" "a ****** 2"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachWay(t, typed(c.shadow), func(t *testing.T, target shadow.Target) {
				res := exchange(t, typed(c.primary), target, get(), shadow.WithCompare(c.o), shadow.WithMasker(c.mask))
				assert.Equal(t, shadow.Mismatch, res.Outcome)
				assert.Equal(t, c.want, written(res.Diffs))
				noSecrets(t, res)
			})
		})
	}
}

var aSecret = regexp.MustCompile(`(?i)s[e3]cret`)

// noSecrets looks at everything in res that can be marshalled or logged.
func noSecrets(t *testing.T, res *shadow.Result) {
	t.Helper()
	assert.NotRegexp(t, aSecret, everything(t, res))
}

func everything(t *testing.T, res *shadow.Result) string {
	t.Helper()
	var b strings.Builder
	for _, m := range []*shadow.Message{res.Request, res.Primary, res.Shadow} {
		if m != nil {
			fmt.Fprintln(&b, m.Method, m.URL, m.Host, m.Header, m.Trailer, string(m.Body))
		}
	}
	for _, d := range append(append([]shadow.Diff(nil), res.Diffs...), res.Noise...) {
		fmt.Fprintln(&b, d.Path, d.Kind, d.Class, string(d.Primary), string(d.Shadow))
	}
	fmt.Fprintln(&b, res.ID, res.Route, res.Err, res.LogValue())
	return b.String()
}

// The place of an element that a key identifies says the key: not if that is masked.
func TestAMaskedKeyIsNotInThePath(t *testing.T) {
	res := exchange(t,
		saidJSON(`[{"email":"alice-secret@example.com","v":1},{"email":"b","v":1}]`),
		shadow.InProcess("candidate", saidJSON(`[{"email":"b","v":1},{"email":"alice-secret@example.com","v":2}]`)), get(),
		shadow.WithCompare(shadow.CompareOptions{Keyed: map[string]string{"$": "email"}}),
		shadow.WithMasker(shadow.MaskJSON("$[*].email")))
	assert.Equal(t, shadow.Mismatch, res.Outcome)
	require.Len(t, res.Diffs, 1)
	assert.Equal(t, "1 2", string(res.Diffs[0].Primary)+" "+string(res.Diffs[0].Shadow))
	noSecrets(t, res)
}

// A Masker may do what it likes to a body: values that cannot be found again are not
// shown.
func TestWhatAMaskerRemovedHasNoValue(t *testing.T) {
	for name, body := range map[string]string{
		"all":                  "",
		"by what is not JSON":  "(removed)",
		"by another type":      `[]`,
		"the member":           `{"v":1}`,
		"the other member":     `{"pin":0}`,
		"all but more members": `{"a":{"pin":[1,2,3]},"b":[{"v":5}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			for _, kind := range []func(string) said{saidJSON, saidLines} {
				res := exchange(t, kind(`{"pin":"secret 1","v":"secret 1"}`),
					shadow.InProcess("candidate", kind(`{"pin":"secret 2","v":"secret 2"}`)), get(),
					shadow.WithMasker(shadow.MaskerFunc(func(m *shadow.Message) error {
						if m.StatusCode != 0 {
							m.Body = []byte(body)
						}
						return nil
					})))
				assert.Equal(t, shadow.Mismatch, res.Outcome)
				assert.Len(t, res.Diffs, 2)
				noSecrets(t, res)
			}
		})
	}
}

// What a Comparator of the user's says about values is not reported: it saw them
// unmasked.
func TestValuesOfAnyComparatorAreReplaced(t *testing.T) {
	leak := json.RawMessage(`"secret"`)
	at := func(path string, kind shadow.DiffKind) shadow.Diff {
		return shadow.Diff{Path: path, Kind: kind, Primary: leak, Shadow: leak}
	}
	answer := func(v string) said {
		return said{header: http.Header{"Content-Type": {"application/json"}, "X-A": {v}},
			body: `{"pin":"secret","a":{"x/y":["` + v + `"]}}`, trailer: field("X-T", v)}
	}
	res := exchange(t, answer("1"), shadow.InProcess("candidate", answer("2")), get(),
		shadow.WithMasker(shadow.MaskJSON("$.pin")),
		shadow.WithComparator(shadow.ComparatorFunc(func(*shadow.Exchange) []shadow.Diff {
			return []shadow.Diff{
				at("/body/pin", shadow.Changed), at("/body/a/x~1y/0", shadow.Changed), at("/body/a/x~1y", shadow.Missing), at("/body/a", shadow.Extra),
				at("/body/none", shadow.Changed), at("/body/a/x~1y/7", shadow.Changed), at("/body/a/x~1y/-", ""), at("/bodyguard", shadow.Changed),
				at("/header/x-a", shadow.Changed), at("/header/None", shadow.Changed), at("/trailer/X-T", shadow.Changed),
				at("/status", shadow.Changed), at("/latency", shadow.Changed), at("", shadow.Changed), at("score", shadow.Changed),
			}
		})))
	assert.Equal(t, []string{
		`/body/pin changed "[masked]" "[masked]"`, `/body/a/x~1y/0 changed "1" "2"`, `/body/a/x~1y missing ["1"] -`, `/body/a extra - {"x/y":["2"]}`,
		`/body/[masked] changed - -`, `/body/a/x~1y/[masked] changed - -`, `/body/a/x~1y/[masked]  - -`, `/bodyguard changed - -`,
		`/header/x-a changed "1" "2"`, `/header/None changed - -`, `/trailer/X-T changed "1" "2"`,
		`/status changed 200 200`, `/latency changed - -`, ` changed - -`, `score changed - -`,
	}, written(res.Diffs))
	noSecrets(t, res)
}

// comparing is a function that is a Comparator.
type comparing func(*shadow.Exchange) shadow.Comparison

func (f comparing) Compare(x *shadow.Exchange) shadow.Comparison { return f(x) }

// filtering is a Comparator that filters what another one finds, as a user may write it.
type filtering struct {
	shadow.Comparator
	keep func(shadow.Diff) bool
}

func (f filtering) Compare(x *shadow.Exchange) shadow.Comparison {
	got := f.Comparator.Compare(x)
	got.Diffs = slices.DeleteFunc(got.Diffs, func(d shadow.Diff) bool { return !f.keep(d) })
	return got
}

func (f filtering) Unwrap() []shadow.Comparator { return []shadow.Comparator{f.Comparator} }

// A Comparator may hand on to a built-in one, also another exchange than the one it was
// given: values are still those that were answered.
func TestAComparatorMayNormalizeBeforeItCompares(t *testing.T) {
	base, err := shadow.NewComparator(shadow.CompareOptions{})
	require.NoError(t, err)
	const padding = `"padding":"................................",`
	normalize := comparing(func(x *shadow.Exchange) shadow.Comparison {
		y := *x
		y.Primary, y.Shadow = x.Primary.Clone(), x.Shadow.Clone()
		for _, m := range []*shadow.Message{y.Primary, y.Shadow} {
			m.Body = bytes.Replace(m.Body, []byte(padding), nil, 1)
		}
		return base.Compare(&y)
	})
	for name, mask := range map[string]shadow.Masker{
		"masked":     shadow.MaskJSON("$.pin"),
		"not masked": shadow.MaskJSON("$.none"),
	} {
		t.Run(name, func(t *testing.T) {
			res := exchange(t, saidJSON(`{`+padding+`"pin":"1234","v":[1,"long value"]}`),
				shadow.InProcess("candidate", saidJSON(`{"pin":"1234","v":[2,"long value"]}`)), get(),
				shadow.WithComparator(normalize), shadow.WithMasker(mask))
			assert.Equal(t, []string{"/body/v/0 changed 1 2"}, written(res.Diffs))
		})
	}
}

// A Comparator that leaves out some of what a built-in one finds loses nothing of the rest:
// neither the values that are not where the path alone leads, nor that there are more.
func TestAComparatorMayFilterWhatAnotherFinds(t *testing.T) {
	base, err := shadow.NewComparator(shadow.CompareOptions{Keyed: map[string]string{"$.items": "id"}, MaxDiffs: 4})
	require.NoError(t, err)
	but := func(names ...string) shadow.Comparator {
		return filtering{base, func(d shadow.Diff) bool { return !slices.Contains(names, d.Path) }}
	}
	of := func(ctype, body string) said { return said{header: http.Header{"Content-Type": {ctype}}, body: body} }
	for _, c := range []struct {
		name, ctype, primary, shadow string
		filter                       shadow.Comparator
		want                         []string
		more                         bool
	}{
		{"keyed", "application/json", `{"items":[{"id":7,"price":1},{"id":8,"pin":"secret"}]}`, `{"items":[{"id":8,"pin":"secret 2"},{"id":7,"price":2}]}`,
			but(), []string{"/body/items/id=7/price changed 1 2", `/body/items/id=8/pin changed "[masked]" "[masked]"`}, false},
		{"the same key twice", "application/json", `{"items":[{"id":7,"v":1},{"id":7,"v":2}]}`, `{"items":[{"id":7,"v":3},{"id":7,"v":4}]}`,
			but(), []string{"/body/items/id=7/v changed 1 3", "/body/items/id=7/v changed 2 4"}, false},
		{"moved by an insertion", "application/json", `[{"a":1,"v":1},{"b":2},{"c":3,"v":3,"w":4}]`, `[{"z":0},{"a":1,"v":1},{"b":2},{"c":3,"v":5,"w":4}]`,
			but("/body/0"), []string{"/body/2/v changed 3 5"}, false},
		{"moved by an insertion", "application/x-ndjson", "{\"a\":1}\n{\"b\":2}\n{\"pin\":\"secret\",\"v\":3}\n", "{\"z\":0}\n{\"a\":1}\n{\"b\":2}\n{\"pin\":\"secret\",\"v\":4}\n",
			but("/body/0"), []string{"/body/2/v changed 3 4"}, false},
		{"a name twice", "application/json", `{"a":1,"a":2}`, `{"a":1,"a":3}`, but("/body/b"), []string{"/body/a changed 2 3"}, false},
		{"form", "application/x-www-form-urlencoded", "a=1&b=2", "b=3&a=1", but(), []string{`/body/b changed "2" "3"`}, false},
		{"more", "application/json", `{"a":1,"b":1,"c":1,"d":1,"e":1}`, `{"a":2,"b":2,"c":2,"d":2,"e":2}`,
			but("/body/b", "/body/c"), []string{"/body/a changed 1 2", "/body/d changed 1 2"}, true},
		{"no more", "application/json", `{"a":1,"b":1,"c":1,"d":1}`, `{"a":2,"b":2,"c":2,"d":2}`, but("/body/b", "/body/c", "/body/d"), []string{"/body/a changed 1 2"}, false},
	} {
		for how, option := range map[string]shadow.Option{
			"of all":     shadow.WithComparator(c.filter),
			"of bodies":  shadow.WithCompare(shadow.CompareOptions{Bodies: map[string]shadow.Comparator{c.ctype: c.filter}}),
			"of filters": shadow.WithComparator(filtering{c.filter, func(shadow.Diff) bool { return true }}),
		} {
			t.Run(c.name+" "+c.ctype+" "+how, func(t *testing.T) {
				res := exchange(t, of(c.ctype, c.primary), shadow.InProcess("candidate", of(c.ctype, c.shadow)), get(),
					option, shadow.WithMasker(shadow.MaskAll(shadow.MaskJSON("$..pin"), shadow.AllowBodies("*/*"))))
				assert.Equal(t, c.want, written(res.Diffs))
				assert.Equal(t, c.more, res.More)
				noSecrets(t, res)
			})
		}
	}

	// What is left out may hide the rest: that is no match.
	res := exchange(t, saidJSON(`[1,2,3,4,5]`), shadow.InProcess("candidate", saidJSON(`["1","2","3","4","5"]`)), get(),
		shadow.WithComparator(but("/body/0", "/body/1", "/body/2", "/body/3")))
	assert.Equal(t, shadow.Uncompared, res.Outcome)
	assert.ErrorIs(t, res.Err, shadow.ErrBody)
	res = exchange(t, saidJSON(`[1,2,3,4]`), shadow.InProcess("candidate", saidJSON(`["1","2","3","4"]`)), get(),
		shadow.WithComparator(but("/body/0", "/body/1", "/body/2", "/body/3")))
	assert.Equal(t, shadow.Match, res.Outcome)
}

// The rules of a RuleComparator inside of a user's wrapper are counted once for each comparison,
// wherever the wrapper is.
func TestRulesInsideOfAWrapperAreCounted(t *testing.T) {
	for where, option := range map[string]func(shadow.Comparator) shadow.Option{
		"of all": shadow.WithComparator,
		"of bodies": func(c shadow.Comparator) shadow.Option {
			return shadow.WithCompare(shadow.CompareOptions{Bodies: map[string]shadow.Comparator{"+json": c, "application/json": c}})
		},
	} {
		base, err := shadow.NewComparator(shadow.CompareOptions{Ignore: []string{"$.at"}, Keyed: map[string]string{"$.l": "id"}})
		require.NoError(t, err)
		nested := filtering{filtering{base, func(shadow.Diff) bool { return true }}, func(d shadow.Diff) bool { return d.Path != "/body/v" }}
		m, results := mirror(t, shadow.InProcess("v2", saidJSON(`{"at":2,"v":2,"l":[{"id":2,"n":1},{"id":1,"n":3}]}`)), option(nested))
		getFrom(m.Handler(saidJSON(`{"at":1,"v":1,"l":[{"id":1,"n":1},{"id":2,"n":2}]}`)), "/")
		require.NoError(t, m.Shutdown(t.Context()))
		require.Len(t, results.All(), 1)
		assert.Equal(t, []string{"/body/l/id=1/n changed 1 3", "/body/l/id=2/n changed 2 1"}, written(results.All()[0].Diffs), where)
		assert.Equal(t, []shadow.RuleUse{{Option: "Ignore", Path: "$.at", Count: 1}, {Option: "Keyed", Path: "$.l", Count: 1}}, m.Rules(), where)
	}
}

// What a Comparator returns is its own: it may return the same slice to all.
func TestDiffsOfAComparatorAreNotChanged(t *testing.T) {
	diffs := []shadow.Diff{{Path: "/body/b", Kind: shadow.Changed}, {Path: "/status"}, {Path: "/body/a", Kind: shadow.Changed}}
	kept := slices.Clone(diffs)
	same := shadow.ComparatorFunc(func(*shadow.Exchange) []shadow.Diff { return diffs[:2] })
	for _, option := range []shadow.Option{
		shadow.WithComparator(same),
		shadow.WithCompare(shadow.CompareOptions{Bodies: map[string]shadow.Comparator{"application/json": same}}),
	} {
		res := exchange(t, saidJSON(`{"b":1}`), shadow.InProcess("candidate", saidJSON(`{"b":2}`)), get(), option)
		assert.Contains(t, written(res.Diffs), "/body/b changed 1 2")
		assert.Equal(t, kept, diffs)
	}
}

// A comparator for one media type says how bodies differ; everything else is compared as
// ever, and once.
func TestBodiesOfOneTypeHaveTheirOwnComparator(t *testing.T) {
	strict, err := shadow.NewComparator(shadow.CompareOptions{Keyed: map[string]string{"$.l": "id"}})
	require.NoError(t, err)
	never := shadow.ComparatorFunc(func(*shadow.Exchange) []shadow.Diff { return nil })
	differs := func(path string) shadow.Comparator {
		return shadow.ComparatorFunc(func(*shadow.Exchange) []shadow.Diff { return []shadow.Diff{{Path: path, Kind: shadow.Changed}} })
	}
	of := func(ctype, body string, status int) said {
		return said{status: status, header: http.Header{"Content-Type": {ctype}, "Location": {fmt.Sprint(status)}}, body: body}
	}
	bodies := map[string]shadow.Comparator{
		"application/vnd.acme+json": strict, "+json": differs("/body/suffix"), "Image/*": never, "image/png": differs("/body"), "text/html": differs("/latency"),
	}
	status := []string{`/header/Location changed "200" "500"`, "/status changed 200 500"}
	for _, c := range []struct {
		ctype, primary, shadow string
		want                   []string
	}{
		{"application/vnd.acme+json", `{"a":1}`, `{"a":2}`, append([]string{"/body/a changed 1 2"}, status...)},
		{"application/vnd.acme+json; v=1", `{"l":[{"id":1,"v":1},{"id":2}]}`, `{"l":[{"id":2},{"id":1,"v":2}]}`, append([]string{"/body/l/id=1/v changed 1 2"}, status...)},
		{"application/vnd.other+json", `{"suffix":1}`, `{"suffix":2}`, append([]string{"/body/suffix changed 1 2"}, status...)},
		{"IMAGE/GIF", "a", "b", status},
		{"image/png", "a", "a", append([]string{`/body changed "a" "a"`}, status...)},
		{"application/json", `{"a":1}`, `{"a":2}`, append([]string{"/body/a changed 1 2"}, status...)},
		{"text/html", "a", "b", append(slices.Clone(status[:1]), "/latency changed - -", status[1])},
	} {
		t.Run(c.ctype, func(t *testing.T) {
			eachWay(t, of(c.ctype, c.shadow, 500), func(t *testing.T, target shadow.Target) {
				res := exchange(t, of(c.ctype, c.primary, 200), target, get(), shadow.WithCompare(shadow.CompareOptions{Bodies: bodies}))
				if c.ctype == "text/html" { // whose order is that of its paths, or of its makers
					assert.ElementsMatch(t, c.want, written(res.Diffs))
				} else {
					assert.Equal(t, c.want, written(res.Diffs))
				}
				assert.False(t, res.More)
			})
		})
	}
}

func TestComparatorsOfBodiesAreChecked(t *testing.T) {
	for name, cmp := range map[string]shadow.Comparator{
		"": never{}, "html": never{}, "text/": never{}, "/html": never{}, "text/html; charset=utf-8": never{}, "text html": never{}, "+": never{},
		"*/*": never{}, "*/json": never{}, "text/html": nil, "text/xml": shadow.ComparatorFunc(nil),
	} {
		_, err := shadow.NewComparator(shadow.CompareOptions{Bodies: map[string]shadow.Comparator{name: cmp}})
		assert.ErrorContains(t, err, fmt.Sprintf("CompareOptions.Bodies: %q", name))
	}
}

// A rule that never takes effect while answers differ is probably misspelt.
func TestRulesCountTheirEffect(t *testing.T) {
	compare, err := shadow.NewComparator(shadow.CompareOptions{
		Ignore: []string{"$.at", "$.At"}, Unordered: []string{"$.l"}, Keyed: map[string]string{"$.k": "id"},
		Tolerances: map[string]shadow.Tolerance{"$.n": {Abs: 1}, "$.m": {Abs: 1}},
	})
	require.NoError(t, err)
	none := []shadow.RuleUse{{"Ignore", "$.at", 0}, {"Ignore", "$.At", 0}, {"Unordered", "$.l", 0}, {"Keyed", "$.k", 0}, {"Tolerances", "$.m", 0}, {"Tolerances", "$.n", 0}}
	assert.Equal(t, none, compare.Rules())
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			compare.Compare(&shadow.Exchange{
				Primary: saidJSON(`{"at":1,"l":[1,2],"k":[{"id":1},{"id":2}],"n":1,"m":5}`).message(),
				Shadow:  saidJSON(`{"at":2,"l":[2,1],"k":[{"id":2},{"id":1}],"n":2,"m":5}`).message()})
			compare.Rules()
		})
	}
	all.Wait()
	for i, rule := range compare.Rules() {
		assert.Equal(t, map[bool]uint64{true: 4}[rule.Path != "$.At" && rule.Path != "$.m"], rule.Count, "%+v", rule)
		assert.Equal(t, none[i].Path, rule.Path)
	}
}

func TestNoiseIsReportedMasked(t *testing.T) {
	n := 0
	counter := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n++ // the control is asked after the primary has answered
		saidJSON(fmt.Sprintf(`{"pin":"secret %d","at":[%d],"v":1}`, n, n)).ServeHTTP(w, nil)
	})
	res := exchange(t, counter, shadow.InProcess("candidate", saidJSON(`{"pin":"secret","at":[0],"v":2}`)), get(),
		shadow.WithControl(shadow.InProcess("control", counter)), shadow.WithMasker(shadow.MaskJSON("$.pin")))
	assert.Equal(t, shadow.Mismatch, res.Outcome)
	assert.Equal(t, []string{"/body/v changed 1 2"}, written(res.Diffs))
	assert.Equal(t, []string{"/body/at/0 changed 1 0", `/body/pin changed "[masked]" "[masked]"`}, written(res.Noise))
	noSecrets(t, res)
}

func TestAComparatorThatPanicsComparesNothing(t *testing.T) {
	res := exchange(t, saidText("x"), shadow.InProcess("candidate", saidText("y")), get(),
		shadow.WithComparator(shadow.ComparatorFunc(func(*shadow.Exchange) []shadow.Diff { panic("secret") })))
	assert.Equal(t, shadow.Uncompared, res.Outcome)
	assert.ErrorIs(t, res.Err, shadow.ErrPanic)
	noSecrets(t, res)
}

func TestNewComparatorReportsEveryFault(t *testing.T) {
	_, err := shadow.NewComparator(shadow.CompareOptions{
		Headers:   []string{"X-Good", "bad header", ""},
		Ignore:    []string{"$.a", "$.b["},
		Unordered: []string{"$..[?"},
		Keyed:     map[string]string{"$.items": "", "$[": "id"},
		Tolerances: map[string]shadow.Tolerance{
			"$.n": {Abs: -1}, "$.o": {Rel: math.NaN()}, "$.p": {Time: -1}, "$x": {},
		},
		MaxDiffs: -1,
	})
	require.Error(t, err)
	for _, want := range []string{
		`CompareOptions.Headers: "bad header" is not`, `CompareOptions.Headers: "" is not`,
		`CompareOptions.Ignore: `, `"$.b["`, `CompareOptions.Unordered: `, `"$..[?"`,
		`CompareOptions.Keyed: "$.items": empty member name`, `CompareOptions.Keyed: `, `"$["`,
		`Tolerances: "$.n"`, `Tolerances: "$.o"`, `Tolerances: "$.p"`, `CompareOptions.Tolerances: `, `"$x"`,
		`CompareOptions.MaxDiffs: -1 is negative`,
	} {
		assert.ErrorContains(t, err, want)
	}
	assert.NotContains(t, err.Error(), `"$.a"`)
	assert.Len(t, strings.Split(err.Error(), "\n"), 11)
	for line := range strings.SplitSeq(err.Error(), "\n") {
		assert.True(t, strings.HasPrefix(line, "shadow: CompareOptions."), line)
	}
}
