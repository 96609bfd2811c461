package capture_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/goshadow/shadow/internal/capture"
)

//go:generate go run gen_fakes.go

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a ResponseWriter that remembers what it was asked, and the parts of it are
// its optional interfaces. Each answers with something that only it could have said.
type fake struct {
	header http.Header
	calls  []string
	body   []byte
	status int
	src    io.Reader // of the last ReadFrom
	err    error     // of everything that is written or flushed
}

func newFake() *fake { return &fake{header: http.Header{}} }

func (f *fake) called(format string, args ...any) {
	f.calls = append(f.calls, fmt.Sprintf(format, args...))
}

func (f *fake) Header() http.Header { return f.header }

func (f *fake) Write(p []byte) (int, error) {
	f.called("Write %q", p)
	if f.err != nil {
		return 0, f.err
	}
	f.body = append(f.body, p...)
	return len(p), nil
}

func (f *fake) WriteHeader(status int) {
	f.called("WriteHeader %d", status)
	f.status = status
}

type (
	flusher       struct{ f *fake }
	flushErrorer  struct{ f *fake }
	connection    struct{ f *fake }
	hijacker      struct{ f *fake }
	readerFrom    struct{ f *fake }
	stringWriter  struct{ f *fake }
	closeNotifier struct{ f *fake }
	pusher        struct{ f *fake }
)

var (
	errFlush  = errors.New("flush")
	errRead   = errors.New("read deadline")
	errWrite  = errors.New("write deadline")
	errDuplex = errors.New("full duplex")
	errHijack = errors.New("hijack")
	errPush   = errors.New("push")
	gone      = make(chan bool)
)

func (p flusher) Flush()                 { p.f.called("Flush") }
func (p flushErrorer) FlushError() error { p.f.called("FlushError"); return errFlush }

func (p connection) SetReadDeadline(d time.Time) error {
	p.f.called("SetReadDeadline %d", d.Unix())
	return errRead
}

func (p connection) SetWriteDeadline(d time.Time) error {
	p.f.called("SetWriteDeadline %d", d.Unix())
	return errWrite
}

func (p connection) EnableFullDuplex() error { p.f.called("EnableFullDuplex"); return errDuplex }

func (p hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	p.f.called("Hijack")
	return nil, nil, errHijack
}

func (p readerFrom) ReadFrom(src io.Reader) (int64, error) {
	p.f.src = src
	b, err := io.ReadAll(src)
	p.f.called("ReadFrom %q", b)
	p.f.body = append(p.f.body, b...)
	return int64(len(b)), errors.Join(err, p.f.err)
}

func (p stringWriter) WriteString(s string) (int, error) {
	p.f.called("WriteString %q", s)
	p.f.body = append(p.f.body, s...)
	return len(s), nil
}

func (p closeNotifier) CloseNotify() <-chan bool { p.f.called("CloseNotify"); return gone }

func (p pusher) Push(target string, o *http.PushOptions) error {
	p.f.called("Push %s %s", target, o.Method)
	return errPush
}

// allInterfaces are the optional interfaces of a ResponseWriter: whether it has one, and
// what comes of calling it. Connection is all that http.ResponseController looks for.
var allInterfaces = []struct {
	name  string
	has   func(http.ResponseWriter) bool
	try   func(*testing.T, http.ResponseWriter)
	calls []string
}{
	{"Flusher", has[http.Flusher], func(t *testing.T, w http.ResponseWriter) {
		w.(http.Flusher).Flush()
	}, []string{"Flush"}},
	{"FlushError", has[interface{ FlushError() error }], func(t *testing.T, w http.ResponseWriter) {
		assert.Same(t, errFlush, w.(interface{ FlushError() error }).FlushError())
	}, []string{"FlushError"}},
	{"connection", hasConnection, func(t *testing.T, w http.ResponseWriter) {
		assert.Same(t, errRead, w.(readDeadliner).SetReadDeadline(time.Unix(1, 0)))
		assert.Same(t, errWrite, w.(writeDeadliner).SetWriteDeadline(time.Unix(2, 0)))
		assert.Same(t, errDuplex, w.(duplexer).EnableFullDuplex())
	}, []string{"SetReadDeadline 1", "SetWriteDeadline 2", "EnableFullDuplex"}},
	{"Hijacker", has[http.Hijacker], func(t *testing.T, w http.ResponseWriter) {
		_, _, err := w.(http.Hijacker).Hijack()
		assert.Same(t, errHijack, err)
	}, []string{"Hijack"}},
	{"ReaderFrom", has[io.ReaderFrom], func(t *testing.T, w http.ResponseWriter) {
		n, err := w.(io.ReaderFrom).ReadFrom(&io.LimitedReader{R: zeros{}, N: 2})
		assert.NoError(t, err)
		assert.EqualValues(t, 2, n)
	}, []string{`ReadFrom "00"`}},
	{"StringWriter", has[io.StringWriter], func(t *testing.T, w http.ResponseWriter) {
		n, err := w.(io.StringWriter).WriteString("text")
		assert.NoError(t, err)
		assert.Equal(t, 4, n)
	}, []string{`WriteString "text"`}},
	{"CloseNotifier", has[http.CloseNotifier], func(t *testing.T, w http.ResponseWriter) { //nolint:staticcheck // some handlers still ask for it
		assert.Equal(t, (<-chan bool)(gone), w.(http.CloseNotifier).CloseNotify()) //nolint:staticcheck // the same
	}, []string{"CloseNotify"}},
	{"Pusher", has[http.Pusher], func(t *testing.T, w http.ResponseWriter) {
		assert.Same(t, errPush, w.(http.Pusher).Push("/a", &http.PushOptions{Method: "GET"}))
	}, []string{"Push /a GET"}},
}

