package shadow_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"encoding/xml"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

// gateRules are all rules that look into bodies, each about the card in gateBodies.
func gateRules() map[string]shadow.Masker {
	return map[string]shadow.Masker{
		"MaskJSON": shadow.MaskJSON("$..card"), "MaskForm": shadow.MaskForm("card"), "MaskXML": shadow.MaskXML("card"),
		"MaskPatterns": shadow.MaskPatterns(regexp.MustCompile(`4111[ -]?1111`)), "MaskDetected": shadow.MaskDetected(shadow.DetectCard),
	}
}

// gateBodies have a card in them, each in a format of its own.
var gateBodies = map[string]string{
	"JSON": `{"card":"4111111111111111"}`, "XML": `<a><card>4111111111111111</card></a>`, "form": "a=1&card=4111111111111111",
	"declared XML": `<?xml version="1.0"?><card>4111111111111111</card>`, "text": "card 4111111111111111\n", "CSV": "card\n4111111111111111\n",
	"event": "data: {\"card\":\"4111111111111111\"}\n\n",
}

var gateTypes = []string{
	"", "application/json", "application/x-ndjson", "application/xml", "image/svg+xml", "text/plain", "text/csv", "text/xml", "text/event-stream",
	"application/x-www-form-urlencoded", "application/octet-stream", "application/problem+json", "application/yaml", "text/html",
}

// wide is s in UTF-16.
func wide(s string, order binary.AppendByteOrder, mark bool) string {
	var out []byte
	if mark {
		out = order.AppendUint16(out, 0xfeff)
	}
	for _, unit := range utf16.Encode([]rune(s)) {
		out = order.AppendUint16(out, unit)
	}
	return string(out)
}

// holdsCard reports whether somebody who guesses the charset finds the card in a body.
func holdsCard(body []byte) bool {
	return bytes.Contains(bytes.ReplaceAll(body, []byte{0}, nil), []byte("4111111111111111"))
}

// What a rule would look into, and cannot read, does not get out: in whatever charset it is,
// whatever it is called, as a body and as a part of one.
func TestNoRuleLetsPassWhatItCannotRead(t *testing.T) {
	encodings := map[string]string{}
	for name, body := range gateBodies {
		encodings[name] = body
		for order, of := range map[string]binary.AppendByteOrder{"LE": binary.LittleEndian, "BE": binary.BigEndian} {
			encodings[name+" UTF-16"+order] = wide(body, of, false)
			encodings[name+" UTF-16"+order+" with a mark"] = wide(body, of, true)
		}
	}
	stopped, sent := 0, 0
	for _, contentType := range gateTypes {
		for _, charset := range []string{"", "utf-8", "utf-16", "UTF-16LE", "ucs-2", "iso-10646-ucs-2", "utf-32", "iso-8859-1", "utf-7", "unheard-of"} {
			full := contentType
			if charset != "" {
				full += "; charset=" + charset
			}
			for which, body := range encodings {
				for name, rule := range gateRules() {
					for shape, msg := range map[string]*shadow.Message{
						"a body": {Method: "POST", URL: &url.URL{Path: "/"}, Header: field("Content-Type", full), Body: []byte(body)},
						"a part": {Method: "POST", URL: &url.URL{Path: "/"}, Header: field("Content-Type", "multipart/mixed; boundary=bb"),
							Body: []byte("--bb\r\nContent-Type: " + full + "\r\n\r\n" + body + "\r\n--bb--\r\n")},
						"a file": {Method: "POST", URL: &url.URL{Path: "/"}, Header: field("Content-Type", "multipart/form-data; boundary=bb"),
							Body: []byte("--bb\r\nContent-Disposition: form-data; name=f; filename=f\r\nContent-Type: " + full + "\r\n\r\n" + body + "\r\n--bb--\r\n")},
					} {
						err := shadow.MaskAll(rule).Mask(msg)
						if err != nil {
							stopped++
							continue
						}
						sent++
						if holdsCard(msg.Body) {
							t.Errorf("%s let pass %s, called %q, as %s", name, which, full, shape)
						}
					}
				}
			}
		}
	}
	t.Logf("%d stopped, %d sent", stopped, sent)
	assert.Positive(t, sent)
}

