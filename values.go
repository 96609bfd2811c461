package shadow

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goshadow/shadow/internal/bodies"
	"github.com/goshadow/shadow/internal/detect"
	"github.com/goshadow/shadow/internal/pointer"
)

// maxValue is how many bytes of a value a Diff holds.
const maxValue = 1 << 10

// unmasked is what of a message is needed to find the places of differences again once it
// is masked.
type unmasked struct {
	contentType string
	body        []byte
}

func original(m *Message) unmasked {
	if m == nil {
		return unmasked{}
	}
	return unmasked{m.Header.Get("Content-Type"), m.Body}
}

// fill gives diffs the values that stand at their places in the messages primary and
// shadow, which are masked by now. P and s are what they were when they were compared, and
// found says where in them values are.
func fill(diffs []Diff, found *Comparison, primary, shadow *Message, p, s unmasked) {
	if len(diffs) == 0 {
		return
	}
	at, places := placesOf(diffs, found.places)
	goneP, goneS := gone(primary, p), gone(shadow, s)
	var shown []bodies.Values
	if len(places) > 0 {
		shown = found.set.For(p.contentType, s.contentType).Show(places, p.body, s.body, primary.Body, shadow.Body)
	}
	for i := range diffs {
		d := &diffs[i]
		if at[i] != (bodies.Place{}) {
			d.Primary, d.Shadow = shown[0].A, shown[0].B
			shown = shown[1:]
			if (d.Primary == nil || goneP) && d.Kind != Extra {
				d.Primary = maskedJSON // nobody can tell what has become of it
			}
			if (d.Shadow == nil || goneS) && d.Kind != Missing {
				d.Shadow = maskedJSON
			}
			continue
		}
		d.Primary, d.Shadow = nil, nil
		if d.Kind != Extra {
			d.Primary = valueAt(primary, d.Path)
		}
		if d.Kind != Missing {
			d.Shadow = valueAt(shadow, d.Path)
		}
	}
}

// placesOf returns the place of each of diffs, and those that are any.
func placesOf(diffs []Diff, known []placed) (at, all []bodies.Place) {
	at = make([]bodies.Place, len(diffs))
	first := make(map[where]int, len(known)) // index of the next place, plus one
	next := make([]int, len(known))
	for i, p := range slices.Backward(known) {
		first[p.where], next[i] = i+1, first[p.where]
	}
	for i, d := range diffs {
		if k := first[where{d.Path, d.Kind}]; k > 0 {
			first[where{d.Path, d.Kind}] = next[k-1]
			if at[i] = known[k-1].place; at[i] != (bodies.Place{}) {
				all = append(all, at[i])
			}
		}
	}
	return at, all
}

// gone tells whether the record does without the body of a message.
func gone(m *Message, was unmasked) bool { return m != nil && m.Body == nil && len(was.body) > 0 }

// valueAt is what stands at path in a masked message.
func valueAt(m *Message, path string) json.RawMessage {
	if m == nil {
		return nil
	}
	if path == "/status" {
		return strconv.AppendInt(nil, int64(m.StatusCode), 10)
	}
	if strings.HasPrefix(path, "/header/Set-Cookie/") {
		return maskedJSON // the value is a credential
	}
	if name, ok := strings.CutPrefix(path, "/header/"); ok {
		return fieldValue(m.Header.Values(name))
	}
	if name, ok := strings.CutPrefix(path, "/trailer/"); ok {
		return fieldValue(m.Trailer.Values(name))
	}
	switch rest, ok := strings.CutPrefix(path, "/body"); {
	case !ok:
		return nil
	case rest == "":
		return bodyValue(m.Body)
	default:
		return bodyValue(pointer.Lookup(m.Body, rest))
	}
}

func fieldValue(values []string) json.RawMessage {
	var raw []byte
	switch len(values) {
	case 0:
		return nil
	case 1:
		raw, _ = json.Marshal(values[0])
	default:
		raw, _ = json.Marshal(values)
	}
	return bodyValue(raw)
}

// bodyValue is raw as JSON: itself, or a string of its beginning where it is long or no
// JSON text.
func bodyValue(raw []byte) json.RawMessage {
	if len(raw) == 0 {
		return nil
	}
	if len(raw) <= maxValue && json.Valid(raw) {
		return raw
	}
	text := raw
	if len(text) > maxValue {
		text = text[:maxValue]
		for len(text) > 0 && !utf8.RuneStart(raw[len(text)]) {
			text = text[:len(text)-1]
		}
	}
	out, _ := json.Marshal(string(text) + map[bool]string{true: "…"}[len(text) < len(raw)])
	return out
}

// hideNames replaces by "[masked]" each part of the paths of diffs that may be a value. Where
// the bodies were masked that is each name, index or key that the masked ones do not hold any
// more, unless it is known: a word of a mask's rules. In any case it is what a detector finds,
// such as an e-mail address that is a key.
func hideNames(masked bool, known map[string]bool, primary, shadow *Message, lists ...[]Diff) {
	shown, keyed := map[string]bool{}, map[string]bool{}
	eachPart(lists, func(part string) string {
		shown[part] = !masked
		if member, _, ok := strings.Cut(part, "="); ok {
			shown[member], keyed[pointer.Unescape(member)] = !masked, true
		}
		return part
	})
	if len(shown) == 0 {
		return
	}
	index := int64(math.MaxInt64)
	if masked {
		index = -1
		for _, m := range []*Message{primary, shadow} {
			if m == nil {
				continue
			}
			index = max(index, bodies.Tokens(m.Header.Get("Content-Type"), m.Body, keyed, func(token []byte) {
				if _, wanted := shown[string(token)]; wanted {
					shown[string(token)] = true
				}
			}))
		}
	}
	for part, show := range shown {
		shown[part] = (show || ownNames[part] || isIndex(part, index) || known[strings.ToLower(strings.TrimLeft(part, "@"))]) && len(detect.Text(nil, []byte(pointer.Unescape(part)), detect.All)) == 0
	}
	eachPart(lists, func(part string) string {
		member, _, keyed := strings.Cut(part, "=")
		switch {
		case shown[part]:
			return part
		case keyed && shown[member]:
			return member + "=" + maskedText
		}
		return maskedText
	})
}

// eachPart replaces the parts of the paths into bodies.
func eachPart(lists [][]Diff, with func(part string) string) {
	for _, diffs := range lists {
		for i := range diffs {
			rest, ok := strings.CutPrefix(diffs[i].Path, "/body/")
			if !ok {
				continue
			}
			parts := strings.Split(rest, "/")
			for k := range parts {
				parts[k] = with(parts[k])
			}
			diffs[i].Path = "/body/" + strings.Join(parts, "/")
		}
	}
}

// ownNames are the parts of paths that stand for no name in a body.
var ownNames = map[string]bool{
	"*": true, "text()": true, "unterminated": true, "@content-type": true, "@content-range": true, "@filename": true,
}

// isIndex reports whether part is an index up to most.
func isIndex(part string, most int64) bool {
	n, err := strconv.ParseInt(part, 10, 64)
	return err == nil && 0 <= n && n <= most
}
