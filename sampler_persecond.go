package shadow

import (
	"fmt"
	"math"
	"net/http"
	"sync/atomic"
	"time"
)

// PerSecond samples at most n requests a second, and up to burst at once after a quiet
// time (a token bucket). It samples none if n or burst is 0. A negative one, or NaN, is
// an error of New. An infinite n is no limit. A request that is not sampled costs one atomic
// read.
//
// Its probability is not known. Which requests it samples follows from when they come: the first after
// a pause, and in a crowd hardly any. A share of all requests, measured afterwards, is not
// the probability of any one of them, and weights made of it would keep that bias and hide
// it. Adaptive bounds copies per second with a known probability.
func PerSecond(n float64, burst int) Sampler {
	if !(n >= 0) || burst < 0 { // NaN too
		return faultySampler{fmt.Errorf("PerSecond: %v requests a second, %d at once: neither can be negative", n, burst)}
	}
	if n == 0 || burst == 0 {
		return Rate(0)
	}
	return newPerSecond(n, burst)
}

// perSecond is a token bucket in one word, the generic cell rate algorithm (ITU-T I.371,
// annex A): the word is the time at which the bucket will be full again.
type perSecond struct {
	full   atomic.Int64 // in ticks since start
	start  time.Time
	tick   int64   // nanoseconds
	each   int64   // ticks in which a token comes; 0 if there is no limit
	spare  int64   // ticks that full may be ahead of now for one more token
	tokens float64 // of a full bucket
}

// maxTicks bounds the ticks of a full bucket. With those since the start, for 73 years at
// least, they fit into an int64.
const maxTicks = 1 << 61

func newPerSecond(n float64, burst int) *perSecond {
	s := &perSecond{start: time.Now(), tokens: float64(burst)}
	if math.IsInf(n, 1) {
		return s
	}
	each := math.Max(1, 1e9/n) // never more than one token in a nanosecond
	each = math.Min(each, math.MaxInt64)
	tick := math.Ceil(each * s.tokens / maxTicks) // 1 for all but a token in centuries
	s.tick = int64(math.Min(tick, math.MaxInt64/2))
	s.each = int64(math.Ceil(each / float64(s.tick)))
	s.spare = int64(math.Min(float64(s.each)*(s.tokens-1), maxTicks))
	return s
}

// Sample takes a token if there is one.
func (s *perSecond) Sample(*http.Request) Decision { return Decision{Sampled: s.take()} }

func (s *perSecond) take() bool {
	if s.each == 0 {
		return true
	}
	now := s.now()
	for {
		full := s.full.Load()
		if full > now+s.spare {
			return false
		}
		if s.full.CompareAndSwap(full, max(full, now)+s.each) {
			return true
		}
	}
}

func (s *perSecond) now() int64 { return int64(time.Since(s.start)) / s.tick }

// left is how many tokens there are now.
func (s *perSecond) left() float64 {
	if s.each == 0 {
		return s.tokens
	}
	return s.tokens - float64(max(s.full.Load()-s.now(), 0))/float64(s.each)
}
