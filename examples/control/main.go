// Control tells real differences from noise. A service that puts the time, a random ID
// or its own host name into its answers never answers twice alike, so that a candidate
// seems to differ everywhere. Asked a second time, as control, the primary shows where
// it does not agree with itself; what is left is what the candidate does differently.
//
//	go run ./examples/control
package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"slices"
	"sync"
	"time"

	"github.com/goshadow/shadow"
)

// newMirror is the wiring. The control is the primary itself, in the same process.
func newMirror(v1, v2 http.Handler, reporter shadow.Reporter) (*shadow.Mirror, error) {
	return shadow.New(shadow.InProcess("v2", v2),
		shadow.WithControl(shadow.InProcess("control", v1)),
		shadow.WithLoadShedding(shadow.LoadSheddingOptions{Off: true}), // here every copy counts, however busy the machine is
		shadow.WithReporter(reporter))
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "control:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument %q", args[0])
	}
	found := &findings{noise: map[string]int{}, real: map[string]int{}, example: map[string]shadow.Diff{}}
	v1, v2 := newV1(), newV2()
	mirror, err := newMirror(v1, v2, found)
	if err != nil {
		return err
	}
	defer mirror.Close()
	service := httptest.NewServer(mirror.Handler(v1))
	defer service.Close()

	for i := range 100 {
		if err := order(ctx, service, 1+i%10); err != nil {
			return err
		}
	}
	if err := mirror.Shutdown(ctx); err != nil {
		return err
	}
	found.print(stdout)
	printLedger(stdout, mirror.Stats())
	return nil
}

// order asks the service what n pieces cost.
func order(ctx context.Context, service *httptest.Server, n int) error {
	r, err := http.NewRequestWithContext(ctx, "GET", fmt.Sprintf("%s/quotes?pieces=%d", service.URL, n), nil)
	if err != nil {
		return err
	}
	resp, err := service.Client().Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// findings counts differences by their place, and keeps one of each kind.
type findings struct {
	mu          sync.Mutex
	noise, real map[string]int // by Diff.Path
	example     map[string]shadow.Diff
}

// Report is called by several goroutines at a time.
func (f *findings) Report(_ context.Context, r *shadow.Result) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, d := range r.Noise {
		f.noise[d.Path]++
	}
	for _, d := range r.Diffs {
		f.real[d.Path]++
		f.example[d.Path] = d
	}
	return nil
}

func (f *findings) print(out io.Writer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	total := 0
	for _, n := range f.noise {
		total += n
	}
	fmt.Fprintf(out, "%d differences were noise: v1 differs from itself there too\n", total)
	for _, path := range slices.Sorted(maps.Keys(f.noise)) {
		fmt.Fprintf(out, "  %3d  %s\n", f.noise[path], path)
	}
	total = 0
	for _, n := range f.real {
		total += n
	}
	fmt.Fprintf(out, "%d differences are real\n", total)
	for _, path := range slices.Sorted(maps.Keys(f.real)) {
		d := f.example[path]
		fmt.Fprintf(out, "  %3d  %s, such as %s instead of %s\n", f.real[path], path, d.Shadow, d.Primary)
	}
}

// printLedger says what became of the requests.
func printLedger(out io.Writer, s shadow.Stats) {
	fmt.Fprintf(out, "%d requests: %d alike but for noise, %d different, %d failed, %d not compared",
		s.Requests, s.Match, s.Mismatch, s.Failed, s.Uncompared)
	for _, counts := range []map[shadow.Reason]uint64{s.Skipped, s.Dropped} {
		for _, reason := range slices.Sorted(maps.Keys(counts)) {
			fmt.Fprintf(out, ", %d not copied (%s)", counts[reason], reason)
		}
	}
	fmt.Fprintln(out)
}

// newV1 quotes prices. No two of its answers are alike.
func newV1() http.Handler { return quotes(func(pieces, cents int) int { return pieces * cents }) }

// newV2 gives one piece in ten for nothing, which v1 does not.
func newV2() http.Handler {
	return quotes(func(pieces, cents int) int { return (pieces - pieces/10) * cents })
}

func quotes(total func(pieces, cents int) int) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /quotes", func(w http.ResponseWriter, r *http.Request) {
		var pieces int
		if _, err := fmt.Sscan(r.URL.Query().Get("pieces"), &pieces); err != nil {
			http.Error(w, "pieces: not a number", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"id":%q,"at":%q,"pieces":%d,"cents":%d}`,
			rand.Text(), time.Now().Format(time.RFC3339Nano), pieces, total(pieces, 250))
	})
	return mux
}
