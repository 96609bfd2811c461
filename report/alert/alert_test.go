package alert_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/report/alert"
	"github.com/goshadow/shadow/report/tally"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var contact = alert.Contact{Owner: "team-orders", Runbook: "https://runbooks.internal/shadow"}

// post is an alert as an Alertmanager gets it.
type post struct {
	Labels, Annotations map[string]string
	StartsAt, EndsAt    time.Time
}

// inbox is a receiver without a network, for tests by the clock of a bubble. It is an
// http.RoundTripper.
type inbox struct {
	answer func(n int) (*http.Response, error) // to the nth post, from 1; nil is 200 always
	wait   <-chan struct{}                     // before it answers

	start time.Time
	mu    sync.Mutex
	mail
}

func newInbox() *inbox { return &inbox{start: time.Now()} }

func (b *inbox) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	b.at = append(b.at, time.Since(b.start))
	b.raw = append(b.raw, body)
	var list []post
	if json.Unmarshal(body, &list) == nil {
		b.posts = append(b.posts, list)
	}
	n := len(b.raw)
	b.mu.Unlock()
	if b.wait != nil {
		select {
		case <-b.wait:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	if b.answer != nil {
		return b.answer(n)
	}
	return status(200), nil
}

func status(code int, header ...string) *http.Response {
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: code, Header: h, Body: io.NopCloser(strings.NewReader("whatever"))}
}

// mail is what came.
type mail struct {
	at    []time.Duration // since the first look at the clock
	posts [][]post        // to an Alertmanager
	raw   [][]byte
}

func (b *inbox) all() mail {
	b.mu.Lock()
	defer b.mu.Unlock()
	return mail{slices.Clone(b.at), slices.Clone(b.posts), slices.Clone(b.raw)}
}

// got returns when posts came, to the second, and the names of their alerts.
func (b *inbox) got() (list []string) {
	m := b.all()
	for i, at := range m.at {
		var names []string
		for _, p := range m.posts[i] {
			names = append(names, strings.TrimPrefix(p.Labels["alertname"], "Shadow")+" "+p.Labels["route"])
		}
		list = append(list, at.Round(time.Second).String()+": "+strings.Join(names, ", "))
	}
	return list
}

func open(t testing.TB, o alert.Options) *alert.Reporter {
	t.Helper()
	if o.Receiver.String() == "" {
		o.Receiver = alert.Alertmanager("http://alertmanager")
	}
	if o.Contact == (alert.Contact{}) {
		o.Contact = contact
	}
	r, err := alert.New(o)
	require.NoError(t, err)
	t.Cleanup(func() { r.Close() })
	return r
}

// result is one whose answers differ at these places, or match.
func result(route string, places ...string) *shadow.Result {
	res := &shadow.Result{
		Exchange: shadow.Exchange{ID: "4bf92f35", Route: route,
			Primary: &shadow.Message{StatusCode: 200}, Shadow: &shadow.Message{StatusCode: 200}},
		Mirror: "orders", Target: "v2", Outcome: shadow.Match,
	}
	for _, place := range places {
		res.Outcome = shadow.Mismatch
		res.Diffs = append(res.Diffs, shadow.Diff{Path: place, Kind: shadow.Changed,
			Primary: json.RawMessage(`"secret-of-the-primary"`), Shadow: json.RawMessage(`"secret-of-the-shadow"`)})
	}
	return res
}

func failure(route string) *shadow.Result {
	res := result(route)
	res.Outcome, res.Shadow, res.Err = shadow.Failed, nil, shadow.ErrTimeout
	return res
}

func leak(route string) *shadow.Event {
	return &shadow.Event{Kind: "leak", Mirror: "orders", Target: "v2", Route: route, ID: "4bf92f35", Time: time.Now(),
		Text: "an e-mail address was about to be sent"}
}

func report(t testing.TB, r *alert.Reporter, n int, res *shadow.Result) {
	t.Helper()
	for range n {
		require.NoError(t, r.Report(t.Context(), res))
	}
}

func happen(t testing.TB, r *alert.Reporter, e *shadow.Event) {
	t.Helper()
	require.NoError(t, r.ReportEvent(t.Context(), e))
}

func TestEverythingThatIsWrongWithOptionsIsSaidAtOnce(t *testing.T) {
	_, err := alert.New(alert.Options{
		Receiver: alert.Slack("hooks.slack.com/services/T0/B0/hush"), Contact: alert.Contact{Owner: " ", Runbook: "wiki"},
		DiffRate: -1, ErrorRate: 1.5, Window: time.Second, Min: -1, Wait: -1, Repeat: -1, GiveUp: -1, Max: -1,
		Events: map[shadow.EventKind]alert.Class{"leak": "loud"},
	})
	require.Error(t, err)
	assert.Empty(t, cmp.Diff([]string{
		`alert: Options.Contact.Owner: empty; an alert that nobody owns is nobody's: name a team`,
		`alert: Options.Contact.Runbook: "wiki" is not an absolute http or https URL; say where it is written what to do`,
		`alert: Options.DiffRate: -1 is not a share from 0 to 1`,
		`alert: Options.ErrorRate: 1.5 is not a share from 0 to 1`,
		`alert: Options.Events["leak"]: "loud" is no class; there are Page and Ticket`,
		`alert: Options.GiveUp is negative`,
		`alert: Options.Max is negative`,
		`alert: Options.Min is negative`,
		`alert: Options.Receiver: the URL of Slack is not an absolute http or https URL`,
		`alert: Options.Repeat is negative`,
		`alert: Options.Wait is negative`,
		`alert: Options.Window: 1s is less than 10s`,
	}, strings.Split(err.Error(), "\n")))

	_, err = alert.New(alert.Options{Contact: contact})
	assert.EqualError(t, err, "alert: Options.Receiver: none; use Alertmanager or Slack")
	_, err = alert.New(alert.Options{Contact: contact, Receiver: alert.Alertmanager("http://a"), Repeat: 5 * time.Minute})
	assert.EqualError(t, err, "alert: Options.Repeat: 5m0s is not shorter than Window, 5m0s: the alert would end in between")
	_, err = alert.New(alert.Options{Contact: contact, Receiver: alert.Slack("http://a"), Repeat: 5 * time.Minute})
	assert.NoError(t, err, "Slack ends nothing by itself")
}

