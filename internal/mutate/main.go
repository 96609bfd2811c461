// Mutate changes the source of a package in one place at a time, runs tests against each
// change, and lists the changes that no test notices: the survivors. It is run by hand and
// not by the continuous build.
//
//	go run ./internal/mutate -dir report/gate -files judge.go,noise.go -skip Candidate -n 100 -state /tmp/gate.json
//	go run ./internal/mutate -dir internal/redact -packages .,../.. -tests Mask -n 20
//	go run ./internal/mutate -dir report/gate -state /tmp/gate.json -only 'judge.go:(71|80):'
//
// The tests are built once with all the changes, each behind a condition that a variable of
// the environment makes true. Nothing is written to the source: the build gets an overlay.
// These are the changes: a condition is true or false, a comparison has its bound on the
// other side, true is false, a statement is left out. What does not compile is left out and
// counted.
//
// The tests have to pass without a change first, in the time of -timeout. A change whose
// tests do not end in that time is killed. A flaky test kills what it should not: use tests
// that pass every time, and fast ones.
//
// The order of the changes depends on -seed only. The state file makes a run resumable: what
// is in it is not run again until the file that is changed has other content. -only runs the
// changes whose names match, and runs them again: use it after a test was written for a
// survivor. A survivor is either a missing test or a change that means the same; look at each.
package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	dir, files, packages, tests, skip, state, only string
	n                                              int
	seed                                           uint64
	timeout                                        time.Duration
}

// The verdicts on a change.
const (
	killed   = "killed"
	survived = "survived"
)

func run(args []string, out io.Writer) error {
	var o options
	flags := flag.NewFlagSet("mutate", flag.ContinueOnError)
	flags.StringVar(&o.dir, "dir", ".", "directory of the package")
	flags.StringVar(&o.files, "files", "", "files to change, separated by commas; all of the package by default")
	flags.StringVar(&o.packages, "packages", ".", "packages whose tests run, seen from the directory, separated by commas")
	flags.StringVar(&o.tests, "tests", ".", "regular expression of the tests to run")
	flags.StringVar(&o.skip, "skip", "", "regular expression of the tests that do not run: slow ones")
	flags.StringVar(&o.state, "state", "", "file that keeps what has been run")
	flags.StringVar(&o.only, "only", "", "regular expression of the changes to run, which are run again")
	flags.IntVar(&o.n, "n", 50, "how many changes to run at most")
	flags.Uint64Var(&o.seed, "seed", 1, "seed of the order in which changes are tried")
	flags.DurationVar(&o.timeout, "timeout", time.Minute, "time for the tests of one change")
	if err := flags.Parse(args); err != nil {
		return err
	}
	only, err := regexp.Compile(o.only)
	if err != nil {
		return err
	}
	results, err := load(o.state)
	if err != nil {
		return err
	}
	sources, err := read(o.dir, o.files)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work) //nolint:errcheck // a temporary directory
	tests, left, err := build(o, work, sources)
	if err != nil {
		return err
	}

	var all []mutant
	for _, s := range sources {
		all = append(all, s.mutants...)
	}
	slices.SortFunc(all, func(a, b mutant) int { return cmp.Compare(a.id, b.id) })
	random := rand.New(rand.NewPCG(o.seed, 0))
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	all = slices.DeleteFunc(all, func(m mutant) bool { return !only.MatchString(m.name) })
	if verdict, text := try(o, tests, 0); verdict != survived {
		return fmt.Errorf("the tests fail without a change: %s", text)
	}
	ran := 0
	for _, m := range all {
		if ran == o.n || results[m.key] != "" && o.only == "" {
			continue
		}
		verdict, _ := try(o, tests, m.id)
		results[m.key] = verdict
		ran++
		fmt.Fprintf(out, "%-9s %s\n", verdict, m.name)
		if err := save(o.state, results); err != nil {
			return err
		}
	}
	return summary(out, results, all, left)
}

// read finds the changes of the files.
func read(dir, names string) ([]*source, error) {
	files := strings.Split(names, ",")
	for i, name := range files {
		files[i] = filepath.Join(dir, name)
	}
	if names == "" {
		var err error
		if files, err = filepath.Glob(filepath.Join(dir, "*.go")); err != nil {
			return nil, err
		}
		files = slices.DeleteFunc(files, func(f string) bool { return strings.HasSuffix(f, "_test.go") })
	}
	var sources []*source
	id := 0
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		s, err := find(file, src, &id)
		if err != nil {
			return nil, err
		}
		sources = append(sources, s)
	}
	return sources, nil
}

// binary is a program of tests.
type binary struct{ file, dir string }

