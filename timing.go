package shadow

import (
	"context"
	"io"
	"math"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/goshadow/shadow/internal/capture"
	"github.com/goshadow/shadow/internal/fields"
)

// Timing is when copies are sent. The zero value is AfterPrimary.
type Timing string

const (
	// AfterPrimary sends a copy when the primary has answered. The two never compete for
	// what they share, and what is not to be compared is never sent.
	AfterPrimary Timing = ""

	// Parallel sends a copy as soon as the request body is complete, which it is when the
	// primary has read it, and at once where there is none: a candidate in the same time and
	// under the same conditions, at the price of a higher peak load. Nothing is read ahead
	// of the primary, and it does not wait. Where it does not read the body to its end the
	// copy is sent after it has answered, if at all.
	//
	// A copy is counted in Stats from its start, and its worker stays taken until the
	// primary has answered too, at most for the Timeout of the Target: then, as with a
	// stream of events that does not end, the copy is ReasonPrimaryIncomplete. Where
	// the primary turns out to be not for comparing, such as after a panic or with a 503,
	// the copy is cancelled and counted under that reason. By then the candidate may have
	// seen it. An answer of the candidate that is longer than WithMaxBody is read on when the
	// primary has answered. The span of a copy has the route where the primary has answered before the
	// copy ends.
	Parallel Timing = "parallel"
)

// WithTiming says when copies are sent. The default is AfterPrimary.
func WithTiming(t Timing) Option {
	return optionFunc(func(c *config) {
		if t != AfterPrimary && t != Parallel {
			c.fail("WithTiming: %q is neither AfterPrimary nor Parallel", string(t))
		}
		c.timing = t
	})
}

// beside is where a copy and its primary meet that are under way at the same time.
type beside struct {
	begun   atomic.Bool   // by the copy, or by the primary that has answered before it could
	refused atomic.Uint32 // the why under which the copy was refused while the primary ran; 0 if it was not
	parted  atomic.Bool   // by the primary with its answer, or by the copy that wants none any more

	base   context.Context // of the copy; ends when there is no use in it any more
	cancel context.CancelFunc
	since  time.Time // when the copy began

	done    chan struct{} // closed when the primary has answered and the copy still waits
	verdict code          // once done is closed: why the two are not to be compared

	ahead int64 // bytes of the copy's answer up to which it does not wait for the primary's

	drop func() // the recording of the primary's answer, which goes on; nil where there is none
}

// newBeside lets the copy of j run beside its primary.
func (m *Mirror) newBeside(j *job) {
	j.beside = &beside{done: make(chan struct{})}
	j.beside.base, j.beside.cancel = context.WithCancel(m.base)
	if !m.target.Discard {
		j.most.Store(math.MaxInt64) // nobody knows yet what the primary will answer
		j.beside.ahead = m.maxBody
	} else {
		j.most.Store(m.maxBody)
		j.beside.ahead = math.MaxInt64
	}
}

// pace is called before more is taken of the copy's answer, of which size bytes have come.
// An answer that is not kept any more waits here until the primary has answered: then it is
// known how much of it is of use. The error says that ctx has ended first.
func (b *beside) pace(ctx context.Context, size int64) error {
	if b == nil || size <= b.ahead {
		return nil
	}
	select {
	case <-b.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// pacedBody is the body of an answer, read at the pace of b.
type pacedBody struct {
	io.Reader
	b    *beside
	ctx  context.Context
	most *atomic.Int64
	size int64
}

func (p *pacedBody) Read(buf []byte) (int, error) {
	if err := p.b.pace(p.ctx, p.size); err != nil {
		return 0, err
	}
	if p.size > p.most.Load() {
		return 0, io.EOF // as if the rest had not been asked for
	}
	n, err := p.Reader.Read(buf)
	p.size += int64(n)
	return n, err
}

// early returns what starts j, the copy of r, when its body is complete. Trailers that are
// announced come with the end of the body.
func (m *Mirror) early(j *job, r *http.Request) func(body *capture.Buffer, err error) (taken bool) {
	b := j.beside
	return func(body *capture.Buffer, err error) bool {
		if len(r.Trailer) > 0 && err != io.EOF || !b.begun.CompareAndSwap(false, true) {
			return false
		}
		j.body = body
		if w := m.start(j, b, r); w != 0 {
			m.tally.add(r, w)
			b.refused.Store(uint32(w)) // its route is known once the primary is done
		}
		return true
	}
}

// start puts j, the copy of r, to the queue while the primary is at work. It tells why it
// is not copied after all.
func (m *Mirror) start(j *job, b *beside, r *http.Request) code {
	b.begun.Store(true)
	b.since = time.Now()
	j.trailer = fields.Take(r.Trailer, nil)
	return m.put(j)
}

// join tells whether the copy of j began beside the primary, which is done now. If not, it
// goes as it does with AfterPrimary.
func (j *job) join() bool {
	if j.beside != nil && j.beside.begun.CompareAndSwap(false, true) {
		j.beside.cancel()
		j.beside = nil
	}
	return j.beside != nil
}

// answer gives the primary's side of j to its copy. W says why it is not to be compared.
func (b *beside) answer(j *job, w code) {
	if !b.parted.CompareAndSwap(false, true) { // too late
		j.resp.Body.Release()
		return
	}
	b.verdict = w
	close(b.done)
	if w != 0 {
		b.cancel()
	}
}

// wait waits until the primary of j has answered, but not for ever, and tells why its answer
// is not to be compared.
func (m *Mirror) wait(j *job, until time.Time) code {
	if w, answered := j.verdict(); answered {
		return w
	}
	late := time.NewTimer(time.Until(until))
	defer late.Stop()
	select {
	case <-j.beside.done:
		return j.beside.verdict
	case <-late.C:
		return codePrimaryIncomplete
	case <-m.base.Done():
		return codeShutDown
	}
}

// verdict tells whether the primary of j has answered, and why that is not to be compared.
func (j *job) verdict() (w code, answered bool) {
	if j.beside == nil {
		return 0, true
	}
	select {
	case <-j.beside.done:
		return j.beside.verdict, true
	default:
		return 0, false
	}
}

// named is the route of j, empty while the primary has not answered.
func (j *job) named() string {
	if _, answered := j.verdict(); !answered {
		return ""
	}
	return j.route
}

// part is called by the one who settles j, when he is done with the primary's answer. One
// that is still on its way is recorded for nobody: it gives its bytes back.
func (j *job) part() {
	switch b := j.beside; {
	case b == nil:
	case !b.parted.CompareAndSwap(false, true):
		j.resp.Body.Release()
	case b.drop != nil:
		b.drop()
	}
}
