package bodies

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow/internal/jsondiff"
	"github.com/goshadow/shadow/internal/jsonpath"
)

func TestOneChangedValueIsOneDifference(t *testing.T) {
	for _, contentType := range mediaTypes {
		t.Run(contentType, func(t *testing.T) {
			a, b := []byte(sample(contentType, 40, "one")), []byte(sample(contentType, 40, "two"))
			c := comparerFor(contentType)
			r := c.Compare(a, b, "/body")
			require.Len(t, r.Diffs, 1)
			d := r.Diffs[0]
			assert.Equal(t, jsondiff.Changed, d.Kind)
			assert.True(t, d.Path == "/body" || strings.HasPrefix(d.Path, "/body/"), d.Path)
			v := c.Show([]Place{d.Place}, a, b, a, b)[0]
			if contentType != "image/png" {
				assert.Contains(t, string(v.A), "one")
				assert.Contains(t, string(v.B), "two")
			}
			assert.Empty(t, c.Compare(a, slices.Clone(a), "/body").Diffs)
		})
	}
}

// An item more, at any place, is one difference, and the same one less.
func TestOneInsertedItemIsOneDifference(t *testing.T) {
	const n = 9
	item := map[string]func(i int) string{
		"application/x-ndjson":              func(i int) string { return fmt.Sprintf("{\"id\":%d,\"same\":true}\n", i) },
		"application/json-seq":              func(i int) string { return fmt.Sprintf("\x1e{\"id\":%d,\n\"same\":true}\n", i) },
		"text/event-stream":                 func(i int) string { return fmt.Sprintf("event: x\ndata: {\"id\":%d}\n\n", i) },
		"application/x-www-form-urlencoded": func(i int) string { return fmt.Sprintf("id=%d&", i) },
		"multipart/mixed; boundary=b":       func(i int) string { return fmt.Sprintf("--b\r\n\r\n%d\r\n", i) },
		"multipart/form-data; boundary=b": func(i int) string {
			return fmt.Sprintf("--b\r\nContent-Disposition: form-data; name=f\r\n\r\n%d\r\n", i)
		},
		"text/xml":   func(i int) string { return fmt.Sprintf("<i><id>%d</id><same/></i>", i) },
		"text/plain": func(i int) string { return fmt.Sprintf("line %d\n", i) },
	}
	wrap := func(contentType, items string) []byte {
		switch {
		case strings.HasPrefix(contentType, "multipart/"):
			items += "--b--\r\n"
		case contentType == "text/xml":
			items = "<r>" + items + "</r>"
		}
		return []byte(items)
	}
	for contentType, one := range item {
		for at := range n + 1 {
			var short, long string
			for i := range n {
				if i == at {
					long += one(1000)
				}
				short, long = short+one(i), long+one(i)
			}
			if at == n {
				long += one(1000)
			}
			a, b := wrap(contentType, short), wrap(contentType, long)
			c := comparerFor(contentType)
			for _, test := range []struct {
				a, b []byte
				kind jsondiff.Kind
			}{{a, b, jsondiff.Extra}, {b, a, jsondiff.Missing}} {
				r := c.Compare(test.a, test.b, "")
				if assert.Len(t, r.Diffs, 1, "%s at %d", contentType, at) {
					assert.Equal(t, test.kind, r.Diffs[0].Kind, contentType)
					assert.True(t, strings.HasSuffix(r.Diffs[0].Path, fmt.Sprint("/", at)), r.Diffs[0].Path)
				}
			}
		}
	}
}

