package shadow

import (
	"bytes"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goshadow/shadow/internal/bodies"
	"github.com/goshadow/shadow/internal/jsonpath"
	"github.com/goshadow/shadow/internal/jsonscan"
	"github.com/goshadow/shadow/internal/media"
	"github.com/goshadow/shadow/internal/redact"
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
// known says where in them values are.
func fill(set *bodies.Set, diffs []Diff, known []placed, primary, shadow *Message, p, s unmasked) {
	if len(diffs) == 0 {
		return
	}
	at, places := placesOf(diffs, known)
	goneP, goneS := gone(primary, p), gone(shadow, s)
	var shown []bodies.Values
	if len(places) > 0 {
		shown = set.For(p.contentType, s.contentType).Show(places, p.body, s.body, primary.Body, shadow.Body)
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
		return bodyValue(redact.Lookup(m.Body, rest))
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

// hideNames takes from the paths of diffs what the masked messages do not hold any more:
// the keys of keyed arrays, and names that may be values. Those are all where a masker
// may change names. Else a name is missing because what it is in, or what it names, was
// masked: that may show as long as it does not look like it names one of many things.
func hideNames(diffs []Diff, mask *maskAll, masked ...*Message) {
	renamed := mask.renames()
	held := map[string]bool{}
	holds := func(name string) bool {
		if known, ok := held[name]; ok {
			return known
		}
		held[name] = !renamed && !isIdentifier(strings.TrimLeft(name, "@?!")) || holdsName(name, masked)
		return held[name]
	}
	for i := range diffs {
		if !strings.HasPrefix(diffs[i].Path, "/body/") {
			continue
		}
		parts := strings.Split(diffs[i].Path, "/")
		for k, part := range parts[2:] {
			member, key, keyed := strings.Cut(part, "=")
			switch {
			case keyed && holdsKey(member, key, masked), holds(redact.Unescape(part)):
			case keyed && holds(redact.Unescape(member)):
				parts[2+k] = member + "=" + maskedText
			default:
				parts[2+k] = maskedText
			}
		}
		diffs[i].Path = strings.Join(parts, "/")
	}
}

// ownNames are the parts of paths that stand for no name in a body.
var ownNames = map[string]bool{
	"text()": true, "unterminated": true, "@content-type": true, "@content-range": true, "@filename": true,
}

// holdsName tells whether a name that is part of a path is in one of the messages. An
// index is not looked for.
func holdsName(name string, messages []*Message) bool {
	if strings.Trim(name, "0123456789") == "" || ownNames[name] {
		return true
	}
	literal, _ := json.Marshal(name)
	for _, m := range messages {
		if m == nil {
			continue
		}
		if f := media.Of(m.Header.Get("Content-Type")); f.Kind == media.JSON || f.Kind == media.Records {
			if holds(m, "$..["+string(literal)+"]", func([]byte) bool { return true }) {
				return true
			}
		} else if written := strings.TrimLeft(name, "@?!"); bytes.Contains(m.Body, []byte(written)) ||
			bytes.Contains(m.Body, []byte(url.QueryEscape(written))) {
			return true
		}
	}
	return false
}

// holdsKey tells whether a member with that name and value, both as tokens of a path, is
// in one of the messages.
func holdsKey(member, key string, messages []*Message) bool {
	name, _ := json.Marshal(redact.Unescape(member))
	want := redact.Unescape(key)
	for _, m := range messages {
		if m != nil && holds(m, "$..["+string(name)+"]", func(got []byte) bool {
			return string(got) == want || got[0] == '"' && string(jsonscan.AppendUnquote(nil, got)) == want
		}) {
			return true
		}
	}
	return false
}

// holds tells whether a JSON text of m has a value at path that is wanted.
func holds(m *Message, path string, wanted func(value []byte) bool) bool {
	p, err := jsonpath.Parse(path)
	if err != nil {
		return false
	}
	for _, text := range texts(m) {
		nodes, err := p.Select(text, 0)
		if err != nil {
			continue
		}
		for _, n := range nodes {
			if wanted(text[n.Start:n.End]) {
				return true
			}
		}
	}
	return false
}

// texts are the JSON texts of a body.
func texts(m *Message) (list [][]byte) {
	if media.Of(m.Header.Get("Content-Type")).Kind != media.Records {
		return [][]byte{m.Body}
	}
	for _, text := range media.Each(m.Body) {
		list = append(list, text)
	}
	return list
}
