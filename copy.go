package shadow

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/goshadow/shadow/internal/capture"
	"github.com/goshadow/shadow/internal/compare"
	"github.com/goshadow/shadow/internal/fields"
	"github.com/goshadow/shadow/internal/guard"
	"github.com/goshadow/shadow/internal/handover"
	"github.com/goshadow/shadow/internal/jsonscan"
	"github.com/goshadow/shadow/internal/limit"
	"github.com/goshadow/shadow/internal/message"
	"github.com/goshadow/shadow/internal/queue"
	"github.com/goshadow/shadow/internal/redact"
	"github.com/goshadow/shadow/internal/target"
	"github.com/goshadow/shadow/internal/telemetry"
)

// job is a request on its way from the moment it was sampled to its Result.
type job struct {
	// Before the primary ran.
	decision   Decision
	start      time.Time
	id         string
	minted     bool // the id was made here
	method     string
	reads      bool // it is safe by its method, and by what it asks to be treated as
	scheme     string
	host       string
	proto      string
	remoteAddr string
	uri        string // RequestURI of a server's request
	tls        *tls.ConnectionState
	chunked    bool // its body was announced without a length
	url        url.URL
	header     fields.Snapshot
	room       [27]string         // for the usual header: see fields.Take
	outer      fields.Snapshot    // what middleware around had set in the header of the answer
	outerRoom  [9]string          // for the usual one
	values     []any              // of config.contextKeys
	span       *trace.SpanContext // of the primary, where spans are recorded; see copied

	// While it ran, and after.
	body    *capture.Buffer // of the request; nil where there is none
	trailer fields.Snapshot
	resp    *capture.Response // of the primary
	ended   time.Time
	route   string

	pool *capture.Pool
	held int64 // bytes of the pool for all but the bodies and the answer

	before   time.Duration       // from start until the primary was called
	overhead time.Duration       // of the Mirror on the request, where metrics are recorded
	found    compare.Differences // from compare to finish
	pass     *limit.Copy         // from run on

	copied trace.SpanContext // the span of the copy, where it is answered and spans are recorded

	due     time.Time      // when the copy could be sent
	primary *primaryResult // shared and complete with AfterPrimary
	most    atomic.Int64   // bytes of an answer after which there is no use in more
	claimed atomic.Bool    // by the one who will report it
}

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
		int64(len(j.method)+len(j.host)+len(j.uri)+len(u.Path)+len(u.RawPath)+len(u.RawQuery)+len(j.route)+len(j.decision.Stratum))
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
		c.end = c.awaitPrimary()
	}
	m.recordResult(&m.target, j, c.candidate.reply, err)
	switch {
	case c.end != 0:
	case err != nil:
		m.finish(j, &c.res, Failed, err)
	case m.target.Discard:
		m.finish(j, &c.res, Uncompared, nil)
	default:
		c.res.Shadow, c.res.Note = answer, c.candidate.note(answer, c.res.Primary.StatusCode)
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
		if code := c.awaitPrimary(); code != 0 {
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
func (c *copyRun) awaitPrimary() code {
	if c.res.Primary != nil {
		return 0
	}
	var msg *Message
	if c.answers != nil {
		msg = &c.answers.primary
	}
	return c.m.awaitPrimary(c.j, &c.res, msg, c.deadline)
}

// awaitPrimary fetches the primary's answer to j into res, with msg as the place to keep it. A
// Mirror that nobody observes has none.
func (m *Mirror) awaitPrimary(j *job, res *Result, msg *Message, deadline time.Time) code {
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
	res.Primary = m.primaryAnswer(msg, j)
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
	c.end = c.awaitPrimary()
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
	if res.Primary == nil {
		if code := m.awaitPrimary(j, &res, new(Message), time.Now()); code != 0 {
			end = code
		}
	}
	m.recordResult(&m.target, j, reply{}, ErrTimeout)
	if end != codeFailed {
		return
	}
	if !m.passthrough {
		work := res.Request.held() + res.Primary.held()
		if m.pool.Reserve(work) {
			defer m.pool.Release(work)
		} else { // a mask that looks into bodies fails, as it should
			res.Request, res.Primary = res.Request.withoutBody(), res.Primary.withoutBody()
		}
		res.Request, res.Primary = res.Request.Clone(), res.Primary.Clone()
	}
	m.finish(j, &res, Failed, ErrTimeout)
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

// compare compares the answers, takes the noise out and finishes j.
func (m *Mirror) compare(j *job, res *Result, raw []byte, candidate *attempt, control *controlAttempt) {
	starved := candidate.buf.Starved() || j.resp.Body.Starved()
	primary := res.Primary
	res.Primary = candidate.primary(primary)
	got := m.diff(&res.Exchange, starved)
	err := got.Err
	request := func() *message.Message { // as it was before it was masked
		msg := new(Message)
		if !m.request(msg, new(url.URL), j, raw) {
			return nil
		}
		return (*message.Message)(msg)
	}
	diffs, tokens, more := m.subtractTokens(&res.Exchange, m.replacers.candidate, request, got)
	if control != nil && control.wait() && control.err == nil {
		x := res.Exchange
		x.Shadow = control.answer
		x.Primary = control.primary(primary)
		again := m.diff(&x, j.resp.Body.Starved() || control.buf.Starved())
		noise, _, others := m.subtractTokens(&x, m.replacers.control, request, again)
		if err == nil && again.Err == nil && !more && !others { // all of both is known
			res.Control = new(ControlDiffs)
			j.found.Control = append(slices.Clip(noise), tokens...)
		}
		diffs, j.found.Noise = compare.Subtract(diffs, noise)
	}
	j.found.Diffs, j.found.Noise = diffs, append(j.found.Noise, tokens...)
	res.Diffs, res.Noise, res.More = plainDiffs(diffs), plainDiffs(j.found.Noise), more
	if len(diffs) == 0 && more {
		err = errors.Join(err, errMore)
	}
	switch {
	case len(diffs) > 0:
		m.finish(j, res, Mismatch, nil)
	case err != nil:
		m.finish(j, res, Uncompared, err)
	default:
		m.finish(j, res, Match, nil)
	}
}

var errMore = fmt.Errorf("%w: all of the first CompareOptions.MaxDiffs differences are noise or left out, and there are more", ErrBody)

var errStarved = fmt.Errorf("%w: one of them was not kept, because all bytes of WithQueue were held", ErrBody)

// diff calls the Comparator. Starved says that memory was short for one of the bodies: its
// hash alone does not show a difference, as parts of it may be ignored.
func (m *Mirror) diff(x *Exchange, starved bool) (got compare.Found) {
	defer m.compared(time.Now())
	if failed := m.guard("Comparator", func() error {
		got = find(m.comparator, x)
		return nil
	}); failed != nil {
		return compare.Found{Err: failed}
	}
	if starved && (x.Primary.Digest == 0 || x.Primary.Digest != x.Shadow.Digest) {
		got.Diffs = slices.DeleteFunc(got.Diffs, func(d compare.Diff) bool {
			return d.Path == "/body" || strings.HasPrefix(d.Path, "/body/")
		})
		got.Err = errors.Join(got.Err, errStarved)
	}
	return got
}

// subtractTokens splits what was found in x into the rest and the tokens that came back: see
// compare.Masking. The rules are those of the target's Masker that put something in the place of
// values.
func (m *Mirror) subtractTokens(x *Exchange, rules []*redact.Rule, request func() *message.Message, got compare.Found) (rest, tokens []compare.Diff, more bool) {
	masking := compare.Masking{Request: request, Compare: func(primary *message.Message) compare.Found {
		y := *x
		y.Primary = (*Message)(primary)
		return m.diff(&y, false)
	}}
	for _, rule := range rules {
		masking.Maskers = append(masking.Maskers, func(msg *message.Message) error { return m.replace(rule, (*Message)(msg)) })
	}
	return masking.SubtractTokens((*message.Message)(x.Primary), got.Diffs, got.More)
}

// primary returns the primary's answer p as it is compared with that of the target: without
// what middleware around the Mirror has set.
func (a *attempt) primary(p *Message) *Message {
	j := a.j
	late := a.unchunked && len(p.Trailer) > 0 && j.resp.Trailerless()
	if len(j.outer) == 0 && !late {
		return p
	}
	outer := compare.Outer{Header: j.outer.Header(0), Sniffed: j.resp.Sniffed(p.Header), NoTrailer: late}
	return (*Message)(outer.Own((*message.Message)(p), (*message.Message)(a.got)))
}

// dropOuterCoding removes from the header of the primary's answer the codings that
// middleware around had set, and applies to what the primary writes.
func (j *job) dropOuterCoding(h http.Header) {
	for name, before := range j.outer.All() {
		if (name == "Content-Encoding" || name == "Transfer-Encoding") && slices.Equal(h[name], before) {
			delete(h, name)
		}
	}
}

// outerType is the Content-Type that middleware around had set.
func (j *job) outerType() string {
	for name, before := range j.outer.All() {
		if name == "Content-Type" {
			return before[0]
		}
	}
	return ""
}

// finish masks and reports res. It is called once for each job, by the one who claimed
// it, who settles the job then. If the record cannot be masked, the result is reported
// without its content: a reporter that counts must hear of it.
func (m *Mirror) finish(j *job, res *Result, o Outcome, err error) {
	defer m.checkRules()
	res.Outcome, res.Err = o, resultErr(err)
	m.guard("MeterProvider", func() error { m.record(j, res); return nil }) //nolint:errcheck // logged
	if len(m.listeners) == 0 {
		return
	}
	told, masked := 0, false
	defer func() {
		if !masked || told < len(m.listeners) {
			m.ledger.Record(codeUnreported)
		}
	}()
	defer func() { // runs too if a Masker exits the goroutine
		if !masked {
			m.tell(m.listeners, m.withhold(j, res), &told)
		}
	}()
	if err := m.guard("Masker", func() error { return m.maskRecord(j, res) }); err != nil {
		m.maskFailed(res.Target, &res.Exchange, "a result was reported without its content", err)
		return
	}
	masked = true
	m.tell(m.listeners, res, &told)
}

// tell reports res to each of list, even where one of them exits the goroutine, and
// counts those that succeed.
func (m *Mirror) tell(list []Reporter, res *Result, told *int) {
	if len(list) == 0 {
		return
	}
	defer m.tell(list[1:], res, told)
	if m.guard("Reporter", func() error { return list[0].Report(m.base, res) }) == nil {
		*told++
	}
}

// withhold returns res without anything that a record mask might hide: no header, body, path
// or difference, no ID that the client chose, and of its error only what is known by name.
func (m *Mirror) withhold(j *job, res *Result) *Result {
	message := func(m *Message) *Message {
		if m == nil {
			return nil
		}
		return &Message{StatusCode: m.StatusCode, Proto: m.Proto, Size: m.Size, Truncated: true, TTFB: m.TTFB, Took: m.Took}
	}
	w := &Result{
		Exchange: Exchange{Route: res.Route, Request: message(res.Request), Primary: message(res.Primary), Shadow: message(res.Shadow)},
		Mirror:   res.Mirror, Target: res.Target,
		Outcome: res.Outcome, More: len(res.Diffs) > 0 || res.More,
		Err:   resultErr(ErrWithheld),
		Start: res.Start, Queued: res.Queued,
		Probability: res.Probability,
	}
	if j.minted || m.requestID == "" { // the client did not choose it
		w.ID = res.ID
	}
	if w.Request != nil {
		w.Request.Method, w.Request.URL = j.method, &url.URL{Path: "/" + maskedText}
	}
	for _, known := range [...]error{ErrTimeout, ErrPanic, ErrExited, ErrBody, ErrTransport} {
		if errors.Is(res.Err, known) {
			w.Err = resultErr(fmt.Errorf("%w; %w", ErrWithheld, known))
			break
		}
	}
	return w
}

// record counts res in the metrics.
func (m *Mirror) record(j *job, res *Result) {
	if m.meter == nil {
		return
	}
	o := telemetry.Outcome{
		Target: res.Target, Route: res.Route,
		PrimaryStatus: res.Primary.StatusCode, PrimaryTook: res.Primary.Took,
		Lag: time.Since(j.ended), Overhead: j.overhead, Differences: map[telemetry.Difference]int{},
		Shadow: j.copied,
	}
	if j.span != nil {
		o.Primary = *j.span
	}
	if res.Shadow != nil {
		o.ShadowStatus, o.ShadowTook = res.Shadow.StatusCode, res.Shadow.Took
	}
	switch {
	case res.Outcome == Mismatch:
		o.Result = "diff"
	case res.Outcome == Match && len(res.Noise) > 0:
		o.Result = "noise"
	case res.Outcome == Match:
		o.Result = "match"
	}
	for _, d := range res.Diffs {
		o.Differences[telemetry.Difference{Kind: string(d.Kind), Class: string(d.Class)}]++
	}
	m.telemetry.Record(m.base, &o)
}

// maskRecord turns res into what may be reported: its messages masked in place, and
// the values of its differences read from them. An error means that it may not be.
func (m *Mirror) maskRecord(j *job, res *Result) error {
	primary, shadow := (*message.Message)(res.Primary), (*message.Message)(res.Shadow)
	p, s := compare.BodyOf(primary), compare.BodyOf(shadow)
	for _, msg := range []*Message{res.Request, res.Primary, res.Shadow} {
		if msg == nil {
			continue
		}
		if err := m.maskMessage(j, msg); err != nil {
			return err
		}
	}
	j.found.Mask(primary, shadow, p, s, m.ruleWords)
	res.Diffs, res.Noise = plainDiffs(j.found.Diffs), plainDiffs(j.found.Noise)
	if !j.hold(sizeOf(res.Diffs) + sizeOf(res.Noise)) {
		return errNoRoom
	}
	if res.Control != nil {
		res.Control = &ControlDiffs{plainDiffs(j.found.Control)}
	}
	return m.checkRecord(res)
}

// maskMessage masks msg, which is part of the record of j. What the user's maskers may write
// counts against the budget until j is released.
func (m *Mirror) maskMessage(j *job, msg *Message) error {
	if len(m.maskers)+len(m.recordMaskers) == 0 { // the mask of credentials writes no body
		return m.mask.rule.Record((*message.Message)(msg))
	}
	room := int64(len(msg.Body))
	if !j.hold(room) {
		return errNoRoom
	}
	if err := m.mask.rule.Record((*message.Message)(msg)); err != nil {
		return err
	}
	if more := int64(len(msg.Body)) - room; more > 0 && !j.hold(more) {
		return errNoRoom
	}
	return nil
}

// hold reserves n bytes until j is released, and reports whether there was room.
func (j *job) hold(n int64) bool {
	if !j.pool.Reserve(n) {
		return false
	}
	j.held += n
	return true
}

// sizeOf returns the bytes of the values of diffs.
func sizeOf(diffs []Diff) (n int64) {
	for i := range diffs {
		n += int64(len(diffs[i].Primary) + len(diffs[i].Shadow))
	}
	return n
}

// errLeak says that the leak check found something and nothing was sent.
var errLeak = errors.New("shadow: a masked copy still held what looks like personal data or a credential")

// checkCopy returns an error if the copy that out describes, with the header h, may not be sent to
// t. In is the request as it came.
func (m *Mirror) checkCopy(t *Target, j *job, route string, in, out *Message, h http.Header) error {
	if c := m.leakCheck; !c.watches(t) || !c.share.Draw() {
		return nil
	}
	return m.leaked(t.Name, j.id, route, "a copy that was masked",
		redact.Sent((*message.Message)(in), (*message.Message)(out), h))
}

// checkRecord returns an error if res, which was masked, may not be reported.
func (m *Mirror) checkRecord(res *Result) error {
	if c := m.leakCheck; c == nil || c.Scope != LeakCheckRecords || !c.share.Draw() {
		return nil
	}
	return m.leaked(res.Target, res.ID, res.Route, "a result that was masked",
		redact.Reported(" of the request", (*message.Message)(res.Request)),
		redact.Reported(" of the primary's answer", (*message.Message)(res.Primary)),
		redact.Reported(" of the shadow's answer", (*message.Message)(res.Shadow)))
}

// leaked looks for leaks in parts and raises the alarm if there is one.
func (m *Mirror) leaked(target, id, route, what string, parts ...redact.Part) error {
	found, err := redact.FindLeaks(m.leakCheck.kinds, parts...)
	if found == nil {
		return err
	}
	m.guard("MeterProvider", func() error { //nolint:errcheck // logged
		for kind, n := range found.Counts {
			m.telemetry.Leak(m.base, target, kind.String(), n)
		}
		return nil
	})
	then := "it was stopped"
	if m.leakCheck.Then == LeakDisablesMirror {
		m.SetEnabled(false)
		then = "it was stopped, and the mirror is switched off"
	}
	m.notify(Event{Kind: EventLeak, Target: target, ID: id, Route: route,
		Text: fmt.Sprintf("%s still holds what looks like %s at %s: %s", what, found.First, found.Place, then)})
	return errLeak
}

// maskFailed reports err once for each rule. What says which consequence it had.
func (m *Mirror) maskFailed(target string, x *Exchange, what string, err error) {
	if errors.Is(err, errLeak) || errors.Is(err, errNoRoom) { // reported already; no fault of a mask
		return
	}
	rule, cause := "a Masker", "a Masker of the program's own failed" // whose error may say anything
	var built *redact.Error
	if errors.As(err, &built) {
		rule, cause = built.Option, built.Option+": "+built.Err.Error()
	}
	if _, again := m.told.LoadOrStore(target+" "+what+" "+rule, true); !again {
		m.notify(Event{Kind: EventMaskFailed, Target: target, ID: x.ID, Route: x.Route, Text: what + ": " + cause + "; further ones are counted only"})
	}
}
