package shadow_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

// These hold what docs/operations.md says of each bound, by the heap: with the options that a
// Mirror has by default, but for a smaller budget and breakers that do not matter here, and
// requests made to break it.

// heap is how many bytes are reachable.
func heap() int64 {
	runtime.GC()
	runtime.GC() // what the first one has put aside in pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

const (
	budget = 8 << 20 // of WithQueue
	slack  = 3 << 20 // what is not counted: the structs of 130 copies, pools, the test itself
)

// stuck is a target outside of this process that does not answer: 64 copies run.
func stuck() (target shadow.Target, asked *atomic.Int64) {
	asked = &atomic.Int64{}
	return shadow.Target{Name: "v2", Isolated: true, Timeout: time.Hour, Masker: shadow.DropCredentials(), Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		asked.Add(1)
		<-r.Context().Done()
		asked.Add(-1)
		return nil, r.Context().Err()
	})}, asked
}

// still waits until all copies of m that run have been sent.
func still(t *testing.T, m *shadow.Mirror, asked *atomic.Int64) {
	require.Eventually(t, func() bool {
		s := m.Stats()
		return int64(s.Running) == asked.Load() && (s.Queued == 0 || s.Running == 64)
	}, time.Minute, time.Millisecond)
}

func gzipped(t testing.TB, data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(data)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

// Whatever a request is made of, what the copies that wait and run hold of it is within the
// budget, and what does not fit is dropped.
func TestWhatCopiesHoldIsWithinTheBudget(t *testing.T) {
	const big = 300 << 10
	long := func(i int) string { return fmt.Sprint(i) + strings.Repeat("x", big) }
	zeros := gzipped(t, make([]byte, 1<<20))
	ok := text("ok")
	get := func(path string) *http.Request { return httptest.NewRequest("GET", path, nil) }
	for name, c := range map[string]struct {
		primary http.HandlerFunc
		request func(i int) *http.Request
	}{
		"a long field": {ok, func(i int) *http.Request {
			r := get("/")
			r.Header.Set("X-A", long(i))
			return r
		}},
		"many fields": {ok, func(i int) *http.Request {
			r := get("/")
			for k := range 4_000 {
				r.Header.Set(fmt.Sprint("X-", i, "-", k), "v")
			}
			return r
		}},
		"many values": {ok, func(i int) *http.Request {
			r := get("/")
			for k := range 8_000 {
				r.Header.Add("X-A", fmt.Sprint(k))
			}
			return r
		}},
		"a long path":  {ok, func(i int) *http.Request { return get("/" + long(i)) }},
		"a long query": {ok, func(i int) *http.Request { return get("/?" + long(i)) }},
		"a long host": {ok, func(i int) *http.Request {
			r := get("/")
			r.Host = long(i)
			return r
		}},
		"a long trailer": {ok, func(i int) *http.Request {
			r := httptest.NewRequest("POST", "/", strings.NewReader("body"))
			r.Trailer = http.Header{"X-A": {long(i)}}
			return r
		}},
		"a long body": {ok, func(i int) *http.Request { return httptest.NewRequest("POST", "/", io.LimitReader(endless{}, big)) }},
		"a body that decodes to a long one": {ok, func(i int) *http.Request {
			r := httptest.NewRequest("POST", "/", bytes.NewReader(zeros))
			r.Header.Set("Content-Encoding", "gzip")
			return r
		}},
		"an answer that decodes to a long one": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(zeros)
		}, func(i int) *http.Request { return get("/") }},
		"a long answer": {func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, long(0)) },
			func(i int) *http.Request { return get("/") }},
		"a long field of the answer": {func(w http.ResponseWriter, r *http.Request) { w.Header().Set("X-A", long(len(r.URL.Path))) },
			func(i int) *http.Request { return get("/") }},
		"a long trailer of the answer": {func(w http.ResponseWriter, r *http.Request) {
			w.Write(nil)
			w.Header().Set(http.TrailerPrefix+"X-A", long(len(r.URL.Path)))
		}, func(i int) *http.Request { return get("/") }},
	} {
		for _, timing := range []shadow.Timing{shadow.AfterPrimary, shadow.Parallel} {
			t.Run(name+" "+string(timing), func(t *testing.T) {
				target, asked := stuck()
				m, err := shadow.New(target, allMethods, calm, shadow.WithTiming(timing), shadow.WithQueue(256, budget))
				require.NoError(t, err)
				defer m.Close()
				h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					io.Copy(io.Discard, r.Body)
					c.primary(w, r)
				}))
				before := heap()
				for i := range 130 { // 64 may run
					h.ServeHTTP(discardWriter{http.Header{}}, c.request(i))
					assert.LessOrEqual(t, m.Stats().QueuedBytes, int64(budget))
				}
				still(t, m, asked)
				held := heap() - before
				assert.Less(t, held, int64(budget+slack), "bytes of heap")
				assert.Positive(t, m.Stats().Running)
				t.Logf("%d KiB of heap, %d KiB counted; %d run, %d wait, dropped: %v",
					held>>10, m.Stats().QueuedBytes>>10, m.Stats().Running, m.Stats().Queued, m.Stats().Dropped)
				require.NoError(t, m.Close())
				require.Eventually(t, func() bool { return m.Stats().QueuedBytes == 0 }, time.Minute, time.Millisecond, "all is given back")
			})
		}
	}
}

