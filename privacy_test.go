package shadow_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

// tapped is a listener that keeps every byte that its connections received.
type tapped struct {
	net.Listener
	log *logged
}

func (l tapped) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return tappedConn{conn, l.log}, err
}

type tappedConn struct {
	net.Conn
	log *logged
}

func (c tappedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.log.Write(p[:n])
	return n, err
}

// rules are what a careful service has its copies and records masked with.
func rules(r shadow.Replacement) shadow.Masker {
	return shadow.MaskAll(shadow.DropCredentials(), shadow.MaskWith(r,
		shadow.MaskHeaders("X-Pin"), shadow.MaskCookies("pin"), shadow.MaskQuery("pin"), shadow.MaskPath("/users/{name}", "/users/{name}/{page}"),
		shadow.MaskJSON("$..pin"), shadow.MaskForm("pin"), shadow.MaskXML("pin"),
		shadow.MaskPatterns(regexp.MustCompile(`[\w.]+@[\w.]+`))),
		shadow.AllowBodies("text/plain"))
}

// secretBodies have a secret in every place that the rules are about, in each format; those
// that end in %s take a word that makes two of them differ.
var secretBodies = []struct{ name, contentType, body string }{
	{"JSON", "application/json", `{"pin":"secret","PIN":["secret"],"\u0070in":{"a":"s\u0065cret %[1]s"},"pin":"secret","u":{"a-secret@b.org":"a-s\u0065cret@b.org"},"w":"{\"pin\":[\"s\u0065cret\"]}","v":"%[1]s"}`},
	{"records", "application/x-ndjson", "{\"pin\":\"secret\"}\n{\"a\":{\"pin\":\"secret %[1]s\"}}\n{\"v\":\"%[1]s\"}\n"},
	{"a sequence", "application/json-seq", "\x1e{\"pin\":\n\"secret\"}\n\x1e{\"v\":\"%[1]s\"}\n"},
	{"events", "text/event-stream", "event: x\ndata: {\"pin\":\ndata: \"secret %[1]s\"}\n\ndata: a-secret@b.org\n: a-secret@b.org\nid: a-secret@b.org\n\ndata: {\"v\":\"%[1]s\"}\n\n"},
	{"a form", "application/x-www-form-urlencoded", "pin=secret&p%%69n=s%%65cret&a=1;pin=secret&m=a-s%%65cret%%40b.org&v=%[1]s"},
	{"parts", "multipart/form-data; boundary=b", "a-secret@b.org\r\n--b\r\nContent-Disposition: form-data; name=pin; filename=secret\r\nContent-Type: image/png\r\n\r\nsecret %[1]s\r\n" +
		"--b\r\nContent-Disposition: form-data; name=a; filename=\"a-secret@b.org\"\r\nContent-Type: application/json\r\n\r\n{\"pin\":\"secret\"}\r\n" +
		"--b\r\nContent-Disposition: form-data; name=v\r\n\r\n%[1]s\r\n--b--\r\na-secret@b.org"},
	{"XML", "application/xml", `<a><p:pin xmlns:p="u" x="secret">s<b>&#101;cret</b><![CDATA[secret %[1]s]]></p:pin><c pin='secret'/><!-- a-secret@b.org --><d m="a-secret&#64;b.org">%[1]s</d></a>`},
	{"text", "text/plain", "%[1]s to a-secret@b.org\n"},
}

// decoded undoes the ways in which a secret might be written.
var decoded = strings.NewReplacer("%65", "e", `\u0065`, "e", "&#101;", "e", "s<b>e", "se", "s3cret", "secret")

// The raw bytes of HTTP/2 are encrypted, so that what the server read is looked at too.
//
// What the rules are about does not leave, wherever it is, in whatever format and coding,
// over HTTP/1.1 and HTTP/2; and nobody who is told of the result is told of it.
func TestAMaskedValueNeverLeaves(t *testing.T) {
	for name, r := range map[string]shadow.Replacement{"Redact": shadow.Redact(), "Drop": shadow.Drop(), "Hash": shadow.Hash(), "Tokenize": shadow.Tokenize(key)} {
		for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
			for i, b := range secretBodies {
				coding := []string{"", "gzip", "deflate", "br", "zstd"}[i%5]
				t.Run(strings.Join([]string{name, proto, b.name, coding}, " "), func(t *testing.T) {
					neverLeaves(t, rules(r), proto, b.contentType, b.body, coding)
				})
			}
		}
	}
}

