package redact_test

import (
	"bytes"
	"encoding/json"
	"io"
	"mime/multipart"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow/internal/jsonpath"
	"github.com/goshadow/shadow/internal/media"
	"github.com/goshadow/shadow/internal/redact"
)

// expression finds what it matches.
type expression struct{ *regexp.Regexp }

func (e expression) Find(spans [][2]int, text []byte) [][2]int {
	for _, at := range e.FindAllIndex(text, -1) {
		spans = append(spans, [2]int{at[0], at[1]})
	}
	return spans
}

func texts(pattern string) *redact.Texts {
	return &redact.Texts{Finder: expression{regexp.MustCompile(pattern)}}
}

// pins masks the member pin of JSON, wherever JSON is, and the part pin of forms.
func pins(t testing.TB) *redact.Walk {
	set := jsonpath.NewSet(parse(t, "$..pin")...)
	return &redact.Walk{
		Leaf: func(l redact.Leaf) ([]byte, error) {
			if l.Kind != media.JSON && !redact.LooksLikeJSON(l.Text) {
				return l.Text, nil
			}
			return redact.JSON(l.Text, set, redact.Replacement{})
		},
		Part: func(name string) (redact.Replacement, bool) { return redact.Replacement{}, name == "pin" },
	}
}

func TestEvents(t *testing.T) {
	f := media.Of("text/event-stream")
	for name, c := range map[string]struct{ in, want string }{
		"data":             {"data: {\"pin\":1}\n\n", "data: {\"pin\":\"[masked]\"}\n\n"},
		"lines of data":    {"data: {\"a\":\r\ndata:1,\"pin\":\r\nid: 7\r\ndata:  2}\r\n\r\n", "data: {\"a\":\r\ndata:1,\"pin\":\r\nid: 7\r\ndata:  \"[masked]\"}\r\n\r\n"},
		"a value of lines": {"event: x\ndata: {\"pin\": [\ndata: 1,\ndata: 2]\ndata: }\nid: 1\n\nx", "event: x\ndata: {\"pin\": \"[masked]\"\ndata: }\nid: 1\n\nx"},
		"several events":   {"data: {\"pin\":1}\n\ndata: [DONE]\n\n: a comment\n\ndata: {\"pin\":2}", "data: {\"pin\":\"[masked]\"}\n\ndata: [DONE]\n\n: a comment\n\ndata: {\"pin\":\"[masked]\"}"},
		"other fields":     {"id: {\"pin\":1}\n: {\"pin\":2}\nx:{\"pin\":3}\n\n", "id: {\"pin\":\"[masked]\"}\n: {\"pin\":\"[masked]\"}\nx:{\"pin\":\"[masked]\"}\n\n"},
		"nothing":          {"\ufeffdata\ndata:\n\nretry: 10\r\rdata: pin\r\r", "\ufeffdata\ndata:\n\nretry: 10\r\rdata: pin\r\r"},
		"broken":           {"data: {\"pin\":\n\ndata: 1}\n\n", ""},
		"cut":              {"data: {\"pin\":\"123", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := pins(t).Body(f, []byte(c.in))
			if c.want == "" {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, c.want, string(got))
		})
	}
	text := texts(`s\w+t`)
	walk := &redact.Walk{Leaf: func(l redact.Leaf) ([]byte, error) { return text.Text(l.Text), nil }}
	got, err := walk.Body(f, []byte("data: a secret\ndata: secret b\n: secret\nid: 1\n\n"))
	require.NoError(t, err)
	assert.Equal(t, "data: a [masked]\ndata: [masked] b\n: [masked]\nid: 1\n\n", string(got))
}

const form = "multipart/form-data; boundary=b"

