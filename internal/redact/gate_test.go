package redact_test

import (
	"net/http"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow/internal/message"
	"github.com/goshadow/shadow/internal/redact"
)

// Every rule that would look into a body either reads it as its client wrote it or fails.
func TestTheGateReadsABodyOrFails(t *testing.T) {
	card := regexp.MustCompile("secret")
	for name, c := range map[string]struct {
		rule        *redact.Rule
		ctype, body string
		want        string // empty: an error
	}{
		"XML, no charset":                    {redact.MaskXML("a"), "text/xml", `<?xml version="1.0" encoding="utf-8"?><a>é</a>`, `<?xml version="1.0" encoding="utf-8"?><a>[masked]</a>`},
		"XML, the same charset twice":        {redact.MaskXML("a"), "text/xml; charset=utf-8", `<?xml version="1.0" encoding="utf-8"?><a>é</a>`, `<?xml version="1.0" encoding="utf-8"?><a>[masked]</a>`},
		"XML, two charsets, all of it ASCII": {redact.MaskXML("a"), "text/xml; charset=iso-8859-1", `<?xml version="1.0" encoding="utf-8"?><a>e</a>`, `<?xml version="1.0" encoding="utf-8"?><a>[masked]</a>`},
		"XML, two charsets":                  {redact.MaskXML("a"), "text/xml; charset=iso-8859-1", `<?xml version="1.0" encoding="utf-8"?><a>é</a>`, ""},
		"XML, Latin-1 by itself":             {redact.MaskXML("a"), "text/xml", "<?xml version=\"1.0\" encoding=\"iso-8859-1\"?><a>\xe9</a><!--\xe9-->", "<?xml version=\"1.0\" encoding=\"iso-8859-1\"?><a>[masked]</a><!--\xe9-->"},
		"XML, an unknown charset":            {redact.MaskXML("a"), "text/xml", `<?xml version="1.0" encoding="x-none"?><a>e</a>`, ""},
		"JSON, Latin-1 that is ASCII":        {redact.MaskJSON("$.a"), "application/json; charset=iso-8859-1", `{"a":"e"}`, `{"a":"[masked]"}`},
		"JSON, Latin-1":                      {redact.MaskJSON("$.a"), "application/json; charset=iso-8859-1", "{\"a\":\"\xe9\"}", ""},
		"JSON, an unknown charset":           {redact.MaskJSON("$.a"), "application/json; charset=x-none", `{"a":"e"}`, ""},
		"a form, Latin-1 that is ASCII":      {redact.MaskForm("a"), "application/x-www-form-urlencoded; charset=iso-8859-1", "a=e&b=%20", "a=%5Bmasked%5D&b=%20"},
		"a form, Latin-1 behind escapes":     {redact.MaskForm("a"), "application/x-www-form-urlencoded; charset=iso-8859-1", "a=e&b=%E9", ""},
		"a form, UTF-8 behind escapes":       {redact.MaskForm("a"), "application/x-www-form-urlencoded; charset=utf-8", "a=e&b=%C3%A9", "a=%5Bmasked%5D&b=%C3%A9"},
		"text, Latin-1":                      {redact.MaskPatterns(card), "text/plain; charset=iso-8859-1", "secret \xe9", "[masked] \xe9"},
		"text that is no UTF-8":              {redact.MaskPatterns(card), "text/plain; charset=utf-8", "secret \xe9", ""},
		"bytes, little-endian UTF-16":        {redact.MaskDetected(), "application/octet-stream", "\xff\xfea\x00", ""},
		"bytes, big-endian UTF-16":           {redact.MaskDetected(), "application/octet-stream", "\xfe\xff\x00a", ""},
		"bytes":                              {redact.MaskDetected(), "application/octet-stream", "\xff\xfda\x00", "\xff\xfda\x00"},
		"an image that may hold anything":    {redact.MaskDetected(), "image/png", "\xff\xfea\x00", "\xff\xfea\x00"},
	} {
		t.Run(name, func(t *testing.T) {
			m := &message.Message{Header: http.Header{"Content-Type": {c.ctype}}, Body: []byte(c.body)}
			err := c.rule.Mask(m)
			if c.want == "" {
				require.Error(t, err)
				assert.Equal(t, c.body, string(m.Body))
				return
			}
			require.NoError(t, err)
			assert.Equal(t, c.want, string(m.Body))
		})
	}
}

// Readers do not agree which of several types counts.
func TestSeveralTypesOfABodyAreAnError(t *testing.T) {
	rule := redact.All("MaskAll", nil, redact.MaskJSON("$.a"))
	for want, types := range map[string][]string{
		"":                                    {"application/json", "application/json"},
		"several Content-Type fields that di": {"application/json", "text/plain"},
	} {
		for _, mask := range []func(*message.Message) error{rule.Mask, redact.MaskJSON("$.a").Mask, redact.MaskDetected().Mask} {
			err := mask(&message.Message{Header: http.Header{"Content-Type": types}, Body: []byte(`{"a":1}`)})
			if want == "" {
				assert.NoError(t, err)
			} else {
				assert.ErrorContains(t, err, want)
			}
		}
		// Of two spellings of the name the header has no order.
		m := &message.Message{Header: http.Header{"Content-Type": types[:1], "content-type": types[1:]}, Body: []byte(`{"a":1}`)}
		assert.Equal(t, want == "", rule.Mask(m) == nil)
	}
}

