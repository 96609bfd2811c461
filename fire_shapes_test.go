package shadow_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

// unbounded returns a Mirror that copies everything to target and has none of the limits
// that look at the state of the machine.
func unbounded(t *testing.T, target shadow.Target, opts ...shadow.Option) *shadow.Mirror {
	t.Helper()
	m, err := shadow.New(isolated(target), append([]shadow.Option{allMethods, unlimited}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(func() { m.Close() })
	return m
}

// stream yields n bytes that are not all alike.
func stream(n int64) io.Reader {
	return io.LimitReader(&repeating{text: block}, n)
}

var block = content(0, 64<<10-1) // out of step with buffers

type repeating struct {
	text []byte
	at   int
}

func (r *repeating) Read(p []byte) (int, error) {
	n := copy(p, r.text[r.at:])
	r.at = (r.at + n) % len(r.text)
	return n, nil
}

// sum is what a stream is told by.
func sum(r io.Reader) (string, error) {
	h := crc32.NewIEEE()
	n, err := io.Copy(h, r)
	return fmt.Sprintf("%d %08x", n, h.Sum32()), err
}

// sums answers a GET with as many bytes as the query says, with a length or in chunks, and
// anything else with the sum of its body.
func sums(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain")
	if r.Method != http.MethodGet {
		s, err := sum(r.Body)
		fmt.Fprint(w, s, " ", err)
		return
	}
	n, _ := strconv.ParseInt(r.URL.Query().Get("n"), 10, 64)
	if r.URL.Query().Has("declared") {
		w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
	}
	io.Copy(w, stream(n))
}

// From nothing to 100 MB, up and down, with a length and in chunks: bodies arrive as they
// are, those within the limit are copied, larger ones held by nobody.
func TestBodiesOfEverySize(t *testing.T) {
	const limit, budget = 1 << 20, 8 << 20
	bothProtocols(t, func(t *testing.T, h2 bool) {
		m := unbounded(t, shadow.InProcess("v2", http.HandlerFunc(sums)), shadow.WithMaxBody(limit), shadow.WithQueue(256, budget))
		srv, handlers := server(t, m.Handler(http.HandlerFunc(sums)), h2)
		runtime.GC()
		before := live()
		var matches, uncompared, large uint64
		for _, size := range []int64{0, 1, 2047, 64 << 10, limit - 1, limit, limit + 1, 10e6, 100e6} {
			want, err := sum(stream(size))
			require.NoError(t, err)
			for _, declared := range []string{"chunked", "declared"} {
				r, err := http.NewRequestWithContext(t.Context(), "PUT", srv.URL, stream(size))
				require.NoError(t, err)
				if declared == "declared" {
					if r.ContentLength = size; size == 0 {
						r.Body = http.NoBody
					}
				}
				resp, err := srv.Client().Do(r)
				require.NoError(t, err)
				got, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				resp.Body.Close()
				require.Equal(t, want+" <nil>", string(got), "%s up", declared)
				if size > limit {
					large++
				} else {
					matches++
				}

				resp, err = srv.Client().Get(srv.URL + fmt.Sprintf("?n=%d&%s", size, declared))
				require.NoError(t, err)
				down, err := sum(resp.Body)
				require.NoError(t, err)
				resp.Body.Close()
				require.Equal(t, want, down, "%s down", declared)
				if size > limit && declared == "declared" && !h2 {
					uncompared++ // io.Copy may hand it to sendfile, and nobody has looked at it
				} else {
					matches++ // a larger answer by its length and hash
				}

				handlers.Wait()
				require.LessOrEqual(t, live()-before, int64(budget+16<<20), "%d bytes, %s", size, declared)
			}
		}
		require.NoError(t, m.Shutdown(t.Context()))
		want := map[string]uint64{match: matches, "body-too-large": large}
		if uncompared > 0 {
			want[string(shadow.Uncompared)] = uncompared
		}
		require.Equal(t, want, ledger(t, m))
		require.Zero(t, m.Stats().QueuedBytes)
	})
}

// together runs f for each of n, side by side.
func together(n int, f func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { f(i) })
	}
	all.Wait()
}

