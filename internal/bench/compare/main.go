// The command compare measures comparisons of JSON documents, this library's and others
// side by side, and prints tables in Markdown. It must run in the folder of its module.
//
//	go run ./compare                 # both tables
//	go run ./compare -table speed    # or exact
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
	table := flag.String("table", "", "speed or exact; both if empty")
	rounds := flag.Int("rounds", 5, "how often each figure is measured")
	each := flag.Duration("each", 20*time.Millisecond, "how long one measurement takes at least")
	question := flag.String("answer", "", "the numbers of a peer and a hard case, whose answer is printed instead of a table")
	testing.Init()
	flag.Parse()
	err := flag.Set("test.benchtime", each.String())
	switch {
	case err != nil:
	case *question != "":
		err = answer(os.Stdout, *question)
	default:
		err = run(os.Stdout, *table, max(*rounds, 1))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(w io.Writer, table string, rounds int) error {
	if table != "" && table != "speed" && table != "exact" {
		return fmt.Errorf("no table %q", table)
	}
	if _, err := fmt.Fprintf(w, "%s; medians of %d rounds\n\n", measure.Machine(), rounds); err != nil {
		return err
	}
	if table != "exact" {
		if err := speed(w, rounds); err != nil {
			return err
		}
	}
	if table == "speed" {
		return nil
	}
	return exact(w)
}
