package sdktest

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"compress/zlib"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/report/alert"
	"github.com/goshadow/shadow/report/file"
	"github.com/goshadow/shadow/report/gate"
	"github.com/goshadow/shadow/report/tally"
)

// A secret is planted at each place of a request and its answer, written in each way, and a rule
// is about it. Then it must not be in anything that leaves the process: what is sent, reported,
// logged, traced, measured, kept in files, counted, alarmed or judged. What a rule cannot read
// is not sent. Without the rule the secret is found, so that the test can fail.

const (
	planted  = "annika.lindqvist@example.com"
	ordinary = "ordinary-77"
)

// message is what a client or a server says.
type message struct {
	target string // path and query
	header http.Header
	body   []byte
}

// place is where a secret stands, and the rule that is about it.
type place struct {
	name string
	rule shadow.Masker
	put  func(secret string) message
}

func withBody(contentType, body string) message {
	return message{target: "/orders/1", header: http.Header{"Content-Type": {contentType}}, body: []byte(body)}
}

func withHeader(name, value string) message {
	return message{target: "/orders/1", header: http.Header{name: {value}, "X-Plain": {ordinary}}}
}

func places() []place {
	json := shadow.MaskJSON("$..email")
	form := shadow.MaskForm("email")
	xml := shadow.MaskXML("email")
	query := shadow.MaskQuery("email")
	path := shadow.MaskPath("/people/{email}")
	patterns := shadow.MaskPatterns(regexp.MustCompile(`[\w.]+@[\w.]+`))
	detected := shadow.MaskDetected(shadow.DetectEmail)
	list := []place{
		{"header", shadow.MaskHeaders("X-User"), func(s string) message { return withHeader("X-User", s) }},
		{"cookie", shadow.MaskCookies("user"), func(s string) message { return withHeader("Cookie", "user="+s+"; a="+ordinary) }},
		{"credentials", shadow.DropCredentials(), func(s string) message { return withHeader("Authorization", "Bearer "+s) }},
		{"query", query, func(s string) message {
			return message{target: "/orders?email=" + url.QueryEscape(s) + "&a=" + ordinary}
		}},
		{"Referer", query, func(s string) message { return withHeader("Referer", "http://shop.test/?email="+url.QueryEscape(s)) }},
		{"path", path, func(s string) message { return message{target: "/people/" + url.PathEscape(s)} }},
		{"Referer's path", path, func(s string) message { return withHeader("Referer", "http://shop.test/people/"+s) }},
	}
	for name, rule := range map[string]shadow.Masker{"rule": nil, "patterns": patterns, "detectors": detected} {
		named := func(r shadow.Masker) shadow.Masker {
			if rule != nil {
				return rule
			}
			return r
		}
		list = append(list,
			place{name + ": JSON", named(json), func(s string) message {
				return withBody("application/json", `{"email":"`+s+`","a":"`+ordinary+`"}`)
			}},
			place{name + ": JSON in escapes", named(json), func(s string) message {
				return withBody("application/json", `{"email":"`+escapedJSON(s)+`","a":"`+ordinary+`"}`)
			}},
			place{name + ": JSON in a string", named(json), func(s string) message {
				return withBody("application/json", `{"doc":"{\"email\":\"`+s+`\"}","a":"`+ordinary+`"}`)
			}},
			place{name + ": JSON without a type", named(json), func(s string) message {
				return withBody("text/plain", `{"email":"`+s+`","a":"`+ordinary+`"}`)
			}},
			place{name + ": NDJSON", named(json), func(s string) message {
				return withBody("application/x-ndjson", "{\"a\":\""+ordinary+"\"}\n{\"email\":\""+s+"\"}\n")
			}},
			place{name + ": events", named(json), func(s string) message {
				return withBody("text/event-stream", "data: {\"a\":\""+ordinary+"\"}\n\ndata: {\"email\":\ndata: \""+s+"\"}\n\n")
			}},
			place{name + ": JSON that says it is events", named(json), func(s string) message {
				return withBody("text/event-stream", `{"email":"`+s+`","a":"`+ordinary+`"}`)
			}},
			place{name + ": form", named(form), func(s string) message {
				return withBody("application/x-www-form-urlencoded", "a="+ordinary+"&email="+url.QueryEscape(s))
			}},
			place{name + ": multipart", named(form), func(s string) message {
				return withBody("multipart/form-data; boundary=b", parts(`name="a"`, ordinary, `name="email"`, s))
			}},
			place{name + ": JSON in multipart", named(json), func(s string) message {
				return withBody("multipart/form-data; boundary=b", parts(`name="a"`+"\r\nContent-Type: application/json", `{"email":"`+s+`","a":"`+ordinary+`"}`))
			}},
			place{name + ": XML", named(xml), func(s string) message {
				return withBody("application/xml", "<o><email>"+s+"</email><a>"+ordinary+"</a></o>")
			}},
			place{name + ": attribute of XML", named(xml), func(s string) message {
				return withBody("application/xml", `<o email="`+strings.ReplaceAll(s, "@", "&#64;")+`"><a>`+ordinary+`</a></o>`)
			}},
			place{name + ": XML in CDATA", named(xml), func(s string) message {
				return withBody("application/xml", "<o><![CDATA[<email>"+s+"</email>]]><a>"+ordinary+"</a></o>")
			}},
		)
		if rule != nil {
			list = append(list,
				place{name + ": text", rule, func(s string) message { return withBody("text/plain", "from "+s+" to "+ordinary) }},
				place{name + ": name of a member", rule, func(s string) message {
					return withBody("application/json", `{"`+s+`":{"n":1},"a":"`+ordinary+`"}`)
				}},
				place{name + ": header", rule, func(s string) message { return withHeader("X-Any", s) }},
				place{name + ": query", rule, func(s string) message { return message{target: "/orders?q=" + url.QueryEscape(s)} }},
				place{name + ": path", rule, func(s string) message { return message{target: "/people/" + url.PathEscape(s)} }},
				place{name + ": file name", rule, func(s string) message {
					return withBody("multipart/form-data; boundary=b", parts(`name="f"; filename="`+s+`.txt"`, ordinary))
				}},
			)
		}
	}
	return list
}