func TestMultipart(t *testing.T) {
	part := func(header, content string) string { return "--b\r\n" + header + "\r\n\r\n" + content + "\r\n" }
	field := func(name, more, content string) string {
		return part(`Content-Disposition: form-data; name="`+name+`"`+more, content)
	}
	const end = "--b--\r\n"
	for name, c := range map[string]struct{ in, masked, dropped string }{
		"a field": {field("a", "", "1") + field("pin", "", "2") + end, field("a", "", "1") + field("pin", "", "[masked]") + end, field("a", "", "1") + end},
		"a file": {field("pin", `; filename="ada.txt"`+"\r\nContent-Length: 2", "s\n") + end,
			part(`Content-Disposition: form-data; filename="[masked]"; name=pin`+"\r\nContent-Length: 8", "[masked]") + end, end},
		"first and last":     {"preamble\r\n" + field("pin", "", "1") + field("pin", "", "2") + end, "preamble\r\n" + field("pin", "", "[masked]") + field("pin", "", "[masked]") + end, "preamble\r\n" + end},
		"JSON in a part":     {field("a", "\r\ncontent-TYPE: application/json\r\nContent-MD5: x\r\nX-A: y", `{"pin":1}`) + end, field("a", "\r\ncontent-TYPE: application/json\r\nX-A: y", `{"pin":"[masked]"}`) + end, field("a", "\r\ncontent-TYPE: application/json\r\nX-A: y", `{}`) + end},
		"JSON in plain text": {field("a", "", `{"pin":1}`) + end, field("a", "", `{"pin":"[masked]"}`) + end, field("a", "", `{}`) + end},
		"parts in a part": {field("a", "\r\nContent-Type: multipart/mixed; boundary=c", "--c\r\nContent-Type: application/json\r\n\r\n{\"pin\":1}\r\n--c--") + end,
			field("a", "\r\nContent-Type: multipart/mixed; boundary=c", "--c\r\nContent-Type: application/json\r\n\r\n{\"pin\":\"[masked]\"}\r\n--c--") + end,
			field("a", "\r\nContent-Type: multipart/mixed; boundary=c", "--c\r\nContent-Type: application/json\r\n\r\n{}\r\n--c--") + end},
		"nothing":              {field("a", "", "pin=1") + "--b--\nepilogue", field("a", "", "pin=1") + "--b--\nepilogue", field("a", "", "pin=1") + "--b--\nepilogue"},
		"before the first":     {`{"pin":1}` + "\r\n" + field("a", "", "1") + end, `{"pin":"[masked]"}` + "\r\n" + field("a", "", "1") + end, "{}\r\n" + field("a", "", "1") + end},
		"behind the last":      {field("a", "", "1") + end + `{"pin":1}`, field("a", "", "1") + end + `{"pin":"[masked]"}`, field("a", "", "1") + end + "{}"},
		"around no part":       {`{"pin":1}` + "\r\n" + end + ` {"pin":1}`, `{"pin":"[masked]"}` + "\r\n" + end + ` {"pin":"[masked]"}`, "{}\r\n" + end + " {}"},
		"unclosed":             {field("a", "", "1"), "", ""},
		"no boundary":          {"pin=1", "", ""},
		"a header cut":         {"--b\r\nContent-Disposition: form-data; name=a\r\n--b--", "", ""},
		"no name":              {part("X-A: y", "1") + end, "", ""},
		"two names":            {field("a", "\r\nContent-Disposition: form-data; name=pin", "1") + end, "", ""},
		"a name in two ways":   {field("a", "; name=pin", "1") + end, "", ""},
		"an encoded name, too": {field("a", "; name*=UTF-8''pin", "1") + end, "", ""},
		"two types":            {field("a", "\r\nContent-Type: text/plain\r\nContent-Type: application/json", "1") + end, "", ""},
		"broken JSON":          {field("a", "\r\nContent-Type: application/json", `{"pin":`) + end, "", ""},
		"too many levels":      {strings.Repeat("--b\r\nContent-Disposition: form-data; name=a\r\nContent-Type: multipart/form-data; boundary=b\r\n\r\n", 9) + strings.Repeat("\r\n--b--", 9), "", ""},
		"an encoded name":      {part(`Content-Disposition: form-data; name*=UTF-8''p%69n`, "1") + end, part(`Content-Disposition: form-data; name*=UTF-8''p%69n`, "[masked]") + end, end},
		"a name on two lines":  {part("Content-Disposition: form-data;\r\n name=pin", "1") + end, part("Content-Disposition: form-data;\r\n name=pin", "[masked]") + end, end},
		"lines that end in LF": {"--b\nContent-Disposition: form-data; name=pin\n\n1\n--b--", "--b\nContent-Disposition: form-data; name=pin\n\n[masked]\n--b--", "--b--"},
	} {
		t.Run(name, func(t *testing.T) {
			for r, want := range map[*redact.Replacement]string{{}: c.masked, &dropped: c.dropped} {
				set := jsonpath.NewSet(parse(t, "$..pin")...)
				walk := &redact.Walk{
					Leaf: func(l redact.Leaf) ([]byte, error) {
						if l.Kind != media.JSON && !redact.LooksLikeJSON(l.Text) {
							return l.Text, nil
						}
						return redact.JSON(l.Text, set, *r)
					},
					Part: func(name string) (redact.Replacement, bool) { return *r, name == "pin" },
				}
				got, err := walk.Body(media.Of(form), []byte(c.in))
				if want == "" {
					require.Error(t, err, "%q", got)
					continue
				}
				require.NoError(t, err)
				assert.Equal(t, want, string(got))
			}
		})
	}
}

