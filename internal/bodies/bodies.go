// Package bodies compares message bodies by their media type.
//
// A body is read into a tape (tape.go): a flat tree whose leaves are texts and whose
// containers are lists or fields. Each media type is one reader that fills it: records.go,
// events.go, form.go, multipart.go, xml.go, lines.go. Everything else is written once:
// how two tapes are compared (compare.go), how lists are aligned so that one inserted
// element is one difference (align.go), and how the values of the differences are read
// from the masked bodies (show.go). JSON texts, wherever they are, go to package
// jsondiff.
//
// What is equal:
//
//   - JSON: see package jsondiff.
//   - NDJSON and JSON sequences: the same JSON texts in the same order.
//   - text/event-stream: the same events in the same order; see events.go.
//   - application/x-www-form-urlencoded: the same values of the same names, decoded; the
//     values of one name in the same order.
//   - multipart: the same parts, those of form-data by name, else in the same order. A
//     part is its media type, its file name, its range and its content, which is
//     compared by its media type. Boundary, preamble and epilogue never matter.
//   - XML: the same tree; see xml.go.
//   - text: the same lines.
//   - everything else: the same bytes.
//
// A body that is not what its media type says is one difference; where neither is, they
// are compared by their bytes. Text is converted to UTF-8 from the charset that its
// Content-Type or XML declaration names: see package charset. One that is not known there is
// an error, but for lines in the same one on both sides, which are compared by their bytes.
//
// Bounds: the time is O(n log n) and the memory O(n) in the size of the bodies, whatever
// they hold. A body of over 8192 fields, elements, records or events, and one more for each 5
// bytes, is an error: its parts cost a multiple of what ordinary ones do. XML nests at most 1000 levels, multipart 8; deeper is not read.
//
// Two parts of a body that are not JSON are taken for equal where their 64-bit hashes
// are. The hash is keyed with a secret of the process, so that nobody can make two parts
// collide, and by chance they do once in 2^64 comparisons.
package bodies

import (
	"bytes"
	"cmp"
	"hash/maphash"
	"math"
	"slices"
	"strings"

	"github.com/goshadow/shadow/internal/jsondiff"
	"github.com/goshadow/shadow/internal/media"
	"github.com/goshadow/shadow/internal/pointer"
)

// Set holds what the comparisons of all media types share. It is safe for concurrent
// use.
type Set struct {
	json     *jsondiff.Comparer
	exact    *jsondiff.Comparer // without rules, for the classes of texts
	seed     maphash.Seed
	maxDiffs int
	types    map[string]string // media types that are read as others
}

// NewSet returns a Set that compares JSON by json, and reports at most maxDiffs
// differences of two bodies; 0 or less is 100. Types are media types, in lower case, that are
// read as others.
func NewSet(json *jsondiff.Comparer, maxDiffs int, types map[string]string) *Set {
	return &Set{
		json:     json,
		exact:    jsondiff.New(jsondiff.Options{}),
		seed:     maphash.MakeSeed(),
		maxDiffs: cmp.Or(max(maxDiffs, 0), 100),
		types:    types,
	}
}

// WithTypes returns s with other media types that are read as others. Both share their rules and
// the counts of them.
func (s *Set) WithTypes(types map[string]string) *Set {
	own := *s
	own.types = types
	return &own
}

// Of is media.Of for the media types of s.
func (s *Set) Of(contentType string) media.Format {
	if len(s.types) > 0 {
		name, params, more := strings.Cut(contentType, ";")
		if other, ok := s.types[strings.ToLower(strings.TrimSpace(name))]; ok {
			if contentType = other; more {
				contentType += ";" + params
			}
		}
	}
	return media.Of(contentType)
}

// Comparer compares bodies of two media types, which are the same as a rule. It is safe
// for concurrent use.
type Comparer struct {
	set  *Set
	a, b media.Format
}

// For returns the Comparer for bodies with the given Content-Type field values. Where
// they are of different kinds, both bodies are read as the one that has more structure.
func (s *Set) For(typeA, typeB string) Comparer {
	c := Comparer{s, s.Of(typeA), s.Of(typeB)}
	switch { // a boundary of the other side is none
	case c.a.Kind < c.b.Kind:
		c.a = media.Format{Kind: c.b.Kind, Charset: c.a.Charset}
	case c.a.Kind > c.b.Kind:
		c.b = media.Format{Kind: c.a.Kind, Charset: c.b.Charset}
	}
	return c
}

