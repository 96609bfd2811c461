package redact_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow/internal/redact"
)

// upper is a Tokenizer whose tokens can be told.
type upper struct{}

func (upper) Text(s string) string     { return "<" + strings.ToUpper(s) + ">" }
func (upper) Number(raw string) string { return "1" + raw }

var (
	dropped = redact.Drop()
	upped   = redact.Tokens(upper{})
)

func TestForm(t *testing.T) {
	names := redact.NewNames("Token", "é", "a b")
	for in, want := range map[string]struct{ masked, dropped, token string }{
		"":                                    {"", "", ""},
		"x=1":                                 {"x=1", "x=1", "x=1"},
		"token=s":                             {"token=%5Bmasked%5D", "", "token=%3CS%3E"},
		"x=1&token=s%20t&y=2":                 {"x=1&token=%5Bmasked%5D&y=2", "x=1&y=2", "x=1&token=%3CS+T%3E&y=2"},
		"token=s&token=t&x=1":                 {"token=%5Bmasked%5D&token=%5Bmasked%5D&x=1", "x=1", "token=%3CS%3E&token=%3CT%3E&x=1"},
		"x=1&token=s&token=t":                 {"x=1&token=%5Bmasked%5D&token=%5Bmasked%5D", "x=1", "x=1&token=%3CS%3E&token=%3CT%3E"},
		"&&token=s&&x":                        {"&&token=%5Bmasked%5D&&x", "&&&x", "&&token=%3CS%3E&&x"},
		"token[]=s&TOKEN%5B0%5D=t&x[token]=u": {"token[]=%5Bmasked%5D&TOKEN%5B0%5D=%5Bmasked%5D&x[token]=u", "x[token]=u", "token[]=%3CS%3E&TOKEN%5B0%5D=%3CT%3E&x[token]=u"},
		"x;token=s;y":                         {"x;token=%5Bmasked%5D;y", "x;y", "x;token=%3CS%3E;y"},
		"%74OKEN=s;t":                         {"%74OKEN=%5Bmasked%5D", "", "%74OKEN=%3CS%3BT%3E"},
		"token":                               {"token=%5Bmasked%5D", "", "token=%3C%3E"},
		"token;s":                             {"token=%5Bmasked%5D", "", "token=%3CS%3E"},
		"%C3%A9=s&a+b=t":                      {"%C3%A9=%5Bmasked%5D&a+b=%5Bmasked%5D", "", "%C3%A9=%3CS%3E&a+b=%3CT%3E"},
		"next=/p?token=s;t&x":                 {"next=/p?token=%5Bmasked%5D&x", "next=/p&x", "next=/p?token=%3CS%3BT%3E&x"},
		"next=%2Fp%3Fx%3D1%26token%3Ds&y=2": {"next=%2Fp%3Fx%3D1%26token%3D%255Bmasked%255D&y=2", "next=%2Fp%3Fx%3D1&y=2",
			"next=%2Fp%3Fx%3D1%26token%3D%253CS%253E&y=2"},
	} {
		for r, want := range map[*redact.Replacement]string{{}: want.masked, &dropped: want.dropped, &upped: want.token} {
			assert.Equal(t, want, string(redact.Form([]byte(in), names, *r)), in)
		}
	}
}

