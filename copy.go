package shadow

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/trace"

	"github.com/goshadow/shadow/internal/capture"
	"github.com/goshadow/shadow/internal/content"
	"github.com/goshadow/shadow/internal/fields"
	"github.com/goshadow/shadow/internal/guard"
	"github.com/goshadow/shadow/internal/handover"
	"github.com/goshadow/shadow/internal/jsonscan"
	"github.com/goshadow/shadow/internal/limit"
	"github.com/goshadow/shadow/internal/mark"
	"github.com/goshadow/shadow/internal/message"
	"github.com/goshadow/shadow/internal/queue"
	"github.com/goshadow/shadow/internal/redact"
	"github.com/goshadow/shadow/internal/target"
	"github.com/goshadow/shadow/internal/telemetry"
)

// primaryResult synchronizes a copy with a primary that may run at the same time.
type primaryResult = handover.Result[code]

// release returns the bytes of j to the pool, but for the primary's response, and ends its
// contexts. See releasePrimary.
func (j *job) release() {
	if j.body != nil {
		j.body.Release()
	}
	if j.held > 0 {
		j.pool.Release(j.held)
		j.held = 0
	}
	j.primary.Cancel()
}

// releasePrimary releases the primary's response. One that is still being written is no longer
// recorded. Whoever counts the end of j calls it, once.
func (j *job) releasePrimary() {
	if j.primary.Release() {
		j.resp.Body.Release()
	}
}

// discard releases all of a job that is not copied.
func (j *job) discard() {
	j.release()
	j.releasePrimary()
}

// deadline is when the copy of j to t is given up.
func (j *job) deadline(t *Target) time.Time { return j.due.Add(t.timeout()) }

// enqueue puts j to the queue, or discards it and returns the code.
func (m *Mirror) enqueue(j *job) (w code) {
	if held := j.size(); !m.pool.Reserve(held) {
		w = codeBytesFull
	} else {
		j.pool, j.held = m.pool, held
		switch m.queue.Put(j) {
		case queue.Accepted:
			return 0
		case queue.Closed:
			w = codeShutDown
		default:
			w = codeQueueFull
		}
	}
	j.discard()
	return w
}

// size is about how many bytes j keeps besides bodies and the answer.
func (j *job) size() int64 {
	u := &j.url
	return j.header.Size() + j.trailer.Size() + j.outer.Size() +
		int64(len(j.method)+len(j.host)+len(j.asked.URI)+len(u.Path)+len(u.RawPath)+len(u.RawQuery)+len(j.route)+len(j.decision.Stratum))
}

// run takes j to its Result. It is the queue's worker. Exactly one of run and giveUp claims the
// job and counts how it ended, even if user code calls runtime.Goexit.
func (m *Mirror) run(j *job) {
	c := m.newCopyRun(j)
	returned := false
	defer c.releaseControl()
	defer c.settle()
	defer c.awaitControl()
	defer func() {
		if !returned {
			c.fail(recover())
		}
	}()
	c.stages()
	returned = true
}

// copyRun is a job in the hands of its worker. Once giveUp has claimed the job it reads res,
// which the worker leaves as it is then.
type copyRun struct {
	m        *Mirror
	j        *job
	deadline time.Time

	res     Result
	url     url.URL // of request
	request Message
	raw     []byte // the body of the request as transferred
	answers *answers
	end     code // how the copy ended, where that is not an Outcome
	claimed bool // by the worker

	admitted  limit.Copy
	candidate attempt
	control   *controlAttempt // nil if the control is not asked

	late sync.WaitGroup // for giveUp, if its timer has gone off
}

// answers are where the answers are kept: in one allocation, and none for a Mirror that nobody
// observes.
type answers struct{ primary, shadow Message }

