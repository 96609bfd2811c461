package bodies

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow/internal/media"
)

// hostile are pairs of bodies of n bytes that would be expensive for a careless reader.
var hostile = []struct {
	name, contentType string
	make              func(n int) (a, b []byte)
}{
	{"deep XML", "text/xml", both(func(n int) string { return strings.Repeat("<a>", n/3) }, "</a>")},
	{"deepest XML", "text/xml", both(func(n int) string {
		name := strings.Repeat("x", max(1, n/media.MaxXMLDepth/2-3))
		return strings.Repeat("<"+name+">", media.MaxXMLDepth) + "<i/>" + strings.Repeat("</"+name+">", media.MaxXMLDepth)
	}, " ")},
	{"many elements", "text/xml", around("<r>", "<a/>", "<b/>", "</r>")},
	{"many attributes", "text/xml", func(n int) (a, b []byte) {
		var out strings.Builder
		for i := 0; out.Len() < n; i++ {
			fmt.Fprintf(&out, " a%d=''", i)
		}
		return []byte("<r" + out.String() + "/>"), []byte("<r" + out.String() + " z=''/>")
	}},
	{"one attribute many times", "text/xml", around("<r", " a=''", " a='x'", "/>")},
	{"long namespace", "text/xml", func(n int) (a, b []byte) {
		open := `<r xmlns="` + strings.Repeat("u", n/2) + `">`
		inner := strings.Repeat("<a/>", n/8)
		return []byte(open + inner + "</r>"), []byte(open + inner + "<b/></r>")
	}},
	{"many prefixes", "text/xml", func(n int) (a, b []byte) {
		var out strings.Builder
		for i := 0; out.Len() < n; i++ {
			fmt.Fprintf(&out, "<a xmlns:p%d='u%d'/>", i, i)
		}
		return []byte("<r>" + out.String() + "</r>"), []byte("<r>" + out.String() + "<b/></r>")
	}},
	{"much text between comments", "text/xml", around("<r>", "x<!-- -->", "y<!-- -->", "</r>")},
	{"open brackets", "text/xml", both(func(n int) string { return "<!" + strings.Repeat("<", n) }, ">")},
	{"many parts", "multipart/mixed; boundary=b", around("", "--b\n\n\n", "--b\n\nx\n", "--b--")},
	{"parts of one name", "multipart/form-data; boundary=b",
		around("", "--b\nContent-Disposition: form-data; name=a\n\n\n", "--b\nContent-Disposition: form-data; name=a\n\n1\n", "--b--")},
	{"nearly boundaries", "multipart/mixed; boundary=--------", around("----------\n\n", "-", "--", "\n------------")},
	{"parts in parts", "multipart/mixed; boundary=b",
		around("--b\nContent-Type: multipart/mixed; boundary=c\n\n--c\nContent-Type: multipart/mixed; boundary=d\n\n--d\nContent-Type: text/xml\n\n<r>",
			"<a/>", "<b/>", "</r>\n--d--\n--c--\n--b--")},
	{"lists in lists", "multipart/mixed; boundary=b0", listsInLists("multipart/mixed")},
	{"groups in groups", "multipart/form-data; boundary=b0", listsInLists("multipart/form-data")},
	{"long header", "multipart/mixed; boundary=b", around("--b\nContent-Type: text/plain", ";a=b", ";a=c", "\n\nx\n--b--")},
	{"folded header", "multipart/mixed; boundary=b", around("--b\nContent-Type: text/plain\n", " ;\n", " ;;\n", "\n\nx\n--b--")},
	{"many fields", "application/x-www-form-urlencoded", func(n int) (a, b []byte) {
		var out strings.Builder
		for i := 0; out.Len() < n; i++ {
			fmt.Fprintf(&out, "&%d", i)
		}
		return []byte(out.String()), []byte("x" + out.String())
	}},
	{"one field many times", "application/x-www-form-urlencoded", around("", "&a", "&a=1", "")},
	{"long names", "application/x-www-form-urlencoded", func(n int) (a, b []byte) {
		name := strings.Repeat("n", n/2) + "="
		return []byte(name + strings.Repeat("&"+"b=1", n/8)), []byte(name + "x" + strings.Repeat("&"+"b=2", n/8))
	}},
	{"many lines", "text/plain", around("", "\n", "x\n", "")},
	{"random lines", "text/plain", randomly("a\n", "b\n", "c\n", "d\n")},
	{"different lines", "text/plain", func(n int) (a, b []byte) {
		var x, y strings.Builder
		for i := 0; x.Len() < n; i++ {
			fmt.Fprintf(&x, "a%d\n", i)
			fmt.Fprintf(&y, "b%d\n", i)
		}
		return []byte(x.String()), []byte(y.String())
	}},
	{"backward lines", "text/plain", func(n int) (a, b []byte) {
		var x, y strings.Builder
		for i := range n / 8 {
			fmt.Fprintf(&x, "%07d\n", i)
			fmt.Fprintf(&y, "%07d\n", n-i)
		}
		return []byte(x.String()), []byte(y.String())
	}},
	{"no line end", "text/plain", both(func(n int) string { return strings.Repeat("x", n) }, "y")},
	{"many events", "text/event-stream", around("", "data\n\n", "data:1\n\n", "")},
	{"random events", "text/event-stream", randomly("data:1\n\n", "data:2\n\n", "data:[3]\n\n", "id:4\n\n")},
	{"many data lines", "text/event-stream", around("", "data\n", "data:1\n", "\n")},
	{"carriage returns", "text/event-stream", around("", "id\r", "id:1\r", "\n")},
	{"many records", "application/x-ndjson", around("", "1\n", "2\n", "")},
	{"random records", "application/x-ndjson", randomly("1\n", "{}\n", "[ ]\n", "{ }\n", "[]\n", "1.0\n")},
	{"broken records", "application/x-ndjson", randomly("{\n", "[\n", "[[[[[[[[[[\n")},
	{"one long record among short ones", "application/x-ndjson", func(n int) (a, b []byte) {
		long := "[" + strings.Repeat("0,", n/2) + "0]\n"
		return []byte(long + "1\n"), []byte(strings.Repeat("[0]\n", 12) + long + "2\n")
	}},
	{"bytes", "application/octet-stream", both(func(n int) string { return strings.Repeat("x", n) }, "y")},
}

