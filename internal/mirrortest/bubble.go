package mirrortest

import (
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

// Bubble is a Mirror in a synctest bubble.
type Bubble struct {
	*shadow.Mirror
	Events *Events
	Front  http.Handler // the Mirror around its primary
}

// InBubble runs test in a synctest bubble with a Mirror of primary to target, which is
// Isolated. The load of the machine drops no copy. At the end the counts must add up.
func InBubble(t *testing.T, primary http.Handler, target shadow.Target, test func(t *testing.T, m *Bubble), opts ...shadow.Option) {
	t.Helper()
	InLoadedBubble(t, primary, target, test, append(opts, Calm)...)
}

// InLoadedBubble is InBubble with load shedding as the options have it.
func InLoadedBubble(t *testing.T, primary http.Handler, target shadow.Target, test func(t *testing.T, m *Bubble), opts ...shadow.Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		events := &Events{}
		m, err := shadow.New(Isolated(target), append(opts, shadow.WithReporter(events))...)
		require.NoError(t, err)
		defer m.Close()
		test(t, &Bubble{Mirror: m, Events: events, Front: m.Handler(primary)})
		Counts(t, m)
	})
}

// Ask sends n requests, one after the other, and awaits the end of each one's copy.
func (m *Bubble) Ask(n int) {
	for range n {
		Get(m.Front, "/")
		Rest()
	}
}

// Pass lets d go by.
func (m *Bubble) Pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// Breaker returns the state of the breaker of the target name.
func (m *Bubble) Breaker(name string) shadow.BreakerState { return m.Stats().Targets[name].Breaker }

// Rest waits, in a bubble, until copies have come to their end. One may wait for a worker
// that lingers.
func Rest() {
	time.Sleep(Lingers)
	synctest.Wait()
}

// Lingers is how long an idle worker waits for the next copy.
const Lingers = 100 * time.Microsecond

// Switched is a handler that can be exchanged while it serves.
type Switched struct {
	handler atomic.Pointer[http.HandlerFunc]
	Asked   atomic.Int64
}

// To has s answer as h does from now on.
func (s *Switched) To(h http.HandlerFunc) *Switched {
	s.handler.Store(&h)
	return s
}

func (s *Switched) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.Asked.Add(1)
	(*s.handler.Load())(w, r)
}

// Handlers that answer "ok", answer 500, and wait until they are cancelled.
var (
	Fine   = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })
	Broken = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	Hung   = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
)

// Sleeping returns a handler that answers "ok" after d.
func Sleeping(d time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(d)
		io.WriteString(w, "ok")
	}
}

// FailingWith returns a target named v2 whose Transport returns err.
func FailingWith(err error) shadow.Target {
	return shadow.Target{Name: "v2", Transport: RoundTripper(func(*http.Request) (*http.Response, error) { return nil, err })}
}
