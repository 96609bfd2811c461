package shadow_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

// credentialFields are what DropCredentials removes and what no record shows.
var credentialFields = []string{
	"Access-Token", "Api-Key", "Api-Token", "Apikey", "Authentication-Info", "Authorization",
	"Cf-Access-Client-Secret", "Cf-Access-Jwt-Assertion", "Cf-Access-Token", "Client-Cert", "Client-Cert-Chain",
	"Cookie", "Cookie2", "Csrf-Token", "Dd-Api-Key", "Dd-Application-Key", "Deploy-Token", "Dpop", "Id-Token",
	"Job-Token", "Ocp-Apim-Subscription-Key", "Private-Token", "Proxy-Authentication-Info", "Proxy-Authorization",
	"Refresh-Token", "Set-Cookie", "Set-Cookie2", "Ssl-Client-Cert", "Teleport-Jwt-Assertion", "X-Access-Token",
	"X-Algolia-Api-Key", "X-Amz-Security-Token", "X-Amzn-Mtls-Clientcert", "X-Amzn-Oidc-Accesstoken",
	"X-Amzn-Oidc-Data", "X-Api-Key", "X-Api-Secret", "X-Api-Token", "X-Apikey", "X-Arr-Clientcert", "X-Auth-Key",
	"X-Auth-Request-Access-Token", "X-Auth-Token", "X-Authorization", "X-Aws-Ec2-Metadata-Token", "X-Client-Cert",
	"X-Client-Secret", "X-Consul-Token", "X-Csrf-Token", "X-Csrftoken", "X-Forwarded-Access-Token",
	"X-Forwarded-Authorization", "X-Forwarded-Client-Cert", "X-Functions-Key", "X-Github-Token", "X-Gitlab-Token",
	"X-Goog-Api-Key", "X-Goog-Iap-Jwt-Assertion", "X-Hasura-Admin-Secret", "X-Honeycomb-Team", "X-Id-Token",
	"X-Jwt-Assertion", "X-Ms-Client-Principal", "X-Ms-Token-Aad-Access-Token", "X-Ms-Token-Aad-Id-Token",
	"X-Ms-Token-Aad-Refresh-Token", "X-Nomad-Token", "X-Original-Authorization", "X-Parse-Master-Key",
	"X-Parse-Session-Token", "X-Pomerium-Jwt-Assertion", "X-Postmark-Server-Token", "X-Rapidapi-Key",
	"X-Refresh-Token", "X-Sentry-Auth", "X-Serverless-Authorization", "X-Session-Token", "X-Shopify-Access-Token",
	"X-Ssl-Client-Cert", "X-Telegram-Bot-Api-Secret-Token", "X-Token", "X-User-Token", "X-Vault-Token",
	"X-Xsrf-Token",
}

// requestAndAnswer tests with a request and with an answer, which have the same header,
// trailer and body.
func requestAndAnswer(t *testing.T, m shadow.Message, test func(t *testing.T, m *shadow.Message)) {
	t.Run("request", func(t *testing.T) {
		c := m.Clone()
		c.Method, c.URL = "POST", &url.URL{Scheme: "http", Host: "h", Path: "/"}
		test(t, c)
	})
	t.Run("answer", func(t *testing.T) {
		c := m.Clone()
		c.StatusCode = 200
		test(t, c)
	})
}

func TestMaskHeaders(t *testing.T) {
	in := shadow.Message{
		Header:  http.Header{"X-Pin": {"1", "2"}, "x-pin": {"3"}, "X-PIN": nil, "X-Other": {"4"}},
		Trailer: http.Header{"X-Pin": {"5"}, "X-Late": {"6"}, "X-Other": {"7"}},
		Body:    []byte("X-Pin: 8"),
	}
	requestAndAnswer(t, in, func(t *testing.T, m *shadow.Message) {
		values := m.Header["X-Pin"]
		require.NoError(t, shadow.MaskHeaders("X-pIN", "x-late", "X-Absent").Mask(m))
		assert.Equal(t, http.Header{"X-Pin": {"[masked]", "[masked]"}, "x-pin": {"[masked]"}, "X-PIN": {}, "X-Other": {"4"}}, m.Header)
		assert.Equal(t, http.Header{"X-Pin": {"[masked]"}, "X-Late": {"[masked]"}, "X-Other": {"7"}}, m.Trailer)
		assert.Equal(t, in.Body, m.Body)
		assert.Equal(t, []string{"1", "2"}, values, "values may be shared with another message")
	})
	assert.NoError(t, shadow.MaskHeaders("X-Pin").Mask(&shadow.Message{}))
}

