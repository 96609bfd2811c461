package policy_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/internal/mirrortest"
	"github.com/goshadow/shadow/policy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func parsePolicy(t testing.TB, file string) *policy.Policy {
	t.Helper()
	p, err := policy.Parse([]byte(file), policyKey)
	require.NoError(t, err)
	return p
}

// request is a request with a body, JSON unless it says otherwise.
func request(t testing.TB, method, target, body string) *shadow.Message {
	t.Helper()
	u, err := url.Parse(target)
	require.NoError(t, err)
	m := &shadow.Message{Method: method, URL: u, Host: u.Host, Proto: "HTTP/1.1", Header: http.Header{}, Body: []byte(body)}
	if body != "" {
		m.Header.Set("Content-Type", "application/json")
	}
	return m
}

// everywhere is a rule about all places that a message has.
const everywhere = `{"version": 1, "credentials": "keep", "rules": [
	{"name": "by header", "headers": ["x-user"]},
	{"name": "by cookie", "cookies": ["who"]},
	{"name": "by query", "query": ["who"]},
	{"name": "by path", "path": ["/users/{name}/"]},
	{"name": "by form", "form": ["who"]},
	{"name": "by JSON", "json": ["$..who"]},
	{"name": "by XML", "xml": ["who"]},
	{"name": "by look", "patterns": ["[^ ]+@[^ ]+"]},
	{"name": "by pattern", "patterns": ["[0-9]{3}-secret"]}
]}`

const sealed = "planted-secret"

// One message for each place: the rule that finds it, and where it says it did.
func TestEveryPlaceIsMaskedAndExplained(t *testing.T) {
	p := parsePolicy(t, everywhere)
	header := func(name, value string) func(*shadow.Message) {
		return func(m *shadow.Message) { m.Header.Add(name, value) }
	}
	body := func(contentType, text string) func(*shadow.Message) {
		return func(m *shadow.Message) {
			m.Header.Set("Content-Type", contentType)
			m.Body = []byte(text)
		}
	}
	for place, c := range map[string]struct {
		rule  string
		plant func(m *shadow.Message)
	}{
		"/header/X-User":         {"by header", header("X-User", sealed)},
		"/trailer/X-User":        {"by header", func(m *shadow.Message) { m.Trailer = http.Header{"X-User": {sealed}} }},
		"/header/Cookie/who":     {"by cookie", header("Cookie", "a=b; who="+sealed)},
		"/header/Set-Cookie/who": {"by cookie", header("Set-Cookie", "who="+sealed+"; Path=/")},
		"/query/who":             {"by query", func(m *shadow.Message) { m.URL.RawQuery = "a=b&w%68o=" + sealed }},
		"/path/2":                {"by path", func(m *shadow.Message) { m.URL.Path = "/users/" + sealed + "/orders" }},
		"/body/who":              {"by JSON", body("application/json", `{"a":1,"who":"`+sealed+`"}`)},
		"/body/0/who":            {"by JSON", body("application/x-ndjson", `{"who":"`+sealed+`"}`+"\n{}\n")},
		"/header/X-Other":        {"by look", header("X-Other", "mail "+sealed+"@post.net")},
		"/body/list/1":           {"by look", body("application/json", `{"list":["a","`+sealed+`@post.net"]}`)},
		"/header/X-Number":       {"by pattern", header("X-Number", "is 123-secret")},
	} {
		t.Run(place, func(t *testing.T) {
			m := request(t, "POST", "http://x.example/", "")
			c.plant(m)
			want := m.Clone()
			changes, err := p.Explain(m)
			require.NoError(t, err)
			assert.Equal(t, want, m, "Explain leaves the message alone")
			assert.Equal(t, []policy.Change{{Rule: c.rule, Place: place}}, changes)

			require.NoError(t, p.Mask(m))
			assert.NotContains(t, allOf(m), "secret")
			changes, err = p.Explain(m)
			require.NoError(t, err)
			assert.Empty(t, changes, "what is masked is not touched again")
		})
	}
	for contentType, text := range map[string]string{
		"application/x-www-form-urlencoded": "a=b&who=" + sealed,
		"multipart/form-data; boundary=b":   "--b\r\nContent-Disposition: form-data; name=\"who\"\r\n\r\n" + sealed + "\r\n--b--\r\n",
		"application/xml":                   "<r><who>" + sealed + "</who></r>",
	} {
		m := request(t, "POST", "http://x.example/", "")
		body(contentType, text)(m)
		changes, err := p.Explain(m)
		require.NoError(t, err)
		require.Len(t, changes, 1, contentType)
		assert.True(t, strings.HasPrefix(changes[0].Place, "/body/"), changes[0].Place)
		require.NoError(t, p.Mask(m))
		assert.NotContains(t, allOf(m), "secret")
	}
}