// both makes two bodies that are the same but for what is added to one.
func both(body func(n int) string, more string) func(n int) (a, b []byte) {
	return func(n int) (a, b []byte) { return []byte(body(n)), []byte(body(n) + more) }
}

// listsInLists makes bodies of four parts in each part, on as many levels as are read.
func listsInLists(contentType string) func(n int) (a, b []byte) {
	return func(n int) (a, b []byte) {
		nested := func(value string) []byte {
			part, inner := value, "application/json"
			for level := media.MaxNesting - 1; level >= 0; level-- {
				item := fmt.Sprintf("--b%d\nContent-Disposition: form-data; name=n\nContent-Type: %s\n\n%s\n", level, inner, part)
				part = strings.Repeat(item, min(4, max(1, n/len(item)))) + fmt.Sprintf("--b%d--", level)
				inner = fmt.Sprintf("%s; boundary=b%d", contentType, level)
			}
			return []byte(part)
		}
		return nested("[1]"), nested("[2]")
	}
}

// around repeats x on one side and takes turns with y on the other.
func around(before, x, y, after string) func(n int) (a, b []byte) {
	return func(n int) ([]byte, []byte) {
		return []byte(before + strings.Repeat(x, n/len(x)) + after),
			[]byte(before + strings.Repeat(x+y, n/len(x+y)) + after)
	}
}

// randomly makes bodies of items in random order.
func randomly(items ...string) func(n int) (a, b []byte) {
	return func(n int) ([]byte, []byte) {
		r := rand.New(rand.NewPCG(1, 2))
		var a, b bytes.Buffer
		for a.Len() < n {
			a.WriteString(items[r.IntN(len(items))])
			b.WriteString(items[r.IntN(len(items))])
		}
		return a.Bytes(), b.Bytes()
	}
}

// Recursion into these would overflow the stack, and work that multiplies with every
// level would not end. BenchmarkHostile measures them at several sizes.
func TestHostileBodiesAreCompared(t *testing.T) {
	for _, h := range hostile {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			a, b := h.make(1 << 18)
			c := comparerFor(h.contentType)
			r := c.Compare(a, b, "/body")
			if r.Err != nil {
				assert.ErrorIs(t, r.Err, errDense)
				assert.Empty(t, r.Diffs)
				return
			}
			assert.NotEmpty(t, r.Diffs)
			places := make([]Place, len(r.Diffs))
			for i, d := range r.Diffs {
				places[i] = d.Place
			}
			maskedA, maskedB := bytes.ReplaceAll(a, []byte("1"), []byte("[masked]")), bytes.ReplaceAll(b, []byte("1"), []byte("[masked]"))
			assert.Len(t, c.Show(places, a, b, maskedA, maskedB), len(places))
			assert.Len(t, c.Show(places, a, b, a, b), len(places))
		})
	}
}

// counted counts what matching asks about elements.
type counted struct {
	x, y  []uint64
	calls int
}

func (c *counted) same(i, j int) bool {
	c.calls++
	return c.x[i] == c.y[j]
}

func (c *counted) hashX(i int) uint64 {
	c.calls++
	return c.x[i]
}

func (c *counted) hashY(j int) uint64 {
	c.calls++
	return c.y[j]
}

func (c *counted) traitsX(i int) []uint64 {
	c.calls++
	return c.x[i : i+1]
}

func (c *counted) traitsY(j int) []uint64 {
	c.calls++
	return c.y[j : j+1]
}

