package bodies

import (
	"fmt"
	"strings"

	"github.com/goshadow/shadow/internal/jsondiff"
)

// mediaTypes has one media type of each kind.
var mediaTypes = []string{
	"application/json",
	"application/x-ndjson",
	"application/json-seq",
	"text/event-stream",
	"application/x-www-form-urlencoded",
	"multipart/form-data; boundary=b",
	"multipart/mixed; boundary=b",
	"application/xml",
	"text/html",
	"image/png",
}

func newSet() *Set { return NewSet(jsondiff.New(jsondiff.Options{}), 0, nil) }

func comparerFor(contentType string) Comparer { return newSet().For(contentType, contentType) }

// sample is a body of about n items of a media type. Salt is in one of them, in the
// middle, and nowhere else.
func sample(contentType string, n int, salt string) string {
	var out strings.Builder
	record := func(i int) string {
		note := "note"
		if i == n/2 {
			note = salt
		}
		return fmt.Sprintf(`{"id":%d,"name":"user %d","note":"%s","tags":["a","b"],"score":%d.5}`, i, i*7919, note, i)
	}
	for i := range n {
		r := record(i)
		note := "note"
		if i == n/2 {
			note = salt
		}
		switch contentType {
		case "application/json":
			out.WriteString([]string{"[", ","}[min(i, 1)] + r)
		case "application/x-ndjson":
			out.WriteString(r + "\n")
		case "application/json-seq":
			out.WriteString("\x1e" + r + "\n")
		case "text/event-stream":
			fmt.Fprintf(&out, "event: update\nid: %d\ndata: %s\n\n", i, r)
		case "application/x-www-form-urlencoded":
			fmt.Fprintf(&out, "&id%d=%d&name%d=user+%%23%d&note=%s", i, i, i, i*7919, note)
		case "multipart/form-data; boundary=b", "multipart/mixed; boundary=b":
			fmt.Fprintf(&out, "--b\r\nContent-Disposition: form-data; name=\"f%d\"\r\nContent-Type: application/json\r\n\r\n%s\r\n", i, r)
		case "application/xml":
			out.WriteString([]string{"<list xmlns=\"urn:x\">", ""}[min(i, 1)])
			fmt.Fprintf(&out, "\n  <item id=\"%d\" kind=\"user\"><name>user &amp; %d</name><note>%s</note></item>", i, i*7919, note)
		default:
			fmt.Fprintf(&out, "<p class=\"item\">number %d of user %d: %s</p>\n", i, i*7919, note)
		}
	}
	switch {
	case contentType == "application/json":
		out.WriteString("]")
	case strings.HasPrefix(contentType, "multipart/"):
		out.WriteString("--b--\r\n")
	case contentType == "application/xml":
		out.WriteString("\n</list>")
	}
	return out.String()
}
