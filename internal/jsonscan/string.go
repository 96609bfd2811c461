package jsonscan

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"strconv"
	"unicode/utf8"
)

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// special has the high bit set in the first byte of w that ends a plain run of
// a string: a quote, a backslash or a control character. Bits above the first
// one mean nothing.
func special(w uint64) uint64 {
	return (((w ^ '"'*ones) - ones) | ((w ^ '\\'*ones) - ones) | (w - ' '*ones)) & ^w & highs
}

// String returns the offset one past the string literal that starts at b[i],
// which must be a quote. Where simple is true the literal has no escapes, and
// the bytes between its quotes are its value.
func String(b []byte, i int) (end int, simple bool, err error) {
	start := i
	simple = true
	i++
	for {
		if rest := b[i:]; len(rest) >= 8 {
			m := special(binary.LittleEndian.Uint64(rest))
			if m == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(m) >> 3
		} else {
			for i < len(b) && b[i] >= ' ' && b[i] != '"' && b[i] != '\\' {
				i++
			}
			if i >= len(b) {
				return 0, false, &SyntaxError{len(b), "the document ends inside a string"}
			}
		}
		switch b[i] {
		case '"':
			return i + 1, simple, nil
		case '\\':
			simple = false
			if i, err = escape(b, i); err != nil {
				return 0, false, err
			}
		default:
			return 0, false, &SyntaxError{i, "a control character inside the string at offset " + strconv.Itoa(start)}
		}
	}
}

// escape returns the offset one past the escape sequence that starts at b[i].
func escape(b []byte, i int) (end int, err error) {
	if i+1 >= len(b) {
		return 0, &SyntaxError{len(b), "the document ends inside a string"}
	}
	switch b[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2, nil
	case 'u':
		for k := i + 2; k < i+6; k++ {
			if k >= len(b) || hexValue(b[k]) > 15 {
				return 0, Unexpected(b, k, "a hexadecimal digit")
			}
		}
		return i + 6, nil
	}
	return 0, Unexpected(b, i+1, "an escape character")
}

// hexValue returns the value of a hexadecimal digit, or a number over 15.
func hexValue(c byte) uint32 {
	switch {
	case '0' <= c && c <= '9':
		return uint32(c - '0')
	case 'a' <= c && c <= 'f':
		return uint32(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return uint32(c-'A') + 10
	}
	return 16
}

// AppendUnquote appends the value of a valid string literal (with its quotes)
// to dst. A surrogate without its partner is written in its three generalized
// UTF-8 bytes (ED A0..BF xx, "WTF-8"), so that two different ones stay
// different. Bytes that are not UTF-8 are kept as they are.
func AppendUnquote(dst, lit []byte) []byte {
	lit = lit[1 : len(lit)-1]
	for {
		i := bytes.IndexByte(lit, '\\')
		if i < 0 {
			return append(dst, lit...)
		}
		dst = append(dst, lit[:i]...)
		r, n := unescape(lit[i:])
		if isSurrogate(r) {
			dst = append(dst, 0xE0|byte(r>>12), 0x80|byte(r>>6)&0x3F, 0x80|byte(r)&0x3F)
		} else {
			dst = utf8.AppendRune(dst, r)
		}
		lit = lit[i+n:]
	}
}

func isSurrogate(r rune) bool { return r&^0x7FF == 0xD800 }

// unescape decodes the valid escape sequence at the start of s, two of them
// where they are a surrogate pair, and returns the code point and the length
// of what it stood for. A lone surrogate is returned as it is.
func unescape(s []byte) (r rune, n int) {
	switch s[1] {
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
		r = hex4(s)
		if r&^0x3FF == 0xD800 && len(s) >= 12 && s[6] == '\\' && s[7] == 'u' {
			if low := hex4(s[6:]); low&^0x3FF == 0xDC00 {
				return (r-0xD800)<<10 + (low - 0xDC00) + 0x10000, 12
			}
		}
		return r, 6
	}
	return rune(s[1]), 2
}

// hex4 returns the number in the four hex digits of the escape at the start of s.
func hex4(s []byte) rune {
	return rune(hexValue(s[2])<<12 | hexValue(s[3])<<8 | hexValue(s[4])<<4 | hexValue(s[5]))
}

// EqualStrings reports whether two valid string literals (with their quotes)
// have the same value: the same code points after unescaping, and the same
// bytes where they are not UTF-8. The escape of a lone surrogate equals only
// that escape, not the three stray bytes that AppendUnquote would write for it.
func EqualStrings(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	if bytes.IndexByte(a, '\\') < 0 && bytes.IndexByte(b, '\\') < 0 {
		return false
	}
	x, y := stringReader{rest: a[1 : len(a)-1]}, stringReader{rest: b[1 : len(b)-1]}
	for {
		u, v := x.next(), y.next()
		if u != v {
			return false
		}
		if u == endOfString {
			return true
		}
	}
}

const endOfString = -1

// stringReader yields the value of a string literal unit by unit.
type stringReader struct {
	rest    []byte
	decoded [utf8.UTFMax]byte // what is left of an escape sequence's UTF-8, at the end
	left    int
}

// next returns a byte of the value (0 to 255), a lone surrogate (over 255) or
// endOfString.
func (r *stringReader) next() rune {
	if r.left > 0 {
		u := r.decoded[len(r.decoded)-r.left]
		r.left--
		return rune(u)
	}
	if len(r.rest) == 0 {
		return endOfString
	}
	if c := r.rest[0]; c != '\\' {
		r.rest = r.rest[1:]
		return rune(c)
	}
	u, n := unescape(r.rest)
	r.rest = r.rest[n:]
	if u < utf8.RuneSelf || isSurrogate(u) {
		return u
	}
	r.left = utf8.RuneLen(u)
	utf8.EncodeRune(r.decoded[len(r.decoded)-r.left:], u)
	return r.next()
}