func TestAPageGoesOutAtOnceAndTicketsWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInbox()
		r := open(t, alert.Options{Transport: in})
		report(t, r, 10, result("GET /a", "/body/x"))
		time.Sleep(10 * time.Second)
		report(t, r, 10, failure("GET /b"))
		happen(t, r, leak("GET /c"))
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"10s: Leak GET /c", "30s: Difference GET /a", "40s: Failure GET /b"}, in.got())
	})
}

func TestWhatIsDueTogetherIsOnePost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInbox()
		r := open(t, alert.Options{Transport: in})
		report(t, r, 10, result("GET /b", "/body/x"))
		report(t, r, 10, result("GET /a", "/body/x"))
		report(t, r, 10, result("GET /a", "/body/y"))
		report(t, r, 10, failure("GET /a"))
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"30s: Difference GET /a, Difference GET /a, Failure GET /a, Difference GET /b"}, in.got())
	})
}

func TestARouteIsAlertedAboutOnlyAboveItsRate(t *testing.T) {
	for _, c := range []struct {
		name          string
		options       alert.Options
		matches, bad  int
		result        *shadow.Result
		alert, silent bool
	}{
		{name: "too few to prove anything", matches: 0, bad: 9, result: result("/", "/body/x")},
		{name: "ten", matches: 0, bad: 10, result: result("/", "/body/x"), alert: true},
		{name: "at the rate", matches: 9990, bad: 10, result: result("/", "/body/x")},
		{name: "over the rate", matches: 9989, bad: 10, result: result("/", "/body/x"), alert: true},
		{name: "another rate", options: alert.Options{DiffRate: 0.5, Min: 2}, matches: 10, bad: 10, result: result("/", "/body/x")},
		{name: "over another rate", options: alert.Options{DiffRate: 0.5, Min: 2}, matches: 1, bad: 2, result: result("/", "/body/x"), alert: true},
		{name: "never", options: alert.Options{DiffRate: 1}, bad: 1000, result: result("/", "/body/x")},
		{name: "failures at the rate", matches: 1990, bad: 10, result: failure("/")},
		{name: "failures over the rate", matches: 1989, bad: 10, result: failure("/"), alert: true},
		{name: "another rate of failures", options: alert.Options{ErrorRate: 0.5}, matches: 90, bad: 10, result: failure("/")},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				in := newInbox()
				c.options.Transport = in
				r := open(t, c.options)
				report(t, r, c.matches, result("/"))
				report(t, r, c.bad, c.result)
				report(t, r, 1000, &shadow.Result{Mirror: "orders", Target: "v2", Outcome: shadow.Uncompared, Exchange: shadow.Exchange{Route: "/other"}})
				time.Sleep(time.Minute)
				assert.Equal(t, c.alert, len(in.got()) == 1, in.got())
				assert.Equal(t, c.alert, len(r.Alerts()) == 1)
			})
		})
	}
}

func TestRatesForgetWhatIsOlderThanTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInbox()
		r := open(t, alert.Options{Transport: in})
		for range 20 { // nine of ten minutes, and none of them within five
			report(t, r, 9, result("/", "/body/x"))
			time.Sleep(6 * time.Minute)
		}
		assert.Empty(t, in.got())
		report(t, r, 5, result("/", "/body/x"))
		time.Sleep(4 * time.Minute)
		report(t, r, 5, result("/", "/body/x"))
		time.Sleep(time.Minute)
		assert.Len(t, in.got(), 1)
	})
}

func TestOneCauseIsOneAlert(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInbox()
		r := open(t, alert.Options{Receiver: alert.Slack("https://hooks.slack.com/x"), Transport: in})
		for i := range 600 {
			report(t, r, 10, result("GET /items", fmt.Sprintf("/body/items/%d/price", i)))
			time.Sleep(time.Second)
		}
		assert.Len(t, in.all().at, 1)
		list := r.Alerts()
		require.Len(t, list, 1)
		assert.Equal(t, uint64(3000), list[0].Count, "of the last five minutes")
	})
}

// The fingerprint is that of the group, so that what is acknowledged there can be found here.
func TestTheFingerprintIsThatOfTheTally(t *testing.T) {
	counts, err := tally.New(tally.Options{})
	require.NoError(t, err)
	r := open(t, alert.Options{Transport: newInbox()})
	res := result("GET /items", "/body/items/3/price", "/body/items/4/price", "/header/Content-Type")
	report(t, r, 10, res)
	require.NoError(t, counts.Report(t.Context(), res))
	groups := counts.Snapshot().Groups
	require.Len(t, groups, 1)
	require.Len(t, r.Alerts(), 1)
	assert.Equal(t, groups[0].Fingerprint, r.Alerts()[0].Fingerprint)
	assert.Equal(t, groups[0].Fingerprint, tally.Fingerprint(res))
}

