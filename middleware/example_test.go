package middleware_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/middleware"
)

// A candidate that is sent copies by a mirror in the next pod.
func Example() {
	orders := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s served, shadow: %t", r.Method, shadow.IsShadow(r.Context()))
	})
	peers := middleware.FromNetworks(netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"))
	service := httptest.NewServer(middleware.Detect(peers)(middleware.ReadOnly(orders)))
	defer service.Close()

	for _, method := range []string{"GET", "POST"} {
		for _, marked := range []bool{false, true} {
			r, err := http.NewRequest(method, service.URL+"/orders", nil)
			if err != nil {
				panic(err)
			}
			if marked { // as a shadow.Mirror does
				r.Header.Set("Shadow-Request", "4bf92f35")
			}
			resp, err := service.Client().Do(r)
			if err != nil {
				panic(err)
			}
			text, err := io.ReadAll(resp.Body)
			if err != nil {
				panic(err)
			}
			resp.Body.Close()
			fmt.Println(resp.StatusCode, strings.ReplaceAll(string(text), `,"`, ",\n     \""))
		}
	}
	// Output:
	// 200 GET served, shadow: false
	// 200 GET served, shadow: true
	// 200 POST served, shadow: false
	// 403 {"type":"https://pkg.go.dev/github.com/goshadow/shadow/middleware#ReadOnly",
	//      "title":"A shadow copy may not write",
	//      "status":403,
	//      "detail":"This request is a shadow copy, and POST is not a safe method (RFC 9110 section 9.2.1): it was not executed. To let copies write here, serve this route outside middleware.ReadOnly."}
}

// Peers can also be known by what they prove, such as a client certificate.
func ExampleDetect() {
	trusted := func(r *http.Request) bool {
		return r.TLS != nil && len(r.TLS.VerifiedChains) > 0 &&
			r.TLS.VerifiedChains[0][0].Subject.CommonName == "mirror.orders.internal"
	}
	app := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		fmt.Printf("shadow: %t, marks: %q\n", shadow.IsShadow(r.Context()), r.Header["Shadow-Request"])
	})

	stranger := httptest.NewRequest("GET", "/", nil)
	stranger.Header.Set("Shadow-Request", "4bf92f35")
	middleware.Detect(trusted)(app).ServeHTTP(httptest.NewRecorder(), stranger)
	// Output: shadow: false, marks: []
}

func ExampleFromNetworks() {
	peers := middleware.FromNetworks(netip.MustParsePrefix("10.20.0.0/16"), netip.MustParsePrefix("fd00:20::/32"))

	for _, addr := range []string{"10.20.7.1:40312", "[fd00:20::7]:40312", "203.0.113.9:40312"} {
		fmt.Println(addr, peers(&http.Request{RemoteAddr: addr}))
	}
	// Output:
	// 10.20.7.1:40312 true
	// [fd00:20::7]:40312 true
	// 203.0.113.9:40312 false
}

// A service whose own name ends in "-shadow" is asked by that name by everybody: here
// a peer's copies are told by their header only.
func ExampleDetect_host() {
	peers := middleware.FromNetworks(netip.MustParsePrefix("10.20.0.0/16"))
	trusted := func(r *http.Request) bool { return peers(r) && r.Header.Get("Shadow-Request") != "" }
	app := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		fmt.Println(r.Host, "shadow:", shadow.IsShadow(r.Context()))
	})

	r := httptest.NewRequest("GET", "http://orders-shadow/", nil)
	r.RemoteAddr = "10.20.7.1:40312"
	middleware.Detect(trusted)(app).ServeHTTP(httptest.NewRecorder(), r)
	r.Header.Set("Shadow-Request", "4bf92f35")
	middleware.Detect(trusted)(app).ServeHTTP(httptest.NewRecorder(), r)
	// Output:
	// orders-shadow shadow: false
	// orders-shadow shadow: true
}
