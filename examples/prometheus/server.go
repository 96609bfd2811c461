package main

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
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

//go:embed rules/shadow.yml rules/gate.yml
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

// startPrometheus starts program, to scrape f and evaluate the rules at that interval.
func startPrometheus(ctx context.Context, program string, interval time.Duration, f *fleet, c gate.Criteria) (*prometheus, error) {
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
	if err := p.configure(interval, f, c); err != nil {
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
func (p *prometheus) configure(interval time.Duration, f *fleet, c gate.Criteria) error {
	var targets []string
	for _, r := range f.replicas {
		targets = append(targets, "'"+strings.TrimPrefix(r.admin.URL, "http://")+"'")
	}
	files := map[string]string{
		"prometheus.yml": fmt.Sprintf(`global:
  scrape_interval: %[1]s
  scrape_timeout: %[1]s
  evaluation_interval: %[1]s
rule_files: [shadow.yml, gate.yml, limits.yml]
scrape_configs:
  - job_name: quotes
    static_configs:
      - targets: [%[2]s]
`, model.Duration(interval), strings.Join(targets, ", ")),
		"limits.yml": limits(c),
	}
	for _, name := range []string{"shadow.yml", "gate.yml"} {
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

// ready waits until the server answers.
func (p *prometheus) ready(ctx context.Context) error {
	return poll(ctx, func() (bool, error) {
		select {
		case <-p.ended:
			return true, nil // query says more
		default:
		}
		_, err := p.query(ctx, "vector(1)")
		return err == nil, err
	})
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

// evaluate waits until all rules have been evaluated since now, in the order of their files and
// then once more: those of the gate read those of the limits.
func (p *prometheus) evaluate(ctx context.Context) error {
	for range 2 {
		since := time.Now()
		err := poll(ctx, func() (bool, error) {
			all, err := p.api.Rules(ctx, nil)
			if err != nil {
				return false, err
			}
			for _, group := range all.Groups {
				for _, rule := range group.Rules {
					if evaluated(rule).Before(since) {
						return false, fmt.Errorf("group %s: not evaluated since %v", group.Name, since)
					}
				}
			}
			return true, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// evaluated tells when a rule was evaluated last.
func evaluated(rule any) time.Time {
	switch r := rule.(type) {
	case v1.RecordingRule:
		return r.LastEvaluation
	case v1.AlertingRule:
		return r.LastEvaluation
	}
	return time.Time{}
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
