package shadow

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/goshadow/shadow/internal/mark"
)

// EventSideEffect says that a copy was about to write, or has written, where only real
// requests may: the answer of the target, or of the control, has the header field
// Shadow-Side-Effect. Page somebody: what refused this copy may not stand in the way of the
// next one.
//
// middleware.ReadOnly sets the field on what it refuses, with the value http. A guard of
// your own does it likewise, with http for a request or sql for a statement:
//
//	w.Header().Set("Shadow-Side-Effect", "sql")
//
// and a service that asks others passes on the field that they answer with. Each such answer
// is one event, and each value of the field one count of the metric shadow.side_effects. What
// no guard notices is not counted: no side effects where nothing looks for them is no news.
const EventSideEffect EventKind = "side-effect"

// sideEffects raises the alarm where the header of an answer of t says so.
func (m *Mirror) sideEffects(t *Target, j *job, route string, h http.Header) {
	kinds := h[mark.SideEffect]
	if len(kinds) == 0 {
		return
	}
	known := make([]string, len(kinds))
	for i, kind := range kinds {
		known[i] = mark.SideEffectKind(kind)
	}
	m.guard("MeterProvider", func() error { //nolint:errcheck // logged
		for _, kind := range known {
			m.telemetry.SideEffect(m.base, t.Name, kind, 1)
		}
		return nil
	})
	m.notify(Event{Kind: EventSideEffect, Target: t.Name, ID: j.id, Route: route, Text: fmt.Sprintf(
		"a copy was about to write, or has written: its answer has %s: %s", mark.SideEffect, strings.Join(known, ", "))})
}
