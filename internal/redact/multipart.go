package redact

import (
	"bytes"
	"errors"
	"mime"
	"regexp"
	"strconv"
	"strings"

	"github.com/goshadow/shadow/internal/media"
)

var errPart = errors.New("multipart with a part whose header can be read in several ways")

const disposition = "Content-Disposition"

// names finds the name of a part, also as RFC 2231 writes it. RFC 7578 (section 4.2) does
// not allow that, and not everybody reads it: beside another name it is a second one.
var names = regexp.MustCompile(`(?i)(^|[;\s])name(\*[0-9]*\*?)?\s*=`)

// multipart masks the parts of a body, each by its own format.
func (w *Walk) multipart(f media.Format, body []byte, level int) ([]byte, error) {
	e := edit{doc: body}
	behind := 0 // the line behind the last part
	for p, err := range media.Parts(body, f.Boundary) {
		if err != nil {
			return nil, err
		}
		if behind == 0 {
			if err := w.around(&e, 0, p.Delimiter); err != nil {
				return nil, err
			}
		}
		if err := w.part(&e, f, p, level); err != nil {
			return nil, err
		}
		behind = p.Next
	}
	last := "--" + f.Boundary + "--"
	if behind == 0 { // there is no part
		behind = bytes.Index(body, []byte(last))
		if err := w.around(&e, 0, behind); err != nil {
			return nil, err
		}
	}
	if err := w.around(&e, behind+len(last), len(body)); err != nil {
		return nil, err
	}
	return e.done(), nil
}

// around masks doc[from:to], which is before the first part or behind the last: text that
// is in no part, but is sent.
func (w *Walk) around(e *edit, from, to int) error {
	text := e.doc[from:to]
	if len(bytes.TrimSpace(text)) == 0 {
		return nil
	}
	masked, err := w.leaf(Leaf{Format: media.Of("text/plain"), Text: text})
	if err != nil {
		return err
	}
	e.change(from, to, masked)
	return nil
}

func (w *Walk) part(e *edit, f media.Format, p *media.Part, level int) error {
	h, err := partHeader(e.doc, f, p)
	if err != nil {
		return err
	}
	content := e.doc[p.Content:p.End]
	var masked []byte
	with, hit := Replacement{}, false
	if w.Part != nil && f.Named {
		with, hit = w.Part(h.params["name"])
	}
	switch {
	case hit && with.drop:
		e.replace(p.Delimiter, p.Next, "")
		return nil
	case hit:
		masked = []byte(with.Text(string(content)))
	case h.coding != "" || h.plain:
		masked, err = w.leaf(Leaf{Format: h.format, Text: content, Coding: h.coding, Plain: h.plain})
	default:
		masked, err = w.body(h.format, content, level+1)
	}
	if err != nil {
		return err
	}
	for _, field := range p.Header {
		switch value := e.doc[field.Value:field.End]; {
		case field.Is(e.doc, disposition):
			if err := w.disposition(e, field, h, with, hit); err != nil {
				return err
			}
		case string(masked) != string(content) && field.Is(e.doc, "Content-Length"):
			e.replace(field.Value, field.End, strconv.Itoa(len(masked)))
		case string(masked) != string(content) && isDigest(field, e.doc):
			e.replace(field.Line, field.Next, "")
		case w.Text != nil && !field.Is(e.doc, "Content-Type"):
			e.change(field.Value, field.End, w.Text(value))
		}
	}
	if p.End == p.Next && len(masked) > 0 { // it was empty: the line break before the delimiter is that of the header
		masked = append(bytes.Clone(masked), lineBreak(e.doc[:p.Content])...)
	}
	e.change(p.Content, p.End, masked)
	return nil
}

// lineBreak is the one that header ends in.
func lineBreak(header []byte) string {
	if bytes.HasSuffix(header, []byte("\r\n")) {
		return "\r\n"
	}
	return "\n"
}

func isDigest(field media.PartField, doc []byte) bool {
	return field.Is(doc, "Content-Md5") || field.Is(doc, "Content-Digest") || field.Is(doc, "Digest")
}

// header is what a part says of itself.
type header struct {
	format media.Format
	kind   string            // of the disposition
	params map[string]string // of the disposition
	coding string            // that the content is in
	plain  bool              // a field of a form, and neither a file nor a document
}

// partHeader reads the header of a part. What two readers may understand differently is
// an error.
func partHeader(doc []byte, f media.Format, p *media.Part) (h header, err error) {
	h.format = media.Of("text/plain") // RFC 2046 section 5.1
	seen := map[string]bool{}
	for _, field := range p.Header {
		name := strings.ToLower(strings.TrimSpace(string(doc[field.Line:field.Name])))
		switch name {
		case "content-type", "content-disposition", "content-transfer-encoding", "content-encoding":
		default:
			continue
		}
		value := field.Text(doc)
		if seen[name] || value == "" && field.Value < field.End {
			return h, errPart
		}
		seen[name] = true
		switch name {
		case "content-type":
			h.format = media.Of(value)
		case "content-disposition":
			h.kind, h.params, err = mime.ParseMediaType(value)
			if len(names.FindAllString(value, 2)) > 1 {
				return h, errPart
			}
		default:
			switch coding := strings.ToLower(value); coding {
			case "", "7bit", "8bit", "binary", "identity":
			default:
				h.coding = coding
			}
		}
	}
	if f.Named && (err != nil || !seen["content-disposition"]) {
		return h, errPart
	}
	_, file := h.params["filename"]
	h.plain = f.Named && !file && h.format.Type == "text/plain"
	return h, nil
}

// disposition masks the file name of a part that is masked, and what Text finds.
func (w *Walk) disposition(e *edit, field media.PartField, h header, with Replacement, hit bool) error {
	if !hit && w.Text == nil {
		return nil
	}
	changed := false
	for key, value := range h.params {
		masked := value
		switch {
		case hit && key == "filename":
			masked = with.Text(value)
		case w.Text != nil:
			masked = string(w.Text([]byte(value)))
		}
		if masked != value {
			h.params[key], changed = masked, true
		}
	}
	if !changed {
		return nil
	}
	line := mime.FormatMediaType(h.kind, h.params)
	if line == "" {
		return errPart
	}
	e.replace(field.Value, field.End, line)
	return nil
}
