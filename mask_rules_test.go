package shadow_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/policy"
)

// key is one for Tokenize.
var key = []byte("0123456789abcdef")

// masked masks a request with the given URL, header and body.
func masked(t *testing.T, m shadow.Masker, target string, header http.Header, body string) *shadow.Message {
	t.Helper()
	u, err := url.Parse(target)
	require.NoError(t, err)
	msg := &shadow.Message{Method: "POST", URL: u, Header: header.Clone(), Body: []byte(body)}
	require.NoError(t, m.Mask(msg))
	return msg
}

func TestMaskCookies(t *testing.T) {
	header := http.Header{
		"Cookie": {"a=1; SESSION=secret", "session=secret"}, "cookie": {"session=secret"},
		"Set-Cookie": {"session=secret; Path=/; HttpOnly", "a=1"}, "X-A": {"session=secret"},
	}
	values := header["Cookie"]
	m := masked(t, shadow.MaskCookies("session"), "/", header, "session=secret")
	assert.Equal(t, http.Header{
		"Cookie": {"a=1; SESSION=[masked]", "session=[masked]"}, "cookie": {"session=[masked]"},
		"Set-Cookie": {"session=[masked]; Path=/; HttpOnly", "a=1"}, "X-A": {"session=secret"},
	}, m.Header)
	assert.Equal(t, "session=secret", values[1], "values may be shared with another message")
	m = masked(t, shadow.MaskWith(shadow.Drop(), shadow.MaskCookies("session")), "/", header, "")
	assert.Equal(t, http.Header{"Cookie": {"a=1"}, "Set-Cookie": {"a=1"}, "X-A": {"session=secret"}}, m.Header)
}

func TestMaskQueryFindsURLsEverywhere(t *testing.T) {
	const hidden = "token=%5Bmasked%5D"
	m := masked(t, shadow.MaskQuery("token"), "/p?next=%2Fq%3Ftoken%3Dsecret#token=secret&x=1", http.Header{
		"Link":           {`<https://h/1?token=secret>; rel="next", <https://h/2?token=secret&a=1>; rel="last"`},
		"Refresh":        {"0; url=/p?token=secret"},
		"X-Original-Url": {"/p?a=1&token=secret"},
		"Location":       {"/cb#token=secret&state=1"},
		"Cookie":         {"back=/p?token=secret; a=1"},
		"Accept":         {"text/html;q=0.9, */*;token=1"},
	}, "")
	assert.Equal(t, "/p?next=%2Fq%3Ftoken%3D%255Bmasked%255D#"+hidden+"&x=1", m.URL.String())
	assert.Equal(t, http.Header{
		"Link":           {`<https://h/1?` + hidden + `>; rel="next", <https://h/2?` + hidden + `&a=1>; rel="last"`},
		"Refresh":        {"0; url=/p?" + hidden},
		"X-Original-Url": {"/p?a=1&" + hidden},
		"Location":       {"/cb#" + hidden + "&state=1"},
		"Cookie":         {"back=/p?" + hidden + "; a=1"},
		"Accept":         {"text/html;q=0.9, */*;token=1"},
	}, m.Header)
}

func TestMaskPath(t *testing.T) {
	mask := shadow.MaskPath("GET /users/{email}", "/files/{name...}")
	m := masked(t, mask, "https://h/users/s%40cret?x=1", http.Header{
		"Referer": {"https://h/users/secret?x=/users/1"}, "Location": {"/files/secret/secret"}, "Accept": {"users/secret"},
		"Link": {"</users/secret>; rel=self"}, "Refresh": {"1; url=/users/secret"},
	}, "")
	assert.Equal(t, "https://h/users/%5Bmasked%5D?x=1", m.URL.String())
	assert.Equal(t, "/users/[masked]", m.URL.Path)
	assert.Equal(t, http.Header{
		"Referer": {"https://h/users/%5Bmasked%5D?x=/users/1"}, "Location": {"/files/%5Bmasked%5D/%5Bmasked%5D"}, "Accept": {"users/secret"},
		"Link": {"</users/%5Bmasked%5D>; rel=self"}, "Refresh": {"1; url=/users/%5Bmasked%5D"},
	}, m.Header)

	m = masked(t, mask, "https://h/orders/a%2Fb", nil, "")
	assert.Equal(t, "https://h/orders/a%2Fb", m.URL.String())
	m = masked(t, shadow.MaskWith(shadow.Tokenize(key), mask), "https://h/users/ada@example.org", nil, "")
	assert.Regexp(t, `^https://h/users/[a-z0-9]+@.+example\.com$`, m.URL.String())
}

