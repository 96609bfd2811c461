//go:build unix

package shadow_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/goshadow/shadow"
)

// idlers is the environment variable that makes TestTenThousandIdleConnections the client
// of the server that it names: a process need not have files for both ends.
const idlers = "SHADOW_TEST_IDLERS"

// A connection that waits for its next request costs nothing of a Mirror, whether its last
// one was copied or not.
func TestTenThousandIdleConnections(t *testing.T) {
	const connections = 10_000
	if addr := os.Getenv(idlers); addr != "" {
		askAndIdle(t, addr, connections)
		return
	}
	var files syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files))
	if files.Cur < connections+500 { // the runtime has raised it as far as it may
		t.Skipf("SKIPPED: %d connections need as many open files, and the limit is %d: raise it with ulimit -Hn", connections, files.Cur)
	}

	m := unbounded(t, shadow.InProcess("v2", text("ok")))
	srv, handlers := server(t, m.Handler(text("ok")), false)
	client := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.timeout=5m")
	client.Env = append(os.Environ(), idlers+"="+srv.Listener.Addr().String())
	client.Stderr = os.Stderr
	in, err := client.StdinPipe()
	require.NoError(t, err)
	out, err := client.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, client.Start())
	said := bufio.NewReader(out)
	once := func() { // has each connection ask once
		fmt.Fprintln(in)
		line, err := said.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "idle\n", line)
		handlers.Wait()
	}
	there := func() (goroutines int, heap int64) {
		runtime.GC()
		runtime.GC() // what pools held
		return runtime.NumGoroutine(), live()
	}

	m.SetEnabled(false)
	once()
	goroutines, heap := there()
	require.GreaterOrEqual(t, goroutines, connections)
	m.SetEnabled(true)
	once()
	require.NoError(t, m.Shutdown(t.Context())) // the connections stay
	more, bytes := there()
	require.LessOrEqual(t, more-goroutines, 8, "goroutines added")
	require.LessOrEqual(t, bytes-heap, int64(4<<20), "bytes added")

	in.Close()
	io.Copy(io.Discard, said)
	require.NoError(t, client.Wait())
	counts := ledger(t, m)
	require.EqualValues(t, connections, counts["disabled"])
	require.EqualValues(t, connections, counts[match]+counts["queue-full"])
	require.Zero(t, m.Stats().QueuedBytes)
}

// askAndIdle opens connections to addr. For each line on standard input it asks once on each of
// them, waits for the answers, and says so.
func askAndIdle(t *testing.T, addr string, connections int) {
	conns := make([]net.Conn, connections)
	for i := range conns {
		c, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		defer c.Close()
		conns[i] = c
	}
	answer := bufio.NewReader(nil)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		for _, c := range conns {
			_, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			require.NoError(t, err)
		}
		for _, c := range conns {
			answer.Reset(c)
			resp, err := http.ReadResponse(answer, nil)
			require.NoError(t, err)
			var body strings.Builder
			_, err = io.Copy(&body, resp.Body)
			require.NoError(t, err)
			require.Equal(t, "ok", body.String())
		}
		fmt.Println("idle")
	}
}
