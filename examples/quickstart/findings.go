package main

import (
	"context"
	"strings"
	"sync"

	"github.com/goshadow/shadow"
)

// findings is a shadow.Reporter that adds up what the mirror sees: for every route
// how many answers were compared, where they differ, and how long both sides took.
// Of each kind of difference it keeps a count and one example, so its size depends
// on how many kinds there are and not on the traffic. The zero value is ready to
// use and safe for concurrent use; read the fields once the mirror is shut down.
type findings struct {
	mu       sync.Mutex
	routes   map[string]*route
	unlisted int // results and differences for which there was no room
}

type route struct {
	answers         int // that were compared
	differing       int // of them
	failed          int // copies without an answer that could be compared
	primary, shadow latencies
	differences     map[place]*difference
}

// place is what makes two differences the same kind: where and how.
type place struct {
	path string // a JSON pointer with * for the array indexes
	kind shadow.DiffKind
}

type difference struct {
	answers int // that have it at least once
	example shadow.Diff
	request string // shows the example
}

const (
	maxRoutes = 200
	maxPlaces = 200 // of each route
)

// Report implements shadow.Reporter. The mirror calls it from its own goroutines,
// never from one that serves a request.
func (f *findings) Report(_ context.Context, r *shadow.Result) error {
	f.mu.Lock()
	defer f.mu.Unlock()

	rt := f.route(r.Route)
	if rt == nil {
		f.unlisted++
		return nil
	}
	switch r.Outcome {
	case shadow.Failed, shadow.Uncompared:
		rt.failed++
		return nil
	case shadow.Mismatch:
		rt.differing++
	}
	rt.answers++
	rt.primary.add(r.Primary.Took)
	rt.shadow.add(r.Shadow.Took)

	request := r.Request.Method + " " + r.Request.URL.RequestURI()
	seen := map[place]bool{}
	for _, diff := range r.Diffs {
		p := place{foldIndexes(diff.Path), diff.Kind}
		if !seen[p] {
			seen[p] = true
			if !rt.note(p, diff, request) {
				f.unlisted++
			}
		}
	}
	return nil
}

// route returns nil if there is no room for another one.
func (f *findings) route(name string) *route {
	if rt := f.routes[name]; rt != nil || len(f.routes) == maxRoutes {
		return rt
	}
	if f.routes == nil {
		f.routes = map[string]*route{}
	}
	rt := &route{differences: map[place]*difference{}}
	f.routes[name] = rt
	return rt
}

// note says whether there was room for the difference.
func (rt *route) note(p place, diff shadow.Diff, request string) bool {
	d := rt.differences[p]
	if d == nil {
		if len(rt.differences) == maxPlaces {
			return false
		}
		d = &difference{example: diff, request: request}
		rt.differences[p] = d
	}
	d.answers++
	// Results arrive in any order; the example is the shortest all the same.
	if simpler(request, d.request) {
		d.example, d.request = diff, request
	}
	return true
}

func simpler(a, b string) bool {
	return len(a) < len(b) || len(a) == len(b) && a < b
}

// foldIndexes writes * for the array indexes in a JSON pointer, so that a member
// of the third element and the same member of the seventh are one kind.
func foldIndexes(pointer string) string {
	tokens := strings.Split(pointer, "/")
	for i, token := range tokens {
		if token != "" && strings.Trim(token, "0123456789") == "" {
			tokens[i] = "*"
		}
	}
	return strings.Join(tokens, "/")
}