// dump is everything in a message.
func allOf(m *shadow.Message) string {
	var b strings.Builder
	if m.URL != nil {
		b.WriteString(m.URL.String())
	}
	for _, h := range []http.Header{m.Header, m.Trailer} {
		for _, name := range slices.Sorted(maps.Keys(h)) {
			b.WriteString("\n" + name + ": " + strings.Join(h[name], ", "))
		}
	}
	return b.String() + "\n\n" + string(m.Body)
}

func TestRulesReplaceAsTheySay(t *testing.T) {
	p := parsePolicy(t, policyOf(
		`{"name": "a", "json": ["$.a"]}`,
		`{"name": "b", "json": ["$.b"], "replace": "redact"}`,
		`{"name": "c", "json": ["$.c"], "replace": "drop"}`,
		`{"name": "d", "json": ["$.d"], "replace": "tokenize"}`,
		`{"name": "e", "json": ["$.e"], "replace": "hash"}`,
	))
	m := request(t, "POST", "http://x.example/", `{"a":"v@x.example","b":"v@x.example","c":"v@x.example","d":"v@x.example","e":"v@x.example"}`)
	require.NoError(t, p.Mask(m))
	assert.Regexp(t, `^\{"a":"\[masked\]","b":"\[masked\]","d":"[^"@]+@[^"@]+\.example\.com","e":"[^"@]+"\}$`, string(m.Body))
}

// One customer is one customer, on every replica, whether it is a number or text.
func TestEqualValuesStayEqualWhereverTheyStand(t *testing.T) {
	file := policyOf(`{"name": "customer", "replace": "tokenize", "headers": ["X-Customer"], "query": ["customer"],
		"path": ["/customers/{id}"], "json": ["$..customer"], "form": ["customer"], "xml": ["customer"]}`)
	seen := map[string]bool{}
	for contentType, body := range map[string]string{
		"application/json":                  `{"customer":48151623,"previous":{"customer":"48151623"}}`,
		"application/x-www-form-urlencoded": `customer=48151623`,
		"application/xml":                   `<order customer="48151623"><customer>48151623</customer></order>`,
	} {
		m := request(t, "POST", "http://x.example/customers/48151623?customer=48151623", body)
		m.Header.Set("Content-Type", contentType)
		m.Header.Set("X-Customer", "48151623")
		require.NoError(t, parsePolicy(t, file).Mask(m)) // a policy of its own: another replica
		for _, token := range regexp.MustCompile(`\d{8}`).FindAllString(allOf(m), -1) {
			seen[token] = true
		}
	}
	assert.Len(t, seen, 1)
	assert.NotContains(t, seen, "48151623")
}

func TestRulesApplyInTheirOrder(t *testing.T) {
	m := request(t, "POST", "http://x.example/", `{"a":"v@x.example"}`)
	changes, err := parsePolicy(t, policyOf(
		`{"name": "first", "json": ["$.a"], "replace": "drop"}`,
		`{"name": "second", "json": ["$..a"]}`,
	)).Explain(m)
	require.NoError(t, err)
	assert.Equal(t, []policy.Change{{Rule: "first", Place: "/body/a"}}, changes)
}

