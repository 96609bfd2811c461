package redact

import (
	"errors"
	"fmt"
	"slices"

	"github.com/goshadow/shadow/internal/detect"
	"github.com/goshadow/shadow/internal/message"
)

// MaskDetected masks what looks like one of the kinds, wherever it stands.
func MaskDetected(kinds ...string) *Rule {
	r := &Rule{Option: "MaskDetected", values: true, reads: true, covers: isTextual, texts: true}
	set, err := KindsOf("MaskDetected", kinds)
	r.Err = err
	r.mask = func(m *message.Message, with Replacement) error {
		found := &detected{r: with, kinds: set}
		return eachText(r.Option, m, searched, func(t piece) ([]byte, error) { return found.rewrite(t.raw, t.reading) })
	}
	return r
}

// KindsOf returns the set of kinds, all where there are none.
func KindsOf(where string, kinds []string) (set detect.Kinds, err error) {
	if len(kinds) == 0 {
		return detect.All, nil
	}
	for _, kind := range kinds {
		k, ok := detect.Named(kind)
		if !ok {
			err = errors.Join(err, fmt.Errorf("%s: %q is no DetectorKind", where, kind))
			continue
		}
		set |= detect.Of(k)
	}
	return set, err
}

// detected replaces what looks like one of the kinds.
type detected struct {
	r     Replacement
	kinds detect.Kinds
}

// rewrite replaces what is found until nothing is: what stood beside a finding may look
// like one once that is gone. Tokens look like what they stand for: they are made once.
//
// JSON that is a value in JSON or in a form is masked as what it is.
func (m *detected) rewrite(text []byte, r reading) ([]byte, error) {
	return m.within(text, r, 0)
}

// within is rewrite for text that is inside of so many other documents.
func (m *detected) within(text []byte, r reading, inside int) (_ []byte, err error) {
	var nested [][2]int // where there are values that were masked by themselves
	if r.nested != nil && inside < maxEncodings {
		text, nested, err = r.nested(text, func(inner []byte) ([]byte, error) { return m.within(inner, asJSON, inside+1) })
		if err != nil {
			return nil, err
		}
	}
	const rounds = 8
	for range rounds {
		found, err := r.find(nil, text, m.kinds)
		if m.r.Tokens() { // which are not tokenised once more
			found = slices.DeleteFunc(found, func(f detect.Finding) bool {
				return slices.ContainsFunc(nested, func(at [2]int) bool { return at[0] <= f.Start && f.Start < at[1] })
			})
		}
		if err != nil || len(found) == 0 {
			return text, err
		}
		out := make([]byte, 0, len(text)+len(found)*len(`""`+Masked))
		copied := 0
		number, other := m.r.Number(""), r.write(m.r.Text(""))
		for _, f := range found {
			if raw := text[f.Start:f.End]; m.r.Tokens() { // which are not the same for all
				number, other = m.r.Number(string(raw)), r.write(m.r.Text(r.read(raw)))
			}
			with := other
			if f.Number {
				with = number
			}
			out = append(append(out, text[copied:f.Start]...), with...)
			copied = f.End
		}
		if text = append(out, text[copied:]...); m.r.Tokens() {
			return text, nil
		}
	}
	return nil, errors.New("something is found however often it is masked")
}