// Whoever parses the masked form, by '&' or by ';' too, finds no value that whoever
// parses the original finds under the name; and all others as they were.
func FuzzFormHidesEveryValue(f *testing.F) {
	for _, seed := range []string{"token=s", "a=1&token=s;b=2", "%74oken=s&token&TOKEN=%zz", "a=%2F%3Ftoken%3Ds&&;token=s", "a=b?token=c;token=d#e=f", "token[]=s&token%5ba%5D=t&a[token]=u"} {
		f.Add(seed)
	}
	names := redact.NewNames("token")
	f.Fuzz(func(t *testing.T, in string) {
		read := func(text, separators string) (hidden, shown []string) {
			for _, field := range strings.FieldsFunc(text, func(c rune) bool { return strings.ContainsRune(separators, c) }) {
				name, value, _ := strings.Cut(field, "=")
				plain, err := url.QueryUnescape(name)
				if plain, _, _ = strings.Cut(plain, "["); err == nil && strings.EqualFold(plain, "token") {
					hidden = append(hidden, value)
				} else if !strings.Contains(strings.ToLower(field), "token") && !strings.Contains(field, "%") {
					shown = append(shown, field)
				}
			}
			return hidden, shown
		}
		masked := string(redact.Form([]byte(in), names, redact.Replacement{}))
		left := string(redact.Form([]byte(in), names, redact.Drop()))
		for _, separators := range []string{"&", "&;"} {
			before, shown := read(in, separators)
			after, _ := read(masked, separators)
			for _, value := range after {
				require.Equal(t, "%5Bmasked%5D", value, "%q of %q", masked, in)
			}
			gone, _ := read(left, separators)
			require.Empty(t, gone, "%q of %q", left, in)
			if separators == "&" && len(before) == 0 && !strings.Contains(strings.ToLower(in), "token") && !strings.Contains(in, "%") {
				require.Equal(t, in, masked)
				_, still := read(masked, separators)
				require.Equal(t, shown, still)
			}
		}
	})
}

func TestCookies(t *testing.T) {
	names := redact.NewNames("Session", "csrf")
	for in, want := range map[string]struct{ masked, dropped string }{
		"":                              {"", ""},
		"a=1":                           {"a=1", "a=1"},
		"session=s":                     {"session=[masked]", ""},
		"a=1; session=s; b=2":           {"a=1; session=[masked]; b=2", "a=1; b=2"},
		"SESSION=s;a=1;csrf=t=u":        {"SESSION=[masked];a=1;csrf=[masked]", "a=1"},
		`session="s;t"; a=1`:            {"session=[masked]; a=1", "a=1"},
		`x="a; session=s; b"; c=1`:      {`x="a; session=[masked]; c=1`, `x="a; c=1`},
		`session="s; a=1`:               {"session=[masked]; a=1", "a=1"},
		"a=1, session=s; b=2":           {"a=1, session=[masked]; b=2", "a=1; b=2"},
		"sessions=1; my_session=2; a=s": {"sessions=1; my_session=2; a=s", "sessions=1; my_session=2; a=s"},
		"session; a=session":            {"session; a=session", "session; a=session"},
	} {
		assert.Equal(t, want.masked, redact.Cookies(in, names, redact.Replacement{}), in)
		assert.Equal(t, want.dropped, redact.Cookies(in, names, redact.Drop()), in)
	}
	assert.Equal(t, "a=1; session=<S_T>", redact.Cookies(`a=1; session="s t"`, names, redact.Tokens(upper{})))
}

func TestSetCookie(t *testing.T) {
	names := redact.NewNames("session", "path")
	for in, want := range map[string]struct{ masked, dropped string }{
		"":                                     {"", ""},
		"a=1; Path=/":                          {"a=1; Path=/", "a=1; Path=/"},
		"session=s":                            {"session=[masked]", ""},
		"Session=s; Path=/p; HttpOnly":         {"Session=[masked]; Path=/p; HttpOnly", ""},
		`session="s;t"; Max-Age=1`:             {"session=[masked]; Max-Age=1", ""},
		"a=1, session=s; Path=/":               {"a=1, session=[masked]; Path=/", "a=1; Path=/"},
		"a=1; Path=/, session=s; Secure":       {"a=1; Path=/, session=[masked]; Secure", "a=1; Path=/; Secure"},
		"a=1; Expires=Thu, 01 Jan 2026; b=2":   {"a=1; Expires=Thu, 01 Jan 2026; b=2", "a=1; Expires=Thu, 01 Jan 2026; b=2"},
		"session=s; Expires=Thu, 01 Jan 2026;": {"session=[masked]; Expires=Thu, 01 Jan 2026;", ""},
	} {
		assert.Equal(t, want.masked, redact.SetCookie(in, names, redact.Replacement{}), in)
		assert.Equal(t, want.dropped, redact.SetCookie(in, names, redact.Drop()), in)
	}
}

