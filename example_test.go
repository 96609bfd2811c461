package shadow_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/goshadow/shadow"
)

// replying is a service that gives one answer to everything.
func replying(body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, body)
	})
}

// printing is a Reporter that prints what differs.
var printing = shadow.ReporterFunc(func(_ context.Context, r *shadow.Result) error {
	fmt.Println(r.Outcome, r.Route)
	for _, d := range r.Diffs {
		fmt.Printf("  %s %s: %s, %s\n", d.Path, d.Kind, cmp.Or(string(d.Primary), "none"), cmp.Or(string(d.Shadow), "none"))
	}
	return nil
})

// serve runs h until each of paths has been asked for.
func serve(h http.Handler, paths ...string) {
	server := httptest.NewServer(h)
	defer server.Close()
	for _, path := range paths {
		resp, err := http.Get(server.URL + path)
		if err != nil {
			panic(err)
		}
		resp.Body.Close()
	}
}

// The five lines: a mirror, its target, what is sampled, who is told, and the handler it
// wraps.
func ExampleNew() {
	v1 := replying(`{"id": 7, "total": 9.90}`)
	v2 := httptest.NewServer(replying(`{"total": 9.9, "id": "7"}`))
	defer v2.Close()

	mirror, err := shadow.New(shadow.Remote("v2", v2.URL),
		shadow.WithSampler(shadow.Rate(1)),
		shadow.WithReporter(printing))
	if err != nil {
		panic(err) // with all that is wrong with target and options
	}
	serve(mirror.Handler(v1), "/orders/7")
	mirror.Shutdown(context.Background())

	// Output:
	// mismatch GET /orders/{}
	//   /body/id type-changed: 7, "7"
}

// Handler is a middleware, of a whole service or inside of a router. Stop the server
// first and the mirror after it.
func ExampleMirror_Handler() {
	mirror, err := shadow.New(shadow.InProcess("rewrite", replying(`{"stock": 3}`)), shadow.WithReporter(printing))
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /items/{id}", mirror.Handler(replying(`{"stock": 3}`)))
	mux.Handle("GET /items/{id}/price", mirror.Handler(replying(`{"price": 1}`)))
	mux.Handle("GET /health", replying(`{}`)) // is not copied
	serve(mux, "/items/7", "/health")
	serve(mux, "/items/8/price")
	mirror.Shutdown(context.Background())

	// Unordered output:
	// match GET /items/{id}
	// mismatch GET /items/{id}/price
	//   /body/price missing: 1, none
	//   /body/stock extra: none, 3
}

// Drain waits for the copies of what was asked so far, as a test does before it looks at
// what was reported. The Mirror goes on.
func ExampleMirror_Drain() {
	mirror, err := shadow.New(shadow.InProcess("v2", replying(`{"stock": 4}`)), shadow.WithReporter(printing))
	if err != nil {
		panic(err)
	}
	defer mirror.Close()
	h := mirror.Handler(replying(`{"stock": 3}`))
	for _, path := range []string{"/items/7", "/baskets/7"} {
		serve(h, path)
		if err := mirror.Drain(context.Background()); err != nil {
			panic(err)
		}
		fmt.Println(mirror.Stats().Mismatch)
	}

	// Output:
	// mismatch GET /items/{}
	//   /body/stock changed: 3, 4
	// 1
	// mismatch GET /baskets/{}
	//   /body/stock changed: 3, 4
	// 2
}

