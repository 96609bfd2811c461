package jsonscan_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/goshadow/shadow/internal/jsonscan"
)

// document makes n records as an API would answer them, indented.
func document(n int) []byte {
	var b strings.Builder
	b.WriteString("{\n  \"items\": [")
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `
    {
      "id": %d,
      "name": "Item number %d, \"quoted\"",
      "price": %d.%02d,
      "tags": ["new", "größe", "sale"],
      "created_at": "2024-05-06T07:08:09Z",
      "stock": null,
      "active": true
    }`, 9007199254740993+int64(i), i, i%100, i%97)
	}
	b.WriteString("\n  ]\n}\n")
	return []byte(b.String())
}

func BenchmarkValid(b *testing.B) {
	for _, n := range []int{1, 5, 5000} {
		doc := document(n)
		b.Run(fmt.Sprintf("%d/jsonscan", len(doc)), func(b *testing.B) {
			b.SetBytes(int64(len(doc)))
			for b.Loop() {
				if err := jsonscan.Valid(doc, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("%d/encoding-json", len(doc)), func(b *testing.B) {
			b.SetBytes(int64(len(doc)))
			for b.Loop() {
				if !json.Valid(doc) {
					b.Fatal("not valid")
				}
			}
		})
	}
}
