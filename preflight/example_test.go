package preflight_test

import (
	"context"
	"fmt"
	"net/http"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/preflight"
)

func ExampleCheck() {
	candidate := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	mirror, err := shadow.New(shadow.InProcess("v2", candidate), shadow.WithName("orders"))
	if err != nil {
		panic(err)
	}
	report, err := preflight.Check(context.Background(), mirror, preflight.Options{Path: "/health"})
	if err != nil {
		panic(err)
	}
	fmt.Println(report)
	// Output:
	// fail of orders to v2
	// pass     reachable: it answered 200
	// pass     loop: the probe did not come back to this mirror, and no copy did
	// pass     correlation: in this process: the handler gets the header X-Request-Id
	// pass     mark: in this process: IsShadow is true for its context
	// pass     writes: only requests with a safe method are copied
	// pass     masking: "v2" in this process: nothing leaves it
	// fail     limits: every request is copied, and there is no budget. Begin with WithSampler(Rate(0.01)), or say with WithBudget what copies may use
	// pass     clocks: in this process: it is the same clock
}
