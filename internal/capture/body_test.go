package capture_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow/internal/capture"
)

var errBroken = errors.New("broken")

// script is a body that returns these steps, one for each Read, the last one for ever.
type script struct {
	steps  []step
	closed int
}

type step struct {
	data string
	err  error
}

func (s *script) Read(p []byte) (int, error) {
	now := s.steps[0]
	if len(s.steps) > 1 {
		s.steps = s.steps[1:]
	}
	return copy(p, now.data), now.err
}

func (s *script) Close() error { s.closed++; return errBroken }

func TestBodyVerdicts(t *testing.T) {
	const unknown = -1
	for name, c := range map[string]struct {
		length int64
		steps  []step
		reads  int // 0: until an error
		end    capture.End
		body   string
		room   int64 // 0: plenty
	}{
		"read to the end":                    {length: 6, steps: []step{{"abc", nil}, {"def", nil}, {"", io.EOF}}, end: capture.Complete, body: "abcdef"},
		"end together with the last bytes":   {length: 6, steps: []step{{"abcdef", io.EOF}}, end: capture.Complete, body: "abcdef"},
		"all bytes, the end not seen":        {length: 6, steps: []step{{"abcdef", nil}, {"", io.EOF}}, reads: 1, end: capture.Complete, body: "abcdef"},
		"unknown length, to the end":         {length: unknown, steps: []step{{"abc", nil}, {"def", io.EOF}}, end: capture.Complete, body: "abcdef"},
		"unknown length, the end not seen":   {length: unknown, steps: []step{{"abcdef", nil}, {"", io.EOF}}, reads: 1, end: capture.Unread},
		"unknown length, empty":              {length: unknown, steps: []step{{"", io.EOF}}, end: capture.Complete},
		"not all read":                       {length: 6, steps: []step{{"abc", nil}, {"def", nil}}, reads: 1, end: capture.Unread},
		"an error half-way":                  {length: 6, steps: []step{{"abc", nil}, {"", errBroken}}, end: capture.Failed},
		"an error together with bytes":       {length: 6, steps: []step{{"abc", errBroken}}, end: capture.Failed},
		"an unexpected end":                  {length: 6, steps: []step{{"abc", io.ErrUnexpectedEOF}}, end: capture.Failed},
		"an error after all bytes":           {length: 6, steps: []step{{"abcdef", nil}, {"", http.ErrBodyReadAfterClose}}, end: capture.Complete, body: "abcdef"},
		"an error after the end":             {length: unknown, steps: []step{{"abcdef", io.EOF}, {"", http.ErrBodyReadAfterClose}}, reads: 2, end: capture.Complete, body: "abcdef"},
		"fewer bytes than Content-Length":    {length: 6, steps: []step{{"abc", nil}, {"", io.EOF}}, end: capture.Failed},
		"more bytes than Content-Length":     {length: 2, steps: []step{{"abc", nil}, {"", io.EOF}}, end: capture.Failed},
		"more than Content-Length, later":    {length: 3, steps: []step{{"abc", nil}, {"d", io.EOF}}, end: capture.Failed},
		"exactly the limit":                  {length: unknown, steps: []step{{"12345678", io.EOF}}, end: capture.Complete, body: "12345678"},
		"over the limit":                     {length: unknown, steps: []step{{"12345678", nil}, {"9", io.EOF}}, end: capture.TooLarge},
		"announced over the limit":           {length: 9, steps: []step{{"123", nil}}, reads: 1, end: capture.TooLarge},
		"announced over the limit, not read": {length: 9, steps: []step{{"", nil}}, reads: -1, end: capture.TooLarge},
		"no room in the pool":                {length: unknown, steps: []step{{"abc", io.EOF}}, room: 1, end: capture.Starved},
		"nothing read":                       {length: 3, steps: []step{{"abc", nil}}, reads: -1, end: capture.Unread},
	} {
		t.Run(name, func(t *testing.T) {
			pool := capture.NewPool(1 << 20)
			if c.room > 0 {
				pool = capture.NewPool(c.room)
			}
			source := &script{steps: c.steps}
			var b capture.Body
			b.Init(source, c.length, pool, 8)
			p := make([]byte, 64)
			bare := &script{steps: c.steps}
			for i := 0; c.reads == 0 || i < c.reads; i++ {
				n, err := b.Read(p)
				q := make([]byte, 64)
				m, want := bare.Read(q)
				require.Equal(t, string(q[:m]), string(p[:n]), "bytes are those of the body")
				require.Equal(t, want, err, "errors are those of the body")
				if err != nil && c.reads == 0 {
					// Who goes on reading past the end changes nothing.
					break
				}
			}
			assert.Equal(t, errBroken, b.Close())
			assert.Equal(t, 1, source.closed)

			buf, end := b.Stop()
			assert.Equal(t, c.end, end)
			assert.Equal(t, c.body, string(buf.Bytes()))
			buf.Release()
			assert.Zero(t, pool.Held())

			again, end := b.Stop()
			assert.Equal(t, c.end, end, "the verdict stays")
			assert.Zero(t, *again)
			_, err := b.Read(p)
			_, want := source.Read(p)
			assert.Equal(t, want, err)
			assert.Zero(t, pool.Held(), "what is read later goes by unrecorded")
		})
	}
}

