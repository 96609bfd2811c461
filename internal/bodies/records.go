package bodies

import "github.com/goshadow/shadow/internal/media"

// records reads JSON texts that are separated as in NDJSON or RFC 7464.
func (t *tape) records(name int32, start, end int) {
	n := t.open(name, list, start)
	for at, text := range media.Each(t.doc[start:end]) {
		if !t.room() {
			break
		}
		t.leaf(self, jsonText, start+at, start+at+len(text), text)
	}
	t.close(n, end)
}