type (
	readDeadliner  interface{ SetReadDeadline(time.Time) error }
	writeDeadliner interface{ SetWriteDeadline(time.Time) error }
	duplexer       interface{ EnableFullDuplex() error }
)

func has[I any](w http.ResponseWriter) bool { _, ok := w.(I); return ok }

func hasConnection(w http.ResponseWriter) bool {
	return has[readDeadliner](w) || has[writeDeadliner](w) || has[duplexer](w)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '0'
	}
	return len(p), nil
}

func interfaces(w http.ResponseWriter) (set int) {
	for i, one := range allInterfaces {
		if one.has(w) {
			set |= 1 << i
		}
	}
	return set
}

func TestWrapGivesExactlyTheInterfacesOfTheOriginalAndUnwrap(t *testing.T) {
	require.Len(t, fakes, 128)
	for set, newWriter := range fakes {
		f := newFake()
		original := newWriter(f)
		require.Equal(t, set, interfaces(original), "the fake is what it should be")

		var w capture.Writer
		w.Init(original, http.MethodGet, capture.NewPool(1<<20), 1<<20)
		wrapped := w.Wrap()
		require.Equal(t, set, interfaces(wrapped), "set %08b", set)
		require.Equal(t, original, wrapped.(interface{ Unwrap() http.ResponseWriter }).Unwrap())

		wrapped.Header().Set("A", "b")
		wrapped.WriteHeader(202)
		n, err := wrapped.Write([]byte("bytes"))
		require.NoError(t, err)
		require.Equal(t, 5, n)
		want := []string{"WriteHeader 202", `Write "bytes"`}
		for i, one := range allInterfaces {
			if set&(1<<i) != 0 {
				one.try(t, wrapped)
				want = append(want, one.calls...)
			}
		}
		require.Empty(t, cmp.Diff(want, f.calls), "set %08b: every call reaches the original, once", set)
		require.Equal(t, "b", f.header.Get("A"))

		resp := w.Stop()
		require.Equal(t, 202, resp.Status)
		require.EqualValues(t, len(f.body), resp.Body.Size(), "set %08b", set)
		if !resp.Hijacked && !resp.Broken { // else nobody will want it
			require.Equal(t, string(f.body), string(resp.Body.Bytes()), "set %08b", set)
		}
		resp.Body.Release()
	}
}

func TestWrapDoesNotAllocate(t *testing.T) {
	for set, newWriter := range fakes {
		var w capture.Writer
		w.Init(newWriter(newFake()), http.MethodGet, capture.NewPool(0), 0)
		var wrapped http.ResponseWriter
		require.Zero(t, testing.AllocsPerRun(10, func() { wrapped = w.Wrap() }), "set %08b", set)
		require.NotNil(t, wrapped)
	}
}

func TestGeneratedFilesAreWhatTheirGeneratorsWrite(t *testing.T) {
	for generator, file := range map[string]string{"gen.go": "writer_gen.go", "gen_fakes.go": "fakes_test.go"} {
		dir := t.TempDir()
		out, err := exec.Command("go", "run", generator, dir).CombinedOutput()
		require.NoError(t, err, "%s", out)
		want, err := os.ReadFile(filepath.Join(dir, file))
		require.NoError(t, err)
		got, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(string(want), string(got)), "run go generate")
	}
}
