package shadow_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/policy"
	"github.com/goshadow/shadow/shadowtest"
)

// planted has one value of each kind.
var planted = map[shadow.DetectorKind]string{
	shadow.DetectCard:       "4111111111111111",
	shadow.DetectEmail:      "ann@example.com",
	shadow.DetectPhone:      "+4917112345678",
	shadow.DetectIBAN:       "DE89370400440532013000",
	shadow.DetectNationalID: "219-09-9998",
	shadow.DetectJWT:        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl",
	shadow.DetectBearer:     "Bearer mF_9.B5f-4.1JqM",
	shadow.DetectAPIKey:     "AKIAIOSFODNN7EXAMPLE",
	shadow.DetectPrivateKey: "-----BEGIN PRIVATE KEY-----MC4CAQ==-----END PRIVATE KEY-----",
	shadow.DetectIP:         "203.0.113.77",
}

// heard is the part of a planted value that must not be seen.
func heard(value string) string { return strings.TrimPrefix(value, "Bearer ") }

// detectRequest is a request with value in every place where a detector looks.
func detectRequest(t testing.TB, value, contentType, body string) *shadow.Message {
	u, err := url.Parse("/a/" + url.PathEscape(value) + "/b?q=1&x=" + url.QueryEscape(value) + "&" + url.QueryEscape(value) + "#" + url.PathEscape(value))
	require.NoError(t, err)
	u.User = url.UserPassword(value, "x")
	return &shadow.Message{Method: "POST", URL: u, Header: http.Header{
		"Content-Type": {contentType}, "X-A": {"a", value, "see " + value + "."},
		"Referer": {"http://shop.test/?x=" + url.QueryEscape(value)}, "X-Plain": {"550e8400-e29b-41d4-a716-446655440000"},
	}, Trailer: http.Header{"X-T": {value}}, Body: []byte(body)}
}

// quoted is s as JSON.
func quoted(s string) string {
	text, _ := json.Marshal(s)
	return string(text)
}

func TestWhatIsDetectedIsMaskedWhereverItStands(t *testing.T) {
	for kind, value := range planted {
		t.Run(string(kind), func(t *testing.T) {
			for name, body := range map[string]struct{ contentType, text, want string }{
				"JSON":     {"application/json", `{"a":` + quoted("x "+value) + `,"n":1}`, `{"a":"x [masked]","n":1}`},
				"name":     {"application/json", `{` + quoted(value) + `:1}`, `{"[masked]":1}`},
				"records":  {"application/x-ndjson", "{\"a\":1}\n{\"a\":" + quoted(value) + "}\n", "{\"a\":1}\n{\"a\":\"[masked]\"}\n"},
				"untyped":  {"", `[` + quoted(value) + `]`, `["[masked]"]`},
				"text":     {"text/plain", "it is " + value + "\n", "it is [masked]\n"},
				"XML":      {"application/xml", "<a b='" + value + "'>" + value + "</a>", "<a b='[masked]'>[masked]</a>"},
				"form":     {"application/x-www-form-urlencoded", "a=1&b=" + url.QueryEscape(value), "a=1&b=%5Bmasked%5D"},
				"parts":    {"multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n" + value + "\r\n--b--\r\n", "--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n[masked]\r\n--b--\r\n"},
				"events":   {"text/event-stream", "data: {\"a\":" + quoted(value) + "}\n\n", "data: {\"a\":\"[masked]\"}\n\n"},
				"nothing":  {"application/json", "", ""},
				"ordinary": {"application/json", `{"id":7,"at":"2024-05-06T07:08:09Z","ts":1714979289123}`, `{"id":7,"at":"2024-05-06T07:08:09Z","ts":1714979289123}`},
			} {
				if kind == shadow.DetectBearer { // the word before it stays
					body.want = strings.ReplaceAll(body.want, "[masked]", "Bearer [masked]")
					body.want = strings.ReplaceAll(body.want, "Bearer [masked]-", "[masked]-")
					body.want = strings.ReplaceAll(body.want, "=%5Bmasked%5D", "=Bearer+%5Bmasked%5D")
				}
				for which, masker := range map[string]shadow.Masker{"all": shadow.MaskDetected(), "one": shadow.MaskDetected(kind)} {
					msg := detectRequest(t, value, body.contentType, body.text)
					require.NoError(t, masker.Mask(msg), name)
					assert.Equal(t, body.want, string(msg.Body), "%s, %s", name, which)
					shown := fmt.Sprint(msg.URL, msg.URL.Path, msg.URL.Fragment, msg.Header, msg.Trailer)
					assert.NotContains(t, shown, heard(value))
					assert.NotContains(t, shown, url.QueryEscape(heard(value)))
					assert.NotContains(t, shown, url.PathEscape(heard(value)))
					assert.Equal(t, "550e8400-e29b-41d4-a716-446655440000", msg.Header.Get("X-Plain"))
					assert.Contains(t, msg.URL.RawQuery, "q=1&")
					_, err := url.Parse(msg.URL.String())
					assert.NoError(t, err)
				}
				others := []shadow.DetectorKind{}
				for k := range planted {
					if k != kind && !(kind == shadow.DetectJWT && k == shadow.DetectBearer) {
						others = append(others, k)
					}
				}
				msg := detectRequest(t, value, body.contentType, body.text)
				require.NoError(t, shadow.MaskDetected(others...).Mask(msg))
				assert.Equal(t, body.text, string(msg.Body), "%s by others", name)
			}
		})
	}
}

