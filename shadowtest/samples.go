package shadowtest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/goshadow/shadow"
)

// sample is an input with a name.
type sample[T any] struct {
	name string
	of   T
}

// given are the samples of the caller.
func given[T any](samples []T) (list []sample[T]) {
	for i, s := range samples {
		list = append(list, sample[T]{fmt.Sprintf("%d", i+1), s})
	}
	return list
}

// exchanges are pairs of answers, each in both directions, and those of the caller.
func exchanges(samples []*shadow.Exchange) (list []sample[*shadow.Exchange]) {
	pair := func(name string, primary, candidate *shadow.Message) {
		for _, x := range []*shadow.Exchange{{Primary: primary, Shadow: candidate}, {Primary: candidate, Shadow: primary}} {
			x.ID, x.Route = "4bf92f35", "GET /items/{id}"
			x.Request = request("GET", "/items/7", "")
			list = append(list, sample[*shadow.Exchange]{name, x})
			name += ", the other way round"
		}
	}
	bodies := func(name, contentType, primary, candidate string) {
		pair(name, answer(200, contentType, primary), answer(200, contentType, candidate))
	}
	const asJSON = "application/json"
	bodies("JSON", asJSON,
		`{"id":7,"name":"a","price":1.50,"tags":["x","y"],"lines":[{"id":1,"n":1},{"id":2,"n":2}],"by":null}`,
		`{"id":"7","price":1.5,"name":"b","tags":["y","x"],"lines":[{"id":2,"n":2},{"id":1,"n":3},{"id":9}],"at":1714979289}`)
	bodies("JSON spelt otherwise", asJSON, `{"a":1.0,"b":"a"}`, ` { "b" : "\u0061", "a" : 1 } `)
	bodies("twelve numbers", asJSON, `[0,1,2,3,4,5,6,7,8,9,10,11]`, `[1,2,3,4,5,6,7,8,9,10,11,12]`)
	bodies("JSON scalars", asJSON, `9007199254740993`, `"9007199254740993"`)
	bodies("names that are escaped", asJSON, `{"a/b~c":1,"":2,"\ud800":3}`, `{"a/b~c":2,"":3,"\ud800":4}`)
	bodies("duplicate names", asJSON, `{"a":1,"a":2}`, `{"a":2,"a":1}`)
	bodies("deep JSON", asJSON, strings.Repeat("[", 500)+strings.Repeat("]", 500), strings.Repeat("[", 500)+"1"+strings.Repeat("]", 500))
	bodies("broken JSON", asJSON, `{"a":1}`, `{"a":1`)
	bodies("JSON broken on both sides", asJSON, `{"a":`, `{"a":1`)
	bodies("JSON and nothing", asJSON, `{"a":1}`, ``)
	bodies("no JSON", asJSON, `<html>`, "\xff\x00\xfe")
	bodies("JSON lines", "application/x-ndjson", "{\"a\":1}\n{\"a\":2}\n", "{\"a\":1}\n{\"a\":3}\n{\"a\":4}\n")
	bodies("text", "text/plain; charset=utf-8", "a\nb\nc\n", "a\nB\nc\nd\n")
	bodies("HTML", "text/html", "<p>a</p>", "<p>b</p>")
	bodies("XML", "application/xml", "<a><b>1</b></a>", "<a><b>2</b></a>")
	bodies("a form", "application/x-www-form-urlencoded", "a=1&b=2", "a=1&b=3&c=4")
	bodies("bytes", "image/png", "\x89PNG\r\n\x1a\n\x00", "\x89PNG\r\n\x1a\n\x01")
	bodies("no media type", "", "a", "b")
	bodies("a media type that is none", ";;; =", "a", "b")
	pair("status", answer(200, asJSON, `{}`), answer(500, "text/plain", "no"))
	pair("no content", answer(204, "", ""), answer(304, "", ""))

	bare := &shadow.Message{StatusCode: 200}
	empty := &shadow.Message{StatusCode: 200, Header: http.Header{}, Trailer: http.Header{}, Body: []byte{}}
	pair("nothing but a status", bare, empty)
	pair("nothing on one side", bare, answer(200, asJSON, `{"a":1}`))

	fields := answer(200, asJSON, `{}`)
	fields.Header["Set-Cookie"] = []string{"a=1", "b=2"}
	fields.Header["Location"] = []string{"/a"}
	fields.Header["Vary"] = []string{"Accept, Origin"}
	fields.Header["X-Empty"] = nil
	fields.Trailer = http.Header{"Grpc-Status": {"0"}}
	pair("header fields and trailers", fields, answer(200, asJSON, `{}`))

	cut, other := answer(200, asJSON, `{"a":[1,2`), answer(200, asJSON, `{"a":[1,2,3]}`)
	cut.Truncated, cut.Size = true, 1<<20
	unread := answer(200, asJSON, "")
	unread.Truncated, unread.Size = true, 30
	pair("truncated on one side", cut, other)
	pair("truncated on both sides", cut, unread)
	return append(list, given(samples)...)
}

