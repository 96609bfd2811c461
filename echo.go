package shadow

import "github.com/goshadow/shadow/internal/pointer"

// tokens are what makes the tokens that the targets of a Mirror are sent; nil where none is.
type tokens struct{ candidate, control *maskAll }

// tokenisers are the maskers of those that a Target has whose replacement is a token of the
// value: Hash and Tokenize. Nil is none.
func tokenisers(m Masker) *maskAll {
	all, ok := m.(*maskAll)
	if !ok {
		return nil
	}
	var found maskAll
	for _, one := range all.list {
		if r, ok := one.(replaceable); ok && r.tokenises() {
			found.list = append(found.list, one)
		}
	}
	if len(found.list) == 0 {
		return nil
	}
	return &found
}

// echoes tells which of diffs, those of x, are there only because the shadow was sent tokens
// in the place of values and has answered with them: they vanish when the primary's answer
// has the same tokens in its place. The shadow's is compared as it is, so a token of another
// value, or no value at all, remains a difference. What other replacements leave says
// nothing about the value it stands for: it hides no difference.
func (m *Mirror) echoes(x *Exchange, tokens *maskAll, diffs []Diff, more bool) (rest, echoed []Diff, others bool) {
	if tokens == nil || len(diffs) == 0 {
		return diffs, nil, more
	}
	y := *x
	y.Primary = x.Primary.Clone()
	if m.guard("Masker", func() error { return tokens.mask(y.Primary) }) != nil { // it cannot be read
		return diffs, nil, more
	}
	again := m.diff(&y, false)
	if again.Err != nil || again.More {
		return diffs, nil, more
	}
	echoed, rest = vanished(diffs, again.Diffs)
	if len(again.Diffs) > 0 && len(rest) == 0 { // it is another difference now, of which we know too little
		return diffs, nil, more
	}
	return rest, echoed, more && len(rest) > 0
}

// vanished splits diffs into those at whose path nothing differs again, and the rest. The kind does
// not matter here: a difference that has become another one is still a difference.
func vanished(diffs, again []Diff) (gone, rest []Diff) {
	paths := make(map[string]bool, len(again))
	for _, d := range again {
		paths[pointer.Fold(d.Path)] = true
	}
	for _, d := range diffs {
		if paths[pointer.Fold(d.Path)] {
			rest = append(rest, d)
		} else {
			gone = append(gone, d)
		}
	}
	return gone, rest
}