func TestANumberThatIsDetectedBecomesAString(t *testing.T) {
	msg := &shadow.Message{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}},
		Body: []byte(`{"card":4111111111111111,"neg":-4111111111111111,"list":[4111111111111111.0,12]}`)}
	require.NoError(t, shadow.MaskDetected(shadow.DetectCard).Mask(msg))
	assert.Equal(t, `{"card":"[masked]","neg":"[masked]","list":["[masked]",12]}`, string(msg.Body))
}

// A token stands for the value, however that is written where it was found.
func TestWhatIsDetectedIsReplacedAsMaskWithSays(t *testing.T) {
	file := `{"version":1,"rules":[{"name":"a","replace":%q,"detect":["card","email"]}]}`
	body := `{"card":4111111111111111,"text":"4111111111111111","mail":"ann\u0040example.com"}`
	seen := map[string]string{}
	for replace, want := range map[string]string{
		"redact":   `^{"card":"\[masked]","text":"\[masked]","mail":"\[masked]"}$`,
		"drop":     `^{"card":"","text":"","mail":""}$`,
		"hash":     `^{"card":"([0-9a-f]{16})","text":"([0-9a-f]{16})","mail":"([0-9a-f]{16})"}$`,
		"tokenize": `^{"card":([1-9][0-9]{15}),"text":"([1-9][0-9]{15})","mail":"([^"@]+@[^"@]+)"}$`,
	} {
		rules, err := policy.Parse(fmt.Appendf(nil, file, replace), key)
		require.NoError(t, err, replace)
		m := masked(t, rules, "/ann@example.com?m=ann%40example.com", http.Header{"Content-Type": {"application/json"}, "X-M": {"ann@example.com"}}, body)
		require.Regexp(t, want, string(m.Body))
		found := regexp.MustCompile(want).FindStringSubmatch(string(m.Body))
		if len(found) == 1 {
			continue
		}
		assert.Equal(t, found[1], found[2])
		assert.Equal(t, "/"+found[3], m.URL.Path)
		assert.Equal(t, found[3], m.URL.Query().Get("m"))
		assert.Equal(t, found[3], m.Header.Get("X-M"))
		seen[found[1]] = replace
	}
	assert.Len(t, seen, 2)
}

func TestDetectorsLookThroughEncodings(t *testing.T) {
	for body, want := range map[string]string{
		`{"a":"ann\u0040example.com"}`:                      `{"a":"[masked]"}`,
		`{"a":"\nann@example.com\u000a"}`:                   `{"a":"\n[masked]\u000a"}`,
		`{"a":"http:\/\/x\/?e=ann%40example.com&b=1"}`:      `{"a":"http:\/\/x\/?e=[masked]&b=1"}`,
		`{"a":"{\"e\":\"ann\\u0040example.com\",\"b\":1}"}`: `{"a":"{\"e\":\"[masked]\",\"b\":1}"}`,
	} {
		msg := &shadow.Message{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(body)}
		require.NoError(t, shadow.MaskDetected().Mask(msg))
		assert.Equal(t, want, string(msg.Body))
	}
}

