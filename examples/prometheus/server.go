package main

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/goshadow/shadow/report/gate"
)

//go:embed rules/shadow.yml rules/gate.yml rules/drift.yml
var rules embed.FS

// prometheus is a Prometheus that scrapes a fleet. It is a process of its own, with its data
// in a directory of its own.
type prometheus struct {
	url   string
	api   v1.API
	dir   string
	cmd   *exec.Cmd
	log   bytes.Buffer
	ended chan struct{} // closed after the process has ended
}

// interval is how often Prometheus scrapes, and evaluates its rules. For a service it is 15 s or so.
const interval = 250 * time.Millisecond

// startPrometheus starts program, to scrape f and evaluate the rules.
func startPrometheus(ctx context.Context, program string, f *fleet, c gate.Criteria) (*prometheus, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	client, err := api.NewClient(api.Config{Address: "http://" + address})
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "prometheus")
	if err != nil {
		return nil, err
	}
	p := &prometheus{url: "http://" + address, api: v1.NewAPI(client), dir: dir, ended: make(chan struct{})}
	if err := p.configure(f, c); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	p.cmd = exec.Command(program,
		"--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+address,
		"--enable-feature=exemplar-storage")
	p.cmd.Stderr = &p.log
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // that it was stopped
	}()
	if err := p.ready(ctx); err != nil {
		p.close()
		return nil, fmt.Errorf("%s: %w\n%s", program, err, p.log.String())
	}
	return p, nil
}

// freeAddress is one at which nobody listens.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// configure writes what the process reads.
func (p *prometheus) configure(f *fleet, c gate.Criteria) error {
	var targets []string
	for _, r := range f.replicas {
		targets = append(targets, "'"+strings.TrimPrefix(r.admin.URL, "http://")+"'")
	}
	files := map[string]string{
		"prometheus.yml": fmt.Sprintf(`global:
  scrape_interval: %[1]s
  scrape_timeout: %[1]s
  evaluation_interval: %[1]s
rule_files: [shadow.yml, gate.yml, drift.yml, limits.yml]
scrape_configs:
  - job_name: quotes
    static_configs:
      - targets: [%[2]s]
`, model.Duration(interval), strings.Join(targets, ", ")),
		"limits.yml": limits(c),
	}
	for _, name := range []string{"shadow.yml", "gate.yml", "drift.yml"} {
		text, err := rules.ReadFile("rules/" + name)
		if err != nil {
			return err
		}
		files[name] = string(text)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// limits are those of c as rules: both gates have the same.
func limits(c gate.Criteria) string {
	var b strings.Builder
	b.WriteString("groups:\n  - name: shadow-limits\n    rules:\n")
	for _, l := range []struct {
		measure string
		limit   float64
	}{
		{"diffRate", c.Limits[gate.DiffRate]},
		{"errorRate", c.Limits[gate.ErrorRate]},
		{"uncomparedRate", c.Limits[gate.UncomparedRate]},
		{"uncorrelated", 1 - c.Limits[gate.Correlation]},
		{"dropShare", c.Limits[gate.DropShare]},
		{"p95Ratio", c.Limits[gate.P95Ratio]},
		{"lagMedian", c.Limits[gate.LagMedian]},
	} {
		fmt.Fprintf(&b, "      - {record: 'shadow:limit', labels: {measure: %s}, expr: vector(%.6g)}\n", l.measure, l.limit)
	}
	return b.String()
}

// close ends the process and removes what it kept.
func (p *prometheus) close() {
	_ = p.cmd.Process.Signal(os.Interrupt) // it may have ended by itself
	<-p.ended
	_ = os.RemoveAll(p.dir) // a directory for what is temporary
}

// ready waits until the server answers, or has ended.
func (p *prometheus) ready(ctx context.Context) error {
	err := poll(ctx, func() (bool, error) {
		select {
		case <-p.ended:
			return true, nil
		default:
		}
		_, err := p.query(ctx, "vector(1)")
		return err == nil, err
	})
	if err == nil {
		_, err = p.query(ctx, "vector(1)") // nobody answers after the end
	}
	return err
}

// query evaluates an expression now.
func (p *prometheus) query(ctx context.Context, expression string) (model.Vector, error) {
	value, _, _, err := p.api.Query(ctx, expression, time.Now())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", expression, err)
	}
	switch v := value.(type) {
	case model.Vector:
		return v, nil
	case *model.Scalar:
		return model.Vector{{Value: v.Value}}, nil
	}
	return nil, fmt.Errorf("%s is a %s", expression, value.Type())
}

// value evaluates an expression that has one result.
func (p *prometheus) value(ctx context.Context, expression string) (float64, error) {
	v, err := p.query(ctx, expression)
	if err == nil && len(v) != 1 {
		err = fmt.Errorf("%s: %d results, not one", expression, len(v))
	}
	if err != nil {
		return 0, err
	}
	return float64(v[0].Value), nil
}

// until waits until an expression has a result.
func (p *prometheus) until(ctx context.Context, expression string) error {
	err := poll(ctx, func() (bool, error) {
		v, err := p.query(ctx, expression)
		return len(v) > 0, err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", expression, err)
	}
	return nil
}

// evaluate waits until the rules of the gate have been evaluated with what is scraped by now.
func (p *prometheus) evaluate(ctx context.Context) error {
	now := float64(time.Now().UnixMilli()) / 1000
	return p.until(ctx, fmt.Sprintf("timestamp(shadow:gate_pass) > %[1]f and timestamp(shadow:gate_fail) > %[1]f", now))
}

// asRules has, for each check of the gate that they know too, what the rules say of it.
var asRules = map[string]string{
	"diffRate":       `shadow:bad{measure="diffRate"} / shadow:all{measure="diffRate"}`,
	"errorRate":      `shadow:bad{measure="errorRate"} / shadow:all{measure="errorRate"}`,
	"uncomparedRate": `shadow:bad{measure="uncomparedRate"} / shadow:all{measure="uncomparedRate"}`,
	"correlation":    `1 - shadow:bad{measure="uncorrelated"} / shadow:all{measure="uncorrelated"}`,
	"dropShare":      `shadow:bad{measure="dropShare"} / shadow:all{measure="dropShare"}`,
	"p95Ratio":       `shadow:figure{measure="p95Ratio"}`,
	"lagMedian":      `shadow:figure{measure="lagMedian"}`,
}

// compare writes the figures of the gate beside those of the rules, and both verdicts.
func (p *prometheus) compare(ctx context.Context, d gate.Decision, out io.Writer) error {
	const head, row = "\n  %-12s  %-10s  %s\n", "  %-12s  %-10.3g  %.3g\n"
	fmt.Fprintf(out, head, "", "the gate", "Prometheus")
	for _, check := range d.Checks {
		query := asRules[check.Name]
		if query == "" || check.Observed == nil {
			continue
		}
		value, err := p.value(ctx, query)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, row, check.Name, *check.Observed, value)
	}
	verdict, err := p.verdict(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, head[1:], "verdict", d.Verdict, verdict)
	return nil
}

// verdict is what the rules of the gate say.
func (p *prometheus) verdict(ctx context.Context) (gate.Verdict, error) {
	for _, is := range []struct {
		query string
		then  gate.Verdict
	}{{"shadow:gate_fail == 1", gate.Fail}, {"shadow:gate_pass == 1", gate.Pass}} {
		v, err := p.query(ctx, is.query)
		if err != nil {
			return "", err
		}
		if len(v) > 0 {
			return is.then, nil
		}
	}
	return gate.Insufficient, nil
}
