// Package fire makes shadows that fail, in this process and on the network, for tests and
// benchmarks of what a primary notices of them.
package fire

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"time"
)

// Fault is a way to fail. One of Faults.
type Fault struct {
	Name  string
	serve func(s *Shadow, w http.ResponseWriter) // in process
	talk  func(s *Shadow, c net.Conn)            // on the network: owns one connection
}

// Faults returns every way to fail, those in process first.
func Faults() []Fault {
	return []Fault{
		{Name: "hangs", serve: hang},
		{Name: "floods", serve: flood},
		{Name: "trickles", serve: trickle},
		{Name: "panics", serve: func(*Shadow, http.ResponseWriter) { panic("on fire") }},
		{Name: "exits its goroutine", serve: func(*Shadow, http.ResponseWriter) { runtime.Goexit() }},
		NeverReads(),
		{Name: "remote, floods", talk: floodConn},
		{Name: "remote, trickles", talk: trickleConn},
		{Name: "remote, resets", talk: resetConn},
		{Name: "remote, broken chunks", talk: breakChunks},
		{Name: "remote, refuses connections"},
	}
}

// NeverReads is the fault of a server that accepts connections, and neither reads nor says
// anything.
func NeverReads() Fault {
	return Fault{Name: "remote, hangs", talk: func(s *Shadow, _ net.Conn) { <-s.ended }}
}

// InProcess reports whether a shadow with this fault is a handler, not a server.
func (f Fault) InProcess() bool { return f.serve != nil }

// Start returns a shadow with this fault. It fails until it is closed.
func (f Fault) Start() (*Shadow, error) {
	s := &Shadow{Fault: f, URL: "http://127.0.0.1:1", ended: make(chan struct{})} // nobody listens there
	if f.talk == nil {
		return s, nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.listener, s.URL = l, "http://"+l.Addr().String()
	s.running.Add(1)
	go s.accept()
	return s, nil
}

// Shadow is a candidate on fire. It serves requests in process, or at URL: see InProcess.
type Shadow struct {
	Fault
	URL string

	ended    chan struct{} // closed by Close
	listener net.Listener
	running  sync.WaitGroup // of goroutines, all created in this package
}

// Close ends the fault: what hangs returns, and what comes after it is answered with
// nothing, or on the network with a refused connection. It returns when all connections
// are closed. It may be called once.
func (s *Shadow) Close() {
	close(s.ended)
	if s.listener != nil {
		s.listener.Close()
	}
	s.running.Wait()
}

func (s *Shadow) isEnded() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// ServeHTTP fails as a handler does. It ignores the context of r and never reads its body.
func (s *Shadow) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	if !s.isEnded() {
		s.serve(s, w)
	}
}

func (s *Shadow) accept() {
	defer s.running.Done()
	for {
		c, err := s.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // the client was faster
		}
		s.running.Add(1)
		go s.answer(c)
	}
}

// answer fails as a server does. What it waits for on c ends when s is closed.
func (s *Shadow) answer(c net.Conn) {
	defer s.running.Done()
	defer c.Close()
	over := make(chan struct{})
	defer close(over)
	s.running.Add(1)
	go func() {
		defer s.running.Done()
		select {
		case <-over:
		case <-s.ended:
			c.Close()
		}
	}()
	s.talk(s, c)
}

// endless is how much a handler that floods writes, a page at a time: what it is told of
// errors is nothing to it.
const endless = 10 << 30

var page [64 << 20]byte

func hang(s *Shadow, _ http.ResponseWriter) { <-s.ended }

func flood(s *Shadow, w http.ResponseWriter) {
	w.Write(page[:1<<20]) //nolint:errcheck // it does not look
	for n := int64(1 << 20); n < endless && !s.isEnded(); n += int64(len(page)) {
		w.Write(page[:]) //nolint:errcheck // nor here
	}
}

func trickle(s *Shadow, w http.ResponseWriter) {
	drip(s, func() error {
		_, err := w.Write(page[:1])
		return err
	})
}

// drip calls f every second until it fails or s is closed.
func drip(s *Shadow, f func() error) {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for f() == nil {
		select {
		case <-second.C:
		case <-s.ended:
			return
		}
	}
}

const chunked = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"

func floodConn(_ *Shadow, c net.Conn) {
	if head(c) == nil {
		return
	}
	_, err := io.WriteString(c, chunked)
	for err == nil {
		buffers := net.Buffers{[]byte("100000\r\n"), page[:1<<20], []byte("\r\n")}
		_, err = buffers.WriteTo(c)
	}
}

func trickleConn(s *Shadow, c net.Conn) {
	if head(c) == nil {
		return
	}
	if _, err := io.WriteString(c, chunked); err != nil {
		return
	}
	drip(s, func() error {
		_, err := io.WriteString(c, "1\r\nx\r\n")
		return err
	})
}

func resetConn(_ *Shadow, c net.Conn) {
	if head(c) != nil {
		c.(*net.TCPConn).SetLinger(0) //nolint:errcheck // then it is closed in peace, with bytes unread: a reset too
	}
}

// breakChunks reads the body, so that the client sees the answer and no reset.
func breakChunks(_ *Shadow, c net.Conn) {
	r := head(c)
	if r == nil {
		return
	}
	if _, err := io.Copy(io.Discard, r.Body); err == nil {
		io.WriteString(c, chunked+"5\r\nhello\r\nfive\r\n")
	}
}

// head reads a request up to its body; nil if there is none.
func head(c net.Conn) *http.Request {
	r, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return nil
	}
	return r
}

// Goroutines counts the goroutines of the process by the function that created them, those
// of shadows on fire left out. It stops the process for a moment.
func Goroutines() map[string]int {
	buf := make([]byte, 1<<20)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	counts := map[string]int{}
	for stack := range strings.SplitSeq(string(buf), "\n\n") {
		_, creator, _ := strings.Cut(stack, "\ncreated by ")
		creator, _, _ = strings.Cut(creator, " in goroutine ")
		if !strings.HasPrefix(creator, "github.com/goshadow/shadow/internal/fire.") {
			counts[creator]++
		}
	}
	return counts
}