func TestDropCredentials(t *testing.T) {
	header := http.Header{"Accept": {"*/*"}, "X-Token-Count": {"3"}}
	for _, name := range credentialFields {
		header[name] = []string{"secret", "secret"}
		header[strings.ToLower(name)] = []string{"secret"}
	}
	requestAndAnswer(t, shadow.Message{Header: header, Trailer: header}, func(t *testing.T, m *shadow.Message) {
		require.NoError(t, shadow.DropCredentials().Mask(m))
		want := http.Header{"Accept": {"*/*"}, "X-Token-Count": {"3"}}
		assert.Equal(t, want, m.Header)
		assert.Equal(t, want, m.Trailer)
	})

	with := &url.URL{Scheme: "https", Host: "h", User: url.UserPassword("alice", "secret"), Path: "/p", RawQuery: "q=1"}
	m := &shadow.Message{URL: with}
	require.NoError(t, shadow.DropCredentials().Mask(m))
	assert.Equal(t, "https://h/p?q=1", m.URL.String())
	assert.Equal(t, "https://alice:secret@h/p?q=1", with.String(), "the URL may be shared with another message")
}

func TestSetHeader(t *testing.T) {
	for name, before := range map[string]http.Header{
		"none":             nil,
		"another":          {"Authorization": {"a", "b"}},
		"another spelling": {"authorization": {"a"}, "AUTHORIZATION": {"b"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := &shadow.Message{Method: "GET", Header: before}
			require.NoError(t, shadow.SetHeader("authorization", "Bearer x").Mask(m))
			assert.Equal(t, field("Authorization", "Bearer x"), m.Header)
		})
	}
	answer := &shadow.Message{StatusCode: 200, Header: field("Authorization", "a")}
	require.NoError(t, shadow.SetHeader("Authorization", "Bearer x").Mask(answer))
	assert.Equal(t, field("Authorization", "a"), answer.Header)
}

func TestMaskQuery(t *testing.T) {
	const hidden = "%5Bmasked%5D"
	mask := shadow.MaskQuery("token", "Access Token", "é")
	for in, want := range map[string]string{
		"":                               "",
		"a=1&b=2":                        "a=1&b=2",
		"token=x":                        "token=" + hidden,
		"a=1&token=x&b=2":                "a=1&token=" + hidden + "&b=2",
		"token=x&token=y&a=1&token=z":    "token=" + hidden + "&token=" + hidden + "&a=1&token=" + hidden,
		"TOKEN=x&Token=y":                "TOKEN=" + hidden + "&Token=" + hidden,
		"%74oke%6E=x":                    "%74oke%6E=" + hidden,
		"access+token=x&Access%20Token=": "access+token=" + hidden + "&Access%20Token=" + hidden,
		"%C3%A9=x&%c3%89=y":              "%C3%A9=" + hidden + "&%c3%89=" + hidden,
		"token=x=y==":                    "token=" + hidden,
		"token=%zz&a=%zz&%zz=1":          "token=" + hidden + "&a=%zz&%zz=1",
		"a=1;token=x;b=2":                "a=1;token=" + hidden + ";b=2",
		"a=1;token=x&b=2":                "a=1;token=" + hidden + "&b=2",
		"&&a=%7E&=1&b=+%2B&":             "&&a=%7E&=1&b=+%2B&",
		"tokens=1&my_token=2&x=token":    "tokens=1&my_token=2&x=token",
		"x[token]=1&a=token=2":           "x[token]=1&a=token=2",
		"token[]=x&token%5Bhome%5D=y":    "token[]=" + hidden + "&token%5Bhome%5D=" + hidden,
	} {
		t.Run(in, func(t *testing.T) {
			u := &url.URL{Scheme: "https", Host: "h", Path: "/token=x", RawQuery: in, Fragment: "f"}
			m := &shadow.Message{URL: u}
			require.NoError(t, mask.Mask(m))
			assert.Equal(t, want, m.URL.RawQuery)
			assert.Equal(t, "/token=x", m.URL.Path)
			assert.Equal(t, in, u.RawQuery, "the URL may be shared with another message")
			if in == "" {
				return
			}
			requestAndAnswer(t, shadow.Message{Header: http.Header{
				"Referer": {"https://h/p?" + in}, "Location": {"?" + in + "#f?x", "/p?" + in}, "Content-Location": {"/token=x?" + in + "#"}, "X-Url": {"?" + in},
			}}, func(t *testing.T, m *shadow.Message) {
				require.NoError(t, mask.Mask(m))
				assert.Equal(t, http.Header{
					"Referer": {"https://h/p?" + want}, "Location": {"?" + want + "#f?x", "/p?" + want}, "Content-Location": {"/token=x?" + want + "#"}, "X-Url": {"?" + want},
				}, m.Header)
			})
		})
	}
}

// To who does not take ';' for a separator it is part of the value.
func TestMaskQueryHidesTheWholeValue(t *testing.T) {
	for _, in := range []string{"token=a;secret", "token=a;secret=1", "token=a;b;secret&c=1", "c=1&token=;secret;"} {
		m := &shadow.Message{URL: &url.URL{RawQuery: in}, Header: field("Referer", "/?"+in)}
		require.NoError(t, shadow.MaskQuery("token").Mask(m))
		assert.NotContains(t, m.URL.RawQuery, "secret", in)
		assert.NotContains(t, m.Header.Get("Referer"), "secret", in)
	}
}

