// Package charset converts text between UTF-8 and the charsets that have one byte for each
// character.
//
// A charset that is not known here is an error, never a guess: UTF-16, and the charsets of
// Chinese, Japanese and Korean, whose tables are large.
package charset

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// Charset is a charset. The zero value is UTF-8.
type Charset struct{ table *charmap.Charmap }

// What is wrong with a charset, or with text in it.
var (
	ErrUnknown = errors.New("a charset that cannot be read")
	ErrInvalid = errors.New("text that is not in its charset")
	ErrUTF16   = errors.New("text in UTF-16 or UTF-32")
)

// tables are the charsets by their names, without what separates letters and digits (see
// plain): those of the IANA registry and of the WHATWG Encoding Standard.
var tables = map[string]*charmap.Charmap{
	"": nil, "utf8": nil, "usascii": nil, "ascii": nil, "unicode11utf8": nil,
	"iso88591": charmap.ISO8859_1, "latin1": charmap.ISO8859_1, "l1": charmap.ISO8859_1,
	"iso88592": charmap.ISO8859_2, "latin2": charmap.ISO8859_2, "l2": charmap.ISO8859_2,
	"iso88593": charmap.ISO8859_3, "latin3": charmap.ISO8859_3, "l3": charmap.ISO8859_3,
	"iso88594": charmap.ISO8859_4, "latin4": charmap.ISO8859_4, "l4": charmap.ISO8859_4,
	"iso88595": charmap.ISO8859_5, "iso88596": charmap.ISO8859_6, "iso88597": charmap.ISO8859_7, "iso88598": charmap.ISO8859_8,
	"iso88599": charmap.ISO8859_9, "latin5": charmap.ISO8859_9, "l5": charmap.ISO8859_9,
	"iso885910": charmap.ISO8859_10, "latin6": charmap.ISO8859_10, "l6": charmap.ISO8859_10,
	"iso885913": charmap.ISO8859_13, "iso885914": charmap.ISO8859_14,
	"iso885915": charmap.ISO8859_15, "latin9": charmap.ISO8859_15, "iso885916": charmap.ISO8859_16,
	"windows1250": charmap.Windows1250, "cp1250": charmap.Windows1250,
	"windows1251": charmap.Windows1251, "cp1251": charmap.Windows1251,
	"windows1252": charmap.Windows1252, "cp1252": charmap.Windows1252,
	"windows1253": charmap.Windows1253, "cp1253": charmap.Windows1253,
	"windows1254": charmap.Windows1254, "cp1254": charmap.Windows1254,
	"windows1255": charmap.Windows1255, "cp1255": charmap.Windows1255,
	"windows1256": charmap.Windows1256, "cp1256": charmap.Windows1256,
	"windows1257": charmap.Windows1257, "cp1257": charmap.Windows1257,
	"windows1258": charmap.Windows1258, "cp1258": charmap.Windows1258,
	"koi8r": charmap.KOI8R, "koi8u": charmap.KOI8U,
}

// Named returns the charset of a name in any case, UTF-8 where name is empty.
func Named(name string) (Charset, error) {
	table, ok := tables[plain(name)]
	if !ok {
		return Charset{}, ErrUnknown
	}
	return Charset{table}, nil
}

// plain is name in lower case, without the signs that aliases of one charset differ in.
func plain(name string) string {
	const longest = 40
	if len(name) > longest {
		return "?"
	}
	return strings.Map(func(c rune) rune {
		switch {
		case 'A' <= c && c <= 'Z':
			return c + 'a' - 'A'
		case c == '-' || c == '_' || c == ':':
			return -1
		}
		return c
	}, name)
}

// UTF8 reports whether c is UTF-8.
func (c Charset) UTF8() bool { return c.table == nil }

// Decode returns text, which is in c, in UTF-8: text itself where it is that already. Bytes
// that no character has are an error.
func (c Charset) Decode(text []byte) ([]byte, error) {
	if c.table == nil {
		if !utf8.Valid(text) {
			return nil, ErrInvalid
		}
		return text, nil
	}
	if ASCII(text) {
		return text, nil
	}
	out := make([]byte, 0, len(text)+len(text)/8+16)
	for _, b := range text {
		r := c.table.DecodeByte(b)
		if r == utf8.RuneError {
			return nil, ErrInvalid
		}
		out = utf8.AppendRune(out, r)
	}
	return out, nil
}

// Encode returns text, which is in UTF-8, in c. Characters that c does not have are an error.
func (c Charset) Encode(text []byte) ([]byte, error) {
	if c.table == nil || ASCII(text) {
		return text, nil
	}
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		b, ok := c.table.EncodeRune(r)
		if !ok || r == utf8.RuneError {
			return nil, ErrInvalid
		}
		out, text = append(out, b), text[size:]
	}
	return out, nil
}

// ASCII reports whether text consists of ASCII alone: then it is the same in every charset
// that Named knows.
func ASCII(text []byte) bool {
	return !slices.ContainsFunc(text, func(b byte) bool { return b >= utf8.RuneSelf })
}

// Wide returns an error where text is in UTF-16 or UTF-32, as a byte order mark says, or a
// NUL, which no text in another charset has.
func Wide(text []byte) error {
	if bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")) || bytes.IndexByte(text, 0) >= 0 {
		return ErrUTF16
	}
	return nil
}
