package limit

import (
	"math"
	"runtime/metrics"
	"time"
)

// A mean of fewer waits says little: the waits that follow are added to them. A process
// that has no more in so many readings is at rest.
const (
	enoughWaits = 8
	restful     = 10
)

// readRuntime returns a function that reads this process, at a cost of some microseconds. It
// returns false if too little has happened since. It must not be called concurrently.
//
// The mean shows overload. While a process has processors to spare it is some microseconds,
// however many requests there are. It is over a millisecond as soon as there is one goroutine
// for each processor that only computes. A quantile does not work: the runtime measures one
// wait in eight, and a starved process waits long, and so seldom.
func readRuntime() func() (reading, bool) {
	samples := []metrics.Sample{
		{Name: "/sched/latencies:seconds"},
		{Name: "/gc/heap/live:bytes"},
		{Name: "/gc/gomemlimit:bytes"},
	}
	var seen []uint64
	rest := 0
	return func() (reading, bool) {
		metrics.Read(samples)
		waits := samples[0].Value.Float64Histogram()
		if seen == nil {
			seen = make([]uint64, len(waits.Counts))
		}
		n, sum := since(waits, seen)
		rest++
		if n < enoughWaits && rest < restful {
			return reading{}, false
		}
		r := reading{}
		if n >= enoughWaits {
			r.Wait = time.Duration(sum / float64(n) * float64(time.Second))
		}
		if limit := samples[2].Value.Uint64(); limit < math.MaxInt64 { // which is no limit
			r.Heap = float64(samples[1].Value.Uint64()) / float64(max(limit, 1))
		}
		copy(seen, waits.Counts)
		rest = 0
		return r, true
	}
}

// since returns how many waits there are in h beyond those seen, and their sum in
// seconds, each taken as the lower bound of its bucket.
func since(h *metrics.Float64Histogram, seen []uint64) (n uint64, sum float64) {
	for i, count := range h.Counts {
		count -= seen[i]
		n += count
		sum += float64(count) * max(h.Buckets[i], 0) // the first bound is -Inf
	}
	return n, sum
}