// Each event is written only when the client has read the one before it.
func TestManyEventStreamsBesideAHungShadow(t *testing.T) {
	const streams, events = 50, 20
	bothProtocols(t, func(t *testing.T, h2 bool) {
		m := unbounded(t, shadow.InProcess("v2", blocked(t)))
		var next [streams]chan int
		for i := range next {
			next[i] = make(chan int, 1)
			next[i] <- 0
		}
		srv, _ := server(t, m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			i, _ := strconv.Atoi(r.URL.Query().Get("stream"))
			for event := range next[i] {
				fmt.Fprintf(w, "data: %d\n\n", event)
				w.(http.Flusher).Flush()
			}
		})), h2)
		together(streams, func(i int) {
			defer close(next[i])
			resp, err := srv.Client().Get(fmt.Sprintf("%s?stream=%d", srv.URL, i))
			if !assert.NoError(t, err) {
				return
			}
			defer resp.Body.Close()
			r := bufio.NewReader(resp.Body)
			for event := range events {
				assert.Equal(t, fmt.Sprintf("data: %d\n\n", event), readUntil(t, r, "\n\n"))
				if event+1 < events {
					next[i] <- event + 1
				}
			}
		})
		require.NoError(t, m.Close())
		ledger(t, m)
	})
}

// Each chunk is answered before the next one is sent.
func TestChunksBothWaysBesideAHungShadow(t *testing.T) {
	const streams, chunks = 50, 20
	bothProtocols(t, func(t *testing.T, h2 bool) {
		m := unbounded(t, shadow.InProcess("v2", blocked(t)))
		srv, _ := server(t, m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !h2 {
				assert.NoError(t, http.NewResponseController(w).EnableFullDuplex())
			}
			w.(http.Flusher).Flush()
			for in := bufio.NewScanner(r.Body); in.Scan(); {
				fmt.Fprintf(w, "got %s\n", in.Text())
				w.(http.Flusher).Flush()
			}
		})), h2)
		together(streams, func(i int) {
			body, up := io.Pipe()
			defer up.Close()
			resp, err := srv.Client().Post(srv.URL, "text/plain", body)
			if !assert.NoError(t, err) {
				return
			}
			defer resp.Body.Close()
			down := bufio.NewReader(resp.Body)
			for n := range chunks {
				fmt.Fprintf(up, "%d/%d\n", i, n)
				assert.Equal(t, fmt.Sprintf("got %d/%d\n", i, n), readUntil(t, down, "\n"))
			}
		})
		require.NoError(t, m.Close())
		ledger(t, m)
	})
}

// A connection that becomes something else is the primary's, byte by byte, and is counted.
func TestWebSocketsAreServedAndNotCopied(t *testing.T) {
	const sockets, messages, key = 100, 20, "dGhlIHNhbXBsZSBub25jZQ=="
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) // RFC 6455 section 4.2.2
	accept := base64.StdEncoding.EncodeToString(sum[:])
	for name, upgrade := range map[string]string{
		"upgrade":  "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + "\r\n",
		"hijacked": "",
	} {
		t.Run(name, func(t *testing.T) {
			m := unbounded(t, shadow.InProcess("v2", text("ok")))
			srv, handlers := server(t, m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				c, rw, err := http.NewResponseController(w).Hijack()
				if !assert.NoError(t, err) {
					return
				}
				defer c.Close()
				fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept)
				rw.Flush()
				io.Copy(c, rw)
			})), false)
			together(sockets, func(i int) {
				c, err := net.Dial("tcp", srv.Listener.Addr().String())
				if !assert.NoError(t, err) {
					return
				}
				defer c.Close()
				fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\n%s\r\n", upgrade)
				r := bufio.NewReader(c)
				resp, err := http.ReadResponse(r, nil)
				if !assert.NoError(t, err) {
					return
				}
				assert.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
				assert.Equal(t, accept, resp.Header.Get("Sec-Websocket-Accept"))
				for n := range messages {
					frame := fmt.Sprintf("\x81\x05%05d", i*messages+n) // a text of 5 bytes
					io.WriteString(c, frame)
					got := make([]byte, len(frame))
					_, err := io.ReadFull(r, got)
					assert.NoError(t, err)
					assert.Equal(t, frame, string(got))
				}
			})
			handlers.Wait()
			require.NoError(t, m.Shutdown(t.Context()))
			require.Equal(t, map[string]uint64{name: sockets}, ledger(t, m))
		})
	}
}