// Finish takes what a server has received already, and never waits for more.
func TestBodyFinishTakesOnlyWhatHasArrived(t *testing.T) {
	const head = "POST / HTTP/1.1\r\nHost: a\r\n"
	for name, c := range map[string]struct {
		request string
		read    int  // bytes by the handler
		close   bool // by the handler
		end     capture.End
		body    string
	}{
		"all of it is here":      {request: head + "Content-Length: 6\r\n\r\nabcdef", end: capture.Complete, body: "abcdef"},
		"the rest is here":       {request: head + "Content-Length: 6\r\n\r\nabcdef", read: 2, end: capture.Complete, body: "abcdef"},
		"read already":           {request: head + "Content-Length: 6\r\n\r\nabcdef", read: 6, end: capture.Complete, body: "abcdef"},
		"a part is under way":    {request: head + "Content-Length: 6\r\n\r\nabc", end: capture.Unread},
		"all of it is under way": {request: head + "Content-Length: 6\r\n\r\n", end: capture.Unread},
		"closed by the handler":  {request: head + "Content-Length: 6\r\n\r\nabcdef", close: true, end: capture.Unread},
		"chunked":                {request: head + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", end: capture.Unread},
		"waits for the word":     {request: head + "Content-Length: 6\r\nExpect: 100-continue\r\n\r\n", end: capture.Unread},
		"pipelined": {request: head + "Content-Length: 3\r\n\r\nabc" + "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
			end: capture.Complete, body: "abc"},
	} {
		t.Run(name, func(t *testing.T) {
			pool := capture.NewPool(1 << 20)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == "GET" {
					return
				}
				var b capture.Body
				b.Init(r.Body, r.ContentLength, pool, 1<<20)
				_, err := io.ReadFull(&b, make([]byte, c.read))
				assert.NoError(t, err)
				if c.close {
					assert.NoError(t, b.Close())
				}
				b.Finish()
				buf, end := b.Stop()
				assert.Equal(t, c.end, end)
				assert.Equal(t, c.body, string(buf.Bytes()))
				buf.Release()
				w.Header().Set("Connection", "close")
				w.WriteHeader(http.StatusUnauthorized)
			}))
			defer server.Close()
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			require.NoError(t, err)
			defer conn.Close()
			_, err = io.WriteString(conn, c.request)
			require.NoError(t, err)
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err)
			assert.Equal(t, http.StatusUnauthorized, resp.StatusCode)
			resp.Body.Close()
			assert.Zero(t, pool.Held())
		})
	}
}

