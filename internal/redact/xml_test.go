package redact_test

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow/internal/redact"
)

func TestXML(t *testing.T) {
	names := redact.NewNames("Card", "pin")
	for name, c := range map[string]struct{ in, masked, dropped, token string }{
		"an element": {`<a><card>41</card><b>1</b></a>`,
			`<a><card>[masked]</card><b>1</b></a>`, `<a><b>1</b></a>`, `<a><card>&lt;41&gt;</card><b>1</b></a>`},
		"any prefix and case": {`<a xmlns:x="u"><x:CARD>s</x:CARD></a>`,
			`<a xmlns:x="u"><x:CARD>[masked]</x:CARD></a>`, `<a xmlns:x="u"></a>`, `<a xmlns:x="u"><x:CARD>&lt;S&gt;</x:CARD></a>`},
		"an attribute": {`<a id="1"  pin = 's' b="2"/>`,
			`<a id="1"  pin = '[masked]' b="2"/>`, `<a id="1" b="2"/>`, `<a id="1"  pin = '&lt;S&gt;' b="2"/>`},
		"the attributes of an element": {`<a><card no="s" xmlns="u">t</card></a>`,
			`<a><card no="[masked]" xmlns="u">[masked]</card></a>`, `<a></a>`, `<a><card no="&lt;S&gt;" xmlns="u">&lt;T&gt;</card></a>`},
		"elements inside": {`<card><n x="s">t</n> <m/>u</card>`,
			`<card>[masked]</card>`, ``, `<card><n x="&lt;S&gt;">&lt;T&gt;</n> <m/>&lt;U&gt;</card>`},
		"sections and references": {`<a><card>s<![CDATA[<t>]]>&amp;&#117;</card></a>`,
			`<a><card>[masked]</card></a>`, `<a></a>`, `<a><card>&lt;S&lt;T&gt;&amp;U&gt;</card></a>`},
		"comments": {`<a><card>s<!-- t -->u<?p v?></card><!-- w --></a>`,
			`<a><card>[masked]</card><!-- w --></a>`, `<a><!-- w --></a>`, `<a><card>&lt;SU&gt;</card><!-- w --></a>`},
		"empty":        {`<a><card/><card></card><pin x="s"/></a>`, `<a><card/><card></card><pin x="[masked]"/></a>`, `<a></a>`, `<a><card/><card></card><pin x="&lt;S&gt;"/></a>`},
		"one in other": {`<a><card><card>s</card></card></a>`, `<a><card>[masked]</card></a>`, `<a></a>`, `<a><card><card>&lt;S&gt;</card></card></a>`},
		"none": {"\ufeff<?xml version=\"1.0\"?>\r\n<!DOCTYPE a>\n<a  b='card' >card<cards/></a >\n",
			"\ufeff<?xml version=\"1.0\"?>\r\n<!DOCTYPE a>\n<a  b='card' >card<cards/></a >\n", "\ufeff<?xml version=\"1.0\"?>\r\n<!DOCTYPE a>\n<a  b='card' >card<cards/></a >\n",
			"\ufeff<?xml version=\"1.0\"?>\r\n<!DOCTYPE a>\n<a  b='card' >card<cards/></a >\n"},
	} {
		t.Run(name, func(t *testing.T) {
			for r, want := range map[*redact.Replacement]string{{}: c.masked, &dropped: c.dropped, &upped: c.token} {
				got, err := redact.XML([]byte(c.in), names, *r)
				require.NoError(t, err)
				assert.Equal(t, want, string(got))
			}
		})
	}
}

func TestXMLThatCannotBeReadIsAnError(t *testing.T) {
	for _, doc := range []string{"", "text", "<a>", "<a></b>", "<a/><b/>", "<a>&card;</a>", `<a b=1/>`, "<a", "<a>\xff</a>",
		`<!DOCTYPE a [<!ENTITY card "4111">]><a/>`, strings.Repeat("<a>", 2000) + strings.Repeat("</a>", 2000), "<a><!DOCTYPE b></a>"} {
		_, err := redact.XML([]byte(doc), redact.NewNames("card"), redact.Replacement{})
		assert.Error(t, err, "%.40q", doc)
		_, err = texts("s").XML([]byte(doc))
		assert.Error(t, err, "%.40q", doc)
	}
}

// hidden is what encoding/xml finds in elements called card and attributes called card,
// and shown is everything else.
func hidden(doc []byte) (values []string, shown string, valid bool) {
	d := xml.NewDecoder(strings.NewReader(strings.TrimPrefix(string(doc), "\ufeff")))
	inside := 0
	for {
		token, err := d.RawToken()
		if err != nil {
			return values, shown, errors.Is(err, io.EOF)
		}
		switch token := token.(type) {
		case xml.StartElement:
			is := strings.EqualFold(token.Name.Local, "card")
			for _, a := range token.Attr {
				if a.Name.Space != "xmlns" && a.Name.Local != "xmlns" && (is || inside > 0 || strings.EqualFold(a.Name.Local, "card")) {
					values = append(values, a.Value)
				} else {
					shown += " " + a.Name.Local + "=" + a.Value
				}
			}
			if inside == 0 {
				shown += "<" + token.Name.Local
			}
			if is || inside > 0 {
				inside++
			}
		case xml.EndElement:
			inside = max(0, inside-1)
		case xml.CharData:
			if inside > 0 {
				values = append(values, string(token))
			} else {
				shown += string(token)
			}
		case xml.Comment:
			if inside > 0 {
				values = append(values, string(token))
			} else {
				shown += string(token)
			}
		}
	}
}

