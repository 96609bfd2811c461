package compare

import (
	"bytes"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/goshadow/shadow/internal/message"
	"github.com/goshadow/shadow/internal/pointer"
)

// classMasked is the class of a difference that is there only because the copy was masked.
const classMasked = "masked"

// place is where and how answers differ.
type place struct{ path, kind string }

// foldedPlace is the place of d, array indexes and keys of array elements aside.
func foldedPlace(d Diff) place { return place{pointer.Fold(d.Path), d.Kind} }

// places returns the places of diffs, each once.
func places(diffs []Diff) (list []Diff) {
	seen := make(map[place]bool, len(diffs))
	for _, d := range diffs {
		at := foldedPlace(d)
		if !seen[at] {
			seen[at] = true
			list = append(list, Diff{Path: at.path, Kind: at.kind, Class: d.Class})
		}
	}
	return list
}

// Subtract splits diffs into those that the control does not show at the same place, and
// the noise. The kind is part of the place: a value that is random in the control may
// change, but may not be missing.
func Subtract(diffs, noise []Diff) (rest, noisy []Diff) {
	shown := make(map[place]bool, len(noise))
	for _, d := range noise {
		shown[foldedPlace(d)] = true
	}
	for _, d := range diffs {
		if shown[foldedPlace(d)] {
			noisy = append(noisy, d)
		} else {
			rest = append(rest, d)
		}
	}
	return rest, noisy
}

// Masking is how the copy of a request was masked.
type Masking struct {
	// Maskers are those of the target that put something else in the place of values.
	Maskers []func(*message.Message) error
	// Request makes the request anew, as it was before it was masked. It returns nil if there
	// is no room for it.
	Request func() *message.Message
	// Compare compares the shadow's answer with another answer of the primary.
	Compare func(primary *message.Message) Found
}

// effective returns those of the maskers that changed the request of the copy.
func (m *Masking) effective() (list []func(*message.Message) error) {
	if len(m.Maskers) == 0 {
		return nil
	}
	was := m.Request()
	if was == nil {
		return nil
	}
	for _, mask := range m.Maskers {
		now := was.Clone()
		if mask(now) == nil && !sameRequest(was, now) {
			list = append(list, mask)
		}
	}
	return list
}

func sameRequest(a, b *message.Message) bool {
	same := func(x, y map[string][]string) bool { return maps.EqualFunc(x, y, slices.Equal) }
	return bytes.Equal(a.Body, b.Body) && spelledURL(a.URL) == spelledURL(b.URL) && same(a.Header, b.Header) && same(a.Trailer, b.Trailer)
}

func spelledURL(u *url.URL) string {
	if u == nil {
		return ""
	}
	return u.String()
}

// SubtractTokens splits diffs into the rest and those that are there only because the copy was
// masked: the shadow was sent replacements in the place of values, and has answered with them.
// Those vanish when the same maskers have been over the primary's answer. The shadow's is
// compared as it is: the replacement of another value, or no value at all, remains a difference,
// and so does what a masker replaces that found nothing in the request. More says that there are
// more than diffs, others that there are more than the rest.
func (m *Masking) SubtractTokens(primary *message.Message, diffs []Diff, more bool) (rest, tokens []Diff, others bool) {
	if len(diffs) == 0 {
		return diffs, nil, more
	}
	maskers := m.effective()
	if len(maskers) == 0 {
		return diffs, nil, more
	}
	masked := primary.Clone()
	for _, mask := range maskers {
		if mask(masked) != nil { // it cannot be read
			return diffs, nil, more
		}
	}
	again := m.Compare(masked)
	if again.Err != nil || again.More {
		return diffs, nil, more
	}
	vanished, _ := Subtract(diffs, again.Diffs)
	// Others that differ now are values that the shadow knew by itself, or a list that is
	// aligned in another way.
	appeared, _ := Subtract(again.Diffs, diffs)
	doubtful := near(appeared)
	gone := make(map[string]bool, len(vanished))
	for _, d := range vanished {
		gone[d.Path] = !doubtful.has(d.Path)
	}
	for _, d := range diffs {
		if gone[d.Path] {
			d.Class = classMasked
			tokens = append(tokens, d)
		} else {
			rest = append(rest, d)
		}
	}
	if more && len(rest) == 0 && len(again.Diffs) > 0 { // it is another difference, of which we know too little
		return diffs, nil, more
	}
	return rest, tokens, more && len(rest) > 0
}

// nearby are places in an answer at which something differs: they, what they are in and what
// is in them. Of two places in one array nobody knows whether they are of the same element.
type nearby struct{ at, above map[string]bool }

func near(diffs []Diff) nearby {
	n := nearby{map[string]bool{}, map[string]bool{}}
	for _, d := range diffs {
		place := arrayOf(d.Path)
		n.at[place] = true
		for i := range len(place) {
			if place[i] == '/' {
				n.above[place[:i]] = true
			}
		}
	}
	return n
}

func (n nearby) has(path string) bool {
	place := arrayOf(path)
	if n.at[place] || n.above[place] {
		return true
	}
	for i := range len(place) {
		if place[i] == '/' && n.at[place[:i]] {
			return true
		}
	}
	return false
}

// maxNear is how many tokens of a path are looked at.
const maxNear = 32

// arrayOf is a path as far as the first element of an array, or where it is long its
// beginning.
func arrayOf(path string) string {
	path = pointer.Fold(path)
	at := 0
	for range maxNear {
		next := strings.IndexByte(path[min(at+1, len(path)):], '/')
		end := len(path)
		if next >= 0 {
			end = at + 1 + next
		}
		if at < len(path) && path[at:end] == "/*" || next < 0 {
			return path[:end]
		}
		at = end
	}
	return path[:at]
}
