package detect

import (
	"bytes"
	"cmp"
	"html"
	"slices"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/goshadow/shadow/internal/jsonscan"
)

// maxLayers is how many encodings around a value are looked through, such as those of a
// percent-encoded URL in a JSON text that is itself a string of JSON.
const maxLayers = 3

// Text appends to dst what it finds in text as it stands, and in what it says behind
// percent-encoding, character references of XML and HTML, escapes of JSON and
// JavaScript, and characters of Unicode that are forms of those of ASCII. Start and End are of the encoded text. It allocates nothing where text has no
// such encoding and holds no finding.
func Text(dst []Finding, text []byte, kinds Kinds) []Finding {
	r := reader{kinds: kinds, found: dst}
	first := len(dst)
	r.read(layer{text: text}, 0, 0)
	return r.sorted(first)
}

// Form is Text for what is application/x-www-form-urlencoded: a query, or a body. A '+' is
// taken for a space, and for itself too, since many clients do not encode it.
func Form(dst []Finding, text []byte, kinds Kinds) []Finding {
	r := reader{kinds: kinds, found: dst}
	first := len(dst)
	r.read(layer{text: text}, 0, 0)
	if bytes.IndexByte(text, '+') >= 0 {
		r.read(r.decode(layer{text: text}, 0, formEncoded), 0, 1)
	}
	return r.sorted(first)
}

// JSON appends to dst what it finds in the strings of doc, names of members included, and
// in its numbers, which are read by their value: 1.0 and 10e-1 are 1. A finding in a number is all of the number; one in
// a string is inside of its quotes and cuts no escape sequence. The error says why doc is
// not JSON.
func JSON(dst []Finding, doc []byte, kinds Kinds) ([]Finding, error) {
	if err := jsonscan.Valid(doc, 0); err != nil {
		return dst, err
	}
	r := reader{kinds: kinds, found: dst}
	first := len(dst)
	var digits code
	for i := 0; i < len(doc); {
		switch c := doc[i]; {
		case c == '"':
			end, simple, _ := jsonscan.String(doc, i)
			inner := layer{text: doc[i+1 : end-1]}
			if simple {
				r.read(inner, i+1, 0)
			} else {
				r.read(r.decode(inner, 0, escapes), i+1, 1)
			}
			i = end
		case isDigit(c) || c == '-':
			end, _ := jsonscan.Number(doc, i)
			before := len(r.found)
			number := doc[i:end]
			if digits.value(number) && digits.n != len(number) && digits.n > 10 { // the shortest that has a check is longer
				number = slices.Clone(digits.bytes())
			}
			if r.found = Scan(r.found, number, kinds); len(r.found) > before {
				r.found = append(r.found[:before], Finding{r.found[before].Kind, i, end, true})
			}
			i = end
		default:
			i++
		}
	}
	return r.sorted(first), nil
}

// encoding is a set of ways in which one byte of text is written as several.
type encoding uint8

const (
	escapes    encoding = 1 << iota // of JSON strings (RFC 8259 section 7)
	percents                        // RFC 3986 section 2.1
	references                      // of XML section 4.1
	pluses                          // a plus is a space

	anyEncoding = escapes | percents | references
	formEncoded = percents | pluses
)

// layer is a text with the places that its bytes have in the text around it.
type layer struct {
	text []byte
	at   []int32 // of each byte, and of the end; nil where they are the same
}

// reader looks for findings in a text and what it says once it is decoded.
type reader struct {
	kinds  Kinds
	found  []Finding
	layers [maxLayers]layer // room for those that are decoded
	deep   bool             // some were: findings may be out of order, and overlap
}

// read looks at l, which begins at offset, and decodes it where depth allows.
func (r *reader) read(l layer, offset, depth int) {
	n := len(r.found)
	var encoded bool
	r.found, encoded = scan(r.found, l.text, r.kinds)
	for i := range r.found[n:] {
		f := &r.found[n+i]
		f.Start, f.End = offset+l.start(f.Start), offset+l.end(f.End)
	}
	if encoded && depth < maxLayers {
		if inner := r.decode(l, depth, anyEncoding); len(inner.text) < len(l.text) {
			r.read(inner, offset, depth+1)
		}
	}
}

func (l layer) start(i int) int {
	if l.at == nil {
		return i
	}
	return int(l.at[i])
}

// end is where the encoding of the byte before i ends.
func (l layer) end(i int) int {
	if l.at == nil {
		return i
	}
	for i < len(l.text) && l.at[i] == l.at[i-1] {
		i++
	}
	return int(l.at[i])
}