func TestMaskForm(t *testing.T) {
	mask := shadow.MaskForm("PIN", "file")
	urlencoded := field("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")
	assert.Equal(t, "a=1&pin=%5Bmasked%5D&p%69n=%5Bmasked%5D", string(masked(t, mask, "/?pin=1", urlencoded, "a=1&pin=s&p%69n=t").Body))
	multipart := field("Content-Type", `multipart/form-data; boundary="x y"`)
	m := masked(t, mask, "/", multipart, "--x y\r\nContent-Disposition: form-data; name=file; filename=secret.txt\r\nContent-Type: text/plain\r\n\r\nsecret\r\n"+
		"--x y\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--x y--")
	assert.Equal(t, "--x y\r\nContent-Disposition: form-data; filename=\"[masked]\"; name=file\r\nContent-Type: text/plain\r\n\r\n[masked]\r\n"+
		"--x y\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--x y--", string(m.Body))
	assert.Equal(t, `{"pin":1}`, string(masked(t, mask, "/", field("Content-Type", "application/json"), `{"pin":1}`).Body))
}

func TestMaskXML(t *testing.T) {
	const soap = `<s:Envelope xmlns:s="u"><Password>secret</Password><a pin="secret">1</a></s:Envelope>`
	for contentType, want := range map[string]bool{
		"application/soap+xml": true, "text/xml; charset=utf-8": true, "image/svg+xml": true, "text/plain": false, "": false, "text/html": false,
	} {
		m := masked(t, shadow.MaskXML("password", "PIN"), "/", field("Content-Type", contentType), soap)
		assert.Equal(t, want, !strings.Contains(string(m.Body), "secret"), contentType)
	}
	m := masked(t, shadow.MaskXML("password"), "/", field("Content-Type", "text/plain"), `<?xml version="1.0"?>`+soap)
	assert.Contains(t, string(m.Body), "<Password>[masked]</Password>", "it says that it is XML itself")
}

func TestMaskPatterns(t *testing.T) {
	mask := shadow.MaskPatterns(regexp.MustCompile(`[\w.]+@[\w.]+`), regexp.MustCompile(`\b\d{13,19}\b`))
	m := masked(t, mask, "/users/a%40b.org/x%2Fy?mail=a%40b.org&q=1&4111111111111111=#a@b.org", http.Header{
		"X-Mail": {"Ada <a@b.org>", "none"}, "Referer": {"https://h/?m=a%40b.org"}, "Content-Length": {"4111111111111111"},
	}, "")
	assert.Equal(t, "/users/%5Bmasked%5D/x%2Fy?mail=%5Bmasked%5D&q=1&%5Bmasked%5D=#%5Bmasked%5D", m.URL.String())
	assert.Equal(t, http.Header{
		"X-Mail": {"Ada <[masked]>", "none"}, "Referer": {"https://h/?m=%5Bmasked%5D"}, "Content-Length": {"4111111111111111"},
	}, m.Header)
	for contentType, c := range map[string]struct{ in, want string }{
		"application/json":                  {`{"a@b.org":["\u0061@b.org",4111111111111111,{"x":"a@b"}],"n":12}`, `{"[masked]":["[masked]","[masked]",{"x":"[masked]"}],"n":12}`},
		"application/x-ndjson":              {"{\"a\":\"a@b.org\"}\n{}\n", "{\"a\":\"[masked]\"}\n{}\n"},
		"text/event-stream":                 {"data: {\"a\":\"a\\u0040b.org\"}\n\ndata: a@b.org\n: a@b.org\n\n", "data: {\"a\":\"[masked]\"}\n\ndata: [masked]\n: [masked]\n\n"},
		"application/x-www-form-urlencoded": {"m=a%40b.org&x=1", "m=%5Bmasked%5D&x=1"},
		"text/xml":                          {`<a m="a&#64;b.org">a<![CDATA[@]]>b.org</a>`, `<a m="[masked]">[masked]</a>`},
		"text/csv":                          {"1,a@b.org\n", "1,[masked]\n"},
		"application/octet-stream":          {"a@b.org", "[masked]"},
		"image/png":                         {"\x89PNG\x00a@b.org", "\x89PNG\x00a@b.org"},
		"multipart/mixed; boundary=b":       {"--b\r\n\r\na@b.org\r\n--b--", "--b\r\n\r\n[masked]\r\n--b--"},
	} {
		t.Run(contentType, func(t *testing.T) {
			assert.Equal(t, c.want, string(masked(t, mask, "/", field("Content-Type", contentType), c.in).Body))
		})
	}
}

