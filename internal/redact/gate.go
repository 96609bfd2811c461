package redact

import (
	"bytes"
	"errors"
	"regexp"

	"github.com/goshadow/shadow/internal/charset"
	"github.com/goshadow/shadow/internal/media"
)

// What keeps every rule from looking into a piece of a body.
var (
	errCoding   = errors.New("a part has a Content-Transfer-Encoding or Content-Encoding")
	errCharset  = errors.New("a charset in a format that is always UTF-8")
	errCharsets = errors.New("XML that names two charsets")
)

// Open calls mask with l as every rule reads it: its text in UTF-8, without a coding. What
// mask returns is converted back. It is the one gate to bodies: a piece whose coding or
// charset cannot be read, or that is not what its charset says, is an error.
//
// Bytes of which nothing is known, and that are no text, are passed as they are.
func (l Leaf) Open(mask func(l Leaf) ([]byte, error)) ([]byte, error) {
	c, err := l.readable()
	if err != nil {
		return nil, err
	}
	if l.binary() {
		return mask(l)
	}
	in := l
	if in.Text, err = c.Decode(l.Text); err != nil {
		return nil, err
	}
	masked, err := mask(in)
	if err != nil || bytes.Equal(masked, in.Text) {
		return l.Text, err
	}
	return c.Encode(masked)
}

// binary reports whether nothing says that l is text.
func (l Leaf) binary() bool { return l.Kind == media.Bytes && l.Charset == "" && !IsText(l.Text) }

// readable returns the charset of l, or what keeps l from being read.
func (l Leaf) readable() (c charset.Charset, err error) {
	if l.Coding != "" {
		return c, errCoding
	}
	if !l.binary() {
		err = charset.Wide(l.Text)
	} else if bytes.HasPrefix(l.Text, []byte("\xff\xfe")) || bytes.HasPrefix(l.Text, []byte("\xfe\xff")) {
		err = charset.ErrUTF16
	}
	if err != nil {
		return c, err
	}
	if c, err = charset.Named(l.Charset); err != nil {
		return c, err
	}
	switch l.Kind {
	case media.JSON, media.Records, media.Events: // RFC 8259 section 8.1, HTML Standard section 9.2.5
		if !c.UTF8() && !charset.ASCII(l.Text) {
			return c, errCharset
		}
	case media.Form: // of which each reader decodes names and values by a charset of its own
		if !c.UTF8() && !charset.ASCII(media.Unescape(nil, l.Text)) {
			return c, errCharset
		}
	case media.XML:
		return l.declared(c)
	}
	return c, nil
}

var xmlEncoding = regexp.MustCompile(`^(?:\xef\xbb\xbf)?<\?xml\s[^>]{0,200}\bencoding\s*=\s*["']([^"']*)["']`)

// declared is the charset of XML: that of its declaration, or c, which the Content-Type names
// (RFC 7303 section 3). Readers do not agree which of two is right.
func (l Leaf) declared(c charset.Charset) (charset.Charset, error) {
	found := xmlEncoding.FindSubmatch(l.Text[:min(len(l.Text), 512)])
	if found == nil {
		return c, nil
	}
	own, err := charset.Named(string(found[1]))
	switch {
	case err != nil:
		return own, err
	case l.Charset != "" && own != c && !charset.ASCII(l.Text):
		return own, errCharsets
	}
	return own, nil
}
