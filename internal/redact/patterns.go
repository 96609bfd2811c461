package redact

import (
	"errors"
	"fmt"
	"regexp"
	"sync/atomic"

	"github.com/goshadow/shadow/internal/media"
	"github.com/goshadow/shadow/internal/message"
)

// MaskPatterns masks what the expressions match, wherever text is.
func MaskPatterns(patterns ...*regexp.Regexp) *Rule {
	r := &Rule{Option: "MaskPatterns", values: true, reads: true, covers: isTextual, texts: true}
	find := make(expressions, len(patterns))
	for i, p := range patterns {
		if p == nil {
			r.Err = errors.Join(r.Err, fmt.Errorf("MaskPatterns: argument %d: nil", i+1))
			continue
		}
		find[i] = &expression{Regexp: p}
		r.Given = append(r.Given, p.String())
	}
	r.Found = func(i int) uint64 { return find[i].found.Load() }
	r.mask = func(m *message.Message, with Replacement) error {
		texts := &Texts{Finder: find, Replacement: with}
		return eachText(r.Option, m, isTextual, texts.mask)
	}
	return r
}

// isTextual reports whether rules about texts look into a piece of a body.
func isTextual(l Leaf) bool {
	return l.Kind != media.Multipart && (l.Kind > media.Bytes || IsText(l.Text))
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
