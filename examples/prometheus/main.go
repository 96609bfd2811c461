// Prometheus is a fleet: three replicas of a service behind one load balancer, each with a
// mirror to the same candidate, a tally and metrics of its own. One gate decides over all of
// them, in two ways that agree: from the tallies, which are fetched and merged, and from
// Prometheus, which scrapes the metrics and evaluates the rules of this directory.
//
//	go run .            # the candidate is good: exit code 0
//	go run . discounts  # this one has a bug: 1
//	go run . -stay      # goes on after the verdict, to look around
//
// It starts the Prometheus that is in $PATH. Without one the tallies decide alone.
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
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/goshadow/shadow/report/gate"
)

//go:embed criteria.json
var criteriaFile []byte

// broken is the exit code of a program that could not decide.
const broken = 3

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	code, err := run(ctx, os.Args[1:], os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "prometheus:", err)
	}
	os.Exit(code)
}

// run returns the exit code.
func run(ctx context.Context, args []string, stdout io.Writer) (code int, err error) {
	flags := flag.NewFlagSet("prometheus", flag.ContinueOnError)
	flags.SetOutput(stdout)
	stay := flags.Bool("stay", false, "go on after the verdict, until interrupted")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0, nil
	case err != nil:
		return broken, err
	}
	candidate := flags.Args()
	if len(candidate) == 0 {
		candidate = []string{"rewrite"}
	}
	price, ok := map[string]pricing{"rewrite": byThePiece, "discounts": withDiscounts}[candidate[0]]
	if !ok || len(candidate) > 1 {
		return broken, fmt.Errorf("there are two candidates, rewrite and discounts, and not %q", candidate)
	}
	criteria, err := readCriteria()
	if err != nil {
		return broken, err
	}

	f, err := newFleet(newService(price))
	if err != nil {
		return broken, err
	}
	defer f.close()
	fmt.Fprintf(stdout, "%d replicas of a service are behind %s. Each mirrors to the candidate %q.\n",
		len(f.replicas), f.balancer.URL, candidate[0])
	p, err := f.watch(ctx, criteria, stdout)
	if err != nil {
		return broken, err
	}
	if p != nil {
		defer p.close()
	}
	const requests = 1500
	decision, err := f.decide(ctx, criteria, requests, p)
	if err != nil {
		return broken, err
	}
	fmt.Fprintf(stdout, "\nOf %d requests the replicas got", requests)
	for _, r := range f.replicas {
		fmt.Fprintf(stdout, " %d", r.mirror.Stats().Requests)
	}
	fmt.Fprintf(stdout, ".\nThe gate over their tallies, merged, says:\n\n%s", decision)
	if p != nil {
		fmt.Fprintln(stdout, "\nPrometheus, by its rules, says (its increases are estimates, its times as exact as its buckets):")
		if err := p.compare(ctx, decision, stdout); err != nil {
			return broken, err
		}
	}
	if *stay {
		fmt.Fprintln(stdout, "\nInterrupt to end.")
		<-ctx.Done()
	}
	return decision.Verdict.ExitCode(), nil
}

func readCriteria() (c gate.Criteria, err error) {
	err = json.Unmarshal(criteriaFile, &c)
	return c, err
}

// watch starts a Prometheus that scrapes the fleet. Where there is none it says so.
func (f *fleet) watch(ctx context.Context, c gate.Criteria, stdout io.Writer) (*prometheus, error) {
	program, err := exec.LookPath("prometheus")
	if err != nil {
		fmt.Fprintln(stdout, "There is no prometheus in $PATH (Debian: apt-get install prometheus): the tallies decide alone.")
		return nil, nil
	}
	p, err := startPrometheus(ctx, program, f, c)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(stdout, "Prometheus is at %s and scrapes them every %v.\n", p.url, interval)
	return p, nil
}

// decide sends so many requests and asks the gate over the fleet. Where there is a p, it is
// given the time to see their number grow, and to evaluate its rules after the last of them.
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
	const steps = 20
	for step := range steps {
		from, to := requests*step/steps, requests*(step+1)/steps
		if err := f.use(ctx, from, to); err != nil {
			return gate.Decision{}, err
		}
		if err := f.settle(ctx); err != nil {
			return gate.Decision{}, err
		}
		if p != nil {
			if err := p.until(ctx, fmt.Sprintf("sum(shadow_requests_total) == %d", to)); err != nil {
				return gate.Decision{}, err
			}
		}
	}
	if p != nil {
		if err := p.evaluate(ctx); err != nil {
			return gate.Decision{}, err
		}
	}
	return g.Decide(ctx), nil
}