func escapedJSON(s string) string {
	var out strings.Builder
	for _, c := range s {
		fmt.Fprintf(&out, `\u%04x`, c)
	}
	return out.String()
}

func parts(fields ...string) string {
	var out strings.Builder
	for i := 0; i < len(fields); i += 2 {
		fmt.Fprintf(&out, "--b\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n", fields[i], fields[i+1])
	}
	return out.String() + "--b--\r\n"
}

// ways are the codings and charsets of bodies. Those that no rule reads are false.
var ways = map[string]struct {
	readable bool
	write    func(m *message)
}{
	"as it is": {true, func(*message) {}},
	"gzip":     {true, coded("gzip", func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) })},
	"deflate":  {true, coded("deflate", func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) })},
	"br":       {true, coded("br", func(w io.Writer) io.WriteCloser { return brotli.NewWriter(w) })},
	"zstd": {true, coded("zstd", func(w io.Writer) io.WriteCloser {
		z, err := zstd.NewWriter(w)
		if err != nil {
			panic(err)
		}
		return z
	})},
	"an unknown coding": {false, func(m *message) { m.header.Set("Content-Encoding", "rot13") }},
	"UTF-16": {false, func(m *message) {
		var out []byte
		for _, unit := range utf16.Encode([]rune("\ufeff" + string(m.body))) {
			out = append(out, byte(unit>>8), byte(unit))
		}
		m.body = out
	}},
	"a torn gzip stream": {false, func(m *message) {
		coded("gzip", func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) })(m)
		m.body = m.body[:len(m.body)-9]
	}},
}

func coded(name string, writer func(io.Writer) io.WriteCloser) func(*message) {
	return func(m *message) {
		var out bytes.Buffer
		w := writer(&out)
		_, _ = w.Write(m.body)
		_ = w.Close()
		m.body = out.Bytes()
		m.header.Set("Content-Encoding", name)
	}
}

// sinks is all that left the process, by where it went.
type sinks struct {
	mu   sync.Mutex
	text map[string]string
}

func (s *sinks) add(name, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text[name] += text + "\n"
}

// Write takes what is logged.
func (s *sinks) Write(p []byte) (int, error) {
	s.add("log", string(p))
	return len(p), nil
}

// found returns the sinks in which what holds.
func (s *sinks) found(what string) (names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, text := range s.text {
		for _, spelled := range []string{what, url.QueryEscape(what), url.PathEscape(what), escapedJSON(what), strings.ReplaceAll(what, "@", "&#64;"), strings.ReplaceAll(what, "@", `\u0040`)} {
			if strings.Contains(strings.ToLower(text), strings.ToLower(spelled)) {
				names = append(names, name)
				break
			}
		}
	}
	slices.Sort(names)
	return names
}

