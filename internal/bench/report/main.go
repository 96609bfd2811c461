// The command report runs the other commands of this module and writes docs/benchmarks.md
// and its plots from what they print. Parts that it does not run stay as they are.
//
//	go run ./report                  # everything: about half an hour
//	go run ./report -run 'faults|upload'
//	go run ./report -run '^$'        # only renders
package main

import (
	_ "embed"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"

	"github.com/goshadow/shadow/internal/bench/measure"
)

func main() {
	which := flag.String("run", "", "a regular expression of the parts to run: "+strings.Join(names(), ", "))
	docs := flag.String("docs", "../../docs", "the folder to write to")
	flag.Parse()
	if err := run(*docs, *which); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(docs, which string) error {
	wanted, err := regexp.Compile(which)
	if err != nil {
		return err
	}
	path := filepath.Join(docs, "benchmarks.md")
	old, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	outputs := map[string]string{}
	for _, p := range parts {
		if wanted.MatchString(p.name) {
			fmt.Fprintln(os.Stderr, p.name)
			outputs[p.name], err = p.run()
		} else {
			outputs[p.name], err = kept(string(old), p.name)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	page, plots, err := render(outputs)
	if err != nil {
		return err
	}
	for name, svg := range plots {
		if err := os.WriteFile(filepath.Join(docs, name), []byte(svg), 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(path, []byte(page), 0o644)
}

// run returns what the command of p prints.
func (p part) run() (string, error) {
	command := exec.Command("go", append([]string{"run"}, strings.Fields(p.command)...)...)
	command.Stderr = os.Stderr
	out, err := command.Output()
	return strings.TrimSpace(string(out)), err
}

// The output of each part is on the page between two comments, by which the next run finds
// it.
func begin(name string) string { return "<!-- " + name + ": printed by the command above -->\n" }
func end(name string) string   { return "\n<!-- end of " + name + " -->" }

// kept returns the output of a part that page already has.
func kept(page, name string) (string, error) {
	_, after, found := strings.Cut(page, begin(name))
	output, _, closed := strings.Cut(after, end(name))
	if !found || !closed {
		return "", fmt.Errorf("it has not been run yet: -run %s", name)
	}
	return strings.TrimSpace(output), nil
}

//go:embed benchmarks.md.tmpl
var text string

// render returns the page and its plots by file name.
func render(outputs map[string]string) (page string, plots map[string]string, err error) {
	plots = map[string]string{}
	tables := map[string][]*measure.Table{}
	for name, output := range outputs {
		tables[name] = measure.Read(output)
	}
	t, err := template.New("benchmarks.md").Funcs(template.FuncMap{
		"part": func(name string) (string, error) {
			p, err := find(name)
			if err != nil {
				return "", err
			}
			var b strings.Builder
			fmt.Fprintf(&b, "```sh\ngo run %s   # in internal/bench\n```\n\n", p.command)
			for _, plot := range p.plots {
				svg, err := plot.draw(tables[name])
				if err != nil {
					return "", fmt.Errorf("%s: %w", name, err)
				}
				plots[plot.file] = svg
				fmt.Fprintf(&b, "![%s](%s)\n\n", plot.title, plot.file)
			}
			b.WriteString(begin(name) + "\n" + outputs[name] + "\n" + end(name))
			return b.String(), nil
		},
		"targets": func() (string, error) {
			held, err := judge(tables)
			if err != nil {
				return "", err
			}
			var b strings.Builder
			err = held.Fprint(&b)
			return strings.TrimSpace(b.String()), err
		},
	}).Parse(text)
	if err != nil {
		return "", nil, err
	}
	var b strings.Builder
	if err := t.Execute(&b, nil); err != nil {
		return "", nil, err
	}
	return b.String(), plots, nil
}
