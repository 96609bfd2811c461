package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"

	log "github.com/sirupsen/logrus"
	"github.com/zalando/skipper/filters"
	"github.com/zalando/skipper/filters/filtertest"
	skippertee "github.com/zalando/skipper/filters/tee"
)

// tee drives the tee filter of the proxy Skipper as a handler: the filter is given the
// request, then the primary is. It starts a goroutine and an HTTP request to a server
// for each copy, and passes the body through a pipe while the primary reads it, so that
// its figures hold a connection on loopback, which the others' do not. The server on the
// other end costs as little as can be, see sink.
func tee(primary http.Handler, c *candidate) (http.Handler, func(), error) {
	s, err := newSink(c)
	if err != nil {
		return nil, nil, err
	}
	filter, err := skippertee.NewTee().CreateFilter([]any{"http://" + s.listener.Addr().String()})
	if err != nil {
		s.close()
		return nil, nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		filter.Request(&filterContext{filtertest.Context{FRequest: r, FResponseWriter: w}})
		primary.ServeHTTP(w, r)
	}), s.close, nil
}

// filterContext is the part of a proxied request that the filter looks at.
type filterContext struct{ filtertest.Context }

func (*filterContext) Logger() filters.FilterContextLogger { return quiet }

var quiet = func() *log.Logger {
	l := log.New()
	l.SetOutput(io.Discard)
	return l
}()

// sink is a server that reads requests and answers 204. It allocates nothing per request.
type sink struct {
	listener  net.Listener
	candidate *candidate
	running   sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]struct{} // nil once closed
}

func newSink(c *candidate) (*sink, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &sink{listener: l, candidate: c, conns: map[net.Conn]struct{}{}}
	s.running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if s.add(conn) {
				s.running.Go(func() { s.serve(conn) })
			}
		}
	})
	return s, nil
}

// add keeps conn to be closed with s, or closes it.
func (s *sink) add(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns == nil {
		conn.Close()
		return false
	}
	s.conns[conn] = struct{}{}
	return true
}

func (s *sink) remove(conn net.Conn) {
	conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
}

var noContent = []byte("HTTP/1.1 204 No Content\r\n\r\n")

func (s *sink) serve(conn net.Conn) {
	defer s.remove(conn)
	in := bufio.NewReaderSize(conn, 32<<10)
	for {
		length, err := head(in)
		if err != nil {
			return
		}
		if s.candidate.hung != nil {
			<-s.candidate.hung
		}
		if _, err := in.Discard(length); err != nil {
			return
		}
		s.candidate.bytes.Add(int64(length))
		s.candidate.copies.Add(1)
		if _, err := conn.Write(noContent); err != nil {
			return
		}
	}
}

// head reads a request up to its body and returns the body's length.
func head(in *bufio.Reader) (length int, err error) {
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		if len(line) <= len("\r\n") {
			return length, nil
		}
		if name := "Content-Length: "; len(line) > len(name) && strings.EqualFold(string(line[:len(name)]), name) {
			if length, err = strconv.Atoi(strings.TrimSpace(string(line[len(name):]))); err != nil {
				return 0, err
			}
		}
	}
}

func (s *sink) close() {
	s.listener.Close()
	s.mu.Lock()
	for conn := range s.conns {
		conn.Close()
	}
	s.conns = nil
	s.mu.Unlock()
	s.running.Wait()
}
