package jsonpath

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxPattern bounds what a pattern may compile to, in instructions of Go's regexp:
// patterns can come from documents, and {1000} of {1000} is a million.
const maxPattern = 100_000

// A pattern of match() or search(): an I-Regexp (RFC 9485), run by Go's regexp in
// linear time. Without re it matches nothing.
type pattern struct {
	literal []byte // the JSON string it came from, if not constant
	re      *regexp.Regexp
	size    int // instructions of the compiled program
}

func (p *pattern) match(text []byte) bool { return p.re != nil && p.re.Match(text) }

// compilePattern compiles an I-Regexp, for match() anchored at both ends. The
// pattern is never nil; with an error it matches nothing.
func compilePattern(function, text string) (*pattern, error) {
	t := &translator{text: text}
	if err := t.translate(); err != nil {
		return &pattern{}, err
	}
	size := t.groups[0].size
	if size > maxPattern {
		return &pattern{}, fmt.Errorf("the pattern %q is too large", text)
	}
	expr := t.out.String()
	if function == "match" {
		expr = `\A(?:` + expr + `)\z`
	}
	re, err := regexp.Compile(expr)
	if err != nil {
		var e *syntax.Error
		if errors.As(err, &e) {
			err = fmt.Errorf("the pattern %q is not supported: %s", text, e.Code)
		}
		return &pattern{}, err
	}
	return &pattern{re: re, size: size}, nil
}

// A translator turns an I-Regexp into Go's syntax as RFC 9485 section 5 tells for
// other dialects: '.' outside of classes excludes CR and LF. '^' and '$' are left
// to mean the ends of the text, as that section and the compliance suite have it.
// Everything outside of the grammar (section 3), such as \d or lookaround, is an
// error.
type translator struct {
	text   string
	pos    int
	out    strings.Builder
	groups []group // that are open; the first is the whole pattern
}

// A group keeps count of instructions.
type group struct {
	size int
	last int // of what a quantifier now would repeat; 0: there is nothing
}

func (t *translator) translate() error {
	if !utf8.ValidString(t.text) {
		return t.fail("it is not UTF-8")
	}
	t.groups = make([]group, 1)
	for t.pos < len(t.text) {
		if err := t.next(); err != nil {
			return err
		}
	}
	if len(t.groups) > 1 {
		return t.fail("'(' is not closed")
	}
	return nil
}

// next translates an atom, a quantifier or a branch.
func (t *translator) next() error {
	switch c := t.text[t.pos]; c {
	case '(':
		t.emit(1, "(?:")
		t.groups = append(t.groups, group{})
	case ')':
		if len(t.groups) == 1 {
			return t.fail("')' without '('")
		}
		inner := t.groups[len(t.groups)-1]
		t.groups = t.groups[:len(t.groups)-1]
		t.emit(1, ")")
		t.atom(inner.size + 1)
	case '|':
		t.emit(1, "|")
		t.atom(1)
		t.unrepeatable()
	case '*', '+', '?', '{':
		return t.quantifier()
	case '.':
		t.emit(1, `[^\n\r]`)
		t.atom(1)
	case '[':
		return t.class()
	case '\\':
		t.atom(1)
		return t.escape()
	case ']', '}':
		return t.fail("'%c' must be escaped", c)
	default:
		t.emit(1, t.text[t.pos:t.pos+1])
		t.atom(1)
		if c == '^' || c == '$' {
			t.unrepeatable()
		}
	}
	return nil
}

// atom accounts for something that a quantifier may follow, of some instructions.
func (t *translator) atom(size int) {
	g := &t.groups[len(t.groups)-1]
	g.size = min(g.size+size, maxPattern+1)
	g.last = size
}

func (t *translator) unrepeatable() { t.groups[len(t.groups)-1].last = 0 }

func (t *translator) fail(format string, args ...any) error {
	return fmt.Errorf("the pattern %q is not an I-Regexp (RFC 9485): at byte %d, %s", t.text, t.pos, fmt.Sprintf(format, args...))
}

// emit writes s for the next n bytes of the pattern.
func (t *translator) emit(n int, s string) {
	t.out.WriteString(s)
	t.pos += n
}

func (t *translator) peek() byte {
	if t.pos < len(t.text) {
		return t.text[t.pos]
	}
	return 0
}