// What is around the parts is text too.
func TestTextAroundParts(t *testing.T) {
	text := texts(`s\w+t`)
	walk := &redact.Walk{
		Leaf: func(l redact.Leaf) ([]byte, error) { return text.Text(l.Text), nil },
		Text: text.Text,
	}
	got, err := walk.Body(media.Of("multipart/form-data; boundary=secret"), []byte("a secret\r\n--secret\r\nContent-Disposition: form-data; name=a; filename*=UTF-8''my%20s%65cret\r\n"+
		"X-A: secret\r\nContent-Type: text/secret\r\n\r\nsecret\r\n--secret--\r\nsecret"))
	require.NoError(t, err)
	assert.Equal(t, "a [masked]\r\n--secret\r\nContent-Disposition: form-data; filename=\"my [masked]\"; name=a\r\n"+
		"X-A: [masked]\r\nContent-Type: text/secret\r\n\r\n[masked]\r\n--secret--\r\n[masked]", string(got))
}

// A part that is encoded once more is said to be.
func TestCodingsOfParts(t *testing.T) {
	for header, want := range map[string]string{
		"": "", "Content-Transfer-Encoding: BASE64\r\n": "base64", "Content-Encoding: gzip\r\n": "gzip", "Content-Transfer-Encoding: 8bit\r\n": "",
	} {
		var seen []string
		walk := &redact.Walk{Looks: func(l redact.Leaf) bool { seen = append(seen, l.Coding); return false }}
		_, err := walk.Body(media.Of(form), []byte("--b\r\nContent-Disposition: form-data; name=a\r\n"+header+"\r\nx\r\n--b--"))
		require.NoError(t, err)
		assert.Equal(t, []string{want}, seen)
	}
}

// What package mime/multipart reads in a masked form has no part pin that is not masked,
// and the other parts as they were.
func FuzzMultipartHidesEveryPart(f *testing.F) {
	for _, seed := range []string{
		"--b\r\nContent-Disposition: form-data; name=pin\r\n\r\nsecret\r\n--b--",
		"--b\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--b\r\nContent-Disposition: form-data; name=\"p\\in\"; filename=x\r\n\r\n2\r\n--b--\r\n",
		"x\n--b \nContent-Disposition: form-data;\n name=pin\n\n--bb\n--b--",
	} {
		f.Add(seed)
	}
	read := func(body []byte) (hidden, others []string, err error) {
		r := multipart.NewReader(bytes.NewReader(body), "b")
		for {
			part, err := r.NextRawPart()
			if err == io.EOF {
				return hidden, others, nil
			}
			if err != nil {
				return hidden, others, err
			}
			content, err := io.ReadAll(part)
			if err != nil {
				return hidden, others, err
			}
			if part.FormName() == "pin" {
				hidden = append(hidden, string(content), part.FileName())
			} else if part.FormName() != "" {
				others = append(others, part.FormName(), part.FileName(), string(content))
			}
		}
	}
	walk := &redact.Walk{
		Leaf: func(l redact.Leaf) ([]byte, error) { return l.Text, nil },
		Part: func(name string) (redact.Replacement, bool) { return redact.Replacement{}, name == "pin" },
	}
	f.Fuzz(func(t *testing.T, body string) {
		got, err := walk.Body(media.Of(form), []byte(body))
		if err != nil {
			return
		}
		_, before, errBefore := read([]byte(body))
		after, others, errAfter := read(got)
		for _, value := range after {
			require.Contains(t, []string{redact.Masked, ""}, value, "%q of %q", got, body)
		}
		if errBefore == nil {
			require.NoError(t, errAfter, "%q of %q", got, body)
			require.Equal(t, before, others, "%q of %q", got, body)
		}
	})
}