func TestADetectorFailsClosed(t *testing.T) {
	for name, msg := range map[string]*shadow.Message{
		"truncated":     {Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(`{"a":1`), Truncated: true},
		"unread":        {Truncated: true},
		"not JSON":      {Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(`{"a":`)},
		"not records":   {Header: http.Header{"Content-Type": {"application/x-ndjson"}}, Body: []byte("{}\n{\"a\":\n")},
		"coded part":    {Header: http.Header{"Content-Type": {"multipart/mixed; boundary=b"}}, Body: []byte("--b\r\nContent-Transfer-Encoding: base64\r\n\r\nYW5uQGV4YW1wbGUuY29t\r\n--b--")},
		"broken parts":  {Header: http.Header{"Content-Type": {"multipart/mixed; boundary=b"}}, Body: []byte("--b\r\n\r\nann@example.com")},
		"too deep":      {Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(strings.Repeat("[", 20_000))},
		"UTF-16":        {Header: http.Header{"Content-Type": {"text/plain; charset=utf-16le"}}, Body: []byte("a\x00n\x00n\x00")},
		"no text":       {Header: http.Header{"Content-Type": {"application/grpc"}}, Body: []byte("\x00\x00\x00\x00\x11\x0a\x0fann@example.com")},
		"unknown bytes": {Body: []byte("\xff\xfe ann@example.com")},
	} {
		assert.Error(t, shadow.MaskDetected().Mask(msg), name)
	}
	for name, msg := range map[string]*shadow.Message{
		"image":           {Header: http.Header{"Content-Type": {"image/png"}}, Body: []byte("\x89PNG ann@example.com")},
		"truncated image": {Header: http.Header{"Content-Type": {"image/png"}}, Body: []byte("\x89PNG"), Truncated: true},
		"no text":         {Header: http.Header{"Content-Type": {"application/grpc"}}, Body: []byte("\x00\x00\x00\x00\x02\x0a\x00")},
	} {
		before := string(msg.Body)
		assert.NoError(t, shadow.MaskDetected().Mask(msg), name)
		assert.Equal(t, before, string(msg.Body), name)
	}
}

// Parts are looked at one by one, each as what it is.
func TestPartsAreSearchedByTheirTypes(t *testing.T) {
	part := func(header, content string) string {
		return "--b\r\nContent-Disposition: form-data; " + header + "\r\n\r\n" + content + "\r\n"
	}
	m := masked(t, shadow.MaskDetected(), "/", field("Content-Type", "multipart/form-data; boundary=b"), part("name=a", "ann@example.com")+
		part("name=a; filename=\"ann@example.com\"\r\nContent-Type: application/json", `{"n":4111111111111111,"a":"ann\u0040example.com"}`)+"--b--")
	assert.Equal(t, part("name=a", "[masked]")+part("filename=\"[masked]\"; name=a\r\nContent-Type: application/json", `{"n":"[masked]","a":"[masked]"}`)+"--b--", string(m.Body))
}

func TestAnUnknownDetectorIsAnError(t *testing.T) {
	assert.Equal(t, []string{`shadow: WithMasker: MaskDetected: "ssn" is no DetectorKind`, `MaskDetected: "" is no DetectorKind`},
		faultsOf(t, candidate(), shadow.WithMasker(shadow.MaskDetected("ssn", shadow.DetectCard, ""))))
	assert.Error(t, shadow.MaskDetected("ssn").Mask(&shadow.Message{}))
}

func TestDetectedMaskerConforms(t *testing.T) {
	samples := []*shadow.Message{}
	for _, value := range planted {
		samples = append(samples, detectRequest(t, value, "application/json", `{"a":`+quoted(value)+`}`), detectRequest(t, value, "text/plain", value))
	}
	assert.NoError(t, shadowtest.TestMasker(shadow.MaskDetected(), samples...))
}