// decoded is body, read in its coding as far as it can be.
func decoded(coding string, body []byte) []byte {
	var r io.Reader
	var err error
	switch coding {
	case "gzip":
		r, err = gzip.NewReader(bytes.NewReader(body))
	case "deflate":
		r, err = zlib.NewReader(bytes.NewReader(body))
	case "br":
		r = brotli.NewReader(bytes.NewReader(body))
	case "zstd":
		r, err = zstd.NewReader(bytes.NewReader(body))
	default:
		return body
	}
	if err != nil {
		return nil
	}
	plain, _ := io.ReadAll(r)
	return plain
}

// leave runs one exchange with everything that a Mirror can report to.
func leave(t *testing.T, request, primary, candidate message, opts ...shadow.Option) *sinks {
	out := &sinks{text: map[string]string{}}
	answer := func(m message) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			maps.Copy(w.Header(), m.header)
			_, _ = w.Write(m.body)
		})
	}
	v2 := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head, err := httputil.DumpRequest(r, false)
		assert.NoError(t, err)
		body, _ := io.ReadAll(r.Body)
		out.add("sent", string(head)+string(body)+string(decoded(r.Header.Get("Content-Encoding"), body))+strings.ReplaceAll(string(body), "\x00", ""))
		r.Body = http.NoBody
		answer(candidate).ServeHTTP(w, r)
	}))
	defer v2.Close()
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		out.add("alert", string(body))
	}))
	defer receiver.Close()

	dir := t.TempDir()
	files, err := file.New(file.Options{Dir: dir})
	require.NoError(t, err)
	counted, err := tally.New(tally.Options{})
	require.NoError(t, err)
	alerts, err := alert.New(alert.Options{
		Receiver: alert.Slack(receiver.URL), Contact: alert.Contact{Owner: "o", Runbook: "https://runbooks.test/"},
		Min: 1, Wait: time.Millisecond,
	})
	require.NoError(t, err)
	logger := slog.New(slog.NewJSONHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	opts = append(opts, shadow.WithMethods("POST"), shadow.WithLogger(logger),
		shadow.WithReporter(files, counted, alerts, shadow.LogReporter(logger)))
	target := shadow.Remote("v2", v2.URL)
	target.Masker = nil // the rules of a case are all there are
	r := newRig(t, target, opts...)
	front := httptest.NewServer(r.mirror.Handler(answer(primary)))
	defer front.Close()

	req, err := http.NewRequest("POST", front.URL+request.target, bytes.NewReader(request.body))
	require.NoError(t, err)
	maps.Copy(req.Header, request.header)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	_, _ = io.Copy(io.Discard, resp.Body)
	require.NoError(t, resp.Body.Close())
	r.drain(t)
	require.NoError(t, files.Close())
	require.NoError(t, alerts.Close())

	for _, res := range r.results {
		text, err := json.Marshal(res)
		require.NoError(t, err)
		out.add("result", string(text)+fmt.Sprintf("%+v %v", res, res))
		for _, m := range []*shadow.Message{res.Request, res.Primary, res.Shadow} {
			if m != nil {
				out.add("result", fmt.Sprint(m.URL, m.Header, m.Trailer, string(m.Body), strings.ReplaceAll(string(m.Body), "\x00", "")))
			}
		}
	}
	for _, span := range r.spans.Ended() {
		out.add("span", fmt.Sprint(span.Name(), span.Attributes(), span.Events(), span.Status(), span.Links()))
	}
	for _, m := range r.drained {
		for _, p := range points(t, m) {
			out.add("metric", p.attrs.Encoded(attribute.DefaultEncoder()))
		}
	}
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	for _, name := range names {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		out.add("file", string(text))
	}
	snapshot, err := json.Marshal(counted.Snapshot())
	require.NoError(t, err)
	out.add("snapshot", string(snapshot))
	g, err := gate.New(gate.Default(), func(context.Context) (*tally.Snapshot, error) { return counted.Snapshot(), nil }, gate.Options{})
	require.NoError(t, err)
	decision := g.Decide(t.Context())
	text, err := json.Marshal(decision)
	require.NoError(t, err)
	out.add("gate", string(text)+fmt.Sprint(decision))
	return out
}