// A client that is to move to another vendor asks both, and uses the old one's answers.
func ExampleMirror_Transport() {
	old := httptest.NewServer(replying(`{"rate": 1.0837}`))
	defer old.Close()
	vendor := httptest.NewServer(replying(`{"rate": 1.08}`))
	defer vendor.Close()

	mirror, err := shadow.New(shadow.Remote("new vendor", vendor.URL),
		shadow.WithCompare(shadow.CompareOptions{Tolerances: map[string]shadow.Tolerance{"$.rate": {Rel: 0.001}}}),
		shadow.WithReporter(printing))
	if err != nil {
		panic(err)
	}
	client := &http.Client{Transport: mirror.Transport(old.Client().Transport)}
	resp, err := client.Get(old.URL + "/rates/EUR")
	if err != nil {
		panic(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close() // the exchange is complete
	fmt.Println(string(body))
	mirror.Shutdown(context.Background())

	// Output:
	// {"rate": 1.0837}
	// mismatch GET /rates/EUR
	//   /body/rate changed: 1.0837, 1.08
}

// What the primary does not even agree with itself about is noise.
func ExampleWithControl() {
	visits := 0
	v1 := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		visits++
		replying(fmt.Sprintf(`{"visits": %d, "total": 10}`, visits)).ServeHTTP(w, r)
	})
	mirror, err := shadow.New(shadow.InProcess("v2", replying(`{"visits": 99, "total": 11}`)),
		shadow.WithControl(shadow.InProcess("v1 again", v1)),
		shadow.WithReporter(shadow.ReporterFunc(func(_ context.Context, r *shadow.Result) error {
			fmt.Println("differs:", r.Diffs[0].Path)
			fmt.Println("noise:", r.Noise[0].Path)
			return nil
		})))
	if err != nil {
		panic(err)
	}
	serve(mirror.Handler(v1), "/")
	mirror.Shutdown(context.Background())

	// Output:
	// differs: /body/total
	// noise: /body/visits
}

// All requests of a user are copied, or none, on every replica; who is copied at a small
// share is copied at each larger one too.
func ExampleByKey() {
	user := func(r *http.Request) string { return r.Header.Get("X-User") }
	for _, p := range []float64{0.1, 0.3, 0.5} {
		sampler, sampled := shadow.ByKey(p, user), []string{}
		for _, name := range []string{"ada", "bob", "cleo", "dan", "eve", "fay", "gus", "hal", "ida", "joe"} {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("X-User", name)
			if sampler.Sample(r).Sampled {
				sampled = append(sampled, name)
			}
		}
		fmt.Println(p, sampled)
	}

	// Output:
	// 0.1 [dan fay]
	// 0.3 [cleo dan fay]
	// 0.5 [cleo dan fay gus joe]
}

// Patterns are those of http.ServeMux.
func ExampleByRoute() {
	sampler := shadow.ByRoute(map[string]shadow.Sampler{
		"GET /orders/":       shadow.Rate(1),
		"GET /orders/export": shadow.Rate(0), // expensive
		"/reports/":          shadow.PerSecond(10, 1),
	}, nil)
	for _, path := range []string{"/orders/7", "/orders/export", "/reports/2026", "/health"} {
		fmt.Println(path, sampler.Sample(httptest.NewRequest("GET", path, nil)).Sampled)
	}

	// Output:
	// /orders/7 true
	// /orders/export false
	// /reports/2026 true
	// /health false
}

// WithMasker shapes what leaves: what is sent to another process, and what is reported. What
// only the readers of reports must not see is for WithRecordMasker.
func ExampleMaskJSON() {
	v2 := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Printf("sent: %q %s\n", r.Header.Get("Authorization"), body)
	}))
	defer v2.Close()

	target := shadow.Remote("v2", v2.URL)
	target.Isolated = true // what it writes reaches nobody: it may be sent a POST
	mirror, err := shadow.New(target,
		shadow.WithMethods("GET", "POST"),
		shadow.WithMasker(shadow.MaskJSON("$..card", "$.password")),
		shadow.WithRecordMasker(shadow.MaskJSON("$.*")),
		shadow.WithReporter(shadow.ReporterFunc(func(_ context.Context, r *shadow.Result) error {
			fmt.Printf("reported: %q %s\n", r.Request.Header.Get("Authorization"), r.Request.Body)
			return nil
		})))
	if err != nil {
		panic(err)
	}
	v1 := mirror.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }))
	r := httptest.NewRequest("POST", "/login", strings.NewReader(`{"user": "ada", "password": "1234", "pay": {"card": 4111}}`))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer abc")
	v1.ServeHTTP(httptest.NewRecorder(), r)
	mirror.Shutdown(context.Background())

	// Output:
	// sent: "" {"user": "ada", "password": "[masked]", "pay": {"card": "[masked]"}}
	// reported: "[masked]" {"user": "[masked]", "password": "[masked]", "pay": "[masked]"}
}