// Both verdicts: what can be read is sent.
func TestTheGateLetsPassWhatCanBeRead(t *testing.T) {
	latin1 := "text/plain; charset=ISO-8859-1"
	for _, c := range []struct {
		rule              shadow.Masker
		contentType, body string
		want              string
	}{
		{shadow.MaskPatterns(regexp.MustCompile("né.")), latin1, "Ren\xe9e", "Re[masked]"},
		{shadow.MaskPatterns(regexp.MustCompile("x")), latin1, "Ren\xe9e x", "Ren\xe9e [masked]"},
		{shadow.MaskPatterns(regexp.MustCompile("д+")), "text/csv; charset=windows-1251", "a,\xe4\xe4,\xe5", "a,[masked],\xe5"},
		{shadow.MaskXML("pin"), "text/xml", "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a b=\"\xe9\"><pin>\xe9</pin>\xe9</a>", "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a b=\"\xe9\"><pin>[masked]</pin>\xe9</a>"},
		{shadow.MaskXML("pin"), "text/xml; charset=windows-1252", "<a>\x80<pin>\x80</pin></a>", "<a>\x80<pin>[masked]</pin></a>"},
		{shadow.MaskDetected(), latin1, "\xe9 4111\xa01111\xa01111\xa01111", "\xe9 [masked]"},
		{shadow.MaskDetected(), latin1, "\xe9 4111111111111111", "\xe9 [masked]"},
		{shadow.MaskJSON("$.pin"), "application/json; charset=iso-8859-1", `{"pin":1}`, `{"pin":"[masked]"}`},
		{shadow.MaskJSON("$.é"), "application/json; charset=utf-8", `{"é":1}`, `{"é":"[masked]"}`},
	} {
		msg := masked(t, c.rule, "/", field("Content-Type", c.contentType), c.body)
		assert.Equal(t, c.want, string(msg.Body), c.contentType)
	}
	for contentType, body := range map[string]string{
		"application/json; charset=iso-8859-1":                  "{\"\xe9\":1}",
		"application/json; charset=windows-1252":                `{"é":1}`,
		"application/x-www-form-urlencoded; charset=iso-8859-1": "n%e9=1",
		"text/plain":                      "Ren\xe9e",
		"text/plain; charset=utf-8":       "Ren\xe9e",
		"text/xml; charset=utf-8":         "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><pin>\xe9</pin>",
		"text/csv; charset=\"utf-16\"":    "a",
		"text/csv; charset=shift_jis":     "a",
		"text/event-stream; charset=ucs2": "data: 1\n\n",
	} {
		for _, rule := range []shadow.Masker{shadow.MaskDetected(), shadow.MaskPatterns(regexp.MustCompile("pin"))} {
			msg := &shadow.Message{Method: "POST", URL: &url.URL{}, Header: http.Header{"Content-Type": {contentType}}, Body: []byte(body)}
			require.Error(t, rule.Mask(msg), contentType)
		}
	}
}