func TestAligningAsksABoundedNumberOfTimesPerElement(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	lists := func(n, values int) (x, y []uint64) {
		for range n {
			x, y = append(x, r.Uint64N(uint64(values))), append(y, r.Uint64N(uint64(values)))
		}
		return x, y
	}
	for _, n := range []int{1, 15, 16, 17, 100, 10_000, 100_000} {
		for _, values := range []int{1, 2, 3, 10, 100, n, n * n} {
			x, y := lists(n, values)
			for _, c := range []*counted{{x: x, y: y}, {x: x, y: y[:n/2]}, {x: x[:n/3], y: y}} {
				m := match(len(c.x), len(c.y), c)
				settle(m)
				assert.LessOrEqual(t, c.calls, 20*(len(c.x)+len(c.y)+1))
				ascending := m.mates[:0:0]
				for _, j := range m.mates {
					if j != none {
						ascending = append(ascending, j)
					}
				}
				assert.True(t, m.permuted() || slices.IsSorted(ascending))
				slices.Sort(ascending)
				assert.Len(t, slices.Compact(ascending), len(ascending), "an element with two mates")
				if len(c.x) == len(c.y) {
					assert.Len(t, m.mates, len(c.y))
				}
			}
		}
	}
}

func TestXMLIsReadUpToADepth(t *testing.T) {
	nested := func(n int, text string) []byte {
		return []byte(strings.Repeat("<a>", n) + text + strings.Repeat("</a>", n))
	}
	c := comparerFor("text/xml")
	r := c.Compare(nested(media.MaxXMLDepth, "1"), nested(media.MaxXMLDepth, "2"), "")
	require.Len(t, r.Diffs, 1)
	assert.NoError(t, r.ErrA)
	assert.Equal(t, strings.Repeat("/a", media.MaxXMLDepth), r.Diffs[0].Path)

	r = c.Compare(nested(media.MaxXMLDepth+1, "1"), nested(media.MaxXMLDepth+1, "2"), "")
	assert.ErrorIs(t, r.ErrA, media.ErrXMLDepth)
	assert.ErrorIs(t, r.ErrB, media.ErrXMLDepth)
	require.Len(t, r.Diffs, 1)
	assert.Equal(t, "", r.Diffs[0].Path)
}

func TestMultipartIsReadUpToADepth(t *testing.T) {
	part := func(levels int, text string) []byte {
		contentType, body := "application/json", text
		for i := range levels {
			body = fmt.Sprintf("--b%d\nContent-Type: %s\n\n%s\n--b%d--", i, contentType, body, i)
			contentType = fmt.Sprintf("multipart/mixed; boundary=b%d", i)
		}
		return []byte(body)
	}
	for _, test := range []struct {
		levels int
		path   string
	}{
		{media.MaxNesting, strings.Repeat("/0", media.MaxNesting) + "/x"},
		{media.MaxNesting + 1, strings.Repeat("/0", media.MaxNesting)}, // as bytes
	} {
		c := comparerFor(fmt.Sprintf("multipart/mixed; boundary=b%d", test.levels-1))
		r := c.Compare(part(test.levels, `{"x":1}`), part(test.levels, `{"x":2}`), "")
		require.Len(t, r.Diffs, 1)
		assert.Equal(t, test.path, r.Diffs[0].Path)
		assert.NoError(t, r.ErrA)
	}
}

// A body of more small parts than its size allows is not compared, and one of as many as it
// allows is.
func TestBodiesOfVeryManySmallPartsAreUncompared(t *testing.T) {
	for contentType, f := range map[string]struct{ before, part, after string }{
		"application/x-www-form-urlencoded": {"", "a&", "z=1"},
		"text/xml":                          {"<r>", "<a/>", "</r>"},
		"application/x-ndjson":              {"", "1\n", "2\n"},
		"multipart/mixed; boundary=b":       {"", "--b\n\n\n", "--b--"},
	} {
		c := comparerFor(contentType)
		compare := func(n int) Result {
			return c.Compare([]byte(f.before+strings.Repeat(f.part, n)+f.after), []byte(f.before+strings.Repeat(f.part, n+1)+f.after), "")
		}
		few := compare(3_000)
		assert.NoError(t, few.Err, contentType)
		assert.NotEmpty(t, few.Diffs, contentType)
		many := compare(60_000)
		assert.ErrorIs(t, many.Err, errDense, contentType)
		assert.Empty(t, many.Diffs, contentType)
	}
}

// A text of more lines than its size allows is compared as one value.
func TestATextOfVeryManyLinesIsOneValue(t *testing.T) {
	c := comparerFor("text/plain")
	compare := func(n int) Result {
		text := strings.Repeat("\n", n)
		return c.Compare([]byte("first"+text+"last"), []byte("other"+text+"end"), "/body")
	}
	few := compare(8_000)
	require.NoError(t, few.Err)
	assert.Len(t, few.Diffs, 2, "lines")
	many := compare(10_000)
	require.NoError(t, many.Err)
	require.Len(t, many.Diffs, 1)
	assert.Equal(t, "/body", many.Diffs[0].Path)
}
