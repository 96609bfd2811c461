package bodies

import "github.com/goshadow/shadow/internal/media"

// form reads application/x-www-form-urlencoded: see media.Fields.
func (t *tape) form(name int32, start, end int) {
	n := t.open(name, fields, start)
	text := t.doc[start:end]
	var key, value []byte
	for f := range media.Fields(text) {
		if !t.room() {
			break
		}
		key = media.Unescape(key[:0], text[f.Start:f.Name])
		value = media.Unescape(value[:0], text[f.Value:f.End])
		t.leaf(t.names.id(key, key), escaped, start+f.Value, start+f.End, value)
	}
	t.close(n, end)
}