// newCopyRun returns the run of j, with what is known before the first stage.
func (m *Mirror) newCopyRun(j *job) *copyRun {
	c := &copyRun{m: m, j: j, deadline: j.deadline(&m.target)}
	j.pass = &c.admitted
	if !j.minted {
		j.id = m.labels.ID(j.id)
	}
	c.res = Result{
		Exchange: Exchange{ID: j.id},
		Mirror:   m.name, Target: m.target.Name,
		Start: j.start, Queued: time.Since(j.due),
		Stratum: m.labels.Stratum(j.decision.Stratum),
	}
	if p := j.decision.Probability; p > 0 && p <= 1 { // else it is none, or not known
		c.res.Probability = p
	}
	if !m.unobserved {
		c.answers = new(answers)
	}
	return c
}

// stages is the way of a copy: prepare, admit, send, await the primary, compare, report.
func (c *copyRun) stages() {
	m, j := c.m, c.j
	if c.end = c.prepare(); c.end == 0 {
		c.end = m.admit(j)
	}
	if c.end != 0 {
		c.claimed = j.claim()
		return
	}
	defer m.limits.Leave()

	c.candidate = attempt{m: m, j: j, target: &m.target, in: &c.request, raw: c.raw, route: c.res.Route}
	if c.answers != nil {
		c.candidate.got = &c.answers.shadow
	}
	c.askControl()
	c.late.Add(1)
	timer := time.AfterFunc(time.Until(c.deadline), c.giveUp)
	defer func() { // also if the candidate exits this goroutine
		if !timer.Stop() {
			c.late.Wait() // a report that takes long keeps this worker
		}
	}()
	answer, err := c.candidate.send()
	if c.claimed = j.claim(); !c.claimed {
		return
	}

	if c.end = notSent(err); c.end == 0 {
		c.end = c.awaitPrimary(&c.res, c.deadline)
	}
	m.recordResult(&m.target, j, c.candidate.reply, err)
	switch {
	case c.end != 0:
	case err != nil:
		m.finish(j, &c.res, Failed, err)
	case m.target.Discard:
		m.finish(j, &c.res, Uncompared, nil)
	default:
		c.res.Shadow, c.res.Note = answer, redact.Refused(c.candidate.lost, answer.StatusCode, c.res.Primary.StatusCode)
		j.copied = c.candidate.span
		m.compare(j, &c.res, c.raw, &c.candidate, c.control)
	}
}

// prepare builds the request of the copy, and fetches the primary's answer if there is one. A
// code says why the copy is not sent.
func (c *copyRun) prepare() code {
	m, j := c.m, c.j
	if j.body != nil && !m.passthrough {
		c.raw = j.body.Bytes()
	}
	room := m.request(&c.request, &c.url, j, c.raw)
	c.res.Request = &c.request
	if _, answered := j.primary.Get(); answered {
		if code := c.awaitPrimary(&c.res, c.deadline); code != 0 {
			return code
		}
	}
	switch {
	case !room:
		return codeBytesFull
	case !target.Valid((*message.Message)(&c.request)):
		return codeInvalid
	case !time.Now().Before(c.deadline):
		return codeExpired
	}
	return 0
}

// notSent returns the code for an error of send that says that nothing was sent, else 0.
func notSent(err error) code {
	switch {
	case errors.Is(err, errMask):
		return codeMaskFailed
	case errors.Is(err, errNoRoom):
		return codeBytesFull
	case errors.Is(err, errLeak):
		return codeLeak
	}
	return 0
}

// awaitPrimary fetches the primary's answer into res, unless it is there. It waits until the
// deadline. A code says why that answer is not to be compared.
func (c *copyRun) awaitPrimary(res *Result, deadline time.Time) code {
	m, j := c.m, c.j
	if res.Primary != nil {
		return 0
	}
	switch code, err := j.primary.Await(deadline); {
	case err == handover.ErrLate:
		return codePrimaryIncomplete
	case err != nil:
		return codeShutDown
	case code != 0:
		return code
	}
	res.Route = j.route
	if m.unobserved {
		return 0
	}
	res.Primary = m.primaryAnswer(&c.answers.primary, j)
	res.Route = m.labels.Route(j.route, j.method, &j.url)
	if j.resp.Early && (res.Primary.Truncated || !jsonscan.IsDocument(res.Primary.Body)) {
		return codePrimaryIncomplete
	}
	return 0
}