// What encoding/json reads in the data of masked events has no member pin that is not
// masked, and there are as many events with the same other lines.
func FuzzEventsHideEveryMember(f *testing.F) {
	for _, seed := range []string{"data: {\"pin\":1}\n\ndata: {\"PIN\":\ndata: [\n: c\r\ndata: 1]}\rid: 1\n\n", "\ufeffdata:{\"a\":{\"p\\u0069n\":2}}", "data\n\ndata: [DONE]\n\n"} {
		f.Add(seed)
	}
	read := func(stream string) (data, others []string) {
		stream = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(strings.TrimPrefix(stream, "\ufeff"))
		for _, block := range strings.Split(stream, "\n\n") {
			var lines []string
			for _, line := range strings.Split(block, "\n") {
				name, value, _ := strings.Cut(line, ":")
				if name == "data" {
					lines = append(lines, strings.TrimPrefix(value, " "))
				} else if !strings.Contains(line, "{") && !strings.Contains(line, "[") {
					others = append(others, line)
				}
			}
			if lines != nil {
				data = append(data, strings.Join(lines, "\n"))
			}
		}
		return data, others
	}
	var open func(value any) string // a pin that is not masked
	open = func(value any) string {
		switch v := value.(type) {
		case map[string]any:
			for name, member := range v {
				if name == "pin" && member != redact.Masked {
					return name
				}
				if found := open(member); found != "" {
					return found
				}
			}
		case []any:
			for _, element := range v {
				if found := open(element); found != "" {
					return found
				}
			}
		}
		return ""
	}
	walk := pins(f)
	f.Fuzz(func(t *testing.T, stream string) {
		got, err := walk.Body(media.Of("text/event-stream"), []byte(stream))
		if err != nil {
			return
		}
		before, others := read(stream)
		after, same := read(string(got))
		require.Equal(t, others, same, "%q became %q", stream, got)
		require.Len(t, after, len(before), "%q became %q", stream, got)
		for i, text := range after {
			var value any
			if json.Unmarshal([]byte(text), &value) == nil {
				require.Empty(t, open(value), "%q became %q", stream, got)
			} else {
				require.Equal(t, before[i], text, "%q became %q", stream, got)
			}
		}
	})
}

func TestTextsOfJSON(t *testing.T) {
	text := texts(`s\w+t|\d{6,}`)
	for in, want := range map[string]string{
		`{"a":"my secret","b":["s\u0065cret"]}`:       `{"a":"my [masked]","b":["[masked]"]}`,
		`{"a secret":1,"secret":{"x":2}}`:             `{"a [masked]":1,"[masked]":{"x":2}}`,
		`[4111111,"4111111",12345,-1234567.5,true]`:   `["[masked]","[masked]",12345,"-[masked].5",true]`,
		` {"a" : "\ud800 \/ \u0001secret\"" , "b":0}`: ` {"a" : "\ud800 / \u0001[masked]\"" , "b":0}`,
		`{"a":"\/"}`: `{"a":"\/"}`,
		`null`:       `null`,
		`{"a":}`:     "",
	} {
		got, err := text.JSON([]byte(in))
		if want == "" {
			assert.Error(t, err)
			continue
		}
		require.NoError(t, err)
		assert.Equal(t, want, string(got))
	}
	tokens := texts(`s\w+t|\d{6,}`)
	tokens.Replacement = upped
	got, err := tokens.JSON([]byte(`["my secret",4111111,-1234567]`))
	require.NoError(t, err)
	assert.Equal(t, `["my <SECRET>",14111111,"-<1234567>"]`, string(got))
}

// Matches that overlap are masked together: nothing between them is left.
func TestMatchesThatOverlap(t *testing.T) {
	got := (&redact.Texts{Finder: spans{{4, 8}, {0, 2}, {5, 6}, {7, 10}, {2, 2}}}).Text([]byte("0123456789ab"))
	assert.Equal(t, "[masked]23[masked]ab", string(got))
}

type spans [][2]int

func (s spans) Find(to [][2]int, _ []byte) [][2]int { return append(to, s...) }

func TestTextsOfURLs(t *testing.T) {
	text := texts(`[a-z]+@[a-z.]+|key=\w+`)
	for in, want := range map[string]string{
		"/users/ada%40b.org/x%2Fy?q=1":           "/users/%5Bmasked%5D/x%2Fy?q=1",
		"https://h/p?e=ada%40b.org&f=a+ada@b.c#": "https://h/p?e=%5Bmasked%5D&f=a+%5Bmasked%5D#",
		"?ada@b=1&x=a%2Fb":                       "?%5Bmasked%5D=1&x=a%2Fb",
		"/p?key=abc":                             "/p?%5Bmasked%5D",
		"/p%zz?%zz=1":                            "/p%zz?%zz=1",
		"":                                       "",
	} {
		assert.Equal(t, want, text.URL(in))
	}
}

