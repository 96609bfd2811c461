// Package notice decides which of the things that happen often are worth a line in a log: a few of
// each kind, the beginning and the end of a time of losses, the first of each sort of results.
package notice

import (
	"hash/maphash"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// A kind is let through Burst times, and then once in Every.
const (
	Burst = 10
	Every = time.Minute
)

// Limiter bounds how often each kind is let through. Its zero value is ready, and it is safe for
// concurrent use. It keeps every kind that it is given.
type Limiter struct {
	mu    sync.Mutex
	kinds map[string]*kind
}

type kind struct {
	limit   *rate.Limiter
	skipped uint64 // since the last that was let through
}

// Take reports whether one of that kind is let through now, and how many were not since the last.
func (l *Limiter) Take(name string) (skipped uint64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.kinds[name]
	if k == nil {
		if l.kinds == nil {
			l.kinds = map[string]*kind{}
		}
		k = &kind{limit: rate.NewLimiter(rate.Every(Every), Burst)}
		l.kinds[name] = k
	}
	if !k.limit.Allow() {
		k.skipped++
		return 0, false
	}
	skipped, k.skipped = k.skipped, 0
	return skipped, true
}

// calm is how long nothing is lost before an Episode is over.
const calm = 10 * time.Second

// Episode is a time in which something is lost. It begins with the first loss, and is over when
// nothing was lost for ten seconds. It is not safe for concurrent use.
type Episode struct {
	lost  uint64        // at the last call of Update
	until time.Duration // 0 if it is over
}

// Update reports whether the episode began or ended since the last call. Lost is what was lost so
// far, and now a monotonic time above 0.
func (e *Episode) Update(lost uint64, now time.Duration) (began, ended bool) {
	more := lost > e.lost
	e.lost = lost
	switch {
	case more:
		began = e.until == 0
		e.until = now + calm
	case e.until > 0 && now >= e.until:
		ended = true
		e.until = 0
	}
	return began, ended
}

// Open reports whether the episode goes on.
func (e *Episode) Open() bool { return e.until > 0 }

// maxSorts is how many sorts are told apart. All that come later are counted together.
const maxSorts = 1000

// Sorts counts things by sort. Its zero value is ready, and it is safe for concurrent use.
type Sorts struct {
	mu   sync.Mutex
	seed maphash.Seed
	seen map[uint64]uint64 // by hash
}

// Add counts a thing. Those with equal parts are of one sort. It returns how many of that sort there
// are, and whether that is 1, 10, 100 and so on.
func (s *Sorts) Add(parts []string) (n uint64, round bool) {
	s.mu.Lock()
	if s.seen == nil {
		s.seed, s.seen = maphash.MakeSeed(), map[uint64]uint64{}
	}
	s.mu.Unlock()
	var h maphash.Hash
	h.SetSeed(s.seed)
	for _, part := range parts {
		h.WriteString(part)
		h.WriteByte(0)
	}
	key := h.Sum64()
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.seen[key]; !ok && len(s.seen) >= maxSorts {
		key = 0
	}
	s.seen[key]++
	n = s.seen[key]
	left := n
	for left%10 == 0 {
		left /= 10
	}
	return n, left == 1
}