func TestAPlantedSecretLeavesByNoWay(t *testing.T) {
	sent := map[string]int{}
	for _, p := range places() {
		for way, write := range ways {
			request := p.put(planted)
			if request.body == nil && way != "as it is" {
				continue
			}
			t.Run(p.name+"/"+way, func(t *testing.T) {
				primary, candidate := p.put("other."+planted), p.put("third."+planted)
				primary.header, candidate.header = answerHeader(primary.header), answerHeader(candidate.header)
				for _, m := range []*message{&request, &primary, &candidate} {
					if m.body != nil {
						write.write(m)
					}
				}
				bare := leave(t, request, primary, candidate)
				if write.readable {
					assert.Contains(t, bare.found(planted), "sent", "without a rule")
				}
				maskers := map[string]shadow.Masker{"redact": p.rule}
				if p.name != "credentials" { // which has no replacement
					maskers["drop"] = shadow.MaskWith(shadow.Drop(), p.rule)
					maskers["tokenize"] = shadow.MaskWith(shadow.Tokenize([]byte("0123456789abcdef")), p.rule)
				}
				for name, masker := range maskers {
					out := leave(t, request, primary, candidate, shadow.WithMasker(masker))
					assert.Empty(t, out.found(planted), name)
					if len(out.found(ordinary)) > 0 {
						sent[way]++
					}
				}
			})
		}
	}
	for way, write := range ways {
		assert.Equal(t, write.readable, sent[way] > 0, "%s: %d of the exchanges show what is no secret", way, sent[way])
	}
}

// answerHeader is the header of an answer that says the same: a cookie is set.
func answerHeader(h http.Header) http.Header {
	if v := h.Get("Cookie"); v != "" {
		return http.Header{"Set-Cookie": {v}}
	}
	return h
}

// What no rule is about leaves: the manual lists it, and this test holds the list.
func TestWhatRulesAreNotAboutIsInTheManual(t *testing.T) {
	text, err := os.ReadFile("../../../docs/privacy.md")
	require.NoError(t, err)
	_, section, ok := strings.Cut(string(text), "\n## What rules do not see\n")
	require.True(t, ok)
	section, _, _ = strings.Cut(section, "\n## ")
	var listed []string
	for _, line := range regexp.MustCompile(`(?m)^- \*\*(.+?)\.\*\*`).FindAllStringSubmatch(section, -1) {
		listed = append(listed, line[1])
	}
	var shown []string
	for _, p := range []place{
		{"A value in another place", shadow.MaskJSON("$.email"), func(s string) message { return withHeader("X-User", s) }},
		{"A name that a rule does not name", shadow.MaskJSON("$.email"), func(s string) message { return withBody("application/json", `{"mail":"`+s+`"}`) }},
		{"A value that was encoded again", shadow.MaskDetected(), func(s string) message {
			return withBody("text/plain", base64.StdEncoding.EncodeToString([]byte(s)))
		}},
		{"A value in pieces", shadow.MaskDetected(), func(s string) message {
			name, host, _ := strings.Cut(s, "@")
			return withBody("application/json", `["`+name+`","@`+host+`"]`)
		}},
		{"What is inside of images, sound, video and fonts", shadow.MaskAll(shadow.MaskDetected(), shadow.AllowBodies("image/*")), func(s string) message { return withBody("image/png", "\x89PNG tEXt "+s) }},
		{"Bodies that AllowBodies lets pass", shadow.MaskAll(shadow.MaskJSON("$.email"), shadow.AllowBodies("*/*")), func(s string) message { return withBody("text/csv", "a,"+s) }},
		{"Names of header fields", shadow.MaskDetected(), func(s string) message { return withHeader("X-"+strings.ReplaceAll(s, "@", "-at-"), "1") }},
	} {
		m := p.put(planted)
		pieces := map[string]string{
			"A value that was encoded again": base64.StdEncoding.EncodeToString([]byte(planted)), "A value in pieces": "annika.lindqvist",
			"Names of header fields": strings.ReplaceAll(planted, "@", "-at-"),
		}
		out := leave(t, m, withBody("text/plain", "1"), withBody("text/plain", "1"), shadow.WithMasker(p.rule))
		assert.Contains(t, out.found(cmp.Or(pieces[p.name], planted)), "sent", p.name)
		shown = append(shown, p.name)
	}
	assert.Equal(t, shown, listed)
}
