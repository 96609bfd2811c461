package jsonpath_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow/internal/jsonpath"
	"github.com/goshadow/shadow/internal/jsonscan"
)

func BenchmarkMember(b *testing.B) {
	for _, c := range []struct {
		name string
		set  *jsonpath.Set
		at   []any
	}{
		{"dead", newSet(b, "$.a.b"), []any{"x"}},
		{"name", newSet(b, "$.name", "$.meta"), nil},
		{"realistic", realisticSet(b), []any{"items", 3}},
		{"descendants", newSet(b, "$..updatedAt", "$..createdAt", "$..etag", "$..self", "$.._id", "$.._rev", "$..took", "$..traceId", "$..nonce", "$..version"), nil},
	} {
		st := descend(c.set, c.at...)
		for _, name := range []string{"name", "updatedAt", "quantity_available"} {
			b.Run(c.name+"/"+name, func(b *testing.B) {
				key := []byte(name)
				b.ReportAllocs()
				for b.Loop() {
					c.set.Member(st, key)
				}
			})
		}
	}
}

func BenchmarkElement(b *testing.B) {
	set := realisticSet(b)
	st := descend(set, "items")
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		set.Element(st, i&1023)
		i++
	}
}

// catalogue is an API answer of n items, some 200 bytes each.
func catalogue(n int) []byte {
	var items []string
	for i := range n {
		items = append(items, fmt.Sprintf(`{"id":%d,"name":"item %d","price":{"amount":%d.99,"currency":"EUR"},"tags":["a","b","c"],"updatedAt":"2026-01-02T03:04:05Z","owner":{"email":"a@example.com","active":true}}`, i, i, i))
	}
	return []byte(`{"meta":{"requestId":"x"},"items":[` + strings.Join(items, ",") + `]}`)
}

// One pass that validates is the yardstick: see BenchmarkValid.
func BenchmarkLocate(b *testing.B) {
	doc := catalogue(1000)
	for _, expr := range []string{"$.items[-1].id", "$.items[?@.price.currency=='EUR'].price.amount", "$..[?@.email].active", "$.items[?match(@.name,'item 9.*')].id"} {
		b.Run(expr, func(b *testing.B) {
			set := newSet(b, expr)
			b.SetBytes(int64(len(doc)))
			b.ReportAllocs()
			for b.Loop() {
				_, err := set.Locate(doc, 0)
				require.NoError(b, err)
			}
		})
	}
}

func BenchmarkValid(b *testing.B) {
	doc := catalogue(1000)
	b.SetBytes(int64(len(doc)))
	for b.Loop() {
		if err := jsonscan.Valid(doc, 0); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := jsonpath.Parse("$.store.book[?@.price < 10 && @.category == 'fiction']..title"); err != nil {
			b.Fatal(err)
		}
	}
}