func TestExplainTellsPlacesAndNoValues(t *testing.T) {
	p := parsePolicy(t, policyOf(
		`{"name": "contacts", "json": ["$..email"], "replace": "tokenize"}`,
		`{"name": "health", "json": ["$..diagnosis"], "replace": "drop"}`,
		`{"name": "addresses", "patterns": ["[^ ]+@[^ ]+"]}`,
	))
	m := request(t, "POST", "http://ada:pw@x.example/?q=eve@post.net", `{
		"user": {"email": "ada@post.net", "diagnosis": {"code": "X"}},
		"byAddress": {"bob@post.net": {"email": "bob@post.net"}},
		"a/b": [{"email": "none"}, {"email": "ada@post.net"}]}`)
	m.Header.Set("Authorization", "Bearer x")
	changes, err := p.Explain(m)
	require.NoError(t, err)
	var got []string
	for _, change := range changes {
		got = append(got, change.Rule+": "+change.Place)
		for _, value := range []string{"ada", "bob", "eve", "post.net"} {
			assert.NotContains(t, change.Place, value)
		}
	}
	assert.Empty(t, cmp.Diff([]string{
		"credentials: /userinfo",
		"credentials: /header/Authorization",
		"contacts: /body/a~1b/0/email",
		"contacts: /body/a~1b/1/email",
		"contacts: /body/byAddress/*",
		"contacts: /body/user/email",
		"health: /body/user/diagnosis",
		"addresses: /query/q",
		"addresses: /body/a~1b/1/email", // a token of an address is one
		"addresses: /body/byAddress/*",
		"addresses: /body/user/email",
	}, got))
}

// A pattern finds values in names too: of members, parameters and cookies.
func TestANameThatIsAValueIsNotShown(t *testing.T) {
	p := parsePolicy(t, `{"version": 1, "credentials": "keep", "rules": [
		{"name": "first", "query": ["ada@post.net"], "json": ["$..name"]},
		{"name": "second", "patterns": ["[a-z]+@post.net"]}]}`)
	m := request(t, "POST", "http://x.example/?ada@post.net=1&b=2", `{"ada@post.net": {"eve@post.net": {"name": "Ada"}}}`)
	m.Header.Set("Cookie", "ada@post.net=1; b=2")
	changes, err := p.Explain(m)
	require.NoError(t, err)
	assert.ElementsMatch(t, []policy.Change{
		{Rule: "first", Place: "/query/*"}, {Rule: "first", Place: "/body/*"},
		{Rule: "second", Place: "/query/*"}, {Rule: "second", Place: "/header/Cookie/*"}, {Rule: "second", Place: "/body/*"},
	}, changes)
}

// Names that are values come several times, are numbers, and end up as one.
func TestExplainShowsNoNameThatWasReplaced(t *testing.T) {
	for _, replace := range []string{"redact", "drop", "hash", "tokenize"} {
		p := parsePolicy(t, `{"version": 1, "bodies": {"allow": ["*/*"]}, "credentials": "keep", "rules": [
			{"name": "p", "replace": "`+replace+`", "patterns": ["secret"]},
			{"name": "d", "replace": "`+replace+`", "detect": ["email", "card"]},
			{"name": "n", "replace": "`+replace+`", "json": ["$..pin"], "cookies": ["sid"], "query": ["q"], "form": ["pin"], "xml": ["pin"]}]}`)
		for contentType, body := range map[string]string{
			"application/json":                  `{"secret":"secret","pin":{"secret":1},"a-secret@b.org":{"x":"secret"},"l":["secret",{"secret":"secret"}],"4111111111111111":1}`,
			"application/x-www-form-urlencoded": "secret=secret&pin=secret&a-secret%40b.org=1&secret&4111111111111111=1",
			"application/xml":                   `<a secret="x"><pin>secret</pin><b x="secret">secret</b></a>`,
			"text/event-stream":                 "data: secret\n\ndata: {\"secret\":\"secret\"}\n\n",
			"application/x-ndjson":              "{\"secret\":1}\n{\"secret\":\"secret\"}\n",
			"multipart/form-data; boundary=b":   "--b\r\nContent-Disposition: form-data; name=secret; filename=secret\r\n\r\nsecret\r\n--b--",
		} {
			m := request(t, "POST", "http://x.example/secret/?secret=secret&q=secret&secret&4111111111111111=1", body)
			m.Header.Set("Content-Type", contentType)
			m.Header.Set("Cookie", "sid=secret; secret; secret=1; x=secret")
			m.Header["Set-Cookie"] = []string{"secret=1; Path=/secret", "secret"}
			changes, err := p.Explain(m)
			require.NoError(t, err)
			require.NotEmpty(t, changes)
			assert.NotRegexp(t, "secret|4111", fmt.Sprint(changes), "%s %s", replace, contentType)
		}
	}
}

