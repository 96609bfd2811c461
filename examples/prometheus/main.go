// Prometheus is a fleet: three replicas of a service behind one load balancer, each with a
// mirror to the same candidate, a tally and metrics of its own. One gate decides over all of
// them, in two ways that agree: from the tallies, which are fetched and merged, and from
// Prometheus, which scrapes the metrics and evaluates the rules of this directory.
//
//	go run .                                                # without a Prometheus
//	go run . -prometheus prometheus                         # with the one in $PATH
//	go run . -prometheus prometheus -candidate discounts    # a candidate with a bug
//	go run . -prometheus prometheus -stay                   # goes on, to look around
//
// In rules there are recording and alerting rules, in dashboards three of Grafana, and in
// alertmanager.yml the routes for the alerts; docs/runbook.md says what to do about each.
// What the candidate has to show is in criteria.json, with limits for the few requests of a
// laptop. Those of rules/limits.yml are for a service.
package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/goshadow/shadow/report/gate"
)

//go:embed criteria.json
var criteriaFile []byte

// broken is the exit code of a program that could not decide.
const broken = 3

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	code, err := run(ctx, os.Args[1:], os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "prometheus:", err)
	}
	os.Exit(code)
}

// settings are the arguments of the program.
type settings struct {
	price      pricing
	requests   int
	prometheus string // the program; empty: none
	stay       bool
}

func parse(args []string) (s settings, err error) {
	flags := flag.NewFlagSet("prometheus", flag.ContinueOnError)
	name := flags.String("candidate", "rewrite", "`which`: rewrite, which is good, or discounts, which is not")
	flags.IntVar(&s.requests, "requests", 1500, "how many requests are sent")
	flags.StringVar(&s.prometheus, "prometheus", "", "the `program` that scrapes the fleet; none by default")
	flags.BoolVar(&s.stay, "stay", false, "go on after the verdict, until interrupted")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if flags.NArg() > 0 {
		return s, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	price, ok := map[string]pricing{"rewrite": byThePiece, "discounts": withDiscounts}[*name]
	if !ok {
		return s, fmt.Errorf("no candidate is called %q", *name)
	}
	s.price = price
	return s, nil
}

// run returns the exit code.
func run(ctx context.Context, args []string, stdout io.Writer) (code int, err error) {
	s, err := parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0, nil
	case err != nil:
		return broken, err
	}
	criteria, err := readCriteria()
	if err != nil {
		return broken, err
	}
	f, err := newFleet(s.price)
	if err != nil {
		return broken, err
	}
	defer f.close()
	var p *prometheus
	if s.prometheus != "" {
		if p, err = startPrometheus(ctx, s.prometheus, time.Second, f, criteria); err != nil {
			return broken, err
		}
		defer p.close()
		fmt.Fprintln(stdout, "Prometheus is at", p.url)
	}
	decision, err := f.decide(ctx, criteria, s.requests, p)
	if err != nil {
		return broken, err
	}
	fmt.Fprint(stdout, decision)
	if p != nil {
		verdict, err := p.verdict(ctx)
		if err != nil {
			return broken, err
		}
		fmt.Fprintf(stdout, "Prometheus says %s\n", verdict)
	}
	if s.stay {
		fmt.Fprintln(stdout, "The service is at", f.balancer.URL)
		<-ctx.Done()
	}
	return decision.Verdict.ExitCode(), nil
}

func readCriteria() (c gate.Criteria, err error) {
	err = json.Unmarshal(criteriaFile, &c)
	return c, err
}

// decide sends so many requests and asks the gate over the fleet. Where there is a p, it waits
// until that has seen them too.
func (f *fleet) decide(ctx context.Context, c gate.Criteria, requests int, p *prometheus) (gate.Decision, error) {
	g, err := gate.New(c, f.snapshot, gate.Options{})
	if err != nil {
		return gate.Decision{}, err
	}
	if p != nil { // what happens before the first scrape is no increase
		if err := p.until(ctx, fmt.Sprintf("count(shadow_up_ratio) == %d", len(f.replicas))); err != nil {
			return gate.Decision{}, err
		}
	}
	if err := f.use(ctx, requests); err != nil {
		return gate.Decision{}, err
	}
	if err := f.settle(ctx); err != nil {
		return gate.Decision{}, err
	}
	if p != nil {
		if err := p.until(ctx, fmt.Sprintf("sum(shadow_requests_total) == %d", requests)); err != nil {
			return gate.Decision{}, err
		}
		if err := p.evaluate(ctx); err != nil {
			return gate.Decision{}, err
		}
	}
	return g.Decide(ctx), nil
}
