package shadow_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"time"

	"github.com/goshadow/shadow"
)

// A budget of one copy in a hundred requests, and of no more than 50 a second, goes to the
// routes that are rare, new, or have differed lately. Results weighted with the inverse of
// their probability tell how much of all traffic differs.
func ExampleAdaptive() {
	adaptive := shadow.Adaptive(shadow.AdaptiveOptions{Share: 0.01, PerSecond: 50})
	differ := make(chan float64, 100)
	mirror, err := shadow.New(shadow.InProcess("v2", replying(`{"total": 10}`)),
		shadow.WithSampler(adaptive),
		shadow.WithReporter(shadow.ReporterFunc(func(_ context.Context, r *shadow.Result) error {
			if r.Outcome == shadow.Mismatch {
				differ <- 1 / r.Probability
			}
			return nil
		})))
	if err != nil {
		panic(err)
	}
	serve(mirror.Handler(replying(`{"total": 9}`)), "/orders/7")
	mirror.Shutdown(context.Background())

	close(differ)
	sum := 0.0
	for requests := range differ {
		sum += requests
	}
	for route, rate := range adaptive.Rates() {
		fmt.Printf("%s: the next request is copied with probability %.2f\n", route, rate)
	}
	fmt.Println("requests that differ:", sum)

	// Output:
	// GET /orders/{}: the next request is copied with probability 0.02
	// requests that differ: 1
}

// Ten seconds in ten minutes everything is copied. That tells whether what the sampler
// finds the rest of the time is what there is to be found.
func ExampleWindowed() {
	windowed := shadow.Windowed(shadow.Rate(0.01), 10*time.Minute, 10*time.Second)
	mirror, err := shadow.New(shadow.InProcess("v2", replying(`{}`)), shadow.WithSampler(windowed))
	if err != nil {
		panic(err)
	}
	defer mirror.Close()
	bias := windowed.Bias() // ask again tomorrow
	fmt.Printf("%+.2f points, from %+.2f to %+.2f\n", 100*bias.Bias, 100*bias.Low, 100*bias.High)
	fmt.Println("biased:", bias.Low > 0 || bias.High < 0)

	// Output:
	// +0.00 points, from -100.00 to +100.00
	// biased: false
}

// A header that only a gateway may set, told by its address, picks requests.
func ExampleWhen() {
	gateways := netip.MustParsePrefix("10.0.0.0/24")
	picked := shadow.When(func(r *http.Request) bool {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		return err == nil && gateways.Contains(peer.Addr()) && r.Header.Get("X-Canary-Check") == "1"
	})
	sampler := shadow.Any(picked, shadow.Rate(0))

	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-Canary-Check", "1")
	r.RemoteAddr = "10.0.0.9:1234"
	fmt.Println("from the gateway:", sampler.Sample(r).Sampled)
	r.RemoteAddr = "192.0.2.7:1234"
	fmt.Println("from a client:", sampler.Sample(r).Sampled)

	// Output:
	// from the gateway: true
	// from a client: false
}

// Who has the key gets a request copied whatever the rate is, but not more than one a
// second.
func ExampleForce() {
	key := []byte("32 random bytes from a vault ...")
	sampler := shadow.Any(
		shadow.All(shadow.Force(key), shadow.PerSecond(1, 1)),
		shadow.Rate(0))

	r := httptest.NewRequest("GET", "/orders/7", nil)
	r.Header.Set("Shadow-Force", shadow.ForceToken(key, time.Now().Add(time.Minute)))
	fmt.Println(sampler.Sample(r).Sampled, sampler.Sample(r).Sampled)
	r.Header.Set("Shadow-Force", "true")
	fmt.Println(sampler.Sample(r).Sampled)

	// Output:
	// true false
	// false
}

// Rates that an operator changes while the service runs.
func ExampleRouteRates() {
	var rates shadow.RouteRates
	rates.Set("/", 0.01)
	rates.Set("GET /orders/{id}", 0.1)
	mirror, err := shadow.New(shadow.InProcess("v2", replying(`{}`)), shadow.WithSampler(&rates))
	if err != nil {
		panic(err)
	}
	defer mirror.Close()

	fmt.Println(rates.Set("GET /orders/{id}", 1), rates.Get("GET /orders/{id}"))
	fmt.Println(rates.Set("GET /orders/{", 1))

	// Output:
	// <nil> 1
	// shadow: RouteRates: parsing "GET /orders/{": at offset 12: bad wildcard segment (must end with '}')
}
