// Mutate changes the source of a package in one place at a time, runs tests against each
// change, and lists the changes that no test notices: the survivors. Nothing is written to
// the source: go test gets an overlay.
//
//	go run ./internal/mutate -dir . -files copy.go,mask.go -tests 'Promise|Mask' -n 100 -state /tmp/mutants.json
//
// The state file makes a run resumable: what is in it is not run again. A survivor is either
// a missing test or a change that means the same; look at each.
package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
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
	dir, files, tests, state string
	n                        int
	seed                     uint64
	timeout                  time.Duration
}

func run(args []string, out io.Writer) error {
	var o options
	flags := flag.NewFlagSet("mutate", flag.ContinueOnError)
	flags.StringVar(&o.dir, "dir", ".", "directory of the package")
	flags.StringVar(&o.files, "files", "", "files to change, separated by commas; all of the package by default")
	flags.StringVar(&o.tests, "tests", ".", "regular expression of the tests to run")
	flags.StringVar(&o.state, "state", "", "file that keeps what has been run")
	flags.IntVar(&o.n, "n", 50, "how many changes to run at most")
	flags.Uint64Var(&o.seed, "seed", 1, "seed of the order in which changes are tried")
	flags.DurationVar(&o.timeout, "timeout", 3*time.Minute, "time for the tests of one change")
	if err := flags.Parse(args); err != nil {
		return err
	}
	files, err := sources(o.dir, o.files)
	if err != nil {
		return err
	}
	var all []mutant
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		list, err := mutants(file, src)
		if err != nil {
			return err
		}
		all = append(all, list...)
	}
	random := rand.New(rand.NewPCG(o.seed, 0))
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	results, err := load(o.state)
	if err != nil {
		return err
	}
	if verdict, detail := try(o, nil); verdict != survived {
		return fmt.Errorf("the tests fail without a change: %s", detail)
	}
	for i, ran := 0, 0; i < len(all) && ran < o.n; i++ {
		m := all[i]
		if results[m.Name] != "" {
			continue
		}
		verdict, _ := try(o, &m)
		results[m.Name] = verdict
		ran++
		fmt.Fprintf(out, "%-9s %s\n", verdict, m.Name)
		if err := save(o.state, results); err != nil {
			return err
		}
	}
	return summary(out, results, len(all))
}

// The verdicts on a change.
const (
	killed   = "killed"
	survived = "survived"
	invalid  = "invalid" // it does not compile
)

// sources lists the files to change.
func sources(dir, names string) ([]string, error) {
	if names != "" {
		var files []string
		for name := range strings.SplitSeq(names, ",") {
			files = append(files, filepath.Join(dir, name))
		}
		return files, nil
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	return slices.DeleteFunc(files, func(f string) bool { return strings.HasSuffix(f, "_test.go") }), err
}

// mutant is a file with one change.
type mutant struct {
	Name string // the place and the change
	file string
	src  []byte
}

// mutants returns every change of a file that is known here.
func mutants(file string, src []byte) ([]mutant, error) {
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, file, src, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	var list []mutant
	// change prints the tree while it is changed.
	change := func(at token.Pos, what string, do, undo func()) {
		do()
		defer undo()
		var buf bytes.Buffer
		if format.Node(&buf, fset, tree) == nil {
			p := fset.Position(at)
			list = append(list, mutant{fmt.Sprintf("%s:%d:%d %s", file, p.Line, p.Column, what), file, buf.Bytes()})
		}
	}
	ast.Inspect(tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GenDecl:
			return n.Tok != token.IMPORT
		case *ast.IfStmt:
			cond := n.Cond
			change(n.Pos(), "condition negated", func() { n.Cond = &ast.UnaryExpr{Op: token.NOT, X: &ast.ParenExpr{X: cond}} }, func() { n.Cond = cond })
		case *ast.BinaryExpr:
			if to, ok := swaps[n.Op]; ok {
				from := n.Op
				change(n.OpPos, fmt.Sprintf("%s to %s", from, to), func() { n.Op = to }, func() { n.Op = from })
			}
		case *ast.BasicLit:
			if v, err := strconv.ParseInt(n.Value, 0, 64); n.Kind == token.INT && err == nil {
				was := n.Value
				change(n.Pos(), fmt.Sprintf("%s to %d", was, v+1), func() { n.Value = strconv.FormatInt(v+1, 10) }, func() { n.Value = was })
			}
		case *ast.BlockStmt:
			for i, s := range n.List {
				if drops(s) {
					change(s.Pos(), "statement dropped", func() { n.List[i] = &ast.EmptyStmt{Semicolon: s.Pos()} }, func() { n.List[i] = s })
				}
			}
		}
		return true
	})
	return list, nil
}

// swaps are the operators that are changed, and into which.
var swaps = map[token.Token]token.Token{
	token.LSS: token.LEQ, token.LEQ: token.LSS, token.GTR: token.GEQ, token.GEQ: token.GTR,
	token.EQL: token.NEQ, token.NEQ: token.EQL, token.LAND: token.LOR, token.LOR: token.LAND,
	token.ADD: token.SUB, token.SUB: token.ADD,
}

// drops reports whether a statement can be left out of a program that compiles.
func drops(s ast.Stmt) bool {
	switch s := s.(type) {
	case *ast.ExprStmt, *ast.DeferStmt, *ast.IncDecStmt, *ast.SendStmt:
		return true
	case *ast.AssignStmt:
		return s.Tok != token.DEFINE
	}
	return false
}

// try runs the tests with the change m, or without one.
func try(o options, m *mutant) (verdict, detail string) {
	args := []string{"test", "-count=1", "-failfast", "-run", o.tests, "-timeout", o.timeout.String()}
	if m != nil {
		dir, err := os.MkdirTemp("", "mutate")
		if err != nil {
			return invalid, err.Error()
		}
		defer os.RemoveAll(dir)
		file, err := filepath.Abs(m.file)
		if err != nil {
			return invalid, err.Error()
		}
		changed, overlay := filepath.Join(dir, "changed.go"), filepath.Join(dir, "overlay.json")
		replace, _ := json.Marshal(map[string]map[string]string{"Replace": {file: changed}})
		if err := errors.Join(os.WriteFile(changed, m.src, 0o600), os.WriteFile(overlay, replace, 0o600)); err != nil {
			return invalid, err.Error()
		}
		args = append(args, "-overlay", overlay)
	}
	ctx, cancel := context.WithTimeout(context.Background(), o.timeout+2*time.Minute) // to compile
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", append(args, ".")...)
	cmd.Dir = o.dir
	text, err := cmd.CombinedOutput()
	switch {
	case err == nil && !bytes.Contains(text, []byte("no tests to run")):
		return survived, ""
	case bytes.Contains(text, []byte("[build failed]")), bytes.Contains(text, []byte("[setup failed]")):
		return invalid, string(text)
	}
	return killed, string(text)
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

// summary counts the verdicts and lists the survivors.
func summary(out io.Writer, results map[string]string, all int) error {
	counts := map[string]int{}
	var list []string
	for name, verdict := range results {
		counts[verdict]++
		if verdict == survived {
			list = append(list, name)
		}
	}
	slices.SortFunc(list, cmp.Compare)
	_, err := fmt.Fprintf(out, "\n%d of %d changes run: %d killed, %d survived, %d do not compile\n%s\n",
		len(results), all, counts[killed], counts[survived], counts[invalid], strings.Join(list, "\n"))
	return err
}
