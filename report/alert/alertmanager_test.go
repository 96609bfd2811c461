package alert_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow/report/alert"
)

// patience is for a machine that has other things to do; nothing is judged by it.
const patience = 4 * time.Minute

// startAlertmanager runs a real Alertmanager that notifies a webhook, and returns its URL.
func startAlertmanager(t *testing.T, webhook string) string {
	t.Helper()
	var binary string
	for _, name := range []string{"prometheus-alertmanager", "alertmanager"} {
		if path, err := exec.LookPath(name); err == nil {
			binary = path
			break
		}
	}
	if binary == "" {
		t.Skip("NOT TESTED against a real Alertmanager: there is none. Install Debian's package prometheus-alertmanager")
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "alertmanager.yml")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `
route: {receiver: people, group_by: [mirror, target], group_wait: 0s, group_interval: 1s}
receivers: [{name: people, webhook_configs: [{url: %q}]}]
`, webhook), 0o600))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := l.Addr().String()
	require.NoError(t, l.Close())

	var log bytes.Buffer
	cmd := exec.Command(binary, "--config.file="+config, "--storage.path="+dir, "--web.listen-address="+address, "--cluster.listen-address=")
	cmd.Stdout, cmd.Stderr = &log, &log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	client := &http.Client{Timeout: 5 * time.Second}
	t.Cleanup(client.CloseIdleConnections)
	require.Eventually(t, func() bool {
		resp, err := client.Get("http://" + address + "/-/ready")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == 200
	}, patience, 50*time.Millisecond, "the Alertmanager does not come up")
	return "http://" + address
}

// Two replicas of a service find the same: the Alertmanager takes what they post for one
// alert, and tells people what they need.
func TestARealAlertmanagerTakesReplicasForOne(t *testing.T) {
	type notification struct {
		Status string
		Alerts []struct {
			Status              string
			Labels, Annotations map[string]string
		}
	}
	told := make(chan notification, 100)
	people := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var n notification
		if assert.NoError(t, json.NewDecoder(r.Body).Decode(&n)) {
			told <- n
		}
	}))
	defer people.Close()
	defer http.DefaultClient.CloseIdleConnections()
	base := startAlertmanager(t, people.URL)

	for range 2 {
		r := open(t, alert.Options{Receiver: alert.Alertmanager(base), Window: time.Minute})
		happen(t, r, leak("GET /items/{id}"))
		report(t, r, 10, result("GET /items/{id}", "/body/price"))
		report(t, r, 10, failure("\xff"))
		require.NoError(t, r.Flush(t.Context()))
		require.NoError(t, r.Close())
		assert.Equal(t, uint64(3), r.Stats().Sent)
	}

	resp, err := http.Get(base + "/api/v2/alerts")
	require.NoError(t, err)
	defer resp.Body.Close()
	var kept []post
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(body, &kept))
	require.Len(t, kept, 3, string(body))

	seen := map[string]string{}
	for len(seen) < 3 {
		select {
		case n := <-told:
			for _, a := range n.Alerts {
				assert.Equal(t, "firing", a.Status)
				seen[a.Labels["alertname"]] = a.Labels["severity"]
				assert.Equal(t, contact.Owner, a.Labels["owner"])
				assert.Equal(t, contact.Runbook, a.Annotations["runbook_url"])
				assert.NotEmpty(t, a.Annotations["summary"])
				assert.NotEmpty(t, a.Annotations["description"])
			}
		case <-time.After(patience):
			t.Fatalf("people were told of %v alone", seen)
		}
	}
	assert.Equal(t, map[string]string{"ShadowLeak": "page", "ShadowDifference": "ticket", "ShadowFailure": "ticket"}, seen)
}
