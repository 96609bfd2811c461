package media

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"iter"
	"regexp"

	"github.com/goshadow/shadow/internal/charset"
)

// MaxXMLDepth is how deep elements nest. Deeper documents are not read.
const MaxXMLDepth = 1000

// ErrXMLDepth is the error for a document that nests deeper.
var ErrXMLDepth = fmt.Errorf("XML nested deeper than %d levels", MaxXMLDepth)

var (
	errRoot = errors.New("XML without exactly one root element")
	errType = errors.New("XML with a document type inside of an element")
	errEnds = errors.New("XML whose tags do not match")
)

// XMLToken is a token of an XML document, doc[Start:End]. The end of an element that is
// its own end tag has no bytes.
type XMLToken struct {
	xml.Token
	Start, End int
	Depth      int // elements that are open around it; of a start or end tag its own not counted
}

// XMLTokens yields the tokens of a document, names as they are written, character data
// decoded. It stops at what is wrong with the document, of which errors quote nothing. A
// token is valid until the next.
func XMLTokens(doc []byte) iter.Seq2[XMLToken, error] {
	return func(yield func(XMLToken, error) bool) {
		if err := xmlTokens(doc, yield); err != nil {
			yield(XMLToken{}, err)
		}
	}
}

// xmlTokens returns what is wrong with doc, nil where yield stopped it.
func xmlTokens(doc []byte, yield func(XMLToken, error) bool) error {
	first := 0
	if bytes.HasPrefix(doc, byteOrderMark) {
		first = len(byteOrderMark)
	}
	d := NewXMLDecoder(doc[first:])
	var open []xml.Name
	roots := 0
	for {
		t := XMLToken{Start: first + int(d.InputOffset()), Depth: len(open)}
		var err error
		t.Token, err = d.RawToken()
		t.End = first + int(d.InputOffset())
		switch {
		case errors.Is(err, io.EOF) && len(open) > 0:
			return errEnds
		case errors.Is(err, io.EOF) && roots != 1:
			return errRoot
		case errors.Is(err, io.EOF):
			return nil
		case err != nil: // its text quotes the document
			return fmt.Errorf("invalid XML at offset %d", t.End)
		}
		switch token := t.Token.(type) {
		case xml.StartElement:
			if len(open) == 0 {
				roots++
			}
			if len(open) == MaxXMLDepth {
				return ErrXMLDepth
			}
			open = append(open, token.Name)
		case xml.EndElement:
			if len(open) == 0 || open[len(open)-1] != token.Name {
				return errEnds
			}
			open = open[:len(open)-1]
			t.Depth--
		case xml.CharData:
			if len(open) == 0 && !IsBlank(token) {
				return errRoot
			}
		case xml.Directive:
			if len(open) > 0 {
				return errType
			}
		}
		if !yield(t, nil) {
			return nil
		}
	}
}

// IsBlank reports whether character data is white space.
func IsBlank(text []byte) bool { return len(bytes.Trim(text, space)) == 0 }

var version11 = regexp.MustCompile(`^<\?xml\s+version\s*=\s*["']1\.(1)["']`)

// NewXMLDecoder returns a tokenizer of text in UTF-8. It may say that it is in another charset,
// which it was converted from: one that is not known is an error. Only the five predefined entities are known: a
// document that uses others is an error too.
func NewXMLDecoder(text []byte) *xml.Decoder {
	if found := version11.FindSubmatchIndex(text[:min(len(text), 64)]); found != nil { // encoding/xml refuses the number
		text = bytes.Clone(text)
		text[found[2]] = '0'
	}
	d := xml.NewDecoder(bytes.NewReader(text))
	d.CharsetReader = func(name string, input io.Reader) (io.Reader, error) {
		_, err := charset.Named(name)
		return input, err
	}
	return d
}

// BindsPrefix reports whether an attribute binds a prefix to a namespace; "" is the default
// namespace.
func BindsPrefix(name xml.Name) (prefix string, ok bool) {
	switch {
	case name.Space == "xmlns":
		return name.Local, true
	case name.Space == "" && name.Local == "xmlns":
		return "", true
	}
	return "", false
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
