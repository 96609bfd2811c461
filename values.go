package shadow

import (
	"encoding/json"
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
// shadow, which are masked by now. P and s are what they were when they were compared.
func fill(set *bodies.Set, diffs []Diff, primary, shadow *Message, p, s unmasked) {
	if len(diffs) == 0 {
		return
	}
	var places []bodies.Place
	for _, d := range diffs {
		if d.place != (bodies.Place{}) {
			places = append(places, d.place)
		}
	}
	var shown []bodies.Values
	if len(places) > 0 {
		shown = set.For(p.contentType, s.contentType).Show(places, p.body, s.body, primary.Body, shadow.Body)
	}
	for i := range diffs {
		d := &diffs[i]
		if d.place != (bodies.Place{}) {
			d.Primary, d.Shadow = shown[0].A, shown[0].B
			shown = shown[1:]
			if d.Primary == nil && d.Kind != Extra {
				d.Primary = maskedJSON // nobody can tell what has become of it
			}
			if d.Shadow == nil && d.Kind != Missing {
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

// hideKeys takes from the paths of diffs the keys of keyed arrays that the masked
// messages do not hold any more.
func hideKeys(diffs []Diff, masked ...*Message) {
	for i := range diffs {
		parts := strings.Split(diffs[i].Path, "/")
		for k, part := range parts {
			member, key, keyed := strings.Cut(part, "=")
			if keyed && !holdsKey(member, key, masked) {
				parts[k] = member + "=" + maskedText
			}
		}
		diffs[i].Path = strings.Join(parts, "/")
	}
}

// holdsKey tells whether a member with that name and value, both as tokens of a path, is
// in one of the messages.
func holdsKey(member, key string, messages []*Message) bool {
	name, _ := json.Marshal(redact.Unescape(member))
	path, err := jsonpath.Parse("$..[" + string(name) + "]")
	if err != nil {
		return false
	}
	want := redact.Unescape(key)
	for _, m := range messages {
		if m == nil {
			continue
		}
		for _, text := range texts(m) {
			nodes, err := path.Select(text, 0)
			if err != nil {
				continue
			}
			for _, n := range nodes {
				if got := text[n.Start:n.End]; string(got) == want ||
					got[0] == '"' && string(jsonscan.AppendUnquote(nil, got)) == want {
					return true
				}
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