// quantifier is '*', '+', '?', {n}, {n,} or {n,m}.
func (t *translator) quantifier() error {
	g := &t.groups[len(t.groups)-1]
	if g.last == 0 {
		return t.fail("nothing to repeat")
	}
	times := 2
	if t.peek() != '{' {
		t.emit(1, t.text[t.pos:t.pos+1])
	} else {
		t.emit(1, "{")
		least := t.digits()
		if least == "" {
			return t.fail("expected a number after '{'")
		}
		most := least
		if t.peek() == ',' {
			t.emit(1, ",")
			most = cmp.Or(t.digits(), least)
		}
		if t.peek() != '}' {
			return t.fail("expected '}'")
		}
		t.emit(1, "}")
		if n, err := strconv.Atoi(most); err == nil {
			times = min(n, maxPattern) + 1
		}
	}
	g.size = min(g.size+g.last*times, maxPattern+1)
	g.last = 0
	return nil
}

func (t *translator) digits() string {
	start := t.pos
	for isDigit(t.peek()) {
		t.emit(1, t.text[t.pos:t.pos+1])
	}
	return t.text[start:t.pos]
}

// class is a charClassExpr. A hyphen stands for itself at its beginning and end.
func (t *translator) class() error {
	start := t.pos
	t.atom(1)
	t.emit(1, "[")
	if t.peek() == '^' {
		t.emit(1, "^")
	}
	empty := true
	if t.peek() == '-' {
		t.emit(1, `\-`)
		empty = false
	}
	for {
		switch c := t.peek(); {
		case t.pos == len(t.text):
			t.pos = start
			return t.fail("'[' is not closed")
		case c == ']':
			if empty {
				return t.fail("the class is empty")
			}
			t.emit(1, "]")
			return nil
		case c == '-':
			t.emit(1, `\-`)
			if t.peek() != ']' {
				return t.fail("'-' inside a class must be escaped, first or last")
			}
		case c == '\\' && t.pos+1 < len(t.text) && (t.text[t.pos+1] == 'p' || t.text[t.pos+1] == 'P'):
			if err := t.escape(); err != nil {
				return err
			}
		default:
			if err := t.classRange(); err != nil {
				return err
			}
		}
		empty = false
	}
}

// classRange is one character of a class, or two with a hyphen between.
func (t *translator) classRange() error {
	if err := t.classChar(); err != nil {
		return err
	}
	if t.peek() != '-' || strings.HasPrefix(t.text[t.pos:], "-]") {
		return nil
	}
	t.emit(1, "-")
	return t.classChar()
}

func (t *translator) classChar() error {
	switch c := t.peek(); {
	case t.pos == len(t.text):
		return t.fail("'[' is not closed")
	case c == '\\':
		return t.singleEscape()
	case c == '[' || c == '-' || c == ']':
		return t.fail("'%c' inside a class must be escaped", c)
	}
	r, size := utf8.DecodeRuneInString(t.text[t.pos:])
	t.emit(size, regexp.QuoteMeta(string(r)))
	return nil
}

// escape is a SingleCharEsc or a category, \p{…} or \P{…}.
func (t *translator) escape() error {
	rest := t.text[t.pos+1:]
	if rest == "" || rest[0] != 'p' && rest[0] != 'P' {
		return t.singleEscape()
	}
	size := strings.IndexByte(rest, '}') + 1
	if size < len("p{L}") || rest[1] != '{' || !isCategory(rest[2:size-1]) {
		return t.fail(`expected a Unicode category such as \p{Lu}`)
	}
	t.emit(1+size, `\`+rest[:size])
	const table = 300 // what a large category takes, once however often it is repeated
	g := &t.groups[len(t.groups)-1]
	g.size = min(g.size+table, maxPattern+1)
	return nil
}

// isCategory follows IsCategory of RFC 9485 section 3.
func isCategory(name string) bool {
	minor, ok := map[byte]string{
		'L': "lmotu", 'M': "cen", 'N': "dlo", 'P': "cdefios", 'Z': "lps", 'S': "ckmo", 'C': "cfno",
	}[name[0]]
	return ok && (len(name) == 1 || len(name) == 2 && strings.IndexByte(minor, name[1]) >= 0)
}

func (t *translator) singleEscape() error {
	if t.pos+1 == len(t.text) {
		return t.fail(`'\' at the end`)
	}
	c := t.text[t.pos+1]
	if strings.IndexByte(`()*+-.?[\]^{|}nrt`, c) < 0 {
		return t.fail(`unknown escape \%c (I-Regexp has no \d, \w or \s; write [0-9] and the like)`, c)
	}
	t.emit(2, `\`+string(c))
	return nil
}
