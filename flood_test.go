package shadow_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

// While nobody knows how long the primary's answer will be, no more is read of the
// candidate's than is kept: it waits for the primary, and goes on then if there is use in it.
func TestAFloodBesideThePrimaryWaitsForIt(t *testing.T) {
	const piece, kept = 1000, 10_000
	var written atomic.Int64
	flood := func(w http.ResponseWriter, _ *http.Request) {
		for range 1000 { // more than anybody wants
			if _, err := w.Write(make([]byte, piece)); err != nil {
				return
			}
			written.Add(piece)
		}
	}
	primary := func(n int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(time.Second)
			assert.LessOrEqual(t, written.Load(), int64(kept+2*piece), "before the primary has answered")
			for range n {
				w.Write(make([]byte, piece))
			}
		}
	}
	for name, c := range map[string]struct {
		primary int // pieces
		want    string
		most    int64
	}{
		"a short answer":                  {1, "mismatch", kept + 2*piece},
		"a long answer":                   {50, "mismatch", 52 * piece},
		"the same flood from the primary": {1000, "match", 1000 * piece},
	} {
		t.Run(name, func(t *testing.T) {
			written.Store(0)
			inBubble(t, primary(c.primary), shadow.InProcess("v2", http.HandlerFunc(flood)), func(t *testing.T, m *limited) {
				getFrom(m.Front, "/")
				require.NoError(t, m.Drain(t.Context()))
				assert.Equal(t, map[string]uint64{c.want: 1}, ledger(t, m.Mirror))
				assert.LessOrEqual(t, written.Load(), c.most)
			}, parallel, shadow.WithMaxBody(kept))
		})
	}
	t.Run("a primary without an end", func(t *testing.T) {
		written.Store(0)
		endless := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(time.Hour) })
		inBubble(t, endless, shadow.InProcess("v2", http.HandlerFunc(flood)), func(t *testing.T, m *limited) {
			go getFrom(m.Front, "/")
			m.Pass(time.Minute)
			assert.Equal(t, map[string]uint64{"primary-incomplete": 1}, ledger(t, m.Mirror))
			assert.LessOrEqual(t, written.Load(), int64(kept+2*piece))
			m.Pass(time.Hour)
		}, parallel, shadow.WithMaxBody(kept))
	})
}

// countedConn is a connection that counts what is read.
type countedConn struct {
	net.Conn
	n *atomic.Int64
}

func (c countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// A flood over a connection is read no further than the primary might answer. The control is
// bound by it too.
func TestAFloodOverAConnectionIsNotRead(t *testing.T) {
	const kept = 64 << 10
	for _, flooded := range []string{"candidate", "control"} {
		t.Run(flooded, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				here, there := net.Pipe()
				go func() {
					http.ReadRequest(bufio.NewReader(there))
					io.WriteString(there, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
					for piece := make([]byte, 32<<10); ; {
						if _, err := there.Write(piece); err != nil {
							return
						}
					}
				}()
				var read atomic.Int64
				pool := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
					return countedConn{here, &read}, nil
				}}
				defer pool.CloseIdleConnections()
				target := shadow.Target{Name: "v2", URL: "http://v2.internal", Transport: pool, Timeout: time.Second, Isolated: true}
				opts := []shadow.Option{parallel, shadow.WithMaxBody(kept), calm}
				if flooded == "control" {
					opts = append(opts, shadow.WithControl(target))
					target = shadow.InProcess("v1", ok)
				}
				m, err := shadow.New(target, opts...)
				require.NoError(t, err)
				m.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(time.Minute) })).ServeHTTP(httptest.NewRecorder(), get())
				require.NoError(t, m.Shutdown(t.Context()))
				assert.LessOrEqual(t, read.Load(), int64(kept+64<<10))
				assert.Greater(t, read.Load(), int64(kept/2))
				assert.EqualValues(t, 1, m.Stats().Requests)
				ledger(t, m)
			})
		})
	}
}