// Tokens hide values and keep what can be done with them: the same address is the same
// token in the path, the query and the body, still an address, and digits are still digits.
func ExampleMaskWith() {
	key := []byte("32 random bytes from your vault!") // the same for every replica
	mask := shadow.MaskWith(shadow.Tokenize(key),
		shadow.MaskPath("/users/{email}"),
		shadow.MaskJSON("$.email", "$.card"))

	m := &shadow.Message{
		Method: "PUT",
		URL:    &url.URL{Path: "/users/ada@lovelace.org"},
		Header: http.Header{"Content-Type": {"application/json"}},
		Body:   []byte(`{"email": "ada@lovelace.org", "card": "4111 1111 1111 1111", "plan": "pro"}`),
	}
	if err := mask.Mask(m); err != nil {
		panic(err)
	}
	token := strings.TrimPrefix(m.URL.Path, "/users/")
	fmt.Println(strings.HasSuffix(token, ".example.com"), strings.Contains(string(m.Body), `"email": "`+token+`"`))
	fmt.Println(regexp.MustCompile(`"card": "\d{4} \d{4} \d{4} \d{4}", "plan": "pro"`).Match(m.Body))

	// Output:
	// true true
	// true
}

// A MaskerFunc rewrites the copy as it likes: here the candidate has another prefix, and a
// tenant of its own. It sees what the maskers before it left, and never the live request.
func ExampleMaskAll() {
	v2 := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		fmt.Println(r.Method, r.URL, r.Header.Get("Authorization"), r.Header.Get("X-Tenant"))
	}))
	defer v2.Close()

	rewrite := shadow.MaskerFunc(func(m *shadow.Message) error {
		m.URL.Path = "/v2" + strings.TrimPrefix(m.URL.Path, "/v1")
		m.Header.Set("X-Tenant", "shadow")
		return nil
	})
	target := shadow.Remote("v2", v2.URL)
	target.Masker = shadow.MaskAll(
		shadow.DropCredentials(),
		shadow.MaskQuery("email"),
		rewrite,
		shadow.SetHeader("Authorization", "Bearer of the shadow"))

	mirror, err := shadow.New(target)
	if err != nil {
		panic(err)
	}
	v1 := mirror.Handler(replying("{}"))
	r := httptest.NewRequest("GET", "/v1/orders?email=ada@lovelace.org&page=2", nil)
	r.Header.Set("Authorization", "Bearer of Ada")
	v1.ServeHTTP(httptest.NewRecorder(), r)
	mirror.Shutdown(context.Background())

	// Output:
	// GET /v2/orders?email=%5Bmasked%5D&page=2 Bearer of the shadow shadow
}

// Once a rule is about bodies, those that no rule looks into are not sent: the CSV here
// might hold the card as well.
func ExampleAllowBodies() {
	v2 := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Printf("sent: %s\n", body)
	}))
	defer v2.Close()

	target := shadow.Remote("v2", v2.URL)
	target.Masker = shadow.MaskAll(shadow.DropCredentials(), shadow.MaskJSON("$.card"), shadow.AllowBodies("image/*"))
	target.Isolated = true // what it writes reaches nobody: it may be sent a POST
	mirror, err := shadow.New(target, shadow.WithMethods("POST"))
	if err != nil {
		panic(err)
	}
	v1 := mirror.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }))
	post := func(contentType, body string) {
		r := httptest.NewRequest("POST", "/", strings.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		v1.ServeHTTP(httptest.NewRecorder(), r)
	}
	post("application/json", `{"card": "4111"}`)
	post("text/csv", "card,4111")
	mirror.Shutdown(context.Background())
	fmt.Println("not sent:", mirror.Stats().Dropped)

	// Output:
	// sent: {"card": "[masked]"}
	// not sent: map[mask-failed:1]
}