// What is not reviewed does not leave: the file has to name what no rule looks into.
func TestABodyThatNoRuleLooksIntoStaysUnlessItIsAllowed(t *testing.T) {
	headers := `{"name": "who", "headers": ["X-User"]}`
	m := request(t, "POST", "http://x.example/", `{"a": 1}`)
	m.Header.Set("X-User", "ada")
	p := parsePolicy(t, policyOf(headers))
	require.ErrorContains(t, p.Mask(m.Clone()), "no rule looks into a body")
	changes, err := p.Explain(m)
	require.ErrorContains(t, err, "no rule looks into a body")
	assert.Equal(t, []policy.Change{{Rule: "who", Place: "/header/X-User"}}, changes)

	for _, types := range []string{"application/json", "application/*", "*/*"} {
		p = parsePolicy(t, `{"version": 1, "rules": [`+headers+`], "bodies": {"allow": ["image/png", "`+types+`"]}}`)
		assert.NoError(t, p.Mask(m.Clone()), types)
		_, err = p.Explain(m)
		assert.NoError(t, err, types)
	}
	p = parsePolicy(t, policyOf(headers, `{"name": "members", "json": ["$.b"]}`))
	assert.NoError(t, p.Mask(m), "a rule looks into it")
}

// A Policy is one of several maskers as if its rules were given one by one.
func TestAPolicyIsPartOfOtherMasks(t *testing.T) {
	p := parsePolicy(t, policyOf(`{"name": "members", "json": ["$.a"]}`))
	m := request(t, "POST", "http://x.example/", `a,b`)
	m.Header.Set("Content-Type", "text/csv")
	m.Header.Set("Authorization", "Bearer theirs")
	require.ErrorContains(t, shadow.MaskAll(p).Mask(m.Clone()), "text/csv")
	require.NoError(t, shadow.MaskAll(p, shadow.AllowBodies("text/csv"), shadow.SetHeader("Authorization", "Bearer its own")).Mask(m))
	assert.Equal(t, "Bearer its own", m.Header.Get("Authorization"))

	assert.Error(t, shadow.MaskWith(shadow.Drop(), p).Mask(m), "its rules say what takes the place of values")
	_, err := shadow.New(shadow.Remote("v2", "http://v2.example"), shadow.WithMasker((*policy.Policy)(nil)))
	assert.ErrorContains(t, err, "nil")
}

// A Policy that Parse did not make masks nothing, and says so.
func TestAPolicyIsMadeByParse(t *testing.T) {
	empty := new(policy.Policy)
	assert.ErrorContains(t, empty.Mask(&shadow.Message{}), "not made by Parse")
	_, err := empty.Explain(&shadow.Message{})
	assert.ErrorContains(t, err, "not made by Parse")
	_, err = shadow.New(shadow.Remote("v2", "http://v2.example"), shadow.WithMasker(empty))
	assert.ErrorContains(t, err, "*policy.Policy: argument 1: nil")
}

