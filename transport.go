package shadow

import (
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/goshadow/shadow/internal/capture"
	"github.com/goshadow/shadow/internal/fields"
)

// Transport returns a RoundTripper that does what primary does and copies what it is
// asked; nil is http.DefaultTransport. Timing and errors are those of primary, and the
// request is not changed. An exchange is complete when the caller has read the body of the
// response to its end or closed it; one whose body was closed before its end is
// ReasonPrimaryIncomplete. Transport panics where m is nil, and where primary is what
// Transport of the same Mirror returned.
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
	var d Draw
	if w := t.m.decide(r, &d); w != whyCopied {
		t.m.tally.add(r, w)
		if w.byRoute() {
			t.m.lose(r, w)
		}
		return t.primary.RoundTrip(r)
	}
	return t.m.call(t.primary, r, d)
}

// calling is a request through a primary RoundTripper that is going to be copied.
type calling struct {
	job
	answer  capture.Response
	request *http.Request                // the caller's
	body    atomic.Pointer[capture.Body] // of the latest attempt; nil where there is none
	over    atomic.Bool                  // no attempt is recorded any more
}

func (m *Mirror) call(primary http.RoundTripper, r *http.Request, d Draw) (resp *http.Response, err error) {
	c := &calling{request: r}
	c.draw = d
	c.resp = &c.answer
	if w := m.snapshot(&c.job, r); w != whyCopied {
		m.tally.add(r, w)
		m.lose(r, w)
		return primary.RoundTrip(r)
	}
	c.scheme = r.URL.Scheme
	if m.timing == Parallel {
		m.newBeside(&c.job)
	}
	out := r
	if r.Body != nil && r.Body != http.NoBody {
		out = c.tee(m)
	} else if c.beside != nil {
		if w := m.start(&c.job, c.beside, r); w != whyCopied {
			m.tally.add(r, w)
			m.lose(r, w)
			return primary.RoundTrip(r)
		}
	}

	returned := false
	defer func() {
		if !returned {
			m.called(c, whyPrimaryPanicked)
		}
	}()
	c.before = time.Since(c.start)
	resp, err = primary.RoundTrip(out)
	returned = true

	c.resp.First = time.Now()
	switch {
	case err != nil || resp == nil:
		m.called(c, whyPrimaryFailed)
		return resp, err
	case resp.StatusCode == http.StatusSwitchingProtocols:
		m.called(c, whyUpgrade)
		return resp, nil
	}
	if resp.Request == out {
		resp.Request = r
	}
	c.resp.Status = resp.StatusCode
	if !m.unseen {
		c.resp.Header = fields.Take(resp.Header, nil)
	}
	if resp.Body == nil || resp.Body == http.NoBody {
		m.called(c, whyCopied)
		return resp, nil
	}
	resp.Body = capture.NewAnswer(resp.Body, resp.ContentLength, m.pool, m.answers,
		func(buf capture.Buffer, complete bool) {
			c.resp.Body = buf
			c.resp.Trailer = fields.Take(resp.Trailer, nil)
			if !complete {
				m.called(c, whyPrimaryIncomplete)
				return
			}
			m.called(c, whyCopied)
		})
	return resp, nil
}

// tee returns the request that the primary gets: the caller's, with its body recorded.
// An attempt that the primary makes again is recorded anew.
func (c *calling) tee(m *Mirror) *http.Request {
	length := c.request.ContentLength
	if length == 0 {
		length = -1 // a client request says unknown like this
	}
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
		return b
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
func (m *Mirror) called(c *calling, w why) {
	c.ended = time.Now()
	defer m.limits.added(c.before, c.ended)
	begun, end := c.join(), capture.Complete
	c.over.Store(true)
	if body := c.body.Load(); begun {
		discard(body)
	} else if body != nil {
		c.job.body, end = body.Stop()
		c.trailer = fields.Take(c.request.Trailer, nil)
	}
	switch {
	case w != whyCopied:
	case refused(c.resp.Status):
		w = whyPrimaryRefused
	default:
		w = bodyVerdict(end)
	}
	m.primaryDone(&c.job, c.request, c.request, w)
}