func TestMaskQueryFindsURLsInAnySpellingOfTheField(t *testing.T) {
	m := &shadow.Message{Header: http.Header{"referer": {"/?token=secret"}, "LOCATION": {"/?token=secret"}}}
	require.NoError(t, shadow.MaskQuery("token").Mask(m))
	assert.Equal(t, http.Header{"referer": {"/?token=%5Bmasked%5D"}, "LOCATION": {"/?token=%5Bmasked%5D"}}, m.Header)
}

func TestMaskJSON(t *testing.T) {
	const jsonType, lines, seq = "application/json", "application/x-ndjson", "application/json-seq"
	for _, c := range []struct {
		name  string
		paths []string
		ctype string
		in    string
		want  string // "" is an error
	}{
		{"a member", []string{"$.pin"}, jsonType, `{"pin":1,"v":2}`, `{"pin":"[masked]","v":2}`},
		{"a gjson path", []string{"a.#.pin"}, jsonType, `{"a":[{"pin":1},{"pin":2}],"pin":3}`, `{"a":[{"pin":"[masked]"},{"pin":"[masked]"}],"pin":3}`},
		{"a member at any depth", []string{"$..pin"}, jsonType, `{"pin":{"pin":1},"a":[{"pin":[2]}]}`, `{"pin":"[masked]","a":[{"pin":"[masked]"}]}`},
		{"elements", []string{"$.l[0]", "$.l[-1]"}, jsonType, `{"l":[1,2,3]}`, `{"l":["[masked]",2,"[masked]"]}`},
		{"a filter", []string{"$[?@.type=='card'].number"}, jsonType, `[{"type":"card","number":1},{"type":"x","number":2}]`,
			`[{"type":"card","number":"[masked]"},{"type":"x","number":2}]`},
		{"several paths", []string{"$.a", "$.b"}, jsonType, `{"a":1,"b":2,"c":3}`, `{"a":"[masked]","b":"[masked]","c":3}`},
		{"every one of several members", []string{"$.pin"}, jsonType, `{"pin":1,"v":2,"pin":3}`, `{"pin":"[masked]","v":2,"pin":"[masked]"}`},
		{"an escaped name", []string{"$.pin"}, jsonType, `{"\u0070in":1,"p\u0069n":2}`, `{"\u0070in":"[masked]","p\u0069n":"[masked]"}`},
		{"a name in any case", []string{"$.pinCode"}, jsonType, `{"PINCODE":1,"pincode":2,"pin_code":3}`, `{"PINCODE":"[masked]","pincode":"[masked]","pin_code":3}`},
		{"all", []string{"$"}, jsonType, ` {"pin":1} `, ` "[masked]" `},
		{"every byte around stays", []string{"$.pin"}, jsonType, "\t{ \"v\" : 1.0e0,\r\n\"pin\" : \"\\\"}\" }\n", "\t{ \"v\" : 1.0e0,\r\n\"pin\" : \"[masked]\" }\n"},
		{"nothing to mask", []string{"$.pin"}, jsonType, `{"v":"\/"}`, `{"v":"\/"}`},
		{"any value", []string{"$.*"}, jsonType, `{"a":null,"b":true,"c":"","d":{},"e":[]}`,
			`{"a":"[masked]","b":"[masked]","c":"[masked]","d":"[masked]","e":"[masked]"}`},
		{"problem+json", []string{"$.pin"}, "application/problem+json; charset=utf-8", `{"pin":1}`, `{"pin":"[masked]"}`},

		{"records", []string{"$.pin"}, lines, "{\"pin\":1}\r\n\n {\"pin\":2}\n3", "{\"pin\":\"[masked]\"}\r\n\n {\"pin\":\"[masked]\"}\n3"},
		{"json-seq", []string{"$.pin"}, seq, "\x1e{\"pin\":\n1}\n\x1e{\"pin\":2}\n", "\x1e{\"pin\":\n\"[masked]\"}\n\x1e{\"pin\":\"[masked]\"}\n"},

		{"broken", []string{"$.pin"}, jsonType, `{"pin":1`, ""},
		{"broken behind", []string{"$.pin"}, jsonType, `{"pin":1}}`, ""},
		{"no JSON at all", []string{"$.pin"}, jsonType, `pin=1`, ""},
		{"a byte order mark", []string{"$.pin"}, jsonType, "\ufeff{\"pin\":1}", ""},
		{"too deep", []string{"$.pin"}, jsonType, strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000), ""},
		{"a broken record", []string{"$.pin"}, lines, "{\"pin\":1}\n{\"pin\":\n", ""},
		{"records called JSON", []string{"$.pin"}, jsonType, "{\"pin\":1}\n{\"pin\":2}\n", ""},

		{"JSON called text", []string{"$.pin"}, "text/plain", `{"pin":1}`, `{"pin":"[masked]"}`},
		{"JSON called nothing", []string{"$.pin"}, "", ` [{"pin":1}]`, ` [{"pin":1}]`},
		{"JSON called nothing", []string{"$..pin"}, "", ` [{"pin":1}]`, ` [{"pin":"[masked]"}]`},
		{"JSON called records", []string{"$.pin"}, lines, `{"pin":1}`, `{"pin":"[masked]"}`},
		{"broken JSON called text", []string{"$.pin"}, "text/plain", `{"pin":1`, ""},
		{"records called text", []string{"$.pin"}, "text/plain", "{\"pin\":1}\n{\"pin\":2}\n", ""},
		{"json-seq called text", []string{"$.pin"}, "text/plain", "\x1e{\"pin\":1}\n\x1e{\"pin\":2}\n", ""},
		{"JSON with a byte order mark called text", []string{"$.pin"}, "text/plain", "\ufeff{\"pin\":1}", ""},
		{"text", []string{"$.pin"}, "text/plain", `pin=1`, `pin=1`},
		{"a form", []string{"$.pin"}, "application/x-www-form-urlencoded", `pin=1&a={"pin":2}`, `pin=1&a={"pin":2}`},
		{"a picture", []string{"$.pin"}, "image/png", "\x89PNG\r\n\x1a\n{", "\x89PNG\r\n\x1a\n{"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := shadow.Message{Body: []byte(c.in), Header: http.Header{"Content-Type": {c.ctype}, "X-A": {"1"}}}
			requestAndAnswer(t, in, func(t *testing.T, m *shadow.Message) {
				mask, body := shadow.MaskJSON(c.paths...), m.Body
				if c.want == "" {
					assert.Error(t, mask.Mask(m))
					return
				}
				require.NoError(t, mask.Mask(m))
				assert.Equal(t, c.want, string(m.Body))
				assert.Equal(t, c.in, string(body), "the bytes may be shared with another message")
				assert.Equal(t, in.Header, m.Header)
			})
		})
	}
}