// What is detected reaches neither a remote shadow nor a reporter, through a real server and
// a real client.
func TestWhatIsDetectedNeverLeaves(t *testing.T) {
	var secrets []string
	doc := map[string]any{"n": int64(4111111111111111)}
	for kind, value := range planted {
		secrets = append(secrets, heard(value))
		doc[string(kind)] = value
	}
	body, err := json.Marshal(doc)
	require.NoError(t, err)
	seen := &wire{}
	target := remoteTo(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.ServeHTTP(httptest.NewRecorder(), r)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Contact", "bob@example.com")
		w.Write([]byte(strings.ReplaceAll(string(body), "ann@", "bob@")))
	}))
	target.Masker = shadow.MaskAll(shadow.DropCredentials(), shadow.MaskDetected())
	m, results := mirror(t, target, posts, shadow.WithMasker(shadow.MaskDetected()),
		shadow.WithLeakCheck(shadow.LeakCheckOptions{Rate: 1, Scope: shadow.LeakCheckRecords}))
	front := httptest.NewServer(m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Contact", "ann@example.com")
		w.Write(body)
	})))
	defer front.Close()
	req, err := http.NewRequest("POST", front.URL+"/u/ann%40example.com?card=4111+1111+1111+1111&ip=203.0.113.77", strings.NewReader(string(body)))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Forwarded-For", "203.0.113.77, 10.0.0.1")
	req.Header.Set("Cookie", "mail=ann%40example.com")
	resp, err := front.Client().Do(req)
	require.NoError(t, err)
	answered, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, string(body), string(answered), "the primary is untouched")
	require.NoError(t, m.Shutdown(t.Context()))

	require.Len(t, seen.got, 1, "%+v", m.Stats())
	require.Len(t, results.All(), 1)
	assert.Equal(t, map[string]uint64{"mismatch": 1}, ledger(t, m), "masks hide no difference")
	wire := fmt.Sprint(seen.got[0].RequestURI, seen.got[0].Header, seen.body[0])
	reported := everything(t, results.All()[0])
	for _, secret := range append(secrets, "bob@example.com", "4111+1111+1111+1111", "ann%40example.com", "203.0.113.77") {
		assert.NotContains(t, wire, secret)
		assert.NotContains(t, reported, secret)
		assert.NotContains(t, reported, strings.Trim(quoted(secret), `"`))
	}
	assert.True(t, json.Valid([]byte(seen.body[0])), seen.body[0])
	assert.Contains(t, seen.got[0].Header.Get("X-Forwarded-For"), "10.0.0.1", "an address that names nobody stays")
}

// FuzzMaskDetected looks for panics, for findings that are left, and for JSON that is none
// any more.
func FuzzMaskDetected(f *testing.F) {
	text, err := os.ReadFile("internal/detect/testdata/corpus.jsonl")
	require.NoError(f, err)
	for i, line := range strings.Split(string(text), "\n") {
		f.Add(uint8(i), []byte(line))
	}
	types := []string{"application/json", "application/x-ndjson", "", "text/plain", "application/x-www-form-urlencoded", "text/xml"}
	f.Fuzz(func(t *testing.T, kind uint8, body []byte) {
		masker := shadow.MaskDetected()
		message := func(body []byte) *shadow.Message {
			return &shadow.Message{Method: "POST", URL: &url.URL{Path: "/" + string(body), RawQuery: string(body)},
				Header: http.Header{"Content-Type": {types[int(kind)%len(types)]}, "X-A": {string(body)}, "Referer": {string(body)}}, Body: body}
		}
		msg := message(body)
		if masker.Mask(msg) != nil {
			return
		}
		require.Equal(t, len(body) == 0, len(msg.Body) == 0)
		switch isJSON := json.Valid(body); {
		case !isJSON:
		case int(kind)%len(types) == 0, int(kind)%len(types) == 2 && strings.ContainsAny(string(body[:1]), "{["):
			require.True(t, json.Valid(msg.Body), "%s became %s", body, msg.Body)
		}
		again := msg.Clone()
		require.NoError(t, masker.Mask(again))
		require.Equal(t, msg, again, "something was left")
	})
}