// What a content coding holds beside the content was looked at by no rule: such a body is
// written anew, also where nothing in it is masked.
func TestWhatHidesBehindACodingIsNotSent(t *testing.T) {
	const plain, secret = `{"a":1}`, "4111111111111111"
	named := func() string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		w.Name, w.Comment, w.Extra = secret, secret, []byte(secret)
		io.WriteString(w, plain)
		require.NoError(t, w.Close())
		return b.String()
	}
	skippable := "\x50\x2a\x4d\x18\x10\x00\x00\x00" + secret
	for name, c := range map[string]struct{ coding, body string }{
		"the header of gzip":     {"gzip", named()},
		"behind the end of br":   {"br", encode(t, plain, "br") + secret},
		"behind bare deflate":    {"deflate", encode(t, plain, "bare deflate") + secret},
		"behind deflate":         {"deflate", encode(t, plain, "deflate") + secret},
		"behind the end of gzip": {"gzip", encode(t, plain, "gzip") + secret},
		"a frame before zstd":    {"zstd", skippable + encode(t, plain, "zstd")},
		"a frame behind zstd":    {"zstd", encode(t, plain, "zstd") + skippable},
		"gzip in gzip":           {"gzip, gzip", encode(t, named(), "gzip")},
		"an empty stream before": {"gzip", encode(t, "", "gzip") + named()},
	} {
		for rule, masker := range map[string]shadow.Masker{
			"MaskJSON": shadow.MaskJSON("$.none"), "MaskDetected": shadow.MaskDetected(),
			"own": shadow.MaskerFunc(func(*shadow.Message) error { return nil }),
		} {
			candidate := &wire{}
			target := remoteTo(t, candidate)
			target.Masker = masker
			_, m := exchanged(t, reading, target, post("application/json", c.coding, c.body), posts)
			if torn := strings.HasPrefix(name, "behind the end"); torn && rule == "own" {
				continue // it was given a Message that is Truncated, and let it pass
			}
			if len(candidate.got) == 0 {
				assert.EqualValues(t, 1, m.Stats().Dropped[shadow.ReasonMaskFailed], name)
				continue
			}
			assert.Equal(t, plain, candidate.body[0], "%s, %s", name, rule)
			assert.Empty(t, candidate.got[0].Header["Content-Encoding"])
			assert.EqualValues(t, len(plain), candidate.got[0].ContentLength)
		}
		candidate := &wire{}
		exchanged(t, reading, remoteTo(t, candidate), post("application/json", c.coding, c.body), posts)
		require.Len(t, candidate.got, 1)
		assert.Equal(t, c.body, candidate.body[0], "no rule is about bodies")
		assert.Equal(t, c.coding, candidate.got[0].Header.Get("Content-Encoding"))
	}
}

// What is masked inside of something else stays what it is: JSON in events, in strings, in
// fields of forms and queries.
func TestJSONInsideOfSomethingElseStaysJSON(t *testing.T) {
	const card = "4111111111111111"
	rules := map[string]shadow.Masker{
		"MaskDetected": shadow.MaskDetected(shadow.DetectCard), "MaskPatterns": shadow.MaskPatterns(regexp.MustCompile(card)),
		"tokens, detected": shadow.MaskWith(shadow.Tokenize(key), shadow.MaskDetected(shadow.DetectCard)),
		"tokens, patterns": shadow.MaskWith(shadow.Tokenize(key), shadow.MaskPatterns(regexp.MustCompile(card))),
		"hashes, detected": shadow.MaskWith(shadow.Hash(), shadow.MaskDetected(shadow.DetectCard)),
	}
	inner := `{"n":` + card + `,"s":"` + card + `"}`
	twice := quoted(`[` + quoted(inner) + `]`)
	for name, rule := range rules {
		read := func(doc string) map[string]any {
			var v map[string]any
			require.NoError(t, json.Unmarshal([]byte(doc), &v), "%s: %s", name, doc)
			assert.NotContains(t, doc, card, name)
			return v
		}
		body := func(contentType, text string) string {
			return string(masked(t, rule, "/", field("Content-Type", contentType), text).Body)
		}
		want := read(body("application/json", inner))
		assert.Equal(t, want, read(strings.TrimPrefix(body("text/event-stream", "data: "+inner+"\n\n"), "data: ")), name)
		assert.Equal(t, want, read(read(body("application/json", `{"m":`+quoted(inner)+`}`))["m"].(string)), name)
		var list []string
		require.NoError(t, json.Unmarshal([]byte(read(body("application/x-ndjson", `{"m":`+twice+`}`))["m"].(string)), &list))
		assert.Equal(t, want, read(list[0]), name)
		form, err := url.ParseQuery(body("application/x-www-form-urlencoded", "a=1&m="+url.QueryEscape(inner)))
		require.NoError(t, err)
		assert.Equal(t, want, read(form.Get("m")), name)
		u := masked(t, rule, "/?a=1&m="+url.QueryEscape(inner), nil, "").URL
		assert.Equal(t, want, read(u.Query().Get("m")), name)
	}
}

const plantedCard = "4111111111111111"

