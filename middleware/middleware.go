// Package middleware is for the service that receives shadow copies: [Detect] recognizes them, and
// [ReadOnly] refuses those that may write. [RequestID] is for the mirrored service: it gives every
// request an ID.
//
//	peers := middleware.FromNetworks(netip.MustParsePrefix("10.20.0.0/16"))
//	http.ListenAndServe(addr, middleware.Detect(peers)(middleware.ReadOnly(app)))
//
// Inside, [shadow.IsShadow] reports whether a request is a copy. Use it to leave out
// what must happen once for each real request: mail, payments, events, counters.
package middleware

import (
	"net/http"
	"net/netip"
	"slices"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/internal/handback"
	"github.com/goshadow/shadow/internal/mark"
)

// Detect returns a middleware that decides which requests are shadow copies. A
// request that carries a mark is one if trusted says so of the peer that sent it:
// then shadow.IsShadow(r.Context()) is true and the marks stay, to be passed on. From
// anybody else's request the marks are removed, so that nobody can switch a service
// into its shadow behaviour, or opt out of being copied, by sending a header.
//
// Marks are the header field Shadow-Request and the W3C Baggage member shadow=true,
// and those of other mirroring tools: the fields X-Skipper-Shadow-Traffic,
// X-Tee-Loopback-Key, X-Mirror, X-Mroki-Mode, X-Autumn-Shadow, X-Mirrored-Request and
// X-Shadow-Traffic, and a Host that ends in "-shadow", as Envoy and Istio have it. A
// peer is trusted with all of them.
//
// A Host is never changed, because it may as well be the name of a service. So a
// stranger's Host can still keep a mirror behind Detect from copying, and should not be
// passed on to a service that trusts this one. If your own service has such a name, let
// trusted look at the header field too.
//
// Trusted is asked about requests with a mark only, on a goroutine of its own,
// many at a time; it must not change the request. Nil trusts nobody, and so does a
// trusted that panics or calls runtime.Goexit. A peer that passes on what its own clients send, such as an
// edge proxy, deserves trust only if it removes their marks.
//
// The answer to a copy is not touched. The answer to the probe of preflight.Check, which is
// marked as a copy is, carries its field Shadow-Check: so Check sees that marks get through.
//
// The marks are on a shallow copy of the server's Request, with the same Body and
// ResponseWriter. What the handler inside changes there in place, the middleware around
// sees when it has returned. A request without a mark, and one that is known as a copy already
// because an in-process target serves it, goes through as it is. Put Detect around
// whatever reads the marks, OpenTelemetry's handler included: baggage that has been
// read into a context is not taken back.
func Detect(trusted func(*http.Request) bool) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		if next == nil {
			panic("middleware: Detect: nil handler")
		}
		return &detector{trusted, next}
	}
}

type detector struct {
	trusted func(*http.Request) bool
	next    http.Handler
}

func (d *detector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, marked := mark.Find(r)
	if !marked || shadow.IsShadow(r.Context()) {
		d.next.ServeHTTP(w, r)
		return
	}
	ctx := r.Context()
	trusted := d.trusts(r)
	if trusted {
		ctx = mark.With(ctx, &mark.Mark{ID: id})
		if probe := r.Header[mark.Check]; len(probe) > 0 {
			w.Header()[mark.Check] = probe[:1:1]
		}
	}
	given := r.WithContext(ctx)
	if !trusted {
		given.Header = r.Header.Clone()
		mark.Strip(given.Header)
	}
	handback.Serve(d.next, w, r, given)
}

// trusts asks trusted, which must be able to fail without failing the request: on a goroutine
// of its own, because runtime.Goexit would end that of the request.
func (d *detector) trusts(r *http.Request) bool {
	if d.trusted == nil {
		return false
	}
	answer := make(chan bool, 1)
	go func() {
		yes := false
		defer func() {
			_ = recover()
			answer <- yes
		}()
		yes = d.trusted(r)
	}()
	return <-answer
}

// FromNetworks returns a predicate for Detect: it trusts the peers whose connections
// come from one of the networks. It looks at Request.RemoteAddr, which the server has
// from the connection, and at no header: X-Forwarded-For is for everybody to write. So
// it sees the last hop, and not the client behind a proxy. An IPv6 zone does not
// matter, and an IPv4 peer of a dual-stack listener matches IPv4 networks. No network,
// and a RemoteAddr that is no IP address and port (a Unix socket), means no trust.
func FromNetworks(networks ...netip.Prefix) func(*http.Request) bool {
	networks = slices.Clone(networks)
	return func(r *http.Request) bool {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil {
			return false
		}
		addr := peer.Addr().WithZone("").Unmap()
		return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(addr) })
	}
}
