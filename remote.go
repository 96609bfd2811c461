package shadow

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

// Remote is a target on the network: its URL is baseURL, and its Masker is DropCredentials.
// See Target.URL.
//
// Its connections are its own: HTTP/1.1 or HTTP/2, no proxy from the environment, no
// redirects followed, no content decoded on the way. A connection that went silent is given
// up: with HTTP/2 it is asked with a ping, and after a copy that came to its Timeout without
// an answer no idle connection is used again.
func Remote(name, baseURL string) Target {
	return Target{Name: name, URL: baseURL, Masker: DropCredentials()}
}

// base parses the URL of t.
func (t *Target) base() (*url.URL, error) {
	base, err := url.Parse(t.URL)
	var broken *url.Error
	switch {
	case errors.As(err, &broken):
		return nil, fmt.Errorf("base URL: %w", broken.Err) // the URL itself may hold a password
	case base.User != nil:
		return nil, fmt.Errorf("base URL of host %q: credentials belong in Target.Masker: SetHeader(\"Authorization\", …)", base.Host)
	case base.Scheme != "http" && base.Scheme != "https":
		return nil, fmt.Errorf("base URL %q: the scheme must be http or https", t.URL)
	case base.Host == "":
		return nil, fmt.Errorf("base URL %q: no host", t.URL)
	case base.RawQuery != "" || base.Fragment != "":
		return nil, fmt.Errorf("base URL %q: a query or fragment has no meaning here", t.URL)
	}
	return base, nil
}

// host is the Host of a copy of a request for host, from which the Masker has made masked. It
// is empty where it is that of the URL.
func (t *Target) host(host, masked string) string {
	if t.URL != "" && host == masked {
		return ""
	}
	return masked
}

// remote sends copies to a base URL, each at most once.
type remote struct {
	base   *url.URL
	client http.RoundTripper
	own    *http.Transport // client, where the library made it; else nil
}

// newRemote returns what sends the copies to t, which has a valid URL.
func newRemote(t *Target) *remote {
	r := &remote{client: t.Transport}
	r.base, _ = t.base()
	if r.client == nil {
		r.own = newClient()
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

func newClient() *http.Transport {
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
		MaxIdleConns:           defaultRemoteConcurrency,
		MaxIdleConnsPerHost:    defaultRemoteConcurrency,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: maxResponseHeader,
	}
}

// CloseIdleConnections closes those of a client that the library made. Any other one may be
// in use elsewhere.
func (r *remote) CloseIdleConnections() {
	if r.own != nil {
		r.own.CloseIdleConnections()
	}
}

func (r *remote) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, stop := context.WithCancelCause(req.Context()) // ends with that of the copy
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

// once keeps net/http from sending a copy a second time, as it does with requests that it
// holds for idempotent if a connection that was used before is closed before the answer.
// Where nothing was written of the copy it is sent on another connection.
//
// HTTP/2 sends again only what the server says that it has not processed (RFC 9113 sections
// 6.8 and 8.7), or rejects with PROTOCOL_ERROR.
type once struct {
	stop    context.CancelCauseFunc
	stopped atomic.Bool

	conn   *countedConn // of the attempt; nil where somebody else made it
	before int64        // its writes before the attempt
	tried  bool         // there was an attempt

	wrote    atomic.Bool // the header of the attempt was written, perhaps into a buffer
	answered atomic.Bool // the attempt was answered, or is of HTTP/2
}

// trace returns the hooks by which o follows the attempts. GotConn is called by RoundTrip,
// before anything is written.
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

// written reports whether something of the attempt may have been written.
func (o *once) written() bool {
	if o.conn != nil {
		return o.conn.writes.Load() > o.before
	}
	return o.wrote.Load()
}

// countedConn counts the writes that may be of a request.
type countedConn struct {
	net.Conn
	writes atomic.Int64
}

// minRequest is less than the bytes of any copy: its marks alone are longer. What TLS says
// when it closes a connection is shorter.
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