// Its rules are among those of the Mirror.
func TestTheRulesOfAPolicyAreCounted(t *testing.T) {
	m, err := shadow.New(shadow.Remote("v2", "http://v2.example"), shadow.WithMasker(parsePolicy(t, policyOf(`{"name": "a", "json": ["$.a"], "headers": ["X-User"]}`))))
	require.NoError(t, err)
	defer m.Close()
	assert.ElementsMatch(t, []shadow.RuleUse{{Option: "MaskJSON", Path: "$.a"}, {Option: "MaskHeaders", Path: "X-User"}}, m.Rules())
}

// A body that a rule must look into and cannot is neither sent nor shown.
func TestAnErrorNamesTheRuleAndNoValue(t *testing.T) {
	p := parsePolicy(t, policyOf(`{"name": "headers", "headers": ["X-User"]}`, `{"name": "members", "json": ["$.a"]}`))
	m := request(t, "POST", "http://x.example/", `{"a": "secret", "b": secret}`)
	m.Header.Set("X-User", "ada")
	changes, err := p.Explain(m)
	require.ErrorContains(t, err, `policy rule "members": shadow: MaskJSON: `)
	assert.NotContains(t, err.Error(), "secret")
	assert.Equal(t, []policy.Change{{Rule: "headers", Place: "/header/X-User"}}, changes, "what was touched before")
	assert.ErrorContains(t, p.Mask(m), "shadow: MaskJSON: ")
}

// Through a real server to a real shadow, and back to a reporter.
func TestAPolicyShapesWhatIsSentAndWhatIsReported(t *testing.T) {
	p := parsePolicy(t, everywhere)
	var received *http.Request
	candidate := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		received = r
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(`{"who":"the shadow's secret"}`))
	}))
	defer candidate.Close()
	var result *shadow.Result
	mirror, err := shadow.New(shadow.Remote("v2", candidate.URL), shadow.WithMasker(p), shadow.WithReporter(
		shadow.ReporterFunc(func(_ context.Context, r *shadow.Result) error { result = r; return nil })))
	require.NoError(t, err)
	primary := mirror.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(`{"who":"the primary's secret"}`))
	}))
	r := httptest.NewRequest("GET", "/users/"+sealed+"/?who="+sealed, nil)
	r.Header.Set("X-User", sealed)
	primary.ServeHTTP(httptest.NewRecorder(), r)
	require.NoError(t, mirror.Shutdown(t.Context()))

	require.NotNil(t, received)
	assert.Equal(t, "/users/[masked]/?who=[masked]", mustUnescape(t, received.RequestURI))
	assert.Equal(t, "[masked]", received.Header.Get("X-User"))
	require.NotNil(t, result)
	assert.Equal(t, shadow.Mismatch, result.Outcome)
	assert.Equal(t, "/body/who", result.Diffs[0].Path)
	for _, m := range []*shadow.Message{result.Request, result.Primary, result.Shadow} {
		assert.NotContains(t, allOf(m), "secret")
	}
	assert.NotContains(t, string(result.Diffs[0].Primary)+string(result.Diffs[0].Shadow), "secret")
}

func mustUnescape(t *testing.T, s string) string {
	t.Helper()
	plain, err := url.PathUnescape(s)
	require.NoError(t, err)
	return plain
}