func TestKindsAreMirroredWhenSidesChange(t *testing.T) {
	mirrored := map[jsondiff.Kind]jsondiff.Kind{jsondiff.Missing: jsondiff.Extra, jsondiff.Extra: jsondiff.Missing}
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		for _, contentType := range mediaTypes {
			a := []byte(sample(contentType, 6, "one"))
			b := mutated(r, mutated(r, a))
			c := NewSet(jsondiff.New(jsondiff.Options{}), 1000, nil).For(contentType, contentType)
			var there, back []jsondiff.Kind
			for _, d := range c.Compare(a, b, "").Diffs {
				there = append(there, d.Kind)
			}
			for _, d := range c.Compare(b, a, "").Diffs {
				kind, ok := mirrored[d.Kind]
				if !ok {
					kind = d.Kind
				}
				back = append(back, kind)
			}
			slices.Sort(there)
			slices.Sort(back)
			require.Equal(t, there, back, "%s\n%s\n%s", contentType, a, b)
		}
	}
}

// mutated is body with a piece cut out, doubled, moved or overwritten.
func mutated(r *rand.Rand, body []byte) []byte {
	i, j := r.IntN(len(body)+1), r.IntN(len(body)+1)
	if r.IntN(2) == 0 {
		j = min(i+r.IntN(4), len(body))
	}
	i, j = min(i, j), max(i, j)
	piece := slices.Clone(body[i:j])
	switch r.IntN(4) {
	case 0:
		return slices.Concat(body[:i], body[j:])
	case 1:
		return slices.Concat(body[:j], piece, body[j:])
	case 2:
		rest := slices.Concat(body[:i], body[j:])
		k := r.IntN(len(rest) + 1)
		return slices.Concat(rest[:k], piece, rest[k:])
	}
	out := slices.Clone(body)
	if len(out) > 0 {
		out[r.IntN(len(out))] = "x1\n<&= \""[r.IntN(8)]
	}
	return out
}

// The runs of lines that are reported are all that differs: without them, the texts are
// the same.
func TestWithoutTheHunksTextsAreTheSame(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	c := NewSet(jsondiff.New(jsondiff.Options{}), 1<<20, nil).For("text/plain", "text/plain")
	for range 3000 {
		text := func() []byte {
			var out []byte
			for range 2 + r.IntN(60) {
				out = append(out, "abcde"[r.IntN(5)], '\n')
			}
			return out[:len(out)-r.IntN(2)]
		}
		a, b := text(), text()
		if r.IntN(2) == 0 {
			b = append(mutated(r, mutated(r, a)), "\nlast\n"...)
		}
		diffs := c.Compare(a, b, "").Diffs
		without := func(text []byte, side func(Place) ref) []string {
			lines := slices.Collect(bytes.Lines(text))
			for _, d := range diffs {
				at := side(d.Place)
				for n := at.first; n < at.end; n++ { // node 0 is the whole text
					require.NotNil(t, lines[n-1], "a line in two runs")
					lines[n-1] = nil
				}
			}
			var rest []string
			for _, line := range lines {
				if line != nil {
					rest = append(rest, string(line))
				}
			}
			return rest
		}
		require.Equal(t,
			without(a, func(p Place) ref { return p.a }),
			without(b, func(p Place) ref { return p.b }), "%q\n%q", a, b)
	}
}

// xmlTree is a document to be written in several ways.
type xmlTree struct {
	name       string
	attributes [][2]string
	text       string // of one without children
	children   []*xmlTree
}

func randomTree(r *rand.Rand, depth int) *xmlTree {
	t := &xmlTree{name: string("abc"[r.IntN(3)])}
	for i := range r.IntN(3) {
		t.attributes = append(t.attributes, [2]string{fmt.Sprint("k", i), []string{"", "1", "a<b", `"'`}[r.IntN(4)]})
	}
	if depth > 0 {
		for range r.IntN(4) {
			t.children = append(t.children, randomTree(r, depth-1))
		}
	}
	if len(t.children) == 0 {
		t.text = []string{"", "x", "a & b", "]]>", " y\nz "}[r.IntN(5)]
	}
	return t
}

