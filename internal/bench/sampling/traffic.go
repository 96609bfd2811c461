package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"

	"github.com/goshadow/shadow"
)

// service is one with many routes, of which the rarest ones have regressed.
type service struct {
	routes  []*http.Request
	below   []float64 // the share of requests that go to this route or one before
	broken  int       // how many routes regressed: the last ones
	differs float64   // the share of answers of a broken route that differ
}

// newService returns a service whose n routes have traffic by Zipf's law: the k-th of them
// has a share that goes with 1/k^skew.
func newService(n int, skew float64, broken int, differs float64) *service {
	s := &service{broken: broken, differs: differs}
	sum := 0.0
	for k := range n {
		s.routes = append(s.routes, &http.Request{Method: http.MethodGet, URL: &url.URL{Path: fmt.Sprintf("/route-%c%c/7", 'a'+k/26, 'a'+k%26)}})
		sum += math.Pow(float64(k+1), -skew)
		s.below = append(s.below, sum)
	}
	for k := range s.below {
		s.below[k] /= sum
	}
	return s
}

// brokenTraffic is the share of requests that go to broken routes.
func (s *service) brokenTraffic() float64 {
	if s.broken == len(s.routes) {
		return 1
	}
	return 1 - s.below[len(s.below)-1-s.broken]
}

// pick draws the route of a request.
func (s *service) pick(random *rand.Rand) int {
	u := random.Float64()
	k := 0
	for k < len(s.below)-1 && u >= s.below[k] { // most requests go to the first few
		k++
	}
	return k
}

// hunt is how one run went.
type hunt struct {
	requests float64 // until a difference was reported on each broken route
	copies   float64 // until then
}

// search lets sampler look for the broken routes among at most so many requests.
func (s *service) search(sampler shadow.Sampler, random *rand.Rand, most int) (hunt, error) {
	reporter, learns := sampler.(shadow.Reporter)
	found := map[int]bool{}
	var h hunt
	for h.requests = 1; h.requests <= float64(most); h.requests++ {
		k := s.pick(random)
		differs := k >= len(s.routes)-s.broken && random.Float64() < s.differs
		d := sampler.Sample(s.routes[k])
		if !d.Sampled {
			continue
		}
		h.copies++
		result := &shadow.Result{Outcome: shadow.Match, Probability: d.Probability, Stratum: d.Stratum}
		result.Primary = &shadow.Message{StatusCode: http.StatusOK}
		if differs {
			result.Outcome = shadow.Mismatch
			found[k] = true
		}
		if learns {
			if err := reporter.Report(context.Background(), result); err != nil {
				return h, err
			}
		}
		if len(found) == s.broken {
			return h, nil
		}
	}
	return h, fmt.Errorf("%d of %d broken routes found among %d requests", len(found), s.broken, most)
}