func answer(status int, contentType, body string) *shadow.Message {
	m := &shadow.Message{Method: "GET", Host: "example.com", Proto: "HTTP/1.1", StatusCode: status, Header: http.Header{},
		Body: []byte(body), Size: int64(len(body)), TTFB: time.Millisecond, Took: 2 * time.Millisecond}
	if contentType != "" {
		m.Header["Content-Type"] = []string{contentType}
	}
	return m
}

func request(method, target, body string) *shadow.Message {
	u, err := url.Parse(target)
	if err != nil {
		panic(err)
	}
	m := &shadow.Message{Method: method, URL: u, Host: "example.com", Proto: "HTTP/1.1", Header: http.Header{}, Size: int64(len(body))}
	if body != "" {
		m.Body = []byte(body)
	}
	return m
}

// messages are requests and answers, and those of the caller.
func messages(samples []*shadow.Message) (list []sample[*shadow.Message]) {
	add := func(name string, m *shadow.Message) { list = append(list, sample[*shadow.Message]{name, m}) }
	secrets := request("GET", "/items/7?token=secret&q=a;b&&=%zz#x", "")
	secrets.URL.User = url.UserPassword("ann", "secret")
	secrets.Header = http.Header{
		"Authorization": {"Bearer secret"}, "Cookie": {"a=secret; b=2", "c=3"}, "X-Api-Key": {"secret"},
		"x-api-key": {"secret"}, "Referer": {"http://example.com/?token=secret"}, "X-Empty": nil,
	}
	add("a request with credentials", secrets)
	for _, x := range exchanges(nil) {
		add(x.name+", the answer", x.of.Primary)
	}
	for _, body := range [][2]string{
		{"application/json", `{"user":{"name":"ann","email":"ann@example.com","password":"secret"},"card":"4111111111111111"}`},
		{"application/x-www-form-urlencoded", "name=ann&password=secret&%zz&password=secret;x"},
		{"multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\nsecret\r\n--b--\r\n"},
		{"multipart/form-data", "--b\r\n"},
		{"text/plain", "ann@example.com 4111111111111111"},
		{"", "secret"},
	} {
		m := request("POST", "/users", body[1])
		m.Header.Set("Content-Type", body[0])
		add("a request with a body of "+body[0], m)
		answered := m.Clone()
		answered.StatusCode, answered.URL = 200, nil
		add("an answer with a body of "+body[0], answered)
	}
	add("a request of nothing", &shadow.Message{Method: "GET", URL: &url.URL{}})
	add("an answer of nothing", &shadow.Message{StatusCode: 200})
	return append(list, given(samples)...)
}

// requests are those that a server or a client may have, and those of the caller.
func requests(samples []*http.Request) (list []sample[*http.Request]) {
	add := func(name string, r *http.Request, err error) {
		if err != nil {
			panic(err) // all of them are constants
		}
		list = append(list, sample[*http.Request]{name, r})
	}
	served := func(name, method, target, body string) *http.Request {
		r, err := http.NewRequest(method, "http://example.com"+target, strings.NewReader(body))
		add(name, r, err)
		r.URL.Scheme, r.URL.Host, r.RequestURI, r.RemoteAddr = "", "", target, "192.0.2.1:1234"
		if body == "" {
			r.Body = http.NoBody
		}
		return r
	}
	served("a GET", "GET", "/items/7?a=1&a=2", "").Header.Set("X-User", "ann")
	served("a HEAD", "HEAD", "/", "")
	served("a bad query", "GET", "/?a=%zz;b", "").RemoteAddr = "[2001:db8::1]:1234"
	served("a long path", "GET", "/"+strings.Repeat("a/", 1000), "").RemoteAddr = "@"
	served("a POST", "POST", "/items", `{"a":1}`).Header.Set("Content-Type", "application/json")
	form := served("a form", "POST", "/items?b=2", "a=1")
	form.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	routed := served("one that was routed", "GET", "/items/7", "")
	routed.Pattern = "GET /items/{id}"
	routed.SetPathValue("id", "7")
	all := served("an OPTIONS of all", "OPTIONS", "/", "")
	all.URL = &url.URL{Path: "*"}
	r, err := http.NewRequest("GET", "https://ann:secret@example.com/", nil)
	add("one of a client", r, err)
	r = &http.Request{URL: &url.URL{Scheme: "http", Host: "example.com"}, Header: http.Header{}}
	add("one of a client that says as little as it can", r, nil)
	return append(list, given(samples)...)
}

