package shadow

import (
	"github.com/goshadow/shadow/internal/mark"
	"github.com/goshadow/shadow/internal/redact"
	"github.com/goshadow/shadow/internal/route"
)

// newLabels returns what names routes, strata and correlation IDs, by the rules of maskers that
// are about them.
func newLabels(c *config, maskers []Masker) *route.Labels {
	l := &route.Labels{Methods: c.methods, Named: c.route != nil, RequestID: c.requestID, NewID: mark.NewID}
	paths, texts, ids := redact.All("", nil, rulesOf(maskers)...).Labels(c.requestID)
	if len(paths) > 0 {
		l.Pattern = func(path string) string {
			_, pattern := paths.Mask(path, redact.Replacement{})
			return pattern
		}
	}
	for _, rule := range texts {
		l.Texts = append(l.Texts, rule.Mask)
	}
	for _, rule := range ids {
		l.IDs = append(l.IDs, rule.Mask)
	}
	return l
}
