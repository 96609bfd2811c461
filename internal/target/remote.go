// Package target is the client side of a copy: the request that a target is sent, the transports to
// a target on the network or in this process, and what is taken of its answer.
package target

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// HasHost reports whether host is that of the base URL of a target.
func HasHost(raw, host string) bool {
	base, err := ParseURL(raw)
	return err == nil && strings.EqualFold(base.Host, host)
}

// ParseURL parses the base URL of a target. Its errors quote no password.
func ParseURL(raw string) (*url.URL, error) {
	base, err := url.Parse(raw)
	var broken *url.Error
	switch {
	case errors.As(err, &broken):
		return nil, fmt.Errorf("base URL: %w", broken.Err) // the URL itself may hold a password
	case base.User != nil:
		return nil, fmt.Errorf("base URL of host %q: credentials belong in Target.Masker: SetHeader(\"Authorization\", …)", base.Host)
	case base.Scheme != "http" && base.Scheme != "https":
		return nil, fmt.Errorf("base URL %q: the scheme must be http or https", raw)
	case base.Host == "":
		return nil, fmt.Errorf("base URL %q: no host", raw)
	case base.RawQuery != "" || base.Fragment != "":
		return nil, fmt.Errorf("base URL %q: a query or fragment has no meaning here", raw)
	}
	return base, nil
}

// Remote sends copies to a base URL, each at most once. It is safe for concurrent use.
type Remote struct {
	base   *url.URL
	client http.RoundTripper
	own    *http.Transport // client, if NewRemote made it; else nil
}

// NewRemote returns the Remote for base, which ParseURL has accepted. A nil client stands for one
// of its own that keeps at most idle connections.
func NewRemote(base *url.URL, client http.RoundTripper, idle int) *Remote {
	r := &Remote{base: base, client: client}
	if client == nil {
		r.own = newClient(idle)
		r.client = r.own
	}
	return r
}

// pingAfter and pingTimeout find a silent HTTP/2 connection within half the default Timeout
// of a copy.
const (
	pingAfter   = 2 * time.Second
	pingTimeout = 3 * time.Second
)

// newClient returns a client that takes nothing from the environment, follows no redirects and
// decodes no content.
func newClient(idle int) *http.Transport {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &countedConn{Conn: conn}, nil
		},
		TLSHandshakeTimeout:    5 * time.Second,
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
		DisableCompression:     true,
		MaxIdleConns:           idle,
		MaxIdleConnsPerHost:    idle,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: maxResponseHeader,
	}
}

// CloseIdleConnections closes the idle connections of a client that NewRemote made. Any other
// client may be in use elsewhere.
func (r *Remote) CloseIdleConnections() {
	if r.own != nil {
		r.own.CloseIdleConnections()
	}
}

// RoundTrip sends req to the base URL. An empty Host stands for that of the base URL.
func (r *Remote) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, stop := context.WithCancelCause(req.Context()) // ends with the context of the copy
	once := &once{stop: stop}
	out := req.WithContext(httptrace.WithClientTrace(ctx, once.trace()))
	if out.Host == "" {
		out.Host = r.base.Host
	}
	u := *req.URL
	u.Scheme, u.Host, u.User = r.base.Scheme, r.base.Host, nil
	if prefix := strings.TrimSuffix(r.base.EscapedPath(), "/"); prefix != "" {
		u.RawPath = prefix + req.URL.EscapedPath()
		u.Path = strings.TrimSuffix(r.base.Path, "/") + req.URL.Path
	}
	out.URL = &u
	resp, err := r.client.RoundTrip(out)
	if err == nil {
		return resp, nil
	}
	if errors.Is(context.Cause(req.Context()), ErrTimeout) {
		r.CloseIdleConnections() // they may be as dead as the one that did not answer
	}
	if once.stopped.Load() {
		err = errOnce
	}
	stop(err)
	return resp, err
}

var errOnce = errors.New("shadow: the connection was closed before an answer came; the copy may have been executed and is not sent again")

// once prevents net/http from sending a copy a second time. net/http does so with a request that
// it considers idempotent if a reused connection is closed before the answer. A copy of which
// nothing was written may be sent on another connection.
//
// Over HTTP/2 net/http repeats only what the server has not processed (RFC 9113 sections 6.8
// and 8.7), or has rejected with PROTOCOL_ERROR.
type once struct {
	stop    context.CancelCauseFunc
	stopped atomic.Bool

	conn   *countedConn // of the current attempt; nil if another package dialled it
	before int64        // writes to conn before the attempt
	tried  bool         // there was an attempt

	wrote    atomic.Bool // the attempt has written its header, perhaps into a buffer
	answered atomic.Bool // the attempt was answered, or uses HTTP/2
}

// trace returns the hooks by which o follows the attempts. RoundTrip calls GotConn before it
// writes anything.
func (o *once) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			if o.tried && !o.answered.Load() && o.written() {
				o.stopped.Store(true)
				o.stop(errOnce)
				info.Conn.Close() // the write that would follow fails
				return
			}
			o.tried = true
			o.wrote.Store(false)
			o.answered.Store(false)
			o.conn = counted(info.Conn)
			if o.conn != nil {
				o.before = o.conn.writes.Load()
			}
		},
		WroteHeaderField: func(name string, _ []string) {
			if strings.HasPrefix(name, ":") { // HTTP/2: other copies use the connection
				o.answered.Store(true)
			}
		},
		WroteHeaders:         func() { o.wrote.Store(true) },
		GotFirstResponseByte: func() { o.answered.Store(true) },
	}
}

// written reports whether a part of the attempt may have been written.
func (o *once) written() bool {
	if o.conn != nil {
		return o.conn.writes.Load() > o.before
	}
	return o.wrote.Load()
}

// countedConn counts the writes that may belong to a request.
type countedConn struct {
	net.Conn
	writes atomic.Int64
}

// minRequest is less than the bytes of any copy: its marks alone are longer. The alert with
// which TLS closes a connection is shorter.
const minRequest = 100

func (c *countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if n > 0 && len(p) >= minRequest {
		c.writes.Add(1)
	}
	return n, err
}

// counted returns the countedConn below conn, or nil.
func counted(conn net.Conn) *countedConn {
	if secure, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = secure.NetConn()
	}
	c, _ := conn.(*countedConn)
	return c
}
