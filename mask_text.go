package shadow

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"

	"github.com/goshadow/shadow/internal/media"
	"github.com/goshadow/shadow/internal/redact"
)

// MaskPatterns replaces what the expressions match by "[masked]", wherever text is: in
// values of header and trailer fields, in the path, the query and the fragment of URLs,
// and in bodies. Text is decoded before it is looked at: the strings, numbers and member
// names of JSON, the names and values of forms, the text and the attributes of XML, the
// parts of multipart bodies and their file names, the data of events. So a pattern is about
// one value, and never spans two. Other text is looked at as it is. Content-Type,
// Content-Length and the like are left alone.
//
// Text that is broken, Truncated, or in a coding or charset that cannot be read is an
// error. Bodies that are not text, such as images, are left alone: see AllowBodies.
//
// Name values where they have names, with MaskJSON and its like: a pattern finds what it
// was written for.
func MaskPatterns(patterns ...*regexp.Regexp) Masker {
	m := &maskText{finder: make(expressions, len(patterns))}
	for i, p := range patterns {
		if p == nil {
			m.err = errors.Join(m.err, fmt.Errorf("MaskPatterns: argument %d: nil", i+1))
		}
		m.finder[i] = &expression{Regexp: p}
	}
	return m
}

// expression is a pattern and how many matches it had.
type expression struct {
	*regexp.Regexp
	found atomic.Uint64
}

// expressions finds what any of them matches.
type expressions []*expression

func (list expressions) Find(spans [][2]int, text []byte) [][2]int {
	for _, p := range list {
		found := p.FindAllIndex(text, -1)
		p.found.Add(uint64(len(found)))
		for _, at := range found {
			spans = append(spans, [2]int{at[0], at[1]})
		}
	}
	return spans
}

// maskText masks what finder finds, wherever text is.
type maskText struct {
	replacing
	finder expressions
	err    error
}

func (m *maskText) Fault() error { return m.err }

func (m *maskText) Rules() []RuleUse {
	if m.err != nil {
		return nil
	}
	given := make([]string, len(m.finder))
	for i, p := range m.finder {
		given[i] = p.String()
	}
	return ruleUses("MaskPatterns", given, func(i int) uint64 { return m.finder[i].found.Load() })
}

func (m *maskText) with(r redact.Replacement) Masker {
	changed := *m
	changed.r = r
	return &changed
}

func (m *maskText) covers(l redact.Leaf) bool {
	return l.Kind != media.Multipart && (l.Kind > media.Bytes || redact.IsText(l.Text))
}

func (m *maskText) Mask(msg *Message) error {
	if m.err != nil {
		return m.err
	}
	texts := &redact.Texts{Finder: m.finder, Replacement: m.r}
	if msg.URL != nil {
		u := *msg.URL
		if masked := texts.URL(u.EscapedPath()); masked != u.EscapedPath() {
			setPath(&u, masked)
		}
		if plain := texts.String(u.Path); plain != u.Path { // over several segments
			u.Path, u.RawPath = plain, ""
		}
		u.Opaque, u.RawQuery = texts.URL(u.Opaque), strings.TrimPrefix(texts.URL("?"+u.RawQuery), "?")
		maskFragment(&u, texts.URL)
		msg.URL = &u
	}
	eachValue(msg, func(name, value string) string {
		if framing[http.CanonicalHeaderKey(name)] {
			return value
		}
		if strings.IndexByte(value, '%') >= 0 {
			return texts.URL(value)
		}
		return texts.String(value)
	})
	return maskBody("MaskPatterns", msg, m, redact.Rule{
		Leaf: func(l redact.Leaf) ([]byte, error) {
			switch l.Kind {
			case media.JSON:
				return texts.JSON(l.Text)
			case media.XML:
				return texts.XML(l.Text)
			case media.Form:
				if redact.LooksLikeJSON(l.Text) {
					return texts.Lines(l.Text)
				}
				return []byte(strings.TrimPrefix(texts.URL("?"+string(l.Text)), "?")), nil
			}
			return texts.Lines(l.Text)
		},
		Text: texts.Text,
	})
}

// framing are the fields that say how a body is to be read.
var framing = map[string]bool{
	"Content-Type": true, "Content-Length": true, "Content-Encoding": true, "Transfer-Encoding": true, "Trailer": true,
}