// fuzzedRules replace the card. All but the last one put something in its place.
func fuzzedRules() []namedRule {
	card := regexp.MustCompile(plantedCard)
	return []namedRule{
		{"patterns", shadow.MaskAll(shadow.MaskPatterns(card))},
		{"detected", shadow.MaskAll(shadow.MaskDetected(shadow.DetectCard))},
		{"tokens", shadow.MaskAll(shadow.MaskWith(shadow.Tokenize(key), shadow.MaskPatterns(card)))},
		{"hashes", shadow.MaskAll(shadow.MaskWith(shadow.Hash(), shadow.MaskPatterns(card)))},
		{"dropped", shadow.MaskAll(shadow.MaskWith(shadow.Drop(), shadow.MaskPatterns(card)))},
	}
}

type namedRule struct {
	name string
	shadow.Masker
}

// FuzzGate plants a card in random bytes of random types and charsets. Either it is gone, or
// the body does not leave.
func FuzzGate(f *testing.F) {
	for _, body := range gateBodies {
		before, after, _ := strings.Cut(body, plantedCard)
		for kind := range gateTypes {
			f.Add(uint8(kind), uint8(kind), uint8(kind), []byte(before), []byte(after))
		}
	}
	f.Add(uint8(2), uint8(0), uint8(0), []byte(`{"m":"{\"n\":`), []byte(`}"}`))
	f.Add(uint8(9), uint8(0), uint8(0), []byte("event: x\ndata: {\"n\":"), []byte("}\n\n"))
	charsets := []string{"", "utf-8", "iso-8859-1", "utf-16", "ucs-2", "windows-1251", "us-ascii", `"`}
	rules := fuzzedRules()
	f.Fuzz(func(t *testing.T, kind, charset, encoding uint8, before, after []byte) {
		full := gateTypes[int(kind)%len(gateTypes)]
		if name := charsets[int(charset)%len(charsets)]; name != "" {
			full += "; charset=" + name
		}
		body := string(before) + plantedCard + string(after)
		switch encoding % 4 {
		case 1:
			body = wide(body, binary.LittleEndian, encoding&4 != 0)
		case 2:
			body = wide(body, binary.BigEndian, encoding&4 != 0)
		case 3:
			body = string(before) + wide(plantedCard, binary.LittleEndian, false) + string(after)
		}
		for _, rule := range rules {
			if rule.name == "detected" && !alone(before, after) || rule.name == "dropped" {
				continue // digits beside a card make another number; what is around a gap may be a card
			}
			msg := &shadow.Message{Method: "POST", URL: &url.URL{Path: "/"}, Header: field("Content-Type", full), Body: []byte(body)}
			if rule.Mask(msg) == nil && holdsCard(msg.Body) {
				t.Fatalf("%s, %s: %q became %q", rule.name, full, body, msg.Body)
			}
		}
	})
}

// alone reports whether no letter, digit or sign stands beside what is between before and after.
func alone(before, after []byte) bool {
	ends := func(b []byte, i int) bool { return len(b) == 0 || strings.IndexByte(` ":,<>{}[]=&`+"\n", b[i]) >= 0 }
	return ends(before, max(0, len(before)-1)) && ends(after, 0)
}

// documents make of a text one document of each media type that the library reads, and read it: the
// answer is how many pieces it has.
var documents = []struct {
	contentType string
	write       func(text string) string
	pieces      func(body string) (int, error)
}{
	{"application/json", jsonDocument, countJSON},
	{"application/x-ndjson", func(s string) string { return jsonDocument(s) + "\n" + jsonDocument("") + "\n" }, countJSON},
	{"text/event-stream", func(s string) string { return "event: a\ndata: " + jsonDocument(s) + "\n\ndata: 1\n\n" }, countEvents},
	{"application/xml", xmlDocument, countXML},
	{"application/x-www-form-urlencoded", func(s string) string {
		return url.Values{"a": {s}, s: {plantedCard}, "j": {jsonDocument(s)}}.Encode()
	}, countForm},
	{"multipart/form-data; boundary=bb", func(s string) string {
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		w.SetBoundary("bb")
		w.WriteField("a", s+plantedCard)
		for _, part := range [][2]string{{"application/json", jsonDocument(s)}, {"application/xml", xmlDocument(s)}, {"text/plain", s}} {
			p, _ := w.CreatePart(textproto.MIMEHeader{"Content-Type": {part[0]}, "Content-Disposition": {`form-data; name="x"`}})
			io.WriteString(p, part[1])
		}
		w.Close()
		return b.String()
	}, countParts},
}