// Of a body that is not a server's own nobody knows what has arrived.
func TestBodyFinishLeavesOtherBodiesAlone(t *testing.T) {
	var nowhere *script
	for _, body := range []io.ReadCloser{
		&script{steps: []step{{"abc", nil}}}, http.NoBody, io.NopCloser(strings.NewReader("abc")), nowhere, nil, value{},
	} {
		var b capture.Body
		b.Init(body, 3, capture.NewPool(1<<20), 8)
		b.Finish()
		_, end := b.Stop()
		assert.Equal(t, capture.Unread, end)
	}
}

// value is a body that is no pointer.
type value struct{}

func (value) Read([]byte) (int, error) { return 0, io.EOF }
func (value) Close() error             { return nil }

func TestBodyHandsTheTrailersOverBeforeTheReaderSeesTheEnd(t *testing.T) {
	var b capture.Body
	server, given := &http.Request{Trailer: http.Header{"Sum": {"42"}}}, &http.Request{}
	b.Init(&script{steps: []step{{"abc", nil}, {"", errBroken}, {"", io.EOF}}}, -1, capture.NewPool(1<<20), 8)
	b.Trailers(server, given)
	p := make([]byte, 64)
	for _, want := range []http.Header{nil, nil, server.Trailer} {
		_, _ = b.Read(p)
		assert.Equal(t, want, given.Trailer) // not synchronized: the race detector watches
	}
	buf, _ := b.Stop()
	buf.Release()
}

// However a reader behaves, the tee returns what the body would have.
func TestBodyIsTransparentToItsReader(t *testing.T) {
	data := text(10_000)
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"whole":    func(r io.Reader) io.Reader { return r },
		"halves":   iotest.HalfReader,
		"bytes":    iotest.OneByteReader,
		"data err": iotest.DataErrReader,
		"timeout":  iotest.TimeoutReader,
	} {
		for _, limit := range []int64{0, 100, 1 << 20} {
			var b capture.Body
			b.Init(io.NopCloser(wrap(bytes.NewReader(data))), int64(len(data)), capture.NewPool(1<<20), limit)
			got, err := io.ReadAll(&b)
			want, wantErr := io.ReadAll(wrap(bytes.NewReader(data)))
			assert.Equal(t, wantErr, err, name)
			assert.True(t, bytes.Equal(want, got), name)
			buf, _ := b.Stop()
			buf.Release()
		}
	}
}

// Whatever a body does, and whatever was announced of it: its reader gets the same bytes
// and errors, the recording is whole or empty, and Complete means all that was announced.
func FuzzBodyIsWholeOrEmpty(f *testing.F) {
	f.Add([]byte("hello, world"), []byte{1, 2}, int16(12), uint16(100), uint16(1000), false)
	f.Add([]byte("hello, world"), []byte{5}, int16(-1), uint16(12), uint16(5000), false)
	f.Add([]byte("hello, world"), []byte{130, 0, 3}, int16(13), uint16(12), uint16(5000), true)
	f.Add(text(9000), []byte{255}, int16(9000), uint16(9000), uint16(4096), true)
	f.Add([]byte{}, []byte{}, int16(0), uint16(0), uint16(0), false)
	f.Fuzz(func(t *testing.T, data, cuts []byte, length int16, limit, room uint16, broken bool) {
		var steps []step // of which the last comes with or after the end
		last := io.EOF
		if broken {
			last = errBroken
		}
		for i, rest := 0, string(data); ; i++ {
			n, together := len(rest), false
			if i < 200 && i < len(cuts) {
				n, together = min(n, int(cuts[i]&127)), cuts[i]&128 != 0
			}
			n = min(n, 512)
			if n == len(rest) && together || rest == "" {
				steps = append(steps, step{rest[:n], last})
				break
			}
			steps = append(steps, step{rest[:n], nil})
			rest = rest[n:]
		}

		pool := capture.NewPool(int64(room))
		var b capture.Body
		b.Init(&script{steps: steps}, int64(length), pool, int64(limit))
		bare := &script{steps: steps}
		p, q := make([]byte, 512), make([]byte, 512)
		for err := error(nil); err == nil; {
			var n int
			n, err = b.Read(p)
			m, want := bare.Read(q)
			if want != err || !bytes.Equal(q[:m], p[:n]) {
				t.Fatalf("%q, %v of a body with %q, %v", p[:n], err, q[:m], want)
			}
			if pool.Held() > int64(room) {
				t.Fatalf("%d bytes are held", pool.Held())
			}
		}
		buf, end := b.Stop()
		kept := buf.Bytes()
		buf.Release()
		require.Zero(t, pool.Held())

		known, whole := length >= 0, len(data) == int(length)
		switch end {
		case capture.Complete:
			require.True(t, bytes.Equal(data, kept))
			require.LessOrEqual(t, len(data), int(limit))
			require.True(t, whole || !known && !broken)
			return
		case capture.Failed:
			require.True(t, known && !whole || !known && broken)
		case capture.TooLarge:
			require.True(t, len(data) > int(limit) || int(length) > int(limit))
		case capture.Starved:
			require.Less(t, int(room), len(data)+2<<10)
		default:
			t.Fatalf("it was read to its end and is %v", end)
		}
		require.Empty(t, kept)
	})
}

