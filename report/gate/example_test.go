package gate_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/report/gate"
	"github.com/goshadow/shadow/report/tally"
)

// The wiring: a mirror reports to a tally, a gate judges what that counts, and stops the
// mirror when the candidate has failed.
func ExampleNew() {
	wire := func() (*gate.Gate, error) {
		counts, err := tally.New(tally.Options{})
		if err != nil {
			return nil, err
		}
		mirror, err := shadow.New(shadow.Remote("v2", "http://orders-v2.internal"),
			shadow.WithName("orders"),
			shadow.WithReporter(counts))
		if err != nil {
			return nil, err
		}
		counts.Watch("orders", mirror.Stats)

		source := func(context.Context) (*tally.Snapshot, error) { return counts.Snapshot(), nil }
		g, err := gate.New(gate.Default(), source, gate.Options{
			OnVerdict: func(_ context.Context, d gate.Decision) {
				mirror.SetEnabled(d.Verdict != gate.Fail) // told once for each change
			},
		})
		return g, err
	}
	g, err := wire()
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("/gate/", http.StripPrefix("/gate", g))
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("POST", "/gate/passed", nil))
	fmt.Println(w.Code, "before the first request")
	// Output: 503 before the first request
}

// A snapshot from anywhere is judged by criteria from a file.
func ExampleCriteria_Decide() {
	var criteria gate.Criteria
	err := json.Unmarshal([]byte(`{"looks": "once", "limits": {"diffRate": 0.001}}`), &criteria)
	if err != nil {
		fmt.Println(err)
		return
	}
	start := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	snapshot := &tally.Snapshot{
		Version: tally.Version, Since: start, Taken: start.Add(time.Hour), Elapsed: time.Hour,
		Routes: []tally.Route{{Mirror: "orders", Target: "v2", Route: "GET /orders/{id}", Results: tally.Counts{Match: 1200}}},
	}
	decision, err := criteria.Decide(snapshot, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(decision)
	fmt.Println("exit code", decision.Verdict.ExitCode())
	// Output:
	// INSUFFICIENT: 1 of 1 check cannot be decided yet: diffRate
	//   insufficient  diffRate  0 differences in 1,200; 1,795 more needed to claim under 0.1 % at 95 %
	// exit code 2
}