func TestURL(t *testing.T) {
	names := redact.NewNames("token", "jsessionid")
	for in, want := range map[string]string{
		"":                           "",
		"/p?token=s#token=t":         "/p?token=%5Bmasked%5D#token=%5Bmasked%5D",
		"#/route?token=s&x=1":        "#/route?token=%5Bmasked%5D&x=1",
		"https://h/p?x=1#f?x":        "https://h/p?x=1#f?x",
		"/p?next=%2Fq%23token%3Ds":   "/p?next=%2Fq%23token%3D%255Bmasked%255D",
		"/p;jsessionid=s?x=1":        "/p;jsessionid=%5Bmasked%5D?x=1",
		"/p?redirect=/q#token=s&y=2": "/p?redirect=/q#token=%5Bmasked%5D&y=2",
	} {
		assert.Equal(t, want, redact.URL(in, names, redact.Replacement{}), in)
	}
}

func TestURLs(t *testing.T) {
	mark := func(u string) string { return "(" + u + ")" }
	for in, want := range map[string]string{
		"":                               "()",
		"/p?a,b":                         "(/p?a,b)",
		`</a>; rel="next", </b>;rel="x"`: `<(/a)>; rel="next", <(/b)>;rel="x"`,
		"</a":                            "<(/a)",
	} {
		assert.Equal(t, want, redact.URLs(in, mark))
	}
}

func TestWithoutUser(t *testing.T) {
	for in, want := range map[string]string{
		"":                                     "",
		"ada@example.org":                      "ada@example.org",
		"https://ada:pw@h/p@q?x=a@b":           "https://h/p@q?x=a@b",
		"//ada@h":                              "//h",
		"https://a@b:pw@h:80/":                 "https://h:80/",
		"<https://u:p@h/1>, <https://u:p@h/2>": "<https://h/1>, <https://h/2>",
		"https://h/p//x@y/z":                   "https://h/p//y/z",
		"0; url=https://u@h":                   "0; url=https://h",
		"https://h?x=https://u:p@i/":           "https://h?x=https://i/",

		"/?next=https%3A%2F%2Fu%3Ap%40h%2Fp%40q&m=a@b":             "/?next=https%3A%2F%2Fh%2Fp%40q&m=a@b",
		"/?next=https:%2f%2fu:p@h":                                 "/?next=https:%2f%2fh",
		"/?next=https://u:p%40h":                                   "/?next=https://h",
		"//u:p%2Fq%3fr@h":                                          "//h",
		"/?a=%2F%2Fh&m=a@b":                                        "/?a=%2F%2Fh&m=a@b",
		"/?a=https://h&m=a@b":                                      "/?a=https://h&m=a@b",
		"//u&v:w@h/?a=https://h&m=a@b":                             "//h/?a=https://h&m=a@b",
		"/a?b%26c=%2F%2Fh%26m%3Da@b":                               "/a?b%26c=%2F%2Fh%26m%3Da@b",
		"//h%26m=a@b":                                              "//b",
		"%252F%252Fu%2540h%253Fm%253Da%2540b":                      "%252F%252Fh%253Fm%253Da%2540b",
		"/?a=https%3A%2F%2Fh%2F%3Fb%3Dhttps%253A%252F%252Fu%2540i": "/?a=https%3A%2F%2Fh%2F%3Fb%3Dhttps%253A%252F%252Fi",
		"%2525252F%2525252Fu%25252540h":                            "%2525252F%2525252Fh",
		"40 % of //a%4":                                            "40 % of //a%4",
		"//%@h":                                                    "//h",
		"//u@":                                                     "//",
	} {
		assert.Equal(t, want, redact.WithoutUser(in), in)
	}
}

