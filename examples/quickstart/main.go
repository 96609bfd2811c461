// Quickstart rehearses a release. A JSON service about airports runs as v1, its
// rewrite as v2, both over HTTP on the loopback interface. A recorded access log
// is played to v1, a mirror around v1 copies the requests to v2, and a table says
// where the answers differ. Nothing leaves the machine.
//
//	go run ./examples/quickstart
//	go run ./examples/quickstart -listen :8080   # and try it with curl afterwards
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/goshadow/shadow"
)

// newMirror is the wiring: what your own service needs to be shadowed is these
// lines, and mirror.Handler around the handler that it has.
func newMirror(candidateURL string, reporter shadow.Reporter) (*shadow.Mirror, error) {
	return shadow.New(shadow.Remote("v2", candidateURL),
		shadow.WithReporter(reporter),
		shadow.WithLoadShedding(shadow.LoadSheddingOptions{Off: true}), // here every copy counts, however busy the machine is
		shadow.WithMasker(shadow.MaskQuery("key")),                     // the callers' API keys go neither to v2 nor into a report
		shadow.WithCompare(shadow.CompareOptions{
			Ignore: []string{"$.generated_at"}, // a clock: it always differs, and that is right
		}),
	)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	listen := flags.String("listen", "", "stay up on this `address` afterwards, for curl")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}

	accessLog, err := data.ReadFile("data/access.log")
	if err != nil {
		return err
	}
	requests, err := parseAccessLog(bytes.NewReader(accessLog))
	if err != nil {
		return err
	}
	airports, err := openStore(data, 500*time.Microsecond)
	if err != nil {
		return err
	}
	var curl net.Listener
	if *listen != "" {
		if curl, err = net.Listen("tcp", *listen); err != nil { // better now than after the play
			return err
		}
		defer curl.Close()
	}

	screen := newScreen(stdout)
	result, err := rehearse(ctx, airports, requests, screen)
	if err != nil {
		return err
	}
	screen.show(result)
	if curl == nil {
		return nil
	}
	return stayUp(ctx, airports, curl, stdout)
}

// rehearsal is what is known after the log was played.
type rehearsal struct {
	stats    shadow.Stats
	findings *findings
	trips    []trip
}

// rehearse plays the requests to v1, with a mirror that copies them to v2.
func rehearse(ctx context.Context, airports *store, requests []entry, screen *screen) (*rehearsal, error) {
	v2, err := serveLoopback(newV2(airports))
	if err != nil {
		return nil, err
	}
	defer v2.stop()

	found := &findings{}
	mirror, err := newMirror(v2.url, found)
	if err != nil {
		return nil, err
	}
	defer mirror.Close()

	mirrored, err := serveLoopback(mirror.Handler(newV1(airports)))
	if err != nil {
		return nil, err
	}
	defer mirrored.stop()

	// The same service without the mirror tells what the mirror costs.
	alone, err := serveLoopback(newV1(airports))
	if err != nil {
		return nil, err
	}
	defer alone.stop()

	trips, err := play(ctx, requests, alone.url, mirrored.url, screen.progress(len(requests)))
	if err != nil {
		return nil, err
	}
	// The last copies are still on their way: Shutdown waits until all are reported.
	if err := mirror.Shutdown(ctx); err != nil {
		return nil, err
	}
	return &rehearsal{mirror.Stats(), found, trips}, nil
}

// stayUp serves v1 with the mirror on l until ctx ends, and says of every request
// what v2 made of it.
func stayUp(ctx context.Context, airports *store, l net.Listener, stdout io.Writer) error {
	v2, err := serveLoopback(newV2(airports))
	if err != nil {
		return err
	}
	defer v2.stop()

	out := log.New(stdout, "", 0)
	mirror, err := newMirror(v2.url, shadow.ReporterFunc(func(_ context.Context, r *shadow.Result) error {
		out.Print(describe(r))
		return nil
	}))
	if err != nil {
		return err
	}
	defer mirror.Close()
	front := serve(l, mirror.Handler(newV1(airports)))

	out.Printf("\nStill up. Ask v1, and read here what v2 made of the copy (Ctrl-C ends it):\n\n"+
		"  curl -i %[1]s/airports/LHR\n  curl -i %[1]s/airports/LHR/nearby\n", front.url)
	<-ctx.Done()

	front.stop() // first the callers, then the copies of what they asked
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return mirror.Shutdown(drain)
}

// A server runs until stop, which lets requests under way finish, 5 s at most.
type server struct {
	url  string
	stop func()
}

// serveLoopback serves h on a free port that only this machine can reach.
func serveLoopback(h http.Handler) (server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return server{}, err
	}
	return serve(l, h), nil
}

// serve serves h on l, which it closes in the end.
func serve(l net.Listener, h http.Handler) server {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = srv.Serve(l) // it always ends in an error: ErrServerClosed after stop
	}()

	host := "127.0.0.1"
	address := l.Addr().(*net.TCPAddr)
	if !address.IP.IsUnspecified() {
		host = address.IP.String()
	}
	return server{
		url: "http://" + net.JoinHostPort(host, fmt.Sprint(address.Port)),
		stop: func() {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			if srv.Shutdown(ctx) != nil {
				_ = srv.Close()
			}
			<-ended
		},
	}
}
