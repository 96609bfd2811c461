package bodies

import (
	"fmt"
	"strings"
)

// costFormat is how a body of a media type is made of items, which are told apart by a
// number from 0 up. Each way of writing an item is a spelling of the format.
type costFormat struct {
	contentType   string
	before, after string
	between       string
	spellings     map[string]func(k int) string
}

// costFormats are those of which bodies are made.
var costFormats = map[string]costFormat{
	"JSON array": {"application/json", "[", "]", ",", map[string]func(int) string{
		"ordinary": func(k int) string {
			return fmt.Sprintf(`{"id":%d,"name":"a name of %d","price":{"amount":12.5,"currency":"EUR"},"tags":["a","b"]}`, k, k)
		},
		"tiny":   func(k int) string { return fmt.Sprint(k % 10) },
		"short":  func(k int) string { return fmt.Sprint(k) },
		"nested": func(k int) string { return fmt.Sprintf(`[[%d]]`, k%10) },
		"object": func(k int) string { return fmt.Sprintf(`{"a":%d}`, k%10) },
	}},
	"JSON object": {"application/json", "{", "}", ",", map[string]func(int) string{
		"tiny":    func(k int) string { return fmt.Sprintf(`"":%d`, k%10) },
		"short":   func(k int) string { return fmt.Sprintf(`"%d":1`, k) },
		"escapes": func(k int) string { return fmt.Sprintf(`"\u0061%d":1`, k) },
	}},
	"NDJSON": {"application/x-ndjson", "", "\n", "\n", map[string]func(int) string{
		"ordinary": func(k int) string { return fmt.Sprintf(`{"id":%d,"name":"a name of %d","tags":["a","b"]}`, k, k) },
		"tiny":     func(k int) string { return fmt.Sprint(k % 10) },
		"short":    func(k int) string { return fmt.Sprint(k) },
		"objects":  func(k int) string { return fmt.Sprintf(`{"a":%d}`, k%10) },
		"broken":   func(k int) string { return "{["[k%2 : k%2+1] },
	}},
	"events": {"text/event-stream", "", "\n\n", "\n\n", map[string]func(int) string{
		"ordinary": func(k int) string {
			return fmt.Sprintf("id: %d\nevent: price\ndata: {\"id\":%d,\"name\":\"a name\"}", k, k)
		},
		"tiny":  func(k int) string { return fmt.Sprintf("id:%d", k%10) },
		"data":  func(k int) string { return fmt.Sprintf("data:%d", k%10) },
		"words": func(k int) string { return fmt.Sprintf("data:a%d", k%10) },
		"empty": func(k int) string { return "data\nid"[:4+k%2*3] },
	}},
	"data lines": {"text/event-stream", "", "\n\n", "\n", map[string]func(int) string{
		"tiny": func(k int) string { return fmt.Sprintf("data:%d", k%10) },
	}},
	"form": {"application/x-www-form-urlencoded", "", "", "&", map[string]func(int) string{
		"ordinary": func(k int) string { return fmt.Sprintf("field_%d=a+value+of+%d", k, k) },
		"tiny":     func(k int) string { return fmt.Sprintf("%c", 'a'+k%26) },
		"values":   func(k int) string { return fmt.Sprintf("a=%d", k%10) },
		"short":    func(k int) string { return fmt.Sprint(k) },
		"escapes":  func(k int) string { return fmt.Sprintf("%%61%%62=%%3%d", k%10) },
	}},
	"XML": {"text/xml", "<r>", "</r>", "", map[string]func(int) string{
		"ordinary": func(k int) string {
			return fmt.Sprintf("<item id=\"%d\">\n  <name>a name of %d</name>\n  <price currency=\"EUR\">12.50</price>\n</item>\n", k, k)
		},
		"tiny":     func(k int) string { return fmt.Sprintf("<%c/>", 'a'+k%26) },
		"values":   func(k int) string { return fmt.Sprintf("<a>%d</a>", k%10) },
		"mixed":    func(k int) string { return fmt.Sprintf("%d<a/>", k%10) },
		"entities": func(k int) string { return fmt.Sprintf("<a>&#5%d;</a>", k%10) },
		"PIs":      func(k int) string { return fmt.Sprintf("<?%c?>", 'a'+k%26) },
		"comments": func(k int) string { return fmt.Sprintf("%d<!---->", k%10) },
		"CDATA":    func(k int) string { return fmt.Sprintf("<![CDATA[%d]]>", k%10) },
		"bindings": func(k int) string { return fmt.Sprintf("<a xmlns:p%d='%d'/>", k, k) },
	}},
	"attributes": {"text/xml", "<r", "/>", " ", map[string]func(int) string{
		"short": func(k int) string { return fmt.Sprintf(" a%d=''", k) },
		"lines": func(k int) string { return fmt.Sprintf(" a%d='\n%d'", k, k) },
	}},
	"text": {"text/plain", "", "\n", "\n", map[string]func(int) string{
		"ordinary": func(k int) string { return fmt.Sprintf("a line as people read them, with number %d in it", k) },
		"tiny":     func(k int) string { return fmt.Sprint(k % 10) },
		"words":    func(k int) string { return fmt.Sprintf("a %06d", k%10) },
		"short":    func(k int) string { return fmt.Sprintf("%07d", k) },
	}},
	"parts": {"multipart/mixed; boundary=b", "--b\n", "\n--b--", "\n--b\n", map[string]func(int) string{
		"ordinary": func(k int) string {
			return fmt.Sprintf("Content-Type: application/json\n\n{\"id\":%d,\"name\":\"a name of %d\"}", k, k)
		},
		"tiny":    func(k int) string { return fmt.Sprintf("\n%d", k%10) },
		"records": func(k int) string { return fmt.Sprintf("Content-Type: application/json\n\n%d", k%10) },
	}},
	"form parts": {"multipart/form-data; boundary=b", "--b\n", "\n--b--", "\n--b\n", map[string]func(int) string{
		"ordinary": func(k int) string {
			return fmt.Sprintf("Content-Disposition: form-data; name=\"field_%d\"\n\na value of %d", k, k)
		},
		"tiny":     func(k int) string { return fmt.Sprintf("Content-Disposition:a;name=%c\n\n%d", 'a'+k%26, k%10) },
		"nameless": func(k int) string { return fmt.Sprintf("\n%d", k%10) },
	}},
	"lines in a part": {"multipart/mixed; boundary=b", "--b\n\n", "\n--b--", "\n", map[string]func(int) string{
		"tiny": func(k int) string { return fmt.Sprint(k % 10) },
	}},
	"records in a part": {"multipart/mixed; boundary=b", "--b\nContent-Type: application/x-ndjson\n\n", "\n--b--", "\n", map[string]func(int) string{
		"tiny": func(k int) string { return fmt.Sprint(k % 10) },
	}},
}