// JSON stays JSON whatever is found in it, and what is found is not in any value or name.
func FuzzTextsOfJSON(f *testing.F) {
	f.Add(`{"a secret":["s\u0065cret",12345678,{"b":null}]}`)
	f.Add(`"\ud800\udc00 s"`)
	f.Fuzz(func(t *testing.T, doc string) {
		for _, r := range []redact.Replacement{{}, dropped, upped} {
			text := texts(`[0-9]{2,}|e+`)
			text.Replacement = r
			got, err := text.JSON([]byte(doc))
			if err != nil {
				require.False(t, json.Valid([]byte(doc)))
				return
			}
			require.True(t, json.Valid(got), "%q became %q", doc, got)
			if r == (redact.Replacement{}) {
				again, err := text.JSON(got)
				require.NoError(t, err)
				var b bytes.Buffer
				require.NoError(t, json.Compact(&b, again))
				var value any
				require.NoError(t, json.Unmarshal(again, &value))
				require.NotRegexp(t, `[0-9]{2,}`, flat(value), "%q", doc)
			}
		}
	})
}

// flat is the strings, names and numbers in value.
func flat(value any) string {
	var b strings.Builder
	switch v := value.(type) {
	case map[string]any:
		for name, member := range v {
			b.WriteString(name + " " + flat(member) + " ")
		}
	case []any:
		for _, element := range v {
			b.WriteString(flat(element) + " ")
		}
	case string:
		b.WriteString(v)
	}
	return b.String()
}

func TestLooksLikeJSON(t *testing.T) {
	for text, want := range map[string]bool{
		"": false, " {": true, "[": true, "[]": true, "[ 1": true, `["a`: true, "[[": true, "[-1": true, "[true": true, "[null]": true,
		"\ufeff{": true, "\x1e{": true, "\xff\xfe{\x00": true, "\x00{": true,
		"[DONE]": false, "[info] x": false, "a{": false, `"a"`: false, "1": false, "[masked]": false,
	} {
		assert.Equal(t, want, redact.LooksLikeJSON([]byte(text)), "%q", text)
	}
}

// Tokens take the places of values, and the shape of JSON survives.
func TestTokensInJSON(t *testing.T) {
	set := jsonpath.NewSet(parse(t, "$.a", "$.b")...)
	got, err := redact.JSON([]byte(`{"a":{"x":["s\u0065",1.5,{"y":null}],"":true,"z":false},"b":"t","c":"u"}`), set, upped)
	require.NoError(t, err)
	assert.Equal(t, `{"a":{"x":["<SE>",11.5,{"y":null}],"":false,"z":false},"b":"<T>","c":"u"}`, string(got))
}

func TestDropInJSON(t *testing.T) {
	for in, want := range map[string]string{
		`{"a":1}`:                         `{}`,
		` { "a" : 1 , "x":2 } `:           ` { "x":2 } `,
		`{"x":1, "a":2, "y":3}`:           `{"x":1, "y":3}`,
		`{"x":1 , "a":2 }`:                `{"x":1  }`,
		`{"a":1,"a":2,"x":3,"a":4,"a":5}`: `{"x":3}`,
		`{"a":1,"A":{"a":2}}`:             `{"A":{}}`,
		`[{"a":1},{"x":[{"a":2}]}]`:       `[{},{"x":[{}]}]`,
	} {
		got, err := redact.JSON([]byte(in), jsonpath.NewSet(parse(t, "$..a")...), dropped)
		require.NoError(t, err)
		assert.Equal(t, want, string(got), in)
	}
	for expr, want := range map[string]string{"$[0]": `[2, 3]`, "$[1]": `[1, 3]`, "$[-1]": `[1, 2]`, "$[*]": `[]`, "$[0:2]": `[3]`, "$": "null", "$[?@>1]": `[1]`} {
		got, err := redact.JSON([]byte(`[1, 2, 3]`), jsonpath.NewSet(parse(t, expr)...), dropped)
		require.NoError(t, err)
		assert.Equal(t, want, string(got), expr)
	}
}

// Whatever is dropped, JSON stays JSON, and nothing that is selected is left.
func FuzzDropInJSON(f *testing.F) {
	for _, expr := range []string{"$.a", "$..a", "$[0]", "$[1:]", "$..*", "$"} {
		f.Add(expr, []byte(` { "a":1, "b":[2 , {"a":3}] ,"a":[4]} `))
	}
	f.Fuzz(func(t *testing.T, expr string, doc []byte) {
		p, err := jsonpath.Parse(expr)
		if err != nil || !json.Valid(doc) {
			return
		}
		for _, r := range []redact.Replacement{dropped, upped} {
			got, err := redact.JSON(doc, jsonpath.NewSet(p), r)
			if err != nil {
				return
			}
			require.True(t, json.Valid(got), "%s of %q became %q", expr, doc, got)
		}
	})
}