// A body that a rule has to look into, and that cannot be read, is an error.
func TestRulesFailClosed(t *testing.T) {
	rules := map[string]shadow.Masker{
		"MaskJSON": shadow.MaskJSON("$.pin"), "MaskForm": shadow.MaskForm("pin"), "MaskXML": shadow.MaskXML("pin"),
		"MaskPatterns": shadow.MaskPatterns(regexp.MustCompile("pin")),
	}
	const part = "--b\r\nContent-Disposition: form-data; name=a\r\n"
	for _, c := range []struct {
		name, contentType, body string
		truncated               bool
		fail                    string // the rules that must
	}{
		{"JSON", "application/json", `{"pin":`, false, "MaskJSON MaskPatterns"},
		{"JSON in UTF-16", "application/json", "\xff\xfe{\x00}\x00", false, "MaskJSON MaskPatterns"},
		{"JSON called a form", "application/x-www-form-urlencoded", `{"pin":`, false, "MaskJSON"},
		{"JSON cut", "application/json", `{}`, true, "MaskJSON MaskPatterns"},
		{"a record", "application/x-ndjson", "{}\n{", false, "MaskJSON MaskPatterns"},
		{"an event", "text/event-stream", "data: {\n\n", false, "MaskJSON"},
		{"events cut", "text/event-stream", "data: 1\n\n", true, "MaskJSON MaskPatterns"},
		{"a form cut", "application/x-www-form-urlencoded", "a=1", true, "MaskForm MaskPatterns"},
		{"a form in EBCDIC", "application/x-www-form-urlencoded; charset=ibm500", "a=1", false, "MaskForm MaskPatterns"},
		{"a form that is compressed once more", "application/x-www-form-urlencoded", "\x1f\x8b\x08\x00p=", false, "MaskForm MaskPatterns"},
		{"parts cut", "multipart/form-data; boundary=b", part + "\r\n1", true, "MaskJSON MaskForm MaskXML MaskPatterns"},
		{"parts broken", "multipart/form-data; boundary=b", part + "\r\n1", false, "MaskJSON MaskForm MaskXML MaskPatterns"},
		{"parts without boundary", "multipart/form-data", part + "\r\n1\r\n--b--", false, "MaskJSON MaskForm MaskXML MaskPatterns"},
		{"a part in base64", "multipart/form-data; boundary=b", part + "Content-Type: application/json\r\nContent-Transfer-Encoding: base64\r\n\r\ne30=\r\n--b--", false, "MaskJSON MaskPatterns"},
		{"XML", "text/xml", "<a>", false, "MaskXML MaskPatterns"},
		{"XML that declares", "text/xml", `<!DOCTYPE a [<!ENTITY p "pin">]><a/>`, false, "MaskXML MaskPatterns"},
		{"XML in UTF-7", "text/xml", `<?xml version="1.0" encoding="UTF-7"?><a>+ADw-pin/+AD4-</a>`, false, "MaskXML MaskPatterns"},
		{"text in UTF-16", "text/plain; charset=utf-16", "p\x00i\x00n\x00", false, "MaskPatterns"},
		{"text with NUL", "text/plain", "p\x00i\x00n\x00", false, "MaskPatterns"},
		{"text cut", "text/plain", "a", true, "MaskPatterns"},
		{"undecodable", "", "", true, "MaskJSON MaskXML MaskPatterns"},
		{"a picture cut", "image/png", "\x89PNG\x00", true, ""},
		{"a picture", "image/png", "\x89PNG\x00", false, ""},
	} {
		for name, rule := range rules {
			err := rule.Mask(&shadow.Message{Header: field("Content-Type", c.contentType), Body: []byte(c.body), Truncated: c.truncated})
			assert.Equal(t, strings.Contains(c.fail, name), err != nil, "%s, %s: %v", name, c.name, err)
			if err != nil {
				assert.NotContains(t, err.Error(), "pin", "errors quote nothing")
			}
		}
	}
	for name, rule := range rules {
		two := http.Header{"Content-Type": {"text/plain", "application/json"}}
		assert.Error(t, rule.Mask(&shadow.Message{Header: two, Body: []byte("{}")}), name)
		assert.Error(t, rule.Mask(&shadow.Message{Header: http.Header{"Content-Type": {"a/b"}, "content-type": {"c/d"}}, Body: []byte("{}")}), name)
	}
}

func TestMaskWith(t *testing.T) {
	rules := []shadow.Masker{
		shadow.MaskHeaders("X-Mail"), shadow.MaskCookies("mail"), shadow.MaskQuery("mail"), shadow.MaskPath("/u/{mail}"), shadow.MaskJSON("$.mail"),
	}
	const mail = "ada.lovelace@example.org"
	target, body := "https://h/u/"+mail+"?mail="+mail, `{"mail":"`+mail+`","x":1}`
	header := http.Header{"X-Mail": {mail}, "Cookie": {"a=1; mail=" + mail}, "Content-Type": {"application/json"}}

	m := masked(t, shadow.MaskWith(shadow.Drop(), rules...), target, header, body)
	assert.Equal(t, "https://h/u?", m.URL.String()+"?")
	assert.Equal(t, http.Header{"Cookie": {"a=1"}, "Content-Type": {"application/json"}}, m.Header)
	assert.Equal(t, `{"x":1}`, string(m.Body))

	for name, with := range map[string]shadow.Replacement{"Hash": shadow.Hash(), "Tokenize": shadow.Tokenize(key)} {
		m = masked(t, shadow.MaskWith(with, shadow.MaskAll(rules...)), target, header, body)
		token := m.Header.Get("X-Mail")
		assert.NotContains(t, token, "lovelace", name)
		assert.Equal(t, "a=1; mail="+token, m.Header.Get("Cookie"), "equal in, equal out")
		assert.Equal(t, `{"mail":"`+token+`","x":1}`, string(m.Body))
		assert.Equal(t, "/u/"+token, m.URL.Path)
		assert.Equal(t, token, m.URL.Query().Get("mail"))
		again := masked(t, shadow.MaskWith(with, shadow.MaskHeaders("X-Mail")), target, header, "")
		assert.Equal(t, token, again.Header.Get("X-Mail"), "in another masker too")
	}
	one := masked(t, shadow.MaskWith(shadow.Hash(), rules[0]), target, header, "").Header.Get("X-Mail")
	other := masked(t, shadow.MaskWith(shadow.Hash(), rules[0]), target, header, "").Header.Get("X-Mail")
	assert.NotEqual(t, one, other, "each Hash has a key of its own")
	one = masked(t, shadow.MaskWith(shadow.Tokenize(key), rules[0]), target, header, "").Header.Get("X-Mail")
	other = masked(t, shadow.MaskWith(shadow.Tokenize(key), rules[0]), target, header, "").Header.Get("X-Mail")
	assert.Equal(t, one, other, "who has the key has the tokens")
	assert.Equal(t, "[masked]", masked(t, shadow.MaskWith(shadow.Redact(), rules[0]), target, header, "").Header.Get("X-Mail"))
	assert.Equal(t, "[masked]", masked(t, rules[0], target, header, "").Header.Get("X-Mail"), "the original is as it was")
}