// endless is a body that comes from a connection: nobody holds it.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// discardWriter is a client that keeps nothing.
type discardWriter struct{ header http.Header }

func (w discardWriter) Header() http.Header         { return w.header }
func (w discardWriter) Write(p []byte) (int, error) { return len(p), nil }
func (w discardWriter) WriteHeader(int)             {}

// With a small budget the heap is small, too: decoded bodies are part of it.
func TestDecodedBodiesCountAgainstTheBudget(t *testing.T) {
	const limit = 4 << 20
	zeros := gzipped(t, make([]byte, 1<<20))
	target, asked := stuck()
	m, err := shadow.New(target, allMethods, calm, shadow.WithQueue(256, limit))
	require.NoError(t, err)
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Encoding", "gzip")
		w.Write(zeros)
	}))
	before := heap()
	for range 64 {
		r := httptest.NewRequest("POST", "/", bytes.NewReader(zeros))
		r.Header.Set("Content-Encoding", "gzip")
		h.ServeHTTP(discardWriter{http.Header{}}, r)
	}
	still(t, m, asked)
	held := heap() - before
	assert.Less(t, held, int64(limit+slack))
	assert.Positive(t, m.Stats().Dropped[shadow.ReasonBytesFull])
	t.Logf("%d KiB", held>>10)
	require.NoError(t, m.Close())
	require.Eventually(t, func() bool { return m.Stats().QueuedBytes == 0 }, time.Minute, time.Millisecond, "all is given back")
}

// An answer that the budget has no room for is not compared: it is no difference.
func TestAnAnswerThatHasNoRoomIsUncompared(t *testing.T) {
	zeros := gzipped(t, bytes.Repeat([]byte(`{"a":1,"n":1} `), 20<<10))
	other := gzipped(t, bytes.Repeat([]byte(`{"a":1,"n":2} `), 20<<10))
	coded := func(body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Header().Set("Content-Type", "application/x-ndjson")
			w.Write(body)
		}
	}
	long := strings.Repeat("x", 300<<10)
	for name, c := range map[string]struct{ primary, candidate http.HandlerFunc }{
		"decoded, of the primary":   {coded(zeros), coded(gzipped(t, []byte("{}")))},
		"decoded, of the candidate": {coded(gzipped(t, []byte("{}"))), coded(other)},
		"decoded, of both":          {coded(zeros), coded(other)},
		"as it came":                {text("{}"), text(long)},
	} {
		t.Run(name, func(t *testing.T) {
			m, results := mirror(t, shadow.InProcess("v2", c.candidate), shadow.WithQueue(1, 256<<10))
			getFrom(m.Handler(c.primary), "/")
			require.NoError(t, m.Shutdown(t.Context()))
			res := results.All()[0]
			assert.Equal(t, shadow.Uncompared, res.Outcome)
			assert.ErrorIs(t, res.Err, shadow.ErrBody)
			assert.ErrorContains(t, res.Err, "WithQueue")
			assert.Zero(t, m.Stats().QueuedBytes)
		})
	}
}

// The header of an answer is limited in process as it is on the network.
func TestTheHeaderOfAnAnswerIsLimited(t *testing.T) {
	h := func(bytes int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-A", strings.Repeat("x", bytes)) }
	}
	srv, _ := server(t, h(300<<10), false)
	for name, target := range map[string]shadow.Target{
		"in process": shadow.InProcess("v2", h(300<<10)), "remote": shadow.Remote("v2", srv.URL),
	} {
		m, results := mirror(t, target)
		getFrom(m.Handler(text("ok")), "/")
		settled(t, m, string(shadow.Failed), results)
		assert.Error(t, results.All()[0].Err, name)
	}
	m, results := mirror(t, shadow.InProcess("v2", h(200<<10)))
	getFrom(m.Handler(h(200<<10)), "/")
	settled(t, m, match, results)
}

