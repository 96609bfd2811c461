package shadow

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow/internal/limit"
	"github.com/goshadow/shadow/internal/notice"
)

// logLines is a logger's output, line by line.
type logLines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// events are the kinds of events that were logged and the copies they had cost, in order.
func (l *logLines) events(t *testing.T) (list []string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buf.String()) {
		var attrs struct {
			Event string
			Lost  *uint64
		}
		require.NoError(t, json.Unmarshal([]byte(line), &attrs))
		if attrs.Event == "" {
			continue
		}
		if attrs.Lost != nil {
			attrs.Event += fmt.Sprint(" ", *attrs.Lost)
		}
		list = append(list, attrs.Event)
	}
	return list
}

// loggedIn runs f in a bubble, with a Mirror that logs to what is returned.
func loggedIn(t *testing.T, target Target, f func(t *testing.T, m *Mirror), opts ...Option) *logLines {
	t.Helper()
	log := &logLines{}
	target.Isolated = true
	synctest.Test(t, func(t *testing.T) {
		logger := slog.New(slog.NewJSONHandler(log, nil))
		m, err := New(target, append([]Option{WithLoadShedding(LoadSheddingOptions{Off: true}), WithBreaker(BreakerOptions{Off: true}), WithLogger(logger)}, opts...)...)
		require.NoError(t, err)
		f(t, m)
		require.NoError(t, m.Shutdown(t.Context()))
	})
	assert.NotContains(t, log.buf.String(), "secret", "no value of a request is logged")
	return log
}

// ask sends n requests through m.
func ask(m *Mirror, n int, primary http.Handler, body string) {
	h := m.Handler(primary)
	for range n {
		var r io.Reader
		if body != "" {
			r = io.MultiReader(strings.NewReader(body)) // of unknown length
		}
		req := httptest.NewRequest("POST", "/users/1234567secret?q=secret", r)
		req.Header.Set("Authorization", "secret")
		h.ServeHTTP(httptest.NewRecorder(), req)
	}
}

var (
	posting  = WithMethods("POST")
	quick    = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	readsAll = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
	slowly   = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(time.Second) })
	failing  = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
)

