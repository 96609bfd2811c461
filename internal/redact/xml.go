package redact

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goshadow/shadow/internal/media"
	"github.com/goshadow/shadow/internal/message"
)

// MaskXML masks the named elements and attributes of XML.
func MaskXML(names ...string) *Rule {
	set := NewNames(names...)
	r := &Rule{Option: "MaskXML", Given: slices.Clone(names), values: true, reads: true, covers: mayBeXML}
	for _, name := range names {
		if name == "" || strings.ContainsAny(name, " :/@<>") {
			r.Err = errors.Join(r.Err, fmt.Errorf("MaskXML: %q is not the name of an element or attribute without prefix", name))
		}
	}
	r.Found = func(i int) uint64 { return set.Found(r.Given[i]) }
	r.mask = func(m *message.Message, with Replacement) error {
		walk := Walk{Looks: mayBeXML, Leaf: func(l Leaf) ([]byte, error) { return XML(l.Text, set, with) }}
		return walk.message(r.Option, m)
	}
	return r
}

// mayBeXML reports whether MaskXML looks into a piece of a body.
func mayBeXML(l Leaf) bool {
	if l.Kind == media.XML || l.Kind <= media.Lines && len(l.Text) == 0 {
		return true
	}
	return (l.Kind <= media.Lines || l.Kind == media.Form) && LooksLikeXML(l.Text)
}

var errSubset = errors.New("XML with a document type that declares things, which may hold values")

// XML masks the elements and attributes of doc that have one of the names, whatever
// their prefix. Masked takes the place of all that is in an element, and tokens take the
// places of the texts in it, however deep. The attributes of such an element are masked
// too. An element without content stays.
//
// XML inside of text, of CDATA and of attributes is masked too. A comment or processing
// instruction that may hold one of the names goes as a whole.
func XML(doc []byte, names Names, r Replacement) ([]byte, error) {
	x := &markup{edit: edit{doc: doc}, names: names, r: r, hidden: -1}
	return x.mask()
}

func (x *markup) mask() ([]byte, error) {
	for t, err := range media.XMLTokens(x.doc) {
		if err != nil {
			return nil, err
		}
		if err := x.token(t); err != nil {
			return nil, err
		}
	}
	return x.done(), nil
}

type markup struct {
	edit
	names  Names
	r      Replacement
	hidden int // the depth of the element that is being masked; -1 where none is
	start  int // of that element, where it is dropped, else of its content
	text   run
	inside int // documents, one in the other, that doc was in
}

func (x *markup) token(t media.XMLToken) error {
	switch token := t.Token.(type) {
	case xml.StartElement:
		if err := x.flush(t.Start); err != nil {
			return err
		}
		if x.hidden < 0 && x.names.Has(token.Name.Local) {
			x.hidden, x.start = t.Depth, t.End
			if x.r.drop {
				x.start = t.Start
			}
		}
		return x.attributes(token.Attr, t)
	case xml.EndElement:
		if err := x.flush(t.Start); err != nil {
			return err
		}
		if x.hidden != t.Depth {
			break
		}
		switch x.hidden = -1; {
		case x.r.drop:
			x.replace(x.start, t.End, "")
		case x.r.token == nil && x.start < t.Start:
			x.replace(x.start, t.Start, Masked)
		}
	case xml.CharData:
		if x.hidden < 0 || x.r.token != nil {
			x.text.add(token, t)
		}
	case xml.Comment, xml.ProcInst:
		switch {
		case x.hidden >= 0 && x.r.token != nil: // it may hold anything
			x.text.add(nil, t)
		case x.hidden < 0 && x.names.hinted(x.doc[t.Start:t.End]): // the names of an element, or an attribute
			if err := x.flush(t.Start); err != nil {
				return err
			}
			x.replace(t.Start, t.End, "")
		}
	case xml.Directive:
		return directive(token)
	}
	return nil
}

func directive(d xml.Directive) error {
	if bytes.IndexByte(d, '[') >= 0 {
		return errSubset
	}
	return nil
}

// flush masks the text that ends at end: as a whole where the element around it is masked, else
// what it holds of XML.
func (x *markup) flush(end int) error {
	defer func() { x.text = run{decoded: x.text.decoded[:0]} }()
	switch {
	case !x.text.any:
	case x.hidden >= 0:
		x.replace(x.text.start, end, x.text.masked(func(s string) string { return x.r.token.Text(s) }))
	default:
		masked, err := x.nested(x.text.decoded)
		if err != nil {
			return err
		}
		if masked != nil {
			x.replace(x.text.start, end, escapeXML(string(masked)))
		}
	}
	return nil
}

var errNestedXML = errors.New("text that holds elements or attributes a rule is about, and is not XML")