func TestPaths(t *testing.T) {
	var paths redact.Paths
	for _, pattern := range []string{"GET /users/{email}", "/users/{email}/orders/{id}", "example.com/files/{path...}", "/t/{tenant}/", "/x/{$}", "/a%2Fb/{c}"} {
		p, ok := redact.ParsePath(pattern)
		assert.Equal(t, pattern != "/x/{$}", ok, pattern)
		paths = append(paths, p)
	}
	for in, want := range map[string]struct{ masked, dropped, pattern string }{
		"/users":                  {"/users", "/users", ""},
		"/users/":                 {"/users/", "/users/", ""},
		"/users/a%40b":            {"/users/%5Bmasked%5D", "/users", "/users/{email}"},
		"/users/a/":               {"/users/%5Bmasked%5D/", "/users/", "/users/{email}"},
		"/USERS/a":                {"/USERS/%5Bmasked%5D", "/USERS", "/users/{email}"},
		"/%75sers/a":              {"/%75sers/%5Bmasked%5D", "/%75sers", "/users/{email}"},
		"//users//a":              {"/users/%5Bmasked%5D", "/users", "/users/{email}"},
		"/x/../users/./a":         {"/users/%5Bmasked%5D", "/users", "/users/{email}"},
		"/x/%2e%2E/users/a":       {"/users/%5Bmasked%5D", "/users", "/users/{email}"},
		"/users%2Fa":              {"/users/%5Bmasked%5D", "/users", "/users/{email}"},
		`/users%5ca`:              {"/users/%5Bmasked%5D", "/users", "/users/{email}"},
		"/users;v=1/a;b":          {"/users;v=1/%5Bmasked%5D", "/users;v=1", "/users/{email}"},
		"/x%2Fy":                  {"/x%2Fy", "/x%2Fy", ""},
		"/users/a/orders":         {"/users/a/orders", "/users/a/orders", ""},
		"/users/a/orders/7":       {"/users/%5Bmasked%5D/orders/%5Bmasked%5D", "/users/orders", "/users/{email}/orders/{id}"},
		"/files/a/b%2Fc":          {"/files/%5Bmasked%5D/%5Bmasked%5D", "/files", "/files/{path...}"},
		"/t/acme":                 {"/t/%5Bmasked%5D", "/t", "/t/{tenant}/"},
		"/t/acme/any%20thing/at":  {"/t/%5Bmasked%5D/any%20thing/at", "/t/any%20thing/at", "/t/{tenant}/"},
		"/a%2fb/secret":           {"/a%2fb/%5Bmasked%5D", "/a%2fb", "/a%2Fb/{c}"},
		"users/a":                 {"users/a", "users/a", ""},
		"":                        {"", "", ""},
		"*":                       {"*", "*", ""},
		"/users/%zz":              {"/users/%5Bmasked%5D", "/users", "/users/{email}"},
		"/users/a/orders/7/items": {"/users/a/orders/7/items", "/users/a/orders/7/items", ""},
	} {
		masked, pattern := paths.Mask(in, redact.Replacement{})
		assert.Equal(t, want.masked, masked, in)
		assert.Equal(t, want.pattern, pattern, in)
		masked, _ = paths.Mask(in, redact.Drop())
		assert.Equal(t, want.dropped, masked, in)
	}
	masked, _ := paths.Mask("/users/a%40b", redact.Tokens(upper{}))
	assert.Equal(t, "/users/%3CA@B%3E", masked)
}

func TestPathOf(t *testing.T) {
	for in, want := range map[string]string{
		"":                        "",
		"/p":                      "/p",
		"/p?q#f":                  "/p",
		"https://h/p/q?x":         "/p/q",
		"https://h":               "",
		"https://h?x=/y":          "",
		"//h/p":                   "/p",
		"0; url=/p?x":             "/p",
		"0; URL='/p'":             "/p'",
		"5;url=https://h/p":       "/p",
		"text/html":               "",
		"*/*;q=0.8":               "",
		"Mozilla/5.0 (X11; //x)":  "",
		"android-app://app/https": "/https",
		"no slash":                "",
	} {
		start, end := redact.PathOf(in)
		assert.Equal(t, want, in[start:end], in)
	}
}