func TestManySmallCausesAreOneAlert(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInbox()
		r := open(t, alert.Options{Transport: in})
		for i := range 500 { // more than are told apart
			report(t, r, 1, result("GET /items", fmt.Sprintf("/body/name-%c%c", 'a'+i%26, 'a'+i/26)))
		}
		report(t, r, 500, result("GET /items"))
		time.Sleep(time.Minute)
		require.Equal(t, 1, len(in.got()))
		names := map[string]int{}
		for _, p := range in.all().posts[0] {
			names[p.Labels["alertname"]]++
		}
		assert.Equal(t, map[string]int{"ShadowDifferences": 1}, names)
	})
}

func TestAnAlertIsRepeatedOnlyWhileItGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInbox()
		r := open(t, alert.Options{Transport: in, Wait: time.Second, Window: 2 * time.Minute})
		for range 60 { // for five minutes
			report(t, r, 10, result("/", "/body/x"))
			time.Sleep(5 * time.Second)
		}
		time.Sleep(time.Hour)
		assert.Equal(t, []string{"1s: Difference /", "1m1s: Difference /", "2m1s: Difference /", "3m1s: Difference /", "4m1s: Difference /", "5m1s: Difference /"}, in.got())
		for i, posts := range in.all().posts {
			p := posts[0]
			assert.Equal(t, in.start.UTC(), p.StartsAt, "one alert, not six")
			assert.Greater(t, p.EndsAt.Sub(in.start), in.all().at[i]+time.Minute, "it lasts until the next post")
		}
		last := in.all().posts[len(in.all().posts)-1][0]
		assert.Equal(t, 6*time.Minute+55*time.Second, last.EndsAt.Sub(in.start), "a window after it was last seen")
	})
}

func TestAnAlertThatComesBackIsAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInbox()
		r := open(t, alert.Options{Transport: in, Wait: time.Second})
		for range 2 {
			report(t, r, 10, result("/", "/body/x"))
			time.Sleep(time.Hour)
		}
		assert.Equal(t, []string{"1s: Difference /", "1h0m1s: Difference /"}, in.got())
		assert.Equal(t, time.Hour, in.all().posts[1][0].StartsAt.Sub(in.all().posts[0][0].StartsAt))
		assert.Equal(t, uint64(2), r.Stats().Alerts)
	})
}

// The repetition of the old one is still on its way.
func TestAnAlertThatComesBackWhileTheOldOneIsDeliveredIsDeliveredToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInbox()
		in.answer = func(n int) (*http.Response, error) {
			if n == 2 {
				time.Sleep(9 * time.Second)
			}
			return status(200), nil
		}
		r := open(t, alert.Options{Transport: in, Window: 10 * time.Second})
		happen(t, r, leak("/"))
		time.Sleep(time.Second)
		happen(t, r, leak("/"))
		time.Sleep(11 * time.Second)
		happen(t, r, leak("/"))
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"0s: Leak /", "5s: Leak /", "14s: Leak /"}, in.got())
		assert.Equal(t, uint64(2), r.Stats().Alerts)
	})
}

func TestATicketThatComesAndGoesIsNotRepeatedEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInbox()
		r := open(t, alert.Options{Receiver: alert.Slack("http://slack"), Transport: in, Wait: time.Second})
		for range 18 { // three hours
			report(t, r, 10, result("/", "/body/x"))
			happen(t, r, leak("/"))
			time.Sleep(10 * time.Minute)
		}
		tickets, pages := 0, 0
		for _, raw := range in.all().raw {
			tickets += strings.Count(string(raw), `"text":"*TICKET`)
			pages += strings.Count(string(raw), `"text":"*PAGE`)
		}
		assert.Equal(t, 1, tickets)
		assert.Equal(t, 18, pages, "each of them is a leak of its own")
	})
}

func TestEventsCountAndOnlyThoseWithAClassAreAlerts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInbox()
		r := open(t, alert.Options{Transport: in})
		for range 3 {
			happen(t, r, leak("GET /a"))
			happen(t, r, &shadow.Event{Kind: "side-effect", Mirror: "orders", Target: "v2"})
			happen(t, r, &shadow.Event{Kind: "breaker-open", Mirror: "orders", Target: "v2"})
			happen(t, r, &shadow.Event{Kind: "breaker-closed", Mirror: "orders", Target: "v2"})
			time.Sleep(time.Second)
		}
		list := r.Alerts()
		require.Len(t, list, 3)
		classes := map[string]alert.Class{}
		for _, a := range list {
			classes[a.Name] = a.Class
			assert.Equal(t, uint64(3), a.Count, a.Name)
		}
		assert.Equal(t, map[string]alert.Class{"ShadowLeak": alert.Page, "ShadowSideEffect": alert.Page, "ShadowBreakerOpen": alert.Ticket}, classes)

		own := open(t, alert.Options{Transport: in, Events: map[shadow.EventKind]alert.Class{"breaker-closed": alert.Ticket}})
		happen(t, own, leak("GET /a"))
		happen(t, own, &shadow.Event{Kind: "breaker-closed"})
		require.Len(t, own.Alerts(), 1)
		assert.Equal(t, "ShadowBreakerClosed", own.Alerts()[0].Name)
	})
}

