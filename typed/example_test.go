package typed_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/typed"
)

// Order is what the service answers.
type Order struct {
	ID      int       `json:"id"`
	Total   float64   `json:"total"`
	Tags    []string  `json:"tags"`
	Updated time.Time `json:"updated"`
	Lines   []Line    `json:"lines"`
	TraceID string    `json:"trace_id"`
}

// Line is a line of an Order.
type Line struct {
	SKU      string `json:"sku"`
	Quantity int    `json:"quantity"`
}

func answering(body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, body)
	})
}

// What an order is, go-cmp knows from its type; what does not matter, from the options.
func ExampleComparator() {
	v1 := answering(`{"id": 7, "total": 9.99, "tags": ["new", "gift"], "updated": "2026-05-01T12:00:00Z",
		"lines": [{"sku": "A1", "quantity": 1}, {"sku": "B2", "quantity": 2}], "trace_id": "5f1c"}`)
	v2 := answering(`{"id": 7, "total": 9.990000001, "tags": ["gift", "new"], "updated": "2026-05-01T14:00:00.2+02:00",
		"lines": [{"sku": "A1", "quantity": 1}, {"sku": "B2", "quantity": 3}], "trace_id": "09ab"}`)

	orders := typed.Comparator[Order](
		cmpopts.IgnoreFields(Order{}, "TraceID"),
		cmpopts.EquateApprox(0, 0.001),
		cmpopts.EquateApproxTime(time.Second),
		cmpopts.SortSlices(func(a, b string) bool { return a < b }))

	mirror, err := shadow.New(shadow.InProcess("v2", v2),
		shadow.WithCompare(shadow.CompareOptions{Bodies: map[string]shadow.Comparator{"application/json": orders}}),
		shadow.WithReporter(shadow.ReporterFunc(func(_ context.Context, r *shadow.Result) error {
			fmt.Println(r.Outcome)
			for _, d := range r.Diffs {
				fmt.Printf("  %s %s: %s, %s\n", d.Path, d.Kind, d.Primary, d.Shadow)
			}
			return nil
		})))
	if err != nil {
		panic(err)
	}
	mirror.Handler(v1).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/orders/7", nil))
	mirror.Shutdown(context.Background())

	// Output:
	// mismatch
	//   /body/lines/1/quantity changed: 2, 3
}

// A decoder of one's own can be as strict as the clients are: here, a price must
// say its currency.
func ExampleDecoded() {
	type price struct {
		Amount   json.Number
		Currency string
	}
	strict := func(body []byte) (p price, err error) {
		err = json.Unmarshal(body, &p)
		if err == nil && p.Currency == "" {
			err = fmt.Errorf("a price without a currency")
		}
		return p, err
	}
	diffs := typed.Decoded(strict).Compare(&shadow.Exchange{
		Primary: &shadow.Message{Body: []byte(`{"amount": 9007199254740993, "currency": "EUR"}`)},
		Shadow:  &shadow.Message{Body: []byte(`{"amount": 9007199254740993}`)},
	})
	for _, d := range diffs.Diffs {
		fmt.Println(d.Path, d.Kind, d.Class, string(d.Shadow))
	}

	// Output:
	// /body changed undecodable "error: a price without a currency"
}
