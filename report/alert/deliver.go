package alert

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	postTimeout   = 10 * time.Second
	firstPause    = time.Second      // between two attempts, give or take a half; doubled each time
	longestPause  = 30 * time.Second // unless the receiver asks for more
	longestWish   = 5 * time.Minute  // that a receiver may ask for
	answerDrained = 4 << 10          // bytes of an answer that are read, so that its connection can be used again
)

// run is the goroutine that delivers.
func (r *Reporter) run() {
	defer close(r.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(time.Until(r.next()))
		select {
		case <-timer.C:
			r.deliver()
		case <-r.wake: // something may be due earlier
		case flushed := <-r.flush:
			r.hurry()
			r.deliver()
			close(flushed)
		case <-r.closing.Done():
			r.hurry()
			if batch := r.take(); len(batch) > 0 {
				r.settle(batch, r.post(batch))
			}
			return
		}
	}
}

// next is when the next alert is due.
func (r *Reporter) next() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := time.Now().Add(time.Hour)
	for _, k := range r.alerts {
		if !k.due.IsZero() && k.due.Before(next) {
			next = k.due
		}
	}
	return next
}

// hurry makes due now what nobody has been told of.
func (r *Reporter) hurry() {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for _, k := range r.alerts {
		if k.sent.IsZero() && k.due.After(now) {
			k.due = now
		}
	}
}

// deliver sends what is due, with what becomes due while it tries, until it is delivered or
// given up. Where the Reporter is closed it leaves that to the last attempt.
func (r *Reporter) deliver() {
	if r.closing.Err() != nil {
		return
	}
	pauses := &backoff.ExponentialBackOff{InitialInterval: firstPause, RandomizationFactor: 0.5, Multiplier: 2, MaxInterval: longestPause}
	var batch []Alert
	_, err := backoff.Retry(r.closing, func() (struct{}, error) {
		if batch = r.take(); len(batch) == 0 {
			return struct{}{}, nil
		}
		return struct{}{}, r.post(batch)
	}, backoff.WithBackOff(pauses), backoff.WithMaxElapsedTime(r.o.GiveUp), backoff.WithNotify(func(err error, _ time.Duration) { r.retry(err) }))
	if err == nil || r.closing.Err() == nil {
		r.settle(batch, err)
	}
}

// take returns what is due.
func (r *Reporter) take() (batch []Alert) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for id, k := range r.alerts {
		if k.due.IsZero() || k.due.After(now) {
			continue
		}
		ended := !now.Before(k.Ends)
		switch until := r.suppressed(&k.Alert, now); {
		case k.sent.IsZero() && !r.stands(k, now): // it was noise
			delete(r.alerts, id)
			continue
		case k.sent.IsZero() && k.held && ended: // it is over, and nobody was to know
			delete(r.alerts, id)
			continue
		case !k.sent.IsZero() && ended: // it is over, and people know
			k.due = time.Time{}
			continue
		case !until.IsZero():
			if !k.held {
				r.stats.Suppressed++
			}
			k.due, k.held = until, true
			continue
		}
		if ends := now.Add(r.o.Window); k.sent.IsZero() && k.Ends.Before(ends) {
			k.Ends = ends // else an Alertmanager would take it for one that is over
		}
		batch = append(batch, k.Alert)
	}
	order(batch)
	return batch
}

// retry notes that an attempt failed and another follows.
func (r *Reporter) retry(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Retries++
	r.stats.LastError = err
}

