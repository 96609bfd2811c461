package jsonpath

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxNesting bounds parentheses, filters and function calls inside each other,
// so that no expression can exhaust the stack.
const maxNesting = 200

// maxInt is the largest index or bound, and minus the smallest: the integers
// that I-JSON represents exactly (RFC 9535 section 2.1).
const maxInt = 1<<53 - 1

// parser is a recursive-descent parser of the grammar of RFC 9535 appendix A.
// Each method consumes what it is named after.
type parser struct {
	expr  string
	pos   int
	depth int
}

func parseQuery(expr string) ([]segment, error) {
	p := &parser{expr: expr}
	if i := invalidUTF8(expr); i >= 0 {
		p.pos = i
		return nil, p.fail("the expression is not UTF-8")
	}
	p.accept("$")
	segments, err := p.segments()
	if err != nil {
		return nil, err
	}
	if p.pos < len(expr) {
		if strings.Trim(expr[p.pos:], " \t\n\r") == "" {
			return nil, p.fail("white space after the expression")
		}
		return nil, p.fail("expected '.', '..', '[' or the end")
	}
	return segments, nil
}

func invalidUTF8(s string) int {
	for i, r := range s {
		if r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD") {
			return i
		}
	}
	return -1
}

func (p *parser) fail(format string, args ...any) error {
	return p.failAt(p.pos, format, args...)
}

func (p *parser) failAt(pos int, format string, args ...any) error {
	return &SyntaxError{Expr: p.expr, Offset: pos, Msg: fmt.Sprintf(format, args...)}
}

// enter goes one level of nesting down; leave comes back.
func (p *parser) enter() error {
	p.depth++
	if p.depth > maxNesting {
		return p.fail("nested more than %d levels deep", maxNesting)
	}
	return nil
}

func (p *parser) leave() { p.depth-- }

// peek returns the next byte, 0 at the end.
func (p *parser) peek() byte {
	if p.pos < len(p.expr) {
		return p.expr[p.pos]
	}
	return 0
}

func (p *parser) accept(token string) bool {
	if !strings.HasPrefix(p.expr[p.pos:], token) {
		return false
	}
	p.pos += len(token)
	return true
}

func (p *parser) space() {
	for p.pos < len(p.expr) && strings.IndexByte(" \t\n\r", p.expr[p.pos]) >= 0 {
		p.pos++
	}
}

func (p *parser) segments() ([]segment, error) {
	var segments []segment
	for {
		before := p.pos
		p.space()
		var seg segment
		var err error
		switch {
		case p.accept(".."):
			seg.descendant = true
			if p.peek() == '[' {
				seg.selectors, err = p.bracketed()
			} else {
				seg.selectors, err = p.shorthand()
			}
		case p.accept("."):
			if p.peek() == '[' {
				return nil, p.fail("expected a name or '*' after '.'; write [...] without the dot")
			}
			seg.selectors, err = p.shorthand()
		case p.peek() == '[':
			seg.selectors, err = p.bracketed()
		default:
			p.pos = before // the white space belongs to what follows the query
			return segments, nil
		}
		if err != nil {
			return nil, err
		}
		segments = append(segments, seg)
	}
}

// shorthand is what follows a dot: '*' or a member-name-shorthand.
func (p *parser) shorthand() ([]selector, error) {
	if p.accept("*") {
		return []selector{{kind: kindWildcard}}, nil
	}
	start := p.pos
	for p.pos < len(p.expr) {
		c := p.expr[p.pos]
		if !isAlpha(c) && c != '_' && c < utf8.RuneSelf && (!isDigit(c) || p.pos == start) {
			break
		}
		p.pos++
	}
	if p.pos == start {
		return nil, p.fail("expected a name or '*'; write ['...'] for a name with other characters")
	}
	return []selector{nameSelector(p.expr[start:p.pos])}, nil
}

