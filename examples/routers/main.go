// Routers puts a mirror together with chi, gin and echo, in the two ways there are:
//
//   - around the router as a whole. It takes one line, is the same for every router and
//     copies all that arrives, the router's own 404 included.
//   - inside the router's middleware chain. Then the mirror stands behind what the router
//     has done by then (authentication, say), may be put on a group of routes, and knows
//     the router's own pattern of the route. Put it first in the chain, so that it sees
//     what the other middlewares make of an answer.
//
// The candidate is in each case a router of the same kind in the same process. The
// files chi.go, gin.go and echo.go are what you need for the second way.
//
//	cd examples/routers && go run .
package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/gin-gonic/gin"

	"github.com/goshadow/shadow"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	gin.SetMode(gin.ReleaseMode) // or it prints what it routes
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "routers:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument %q", args[0])
	}
	for _, s := range setups {
		line, err := s.try(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Fprintln(stdout, line)
	}
	return nil
}

// setup is a router with a mirror.
type setup struct {
	name      string
	candidate func() http.Handler
	primary   func(*shadow.Mirror) http.Handler
	options   []shadow.Option
}

var setups = []setup{
	{
		name:      "chi as a whole",
		candidate: func() http.Handler { return newChi(v2) },
		primary:   func(m *shadow.Mirror) http.Handler { return m.Handler(newChi(v1)) },
	},
	{
		name:      "chi inside its chain",
		candidate: func() http.Handler { return newChi(v2) },
		primary:   func(m *shadow.Mirror) http.Handler { return newChi(v1, m.Handler) },
		options:   []shadow.Option{shadow.WithRoute(chiRoute)},
	},
	{
		name:      "gin as a whole",
		candidate: func() http.Handler { return newGin(v2) },
		primary:   func(m *shadow.Mirror) http.Handler { return m.Handler(newGin(v1)) },
	},
	{
		name:      "gin inside its chain",
		candidate: func() http.Handler { return newGin(v2) },
		primary:   func(m *shadow.Mirror) http.Handler { return newGin(v1, ginMiddleware(m)) },
	},
	{
		name:      "echo as a whole",
		candidate: func() http.Handler { return newEcho(v2) },
		primary:   func(m *shadow.Mirror) http.Handler { return m.Handler(newEcho(v1)) },
	},
	{
		name:      "echo inside its chain",
		candidate: func() http.Handler { return newEcho(v2) },
		primary:   func(m *shadow.Mirror) http.Handler { return newEcho(v1, echoMiddleware(m)) },
	},
}

// start returns the primary with its mirror.
func (s *setup) start(opts ...shadow.Option) (http.Handler, *shadow.Mirror, error) {
	target := shadow.InProcess("v2", s.candidate())
	target.Isolated = true // a POST changes nothing here
	opts = append(opts, shadow.WithMethods("GET", "POST"))
	mirror, err := shadow.New(target, append(opts, s.options...)...)
	if err != nil {
		return nil, nil, err
	}
	return s.primary(mirror), mirror, nil
}

// try sends some requests to a service and tells in a line how its candidate did.
func (s *setup) try(ctx context.Context) (string, error) {
	found := &findings{}
	primary, mirror, err := s.start(shadow.WithReporter(found))
	if err != nil {
		return "", err
	}
	defer mirror.Close()
	service := httptest.NewServer(primary)
	defer service.Close()

	for id := range 40 { // there is no user 0
		if err := send(ctx, service, "GET", fmt.Sprintf("/users/%d", id), ""); err != nil {
			return "", err
		}
	}
	for range 5 {
		if err := send(ctx, service, "POST", "/users", `{"name":"Ada"}`); err != nil {
			return "", err
		}
		if err := send(ctx, service, "GET", "/nowhere", ""); err != nil {
			return "", err
		}
	}
	if err := mirror.Shutdown(ctx); err != nil {
		return "", err
	}
	got := mirror.Stats()
	return fmt.Sprintf("%-22s %d requests, %d alike, %d different: %s",
		s.name, got.Requests, got.Match, got.Mismatch, found), nil
}

func send(ctx context.Context, service *httptest.Server, method, path, body string) error {
	r, err := http.NewRequestWithContext(ctx, method, service.URL+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := service.Client().Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// findings are the places where answers differ.
type findings struct {
	mu     sync.Mutex
	places []string
}

// Report is called by several goroutines at a time.
func (f *findings) Report(_ context.Context, r *shadow.Result) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, d := range r.Diffs {
		if place := r.Route + " " + d.Path; !slices.Contains(f.places, place) {
			f.places = append(f.places, place)
		}
	}
	return nil
}

func (f *findings) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	slices.SortFunc(f.places, cmp.Compare)
	return strings.Join(f.places, ", ")
}

// version is the service behind the routers. The second says of every tenth user that
// "active" is "true", and not true.
type version int

const (
	v1 version = 1
	v2 version = 2
)

func (v version) user(id string) (user map[string]any, ok bool) {
	n, err := strconv.Atoi(id)
	if err != nil || n <= 0 {
		return nil, false
	}
	user = map[string]any{"id": n, "active": true}
	if v == v2 && n%10 == 0 {
		user["active"] = "true"
	}
	return user, true
}

func (v version) create(name string) map[string]any { return map[string]any{"id": 41, "name": name} }
