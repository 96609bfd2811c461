package main

import (
	"context"
	"encoding/json"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/goshadow/shadow"
)

// drift counts the prices in the answers of both sides by bins, those between the deciles of the
// primary. From these rules/drift.yml has how far the two distributions are apart.
func drift(meter metric.Meter, target string, deciles [9]float64) (shadow.Reporter, error) {
	prices, err := meter.Int64Counter("quotes.prices", metric.WithUnit("{price}"))
	if err != nil {
		return nil, err
	}
	count := func(ctx context.Context, role string, bin int, n int64) {
		prices.Add(ctx, n, metric.WithAttributes(attribute.String("shadow.target", target),
			attribute.String("shadow.role", role), attribute.Int("bin", bin)))
	}
	for bin := range len(deciles) + 1 { // a series that begins at 0 loses no increase
		count(context.Background(), "primary", bin, 0)
		count(context.Background(), "shadow", bin, 0)
	}
	return shadow.ReporterFunc(func(ctx context.Context, r *shadow.Result) error {
		for role, m := range map[string]*shadow.Message{"primary": r.Primary, "shadow": r.Shadow} {
			var answer struct{ Cents *float64 }
			if m == nil || json.Unmarshal(m.Body, &answer) != nil || answer.Cents == nil {
				continue // an answer without a price
			}
			bin, _ := slices.BinarySearch(deciles[:], *answer.Cents)
			count(ctx, role, bin, 1)
		}
		return nil
	}), nil
}
