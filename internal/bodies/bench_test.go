package bodies

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// BenchmarkCompare compares bodies of about 10 KB, of which one value differs.
func BenchmarkCompare(b *testing.B) {
	for _, contentType := range mediaTypes {
		b.Run(label(contentType), func(b *testing.B) {
			n := 1
			for len(sample(contentType, n, "one")) < 10<<10 {
				n++
			}
			x, y := []byte(sample(contentType, n, "one")), []byte(sample(contentType, n, "two"))
			c := comparerFor(contentType)
			b.SetBytes(int64(len(x)))
			b.ReportAllocs()
			for b.Loop() {
				if r := c.Compare(x, y, "/body"); len(r.Diffs) != 1 {
					b.Fatalf("%d differences", len(r.Diffs))
				}
			}
		})
	}
}

// BenchmarkShow reads the values of one difference, from bodies that were masked.
func BenchmarkShow(b *testing.B) {
	for _, contentType := range mediaTypes {
		b.Run(label(contentType), func(b *testing.B) {
			x, y := []byte(sample(contentType, 100, "one")), []byte(sample(contentType, 100, "two"))
			maskedX, maskedY := bytes.ReplaceAll(x, []byte("user"), []byte("[masked]")), bytes.ReplaceAll(y, []byte("user"), []byte("[masked]"))
			c := comparerFor(contentType)
			places := []Place{c.Compare(x, y, "/body").Diffs[0].Place}
			b.SetBytes(int64(len(x)))
			b.ReportAllocs()
			for b.Loop() {
				if v := c.Show(places, x, y, maskedX, maskedY)[0]; v.A == nil || v.B == nil {
					b.Fatal("not found")
				}
			}
		})
	}
}

// BenchmarkHostile compares bodies made to be expensive. The throughput is about the
// same at both sizes where the time is linear.
func BenchmarkHostile(b *testing.B) {
	for _, h := range hostile {
		for _, size := range []int{1 << 18, 1 << 21} {
			b.Run(fmt.Sprintf("%s/%dKB", h.name, size>>10), func(b *testing.B) {
				x, y := h.make(size)
				c := comparerFor(h.contentType)
				b.SetBytes(int64(len(x)))
				for b.Loop() {
					c.Compare(x, y, "/body")
				}
			})
		}
	}
}

func label(contentType string) string {
	t, _, _ := strings.Cut(contentType, ";")
	return strings.ReplaceAll(t, "/", "-")
}
