package shadow_test

import (
	"fmt"
	"time"

	"github.com/goshadow/shadow"
)

// A thousand copies an hour at most, and no more than a gigabyte of them.
func ExampleWithBudget() {
	mirror, err := shadow.New(shadow.Remote("v2", "http://orders-v2.internal"),
		shadow.WithBudget(shadow.Budget{Window: time.Hour, Requests: 1000, Bytes: 1e9}))
	if err != nil {
		panic(err)
	}
	s := mirror.Stats()
	fmt.Println(s.Budget.Requests, "of 1000 copies used, breaker", s.Targets["v2"].Breaker)
	// Output: 0 of 1000 copies used, breaker closed
}

// What shadowing adds to the bill: the copies' usage by the tariff of whoever sends it,
// beside what the service itself cost in the same time.
func ExampleUsage_Cost() {
	usage := shadow.Usage{Requests: 2_000_000, Bytes: 30e9, CPU: 40 * time.Minute}
	tariff := shadow.Tariff{GB: 0.02, CPUHour: 0.048}
	const primary = 25.0
	fmt.Printf("%.2f, which is %.1f %% more\n", usage.Cost(tariff), 100*usage.Cost(tariff)/primary)
	// Output: 0.63, which is 2.5 % more
}