// The names of routes that are kept are bounded in bytes and number.
func TestRoutesAreBounded(t *testing.T) {
	for name, opts := range map[string][]shadow.Option{
		"templates": nil,
		"names":     {shadow.WithRoute(func(r *http.Request) string { return r.Method + " " + r.URL.Path })},
		"masked":    {shadow.WithMasker(shadow.MaskPath("/never/{secret}"))},
	} {
		t.Run(name, func(t *testing.T) {
			var longest int
			m, err := shadow.New(shadow.InProcess("v2", http.NotFoundHandler()), append(opts, shadow.WithReporter(
				shadow.ReporterFunc(func(_ context.Context, r *shadow.Result) error {
					longest = max(longest, len(r.Route))
					return nil
				})), calm, shadow.WithConcurrency(1), shadow.WithQueue(3000, 64<<20))...)
			require.NoError(t, err)
			h := m.Handler(http.NotFoundHandler())
			before := heap()
			for i := range 1100 {
				path := "/" + strings.Repeat(string(rune('a'+i%26))+"/", 5000) // no part of it looks like an identifier
				h.ServeHTTP(discardWriter{http.Header{}}, httptest.NewRequest("GET", "/"+letters(i)+path, nil))
			}
			require.NoError(t, m.Shutdown(t.Context()))
			assert.Less(t, heap()-before, int64(4<<20))
			assert.LessOrEqual(t, longest, 256)
			assert.LessOrEqual(t, len(m.Coverage()), 1001)
			assert.Greater(t, len(m.Coverage()), 900, "long ones are still told apart by how they begin")
			for _, c := range m.Coverage() {
				assert.LessOrEqual(t, len(c.Route), 256)
			}
		})
	}
}

// letters spells i in letters.
func letters(i int) string {
	return strings.Map(func(r rune) rune { return r - '0' + 'a' }, fmt.Sprint(i))
}

// What a Masker works on is part of the budget. A copy that it has no room for is not sent.
func TestWhatAMaskWorksOnCountsAgainstTheBudget(t *testing.T) {
	body := strings.Repeat("x", 300<<10)
	post := func() *http.Request { return httptest.NewRequest("POST", "/", strings.NewReader(body)) }
	for limit, fits := range map[int64]bool{512 << 10: false, 1 << 20: true} {
		target, asked := stuck()
		m, err := shadow.New(target, allMethods, calm, shadow.WithQueue(1, limit))
		require.NoError(t, err)
		m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })).ServeHTTP(discardWriter{http.Header{}}, post())
		if fits {
			still(t, m, asked)
			assert.EqualValues(t, 1, asked.Load())
			assert.Greater(t, m.Stats().QueuedBytes, int64(600<<10))
		} else {
			require.Eventually(t, func() bool { return m.Stats().Dropped[shadow.ReasonBytesFull] == 1 }, time.Minute, time.Millisecond)
			assert.Zero(t, asked.Load())
		}
		require.NoError(t, m.Close())
		require.Eventually(t, func() bool { return m.Stats().QueuedBytes == 0 }, time.Minute, time.Millisecond, "all is given back")
	}
}

// A copy that is given up while its worker still holds it is reported without its bodies where
// there is no room for two of them.
func TestALateCopyCountsAgainstTheBudget(t *testing.T) {
	for limit, whole := range map[int64]bool{512 << 10: false, 2 << 20: true} {
		var release chan struct{}
		inBubble(t, text(strings.Repeat("x", 300<<10)), shadow.Target{Name: "v2", Timeout: time.Second, Transport: roundTripper(func(*http.Request) (*http.Response, error) {
			<-release // whatever its context says
			return nil, io.EOF
		})}, func(t *testing.T, m *limited) {
			release = make(chan struct{}) // of the bubble
			getFrom(m.Front, "/")
			synctest.Wait()
			require.EqualValues(t, 1, m.Stats().Running, "a worker holds it")
			m.Pass(time.Minute)
			require.Len(t, m.Events.All(), 1)
			res := m.Events.All()[0]
			assert.ErrorIs(t, res.Err, shadow.ErrTimeout)
			assert.Equal(t, whole, len(res.Primary.Body) == 300<<10)
			assert.Equal(t, !whole, res.Primary.Truncated)
			close(release)
			rest()
			assert.Zero(t, m.Stats().QueuedBytes, "all is given back")
		}, shadow.WithQueue(1, limit))
	}
}

