package alert

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Receiver is where alerts go, and in which form: see Alertmanager and Slack. Its URL is
// taken for a secret: nothing prints it, and no error holds it.
type Receiver struct {
	name   string
	url    func() string // nil if there is none that is good for anything; a function is not printed
	ends   bool          // it ends an alert by itself, at Alert.Ends
	encode func(alerts []Alert, contact Contact) any
}

// Alertmanager is a Prometheus Alertmanager at baseURL, such as "http://alertmanager:9093",
// or what understands its API, v2: POST /api/v2/alerts. User and password may be part of
// the URL.
//
// An alert has the labels alertname, severity, mirror, target, route, fingerprint and owner,
// and no other: replicas of a service that find the same send the same alert. It ends by
// itself, as each post says when.
func Alertmanager(baseURL string) Receiver {
	return Receiver{name: "Alertmanager", url: hidden(baseURL, "api", "v2", "alerts"), ends: true, encode: alertmanager}
}

// Slack is an incoming webhook of Slack, or of what understands its messages (Mattermost,
// Rocket.Chat). Alerts that are due together are one message.
func Slack(webhookURL string) Receiver {
	return Receiver{name: "Slack", url: hidden(webhookURL), encode: slack}
}

// hidden returns what tells an absolute URL with a path below it, else nil: an error would
// quote it.
func hidden(base string, below ...string) func() string {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil
	}
	if len(below) > 0 {
		u = u.JoinPath(below...)
	}
	whole := u.String()
	return func() string { return whole }
}

// String is the name of r's API.
func (r Receiver) String() string { return r.name }

// GoString is String.
func (r Receiver) GoString() string { return r.name }

// Format writes String, whatever the verb.
func (r Receiver) Format(f fmt.State, _ rune) { fmt.Fprint(f, r.name) }

// postable is an alert of the Alertmanager's API, v2: postableAlert in its OpenAPI document.
type postable struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	Starts      time.Time         `json:"startsAt"`
	Ends        time.Time         `json:"endsAt"`
}

func alertmanager(alerts []Alert, contact Contact) any {
	list := make([]postable, len(alerts))
	for i, a := range alerts {
		list[i] = postable{
			Labels: map[string]string{
				"alertname": a.Name, "severity": string(a.Class), "mirror": valid(a.Mirror), "target": valid(a.Target),
				"route": valid(a.Route), "fingerprint": a.Fingerprint, "owner": contact.Owner,
			},
			Annotations: map[string]string{
				"summary": valid(a.Summary), "description": valid(a.Text), "runbook_url": contact.Runbook,
				"count": strconv.FormatUint(a.Count, 10),
			},
			Starts: a.Starts.UTC(), Ends: a.Ends.UTC(),
		}
	}
	return list
}

func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// What Slack takes: https://docs.slack.dev/reference/block-kit/blocks. A section has at
// most 3000 characters, of which one may become five when it is escaped.
const (
	slackBlocks = 50 // in a message
	maxTitle    = 180
	maxText     = 360
)

type slackMessage struct {
	Text   string       `json:"text"` // of notifications, and of clients without blocks
	Blocks []slackBlock `json:"blocks"`
}

type slackBlock struct {
	Type string      `json:"type"`
	Text slackObject `json:"text"`
}

type slackObject struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

func slack(alerts []Alert, contact Contact) any {
	m := slackMessage{Text: alerts[0].title()}
	if n := len(alerts) - 1; n > 0 {
		m.Text += fmt.Sprintf(" (and %d more)", n)
	}
	m.Text = escape(m.Text, maxTitle)
	section := func(text string) {
		m.Blocks = append(m.Blocks, slackBlock{Type: "section", Text: slackObject{Type: "mrkdwn", Text: text}})
	}
	listed := alerts[:min(len(alerts), slackBlocks-2)]
	for _, a := range listed {
		section(fmt.Sprintf("*%s*\n%s\n_since %s, fingerprint_ `%s`", escape(a.title(), maxTitle), escape(a.Text, maxText),
			a.Starts.UTC().Format(time.RFC3339), a.Fingerprint))
	}
	if n := len(alerts) - len(listed); n > 0 {
		section(fmt.Sprintf("… and %d more", n))
	}
	section(fmt.Sprintf("Owner: %s, runbook: %s", escape(contact.Owner, maxTitle), escape(contact.Runbook, maxText)))
	return m
}

// title is a line that says it all.
func (a *Alert) title() string { return strings.ToUpper(string(a.Class)) + ": " + a.Summary }

// https://docs.slack.dev/messaging/formatting-message-text#escaping
var slackEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// escape makes of the first n characters of text a part of mrkdwn that links to nothing and
// calls nobody.
func escape(text string, n int) string {
	text = valid(text)
	if utf8.RuneCountInString(text) > n {
		text = string([]rune(text)[:n]) + "…"
	}
	return slackEscapes.Replace(text)
}

// MarshalJSON refuses: a URL that is a secret is in r.
func (r Receiver) MarshalJSON() ([]byte, error) { return json.Marshal(r.name) }
