package sampling

import (
	"fmt"
	"math"
	"net/http"
	"sync/atomic"
	"time"
)

// Bucket is a token bucket in one word, the generic cell rate algorithm (ITU-T I.371,
// annex A): the word is the time at which the bucket will be full again. It is safe for
// concurrent use.
type Bucket struct {
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

// NewBucket returns a full Bucket of burst tokens that gets n more in a second. Both are more
// than 0. An infinite n is no limit.
func NewBucket(n float64, burst int) *Bucket {
	b := &Bucket{start: time.Now(), tokens: float64(burst)}
	if math.IsInf(n, 1) {
		return b
	}
	each := math.Max(1, 1e9/n) // never more than one token in a nanosecond
	each = math.Min(each, math.MaxInt64)
	tick := math.Ceil(each * b.tokens / maxTicks) // 1 for all but a token in centuries
	b.tick = int64(math.Min(tick, math.MaxInt64/2))
	b.each = int64(math.Ceil(each / float64(b.tick)))
	b.spare = int64(math.Min(float64(b.each)*(b.tokens-1), maxTicks))
	return b
}

// Take takes a token if there is one. Without one it costs an atomic load and a look at the clock.
func (b *Bucket) Take() bool {
	if b.each == 0 {
		return true
	}
	now := b.now()
	for {
		full := b.full.Load()
		if full > now+b.spare {
			return false
		}
		if b.full.CompareAndSwap(full, max(full, now)+b.each) {
			return true
		}
	}
}

func (b *Bucket) now() int64 { return int64(time.Since(b.start)) / b.tick }

// Left returns how many tokens there are now.
func (b *Bucket) Left() float64 {
	if b.each == 0 {
		return b.tokens
	}
	return b.tokens - float64(max(b.full.Load()-b.now(), 0))/float64(b.each)
}

// Foresee returns the foresight of PerSecond, whose tokens b holds.
func (b *Bucket) Foresee(*http.Request) Foresight {
	n := b.Left()
	text := fmt.Sprintf("PerSecond has %.4g tokens now", n)
	if n == 1 {
		text = "PerSecond has 1 token now"
	}
	return Settle(n >= 1, math.NaN(), text)
}
