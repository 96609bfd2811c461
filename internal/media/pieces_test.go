package media_test

import (
	"encoding/xml"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow/internal/media"
)

func TestFormats(t *testing.T) {
	for contentType, want := range map[string]media.Format{
		"Text/CSV; charset=UTF-8; header=present":          {Kind: media.Lines, Type: "text/csv", Charset: "utf-8"},
		"application/x-www-form-urlencoded":                {Kind: media.Form, Type: "application/x-www-form-urlencoded"},
		"text/event-stream":                                {Kind: media.Events, Type: "text/event-stream"},
		"image/svg+xml":                                    {Kind: media.XML, Type: "image/svg+xml"},
		"application/yaml":                                 {Kind: media.Lines, Type: "application/yaml"},
		"image/png":                                        {Type: "image/png"},
		`multipart/form-data; boundary="a b"`:              {Kind: media.Multipart, Type: "multipart/form-data", Boundary: "a b", Named: true},
		"multipart/mixed; boundary=A; x":                   {Kind: media.Multipart, Type: "multipart/mixed"},
		"multipart/Mixed; boundary=A; x=y":                 {Kind: media.Multipart, Type: "multipart/mixed", Boundary: "A"},
		"text/plain; charset=utf-16; x":                    {Kind: media.Lines, Type: "text/plain", Charset: media.UnknownCharset},
		"text/plain; x":                                    {Kind: media.Lines, Type: "text/plain"},
		"multipart/mixed":                                  {Kind: media.Multipart, Type: "multipart/mixed"},
		"multipart/mixed; boundary=a; boundary=b":          {Kind: media.Multipart, Type: "multipart/mixed"},
		"text/plain; boundary=a":                           {Kind: media.Lines, Type: "text/plain"},
		"a/" + strings.Repeat("b", media.MaxField):         {},
		"multipart/x; boundary=" + strings.Repeat("b", 71): {Kind: media.Multipart, Type: "multipart/x"},
	} {
		assert.Equal(t, want, media.Of(contentType), "%.60s", contentType)
	}
}

func TestFields(t *testing.T) {
	for text, want := range map[string][]string{
		"":              nil,
		"&&":            nil,
		"a=1":           {"a|1"},
		"a=1&b&=c&d=e=": {"a|1", "b|", "|c", "d|e="},
	} {
		var got []string
		for f := range media.Fields([]byte(text)) {
			got = append(got, text[f.Start:f.Name]+"|"+text[f.Value:f.End])
		}
		assert.Equal(t, want, got, text)
	}
	for range media.Fields([]byte("a&b")) {
		break
	}
}

// Unescape is url.QueryUnescape, but takes what that refuses as it is.
func FuzzUnescape(f *testing.F) {
	f.Add("a+b%20c%zz%4")
	f.Fuzz(func(t *testing.T, text string) {
		got := string(media.Unescape(nil, []byte(text)))
		if want, err := url.QueryUnescape(text); err == nil {
			require.Equal(t, want, got)
		}
		if !strings.ContainsAny(text, "%+") {
			require.Equal(t, text, got)
		}
	})
}

func TestEventLines(t *testing.T) {
	const text = "\ufeffdata: a\r\ndata:b\rdata\n\n: c\nid:  d"
	var got []string
	for l := range media.EventLines([]byte(text)) {
		got = append(got, text[l.Start:l.Name]+"|"+text[l.Value:l.End])
		assert.Equal(t, l.Blank(), l.Start == l.End)
	}
	assert.Equal(t, []string{"data|a", "data|b", "data|", "|", "|c", "id| d"}, got)
	for range media.EventLines([]byte("a\nb")) {
		break
	}
}

func TestParts(t *testing.T) {
	const body = "preamble\r\n--b\r\nA: 1\r\na : 2\r\nB: x\r\n y\r\n\r\nfirst\r\n--bb\r\n--b \t\n\nsecond\n--b--\r\nepilogue"
	var got []string
	for p, err := range media.Parts([]byte(body), "b") {
		require.NoError(t, err)
		line := body[p.Delimiter:p.Start] + body[p.Content:p.End] + body[p.Next:p.Next+3]
		if field, ok := p.Field([]byte(body), "a"); ok {
			line += field.Text([]byte(body))
		}
		if field, ok := p.Field([]byte(body), "b"); ok {
			line += field.Text([]byte(body))
		}
		got = append(got, line)
	}
	assert.Equal(t, []string{"--b\r\nfirst\r\n--bb--b1x\r\n y", "--b \t\nsecond--b"}, got)
	for text, want := range map[string]error{
		"":               media.ErrBoundary,
		"--b":            media.ErrBoundary,
		"--b\r\n\r\nx":   media.ErrUnclosed,
		"--b\nA: 1\n--b": media.ErrUnclosed,
		"--b\nA\n--b--":  media.ErrPart,
		"x--b\n\n--b--":  nil, // no part before the last delimiter
	} {
		var last error
		for _, err := range media.Parts([]byte(text), "b") {
			last = err
		}
		assert.ErrorIs(t, last, want, "%q", text)
	}
	for _, err := range media.Parts([]byte("--\n\n----"), "") {
		assert.ErrorIs(t, err, media.ErrBoundary)
	}
}

func TestXMLTokens(t *testing.T) {
	const text = "\ufeff<?xml version='1.0'?><a x='1'>t<b/><!--c--></a>\n"
	var got []string
	for token, err := range media.XMLTokens([]byte(text)) {
		require.NoError(t, err)
		got = append(got, fmt.Sprintf("%d %T %s", token.Depth, token.Token, text[token.Start:token.End]))
		if start, ok := token.Token.(xml.StartElement); ok && len(start.Attr) > 0 {
			from, to, _ := media.AttributeValue([]byte(text), token.Start)
			assert.Equal(t, "1", text[from:to])
		}
	}
	assert.Equal(t, []string{"0 xml.ProcInst <?xml version='1.0'?>", "0 xml.StartElement <a x='1'>", "1 xml.CharData t", "1 xml.StartElement <b/>",
		"1 xml.EndElement ", "1 xml.Comment <!--c-->", "0 xml.EndElement </a>", "0 xml.CharData \n"}, got)
	for range media.XMLTokens([]byte("<a/>")) {
		break
	}
	for _, text := range []string{"", "x", "<a>", "<a></b>", "</a>", "<a/><a/>", "<a>&x;</a>", "<a><!DOCTYPE x></a>", "<a/>x",
		strings.Repeat("<a>", media.MaxXMLDepth+1) + strings.Repeat("</a>", media.MaxXMLDepth+1)} {
		var last error
		for _, err := range media.XMLTokens([]byte(text)) {
			last = err
		}
		require.Error(t, last, "%.20q", text)
		assert.NotContains(t, last.Error(), "&x;", "errors quote nothing")
	}
}