func TestATicketIsKeptBackWhileItIsSuppressedAndAPageNever(t *testing.T) {
	for _, c := range []struct {
		name        string
		suppression alert.Suppression
		held        bool
	}{
		{"everything", alert.Suppression{}, true},
		{"its route", alert.Suppression{Route: "GET /a"}, true},
		{"another route", alert.Suppression{Route: "GET /b"}, false},
		{"its cause", alert.Suppression{Fingerprint: tally.Fingerprint(result("GET /a", "/body/x"))}, true},
		{"another cause", alert.Suppression{Fingerprint: tally.Fingerprint(result("GET /a", "/body/y"))}, false},
		{"later", alert.Suppression{From: time.Date(2000, 1, 1, 0, 20, 0, 0, time.UTC)}, false}, // bubbles begin in 2000
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				in := newInbox()
				r := open(t, alert.Options{Transport: in, Window: 10 * time.Minute})
				s := c.suppression
				s.Until, s.Reason, s.Owner = time.Now().Add(time.Hour), "a deployment", "ann"
				require.NoError(t, r.Suppress(s))
				happen(t, r, leak("GET /a"))
				report(t, r, 10, result("GET /a", "/body/x"))
				time.Sleep(time.Minute)
				want := []string{"0s: Leak GET /a"}
				if !c.held {
					want = append(want, "30s: Difference GET /a")
				}
				assert.Equal(t, want, in.got())
				assert.Equal(t, c.held, r.Stats().Suppressed == 1)
			})
		})
	}
}

func TestWhatStillGoesOnWhenASuppressionEndsIsSentThen(t *testing.T) {
	for _, goesOn := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			in := newInbox()
			r := open(t, alert.Options{Transport: in})
			require.NoError(t, r.Suppress(alert.Suppression{Until: time.Now().Add(time.Hour), Reason: "a deployment", Owner: "ann"}))
			for i := range 80 {
				if i == 0 || goesOn {
					report(t, r, 10, result("/", "/body/x"))
				}
				time.Sleep(time.Minute)
			}
			if goesOn {
				require.NotEmpty(t, in.got())
				assert.Equal(t, "1h0m0s: Difference /", in.got()[0])
			} else {
				assert.Empty(t, in.got())
			}
			assert.Empty(t, r.Suppressions(), "it has ended")
		})
	}
}

func TestASuppressionHasAReasonAnOwnerAndAnEnd(t *testing.T) {
	r := open(t, alert.Options{Transport: newInbox()})
	err := r.Suppress(alert.Suppression{Fingerprint: "4bf92f35"})
	require.Error(t, err)
	for _, part := range []string{`"4bf92f35" is not a fingerprint`, "Until,", "say the Reason", "name the Owner"} {
		assert.ErrorContains(t, err, part)
	}
	assert.Empty(t, r.Suppressions())
	s := alert.Suppression{Until: time.Now().Add(time.Hour), Reason: "x", Owner: "y"}
	for range 1000 {
		require.NoError(t, r.Suppress(s))
	}
	assert.ErrorContains(t, r.Suppress(s), "there are 1000 already")
	assert.Len(t, r.Suppressions(), 1000)
}

func TestADeliveryThatFailsIsTriedAgainWithWhatCameMeanwhile(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer func(n int) (*http.Response, error)
	}{
		{"no connection", func(int) (*http.Response, error) { return nil, errors.New("refused") }},
		{"server error", func(int) (*http.Response, error) { return status(502), nil }},
		{"busy", func(int) (*http.Response, error) { return status(429), nil }},
		{"slow", func(int) (*http.Response, error) { return status(408), nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				in := newInbox()
				in.answer = func(n int) (*http.Response, error) {
					if n <= 3 {
						return c.answer(n)
					}
					return status(200), nil
				}
				r := open(t, alert.Options{Transport: in})
				happen(t, r, leak("GET /a"))
				time.Sleep(3 * time.Second)
				happen(t, r, leak("GET /b"))
				time.Sleep(time.Minute)
				require.Len(t, in.all().posts, 4)
				assert.Len(t, in.all().posts[3], 2)
				s := r.Stats()
				assert.Equal(t, []uint64{2, 2, 3, 0}, []uint64{s.Alerts, s.Sent, s.Retries, s.Failed})
				for i, least := range []time.Duration{time.Second / 2, time.Second, 2 * time.Second} {
					pause := in.all().at[i+1] - in.all().at[i]
					assert.True(t, pause >= least && pause <= 3*least, "pause %d: %v", i, pause)
				}
			})
		})
	}
}

func TestAReceiverSaysWhenToTryAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInbox()
		in.answer = func(n int) (*http.Response, error) {
			switch n {
			case 1:
				return status(429, "Retry-After", "77"), nil
			case 2:
				return status(503, "Retry-After", "86400"), nil
			}
			return status(200), nil
		}
		r := open(t, alert.Options{Transport: in})
		happen(t, r, leak("/"))
		time.Sleep(time.Hour)
		assert.Equal(t, []string{"0s: Leak /", "1m17s: Leak /", "6m17s: Leak /"}, in.got(), "but not for days")
	})
}

func TestATicketIsGivenUpAndAPageIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInbox()
		var well atomic.Bool
		in.answer = func(int) (*http.Response, error) {
			if well.Load() {
				return status(200), nil
			}
			return status(500), nil
		}
		r := open(t, alert.Options{Transport: in, GiveUp: 5 * time.Minute})
		report(t, r, 10, result("/", "/body/x"))
		time.Sleep(20 * time.Minute)
		assert.Equal(t, uint64(1), r.Stats().Failed)
		assert.Empty(t, r.Alerts(), "the next time is the first time")
		tried := len(in.all().at)

		happen(t, r, leak("/"))
		time.Sleep(20 * time.Minute)
		well.Store(true)
		time.Sleep(time.Minute)
		s := r.Stats()
		assert.Greater(t, len(in.all().at), 2*tried)
		assert.Equal(t, uint64(1), s.Sent)
		assert.Greater(t, s.Failed, uint64(1))
		last := in.all().posts[len(in.all().posts)-1]
		require.Len(t, last, 1)
		assert.True(t, last[0].EndsAt.After(time.Now()), "it was over long ago, which is no reason to hide it")
	})
}

func TestWhatAReceiverRefusesIsNotTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, code := range []int{301, 400, 403, 404} {
			in := newInbox()
			in.answer = func(int) (*http.Response, error) { return status(code, "Location", "https://elsewhere/"), nil }
			r := open(t, alert.Options{Transport: in})
			report(t, r, 10, result("/", "/body/x"))
			time.Sleep(time.Hour)
			assert.Len(t, in.all().at, 1, code)
			assert.Equal(t, uint64(1), r.Stats().Failed)
			assert.ErrorContains(t, r.Stats().LastError, fmt.Sprint("Alertmanager answered ", code))
			assert.Error(t, r.Close())
		}
	})
}

func TestAReceiverThatHangsKeepsNoWorkerWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInbox()
		in.wait = make(chan struct{}) // for ever
		r := open(t, alert.Options{Transport: in, GiveUp: time.Minute})
		happen(t, r, leak("/"))
		time.Sleep(5 * time.Second)
		from := time.Now()
		for range 10_000 {
			report(t, r, 1, result("/", "/body/x"))
			happen(t, r, leak("/"))
		}
		assert.Zero(t, time.Since(from))
		from = time.Now()
		assert.Error(t, r.Close())
		assert.LessOrEqual(t, time.Since(from), 20*time.Second)
	})
}

func TestCloseDeliversWhatWaitsAndNothingComesAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInbox()
		r := open(t, alert.Options{Transport: in})
		report(t, r, 10, result("/", "/body/x"))
		require.NoError(t, r.Close())
		require.NoError(t, r.Close())
		assert.Equal(t, []string{"0s: Difference /"}, in.got())
		assert.ErrorIs(t, r.Report(t.Context(), result("/")), alert.ErrClosed)
		assert.ErrorIs(t, r.ReportEvent(t.Context(), leak("/")), alert.ErrClosed)
		assert.NoError(t, r.Flush(t.Context()))

		never := open(t, alert.Options{Transport: in})
		require.NoError(t, never.Flush(t.Context()), "there is nothing to wait for")
		require.NoError(t, never.Close())
	})
}

func TestCloseCountsWhatItCouldNotDeliver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInbox()
		in.answer = func(int) (*http.Response, error) { return status(500), nil }
		r := open(t, alert.Options{Transport: in})
		happen(t, r, leak("/"))
		report(t, r, 10, result("/", "/body/x"))
		time.Sleep(time.Second)
		assert.EqualError(t, r.Close(), "alert: Alertmanager answered 500 Internal Server Error")
		assert.Equal(t, uint64(2), r.Stats().Failed)
	})
}

func TestFlushSendsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInbox()
		in.answer = func(n int) (*http.Response, error) {
			if n == 1 {
				return status(500), nil
			}
			return status(200), nil
		}
		r := open(t, alert.Options{Transport: in})
		report(t, r, 10, result("/", "/body/x"))
		require.NoError(t, r.Flush(t.Context()))
		assert.Len(t, in.all().at, 2)

		in.answer = func(int) (*http.Response, error) { return status(500), nil }
		happen(t, r, leak("/"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		assert.ErrorIs(t, r.Flush(ctx), context.DeadlineExceeded)
	})
}

func TestAlertsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInbox()
		r := open(t, alert.Options{Transport: in, Max: 10})
		for i := range 25 {
			happen(t, r, leak(fmt.Sprint("GET /", i)))
		}
		assert.Len(t, r.Alerts(), 10)
		assert.Equal(t, uint64(15), r.Stats().Dropped)
		time.Sleep(time.Hour) // they have ended
		happen(t, r, leak("GET /new"))
		assert.Len(t, r.Alerts(), 1)
		assert.Equal(t, uint64(15), r.Stats().Dropped)
	})
}

func TestRoutesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInbox()
		r := open(t, alert.Options{Transport: in})
		for i := range 3000 {
			report(t, r, 1, result(fmt.Sprint("GET /", i)))
		}
		report(t, r, 10_000, result("GET /2999"))
		report(t, r, 10, result("GET /new", "/body/x"))
		assert.Empty(t, r.Alerts(), "it is ten of twelve thousand: they are counted with the others")
		report(t, r, 10, result("GET /1", "/body/x"))
		assert.Len(t, r.Alerts(), 1)
	})
}

// Paths that do not exist may each be a route. They leave room for those that exist.
func TestPathsThatDoNotExistLeaveRoomForRoutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInbox()
		r := open(t, alert.Options{Transport: in})
		for i := range 3000 {
			missing := result(fmt.Sprint("GET /", i))
			missing.Primary.StatusCode = 404 + i%2
			report(t, r, 1, missing)
		}
		report(t, r, 10_000, result("GET /2999"))
		report(t, r, 10, result("GET /orders/{id}", "/body/x"))
		if alerts := r.Alerts(); assert.Len(t, alerts, 1) {
			assert.Equal(t, "GET /orders/{id}", alerts[0].Route)
		}
	})
}