// What a mask cannot read as a whole it does not let pass.
func TestMaskJSONFailsClosedOnPrefixes(t *testing.T) {
	for _, c := range []struct {
		ctype, body string
		fails       bool
	}{
		{"application/json", `{"pin":1}`, true},
		{"application/json", "", true},
		{"application/x-ndjson", "{\"pin\":1}\n", true},
		{"", "", true},
		{"text/plain", ` {"pin":1`, true},
		{"text/plain", `[`, true},
		{"text/plain", "", true},
		{"text/plain", `pin`, false},
		{"video/mp4", "\x00\x00\x00", false},
	} {
		in := shadow.Message{Body: []byte(c.body), Header: field("Content-Type", c.ctype), Truncated: true, Size: 1 << 20}
		requestAndAnswer(t, in, func(t *testing.T, m *shadow.Message) {
			err := shadow.MaskJSON("$.pin").Mask(m)
			assert.Equal(t, c.fails, err != nil, "%+v: %v", c, err)
			assert.Equal(t, c.body, string(m.Body))
		})
	}
	assert.NoError(t, shadow.MaskJSON("$.pin").Mask(&shadow.Message{Header: field("Content-Type", "application/json")}), "no body")
}

func TestMaskAllStopsAtTheFirstError(t *testing.T) {
	var ran []int
	step := func(n int, err error) shadow.Masker {
		return shadow.MaskerFunc(func(*shadow.Message) error { ran = append(ran, n); return err })
	}
	failed := errors.New("failed")
	m := &shadow.Message{}
	require.NoError(t, shadow.MaskAll(step(1, nil), shadow.MaskAll(step(2, nil)), step(3, nil)).Mask(m))
	assert.Equal(t, []int{1, 2, 3}, ran)
	require.ErrorIs(t, shadow.MaskAll(step(4, nil), step(5, failed), step(6, nil)).Mask(m), failed)
	assert.Equal(t, []int{1, 2, 3, 4, 5}, ran)
	require.NoError(t, shadow.MaskAll().Mask(m))
}

// A masker that was made of bad arguments lets nothing pass, even where New did not see
// it.
func TestFaultyMaskersFail(t *testing.T) {
	for _, m := range []shadow.Masker{
		shadow.MaskHeaders("bad name"), shadow.MaskHeaders(""), shadow.SetHeader("bad name", "x"), shadow.SetHeader("X-A", "a\nb"),
		shadow.MaskQuery(""), shadow.MaskJSON("$["), shadow.MaskJSON("$.a", ""),
	} {
		assert.Error(t, m.Mask(&shadow.Message{Method: "GET", Body: []byte(`{}`), URL: &url.URL{}}))
	}
}

// wire is a remote candidate that keeps what it received.
type wire struct {
	mu   sync.Mutex
	got  []*http.Request
	body []string
}

func (w *wire) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.got, w.body = append(w.got, r), append(w.body, string(body))
	rw.Header().Set("Content-Type", "application/json")
	io.WriteString(rw, `{}`)
}

// reading is a primary that reads its request and answers {}.
var reading = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/json")
	io.WriteString(w, `{}`)
})

