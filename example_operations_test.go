package shadow_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/goshadow/shadow"
)

func ExampleMirror_Explain() {
	mirror, err := shadow.New(shadow.Remote("v2", "http://orders-v2.internal"), shadow.WithSampler(shadow.Rate(0.01)))
	if err != nil {
		panic(err)
	}
	for _, r := range []*http.Request{
		httptest.NewRequest("GET", "/orders/1", nil),
		httptest.NewRequest("POST", "/orders", strings.NewReader("{}")),
	} {
		e := mirror.Explain(r)
		fmt.Println(strings.Split(e.String(), "\n")[0])
		for _, step := range e.Steps {
			if step.Stops || step.Unknown {
				fmt.Printf("  %s: %s\n", step.Name, step.Text)
			}
		}
	}
	// Output:
	// may be copied (sampled with probability 0.01)
	//   sampler: Rate draws with probability 0.01
	// not copied: method
	//   method: "POST" is not one of GET, HEAD, OPTIONS: see WithMethods
	//   sampler: Rate draws with probability 0.01
}

func ExampleMirror_Coverage() {
	mirror, err := shadow.New(shadow.InProcess("v2", http.NotFoundHandler()), shadow.WithSampler(
		shadow.ByRoute(map[string]shadow.Sampler{"/internal/": shadow.Rate(0)}, shadow.Rate(1))))
	if err != nil {
		panic(err)
	}
	h := mirror.Handler(http.NotFoundHandler())
	for _, asked := range []string{"GET /orders/7", "POST /orders", "GET /internal/stats"} {
		method, path, _ := strings.Cut(asked, " ")
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(method, path, nil))
	}
	mirror.Drain(context.Background()) //nolint:errcheck // it waits for as long as it takes
	for _, route := range mirror.Coverage() {
		if route.Compared() == 0 {
			fmt.Printf("%s: %s\n", route.Route, route.Why)
		}
	}
	// Output:
	// GET /internal/stats: 1 not-sampled
	// POST /orders: 1 method, before it could be sampled
}