// A body that is there in part is an error for a rule that would look into it, and for no other.
func TestATruncatedBodyIsAnErrorForTheRulesThatWouldLook(t *testing.T) {
	for _, c := range []struct {
		rule  *redact.Rule
		ctype string
		fails bool
	}{
		{redact.MaskJSON("$.a"), "application/json", true},
		{redact.MaskJSON("$.a"), "image/png", false},
		{redact.MaskJSON("$.a"), "multipart/form-data; boundary=b", true}, // its parts may be anything
		{redact.MaskXML("a"), "application/json", false},
		{redact.MaskDetected(), "image/png", false},
		{redact.MaskHeaders("X"), "application/json", false},
		{redact.All("MaskAll", nil, redact.AllowBodies("application/json")), "application/json", false},
		{redact.All("MaskAll", nil, redact.AllowBodies("application/json")), "multipart/form-data; boundary=b", true},
	} {
		m := &message.Message{Header: http.Header{"Content-Type": {c.ctype}}, Body: []byte(`PNG`), Truncated: true}
		assert.Equal(t, c.fails, c.rule.Mask(m) != nil, "%s %s", c.rule.Option, c.ctype)
		assert.Equal(t, "PNG", string(m.Body))
	}
}

// A multipart body is as covered as its least covered part, and the error names the first.
func TestEveryPartHasToBeCovered(t *testing.T) {
	const form = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n" +
		"--b\r\nContent-Disposition: form-data; name=\"b\"; filename=\"f\"\r\nContent-Type: text/csv\r\n\r\n1\r\n" +
		"--b\r\nContent-Disposition: form-data; name=\"c\"; filename=\"f\"\r\nContent-Type: image/png\r\n\r\n1\r\n--b--\r\n"
	csv, png, fields := redact.AllowBodies("text/csv"), redact.AllowBodies("image/*"), redact.MaskForm("x")
	for want, rules := range map[string][]*redact.Rule{
		"":            {csv, png, fields},
		`"image/png"`: {csv, fields},
		`"text/csv"`:  {fields},
	} {
		m := &message.Message{Header: http.Header{"Content-Type": {"multipart/form-data; boundary=b"}}, Body: []byte(form)}
		err := redact.All("MaskAll", nil, rules...).Mask(m)
		if want == "" {
			assert.NoError(t, err)
		} else {
			assert.ErrorContains(t, err, want)
		}
	}
	// Of a body whose parts cannot be told apart nobody knows what is in it.
	for _, broken := range []string{form[:len(form)-4], "x", "--b\r\nX: y"} {
		m := &message.Message{Header: http.Header{"Content-Type": {"multipart/form-data; boundary=b"}}, Body: []byte(broken)}
		assert.Error(t, redact.All("MaskAll", nil, csv, png, redact.AllowBodies("text/plain")).Mask(m), "%q", broken)
	}
	// A part that is replaced as a whole needs no rule that looks into it.
	m := &message.Message{Header: http.Header{"Content-Type": {"multipart/form-data; boundary=b"}}, Body: []byte(form)}
	require.NoError(t, redact.All("MaskAll", nil, redact.MaskForm("a", "b", "c")).Mask(m))
}

func TestAllowBodiesTakesMediaTypes(t *testing.T) {
	for _, bad := range []string{"", "png", "/png", "image/", "*/png", "image/png; q=1", "image/png,text/csv", "a b/c"} {
		assert.Error(t, redact.AllowBodies(bad).Err, "%q", bad)
	}
	for _, good := range []string{"image/png", "image/*", "*/*"} {
		assert.NoError(t, redact.AllowBodies(good).Err, "%q", good)
	}
}

// Two masks of one type are two masks, and a mask that is given twice is one.
func TestAMaskIsTheSameOnlyAsItself(t *testing.T) {
	type user struct{ name string }
	mask := func(*message.Message) error { return nil }
	a, b := redact.Wrap(user{"a"}, mask), redact.Wrap(user{"b"}, mask)
	assert.True(t, a.Same(redact.Wrap(user{"a"}, mask)))
	assert.False(t, a.Same(b))
	assert.False(t, a.Same(redact.MaskJSON("$.a")))
	one := redact.MaskJSON("$.a")
	assert.True(t, one.Same(one))
	assert.False(t, one.Same(redact.MaskJSON("$.a")))
	assert.False(t, redact.Wrap([]int{}, mask).Same(redact.Wrap([]int{}, mask)), "it cannot be compared")
	assert.Len(t, redact.Union("", []*redact.Rule{a}, redact.All("", nil, a, b)).Units(), 2)
}