// fail ends a run that user code has ended with runtime.Goexit, or that a fault of our own has
// ended with the panic v.
func (c *copyRun) fail(v any) {
	m, j, err := c.m, c.j, ErrExited
	if v != nil {
		p := guard.New("Mirror", v)
		m.logPanic(p)
		err = p
	}
	c.claimed = c.claimed || j.claim()
	if !c.claimed || c.end != 0 || c.res.Outcome != "" {
		return
	}
	c.end = c.awaitPrimary(&c.res, c.deadline)
	m.recordResult(&m.target, j, reply{}, err)
	switch {
	case c.end != 0:
	case c.res.Shadow != nil:
		m.finish(j, &c.res, Uncompared, err)
	default:
		m.finish(j, &c.res, Failed, err)
	}
}

// settle releases what the copy holds, and counts how it ended where giveUp does not.
func (c *copyRun) settle() {
	c.j.release()
	c.candidate.buf.Release()
	if !c.claimed {
		return
	}
	c.j.releasePrimary()
	if c.end == 0 {
		c.end = codeOf(cmp.Or(c.res.Outcome, Failed))
	}
	c.m.settle(c.j, c.res.Route, c.end)
}

func (j *job) claim() bool { return j.claimed.CompareAndSwap(false, true) }

// giveUp reports a copy that is late as a timeout. Its worker stays taken until both have
// returned, so there are never more late reports than workers.
func (c *copyRun) giveUp() {
	defer c.late.Done()
	m, j := c.m, c.j
	if !j.claim() {
		return
	}
	res, end := c.res, codeFailed // a copy: the worker still reads c.res
	defer func() { m.settle(j, res.Route, end) }()
	defer j.releasePrimary()
	if code := c.awaitPrimary(&res, time.Now()); code != 0 {
		end = code
	}
	m.recordResult(&m.target, j, reply{}, ErrTimeout)
	if end != codeFailed {
		return
	}
	if !m.passthrough {
		request, primary := (*message.Message)(res.Request), (*message.Message)(res.Primary)
		work := request.Held() + primary.Held()
		if m.pool.Reserve(work) {
			defer m.pool.Release(work)
		} else { // a mask that looks into bodies fails, as it should
			res.Request, res.Primary = (*Message)(request.Bare()), (*Message)(primary.Bare())
		}
		res.Request, res.Primary = res.Request.Clone(), res.Primary.Clone()
	}
	m.finish(j, &res, Failed, ErrTimeout)
}

// request fills msg, and u for it, with the request of j, whose body was transferred as
// raw. Room is false where the decoded body had no room.
func (m *Mirror) request(msg *Message, u *url.URL, j *job, raw []byte) (room bool) {
	*u = j.url
	if u.Scheme == "" {
		u.Scheme = j.scheme
	}
	if u.Host == "" {
		u.Host = j.host
	}
	*msg = Message{
		Method: j.method, URL: u, Host: j.host, Proto: j.asked.Proto,
		Header: j.header.Header(mark.Fields), Size: int64(len(raw)),
	}
	if len(j.trailer) > 0 {
		msg.Trailer = j.trailer.Header(0)
	}
	err := m.decoder.Decode((*message.Message)(msg), raw, j.body)
	msg.Truncated = err != nil
	return !errors.Is(err, content.ErrNoRoom)
}

// primaryAnswer fills msg with the primary's answer in j.
func (m *Mirror) primaryAnswer(msg *Message, j *job) *Message {
	*msg = Message{
		Method: j.method, Host: j.host, Proto: j.asked.Proto, StatusCode: j.resp.Status,
		Header: j.resp.Sent(0),
		TTFB:   j.resp.First.Sub(j.start), Took: j.ended.Sub(j.start),
	}
	if len(j.resp.Trailer) > 0 {
		msg.Trailer = j.resp.Trailer.Header(0)
	}
	for name, before := range j.outer.All() { // middleware around codes what the primary writes
		if (name == "Content-Encoding" || name == "Transfer-Encoding") && slices.Equal(msg.Header[name], before) {
			delete(msg.Header, name)
		}
	}
	m.decoder.Fill((*message.Message)(msg), &j.resp.Body)
	return msg
}