// The key is the program's: a policy that needs one says so, and never shows it.
func TestTheKeyIsGivenByTheProgram(t *testing.T) {
	tokens := policyOf(`{"name": "a", "json": ["$.a"], "replace": "tokenize"}`)
	for _, short := range []string{"", "hunter2"} {
		_, err := policy.Parse([]byte(tokens), []byte(short))
		require.ErrorContains(t, err, fmt.Sprintf(`policy:1:68: rule "a": MaskWith: Tokenize: a key of %d bytes is too short`, len(short)))
		assert.NotContains(t, err.Error(), "hunter")
	}
	for _, replace := range []string{"redact", "drop", "hash"} {
		_, err := policy.Parse([]byte(policyOf(`{"name": "a", "json": ["$.a"], "replace": "`+replace+`"}`)), nil)
		assert.NoError(t, err, "no rule needs it")
	}
	keyed, err := policy.Parse([]byte(tokens), []byte("hunter2 hunter2 hunter2")) // no word of a built-in rule
	require.NoError(t, err)
	for _, p := range []any{keyed, *keyed} {
		assert.NotRegexp(t, mirrortest.Spellings("hunter2"), mirrortest.Printed(t, p))
	}
	_, err = policy.Parse([]byte(`{"version": 1, "key": "AAAA"}`), nil)
	assert.ErrorContains(t, err, `1:16: a policy has no member "key"`)
}

// What the doc comment shows works.
func TestThePolicyOfTheDocumentationIsValid(t *testing.T) {
	source, err := os.ReadFile("policy.go")
	require.NoError(t, err)
	_, doc, ok := strings.Cut(string(source), "A policy is a JSON document")
	require.True(t, ok)
	file, _, ok := strings.Cut(doc[strings.Index(doc, "//\t{"):], "\n//\n")
	require.True(t, ok)
	parsePolicy(t, strings.ReplaceAll(file, "//\t", ""))
}

func ExampleParse() {
	_, err := policy.Parse([]byte(`{
  "version": 1,
  "rules": [
    {"name": "contacts", "jsonpath": ["$..email"]},
    {"name": "health", "json": ["$..[diagnosis]"], "replace": "remove"}
  ]
}`), nil)
	fmt.Println(err)
	// Output:
	// shadow: policy:4:26: a rule has no member "jsonpath": it has name, note, replace and cookies, detect, form, headers, json, path, patterns, query, xml
	// shadow: policy:5:33: json: MaskJSON: path "$..[diagnosis]", column 5: expected a quoted name, '*', an index, a slice or '?'
	// shadow: policy:5:63: replace is "remove": it must be one of redact, drop, hash, tokenize
}

