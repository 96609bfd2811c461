package media

import (
	"bytes"
	"encoding/xml"
	"io"
)

// MaxXMLDepth is how deep elements nest. Deeper documents are not read.
const MaxXMLDepth = 1000

// NewXMLDecoder returns a tokenizer of text in any encoding that contains ASCII. Only the
// five predefined entities are known: a document that uses others is an error.
func NewXMLDecoder(text []byte) *xml.Decoder {
	d := xml.NewDecoder(bytes.NewReader(text))
	d.CharsetReader = func(_ string, input io.Reader) (io.Reader, error) { return input, nil }
	return d
}

// AttributeValue finds the next value in quotes from at on, in a start tag whose syntax
// is known to be right.
func AttributeValue(doc []byte, at int) (from, to, next int) {
	at += bytes.IndexByte(doc[at:], '=')
	at += bytes.IndexAny(doc[at:], `"'`)
	from = at + 1
	to = from + bytes.IndexByte(doc[from:], doc[at])
	return from, to, to + 1
}
