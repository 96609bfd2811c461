// The command mirror measures what mirroring costs a primary handler, in this library and
// in other designs side by side, and prints tables in Markdown.
//
//	go run ./mirror                  # every table
//	go run ./mirror -table latency   # cost, latency, loopback or hung
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"github.com/goshadow/shadow/internal/bench/measure"
)

func main() {
	table := flag.String("table", "", "cost, latency, loopback or hung; all of them if empty")
	rounds := flag.Int("rounds", 5, "how often each figure is measured")
	each := flag.Duration("each", 50*time.Millisecond, "how long one measurement of the cost takes at least; of loopback, eight times as long")
	testing.Init()
	flag.Parse()
	if err := flag.Set("test.benchtime", each.String()); err != nil {
		fail(err)
	}
	if err := run(os.Stdout, *table, max(*rounds, 1), *each); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func run(w io.Writer, table string, rounds int, each time.Duration) error {
	fmt.Fprintf(w, "%s; medians of %d rounds\n\n", measure.Machine(), rounds)
	all := []struct {
		name  string
		print func() error
	}{
		{"cost", func() error { return costs(w, rounds) }},
		{"latency", func() error { return latencies(w, rounds) }},
		{"loopback", func() error { return loopback(w, rounds, 8*each) }},
		{"hung", func() error { return hung(w, 5*time.Second) }},
	}
	found := false
	for _, t := range all {
		if table != "" && t.name != table {
			continue
		}
		found = true
		if err := t.print(); err != nil {
			return err
		}
	}
	if !found {
		return fmt.Errorf("no table %q", table)
	}
	return nil
}
