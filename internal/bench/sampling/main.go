// The command sampling measures how many requests it takes until the sampled copies have
// shown every route that regressed, for samplers that spend the same budget, and prints a
// table in Markdown.
//
//	go run ./sampling
//	go run ./sampling -routes 200 -broken 5 -differs 1
package main

import (
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/internal/bench/measure"
	"github.com/goshadow/shadow/sampling"
)

func main() {
	var o options
	flag.IntVar(&o.routes, "routes", 50, "routes of the service, at most 676")
	flag.IntVar(&o.broken, "broken", 2, "how many of them regressed: the rarest ones")
	flag.Float64Var(&o.skew, "skew", 2, "traffic of the k-th route goes with 1/k^skew")
	flag.Float64Var(&o.differs, "differs", 0.5, "share of the answers of such a route that differ")
	flag.Float64Var(&o.budget, "budget", 0.01, "share of requests that may be copied")
	flag.IntVar(&o.seeds, "seeds", 101, "runs, each with traffic of its own")
	flag.Parse()
	if err := run(os.Stdout, o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type options struct {
	routes, broken, seeds int
	skew, differs, budget float64
}

// most is after how many requests a search has failed.
const most = 1_000_000_000

func run(w io.Writer, o options) error {
	if o.routes < 2 || o.routes > 26*26 || o.broken < 1 || o.broken > o.routes || o.seeds < 1 {
		return fmt.Errorf("give 2 to %d routes, of which 1 or more are broken, and 1 seed or more", 26*26)
	}
	designs := []struct {
		name    string
		sampler func(seed uint64) (shadow.Sampler, error)
	}{
		{fmt.Sprintf("Rate(%v)", o.budget), func(uint64) (shadow.Sampler, error) { return shadow.Rate(o.budget), nil }},
		{"Adaptive", func(seed uint64) (shadow.Sampler, error) {
			return sampling.NewAdaptive(sampling.AdaptiveOptions{Share: o.budget, Random: rand.NewPCG(seed, 2).Uint64})
		}},
	}
	s := newService(o.routes, o.skew, o.broken, o.differs)
	table := measure.Table{
		Title: fmt.Sprintf("Requests until a difference was seen on each of the %d rarest of %d routes (%.3g %% of the traffic, %v of whose answers differ)",
			o.broken, o.routes, 100*s.brokenTraffic(), o.differs),
		Columns: []string{"sampler", "median", "worst of " + fmt.Sprint(o.seeds), "copies, median", "share copied"},
	}
	for _, design := range designs {
		var hunts []hunt
		for seed := range uint64(o.seeds) {
			sampler, err := design.sampler(seed)
			if err != nil {
				return err
			}
			h, err := s.search(sampler, rand.New(rand.NewPCG(seed, 1)), most)
			if err != nil {
				return fmt.Errorf("%s, seed %d: %w", design.name, seed, err)
			}
			hunts = append(hunts, h)
		}
		worst := 0.0
		for _, h := range hunts {
			worst = max(worst, h.requests)
		}
		copies := measure.Median(hunts, func(h hunt) float64 { return h.copies })
		requests := measure.Median(hunts, func(h hunt) float64 { return h.requests })
		table.Add(design.name, requests, worst, copies, fmt.Sprintf("%.2f %%", 100*copies/requests))
	}
	return table.Fprint(w)
}