func TestBodyMayBeReadWhileItIsStopped(t *testing.T) {
	pool := capture.NewPool(1 << 20)
	for range 50 {
		var b capture.Body
		b.Init(io.NopCloser(io.LimitReader(zeros{}, 100_000)), 100_000, pool, 1<<20)
		var reader sync.WaitGroup
		started := make(chan struct{})
		reader.Go(func() {
			p := make([]byte, 100)
			_, _ = b.Read(p)
			close(started)
			n, err := io.Copy(io.Discard, &b)
			assert.NoError(t, err)
			assert.EqualValues(t, 99_900, n)
		})
		<-started
		buf, end := b.Stop()
		if got := buf.Bytes(); end == capture.Complete {
			assert.Len(t, got, 100_000)
		} else {
			assert.Empty(t, got)
		}
		buf.Release()
		reader.Wait()
		assert.Zero(t, pool.Held())
	}
}

// A server's own body: an upload that breaks off is never a clean end.
func TestBodyOfABrokenUploadHasFailed(t *testing.T) {
	for name, request := range map[string]string{
		"content-length": "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc",
		"chunked":        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			type outcome struct {
				read string
				err  error
				end  capture.End
			}
			got := make(chan outcome, 1)
			pool := capture.NewPool(1 << 20)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				var b capture.Body
				b.Init(r.Body, r.ContentLength, pool, 1<<20)
				read, err := io.ReadAll(&b)
				buf, end := b.Stop()
				assert.Nil(t, buf.Bytes())
				got <- outcome{string(read), err, end}
			}))
			defer server.Close()
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			require.NoError(t, err)
			_, err = io.WriteString(conn, request)
			require.NoError(t, err)
			require.NoError(t, conn.(*net.TCPConn).CloseWrite())
			o := <-got
			require.NoError(t, conn.Close())
			assert.Equal(t, outcome{"abc", io.ErrUnexpectedEOF, capture.Failed}, o)
			assert.Zero(t, pool.Held())
		})
	}
}

// Over a real connection the primary reads the trailers that come after a chunked body.
func TestBodyOfAChunkedUploadIsComplete(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var b capture.Body
		b.Init(r.Body, r.ContentLength, capture.NewPool(1<<20), 1<<20)
		given := *r
		b.Trailers(r, &given)
		read, err := io.ReadAll(&b)
		assert.NoError(t, err)
		buf, end := b.Stop()
		assert.Equal(t, capture.Complete, end)
		assert.Equal(t, read, buf.Bytes())
		assert.Equal(t, "42", given.Trailer.Get("Sum"))
		_, _ = w.Write(read)
	}))
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: Sum\r\nConnection: close\r\n\r\n"+
		"3\r\nabc\r\n4\r\ndefg\r\n0\r\nSum: 42\r\n\r\n")
	require.NoError(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer resp.Body.Close()
	echo, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, "abcdefg", string(echo))
}

