package detect

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// shown are findings as "kind:text".
func shown(text string, found []Finding) []string {
	list := []string{}
	for _, f := range found {
		list = append(list, f.Kind.String()+":"+text[f.Start:f.End])
	}
	return list
}

func TestKindsHaveNamesOfTheirOwn(t *testing.T) {
	for k := range numKinds {
		named, ok := Named(k.String())
		assert.True(t, ok)
		assert.Equal(t, k, named)
		assert.True(t, All.Has(k))
		assert.True(t, Of(k).Has(k))
		assert.False(t, (All &^ Of(k)).Has(k))
	}
	_, ok := Named("ssn")
	assert.False(t, ok)
	assert.False(t, All.Has(numKinds))
}

// Each kind is found when it is asked for alone, and not when all others are.
func TestOnlyTheKindsAskedForAreFound(t *testing.T) {
	for _, l := range corpus(t) {
		for _, f := range Text(nil, []byte(l.Text), All) {
			for _, one := range Text(nil, []byte(l.Text), Of(f.Kind)) {
				assert.Equal(t, f.Kind, one.Kind)
			}
			for _, others := range Text(nil, []byte(l.Text), All&^Of(f.Kind)) {
				assert.NotEqual(t, f.Kind, others.Kind)
			}
		}
	}
}

func TestFindingsAreAppended(t *testing.T) {
	before := Finding{Kind: JWT, Start: 100, End: 200}
	for name, scan := range map[string]func([]Finding, []byte, Kinds) []Finding{"Scan": Scan, "Text": Text, "Form": Form} {
		got := scan([]Finding{before}, []byte("ann@example.com"), All)
		assert.Equal(t, []Finding{before, {Kind: Email, Start: 0, End: 15}}, got, name)
	}
	got, err := JSON([]Finding{before}, []byte(`"ann@example.com"`), All)
	require.NoError(t, err)
	assert.Equal(t, []Finding{before, {Kind: Email, Start: 1, End: 16}}, got)
}

func TestAnAddressTakesUpWhatIsFoundInIt(t *testing.T) {
	for _, text := range []string{
		"+491711234567@example.com", "4111111111111111@example.com", "AKIAIOSFODNN7EXAMPLE@example.com", "ann@example.com@example.org",
	} {
		assert.Equal(t, []string{"email:" + text}, shown(text, Scan(nil, []byte(text), All)), text)
	}
}