// Diff is one difference.
type Diff struct {
	// Path is a JSON Pointer (RFC 6901) that begins with the prefix given to Compare.
	// Indexes are those of A, for Extra those of B. A list counts from 0; what has a
	// name has an index too where the name occurs several times.
	Path  string
	Kind  jsondiff.Kind
	Class jsondiff.Class
	Place Place
}

// Place is where the two values of a difference are, for [Comparer.Show]. The zero
// value is nowhere.
type Place struct{ a, b ref }

// ref is a run of nodes of a tape, or a value inside the JSON text of one. The zero
// value is none.
type ref struct {
	first, end int32
	inside     jsondiff.Span // its End is 0 where it is the whole node
}

// whole is the whole body: the root of every tape.
var whole = ref{first: 0, end: 1}

func one(node int32) ref { return ref{first: node, end: node + 1} }

// Result is what a comparison found. It owns its memory.
type Result struct {
	// Diffs are in the order of their paths, numbers in paths by value.
	Diffs []Diff

	// More is true where there are differences besides Diffs.
	More bool

	// ErrA and ErrB say why A and B are not what their media type says. Where only
	// one is set, Diffs is one TypeChanged of the whole bodies; where both are, they
	// were compared by their bytes. Neither quotes more of a body than a character.
	ErrA, ErrB error

	// Err says why nothing was compared: a charset cannot be converted, a body has too many
	// small parts, or the rules need too much work on it.
	Err error
}

// Compare compares a and b. Paths begin with prefix. Neither body is modified or kept.
func (c Comparer) Compare(a, b []byte, prefix string) Result {
	differ := func(kind jsondiff.Kind, errA, errB error) Result {
		d := Diff{Path: prefix, Kind: kind, Place: Place{whole, whole}}
		switch kind {
		case jsondiff.Missing:
			d.Place.b = ref{}
		case jsondiff.Extra:
			d.Place.a = ref{}
		}
		return Result{Diffs: []Diff{d}, ErrA: errA, ErrB: errB}
	}
	if bytes.Equal(a, b) {
		return Result{}
	}
	a, b, err := c.texts(a, b)
	switch {
	case err != nil:
		return Result{Err: err}
	case bytes.Equal(a, b):
		return Result{}
	case len(b) == 0:
		return differ(jsondiff.Missing, nil, nil)
	case len(a) == 0:
		return differ(jsondiff.Extra, nil, nil)
	case c.a.Kind == media.Bytes || max(len(a), len(b)) > math.MaxInt32:
		return differ(jsondiff.Changed, nil, nil)
	case c.a.Kind == media.JSON:
		got := c.set.json.Compare(a, b, prefix)
		if got.Err != nil {
			return Result{Err: got.Err}
		}
		if got.ErrA != nil && got.ErrB != nil {
			return differ(jsondiff.Changed, got.ErrA, got.ErrB)
		}
		r := Result{More: got.More, ErrA: got.ErrA, ErrB: got.ErrB}
		for _, d := range got.Diffs {
			r.Diffs = append(r.Diffs, fromJSON(d, 0, 0))
		}
		return r
	}

	names := newNames()
	w := &comparison{set: c.set, names: names, path: []byte(prefix), flipped: bytes.Compare(a, b) > 0}
	var errA, errB error
	w.a, errA = c.set.read(a, c.a, names)
	w.b, errB = c.set.read(b, c.b, names)
	switch {
	case errA == errDense || errB == errDense:
		return Result{Err: errDense}
	case errA != nil && errB != nil:
		return differ(jsondiff.Changed, errA, errB)
	case errA != nil || errB != nil:
		return differ(jsondiff.TypeChanged, errA, errB)
	}
	w.left = c.set.json.Evaluations(len(a) + len(b))
	w.pair(0, 0)
	if w.result.Err != nil {
		return Result{Err: w.result.Err}
	}
	slices.SortStableFunc(w.result.Diffs, func(x, y Diff) int { return pointer.Compare(x.Path, y.Path) })
	return w.result
}

// fromJSON is a difference in the JSON texts of nodes x and y.
func fromJSON(d jsondiff.Diff, x, y int32) Diff {
	to := Diff{Path: d.Path, Kind: d.Kind, Class: d.Class}
	if d.A.Start >= 0 {
		to.Place.a = ref{x, x + 1, d.A}
	}
	if d.B.Start >= 0 {
		to.Place.b = ref{y, y + 1, d.B}
	}
	return to
}
