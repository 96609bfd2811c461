package bodies

import (
	"errors"
	"fmt"
	"mime"
	"strings"

	"github.com/goshadow/shadow/internal/media"
)

// formatKind is how a body is read.
type formatKind uint8

// The kinds, those with more structure last: see Set.For.
const (
	formatBytes formatKind = iota
	formatLines
	formatXML
	formatForm
	formatMultipart
	formatEvents
	formatRecords
	formatJSON
)

// format is what a media type says about a body.
type format struct {
	kind     formatKind
	boundary string // of multipart; empty where it has none that is valid
	named    bool   // multipart/form-data: parts have names
}

// textTypes are media types outside text/ whose bodies people read by the line.
var textTypes = map[string]bool{
	"application/ecmascript":   true,
	"application/graphql":      true,
	"application/javascript":   true,
	"application/sql":          true,
	"application/toml":         true,
	"application/x-javascript": true,
	"application/x-sh":         true,
	"application/x-yaml":       true,
	"application/yaml":         true,
}

// formatOf reads a Content-Type field value.
func formatOf(contentType string) format {
	switch media.Of(contentType) {
	case media.JSON:
		return format{kind: formatJSON}
	case media.Records:
		return format{kind: formatRecords}
	}
	if len(contentType) > maxField {
		return format{}
	}
	t, params, err := mime.ParseMediaType(contentType)
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
		return format{}
	}
	switch {
	case t == "text/event-stream":
		return format{kind: formatEvents}
	case t == "application/x-www-form-urlencoded":
		return format{kind: formatForm}
	case strings.HasPrefix(t, "multipart/"):
		f := format{kind: formatMultipart, boundary: params["boundary"], named: t == "multipart/form-data"}
		if len(f.boundary) > maxBoundary {
			f.boundary = ""
		}
		return f
	case t == "application/xml", t == "text/xml", strings.HasSuffix(t, "+xml"):
		return format{kind: formatXML}
	case strings.HasPrefix(t, "text/"), textTypes[t]:
		return format{kind: formatLines}
	}
	return format{}
}

const (
	maxBoundary = 70      // bytes: RFC 2046 section 5.1.1
	maxField    = 4 << 10 // bytes of a header field that are looked at
	maxNesting  = 8       // levels of multipart in multipart
)

var errNesting = fmt.Errorf("multipart nested deeper than %d levels", maxNesting)

// read fills a tape with a whole body.
func (s *Set) read(body []byte, f format, names *names) (*tape, error) {
	t := &tape{doc: body, names: names, seed: s.seed}
	if err := t.read(f, self, 0, len(body), 0); err != nil {
		return nil, err
	}
	return t, nil
}

// read adds what doc[start:end] holds as one node, at the given level of multipart.
func (t *tape) read(f format, name int32, start, end, level int) error {
	switch f.kind {
	case formatJSON:
		t.leaf(name, jsonText, start, end, t.doc[start:end])
	case formatRecords:
		t.records(name, start, end)
	case formatEvents:
		t.events(name, start, end)
	case formatMultipart:
		if level == maxNesting {
			return errNesting
		}
		return t.multipart(f, name, start, end, level)
	case formatForm:
		t.form(name, start, end)
	case formatXML:
		return t.xml(name, start, end)
	case formatLines:
		return t.lines(name, start, end)
	default:
		t.leaf(name, opaque, start, end, t.doc[start:end])
	}
	return nil
}
