package shadow

import (
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/goshadow/shadow/internal/capture"
	"github.com/goshadow/shadow/internal/fields"
	"github.com/goshadow/shadow/internal/media"
)

// Transport returns a RoundTripper that does what primary does and copies what it is
// asked; nil is http.DefaultTransport. Timing and errors are those of primary, and the
// request is not changed.
//
// A request whose body is in memory (those of http.NewRequest, and what net/http itself
// recognises) reaches primary as it is. Any other body is recorded as primary reads it,
// through a reader that is a file or an io.WriterTo where the body is one.
//
// GetBody is called when primary calls it, and otherwise only for a body in memory that was
// read before. Clients exist whose GetBody rewinds the body that is still being sent, such as
// aws-sdk-go version 1, and reading a body twice would delay the caller.
//
// An exchange is complete when the caller has read the body of the response to its end. A
// body that was closed before its end is complete if Content-Length bytes of it were read,
// or if a JSON document was read as a whole, as json.Decoder does. Otherwise the exchange is
// ReasonPrimaryIncomplete. So is a call that was cancelled, also if nobody closes its body.
//
// Transport panics where m is nil, and where primary is what Transport of the same Mirror
// returned.
func (m *Mirror) Transport(primary http.RoundTripper) http.RoundTripper {
	m.mustExist("Transport")
	if isNil(primary) {
		primary = http.DefaultTransport
	}
	if t, ok := primary.(*transport); ok && t.m == m {
		panic("shadow: Mirror.Transport: this Mirror wraps the primary already: every request would be copied twice")
	}
	return &transport{m, primary}
}

type transport struct {
	m       *Mirror
	primary http.RoundTripper
}

// CloseIdleConnections does so for the primary: http.Client asks for it.
func (t *transport) CloseIdleConnections() {
	if c, ok := t.primary.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	var d drawn
	if w := t.m.decide(r, &d); w != 0 {
		t.m.passBy(r, w, t.m.tally.add(r, w))
		return t.primary.RoundTrip(r)
	}
	return t.m.call(t.primary, r, d)
}

// calling is a request through a primary RoundTripper that is going to be copied.
type calling struct {
	job
	answer  capture.Response
	request *http.Request                  // the caller's
	body    atomic.Pointer[capture.Body]   // of the latest attempt; nil where nothing is recorded
	over    atomic.Bool                    // no attempt is recorded any more
	kept    atomic.Pointer[capture.Answer] // what records the answer's body
}

func (m *Mirror) call(primary http.RoundTripper, r *http.Request, d drawn) (resp *http.Response, err error) {
	c := &calling{request: r}
	c.decision = d.Decision
	c.resp = &c.answer
	c.answer.Body.Init(m.pool, m.answers)
	if w := m.snapshot(&c.job, r); w != 0 {
		m.tally.add(r, w)
		m.lose(r, w)
		return primary.RoundTrip(r)
	}
	c.scheme = r.URL.Scheme
	if m.timing == Parallel {
		m.newBeside(&c.job)
		c.beside.drop = func() { c.kept.Load().Drop() }
	}
	body, known := ownBody(r)
	out := r
	if !known {
		out = c.tee(m)
	} else if c.beside != nil {
		if w := m.startCall(&c.job, r, body); w != 0 {
			m.tally.add(r, w)
			m.lose(r, w)
			return primary.RoundTrip(r)
		}
	}

	verdict := codePrimaryPanicked
	defer func() {
		if verdict != 0 {
			m.called(c, verdict)
		}
	}()
	c.before = d.took + time.Since(c.start)
	resp, err = primary.RoundTrip(out)

	c.resp.First = time.Now()
	if resp != nil && resp.Request == out {
		resp.Request = r
	}
	switch {
	case err != nil || resp == nil:
		verdict = codePrimaryFailed
		return resp, err
	case resp.StatusCode == http.StatusSwitchingProtocols:
		verdict = codeUpgrade
		return resp, nil
	}
	c.resp.Status = resp.StatusCode
	if known && c.beside == nil && !refused(resp.StatusCode) {
		if verdict = m.takeBody(&c.job, r, body); verdict != 0 {
			return resp, nil
		}
	}
	verdict = 0
	if !m.unseen {
		c.resp.Header = fields.Take(resp.Header, nil)
	}
	if resp.Body == nil || resp.Body == http.NoBody {
		m.called(c, 0)
		return resp, nil
	}
	given := resp // resp itself would be moved to the heap
	answer := capture.NewAnswer(resp.Body, resp.ContentLength, m.pool, m.answers, func(buf capture.Buffer, end capture.End, eof bool) {
		c.resp.Body = buf
		if eof {
			c.resp.Trailer = fields.Take(given.Trailer, nil)
		}
		c.resp.Early = end == capture.Unread && isJSON(c.resp.Header) && buf.Size() > 0 && !buf.Cut()
		if end == capture.Complete || c.resp.Early {
			m.called(c, 0)
		} else {
			m.called(c, codePrimaryIncomplete)
		}
	})
	resp.Body = answer
	if c.kept.Store(answer); c.beside != nil && c.beside.parted.Load() {
		answer.Drop()
	}
	answer.EndWith(r.Context())
	return resp, nil
}

