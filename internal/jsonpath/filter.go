package jsonpath

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/goshadow/shadow/internal/jsonscan"
)

// A test is a logical expression of a filter, asked of the node '@'.
type test interface {
	holds(ev *evaluator, at uint32) bool
}

type (
	anyOf      []test
	allOf      []test
	negation   struct{ test }
	existence  struct{ *query }
	comparison struct {
		op          string
		left, right operand
	}
)

func (t anyOf) holds(ev *evaluator, at uint32) bool {
	return slices.ContainsFunc(t, func(x test) bool { return x.holds(ev, at) })
}

func (t allOf) holds(ev *evaluator, at uint32) bool {
	return !slices.ContainsFunc(t, func(x test) bool { return !x.holds(ev, at) })
}

func (t negation) holds(ev *evaluator, at uint32) bool { return !t.test.holds(ev, at) }

func (t existence) holds(ev *evaluator, at uint32) bool {
	found := false
	t.query.each(ev, at, (*evaluator).set, func(nodes []uint32) { found = len(nodes) > 0 })
	return found
}

// holds follows RFC 9535 section 2.3.5.2.2: values of different kinds differ and
// have no order, Nothing equals Nothing only, arrays and objects have no order.
func (t comparison) holds(ev *evaluator, at uint32) bool {
	left, right := t.left.value(ev, at), t.right.value(ev, at)
	switch t.op {
	case "==":
		return ev.equal(left, right)
	case "!=":
		return !ev.equal(left, right)
	case "<":
		return ev.less(left, right)
	case "<=":
		return ev.less(left, right) || ev.equal(left, right)
	case ">":
		return ev.less(right, left)
	default: // ">="
		return ev.less(right, left) || ev.equal(left, right)
	}
}

// The types of RFC 9535 section 2.4.1.
type typ uint8

const (
	valueType typ = iota
	logicalType
	nodesType
)

// String says what an argument of the type is.
func (t typ) String() string {
	switch t {
	case valueType:
		return "a literal, a query for a single node (names and indexes) or a function with a value"
	case nodesType:
		return "a query"
	}
	return "a condition"
}

// An operand is a side of a comparison or an argument of a function. Only what
// isValue accepts is asked for its value.
type operand interface {
	typ() typ
	value(ev *evaluator, at uint32) value
}

// A value is JSON text: of a literal, of a result, or in the document, where at
// is its entry. No text is Nothing, the absence of a value.
type value struct {
	raw []byte
	at  uint32
}

type literal []byte

func (literal) typ() typ                         { return valueType }
func (l literal) value(*evaluator, uint32) value { return value{raw: l} }

// A query is a path inside a filter, from '$' or '@'.
type query struct {
	absolute bool
	segments []segment
}

func (*query) typ() typ { return nodesType }

// singular reports whether the query yields at most one node, names being unique
// (RFC 9535 section 2.3.5.1).
func (q *query) singular() bool {
	for _, seg := range q.segments {
		if seg.descendant || len(seg.selectors) != 1 {
			return false
		}
		if k := seg.selectors[0].kind; k != kindName && k != kindIndex {
			return false
		}
	}
	return true
}

// each hands the nodes of the query to use, evaluating an absolute one only once.
// They are valid during the call.
func (q *query) each(ev *evaluator, at uint32, evaluate func(*evaluator, []segment, uint32) []uint32, use func([]uint32)) {
	if !q.absolute {
		nodes := evaluate(ev, q.segments, at)
		use(nodes)
		ev.release(nodes)
		return
	}
	nodes, ok := ev.absolute[q]
	if !ok {
		nodes = evaluate(ev, q.segments, 0)
		ev.absolute[q] = nodes
	}
	use(nodes)
}

// value is that of the last node: names may not be unique after all.
func (q *query) value(ev *evaluator, at uint32) value {
	var v value
	q.each(ev, at, (*evaluator).list, func(nodes []uint32) {
		if len(nodes) > 0 {
			v.at = nodes[len(nodes)-1]
			v.raw = ev.raw(v.at)
		}
	})
	return v
}

type signature struct {
	params []typ
	result typ
}

// signatures are the functions of RFC 9535 sections 2.4.4 to 2.4.8.
var signatures = map[string]signature{
	"length": {params: []typ{valueType}, result: valueType},
	"count":  {params: []typ{nodesType}, result: valueType},
	"match":  {params: []typ{valueType, valueType}, result: logicalType},
	"search": {params: []typ{valueType, valueType}, result: logicalType},
	"value":  {params: []typ{nodesType}, result: valueType},
}

// A call of a function.
type call struct {
	name string
	signature
	args    []operand
	pattern *pattern // of match and search, if constant
}

func (c *call) typ() typ { return c.result }

func (c *call) value(ev *evaluator, at uint32) value {
	if c.name == "length" {
		if n := ev.length(c.args[0].value(ev, at)); n >= 0 {
			return number(n)
		}
		return value{}
	}
	var v value
	c.args[0].(*query).each(ev, at, (*evaluator).list, func(nodes []uint32) {
		switch {
		case c.name == "count":
			v = number(len(nodes))
		case len(nodes) == 1: // value()
			v = value{raw: ev.raw(nodes[0]), at: nodes[0]}
		}
	})
	return v
}

func number(n int) value { return value{raw: strconv.AppendInt(nil, int64(n), 10)} }

