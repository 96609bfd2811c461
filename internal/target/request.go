package target

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/goshadow/shadow/internal/capture"
	"github.com/goshadow/shadow/internal/fields"
	"github.com/goshadow/shadow/internal/mark"
	"github.com/goshadow/shadow/internal/message"
)

// Copy is the request of one copy to one target. The stages of sending it call Forward, then the
// Masker and Masked if there is one, then Finish and Request.
type Copy struct {
	Target  string           // the name of the target
	Network bool             // the target is on the network
	ID      string           // the correlation ID
	IDField string           // the header field for it; empty for none
	Minted  bool             // the request came without an ID
	In      *message.Message // the request as it came; it is not changed
	Out     message.Message  // the request as it is sent, with a header of its own

	Raw      []byte          // the body as it was transferred
	Recorded *capture.Buffer // holds the body instead of Raw if nobody looks at it

	added  http.Header // by Forward
	open   func() io.ReadCloser
	length int64
}

const forwardedHost = "X-Forwarded-Host"

// Forward adds the fields by which a target on the network knows what the request was for, unless
// the request came with them.
func (c *Copy) Forward(host, scheme, remoteAddr string) {
	if !c.Network {
		return
	}
	c.added = make(http.Header, 3)
	add := func(name, value string) {
		if value != "" && len(fields.Values(c.In.Header, name)) == 0 {
			c.added[name] = []string{value}
		}
	}
	client, _, _ := net.SplitHostPort(remoteAddr)
	add(forwardedHost, host)
	add("X-Forwarded-Proto", scheme)
	add("X-Forwarded-For", client)
	maps.Copy(c.Out.Header, c.added)
}

// ErrInvalid is returned by Masked.
var ErrInvalid = errors.New("what it left of the request cannot be sent: the method, the URL or a header field is not valid")

// Masked removes from Out what a Masker has not seen but what would give away what it has
// removed. It returns ErrInvalid if the rest cannot be sent.
func (c *Copy) Masked() error {
	out := &c.Out
	if !Valid(out) {
		return ErrInvalid
	}
	if out.Header == nil {
		out.Header = http.Header{}
	}
	if out.Host != c.In.Host && slices.Equal(out.Header[forwardedHost], c.added[forwardedHost]) {
		delete(out.Header, forwardedHost)
	}
	if out.Method != c.In.Method || *out.URL != *c.In.URL || !sameFields(out.Header, c.In.Header, c.added) {
		c.dropFields(fields.Signatures) // they may cover what has changed
	}
	if sent := c.In.Header[c.IDField]; len(sent) > 0 && !slices.Equal(sent, out.Header[c.IDField]) {
		mark.DropMembers(out.Header, sent[0])
		if strings.HasPrefix(sent[0], c.ID) { // not replaced yet
			c.ID = mark.NewID()
		}
	}
	return nil
}

// Valid reports whether a request can be sent.
func Valid(m *message.Message) bool {
	return fields.IsToken(m.Method) && m.URL != nil && m.URL.Opaque == "" && fields.Valid(m.Header) && fields.Valid(m.Trailer)
}

// sameFields reports whether h has the fields of in and those of added, and no others.
func sameFields(h, in, added http.Header) bool {
	n := len(h)
	for name, values := range added {
		if slices.Equal(h[name], values) {
			n--
		}
	}
	if n != len(in) {
		return false
	}
	for name, values := range in {
		if !slices.Equal(h[name], values) {
			return false
		}
	}
	return true
}

// Finish makes of Out's header that of the copy, and opens its body. Strip removes the fields of
// trace propagation. Plain says that the body of Out is sent even if no rule has changed it:
// rules have looked into the decoded body, and not at what its coding may hold besides, such as
// names and comments of gzip, or bytes behind its end.
func (c *Copy) Finish(strip func(http.Header), plain bool) {
	h := c.Out.Header
	for name := range c.added { // as the Masker left it
		c.added[name] = h[name]
	}
	fields.StripHopByHop(h)
	for name, values := range c.added {
		if len(values) > 0 { // the client's Connection cannot name what the copy adds
			h[name] = values
		}
	}
	delete(h, "Expect")
	strip(h)
	if c.IDField != "" && c.Minted {
		h[c.IDField] = []string{c.ID}
	}
	for name, values := range h {
		if idempotency.Has(name) {
			h[name] = derivedKeys(values, c.Target)
		}
	}
	if c.Network && len(fields.Values(h, "User-Agent")) == 0 {
		h["User-Agent"] = nil // else net/http invents one
	}
	if c.Recorded != nil {
		if c.length = c.Recorded.Size(); c.length > 0 {
			c.open = func() io.ReadCloser { return c.Recorded.Reader() }
		}
		return
	}
	raw, out := c.Raw, &c.Out
	changed := !bytes.Equal(c.In.Body, out.Body) || c.In.Body != nil && out.Body == nil
	if changed || plain && !out.Truncated && !bytes.Equal(raw, out.Body) {
		raw = out.Body
		c.dropFields(fields.Digests)
		fixHeader(h, len(raw))
	}
	if c.length = int64(len(raw)); c.length > 0 {
		c.open = func() io.ReadCloser { return io.NopCloser(bytes.NewReader(raw)) }
	}
}

// fixHeader removes from h what no longer describes a body that was masked, and gives it the
// new length.
func fixHeader(h http.Header, length int) {
	dropFields(h, []string{"Content-Encoding"})
	if len(h["Content-Length"]) > 0 {
		h["Content-Length"] = []string{strconv.Itoa(length)}
	}
}

// dropFields removes the named header and trailer fields from the copy.
func (c *Copy) dropFields(names []string) {
	dropFields(c.Out.Header, names)
	dropFields(c.Out.Trailer, names)
}

func dropFields(h http.Header, names []string) {
	for key := range h {
		if slices.Contains(names, http.CanonicalHeaderKey(key)) {
			delete(h, key)
		}
	}
}

// Request returns the copy as a client sends it.
func (c *Copy) Request(ctx context.Context) *http.Request {
	out := &c.Out
	plain := http.Request{
		Method: out.Method, URL: out.URL, Host: out.Host, Header: out.Header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, ContentLength: c.length,
	}
	if c.Network && out.Host == c.In.Host {
		plain.Host = "" // that of the base URL
	}
	open := c.open
	if len(out.Trailer) > 0 { // trailers need chunks
		plain.Trailer, plain.ContentLength = out.Trailer.Clone(), -1
		if open == nil {
			open = func() io.ReadCloser { return io.NopCloser(bytes.NewReader(nil)) }
		}
	}
	if open != nil {
		plain.Body = open()
		// A connection may go away before anything is processed.
		plain.GetBody = func() (io.ReadCloser, error) { return open(), nil }
	}
	return plain.WithContext(ctx)
}

// Send has transport perform req. Unlike a RoundTripper of a user it returns a response or an error.
func Send(transport http.RoundTripper, req *http.Request) (*http.Response, error) {
	resp, err := transport.RoundTrip(req)
	if err == nil && resp == nil {
		return nil, errNeither
	}
	return resp, err
}

var errNeither = errors.New("shadow: the Transport returned neither a response nor an error")