// Each kind of what a user would want to know is one line when it begins, and one when it is
// over, with the number of copies it has cost.
func TestEachEventIsLoggedOnceWithWhatItCost(t *testing.T) {
	v2 := func(h http.Handler) Target { return InProcess("v2", h) }
	for name, c := range map[string]struct {
		target Target
		opts   []Option
		run    func(t *testing.T, m *Mirror)
		want   []string
	}{
		"queue full": {v2(slowly), []Option{WithConcurrency(1), WithQueue(2, 1<<20)}, func(_ *testing.T, m *Mirror) {
			ask(m, 50, quick, "")
			time.Sleep(time.Minute)
		}, []string{"queue-full 47", "queue-room 47"}},
		"bytes full": {v2(slowly), []Option{WithConcurrency(1), WithQueue(100, 2000), WithMaxBody(900)}, func(_ *testing.T, m *Mirror) {
			ask(m, 10, readsAll, strings.Repeat("secret ", 100))
			time.Sleep(time.Minute)
		}, nil},
		"queue full, in Parallel": {v2(slowly), []Option{WithConcurrency(1), WithQueue(2, 1<<20), WithTiming(Parallel)}, func(_ *testing.T, m *Mirror) {
			ask(m, 50, quick, "")
			time.Sleep(time.Minute)
		}, []string{"queue-full 47", "queue-room 47"}},
		"body too large": {v2(quick), []Option{WithMaxBody(3)}, func(_ *testing.T, m *Mirror) {
			ask(m, 5, readsAll, "secret")
			time.Sleep(time.Minute)
			ask(m, 1, readsAll, "secret")
			time.Sleep(time.Second)
		}, []string{"dropped 5", "dropped-over 5", "dropped 6"}},
		"reporter fails": {v2(quick), []Option{WithReporter(ReporterFunc(func(context.Context, *Result) error { return errors.New("secret") }))},
			func(_ *testing.T, m *Mirror) {
				ask(m, 7, quick, "")
				time.Sleep(time.Minute)
			}, []string{"unreported 7", "reported 7"}},
		"breaker": {v2(failing), []Option{WithBreaker(BreakerOptions{Min: 5, Pause: 10 * time.Second})}, func(_ *testing.T, m *Mirror) {
			for range 8 {
				ask(m, 1, quick, "")
				time.Sleep(time.Millisecond)
			}
			time.Sleep(11 * time.Second)
			for range 2 { // a probe fails, and so do the next ones
				ask(m, 1, quick, "")
				time.Sleep(11 * time.Second)
			}
		}, []string{"breaker-open 0", "breaker-half-open 3"}},
		"breaker closes": {v2(quick), []Option{WithBreaker(BreakerOptions{Min: 5, Pause: 10 * time.Second, Probes: 1})}, func(_ *testing.T, m *Mirror) {
			for range 5 {
				var c limit.Copy
				m.limits.Admit(&c, 0, false)
				m.limits.Record(limit.Candidate, &c, limit.Result{Err: io.EOF})
				m.limits.Leave()
			}
			ask(m, 4, quick, "")
			time.Sleep(11 * time.Second)
			ask(m, 1, quick, "")
			synctest.Wait()
		}, []string{"breaker-open 0", "breaker-half-open 4", "breaker-closed 4"}},
		"budget": {v2(quick), []Option{WithBudget(Budget{Window: time.Hour, Requests: 3})}, func(_ *testing.T, m *Mirror) {
			ask(m, 10, quick, "")
			synctest.Wait()
			time.Sleep(time.Hour)
			ask(m, 1, quick, "")
			synctest.Wait()
		}, nil},
		"panic": {v2(quick), []Option{WithRoute(func(*http.Request) string { panic("secret") })}, func(_ *testing.T, m *Mirror) {
			ask(m, 5, quick, "")
			synctest.Wait()
		}, nil},
		"mask fails": {func() Target {
			t := InProcess("v2", quick)
			t.Masker = MaskerFunc(func(*Message) error { return errors.New("secret") })
			return t
		}(), nil,
			func(_ *testing.T, m *Mirror) {
				ask(m, 5, quick, "")
				synctest.Wait()
			}, []string{"mask-failed 0"}},
		"nothing": {v2(quick), nil, func(_ *testing.T, m *Mirror) {
			ask(m, 5, quick, "")
			time.Sleep(time.Hour)
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			log := loggedIn(t, c.target, c.run, append([]Option{posting}, c.opts...)...)
			got := log.events(t)
			switch name {
			case "budget":
				require.Len(t, got, 2)
				assert.Contains(t, got[0], "budget-spent ")
				assert.Contains(t, got[1], "budget-renewed ")
			case "bytes full": // how many copies fit depends on how buffers grow
				require.Len(t, got, 2)
				assert.Regexp(t, "^queue-full [1-9]", got[0])
				assert.Regexp(t, "^queue-room [1-9]", got[1])
			case "panic":
				assert.Equal(t, 1, strings.Count(log.buf.String(), "recovered a panic"))
				assert.Empty(t, got)
			default:
				assert.Equal(t, c.want, got)
			}
		})
	}
}

// With the reporter that logs results, and nothing else set, nothing is lost in silence.
func TestByDefaultWhatIsLostIsLogged(t *testing.T) {
	log := &logLines{}
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(log, nil)))
	defer slog.SetDefault(before)
	synctest.Test(t, func(t *testing.T) {
		target := InProcess("v2", slowly)
		target.Isolated = true
		m, err := New(target, posting, WithConcurrency(1), WithQueue(5, 1<<20), WithLoadShedding(LoadSheddingOptions{Off: true}),
			WithReporter(LogReporter(nil)))
		require.NoError(t, err)
		ask(m, 200, quick, "")
		time.Sleep(time.Minute)
		require.NoError(t, m.Shutdown(t.Context()))
		assert.Equal(t, uint64(194), m.Stats().Dropped[ReasonQueueFull])
	})
	assert.Equal(t, []string{"queue-full 194", "queue-room 194"}, log.events(t))
}

// However often something happens, the log is not flooded: and it says what it left out.
func TestEventsAreLoggedAtABoundedRate(t *testing.T) {
	log := loggedIn(t, InProcess("v2", quick), func(_ *testing.T, m *Mirror) {
		for range 1000 {
			m.notify(Event{Kind: EventSideEffect, Text: "x"})
		}
		m.notify(Event{Kind: EventSideEffect, Target: "control", Text: "x"})
		time.Sleep(time.Minute)
		m.notify(Event{Kind: EventSideEffect, Text: "x"})
	})
	assert.Len(t, log.events(t), notice.Burst+2)
	assert.Contains(t, log.buf.String(), fmt.Sprintf(`"skipped":%d}`, 1000-notice.Burst))
}