func TestAckSaysHowManyAlertsWereWorthIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInbox()
		r := open(t, alert.Options{Transport: in})
		happen(t, r, leak("GET /a"))
		happen(t, r, leak("GET /b"))
		happen(t, r, leak("GET /c"))
		of := map[string]string{}
		for _, a := range r.Alerts() {
			of[a.Route] = a.Fingerprint
		}
		assert.ErrorIs(t, r.Ack(of["GET /a"], true), alert.ErrUnknown, "nobody knows it yet")
		time.Sleep(time.Second)

		_, ok := r.Stats().Actionability()
		assert.False(t, ok)
		assert.Equal(t, map[string]float64{"alerts-unacked": 3}, r.Figures(t.Context()))

		require.NoError(t, r.Ack(of["GET /a"], true))
		require.NoError(t, r.Ack(of["GET /b"], true))
		require.NoError(t, r.Ack(of["GET /b"], false), "on second thoughts")
		assert.Equal(t, map[string]float64{"alerts-unacked": 1, "alert-actionability": 0.5}, r.Figures(t.Context()))
		assert.ErrorIs(t, r.Ack("0123456789abcdef", true), alert.ErrUnknown)

		time.Sleep(time.Hour)
		happen(t, r, leak("GET /a"))
		time.Sleep(time.Second)
		s := r.Stats()
		assert.Equal(t, []uint64{4, 1, 1}, []uint64{s.Alerts, s.Actionable, s.Dismissed}, "it has come back, and needs feedback of its own")
		counts := map[alert.Feedback]int{}
		for _, a := range r.Alerts() {
			counts[a.Feedback]++
		}
		assert.Equal(t, 2, counts[alert.Unacked])
	})
}

// A person with curl, or a button in a chat, says what an alert was worth.
func TestAckByHTTP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, alert.Options{Transport: newInbox()})
		happen(t, r, leak("GET /a"))
		time.Sleep(time.Second)
		ask := func(method, target, form string, header ...string) *httptest.ResponseRecorder {
			req := httptest.NewRequest(method, target, strings.NewReader(form))
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			for i := 0; i < len(header); i += 2 {
				req.Header.Set(header[i], header[i+1])
			}
			w := httptest.NewRecorder()
			r.ServeHTTP(w, req)
			return w
		}
		w := ask("GET", "/alerts.json", "")
		require.Equal(t, 200, w.Code)
		var list []alert.Alert
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &list))
		assert.Empty(t, cmp.Diff(r.Alerts(), list))
		assert.Contains(t, w.Body.String(), `"feedback":""`)
		of := list[0].Fingerprint

		assert.Equal(t, 204, ask("POST", "/ack", "actionable=true&fingerprint="+of).Code)
		assert.Equal(t, alert.Actionable, r.Alerts()[0].Feedback)
		assert.Equal(t, 204, ask("POST", "/ack?actionable=false&fingerprint="+of, "").Code)
		assert.Equal(t, alert.Dismissed, r.Alerts()[0].Feedback)

		for _, c := range []struct {
			method, target, form string
			want                 int
			says                 string
		}{
			{"POST", "/ack", "actionable=true&fingerprint=0123456789abcdef", 404, `no such alert with the fingerprint "0123456789abcdef"`},
			{"POST", "/ack", "actionable=true", 404, "no such alert"},
			{"POST", "/ack", "fingerprint=" + of, 400, "actionable has to be true or false"},
			{"POST", "/ack", "actionable=perhaps&fingerprint=" + of, 400, "actionable has to be true or false"},
			{"POST", "/ack", strings.Repeat("x", 5000) + "&actionable=true&fingerprint=" + of, 400, "actionable has to be true or false"},
			{"GET", "/ack?actionable=true&fingerprint=" + of, "", 405, "only POST"},
			{"POST", "/alerts.json", "", 405, "only GET"},
			{"GET", "/", "", 404, "there are /alerts.json and /ack"},
		} {
			w := ask(c.method, c.target, c.form)
			assert.Equal(t, c.want, w.Code, "%s %s", c.method, c.target)
			assert.Contains(t, w.Body.String(), c.says)
		}
		assert.Equal(t, 403, ask("POST", "/ack", "actionable=true&fingerprint="+of, "Sec-Fetch-Site", "cross-site").Code)
		assert.Equal(t, alert.Dismissed, r.Alerts()[0].Feedback, "a page of strangers has no say")
	})
}

func TestTheURLOfAReceiverIsShownNowhere(t *testing.T) {
	const hush = "T0-B0-hush"
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	redirects := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/elsewhere/"+hush, http.StatusTemporaryRedirect)
	}))
	defer redirects.Close()
	breaks := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer breaks.Close()

	for name, base := range map[string]string{"gone": gone.URL, "redirects": redirects.URL, "breaks": breaks.URL} {
		for _, receiver := range []alert.Receiver{
			alert.Slack(base + "/services/" + hush), alert.Slack(base + "/?token=" + hush),
			alert.Alertmanager(strings.Replace(base, "http://", "http://prometheus:"+hush+"@", 1)),
		} {
			r, err := alert.New(alert.Options{Receiver: receiver, Contact: contact})
			require.NoError(t, err)
			happen(t, r, leak("/"))
			err = r.Close()
			require.Error(t, err, name)
			var text strings.Builder
			for _, v := range []any{receiver, &receiver, err, r.Stats(), r.Alerts(), alert.Options{Receiver: receiver}} {
				fmt.Fprintf(&text, "%v %+v %#v %s %q %x\n", v, v, v, v, v, v)
				slog.New(slog.NewTextHandler(&text, nil)).Info("", "v", v)
				slog.New(slog.NewJSONHandler(&text, nil)).Info("", "v", v)
			}
			if at := strings.Index(text.String(), hush); at >= 0 {
				t.Errorf("%s: %s", name, text.String()[max(0, at-100):at])
			}
			assert.NotContains(t, text.String(), fmt.Sprintf("%x", hush), name)
		}
	}

	_, err := alert.New(alert.Options{Receiver: alert.Slack("https://hooks slack.com/" + hush), Contact: contact})
	require.Error(t, err)
	assert.NotContains(t, err.Error(), hush)
}

type loud struct{}

func (loud) RoundTrip(r *http.Request) (*http.Response, error) {
	return nil, fmt.Errorf("cannot reach %s", r.URL)
}

