package shadow_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

// Text is compared as what it says in its charset; a charset that is not known is an error.
func TestCharsetsAreConvertedOrAnError(t *testing.T) {
	const latin, utf16 = "<?xml version='1.0' encoding='ISO-8859-1'?>", "\xfe\xff\x00<\x00a"
	for name, c := range map[string]struct {
		typeP, typeS, p, s string
		want               []string
		unknown            bool
	}{
		"XML declared":            {"application/xml", "application/xml", latin + "<a b='1' c='\xe9'/>", latin + "<a c='\xe9' b='1'/>", nil, false},
		"XML declared, another":   {"application/xml", "application/xml", latin + "<a b='\xe8'/>", latin + "<a b='\xe9'/>", []string{`/body/a/@b changed "è" "é"`}, false},
		"XML by its type":         {"text/xml; charset=windows-1251", "text/xml; charset=windows-1251", "<a b='1' c='\xc0'/>", "<a c='\xc0' b='1'/>", nil, false},
		"XML 1.1":                 {"application/xml", "application/xml", "<?xml version=\"1.1\"?><a b='1' c='2'/>", "<?xml version=\"1.1\"?><a c='2' b='1'/>", nil, false},
		"XML in another charset":  {"application/xml", "application/xml", latin + "<a>\xe9</a>", "<a>é</a>", nil, false},
		"text in another charset": {"text/plain; charset=iso-8859-15", "text/plain; charset=utf-8", "\xa4 \xe9", "€ é", []string{`/header/Content-Type changed "text/plain; charset=iso-8859-15" "text/plain; charset=utf-8"`}, false},
		"text":                    {"text/plain; charset=windows-1252", "text/plain; charset=windows-1252", "a\n\x80", "a\n\x99", []string{`/body/1 changed "€" "™"`}, false},
		"text in none":            {"text/plain", "text/plain", "a\n\x80", "a\n\x80\x81", []string{`/body/1 changed "1 bytes, at 1" -`}, false},
		"JSON with a mark":        {"application/json", "application/json", "\ufeff{\"a\":1,\"b\":2}", "\ufeff{\"b\":2,\"a\":3}", []string{`/body/a changed 1 3`}, false},
		"NDJSON with a mark":      {"application/x-ndjson", "application/x-ndjson", "\ufeff{\"a\":1,\"b\":2}\n", "\ufeff{\"b\":2,\"a\":3}\n", []string{`/body/0/a changed 1 3`}, false},
		"UTF-16":                  {"application/xml", "application/xml", utf16, utf16 + "\x00b", nil, true},
		"UTF-16 by name":          {"application/json; charset=utf-16", "application/json; charset=utf-16", "a\x00", "b\x00", nil, true},
		"not known":               {"application/xml; charset=gb18030", "application/xml; charset=gb18030", "<a>1</a>", "<a>2</a>", nil, true},
		"not known, XML":          {"application/xml", "application/xml", "<?xml version='1.0' encoding='ibm037'?><a>1</a>", "<?xml version='1.0' encoding='ibm037'?><a>2</a>", nil, true},
		"not known, the same":     {"text/plain; charset=gb18030", "text/plain; charset=gb18030", "a", "b", []string{`/body changed "a" "b"`}, false},
		"not known, two":          {"text/plain; charset=gb18030", "text/plain; charset=big5", "a", "b", []string{`/header/Content-Type changed "text/plain; charset=gb18030" "text/plain; charset=big5"`}, true},
		"not in its charset":      {"application/xml; charset=windows-1253", "application/xml; charset=windows-1253", "<a>\xff</a>", "<a>\xd2</a>", nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			compare, err := shadow.NewComparator(shadow.CompareOptions{})
			require.NoError(t, err)
			message := func(contentType, body string) *shadow.Message {
				return &shadow.Message{StatusCode: 200, Header: http.Header{"Content-Type": {contentType}}, Body: []byte(body)}
			}
			got := compare.Compare(&shadow.Exchange{Primary: message(c.typeP, c.p), Shadow: message(c.typeS, c.s)})
			assert.Equal(t, c.unknown, got.Err != nil, "%v", got.Err)
			if c.unknown {
				assert.ErrorIs(t, got.Err, shadow.ErrBody)
				res := exchange(t, said{header: http.Header{"Content-Type": {c.typeP}}, body: c.p}, shadow.InProcess("candidate", said{header: http.Header{"Content-Type": {c.typeS}}, body: c.s}), get())
				if c.want == nil {
					assert.Equal(t, shadow.Uncompared, res.Outcome)
				}
			} else if name != "text in none" {
				assert.Equal(t, append([]string{}, c.want...), written(got.Diffs))
			} else {
				assert.Len(t, got.Diffs, 1)
			}
		})
	}
}
