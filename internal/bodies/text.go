package bodies

import (
	"bytes"
	"errors"
	"regexp"

	"github.com/goshadow/shadow/internal/charset"
	"github.com/goshadow/shadow/internal/media"
)

// text is a body as it is read: text in UTF-8, converted from the charset that its
// Content-Type or XML declaration names, and JSON without a byte order mark. An error is
// about the charset. Forms and parts are not converted.
func text(body []byte, f media.Format) ([]byte, error) {
	switch f.Kind {
	case media.Bytes, media.Form, media.Multipart:
		return body, nil
	}
	if bytes.HasPrefix(body, []byte("\xff\xfe")) || bytes.HasPrefix(body, []byte("\xfe\xff")) {
		return nil, charset.ErrUTF16
	}
	marked := bytes.HasPrefix(body, utf8Mark)
	name := f.Charset
	if f.Kind == media.XML && name == "" && !marked {
		name = declared(body)
	}
	c, err := charset.Named(name)
	if err != nil {
		return nil, err
	}
	if c.UTF8() || marked { // RFC 7303 section 3.2: the mark has the last word
		if marked && (f.Kind == media.JSON || f.Kind == media.Records) {
			body = body[len(utf8Mark):]
		}
		return body, nil
	}
	decoded, err := c.Decode(body)
	if errors.Is(err, charset.ErrInvalid) && f.Kind == media.Lines {
		return body, nil // lines are compared by their bytes
	}
	return decoded, err
}

var (
	utf8Mark    = []byte("\ufeff")
	xmlEncoding = regexp.MustCompile(`^<\?xml\s[^>]{0,200}\bencoding\s*=\s*["']([^"']*)["']`)
)

// declared is the charset that an XML declaration names, if there is one.
func declared(body []byte) string {
	if found := xmlEncoding.FindSubmatch(body[:min(len(body), 512)]); found != nil {
		return string(found[1])
	}
	return ""
}

// texts are two bodies as they are read.
func (c Comparer) texts(a, b []byte) (textA, textB []byte, err error) {
	if c.a.Kind == media.JSON && bytes.HasPrefix(a, utf8Mark) != bytes.HasPrefix(b, utf8Mark) {
		return a, b, nil // not every client reads one with a mark
	}
	if textA, err = text(a, c.a); err == nil {
		textB, err = text(b, c.b)
	}
	if err != nil && c.a.Kind == media.Lines && c.a.Charset == c.b.Charset {
		return a, b, nil // other bytes are other text, whatever it says
	}
	return textA, textB, err
}