func TestATransportThatQuotesTheURLIsNotQuoted(t *testing.T) {
	r := open(t, alert.Options{Receiver: alert.Slack("https://hooks.slack.com/services/hush"), Transport: loud{}})
	happen(t, r, leak("/"))
	err := r.Close()
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v", r, r, r), "hush")
	assert.EqualError(t, err, "alert: Slack: *errors.errorString, whose text is not shown: it holds the URL")
}

func TestNoValueIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, receiver := range []alert.Receiver{alert.Slack("http://slack"), alert.Alertmanager("http://alertmanager")} {
			in := newInbox()
			r := open(t, alert.Options{Receiver: receiver, Transport: in})
			report(t, r, 10, result("/", "/body/x"))
			require.NoError(t, r.Close())
			require.Len(t, in.all().raw, 1)
			assert.Contains(t, string(in.all().raw[0]), "/body/x")
			assert.NotContains(t, string(in.all().raw[0]), "secret-of")
		}
	})
}

func TestTheFormOfASlackMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInbox()
		r := open(t, alert.Options{Receiver: alert.Slack("http://slack"), Transport: in})
		report(t, r, 12, result("GET /<!channel>&co", "/body/items/0/price"))
		happen(t, r, leak("GET /a"))
		require.NoError(t, r.Close())
		require.NotEmpty(t, in.all().raw)
		var all strings.Builder
		for _, raw := range in.all().raw {
			var pretty map[string]any
			require.NoError(t, json.Unmarshal(raw, &pretty))
			text, err := json.MarshalIndent(pretty, "", " ")
			require.NoError(t, err)
			all.Write(text)
		}
		out := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(all.String())
		assert.Contains(t, out, `GET /&lt;!channel&gt;&amp;co`)
		assert.NotContains(t, out, "<!")
		assert.Contains(t, out, "PAGE: leak in orders → v2, GET /a")
		assert.Contains(t, out, "12 of the last 12 comparisons differ, 12 of them like this")
		assert.Contains(t, out, "Status 200 became 200; /body/items/0/price changed. Example: 4bf92f35.")
		assert.Contains(t, out, "Owner: team-orders, runbook: https://runbooks.internal/shadow")
	})
}

func TestASlackMessageIsNeverTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInbox()
		r := open(t, alert.Options{Receiver: alert.Slack("http://slack"), Transport: in, Events: map[shadow.EventKind]alert.Class{"leak": alert.Ticket}})
		for i := range 200 {
			e := leak(fmt.Sprint(i, strings.Repeat("&", 1000)))
			e.Text, e.Mirror, e.ID = strings.Repeat("<", 10_000), strings.Repeat("&é", 500), "\xff"+strings.Repeat("ü", 500)
			happen(t, r, e)
		}
		require.NoError(t, r.Close())
		require.Len(t, in.all().raw, 1)
		var m struct {
			Blocks []struct{ Text struct{ Text string } }
		}
		require.NoError(t, json.Unmarshal(in.all().raw[0], &m))
		assert.Len(t, m.Blocks, 50)
		for _, b := range m.Blocks {
			assert.LessOrEqual(t, len([]rune(b.Text.Text)), 3000)
		}
		assert.Equal(t, "… and 152 more", m.Blocks[48].Text.Text)
	})
}

// A mirror, a candidate that differs, and a real server that is told.
func TestAMirrorTellsPeopleThroughARealServer(t *testing.T) {
	type request struct{ method, path, kind, body string }
	got := make(chan request, 10)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- request{r.Method, r.URL.Path, r.Header.Get("Content-Type"), string(body)}
	}))
	defer server.Close()
	alerts := open(t, alert.Options{Receiver: alert.Alertmanager(server.URL + "/prefix/"), Min: 1, Wait: time.Hour})

	answer := func(text string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) })
	}
	mirror, err := shadow.New(shadow.InProcess("v2", answer("new")), shadow.WithName("orders"), shadow.WithReporter(alerts))
	require.NoError(t, err)
	defer mirror.Close()
	mirror.Handler(answer("old")).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/orders/1", nil))
	require.NoError(t, mirror.Shutdown(t.Context()), "which flushes")

	one := <-got
	assert.Equal(t, []string{"POST", "/prefix/api/v2/alerts", "application/json"}, []string{one.method, one.path, one.kind})
	var posts []post
	require.NoError(t, json.Unmarshal([]byte(one.body), &posts))
	require.Len(t, posts, 1)
	assert.Equal(t, "orders → v2, GET /orders/{}: 1 of the last 1 comparisons differ, 1 of them like this", posts[0].Annotations["summary"])
	assert.Equal(t, contact.Runbook, posts[0].Annotations["runbook_url"])
	assert.Equal(t, map[string]string{"alertname": "ShadowDifference", "severity": "ticket", "mirror": "orders", "target": "v2",
		"route": "GET /orders/{}", "owner": "team-orders", "fingerprint": alerts.Alerts()[0].Fingerprint}, posts[0].Labels)
}

