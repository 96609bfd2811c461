package shadow_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"

	"github.com/goshadow/shadow"
)

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
