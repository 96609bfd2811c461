package shadow

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// RouteCoverage is what became of the requests of one route that were sampled. It is plain
// data.
type RouteCoverage struct {
	Route      string `json:"route"`
	Match      uint64 `json:"match"`
	Mismatch   uint64 `json:"mismatch"`
	Failed     uint64 `json:"failed"`
	Uncompared uint64 `json:"uncompared"`
	// Lost are the requests that were sampled and not copied, or whose copy was given up.
	Lost map[Reason]uint64 `json:"lost,omitempty"`
	// Why says why no answers were compared; empty where some were.
	Why string `json:"why,omitempty"`
}

// Compared is the number of results whose answers were compared.
func (c *RouteCoverage) Compared() uint64 { return c.Match + c.Mismatch }

// maxCovered is how many routes are told apart; what is new after that is one route more,
// "(other)".
const maxCovered = 1000

// Coverage tells, by route, what became of the sampled requests since New, sorted by route.
// Of the first 1,000 routes, that is: what comes after them is "(other)".
//
// Expected are routes that should be there: patterns of http.ServeMux, or names as WithRoute
// gives them. One that no sampled request had is listed with the reason, as far as it can be
// told: that it is not of WithMethods, that its Sampler says no, or that there was none.
//
// A request that is not sampled costs nothing, and so nothing is known of its route; nor is
// it of those that a limit of the Mirror stops before the primary runs (breaker, budget,
// pressure, overhead), which has nothing to do with the route. A Mirror whose answers nobody
// looks at (Target.Discard and no Reporter) compares nothing, and counts by route only what
// is lost.
func (m *Mirror) Coverage(expected ...string) []RouteCoverage {
	m.mustExist("Coverage")
	routes := map[string]*routeEnds{}
	maps.Copy(routes, m.coverage.known())
	for _, route := range expected {
		if routes[route] == nil {
			routes[route] = &routeEnds{}
		}
	}
	list := make([]RouteCoverage, 0, len(routes))
	for route, ends := range routes {
		c := RouteCoverage{
			Route: route,
			Match: ends[outcomeEnd(Match)].Load(), Mismatch: ends[outcomeEnd(Mismatch)].Load(),
			Failed: ends[outcomeEnd(Failed)].Load(), Uncompared: ends[outcomeEnd(Uncompared)].Load(),
		}
		for i, reason := range reasons[1:] {
			if n := ends[whyEnd(why(i+1))].Load(); n > 0 {
				if c.Lost == nil {
					c.Lost = map[Reason]uint64{}
				}
				c.Lost[reason] = n
			}
		}
		if c.Compared() == 0 {
			c.Why = m.whyUncovered(&c)
		}
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b RouteCoverage) int { return cmp.Compare(a.Route, b.Route) })
	return list
}

// whyUncovered says why nothing of c was compared.
func (m *Mirror) whyUncovered(c *RouteCoverage) string {
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(c.Lost)) {
		parts = append(parts, fmt.Sprintf("%d %s", c.Lost[reason], reason))
	}
	if c.Failed > 0 {
		parts = append(parts, fmt.Sprintf("%d without an answer of the shadow", c.Failed))
	}
	if c.Uncompared > 0 {
		parts = append(parts, fmt.Sprintf("%d not comparable", c.Uncompared))
	}
	if len(parts) > 0 {
		return "of those that were sampled: " + strings.Join(parts, ", ")
	}
	r, err := requestOf(c.Route)
	if err != nil {
		return "none was sampled"
	}
	e := m.Explain(r)
	for _, s := range e.Steps {
		if s.Verdict == VerdictFail {
			return fmt.Sprintf("none is copied: %s: %s", s.Name, s.Text)
		}
	}
	if p := e.Probability; p != nil && *p < 1 {
		return fmt.Sprintf("none was sampled, which happens with probability %.4g", *p)
	}
	return "none came, or none was sampled"
}

// requestOf makes a request that a pattern of http.ServeMux matches.
func requestOf(pattern string) (*http.Request, error) {
	method, place, found := strings.Cut(pattern, " ")
	if !found {
		method, place = http.MethodGet, pattern
	}
	host, path, found := strings.Cut(place, "/")
	if !found {
		return nil, fmt.Errorf("shadow: %q is no pattern", pattern)
	}
	path = strings.TrimSuffix(path, "{$}")
	for {
		from := strings.IndexByte(path, '{')
		if from < 0 {
			break
		}
		length := strings.IndexByte(path[from:], '}')
		if length < 0 {
			return nil, fmt.Errorf("shadow: %q is no pattern", pattern)
		}
		path = path[:from] + "x" + path[from+length+1:]
	}
	r, err := http.NewRequest(method, "http://"+cmp.Or(host, "localhost")+"/"+path, nil)
	if err != nil {
		return nil, err
	}
	r.RequestURI = r.URL.RequestURI()
	return r, nil
}

// coverage counts ends by route. Nobody waits for anybody but where a route is new.
type coverage struct {
	adding sync.Mutex
	routes atomic.Pointer[map[string]*routeEnds] // copied when one is added
}

type routeEnds [numEnds]atomic.Uint64

func (c *coverage) known() map[string]*routeEnds {
	if routes := c.routes.Load(); routes != nil {
		return *routes
	}
	return nil
}

// count counts that a request of route ended so.
func (c *coverage) count(route string, e end) {
	ends := c.known()[route]
	if ends == nil {
		ends = c.add(route)
	}
	ends[e].Add(1)
}

func (c *coverage) add(route string) *routeEnds {
	c.adding.Lock()
	defer c.adding.Unlock()
	known := c.known()
	if len(known) >= maxCovered {
		route = otherRoutes
	}
	if ends := known[route]; ends != nil {
		return ends
	}
	more := make(map[string]*routeEnds, len(known)+1)
	maps.Copy(more, known)
	ends := &routeEnds{}
	more[strings.Clone(route)] = ends
	c.routes.Store(&more)
	return ends
}

// byRoute tells whether w, found before the primary runs, is about the request, or that there
// was no room for its copy. Where something stopped all requests their routes do not matter.
func (w why) byRoute() bool {
	switch w {
	case whyLoop, whyUpgrade, whyInvalid, whyBodyTooLarge, whyQueueFull, whyBytesFull:
		return true
	}
	return false
}

// lose counts by route that r, which was sampled, is not copied. Nothing is allocated for a
// route that is known.
func (m *Mirror) lose(r *http.Request, w why) {
	m.limits.wake() // to report what is lost
	if r.URL == nil {
		return
	}
	found := m.routeName(r)
	if m.config.route == nil || found == "" {
		var buf [maxRouteName]byte
		name := appendPattern(buf[:0], methodName(r.Method, m.methods), found)
		if len(name) == 0 && len(m.labels.paths)+len(m.labels.texts) == 0 {
			name = append(append(name, methodName(r.Method, m.methods)...), ' ')
			name = appendTemplate(name, r.URL.Path)
		}
		if ends := m.coverage.known()[string(name[:min(len(name), maxRouteName)])]; ends != nil {
			ends[whyEnd(w)].Add(1)
			return
		}
	}
	m.coverage.count(m.routeOf(found, r.Method, r.URL), whyEnd(w))
}

// routeOf is the route of a request of u: its name, or one made of its path. Found is what
// routeName found.
func (m *Mirror) routeOf(found, method string, u *url.URL) string {
	if name := m.named(found, method); name != "" {
		return name
	}
	return m.labels.route(method, u)
}