// What encoding/xml reads in masked XML holds no value that had to be masked, and all
// others as they were.
func FuzzXMLHidesEveryValue(f *testing.F) {
	for _, seed := range []string{`<a><card n="1">s</card></a>`, `<a card='x'><b><x:card xmlns:x="u"><c>1</c>2</x:card></b></a>`,
		`<card>1<![CDATA[2]]><!--3--></card>`, `<a  card = "a>b" c='"'/>`, "\ufeff<a><card/>\r\n</a>"} {
		f.Add(seed)
	}
	names := redact.NewNames("card")
	f.Fuzz(func(t *testing.T, doc string) {
		before, shown, _ := hidden([]byte(doc))
		for _, r := range []redact.Replacement{{}, dropped, upped} {
			got, err := redact.XML([]byte(doc), names, r)
			if err != nil {
				return
			}
			if len(before) == 0 {
				require.True(t, r.Drops() || doc == string(got), "%q became %q", doc, got)
			}
			after, still, valid := hidden(got)
			require.True(t, valid, "%q became %q", doc, got)
			if r == (redact.Replacement{}) {
				require.Equal(t, shown, still, "%q became %q", doc, got)
			}
			for _, value := range after {
				token := strings.HasPrefix(value, "<") && strings.HasSuffix(value, ">") && r == upped
				require.True(t, value == redact.Masked || token || strings.Trim(value, " \t\r\n") == "", "%q in %q of %q", value, got, doc)
			}
		}
	})
}

// What is inside of CDATA, escaped text, attributes and comments is XML to somebody.
func TestXMLInsideOfXML(t *testing.T) {
	names := redact.NewNames("pin")
	for in, want := range map[string]string{
		`<a><![CDATA[<b><pin>secret</pin></b>]]></a>`:                        `<a>&lt;b&gt;&lt;pin&gt;[masked]&lt;/pin&gt;&lt;/b&gt;</a>`,
		`<a>&lt;PIN x="1"&gt;secret&lt;/PIN&gt;</a>`:                         `<a>&lt;PIN x=&#34;[masked]&#34;&gt;[masked]&lt;/PIN&gt;</a>`,
		`<a><![CDATA[<x pin="secret"/>]]></a>`:                               `<a>&lt;x pin=&#34;[masked]&#34;/&gt;</a>`,
		`<a>one <![CDATA[<s:pin>]]>secret<![CDATA[</s:pin> two]]></a>`:       `<a>one &lt;s:pin&gt;[masked]&lt;/s:pin&gt; two</a>`,
		`<a b="&lt;pin>secret&lt;/pin>"/>`:                                   `<a b="&lt;pin&gt;[masked]&lt;/pin&gt;"/>`,
		`<a><![CDATA[<b>&lt;pin&gt;secret&lt;/pin&gt;</b>]]></a>`:            `<a>&lt;b&gt;&amp;lt;pin&amp;gt;[masked]&amp;lt;/pin&amp;gt;&lt;/b&gt;</a>`,
		`<a><!-- <pin>secret</pin> -->1<!-- pins and needles --></a>`:        `<a>1<!-- pins and needles --></a>`,
		`<a><?x pin="secret"?>1<?y z?></a>`:                                  `<a>1<?y z?></a>`,
		`<!--<pin>secret</pin>--><a/>`:                                       `<a/>`,
		`<a><![CDATA[<?xml version="1.0"?><pin>secret</pin>]]></a>`:          `<a>&lt;?xml version=&#34;1.0&#34;?&gt;&lt;pin&gt;[masked]&lt;/pin&gt;</a>`,
		`<a><![CDATA[the pin is <b>wrong]]>, the pin: 1 &lt; 2</a>`:          `<a><![CDATA[the pin is <b>wrong]]>, the pin: 1 &lt; 2</a>`,
		`<a><![CDATA[<b>1</b>]]></a>`:                                        `<a><![CDATA[<b>1</b>]]></a>`,
		`<a><![CDATA[<pin>secret]]></a>`:                                     "",
		`<a>&lt;pin&gt;secret</a>`:                                           "",
		`<a b="&lt;x pin='secret'"/>`:                                        "",
		`<a><![CDATA[<!DOCTYPE a [<!ENTITY pin "secret">]><pin>&pin;]]></a>`: "",
	} {
		got, err := redact.XML([]byte(in), names, redact.Replacement{})
		if want == "" {
			require.Error(t, err, in)
			continue
		}
		require.NoError(t, err, in)
		require.Equal(t, want, string(got), in)
	}
	got, err := redact.XML([]byte(`<a><![CDATA[<b><pin>secret</pin></b><pin/>]]></a>`), names, redact.Drop())
	require.NoError(t, err)
	require.Equal(t, `<a>&lt;b&gt;&lt;/b&gt;</a>`, string(got))
}
