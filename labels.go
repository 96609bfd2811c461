package shadow

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/goshadow/shadow/internal/redact"
)

// labelMasks are the rules, of the masks of the targets and of the record, that may be
// about what a copy is called by: its route, and the correlation ID that the request came
// with. These are in every result, span and log, and the ID goes with the copy.
type labelMasks struct {
	requestID string
	methods   []string     // that names of routes may show: see methodName
	paths     redact.Paths // of every MaskPath: they name routes
	texts     []Masker     // that look at every text
	ids       []Masker     // that look at the field requestID
}

func newLabelMasks(requestID string, methods []string, maskers []Masker) *labelMasks {
	l := &labelMasks{requestID: requestID, methods: methods}
	for _, masker := range newMaskAll("", maskers).list {
		switch m := masker.(type) {
		case *maskPath:
			l.paths = append(l.paths, m.paths...)
		case *maskHeaders:
			if m.names.Has(requestID) {
				l.ids = append(l.ids, m)
			}
		case *maskText, *maskDetected:
			l.texts = append(l.texts, masker.(replaceable).with(redact.Replacement{}))
		}
	}
	if l.ids = append(l.ids, l.texts...); requestID == "" {
		l.ids = nil // no request comes with one
	}
	return l
}

// route names the route of a request that nobody has named: by its method and the pattern of
// a MaskPath, or the template of its path, as the rules leave it. It is empty where they
// cannot tell.
func (l *labelMasks) route(method string, u *url.URL) string {
	name := append(append(make([]byte, 0, 128), methodName(method, l.methods)...), ' ')
	if _, pattern := l.paths.Mask(u.EscapedPath(), redact.Replacement{}); pattern != "" {
		return string(append(name, pattern...))
	}
	msg := Message{URL: &url.URL{Path: u.Path, RawPath: u.RawPath}}
	for _, m := range l.texts {
		if m.Mask(&msg) != nil {
			return ""
		}
	}
	name = appendTemplate(name, msg.URL.Path)
	return string(name[:min(len(name), maxRouteName)])
}

// stratum returns the name of a stratum as the rules leave it, cut to maxRouteName bytes.
func (l *labelMasks) stratum(name string) string {
	if name = l.maskStratum(name); len(name) > maxRouteName {
		name = strings.Clone(name[:maxRouteName]) // the rest is not kept for it
	}
	return name
}

// maskStratum returns the name of a stratum as the rules leave it. Samplers name strata by routes,
// and so by paths: "GET /users/ada". A name in which a rule finds something, and that is no
// path, is [masked].
func (l *labelMasks) maskStratum(name string) string {
	if name == "" || len(l.paths) == 0 && len(l.texts) == 0 {
		return name
	}
	at := strings.IndexByte(name, '/')
	if at < 0 || at > 0 && name[at-1] != ' ' {
		at = len(name)
	}
	path := name[at:]
	if _, pattern := l.paths.Mask((&url.URL{Path: path}).EscapedPath(), redact.Replacement{}); pattern != "" {
		path = pattern
	}
	msg := Message{Header: http.Header{"": {name[:at]}}, URL: &url.URL{Path: path}}
	for _, m := range l.texts {
		if m.Mask(&msg) != nil {
			return maskedText
		}
	}
	if before := msg.Header[""]; len(before) != 1 || before[0] != name[:at] {
		return maskedText
	}
	return name[:at] + msg.URL.Path
}

// id returns the correlation ID of a request that came with id: another one where a rule is
// about it.
func (l *labelMasks) id(id string) string {
	for _, m := range l.ids {
		msg := Message{Header: http.Header{l.requestID: {id}}}
		if m.Mask(&msg) != nil || msg.Header.Get(l.requestID) != id {
			return newID()
		}
	}
	return id
}
