package alert_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/report/alert"
)

// A candidate gives another answer on every request. People are told once.
func Example() {
	webhook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(err)
		}
		fmt.Println("a message with", strings.Count(string(body), "TICKET")/2, "ticket")
	}))
	defer webhook.Close()

	alerts, err := alert.New(alert.Options{
		Receiver: alert.Slack(webhook.URL),
		Contact:  alert.Contact{Owner: "team-orders", Runbook: "https://runbooks.internal/shadow"},
	})
	if err != nil {
		panic(err)
	}
	answer := func(text string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) })
	}
	mirror, err := shadow.New(shadow.InProcess("v2", answer(`{"price":2}`)), shadow.WithReporter(alerts))
	if err != nil {
		panic(err)
	}
	orders := mirror.Handler(answer(`{"price":1}`))
	for range 100 {
		orders.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/orders/1", nil))
	}

	if err := mirror.Shutdown(context.Background()); err != nil { // flushes
		panic(err)
	}
	if err := alerts.Close(); err != nil {
		panic(err)
	}
	one := alerts.Alerts()[0]
	if err := alerts.Ack(one.Fingerprint, true); err != nil {
		panic(err)
	}
	share, _ := alerts.Stats().Actionability()
	fmt.Println(one.Name, one.Class, one.Route, share)
	// Output:
	// a message with 1 ticket
	// ShadowDifference ticket GET /orders/{} 1
}