func TestEncodingsAreLookedThrough(t *testing.T) {
	for text, want := range map[string]string{
		"ann%40example.com":                             "email:ann%40example.com",
		"q=ann%2540example.com":                         "email:ann%2540example.com",
		"<td>ann&#64;example&period;com</td>":           "email:ann&#64;example&period;com",
		"<td>ann&#x40;example.com</td>":                 "email:ann&#x40;example.com",
		"<td>ann&commat;example.com</td>":               "email:ann&commat;example.com",
		`var e = "ann\u0040example.com"`:                `email:ann\u0040example.com`,
		`{"\"mail\":\"ann\\u0040example.com\""}`:        `email:ann\\u0040example.com`,
		"tel=%2B4917112345678":                          "phone:%2B4917112345678",
		"card=4111%201111%201111%201111":                "card:4111%201111%201111%201111",
		"x%":                                            "",
		"%4":                                            "",
		"&;&#;&#x;&#64&nosuch;&#1114112;&#99999999999;": "",
		`\`:                        "",
		`\u12`:                     "",
		`\ud83d`:                   "",
		`\ud83d\u0041 x`:           "",
		`a@\ud83d\ude00.example x`: `email:a@\ud83d\ude00.example`,
		"a %zz 4111111111111111 b": "card:4111111111111111",
		`C:\users\ann@example.com`: "email:ann@example.com",
		"ann%40example.com and 4111111111111111 and b%40": "email:ann%40example.com card:4111111111111111",
	} {
		assert.Equal(t, want, strings.Join(shown(text, Text(nil, []byte(text), All)), " "), text)
	}
}

func TestAFormIsReadWithAndWithoutItsPluses(t *testing.T) {
	for text, want := range map[string]string{
		"card=4111+1111+1111+1111&x=1":     "card:4111+1111+1111+1111",
		"tel=%2B49+171+1234567":            "phone:%2B49+171+1234567",
		"tel=+491711234567":                "phone:+491711234567", // not encoded, as many clients send it
		"iban=GB82+WEST+1234+5698+7654+32": "iban:GB82+WEST+1234+5698+7654+32",
		"a=1+2&b=3":                        "",
	} {
		assert.Equal(t, want, strings.Join(shown(text, Form(nil, []byte(text), All)), " "), text)
	}
}

func TestJSONIsReadByItsStringsAndNumbers(t *testing.T) {
	for doc, want := range map[string]string{
		`{"a":4111111111111111}`:                                    "card:4111111111111111",
		`[-4111111111111111,4111111111111111.0,4111111111111111e0]`: "card:-4111111111111111 card:4111111111111111.0 card:4111111111111111e0",
		`[4.111111111111111E15,41111111111111110e-1,0.004111111111111111e+18,4.111111111111111E14,1e99999999999,1e-9]`: "card:4.111111111111111E15 card:41111111111111110e-1 card:0.004111111111111111e+18",
		`{"a":"ann@example.com","ann@example.org":1}`:                                                                  "email:ann@example.com email:ann@example.org",
		`"ann\u0040example.com"`:                           `email:ann\u0040example.com`,
		`"\nann@example.com\n"`:                            "email:ann@example.com",
		`"\\nann@example.com"`:                             `email:nann@example.com`,
		`"https:\/\/x\/?e=ann%40example.com"`:              "email:ann%40example.com",
		`"{\"e\":\"ann\\u0040example.com\"}"`:              `email:ann\\u0040example.com`,
		`["4111","1111","1111","1111"]`:                    "",
		`{"a":1.5,"b":null,"c":true,"d":[],"e":{},"f":""}`: "",
	} {
		found, err := JSON(nil, []byte(doc), All)
		require.NoError(t, err)
		assert.Equal(t, want, strings.Join(shown(doc, found), " "), doc)
	}
	for _, broken := range []string{"", "{", `{"a":"ann@example.com"`, `"ann@example.com" x`, "\x00"} {
		found, err := JSON(nil, []byte(broken), All)
		assert.Error(t, err, broken)
		assert.Empty(t, found, broken)
	}
}

func encodes(r rune) bool { return strings.ContainsRune(`%&\`, r) || fold(r) != r }

func TestTextThatHoldsNothingCostsNoAllocation(t *testing.T) {
	var clean []byte
	for _, l := range corpus(t) {
		if len(l.Spans) == 0 && len(Text(nil, []byte(l.Text), All)) == 0 && !strings.ContainsFunc(l.Text, encodes) {
			clean = append(append(clean, l.Text...), "\n\n"...)
		}
	}
	require.Empty(t, Text(nil, clean, All))
	doc := payload(20)
	assert.Zero(t, testing.AllocsPerRun(10, func() { Scan(nil, clean, All) }))
	assert.Zero(t, testing.AllocsPerRun(10, func() { Text(nil, clean, All) }))
	assert.Zero(t, testing.AllocsPerRun(10, func() { _, _ = JSON(nil, doc, All) }))
}

// payload is an ordinary answer of an API, about 200 bytes an item.
func payload(items int) []byte {
	var out strings.Builder
	out.WriteString(`{"page":1,"items":[`)
	for i := range items {
		if i > 0 {
			out.WriteByte(',')
		}
		fmt.Fprintf(&out, `{"id":%d,"sku":"AB-%05d","name":"Item number %d","price":%d.95,"created_at":"2024-05-06T07:08:%02dZ",`+
			`"updated":17149792890%02d,"etag":"9e107d9d372bb6826bd81d3542a419d6","ref":"550e8400-e29b-41d4-a716-4466554400%02d","tags":["a","b"]}`,
			1000+i, i, i, i, i%60, i%100, i%100)
	}
	out.WriteString(`]}`)
	return []byte(out.String())
}

// hostile are texts that would keep a scanner busy which looks at a part again and again.
var hostile = map[string]string{
	"digits": "4", "digit groups": "4111-", "digit groups with spaces": "4111 ", "octets": "1.", "octets of three": "255.", "at signs": "@",
	"addresses": "a@", "labels": "a@b.", "dots": ".", "local parts": "a.b-", "colons": "2001:", "hex groups": "2001:db8::", "pluses": "+49",
	"phone separators": "+4 ", "parentheses": "(0)", "JWT parts": "eyJ.", "long JWT parts": "eyJhbGciOiJub25lIn.", "JWT in one part": "eyJ-",
	"bearers": "Bearer ", "bearers in one": "Bearer=", "basics": "Basic ", "spaces": " ", "keys": "xoxb-", "other keys": "AIza", "longer keys": "sk_live_",
	"PEM": "-----BEGIN ", "PEM keys": "-----BEGIN PRIVATE KEY-----", "PEM certificates": "-----BEGIN X-----", "dashes": "-", "countries": "GB82 ", "country": "GB82",
	"percent": "%", "percents": "%25", "references": "&amp;", "ampersands": "&", "backslashes": `\`, "escapes": `\u005c`, "letters": "a", "capitals": "A",
	"NUL": "\x00", "not UTF-8": "\xff", "exponents": "4e1", "fractions": "1.1e", "more exponents": "4.1E+1-", "no-break spaces": "\u00a0", "wide digits": "４",
	"invisible": "\u200b", "wide at signs": "a＠", "references without semicolons": "&#160", "names of references": "&nbsp;", "wide percents": "%u0040",
	"JWT parts in one that is cut": "eyJhbGciOiJub25lIn0-", "OpenAI": "sk-", "OpenAI apart": "sk- ", "GitLab": "glpat-", "AWS": "AKIA", "signatures": "sig=", "stripes": "B4111",
	"ranges": "203.0.113.9-", "ranges of IPv6": "2001:db9::1-", "escapes of scripts": `\u{40}`, "six letters": "RSSMRA ",
}

// A quarter of a megabyte takes some milliseconds. In quadratic time all of them would take hours, and the
// test would be stopped.
func TestHostileTextTakesLinearTime(t *testing.T) {
	for name, part := range hostile {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := []byte(strings.Repeat(part, (1<<18)/len(part)) + "@example.com")
			inBounds(t, text, Text(nil, text, All))
			inBounds(t, text, Form(nil, text, All))
		})
	}
}

// inBounds checks that findings are inside of text, in order, and apart from each other.
func inBounds(t testing.TB, text []byte, found []Finding) {
	end := 0
	for _, f := range found {
		require.LessOrEqual(t, end, f.Start)
		require.Less(t, f.Start, f.End)
		require.LessOrEqual(t, f.End, len(text))
		require.Less(t, f.Kind, numKinds)
		end = f.End
	}
}
