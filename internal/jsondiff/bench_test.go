package jsondiff

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow/internal/jsonpath"
)

// sample is a document that the benchmarks make variants of.
type sample struct {
	name  string
	doc   []byte
	array string   // a pointer to an array of objects, "" if it has none
	names []string // scalar members of its elements that the wildcard rule ignores
}

// payload makes an answer of an API with n items, compact.
func payload(n int) []byte {
	var b strings.Builder
	b.WriteString(`{"page":1,"total":` + fmt.Sprint(n) + `,"items":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":%d,"name":"Item number %d","price":%d.%02d,"tags":["new","sale"],"owner":{"id":"u-%d","email":"someone%d@example.com"},"updated_at":"2024-05-06T07:08:%02dZ","active":true}`,
			9007199254740993+int64(i), i, i%100, i%97, i*7, i, i%60)
	}
	b.WriteString(`]}`)
	return []byte(b.String())
}

// shipped reads a document that comes with the Go distribution as test data.
func shipped(t testing.TB, name string) []byte {
	t.Helper()
	f, err := os.Open(filepath.Join(runtime.GOROOT(), "src/encoding/json/internal/jsontest/testdata", name+".json.zst"))
	if err != nil {
		t.Logf("NOT MEASURED: this Go distribution does not ship %s: %v", name, err)
		return nil
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	require.NoError(t, err)
	defer z.Close()
	var doc bytes.Buffer
	_, err = doc.ReadFrom(z)
	require.NoError(t, err)
	return doc.Bytes()
}

func samples(t testing.TB) []sample {
	all := []sample{
		{"300B", bytes.Replace(payload(1), []byte(`"total"`), []byte(`"next":"/v1/items?page=2&size=1","previous":null,"took_ms":12.5,"total"`), 1), "/items", []string{"updated_at"}},
		{"1KB", payload(5), "/items", []string{"updated_at"}},
		{"10KB", payload(50), "/items", []string{"updated_at"}},
		{"twitter", shipped(t, "twitter_status"), "/statuses", []string{"created_at"}},
		{"citm", shipped(t, "citm_catalog"), "/performances", []string{"id"}},
		{"canada", shipped(t, "canada_geometry"), "", nil},
	}
	var there []sample
	for _, s := range all {
		if s.doc != nil {
			there = append(there, s)
		}
	}
	return there
}

// spelling writes a decoded document again.
type spelling struct {
	doc     []byte
	out     bytes.Buffer
	shuffle *rand.Rand          // members, nil leaves them
	replace func(*value) string // "" leaves the value
}

func (s *spelling) write(v *value) {
	if s.replace != nil {
		if text := s.replace(v); text != "" {
			s.out.WriteString(text)
			return
		}
	}
	if v.kind != '{' && v.kind != '[' {
		s.out.Write(s.doc[v.start:v.end])
		return
	}
	order := make([]int, len(v.children))
	for i := range order {
		order[i] = i
	}
	if s.shuffle != nil && v.kind == '{' {
		s.shuffle.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	}
	s.out.WriteByte(v.kind)
	for k, i := range order {
		if k > 0 {
			s.out.WriteByte(',')
		}
		if v.kind == '{' {
			name, _ := json.Marshal(v.names[i])
			s.out.Write(name)
			s.out.WriteByte(':')
		}
		s.write(v.children[i])
	}
	s.out.WriteByte(v.kind + 2)
}

func (v *value) member(name string) *value {
	for i := range v.names {
		if v.names[i] == name {
			return v.children[i]
		}
	}
	return nil
}

// leaves returns the scalars of a document in their order.
func (v *value) leaves() (all []*value) {
	if len(v.children) == 0 && v.kind != '{' && v.kind != '[' {
		return []*value{v}
	}
	for _, c := range v.children {
		all = append(all, c.leaves()...)
	}
	return all
}

// other spells another value of the same length.
func other(doc []byte, v *value) string {
	b := bytes.Clone(doc[v.start:v.end])
	switch i := len(b) / 2; {
	case v.kind == '0':
		b[len(b)-1] = '1' + (b[len(b)-1]-'0'+1)%9
	case v.kind == '"' && len(b) > 2 && !bytes.ContainsRune(b, '\\') && b[i] < 0x80:
		b[i] ^= 1
	default:
		return `"other"`
	}
	return string(b)
}

// indent lays doc out as the sample is.
func (s *sample) indent(t testing.TB, doc []byte) []byte {
	_, second, ok := bytes.Cut(s.doc, []byte("\n"))
	if !ok {
		return bytes.Clone(doc)
	}
	var out bytes.Buffer
	require.NoError(t, json.Indent(&out, doc, "", string(second[:bytes.IndexByte(second, '"')])))
	return out.Bytes()
}

func mustParse(t testing.TB, exprs ...string) (paths []*jsonpath.Path) {
	t.Helper()
	for _, e := range exprs {
		p, err := jsonpath.Parse(e)
		require.NoError(t, err)
		paths = append(paths, p)
	}
	return paths
}

// measure is one case of the table: what is compared, and how many differences
// there are.
type measure struct {
	name  string
	c     *Comparer
	a, b  []byte
	diffs int
}

func measures(t testing.TB, s sample) (all []measure) {
	exact := New(Options{})
	root := decode(s.doc)
	require.NotNil(t, root)
	respell := func(change func(*spelling)) []byte {
		sp := &spelling{doc: s.doc}
		change(sp)
		sp.write(root)
		return s.indent(t, sp.out.Bytes())
	}
	plain := respell(func(*spelling) {})
	all = append(all, measure{"identical", exact, plain, bytes.Clone(plain), 0})

	var white bytes.Buffer
	if bytes.ContainsRune(s.doc, '\n') {
		require.NoError(t, json.Compact(&white, plain))
	} else {
		require.NoError(t, json.Indent(&white, plain, "", "  "))
	}
	all = append(all, measure{"white-space", exact, plain, white.Bytes(), 0})
	all = append(all, measure{"shuffled", exact, plain, respell(func(s *spelling) { s.shuffle = rand.New(rand.NewPCG(1, 2)) }), 0})

	leaves := root.leaves()
	leaf := leaves[len(leaves)/2]
	changed := respell(func(sp *spelling) {
		sp.replace = func(v *value) string {
			if v == leaf {
				return other(s.doc, v)
			}
			return ""
		}
	})
	all = append(all, measure{"one-leaf", exact, plain, changed, 1})
	_, pointer := root.at(Span{leaf.start, leaf.end}, "")
	path := "$"
	for v, tokens := root, strings.Split(pointer, "/")[1:]; len(tokens) > 0; tokens = tokens[1:] {
		if v.kind == '[' {
			path += "[" + tokens[0] + "]"
			i, _ := strconv.Atoi(tokens[0])
			v = v.children[i]
		} else {
			path += "['" + tokens[0] + "']"
			v = v.member(tokens[0])
		}
	}
	all = append(all, measure{"one-ignored", New(Options{Ignore: mustParse(t, path)}), plain, changed, 0})

	if s.array == "" {
		return all
	}
	array := root.member(s.array[1:])
	require.NotNil(t, array)
	ignored := map[*value]bool{}
	for _, e := range array.children {
		for _, name := range s.names {
			ignored[e.member(name)] = true
		}
	}
	noisy := respell(func(sp *spelling) {
		sp.replace = func(v *value) string {
			if ignored[v] {
				return other(s.doc, v)
			}
			return ""
		}
	})
	wildcard := "$." + s.array[1:] + "[*]." + s.names[0]
	all = append(all, measure{"wildcard-ignored", New(Options{Ignore: mustParse(t, wildcard)}), plain, noisy, 0})

	reversed := *array
	reversed.children = nil
	for _, i := range rand.New(rand.NewPCG(3, 4)).Perm(len(array.children)) {
		reversed.children = append(reversed.children, array.children[i])
	}
	reordered := respell(func(sp *spelling) {
		sp.replace = func(v *value) string {
			if v != array {
				return ""
			}
			inner := &spelling{doc: s.doc}
			inner.write(&reversed)
			return inner.out.String()
		}
	})
	all = append(all, measure{"unordered", New(Options{Unordered: mustParse(t, "$."+s.array[1:])}), plain, reordered, 0})
	return all
}

func BenchmarkCompare(b *testing.B) {
	for _, s := range samples(b) {
		b.Run(s.name+"/json.Valid", func(b *testing.B) {
			for b.Loop() {
				json.Valid(s.doc)
			}
		})
		for _, m := range measures(b, s) {
			b.Run(s.name+"/"+m.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if r := m.c.Compare(m.a, m.b, "/body"); len(r.Diffs) != m.diffs {
						b.Fatalf("%+v", r)
					}
				}
			})
		}
	}
}

func BenchmarkKeyed(b *testing.B) {
	doc := payload(10_000)
	root := decode(doc)
	items := root.member("items")
	rand.New(rand.NewPCG(5, 6)).Shuffle(len(items.children), func(i, j int) {
		items.children[i], items.children[j] = items.children[j], items.children[i]
	})
	sp := &spelling{doc: doc}
	sp.write(root)
	b.Run("json.Valid", func(b *testing.B) {
		for b.Loop() {
			json.Valid(doc)
		}
	})
	for name, o := range map[string]Options{
		"keyed":     {Keyed: []Key{{mustParse(b, "$.items")[0], "id"}}},
		"unordered": {Unordered: mustParse(b, "$.items")},
	} {
		c := New(o)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if r := c.Compare(doc, sp.out.Bytes(), ""); !r.Equal() {
					b.Fatalf("%+v", r)
				}
			}
		})
	}
}