// costShapes say which items are in the two bodies of n items each.
var costShapes = map[string]func(n, i int) (a, b int){
	"one changed": func(n, i int) (a, b int) {
		if i == n/2 {
			return i, i + 1
		}
		return i, i
	},
	"all alike but one": func(n, i int) (a, b int) {
		if i == n/2 {
			return 0, 1
		}
		return 0, 0
	},
	"all different": func(n, i int) (a, b int) { return i, i + n + 5 },
	"two kinds":     func(n, i int) (a, b int) { return 0, 1 },
	"reversed":      func(n, i int) (a, b int) { return i, n - 1 - i },
	"turned":        func(n, i int) (a, b int) { return i, (i + n/2) % n },
	"in turns":      func(n, i int) (a, b int) { return 0, i % 2 },
	"every tenth changed": func(n, i int) (a, b int) {
		if i%10 == 5 {
			return i, i + 1
		}
		return i, i
	},
	"at random": func(n, i int) (a, b int) {
		return i * 7919 % n, i * 104_729 % n
	},
}

// bodies makes two bodies of about n bytes.
func (f *costFormat) bodies(spelling string, shape func(n, i int) (a, b int), n int) (a, b []byte) {
	item := f.spellings[spelling]
	items := max(2, n/(len(f.between)+len(item(n/8))))
	var x, y strings.Builder
	x.WriteString(f.before)
	y.WriteString(f.before)
	for i := range items {
		if i > 0 {
			x.WriteString(f.between)
			y.WriteString(f.between)
		}
		k, l := shape(items, i)
		x.WriteString(item(k))
		y.WriteString(item(l))
	}
	x.WriteString(f.after)
	y.WriteString(f.after)
	return []byte(x.String()), []byte(y.String())
}
