package shadow

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/goshadow/shadow/internal/composite"
	"github.com/goshadow/shadow/internal/sampling"
)

// Windowed samples all requests for the last length of every period, and as s does
// otherwise. What differs in those windows is what differs, up to chance and the time of
// day: Bias says how far what s finds is from it. Periods begin when Windowed is called, so
// that the replicas of a service hardly have their windows at one time.
//
// The target must stand all traffic, and queue and concurrency of the Mirror too: see
// SamplingBias.Lost. A window shorter than a millisecond, or not shorter than its period, is
// an error of New. Put it around All and Any, not into them: else not everything is sampled.
func Windowed(s Sampler, every, length time.Duration) *WindowedSampler {
	w := &WindowedSampler{otherwise: s}
	w.seen.windows = sampling.Windows{Start: time.Now(), Every: every, Length: length}
	return w
}

// WindowedSampler is what Windowed returns. It is safe for concurrent use.
type WindowedSampler struct {
	otherwise Sampler
	seen      windowed
}

// windowed is what results say inside of windows and outside. It is a Reporter.
type windowed struct {
	windows     sampling.Windows
	drawn, told atomic.Uint64 // requests in windows, and their results

	mu              sync.Mutex
	inside, outside sampling.Estimator
}

func (s *WindowedSampler) Fault() error {
	err := s.seen.windows.Check()
	if err != nil {
		err = fmt.Errorf("Windowed: %w", err)
	}
	return errors.Join(err, composite.Fault("Windowed: argument 1", s.otherwise))
}

func (s *WindowedSampler) parts() []any { return []any{s.otherwise, &s.seen} }

// Sample samples every request in a window. There the other sampler is asked all the same, so
// that it goes on counting.
func (s *WindowedSampler) Sample(r *http.Request) Decision {
	d := s.otherwise.Sample(r)
	if s.seen.windows.Open(time.Now()) {
		s.seen.drawn.Add(1)
		d.Sampled, d.Probability = true, 1
	}
	return d
}

// Report counts r where its request was.
func (w *windowed) Report(_ context.Context, r *Result) error {
	inside := w.windows.Open(r.Start)
	if inside {
		w.told.Add(1)
	}
	if r.Outcome == Uncompared {
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
	e.Add(r.Outcome == Mismatch || r.Outcome == Failed, weight)
	return nil
}

// SampledShare is the share of requests that differ, Mismatch and Failed, among those that
// were compared, as a sample tells it.
type SampledShare struct {
	Results   uint64  // the size of the sample
	Requests  float64 // that it stands for
	Share     float64 // 0 without results
	Low, High float64 // the interval that holds the true share with a confidence of 95 %
}

// SamplingBias is how far a sample is from the truth.
type SamplingBias struct {
	Inside  SampledShare // of the windows: the truth, up to chance
	Outside SampledShare // of the sampler that is measured
	// Bias is Outside.Share less Inside.Share. With a confidence of 95 % it is from Low to
	// High: where 0 is not between them the sampler, or the time of the windows, is biased.
	Bias, Low, High float64
	// Lost is how many requests of the windows have no result: their copies were dropped, or
	// are still under way. Where they are many the windows do not tell the truth either.
	Lost uint64
}

// Bias returns what is known up to now. Each result counts for as many requests as it stands
// for: one by its Probability, where it has one, else as itself. Without results on one side
// the bias is anything from -1 to 1.
func (s *WindowedSampler) Bias() SamplingBias {
	w := &s.seen
	told := w.told.Load() // before drawn, which is never less
	w.mu.Lock()
	inside, outside := w.inside.Share(), w.outside.Share()
	w.mu.Unlock()
	b := SamplingBias{Inside: sampledShare(inside), Outside: sampledShare(outside)}
	b.Bias, b.Low, b.High = sampling.Difference(outside, inside)
	if drawn := w.drawn.Load(); drawn > told {
		b.Lost = drawn - told
	}
	return b
}

func sampledShare(s sampling.Share) SampledShare {
	return SampledShare{Results: s.Results, Requests: s.Stands, Share: s.Value, Low: s.Low, High: s.High}
}

// String returns b in a sentence.
func (b SamplingBias) String() string {
	return fmt.Sprintf("%v of requests differ in windows, %v outside: bias %+.3g points, with 95 %% confidence %+.3g to %+.3g; %d lost",
		b.Inside, b.Outside, 100*b.Bias, 100*b.Low, 100*b.High, b.Lost)
}

// String returns s as a percentage.
func (s SampledShare) String() string {
	return fmt.Sprintf("%.3g %% (%.3g to %.3g, %d results)", 100*s.Share, 100*s.Low, 100*s.High, s.Results)
}
