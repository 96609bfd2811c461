// Gate is a release pipeline in one program. A service runs as v1 and its candidate beside
// it, both over HTTP on the loopback interface. While clients use v1, a pipeline asks the
// gate again and again, until it knows whether the candidate may go live. What it knows is
// the exit code:
//
//	go run ./examples/gate            # 0: the candidate is good
//	go run ./examples/gate discounts  # 1: this one has a bug, and is stopped
//
// It would be 2 if nobody could know yet. What the candidate has to show is in criteria.json. A p95 of up to 50 times the primary's
// is for the few requests of a busy laptop: write 2 for a service.
package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/report/gate"
	"github.com/goshadow/shadow/report/tally"
)

//go:embed criteria.json
var criteriaFile []byte

// broken is the exit code of a pipeline that could not run.
const broken = 3

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	code, err := run(ctx, os.Args[1:], os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "gate:", err)
	}
	os.Exit(code)
}

// release is a mirror with what decides about its candidate.
type release struct {
	mirror *shadow.Mirror
	gate   *gate.Gate
}

// newRelease is the wiring: the mirror reports to a tally, the gate judges what that counts,
// and stops the mirror as soon as the candidate has failed.
func newRelease(candidateURL string, stdout io.Writer) (*release, error) {
	var criteria gate.Criteria
	if err := json.Unmarshal(criteriaFile, &criteria); err != nil {
		return nil, err
	}
	counts, err := tally.New(tally.Options{})
	if err != nil {
		return nil, err
	}
	mirror, err := shadow.New(shadow.Remote("candidate", candidateURL),
		shadow.WithName("quotes"),
		shadow.WithLoadShedding(shadow.LoadSheddingOptions{Off: true}), // here every copy counts, however busy the machine is
		shadow.WithReporter(counts))
	if err != nil {
		return nil, err
	}
	counts.Watch("quotes", mirror.Stats)
	source := func(context.Context) (*tally.Snapshot, error) { return counts.Snapshot(), nil }
	g, err := gate.New(criteria, source, gate.Options{
		OnVerdict: func(_ context.Context, d gate.Decision) {
			fmt.Fprintf(stdout, "The verdict is now %s.\n", d.Verdict)
			mirror.SetEnabled(d.Verdict != gate.Fail)
		},
	})
	if err != nil {
		return nil, err
	}
	return &release{mirror: mirror, gate: g}, nil
}

// run returns the exit code.
func run(ctx context.Context, args []string, stdout io.Writer) (code int, err error) {
	if len(args) == 0 {
		args = []string{"rewrite"}
	}
	price, ok := map[string]pricing{"rewrite": byThePiece, "discounts": withDiscounts}[args[0]]
	if !ok || len(args) > 1 {
		return broken, fmt.Errorf("there are two candidates, rewrite and discounts, and not %q", args)
	}
	fmt.Fprintf(stdout, "Clients use v1; copies of their requests go to the candidate %q.\n", args[0])
	const most = 8000 // after so many requests it gives up
	decision, err := decide(ctx, price, most, stdout)
	if err != nil {
		return broken, err
	}
	fmt.Fprint(stdout, decision)
	return decision.Verdict.ExitCode(), nil
}

// decide has a candidate with that price shadow the service, until the gate has a verdict or
// there were too many requests.
func decide(ctx context.Context, price pricing, most int, stdout io.Writer) (gate.Decision, error) {
	candidate := httptest.NewServer(newService(price))
	defer candidate.Close()
	r, err := newRelease(candidate.URL, stdout)
	if err != nil {
		return gate.Decision{}, err
	}
	defer r.mirror.Close()
	mux := http.NewServeMux()
	mux.Handle("/", r.mirror.Handler(newService(byThePiece)))
	mux.Handle("/gate/", http.StripPrefix("/gate", r.gate)) // a real service keeps it from strangers
	service := httptest.NewServer(mux)
	defer service.Close()

	const often = 250 // look so often: the bounds of the gate allow it
	for done, verdict := 0, gate.Insufficient; done < most && verdict == gate.Insufficient; done += often {
		if err := use(ctx, service, done, min(often, most-done)); err != nil {
			return gate.Decision{}, err
		}
		if verdict, err = askGate(ctx, service); err != nil {
			return gate.Decision{}, err
		}
	}
	if err := r.mirror.Shutdown(ctx); err != nil { // what is still under way counts, too
		return gate.Decision{}, err
	}
	return r.gate.Decide(ctx), nil
}

// askGate asks as a pipeline does that runs somewhere else.
func askGate(ctx context.Context, service *httptest.Server) (gate.Verdict, error) {
	body, err := get(ctx, service, "/gate/verdict.json")
	if err != nil {
		return "", err
	}
	var d gate.Decision
	err = json.Unmarshal(body, &d)
	return d.Verdict, err
}

// use sends n requests from eight clients.
func use(ctx context.Context, service *httptest.Server, from, n int) error {
	const clients = 8
	var wg sync.WaitGroup
	errs := make([]error, clients)
	for client := range clients {
		wg.Go(func() {
			for i := client; i < n && errs[client] == nil; i += clients {
				_, errs[client] = get(ctx, service, path(from+i))
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// path is what the i-th request asks for.
func path(i int) string {
	switch i % 10 {
	case 0:
		return "/healthz"
	case 1, 2, 3:
		return "/stock"
	}
	return fmt.Sprintf("/quotes/%d", 1+i%23)
}

func get(ctx context.Context, service *httptest.Server, path string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, "GET", service.URL+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := service.Client().Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, resp.Status, body)
	}
	return body, err
}

// pricing is what pieces cost, in cents.
type pricing func(pieces int) int

func byThePiece(pieces int) int { return pieces * 250 }

// withDiscounts gives one piece in twenty for nothing, which nobody asked it to.
func withDiscounts(pieces int) int { return (pieces - pieces/20) * 250 }

func newService(price pricing) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /quotes/{pieces}", func(w http.ResponseWriter, r *http.Request) {
		var pieces int
		if _, err := fmt.Sscan(r.PathValue("pieces"), &pieces); err != nil {
			http.Error(w, "pieces: not a number", http.StatusBadRequest)
			return
		}
		time.Sleep(time.Millisecond) // what a database takes
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"pieces":%d,"cents":%d}`, pieces, price(pieces))
	})
	mux.HandleFunc("GET /stock", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"pieces":1200}`)
	})
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	return mux
}
