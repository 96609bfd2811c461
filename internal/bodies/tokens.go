package bodies

import (
	"bytes"
	"hash/maphash"

	"github.com/goshadow/shadow/internal/jsonscan"
	"github.com/goshadow/shadow/internal/media"
	"github.com/goshadow/shadow/internal/pointer"
)

// Tokens calls found with the reference tokens (RFC 6901) that a path into a body may have: the
// names in it, and "member=value" of each member that is one of keyed, by which elements of
// arrays may be paired. The token is valid during the call. Tokens returns a bound of the
// indexes in such a path. A body that cannot be read has neither.
func (s *Set) Tokens(contentType string, body []byte, keyed map[string]bool, found func(token []byte)) (index int64) {
	in := tokens{keyed: keyed, found: found}
	f := s.Of(contentType)
	if f.Kind == media.JSON {
		in.json(body)
		return in.index
	}
	t := &tape{set: s, doc: body, names: newNames(), seed: maphash.MakeSeed()}
	if t.read(f, self, 0, len(body), 0) != nil || !t.room() {
		return 0
	}
	for _, name := range t.names.tokens[1:] {
		found([]byte(name))
	}
	in.index = int64(len(t.nodes))
	for n := range t.nodes {
		if k := t.nodes[n].kind; k == jsonText || k == dataText {
			in.json(t.decoded(int32(n)))
		}
	}
	return in.index
}

type tokens struct {
	keyed map[string]bool
	found func([]byte)
	index int64
	token []byte // scratch
}

// json finds the tokens of a JSON text. It looks at strings and brackets alone.
func (s *tokens) json(doc []byte) {
	var counts []int64 // of the open arrays and objects, the commas so far
	for i := 0; i < len(doc); {
		switch doc[i] {
		case '{', '[':
			counts = append(counts, 0)
		case '}', ']':
			counts = counts[:max(len(counts)-1, 0)]
		case ',':
			if n := len(counts); n > 0 {
				counts[n-1]++
				s.index = max(s.index, counts[n-1])
			}
		case '"':
			end, _, err := jsonscan.String(doc, i)
			if err != nil {
				return
			}
			i = s.string(doc, i, end)
			continue
		}
		i++
	}
}

// string finds the tokens of the string that stands between i and end, if it is a name. It
// returns where to go on.
func (s *tokens) string(doc []byte, i, end int) int {
	colon := jsonscan.Space(doc, end)
	if colon == len(doc) || doc[colon] != ':' {
		return end
	}
	name := jsonscan.AppendUnquote(nil, doc[i:end])
	s.token = pointer.AppendToken(s.token[:0], name)
	s.found(s.token)
	if !s.keyed[string(name)] {
		return end
	}
	value := doc[jsonscan.Space(doc, colon+1):]
	if len(value) > 0 && value[0] == '"' {
		after, _, err := jsonscan.String(value, 0)
		if err != nil {
			return len(doc)
		}
		value = jsonscan.AppendUnquote(nil, value[:after])
	} else if after := bytes.IndexAny(value, ",}] \t\r\n"); after >= 0 {
		value = value[:after]
	}
	s.token = pointer.AppendToken(append(s.token, '='), value)
	s.found(s.token)
	return end
}
