package route

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/goshadow/shadow/internal/message"
)

// Labels names routes, strata and correlation IDs as the rules of masks leave them. These are
// in every result, span and log, and the ID goes with the copy.
type Labels struct {
	// Methods are those that names of routes may show besides the usual ones.
	Methods []string
	// Named is set where what is found of a request is the name of its route. Otherwise it is
	// the pattern of a router.
	Named bool

	// Pattern returns the pattern of a rule that masks the escaped path, or "". It may be nil.
	Pattern func(path string) string
	// Texts mask every text of a message.
	Texts []func(*message.Message) error

	// RequestID is the header field of correlation IDs, IDs are the rules that mask it, and
	// NewID makes an ID in the place of a masked one.
	RequestID string
	IDs       []func(*message.Message) error
	NewID     func() string
}

// Origin says how a route got its name. Clients can make up paths, and the routes that these
// make must not take the places of those that exist.
type Origin int

// The origins of names, from the least to the most trusted.
const (
	Guessed   Origin = iota // the template of a path that the primary may not serve
	Answered                // the template of a path that the primary serves
	Patterned               // a pattern, or the user's own name
	Origins
)

// Origin returns the origin of the name that Route returns for found. Status is that of the
// primary's answer, 0 if it is not known.
func (l *Labels) Origin(found string, status int) Origin {
	switch {
	case found != "" && (l.Named || !CatchAll(found)):
		return Patterned
	case status == 0, status == http.StatusNotFound, status == http.StatusMethodNotAllowed:
		return Guessed
	}
	return Answered
}

// Append appends the name that Route returns to dst, which has room for MaxName bytes, without
// allocating. Ok is false where that takes a rule of a mask or the user's own name.
func (l *Labels) Append(dst []byte, found, method string, u *url.URL) (name []byte, ok bool) {
	if l.Named && found != "" {
		return dst, false
	}
	method = Method(method, l.Methods)
	if name = AppendPattern(dst, method, found); len(name) == len(dst) {
		if l.Pattern != nil || len(l.Texts) > 0 {
			return dst, false
		}
		name = AppendTemplate(append(append(name, method...), ' '), u.Path)
	}
	return name[:min(len(name), MaxName)], true
}

// Route returns the name of the route of a request to u, of which found is known. It is empty
// if the rules cannot tell.
func (l *Labels) Route(found, method string, u *url.URL) string {
	if l.Named && found != "" {
		return cut(found)
	}
	name := make([]byte, 0, 128)
	method = Method(method, l.Methods)
	if name = AppendPattern(name, method, found); len(name) > 0 {
		return string(name[:min(len(name), MaxName)])
	}
	name = append(append(name, method...), ' ')
	if pattern := l.pattern(u.EscapedPath()); pattern != "" {
		return string(append(name, pattern...))
	}
	msg := message.Message{URL: &url.URL{Path: u.Path, RawPath: u.RawPath}}
	for _, mask := range l.Texts {
		if mask(&msg) != nil {
			return ""
		}
	}
	name = AppendTemplate(name, msg.URL.Path)
	return string(name[:min(len(name), MaxName)])
}

func (l *Labels) pattern(path string) string {
	if l.Pattern == nil {
		return ""
	}
	return l.Pattern(path)
}

// Stratum returns the name of a stratum, cut to MaxName bytes.
func (l *Labels) Stratum(name string) string { return cut(l.maskStratum(name)) }

// maskStratum applies the rules to the name of a stratum. Samplers name strata by routes, and
// so by paths: "GET /users/ada". A name that has no path and in which a rule finds something
// becomes [masked].
func (l *Labels) maskStratum(name string) string {
	if name == "" || l.Pattern == nil && len(l.Texts) == 0 {
		return name
	}
	at := strings.IndexByte(name, '/')
	if at < 0 || at > 0 && name[at-1] != ' ' {
		at = len(name)
	}
	path := name[at:]
	if pattern := l.pattern((&url.URL{Path: path}).EscapedPath()); pattern != "" {
		path = pattern
	}
	msg := message.Message{Header: http.Header{"": {name[:at]}}, URL: &url.URL{Path: path}}
	for _, mask := range l.Texts {
		if mask(&msg) != nil {
			return masked
		}
	}
	if before := msg.Header[""]; len(before) != 1 || before[0] != name[:at] {
		return masked
	}
	return name[:at] + msg.URL.Path
}

// ID returns the correlation ID of a request that came with id: a new one if a rule masks id.
func (l *Labels) ID(id string) string {
	for _, mask := range l.IDs {
		msg := message.Message{Header: http.Header{l.RequestID: {id}}}
		if mask(&msg) != nil || msg.Header.Get(l.RequestID) != id {
			return l.NewID()
		}
	}
	return id
}

// cut returns the first MaxName bytes of name, and keeps nothing of the rest.
func cut(name string) string {
	if len(name) > MaxName {
		return strings.Clone(name[:MaxName])
	}
	return name
}