var posts = shadow.WithMethods("POST")

func post(ctype, coding, body string) *http.Request {
	r := httptest.NewRequest("POST", "/", strings.NewReader(body))
	r.Header.Set("Content-Type", ctype)
	if coding != "" {
		r.Header.Set("Content-Encoding", coding)
	}
	return r
}

func TestCodedBodiesAreMaskedDecoded(t *testing.T) {
	const plain, hidden = `{"pin":"1234","v":[1,2,3]}`, `{"pin":"[masked]","v":[1,2,3]}`
	for field, codings := range map[string][]string{
		"":              nil,
		"identity":      nil,
		"gzip":          {"gzip"},
		"X-GZIP":        {"gzip"},
		"deflate":       {"deflate"},
		"Deflate":       {"bare deflate"},
		"br":            {"br"},
		"zstd":          {"zstd"},
		"gzip, br":      {"gzip", "br"},
		" zstd , gzip ": {"zstd", "gzip"},
	} {
		t.Run(field, func(t *testing.T) {
			sent := encode(t, plain, codings...)
			for _, c := range []struct {
				name       string
				masker     shadow.Masker
				body, kept string
			}{
				{"masked", shadow.MaskAll(shadow.DropCredentials(), shadow.MaskJSON("$.pin")), hidden, ""},
				{"not masked", shadow.DropCredentials(), sent, strings.TrimSpace(field)},
				{"nothing to mask", shadow.MaskJSON("$.none"), plain, strings.TrimSpace(field)}, // written anew
				{"no mask", nil, sent, strings.TrimSpace(field)},
			} {
				t.Run(c.name, func(t *testing.T) {
					candidate := &wire{}
					target := remoteTo(t, candidate)
					target.Masker = c.masker
					r := post("application/json", strings.TrimSpace(field), sent)
					for _, name := range []string{"Content-Md5", "Digest", "Content-Digest", "Repr-Digest", "Signature", "Signature-Input"} {
						r.Header.Set(name, "of what was sent")
					}
					res := exchange(t, reading, target, r, posts)
					require.Len(t, candidate.got, 1)
					got := candidate.got[0]
					assert.Equal(t, c.body, candidate.body[0])
					assert.Equal(t, int64(len(c.body)), got.ContentLength)
					assert.Empty(t, got.TransferEncoding)
					assert.Equal(t, "application/json", got.Header.Get("Content-Type"))
					for _, name := range []string{"Content-Md5", "Digest", "Content-Digest", "Repr-Digest", "Signature", "Signature-Input"} {
						assert.Equal(t, c.body == sent, got.Header.Get(name) != "", name)
					}
					if c.body == sent {
						assert.Equal(t, c.kept, got.Header.Get("Content-Encoding"))
					} else {
						assert.Empty(t, got.Header["Content-Encoding"])
					}
					// The record is another matter.
					assert.Equal(t, plain, string(res.Request.Body))
					assert.Equal(t, int64(len(sent)), res.Request.Size)
				})
			}
		})
	}
}

func TestABodyThatCannotBeReadIsNotSentMasked(t *testing.T) {
	bomb := encode(t, strings.Repeat(" ", 1<<20)+`{"pin":"secret"}`, "gzip")
	for _, c := range []struct{ name, coding, body string }{
		{"broken", "gzip", "\x1f\x8b secret"},
		{"cut short", "gzip", encode(t, `{"pin":"secret"}`, "gzip")[:20]},
		{"an unknown coding", "secret-coding", "secret"},
		{"too many codings", "gzip, gzip, gzip, gzip", encode(t, `{"pin":"secret"}`, "gzip", "gzip", "gzip", "gzip")},
		{"over the limit when decoded", "gzip", bomb},
		{"not JSON", "", "secret"},
	} {
		t.Run(c.name, func(t *testing.T) {
			limit := shadow.WithMaxBody(64 << 10)
			for name, masker := range map[string]shadow.Masker{
				"MaskJSON": shadow.MaskJSON("$.pin"),
				"a panic":  shadow.MaskerFunc(func(*shadow.Message) error { panic("secret") }),
				"an error": shadow.MaskerFunc(func(*shadow.Message) error { return errors.New("secret") }),
			} {
				t.Run("not sent, "+name, func(t *testing.T) {
					candidate := &wire{}
					target := remoteTo(t, candidate)
					target.Masker = masker
					results, m := exchanged(t, reading, target, post("application/json", c.coding, c.body), posts, limit)
					assert.Empty(t, candidate.got)
					assert.Empty(t, results)
					assert.Equal(t, map[string]uint64{"mask-failed": 1}, ledger(t, m))
				})
				t.Run("reported without its content, "+name, func(t *testing.T) {
					candidate := &wire{}
					results, m := exchanged(t, reading, remoteTo(t, candidate), post("application/json", c.coding, c.body), posts, limit,
						shadow.WithRecordMasker(masker))
					require.Len(t, candidate.got, 1)
					assert.Equal(t, c.body, candidate.body[0])
					require.Len(t, results, 1)
					requireWithheld(t, results[0])
					assert.Equal(t, map[string]uint64{"match": 1}, ledger(t, m))
					assert.Equal(t, uint64(1), m.Stats().Unreported)
				})
			}
			// A masker takes a body away that nobody can read.
			t.Run("taken away", func(t *testing.T) {
				candidate := &wire{}
				target := remoteTo(t, candidate)
				target.Masker = shadow.MaskerFunc(func(m *shadow.Message) error { m.Body = nil; return nil })
				exchange(t, reading, target, post("application/json", c.coding, c.body), posts, limit)
				require.Len(t, candidate.got, 1)
				assert.Empty(t, candidate.body[0])
				assert.Empty(t, candidate.got[0].Header["Content-Encoding"])
			})
		})
	}
}