// All streams of one connection are open at the same time: each is answered when the last
// of them has arrived.
func TestStreamsOfOneConnectionBesideAHungShadow(t *testing.T) {
	const streams, rounds, size = 100, 5, 16 << 10
	m := unbounded(t, shadow.InProcess("v2", blocked(t)), shadow.WithQueue(64, 4<<20))
	var arrived [rounds]sync.WaitGroup
	for i := range arrived {
		arrived[i].Add(streams)
	}
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		if r.Method == http.MethodHead {
			return
		}
		round, _ := strconv.Atoi(r.URL.Query().Get("round"))
		arrived[round].Done()
		arrived[round].Wait()
		w.Write(bytes.ToUpper(b))
	}))
	var connections atomic.Int64
	srv := httptest.NewUnstartedServer(h)
	srv.EnableHTTP2 = true
	srv.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		connections.Add(1)
		return ctx
	}
	srv.StartTLS()
	defer srv.Close()
	warm, err := srv.Client().Head(srv.URL) // who has no connection yet opens one each
	require.NoError(t, err)
	warm.Body.Close()
	for round := range rounds {
		together(streams, func(i int) {
			body := content(round*streams+i, size)
			resp, err := srv.Client().Post(fmt.Sprintf("%s?round=%d", srv.URL, round), "text/plain", bytes.NewReader(body))
			if !assert.NoError(t, err) {
				return
			}
			defer resp.Body.Close()
			assert.Equal(t, 2, resp.ProtoMajor)
			got, err := io.ReadAll(resp.Body)
			assert.NoError(t, err)
			assert.True(t, bytes.Equal(bytes.ToUpper(body), got), "stream %d", i)
		})
	}
	require.EqualValues(t, 1, connections.Load())
	require.NoError(t, m.Close())
	ledger(t, m)
	require.EqualValues(t, 1+rounds*streams, m.Stats().Requests)
}

// Clients that stop in the middle of a request or of an answer hold up nobody else, and
// are copied like others when they are done.
func TestSlowReadersAndSlowWriters(t *testing.T) {
	const slow, others, size = 50, 500, 16 << 20
	m := unbounded(t, shadow.InProcess("v2", http.HandlerFunc(sums)), shadow.WithQueue(slow+others, 64<<20))
	srv, handlers := server(t, m.Handler(http.HandlerFunc(sums)), false)
	dial := func() net.Conn {
		c, err := net.Dial("tcp", srv.Listener.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		return c
	}
	finish := func(c net.Conn) string {
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.NoError(t, err)
		got, err := sum(resp.Body)
		require.NoError(t, err)
		return got
	}
	body := string(content(1, 64<<10))
	var writers, readers []net.Conn
	for range slow {
		w := dial()
		fmt.Fprintf(w, "PUT / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(body), body[:len(body)/2])
		writers = append(writers, w)
		r := dial()
		fmt.Fprintf(r, "GET /?n=%d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", size)
		readers = append(readers, r)
	}
	for range others {
		resp, err := srv.Client().Post(srv.URL, "text/plain", strings.NewReader(body))
		require.NoError(t, err)
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		require.Equal(t, http.StatusOK, resp.StatusCode)
	}
	up, _ := sum(strings.NewReader(body))
	up, _ = sum(strings.NewReader(up + " <nil>"))
	down, _ := sum(stream(size))
	for i := range slow {
		io.WriteString(writers[i], body[len(body)/2:])
		require.Equal(t, up, finish(writers[i]))
		require.Equal(t, down, finish(readers[i]))
	}
	handlers.Wait()
	require.NoError(t, m.Shutdown(t.Context()))
	require.Equal(t, map[string]uint64{match: 2*slow + others}, ledger(t, m))
	require.Zero(t, m.Stats().QueuedBytes)
}

// Connections are kept, or not, as without a Mirror.
func TestConnectionsAreKeptAsEver(t *testing.T) {
	const requests = 100
	for name, test := range map[string]struct {
		transport   *http.Transport
		connections int64
	}{
		"kept":   {&http.Transport{}, 1},
		"closed": {&http.Transport{DisableKeepAlives: true}, requests},
	} {
		t.Run(name, func(t *testing.T) {
			m := unbounded(t, shadow.InProcess("v2", http.HandlerFunc(sums)))
			srv := httptest.NewUnstartedServer(m.Handler(http.HandlerFunc(sums)))
			var connections atomic.Int64
			srv.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
				connections.Add(1)
				return ctx
			}
			srv.Start()
			client := &http.Client{Transport: test.transport}
			for i := range requests {
				resp, err := client.Post(srv.URL, "text/plain", bytes.NewReader(content(i, 1000*i)))
				require.NoError(t, err)
				got, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				resp.Body.Close()
				want, _ := sum(bytes.NewReader(content(i, 1000*i)))
				require.Equal(t, want+" <nil>", string(got))
				require.Equal(t, name == "closed", resp.Close)
			}
			client.CloseIdleConnections()
			srv.Close()
			require.Equal(t, test.connections, connections.Load())
			require.NoError(t, m.Shutdown(t.Context()))
			require.Equal(t, map[string]uint64{match: requests}, ledger(t, m))
		})
	}
}