// write spells the tree in one of many ways.
func (t *xmlTree) write(out *strings.Builder, r *rand.Rand, prefix string) {
	escape := strings.NewReplacer("&", "&amp;", "<", "&#60;", `"`, "&quot;", "'", "&#x27;", ">", "&gt;").Replace
	space := func() string { return []string{"", " ", "\n  ", "<!-- c -->"}[r.IntN(4)] }
	fmt.Fprintf(out, "<%s%s", prefix, t.name)
	for _, i := range r.Perm(len(t.attributes)) {
		fmt.Fprintf(out, "\n%s = \"%s\"", t.attributes[i][0], escape(t.attributes[i][1]))
	}
	if len(t.children) == 0 && t.text == "" && r.IntN(2) == 0 {
		out.WriteString("/>")
		return
	}
	out.WriteString(">")
	if len(t.children) == 0 {
		if strings.Contains(t.text, "]]>") || r.IntN(2) == 0 {
			out.WriteString(escape(t.text))
		} else {
			out.WriteString("<![CDATA[" + t.text + "]]>")
		}
	}
	for _, c := range t.children {
		out.WriteString(space())
		c.write(out, r, prefix)
	}
	if len(t.children) > 0 {
		out.WriteString(space())
	}
	fmt.Fprintf(out, "</%s%s>", prefix, t.name)
}

func (t *xmlTree) spell(r *rand.Rand) []byte {
	prefix := []string{"", "p:", "other:"}[r.IntN(3)]
	var out strings.Builder
	t.write(&out, r, prefix)
	declared := strings.TrimSuffix("xmlns:"+prefix, ":")
	text := out.String()
	end := len("<" + prefix + t.name)
	return []byte(text[:end] + " " + declared + "='urn:x'" + text[end:])
}

func TestXMLIsComparedByWhatItMeans(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	c := comparerFor("text/xml")
	for range 500 {
		one, two := randomTree(r, 3), randomTree(r, 3)
		got := c.Compare(one.spell(r), one.spell(r), "")
		require.Empty(t, got.Diffs)
		a, b := one.spell(r), two.spell(r)
		got = c.Compare(a, b, "")
		require.NoError(t, got.ErrA, "%s", a)
		require.Equal(t, cmp.Equal(one, two, cmp.AllowUnexported(xmlTree{})), len(got.Diffs) == 0, "%s\n%s", a, b)
	}
}

func TestValuesAreReadFromMaskedBodiesOnly(t *testing.T) {
	const secret, mask = "S3CR3T", "[masked]"
	r := rand.New(rand.NewPCG(9, 10))
	shown := 0
	for range 500 {
		for _, contentType := range mediaTypes {
			put := func(body []byte) []byte {
				at := r.IntN(len(body) + 1)
				return slices.Concat(body[:at], []byte(secret), body[at:])
			}
			plain := []byte(sample(contentType, 4, "one"))
			a, b := put(plain), put(mutated(r, plain))
			maskedA := bytes.ReplaceAll(a, []byte(secret), []byte(mask))
			maskedB := bytes.ReplaceAll(b, []byte(secret), []byte(mask))
			c := comparerFor(contentType)
			var places []Place
			for _, d := range c.Compare(a, b, "").Diffs {
				places = append(places, d.Place)
			}
			for _, v := range c.Show(places, a, b, maskedA, maskedB) {
				for _, value := range []json.RawMessage{v.A, v.B} {
					if value != nil {
						shown++
						require.True(t, json.Valid(value), "%s", value)
						require.NotContains(t, string(value), secret)
						require.LessOrEqual(t, len(value), 6*maxValue+20)
					}
				}
			}
		}
	}
	assert.Greater(t, shown, 5000)
}