// A mask that New would refuse masks nothing, and says so.
func TestAFaultyMaskFailsWhateverItIsGiven(t *testing.T) {
	for _, m := range []shadow.Masker{
		shadow.MaskWith(nil, shadow.MaskJSON("$.a")), shadow.MaskWith(shadow.Drop(), nil), shadow.MaskWith(shadow.Drop(), (*policy.Policy)(nil)),
		shadow.MaskAll((*policy.Policy)(nil)), shadow.MaskWith(shadow.Drop(), shadow.DropCredentials()),
	} {
		assert.Error(t, m.Mask(&shadow.Message{Header: field("Content-Type", "application/json"), Body: []byte("{}")}))
		_, err := shadow.New(candidate(), shadow.WithMasker(m))
		assert.Error(t, err)
	}
}

func TestFaultsOfMasks(t *testing.T) {
	for want, m := range map[string]shadow.Masker{
		`MaskCookies: "a b" is not the name of a cookie`:                   shadow.MaskCookies("a b"),
		`MaskForm: empty name`:                                             shadow.MaskForm(""),
		`MaskXML: "s:Pin" is not the name`:                                 shadow.MaskXML("s:Pin"),
		`MaskPath: "/users/" has no wildcard`:                              shadow.MaskPath("/users/"),
		`MaskPath: parsing "/users/{":`:                                    shadow.MaskPath("/users/{"),
		`MaskPatterns: argument 2: nil`:                                    shadow.MaskPatterns(regexp.MustCompile("a"), nil),
		`AllowBodies: "json" is not a media type`:                          shadow.AllowBodies("json"),
		`MaskWith: Tokenize: a key of 3 bytes`:                             shadow.MaskWith(shadow.Tokenize([]byte("abc")), shadow.MaskQuery("a")),
		`MaskWith: nil Replacement`:                                        shadow.MaskWith(nil, shadow.MaskQuery("a")),
		`MaskWith: shadow.MaskerFunc does not look for values that Redact`: shadow.MaskWith(shadow.Redact(), shadow.MaskerFunc(func(*shadow.Message) error { return nil })),
		`does not look for values that Hash could replace`:                 shadow.MaskWith(shadow.Hash(), shadow.DropCredentials()),
		`MaskWith: argument 1: nil`:                                        shadow.MaskWith(shadow.Redact(), nil),
		`MaskQuery: empty name`:                                            shadow.MaskWith(shadow.Redact(), shadow.MaskQuery("")),
	} {
		_, err := shadow.New(shadow.InProcess("v2", saidText("")), shadow.WithMasker(m))
		assert.ErrorContains(t, err, want)
		if want != "MaskWith: argument 1: nil" { // that would panic, which a Mirror recovers
			assert.Error(t, m.Mask(&shadow.Message{Method: "GET", URL: &url.URL{}, Body: []byte(`{}`)}), want)
		}
	}
}

