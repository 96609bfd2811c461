// Reverseproxy shadows a service without touching it: a proxy in front of the primary
// that sends a copy of what passes to a candidate, logs where the answers differ, and
// on Ctrl-C prints what became of every request.
//
//	go run ./examples/reverseproxy -primary http://orders:8080 -shadow http://orders-v2:8080 -listen :9000
//	go run ./examples/reverseproxy    # a demonstration, with two small services on loopback
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/goshadow/shadow"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "reverseproxy:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("reverseproxy", flag.ContinueOnError)
	flags.SetOutput(stdout)
	primary := flags.String("primary", "", "`URL` of the service that answers")
	candidate := flags.String("shadow", "", "`URL` of the service that gets the copies")
	listen := flags.String("listen", "localhost:9000", "`address` to serve on")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	case flags.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case *primary == "" && *candidate == "":
		return demonstrate(ctx, stdout)
	case *primary == "" || *candidate == "":
		return errors.New("-primary and -shadow go together")
	}
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	return serve(ctx, l, *primary, *candidate, stdout)
}

// serve is the program: it proxies what comes in at l to primary, and copies of it to
// candidate, until ctx ends.
func serve(ctx context.Context, l net.Listener, primary, candidate string, stdout io.Writer) error {
	defer l.Close()
	base, err := url.Parse(primary)
	if err != nil {
		return fmt.Errorf("-primary: %w", err)
	}
	if base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return fmt.Errorf("-primary: %q is not an http or https URL", primary)
	}
	connections := http.DefaultTransport.(*http.Transport).Clone()
	connections.DisableCompression = true // what the primary encoded is for the client to decode
	defer connections.CloseIdleConnections()
	proxy := &httputil.ReverseProxy{
		Transport: connections,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(base)
			r.SetXForwarded()
		},
	}

	// All that the mirror needs to know. The copies lose their credentials on the way,
	// because the target is Remote.
	mirror, err := shadow.New(shadow.Remote("candidate", candidate),
		shadow.WithReporter(shadow.LogReporter(slog.New(slog.NewTextHandler(stdout, nil)))))
	if err != nil {
		return err
	}
	server := &http.Server{Handler: mirror.Handler(proxy), ReadHeaderTimeout: 10 * time.Second}
	fmt.Fprintf(stdout, "listening on http://%s\n", l.Addr()) // l does, and nobody else writes yet
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()

	select {
	case err = <-served: // it could not go on
	case <-ctx.Done():
	}

	// First the clients get their answers, then the mirror gets its own.
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer cancel()
	err = errors.Join(err, server.Shutdown(grace), mirror.Shutdown(grace))
	printLedger(stdout, mirror.Stats())
	return err
}

// printLedger says what became of the requests. The lines below the first add up to it.
func printLedger(out io.Writer, s shadow.Stats) {
	fmt.Fprintf(out, "%4d requests\n", s.Requests)
	fmt.Fprintf(out, "%4d answered alike\n", s.Match)
	fmt.Fprintf(out, "%4d answered differently\n", s.Mismatch)
	fmt.Fprintf(out, "%4d not answered by the shadow\n", s.Failed)
	fmt.Fprintf(out, "%4d not compared\n", s.Uncompared)
	for _, reason := range slices.Sorted(maps.Keys(s.Skipped)) {
		fmt.Fprintf(out, "%4d not copied: %s\n", s.Skipped[reason], reason)
	}
	for _, reason := range slices.Sorted(maps.Keys(s.Dropped)) {
		fmt.Fprintf(out, "%4d dropped: %s\n", s.Dropped[reason], reason)
	}
}

// demonstrate runs the program between two services of its own, sends it some requests
// and ends it.
func demonstrate(ctx context.Context, stdout io.Writer) error {
	v1, v2 := httptest.NewServer(prices(1)), httptest.NewServer(prices(2))
	defer v1.Close()
	defer v2.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, l, v1.URL, v2.URL, stdout) }()

	err = play(ctx, "http://"+l.Addr().String())
	stop()
	return errors.Join(err, <-ended)
}

// prices is a service in two versions. The second has lost a currency and forgets the
// cents of round prices.
func prices(version int) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /prices/{sku}", func(w http.ResponseWriter, r *http.Request) {
		price := `"19.99"`
		if r.PathValue("sku") == "B-200" {
			price = map[int]string{1: `"20.00"`, 2: `"20"`}[version]
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"sku":%q,"price":%s}`, r.PathValue("sku"), price)
	})
	mux.HandleFunc("GET /currencies", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, map[int]string{1: `["CHF","EUR","USD"]`, 2: `["CHF","EUR"]`}[version])
	})
	mux.HandleFunc("POST /prices", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusCreated)
	})
	return mux
}

// play is the traffic of the demonstration.
func play(ctx context.Context, url string) error {
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for _, line := range []struct {
		times        int
		method, path string
	}{
		{20, "GET", "/prices/A-100"},
		{10, "GET", "/prices/B-200"},
		{5, "GET", "/currencies"},
		{3, "GET", "/unknown"},
		{2, "POST", "/prices"}, // writes: not copied
	} {
		for range line.times {
			r, err := http.NewRequestWithContext(ctx, line.method, url+line.path, nil)
			if err != nil {
				return err
			}
			resp, err := client.Do(r)
			if err != nil {
				return err
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				return err
			}
			resp.Body.Close()
		}
	}
	return nil
}
