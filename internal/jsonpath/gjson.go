package jsonpath

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// parseGjson compiles a path without '$'; see [Parse]. It also refuses what is
// most likely a mistake: an unescaped '[' (a forgotten '$'), a leading '/' (a JSON
// pointer) and white space at the ends.
func parseGjson(expr string) ([]segment, error) {
	p := &gjsonParser{expr: expr}
	switch {
	case invalidUTF8(expr) >= 0:
		p.pos = invalidUTF8(expr)
		return nil, p.fail("the expression is not UTF-8")
	case expr == "":
		return nil, p.fail("expected '$' (RFC 9535) or a name (gjson)")
	case strings.HasPrefix(expr, "/"):
		return nil, p.fail(`this looks like a JSON pointer; write $.items[0].id for /items/0/id, or \/ for a name that begins with '/'`)
	case strings.HasPrefix(expr, ".."):
		return nil, p.fail("JSON lines (..) are compared record by record; write the path within a record, or $..name for any depth")
	case strings.TrimSpace(expr) != expr:
		if strings.TrimLeft(expr, " \t\r\n") == expr {
			p.pos = len(strings.TrimSpace(expr))
		}
		return nil, p.fail(`white space around the path; write '\ ' for a name that has it`)
	}
	var segments []segment
	for {
		selectors, err := p.component()
		if err != nil {
			return nil, err
		}
		segments = append(segments, segment{selectors: selectors})
		if p.pos == len(expr) {
			return segments, nil
		}
		p.pos++ // the dot
	}
}

type gjsonParser struct {
	expr string
	pos  int
}

func (p *gjsonParser) fail(format string, args ...any) error {
	return &SyntaxError{Expr: p.expr, Offset: p.pos, Msg: fmt.Sprintf(format, args...)}
}

// component is what stands between two dots.
func (p *gjsonParser) component() ([]selector, error) {
	rest := p.expr[p.pos:]
	switch {
	case rest == "" || rest[0] == '.':
		return nil, p.fail("empty name; write $['a'][''] for an empty name, $.a..b for any depth")
	case rest == "#" || strings.HasPrefix(rest, "#."):
		p.pos++
		return []selector{everyElement(), nameSelector("#")}, nil
	case strings.HasPrefix(rest, "#(") || strings.HasPrefix(rest, "#["):
		return nil, p.fail("gjson queries are not supported; write RFC 9535, for example $.friends[?@.age > 45].name for friends.#(age>45)#.name")
	case rest[0] == '#':
		return nil, p.fail(`expected '.' after '#'; write '\#' for a name that begins with '#'`)
	case rest[0] == '@':
		return nil, p.fail(`gjson modifiers are not supported; write \@name or $['@name'] for a name that begins with '@'`)
	case rest[0] == '!':
		return nil, p.fail(`gjson literals are not supported; write \!name or $['!name'] for a name that begins with '!'`)
	case rest[0] == '{' || rest[0] == '[':
		return nil, p.fail("gjson multipaths are not supported; give several paths, or write RFC 9535, for example $['a','b'] or $[0,1]")
	}
	var name, pattern []byte
	start := p.pos
	wild, stars, escaped := false, 0, false
	for p.pos < len(p.expr) && p.expr[p.pos] != '.' {
		c := p.expr[p.pos]
		switch c {
		case '\\':
			if p.pos+1 == len(p.expr) {
				return nil, p.fail(`expected a character after '\'`)
			}
			p.pos++
			c = p.expr[p.pos]
			pattern = append(pattern, '\\')
			escaped = true
		case '*':
			wild = true
			stars++
		case '?':
			wild = true
		case '|':
			return nil, p.fail(`write '.' instead of '|', or '\|' for a name that has it`)
		case '[':
			return nil, p.fail(`brackets belong to RFC 9535: begin with '$.', or write '\[' for a name that has it`)
		}
		name = append(name, c)
		pattern = append(pattern, c)
		p.pos++
	}
	if wild {
		if stars == p.pos-start {
			return []selector{{kind: kindMembers}}, nil
		}
		return []selector{globSelector(string(pattern))}, nil
	}
	selectors := []selector{nameSelector(string(name))}
	if n, err := strconv.ParseInt(string(name), 10, 64); err == nil && n <= maxInt && !escaped && isDigit(name[0]) {
		selectors = append(selectors, selector{kind: kindIndex, index: n})
	}
	return selectors, nil
}

// matchGlob reports whether name matches pattern, in which '*' stands for any
// characters, '?' for one, and '\' makes the next one stand for itself. Only the
// last '*' is ever retried, so the cost is at most the product of the lengths.
func matchGlob(pattern string, name []byte) bool {
	retryPattern, retryName := -1, 0 // where to go on when what follows the last '*' fails
	i, j := 0, 0
	for j < len(name) {
		if i < len(pattern) {
			switch c := pattern[i]; c {
			case '*':
				retryPattern, retryName = i+1, j
				i++
				continue
			case '?':
				_, size := utf8.DecodeRune(name[j:])
				i++
				j += size
				continue
			default:
				width := 1
				if c == '\\' && i+1 < len(pattern) {
					width, c = 2, pattern[i+1]
				}
				if c == name[j] {
					i += width
					j++
					continue
				}
			}
		}
		if retryPattern < 0 {
			return false
		}
		_, size := utf8.DecodeRune(name[retryName:])
		retryName += size
		i, j = retryPattern, retryName
	}
	for i < len(pattern) && pattern[i] == '*' {
		i++
	}
	return i == len(pattern)
}