// What nobody said a word about is sent where no rule is about bodies, and not where one
// is.
func TestBodiesThatNoRuleLooksInto(t *testing.T) {
	json, form := shadow.MaskJSON("$.pin"), shadow.MaskForm("pin")
	const multi = "multipart/form-data; boundary=b"
	parts := func(second string) string {
		return "--b\r\nContent-Disposition: form-data; name=a\r\nContent-Type: application/json\r\n\r\n{}\r\n" +
			"--b\r\nContent-Disposition: form-data; name=b\r\nContent-Type: " + second + "\r\n\r\nx\r\n--b--"
	}
	for _, c := range []struct {
		name, contentType, body string
		masker                  shadow.Masker
		sent                    bool
	}{
		{"no rule", "text/csv", "a,b", shadow.DropCredentials(), true},
		{"a rule about something else", "text/csv", "a,b", json, false},
		{"in MaskAll", "text/csv", "a,b", shadow.MaskAll(shadow.DropCredentials(), json, form), false},
		{"looked into", "application/json", "{}", json, true},
		{"looks like JSON", "text/plain", "{}", json, true},
		{"no body", "text/csv", "", json, true},
		{"allowed", "text/CSV; header=present", "a,b", shadow.MaskAll(json, shadow.AllowBodies("text/csv")), true},
		{"allowed by type", "image/png", "a", shadow.MaskAll(json, shadow.AllowBodies("image/*")), true},
		{"everything allowed", "", "a", shadow.MaskAll(json, shadow.AllowBodies("*/*")), true},
		{"another allowed", "text/csv", "a,b", shadow.MaskAll(json, shadow.AllowBodies("image/*", "text/html")), false},
		{"nothing allowed", "application/json", "{}", shadow.AllowBodies(), false},
		{"a list alone", "application/json", "{}", shadow.MaskAll(shadow.DropCredentials(), shadow.AllowBodies("application/json")), true},
		{"no type", "", "a", json, false},
		{"patterns and text", "text/csv", "a,b", shadow.MaskPatterns(regexp.MustCompile("x")), true},
		{"patterns and no text", "image/png", "\x89\x00", shadow.MaskPatterns(regexp.MustCompile("x")), false},
		{"a form of fields", multi, "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--b--", form, true},
		{"a form with a document", multi, parts("text/plain"), form, false},
		{"a form with a file", multi, "--b\r\nContent-Disposition: form-data; name=a; filename=b\r\n\r\n1\r\n--b--", form, false},
		{"a form with a file that is hidden", multi, "--b\r\nContent-Disposition: form-data; name=a\r\nContent-Type: image/png\r\n\r\n[masked]\r\n--b--", shadow.MaskForm("a"), true},
		{"JSON called a form", "application/x-www-form-urlencoded", `{"a":1}`, form, false},
		{"XML called a form", "application/x-www-form-urlencoded", "<a b='1'/>", form, false},
		{"text called a form", "application/x-www-form-urlencoded", "name: a\nb", form, false},
		{"a form with a flag", "application/x-www-form-urlencoded", "a=1&flag&b%5B%5D=x y", form, true},
		{"patterns and a part that is no text", multi, parts("image/png") + "\x00", shadow.MaskPatterns(regexp.MustCompile("y")), false},
		{"each part", multi, parts("application/json"), shadow.MaskAll(json, shadow.AllowBodies("text/plain")), false}, // it is not JSON
		{"a part that is not", multi, parts("image/png"), json, false},
		{"a part that is allowed", multi, parts("image/png"), shadow.MaskAll(json, shadow.AllowBodies("image/png")), true},
		{"nested lists of rules", "application/x-www-form-urlencoded", "a=1", shadow.MaskAll(shadow.MaskAll(json), shadow.MaskAll(form)), true},
		{"with a replacement", "text/csv", "a", shadow.MaskWith(shadow.Hash(), json), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			candidate := &wire{}
			target := remoteTo(t, candidate)
			target.Masker = c.masker
			_, m := exchanged(t, reading, target, post(c.contentType, "", c.body), posts)
			if c.sent {
				require.Len(t, candidate.body, 1, "%v", m.Stats().Dropped)
				assert.Equal(t, c.body, candidate.body[0])
			} else {
				assert.Empty(t, candidate.body)
				assert.EqualValues(t, 1, m.Stats().Dropped[shadow.ReasonMaskFailed])
			}
		})
	}
}

// In the record such a body is left out, and the rest of the result is reported.
func TestARecordDoesWithoutBodiesThatNoRuleLooksInto(t *testing.T) {
	res := exchange(t, saidText("secret 1\n"), shadow.InProcess("v2", saidText("secret 2\n")), get(), shadow.WithMasker(shadow.MaskJSON("$.pin")))
	assert.Equal(t, shadow.Mismatch, res.Outcome)
	assert.Equal(t, []string{`/body changed "[masked]" "[masked]"`}, written(res.Diffs))
	assert.Empty(t, res.Primary.Body)
	assert.True(t, res.Primary.Truncated)
	assert.EqualValues(t, 9, res.Primary.Size)
	noSecrets(t, res)
	res = exchange(t, saidText("1\n"), shadow.InProcess("v2", saidText("2\n")), get(),
		shadow.WithMasker(shadow.MaskJSON("$.pin")), shadow.WithMasker(shadow.AllowBodies("text/plain")))
	assert.Equal(t, "1\n", string(res.Primary.Body))
}

