package bodies

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/goshadow/shadow/internal/jsondiff"
	"github.com/goshadow/shadow/internal/media"
)

// maxValue is how many bytes of a value are shown.
const maxValue = 1 << 10

// Values are the two values of a difference, as JSON. Nil is where there is none, or
// where nobody can tell what has become of it in the masked body.
type Values struct{ A, B json.RawMessage }

// Show reads the values at places, which are of differences between a and b, from
// maskedA and maskedB: the same bodies after values in them were replaced. Nothing that
// it returns comes from anywhere else.
//
// A value is followed by the names and the positions around it; a list whose length has
// changed is not looked into. JSON is shown as it is, other text decoded and as a
// string, bytes as a string that says how many there are, where they begin to differ and
// what is there. Of long values the surroundings of the first difference are shown.
func (c Comparer) Show(places []Place, a, b, maskedA, maskedB []byte) []Values {
	refs := make([]ref, len(places))
	for i, p := range places {
		refs[i] = p.a
	}
	inA := c.set.find(refs, c.a, a, maskedA)
	for i, p := range places {
		refs[i] = p.b
	}
	inB := c.set.find(refs, c.b, b, maskedB)
	values := make([]Values, len(places))
	for i := range places {
		values[i] = render(inA[i], inB[i])
	}
	return values
}

// shown is a value before it is rendered.
type shown struct {
	text []byte
	as   style
}

// style is how a value is rendered.
type style uint8

const (
	asNothing style = iota // there is none
	asText
	asJSON
	asBytes
)

// find returns what stands at the refs of body in masked.
func (s *Set) find(refs []ref, f media.Format, body, masked []byte) []shown {
	list := make([]shown, len(refs))
	var parts []int
	for i, r := range refs {
		switch r {
		case ref{}:
		case whole:
			list[i] = entire(f, masked)
		default:
			parts = append(parts, i)
		}
	}
	if len(parts) == 0 {
		return list
	}
	names := newNames()
	in := s.tape(masked, f, names)
	if bytes.Equal(body, masked) {
		for _, i := range parts {
			if int(refs[i].end) <= len(in.nodes) {
				list[i] = in.shown(refs[i])
			}
		}
		return list
	}
	from := s.tape(body, f, names)
	t := newTrace(from, in, refs, parts)
	inside := map[int32][]int{} // what is inside of a JSON text, by its node
	for _, i := range parts {
		r := refs[i]
		first, ok := t.found[r.first]
		last, okLast := t.found[r.end-1]
		switch {
		case !ok || !okLast:
		case r.inside.End > 0:
			inside[r.first] = append(inside[r.first], i)
		default:
			list[i] = in.shown(ref{first: first, end: last + 1})
		}
	}
	for n, which := range inside {
		spans := make([]jsondiff.Span, len(which))
		for k, i := range which {
			spans[k] = refs[i].inside
		}
		text := in.decoded(t.found[n])
		got, err := s.json.Resolve(from.decoded(n), text, spans)
		if err != nil {
			continue
		}
		for k, i := range which {
			if value := got[k].Of(text); value != nil {
				list[i] = shown{value, asJSON}
			}
		}
	}
	return list
}

// tape reads a body, as one text where it is not what it should be.
func (s *Set) tape(body []byte, f media.Format, names *names) *tape {
	if converted, err := text(body, f); err == nil {
		body = converted
	}
	t, err := s.read(body, f, names)
	if err != nil {
		t = &tape{set: s, doc: body, names: names, seed: s.seed}
		t.leaf(self, plain, 0, len(body), nil)
	}
	return t
}

// entire is a whole body.
func entire(f media.Format, body []byte) shown {
	if converted, err := text(body, f); err == nil {
		body = converted
	}
	switch f.Kind {
	case media.Bytes:
		return shown{body, asBytes}
	case media.JSON:
		return shown{body, asJSON}
	}
	return shown{body, asText}
}

// shown is what is at r.
func (t *tape) shown(r ref) shown {
	switch {
	case r == ref{}:
		return shown{}
	case r.inside.End > 0:
		text := t.decoded(r.first)
		if r.inside.End > len(text) {
			return shown{}
		}
		return shown{r.inside.Of(text), asJSON}
	case r.end > r.first+1 && t.nodes[r.first].kind == escaped:
		return t.values(r)
	case r.end > r.first+1:
		return shown{t.doc[t.nodes[r.first].start:t.nodes[r.end-1].end], asText}
	}
	switch t.nodes[r.first].kind {
	case opaque:
		return shown{t.raw(r.first), asBytes}
	case jsonText:
		return shown{t.raw(r.first), asJSON}
	}
	return shown{t.decoded(r.first), asText}
}

