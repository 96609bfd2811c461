// The command mirror measures what mirroring costs a primary handler, in this library and
// in other designs side by side, and prints tables in Markdown.
//
//	go run ./mirror                  # every table
//	go run ./mirror -table latency   # one of them: see -help
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/goshadow/shadow/internal/bench/measure"
)

func main() {
	var o options
	var names []string
	for _, t := range tables {
		names = append(names, t.name)
	}
	flag.StringVar(&o.table, "table", "", strings.Join(names, ", ")+"; all of them if empty")
	flag.IntVar(&o.rounds, "rounds", 5, "how often each figure is measured")
	flag.DurationVar(&o.each, "each", 50*time.Millisecond, "how long one measurement of the cost takes at least; of loopback, eight times as long")
	testing.Init()
	flag.Parse()
	o.rounds = max(o.rounds, 1)
	if err := flag.Set("test.benchtime", o.each.String()); err != nil {
		fail(err)
	}
	if err := run(os.Stdout, o); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

type options struct {
	table  string
	rounds int
	each   time.Duration
}

// tables are what can be printed.
var tables = []struct {
	name  string
	print func(w io.Writer, o options) error
}{
	{"cost", func(w io.Writer, o options) error { return costs(w, o.rounds) }},
	{"latency", func(w io.Writer, o options) error { return latencies(w, o.rounds) }},
	{"loopback", func(w io.Writer, o options) error { return loopback(w, o.rounds, 8*o.each) }},
	{"hung", func(w io.Writer, _ options) error { return hung(w, 5*time.Second) }},
	{"faults", func(w io.Writer, o options) error { return faults(w, "default limits", o.rounds, 4000) }},
	{"unlimited", func(w io.Writer, o options) error {
		return faults(w, "breaker, load shedding and overhead off", o.rounds, 4000, unlimited)
	}},
	{"upload", func(w io.Writer, o options) error { return upload(w, 20*o.rounds) }},
	{"events", func(w io.Writer, o options) error { return events(w, o.rounds) }},
	{"steady", func(w io.Writer, o options) error { return steady(w, o.rounds, 16_000) }},
	{"rates", func(w io.Writer, o options) error { return rates(w, o.rounds, 20*o.each) }},
	{"routes", func(w io.Writer, o options) error { return routes(w, o.rounds) }},
}

func run(w io.Writer, o options) error {
	fmt.Fprintf(w, "%s; medians of %d rounds\n\n", measure.Machine(), o.rounds)
	found := false
	for _, t := range tables {
		if o.table != "" && t.name != o.table {
			continue
		}
		found = true
		if err := t.print(w, o); err != nil {
			return err
		}
	}
	if !found {
		return fmt.Errorf("no table %q", o.table)
	}
	return nil
}
