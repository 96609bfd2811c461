package gate

import (
	"fmt"
	"testing"
)

// What a decision costs, by the number of routes that are judged one by one.
func BenchmarkDecide(b *testing.B) {
	for _, routes := range []int{1, 500} {
		b.Run(fmt.Sprintf("routes=%d", routes), func(b *testing.B) {
			criteria := Default()
			criteria.EachRoute = Limits{DiffRate: 0.01, ErrorRate: 0.01, P95Ratio: 2}
			var counts []counted
			for i := range routes {
				c := good(1000 + uint64(i))
				c.route, c.mismatch = fmt.Sprintf("GET /%d", i), uint64(i%3)
				counts = append(counts, c)
			}
			s := snapshot(counts...)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := criteria.Decide(s, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