// Rules say which differences do not matter. WithCompare takes the same options.
func ExampleNewComparator() {
	comparator, err := shadow.NewComparator(shadow.CompareOptions{
		Ignore:     []string{"$.requestId", "$..updatedAt"},
		Keyed:      map[string]string{"$.items": "sku"},
		Tolerances: map[string]shadow.Tolerance{"$.total": {Abs: 0.005}},
	})
	if err != nil {
		panic(err) // with the position of what is wrong in a path
	}
	answer := func(body string) *shadow.Message {
		return &shadow.Message{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(body)}
	}
	for _, d := range comparator.Compare(&shadow.Exchange{
		Primary: answer(`{"requestId": "a1", "total": 10.00, "items": [{"sku": "x", "n": 1}, {"sku": "y", "n": 2}]}`),
		Shadow:  answer(`{"requestId": "b2", "total": 10.004, "items": [{"sku": "y", "n": 3}, {"sku": "x", "n": 1}]}`),
	}).Diffs {
		fmt.Printf("%s %s: %s, %s\n", d.Path, d.Kind, d.Primary, d.Shadow)
	}

	// Output:
	// /body/items/sku=y/n changed: 2, 3
}

// A comparator of one's own, here for a search whose ranking may change as long as the
// first hit stays. The values are filled in later, from the masked answers.
func ExampleComparator() {
	firstHit := shadow.ComparatorFunc(func(x *shadow.Exchange) []shadow.Diff {
		const first = "hits.0.id"
		if gjson.GetBytes(x.Primary.Body, first).Raw == gjson.GetBytes(x.Shadow.Body, first).Raw {
			return nil
		}
		return []shadow.Diff{{Path: "/body/hits/0/id", Kind: shadow.Changed}}
	})

	mirror, err := shadow.New(shadow.InProcess("v2", replying(`{"hits": [{"id": 2}, {"id": 1}]}`)),
		shadow.WithComparator(firstHit),
		shadow.WithReporter(printing))
	if err != nil {
		panic(err)
	}
	serve(mirror.Handler(replying(`{"hits": [{"id": 1}, {"id": 2}]}`)), "/search")
	mirror.Shutdown(context.Background())

	// Output:
	// mismatch GET /search
	//   /body/hits/0/id changed: 1, 2
}

// exceptTimes leaves out the differences between times.
type exceptTimes struct{ base shadow.Comparator }

func (e exceptTimes) Compare(x *shadow.Exchange) shadow.Comparison {
	got := e.base.Compare(x)
	got.Diffs = slices.DeleteFunc(got.Diffs, func(d shadow.Diff) bool { return d.Class == shadow.ClassTimestamp })
	return got
}

// Unwrap shows the Mirror what is inside: its rules are counted, and values are found wherever
// they have moved to.
func (e exceptTimes) Unwrap() []shadow.Comparator { return []shadow.Comparator{e.base} }