// However many copies run, few pairs of bodies are compared at a time: what a comparison takes
// besides the bodies is taken as often as there are processors, at most 8 times.
func TestFewBodiesAreComparedAtATime(t *testing.T) {
	message := func(i int) *shadow.Message {
		return &shadow.Message{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}},
			Body: []byte("[" + strings.Repeat(fmt.Sprintf(`{"a":%d},`, i), 16<<10) + "0]")}
	}
	c, err := shadow.NewComparator(shadow.CompareOptions{Unordered: []string{"$"}})
	require.NoError(t, err)
	x := &shadow.Exchange{Primary: message(1), Shadow: message(2)}
	defer debug.SetGCPercent(debug.SetGCPercent(10))
	peak := func(n int) int64 {
		before, most := heap(), int64(0)
		var all sync.WaitGroup
		for range n {
			all.Go(func() { c.Compare(x) })
		}
		done := make(chan struct{})
		go func() { all.Wait(); close(done) }()
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, int64(m.HeapAlloc)-before)
			select {
			case <-done:
				return most
			default:
				runtime.Gosched()
			}
		}
	}
	one, many := max(peak(1), peak(1)), peak(16)
	t.Logf("%d KiB for one comparison of %d KiB and as much, %d KiB for 16", one>>10, len(x.Primary.Body)>>10, many>>10)
	assert.Less(t, many, one*int64(min(runtime.GOMAXPROCS(0), 8)+2))
}

// What the masks of a record write, and the values that are read back from it, are part of the
// budget. Where there is no room the result is reported without its content.
func TestWhatARecordMaskWritesCountsAgainstTheBudget(t *testing.T) {
	answer := func(v string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, `{"pin":"1234","v":"`+v+strings.Repeat("x", 100<<10)+`"}`)
		}
	}
	for limit, fits := range map[int64]bool{400 << 10: false, 512 << 10: true} {
		var m *shadow.Mirror
		var held, size int64
		var withheld bool
		reporter := shadow.ReporterFunc(func(_ context.Context, r *shadow.Result) error {
			held, withheld = m.Stats().QueuedBytes, errors.Is(r.Err, shadow.ErrWithheld)
			size = int64(len(r.Primary.Body) + len(r.Shadow.Body))
			for _, d := range r.Diffs {
				size += int64(len(d.Primary) + len(d.Shadow))
			}
			return nil
		})
		m, err := shadow.New(shadow.InProcess("v2", answer("b")), calm, shadow.WithQueue(1, limit),
			shadow.WithReporter(reporter), shadow.WithRecordMasker(shadow.MaskJSON("$.pin")))
		require.NoError(t, err)
		h := m.Handler(answer("a"))
		getFrom(h, "/")
		require.NoError(t, m.Drain(t.Context()))
		assert.Equal(t, !fits, withheld)
		if fits {
			assert.Greater(t, size, int64(200<<10))
			assert.GreaterOrEqual(t, held, 2*size-8<<10, "the answers, and as many bytes masked")
		}
		assert.EqualValues(t, 1, m.Stats().Mismatch)
		assert.Equal(t, !fits, m.Stats().Unreported == 1)
		assert.Zero(t, m.Stats().QueuedBytes, "all is given back")
		require.NoError(t, m.Close())
	}
}

func TestALongRequestIDIsCut(t *testing.T) {
	r := get()
	r.Header.Set("X-Request-Id", strings.Repeat("i", 200))
	assert.Equal(t, strings.Repeat("i", 128), exchange(t, ok, candidate(), r).ID)
}

// What a difference holds of a value is its beginning, wherever the value stands.
func TestLongValuesOfDifferencesAreCut(t *testing.T) {
	answer := func(v string) said {
		long := strings.Repeat(v, 5_000)
		return said{header: http.Header{"Content-Type": {"application/json"}, "X-A": {long}}, body: `{"a":"` + long + `"}`}
	}
	text := func(v string) said { return saidLines(strings.Repeat(v, 5_000)) }
	diffs := append(exchange(t, answer("a"), shadow.InProcess("v2", answer("b")), get()).Diffs,
		exchange(t, text("a"), shadow.InProcess("v2", text("b")), get()).Diffs...)
	require.Len(t, diffs, 3)
	for _, d := range diffs {
		for _, value := range []string{string(d.Primary), string(d.Shadow)} {
			assert.Greater(t, len(value), 1_000, d.Path)
			assert.LessOrEqual(t, len(value), 1<<10+20, d.Path)
		}
	}
}
