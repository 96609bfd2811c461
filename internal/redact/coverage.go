package redact

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goshadow/shadow/internal/media"
	"github.com/goshadow/shadow/internal/message"
)

// AllowBodies covers bodies of the media types, and looks into none.
func AllowBodies(types ...string) *Rule {
	r := &Rule{Option: "AllowBodies"}
	allowed := map[string]bool{}
	for _, t := range types {
		kind, sub, ok := strings.Cut(t, "/")
		if !ok || kind == "" || sub == "" || strings.ContainsAny(t, "; ,") || kind == "*" && sub != "*" {
			r.Err = errors.Join(r.Err, fmt.Errorf(`AllowBodies: %q is not a media type like "image/png", "image/*" or "*/*"`, t))
		}
		allowed[strings.ToLower(t)] = true
	}
	r.mask = func(*message.Message, Replacement) error { return nil }
	r.covers = func(l Leaf) bool {
		kind, _, _ := strings.Cut(l.Type, "/")
		return allowed["*/*"] || allowed[l.Type] || allowed[kind+"/*"]
	}
	return r
}

// AboutBodies reports whether one of the rules in r is about bodies. Then a body into which none
// of them looks is an error.
func (r *Rule) AboutBodies() bool {
	return slices.ContainsFunc(r.parts(), func(p *Rule) bool { return p.covers != nil })
}

// Uncovered returns an error if the rules in r are about bodies, but none looks into that of m.
func (r *Rule) Uncovered(m *message.Message) error {
	if len(m.Body) == 0 && !m.Truncated || !r.AboutBodies() {
		return nil
	}
	f, err := formatOf(m)
	if err != nil {
		return &Error{"AllowBodies", err}
	}
	if r.looksInto(Leaf{Format: f, Text: m.Body}) {
		return nil
	}
	if f.Kind != media.Multipart || m.Truncated {
		return uncovered(f)
	}
	var other error // the first part into which no rule looks
	walk := Walk{
		Looks: func(l Leaf) bool {
			if other == nil && !r.looksInto(l) {
				other = uncovered(l.Format)
			}
			return false
		},
		Part: func(name string) (Replacement, bool) {
			return Replacement{}, slices.ContainsFunc(r.parts(), func(p *Rule) bool { return p.hides != nil && p.hides(name) })
		},
	}
	if _, err = walk.Body(f, m.Body); err != nil {
		return &Error{"AllowBodies", err}
	}
	return other
}

// looksInto reports whether one of the rules in r looks into a piece of a body.
func (r *Rule) looksInto(l Leaf) bool {
	return slices.ContainsFunc(r.parts(), func(p *Rule) bool { return p.covers != nil && p.covers(l) })
}

func uncovered(f media.Format) error {
	return &Error{"AllowBodies", fmt.Errorf("no rule looks into a body of type %.100q", f.Type)}
}
