package shadow

import (
	"context"
	"net/http"
	"time"

	"github.com/goshadow/shadow/internal/capture"
	"github.com/goshadow/shadow/internal/fields"
	"github.com/goshadow/shadow/internal/handback"
)

// Handler returns a handler that serves as primary does and copies what it is asked.
// The method value is a middleware: router.Use(mirror.Handler). It panics where m or primary
// is nil, and where primary is what Handler of the same Mirror returned.
//
// The primary is given the server's ResponseWriter behind one that has the same
// optional interfaces and Unwrap, and the server's Request, or a shallow copy of it
// where the request has a body: what the primary changes there in place, its context and
// its path values included, the middleware around sees when the primary has returned.
// Nothing of the request is changed. Neither is touched where a request is not copied.
//
// A request body that the primary did not read to its end, as with a 401 or a 413, is
// completed after it has returned, but only from bytes that have arrived already (HTTP/1,
// with a Content-Length, in the server's buffer of 4 KiB). Else the copy is dropped as
// ReasonBodyUnread: nothing waits for a client. It is also where the primary has enabled
// full duplex.
//
// Two things in net/http do not look through a ResponseWriter. http.MaxBytesReader, called
// inside the primary, cannot have the connection closed after a body that is too large: wrap
// the Mirror's handler in http.MaxBytesHandler instead. And the line "superfluous
// response.WriteHeader call from …" that the server logs names this package, not the
// primary: net/http skips frames of its own only.
func (m *Mirror) Handler(primary http.Handler) http.Handler {
	m.mustExist("Handler")
	if isNil(primary) {
		panic("shadow: Mirror.Handler: nil primary")
	}
	if h, ok := primary.(*handler); ok && h.m == m {
		panic("shadow: Mirror.Handler: this Mirror wraps the primary already: every request would be copied twice")
	}
	return &handler{m, primary}
}

type handler struct {
	m       *Mirror
	primary http.Handler
}

func (h *handler) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	var d drawn
	w := h.m.decide(r, &d)
	if w == 0 {
		w = h.m.serve(h.primary, rw, r, d)
	}
	if w != 0 {
		weight := h.m.tally.add(r, w)
		h.primary.ServeHTTP(rw, r)
		h.m.passBy(r, w, weight)
	}
}

// serving is a request to a primary handler that is going to be copied.
type serving struct {
	job
	writer capture.Writer
	server *http.Request   // as the server made it
	ctx    context.Context // of server: the primary may put another one in its place
	body   *capture.Body   // nil where there is none
	given  *http.Request   // what the primary gets: server, or a copy of it with body in it
	was    *http.Request   // given before the primary could change it; nil where it is server
}

// serve has primary serve r and copies it. Where r is not to be copied it says why, and
// has done nothing.
func (m *Mirror) serve(primary http.Handler, w http.ResponseWriter, r *http.Request, d drawn) code {
	s := newServing(r)
	s.decision = d.Decision
	if w := m.snapshot(&s.job, r); w != 0 {
		return w
	}
	s.ctx = r.Context()
	s.scheme, s.remoteAddr, s.uri = "http", r.RemoteAddr, r.RequestURI
	s.tls, s.chunked = r.TLS, len(r.TransferEncoding) > 0
	if r.TLS != nil {
		s.scheme = "https"
	}
	s.outer = fields.Take(w.Header(), s.outerRoom[:])
	s.writer.Start, s.writer.Outer = s.start, s.outer
	s.writer.Init(w, r.Method, m.pool, m.answers)
	if m.timing == Parallel {
		m.newBeside(&s.job)
		s.beside.drop = s.writer.Drop
		if s.body == nil {
			if w := m.start(&s.job, s.beside, r); w != 0 {
				return w
			}
		}
	}
	if s.body != nil {
		*s.given = *r
		s.given.Body = s.body
		*s.was = *s.given
		s.body.Init(r.Body, r.ContentLength, m.pool, m.maxBody)
		s.body.Trailers(r, s.given)
		s.body.Answer(&s.writer)
		s.writer.Request(r, s.given)
		if s.beside != nil {
			s.body.Early(m.early(&s.job, r))
		}
	}
	verdict := codePrimaryPanicked
	defer func() { m.served(s, verdict) }() // no recover: the panic is the server's
	wrapped := s.writer.Wrap()
	s.before = d.took + time.Since(s.start)
	primary.ServeHTTP(wrapped, s.given)
	verdict = 0
	return 0
}

// newServing makes what r needs, in one allocation. Where it has a body the primary is given
// a request of its own, whose body is recorded: net/http looks at the type of the server's
// while it writes the response.
func newServing(r *http.Request) *serving {
	if r.Body == nil || r.Body == http.NoBody {
		return &serving{server: r, given: r}
	}
	var s struct {
		serving
		given, was http.Request
		body       capture.Body
	}
	s.server, s.serving.given, s.serving.was, s.serving.body = r, &s.given, &s.was, &s.body
	return &s.serving
}

// served runs when the primary has returned, or is being unwound by a panic.
func (m *Mirror) served(s *serving, w code) {
	s.ended = s.start.Add(time.Since(s.start))
	defer m.observe(s.before, s.ended)
	begun, end := s.join(), capture.Complete
	if s.body != nil && !begun {
		if w == 0 && !s.writer.Duplex() { // else net/http does not read the rest in time
			s.body.Finish()
		}
		s.job.body, end = s.body.Stop()
		if s.body.Ended() {
			s.trailer = fields.Take(s.server.Trailer, nil)
		}
	}
	if s.was != nil {
		handback.Changes(s.server, s.given, s.was)
	}
	s.resp = s.writer.Stop()
	if w == 0 {
		w = s.verdict(end)
	}
	m.primaryDone(&s.job, s.server, s.given, w)
}

// verdict tells why a request that was served is not copied after all.
func (s *serving) verdict(body capture.End) code {
	switch {
	case s.resp.Status == http.StatusSwitchingProtocols:
		return codeUpgrade
	case s.resp.Hijacked:
		return codeHijacked
	case s.resp.Broken || s.ctx.Err() != nil && !s.resp.Whole:
		return codeClientGone
	case s.resp.Short:
		return codePrimaryIncomplete
	case refused(s.resp.Status):
		return codePrimaryRefused
	}
	return bodyVerdict(body)
}

func refused(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable
}

func bodyVerdict(end capture.End) code {
	switch end {
	case capture.Unread:
		return codeBodyUnread
	case capture.Failed:
		return codeBodyFailed
	case capture.TooLarge:
		return codeBodyTooLarge
	case capture.Starved:
		return codeBytesFull
	}
	return 0
}