// attempt is one copy to one target.
type attempt struct {
	m      *Mirror
	j      *job
	target *Target
	in     *Message // the request
	raw    []byte   // its body as transferred
	route  string

	lost []string          // the fields with credentials that were not sent as they came
	span trace.SpanContext // of the copy, if spans are recorded

	got       *Message // becomes the answer; nil if none is kept
	unchunked bool     // the answer came over HTTP/1 with its length: it has no room for trailers
	reply
	buf capture.Buffer // the body of the answer, until the copy is settled
}

// reply is what is known of every answer, also of one that is not kept.
type reply struct {
	status int   // 0 while there is none
	size   int64 // of the body, as far as it was read
	took   time.Duration
}

// send sends the copy and returns the answer, or ErrTimeout if it took too long.
func (a *attempt) send() (answer *Message, err error) {
	err = a.m.guard("Transport", func() (err error) {
		answer, err = a.try()
		return err
	})
	return answer, err
}

// try is send without its guard: mask, leak check, header, send, read.
func (a *attempt) try() (answer *Message, err error) {
	m, j, t := a.m, a.j, a.target
	var c struct { // in one allocation
		target.Copy
		context target.Context
		marks   [mark.Fields]string
	}
	c.Copy = target.Copy{Target: t.Name, Network: t.URL != "", ID: j.id, IDField: m.requestID, Minted: j.minted,
		In: (*message.Message)(a.in), Out: message.Message(*a.in), Raw: a.raw}
	switch {
	case m.passthrough:
		c.Recorded = j.body
	case t.Masker == nil:
		c.Out.Header = j.header.Clone().Header(mark.Fields)
	default:
		work := (*message.Message)(a.in).Held()
		if !m.pool.Reserve(work) {
			return nil, errNoRoom
		}
		defer m.pool.Release(work)
		c.Out = message.Message(*a.in.Clone())
	}
	out := (*Message)(&c.Out)
	c.Forward(j.host, j.scheme, j.asked.RemoteAddr)
	if t.Masker != nil {
		err := m.guard("Masker", func() error { return t.Masker.Mask(out) })
		if err == nil && c.Masked() != nil {
			err = &redact.Error{Option: "Masker", Err: target.ErrInvalid}
		}
		if err != nil {
			return nil, a.unsent(err)
		}
	}
	c.Finish(m.telemetry.Strip, a.rewrites())
	if err := m.checkCopy(t, j, a.route, a.in, out, out.Header); err != nil {
		return nil, a.unsent(err)
	}
	a.credentials(out.Header)

	c.context = target.Context{Context: j.primary.Context, Mark: mark.Mark{Target: t.Name, ID: c.ID},
		Limits: a.limits(), Asked: j.asked.Left(&j.url, a.in.URL, out.URL, t.Masker != nil), Keys: m.contextKeys, Values: j.values}
	c.context.Asked.OuterType = j.outer.First("Content-Type")
	ctx, cancel := context.WithDeadlineCause(&c.context, j.deadline(t), ErrTimeout)
	defer cancel()
	if bag := mark.Set(out.Header, c.ID, m.loops.Nonce(t == m.control), &c.marks); bag.Len() > 1 {
		ctx = baggage.ContextWithBaggage(ctx, bag)
	}
	if m.telemetry.Traced() {
		var span trace.Span
		of := telemetry.Copy{Target: t.Name, ID: c.ID, Method: out.Method, Route: a.route, Primary: *j.span}
		ctx, span = m.telemetry.Start(ctx, &of, out.Header)
		a.span = of.Span
		defer func() {
			status := a.status
			if err != nil { // the answer came too late, or not as a whole
				status = 0
			}
			telemetry.End(span, a.late(), status, target.ErrorType(err))
		}()
	}

	start := time.Now()
	defer a.spend(start)
	resp, err := target.Send(t.Transport, c.Request(ctx))
	m.reportLoops()                                                 // copies come back before their answers do
	if panicked := (*guard.Panic)(nil); errors.As(err, &panicked) { // of a handler in this process
		m.logPanic(panicked)
	}
	if err == nil {
		answer, err = a.read(ctx, &c.context.Limits, resp, start)
	}
	if context.Cause(ctx) == ErrTimeout { // an answer that came with it is too late
		return nil, ErrTimeout
	}
	return answer, target.Quiet(err)
}

