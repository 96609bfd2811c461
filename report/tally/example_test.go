package tally_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/report/tally"
)

// version answers orders: prices in cents from version 2 on, and each answer says when it
// was made.
func version(n int) http.Handler {
	mux := http.NewServeMux()
	made := 0
	mux.HandleFunc("GET /orders/{id}", func(w http.ResponseWriter, r *http.Request) {
		made++
		price := map[int]string{1: "12", 2: "1200"}[n]
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"id":%q,"price":%s,"made":"2024-05-0%dT10:%02d:00Z"}`, r.PathValue("id"), price, n, made)
	})
	return mux
}

// serve ten requests with a mirror that reports to t.
func tenRequests(t *tally.Tally) {
	mirror, err := shadow.New(shadow.InProcess("v2", version(2)), shadow.WithName("orders"),
		shadow.WithReporter(t), shadow.WithConcurrency(1))
	if err != nil {
		log.Fatal(err)
	}
	t.Watch("orders", mirror.Stats)
	h := mirror.Handler(version(1))
	for i := range 10 {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", fmt.Sprint("/orders/", i), nil))
	}
	if err := mirror.Shutdown(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func Example() {
	t, err := tally.New(tally.Options{})
	if err != nil {
		log.Fatal(err)
	}
	tenRequests(t)

	s := t.Snapshot()
	for _, r := range s.Routes {
		fmt.Printf("%s: %d of %d differ\n", r.Route, r.Results.Mismatch, r.Compared())
	}
	for _, g := range s.Groups {
		fmt.Printf("%d x %v (%s)\n", g.Count, g.Places, g.Stability)
	}
	fmt.Println(s.Mirrors[0].Requests, "requests")
	// Output:
	// GET /orders/{id}: 10 of 10 differ
	// 10 x [{/body/made changed} {/body/price changed}] (unproven)
	// 10 requests
}

func ExampleMerge() {
	var texts []string // as they come from two replicas
	for range 2 {
		t, err := tally.New(tally.Options{})
		if err != nil {
			log.Fatal(err)
		}
		tenRequests(t)
		text, err := json.Marshal(t.Snapshot())
		if err != nil {
			log.Fatal(err)
		}
		texts = append(texts, string(text))
	}

	var snapshots []*tally.Snapshot
	for _, text := range texts {
		s, err := tally.Decode(strings.NewReader(text))
		if err != nil {
			log.Fatal(err)
		}
		snapshots = append(snapshots, s)
	}
	fleet, err := tally.Merge(snapshots...)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(fleet.Routes), "route,", fleet.Routes[0].Results.All(), "results,", fleet.Routes[0].ShadowTook.Count(), "latencies")
	// Output: 1 route, 20 results, 20 latencies
}

func ExampleTally_Acknowledge() {
	t, err := tally.New(tally.Options{})
	if err != nil {
		log.Fatal(err)
	}
	tenRequests(t)
	err = t.Acknowledge(tally.Acknowledgement{
		Fingerprint: t.Snapshot().Groups[0].Fingerprint,
		Note:        "SHOP-12: prices are in cents",
		Owner:       "checkout",
		Expires:     time.Now().Add(14 * 24 * time.Hour),
	})
	if err != nil {
		log.Fatal(err)
	}
	s := t.Snapshot()
	fmt.Println(s.Groups[0].State, s.Routes[0].Unexplained())
	// Output: expected 0
}

func ExampleTally_Suggest() {
	t, err := tally.New(tally.Options{})
	if err != nil {
		log.Fatal(err)
	}
	tenRequests(t)
	s, err := t.Suggest(t.Snapshot().Groups[0].Fingerprint)
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range s.Rules {
		fmt.Println("ignore", r.Ignore, "-", r.Class)
	}
	for _, r := range s.Refused {
		fmt.Println("do not ignore", r.Path, "-", r.Reason)
	}
	// Output:
	// ignore $.made - timestamp
	// do not ignore /body/price - the values are not all timestamps, all UUIDs or all tokens: a rule would hide what they mean
}