// results are one of each sort, and those of the caller.
func results(samples []*shadow.Result) (list []sample[*shadow.Result]) {
	add := func(name string, outcome shadow.Outcome, change func(*shadow.Result)) {
		r := &shadow.Result{
			Exchange: shadow.Exchange{ID: "4bf92f35", Route: "GET /items/{id}", Request: request("GET", "/items/7?a=1", ""),
				Primary: answer(200, "application/json", `{"a":1}`), Shadow: answer(200, "application/json", `{"a":1}`)},
			Mirror: "items", Target: "v2", Outcome: outcome,
			Start: time.Unix(1714979289, 0).UTC(), Queued: time.Millisecond,
		}
		if change != nil {
			change(r)
		}
		list = append(list, sample[*shadow.Result]{name, r})
	}
	add("a Match", shadow.Match, nil)
	add("a Match but for noise", shadow.Match, func(r *shadow.Result) {
		r.Noise = []shadow.Diff{{Path: "/body/a", Kind: shadow.Changed, Primary: []byte("1"), Shadow: []byte("2")}}
	})
	add("a Mismatch", shadow.Mismatch, func(r *shadow.Result) {
		r.Shadow = answer(500, "text/plain", "no")
		r.Diffs = []shadow.Diff{
			{Path: "/body", Kind: shadow.TypeChanged, Class: shadow.ClassTimestamp, Primary: []byte(`{"a":1}`), Shadow: []byte(`"no"`)},
			{Path: "/body/a~1b/0", Kind: shadow.Missing, Primary: []byte("1")},
			{Path: "/header/X-A", Kind: shadow.Extra, Shadow: []byte(`["a","b"]`)},
			{Path: "/status", Kind: shadow.Changed}, // masked away
		}
		r.More = true
	})
	add("a timeout", shadow.Failed, func(r *shadow.Result) { r.Shadow, r.Err = nil, shadow.ErrTimeout })
	add("a Failed of a panic", shadow.Failed, func(r *shadow.Result) { r.Shadow, r.Err = nil, fmt.Errorf("candidate: %w", shadow.ErrPanic) })
	add("an Uncompared", shadow.Uncompared, func(r *shadow.Result) { r.Err = shadow.ErrBody })
	add("an Uncompared that was not to be compared", shadow.Uncompared, func(r *shadow.Result) { r.Shadow = nil })
	add("a Match of nearly nothing", shadow.Match, func(r *shadow.Result) {
		r.ID, r.Route, r.Mirror, r.Target = "", "", "", ""
		r.Request = &shadow.Message{Method: "GET", URL: &url.URL{}}
		r.Primary, r.Shadow = &shadow.Message{StatusCode: 204}, &shadow.Message{StatusCode: 204}
	})
	return append(list, given(samples)...)
}

// watched is a body with room behind it.
type watched struct {
	name   string
	bytes  []byte // all of it
	before []byte
}

// spacious gives m a copy of its body that has room behind it, as a part of a buffer has.
func spacious(m *shadow.Message, name string) watched {
	if m == nil || m.Body == nil {
		return watched{}
	}
	const room = 64
	all := append(bytes.Clone(m.Body), bytes.Repeat([]byte{0xa5}, room)...)
	m.Body = all[:len(m.Body)]
	return watched{name, all, bytes.Clone(all)}
}

func (w watched) written() bool { return !bytes.Equal(w.bytes, w.before) }

// watchMessage returns a copy of m.
func watchMessage(m *shadow.Message) (*shadow.Message, watched) {
	m = m.Clone()
	return m, spacious(m, "Body")
}

