// Package ledger counts what became of requests, in all and by route. It is the only place where
// they are counted.
package ledger

import (
	"iter"
	"runtime"
	"strings"
	"sync/atomic"
	"unsafe"

	"github.com/goshadow/shadow/internal/bounded"
)

// Code says how a request ended. The caller knows what each code means.
type Code uint8

// Ledger counts requests by Code. It is safe for concurrent use and takes no lock, except to add
// a route.
type Ledger struct {
	ended []atomic.Uint64 // by code: what Record has counted

	// What Skip has counted: stripes of width counters, a power of two of them. Each
	// request picks one by its address, so that processors do not fight over a cache line.
	stripes []atomic.Uint64
	width   int
	mask    uint64 // the number of stripes less 1

	routes *bounded.Table[string, Route]
	other  Route // for all that find no room in routes
}

// Route counts the requests of one route.
type Route struct {
	Name          string
	ended, passed []atomic.Uint64 // by code
}

// New returns a Ledger of that many codes. At most so many routes of each origin have counters of
// their own. Later ones are counted as the route other.
func New(codes int, other string, origins ...int) *Ledger {
	const line = 16 // counters in two cache lines, which are fetched in pairs
	l := &Ledger{ended: make([]atomic.Uint64, codes), width: (codes + line - 1) / line * line}
	n := 1
	for n < 2*runtime.GOMAXPROCS(0) {
		n *= 2
	}
	l.stripes, l.mask = make([]atomic.Uint64, n*l.width), uint64(n-1)
	total := 0
	for _, limit := range origins {
		total += limit
	}
	l.routes = bounded.New(total, func(name string, r *Route) string {
		*r = newRoute(strings.Clone(name), codes)
		return r.Name
	}, origins...)
	l.other = newRoute(other, codes)
	return l
}

func newRoute(name string, codes int) Route {
	counters := make([]atomic.Uint64, 2*codes)
	return Route{Name: name, ended: counters[:codes], passed: counters[codes:]}
}

// lookEvery is a power of two, so that to find out that a request is not looked at costs a mask.
const lookEvery = 64

// Skip counts the request at that address, which is not copied, under c and by no route. Weight
// is how many requests it stands for by its route, if not each is counted: 1 for the first ones,
// then lookEvery for one of that many, and otherwise 0. See Route.Pass.
func (l *Ledger) Skip(address uintptr, c Code) (weight uint64) {
	at := uint64(address) * 0x9e3779b97f4a7c15 >> 32 // Fibonacci hashing
	n := l.stripes[int(at&l.mask)*l.width+int(c)].Add(1)
	switch {
	case n <= lookEvery:
		return 1
	case n%lookEvery == 0:
		return lookEvery
	}
	return 0
}

// Record counts under c what is no request without a copy, and by no route: a request that was
// queued, for one. See Route.Record.
func (l *Ledger) Record(c Code) { l.ended[c].Add(1) }

// Recorded appends what Record has counted to dst, by code.
func (l *Ledger) Recorded(dst []uint64) []uint64 {
	for c := range l.ended {
		dst = append(dst, l.ended[c].Load())
	}
	return dst
}

// Skipped returns what Skip has counted under c.
func (l *Ledger) Skipped(c Code) (n uint64) {
	for i := int(c); i < len(l.stripes); i += l.width {
		n += l.stripes[i].Load()
	}
	return n
}

// Total returns all that was counted under c.
func (l *Ledger) Total(c Code) uint64 { return l.ended[c].Load() + l.Skipped(c) }

// Find returns the route of that name, or nil if it has no counters of its own. It does not
// allocate.
func (l *Ledger) Find(name []byte) *Route {
	return l.routes.Find(unsafe.String(unsafe.SliceData(name), len(name)))
}

// Route returns the route of that name, or the one that stands for the others. A new one counts
// against the limit of origin.
func (l *Ledger) Route(name string, origin int) *Route {
	if r := l.routes.Add(name, origin); r != nil {
		return r
	}
	return &l.other
}

// Routes iterates over the routes that requests were counted by, in no order.
func (l *Ledger) Routes() iter.Seq[*Route] {
	return func(yield func(*Route) bool) {
		for _, r := range l.routes.All() {
			if !yield(r) {
				return
			}
		}
		for c := range l.other.ended {
			if l.other.ended[c].Load() > 0 || l.other.passed[c].Load() > 0 {
				yield(&l.other)
				return
			}
		}
	}
}

// Pass counts that about weight requests of r went by under c.
func (r *Route) Pass(c Code, weight uint64) { r.passed[c].Add(weight) }

// Record counts a request of r under c.
func (r *Route) Record(c Code) { r.ended[c].Add(1) }

// Ended returns how many requests of r Record has counted under c.
func (r *Route) Ended(c Code) uint64 { return r.ended[c].Load() }

// Passed estimates how many requests of r went by under c.
func (r *Route) Passed(c Code) uint64 { return r.passed[c].Load() }