// decode decodes outer into the layer of that depth.
func (r *reader) decode(outer layer, depth int, enc encoding) layer {
	r.deep = true
	inner := &r.layers[depth]
	inner.text, inner.at = inner.text[:0], inner.at[:0]
	text := outer.text
	for i := 0; i < len(text); {
		place := int32(outer.start(i))
		c, n := rune(text[i]), 0
		switch text[i] {
		case '\\':
			c, n = unescape(text[i:], enc)
		case '%':
			if c, n = unpercentWide(text[i:], enc); n == 0 {
				c, n = unpercent(text[i:], enc)
			}
		case '&':
			c, n = dereference(text[i:], enc)
		case '+':
			if enc&pluses != 0 {
				c, n = ' ', 1
			}
		}
		switch {
		case n == 0: // itself
			inner.text = append(inner.text, text[i])
			n = 1
		case text[i] == '%' && n == 3: // a byte, not a character
			inner.text = append(inner.text, byte(c))
		default:
			inner.text = utf8.AppendRune(inner.text, c)
		}
		for len(inner.at) < len(inner.text) {
			inner.at = append(inner.at, place)
		}
		i += n
	}
	inner.at = append(inner.at, int32(outer.start(len(text))))
	inner.fold()
	return *inner
}

// unescape returns what the escape sequence at the start of s stands for and its length,
// which is 0 where it is none.
func unescape(s []byte, enc encoding) (c rune, n int) {
	if enc&escapes == 0 || len(s) < 2 {
		return 0, 0
	}
	switch s[1] {
	case '"', '\\', '/':
		return rune(s[1]), 2
	case 'b', 'f', 'n', 'r', 't':
		return ' ', 2
	case 'x':
		if c, n = hexNumber(s[2:], 2, 2); n == 0 {
			return 0, 0
		}
		return c, 4
	case 'u':
		if len(s) > 2 && s[2] == '{' {
			if c, n = hexNumber(s[3:], 1, 6); n == 0 || len(s) <= 3+n || s[3+n] != '}' {
				return 0, 0
			}
			return c, 4 + n
		}
		c, n = hexNumber(s[2:], 4, 4)
		if n == 0 {
			return 0, 0
		}
		if utf16.IsSurrogate(c) && len(s) >= 12 && s[6] == '\\' && s[7] == 'u' {
			if low, n := hexNumber(s[8:], 4, 4); n > 0 && utf16.DecodeRune(c, low) != utf8.RuneError {
				return utf16.DecodeRune(c, low), 12
			}
		}
		return c, 6
	}
	return 0, 0
}

func unpercent(s []byte, enc encoding) (c rune, n int) {
	if enc&percents == 0 {
		return 0, 0
	}
	if c, n = hexNumber(s[1:], 2, 2); n == 0 {
		return 0, 0
	}
	return c, 3
}

// unpercentWide is unpercent for what the function escape of JavaScript writes: "%u0040".
func unpercentWide(s []byte, enc encoding) (c rune, n int) {
	if enc&percents == 0 || len(s) < 6 || s[1] != 'u' {
		return 0, 0
	}
	if c, n = hexNumber(s[2:], 4, 4); n == 0 {
		return 0, 0
	}
	return c, 6
}

// dereference returns what the character reference of XML or HTML at the start of s stands
// for and its length, which is 0 where it is none. A number needs no semicolon in HTML.
func dereference(s []byte, enc encoding) (c rune, n int) {
	const longest = len("&CounterClockwiseContourIntegral;")
	if enc&references == 0 || len(s) < 3 {
		return 0, 0
	}
	n = 1
	if s[1] == '#' {
		n = 2
		if s[2]|0x20 == 'x' {
			n = 3
		}
	}
	from := n
	for n < len(s) && n < longest && isWord(s[n]) && (s[1] != '#' || isDigit(s[n]) || from == 3 && isHex(s[n])) {
		n++
	}
	if n == from || s[1] != '#' && (n == len(s) || s[n] != ';') {
		return 0, 0
	}
	if n < len(s) && s[n] == ';' {
		n++
	}
	plain := html.UnescapeString(string(s[:n]))
	c, size := utf8.DecodeRuneInString(plain)
	if plain[0] == '&' && plain != "&" || size != len(plain) {
		return 0, 0
	}
	return c, n
}

// hexNumber reads up to most hexadecimal digits, and returns how many there were, or 0 if
// they were fewer than least.
func hexNumber(s []byte, least, most int) (v rune, n int) {
	for n < most && n < len(s) && isHex(s[n]) {
		d := rune(s[n] - '0')
		if d > 9 {
			d = rune(s[n]|0x20-'a') + 10
		}
		v = v<<4 | d
		n++
	}
	if n < least {
		return 0, 0
	}
	return v, n
}

// sorted puts the findings from first on in order and makes one of those that overlap.
func (r *reader) sorted(first int) []Finding {
	if !r.deep || len(r.found)-first < 2 {
		return r.found
	}
	slices.SortStableFunc(r.found[first:], func(a, b Finding) int { return cmp.Compare(a.Start, b.Start) })
	kept := first
	for _, f := range r.found[first+1:] {
		if last := &r.found[kept]; f.Start < last.End {
			last.End = max(last.End, f.End)
			continue
		}
		kept++
		r.found[kept] = f
	}
	return r.found[:kept+1]
}