// A comparator may call another and hand on what it likes of what that finds: here all but
// times. Values are found where they are, wherever they have moved to.
func ExampleComparator_wrapping() {
	base, err := shadow.NewComparator(shadow.CompareOptions{Keyed: map[string]string{"$.items": "id"}})
	if err != nil {
		panic(err)
	}
	mirror, err := shadow.New(shadow.InProcess("v2", replying(`{"at": "2026-01-01T00:00:02Z", "items": [{"id": 8}, {"id": 7, "n": 2}]}`)),
		shadow.WithComparator(exceptTimes{base}),
		shadow.WithReporter(printing))
	if err != nil {
		panic(err)
	}
	serve(mirror.Handler(replying(`{"at": "2026-01-01T00:00:01Z", "items": [{"id": 7, "n": 1}, {"id": 8}]}`)), "/items")
	mirror.Shutdown(context.Background())

	// Output:
	// mismatch GET /items
	//   /body/items/id=7/n changed: 1, 2
}

// A masker of one's own gives Body new bytes, and fails where it has not seen all of
// them.
func ExampleMasker() {
	email := regexp.MustCompile(`[\w.]+@[\w.]+`)
	maskEmail := shadow.MaskerFunc(func(m *shadow.Message) error {
		if m.Truncated {
			return fmt.Errorf("a body of %d bytes was not kept as a whole", m.Size)
		}
		m.Body = email.ReplaceAll(m.Body, []byte("someone@example.com"))
		return nil
	})

	mirror, err := shadow.New(shadow.InProcess("v2", replying(`{"owner": "ada@lovelace.org", "n": 2}`)),
		shadow.WithMasker(maskEmail),
		shadow.WithReporter(shadow.ReporterFunc(func(_ context.Context, r *shadow.Result) error {
			fmt.Println(r.Outcome, string(bytes.TrimSpace(r.Shadow.Body)))
			return nil
		})))
	if err != nil {
		panic(err)
	}
	serve(mirror.Handler(replying(`{"owner": "ada@lovelace.org", "n": 1}`)), "/")
	mirror.Shutdown(context.Background())

	// Output:
	// mismatch {"owner": "someone@example.com", "n": 2}
}

// slowest is a Reporter that keeps what is worst and says so when it is flushed.
type slowest struct {
	results chan *shadow.Result // of one: the worst so far
}

func (s slowest) Report(_ context.Context, r *shadow.Result) error {
	if r.Shadow == nil {
		return nil
	}
	worst := <-s.results
	if worst == nil || r.Shadow.Took > worst.Shadow.Took {
		worst = r
	}
	s.results <- worst
	return nil
}

func (s slowest) Flush(context.Context) error {
	worst := <-s.results
	s.results <- worst
	fmt.Println("slowest:", worst.Route, worst.Shadow.StatusCode)
	return nil
}

// A reporter of one's own is called by many goroutines at a time. One that has a Flush is
// flushed by Shutdown.
func ExampleReporter() {
	reporter := slowest{make(chan *shadow.Result, 1)}
	reporter.results <- nil
	mirror, err := shadow.New(shadow.InProcess("v2", replying(`{}`)), shadow.WithReporter(reporter))
	if err != nil {
		panic(err)
	}
	serve(mirror.Handler(replying(`{}`)), "/reports/yearly")
	mirror.Shutdown(context.Background())

	// Output:
	// slowest: GET /reports/yearly 200
}

// Every request is counted in one place.
func ExampleMirror_Stats() {
	mirror, err := shadow.New(shadow.InProcess("v2", replying(`{}`)),
		shadow.WithSampler(shadow.SamplerFunc(func(r *http.Request) bool { return r.URL.Path != "/health" })))
	if err != nil {
		panic(err)
	}
	serve(mirror.Handler(replying(`{}`)), "/a", "/b", "/health")
	mirror.SetEnabled(false)
	serve(mirror.Handler(replying(`{}`)), "/c")
	mirror.Shutdown(context.Background())

	s := mirror.Stats()
	fmt.Println("requests:", s.Requests)
	fmt.Println("match:", s.Match, "mismatch:", s.Mismatch, "failed:", s.Failed)
	fmt.Println("skipped:", s.Skipped)

	// Output:
	// requests: 4
	// match: 2 mismatch: 0 failed: 0
	// skipped: map[disabled:1 not-sampled:1]
}