// build builds the tests with all changes. The changes of lines that do not compile are left
// out, and counted.
func build(o options, work string, sources []*source) (tests []binary, left int, err error) {
	if len(sources) == 0 {
		return nil, 0, errors.New("no files")
	}
	for {
		replace := map[string]string{}
		add := func(original string, text []byte) {
			original, absErr := filepath.Abs(original)
			changed := filepath.Join(work, filepath.Base(original))
			replace[original] = changed
			err = errors.Join(err, absErr, os.WriteFile(changed, text, 0o600))
		}
		add(filepath.Join(o.dir, "mutant_in_use.go"), fmt.Appendf(nil, inUse, sources[0].pkg))
		for _, s := range sources {
			add(s.file, s.changed())
		}
		overlay := filepath.Join(work, "overlay.json")
		text, _ := json.Marshal(map[string]any{"Replace": replace})
		if err = errors.Join(err, os.WriteFile(overlay, text, 0o600)); err != nil {
			return nil, 0, err
		}
		tests = nil
		var output []byte
		for i, pkg := range strings.Split(o.packages, ",") {
			b := binary{filepath.Join(work, fmt.Sprintf("tests%d", i)), filepath.Join(o.dir, pkg)}
			cmd := exec.Command("go", "test", "-c", "-vet=off", "-gcflags=-e", "-overlay", overlay, "-o", b.file, ".")
			cmd.Dir = b.dir
			if b.file, err = filepath.Abs(b.file); err != nil {
				return nil, 0, err
			}
			if output, err = cmd.CombinedOutput(); err != nil {
				break
			}
			if _, err := os.Stat(b.file); err != nil {
				return nil, 0, fmt.Errorf("%s has no tests", b.dir)
			}
			tests = append(tests, b)
		}
		if err == nil {
			return tests, left, nil
		}
		dropped := 0
		for _, s := range sources {
			dropped += s.without(output)
		}
		if dropped == 0 {
			return nil, 0, fmt.Errorf("the tests do not compile: %s", output)
		}
		left, err = left+dropped, nil
	}
}

// inUse is the file that is added to the package.
const inUse = `package %s

import (
	"os"
	"strconv"
)

var mutantInUse, _ = strconv.Atoi(os.Getenv("MUTANT_IN_USE"))

func mutant_(i int) bool { return i == mutantInUse }
`

// try runs the tests with the change of an id, or without one if it is 0.
func try(o options, tests []binary, id int) (verdict, text string) {
	for _, b := range tests {
		ctx, cancel := context.WithTimeout(context.Background(), o.timeout+10*time.Second) // in which a program ends itself
		cmd := exec.CommandContext(ctx, b.file, "-test.failfast", "-test.run", o.tests, "-test.skip", o.skip, "-test.timeout", o.timeout.String())
		cmd.Dir, cmd.WaitDelay = b.dir, time.Second
		cmd.Env = append(os.Environ(), "MUTANT_IN_USE="+strconv.Itoa(id))
		output, err := cmd.CombinedOutput()
		cancel()
		if err != nil || id == 0 && bytes.Contains(output, []byte("no tests to run")) {
			return killed, string(output)
		}
	}
	return survived, ""
}

func load(file string) (map[string]string, error) {
	results := map[string]string{}
	raw, err := os.ReadFile(file)
	if file == "" || errors.Is(err, os.ErrNotExist) {
		return results, nil
	}
	if err != nil {
		return nil, err
	}
	return results, json.Unmarshal(raw, &results)
}

func save(file string, results map[string]string) error {
	if file == "" {
		return nil
	}
	raw, err := json.MarshalIndent(results, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(file, raw, 0o600)
}

// summary counts the verdicts of each file and lists the survivors.
func summary(out io.Writer, results map[string]string, all []mutant, left int) error {
	counts := map[string]map[string]int{}
	var list []string
	for _, m := range all {
		if counts[m.file] == nil {
			counts[m.file] = map[string]int{}
		}
		counts[m.file][results[m.key]]++
		if results[m.key] == survived {
			list = append(list, m.name)
		}
	}
	fmt.Fprintln(out)
	for _, file := range slices.Sorted(maps.Keys(counts)) {
		n := counts[file]
		fmt.Fprintf(out, "%s: %d of %d changes run: %d killed, %d survived\n",
			file, n[killed]+n[survived], n[""]+n[killed]+n[survived], n[killed], n[survived])
	}
	slices.Sort(list)
	_, err := fmt.Fprintf(out, "%d changes do not compile\n%s\n", left, strings.Join(list, "\n"))
	return err
}