// Nothing is reported of an answer that cannot be masked, nor of what differs in it.
func TestNothingIsReportedOfAnAnswerThatCannotBeMasked(t *testing.T) {
	for name, s := range map[string]said{
		"broken":         saidJSON(`{"pin":"secret"`),
		"over the limit": saidJSON(`{"pin":"` + strings.Repeat("secret", 1000) + `"}`),
		"undecodable":    {header: http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {"gzip"}}, body: "secret"},
	} {
		t.Run(name, func(t *testing.T) {
			eachWay(t, s, func(t *testing.T, target shadow.Target) {
				results, m := exchanged(t, saidJSON(`{"pin":"other secret"}`), target, get(),
					shadow.WithMaxBody(1<<10), shadow.WithMasker(shadow.MaskJSON("$.pin")))
				require.Len(t, results, 1)
				requireWithheld(t, results[0])
				assert.Equal(t, uint64(1), m.Stats().Unreported)
			})
		})
	}
}

// A Masker may give any shape to a request that can still be sent, and what can not be
// sent is not.
func TestAMaskerMayRewriteTheRequest(t *testing.T) {
	for _, c := range []struct {
		name string
		mask func(m *shadow.Message)
		sent bool
	}{
		{"no header", func(m *shadow.Message) { m.Header = nil }, true},
		{"no trailer", func(m *shadow.Message) { m.Trailer = nil }, true},
		{"another body", func(m *shadow.Message) { m.Body = []byte("longer than it was") }, true},
		{"another method and path", func(m *shadow.Message) { m.Method, m.URL = "PUT", &url.URL{Path: "/b"} }, true},
		{"no method", func(m *shadow.Message) { m.Method = "" }, false},
		{"no URL", func(m *shadow.Message) { m.URL = nil }, false},
		{"a bad method", func(m *shadow.Message) { m.Method = "A B" }, false},
		{"a bad header", func(m *shadow.Message) { m.Header.Set("X-A", "a\r\nb: c") }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			candidate := &wire{}
			eachWay(t, candidate, func(t *testing.T, target shadow.Target) {
				candidate.got, candidate.body = nil, nil
				target.Masker = shadow.MaskerFunc(func(m *shadow.Message) error { c.mask(m); return nil })
				r := post("text/plain", "", "body")
				results, m := exchanged(t, reading, target, r, posts)
				assert.Equal(t, "text/plain", r.Header.Get("Content-Type"))
				if !c.sent {
					assert.Empty(t, candidate.got)
					assert.Equal(t, map[string]uint64{"mask-failed": 1}, ledger(t, m))
					return
				}
				require.Len(t, results, 1)
				assert.NoError(t, results[0].Err)
				assert.Equal(t, "body", string(results[0].Request.Body), "the record is of the real request")
				assert.Equal(t, "text/plain", results[0].Request.Header.Get("Content-Type"))
				require.Len(t, candidate.got, 1)
				want := &shadow.Message{Method: "POST", URL: &url.URL{Path: "/"}, Header: http.Header{}, Body: []byte("body")}
				c.mask(want)
				assert.Equal(t, want.Method, candidate.got[0].Method)
				assert.Equal(t, want.URL.Path, candidate.got[0].URL.Path)
				assert.Equal(t, string(want.Body), candidate.body[0])
				assert.NotEmpty(t, candidate.got[0].Header.Get("Shadow-Request"))
			})
		})
	}
}

// logged is everything that a logger was told.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// unnamed is text without the names of credentials, some of which tell what they name.
func unnamed(text string) string {
	for _, name := range credentialFields {
		text = strings.ReplaceAll(text, name, "")
	}
	return text
}