func ExamplePolicy_Explain() {
	rules, err := policy.Parse([]byte(`{
  "version": 1,
  "rules": [
    {"name": "contacts", "query": ["email"], "json": ["$..email"]},
    {"name": "health", "json": ["$..diagnosis"], "replace": "drop"}
  ]
}`), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	changes, err := rules.Explain(&shadow.Message{
		Method: "POST",
		URL:    &url.URL{Path: "/patients", RawQuery: "email=ada@lovelace.example"},
		Header: http.Header{"Authorization": {"Bearer 17a3f0"}, "Content-Type": {"application/json"}},
		Body:   []byte(`{"email":"ada@lovelace.example","visits":[{"diagnosis":"J45"}]}`),
	})
	for _, t := range changes {
		fmt.Println(t.Rule, t.Place)
	}
	fmt.Println(err)
	// Output:
	// credentials /header/Authorization
	// contacts /query/email
	// contacts /body/email
	// health /body/visits/0/diagnosis
	// <nil>
}

func FuzzParse(f *testing.F) {
	f.Add(everywhere)
	f.Add(`{"version": 1}`)
	f.Add(`{"version": 1, "rules": [{"name": "a", "json": ["$["]}]}`)
	f.Add(`{"version": 1, "rules": [{"name": 1, "replace": null, "json": {}}], "bodies": []}`)
	f.Fuzz(func(t *testing.T, file string) {
		p, err := policy.Parse([]byte(file), policyKey)
		require.NotEqual(t, p == nil, err == nil)
		if err != nil {
			assert.Regexp(t, `^shadow: policy:[0-9]+:[0-9]+: `, err.Error())
			return
		}
		assert.NoError(t, p.Mask(&shadow.Message{}))
	})
}

var policyKey = []byte("a key for tests, not for use")

// policyOf makes a policy of rules.
func policyOf(r ...string) string {
	return `{"version": 1, "rules": [` + strings.Join(r, ",\n") + `]}`
}

func TestEveryFaultIsReportedWithItsPlace(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		want []string
	}{
		"empty":               {"", []string{`1:1: the document ends where a value should be`}},
		"no JSON":             {"{\n  \"version\": 1,\n}", []string{`3:1: "}" where`}},
		"something after":     {"{\"version\": 1}\n\n x", []string{`3:2: "x" where the end of the document should be`}},
		"too deep":            {strings.Repeat("[", 20), []string{`1:17: nested deeper than 16 levels`}},
		"no object":           {`[]`, []string{`1:1: a policy must be an object`}},
		"no version":          {`{"rules": []}`, []string{`1:1: version is missing`}},
		"other version":       {`{"version": 2}`, []string{`1:13: version must be the number 1`}},
		"version as text":     {`{"version": "1"}`, []string{`1:13: version must be the number 1`}},
		"unknown member":      {`{"version": 1, "rulez": []}`, []string{`1:16: a policy has no member "rulez": it has version, credentials, rules and bodies`}},
		"rules no array":      {`{"version": 1, "rules": {}}`, []string{`1:25: rules must be an array`}},
		"rule no object":      {policyOf(`7`), []string{`1:26: a rule must be an object`}},
		"credentials":         {`{"version": 1, "credentials": "kepp"}`, []string{`1:31: credentials is "kepp": it must be one of drop, keep`}},
		"credentials no text": {`{"version": 1, "credentials": false}`, []string{`1:31: credentials must be a string`}},
		"twice":               {`{"version": 1, "version": 1}`, []string{`1:16: a policy has the member "version" twice`}},
		"escaped twice":       {`{"version": 1, "\u0076ersion": 1}`, []string{`1:16: a policy has the member "version" twice`}},
		"no name":             {policyOf(`{"json": ["$.a"]}`), []string{`1:26: a rule has no name`}},
		"empty name":          {policyOf(`{"name": " ", "json": ["$.a"]}`), []string{`1:35: name is empty`}},
		"name no text":        {policyOf(`{"name": 1, "json": ["$.a"]}`), []string{`1:35: name must be a string`}},
		"name twice": {
			policyOf(`{"name": "a", "json": ["$.a"]}`, `{"name": "a", "json": ["$.b"]}`),
			[]string{`2:10: there is a rule "a" already`},
		},
		"name taken":            {policyOf(`{"name": "credentials", "json": ["$.a"]}`), []string{`1:35: there is a rule "credentials" already`}},
		"about nothing":         {policyOf(`{"name": "a"}`), []string{`1:26: rule "a" is about nothing: give it one of cookies, detect, form, headers, json, path, patterns, query, xml`}},
		"unknown in a rule":     {policyOf(`{"name": "a", "jsno": ["$.a"]}`), []string{`1:40: a rule has no member "jsno": it has name, note, replace and cookies`}},
		"note no text":          {policyOf(`{"name": "a", "note": 1, "json": ["$.a"]}`), []string{`1:48: note must be a string`}},
		"replace":               {policyOf(`{"name": "a", "json": ["$.a"], "replace": "encrypt"}`), []string{`1:68: replace is "encrypt": it must be one of redact, drop, hash, tokenize`}},
		"one for a list":        {policyOf(`{"name": "a", "json": "$.a"}`), []string{`1:48: json must be an array`}},
		"number in a list":      {policyOf(`{"name": "a", "json": [1]}`), []string{`1:49: an entry of json must be a string`}},
		"entry twice":           {policyOf(`{"name": "a", "json": ["$.a", "$.a"]}`), []string{`1:56: json has "$.a" twice`}},
		"JSONPath":              {policyOf(`{"name": "a", "json": ["$.a", "$..["]}`), []string{`1:56: json: MaskJSON: path "$..[", column 5: `}},
		"pattern":               {policyOf(`{"name": "a", "patterns": ["("]}`), []string{"1:53: patterns: error parsing regexp: missing closing ): `(`"}},
		"header":                {policyOf(`{"name": "a", "headers": ["X User"]}`), []string{`1:52: headers: MaskHeaders: "X User" is not a header name`}},
		"cookie":                {policyOf(`{"name": "a", "cookies": [""]}`), []string{`1:52: cookies: `}},
		"query":                 {policyOf(`{"name": "a", "query": [""]}`), []string{`1:50: query: MaskQuery: empty name`}},
		"form":                  {policyOf(`{"name": "a", "form": [""]}`), []string{`1:49: form: `}},
		"path":                  {policyOf(`{"name": "a", "path": ["/users/{"]}`), []string{`1:49: path: `}},
		"xml":                   {policyOf(`{"name": "a", "xml": ["//"]}`), []string{`1:48: xml: `}},
		"characters, not bytes": {policyOf(`{"name": "müßig", "json": ["$..["]}`), []string{`1:53: json: `}},
		"several": {
			`{
  "version": 3,
  "rules": [
    {"name": "a", "json": ["$.["], "patterns": ["["]},
    {"nam": "b", "query": ["q"]}
  ]
}`,
			[]string{`2:14: version`, `4:28: json`, `4:49: patterns`, `5:5: a rule has no name`, `5:6: a rule has no member "nam"`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := policy.Parse([]byte(c.file), policyKey)
			require.Error(t, err)
			assert.Nil(t, p)
			got := strings.Split(err.Error(), "\n")
			require.Len(t, got, len(c.want), "%v", err)
			for i, want := range c.want {
				assert.True(t, strings.HasPrefix(got[i], "shadow: policy:"+want), "%s\nis not\n%s", got[i], want)
			}
		})
	}
}

