package bodies

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/goshadow/shadow/internal/media"
)

// xml reads an XML document. What counts: elements in their order, attributes in any
// order and with their white space normalized, both by local name and namespace, not by
// prefix; character data with its references and CDATA sections resolved and its line
// ends normalized; processing instructions, and the document type as it is written. White
// space counts where it is all that an element contains, or stands beside other text, but
// not between elements. Comments and the XML declaration do not count.
//
// The text of an element without children has the path of the element; beside children
// it is called text(). Elements are called as they are written in A, prefix included.
//
// Only the five predefined entities are known: a document that uses others is not read.
func (t *tape) xml(name int32, start, end int) error {
	n := t.open(name, element, start)
	r := &xmlReader{
		tape: t, first: start,
		scopes: map[string][]string{"xml": {"http://www.w3.org/XML/1998/namespace"}},
	}
	for token, err := range media.XMLTokens(t.doc[start:end]) {
		if err != nil {
			return err
		}
		if !t.room() {
			break
		}
		r.token(token)
	}
	t.close(n, end)
	return nil
}

// xmlReader puts the tokens of a document on a tape.
type xmlReader struct {
	*tape
	first  int                 // where the document begins
	scopes map[string][]string // the namespaces of a prefix, the innermost last
	open   []xmlElement
	text   xmlText
	key    []byte // scratch
}

// xmlElement is an element that has not ended.
type xmlElement struct {
	node     int32
	start    int      // of its content
	children bool     // there are elements or processing instructions in it
	prefixes []string // that it binds to namespaces
}

// xmlText is character data between two children.
type xmlText struct {
	start, end int
	decoded    []byte
}

func (r *xmlReader) token(t media.XMLToken) {
	start, end := r.first+t.Start, r.first+t.End
	switch token := t.Token.(type) {
	case xml.StartElement:
		r.begin(token, start, end)
	case xml.EndElement:
		r.finish(start, end)
	case xml.CharData:
		if t.Depth > 0 {
			r.character(token, start, end)
		}
	case xml.ProcInst:
		if token.Target != "xml" {
			r.child()
			r.key = append(append(r.key[:0], '?'), token.Target...)
			r.leaf(r.names.id(r.key, r.key), plain, start, end, r.doc[start:end])
		}
	case xml.Directive:
		r.leaf(r.names.text("!DOCTYPE"), plain, start, end, token)
	}
}

// character takes character data in.
func (r *xmlReader) character(text []byte, start, end int) {
	if r.text.end == 0 {
		r.text.start = start
	}
	r.text.end = end
	r.text.decoded = append(r.text.decoded, text...)
}

// child adds the text before a child of the innermost element.
func (r *xmlReader) child() {
	if len(r.open) > 0 {
		r.open[len(r.open)-1].children = true
		r.betweenChildren()
	}
}

// betweenChildren adds the text that has come, unless it is white space.
func (r *xmlReader) betweenChildren() {
	if !media.IsBlank(r.text.decoded) {
		r.leaf(r.names.text("text()"), markup, r.text.start, r.text.end, r.text.decoded)
	}
	r.text = xmlText{decoded: r.text.decoded[:0]}
}

// begin reads the start tag doc[start:end].
func (r *xmlReader) begin(tag xml.StartElement, start, end int) {
	r.child()
	e := xmlElement{start: end}
	for _, a := range tag.Attr {
		if prefix, ok := media.BindsPrefix(a.Name); ok {
			r.scopes[prefix] = append(r.scopes[prefix], namespace(a.Value))
			e.prefixes = append(e.prefixes, prefix)
		}
	}
	e.node = r.tape.open(r.name("", tag.Name, r.space(tag.Name.Space)), element, start)
	r.attributes(tag.Attr, start)
	r.open = append(r.open, e)
}

// finish reads the end tag doc[start:end] of the innermost element.
func (r *xmlReader) finish(start, end int) {
	e := &r.open[len(r.open)-1]
	if e.children {
		r.betweenChildren()
	} else {
		r.leaf(self, markup, e.start, start, r.text.decoded)
		r.text = xmlText{decoded: r.text.decoded[:0]}
	}
	r.close(e.node, end)
	for _, prefix := range e.prefixes {
		r.scopes[prefix] = r.scopes[prefix][:len(r.scopes[prefix])-1]
	}
	r.open = r.open[:len(r.open)-1]
}

// attributes adds those of the start tag at start, in the order of their names.
func (r *xmlReader) attributes(list []xml.Attr, start int) {
	type attribute struct {
		xml.Attr
		space    string
		from, to int
	}
	attributes := make([]attribute, 0, len(list))
	for _, a := range list {
		var from, to int
		from, to, start = media.AttributeValue(r.doc, start)
		if _, ok := media.BindsPrefix(a.Name); ok {
			continue
		}
		space := ""
		if a.Name.Space != "" { // the default namespace is not for attributes
			space = r.space(a.Name.Space)
		}
		attributes = append(attributes, attribute{a, space, from, to})
	}
	slices.SortStableFunc(attributes, func(x, y attribute) int {
		return cmp.Or(cmp.Compare(x.space, y.space), cmp.Compare(x.Name.Local, y.Name.Local))
	})
	for _, a := range attributes {
		value := []byte(a.Value)
		if raw := r.doc[a.from:a.to]; bytes.ContainsAny(raw, "\t\n\r") {
			value = attributeText(raw)
		}
		r.leaf(r.name("@", a.Name, a.space), markupInQuotes, a.from, a.to, value)
	}
}

// attributeText decodes an attribute value. White space in it is spaces, unless it is
// referred to (XML 1.0 section 3.3.3).
func attributeText(raw []byte) []byte {
	return characters([]byte(spacesForLines.Replace(string(raw))))
}

var spacesForLines = strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ", "\t", " ")

// space returns the namespace that prefix is bound to.
func (r *xmlReader) space(prefix string) string {
	if bound := r.scopes[prefix]; len(bound) > 0 {
		return bound[len(bound)-1]
	}
	if prefix == "" {
		return ""
	}
	return "?" + prefix // not bound
}

// namespace is what tells a URI from others: it stands in the key of every name, and a
// URI may be as long as the document.
func namespace(uri string) string {
	if len(uri) <= maxURI {
		return uri
	}
	sum := sha256.Sum256([]byte(uri))
	return string(sum[:])
}

const maxURI = 256 // bytes

// name returns the number of a name in a namespace.
func (r *xmlReader) name(sigil string, name xml.Name, space string) int32 {
	r.key = append(append(append(append(r.key[:0], sigil...), space...), ' '), name.Local...)
	key := len(r.key)
	r.key = append(r.key, sigil...)
	if name.Space != "" {
		r.key = append(append(r.key, name.Space...), ':')
	}
	r.key = append(r.key, name.Local...)
	return r.names.id(r.key[:key], r.key[key:])
}

// ownText reports whether the first of an element's children is the text of an element
// without children.
func (t *tape) ownText(children []int32) bool {
	return len(children) > 0 && t.nodes[children[0]].name == self
}

// blank reports whether a leaf of an XML document is white space.
func (t *tape) blank(n int32) bool { return media.IsBlank(t.decoded(n)) }

// characters decodes the content of an element without children.
func characters(raw []byte) []byte {
	if !bytes.ContainsAny(raw, "<&\r") {
		return raw
	}
	d := media.NewXMLDecoder(raw)
	var text []byte
	for {
		token, err := d.RawToken()
		switch {
		case errors.Is(err, io.EOF):
			return text
		case err != nil:
			return raw
		}
		if c, ok := token.(xml.CharData); ok {
			text = append(text, c...)
		}
	}
}
