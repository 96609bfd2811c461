package detect

import (
	"unicode"
	"unicode/utf8"
)

// foldable are the first bytes of the characters that fold changes.
const foldable = "\xc2\xcd\xd8\xd9\xdb\xdc\xdd\xdf\xe0\xe1\xe2\xe3\xea\xef\xf0\xf3"

// fold returns the ASCII character that r is another form of, r itself, or -1 if r is
// invisible: spaces, hyphens and digits of all scripts (Unicode categories Zs, Pd and Nd), full
// width forms, raised and lowered digits, and what stands in for a sign of an address.
// Letters of other alphabets stay, because they are part of names.
func fold(r rune) rune {
	switch {
	case r < 0xa0 || 0x3040 <= r && r < 0xa4d0 || 0xac00 <= r && r < 0xd7b0: // kana, Han, Hangul
		return r
	case 0xff01 <= r && r <= 0xff5e:
		return r - 0xff01 + '!'
	case 0x2080 <= r && r <= 0x2089:
		return r - 0x2080 + '0'
	case 0x2074 <= r && r <= 0x2079:
		return r - 0x2070 + '0'
	}
	switch r {
	case 0x2070:
		return '0'
	case 0xb9:
		return '1'
	case 0xb2:
		return '2'
	case 0xb3:
		return '3'
	case 0x2212, 0x2043: // minus, hyphen bullet
		return '-'
	case 0xb7, 0x2024, 0x2027, 0x3002, 0xfe52, 0xff61: // points, also those of domain names (RFC 3490 section 3.1)
		return '.'
	case 0xfe6b:
		return '@'
	case 0x207a, 0xfe62:
		return '+'
	case 0x2044, 0x2215:
		return '/'
	case 0x034f, 0x180b, 0x180c, 0x180d, 0x3164, 0xffa0:
		return -1
	}
	switch {
	case unicode.Is(unicode.Nd, r):
		return '0' + digitOf(r)
	case unicode.In(r, unicode.Zs, unicode.Zl, unicode.Zp):
		return ' '
	case unicode.Is(unicode.Pd, r):
		return '-'
	case unicode.Is(unicode.Cf, r), 0xfe00 <= r && r <= 0xfe0f, 0xe0100 <= r && r <= 0xe01ef: // formats, variations
		return -1
	}
	return r
}

// digitOf returns the value of a digit. The digits of a script are ten in a row, and the
// ranges of the table begin with a zero.
func digitOf(r rune) rune {
	for _, t := range unicode.Nd.R16 {
		if rune(t.Lo) <= r && r <= rune(t.Hi) {
			return (r - rune(t.Lo)) % 10
		}
	}
	for _, t := range unicode.Nd.R32 {
		if rune(t.Lo) <= r && r <= rune(t.Hi) {
			return (r - rune(t.Lo)) % 10
		}
	}
	return 0
}

// fold folds the characters of l in place: the forms that it puts in are never longer.
func (l *layer) fold() {
	n := 0
	for i := 0; i < len(l.text); {
		if c := l.text[i]; c < utf8.RuneSelf {
			l.text[n], l.at[n] = c, l.at[i]
			n, i = n+1, i+1
			continue
		}
		r, size := utf8.DecodeRune(l.text[i:])
		switch to := fold(r); {
		case to < 0:
		case to < utf8.RuneSelf && r != utf8.RuneError:
			l.text[n], l.at[n] = byte(to), l.at[i]
			n++
		default:
			n += copy(l.text[n:], l.text[i:i+size])
			copy(l.at[n-size:], l.at[i:i+size])
		}
		i += size
	}
	l.at[n] = l.at[len(l.text)]
	l.text, l.at = l.text[:n], l.at[:n+1]
}