// Signatures and digests that do not hold any more are not sent, and those that may hold
// are.
func TestWhatNoLongerHoldsIsNotSent(t *testing.T) {
	signed := []string{"Signature", "Signature-Input", "Content-Digest", "X-Hub-Signature-256", "Stripe-Signature"}
	for name, c := range map[string]struct {
		masker shadow.Masker
		kept   []string
	}{
		"nothing masked": {shadow.MaskAll(shadow.MaskJSON("$.none"), shadow.MaskQuery("none")), signed},
		"a body":         {shadow.MaskJSON("$.pin"), nil},
		"a header":       {shadow.MaskHeaders("X-A"), signed[2:]},
		"a query":        {shadow.MaskQuery("q"), signed[2:]},
		"credentials":    {shadow.DropCredentials(), signed[2:]},
	} {
		t.Run(name, func(t *testing.T) {
			candidate := &wire{}
			target := remoteTo(t, candidate)
			target.Masker = c.masker
			r := httptest.NewRequest("POST", "/?q=1", strings.NewReader(`{"pin":1}`))
			r.Header = http.Header{"Content-Type": {"application/json"}, "X-A": {"1"}, "Authorization": {"Bearer x"}}
			for _, name := range signed {
				r.Header.Set(name, "of what was signed")
			}
			r.Trailer = r.Header.Clone()
			exchanged(t, reading, target, r, posts)
			require.Len(t, candidate.got, 1)
			var kept, trailing []string
			for _, name := range signed {
				if candidate.got[0].Header.Get(name) != "" {
					kept = append(kept, name)
				}
				if candidate.got[0].Trailer.Get(name) != "" {
					trailing = append(trailing, name)
				}
			}
			assert.Equal(t, c.kept, kept)
			assert.Equal(t, c.kept, trailing)
		})
	}
}

// With a digest of a body in hand one could check guesses of what was masked in it.
func TestARecordShowsNoDigestOfWhatWasMasked(t *testing.T) {
	s := said{header: http.Header{"Content-Type": {"application/json"}, "Etag": {`"secret"`}, "Content-Md5": {"secret"}, "X-A": {"1"}}, body: `{"pin":1}`}
	res := exchange(t, s, shadow.InProcess("v2", s), get(), shadow.WithMasker(shadow.MaskJSON("$.pin")))
	noSecrets(t, res)
	assert.Equal(t, "1", res.Primary.Header.Get("X-A"))
	res = exchange(t, s, shadow.InProcess("v2", s), get(), shadow.WithMasker(shadow.MaskJSON("$.none")))
	assert.Equal(t, `"secret"`, res.Primary.Header.Get("Etag"))
}

// The route of a request that no router named is not made of what MaskPath hides.
func TestMaskPathNamesTheRoute(t *testing.T) {
	for name, opts := range map[string][]shadow.Option{
		"record": {shadow.WithMasker(shadow.MaskPath("/users/{name}"))},
		"target": nil,
	} {
		target := shadow.InProcess("v2", saidText("x"))
		if opts == nil {
			target.Masker = shadow.MaskAll(shadow.DropCredentials(), shadow.MaskPath("/users/{name}"))
		}
		res := exchange(t, saidText("x"), target, httptest.NewRequest("GET", "/users/secret", nil), opts...)
		assert.Equal(t, "GET /users/{name}", res.Route, name)
	}
	res := exchange(t, saidText("x"), shadow.InProcess("v2", saidText("x")), httptest.NewRequest("GET", "/orders/7", nil),
		shadow.WithMasker(shadow.MaskPath("/users/{name}")))
	assert.Equal(t, "GET /orders/{}", res.Route)
}

// A name may be a value: an object by e-mail address. The place of a difference in it
// does not say the name then.
func TestAMaskedNameIsNotInThePath(t *testing.T) {
	mail := regexp.MustCompile(`[\w.-]+@[\w.]+`)
	for contentType, c := range map[string]struct{ a, b, want string }{
		"application/json":     {`{"users":{"a-secret@b.org":{"n":1}}}`, `{"users":{"a-secret@b.org":{"n":2}}}`, `/body/users/[masked]/n changed "[masked]" "[masked]"`},
		"application/x-ndjson": {"{\"a-secret@b.org\":1}\n", "{\"a-secret@b.org\":2}\n", `/body/0/[masked] changed "[masked]" "[masked]"`},
	} {
		s := func(body string) said { return said{header: field("Content-Type", contentType), body: body} }
		for name, masker := range map[string]shadow.Masker{
			"built in": shadow.MaskPatterns(mail),
			"one's own": shadow.MaskerFunc(func(m *shadow.Message) error {
				m.Body = mail.ReplaceAll(m.Body, []byte("x"))
				return nil
			}),
		} {
			res := exchange(t, s(c.a), shadow.InProcess("v2", s(c.b)), get(), shadow.WithMasker(masker))
			noSecrets(t, res)
			require.Len(t, res.Diffs, 1)
			if name == "built in" {
				assert.Equal(t, []string{c.want}, written(res.Diffs))
			}
		}
	}
	res := exchange(t, saidJSON(`{"users":{"a-secret@b.org":{"n":1}}}`), shadow.InProcess("v2", saidJSON(`{"users":{"a-secret@b.org":{"n":2}}}`)), get(),
		shadow.WithMasker(shadow.MaskJSON("$.users")))
	noSecrets(t, res)
}