func TestLongValuesShowWhereTheyDiffer(t *testing.T) {
	head, tail := strings.Repeat("é", 3000), strings.Repeat("z", 3000)
	for _, test := range []struct{ contentType, before, after string }{
		{"text/plain", "", ""},
		{"text/xml", "<a>", "</a>"},
		{"application/x-www-form-urlencoded", "a=", ""},
		{"application/json", `{"a":"`, `"}`},
	} {
		a, b := []byte(test.before+head+"here"+tail+test.after), []byte(test.before+head+"there"+tail+test.after)
		c := comparerFor(test.contentType)
		r := c.Compare(a, b, "")
		require.Len(t, r.Diffs, 1)
		v := c.Show([]Place{r.Diffs[0].Place}, a, b, a, b)[0]
		var textA, textB string
		require.NoError(t, json.Unmarshal(v.A, &textA))
		require.NoError(t, json.Unmarshal(v.B, &textB))
		assert.Contains(t, textA, "ééhere")
		assert.Contains(t, textB, "ééthere")
		assert.Less(t, len(textB), maxValue+20)
		assert.True(t, strings.HasPrefix(textA, "…") && strings.HasSuffix(textA, "…"), textA)
	}
}

func TestOtherKindsOfMediaTypesAreReadAsTheOneWithMoreStructure(t *testing.T) {
	for _, test := range []struct {
		typeA, typeB, a, b string
		want               int
	}{
		{"", "", "a", "b", 1},
		{"", "application/json", `{"a":1}`, `{ "a":1 }`, 0},
		{"text/plain", "application/xml", "<a/>", "<a></a>", 0},
		{"application/octet-stream", "text/plain", "a\nb\nc\nd", "x\nb\ny\nd", 2},
		{"application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "a=1", "--b\n\n--b--", 1},
		{"multipart/mixed; boundary=a", "multipart/form-data; boundary=b", "--a\n\n1\n--a--", "--b\n\n1\n--b--", 1},
		{"text/html; charset", "text/html; charset=utf-8", "a\nb", "a\nb", 0},
		{"multipart/mixed", "multipart/mixed", "--a\n\n--a--", "--b\n\n--b--", 1},
		{"not a type", "not a type", "a", "b", 1},
		{"application/vnd.x+xml", "image/svg+xml", "<a/>", "<a />", 0},
		{"application/problem+json", "text/json", "1", "1.0", 0},
		{"application/yaml", "text/yaml", "a: 1\nb: 2\nc: 3\n", "a: 1\nb: 3\nc: 4\n", 1},
	} {
		for _, mirrored := range []bool{false, true} {
			if mirrored {
				test.typeA, test.typeB, test.a, test.b = test.typeB, test.typeA, test.b, test.a
			}
			r := newSet().For(test.typeA, test.typeB).Compare([]byte(test.a), []byte(test.b), "")
			assert.Len(t, r.Diffs, test.want, "%+v", test)
		}
	}
}

func TestTheLimitOfDifferences(t *testing.T) {
	for _, contentType := range []string{"application/json", "application/x-ndjson", "text/event-stream", "application/x-www-form-urlencoded",
		"multipart/form-data; boundary=b", "text/xml", "text/plain"} {
		var a, b string
		for i := range 4 {
			switch contentType {
			case "application/json", "application/x-ndjson":
				a, b = a+"1\n", b+"2\n"
			case "text/event-stream":
				a, b = a+"data:1\n\n", b+"data:2\n\n"
			case "application/x-www-form-urlencoded":
				a, b = a+fmt.Sprintf("%d=1&", i), b+fmt.Sprintf("%d=2&", i)
			case "text/xml":
				a, b = a+"<i>1</i>", b+"<i>2</i>"
			case "text/plain":
				a, b = a+fmt.Sprintf("1\n%d\n", i+10), b+fmt.Sprintf("2\n%d\n", i+10)
			default:
				part := "--b\nContent-Disposition: form-data; name=%d\n\n%d\n"
				a, b = a+fmt.Sprintf(part, i, 1), b+fmt.Sprintf(part, i, 2)
			}
		}
		switch contentType {
		case "application/json":
			a, b = "["+strings.Join(strings.Fields(a), ",")+"]", "["+strings.Join(strings.Fields(b), ",")+"]"
		case "text/xml":
			a, b = "<r>"+a+"</r>", "<r>"+b+"</r>"
		case "multipart/form-data; boundary=b":
			a, b = a+"--b--", b+"--b--"
		}
		for limit := 1; limit <= 5; limit++ {
			set := NewSet(jsondiff.New(jsondiff.Options{MaxDiffs: limit}), limit, nil)
			r := set.For(contentType, contentType).Compare([]byte(a), []byte(b), "")
			assert.Len(t, r.Diffs, min(limit, 4), "%s %d", contentType, limit)
			assert.Equal(t, limit < 4, r.More, "%s %d", contentType, limit)
		}
	}
}

func TestDifferencesComeInPathOrder(t *testing.T) {
	var a, b strings.Builder
	for i := range 12 {
		fmt.Fprintf(&a, "z%d=1&", 11-i)
		fmt.Fprintf(&b, "z%d=2&", 11-i)
		fmt.Fprintf(&a, "10=%d&", i)
		fmt.Fprintf(&b, "10=x%d&", i)
	}
	r := comparerFor("application/x-www-form-urlencoded").Compare([]byte(a.String()), []byte(b.String()), "/body")
	require.Len(t, r.Diffs, 24)
	assert.Equal(t, "/body/10/0", r.Diffs[0].Path)
	assert.Equal(t, "/body/10/2", r.Diffs[2].Path)
	assert.Equal(t, "/body/10/11", r.Diffs[11].Path)
	assert.Equal(t, "/body/z0", r.Diffs[12].Path)
}

func TestLongNamesAreCutInPathsAndStayDifferent(t *testing.T) {
	long := strings.Repeat("n", 5000)
	r := comparerFor("application/x-www-form-urlencoded").Compare([]byte(long+"1=1&"+long+"2=1"), []byte(long+"1=2&"+long+"2=2"), "")
	require.Len(t, r.Diffs, 2)
	assert.NotEqual(t, r.Diffs[0].Path, r.Diffs[1].Path)
	assert.Less(t, len(r.Diffs[0].Path), 2*128)
}

func TestBodiesAreNotChangedAndComparersAreShared(t *testing.T) {
	set := newSet()
	var group sync.WaitGroup
	for _, contentType := range mediaTypes {
		a, b := []byte(sample(contentType, 20, "one")), []byte(sample(contentType, 21, "two"))
		wantA, wantB := slices.Clone(a), slices.Clone(b)
		want := set.For(contentType, contentType).Compare(a, b, "/body")
		for range 4 {
			group.Go(func() {
				c := set.For(contentType, contentType)
				got := c.Compare(a, b, "/body")
				assert.Equal(t, want.Diffs, got.Diffs)
				for _, d := range got.Diffs {
					c.Show([]Place{d.Place}, a, b, a, b)
				}
			})
		}
		group.Wait()
		assert.Equal(t, wantA, a)
		assert.Equal(t, wantB, b)
	}
}

// Records that are spelled in another way, and by the rules the same, are found again in
// another order.
func TestRecordsInAnotherOrderAndSpellingAreOneDifference(t *testing.T) {
	at, err := jsonpath.Parse("$.at")
	require.NoError(t, err)
	near, err := jsonpath.Parse("$.n")
	require.NoError(t, err)
	const n = 40
	wrap := map[string]func(i int, text string) string{
		"application/x-ndjson": func(_ int, text string) string { return text + "\n" },
		"application/json-seq": func(_ int, text string) string { return "\x1e" + text + "\n" },
		"text/event-stream":    func(_ int, text string) string { return "event: x\ndata: " + text + "\n\n" },
		"multipart/mixed; boundary=b": func(_ int, text string) string {
			return "--b\r\nContent-Type: application/json\r\n\r\n" + text + "\r\n"
		},
		"multipart/form-data; boundary=b": func(_ int, text string) string {
			return "--b\r\nContent-Disposition: form-data; name=f\r\nContent-Type: application/json\r\n\r\n" + text + "\r\n"
		},
	}
	body := func(contentType string, records []string) []byte {
		var b strings.Builder
		for i, text := range records {
			b.WriteString(wrap[contentType](i, text))
		}
		if strings.HasPrefix(contentType, "multipart/") {
			b.WriteString("--b--\r\n")
		}
		return []byte(b.String())
	}
	for contentType := range wrap {
		t.Run(contentType, func(t *testing.T) {
			var records, others []string
			for i := range n {
				records = append(records, fmt.Sprintf(`{"id":%d,"name":"n%d","n":1.5,"at":1}`, i*10, i))
				others = append(others, fmt.Sprintf(`{"at":2, "n":1.50000001, "name":"\u006e%d", "id":%d.0e1}`, i, i))
			}
			json := jsondiff.New(jsondiff.Options{
				Ignore:     []*jsonpath.Path{at},
				Tolerances: []jsondiff.Tolerance{{Path: near, Abs: 0.1}},
			})
			c := NewSet(json, 0, nil).For(contentType, contentType)
			assert.Empty(t, c.Compare(body(contentType, records), body(contentType, others), "/body").Diffs)
			assert.Equal(t, []uint64{n}, json.Matches().Ignore, "one for each record, however it was found")
			assert.Equal(t, []uint64{n}, json.Matches().Tolerances)

			moved := slices.Clone(others)
			rand.New(rand.NewPCG(5, 6)).Shuffle(n, func(i, j int) { moved[i], moved[j] = moved[j], moved[i] })
			r := c.Compare(body(contentType, records), body(contentType, moved), "/body")
			require.Len(t, r.Diffs, 1)
			assert.Equal(t, jsondiff.Reordered, r.Diffs[0].Kind)
			assert.Equal(t, []uint64{2 * n}, json.Matches().Ignore)

			inserted := slices.Insert(slices.Clone(others), n/2, `{"id":-1}`)
			r = c.Compare(body(contentType, records), body(contentType, inserted), "/body")
			require.Len(t, r.Diffs, 1)
			assert.Equal(t, jsondiff.Extra, r.Diffs[0].Kind)
			assert.Equal(t, []uint64{3 * n}, json.Matches().Ignore)

			moved[3] = `{"id":-1}`
			r = c.Compare(body(contentType, records), body(contentType, moved), "/body")
			for _, d := range r.Diffs {
				assert.NotEqual(t, jsondiff.Reordered, d.Kind, "one record is another")
			}
			assert.NotEmpty(t, r.Diffs)
		})
	}
}

// Rules take a while for each record, however small: very many small ones are an error, never a
// match, and as many are compared where there are no rules or as few as people send.
func TestRulesOnVeryManyRecordsAreUncompared(t *testing.T) {
	path, err := jsonpath.Parse("$[?@.a<5]")
	require.NoError(t, err)
	ruled := NewSet(jsondiff.New(jsondiff.Options{Ignore: []*jsonpath.Path{path}}), 100, nil)
	exact := NewSet(jsondiff.New(jsondiff.Options{}), 100, nil)
	compare := func(s *Set, n, shift int, padding string) Result {
		body := func(shift int) []byte {
			var out strings.Builder
			for i := range n {
				fmt.Fprintf(&out, "{\"a\":%d%s}\n", 10+(i*7+shift)%90, padding)
			}
			return []byte(out.String())
		}
		return s.For("application/x-ndjson", "application/x-ndjson").Compare(body(0), body(shift), "/body")
	}
	got := compare(ruled, 20000, 1, "")
	assert.ErrorIs(t, got.Err, errRules)
	assert.Empty(t, got.Diffs)
	assert.NoError(t, compare(exact, 20000, 1, "").Err)
	assert.NoError(t, compare(ruled, 1000, 1, "").Err)
	assert.NoError(t, compare(ruled, 20000, 1, `,"text":"of the usual length in a record, which has a name and a few more values"`).Err)
}
