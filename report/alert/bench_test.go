package alert_test

import (
	"testing"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/report/alert"
)

// What a result costs the worker that reports it.
func BenchmarkReport(b *testing.B) {
	for name, res := range map[string]*shadow.Result{
		"match": result("GET /items/{id}"), "mismatch": result("GET /items/{id}", "/body/price"), "failed": failure("GET /items/{id}"),
	} {
		b.Run(name, func(b *testing.B) {
			r := open(b, alert.Options{Transport: newInbox()})
			b.ReportAllocs()
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					if err := r.Report(b.Context(), res); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