// constantPattern returns the pattern of match and search if it is a string
// literal.
func (c *call) constantPattern() (string, bool) {
	if c.result != logicalType {
		return "", false
	}
	lit, ok := c.args[1].(literal)
	if !ok || lit[0] != '"' {
		return "", false
	}
	return string(jsonscan.AppendUnquote(nil, lit)), true
}

func (c *call) compile(text string) (err error) {
	c.pattern, err = compilePattern(c.name, text)
	return err
}

// holds is match or search: false unless both arguments are strings and the
// second is an I-Regexp.
func (c *call) holds(ev *evaluator, at uint32) bool {
	subject := c.args[0].value(ev, at).raw
	if kindOf(subject) != '"' {
		return false
	}
	p := c.pattern
	if p == nil {
		text := c.args[1].value(ev, at).raw
		if kindOf(text) != '"' {
			return false
		}
		if p = ev.patterns[c]; p == nil || !bytes.Equal(p.literal, text) {
			p, _ = compilePattern(c.name, string(jsonscan.AppendUnquote(nil, text)))
			p.literal = text
			ev.patterns[c] = p
			ev.left -= len(text) + p.size
		}
		// The pattern may be as hostile as the subject: matching takes time in
		// proportion to the product.
		ev.spendText(len(subject) * p.size)
		if ev.left < 0 {
			return false
		}
	}
	ev.spendText(len(subject))
	ev.name = jsonscan.AppendUnquote(ev.name[:0], subject)
	return p.match(ev.name)
}

// length is RFC 9535 section 2.4.4: characters, elements or members; -1 for
// anything else.
func (ev *evaluator) length(v value) int {
	switch kindOf(v.raw) {
	case '"':
		ev.spendText(len(v.raw))
		ev.name = jsonscan.AppendUnquote(ev.name[:0], v.raw)
		n := 0
		for rest := ev.name; len(rest) > 0; n++ {
			_, size := decodeRune(rest)
			rest = rest[size:]
		}
		return n
	case '{', '[':
		n := 0
		for c := v.at + 1; c < ev.entries[v.at].next; c = ev.entries[c].next {
			n++
		}
		ev.left -= n
		return n
	}
	return -1
}

// kindOf tells kinds of values apart by a byte: '"', '{', '[', 't', 'f', 'n', '0'
// for numbers, and 0 for Nothing.
func kindOf(raw []byte) byte {
	switch {
	case len(raw) == 0:
		return 0
	case raw[0] == '-' || isDigit(raw[0]):
		return '0'
	}
	return raw[0]
}

func (ev *evaluator) less(a, b value) bool {
	kind := kindOf(a.raw)
	if kind != kindOf(b.raw) {
		return false
	}
	switch kind {
	case '0':
		return jsonscan.CompareNumbers(a.raw, b.raw) < 0
	case '"':
		ev.spendText(len(a.raw) + len(b.raw))
		return bytes.Compare(jsonscan.AppendUnquote(nil, a.raw), jsonscan.AppendUnquote(nil, b.raw)) < 0
	}
	return false
}

// equal recurses as deep as the values are nested, which the depth limit of the
// document bounds, and looks at each value once.
func (ev *evaluator) equal(a, b value) bool {
	if ev.left < 0 {
		return false
	}
	kind := kindOf(a.raw)
	if kind != kindOf(b.raw) {
		return false
	}
	ev.spendText(min(len(a.raw), len(b.raw)))
	switch kind {
	case '0':
		return jsonscan.EqualNumbers(a.raw, b.raw)
	case '"':
		return jsonscan.EqualStrings(a.raw, b.raw)
	case '{', '[':
		if bytes.Equal(a.raw, b.raw) {
			return true
		}
		return ev.equalChildren(a.at, b.at)
	}
	return true
}

// equalChildren compares elements in order, and members by name: those with the
// same name in their order.
func (ev *evaluator) equalChildren(a, b uint32) bool {
	as, bs := ev.children(a, ev.buffer()), ev.children(b, ev.buffer())
	defer func() { ev.release(as); ev.release(bs) }()
	ev.left -= len(as) + len(bs)
	if len(as) != len(bs) {
		return false
	}
	if ev.doc[ev.entries[a].start] == '{' && !ev.sameNames(as, bs) {
		ev.sortByName(as)
		ev.sortByName(bs)
		if !ev.sameNames(as, bs) {
			return false
		}
	}
	for i := range as {
		if !ev.equal(value{raw: ev.raw(as[i]), at: as[i]}, value{raw: ev.raw(bs[i]), at: bs[i]}) {
			return false
		}
	}
	return true
}

func (ev *evaluator) sameNames(as, bs []uint32) bool {
	for i := range as {
		a, b := ev.nameLiteral(as[i]), ev.nameLiteral(bs[i])
		ev.spendText(len(a) + len(b))
		if !jsonscan.EqualStrings(a, b) {
			return false
		}
	}
	return true
}

func (ev *evaluator) sortByName(members []uint32) {
	names := make(map[uint32][]byte, len(members))
	for _, m := range members {
		names[m] = jsonscan.AppendUnquote(nil, ev.nameLiteral(m))
		ev.spendText(len(names[m]))
	}
	slices.SortStableFunc(members, func(x, y uint32) int { return bytes.Compare(names[x], names[y]) })
}