// The manual of operations has a row for each alert, with its class.
func TestTheManualHasEveryAlert(t *testing.T) {
	manual, err := os.ReadFile("../../docs/operations.md")
	require.NoError(t, err)
	written := map[string]alert.Class{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(Shadow[A-Za-z]+)` \\| (page|ticket) \\|").FindAllStringSubmatch(string(manual), -1) {
		written[row[1]] = alert.Class(row[2])
	}
	r := open(t, alert.Options{Transport: newInbox()})
	for _, kind := range []shadow.EventKind{
		shadow.EventLeak, shadow.EventSideEffect, shadow.EventCredentials, shadow.EventMaskFailed, shadow.EventBreakerOpen, shadow.EventOverhead, shadow.EventLoop,
		shadow.EventBreakerClosed, shadow.EventOverload, shadow.EventOverloadOver, shadow.EventOverheadOver, shadow.EventBudgetSpent, shadow.EventBudgetRenewed,
	} {
		happen(t, r, &shadow.Event{Kind: kind, Mirror: "orders", Target: "v2"})
	}
	report(t, r, 10, result("GET /a", "/body/x"))
	report(t, r, 10, failure("GET /a"))
	for i := range 30 {
		report(t, r, 1, result("GET /b", fmt.Sprintf("/body/name-%c", 'a'+i)))
	}
	raised := map[string]alert.Class{}
	for _, a := range r.Alerts() {
		raised[a.Name] = a.Class
	}
	assert.Equal(t, raised, written)
}

// ofNoise is a result of a route whose place at is different in each answer. Only where the
// control was asked that is known.
func ofNoise(controlled bool, more ...string) *shadow.Result {
	at := shadow.Diff{Path: "/body/at", Kind: shadow.Changed}
	res := result("GET /noisy", more...)
	if controlled {
		res.Noise, res.Control = []shadow.Diff{at}, &shadow.ControlDiffs{Diffs: []shadow.Diff{at}}
		return res
	}
	res.Outcome, res.Diffs = shadow.Mismatch, append(res.Diffs, at)
	return res
}

// With a control that is asked for one copy in ten, nine in ten of the results with nothing
// but noise are mismatches.
func TestNoiseRaisesNoAlertHoweverRarelyTheControlIsAsked(t *testing.T) {
	for _, first := range []int{0, 20} { // results before the control was ever asked
		synctest.Test(t, func(t *testing.T) {
			in := newInbox()
			r := open(t, alert.Options{Transport: in})
			report(t, r, first, ofNoise(false))
			for range 100 {
				report(t, r, 1, ofNoise(true))
				report(t, r, 9, ofNoise(false))
			}
			require.NoError(t, r.Flush(t.Context()))
			time.Sleep(time.Minute)
			assert.Empty(t, in.got())
			assert.Empty(t, r.Alerts())

			for range 100 {
				report(t, r, 1, ofNoise(true, "/body/total"))
				report(t, r, 9, ofNoise(false, "/body/total"))
			}
			time.Sleep(time.Minute)
			require.Len(t, r.Alerts(), 1, "what is more than noise is told")
			assert.Contains(t, r.Alerts()[0].Text, "/body/total changed")
			assert.NotContains(t, r.Alerts()[0].Text, "/body/at")
		})
	}
}

// Noise that comes and goes is as frequent in the control as in the candidate.
func TestNoiseThatComesAndGoesRaisesNoAlert(t *testing.T) {
	candidate, control := result("GET /flaky", "/body/rank"), result("GET /flaky")
	candidate.Control = &shadow.ControlDiffs{}
	control.Control = &shadow.ControlDiffs{Diffs: []shadow.Diff{{Path: "/body/rank", Kind: shadow.Changed}}}
	for n, want := range map[int]int{200: 0, 100: 1} { // of the control
		r := open(t, alert.Options{Transport: newInbox()})
		report(t, r, n, control)
		report(t, r, 200, candidate)
		assert.Len(t, r.Alerts(), want, n)
	}
	both := result("GET /flaky", "/body/rank")
	both.Control = &shadow.ControlDiffs{Diffs: []shadow.Diff{{Path: "/body/rank", Kind: shadow.Missing}}}
	r := open(t, alert.Options{Transport: newInbox()})
	report(t, r, 8, both)
	assert.Empty(t, r.Alerts(), "each is set off by what the control shows, of another kind")
}

// A mirror without a control, or whose control is not asked, is judged by all it has.
func TestWithoutAControlEveryDifferenceCounts(t *testing.T) {
	r := open(t, alert.Options{Transport: newInbox()})
	report(t, r, 10, ofNoise(false))
	assert.Len(t, r.Alerts(), 1)
}

// Two candidates that fail in the same way are two alerts.
func TestEachTargetHasItsOwnAlert(t *testing.T) {
	r := open(t, alert.Options{Transport: newInbox()})
	for _, target := range []string{"v2", "v3"} {
		differs, fails := result("GET /orders", "/body/total"), failure("GET /orders")
		differs.Target, fails.Target = target, target
		report(t, r, 20, differs)
		report(t, r, 20, fails)
		leaks := leak("GET /orders")
		leaks.Target = target
		happen(t, r, leaks)
	}
	targets := map[string]int{}
	for _, a := range r.Alerts() {
		targets[a.Target]++
	}
	assert.Equal(t, map[string]int{"v2": 3, "v3": 3}, targets)
}

// What is kept of names does not grow with them.
func TestLongNamesAreNotKept(t *testing.T) {
	const long = 1 << 20
	r := open(t, alert.Options{Transport: newInbox()})
	heap := func() int64 {
		var s runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&s)
		return int64(s.HeapAlloc)
	}
	before := heap()
	for i := range 100 {
		name := strings.Repeat(string(rune('a'+i%26)), long) + fmt.Sprint(i)
		short := name[long/2 : long/2+10] // a part keeps the whole alive
		res := result(fmt.Sprint(i)+name, "/body/"+name)
		res.Mirror = short
		report(t, r, 10, res)
		happen(t, r, &shadow.Event{Kind: "leak", Mirror: short, Target: short, Route: fmt.Sprint(i) + name, Text: name, ID: name})
	}
	require.Len(t, r.Alerts(), 200)
	assert.Less(t, heap()-before, int64(4<<20))
	runtime.KeepAlive(r)
	require.ErrorContains(t, r.Suppress(alert.Suppression{Until: time.Now().Add(time.Hour), Route: strings.Repeat("r", 257), Reason: "r", Owner: "o"}), "at most 256 bytes")
}