// nested masks XML inside of text, such as in CDATA or an attribute. It returns nil where
// nothing changes. Text that may hold what is to be masked and cannot be read is an error.
func (x *markup) nested(text []byte) ([]byte, error) {
	if !x.names.hinted(text) {
		return nil, nil
	}
	const open, shut = "<_>", "</_>" // it may be several elements
	if x.inside == maxEncodings {
		return nil, errNestedXML
	}
	in := &markup{edit: edit{doc: slices.Concat([]byte(open), text, []byte(shut))}, names: x.names, r: x.r, hidden: -1, inside: x.inside + 1}
	masked, err := in.mask()
	switch {
	case err != nil:
		return nil, errNestedXML
	case in.out == nil:
		return nil, nil
	case !bytes.HasPrefix(masked, []byte(open)) || !bytes.HasSuffix(masked, []byte(shut)): // all of it is masked
		return []byte(x.r.Text(string(text))), nil
	}
	return masked[len(open) : len(masked)-len(shut)], nil
}

// attributes masks those of a start tag that have one of the names, or all of a tag that
// is masked. What is inside of content that goes as a whole needs no masking.
func (x *markup) attributes(list []xml.Attr, t media.XMLToken) error {
	within := x.hidden >= 0
	if within && (x.r.drop || x.r.token == nil && x.hidden != t.Depth) {
		return nil
	}
	at := t.Start
	for _, a := range list {
		before := at
		var from, to int
		from, to, at = media.AttributeValue(x.doc, at)
		if _, ok := media.BindsPrefix(a.Name); ok {
			continue
		}
		if !within && !x.names.Has(a.Name.Local) {
			masked, err := x.nested([]byte(a.Value))
			if err != nil {
				return err
			}
			if masked != nil {
				x.replace(from, to, escapeXML(string(masked)))
			}
			continue
		}
		if x.r.drop {
			space := ""
			if strings.IndexByte(" \t\r\n/>", x.doc[at]) < 0 { // another attribute, which may follow at once
				space = " "
			}
			x.replace(attribute(x.doc, before, from), at, space)
		} else {
			x.replace(from, to, escapeXML(x.r.Text(a.Value)))
		}
	}
	return nil
}

// attribute is where an attribute begins, with the white space before it, whose value
// begins at value. It comes after before.
func attribute(doc []byte, before, value int) int {
	equals := bytes.LastIndexByte(doc[before:value], '=') + before
	name := bytes.TrimRight(doc[before:equals], " \t\r\n")
	return before + len(bytes.TrimRight(name[:bytes.LastIndexAny(name, " \t\r\n")+1], " \t\r\n"))
}

// run is character data between two tags, with the comments in it.
type run struct {
	start   int
	decoded []byte
	any     bool
}

func (r *run) add(text []byte, t media.XMLToken) {
	if !r.any {
		r.start, r.any = t.Start, true
	}
	r.decoded = append(r.decoded, text...)
}

// masked is what stands in the place of r. White space stays.
func (r *run) masked(mask func(string) string) string {
	if media.IsBlank(r.decoded) {
		return escapeXML(string(r.decoded))
	}
	return escapeXML(mask(string(r.decoded)))
}

func escapeXML(s string) string {
	if !strings.ContainsAny(s, "<>&\"'\t\r\n") {
		return s
	}
	var out bytes.Buffer
	xml.EscapeText(&out, []byte(s)) //nolint:errcheck // a Buffer takes all
	return out.String()
}

// XML masks character data and attribute values of doc, decoded, and what is written in
// comments and processing instructions: these go as a whole.
func (t *Texts) XML(doc []byte) ([]byte, error) {
	e := edit{doc: doc}
	var text run
	flush := func(end int) {
		if text.any {
			if masked := t.Text(text.decoded); !bytes.Equal(masked, text.decoded) {
				e.replace(text.start, end, escapeXML(string(masked)))
			}
		}
		text = run{decoded: text.decoded[:0]}
	}
	for token, err := range media.XMLTokens(doc) {
		if err != nil {
			return nil, err
		}
		switch of := token.Token.(type) {
		case xml.CharData:
			text.add(of, token)
			continue
		case xml.Comment, xml.ProcInst:
			raw := doc[token.Start:token.End]
			if masked := t.Text(raw); !bytes.Equal(masked, raw) {
				flush(token.Start)
				e.replace(token.Start, token.End, "")
			}
			flush(token.Start)
		case xml.Directive:
			if err := directive(of); err != nil {
				return nil, err
			}
		case xml.StartElement:
			flush(token.Start)
			at := token.Start
			for _, a := range of.Attr {
				var from, to int
				from, to, at = media.AttributeValue(doc, at)
				if masked := t.String(a.Value); masked != a.Value {
					e.replace(from, to, escapeXML(masked))
				}
			}
		default:
			flush(token.Start)
		}
	}
	return e.done(), nil
}
