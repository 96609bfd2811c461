package shadow

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/goshadow/shadow/internal/route"
)

// RouteCoverage is what became of the requests of one route. It is plain data.
type RouteCoverage struct {
	Route      string `json:"route"`
	Match      uint64 `json:"match"`
	Mismatch   uint64 `json:"mismatch"`
	Failed     uint64 `json:"failed"`
	Uncompared uint64 `json:"uncompared"`
	// Lost are the requests that were sampled and not copied, or whose copy was given up.
	Lost map[Reason]uint64 `json:"lost,omitempty"`
	// Passed estimates how many requests went by before that, because of their method, the
	// Sampler, or a limit that stopped all of them. Of each Reason the first 64 requests and
	// then one in 64 are looked at, by each of up to twice GOMAXPROCS counters.
	Passed map[Reason]uint64 `json:"passed,omitempty"`
	// Why says why no answers were compared, the main reason first; empty where some were.
	Why string `json:"why,omitempty"`
}

// Compared is the number of results whose answers were compared.
func (c *RouteCoverage) Compared() uint64 { return c.Match + c.Mismatch }

// maxCovered is how many routes of each origin are told apart. Later ones are counted as one
// more route, "(other)". Names are cut to route.MaxName bytes, so the table takes 3 MB at most.
const maxCovered = 1000

// Coverage returns what became of the requests of each route that was seen since New, sorted
// by route, copied or not. The first 1,000 patterns (and names of WithRoute) have an entry each,
// and so have the first 1,000 templates of paths that the primary serves, and the first 1,000
// of paths that it answered with 404 or 405, or that were not sampled. Later ones are
// counted as "(other)". Outcomes and Lost are exact. A route whose requests are never sampled may be
// missing until it has had some hundreds of them.
//
// A Mirror whose answers nobody looks at (Target.Discard and no Reporter) compares nothing,
// and counts by route only what is lost or passes by.
func (m *Mirror) Coverage() []RouteCoverage {
	m.mustExist("Coverage")
	known := m.coverage.known()
	list := make([]RouteCoverage, 0, len(known))
	for name, ends := range known {
		c := RouteCoverage{
			Route: name,
			Match: ends.n[codeMatch].Load(), Mismatch: ends.n[codeMismatch].Load(),
			Failed: ends.n[codeFailed].Load(), Uncompared: ends.n[codeUncompared].Load(),
		}
		for e := codeUncompared + 1; e < numCodes; e++ {
			put(&c.Lost, codes[e].name, ends.n[e].Load())
			put(&c.Passed, codes[e].name, ends.passed[e].Load())
		}
		if c.Compared() == 0 {
			c.Why = c.whyUncovered()
		}
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b RouteCoverage) int { return cmp.Compare(a.Route, b.Route) })
	return list
}

func put(counts *map[Reason]uint64, reason Reason, n uint64) {
	if n == 0 {
		return
	}
	if *counts == nil {
		*counts = map[Reason]uint64{}
	}
	(*counts)[reason] = n
}

// whyUncovered says why nothing of c was compared.
func (c *RouteCoverage) whyUncovered() string {
	type cause struct {
		n    uint64
		text string
	}
	causes := []cause{{c.Failed, "without an answer of the shadow"}, {c.Uncompared, "not comparable"}}
	for reason, n := range c.Lost {
		causes = append(causes, cause{n, string(reason)})
	}
	for reason, n := range c.Passed {
		causes = append(causes, cause{n, string(reason) + ", before it could be sampled"})
		if reason == ReasonNotSampled {
			causes[len(causes)-1].text = string(reason)
		}
	}
	slices.SortFunc(causes, func(a, b cause) int {
		return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.text, b.text))
	})
	var parts []string
	for _, one := range causes {
		if one.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", one.n, one.text))
		}
	}
	return strings.Join(parts, "; ")
}

// coverage counts ends by route. Nobody waits for anybody but where a route is new.
type coverage struct {
	adding sync.Mutex
	added  [route.Origins]int
	routes atomic.Pointer[map[string]*routeEnds] // copied when one is added
}

type routeEnds struct {
	n      [numCodes]atomic.Uint64
	passed [numCodes]atomic.Uint64 // before they could be sampled
}

func (c *coverage) known() map[string]*routeEnds {
	if routes := c.routes.Load(); routes != nil {
		return *routes
	}
	return nil
}

// of returns the counters of the route of that name, which came from o.
func (c *coverage) of(name string, o route.Origin) *routeEnds {
	if ends := c.known()[name]; ends != nil {
		return ends
	}
	return c.add(name, o)
}

// count counts that a request of that route ended so.
func (c *coverage) count(name string, o route.Origin, e code) { c.of(name, o).n[e].Add(1) }

func (c *coverage) add(name string, o route.Origin) *routeEnds {
	c.adding.Lock()
	defer c.adding.Unlock()
	known := c.known()
	if known[name] == nil && c.added[o] >= maxCovered {
		name = route.Other
	}
	if ends := known[name]; ends != nil {
		return ends
	}
	more := make(map[string]*routeEnds, len(known)+1)
	maps.Copy(more, known)
	ends := &routeEnds{}
	if name != route.Other {
		c.added[o]++
	}
	more[strings.Clone(name)] = ends
	c.routes.Store(&more)
	return ends
}

// passBy counts by route that r, which is not copied, went by. Weight is for how many
// requests it stands where that is not known of each.
func (m *Mirror) passBy(r *http.Request, w code, weight uint64) {
	if codes[w].byRoute {
		m.lose(r, w)
	} else if weight > 0 {
		if ends := m.endsOf(r); ends != nil {
			ends.passed[w].Add(weight)
		}
	}
}

// lose counts by route that r, which was sampled, is not copied.
func (m *Mirror) lose(r *http.Request, w code) {
	m.limits.Wake() // to report what is lost
	if ends := m.endsOf(r); ends != nil {
		ends.n[w].Add(1)
	}
}

// endsOf returns the counters of the route of r. Nothing is allocated for a route that is known.
func (m *Mirror) endsOf(r *http.Request) *routeEnds {
	if r.URL == nil {
		return nil
	}
	found := m.routeName(r)
	var buf [route.MaxName]byte
	if name, ok := m.labels.Append(buf[:0], found, r.Method, r.URL); ok {
		if ends := m.coverage.known()[string(name)]; ends != nil {
			return ends
		}
	}
	return m.coverage.of(m.labels.Route(found, r.Method, r.URL), m.labels.Origin(found, 0))
}
