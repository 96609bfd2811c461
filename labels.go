package shadow

import (
	"github.com/goshadow/shadow/internal/mark"
	"github.com/goshadow/shadow/internal/message"
	"github.com/goshadow/shadow/internal/redact"
	"github.com/goshadow/shadow/internal/route"
)

// newLabels returns what names routes, strata and correlation IDs, by the rules of maskers that
// are about them.
func newLabels(c *config, maskers []Masker) *route.Labels {
	l := &route.Labels{Methods: c.methods, Named: c.route != nil, RequestID: c.requestID, NewID: mark.NewID}
	var paths redact.Paths
	for _, masker := range newMaskAll("", maskers).list {
		mask := func(m *message.Message) error { return masker.Mask((*Message)(m)) }
		switch m := masker.(type) {
		case *maskPath:
			paths = append(paths, m.paths...)
		case *maskHeaders:
			if m.names.Has(c.requestID) {
				l.IDs = append(l.IDs, mask)
			}
		case *maskText, *maskDetected:
			plain := masker.(replaceable).with(redact.Replacement{})
			l.Texts = append(l.Texts, func(m *message.Message) error { return plain.Mask((*Message)(m)) })
		}
	}
	if len(paths) > 0 {
		l.Pattern = func(path string) string {
			_, pattern := paths.Mask(path, redact.Replacement{})
			return pattern
		}
	}
	if l.IDs = append(l.IDs, l.Texts...); c.requestID == "" {
		l.IDs = nil // no request comes with one
	}
	return l
}