// settle notes what became of a batch.
func (r *Reporter) settle(batch []Alert, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if err != nil {
		r.stats.LastError = err
		r.stats.Failed += uint64(len(batch))
	} else {
		r.stats.Sent += uint64(len(batch))
	}
	for i := range batch {
		a := &batch[i]
		k := r.alerts[a.key()]
		if k == nil || !k.Starts.Equal(a.Starts) { // it has come back as another one meanwhile
			continue
		}
		k.held = false
		switch {
		case err == nil:
			if k.sent.IsZero() {
				r.stats.Alerts++
			}
			k.sent, k.due = now, time.Time{}
			if k.Ends.After(a.Ends) { // it was seen meanwhile
				k.due = now.Add(r.o.Repeat)
			}
		case a.Class == Page:
			k.due = now.Add(longestPause)
		case k.sent.IsZero():
			delete(r.alerts, a.key()) // the next time is the first time
		default:
			k.due = time.Time{}
		}
	}
}

// post sends a batch once. Nothing interrupts it: an alert would be sent twice. Its error
// tells neither the URL nor what was answered, and is permanent where there is no use in
// trying again.
func (r *Reporter) post(batch []Alert) error {
	body, err := json.Marshal(r.o.Receiver.encode(batch, r.o.Contact))
	if err != nil {
		return backoff.Permanent(fmt.Errorf("alert: %v: %w", r.o.Receiver, err))
	}
	req, err := http.NewRequest(http.MethodPost, r.o.Receiver.url(), bytes.NewReader(body))
	if err != nil {
		return backoff.Permanent(fmt.Errorf("alert: %v: the URL makes no request", r.o.Receiver))
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := r.client.Do(req)
	if err != nil {
		return fmt.Errorf("alert: %v: %w", r.o.Receiver, r.quiet(err))
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, answerDrained) // what is left costs a connection
	switch code := resp.StatusCode; {
	case code/100 == 2:
		return nil
	case code == http.StatusRequestTimeout, code == http.StatusTooManyRequests, code >= 500:
		err := fmt.Errorf("alert: %v answered %d %s", r.o.Receiver, code, http.StatusText(code))
		if seconds, wrong := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 32); wrong == nil && seconds > 0 {
			return &wish{err, &backoff.RetryAfterError{Duration: min(time.Duration(seconds)*time.Second, longestWish)}}
		}
		return err
	default:
		return backoff.Permanent(fmt.Errorf("alert: %v answered %d %s: see that its URL is right and still valid",
			r.o.Receiver, code, http.StatusText(code)))
	}
}

// wish is an error of a receiver that says when to try again (RFC 9110 section 10.2.3).
type wish struct {
	error
	after *backoff.RetryAfterError
}

func (w *wish) Unwrap() error { return w.after }

// quiet returns what is wrong without the URL, which may be a secret and which net/http,
// or a transport of the user's, puts into its errors.
func (r *Reporter) quiet(err error) error {
	if outer := (*url.Error)(nil); errors.As(err, &outer) {
		err = outer.Err
	}
	u, wrong := url.Parse(r.o.Receiver.url())
	if wrong != nil { // it was parsed before
		return errors.New("no URL")
	}
	password, _ := u.User.Password()
	for _, secret := range [...]string{u.EscapedPath(), u.Path, u.RawQuery, u.User.String(), password} {
		if len(secret) > 1 && strings.Contains(err.Error(), secret) {
			return fmt.Errorf("%T, whose text is not shown: it holds the URL", err)
		}
	}
	return err
}

// Flush sends what waits and returns when it is delivered or given up, or ctx ends. A
// Mirror calls it when it is shut down.
func (r *Reporter) Flush(ctx context.Context) error {
	r.mu.Lock()
	done := r.done
	r.mu.Unlock()
	return r.flush.Wait(ctx, done)
}

// Close tries once more to deliver what waits, which takes 20 s at most, and stops. The error
// is what was wrong last, nil if nothing was ever given up. It may be called again.
func (r *Reporter) Close() error {
	r.mu.Lock()
	r.closed = true
	done := r.done
	r.mu.Unlock()
	r.stop()
	if done != nil {
		<-done
	}
	r.client.CloseIdleConnections()
	s := r.Stats()
	if s.Failed == 0 {
		return nil
	}
	return s.LastError
}