// Masks change what is shown of differences, not which there are.
func TestMasksDoNotChangeWhatDiffers(t *testing.T) {
	places := func(res *shadow.Result) (list []string) {
		for _, d := range res.Diffs {
			list = append(list, fmt.Sprint(d.Path, " ", d.Kind, " ", d.Class))
		}
		return list
	}
	for name, c := range map[string]struct{ contentType, a, b string }{
		"JSON":      {"application/json", `{"pin":"1234","a":[{"pin":1},{"v":2}],"v":"x"}`, `{"pin":"4321","a":[{"pin":2},{"v":2},{"pin":3}],"v":"y"}`},
		"records":   {"application/x-ndjson", "{\"pin\":1}\n{\"v\":1}\n", "{\"pin\":2}\n{\"v\":2}\n"},
		"events":    {"text/event-stream", "data: {\"pin\":1,\ndata: \"v\":1}\n\n", "data: {\"pin\":2,\ndata: \"v\":2}\n\n"},
		"form":      {"application/x-www-form-urlencoded", "pin=1&v=1", "pin=2&v=2"},
		"multipart": {"multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=pin\r\n\r\n1\r\n--b--", "--b\r\nContent-Disposition: form-data; name=pin\r\n\r\n2\r\n--b--"},
		"XML":       {"text/xml", `<a><pin>1</pin><v pin="1">1</v></a>`, `<a><pin>2</pin><v pin="2">2</v></a>`},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := said{header: field("Content-Type", c.contentType), body: c.a}, said{header: field("Content-Type", c.contentType), body: c.b}
			plain := exchange(t, a, shadow.InProcess("v2", b), get())
			require.NotEmpty(t, plain.Diffs)
			rules := []shadow.Masker{shadow.MaskJSON("$..pin"), shadow.MaskForm("pin"), shadow.MaskXML("pin")}
			for name, r := range map[string]shadow.Replacement{"Redact": shadow.Redact(), "Drop": shadow.Drop(), "Hash": shadow.Hash(), "Tokenize": shadow.Tokenize(key)} {
				res := exchange(t, a, shadow.InProcess("v2", b), get(), shadow.WithMasker(shadow.MaskWith(r, rules...)))
				assert.Equal(t, places(plain), places(res), name)
				for _, d := range res.Diffs {
					if !strings.Contains(d.Path, "pin") {
						continue
					}
					assert.NotContains(t, []string{`"1234"`, `"4321"`}, string(d.Primary))
				}
			}
		})
	}
}

// A hook that rewrites the request sees the copy alone, and after other masks what they
// left.
func TestAHookRewritesTheCopy(t *testing.T) {
	candidate := &wire{}
	target := remoteTo(t, candidate)
	target.Masker = shadow.MaskAll(shadow.DropCredentials(), shadow.MaskerFunc(func(m *shadow.Message) error {
		if m.Header.Get("Authorization") != "" {
			return errors.New("it should be gone")
		}
		m.URL.Path, m.Method = "/v2"+m.URL.Path, "PUT"
		m.Body = bytes.ToUpper(m.Body)
		return nil
	}), shadow.SetHeader("Authorization", "Bearer of the shadow"))
	r := post("text/plain", "", "body")
	r.Header.Set("Authorization", "Bearer secret")
	res := exchange(t, reading, target, r, posts)
	require.Len(t, candidate.got, 1)
	assert.Equal(t, "PUT /v2/ BODY Bearer of the shadow", fmt.Sprintf("%s %s %s %s",
		candidate.got[0].Method, candidate.got[0].URL.Path, candidate.body[0], candidate.got[0].Header.Get("Authorization")))
	assert.Equal(t, "POST /", res.Request.Method+" "+res.Request.URL.Path)
	io.Copy(io.Discard, r.Body)
	assert.Equal(t, "Bearer secret", r.Header.Get("Authorization"))
}

// Why a mask failed is told once for each rule, and an error of one's own is not quoted.
func TestAMaskThatFailsSaysWhyOnce(t *testing.T) {
	for name, c := range map[string]struct {
		masker shadow.Masker
		want   string
	}{
		"broken":     {shadow.MaskJSON("$.pin"), "MaskJSON: invalid JSON at offset 7"},
		"not looked": {shadow.MaskForm("pin"), `AllowBodies: no rule looks into a body of type "application/json"`},
		"one's own":  {shadow.MaskerFunc(func(*shadow.Message) error { return errors.New("secret") }), "a Masker of the program's own failed"},
		"not valid":  {shadow.MaskerFunc(func(m *shadow.Message) error { m.Header.Set("X-A", "a\nsecret"); return nil }), "Masker: what it left of the request cannot be sent"},
		"a panic":    {shadow.MaskerFunc(func(*shadow.Message) error { panic("secret") }), "a Masker of the program's own failed"},
	} {
		t.Run(name, func(t *testing.T) {
			log, told := &logged{}, &happenings{}
			target := shadow.InProcess("v2", saidText("x"))
			target.Masker = c.masker
			m, err := shadow.New(isolated(target), posts, shadow.WithReporter(told), shadow.WithLogger(slog.New(slog.NewTextHandler(log, nil))))
			require.NoError(t, err)
			for range 3 {
				m.Handler(reading).ServeHTTP(httptest.NewRecorder(), post("application/json", "", `{"pin":`))
			}
			require.NoError(t, m.Shutdown(t.Context()))
			assert.EqualValues(t, 3, m.Stats().Dropped[shadow.ReasonMaskFailed])
			require.Len(t, told.Events(), 1)
			assert.Equal(t, shadow.EventMaskFailed, told.Events()[0].Kind)
			assert.Contains(t, told.Events()[0].Text, "a copy was not sent: "+c.want)
			assert.NotRegexp(t, aSecret, log.String()+told.Events()[0].Text)
		})
	}
	told := &happenings{}
	exchanged(t, saidJSON("{"), shadow.InProcess("v2", saidJSON("{}")), get(), shadow.WithReporter(told), shadow.WithMasker(shadow.MaskJSON("$.pin")))
	require.Len(t, told.Events(), 1)
	assert.Contains(t, told.Events()[0].Text, "a result was reported without its content: MaskJSON: invalid JSON at offset 1")
}

