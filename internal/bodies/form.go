package bodies

import "bytes"

// form reads application/x-www-form-urlencoded as the URL Standard does (section 5.1):
// '&' separates fields, the first '=' ends a name, '+' is a space, and a '%' that two
// hexadecimal digits do not follow is itself.
func (t *tape) form(name int32, start, end int) {
	n := t.open(name, fields, start)
	var key, value []byte
	for at := start; at < end; {
		stop := end
		if i := bytes.IndexByte(t.doc[at:end], '&'); i >= 0 {
			stop = at + i
		}
		if field := t.doc[at:stop]; len(field) > 0 {
			left, right, _ := bytes.Cut(field, []byte("="))
			key, value = unescape(key[:0], left), unescape(value[:0], right)
			t.leaf(t.names.id(key, key), escaped, stop-len(right), stop, value)
		}
		at = stop + 1
	}
	t.close(n, end)
}

// unescape appends decoded text to dst.
func unescape(dst, text []byte) []byte {
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
