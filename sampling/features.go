package sampling

import (
	"hash/maphash"
	"strings"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/internal/jsonscan"
	"github.com/goshadow/shadow/internal/media"
)

// features are the hashes of what is known about answers: each of a feature.
type features map[uint64]struct{}

// maxFeatures bounds the features that are looked at in one answer, and those that are kept for
// one route. After that nothing is new.
const maxFeatures = 128

// featureDepth is the depth to which a JSON body is searched for features.
const featureDepth = 4

// feature is something about an answer: its status, its media type, or that there is a
// value of a kind at a place of its body.
type feature struct {
	parent uint64 // the hash of the feature around it; 0 is the answer
	name   string
	kind   int
}

// take adds more to f and reports whether any of them is new.
func (f features) take(more features) (news bool) {
	for one := range more {
		if _, old := f[one]; !old && len(f) < maxFeatures {
			f[one] = struct{}{}
			news = true
		}
	}
	return news
}

// note adds one feature to f and returns its hash.
func (f features) note(seed maphash.Seed, one feature) uint64 {
	h := maphash.Comparable(seed, one)
	f[h] = struct{}{}
	return h
}

// featuresOf returns the features of the primary's answer in r.
func (s *Adaptive) featuresOf(r *shadow.Result) features {
	f := features{}
	if r.Primary == nil {
		return f
	}
	contentType := r.Primary.Header.Get("Content-Type")
	mediaType, _, _ := strings.Cut(contentType, ";")
	f.note(s.seed, feature{name: "status", kind: r.Primary.StatusCode})
	f.note(s.seed, feature{name: mediaType})
	body := r.Primary.Body
	if at := jsonscan.Space(body, 0); media.Of(contentType).Kind == media.JSON && at < len(body) {
		f.walk(s.seed, body, at, feature{name: "body"}, featureDepth)
	}
	return f
}

// walk adds to f the value that starts at doc[at] and what is in it. Elements of arrays, and
// members whose names look like identifiers, count as one. A document that breaks off has
// the features before that.
func (f features) walk(seed maphash.Seed, doc []byte, at int, place feature, depth int) {
	place.kind = int(doc[at])
	switch doc[at] {
	case '{', '[':
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		place.kind = '0'
	case 'f':
		place.kind = 't'
	}
	h := f.note(seed, place)
	if depth == 0 || doc[at] != '{' && doc[at] != '[' {
		return
	}
	for c := jsonscan.Open(doc, at); len(f) < maxFeatures && c.Next(doc); {
		name := string(doc[c.Name:c.NameEnd])
		if !c.Object() || isIdentifier(name) {
			name = "*"
		}
		f.walk(seed, doc, c.Start, feature{parent: h, name: name}, depth-1)
	}
}

// isIdentifier reports whether a name in a body looks like it names one of many things:
// it has a digit (but is no version such as v2), an @ or %, or is long.
func isIdentifier(s string) bool {
	if len(s) > 1 && s[0] == 'v' && strings.Trim(s[1:], "0123456789") == "" {
		return false
	}
	return len(s) > 32 || strings.ContainsAny(s, "0123456789@%:")
}
