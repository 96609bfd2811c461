package sampling_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/sampling"
)

// replying answers with a JSON body.
func replying(body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, body)
	})
}

// A budget of one copy in a hundred requests, and of no more than 50 a second, goes to the
// routes that are rare, new, or have differed lately. Results weighted with the inverse of
// their probability say how much of all traffic differs.
func ExampleNewAdaptive() {
	adaptive, err := sampling.NewAdaptive(sampling.AdaptiveOptions{Share: 0.01, PerSecond: 50})
	if err != nil {
		panic(err)
	}
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
	mirror.Handler(replying(`{"total": 9}`)).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/orders/7", nil))
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

// Ten seconds in ten minutes everything is copied. That shows whether what the sampler
// finds the rest of the time is what there is to be found.
func ExampleNewWindowed() {
	windowed, err := sampling.NewWindowed(shadow.Rate(0.01), 10*time.Minute, 10*time.Second)
	if err != nil {
		panic(err)
	}
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

// Who has the key gets a request copied whatever the rate is, but not more than one a
// second.
func ExampleNewForce() {
	key := []byte("32 random bytes from a vault ...")
	force, err := sampling.NewForce(key)
	if err != nil {
		panic(err)
	}
	sampler := shadow.Any(
		shadow.All(force, shadow.PerSecond(1, 1)),
		shadow.Rate(0))

	r := httptest.NewRequest("GET", "/orders/7", nil)
	r.Header.Set("Shadow-Force", sampling.ForceToken(key, time.Now().Add(time.Minute)))
	fmt.Println(sampler.Sample(r).Sampled, sampler.Sample(r).Sampled)
	r.Header.Set("Shadow-Force", "true")
	fmt.Println(sampler.Sample(r).Sampled)

	// Output:
	// true false
	// false
}
