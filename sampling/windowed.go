package sampling

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/internal/composite"
	"github.com/goshadow/shadow/internal/sampling"
)

// Windowed is a Sampler that samples all requests for the last part of every period, and as
// another Sampler does otherwise. These windows are a census. Bias estimates how far the other
// Sampler deviates from it, up to chance and the time of day. Periods begin when NewWindowed is
// called, so that the windows of several replicas of a service hardly coincide.
//
// The target must stand all traffic, and so must queue and concurrency of the Mirror: see
// Bias.Lost. Put a Windowed around All and Any, not into them: otherwise not every request of a
// window is sampled.
//
// NewWindowed makes one; the zero value samples nothing and is an error of shadow.New. It is
// safe for concurrent use. The Mirror reports every result to it, because it is a
// shadow.Reporter.
type Windowed struct {
	of        shadow.Sampler // as the user gave it
	otherwise shadow.Sampler // of, contained
	windows   sampling.Windows

	drawn, reported atomic.Uint64 // requests in windows, and their results

	mu              sync.Mutex
	inside, outside sampling.Estimator
}

// NewWindowed returns a Windowed whose windows are the last length of every period. It is an
// error if s is nil or has a wrong argument, if length is less than a millisecond, or if it is
// not less than every.
func NewWindowed(s shadow.Sampler, every, length time.Duration) (*Windowed, error) {
	w := &Windowed{of: s, windows: sampling.Windows{Start: time.Now(), Every: every, Length: length}}
	err := w.windows.Check()
	if err != nil {
		err = fmt.Errorf("sampling: NewWindowed: %w", err)
	}
	if err := errors.Join(err, composite.Fault("sampling: NewWindowed: argument 1", s)); err != nil {
		return nil, err
	}
	w.otherwise = shadow.All(s)
	return w, nil
}

// Unwrap returns the other Sampler.
func (w *Windowed) Unwrap() []shadow.Sampler {
	if w.of == nil {
		return nil
	}
	return []shadow.Sampler{w.of}
}

// Fault returns an error for the zero value.
func (w *Windowed) Fault() error {
	if w.of == nil {
		return errors.New("sampling: the zero Windowed samples nothing: use NewWindowed")
	}
	return nil
}

// Describe describes w to the Mirror.
func (w *Windowed) Describe() sampling.Description {
	d := sampling.NewParts(w.Unwrap()).Description
	d.Of, d.Foresee = w, w.foresee
	return d
}

func (w *Windowed) foresee(r *http.Request) sampling.Foresight {
	switch {
	case w.of == nil:
		return sampling.Chance(0).Foresee("the zero Windowed")
	case w.windows.Open(time.Now()):
		return sampling.Settle(true, 1, "a window of Windowed is open")
	}
	f := sampling.Describe(w.of).Foresee(r)
	f.Text = "no window of Windowed is open; " + f.Text
	return f
}

// Sample samples every request in a window. There the other Sampler is asked all the same, so
// that it goes on counting.
func (w *Windowed) Sample(r *http.Request) shadow.Decision {
	if w.of == nil {
		return shadow.Decision{}
	}
	d := w.otherwise.Sample(r)
	if w.windows.Open(time.Now()) {
		w.drawn.Add(1)
		d.Sampled, d.Probability = true, 1
	}
	return d
}

// Report counts r as a result inside or outside of a window.
func (w *Windowed) Report(_ context.Context, r *shadow.Result) error {
	if w.of == nil {
		return nil
	}
	inside := w.windows.Open(r.Start)
	if inside {
		w.reported.Add(1)
	}
	if r.Outcome == shadow.Uncompared {
		return nil
	}
	weight := 1.0
	if r.Probability > 0 {
		weight = 1 / r.Probability
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	e := &w.outside
	if inside {
		e = &w.inside
	}
	e.Add(r.Outcome == shadow.Mismatch || r.Outcome == shadow.Failed, weight)
	return nil
}

// Share is an estimate of the share of requests that differ, Mismatch and Failed, among those
// that were compared.
type Share struct {
	Results   uint64  // the size of the sample
	Requests  float64 // the number of requests that the sample stands for
	Share     float64 // 0 without results
	Low, High float64 // the interval that holds the true share with a confidence of 95 %
}

// Bias is how far a sample is from the truth.
type Bias struct {
	Inside  Share // of the windows: the truth, up to chance
	Outside Share // of the sampler that is measured
	// Bias is Outside.Share less Inside.Share. With a confidence of 95 % it is from Low to
	// High. If 0 is not between them the sampler, or the time of the windows, is biased.
	Bias, Low, High float64
	// Lost is the number of requests of the windows without a result: their copies were dropped,
	// or are still under way. If it is large the windows are biased too.
	Lost uint64
}

// Bias returns the estimate up to now. Each result counts for 1/Probability requests, or for one
// if its Probability is not known. Without results on one side the bias is anything from -1 to 1.
func (w *Windowed) Bias() Bias {
	reported := w.reported.Load() // before drawn, which is never less
	w.mu.Lock()
	inside, outside := w.inside.Share(), w.outside.Share()
	w.mu.Unlock()
	b := Bias{Inside: share(inside), Outside: share(outside)}
	b.Bias, b.Low, b.High = sampling.Difference(outside, inside)
	if drawn := w.drawn.Load(); drawn > reported {
		b.Lost = drawn - reported
	}
	return b
}

func share(s sampling.Share) Share {
	return Share{Results: s.Results, Requests: s.Stands, Share: s.Value, Low: s.Low, High: s.High}
}

// String returns b in a sentence.
func (b Bias) String() string {
	return fmt.Sprintf("%v of requests differ in windows, %v outside: bias %+.3g points, with 95 %% confidence %+.3g to %+.3g; %d lost",
		b.Inside, b.Outside, 100*b.Bias, 100*b.Low, 100*b.High, b.Lost)
}

// String returns s as a percentage.
func (s Share) String() string {
	return fmt.Sprintf("%.3g %% (%.3g to %.3g, %d results)", 100*s.Share, 100*s.Low, 100*s.High, s.Results)
}
