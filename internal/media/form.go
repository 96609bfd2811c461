package media

import (
	"bytes"
	"iter"
)

// Field is a field of a form, as offsets: its name is text[Start:Name], its value
// text[Value:End]. A field without '=' has no value: Value is End.
type Field struct{ Start, Name, Value, End int }

// Fields yields the fields of an urlencoded form as the URL Standard reads it (section
// 5.1): '&' separates fields, and the first '=' ends a name. Empty fields are left out.
func Fields(text []byte) iter.Seq[Field] {
	return func(yield func(Field) bool) {
		for at := 0; at < len(text); {
			stop := len(text)
			if i := bytes.IndexByte(text[at:], '&'); i >= 0 {
				stop = at + i
			}
			f := Field{Start: at, Name: stop, Value: stop, End: stop}
			if i := bytes.IndexByte(text[at:stop], '='); i >= 0 {
				f.Name, f.Value = at+i, at+i+1
			}
			if stop > at && !yield(f) {
				return
			}
			at = stop + 1
		}
	}
}

// Unescape appends the decoded text to dst: '+' is a space, and a '%' that two
// hexadecimal digits do not follow is itself (URL Standard, sections 1.3 and 5.1).
func Unescape(dst, text []byte) []byte {
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '+':
			c = ' '
		case c == '%' && i+2 < len(text) && hex(text[i+1]) >= 0 && hex(text[i+2]) >= 0:
			c = byte(hex(text[i+1])<<4 | hex(text[i+2]))
			i += 2
		}
		dst = append(dst, c)
	}
	return dst
}

// hex is the value of a hexadecimal digit; negative if c is none.
func hex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}