// values lists the values that the first field of r has in it.
func (t *tape) values(r ref) shown {
	out := []byte{'['}
	for n := r.first; n < r.end && len(out) <= maxValue; n++ {
		if t.nodes[n].name == t.nodes[r.first].name {
			if n > r.first {
				out = append(out, ',')
			}
			out = append(out, quote(string(t.decoded(n)))...)
		}
	}
	return shown{append(out, ']'), asJSON}
}

// trace follows nodes of one tape to what stands in their place in another.
type trace struct {
	from, to *tape
	found    map[int32]int32
}

// newTrace follows the first and the last nodes of the refs that are named.
func newTrace(from, to *tape, refs []ref, which []int) *trace {
	t := &trace{from, to, map[int32]int32{}}
	var wanted []int32
	for _, i := range which {
		wanted = append(wanted, refs[i].first, refs[i].end-1)
	}
	slices.Sort(wanted)
	t.follow(0, 0, slices.Compact(wanted))
	return t
}

// follow finds the wanted nodes, which are x, in whose place y is, or in it, and in
// their order.
func (t *trace) follow(x, y int32, wanted []int32) {
	if len(wanted) > 0 && wanted[0] == x {
		t.found[x] = y
		wanted = wanted[1:]
	}
	if len(wanted) == 0 || t.from.nodes[x].kind != t.to.nodes[y].kind {
		return
	}
	for _, pair := range t.pairs(x, y) {
		first, _ := slices.BinarySearch(wanted, pair[0])
		end, _ := slices.BinarySearch(wanted, t.from.nodes[pair[0]].next)
		if first < end {
			t.follow(pair[0], pair[1], wanted[first:end])
		}
	}
}

// pairs pairs the children of two containers, the k-th of a name with the k-th, if there
// are as many.
func (t *trace) pairs(x, y int32) (pairs [][2]int32) {
	xs, ys := t.from.byName(x), t.to.byName(y)
	for len(xs) > 0 && len(ys) > 0 {
		_, i, j := nextGroup(t.from, xs, t.to, ys)
		if i == j {
			for k := range i {
				pairs = append(pairs, [2]int32{xs[k], ys[k]})
			}
		}
		xs, ys = xs[i:], ys[j:]
	}
	slices.SortFunc(pairs, func(p, q [2]int32) int { return cmp.Compare(p[0], q[0]) })
	return pairs
}

// render renders the two values of a difference.
func render(a, b shown) Values {
	a, b = a.plainest(), b.plainest()
	both := a.as != asNothing && b.as != asNothing
	if a.as == asBytes && b.as != asNothing {
		b.as = asBytes
	}
	if b.as == asBytes && a.as != asNothing {
		a.as = asBytes
	}
	at := 0
	if both {
		at = commonPrefix(a.text, b.text)
	}
	return Values{a.render(at), b.render(at)}
}

// plainest is s as what it can be rendered.
func (s shown) plainest() shown {
	if s.as == asJSON && (len(s.text) > maxValue || !json.Valid(s.text)) {
		s.as = asText
	}
	if s.as == asText && (!utf8.Valid(s.text) || bytes.IndexByte(s.text, 0) >= 0) {
		s.as = asBytes
	}
	return s
}

func commonPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// render renders a value that differs from another from at on.
func (s shown) render(at int) json.RawMessage {
	switch s.as {
	case asNothing:
		return nil
	case asJSON:
		return s.text
	case asBytes:
		return quote(describe(s.text, at))
	}
	return quote(window(s.text, at))
}

// describe says how many bytes there are, and what the first are from at on.
func describe(data []byte, at int) string {
	const most = 16
	rest := data[at:]
	switch {
	case len(rest) == 0:
		return strconv.Itoa(len(data)) + " bytes"
	case len(rest) > most:
		return fmt.Sprintf("%d bytes, at %d: % x …", len(data), at, rest[:most])
	}
	return fmt.Sprintf("%d bytes, at %d: % x", len(data), at, rest)
}

// window is text, or where it is long what is around at.
func window(text []byte, at int) string {
	const before = maxValue / 8
	if len(text) <= maxValue {
		return string(text)
	}
	start := 0
	if at > before {
		start = atRune(text, min(at-before, len(text)-maxValue))
	}
	end := atRune(text, min(start+maxValue, len(text)))
	out := string(text[start:end])
	if start > 0 {
		out = "…" + out
	}
	if end < len(text) {
		out += "…"
	}
	return out
}

// atRune is the beginning of the character that at is in.
func atRune(text []byte, at int) int {
	for at > 0 && at < len(text) && !utf8.RuneStart(text[at]) {
		at--
	}
	return at
}

// quote is text as a JSON string.
func quote(text string) json.RawMessage {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false) // people read this
	e.Encode(text)         //nolint:errcheck // a string is always JSON
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}
