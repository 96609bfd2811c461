package target

import (
	"context"
	"crypto/tls"
	"net/url"
	"sync/atomic"

	"github.com/goshadow/shadow/internal/mark"
)

// Context is the context of a copy: the mark, the values that the user asked for, and nothing
// else of the request that it is a copy of.
type Context struct {
	context.Context
	Mark   mark.Mark
	Limits       // a Handler keeps to them
	Asked  Asked // a Handler is asked the same
	Keys   []any // of WithContextKeys
	Values []any // of the request, for Keys

	taken atomic.Bool // by a Handler that is running: the handlers that it calls are asked something else
}

type contextKey struct{}

// Value implements context.Context.
func (c *Context) Value(key any) any {
	switch key {
	case mark.Key:
		return &c.Mark
	case contextKey{}:
		return c
	}
	for i, k := range c.Keys {
		if k == key {
			return c.Values[i]
		}
	}
	return c.Context.Value(key)
}

// Asked is what the primary was asked.
type Asked struct {
	Sent       *url.URL // with which the copy is sent; nil if there is none
	URL        *url.URL // nil if a Masker changed it
	URI        string   // RequestURI, empty if it was no server's request
	Proto      string
	RemoteAddr string
	TLS        *tls.ConnectionState
	Chunked    bool
	OuterType  string // the Content-Type that middleware around the Mirror had set
}

// Left returns what of a is left in a copy that is sent with the URL out. In is the URL before a
// Masker, and original that of the primary's request. If the copy is masked nothing is left of a
// client's certificate, which is a credential.
func (a Asked) Left(original, in, out *url.URL, masked bool) Asked {
	a.Sent, a.URL = out, original
	if *out != *in {
		a.URL, a.URI = nil, ""
	}
	if s := a.TLS; masked && s != nil {
		a.TLS = &tls.ConnectionState{Version: s.Version, HandshakeComplete: s.HandshakeComplete, CipherSuite: s.CipherSuite,
			NegotiatedProtocol: s.NegotiatedProtocol, ServerName: s.ServerName}
	}
	return a
}