// unsent reports err, for which the copy is not sent, and returns what the copy ends with.
func (a *attempt) unsent(err error) error {
	if errors.Is(err, errLeak) {
		return err
	}
	a.m.maskFailed(a.target.Name, &Exchange{ID: a.j.id, Route: a.route}, "a copy was not sent", err)
	return errMask
}

// rewrites reports whether the decoded body is sent even if no rule has changed it.
func (a *attempt) rewrites() bool {
	return a.target.Masker != nil && ruleOf(a.target.Masker).ReadsBodies()
}

// limits returns how much of the answer is taken, and when.
func (a *attempt) limits() target.Limits {
	p := a.j.primary
	l := target.Limits{Pool: a.m.pool, Keep: a.m.maxBody, Most: &a.j.most, Ahead: p.Ahead, Answered: p.Answered}
	if a.target.Discard {
		l.Keep = capture.Nothing
	}
	return l
}

// late returns the route of a copy that began without one, if the primary has answered since.
func (a *attempt) late() string {
	if _, answered := a.j.primary.Get(); a.route != "" || !answered {
		return ""
	}
	return a.m.labels.Route(a.j.route, a.j.method, &a.j.url)
}

// read reads resp, what the target answered.
func (a *attempt) read(ctx context.Context, l *target.Limits, resp *http.Response, start time.Time) (msg *Message, err error) {
	a.status = resp.StatusCode
	a.m.sideEffects(a.target, a.j, a.route, resp.Header)
	if resp.Body != nil {
		defer resp.Body.Close()
	}
	if a.target.Discard {
		a.size, err = l.Drain(resp)
		a.took = time.Since(start)
		return nil, err
	}
	msg = a.got
	msg.Host = a.target.Name
	if err := l.Read(ctx, resp, start, (*message.Message)(msg), &a.buf); err != nil {
		return nil, err
	}
	a.size, a.took, a.unchunked = a.buf.Size(), msg.Took, target.Trailerless(resp)
	a.buf.Reserve(fields.Size(msg.Header) + fields.Size(msg.Trailer)) // else it is starved
	a.m.decoder.Fill((*message.Message)(msg), &a.buf)
	return msg, nil
}

// controlAttempt is the attempt at the control, side by side with the one at the candidate.
type controlAttempt struct {
	attempt
	answer *Message
	err    error
	done   chan struct{}
}

// askControl sends the request to the control too, where the limits have chosen it.
func (c *copyRun) askControl() {
	if !c.admitted.Control {
		return
	}
	a := &controlAttempt{attempt: c.candidate, err: errStarved, done: make(chan struct{})}
	a.target, a.got, a.in = c.m.control, new(Message), new(Message)
	c.control = a
	if c.m.request(a.in, new(url.URL), c.j, c.raw) { // the other one will be masked
		go a.run()
	} else {
		close(a.done)
	}
}

func (a *controlAttempt) run() {
	defer close(a.done)
	a.err = ErrExited
	a.answer, a.err = a.send()
}

// wait waits for the control until its deadline, and reports whether it is done.
func (a *controlAttempt) wait() bool {
	expired := time.NewTimer(time.Until(a.j.deadline(a.target)))
	defer expired.Stop()
	select {
	case <-a.done:
		a.m.recordResult(a.target, a.j, a.reply, a.err)
		return true
	case <-expired.C:
		a.m.recordResult(a.target, a.j, reply{}, ErrTimeout)
		return false
	}
}

// awaitControl waits for the control until its deadline, and releases its answer.
func (c *copyRun) awaitControl() {
	if c.control != nil && c.control.wait() {
		c.control.buf.Release()
	}
}

// releaseControl waits for a control that is past its deadline: its goroutine is part of this
// worker.
func (c *copyRun) releaseControl() {
	if c.control != nil {
		<-c.control.done
		c.control.buf.Release()
	}
}
