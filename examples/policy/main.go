// Policy masks by rules that stand in a file, which a privacy team owns: see privacy.json.
// A service on loopback is shadowed by another; the program prints what the client sent,
// what the shadow received, and which rule touched what.
//
//	go run ./examples/policy
//	go run ./examples/policy -rules my-rules.json
package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/signal"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/policy"
)

//go:embed privacy.json
var privacy []byte

// tokenKey stands for a secret. A real one is random, comes from where the program keeps
// its secrets, and is the same in all replicas.
const tokenKey = "not a secret, for once"

// newMirror is the wiring: the rules shape all that leaves, what is sent and what is reported.
func newMirror(rules *policy.Policy, candidate string, reporter shadow.Reporter) (*shadow.Mirror, error) {
	target := shadow.Remote("v2", candidate)
	target.Isolated = true // it has a store of its own, so it may be sent a POST
	return shadow.New(target,
		shadow.WithMasker(rules),
		shadow.WithMethods("GET", "POST"),
		shadow.WithLoadShedding(shadow.LoadSheddingOptions{Off: true}), // here every copy counts, however busy the machine is
		shadow.WithReporter(reporter))
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "policy:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("policy", flag.ContinueOnError)
	flags.SetOutput(stdout)
	path := flags.String("rules", "", "`file` with the rules, in place of the example's own")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	case flags.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	file := privacy
	if *path != "" {
		var err error
		if file, err = os.ReadFile(*path); err != nil {
			return err
		}
	}
	rules, err := policy.Parse(file, []byte(tokenKey))
	if err != nil {
		return err
	}
	return demonstrate(ctx, rules, stdout)
}

func demonstrate(ctx context.Context, rules *policy.Policy, stdout io.Writer) error {
	received := make(chan *shadow.Message, 1)
	candidate := httptest.NewServer(keeping(received))
	defer candidate.Close()
	reported := make(chan *shadow.Result, 1)
	mirror, err := newMirror(rules, candidate.URL, shadow.ReporterFunc(func(_ context.Context, r *shadow.Result) error {
		reported <- r
		return nil
	}))
	if err != nil {
		return err
	}
	defer mirror.Close()
	service := httptest.NewServer(mirror.Handler(newService()))
	defer service.Close()

	sent := newOrder()
	if err := post(ctx, service, sent); err != nil {
		return err
	}
	if err := mirror.Shutdown(ctx); err != nil {
		return err
	}
	touches, err := rules.Explain(sent)
	if err != nil {
		return err
	}

	fmt.Fprintln(stdout, "The client sent")
	show(stdout, sent)
	fmt.Fprintln(stdout, "\nThe shadow received")
	show(stdout, <-received)
	fmt.Fprintln(stdout, "\nWhich rule touched what")
	for _, t := range touches {
		fmt.Fprintf(stdout, "  %-17s %s\n", t.Rule, t.Place)
	}
	fmt.Fprintln(stdout, "\nThe reporters were told")
	for _, d := range (<-reported).Diffs {
		fmt.Fprintf(stdout, "  %s is %s instead of %s\n", d.Path, d.Shadow, d.Primary)
	}
	return nil
}

// newOrder is a request full of what is nobody's business.
func newOrder() *shadow.Message {
	return &shadow.Message{
		Method: "POST",
		URL:    &url.URL{Path: "/customers/ada@lovelace.example/orders", RawQuery: "email=ada@lovelace.example&lang=en"},
		Header: http.Header{
			"Authorization": {"Bearer 17a3f0"},
			"Content-Type":  {"application/json"},
			"X-User":        {"ada@lovelace.example"},
		},
		Body: []byte(`{"items":3,"contact":{"email":"ada@lovelace.example","born":"1815-12-10"},` +
			`"card":"4111 1111 1111 1111","allergies":["nuts"],"note":"or try 5555 5555 5555 4444"}`),
	}
}

// post sends the request m to a service.
func post(ctx context.Context, service *httptest.Server, m *shadow.Message) error {
	r, err := http.NewRequestWithContext(ctx, m.Method, service.URL+m.URL.String(), bytes.NewReader(m.Body))
	if err != nil {
		return err
	}
	r.Header = m.Header.Clone()
	resp, err := service.Client().Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// show prints what of a request might tell something about somebody.
func show(out io.Writer, m *shadow.Message) {
	fmt.Fprintf(out, "  %s %s\n", m.Method, m.URL.RequestURI())
	for _, name := range []string{"Authorization", "X-User"} {
		if value := m.Header.Get(name); value != "" {
			fmt.Fprintf(out, "  %s: %s\n", name, value)
		}
	}
	fmt.Fprintf(out, "  %s\n", m.Body)
}

// newService takes orders.
func newService() http.Handler { return orders(250) }

// keeping is the candidate: it has other prices, and hands on what it was asked.
func keeping(received chan<- *shadow.Message) http.Handler {
	candidate := orders(240)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		received <- &shadow.Message{Method: r.Method, URL: r.URL, Header: r.Header, Body: body}
		r.Body = io.NopCloser(bytes.NewReader(body))
		candidate.ServeHTTP(w, r)
	})
}

// orders answers what an order costs.
func orders(cents int) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /customers/{email}/orders", func(w http.ResponseWriter, r *http.Request) {
		var order struct{ Items int }
		if err := json.NewDecoder(r.Body).Decode(&order); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"items":%d,"cents":%d}`, order.Items, order.Items*cents)
	})
	return mux
}