func isAlpha(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func (p *parser) bracketed() ([]selector, error) {
	p.accept("[")
	var selectors []selector
	for {
		p.space()
		s, err := p.selector()
		if err != nil {
			return nil, err
		}
		selectors = append(selectors, s)
		p.space()
		if p.accept("]") {
			return selectors, nil
		}
		if !p.accept(",") {
			return nil, p.fail("expected ',' or ']'")
		}
	}
}

func (p *parser) selector() (selector, error) {
	switch c := p.peek(); {
	case c == '\'' || c == '"':
		name, err := p.stringLiteral()
		return nameSelector(name), err
	case c == '*':
		p.pos++
		return selector{kind: kindWildcard}, nil
	case c == '?':
		p.pos++
		return p.filter()
	case c == ':' || c == '-' || isDigit(c):
		return p.indexOrSlice()
	}
	return selector{}, p.fail("expected a quoted name, '*', an index, a slice or '?'")
}

func (p *parser) indexOrSlice() (selector, error) {
	start, err := p.optionalInt()
	if err != nil {
		return selector{}, err
	}
	afterStart := p.pos
	p.space()
	if !p.accept(":") {
		p.pos = afterStart
		return selector{kind: kindIndex, index: start.at}, nil
	}
	p.space()
	end, err := p.optionalInt()
	if err != nil {
		return selector{}, err
	}
	step := bound{at: 1}
	p.space()
	if p.accept(":") {
		p.space()
		if step, err = p.optionalInt(); err != nil {
			return selector{}, err
		}
		if !step.set {
			step.at = 1
		}
	}
	return selector{kind: kindSlice, start: start, end: end, step: step.at}, nil
}

// optionalInt is an int of the grammar, or nothing.
func (p *parser) optionalInt() (bound, error) {
	start := p.pos
	negative := p.accept("-")
	digits := p.digits()
	switch {
	case digits == "" && !negative:
		return bound{}, nil
	case digits == "":
		return bound{}, p.fail("expected a digit after '-'")
	case digits[0] == '0' && (negative || len(digits) > 1):
		return bound{}, p.failAt(start, "an integer has no leading zero and is not -0")
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n > maxInt {
		return bound{}, p.failAt(start, "the integer is outside ±(2^53-1)")
	}
	if negative {
		n = -n
	}
	return bound{at: n, set: true}, nil
}

func (p *parser) digits() string {
	start := p.pos
	for isDigit(p.peek()) {
		p.pos++
	}
	return p.expr[start:p.pos]
}

// stringLiteral decodes a single- or double-quoted string.
func (p *parser) stringLiteral() (string, error) {
	start := p.pos
	quote := p.expr[p.pos]
	p.pos++
	var text []byte
	for p.pos < len(p.expr) {
		switch c := p.expr[p.pos]; {
		case c == quote:
			p.pos++
			return string(text), nil
		case c < ' ':
			return "", p.fail("a control character must be escaped in a string")
		case c == '\\':
			p.pos++
			r, err := p.escape(quote)
			if err != nil {
				return "", err
			}
			text = utf8.AppendRune(text, r)
		default:
			text = append(text, c)
			p.pos++
		}
	}
	return "", p.failAt(start, "the string is not closed")
}

// escape is what follows a backslash.
func (p *parser) escape(quote byte) (rune, error) {
	c := p.peek()
	if c == quote {
		p.pos++
		return rune(quote), nil
	}
	if c == 'u' {
		return p.unicodeEscape()
	}
	const letters, meanings = `bfnrt/\`, "\b\f\n\r\t/\\"
	i := strings.IndexByte(letters, c)
	if i < 0 {
		return 0, p.failAt(p.pos-1, "unknown escape in a string")
	}
	p.pos++
	return rune(meanings[i]), nil
}

func (p *parser) unicodeEscape() (rune, error) {
	start := p.pos - 1
	high, err := p.hex4()
	if err != nil {
		return 0, err
	}
	if !utf16.IsSurrogate(high) {
		return high, nil
	}
	if p.accept(`\`) && p.peek() == 'u' {
		low, err := p.hex4()
		if err != nil {
			return 0, err
		}
		if r := utf16.DecodeRune(high, low); r != utf8.RuneError {
			return r, nil
		}
	}
	return 0, p.failAt(start, "a surrogate without its other half")
}

// hex4 is 'u' and four hexadecimal digits.
func (p *parser) hex4() (rune, error) {
	const size = len("u0000")
	if len(p.expr)-p.pos < size {
		return 0, p.fail(`expected four hexadecimal digits after \u`)
	}
	var r rune
	for i := p.pos + 1; i < p.pos+size; i++ {
		digit := strings.IndexByte("0123456789abcdef", lower(p.expr[i]))
		if digit < 0 {
			return 0, p.failAt(i, `expected four hexadecimal digits after \u`)
		}
		r = r<<4 | rune(digit)
	}
	p.pos += size
	return r, nil
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// filter is the logical expression after '?'.
func (p *parser) filter() (selector, error) {
	p.space()
	t, err := p.or()
	return selector{kind: kindFilter, filter: t}, err
}

func (p *parser) or() (test, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	var terms anyOf
	for {
		t, err := p.and()
		if err != nil {
			return nil, err
		}
		terms = append(terms, t)
		if !p.operator("||") {
			break
		}
	}
	if len(terms) == 1 {
		return terms[0], nil
	}
	return terms, nil
}

func (p *parser) and() (test, error) {
	var terms allOf
	for {
		t, err := p.basic()
		if err != nil {
			return nil, err
		}
		terms = append(terms, t)
		if !p.operator("&&") {
			break
		}
	}
	if len(terms) == 1 {
		return terms[0], nil
	}
	return terms, nil
}

// operator is a logical operator with white space on both sides, or nothing.
func (p *parser) operator(op string) bool {
	before := p.pos
	p.space()
	if !p.accept(op) {
		p.pos = before
		return false
	}
	p.space()
	return true
}

// basic is a parenthesised expression, a comparison or a test, maybe negated.
func (p *parser) basic() (test, error) {
	if p.peek() == '!' {
		p.pos++
		p.space()
		t, err := p.negatable()
		return negation{t}, err
	}
	if p.peek() == '(' {
		return p.negatable()
	}
	start := p.pos
	left, err := p.operand()
	if err != nil {
		return nil, err
	}
	before := p.pos
	p.space()
	op, ok := p.comparison()
	if !ok {
		p.pos = before
		return p.asTest(left, start)
	}
	if err := p.comparable(left, start); err != nil {
		return nil, err
	}
	p.space()
	start = p.pos
	right, err := p.operand()
	if err != nil {
		return nil, err
	}
	if err := p.comparable(right, start); err != nil {
		return nil, err
	}
	return comparison{op: op, left: left, right: right}, nil
}

// negatable is what may follow '!': a parenthesised expression or a test.
func (p *parser) negatable() (test, error) {
	start := p.pos
	if !p.accept("(") {
		x, err := p.operand()
		if err != nil {
			return nil, err
		}
		return p.asTest(x, start)
	}
	p.space()
	t, err := p.or()
	if err != nil {
		return nil, err
	}
	p.space()
	if !p.accept(")") {
		return nil, p.fail("expected '&&', '||' or ')'")
	}
	return t, nil
}

// comparison is a comparison operator. Longer ones are tried first.
func (p *parser) comparison() (string, bool) {
	for _, op := range []string{"==", "!=", "<=", ">=", "<", ">"} {
		if p.accept(op) {
			return op, true
		}
	}
	return "", false
}

// operand is a literal, a query or a function call. Whether it fits the place
// where it stands is for the caller to check.
func (p *parser) operand() (operand, error) {
	switch c := p.peek(); {
	case c == '@' || c == '$':
		p.pos++
		if err := p.enter(); err != nil {
			return nil, err
		}
		defer p.leave()
		segments, err := p.segments()
		return &query{absolute: c == '$', segments: segments}, err
	case c == '\'' || c == '"':
		text, err := p.stringLiteral()
		return literal(appendQuoted(nil, text)), err
	case c == '-' || isDigit(c):
		return p.number()
	case 'a' <= c && c <= 'z':
		return p.wordOrCall()
	}
	return nil, p.fail("expected '@', '$', a function, a string, a number, true, false or null")
}

func (p *parser) number() (operand, error) {
	start := p.pos
	p.accept("-")
	whole := p.digits()
	if whole == "" {
		return nil, p.fail("expected a digit after '-'")
	}
	if whole[0] == '0' && len(whole) > 1 {
		return nil, p.failAt(start, "a number has no leading zero")
	}
	if p.accept(".") && p.digits() == "" {
		return nil, p.fail("expected a digit after '.'")
	}
	if p.accept("e") || p.accept("E") {
		if !p.accept("+") {
			p.accept("-")
		}
		if p.digits() == "" {
			return nil, p.fail("expected a digit of the exponent")
		}
	}
	return literal(p.expr[start:p.pos]), nil
}

// wordOrCall is true, false, null or a function call.
func (p *parser) wordOrCall() (operand, error) {
	start := p.pos
	for c := p.peek(); 'a' <= c && c <= 'z' || c == '_' || isDigit(c); c = p.peek() {
		p.pos++
	}
	word := p.expr[start:p.pos]
	if p.peek() == '(' {
		return p.call(word, start)
	}
	switch word {
	case "true", "false", "null":
		return literal(word), nil
	}
	if _, ok := signatures[word]; ok {
		return nil, p.fail("expected '(' after %s", word)
	}
	return nil, p.failAt(start, "expected '@', '$', a function, a string, a number, true, false or null")
}

func (p *parser) call(name string, start int) (operand, error) {
	sig, ok := signatures[name]
	if !ok {
		return nil, p.failAt(start, "unknown function %s(); there are length, count, match, search and value", name)
	}
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	c := &call{name: name, signature: sig}
	p.accept("(")
	p.space()
	for i, want := range sig.params {
		if i > 0 {
			p.space()
			if !p.accept(",") {
				return nil, p.fail("expected ',' and argument %d of %s()", i+1, name)
			}
			p.space()
		}
		at := p.pos
		arg, err := p.operand()
		if err != nil {
			return nil, err
		}
		if want == nodesType && arg.typ() != nodesType || want == valueType && !isValue(arg) {
			return nil, p.failAt(at, "argument %d of %s() must be %s", i+1, name, want)
		}
		c.args = append(c.args, arg)
	}
	p.space()
	if !p.accept(")") {
		return nil, p.fail("expected ')' after %d argument(s) of %s()", len(sig.params), name)
	}
	if pattern, ok := c.constantPattern(); ok {
		if err := c.compile(pattern); err != nil {
			return nil, p.failAt(start, "%s(): %v", name, err)
		}
	}
	return c, nil
}

// asTest makes a test of an operand that stands alone (RFC 9535 section 2.3.5.1,
// test-expr).
func (p *parser) asTest(x operand, start int) (test, error) {
	switch x := x.(type) {
	case *query:
		return existence{x}, nil
	case *call:
		if x.typ() == logicalType {
			return x, nil
		}
		return nil, p.failAt(start, "the result of %s() must be compared with something", x.name)
	}
	return nil, p.failAt(start, "a literal alone is not a condition; compare it with something")
}

// comparable checks one side of a comparison.
func (p *parser) comparable(x operand, start int) error {
	if isValue(x) {
		return nil
	}
	if c, ok := x.(*call); ok {
		return p.failAt(start, "the result of %s() cannot be compared; use it alone", c.name)
	}
	return p.failAt(start, "only a query for a single node (names and indexes) can be compared")
}

// isValue reports whether x yields at most one value: a literal, a singular query
// or a function with such a result.
func isValue(x operand) bool {
	if q, ok := x.(*query); ok {
		return q.singular()
	}
	return x.typ() == valueType
}

// appendQuoted appends text as a JSON string.
func appendQuoted(dst []byte, text string) []byte {
	dst = append(dst, '"')
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ':
			dst = fmt.Appendf(dst, `\u%04x`, c)
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
