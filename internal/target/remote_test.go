package target

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// post returns a copy with a body, which waits for an answer longer than any test lasts.
func post(t *testing.T) *http.Request {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "POST", "http://mirrored.test/", strings.NewReader("the body"))
	require.NoError(t, err)
	r.Header.Set("Shadow-Request", strings.Repeat("0", 100))
	r.Header.Set("Idempotency-Key", "1") // net/http sends such a request again
	return r
}

// toServer returns the Remote for srv.
func toServer(t *testing.T, srv *httptest.Server) *Remote {
	base, err := ParseURL(srv.URL)
	require.NoError(t, err)
	r := NewRemote(base, nil, 64)
	t.Cleanup(r.CloseIdleConnections)
	return r
}

func askRemote(t *testing.T, r *Remote) error {
	resp, err := r.RoundTrip(post(t))
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(t, resp.Body.Close())
	return err
}

// silencing is a listener whose connections so far can be made silent: they stay open, and what
// the server writes to them is lost.
type silencing struct {
	net.Listener
	era, accepted atomic.Int32
}

func (l *silencing) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	l.accepted.Add(1)
	return &silenced{c, l, l.era.Load()}, err
}

type silenced struct {
	net.Conn
	l    *silencing
	born int32
}

func (c *silenced) Write(p []byte) (int, error) {
	if c.born < c.l.era.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// An HTTP/2 connection that went silent is found by a ping and dropped: the copies that wait on
// it fail before their Timeout, and the next ones arrive on another connection.
func TestASilentHTTP2ConnectionIsDropped(t *testing.T) {
	var asked atomic.Int32
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		io.WriteString(w, r.Proto)
	}))
	l := &silencing{Listener: srv.Listener}
	srv.Listener = l
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	r := toServer(t, srv)
	require.Positive(t, r.own.HTTP2.SendPingTimeout)
	require.Less(t, r.own.HTTP2.SendPingTimeout+r.own.HTTP2.PingTimeout, 10*time.Second, "the default Timeout of a copy")
	r.own.HTTP2.SendPingTimeout, r.own.HTTP2.PingTimeout = 20*time.Millisecond, time.Second
	r.own.TLSClientConfig = &tls.Config{RootCAs: srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}

	require.NoError(t, askRemote(t, r))
	require.NoError(t, askRemote(t, r))
	require.EqualValues(t, 1, l.accepted.Load())
	l.era.Add(1)
	var waiting sync.WaitGroup
	for range 3 {
		waiting.Go(func() {
			if err := askRemote(t, r); err == nil || err == context.DeadlineExceeded { //nolint:errorlint // the ping, not the end of the context
				t.Errorf("a copy on a silent connection: %v", err)
			}
		})
	}
	waiting.Wait()
	for range 5 {
		require.NoError(t, askRemote(t, r))
	}
	require.EqualValues(t, 2, l.accepted.Load())
	require.EqualValues(t, 10, asked.Load(), "each of them once")
}

// worn is a connection that has been closed by the other side, as the client finds out only when
// it writes to it.
type worn struct {
	net.Conn
	written bool // into a buffer, before
	stale   atomic.Bool
}

func (c *worn) Write(p []byte) (int, error) {
	if !c.stale.Load() {
		return c.Conn.Write(p)
	}
	n := 0
	if c.written {
		n, _ = c.Conn.Write(p)
	}
	c.Conn.Close()
	if c.written {
		return n, nil
	}
	return 0, syscall.EPIPE
}

func (c *worn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.stale.Load() { // also where the server was faster than Close
		return 0, io.EOF
	}
	return n, err
}

// A copy of which nothing was written, because its connection was closed meanwhile, is sent on
// another one. A copy of which something was written is not.
func TestACopyOnAStaleConnectionArrivesAtMostOnce(t *testing.T) {
	for name, written := range map[string]bool{"nothing was written": false, "it was written": true} {
		t.Run(name, func(t *testing.T) {
			var bodies atomic.Int32
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if body, err := io.ReadAll(r.Body); err == nil && string(body) == "the body" {
					bodies.Add(1)
				}
			}))
			defer srv.Close()
			r := toServer(t, srv)
			var conns []*worn
			r.own.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
				c := &worn{Conn: conn, written: written}
				conns = append(conns, c)
				return &countedConn{Conn: c}, err
			}
			require.NoError(t, askRemote(t, r))
			conns[0].stale.Store(true)
			if err := askRemote(t, r); written {
				require.ErrorIs(t, err, errOnce)
				srv.Close() // waits for the handler
				require.LessOrEqual(t, bodies.Load(), int32(2))
				return
			} else {
				require.NoError(t, err)
			}
			require.Len(t, conns, 2)
			require.EqualValues(t, 2, bodies.Load(), "once each")
		})
	}
}
