package main

import (
	"math"
	"slices"
	"time"
)

// latencies counts durations in buckets, each 4 % wider than the one before, so
// that its size does not grow with what it has seen. The zero value is empty.
type latencies struct {
	buckets [512]int // from 1 µs to 9 minutes
	n       int
}

const bucketGrowth = 1.04

func (l *latencies) add(d time.Duration) {
	i := 0
	if d > time.Microsecond {
		i = int(math.Log(float64(d)/float64(time.Microsecond)) / math.Log(bucketGrowth))
	}
	l.buckets[min(i, len(l.buckets)-1)]++
	l.n++
}

func (l *latencies) merge(other *latencies) {
	for i, n := range other.buckets {
		l.buckets[i] += n
	}
	l.n += other.n
}

// quantile returns what the share p of the durations does not exceed, to within
// 2 %; 0 if there are none.
func (l *latencies) quantile(p float64) time.Duration {
	rank := int(math.Ceil(p * float64(l.n)))
	for i, n := range l.buckets {
		if rank -= n; rank <= 0 && l.n > 0 {
			middle := math.Pow(bucketGrowth, float64(i)+0.5)
			return time.Duration(middle * float64(time.Microsecond))
		}
	}
	return 0
}

// medianInterval returns the median and its 95 % confidence interval. The
// interval rests on ranks only (the sign test turned round), whatever the
// distribution: half the width is 0.98 √n ranks. All are 0 if there are no values.
func medianInterval(values []time.Duration) (median, low, high time.Duration) {
	n := len(values)
	if n == 0 {
		return 0, 0, 0
	}
	sorted := slices.Sorted(slices.Values(values))
	half := int(math.Ceil(0.98 * math.Sqrt(float64(n))))
	return sorted[n/2], sorted[max(n/2-half, 0)], sorted[min(n/2+half, n-1)]
}