func jsonDocument(s string) string {
	n, _ := json.Marshal(map[string]any{"n": json.Number(plantedCard), "s": s + plantedCard, s: []any{s, plantedCard, nil}})
	doc, _ := json.Marshal(map[string]any{"in": string(n), "a": json.RawMessage(n)})
	return string(doc)
}

func xmlDocument(s string) string {
	var b bytes.Buffer
	xml.EscapeText(&b, []byte(s+plantedCard))
	return `<a b="` + b.String() + `">` + b.String() + "<c>" + plantedCard + "</c><!--" + plantedCard + "--></a>"
}

func countJSON(body string) (n int, err error) {
	for d := json.NewDecoder(strings.NewReader(body)); ; n++ {
		if _, err = d.Token(); err != nil {
			return n, notEOF(err)
		}
	}
}

func countEvents(body string) (n int, err error) {
	for line := range strings.SplitSeq(body, "\n") {
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			k, err := countJSON(data)
			if err != nil {
				return n, err
			}
			n += k
		}
	}
	return n, nil
}

func countXML(body string) (n int, _ error) {
	for d := xml.NewDecoder(strings.NewReader(body)); ; {
		token, err := d.Token()
		if err != nil {
			return n, notEOF(err)
		}
		if _, ok := token.(xml.StartElement); ok { // a comment may be taken away
			n++
		}
	}
}

func countForm(body string) (n int, err error) {
	form, err := url.ParseQuery(body)
	for _, values := range form {
		n += len(values)
	}
	if err == nil {
		_, err = countJSON(form.Get("j"))
	}
	return n, err
}

func countParts(body string) (n int, _ error) {
	for r := multipart.NewReader(strings.NewReader(body), "bb"); ; n++ {
		p, err := r.NextRawPart()
		if err != nil {
			return n, notEOF(err)
		}
		text, err := io.ReadAll(p)
		if err != nil {
			return n, err
		}
		read := map[string]func(string) (int, error){"application/json": countJSON, "application/xml": countXML}[p.Header.Get("Content-Type")]
		if read != nil {
			k, err := read(string(text))
			if err != nil {
				return n, err
			}
			n += k
		}
	}
}

func notEOF(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// FuzzWhatIsMaskedCanBeRead masks a card in documents of each media type: they stay documents
// of that type, with as many pieces, and without the card.
func FuzzWhatIsMaskedCanBeRead(f *testing.F) {
	for _, text := range []string{"", "a", "é", "a\n\nb", `"<&>'`, "]]>", "--bb", "\r\n--bb--\r\n", " 1", "data: {", "%", "+&=;", "\u2028", "{\"a\":1}", `\`} {
		for kind := range documents {
			f.Add(uint8(kind), text)
		}
	}
	rules := fuzzedRules()
	f.Fuzz(func(t *testing.T, kind uint8, text string) {
		doc := documents[int(kind)%len(documents)]
		body := doc.write(text)
		want, err := doc.pieces(body)
		if err != nil {
			return // a text that has the boundary, or a character that XML has not
		}
		for _, rule := range rules {
			msg := &shadow.Message{Method: "POST", URL: &url.URL{Path: "/"}, Header: field("Content-Type", doc.contentType), Body: []byte(body)}
			if rule.Mask(msg) != nil {
				continue
			}
			got, err := doc.pieces(string(msg.Body))
			if err != nil {
				t.Fatalf("%s: %v: %q became %q", rule.name, err, body, msg.Body)
			}
			if rule.name != "dropped" && got != want {
				t.Fatalf("%s: %d pieces of %d: %q became %q", rule.name, got, want, body, msg.Body)
			}
			if (rule.name == "patterns" || rule.name == "hashes") && holdsCard(msg.Body) {
				t.Fatalf("%s: %q became %q", rule.name, body, msg.Body)
			}
		}
	})
}
