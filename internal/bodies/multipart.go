package bodies

import (
	"mime"
	"strings"

	"github.com/goshadow/shadow/internal/media"
)

// The fields of a part that are looked at, and how they are called in a path.
var partFields = [...]struct{ name, inPath string }{
	{"Content-Type", "@content-type"},
	{"Content-Range", "@content-range"},
	{disposition, "@filename"},
}

const disposition = "Content-Disposition"

// multipart reads parts: see media.Parts.
func (t *tape) multipart(f media.Format, name int32, start, end, level int) error {
	k := list
	if f.Named {
		k = fields
	}
	n := t.open(name, k, start)
	for p, err := range media.Parts(t.doc[start:end], f.Boundary) {
		if err != nil {
			return err
		}
		if !t.room() {
			break
		}
		t.part(f, p, start, level)
	}
	t.close(n, end)
	return nil
}

// part adds a part of the body that begins at start.
func (t *tape) part(f media.Format, p *media.Part, start, level int) {
	doc := t.doc[start:]
	name := self
	if f.Named {
		field, _ := p.Field(doc, disposition)
		_, params, _ := mime.ParseMediaType(field.Text(doc))
		name = t.names.text(params["name"])
	}
	n := t.open(name, fields, start+p.Start)
	as := media.Format{Kind: media.Lines} // text/plain, unless it says another: RFC 2046 section 5.1
	for _, known := range partFields {
		field, ok := p.Field(doc, known.name)
		if !ok {
			continue
		}
		value := string(doc[field.Value:field.End])
		k := plain
		switch known.name {
		case "Content-Type":
			as, value = t.set.Of(value), normalType(value)
		case disposition:
			if k, value = fileName, fileNameOf([]byte(value)); value == "" {
				continue
			}
		}
		t.leaf(t.names.text(known.inPath), k, start+field.Value, start+field.End, []byte(value))
	}
	t.content(as, start+p.Content, start+p.End, level+1)
	t.close(n, start+p.End)
}

// content adds the content of a part: by its media type, or as bytes if it is something
// else.
func (t *tape) content(f media.Format, start, end, level int) {
	first := len(t.nodes)
	if t.read(f, self, start, end, level) != nil {
		t.nodes = t.nodes[:first]
		t.leaf(self, opaque, start, end, t.doc[start:end])
	}
}

// normalType spells a media type in one way, without its boundary.
func normalType(contentType string) string {
	if len(contentType) > media.MaxField {
		return contentType
	}
	name, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return contentType
	}
	delete(params, "boundary")
	if charset, ok := params["charset"]; ok {
		params["charset"] = strings.ToLower(charset)
	}
	return mime.FormatMediaType(name, params)
}

// fileNameOf returns the file name in a Content-Disposition field value, "" where there
// is none.
func fileNameOf(disposition []byte) string {
	if len(disposition) > media.MaxField {
		return ""
	}
	_, params, _ := mime.ParseMediaType(string(disposition))
	return params["filename"]
}