func TestAMinimalPolicyDropsCredentials(t *testing.T) {
	p, err := policy.Parse([]byte(`{"version": 1}`), nil)
	require.NoError(t, err)
	m := request(t, "GET", "http://ada:pw@x.example/", "")
	m.Header.Set("Authorization", "Bearer secret")
	m.Header.Set("Accept", "*/*")
	require.NoError(t, p.Mask(m))
	assert.Nil(t, m.URL.User)
	assert.Equal(t, http.Header{"Accept": {"*/*"}}, m.Header)

	p, err = policy.Parse([]byte(`{"version": 1, "credentials": "keep"}`), nil)
	require.NoError(t, err)
	m.Header.Set("Authorization", "Bearer secret")
	require.NoError(t, p.Mask(m))
	assert.Equal(t, "Bearer secret", m.Header.Get("Authorization"))
}

// Explain says that something is touched where Mask changes something, and only there.
func FuzzExplain(f *testing.F) {
	f.Add("a=b&who=x", "sid=1; who=x", "application/json", `{"who":"x","a@post.net":1}`)
	f.Add("a@post.net", "a@post.net=1", "application/x-www-form-urlencoded", "a=1&who=2")
	f.Add("%zz&who", "", "text/plain", "mail a@post.net\nor not\n")
	p := parsePolicy(f, everywhere)
	f.Fuzz(func(t *testing.T, query, cookie, contentType, body string) {
		m := &shadow.Message{
			Method: "POST", URL: &url.URL{Scheme: "http", Host: "x.example", Path: "/users/", RawQuery: query},
			Header: http.Header{"Cookie": {cookie}, "Content-Type": {contentType}}, Body: []byte(body),
		}
		masked := m.Clone()
		failed := p.Mask(masked)
		changes, err := p.Explain(m)
		require.Equal(t, failed == nil, err == nil)
		if err == nil {
			assert.Equal(t, allOf(m) == allOf(masked), len(changes) == 0, "%v", changes)
		}
	})
}