// watch tells what has become of something.
type watch struct {
	now, before any
	bodies      []watched
}

// watchExchange returns a copy of x.
func watchExchange(x *shadow.Exchange) (*shadow.Exchange, *watch) {
	c, w := cloneExchange(x), &watch{}
	before := cloneExchange(x)
	w.now, w.before = &c, &before
	w.bodies = spaciousBodies(&c)
	return &c, w
}

func cloneExchange(x *shadow.Exchange) shadow.Exchange {
	c := *x
	c.Request, c.Primary, c.Shadow = x.Request.Clone(), x.Primary.Clone(), x.Shadow.Clone()
	return c
}

func spaciousBodies(x *shadow.Exchange) []watched {
	return []watched{spacious(x.Request, "Request.Body"), spacious(x.Primary, "Primary.Body"), spacious(x.Shadow, "Shadow.Body")}
}

// watchResult returns a copy of r.
func watchResult(r *shadow.Result) (*shadow.Result, *watch) {
	c, before := cloneResult(r), cloneResult(r)
	w := &watch{now: &c, before: &before, bodies: spaciousBodies(&c.Exchange)}
	return &c, w
}

func cloneResult(r *shadow.Result) shadow.Result {
	c := *r
	c.Exchange = cloneExchange(&r.Exchange)
	c.Diffs, c.Noise = cloneDiffs(r.Diffs), cloneDiffs(r.Noise)
	return c
}

func cloneDiffs(diffs []shadow.Diff) []shadow.Diff {
	diffs = slices.Clone(diffs)
	for i := range diffs {
		diffs[i].Primary, diffs[i].Shadow = bytes.Clone(diffs[i].Primary), bytes.Clone(diffs[i].Shadow)
	}
	return diffs
}

// changed names the first part that changed.
func (w *watch) changed() string {
	for _, b := range w.bodies {
		if b.written() {
			return "the bytes of " + b.name + ", or those behind them"
		}
	}
	return difference(reflect.ValueOf(w.before).Elem(), reflect.ValueOf(w.now).Elem())
}

// difference names the first exported field of two structs that differs, down to the fields of
// messages.
func difference(a, b reflect.Value) string {
	for i := range a.NumField() {
		f := a.Type().Field(i)
		if !f.IsExported() || reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			continue
		}
		x, y := a.Field(i), b.Field(i)
		if x.Type() == reflect.TypeFor[*shadow.Message]() && !x.IsNil() && !y.IsNil() {
			x, y = x.Elem(), y.Elem()
		}
		if x.Type() == reflect.TypeFor[shadow.Message]() || x.Type() == reflect.TypeFor[shadow.Exchange]() {
			if inner := difference(x, y); inner != "" {
				return f.Name + "." + inner
			}
		}
		return f.Name
	}
	return ""
}

// watchedRequest tells what has become of a request.
type watchedRequest struct {
	now, before *http.Request
	body        *watchedBody
	set         io.ReadCloser // the body that the request was given
}

// watchRequest returns a copy of r with a body that cannot be read unnoticed.
func watchRequest(r *http.Request) (*http.Request, *watchedRequest) {
	w := &watchedRequest{now: r.Clone(r.Context()), before: r.Clone(r.Context()), body: &watchedBody{}}
	if r.Body != nil && r.Body != http.NoBody {
		w.now.Body = w.body
	}
	w.set = w.now.Body
	return w.now, w
}

// changed names the first part that changed.
func (w *watchedRequest) changed() string {
	if w.now.Body != w.set {
		return "Body"
	}
	a, b := reflect.ValueOf(w.before).Elem(), reflect.ValueOf(w.now).Elem()
	for i := range a.NumField() {
		switch f := a.Type().Field(i); f.Name {
		case "Body", "GetBody", "Cancel", "TLS", "Response": // cannot be compared, or are not copied
		default:
			if f.IsExported() && !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
				return f.Name
			}
		}
	}
	return ""
}

// watchedBody is a body that is not to be touched.
type watchedBody struct{ read, closed atomic.Bool }

func (b *watchedBody) Read([]byte) (int, error) {
	b.read.Store(true)
	return 0, io.EOF
}

func (b *watchedBody) Close() error {
	b.closed.Store(true)
	return nil
}

func (b *watchedBody) touched() string {
	switch {
	case b.read.Load():
		return "read"
	case b.closed.Load():
		return "closed"
	}
	return ""
}