// Credentials leave the process only towards a target that was given them, and are
// reported never.
func TestCredentialsStayHere(t *testing.T) {
	// plant fills r with a secret in every place where credentials are.
	plant := func(r *http.Request) *http.Request {
		for _, name := range credentialFields {
			r.Header.Add(name, "secret")
			r.Header.Add(name, "Bearer secret")
		}
		r.URL.User = url.UserPassword("alice", "secret")
		r.Header.Set("X-Harmless", "yes")
		r.Trailer = http.Header{"X-Api-Key": {"secret"}, "X-Harmless": {"yes"}}
		return r
	}
	answers := func(status int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			for _, name := range credentialFields {
				w.Header()[name] = []string{"secret", "secret 2"}
			}
			w.Header().Set(http.TrailerPrefix+"Set-Cookie", "secret")
			w.WriteHeader(status)
			io.WriteString(w, "harmless")
		})
	}
	for _, how := range []string{"handler", "transport"} {
		for _, where := range []string{"remote", "in process"} {
			t.Run(how+" "+where, func(t *testing.T) {
				candidate := &wire{}
				said := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					candidate.ServeHTTP(httptest.NewRecorder(), r)
					answers(500).ServeHTTP(w, r)
				})
				target := shadow.InProcess("candidate", said)
				if where == "remote" {
					target = remoteTo(t, said)
				}
				log := &logged{}
				logger := slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug, AddSource: true}))
				var more string // what a reporter can marshal, beyond the log
				m, err := shadow.New(isolated(target), posts,
					shadow.WithLogger(logger),
					shadow.WithCompare(shadow.CompareOptions{Headers: credentialFields}),
					shadow.WithReporter(shadow.LogReporter(logger), shadow.ReporterFunc(func(_ context.Context, r *shadow.Result) error {
						more = everything(t, r)
						assert.Len(t, r.Diffs, 1)
						return nil
					})))
				require.NoError(t, err)

				body := func() io.Reader { return io.MultiReader(strings.NewReader("x")) } // of unknown length: trailers
				if how == "handler" {
					r := plant(httptest.NewRequest("POST", "/p", body()))
					m.Handler(answers(200)).ServeHTTP(httptest.NewRecorder(), r)
				} else {
					primary := httptest.NewServer(answers(200))
					defer primary.Close()
					r, err := http.NewRequest("POST", primary.URL+"/p", body())
					require.NoError(t, err)
					resp, err := m.Transport(primary.Client().Transport).RoundTrip(plant(r))
					require.NoError(t, err)
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				require.NoError(t, m.Shutdown(t.Context()))

				require.Len(t, candidate.got, 1, "%+v", m.Stats())
				got := candidate.got[0]
				assert.Equal(t, "yes", got.Header.Get("X-Harmless"))
				assert.Equal(t, "yes", got.Trailer.Get("X-Harmless"))
				for _, name := range credentialFields {
					if where == "remote" {
						assert.Empty(t, got.Header[name])
					} else if name != "Proxy-Authorization" { // hop-by-hop
						assert.Equal(t, []string{"secret", "Bearer secret"}, got.Header[name])
					}
				}
				if where == "remote" {
					assert.NotContains(t, got.RequestURI, "secret")
					assert.Empty(t, got.Trailer["X-Api-Key"])
				}
				assert.Contains(t, log.String(), "/status")
				assert.NotRegexp(t, aSecret, log.String())
				assert.Contains(t, more, "harmless")
				assert.Contains(t, more, "[masked]")
				assert.NotRegexp(t, aSecret, unnamed(more))
			})
		}
	}
}

// The errors of net/http quote what they cannot read. That is not masked.
func TestAMalformedAnswerIsNotQuoted(t *testing.T) {
	for name, answer := range map[string]string{
		"status line":    "secret answer\r\n\r\n",
		"status code":    "HTTP/1.1 secret OK\r\n\r\n",
		"header line":    "HTTP/1.1 200 OK\r\nSet-Cookie secret\r\n\r\n",
		"header value":   "HTTP/1.1 200 OK\r\nX-A: secret\x00\r\n\r\n",
		"length":         "HTTP/1.1 200 OK\r\nContent-Length: secret\r\n\r\n",
		"two lengths":    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\nX-A: secret\r\n\r\nx",
		"coding":         "HTTP/1.1 200 OK\r\nTransfer-Encoding: secret\r\n\r\nx",
		"chunk":          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nsecret\r\n",
		"trailer":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-A\r\n\r\n0\r\nX-A secret\r\n\r\n",
		"trailer's name": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Content-Length, secret\r\n\r\n0\r\n\r\n",
		"cut short":      "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsecret",
	} {
		t.Run(name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			var served sync.WaitGroup
			served.Go(func() {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					io.WriteString(conn, answer)
				}
			})
			defer served.Wait()
			defer listener.Close()
			res := exchange(t, saidText("x"), shadow.Remote("v2", "http://"+listener.Addr().String()), get())
			assert.Equal(t, shadow.Failed, res.Outcome)
			require.Error(t, res.Err)
			noSecrets(t, res)
		})
	}
}

