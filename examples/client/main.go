// Client rehearses the move from one vendor's API to another's. The program goes on
// calling the old vendor through an http.Client; a mirror in that client sends a copy
// of each call to the new vendor, with the new vendor's credentials in place of the old
// ones, and tells where the two answer differently.
//
//	go run ./examples/client
package main

import (
	"cmp"
	"context"
	"encoding/json"
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

const (
	oldKey   = "key-of-the-old-vendor"
	newToken = "token-of-the-new-vendor"
)

// newMirror is the wiring: the calls go to the new vendor as well.
func newMirror(newVendorURL string, reporter shadow.Reporter) (*shadow.Mirror, error) {
	target := shadow.Remote("new vendor", newVendorURL)

	// A Remote target drops credentials by itself; here the copies get others instead.
	// What your vendor reads in other places must go too: MaskQuery("api_key").
	target.Masker = shadow.MaskAll(
		shadow.DropCredentials(),
		shadow.SetHeader("Authorization", "Bearer "+newToken))

	return shadow.New(target,
		shadow.WithReporter(reporter),
		shadow.WithLoadShedding(shadow.LoadSheddingOptions{Off: true}), // here every copy counts, however busy the machine is
		shadow.WithCompare(shadow.CompareOptions{
			Ignore:     []string{"$.updated"}, // each vendor has its own clock
			Tolerances: map[string]shadow.Tolerance{"$.rate": {Rel: 0.001}},
		}))
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "client:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument %q", args[0])
	}
	oldVendor, newVendor := httptest.NewServer(newOldVendor()), httptest.NewServer(newNewVendor())
	defer oldVendor.Close()
	defer newVendor.Close()

	// The new vendor's API lives below a path of its own: the path of each call is
	// appended to it.
	found := &findings{}
	mirror, err := newMirror(newVendor.URL+"/api/v2", found)
	if err != nil {
		return err
	}
	defer mirror.Close()

	// This is all that changes in the program: the Transport of its client.
	client := &http.Client{Transport: mirror.Transport(&http.Transport{}), Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	if err := useVendor(ctx, client, oldVendor.URL, stdout); err != nil {
		return err
	}

	// The program is done, the mirror perhaps not yet.
	if err := mirror.Shutdown(ctx); err != nil {
		return err
	}
	found.print(stdout)
	printLedger(stdout, mirror.Stats())
	return nil
}

// useVendor is the program as it was: it knows of one vendor only.
func useVendor(ctx context.Context, client *http.Client, vendor string, stdout io.Writer) error {
	call := func(method, path string) (int, string, error) {
		r, err := http.NewRequestWithContext(ctx, method, vendor+path, nil)
		if err != nil {
			return 0, "", err
		}
		r.Header.Set("X-Api-Key", oldKey)
		resp, err := client.Do(r)
		if err != nil {
			return 0, "", err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body), err
	}
	fmt.Fprintln(stdout, "What the program gets, from the old vendor as ever:")
	for _, currency := range []string{"CHF", "GBP", "JPY", "SEK", "HRK"} {
		status, body, err := call("GET", "/rates/EUR/"+currency)
		if err != nil {
			return err
		}
		fmt.Fprintf(stdout, "  GET /rates/EUR/%s  %d %s\n", currency, status, body)
	}
	status, _, err := call("POST", "/transfers") // money: not copied, because POST is not a safe method
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "  POST /transfers  %d\n", status)
	return nil
}

// findings collects the answers of the new vendor that differ.
type findings struct {
	mu   sync.Mutex
	list []*shadow.Result
}

// Report is called by several goroutines at a time.
func (f *findings) Report(_ context.Context, r *shadow.Result) error {
	if r.Outcome == shadow.Match {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = append(f.list, r)
	return nil
}

func (f *findings) print(out io.Writer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	slices.SortFunc(f.list, func(a, b *shadow.Result) int {
		return cmp.Compare(a.Request.URL.Path, b.Request.URL.Path)
	})
	fmt.Fprintln(out, "\nWhere the new vendor differs:")
	for _, r := range f.list {
		if r.Err != nil {
			fmt.Fprintf(out, "  %s %s: %v\n", r.Request.Method, r.Request.URL.Path, r.Err)
		}
		for _, d := range r.Diffs {
			fmt.Fprintf(out, "  %s %s: %s is %s, was %s (%s)\n", r.Request.Method, r.Request.URL.Path,
				d.Path, value(d.Shadow), value(d.Primary), d.Kind)
		}
	}
}

func value(v json.RawMessage) string {
	if v == nil {
		return "absent"
	}
	return string(v)
}

// printLedger says what became of the calls.
func printLedger(out io.Writer, s shadow.Stats) {
	fmt.Fprintf(out, "\n%d calls: %d alike, %d different, %d failed, %d not compared",
		s.Requests, s.Match, s.Mismatch, s.Failed, s.Uncompared)
	for _, counts := range []map[shadow.Reason]uint64{s.Skipped, s.Dropped} {
		for _, reason := range slices.Sorted(maps.Keys(counts)) {
			fmt.Fprintf(out, ", %d not copied (%s)", counts[reason], reason)
		}
	}
	fmt.Fprintln(out)
}

// newOldVendor stands for the API that the program uses today.
func newOldVendor() http.Handler {
	rates := map[string]string{"CHF": "0.9362", "GBP": "0.8541", "JPY": "163.27", "SEK": "11.0925", "HRK": "7.5345"}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /rates/{base}/{currency}", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Api-Key") != oldKey {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"pair":"%s%s","rate":%s,"updated":"2026-03-02T08:00:00Z"}`,
			r.PathValue("base"), r.PathValue("currency"), rates[r.PathValue("currency")])
	})
	mux.HandleFunc("POST /transfers", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusAccepted)
	})
	return mux
}

// newNewVendor stands for the API that is to be used tomorrow. It refuses to see keys of
// its competitor, writes one pair with a slash, quotes the rate that it rounds, and knows
// that Croatia has the euro. Its other rates are its own too, but near enough.
func newNewVendor() http.Handler {
	rates := map[string]string{"CHF": "0.9363", "GBP": "0.8541", "JPY": `"163"`, "SEK": "11.0931"}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v2/rates/{base}/{currency}", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Api-Key") != "" || r.Header.Get("Authorization") != "Bearer "+newToken {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		currency := r.PathValue("currency")
		rate, ok := rates[currency]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			io.WriteString(w, `{"error":"no such currency"}`)
			return
		}
		separator := ""
		if currency == "GBP" {
			separator = "/"
		}
		fmt.Fprintf(w, `{"pair":"%s%s%s","rate":%s,"updated":"2026-03-02T08:00:03Z"}`,
			r.PathValue("base"), separator, currency, rate)
	})
	return mux
}