func neverLeaves(t *testing.T, masker shadow.Masker, proto, contentType, body, coding string) {
	answers := func(side string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			h := w.Header()
			h.Set("Content-Type", contentType)
			h.Set("X-Pin", "secret "+side)
			h.Set("Set-Cookie", "pin=secret"+side+"; Path=/")
			h.Set("Location", "https://ada:secret@h/users/secret?pin=secret"+side+"#pin=secret")
			h.Set("Link", "</users/secret/1?pin=secret>; rel=next, <//secret@h/>")
			h.Set("X-Mail", "a-secret"+side+"@b.org")
			h.Set(http.TrailerPrefix+"X-Pin", "secret "+side)
			content := fmt.Sprintf(body, side)
			if coding != "" {
				h.Set("Content-Encoding", coding)
				content = encode(t, content, coding)
			}
			io.WriteString(w, content)
		})
	}

	// The candidate keeps what it receives: the bytes, and what the server made of them.
	raw, received := &logged{}, &logged{}
	var copies sync.WaitGroup
	candidate := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		dump, _ := httputil.DumpRequest(r, true) // all of the body: the trailer is there
		received.Write(dump)
		fmt.Fprintln(received, r.Trailer, r.Proto)
		answers("v2").ServeHTTP(w, r)
		copies.Done()
	}))
	candidate.Listener = tapped{candidate.Listener, raw}
	candidate.EnableHTTP2 = proto == "HTTP/2.0"
	if candidate.EnableHTTP2 {
		candidate.StartTLS()
	} else {
		candidate.Start()
	}
	defer candidate.Close()

	target := shadow.Remote("v2", candidate.URL)
	if candidate.EnableHTTP2 {
		target.Transport = candidate.Client().Transport
	}
	target.Masker = masker
	log, more := &logged{}, &logged{}
	logger := slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	m, err := shadow.New(isolated(target), posts, shadow.WithMasker(masker), shadow.WithLogger(logger),
		shadow.WithCompare(shadow.CompareOptions{Headers: []string{"Location", "Link", "X-Pin", "X-Mail", "Set-Cookie", "X-Pin"}}),
		shadow.WithReporter(shadow.LogReporter(logger), shadow.ReporterFunc(func(_ context.Context, r *shadow.Result) error {
			fmt.Fprintln(more, everything(t, r), printed(t, r))
			assert.Equal(t, shadow.Mismatch, r.Outcome)
			assert.Greater(t, len(r.Diffs), 4)
			return nil
		})))
	require.NoError(t, err)

	service := httptest.NewServer(m.Handler(answers("v1")))
	defer service.Close()
	copies.Add(1)
	content := fmt.Sprintf(body, "v1")
	if coding != "" {
		content = encode(t, content, coding)
	}
	r, err := http.NewRequest("POST", service.URL+"/users/s%65cret/1?pin=secret&p%69n=s%65cret&next=%2F%3Fpin%3Dsecret&m=a-s%65cret%40b.org&harmless=1",
		io.MultiReader(strings.NewReader(content))) // of unknown length: trailers
	require.NoError(t, err)
	r.Header = http.Header{
		"Content-Type": {contentType}, "Authorization": {"Bearer secret"}, "Cookie": {"pin=secret; a=1"}, "x-PIN": {"secret"}, "X-Harmless": {"harmless"},
		"Referer": {"https://ada:secret@h/users/secret?pin=secret"}, "X-Original-Url": {"/users/secret?pin=secret"}, "X-Mail": {"Ada <a-secret@b.org>"},
		"Content-Md5": {"secret"}, "Signature": {"secret"},
	}
	if coding != "" {
		r.Header.Set("Content-Encoding", coding)
	}
	r.Trailer = http.Header{"X-Pin": {"secret"}, "X-Harmless": {"harmless"}}
	resp, err := service.Client().Do(r)
	require.NoError(t, err)
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	require.NoError(t, m.Shutdown(t.Context()))
	require.EqualValues(t, 1, m.Stats().Mismatch, "%v", m.Stats())
	require.Zero(t, m.Stats().Unreported)
	copies.Wait()

	assert.Contains(t, received.String(), "harmless")
	assert.Contains(t, received.String(), proto)
	assert.Contains(t, more.String(), "v2")
	for where, text := range map[string]string{"wire": raw.String(), "request": received.String(), "log": log.String(), "reporter": more.String()} {
		assert.NotRegexp(t, aSecret, decoded.Replace(text), where)
	}
	assert.NotEmpty(t, raw.String())
}

// Without the rules everything is there to be found: the test above looks in the right
// places.
func TestWithoutRulesSecretsDoLeave(t *testing.T) {
	for _, b := range secretBodies {
		got := &logged{}
		target := shadow.InProcess("v2", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			dump, _ := httputil.DumpRequest(r, true)
			got.Write(dump)
		}))
		exchange(t, reading, target, post(b.contentType, "", fmt.Sprintf(b.body, "v1")), posts)
		assert.Regexp(t, aSecret, decoded.Replace(got.String()), b.name)
	}
}