// Target.Masker is about what a target is sent, WithRecordMasker about what is reported.
func TestTheTargetsMaskAndTheRecordsAreTwo(t *testing.T) {
	candidate := &wire{}
	target := remoteTo(t, candidate)
	target.Masker = shadow.MaskAll(target.Masker, shadow.MaskJSON("$.sent"), shadow.SetHeader("Authorization", "Bearer its own"))
	r := post("application/json", "", `{"sent":1,"reported":2}`)
	r.Header.Set("Authorization", "Bearer mine")
	res := exchange(t, reading, target, r, posts, shadow.WithRecordMasker(shadow.MaskJSON("$.reported")))
	require.Len(t, candidate.got, 1)
	assert.Equal(t, `{"sent":"[masked]","reported":2}`, candidate.body[0])
	assert.Equal(t, "Bearer its own", candidate.got[0].Header.Get("Authorization"))
	assert.Equal(t, `{"sent":1,"reported":"[masked]"}`, string(res.Request.Body))
	assert.Equal(t, "[masked]", res.Request.Header.Get("Authorization"))
	assert.Equal(t, "Bearer mine", r.Header.Get("Authorization"))
}

// WithMasker is about everything that leaves: what is sent to targets outside this process,
// and what is reported. A target in this process gets what the primary gets, unless its own
// Masker says otherwise.
func TestWithMaskerIsAboutAllThatLeaves(t *testing.T) {
	const body = `{"all":1,"target":2,"record":3}`
	rules := []shadow.Option{posts, shadow.WithMasker(shadow.MaskJSON("$.all")), shadow.WithRecordMasker(shadow.MaskJSON("$.record"))}
	for _, c := range []struct {
		name, sent string
		target     func(w *wire) shadow.Target
	}{
		{"remote", `{"all":"[masked]","target":2,"record":3}`, func(w *wire) shadow.Target { return remoteTo(t, w) }},
		{"remote with a rule of its own", `{"all":"[masked]","target":"[masked]","record":3}`, func(w *wire) shadow.Target {
			target := remoteTo(t, w)
			target.Masker = shadow.MaskJSON("$.target")
			return target
		}},
		{"a Transport", `{"all":"[masked]","target":2,"record":3}`, func(w *wire) shadow.Target {
			return shadow.Target{Name: "v2", Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				return shadow.HandlerTransport(w).RoundTrip(r)
			})}
		}},
		{"in process", body, func(w *wire) shadow.Target { return shadow.InProcess("v2", w) }},
		{"a HandlerTransport", body, func(w *wire) shadow.Target {
			return shadow.Target{Name: "v2", Transport: shadow.HandlerTransport(w)}
		}},
		{"in process with a rule of its own", `{"all":1,"target":"[masked]","record":3}`, func(w *wire) shadow.Target {
			target := shadow.InProcess("v2", w)
			target.Masker = shadow.MaskJSON("$.target")
			return target
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, which := range []string{"candidate", "control"} {
				candidate := &wire{}
				target, options := c.target(candidate), rules
				target.Isolated = true
				if which == "control" {
					target.Name = "v1"
					options = append(options[:len(options):len(options)], shadow.WithControl(target))
					target = shadow.InProcess("v2", saidText("x"))
				}
				res := exchange(t, reading, target, post("application/json", "", body), options...)
				require.Len(t, candidate.body, 1)
				assert.Equal(t, c.sent, candidate.body[0], which)
				assert.Equal(t, `{"all":"[masked]","target":2,"record":"[masked]"}`, string(res.Request.Body), which)
			}
		})
	}
}

// A rule that is given twice runs once: a token of a token is none of the value.
func TestAMaskerThatIsGivenTwiceRunsOnce(t *testing.T) {
	tokens := shadow.MaskWith(shadow.Tokenize(key), shadow.MaskJSON("$.mail"))
	candidate := &wire{}
	target := remoteTo(t, candidate)
	target.Masker = shadow.MaskAll(shadow.DropCredentials(), tokens)
	res := exchange(t, reading, target, post("application/json", "", `{"mail":"ada@example.org"}`), posts, shadow.WithMasker(tokens))
	require.Len(t, candidate.body, 1)
	assert.NotContains(t, candidate.body[0], "ada")
	assert.Equal(t, candidate.body[0], string(res.Request.Body))
}

// Where reports hold what a target is not sent, and nobody has said so, the log does.
func TestReportsThatHoldWhatATargetIsNotSentAreLogged(t *testing.T) {
	said := func(masker shadow.Masker, opts ...shadow.Option) string {
		log := &logged{}
		target := shadow.Remote("v2", "http://v2.example")
		target.Masker = masker
		_, err := shadow.New(target, append(opts, shadow.WithReporter(shadow.ReporterFunc(func(context.Context, *shadow.Result) error { return nil })),
			shadow.WithLogger(slog.New(slog.NewTextHandler(log, nil))))...)
		require.NoError(t, err)
		return log.String()
	}
	const hint = "is reported in full"
	card := shadow.MaskJSON("$..card")
	assert.Contains(t, said(shadow.MaskAll(shadow.DropCredentials(), card)), hint)
	assert.NotContains(t, said(shadow.DropCredentials()), hint)
	assert.NotContains(t, said(card, shadow.WithMasker(card)), hint)
	assert.NotContains(t, said(card, shadow.WithRecordMasker(shadow.MaskAll())), hint)
}