func TestAnswerIsCompleteWhenItsReaderHasSeenAllOfIt(t *testing.T) {
	for name, c := range map[string]struct {
		length   int64
		steps    []step
		reads    int
		complete bool
		broken   bool
		body     string
		size     int64
	}{
		"to the end":             {length: 6, steps: []step{{"abc", nil}, {"def", nil}, {"", io.EOF}}, reads: 3, complete: true, body: "abcdef", size: 6},
		"unknown length":         {length: -1, steps: []step{{"abc", io.EOF}}, reads: 1, complete: true, body: "abc", size: 3},
		"the end not seen":       {length: 3, steps: []step{{"abc", nil}}, reads: 1, complete: true, body: "abc", size: 3},
		"unknown, end not seen":  {length: -1, steps: []step{{"abc", nil}}, reads: 1, body: "abc", size: 3},
		"closed early":           {length: 6, steps: []step{{"abc", nil}}, reads: 1, body: "abc", size: 3},
		"not read":               {length: 6, steps: []step{{"abc", nil}}},
		"nothing to read":        {length: 0, steps: []step{{"", io.EOF}}, complete: true},
		"an error":               {length: 6, steps: []step{{"abc", nil}, {"", errBroken}}, reads: 2, broken: true, body: "abc", size: 3},
		"over the limit":         {length: -1, steps: []step{{"12345678", nil}, {"9", io.EOF}}, reads: 2, complete: true, size: 9},
		"announced as too large": {length: 9, steps: []step{{"12345678", nil}, {"9", io.EOF}}, reads: 2, complete: true, size: 9},
	} {
		t.Run(name, func(t *testing.T) {
			pool := capture.NewPool(1 << 20)
			calls, ended, over := 0, 0, 0
			source, bare := &script{steps: c.steps}, &script{steps: c.steps}
			a := capture.NewAnswer(source, c.length, pool, 8, func(buf capture.Buffer, end capture.End, eof bool) {
				calls++
				assert.Equal(t, c.complete, end == capture.Complete)
				assert.Equal(t, c.broken, end == capture.Failed)
				assert.Equal(t, ended == 1, eof)
				assert.Equal(t, c.size, buf.Size())
				if c.size > 8 {
					sum, ok := buf.Sum()
					assert.True(t, ok)
					assert.Equal(t, pool.Sum([]byte("123456789")), sum)
				}
				assert.Equal(t, c.body, string(buf.Bytes()))
				buf.Release()
			})
			p, q := make([]byte, 64), make([]byte, 64)
			for range c.reads {
				m, want := bare.Read(q)
				if want == io.EOF {
					ended = 1
				}
				if want != nil {
					over = 1
				}
				n, err := a.Read(p)
				assert.Equal(t, want, err)
				assert.Equal(t, string(q[:m]), string(p[:n]))
			}
			assert.Equal(t, over, calls, "not everybody closes what has been read to its end")
			assert.Equal(t, errBroken, a.Close())
			assert.Equal(t, 1, calls)
			assert.Equal(t, errBroken, a.Close(), "a second Close is the body's to answer")
			assert.Equal(t, 2, source.closed)
			_, _ = a.Read(p)
			assert.Equal(t, 1, calls, "done is called once")
			assert.Zero(t, pool.Held())
		})
	}
}

func TestAnswerMayBeClosedWhileItIsRead(t *testing.T) {
	pool := capture.NewPool(1 << 20)
	for range 50 {
		var calls, reads sync.WaitGroup
		calls.Add(1) // a second Done would panic
		a := capture.NewAnswer(io.NopCloser(strings.NewReader(strings.Repeat("x", 50_000))), 50_000, pool, 1<<20,
			func(buf capture.Buffer, _ capture.End, _ bool) { buf.Release(); calls.Done() })
		started := make(chan struct{})
		reads.Go(func() {
			close(started)
			_, err := io.Copy(io.Discard, iotest.HalfReader(a))
			assert.NoError(t, err)
		})
		<-started
		for range 2 {
			reads.Go(func() { assert.NoError(t, a.Close()) })
		}
		reads.Wait()
		calls.Wait()
		assert.Zero(t, pool.Held())
	}
}