// isJSON reports whether a header announces a JSON document.
func isJSON(h fields.Snapshot) bool {
	for name, values := range h.All() {
		if name == "Content-Type" {
			return media.Of(values[0]).Kind == media.JSON
		}
	}
	return false
}

// ownBody returns a reader of what the body of r holds where the body need not be recorded,
// because it is in memory or there is none. Net/http sends a body in memory together with
// the header, and sends it again on a new connection, but only if it knows its type: the
// primary must get it as it is. What Expect holds back may never be sent, so it is recorded.
func ownBody(r *http.Request) (body func() (io.ReadCloser, error), known bool) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, true
	}
	memory, length := capture.Memory(r.Body)
	if memory == nil || len(r.Header["Expect"]) > 0 {
		return nil, false
	}
	if length < r.ContentLength && r.GetBody != nil { // it has been sent before
		return r.GetBody, true
	}
	return func() (io.ReadCloser, error) { return memory, nil }, true
}

// takeBody gives j a copy of the body of r, nil where there is none.
func (m *Mirror) takeBody(j *job, r *http.Request, open func() (io.ReadCloser, error)) code {
	if open == nil {
		return 0
	}
	end := capture.Failed
	m.guard("GetBody", func() error { //nolint:errcheck // it is Failed
		body, err := open()
		if err != nil || body == nil {
			return err
		}
		j.body, end = capture.ReadBody(body, announced(r), m.pool, m.maxBody)
		return nil
	})
	return bodyVerdict(end)
}

// startCall starts the copy of r beside the primary, with a body of its own.
func (m *Mirror) startCall(j *job, r *http.Request, open func() (io.ReadCloser, error)) code {
	if w := m.takeBody(j, r, open); w != 0 {
		j.beside.cancel()
		return w
	}
	return m.start(j, j.beside, r)
}

// announced is the length of the body of r, -1 if unknown, for which a client's request has 0.
func announced(r *http.Request) int64 {
	if r.ContentLength == 0 {
		return -1
	}
	return r.ContentLength
}

// tee returns the request that the primary gets: the caller's, with its body recorded.
// An attempt that the primary makes again is recorded anew.
func (c *calling) tee(m *Mirror) *http.Request {
	length := announced(c.request)
	var early func(*capture.Buffer, error) bool
	if c.beside != nil {
		early = m.early(&c.job, c.request)
	}
	record := func(body io.ReadCloser) io.ReadCloser {
		if c.over.Load() {
			return body
		}
		b := &capture.Body{}
		b.Init(body, length, m.pool, m.maxBody)
		if early != nil {
			b.Early(early)
		}
		discard(c.body.Swap(b))
		if c.over.Load() {
			discard(b)
		}
		return b.Client()
	}
	out := *c.request
	out.Body = record(c.request.Body)
	if get := c.request.GetBody; get != nil {
		out.GetBody = func() (io.ReadCloser, error) {
			body, err := get()
			if err != nil {
				return body, err
			}
			return record(body), nil
		}
	}
	return &out
}

// discard ends a recording that is of no use.
func discard(b *capture.Body) {
	if b != nil {
		buf, _ := b.Stop()
		buf.Release()
	}
}

// called runs when the exchange is complete, or has come to nothing.
func (m *Mirror) called(c *calling, w code) {
	c.ended = time.Now()
	defer m.observe(c.before, c.ended)
	begun, end := c.join(), capture.Complete
	c.over.Store(true)
	if body := c.body.Load(); begun {
		discard(body)
	} else if body != nil {
		c.job.body, end = body.Stop()
		c.trailer = fields.Take(c.request.Trailer, nil)
	}
	switch {
	case w != 0:
	case refused(c.resp.Status):
		w = codePrimaryRefused
	default:
		w = bodyVerdict(end)
	}
	r := c.request
	c.request = nil // it holds a body, and the copy may wait
	c.body.Store(nil)
	m.primaryDone(&c.job, r, r, w)
}
