package bodies

import (
	"errors"
	"fmt"

	"github.com/goshadow/shadow/internal/media"
)

// errRules is about a body of many small JSON texts: see jsondiff.Comparer.Evaluations.
var errRules = errors.New("the rules need too much work on so many small records")

// errDense is about a body that holds more than is read: see room.
var errDense = fmt.Errorf("too many small parts: over %d fields, elements, records or events, and one more for each %d bytes", maxNodes, bytesPerNode)

var errNesting = fmt.Errorf("multipart nested deeper than %d levels", media.MaxNesting)

// read fills a tape with a whole body.
func (s *Set) read(body []byte, f media.Format, names *names) (*tape, error) {
	t := &tape{set: s, doc: body, names: names, seed: s.seed}
	if err := t.read(f, self, 0, len(body), 0); err != nil {
		return nil, err
	}
	if !t.room() {
		return nil, errDense
	}
	return t, nil
}

// read adds what doc[start:end] holds as one node, at the given level of multipart.
func (t *tape) read(f media.Format, name int32, start, end, level int) error {
	switch f.Kind {
	case media.JSON:
		t.leaf(name, jsonText, start, end, t.doc[start:end])
	case media.Records:
		t.records(name, start, end)
	case media.Events:
		t.events(name, start, end)
	case media.Multipart:
		if level == media.MaxNesting {
			return errNesting
		}
		return t.multipart(f, name, start, end, level)
	case media.Form:
		t.form(name, start, end)
	case media.XML:
		return t.xml(name, start, end)
	case media.Lines:
		return t.lines(name, start, end)
	default:
		t.leaf(name, opaque, start, end, t.doc[start:end])
	}
	return nil
}
