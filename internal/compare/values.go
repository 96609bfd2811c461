package compare

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goshadow/shadow/internal/bodies"
	"github.com/goshadow/shadow/internal/detect"
	"github.com/goshadow/shadow/internal/message"
	"github.com/goshadow/shadow/internal/pointer"
)

// Differences are those of one exchange.
type Differences struct {
	Diffs, Noise []Diff
	Control      []Diff // between primary and control
}

// Body is what of a message is needed to find the values of differences again once the message
// is masked.
type Body struct {
	contentType string
	content     []byte
}

// BodyOf returns the Body of m, which may be nil.
func BodyOf(m *message.Message) Body {
	if m == nil {
		return Body{}
	}
	return Body{m.Header.Get("Content-Type"), m.Body}
}

// Mask gives the differences the values that stand at their places in primary and shadow, which
// are masked by now, and hides names in their paths that may be values. P and s are the bodies
// that were compared. Known are words that masks name, in lower case: those are no secrets.
// Control then has each place once, without values.
func (all *Differences) Mask(primary, shadow *message.Message, p, s Body, known map[string]bool) {
	fill(all.Diffs, primary, shadow, p, s)
	fill(all.Noise, primary, shadow, p, s)
	masked := !bytes.Equal(p.content, BodyOf(primary).content) || !bytes.Equal(s.content, BodyOf(shadow).content)
	hideNames(all.set(), masked, known, primary, shadow, all.Diffs, all.Noise, all.Control)
	all.Control = places(all.Control)
}

// set returns the rules by which bodies are read.
func (all *Differences) set() *bodies.Set {
	for _, list := range [...][]Diff{all.Diffs, all.Noise, all.Control} {
		for _, d := range list {
			if d.in != nil {
				return d.in
			}
		}
	}
	return new(bodies.Set)
}

// Fill gives diffs the values that stand at their places in the messages that were compared.
func Fill(diffs []Diff, primary, shadow *message.Message) {
	fill(diffs, primary, shadow, BodyOf(primary), BodyOf(shadow))
}

// fill gives diffs the values that stand at their places in primary and shadow. P and s are the
// bodies that were compared.
func fill(diffs []Diff, primary, shadow *message.Message, p, s Body) {
	goneP, goneS := gone(primary, p), gone(shadow, s)
	placed := map[*bodies.Set][]int{} // indexes of diffs by who found their places
	for i, d := range diffs {
		if d.in != nil {
			placed[d.in] = append(placed[d.in], i)
			continue
		}
		diffs[i].Primary, diffs[i].Shadow = nil, nil
		if d.Kind != extra {
			diffs[i].Primary = valueAt(primary, d.Path)
		}
		if d.Kind != missing {
			diffs[i].Shadow = valueAt(shadow, d.Path)
		}
	}
	for set, which := range placed {
		at := make([]bodies.Place, len(which))
		for k, i := range which {
			at[k] = diffs[i].place
		}
		shown := set.For(p.contentType, s.contentType).Show(at, p.content, s.content, primary.Body, shadow.Body)
		for k, i := range which {
			d := &diffs[i]
			d.Primary, d.Shadow = shown[k].A, shown[k].B
			if (d.Primary == nil || goneP) && d.Kind != extra {
				d.Primary = maskedJSON // nobody can tell what has become of it
			}
			if (d.Shadow == nil || goneS) && d.Kind != missing {
				d.Shadow = maskedJSON
			}
		}
	}
}

// Locate gives the differences that another comparator has found the places of those among known
// that have the same path and kind: the first the place of the first.
func Locate(diffs, known []Diff) {
	waiting := make(map[place][]int, len(known)) // indexes of known
	for i, d := range known {
		at := place{d.Path, d.Kind}
		waiting[at] = append(waiting[at], i)
	}
	for i := range diffs {
		d := &diffs[i]
		if list := waiting[place{d.Path, d.Kind}]; d.in == nil && len(list) > 0 {
			d.place, d.in = known[list[0]].place, known[list[0]].in
			waiting[place{d.Path, d.Kind}] = list[1:]
		}
	}
}

const (
	// maxValue is how many bytes of a value a Diff holds.
	maxValue = 1 << 10
	// maskedText stands in the place of what is masked, as in package redact.
	maskedText = "[masked]"
)

var maskedJSON = json.RawMessage(`"` + maskedText + `"`)

// gone reports whether the record does without the body of a message.
func gone(m *message.Message, was Body) bool {
	return m != nil && m.Body == nil && len(was.content) > 0
}

// valueAt is what stands at path in a masked message.
func valueAt(m *message.Message, path string) json.RawMessage {
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
func hideNames(set *bodies.Set, masked bool, known map[string]bool, primary, shadow *message.Message, lists ...[]Diff) {
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
		for _, m := range []*message.Message{primary, shadow} {
			if m == nil {
				continue
			}
			index = max(index, set.Tokens(m.Header.Get("Content-Type"), m.Body, keyed, func(token []byte) {
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