// A pattern without its leading slash is one of a host to http.ServeMux, and matches nothing.
func TestMaskPathTakesPathsOnly(t *testing.T) {
	for _, pattern := range []string{"users/{email}", "GET users/{email}", "shop.example/users/{email}", "POST  shop.example/{x}"} {
		_, err := shadow.New(shadow.InProcess("v2", saidText("")), shadow.WithMasker(shadow.MaskPath(pattern)))
		assert.ErrorContains(t, err, "leading slash", pattern)
	}
	for _, pattern := range []string{"/users/{email}", "GET /users/{email}", "GET  \t/users/{email}"} {
		_, err := shadow.New(shadow.InProcess("v2", saidText("")), shadow.WithMasker(shadow.MaskPath(pattern)))
		assert.NoError(t, err, pattern)
	}
}

// The parameters of path segments are parameters of the URL, wherever that stands.
func TestMaskQueryHidesParametersOfPaths(t *testing.T) {
	const hidden = ";jsessionid=%5Bmasked%5D"
	header := func(session string) http.Header {
		return http.Header{
			"Referer": {"https://h/a" + session + "/b" + session + "?x=1"}, "Location": {"/a" + session}, "Content-Location": {"/a/b" + session + "#f"},
			"Link": {"<https://h/1" + session + ">; rel=next, </2" + session + "?a=1>; rel=last"}, "Refresh": {"0; url=/p" + session},
			"X-Original-Url": {"/p" + session + "?a=1"}, "Accept": {"*/*;jsessionid=1"},
		}
	}
	m := masked(t, shadow.MaskQuery("jsessionid"), "https://h/a;JSESSIONID=secret;v=1/b;jsessionid=s%65cret?x=1", header(";jsessionid=secret"), "")
	assert.Equal(t, "https://h/a;JSESSIONID=%5Bmasked%5D;v=1/b"+hidden+"?x=1", m.URL.String())
	assert.Equal(t, header(hidden), m.Header)
	m = masked(t, shadow.MaskWith(shadow.Drop(), shadow.MaskQuery("jsessionid")), "/a;jsessionid=secret;v=1/b;jsessionid=secret?x=1", header(";jsessionid=secret"), "")
	assert.Equal(t, "/a;v=1/b?x=1", m.URL.String())
	assert.Equal(t, header(""), m.Header)
}

// Credentials in queries are credentials: those of signed URLs, of OAuth, of sessions.
func TestCredentialsInQueriesAreDropped(t *testing.T) {
	for _, name := range []string{
		"access_token", "id_token", "refresh_token", "client_secret", "X-Amz-Signature", "x-amz-security-token", "X-Goog-Signature", "sig", "Signature",
		"api_key", "private_token", "subscription-key", "oauth_token", "SAMLResponse", "password", "jsessionid", "PHPSESSID", "x-oss-signature",
	} {
		for shape, target := range map[string]string{"query": "/p?a=1&" + name + "=s3cr3t&b=2", "alone": "/p?" + name + "=s3cr3t", "segment": "/p;" + name + "=s3cr3t"} {
			header := http.Header{
				"Referer": {"https://h" + target}, "Location": {target + "#f"}, "Link": {"<" + target + ">; rel=next"}, "X-Original-Url": {target},
			}
			m := masked(t, shadow.DropCredentials(), target, header, "")
			assert.NotContains(t, fmt.Sprint(m.URL, m.Header), "s3cr3t", "%s, %s", name, shape)
			assert.NotContains(t, fmt.Sprint(m.URL, m.Header), name, "%s, %s", name, shape)
			res := exchange(t, saidText("x"), shadow.InProcess("v2", saidText("x")), httptest.NewRequest("GET", target, nil))
			assert.NotContains(t, res.Request.URL.String(), "s3cr3t", "%s, %s", name, shape)
			assert.Contains(t, res.Request.URL.String(), "masked", "%s, %s", name, shape)
		}
	}
	m := masked(t, shadow.DropCredentials(), "/p?token_count=1&page_token=2&key=3&code=4&signed=5", nil, "")
	assert.Equal(t, "token_count=1&page_token=2&key=3&code=4&signed=5", m.URL.RawQuery)
}
