package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	promexport "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/report/tally"
)

// replica is one instance of the service, with all that it would have as a process of its
// own. Service is for clients, admin for scrapers: a real one keeps it from strangers.
type replica struct {
	mirror         *shadow.Mirror
	tracer         *sdktrace.TracerProvider
	service, admin *httptest.Server
}

// newReplica is the wiring: the mirror reports to a tally and records in OpenTelemetry, and
// both can be fetched.
func newReplica(candidateURL string) (*replica, error) {
	registry := client.NewRegistry()
	exporter, err := promexport.New(promexport.WithRegisterer(registry))
	if err != nil {
		return nil, err
	}
	// Without an exporter, traces go nowhere: this is for the exemplars.
	tracer := sdktrace.NewTracerProvider()
	meter := sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter))
	prices, err := drift(meter.Meter("quotes"), "v2", [...]float64{575, 1150, 1725, 2300, 2875, 3450, 4025, 4600, 5175})
	if err != nil {
		return nil, err
	}
	counts, err := tally.New(tally.Options{})
	if err != nil {
		return nil, err
	}
	// Three replicas, their candidate, their clients and Prometheus share one machine here: what
	// looks like a lack of time says nothing about the candidate.
	candidate := shadow.Remote("v2", candidateURL)
	candidate.Timeout = 5 * time.Minute
	mirror, err := shadow.New(candidate,
		shadow.WithName("quotes"),
		shadow.WithReporter(counts, prices),
		shadow.WithMeterProvider(meter),
		shadow.WithTracerProvider(tracer),
		shadow.WithLeakCheck(shadow.LeakCheckOptions{Rate: 1, Kinds: []shadow.DetectorKind{shadow.DetectEmail, shadow.DetectCard}}),
		shadow.WithBudget(shadow.Budget{Window: time.Hour, Requests: 1_000_000}),
		shadow.WithLoadShedding(shadow.LoadSheddingOptions{Off: true}),
		shadow.WithOverhead(shadow.OverheadOptions{Off: true}),
		shadow.WithQueue(2048, 64<<20))
	if err != nil {
		return nil, err
	}
	counts.Watch("quotes", mirror.Stats)

	admin := http.NewServeMux()
	admin.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true})) // with exemplars
	admin.HandleFunc("GET /tally", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(counts.Snapshot()) // an error is the client's, who is gone
	})
	service := otelhttp.NewHandler(mirror.Handler(newService(byThePiece)), "quotes", otelhttp.WithTracerProvider(tracer))
	return &replica{mirror: mirror, tracer: tracer, service: httptest.NewServer(service), admin: httptest.NewServer(admin)}, nil
}

func (r *replica) close() {
	r.service.Close()
	r.admin.Close()
	r.mirror.Close()
}

// pricing is what pieces cost, in cents.
type pricing func(pieces int) (cents int, err error)

func byThePiece(pieces int) (int, error) { return pieces * 250, nil }

var errNoPrice = errors.New("no price")

// withDiscounts gives one piece in twenty for nothing, which nobody asked it to, and has no
// price for 13.
func withDiscounts(pieces int) (int, error) {
	if pieces == 13 {
		return 0, errNoPrice
	}
	return (pieces - pieces/20) * 250, nil
}

// newService is the service, with a database that takes 10 ms.
func newService(price pricing) http.Handler {
	const database = 10 * time.Millisecond
	mux := http.NewServeMux()
	mux.HandleFunc("GET /quotes/{pieces}", func(w http.ResponseWriter, r *http.Request) {
		var pieces int
		if _, err := fmt.Sscan(r.PathValue("pieces"), &pieces); err != nil {
			http.Error(w, "pieces: not a number", http.StatusBadRequest)
			return
		}
		time.Sleep(database)
		cents, err := price(pieces)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"pieces":%d,"cents":%d}`, pieces, cents)
	})
	mux.HandleFunc("GET /stock", func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(database)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"pieces":1200}`)
	})
	return mux
}
